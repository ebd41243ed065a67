/* Products of packed panels: of every family bit by bit against its direct kernels, whose order of terms they keep, and
 * against sums in double; at odd shapes, with what lies around the result, in groups and tiles, rows alone. */
#include <limits.h>

#include "engine/memory.h"
#include "engine/panels.h"
#include "tests/support.h"

typedef struct { int rows, k, n; } sample;

static const sample edges[] = {{1, 1, 1},       {1, 257, 130},   {2, 300, 65},  {3, 129, 128},  {5, 16, 255},
                               {6, 17, 16},     {7, 31, 33},     {12, 64, 257}, {13, 255, 15},  {64, 100, 48},
                               {127, 130, 129}, {128, 256, 64},  {61, 128, 31}, {257, 70, 256}, {130, 513, 97},
                               {24, 40, 700},   {300, 100, 260}, {70, 127, 1}};
enum { EDGES = sizeof edges / sizeof edges[0], SAMPLES = EDGES + 70, GAP = 5 };

/* After the edges, shapes of 1 to 70 each. */
static sample sample_at(int i)
{
    if (i < EDGES) return edges[i];
    int j = i - EDGES;
    return (sample){1 + j * 37 % 70, 1 + j * 29 % 70, 1 + j * 53 % 70};
}

static int runs(const rt_kernels *k)
{
    if (rt_kernels_runnable(k)) return 1;
    print_message("skipped: this CPU does not run %s\n", k->name);
    return 0;
}

static int is_openblas(const rt_kernels *k) { return strncmp(k->name, "openblas", 8) == 0; }

static float *poisoned(size_t n)
{
    float *p = rt_floats_new(n);
    assert_non_null(p);
    for (size_t i = 0; i < n; i++) p[i] = NAN;
    return p;
}

/* Equal in bits; of OpenBLAS, whose order is its own, within what the order may change. */
static void compare(const char *what, const rt_kernels *k, const sample *s, const float *got, const float *want,
                    size_t n, int terms)
{
    char text[160];
    snprintf(text, sizeof text, "%s of %s at %d x %d x %d", what, k->name, s->rows, s->k, s->n);
    for (size_t i = 0; i < n; i++)
        if (is_openblas(k)) check_close(text, got[i], want[i], 1e-6 * sqrt(terms) * 4, 2e-5);
        else if (memcmp(&got[i], &want[i], sizeof *got))
            fail_msg("%s: %.9g, not %.9g at %zu", text, got[i], want[i], i);
}

/* The first rows and columns against sums in double. */
static void check_sums(const rt_kernels *k, const rt_panels_product *a, const float *old)
{
    for (int r = 0; r < a->rows; r += 7)
        for (int n = 0; n < a->n; n += 5) {
            double sum = a->accumulate ? old[r * a->y_ld + n] : a->bias ? a->bias[n] : 0;
            for (int j = 0; j < a->k; j++)
                sum += (double)a->x[r * a->x_ld + j] * (a->transposed ? a->w[n * a->w_ld + j] : a->w[j * a->w_ld + n]);
            if (a->act) sum = sum > 0 ? sum : 0;
            if (a->act == RT_ACT_RELU6 && sum > 6) sum = 6;
            check_close(k->name, a->y[r * a->y_ld + n], sum, 1e-6 * sqrt(a->k) * 4, 2e-5);
        }
}

/* One shape, one family: forward (w as it is, or packed before) and with w transposed. */
static void product_of(const rt_kernels *k, const sample *s, int mode)
{
    const ptrdiff_t x_ld = s->k + 3, y_ld = s->n + GAP, w_ld = s->n + 2, t_ld = s->k + 1;
    size_t ny = (size_t)(s->rows * y_ld);
    float *x = random_floats((size_t)(s->rows * x_ld), 1), *w = random_floats((size_t)(s->k * w_ld), 2),
          *bias = random_floats((size_t)s->n, 3), *old = random_floats(ny, 4), *y = random_floats(ny, 4),
          *want = random_floats(ny, 4), *t = random_floats((size_t)(s->n * t_ld), 5),
          *packed = poisoned(rt_panels_floats(s->k, s->n)), *scratch = poisoned(rt_panels_scratch());
    for (int j = 0; j < s->k; j++)
        for (int n = 0; n < s->n; n++) t[n * t_ld + j] = w[j * w_ld + n];
    const rt_act act = mode == 1 ? RT_ACT_RELU : mode == 2 ? RT_ACT_RELU6 : RT_ACT_NONE;
    rt_panels_product a = {.y = y,
                           .y_ld = y_ld,
                           .x = x,
                           .x_ld = x_ld,
                           .w = mode == 2 ? t : w,
                           .w_ld = mode == 2 ? t_ld : w_ld,
                           .transposed = mode == 2,
                           .bias = mode ? bias : NULL,
                           .rows = s->rows,
                           .k = s->k,
                           .n = s->n,
                           .accumulate = mode == 3,
                           .act = act,
                           .alone = mode == 1};
    if (mode == 3) a.bias = NULL;
    if (mode & 1)
        for (int g = rt_panels_groups(s->n); g-- > 0;) rt_panels_pack(k, packed, &a, g);
    if (mode & 1) a.packed = packed;
    for (int g = rt_panels_groups(s->n); g-- > 0;) rt_panels_run(k, &a, g, mode & 1 ? NULL : scratch);
    check_sums(k, &a, old);
    k->conv_line(&(rt_conv_line){.y = want, .y_px = y_ld, .x = x, .x_px = x_ld, .w = w, .w_ld = w_ld, .bias = a.bias,
                                 .px = s->rows, .kh = 1, .klen = s->k, .n = s->n, .accumulate = a.accumulate,
                                 .act = act});
    compare("product", k, s, y, want, ny, s->k);
    for (int r = 0; r < s->rows; r++) assert_memory_equal(y + r * y_ld + s->n, old + r * y_ld + s->n, GAP * sizeof *y);
    free(x); free(w); free(bias); free(old); free(y); free(want); free(t); free(packed); free(scratch);
}

static void products(void **state)
{
    (void)state;
    for (const rt_kernels *const *k = rt_kernels_all(); *k; k++)
        for (int i = 0; runs(*k) && i < SAMPLES; i++) {
            sample s = sample_at(i);
            for (int mode = 0; mode < 4; mode++) product_of(*k, &s, mode);
        }
}

/* By panels and without, whatever the family would take. */
static void weight_gradient_of(const rt_kernels *k, const sample *s, int panels)
{
    rt_kernels way = *k;
    way.panels_dw_from = panels ? 1 : INT_MAX;
    size_t ndw = (size_t)(s->k * s->n);
    float *x = random_floats((size_t)(s->rows * s->k), 1), *dy = random_floats((size_t)(s->rows * s->n), 2),
          *dw = poisoned(ndw + GAP), *want = poisoned(ndw), *scratch = panels ? poisoned(rt_panels_scratch()) : NULL;
    for (int t = rt_panels_dw_tiles(&way, s->k, s->n); t-- > 0;)
        rt_panels_dw(&way, dw, x, dy, s->rows, s->k, s->n, t, scratch);
    k->conv_dw(&(rt_conv_dw){.dw = want,
                             .dw_ld = s->n,
                             .x = x,
                             .x_px = s->k,
                             .dy = dy,
                             .dy_px = s->n,
                             .lines = 1,
                             .px = s->rows,
                             .kh = 1,
                             .klen = s->k,
                             .n = s->n,
                             .overwrite = 1});
    compare("weight gradient", k, s, dw, want, ndw, s->rows);
    for (int g = 0; g < GAP; g++) assert_true(isnan(dw[ndw + (size_t)g]));
    for (int j = 0; j < s->k; j += 11)
        for (int n = 0; n < s->n; n += 7) {
            double sum = 0;
            for (int r = 0; r < s->rows; r++) sum += (double)x[r * s->k + j] * dy[r * s->n + n];
            check_close(k->name, dw[j * s->n + n], sum, 1e-6 * sqrt(s->rows) * 4, 2e-5);
        }
    free(x); free(dy); free(dw); free(want); free(scratch);
}

static void weight_gradients(void **state)
{
    (void)state;
    for (const rt_kernels *const *k = rt_kernels_all(); *k; k++)
        for (int i = 0; runs(*k) && i < 2 * SAMPLES; i++) {
            sample s = sample_at(i / 2);
            weight_gradient_of(*k, &s, i % 2);
        }
}

/* A row that must be alone has the same bits with any rows before and behind it; so it has in all own families. */
static void rows_alone(void **state)
{
    enum { ROWS = 37, K = 300, N = 130 };
    (void)state;
    for (const rt_kernels *const *k = rt_kernels_all(); *k; k++) {
        if (!runs(*k)) continue;
        float *x = random_floats(ROWS * K, 1), *w = random_floats(K * N, 2), y[N],
              *all = random_floats(ROWS * N, 3), *scratch = poisoned(rt_panels_scratch());
        rt_panels_product a = {.y = all, .y_ld = N, .x = x, .x_ld = K, .w = w, .w_ld = N, .rows = ROWS, .k = K, .n = N,
                               .alone = 1};
        for (int g = 0; g < rt_panels_groups(N); g++) rt_panels_run(*k, &a, g, scratch);
        for (int r = 0; r < ROWS; r++) {
            a.y = y;
            a.x = x + r * K;
            a.rows = 1;
            for (int g = 0; g < rt_panels_groups(N); g++) rt_panels_run(*k, &a, g, scratch);
            assert_memory_equal(y, all + r * N, sizeof y);
        }
        free(x); free(w); free(all); free(scratch);
    }
}

/* The table names the kernels that OpenBLAS runs; "openblas" is short for it. */
static void openblas_by_name(void **state)
{
    (void)state;
    check_ok(rt_kernels_select("openblas"));
    const rt_kernels *k = rt_kernels_get();
    assert_true(is_openblas(k) && strlen(k->name) > strlen("openblas-"));
    check_ok(rt_kernels_select(k->name));
    assert_ptr_equal(rt_kernels_get(), k);
    check_fails(rt_kernels_select("openblas-nothing"), RT_USAGE, "unknown kernel family");
    check_ok(rt_kernels_select(NULL));
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) assert_false(is_openblas(rt_kernels_get()));
#else
    assert_true(is_openblas(rt_kernels_get()));
#endif
}

int main(void)
{
    rt_fp_mode();
    const struct CMUnitTest tests[] = {cmocka_unit_test(products), cmocka_unit_test(weight_gradients),
                                       cmocka_unit_test(rows_alone), cmocka_unit_test(openblas_by_name)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
