/* Winograd convolutions against direct sums in double, at odd shapes, and the transforms of each family against their
 * twin. */
#include "engine/kernels.h"
#include "engine/winograd.h"
#include "tests/support.h"

typedef struct { rt_wino_shape s; int images; } sample;

static const sample samples[] = {
    {{32, 32, 16, 32, 32, 16, 1, 1}, 2}, {{7, 7, 33, 7, 7, 64, 1, 1}, 5},   {{9, 5, 16, 7, 3, 17, 0, 0}, 3},
    {{5, 13, 20, 8, 14, 40, 3, 2}, 2},   {{3, 3, 31, 3, 3, 16, 1, 1}, 9},   {{4, 40, 80, 4, 40, 16, 1, 1}, 1},
    {{6, 6, 16, 5, 5, 130, 0, 1}, 40},   {{1, 17, 16, 2, 16, 16, 2, 0}, 1},
};
enum { SAMPLES = sizeof samples / sizeof samples[0] };

#define EACH_FAMILY(k) for (const rt_kernels *const *k = rt_kernels_all(); *k; k++) if (rt_kernels_runnable(*k))

static double pixel(const float *x, const rt_wino_shape *s, int b, int y, int i, int c)
{
    return y < 0 || y >= s->h || i < 0 || i >= s->w ? 0.0 : x[(((ptrdiff_t)b * s->h + y) * s->w + i) * s->c + c];
}

/* Largest value of n; what errors are measured by. */
static double largest(const double *x, size_t n)
{
    double m = 0;
    for (size_t i = 0; i < n; i++) m = fmax(m, fabs(x[i]));
    return m;
}

static void check_all(const char *what, const float *got, const double *want, size_t n, double size)
{
    double limit = 1e-5 * size;
    for (size_t i = 0; i < n; i++) check_close(what, got[i], want[i], limit, 0);
}

static void forward(void **state)
{
    (void)state;
    for (int i = 0; i < SAMPLES; i++) {
        const rt_wino_shape *s = &samples[i].s;
        size_t ny = (size_t)samples[i].images * (size_t)(s->oh * s->ow * s->n),
               nx = (size_t)samples[i].images * (size_t)(s->h * s->w * s->c);
        float *x = random_floats(nx, 1), *w = random_floats((size_t)(9 * s->c * s->n), 2),
              *bias = random_floats((size_t)s->n, 3), *old = random_floats(ny, 4);
        float *y = random_floats(ny, 4), *u = random_floats((size_t)RT_WINO_PLANES * (size_t)(s->c * s->n), 5),
              *scratch = random_floats(rt_wino_scratch(s), 6);
        double *plain = calloc(ny, sizeof *plain), *want = calloc(ny, sizeof *want);
        assert_non_null(plain);
        assert_non_null(want);
        size_t at = 0;
        for (int b = 0; b < samples[i].images; b++)
            for (int oy = 0; oy < s->oh; oy++)
                for (int ox = 0; ox < s->ow; ox++)
                    for (int n = 0; n < s->n; n++, at++)
                        for (int t = 0; t < 9; t++)
                            for (int c = 0; c < s->c; c++)
                                plain[at] += pixel(x, s, b, oy + t / 3 - s->pt, ox + t % 3 - s->pl, c) *
                                             w[((ptrdiff_t)t * s->c + c) * s->n + n];
        EACH_FAMILY(k)
            for (int mode = 0; mode < 4; mode++) {
                rt_wino_weights(*k, u, w, s->c, s->n);
                rt_act act = mode == 2 ? RT_ACT_RELU : mode == 3 ? RT_ACT_RELU6 : RT_ACT_NONE;
                for (size_t j = 0; j < ny; j++) {
                    double v = plain[j] + (mode == 1 ? old[j] : mode ? bias[j % (size_t)s->n] : 0);
                    if (act) v = v > 0 ? v : 0;
                    want[j] = act == RT_ACT_RELU6 && v > 6 ? 6 : v;
                }
                memcpy(y, old, ny * sizeof *y);
                rt_wino_forward(*k, s, y, x, u, NULL, mode > 1 ? bias : NULL, act, mode == 1, samples[i].images,
                                scratch);
                check_all("winograd forward", y, want, ny, largest(plain, ny));
            }
        free(x); free(w); free(bias); free(old); free(y); free(u); free(scratch); free(plain); free(want);
    }
}

/* Both gradients of sum(y dy), which a direct double sum gives. */
static void gradients(void **state)
{
    (void)state;
    for (int i = 0; i < SAMPLES; i++) {
        const rt_wino_shape *s = &samples[i].s;
        rt_wino_shape back = {s->oh, s->ow, s->n, s->h, s->w, s->c, 2 - s->pt, 2 - s->pl};
        size_t ny = (size_t)samples[i].images * (size_t)(s->oh * s->ow * s->n),
               nx = (size_t)samples[i].images * (size_t)(s->h * s->w * s->c);
        size_t nw = (size_t)(9 * s->c * s->n), nm = (size_t)RT_WINO_PLANES * (size_t)(s->c * s->n);
        float *x = random_floats(nx, 1), *w = random_floats(nw, 2), *dy = random_floats(ny, 3),
              *dx = random_floats(nx, 4), *dw = random_floats(nw, 5);
        float *u = random_floats(nm, 6), *m = random_floats(nm, 7), *part = random_floats(nm, 8),
              *flipped = random_floats(nw, 10);
        float *scratch = random_floats(rt_wino_scratch(s) + rt_wino_scratch(&back), 9);
        double *want_dx = calloc(nx, sizeof *want_dx), *want_dw = calloc(nw, sizeof *want_dw);
        assert_non_null(want_dx);
        assert_non_null(want_dw);
        size_t at = 0;
        for (int b = 0; b < samples[i].images; b++)
            for (int oy = 0; oy < s->oh; oy++)
                for (int ox = 0; ox < s->ow; ox++)
                    for (int n = 0; n < s->n; n++, at++)
                        for (int t = 0; t < 9; t++) {
                            int y = oy + t / 3 - s->pt, xx = ox + t % 3 - s->pl;
                            if (y < 0 || y >= s->h || xx < 0 || xx >= s->w) continue;
                            for (int c = 0; c < s->c; c++) {
                                size_t px = (size_t)((((ptrdiff_t)b * s->h + y) * s->w + xx) * s->c + c),
                                       wt = (size_t)(((ptrdiff_t)t * s->c + c) * s->n + n);
                                want_dx[px] += (double)dy[at] * w[wt];
                                want_dw[wt] += (double)dy[at] * x[px];
                            }
                        }
        EACH_FAMILY(k) {
            rt_wino_weights_flipped(*k, u, w, s->c, s->n, flipped);
            rt_wino_forward(*k, &back, dx, dy, u, NULL, NULL, RT_ACT_NONE, 0, samples[i].images, scratch);
            check_all("winograd dX", dx, want_dx, nx, largest(want_dx, nx));
            int first = samples[i].images / 2;                  /* in two calls, as a slot does */
            rt_wino_grad(*k, s, m, x, dy, 0, first, scratch);
            rt_wino_grad(*k, s, m, x + (size_t)first * (nx / (size_t)samples[i].images),
                         dy + (size_t)first * (ny / (size_t)samples[i].images), first > 0, samples[i].images - first,
                         scratch);
            for (int c0 = 0; c0 < s->c; c0 += 7) {              /* in parts, as the merge of slots does */
                int rows = s->c - c0 < 7 ? s->c - c0 : 7;
                for (int p = 0; p < RT_WINO_PLANES; p++)
                    memcpy(part + (ptrdiff_t)p * rows * s->n, m + ((ptrdiff_t)p * s->c + c0) * s->n,
                           (size_t)(rows * s->n) * sizeof *part);
                rt_wino_grad_weights(*k, dw, part, s->c, s->n, c0, rows);
            }
            check_all("winograd dW", dw, want_dw, nw, largest(want_dw, nw));
        }
        free(x);
        free(w);
        free(dy);
        free(dx);
        free(dw);
        free(u);
        free(m);
        free(part);
        free(flipped);
        free(scratch);
        free(want_dx);
        free(want_dw);
    }
}

/* Tiles may be cut into blocks and images into calls in any way: the same bits. */
static void bits_do_not_depend_on_blocks(void **state)
{
    (void)state;
    const rt_wino_shape s = {14, 14, 24, 14, 14, 24, 1, 1};
    enum { IMAGES = 11, PIXELS = 14 * 14 * 24 };
    float *x = random_floats(IMAGES * PIXELS, 1), *w = random_floats(9 * 24 * 24, 2),
          *u = random_floats(RT_WINO_PLANES * 24 * 24, 3);
    float *one = random_floats(IMAGES * PIXELS, 4), *all = random_floats(IMAGES * PIXELS, 5),
          *scratch = random_floats(rt_wino_scratch(&s), 6);
    float *m1 = random_floats(RT_WINO_PLANES * 24 * 24, 7), *m2 = random_floats(RT_WINO_PLANES * 24 * 24, 8);
    EACH_FAMILY(k) {
        rt_wino_weights(*k, u, w, 24, 24);
        rt_wino_forward(*k, &s, all, x, u, NULL, NULL, RT_ACT_NONE, 0, IMAGES, scratch);
        rt_wino_grad(*k, &s, m1, x, all, 0, IMAGES, scratch);
        for (int i = 0; i < IMAGES; i++) {
            rt_wino_forward(*k, &s, one + i * PIXELS, x + i * PIXELS, u, NULL, NULL, RT_ACT_NONE, 0, 1, scratch);
            rt_wino_grad(*k, &s, m2, x + i * PIXELS, all + i * PIXELS, i > 0, 1, scratch);
        }
        assert_memory_equal(one, all, IMAGES * PIXELS * sizeof *one);
        assert_memory_equal(m1, m2, RT_WINO_PLANES * 24 * 24 * sizeof *m1);
    }
    free(x); free(w); free(u); free(one); free(all); free(scratch); free(m1); free(m2);
}

/* Planes that are made on the way, of few tiles: the bits of those that are packed, at odd channels. */
static void few_tiles(void **state)
{
    (void)state;
    EACH_FAMILY(k)
        for (int i = 0; i < 70; i++) {
            rt_wino_shape s = {1 + i % 8, 1 + i / 8 % 8, 1 + i * 29 % 70, 1 + i % 8, 1 + i / 8 % 8, 1 + i * 37 % 70, 1,
                               1};
            int images = s.h > 4 || s.w > 4 ? 1 : 1 + i % RT_WINO_FEW;
            size_t nx = (size_t)images * (size_t)(s.h * s.w * s.c), ny = (size_t)images * (size_t)(s.h * s.w * s.n),
                   nw = (size_t)(9 * s.c * s.n);
            float *x = random_floats(nx, 1), *w = random_floats(nw, 2), *bias = random_floats((size_t)s.n, 3),
                  *u = random_floats(4 * nw, 4), *y = random_floats(ny, 5), *want = random_floats(ny, 6),
                  *scratch = random_floats(rt_wino_scratch(&s), 7);
            rt_wino_weights(*k, u, w, s.c, s.n);
            rt_wino_forward(*k, &s, want, x, u, NULL, bias, RT_ACT_RELU, 0, images, scratch);
            rt_wino_forward(*k, &s, y, x, NULL, w, bias, RT_ACT_RELU, 0, images, scratch);
            assert_memory_equal(y, want, ny * sizeof *y);
            free(x); free(w); free(bias); free(u); free(y); free(want); free(scratch);
        }
    assert_true(rt_wino_is_few(&(rt_wino_shape){4, 4, 256, 4, 4, 256, 1, 1}, RT_WINO_FEW));
    assert_false(rt_wino_is_few(&(rt_wino_shape){4, 4, 512, 4, 4, 512, 1, 1}, RT_WINO_FEW + 1));
    assert_true(rt_wino_is_few(&(rt_wino_shape){8, 8, 128, 8, 8, 128, 1, 1}, 1));
    assert_false(rt_wino_is_few(&(rt_wino_shape){8, 8, 64, 8, 8, 64, 1, 1}, 1));       /* these are in L2 */
}

static void choice(void **state)
{
    (void)state;
    assert_true(rt_wino_pays(&(rt_wino_shape){32, 32, 16, 32, 32, 16, 1, 1}));
    assert_true(rt_wino_pays(&(rt_wino_shape){7, 7, 64, 7, 7, 64, 1, 1}));
    assert_false(rt_wino_pays(&(rt_wino_shape){32, 32, 3, 32, 32, 64, 1, 1}));
    assert_false(rt_wino_pays(&(rt_wino_shape){1, 1, 64, 1, 1, 64, 1, 1}));
    assert_false(rt_wino_pays(&(rt_wino_shape){1, 100, 64, 1, 100, 64, 1, 1}));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(forward), cmocka_unit_test(gradients),
                                       cmocka_unit_test(bits_do_not_depend_on_blocks), cmocka_unit_test(few_tiles),
                                       cmocka_unit_test(choice)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
