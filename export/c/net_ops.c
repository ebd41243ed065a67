
/*@ add */
/* fma(a, ra, fma(b, rb, fx)): a product of a byte and a float is exact in double, and that the sum, rounded to double
 * and then to float, is the one of the fused operation was proved for every pair of bytes when this was written. The
 * zero point is in fx, so no bound is below 0. */
#if defined(__OPTIMIZE__) && (defined(__FMA__) || defined(__FP_FAST_FMAF))
#define FMA(a, b, c) __builtin_fmaf(a, b, c)
#else
#define FMA(a, b, c) FL((double)(a) * (double)(b) + (double)(c))
#endif

static void net_add(uint8_t *restrict y, const uint8_t *restrict a, const uint8_t *restrict b, const net_pair *p)
{
    const float ra = p->ra, rb = p->rb, fx = p->fx;
    const int32_t low = (int32_t)net_bits(p->range.low), high = (int32_t)net_bits(p->range.high), n = p->n;
    const uint32_t magic = 0x4B400000u;
    int i;
    for (i = 0; i < n; i++) {
        float v = FMA((float)b[i], rb, fx);
        int32_t k;
        v = FMA((float)a[i], ra, v);
        k = (int32_t)net_bits(v);
        k = k > high ? high : k;
        k = k < low ? low : k;
        y[i] = (uint8_t)(net_bits(FL(net_float((uint32_t)k) + 12582912.0f)) - magic);
    }
}

/*@ mul */
static void net_mul(uint8_t *restrict y, const uint8_t *restrict a, const uint8_t *restrict b, const net_pair *p)
{
    const net_range r = p->range;
    int i;
    for (i = 0; i < p->n; i++) y[i] = net_byte((int32_t)(a[i] - p->za) * (b[i] - p->zb), p->ra, &r);
}

/*@ max_pool */
static void net_max_pool(uint8_t *restrict y, const uint8_t *restrict x, const net_pool *p)
{
    int i, j, r, s, n;
    for (i = 0; i < p->oh; i++)
        for (j = 0; j < p->ow; j++, y += p->c) {
            const int y0 = i * p->sh - p->top, x0 = j * p->sw - p->left;
            memset(y, 0, (size_t)p->c);
            for (r = net_most(y0, 0); r < net_least(y0 + p->kh, p->h); r++)
                for (s = net_most(x0, 0); s < net_least(x0 + p->kw, p->w); s++) {
                    const uint8_t *v = x + (r * p->w + s) * p->c;
                    for (n = 0; n < p->c; n++) y[n] = v[n] > y[n] ? v[n] : y[n];
                }
        }
}

/*@ avg_pool */
static void net_avg_pool(uint8_t *restrict y, const uint8_t *restrict x, const net_pool *p)
{
    int i, j, r, s, n, c0;
    for (i = 0; i < p->oh; i++)
        for (j = 0; j < p->ow; j++, y += p->c) {
            const int y0 = i * p->sh - p->top, x0 = j * p->sw - p->left;
            const int r0 = net_most(y0, 0), r1 = net_least(y0 + p->kh, p->h);
            const int s0 = net_most(x0, 0), s1 = net_least(x0 + p->kw, p->w);
            const float m = p->m[(r1 - r0 - p->rows) * p->choices + s1 - s0 - p->columns];
            for (c0 = 0; c0 < p->c; c0 += 64) {
                const int count = net_least(p->c - c0, 64);
                int32_t sum[64];
                for (n = 0; n < count; n++) sum[n] = -(r1 - r0) * (s1 - s0) * p->zx;
                for (r = r0; r < r1; r++)
                    for (s = s0; s < s1; s++) {
                        const uint8_t *v = x + (r * p->w + s) * p->c + c0;
                        for (n = 0; n < count; n++) sum[n] += v[n];
                    }
                for (n = 0; n < count; n++) y[c0 + n] = net_byte(sum[n], m, &p->range);
            }
        }
}

/*@ map */
/* Of `pixels`, c channels into the first of `out`. */
static void net_map(uint8_t *y, const uint8_t *x, const uint8_t *table, int pixels, int c, int out)
{
    int i, n;
    for (i = 0; i < pixels; i++, x += c, y += out)
        for (n = 0; n < c; n++) y[n] = table[x[n]];
}

/*@ floats */
static void net_floats(float *y, const uint8_t *x, int n, float scale, int zero)
{
    int i;
    for (i = 0; i < n; i++) y[i] = FL(scale * (float)(x[i] - zero));
}

/*@ quantize */
/* With -ffast-math a quotient of floats may be no quotient. One in double, or a product with 1 / scale in double,
 * rounds to the contract's: quotients of floats are never nearer than 2^-49 to the middle of two floats. Volatile: it
 * is not to become one in float. A NaN gives 0. */
static void net_quantize(uint8_t *restrict y, const float *restrict x, int n, float scale, const net_range *r)
{
#if defined(__FAST_MATH__) || defined(__RECIPROCAL_MATH__)
    const volatile double wide = (double)scale;
    const double s = wide;
#else
    const float s = scale;
#endif
    const net_range range = *r;
    int i;
    for (i = 0; i < n; i++) {
        const int byte = net_round(FL(x[i] / s), &range);
        y[i] = (uint8_t)((net_bits(x[i]) & 0x7fffffffu) > 0x7f800000u ? 0 : byte);
    }
}
