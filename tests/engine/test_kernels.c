/* Every fast kernel against its plain-C twin, at odd shapes; and the element functions against libm. */
#include <float.h>

#include "engine/kernels.h"
#include "tests/support.h"

static const rt_kernels *twin;

static const rt_kernels *const *next_family(const rt_kernels *const *k)
{
    for (; *k; k++) if (rt_kernels_runnable(*k)) return k;
    return k;
}
#define EACH_FAMILY(k) for (const rt_kernels *const *k = next_family(rt_kernels_all()); *k; k = next_family(k + 1))

/* Sums of n products of values around 1 differ by rounding alone. */
static void compare(const char *what, const char *family, const float *a, const float *b, size_t n, double terms)
{
    char text[128];
    for (size_t i = 0; i < n; i++) {
        snprintf(text, sizeof text, "%s of %s at %zu", what, family, i);
        check_close(text, a[i], b[i], 4e-7 * sqrt(terms) * 4, 2e-5);
    }
}

static void conv_line(void **state)
{
    static const int channels[] = {1, 3, 7, 8, 15, 16, 17, 24, 31, 32, 33, 48, 63, 64, 65, 80, 130},
                     pixels[] = {1, 2, 3, 5, 7, 12, 14, 25, 28, 33};
    (void)state;
    for (size_t ci = 0; ci < sizeof channels / sizeof channels[0]; ci++)
        for (size_t pi = 0; pi < sizeof pixels / sizeof pixels[0]; pi++) {
            int n = channels[ci], px = pixels[pi], kh = 1 + (int)(pi % 3), klen = 1 + (int)((ci * 5 + pi * 3) % 37),
                step = 1 + (int)(ci % 3) * klen;
            int lines = (int)((ci + pi) % 4), line = px * (n + 3) + 5, count = lines ? lines : 1;
            size_t nx = (size_t)(px * step + (kh + count) * 500 + klen), ny = (size_t)(count * line);
            float *x = random_floats(nx, 1), *w = random_floats((size_t)(kh * klen * (n + 2)), 2),
                  *bias = random_floats((size_t)n, 3);
            float *want = random_floats(ny, 4), *got = random_floats(ny, 4);
            for (int mode = 0; mode < 4; mode++) {
                rt_conv_line a = {.y_px = n + 3,
                                  .y_line = line,
                                  .x = x,
                                  .x_px = step,
                                  .x_row = 500,
                                  .x_line = 500,
                                  .lines = lines,
                                  .w = w,
                                  .w_ld = n + 2,
                                  .bias = mode & 1 ? bias : NULL,
                                  .px = px,
                                  .kh = kh,
                                  .klen = klen,
                                  .n = n,
                                  .accumulate = mode == 2,
                                  .act = mode == 1   ? RT_ACT_RELU
                                         : mode == 3 ? RT_ACT_RELU6
                                                     : RT_ACT_NONE};
                EACH_FAMILY(k) {
                    rt_normal(want, ny, 2024, RT_RNG_TEST, 4);
                    rt_normal(got, ny, 2024, RT_RNG_TEST, 4);
                    a.y = want;
                    twin->conv_line(&a);
                    a.y = got;
                    (*k)->conv_line(&a);
                    compare("conv_line", (*k)->name, got, want, ny, kh * klen);
                }
            }
            free(x); free(w); free(bias); free(want); free(got);
        }
}

/* Overlapping taps, which some families order in another way. */
static void conv_overlap(void **state)
{
    (void)state;
    for (int n = 1; n <= 20; n += n == 7 ? 1 : 3)
        for (int c = 1; c <= 17; c += 4)
            for (int kw = 1; kw <= 5; kw++)
                for (int px = 1; px < 48; px += 7) {
                    size_t nx = (size_t)((px + kw) * c * 4), ny = (size_t)(px * n);
                    float *x = random_floats(nx, 1), *w = random_floats((size_t)(3 * kw * c * n), 2),
                          *bias = random_floats((size_t)n, 3), *want = random_floats(ny, 4),
                          *got = random_floats(ny, 4);
                    for (int mode = 0; mode < 2; mode++) {
                        rt_conv_line a = {.y_px = n,
                                          .x = x,
                                          .x_px = c,
                                          .x_row = (px + kw) * c,
                                          .w = w,
                                          .w_ld = n,
                                          .bias = bias,
                                          .px = px,
                                          .kh = 3,
                                          .klen = kw * c,
                                          .kw = kw,
                                          .n = n,
                                          .accumulate = mode,
                                          .act = mode ? RT_ACT_NONE : RT_ACT_RELU};
                        EACH_FAMILY(k) {
                            rt_normal(want, ny, 2024, RT_RNG_TEST, 4);
                            rt_normal(got, ny, 2024, RT_RNG_TEST, 4);
                            a.y = want;
                            twin->conv_line(&a);
                            a.y = got;
                            (*k)->conv_line(&a);
                            compare("overlapping conv_line", (*k)->name, got, want, ny, 3 * kw * c);
                        }
                    }
                    free(x); free(w); free(bias); free(want); free(got);
                }
}

static void conv_dw(void **state)
{
    static const int channels[] = {1, 5, 16, 19, 32, 40, 64, 72}, lens[] = {1, 2, 3, 9, 13, 24, 25, 48, 50};
    (void)state;
    for (size_t ci = 0; ci < sizeof channels / sizeof channels[0]; ci++)
        for (size_t li = 0; li < sizeof lens / sizeof lens[0]; li++)
            for (int overwrite = 0; overwrite < 2; overwrite++) {
                int n = channels[ci], klen = lens[li], kh = 1 + (int)(li % 3), px = 1 + (int)((ci * 3 + li) % 11),
                    lines = 1 + (int)(li % 4);
                size_t nx = (size_t)(lines * 300 + kh * 300 + px * 4 + klen), ny = (size_t)(lines * px * n + 8),
                       nw = (size_t)(kh * klen * n);
                float *x = random_floats(nx, 5), *dy = random_floats(ny, 6), *want = random_floats(nw, 7),
                      *got = random_floats(nw, 7);
                rt_conv_dw a = {.dw_ld = n,
                                .x = x,
                                .x_px = 4,
                                .x_row = 300,
                                .x_line = 300,
                                .dy = dy,
                                .dy_px = n,
                                .dy_line = px * n,
                                .lines = lines,
                                .px = px,
                                .kh = kh,
                                .klen = klen,
                                .n = n,
                                .overwrite = overwrite};
                EACH_FAMILY(k) {
                    rt_normal(want, nw, 2024, RT_RNG_TEST, 7);
                    rt_normal(got, nw, 2024, RT_RNG_TEST, 7);
                    a.dw = want;
                    twin->conv_dw(&a);
                    a.dw = got;
                    (*k)->conv_dw(&a);
                    compare("conv_dw", (*k)->name, got, want, nw, lines * px);
                }
                free(x); free(dy); free(want); free(got);
            }
}

static int by_exp(int act)
{ return act == RT_ACT_GELU || act == RT_ACT_SILU || act >= RT_ACT_SIGMOID; }

/* The very same bits, or, where an exponential is in it, which the SIMD families fuse, values within a few roundings.
 */
static void check_same(const float *want, const float *got, size_t n, int close)
{
    if (!close) assert_memory_equal(want, got, n * 4);
    else for (size_t i = 0; i < n; i++) check_close("exponential", got[i], want[i], 3e-7, 6e-7);
}

/* The SIMD families fuse the same operations: their exponentials have the same bits among themselves. */
static void fused_bits(void **state)
{
    (void)state;
    enum { N = 37 * 50 };
    const rt_kernels *first = NULL;
    float *a = random_floats(N, 1), *b = random_floats(N, 2), *s = random_floats(50, 3), *t = random_floats(50, 4),
          *want = random_floats(N, 5), *got = random_floats(N, 5);
    EACH_FAMILY(k) {
        if ((*k)->vector == 1) continue;
        if (!first) first = *k;
        for (int act = RT_ACT_NONE; act < RT_ACT_COUNT; act++) {
            first->affine_act(want, a, s, t, 37, 50, act, 0.1f);
            (*k)->affine_act(got, a, s, t, 37, 50, act, 0.1f);
            assert_memory_equal(want, got, N * 4);
            first->add_act(want, a, b, N, act, 0.1f);
            (*k)->add_act(got, a, b, N, act, 0.1f);
            assert_memory_equal(want, got, N * 4);
            first->act_back(want, a, b, N, act, 0.1f, 0);
            (*k)->act_back(got, a, b, N, act, 0.1f, 0);
            assert_memory_equal(want, got, N * 4);
        }
        first->exp_n(want, a, N);
        (*k)->exp_n(got, a, N);
        assert_memory_equal(want, got, N * 4);
        for (int i = 0; i < N; i++) b[i] = fabsf(b[i]) + 1e-3f;
        first->log_n(want, b, N);
        (*k)->log_n(got, b, N);
        assert_memory_equal(want, got, N * 4);
    }
    free(a); free(b); free(s); free(t); free(want); free(got);
}

/* Loops without reordering give the very same bits in every family. */
static void elementwise_bits(void **state)
{
    enum { MOST = 70 };
    (void)state;
    for (int c = 1; c <= MOST; c++) {
        size_t px = c > 8 ? 37 : 137, n = px * (size_t)c;      /* few channels go in blocks of 64 pixels */
        float *a = random_floats(n, 1), *b = random_floats(n, 2), *s = random_floats((size_t)c, 3),
              *t = random_floats((size_t)c, 4), *want = random_floats(n, 5), *got = random_floats(n, 5);
        EACH_FAMILY(k) {
            for (int act = RT_ACT_NONE; act < RT_ACT_COUNT; act++) {
                twin->affine_act(want, a, s, t, px, c, act, 0.1f);
                (*k)->affine_act(got, a, s, t, px, c, act, 0.1f);
                check_same(want, got, n, by_exp(act));
                twin->add_act(want, a, b, n, act, 0.1f);
                (*k)->add_act(got, a, b, n, act, 0.1f);
                check_same(want, got, n, by_exp(act));
                twin->act_back(want, a, b, n, act, 0.1f, 0);
                (*k)->act_back(got, a, b, n, act, 0.1f, 0);
                check_same(want, got, n, by_exp(act));
            }
            float s1[2][MOST], s2[2][MOST];
            twin->channel_moments(s1[0], s2[0], a, s, px, c);
            (*k)->channel_moments(s1[1], s2[1], a, s, px, c);
            assert_memory_equal(s1[0], s1[1], (size_t)c * 4);
            assert_memory_equal(s2[0], s2[1], (size_t)c * 4);
            twin->channel_sum(s1[0], a, px, c);
            (*k)->channel_sum(s1[1], a, px, c);
            assert_memory_equal(s1[0], s1[1], (size_t)c * 4);
            for (rt_act act = RT_ACT_NONE; act <= RT_ACT_RELU6; act++) {
                memcpy(want, b, n * 4);
                memcpy(got, b, n * 4);
                twin->bn_back_sums(s1[0], s2[0], want, a, s, t, s, px, c, act);
                (*k)->bn_back_sums(s1[1], s2[1], got, a, s, t, s, px, c, act);
                assert_memory_equal(want, got, n * 4);
                assert_memory_equal(s1[0], s1[1], (size_t)c * 4);
                assert_memory_equal(s2[0], s2[1], (size_t)c * 4);
                twin->affine2(want, a, b, s, t, s, px, c, act);
                (*k)->affine2(got, a, b, s, t, s, px, c, act);
                assert_memory_equal(want, got, n * 4);
            }
            twin->exp_n(want, a, n);
            (*k)->exp_n(got, a, n);
            check_same(want, got, n, 1);
            rt_update u = {.lr = 0.1f,
                           .momentum = 0.9f,
                           .weight_decay = 0.01f,
                           .beta1 = 0.9f,
                           .beta2 = 0.99f,
                           .eps = 1e-8f,
                           .bias1 = 0.1f,
                           .bias2 = 0.01f,
                           .ema = 0.9f,
                           .grad_scale = 0.5f,
                           .nesterov = 1};
            float *v1 = random_floats(n, 6), *v2 = random_floats(n, 6), *e1 = random_floats(n, 7),
                  *e2 = random_floats(n, 7);
            memcpy(want, b, n * 4);
            memcpy(got, b, n * 4);
            twin->sgd(want, v1, e1, a, n, &u);
            (*k)->sgd(got, v2, e2, a, n, &u);
            assert_memory_equal(want, got, n * 4);
            for (size_t i = 0; i < n; i++) e1[i] = e2[i] = fabsf(e1[i]);
            twin->adamw(want, v1, e1, NULL, a, n, &u);
            (*k)->adamw(got, v2, e2, NULL, a, n, &u);
            assert_memory_equal(want, got, n * 4);
            free(v1); free(v2); free(e1); free(e2);
        }
        free(a); free(b); free(s); free(t); free(want); free(got);
    }
}

/* Channels 1 to 70; windows of 2x2, of 3x3, and what a border leaves of them; a NaN; equal values, of which the first
 * wins. */
static void max_pooling(void **state)
{
    static const rt_pooling runs[] = {{.px = 5, .r1 = 2, .s1 = 2, .kw = 2}, {.px = 4, .r1 = 3, .s1 = 3, .kw = 3},
                                       {.px = 1, .r0 = 1, .r1 = 3, .s0 = 2, .s1 = 3, .kw = 3},
                                       {.px = 3, .r0 = 1, .r1 = 3, .s0 = 1, .s1 = 3, .kw = 3}};
    enum { WIDE = 16, ROWS = 4 };
    (void)state;
    EACH_FAMILY(k)
        for (int i = 0; i < 4; i++)
            for (int c = 1; c <= 70; c++)
                for (int stride = 1; stride <= 2; stride++) {
                    rt_pooling a = runs[i];
                    a.c = c;
                    a.x_px = stride * c;
                    a.x_tap = c;
                    a.x_row = WIDE * c;
                    size_t nx = (size_t)(ROWS * WIDE * c), ny = (size_t)(a.px * c);
                    float *x = random_floats(nx, 1), *dy = random_floats(ny, 2), *want = random_floats(nx, 3),
                          *got = random_floats(nx, 3);
                    uint8_t at[2][512] = {{0}};
                    for (size_t j = 0; j < nx; j++) x[j] = floorf(2 * x[j]);
                    x[nx / 8] = NAN;
                    twin->max_pool(want, at[0], x, &a);
                    (*k)->max_pool(got, at[1], x, &a);
                    assert_memory_equal(want, got, nx * sizeof *x);
                    assert_memory_equal(at[0], at[1], sizeof at[0]);
                    memset(got, 0x55, ny * sizeof *got);
                    (*k)->max_pool(got, NULL, x, &a);                /* inference: the same values, or NaN */
                    for (size_t j = 0; j < ny; j++)
                        if (isnan(want[j]) ? !isnan(got[j]) : memcmp(&want[j], &got[j], sizeof *got) != 0)
                            fail_msg("%s, c %d: without index %g, want %g", (*k)->name, c, got[j], want[j]);
                    memcpy(got, want, ny * sizeof *got);
                    for (int add = 0; add < 2; add++) {
                        twin->max_pool_back(want, dy, at[0], &a, add);
                        (*k)->max_pool_back(got, dy, at[0], &a, add);
                        assert_memory_equal(want, got, nx * sizeof *x);
                    }
                    free(x); free(dy); free(want); free(got);
                }
}

static void exp_log(void **state)
{
    (void)state;
    EACH_FAMILY(k) {
        float x[1000], y[1000];
        double worst = 0;
        for (int block = 0; block < 200; block++) {
            for (int i = 0; i < 1000; i++) x[i] = -87.0f + 175.0f * (float)(block * 1000 + i) / 200000.0f;
            (*k)->exp_n(y, x, 1000);
            for (int i = 0; i < 1000; i++) worst = fmax(worst, fabs(y[i] / exp((double)x[i]) - 1));
        }
        assert_true(worst < 2.62e-7);          /* 2.2 ulp */
        worst = 0;
        for (int block = 0; block < 200; block++) {
            for (int i = 0; i < 1000; i++) x[i] = expf(-80.0f + 160.0f * (float)(block * 1000 + i) / 200000.0f);
            (*k)->log_n(y, x, 1000);
            for (int i = 0; i < 1000; i++)
                worst = fmax(worst, fabs(y[i] - log((double)x[i])) / fmax(1, fabs(log((double)x[i]))));
        }
        assert_true(worst < 3e-7);
        float odd[] = {NAN, INFINITY, -INFINITY, 200, -200, 0, -0.0f};
        (*k)->exp_n(y, odd, 7);
        assert_true(isnan(y[0]) && y[1] == FLT_MAX && y[2] == 0 && y[3] == FLT_MAX && y[4] == 0 && y[5] == 1 &&
                    y[6] == 1);
    }
}

/* KL(softmax(0.5 t) || softmax(0.5 z)) of n rows and its gradient against double; t is near z in its even classes and
 * elsewhere in the odd ones. */
static void check_kl(const rt_kernels *k, const float *z, float *t, int n, int c, int spoilt)
{
    size_t all = (size_t)c * RT_LANES;
    float *zb = random_floats(all, 1), *tb = random_floats(all, 2), *p = random_floats(all, 3),
          *q = random_floats(all, 4), *g = random_floats(all, 5), *before = random_floats(all, 5), kl[RT_LANES];
    for (int i = 0; i < n * c; i++) t[i] = i % 2 ? -20.0f * before[i] : z[i] + before[i];
    k->block_in(zb, z, n, c);
    k->block_in(tb, t, n, c);
    k->block_kl(g, kl, p, q, zb, tb, 0.5f, 3.0f, c);
    for (int r = 0; r < n; r++) {
        double zs = 0, ts = 0, want = 0;
        for (int j = 0; j < c; j++) {
            zs += exp(0.5 * z[r * c + j]);
            ts += exp(0.5 * t[r * c + j]);
        }
        for (int j = 0; j < c; j++) {
            double pj = exp(0.5 * z[r * c + j]) / zs, qj = exp(0.5 * t[r * c + j]) / ts,
                   log_ratio = 0.5 * (t[r * c + j] - z[r * c + j]) + log(zs) - log(ts);
            want += qj * log_ratio;
            if (r == spoilt) assert_true(isnan(g[j * RT_LANES + r]));
            else check_close("kl gradient", g[j * RT_LANES + r], before[j * RT_LANES + r] + 3 * (pj - qj), 1e-6, 1e-5);
        }
        if (r == spoilt) assert_true(isnan(kl[r]));
        else check_close("kl", kl[r], want, 2e-6, 1e-5);
    }
    free(zb); free(tb); free(p); free(q); free(g); free(before);
}

/* Blocks of rows against softmax in double; a NaN spoils its own row alone; lanes without a row hold zeros. */
static void blocks(void **state)
{
    (void)state;
    static const int classes[] = {1, 2, 5, 10, 33, 1000};
    EACH_FAMILY(k)
        for (size_t at = 0; at < sizeof classes / sizeof classes[0]; at++)
            for (int n = 1; n <= RT_LANES; n += 5) {
                int c = classes[at];
                size_t all = (size_t)c * RT_LANES;
                float *z = random_floats(all, 8), *block = random_floats(all, 9), *p = random_floats(all, 10),
                      *out = random_floats(all + 1, 11), log_sum[RT_LANES], after = out[n * c];
                for (size_t i = 0; i < all; i++) z[i] *= 30;
                int spoilt = n > 1 ? n / 2 : -1;
                if (spoilt > 0) z[spoilt * c + c - 1] = NAN;
                (*k)->block_in(block, z, n, c);
                for (int r = 0; r < RT_LANES; r++)
                    for (int j = 0; j < c; j++) {
                        float want = r < n ? z[r * c + j] : 0.0f;
                        assert_memory_equal(&block[j * RT_LANES + r], &want, 4);
                    }
                (*k)->block_softmax(p, log_sum, block, 0.5f, c);
                (*k)->block_softmax(block, NULL, block, 0.5f, c);
                assert_memory_equal(p, block, all * 4);
                (*k)->block_out(out, p, n, c);
                assert_memory_equal(&out[n * c], &after, 4);
                for (int r = 0; r < n; r++) {
                    double sum = 0;
                    for (int j = 0; j < c; j++) sum += exp(0.5 * z[r * c + j]);
                    if (r == spoilt) assert_true(isnan(log_sum[r]));
                    else check_close("log sum", log_sum[r], log(sum), 1e-6, 1e-6);
                    for (int j = 0; j < c; j++)
                        if (r == spoilt) assert_true(isnan(out[r * c + j]));
                        else check_close("softmax", out[r * c + j], exp(0.5 * z[r * c + j]) / sum, 1e-7, 5e-6);
                }
                check_kl(*k, z, out, n, c, spoilt);
                free(z); free(block); free(p); free(out);
            }
}

/* All 65,536 halves, there and back, against the compiler's own arithmetic on the value. */
static void half(void **state)
{
    (void)state;
    EACH_FAMILY(k) {
        for (uint32_t h = 0; h < 65536; h++) {
            uint16_t in = (uint16_t)h, back;
            float f;
            uint16_t many[11];                        /* as one, in a vector and behind it */
            float all[11];
            for (int i = 0; i < 11; i++) many[i] = in;
            (*k)->from_f16(&f, &in, 1);
            (*k)->from_f16(all, many, 11);
            for (int i = 0; i < 11; i++) assert_memory_equal(&all[i], &f, sizeof f);
            int e = (int)(h >> 10 & 31), m = (int)(h & 1023);
            if (e == 31 && m) {
                assert_true(isnan(f));
                continue;
            }
            double want = e == 31 ? INFINITY : e ? ldexp(1024 + m, e - 25) : ldexp(m, -24);
            assert_true(f == (float)(h >> 15 ? -want : want));
            (*k)->to_f16(&back, &f, 1);
            assert_int_equal(back, h);
        }
        float x[] = {1.0f + 0x1p-11f, 1.0f + 3 * 0x1p-11f, 65519.0f, 65520.0f, 0x1p-25f, 0x1.8p-25f, -1e10f};
        uint16_t y[7], want[] = {0x3c00, 0x3c02, 0x7bff, 0x7c00, 0, 1, 0xfc00};
        (*k)->to_f16(y, x, 7);
        assert_memory_equal(y, want, sizeof want);
    }
}

/* The pairwise tree is exact where sums are exact, and the same for every count of slots. */
static void slots(void **state)
{
    (void)state;
    for (int count = 1; count <= 33; count++) {
        float *s = malloc((size_t)count * 300 * 4), got[300];
        for (int i = 0; i < count * 300; i++) s[i] = (float)(i % 1000);
        EACH_FAMILY(k) {
            (*k)->reduce_slots(got, s, 300, count, 300);
            for (int i = 0; i < 300; i++) {
                float want = 0;
                for (int q = 0; q < count; q++) want += s[q * 300 + i];
                assert_true(got[i] == want);
            }
        }
        free(s);
    }
}

static void layer_norm(void **state)
{
    (void)state;
    for (int d = 1; d < 40; d += 6) {
        size_t n = (size_t)d * 5;
        float *x = random_floats(n, 1), *g = random_floats((size_t)d, 2), *b = random_floats((size_t)d, 3),
              *y = random_floats(n, 4), mean[5], rstd[5];
        EACH_FAMILY(k) {
            (*k)->layer_norm(y, mean, rstd, x, g, b, 5, d, 1e-5f);
            for (int r = 0; r < 5; r++) {
                double m = 0, v = 0;
                for (int i = 0; i < d; i++) m += x[r * d + i] / (double)d;
                for (int i = 0; i < d; i++) v += (x[r * d + i] - m) * (x[r * d + i] - m) / d;
                for (int i = 0; i < d; i++)
                    check_close("layer_norm", y[r * d + i], (x[r * d + i] - m) / sqrt(v + 1e-5) * g[i] + b[i], 1e-5,
                                1e-5);
            }
        }
        free(x); free(g); free(b); free(y);
    }
}

/* A NaN that ReLU turned into 0 would hide a run that has diverged. */
static void nan_passes_relu(void **state)
{
    (void)state;
    enum { C = 16, PX = 7 };
    float *x = random_floats(C * PX * 4, 1), *w = random_floats(C * C * 9, 2), *ones = random_floats(C, 3),
          *y = random_floats(C * PX * 4, 4);
    EACH_FAMILY(k)
        for (rt_act act = RT_ACT_RELU; act <= RT_ACT_RELU6; act++) {
            for (int c = 5; c <= C; c += C - 5) {
                x[0] = NAN;
                (*k)->affine_act(y, x, ones, ones, PX, c, act, 0);
                assert_true(isnan(y[0]));
                assert_false(isnan(y[1]));
                (*k)->add_act(y, x, x, (size_t)c, act, 0);
                assert_true(isnan(y[0]));
                for (int kh = 1; kh <= 3; kh += 2) {
                    rt_conv_line a = {.y = y,
                                      .y_px = c,
                                      .x = x,
                                      .x_px = c,
                                      .x_row = c * PX,
                                      .w = w,
                                      .w_ld = c,
                                      .px = PX,
                                      .kh = kh,
                                      .klen = c,
                                      .n = c,
                                      .act = act};
                    (*k)->conv_line(&a);
                    assert_true(isnan(y[0]) && isnan(y[c - 1]));
                    assert_false(isnan(y[c]));
                }
            }
            float planes[36 * C] = {0};
            planes[0] = NAN;
            rt_wino_line a = {.image = y, .h = 4, .w = 4, .c = C, .planes = planes, .plane = C, .tiles = 1, .act = act};
            (*k)->wino_out(&a);
            assert_true(isnan(y[0]));
            assert_false(isnan(y[1]));
        }
    free(x); free(w); free(ones); free(y);
}

/* Quantizers: all families give the bits of plain C, which are those of the definition in double. */
static void quantizers(void **state)
{
    static const struct { float scale; int zero; } of[] = {{0.01f, 0}, {0.02f, 128}, {0.0037f, 255}, {1.0f, 7}};
    (void)state;
    for (size_t n = 1; n < 140; n += n < 40 ? 1 : 17)
        for (size_t q = 0; q < sizeof of / sizeof of[0]; q++) {
            float *x = random_floats(n, (uint32_t)n), *y = random_floats(n, 5), *g = random_floats(n, 6),
                  *want = malloc(n * sizeof *want), *by_want = malloc(n * sizeof *want);
            uint8_t *bytes = malloc(n);
            double low = 0, high = 0;
            float s = of[q].scale, by = 1 / s, first = s * (float)-of[q].zero, last = s * (float)(255 - of[q].zero);
            for (size_t i = 0; i < n; i++) {
                double v = rint((double)(x[i] / s));
                want[i] = (float)fmin(fmax(v, -of[q].zero), 255 - of[q].zero) * s + 0.0f;        /* no -0 */
                v = rint((double)(x[i] * by));
                by_want[i] = (float)fmin(fmax(v, -of[q].zero), 255 - of[q].zero) * s + 0.0f;
                bytes[i] = (uint8_t)(i * 37);
                low = fmin(low, x[i]);
                high = fmax(high, x[i]);
            }
            EACH_FAMILY(k) {
                float seen[2] = {0, 0};
                for (int times = 0; times < 2; times++) {
                    memset(seen, 0, sizeof seen);
                    (*k)->fake_quant(y, x, n, s, times ? by : 0, of[q].zero, seen);
                    assert_memory_equal(y, times ? by_want : want, n * sizeof *y);
                    assert_true(seen[0] == (float)low && seen[1] == (float)high);
                    memcpy(y, x, n * sizeof *y);
                    (*k)->fake_quant(y, y, n, s, times ? by : 0, of[q].zero, NULL);
                    assert_memory_equal(y, times ? by_want : want, n * sizeof *y);
                }
                float *d = malloc(n * sizeof *d);
                memcpy(d, g, n * sizeof *d);
                (*k)->clip_back(d, want, n, first, last);
                for (size_t i = 0; i < n; i++)
                    assert_true(d[i] == (want[i] > first && want[i] < last ? g[i] : 0));
                (*k)->from_bytes(y, bytes, n, s, of[q].zero);
                for (size_t i = 0; i < n; i++) assert_true(y[i] == s * (float)(bytes[i] - of[q].zero));
                for (int times = 0; times < 2; times++) {
                    d[n / 2] = NAN;
                    (*k)->fake_quant(d, d, n, s, times ? by : 0, of[q].zero, seen);
                    assert_true(isnan(d[n / 2]) && isfinite(seen[0]) && isfinite(seen[1]));
                }
                free(d);
            }
            free(x);
            free(y);
            free(g);
            free(want);
            free(by_want);
            free(bytes);
        }
}

/* Weights that are ties, or a bit of a float away from one, of steps of all kinds: as if divided. */
static void weights_near_ties(void **state)
{
    enum { N = 64, ROWS = 254 * 3 };
    float *step = random_floats(N, 3), *w = malloc(ROWS * N * sizeof *w), *y = malloc(ROWS * N * sizeof *y);
    (void)state;
    for (int c = 0; c < N; c++) {
        step[c] = ldexpf(fabsf(step[c]) + 0.01f, c - 40);
        if (c % 4 == 0) step[c] = ldexpf((float)(c + 1), -20);           /* few bits: ties are floats */
        for (int r = 0; r < ROWS; r++) {
            float tie = (float)(((double)(r / 3 - 127) + 0.5) * (double)step[c]);
            w[r * N + c] = r % 3 == 0 ? tie : nextafterf(tie, r % 3 == 1 ? INFINITY : -INFINITY);
        }
    }
    EACH_FAMILY(k) {
        (*k)->quant_rows(y, w, step, ROWS, N, 127);
        for (int i = 0; i < ROWS * N; i++) {
            double s = (double)step[i % N], v = rint((double)w[i] / s);
            assert_true(y[i] == (float)(fmin(fmax(v, -127), 127) * s));
        }
    }
    free(step);
    free(w);
    free(y);
}

static void steps_that_just_fit(void **state)
{
    (void)state;
    for (int n = 1; n < 71; n += 3) {
        enum { ROWS = 5 };
        float *w = random_floats(ROWS * (size_t)n, 1), step[71];
        for (int r = 0; r < ROWS; r++) w[r * n + n / 2] = 0;
        w[ROWS * n - n] = -3;
        EACH_FAMILY(k) {
            (*k)->quant_follow(step, w, ROWS, n, 7);
            for (int c = 0; c < n; c++) {
                float top = 0;
                for (int r = 0; r < ROWS; r++) top = fmaxf(top, fabsf(w[r * n + c]));
                assert_true(step[c] == (top > 0 ? top : 1) / 7.0f);
            }
        }
        free(w);
    }
}

static void quantized_weights(void **state)
{
    (void)state;
    for (int n = 1; n < 71; n += 3)
        for (int most = 7; most <= 127; most += 120) {
            size_t rows = 5;
            float *w = random_floats(rows * (size_t)n, 1), *y = random_floats(rows * (size_t)n, 2), step[71];
            for (int c = 0; c < n; c++) step[c] = 0.5f / (float)most * (1 + 0.1f * (float)c);
            w[0] = 2.5f * step[0];                       /* halves to even */
            EACH_FAMILY(k) {
                (*k)->quant_rows(y, w, step, rows, n, most);
                for (size_t i = 0; i < rows * (size_t)n; i++) {
                    double s = step[i % (size_t)n], v = rint((double)w[i] / s);
                    assert_true(y[i] == (float)(fmin(fmax(v, -most), most) * s));
                }
            }
            free(w);
            free(y);
        }
}

int main(void)
{
    const rt_kernels *const *k = rt_kernels_all();
    while (k[1]) k++;
    twin = *k;
    const struct CMUnitTest tests[] = {cmocka_unit_test(quantizers), cmocka_unit_test(quantized_weights),
                                       cmocka_unit_test(weights_near_ties), cmocka_unit_test(steps_that_just_fit),
                                       
        cmocka_unit_test(conv_line),  cmocka_unit_test(nan_passes_relu), cmocka_unit_test(conv_overlap),
        cmocka_unit_test(conv_dw),    cmocka_unit_test(elementwise_bits), cmocka_unit_test(fused_bits),
        cmocka_unit_test(exp_log),    cmocka_unit_test(blocks),          cmocka_unit_test(half),
        cmocka_unit_test(slots),      cmocka_unit_test(layer_norm),      cmocka_unit_test(max_pooling)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
