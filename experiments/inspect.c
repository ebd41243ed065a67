#include "experiments/inspect_parts.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data/checks.h"
#include "data/labels.h"
#include "data/names.h"
#include "data/source.h"
#include "data/source_files.h"
#include "engine/attr.h"
#include "engine/call.h"
#include "engine/pass.h"
#include "engine/progress.h"
#include "engine/session.h"
#include "student/arch.h"
#include "student/fidelity.h"
#include "student/onnx/onnx_file.h"
#include "teacher/spec.h"

enum { STATISTICS_BYTES = 256 << 20, STATISTICS_SETS = 4, READ_BYTES = 1 << 20, READ_ROWS = 1 << 16, PIECE = 1 << 14,
        CLASSES = 1024, MOST_COUNTS = 256 };

static void add_line(void *list, const char *text) { cJSON_AddItemToArray(list, cJSON_CreateString(text)); }

static rt_status describe_plan(const rt_model *m, int batch, int train, rt_device *device, cJSON *j)
{
    rt_session *s;
    char family[RT_FAMILY_TEXT];
    rt_session_spec spec = {.graph = m->graph, .batch = batch, .train = train};
    if (!train) spec.outputs = m->heads;
    rt_model_outputs(m, spec.output);
    static const rt_loss_batch none = {.config = {.task = RT_TASK_REAL}};
    spec.losses = train ? m->heads : 0;
    for (int i = 0; i < spec.losses; i++) {
        spec.loss[i].tensor = m->head[i].tensor;
        spec.loss[i].batch = &none;
    }
    RT_TRY(rt_session_new(&s, &spec, device));
    cJSON *plan = cJSON_AddObjectToObject(j, train ? "training_plan" : "inference_plan");
    cJSON_AddNumberToObject(plan, "batch", batch);
    if (!rt_device_is_cpu(device)) cJSON_AddStringToObject(plan, "device", rt_device_family(device, family));
    cJSON_AddNumberToObject(plan, "arena_bytes", (double)rt_session_bytes(s));
    rt_session_describe(s, add_line, cJSON_AddArrayToObject(plan, "calls"));
    rt_session_free(s);
    return RT_OK;
}

/* "conv1: conv2d out 16 kernel 3x3 then relu, (28, 28, 16); folded_weight derived, folded_bias derived" */
static void describe_node(const rt_graph *g, const rt_node *n, cJSON *layers)
{
    static const char *const homes[RT_HOMES] = {"", "state", "constant", "derived"};
    char shape[64], text[1200], attributes[256] = "";
    const rt_schema *schema = n->op == RT_OP_INPUT ? NULL : rt_node_schema(n);
    if (schema) rt_schema_text(schema, n->attr, attributes, sizeof attributes);
    int k = snprintf(text, sizeof text, "%.255s: %s%s%s", n->name, rt_layer_name(n), *attributes ? " " : "",
                     attributes);
    rt_act act = rt_node_act(n);
    if (act && n->op != RT_OP_ACTIVATION)
        k += snprintf(text + k, sizeof text - (size_t)k, " then %s", rt_act_name(act));
    const rt_tensor *t = &g->tensor[n->out];
    k += snprintf(text + k, sizeof text - (size_t)k, ", %s%s%s", rt_shape_text(&t->shape, shape),
                  t->memory != n->out ? " a view" : "", t->needs_grad ? " with gradient" : "");
    for (int i = 0; i < n->fields && k < 1000; i++) {
        const rt_field *f = &g->field[n->field[i]];
        k += snprintf(text + k, sizeof text - (size_t)k, "%s%s%s%s%s", i ? ", " : "; ", strrchr(f->name, '.') + 1,
                      *homes[f->home] ? " " : "", homes[f->home], f->flags & RT_F_FROZEN ? " frozen" : "");
        if (f->users > 1) k += snprintf(text + k, sizeof text - (size_t)k, " shared by %d", f->users);
    }
    cJSON_AddItemToArray(layers, cJSON_CreateString(text));
}

static void add_stage(void *list, const char *name, const char *what, const rt_graph *g, const rt_lowered *low)
{
    cJSON *s = cJSON_CreateObject();
    (void)low;
    cJSON_AddItemToArray(list, s);
    cJSON_AddStringToObject(s, "pass", name ? name : "none");
    cJSON_AddStringToObject(s, "what", what ? what : "the layers as they are in the model");
    cJSON *layers = cJSON_AddArrayToObject(s, "layers");
    for (int i = 0; i < g->nodes; i++) describe_node(g, &g->node[i], layers);
}

static rt_status describe_stages(const rt_model *m, int train, cJSON *j)
{
    rt_lowered low;
    int tensor[RT_MAX_HEADS];
    rt_lower_spec spec = {.mode = train ? RT_TRAIN : RT_INFER, .keep = tensor, .keeps = m->heads};
    rt_model_outputs(m, tensor);
    RT_TRY(rt_graph_lower(m->graph, &spec, &low, add_stage,
                          cJSON_AddArrayToObject(j, train ? "training_stages" : "inference_stages")));
    rt_lowered_free(&low);
    return RT_OK;
}

static void add_heads(const rt_model *m, cJSON *j)
{
    cJSON *list = rt_heads_to_json(m->head, m->heads), *h = list->child;
    cJSON_AddItemToObject(j, "heads", list);
    for (int i = 0; i < m->heads; i++, h = h->next)
        cJSON_AddStringToObject(h, "layer", rt_arch_layer(m->graph, m->head[i].tensor));
}

static void add_inputs(const rt_model *m, cJSON *j)
{
    char text[64];
    cJSON *list = cJSON_AddArrayToObject(j, "inputs");
    for (int i = 0; i < m->inputs; i++) {
        cJSON *one = cJSON_CreateObject();
        cJSON_AddItemToArray(list, one);
        cJSON_AddStringToObject(one, "name", m->input[i].name);
        cJSON_AddStringToObject(one, "shape", rt_shape_text(&m->input[i].shape, text));
        if (m->input[i].ids) cJSON_AddStringToObject(one, "type", "i32");
        if (m->input[i].columns.name)
            cJSON_AddItemToObject(one, "columns", rt_names_to_json(&m->input[i].columns));
    }
}

/* What a quantized model answers by. */
static rt_status describe_program(const rt_model *m, cJSON *j)
{
    rt_program *p;
    RT_TRY(rt_program_of(&p, m));
    rt_fidelity_describe(cJSON_AddObjectToObject(j, "integer_program"), m, p, NULL);
    rt_program_free(p);
    return RT_OK;
}

/* Plans for rows of ids that end early, or why there are none. */
static rt_status describe_lengths(rt_model *m, rt_device *device, cJSON *j)
{
    rt_predictor *p;
    if (!cJSON_HasObjectItem(m->arch, "shorter") || rt_model_quantized(m)) return RT_OK;
    RT_TRY(rt_predictor_new(&p, &m, 1, device, 1, NULL, 0));
    const rt_lengths *q = rt_predictor_lengths(p, 0);
    if (q->plans || *q->why) cJSON_AddItemToObject(j, "lengths", rt_lengths_json(q));
    rt_predictor_free(p);
    return RT_OK;
}

rt_status rt_inspect_model(const char *path, const rt_inspect_options *o, rt_device *device, cJSON *j)
{
    rt_model *m;
    char text[64];
    RT_TRY(rt_model_load(&m, path));
    const rt_graph *g = m->graph;
    cJSON_AddStringToObject(j, "what", "model");
    cJSON_AddStringToObject(j, "digest", rt_model_digest(m).hex);
    if (m->inputs == 1) cJSON_AddStringToObject(j, "input", rt_shape_text(&m->input[0].shape, text));
    else add_inputs(m, j);
    if (rt_heads_plain(m->head, m->heads)) cJSON_AddNumberToObject(j, "classes", m->head[0].size);
    add_heads(m, j);
    cJSON_AddNumberToObject(j, "parameters", (double)rt_graph_param_count(g));
    cJSON_AddNumberToObject(j, "macs", rt_graph_macs(g));
    cJSON_AddNumberToObject(j, "weights_bytes", (double)(g->floats[RT_PARAM] + g->floats[RT_STATE]) * 4);
    cJSON *layers = cJSON_AddArrayToObject(j, "layers");
    for (int i = 0; i < g->nodes; i++) {
        const rt_node *n = &g->node[i];
        cJSON *l = cJSON_CreateObject();
        double params = 0;
        for (int k = 0; k < n->fields && n->share < 0; k++)
            if (g->field[n->field[k]].home == RT_PARAM) params += (double)g->field[n->field[k]].count;
        cJSON_AddStringToObject(l, "name", n->name);
        cJSON_AddStringToObject(l, "op", rt_layer_name(n));
        if (rt_node_schema(n) && n->op != RT_OP_INPUT) {
            char attributes[256];
            rt_schema_text(rt_node_schema(n), n->attr, attributes, sizeof attributes);
            if (*attributes) cJSON_AddStringToObject(l, "attributes", attributes);
        }
        if (n->op == RT_OP_CALL)
            cJSON_AddStringToObject(l, "attributes", RT_ATTR(n, rt_call_attr)->call->graph.node[0].op);
        cJSON_AddStringToObject(l, "output", rt_shape_text(&g->tensor[n->out].shape, text));
        cJSON_AddNumberToObject(l, "parameters", params);
        cJSON_AddNumberToObject(l, "macs", rt_ops[n->op]->macs ? rt_ops[n->op]->macs(g, n) : 0);
        cJSON_AddItemToArray(layers, l);
    }
    rt_status st = rt_model_quantized(m) ? describe_program(m, j) : RT_OK;
    if (!st) st = describe_lengths(m, device, j);
    for (int train = 0; train <= (o->train != 0) && !st; train++) {
        if (o->plan > 0) st = describe_plan(m, o->plan, train, device, j);
        if (o->stages && !st) st = describe_stages(m, train, j);
    }
    if (rt_heads_plain(m->head, m->heads) && m->head[0].names.name)
        cJSON_AddItemToObject(j, "class_names", rt_names_to_json(&m->head[0].names));
    if (m->inputs == 1 && m->input[0].columns.name)
        cJSON_AddItemToObject(j, "columns", rt_names_to_json(&m->input[0].columns));
    cJSON_AddItemToObject(j, "provenance", cJSON_Duplicate(m->provenance, 1));
    rt_model_free(m);
    return st;
}

static rt_status inspect_labels(const char *path, cJSON *j)
{
    rt_labels *l;
    rt_labels_summary s;
    RT_TRY(rt_labels_open(&l, path, 1));
    uint64_t rows = rt_labels_info(l)->rows;
    rt_status st = rt_labels_verify(l);
    if (!st) st = rt_labels_summarize(l, &s);
    if (!st) {
        cJSON_AddStringToObject(j, "what", "label store");
        cJSON_AddNumberToObject(j, "rows", (double)rows);
        cJSON_AddNumberToObject(j, "rows_labelled", (double)rt_labels_labelled(s.status));
        if (s.status[RT_LABEL_BY_HAND]) cJSON_AddNumberToObject(j, "by_hand", (double)s.status[RT_LABEL_BY_HAND]);
        if (s.status[RT_LABEL_ABSTAINED]) cJSON_AddNumberToObject(j, "abstained", (double)s.status[RT_LABEL_ABSTAINED]);
        if (s.status[RT_LABEL_BAD_INPUT]) cJSON_AddNumberToObject(j, "bad_input", (double)s.status[RT_LABEL_BAD_INPUT]);
        if (s.status[RT_LABEL_BAD_ANSWER])
            cJSON_AddNumberToObject(j, "bad_answer", (double)s.status[RT_LABEL_BAD_ANSWER]);
        cJSON_AddBoolToObject(j, "complete", rt_labels_complete(l));
        if (!rt_labels_complete(l)) {
            cJSON_AddNumberToObject(j, "not_yet", (double)s.status[RT_LABEL_NOT_YET]);
            cJSON_AddStringToObject(j, "to_finish", "run the same 'retort label' command again");
        } else {
            int heads;
            const rt_head *head = rt_labels_heads(l, &heads);
            cJSON_AddNumberToObject(j, "confidence_mean", s.confidence);
            cJSON_AddItemToObject(j, "class_counts", rt_labels_class_counts(&s, head, heads));
        }
        cJSON_AddStringToObject(j, "checksums",
                                rt_labels_complete(l) ? "all blocks match" : "all blocks that are there match");
        cJSON_AddItemToObject(j, "manifest", cJSON_Duplicate(rt_labels_manifest(l), 1));
    }
    rt_labels_close(l);
    return st;
}

/* ---- statistics of a data set ---- */

typedef struct {
    double low, high, sum, square, zero, bad, seen;
    double first;                  /* sums are of differences to it, which keeps the digits of large values */
    int whole;                     /* whole numbers from -1 to CLASSES - 1 so far, one a row */
    double count[CLASSES + 1];     /* of -1, 0, 1, ... */
} statistics;

static void add_values(statistics *q, const double *v, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (!isfinite(v[i])) {
            q->bad++;
            continue;
        }
        if (q->seen++ == 0) q->first = q->low = q->high = v[i];
        double d = v[i] - q->first;
        q->low = fmin(q->low, v[i]);
        q->high = fmax(q->high, v[i]);
        q->sum += d;
        q->square += d * d;
        q->zero += v[i] == 0;
        q->whole = q->whole && v[i] >= -1 && v[i] < CLASSES;
        if (q->whole) q->count[(int)v[i] + 1]++;
    }
}

static void print_statistics(const statistics *q, double rows, cJSON *j)
{
    cJSON *s = cJSON_AddObjectToObject(j, "statistics");
    cJSON_AddNumberToObject(s, "over_rows", rows);
    if (q->seen > 0) {
        double mean = q->sum / q->seen;
        cJSON_AddNumberToObject(s, "min", q->low);
        cJSON_AddNumberToObject(s, "max", q->high);
        cJSON_AddNumberToObject(s, "mean", q->first + mean);
        cJSON_AddNumberToObject(s, "std", sqrt(fmax(0, q->square / q->seen - mean * mean)));
        cJSON_AddNumberToObject(s, "zeros", q->zero / q->seen);
    }
    cJSON_AddNumberToObject(s, "nan_or_infinite", q->bad);
    if (!q->whole || q->high >= MOST_COUNTS) return;
    if (q->count[0] > 0) cJSON_AddNumberToObject(s, "minus_one", q->count[0]);
    cJSON *c = cJSON_AddArrayToObject(s, "count_by_value");
    for (int i = 0; i <= (int)q->high; i++) cJSON_AddItemToArray(c, cJSON_CreateNumber(q->count[i + 1]));
}

/* Over the first STATISTICS_BYTES, said so when the data is larger. A file may name one set a thousand times, so all
 * sets together have STATISTICS_SETS times as many. */
static rt_status add_statistics(rt_source *s, uint64_t *left, cJSON *j)
{
    uint64_t rows = rt_source_rows(s), row_bytes = rt_source_row_bytes(s);
    rt_dtype type = rt_source_type(s);
    if (!rows || !row_bytes) return RT_OK;
    uint64_t limit = STATISTICS_BYTES / row_bytes + 1, at_once = READ_BYTES / row_bytes + 1;
    if (limit > rows) limit = rows;
    if (limit > *left / row_bytes) {
        cJSON_AddStringToObject(j, "statistics",
                                "not taken: those of the sets before took all the time; name this set");
        return RT_OK;
    }
    *left -= limit * row_bytes;
    if (at_once > limit) at_once = limit;
    if (at_once > READ_ROWS) at_once = READ_ROWS;
    size_t n = row_bytes / rt_dtype_size(type);
    char *raw = malloc(at_once * row_bytes);
    double *v = malloc(PIECE * sizeof *v);
    uint64_t *row = malloc(at_once * sizeof *row);
    statistics *q = calloc(1, sizeof *q);
    rt_status st = raw && v && row && q ? RT_OK : rt_fail(RT_RUN, "out of memory");
    if (!st) q->whole = n == 1 && rt_dtype_is_integer(type);
    for (uint64_t r = 0; r < limit && !st; r += at_once) {
        uint64_t take = limit - r < at_once ? limit - r : at_once;
        for (uint64_t i = 0; i < take; i++) row[i] = r + i;
        st = rt_check_stop();
        if (!st) st = rt_source_read(s, row, (int)take, raw);
        if (st) break;
        for (size_t i = 0; i < take * n; i += PIECE) {
            size_t m = take * n - i < PIECE ? take * n - i : PIECE;
            rt_to_double(v, raw + i * rt_dtype_size(type), type, m);
            add_values(q, v, m);
        }
    }
    if (!st) print_statistics(q, (double)limit, j);
    free(raw);
    free(v);
    free(row);
    free(q);
    return st;
}

static rt_status inspect_sets(rt_h5_file *f, const char *only, cJSON *j)
{
    cJSON *sets = cJSON_AddArrayToObject(j, "datasets");
    rt_status st = RT_OK;
    int found = 0;
    uint64_t left = (uint64_t)STATISTICS_SETS * STATISTICS_BYTES;
    for (int i = 0; i < f->sets && !st; i++) {
        const rt_h5_dataset *d = &f->set[i];
        if (f->parts && !strcmp(d->name, "manifest")) continue;
        if (*only ? strcmp(only, d->name) != 0 : strncmp(d->name, RT_CHECKS_GROUP, sizeof RT_CHECKS_GROUP - 1) == 0)
            continue;
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
        cJSON_AddStringToObject(q, "layout",
                                f->parts                  ? "that of each file"
                                : d->chunked                ? "chunked"
                                : d->compact              ? "compact"
                                : d->offset == UINT64_MAX ? "never written"
                                                          : "contiguous");
        if (d->chunked) {
            cJSON *c = cJSON_AddArrayToObject(q, "chunk"), *n = cJSON_AddArrayToObject(q, "filters");
            for (int k = 0; k < d->rank; k++) cJSON_AddItemToArray(c, cJSON_CreateNumber((double)d->chunk_dim[k]));
            for (int k = 0; k < d->filters; k++)
                cJSON_AddItemToArray(n, cJSON_CreateString(rt_h5_filter_name(d->filter[k])));
            cJSON_AddNumberToObject(q, "chunks", (double)d->chunks);
        }
        if (d->rank == 0 || d->type == RT_TEXT) continue;
        rt_source *s;
        st = rt_source_open_in(&s, f, d->name);
        if (st == RT_INPUT) {                          /* this one; the others may be fine */
            cJSON_AddStringToObject(q, "cannot_be_read", rt_error_message());
            st = RT_OK;
            continue;
        }
        if (!st) st = add_statistics(s, &left, q);
        rt_source_close(s);
    }
    rt_source *none = NULL;
    if (!st && *only && !found) st = rt_source_open_in(&none, f, only);        /* says which ones there are */
    return st;
}

/* Sets that only files of ours have: one of them with a manifest that cannot be read is damaged. */
static int is_ours(const rt_h5_file *f)
{
    int ours = rt_h5_find(f, "labels/status") || rt_h5_find(f, "params") || rt_h5_find(f, RT_CHECKS_GROUP "manifest");
    for (int i = 0; i < f->sets; i++) ours |= strncmp(f->set[i].name, "params/", 7) == 0;
    return ours;
}

/* Of a file that has one. What is no JSON text is said, where the file may be anybody's. */
static rt_status read_manifest(rt_h5_file *f, cJSON **manifest, cJSON *j)
{
    const rt_h5_dataset *d = rt_h5_find(f, "manifest");
    char *text = NULL;
    *manifest = NULL;
    if (!d) return RT_OK;
    rt_status st = rt_h5_read_all((void **)&text, f, "manifest", RT_JSON_MAX_BYTES);
    if (!st) st = rt_json_parse(manifest, text, strlen(text), f->path);
    free(text);
    if (st != RT_INPUT || is_ours(f)) return st;
    cJSON_AddStringToObject(j, "manifest_cannot_be_read", rt_error_message());
    return RT_OK;
}

/* What held the process that read the metadata; what this kernel or container lacks is said. */
static void describe_guard(int guard, cJSON *j)
{
    cJSON *q = cJSON_AddObjectToObject(j, "metadata_read_by");
    cJSON_AddStringToObject(q, "system_calls", guard & RT_H5_GUARD_CALLS ? "a short list" :
                            "any, for there is no seccomp here");
    cJSON_AddStringToObject(q, "paths", guard & RT_H5_GUARD_FILES ? "none" :
                            guard & RT_H5_GUARD_CALLS ? "none, by the list alone: there is no Landlock here" :
                            "all of its user, for there is no Landlock here");
    cJSON_AddStringToObject(q, "privileges", guard & RT_H5_GUARD_USER ? "none" : "some could not be dropped here");
}

/* A specification of a teacher: nothing of it is started. */
static rt_status inspect_teacher(const char *text, const rt_inspect_options *o, cJSON **result)
{
    if (*o->dataset || o->plan || o->stages)
        return rt_fail(RT_USAGE, "%s: tells a teacher, and has neither data sets nor plans here", text);
    cJSON *config = cJSON_CreateObject(), *j = cJSON_CreateObject();
    rt_teacher *t = NULL;
    rt_digest d;
    cJSON_AddStringToObject(config, "teacher", text);
    rt_cfg c = rt_cfg_begin(config, "");
    rt_teacher_spec spec = rt_teacher_spec_read(&c, "teacher", "a specification {...}");
    rt_status st = rt_cfg_end(&c);
    if (!st) st = rt_teacher_open_spec(&t, &spec, NULL);
    if (!st) st = rt_teacher_digest(t, &d);
    if (!st) {
        int heads;
        const char *file[RT_TEACHER_FILES];
        const rt_head *head = rt_teacher_heads(t, &heads);
        cJSON_AddStringToObject(j, "what", "teacher");
        cJSON_AddStringToObject(j, "kind", rt_teacher_kind_name(t));
        cJSON_AddStringToObject(j, "digest", d.hex);
        cJSON_AddItemToObject(j, "heads", rt_heads_to_json(head, heads));
        cJSON *files = cJSON_AddArrayToObject(j, "files");
        int n = rt_teacher_files(t, file, RT_TEACHER_FILES);
        for (int i = 0; i < n; i++) cJSON_AddItemToArray(files, cJSON_CreateString(file[i]));
        st = rt_teacher_tell(t, j);
        cJSON_AddItemToObject(j, "specification", cJSON_Duplicate(spec.object, 1));
    }
    rt_teacher_close(t);
    cJSON_Delete(config);
    if (st) cJSON_Delete(j);
    else *result = j;
    return st;
}

static int tells_teacher(const char *path)
{
    size_t n = strlen(path);
    return *path == '{' || (n > 5 && !strcmp(path + n - 5, ".json"));
}

/* Several files as one: their sets behind each other, and what each holds of it. */
static rt_status inspect_several(const char *source, const rt_inspect_options *o, cJSON **result)
{
    rt_h5_file *f;
    rt_names classes, columns;
    RT_TRY(rt_source_scan(&f, source));
    cJSON *j = cJSON_CreateObject();
    cJSON_AddStringToObject(j, "file", f->path);
    cJSON_AddNumberToObject(j, "bytes", (double)f->size);
    describe_guard(f->guard, j);
    cJSON_AddStringToObject(j, "what", "data");
    cJSON *files = cJSON_AddArrayToObject(j, "files");
    const rt_h5_dataset *x = rt_h5_find(f, *o->dataset ? o->dataset : "x");
    for (int i = 0; i < f->parts; i++) {
        const rt_h5_dataset *own = x && !x->refused[0] ? rt_h5_find(f->part[i], x->name) : NULL;
        cJSON *one = cJSON_CreateObject();
        cJSON_AddItemToArray(files, one);
        cJSON_AddStringToObject(one, "file", f->part[i]->path);
        cJSON_AddNumberToObject(one, "bytes", (double)f->part[i]->size);
        if (own && own->rank) cJSON_AddNumberToObject(one, "rows", (double)own->dim[0]);
    }
    rt_status st = inspect_sets(f, o->dataset, j);
    if (!st) {
        st = rt_names_read(f, &classes, &columns);
        if (classes.name) cJSON_AddItemToObject(j, "classes", rt_names_to_json(&classes));
        if (columns.name) cJSON_AddItemToObject(j, "columns", rt_names_to_json(&columns));
        rt_names_free(&classes);
        rt_names_free(&columns);
    }
    rt_h5_close(f);
    if (st) cJSON_Delete(j);
    else *result = j;
    return st;
}

static rt_status inspect_file(const char *path, const rt_inspect_options *o, rt_device *device, cJSON **result)
{
    const char *dataset = o->dataset;
    rt_h5_file *f;
    int is_onnx;
    *result = NULL;
    RT_TRY(rt_onnx_look(path, &is_onnx));
    if (is_onnx) return rt_inspect_onnx(path, o, device, result);
    RT_TRY(rt_h5_scan(&f, path));
    cJSON *j = cJSON_CreateObject(), *manifest;
    cJSON_AddStringToObject(j, "file", path);
    cJSON_AddNumberToObject(j, "bytes", (double)f->size);
    describe_guard(f->guard, j);
    rt_status st = read_manifest(f, &manifest, j);
    const char *format = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(manifest, "format"));
    const char *unread = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(j, "manifest_cannot_be_read"));
    if (!st && (o->plan || o->stages) && unread)
        st = rt_fail(RT_INPUT, "%s: its manifest cannot be read: %s", path, unread);
    int model = format && strncmp(format, "retort-model-", 13) == 0;
    if (!st && !model && !*dataset && is_ours(f) && cJSON_HasObjectItem(manifest, "arch"))
        st = rt_fail(RT_INPUT, "%s: its manifest has an architecture, but is not a model's; the file is damaged", path);
    if (!st && (o->plan || o->stages) && (!model || *dataset))
        st = rt_fail(RT_USAGE, "%s: %s is for models, and this is %s", path, o->plan ? "--plan" : "--stages",
                     model ? "a data set of one" : "none");
    if (st) ;
    else if (*dataset) st = inspect_sets(f, dataset, j);
    else if (model) st = rt_inspect_model(path, o, device, j);
    else if (rt_h5_find(f, "labels/status")) st = inspect_labels(path, j);
    else {
        cJSON_AddStringToObject(j, "what", cJSON_HasObjectItem(manifest, "predictions") ? "predictions"
                                           : rt_h5_find(f, "m") && manifest             ? "checkpoint"
                                                                                        : "data");
        st = inspect_sets(f, "", j);
        if (manifest) cJSON_AddItemToObject(j, "manifest", cJSON_Duplicate(manifest, 1));
    }
    cJSON_Delete(manifest);
    rt_h5_close(f);
    if (st) cJSON_Delete(j); else *result = j;
    return st;
}

rt_status rt_inspect(const char *path, const rt_inspect_options *o, rt_device *device, cJSON **result)
{
    rt_source_files l;
    *result = NULL;
    if (tells_teacher(path)) return inspect_teacher(path, o, result);
    RT_TRY(rt_source_files_of(&l, path));
    rt_status st;
    if (l.count == 1) st = inspect_file(l.path[0], o, device, result);
    else if (o->plan || o->stages)
        st = rt_fail(RT_USAGE, "%s: %s is for models, and this is %d files", path, o->plan ? "--plan" : "--stages",
                     l.count);
    else st = inspect_several(path, o, result);
    rt_source_files_free(&l);
    return st;
}
