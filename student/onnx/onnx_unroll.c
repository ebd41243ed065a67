/* student/onnx/onnx_unroll.c - loops whose turns do not depend on data become their bodies, one behind the other: what
 * is left are operators that have layers. */
#include <math.h>
#include <string.h>

#include "engine/clock.h"
#include "student/onnx/onnx_parts.h"
#include "student/onnx/onnx_row.h"

enum { TURNS = 512, NODES = 3000 /* that a loop may become */ };

/* A loop: states go from turn to turn, scanned inputs are read a piece a turn, outputs are piled up. */
typedef struct {
    const rt_eval_node *node;
    const rt_eval_graph *body;
    int turns, states, scans, outs, is_loop;
    const int *given;                          /* (states) first values */
} loop;

/* The graph that is being made. */
typedef struct { rt_onnx_row *row; rt_eval_graph *g; int nodes, room, values, value_room; rt_status st; } maker;

static const rt_eval_attr *attr_of(const rt_eval_node *n, const char *name, rt_eval_attr_kind kind)
{
    for (int i = 0; i < n->attrs; i++)
        if (n->attr[i].kind == kind && !strcmp(n->attr[i].name, name)) return &n->attr[i];
    return NULL;
}

/* Element i of a list of the node's; 0 where it has none. */
static int64_t listed(const rt_eval_node *n, const char *name, int i)
{
    const rt_eval_attr *a = attr_of(n, name, RT_EA_INTS);
    return a && i < a->n ? a->i[i] : 0;
}

/* What is known of the body's values before turn t: constants, what it reads of the graph around, and the states, NULL
 * where they depend on data. */
static rt_status begin_turn(const rt_onnx_row *row, const loop *l, rt_region *r, int t, rt_array *const *state,
                            rt_array **value)
{
    const rt_eval_graph *b = l->body;
    memcpy(value, b->known, (size_t)b->values * sizeof *value);
    for (int i = 0; i < b->captures; i++) {
        const int from = b->captured_from[i];
        value[b->capture[i]] = row->varies[from] ? NULL : row->value[from];
    }
    RT_TRY(rt_array_make(&value[b->input[0]], r, RT_I64, 0, NULL));
    rt_array_put_int(value[b->input[0]], 0, t);
    RT_TRY(rt_array_make(&value[b->input[1]], r, RT_BOOL, 0, NULL));
    rt_array_put_int(value[b->input[1]], 0, 1);
    for (int i = 0; i < l->states; i++) value[b->input[2 + i]] = state[i];
    return RT_OK;
}

/* The turns of a loop, at most `most`, by computing its condition from what does not depend on data: counters, as a
 * while loop has them. 0: the condition depends on data, or there is no end within TURNS. */
static rt_status count_turns(const rt_onnx_row *row, const loop *l, int64_t most, rt_region *r, int *turns)
{
    const rt_eval_graph *b = l->body;
    rt_eval *e;
    rt_array **value = rt_region_list(r, (size_t)b->values, sizeof *value),
             **state = rt_region_list(r, (size_t)l->states + 1, sizeof *state);
    *turns = 0;
    if (!value || !state) return RT_INPUT;
    RT_TRY(rt_eval_new(&e, r));
    rt_eval_limit(e, fmax(row->end - rt_thread_seconds(), 1e-3));
    for (int i = 0; i < l->states; i++) state[i] = row->varies[l->given[i]] ? NULL : row->value[l->given[i]];
    for (int t = 0, go = 1; t < most && go; t++) {
        if (t == TURNS) return *turns = 0, RT_OK;
        RT_TRY(begin_turn(row, l, r, t, state, value));
        RT_TRY(rt_eval_run(e, b, value, 0));
        const rt_array *on = value[b->output[0]];
        if (!on || on->type != RT_BOOL || on->count != 1) return *turns = 0, RT_OK;
        go = rt_array_int(on, 0) != 0;
        for (int i = 0; i < l->states; i++) state[i] = value[b->output[1 + i]];
        *turns = t + 1;
    }
    return RT_OK;
}

/* l->turns of a node's scan or loop; 0: not told, or too many. */
static rt_status find_scan(const rt_onnx_row *row, const rt_eval_node *n, loop *l)
{
    const rt_eval_attr *count = attr_of(n, "num_scan_inputs", RT_EA_INT);
    l->scans = count ? (int)*count->i : 0;
    l->states = n->inputs - l->scans;
    l->outs = l->body->outputs - l->states;
    if (n->version < 9 || l->scans < 1 || l->states < 0 || l->outs < 0 || l->body->inputs != n->inputs)
        return RT_OK;
    l->given = n->in;
    for (int i = 0; i < l->scans; i++) {
        const rt_array *x = n->in[l->states + i] >= 0 ? row->value[n->in[l->states + i]] : NULL;
        int64_t axis = listed(n, "scan_input_axes", i);
        if (!x || !x->rank || axis < -x->rank || axis >= x->rank) return l->turns = 0, RT_OK;
        int64_t turns = x->dim[axis < 0 ? axis + x->rank : axis];
        if (turns < 1 || turns > TURNS || (i && turns != l->turns)) return l->turns = 0, RT_OK;
        l->turns = (int)turns;
    }
    return RT_OK;
}

static rt_status find_loop(const rt_onnx_row *row, const rt_eval_node *n, loop *l)
{
    l->is_loop = 1;
    l->states = n->inputs - 2;
    l->outs = l->body->outputs - 1 - l->states;
    if (n->inputs < 2 || l->outs < 0 || l->body->inputs != n->inputs) return RT_OK;
    l->given = n->in + 2;
    const rt_array *most = n->in[0] >= 0 ? row->value[n->in[0]] : NULL,
                   *first = n->in[1] >= 0 ? row->value[n->in[1]] : NULL;
    if (n->in[0] >= 0 && (!most || row->varies[n->in[0]] || most->count != 1)) return RT_OK;
    if (n->in[1] >= 0 && (!first || row->varies[n->in[1]] || first->count != 1 || !rt_array_int(first, 0)))
        return RT_OK;
    const int64_t count = most ? rt_array_int(most, 0) : INT64_MAX;
    for (int i = 0; i < l->states; i++) if (l->given[i] < 0) return RT_OK;
    rt_region *r = rt_onnx_row_rest(row);
    if (!r) return RT_RUN;
    rt_status st = count_turns(row, l, count, r, &l->turns);
    rt_region_free(r);
    return st;
}

/* Whether the node reads and gives values below `known` alone: those that the row has been evaluated with. */
static int is_evaluated(const rt_eval_node *n, int known)
{
    for (int i = 0; i < n->inputs; i++) if (n->in[i] >= known) return 0;
    for (int i = 0; i < n->outputs; i++) if (n->out[i] >= known) return 0;
    for (int a = 0; a < n->attrs; a++)
        for (int i = 0; n->attr[a].kind == RT_EA_GRAPH && i < n->attr[a].g->captures; i++)
            if (n->attr[a].g->captured_from[i] >= known) return 0;
    return 1;
}

/* A loop that can be unrolled, at a node whose outputs depend on data: l->turns, else 0. */
static rt_status find(const rt_onnx_row *row, int at, int known, loop *l)
{
    const rt_eval_node *n = &row->graph->node[at];
    const int scan = !strcmp(n->op, "Scan");
    const rt_eval_attr *body = attr_of(n, "body", RT_EA_GRAPH);
    int varies = 0;
    *l = (loop){.node = n};
    if (*n->domain || (!scan && strcmp(n->op, "Loop")) || !body || !is_evaluated(n, known)) return RT_OK;
    l->body = body->g;
    for (int i = 0; i < n->outputs; i++) varies |= n->out[i] >= 0 && row->varies[n->out[i]];
    if (varies) RT_TRY((scan ? find_scan : find_loop)(row, n, l));
    for (int i = 0; i < l->states && l->turns; i++) if (l->given[i] < 0) l->turns = 0;
    if (n->outputs > l->states + l->outs ||
        (int64_t)l->turns * (l->body->nodes + l->scans + l->outs) + n->outputs + row->graph->nodes > NODES)
        l->turns = 0;
    return RT_OK;
}

static int new_value(maker *m, const char *name, rt_array *known)
{
    m->g->value[m->values] = name;
    m->g->known[m->values] = known;
    return m->values++;
}

static int scalar(maker *m, rt_dtype type, int rank, int64_t v)
{
    rt_array *a = NULL;
    const int64_t one[] = {1};
    if (!m->st) m->st = rt_array_make(&a, m->row->region, type, rank, one);
    if (a) rt_array_put_int(a, 0, v);
    return new_value(m, "", a);
}

static rt_eval_attr *int_attr(maker *m, const char *name, int64_t v)
{
    rt_eval_attr *a = rt_region_take(m->row->region, sizeof *a);
    int64_t *i = rt_region_take(m->row->region, sizeof *i);
    if (!a || !i) {
        m->st = RT_INPUT;
        return NULL;
    }
    *i = v;
    *a = (rt_eval_attr){.name = name, .kind = RT_EA_INT, .n = 1, .i = i};
    return a;
}

static void put(maker *m, const loop *l, const char *op, const int *in, int inputs, int out, rt_eval_attr *attr)
{
    int *list = rt_region_list(m->row->region, (size_t)inputs + 1, sizeof *list);
    if (!list) m->st = RT_INPUT;
    if (m->st) return;
    memcpy(list, in, (size_t)inputs * sizeof *list);
    list[inputs] = out;
    m->g->node[m->nodes++] =
        (rt_eval_node){.name = l->node->name, .op = op, .domain = "", .in = list, .inputs = inputs,
                       .out = list + inputs, .outputs = 1, .attr = attr, .attrs = attr != NULL, .version = 13,
                       .def = rt_eval_find("", op, 13)};
}

/* One turn: `state` has the states before, and gets those behind; pile (outs) what is piled up. */
static void turn(maker *m, const loop *l, int t, int *state, int *pile)
{
    const rt_eval_graph *b = l->body;
    rt_region *r = m->row->region;
    int *to = rt_region_list(r, (size_t)b->values, sizeof *to), first = l->is_loop ? 2 : 0, gives = l->is_loop;
    if (!to) m->st = RT_INPUT;
    if (m->st) return;
    for (int v = 0; v < b->values; v++) to[v] = new_value(m, b->value[v], b->known[v]);
    for (int i = 0; i < b->captures; i++) to[b->capture[i]] = b->captured_from[i];
    if (l->is_loop) {
        to[b->input[0]] = scalar(m, RT_I64, 0, t);
        to[b->input[1]] = scalar(m, RT_BOOL, 0, 1);
    }
    for (int i = 0; i < l->states; i++) to[b->input[first + i]] = state[i];
    for (int i = 0; i < l->scans; i++) {
        int back = listed(l->node, "scan_input_directions", i) != 0,
            in[] = {l->node->in[l->states + i], scalar(m, RT_I64, 0, back ? l->turns - 1 - t : t)};
        put(m, l, "Gather", in, 2, to[b->input[l->states + i]],
            int_attr(m, "axis", listed(l->node, "scan_input_axes", i)));
    }
    for (int i = 0; i < b->nodes && !m->st; i++) {
        m->g->node[m->nodes] = b->node[i];
        m->st = rt_onnx_move_node(r, &m->g->node[m->nodes++], to);
    }
    for (int i = 0; i < l->states; i++) state[i] = to[b->output[gives + i]];
    for (int i = 0; i < l->outs; i++) {
        int64_t axis = l->is_loop ? 0 : listed(l->node, "scan_output_axes", i);
        int in[] = {to[b->output[gives + l->states + i]], scalar(m, RT_I64, 1, axis)};
        put(m, l, "Unsqueeze", in, 2, pile[i] = new_value(m, "", NULL), NULL);
    }
}

static rt_status unroll(rt_onnx_row *row, int at, const loop *l)
{
    rt_eval_graph *was = row->graph;
    rt_region *r = row->region;
    maker m = {.row = row, .g = rt_region_take(r, sizeof *m.g), .values = was->values};
    size_t nodes = (size_t)was->nodes + (size_t)l->turns * (size_t)(l->body->nodes + l->scans + l->outs) +
                   (size_t)l->node->outputs,
           values = (size_t)was->values +
                    (size_t)l->turns * ((size_t)l->body->values + 2 + (size_t)l->scans + 2 * (size_t)l->outs);
    int *state = rt_region_list(r, (size_t)l->states, sizeof *state),
        *pile = rt_region_list(r, (size_t)l->outs * (size_t)l->turns, sizeof *pile);
    if (!m.g || !state || !pile) return RT_INPUT;
    *m.g = *was;
    m.g->value = rt_region_list(r, values, sizeof *m.g->value);
    m.g->known = rt_region_list(r, values, sizeof *m.g->known);
    m.g->node = rt_region_list(r, nodes, sizeof *m.g->node);
    if (!m.g->value || !m.g->known || !m.g->node) return RT_INPUT;
    memcpy(m.g->value, was->value, (size_t)was->values * sizeof *was->value);
    memcpy(m.g->known, was->known, (size_t)was->values * sizeof *was->known);
    memcpy(m.g->node, was->node, (size_t)at * sizeof *was->node);
    m.nodes = at;
    for (int i = 0; i < l->states; i++) state[i] = l->given[i];
    for (int t = 0; t < l->turns && !m.st; t++) turn(&m, l, t, state, pile + (size_t)t * (size_t)l->outs);
    for (int i = 0; i < l->node->outputs && !m.st; i++) {
        if (l->node->out[i] < 0) continue;
        if (i < l->states) {
            put(&m, l, "Identity", &state[i], 1, l->node->out[i], NULL);
            continue;
        }
        int k = i - l->states, *side = rt_region_list(r, (size_t)l->turns, sizeof *side),
            back = !l->is_loop && listed(l->node, "scan_output_directions", k);
        if (!side) return RT_INPUT;
        for (int t = 0; t < l->turns; t++)
            side[back ? l->turns - 1 - t : t] = pile[(size_t)t * (size_t)l->outs + (size_t)k];
        put(&m, l, "Concat", side, l->turns, l->node->out[i],
            int_attr(&m, "axis", l->is_loop ? 0 : listed(l->node, "scan_output_axes", k)));
    }
    if (m.st) return m.st;
    memcpy(m.g->node + m.nodes, was->node + at + 1, (size_t)(was->nodes - at - 1) * sizeof *was->node);
    m.g->nodes = m.nodes + was->nodes - at - 1;
    m.g->values = m.values;
    *row->graph = *m.g;
    return RT_OK;
}

rt_status rt_onnx_unroll(rt_onnx_row *row, int *changed)
{
    const int known = row->graph->values;
    loop l;
    *changed = 0;
    for (int i = 0; i < row->graph->nodes; i++) {
        RT_TRY(find(row, i, known, &l));
        if (l.turns) RT_TRY(unroll(row, i, &l));
        *changed |= l.turns != 0;
    }
    return RT_OK;
}
