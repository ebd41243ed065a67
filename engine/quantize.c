/* engine/quantize.c - quantizers as fields of a graph. */
#include <math.h>
#include <stdio.h>

#include "engine/graph.h"

static rt_status add(rt_graph *g, int node, const char *what, rt_home home, int count, int *number)
{
    char name[RT_NAME_MAX + 32];
    rt_field like = {.home = home,
                     .shape = {1, {count}},
                     .init = home == RT_PARAM ? RT_INIT_ONE : RT_INIT_ZERO,
                     .flags = RT_F_FROZEN | RT_F_QUANTIZER,
                     .tuning = {1, 1, NAN, -INFINITY}};
    snprintf(name, sizeof name, "%s.%s", g->node[node].name, what);
    return rt_graph_field(g, name, &like, number);
}

static int *list_of(rt_graph *g, int n, int value)
{
    int *list = rt_graph_list(g, NULL, n);
    for (int i = 0; i < n && list; i++) list[i] = value;
    return list;
}

rt_status rt_graph_quantize(rt_graph *g, const rt_quantize_spec *s)
{
    int *range = list_of(g, g->tensors, -1), *bits = list_of(g, g->nodes, 0), *step = list_of(g, g->nodes, -1),
        *shift = list_of(g, g->nodes, -1);
    RT_ASSERT(!g->quant.range);
    if (!range || !bits || !step || !shift) return RT_RUN;
    for (int i = 0; i < g->nodes; i++) {
        const rt_node *n = &g->node[i], *own = n;
        while (own->share >= 0) own = &g->node[own->share];
        int weights = s->bits[own - g->node];
        const rt_shape *w = weights ? &g->field[n->field[0]].shape : NULL;
        int channels = w ? w->dim[w->rank - 1] : 0;        /* fields move when one is added */
        bits[i] = weights;
        if (s->range[n->out]) RT_TRY(add(g, i, "range", RT_STATE, 2, &range[n->out]));
        if (!channels) continue;
        if (n != own) step[i] = step[own - g->node];
        else RT_TRY(add(g, i, "weight_step", RT_PARAM, channels, &step[i]));
        if (s->shift) RT_TRY(add(g, i, "shift", RT_STATE, channels, &shift[i]));
    }
    g->quant = (rt_quantizers){s->bytes, range, bits, step, shift};
    rt_graph_seal(g);
    return RT_OK;
}

void rt_graph_unquantize(rt_graph *g)
{
    while (g->fields && g->field[g->fields - 1].flags & RT_F_QUANTIZER) {
        const rt_field *f = &g->field[--g->fields];
        g->floats[f->home] = f->offset;
    }
    g->quant = (rt_quantizers){0};
    rt_graph_seal(g);
}
