/* data/import.c - one import: what applies, what is known already, which format, what was done. */
#include "data/import.h"

#include <stdarg.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "data/h5.h"
#include "data/import_parts.h"
#include "engine/text.h"

static const char *const format_names[] = {"auto", "idx", "csv", "npy", "npz", "images"};

void rt_import_note(rt_import_job *job, const char *fmt, ...)
{
    char text[1500];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    rt_one_line(text);
    cJSON_AddItemToArray(cJSON_GetObjectItemCaseSensitive(job->report, "notes"), cJSON_CreateString(text));
}

static void add_line(cJSON *object, const char *key, const char *value)
{
    char text[700];
    snprintf(text, sizeof text, "%s", value);
    rt_one_line(text);
    cJSON_AddStringToObject(object, key, text);
}

void rt_import_skipped(rt_import_job *job, const char *what, uint64_t count, const char *why)
{
    if (!count) return;
    cJSON *s = cJSON_CreateObject();
    add_line(s, "what", what);
    cJSON_AddNumberToObject(s, "count", (double)count);
    add_line(s, "why", why);
    cJSON_AddItemToArray(cJSON_GetObjectItemCaseSensitive(job->report, "skipped"), s);
}

rt_status rt_import_stopped(const rt_import_job *job)
{
    if (!rt_stopped()) return RT_OK;
    return rt_fail(RT_INTERRUPTED, "interrupted; %s is not made", job->out);
}

/* ---- format ---- */

static int ends(const char *path, const char *end)
{
    size_t n = strlen(path), k = strlen(end);
    return n >= k && strcasecmp(path + n - k, end) == 0;
}

static int text_name(const char *path)
{
    static const char *const known[] = {".csv", ".tsv", ".txt", ".data", ".tab", ".csv.gz", ".tsv.gz", ".txt.gz",
                                        ".data.gz", NULL};
    for (int i = 0; known[i]; i++) if (ends(path, known[i])) return 1;
    return 0;
}

rt_status rt_import_format(rt_format *format, const char *path)
{
    static const char picture[] = "one picture; give the folder that has a folder of pictures a class";
    static const char pickle[] = "a pickle; save arrays with np.save";
    static const struct { const char *magic; size_t n; const char *what; } others[] = {
        {"\211HDF", 4, "an HDF5 file already, which train, label and eval read as it is"},
        {"PAR1", 4, "a Parquet file; write it as CSV or NPY"},
        {"\211PNG", 4, picture}, {"\377\330\377", 3, picture},
        {"MATLAB 5.0", 10, "a MATLAB file; save its arrays as NPY, or with -v7.3"},
        {"\320\317\021\340", 4, "an old Excel workbook; save it as CSV"},
        {"SQLite format 3", 15, "an SQLite database; write the table as CSV"},
        {"\200\003", 2, pickle}, {"\200\004", 2, pickle}, {"\200\005", 2, pickle}};
    struct stat s;
    rt_bytes *b;
    unsigned char m[16] = {0};
    size_t n;
    *format = RT_FORMAT_IMAGES;
    if (stat(path, &s)) return rt_fail(rt_errno_status(errno), "%s: %s", path, strerror(errno));
    if (S_ISDIR(s.st_mode)) return RT_OK;
    RT_TRY(rt_bytes_open(&b, path));
    rt_status st = rt_bytes_read(b, m, sizeof m, &n);
    rt_bytes_close(b);
    RT_TRY(st);
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (n >= others[i].n && memcmp(m, others[i].magic, others[i].n) == 0)
            return rt_fail(RT_USAGE, "%s: is %s", path, others[i].what);
    *format = text_name(path) ? RT_FORMAT_CSV : RT_FORMAT_AUTO;
    if (memcmp(m, "\223NUMPY", 6) == 0) *format = RT_FORMAT_NPY;
    else if (memcmp(m, "PK\3\4", 4) == 0 || memcmp(m, "PK\5\6", 4) == 0) *format = RT_FORMAT_NPZ;
    else if (n >= 8 && !m[0] && !m[1] && m[2] >= 8 && m[2] <= 14 && m[3] >= 1 && m[3] <= 8) *format = RT_FORMAT_IDX;
    if (*format == RT_FORMAT_AUTO && ends(path, ".npy")) *format = RT_FORMAT_NPY;        /* truncated ones say so */
    if (*format == RT_FORMAT_AUTO && ends(path, ".npz")) *format = RT_FORMAT_NPZ;
    if (*format == RT_FORMAT_AUTO && strstr(path, "idx")) *format = RT_FORMAT_IDX;
    if (*format == RT_FORMAT_AUTO && n && m[0] == '{')
        return rt_fail(RT_USAGE, "%s: is JSON, and no data; a teacher's specification is told beside its model: "
                                 "MODEL.onnx --config %s", path, path);
    if (*format == RT_FORMAT_AUTO)
        return rt_fail(RT_USAGE,
                       "%s: its format cannot be told from its name and first bytes; give --format idx, csv, npy, npz "
                       "or images", path);
    return RT_OK;
}

/* ---- what applies ---- */

static rt_status check_applies(const rt_import_spec *s)
{
    enum { CSV = 1 << RT_FORMAT_CSV, NPY = 1 << RT_FORMAT_NPY, NPZ = 1 << RT_FORMAT_NPZ,
          IMAGES = 1 << RT_FORMAT_IMAGES, IDX = 1 << RT_FORMAT_IDX };
    const unsigned csv = s->labels ? CSV | NPY | NPZ | IDX : CSV;        /* the second file may be CSV */
    const unsigned files = CSV | NPY | NPZ | IDX;
    const struct { int given; const char *name; unsigned of; const char *where; } all[] = {
        {s->label != NULL, "label", csv, "a CSV file"},
        {s->missing_labels_refused, "missing-labels", files, "labels that are no folders"},
        {s->encoding != NULL, "encoding", csv, "CSV"},
        {s->separator != 0, "separator", CSV, "CSV"},
        {s->decimal != 0, "decimal", CSV, "CSV"},
        {s->header != RT_HEADER_AUTO, "header", CSV, "CSV"},
        {s->drop_missing, "missing", CSV, "CSV"},
        {s->drops != 0, "drop", CSV, "CSV"},
        {s->targets != 0, "target", CSV, "CSV; of other formats h5py adds a data set of the head's name"},
        {s->keep_index, "keep-index", CSV, "CSV"},
        {s->height != 0, "size", IMAGES, "images"},
        {s->channels != 0, "channels 1 or 3", IMAGES, "images"},
        {s->alpha != RT_ALPHA_UNSAID, "alpha", IMAGES, "images"},
        {s->skip_bad, "skip-bad", IMAGES, "images"},
        {s->x != NULL, "x", NPZ, "NPZ"},
        {s->y != NULL, "y", NPZ, "NPZ"},
        {s->place != RT_CHANNELS_UNSAID, "channels first or last", NPY | NPZ, "NPY and NPZ"}};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (all[i].given && !(all[i].of >> s->format & 1))
            return rt_fail(RT_USAGE, "--%s does not apply to %s: it is for %s", all[i].name, format_names[s->format],
                           all[i].where);
    if (s->labels && s->format == RT_FORMAT_IMAGES)
        return rt_fail(RT_USAGE, "%s: labels of pictures are the names of their folders; a second file is not read",
                       s->labels);
    if (s->labels && s->y) return rt_fail(RT_USAGE, "--y %s and %s: give one of them", s->y, s->labels);
    if (s->labels && s->label && s->format == RT_FORMAT_CSV) {
        rt_format f;
        RT_TRY(rt_import_format(&f, s->labels));
        if (f != RT_FORMAT_CSV) return rt_fail(RT_USAGE, "--label %s and %s: labels are a column, or a second file",
                                               s->label, s->labels);
    }
    int labelled = s->label || s->labels || s->format >= RT_FORMAT_NPZ || s->like;
    const char *idle = s->missing_labels_refused ? "missing-labels" : s->no_label ? "no-label" : NULL;
    if (!idle) idle = s->max_classes ? "max-classes" : s->class_count ? "classes" : NULL;
    if (!labelled && idle)
        return rt_fail(RT_USAGE, "--%s: there are no labels; name them by --label or a second file", idle);
    return RT_OK;
}

rt_status rt_import_applies(const rt_import_spec *given)
{
    rt_import_spec spec = *given;
    if (spec.format == RT_FORMAT_AUTO) RT_TRY(rt_import_format(&spec.format, spec.input));
    return check_applies(&spec);
}

/* ---- --classes and --like ---- */

static rt_status read_like(rt_import_job *job)
{
    const char *path = job->spec->like;
    rt_h5_file *f;
    cJSON *m = NULL;
    void *text = NULL;
    rt_names classes = {0};
    RT_TRY(rt_h5_scan(&f, path));
    rt_status st = rt_names_read(f, &classes, &job->columns_like);
    if (!st && (classes.name || job->columns_like.name)) st = rt_h5_read_all(&text, f, "manifest", RT_JSON_MAX_BYTES);
    if (!st && text) st = rt_json_parse(&m, text, strlen(text), path);
    if (!st && !classes.name && !job->columns_like.name)
        st = rt_fail(RT_INPUT, "%s: names neither classes nor columns: there is nothing to be like", path);
    if (!st && !job->known.name) {
        job->known = classes;
        classes = (rt_names){0};
    }
    const cJSON *imported = cJSON_GetObjectItemCaseSensitive(m, "imported");
    const char *label = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(imported, "label_column"));
    const rt_h5_dataset *x = rt_h5_find(f, "x");
    const cJSON *arch = cJSON_GetObjectItemCaseSensitive(m, "arch");
    const cJSON *input = arch ? cJSON_GetObjectItemCaseSensitive(arch, "input") : NULL;
    for (const cJSON *d = input ? input->child : NULL; d && job->rank_like < RT_H5_RANK; d = d->next)
        job->dim_like[job->rank_like++] = d->valuedouble >= 1 ? (uint64_t)d->valuedouble : 0;
    for (int i = 1; x && i < x->rank; i++) job->dim_like[job->rank_like++] = x->dim[i];
    if (!st && label && !(job->label_like = strdup(label))) st = rt_fail(RT_RUN, "out of memory");
    for (int i = 0; x && x->rank == 4 && i < 3; i++)
        if (x->dim[i + 1] <= 16384) job->size_like[i] = (int)x->dim[i + 1];
    rt_names_free(&classes);
    cJSON_Delete(m);
    free(text);
    rt_h5_close(f);
    return st;
}

static rt_status read_known(rt_import_job *job)
{
    const rt_import_spec *s = job->spec;
    for (int i = 0; i < s->class_count; i++)
        for (int k = 0; k < i; k++)
            if (strcmp(s->classes[i], s->classes[k]) == 0)
                return rt_fail(RT_USAGE, "--classes: '%.60s' stands twice", s->classes[i]);
    if (s->class_count) {
        cJSON *list = cJSON_CreateStringArray(s->classes, s->class_count);
        rt_status st = rt_names_from_json(&job->known, list, "--classes", "classes");
        cJSON_Delete(list);
        if (st) return rt_fail_in(RT_USAGE, "import");
    }
    return s->like ? read_like(job) : RT_OK;
}

/* ---- all of it ---- */

static void finish_report(rt_import_job *job)
{
    cJSON *r = job->report, *shape = cJSON_CreateArray(), *notes = cJSON_DetachItemFromObjectCaseSensitive(r, "notes"),
          *skipped = cJSON_DetachItemFromObjectCaseSensitive(r, "skipped");
    for (int i = 1; i < job->rank; i++) cJSON_AddItemToArray(shape, cJSON_CreateNumber((double)job->dim[i]));
    cJSON_AddNumberToObject(r, "rows", (double)job->dim[0]);
    cJSON_AddItemToObject(r, "row_shape", shape);
    cJSON_AddStringToObject(r, "type", rt_dtype_name(job->type));
    cJSON_AddBoolToObject(r, "labels", job->y != NULL);
    if (job->columns) cJSON_AddItemToObject(r, "columns", cJSON_Duplicate(job->columns, 1));
    cJSON_AddItemToObject(r, "skipped", skipped);
    cJSON_AddItemToObject(r, "notes", notes);
}

static void free_job(rt_import_job *job)
{
    rt_output_end(job->output);
    for (int i = 0; i < job->classes && job->class_name; i++) free(job->class_name[i]);
    free(job->class_name);
    free(job->label_like);
    free(job->buffer);
    rt_check_free(&job->check);
    free(job->dropped);
    free(job->y);
    for (int i = 0; i < RT_IMPORT_TARGETS; i++) free(job->target[i].value);
    cJSON_Delete(job->columns);
    cJSON_Delete(job->report);
    rt_names_free(&job->known);
    rt_names_free(&job->columns_like);
}

static const char *or_none(const char *path) { return path ? path : ""; }

rt_status rt_import_run(const rt_import_spec *given, const rt_target *out, cJSON **report)
{
    rt_import_spec spec = *given;
    rt_import_job job = {.spec = &spec, .out = out->path, .fd = -1, .report = cJSON_CreateObject()};
    const char *const inputs[] = {spec.input, or_none(spec.labels), or_none(spec.like), NULL};
    *report = NULL;
    rt_status st = rt_output_take(&job.output, out, inputs);
    if (!st) st = rt_output_may_replace(job.output, RT_OUTPUT_DATA);
    if (!st && spec.format == RT_FORMAT_AUTO) st = rt_import_format(&spec.format, spec.input);
    if (!st) st = check_applies(&spec);
    if (!st) st = rt_stamp_at(&job.input, spec.input);
    if (!st && spec.labels) st = rt_stamp_at(&job.labels, spec.labels);
    cJSON_AddStringToObject(job.report, "data", job.out);
    cJSON_AddStringToObject(job.report, "format", format_names[spec.format]);
    cJSON_AddArrayToObject(job.report, "skipped");
    cJSON_AddArrayToObject(job.report, "notes");
    if (!st) st = read_known(&job);
    if (!st) {
        switch (spec.format) {
        case RT_FORMAT_CSV: st = rt_import_csv(&job); break;
        case RT_FORMAT_NPZ: st = rt_import_npz(&job); break;
        case RT_FORMAT_IMAGES: st = rt_import_images(&job); break;
        default: st = rt_import_arrays(&job); break;
        }
    }
    if (!st) {
        finish_report(&job);
        *report = job.report;
        job.report = NULL;
    }
    free_job(&job);
    return st;
}
