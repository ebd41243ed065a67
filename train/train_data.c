#include "train/trainer_parts.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { STATISTICS_ROWS = 65536 };

rt_status rt_train_open_data(rt_trainer *t)
{
    rt_train_settings *s = &t->set;
    RT_TRY(rt_source_open(&t->x, s->source, s->x));
    RT_TRY(rt_identity_open(&t->identity, t->x, s->check));
    RT_TRY(rt_identity_root(&t->data_digest, t->identity, t->opt->pool, t->opt->progress));
    uint64_t rows = rt_source_rows(t->x);
    RT_TRY(rt_parse_range(s->hard_rows, rows, &t->hard_first, &t->hard_end));
    RT_TRY(rt_rows_select(&s->rows, rows, &t->train, &t->test));
    if (*s->hard_rows) {                              /* validation rows are drawn where labels may be seen */
        rt_rows pool;
        rt_status st = rt_rows_range(&pool, s->hard_rows, rows);
        if (!st) {
            st = rt_rows_remove(&pool, &t->test);
            if (!st) st = rt_rows_draw(&pool, s->validation, s->seed, RT_RNG_SPLIT, "data.validation", &t->held);
        }
        rt_rows_free(&pool);
        RT_TRY(st);
        RT_TRY(rt_rows_remove(&t->train, &t->held));
    } else RT_TRY(rt_rows_draw(&t->train, s->validation, s->seed, RT_RNG_SPLIT, "data.validation", &t->held));
    if (!t->train.count) return rt_fail(RT_NOTHING, "%s: no rows to train on", s->source);
    if (!*s->labels) return RT_OK;
    RT_TRY(rt_labels_open(&t->labels, s->labels, 0));
    /* Labels of other data are worse than none. */
    const cJSON *src = cJSON_GetObjectItemCaseSensitive(rt_labels_manifest(t->labels), "source");
    const char *hash = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(src, "digest"));
    if (!hash || strcmp(hash, t->data_digest.hex)) return rt_fail(RT_INPUT, "%s: its labels are of other data than %s:%s; label this data again", s->labels, s->source, s->x);
    return RT_OK;
}

/* Mean and deviation per channel over the training rows (evenly thinned beyond STATISTICS_ROWS), summed in double. */
rt_status rt_train_normalize(rt_trainer *t)
{
    rt_model *m = t->model;
    cJSON *data = cJSON_GetObjectItemCaseSensitive(t->config, "data"), *norm = cJSON_GetObjectItemCaseSensitive(data, "normalize");
    size_t n = rt_model_input_size(m);
    const rt_shape *shape = &m->graph->tensor[m->graph->input].shape;
    rt_dtype type = rt_source_type(t->x);
    int channels = shape->dim[shape->rank - 1];
    if ((shape->rank == 1 && type == RT_U8) || channels > RT_MAX_CHANNELS) channels = 1;
    double mean[RT_MAX_CHANNELS] = {0}, square[RT_MAX_CHANNELS] = {0}, shift[RT_MAX_CHANNELS];
    if (cJSON_IsString(norm) && strcmp(norm->valuestring, "none") == 0) return RT_OK;
    if (cJSON_IsObject(norm)) {
        const cJSON *a = cJSON_GetObjectItemCaseSensitive(norm, "mean"), *b = cJSON_GetObjectItemCaseSensitive(norm, "std");
        int count = cJSON_GetArraySize(a);
        if (!cJSON_IsArray(a) || !cJSON_IsArray(b) || count != cJSON_GetArraySize(b) || count < 1 || count > RT_MAX_CHANNELS)
            return rt_fail(RT_USAGE, "data.normalize: {\"mean\": [...], \"std\": [...]} of one length is expected");
        for (int i = 0; i < count; i++) {
            mean[i] = cJSON_GetNumberValue(cJSON_GetArrayItem(a, i));
            square[i] = cJSON_GetNumberValue(cJSON_GetArrayItem(b, i));
        }
        return rt_model_set_normalization(m, mean, square, count);
    }
    if (norm && (!cJSON_IsString(norm) || strcmp(norm->valuestring, "auto"))) return rt_fail(RT_USAGE, "data.normalize: \"auto\", \"none\" or {\"mean\": [...], \"std\": [...]} is expected");
    char *raw = malloc(rt_source_row_bytes(t->x));
    float *row = malloc(n * sizeof *row);
    rt_status st = raw && row ? RT_OK : rt_fail(RT_RUN, "out of memory");
    uint64_t stride = (t->train.count + STATISTICS_ROWS - 1) / STATISTICS_ROWS, used = 0;
    for (uint64_t i = 0; i < t->train.count && !st; i += stride, used++) {
        uint64_t at = rt_rows_at(&t->train, i);
        st = rt_source_read(t->x, &at, 1, raw);
        if (st) break;
        rt_to_float(row, raw, type, n);
        for (size_t k = 0; k < n; k++) {
            int c = channels == 1 ? 0 : (int)(k % (size_t)channels);
            if (i == 0 && k < (size_t)channels) shift[c] = row[k];
            if (!isfinite(row[k])) {
                st = rt_fail(RT_INPUT, "%s: row %llu contains NaN or infinity; clean the data first", t->set.source, (unsigned long long)at);
                break;
            }
            double d = row[k] - shift[c];
            mean[c] += d;
            square[c] += d * d;
        }
    }
    free(raw);
    free(row);
    RT_TRY(st);
    double count = (double)used * (double)n / channels;
    for (int c = 0; c < channels; c++) {
        double m1 = mean[c] / count, var = square[c] / count - m1 * m1;
        mean[c] = shift[c] + m1;
        square[c] = var > 1e-12 ? sqrt(var) : 1;
    }
    return rt_model_set_normalization(m, mean, square, channels);
}

rt_status rt_train_match_names(rt_trainer *t)
{
    const rt_train_settings *s = &t->set;
    if (!*s->init) {
        rt_names classes, columns = {0};
        rt_status st = rt_names_read(rt_source_file(t->x), &classes, NULL);
        if (!st) st = rt_source_columns(t->x, &columns);
        const rt_names *from = &classes;
        if (!classes.name && t->labels) from = rt_labels_classes(t->labels);
        else if (!classes.name && t->teacher) from = &t->teacher[0]->class_names;
        if (!st) st = rt_model_set_names(t->model, from, &columns);
        rt_names_free(&classes);
        rt_names_free(&columns);
        RT_TRY(st);
    }
    RT_TRY(rt_model_bind(t->model, t->x, s->match, t->notes));
    if (t->teacher) RT_TRY(rt_models_bind(t->teacher, s->teachers, t->x, s->match, t->notes));
    if (t->labels && rt_labels_info(t->labels)->classes != t->model->classes)
        return rt_fail(RT_INPUT, "%s: has labels of %d classes, the model has %d", s->labels, rt_labels_info(t->labels)->classes, t->model->classes);
    if (t->teacher && t->teacher[0]->classes != t->model->classes)
        return rt_fail(RT_USAGE, "%s: the teacher has %d classes, the model has %d", s->teacher[0], t->teacher[0]->classes, t->model->classes);
    return t->labels && s->match == RT_MATCH_NAMES ? rt_labels_set_classes(t->labels, &t->model->class_names) : RT_OK;
}

rt_status rt_train_open_targets(rt_trainer *t)
{
    const rt_train_settings *s = &t->set;
    int wanted = s->loss.hard > 0 || s->validation > 0;
    if (!*s->y || !wanted) return RT_OK;
    if (!rt_h5_find(rt_source_file(t->x), s->y)) {
        if (s->loss.hard > 0) return rt_fail(RT_INPUT, "%s: has no labels '%s'; train on a teacher's labels alone with loss.hard=0", s->source, s->y);
        return RT_OK;
    }
    RT_TRY(rt_targets_open(&t->y, t->x, s->y, &t->model->class_names, s->match));
    rt_targets_limit(t->y, t->hard_first, t->hard_end);
    enum { AT_ONCE = 4096 };
    uint64_t row[AT_ONCE];
    int32_t y[AT_ONCE];
    for (int part = 0; part < 2; part++) {
        const rt_rows *rows = part ? &t->held : &t->train;
        for (uint64_t i = 0; i < rows->count; i += AT_ONCE) {
            uint64_t n = rows->count - i < AT_ONCE ? rows->count - i : AT_ONCE;
            rt_rows_list(rows, i, n, row);
            RT_TRY(rt_targets_read(t->y, row, (int)n, y));
        }
    }
    return RT_OK;
}
