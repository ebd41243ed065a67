/* One version as an archive: tar in the pax format, compressed by zstd or gzip, with these entries in this order and no
 * others: manifest.json, the model (model.h5 or model.onnx), evaluation-1.json ..., verdict-1.json ..., drift-1.json
 * ...
 *
 * manifest.json: {"format": "retort-archive-1", "name", "number", "digest", "time", "user", "note", "parent", "files":
 * [{"path", "kind", "bytes", "sha256"}], "seal"}; files in the order of the entries. parent, sha256:... of its file, is
 * that of 'add --parent': other models tell theirs. No entry has a time, an owner or a group.
 *
 * Reading takes what the manifest tells and nothing else: an entry with another name (so also an absolute one, or one
 * with ..), one that is no regular file, another size, another SHA-256, or one more or less, is refused. All of it goes
 * into a folder of its own in the registry first, and is then added as any model is.
 *
 * libarchive is loaded when it is needed: with all that it is made of it would make every start of the program slower.
 */
#include <archive.h>
#include <archive_entry.h>
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "data/files.h"
#include "engine/sha256.h"
#include "export/out_file.h"
#include "experiments/registry/registry_parts.h"
#include "experiments/report/report_parts.h"
#include "student/onnx/onnx_file.h"

enum { FILES = 129, BLOCK = 1 << 16, MANIFEST_MAX = 1 << 20, SLACK = 1 << 16, RECORD = 512, RATIO = 1000 };
static const double ratio_floor = 64 << 20;
static const char format[] = "retort-archive-1", folder_mark[] = ".import-";

/* ---- libarchive ---- */

#define FUNCTIONS(X) \
    X(archive_write_new) \
    X(archive_write_set_format_pax_restricted) X(archive_write_add_filter_gzip) X(archive_write_add_filter_zstd) \
        X(archive_write_set_options) X(archive_write_open) X(archive_write_header) X(archive_write_data) \
            X(archive_write_close) X(archive_write_free) X(archive_read_new) X(archive_read_support_format_tar) \
                X(archive_read_support_filter_gzip) X(archive_read_support_filter_zstd) \
                    X(archive_read_support_format_raw) X(archive_write_set_bytes_in_last_block) X(archive_read_open) \
                        X(archive_read_next_header) X(archive_read_data) X(archive_read_free) X(archive_entry_new) \
                            X(archive_entry_free) X(archive_entry_set_pathname) X(archive_entry_set_size) \
                                X(archive_entry_set_filetype) X(archive_entry_set_perm) X(archive_entry_set_mtime) \
                                    X(archive_entry_pathname) X(archive_entry_filetype) X(archive_entry_hardlink) \
                                        X(archive_entry_symlink) X(archive_entry_size) X(archive_entry_size_is_set) \
                                            X(archive_error_string)
#define DECLARE(name) __typeof__(&name) name;
static struct { void *library; FUNCTIONS(DECLARE) } la;

static rt_status load_library(void)
{
    static const char *const names[] = {"libarchive.so.13", "libarchive.so"};
    if (la.library) return RT_OK;
    void *library = NULL;
    for (int i = 0; i < 2 && !library; i++) library = dlopen(names[i], RTLD_NOW | RTLD_LOCAL);
    int all = library != NULL;
#define FIND(name) \
    if (library) { \
        *(void **)&la.name = dlsym(library, #name); \
        all &= la.name != NULL; \
    }
    FUNCTIONS(FIND)
    if (!all)
        return rt_fail(RT_RUN, "archives need libarchive (3.3 or newer), which is not here: install libarchive13");
    la.library = library;
    return RT_OK;
}

/* ---- writing ---- */

typedef struct { char path[40], kind[16], sha256[RT_SHA256]; int64_t bytes; } item;

typedef struct {
    rt_registry *r;
    rt_version v;
    item file[FILES];
    int files;
    char *manifest;
    rt_out_file out;
    struct archive *a;
} writing;

static rt_status add_item(writing *w, const char *kind, const char *path, const char *sha256)
{
    item *f = &w->file[w->files];
    if (w->files == FILES) return rt_fail(RT_USAGE, "more than %d evaluations and verdicts", FILES - 1);
    snprintf(f->kind, sizeof f->kind, "%s", kind);
    snprintf(f->path, sizeof f->path, "%s", path);
    snprintf(f->sha256, sizeof f->sha256, "%s", sha256);
    RT_TRY(rt_registry_check_object(w->r, f->sha256, 0));
    RT_TRY(rt_sql_number(w->r, &f->bytes, 0, "SELECT bytes FROM object WHERE sha256 = ?", "s", f->sha256));
    w->files++;
    return RT_OK;
}

static rt_status add_items(writing *w, const char *kind, const char *sql)
{
    char path[40];
    sqlite3_stmt *s;
    int row = 1, n = 0;
    RT_TRY(rt_sql(w->r, &s, sql, "is", w->v.id, w->v.sha256));
    rt_status st = RT_OK;
    while (!st && !(st = rt_sql_next(w->r, s, &row)) && row) {
        snprintf(path, sizeof path, "%s-%d.json", kind, ++n);
        st = add_item(w, kind, path, rt_sql_text(s, 0));
    }
    sqlite3_finalize(s);
    return st;
}

static rt_status list_files(writing *w)
{
    char path[RT_FOLDER_PATH];
    int is_onnx;
    RT_TRY(rt_registry_check_object(w->r, w->v.sha256, 0));
    rt_registry_object(w->r, path, w->v.sha256);
    RT_TRY(rt_onnx_look(path, &is_onnx));
    RT_TRY(add_item(w, "model", is_onnx ? "model.onnx" : "model.h5", w->v.sha256));
    RT_TRY(
        add_items(w, "evaluation", "SELECT object FROM evaluation WHERE version = ?1 AND ?2 IS NOT NULL ORDER BY id"));
    RT_TRY(add_items(w, "verdict", "SELECT object FROM gate_run WHERE candidate = ?2 AND ?1 ORDER BY id"));
    return add_items(w, "drift", "SELECT object FROM drift WHERE version = ?1 AND ?2 IS NOT NULL ORDER BY id");
}

static rt_status describe(writing *w)
{
    sqlite3_stmt *s;
    int row;
    RT_TRY(rt_sql(w->r, &s,
                  "SELECT e.time, e.user, v.note, (SELECT 'sha256:' || p.object FROM version p WHERE p.id = v.parent "
                  "AND p.digest IS NOT v.init) FROM version v JOIN event e ON e.id = v.event WHERE v.id = ?",
                  "i", w->v.id));
    rt_status st = rt_sql_next(w->r, s, &row);
    cJSON *j = cJSON_CreateObject();
    cJSON_AddStringToObject(j, "format", format);
    cJSON_AddStringToObject(j, "name", w->v.name);
    cJSON_AddNumberToObject(j, "number", (double)w->v.number);
    cJSON_AddStringToObject(j, "digest", w->v.digest);
    static const char *const keys[] = {"time", "user", "note", "parent"};
    for (int i = 0; i < 4 && !st && row; i++) rt_sql_add(j, keys[i], s, i);
    sqlite3_finalize(s);
    cJSON *files = cJSON_AddArrayToObject(j, "files");
    for (int i = 0; i < w->files; i++) {
        cJSON *f = cJSON_CreateObject();
        cJSON_AddStringToObject(f, "path", w->file[i].path);
        cJSON_AddStringToObject(f, "kind", w->file[i].kind);
        cJSON_AddNumberToObject(f, "bytes", (double)w->file[i].bytes);
        cJSON_AddStringToObject(f, "sha256", w->file[i].sha256);
        cJSON_AddItemToArray(files, f);
    }
    if (!st && !(w->manifest = rt_json_sealed(j))) st = rt_fail(RT_RUN, "out of memory");
    cJSON_Delete(j);
    return st;
}

static la_ssize_t give(struct archive *a, void *arg, const void *data, size_t n)
{
    writing *w = arg;
    (void)a;
    rt_out_put(&w->out, data, n);
    return w->out.status ? -1 : (la_ssize_t)n;
}

static rt_status failed(writing *w)
{
    const char *why = la.archive_error_string(w->a);
    if (w->out.status) return w->out.status;
    return rt_fail(RT_RUN, "%s: the archive cannot be written: %s", rt_output_path(w->out.out), why ? why : "?");
}

static rt_status put_header(writing *w, const char *path, int64_t bytes)
{
    struct archive_entry *e = la.archive_entry_new();
    if (!e) return rt_fail(RT_RUN, "out of memory");
    la.archive_entry_set_pathname(e, path);
    la.archive_entry_set_size(e, bytes);
    la.archive_entry_set_filetype(e, AE_IFREG);
    la.archive_entry_set_perm(e, 0444);
    la.archive_entry_set_mtime(e, 0, 0);
    int code = la.archive_write_header(w->a, e);
    la.archive_entry_free(e);
    return code == ARCHIVE_OK ? RT_OK : failed(w);
}

/* The bytes are hashed as they go, so that no archive holds a damaged object. */
static rt_status put_object(writing *w, const item *f)
{
    char path[RT_FOLDER_PATH], sha256[RT_SHA256];
    rt_sha256 h = {0};
    size_t got = BLOCK;
    int fd;
    char *block = malloc(BLOCK);
    rt_registry_object(w->r, path, f->sha256);
    if (!block) return rt_fail(RT_RUN, "out of memory");
    rt_status st = rt_open_input(&fd, path);
    if (!st) st = put_header(w, f->path, f->bytes);
    while (!st && got == BLOCK) {
        st = rt_read_some(fd, block, BLOCK, path, &got);
        if (!st) st = rt_check_stop();
        rt_sha256_add(&h, block, st ? 0 : got);
        if (!st && got && la.archive_write_data(w->a, block, got) != (la_ssize_t)got) st = failed(w);
    }
    if (fd >= 0) close(fd);
    rt_sha256_end(&h, sha256);
    free(block);
    if (!st && strcmp(sha256, f->sha256)) st = rt_registry_check_object(w->r, f->sha256, 1);
    return st;
}

static rt_status open_archive(writing *w, const char *path)
{
    size_t n = strlen(path);
    int zstd = n > 8 && !strcmp(path + n - 8, ".tar.zst"), code;
    w->a = la.archive_write_new();
    if (!w->a) return rt_fail(RT_RUN, "out of memory");
    la.archive_write_set_format_pax_restricted(w->a);
    if (zstd) code = la.archive_write_add_filter_zstd(w->a);
    else code = la.archive_write_add_filter_gzip(w->a);
    if (code != ARCHIVE_OK) return rt_fail(RT_RUN, "%s: this libarchive has no %s; give another ending", path,
                                           zstd ? "zstd" : "gzip");
    la.archive_write_set_bytes_in_last_block(w->a, 1);
    if (!zstd && la.archive_write_set_options(w->a, "gzip:!timestamp") != ARCHIVE_OK) return failed(w);
    return la.archive_write_open(w->a, w, NULL, give, NULL) == ARCHIVE_OK ? RT_OK : failed(w);
}

static rt_status write_archive(writing *w, rt_output *o)
{
    w->out = rt_out_open(o);
    rt_status st = w->out.status ? w->out.status : open_archive(w, rt_output_path(o));
    size_t n = strlen(w->manifest);
    if (!st) st = put_header(w, "manifest.json", (int64_t)n);
    if (!st && la.archive_write_data(w->a, w->manifest, n) != (la_ssize_t)n) st = failed(w);
    for (int i = 0; i < w->files && !st; i++) st = put_object(w, &w->file[i]);
    if (!st && la.archive_write_close(w->a) != ARCHIVE_OK) st = failed(w);
    if (st) w->out.status = st;                       /* what is still written at the end goes nowhere */
    if (w->a) la.archive_write_free(w->a);
    return rt_out_close(&w->out, st);
}

rt_status rt_registry_export(rt_registry *r, const char *reference, const rt_target *target, cJSON **result)
{
    char database[RT_FOLDER_PATH], model[RT_FOLDER_PATH], name[RT_VERSION_TEXT];
    const char *const inputs[] = {database, model, NULL};
    size_t n = strlen(target->path);
    rt_output *o = NULL;
    *result = NULL;
    if (!((n > 8 && !strcmp(target->path + n - 8, ".tar.zst")) || (n > 7 && !strcmp(target->path + n - 7, ".tar.gz"))))
        return rt_fail(RT_USAGE, "%s: an archive's name ends in .tar.zst or .tar.gz", target->path);
    writing *w = calloc(1, sizeof *w);
    if (!w) return rt_fail(RT_RUN, "out of memory");
    w->r = r;
    rt_status st = load_library();
    if (!st) st = rt_registry_find(r, reference, &w->v);
    if (!st) st = list_files(w);
    if (!st) st = describe(w);
    snprintf(database, sizeof database, "%s/registry.db", r->folder);
    rt_registry_object(r, model, w->v.sha256);
    if (!st) st = rt_output_take(&o, target, inputs);
    if (!st) st = rt_output_may_replace(o, RT_OUTPUT_EXPORT);
    if (!st) st = write_archive(w, o);
    if (!st) {
        rt_version_text(name, &w->v);
        *result = cJSON_CreateObject();
        cJSON_AddStringToObject(*result, "version", name);
        cJSON_AddStringToObject(*result, "sha256", w->v.sha256);
        cJSON_AddStringToObject(*result, "archive", target->path);
        cJSON_AddNumberToObject(*result, "files", w->files);
        cJSON_AddNumberToObject(*result, "bytes", (double)w->out.at);
    }
    rt_output_end(o);
    free(w->manifest);
    free(w);
    return st;
}

/* ---- reading ---- */

typedef struct {
    rt_registry *r;
    const char *path;                  /* of the archive */
    char folder[RT_REGISTRY_PATH + 64];        /* where its files go; "" not made */
    int fd, dir;
    struct archive *stream, *a;        /* what is compressed; the tar file in it */
    char block[BLOCK], plain[RECORD];
    rt_status status;                  /* of the first failure of reading */
    double archive_bytes, all;
    int64_t unpacked, most;            /* bytes of the tar file: so far, and what the manifest allows for */
    cJSON *manifest;
    char name[RT_REGISTRY_NAME];
    item file[FILES];
    int files;
} reading;

static la_ssize_t take_packed(struct archive *a, void *arg, const void **data)
{
    reading *x = arg;
    size_t got = 0;
    (void)a;
    if (!x->status) x->status = rt_check_stop();
    if (!x->status) x->status = rt_read_some(x->fd, x->block, BLOCK, x->path, &got);
    *data = x->block;
    return x->status ? -1 : (la_ssize_t)got;
}

/* The tar file, never more of it than is allowed for, and a record at a time: what is behind its end is not taken with
 * it. */
static la_ssize_t take_plain(struct archive *a, void *arg, const void **data)
{
    reading *x = arg;
    (void)a;
    *data = x->plain;
    la_ssize_t got = x->status ? -1 : la.archive_read_data(x->stream, x->plain, RECORD);
    if (got > 0) x->unpacked += got;
    if (got > 0 && x->unpacked > x->most)
        x->status = rt_fail(RT_INPUT, "%s: becomes longer than its manifest tells; nothing was added", x->path);
    else if (got < 0 && !x->status) {
        const char *why = la.archive_error_string(x->stream);
        x->status = rt_fail(RT_INPUT, "%s: is truncated, damaged or no archive: %s; nothing was added", x->path,
                            why ? why : "?");
    }
    return x->status ? -1 : got;
}

static rt_status refused(const reading *x, const char *why, const char *of)
{
    return rt_fail(RT_INPUT, "%s: %s%s%s; nothing was added", x->path, why, *of ? ": " : "", of);
}

static rt_status unreadable(const reading *x)
{
    const char *why = la.archive_error_string(x->a);
    return x->status ? x->status : refused(x, "is truncated, damaged or no archive", why ? why : "");
}

/* The next entry, which must be this regular file. bytes < 0: whatever it has, up to MANIFEST_MAX. */
static rt_status expect(reading *x, const char *path, int64_t *bytes)
{
    struct archive_entry *e;
    int code = la.archive_read_next_header(x->a, &e);
    if (code == ARCHIVE_EOF) return refused(x, "ends too early: it lacks", path);
    if (code != ARCHIVE_OK) return unreadable(x);
    const char *name = la.archive_entry_pathname(e);
    if (!name || strcmp(name, path)) {
        char text[300];
        snprintf(text, sizeof text, "'%.120s' in the place of %s", name ? name : "?", path);
        return refused(x, "has an entry that does not belong there", text);
    }
    if (la.archive_entry_filetype(e) != AE_IFREG || la.archive_entry_hardlink(e) || la.archive_entry_symlink(e))
        return refused(x, "has an entry that is no regular file", path);
    if (!la.archive_entry_size_is_set(e) || la.archive_entry_size(e) < 0 ||
        (*bytes >= 0 && la.archive_entry_size(e) != *bytes) || (*bytes < 0 && la.archive_entry_size(e) > MANIFEST_MAX))
        return refused(x, "has an entry of another size than its manifest tells", path);
    *bytes = la.archive_entry_size(e);
    return RT_OK;
}

/* The entry at hand into a file of the folder. */
static rt_status unpack(reading *x, const char *path, int64_t bytes, char sha256[RT_SHA256])
{
    char to[RT_FOLDER_PATH], *block = malloc(BLOCK);
    rt_sha256 h = {0};
    int64_t at = 0;
    snprintf(to, sizeof to, "%s/%s", x->folder, path);
    int fd = rt_registry_openat(x->dir, path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW);
    rt_status st = !block   ? rt_fail(RT_RUN, "out of memory")
                   : fd < 0 ? rt_fail(RT_RUN, "%s: %s", to, strerror(errno))
                            : RT_OK;
    for (la_ssize_t got = 1; !st && got;) {
        got = la.archive_read_data(x->a, block, BLOCK);
        if (got < 0) st = unreadable(x);
        else if (got > bytes - at) st = refused(x, "has an entry that is longer than it says", path);
        else st = rt_write_all(fd, block, (size_t)got, to);
        if (st) break;
        rt_sha256_add(&h, block, (size_t)got);
        at += got;
    }
    if (!st && at != bytes) st = refused(x, "has an entry that is shorter than it says", path);
    if (fd >= 0) close(fd);
    rt_sha256_end(&h, sha256);
    free(block);
    return st;
}

/* The place of a kind of file behind the model; -1: there is none. */
static int rank_of(const char *kind)
{
    static const char *const kinds[] = {"evaluation", "verdict", "drift"};
    for (int i = 0; i < 3; i++) if (!strcmp(kind, kinds[i])) return i;
    return -1;
}

/* Whether it is the i-th file of an archive: a model, then evaluations, then verdicts, then looks at drift, counted. */
static int in_order(const reading *x, const item *f, int i)
{
    char want[40];
    int before = 0;
    if (!i) return !strcmp(f->kind, "model") && (!strcmp(f->path, "model.h5") || !strcmp(f->path, "model.onnx"));
    if (rank_of(f->kind) < 0 || rank_of(f->kind) < rank_of(x->file[i - 1].kind)) return 0;
    for (int k = 0; k < i; k++) before += !strcmp(x->file[k].kind, f->kind);
    snprintf(want, sizeof want, "%s-%d.json", f->kind, before + 1);
    return !strcmp(want, f->path) && f->bytes <= RT_REGISTRY_OBJECT_MAX;
}

static rt_status read_item(reading *x, const cJSON *e)
{
    item *f = &x->file[x->files];
    const cJSON *bytes = cJSON_GetObjectItemCaseSensitive(e, "bytes");
    snprintf(f->path, sizeof f->path, "%s", rt_text(e, "path"));
    snprintf(f->kind, sizeof f->kind, "%s", rt_text(e, "kind"));
    snprintf(f->sha256, sizeof f->sha256, "%s", rt_text(e, "sha256"));
    if (!cJSON_IsNumber(bytes) || !(bytes->valuedouble >= 0 && bytes->valuedouble < 1e15))
        return refused(x, "its manifest is damaged", "bytes");
    f->bytes = (int64_t)bytes->valuedouble;
    if (!in_order(x, f, x->files)) return refused(x, "its manifest names a file that does not belong there", f->path);
    x->all += bytes->valuedouble;
    x->files++;
    return RT_OK;
}

static rt_status read_manifest(reading *x)
{
    char sha256[RT_SHA256], path[RT_FOLDER_PATH];
    int64_t bytes = -1;
    cJSON *raw = NULL;
    RT_TRY(expect(x, "manifest.json", &bytes));
    RT_TRY(unpack(x, "manifest.json", bytes, sha256));
    snprintf(path, sizeof path, "%s/manifest.json", x->folder);
    RT_TRY(rt_json_file(&raw, path));
    int sealed = *rt_text(raw, "seal") != 0;
    cJSON_Delete(raw);
    rt_status st = sealed ? rt_json_sealed_file(&x->manifest, path) : RT_INPUT;
    if (st) return st == RT_INPUT ? refused(x, "its manifest was changed, or has no seal", "") : st;
    const cJSON *files = cJSON_GetObjectItemCaseSensitive(x->manifest, "files");
    if (strcmp(rt_text(x->manifest, "format"), format))
        return refused(x, "its format is not retort-archive-1 but", rt_text(x->manifest, "format"));
    snprintf(x->name, sizeof x->name, "%s", rt_text(x->manifest, "name"));
    if (rt_registry_check_name(rt_text(x->manifest, "name"), "name")) return refused(x, rt_error_message(), "");
    if (!cJSON_IsArray(files) || !files->child || cJSON_GetArraySize(files) > FILES)
        return refused(x, "its manifest names no files, or too many", "");
    for (const cJSON *e = files->child; e; e = e->next) RT_TRY(read_item(x, e));
    x->most = x->unpacked + (int64_t)x->all + SLACK + (int64_t)x->files * 1024;
    if (x->all > ratio_floor && x->all > RATIO * x->archive_bytes)
        return refused(x, "would become more than 1,000 times as long as it is", "");
    return RT_OK;
}

/* The compressed stream and the tar file are read apart, so that the stream is read to its end: what is behind the tar
 * file's end are zeros. */
static rt_status open_streams(reading *x)
{
    struct archive_entry *e;
    x->stream = la.archive_read_new();
    x->a = la.archive_read_new();
    if (!x->stream || !x->a) return rt_fail(RT_RUN, "out of memory");
    if (la.archive_read_support_filter_gzip(x->stream) != ARCHIVE_OK ||
        la.archive_read_support_filter_zstd(x->stream) != ARCHIVE_OK ||
        la.archive_read_support_format_raw(x->stream) != ARCHIVE_OK ||
        la.archive_read_support_format_tar(x->a) != ARCHIVE_OK)
        return rt_fail(RT_RUN, "this libarchive cannot read gzip and zstd by itself");
    x->most = MANIFEST_MAX + SLACK;
    if (la.archive_read_open(x->stream, x, NULL, take_packed, NULL) != ARCHIVE_OK ||
        la.archive_read_next_header(x->stream, &e) != ARCHIVE_OK) {
        const char *why = la.archive_error_string(x->stream);
        return x->status ? x->status : refused(x, "is truncated, damaged or no archive", why ? why : "");
    }
    return la.archive_read_open(x->a, x, NULL, take_plain, NULL) == ARCHIVE_OK ? RT_OK : unreadable(x);
}

static rt_status read_rest(reading *x)
{
    const void *data;
    la_ssize_t got;
    while ((got = take_plain(NULL, x, &data)) > 0)
        for (la_ssize_t i = 0; i < got; i++) if (x->plain[i]) return refused(x, "has something behind its end", "");
    return x->status;
}

static rt_status read_all(reading *x)
{
    struct archive_entry *e;
    RT_TRY(open_streams(x));
    RT_TRY(read_manifest(x));
    for (int i = 0; i < x->files; i++) {
        char sha256[RT_SHA256];
        RT_TRY(expect(x, x->file[i].path, &x->file[i].bytes));
        RT_TRY(unpack(x, x->file[i].path, x->file[i].bytes, sha256));
        if (strcmp(sha256, x->file[i].sha256)) return refused(x, "was changed: another SHA-256 of", x->file[i].path);
    }
    int code = la.archive_read_next_header(x->a, &e);
    if (code == ARCHIVE_OK) return refused(x, "has more entries than its manifest tells", "");
    return code == ARCHIVE_EOF ? read_rest(x) : unreadable(x);
}

/* The version that the manifest calls the parent, where this registry has it; else "". */
static rt_status find_parent(reading *x, char parent[RT_VERSION_TEXT])
{
    const char *told = rt_text(x->manifest, "parent");
    rt_version v;
    *parent = 0;
    if (strncmp(told, "sha256:", 7) || strlen(told) != 7 + RT_SHA256 - 1) return RT_OK;
    if (!rt_registry_is_reference(told)) return RT_OK;
    rt_status st = rt_registry_find(x->r, told, &v);
    if (!st) rt_version_text(parent, &v);
    return st == RT_INPUT ? RT_OK : st;
}

static rt_status add_all(reading *x, const char *name, cJSON **result)
{
    char path[FILES][RT_REGISTRY_PATH + 128], origin[400], parent[RT_VERSION_TEXT];
    const char *evaluation[FILES], *gate[FILES], *drift[FILES], *note = rt_text(x->manifest, "note");
    const cJSON *number = cJSON_GetObjectItemCaseSensitive(x->manifest, "number");
    rt_registry_adding a = {.name = name ? name : x->name, .model = path[0], .evaluation = evaluation, .gate = gate,
                            .drift = drift, .note = *note ? note : NULL, .origin = origin};
    for (int i = 0; i < x->files; i++) {
        snprintf(path[i], sizeof path[i], "%s/%s", x->folder, x->file[i].path);
        if (!strcmp(x->file[i].kind, "evaluation")) evaluation[a.evaluations++] = path[i];
        else if (!strcmp(x->file[i].kind, "drift")) drift[a.drifts++] = path[i];
        else if (i) gate[a.gates++] = path[i];
    }
    snprintf(origin, sizeof origin, "%s@%.0f of %.40s by %.120s", x->name,
             cJSON_IsNumber(number) ? number->valuedouble : 0, rt_text(x->manifest, "time"),
             rt_text(x->manifest, "user"));
    rt_one_line(origin);
    RT_TRY(find_parent(x, parent));
    if (*parent) a.parent = parent;
    return rt_registry_add(x->r, &a, result);
}

/* ---- its folder ---- */

static void remove_folder(int registry, const char *name)
{
    DIR *d = rt_folder_entries(registry, name);
    for (struct dirent *e; d && (e = readdir(d));)
        if (strcmp(e->d_name, ".") && strcmp(e->d_name, "..")) unlinkat(dirfd(d), e->d_name, 0);
    if (d) closedir(d);
    unlinkat(registry, name, AT_REMOVEDIR);
}

rt_status rt_registry_sweep(rt_registry *r, double age, int dry, int *count)
{
    DIR *d = rt_folder_entries(r->dir, ".");
    *count = 0;
    if (!d) return rt_fail(RT_RUN, "%s: %s", r->folder, strerror(errno));
    rt_status st = RT_OK;
    for (struct dirent *e; !st && !(st = rt_folder_next(d, r->folder, &e)) && e;) {
        struct stat s;
        if (strncmp(e->d_name, folder_mark, sizeof folder_mark - 1) ||
            fstatat(dirfd(d), e->d_name, &s, AT_SYMLINK_NOFOLLOW) || !S_ISDIR(s.st_mode) ||
            (double)time(NULL) - (double)s.st_mtime < age)
            continue;
        ++*count;
        if (!dry) remove_folder(dirfd(d), e->d_name);
    }
    closedir(d);
    return st;
}

static rt_status make_folder(reading *x)
{
    snprintf(x->folder, sizeof x->folder, "%s/%sXXXXXX", x->r->folder, folder_mark);
    if (!mkdtemp(x->folder)) {
        rt_status st = rt_fail(RT_RUN, "%s: %s", x->folder, strerror(errno));
        *x->folder = 0;
        return st;
    }
    x->dir = rt_registry_openat(AT_FDCWD, x->folder, O_RDONLY | O_DIRECTORY);
    return x->dir >= 0 ? RT_OK : rt_fail(RT_RUN, "%s: %s", x->folder, strerror(errno));
}

rt_status rt_registry_import(rt_registry *r, const char *path, const char *name, cJSON **result)
{
    struct stat s;
    *result = NULL;
    RT_TRY(load_library());
    if (name) RT_TRY(rt_registry_check_name(name, "name"));
    reading *x = calloc(1, sizeof *x);
    if (!x) return rt_fail(RT_RUN, "out of memory");
    x->r = r;
    x->path = path;
    x->fd = x->dir = -1;
    rt_status st = rt_open_input(&x->fd, path);
    if (!st && !fstat(x->fd, &s)) x->archive_bytes = (double)s.st_size;
    if (!st) st = make_folder(x);
    if (!st) st = read_all(x);
    if (!st) st = add_all(x, name, result);
    if (x->a) la.archive_read_free(x->a);
    if (x->stream) la.archive_read_free(x->stream);
    if (x->fd >= 0) close(x->fd);
    if (x->dir >= 0) close(x->dir);
    if (*x->folder) remove_folder(r->dir, strrchr(x->folder, '/') + 1);
    cJSON_Delete(x->manifest);
    free(x);
    return st;
}
