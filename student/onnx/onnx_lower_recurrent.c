/* student/onnx/onnx_lower_recurrent.c - recurrent operators and norms of other kinds as layers. */
#include <math.h>
#include <string.h>

#include "student/onnx/onnx_lower.h"

static int all_zero(const rt_array *a)
{
    for (size_t i = 0; i < a->count; i++) if (rt_array_double(a, i) != 0) return 0;
    return 1;
}

/* Why the node is not what the layer computes; NULL: it is. */
static const char *beyond(const rt_lowering *l, const rt_eval_node *n, int64_t steps)
{
    const rt_array *lengths = rt_lower_const(l, n, 4);
    int kinds = 0;
    for (int a = 0; a < n->attrs; a++)
        kinds |= !strcmp(n->attr[a].name, "activations") || !strcmp(n->attr[a].name, "activation_alpha") ||
                 !strcmp(n->attr[a].name, "activation_beta") || !strcmp(n->attr[a].name, "clip");
    if (kinds) {                                           /* the default ones may be spelled out */
        static const char *const usual[] = {"LSTM", "Sigmoid", "Tanh", "Tanh", "GRU", "Sigmoid",
                                            "Tanh", NULL,      "RNN",  "Tanh", NULL,  NULL};
        int k = 0;
        while (strcmp(usual[k], n->op)) k += 4;
        for (int a = 0; a < n->attrs; a++) {
            const rt_eval_attr *q = &n->attr[a];
            if (!strcmp(q->name, "clip")) return "states are clipped";
            if (strncmp(q->name, "activation", 10)) continue;
            int each = k == 0 ? 3 : k == 4 ? 2 : 1;
            if (q->kind != RT_EA_STRINGS) return "activations with parameters";
            for (int i = 0; i < q->n; i++)
                if (strcmp(q->s[i], usual[k + 1 + i % each])) return "activations other than the usual ones";
        }
    }
    if (rt_lower_int(n, "input_forget", 0)) return "an input gate coupled to the other";
    for (int i = 1; i < n->inputs; i++) {
        if (n->in[i] < 0) continue;
        const rt_array *c = rt_lower_const(l, n, i);
        if (!c) return i < 4 ? "its weights depend on data" : "lengths or states that depend on data";
        if (i == 7 ? !all_zero(c) : i > 4 && !all_zero(c))
            return i == 7 ? "peepholes" : "an initial state other than zero";
    }
    for (size_t i = 0; lengths && i < lengths->count; i++)
        if (rt_array_int(lengths, i) != steps) return "lengths that end early";
    return NULL;
}

typedef struct { int gates, dirs, before; int64_t h, d; const rt_array *w, *r, *b; } cell;

static rt_status fill_cell(rt_lowering *l, const cJSON *j, const cell *c)
{
    const size_t d = (size_t)c->d, h = (size_t)c->h, gh = (size_t)c->gates * h, width = (size_t)c->dirs * gh;
    const float *w = rt_lower_floats(l, c->w), *r = rt_lower_floats(l, c->r),
                *b = c->b ? rt_lower_floats(l, c->b) : NULL;
    float *tw = rt_lower_fill(l, j, "weight", d * width),
          *tr = rt_lower_fill(l, j, "recurrent", (size_t)c->dirs * h * gh), *tb = rt_lower_fill(l, j, "bias", width),
          *tn = c->before ? rt_lower_fill(l, j, "recurrent_bias", (size_t)c->dirs * h) : NULL;
    if (!w || !r || !tw || !tr || !tb || (c->before && !tn) || (c->b && !b)) return RT_RUN;
    for (size_t k = 0; k < (size_t)c->dirs; k++)
        for (size_t g = 0; g < gh; g++) {
            int apart = c->before && g >= 2 * h;           /* of GRU's n: its recurrent bias is within the reset */
            for (size_t i = 0; i < d; i++) tw[i * width + k * gh + g] = w[(k * gh + g) * d + i];
            for (size_t i = 0; i < h; i++) tr[(k * h + i) * gh + g] = r[(k * gh + g) * h + i];
            tb[k * gh + g] = b ? b[k * 2 * gh + g] + (apart ? 0 : b[k * 2 * gh + gh + g]) : 0;
            if (apart) tn[k * h + g - 2 * h] = b ? b[k * 2 * gh + gh + g] : 0;
        }
    return RT_OK;
}

static rt_status recurrent(rt_lowering *l, const rt_eval_node *n)
{
    static const struct {
        const char *onnx, *layer;
        int gates;
    } kinds[] = {{"LSTM", "lstm", 4}, {"GRU", "gru", 3}, {"RNN", "rnn", 1}};
    int kind = 0;
    while (strcmp(kinds[kind].onnx, n->op)) kind++;
    rt_lowered_value *x = rt_lower_in(l, n, 0);
    const char *direction = rt_lower_string(n, "direction", "forward"), *from, *first = NULL;
    if (!x || x->rank != 3) return rt_lower_no(l, "its input is no sequence");
    int batch_first = rt_lower_int(n, "layout", 0) != 0;
    int64_t steps = x->dim[batch_first];
    cell c = {.gates = kinds[kind].gates,
              .w = rt_lower_const(l, n, 1),
              .r = rt_lower_const(l, n, 2),
              .b = rt_lower_const(l, n, 3),
              .d = x->dim[2],
              .before = kind == 1 && rt_lower_int(n, "linear_before_reset", 0)};
    const char *why = x->dim[!batch_first] != 1 ? "the batch is not where the operator has it" : beyond(l, n, steps);
    if (why) return rt_lower_no(l, why);
    if (kind == 0 && n->outputs > 2 && n->out[2] >= 0 && l->readers[n->out[2]])
        return rt_lower_no(l, "the cell's last state is read");
    c.dirs = (int)c.w->dim[0];
    c.h = c.r->dim[2];
    rt_shape in = {2, {(int)steps, (int)c.d}};
    RT_TRY(rt_lower_as(l, x, NULL, &in, &from));
    if (l->bad) return RT_OK;
    for (int i = 0; i < 2 && i < n->outputs; i++) {        /* all states, and the last ones */
        if (n->out[i] < 0 || !l->readers[n->out[i]]) continue;
        cJSON *j = rt_lower_layer(l, kinds[kind].layer, n->name, &from, 1);
        cJSON_AddNumberToObject(j, "out", (double)c.h);
        if (strcmp(direction, "forward"))
            cJSON_AddStringToObject(j, "direction", c.dirs == 2 ? "bidirectional" : "reverse");
        if (i) cJSON_AddBoolToObject(j, "last", 1);
        if (c.before) cJSON_AddBoolToObject(j, "linear_before_reset", 1);
        if (first) cJSON_AddStringToObject(j, "share", first);
        else RT_TRY(fill_cell(l, j, &c));
        first = rt_lower_name(j);
        rt_shape all = {2, {(int)steps, c.dirs * (int)c.h}}, last = {1, {c.dirs * (int)c.h}};
        rt_lower_give(l, n, i, j, i ? &last : &all, NULL);
    }
    return RT_OK;
}

/* ---- norms ---- */

/* (1, C, ...) with channels last, of rows (1, C), too. */
static int is_channels(const rt_lowered_value *x, int order[RT_ARRAY_RANK], rt_shape *shape)
{
    if (x->rank != 2) return rt_lower_channels_last(x, order, shape);
    if (x->dim[0] != 1 || x->dim[1] > INT32_MAX) return 0;
    order[0] = 0;
    order[1] = 1;
    *shape = (rt_shape){1, {(int)x->dim[1]}};
    return 1;
}

static rt_status group_norm(rt_lowering *l, const rt_eval_node *n)
{
    rt_lowered_value *x = rt_lower_in(l, n, 0);
    const rt_array *gamma = rt_lower_const(l, n, 1), *beta = rt_lower_const(l, n, 2);
    int order[RT_ARRAY_RANK], instance = !strcmp(n->op, "InstanceNormalization");
    rt_shape shape;
    const char *from;
    if (!x || !is_channels(x, order, &shape)) return rt_lower_no(l, "its input is no image, sequence or row");
    if (!gamma || !beta) return rt_lower_no(l, "its scale depends on data");
    if (gamma->count != (size_t)x->dim[1] || beta->count != gamma->count)
        return rt_lower_no(l, "one scale for a group of channels");
    RT_TRY(rt_lower_as(l, x, order, &shape, &from));
    if (l->bad) return RT_OK;
    cJSON *j = rt_lower_layer(l, "group_norm", n->name, &from, 1);
    cJSON_AddNumberToObject(j, "groups", instance ? (double)x->dim[1] : (double)rt_lower_int(n, "num_groups", 1));
    cJSON_AddNumberToObject(j, "eps", fmax(rt_lower_float(n, "epsilon", 1e-5), 1e-12));
    RT_TRY(rt_lower_put(l, j, "gamma", gamma, NULL));
    RT_TRY(rt_lower_put(l, j, "beta", beta, NULL));
    rt_lower_give(l, n, 0, j, &shape, order);
    return RT_OK;
}

static rt_status rms_norm(rt_lowering *l, const rt_eval_node *n)
{
    rt_lowered_value *x = rt_lower_in(l, n, 0);
    const rt_array *gamma = rt_lower_const(l, n, 1);
    int64_t axis = rt_lower_int(n, "axis", -1), width = 1, rows = 1;
    const char *from;
    if (!x || !gamma) return rt_lower_no(l, "its scale depends on data");
    if (axis < 0) axis += x->rank;
    for (int i = 0; i < x->rank; i++) *(i < axis ? &rows : &width) *= x->dim[i];
    if (gamma->count != (size_t)width) return rt_lower_no(l, "its scale is not one number an element");
    rt_shape shape = rows == 1 ? (rt_shape){1, {(int)width}} : (rt_shape){2, {(int)rows, (int)width}};
    RT_TRY(rt_lower_as(l, x, NULL, &shape, &from));
    if (l->bad) return RT_OK;
    cJSON *j = rt_lower_layer(l, "rms_norm", n->name, &from, 1);
    cJSON_AddNumberToObject(j, "eps", fmax(rt_lower_float(n, "epsilon", 1e-5), 1e-12));
    RT_TRY(rt_lower_put(l, j, "gamma", gamma, NULL));
    rt_lower_give(l, n, 0, j, &shape, NULL);
    return RT_OK;
}

static rt_status lrn(rt_lowering *l, const rt_eval_node *n)
{
    rt_lowered_value *x = rt_lower_in(l, n, 0);
    int order[RT_ARRAY_RANK];
    rt_shape shape;
    const char *from;
    if (!x || !is_channels(x, order, &shape)) return rt_lower_no(l, "its input is no image, sequence or row");
    RT_TRY(rt_lower_as(l, x, order, &shape, &from));
    if (l->bad) return RT_OK;
    cJSON *j = rt_lower_layer(l, "lrn", n->name, &from, 1);
    cJSON_AddNumberToObject(j, "size", (double)rt_lower_int(n, "size", 1));
    cJSON_AddNumberToObject(j, "alpha", rt_lower_float(n, "alpha", 1e-4));
    cJSON_AddNumberToObject(j, "beta", rt_lower_float(n, "beta", 0.75));
    cJSON_AddNumberToObject(j, "bias", rt_lower_float(n, "bias", 1));
    rt_lower_give(l, n, 0, j, &shape, order);
    return RT_OK;
}

const rt_lower_entry rt_lower_recurrent[] = {
    {"LSTM", recurrent}, {"GRU", recurrent}, {"RNN", recurrent}, {"InstanceNormalization", group_norm},
    {"GroupNormalization", group_norm}, {"RMSNormalization", rms_norm}, {"LRN", lrn}, {NULL, NULL}};
