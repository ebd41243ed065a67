#include "student/input.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/memory.h"

int rt_input_last(const rt_input *in) { return in->shape.dim[in->shape.rank - 1]; }

rt_status rt_input_begin(rt_input *in, const char *name, const rt_shape *shape)
{
    in->name = name;
    in->shape = *shape;
    in->size = rt_shape_count(shape);
    in->channels = 1;
    in->mul = rt_floats_new((size_t)rt_input_last(in));
    in->add = rt_floats_new((size_t)rt_input_last(in));
    if (!in->mul || !in->add) return RT_RUN;
    in->mul[0] = 1;
    rt_input_take(in, RT_F32);
    return RT_OK;
}

int rt_inputs_list(const rt_input *in, int inputs, const char *name[RT_SOURCE_PARTS], int n)
{
    for (int i = 0; i < inputs; i++) {
        int known = 0;
        for (int k = 0; k < n; k++) known |= !strcmp(name[k], in[i].name);
        if (!known && n < RT_SOURCE_PARTS) name[n++] = in[i].name;
    }
    return n;
}

static void take(rt_input *in, rt_dtype type, size_t at, size_t row_bytes)
{
    in->raw_type = type;
    in->raw_at = at;
    in->raw_bytes = row_bytes;
}

void rt_input_take(rt_input *in, rt_dtype type)
{
    take(in, type, 0, in->size * rt_dtype_size(type));
    free(in->pick);
    in->pick = NULL;
    in->resize = (rt_resize){0};
}

void rt_inputs_take(rt_input *in, int n)
{
    size_t at = 0;
    for (int i = 0; i < n; at += in[i++].size * sizeof(float)) {
        rt_input_take(&in[i], in[i].ids ? RT_I32 : RT_F32);
        in[i].raw_at = at;
    }
    for (int i = 0; i < n; i++) in[i].raw_bytes = at;
}

void rt_input_free(rt_input *in)
{
    rt_names_free(&in->columns);
    free(in->of);
    free(in->pick);
    free(in->mul);
    free(in->add);
}

rt_status rt_input_set_normalization(rt_input *in, const double *mean, const double *std, int count)
{
    if (count != 1 && (count != rt_input_last(in) || count > RT_MAX_CHANNELS))
        return rt_fail(RT_USAGE, "normalisation has %d channels, the model's input has %d", count, rt_input_last(in));
    in->channels = count;
    for (int i = 0; i < count; i++) {
        if (!(std[i] > 0))
            return rt_fail(RT_USAGE, "the standard deviation of channel %d is %g; it must be above 0", i, std[i]);
        in->add[i] = (float)-mean[i];
        in->mul[i] = (float)(1.0 / std[i]);
    }
    return RT_OK;
}

cJSON *rt_input_normalization(const rt_input *in)
{
    cJSON *j = cJSON_CreateObject(), *mul = cJSON_AddArrayToObject(j, "mul"), *add = cJSON_AddArrayToObject(j, "add");
    cJSON_AddStringToObject(j, "formula", "x' = (x + add[c]) * mul[c]");
    for (int i = 0; i < in->channels; i++) {
        cJSON_AddItemToArray(mul, cJSON_CreateNumber(in->mul[i]));
        cJSON_AddItemToArray(add, cJSON_CreateNumber(in->add[i]));
    }
    rt_resizing_put(&in->resizing, j);
    return j;
}

/* Whether both hold the same numbers in the same order: dimensions of 1 change nothing, and a flat row has no other
 * shape. */
static int same_order(const rt_shape *a, const rt_shape *b)
{
    int i = 0, k = 0;
    if (rt_shape_count(a) != rt_shape_count(b)) return 0;
    if (a->rank == 1 || b->rank == 1) return 1;
    for (;; i++, k++) {
        while (i < a->rank && a->dim[i] == 1) i++;
        while (k < b->rank && b->dim[k] == 1) k++;
        if (i == a->rank || k == b->rank) return i == a->rank && k == b->rank;
        if (a->dim[i] != b->dim[k]) return 0;
    }
}

/* (C, H, W) against (H, W, C), or (C, T) against (T, C). */
static int channels_first(const rt_shape *row, const rt_shape *in)
{
    int n = in->rank;
    if (row->rank != n || n < 2 || row->dim[0] != in->dim[n - 1]) return 0;
    for (int i = 0; i + 1 < n; i++) if (row->dim[i + 1] != in->dim[i]) return 0;
    return 1;
}

static rt_status check_shape(const rt_input *in, const rt_source *s, const rt_shape *row)
{
    char a[64], b[64];
    const rt_shape *own = &in->shape;
    if (same_order(row, own)) return RT_OK;
    if (channels_first(row, own))
        return rt_fail(RT_INPUT,
                       "%s: rows have the shape %s, channels first, but the model's input is %s, channels last; store "
                       "np.transpose(x, %s)", rt_source_path(s), rt_shape_text(row, a), rt_shape_text(own, b),
                       own->rank == 3 ? "(0, 2, 3, 1)" : "(0, 2, 1)");
    return rt_fail(RT_INPUT, "%s: rows have the shape %s, but the model's input is %s", rt_source_path(s),
                   rt_shape_text(row, a), rt_shape_text(own, b));
}

/* Images of any size that become the model's. */
static rt_status check_image(const rt_input *in, const rt_source *s, const rt_shape *row, rt_resize *how)
{
    char a[64], b[64], c[64], text[160];
    rt_shape to;
    rt_status st = rt_resizing_of(&in->resizing, row, &to, how);
    if (st) return rt_fail_in(st, "%s", rt_source_path(s));
    if (rt_shape_equal(&to, &in->shape)) return RT_OK;
    return rt_fail(RT_INPUT, "%s: rows have the shape %s; %s they are %s, but the model's input is %s",
                   rt_source_path(s), rt_shape_text(row, a), rt_resizing_text(&in->resizing, text),
                   rt_shape_text(&to, b), rt_shape_text(&in->shape, c));
}

static void note_columns(const rt_input *in, const rt_names *data, cJSON *notes)
{
    char text[2 * RT_NAMES_TEXT + 64];
    int left = data->count - in->columns.count, turned = 0, n = 0;
    for (int i = 1; i < in->columns.count; i++) turned |= in->pick[i] < in->pick[i - 1];
    if (turned) {
        snprintf(text, sizeof text,
                 "%s: its columns stand in another order than the model's; they are matched by name", data->of);
        cJSON_AddItemToArray(notes, cJSON_CreateString(text));
    }
    if (!left) return;
    n = snprintf(text, sizeof text, "%s: %d column%s that the model does not know left out:", data->of, left,
                 left > 1 ? "s" : "");
    for (int i = 0, shown = 0; i < data->count && n < RT_NAMES_TEXT; i++) {
        if (rt_names_find(&in->columns, data->name[i]) >= 0) continue;
        n += snprintf(text + n, sizeof text - (size_t)n, "%s %.100s", shown++ ? "," : "", data->name[i]);
        if (shown < left && n >= RT_NAMES_TEXT) snprintf(text + n, sizeof text - (size_t)n, ", ...");
    }
    cJSON_AddItemToArray(notes, cJSON_CreateString(text));
}

/* Binds to one data set; the rest of what a raw row is, the caller sets. */
static rt_status bind(rt_input *in, const rt_source *s, rt_match match, cJSON *notes)
{
    rt_shape row;
    rt_names data, mine;
    int *pick = NULL;
    RT_TRY(rt_source_shape(s, &row));
    if (rt_source_type(s) == RT_TEXT)
        return rt_fail(RT_INPUT, "%s: data set '%s' is text, not numbers", rt_source_path(s), rt_source_info(s)->name);
    RT_TRY(rt_source_columns(s, &data));
    int named = match == RT_MATCH_NAMES && (data.name || in->columns.name);
    rt_resize how = {0};
    rt_status st = RT_OK;
    if (rt_resizing_any(&in->resizing)) st = check_image(in, s, &row, &how);
    else if (named) {                                        /* a list without names is one of numbers */
        if (!data.name) data.count = (int)rt_shape_count(&row);
        mine = in->columns;
        if (!mine.name) mine = (rt_names){.count = (int)in->size, .of = in->of};
        st = rt_names_map(&pick, &mine, &data, "column");
    } else st = check_shape(in, s, &row);
    if (!st) {
        in->resize = how;
        int same = data.count == (int)in->size;
        for (int i = 0; pick && same && i < data.count; i++) same = pick[i] == i;
        free(in->pick);
        in->pick = NULL;
        if (same) free(pick);
        else in->pick = pick;
        if (in->pick && notes && data.name && in->columns.name) note_columns(in, &data, notes);
    }
    rt_names_free(&data);
    return st;
}

/* "image, table" of inputs, or of a source's parts. */
static const char *list_text(const rt_input *in, int n, const rt_source *s, char text[RT_NAMES_TEXT])
{
    size_t at = 0;
    text[0] = 0;
    for (int i = 0; i < n && at < RT_NAMES_TEXT; i++) {
        const char *name = in ? in[i].name : NULL;
        if (!in) rt_source_part(s, i, &name, NULL);
        at += (size_t)snprintf(text + at, RT_NAMES_TEXT - at, "%s%.60s", i ? ", " : "", name);
    }
    return text;
}

rt_status rt_inputs_bind(rt_input *in, int n, const rt_source *s, rt_match match, cJSON *notes)
{
    char ours[RT_NAMES_TEXT], theirs[RT_NAMES_TEXT];
    int joined = rt_source_part(s, 0, NULL, NULL) != s;
    if (!joined && n > 1)
        return rt_fail(RT_USAGE, "%s: the model has the inputs %s, and data.x names one data set, '%s'; name one for "
                       "each: data.x={\"INPUT\": \"data set\", ...}", in->of ? in->of : rt_source_path(s),
                       list_text(in, n, NULL, ours), rt_source_info(s)->name);
    for (int i = 0; i < n; i++) {
        int k = joined ? rt_source_find_part(s, in[i].name) : 0;
        size_t at;
        if (k < 0)
            return rt_fail(RT_USAGE, "%s: the model has the input%s %s, and data.x names data sets for %s",
                           in->of ? in->of : rt_source_path(s), n > 1 ? "s" : "", list_text(in, n, NULL, ours),
                           list_text(NULL, rt_source_parts(s), s, theirs));
        const rt_source *part = rt_source_part(s, k, NULL, &at);
        RT_TRY(bind(&in[i], part, match, notes));
        take(&in[i], rt_source_type(part), at, rt_source_row_bytes(s));
    }
    return RT_OK;
}

void rt_inputs_ids(const rt_input *in, int inputs, const rt_source *s, int ids[RT_SOURCE_PARTS])
{
    for (int i = 0; i < inputs; i++) {
        int k = rt_source_part(s, 0, NULL, NULL) == s ? 0 : rt_source_find_part(s, in[i].name);
        if (in[i].ids && k >= 0 && (!ids[k] || in[i].ids < ids[k])) ids[k] = in[i].ids;
    }
}

rt_row_desc rt_input_rows(const rt_input *in)
{
    return (rt_row_desc){.name = in->name, .shape = in->shape, .size = in->size, .type = in->raw_type, .at = in->raw_at,
                         .bytes = in->raw_bytes, .pick = in->pick, .channels = in->channels, .mul = in->mul,
                         .add = in->add, .ids = in->ids, .resize = in->resize};
}

void rt_input_normalize(const rt_input *in, float *dst, const void *raw, int rows)
{
    rt_row_desc d = rt_input_rows(in);
    rt_rows_fill(&d, &(rt_feed){.raw = raw, .rows = rows}, dst, 0, rows);
}
