
#if NET_FORM != 0
/* Sums by dot products of fours of bytes: weights lie [block of 16 outputs][row of the kernel][run][k / 4][output][4],
 * rows of the input are kept as cells, with their padding, as long as a kernel is high. */
#define WIDTH 16

#if defined(__GNUC__)
#define TILE static inline __attribute__((always_inline))
#else
#define TILE static
#endif

#if NET_FORM == 1
#include <arm_neon.h>
#define PIXELS 4
#define PART 8
typedef int32x4_t net_vector;
#define ZERO() vdupq_n_s32(0)
#define WEIGHTS(w) vld1q_s8(w)
#define DOT(a, x, w) vdotq_s32(a, x, w)
typedef int8x16_t net_word;
static inline net_word net_four(const int8_t *x)
{
    int32_t v;
    memcpy(&v, x, 4);
    return vreinterpretq_s8_s32(vdupq_n_s32(v));
}
#else
#include <immintrin.h>
#if NET_FORM == 2
#define PIXELS 4
#define PART 8
typedef __m256i net_vector;                           /* four outputs, two sums each */
typedef __m256i net_word;
#define ZERO() _mm256_setzero_si256()
#define WEIGHTS(w) _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)(const void *)(w)))
#define DOT(a, x, w) _mm256_add_epi32(a, _mm256_madd_epi16(x, w))
static inline net_word net_four(const int16_t *x)
{
    long long v;
    memcpy(&v, x, 8);
    return _mm256_set1_epi64x(v);
}
#elif NET_FORM == 3
#define PIXELS 4
#define PART 16
typedef __m256i net_vector;
typedef __m256i net_word;
#define ZERO() _mm256_setzero_si256()
#define WEIGHTS(w) _mm256_loadu_si256((const __m256i *)(const void *)(w))
#define DOT(a, x, w) _mm256_dpbusd_avx_epi32(a, x, w)
static inline net_word net_four(const uint8_t *x)
{
    int v;
    memcpy(&v, x, 4);
    return _mm256_set1_epi32(v);
}
#else
#define PIXELS 8
#define PART 16
typedef __m512i net_vector;
typedef __m512i net_word;
#define ZERO() _mm512_setzero_si512()
#define WEIGHTS(w) _mm512_loadu_si512(w)
#define DOT(a, x, w) _mm512_dpbusd_epi32(a, x, w)
static inline net_word net_four(const uint8_t *x)
{
    int v;
    memcpy(&v, x, 4);
    return _mm512_set1_epi32(v);
}
#endif
#endif

/* Where the outputs of a tile go: n of them, at y or z. */
typedef struct { uint8_t *y; float *z; const int32_t *start; const float *m; int n; } net_to;

/* One pixel's sums of PART outputs. */
#if NET_FORM == 1
TILE void net_put(const net_to *to, int pixel, const net_conv *c, net_vector a, net_vector b)
{
    const int n = to->n, at = pixel * c->n;
    float32x4_t u = vmulq_f32(vcvtq_f32_s32(vaddq_s32(a, vld1q_s32(to->start))), vld1q_f32(to->m));
    float32x4_t v = vmulq_f32(vcvtq_f32_s32(vaddq_s32(b, vld1q_s32(to->start + 4))), vld1q_f32(to->m + 4));
    if (to->z) {
        float some[8];
        vst1q_f32(some, u);
        vst1q_f32(some + 4, v);
        memcpy(to->z + at, some, (size_t)n * sizeof *some);
    } else if (to->y) {
        const float32x4_t low = vdupq_n_f32(c->range.low), high = vdupq_n_f32(c->range.high);
        const int32x4_t zero = vdupq_n_s32(c->range.zero - 0x4B400000);
        const float32x4_t magic = vdupq_n_f32(12582912.0f);                      /* 1.5 2^23: rounds to integers */
        int32x4_t i = vreinterpretq_s32_f32(vaddq_f32(vminq_f32(vmaxq_f32(u, low), high), magic));
        int32x4_t j = vreinterpretq_s32_f32(vaddq_f32(vminq_f32(vmaxq_f32(v, low), high), magic));
        i = vaddq_s32(i, zero);
        j = vaddq_s32(j, zero);
        uint8_t some[8];
        vst1_u8(some, vqmovun_s16(vcombine_s16(vqmovn_s32(i), vqmovn_s32(j))));
        memcpy(to->y + at, some, (size_t)n);
    }
}
#elif NET_FORM == 4
TILE void net_put(const net_to *to, int pixel, const net_conv *c, net_vector a)
{
    const __mmask16 some = (__mmask16)((1u << to->n) - 1u);
    const __m512i s = _mm512_add_epi32(a, _mm512_loadu_si512(to->start));
    __m512 v = _mm512_mul_ps(_mm512_cvtepi32_ps(s), _mm512_loadu_ps(to->m));
    const int at = pixel * c->n;
    if (to->z) {
        _mm512_mask_storeu_ps(to->z + at, some, v);
        return;
    }
    v = _mm512_min_ps(_mm512_max_ps(v, _mm512_set1_ps(c->range.low)), _mm512_set1_ps(c->range.high));
    _mm_mask_storeu_epi8(to->y + at, some, _mm512_cvtepi32_epi8(_mm512_add_epi32(_mm512_cvtps_epi32(v),
                                                                                 _mm512_set1_epi32(c->range.zero))));
}
#else
TILE void net_put_eight(const net_to *to, int first, int pixel, const net_conv *c, __m256i s)
{
    const int n = to->n - first, at = pixel * c->n + first;
    const __m256i start = _mm256_loadu_si256((const __m256i *)(const void *)(to->start + first));
    __m256 v = _mm256_mul_ps(_mm256_cvtepi32_ps(_mm256_add_epi32(s, start)), _mm256_loadu_ps(to->m + first));
    if (n <= 0) return;
    if (to->z) {
        float some[8];
        _mm256_storeu_ps(some, v);
        memcpy(to->z + at, some, (size_t)net_least(n, 8) * sizeof *some);
    } else if (to->y) {
        __m128i b;
        __m256i i;
        v = _mm256_min_ps(_mm256_max_ps(v, _mm256_set1_ps(c->range.low)), _mm256_set1_ps(c->range.high));
        i = _mm256_add_epi32(_mm256_cvtps_epi32(v), _mm256_set1_epi32(c->range.zero));
        b = _mm_packs_epi32(_mm256_castsi256_si128(i), _mm256_extracti128_si256(i, 1));
        b = _mm_packus_epi16(b, b);
        if (n >= 8) _mm_storel_epi64((__m128i *)(void *)(to->y + at), b);
        else {
            uint8_t some[16];
            _mm_storeu_si128((__m128i *)(void *)some, b);
            memcpy(to->y + at, some, (size_t)n);
        }
    }
}

TILE void net_put(const net_to *to, int pixel, const net_conv *c, net_vector a, net_vector b)
{
#if NET_FORM == 2
    net_put_eight(to, 0, pixel, c, _mm256_permute4x64_epi64(_mm256_hadd_epi32(a, b), 0xd8));
#else
    net_put_eight(to, 0, pixel, c, a);
    net_put_eight(to, 8, pixel, c, b);
#endif
}
#endif

/* p pixels, the first at cell `at` of each line. */
TILE void net_tile(const net_to *to, const net_conv *c, const net_cell *const *line, int at, const int8_t *w, int p)
{
    const int step = c->sw * c->c;
    int r, s, k;
    net_vector a0 = ZERO(), a1 = a0, a2 = a0, a3 = a0, a4 = a0, a5 = a0, a6 = a0, a7 = a0;
    for (r = 0; r < c->kh; r++)
        for (s = 0; s < c->runs; s++) {
            const net_cell *x = line[r] + at + s * c->c;
            for (k = 0; k < c->k; k += 4, x += 4, w += 4 * WIDTH) {
                const net_word w0 = WEIGHTS(w);
#if NET_FORM == 4
                a0 = DOT(a0, net_four(x), w0);
                if (p > 1) a1 = DOT(a1, net_four(x + step), w0);
                if (p > 2) a2 = DOT(a2, net_four(x + 2 * step), w0);
                if (p > 3) a3 = DOT(a3, net_four(x + 3 * step), w0);
                if (p > 4) a4 = DOT(a4, net_four(x + 4 * step), w0);
                if (p > 5) a5 = DOT(a5, net_four(x + 5 * step), w0);
                if (p > 6) a6 = DOT(a6, net_four(x + 6 * step), w0);
                if (p > 7) a7 = DOT(a7, net_four(x + 7 * step), w0);
            }
        }
    net_put(to, 0, c, a0);
    if (p > 1) net_put(to, 1, c, a1);
    if (p > 2) net_put(to, 2, c, a2);
    if (p > 3) net_put(to, 3, c, a3);
    if (p > 4) net_put(to, 4, c, a4);
    if (p > 5) net_put(to, 5, c, a5);
    if (p > 6) net_put(to, 6, c, a6);
    if (p > 7) net_put(to, 7, c, a7);
#else
                const net_word w1 = WEIGHTS(w + (PART == 8 ? 16 : 32));
                net_word v = net_four(x);
                a0 = DOT(a0, v, w0);
                a1 = DOT(a1, v, w1);
                if (p > 1) {
                    v = net_four(x + step);
                    a2 = DOT(a2, v, w0);
                    a3 = DOT(a3, v, w1);
                }
                if (p > 2) {
                    v = net_four(x + 2 * step);
                    a4 = DOT(a4, v, w0);
                    a5 = DOT(a5, v, w1);
                }
                if (p > 3) {
                    v = net_four(x + 3 * step);
                    a6 = DOT(a6, v, w0);
                    a7 = DOT(a7, v, w1);
                }
            }
        }
    net_put(to, 0, c, a0, a1);
    if (p > 1) net_put(to, 1, c, a2, a3);
    if (p > 2) net_put(to, 2, c, a4, a5);
    if (p > 3) net_put(to, 3, c, a6, a7);
#endif
}

#if PART == 8
/* One pixel and all 16 outputs. */
TILE void net_single(const net_to *to, const net_conv *c, const net_cell *const *line, int at, const int8_t *w)
{
    int r, s, k;
    net_to half = *to;
    net_vector a0 = ZERO(), a1 = a0, a2 = a0, a3 = a0;
    for (r = 0; r < c->kh; r++)
        for (s = 0; s < c->runs; s++) {
            const net_cell *x = line[r] + at + s * c->c;
            for (k = 0; k < c->k; k += 4, x += 4, w += 4 * WIDTH) {
                const net_word v = net_four(x);
                a0 = DOT(a0, v, WEIGHTS(w));
                a1 = DOT(a1, v, WEIGHTS(w + 16));
                a2 = DOT(a2, v, WEIGHTS(w + 32));
                a3 = DOT(a3, v, WEIGHTS(w + 48));
            }
        }
    half.n = net_least(to->n, PART);
    net_put(&half, 0, c, a0, a1);
    if (to->n <= PART) return;
    half.n = to->n - PART;
    half.start += PART;
    half.m += PART;
    half.y = to->y ? to->y + PART : to->y;
    half.z = to->z ? to->z + PART : to->z;
    net_put(&half, 0, c, a2, a3);
}
#endif

static void net_row(uint8_t *y, float *z, const net_conv *c, const net_cell *const *line)
{
    const int cg = c->c / c->groups, ng = c->n / c->groups, blocks = (ng + WIDTH - 1) / WIDTH;
    const int block = c->kh * c->runs * c->k * WIDTH;
    int g, b, j, part;
    for (g = 0; g < c->groups; g++)
        for (b = 0; b < blocks; b++)
            for (part = 0; part < WIDTH && b * WIDTH + part < ng; part += PART) {
                const int8_t *w = c->weight + (g * blocks + b) * block + 4 * part;
                const int n = b * WIDTH + part, at = g * blocks * WIDTH + n;
                net_to to;
                to.start = c->start + at;
                to.m = c->m + at;
#if PART == 8
                if (c->ow == 1) {
                    to.n = net_least(ng - n, WIDTH);
                    to.y = y ? y + g * ng + n : y;
                    to.z = z ? z + g * ng + n : z;
                    net_single(&to, c, line, g * cg, w);
                    break;
                }
#endif
                to.n = net_least(ng - n, PART);
                for (j = 0; j < c->ow; j += PIXELS) {
                    const int x = j * c->sw * c->c + g * cg, out = j * c->n + g * ng + n;
                    to.y = y ? y + out : y;
                    to.z = z ? z + out : z;
                    switch (net_least(c->ow - j, PIXELS)) {
                    case 1: net_tile(&to, c, line, x, w, 1); break;
                    case 2: net_tile(&to, c, line, x, w, 2); break;
                    case 3: net_tile(&to, c, line, x, w, 3); break;
#if NET_FORM == 4
                    case 4: net_tile(&to, c, line, x, w, 4); break;
                    case 5: net_tile(&to, c, line, x, w, 5); break;
                    case 6: net_tile(&to, c, line, x, w, 6); break;
                    case 7: net_tile(&to, c, line, x, w, 7); break;
#endif
                    default: net_tile(&to, c, line, x, w, PIXELS); break;
                    }
                }
            }
}

/* y, or logits z where it is not null. */
static void net_sums(net_arena *arena, uint8_t *y, float *z, const uint8_t *x, const net_conv *c)
{
    const net_cell *line[NET_ROWS];
    int i, filled = 0;
    for (i = 0; i < c->oh; i++) {
        net_lines(arena, line, x, c, i, &filled);
        net_row(y ? y + i * c->ow * c->n : y, z ? z + i * c->ow * c->n : z, c, line);
    }
}
#endif
