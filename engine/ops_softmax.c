/* engine/ops_softmax.c - softmax and log softmax over one dimension, the last unless another is told:
 *   y = exp(x - max) / sum exp(x - max), dx = y (dy - sum dy y);  y = x - log sum exp x, dx = dy - exp(y) sum dy. */
#include "engine/ops.h"

static rt_status infer(rt_graph *g, rt_node *n, rt_shape *out)
{
    *out = g->tensor[n->in[0]].shape;
    return rt_axis_check(n, out);
}

/* The dimension d, and how many values lie behind each of it. */
static void sizes_of(const rt_plan *p, const rt_node *n, size_t *d, size_t *inner)
{
    const rt_shape *s = rt_shape_of(p, n->out);
    int axis = rt_axis(n, s);
    *d = (size_t)s->dim[axis];
    *inner = 1;
    for (int i = axis + 1; i < s->rank; i++) *inner *= (size_t)s->dim[i];
}

/* What comes of a block of RT_LANES lines. */
static void compute(const rt_kernels *k, const rt_node *n, float *block, float *work, size_t d)
{
    float log_sum[RT_LANES];
    if (n->op == RT_OP_SOFTMAX) {
        k->block_softmax(block, NULL, block, 1.0f, (int)d);
        return;
    }
    k->block_softmax(work, log_sum, block, 1.0f, (int)d);
    for (size_t i = 0; i < d; i++, block += RT_LANES)
        for (int r = 0; r < RT_LANES; r++) block[r] -= log_sum[r];
}

static void run_forward(const rt_call *c, rt_ctx *x, int row0, int rows)
{
    size_t d, inner;
    sizes_of(x->plan, c->node, &d, &inner);
    size_t outer = rt_floats_of(x, c->node->out, rows) / (d * inner);
    const float *in = rt_at(x, c->value[0], row0);
    float *out = rt_at(x, c->value[1], row0), *block = x->scratch, *work = block + RT_LANES * d;
    const rt_kernels *k = x->plan->k;
    for (size_t p = 0; inner == 1 && p < outer; p += RT_LANES, in += RT_LANES * d, out += RT_LANES * d) {
        int n = outer - p < RT_LANES ? (int)(outer - p) : RT_LANES;
        k->block_in(block, in, n, (int)d);
        compute(k, c->node, block, work, d);
        k->block_out(out, block, n, (int)d);
    }
    for (size_t p = 0; inner > 1 && p < outer; p++, in += d * inner, out += d * inner)
        for (size_t at = 0; at < inner; at += RT_LANES) {
            size_t n = inner - at < RT_LANES ? inner - at : RT_LANES;
            for (size_t i = 0; i < d; i++)
                for (size_t r = 0; r < RT_LANES; r++) block[i * RT_LANES + r] = r < n ? in[i * inner + at + r] : 0.0f;
            compute(k, c->node, block, work, d);
            for (size_t i = 0; i < d; i++)
                for (size_t r = 0; r < n; r++) out[i * inner + at + r] = block[i * RT_LANES + r];
        }
}

static void forward(rt_plan *p, const rt_node *n)
{
    size_t d, inner;
    int in = rt_plan_read(p, n->in[0]), out = rt_plan_write(p, n->out);
    sizes_of(p, n, &d, &inner);
    rt_plan_need_scratch(p, 2 * RT_LANES * d);
    rt_call *c = rt_plan_rows(p, rt_ops[n->op]->name, n, run_forward);
    c->value[0] = in;
    c->value[1] = out;
}

/* scratch of log softmax: exp(y). */
static void run_back(const rt_call *c, rt_ctx *x, int row0, int rows)
{
    size_t d, inner;
    sizes_of(x->plan, c->node, &d, &inner);
    size_t outer = rt_floats_of(x, c->node->out, rows) / (d * inner);
    const float *y = rt_at(x, c->value[0], row0), *dy = rt_at(x, c->value[1], row0);
    float *dx = rt_at(x, c->value[2], row0), *line = x->scratch, *e = line + d;
    int logs = c->node->op == RT_OP_LOG_SOFTMAX;
    for (size_t p = 0; p < outer; p++, y += d * inner, dy += d * inner, dx += d * inner)
        for (size_t at = 0; at < inner; at++) {
            float dot = 0;
            for (size_t i = 0; i < d; i++) line[i] = y[i * inner + at];
            if (logs) x->plan->k->exp_n(e, line, d);
            for (size_t i = 0; i < d; i++) dot += logs ? dy[i * inner + at] : dy[i * inner + at] * line[i];
            for (size_t i = 0; i < d; i++) {
                float g = dy[i * inner + at], v = logs ? g - e[i] * dot : line[i] * (g - dot),
                      *to = &dx[i * inner + at];
                *to = c->flag ? *to + v : v;
            }
        }
}

static void backward(rt_plan *p, const rt_node *n)
{
    size_t d, inner;
    int accumulate, y = rt_plan_read(p, n->out), dy = rt_plan_grad_read(p, n->out),
                    dx = rt_plan_grad_write(p, n->in[0], &accumulate);
    sizes_of(p, n, &d, &inner);
    rt_plan_need_scratch(p, 2 * d);
    rt_call *c = rt_plan_rows(p, "softmax back", n, run_back);
    c->value[0] = y;
    c->value[1] = dy;
    c->value[2] = dx;
    c->flag = accumulate;
}

#define SOFTMAX(n, h) \
    const rt_op rt_op_##n = {.name = #n, .help = h, .min_inputs = 1, .max_inputs = 1, .schema = &rt_axis_schema, \
                             .positions = 1, .alone = rt_axis_is_last, .infer = infer, .forward = forward, \
                             .backward = backward};
SOFTMAX(softmax, "exp(x) / sum exp(x) over one dimension, the last unless another is told")
SOFTMAX(log_softmax, "x - log sum exp(x) over one dimension, the last unless another is told")
