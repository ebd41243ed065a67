/* engine/quantize.c - quantizers as fields of a graph. */
#include <math.h>
#include <stdio.h>

#include "engine/kernels.h"
#include "engine/pass.h"

#define LEAST_STEP 1e-8f              /* that training leaves; a step is a positive number */

static rt_status add(rt_graph *g, int node, const char *what, rt_home home, int count, int learns, int *number)
{
    char name[RT_NAME_MAX + 32];
    rt_field like = {.home = home,
                     .shape = {1, {count}},
                     .init = home == RT_PARAM ? RT_INIT_ONE : RT_INIT_ZERO,
                     .flags = RT_F_QUANTIZER | (learns ? 0 : RT_F_FROZEN),
                     .tuning = {1, 1, learns ? 0 : NAN, learns ? LEAST_STEP : -INFINITY, 0}};
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
        if (s->range[n->out]) RT_TRY(add(g, i, "range", RT_STATE, 2, 0, &range[n->out]));
        if (!channels) continue;
        if (n != own) step[i] = step[own - g->node];
        else RT_TRY(add(g, i, "weight_step", RT_PARAM, channels, s->learn && s->learn[i], &step[i]));
        if (s->shift) RT_TRY(add(g, i, "shift", RT_STATE, channels, 0, &shift[i]));
    }
    g->quant = (rt_quantizers){s->bytes, range, bits, step, shift, g->nodes, g->tensors};
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

/* ---- weights ---- */

void rt_quant_follow(float *step, const float *w, size_t rows, int n, int most)
{ rt_kernels_get()->quant_follow(step, w, rows, n, most); }

/* Weights times their input channel's factor, (rows, n), which the caller gives room for. */
static void times_factor(float *to, const float *w, const rt_recipe *q, size_t rows, int n, int back)
{
    int cg = q->factors / q->groups;
    for (size_t r = 0; r < rows; r++)
        for (int c = 0; c < n; c++) {
            float f = q->factor[rt_quant_channel(r, c, cg, q->groups, n)];
            to[r * (size_t)n + (size_t)c] = back ? w[r * (size_t)n + (size_t)c] / f : w[r * (size_t)n + (size_t)c] * f;
        }
}

void rt_quant_weights(const rt_graph *g, const rt_recipe *q, float *const *field)
{
    const rt_field *f = &g->field[q->field];
    int n = f->shape.dim[f->shape.rank - 1], most = rt_quant_most(q->bits);
    size_t rows = f->count / (size_t)n;
    float *step = field[q->from[RT_FROM_STEP]], *out = field[q->field];
    const float *w = field[q->from[RT_FROM_OWN]];
    if (q->factor) {
        times_factor(out, w, q, rows, n, 0);
        w = out;
    }
    if (q->follow) rt_quant_follow(step, w, rows, n, most);
    rt_kernels_get()->quant_rows(out, w, step, rows, n, most);
    if (q->factor) times_factor(out, out, q, rows, n, 1);
}

void rt_quant_learn(const rt_graph *g, const rt_recipe *q, float *const *field, float *const *grad)
{
    const rt_field *f = &g->field[q->field];
    int n = f->shape.dim[f->shape.rank - 1], most = rt_quant_most(q->bits), cg = q->factors / q->groups;
    size_t rows = f->count / (size_t)n;
    const float *step = field[q->from[RT_FROM_STEP]], *w = field[q->from[RT_FROM_OWN]];
    float *dw = grad[q->from[RT_FROM_OWN]], *ds = grad[q->from[RT_FROM_STEP]];
    const double scale = 1 / sqrt((double)rows * most);
    for (int c = 0; c < n; c++) {
        double sum = 0;
        for (size_t r = 0, i = (size_t)c; r < rows; r++, i += (size_t)n) {
            double by = q->factor ? (double)q->factor[rt_quant_channel(r, c, cg, q->groups, n)] : 1;
            double v = (double)w[i] * by / (double)step[c], d = dw ? (double)dw[i] / by : 0;
            if (fabs(v) < most) sum += d * (rint(v) - v);
            else {
                sum += v > 0 ? d * most : -d * most;
                if (dw) dw[i] = 0;
            }
        }
        if (ds) ds[c] = (float)(sum * scale);
    }
}
