#include "train/trainer_parts.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "data/row_check.h"

enum { STATISTICS_ROWS = 65536 };

static rt_status given(rt_input *in, const cJSON *norm)
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
    if (!st) st = rt_input_set_normalization(in, v, v + count, count);
    free(v);
    return st;
}

typedef struct { double *mean, *square, *shift; uint64_t rows; } sums;

/* One training row as an input, before normalisation. */
static rt_status read_row(const rt_trainer *t, const rt_input *in, uint64_t at, char *raw, float *row)
{
    const rt_source *part;
    RT_TRY(rt_check_stop());
    RT_TRY(rt_source_read(t->x, &at, 1, raw));
    rt_row_desc d = rt_input_rows(in);
    rt_rows_raw(&d, row, raw);
    for (size_t k = 0; k < in->size; k++)
        if (!isfinite(row[k])) {
            const char *fault = rt_source_fault(t->x, NULL, raw, &part);
            return rt_fail(RT_INPUT, "%s: row %llu of '%s' contains %s", rt_source_path(fault ? part : t->x),
                           (unsigned long long)at, rt_source_info(fault ? part : t->x)->name,
                           fault ? fault : "NaN or infinity; clean the data first");
        }
    return RT_OK;
}

/* Sums over the training rows, evenly thinned beyond STATISTICS_ROWS, of differences from the first row. */
static rt_status add_up(const rt_trainer *t, const rt_input *in, int channels, sums *s)
{
    size_t n = in->size;
    char *raw = malloc(rt_source_row_bytes(t->x));
    float *row = malloc(n * sizeof *row);
    rt_status st = raw && row ? RT_OK : rt_fail(RT_RUN, "out of memory");
    uint64_t stride = (t->train.count + STATISTICS_ROWS - 1) / STATISTICS_ROWS;
    for (uint64_t i = 0; i < t->train.count && !st; i += stride, s->rows++) {
        st = read_row(t, in, rt_rows_at(&t->train, i), raw, row);
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
    return st;
}

static rt_status measured(const rt_trainer *t, rt_input *in, int channels, rt_normalized *out)
{
    size_t n = (size_t)channels;
    double *v = calloc(3 * n, sizeof *v);
    if (!v) return rt_fail(RT_RUN, "out of memory");
    sums s = {v, v + n, v + 2 * n, 0};
    rt_status st = add_up(t, in, channels, &s);
    double count = (double)s.rows * (double)in->size / channels;
    for (int c = 0; c < channels; c++) {
        double m1 = s.mean[c] / count, var = s.square[c] / count - m1 * m1;
        s.mean[c] = s.shift[c] + m1;
        s.square[c] = var > 1e-12 ? sqrt(var) : 1;
        out->constant += !(var > 1e-12);
    }
    out->rows = s.rows;
    if (!st) st = rt_input_set_normalization(in, s.mean, s.square, channels);
    free(v);
    return st;
}

/* norm: what data.normalize says of this input; NULL: nothing. */
static rt_status normalize(const rt_trainer *t, rt_input *in, const cJSON *norm, rt_normalized *out)
{
    static const char *const modes[] = {"auto", "channel", "all", "none"};
    int last = rt_input_last(in), mode = 0;
    if (cJSON_IsObject(norm)) {
        out->how = "as given";
        return given(in, norm);
    }
    while (norm && mode < 4 && !(cJSON_IsString(norm) && strcmp(norm->valuestring, modes[mode]) == 0)) mode++;
    if (mode == 4)
        return rt_fail(RT_USAGE,
                       "data.normalize: \"auto\", \"channel\", \"all\", \"none\" or {\"mean\": [...], \"std\": "
                       "[...]} is expected%s", t->model->inputs > 1 ? ", or {\"INPUT\": one of them}" : "");
    if (mode == 1 && last > RT_MAX_CHANNELS)
        return rt_fail(RT_USAGE, "data.normalize: %d channels are more than %d; use \"all\"", last, RT_MAX_CHANNELS);
    out->how = mode == 3 ? "none" : mode == 2 ? "all" : "channel";
    if (mode == 0 && in->shape.rank == 1 && in->raw_type == RT_U8) {
        out->how = "all";
        out->why = ": flat rows of bytes; data.normalize=channel takes each by itself";
    } else if (mode == 0 && last > RT_MAX_CHANNELS) {
        out->how = "all";
        out->why = ": too many channels for one each";
    }
    if (mode == 3) return RT_OK;
    return measured(t, in, strcmp(out->how, "channel") ? 1 : last, out);
}

/* {"INPUT": ...} of a model of several: every key is the name of one. */
static rt_status by_input(const rt_trainer *t, const cJSON *norm, int *yes)
{
    const rt_model *m = t->model;
    *yes = m->inputs > 1 && cJSON_IsObject(norm);
    for (const cJSON *k = *yes ? norm->child : NULL; k; k = k->next) {
        int i = 0;
        while (i < m->inputs && strcmp(m->input[i].name, k->string)) i++;
        if (i == m->inputs)
            return rt_fail(RT_USAGE, "data.normalize: '%.60s' is no input of the model, which has several: {\"INPUT\": "
                           "\"all\", ...} is expected", k->string);
    }
    return RT_OK;
}

rt_status rt_train_normalize(rt_trainer *t)
{
    const cJSON *norm = t->set.normalize;
    int several;
    RT_TRY(by_input(t, norm, &several));
    for (int i = 0; i < t->model->inputs; i++) {
        rt_input *in = &t->model->input[i];
        if (in->ids) {
            if (several && cJSON_HasObjectItem(norm, in->name))
                return rt_fail(RT_USAGE, "data.normalize: '%s' is an input of ids, which stay as they are", in->name);
            t->normalized[i].how = "ids";
            continue;
        }
        RT_TRY(normalize(t, in, several ? cJSON_GetObjectItemCaseSensitive(norm, in->name) : norm, &t->normalized[i]));
    }
    return RT_OK;
}
