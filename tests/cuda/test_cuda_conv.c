/* Kernels of convolutions against sums in double at odd shapes: forward, back, weights; each kind of arithmetic; what
 * is there is added to or written over; three orders of threads give the same bits; a row's bits do not depend on how
 * many there are. */
#include "tests/cuda/emulator.h"
#include "tests/support.h"

#include "engine/cuda/conv_launch.h"
#include "engine/cuda/cuda_parts.h"

typedef rt_conv_shape shape;
typedef struct { const char *name; int rows, h, w, c, n, kh, kw, sh, sw, dh, dw, pt, pb, pl, pr, groups; } given;

static const given cases[] = {
    {"one channel", 3, 9, 8, 1, 8, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1},
    {"one channel to 33", 2, 6, 7, 1, 33, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1},
    {"one channel to 20", 2, 6, 7, 1, 20, 2, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1},
    {"three channels to 64", 1, 6, 7, 3, 64, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1},
    {"three channels to 32", 1, 5, 7, 3, 32, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1},
    {"three channels, stride 2", 2, 9, 11, 3, 10, 3, 3, 2, 2, 1, 1, 0, 1, 1, 1, 1},
    {"odd channels", 2, 5, 6, 7, 19, 3, 2, 1, 1, 1, 1, 1, 1, 0, 1, 1},
    {"8 to 16", 2, 9, 9, 8, 16, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1},
    {"16 to 24, stride 2", 3, 8, 8, 16, 24, 3, 3, 2, 2, 1, 1, 0, 1, 0, 1, 1},
    {"20 to 36", 2, 6, 7, 20, 36, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1},
    {"point, stride 2", 2, 7, 7, 12, 20, 1, 1, 2, 2, 1, 1, 0, 0, 0, 0, 1},
    {"dilation 2", 2, 9, 9, 4, 8, 3, 3, 1, 1, 2, 2, 2, 2, 2, 2, 1},
    {"dilation and stride", 2, 13, 12, 4, 4, 3, 3, 2, 3, 2, 1, 2, 1, 1, 0, 1},
    {"dilation and stride with a divisor", 1, 15, 14, 4, 4, 3, 2, 4, 2, 2, 2, 3, 2, 0, 1, 1},
    {"dilation 2 and stride 3", 1, 12, 11, 4, 6, 3, 3, 3, 3, 2, 2, 2, 1, 2, 2, 1},
    {"stride beyond the kernel", 2, 11, 10, 4, 8, 2, 1, 3, 4, 1, 1, 0, 0, 0, 0, 1},
    {"a line", 3, 1, 37, 8, 12, 1, 5, 1, 2, 1, 1, 0, 0, 3, 1, 1},
    {"groups of 8", 2, 5, 5, 16, 32, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 2},
    {"several tiles an image", 1, 20, 36, 12, 16, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1},
    {"taps that are not shared", 1, 26, 32, 8, 20, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1},
    {"many images, several a tile", 150, 3, 3, 4, 8, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1},
    {"several images a tile", 5, 5, 5, 16, 32, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1},
    {"slices of channels", 1, 6, 8, 72, 40, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1},
    {"taps in passes", 2, 9, 10, 20, 24, 5, 5, 1, 1, 1, 1, 2, 2, 2, 2, 1},
    {"taps of a class in turns", 2, 10, 9, 16, 20, 5, 5, 2, 2, 1, 1, 2, 1, 2, 2, 1},
    {"a deep point", 2, 5, 7, 132, 16, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 1},
    {"point, stride 3, many channels", 2, 8, 10, 20, 104, 1, 1, 3, 3, 1, 1, 0, 0, 0, 0, 1},
    {"point, padded", 1, 5, 6, 8, 12, 1, 1, 1, 2, 1, 1, 1, 0, 0, 1, 1},
    {"a point", 2, 9, 7, 68, 36, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 1},
    {"stride 5", 1, 17, 14, 8, 12, 3, 3, 5, 5, 1, 1, 1, 0, 1, 0, 1},
    {"six channels of a line", 2, 1, 40, 6, 20, 1, 5, 1, 1, 1, 1, 0, 0, 2, 2, 1},
    {"three channels, 7 by 7", 2, 11, 9, 3, 68, 7, 7, 2, 2, 1, 1, 3, 3, 3, 3, 1},
    {"groups of 9 and 11", 2, 5, 4, 18, 22, 3, 3, 2, 1, 1, 1, 1, 1, 1, 1, 2},
};
static const given direct[] = {
    {"depthwise", 2, 9, 7, 8, 8, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 8},
    {"depthwise, odd", 3, 7, 9, 35, 35, 3, 3, 2, 2, 1, 1, 0, 1, 0, 1, 35},
    {"depthwise, dilation", 2, 9, 8, 4, 4, 3, 5, 1, 2, 2, 1, 2, 2, 2, 2, 4},
    {"depthwise, 40 channels, two tiles", 2, 13, 24, 40, 40, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 40},
    {"depthwise, stride 2", 3, 9, 8, 8, 8, 3, 3, 2, 2, 1, 1, 1, 1, 1, 1, 8},
    {"depthwise, 5 by 5", 2, 9, 7, 36, 36, 5, 5, 1, 1, 1, 1, 2, 2, 2, 2, 36},
    {"depthwise, stride 5", 1, 13, 12, 4, 4, 3, 3, 5, 5, 1, 1, 1, 1, 1, 1, 4},
    {"depthwise, two a channel", 2, 6, 6, 6, 12, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 6},
    {"depthwise of a line", 2, 1, 21, 12, 12, 1, 4, 1, 1, 1, 1, 0, 0, 1, 2, 12},
    {"groups of 3 and 2", 2, 5, 6, 12, 8, 3, 3, 2, 1, 1, 2, 1, 1, 2, 1, 4},
};

/* Of the list, by its name. */
static const given *case_of(const char *name)
{
    size_t i = 0;
    while (strcmp(cases[i].name, name)) assert_true(++i < sizeof cases / sizeof *cases);
    return &cases[i];
}

static shape shape_of(const given *g)
{
    shape s = {g->rows, g->h, g->w, g->c, 0, 0, g->n, g->kh, g->kw, g->sh, g->sw, g->dh, g->dw, g->pt, g->pl, g->groups,
               g->c / g->groups, g->n / g->groups};
    s.oh = (g->h + g->pt + g->pb - (g->kh - 1) * g->dh - 1) / g->sh + 1;
    s.ow = (g->w + g->pl + g->pr - (g->kw - 1) * g->dw - 1) / g->sw + 1;
    return s;
}
static size_t count_x(const shape *s) { return (size_t)(s->rows * s->h * s->w * s->c); }
static size_t count_y(const shape *s) { return (size_t)(s->rows * s->oh * s->ow * s->n); }

/* ---- in double: every product of x, w and a y once ---- */

typedef struct { size_t x, w, y; } product;
/* Calls f for each, in a fixed order. */
static void each_product(const shape *s, void (*f)(void *, product), void *to)
{
    for (int r = 0; r < s->rows; r++)
        for (int oy = 0; oy < s->oh; oy++)
            for (int ox = 0; ox < s->ow; ox++)
                for (int ky = 0; ky < s->kh; ky++)
                    for (int kx = 0; kx < s->kw; kx++) {
                        int iy = oy * s->sh + ky * s->dh - s->pt, ix = ox * s->sw + kx * s->dw - s->pl;
                        if (iy < 0 || iy >= s->h || ix < 0 || ix >= s->w) continue;
                        for (int n = 0; n < s->n; n++)
                            for (int c = 0; c < s->cg; c++) {
                                int px = (r * s->h + iy) * s->w + ix, py = (r * s->oh + oy) * s->ow + ox;
                                f(to, (product){(size_t)(px * s->c + n / s->ng * s->cg + c),
                                                (size_t)(((ky * s->kw + kx) * s->cg + c) * s->n + n),
                                                (size_t)(py * s->n + n)});
                            }
                    }
}
typedef struct { const float *x, *w, *dy; double *y, *dx, *dw, *size_y, *size_x, *size_w; } sums;
static void add(void *to, product p)
{
    sums *a = to;
    double xw = (double)a->x[p.x] * (double)a->w[p.w], gw = (double)a->dy[p.y] * (double)a->w[p.w],
           gx = (double)a->dy[p.y] * (double)a->x[p.x];
    a->y[p.y] += xw, a->dx[p.x] += gw, a->dw[p.w] += gx;
    a->size_y[p.y] += fabs(xw), a->size_x[p.x] += fabs(gw), a->size_w[p.w] += fabs(gx);
}

static void *zeros(size_t n, size_t size)
{
    void *p = calloc(n ? n : 1, size);
    assert_non_null(p);
    return p;
}
static float *numbers(size_t n, unsigned seed)
{
    float *v = zeros(n, sizeof *v);
    for (size_t i = 0; i < n; i++) {
        seed = seed * 1664525u + 1013904223u;
        v[i] = (float)(seed >> 8) * 0x1p-23f - 1;
    }
    return v;
}

/* ---- on the card ---- */

static void cuda_ok(cudaError_t e) { if (e) fail_msg("%s", cudaGetErrorName(e)); }
static float *upload(const float *v, size_t n)
{
    void *p = NULL;
    cuda_ok(cudaMalloc(&p, (n ? n : 1) * sizeof(float)));
    if (v && n) cuda_ok(cudaMemcpy(p, v, n * sizeof(float), cudaMemcpyHostToDevice));
    return p;
}
static void download(float *v, const float *p, size_t n)
{
    cuda_ok(cudaPeekAtLastError());
    cuda_ok(cudaMemcpy(v, p, n * sizeof(float), cudaMemcpyDeviceToHost));
}

typedef struct {
    shape s;
    float *x, *w, *bias, *image_bias, *dy;       /* host */
    float *y, *dx, *dw, *dbias;
    int add;
    rt_act act;
} task;

static task task_of(const given *g)
{
    task t = {.s = shape_of(g)};
    size_t nw = rt_conv_weights(&t.s), nb = (size_t)t.s.n;
    t.x = numbers(count_x(&t.s), 1), t.w = numbers(nw, 2), t.bias = numbers(nb, 3), t.dy = numbers(count_y(&t.s), 4);
    t.image_bias = numbers((size_t)t.s.c, 5);
    t.y = zeros(count_y(&t.s), sizeof(float)), t.dx = zeros(count_x(&t.s), sizeof(float));
    t.dw = zeros(nw, sizeof(float)), t.dbias = zeros(nb, sizeof(float));
    return t;
}
static void free_task(task *t)
{
    float *all[] = {t->x, t->w, t->bias, t->image_bias, t->dy, t->y, t->dx, t->dw, t->dbias};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) free(all[i]);
}

/* All three; with add, on top of 1, 2 and 3, else dx on top of a bias. */
static void run(task *t, rt_conv_math math)
{
    const shape *s = &t->s;
    size_t nx = count_x(s), ny = count_y(s), nw = rt_conv_weights(s), nb = (size_t)s->n;
    float *x = upload(t->x, nx), *w = upload(t->w, nw), *bias = upload(t->bias, nb), *dy = upload(t->dy, ny),
          *image_bias = upload(t->image_bias, (size_t)s->c);     /* as transposed convolutions have one */
    for (size_t i = 0; i < nx; i++) t->dx[i] = 1;
    for (size_t i = 0; i < nw; i++) t->dw[i] = 2;
    for (size_t i = 0; i < nb; i++) t->dbias[i] = 3;
    float *y = upload(NULL, ny), *dx = upload(t->add ? t->dx : NULL, nx), *dw = upload(t->add ? t->dw : NULL, nw),
          *dbias = upload(t->add ? t->dbias : NULL, nb), *partial = upload(NULL, rt_conv_partial(s));
    if (rt_conv_is_direct(s)) {
        rt_k_direct(NULL, s, y, x, w, bias, t->act, 0);
        rt_k_direct_back(NULL, s, dx, dy, w, t->add ? NULL : image_bias, t->add);
        rt_k_direct_weights(NULL, s, dw, dbias, partial, x, dy, t->add, t->add);
    } else {
        rt_k_conv(NULL, s, math, y, x, w, bias, t->act, 0);
        rt_k_conv_back(NULL, s, math, dx, dy, w, t->add ? NULL : image_bias, t->add);
        rt_k_conv_weights(NULL, s, math, dw, dbias, partial, x, dy, t->add, t->add);
    }
    rt_parts parts = {{dw, dbias}, {nw, nb}, {t->add, t->add}, rt_conv_parts(s, math), partial};
    if (parts.parts > 1) rt_k_add_parts(NULL, &parts, 1);
    download(t->y, y, ny);
    download(t->dx, dx, nx);
    download(t->dw, dw, nw);
    download(t->dbias, dbias, nb);
    float *all[] = {x, w, bias, dy, y, dx, dw, dbias, partial, image_bias};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) cuda_ok(cudaFree(all[i]));
}

/* got against want, relative to the sum of the absolute values of what was added. */
static void check(const char *name, const char *what, const float *got, const double *want, const double *size,
                  size_t n, double tolerance)
{
    for (size_t i = 0; i < n; i++)
        if (!(fabs((double)got[i] - want[i]) <= tolerance * size[i] + 1e-7))
            fail_msg("%s, %s %zu: %.9g, want %.9g", name, what, i, (double)got[i], want[i]);
}

static void check_case(const given *g, rt_conv_math math, double tolerance)
{
    task t = task_of(g);
    const shape *s = &t.s;
    size_t nx = count_x(s), ny = count_y(s), nw = rt_conv_weights(s), nb = (size_t)s->n;
    double *sum[6];
    const size_t counts[] = {ny, nx, nw, ny, nx, nw};
    for (int i = 0; i < 6; i++) sum[i] = zeros(counts[i], sizeof(double));
    sums a = {t.x, t.w, t.dy, sum[0], sum[1], sum[2], sum[3], sum[4], sum[5]};
    each_product(s, add, &a);
    double *b = zeros(nb, sizeof(double)), *size_b = zeros(nb, sizeof(double));
    for (size_t i = 0; i < ny; i++) b[i % nb] += (double)t.dy[i], size_b[i % nb] += fabs((double)t.dy[i]);
    for (t.add = 0; t.add < 2; t.add++) {
        t.act = t.add ? RT_ACT_RELU6 : RT_ACT_NONE;             /* of y */
        run(&t, math);
        for (size_t i = 0; i < ny; i++) {
            double v = a.y[i] + (double)t.bias[i % nb];
            if (t.act == RT_ACT_RELU6) v = v < 0 ? 0 : v > 6 ? 6 : v;
            if (!(fabs((double)t.y[i] - v) <= tolerance * (a.size_y[i] + 1)))
                fail_msg("%s, y %zu: %.9g, want %.9g", g->name, i, (double)t.y[i], v);
        }
        for (size_t i = 0; i < nx; i++) {
            double bias = (double)t.image_bias[i % (size_t)s->c];
            a.dx[i] += t.add ? 1 - bias : bias, a.size_x[i] += 1;
        }
        for (size_t i = 0; t.add && i < nw; i++) a.dw[i] += 2, a.size_w[i] += 2;
        for (size_t i = 0; t.add && i < nb; i++) b[i] += 3, size_b[i] += 3;
        check(g->name, "dx", t.dx, a.dx, a.size_x, nx, tolerance);
        check(g->name, "dw", t.dw, a.dw, a.size_w, nw, tolerance);
        check(g->name, "dbias", t.dbias, b, size_b, nb, 1e-6);
    }
    for (int i = 0; i < 6; i++) free(sum[i]);
    free(b);
    free(size_b);
    free_task(&t);
}

static void check_all(rt_conv_math math, double tolerance)
{
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) check_case(&cases[i], math, tolerance);
}
static void test_float(void **state) { (void)state; check_all(RT_CONV_FLOAT, 6e-7); }
static void test_tf32x3(void **state) { (void)state; check_all(RT_CONV_TF32X3, 6e-7); }
static void test_tf32(void **state) { (void)state; check_all(RT_CONV_TF32, 1e-3); }
static void test_bf16(void **state) { (void)state; check_all(RT_CONV_BF16, 8e-3); }
static void test_direct(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof direct / sizeof *direct; i++) check_case(&direct[i], RT_CONV_FLOAT, 6e-7);
}

/* tf32 and bf16 do round: they are not as good as floats. */
static void test_rounds(void **state)
{
    (void)state;
    const given *g = case_of("8 to 16");
    task exact = task_of(g), t = task_of(g);
    double worst[4] = {0};
    run(&exact, RT_CONV_FLOAT);
    for (int m = 1; m < 4; m++) {
        run(&t, (rt_conv_math)m);
        for (size_t i = 0; i < count_y(&t.s); i++) worst[m] = fmax(worst[m], fabs((double)(t.y[i] - exact.y[i])));
    }
    assert_true(worst[RT_CONV_TF32X3] > 0 && worst[RT_CONV_TF32X3] < 5e-6);
    assert_true(worst[RT_CONV_TF32] > 1e-4 && worst[RT_CONV_TF32] < 1e-2);
    assert_true(worst[RT_CONV_BF16] > 1e-3 && worst[RT_CONV_BF16] < 1e-1);
    free_task(&exact);
    free_task(&t);
}

static void check_orders(const given *g, rt_conv_math math)
{
    task first = task_of(g), t = task_of(g);
    run(&first, math);
    for (int order = 1; order < 4; order++) {
        rt_emulated_order(order < 3 ? order : RT_EMULATED_RANDOM, (uint64_t)order);
        run(&t, math);
        assert_memory_equal(t.y, first.y, count_y(&t.s) * sizeof(float));
        assert_memory_equal(t.dx, first.dx, count_x(&t.s) * sizeof(float));
        assert_memory_equal(t.dw, first.dw, rt_conv_weights(&t.s) * sizeof(float));
        assert_memory_equal(t.dbias, first.dbias, (size_t)t.s.n * sizeof(float));
    }
    rt_emulated_order(RT_EMULATED_FORWARD, 0);
    free_task(&first);
    free_task(&t);
}
static void test_orders(void **state)
{
    (void)state;
    for (int i = 0; i < 4; i++) {
        check_orders(case_of("16 to 24, stride 2"), (rt_conv_math)i);
        check_orders(case_of("20 to 36"), (rt_conv_math)i);
        check_orders(case_of("slices of channels"), (rt_conv_math)i);
    }
    check_orders(case_of("one channel"), RT_CONV_FLOAT);
    check_orders(case_of("dilation and stride"), RT_CONV_FLOAT);
    check_orders(case_of("six channels of a line"), RT_CONV_FLOAT);
    for (size_t i = 0; i < sizeof direct / sizeof *direct; i++) check_orders(&direct[i], RT_CONV_FLOAT);
}

/* The last rows of a batch have the bits that they have alone: other tiles, other places in them. */
static void test_rows_alone(void **state)
{
    (void)state;
    static const given many[] = {{"many", 5, 7, 7, 8, 40, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1},
                                 {"many, three channels", 5, 7, 7, 3, 8, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1},
                                 {"many, stride 2", 5, 7, 6, 36, 12, 3, 3, 2, 2, 1, 1, 1, 1, 1, 1, 1},
                                 {"many, point", 5, 7, 5, 24, 36, 1, 1, 1, 2, 1, 1, 0, 0, 0, 0, 1},
                                 {"many, depthwise", 5, 7, 7, 8, 8, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 8}};
    for (int m = 0; m < 20; m++) {
        const given *g = &many[m / 4];
        task all = task_of(g), t = task_of(g);
        run(&all, (rt_conv_math)(m % 4));
        t.s.rows = 2;
        size_t x = count_x(&t.s) / 2 * 3, y = count_y(&t.s) / 2 * 3;
        memcpy(t.x, all.x + x, count_x(&t.s) * sizeof(float));
        memcpy(t.dy, all.dy + y, count_y(&t.s) * sizeof(float));
        run(&t, (rt_conv_math)(m % 4));
        assert_memory_equal(t.y, all.y + y, count_y(&t.s) * sizeof(float));
        assert_memory_equal(t.dx, all.dx + x, count_x(&t.s) * sizeof(float));
        free_task(&all);
        free_task(&t);
    }
}

/* 64 channels and pixels for many blocks: the largest tiles, several parts. */
static void test_large(void **state)
{
    (void)state;
    static const given wide = {"64 channels", 5, 60, 58, 4, 68, 1, 3, 1, 1, 1, 1, 0, 0, 1, 1, 1},
                       back = {"64 channels back", 5, 60, 58, 68, 4, 1, 3, 1, 1, 1, 1, 0, 0, 1, 1, 1},
                       few = {"64 channels of one", 5, 60, 58, 1, 68, 1, 3, 1, 1, 1, 1, 0, 0, 1, 1, 1},
                       point = {"64 channels of a point", 5, 60, 58, 8, 68, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 1};
    shape s = shape_of(&wide);
    assert_true(rt_conv_parts(&s, RT_CONV_FLOAT) > 1 && rt_conv_parts(&s, RT_CONV_TF32X3) > 1);
    for (int m = 0; m < 2; m++) {
        check_case(&wide, (rt_conv_math)m, 2e-6);
        check_case(&back, (rt_conv_math)m, 2e-6);
        check_case(&few, (rt_conv_math)m, 2e-6);
        check_case(&point, (rt_conv_math)m, 2e-6);
    }
}

/* More tiles than blocks at once: a block has several, whose patches and stores follow one another; the last has fewer.
 * Also with several stages a tile. */
static void test_many_tiles(void **state)
{
    (void)state;
    static const given one = {"many tiles", 3, 150, 160, 4, 8, 1, 2, 1, 1, 1, 1, 0, 0, 1, 0, 1},
                       two = {"many tiles, two slices", 3, 150, 160, 20, 4, 1, 2, 1, 1, 1, 1, 0, 0, 1, 0, 1};
    check_case(&one, RT_CONV_TF32X3, 6e-7);
    check_case(&two, RT_CONV_TF32X3, 6e-7);
}

/* A pixel that is not finite reaches those that see it, and no other. */
static void test_nan(void **state)
{
    (void)state;
    for (int m = 0; m < 4; m++) {
        const given *g = case_of("8 to 16");
        task t = task_of(g), clean = task_of(g);
        const shape *s = &t.s;
        t.act = clean.act = RT_ACT_RELU6;
        run(&clean, (rt_conv_math)m);
        t.x[((4 * s->w) + 5) * s->c + 2] = NAN;
        run(&t, (rt_conv_math)m);
        for (int p = 0; p < s->rows * s->oh * s->ow; p++)
            for (int n = 0; n < s->n; n++) {
                int y = p / s->ow % s->oh, x = p % s->ow, sees = p < s->oh * s->ow && abs(y - 4) < 2 && abs(x - 5) < 2;
                float v = t.y[p * s->n + n], w = clean.y[p * s->n + n];
                if (sees) assert_true(isnan(v));
                else assert_memory_equal(&v, &w, sizeof v);
            }
        free_task(&t);
        free_task(&clean);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_float),  cmocka_unit_test(test_tf32x3),     cmocka_unit_test(test_tf32),
        cmocka_unit_test(test_bf16),   cmocka_unit_test(test_direct),     cmocka_unit_test(test_rounds),
        cmocka_unit_test(test_orders), cmocka_unit_test(test_rows_alone), cmocka_unit_test(test_large),
        cmocka_unit_test(test_many_tiles), cmocka_unit_test(test_nan)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
