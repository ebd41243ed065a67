#include "teacher/labeler.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data/identity.h"
#include "data/labels.h"
#include "data/rows.h"
#include "data/stream.h"
#include "engine/clock.h"
#include "engine/version.h"
#include "student/predictor.h"

enum { MAX_TEACHERS = 16 };

typedef struct {
    const char *teacher[MAX_TEACHERS], *source, *x, *rows;
    int teachers, topk, batch, prefetch, readers;
    rt_check check;
    rt_match match;
    rt_dtype type;
} settings;

static rt_status read_settings(cJSON *config, settings *s)
{
    static const char *const types[] = {"f32", "f16", NULL};
    memset(s, 0, sizeof *s);
    rt_cfg c = rt_cfg_begin(config, "");
    s->teachers = rt_cfg_strings(&c, "teacher", s->teacher, MAX_TEACHERS);
    if (!s->teachers) rt_cfg_fail(&c, "teacher", "a model file, or a list of them, is required");
    rt_cfg d = rt_cfg_object(&c, "data");
    s->source = rt_cfg_string(&d, "source", NULL);
    s->x = rt_cfg_string(&d, "x", "x");
    s->rows = rt_cfg_string(&d, "rows", "");
    s->check = rt_check_read(&d);
    s->match = rt_match_read(&d);
    rt_cfg_join(&c, &d);
    rt_cfg l = rt_cfg_object(&c, "labels");
    s->type = rt_cfg_choice(&l, "type", types, 0) ? RT_F16 : RT_F32;
    s->topk = rt_cfg_int(&l, "topk", 0, 0, 512);
    rt_cfg_join(&c, &l);
    rt_cfg o = rt_cfg_object(&c, "label");
    s->batch = rt_cfg_int(&o, "batch", RT_LABEL_BLOCK, 1, 1 << 20);
    s->prefetch = rt_cfg_int(&o, "prefetch", 4, 0, 1024);
    s->readers = rt_cfg_int(&o, "readers", 1, 1, 64);
    rt_cfg_join(&c, &o);
    return rt_cfg_end(&c);
}

rt_status rt_label_check(cJSON *config)
{
    settings s;
    return read_settings(config, &s);
}

static rt_status label_blocks(const settings *s, rt_labels_writer *w, rt_predictor *p, rt_source *x, const rt_labels_spec *spec,
                              const rt_progress *progress, double *compute, uint64_t *labelled)
{
    uint64_t blocks = rt_labels_blocks(w), filled = 0;
    unsigned char *todo = malloc(blocks + 1);
    rt_rows rows = {0};
    float *logits = rt_floats_new((size_t)RT_LABEL_BLOCK * (size_t)spec->classes);
    char *raw = malloc((size_t)RT_LABEL_BLOCK * rt_source_row_bytes(x) + 64);
    rt_stream *stream = NULL;
    rt_status st = todo && logits && raw ? RT_OK : rt_fail(RT_RUN, "out of memory");
    for (uint64_t b = 0; b < blocks && !st; b++) todo[b] = !rt_labels_done(w, b);
    if (!st) st = rt_rows_from_blocks(&rows, spec->first, spec->rows, RT_LABEL_BLOCK, todo);
    if (!st && rows.count) {
        rt_stream_spec q = {.x = x, .rows = &rows, .classes = spec->classes, .batch = s->batch, .keep_tail = 1, .prefetch = s->prefetch, .threads = s->readers};
        st = rt_stream_open(&stream, &q, 0);
    }
    double start = rt_seconds(), mark = 0;
    size_t row_bytes = rt_source_row_bytes(x);
    for (uint64_t g = 0; stream && g < rt_stream_steps(stream) && !st; g++) {
        const rt_batch *b;
        st = rt_stream_next(stream, &b);
        for (int r = 0; r < b->rows && !st;) {          /* batches of any size are regrouped into the store's blocks */
            uint64_t block = (b->row[r] - spec->first) / RT_LABEL_BLOCK, size = spec->rows - block * RT_LABEL_BLOCK;
            if (size > RT_LABEL_BLOCK) size = RT_LABEL_BLOCK;
            uint64_t take = size - filled < (uint64_t)(b->rows - r) ? size - filled : (uint64_t)(b->rows - r);
            memcpy(raw + filled * row_bytes, b->x + (size_t)r * row_bytes, take * row_bytes);
            filled += take;
            r += (int)take;
            if (filled < size) continue;
            double t = rt_seconds();
            rt_predict_raw(p, raw, rt_source_type(x), (int)size, logits);
            *compute += rt_seconds() - t;
            st = rt_labels_put(w, block, logits);
            *labelled += size;
            filled = 0;
        }
        double now = rt_seconds();
        if (now - mark > 0.2) {
            rt_progress_update(progress, "label", (double)(spec->rows - rows.count + *labelled), (double)spec->rows, (double)*labelled / (now - start + 1e-9), "rows", "");
            mark = now;
        }
        if (!st && rt_progress_stopped(progress)) st = rt_fail(RT_INTERRUPTED, "interrupted; the same command goes on from here");
    }
    rt_stream_close(stream);
    rt_rows_free(&rows);
    free(todo);
    free(logits);
    free(raw);
    return st;
}

rt_status rt_label(cJSON *config, const char *out, int force, rt_pool *pool, const rt_progress *progress, cJSON **result)
{
    settings s;
    rt_model **teacher = NULL;
    rt_source *x = NULL;
    rt_predictor *p = NULL;
    rt_labels_writer *w = NULL;
    rt_labels_spec spec = {0};
    rt_digest data, model = {""};
    uint64_t end, labelled = 0;
    double start = rt_seconds(), compute = 0;
    *result = NULL;
    RT_TRY(read_settings(config, &s));
    cJSON *m = cJSON_CreateObject(), *notes = cJSON_CreateArray();
    rt_status st = rt_models_load(&teacher, s.teacher, s.teachers);
    if (!st) st = rt_source_open(&x, s.source, s.x);
    if (!st) st = rt_models_bind(teacher, s.teachers, x, s.match, notes);
    if (!st) st = rt_parse_range(s.rows, rt_source_rows(x), &spec.first, &end);
    if (!st) st = rt_identity_of(&data, x, s.check, pool, progress);
    if (!st) {
        spec.rows = end - spec.first;
        spec.classes = teacher[0]->classes;
        spec.topk = s.topk;
        spec.type = s.type;
        if (s.topk >= spec.classes) st = rt_fail(RT_USAGE, "labels.topk: %d of %d classes; leave it out for full logits", s.topk, spec.classes);
    }
    if (!st) {
        model = rt_models_digest(teacher, s.teachers);
        cJSON_AddStringToObject(m, "tool", rt_tool());
        cJSON *t = cJSON_AddObjectToObject(m, "teacher");
        cJSON_AddStringToObject(t, "digest", model.hex);
        cJSON_AddNumberToObject(t, "models", s.teachers);
        cJSON_AddStringToObject(t, "kernels", rt_kernels_get()->name);
        cJSON *q = cJSON_AddObjectToObject(m, "source");
        cJSON_AddStringToObject(q, "digest", data.hex);
        cJSON_AddStringToObject(q, "dataset", s.x);
        if (teacher[0]->class_names.name) cJSON_AddItemToObject(m, "classes", rt_names_to_json(&teacher[0]->class_names));
        if (teacher[0]->columns.name) cJSON_AddItemToObject(m, "columns", rt_names_to_json(&teacher[0]->columns));
        cJSON *where = cJSON_AddObjectToObject(m, "paths");
        cJSON_AddStringToObject(where, "source", s.source);
        cJSON *models = cJSON_AddArrayToObject(where, "teacher");
        for (int i = 0; i < s.teachers; i++) cJSON_AddItemToArray(models, cJSON_CreateString(s.teacher[i]));
        st = rt_labels_begin(&w, out, &spec, m, force);
    }
    if (!st) st = rt_predictor_new(&p, teacher, s.teachers, pool, 0, NULL, 0);
    if (!st) st = label_blocks(&s, w, p, x, &spec, progress, &compute, &labelled);
    if (w) {
        char message[512];
        snprintf(message, sizeof message, "%s", rt_error_message());
        rt_status ended = rt_labels_end(w);
        if (!st) st = ended;
        else rt_fail(st, "%s", message);
    }
    if (!st) {
        double seconds = rt_seconds() - start;
        cJSON *r = *result = cJSON_CreateObject();
        cJSON_AddStringToObject(r, "labels", out);
        cJSON_AddNumberToObject(r, "rows", (double)spec.rows);
        cJSON_AddNumberToObject(r, "labelled_now", (double)labelled);
        cJSON_AddNumberToObject(r, "seconds", seconds);
        cJSON_AddNumberToObject(r, "compute_seconds", compute);
        cJSON_AddNumberToObject(r, "rows_per_second", seconds > 0 ? (double)labelled / seconds : 0);
        cJSON_AddStringToObject(r, "teacher_digest", model.hex);
        cJSON_AddStringToObject(r, "source_digest", data.hex);
        if (notes->child) cJSON_AddItemToObject(r, "notes", cJSON_Duplicate(notes, 1));
    }
    cJSON_Delete(m);
    cJSON_Delete(notes);
    rt_predictor_free(p);
    rt_source_close(x);
    rt_models_free(teacher, s.teachers);
    return st;
}
