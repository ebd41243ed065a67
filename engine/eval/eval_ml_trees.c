/* Trees: rows go down each, and what their leaves say is put together. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/eval/eval_elements.h"
#include "engine/eval/eval_ml.h"

typedef enum { LEQ, LT, GTE, GT, EQ, NEQ, MEMBER, LEAF, MODES } node_mode;

typedef struct {
    node_mode mode;
    int missing_is_yes;
    int64_t feature;
    double value;
    int yes, no;                       /* nodes */
    const double *member; int members;
    int first, votes;                  /* of a leaf: in the forest's */
} tree_node;

typedef struct { int target; double weight; } vote;

typedef struct {
    tree_node *node; int nodes;
    int *root, trees;
    vote *votes; int vote_count;
    int targets;
    const double *base; int bases;
} forest;

/* ---- numbers of an attribute, as floats or, in later opsets, as a tensor ---- */

static rt_status numbers(rt_eval_call *c, const char *name, const double **out, int *n)
{
    char longer[64];
    const float *list;
    const rt_array *t;
    snprintf(longer, sizeof longer, "%s_as_tensor", name);
    *n = rt_eval_floats(c, name, &list);
    t = c->version >= 3 ? rt_eval_tensor(c, longer) : NULL;
    if (t && !rt_array_is_float(t)) return rt_fail(RT_INPUT, "%s holds no floats", longer);
    if (*n <= 0 && t) *n = t->count < 1 << 30 ? (int)t->count : -1;
    else t = NULL;
    if (*n < 0) return RT_OK;
    double *to = rt_eval_scratch(c, (size_t)*n, sizeof *to);
    if (!to) return RT_INPUT;
    for (int i = 0; i < *n; i++) to[i] = t ? rt_array_double(t, (size_t)i) : list[i];
    *out = to;
    return RT_OK;
}

static rt_status whole_list(rt_eval_call *c, const char *name, int n, const int64_t **list)
{
    if (rt_eval_ints(c, name, list) == n) return RT_OK;
    return rt_fail(RT_INPUT, "%s does not hold %d numbers", name, n);
}

/* ---- nodes by the number of their tree and their own ---- */

typedef struct { int64_t tree, id; int at; } address;

static int by_address(const void *p, const void *q)
{
    const address *a = p, *b = q;
    if (a->tree != b->tree) return a->tree < b->tree ? -1 : 1;
    return (a->id > b->id) - (a->id < b->id);
}

static int find_node(const address *list, int n, int64_t tree, int64_t id)
{
    address key = {tree, id, 0};
    const address *a = n ? bsearch(&key, list, (size_t)n, sizeof *list, by_address) : NULL;
    return a ? a->at : -1;
}

static rt_status mode_of(const char *name, node_mode *mode)
{
    static const char *const names[MODES] = {"BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT", "BRANCH_EQ",
                                             "BRANCH_NEQ", "BRANCH_MEMBER", "LEAF"};
    for (int i = 0; i < MODES; i++)
        if (!strcmp(name, names[i]) && i != MEMBER) {
            *mode = (node_mode)i;
            return RT_OK;
        }
    return rt_fail(RT_INPUT, "a node's mode is '%s'", name);
}

/* The nodes of opsets 1 to 4, with leaves among them. */
static rt_status read_nodes(rt_eval_call *c, forest *f, address **list)
{
    const char *const *mode;
    const int64_t *tree, *id, *feature, *yes, *no, *missing;
    const double *value, *unused;
    int n = rt_eval_strings(c, "nodes_modes", &mode), m, k, hits;
    if (n < 1) return rt_fail(RT_INPUT, "there are no nodes");
    RT_TRY(whole_list(c, "nodes_treeids", n, &tree));
    RT_TRY(whole_list(c, "nodes_nodeids", n, &id));
    RT_TRY(whole_list(c, "nodes_featureids", n, &feature));
    RT_TRY(whole_list(c, "nodes_truenodeids", n, &yes));
    RT_TRY(whole_list(c, "nodes_falsenodeids", n, &no));
    m = rt_eval_ints(c, "nodes_missing_value_tracks_true", &missing);
    RT_TRY(numbers(c, "nodes_values", &value, &k));
    RT_TRY(numbers(c, "nodes_hitrates", &unused, &hits));
    if (k != n || (m > 0 && m != n)) return rt_fail(RT_INPUT, "attributes of nodes differ in length");
    f->nodes = n;
    f->node = rt_eval_scratch(c, (size_t)n, sizeof *f->node);
    f->root = rt_eval_scratch(c, (size_t)n, sizeof *f->root);
    *list = rt_eval_scratch(c, (size_t)n, sizeof **list);
    if (!f->node || !f->root || !*list) return RT_INPUT;
    for (int i = 0; i < n; i++) (*list)[i] = (address){tree[i], id[i], i};
    qsort(*list, (size_t)n, sizeof **list, by_address);
    for (int i = 0; i < n; i++) {
        if (i && !by_address(&(*list)[i - 1], &(*list)[i]))
            return rt_fail(RT_INPUT, "tree %lld has node %lld twice", (long long)tree[i], (long long)(*list)[i].id);
        tree_node *t = &f->node[i];
        RT_TRY(mode_of(mode[i], &t->mode));
        t->feature = feature[i];
        t->value = value[i];
        t->missing_is_yes = m > 0 && missing[i];
        if (t->mode == LEAF) continue;
        t->yes = find_node(*list, n, tree[i], yes[i]);
        t->no = find_node(*list, n, tree[i], no[i]);
        if (t->yes < 0 || t->no < 0) return rt_fail(RT_INPUT, "node %lld leads to none", (long long)id[i]);
    }
    for (int i = 0; i < n;) {                           /* a tree's root is its node that is listed first */
        int first = (*list)[i].at, k2 = i;
        for (; k2 < n && (*list)[k2].tree == (*list)[i].tree; k2++) if ((*list)[k2].at < first) first = (*list)[k2].at;
        f->root[f->trees++] = first;
        i = k2;
    }
    return RT_OK;
}

static int by_leaf(const void *p, const void *q)
{
    const int *a = p, *b = q;
    return a[0] != b[0] ? (a[0] > b[0]) - (a[0] < b[0]) : (a[1] > b[1]) - (a[1] < b[1]);
}

/* What leaves say: `kind` is class or target. */
static rt_status read_votes(rt_eval_call *c, forest *f, const address *list, const char *kind)
{
    char name[64];
    const int64_t *tree, *id, *target;
    const double *weight;
    int n;
    snprintf(name, sizeof name, "%s_weights", kind);
    RT_TRY(numbers(c, name, &weight, &n));
    if (n < 0) return rt_fail(RT_INPUT, "leaves have no weights");
    snprintf(name, sizeof name, "%s_treeids", kind);
    RT_TRY(whole_list(c, name, n, &tree));
    snprintf(name, sizeof name, "%s_nodeids", kind);
    RT_TRY(whole_list(c, name, n, &id));
    snprintf(name, sizeof name, "%s_ids", kind);
    RT_TRY(whole_list(c, name, n, &target));
    int (*order)[2] = rt_eval_scratch(c, (size_t)n, sizeof *order);
    f->votes = rt_eval_scratch(c, (size_t)n, sizeof *f->votes);
    f->vote_count = n;
    if (!order || !f->votes) return RT_INPUT;
    for (int i = 0; i < n; i++) {
        order[i][0] = find_node(list, f->nodes, tree[i], id[i]);
        order[i][1] = i;
        if (order[i][0] < 0 || f->node[order[i][0]].mode != LEAF)
            return rt_fail(RT_INPUT, "weight %d is of no leaf", i);
        if (target[i] < 0 || target[i] >= f->targets)
            return rt_fail(RT_INPUT, "weight %d is of %s %lld of %d", i, kind, (long long)target[i], f->targets);
    }
    qsort(order, (size_t)n, sizeof *order, by_leaf);
    for (int i = 0; i < n; i++) {
        tree_node *leaf = &f->node[order[i][0]];
        if (!leaf->votes++) leaf->first = i;
        f->votes[i] = (vote){(int)target[order[i][1]], weight[order[i][1]]};
    }
    return RT_OK;
}

static int goes_yes(const tree_node *t, double x)
{
    if (isnan(x)) return t->missing_is_yes || t->mode == NEQ;
    switch (t->mode) {
    case LEQ: return x <= t->value;
    case LT: return x < t->value;
    case GTE: return x >= t->value;
    case GT: return x > t->value;
    case EQ: return x == t->value;
    case NEQ: return x != t->value;
    default: break;
    }
    for (int i = 0; i < t->members; i++) if (t->member[i] == x) return 1;
    return 0;
}

typedef enum { AVERAGE, SUM, LEAST, MOST } aggregate;

/* One row: score (targets), and whether a leaf has said something of each. */
static rt_status evaluate(rt_eval_call *c, const forest *f, const rt_ml_rows *x, size_t row, aggregate how,
                          double *score, int *said)
{
    memset(score, 0, (size_t)f->targets * sizeof *score);
    memset(said, 0, (size_t)f->targets * sizeof *said);
    for (int t = 0; t < f->trees; t++) {
        const tree_node *n = &f->node[f->root[t]];
        int steps = 0;
        for (; n->mode != LEAF; steps++) {
            if (steps > f->nodes) return rt_fail(RT_INPUT, "tree %d goes in circles", t);
            if (n->feature < 0 || n->feature >= (int64_t)x->features)
                return rt_fail(RT_INPUT, "a node looks at feature %lld of %zu", (long long)n->feature, x->features);
            n = &f->node[goes_yes(n, rt_ml_at(x, row, (size_t)n->feature)) ? n->yes : n->no];
        }
        RT_TRY(rt_eval_tick(c, 10.0 * steps + n->votes));
        for (int i = n->first; i < n->first + n->votes; i++) {
            const vote *v = &f->votes[i];
            double *s = &score[v->target];
            if (!said[v->target]++ || how == SUM || how == AVERAGE) *s += v->weight;
            else *s = how == LEAST ? fmin(*s, v->weight) : fmax(*s, v->weight);
        }
    }
    for (int i = 0; how == AVERAGE && i < f->targets; i++) score[i] /= f->trees;
    return RT_OK;
}

static rt_status read_base(rt_eval_call *c, forest *f)
{
    RT_TRY(numbers(c, "base_values", &f->base, &f->bases));
    if (f->bases <= 0) f->bases = 0;
    if (f->bases && f->bases != f->targets && f->bases != 1)
        return rt_fail(RT_INPUT, "%d base_values for %d targets", f->bases, f->targets);
    return RT_OK;
}

static double base_of(const forest *f, int target) { return !f->bases ? 0 : f->base[f->bases == 1 ? 0 : target]; }

/* ---- regression ---- */

static rt_status aggregate_of(rt_eval_call *c, aggregate *how)
{
    static const char *const names[] = {"AVERAGE", "SUM", "MIN", "MAX"};
    const char *name = rt_eval_string(c, "aggregate_function", "SUM");
    for (int i = 0; i < 4; i++)
        if (!strcmp(name, names[i])) {
            *how = (aggregate)i;
            return RT_OK;
        }
    return rt_fail(RT_INPUT, "aggregate_function is '%s'", name);
}

static rt_status regress(rt_eval_call *c, const forest *f, aggregate how, rt_ml_transform transform, int of_input)
{
    rt_ml_rows x;
    rt_array *y;
    RT_TRY(rt_ml_rows_of(c, &x));
    int64_t dim[2] = {(int64_t)x.rows, f->targets};
    double *score = rt_eval_scratch(c, (size_t)f->targets, sizeof *score);
    int *said = rt_eval_scratch(c, (size_t)f->targets, sizeof *said);
    if (!score || !said) return RT_INPUT;
    RT_TRY(rt_eval_make(c, 0, of_input ? x.x->type : RT_F32, 2, dim, &y));
    for (size_t r = 0; r < x.rows; r++) {
        RT_TRY(evaluate(c, f, &x, r, how, score, said));
        for (int i = 0; i < f->targets; i++)           /* the least of nothing is 0, whatever the base */
            if (said[i] || how == SUM || how == AVERAGE) score[i] += base_of(f, i);
        rt_ml_scores(transform, score, f->targets);
        for (int i = 0; i < f->targets; i++) rt_array_put(y, r * (size_t)f->targets + (size_t)i, score[i]);
    }
    return RT_OK;
}

rt_status rt_eval_tree_regressor(rt_eval_call *c)
{
    forest f = {0};
    address *list = NULL;
    aggregate how = SUM;
    rt_ml_transform transform = RT_ML_NONE;
    int64_t targets = rt_eval_int(c, "n_targets", 0);
    if (targets < 1 || targets > 1 << 20) return rt_fail(RT_INPUT, "n_targets is %lld", (long long)targets);
    f.targets = (int)targets;
    RT_TRY(aggregate_of(c, &how));
    RT_TRY(rt_ml_transform_of(c, &transform));
    RT_TRY(read_nodes(c, &f, &list));
    RT_TRY(read_votes(c, &f, list, "target"));
    RT_TRY(read_base(c, &f));
    return regress(c, &f, how, transform, 0);
}

/* ---- classes ---- */

/* Two labels and one id that all leaves speak of: one score; its halves are the scores of both. */
static int two_of_one(const forest *f, rt_ml_transform transform, double s, int id, int mixed, double *out)
{
    int label = s > (mixed ? 0 : 0.5);
    if (id == 1) {
        out[0] = f->bases == 2 ? f->base[0] : 0;
        out[1] = s;
        rt_ml_scores(transform, out, 2);
    } else rt_ml_two_scores(transform, s, mixed, out);
    return label;
}

rt_status rt_eval_tree_classifier(rt_eval_call *c)
{
    forest f = {0};
    address *list = NULL;
    rt_ml_transform transform = RT_ML_NONE;
    rt_ml_labels labels;
    rt_ml_rows x;
    rt_array *label, *scores;
    RT_TRY(rt_ml_labels_of(c, "classlabels_int64s", "classlabels_strings", &labels));
    if (labels.n < 1 || (labels.n == 1 && labels.text)) return rt_fail(RT_INPUT, "there are too few class labels");
    f.targets = labels.n;
    RT_TRY(rt_ml_transform_of(c, &transform));
    RT_TRY(read_nodes(c, &f, &list));
    RT_TRY(read_votes(c, &f, list, "class"));
    RT_TRY(read_base(c, &f));
    RT_TRY(rt_ml_rows_of(c, &x));
    int mixed = 0, single = f.vote_count > 0, n = labels.n;
    for (int i = 0; i < f.vote_count; i++) {
        if (f.votes[i].weight < 0) mixed = 1;
        if (f.votes[i].target != f.votes[0].target) single = 0;
    }
    int64_t dim[2] = {(int64_t)x.rows, n};
    double *s = rt_eval_scratch(c, (size_t)n, sizeof *s);
    int *said = rt_eval_scratch(c, (size_t)n, sizeof *said);
    if (!s || !said) return RT_INPUT;
    RT_TRY(rt_ml_labels_make(c, &labels, x.rows, &label));
    RT_TRY(rt_eval_make(c, 1, RT_F32, 2, dim, &scores));
    for (size_t r = 0; r < x.rows; r++) {
        int best = 0, id = single ? f.votes[0].target : 0;
        RT_TRY(evaluate(c, &f, &x, r, SUM, s, said));
        if (n == 1) {
            s[0] += base_of(&f, 0);
            rt_array_put_int(label, r, s[0] > 0);
            rt_ml_scores(transform, s, 1);
        } else if (n == 2 && single) {
            double own = s[id] + (id == 1 && f.bases == 1 ? 0 : base_of(&f, id));
            best = two_of_one(&f, transform, own, id, mixed, s);
        } else {
            best = -1;                 /* of the classes that a leaf or a base value speaks of */
            for (int i = 0; i < n; i++) {
                s[i] += base_of(&f, i);
                if ((said[i] || f.bases) && (best < 0 || s[i] > s[best])) best = i;
            }
            if (best < 0) best = 0;
            rt_ml_scores(transform, s, n);
        }
        if (n > 1) rt_ml_label_put(&labels, label, r, best);
        for (int i = 0; i < n; i++) rt_array_put(scores, r * (size_t)n + (size_t)i, s[i]);
    }
    return RT_OK;
}

/* ---- opset 5: nodes and leaves apart ---- */

static rt_status members_of(rt_eval_call *c, forest *f, int nodes)
{
    const rt_array *t = rt_eval_tensor(c, "membership_values");
    size_t n = t ? t->count : 0, at = 0;
    double *all = rt_eval_scratch(c, n, sizeof *all);
    if (!all) return RT_INPUT;
    for (size_t i = 0; i < n; i++) all[i] = rt_array_double(t, i);
    for (int i = 0; i < nodes; i++) {
        if (f->node[i].mode != MEMBER) continue;
        f->node[i].member = all + at;
        while (at < n && !isnan(all[at])) f->node[i].members++, at++;
        if (at++ >= n) return rt_fail(RT_INPUT, "membership_values end before those of node %d", i);
    }
    return RT_OK;
}

static rt_status read_split_nodes(rt_eval_call *c, forest *f)
{
    const rt_array *mode = rt_eval_tensor(c, "nodes_modes"), *split = rt_eval_tensor(c, "nodes_splits");
    const rt_array *weight = rt_eval_tensor(c, "leaf_weights");
    const int64_t *yes, *no, *yes_leaf, *no_leaf, *feature, *target, *root, *missing;
    int n, m, leaves, trees = rt_eval_ints(c, "tree_roots", &root);
    rt_eval_tensor(c, "nodes_hitrates");
    if (!mode || !split || !weight || mode->count > 1 << 29 || weight->count > 1 << 29 || split->count != mode->count ||
        !rt_array_is_integer(mode) || !rt_array_is_float(split) || !rt_array_is_float(weight) || trees < 1)
        return rt_fail(RT_INPUT, "nodes_modes, nodes_splits, leaf_weights or tree_roots are not as they should be");
    n = (int)mode->count;
    leaves = (int)weight->count;
    RT_TRY(whole_list(c, "nodes_truenodeids", n, &yes));
    RT_TRY(whole_list(c, "nodes_falsenodeids", n, &no));
    RT_TRY(whole_list(c, "nodes_trueleafs", n, &yes_leaf));
    RT_TRY(whole_list(c, "nodes_falseleafs", n, &no_leaf));
    RT_TRY(whole_list(c, "nodes_featureids", n, &feature));
    RT_TRY(whole_list(c, "leaf_targetids", leaves, &target));
    m = rt_eval_ints(c, "nodes_missing_value_tracks_true", &missing);
    f->nodes = n + leaves;
    f->trees = trees;
    f->node = rt_eval_scratch(c, (size_t)f->nodes, sizeof *f->node);
    f->root = rt_eval_scratch(c, (size_t)trees, sizeof *f->root);
    f->votes = rt_eval_scratch(c, (size_t)leaves, sizeof *f->votes);
    if (!f->node || !f->root || !f->votes) return RT_INPUT;
    f->vote_count = leaves;
    for (int i = 0; i < leaves; i++) {
        if (target[i] < 0 || target[i] >= f->targets)
            return rt_fail(RT_INPUT, "leaf %d is of target %lld", i, (long long)target[i]);
        f->votes[i] = (vote){(int)target[i], rt_array_double(weight, (size_t)i)};
        f->node[n + i] = (tree_node){.mode = LEAF, .first = i, .votes = 1};
    }
    for (int i = 0; i < n; i++) {
        tree_node *t = &f->node[i];
        int64_t kind = rt_array_int(mode, (size_t)i), a = yes[i] + (yes_leaf[i] ? n : 0),
                b = no[i] + (no_leaf[i] ? n : 0);
        if (kind < 0 || kind > MEMBER || yes[i] < 0 || no[i] < 0 || yes[i] >= (yes_leaf[i] ? leaves : n) ||
            no[i] >= (no_leaf[i] ? leaves : n))
            return rt_fail(RT_INPUT, "node %d has no such mode, or leads to none", i);
        *t = (tree_node){.mode = (node_mode)kind, .feature = feature[i], .value = rt_array_double(split, (size_t)i),
                         .yes = (int)a, .no = (int)b, .missing_is_yes = m == n && missing[i]};
    }
    for (int i = 0; i < trees; i++) {
        if (root[i] < 0 || root[i] >= n) return rt_fail(RT_INPUT, "tree %d starts at node %lld", i, (long long)root[i]);
        f->root[i] = (int)root[i];
    }
    return members_of(c, f, n);
}

rt_status rt_eval_tree_ensemble(rt_eval_call *c)
{
    forest f = {0};
    int64_t targets = rt_eval_int(c, "n_targets", 0), how = rt_eval_int(c, "aggregate_function", SUM);
    int64_t transform = rt_eval_int(c, "post_transform", RT_ML_NONE);
    if (targets < 1 || targets > 1 << 20 || how < 0 || how > MOST || transform < 0 || transform > RT_ML_PROBIT)
        return rt_fail(RT_INPUT, "n_targets, aggregate_function or post_transform are out of their range");
    f.targets = (int)targets;
    RT_TRY(rt_eval_types(c, 0, RT_EVAL_FLOATS));
    RT_TRY(read_split_nodes(c, &f));
    return regress(c, &f, (aggregate)how, (rt_ml_transform)transform, 1);
}
