/* student/onnx/onnx_lower_math.c - functions of one number, and of two whose shapes broadcast, as layers. */
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "student/onnx/onnx_lower.h"

/* ---- of one ---- */

/* A layer of one input that changes no shape, on the value as it lies in memory. */
static cJSON *in_place(rt_lowering *l, const rt_eval_node *n, const char *op)
{
    rt_lowered_value *x = rt_lower_in(l, n, 0);
    cJSON *j = rt_lower_layer(l, op, n->name, &x->layer, 1);
    rt_lower_alias(l, n, 0, x);
    l->v[n->out[0]].layer = rt_lower_name(j);
    return j;
}

/* Attributes that go from the node to the layer, with ONNX's defaults. */
static const struct {
    const char *onnx, *layer;
    struct { const char *onnx, *layer; double none; } a[2];
} unary[] = {
    {"Relu", "relu", {{0}}},
    {"Sigmoid", "sigmoid", {{0}}},
    {"Tanh", "tanh", {{0}}},
    {"HardSwish", "hard_swish", {{0}}},
    {"Exp", "exp", {{0}}},
    {"Log", "log", {{0}}},
    {"Sqrt", "sqrt", {{0}}},
    {"Reciprocal", "reciprocal", {{0}}},
    {"Abs", "abs", {{0}}},
    {"Neg", "neg", {{0}}},
    {"Erf", "erf", {{0}}},
    {"Softplus", "softplus", {{0}}},
    {"Softsign", "softsign", {{0}}},
    {"Mish", "mish", {{0}}},
    {"Sin", "sin", {{0}}},
    {"Cos", "cos", {{0}}},
    {"Tan", "tan", {{0}}},
    {"Asin", "asin", {{0}}},
    {"Acos", "acos", {{0}}},
    {"Atan", "atan", {{0}}},
    {"Sinh", "sinh", {{0}}},
    {"Cosh", "cosh", {{0}}},
    {"Asinh", "asinh", {{0}}},
    {"Acosh", "acosh", {{0}}},
    {"Atanh", "atanh", {{0}}},
    {"Floor", "floor", {{0}}},
    {"Ceil", "ceil", {{0}}},
    {"Round", "round", {{0}}},
    {"Sign", "sign", {{0}}},
    {"Not", "not", {{0}}},
    {"IsNaN", "is_nan", {{0}}},
    {"LeakyRelu", "leaky_relu", {{"alpha", "slope", 0.01}}},
    {"Elu", "elu", {{"alpha", "alpha", 1}}},
    {"Selu", "selu", {{"alpha", "alpha", 1.67326319217681884765625}, {"gamma", "gamma", 1.05070102214813232421875}}},
    {"Celu", "celu", {{"alpha", "alpha", 1}}},
    {"HardSigmoid", "hard_sigmoid", {{"alpha", "alpha", 0.2}, {"beta", "beta", 0.5}}},
    {"ThresholdedRelu", "thresholded_relu", {{"alpha", "alpha", 1}}},
    {"Shrink", "shrink", {{"lambd", "lambd", 0.5}, {"bias", "bias", 0}}}};

static rt_status one(rt_lowering *l, const rt_eval_node *n)
{
    size_t i = 0;
    while (strcmp(unary[i].onnx, n->op)) i++;
    if (!rt_array_is_float(rt_lower_shape(l, n, 0)) && rt_lower_shape(l, n, 0)->type != RT_BOOL)
        return rt_lower_no(l, "computes with integers that depend on data");
    cJSON *j = in_place(l, n, unary[i].layer);
    for (int a = 0; a < 2 && unary[i].a[a].onnx; a++)
        cJSON_AddNumberToObject(j, unary[i].a[a].layer, rt_lower_float(n, unary[i].a[a].onnx, unary[i].a[a].none));
    return RT_OK;
}

static rt_status gelu(rt_lowering *l, const rt_eval_node *n)
{
    in_place(l, n, strcmp(rt_lower_string(n, "approximate", "none"), "tanh") ? "gelu_erf" : "gelu");
    return RT_OK;
}

static rt_status swish(rt_lowering *l, const rt_eval_node *n)
{
    if (rt_lower_float(n, "alpha", 1) != 1) return rt_lower_no(l, "a slope other than 1");
    in_place(l, n, "silu");
    return RT_OK;
}

static rt_status clip(rt_lowering *l, const rt_eval_node *n)
{
    const rt_array *a = rt_lower_const(l, n, 1), *b = rt_lower_const(l, n, 2);
    if ((n->inputs > 1 && n->in[1] >= 0 && !a) || (n->inputs > 2 && n->in[2] >= 0 && !b))
        return rt_lower_no(l, "its bounds depend on data");
    double low = a ? rt_array_double(a, 0) : rt_lower_float(n, "min", -FLT_MAX),
           high = b ? rt_array_double(b, 0) : rt_lower_float(n, "max", FLT_MAX);
    if (low == 0 && (high == 6 || high >= FLT_MAX)) {
        in_place(l, n, high == 6 ? "relu6" : "relu");
        return RT_OK;
    }
    cJSON *j = in_place(l, n, "clip");
    if (low > -FLT_MAX) cJSON_AddNumberToObject(j, "low", low);
    if (high < FLT_MAX) cJSON_AddNumberToObject(j, "high", high);
    return RT_OK;
}

static rt_status dropout(rt_lowering *l, const rt_eval_node *n)
{
    if (n->outputs > 1 && n->out[1] >= 0 && l->readers[n->out[1]]) return rt_lower_no(l, "its mask is read");
    rt_lower_alias(l, n, 0, rt_lower_in(l, n, 0));
    return RT_OK;
}

static rt_status softmax(rt_lowering *l, const rt_eval_node *n)
{
    rt_lowered_value *x = rt_lower_in(l, n, 0);
    int64_t axis = rt_lower_int(n, "axis", n->version < 13 ? 1 : -1), width = 1, rows = 1;
    int order[RT_ARRAY_RANK], k = 0;
    const char *from;
    if (axis < 0) axis += x->rank;
    for (int i = 0; i < x->rank; i++) {
        int inside = n->version < 13 ? i >= axis : i == axis;         /* before opset 13: over all from the axis on */
        *(inside ? &width : &rows) *= x->dim[i];
        if (!inside) order[k++] = i;
    }
    for (int i = (int)axis; i < (n->version < 13 ? x->rank : (int)axis + 1); i++) order[k++] = i;
    rt_shape shape = rows == 1 ? (rt_shape){1, {(int)width}} : (rt_shape){2, {(int)rows, (int)width}};
    RT_TRY(rt_lower_as(l, x, order, &shape, &from));
    if (l->bad) return RT_OK;
    rt_lower_give(l, n, 0, rt_lower_layer(l, strcmp(n->op, "Softmax") ? "log_softmax" : "softmax", n->name, &from, 1),
                  &shape, order);
    return RT_OK;
}

/* ---- of two ---- */

static const struct { const char *onnx, *layer;
} binary[] = {{"Add", "add"},
              {"Sum", "add"},
              {"Sub", "subtract"},
              {"Mul", "multiply"},
              {"Div", "divide"},
              {"Min", "minimum"},
              {"Max", "maximum"},
              {"Pow", "power"},
              {"PRelu", "prelu"},
              {"Less", "less"},
              {"LessOrEqual", "less_or_equal"},
              {"Greater", "greater"},
              {"GreaterOrEqual", "greater_or_equal"},
              {"Equal", "equal"},
              {"And", "and"},
              {"Or", "or"},
              {"Xor", "xor"}};

/* One side: a value, or a constant, and the shape that it has in ONNX's eyes. */
typedef struct { rt_lowered_value *v; const rt_array *c; int rank; const int64_t *dim; } side;

/* The order of the joint axes: that of the first side that is whole and has them all. */
static void joint_order(const side *s, int sides, int rank, int order[RT_ARRAY_RANK])
{
    for (int i = 0; i < rank; i++) order[i] = i;
    for (int k = 0; k < sides; k++) {
        const rt_lowered_value *v = s[k].v;
        if (!v || v->rank != rank || v->base_rank != rank || memcmp(v->base, v->dim, (size_t)rank * sizeof *v->dim))
            continue;
        memcpy(order, v->order, (size_t)rank * sizeof *order);
        return;
    }
}

/* A side's dimensions along the joint axes in their order, those left out that are 1 for all; and the order of its own
 * axes. 0: too many. */
static int shape_of(const side *s, int rank, const int64_t *dim, const int *order, rt_shape *shape,
                    int own[RT_ARRAY_RANK])
{
    int k = 0;
    shape->rank = 0;
    for (int i = 0; i < rank; i++) {
        int at = order[i] - (rank - s->rank);
        if (at >= 0) own[k++] = at;
        if (dim[order[i]] == 1) continue;
        if (shape->rank == RT_MAX_RANK || dim[order[i]] > INT32_MAX) return 0;
        shape->dim[shape->rank++] = at >= 0 ? (int)s->dim[at] : 1;
    }
    if (!shape->rank) shape->dim[shape->rank++] = 1;
    return 1;
}

static void strip_ones(rt_shape *s)
{
    while (s->rank > 1 && s->dim[0] == 1) memmove(s->dim, s->dim + 1, (size_t)--s->rank * sizeof *s->dim);
}

/* Weights are trained on; what a graph computes with beside them is not. */
static int is_weight(const rt_lowering *l, const rt_eval_node *n, int i)
{
    const rt_array *c = rt_lower_const(l, n, i);
    return c && c->count > 1 && l->g->known[n->in[i]] == c && rt_array_is_float(c);
}

static rt_status layer_of_two(rt_lowering *l, const rt_eval_node *n, const char *op, const side s[2],
                              const int64_t *dim, int rank, cJSON **layer, rt_shape *out, int order[RT_ARRAY_RANK])
{
    const char *from[2];
    int own[2][RT_ARRAY_RANK], varying = 0;
    rt_shape shape[2];
    joint_order(s, 2, rank, order);
    for (int k = 0; k < 2; k++) {
        if (!shape_of(&s[k], rank, dim, order, &shape[k], own[k]))
            return rt_lower_no(l, "a tensor of more dimensions than layers have");
        if (!s[k].v) continue;
        RT_TRY(rt_lower_as(l, s[k].v, own[k], &shape[k], &from[varying]));
        if (l->bad) return RT_OK;
        varying++;
    }
    const char *hint = n->name;
    cJSON *j = *layer = rt_lower_layer(l, op, hint, from, varying);
    if (varying == 1) {
        int c = s[0].v != NULL;
        strip_ones(&shape[c]);
        cJSON_AddItemToObject(j, "operand", cJSON_CreateIntArray(shape[c].dim, shape[c].rank));
        if (is_weight(l, n, c)) cJSON_AddBoolToObject(j, "learned", 1);
        if (!c) cJSON_AddBoolToObject(j, "reverse", 1);
        RT_TRY(rt_lower_put(l, j, "operand", s[c].c, own[c]));
    }
    out->rank = 0;
    for (int i = 0; i < rank; i++) if (dim[order[i]] != 1) out->dim[out->rank++] = (int)dim[order[i]];
    if (!out->rank) out->dim[out->rank++] = 1;
    return RT_OK;
}

static side side_of(rt_lowering *l, const rt_eval_node *n, int i)
{
    side s = {rt_lower_in(l, n, i), rt_lower_const(l, n, i), 0, NULL};
    s.rank = s.v ? s.v->rank : s.c ? s.c->rank : 0;
    s.dim = s.v ? s.v->dim : s.c ? s.c->dim : NULL;
    return s;
}

/* Opset 6: b's axes lie from `axis` on under a's. */
static int legacy_axis(const rt_eval_node *n, const side *a, const side *b, int64_t dim[RT_ARRAY_RANK])
{
    if (n->version >= 7) return 0;
    if (!strcmp(n->op, "PRelu") && b->rank == 1 && b->dim[0] > 1 && a->rank > 1) {     /* a slope a channel */
        for (int i = 0; i < a->rank; i++) dim[i] = i == 1 ? b->dim[0] : 1;
        return 1;
    }
    if (!rt_lower_int(n, "broadcast", 0)) return 0;
    int64_t axis = rt_lower_int(n, "axis", a->rank - b->rank);
    if (axis < 0) axis += a->rank;
    for (int i = 0; i < a->rank; i++) dim[i] = i >= axis && i < axis + b->rank ? b->dim[i - axis] : 1;
    return axis + b->rank <= a->rank;
}

static int has_whole_numbers(const rt_lowering *l, const rt_eval_node *n)
{
    for (int i = 0; i < n->inputs; i++) {
        const rt_array *a = n->in[i] >= 0 ? l->row->value[n->in[i]] : NULL;
        if (a && !rt_array_is_float(a) && a->type != RT_BOOL) return 1;
    }
    return 0;
}

static rt_status two(rt_lowering *l, const rt_eval_node *n)
{
    size_t i = 0;
    int order[RT_ARRAY_RANK];
    int64_t under[RT_ARRAY_RANK];
    rt_array moved;
    rt_shape out;
    cJSON *j = NULL;
    const rt_array *y = rt_lower_shape(l, n, 0);
    while (strcmp(binary[i].onnx, n->op)) i++;
    if (has_whole_numbers(l, n)) return rt_lower_no(l, "computes with integers that depend on data");
    if (n->inputs == 1) {
        rt_lower_alias(l, n, 0, rt_lower_in(l, n, 0));
        return RT_OK;
    }
    if (n->inputs > 2) return rt_lower_no(l, "more than two inputs");
    side s[2] = {side_of(l, n, 0), side_of(l, n, 1)};
    if (s[1].c && legacy_axis(n, &s[0], &s[1], under)) {
        moved = *s[1].c;
        moved.rank = s[1].rank = s[0].rank;
        memcpy(moved.dim, under, sizeof moved.dim);
        s[1].c = &moved;
        s[1].dim = moved.dim;
    } else if (n->version < 7 && rt_lower_int(n, "broadcast", 0))
        return rt_lower_no(l, "opset 6's way of broadcasting");
    RT_TRY(layer_of_two(l, n, binary[i].layer, s, y->dim, y->rank, &j, &out, order));
    if (!l->bad) rt_lower_give(l, n, 0, j, &out, order);
    return RT_OK;
}

rt_status rt_lower_sides(rt_lowering *l, const rt_eval_node *n, const int input[2], const char *from[2],
                         int order[RT_ARRAY_RANK], rt_shape *out)
{
    const rt_array *y = rt_lower_shape(l, n, 0);
    side s[2] = {side_of(l, n, input[0]), side_of(l, n, input[1])};
    int own[RT_ARRAY_RANK];
    rt_shape shape;
    joint_order(s, 2, y->rank, order);
    for (int k = 0; k < 2; k++) {
        if (!shape_of(&s[k], y->rank, y->dim, order, &shape, own))
            return rt_lower_no(l, "a tensor of more dimensions than layers have");
        RT_TRY(s[k].v ? rt_lower_as(l, s[k].v, own, &shape, &from[k])
                      : rt_lower_constant(l, s[k].c, &shape, own, &from[k]));
        if (l->bad) return RT_OK;
    }
    *out = (rt_shape){.rank = 0};
    for (int i = 0; i < y->rank; i++) if (y->dim[order[i]] != 1) out->dim[out->rank++] = (int)y->dim[order[i]];
    if (!out->rank) out->dim[out->rank++] = 1;
    return RT_OK;
}

/* ---- of three ---- */

static rt_status where(rt_lowering *l, const rt_eval_node *n)
{
    const rt_array *y = rt_lower_shape(l, n, 0);
    side s[3] = {side_of(l, n, 0), side_of(l, n, 1), side_of(l, n, 2)};
    int order[RT_ARRAY_RANK], own[RT_ARRAY_RANK];
    const char *from[3];
    rt_shape shape, out = {0};
    if (!rt_array_is_float(y) && y->type != RT_BOOL)
        return rt_lower_no(l, "computes with integers that depend on data");
    joint_order(s, 3, y->rank, order);
    for (int k = 0; k < 3; k++) {
        if (!shape_of(&s[k], y->rank, y->dim, order, &shape, own))
            return rt_lower_no(l, "a tensor of more dimensions than layers have");
        RT_TRY(s[k].v ? rt_lower_as(l, s[k].v, own, &shape, &from[k])
                      : rt_lower_constant(l, s[k].c, &shape, own, &from[k]));
        if (l->bad) return RT_OK;
    }
    for (int i = 0; i < y->rank; i++) if (y->dim[order[i]] != 1) out.dim[out.rank++] = (int)y->dim[order[i]];
    if (!out.rank) out.dim[out.rank++] = 1;
    rt_lower_give(l, n, 0, rt_lower_layer(l, "where", n->name, from, 3), &out, order);
    return RT_OK;
}

const rt_lower_entry rt_lower_math[] = {{"Relu", one},
                                        {"Sigmoid", one},
                                        {"Tanh", one},
                                        {"HardSwish", one},
                                        {"Exp", one},
                                        {"Log", one},
                                        {"Sqrt", one},
                                        {"Reciprocal", one},
                                        {"Abs", one},
                                        {"Neg", one},
                                        {"Erf", one},
                                        {"Softplus", one},
                                        {"Softsign", one},
                                        {"Mish", one},
                                        {"Sin", one},
                                        {"Cos", one},
                                        {"Tan", one},
                                        {"Asin", one},
                                        {"Acos", one},
                                        {"Atan", one},
                                        {"Sinh", one},
                                        {"Cosh", one},
                                        {"Asinh", one},
                                        {"Acosh", one},
                                        {"Atanh", one},
                                        {"Floor", one},
                                        {"Ceil", one},
                                        {"Round", one},
                                        {"Sign", one},
                                        {"Not", one},
                                        {"IsNaN", one},
                                        {"LeakyRelu", one},
                                        {"Elu", one},
                                        {"Selu", one},
                                        {"Celu", one},
                                        {"HardSigmoid", one},
                                        {"ThresholdedRelu", one},
                                        {"Shrink", one},
                                        {"Gelu", gelu},
                                        {"Swish", swish},
                                        {"Clip", clip},
                                        {"Dropout", dropout},
                                        {"Softmax", softmax},
                                        {"LogSoftmax", softmax},
                                        {"Add", two},
                                        {"Sum", two},
                                        {"Sub", two},
                                        {"Mul", two},
                                        {"Div", two},
                                        {"Min", two},
                                        {"Max", two},
                                        {"Pow", two},
                                        {"PRelu", two},
                                        {"Less", two},
                                        {"LessOrEqual", two},
                                        {"Greater", two},
                                        {"GreaterOrEqual", two},
                                        {"Equal", two},
                                        {"And", two},
                                        {"Or", two},
                                        {"Xor", two},
                                        {"Where", where},
                                        {NULL, NULL}};
