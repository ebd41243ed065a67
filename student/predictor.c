#include "student/predictor.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct rt_predictor {
    rt_model *const *model;
    int count, micro, classes, stale;
    rt_plan **plan;
    const float **params, **states;
    float *sum;                        /* (micro, K) of an ensemble */
    float *turned;                     /* (micro, K) logits of a model in the order that is given */
    int **order;                       /* of a model: the place in that order of each of its classes; NULL: its own */
    rt_view_fn *view;
    void *view_arg;
    int first, rows, at;               /* of the micro-batch in hand; model in hand */
};

static void fill(void *arg, float *x, int row0, int rows)
{
    rt_predictor *p = arg;
    const rt_model *m = p->model[p->at];
    size_t n = rt_model_input_size(m);
    int real = p->rows - row0 < rows ? p->rows - row0 : rows;
    if (real < 0) real = 0;
    if (real) p->view(p->view_arg, m, x, p->first + row0, real);
    if (real < rows) memset(x + (size_t)real * n, 0, (size_t)(rows - real) * n * sizeof *x);
}

rt_status rt_predictor_new(rt_predictor **out, rt_model *const *models, int count, rt_pool *pool, int micro,
                           const int *features, int feature_count)
{
    *out = NULL;
    rt_predictor *p = calloc(1, sizeof *p);
    if (!p) return rt_fail(RT_RUN, "out of memory");
    p->model = models;
    p->count = count;
    p->classes = models[0]->head[0].size;
    p->micro = micro ? micro : rt_graph_macs(models[0]->graph) > 200000 ? 64 : 256;
    p->plan = calloc((size_t)count, sizeof *p->plan);
    p->order = calloc((size_t)count, sizeof *p->order);
    p->params = calloc((size_t)count, sizeof *p->params);
    p->states = calloc((size_t)count, sizeof *p->states);
    p->sum = malloc((size_t)p->micro * (size_t)p->classes * sizeof *p->sum);
    p->turned = malloc((size_t)p->micro * (size_t)p->classes * sizeof *p->turned);
    p->stale = 1;
    int ok = p->plan && p->order && p->params && p->states && p->sum && p->turned;
    rt_status st = ok ? RT_OK : rt_fail(RT_RUN, "out of memory");
    if (!st) st = rt_predictor_set_classes(p, &models[0]->head[0].names);
    for (int i = 0; i < count && !st; i++) {
        rt_plan_spec spec = {.graph = models[i]->graph, .batch = p->micro, .input = fill, .input_arg = p};
        spec.output[spec.outputs++] = models[i]->graph->output;
        for (int f = 0; f < feature_count; f++) spec.output[spec.outputs++] = features[f];
        p->plan[i] = rt_plan_new(&spec, pool);
        if (!p->plan[i]) st = RT_RUN;
        p->params[i] = models[i]->params;
        p->states[i] = models[i]->states;
    }
    if (st) rt_predictor_free(p);
    else *out = p;
    return st;
}

void rt_predictor_free(rt_predictor *p)
{
    if (!p) return;
    for (int i = 0; i < p->count && p->plan; i++) rt_plan_free(p->plan[i]);
    for (int i = 0; i < p->count && p->order; i++) free(p->order[i]);
    free(p->plan);
    free(p->order);
    free(p->turned);
    free(p->params);
    free(p->states);
    free(p->sum);
    free(p);
}

void rt_predictor_set_weights(rt_predictor *p, int i, const float *params, const float *states)
{
    if (params) p->params[i] = params;
    if (states) p->states[i] = states;
    p->stale = 1;
}

rt_status rt_predictor_set_classes(rt_predictor *p, const rt_names *classes)
{
    for (int i = 0; i < p->count; i++) {
        free(p->order[i]);
        p->order[i] = NULL;
        RT_TRY(rt_names_permute(&p->order[i], &p->model[i]->head[0].names, classes, "class"));
    }
    return RT_OK;
}

static const float *turn(rt_predictor *p, const float *z, int rows)
{
    const int *order = p->order[p->at];
    int k = p->classes;
    if (!order) return z;
    for (int r = 0; r < rows; r++)
        for (int c = 0; c < k; c++)
            p->turned[(size_t)r * (size_t)k + (size_t)order[c]] = z[(size_t)r * (size_t)k + (size_t)c];
    return p->turned;
}

static void add_softmax(float *sum, const float *z, int rows, int k, int first)
{
    for (int r = 0; r < rows; r++, z += k, sum += k) {
        float m = z[0];
        for (int i = 1; i < k; i++) m = z[i] > m ? z[i] : m;
        double s = 0;
        for (int i = 0; i < k; i++) s += exp((double)(z[i] - m));
        for (int i = 0; i < k; i++) {
            float q = (float)(exp((double)(z[i] - m)) / s);
            sum[i] = first ? q : sum[i] + q;
        }
    }
}

void rt_predict(rt_predictor *p, rt_view_fn *view, void *arg, int rows, float *logits)
{
    size_t k = (size_t)p->classes;
    p->view = view;
    p->view_arg = arg;
    for (p->first = 0; p->first < rows; p->first += p->micro) {
        p->rows = rows - p->first < p->micro ? rows - p->first : p->micro;
        float *out = logits + (size_t)p->first * k;
        for (p->at = 0; p->at < p->count; p->at++) {
            rt_run run = {.rows = p->micro, .params = (float *)p->params[p->at], .states = (float *)p->states[p->at]};
            if (p->stale) rt_plan_prepare(p->plan[p->at], &run);
            rt_plan_run(p->plan[p->at], &run);
            const float *z = turn(p, rt_plan_output(p->plan[p->at], 0), p->rows);
            if (p->count == 1) memcpy(out, z, (size_t)p->rows * k * sizeof *out);
            else add_softmax(p->sum, z, p->rows, (int)k, p->at == 0);
        }
        p->stale = 0;
        if (p->count > 1)
            for (size_t i = 0; i < (size_t)p->rows * k; i++) out[i] = (float)log((double)p->sum[i] / p->count + 1e-30);
    }
}

typedef struct { const char *raw; rt_dtype type; } raw_rows;

static void view_raw(void *arg, const rt_model *m, float *dst, int row0, int rows)
{
    const raw_rows *r = arg;
    rt_model_normalize(m, dst, r->raw + (size_t)row0 * m->raw_size * rt_dtype_size(r->type), r->type, rows);
}

void rt_predict_raw(rt_predictor *p, const void *raw, rt_dtype type, int rows, float *logits)
{
    raw_rows r = {raw, type};
    rt_predict(p, view_raw, &r, rows, logits);
}

const float *rt_predictor_feature(const rt_predictor *p, int i) { return rt_plan_output(p->plan[0], i + 1); }
int rt_predictor_micro(const rt_predictor *p) { return p->micro; }
int rt_predictor_classes(const rt_predictor *p) { return p->classes; }

size_t rt_predictor_bytes(const rt_predictor *p)
{
    size_t n = 0;
    for (int i = 0; i < p->count; i++) n += rt_plan_bytes(p->plan[i]);
    return n;
}

rt_status rt_models_load(rt_model ***out, const char *const *paths, int count)
{
    *out = NULL;
    if (count < 1) return rt_fail(RT_USAGE, "no model is given");
    rt_model **m = calloc((size_t)count, sizeof *m);
    if (!m) return rt_fail(RT_RUN, "out of memory");
    rt_status st = RT_OK;
    for (int i = 0; i < count && !st; i++) {
        st = rt_model_load(&m[i], paths[i]);
        if (!st && m[i]->head[0].size != m[0]->head[0].size)
            st = rt_fail(RT_USAGE, "%s: has %d classes, %s has %d, so they make no ensemble", paths[i],
                         m[i]->head[0].size, paths[0], m[0]->head[0].size);
    }
    if (st) rt_models_free(m, count);
    else *out = m;
    return st;
}

rt_status rt_models_bind(rt_model *const *m, int count, const rt_source *s, rt_match match, cJSON *notes)
{
    for (int i = 0; i < count; i++) RT_TRY(rt_model_bind(m[i], s, match, notes));
    return RT_OK;
}

void rt_models_free(rt_model **m, int count)
{
    for (int i = 0; i < count && m; i++) rt_model_free(m[i]);
    free(m);
}

rt_digest rt_models_digest(rt_model *const *m, int count)
{
    if (count == 1) return rt_model_digest(m[0]);
    rt_hasher *h = rt_hasher_new();
    for (int i = 0; i < count; i++) {
        rt_digest d = rt_model_digest(m[i]);
        rt_hasher_add(h, d.hex, 32);
    }
    return rt_hasher_end(h);
}
