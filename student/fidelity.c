#include "student/fidelity.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine/progress.h"
#include "engine/session.h"

enum { BATCH = 32 };

typedef struct {
    const rt_model *m;
    const rt_program *p;
    rt_linked *linked;                 /* with all tensors kept */
    void *context;
    int *source;                       /* (calls): the model's tensor with the same values, -1: none */
    float *y;                          /* the program's answer to a row */
} watcher;

/* Values of a call against those of the float model. */
static void compare(const watcher *w, int call, const float *want, rt_fidelity *f)
{
    const rt_net *net = rt_program_net(w->p);
    const rt_net_call *c = &net->call[call];
    const rt_net_tensor *t = c->out >= 0 ? &net->tensor[c->out] : NULL;
    size_t n = t ? (size_t)t->h * (size_t)t->w * (size_t)t->c : (size_t)net->size[c->head], line = n;
    rt_int_image image = {0};
    const float *y = w->y;
    for (int h = 0; h < c->head; h++) y += net->size[h];
    if (t) {
        image = rt_linked_tensor(w->linked, w->context, c->out);
        line = (size_t)t->w * (size_t)t->c;
    }
    for (size_t i = 0; i < n; i++) {
        double v = (double)want[i], q = 0, got;
        if (t) {
            got = (double)t->q.scale * (image.p[(ptrdiff_t)(i / line) * image.row + (ptrdiff_t)(i % line)] - t->q.zero);
            q = rint(v / (double)t->q.scale) + t->q.zero;
        } else got = (double)y[i];
        f->signal += v * v;
        f->noise += (got - v) * (got - v);
        f->clipped += q < 0 || q > 255;
    }
    f->values += (double)n;
}

/* The model's tensors that calls give; of several that are one, as a dropout's, the last. */
static int *sources_of(const rt_model *m, const rt_program *p)
{
    const rt_net *net = rt_program_net(p);
    int *source = malloc((size_t)net->calls * sizeof *source);
    for (int i = 0; i < net->calls && source; i++) {
        const rt_net_call *c = &net->call[i];
        int last = i;                                      /* of the calls that fill a tensor side by side */
        for (int k = i + 1; k < net->calls; k++) if (c->out >= 0 && net->call[k].out == c->out) last = k;
        source[i] = c->out < 0 ? m->head[c->head].tensor : -1;
        for (int t = 0; t < m->graph->tensors && c->out >= 0 && last == i; t++)
            if (rt_program_tensor(p, t) == c->out) source[i] = t;
    }
    return source;
}

/* Rows through the float model and the program, for those of the calls [first, end) that give a tensor of the model's.
 */
static rt_status run_rows(watcher *w, rt_session *s, int first, int end, const float *x, const uint8_t *raw, int rows,
                          rt_fidelity *of)
{
    size_t size = w->m->input[0].size;
    for (int r = 0; r < rows; r += BATCH) {
        int some = rows - r < BATCH ? rows - r : BATCH;
        RT_TRY(rt_check_stop());
        RT_TRY(rt_session_infer(s, &(rt_step){.rows = some, .x = {x + (size_t)r * size}}));
        for (int k = 0; k < some; k++) {
            size_t at = (size_t)(r + k) * size;
            rt_linked_infer(w->linked, w->context, w->y, raw ? (const void *)(raw + at) : x + at, 1);
            for (int i = first, output = 0; i < end; i++) {
                if (w->source[i] < 0) continue;
                size_t n = rt_shape_count(&w->m->graph->tensor[w->source[i]].shape);
                compare(w, i, rt_session_output(s, output++) + (size_t)k * n, &of[i]);
            }
        }
    }
    return RT_OK;
}

/* As many tensors at a time as a session gives. */
static rt_status run_all(watcher *w, const float *x, const uint8_t *raw, int rows, rt_fidelity *of, rt_device *device)
{
    int calls = rt_program_net(w->p)->calls;
    for (int first, end = 0; end < calls;) {
        rt_session *s;
        rt_session_spec spec = {
            .graph = w->m->graph, .batch = BATCH, .params = w->m->params, .states = w->m->states};
        for (first = end; end < calls && spec.outputs < RT_MAX_OUTPUTS; end++)
            if (w->source[end] >= 0) spec.output[spec.outputs++] = w->source[end];
        if (!spec.outputs) break;
        RT_TRY(rt_session_new(&s, &spec, device));
        rt_status st = run_rows(w, s, first, end, x, raw, rows, of);
        rt_session_free(s);
        RT_TRY(st);
    }
    return RT_OK;
}

rt_status rt_fidelity_measure(rt_fidelity *of, const rt_model *m, const rt_program *p, const float *x,
                              const uint8_t *raw, int rows, rt_device *device)
{
    watcher w = {.m = m, .p = p};
    for (int i = 0; i < rt_program_net(p)->calls; i++) of[i] = (rt_fidelity){0};
    RT_TRY(rt_linked_new(&w.linked, rt_program_net(p), rt_int_kernels_get(), 1));
    w.source = sources_of(m, p);
    w.context = aligned_alloc(64, (rt_linked_bytes(w.linked) + 63) & ~(size_t)63);
    w.y = rt_floats_new((size_t)rt_program_width(p));
    rt_status st = w.source && w.context && w.y ? RT_OK : rt_fail(RT_RUN, "out of memory");
    if (!st) {
        rt_linked_start(w.linked, w.context);
        st = run_all(&w, x, raw, rows, of, device);
    }
    rt_linked_free(w.linked);
    free(w.source);
    free(w.context);
    free(w.y);
    return st;
}

double rt_fidelity_db(const rt_fidelity *f)
{
    if (!(f->signal > 0)) return NAN;
    return f->noise > 0 ? 10 * log10(f->signal / f->noise) : INFINITY;
}

static void add_range(cJSON *j, const rt_net_tensor *t)
{
    double low = (double)t->q.scale * -t->q.zero, high = (double)t->q.scale * (255 - t->q.zero);
    cJSON_AddItemToObject(j, "range", cJSON_CreateDoubleArray((double[]){low, high}, 2));
}

static void add_layer(cJSON *list, const rt_model *m, const rt_program *p, int call, const rt_fidelity *f)
{
    const rt_net *net = rt_program_net(p);
    const rt_net_call *c = &net->call[call];
    const rt_node *n = &m->graph->node[rt_program_node(p, call)];
    char op[64];
    cJSON *j = cJSON_CreateObject();
    int weights = c->op == RT_NET_CONV;
    snprintf(op, sizeof op, "%s%s%s", rt_layer_name(n), c->act ? " then " : "", c->act ? rt_act_name(c->act) : "");
    cJSON_AddItemToArray(list, j);
    cJSON_AddStringToObject(j, "name", n->name);
    cJSON_AddStringToObject(j, "op", op);
    if (weights) cJSON_AddNumberToObject(j, "bits", c->bits);
    if (c->out >= 0) add_range(j, &net->tensor[c->out]);
    if (f && c->out >= 0 && f->values > 0) cJSON_AddNumberToObject(j, "clipped", f->clipped / f->values);
    double db = f ? rt_fidelity_db(f) : NAN;
    if (f) cJSON_AddItemToObject(j, "snr_db", isfinite(db) ? cJSON_CreateNumber(db) : cJSON_CreateNull());
    if (!weights) return;
    const rt_net alone = {.call = net->call + call, .calls = 1, .tensor = net->tensor};
    cJSON_AddNumberToObject(j, "macs", rt_net_macs(&alone));
    cJSON_AddNumberToObject(j, "weight_bytes", (double)rt_program_weight_bytes(p, call));
}

cJSON *rt_fidelity_layers(const rt_model *m, const rt_program *p, const rt_fidelity *of)
{
    const rt_net *net = rt_program_net(p);
    cJSON *list = cJSON_CreateArray(), *input = cJSON_CreateObject();
    cJSON_AddItemToArray(list, input);
    cJSON_AddStringToObject(input, "name", m->input[0].name);
    cJSON_AddStringToObject(input, "op", rt_program_takes(p) ? "input of bytes" : "input of floats");
    add_range(input, &net->tensor[0]);
    for (int i = 0; i < net->calls; i++) {
        const rt_net_call *c = &net->call[i];
        int more = i + 1 < net->calls && c->out >= 0 && net->call[i + 1].out == c->out;       /* of a concat */
        if (c->op != RT_NET_RESHAPE && !more) add_layer(list, m, p, i, of ? &of[i] : NULL);
    }
    return list;
}

void rt_fidelity_describe(cJSON *j, const rt_model *m, const rt_program *p, const rt_fidelity *of)
{
    const rt_net *net = rt_program_net(p);
    double weights = 0;
    for (int i = 0; i < net->calls; i++) weights += (double)rt_program_weight_bytes(p, i);
    cJSON_AddStringToObject(j, "input", rt_program_takes(p) ? "u8" : "f32");
    cJSON_AddItemToObject(j, "layers", rt_fidelity_layers(m, p, of));
    cJSON_AddNumberToObject(j, "macs", rt_net_macs(net));
    cJSON_AddNumberToObject(j, "weight_bytes", weights);
    cJSON_AddNumberToObject(j, "arena_bytes", (double)rt_program_bytes(p));
    cJSON_AddNumberToObject(j, "program_bytes", (double)rt_program_size(p));
    cJSON_AddNumberToObject(j, "integer_contract", RT_INT_CONTRACT);
    cJSON_AddStringToObject(j, "int_kernels", rt_int_kernels_get()->name);
}
