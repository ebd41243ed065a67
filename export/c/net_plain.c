
#if NET_FORM == 0
/* The inputs of the sums of pixel p, in the order of the weights. */
static void net_column(int16_t *restrict to, const uint8_t *restrict x, const net_conv *c, int p, int group)
{
    const int cg = c->c / c->groups, y0 = p / c->ow * c->sh - c->top, x0 = p % c->ow * c->sw - c->left;
    int16_t *const end = to + c->k;
    int r, s, e;
    if (c->groups == 1 && y0 >= 0 && y0 + c->kh <= c->h && x0 >= 0 && x0 + c->kw <= c->w) {
        const int run = c->kw * c->c;
        x += (y0 * c->w + x0) * c->c;
        for (r = 0; r < c->kh; r++, to += run, x += c->w * c->c)
            for (e = 0; e < run; e++) to[e] = x[e];
        while (to < end) *to++ = 0;
        return;
    }
    for (r = 0; r < c->kh; r++) {
        const int inside = y0 + r >= 0 && y0 + r < c->h;
        const int s0 = inside ? net_least(net_most(-x0, 0), c->kw) : c->kw;
        const int s1 = inside ? net_most(net_least(c->w - x0, c->kw), s0) : c->kw;
        const uint8_t *v = inside ? x + ((y0 + r) * c->w + x0 + s0) * c->c + group * cg : x;
        for (e = 0; e < s0 * cg; e++) to[e] = (int16_t)c->zx;
        to += s0 * cg;
        if (c->groups == 1) {
            for (e = 0; e < (s1 - s0) * cg; e++) to[e] = v[e];
        } else {
            for (s = 0; s < s1 - s0; s++, v += c->c)
                for (e = 0; e < cg; e++) to[s * cg + e] = v[e];
        }
        to += (s1 - s0) * cg;
        for (e = 0; e < (c->kw - s1) * cg; e++) to[e] = (int16_t)c->zx;
        to += (c->kw - s1) * cg;
    }
    while (to < end) *to++ = 0;
}

/* Sums of four pixels, whose inputs lie one after the other, and two outputs: sum[64 pixel + output]. */
static void net_dots(int32_t *sum, const int16_t *x, const int8_t *w, int k)
{
    const int16_t *x1 = x + k, *x2 = x1 + k, *x3 = x2 + k;
    const int8_t *u = w + k;
    int32_t a0 = 0, a1 = 0, a2 = 0, a3 = 0, b0 = 0, b1 = 0, b2 = 0, b3 = 0;
    int i;
    for (i = 0; i < k; i++) {
        a0 += x[i] * w[i];
        b0 += x[i] * u[i];
        a1 += x1[i] * w[i];
        b1 += x1[i] * u[i];
        a2 += x2[i] * w[i];
        b2 += x2[i] * u[i];
        a3 += x3[i] * w[i];
        b3 += x3[i] * u[i];
    }
    sum[0] = a0;
    sum[1] = b0;
    sum[64] = a1;
    sum[65] = b1;
    sum[128] = a2;
    sum[129] = b2;
    sum[192] = a3;
    sum[193] = b3;
}

/* Sums of one pixel and four outputs. */
static void net_dot(int32_t *sum, const int16_t *x, const int8_t *w, int k)
{
    const int8_t *u = w + k, *v = u + k, *t = v + k;
    int32_t a0 = 0, a1 = 0, a2 = 0, a3 = 0;
    int i;
    for (i = 0; i < k; i++) {
        a0 += x[i] * w[i];
        a1 += x[i] * u[i];
        a2 += x[i] * v[i];
        a3 += x[i] * t[i];
    }
    sum[0] = a0;
    sum[1] = a1;
    sum[2] = a2;
    sum[3] = a3;
}

static void net_put(uint8_t *restrict y, float *restrict z, const int32_t *sum, const int32_t *start, const float *m,
                    int n, const net_range *r)
{
    int i;
    if (z) {
        for (i = 0; i < n; i++) z[i] = FL(FL(sum[i] + start[i]) * m[i]);
    } else if (y) {
        for (i = 0; i < n; i++) y[i] = net_byte(sum[i] + start[i], m[i], r);
    }
}

/* y, or logits z where it is not null. */
static void net_sums(net_arena *arena, uint8_t *y, float *z, const uint8_t *x, const net_conv *c)
{
    const int ng = c->n / c->groups, pixels = c->oh * c->ow;
    const net_range range = c->range;
    int g, p, n, i, q, some;
    for (g = 0; g < c->groups; g++)
        for (p = 0; p < pixels; p += some) {
            const int8_t *w = c->weight + g * ((ng + 3) / 4 * 4) * c->k;
            some = pixels - p < 4 ? 1 : 4;
            for (q = 0; q < some; q++) net_column(arena->column + q * c->k, x, c, p + q, g);
            for (n = 0; n < ng; n += 64) {
                const int count = net_least(ng - n, 64), first = g * ng + n;
                int32_t sum[4 * 64];
                for (i = 0; i < count; i += 4, w += 4 * c->k)
                    if (some == 1) net_dot(sum + i, arena->column, w, c->k);
                    else {
                        net_dots(sum + i, arena->column, w, c->k);
                        net_dots(sum + i + 2, arena->column, w + 2 * c->k, c->k);
                    }
                for (q = 0; q < some; q++) {
                    const int at = (p + q) * c->n + first;
                    net_put(y ? y + at : y, z ? z + at : z, sum + 64 * q, c->start + first, c->m + first, count,
                            &range);
                }
            }
        }
}
#endif
