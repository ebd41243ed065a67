/* export/onnx_trees.c - trees as TreeEnsembleRegressor of the domain ai.onnx.ml, version 3: nodes and leaves of a tree
 * numbered from its root on, children after their parents. */
#include <math.h>
#include <stdlib.h>

#include "export/onnx_float_parts.h"

enum { ROOT, FEATURE, THRESHOLD, YES, NO, MISSING, VALUE, BASE };         /* fields, as of engine/ops_trees.c */

/* The node's attributes, each a list of so many. */
typedef struct {
    int64_t *tree, *id, *feature, *yes, *no, *missing;
    float *threshold;
    const char **mode;
    int count, most;
    int64_t *target_tree, *target_id, *target;
    float *weight;
    size_t targets, most_targets;
    int *from;                             /* which node of the layer each is; -1 - leaf */
} lists;

static void *room(rt_fo_graph *e, size_t n, size_t size)
{
    void *p = calloc(n + 1, size);
    if (!p) e->status = rt_fail(RT_RUN, "out of memory");
    return p;
}

static void begin(rt_fo_graph *e, lists *l, const rt_trees_attr *a)
{
    *l = (lists){.most = 2 * a->nodes + a->trees};
    const size_t n = (size_t)l->most;
    int64_t **const whole[] = {&l->tree, &l->id, &l->feature, &l->yes, &l->no, &l->missing};
    l->most_targets = (size_t)(a->nodes + a->trees) * (size_t)a->out;
    for (size_t i = 0; i < sizeof whole / sizeof whole[0]; i++) *whole[i] = room(e, n, sizeof(int64_t));
    l->threshold = room(e, n, sizeof *l->threshold);
    l->mode = room(e, n, sizeof *l->mode);
    l->from = room(e, n, sizeof *l->from);
    l->target_tree = room(e, l->most_targets, sizeof *l->target_tree);
    l->target_id = room(e, l->most_targets, sizeof *l->target_id);
    l->target = room(e, l->most_targets, sizeof *l->target);
    l->weight = room(e, l->most_targets, sizeof *l->weight);
}

static void end(lists *l)
{
    void *const all[] = {l->tree, l->id, l->feature, l->yes, l->no, l->missing, l->threshold, l->mode, l->from,
                         l->target_tree, l->target_id, l->target, l->weight};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) free(all[i]);
}

static void refuse(rt_fo_graph *e, const rt_node *n)
{ e->status = rt_fail(RT_USAGE, "layer '%s': its fields are no trees, which ONNX has alone", n->name); }

/* The next of the tree: `from` is a node behind `after`, or -1 - a leaf. Its number in the tree. */
static int64_t append(rt_fo_graph *e, const rt_node *n, lists *l, int64_t tree, int first, float from, int after)
{
    const rt_trees_attr *a = RT_ATTR(n, rt_trees_attr);
    const int is_leaf = from < 0 && -1 - from < (float)a->leaves,
              is_node = from > (float)after && from >= 0 && from < (float)a->nodes;
    if ((!is_leaf && !is_node) || l->count == l->most) {
        if (!e->status) refuse(e, n);
        return 0;
    }
    l->tree[l->count] = tree;
    l->id[l->count] = l->count - first;
    l->from[l->count] = (int)from;
    l->mode[l->count] = "LEAF";
    return l->count++ - first;
}

static void put_leaf(rt_fo_graph *e, const rt_node *n, lists *l, int at)
{
    const rt_trees_attr *a = RT_ATTR(n, rt_trees_attr);
    const float *value = e->field[n->field[VALUE]] + (size_t)(-1 - l->from[at]) * (size_t)a->out;
    for (int k = 0; k < a->out; k++) {
        if (isnan(value[k]) || l->targets == l->most_targets) continue;      /* says nothing of it */
        l->target_tree[l->targets] = l->tree[at];
        l->target_id[l->targets] = l->id[at];
        l->target[l->targets] = k;
        l->weight[l->targets++] = value[k];
    }
}

static void put_tree(rt_fo_graph *e, const rt_node *n, lists *l, int tree)
{
    static const char *const modes[] = {"BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE",
                                        "BRANCH_GT",  "BRANCH_EQ", "BRANCH_NEQ"};
    const rt_trees_attr *a = RT_ATTR(n, rt_trees_attr);
    const int first = l->count, features = e->g->tensor[n->in[0]].shape.dim[0];
    float *const *v = e->field;
    append(e, n, l, tree, first, v[n->field[ROOT]][tree], -1);
    for (int i = first; i < l->count && !e->status; i++) {
        const int from = l->from[i];
        if (from < 0) {
            put_leaf(e, n, l, i);
            continue;
        }
        const float feature = v[n->field[FEATURE]][from];
        if (!(feature >= 0 && feature < (float)features)) {
            refuse(e, n);
            return;
        }
        l->mode[i] = modes[a->test];
        l->feature[i] = (int64_t)feature;
        l->threshold[i] = v[n->field[THRESHOLD]][from];
        l->missing[i] = v[n->field[MISSING]][from] > 0;
        l->yes[i] = append(e, n, l, tree, first, v[n->field[YES]][from], from);
        l->no[i] = append(e, n, l, tree, first, v[n->field[NO]][from], from);
    }
}

static void put_lists(rt_fo_graph *e, const rt_node *n, const lists *l, rt_onnx_node *p)
{
    static const char *const aggregates[] = {"SUM", "AVERAGE", "MIN", "MAX"};
    const rt_trees_attr *a = RT_ATTR(n, rt_trees_attr);
    const int nodes = l->count, targets = (int)l->targets;
    rt_onnx_ints(p, "nodes_treeids", nodes, l->tree);
    rt_onnx_ints(p, "nodes_nodeids", nodes, l->id);
    rt_onnx_ints(p, "nodes_featureids", nodes, l->feature);
    rt_onnx_floats(p, "nodes_values", nodes, l->threshold);
    rt_onnx_strings(p, "nodes_modes", nodes, l->mode);
    rt_onnx_ints(p, "nodes_truenodeids", nodes, l->yes);
    rt_onnx_ints(p, "nodes_falsenodeids", nodes, l->no);
    rt_onnx_ints(p, "nodes_missing_value_tracks_true", nodes, l->missing);
    rt_onnx_ints(p, "target_treeids", targets, l->target_tree);
    rt_onnx_ints(p, "target_nodeids", targets, l->target_id);
    rt_onnx_ints(p, "target_ids", targets, l->target);
    rt_onnx_floats(p, "target_weights", targets, l->weight);
    rt_onnx_int(p, "n_targets", a->out);
    rt_onnx_string(p, "aggregate_function", aggregates[a->aggregate]);
    rt_onnx_floats(p, "base_values", a->out, e->field[n->field[BASE]]);
}

void rt_fo_put_trees(rt_fo_graph *e, const rt_node *n)
{
    const rt_trees_attr *a = RT_ATTR(n, rt_trees_attr);
    const char *out = rt_fo_unique(e, n->name), *x = rt_fo_take(e, n->in[0], RT_FO_LAST);
    lists l;
    begin(e, &l, a);
    for (int t = 0; t < a->trees && !e->status; t++) put_tree(e, n, &l, t);
    if (!e->status) {
        rt_onnx_node *p = rt_fo_node_of(e, "TreeEnsembleRegressor", out, x, NULL, NULL);
        rt_onnx_domain(p, "ai.onnx.ml", 3);
        put_lists(e, n, &l, p);
    }
    end(&l);
    rt_fo_set(e, n->out, RT_FO_LAST, out);
}
