/* Plans: the same bits for any number of threads and any rows beside a row; inference against training statistics;
 * folding; how a batch is cut, and that gradients do not depend on it. */
#include "data/json.h"
#include "engine/plan.h"
#include "student/arch.h"
#include "tests/support.h"

static const char resnet[] = "{\"input\":[12,12,3],\"classes\":5,\"family\":\"resnet\",\"width\":8,\"depth\":1}";
static const char mlp[] = "{\"input\":[20],\"classes\":5,\"family\":\"mlp\",\"width\":16,\"depth\":2,\"dropout\":0.2}";
static const char sequence[] =
    "{\"input\":[17,12],\"classes\":5,\"layers\":["
    "{\"op\":\"dense\",\"out\":24,\"name\":\"a\"},{\"op\":\"gelu\"},{\"op\":\"dropout\",\"rate\":0.3},"
    "{\"op\":\"layer_norm\"},"
    "{\"op\":\"dense\",\"out\":24},{\"op\":\"softmax\"},{\"op\":\"add\",\"from\":[\"softmax6\",\"a\"],\"name\":\"b\"},"
    "{\"op\":\"multiply\",\"from\":[\"b\",\"a\"],\"name\":\"c\"},{\"op\":\"concat\",\"from\":[\"b\",\"c\"]},"
    "{\"op\":\"dense\",\"out\":24},{\"op\":\"relu\"},{\"op\":\"global_avg_pool\"},{\"op\":\"dense\",\"out\":5}]}";

/* Positions that are alone between operators of fields, and some that are not. */
static const char operands[] =
    "{\"input\":[17,12],\"classes\":5,\"layers\":["
    "{\"op\":\"dense\",\"out\":24,\"name\":\"a\"},{\"op\":\"gelu_erf\"},"
    "{\"op\":\"multiply\",\"operand\":[24],\"learned\":true},{\"op\":\"dense\",\"out\":24,\"name\":\"b\"},"
    "{\"op\":\"maximum\",\"from\":[\"a\",\"b\"]},{\"op\":\"softplus\"},"
    "{\"op\":\"subtract\",\"operand\":[1],\"learned\":true,\"reverse\":true},"
    "{\"op\":\"dense\",\"out\":24,\"name\":\"c\"},{\"op\":\"reduce_mean\",\"axes\":[0],\"keep\":true},"
    "{\"op\":\"subtract\",\"from\":[\"c\",\"reduce_mean9\"]},{\"op\":\"add\",\"operand\":[17,1],\"learned\":true},"
    "{\"op\":\"dense\",\"out\":24},{\"op\":\"tanh\"},{\"op\":\"permute\",\"axes\":[1,0]},{\"op\":\"log_softmax\"},"
    "{\"op\":\"reduce_l2\",\"axes\":[1]},{\"op\":\"dense\",\"out\":5}]}";

/* Layers that go by panels, of rows that are sequences; the first in tiles of 256 rows and groups of 64 columns. */
static const char wide[] =
    "{\"input\":[9,260],\"classes\":5,\"layers\":[{\"op\":\"dense\",\"out\":270},{\"op\":\"relu\"},"
    "{\"op\":\"dense\",\"out\":260,\"bias\":false},{\"op\":\"gelu\"},{\"op\":\"flatten\"},"
    "{\"op\":\"dense\",\"out\":5}]}";

static rt_graph *build(const char *text)
{
    cJSON *j;
    rt_graph *g;
    check_ok(rt_json_parse(&j, text, strlen(text), "test"));
    check_ok(rt_arch_build(&g, j, "test"));
    cJSON_Delete(j);
    return g;
}

static void square_loss(void *arg, const rt_loss_io *io)
{
    (void)arg;
    for (int r = 0; r < io->rows; r++) {
        io->loss[r] = 0;
        for (int i = 0; i < io->n; i++) {
            float v = io->value[r * io->n + i];
            io->grad[r * io->n + i] = v / (float)io->total;
            io->loss[r] += 0.5f * v * v;
        }
    }
}

/* Ten training steps; the parameters after them. */
static float *train(const rt_graph *g, int threads, int batch, const float *x)
{
    rt_pool *pool = rt_pool_new(threads);
    float *w = random_floats(g->floats[RT_PARAM], 1), *s = random_floats(g->floats[RT_STATE] + 1, 2),
          *grad = random_floats(g->floats[RT_PARAM], 3);
    rt_graph_init(g, 3, w, s);
    rt_plan_spec spec = {.graph = g, .batch = batch, .train = 1, .losses = 1};
    spec.loss[0] = (rt_loss_spec){.tensor = g->output, .fn = square_loss};
    rt_plan *p;
    check_ok(rt_plan_new(&p, &spec, pool));
    for (uint32_t i = 0; i < 10; i++) {
        rt_run run = {
            .rows = batch - (int)(i % 3), .x = {x}, .params = w, .states = s, .grads = grad, .seed = 1, .step = i};
        rt_plan_run(p, &run);
        assert_true(isfinite(run.loss[0]));
        for (size_t k = 0; k < g->floats[RT_PARAM]; k++) w[k] -= 0.01f * grad[k];
    }
    rt_plan_free(p);
    rt_pool_free(pool);
    free(s);
    free(grad);
    return w;
}

static void threads_do_not_matter(void **state)
{
    (void)state;
    const char *const nets[] = {resnet, mlp, wide, sequence, operands};
    for (const rt_kernels *const *k = rt_kernels_all(); *k; k++) {
        if (!rt_kernels_runnable(*k)) continue;
        check_ok(rt_kernels_select((*k)->name));
        for (int n = 0; n < 5; n++) {
            rt_graph *g = build(nets[n]);
            float *x = random_floats(rt_shape_count(&g->tensor[0].shape) * 37, 8), *one = train(g, 1, 37, x);
            for (int t = 2; t <= 5; t++) {
                float *many = train(g, t, 37, x);
                assert_memory_equal(one, many, g->floats[RT_PARAM] * sizeof *one);
                free(many);
            }
            free(one);
            free(x);
            rt_graph_free(g);
        }
    }
}

static void infer(const rt_graph *g, int batch, int rows, const float *x, float *w, float *s, float *out)
{
    rt_pool *pool = rt_pool_new(2);
    rt_plan_spec spec = {.graph = g, .batch = batch};
    rt_plan *p;
    check_ok(rt_plan_new(&p, &spec, pool));
    size_t n = rt_shape_count(&g->tensor[g->input[0]].shape), k = rt_shape_count(&g->tensor[g->output].shape);
    rt_run run = {.params = w, .states = s};
    rt_plan_prepare(p, &run);
    for (int at = 0; at < rows; at += batch) {
        run.rows = rows - at < batch ? rows - at : batch;
        run.x[0] = x + (size_t)at * n;
        rt_plan_run(p, &run);
        memcpy(out + (size_t)at * k, rt_plan_output(p, 0), (size_t)run.rows * k * sizeof *out);
    }
    rt_plan_free(p);
    rt_pool_free(pool);
}

/* A row's answer does not depend on the rows beside it. */
static void batch_does_not_matter(void **state)
{
    (void)state;
    const char *const nets[] = {resnet, mlp, wide, sequence, operands};
    for (const rt_kernels *const *k = rt_kernels_all(); *k; k++)
        for (int n = 0; n < 5; n++) {
            if (!rt_kernels_runnable(*k)) continue;
            check_ok(rt_kernels_select((*k)->name));
            rt_graph *g = build(nets[n]);
            float *x = random_floats(rt_shape_count(&g->tensor[0].shape) * 50, 8),
                  *w = random_floats(g->floats[RT_PARAM], 1), *s = random_floats(g->floats[RT_STATE] + 1, 2), a[250],
                  b[250];
            rt_graph_init(g, 3, w, s);
            infer(g, 50, 50, x, w, s, a);
            static const int batches[] = {1, 2, 3, 7, 16, 49};
            for (int i = 0; i < 6; i++) {
                infer(g, batches[i], 50, x, w, s, b);
                assert_memory_equal(a, b, sizeof a);
            }
            free(x); free(w); free(s);
            rt_graph_free(g);
        }
    check_ok(rt_kernels_select(NULL));
}

/* With momentum 1 the running statistics are the batch's (but for n / (n - 1)), so inference, which folds batch norm
 * into the weights, must give what training's forward pass gave. */
static void *seen;
static void keep_values(void *arg, const rt_loss_io *io)
{
    (void)arg;
    memcpy((float *)seen + (size_t)io->row0 * (size_t)io->n, io->value,
           (size_t)io->rows * (size_t)io->n * sizeof(float));
    memset(io->grad, 0, (size_t)io->rows * (size_t)io->n * sizeof(float));
    memset(io->loss, 0, (size_t)io->rows * sizeof(float));
}

static void folding(void **state)
{
    (void)state;
    const char *const nets[] = {"{\"input\":[16,16,3],\"classes\":5,\"layers\":[{\"op\":\"conv2d\",\"out\":20,"
                                "\"kernel\":3,\"padding\":1},{\"op\":\"batch_norm\",\"momentum\":1},{\"op\":\"relu\"},"
                                "{\"op\":\"conv2d\",\"out\":20,\"kernel\":3,\"groups\":20,\"padding\":1,\"bias\":false}"
                                ",{\"op\":\"batch_norm\",\"momentum\":1},{\"op\":\"gelu\"},"
                                "{\"op\":\"batch_norm\",\"momentum\":1},{\"op\":\"global_avg_pool\"},{\"op\":\"dense\","
                                "\"out\":5},{\"op\":\"batch_norm\",\"momentum\":1}]}"};
    enum { ROWS = 64 };
    rt_graph *g = build(nets[0]);
    rt_pool *pool = rt_pool_new(2);
    float *x = random_floats(rt_shape_count(&g->tensor[0].shape) * ROWS, 8), *w = random_floats(g->floats[RT_PARAM], 1),
          *s = random_floats(g->floats[RT_STATE], 2), *grad = random_floats(g->floats[RT_PARAM], 3);
    float got[ROWS * 5], want[ROWS * 5];
    seen = want;
    rt_graph_init(g, 3, w, s);
    rt_plan_spec spec = {.graph = g, .batch = ROWS, .train = 1, .losses = 1};
    spec.loss[0] = (rt_loss_spec){.tensor = g->output, .fn = keep_values};
    rt_plan *p;
    check_ok(rt_plan_new(&p, &spec, pool));
    rt_run run = {.rows = ROWS, .x = {x}, .params = w, .states = s, .grads = grad};
    rt_plan_run(p, &run);
    for (int i = -1; (i = rt_graph_next_field(g, RT_STATE, i)) >= 0;) {        /* unbiased to biased variance */
        const rt_field *f = &g->field[i];
        if (!strstr(f->name, ".variance")) continue;
        double n = rt_graph_next_field(g, RT_STATE, i) < 0 ? ROWS : ROWS * 256.0;
        for (size_t k = 0; k < f->count; k++) s[f->offset + k] = (float)(s[f->offset + k] * (n - 1) / n);
    }
    infer(g, 16, ROWS, x, w, s, got);
    for (int i = 0; i < ROWS * 5; i++) check_close("folded", got[i], want[i], 2e-4, 2e-4);
    rt_plan_free(p);
    rt_pool_free(pool);
    free(x); free(w); free(s); free(grad);
    rt_graph_free(g);
}

/* Large dense products, of panels in several blocks, against sums in double. */
static void large_dense(void **state)
{
    (void)state;
    rt_graph *g = build("{\"input\":[1100],\"classes\":1000,\"layers\":[{\"op\":\"dense\",\"out\":1000},{\"op\":"
                        "\"relu\"},{\"op\":\"dense\",\"out\":1000}]}");
    float *x = random_floats(1100 * 20, 8), *w = random_floats(g->floats[RT_PARAM], 1), *s = random_floats(1, 2),
          *a = random_floats(20000, 3);
    rt_graph_init(g, 3, w, s);
    infer(g, 20, 20, x, w, s, a);
    for (int r = 0; r < 20; r += 7) {
        static double h[1000];
        for (int o = 0; o < 1000; o++) {
            h[o] = 0;
            for (int i = 0; i < 1100; i++) h[o] += (double)x[r * 1100 + i] * w[i * 1000 + o];
            if (h[o] < 0) h[o] = 0;
        }
        const float *w2 = w + g->field[2].offset;
        for (int o = 0; o < 1000; o += 37) {
            double y = 0;
            for (int i = 0; i < 1000; i++) y += h[i] * w2[i * 1000 + o];
            check_close("large dense", a[r * 1000 + o], y, 1e-4, 1e-4);
        }
    }
    free(x); free(w); free(s); free(a);
    rt_graph_free(g);
}

/* What a plan tells of itself: the most slots of a phase, and whether one of its calls is `call`. */
typedef struct { const char *call; int slots, found, positions; } told;

static void hear(void *arg, const char *line)
{
    told *t = arg;
    const char *in = strstr(line, " in ");
    if (in && strstr(line, "slots of") && atoi(in + 4) > t->slots) t->slots = atoi(in + 4);
    t->positions |= strstr(line, ": positions in") != NULL;
    t->found |= t->call && strstr(line, t->call) != NULL;
}

/* Loss and gradients of `rows` rows in a training plan for `batch`. */
static double gradients(const rt_graph *g, int batch, int rows, const float *x, float *grad, told *t)
{
    rt_pool *pool = rt_pool_new(2);
    float *w = random_floats(g->floats[RT_PARAM], 1), *s = random_floats(g->floats[RT_STATE] + 1, 2);
    rt_graph_init(g, 3, w, s);
    rt_plan_spec spec = {.graph = g, .batch = batch, .train = 1, .losses = 1};
    spec.loss[0] = (rt_loss_spec){.tensor = g->output, .fn = square_loss};
    rt_plan *p;
    check_ok(rt_plan_new(&p, &spec, pool));
    rt_plan_describe(p, hear, t);   /* then twice: sums begin anew */
    rt_run run = {.rows = rows, .x = {x}, .params = w, .states = s, .grads = grad, .seed = 1, .step = 5};
    rt_plan_run(p, &run);
    rt_plan_run(p, &run);
    rt_plan_free(p);
    rt_pool_free(pool);
    free(w);
    free(s);
    return run.loss[0];
}

/* The same rows in plans for few and for many rows: by positions and by rows, dW late and in slots, by Winograd and in
 * parts, of strides and groups. */
static void cuts_do_not_matter(void **state)
{
    (void)state;
    static const struct { const char *net, *few, *many; int positions;
    } cases[] = {
        {sequence, NULL, NULL, 1},
        {"{\"input\":[9,10,16],\"classes\":5,\"layers\":["
         "{\"op\":\"conv2d\",\"out\":24,\"kernel\":3,\"padding\":1},"
         "{\"op\":\"conv2d\",\"out\":24,\"kernel\":3,\"padding\":1},{\"op\":\"flatten\"},"
         "{\"op\":\"dense\",\"out\":5}]}",
         "  winograd dW", "  winograd back", 0},
        {"{\"input\":[9,11,4],\"classes\":5,\"layers\":[{\"op\":\"conv2d\",\"out\":70,\"kernel\":[2,3],\"stride\":2,"
         "\"padding\":1},{\"op\":\"conv2d\",\"out\":140,\"kernel\":3,\"groups\":2},{\"op\":\"conv2d\",\"out\":65,"
         "\"kernel\":1},{\"op\":\"flatten\"},{\"op\":\"dense\",\"out\":5}]}",
         "  conv dW", "  reduce", 0}};
    enum { ROWS = 40, MOST = 4096 };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        rt_graph *g = build(cases[i].net);
        float *x = random_floats(rt_shape_count(&g->tensor[g->input[0]].shape) * MOST, 8),
              *a = random_floats(g->grad_floats, 1), *b = random_floats(g->grad_floats, 2);
        told few = {.call = cases[i].few}, many = {.call = cases[i].many};
        double la = gradients(g, ROWS, ROWS, x, a, &few), lb = gradients(g, MOST, ROWS, x, b, &many);
        check_close("loss", la, lb, 1e-5, 1e-6);
        for (size_t k = 0; k < (size_t)g->fields; k++)
            for (size_t n = 0; n < g->field[k].count && g->field[k].grad_at != RT_NOWHERE; n++)
                check_close(g->field[k].name, a[g->field[k].grad_at + n], b[g->field[k].grad_at + n], 1e-3, 2e-5);
        assert_int_equal(few.positions, cases[i].positions);
        assert_int_equal(many.positions, 0);
        if (cases[i].few) assert_true(few.found && many.found);
        free(x); free(a); free(b);
        rt_graph_free(g);
    }
}

/* Work for 64 threads: of images, and of the positions of few sequences. */
static void work_for_many_threads(void **state)
{
    (void)state;
    static const struct { const char *net; int batch;
    } cases[] = {
        {"{\"input\":[32,32,3],\"classes\":10,\"family\":\"resnet\",\"width\":16,\"depth\":1}", 128},
        {"{\"input\":[64,128],\"classes\":10,\"layers\":[{\"op\":\"dense\",\"out\":256},{\"op\":\"relu\"},{\"op\":"
         "\"dense\",\"out\":128},{\"op\":\"layer_norm\"},{\"op\":\"global_avg_pool\"},{\"op\":\"dense\",\"out\":10}]}",
         32}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        rt_graph *g = build(cases[i].net);
        float *x = random_floats(rt_shape_count(&g->tensor[g->input[0]].shape), 8),
              *grad = random_floats(g->grad_floats, 1);
        told t = {0};
        gradients(g, cases[i].batch, 1, x, grad, &t);
        assert_true(t.slots >= 64);
        free(x); free(grad);
        rt_graph_free(g);
    }
}

static void bad_graphs(void **state)
{
    (void)state;
    static const struct { const char *text, *part;
    } bad[] = {{"{\"input\":[8],\"classes\":3,\"layers\":[{\"op\":\"dens\",\"out\":3}]}", "did you mean 'dense'"},
               {"{\"input\":[8],\"classes\":3,\"layers\":[{\"op\":\"dense\",\"out\":4}]}", "3 classes"},
               {"{\"input\":[8],\"classes\":3,\"layers\":[{\"op\":\"dense\",\"out\":3,\"bais\":true}]}",
                "did you mean 'bias'"},
               {"{\"input\":[8],\"classes\":3,\"layers\":[{\"op\":\"conv2d\",\"out\":3,\"kernel\":3}]}",
                "3 expected: (H, W, C)"},
               {"{\"input\":[2,2,1],\"classes\":3,\"layers\":[{\"op\":\"conv2d\",\"out\":3,\"kernel\":3}]}",
                "larger than the padded input"},
               {"{\"input\":[8],\"classes\":3,\"layers\":[{\"op\":\"dense\",\"out\":3,\"name\":\"a\"},{\"op\":\"add\","
                "\"from\":[\"a\",\"b\"]}]}",
                "no layer before this one is named 'b'"},
               {"{\"input\":[8],\"classes\":3,\"layers\":[{\"op\":\"dense\",\"out\":4,\"name\":\"a\"},{\"op\":"
                "\"dense\",\"out\":3,\"name\":\"b\"},{\"op\":\"add\",\"from\":[\"a\",\"b\"]}]}",
                "must be equal"},
               {"{\"input\":[8],\"classes\":3,\"family\":\"cn\"}", "did you mean 'cnn'"},
               {"{\"input\":[0],\"classes\":3,\"layers\":[]}", "input"},
               {"{\"classes\":3,\"layers\":[]}", "input's shape is required"}};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        cJSON *j;
        rt_graph *g = NULL;
        check_ok(rt_json_parse(&j, bad[i].text, strlen(bad[i].text), "test"));
        check_fails(rt_arch_build(&g, j, "model"), RT_USAGE, bad[i].part);
        assert_null(g);
        cJSON_Delete(j);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(threads_do_not_matter), cmocka_unit_test(batch_does_not_matter),
                                       cmocka_unit_test(folding), cmocka_unit_test(large_dense),
                                       cmocka_unit_test(cuts_do_not_matter), cmocka_unit_test(work_for_many_threads),
                                       cmocka_unit_test(bad_graphs)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
