
#if NET_FORM >= 2
#if NET_FORM == 2
#define CELLS(x) _mm256_loadu_si256((const __m256i *)(const void *)(x))
#else
#define CELLS(x) _mm256_cvtepu8_epi16(_mm_loadu_si128((const __m128i *)(const void *)(x)))
#endif
#define TAPS(w) _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)(const void *)(w)))

/* 16 channels of a pixel: sums of two taps at a time, of channels 0 to 3 and 8 to 11, and of the others. */
TILE void net_put_channels(const net_to *to, int pixel, const net_conv *c, __m256i a, __m256i b)
{
    const __m256i first = _mm256_permute2x128_si256(a, b, 0x20), last = _mm256_permute2x128_si256(a, b, 0x31);
#if NET_FORM == 4
    net_put(to, pixel, c, _mm512_inserti64x4(_mm512_castsi256_si512(first), last, 1));
#else
    net_put_eight(to, 0, pixel, c, first);
    net_put_eight(to, 8, pixel, c, last);
#endif
}

/* p pixels, the first at cell `at` of each line. */
TILE void net_depth_tile(const net_to *to, const net_conv *c, const net_cell *const *line, int at, const int8_t *weight,
                         int p)
{
    const __m256i none = _mm256_setzero_si256();
    __m256i a0 = none, a1 = none, b0 = none, b1 = none;
    int r, s;
    for (r = 0; r < c->kh; r++)
        for (s = 0; s < c->kw; s += 2) {
            const int two = s + 1 < c->kw;
            const int8_t *w = weight + (r * c->kw + s) * c->n;
            const net_cell *x = line[r] + at + s * c->c;
            const __m256i w0 = TAPS(w), w1 = two ? TAPS(w + c->n) : none;
            const __m256i low = _mm256_unpacklo_epi16(w0, w1), high = _mm256_unpackhi_epi16(w0, w1);
            __m256i x0 = CELLS(x), x1 = two ? CELLS(x + c->c) : none;
            a0 = _mm256_add_epi32(a0, _mm256_madd_epi16(_mm256_unpacklo_epi16(x0, x1), low));
            a1 = _mm256_add_epi32(a1, _mm256_madd_epi16(_mm256_unpackhi_epi16(x0, x1), high));
            if (p > 1) {
                x += c->sw * c->c;
                x0 = CELLS(x);
                x1 = two ? CELLS(x + c->c) : none;
                b0 = _mm256_add_epi32(b0, _mm256_madd_epi16(_mm256_unpacklo_epi16(x0, x1), low));
                b1 = _mm256_add_epi32(b1, _mm256_madd_epi16(_mm256_unpackhi_epi16(x0, x1), high));
            }
        }
    net_put_channels(to, 0, c, a0, a1);
    if (p > 1) net_put_channels(to, 1, c, b0, b1);
}

/* One weight a channel and tap. */
static void net_depthwise(net_arena *arena, uint8_t *y, const uint8_t *x, const net_conv *c)
{
    const net_cell *line[NET_ROWS];
    int i, j, n, filled = 0;
    for (i = 0; i < c->oh; i++) {
        net_lines(arena, line, x, c, i, &filled);
        for (n = 0; n < c->n; n += 16)
            for (j = 0; j < c->ow; j += 2) {
                const int at = j * c->sw * c->c + n;
                net_to to;
                to.y = y + (i * c->ow + j) * c->n + n;
                to.z = 0;
                to.start = c->start + n;
                to.m = c->m + n;
                to.n = net_least(c->n - n, 16);
                if (j + 1 < c->ow) net_depth_tile(&to, c, line, at, c->weight + n, 2);
                else net_depth_tile(&to, c, line, at, c->weight + n, 1);
            }
    }
}
#else
/* One weight a channel and tap. */
static void net_depthwise(net_arena *arena, uint8_t *restrict y, const uint8_t *restrict x, const net_conv *c)
{
    int i, j, c0, r, s, n;
    (void)arena;
    for (i = 0; i < c->oh; i++)
        for (j = 0; j < c->ow; j++, y += c->n)
            for (c0 = 0; c0 < c->n; c0 += 64) {
                const int count = net_least(c->n - c0, 64);
                int32_t sum[64];
                for (n = 0; n < count; n++) sum[n] = c->start[c0 + n];
                for (r = 0; r < c->kh; r++)
                    for (s = 0; s < c->kw; s++) {
                        const int yi = i * c->sh - c->top + r, xj = j * c->sw - c->left + s;
                        const int8_t *w = c->weight + (r * c->kw + s) * c->n + c0;
                        if (yi < 0 || yi >= c->h || xj < 0 || xj >= c->w) {
                            for (n = 0; n < count; n++) sum[n] += c->zx * w[n];
                        } else {
                            const uint8_t *v = x + (yi * c->w + xj) * c->c + c0;
                            for (n = 0; n < count; n++) sum[n] += (int16_t)(v[n] * w[n]);
                        }
                    }
                for (n = 0; n < count; n++) y[c0 + n] = net_byte(sum[n], c->m[c0 + n], &c->range);
            }
}
#endif
