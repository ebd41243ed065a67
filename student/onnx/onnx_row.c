#include "student/onnx/onnx_row.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "engine/clock.h"
#include "engine/rng.h"
#include "student/onnx/onnx_parts.h"

enum { ROUNDS = 1000 /* conditions, those inside of branches included */ };

typedef struct {
    rt_onnx_row *row;
    const rt_onnx_file *file;
    const rt_onnx_bound *bound;
    const int *output; int outputs;
    rt_region *second;                 /* has what follows */
    rt_array **two;                    /* (values) of the second row */
    int one;                           /* shapes that are written for several rows are those of one */
} binder;

/* ---- made-up rows ---- */

/* Elements [from, from + n) of input k: those of a row, ids or numbers in [-1, 1). The second row has some zeros, which
 * shapes may depend on. */
static void make_up(rt_array *a, size_t from, size_t n, const rt_onnx_bound *b, int input, int row)
{
    uint32_t w[4];
    for (size_t i = 0; i < n; i++) {
        if (i % 4 == 0) rt_random4(w, 0, RT_RNG_TEST, (uint32_t)input, 0, (uint32_t)row, (uint32_t)(i / 4));
        if (row == 1 && i % 5 >= 3) continue;             /* as arrays begin */
        if (b->ids) rt_array_put_int(a, from + i, w[i % 4] % (uint32_t)b->ids);
        else if (rt_array_is_float(a)) rt_array_put(a, from + i, 2 * (double)rt_unit(w[i % 4]) - 1);
        else rt_array_put_int(a, from + i, a->type == RT_BOOL ? w[i % 4] & 1 : w[i % 4] & 63);
    }
}

/* Inputs for rows [first, first + rows), side by side in the first dimension. */
static rt_status make_inputs(const binder *b, rt_region *r, rt_array **value, int first, int rows)
{
    const rt_eval_graph *g = b->row->graph;
    for (int i = 0; i < g->inputs; i++) {
        const rt_onnx_bound *q = &b->bound[i];
        rt_dtype type = b->file->input[i].type;
        int64_t dim[RT_ARRAY_RANK];
        memcpy(dim, q->dim, sizeof dim);
        if (rows > 1 && q->rank) dim[0] *= rows;
        if (type == RT_DTYPE_COUNT || b->file->input[i].strange)
            return rt_fail(RT_INPUT, "input '%s' is a %s, which is not supported", b->file->input[i].name,
                           b->file->input[i].strange ? b->file->input[i].strange : "value of no known type");
        rt_array *a = NULL;
        RT_TRY(rt_array_make(&a, r, type, q->rank, dim));
        value[g->input[i]] = a;
        if (q->role == RT_ONNX_DATA)
            for (int k = 0; k < rows; k++)
                make_up(a, a->count / (size_t)rows * (size_t)k, a->count / (size_t)rows, q, i, first + k);
        else if (q->role == RT_ONNX_CONST)
            for (size_t k = 0; k < a->count; k++) rt_array_put(a, k, q->value);
    }
    for (int i = 0; i < g->inputs; i++) {
        if (b->bound[i].role != RT_ONNX_PRESENT) continue;
        rt_array *a = value[g->input[i]], *of = value[g->input[b->bound[i].of]];
        if (a->count != of->count)
            return rt_fail(RT_INPUT, "input '%s' has other dimensions than '%s', whose ids it marks",
                           b->file->input[i].name, b->file->input[b->bound[i].of].name);
        for (size_t k = 0; k < a->count; k++) rt_array_put_int(a, k, rt_array_int(of, k) != 0);
    }
    return RT_OK;
}

rt_region *rt_onnx_row_rest(const rt_onnx_row *row)
{
    size_t used = rt_region_used(row->region);
    return rt_region_new(row->budget > used ? row->budget - used : 0);
}

static const char over[] =
    "computes for more than the %.3g seconds that are allowed; \"seconds\" of the binding, or of the "
    "configuration of retort import, allows more";

rt_status rt_onnx_row_run(const rt_onnx_row *row, rt_region *r, rt_array **value)
{
    rt_eval *e;
    RT_TRY(rt_eval_new(&e, r));
    double left = row->end - rt_thread_seconds();
    if (left <= 0) return rt_fail(RT_INPUT, over, row->seconds);
    rt_eval_limit(e, left);
    rt_status st = rt_eval_run(e, row->graph, value, 1);
    if (st != RT_INPUT || rt_thread_seconds() < row->end) return st;
    return rt_fail(RT_INPUT, over, row->seconds);
}

static rt_status run_rows(const binder *b, rt_region *r, int first, int rows, rt_array ***value)
{
    *value = rt_region_list(r, (size_t)b->row->graph->values, sizeof **value);
    if (!*value) return RT_INPUT;
    RT_TRY(make_inputs(b, r, *value, first, rows));
    return rt_onnx_row_run(b->row, r, *value);
}

/* ---- what matters, what varies ---- */

static void mark(char *on, const rt_eval_node *n)
{
    for (int i = 0; i < n->inputs; i++) if (n->in[i] >= 0) on[n->in[i]] = 1;
    for (int a = 0; a < n->attrs; a++)
        for (int i = 0; n->attr[a].kind == RT_EA_GRAPH && i < n->attr[a].g->captures; i++)
            on[n->attr[a].g->captured_from[i]] = 1;
}

static int any(const char *on, const int *value, int n)
{
    for (int i = 0; i < n; i++) if (value[i] >= 0 && on[value[i]]) return 1;
    return 0;
}

/* Nodes are in order: what is needed is found from the end. */
rt_status rt_onnx_row_trim(rt_onnx_row *row, const int *value, int values)
{
    rt_eval_graph *g = row->graph;
    char *needed = rt_region_take(row->region, (size_t)g->values);
    int kept = g->nodes;
    if (!needed) return RT_INPUT;
    for (int i = 0; i < values; i++) needed[value[i]] = 1;
    for (int i = g->nodes - 1; i >= 0; i--) {
        rt_eval_node n = g->node[i];
        if (!any(needed, n.out, n.outputs)) continue;
        mark(needed, &n);
        g->node[--kept] = n;
    }
    g->node += kept;
    g->nodes -= kept;
    return RT_OK;
}

static rt_status trim(const binder *b) { return rt_onnx_row_trim(b->row, b->output, b->outputs); }

/* How many of its inputs, the first ones, a node reads the elements of; of the others it sees shape or type alone. */
static int reads(const rt_eval_node *n)
{
    if (*n->domain) return n->inputs;
    if (!strcmp(n->op, "Shape") || !strcmp(n->op, "Size") || !strcmp(n->op, "EyeLike")) return 0;
    return !strcmp(n->op, "CastLike") && n->inputs ? 1 : n->inputs;
}

/* Whether one of its first inputs, or what a body of it reads, is marked. */
static int reads_marked(const char *varies, const rt_eval_node *n, int inputs)
{
    if (any(varies, n->in, inputs)) return 1;
    for (int a = 0; a < n->attrs; a++)
        if (n->attr[a].kind == RT_EA_GRAPH && any(varies, n->attr[a].g->captured_from, n->attr[a].g->captures))
            return 1;
    return 0;
}

/* Operators that give as many elements as they find. */
static int counts_data(const char *varies, const rt_eval_node *n)
{
    if (*n->domain) return 0;
    if (!strcmp(n->op, "Compress")) return n->inputs > 1 && n->in[1] >= 0 && varies[n->in[1]];
    return !strcmp(n->op, "NonZero") || !strcmp(n->op, "NonMaxSuppression") || !strcmp(n->op, "Unique");
}

static const char shape_of_data[] = "node '%s' (%s): the shape of what it gives depends on the data";

static rt_status find_varying(const binder *b)
{
    rt_eval_graph *g = b->row->graph;
    char *varies = b->row->varies = rt_region_take(b->row->region, (size_t)g->values);
    if (!varies) return RT_INPUT;
    for (int i = 0; i < g->inputs; i++) varies[g->input[i]] = b->bound[i].role != RT_ONNX_CONST;
    for (const rt_eval_node *n = g->node; n < g->node + g->nodes; n++) {
        if (n->def && n->def->flags & RT_EVAL_RANDOM)
            return rt_fail(RT_INPUT, "node '%s' (%s) draws random numbers: its answers are not a function of the row",
                           n->name, n->op);
        if (!reads_marked(varies, n, reads(n))) continue;
        if (counts_data(varies, n)) return rt_fail(RT_INPUT, shape_of_data, n->name, n->op);
        for (int i = 0; i < n->outputs; i++) {
            const rt_array *y = n->out[i] >= 0 ? b->row->value[n->out[i]] : NULL;
            if (n->out[i] >= 0) varies[n->out[i]] = !y || y->count;      /* no elements are the same in all rows */
        }
    }
    return RT_OK;
}

/* What depends on neither data nor its shape is computed once, for all rows and batches. */
static rt_status keep_constants(rt_onnx_row *row)
{
    rt_eval_graph *g = row->graph;
    char *moves = rt_region_take(row->region, (size_t)g->values);      /* depends on data, or on its shape */
    if (!moves) return RT_RUN;
    for (int i = 0; i < g->inputs; i++) moves[g->input[i]] = 1;        /* a constant one has the batch's dimensions */
    for (const rt_eval_node *n = g->node; n < g->node + g->nodes; n++) {
        int does = reads_marked(moves, n, n->inputs);
        for (int i = 0; i < n->outputs; i++) {
            if (n->out[i] < 0) continue;
            moves[n->out[i]] = (char)does;
            if (!does) g->known[n->out[i]] = row->value[n->out[i]];
        }
    }
    return RT_OK;
}

/* ---- branches ---- */

static const rt_eval_graph *branch_of(const rt_eval_node *n, int yes)
{
    for (int a = 0; a < n->attrs; a++)
        if (n->attr[a].kind == RT_EA_GRAPH && !strcmp(n->attr[a].name, yes ? "then_branch" : "else_branch"))
            return n->attr[a].g;
    return NULL;
}

static rt_status copy_list(rt_region *r, const int **list, int n, const int *to)
{
    int *copy = rt_region_list(r, (size_t)n, sizeof *copy);
    if (!copy) return RT_INPUT;
    for (int i = 0; i < n; i++) copy[i] = (*list)[i] >= 0 ? to[(*list)[i]] : -1;
    *list = copy;
    return RT_OK;
}

rt_status rt_onnx_move_node(rt_region *r, rt_eval_node *n, const int *to)
{
    rt_eval_attr *attr = rt_region_list(r, (size_t)n->attrs, sizeof *attr);
    RT_TRY(copy_list(r, &n->in, n->inputs, to));
    RT_TRY(copy_list(r, &n->out, n->outputs, to));
    if (!attr) return RT_INPUT;
    if (n->attrs) memcpy(attr, n->attr, (size_t)n->attrs * sizeof *attr);
    for (int a = 0; a < n->attrs; a++) {
        if (attr[a].kind != RT_EA_GRAPH) continue;
        rt_eval_graph *g = rt_region_take(r, sizeof *g);
        if (!g) return RT_INPUT;
        *g = *attr[a].g;
        const int *from = g->captured_from;
        RT_TRY(copy_list(r, &from, g->captures, to));
        g->captured_from = (int *)(uintptr_t)from;
        attr[a].g = g;
    }
    n->attr = attr;
    return RT_OK;
}

/* Puts the nodes of a branch in the place of node `at`, then copies of its outputs. */
static rt_status take_branch(const binder *b, int at, const rt_eval_graph *t)
{
    rt_region *r = b->row->region;
    rt_eval_graph *g = b->row->graph;
    rt_eval_node was = g->node[at];
    int total = g->values + t->values, more = t->nodes + was.outputs;
    int *to = rt_region_list(r, (size_t)t->values, sizeof *to),
        *ends = rt_region_list(r, (size_t)was.outputs, 2 * sizeof *ends);
    const char **name = rt_region_list(r, (size_t)total, sizeof *name);
    rt_array **known = rt_region_list(r, (size_t)total, sizeof *known);
    rt_eval_node *node = rt_region_list(r, (size_t)(g->nodes - 1 + more), sizeof *node);
    if (!to || !ends || !name || !known || !node) return RT_INPUT;
    if (was.outputs > t->outputs) return rt_fail(RT_INPUT, "node '%s' (If): a branch gives too few outputs", was.name);
    memcpy(name, g->value, (size_t)g->values * sizeof *name);
    memcpy(known, g->known, (size_t)g->values * sizeof *known);
    for (int v = 0; v < t->values; v++) {
        to[v] = g->values + v;
        name[to[v]] = t->value[v];
        known[to[v]] = t->known[v];
    }
    for (int i = 0; i < t->captures; i++) to[t->capture[i]] = t->captured_from[i];
    memcpy(node, g->node, (size_t)at * sizeof *node);
    for (int i = 0; i < t->nodes; i++) {
        node[at + i] = t->node[i];
        RT_TRY(rt_onnx_move_node(r, &node[at + i], to));
    }
    for (int i = 0; i < was.outputs; i++) {
        ends[2 * i] = to[t->output[i]];
        ends[2 * i + 1] = was.out[i];
        node[at + t->nodes + i] = (rt_eval_node){.name = was.name, .op = "Identity", .domain = "", .in = &ends[2 * i],
                                                 .inputs = 1, .out = &ends[2 * i + 1], .outputs = 1, .version = 13,
                                                 .def = rt_eval_find("", "Identity", 13)};
    }
    memcpy(node + at + more, g->node + at + 1, (size_t)(g->nodes - at - 1) * sizeof *node);
    g->value = name;
    g->known = known;
    g->values = total;
    g->node = node;
    g->nodes += more - 1;
    return RT_OK;
}

/* The first If whose condition is constant gives way to its branch. */
static rt_status decide(const binder *b, int *changed)
{
    const rt_onnx_row *row = b->row;
    *changed = 0;
    for (int i = 0; i < row->graph->nodes; i++) {
        const rt_eval_node *n = &row->graph->node[i];
        if (*n->domain || strcmp(n->op, "If") || n->inputs != 1 || n->in[0] < 0 || row->varies[n->in[0]]) continue;
        if (!any(row->varies, n->out, n->outputs)) continue;
        const rt_array *c = row->value[n->in[0]];
        const rt_eval_graph *t = branch_of(n, rt_array_int(c, 0) != 0);
        if (!t) return rt_fail(RT_INPUT, "node '%s' (If): has no such branch", n->name);
        *changed = 1;
        return take_branch(b, i, t);
    }
    return RT_OK;
}

/* ---- checks ---- */

static int same_element(const rt_array *a, size_t i, const rt_array *b, size_t k)
{
    if (a->type == RT_STRING) return !strcmp(rt_array_text(a, i), rt_array_text(b, k));
    double x = rt_array_double(a, i), y = rt_array_double(b, k);
    return x == y || (isnan(x) && isnan(y));
}

/* Before anything is computed: nodes of operators that nobody knows, all of them. */
static rt_status check_known(const rt_onnx_row *row)
{
    char text[1200];
    int n = 0, used = 0;
    for (const rt_eval_node *k = row->graph->node; k < row->graph->node + row->graph->nodes; k++) {
        if (k->def) continue;
        if (used < (int)sizeof text - 250)
            used += snprintf(text + used, sizeof text - (size_t)used,
                             "%snode '%.80s' (%.60s of domain '%.60s', opset %d)", n ? ", " : "", k->name, k->op,
                             *k->domain ? k->domain : "ai.onnx", k->version);
        n++;
    }
    if (!n) return RT_OK;
    return rt_fail(RT_INPUT, "%d node%s of operators that are not known here: %s", n, n == 1 ? "" : "s", text);
}

static rt_status check_outputs(const binder *b)
{
    for (int i = 0; i < b->outputs; i++) {
        int v = b->output[i];
        if (!b->row->value[v]) return rt_fail(RT_INPUT, "output '%s': nothing gives it", b->row->graph->value[v]);
    }
    return RT_OK;
}

static rt_status check_fixed(binder *b)
{
    const rt_onnx_row *row = b->row;
    if (!(b->second = rt_onnx_row_rest(row))) return RT_RUN;
    rt_status st = run_rows(b, b->second, 1, 1, &b->two);
    rt_array **other = b->two;
    for (const rt_eval_node *n = row->graph->node; n < row->graph->node + row->graph->nodes && !st; n++)
        for (int i = 0; i < n->outputs && !st; i++) {
            const rt_array *x = n->out[i] >= 0 ? row->value[n->out[i]] : NULL, *y = x ? other[n->out[i]] : NULL;
            if (!x) continue;
            int same = x->rank == y->rank && !memcmp(x->dim, y->dim, sizeof x->dim);
            for (size_t k = 0; same && !row->varies[n->out[i]] && k < x->count; k++) same = same_element(x, k, y, k);
            if (!same)
                st = rt_fail(RT_INPUT, shape_of_data, n->name, n->op);
        }
    return st;
}

/* Whether `both` is so many rows, of which `one` and `two` are the first, side by side along some dimension. */
static int is_split(const rt_array *both, const rt_array *one, const rt_array *two, size_t rows)
{
    if (!both || both->rank != one->rank || both->count != rows * one->count || both->type != one->type) return 0;
    for (int axis = 0; axis < one->rank; axis++) {
        size_t inner = 1, outer = 1, wide = (size_t)one->dim[axis];
        int fits = both->dim[axis] == (int64_t)rows * one->dim[axis];
        for (int i = 0; i < one->rank; i++) {
            fits &= i == axis || both->dim[i] == one->dim[i];
            *(i < axis ? &outer : &inner) *= i == axis ? 1 : (size_t)one->dim[i];
        }
        double scale = 0;
        for (size_t i = 0; fits && i < one->count; i++) scale = fmax(scale, fabs(rt_array_double(one, i)));
        for (size_t i = 0; fits && i < both->count; i++) {
            size_t in = i % inner, at = i / inner % (rows * wide), out = i / inner / (rows * wide);
            if (at >= 2 * wide) continue;
            const rt_array *from = at < wide ? one : two;
            size_t k = (out * wide + at % wide) * inner + in;
            if (!same_element(both, i, from, k))
                fits = fabs(rt_array_double(both, i) - rt_array_double(from, k)) <= 1e-5 * scale;
        }
        if (fits) return 1;
    }
    return 0;
}

static rt_status name_mixer(const rt_onnx_row *row, const rt_eval_graph *g, rt_array **both, rt_array **two,
                            size_t rows)
{
    for (const rt_eval_node *n = g->node; n < g->node + g->nodes; n++)
        for (int i = 0; i < n->outputs; i++) {
            int v = n->out[i];
            if (v < 0 || !row->varies[v] || !row->value[v] || is_split(both[v], row->value[v], two[v], rows)) continue;
            return rt_fail(RT_INPUT,
                           "node '%s' (%s) mixes rows: %zu rows together have other answers than each alone; a model "
                           "whose answer to a row depends on other rows cannot be used here",
                           n->name, n->op, rows);
        }
    return rt_fail(RT_INPUT, "%zu rows together have other answers than each alone", rows);
}

/* A DynamicQuantizeLinear takes its scale of all rows of a batch: here of each row by itself, as it is with a batch of
 * one. So that the rest is compared, all of them quantize by the scale of the first row. *any: there are such. */
static rt_status freeze_scales(const rt_onnx_row *row, const rt_eval_graph *g, rt_eval_graph *frozen, int *any)
{
    size_t bytes = (size_t)g->nodes * sizeof *g->node;
    rt_eval_node *node = rt_region_take(row->region, bytes);
    rt_array **known = rt_region_list(row->region, (size_t)g->values, sizeof *known);
    if (!node || !known) return RT_RUN;
    memcpy(node, g->node, bytes);
    memcpy(known, g->known, (size_t)g->values * sizeof *known);
    *frozen = *g;
    frozen->node = node;
    frozen->known = known;
    *any = 0;
    for (rt_eval_node *n = node; n < node + g->nodes; n++) {
        if (*n->domain || strcmp(n->op, "DynamicQuantizeLinear") || !row->varies[n->in[0]]) continue;
        int *in = rt_region_list(row->region, 3, sizeof *in);
        if (!in) return RT_RUN;
        in[0] = n->in[0];
        if (n->outputs < 3 || n->out[1] < 0 || n->out[2] < 0) continue;
        for (int i = 1; i < 3; i++) known[in[i] = n->out[i]] = row->value[n->out[i]];
        *n = (rt_eval_node){.name = n->name, .op = "QuantizeLinear", .domain = "", .in = in, .inputs = 3, .out = n->out,
                            .outputs = 1, .version = 13, .def = rt_eval_find("", "QuantizeLinear", 13)};
        *any = 1;
    }
    return RT_OK;
}

/* How many rows the file's inputs have in it: 0 where that is open, 1 where one of them says so. */
static int64_t rows_of(const binder *b)
{
    int64_t rows = 0;
    for (int i = 0; i < b->row->graph->inputs; i++) {
        const rt_onnx_value *v = &b->file->input[i];
        if (b->bound[i].role == RT_ONNX_CONST) continue;
        if (v->rank < 1 || v->dim[0] == 1) return 1;
        if (v->dim[0] > 1 && rows < v->dim[0]) rows = v->dim[0];
    }
    return rows;
}

/* Only where the file says that a batch may be of any size, or is of several rows: two of them, or, where shapes were
 * made those of one, as many as the file has, through the file's own graph. Where two rows of a batch of any size
 * cannot be computed at all, an exporter has written a batch of one into the graph: then rows cannot meet. */
static rt_status check_rows(const binder *b)
{
    const rt_onnx_row *row = b->row;
    const int64_t told = rows_of(b);
    if (told == 1) return RT_OK;
    const int rows = b->one ? (int)told : 2;
    rt_array **both, **two = b->two;
    rt_eval_graph frozen, *whole = b->one ? b->file->graph : row->graph;
    rt_onnx_row as = *row;
    binder by = *b;
    int dynamic;
    if (told > 1 << 16) return rt_fail(RT_INPUT, "is made for %lld rows at a time", (long long)told);
    RT_TRY(freeze_scales(row, whole, &frozen, &dynamic));
    as.graph = dynamic ? &frozen : whole;
    by.row = &as;
    size_t used = rt_region_used(row->region) + rt_region_used(b->second);
    rt_region *r = rt_region_new(row->budget > used ? row->budget - used : 0);
    if (!r) return RT_RUN;
    rt_status st = RT_OK, pair;
    if (dynamic) {                                         /* the second row by the first one's scales */
        rt_eval_graph own;
        st = freeze_scales(row, row->graph, &own, &dynamic);
        as.graph = &own;
        if (!st) st = run_rows(&by, r, 1, 1, &two);
        as.graph = &frozen;
    }
    pair = st ? st : run_rows(&by, r, 0, rows, &both);
    if (pair && told) st = pair;
    if (!pair)
        for (int i = 0; i < b->outputs && !st; i++) {
            int v = b->output[i];
            if (!row->varies[v] || is_split(both[v], row->value[v], two[v], (size_t)rows)) continue;
            st = name_mixer(row, whole, both, two, (size_t)rows);
        }
    rt_region_free(r);
    return st;
}

/* What has been found of the graph holds of the loops' bodies, too. */
static rt_status unroll_loops(binder *b)
{
    rt_onnx_row *row = b->row;
    for (int round = 0, again = 1, decided = 1; again; round++) {
        if (round > ROUNDS) return rt_fail(RT_INPUT, "has more than %d loops", ROUNDS);
        RT_TRY(rt_onnx_unroll(row, &again));
        if (again) decided = 0;
        while (!decided) {
            RT_TRY(trim(b));
            RT_TRY(run_rows(b, row->region, 0, 1, &row->value));
            RT_TRY(find_varying(b));
            RT_TRY(decide(b, &decided));
            decided = !decided;
        }
    }
    return keep_constants(row);
}

static rt_status bind(binder *b)
{
    const rt_onnx_file *f = b->file;
    rt_onnx_row *row = b->row;
    memset(row, 0, sizeof *row);
    size_t used = rt_region_used(f->region);
    row->budget = f->budget > used ? f->budget - used : 0;
    row->seconds = f->seconds;
    row->end = rt_thread_seconds() + f->seconds;
    rt_status st = (row->region = rt_region_new(row->budget)) ? RT_OK : RT_RUN;
    if (!st && !(row->graph = rt_region_take(row->region, sizeof *row->graph))) st = RT_RUN;
    if (!st) {
        *row->graph = *f->graph;
        size_t bytes = (size_t)f->graph->nodes * sizeof *f->graph->node;
        rt_eval_node *own = rt_region_take(row->region, bytes);
        rt_array **known = rt_region_list(row->region, (size_t)f->graph->values, sizeof *known);
        st = own && known ? RT_OK : RT_RUN;
        if (!st && bytes) row->graph->node = memcpy(own, f->graph->node, bytes);
        if (!st && f->graph->values) memcpy(known, f->graph->known, (size_t)f->graph->values * sizeof *known);
        row->graph->known = known;
    }
    if (!st && b->one && !(st = rt_onnx_one_row(row, rows_of(b), &b->one)) && !b->one)
        st = rt_fail(RT_INPUT, "no shape is written for several rows");
    for (int round = 0, again = 1; again && !st; round++) {
        if (round > ROUNDS) st = rt_fail(RT_INPUT, "has more than %d conditions", ROUNDS);
        if (!st) st = trim(b);
        if (!st) st = check_known(row);
        if (!st) st = run_rows(b, row->region, 0, 1, &row->value);
        if (!st) st = find_varying(b);
        if (!st) st = decide(b, &again);
    }
    if (!st) st = check_outputs(b);
    if (!st) st = keep_constants(row);
    if (!st) st = check_fixed(b);
    if (!st) st = check_rows(b);
    if (!st) st = unroll_loops(b);
    rt_region_free(b->second);
    b->second = NULL;
    if (st) rt_onnx_row_free(row);
    return st;
}

rt_status rt_onnx_row_new(rt_onnx_row *row, const rt_onnx_file *f, const rt_onnx_bound *bound, const int *output,
                          int outputs)
{
    binder b = {.row = row, .file = f, .bound = bound, .output = output, .outputs = outputs};
    char why[500], also[500];
    *row = (rt_onnx_row){.graph = f->graph};
    const int64_t told = rows_of(&b);
    rt_status st = bind(&b);
    if (st != RT_INPUT || told < 2) return st;
    snprintf(why, sizeof why, "%s", rt_error_message());
    b.one = 1;
    st = bind(&b);
    if (st != RT_INPUT) return st;
    snprintf(also, sizeof also, "%s", rt_error_message());
    return rt_fail(RT_INPUT, "is made for %lld rows at a time, and one alone does not go through it as it should; "
                             "export it with a batch of one, or of any size: %s; with its shapes made for one row: %s",
                   (long long)told, why, also);
}

void rt_onnx_row_free(rt_onnx_row *row)
{
    rt_region_free(row->region);
    memset(row, 0, sizeof *row);
}
