#include "experiments/inspect.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data/labels.h"
#include "data/source.h"
#include "engine/plan.h"
#include "student/model.h"

enum { STATISTICS_BYTES = 256 << 20, CLASSES = 1024 };

static void add_line(void *list, const char *text) { cJSON_AddItemToArray(list, cJSON_CreateString(text)); }

static void no_loss(void *arg, const rt_loss_io *io)
{
    (void)arg;
    (void)io;
}

static rt_status describe_plan(const rt_model *m, int batch, int train, rt_pool *pool, cJSON *j)
{
    rt_plan_spec spec = {.graph = m->graph, .batch = batch, .train = train};
    if (train) spec.loss[spec.losses++] = (rt_loss_spec){.tensor = m->graph->output, .fn = no_loss};
    rt_plan *p = rt_plan_new(&spec, pool);
    if (!p) return RT_RUN;
    cJSON *plan = cJSON_AddObjectToObject(j, train ? "training_plan" : "inference_plan");
    cJSON_AddNumberToObject(plan, "batch", batch);
    cJSON_AddNumberToObject(plan, "arena_bytes", (double)rt_plan_bytes(p));
    rt_plan_describe(p, add_line, cJSON_AddArrayToObject(plan, "calls"));
    rt_plan_free(p);
    return RT_OK;
}

static rt_status inspect_model(const char *path, int batch, int train, rt_pool *pool, cJSON *j)
{
    rt_model *m;
    char text[64];
    RT_TRY(rt_model_load(&m, path));
    const rt_graph *g = m->graph;
    cJSON_AddStringToObject(j, "what", "model");
    cJSON_AddStringToObject(j, "digest", rt_model_digest(m).hex);
    cJSON_AddStringToObject(j, "input", rt_shape_text(&g->tensor[g->input].shape, text));
    cJSON_AddNumberToObject(j, "classes", m->classes);
    cJSON_AddNumberToObject(j, "parameters", (double)rt_graph_param_count(g));
    cJSON_AddNumberToObject(j, "macs", rt_graph_macs(g));
    cJSON_AddNumberToObject(j, "weights_bytes", (double)(g->param_floats + g->state_floats) * 4);
    cJSON *layers = cJSON_AddArrayToObject(j, "layers");
    for (int i = 0; i < g->nodes; i++) {
        const rt_node *n = &g->node[i];
        cJSON *l = cJSON_CreateObject();
        double params = 0;
        for (int k = 0; k < n->params; k++) params += (double)g->param[n->param[k]].count;
        cJSON_AddStringToObject(l, "name", n->name);
        cJSON_AddStringToObject(l, "op", n->op == RT_OP_ACTIVATION ? rt_act_name(n->attr.act) : rt_ops[n->op]->name);
        cJSON_AddStringToObject(l, "output", rt_shape_text(&g->tensor[n->out].shape, text));
        cJSON_AddNumberToObject(l, "parameters", params);
        cJSON_AddNumberToObject(l, "macs", rt_ops[n->op]->macs ? rt_ops[n->op]->macs(g, n) : 0);
        cJSON_AddItemToArray(layers, l);
    }
    rt_status st = RT_OK;
    if (batch > 0) {
        st = describe_plan(m, batch, 0, pool, j);
        if (!st && train) st = describe_plan(m, batch, 1, pool, j);
    }
    if (m->class_names.name) cJSON_AddItemToObject(j, "class_names", rt_names_to_json(&m->class_names));
    if (m->columns.name) cJSON_AddItemToObject(j, "columns", rt_names_to_json(&m->columns));
    cJSON_AddItemToObject(j, "provenance", cJSON_Duplicate(m->provenance, 1));
    rt_model_free(m);
    return st;
}

static rt_status inspect_labels(const char *path, cJSON *j)
{
    rt_labels *l;
    RT_TRY(rt_labels_open(&l, path, 1));
    uint64_t done = rt_labels_count_done(l), rows = rt_labels_info(l)->rows;
    cJSON_AddStringToObject(j, "what", "label store");
    cJSON_AddNumberToObject(j, "rows_labelled", (double)done);
    cJSON_AddNumberToObject(j, "rows", (double)rows);
    rt_status st = RT_OK;
    if (done == rows) {
        st = rt_labels_verify(l);
        if (!st) cJSON_AddStringToObject(j, "checksums", "all blocks match");
    }
    cJSON_AddItemToObject(j, "manifest", cJSON_Duplicate(rt_labels_manifest(l), 1));
    rt_labels_close(l);
    return st;
}

/* Over the first STATISTICS_BYTES, said so when the data is larger. */
static rt_status add_statistics(rt_source *s, cJSON *j)
{
    uint64_t rows = rt_source_rows(s), limit = rt_source_row_bytes(s) ? STATISTICS_BYTES / rt_source_row_bytes(s) + 1 : rows;
    rt_dtype type = rt_source_type(s);
    size_t n = rt_source_row_bytes(s) / rt_dtype_size(type);
    if (limit > rows) limit = rows;
    char *raw = malloc(rt_source_row_bytes(s) + 1);
    float *v = malloc((n + 1) * sizeof *v);
    double low = INFINITY, high = -INFINITY, sum = 0, square = 0, zero = 0, bad = 0, count[CLASSES] = {0};
    int whole = n == 1 && type < RT_F16;
    rt_status st = raw && v ? RT_OK : rt_fail(RT_RUN, "out of memory");
    for (uint64_t r = 0; r < limit && !st; r++) {
        st = rt_source_read(s, &r, 1, raw);
        if (st) break;
        rt_to_float(v, raw, type, n);
        for (size_t i = 0; i < n; i++) {
            if (!isfinite(v[i])) {
                bad++;
                continue;
            }
            low = fmin(low, v[i]);
            high = fmax(high, v[i]);
            sum += v[i];
            square += (double)v[i] * v[i];
            zero += v[i] == 0;
            if (whole && (v[i] < 0 || v[i] >= CLASSES)) whole = 0;
            if (whole) count[(int)v[i]]++;
        }
    }
    if (!st && limit && n) {
        double total = (double)limit * (double)n - bad, mean = total > 0 ? sum / total : 0;
        cJSON *q = cJSON_AddObjectToObject(j, "statistics");
        cJSON_AddNumberToObject(q, "over_rows", (double)limit);
        if (total > 0) {
            cJSON_AddNumberToObject(q, "min", low);
            cJSON_AddNumberToObject(q, "max", high);
            cJSON_AddNumberToObject(q, "mean", mean);
            cJSON_AddNumberToObject(q, "std", sqrt(fmax(0, square / total - mean * mean)));
            cJSON_AddNumberToObject(q, "zeros", zero / total);
        }
        cJSON_AddNumberToObject(q, "nan_or_infinite", bad);
        if (whole && high < 256) {
            cJSON *c = cJSON_AddArrayToObject(q, "count_by_value");
            for (int i = 0; i <= (int)high; i++) cJSON_AddItemToArray(c, cJSON_CreateNumber(count[i]));
        }
    }
    free(raw);
    free(v);
    return st;
}

static rt_status inspect_sets(rt_h5_file *f, const char *path, const char *only, cJSON *j)
{
    cJSON *sets = cJSON_AddArrayToObject(j, "datasets");
    rt_status st = RT_OK;
    int found = 0;
    for (int i = 0; i < f->sets && !st; i++) {
        const rt_h5_dataset *d = &f->set[i];
        if (*only && strcmp(only, d->name)) continue;
        found = 1;
        cJSON *q = cJSON_CreateObject(), *shape = cJSON_AddArrayToObject(q, "shape");
        cJSON_AddItemToArray(sets, q);
        cJSON_AddStringToObject(q, "name", d->name);
        for (int k = 0; k < d->rank; k++) cJSON_AddItemToArray(shape, cJSON_CreateNumber((double)d->dim[k]));
        if (d->refused[0]) {
            cJSON_AddStringToObject(q, "cannot_be_read", d->refused);
            continue;
        }
        cJSON_AddStringToObject(q, "type", rt_dtype_name(d->type));
        cJSON_AddStringToObject(q, "layout", d->chunked ? "chunked" : "contiguous");
        if (d->chunked) {
            cJSON *c = cJSON_AddArrayToObject(q, "chunk"), *n = cJSON_AddArrayToObject(q, "filters");
            for (int k = 0; k < d->rank; k++) cJSON_AddItemToArray(c, cJSON_CreateNumber((double)d->chunk_dim[k]));
            for (int k = 0; k < d->filters; k++) cJSON_AddItemToArray(n, cJSON_CreateString(rt_h5_filter_name(d->filter[k])));
            cJSON_AddNumberToObject(q, "chunks", (double)d->chunks);
        }
        if (d->rank == 0 || d->type == RT_TEXT) continue;
        rt_source *s;
        st = rt_source_open_in(&s, f, d->name);
        if (!st) st = add_statistics(s, q);
        if (!st) rt_source_close(s);
    }
    if (!st && *only && !found) st = rt_fail(RT_INPUT, "%s: has no data set '%s'", path, only);
    return st;
}

rt_status rt_inspect(const char *path, const char *dataset, int plan_batch, int train, rt_pool *pool, cJSON **result)
{
    rt_h5_file *f;
    char *text = NULL;
    *result = NULL;
    RT_TRY(rt_h5_scan(&f, path));
    cJSON *j = cJSON_CreateObject(), *manifest = NULL;
    cJSON_AddStringToObject(j, "file", path);
    cJSON_AddNumberToObject(j, "bytes", (double)f->size);
    if (rt_h5_find(f, "manifest") && !rt_h5_find(f, "manifest")->refused[0] && !rt_h5_read_all((void **)&text, f, "manifest", RT_JSON_MAX_BYTES) && rt_json_parse(&manifest, text, strlen(text), path)) manifest = NULL;
    const char *format = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(manifest, "format"));
    rt_status st;
    if (*dataset) st = inspect_sets(f, path, dataset, j);
    else if (format && strncmp(format, "retort-model-", 13) == 0) st = inspect_model(path, plan_batch, train, pool, j);
    else if (rt_h5_find(f, "labels/status")) st = inspect_labels(path, j);
    else {
        cJSON_AddStringToObject(j, "what", rt_h5_find(f, "m") && manifest ? "checkpoint" : "data");
        st = inspect_sets(f, path, "", j);
        if (manifest) cJSON_AddItemToObject(j, "manifest", cJSON_Duplicate(manifest, 1));
    }
    cJSON_Delete(manifest);
    free(text);
    rt_h5_close(f);
    if (st) cJSON_Delete(j); else *result = j;
    return st;
}
