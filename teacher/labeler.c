#include "teacher/labeler.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data/identity.h"
#include "data/labels.h"
#include "data/precision.h"
#include "data/provenance.h"
#include "data/row_check.h"
#include "data/rows.h"
#include "data/stream.h"
#include "data/x_where.h"
#include "engine/clock.h"
#include "engine/version.h"
#include "teacher/spec.h"

typedef struct {
    rt_teacher_spec teacher;
    const char *source, *rows;
    rt_x_where x;
    int topk, mark_bad, batch, prefetch, readers;
    rt_check check;
    rt_match match;
    rt_dtype type;
    rt_precision precision;
} settings;

static rt_status read_settings(cJSON *config, settings *s)
{
    static const char *const types[] = {"f32", "f16", NULL}, *const bad_rows[] = {"refuse", "mark", NULL};
    memset(s, 0, sizeof *s);
    rt_cfg c = rt_cfg_begin(config, "");
    s->teacher = rt_teacher_spec_read(&c, "teacher", "a model file, a list of up to 16, or a specification {...}");
    if (!s->teacher.paths) rt_cfg_fail(&c, "teacher", "a model file, a list of them, or a specification is required");
    rt_cfg d = rt_cfg_object(&c, "data");
    s->source = rt_cfg_file(&d, "source", NULL);
    rt_x_where_read(&d, s->source, &s->x);
    s->rows = rt_cfg_string(&d, "rows", "");
    s->check = rt_check_read(&d);
    s->match = rt_match_read(&d);
    rt_cfg_join(&c, &d);
    rt_cfg l = rt_cfg_object(&c, "labels");
    s->type = rt_cfg_choice(&l, "type", types, 0) ? RT_F16 : RT_F32;
    s->topk = rt_cfg_int(&l, "topk", 0, 0, RT_LABEL_TOPK);
    rt_cfg_join(&c, &l);
    rt_cfg o = rt_cfg_object(&c, "label");
    s->mark_bad = rt_cfg_choice(&o, "bad_rows", bad_rows, 0);
    s->batch = rt_cfg_int(&o, "batch", RT_LABEL_BLOCK, 1, 1 << 20);
    s->prefetch = rt_cfg_int(&o, "prefetch", 4, 0, 1024);
    s->readers = rt_cfg_int(&o, "readers", 1, 1, 64);
    s->precision = rt_precision_read(&o);
    rt_cfg_join(&c, &o);
    return rt_cfg_end(&c);
}

rt_status rt_label_check(cJSON *config)
{
    settings s;
    return read_settings(config, &s);
}

/* ---- set-up ---- */

typedef struct {
    settings set;
    const rt_target *out;
    rt_device *device;
    const rt_progress *progress;
    rt_teacher *teacher;
    const rt_head *head;               /* its heads */
    int heads;
    rt_source *x;
    rt_identity *identity;             /* of x */
    rt_labels_writer *writer;
    rt_labels_spec spec;
    rt_digest digest;                  /* of the teacher */
    cJSON *notes;
    uint64_t labelled;                 /* rows of this run */
    double start, first, compute;      /* seconds: when it began, until the first row was there, in the teacher */
} labeler;

/* Rows that the teacher has no answer to, known before any is asked about. */
static rt_status count_unanswered(labeler *l)
{
    uint64_t first = l->spec.first, end = first + l->spec.rows, removed;
    rt_rows rows = rt_rows_between(first, end);
    char text[400];
    uint64_t low, high;
    rt_teacher_covers(l->teacher, &low, &high);
    if (first < low || end > high)
        return rt_fail(RT_INPUT, "%s: has answers to rows %llu:%llu alone; give --rows", l->set.teacher.path[0],
                       (unsigned long long)low, (unsigned long long)high);
    rt_status st = rt_teacher_remove_unanswered(l->teacher, &rows, &removed);
    if (!st && removed) {
        while (rt_rows_has(&rows, first)) first++;
        snprintf(text, sizeof text, "%.200s: has no answer to %llu of %llu rows, the first of them row %llu",
                 l->set.teacher.path[0], (unsigned long long)removed, (unsigned long long)l->spec.rows,
                 (unsigned long long)first);
        if (!l->set.mark_bad) st = rt_fail(RT_INPUT, "%s; label.bad_rows=mark gives such rows no label", text);
        else cJSON_AddItemToArray(l->notes, cJSON_CreateString(text));
    }
    rt_rows_free(&rows);
    return st;
}

static rt_status open_all(labeler *l)
{
    const settings *s = &l->set;
    uint64_t end;
    RT_TRY(rt_teacher_open_spec(&l->teacher, &s->teacher, &s->x));
    if (!(rt_teacher_abilities(l->teacher) & (RT_TEACHER_COMPUTES | RT_TEACHER_ROWS)))
        return rt_fail(RT_USAGE, "%s: has answers already, and gives none to other rows; a model is needed here",
                       s->teacher.path[0]);
    const char *input[RT_SOURCE_PARTS];
    RT_TRY(rt_x_where_settle(&l->set.x, NULL, input, rt_teacher_inputs(l->teacher, input, 0)));
    RT_TRY(rt_x_open(&l->x, &s->x));
    RT_TRY(rt_identity_open(&l->identity, l->x, s->check));
    rt_teacher_binding to = {.source = l->x, .id = l->identity, .match = s->match, .marks = s->mark_bad,
                             .device = l->device, .progress = l->progress, .notes = l->notes};
    RT_TRY(rt_teacher_bind(l->teacher, &to));
    RT_TRY(rt_parse_range(s->rows, rt_source_rows(l->x), &l->spec.first, &end));
    l->spec.rows = end - l->spec.first;
    int most = 0;
    l->head = rt_teacher_heads(l->teacher, &l->heads);
    for (int h = 0; h < l->heads; h++)
        if (l->head[h].task == RT_TASK_CLASSES && l->head[h].size > most) most = l->head[h].size;
    l->spec.classes = rt_heads_width(l->head, l->heads);
    l->spec.head = rt_heads_plain(l->head, l->heads) ? NULL : l->head;
    l->spec.heads = l->spec.head ? l->heads : 0;
    l->spec.topk = s->topk;
    l->spec.type = s->type;
    if (s->topk && !most)
        return rt_fail(RT_USAGE, "labels.topk: is for heads of classes, and the teacher has none; leave it out");
    if (s->topk && s->topk >= most)
        return rt_fail(RT_USAGE, "labels.topk: %d of %d classes; leave it out for full logits", s->topk, most);
    if (!l->spec.rows) return rt_fail(RT_NOTHING, "%s: there are no rows to label", s->source);
    if (s->check == RT_CHECK_FULL)
        RT_TRY(rt_identity_know(l->identity, 0, rt_source_rows(l->x), rt_device_pool(l->device), l->progress));
    RT_TRY(count_unanswered(l));
    RT_TRY(rt_teacher_digest(l->teacher, &l->digest));
    return rt_teacher_ready(l->teacher, l->device, 0, NULL, 0);
}

/* Who says it; the store adds of what and how. */
static rt_status describe(const labeler *l, cJSON **out)
{
    const settings *s = &l->set;
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

static rt_status begin(labeler *l)
{
    const char *inputs[RT_TEACHER_FILES + RT_SOURCE_PARTS + 2];
    rt_labels_job job = {.source = l->identity,
                         .inputs = inputs,
                         .mark_bad = l->set.mark_bad,
                         .pool = rt_device_pool(l->device),
                         .progress = l->progress,
                         .notes = l->notes};
    cJSON *m;
    int files = rt_teacher_files(l->teacher, inputs, RT_TEACHER_FILES);
    inputs[files] = l->set.source;
    inputs[rt_x_where_files(&l->set.x, inputs, files + 1)] = NULL;
    rt_status st = describe(l, &m);
    if (!st) st = rt_labels_begin(&l->writer, l->out, &l->spec, m, &job);
    cJSON_Delete(m);
    return st;
}

/* ---- rows ---- */

/* A block of the store while its rows arrive. */
typedef struct {
    char *raw;
    uint64_t row[RT_LABEL_BLOCK];
    float *logits;
    unsigned char *status;
    uint64_t filled;
} block_rows;

static rt_status put_block(labeler *l, block_rows *b, const char *raw, uint64_t block, uint64_t size)
{
    double t = rt_seconds();
    const unsigned char *status = memchr(b->status, RT_LABEL_BAD_INPUT, size) ? b->status : NULL;
    for (uint64_t i = 0; i < size; i++) b->row[i] = l->spec.first + block * RT_LABEL_BLOCK + i;
    rt_feed q = {.raw = raw, .row = b->row, .rows = (int)size};
    RT_TRY(rt_teacher_ask(l->teacher, &q, b->logits));
    l->compute += rt_seconds() - t;
    b->filled = 0;
    RT_TRY(rt_labels_put(l->writer, block, b->logits, status));
    l->labelled += size;
    return RT_OK;
}

static rt_status refuse_row(const labeler *l, const rt_batch *batch, int r)
{
    const rt_source *part;
    int ids[RT_SOURCE_PARTS] = {0};
    rt_teacher_ids(l->teacher, l->x, ids);
    const char *fault = rt_source_fault(l->x, ids, batch->x + (size_t)r * rt_source_row_bytes(l->x), &part);
    return rt_fail(RT_INPUT, "%s: row %llu of '%s' contains %s, or let label.bad_rows=mark give such rows no label "
                   "and go on from here",
                   rt_source_path(part), (unsigned long long)batch->row[r], rt_source_info(part)->name, fault);
}

/* Batches of any size are regrouped into the store's blocks. */
static rt_status take_batch(labeler *l, block_rows *b, const rt_batch *batch)
{
    size_t row_bytes = rt_source_row_bytes(l->x);
    for (int r = 0; r < batch->rows;) {
        uint64_t block = (batch->row[r] - l->spec.first) / RT_LABEL_BLOCK, size = l->spec.rows - block * RT_LABEL_BLOCK;
        if (size > RT_LABEL_BLOCK) size = RT_LABEL_BLOCK;
        uint64_t take = size - b->filled < (uint64_t)(batch->rows - r) ? size - b->filled : (uint64_t)(batch->rows - r);
        /* A whole block need not be moved. */
        const char *raw = take == size ? batch->x + (size_t)r * row_bytes : b->raw;
        if (raw == b->raw) memcpy(b->raw + b->filled * row_bytes, batch->x + (size_t)r * row_bytes, take * row_bytes);
        for (uint64_t i = 0; i < take; i++) {
            int bad = batch->bad[r + (int)i];
            if (bad && !l->set.mark_bad)
                return refuse_row(l, batch, r + (int)i);
            b->status[b->filled + i] = bad ? RT_LABEL_BAD_INPUT : RT_LABEL_DONE;
        }
        b->filled += take;
        r += (int)take;
        if (b->filled == size) RT_TRY(put_block(l, b, raw, block, size));
    }
    return RT_OK;
}

static rt_status take_all(labeler *l, block_rows *b, rt_stream *stream, uint64_t rows)
{
    double start = rt_seconds(), mark = 0;
    for (uint64_t g = 0; g < rt_stream_steps(stream); g++) {
        const rt_batch *batch;
        RT_TRY(rt_stream_next(stream, &batch));
        if (!g) l->first = rt_seconds() - l->start;
        RT_TRY(take_batch(l, b, batch));
        double now = rt_seconds();
        if (now - mark > 0.2) {
            rt_progress_update(l->progress, "label", (double)(l->spec.rows - rows + l->labelled), (double)l->spec.rows,
                               (double)l->labelled / (now - start + 1e-9), "rows", "");
            mark = now;
        }
        if (rt_stopped())
            return rt_fail(RT_INTERRUPTED, "interrupted; the same command goes on from here");
    }
    return RT_OK;
}

static rt_status label_rows(labeler *l)
{
    uint64_t blocks = rt_labels_blocks(l->writer);
    unsigned char *todo = malloc(blocks + 1);
    block_rows b = {.raw = malloc((size_t)RT_LABEL_BLOCK * rt_source_row_bytes(l->x) + 64),
                    .status = malloc(RT_LABEL_BLOCK),
                    .logits = rt_floats_new((size_t)RT_LABEL_BLOCK * (size_t)l->spec.classes)};
    rt_rows rows = {0};
    rt_stream *stream = NULL;
    rt_status st = todo && b.raw && b.status && b.logits ? RT_OK : rt_fail(RT_RUN, "out of memory");
    for (uint64_t i = 0; i < blocks && !st; i++) todo[i] = !rt_labels_done(l->writer, i);
    if (!st && !memchr(todo, 0, blocks)) rows = rt_rows_between(l->spec.first, l->spec.first + l->spec.rows);
    else if (!st) st = rt_rows_from_blocks(&rows, l->spec.first, l->spec.rows, RT_LABEL_BLOCK, todo);
    if (!st && rows.count) {
        rt_stream_spec q = {.x = l->x, .rows = &rows, .width = l->spec.classes, .batch = l->set.batch,
                            .keep_tail = 1, .mark_bad = 1,
                            .prefetch = l->set.prefetch, .threads = l->set.readers};
        rt_teacher_ids(l->teacher, l->x, q.ids);
        st = rt_stream_open(&stream, &q, 0);
        if (!st) st = take_all(l, &b, stream, rows.count);
    }
    rt_stream_close(stream);
    rt_rows_free(&rows);
    free(todo);
    free(b.raw);
    free(b.status);
    free(b.logits);
    return st;
}

/* ---- result ---- */

/* What is right by the rules and most likely wrong all the same. */
static void warn_head(const labeler *l, const rt_labels_summary *s, const rt_head *head, cJSON *warnings)
{
    char text[512], number[16], of[RT_HEAD_NAME + 16] = "";
    const uint64_t *count = s->class_count + head->at;
    uint64_t labelled = s->status[RT_LABEL_DONE];
    int best = 0, k = head->size;
    if (l->spec.heads > 1) snprintf(of, sizeof of, " in head '%s'", head->name);
    for (int c = 1; c < k; c++) if (count[c] > count[best]) best = c;
    const char *name = rt_names_at(&head->names, best, number);
    text[0] = 0;
    if (k > 1 && labelled > 1 && count[best] == labelled)
        snprintf(text, sizeof text, "the teacher's answer%s is the class '%.100s' for all %llu rows; is the data what "
                 "the teacher was trained on?", of, name, (unsigned long long)labelled);
    else if (k > 1 && (double)count[best] > 0.99 * (double)labelled)
        snprintf(text, sizeof text, "the teacher's answer%s is the class '%.100s' for %.2f %% of the rows", of, name,
                 100 * (double)count[best] / (double)labelled);
    if (text[0]) cJSON_AddItemToArray(warnings, cJSON_CreateString(text));
}

/* A label that all rows have, or none. */
static void warn_labels(const rt_labels_summary *s, const rt_head *head, cJSON *warnings)
{
    char text[512], number[16];
    for (int k = 0; k < head->size; k++) {
        uint64_t n = s->class_count[head->at + k], all = s->status[RT_LABEL_DONE];
        if (all < 2 || (n && n < all)) continue;
        snprintf(text, sizeof text, "the teacher gives %s of %llu rows the label '%.100s' of head '%s'",
                 n ? "all" : "none", (unsigned long long)all, rt_names_at(&head->names, k, number), head->name);
        cJSON_AddItemToArray(warnings, cJSON_CreateString(text));
    }
}

static void warn(const labeler *l, const rt_labels_summary *s, cJSON *warnings)
{
    uint64_t labelled = s->status[RT_LABEL_DONE];
    int first = -1;
    char text[120];
    if (!labelled) cJSON_AddItemToArray(warnings, cJSON_CreateString("no row has a label"));
    for (int h = 0; h < l->heads && labelled; h++) {
        if (l->head[h].task == RT_TASK_CLASSES) warn_head(l, s, &l->head[h], warnings);
        if (l->head[h].task == RT_TASK_MULTILABEL) warn_labels(s, &l->head[h], warnings);
        if (l->head[h].task == RT_TASK_CLASSES && first < 0) first = h;
    }
    int k = first < 0 ? 1 : l->head[first].size;
    if (labelled && k > 1 && s->confidence < 1.2 / k) {
        snprintf(text, sizeof text, "the teacher's mean confidence is %.4f, near the %.4f of chance", s->confidence,
                 1.0 / k);
        cJSON_AddItemToArray(warnings, cJSON_CreateString(text));
    }
}

/* class_count of the summary belongs to the writer, which must still be there. */
static cJSON *result_of(const labeler *l)
{
    rt_labels_summary s = rt_labels_written(l->writer);
    cJSON *r = cJSON_CreateObject(), *warnings = cJSON_CreateArray();
    double seconds = rt_seconds() - l->start;
    cJSON_AddStringToObject(r, "labels", l->out->path);
    cJSON_AddNumberToObject(r, "rows", (double)l->spec.rows);
    cJSON_AddNumberToObject(r, "rows_labelled", (double)s.status[RT_LABEL_DONE]);
    cJSON_AddNumberToObject(r, "bad_input", (double)s.status[RT_LABEL_BAD_INPUT]);
    cJSON_AddNumberToObject(r, "bad_answer", (double)s.status[RT_LABEL_BAD_ANSWER]);
    cJSON_AddNumberToObject(r, "labelled_now", (double)l->labelled);
    cJSON_AddItemToObject(r, "class_counts", rt_labels_class_counts(&s, l->head, l->heads));
    int of_classes = 0;
    for (int h = 0; h < l->heads; h++) of_classes |= l->head[h].task == RT_TASK_CLASSES;
    if (of_classes) cJSON_AddNumberToObject(r, "confidence_mean", s.confidence);
    cJSON_AddNumberToObject(r, "seconds", seconds);
    cJSON_AddNumberToObject(r, "start_seconds", l->labelled ? l->first : seconds);
    cJSON_AddNumberToObject(r, "compute_seconds", l->compute);
    cJSON_AddNumberToObject(r, "rows_per_second", seconds > 0 ? (double)l->labelled / seconds : 0);
    cJSON_AddStringToObject(r, "teacher_digest", l->digest.hex);
    if (l->notes->child) cJSON_AddItemToObject(r, "notes", cJSON_Duplicate(l->notes, 1));
    warn(l, &s, warnings);
    if (warnings->child) cJSON_AddItemToObject(r, "warnings", warnings);
    else cJSON_Delete(warnings);
    return r;
}

/* Keeps what was labelled, also after an error, whose message stays; of a card that failed it says so. */
static rt_status end(labeler *l, rt_status st)
{
    char message[1024];
    snprintf(message, sizeof message, "%s", rt_error_message());
    rt_labels_summary s = rt_labels_written(l->writer);
    unsigned long long kept = 0;
    for (int i = RT_LABEL_DONE; i < RT_LABEL_STATUSES; i++) kept += s.status[i];
    rt_status ended = rt_labels_end(l->writer);
    if (st == RT_RUN && !ended && !rt_device_is_cpu(l->device))
        return rt_fail(st, "%s; %llu of %llu rows are labelled and on disk: the same command goes on from there",
                       message, kept, (unsigned long long)l->spec.rows);
    return st ? rt_fail(st, "%s", message) : ended;
}

rt_status rt_label(cJSON *config, const rt_target *out, rt_device *device, const rt_progress *progress, cJSON **result)
{
    labeler l = {.out = out, .device = device, .progress = progress, .start = rt_seconds()};
    cJSON *r = NULL;
    *result = NULL;
    RT_TRY(read_settings(config, &l.set));
    RT_TRY(rt_precision_take(device, l.set.precision, "label.precision"));
    l.notes = cJSON_CreateArray();
    rt_status st = open_all(&l);
    if (!st) st = begin(&l);
    if (!st) {
        st = label_rows(&l);
        if (!st) r = result_of(&l);
        st = end(&l, st);
    }
    if (st) cJSON_Delete(r);
    else *result = r;
    cJSON_Delete(l.notes);
    rt_identity_close(l.identity);
    rt_source_close(l.x);
    rt_teacher_close(l.teacher);
    return st;
}
