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
    int wants_y = s->loss.hard > 0 || s->validation > 0;
    if (*s->y && wants_y) {
        rt_h5_file *f;
        RT_TRY(rt_h5_scan(&f, s->source));
        int there = rt_h5_find(f, s->y) != NULL;
        rt_h5_close(f);
        if (there) RT_TRY(rt_source_open(&t->y, s->source, s->y));
        else if (s->loss.hard > 0) return rt_fail(RT_INPUT, "%s: has no labels '%s'; train on a teacher's labels alone with loss.hard=0", s->source, s->y);
    }
    if (t->y && rt_source_rows(t->y) != rt_source_rows(t->x)) return rt_fail(RT_INPUT, "%s: '%s' has %llu rows, '%s' has %llu", s->source, s->y, (unsigned long long)rt_source_rows(t->y), s->x, (unsigned long long)rt_source_rows(t->x));
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

/* Labels are small, so they are all looked at before anything is written. */
rt_status rt_train_check_labels(rt_trainer *t)
{
    if (!t->y) return RT_OK;
    if (rt_source_type(t->y) >= RT_F16 || rt_source_row_bytes(t->y) != rt_dtype_size(rt_source_type(t->y)))
        return rt_fail(RT_INPUT, "%s: data set '%s' does not hold one whole number a row", t->set.source, t->set.y);
    for (int part = 0; part < 2; part++) {
        const rt_rows *rows = part ? &t->held : &t->train;
        for (uint64_t i = 0; i < rows->count; i++) {
            uint64_t row = rt_rows_at(rows, i);
            char raw[8];
            float v;
            if (row < t->hard_first || row >= t->hard_end) continue;
            RT_TRY(rt_source_read(t->y, &row, 1, raw));
            rt_to_float(&v, raw, rt_source_type(t->y), 1);
            if (!(v >= 0 && v < (float)t->model->classes))
                return rt_fail(RT_INPUT, "%s: row %llu has the label %.0f, but there are %d classes (0 to %d)", t->set.source, (unsigned long long)row, (double)v, t->model->classes, t->model->classes - 1);
        }
    }
    return RT_OK;
}

/* Class names travel with the data. */
rt_status rt_train_class_names(rt_trainer *t)
{
    rt_h5_file *f;
    RT_TRY(rt_h5_scan(&f, t->set.source));
    char *text;
    if (rt_h5_find(f, "manifest") && !rt_h5_read_all((void **)&text, f, "manifest", RT_JSON_MAX_BYTES)) {
        cJSON *m;
        if (!rt_json_parse(&m, text, strlen(text), t->set.source)) {
            const cJSON *names = cJSON_GetObjectItemCaseSensitive(m, "classes");
            if (cJSON_GetArraySize(names) == t->model->classes) {
                cJSON_Delete(t->model->class_names);
                t->model->class_names = cJSON_Duplicate(names, 1);
            }
            cJSON_Delete(m);
        }
        free(text);
    }
    rt_h5_close(f);
    return RT_OK;
}
