/* data/import_out.c - the file that an import writes: x as its rows come, without a name until all is there. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data/files.h"
#include "data/import_parts.h"
#include "engine/clock.h"
#include "engine/convert.h"
#include "engine/digest.h"

enum { BUFFER = 1 << 20, SAY_EVERY = 1 << 24 };

static rt_status manifest_of(const rt_import_job *job, char **text)
{
    static const char *const left_out[] = {"data", "class_names", "columns", "targets", NULL};
    const char *const paths[] = {job->spec->input, job->spec->labels};
    cJSON *m = cJSON_CreateObject(), *from = cJSON_Duplicate(job->report, 1), *files = cJSON_CreateArray();
    rt_status st = RT_OK;
    for (int i = 0; left_out[i]; i++) cJSON_DeleteItemFromObjectCaseSensitive(from, left_out[i]);
    cJSON_AddStringToObject(m, "what", "data set");
    cJSON_AddItemToObject(m, "imported", from);
    cJSON_AddItemToObject(from, "inputs", files);
    for (int i = 0; i < 2 && !st; i++) {
        rt_digest d;
        if (!paths[i]) continue;
        cJSON *f = cJSON_CreateObject();
        cJSON_AddItemToArray(files, f);
        cJSON_AddStringToObject(f, "path", paths[i]);
        if (i == 0 && job->spec->format == RT_FORMAT_IMAGES) continue;      /* a folder has no bytes of its own */
        st = rt_digest_file(&d, paths[i], 1);
        if (!st) cJSON_AddStringToObject(f, "xxh128", d.hex);
    }
    if (job->class_name) {
        cJSON *names = cJSON_AddArrayToObject(m, "classes");
        for (int i = 0; i < job->classes; i++) cJSON_AddItemToArray(names, cJSON_CreateString(job->class_name[i]));
    }
    const cJSON *targets = cJSON_GetObjectItemCaseSensitive(job->report, "targets");
    if (targets) cJSON_AddItemToObject(m, "targets", cJSON_Duplicate(targets, 1));
    if (job->columns) cJSON_AddItemToObject(m, "columns", cJSON_Duplicate(job->columns, 1));
    *text = st ? NULL : rt_json_text(m, 1);
    cJSON_Delete(m);
    if (!st && !*text) return rt_fail(RT_RUN, "out of memory");
    if (!st && strlen(*text) > RT_JSON_MAX_BYTES) {
        free(*text);
        *text = NULL;
        st = rt_fail(RT_INPUT, "%s: the names of its columns and classes take more than %d bytes; shorten them",
                     job->spec->input, RT_JSON_MAX_BYTES);
    }
    return st;
}

/* Rows must be as those of --like; columns without names take its names. */
static rt_status check_like(rt_import_job *job, int rank, const uint64_t *dim)
{
    const rt_names *columns = &job->columns_like;
    const char *like = job->spec->like;
    rt_shape mine = {.rank = rank - 1}, theirs = {.rank = job->rank_like};
    char a[64], b[64];
    if (!job->rank_like || rank - 1 > RT_MAX_RANK || job->rank_like > RT_MAX_RANK) return RT_OK;
    int same = rank - 1 == job->rank_like;
    for (int i = 0; i < rank - 1; i++) mine.dim[i] = (int)dim[i + 1];
    for (int i = 0; i < job->rank_like; i++) theirs.dim[i] = (int)job->dim_like[i];
    for (int i = 0; same && i < rank - 1; i++) same = dim[i + 1] == job->dim_like[i];
    int only_order = rank == 2 && columns->name && job->columns;         /* matched by name already */
    if (!same && !only_order)
        return rt_fail(RT_INPUT, "%s: its rows have the shape %s, and those of %s %s", job->spec->input,
                       rt_shape_text(&mine, a), like, rt_shape_text(&theirs, b));
    if (columns->name && !job->columns && rank == 2 && dim[1] == (uint64_t)columns->count) {
        job->columns = rt_names_to_json(columns);
        rt_import_note(job, "the file names no columns: they are taken as those of %s, in its order", like);
    }
    return RT_OK;
}

static rt_h5_item checks_item(const char *name, uint64_t rows, uint64_t row_bytes)
{
    return (rt_h5_item){.name = name, .type = RT_U32, .rank = 1, .dim = {rt_check_blocks(rows, row_bytes)}};
}

/* Writes a set that is at hand, and its checksums. */
static rt_status put_checked(const rt_import_job *job, const void *data, uint64_t rows, uint64_t row_bytes, uint64_t at,
                             uint64_t check_at)
{
    rt_check_sum sum;
    RT_TRY(rt_check_begin(&sum, rows, row_bytes));
    rt_check_add(&sum, data, rows * row_bytes);
    rt_status st = rt_pwrite_all(job->fd, data, rows * row_bytes, at, job->out);
    uint64_t bytes = rt_check_blocks(rows, row_bytes) * sizeof *sum.crc;
    if (!st) st = rt_pwrite_all(job->fd, sum.crc, bytes, check_at, job->out);
    rt_check_free(&sum);
    return st;
}

rt_status rt_import_begin(rt_import_job *job, rt_dtype type, int rank, const uint64_t *dim)
{
    enum { SETS = 6 + 2 * RT_IMPORT_TARGETS };
    uint64_t bytes = rt_dtype_size(type), offset[SETS];
    char *text = NULL;
    for (int i = 0; i < rank; i++)
        if (__builtin_mul_overflow(bytes, dim[i], &bytes))
            return rt_fail(RT_INPUT, "%s: impossible shape", job->spec->input);
    if (!bytes && dim[0]) return rt_fail(RT_NOTHING, "%s: its rows are empty", job->spec->input);
    if (!bytes) return rt_fail(RT_NOTHING, "%s: there are no rows to import", job->spec->input);
    RT_TRY(check_like(job, rank, dim));
    job->type = type;
    job->rank = rank;
    memcpy(job->dim, dim, (size_t)rank * sizeof *dim);
    job->buffer = malloc(BUFFER);
    if (!job->buffer) return rt_fail(RT_RUN, "out of memory");
    RT_TRY(manifest_of(job, &text));
    uint64_t row_bytes = bytes / dim[0], label = sizeof *job->y;
    rt_h5_item it[SETS] = {{.name = "x", .type = type, .rank = rank},
                        {.name = "manifest", .type = RT_TEXT, .element = (uint32_t)strlen(text)},
                        checks_item(RT_CHECKS_GROUP "x", dim[0], row_bytes),
                        checks_item(RT_CHECKS_GROUP "manifest", 1, 1),
                        {.name = "y", .type = RT_I32, .rank = 1, .dim = {dim[0]}},
                        checks_item(RT_CHECKS_GROUP "y", dim[0], label)};
    memcpy(it[0].dim, dim, (size_t)rank * sizeof *dim);
    char checks[RT_IMPORT_TARGETS][RT_H5_NAME];
    int n = job->y ? 6 : 4, first = n;
    for (int i = 0; i < job->spec->targets; i++) {
        const rt_import_target *t = &job->spec->target[i];
        uint64_t columns = (uint64_t)t->columns;
        snprintf(checks[i], sizeof checks[i], "%s%s", RT_CHECKS_GROUP, t->name);
        it[n++] = (rt_h5_item){.name = t->name, .type = RT_F32, .rank = 2, .dim = {dim[0], columns}};
        it[n++] = checks_item(checks[i], dim[0], columns * sizeof(float));
    }
    rt_status st = rt_check_begin(&job->check, dim[0], row_bytes);
    if (!st) st = rt_output_create(job->output, &job->fd);
    if (!st) st = rt_h5_create(job->fd, job->out, "retort-data-1", it, n, offset);
    if (!st) st = put_checked(job, text, 1, strlen(text), offset[1], offset[3]);
    if (!st && job->y) st = put_checked(job, job->y, dim[0], label, offset[4], offset[5]);
    job->check_at = offset[2];
    for (int i = 0; i < job->spec->targets; i++) {
        job->target[i].at = offset[first + 2 * i];
        job->target[i].check_at = offset[first + 2 * i + 1];
    }
    cJSON_free(text);
    job->at = job->start = offset[0];
    job->since = rt_seconds();
    job->end = job->at + bytes;
    job->next_say = job->at + SAY_EVERY;
    return st;
}

/* Values that are there and are no finite numbers: kept as they are, and said. Pieces end between values. */
static void count_odd(rt_import_job *job)
{
    enum { AT_ONCE = 1024 };
    float v[AT_ONCE];
    size_t size = rt_dtype_size(job->type), n = job->held / size;
    if (rt_dtype_is_integer(job->type)) return;
    for (size_t i = 0; i < n; i += AT_ONCE) {
        size_t some = n - i < AT_ONCE ? n - i : AT_ONCE;
        if (job->type == RT_F64)
            for (size_t k = 0; k < some; k++) job->odd += !isfinite(((const double *)job->buffer)[i + k]);
        else {
            rt_to_float(v, job->buffer + i * size, job->type, some);
            for (size_t k = 0; k < some; k++) job->odd += !isfinite(v[k]);
        }
    }
}

static rt_status flush(rt_import_job *job)
{
    count_odd(job);
    RT_TRY(rt_pwrite_all(job->fd, job->buffer, job->held, job->at, job->out));
    rt_check_add(&job->check, job->buffer, job->held);
    job->at += job->held;
    job->held = 0;
    if (job->at >= job->next_say) {
        static const double mib = 1 << 20;
        double done = (double)(job->at - job->start) / mib, spent = rt_seconds() - job->since;
        rt_progress_update(job->spec->progress, "import", done, (double)(job->end - job->start) / mib,
                           spent > 0 ? done / spent : 0, "MiB", "");
        job->next_say += SAY_EVERY;
    }
    return rt_import_stopped(job);
}

rt_status rt_import_put(rt_import_job *job, const void *data, size_t bytes)
{
    for (const char *p = data; bytes;) {
        size_t n = BUFFER - job->held < bytes ? BUFFER - job->held : bytes;
        if (n > job->end - job->at - job->held)
            return rt_fail(RT_INPUT, "%s: has more data than before; was it changed meanwhile?", job->spec->input);
        memcpy(job->buffer + job->held, p, n);
        job->held += n;
        p += n;
        bytes -= n;
        if (job->held == BUFFER) RT_TRY(flush(job));
    }
    return RT_OK;
}

rt_status rt_import_end(rt_import_job *job)
{
    RT_TRY(flush(job));
    if (job->at != job->end) return rt_fail(RT_INPUT, "%s: has less data than before; was it changed meanwhile?",
                                            job->spec->input);
    uint64_t blocks = rt_check_blocks(job->dim[0], (job->end - job->start) / job->dim[0]);
    if (job->odd)
        rt_import_note(job,
                       "%llu values are NaN or infinite, and are kept: training and evaluation refuse their rows by "
                       "name, 'retort label' with label.bad_rows=mark leaves them out",
                       (unsigned long long)job->odd);
    for (int i = 0; i < job->spec->targets; i++)
        RT_TRY(put_checked(job, job->target[i].value, job->dim[0],
                           (uint64_t)job->spec->target[i].columns * sizeof(float), job->target[i].at,
                           job->target[i].check_at));
    RT_TRY(rt_pwrite_all(job->fd, job->check.crc, blocks * sizeof *job->check.crc, job->check_at, job->out));
    RT_TRY(rt_stamp_unchanged(&job->input, job->spec->input));
    if (job->spec->labels) RT_TRY(rt_stamp_unchanged(&job->labels, job->spec->labels));
    return rt_output_commit(job->output);
}
