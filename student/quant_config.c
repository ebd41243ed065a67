#include "student/quant_config.h"

#include <stdio.h>
#include <string.h>

static const char *const methods[] = {"minmax", "mse", NULL}, *const inputs[] = {"auto", "u8", "f32", NULL};
enum { LEAST = 4, MOST = 8, ROWS_MOST = 65536 };

void rt_quant_read(rt_cfg *c, rt_quant_settings *s)
{
    rt_cfg q = rt_cfg_object(c, "quant");
    s->weights = rt_cfg_int(&q, "weights", 8, LEAST, MOST);
    rt_cfg_int(&q, "activations", 8, 8, 8);
    s->first = rt_cfg_int(&q, "first", 8, LEAST, MOST);
    s->last = rt_cfg_int(&q, "last", 8, LEAST, MOST);
    cJSON *layers = rt_cfg_any(&q, "layers");
    s->layers = layers;
    if (layers && !cJSON_IsObject(layers))
        rt_cfg_fail(&q, "layers", "an object {NAME: {\"weights\": BITS}} is expected");
    for (cJSON *l = layers ? layers->child : NULL; l && !q.status; l = l->next) {
        char path[160];
        snprintf(path, sizeof path, "quant.layers.%.100s", l->string);
        rt_cfg one = rt_cfg_begin(l, path);
        rt_cfg_int(&one, "weights", 8, LEAST, MOST);
        rt_cfg_join(&q, &one);
    }
    s->method = (rt_calibrate_method)rt_cfg_choice(&q, "method", methods, RT_CALIBRATE_MINMAX);
    s->correct = rt_cfg_bool(&q, "bias_correction", 1);
    s->rows = rt_cfg_int(&q, "calibrate", 300, 1, ROWS_MOST);
    s->input = (rt_quant_input)rt_cfg_choice(&q, "input", inputs, RT_QUANT_INPUT_AUTO);
    rt_cfg_join(c, &q);
}

static rt_status no_layer(const rt_graph *g, const char *name)
{
    const char *list[RT_MAX_NODES] = {NULL};
    char text[400];
    int n = 0, at = 0;
    for (int i = 0; i < g->nodes; i++) {
        if (!rt_has_weights(&g->node[i]) || g->node[i].share >= 0) continue;
        list[n++] = g->node[i].name;
        if (at < 320) at += snprintf(text + at, sizeof text - (size_t)at, "%s%.60s", at ? ", " : "", g->node[i].name);
    }
    const char *near = rt_nearest(name, list, n);
    return rt_fail(RT_USAGE, "quant.layers: no layer '%.60s' has weights of its own%s%s%s; there are: %s%s", name,
                   near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "", n ? text : "none",
                   at >= 320 ? " ..." : "");
}

rt_status rt_quant_bits(const rt_quant_settings *s, const rt_graph *g, const rt_head *head, int heads, int *bits)
{
    for (int i = 0; i < g->nodes; i++) {
        const rt_node *n = &g->node[i];
        bits[i] = 0;
        if (!rt_has_weights(n) || n->share >= 0) continue;
        bits[i] = s->weights;
        for (int h = 0; h < heads; h++) if (head[h].tensor == n->out) bits[i] = s->last;
        if (rt_graph_input_of(g, g->tensor[n->in[0]].memory) >= 0) bits[i] = s->first;
    }
    for (const cJSON *l = s->layers ? s->layers->child : NULL; l; l = l->next) {
        int found = 0;
        const cJSON *b = cJSON_GetObjectItemCaseSensitive(l, "weights");
        for (int i = 0; i < g->nodes; i++) {
            if (strcmp(g->node[i].name, l->string) || !bits[i]) continue;
            bits[i] = b->valueint;
            found = 1;
        }
        if (!found) return no_layer(g, l->string);
    }
    return RT_OK;
}
