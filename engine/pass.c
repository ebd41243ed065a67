#include "engine/pass.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- for passes ---- */

static void *longer(rt_rewrite *r, void *array, int count, size_t size)
{
    void *p = realloc(array, ((size_t)count + 1) * size);
    if (!p && !r->status) r->status = rt_fail(RT_RUN, "out of memory for the graph");
    return p;
}

rt_node *rt_rewrite_keep(rt_rewrite *r, int node)
{
    rt_graph *g = r->out->graph;
    const rt_node *from = &r->in->node[node];
    void *nodes = longer(r, g->node, g->nodes, sizeof *g->node);
    if (nodes) g->node = nodes;
    void *tensors = longer(r, g->tensor, g->tensors, sizeof *g->tensor);
    if (tensors) g->tensor = tensors;
    int *in = rt_graph_list(g, from->in, from->inputs), *field = rt_graph_list(g, from->field, from->fields);
    const char *name = rt_graph_text(g, from->name);
    if (!nodes || !tensors || !in || !field || !name) {
        r->status = RT_RUN;
        return NULL;
    }
    for (int k = 0; k < from->inputs; k++) in[k] = r->out->tensor_of[from->in[k]];
    rt_node *n = &g->node[g->nodes];
    *n = *from;
    n->name = name;
    n->in = in;
    n->field = field;
    n->share = -1;
    n->out = g->tensors;
    g->tensor[g->tensors] = (rt_tensor){.shape = r->in->tensor[from->out].shape,
                                               .type = r->in->tensor[from->out].type, .producer = g->nodes++};
    r->out->tensor_of[from->out] = g->tensors;
    if (from->op == RT_OP_INPUT) g->input[g->inputs++] = g->tensors;
    g->tensors++;
    return n;
}

void rt_rewrite_drop(rt_rewrite *r, int node)
{
    const rt_node *n = &r->in->node[node];
    r->out->tensor_of[n->out] = n->inputs ? r->out->tensor_of[n->in[0]] : -1;
    r->changes++;
}

void rt_rewrite_absorb(rt_rewrite *r, int node, const rt_node *into)
{
    r->out->tensor_of[r->in->node[node].out] = into->out;
    r->done[node] = 1;
    r->changes++;
}

int rt_rewrite_derive(rt_rewrite *r, const rt_node *n, const char *suffix, const rt_shape *shape,
                      const rt_recipe *recipe)
{
    char name[RT_NAME_MAX + 32];
    rt_graph *g = r->out->graph;
    void *fields = longer(r, g->field, g->fields, sizeof *g->field);
    if (fields) g->field = fields;
    void *recipes = longer(r, r->out->recipe, r->out->recipes, sizeof *recipe);
    if (recipes) r->out->recipe = recipes;
    snprintf(name, sizeof name, "%s.%s", n->name, suffix);
    const char *own = rt_graph_text(g, name);
    if (!fields || !recipes || !own) {
        r->status = RT_RUN;
        return 0;
    }
    rt_field *f = &g->field[g->fields];
    *f = (rt_field){.name = own, .home = RT_DERIVED, .shape = *shape, .offset = g->floats[RT_DERIVED],
                    .count = rt_shape_count(shape), .grad_at = RT_NOWHERE, .key = (uint32_t)r->out->recipes};
    g->floats[RT_DERIVED] += (f->count + 15) & ~(size_t)15;
    r->out->recipe[r->out->recipes] = *recipe;
    r->out->recipe[r->out->recipes++].field = g->fields;
    r->changes++;
    return g->fields++;
}

int rt_rewrite_consumer(const rt_rewrite *r, int tensor)
{
    if (r->in->tensor[tensor].consumers != 1 || r->kept[tensor]) return -1;
    for (int i = r->in->tensor[tensor].producer + 1; i < r->in->nodes; i++)
        for (int k = 0; k < r->in->node[i].inputs; k++)
            if (r->in->node[i].in[k] == tensor) return i;
    return -1;
}

/* ---- the list ---- */

/* A graph without nodes, with the fields of another. */
static rt_graph *fields_of(const rt_graph *g)
{
    rt_graph *out = rt_graph_new();
    if (!out) return NULL;
    out->field = malloc(((size_t)g->fields + 1) * sizeof *out->field);
    if (!out->field) {
        rt_graph_free(out);
        rt_fail(RT_RUN, "out of memory for the graph");
        return NULL;
    }
    for (int i = 0; i < g->fields; i++) {
        out->field[i] = g->field[i];
        out->field[i].name = rt_graph_text(out, g->field[i].name);
        if (!out->field[i].name) {
            rt_graph_free(out);
            return NULL;
        }
    }
    out->fields = g->fields;
    memcpy(out->floats, g->floats, sizeof out->floats);
    return out;
}

static void find_live(rt_rewrite *r, const int *keep, int keeps)
{
    const rt_graph *g = r->in;
    for (int i = 0; i < keeps; i++) if (keep[i] >= 0) r->kept[keep[i]] = r->live[keep[i]] = 1;
    for (int i = g->nodes - 1; i >= 0; i--)
        for (int k = 0; k < g->node[i].inputs; k++) r->live[g->node[i].in[k]] |= r->live[g->node[i].out];
    for (int i = 0; i < g->inputs; i++) r->live[g->input[i]] = 1;       /* as whoever fills them counts them */
}

/* One pass: low's graph becomes another, or stays when there is nothing to do. keep: tensors of low's graph. */
static rt_status run_pass(const rt_pass *pass, const rt_graph *in, const rt_lower_spec *spec, const int *keep,
                          rt_lowered *out, int *changes)
{
    size_t tensors = (size_t)in->tensors + 1, nodes = (size_t)in->nodes + 1;
    rt_rewrite r = {.in = in, .spec = spec, .out = out, .kept = calloc(tensors, 1), .live = calloc(tensors, 1),
                    .done = calloc(nodes, 1)};
    out->graph = fields_of(in);
    out->tensor_of = malloc(tensors * sizeof *out->tensor_of);
    if (!r.kept || !r.live || !r.done || !out->tensor_of) r.status = rt_fail(RT_RUN, "out of memory for the graph");
    if (!out->graph) r.status = RT_RUN;
    if (!r.status) {
        memset(out->tensor_of, -1, tensors * sizeof *out->tensor_of);
        find_live(&r, keep, spec->keeps);
        for (int i = 0; i < in->nodes && !r.status; i++) if (!r.done[i]) pass->node(&r, i);
    }
    if (!r.status) {
        out->graph->output = out->tensor_of[in->output];
        rt_graph_seal(out->graph);
    }
    *changes = r.changes;
    free(r.kept);
    free(r.live);
    free(r.done);
    return r.status;
}

/* What passes may not do. */
static void check_lowered(const rt_graph *source, const rt_lower_spec *spec, const rt_lowered *low)
{
    for (int i = 0; i < source->fields; i++) {
        const rt_field *a = &source->field[i], *b = &low->graph->field[i];
        RT_ASSERT(a->home == b->home && a->offset == b->offset && a->key == b->key);
        RT_ASSERT(a->grad_at == b->grad_at || (spec->wants && b->grad_at == RT_NOWHERE));
    }
    for (int i = 0; i < spec->keeps; i++) {
        int t = low->tensor_of[spec->keep[i]];
        RT_ASSERT(t >= 0 && rt_shape_equal(&source->tensor[spec->keep[i]].shape, &low->graph->tensor[t].shape));
    }
    for (int i = 0; i < low->recipes; i++)
        for (int k = 0; k < RT_FROM; k++) RT_ASSERT(low->recipe[i].from[k] < source->fields);
    (void)source;
    (void)spec;
    (void)low;
}

rt_status rt_graph_lower(const rt_graph *source, const rt_lower_spec *spec, rt_lowered *low, rt_stage_fn *stage,
                         void *arg)
{
    rt_lower_spec own = *spec;
    RT_ASSERT(source->sealed);
    own.quant = source->quant.range ? &source->quant : NULL;
    spec = &own;
    *low = (rt_lowered){.tensor_of = malloc(((size_t)source->tensors + 1) * sizeof *low->tensor_of)};
    int *keep = malloc(((size_t)spec->keeps + 1) * sizeof *keep);
    rt_status st = low->tensor_of && keep ? RT_OK : rt_fail(RT_RUN, "out of memory for the graph");
    if (!st) for (int t = 0; t < source->tensors; t++) low->tensor_of[t] = t;
    if (!st && stage) stage(arg, NULL, NULL, source, low);
    for (const rt_pass *p = rt_passes; p->name && !st; p++) {
        if (!(p->modes >> spec->mode & 1) || (spec->plain && !p->needed)) continue;
        rt_lowered next = {.recipe = low->recipe, .recipes = low->recipes};
        int changes;
        for (int i = 0; i < spec->keeps; i++) keep[i] = low->tensor_of[spec->keep[i]];
        st = run_pass(p, low->graph ? low->graph : source, spec, keep, &next, &changes);
        for (int t = 0; t < source->tensors && !st; t++)
            if (low->tensor_of[t] >= 0) low->tensor_of[t] = next.tensor_of[low->tensor_of[t]];
        free(next.tensor_of);
        rt_graph_free(low->graph);
        low->graph = next.graph;
        low->recipe = next.recipe;
        low->recipes = next.recipes;
        if (!st && changes && stage) stage(arg, p->name, p->what, low->graph, low);
    }
    free(keep);
    if (!st && spec->wants) {
        low->graph->still = 1;
        for (int i = 0; i < spec->wants; i++) low->graph->tensor[low->tensor_of[spec->wanted[i]]].wanted = 1;
        rt_graph_seal(low->graph);
    }
    if (st) rt_lowered_free(low);
    else check_lowered(source, spec, low);
    return st;
}

void rt_lowered_free(rt_lowered *low)
{
    rt_graph_free(low->graph);
    free(low->tensor_of);
    free(low->recipe);
    *low = (rt_lowered){0};
}

/* ---- recipes ---- */

void rt_recipe_run(const rt_graph *g, const rt_recipe *r, float *const *field)
{
    if (r->kind == RT_QUANT_WEIGHT) {
        rt_quant_weights(g, r, field);
        return;
    }
    const float *gamma = field[r->from[RT_FROM_GAMMA]], *beta = field[r->from[RT_FROM_BETA]],
                *mean = field[r->from[RT_FROM_MEAN]], *variance = field[r->from[RT_FROM_VARIANCE]],
                *own = r->from[RT_FROM_OWN] >= 0 ? field[r->from[RT_FROM_OWN]] : NULL;
    float *out = field[r->field];
    size_t channels = g->field[r->from[RT_FROM_GAMMA]].count, rows = g->field[r->field].count / channels;
    for (size_t c = 0; c < channels; c++) {
        double scale = gamma[c] / sqrt((double)variance[c] + r->eps);
        switch (r->kind) {
        case RT_FOLD_WEIGHT:
            for (size_t i = 0; i < rows; i++) out[i * channels + c] = (float)(own[i * channels + c] * scale);
            break;
        case RT_FOLD_BIAS: out[c] = (float)(beta[c] + ((own ? own[c] : 0.0) - mean[c]) * scale); break;
        case RT_NORM_SCALE: out[c] = (float)scale; break;
        case RT_NORM_SHIFT: out[c] = (float)(beta[c] - mean[c] * scale); break;
        case RT_QUANT_WEIGHT: break;
        }
    }
}
