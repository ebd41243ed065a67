/* engine/ops_unary.c - functions of one number, element by element: y = f(x), dx = dy f'(x); the list is RT_UNARY. What
 * a and b of a function are called and which values they may have stands here. */
#include <float.h>

#include "engine/ops.h"

#define A(name, low, high, fallback, required, help) \
    {name, RT_A_NUMBER, offsetof(rt_unary_attr, a), low, high, fallback, required, help}
#define B(name, low, high, fallback, required, help) \
    {name, RT_A_NUMBER, offsetof(rt_unary_attr, b), low, high, fallback, required, help}
static const rt_attr_spec
    elu[] = {A("alpha", -FLT_MAX, FLT_MAX, 1, 0, "minus the limit far below 0")},
    selu[] = {A("alpha", -FLT_MAX, FLT_MAX, 1.67326319217681884765625, 0, "minus the limit below 0, before gamma"),
              B("gamma", -FLT_MAX, FLT_MAX, 1.05070102214813232421875, 0, "a factor of all")},
    celu[] = {A("alpha", 1e-6, FLT_MAX, 1, 0, "minus the limit far below 0")},
    hard_sigmoid[] = {A("alpha", -FLT_MAX, FLT_MAX, 0.2, 0, "the slope"),
                      B("beta", -FLT_MAX, FLT_MAX, 0.5, 0, "the value at 0")},
    thresholded_relu[] = {A("alpha", -FLT_MAX, FLT_MAX, 1, 0, "x above it stays")},
    shrink[] = {A("lambd", 0, FLT_MAX, 0.5, 0, "half the width of what becomes 0"),
                B("bias", -FLT_MAX, FLT_MAX, 0, 0, "what is taken from the rest")},
    clip[] = {A("low", -FLT_MAX, FLT_MAX, -FLT_MAX, 0, "the least value"),
              B("high", -FLT_MAX, FLT_MAX, FLT_MAX, 0, "the greatest value")},
    power[] = {A("exponent", -FLT_MAX, FLT_MAX, 2, 1, "a constant; of two inputs see power")};
#undef A
#undef B

#define TABLE(name, n) {name, n, sizeof(rt_unary_attr)}
static const rt_schema none = TABLE(NULL, 0), table[RT_UNARY_COUNT] = {
    [RT_UNARY_ELU] = TABLE(elu, 1), [RT_UNARY_SELU] = TABLE(selu, 2), [RT_UNARY_CELU] = TABLE(celu, 1),
    [RT_UNARY_HARD_SIGMOID] = TABLE(hard_sigmoid, 2), [RT_UNARY_THRESHOLDED_RELU] = TABLE(thresholded_relu, 1),
    [RT_UNARY_SHRINK] = TABLE(shrink, 2), [RT_UNARY_CLIP] = TABLE(clip, 2), [RT_UNARY_POW] = TABLE(power, 1)};

static const rt_schema *schema_of(const void *attributes)
{
    rt_unary fn = ((const rt_unary_attr *)attributes)->fn;
    return (unsigned)fn < RT_UNARY_COUNT && table[fn].count ? &table[fn] : &none;
}

static rt_status infer(rt_graph *g, rt_node *n, rt_shape *out)
{
    rt_unary fn = RT_ATTR(n, rt_unary_attr)->fn;
    if (fn <= RT_UNARY_NONE || fn >= RT_UNARY_COUNT) return rt_fail(RT_USAGE, "unknown function");
    *out = g->tensor[n->in[0]].shape;
    return RT_OK;
}

static void run_forward(const rt_call *c, rt_ctx *x, int row0, int rows)
{
    const rt_unary_attr *a = RT_ATTR(c->node, rt_unary_attr);
    x->plan->k->unary(rt_at(x, c->value[1], row0), rt_at(x, c->value[0], row0), rt_floats_of(x, c->node->out, rows),
                      a->fn, a->a, a->b);
}

static void forward(rt_plan *p, const rt_node *n)
{
    int in = rt_plan_read(p, n->in[0]), out = rt_plan_write(p, n->out);
    rt_call *c = rt_plan_rows(p, rt_layer_name(n), n, run_forward);
    c->value[0] = in;
    c->value[1] = out;
}

static void run_back(const rt_call *c, rt_ctx *x, int row0, int rows)
{
    const rt_unary_attr *a = RT_ATTR(c->node, rt_unary_attr);
    x->plan->k->unary_back(rt_at(x, c->value[2], row0), rt_at(x, c->value[1], row0), rt_at(x, c->value[0], row0),
                           rt_floats_of(x, c->node->out, rows), a->fn, a->a, a->b, c->flag);
}

static void backward(rt_plan *p, const rt_node *n)
{
    int accumulate, in = rt_plan_read(p, n->in[0]), dy = rt_plan_grad_read(p, n->out),
                    dx = rt_plan_grad_write(p, n->in[0], &accumulate);
    rt_call *c = rt_plan_rows(p, "unary back", n, run_back);
    c->value[0] = in;
    c->value[1] = dy;
    c->value[2] = dx;
    c->flag = accumulate;
}

const rt_op rt_op_unary = {.name = "unary",
                           .help = "f(x)",
                           .min_inputs = 1,
                           .max_inputs = 1,
                           .schema_of = schema_of,
                           .positions = 1,
                           .infer = infer,
                           .forward = forward,
                           .backward = backward,
                           .recompute = 1};
