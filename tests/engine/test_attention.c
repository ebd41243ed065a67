/* Attention where recorded values do not reach: its kernels against their definition in double, long rows against the
 * form that has all scores at once, masks of minus infinity, its memory; and refusals of the operators of two inputs.
 */
#include <float.h>

#include "data/json.h"
#include "engine/plan.h"
#include "student/arch.h"
#include "tests/support.h"

static const rt_kernels *const *next_family(const rt_kernels *const *k)
{
    for (; *k; k++) if (rt_kernels_runnable(*k)) return k;
    return k;
}
#define EACH_FAMILY(k) for (const rt_kernels *const *k = next_family(rt_kernels_all()); *k; k = next_family(k + 1))

enum { LD = 256, ROWS = 5, BLOCKS = 3 };

/* Three blocks of n columns: p of each must be exp(s - top so far), and the sums those of all columns. */
static void check_blocks(const rt_kernels *k, int n, uint32_t seed)
{
    float *s = random_floats((size_t)BLOCKS * ROWS * LD, seed), *p = malloc((size_t)ROWS * LD * sizeof *p);
    float top[ROWS], sum[ROWS], keep[ROWS];
    double seen[ROWS];
    for (int r = 0; r < ROWS; r++) {
        top[r] = -INFINITY;
        sum[r] = 0;
        seen[r] = -INFINITY;
    }
    for (int b = 0; b < BLOCKS; b++) {                /* row 1 begins with a masked block, row 2 has nothing else */
        float *at = s + (size_t)b * ROWS * LD;
        for (int i = 0; i < n; i++) {
            if (b == 0) at[LD + i] = -INFINITY;
            at[2 * LD + i] = -INFINITY;
            at[3 * LD + i] *= 30;
        }
    }
    for (int b = 0; b < BLOCKS; b++) {
        const float *at = s + (size_t)b * ROWS * LD;
        memcpy(p, at, (size_t)ROWS * LD * sizeof *p);
        k->softmax_block(p, LD, top, sum, keep, ROWS, n);
        for (int r = 0; r < ROWS; r++) {
            double before = seen[r], all = 0;
            for (int i = 0; i < n; i++) seen[r] = fmax(seen[r], (double)at[r * LD + i]);
            double shift = isinf(seen[r]) ? 0 : seen[r];
            for (int q = 0; q <= b; q++)
                for (int i = 0; i < n; i++) all += exp((double)s[(size_t)q * ROWS * LD + (size_t)(r * LD + i)] - shift);
            for (int i = 0; i < n; i++)
                check_close(k->name, p[r * LD + i], exp((double)at[r * LD + i] - shift), 1e-30, 1e-5);
            check_close("sum", sum[r], all, 0, 1e-5);
            check_close("keep", keep[r], exp(before - shift), 1e-30, 1e-5);
            assert_true(top[r] >= (float)seen[r] && top[r] <= (float)seen[r]);
        }
    }
    float logs[ROWS] = {1, 0.5f, 2, 90, 0}, dot[ROWS] = {0.5f, -1, 0, 2, 3}, *d = random_floats(ROWS * LD, seed + 1);
    float *was = malloc((size_t)ROWS * LD * sizeof *was);
    memcpy(p, s, (size_t)ROWS * LD * sizeof *p);
    memcpy(was, d, (size_t)ROWS * LD * sizeof *was);
    k->softmax_again(p, LD, logs, ROWS, n);
    k->softmax_back(d, p, LD, dot, ROWS, n);
    for (int r = 0; r < ROWS; r++)
        for (int i = 0; i < LD; i++) {
            double want = exp((double)s[r * LD + i] - (double)logs[r]), was_d = was[r * LD + i];
            check_close("again", p[r * LD + i], i < n ? want : (double)s[r * LD + i], 1e-30, 1e-5);
            check_close("back", d[r * LD + i], i < n ? want * (was_d - (double)dot[r]) : was_d, 1e-30, 2e-5);
        }
    free(s); free(p); free(d); free(was);
}

static void blocks(void **state)
{
    (void)state;
    static const int columns[] = {1, 2, 7, 15, 16, 17, 31, 33, 64, 100, 256};
    EACH_FAMILY(k)
        for (size_t i = 0; i < sizeof columns / sizeof *columns; i++) check_blocks(*k, columns[i], (uint32_t)i + 1);
}

static void rms_norms(void **state)
{
    (void)state;
    static const int widths[] = {1, 3, 15, 16, 17, 40, 131};
    EACH_FAMILY(k)
        for (size_t w = 0; w < sizeof widths / sizeof *widths; w++) {
            int d = widths[w];
            size_t n = (size_t)(ROWS * d);
            float *x = random_floats(n, 1), *gamma = random_floats((size_t)d, 2), *dy = random_floats(n, 3),
                  *y = malloc(n * 4), *dx = random_floats(n, 4), *was = random_floats(n, 4), *dg = calloc((size_t)d, 4),
                  rstd[ROWS];
            (*k)->rms_norm(y, rstd, x, gamma, ROWS, d, 1e-3f);
            (*k)->rms_norm_back(dx, dg, dy, x, rstd, gamma, ROWS, d, 1);
            for (int r = 0; r < ROWS; r++) {
                double square = 0, dot = 0;
                for (int i = 0; i < d; i++) square += (double)x[r * d + i] * (double)x[r * d + i] / d;
                double s = 1 / sqrt(square + 1e-3);
                for (int i = 0; i < d; i++) dot += (double)dy[r * d + i] * (double)gamma[i] * (double)x[r * d + i];
                for (int i = 0; i < d; i++) {
                    double v = x[r * d + i], g = (double)dy[r * d + i] * (double)gamma[i];
                    check_close((*k)->name, y[r * d + i], v * s * (double)gamma[i], 1e-6, 1e-5);
                    check_close("dx", dx[r * d + i], (double)was[r * d + i] + g * s - v * dot * s * s * s / d, 2e-5,
                                1e-4);
                }
            }
            free(x); free(gamma); free(dy); free(y); free(dx); free(was); free(dg);
        }
}

/* Sums of layer norms go element by element: every family has the same bits. */
static void layer_norm_bits(void **state)
{
    (void)state;
    const rt_kernels *twin = NULL;
    EACH_FAMILY(k) if (!strcmp((*k)->name, "scalar")) twin = *k;
    assert_non_null(twin);
    EACH_FAMILY(k)
        for (int rows = 1; rows < 36; rows += 2)
            for (int d = 1; d < 50; d += 3) {
                size_t n = (size_t)(rows * d);
                float *x = random_floats(n, 1), *dy = random_floats(n, 2), *gamma = random_floats((size_t)d, 3),
                      *beta = random_floats((size_t)d, 4), *y[2], *dx[2], *mean[2], *rstd[2], *dg[2];
                for (int i = 0; i < 2; i++) {
                    y[i] = malloc(n * 4);
                    dx[i] = malloc(n * 4);
                    mean[i] = malloc((size_t)rows * 4);
                    rstd[i] = malloc((size_t)rows * 4);
                    dg[i] = calloc(2 * (size_t)d, 4);
                    const rt_kernels *of = i ? *k : twin;
                    of->layer_norm(y[i], mean[i], rstd[i], x, gamma, beta, (size_t)rows, d, 1e-5f);
                    of->layer_norm_back(dx[i], dg[i], dg[i] + d, dy, x, mean[i], rstd[i], gamma, (size_t)rows, d, 0);
                }
                assert_memory_equal(y[0], y[1], n * 4);
                assert_memory_equal(mean[0], mean[1], (size_t)rows * 4);
                assert_memory_equal(rstd[0], rstd[1], (size_t)rows * 4);
                assert_memory_equal(dx[0], dx[1], n * 4);
                assert_memory_equal(dg[0], dg[1], 2 * (size_t)d * 4);
                for (int i = 0; i < 2; i++) {
                    free(y[i]); free(dx[i]); free(mean[i]); free(rstd[i]); free(dg[i]);
                }
                free(x); free(dy); free(gamma); free(beta);
            }
}

/* ---- whole layers ---- */

typedef struct { rt_graph *g; float *params, *grads, *y; size_t n, bytes; } net;

static rt_graph *graph_of(const char *json)
{
    cJSON *j;
    rt_graph *g;
    check_ok(rt_json_parse(&j, json, strlen(json), "test"));
    if (rt_arch_build(&g, j, "test")) fail_msg("%s: %s", json, rt_error_message());
    cJSON_Delete(j);
    return g;
}

static void weigh(void *arg, const rt_loss_io *io)
{
    (void)arg;
    for (int i = 0; i < io->rows * io->n; i++) io->grad[i] = (float)sin(0.3 * i * i) / (float)io->total;
    for (int r = 0; r < io->rows; r++) io->loss[r] = 0;
}

/* One row through a training plan and an inference plan. */
static net run_net(const char *json, float *const *x)
{
    net t = {.g = graph_of(json)};
    rt_graph *g = t.g;
    rt_pool *pool = rt_pool_new(1);
    t.params = random_floats(g->floats[RT_PARAM] + 1, 9);
    t.grads = calloc(g->grad_floats + 1, 4);
    t.n = rt_shape_count(&g->tensor[g->output].shape);
    t.y = malloc(t.n * 4);
    rt_plan_spec spec = {.graph = g, .batch = 1, .train = 1, .losses = 1};
    spec.loss[0] = (rt_loss_spec){.tensor = g->output, .fn = weigh};
    for (int train = 0; train < 2; train++) {
        rt_plan *p;
        check_ok(rt_plan_new(&p, train ? &spec : &(rt_plan_spec){.graph = g, .batch = 1}, pool));
        rt_run run = {.rows = 1, .params = t.params, .grads = t.grads};
        for (int i = 0; i < g->inputs; i++) run.x[i] = x[i];
        rt_plan_prepare(p, &run);
        rt_plan_run(p, &run);
        if (!train) memcpy(t.y, rt_plan_output(p, 0), t.n * 4);
        t.bytes = rt_plan_bytes(p);
        rt_plan_free(p);
    }
    rt_pool_free(pool);
    return t;
}

static void free_net(net *t)
{
    rt_graph_free(t->g);
    free(t->params);
    free(t->grads);
    free(t->y);
}

static void compare(const char *what, const float *a, const float *b, size_t n)
{
    double most = 0;
    for (size_t i = 0; i < n; i++) most = fmax(most, fabs((double)a[i]));
    assert_true(most > 1e-6);
    for (size_t i = 0; i < n; i++) check_close(what, a[i], b[i], 5e-6 * most, 1e-4);
}

#define PLACE(i, t, d) "{\"name\":\"" i "\",\"shape\":[" t "," d "]}"
#define TABLE(p, i) "{\"op\":\"position\",\"learned\":true,\"name\":\"" p "\",\"from\":\"" i "\"}"
#define THREE PLACE("x", "200", "7") "," PLACE("y", "530", "7") "," PLACE("z", "530", "9")
#define TABLES TABLE("q", "x") "," TABLE("k", "y") "," TABLE("v", "z")

static void plain_form(void **state)
{
    (void)state;
    float *x[4] = {random_floats(200 * 7, 1), random_floats(530 * 7, 2), random_floats(530 * 9, 3),
                   random_floats(200 * 530, 4)};
    static const char *const blocks[] = {
        "{\"inputs\":[" THREE "],\"layers\":[" TABLES
        ",{\"op\":\"attention\",\"heads\":1,\"from\":[\"q\",\"k\",\"v\"]}]}",
        "{\"inputs\":[" THREE "," PLACE("m", "200", "530") "],\"layers\":[" TABLES "," TABLE(
            "b", "m") ",{\"op\":\"attention\",\"heads\":1,\"from\":[\"q\",\"k\",\"v\",\"b\"]}]}"};
    static const char *const scores[] = {
        "{\"inputs\":[" THREE "],\"layers\":[" TABLES ",{\"op\":\"matmul\",\"transpose_b\":true,\"scale\":0.377964473,"
        "\"from\":[\"q\",\"k\"]},{\"op\":\"softmax\",\"name\":\"p\"},{\"op\":\"matmul\",\"from\":[\"p\",\"v\"]}]}",
        "{\"inputs\":[" THREE "," PLACE("m", "200", "530") "],\"layers\":[" TABLES "," TABLE("b", "m")
        ",{\"op\":\"matmul\",\"transpose_b\":true,\"scale\":0.377964473,\"name\":\"s\",\"from\":[\"q\",\"k\"]},"
        "{\"op\":\"add\",\"from\":[\"s\",\"b\"]},{\"op\":\"softmax\",\"name\":\"p\"},"
        "{\"op\":\"matmul\",\"from\":[\"p\",\"v\"]}]}"};
    EACH_FAMILY(k) {
        check_ok(rt_kernels_select((*k)->name));
        for (int i = 0; i < 2; i++) {
            net a = run_net(blocks[i], x), b = run_net(scores[i], x);
            compare("outputs", b.y, a.y, a.n);
            compare("gradients", b.grads, a.grads, a.g->grad_floats);
            free_net(&a);
            free_net(&b);
        }
    }
    check_ok(rt_kernels_select(NULL));
    for (int i = 0; i < 4; i++) free(x[i]);
}

/* A key at minus infinity is not seen, whatever it holds; a query that sees none gives zeros and has no gradient; a
 * number added to all keys of a query changes nothing. */
static void masks(void **state)
{
    (void)state;
    enum { T = 5, D = 6 };
    static const char masked[] = "{\"inputs\":[" PLACE("x", "5", "18") "," PLACE("m", "5", "5") "],\"layers\":["
                                 TABLE("q", "x") ",{\"op\":\"attention\",\"heads\":2,\"from\":[\"q\",\"m\"]}]}",
                      column[] = "{\"inputs\":[" PLACE("x", "5", "18") "," PLACE("m", "5", "1") "],\"layers\":["
                                 TABLE("q", "x") ",{\"op\":\"attention\",\"heads\":2,\"from\":[\"q\",\"m\"]}]}";
    float *x[2] = {random_floats(T * 3 * D, 1), calloc(T * T, 4)};
    for (int t = 0; t < T; t++) x[1][t * T + 3] = -INFINITY;
    for (int s = 0; s < T; s++) x[1][2 * T + s] = -INFINITY;
    net a = run_net(masked, x);
    for (int i = 0; i < 2 * D; i++) x[0][3 * 3 * D + D + i] = 1e6f;      /* k and v of key 3 */
    net b = run_net(masked, x);
    assert_memory_equal(a.y, b.y, a.n * 4);
    for (int i = 0; i < D; i++) assert_true(!(fabsf(a.y[2 * D + i]) > 0));
    for (size_t i = 0; i < a.g->grad_floats; i++) assert_true(isfinite(a.grads[i]));
    for (int i = 0; i < D; i++) assert_true(!(fabsf(a.grads[2 * 3 * D + i]) > 0));     /* of the blind query's q */
    for (int i = 0; i < 2 * D; i++) assert_true(!(fabsf(a.grads[3 * 3 * D + D + i]) > 0));
    free_net(&b);
    free_net(&a);
    memset(x[1], 0, T * T * 4);
    a = run_net(masked, x);
    for (int t = 0; t < T; t++) x[1][t] = (float)t - 3;
    b = run_net(column, x);
    compare("a number for all keys", a.y, b.y, a.n);
    free_net(&a);
    free_net(&b);
    free(x[0]);
    free(x[1]);
}

/* Training at 4,096 positions and 8 heads: scores alone would be 512 MiB a row. */
static void memory(void **state)
{
    (void)state;
    rt_graph *g = graph_of("{\"input\":[4096,256],\"layers\":[{\"op\":\"dense\",\"out\":768},"
                           "{\"op\":\"attention\",\"heads\":8},{\"op\":\"dense\",\"out\":256}]}");
    rt_pool *pool = rt_pool_new(1);
    rt_plan_spec spec = {.graph = g, .batch = 1, .train = 1, .losses = 1};
    spec.loss[0] = (rt_loss_spec){.tensor = g->output, .fn = weigh};
    rt_plan *p;
    check_ok(rt_plan_new(&p, &spec, pool));
    double mib = (double)rt_plan_bytes(p) / 1048576;
    print_message("training plan of a layer at 4,096 positions: %.1f MiB\n", mib);
    assert_true(mib < 64);
    rt_plan_free(p);
    rt_pool_free(pool);
    rt_graph_free(g);
}

static void find_positions(void *arg, const char *line) { *(int *)arg |= strstr(line, "positions") != NULL; }

/* Norms in a plan whose threads share a row's positions: the bits of one thread. */
static void positions(void **state)
{
    (void)state;
    rt_graph *g = graph_of("{\"input\":[96,16],\"layers\":[{\"op\":\"dense\",\"out\":64},{\"op\":\"rms_norm\"},"
                           "{\"op\":\"lrn\",\"size\":5},{\"op\":\"layer_norm\"},{\"op\":\"dense\",\"out\":64},"
                           "{\"op\":\"layer_norm\",\"dims\":2},{\"op\":\"rms_norm\",\"dims\":2}]}");
    size_t n = rt_shape_count(&g->tensor[g->output].shape);
    float *x = random_floats(96 * 16, 1), *params = random_floats(g->floats[RT_PARAM], 2), *first = malloc(n * 4);
    for (int threads = 1; threads <= 4; threads++) {
        rt_pool *pool = rt_pool_new(threads);
        rt_plan *p;
        check_ok(rt_plan_new(&p, &(rt_plan_spec){.graph = g, .batch = 1}, pool));
        rt_run run = {.rows = 1, .x = {x}, .params = params};
        int shared = 0;
        rt_plan_prepare(p, &run);
        rt_plan_run(p, &run);
        rt_plan_describe(p, find_positions, &shared);
        assert_int_equal(shared, threads > 1);
        if (threads == 1) memcpy(first, rt_plan_output(p, 0), n * 4);
        assert_memory_equal(first, rt_plan_output(p, 0), n * 4);
        rt_plan_free(p);
        rt_pool_free(pool);
    }
    rt_graph_free(g);
    free(x);
    free(params);
    free(first);
}

/* The gradient of a row through the layers, at parameters that every field's own name without its layer's gives. */
static float *gradients(rt_graph *g, const float *x)
{
    rt_pool *pool = rt_pool_new(2);
    float *params = calloc(g->floats[RT_PARAM], 4), *grads = calloc(g->grad_floats, 4);
    for (int i = -1; (i = rt_graph_next_field(g, RT_PARAM, i)) >= 0;) {
        const rt_field *f = &g->field[i];
        float *p = random_floats(f->count, (uint32_t)f->name[2] + (uint32_t)f->count);
        memcpy(params + f->offset, p, f->count * 4);
        free(p);
    }
    rt_plan_spec spec = {.graph = g, .batch = 3, .train = 1, .losses = 1};
    spec.loss[0] = (rt_loss_spec){.tensor = g->output, .fn = weigh};
    rt_plan *p;
    check_ok(rt_plan_new(&p, &spec, pool));
    rt_plan_run(p, &(rt_run){.rows = 3, .x = {x}, .params = params, .grads = grads});
    rt_plan_free(p);
    rt_pool_free(pool);
    free(params);
    return grads;
}

/* Two layers that share weights have the sum of the gradients of two that do not. */
static void shared(void **state)
{
    (void)state;
    static const char *const layers[] = {"\"lstm\",\"out\":6", "\"gru\",\"out\":6", "\"rnn\",\"out\":6",
        "\"gru\",\"out\":3,\"direction\":\"bidirectional\",\"linear_before_reset\":true", "\"rms_norm\"",
        "\"group_norm\",\"groups\":3", "\"layer_norm\",\"dims\":2", "\"conv_transpose1d\",\"out\":6,\"kernel\":1",
        "\"conv1d\",\"out\":6,\"kernel\":3,\"dilation\":2,\"padding\":2"};
    float *x = random_floats(3 * 5 * 6, 1);
    for (size_t i = 0; i < sizeof layers / sizeof *layers; i++) {
        char json[2][600];
        for (int k = 0; k < 2; k++)
            snprintf(json[k], sizeof json[k],
                     "{\"input\":[5,6],\"layers\":[{\"name\":\"a\",\"op\":%s},{\"op\":\"tanh\"},"
                     "{\"name\":\"b\",\"op\":%s%s}]}",
                     layers[i], layers[i], k ? ",\"share\":\"a\"" : "");
        rt_graph *two = graph_of(json[0]), *one = graph_of(json[1]);
        float *apart = gradients(two, x), *together = gradients(one, x);
        for (int q = -1, b; (q = rt_graph_next_field(one, RT_PARAM, q)) >= 0;) {
            const rt_field *f = &one->field[q], *fa = &two->field[q], *fb = NULL;
            for (b = 0; b < two->fields; b++)
                if (two->field[b].name[0] == 'b' && !strcmp(two->field[b].name + 1, f->name + 1)) fb = &two->field[b];
            assert_non_null(fb);
            double most = 0;
            for (size_t k = 0; k < f->count; k++) most = fmax(most, fabs((double)together[f->grad_at + k]));
            assert_true(most > 1e-4);
            for (size_t k = 0; k < f->count; k++)
                check_close(layers[i], together[f->grad_at + k],
                            (double)apart[fa->grad_at + k] + (double)apart[fb->grad_at + k], 1e-5 * most, 1e-4);
        }
        rt_graph_free(two);
        rt_graph_free(one);
        free(apart);
        free(together);
    }
    free(x);
}

static void refuse(const char *json, const char *part)
{
    cJSON *j;
    rt_graph *g;
    check_ok(rt_json_parse(&j, json, strlen(json), "test"));
    check_fails(rt_arch_build(&g, j, "test"), RT_USAGE, part);
    cJSON_Delete(j);
}

#define TWO(a, b, layer) \
    "{\"inputs\":[{\"name\":\"a\",\"shape\":" a "},{\"name\":\"b\",\"shape\":" b "}],\"layers\":[" layer "]}"
#define MATMUL(rest) "{\"op\":\"matmul\",\"from\":[\"a\",\"b\"]" rest "}"
#define ONE(shape, layer) "{\"input\":" shape ",\"layers\":[" layer "]}"

static void refusals(void **state)
{
    (void)state;
    refuse(TWO("[3]", "[3,4]", MATMUL("")), "takes matrices, and its inputs are (3) and (3, 4)");
    refuse(TWO("[5,3]", "[4,3]", MATMUL("")), "3 columns of one, 4 rows of the other");
    refuse(TWO("[5,3]", "[4,3]", MATMUL(",\"transpose_a\":true")), "(5, 3) transposed and (4, 3) do not fit");
    refuse(TWO("[2,5,3]", "[3,3,4]", MATMUL("")), "2 matrices of one, 3 of the other");
    refuse(ONE("[4,7]", "{\"op\":\"attention\",\"heads\":2}"), "does not fall into 6 heads");
    refuse(ONE("[4,12]", "{\"op\":\"attention\"}"), "heads");
    refuse(ONE("[4,12]", "{\"op\":\"attention\",\"heads\":4,\"kv_heads\":3}"), "3 heads of keys do not divide 4 heads");
    refuse(ONE("[12]", "{\"op\":\"attention\",\"heads\":4}"), "takes rows of positions, (T, D), and input 0 is (12)");
    refuse(TWO("[4,6]", "[3,4]", "{\"op\":\"attention\",\"heads\":2,\"from\":[\"a\",\"b\"]}"),
           "mask (3, 4) does not broadcast to (2, 4, 4)");
    refuse(TWO("[4,6]", "[5,4]", "{\"op\":\"attention\",\"heads\":2,\"from\":[\"a\",\"b\",\"b\"]}"),
           "k must be (S, 6), v (S, 2 times its heads)");
    refuse(ONE("[4,6]", "{\"op\":\"group_norm\",\"groups\":4}"), "4 groups do not divide 6 channels");
    refuse(ONE("[4,6]", "{\"op\":\"rms_norm\",\"dims\":3}"), "(4, 6) has less than 3 dimensions");
    refuse(ONE("[6]", "{\"op\":\"lstm\",\"out\":3}"), "takes rows of steps, (T, D), and its input is (6)");
    refuse(ONE("[6,2]", "{\"op\":\"gru\",\"out\":3,\"direction\":\"both\"}"),
           "is not one of forward, reverse, bidirectional");
    refuse(ONE("[6,2]", "{\"op\":\"lstm\",\"out\":3,\"linear_before_reset\":true}"), "linear_before_reset");
    refuse(ONE("[3,3,2]", "{\"op\":\"conv_transpose2d\",\"out\":2,\"kernel\":3,\"padding\":\"same\"}"),
           "no meaning here");
    refuse(ONE("[3,3,2]", "{\"op\":\"conv_transpose2d\",\"out\":2,\"kernel\":3,\"output_padding\":1}"),
           "output_padding 1 must be below stride or dilation");
    refuse(ONE("[1,1,2]", "{\"op\":\"conv_transpose2d\",\"out\":2,\"kernel\":1,\"padding\":1}"),
           "-1 pixels along an axis");
    refuse(ONE("[3,2]", "{\"op\":\"conv_transpose2d\",\"out\":2,\"kernel\":1}"), "(H, W, C)");
    refuse(ONE("[4]", "{\"op\":\"resize\",\"size\":8}"), "takes (H, W, C) or (T, C)");
    refuse(ONE("[4,4,1]", "{\"op\":\"resize\",\"size\":8,\"scale_w\":3}"), "scale_w 3 of 4 pixels gives 12, not 8");
    refuse(ONE("[4,4,1]", "{\"op\":\"resize\",\"size\":8,\"mode\":\"linaer\"}"), "did you mean 'linear'?");
    refuse(ONE("[9,9,1]", "{\"op\":\"max_pool\",\"kernel\":2,\"stride\":1,\"dilation\":10,\"padding\":10}"),
           "lie in the padding");
    refuse(ONE("[5,5,1]", "{\"op\":\"conv2d\",\"out\":1,\"kernel\":3,\"dilation\":3}"),
           "kernel 3x3, dilated, is larger");
    refuse(ONE("[65536,65536,1]", "{\"op\":\"global_max_pool\"}"), "too large");
    refuse(ONE("[40000,3]",
               "{\"op\":\"resize\",\"size\":[1,65536]},{\"op\":\"resize\",\"size\":[1,65536],\"mode\":\"cubic\"},"
               "{\"op\":\"lstm\",\"out\":16384}"),
           "too large");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(blocks),     cmocka_unit_test(rms_norms),
                                       cmocka_unit_test(layer_norm_bits),
                                       cmocka_unit_test(plain_form), cmocka_unit_test(masks),
                                       cmocka_unit_test(memory),     cmocka_unit_test(positions),
                                       cmocka_unit_test(shared),
                                       cmocka_unit_test(refusals)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
