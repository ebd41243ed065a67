/* engine/ops_constant.c - a layer without input, whose rows are all the same: a field of its own. Its gradient is the
 * sum of the rows' gradients. */
#include <string.h>

#include "engine/ops.h"

static rt_status infer(rt_graph *g, rt_node *n, rt_shape *out)
{
    const rt_constant_attr *a = RT_ATTR(n, rt_constant_attr);
    *out = a->shape;
    RT_TRY(rt_graph_check_shape(out));
    if (!a->learned) return rt_graph_constant(g, n, "value", *out, NULL);
    return rt_graph_param(g, n, "value", *out, RT_INIT_ZERO, 0, 0, 0);
}

static void run_forward(const rt_call *c, rt_ctx *x, int row0, int rows)
{
    size_t n = rt_shape_count(rt_shape_of(x->plan, c->node->out));
    float *y = rt_at(x, c->value[0], row0);
    for (int r = 0; r < rows; r++, y += n) memcpy(y, rt_param(x, c->node, 0), n * sizeof *y);
}

static void forward(rt_plan *p, const rt_node *n)
{
    int out = rt_plan_write(p, n->out);
    rt_call *c = rt_plan_rows(p, "constant", n, run_forward);
    c->value[0] = out;
    c->weights = 0;
}

static void run_back(const rt_call *c, rt_ctx *x, int row0, int rows)
{
    size_t n = rt_shape_count(rt_shape_of(x->plan, c->node->out));
    const float *dy = rt_at(x, c->value[0], row0);
    float *dw = rt_slot_grad(x, c->node, 0, row0);
    for (int r = 0; r < rows; r++, dy += n) x->plan->k->accumulate(dw, dy, n);
}

static void backward(rt_plan *p, const rt_node *n)
{
    if (!rt_plan_trains(p, n, 0)) return;
    int dy = rt_plan_grad_read(p, n->out);
    rt_call *c = rt_plan_rows(p, "constant back", n, run_back);
    c->value[0] = dy;
    rt_plan_slot_grad(p, n, 0);
}

static const rt_attr_spec spec[] = {
    {"shape", RT_A_SHAPE, offsetof(rt_constant_attr, shape), 1, 1 << 24, 0, 1,
     "a list of dimensions, without the batch", NULL},
    {"learned", RT_A_BOOL, offsetof(rt_constant_attr, learned), 0, 1, 0, 0, "the values are trained", NULL}};
static const rt_schema schema = {spec, 2, sizeof(rt_constant_attr)};

const rt_op rt_op_constant = {
    .name = "constant",
    .help = "no input: every row is the same field of the layer's own (values are its file's)",
    .schema = &schema,
    .infer = infer,
    .forward = forward,
    .backward = backward,
    .recompute = 1};
