#include "train/trainer_parts.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "data/row_check.h"

enum { STATISTICS_ROWS = 65536 };

static rt_status given(rt_model *m, const cJSON *norm)
{
    const cJSON *a = cJSON_GetObjectItemCaseSensitive(norm, "mean"), *b = cJSON_GetObjectItemCaseSensitive(norm, "std");
    int count = cJSON_GetArraySize(a);
    if (!cJSON_IsArray(a) || !cJSON_IsArray(b) || count != cJSON_GetArraySize(b) || count < 1 ||
        count > RT_MAX_CHANNELS)
        return rt_fail(RT_USAGE, "data.normalize: {\"mean\": [...], \"std\": [...]} of one length is expected");
    double *v = malloc(2 * (size_t)count * sizeof *v);
    if (!v) return rt_fail(RT_RUN, "out of memory");
    rt_status st = RT_OK;
    for (int i = 0; i < count; i++) {
        v[i] = cJSON_GetNumberValue(cJSON_GetArrayItem(a, i));
        v[count + i] = cJSON_GetNumberValue(cJSON_GetArrayItem(b, i));
        if (!isfinite(v[i]) || !(v[count + i] > 0) || !isfinite(v[count + i]))
            st = rt_fail(RT_USAGE, "data.normalize: mean[%d] and std[%d] must be numbers, std above 0", i, i);
    }
    if (!st) st = rt_input_set_normalization(&m->input[0], v, v + count, count);
    free(v);
    return st;
}

typedef struct { double *mean, *square, *shift; uint64_t rows; } sums;

/* One training row as the model's input, before normalisation. */
static rt_status read_row(const rt_trainer *t, uint64_t at, char *raw, float *all, float *row)
{
    const rt_model *m = t->model;
    size_t n = m->input[0].size;
    RT_TRY(rt_check_stop());
    RT_TRY(rt_source_read(t->x, &at, 1, raw));
    rt_to_float(all, raw, rt_source_type(t->x), m->input[0].raw_size);
    for (size_t k = 0; k < n; k++) {
        row[k] = all[m->input[0].pick ? (size_t)m->input[0].pick[k] : k];
        if (!isfinite(row[k])) {
            const char *fault = rt_row_fault(raw, rt_source_type(t->x), m->input[0].raw_size);
            return rt_fail(RT_INPUT, "%s: row %llu of '%s' contains %s", t->set.source, (unsigned long long)at,
                           t->set.x, fault ? fault : "NaN or infinity; clean the data first");
        }
    }
    return RT_OK;
}

/* Sums over the training rows, evenly thinned beyond STATISTICS_ROWS, of differences from the first row. */
static rt_status add_up(const rt_trainer *t, int channels, sums *s)
{
    size_t n = t->model->input[0].size;
    char *raw = malloc(rt_source_row_bytes(t->x));
    float *row = malloc(n * sizeof *row), *all = malloc(t->model->input[0].raw_size * sizeof *all);
    rt_status st = raw && row && all ? RT_OK : rt_fail(RT_RUN, "out of memory");
    uint64_t stride = (t->train.count + STATISTICS_ROWS - 1) / STATISTICS_ROWS;
    for (uint64_t i = 0; i < t->train.count && !st; i += stride, s->rows++) {
        st = read_row(t, rt_rows_at(&t->train, i), raw, all, row);
        for (size_t k = 0; k < n && !st; k++) {
            int c = channels == 1 ? 0 : (int)(k % (size_t)channels);
            if (i == 0 && k < (size_t)channels) s->shift[c] = row[k];
            double d = row[k] - s->shift[c];
            s->mean[c] += d;
            s->square[c] += d * d;
        }
    }
    free(raw);
    free(row);
    free(all);
    return st;
}

static rt_status measured(rt_trainer *t, int channels)
{
    size_t n = (size_t)channels;
    double *v = calloc(3 * n, sizeof *v);
    if (!v) return rt_fail(RT_RUN, "out of memory");
    sums s = {v, v + n, v + 2 * n, 0};
    rt_status st = add_up(t, channels, &s);
    double count = (double)s.rows * (double)t->model->input[0].size / channels;
    for (int c = 0; c < channels; c++) {
        double m1 = s.mean[c] / count, var = s.square[c] / count - m1 * m1;
        s.mean[c] = s.shift[c] + m1;
        s.square[c] = var > 1e-12 ? sqrt(var) : 1;
        t->constant_channels += !(var > 1e-12);
    }
    t->normalized_rows = s.rows;
    if (!st) st = rt_input_set_normalization(&t->model->input[0], s.mean, s.square, channels);
    free(v);
    return st;
}

rt_status rt_train_normalize(rt_trainer *t)
{
    static const char *const modes[] = {"auto", "channel", "all", "none"};
    const cJSON *norm = t->set.normalize;
    const rt_shape *shape = &t->model->input[0].shape;
    int last = shape->dim[shape->rank - 1], mode = 0;
    if (cJSON_IsObject(norm)) {
        t->normalization = "as given";
        return given(t->model, norm);
    }
    while (norm && mode < 4 && !(cJSON_IsString(norm) && strcmp(norm->valuestring, modes[mode]) == 0)) mode++;
    if (mode == 4)
        return rt_fail(RT_USAGE,
                       "data.normalize: \"auto\", \"channel\", \"all\", \"none\" or {\"mean\": [...], \"std\": "
                       "[...]} is expected");
    if (mode == 1 && last > RT_MAX_CHANNELS)
        return rt_fail(RT_USAGE, "data.normalize: %d channels are more than %d; use \"all\"", last, RT_MAX_CHANNELS);
    t->normalization = mode == 3 ? "none" : mode == 2 ? "all" : "channel";
    if (mode == 0 && shape->rank == 1 && rt_source_type(t->x) == RT_U8) {
        t->normalization = "all";
        t->normalization_why = ": flat rows of bytes; data.normalize=channel takes each by itself";
    } else if (mode == 0 && last > RT_MAX_CHANNELS) {
        t->normalization = "all";
        t->normalization_why = ": too many channels for one each";
    }
    if (mode == 3) return RT_OK;
    return measured(t, strcmp(t->normalization, "channel") ? 1 : last);
}
