/* export/onnx_functions.c - functions of engine/functions.h as ONNX nodes. Where ONNX answers with booleans a Cast
 * makes 0 and 1 of them. */
#include "export/onnx_float_parts.h"

/* a, b: what ONNX calls the constants, as attributes; bools: the answer is one. */
typedef struct { const char *op, *a, *b; int bools; } function;

static const function unaries[RT_UNARY_COUNT] = {
    [RT_UNARY_EXP] = {.op = "Exp"}, [RT_UNARY_LOG] = {.op = "Log"}, [RT_UNARY_SQRT] = {.op = "Sqrt"},
    [RT_UNARY_RECIPROCAL] = {.op = "Reciprocal"}, [RT_UNARY_ABS] = {.op = "Abs"}, [RT_UNARY_NEG] = {.op = "Neg"},
    [RT_UNARY_ERF] = {.op = "Erf"}, [RT_UNARY_ELU] = {"Elu", "alpha", NULL, 0},
    [RT_UNARY_SELU] = {"Selu", "alpha", "gamma", 0}, [RT_UNARY_CELU] = {"Celu", "alpha", NULL, 0},
    [RT_UNARY_SOFTPLUS] = {.op = "Softplus"}, [RT_UNARY_SOFTSIGN] = {.op = "Softsign"},
    [RT_UNARY_HARD_SIGMOID] = {"HardSigmoid", "alpha", "beta", 0}, [RT_UNARY_MISH] = {.op = "Mish"},
    [RT_UNARY_THRESHOLDED_RELU] = {"ThresholdedRelu", "alpha", NULL, 0},
    [RT_UNARY_SHRINK] = {"Shrink", "lambd", "bias", 0}, [RT_UNARY_CLIP] = {.op = "Clip"},
    [RT_UNARY_POW] = {.op = "Pow"},
    [RT_UNARY_SIN] = {.op = "Sin"}, [RT_UNARY_COS] = {.op = "Cos"}, [RT_UNARY_TAN] = {.op = "Tan"},
    [RT_UNARY_ASIN] = {.op = "Asin"}, [RT_UNARY_ACOS] = {.op = "Acos"}, [RT_UNARY_ATAN] = {.op = "Atan"},
    [RT_UNARY_SINH] = {.op = "Sinh"}, [RT_UNARY_COSH] = {.op = "Cosh"}, [RT_UNARY_ASINH] = {.op = "Asinh"},
    [RT_UNARY_ACOSH] = {.op = "Acosh"}, [RT_UNARY_ATANH] = {.op = "Atanh"}, [RT_UNARY_FLOOR] = {.op = "Floor"},
    [RT_UNARY_CEIL] = {.op = "Ceil"}, [RT_UNARY_ROUND] = {.op = "Round"}, [RT_UNARY_SIGN] = {.op = "Sign"},
    [RT_UNARY_NOT] = {.op = "Not", .bools = 1}, [RT_UNARY_IS_NAN] = {.op = "IsNaN", .bools = 1},
    [RT_UNARY_IS_INF] = {.op = "IsInf", .bools = 1}};

static const char *cast(rt_fo_graph *e, const char *x, const char *out, rt_onnx_type to)
{
    rt_onnx_int(rt_fo_node_of(e, "Cast", out, x, NULL, NULL), "to", to);
    return out;
}

/* x tanh(softplus(x)), which is Mish before opset 18. */
static void put_mish(rt_fo_graph *e, const rt_node *n, const char *x, const char *out)
{
    const char *plus = rt_fo_own(e, n, "softplus"), *gate = rt_fo_own(e, n, "tanh");
    rt_fo_node_of(e, "Softplus", plus, x, NULL, NULL);
    rt_fo_node_of(e, "Tanh", gate, plus, NULL, NULL);
    rt_fo_node_of(e, "Mul", out, x, gate, NULL);
}

void rt_fo_put_unary(rt_fo_graph *e, const rt_node *n)
{
    const rt_unary_attr *a = RT_ATTR(n, rt_unary_attr);
    const function *f = &unaries[a->fn];
    const rt_fo_order order = rt_fo_common(e, n);
    const char *out = rt_fo_unique(e, n->name), *x = rt_fo_take(e, n->in[0], order), *low = NULL, *high = NULL,
               *to = out;
    rt_fo_set_like(e, n, order, out);
    if (!f->op) {
        e->status = rt_fail(RT_USAGE, "layer '%s': %s has no export to ONNX", n->name, rt_layer_name(n));
        return;
    }
    if (a->fn == RT_UNARY_MISH && e->spec->opset < 18) {
        put_mish(e, n, x, out);
        return;
    }
    if (a->fn == RT_UNARY_NOT) x = cast(e, x, rt_fo_own(e, n, "bool"), RT_ONNX_BOOL);
    if (a->fn == RT_UNARY_POW) low = rt_fo_number(e, n, "exponent", a->a);
    if (a->fn == RT_UNARY_CLIP) low = rt_fo_number(e, n, "low", a->a), high = rt_fo_number(e, n, "high", a->b);
    if (f->bools) to = rt_fo_own(e, n, "answer");
    rt_onnx_node *p = rt_fo_node_of(e, f->op, to, x, low, high);
    if (f->a) rt_onnx_float(p, f->a, a->a);
    if (f->b) rt_onnx_float(p, f->b, a->b);
    if (f->bools) cast(e, to, out, RT_ONNX_F32);
}

/* ---- two numbers ---- */

/* As the operators of layers come: add, multiply, then RT_OP_SUBTRACT and on. ins: inputs are booleans, too. */
static const struct { const char *op; int bools, ins; } binaries[] = {
    {"Sub", 0, 0}, {"Div", 0, 0}, {"Min", 0, 0}, {"Max", 0, 0}, {"Pow", 0, 0}, {"PRelu", 0, 0}, {"Mod", 0, 0},
    {"Less", 1, 0}, {"LessOrEqual", 1, 0}, {"Greater", 1, 0}, {"GreaterOrEqual", 1, 0}, {"Equal", 1, 0},
    {"And", 1, 1}, {"Or", 1, 1}, {"Xor", 1, 1}};
_Static_assert(sizeof binaries / sizeof binaries[0] == RT_OP_XOR - RT_OP_SUBTRACT + 1, "a row for each operator");

const char *rt_fo_beside(rt_fo_graph *e, const rt_node *n, int i, int rank, rt_fo_order order)
{
    const rt_shape *s = &e->g->tensor[n->in[i]].shape;
    const char *x = rt_fo_take(e, n->in[i], s->rank == 1 && rank > 1 ? RT_FO_LAST : order);
    int64_t dim[RT_MAX_RANK + 1];
    if (s->rank == rank) return x;
    const rt_shape wide = rt_fo_widened(s, rank);
    const int dims = rt_fo_shape(&wide, order, dim);
    const char *what = rt_onnx_name(e->o, "wide%d", i);
    return rt_fo_chain(e, n, "Reshape", what, x, rt_fo_whole(e, n, rt_onnx_name(e->o, "%s/shape", what), dims, dim));
}

rt_fo_order rt_fo_meeting(const rt_fo_graph *e, const rt_node *n, const rt_shape *out, int plain)
{
    int lack[RT_FO_ORDERS] = {0};
    if (plain) return rt_fo_common(e, n);
    for (int i = 0; i < n->inputs && out->rank > 1; i++)
        for (int order = 0; order < RT_FO_ORDERS && rt_fo_rank(e, n->in[i]) > 1; order++)
            lack[order] += !rt_fo_has(e, n->in[i], order);
    return lack[RT_FO_FIRST] < lack[RT_FO_LAST] ? RT_FO_FIRST : RT_FO_LAST;
}

static int same_shapes(const rt_fo_graph *e, const rt_node *n)
{
    int same = 1;
    for (int i = 1; i < n->inputs; i++)
        same &= rt_shape_equal(&e->g->tensor[n->in[i]].shape, &e->g->tensor[n->in[0]].shape);
    return same;
}

/* a, or a b below 0, where a is repeated: ONNX repeats the slope alone. */
static void put_slope(rt_fo_graph *e, const rt_node *n, const char *a, const char *b, const char *out)
{
    const char *below = rt_fo_chain(e, n, "Less", "below", a, rt_fo_number(e, n, "zero", 0)),
               *product = rt_fo_chain(e, n, "Mul", "product", a, b);
    rt_fo_node_of(e, "Where", out, below, product, a);
}

void rt_fo_put_binary(rt_fo_graph *e, const rt_node *n)
{
    const rt_binary_attr *a = RT_ATTR(n, rt_binary_attr);
    const int own = n->inputs == 1, row = n->op - RT_OP_SUBTRACT, arithmetic = n->op == RT_OP_ADD || n->op == RT_OP_MUL;
    const rt_shape *to = &e->g->tensor[n->out].shape;
    const rt_fo_order order = rt_fo_meeting(e, n, to, !own && same_shapes(e, n));
    const char *op = n->op == RT_OP_ADD ? "Add" : n->op == RT_OP_MUL ? "Mul" : binaries[row].op, *side[2], *out;
    for (int k = 0; k < 2; k++) {
        if (!own || k == a->reverse) side[k] = rt_fo_beside(e, n, own ? 0 : k, to->rank, order);
        else {
            const rt_shape wide = rt_fo_widened(&a->operand, order == RT_FO_FIRST ? to->rank : a->operand.rank);
            side[k] = rt_fo_field(e, n->field[0], order == RT_FO_FIRST && wide.rank > 1 ? RT_FO_TO_FIRST : RT_FO_AS_IS,
                                  &wide);
        }
    }
    if (arithmetic) {
        out = rt_fo_before(e, n);
        rt_fo_node_of(e, op, out, side[0], side[1], NULL);
        rt_fo_finish(e, n, order, out);
        return;
    }
    out = rt_fo_unique(e, n->name);
    if (!own && same_shapes(e, n)) rt_fo_set_like(e, n, order, out);
    else rt_fo_set(e, n->out, order, out);
    if (binaries[row].ins)
        for (int k = 0; k < 2; k++) side[k] = cast(e, side[k], rt_fo_own(e, n, k ? "bool1" : "bool0"), RT_ONNX_BOOL);
    const rt_shape *left = own && a->reverse ? &a->operand : &e->g->tensor[n->in[0]].shape;
    if (n->op == RT_OP_PRELU && (!rt_shape_equal(left, to) || (own && a->reverse))) {
        put_slope(e, n, side[0], side[1], out);
        return;
    }
    const char *answer = binaries[row].bools ? rt_fo_own(e, n, "answer") : out;
    rt_onnx_node *p = rt_fo_node_of(e, op, answer, side[0], side[1], NULL);
    if (n->op == RT_OP_MODULO) rt_onnx_int(p, "fmod", 1);
    if (answer != out) cast(e, answer, out, RT_ONNX_F32);
}

void rt_fo_put_where(rt_fo_graph *e, const rt_node *n)
{
    const rt_shape *to = &e->g->tensor[n->out].shape;
    const int plain = same_shapes(e, n);
    const rt_fo_order order = rt_fo_meeting(e, n, to, plain);
    const char *in[3], *out = rt_fo_unique(e, n->name);
    for (int i = 0; i < 3; i++) in[i] = rt_fo_beside(e, n, i, to->rank, order);
    in[0] = cast(e, in[0], rt_fo_own(e, n, "bool"), RT_ONNX_BOOL);
    rt_fo_node_of(e, "Where", out, in[0], in[1], in[2]);
    if (plain) rt_fo_set_like(e, n, order, out);
    else rt_fo_set(e, n->out, order, out);
}

void rt_fo_put_constant(rt_fo_graph *e, const rt_node *n)
{
    rt_shape s = e->g->tensor[n->out].shape, wide = rt_fo_widened(&s, s.rank);
    int64_t dim[RT_MAX_RANK];
    for (int i = 0; i < s.rank; i++) dim[i] = s.dim[i];
    const char *out = rt_fo_unique(e, n->name), *rows = rt_fo_rows(e, n), *whole = rt_fo_own(e, n, "shape"),
               *sizes = rt_fo_whole(e, n, "sizes", s.rank, dim), *in[] = {rows, sizes, NULL};
    rt_onnx_int(rt_onnx_add(e->o, "Concat", whole, in), "axis", 0);
    rt_fo_node_of(e, "Expand", out, rt_fo_field(e, n->field[0], RT_FO_AS_IS, &wide), whole, NULL);
    rt_fo_set(e, n->out, RT_FO_LAST, out);
}
