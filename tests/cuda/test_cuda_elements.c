/* Kernels of elements, pairs and folds: functions of one and of two numbers against the plain-C family (infinities,
 * NaN, zeros, ties), activations and folds against double, masks of dropout to the bit, in three orders of threads. */
#include <float.h>

#include "engine/cuda/cuda_elements.h"
#include "engine/cuda/cuda_reduce.h"
#include "engine/rng.h"
#include "tests/cuda/emulator.h"
#include "tests/support.h"

static void cuda_ok(cudaError_t e) { if (e) fail_msg("%s", cudaGetErrorName(e)); }
static void *upload(const void *v, size_t bytes)
{
    void *p = NULL;
    cuda_ok(cudaMalloc(&p, bytes));
    if (v) cuda_ok(cudaMemcpy(p, v, bytes, cudaMemcpyHostToDevice));
    return p;
}
static void download(void *v, const void *p, size_t bytes)
{
    cuda_ok(cudaPeekAtLastError());
    cuda_ok(cudaMemcpy(v, p, bytes, cudaMemcpyDeviceToHost));
}

static const rt_kernels *plain(void)
{
    for (const rt_kernels *const *k = rt_kernels_all(); *k; k++) if (!strcmp((*k)->name, "scalar")) return *k;
    fail_msg("no plain-C family");
    return NULL;
}

static void check_like(const char *what, float at, float other, double got, double want, double absolute)
{
    int same = isnan(want) ? isnan(got) : isinf(want) ? got == want : fabs(got - want) <= 2e-5 * fabs(want) + absolute;
    if (!same) fail_msg("%s of %.9g (%.9g): %.9g, and it is %.9g", what, (double)at, (double)other, got, want);
}

static const float special[] = {0, -0.0f, 1, -1, 0.5f, -0.5f, 1e-40f, -1e-40f, 1e-6f, -1e-6f, 2.5f, 3.5f, -2.5f, -3, 3,
                                88, -88, 100, -100, 1e6f, -1e6f, 0.999999f, -0.999999f, 1.000001f, 7.25f, -0.3f,
                                FLT_MAX, -FLT_MAX, INFINITY, -INFINITY, NAN};
enum { SPECIAL = sizeof special / sizeof *special, SAMPLES = 1001, ALL = SPECIAL + SAMPLES };

static void samples(float *x)
{
    memcpy(x, special, sizeof special);
    for (int i = 0; i < SAMPLES; i++) {
        uint32_t w[4];
        rt_random4(w, 5, RT_RNG_TEST, 0, 0, 0, (uint32_t)i);
        x[SPECIAL + i] = (rt_unit(w[0]) - 0.5f) * (i % 3 ? 6 : 60);
    }
}

/* What the CPU takes a float below 2^-126 for. */
static void flush(float *to, const float *x, size_t n)
{ for (size_t i = 0; i < n; i++) to[i] = fabsf(x[i]) < FLT_MIN ? copysignf(0, x[i]) : x[i]; }

/* ---- functions of one number ---- */

static const struct { rt_unary f; float a, b;
} with[] = {{RT_UNARY_ELU, 0.7f, 0},
            {RT_UNARY_SELU, 1.7f, 1.1f},
            {RT_UNARY_CELU, 1.3f, 0},
            {RT_UNARY_HARD_SIGMOID, 0.2f, 0.5f},
            {RT_UNARY_THRESHOLDED_RELU, 0.5f, 0},
            {RT_UNARY_SHRINK, 0.5f, 0.25f},
            {RT_UNARY_CLIP, -1.25f, 2},
            {RT_UNARY_POW, 2, 0},
            {RT_UNARY_POW, 3, 0},
            {RT_UNARY_POW, -1, 0},
            {RT_UNARY_POW, 0.5f, 0},
            {RT_UNARY_POW, -2.7f, 0}};

static void one_number(rt_unary f, float a, float b, const rt_kernels *k)
{
    static float x[ALL + 1], flushed[ALL + 1], y[ALL], dx[ALL], want[ALL], dy[ALL + 1];
    char text[40];
    samples(x + 1);
    flush(flushed, x, ALL + 1);
    for (int i = 0; i < ALL; i++) dy[1 + i] = 0.5f + (float)(i % 7);
    float *px = upload(x, sizeof x), *pd = upload(dy, sizeof dy), *py = upload(NULL, sizeof y);
    snprintf(text, sizeof text, "function %d, %g", (int)f, (double)a);
    for (int from = 0; from < 2; from++) {                    /* addresses that go in packs, and others */
        const float *in = flushed + from;
        size_t n = ALL - 1;
        rt_k_unary(NULL, py, px + from, n, f, a, b);
        download(y, py, sizeof y);
        k->unary(want, in, n, f, a, b);
        for (size_t i = 0; i < n; i++) check_like(text, in[i], 0, y[i], want[i], 1e-35);
        for (int add = 0; add < 2; add++) {
            rt_k_unary_grad(NULL, py, pd + from, px + from, n, f, a, b, add);
            k->unary_back(dx, dy + from, in, n, f, a, b, add);
            download(y, py, sizeof y);
            for (size_t i = 0; i < n; i++)
                if (f != RT_UNARY_MISH || in[i] < 1e5f) check_like(text, in[i], -1, y[i], dx[i], 1e-6);
        }
    }
    cudaFree(px);
    cudaFree(pd);
    cudaFree(py);
}

static void functions_of_one_number(void **state)
{
    (void)state;
    const rt_kernels *k = plain();
    for (int f = RT_UNARY_NONE + 1; f < RT_UNARY_COUNT; f++) {
        int given = 0;
        for (size_t i = 0; i < sizeof with / sizeof *with; i++)
            if ((int)with[i].f == f) {
                one_number((rt_unary)f, with[i].a, with[i].b, k);
                given = 1;
            }
        if (!given) one_number((rt_unary)f, 0, 0, k);
    }
}

/* ---- activations ---- */

static double act_d(rt_act a, double x, double slope)
{
    switch (a) {
    case RT_ACT_RELU: return x > 0 ? x : 0;
    case RT_ACT_RELU6: return x < 0 ? 0 : x > 6 ? 6 : x;
    case RT_ACT_LEAKY: return x < 0 ? slope * x : x;
    case RT_ACT_GELU: return x / (1 + exp(-2 * sqrt(2 / 3.14159265358979323846) * (x + 0.044715 * x * x * x)));
    case RT_ACT_SILU: return x / (1 + exp(-x));
    case RT_ACT_HARDSWISH: return x * fmin(fmax(x + 3, 0), 6) / 6;
    case RT_ACT_SIGMOID: return 1 / (1 + exp(-x));
    case RT_ACT_TANH: return tanh(x);
    case RT_ACT_GELU_ERF: return x * 0.5 * erfc(-x / sqrt(2));
    default: return x;
    }
}

static void activations(void **state)
{
    (void)state;
    enum { N = 643 };
    static float x[N], y[N], other[N], dx[N], both[N];
    for (int i = 0; i < N; i++) x[i] = (float)(i - N / 2) * 0.031f + 0.0007f;
    x[N - 1] = NAN;
    float *px = upload(x, sizeof x), *py = upload(NULL, sizeof y), *pd = upload(NULL, sizeof dx);
    for (int a = RT_ACT_NONE; a < RT_ACT_COUNT; a++) {
        rt_k_act(NULL, py, px, N, (rt_act)a, 0.2f);
        download(y, py, sizeof y);
        rt_k_act_grad(NULL, pd, px, px, N, (rt_act)a, 0.2f, 0);       /* x act'(x) */
        download(dx, pd, sizeof dx);
        rt_k_add(NULL, py, px, px, N, (rt_act)a, 0.2f);
        download(other, py, sizeof y);
        rt_k_act_grad(NULL, pd, px, px, N, (rt_act)a, 0.2f, 1);
        download(both, pd, sizeof both);
        for (int i = 0; i < N - 1; i++) {
            double v = (double)x[i], h = 1e-6, want = act_d((rt_act)a, v, 0.2f),
                   slope = (act_d((rt_act)a, v + h, 0.2f) - act_d((rt_act)a, v - h, 0.2f)) / (2 * h);
            check_close("activation", y[i], want, 1e-12, 2e-5);
            check_close("its sum", other[i], act_d((rt_act)a, v + v, 0.2f), 1e-12, 2e-5);
            check_close("its derivative", dx[i], v * slope, 2e-8, 2e-5);
            check_close("twice", both[i], 2 * (double)dx[i], 1e-12, 1e-6);
        }
        assert_true(isnan(y[N - 1]));
    }
    cudaFree(px);
    cudaFree(py);
    cudaFree(pd);
}

/* ---- functions of two numbers ---- */

static void functions_of_two_numbers(void **state)
{
    (void)state;
    enum { N = SPECIAL * SPECIAL };
    static float a[N], b[N], flushed_a[N], flushed_b[N], y[N], want[N], dy[N];
    const rt_kernels *k = plain();
    for (int i = 0; i < N; i++) {
        a[i] = special[i / SPECIAL];
        b[i] = special[i % SPECIAL];
        dy[i] = 1 + (float)(i % 3);
    }
    float *pa = upload(a, sizeof a), *pb = upload(b, sizeof b), *pd = upload(dy, sizeof dy), *py = upload(a, sizeof y);
    rt_space s = {0};
    rt_space_add(&s, N, 1, 1, 0);
    flush(flushed_a, a, N);
    flush(flushed_b, b, N);
    rt_lines l = {.a = flushed_a, .b = flushed_b, .a_step = 1, .b_step = 1, .lines = 1, .n = N};
    for (int f = 0; f < RT_BINARY_COUNT; f++) {
        char text[40];
        snprintf(text, sizeof text, "function %d of two", f);
        rt_k_pair(NULL, py, pa, pb, &s, (rt_binary)f);
        download(y, py, sizeof y);
        k->binary(want, &l, (rt_binary)f);
        for (int i = 0; i < N; i++) check_like(text, a[i], b[i], y[i], want[i], 1e-35);
        for (int side = 0; side < 2 && f < RT_BINARY_LESS; side++) {
            rt_k_pair_grad(NULL, py, pd, pa, pb, &s, (rt_binary)f, side, 0);
            download(y, py, sizeof y);
            k->binary_back(want, dy, &l, (rt_binary)f, side);
            for (int i = 0; i < N; i++) check_like(text, a[i], b[i], y[i], want[i], 1e-35);
        }
    }
    cudaFree(pa);
    cudaFree(pb);
    cudaFree(pd);
    cudaFree(py);
}

/* ---- gradients that go to one place or two ---- */

static void plain_gradients(void **state)
{
    (void)state;
    enum { N = 515 };
    static float a[N], b[N], y[N], dy[N], da[N], db[N], first[N];
    for (int i = 0; i < N; i++) {
        a[i] = (float)(i % 11) - 5;
        b[i] = (float)(i % 7) - 3;
        dy[i] = (float)(i % 5) + 0.5f;
        y[i] = (float)(i % 9) - 1;
        first[i] = (float)i;
    }
    float *pa = upload(a, sizeof a), *pb = upload(b, sizeof b), *pd = upload(dy, sizeof dy), *py = upload(y, sizeof y),
          *ga = upload(first, sizeof first), *gb = upload(NULL, sizeof db);
    rt_k_multiply_grad(NULL, ga, 1, gb, 0, pd, pa, pb, N);
    download(da, ga, sizeof da);
    download(db, gb, sizeof db);
    for (int i = 0; i < N; i++) {
        assert_true(da[i] == first[i] + dy[i] * b[i]);
        assert_true(db[i] == dy[i] * a[i]);
    }
    rt_k_multiply_grad(NULL, ga, 0, ga, 1, pd, pa, pb, N);
    download(da, ga, sizeof da);
    for (int i = 0; i < N; i++) assert_true(da[i] == dy[i] * (a[i] + b[i]));
    rt_k_add_grad(NULL, ga, 0, gb, 1, pd, py, N, RT_ACT_RELU6);
    rt_k_add_grad(NULL, ga, 1, ga, 1, pd, py, N, RT_ACT_NONE);
    download(da, ga, sizeof da);
    for (int i = 0; i < N; i++) {
        float through = y[i] > 0 && y[i] < 6 ? dy[i] : 0;
        assert_true(da[i] == through + 2 * dy[i]);
        db[i] += through;
    }
    download(first, gb, sizeof first);
    assert_memory_equal(first, db, sizeof db);
    cudaFree(pa), cudaFree(pb), cudaFree(pd), cudaFree(py), cudaFree(ga), cudaFree(gb);
}

/* ---- dropout ---- */

static void dropout_masks(void **state)
{
    (void)state;
    enum { ROWS = 5, MOST = 30 };
    rt_cuda_now now = {.seed = 0x123456789abcdefull, .epoch = 3, .step = 4000000000u, .row_base = 4294967290u};
    rt_cuda_now *pn = upload(&now, sizeof now);
    static const size_t widths[] = {1, 4, 5, 8, 13, 30};
    for (size_t w = 0; w < sizeof widths / sizeof *widths; w++) {
        size_t n = widths[w], all = n * ROWS, kept = 0;
        float x[ROWS * MOST], y[ROWS * MOST], more[ROWS * MOST], rate = 0.3f, keep = 1.0f / (1.0f - rate);
        for (size_t i = 0; i < all; i++) x[i] = 0.1f + (float)i;
        float *px = upload(x, sizeof x), *py = upload(NULL, sizeof y);
        rt_k_dropout(NULL, py, px, ROWS, n, pn, 77, rate, 0);
        download(y, py, sizeof y);
        rt_k_dropout(NULL, py, px, ROWS, n, pn, 77, rate, 1);
        download(more, py, sizeof more);
        for (size_t i = 0; i < all; i++) {
            uint32_t word[4], limit = (uint32_t)(rate * 4294967296.0);
            rt_random4(word, now.seed + ((uint64_t)77 << 40), RT_RNG_DROPOUT, now.epoch, now.step,
                       now.row_base + (uint32_t)(i / n), (uint32_t)(i % n & ~(size_t)3));
            float want = word[i % n & 3] < limit ? 0.0f : x[i] * keep;
            assert_memory_equal(&y[i], &want, sizeof want);
            assert_true(more[i] == want + want);
            kept += want > 0;
        }
        if (n == MOST) assert_in_range(kept, all / 2, all - 10);
        cudaFree(px);
        cudaFree(py);
    }
    cudaFree(pn);
}

/* ---- spaces ---- */

/* Copies over spaces of 1 to 7 dimensions, with operands that stay along some: place by place, counted here. */
static void spaces(void **state)
{
    (void)state;
    static const size_t all[][RT_SPACE_DIMS] = {{1}, {5}, {8}, {4, 3}, {3, 5}, {12, 1, 7}, {2, 3, 2, 3, 2, 3, 2},
                                                {3, 64, 5}, {16, 33}, {1000, 3}, {65, 67}, {4, 2, 2, 2, 2, 2, 3}};
    for (size_t c = 0; c < sizeof all / sizeof *all; c++)
        for (int stays = 0; stays < 16; stays++)
            for (int wide = 0; wide < 2; wide++) {
                rt_space s = {0};
                size_t places = 1, from = 1;
                int64_t step[RT_SPACE_DIMS] = {0};
                for (int d = 0; d < RT_SPACE_DIMS; d++) {
                    size_t n = all[c][d] ? all[c][d] : 1;
                    step[d] = stays >> d & 1 ? 0 : (int64_t)from;
                    rt_space_add(&s, n, step[d], 0, wide ? (int64_t)1 << 40 : 0);   /* one that is not read */
                    places *= n;
                    if (step[d]) from *= n;
                }
                float *x = malloc(from * sizeof *x), *y = malloc(places * sizeof *y);
                for (size_t i = 0; i < from; i++) x[i] = (float)(i * 7 % 1009);
                float *px = upload(x, from * sizeof *x), *py = upload(NULL, places * sizeof *y);
                rt_k_spread(NULL, py, px, &s, 0);
                rt_k_spread(NULL, py, px, &s, 1);
                download(y, py, places * sizeof *y);
                for (size_t i = 0; i < places; i++) {
                    size_t rest = i, at = 0;
                    for (int d = 0; d < RT_SPACE_DIMS; d++) {
                        size_t n = all[c][d] ? all[c][d] : 1;
                        at += rest % n * (size_t)step[d];
                        rest /= n;
                    }
                    assert_true(y[i] == 2 * x[at]);
                }
                cudaFree(px);
                cudaFree(py);
                free(x);
                free(y);
            }
}

/* The numbers by which kernels divide, at the ends of what they are for. */
static void division(void **state)
{
    (void)state;
    static const uint32_t by[] = {2, 3, 5, 7, 10, 31, 64, 1000, 65535, 65537, 1 << 20, 16777213, 1 << 24};
    for (size_t i = 0; i < sizeof by / sizeof *by; i++) {
        rt_space s = {0};
        rt_space_add(&s, by[i], 1, 0, 0);
        rt_space_seal(&s);
        assert_true(s.narrow);
        for (uint32_t k = 0; k < 64; k++) {
            uint32_t at[] = {k, by[i] * k, by[i] * k - 1, 0x7fffffff - k, 0x7fffffff / by[i] * by[i] - k};
            for (int j = 0; j < 5; j++) {
                uint32_t n = at[j] & 0x7fffffff;
                assert_int_equal(((uint32_t)((uint64_t)n * s.mul[0] >> 32) + n) >> s.shift[0], n / by[i]);
            }
        }
    }
}

/* ---- folds ---- */

static double fold_d(rt_reduce f, const float *x, size_t n, size_t step)
{
    double sum = 0, size = 0, squares = 0, product = 1, high = -INFINITY, low = INFINITY, exponents = 0;
    int nan = 0;
    for (size_t i = 0; i < n; i++) {
        double v = (double)x[i * step];
        sum += v;
        size += fabs(v);
        squares += v * v;
        product *= v;
        high = fmax(high, v);
        low = fmin(low, v);
        nan |= isnan(v);
    }
    for (size_t i = 0; i < n; i++) exponents += isinf(high) ? 1 : exp((double)x[i * step] - high);
    switch (f) {
    case RT_REDUCE_SUM: return sum;
    case RT_REDUCE_MEAN: return sum / (double)n;
    case RT_REDUCE_MAX: return nan ? NAN : high;
    case RT_REDUCE_MIN: return nan ? NAN : low;
    case RT_REDUCE_PROD: return product;
    case RT_REDUCE_L1: return size;
    case RT_REDUCE_L2: return sqrt(squares);
    case RT_REDUCE_SUM_SQUARE: return squares;
    case RT_REDUCE_LOG_SUM: return log(sum);
    default: return nan ? NAN : isinf(high) ? high : high + log(exponents);
    }
}

/* (outer, n, inner) over its middle: across where inner is not 1, along where it is; short, long and in parts. */
static void one_fold(rt_reduce reduce, size_t outer, size_t n, size_t inner, int blocks, int wide, int strange)
{
    size_t all = outer * n * inner, outputs = outer * inner;
    float *x = malloc(all * sizeof *x), *y = malloc(outputs * sizeof *y), *again = malloc(outputs * sizeof *y);
    for (size_t i = 0; i < all; i++) {
        uint32_t w[4];
        rt_random4(w, 9, RT_RNG_TEST, (uint32_t)reduce, (uint32_t)n, 0, (uint32_t)i);
        float u = rt_unit(w[0]);
        x[i] = reduce == RT_REDUCE_PROD ? 0.9f + 0.2f * u : reduce == RT_REDUCE_LOG_SUM ? u : 4 * u - 2;
        if (reduce == RT_REDUCE_LOG_SUM_EXP) x[i] *= 20;
    }
    if (strange == 1) x[all / 2] = NAN;
    if (strange == 2) x[all / 2] = INFINITY;
    if (strange == 3) for (size_t i = 0; i < all; i++) x[i] = -INFINITY;
    float *px = upload(x, all * sizeof *x), *py = upload(NULL, outputs * sizeof *y);
    rt_folding f = {.what = RT_FOLDS_REDUCE, .reduce = reduce, .x = px, .out = py};
    rt_space_add(&f.kept, inner, 1, 0, 0);
    rt_space_add(&f.kept, outer, (int64_t)(n * inner), 0, 0);
    rt_space_add(&f.gone, n, (int64_t)inner, 0, 0);
    size_t bytes = rt_folding_plan(&f, blocks);
    if (wide) f.kept.narrow = 0;
    if (reduce != RT_REDUCE_LOG_SUM_EXP) assert_true(bytes <= rt_folding_room(outputs, n, blocks));
    assert_int_equal(bytes > 0, f.splits > 1);
    f.parts = bytes ? upload(NULL, bytes) : NULL;
    for (int order = 0; order < 3; order++) {
        rt_emulated_order(order, 3);
        rt_k_fold(NULL, &f);
        download(order ? again : y, py, outputs * sizeof *y);
        if (order) assert_memory_equal(again, y, outputs * sizeof *y);
    }
    rt_emulated_order(RT_EMULATED_FORWARD, 0);
    for (size_t o = 0; o < outputs; o++) {
        double want = fold_d(reduce, x + o / inner * n * inner + o % inner, n, inner);
        int same = isnan(want) ? isnan(y[o]) : isinf(want) ? y[o] == want
                   : fabs((double)y[o] - want) <= 1e-6 * fabs(want) + 1e-6;
        if (!same) fail_msg("reduction %d of (%zu, %zu, %zu): %g, and it is %g", (int)reduce, outer, n, inner,
                            (double)y[o], want);
    }
    cudaFree(px);
    cudaFree(py);
    cudaFree(f.parts);
    free(x);
    free(y);
    free(again);
}

static void folds(void **state)
{
    (void)state;
    static const size_t shapes[][3] = {{1, 1, 1}, {3, 1, 5}, {2, 3, 1}, {5, 7, 3}, {2, 49, 33}, {3, 300, 1},
                                       {1, 5000, 2}, {2, 2500, 1}, {1, 9000, 1}, {65, 2, 1}, {1, 140, 66}};
    for (int r = 0; r < RT_REDUCE_COUNT; r++)
        for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
            const size_t *s = shapes[i];
            one_fold((rt_reduce)r, s[0], s[1], s[2], i % 2 ? 16 : 0, i % 3 == 1, 0);
        }
    for (int strange = 1; strange < 4; strange++) {
        static const rt_reduce those[] = {RT_REDUCE_MAX, RT_REDUCE_MIN, RT_REDUCE_LOG_SUM_EXP, RT_REDUCE_SUM};
        for (int i = 0; i < 4; i++) {
            one_fold(those[i], 2, 37, 5, 0, 0, strange);
            one_fold(those[i], 1, 4100, 1, 8, 0, strange);
        }
    }
}

/* A row's bits are those it has alone, whatever it is folded with; and so is the way of its folds, which doubles may
 * hide. */
static void rows_alone(void **state)
{
    (void)state;
    static const size_t shapes[][2] = {{7, 3}, {49, 33}, {300, 1}, {5000, 2}, {9000, 1}, {4500, 33}};
    enum { ROWS = 5 };
    for (size_t c = 0; c < sizeof shapes / sizeof *shapes; c++) {
        size_t n = shapes[c][0], inner = shapes[c][1], row = n * inner;
        float *x = malloc(ROWS * row * sizeof *x), together[ROWS * 33], alone[33];
        for (size_t i = 0; i < ROWS * row; i++) {
            uint32_t w[4];
            rt_random4(w, 3, RT_RNG_TEST, (uint32_t)c, 0, 0, (uint32_t)i);
            x[i] = rt_unit(w[0]) - 0.3f;
        }
        float *px = upload(x, ROWS * row * sizeof *x), *py = upload(NULL, sizeof together);
        rt_folding first = {0};
        for (size_t r = 0; r <= ROWS; r++) {                             /* all, then one by one */
            rt_folding f = {.what = RT_FOLDS_REDUCE, .reduce = RT_REDUCE_LOG_SUM_EXP, .out = py};
            f.x = r ? px + (r - 1) * row : px;
            rt_space_add(&f.kept, inner, 1, 0, 0);
            rt_space_add(&f.kept, r ? 1 : ROWS, (int64_t)row, 0, 0);
            rt_space_add(&f.gone, n, (int64_t)inner, 0, 0);
            size_t bytes = rt_folding_plan(&f, 0);
            if (!r) first = f;
            assert_true(f.lanes == first.lanes && f.splits == first.splits && f.across == first.across);
            f.parts = bytes ? upload(NULL, bytes) : NULL;
            rt_k_fold(NULL, &f);
            download(r ? alone : together, py, (r ? 1 : ROWS) * inner * sizeof *alone);
            cudaFree(f.parts);
            if (r) assert_memory_equal(alone, together + (r - 1) * inner, inner * sizeof *alone);
        }
        cudaFree(px);
        cudaFree(py);
        free(x);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(functions_of_one_number), cmocka_unit_test(activations),
        cmocka_unit_test(functions_of_two_numbers), cmocka_unit_test(plain_gradients), cmocka_unit_test(dropout_masks),
        cmocka_unit_test(spaces), cmocka_unit_test(division), cmocka_unit_test(folds), cmocka_unit_test(rows_alone)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
