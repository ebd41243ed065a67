
#if NET_FORM == 0
/* Sums of few inputs, 9 or 27, of 16 outputs at a time: adding up the lanes of so short sums would cost more than the
 * sums. They stay below 2^24, so that they are exact whatever a cell is. */
#define NINE(v, t) \
    v##0 = tap[t][at], v##1 = tap[t + 1][at], v##2 = tap[t + 2][at], v##3 = tap[t + 3][at], v##4 = tap[t + 4][at], \
    v##5 = tap[t + 5][at], v##6 = tap[t + 6][at], v##7 = tap[t + 7][at], v##8 = tap[t + 8][at]
#define SUM(v, w) \
    (v##0 * (w)[n] + v##1 * (w)[n + 16] + v##2 * (w)[n + 32] + v##3 * (w)[n + 48] + v##4 * (w)[n + 64] + \
     v##5 * (w)[n + 80] + v##6 * (w)[n + 96] + v##7 * (w)[n + 112] + v##8 * (w)[n + 128])

static void net_nine(int32_t *restrict sum, const net_cell *const *tap, int at, const net_cell *restrict w, int count)
{
    const net_cell NINE(a, 0);
    int n;
    for (n = 0; n < count; n++) sum[n] = (int32_t)SUM(a, w);
}

static void net_thrice(int32_t *restrict sum, const net_cell *const *tap, int at, const net_cell *restrict w, int count)
{
    const net_cell NINE(a, 0), NINE(b, 9), NINE(d, 18);
    int n;
    for (n = 0; n < count; n++) sum[n] = (int32_t)(SUM(a, w) + SUM(b, w + 144) + SUM(d, w + 288));
}

/* y, or logits z where it is not null. */
static void net_few(net_arena *arena, uint8_t *y, float *z, const uint8_t *x, const net_conv *c)
{
    const int run = c->kw * c->c, width = (c->left + c->w + c->right) * c->c + 16;
    net_cell *const weight = arena->cell + c->kh * width;
    const net_cell *line[NET_ROWS], *tap[27];
    const net_range range = c->range;
    int n, i, j, r, e, t;
    for (n = 0; n < c->n; n += 16) {
        const int count = net_least(c->n - n, 16);
        int filled = 0;
        for (t = 0; t < 16 * c->k; t++) weight[t] = (net_cell)c->weight[n * c->k + t];
        for (i = 0; i < c->oh; i++) {
            net_lines(arena, line, x, c, i, &filled);
            for (t = 0; t < 27; t++) tap[t] = line[0];
            for (t = 0, r = 0; r < c->kh; r++)
                for (e = 0; e < run; e++) tap[t++] = line[r] + e;
            for (j = 0; j < c->ow; j++) {
                const int at = (i * c->ow + j) * c->n + n;
                int32_t sum[16];
                if (c->k == 9) net_nine(sum, tap, j * c->sw * c->c, weight, count);
                else net_thrice(sum, tap, j * c->sw * c->c, weight, count);
                net_put(y ? y + at : y, z ? z + at : z, sum, c->start + n, c->m + n, count, &range);
            }
        }
    }
}
#endif
