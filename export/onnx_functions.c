/* export/onnx_functions.c - functions of engine/functions.h as ONNX nodes. Where ONNX answers with booleans a Cast makes
 * 0 and 1 of them. */
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
    [RT_UNARY_SHRINK] = {"Shrink", "lambd", "bias", 0}, [RT_UNARY_CLIP] = {.op = "Clip"}, [RT_UNARY_POW] = {.op = "Pow"},
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
    const char *out = rt_fo_unique(e, n->name), *x = rt_fo_take(e, n->in[0], order), *low = NULL, *high = NULL, *to = out;
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
