/* engine/ops_reduce.c - reductions over some dimensions; the list is RT_REDUCE. Sums are in double, in the order of the
 * input: within a line by 8 lanes, of short lines that stay by as many as fit side by side, of channels over pixels by
 * float sums of 16 pixels, as global pooling has them. Gradients: of the greatest
 * and the least value to all that are equal to it, in equal parts (PyTorch's amax and amin); of a product by the other
 * factors, so that a single 0 gets its own. */
#include <float.h>
#include <math.h>
#include <string.h>

#include "engine/broadcast.h"

enum { BLOCK = 256, SHORT = 16, SIDE = 48, PIXELS = 16 };

rt_reduce rt_reduce_of(const rt_node *n) { return (rt_reduce)(RT_REDUCE_SUM + (n->op - RT_OP_REDUCE_SUM)); }

/* None told: all. */
unsigned rt_reduce_gone(const rt_node *n, int rank)
{
    const rt_ints *axes = &RT_ATTR(n, rt_reduce_attr)->axes;
    unsigned bits = axes->count ? 0 : (1u << rank) - 1;
    for (int i = 0; i < axes->count; i++) bits |= 1u << (axes->value[i] < 0 ? axes->value[i] + rank : axes->value[i]);
    return bits;
}

static rt_status infer(rt_graph *g, rt_node *n, rt_shape *out)
{
    const rt_shape *in = &g->tensor[n->in[0]].shape;
    const rt_reduce_attr *a = RT_ATTR(n, rt_reduce_attr);
    unsigned seen = 0;
    for (int i = 0; i < a->axes.count; i++) {
        int axis = a->axes.value[i] < 0 ? a->axes.value[i] + in->rank : a->axes.value[i];
        if (axis < 0 || axis >= in->rank)
            return rt_fail(RT_USAGE, "'axes' has %d, and the input has %d dimensions", a->axes.value[i], in->rank);
        if (seen >> axis & 1) return rt_fail(RT_USAGE, "'axes' names dimension %d twice", axis);
        seen |= 1u << axis;
    }
    unsigned bits = rt_reduce_gone(n, in->rank);
    *out = (rt_shape){.rank = 0};
    for (int i = 0; i < in->rank; i++)
        if (!(bits >> i & 1)) out->dim[out->rank++] = in->dim[i];
        else if (a->keep) out->dim[out->rank++] = 1;
    if (!out->rank) out->dim[out->rank++] = 1;
    return RT_OK;
}

/* A row of the input, and in it the output with ones where a dimension went. */
typedef struct { rt_runs runs; size_t in, out; double parts; } sizes;

static sizes sizes_of(const rt_plan *p, const rt_node *n)
{
    const rt_shape *in = rt_shape_of(p, n->in[0]);
    rt_shape kept = *in;
    unsigned bits = rt_reduce_gone(n, in->rank);
    for (int i = 0; i < in->rank; i++) if (bits >> i & 1) kept.dim[i] = 1;
    sizes s = {.in = rt_shape_count(in), .out = rt_shape_count(&kept)};
    s.runs = rt_runs_of(in, (const rt_shape *const[]){&kept}, 1, 1, 1, 0);
    s.parts = (double)s.in / (double)s.out;
    return s;
}

/* ---- forward ---- */

typedef struct {
    const rt_kernels *k;
    const sizes *s;
    rt_reduce f;
    rt_fold fold;
    const float *x, *y, *dy;
    double *acc, *zeros, first;        /* (out); what a fold begins with */
    float *dx;
    int add, exponents;                /* exponents: e^(x - y) in place of x */
} reducing;

static void fold_part(const reducing *r, double *acc, const float *x, size_t n)
{
    if (r->s->runs.stride[0][0]) r->k->fold_lines(acc, x, n, r->fold);
    else *acc = r->k->fold_run(*acc, x, n, r->fold);
}

static void fold_line(void *arg, const ptrdiff_t *at, size_t place)
{
    const reducing *r = arg;
    size_t n = r->s->runs.count[0];
    int along = r->s->runs.stride[0][0] != 0;
    float part[BLOCK];
    if (!r->exponents) {
        fold_part(r, r->acc + at[0], r->x + place, n);
        return;
    }
    for (size_t first = 0; first < n; first += BLOCK) {
        size_t count = n - first < BLOCK ? n - first : BLOCK;
        const float *x = r->x + place + first, *y = r->y + at[0] + (along ? first : 0);
        for (size_t i = 0; i < count; i++) part[i] = x[i] - y[along ? i : 0];
        r->k->exp_n(part, part, count);
        fold_part(r, r->acc + at[0] + (along ? first : 0), part, count);
    }
}

static double of_both(rt_fold f, double a, double b)
{
    switch (f) {
    case RT_FOLD_PROD: return a * b;
    case RT_FOLD_MAX: return b > a || b != b ? b : a;
    case RT_FOLD_MIN: return b < a || b != b ? b : a;
    default: return a + b;
    }
}

/* Lines that stay and are short, several side by side. */
static void fold_short(void *arg, const ptrdiff_t *at, size_t place)
{
    const reducing *r = arg;
    size_t n = r->s->runs.count[0], lines = r->s->runs.count[1], most = SIDE / n;
    double part[SIDE];
    for (size_t i = 0; i < most * n; i++) part[i] = r->first;
    for (size_t l = 0; l < lines; l += most)
        r->k->fold_lines(part, r->x + place + l * n, (lines - l < most ? lines - l : most) * n, r->fold);
    for (size_t i = 0; i < most * n; i++) {
        double *acc = &r->acc[(size_t)at[0] + i % n];
        *acc = of_both(r->fold, *acc, part[i]);
    }
}

static void fold_row(reducing *r, rt_fold fold, double first)
{
    const rt_runs *s = &r->s->runs;
    int is_short = s->runs > 1 && s->stride[0][0] && !s->stride[0][1] && s->count[0] < SHORT && !r->exponents;
    r->fold = fold;
    r->first = first;
    for (size_t i = 0; i < r->s->out; i++) r->acc[i] = first;
    rt_runs_each(s, is_short ? 2 : 1, is_short ? fold_short : fold_line, r);
}

/* Channels of pixels that follow each other: what a sum or a mean over an image is. */
static int is_image(const reducing *r)
{
    const rt_runs *s = &r->s->runs;
    return (r->f == RT_REDUCE_SUM || r->f == RT_REDUCE_MEAN) && s->runs == 2 && s->stride[0][0] && !s->stride[0][1] &&
           s->count[0] >= SHORT && s->count[0] <= INT32_MAX;
}

static void fold_image(reducing *r, float *part)
{
    const size_t c = r->s->runs.count[0], px = r->s->runs.count[1];
    for (size_t i = 0; i < c; i++) r->acc[i] = 0;
    for (size_t p = 0; p < px; p += PIXELS) {
        memset(part, 0, c * sizeof *part);
        r->k->channel_sum(part, r->x + p * c, px - p < PIXELS ? px - p : PIXELS, (int)c);
        for (size_t i = 0; i < c; i++) r->acc[i] += (double)part[i];
    }
}

static void log_sum_exp(reducing *r, float *y)
{
    fold_row(r, RT_FOLD_MAX, -INFINITY);
    for (size_t i = 0; i < r->s->out; i++) y[i] = (float)r->acc[i];
    for (size_t i = 0; i < r->s->out; i++) if (y[i] < -FLT_MAX) y[i] = 0;      /* all are -inf, and so is the answer */
    r->y = y;
    r->exponents = 1;
    fold_row(r, RT_FOLD_SUM, 0);
    for (size_t i = 0; i < r->s->out; i++) if (!(y[i] > FLT_MAX)) y[i] = (float)(y[i] + log(r->acc[i]));
    r->exponents = 0;
}

static void reduce_row(reducing *r, float *y)
{
    static const struct { rt_fold fold; double first; } how[RT_REDUCE_COUNT] = {
        [RT_REDUCE_SUM] = {RT_FOLD_SUM, 0},        [RT_REDUCE_MEAN] = {RT_FOLD_SUM, 0},
        [RT_REDUCE_MAX] = {RT_FOLD_MAX, -INFINITY}, [RT_REDUCE_MIN] = {RT_FOLD_MIN, INFINITY},
        [RT_REDUCE_PROD] = {RT_FOLD_PROD, 1},      [RT_REDUCE_L1] = {RT_FOLD_ABS, 0},
        [RT_REDUCE_L2] = {RT_FOLD_SQUARE, 0},      [RT_REDUCE_SUM_SQUARE] = {RT_FOLD_SQUARE, 0},
        [RT_REDUCE_LOG_SUM] = {RT_FOLD_SUM, 0},    [RT_REDUCE_LOG_SUM_EXP] = {RT_FOLD_SUM, 0}};
    if (r->f == RT_REDUCE_LOG_SUM_EXP) {
        log_sum_exp(r, y);
        return;
    }
    if (is_image(r)) fold_image(r, y);
    else fold_row(r, how[r->f].fold, how[r->f].first);
    for (size_t i = 0; i < r->s->out; i++) {
        double v = r->acc[i];
        y[i] = (float)(r->f == RT_REDUCE_MEAN ? v / r->s->parts
                       : r->f == RT_REDUCE_L2 ? sqrt(v) : r->f == RT_REDUCE_LOG_SUM ? log(v) : v);
    }
}

static void run_forward(const rt_call *c, rt_ctx *x, int row0, int rows)
{
    sizes s = sizes_of(x->plan, c->node);
    reducing r = {.k = x->plan->k, .s = &s, .f = rt_reduce_of(c->node), .acc = (double *)(void *)x->scratch};
    float *y = rt_at(x, c->value[1], row0);
    r.x = rt_at(x, c->value[0], row0);
    for (int i = 0; i < rows; i++, r.x += s.in, y += s.out) reduce_row(&r, y);
}

static void forward(rt_plan *p, const rt_node *n)
{
    int in = rt_plan_read(p, n->in[0]), out = rt_plan_write(p, n->out);
    rt_plan_need_scratch(p, 2 * rt_shape_count(rt_shape_of(p, n->out)));
    rt_call *c = rt_plan_rows(p, rt_ops[n->op]->name, n, run_forward);
    c->value[0] = in;
    c->value[1] = out;
}

/* ---- backward ---- */

/* Of each output: how many values are the greatest, or how many are 0 and the product of the others. */
static void count_line(void *arg, const ptrdiff_t *at, size_t place)
{
    const reducing *r = arg;
    size_t n = r->s->runs.count[0], step = r->s->runs.stride[0][0] != 0;
    const float *x = r->x + place, *y = r->y + at[0];
    double *acc = r->acc + at[0], *zeros = r->zeros + at[0];
    if (r->f == RT_REDUCE_PROD) {
        for (size_t i = 0; i < n; i++) {
            int zero = x[i] >= 0.0f && x[i] <= 0.0f;
            zeros[i * step] += zero;
            acc[i * step] *= zero ? 1.0 : (double)x[i];
        }
    } else for (size_t i = 0; i < n; i++) acc[i * step] += x[i] >= y[i * step] && x[i] <= y[i * step];
}

#define LINE(D) \
    for (size_t i = 0; i < n; i++) { \
        size_t o = i * step; \
        float v = (D); \
        dx[i] = r->add ? dx[i] + v : v; \
    }

static void back_line(void *arg, const ptrdiff_t *at, size_t place)
{
    const reducing *r = arg;
    size_t n = r->s->runs.count[0], step = r->s->runs.stride[0][0] != 0;
    const float *x = r->x + place, *y = r->y + at[0], *dy = r->dy + at[0];
    const double *acc = r->acc + at[0], *zeros = r->zeros + at[0];
    float *dx = r->dx + place, part = (float)(1.0 / r->s->parts), e[BLOCK];
    switch (r->f) {
    case RT_REDUCE_SUM: LINE(dy[o]) break;
    case RT_REDUCE_MEAN: LINE(dy[o] * part) break;
    case RT_REDUCE_MAX: case RT_REDUCE_MIN:
        LINE(x[i] >= y[o] && x[i] <= y[o] ? dy[o] / (float)acc[o] : 0.0f) break;
    case RT_REDUCE_PROD:
        LINE(zeros[o] < 0.5 ? (float)(dy[o] * (acc[o] / x[i]))
             : zeros[o] < 1.5 && x[i] >= 0.0f && x[i] <= 0.0f ? (float)(dy[o] * acc[o]) : 0.0f)
        break;
    case RT_REDUCE_L1: LINE(x[i] > 0.0f ? dy[o] : x[i] < 0.0f ? -dy[o] : 0.0f) break;
    case RT_REDUCE_L2: LINE(y[o] > 0.0f ? dy[o] * x[i] / y[o] : 0.0f) break;
    case RT_REDUCE_SUM_SQUARE: LINE(2.0f * x[i] * dy[o]) break;
    case RT_REDUCE_LOG_SUM: LINE((float)(dy[o] * exp(-(double)y[o]))) break;
    case RT_REDUCE_LOG_SUM_EXP:
        for (size_t first = 0; first < n; first += BLOCK) {
            size_t count = n - first < BLOCK ? n - first : BLOCK;
            for (size_t i = 0; i < count; i++) e[i] = x[first + i] - y[(first + i) * step];
            r->k->exp_n(e, e, count);
            for (size_t i = 0; i < count; i++) {
                float v = dy[(first + i) * step] * e[i], *to = &dx[first + i];
                *to = r->add ? *to + v : v;
            }
        }
        break;
    case RT_REDUCE_COUNT: break;
    }
}

/* value: 0 x, 1 y, 2 dy, 3 dx. */
static void run_back(const rt_call *c, rt_ctx *x, int row0, int rows)
{
    sizes s = sizes_of(x->plan, c->node);
    reducing r = {.k = x->plan->k, .s = &s, .f = rt_reduce_of(c->node), .acc = (double *)(void *)x->scratch,
                  .x = rt_at(x, c->value[0], row0), .y = rt_at(x, c->value[1], row0), .dy = rt_at(x, c->value[2], row0),
                  .dx = rt_at(x, c->value[3], row0), .add = c->flag};
    r.zeros = r.acc + s.out;
    for (int i = 0; i < rows; i++, r.x += s.in, r.dx += s.in, r.y += s.out, r.dy += s.out) {
        if (r.f == RT_REDUCE_MAX || r.f == RT_REDUCE_MIN || r.f == RT_REDUCE_PROD) {
            for (size_t k = 0; k < s.out; k++) {
                r.acc[k] = r.f == RT_REDUCE_PROD;
                r.zeros[k] = 0;
            }
            rt_runs_each(&s.runs, 1, count_line, &r);
        }
        rt_runs_each(&s.runs, 1, back_line, &r);
    }
}

static void backward(rt_plan *p, const rt_node *n)
{
    int accumulate, in = rt_plan_read(p, n->in[0]), y = rt_plan_read(p, n->out), dy = rt_plan_grad_read(p, n->out),
                    dx = rt_plan_grad_write(p, n->in[0], &accumulate);
    rt_plan_need_scratch(p, 4 * rt_shape_count(rt_shape_of(p, n->out)));
    rt_call *c = rt_plan_rows(p, "reduce back", n, run_back);
    int values[4] = {in, y, dy, dx};
    memcpy(c->value, values, sizeof values);
    c->flag = accumulate;
}

static const rt_attr_spec spec[] = {
    {"axes", RT_A_INTS, offsetof(rt_reduce_attr, axes), -RT_MAX_RANK, RT_MAX_RANK - 1, 0, 0,
     "the dimensions, below 0 from the last; all if not given", NULL},
    {"keep", RT_A_BOOL, offsetof(rt_reduce_attr, keep), 0, 1, 0, 0, "they stay, as dimensions of 1", NULL}};
static const rt_schema schema = {spec, 2, sizeof(rt_reduce_attr)};

#define X(E, n, h) \
    const rt_op rt_op_reduce_##n = {.name = "reduce_" #n, .help = h, .min_inputs = 1, .max_inputs = 1, \
                                    .schema = &schema, .infer = infer, .forward = forward, .backward = backward};
RT_REDUCE(X)
#undef X
