#include "engine/eval/eval.h"

#include <string.h>

#include "engine/clock.h"
#include "engine/progress.h"

enum { DEPTH = 32 /* bodies in bodies */, TICK = 1 << 22 /* operations between two looks at the clock */,
       MANY = 1 << 20 /* elements whose time is reckoned before they are made */,
       FILL = 4 /* nanoseconds for one of them at least */ };

struct rt_eval {
    rt_region *region;
    double limit, end;                 /* seconds of the clock; end 0: no limit */
    double operations;                 /* since the clock was last looked at */
    int depth;
    rt_status late;                    /* an attribute of a wrong kind */
};

/* ---- tables ---- */

static const rt_eval_op *const tables[] = {
#define X(n) rt_eval_##n##_ops,
    RT_EVAL_TABLES(X)
#undef X
};
enum { TABLES = sizeof tables / sizeof tables[0] };

/* Opsets up to these are defined as the tables have them. */
static const struct { const char *domain; int newest; } domains[] = {
    {"", 26}, {"ai.onnx.ml", 5}, {"com.microsoft", 1}, {"ai.onnx.preview", 1}};

static const char *plain(const char *domain) { return strcmp(domain, "ai.onnx") ? domain : ""; }

int rt_eval_newest(const char *domain)
{
    for (size_t i = 0; i < sizeof domains / sizeof domains[0]; i++)
        if (!strcmp(plain(domain), domains[i].domain)) return domains[i].newest;
    return 0;
}

const rt_eval_op *rt_eval_op_at(int i)
{
    for (int t = 0; t < TABLES; t++)
        for (const rt_eval_op *op = tables[t]; op->name; op++)
            if (!i--) return op;
    return NULL;
}

static const rt_eval_op *find(const char *domain, const char *name, int version, int *since)
{
    const rt_eval_op *best = NULL;
    domain = plain(domain);
    for (int t = 0; t < TABLES; t++)
        for (const rt_eval_op *op = tables[t]; op->name; op++) {
            if (strcmp(op->name, name) || strcmp(op->domain, domain)) continue;
            if (since && (!*since || op->since < *since)) *since = op->since;
            if (op->since <= version && (!best || op->since > best->since)) best = op;
        }
    return best;
}

const rt_eval_op *rt_eval_find(const char *domain, const char *name, int version)
{ return find(domain, name, version, NULL); }

int rt_eval_known(const char *domain, const char *name, int *since)
{
    *since = 0;
    find(domain, name, 0, since);
    return *since > 0;
}

/* ---- attributes ---- */

static const rt_eval_attr *attribute(rt_eval_call *c, const char *name, rt_eval_attr_kind kind)
{
    for (int i = 0; i < c->node->attrs; i++) {
        const rt_eval_attr *a = &c->node->attr[i];
        if (strcmp(a->name, name)) continue;
        if (i < 64) c->read |= 1ull << i;
        if (a->kind == kind) return a;
        c->e->late = rt_fail(RT_INPUT, "attribute '%s' is of another kind than the operator's definition has", name);
        return NULL;
    }
    return NULL;
}

int rt_eval_has(rt_eval_call *c, const char *name)
{
    for (int i = 0; i < c->node->attrs; i++)
        if (!strcmp(c->node->attr[i].name, name)) return 1;
    return 0;
}

int64_t rt_eval_int(rt_eval_call *c, const char *name, int64_t none)
{
    const rt_eval_attr *a = attribute(c, name, RT_EA_INT);
    return a ? a->i[0] : none;
}

double rt_eval_float(rt_eval_call *c, const char *name, double none)
{
    const rt_eval_attr *a = attribute(c, name, RT_EA_FLOAT);
    return a ? (double)a->f[0] : none;
}

const char *rt_eval_string(rt_eval_call *c, const char *name, const char *none)
{
    const rt_eval_attr *a = attribute(c, name, RT_EA_STRING);
    return a ? a->s[0] : none;
}

int rt_eval_ints(rt_eval_call *c, const char *name, const int64_t **list)
{
    const rt_eval_attr *a = attribute(c, name, RT_EA_INTS);
    *list = a ? a->i : NULL;
    return a ? a->n : -1;
}

int rt_eval_floats(rt_eval_call *c, const char *name, const float **list)
{
    const rt_eval_attr *a = attribute(c, name, RT_EA_FLOATS);
    *list = a ? a->f : NULL;
    return a ? a->n : -1;
}

int rt_eval_strings(rt_eval_call *c, const char *name, const char *const **list)
{
    const rt_eval_attr *a = attribute(c, name, RT_EA_STRINGS);
    *list = a ? a->s : NULL;
    return a ? a->n : -1;
}

const rt_array *rt_eval_tensor(rt_eval_call *c, const char *name)
{
    const rt_eval_attr *a = attribute(c, name, RT_EA_TENSOR);
    return a ? a->t : NULL;
}

const rt_eval_graph *rt_eval_body(rt_eval_call *c, const char *name)
{
    const rt_eval_attr *a = attribute(c, name, RT_EA_GRAPH);
    return a ? a->g : NULL;
}

/* ---- what operators are given and make ---- */

const rt_array *rt_eval_in(const rt_eval_call *c, int i) { return i < c->inputs ? c->in[i] : NULL; }
int rt_eval_wants(const rt_eval_call *c, int i) { return i < c->outputs && c->node->out[i] >= 0; }

rt_status rt_eval_reckon(rt_eval_call *c, size_t count, double nanoseconds)
{
    if (count < MANY || c->e->end <= 0) return RT_OK;
    RT_TRY(rt_eval_tick(c, (double)count));
    if (rt_thread_seconds() + 1e-9 * nanoseconds * (double)count <= c->e->end) return RT_OK;
    return rt_fail(RT_INPUT, "%zu elements more take longer than the %.3g seconds that are allowed", count,
                   c->e->limit);
}

rt_status rt_eval_temp(rt_eval_call *c, rt_dtype type, int rank, const int64_t *dim, rt_array **a)
{
    size_t count, bytes;
    RT_TRY(rt_array_size(type, rank, dim, &count, &bytes));
    RT_TRY(rt_eval_reckon(c, count, FILL));
    return rt_array_make(a, c->region, type, rank, dim);
}

rt_status rt_eval_make(rt_eval_call *c, int i, rt_dtype type, int rank, const int64_t *dim, rt_array **a)
{
    RT_TRY(rt_eval_temp(c, type, rank, dim, a));
    if (i < c->outputs) c->out[i] = *a;
    return RT_OK;
}

rt_status rt_eval_like(rt_eval_call *c, int i, rt_dtype type, const rt_array *shape, rt_array **a)
{ return rt_eval_make(c, i, type, shape->rank, shape->dim, a); }

rt_status rt_eval_view(rt_eval_call *c, int i, const rt_array *of, int rank, const int64_t *dim)
{
    size_t count, bytes;
    char text[128];
    RT_TRY(rt_array_size(of->type, rank, dim, &count, &bytes));
    if (count != of->count)
        return rt_fail(RT_INPUT, "%s has not the %zu elements of the shape asked for", rt_array_describe(of, text),
                       count);
    rt_array *a = rt_region_take(c->region, sizeof *a);
    if (!a) return RT_INPUT;
    *a = *of;
    a->rank = rank;
    memset(a->dim, 0, sizeof a->dim);
    if (rank) memcpy(a->dim, dim, (size_t)rank * sizeof *dim);
    if (i < c->outputs) c->out[i] = a;
    return RT_OK;
}

void *rt_eval_scratch(rt_eval_call *c, size_t n, size_t size) { return rt_region_list(c->region, n, size); }

rt_status rt_eval_axis(int64_t axis, int rank, int *out)
{
    if (axis < -rank || axis >= rank)
        return rt_fail(RT_INPUT, "axis %lld is not within the rank of %d", (long long)axis, rank);
    *out = (int)(axis < 0 ? axis + rank : axis);
    return RT_OK;
}

rt_status rt_eval_axes(int rank, const int64_t *axis, int n, int flag[RT_ARRAY_RANK])
{
    memset(flag, 0, RT_ARRAY_RANK * sizeof *flag);
    for (int i = 0; i < n; i++) {
        int at = 0;
        RT_TRY(rt_eval_axis(axis[i], rank, &at));
        if (flag[at]) return rt_fail(RT_INPUT, "axis %d is named twice", at);
        flag[at] = 1;
    }
    return RT_OK;
}

rt_status rt_eval_list(rt_eval_call *c, int i, const int64_t **list, int *n)
{
    const rt_array *a = rt_eval_in(c, i);
    char text[128];
    *n = -1;
    *list = NULL;
    if (!a) return RT_OK;
    if (!rt_array_is_integer(a) || a->rank > 1 || a->count > 1 << 20)
        return rt_fail(RT_INPUT, "input %d must be a list of integers, and is %s", i, rt_array_describe(a, text));
    int64_t *to = rt_eval_scratch(c, a->count, sizeof *to);
    if (!to) return RT_INPUT;
    for (size_t k = 0; k < a->count; k++) to[k] = rt_array_int(a, k);
    *n = (int)a->count;
    *list = to;
    return RT_OK;
}

rt_status rt_eval_types(const rt_eval_call *c, int i, unsigned types)
{
    const rt_array *a = rt_eval_in(c, i);
    char text[128];
    if (!a) return rt_fail(RT_INPUT, "input %d is missing", i);
    if (types >> a->type & 1) return RT_OK;
    return rt_fail(RT_INPUT, "input %d is %s, a type that the operator does not take", i, rt_array_describe(a, text));
}

rt_status rt_eval_tick(rt_eval_call *c, double operations)
{
    rt_eval *e = c->e;
    e->operations += operations;
    if (e->operations < TICK) return RT_OK;
    e->operations = 0;
    RT_TRY(rt_check_stop());
    if (e->end > 0 && rt_thread_seconds() > e->end)
        return rt_fail(RT_INPUT, "computes for more than the %.3g seconds that are allowed", e->limit);
    return RT_OK;
}

/* ---- running ---- */

rt_status rt_eval_new(rt_eval **out, rt_region *r)
{
    rt_eval *e = *out = rt_region_take(r, sizeof *e);
    if (!e) return RT_RUN;
    e->region = r;
    return RT_OK;
}

void rt_eval_limit(rt_eval *e, double seconds)
{
    e->limit = seconds;
    e->end = seconds > 0 ? rt_thread_seconds() + seconds : 0;
}

static rt_status check_arity(const rt_eval_node *n, int inputs)
{
    const rt_eval_op *op = n->def;
    if (inputs < op->min_inputs || (op->max_inputs >= 0 && n->inputs > op->max_inputs))
        return rt_fail(RT_INPUT, "has %d inputs; the operator takes %d to %d", n->inputs, op->min_inputs,
                       op->max_inputs);
    if (op->max_outputs >= 0 && n->outputs > op->max_outputs)
        return rt_fail(RT_INPUT, "has %d outputs; the operator gives %d at most", n->outputs, op->max_outputs);
    return RT_OK;
}

static rt_status call(rt_eval *e, const rt_eval_graph *g, const rt_eval_node *n, rt_array *const *value, rt_array **out)
{
    const rt_array **in = rt_region_list(e->region, (size_t)n->inputs, sizeof *in);
    if (!in) return RT_INPUT;
    rt_eval_call c = {.e = e, .region = e->region, .graph = g, .node = n, .version = n->version, .in = in, .out = out,
                      .outputs = n->outputs, .value = value};
    for (int i = 0; i < n->inputs; i++) {
        in[i] = n->in[i] >= 0 ? value[n->in[i]] : NULL;
        if (in[i]) c.inputs = i + 1;
        if (in[i] && in[i]->rank > RT_ARRAY_RANK) return rt_fail(RT_INPUT, "input %d has rank %d", i, in[i]->rank);
    }
    RT_TRY(check_arity(n, c.inputs));
    e->late = RT_OK;
    RT_TRY(n->def->run(&c));
    if (e->late) return e->late;
    for (int i = 0; i < n->attrs; i++)
        if (i >= 64 || !(c.read >> i & 1))
            return rt_fail(RT_INPUT, "the operator's definition in opset %d has no attribute '%s'", n->version,
                           n->attr[i].name);
    for (int i = 0; i < n->outputs; i++)
        if (n->out[i] >= 0 && !out[i]) return rt_fail(RT_INPUT, "output %d is not given by this operator", i);
    return rt_eval_tick(&c, 1000);
}

rt_status rt_eval_one(rt_eval *e, const rt_eval_graph *g, const rt_eval_node *n, rt_array *const *value, rt_array **out)
{
    rt_status st;
    if (!n->def)
        st = rt_fail(RT_INPUT, "no operator of this name is known in opset %d of domain '%s'", n->version,
                     *n->domain ? n->domain : "ai.onnx");
    else if (e->depth >= DEPTH) st = rt_fail(RT_INPUT, "graphs inside of graphs are more than %d deep", DEPTH);
    else {
        e->depth++;
        st = call(e, g, n, value, out);
        e->depth--;
    }
    return st ? rt_fail_in(st, "node '%s' (%s)", n->name, n->op) : RT_OK;
}

static int is_ready(const rt_eval_node *n, rt_array *const *value)
{
    for (int i = 0; i < n->inputs; i++) if (n->in[i] >= 0 && !value[n->in[i]]) return 0;
    for (int a = 0; a < n->attrs; a++)
        for (int i = 0; n->attr[a].kind == RT_EA_GRAPH && i < n->attr[a].g->captures; i++)
            if (!value[n->attr[a].g->captured_from[i]]) return 0;
    return 1;
}

static int is_done(const rt_eval_node *n, rt_array *const *value)
{
    for (int i = 0; i < n->outputs; i++) if (n->out[i] >= 0 && !value[n->out[i]]) return 0;
    return 1;
}

rt_status rt_eval_run(rt_eval *e, const rt_eval_graph *g, rt_array **value, int all)
{
    for (int v = 0; v < g->values; v++) if (!value[v]) value[v] = g->known[v];
    for (const rt_eval_node *n = g->node; n < g->node + g->nodes; n++) {
        if (is_done(n, value)) continue;
        if (!is_ready(n, value) || (!all && n->def && n->def->flags & RT_EVAL_RANDOM)) {
            if (all) return rt_fail(RT_INPUT, "node '%s' (%s): an input is missing", n->name, n->op);
            continue;
        }
        rt_array **out = rt_region_list(e->region, (size_t)n->outputs, sizeof *out);
        if (!out) return RT_INPUT;
        rt_status st = rt_eval_one(e, g, n, value, out);
        if (st && (all || st != RT_INPUT)) return st;
        for (int i = 0; i < n->outputs && !st; i++) if (n->out[i] >= 0) value[n->out[i]] = out[i];
    }
    return RT_OK;
}

rt_status rt_eval_body_run(rt_eval_call *c, const rt_eval_graph *g, rt_array *const *in, int inputs, rt_array **out)
{
    rt_array **value = rt_region_list(c->region, (size_t)g->values, sizeof *value);
    if (!value) return RT_INPUT;
    if (inputs != g->inputs)
        return rt_fail(RT_INPUT, "graph '%s' takes %d inputs, %d are given", g->name, g->inputs, inputs);
    for (int i = 0; i < g->captures; i++) value[g->capture[i]] = c->value[g->captured_from[i]];
    for (int i = 0; i < inputs; i++) value[g->input[i]] = in[i];
    RT_TRY(rt_eval_run(c->e, g, value, 1));
    for (int i = 0; i < g->outputs; i++) {
        out[i] = value[g->output[i]];
        if (!out[i]) return rt_fail(RT_INPUT, "graph '%s' gives no '%s'", g->name, g->value[g->output[i]]);
    }
    return RT_OK;
}
