/* Bodies: one of two, again and again, along an axis. */
#include <string.h>

#include "engine/eval/eval_elements.h"
#include "engine/eval/eval_strided.h"

static rt_status truth(const rt_eval_call *c, int i, int *is)
{
    const rt_array *a;
    RT_TRY(rt_eval_need(c, i, 1u << RT_BOOL, &a));
    if (a->count != 1) return rt_fail(RT_INPUT, "the condition is not one element");
    *is = rt_array_int(a, 0) != 0;
    return RT_OK;
}

static rt_status run_if(rt_eval_call *c)
{
    const rt_eval_graph *then = rt_eval_body(c, "then_branch"), *other = rt_eval_body(c, "else_branch"), *g;
    int is = 0;
    RT_TRY(truth(c, 0, &is));
    g = is ? then : other;
    if (!g || g->outputs != c->outputs) return rt_fail(RT_INPUT, "a branch is missing, or has not the node's outputs");
    return rt_eval_body_run(c, g, NULL, 0, c->out);
}

/* Arrays of one shape, one a turn. */
typedef struct { const rt_array **at; size_t n, room; } pile;

static rt_status put_on(rt_eval_call *c, pile *p, const rt_array *a)
{
    char s[128], t[128];
    if (p->n && (a->type != p->at[0]->type || a->rank != p->at[0]->rank ||
                 memcmp(a->dim, p->at[0]->dim, (size_t)a->rank * sizeof *a->dim)))
        return rt_fail(RT_INPUT, "a body gives %s, and then %s", rt_array_describe(p->at[0], s),
                       rt_array_describe(a, t));
    if (p->n == p->room) {
        size_t room = p->room ? 2 * p->room : 16;
        const rt_array **more = rt_eval_scratch(c, room, sizeof *more);
        if (!more) return RT_INPUT;
        if (p->n) memcpy(more, p->at, p->n * sizeof *more);
        p->at = more;
        p->room = room;
    }
    p->at[p->n++] = a;
    return RT_OK;
}

/* Output i: the pile along a new axis. like: of which shape an element is when there is none. */
static rt_status stack(rt_eval_call *c, int i, const pile *p, const rt_array *like, int64_t along, int backward)
{
    rt_array *y;
    int64_t dim[RT_ARRAY_RANK];
    int axis;
    if (p->n) like = p->at[0];
    if (like->rank >= RT_ARRAY_RANK) return rt_fail(RT_INPUT, "more than %d dimensions", RT_ARRAY_RANK);
    RT_TRY(rt_eval_axis(along, like->rank + 1, &axis));
    for (int k = 0; k <= like->rank; k++) dim[k] = k == axis ? (int64_t)p->n : like->dim[k - (k > axis)];
    RT_TRY(rt_eval_make(c, i, like->type, like->rank + 1, dim, &y));
    size_t outer, n, inner, size = rt_dtype_size(like->type);
    rt_eval_around(y, axis, &outer, &n, &inner);
    for (size_t k = 0; k < p->n; k++) {
        size_t to = backward ? p->n - 1 - k : k;
        for (size_t o = 0; o < outer && inner; o++)
            memcpy((char *)y->data + (o * n + to) * inner * size, (const char *)p->at[k]->data + o * inner * size,
                   inner * size);
    }
    return RT_OK;
}

/* The trips are bounded by input 0 and by the condition, each where it is there; memory and time bound them, too. */
static rt_status loop(rt_eval_call *c)
{
    const rt_eval_graph *g = rt_eval_body(c, "body");
    int64_t trips = INT64_MAX;
    int go = 1, carried = c->node->inputs - 2;
    if (!g) return rt_fail(RT_INPUT, "there is no body");
    if (rt_eval_in(c, 0)) RT_TRY(rt_eval_one_int(c, 0, &trips));
    if (rt_eval_in(c, 1)) RT_TRY(truth(c, 1, &go));
    int scans = g->outputs - 1 - carried;
    if (carried < 0 || scans < 0 || g->inputs != carried + 2 || c->outputs > g->outputs - 1)
        return rt_fail(RT_INPUT, "the body has %d inputs and %d outputs for %d carried values", g->inputs, g->outputs,
                       carried);
    rt_array **in = rt_eval_scratch(c, (size_t)g->inputs, sizeof *in), **out;
    pile *piles = rt_eval_scratch(c, (size_t)scans, sizeof *piles);
    if (!in || !piles) return RT_INPUT;
    RT_TRY(rt_eval_temp(c, RT_BOOL, 0, NULL, &in[1]));
    rt_array_put_int(in[1], 0, 1);
    for (int i = 0; i < carried; i++)
        if (!(in[2 + i] = (rt_array *)rt_eval_in(c, 2 + i))) return rt_fail(RT_INPUT, "input %d is missing", 2 + i);
    out = rt_eval_scratch(c, (size_t)g->outputs, sizeof *out);
    if (!out) return RT_INPUT;
    int64_t turn = 0;
    for (; turn < trips && go; turn++) {
        RT_TRY(rt_eval_temp(c, RT_I64, 0, NULL, &in[0]));
        rt_array_put_int(in[0], 0, turn);
        RT_TRY(rt_eval_tick(c, 1000));
        RT_TRY(rt_eval_body_run(c, g, in, g->inputs, out));
        if (out[0]->type != RT_BOOL || out[0]->count != 1) return rt_fail(RT_INPUT, "the body's condition is no truth");
        go = rt_array_int(out[0], 0) != 0;
        for (int i = 0; i < carried; i++) in[2 + i] = out[1 + i];
        for (int i = 0; i < scans; i++) RT_TRY(put_on(c, &piles[i], out[1 + carried + i]));
    }
    for (int i = 0; i < carried && i < c->outputs; i++) c->out[i] = in[2 + i];
    if (!turn && c->outputs > carried) { /* what it would have given tells the type and shape of nothing */
        RT_TRY(rt_eval_temp(c, RT_I64, 0, NULL, &in[0]));
        RT_TRY(rt_eval_body_run(c, g, in, g->inputs, out));
    }
    for (int i = 0; i < scans && carried + i < c->outputs; i++)
        RT_TRY(stack(c, carried + i, &piles[i], out[1 + carried + i], 0, 0));
    return RT_OK;
}

/* ---- scan ---- */

/* x[..., i, ...] of an axis, as an array of one rank less. */
static rt_status take(rt_eval_call *c, const rt_array *x, int axis, int64_t i, rt_array **y)
{
    int64_t dim[RT_ARRAY_RANK], step[RT_ARRAY_RANK], own[RT_ARRAY_RANK];
    rt_array_steps(x->rank, x->dim, own);
    for (int k = 0, n = 0; k < x->rank; k++)
        if (k != axis) {
            dim[n] = x->dim[k];
            step[n++] = own[k];
        }
    RT_TRY(rt_eval_temp(c, x->type, x->rank - 1, dim, y));
    size_t size = rt_dtype_size(x->type);
    if ((*y)->count)
        rt_eval_strided((*y)->data, (const char *)x->data + (size_t)(i * own[axis]) * size, size, x->rank - 1, dim,
                        step);
    return RT_OK;
}

typedef struct {
    const rt_eval_graph *g;
    int states, scans, outs;           /* scan inputs and scan outputs */
    int axis[64];                      /* of each scan input */
    int backward[64];
    int64_t length;
} scan;

/* One sequence: given (states, then scan inputs); state gets the last states, piles (outs) what each turn gives. */
static rt_status scan_one(rt_eval_call *c, const scan *s, rt_array *const *given, rt_array **state, pile *piles,
                          rt_array **out)
{
    const rt_eval_graph *g = s->g;
    rt_array **in = rt_eval_scratch(c, (size_t)g->inputs, sizeof *in);
    if (!in) return RT_INPUT;
    memcpy(in, given, (size_t)g->inputs * sizeof *in);
    for (int64_t t = 0; t < s->length; t++) {
        RT_TRY(rt_eval_tick(c, 1000));
        for (int i = 0; i < s->scans; i++)
            RT_TRY(
                take(c, given[s->states + i], s->axis[i], s->backward[i] ? s->length - 1 - t : t, &in[s->states + i]));
        RT_TRY(rt_eval_body_run(c, g, in, g->inputs, out));
        for (int i = 0; i < s->states; i++) in[i] = out[i];
        for (int i = 0; i < s->outs; i++) RT_TRY(put_on(c, &piles[i], out[s->states + i]));
    }
    for (int i = 0; i < s->states; i++) state[i] = in[i];
    return RT_OK;
}

static rt_status scan_shape(rt_eval_call *c, scan *s, int first, int lead)
{
    const int64_t *axes = NULL, *ways = NULL;
    int n = -1, m, count = c->node->inputs - first;
    s->g = rt_eval_body(c, "body");
    int64_t scans = rt_eval_int(c, "num_scan_inputs", 0);
    if (!s->g || scans < 1 || scans > count || scans > 64 || s->g->inputs != count || s->g->outputs < count - scans)
        return rt_fail(RT_INPUT, "num_scan_inputs or the body do not fit the node's inputs");
    s->scans = (int)scans;
    s->states = count - s->scans;
    s->outs = s->g->outputs - s->states;
    if (c->outputs > s->g->outputs) return rt_fail(RT_INPUT, "the body has fewer outputs than the node");
    if (c->version >= 9) n = rt_eval_ints(c, "scan_input_axes", &axes);
    m = rt_eval_ints(c, c->version >= 9 ? "scan_input_directions" : "directions", &ways);
    if ((n >= 0 && n != s->scans) || (m >= 0 && m != s->scans))
        return rt_fail(RT_INPUT, "axes or directions are not one an input");
    for (int i = 0; i < count; i++)
        if (!rt_eval_in(c, first + i)) return rt_fail(RT_INPUT, "input %d is missing", first + i);
    for (int i = 0; i < s->scans; i++) {
        const rt_array *x = rt_eval_in(c, first + s->states + i);
        if (lead && x->rank < 2) return rt_fail(RT_INPUT, "a scan input has fewer than two axes");
        RT_TRY(rt_eval_axis(n >= 0 ? axes[i] : lead, x->rank, &s->axis[i]));
        s->backward[i] = m >= 0 && ways[i];
        if (i && x->dim[s->axis[i]] != s->length) return rt_fail(RT_INPUT, "sequences differ in length");
        s->length = x->dim[s->axis[i]];
    }
    if (!s->length) return rt_fail(RT_INPUT, "a scan over nothing has no shapes");
    return RT_OK;
}

static rt_status run_scan(rt_eval_call *c)
{
    scan s = {0};
    const int64_t *axes, *ways;
    RT_TRY(scan_shape(c, &s, 0, 0));
    int n = rt_eval_ints(c, "scan_output_axes", &axes), m = rt_eval_ints(c, "scan_output_directions", &ways);
    if ((n >= 0 && n != s.outs) || (m >= 0 && m != s.outs))
        return rt_fail(RT_INPUT, "axes or directions are not one an output");
    pile *piles = rt_eval_scratch(c, (size_t)s.outs, sizeof *piles);
    rt_array **state = rt_eval_scratch(c, (size_t)s.states, sizeof *state);
    rt_array **turn = rt_eval_scratch(c, (size_t)s.g->outputs, sizeof *turn);
    if (!piles || !state || !turn) return RT_INPUT;
    RT_TRY(scan_one(c, &s, (rt_array *const *)c->in, state, piles, turn));
    for (int i = 0; i < s.states && i < c->outputs; i++) c->out[i] = state[i];
    for (int i = 0; i < s.outs && s.states + i < c->outputs; i++)
        RT_TRY(stack(c, s.states + i, &piles[i], NULL, n >= 0 ? axes[i] : 0, m >= 0 && ways[i]));
    return RT_OK;
}

/* Opset 8: input 0 the lengths, then everything with a batch in front; each of the batch is a scan of its own. */
static rt_status run_scan_8(rt_eval_call *c)
{
    scan s = {0};
    RT_TRY(scan_shape(c, &s, 1, 1));
    int count = s.states + s.scans;
    if (rt_eval_in(c, 0)) return rt_fail(RT_INPUT, "sequence_lens of opset 8 are not supported");
    int64_t batch = rt_eval_in(c, 1)->rank ? rt_eval_in(c, 1)->dim[0] : 0;
    pile *all = rt_eval_scratch(c, (size_t)s.g->outputs, sizeof *all);
    rt_array **in = rt_eval_scratch(c, (size_t)count, sizeof *in);
    rt_array **state = rt_eval_scratch(c, (size_t)s.states, sizeof *state);
    rt_array **turn = rt_eval_scratch(c, (size_t)s.g->outputs, sizeof *turn);
    if (!all || !in || !state || !turn) return RT_INPUT;
    if (!batch) return rt_fail(RT_INPUT, "an empty batch");
    for (int i = 0; i < s.scans; i++)
        if (--s.axis[i] < 0) return rt_fail(RT_INPUT, "a scan along the batch");
    for (int64_t b = 0; b < batch; b++) {
        pile *piles = rt_eval_scratch(c, (size_t)s.outs, sizeof *piles);
        if (!piles) return RT_INPUT;
        for (int i = 0; i < count; i++) {
            const rt_array *x = rt_eval_in(c, 1 + i);
            if (!x->rank || x->dim[0] != batch) return rt_fail(RT_INPUT, "input %d has another batch", 1 + i);
            RT_TRY(take(c, x, 0, b, &in[i]));
        }
        RT_TRY(scan_one(c, &s, in, state, piles, turn));
        for (int i = 0; i < s.states; i++) RT_TRY(put_on(c, &all[i], state[i]));
        for (int i = 0; i < s.outs; i++) {
            rt_array **out = c->out, *line = NULL;
            int outputs = c->outputs;
            c->out = &line;                            /* one line of the batch is stacked like an output */
            c->outputs = 1;
            rt_status st = stack(c, 0, &piles[i], NULL, 0, 0);
            c->out = out;
            c->outputs = outputs;
            RT_TRY(st);
            RT_TRY(put_on(c, &all[s.states + i], line));
        }
    }
    for (int i = 0; i < s.g->outputs && i < c->outputs; i++) RT_TRY(stack(c, i, &all[i], NULL, 0, 0));
    return RT_OK;
}

const rt_eval_op rt_eval_flow_ops[] = {
    {"", "If", 1, 1, 1, -1, run_if, 0},
    {"", "Loop", 1, 0, -1, -1, loop, 0},
    {"", "Scan", 8, 2, -1, -1, run_scan_8, 0},
    {"", "Scan", 9, 1, -1, -1, run_scan, 0},
    {NULL, NULL, 0, 0, 0, 0, NULL, 0}};
