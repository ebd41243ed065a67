/* engine/ops_position.c - a table of positions added to each row: y = x + w, where w (T, D) is learned, or sines and
 * cosines that stay as they are: w[t][2i] = sin(t / 10000^(2i/D)), w[t][2i+1] = cos of the same (Vaswani et al. 2017,
 * section 3.5). */
#include <math.h>
#include <stdlib.h>

#include "engine/ops.h"

/* (T, D): all but the last dimension are positions. */
static rt_shape table_of(const rt_shape *x)
{
    int d = x->dim[x->rank - 1];
    return (rt_shape){2, {(int)(rt_shape_count(x) / (size_t)d), d}};
}

static rt_status infer(rt_graph *g, rt_node *n, rt_shape *out)
{
    *out = g->tensor[n->in[0]].shape;
    if (out->rank < 2) return rt_fail(RT_USAGE, "takes rows of positions, (T, D), and its input has one dimension");
    rt_shape s = table_of(out);
    if (RT_ATTR(n, rt_position_attr)->learned) /* deviation 0.02 whatever D is, as BERT and ViT begin */
        return rt_graph_param(g, n, "weight", s, RT_INIT_HE, 5000, s.dim[1], 0);
    float *w = malloc(rt_shape_count(&s) * sizeof *w);
    if (!w) return rt_fail(RT_RUN, "out of memory for the positions");
    for (int t = 0; t < s.dim[0]; t++)
        for (int i = 0; i < s.dim[1]; i++) {
            double angle = t / pow(10000, (i & ~1) / (double)s.dim[1]);
            w[(size_t)t * (size_t)s.dim[1] + (size_t)i] = (float)(i & 1 ? cos(angle) : sin(angle));
        }
    rt_status st = rt_graph_constant(g, n, "table", s, w);
    free(w);
    return st;
}

static void run_forward(const rt_call *c, rt_ctx *x, int row0, int rows)
{
    size_t n = rt_shape_count(rt_shape_of(x->plan, c->node->out));
    const float *in = rt_at(x, c->value[0], row0), *w = rt_param(x, c->node, 0);
    float *y = rt_at(x, c->value[1], row0);
    for (int r = 0; r < rows; r++, in += n, y += n) x->plan->k->add_act(y, in, w, n, RT_ACT_NONE, 0);
}

static void forward(rt_plan *p, const rt_node *n)
{
    int in = rt_plan_read(p, n->in[0]), out = rt_plan_write(p, n->out);
    rt_call *c = rt_plan_rows(p, "position", n, run_forward);
    c->value[0] = in;
    c->value[1] = out;
}

static void run_dw(const rt_call *c, rt_ctx *x, int row0, int rows)
{
    size_t n = rt_shape_count(rt_shape_of(x->plan, c->node->out));
    const float *dy = rt_at(x, c->value[0], row0);
    float *dw = rt_slot_grad(x, c->node, 0, row0);
    for (int r = 0; r < rows; r++, dy += n) x->plan->k->accumulate(dw, dy, n);
}

static void backward(rt_plan *p, const rt_node *n)
{
    int dy = rt_plan_grad_read(p, n->out);
    if (rt_plan_trains(p, n, 0)) {
        rt_call *c = rt_plan_rows(p, "position dW", n, run_dw);
        c->value[0] = dy;
        rt_plan_slot_grad(p, n, 0);
    }
    if (rt_plan_needs_grad(p, n->in[0]) && !rt_plan_grad_share(p, n->out, n->in[0])) rt_grad_pass_on(p, n, dy, 0);
}

static const rt_attr_spec spec[] = {
    {"learned", RT_A_BOOL, offsetof(rt_position_attr, learned), 0, 1, 0, 0, "false: sines and cosines that stay"}};
static const rt_schema schema = {spec, 1, sizeof(rt_position_attr)};

const rt_op rt_op_position = {.name = "position",
                              .help = "a vector for each position added, which tells where in a row it stands",
                              .min_inputs = 1,
                              .max_inputs = 1,
                              .schema = &schema,
                              .infer = infer,
                              .forward = forward,
                              .backward = backward};
