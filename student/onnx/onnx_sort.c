/* student/onnx/onnx_sort.c - nodes in an order in which they can be computed: that of the file where it is one already,
 * else each node as soon as what it reads is there. No function calls itself: a chain may have as many nodes as a file.
 */
#include <string.h>

#include "student/onnx/onnx_parts.h"

enum { UNSEEN, OPEN, DONE };

typedef struct { int node, next; } frame;                  /* next: of its inputs, the one to look at */

/* The i-th value that the node reads: inputs, then what bodies capture; -2: no more. */
static int read_at(const rt_eval_node *n, int i)
{
    if (i < n->inputs) return n->in[i];
    i -= n->inputs;
    for (int a = 0; a < n->attrs; a++) {
        if (n->attr[a].kind != RT_EA_GRAPH) continue;
        if (i < n->attr[a].g->captures) return n->attr[a].g->captured_from[i];
        i -= n->attr[a].g->captures;
    }
    return -2;
}

static int in_order(const rt_eval_graph *g, const int *giver)
{
    for (int n = 0; n < g->nodes; n++)
        for (int i = 0, v; (v = read_at(&g->node[n], i)) != -2; i++) if (v >= 0 && giver[v] >= n) return 0;
    return 1;
}

static rt_status visit(const rt_eval_graph *g, int root, const int *giver, char *state, frame *stack, int *order,
                       int *n)
{
    int depth = 0;
    if (state[root] != UNSEEN) return RT_OK;
    stack[0] = (frame){root, 0};
    state[root] = OPEN;
    while (depth >= 0) {
        frame *f = &stack[depth];
        int v = read_at(&g->node[f->node], f->next++);
        if (v == -2) {
            state[f->node] = DONE;
            order[(*n)++] = f->node;
            depth--;
            continue;
        }
        int from = v >= 0 ? giver[v] : -1;
        if (from < 0 || state[from] == DONE) continue;
        if (state[from] == OPEN)
            return rt_fail(RT_INPUT, "node '%s' (%s) depends on its own output: the graph has a cycle",
                           g->node[from].name, g->node[from].op);
        state[from] = OPEN;
        stack[++depth] = (frame){from, 0};
    }
    return RT_OK;
}

rt_status rt_onnx_sort(rt_eval_graph *g, rt_region *r)
{
    size_t nodes = (size_t)g->nodes;
    int n = 0, *giver = rt_region_list(r, (size_t)g->values, sizeof *giver);
    if (!giver) return RT_INPUT;
    for (int v = 0; v < g->values; v++) giver[v] = -1;
    for (int i = 0; i < g->nodes; i++)
        for (int k = 0; k < g->node[i].outputs; k++) if (g->node[i].out[k] >= 0) giver[g->node[i].out[k]] = i;
    if (in_order(g, giver)) return RT_OK;
    int *order = rt_region_list(r, nodes, sizeof *order);
    frame *stack = rt_region_list(r, nodes, sizeof *stack);
    char *state = rt_region_take(r, nodes);
    rt_eval_node *sorted = rt_region_list(r, nodes, sizeof *sorted);
    if (!order || !stack || !state || !sorted) return RT_INPUT;
    for (int i = 0; i < g->nodes; i++) RT_TRY(visit(g, i, giver, state, stack, order, &n));
    RT_ASSERT(n == g->nodes);
    for (int i = 0; i < n; i++) sorted[i] = g->node[order[i]];
    g->node = sorted;
    return RT_OK;
}
