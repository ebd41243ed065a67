#include "teacher/estimate.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "data/labels.h"
#include "engine/clock.h"
#include "teacher/labeler_parts.h"

/* Where the rows are tried, how long at each place, and how many rows at most. */
enum { PLACES = 3, MOST_BLOCKS = 256 };
static const double place_seconds = 0.7;

typedef struct {
    rt_labeler l;
    float *answers, *feature[RT_LABEL_FEATURES];
    uint64_t done;                     /* rows that the store has already */
    uint64_t tried;
    double ready;                      /* seconds until the first row could be asked about */
    double rate[PLACES];               /* rows a second, rising */
    int places;
} estimate;

static rt_status ask(estimate *e, const rt_batch *batch)
{
    for (int r = 0; r < batch->rows; r++)
        if (batch->bad[r] && !e->l.set.mark_bad) return rt_labeler_refuse(&e->l, batch, r);
    int most = (int)rt_labeler_together(&e->l);
    for (int r = 0; r < batch->rows; r += most) {
        int n = batch->rows - r < most ? batch->rows - r : most;
        rt_feed q = {.raw = batch->x + (size_t)r * rt_source_row_bytes(e->l.x), .row = batch->row + r, .rows = n};
        RT_TRY(rt_labeler_ask(&e->l, &q, (uint64_t)most, e->answers, e->feature));
    }
    return RT_OK;
}

/* Reads and asks about rows [first, end) until the time is over; what was not in the first batch, which pays for pages
 * and caches that are touched once, is timed, unless there is no other. */
static rt_status try_rows(estimate *e, uint64_t first, uint64_t end, double *rate)
{
    rt_rows rows = rt_rows_between(first, end);
    rt_stream *stream;
    const rt_batch *batch;
    uint64_t timed = 0;
    double start = rt_seconds(), now = start;
    rt_stream_spec q = {.x = e->l.x,
                        .rows = &rows,
                        .width = e->l.spec.classes,
                        .batch = e->l.set.batch,
                        .keep_tail = 1,
                        .mark_bad = 1,
                        .prefetch = e->l.set.prefetch,
                        .threads = rt_labeler_readers(&e->l)};
    rt_teacher_ids(e->l.teacher, e->l.x, q.ids);
    RT_TRY(rt_stream_open(&stream, &q, 0));
    uint64_t steps = rt_stream_steps(stream);
    rt_status st = RT_OK;
    for (uint64_t g = 0; g < steps && !st && (g < 2 || now - start < place_seconds); g++) {
        if (rt_stopped()) st = rt_fail(RT_INTERRUPTED, "interrupted");
        if (!st) st = rt_stream_next(stream, &batch);
        if (!st) st = ask(e, batch);
        if (st) break;
        now = rt_seconds();
        e->tried += (uint64_t)batch->rows;
        timed += (uint64_t)batch->rows;
        if (!g && steps > 1) {
            start = now;
            timed = 0;
        }
    }
    rt_stream_close(stream);
    *rate = (double)timed / (now - start + 1e-9);
    return st;
}

static int rising(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static rt_status try_places(estimate *e)
{
    uint64_t rows = e->l.spec.rows, part = rows / PLACES, most = (uint64_t)MOST_BLOCKS * RT_LABEL_BLOCK;
    e->places = part >= RT_LABEL_BLOCK ? PLACES : 1;
    if (e->places == 1) part = rows;
    for (int i = 0; i < e->places; i++) {
        uint64_t first = e->l.spec.first + (uint64_t)i * part, n = part < most ? part : most;
        rt_progress_update(e->l.progress, "estimate", i, e->places, 0, "places", "");
        RT_TRY(try_rows(e, first, first + n, &e->rate[i]));
    }
    qsort(e->rate, (size_t)e->places, sizeof e->rate[0], rising);
    return RT_OK;
}

/* ---- what is there ---- */

static int same_spec(const rt_labels_spec *a, const rt_labels_spec *b)
{
    return a->first == b->first && a->rows == b->rows && a->classes == b->classes && a->topk == b->topk &&
           a->type == b->type && a->columns == b->columns && a->hard == b->hard && a->features == b->features &&
           a->views.count == b->views.count && rt_label_views_same(&a->views, &b->views, NULL);
}

/* The store's rows and coding, as of the source that is there now if it has grown since. */
static rt_labels_spec grown_spec(const estimate *e, const rt_labels *labels)
{
    rt_labels_spec s = *rt_labels_info(labels);
    const cJSON *source = cJSON_GetObjectItemCaseSensitive(rt_labels_manifest(labels), "source");
    double then = cJSON_GetNumberValue(cJSON_GetArrayItem(cJSON_GetObjectItemCaseSensitive(source, "shape"), 0));
    if (then < (double)rt_source_rows(e->l.x) && s.rows < e->l.spec.rows) s.rows = e->l.spec.rows;
    return s;
}

/* Rows that a store of this name has; one that the same command would not go on with is refused as it would be. */
static rt_status look_at_store(estimate *e)
{
    const char *path = e->l.out->path, *inputs[] = {e->l.set.source, e->l.out->config, NULL};
    struct stat st;
    rt_labels *labels;
    rt_labels_summary s;
    RT_TRY(rt_refuse_inputs(path, inputs));
    if (stat(path, &st)) return errno == ENOENT ? RT_OK : rt_fail(RT_RUN, "%s: %s", path, strerror(errno));
    if (e->l.out->force) return RT_OK;
    RT_TRY(rt_labels_open(&labels, path, 1));
    const rt_labels_spec spec = grown_spec(e, labels);
    const cJSON *by = cJSON_GetObjectItemCaseSensitive(rt_labels_manifest(labels), "teacher");
    const char *teacher = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(by, "digest"));
    rt_status status = rt_labels_summarize(labels, &s);
    if (!status && (!teacher || strcmp(teacher, e->l.digest.hex) || !same_spec(&spec, &e->l.spec)))
        status = rt_fail(RT_USAGE, "%s: holds other labels; give another --out, or --force to replace it", path);
    for (int i = RT_LABEL_DONE; i < RT_LABEL_STATUSES && !status; i++) e->done += s.status[i];
    rt_labels_close(labels);
    return status;
}

/* Bytes that the folder of the store has for it; -1: not known, as the folder is not there. */
static double free_bytes(const char *path)
{
    char folder[4096];
    struct statvfs v;
    const char *slash = strrchr(path, '/');
    snprintf(folder, sizeof folder, "%.*s", slash ? (int)(slash - path) + 1 : 1, slash ? path : ".");
    return statvfs(folder, &v) ? -1 : (double)v.f_bavail * (double)v.f_frsize;
}

static void add_cost(const estimate *e, cJSON *r, double seconds)
{
    if (e->l.set.price > 0) cJSON_AddNumberToObject(r, "cost", e->l.set.price * seconds / 3600);
}

static cJSON *result_of(const estimate *e)
{
    cJSON *r = cJSON_CreateObject(), *warnings = cJSON_CreateArray(), *rate;
    uint64_t left = e->l.spec.rows - e->done;
    double median = e->rate[e->places / 2], bytes = rt_label_store_bytes(&e->l.spec);
    double seconds = e->ready + (double)left / median, room = free_bytes(e->l.out->path);
    char text[300];
    struct rusage use;
    getrusage(RUSAGE_SELF, &use);
    cJSON_AddStringToObject(r, "would_write", e->l.out->path);
    cJSON_AddNumberToObject(r, "rows", (double)e->l.spec.rows);
    if (e->l.spec.views.count) cJSON_AddNumberToObject(r, "views", e->l.spec.views.count);
    cJSON_AddNumberToObject(r, "rows_labelled", (double)e->done);
    cJSON_AddNumberToObject(r, "rows_tried", (double)e->tried);
    rate = cJSON_AddObjectToObject(r, "rows_per_second");
    cJSON_AddNumberToObject(rate, "median", median);
    cJSON_AddNumberToObject(rate, "least", e->rate[0]);
    cJSON_AddNumberToObject(rate, "most", e->rate[e->places - 1]);
    cJSON_AddNumberToObject(r, "seconds", seconds);
    cJSON_AddNumberToObject(r, "start_seconds", e->ready);
    cJSON_AddNumberToObject(r, "store_bytes", bytes);
    if (room >= 0) cJSON_AddNumberToObject(r, "free_bytes", room);
    cJSON_AddNumberToObject(r, "memory_bytes", (double)use.ru_maxrss * 1024);
    add_cost(e, r, seconds);
    cJSON_AddStringToObject(r, "teacher_digest", e->l.digest.hex);
    if (e->l.notes->child) cJSON_AddItemToObject(r, "notes", cJSON_Duplicate(e->l.notes, 1));
    text[0] = 0;
    if (room < 0) snprintf(text, sizeof text, "%.200s: its folder is not there", e->l.out->path);
    else if (!e->done && bytes > room)
        snprintf(text, sizeof text, "the store needs %.0f bytes, and its folder has %.0f free%s", bytes, room,
                 e->l.spec.views.count ? "; fewer label.views, labels.topk or labels.type=q8 need less" : "");
    if (text[0]) cJSON_AddItemToArray(warnings, cJSON_CreateString(text));
    if (warnings->child) cJSON_AddItemToObject(r, "warnings", warnings);
    else cJSON_Delete(warnings);
    return r;
}

static rt_status take_room(estimate *e)
{
    const rt_labels_spec *s = &e->l.spec;
    size_t rows = (size_t)rt_labeler_together(&e->l) * (1 + (size_t)s->views.count);
    int ok = (e->answers = rt_floats_new(rows * (size_t)s->classes)) != NULL;
    for (int i = 0; i < s->features; i++)
        ok &= (e->feature[i] = rt_floats_new(rows * (size_t)s->feature[i].width)) != NULL;
    return ok ? RT_OK : rt_fail(RT_RUN, "out of memory");
}

rt_status rt_label_estimate(cJSON *config, const rt_target *out, rt_device *device, const rt_progress *progress,
                            cJSON **result)
{
    estimate e = {.l = {.out = out, .device = device, .progress = progress, .start = rt_seconds(), .only_looks = 1}};
    *result = NULL;
    RT_TRY(rt_labeler_read(config, &e.l.set));
    RT_TRY(rt_precision_take(device, e.l.set.precision, "label.precision"));
    e.l.notes = cJSON_CreateArray();
    rt_status st = rt_labeler_open(&e.l);
    if (!st) st = look_at_store(&e);
    if (!st) st = take_room(&e);
    e.ready = rt_seconds() - e.l.start;
    if (!st) st = try_places(&e);
    if (!st) *result = result_of(&e);
    free(e.answers);
    for (int i = 0; i < RT_LABEL_FEATURES; i++) free(e.feature[i]);
    rt_labeler_close(&e.l);
    return st;
}
