#include "teacher/labeler_parts.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data/label_report.h"
#include "data/provenance.h"
#include "engine/clock.h"
#include "engine/version.h"
#include "teacher/label_put.h"

/* Who says it; the store adds of what and how. */
static rt_status describe(const rt_labeler *l, cJSON **out)
{
    const rt_label_settings *s = &l->set;
    char family[RT_FAMILY_TEXT];
    cJSON *m = *out = cJSON_CreateObject();
    cJSON_AddStringToObject(m, "tool", rt_tool());
    cJSON *t = cJSON_AddObjectToObject(m, "teacher");
    cJSON_AddStringToObject(t, "digest", l->digest.hex);
    int native = rt_teacher_models(l->teacher);
    if (native) cJSON_AddNumberToObject(t, "models", native);
    int quantized = rt_teacher_quantized(l->teacher);      /* whose answers are the same in every family */
    if (quantized) cJSON_AddNumberToObject(t, "integer_contract", RT_INT_CONTRACT);
    if (quantized < native) cJSON_AddStringToObject(t, "kernels", rt_device_family(l->device, family));
    RT_TRY(rt_teacher_tell(l->teacher, t));
    cJSON *members = cJSON_DetachItemFromObjectCaseSensitive(t, "members");
    if (members) cJSON_AddItemToObject(m, "members", members);      /* not of what a store must have to go on */
    if (quantized) cJSON_AddStringToObject(m, "int_kernels", rt_int_kernels_get()->name);
    const rt_names *columns = rt_teacher_columns(l->teacher);
    if (!l->spec.heads && l->head[0].names.name)
        cJSON_AddItemToObject(m, "classes", rt_names_to_json(&l->head[0].names));
    if (columns->name) cJSON_AddItemToObject(m, "columns", rt_names_to_json(columns));
    RT_TRY(rt_teacher_seen(l->teacher, cJSON_AddArrayToObject(m, "seen")));
    cJSON *where = cJSON_AddObjectToObject(m, "paths");
    cJSON_AddStringToObject(where, "source", s->source);
    cJSON *models = cJSON_AddArrayToObject(where, "teacher");
    for (int i = 0; i < s->teacher.paths; i++)
        cJSON_AddItemToArray(models, cJSON_CreateString(s->teacher.path[i]));
    return RT_OK;
}

/* Of several processes with one counter the first makes the store, and then the others open it. */
static rt_status begin_together(rt_labeler *l, rt_status st, cJSON *manifest, const rt_labels_job *job)
{
    int first = !rt_cluster_rank(l->cluster);
    if (!st && first) st = rt_labels_begin(&l->writer, l->out, &l->spec, manifest, job);
    RT_TRY(rt_cluster_agree(l->cluster, st));
    if (!first) st = rt_labels_begin(&l->writer, l->out, &l->spec, manifest, job);
    return rt_cluster_agree(l->cluster, st);
}

static rt_status begin(rt_labeler *l)
{
    const char *inputs[RT_TEACHER_FILES + RT_SOURCE_PARTS + 3];
    rt_labels_job job = {.source = l->identity,
                         .inputs = inputs,
                         .mark_bad = l->set.mark_bad,
                         .pool = rt_device_pool(l->device),
                         .progress = l->progress,
                         .notes = l->notes,
                         .grows = 1,
                         .shard = l->set.shard,
                         .shards = l->set.shards,
                         .take_over = l->set.take_over};
    if (l->cluster) {
        job.shard = rt_cluster_rank(l->cluster);
        job.shards = rt_cluster_size(l->cluster);
        job.take = rt_cluster_take;
        job.counter = l->cluster;
    }
    cJSON *m;
    int files = rt_teacher_files(l->teacher, inputs, RT_TEACHER_FILES);
    inputs[files++] = l->set.source;
    if (l->set.y.source) inputs[files++] = l->set.y.source;
    inputs[rt_x_where_files(&l->set.x, inputs, files)] = NULL;
    rt_status st = describe(l, &m);
    st = begin_together(l, st, m, &job);
    cJSON_Delete(m);
    return st;
}

/* ---- rows ---- */

/* A block of the store while its rows arrive, or several that are asked together. */
typedef struct {
    char *raw;                         /* of one block */
    uint64_t *row;                     /* of all that are asked */
    rt_label_put *put;                 /* where its answers and statuses go */
    uint64_t from, filled;             /* rows of it that have labels already; and those that have arrived */
} block_rows;

/* Blocks of `size` rows in all, from this one on. */
static rt_status put_blocks(rt_labeler *l, block_rows *b, const char *raw, uint64_t block, uint64_t size)
{
    double t = rt_seconds();
    uint64_t rows = size - b->from;
    const rt_label_room *to = rt_label_put_room(b->put);
    for (uint64_t i = 0; i < rows; i++) b->row[i] = l->spec.first + block * RT_LABEL_BLOCK + b->from + i;
    rt_feed q = {.raw = raw, .row = b->row, .rows = (int)rows};
    float *feature[RT_LABEL_FEATURES];
    for (int i = 0; i < l->spec.features; i++)
        feature[i] = to->feature[i] + b->from * (uint64_t)l->feature[i].width;
    RT_TRY(rt_labeler_ask(l, &q, size, to->answers + b->from * (uint64_t)l->spec.classes, feature));
    l->compute += rt_seconds() - t;
    t = rt_seconds();
    RT_TRY(rt_label_put_blocks(b->put, block, size));
    l->store += rt_seconds() - t;
    b->from = b->filled = 0;
    l->labelled += rows;
    return RT_OK;
}

/* Rows of what is asked together from this block on, of which `left` lie in the batch: a block, or as many whole ones
 * as are there and have room. */
static uint64_t together(const rt_labeler *l, const block_rows *b, uint64_t block, uint64_t left)
{
    uint64_t end = l->spec.rows - block * RT_LABEL_BLOCK, most = rt_labeler_together(l);
    if (left < most) most = left;
    if (b->filled || most < RT_LABEL_BLOCK) most = RT_LABEL_BLOCK;
    return end <= most ? end : most - most % RT_LABEL_BLOCK;
}

/* Batches of any size are regrouped into the store's blocks. */
static rt_status take_batch(rt_labeler *l, block_rows *b, const rt_batch *batch)
{
    size_t row_bytes = rt_source_row_bytes(l->x);
    for (int r = 0; r < batch->rows;) {
        uint64_t block = (batch->row[r] - l->spec.first) / RT_LABEL_BLOCK, left = (uint64_t)(batch->rows - r);
        uint64_t size = together(l, b, block, left), take = size - b->filled < left ? size - b->filled : left;
        /* Whole blocks need not be moved. */
        const char *raw = take == size - b->from ? batch->x + (size_t)r * row_bytes : b->raw;
        if (raw == b->raw)
            memcpy(b->raw + (b->filled - b->from) * row_bytes, batch->x + (size_t)r * row_bytes, take * row_bytes);
        unsigned char *status = rt_label_put_room(b->put)->status;
        for (uint64_t i = 0; i < take; i++) {
            int bad = batch->bad[r + (int)i];
            if (bad && !l->set.mark_bad)
                return rt_labeler_refuse(l, batch, r + (int)i);
            status[b->filled + i] = bad ? RT_LABEL_BAD_INPUT : RT_LABEL_DONE;
        }
        b->filled += take;
        r += (int)take;
        if (b->filled == size) RT_TRY(put_blocks(l, b, raw, block, size));
    }
    return RT_OK;
}

static void show(rt_labeler *l, double begun)
{
    double now = rt_seconds();
    if (now - l->shown < 0.2) return;
    l->shown = now;
    rt_progress_update(l->progress, "label", (double)(l->before + l->labelled), (double)l->spec.rows,
                       (double)l->labelled / (now - begun + 1e-9), "rows", "");
}

/* Rows [first, end) of the source. */
static rt_status label_run(rt_labeler *l, block_rows *b, uint64_t first, uint64_t end, double begun)
{
    rt_rows rows = rt_rows_between(first, end);
    rt_stream_spec q = {.x = l->x, .rows = &rows, .width = l->spec.classes, .batch = l->set.batch,
                        .keep_tail = 1, .mark_bad = 1,
                        .prefetch = l->set.prefetch, .threads = rt_labeler_readers(l)};
    rt_stream *stream;
    rt_teacher_ids(l->teacher, l->x, q.ids);
    RT_TRY(rt_stream_open(&stream, &q, 0));
    rt_status st = RT_OK;
    b->from = b->filled = (first - l->spec.first) % RT_LABEL_BLOCK;
    memset(rt_label_put_room(b->put)->status, RT_LABEL_DONE, b->from);
    for (uint64_t g = 0; g < rt_stream_steps(stream) && !st; g++) {
        const rt_batch *batch;
        double t = rt_seconds();
        st = rt_stream_next(stream, &batch);
        if (l->first > 0) l->source += rt_seconds() - t;
        else {
            l->first = rt_seconds() - l->start;
            l->first_cpu = rt_process_seconds();
        }
        if (!st) st = take_batch(l, b, batch);
        show(l, begun);
        rt_cluster_tick(l->cluster);
        if (!st && rt_stopped())
            st = rt_fail(RT_INTERRUPTED, "interrupted; the same command goes on from here");
    }
    l->reading += rt_stream_reading(stream);
    rt_stream_close(stream);
    double t = rt_seconds();
    rt_status put = rt_label_put_wait(b->put);         /* what could not be written outweighs what came after it */
    l->store += rt_seconds() - t;
    return put ? put : st;
}

static rt_status label_what_is_left(rt_labeler *l, block_rows *b)
{
    double begun = rt_seconds();
    uint64_t first, end;
    for (;;) {
        RT_TRY(rt_labels_next(l->writer, &first, &end));
        if (first == end) return RT_OK;
        RT_TRY(label_run(l, b, first, end, begun));
    }
}

static rt_status label_rows(rt_labeler *l)
{
    uint64_t most = rt_labeler_together(l);
    block_rows b = {.raw = malloc((size_t)RT_LABEL_BLOCK * rt_source_row_bytes(l->x) + 64),
                    .row = malloc((size_t)most * sizeof *b.row)};
    rt_status st = b.raw && b.row ? RT_OK : rt_fail(RT_RUN, "out of memory");
    if (!st) st = rt_label_put_new(&b.put, l->writer, &l->spec, most, !rt_device_is_cpu(l->device));
    l->before = rt_labels_rows_done(l->writer);
    if (!st) st = label_what_is_left(l, &b);
    /* Of processes with one counter the first looks whether all is there when the others have ended. */
    if (l->cluster) {
        st = rt_cluster_end(l->cluster, st);
        if (!st && !rt_cluster_rank(l->cluster)) st = rt_labels_alone(l->writer);
        if (!st && !rt_cluster_rank(l->cluster)) st = label_what_is_left(l, &b);
    }
    if (b.put) l->writing = rt_label_put_writing(b.put);
    free(b.raw);
    free(b.row);
    rt_label_put_free(b.put);
    return st;
}

/* ---- result ---- */

/* A label that all rows have, or none. */
static void warn_labels(const rt_labels_summary *s, const rt_head *head, cJSON *warnings)
{
    char text[512], number[16];
    for (int k = 0; k < head->size; k++) {
        uint64_t n = s->class_count[head->at + k], all = rt_labels_labelled(s->status);
        if (all < 2 || (n && n < all)) continue;
        snprintf(text, sizeof text, "the teacher gives %s of %llu rows the label '%.100s' of head '%s'",
                 n ? "all" : "none", (unsigned long long)all, rt_names_at(&head->names, k, number), head->name);
        cJSON_AddItemToArray(warnings, cJSON_CreateString(text));
    }
}

static void warn(const rt_labeler *l, const rt_labels_summary *s, cJSON *warnings)
{
    uint64_t labelled = rt_labels_labelled(s->status);
    int first = 1;
    if (!labelled) cJSON_AddItemToArray(warnings, cJSON_CreateString("no row has a label"));
    for (int h = 0; h < l->heads && labelled; h++) {
        const rt_head *head = &l->head[h];
        char of[RT_HEAD_NAME + 16] = "";
        if (l->heads > 1) snprintf(of, sizeof of, " in head '%s'", head->name);
        if (head->task == RT_TASK_CLASSES)
            rt_label_warn_classes(warnings, head, of, s->class_count + head->at, labelled, first ? s->confidence : NAN);
        if (head->task == RT_TASK_CLASSES) first = 0;
        if (head->task == RT_TASK_MULTILABEL) warn_labels(s, head, warnings);
    }
}

/* What is told of all rows, once they all are there. */
static void add_counts(const rt_labeler *l, const rt_labels_summary *s, cJSON *r)
{
    int all = rt_labels_all_done(l->writer);
    if (all) cJSON_AddNumberToObject(r, "rows_labelled", (double)rt_labels_labelled(s->status));
    else cJSON_AddNumberToObject(r, "rows_done", (double)rt_labels_rows_done(l->writer));
    if (all) cJSON_AddNumberToObject(r, "bad_input", (double)s->status[RT_LABEL_BAD_INPUT]);
    if (all) cJSON_AddNumberToObject(r, "bad_answer", (double)s->status[RT_LABEL_BAD_ANSWER]);
    cJSON_AddNumberToObject(r, "labelled_now", (double)l->labelled);
    if (l->set.shards || l->cluster) cJSON_AddBoolToObject(r, "complete", all);
    if (!all) return;
    cJSON_AddItemToObject(r, "class_counts", rt_labels_class_counts(s, l->head, l->heads));
    if (rt_labeler_classes(l)) cJSON_AddNumberToObject(r, "confidence_mean", s->confidence);
}

/* class_count of the summary belongs to the writer, which must still be there. */
static cJSON *result_of(const rt_labeler *l)
{
    rt_labels_summary s = rt_labels_written(l->writer);
    cJSON *r = cJSON_CreateObject(), *warnings = cJSON_CreateArray();
    double seconds = rt_seconds() - l->start;
    cJSON_AddStringToObject(r, "labels", l->out->path);
    cJSON_AddNumberToObject(r, "rows", (double)l->spec.rows);
    if (l->spec.views.count) cJSON_AddNumberToObject(r, "views", l->spec.views.count);
    add_counts(l, &s, r);
    cJSON_AddNumberToObject(r, "seconds", seconds);
    cJSON_AddNumberToObject(r, "start_seconds", l->labelled ? l->first : seconds);
    if (l->labelled) cJSON_AddNumberToObject(r, "start_cpu_seconds", l->first_cpu);
    cJSON_AddNumberToObject(r, "compute_seconds", l->compute);
    cJSON_AddNumberToObject(r, "source_seconds", l->source);
    cJSON_AddNumberToObject(r, "store_seconds", l->store);
    cJSON_AddNumberToObject(r, "reading_seconds", l->reading);
    cJSON_AddNumberToObject(r, "writing_seconds", l->writing);
    cJSON_AddNumberToObject(r, "rows_per_second", seconds > 0 ? (double)l->labelled / seconds : 0);
    if (l->set.price > 0) cJSON_AddNumberToObject(r, "cost", l->set.price * seconds / 3600);
    cJSON_AddStringToObject(r, "teacher_digest", l->digest.hex);
    if (l->notes->child) cJSON_AddItemToObject(r, "notes", cJSON_Duplicate(l->notes, 1));
    if (rt_labels_all_done(l->writer)) warn(l, &s, warnings);
    if (warnings->child) cJSON_AddItemToObject(r, "warnings", warnings);
    else cJSON_Delete(warnings);
    return r;
}

/* Adds what the logits of the complete store say. */
static rt_status glance(const rt_labeler *l, cJSON *r)
{
    enum { MOST = 1 << 20 };               /* rows: more would make the labelling of a small teacher's last */
    const rt_head *head = rt_labeler_classes(l);
    const rt_label_report q = {.store = l->out->path, .data = *l->set.y.set ? l->set.source : NULL, .where = &l->set.x,
                               .truth = &l->set.y, .head = head ? head->name : NULL, .pool = rt_device_pool(l->device),
                               .progress = l->progress};
    cJSON *warnings = cJSON_DetachItemFromObject(r, "warnings"), *says = NULL;
    if (!warnings) warnings = cJSON_CreateArray();
    rt_status st = head ? rt_label_glance(&q, MOST, warnings, &says) : RT_OK;
    if (says) cJSON_AddItemToObject(r, "summary", says);
    if (warnings->child) cJSON_AddItemToObject(r, "warnings", warnings);
    else cJSON_Delete(warnings);
    return st == RT_NOTHING ? RT_OK : st;
}

/* Keeps what was labelled, also after an error, whose message stays; of a card that failed it says so. */
static rt_status end(rt_labeler *l, rt_status st)
{
    char message[1024];
    snprintf(message, sizeof message, "%s", rt_error_message());
    int card_failed = st == RT_RUN && !rt_device_is_cpu(l->device);
    if (card_failed) rt_labels_commit(l->writer);          /* an error of it ends the store, which says so */
    unsigned long long kept = rt_labels_rows_done(l->writer);
    rt_status ended = rt_labels_end(l->writer);
    if (card_failed && !ended)
        return rt_fail(st, "%s; %llu of %llu rows are labelled and on disk: the same command goes on from there",
                       message, kept, (unsigned long long)l->spec.rows);
    return st ? rt_fail(st, "%s", message) : ended;
}

/* From the teacher to the store's end; *result: of a process that has something to tell. */
static rt_status label(rt_labeler *l, cJSON **result)
{
    rt_status st = rt_cluster_agree(l->cluster, rt_labeler_open(l));
    int all = 0;
    if (!st) st = begin(l);
    if (!st) {
        st = label_rows(l);
        all = rt_labels_all_done(l->writer);
        if (!st && !rt_cluster_rank(l->cluster)) *result = result_of(l);
    }
    if (l->writer) st = end(l, st);
    if (!st && all && *result) st = glance(l, *result);
    return st;
}

rt_status rt_label(cJSON *config, const rt_target *out, rt_device *device, const rt_progress *progress, cJSON **result)
{
    rt_labeler l = {.out = out, .device = device, .start = rt_seconds()};
    *result = NULL;
    RT_TRY(rt_labeler_read(config, &l.set));
    RT_TRY(rt_precision_take(device, l.set.precision, "label.precision"));
    RT_TRY(rt_cluster_begin(&l.cluster, l.set.mpi));
    l.notes = cJSON_CreateArray();
    rt_label_telling telling;
    l.progress = rt_label_telling_begin(&telling, rt_cluster_rank(l.cluster) ? NULL : progress);
    rt_status st = l.cluster && l.set.shards ?
        rt_fail(RT_USAGE, "label.shard: the processes of an mpirun are shards already; leave --shard out, or give "
                "label.mpi=off") : label(&l, result);
    if (st) {
        cJSON_Delete(*result);
        *result = NULL;
    }
    rt_labeler_close(&l);
    rt_label_telling_end(&telling);
    rt_cluster_free(l.cluster);
    return st;
}
