/* engine/passes.c - the passes, in the order in which they run. */
#include <string.h>

#include "engine/pass.h"

enum { INFER = 1 << RT_INFER, TRAIN = 1 << RT_TRAIN };

/* What inference computes with stands: of a frozen step, and of a graph that is explained. */
static int stands(const rt_rewrite *r)
{ return r->spec->wants || (r->spec->qat && r->spec->qat->mode == RT_QAT_FROZEN); }

static int has_weights(const rt_node *n)
{ return n->op == RT_OP_DENSE || n->op == RT_OP_CONV2D || n->op == RT_OP_CONV1D || n->op == RT_OP_CONV3D; }

/* A recipe that reads the batch norm, and `own` beside it. */
static rt_recipe of_norm(rt_recipe_kind kind, const rt_node *norm, int own)
{
    rt_recipe r = {.kind = kind, .eps = RT_ATTR(norm, rt_batch_norm_attr)->eps};
    for (int i = 0; i < RT_FROM_OWN; i++) r.from[i] = norm->field[i];        /* gamma, beta, mean, variance */
    r.from[RT_FROM_OWN] = own;
    return r;
}

static void set_fields(rt_rewrite *r, rt_node *n, int first, int second)
{
    int *list = rt_graph_list(r->out->graph, (int[]){first, second}, 2);
    if (!list) r->status = RT_RUN;
    n->field = list;
    n->fields = list ? 2 : 0;
}

/* Weights that are computed with are those that their quantizer gives; nodes that share weights share these, too. */
static void quant_weights(rt_rewrite *r, int node)
{
    const rt_qat *qat = r->spec->qat;
    const rt_quantizers *q = r->spec->quant;
    const rt_node *from = &r->in->node[node];
    rt_node *n = rt_rewrite_keep(r, node);
    if (!n || !qat || !q || !has_weights(from) || (int)from->key >= q->nodes || !q->bits[from->key]) return;
    int weight = from->field[0], step = q->step[from->key], made = -1;
    for (int i = 0; i < r->out->recipes; i++)
        if (r->out->recipe[i].kind == RT_QUANT_WEIGHT && r->out->recipe[i].from[RT_FROM_OWN] == weight)
            made = r->out->recipe[i].field;
    if (made < 0) {
        rt_recipe recipe = {.kind = RT_QUANT_WEIGHT, .bits = q->bits[from->key], .groups = 1,
                            .from = {step, step, step, step, weight},
                            .follow = qat->follow && (r->in->field[step].flags & RT_F_FROZEN)};
        if (from->op != RT_OP_DENSE) recipe.groups = RT_ATTR(from, rt_conv_attr)->groups;
        if (qat->factor && rt_graph_input_of(r->in, from->in[0]) >= 0) {
            recipe.factor = qat->factor;
            recipe.factors = qat->channels;
        }
        made = rt_rewrite_derive(r, n, "quantized_weight", &r->in->field[weight].shape, &recipe);
        if (r->status) return;
        r->out->graph->field[made].straight = 1 + weight;
    }
    int *list = rt_graph_list(r->out->graph, n->field, n->fields);
    if (!list) r->status = RT_RUN;
    else list[0] = made;
    n->field = list;
}

/* Any batch norm over known statistics: scale and shift a channel. */
static void to_affine(rt_rewrite *r, int node)
{
    const rt_node *norm = &r->in->node[node];
    const rt_shape *shape = &r->in->field[norm->field[0]].shape;
    rt_node *n = rt_rewrite_keep(r, node);
    if (!n) return;
    rt_recipe scale = of_norm(RT_NORM_SCALE, norm, -1), shift = of_norm(RT_NORM_SHIFT, norm, -1);
    int first = rt_rewrite_derive(r, n, "scale", shape, &scale),
        second = rt_rewrite_derive(r, n, "shift", shape, &shift);
    n->op = RT_OP_AFFINE;
    memset(n->attr, 0, sizeof n->attr);
    set_fields(r, n, first, second);
}

static void frozen_norm(rt_rewrite *r, int node)
{
    const rt_node *n = &r->in->node[node];
    int frozen = n->op == RT_OP_BATCH_NORM;
    for (int k = 0; k < n->fields; k++) frozen &= stands(r) || (r->in->field[n->field[k]].flags & RT_F_FROZEN) != 0;
    if (frozen) to_affine(r, node);
    else rt_rewrite_keep(r, node);
}

static void fold_norm(rt_rewrite *r, int node)
{
    const rt_node *from = &r->in->node[node];
    int c = has_weights(from) ? rt_rewrite_consumer(r, from->out) : -1;
    rt_node *n = rt_rewrite_keep(r, node);
    if (!n || c < 0 || r->in->node[c].op != RT_OP_BATCH_NORM) return;
    const rt_node *norm = &r->in->node[c];
    rt_recipe weight = of_norm(RT_FOLD_WEIGHT, norm, from->field[0]),
              bias = of_norm(RT_FOLD_BIAS, norm, from->fields > 1 ? from->field[1] : -1);
    int first = rt_rewrite_derive(r, n, "folded_weight", &r->in->field[from->field[0]].shape, &weight),
        second = rt_rewrite_derive(r, n, "folded_bias", &r->in->field[norm->field[0]].shape, &bias);
    set_fields(r, n, first, second);
    rt_rewrite_absorb(r, c, n);
}

static void norm_to_affine(rt_rewrite *r, int node)
{
    if (r->in->node[node].op == RT_OP_BATCH_NORM) to_affine(r, node);
    else rt_rewrite_keep(r, node);
}

/* Activations whose derivative can be read off their output follow anything that takes them up; others what only has
 * to compute them. */
static void fuse_act(rt_rewrite *r, int node)
{
    const rt_node *from = &r->in->node[node];
    int takes_any = from->op == RT_OP_BATCH_NORM || from->op == RT_OP_AFFINE ||
                    (from->op == RT_OP_ADD && rt_is_plain_pair(r->in, from));
    int c = has_weights(from) || takes_any ? rt_rewrite_consumer(r, from->out) : -1;
    rt_node *n = rt_rewrite_keep(r, node);
    if (!n || c < 0 || r->in->node[c].op != RT_OP_ACTIVATION || rt_node_act(from)) return;
    const rt_epilogue *end = RT_ATTR(&r->in->node[c], rt_epilogue);
    int off_output = end->act == RT_ACT_RELU || end->act == RT_ACT_RELU6;
    if (!off_output && (!takes_any || r->spec->mode == RT_TRAIN)) return;
    *RT_ATTR_SET(n, rt_epilogue) = *end;
    rt_rewrite_absorb(r, c, n);
}

static void identity(rt_rewrite *r, int node)
{
    const rt_node *n = &r->in->node[node];
    int goes = r->spec->mode != RT_TRAIN || stands(r);
    if (n->op == RT_OP_DROPOUT && (goes || RT_ATTR(n, rt_dropout_attr)->rate <= 0))
        rt_rewrite_drop(r, node);
    else rt_rewrite_keep(r, node);
}

static void dead(rt_rewrite *r, int node)
{
    if (r->live[r->in->node[node].out]) rt_rewrite_keep(r, node);
    else r->changes++;
}

/* identity comes behind fuse_act: a dropout between a convolution and its norm keeps them apart, as it always did. */
const rt_pass rt_passes[] = {
    {"quant_weights", "weights are brought to the steps of their quantizers", TRAIN, 1, quant_weights},
    {"frozen_norm", "batch norms that are frozen use their running statistics", TRAIN, 1, frozen_norm},
    {"fold_norm", "batch norms go into the weights before them", INFER, 0, fold_norm},
    {"norm_to_affine", "other batch norms become a scale and a shift a channel", INFER, 1, norm_to_affine},
    {"fuse_act", "activations are computed by the layer before them", INFER | TRAIN, 0, fuse_act},
    {"identity", "layers that change nothing go", INFER | TRAIN, 1, identity},
    {"dead", "layers that nothing asks for go", INFER | TRAIN, 0, dead},
    {NULL, NULL, 0, 0, NULL}};
