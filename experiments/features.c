#include "experiments/features.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data/label_features.h"
#include "data/stream.h"
#include "engine/convert.h"
#include "student/arch.h"
#include "student/model.h"
#include "teacher/teacher.h"

enum { BLOCK = 1024, MICRO = 256 };

void rt_features_free(rt_features *f)
{
    free(f->x);
    f->x = NULL;
    f->rows = 0;
}

static rt_status make_room(rt_features *f, const char *of, uint64_t width, uint64_t max_bytes)
{
    if (!f->rows) return rt_fail(RT_NOTHING, "%s: holds no rows", of);
    if (f->rows >= UINT32_MAX)
        return rt_fail(RT_USAGE, "%s: has %" PRIu64 " rows; at most %u are compared", of, f->rows, UINT32_MAX - 1);
    if (width > INT32_MAX / 4 || f->rows > max_bytes / sizeof *f->x / width)
        return rt_fail(RT_USAGE,
                       "%s: %" PRIu64 " rows of %" PRIu64
                       " numbers take more than %.1f GiB; compare fewer rows, or by a "
                       "layer of a model (model=..., layer=...)",
                       of, f->rows, width, (double)max_bytes / (1 << 30));
    f->width = (int)width;
    f->x = malloc((size_t)f->rows * (size_t)width * sizeof *f->x + 64);
    return f->x ? RT_OK : rt_fail(RT_RUN, "out of memory for %" PRIu64 " rows of %" PRIu64 " numbers", f->rows, width);
}

static rt_status need_finite(const float *x, uint64_t n, int width, uint64_t first, const char *of, const char *set)
{
    for (uint64_t i = 0; i < n * (uint64_t)width; i++)
        if (!isfinite(x[i]))
            return rt_fail(RT_INPUT, "%s: row %" PRIu64 " of '%s' contains NaN or infinity", of,
                           first + i / (uint64_t)width, set);
    return RT_OK;
}

/* Those that a label store keeps, all of whose rows have some. */
static rt_status recall(rt_features *f, const rt_label_features *kept, const char *path, const char *set,
                        uint64_t max_bytes)
{
    uint64_t row[BLOCK];
    f->rows = kept->rows;
    if (kept->first)
        return rt_fail(RT_USAGE, "%s: keeps features of rows from %" PRIu64 " on, and rows are compared from 0 on",
                       path, kept->first);
    RT_TRY(make_room(f, path, (uint64_t)kept->width, max_bytes));
    for (uint64_t at = 0; at < f->rows; at += BLOCK) {
        int n = f->rows - at < BLOCK ? (int)(f->rows - at) : BLOCK;
        for (int i = 0; i < n; i++) row[i] = at + (uint64_t)i;
        RT_TRY(rt_label_features_read(kept, row, n, 0, f->x + at * (uint64_t)f->width));
        RT_TRY(rt_check_stop());
    }
    snprintf(f->text, sizeof f->text, "%.120s:%.60s", path, set);
    return RT_OK;
}

rt_status rt_features_read(rt_features *f, const char *path, const char *set, uint64_t max_bytes,
                           const rt_progress *progress)
{
    rt_source *s;
    rt_label_features kept;
    *f = (rt_features){0};
    rt_status is = rt_label_features_open(&kept, path, set);
    if (!is && kept.labels) is = recall(f, &kept, path, set, max_bytes);
    int done = is || kept.labels;
    rt_label_features_close(&kept);
    if (done) return is;
    RT_TRY(rt_source_open(&s, path, set));
    rt_dtype type = rt_source_type(s);
    size_t bytes = rt_source_row_bytes(s);
    f->rows = rt_source_rows(s);
    rt_status st = type == RT_TEXT || !bytes ? rt_fail(RT_INPUT, "%s: '%s' holds no numbers", path, set) : RT_OK;
    if (!st) st = make_room(f, path, bytes / rt_dtype_size(type), max_bytes);
    char *raw = st ? NULL : malloc(BLOCK * bytes);
    if (!st && !raw) st = rt_fail(RT_RUN, "out of memory");
    for (uint64_t at = 0; at < f->rows && !st; at += BLOCK) {
        uint64_t n = f->rows - at < BLOCK ? f->rows - at : BLOCK;
        float *x = f->x + at * (uint64_t)f->width;
        st = rt_source_read_stored(s, at, n, raw);
        if (!st) rt_to_float(x, raw, type, (size_t)n * (size_t)f->width);
        if (!st) st = need_finite(x, n, f->width, at, path, set);
        rt_progress_update(progress, "rows", (double)at, (double)f->rows, 0, "rows", "");
        if (!st) st = rt_check_stop();
    }
    snprintf(f->text, sizeof f->text, "%.120s:%.60s", path, set);
    free(raw);
    rt_source_close(s);
    return st;
}

/* ---- of a layer ---- */

/* What the node that answers the first head reads. */
static rt_status find_layer(const char *model, const rt_x_where *where, char layer[100])
{
    rt_model *m;
    RT_TRY(rt_model_load_bound(&m, model, NULL, where));
    const rt_graph *g = m->graph;
    int tensor = m->head[0].tensor, producer = tensor >= 0 ? g->tensor[tensor].producer : -1;
    rt_status st = RT_OK;
    if (producer < 0 || g->node[producer].inputs < 1)
        st = rt_fail(RT_USAGE, "%s: which layer tells features is not clear; name one with layer=NAME", model);
    else snprintf(layer, 100, "%.99s", rt_arch_layer(g, g->node[producer].in[0]));
    rt_model_free(m);
    return st;
}

typedef struct { rt_teacher *t; rt_source *x; rt_features *f; float *answers; int micro; } asking;

static rt_status ask_all(asking *a, const char *model, const char *layer, const rt_progress *progress)
{
    rt_rows rows = rt_rows_between(0, a->f->rows);
    rt_stream_spec spec = {.x = a->x, .rows = &rows, .batch = a->micro, .keep_tail = 1, .prefetch = 4, .threads = 1};
    rt_stream *stream;
    rt_teacher_ids(a->t, a->x, spec.ids);
    RT_TRY(rt_stream_open(&stream, &spec, 0));
    rt_status st = RT_OK;
    for (uint64_t at = 0; at < a->f->rows && !st;) {
        const rt_batch *b;
        st = rt_stream_next(stream, &b);
        if (st) break;
        st = rt_teacher_ask(a->t, &(rt_feed){.raw = b->x, .rows = b->rows, .row = b->row}, a->answers);
        if (st) break;
        float *to = a->f->x + at * (uint64_t)a->f->width;
        memcpy(to, rt_teacher_feature(a->t, 0), (size_t)b->rows * (size_t)a->f->width * sizeof *to);
        st = need_finite(to, (uint64_t)b->rows, a->f->width, at, model, layer);
        at += (uint64_t)b->rows;
        rt_progress_update(progress, "features", (double)at, (double)a->f->rows, 0, "rows", "");
        if (!st) st = rt_check_stop();
    }
    rt_stream_close(stream);
    return st;
}

rt_status rt_features_ask(rt_features *f, const char *model, const char *layer, const rt_x_where *said,
                          uint64_t max_bytes, rt_device *device, const rt_progress *progress)
{
    asking a = {.f = f};
    rt_x_where where = *said;
    rt_shape shape;
    char found[100];
    const char *input[RT_SOURCE_PARTS];
    int heads;
    *f = (rt_features){0};
    snprintf(found, sizeof found, "%.99s", layer);
    RT_TRY(rt_teacher_open(&a.t, &model, 1, &where));
    rt_status st = !(rt_teacher_abilities(a.t) & RT_TEACHER_COMPUTES) || rt_teacher_models(a.t) != 1
                       ? rt_fail(RT_USAGE, "%s: is no model whose layers could be asked for", model)
                       : RT_OK;
    if (!st && !*found) st = find_layer(model, &where, found);
    if (!st) st = rt_x_where_settle(&where, NULL, input, rt_teacher_inputs(a.t, input, 0));
    if (!st) st = rt_x_open(&a.x, &where);
    if (!st) st = rt_teacher_bind(a.t, &(rt_teacher_binding){.source = a.x, .device = device, .progress = progress});
    if (!st) st = rt_teacher_feature_shape(a.t, found, &shape);
    if (!st) st = rt_teacher_ready(a.t, device, MICRO, (const char *const[]){found}, 1);
    if (!st) {
        uint64_t width = 1;
        for (int i = 0; i < shape.rank; i++) width *= (uint64_t)shape.dim[i];
        f->rows = rt_source_rows(a.x);
        st = make_room(f, rt_source_path(a.x), width, max_bytes);
    }
    if (!st) {
        const rt_head *head = rt_teacher_heads(a.t, &heads);
        a.micro = rt_teacher_micro(a.t) ? rt_teacher_micro(a.t) : MICRO;
        a.answers = malloc((size_t)a.micro * (size_t)rt_heads_width(head, heads) * sizeof *a.answers);
        st = a.answers ? ask_all(&a, model, found, progress) : rt_fail(RT_RUN, "out of memory");
    }
    snprintf(f->text, sizeof f->text, "layer '%.90s' of %.90s", found, model);
    free(a.answers);
    rt_teacher_close(a.t);
    rt_source_close(a.x);
    return st;
}

void rt_features_normalize(rt_features *f)
{
    for (uint64_t r = 0; r < f->rows; r++) {
        float *x = f->x + r * (uint64_t)f->width;
        double sum = 0;
        for (int i = 0; i < f->width; i++) sum += (double)x[i] * (double)x[i];
        sum = sqrt(sum);
        for (int i = 0; i < f->width && sum > 0; i++) x[i] = (float)((double)x[i] / sum);
    }
}
