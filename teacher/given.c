/* teacher/given.c - answers that were made elsewhere as a teacher: an array with a row for each row of the data.
 *
 *   {"from": "logits.npy" or "answers.h5:set",
 *    "gives": "logits" | "probabilities" | "classes",     the latter: a whole number a row, -1 for none
 *    "classes": 10 or ["cat", ...], or "like": "model.h5",    the classes of a model or of a label store
 *    "id": "key"}                             a set of the data and of the answers' file by which rows are found; else
 *                                             row i answers row i, and there are as many
 *
 * (N, K) of f16, f32, f64 or integers; of classes (N) or (N, 1). Probabilities become log max(p, 1e-30), a class the
 * logits of probability 1. A row without an answer, with NaN in it, or whose id is called twice, has no label. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "data/files.h"
#include "data/identity.h"
#include "data/npy.h"
#include "data/provenance.h"
#include "data/row_ids.h"
#include "engine/convert.h"
#include "engine/memory.h"
#include "teacher/teacher_parts.h"

enum { LOGITS, PROBABILITIES, CLASSES, BLOCK = 256, SCAN_ROWS = 1 << 18 };
static const char *const gives[] = {"logits", "probabilities", "classes", NULL};
static const float floor_of_p = 1e-30f;

typedef struct {
    rt_teacher base;
    const char *from, *like, *id;
    char path[1024], set[RT_H5_NAME];          /* set "": an NPY file */
    int how, classes, marks;
    rt_head head[RT_MAX_HEADS], asked[RT_MAX_HEADS];
    int heads, asked_heads, width;
    int *place;                                /* where in what is asked each element stands; NULL: there */
    rt_source *source;                         /* of an HDF5 file */
    int fd, swap;                              /* of an NPY file; -1: none */
    rt_stamp stamp;
    uint64_t at, rows;                         /* at: where its rows begin */
    size_t row_bytes;
    rt_dtype type;
    rt_digest digest;
    uint64_t *row_of;                          /* (rows of the data) by id; NULL: by number */
    rt_source *ids;                            /* of the data, for messages */
    uint64_t data_rows;
    cJSON *about;
    char *raw;                                 /* (BLOCK, row) */
    float *z, *turned;                         /* (BLOCK, K) */
} given;

static const rt_teacher_kind kind;

static const given *of(const rt_teacher *t) { return (const given *)(const void *)t; }
static given *own(rt_teacher *t) { return (given *)(void *)t; }

/* ---- the file ---- */

/* "file.h5:set", unless a file has that whole name. */
static rt_status split(given *g)
{
    struct stat s;
    const char *colon = strrchr(g->from, ':');
    int whole = !stat(g->from, &s) || !colon || !colon[1];
    int n = snprintf(g->path, sizeof g->path, "%.*s", (int)(whole ? strlen(g->from) : (size_t)(colon - g->from)),
                     g->from);
    if (n >= (int)sizeof g->path || (!whole && strlen(colon + 1) >= sizeof g->set))
        return rt_fail(RT_USAGE, "%.60s...: the name is too long", g->from);
    if (!whole) snprintf(g->set, sizeof g->set, "%s", colon + 1);
    return RT_OK;
}

static rt_status read_npy_header(given *g, rt_npy *h)
{
    unsigned char start[RT_NPY_START], told[4];
    int bytes;
    size_t n, got;
    RT_TRY(rt_pread_some(g->fd, start, sizeof start, 0, g->path, &got));
    if (got == sizeof start && !memcmp(start, "\211HDF\r\n\032\n", 8))
        return rt_fail(RT_USAGE, "%s: is an HDF5 file; name the data set: %s:SET", g->path, g->path);
    if (got < sizeof start) memset(start + got, 0, sizeof start - got);
    RT_TRY(rt_npy_start(start, g->path, &bytes));
    RT_TRY(rt_pread_all(g->fd, told, (size_t)bytes, sizeof start, g->path));
    RT_TRY(rt_npy_length(told, bytes, g->path, &n));
    char *text = calloc(n + 1, 1);
    if (!text) return rt_fail(RT_RUN, "out of memory");
    g->at = sizeof start + (uint64_t)bytes + n;
    rt_status st = rt_pread_all(g->fd, text, n, sizeof start + (uint64_t)bytes, g->path);
    if (!st) st = rt_npy_parse(h, text, g->path);
    free(text);
    return st;
}

/* The shape (N, ...) that a row has `width` elements of. */
static rt_status take_shape(given *g, int rank, const uint64_t *dim, uint64_t *width)
{
    int flat = rank == 1 || (rank == 2 && dim[1] == 1);
    *width = rank == 2 ? dim[1] : 1;
    if (g->how == CLASSES ? !flat : rank != 2 || dim[1] < 1 || dim[1] > RT_HEADS_WIDTH)
        return rt_fail(RT_INPUT, "%s: has %d dimensions; (rows%s) are expected of %s", g->from, rank,
                       g->how == CLASSES ? "" : ", classes", gives[g->how]);
    if (g->how == CLASSES && !rt_dtype_is_integer(g->type))
        return rt_fail(RT_INPUT, "%s: holds %s, and classes are whole numbers; \"gives\" says what it holds", g->from,
                       rt_dtype_name(g->type));
    if (g->type == RT_TEXT || g->type == RT_STRING || g->type == RT_BOOL)
        return rt_fail(RT_INPUT, "%s: holds %s, not numbers", g->from, rt_dtype_name(g->type));
    g->rows = dim[0];
    return RT_OK;
}

static rt_status open_npy(given *g, uint64_t *width)
{
    rt_npy h;
    RT_TRY(rt_open_input(&g->fd, g->path));
    RT_TRY(rt_stamp_of(&g->stamp, g->fd, g->path));
    RT_TRY(read_npy_header(g, &h));
    g->type = h.boolean ? RT_BOOL : h.type;
    g->swap = h.swap;
    RT_TRY(take_shape(g, h.rank, h.dim, width));
    if (h.fortran && h.rank > 1 && *width > 1)
        return rt_fail(RT_INPUT, "%s: is in Fortran order; save np.ascontiguousarray(...)", g->path);
    g->row_bytes = (size_t)*width * rt_dtype_size(g->type);
    if (g->rows > (g->stamp.size - (g->at < g->stamp.size ? g->at : g->stamp.size)) / g->row_bytes)
        return rt_fail(RT_INPUT, "%s: its header tells %llu rows, it has fewer; the file is truncated or damaged",
                       g->path, (unsigned long long)g->rows);
    return rt_digest_file(&g->digest, g->path, 1);
}

static rt_status open_set(given *g, uint64_t *width)
{
    rt_status st = rt_source_open(&g->source, g->path, g->set);
    if (st) return st;
    const rt_h5_dataset *d = rt_source_info(g->source);
    g->type = rt_source_type(g->source);
    g->row_bytes = rt_source_row_bytes(g->source);
    RT_TRY(take_shape(g, d->rank, d->dim, width));
    return rt_identity_of(&g->digest, g->source, RT_CHECK_KNOWN, NULL, NULL);
}

/* Rows in a run lie together. */
static rt_status read_rows(given *g, const uint64_t *row, int n, char *to)
{
    if (g->source) return rt_source_read(g->source, row, n, to);
    for (int i = 0, run; i < n; i += run) {
        for (run = 1; i + run < n && row[i + run] == row[i] + (uint64_t)run; run++) {}
        RT_TRY(rt_pread_all(g->fd, to + (size_t)i * g->row_bytes, (size_t)run * g->row_bytes,
                            g->at + row[i] * g->row_bytes, g->path));
    }
    if (g->swap) rt_swap_bytes(to, (size_t)n * g->row_bytes / rt_dtype_size(g->type), rt_dtype_size(g->type));
    return RT_OK;
}

/* ---- classes ---- */

/* The only head of classes of a model or of a label store. */
static rt_status heads_like(given *g)
{
    rt_teacher *t;
    int count;
    RT_TRY(rt_teacher_open(&t, &g->like, 1, NULL));
    const rt_head *head = rt_teacher_heads(t, &count);
    rt_status st = count == 1 && head->task == RT_TASK_CLASSES ? rt_heads_copy(g->head, head, count)
                   : rt_fail(RT_USAGE, "like: %s: has not one head of classes alone", g->like);
    if (!st) g->heads = count;
    rt_teacher_close(t);
    return st;
}

static rt_status name_classes(given *g, uint64_t width)
{
    rt_names names;
    if (*g->like) RT_TRY(heads_like(g));
    if (!g->heads && g->how == CLASSES)
        return rt_fail(RT_USAGE, "%s: holds classes by number; tell what they are: \"classes\" or \"like\" (--classes, "
                       "--like)", g->from);
    if (!g->heads) {
        RT_TRY(rt_heads_add(g->head, &g->heads, "y", RT_TASK_CLASSES, (int)width));
        RT_TRY(rt_names_numbered(&names, (int)width, g->from));
        rt_names_free(&g->head[0].names);
        g->head[0].names = names;
    }
    g->classes = g->width = g->head[0].size;
    if (g->how != CLASSES && width != (uint64_t)g->classes)
        return rt_fail(RT_INPUT, "%s: has answers of %llu classes, and %d are told", g->from, (unsigned long long)width,
                       g->classes);
    return RT_OK;
}

/* ---- life ---- */

static void close_given(rt_teacher *t)
{
    given *g = own(t);
    rt_source_close(g->ids);
    rt_source_close(g->source);
    if (g->fd >= 0) close(g->fd);
    rt_heads_free(g->head, g->heads);
    rt_heads_free(g->asked, g->asked_heads);
    cJSON_Delete(g->about);
    void *mine[] = {g->place, g->row_of, g->raw, g->z, g->turned, g};
    for (size_t i = 0; i < sizeof mine / sizeof mine[0]; i++) free(mine[i]);
}

static rt_status open_given(given *g)
{
    uint64_t width = 0;
    RT_TRY(split(g));
    RT_TRY(*g->set ? open_set(g, &width) : open_npy(g, &width));
    if (*g->id && !*g->set)
        return rt_fail(RT_USAGE, "id: an NPY file has no other set that could tell what its rows are called: save both "
                       "in an HDF5 file, or have them in the order of the data");
    RT_TRY(name_classes(g, width));
    g->raw = malloc(BLOCK * g->row_bytes + 64);
    g->z = rt_floats_new((size_t)BLOCK * (size_t)(width > (uint64_t)g->classes ? width : (uint64_t)g->classes));
    if (!g->raw || !g->z) return rt_fail(RT_RUN, "out of memory");
    g->about = cJSON_CreateObject();
    cJSON *about = cJSON_AddObjectToObject(g->about, "given");
    cJSON_AddStringToObject(about, "from", g->digest.hex);
    cJSON_AddStringToObject(about, "gives", gives[g->how]);
    cJSON_AddItemToObject(about, "heads", rt_heads_to_json(g->head, g->heads));
    return RT_OK;
}

rt_status rt_teacher_read_given(rt_teacher **out, rt_cfg *c, const rt_x_where *x)
{
    (void)x;
    given *g = calloc(1, sizeof *g);
    if (!g) return rt_fail(RT_RUN, "out of memory");
    g->base.kind = &kind;
    g->fd = -1;
    g->from = rt_cfg_file(c, "from", NULL);
    g->how = rt_cfg_choice(c, "gives", gives, LOGITS);
    g->like = rt_cfg_string(c, "like", "");
    g->id = rt_cfg_string(c, "id", "");
    int named = rt_cfg_has(c, "classes");
    rt_cfg_any(c, "classes");
    if (named && *g->like) rt_cfg_fail(c, "like", "give either \"classes\" or \"like\"");
    rt_status st = c->status;
    if (!st && named) st = rt_teacher_read_heads(c, g->head, &g->heads, g->from);
    if (!st) st = rt_cfg_end(c);
    if (!st && out) st = open_given(g);
    if (!st && out) *out = &g->base;
    else close_given(&g->base);
    return st;
}

/* ---- what it says of itself ---- */

static const rt_head *heads(const rt_teacher *t, int *count)
{
    *count = of(t)->heads;
    return of(t)->head;
}

static const rt_names *columns(const rt_teacher *t)
{
    static const rt_names none;
    (void)t;
    return &none;
}

static rt_status digest(const rt_teacher *t, rt_digest *d)
{
    char *text = cJSON_PrintUnformatted(of(t)->about);
    if (!text) return rt_fail(RT_RUN, "out of memory");
    *d = rt_digest_of(text, strlen(text));
    cJSON_free(text);
    return RT_OK;
}

static int files(const rt_teacher *t, const char **list, int n, int most)
{
    if (n < most) list[n++] = of(t)->path;
    return n;
}

static void hash_names(const rt_teacher *t, rt_hasher *h) { rt_heads_hash(h, of(t)->head, of(t)->heads); }

static rt_status seen(const rt_teacher *t, cJSON *list)
{ return rt_seen_join(list, of(t)->about, "teacher", of(t)->digest.hex); }

static const cJSON *provenance(const rt_teacher *t, int member) { return member ? NULL : of(t)->about; }
static rt_status tell(const rt_teacher *t, cJSON *into) { return rt_json_merge(into, of(t)->about); }

/* ---- rows ---- */

static rt_status note_ids(given *g, const rt_row_ids *n, cJSON *notes)
{
    char text[600];
    if (!notes || !n->unused) return RT_OK;
    snprintf(text, sizeof text, "%.200s: %llu of its rows have an id that no row of the data has, and are left out",
             g->from, (unsigned long long)n->unused);
    return cJSON_AddItemToArray(notes, cJSON_CreateString(text)) ? RT_OK : rt_fail(RT_RUN, "out of memory");
}

/* What the ids of the data are is part of what answers it: other ids are other labels. */
static rt_status match_ids(given *g, const rt_teacher_binding *b)
{
    rt_source *data = NULL, *file = NULL;
    rt_row_ids counts;
    rt_digest d[2];
    rt_status st = rt_source_open_in(&data, rt_source_file(b->source), g->id);
    if (!st) st = rt_source_open_in(&file, rt_source_file(g->source), g->id);
    if (!st && rt_source_rows(data) != rt_source_rows(b->source))
        st = rt_fail(RT_INPUT, "%s: id '%s' has %llu rows, the data %llu", rt_source_path(data), g->id,
                     (unsigned long long)rt_source_rows(data), (unsigned long long)rt_source_rows(b->source));
    if (!st && rt_source_rows(file) != g->rows)
        st = rt_fail(RT_INPUT, "%s: id '%s' has %llu rows, its answers %llu", rt_source_path(file), g->id,
                     (unsigned long long)rt_source_rows(file), (unsigned long long)g->rows);
    free(g->row_of);
    g->row_of = NULL;
    if (!st) st = rt_row_ids_match(&g->row_of, data, file, &counts);
    if (!st) st = note_ids(g, &counts, b->notes);
    if (!st) st = rt_identity_of(&d[0], data, RT_CHECK_KNOWN, rt_device_pool(b->device), b->progress);
    if (!st) st = rt_identity_of(&d[1], file, RT_CHECK_KNOWN, rt_device_pool(b->device), b->progress);
    if (!st) {
        cJSON *about = cJSON_GetObjectItemCaseSensitive(g->about, "given");
        cJSON_DeleteItemFromObjectCaseSensitive(about, "ids");
        cJSON *ids = cJSON_AddObjectToObject(about, "ids");
        cJSON_AddStringToObject(ids, "data", d[0].hex);
        cJSON_AddStringToObject(ids, "from", d[1].hex);
    }
    rt_source_close(g->ids);
    g->ids = data;
    rt_source_close(file);
    return st;
}

static rt_status bind(rt_teacher *t, const rt_teacher_binding *b)
{
    given *g = own(t);
    g->marks = b->marks;
    g->data_rows = rt_source_rows(b->source);
    if (*g->id) RT_TRY(match_ids(g, b));
    else if (g->rows != g->data_rows)
        return rt_fail(RT_INPUT,
                       "%s: has %llu rows, and the data %s has %llu: which answers which? \"id\" (--id) finds "
                       "them by a column",
                       g->from, (unsigned long long)g->rows, rt_source_path(b->source),
                       (unsigned long long)g->data_rows);
    return rt_teacher_check_classes(t, b);
}

static rt_status answer_as(rt_teacher *t, const rt_head *head, int count, const char *asks, rt_match match)
{
    given *g = own(t);
    return rt_teacher_keep_asked((rt_teacher_asked){g->asked, &g->asked_heads, &g->width, &g->place}, g->head, g->heads,
                                 g->from, head, count, asks, match);
}

static void no_label(const given *g, float *z) { for (int i = 0; i < g->classes; i++) z[i] = NAN; }

static rt_status refuse(const given *g, uint64_t row, const char *what)
{
    char id[80];
    if (g->ids && row < g->data_rows)
        return rt_fail(RT_INPUT, "%s: %s row %llu, whose '%s' is '%s'; label.bad_rows=mark gives such rows no label",
                       g->from, what, (unsigned long long)row, g->id, rt_row_id_text(g->ids, row, id));
    return rt_fail(RT_INPUT, "%s: %s row %llu; label.bad_rows=mark gives such rows no label", g->from, what,
                   (unsigned long long)row);
}

/* A row of classes as logits: a whole number of its type, exact as a double as far as classes go. */
static rt_status take_class(const given *g, float *z, const char *raw, uint64_t row)
{
    double v;
    rt_to_double(&v, raw, g->type, 1);
    if (v == -1) {
        no_label(g, z);
        return RT_OK;
    }
    if (!(v >= 0 && v < g->classes))
        return rt_fail(RT_INPUT, "%s: says class %.0f of row %llu, and there are %d", g->from, v,
                       (unsigned long long)row, g->classes);
    for (int i = 0; i < g->classes; i++) z[i] = i == (int)v ? 0 : logf(floor_of_p);
    return RT_OK;
}

static rt_status take_probabilities(const given *g, float *z, uint64_t row)
{
    double sum = 0;
    for (int i = 0; i < g->classes; i++) {
        if (isnan(z[i])) return RT_OK;
        if (!(z[i] >= -1e-3f && z[i] <= 1 + 1e-3f))
            return rt_fail(RT_INPUT, "%s: says %g of row %llu, which is no probability; \"gives\" says what it holds",
                           g->from, (double)z[i], (unsigned long long)row);
        sum += (double)z[i];
        z[i] = logf(fmaxf(z[i], floor_of_p));
    }
    if (fabs(sum - 1) > 0.02)
        return rt_fail(RT_INPUT, "%s: its probabilities for row %llu add up to %g; \"gives\" says what it holds",
                       g->from, (unsigned long long)row, sum);
    return RT_OK;
}

/* Answers to n rows of the data, n <= BLOCK, into z (n, K). */
static rt_status take_block(given *g, const uint64_t *row, int n)
{
    uint64_t there[BLOCK];
    int at[BLOCK], m = 0;
    size_t k = (size_t)g->classes, e = rt_dtype_size(g->type), wide = g->row_bytes / e;
    for (int i = 0; i < n; i++) {
        uint64_t r = row[i] >= g->data_rows ? RT_NO_ROW : g->row_of ? g->row_of[row[i]] : row[i];
        if (r < RT_ROW_TWICE) {
            at[m] = i;
            there[m++] = r;
        } else if (g->marks) no_label(g, g->z + (size_t)i * k);
        else return refuse(g, row[i], r == RT_NO_ROW ? "has no answer to" : "calls by one id more than");
    }
    if (m) RT_TRY(read_rows(g, there, m, g->raw));
    for (int i = 0; i < m; i++) {
        float *z = g->z + (size_t)at[i] * k;
        const char *raw = g->raw + (size_t)i * g->row_bytes;
        int finite = 1;
        if (g->how == CLASSES) RT_TRY(take_class(g, z, raw, row[at[i]]));
        else rt_to_float(z, raw, g->type, wide);
        for (size_t c = 0; c < k; c++) finite &= isfinite(z[c]) != 0;
        if (finite && g->how == PROBABILITIES) RT_TRY(take_probabilities(g, z, row[at[i]]));
        if (!finite && !g->marks) return refuse(g, row[at[i]], "has no finite answer to");
    }
    return RT_OK;
}

static rt_status ask(rt_teacher *t, const rt_feed *q, float *answers)
{
    given *g = own(t);
    size_t k = (size_t)g->classes, width = (size_t)g->width;
    if (q->view || q->partner || !q->row)
        return rt_fail(RT_USAGE, "%s: holds answers to rows, and none to views of them", g->from);
    if (g->fd >= 0) RT_TRY(rt_stamp_unchanged(&g->stamp, g->path));
    for (int at = 0; at < q->rows; at += BLOCK) {
        int n = q->rows - at < BLOCK ? q->rows - at : BLOCK;
        float *out = answers + (size_t)at * width;
        RT_TRY(take_block(g, q->row + q->first + at, n));
        if (!g->place) {
            memcpy(out, g->z, (size_t)n * width * sizeof *out);
            continue;
        }
        memset(out, 0, (size_t)n * width * sizeof *out);
        for (size_t r = 0; r < (size_t)n; r++)
            for (size_t c = 0; c < k; c++)
                if (g->place[c] >= 0) out[r * width + (size_t)g->place[c]] = g->z[r * k + c];
    }
    return RT_OK;
}

/* Rows that no id leads to an answer of. */
static rt_status remove_unanswered(rt_teacher *t, rt_rows *rows, uint64_t *removed)
{
    const given *g = of(t);
    uint64_t before = rows->count;
    unsigned char *lacks = g->row_of ? malloc(SCAN_ROWS) : NULL;
    rt_status st = lacks || !g->row_of ? RT_OK : rt_fail(RT_RUN, "out of memory");
    *removed = 0;
    for (uint64_t at = 0; g->row_of && at < g->data_rows && !st; at += SCAN_ROWS) {
        uint64_t n = g->data_rows - at < SCAN_ROWS ? g->data_rows - at : SCAN_ROWS;
        rt_rows these;
        int any = 0;
        for (uint64_t i = 0; i < n; i++) any |= lacks[i] = g->row_of[at + i] >= RT_ROW_TWICE;
        if (!any) continue;
        st = rt_rows_from_blocks(&these, at, n, 1, lacks);
        if (!st) st = rt_rows_remove(rows, &these);
        rt_rows_free(&these);
    }
    free(lacks);
    *removed = before - rows->count;
    return st;
}

static const rt_teacher_kind kind = {.name = "file of answers",
                                     .can = RT_TEACHER_ROWS,
                                     .close = close_given,
                                     .files = files,
                                     .heads = heads,
                                     .columns = columns,
                                     .digest = digest,
                                     .hash_names = hash_names,
                                     .seen = seen,
                                     .provenance = provenance,
                                     .tell = tell,
                                     .bind = bind,
                                     .answer_as = answer_as,
                                     .ask = ask,
                                     .remove_unanswered = remove_unanswered};
