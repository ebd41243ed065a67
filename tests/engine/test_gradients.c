/* Gradients of every operator, through the plan that training uses, against central differences of an independent
 * forward pass in double. Signs are kept; a test fails if all gradients are near zero or one is not finite. */
#include "data/json.h"
#include "engine/plan.h"
#include "student/arch.h"
#include "tests/support.h"

enum { ROWS = 5, BATCH = 7, PER_FIELD = 40 };

/* ---- the forward pass in double, written from the formulas ---- */

static double act_d(rt_act a, double x, double slope)
{
    switch (a) {
    case RT_ACT_RELU: return x > 0 ? x : 0;
    case RT_ACT_RELU6: return x < 0 ? 0 : x > 6 ? 6 : x;
    case RT_ACT_LEAKY: return x < 0 ? slope * x : x;
    case RT_ACT_GELU: return 0.5 * x * (1 + tanh(sqrt(2 / 3.14159265358979323846) * (x + 0.044715 * x * x * x)));
    case RT_ACT_SILU: return x / (1 + exp(-x));
    case RT_ACT_HARDSWISH: return x * fmin(fmax(x + 3, 0), 6) / 6;
    case RT_ACT_SIGMOID: return 1 / (1 + exp(-x));
    case RT_ACT_TANH: return tanh(x);
    default: return x;
    }
}

typedef struct {
    const rt_graph *g;
    const double *params;
    const float *states;
    double **t;
    uint64_t seed;
    uint32_t epoch, step;
} forward_d;

static double *out_of(forward_d *f, const rt_node *n) { return f->t[n->out]; }
static const double *in_of(forward_d *f, const rt_node *n, int i) { return f->t[n->in[i]]; }
static const double *param_of(forward_d *f, const rt_node *n, int i)
{ return i < n->fields ? f->params + f->g->field[n->field[i]].offset : NULL; }

static void conv_node(forward_d *f, const rt_node *n)
{
    int h, w, c, oh, ow, o;
    rt_shape_hwc(&f->g->tensor[n->in[0]].shape, &h, &w, &c);
    rt_shape_hwc(&f->g->tensor[n->out].shape, &oh, &ow, &o);
    const rt_conv_attr *a = RT_ATTR(n, rt_conv_attr);
    const rt_window *win = &a->window;
    int cg = c / a->groups, og = o / a->groups;
    const double *x = in_of(f, n, 0), *wt = param_of(f, n, 0), *b = param_of(f, n, 1);
    double *y = out_of(f, n);
    for (int r = 0; r < ROWS; r++)
        for (int oy = 0; oy < oh; oy++)
            for (int ox = 0; ox < ow; ox++)
                for (int k = 0; k < o; k++) {
                    double s = b ? b[k] : 0;
                    for (int ky = 0; ky < win->kernel[0]; ky++)
                        for (int kx = 0; kx < win->kernel[1]; kx++)
                            for (int i = 0; i < cg; i++) {
                                int iy = oy * win->stride[0] + ky - win->pad.side[0];
                                int ix = ox * win->stride[1] + kx - win->pad.side[2];
                                if (iy < 0 || iy >= h || ix < 0 || ix >= w) continue;
                                s += x[((r * h + iy) * w + ix) * c + k / og * cg + i] *
                                     wt[((ky * win->kernel[1] + kx) * cg + i) * o + k];
                            }
                    y[((r * oh + oy) * ow + ox) * o + k] = s;
                }
}

static void pool_node(forward_d *f, const rt_node *n)
{
    int h, w, c, oh, ow, o;
    rt_shape_hwc(&f->g->tensor[n->in[0]].shape, &h, &w, &c);
    rt_shape_hwc(&f->g->tensor[n->out].shape, &oh, &ow, &o);
    const rt_window *win = &RT_ATTR(n, rt_pool_attr)->window;
    for (int r = 0; r < ROWS; r++)
        for (int oy = 0; oy < oh; oy++)
            for (int ox = 0; ox < ow; ox++)
                for (int k = 0; k < c; k++) {
                    double best = -INFINITY, sum = 0;
                    int count = 0;
                    for (int ky = 0; ky < win->kernel[0]; ky++)
                        for (int kx = 0; kx < win->kernel[1]; kx++) {
                            int iy = oy * win->stride[0] + ky - win->pad.side[0];
                            int ix = ox * win->stride[1] + kx - win->pad.side[2];
                            if (iy < 0 || iy >= h || ix < 0 || ix >= w) continue;
                            double v = in_of(f, n, 0)[((r * h + iy) * w + ix) * c + k];
                            best = fmax(best, v);
                            sum += v;
                            count++;
                        }
                    out_of(f, n)[((r * oh + oy) * ow + ox) * c + k] = n->op == RT_OP_MAX_POOL ? best : sum / count;
                }
}

static void norm_node(forward_d *f, const rt_node *n)
{
    const rt_shape *s = &f->g->tensor[n->out].shape;
    size_t c = (size_t)s->dim[s->rank - 1], px = rt_shape_count(s) / c * ROWS;
    const double *x = in_of(f, n, 0), *gamma = param_of(f, n, 0), *beta = param_of(f, n, 1);
    int batch = n->op == RT_OP_BATCH_NORM;
    float eps = batch ? RT_ATTR(n, rt_batch_norm_attr)->eps : RT_ATTR(n, rt_layer_norm_attr)->eps;
    for (size_t i = 0; i < (batch ? c : px); i++) {
        double m = 0, v = 0, count = (double)(batch ? px : c);
        for (size_t k = 0; k < (batch ? px : c); k++) m += x[batch ? k * c + i : i * c + k] / count;
        for (size_t k = 0; k < (batch ? px : c); k++) v += pow(x[batch ? k * c + i : i * c + k] - m, 2) / count;
        if (batch && f->g->field[n->field[0]].flags & RT_F_FROZEN) {
            m = f->states[f->g->field[n->field[2]].offset + i];
            v = f->states[f->g->field[n->field[3]].offset + i];
        }
        for (size_t k = 0; k < (batch ? px : c); k++) {
            size_t at = batch ? k * c + i : i * c + k, ch = batch ? i : k;
            out_of(f, n)[at] = (x[at] - m) / sqrt(v + eps) * gamma[ch] + beta[ch];
        }
    }
}

static void dropout_node(forward_d *f, const rt_node *n, size_t per_row)
{
    float rate = RT_ATTR(n, rt_dropout_attr)->rate;
    uint32_t limit = (uint32_t)(rate * 4294967296.0), node = (uint32_t)(n - f->g->node), w[4];
    for (size_t r = 0; r < ROWS; r++)
        for (size_t i = 0; i < per_row; i++) {
            rt_random4(w, f->seed + ((uint64_t)node << 40), RT_RNG_DROPOUT, f->epoch, f->step, (uint32_t)r,
                       (uint32_t)(i & ~(size_t)3));
            double x = in_of(f, n, 0)[r * per_row + i];
            out_of(f, n)[r * per_row + i] = w[i & 3] < limit ? 0 : x / (1 - (double)rate);
        }
}

static void run_node(forward_d *f, const rt_node *n)
{
    const rt_shape *s = &f->g->tensor[n->out].shape;
    size_t row = rt_shape_count(s), all = row * ROWS, c = (size_t)s->dim[s->rank - 1];
    const rt_epilogue *end = RT_ATTR(n, rt_epilogue);
    double *y = out_of(f, n);
    const double *x = n->inputs ? in_of(f, n, 0) : NULL, *x2 = n->inputs > 1 ? in_of(f, n, 1) : NULL;
    switch (n->op) {
    case RT_OP_INPUT: break;
    case RT_OP_DENSE: {
        const double *w = param_of(f, n, 0), *b = param_of(f, n, 1);
        size_t k = f->g->field[n->field[0]].count / c;
        for (size_t p = 0; p < all / c; p++)
            for (size_t o = 0; o < c; o++) {
                double v = b ? b[o] : 0;
                for (size_t i = 0; i < k; i++) v += x[p * k + i] * w[i * c + o];
                y[p * c + o] = v;
            }
        break;
    }
    case RT_OP_CONV1D: case RT_OP_CONV2D: conv_node(f, n); break;
    case RT_OP_BATCH_NORM: case RT_OP_LAYER_NORM: norm_node(f, n); break;
    case RT_OP_MAX_POOL: case RT_OP_AVG_POOL: pool_node(f, n); break;
    case RT_OP_GLOBAL_AVG_POOL: {
        size_t px = rt_shape_count(&f->g->tensor[n->in[0]].shape) / c;
        for (size_t r = 0; r < ROWS; r++)
            for (size_t i = 0; i < c; i++) {
                y[r * c + i] = 0;
                for (size_t p = 0; p < px; p++) y[r * c + i] += x[(r * px + p) * c + i] / (double)px;
            }
        break;
    }
    case RT_OP_ACTIVATION: for (size_t i = 0; i < all; i++) y[i] = act_d(end->act, x[i], end->slope); break;
    case RT_OP_ADD: for (size_t i = 0; i < all; i++) y[i] = x[i] + x2[i]; break;
    case RT_OP_MUL: for (size_t i = 0; i < all; i++) y[i] = x[i] * x2[i]; break;
    case RT_OP_CONCAT: {
        size_t at = 0;
        for (int q = 0; q < n->inputs; q++) {
            const rt_shape *si = &f->g->tensor[n->in[q]].shape;
            size_t ci = (size_t)si->dim[si->rank - 1];
            for (size_t p = 0; p < all / c; p++)
                for (size_t i = 0; i < ci; i++) y[p * c + at + i] = in_of(f, n, q)[p * ci + i];
            at += ci;
        }
        break;
    }
    case RT_OP_FLATTEN: case RT_OP_RESHAPE: memcpy(y, x, all * sizeof *y); break;
    case RT_OP_DROPOUT: dropout_node(f, n, row); break;
    case RT_OP_EMBEDDING: {
        const double *w = param_of(f, n, 0);
        for (size_t p = 0; p < all / c; p++) for (size_t i = 0; i < c; i++) y[p * c + i] = w[(size_t)x[p] * c + i];
        break;
    }
    case RT_OP_POSITION:
        for (size_t r = 0; r < ROWS; r++)
            for (size_t i = 0; i < row; i++) {
                size_t t = i / c, k = i % c;
                double angle = (double)t / pow(10000, (double)(k - k % 2) / (double)c);
                y[r * row + i] = x[r * row + i] + (RT_ATTR(n, rt_position_attr)->learned ? param_of(f, n, 0)[i]
                                                   : k % 2 ? cos(angle) : sin(angle));
            }
        break;
    case RT_OP_SOFTMAX:
        for (size_t p = 0; p < all / c; p++) {
            double sum = 0;
            for (size_t i = 0; i < c; i++) sum += exp(x[p * c + i]);
            for (size_t i = 0; i < c; i++) y[p * c + i] = exp(x[p * c + i]) / sum;
        }
        break;
    default: fail_msg("the double forward pass lacks operator %d", (int)n->op);
    }
}

/* loss = mean over rows of sum_i weight[i] out[i] */
static double loss_d(forward_d *f, const double *weight)
{
    const rt_graph *g = f->g;
    double s = 0;
    size_t n = rt_shape_count(&g->tensor[g->output].shape) * ROWS;
    for (int i = 0; i < g->nodes; i++) run_node(f, &g->node[i]);
    for (size_t i = 0; i < n; i++) s += weight[i] * f->t[g->output][i] / ROWS;
    return s;
}

static void loss_fn(void *arg, const rt_loss_io *io)
{
    const double *weight = arg;
    for (int r = 0; r < io->rows; r++) {
        double s = 0;
        for (int i = 0; i < io->n; i++) {
            double w = weight[(size_t)(io->row0 + r) * (size_t)io->n + (size_t)i];
            io->grad[r * io->n + i] = (float)(w / io->total);
            s += w * io->value[r * io->n + i];
        }
        io->loss[r] = (float)s;
    }
}

static void check_arch(const char *json)
{
    cJSON *j;
    rt_graph *g;
    check_ok(rt_json_parse(&j, json, strlen(json), "test"));
    check_ok(rt_arch_build(&g, j, "test"));
    size_t no = rt_shape_count(&g->tensor[g->output].shape) * BATCH;
    float *x[RT_MAX_INPUTS] = {0}, *w = random_floats(no, 12);
    float *params = random_floats(g->floats[RT_PARAM], 1), *states = random_floats(g->floats[RT_STATE] + 1, 2),
          *grads = random_floats(g->floats[RT_PARAM], 3);
    rt_graph_init(g, 5, params, states);
    for (int i = -1; (i = rt_graph_next_field(g, RT_PARAM, i)) >= 0;) {     /* biases and norms not at first values */
        rt_field *f = &g->field[i];
        float *extra = random_floats(f->count, 100 + f->key);
        for (size_t k = 0; k < f->count; k++) params[f->offset + k] += 0.2f * extra[k];
        free(extra);
    }
    static const char *const named[] = {"frozen*"};
    float *running = random_floats(g->floats[RT_STATE] + 1, 4);
    for (size_t i = 0; i < g->floats[RT_STATE]; i++) states[i] += fabsf(running[i]);
    memcpy(running, states, g->floats[RT_STATE] * sizeof *running);
    if (strstr(json, "\"frozen")) check_ok(rt_graph_freeze(g, named, 1));
    double *weight = malloc(no * sizeof *weight), *pd = malloc(g->floats[RT_PARAM] * sizeof *pd);
    for (size_t i = 0; i < no; i++) weight[i] = w[i];
    for (size_t i = 0; i < g->floats[RT_PARAM]; i++) pd[i] = params[i];
    forward_d f = {.g = g,
                   .params = pd,
                   .states = running,
                   .t = calloc((size_t)g->tensors, sizeof *f.t),
                   .seed = 77,
                   .epoch = 3,
                   .step = 9};
    for (int t = 0; t < g->tensors; t++) f.t[t] = calloc(rt_shape_count(&g->tensor[t].shape) * ROWS, sizeof **f.t);
    for (int k = 0; k < g->inputs; k++) {
        size_t n = rt_shape_count(&g->tensor[g->input[k]].shape) * ROWS;
        x[k] = random_floats(n, 11 + 31 * (uint32_t)k);
        int ids = rt_graph_ids(g, k);
        for (size_t i = 0; i < n && ids; i++) {
            int32_t id = (int32_t)(fabsf(x[k][i]) * 1000) % ids;
            memcpy(&x[k][i], &id, sizeof id);
        }
        for (size_t i = 0; i < n; i++) f.t[g->input[k]][i] = ids ? ((const int32_t *)(void *)x[k])[i] : x[k][i];
    }

    rt_pool *pool = rt_pool_new(2);
    rt_plan_spec spec = {.graph = g, .batch = BATCH, .train = 1, .losses = 1};
    spec.loss[0] = (rt_loss_spec){.tensor = g->output, .fn = loss_fn, .arg = weight};
    rt_plan *p = rt_plan_new(&spec, pool);
    if (!p) fail_msg("%s: %s", json, rt_error_message());
    rt_run run = {
        .rows = ROWS, .params = params, .states = states, .grads = grads, .seed = 77, .epoch = 3, .step = 9};
    memcpy(run.x, x, sizeof x);
    rt_plan_run(p, &run);
    double loss = loss_d(&f, weight), largest = 0;
    check_close(json, run.loss[0], loss, 2e-4, 2e-4);
    for (int i = -1; (i = rt_graph_next_field(g, RT_PARAM, i)) >= 0;) {
        const rt_field *q = &g->field[i];
        double scale = 0;
        if (q->grad_at == RT_NOWHERE) continue;
        for (size_t k = 0; k < q->count; k++) scale = fmax(scale, fabs(grads[q->grad_at + k]));
        for (size_t k = 0; k < q->count; k += q->count / PER_FIELD + 1) {
            double *v = &pd[q->offset + k], keep = *v, step = 1e-5;
            *v = keep + step;
            double up = loss_d(&f, weight);
            *v = keep - step;
            double down = loss_d(&f, weight), want = (up - down) / (2 * step), got = grads[q->grad_at + k];
            *v = keep;
            char text[512];
            snprintf(text, sizeof text, "%s: d/d %s[%zu] (%s)", json, q->name, k, rt_kernels_get()->name);
            assert_true(isfinite(got));
            check_close(text, got, want, 1e-4 * scale + 2e-6, 2e-3);
            largest = fmax(largest, fabs(want));
        }
    }
    assert_true(largest > 1e-3);
    for (int i = 0; i < g->nodes; i++)
        for (int k = 2; k < g->node[i].fields && g->node[i].op == RT_OP_BATCH_NORM; k++) {
            const rt_field *q = &g->field[g->node[i].field[k]];
            int still = !memcmp(states + q->offset, running + q->offset, q->count * sizeof *states);
            assert_int_equal(still, !strncmp(g->node[i].name, "frozen", 6));
        }
    rt_plan_free(p);
    rt_pool_free(pool);
    for (int t = 0; t < g->tensors; t++) free(f.t[t]);
    for (int k = 0; k < g->inputs; k++) free(x[k]);
    free(f.t); free(w); free(params); free(states); free(running); free(grads); free(weight); free(pd);
    rt_graph_free(g);
    cJSON_Delete(j);
}

static void in_families(const char *const *arch, int openblas)
{
    for (const rt_kernels *const *k = rt_kernels_all(); *k; k++) {
        if (!rt_kernels_runnable(*k) || (!openblas && strncmp((*k)->name, "openblas", 8) == 0)) continue;
        check_ok(rt_kernels_select((*k)->name));
        for (const char *const *a = arch; *a; a++) check_arch(*a);
    }
}

#define FROZEN(op, number, rest) NAMED(op, "frozen" number, rest)
#define NET(input, classes, layers) "{\"input\":" input ",\"classes\":" classes ",\"layers\":[" layers "]}"
#define NAMED(op, name, rest) "{\"op\":\"" op "\",\"name\":\"" name "\"" rest "}"
#define STEM "{\"op\":\"conv2d\",\"out\":5,\"kernel\":1},"
#define HEAD ",{\"op\":\"global_avg_pool\"},{\"op\":\"dense\",\"out\":3}"

/* All but the openblas family, which differs from the plain-C one in dense products alone. */
static void each_family(const char *const *arch) { in_families(arch, 0); }

static void dense(void **state)
{
    (void)state;
    static const char *const a[] = {NET("[7]", "3", "{\"op\":\"dense\",\"out\":19},{\"op\":\"relu\"},"
        "{\"op\":\"dense\",\"out\":3,\"bias\":false}"),
                                    NET("[150]", "1", "{\"op\":\"dense\",\"out\":70},{\"op\":\"relu6\"},"
                                        "{\"op\":\"dense\",\"out\":1}"),
                                    NET("[40]", "3", "{\"op\":\"dense\",\"out\":64},{\"op\":\"gelu\"},"
                                        "{\"op\":\"dense\",\"out\":70},{\"op\":\"tanh\"},{\"op\":\"dense\",\"out\":3}"),
                                    NET("[6,5]", "4", "{\"op\":\"dense\",\"out\":8},{\"op\":\"gelu\"},"
                                        "{\"op\":\"dense\",\"out\":3},{\"op\":\"flatten\"},"
                                        "{\"op\":\"dense\",\"out\":4}"),
                                    /* by panels, and two that add to one gradient */
                                    NET("[6]", "2", "{\"op\":\"dense\",\"out\":260,\"name\":\"a\"},"
                                        "{\"op\":\"dense\",\"out\":256,\"name\":\"b\"},"
                                        "{\"op\":\"dense\",\"from\":\"a\",\"out\":256,\"name\":\"c\"},"
                                        "{\"op\":\"add\",\"from\":[\"b\",\"c\"]},{\"op\":\"relu\"},"
                                        "{\"op\":\"dense\",\"out\":2}"), NULL};
    in_families(a, 1);
}

/* Weights of several layers: products over rows, sums in slots, Winograd's planes; used in one phase and in several;
 * and a use whose gradient nothing asks for. */
static void shared(void **state)
{
    (void)state;
    /* not shared, but a norm whose channels a view hides from the sum that would take them up */
    static const char *const hidden[] = {
        NET("[5,3]", "3", NAMED("dense", "d", ",\"out\":3") ",{\"op\":\"batch_norm\"}," NAMED("flatten", "f", "") ","
            NAMED("flatten", "g", ",\"from\":\"d\"") ",{\"op\":\"add\",\"from\":[\"f\",\"g\"]},"
            "{\"op\":\"dense\",\"out\":3}"), NULL};
    each_family(hidden);
#define SHARE(op, of, rest) "{\"op\":\"" op "\",\"share\":\"" of "\"" rest "}"
    static const char *const a[] = {
        NET("[7]", "7", NAMED("dense", "a", ",\"out\":7") ",{\"op\":\"tanh\"}," SHARE("dense", "a", ",\"out\":7")
            ",{\"op\":\"sigmoid\"}," SHARE("dense", "a", ",\"out\":7,\"bias\":false")),
        NET("[70]", "3", NAMED("dense", "a", ",\"out\":70") "," NAMED("layer_norm", "n", "") ",{\"op\":\"relu\"},"
            SHARE("dense", "a", ",\"out\":70") "," SHARE("layer_norm", "n", "") ",{\"op\":\"dense\",\"out\":3}"),
        NET("[6,7,5]", "3", NAMED("conv2d", "a", ",\"out\":5,\"kernel\":3,\"padding\":1") ",{\"op\":\"batch_norm\"},"
            "{\"op\":\"relu\"}," SHARE("conv2d", "a", ",\"out\":5,\"kernel\":3,\"padding\":1") HEAD),
        NET("[8,8,2]", "3", NAMED("conv2d", "s", ",\"out\":32,\"kernel\":1") ","
            NAMED("conv2d", "a", ",\"out\":32,\"kernel\":3,\"padding\":1") ","
            SHARE("conv2d", "a", ",\"out\":32,\"kernel\":3,\"padding\":1") HEAD), NULL};
    each_family(a);
}

static void convolution(void **state)
{
    (void)state;
    static const char *const a[] = {
        NET("[7,6,2]", "3", STEM "{\"op\":\"conv2d\",\"out\":17,\"kernel\":3,\"padding\":1}" HEAD),
        NET("[8,9,3]", "3", STEM "{\"op\":\"conv2d\",\"out\":6,\"kernel\":3,\"stride\":2,\"padding\":1}" HEAD),
        NET("[8,9,3]", "3", STEM
            "{\"op\":\"conv2d\",\"out\":6,\"kernel\":[2,5],\"stride\":[3,2],\"padding\":[1,0,2,1]}" HEAD),
        NET("[9,8,3]", "3", STEM "{\"op\":\"conv2d\",\"out\":6,\"kernel\":1,\"stride\":2}" HEAD),
        NET("[9,8,3]", "3", STEM "{\"op\":\"conv2d\",\"out\":4,\"kernel\":4,\"stride\":3,\"padding\":\"same\"},"
            "{\"op\":\"relu\"}" HEAD),
        NET("[5,5,3]", "3", STEM "{\"op\":\"conv2d\",\"out\":4,\"kernel\":5,\"padding\":2,\"bias\":false}" HEAD),
        NET("[10,7,1]", "3", "{\"op\":\"conv2d\",\"out\":66,\"kernel\":[10,4],\"stride\":2,\"padding\":[4,1]},"
            "{\"op\":\"relu\"},{\"op\":\"conv2d\",\"out\":70,\"kernel\":3,\"padding\":1}" HEAD),
        NET("[6,6,2]", "3", "{\"op\":\"conv2d\",\"out\":6,\"kernel\":1},"
            "{\"op\":\"conv2d\",\"out\":9,\"kernel\":3,\"groups\":3,\"padding\":1}" HEAD),
        NET("[6,7,2]", "3", "{\"op\":\"conv2d\",\"out\":8,\"kernel\":1},"
            "{\"op\":\"conv2d\",\"out\":4,\"kernel\":3,\"stride\":2,\"groups\":2}" HEAD),
        NET("[6,7,2]", "3", "{\"op\":\"conv2d\",\"out\":19,\"kernel\":1},"
            "{\"op\":\"conv2d\",\"out\":19,\"kernel\":3,\"groups\":19,\"padding\":1}" HEAD),
        NET("[8,7,2]", "3", "{\"op\":\"conv2d\",\"out\":7,\"kernel\":1},"
            "{\"op\":\"conv2d\",\"out\":7,\"kernel\":5,\"stride\":2,\"groups\":7,\"padding\":2},"
            "{\"op\":\"relu6\"}" HEAD),
        NET("[11,3]", "3", "{\"op\":\"conv1d\",\"out\":6,\"kernel\":1},"
            "{\"op\":\"conv1d\",\"out\":9,\"kernel\":5,\"padding\":2,\"stride\":2},{\"op\":\"relu\"}" HEAD),
        NET("[11,3]", "3", "{\"op\":\"conv1d\",\"out\":6,\"kernel\":1},"
            "{\"op\":\"conv1d\",\"out\":6,\"kernel\":3,\"padding\":1,\"groups\":6}" HEAD), NULL};
    each_family(a);
}

/* 3x3 kernels of stride 1 with channels enough for Winograd: padded, not padded, over a branch, grouped (which goes
 * directly). */
static void winograd(void **state)
{
    (void)state;
    static const char *const a[] = {
        NET("[9,6,2]", "3", "{\"op\":\"conv2d\",\"out\":16,\"kernel\":1},"
            "{\"op\":\"conv2d\",\"out\":17,\"kernel\":3,\"padding\":1},{\"op\":\"relu\"}" HEAD),
        NET("[10,9,2]", "3", "{\"op\":\"conv2d\",\"out\":18,\"kernel\":1},"
            "{\"op\":\"conv2d\",\"out\":16,\"kernel\":3,\"bias\":false},{\"op\":\"batch_norm\"},"
            "{\"op\":\"relu\"}" HEAD),
        NET("[8,8,2]", "3", NAMED("conv2d", "a", ",\"out\":16,\"kernel\":1") ","
            NAMED("conv2d", "b", ",\"out\":16,\"kernel\":3,\"padding\":1") ","
            NAMED("add", "c", ",\"from\":[\"b\",\"a\"]")
            ",{\"op\":\"conv2d\",\"out\":32,\"kernel\":3,\"padding\":[2,1,0,1]}" HEAD),
        NET("[8,8,2]", "3", "{\"op\":\"conv2d\",\"out\":32,\"kernel\":1},"
            "{\"op\":\"conv2d\",\"out\":32,\"kernel\":3,\"padding\":1,\"groups\":2}" HEAD), NULL};
    each_family(a);
}

/* Images larger than the block of rows that a convolution takes at a time. */
static void large_images(void **state)
{
    (void)state;
    static const char *const a[] = {
        NET("[40,30,2]", "3", "{\"op\":\"conv2d\",\"out\":16,\"kernel\":1},"
            "{\"op\":\"conv2d\",\"out\":6,\"kernel\":3,\"padding\":1}" HEAD),
        NET("[40,30,2]", "3", "{\"op\":\"conv2d\",\"out\":16,\"kernel\":1},"
            "{\"op\":\"conv2d\",\"out\":16,\"kernel\":5,\"padding\":2,\"groups\":16}" HEAD),
        NET("[41,30,2]", "3", "{\"op\":\"conv2d\",\"out\":16,\"kernel\":1},"
            "{\"op\":\"conv2d\",\"out\":16,\"kernel\":3,\"stride\":2,\"padding\":1,\"groups\":16}" HEAD),
        NET("[41,30,2]", "3", "{\"op\":\"conv2d\",\"out\":16,\"kernel\":1},"
            "{\"op\":\"conv2d\",\"out\":4,\"kernel\":3,\"stride\":2,\"padding\":1}" HEAD),
        NET("[37,30,2]", "3", "{\"op\":\"conv2d\",\"out\":16,\"kernel\":1},"
            "{\"op\":\"conv2d\",\"out\":4,\"kernel\":3}" HEAD), NULL};
    each_family(a);
}

static void norms(void **state)
{
    (void)state;
    static const char *const a[] = {
        NET("[6,6,2]", "3", STEM "{\"op\":\"batch_norm\"},{\"op\":\"conv2d\",\"out\":4,\"kernel\":3}" HEAD),
        NET("[6,6,2]", "3", STEM "{\"op\":\"batch_norm\"},{\"op\":\"relu\"},"
            "{\"op\":\"conv2d\",\"out\":18,\"kernel\":3},{\"op\":\"batch_norm\"},{\"op\":\"relu6\"}" HEAD),
        NET("[6,6,2]", "3", "{\"op\":\"conv2d\",\"out\":40,\"kernel\":1},{\"op\":\"batch_norm\"},"
            "{\"op\":\"silu\"},{\"op\":\"conv2d\",\"out\":4,\"kernel\":3}" HEAD),
        NET("[9]", "3", "{\"op\":\"dense\",\"out\":12},{\"op\":\"batch_norm\"},{\"op\":\"relu\"},"
            "{\"op\":\"dense\",\"out\":3}"),
        NET("[9]", "3", "{\"op\":\"dense\",\"out\":12},{\"op\":\"layer_norm\"},{\"op\":\"tanh\"},"
            "{\"op\":\"dense\",\"out\":3}"),
        NET("[4,6]", "3", "{\"op\":\"dense\",\"out\":7},{\"op\":\"layer_norm\"},{\"op\":\"flatten\"},"
            "{\"op\":\"dense\",\"out\":3}"), NULL};
    each_family(a);
}

static void activations(void **state)
{
    (void)state;
    static const char *const names[] = {"relu", "relu6", "leaky_relu", "gelu", "silu", "hard_swish", "sigmoid", "tanh"};
    char text[8][256];
    const char *a[9] = {0};
    for (int i = 0; i < 8; i++) {
        snprintf(text[i], 256, NET("[9]", "3", "{\"op\":\"dense\",\"out\":20},{\"op\":\"layer_norm\"},"
            "{\"op\":\"%s\"},{\"op\":\"dense\",\"out\":3}"), names[i]);
        a[i] = text[i];
    }
    each_family(a);
}

static void pools(void **state)
{
    (void)state;
    static const char *const a[] = {
        NET("[6,8,2]", "3", STEM "{\"op\":\"max_pool\",\"kernel\":2}" HEAD),
        NET("[7,9,2]", "3", "{\"op\":\"conv2d\",\"out\":18,\"kernel\":1},"
            "{\"op\":\"max_pool\",\"kernel\":3,\"stride\":2,\"padding\":1}" HEAD),
        NET("[7,9,2]", "3", STEM "{\"op\":\"max_pool\",\"kernel\":2}" HEAD),
        NET("[7,9,2]", "3", STEM "{\"op\":\"avg_pool\",\"kernel\":3,\"stride\":2,\"padding\":1}" HEAD),
        NET("[6,8,2]", "3", STEM "{\"op\":\"avg_pool\",\"kernel\":2}" HEAD),
        NET("[12,3]", "3", "{\"op\":\"conv1d\",\"out\":6,\"kernel\":3},{\"op\":\"max_pool\",\"kernel\":2}" HEAD), NULL};
    each_family(a);
}

static void branches(void **state)
{
    (void)state;
    static const char *const a[] = {
        /* two inputs, the second read twice; they meet in a sum, then side by side */
        "{\"inputs\":[{\"name\":\"p\",\"shape\":[6,6,2]},{\"name\":\"q\",\"shape\":[7]}],\"classes\":3,\"layers\":["
            NAMED("conv2d", "a", ",\"out\":5,\"kernel\":3,\"from\":\"p\"") "," NAMED("batch_norm", "n", "") ","
            "{\"op\":\"relu\"}," NAMED("global_avg_pool", "g", "") ","
            NAMED("dense", "d", ",\"out\":5,\"from\":\"q\"") "," NAMED("add", "s", ",\"from\":[\"g\",\"d\"]") ","
            NAMED("concat", "c", ",\"from\":[\"q\",\"s\"]") ",{\"op\":\"dense\",\"out\":3}]}",
        /* residual, its input used twice; the sum has an activation */
        NET("[6,6,2]", "3", STEM NAMED("batch_norm", "n0", "") "," NAMED("relu", "a", "") ","
            NAMED("conv2d", "b", ",\"out\":5,\"kernel\":3,\"padding\":1") "," NAMED("batch_norm", "c", "") ","
            NAMED("add", "d", ",\"from\":[\"c\",\"a\"]") ",{\"op\":\"relu\"},"
                "{\"op\":\"conv2d\",\"out\":4,\"kernel\":3}" HEAD),
        /* the skip comes first, and the branch is one layer */
        NET("[6,6,2]", "3", NAMED("conv2d", "a", ",\"out\":5,\"kernel\":1") ","
            NAMED("conv2d", "b", ",\"out\":5,\"kernel\":3,\"padding\":1") ","
            NAMED("add", "d", ",\"from\":[\"a\",\"b\"]") "," NAMED("gelu", "e", "") HEAD),
        NET("[8]", "3", NAMED("dense", "a", ",\"out\":6") ","
            NAMED("dense", "b", ",\"out\":6,\"from\":\"input\"") "," NAMED("sigmoid", "s", "") ","
            NAMED("multiply", "m", ",\"from\":[\"a\",\"s\"]") ",{\"op\":\"dense\",\"out\":3}"),
        NET("[8]", "3", NAMED("dense", "a", ",\"out\":6") ","
            NAMED("multiply", "m", ",\"from\":[\"a\",\"a\"]") ","
            NAMED("add", "n", ",\"from\":[\"m\",\"m\"]") ",{\"op\":\"dense\",\"out\":3}"),
        NET("[5,5,2]", "3", NAMED("conv2d", "a", ",\"out\":3,\"kernel\":1") ","
            NAMED("conv2d", "b", ",\"out\":4,\"kernel\":3,\"padding\":1") ","
            NAMED("concat", "c", ",\"from\":[\"a\",\"b\",\"a\"]") ",{\"op\":\"relu\"}" HEAD),
        NET("[12]", "3", "{\"op\":\"dense\",\"out\":12},{\"op\":\"reshape\",\"shape\":[2,2,3]},"
            "{\"op\":\"conv2d\",\"out\":4,\"kernel\":2},{\"op\":\"flatten\"},{\"op\":\"dense\",\"out\":3}"),
        NET("[12]", "3", "{\"op\":\"dense\",\"out\":15},{\"op\":\"dropout\",\"rate\":0.4},"
            "{\"op\":\"dense\",\"out\":3}"),
        NET("[6,6,2]", "3", STEM "{\"op\":\"batch_norm\"},{\"op\":\"relu\"},{\"op\":\"dropout\",\"rate\":0.3},"
            "{\"op\":\"conv2d\",\"out\":4,\"kernel\":3}" HEAD),
        NET("[9]", "4", "{\"op\":\"dense\",\"out\":11},{\"op\":\"softmax\"},{\"op\":\"dense\",\"out\":4},"
            "{\"op\":\"softmax\"}"),
        "{\"input\":[8,8,3],\"classes\":4,\"family\":\"resnet\",\"width\":4,\"depth\":2}",
        "{\"input\":[12,9,1],\"classes\":4,\"family\":\"dscnn\",\"width\":10,\"depth\":2}",
        /* gradients that branches share, late readers, an own copy, the same input twice, batch norms side by side */
        NET("[6]", "3", NAMED("dense", "a", ",\"out\":8") "," NAMED("dense", "b", ",\"out\":8") ","
            NAMED("add", "c", ",\"from\":[\"b\",\"a\"]") ",{\"op\":\"dense\",\"out\":3}"),
        NET("[6]", "3", NAMED("dense", "a", ",\"out\":8") ","
            NAMED("add", "b", ",\"from\":[\"a\",\"a\"]") ",{\"op\":\"relu\"},"
            NAMED("add", "c", ",\"from\":[\"b\",\"a\"]") ",{\"op\":\"dense\",\"out\":3}"),
        NET("[6]", "3", NAMED("dense", "a", ",\"out\":8") "," NAMED("dense", "b", ",\"out\":8") ","
            NAMED("add", "c", ",\"from\":[\"a\",\"b\"]") "," NAMED("relu", "d", "") ","
            NAMED("add", "e", ",\"from\":[\"d\",\"a\"]") ","
            NAMED("add", "f", ",\"from\":[\"e\",\"d\"]") ",{\"op\":\"dense\",\"out\":3}"),
        NET("[6,6,2]", "3", NAMED("conv2d", "a", ",\"out\":5,\"kernel\":1") ","
            NAMED("batch_norm", "b", ",\"from\":\"a\"") ","
            NAMED("conv2d", "c", ",\"from\":\"a\",\"out\":5,\"kernel\":3,\"padding\":1") ","
            NAMED("batch_norm", "d", "") ",{\"op\":\"relu\",\"name\":\"r\"},"
            NAMED("batch_norm", "e", ",\"from\":\"a\"") "," NAMED("add", "f", ",\"from\":[\"b\",\"e\"]") ","
            NAMED("add", "g", ",\"from\":[\"f\",\"r\"]") HEAD),
        NET("[6,6,2]", "3", STEM NAMED("batch_norm", "b", "") "," NAMED("relu", "r", "") ","
            NAMED("add", "f", ",\"from\":[\"r\",\"r\"]") "," NAMED("batch_norm", "h", "") ","
            NAMED("add", "g", ",\"from\":[\"h\",\"r\"]") HEAD),
        "{\"input\":[8,8,1],\"classes\":4,\"family\":\"cnn\",\"width\":4,\"depth\":2,\"convs\":2}", NULL};
    each_family(a);
}

/* Layers named frozen...: no gradient, those before and behind them as ever, running statistics in place of the
 * batch's. */
static void frozen(void **state)
{
    (void)state;
    static const char *const a[] = {
        NET("[7]", "3", FROZEN("dense", "1", ",\"out\":19") ",{\"op\":\"relu\"},{\"op\":\"dense\",\"out\":3}"),
        NET("[7]", "3",
            "{\"op\":\"dense\",\"out\":19},{\"op\":\"gelu\"}," FROZEN(
                "dense", "1", ",\"out\":40") ",{\"op\":\"relu\"},{\"op\":\"dense\",\"out\":3}"),
        NET("[9]", "3",
            "{\"op\":\"dense\",\"out\":12}," FROZEN("batch_norm", "1", "") ",{\"op\":\"relu\"},"
            "{\"op\":\"dense\",\"out\":3}"),
        NET("[6,6,2]", "3",
            STEM FROZEN("conv2d", "1", ",\"out\":6,\"kernel\":3,\"padding\":1") "," FROZEN(
                "batch_norm", "2", "") ",{\"op\":\"gelu\"},{\"op\":\"conv2d\",\"out\":4,\"kernel\":3}" HEAD),
        NET("[8,8,16]", "3",
            "{\"op\":\"conv2d\",\"out\":16,\"kernel\":3,\"padding\":1}," /* Winograd */
            FROZEN(
                "conv2d", "1",
                ",\"out\":16,\"kernel\":3,\"padding\":1") ","
            "{\"op\":\"conv2d\",\"out\":16,\"kernel\":3,\"padding\":1}" HEAD),
        NET("[6,6,2]", "3", STEM FROZEN("conv2d", "1", ",\"out\":10,\"groups\":5,\"kernel\":3,\"padding\":1") HEAD),
        NET("[6,5]", "4",
            "{\"op\":\"dense\",\"out\":8}," FROZEN("layer_norm", "1",
                                                   "") ",{\"op\":\"dense\",\"out\":3},"
            "{\"op\":\"flatten\"},{\"op\":\"dense\",\"out\":4}"),
        /* Two norms into an addition, one of them frozen, then both; a frozen branch beside a trained one. */
        NET("[6,6,2]", "3",
            STEM NAMED("relu", "s", "") "," NAMED("conv2d", "a", ",\"out\":5,\"kernel\":3,\"padding\":1") "," FROZEN(
                "batch_norm", "1",
                "") "," NAMED("conv2d", "b",
                              ",\"out\":5,\"kernel\":1,\"from\":\"s\"") "," NAMED("batch_norm", "n",
                                                                                  "") "," NAMED("add", "sum",
            ",\"from\":[\"frozen1\",\"n\"]") ",{\"op\":\"relu\"}" HEAD),
        NET("[6,6,2]", "3",
            STEM NAMED("relu", "s", "") "," NAMED("conv2d", "a", ",\"out\":5,\"kernel\":3,\"padding\":1") "," FROZEN(
                "batch_norm", "1",
                "") "," FROZEN("conv2d", "2",
                               ",\"out\":5,\"kernel\":1,\"from\":\"s\"") "," FROZEN("batch_norm", "3",
                                                                                    "") "," NAMED("add", "sum",
            ",\"from\":[\"frozen1\",\"frozen3\"]")
                HEAD),
        NET("[6,6,2]", "3",
            FROZEN("conv2d", "0", ",\"out\":5,\"kernel\":1") "," NAMED("relu", "s", "") "," FROZEN(
                "conv2d", "1",
                ",\"out\":5,\"kernel\":3,\"padding\":1") "," NAMED("batch_norm", "n",
                                                                   "") "," NAMED("multiply", "m",
            ",\"from\":[\"s\",\"n\"]") HEAD),
        NULL};
    each_family(a);
}

#define IDS(shape, more) "{\"name\":\"i\",\"shape\":" shape ",\"type\":\"i32\"}" more
#define INPUTS(list, layers) "{\"inputs\":[" list "],\"classes\":3,\"layers\":[" layers "]}"

/* Learned, shared and constant; behind a layer with gradients and on the input. */
static void positions(void **state)
{
    (void)state;
    static const char *const a[] = {
        NET("[9,5]", "3",
            "{\"op\":\"dense\",\"out\":7},{\"op\":\"position\",\"learned\":true},{\"op\":\"gelu\"},"
            "{\"op\":\"layer_norm\"},{\"op\":\"flatten\"},{\"op\":\"dense\",\"out\":3}"),
        NET("[9,6]", "3",
            "{\"op\":\"position\"},{\"op\":\"dense\",\"out\":4,\"name\":\"d\"},{\"op\":\"position\",\"name\":\"p\"},"
            "{\"op\":\"multiply\",\"from\":[\"p\",\"d\"]},{\"op\":\"flatten\"},{\"op\":\"dense\",\"out\":3}"),
        NET("[3,2,4]", "3",
            "{\"op\":\"position\",\"learned\":true,\"name\":\"a\"},{\"op\":\"tanh\"},"
            "{\"op\":\"position\",\"learned\":true,\"share\":\"a\"}" HEAD),
        NULL};
    each_family(a);
}

/* Tables of one tile, of several and of more rows than ids; read twice, shared, and through a view of the ids; beside
 * numbers, whose gradients go on. */
static void embeddings(void **state)
{
    (void)state;
    static const char *const a[] = {
        INPUTS(IDS("[9]", ""), "{\"op\":\"embedding\",\"rows\":11,\"out\":6,\"from\":\"i\"},{\"op\":\"dense\",\"out\":"
                               "5},{\"op\":\"gelu\"}" HEAD),
        INPUTS(IDS("[2,3]", ",{\"name\":\"v\",\"shape\":[6,4]}"),
               "{\"op\":\"reshape\",\"shape\":[6],\"from\":\"i\",\"name\":\"r\"},"
               "{\"op\":\"embedding\",\"rows\":500,\"out\":4,\"name\":\"e\",\"from\":\"r\"},"
               "{\"op\":\"dense\",\"out\":4,\"from\":\"v\",\"name\":\"d\"},{\"op\":\"add\",\"from\":[\"e\",\"d\"]},"
               "{\"op\":\"layer_norm\"},{\"op\":\"flatten\"},{\"op\":\"dense\",\"out\":3}"),
        INPUTS(
            IDS("[4]", ""),
            "{\"op\":\"embedding\",\"rows\":70,\"out\":17,\"from\":\"i\",\"name\":\"e\"},"
            "{\"op\":\"tanh\",\"name\":\"a\"},"
               "{\"op\":\"embedding\",\"rows\":70,\"out\":17,\"from\":\"i\",\"share\":\"e\","
            "\"name\":\"f\"},{\"op\":\"multiply\",\"from\":"
               "[\"a\",\"f\"]},{\"op\":\"flatten\"},{\"op\":\"dense\",\"out\":3}"),
        INPUTS(IDS("[5]", ""),
               "{\"op\":\"embedding\",\"rows\":9,\"out\":8,\"from\":\"i\"},{\"op\":\"conv1d\",\"out\":6,"
               "\"kernel\":3,\"padding\":1},{\"op\":\"batch_norm\"},{\"op\":\"relu\"}" HEAD),
        NULL};
    each_family(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(dense),        cmocka_unit_test(shared),
                                       cmocka_unit_test(convolution),  cmocka_unit_test(winograd),
                                       cmocka_unit_test(large_images), cmocka_unit_test(norms),
                                       cmocka_unit_test(activations),  cmocka_unit_test(pools),
                                       cmocka_unit_test(branches),     cmocka_unit_test(frozen),
                                       cmocka_unit_test(embeddings),   cmocka_unit_test(positions)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
