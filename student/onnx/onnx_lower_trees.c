/* student/onnx/onnx_lower_trees.c - what ai.onnx.ml has beside networks: trees, linear models, scalers, as layers. What
 * they answer is as engine/eval/eval_ml.h has it. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "student/onnx/onnx_lower.h"

enum { SUM, AVERAGE, MIN, MAX };

typedef struct { int64_t tree, id; int at; } place;

typedef struct {
    int n, branches, leaves, trees, targets, bases, aggregate;
    const char *const *mode;
    const int64_t *tree, *id, *feature, *yes, *no, *missing;
    const float *value, *base, *weight;
    const int64_t *vote_tree, *vote_id, *vote_target;
    int votes;
    place *by_id;                      /* (n) sorted */
    int *number;                       /* (n) of branches among branches, of leaves among leaves; -1: not reached */
    int *order;                        /* (branches) nodes, each after what leads to it */
    int *root;                         /* (trees) nodes */
} forest;

static const char beyond[] = "trees that the layer does not have: tests of several kinds, members of sets, or damage";

static int by_address(const void *p, const void *q)
{
    const place *a = p, *b = q;
    if (a->tree != b->tree) return a->tree < b->tree ? -1 : 1;
    return a->id < b->id ? -1 : a->id > b->id;
}

static int find(const forest *f, int64_t tree, int64_t id)
{
    place key = {tree, id, 0}, *hit = bsearch(&key, f->by_id, (size_t)f->n, sizeof key, by_address);
    return hit ? hit->at : -1;
}

static const rt_eval_attr *named(const rt_eval_node *n, const char *name, rt_eval_attr_kind kind)
{
    for (int i = 0; i < n->attrs; i++)
        if (n->attr[i].kind == kind && !strcmp(n->attr[i].name, name)) return &n->attr[i];
    return NULL;
}

static const int64_t *whole(const rt_eval_node *n, const char *name, int count)
{
    const rt_eval_attr *a = named(n, name, RT_EA_INTS);
    return a && a->n == count ? a->i : NULL;
}

static const float *numbers(const rt_eval_node *n, const char *name, int *count)
{
    const rt_eval_attr *a = named(n, name, RT_EA_FLOATS);
    *count = a ? a->n : 0;
    return a ? a->f : NULL;
}

static int is_leaf(const forest *f, int i) { return !strcmp(f->mode[i], "LEAF"); }

/* Branches and leaves in the order in which trees are walked; 0: a node is reached twice, or a child is missing. */
static int walk(forest *f)
{
    for (int i = 0; i < f->n; i++) f->number[i] = -1;
    for (int i = 0; i < f->n;) {
        int first = f->by_id[i].at, k = i;
        for (; k < f->n && f->by_id[k].tree == f->by_id[i].tree; k++)
            if (f->by_id[k].at < first) first = f->by_id[k].at;
        f->root[f->trees++] = first;
        i = k;
    }
    int done = 0;
    for (int t = 0; t < f->trees; t++) {
        int pending[2] = {f->root[t], -1};
        for (;;) {
            for (int c = 0; c < 2; c++) {
                int node = pending[c];
                if (node < 0) continue;
                if (f->number[node] >= 0) return 0;
                if (is_leaf(f, node)) f->number[node] = f->leaves++;
                else f->order[f->branches] = node, f->number[node] = f->branches++;
            }
            if (done == f->branches) break;
            int b = f->order[done++];
            pending[0] = find(f, f->tree[b], f->yes[b]);
            pending[1] = find(f, f->tree[b], f->no[b]);
            if (pending[0] < 0 || pending[1] < 0 || pending[0] == pending[1]) return 0;
        }
    }
    return f->leaves > 0;
}

static rt_status read_forest(rt_lowering *l, const rt_eval_node *n, const char *kind, forest *f)
{
    const rt_eval_attr *modes = named(n, "nodes_modes", RT_EA_STRINGS);
    char name[3][40];
    int values, weights;
    if (!modes || modes->n < 1) return rt_lower_no(l, beyond);
    f->n = modes->n;
    f->mode = modes->s;
    f->tree = whole(n, "nodes_treeids", f->n);
    f->id = whole(n, "nodes_nodeids", f->n);
    f->feature = whole(n, "nodes_featureids", f->n);
    f->yes = whole(n, "nodes_truenodeids", f->n);
    f->no = whole(n, "nodes_falsenodeids", f->n);
    f->missing = whole(n, "nodes_missing_value_tracks_true", f->n);
    f->value = numbers(n, "nodes_values", &values);
    static const char *const parts[3] = {"_treeids", "_nodeids", "_ids"};
    for (int i = 0; i < 3; i++) strcat(strcpy(name[i], kind), parts[i]);
    char weight[40];
    f->weight = numbers(n, strcat(strcpy(weight, kind), "_weights"), &weights);
    f->votes = weights;
    f->vote_tree = whole(n, name[0], weights);
    f->vote_id = whole(n, name[1], weights);
    f->vote_target = whole(n, name[2], weights);
    f->base = numbers(n, "base_values", &f->bases);
    if (!f->tree || !f->id || !f->feature || !f->yes || !f->no || !f->value || values != f->n || !f->weight ||
        !f->vote_tree || !f->vote_id || !f->vote_target)
        return rt_lower_no(l, beyond);
    f->by_id = rt_region_list(l->region, (size_t)f->n, sizeof *f->by_id);
    f->number = rt_region_list(l->region, (size_t)f->n, sizeof *f->number);
    f->order = rt_region_list(l->region, (size_t)f->n, sizeof *f->order);
    f->root = rt_region_list(l->region, (size_t)f->n, sizeof *f->root);
    if (!f->by_id || !f->number || !f->order || !f->root) return RT_RUN;
    for (int i = 0; i < f->n; i++) f->by_id[i] = (place){f->tree[i], f->id[i], i};
    qsort(f->by_id, (size_t)f->n, sizeof *f->by_id, by_address);
    for (int i = 1; i < f->n; i++) if (!by_address(&f->by_id[i - 1], &f->by_id[i])) return rt_lower_no(l, beyond);
    return walk(f) ? RT_OK : rt_lower_no(l, beyond);
}

/* The one test of all branches, as the layer names it; NULL: there are several, or another. */
static const char *test_of(const forest *f)
{
    static const char *const names[][2] = {{"BRANCH_LEQ", "<="}, {"BRANCH_LT", "<"}, {"BRANCH_GTE", ">="},
                                           {"BRANCH_GT", ">"},   {"BRANCH_EQ", "="}, {"BRANCH_NEQ", "!="}};
    const char *mode = f->branches ? f->mode[f->order[0]] : "BRANCH_LEQ";
    for (int b = 1; b < f->branches; b++) if (strcmp(f->mode[f->order[b]], mode)) return NULL;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) if (!strcmp(names[i][0], mode)) return names[i][1];
    return NULL;
}

static float address_of(const forest *f, int node)
{ return (float)(is_leaf(f, node) ? -1 - f->number[node] : f->number[node]); }

static rt_status fill_forest(rt_lowering *l, const cJSON *j, const forest *f, const float *base)
{
    size_t nodes = f->branches ? (size_t)f->branches : 1, values = (size_t)f->leaves * (size_t)f->targets;
    float *root = rt_lower_fill(l, j, "root", (size_t)f->trees), *feature = rt_lower_fill(l, j, "feature", nodes),
          *threshold = rt_lower_fill(l, j, "threshold", nodes), *yes = rt_lower_fill(l, j, "yes", nodes),
          *no = rt_lower_fill(l, j, "no", nodes), *missing = rt_lower_fill(l, j, "missing", nodes),
          *value = rt_lower_fill(l, j, "value", values), *bias = rt_lower_fill(l, j, "base", (size_t)f->targets);
    if (!root || !feature || !threshold || !yes || !no || !missing || !value || !bias) return RT_RUN;
    if (!f->branches) yes[0] = no[0] = -1;
    for (int t = 0; t < f->trees; t++) root[t] = address_of(f, f->root[t]);
    for (int b = 0; b < f->branches; b++) {
        int i = f->order[b];
        feature[b] = (float)f->feature[i];
        threshold[b] = f->value[i];
        yes[b] = address_of(f, find(f, f->tree[i], f->yes[i]));
        no[b] = address_of(f, find(f, f->tree[i], f->no[i]));
        missing[b] = f->missing && f->missing[i];
    }
    for (size_t i = 0; i < values; i++) value[i] = f->aggregate >= MIN ? NAN : 0;
    for (int i = 0; i < f->votes; i++) {
        int leaf = find(f, f->vote_tree[i], f->vote_id[i]);
        if (leaf < 0 || !is_leaf(f, leaf) || f->vote_target[i] < 0 || f->vote_target[i] >= f->targets)
            return rt_lower_no(l, beyond);
        if (f->number[leaf] < 0) continue;                 /* of no tree */
        float *to = &value[f->number[leaf] * f->targets + f->vote_target[i]];
        *to = isnan(*to) ? f->weight[i] : *to + f->weight[i];
    }
    memcpy(bias, base, (size_t)f->targets * sizeof *bias);
    return RT_OK;
}

static rt_status features(rt_lowering *l, const rt_eval_node *n, rt_shape *shape, const char **from)
{
    rt_lowered_value *x = rt_lower_in(l, n, 0);
    if (!x || !rt_lower_memory(l, x, NULL, shape)) return x ? RT_OK : rt_lower_no(l, "does not depend on data");
    if (shape->rank != 1 || x->rank > 2 || (x->rank == 2 && x->dim[0] != 1))
        return rt_lower_no(l, "its input is no row of features");
    return rt_lower_as(l, x, NULL, shape, from);
}

static rt_status trees(rt_lowering *l, const rt_eval_node *n, const forest *f, const float *base, cJSON **layer)
{
    static const char *const aggregates[] = {"sum", "average", "min", "max"};
    rt_shape shape;
    const char *from, *test = test_of(f);
    if (!test) return rt_lower_no(l, beyond);
    RT_TRY(features(l, n, &shape, &from));
    if (l->bad) return RT_OK;
    for (int b = 0; b < f->branches; b++)
        if (f->feature[f->order[b]] < 0 || f->feature[f->order[b]] >= shape.dim[0])
            return rt_lower_no(l, "a feature beyond its input");
    cJSON *j = *layer = rt_lower_layer(l, "trees", n->name, &from, 1);
    cJSON_AddNumberToObject(j, "trees", f->trees);
    cJSON_AddNumberToObject(j, "nodes", f->branches ? f->branches : 1);
    cJSON_AddNumberToObject(j, "leaves", f->leaves);
    cJSON_AddNumberToObject(j, "out", f->targets);
    if (strcmp(test, "<=")) cJSON_AddStringToObject(j, "test", test);
    if (f->aggregate != SUM) cJSON_AddStringToObject(j, "aggregate", aggregates[f->aggregate]);
    return fill_forest(l, j, f, base);
}

/* ---- what becomes of scores ---- */

/* Two scores of one: y = s w + b. */
static cJSON *dense(rt_lowering *l, const char *from, size_t k, size_t n, const float *w, const float *b)
{
    cJSON *j = rt_lower_layer(l, "dense", "", &from, 1);
    cJSON_AddNumberToObject(j, "out", (double)n);
    float *weight = rt_lower_fill(l, j, "weight", k * n), *bias = rt_lower_fill(l, j, "bias", n);
    if (!weight || !bias) return NULL;
    memcpy(weight, w, k * n * sizeof *w);
    memcpy(bias, b, n * sizeof *b);
    return j;
}

static int known_transform(const rt_eval_node *n)
{
    const char *t = rt_lower_string(n, "post_transform", "NONE");
    return !strcmp(t, "NONE") || !strcmp(t, "SOFTMAX") || !strcmp(t, "LOGISTIC");
}

/* Output i is n scores of the layer, transformed. */
static rt_status give_scores(rt_lowering *l, const rt_eval_node *n, int i, cJSON *j, int scores)
{
    const char *t = rt_lower_string(n, "post_transform", "NONE"), *from = rt_lower_name(j);
    rt_shape shape = {1, {scores}};
    if (scores > 1 && !strcmp(t, "SOFTMAX")) j = rt_lower_layer(l, "softmax", "", &from, 1);
    if (scores > 1 && !strcmp(t, "LOGISTIC")) j = rt_lower_layer(l, "sigmoid", "", &from, 1);
    rt_lower_give(l, n, i, j, &shape, NULL);
    return RT_OK;
}

/* The layer's one score s as (-s, s), or as (1 - s, s). */
static rt_status give_two(rt_lowering *l, const rt_eval_node *n, int i, cJSON *j, int mixed)
{
    static const float w[2] = {-1, 1}, none[2] = {0, 0}, rest[2] = {1, 0};
    int signs = mixed || !strcmp(rt_lower_string(n, "post_transform", "NONE"), "LOGISTIC");
    int soft = !strcmp(rt_lower_string(n, "post_transform", "NONE"), "SOFTMAX");
    if (soft) return rt_lower_no(l, "a softmax of one score");
    if (!(j = dense(l, rt_lower_name(j), 1, 2, w, signs ? none : rest))) return RT_RUN;
    return give_scores(l, n, i, j, 2);
}

/* Labels that are read go by definition: then all goes so. */
static int reads_label(const rt_lowering *l, const rt_eval_node *n)
{ return n->out[0] >= 0 && l->readers[n->out[0]] > 0; }

static rt_status tree_classifier(rt_lowering *l, const rt_eval_node *n)
{
    const rt_eval_attr *texts = named(n, "classlabels_strings", RT_EA_STRINGS),
                       *ints = named(n, "classlabels_int64s", RT_EA_INTS);
    forest f = {.targets = texts && texts->n ? texts->n : ints ? ints->n : 0};
    cJSON *j;
    int mixed = 0, single = 1;
    if (f.targets < 2 || n->outputs < 2 || n->out[1] < 0 || reads_label(l, n) || !known_transform(n))
        return rt_lower_no(l, "labels, or a transform of scores, that the layer does not have");
    RT_TRY(read_forest(l, n, "class", &f));
    if (l->bad) return RT_OK;
    for (int i = 0; i < f.votes; i++) mixed |= f.weight[i] < 0, single &= f.vote_target[i] == f.vote_target[0];
    float *base = rt_region_list(l->region, (size_t)f.targets, sizeof *base);
    if (!base) return RT_RUN;
    if (f.bases && f.bases != f.targets && f.bases != 1) return rt_lower_no(l, beyond);
    for (int i = 0; i < f.targets && f.bases; i++) base[i] = f.base[f.bases == 1 ? 0 : i];
    int two = f.targets == 2 && single && f.votes, id = f.votes ? (int)f.vote_target[0] : 0;
    if (two && id == 1 && f.bases == 1) base[0] = base[1] = 0;
    if (two && id == 0) f.targets = 1;                     /* one score, which becomes both */
    RT_TRY(trees(l, n, &f, base, &j));
    if (l->bad) return RT_OK;
    return two && id == 0 ? give_two(l, n, 1, j, mixed) : give_scores(l, n, 1, j, f.targets);
}

static rt_status tree_regressor(rt_lowering *l, const rt_eval_node *n)
{
    static const char *const names[] = {"SUM", "AVERAGE", "MIN", "MAX"};
    const char *how = rt_lower_string(n, "aggregate_function", "SUM");
    forest f = {.targets = (int)rt_lower_int(n, "n_targets", 0)};
    cJSON *j;
    while (f.aggregate < 4 && strcmp(names[f.aggregate], how)) f.aggregate++;
    if (f.targets < 1 || f.aggregate == 4 || !known_transform(n))
        return rt_lower_no(l, "a transform of scores that the layer does not have");
    RT_TRY(read_forest(l, n, "target", &f));
    if (l->bad) return RT_OK;
    float *base = rt_region_list(l->region, (size_t)f.targets, sizeof *base);
    if (!base) return RT_RUN;
    if (f.bases && f.bases != f.targets && f.bases != 1) return rt_lower_no(l, beyond);
    for (int i = 0; i < f.targets && f.bases; i++) base[i] = f.base[f.bases == 1 ? 0 : i];
    RT_TRY(trees(l, n, &f, base, &j));
    return l->bad ? RT_OK : give_scores(l, n, 0, j, f.targets);
}

/* ---- linear models and scalers ---- */

static rt_status linear(rt_lowering *l, const rt_eval_node *n)
{
    int classes = !strcmp(n->op, "LinearClassifier"), count, biases;
    const float *w = numbers(n, "coefficients", &count), *b = numbers(n, "intercepts", &biases);
    rt_shape shape;
    const char *from;
    if (!known_transform(n) || !w || (classes && (n->outputs < 2 || n->out[1] < 0 || reads_label(l, n))))
        return rt_lower_no(l, "labels, or a transform of scores, that the layer does not have");
    RT_TRY(features(l, n, &shape, &from));
    if (l->bad) return RT_OK;
    size_t k = (size_t)shape.dim[0], out = (size_t)count / k, answers = rt_lower_shape(l, n, classes)->count;
    if (!out || (size_t)count != k * out || (biases && (size_t)biases != out) ||
        (out != answers && !(classes && out == 1 && answers == 2)))
        return rt_lower_no(l, "coefficients of another size");
    float *turned = rt_region_list(l->region, k * out, sizeof *turned),
          *bias = rt_region_list(l->region, out, sizeof *bias);
    if (!turned || !bias) return RT_RUN;
    for (size_t o = 0; o < out; o++)
        for (size_t i = 0; i < k; i++) turned[i * out + o] = w[o * k + i];
    if (biases) memcpy(bias, b, out * sizeof *bias);
    cJSON *j = dense(l, from, k, out, turned, bias);
    if (!j) return RT_RUN;
    return classes && out == 1 ? give_two(l, n, 1, j, 0) : give_scores(l, n, classes, j, (int)out);
}

static rt_status scaler(rt_lowering *l, const rt_eval_node *n)
{
    int offsets, scales;
    const float *offset = numbers(n, "offset", &offsets), *scale = numbers(n, "scale", &scales);
    rt_shape shape;
    const char *from;
    RT_TRY(features(l, n, &shape, &from));
    if (l->bad) return RT_OK;
    int f = shape.dim[0];
    if ((offsets != f && offsets > 1) || (scales != f && scales > 1))
        return rt_lower_no(l, "offsets of another number than features");
    static const char *const ops[] = {"subtract", "multiply"};
    cJSON *j = NULL;
    for (int i = 0; i < 2; i++) {                          /* (x - offset) scale, in this order */
        const float *v = i ? scale : offset;
        int count = i ? scales : offsets;
        j = rt_lower_layer(l, ops[i], i ? n->name : "", &from, 1);
        cJSON_AddItemToObject(j, "operand", cJSON_CreateIntArray(&f, 1));
        float *to = rt_lower_fill(l, j, "operand", (size_t)f);
        if (!to) return RT_RUN;
        for (int k = 0; k < f; k++) to[k] = count ? v[count == 1 ? 0 : k] : (float)i;
        from = rt_lower_name(j);
    }
    rt_lower_give(l, n, 0, j, &shape, NULL);
    return RT_OK;
}

/* Probabilities by label, of which the labels are known: the probabilities. */
static rt_status zip_map(rt_lowering *l, const rt_eval_node *n)
{
    rt_lower_alias(l, n, 0, rt_lower_in(l, n, 0));
    return RT_OK;
}

const rt_lower_entry rt_lower_trees[] = {
    {"ai.onnx.ml:TreeEnsembleClassifier", tree_classifier}, {"ai.onnx.ml:TreeEnsembleRegressor", tree_regressor},
    {"ai.onnx.ml:LinearClassifier", linear}, {"ai.onnx.ml:LinearRegressor", linear}, {"ai.onnx.ml:Scaler", scaler},
    {"ai.onnx.ml:ZipMap", zip_map}, {NULL, NULL}};
