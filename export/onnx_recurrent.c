/* export/onnx_recurrent.c - LSTM, GRU and RNN as ONNX nodes, which take (T, batch, D). Gates come in ONNX's order
 * (engine/ops_recurrent.c). */
#include <stdlib.h>
#include <string.h>

#include "export/onnx_float_parts.h"

/* (dirs, 2 gates H): a bias of the input's product, then one of the state's, 0 but for what a GRU of PyTorch's form
 * adds before its reset gate. */
static const char *biases(rt_fo_graph *e, const rt_node *n, int dirs, int gates, int h)
{
    const size_t half = (size_t)gates * (size_t)h, whole = 2 * half;
    const int64_t dim[] = {dirs, (int64_t)whole};
    const char *name = rt_fo_own(e, n, "bias");
    float *v = calloc((size_t)dirs * whole, sizeof *v);
    for (size_t d = 0; d < (size_t)dirs && v; d++) {
        memcpy(v + d * whole, e->field[n->field[2]] + d * half, half * sizeof *v);
        if (n->fields > 3)
            memcpy(v + d * whole + half + 2 * (size_t)h, e->field[n->field[3]] + d * (size_t)h, (size_t)h * sizeof *v);
    }
    if (v) rt_onnx_const(e->o, name, RT_ONNX_F32, 2, dim, v);
    else e->status = rt_fail(RT_RUN, "out of memory");
    free(v);
    return name;
}

void rt_fo_put_recurrent(rt_fo_graph *e, const rt_node *n)
{
    static const char *const direction[] = {"forward", "reverse", "bidirectional"};
    static const int64_t time_first[] = {1, 0, 2}, rows_first[] = {2, 0, 1, 3};
    const rt_recurrent_attr *a = RT_ATTR(n, rt_recurrent_attr);
    const rt_shape *x = &e->g->tensor[n->in[0]].shape;
    const int dirs = a->direction == 2 ? 2 : 1, gates = n->op == RT_OP_LSTM ? 4 : n->op == RT_OP_GRU ? 3 : 1,
              h = a->out;
    const rt_shape w = {3, {dirs, gates * h, x->dim[1]}}, r = {3, {dirs, gates * h, h}};
    const int64_t dim[] = {0, x->dim[0], (int64_t)dirs * h};
    const char *out = rt_fo_unique(e, n->name), *steps = rt_fo_own(e, n, "steps"), *all = rt_fo_own(e, n, "states"),
               *turned = rt_fo_own(e, n, "by_row");
    rt_onnx_ints(rt_fo_node_of(e, "Transpose", steps, rt_fo_take(e, n->in[0], RT_FO_LAST), NULL, NULL), "perm", 3,
                 time_first);
    const char *in[5] = {steps, rt_fo_field(e, n->field[0], RT_FO_TURNED, &w),
                         rt_fo_field(e, n->field[1], RT_FO_TURNED, &r), biases(e, n, dirs, gates, h), NULL};
    rt_onnx_node *p = rt_onnx_add(e->o, n->op == RT_OP_LSTM ? "LSTM" : n->op == RT_OP_GRU ? "GRU" : "RNN",
                                  a->last ? "" : all, in);
    rt_onnx_int(p, "hidden_size", h);
    rt_onnx_string(p, "direction", direction[a->direction]);
    if (n->op == RT_OP_GRU) rt_onnx_int(p, "linear_before_reset", a->linear_before_reset);
    if (a->last) rt_onnx_more(p, all);               /* (dirs, batch, H) */
    rt_onnx_ints(rt_fo_node_of(e, "Transpose", turned, all, NULL, NULL), "perm", a->last ? 3 : 4,
                 a->last ? time_first : rows_first);
    if (a->last) rt_onnx_int(rt_fo_node_of(e, "Flatten", out, turned, NULL, NULL), "axis", 1);
    else rt_fo_node_of(e, "Reshape", out, turned, rt_fo_whole(e, n, "shape", 3, dim), NULL);
    rt_fo_set(e, n->out, RT_FO_LAST, out);
}
