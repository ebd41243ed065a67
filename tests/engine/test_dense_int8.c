/* Dense layers of int8 weights against their definition, to the bit: odd shapes, every family of integer kernels, rows
 * alone and in batches, numbers that are extreme, weights that are none. */
#include "engine/graph.h"
#include "engine/int/integer.h"
#include "engine/session.h"
#include "tests/support.h"

static uint32_t seed = 1;

static int dice(int n) { return (int)((seed = seed * 1664525u + 1013904223u) >> 8) % n; }

/* y (tokens, n) of one row; volatile keeps every rounding. */
static void define(float *y, const float *x, const float *w, const float *step, const float *bias, int tokens, int k,
                   int n)
{
    float low = 0, high = 0;
    for (int i = 0; i < tokens * k; i++) {
        if (x[i] < low) low = x[i];
        if (x[i] > high) high = x[i];
    }
    volatile float range = high > low ? high - low : 1, scale = range / 255, z = -low / scale;
    long zero = lrintf(z > 255 ? 255 : z);
    for (int t = 0; t < tokens; t++)
        for (int o = 0; o < n; o++) {
            int64_t sum = 0;
            for (int i = 0; i < k; i++) {
                volatile float v = x[t * k + i] / scale;
                double q = rint((double)v) + (double)zero;
                double f = w[i * n + o] == w[i * n + o] ? rint((double)w[i * n + o]) : 0;
                q = fmin(fmax(q, 0), 255);
                sum += ((int64_t)q - zero) * (int64_t)fmin(fmax(f, -127), 127);
            }
            volatile float m = scale * step[o], v = (float)sum * m;
            y[t * n + o] = bias ? v + bias[o] : v;
        }
}

static void one(int tokens, int k, int n, int rows, int bias)
{
    rt_graph *g = rt_graph_new();
    int x, y;
    rt_dense_int8_attr a = {n, bias};
    float *in = random_floats((size_t)(rows * tokens * k), 3 + (uint64_t)k), *w = random_floats((size_t)(k * n), 5),
          *step = random_floats((size_t)n, 7), *b = random_floats((size_t)n, 9),
          *want = malloc((size_t)(rows * tokens * n) * sizeof *want), *got = malloc((size_t)(rows * tokens * n) * 4);
    rt_shape_attr shape = {.shape = tokens > 1 ? (rt_shape){2, {tokens, k}} : (rt_shape){1, {k}}};
    check_ok(rt_graph_add(g, RT_OP_INPUT, "x", NULL, 0, &shape, NULL, &x));
    check_ok(rt_graph_add(g, RT_OP_DENSE_INT8, "d", &x, 1, &a, NULL, &y));
    rt_graph_seal(g);
    const int *field = g->node[1].field;
    for (int i = 0; i < k * n; i++) w[i] = rintf(w[i] * 60);
    w[dice(k * n)] = 1000;                                 /* becomes 127 */
    if (k * n > 4) w[dice(k * n)] = NAN;
    for (int i = 0; i < n; i++) step[i] = fabsf(step[i]) + 0.001f;
    for (int r = 0; r < rows; r++) for (int i = 0; i < tokens * k; i++) in[r * tokens * k + i] *= (float)(r + 1);
    if (rows > 2) memset(in + 2 * tokens * k, 0, (size_t)(tokens * k) * sizeof *in);
    memcpy(rt_graph_constant_values(g, field[0]), w, (size_t)(k * n) * sizeof *w);
    memcpy(rt_graph_constant_values(g, field[1]), step, (size_t)n * sizeof *w);
    if (bias) memcpy(rt_graph_constant_values(g, field[2]), b, (size_t)n * sizeof *w);
    for (int r = 0; r < rows; r++)
        define(want + r * tokens * n, in + r * tokens * k, w, step, bias ? b : NULL, tokens, k, n);
    for (const rt_int_kernels *const *f = rt_int_kernels_all(); *f; f++) {
        if (!rt_int_kernels_runnable(*f)) continue;
        check_ok(rt_int_kernels_select((*f)->name));
        for (int batch = 1; batch <= rows; batch += rows > 1 ? rows - 1 : 1) {
            rt_device *device = rt_device_cpu(1 + dice(2));
            rt_session *s;
            rt_session_spec spec = {.graph = g, .batch = batch, .outputs = 1, .output = {y}};
            check_ok(rt_session_new(&s, &spec, device));
            for (int r = 0; r < rows; r += batch) {
                int part = rows - r < batch ? rows - r : batch;
                rt_session_infer(s, &(rt_step){.rows = part, .x = {in + r * tokens * k}});
                memcpy(got + r * tokens * n, rt_session_output(s, 0), (size_t)(part * tokens * n) * sizeof *got);
            }
            for (int i = 0; i < rows * tokens * n; i++)
                if (memcmp(&got[i], &want[i], sizeof *got))
                    fail_msg("%d tokens of %d to %d, number %d of %d rows at once: %a instead of %a in %s", tokens, k,
                             n, i, batch, (double)got[i], (double)want[i], (*f)->name);
            rt_session_free(s);
            rt_device_close(device);
        }
    }
    check_ok(rt_int_kernels_select(NULL));
    rt_graph_free(g);
    free(in); free(w); free(step); free(b); free(want); free(got);
}

static void shapes(void **state)
{
    (void)state;
    for (int i = 0; i < 60; i++) one(1 + dice(70), 1 + dice(130), 1 + dice(70), 1 + dice(5), dice(2));
    one(1, 300, 33, 150, 1);
    one(65, 64, 2100, 2, 1);                               /* few tokens at once */
}

static void limits(void **state)
{
    (void)state;
    rt_graph *g = rt_graph_new();
    int x, y;
    check_ok(rt_graph_add(g, RT_OP_INPUT, "x", NULL, 0, &(rt_shape_attr){.shape = {1, {65537}}}, NULL, &x));
    check_fails(rt_graph_add(g, RT_OP_DENSE_INT8, "d", &x, 1, &(rt_dense_int8_attr){4, 1}, NULL, &y), RT_USAGE,
                "may leave 32 bits");
    rt_graph_free(g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(shapes), cmocka_unit_test(limits)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
