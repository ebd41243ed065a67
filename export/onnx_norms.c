/* export/onnx_norms.c - norms as ONNX nodes. */
#include "export/onnx_float_parts.h"

/* r += m (batch - r) of retort is r = r (1 - m) + batch m. */
void rt_fo_put_batch_norm(rt_fo_graph *e, const rt_node *n)
{
    const rt_batch_norm_attr *a = RT_ATTR(n, rt_batch_norm_attr);
    const rt_fo_order order = rt_fo_rank(e, n->in[0]) == 1 ? RT_FO_LAST : RT_FO_FIRST;
    const char *out = rt_fo_before(e, n), *in[6] = {rt_fo_take(e, n->in[0], order)};
    for (int i = 0; i < 4; i++) in[1 + i] = rt_fo_field(e, n->field[i], RT_FO_AS_IS, NULL);
    rt_onnx_node *p = rt_onnx_add(e->o, "BatchNormalization", out, in);
    rt_onnx_float(p, "epsilon", a->eps);
    rt_onnx_float(p, "momentum", 1.0f - a->momentum);
    rt_fo_finish(e, n, order, out);
}

/* A field of a number a channel, beside a tensor in that order. */
static const char *channels_of(rt_fo_graph *e, int field, int tensor, rt_fo_order order)
{
    const rt_shape by = {.rank = rt_fo_rank(e, tensor)};
    return by.rank > 1 && order == RT_FO_FIRST ? rt_fo_field(e, field, RT_FO_CHANNEL, &by)
                                                 : rt_fo_field(e, field, RT_FO_AS_IS, NULL);
}

void rt_fo_put_affine(rt_fo_graph *e, const rt_node *n)
{
    const rt_fo_order order = rt_fo_rank(e, n->in[0]) == 1 ? RT_FO_LAST : rt_fo_common(e, n);
    const char *out = rt_fo_before(e, n), *scaled = rt_fo_own(e, n, "scaled"), *x = rt_fo_take(e, n->in[0], order);
    rt_fo_node_of(e, "Mul", scaled, x, channels_of(e, n->field[0], n->in[0], order), NULL);
    rt_fo_node_of(e, "Add", out, scaled, channels_of(e, n->field[1], n->in[0], order), NULL);
    rt_fo_finish(e, n, order, out);
}

/* x / sqrt(mean x^2 + eps), the mean over the last dims. */
static const char *standard(rt_fo_graph *e, const rt_node *n, const char *x, int dims, float eps)
{
    int64_t axes[RT_MAX_RANK];
    for (int i = 0; i < dims; i++) axes[i] = i - dims;
    const char *square = rt_fo_chain(e, n, "Pow", "squares", x, rt_fo_number(e, n, "two", 2.0f)),
               *mean = rt_fo_own(e, n, "variance");
    rt_fo_reduced(e, n, "ReduceMean", square, mean, dims, axes, 1);
    const char *raised = rt_fo_chain(e, n, "Add", "raised", mean, rt_fo_number(e, n, "epsilon", eps));
    return rt_fo_chain(e, n, "Div", "standard", x, rt_fo_chain(e, n, "Sqrt", "deviation", raised, NULL));
}

void rt_fo_put_layer_norm(rt_fo_graph *e, const rt_node *n)
{
    const rt_layer_norm_attr *a = RT_ATTR(n, rt_layer_norm_attr);
    const char *out = rt_fo_unique(e, n->name), *x = rt_fo_take(e, n->in[0], RT_FO_LAST),
               *gamma = rt_fo_field(e, n->field[0], RT_FO_AS_IS, NULL),
               *beta = rt_fo_field(e, n->field[1], RT_FO_AS_IS, NULL);
    rt_fo_set(e, n->out, RT_FO_LAST, out);
    if (e->spec->opset >= 17) {
        rt_onnx_node *p = rt_fo_node_of(e, "LayerNormalization", out, x, gamma, beta);
        rt_onnx_int(p, "axis", -a->dims);
        rt_onnx_float(p, "epsilon", a->eps);
        return;
    }
    int64_t axes[RT_MAX_RANK];
    for (int i = 0; i < a->dims; i++) axes[i] = i - a->dims;
    const char *mean = rt_fo_own(e, n, "mean");
    rt_fo_reduced(e, n, "ReduceMean", x, mean, a->dims, axes, 1);
    const char *centred = rt_fo_chain(e, n, "Sub", "centred", x, mean);
    const char *scaled = rt_fo_chain(e, n, "Mul", "scaled", standard(e, n, centred, a->dims, a->eps), gamma);
    rt_fo_node_of(e, "Add", out, scaled, beta, NULL);
}

void rt_fo_put_rms_norm(rt_fo_graph *e, const rt_node *n)
{
    const rt_layer_norm_attr *a = RT_ATTR(n, rt_layer_norm_attr);
    const char *out = rt_fo_unique(e, n->name), *x = rt_fo_take(e, n->in[0], RT_FO_LAST),
               *gamma = rt_fo_field(e, n->field[0], RT_FO_AS_IS, NULL);
    rt_fo_set(e, n->out, RT_FO_LAST, out);
    if (e->spec->opset >= 23) {
        rt_onnx_node *p = rt_fo_node_of(e, "RMSNormalization", out, x, gamma, NULL);
        rt_onnx_int(p, "axis", -a->dims);
        rt_onnx_float(p, "epsilon", a->eps);
    } else rt_fo_node_of(e, "Mul", out, standard(e, n, x, a->dims, a->eps), gamma, NULL);
}

/* Of groups of one channel it is InstanceNormalization. GroupNormalization has a gamma a channel from opset 21 on;
 * before, a group is a channel of an InstanceNormalization without gamma and beta. */
void rt_fo_put_group_norm(rt_fo_graph *e, const rt_node *n)
{
    const rt_group_norm_attr *a = RT_ATTR(n, rt_group_norm_attr);
    const rt_shape *s = &e->g->tensor[n->in[0]].shape;
    const int channels = s->dim[s->rank - 1], single = a->groups == channels && s->rank > 1;
    const rt_fo_order order = s->rank == 1 ? RT_FO_LAST : RT_FO_FIRST;
    const char *out = rt_fo_unique(e, n->name), *x = rt_fo_take(e, n->in[0], order);
    rt_fo_set(e, n->out, order, out);
    if (single || (e->spec->opset >= 21 && s->rank > 1)) {
        const char *gamma = rt_fo_field(e, n->field[0], RT_FO_AS_IS, NULL),
                   *beta = rt_fo_field(e, n->field[1], RT_FO_AS_IS, NULL);
        rt_onnx_node *p = rt_fo_node_of(e, single ? "InstanceNormalization" : "GroupNormalization", out, x, gamma,
                                        beta);
        rt_onnx_float(p, "epsilon", a->eps);
        if (!single) rt_onnx_int(p, "num_groups", a->groups);
        return;
    }
    const int64_t groups[] = {0, a->groups, -1}, count = a->groups;
    int64_t dim[RT_MAX_RANK + 1];
    const int rank = rt_fo_dims(e, n->out, order, dim);
    const char *normed = rt_fo_own(e, n, "normed"),
               *parted = rt_fo_chain(e, n, "Reshape", "groups", x, rt_fo_whole(e, n, "groups/shape", 3, groups));
    const char *ones = rt_fo_fill(e, n, "ones", count, 1), *zeros = rt_fo_fill(e, n, "zeros", count, 0);
    rt_onnx_node *p = rt_fo_node_of(e, "InstanceNormalization", normed, parted, ones, zeros);
    rt_onnx_float(p, "epsilon", a->eps);
    const char *back = rt_fo_chain(e, n, "Reshape", "channels", normed, rt_fo_whole(e, n, "channels/shape", rank, dim)),
               *scaled = rt_fo_chain(e, n, "Mul", "scaled", back, channels_of(e, n->field[0], n->in[0], order));
    rt_fo_node_of(e, "Add", out, scaled, channels_of(e, n->field[1], n->in[0], order), NULL);
}

/* ONNX Runtime has LRN for images and windows with a middle alone; else it is spelled out: the mean of squares under a
 * window of channels that counts what is outside as 0. */
void rt_fo_put_lrn(rt_fo_graph *e, const rt_node *n)
{
    const rt_lrn_attr *a = RT_ATTR(n, rt_lrn_attr);
    const rt_shape *s = &e->g->tensor[n->in[0]].shape;
    const rt_fo_order order = s->rank == 1 ? RT_FO_LAST : RT_FO_FIRST;
    const char *out = rt_fo_unique(e, n->name), *x = rt_fo_take(e, n->in[0], order);
    rt_fo_set(e, n->out, order, out);
    if (s->rank == 3 && a->size % 2) {
        rt_onnx_node *p = rt_fo_node_of(e, "LRN", out, x, NULL, NULL);
        rt_onnx_int(p, "size", a->size);
        rt_onnx_float(p, "alpha", a->alpha);
        rt_onnx_float(p, "beta", a->beta);
        rt_onnx_float(p, "bias", a->bias);
        return;
    }
    const int64_t plane[] = {0, 1, s->dim[s->rank - 1], -1}, kernel[] = {a->size, 1},
                  pads[] = {(a->size - 1) / 2, 0, a->size / 2, 0};
    int64_t dim[RT_MAX_RANK + 1];
    const int rank = rt_fo_dims(e, n->out, order, dim);
    const char *square = rt_fo_chain(e, n, "Mul", "squares", x, x), *mean = rt_fo_own(e, n, "mean"),
               *channels = rt_fo_chain(e, n, "Reshape", "plane", square, rt_fo_whole(e, n, "plane/shape", 4, plane));
    rt_onnx_node *p = rt_fo_node_of(e, "AveragePool", mean, channels, NULL, NULL);
    rt_onnx_ints(p, "kernel_shape", 2, kernel);
    rt_onnx_ints(p, "pads", 4, pads);
    rt_onnx_int(p, "count_include_pad", 1);
    const char *back = rt_fo_chain(e, n, "Reshape", "means", mean, rt_fo_whole(e, n, "means/shape", rank, dim)),
               *scaled = rt_fo_chain(e, n, "Mul", "scaled", back, rt_fo_number(e, n, "alpha", a->alpha)),
               *raised = rt_fo_chain(e, n, "Add", "raised", scaled, rt_fo_number(e, n, "bias", a->bias));
    const char *power = rt_fo_chain(e, n, "Pow", "power", raised, rt_fo_number(e, n, "beta", a->beta));
    rt_fo_node_of(e, "Div", out, x, power, NULL);
}
