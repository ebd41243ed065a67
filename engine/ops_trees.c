/* engine/ops_trees.c - an ensemble of decision trees over a row of features (F): of each tree the leaf that the row
 * comes to, and of what the leaves say of each target the sum, the mean, the least or the greatest, and `base` on top.
 *
 * The trees lie in constants, as numbers that a file holds: root (trees), feature, threshold, yes, no and missing
 * (nodes), value (leaves, targets), base (targets). A row goes to node `yes` where the test holds for its feature and
 * the threshold, or where that feature is NaN and missing is 1, else to `no`. yes, no and root are nodes, or -1 -
 * number of a leaf; a node's children come after it. What breaks these rules is a leaf of NaN. A leaf that says nothing
 * of a target has 0 there, with min and max NaN; the least and the greatest of nothing is 0.
 *
 * Before a plan runs, nodes become records of 16 bytes with one test, <= or =, and leaves lead to themselves; then 16
 * rows go down a tree side by side, tree by tree, so that its nodes stay in the cache: as many steps as its nearest
 * leaf is away without a look at who has arrived. Of few rows one goes down 16 trees side by side. There is no
 * gradient. */
#include <float.h>
#include <math.h>
#include <string.h>

#include "engine/ops.h"

enum { ROOT, FEATURE, THRESHOLD, YES, NO, MISSING, VALUE, BASE };                         /* fields */
enum { LEQ, LT, GTE, GT, EQ, NEQ };
enum { SUM, MEAN, LEAST, MOST };
enum { ABREAST = 16, ROWS = 128, ALONE = 3 };      /* rows, or trees of few rows, that go side by side */

typedef struct { float value; int32_t feature, child[2]; } record;     /* child[0] where the test holds */

static rt_status infer(rt_graph *g, rt_node *n, rt_shape *out)
{
    const rt_shape *in = &g->tensor[n->in[0]].shape;
    const rt_trees_attr *a = RT_ATTR(n, rt_trees_attr);
    char text[64];
    if (in->rank != 1)
        return rt_fail(RT_USAGE, "takes a row of features, (F), and its input is %s", rt_shape_text(in, text));
    static const char *const of_nodes[] = {"feature", "threshold", "yes", "no", "missing"};
    RT_TRY(rt_graph_constant(g, n, "root", (rt_shape){1, {a->trees}}, NULL));
    for (size_t i = 0; i < sizeof of_nodes / sizeof *of_nodes; i++)
        RT_TRY(rt_graph_constant(g, n, of_nodes[i], (rt_shape){1, {a->nodes}}, NULL));
    RT_TRY(rt_graph_constant(g, n, "value", (rt_shape){2, {a->leaves, a->out}}, NULL));
    RT_TRY(rt_graph_constant(g, n, "base", (rt_shape){1, {a->out}}, NULL));
    *out = (rt_shape){1, {a->out}};
    return RT_OK;
}

/* The greatest float below t, where numbers next to 0 count as 0. */
static float below(float t)
{
    float b = nextafterf(t, -INFINITY);
    if (!(t > -INFINITY)) return NAN;                      /* nothing is below */
    return fabsf(b) >= FLT_MIN ? b : b < 0 || t == 0 ? -FLT_MIN : 0.0f;
}

/* Records: the nodes, then a leaf for each of `leaves` and one for what breaks the rules. */
static int32_t place_of(float child, int after, const rt_trees_attr *a)
{
    if (child >= 0 && child > (float)after && child < (float)a->nodes) return (int32_t)child;
    if (child < 0 && -1 - child < (float)a->leaves) return a->nodes + (int32_t)(-1 - child);
    return a->nodes + a->leaves;
}

static size_t records(const rt_trees_attr *a) { return (size_t)a->nodes + (size_t)a->leaves + 1; }

/* Buffer: records, then roots, then of each record three bytes: whether its NaN goes to child[0], of the last of them
 * true when there is one; and how many steps its nearest and its farthest leaf is away, FAR or more as FAR. In floats.
 */
enum { FAR = 255 };

static size_t buffer_floats(const rt_trees_attr *a)
{ return records(a) * sizeof(record) / sizeof(float) + (size_t)a->trees + (3 * records(a) + 3) / 4; }

typedef struct { record *node; int32_t *root; uint8_t *missing, *nearest, *farthest; } forest;

static forest forest_at(float *buffer, const rt_trees_attr *a)
{
    forest f = {.node = (record *)(void *)buffer};
    f.root = (int32_t *)(void *)(f.node + records(a));
    f.missing = (uint8_t *)(f.root + a->trees);
    f.nearest = f.missing + records(a);
    f.farthest = f.nearest + records(a);
    return f;
}

/* A node's children come after it. */
static void measure(const forest *f, const rt_trees_attr *a)
{
    size_t all = records(a);
    memset(f->nearest, 0, all);
    memset(f->farthest, 0, all);
    for (int i = a->nodes - 1; i >= 0; i--) {
        const int32_t *to = f->node[i].child;
        int near0 = f->nearest[to[0]], near1 = f->nearest[to[1]], far0 = f->farthest[to[0]], far1 = f->farthest[to[1]];
        int nearest = 1 + (near0 < near1 ? near0 : near1), farthest = 1 + (far0 > far1 ? far0 : far1);
        f->nearest[i] = (uint8_t)(nearest < FAR ? nearest : FAR);
        f->farthest[i] = (uint8_t)(farthest < FAR ? farthest : FAR);
    }
}

static void pack(const rt_call *c, rt_ctx *x, int tile, int unused)
{
    (void)tile;
    (void)unused;
    const rt_trees_attr *a = RT_ATTR(c->node, rt_trees_attr);
    forest f = forest_at(x->plan->buffer + c->at[0], a);
    const float *feature = rt_param(x, c->node, FEATURE), *threshold = rt_param(x, c->node, THRESHOLD),
                *yes = rt_param(x, c->node, YES), *no = rt_param(x, c->node, NO),
                *missing = rt_param(x, c->node, MISSING), *root = rt_param(x, c->node, ROOT);
    int features = rt_shape_of(x->plan, c->node->in[0])->dim[0], bad = a->nodes + a->leaves;
    int turned = a->test == GTE || a->test == GT || a->test == NEQ;   /* not <, not <=, not = */
    uint8_t any = 0;
    for (int i = 0; i < a->nodes; i++) {
        int known = feature[i] >= 0 && feature[i] < (float)features, nan_yes = missing[i] > 0 || a->test == NEQ;
        float t = threshold[i];
        int32_t to[2] = {known ? place_of(yes[i], i, a) : bad, known ? place_of(no[i], i, a) : bad};
        f.node[i] = (record){a->test == LT || a->test == GTE ? below(t) : t, known ? (int32_t)feature[i] : 0,
                             {to[turned], to[!turned]}};
        f.missing[i] = (uint8_t)(turned ? !nan_yes : nan_yes);
        any |= f.missing[i];
    }
    for (int i = a->nodes; i <= bad; i++) {
        f.node[i] = (record){0, 0, {i, i}};
        f.missing[i] = 0;
    }
    f.missing[bad] = any;
    for (int t = 0; t < a->trees; t++) f.root[t] = place_of(root[t], -1, a);
    measure(&f, a);
}

/* The record that a row goes to from the one where it is. */
static inline __attribute__((always_inline)) int32_t step_from(const forest *f, int32_t at, const float *row,
                                                           const int equal, const int nan)
{
    const record *q = &f->node[at];
    float v = row[q->feature];
    int fails = equal ? !(v == q->value) : !(v <= q->value);
    if (nan) fails &= !((v != v) & f->missing[at]);
    return q->child[fails];
}

/* n rows, up to ABREAST, from the root to their leaves; nan: some NaN go where the test holds. */
static inline __attribute__((always_inline)) void go_down(int32_t *at, const forest *f, int32_t root, const float *x,
                                                          size_t features, const int n, const int equal, const int nan)
{
    int sure = f->nearest[root], most = f->farthest[root];
    if (most - sure <= 1 && most < FAR) sure = most;
    for (int r = 0; r < n; r++) at[r] = root;
    for (int s = 0; s < sure; s++) {
        const float *row = x;
        for (int r = 0; r < n; r++, row += features) at[r] = step_from(f, at[r], row, equal, nan);
    }
    for (int32_t moving = sure < most || most == FAR; moving;) {
        moving = 0;
        const float *row = x;
        for (int r = 0; r < n; r++, row += features) {
            int32_t next = step_from(f, at[r], row, equal, nan);
            moving |= next ^ at[r];
            at[r] = next;
        }
    }
}

/* One row in n trees, up to ABREAST, side by side. */
static void go_down_alone(int32_t *at, const forest *f, const int32_t *root, const float *x, int n, int equal, int nan)
{
    for (int j = 0; j < n; j++) at[j] = root[j];
    for (int32_t moving = 1; moving;) {
        moving = 0;
        for (int j = 0; j < n; j++) {
            int32_t next = equal ? step_from(f, at[j], x, 1, 1) : step_from(f, at[j], x, 0, nan);
            moving |= next ^ at[j];
            at[j] = next;
        }
    }
}

static void go_down_all(int32_t *at, const forest *f, int32_t root, const float *x, size_t features, int n, int equal,
                        int nan)
{
    if (equal) go_down(at, f, root, x, features, n, 1, 1);
    else if (nan) go_down(at, f, root, x, features, n, 0, 1);
    else if (n == ABREAST) go_down(at, f, root, x, features, ABREAST, 0, 0);
    else go_down(at, f, root, x, features, n, 0, 0);
}

static void take(double *sum, const float *value, int targets, int how)
{
    for (int k = 0; k < targets; k++) {
        double v = (double)value[k];
        if (how == SUM || how == MEAN) sum[k] += v;
        else if (v == v && (sum[k] != sum[k] || (how == LEAST ? v < sum[k] : v > sum[k]))) sum[k] = v;
    }
}

/* What the record says that a row has come to. */
static void leaf(double *sum, int32_t at, const float *value, const rt_trees_attr *a)
{
    if (at == a->nodes + a->leaves) for (int k = 0; k < a->out; k++) sum[k] = INFINITY - INFINITY;
    else take(sum, value + (size_t)(at - a->nodes) * (size_t)a->out, a->out, a->aggregate);
}

/* Rows up to ROWS. sum: (rows, targets) in double, in scratch. */
static void run_some(const rt_trees_attr *a, const forest *f, float *y, const float *x, size_t features, int rows,
                     const float *value, const float *base, double *sum)
{
    size_t targets = (size_t)a->out;
    int32_t at[ABREAST];
    int bad = a->nodes + a->leaves, best = a->aggregate == LEAST || a->aggregate == MOST,
        equal = a->test == EQ || a->test == NEQ;
    for (size_t i = 0; i < (size_t)rows * targets; i++) sum[i] = best ? NAN : 0;
    if (rows <= ALONE) {
        for (int r = 0; r < rows; r++)
            for (int t = 0; t < a->trees; t += ABREAST) {
                int n = a->trees - t < ABREAST ? a->trees - t : ABREAST;
                go_down_alone(at, f, f->root + t, x + (size_t)r * features, n, equal, f->missing[bad]);
                for (int j = 0; j < n; j++) leaf(sum + (size_t)r * targets, at[j], value, a);
            }
    } else
        for (int t = 0; t < a->trees; t++)
            for (int r0 = 0; r0 < rows; r0 += ABREAST) {
                int n = rows - r0 < ABREAST ? rows - r0 : ABREAST;
                go_down_all(at, f, f->root[t], x + (size_t)r0 * features, features, n, equal, f->missing[bad]);
                for (int r = 0; r < n; r++) leaf(sum + (size_t)(r0 + r) * targets, at[r], value, a);
            }
    for (size_t i = 0; i < (size_t)rows * targets; i++) {
        double s = a->aggregate == MEAN ? sum[i] / a->trees : sum[i];
        y[i] = (float)(best && s != s ? 0 : s + (double)base[i % targets]);
    }
}

static void run_forward(const rt_call *c, rt_ctx *x, int row0, int rows)
{
    const rt_trees_attr *a = RT_ATTR(c->node, rt_trees_attr);
    forest f = forest_at(x->plan->buffer + c->at[0], a);
    size_t features = (size_t)rt_shape_of(x->plan, c->node->in[0])->dim[0];
    for (int r = row0; r < row0 + rows; r += ROWS)
        run_some(a, &f, rt_at(x, c->value[1], r), rt_at(x, c->value[0], r), features,
                 row0 + rows - r < ROWS ? row0 + rows - r : ROWS, rt_param(x, c->node, VALUE),
                 rt_param(x, c->node, BASE), (double *)(void *)x->scratch);
}

static void forward(rt_plan *p, const rt_node *n)
{
    const rt_trees_attr *a = RT_ATTR(n, rt_trees_attr);
    int in = rt_plan_read(p, n->in[0]), out = rt_plan_write(p, n->out);
    ptrdiff_t at = rt_plan_buffer(p, buffer_floats(a));
    rt_plan_pack(p, "pack", n, 1, pack)->at[0] = at;
    rt_plan_need_scratch(p, 2 * (size_t)ROWS * (size_t)a->out);
    rt_call *c = rt_plan_rows(p, "trees", n, run_forward);
    c->value[0] = in;
    c->value[1] = out;
    c->at[0] = at;
    c->work = 32.0 * a->trees * (2 + log2(1 + (double)a->nodes / a->trees));
    c->weights = (double)a->nodes;
}

static const char *const tests[] = {"<=", "<", ">=", ">", "=", "!=", NULL};
static const char *const aggregates[] = {"sum", "average", "min", "max", NULL};
#define AT(field) offsetof(rt_trees_attr, field)
static const rt_attr_spec spec[] = {
    {"trees", RT_A_INT, AT(trees), 1, 1 << 20, 0, 1, "how many"},
    {"nodes", RT_A_INT, AT(nodes), 1, 1 << 24, 0, 1, "of all trees, without leaves"},
    {"leaves", RT_A_INT, AT(leaves), 1, 1 << 24, 0, 1, "of all trees"},
    {"out", RT_A_INT, AT(out), 1, 1 << 16, 1, 0, "targets that leaves speak of"},
    {"test", RT_A_CHOICE, AT(test), 0, NEQ, LEQ, 0, "feature and threshold, where a row goes to yes", tests},
    {"aggregate", RT_A_CHOICE, AT(aggregate), 0, MOST, SUM, 0, "of what the leaves of all trees say", aggregates}};
static const rt_schema schema = {spec, sizeof spec / sizeof *spec, sizeof(rt_trees_attr)};

const rt_op rt_op_trees = {.name = "trees",
                           .help = "an ensemble of decision trees over (F), without gradient (values are its file's)",
                           .min_inputs = 1,
                           .max_inputs = 1,
                           .schema = &schema,
                           .infer = infer,
                           .forward = forward};
