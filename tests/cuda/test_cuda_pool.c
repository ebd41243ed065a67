/* Kernels of pooling against plain sums over windows at odd shapes: values, which tap won (ties, NaN), gradients. */
#include "tests/cuda/emulator.h"
#include "tests/support.h"

#include "engine/cuda/pool_launch.h"

typedef rt_pool_shape shape;

static const shape cases[] = {
    /* rows h w c oh ow kh kw sh sw dh dw pt pl hp wp count_padding */
    {3, 8, 6, 8, 4, 3, 2, 2, 2, 2, 1, 1, 0, 0, 8, 6, 0},
    {2, 7, 9, 5, 4, 5, 3, 3, 2, 2, 1, 1, 1, 1, 8, 10, 0},
    {2, 7, 9, 4, 7, 9, 3, 3, 1, 1, 1, 1, 1, 1, 8, 10, 1},
    {2, 9, 10, 3, 5, 3, 3, 2, 1, 3, 2, 2, 0, 0, 9, 10, 0},
    {2, 8, 7, 4, 4, 4, 3, 3, 2, 2, 1, 1, 0, 0, 8, 7, 0},       /* the last windows reach over the image */
    {2, 8, 7, 4, 5, 4, 3, 3, 2, 2, 1, 1, 1, 1, 9, 8, 1},       /* and over the padding */
    {2, 1, 21, 6, 1, 6, 1, 4, 1, 4, 1, 1, 0, 2, 1, 23, 0},
};

static void cuda_ok(cudaError_t e) { if (e) fail_msg("%s", cudaGetErrorName(e)); }
static void *upload(const void *v, size_t bytes)
{
    void *p = NULL;
    cuda_ok(cudaMalloc(&p, bytes));
    if (v) cuda_ok(cudaMemcpy(p, v, bytes, cudaMemcpyHostToDevice));
    return p;
}
static void *download(void *p, size_t bytes)
{
    void *v = malloc(bytes);
    assert_non_null(v);
    cuda_ok(cudaPeekAtLastError());
    cuda_ok(cudaMemcpy(v, p, bytes, cudaMemcpyDeviceToHost));
    cuda_ok(cudaFree(p));
    return v;
}
/* Few values, so that many are equal. */
static float *numbers(size_t n, unsigned seed)
{
    float *v = malloc(n * sizeof *v);
    assert_non_null(v);
    for (size_t i = 0; i < n; i++) {
        seed = seed * 1664525u + 1013904223u;
        v[i] = (float)(seed >> 28) - 7.5f;
    }
    return v;
}

typedef struct { float *y, *dx; uint8_t *index; } result;
static void free_result(result *r) { free(r->y), free(r->dx), free(r->index); }

static size_t count_x(const shape *s) { return (size_t)(s->rows * s->h * s->w * s->c); }
static size_t count_y(const shape *s) { return (size_t)(s->rows * s->oh * s->ow * s->c); }

/* By the definition. */
static result reference(const shape *s, const float *x, const float *dy, int max, float first)
{
    result r = {calloc(count_y(s), sizeof(float)), calloc(count_x(s), sizeof(float)), calloc(count_y(s), 1)};
    for (size_t i = 0; i < count_x(s); i++) r.dx[i] = first;
    for (int b = 0; b < s->rows; b++)
        for (int i = 0; i < s->oh * s->ow * s->c; i++) {
            int c = i % s->c, ox = i / s->c % s->ow, oy = i / s->c / s->ow, at = -1, counted = 0, won = 0;
            size_t o = (size_t)(b * s->oh * s->ow * s->c + i);
            double sum = 0;
            for (int t = 0; t < s->kh * s->kw; t++) {
                int iy = oy * s->sh - s->pt + t / s->kw * s->dh, ix = ox * s->sw - s->pl + t % s->kw * s->dw;
                counted += s->count_padding && iy < s->hp && ix < s->wp;
                if (iy < 0 || iy >= s->h || ix < 0 || ix >= s->w) continue;
                int p = ((b * s->h + iy) * s->w + ix) * s->c + c;
                counted += !s->count_padding;
                sum += (double)x[p];
                if (at < 0 || x[p] > x[at] || isnan(x[p])) at = p, won = t;
            }
            r.y[o] = max ? x[at] : (float)(sum / counted);
            r.index[o] = (uint8_t)won;
            if (max) r.dx[at] += dy[o];
            for (int t = 0; t < s->kh * s->kw && !max; t++) {
                int iy = oy * s->sh - s->pt + t / s->kw * s->dh, ix = ox * s->sw - s->pl + t % s->kw * s->dw;
                if (iy >= 0 && iy < s->h && ix >= 0 && ix < s->w)
                    r.dx[((b * s->h + iy) * s->w + ix) * s->c + c] += dy[o] / (float)counted;
            }
        }
    return r;
}

static result on_card(const shape *s, const float *hx, const float *hdy, int max, int add)
{
    size_t nx = count_x(s), ny = count_y(s);
    float *x = upload(hx, nx * sizeof(float)), *dy = upload(hdy, ny * sizeof(float)),
          *y = upload(NULL, ny * sizeof(float)), *dx = upload(add ? hx : NULL, nx * sizeof(float));
    uint8_t *index = upload(NULL, ny);
    if (max) {
        rt_k_max_pool(NULL, s, y, index, x);
        rt_k_max_pool_back(NULL, s, dx, dy, index, add);
    } else {
        cuda_ok(cudaMemset(index, 0, ny));
        rt_k_avg_pool(NULL, s, y, x);
        rt_k_avg_pool_back(NULL, s, dx, dy, add);
    }
    result r;
    r.y = download(y, ny * sizeof(float));
    r.dx = download(dx, nx * sizeof(float));
    r.index = download(index, ny);
    cuda_ok(cudaFree(x));
    cuda_ok(cudaFree(dy));
    return r;
}

static void check(const shape *s, int max)
{
    float *x = numbers(count_x(s), 1), *dy = numbers(count_y(s), 2);
    result want = reference(s, x, dy, max, 0);
    for (int add = 0; add < 2; add++)
        for (int order = 0; order < 3; order++) {
            rt_emulated_order(order, 7);
            result got = on_card(s, x, dy, max, add);
            for (size_t i = 0; i < count_y(s); i++) {
                check_close("y", (double)got.y[i], (double)want.y[i], 1e-6, max ? 0 : 1e-6);
                if (max) assert_int_equal(got.index[i], want.index[i]);
            }
            for (size_t i = 0; i < count_x(s); i++)
                check_close("dx", (double)got.dx[i], (double)(want.dx[i] + (add ? x[i] : 0)), 2e-6, 1e-6);
            free_result(&got);
        }
    rt_emulated_order(0, 0);
    free_result(&want);
    free(x);
    free(dy);
}
static void test_max(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) if (!cases[i].count_padding) check(&cases[i], 1);
}
static void test_avg(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) check(&cases[i], 0);
}

/* NaN wins, and gets the gradient. */
static void test_max_nan(void **state)
{
    (void)state;
    const shape *s = &cases[1];
    float *x = numbers(count_x(s), 1), *dy = numbers(count_y(s), 2);
    for (size_t i = 0; i < count_x(s); i += 7) x[i] = NAN;
    for (size_t i = 3; i < count_x(s); i += 11) x[i] = -INFINITY;
    result want = reference(s, x, dy, 1, 0), got = on_card(s, x, dy, 1, 0);
    assert_memory_equal(got.index, want.index, count_y(s));
    for (size_t i = 0; i < count_y(s); i++) assert_true(isnan(got.y[i]) ? isnan(want.y[i]) : got.y[i] >= want.y[i]);
    for (size_t i = 0; i < count_x(s); i++) check_close("dx", (double)got.dx[i], (double)want.dx[i], 1e-5, 0);
    free_result(&want);
    free_result(&got);
    free(x);
    free(dy);
}

static void check_global(int rows, int pixels, int c, int add)
{
    size_t nx = (size_t)(rows * pixels * c), ny = (size_t)(rows * c);
    float *hx = numbers(nx, 3), *hdy = numbers(ny, 4);
    hx[nx / 2] = NAN;
    float *x = upload(hx, nx * sizeof(float)), *dy = upload(hdy, ny * sizeof(float)),
          *mean = upload(NULL, ny * sizeof(float)), *top = upload(NULL, ny * sizeof(float)),
          *ones = malloc(nx * sizeof *ones);
    assert_non_null(ones);
    for (size_t i = 0; i < nx; i++) ones[i] = 1;
    float *dmean = upload(add ? ones : NULL, nx * sizeof(float)), *dtop = upload(add ? ones : NULL, nx * sizeof(float));
    int32_t *index = upload(NULL, ny * sizeof *index);
    rt_k_global_avg(NULL, mean, x, rows, pixels, c);
    rt_k_global_avg_back(NULL, dmean, dy, rows, pixels, c, add);
    rt_k_global_max(NULL, top, index, x, rows, pixels, c);
    rt_k_global_max_back(NULL, dtop, dy, index, rows, pixels, c, add);
    mean = download(mean, ny * sizeof *mean), top = download(top, ny * sizeof *top);
    dmean = download(dmean, nx * sizeof *dmean), dtop = download(dtop, nx * sizeof *dtop);
    index = download(index, ny * sizeof *index);
    for (int i = 0; i < rows * c; i++) {
        const float *line = hx + i / c * pixels * c + i % c;
        double sum = 0;
        int at = 0;
        for (int p = 0; p < pixels; p++) {
            float v = line[p * c], best = line[at * c];
            sum += (double)v;
            if (v > best || (isnan(v) && !isnan(best))) at = p;
        }
        if (isnan(sum)) {
            assert_true(isnan(mean[i]) && isnan(top[i]));
            at = pixels - 1;
        } else {
            check_close("mean", (double)mean[i], sum / pixels, 1e-6, 1e-6);
            assert_true(top[i] >= line[at * c] && top[i] <= line[at * c]);
        }
        assert_int_equal(index[i], at);
        for (int p = 0; p < pixels; p++) {
            size_t x_at = (size_t)((i / c * pixels + p) * c + i % c);
            check_close("dmean", (double)dmean[x_at], (double)hdy[i] / pixels + add, 1e-6, 1e-6);
            check_close("dtop", (double)dtop[x_at], (double)(p == at ? hdy[i] : 0) + add, 1e-6, 0);
        }
    }
    cuda_ok(cudaFree(x));
    cuda_ok(cudaFree(dy));
    void *all[] = {hx, hdy, mean, top, dmean, dtop, index, ones};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) free(all[i]);
}
static void test_global(void **state)
{
    (void)state;
    for (int order = 0; order < 3; order++) {
        rt_emulated_order(order, 5);
        check_global(3, 49, 64, 0);
        check_global(2, 5, 10, 1);
        check_global(2, 1, 3, 0);
        check_global(3, 16, 33, 1);
    }
    rt_emulated_order(0, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_max), cmocka_unit_test(test_avg),
                                       cmocka_unit_test(test_max_nan), cmocka_unit_test(test_global)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
