/* Gradients of every operator, through the session that training uses, against central differences of an independent
 * forward pass in double. Signs are kept; a test fails if all gradients are near zero or one is not finite. On the CPU
 * in every kernel family; with RT_TESTS_ON_CARD on the emulated card, in every order of its threads. */
#ifndef RT_TESTS_ENGINE_GRADIENTS_H
#define RT_TESTS_ENGINE_GRADIENTS_H

#include "data/json.h"
#include "engine/kernels.h"
#include "engine/session.h"
#include "student/arch.h"
#include "tests/engine/session_step.h"
#include "tests/support.h"
#ifdef RT_TESTS_ON_CARD
#include "tests/cuda/emulator.h"
#endif

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
    case RT_ACT_GELU_ERF: return x * 0.5 * erfc(-x / sqrt(2));
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

#include "tests/engine/double_operators.h"

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
    const double *x = n->inputs ? in_of(f, n, 0) : NULL;
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
    default:
        if (!run_operator(f, n)) fail_msg("the double forward pass lacks operator %d", (int)n->op);
    }
}

/* loss = mean over rows of sum_i (out[i] - target[i])^2 */
static double loss_d(forward_d *f, const float *target)
{
    const rt_graph *g = f->g;
    double s = 0;
    size_t n = rt_shape_count(&g->tensor[g->output].shape) * ROWS;
    for (int i = 0; i < g->nodes; i++) run_node(f, &g->node[i]);
    for (size_t i = 0; i < n; i++) {
        double d = f->t[g->output][i] - target[i];
        s += d * d / ROWS;
    }
    return s;
}

/* What there is to try: each kernel family of the CPU but, unless they are asked for, those of OpenBLAS; or each order
 * of the card's threads. */
enum { WAYS = 64 };
typedef struct { char name[80]; int order; const rt_kernels *kernels; } way;

static int list_ways(way w[WAYS], int openblas)
{
    int n = 0;
#ifdef RT_TESTS_ON_CARD
    static const char *const orders[] = {"forward", "reverse", "random"};
    (void)openblas;
    rt_device *card;
    check_ok(rt_device_open(&card, "cuda", 1));
    int ways = rt_emulated_calls() ? 3 : 1;               /* a real card's is its own */
    rt_device_close(card);
    for (; n < ways; n++) {
        w[n] = (way){.order = n};
        snprintf(w[n].name, sizeof w[n].name, "card, %s", orders[n]);
    }
#else
    for (const rt_kernels *const *k = rt_kernels_all(); *k; k++) {
        if (!rt_kernels_runnable(*k) || (!openblas && strncmp((*k)->name, "openblas", 8) == 0)) continue;
        w[n] = (way){.kernels = *k};
        snprintf(w[n++].name, sizeof w->name, "%s", (*k)->name);
    }
#endif
    return n;
}

static rt_device *take_way(const way *w)
{
    rt_device *d = NULL;
#ifdef RT_TESTS_ON_CARD
    rt_emulated_order(w->order, 7);
    check_ok(rt_device_open(&d, "cuda", 1));
#else
    check_ok(rt_kernels_select(w->kernels->name));
    assert_non_null(d = rt_device_cpu(2));
#endif
    return d;
}

/* Layers that the device has not: whether the session was refused for them. */
static int is_lacking(rt_status st)
{
#ifdef RT_TESTS_ON_CARD
    return st == RT_USAGE && strstr(rt_error_message(), "cards cannot compute these layers");
#else
    (void)st;
    return 0;
#endif
}

/* False: the device has not all of its layers. */
static int check_arch(const char *json, const way *how)
{
    cJSON *j;
    rt_graph *g;
    check_ok(rt_json_parse(&j, json, strlen(json), "test"));
    check_ok(rt_arch_build(&g, j, "test"));
    size_t no = rt_shape_count(&g->tensor[g->output].shape) * BATCH;
    float *x[RT_MAX_INPUTS] = {0}, *target = random_floats(no, 12);
    float *params = random_floats(g->floats[RT_PARAM], 1), *states = random_floats(g->floats[RT_STATE] + 1, 2),
          *grads = random_floats(g->floats[RT_PARAM], 3);
    rt_graph_init(g, 5, params, states);
    for (int i = -1; (i = rt_graph_next_field(g, RT_CONST, i)) >= 0;)              /* those of models' files */
        if (strstr(g->field[i].name, ".indices")) {                  /* some of them from the end; none out of range */
            float *v = rt_graph_constant_values(g, i);
            for (size_t k = 0; k < g->field[i].count; k++) v[k] = (float)((int)(k * 5 + k * k) % 4 - (int)(k % 2) * 2);
        } else if (strstr(g->field[i].name, ".operand") || strstr(g->field[i].name, ".value")) {
            float *v = random_floats(g->field[i].count, 200 + g->field[i].key);
            memcpy(rt_graph_constant_values(g, i), v, g->field[i].count * sizeof *v);
            free(v);
        }
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
    double *pd = malloc(g->floats[RT_PARAM] * sizeof *pd);
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

    rt_device *device = take_way(how);
    rt_loss_batch loss_of = {.config = {.task = RT_TASK_REAL, .hard_kind = RT_HARD_MSE, .hard = 1}, .values = target};
    rt_session_spec spec = {.graph = g, .batch = BATCH, .train = 1, .losses = 1, .params = params, .states = states,
                            .loss = {{.tensor = g->output, .batch = &loss_of}}};
    rt_session *session = NULL;
    rt_status st = rt_session_new(&session, &spec, device);
    int lacks = is_lacking(st);
    if (st && !lacks) fail_msg("%s: %s", json, rt_error_message());
    rt_step step_of = {.rows = ROWS, .seed = 77, .epoch = 3, .step = 9};
    memcpy(step_of.x, x, sizeof x);
    rt_step_result got_step = {0};
    if (!lacks) {
        check_ok(rt_session_write(session, RT_B_WEIGHTS));
        got_step = session_step(session, &step_of);
        check_ok(rt_session_read(session, 1u << RT_B_GRADS | 1u << RT_B_STATES));
        size_t n;
        const float *from = rt_session_buffer(session, RT_B_GRADS, &n);
        memcpy(grads, from, n * sizeof *from);
    }
    rt_session_free(session);
    rt_device_close(device);
    double loss = lacks ? 0 : loss_d(&f, target), largest = 0, all = 0;     /* of every gradient */
    for (size_t k = 0; k < g->grad_floats && !lacks; k++) all = fmax(all, fabs(grads[k]));
    if (!lacks) check_close(json, got_step.loss[0], loss, 2e-4, 2e-4);
    for (int i = -1; (i = rt_graph_next_field(g, RT_PARAM, i)) >= 0;) {
        const rt_field *q = &g->field[i];
        double scale = 0;
        if (q->grad_at == RT_NOWHERE || lacks) continue;
        for (size_t k = 0; k < q->count; k++) scale = fmax(scale, fabs(grads[q->grad_at + k]));
        for (size_t k = 0; k < q->count; k += q->count / PER_FIELD + 1) {
            double *v = &pd[q->offset + k], keep = *v, step = 1e-5;
            *v = keep + step;
            double up = loss_d(&f, target);
            *v = keep - step;
            double down = loss_d(&f, target), want = (up - down) / (2 * step), got = grads[q->grad_at + k];
            *v = keep;
            char text[512];
            snprintf(text, sizeof text, "%s: d/d %s[%zu] (%s)", json, q->name, k, how->name);
            assert_true(isfinite(got));
            check_close(text, got, want, 1e-4 * scale + 2e-6 + 3e-6 * all, 2e-3);
            largest = fmax(largest, fabs(want));
        }
    }
    assert_true(lacks || largest > 1e-3);
    for (int i = 0; i < g->nodes; i++)
        for (int k = 2; k < g->node[i].fields && g->node[i].op == RT_OP_BATCH_NORM && !lacks; k++) {
            const rt_field *q = &g->field[g->node[i].field[k]];
            int still = !memcmp(states + q->offset, running + q->offset, q->count * sizeof *states);
            assert_int_equal(still, !strncmp(g->node[i].name, "frozen", 6));
        }
    for (int t = 0; t < g->tensors; t++) free(f.t[t]);
    for (int k = 0; k < g->inputs; k++) free(x[k]);
    free(f.t); free(target); free(params); free(states); free(running); free(grads); free(pd);
    rt_graph_free(g);
    cJSON_Delete(j);
    return !lacks;
}

static void in_ways(const char *const *arch, int openblas)
{
    way w[WAYS];
    int n = list_ways(w, openblas), checked = 0;
    for (const char *const *a = arch; *a; a++) {
        if (!check_arch(*a, &w[0])) {
            print_message("left out, as %s\n", rt_error_message());
            continue;
        }
        checked++;
        for (int i = 1; i < n; i++) assert_true(check_arch(*a, &w[i]));
    }
    if (!checked) skip();
}

#define FROZEN(op, number, rest) NAMED(op, "frozen" number, rest)
#define NET(input, classes, layers) "{\"input\":" input ",\"classes\":" classes ",\"layers\":[" layers "]}"
#define NAMED(op, name, rest) "{\"op\":\"" op "\",\"name\":\"" name "\"" rest "}"
#define STEM "{\"op\":\"conv2d\",\"out\":5,\"kernel\":1},"
#define HEAD ",{\"op\":\"global_avg_pool\"},{\"op\":\"dense\",\"out\":3}"

/* All but the openblas family, which differs from the plain-C one in dense products alone. */
static void each_family(const char *const *arch) { in_ways(arch, 0); }
#define IDS(shape, more) "{\"name\":\"i\",\"shape\":" shape ",\"type\":\"i32\"}" more
#define INPUTS(list, layers) "{\"inputs\":[" list "],\"classes\":3,\"layers\":[" layers "]}"
#endif
