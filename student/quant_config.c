#include "student/quant_config.h"

#include <stdio.h>
#include <string.h>

#include "student/program.h"

static const char *const methods[] = {"minmax", "mse", NULL}, *const learning[] = {"lsq", "minmax", "mse", NULL},
                  *const inputs[] = {"auto", "u8", "f32", NULL};
enum { LEAST = 4, MOST = 8, ROWS_MOST = 65536 };

static void read_training(rt_cfg *q, rt_quant_settings *s, rt_quant_training *t, int warmup)
{
    int method = rt_cfg_choice(q, "method", learning, 0);
    t->learn = method == 0;
    s->method = method == 2 ? RT_CALIBRATE_MSE : RT_CALIBRATE_MINMAX;
    s->correct = 0;
    t->warmup = rt_cfg_int(q, "warmup", warmup, 0, 1000000);
    t->freeze = rt_cfg_number(q, "freeze", 0.95, 0, 1);
    t->step_lr = rt_cfg_number(q, "step_lr", 0.1, 0, 1000);
    rt_cfg_refuse(q, "bias_correction", "belongs to 'retort quantize'; training finds biases itself");
}

void rt_quant_read(rt_cfg *c, rt_quant_settings *s, rt_quant_training *training, int epochs)
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
    if (training) read_training(&q, s, training, rt_cfg_has(c, "init") ? 0 : epochs / 2);
    else {
        s->method = (rt_calibrate_method)rt_cfg_choice(&q, "method", methods, RT_CALIBRATE_MINMAX);
        s->correct = rt_cfg_bool(&q, "bias_correction", 1);
    }
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

rt_status rt_quant_choose_input(const rt_quant_settings *s, const rt_model *m, rt_dtype type, const char *x,
                                const char *source, int *bytes, cJSON *notes)
{
    double apart = 0;
    char text[200];
    int can = rt_program_takes_bytes(m, &apart);
    if (s->input == RT_QUANT_INPUT_U8 && type != RT_U8)
        return rt_fail(RT_USAGE, "quant.input: 'u8' needs data of bytes, and '%s' of %s is %s; let it be f32", x,
                       source, rt_dtype_name(type));
    if (s->input == RT_QUANT_INPUT_U8 && !can)
        return rt_fail(RT_USAGE, "quant.input: the model cannot take bytes as they are: a mean of its normalisation is "
                       "outside of [0, 255], or a layer without weights of its own reads the input; let it be f32");
    *bytes = s->input != RT_QUANT_INPUT_F32 && type == RT_U8 && can;
    if (!*bytes || !(apart > 0.5)) return RT_OK;
    snprintf(text, sizeof text, "the means of the channels differ: where the input is padded, the padding is up to "
             "%.1f steps of a byte away from 0; quant.input=f32 pads with 0", apart);
    cJSON_AddItemToArray(notes, cJSON_CreateString(text));
    return RT_OK;
}
