#include "data/source_files.h"

#include <errno.h>
#include <glob.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "data/checks.h"
#include "data/files.h"
#include "data/names.h"
#include "engine/pool.h"
#include "engine/progress.h"

enum { SHOWN = 200, PATH_SHOWN = 80, SPARE_FILES = 64, SCANS = 4 };

/* ---- which files ---- */

void rt_source_files_free(rt_source_files *l)
{
    for (int i = 0; i < l->count; i++) free(l->path[i]);
    free(l->path);
    *l = (rt_source_files){0};
}

static rt_status add_path(rt_source_files *l, const char *path)
{
    if (l->count == RT_SOURCE_FILES)
        return rt_fail(RT_USAGE, "%.80s: a source has at most %d files; join some of them", path, RT_SOURCE_FILES);
    if (!l->path) l->path = calloc(RT_SOURCE_FILES, sizeof *l->path);
    if (!l->path || !(l->path[l->count] = strdup(path))) return rt_fail(RT_RUN, "out of memory");
    l->count++;
    return RT_OK;
}

static int by_bytes(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

/* What retort itself lays beside data. */
static int is_beside(const char *path)
{
    static const char end[] = ".retort-id";
    size_t n = strlen(path), k = sizeof end - 1;
    return n > k && !strcmp(path + n - k, end);
}

static rt_status add_fitting(rt_source_files *l, const char *pattern)
{
    glob_t g = {0};
    int before = l->count, bad = glob(pattern, GLOB_NOSORT | GLOB_ERR, NULL, &g), error = errno;
    rt_status st = RT_OK;
    if (bad == GLOB_NOSPACE) st = rt_fail(RT_RUN, "out of memory");
    else if (bad == GLOB_ABORTED)
        st = rt_fail(rt_errno_status(error), "%s: a folder cannot be listed: %s", pattern, strerror(error));
    for (size_t i = 0; i < g.gl_pathc && !bad && !st; i++)
        if (!is_beside(g.gl_pathv[i])) st = add_path(l, g.gl_pathv[i]);
    globfree(&g);
    if (!st && l->count == before) return rt_fail(RT_INPUT, "%s: no file has such a name", pattern);
    if (!st) qsort(l->path + before, (size_t)(l->count - before), sizeof *l->path, by_bytes);
    return st;
}

static rt_status add_item(rt_source_files *l, const char *text)
{
    struct stat s;
    return strpbrk(text, "*?[") && lstat(text, &s) ? add_fitting(l, text) : add_path(l, text);
}

static int is_list(const char *source) { return source[0] == '[' && source[1] == '"'; }

rt_status rt_source_files_of(rt_source_files *out, const char *source)
{
    cJSON *list;
    *out = (rt_source_files){0};
    if (!is_list(source)) {
        rt_status st = add_item(out, source);
        if (st) rt_source_files_free(out);
        return st;
    }
    rt_status st = rt_json_parse(&list, source, strlen(source), "a source");
    if (st)
        return rt_fail(st == RT_INPUT ? RT_USAGE : st, "%.100s: is no list of files: %s", source, rt_error_message());
    for (const cJSON *c = list->child; c && !st; c = c->next)
        st = cJSON_IsString(c) && *c->valuestring ? add_item(out, c->valuestring)
                                                  : rt_fail(RT_USAGE, "%.100s: is no list of files", source);
    cJSON_Delete(list);
    if (st) rt_source_files_free(out);
    return st;
}

const char *rt_cfg_source(rt_cfg *c, const char *key, const char *fallback)
{
    cJSON *list = rt_cfg_has(c, key) ? cJSON_GetObjectItemCaseSensitive(c->object, key) : NULL;
    if (!cJSON_IsArray(list)) return rt_cfg_file(c, key, fallback);
    int good = list->child != NULL;
    for (const cJSON *i = list->child; i; i = i->next) good &= cJSON_IsString(i) && *i->valuestring;
    if (!good) {
        rt_cfg_fail(c, key, "a file, a pattern of names or a list of these is expected");
        return "";
    }
    char *text = list->child->next ? cJSON_PrintUnformatted(list) : NULL;
    cJSON *one = cJSON_CreateString(text ? text : list->child->valuestring);
    cJSON_free(text);
    if (!one || !cJSON_ReplaceItemInObjectCaseSensitive(c->object, key, one)) rt_cfg_fail(c, key, "out of memory");
    return rt_cfg_file(c, key, fallback);
}

const char *rt_source_in(cJSON *data)
{
    if (!cJSON_IsObject(data)) return "";
    rt_cfg c = rt_cfg_begin(data, "data");
    return rt_cfg_source(&c, "source", "");
}

/* ---- sets of several files ---- */

typedef struct { const rt_h5_dataset *set; int part; } member;

static int by_name(const void *a, const void *b)
{
    const member *m = a, *n = b;
    int c = strcmp(m->set->name, n->set->name);
    return c ? c : m->part - n->part;
}

static void refuse(rt_h5_dataset *d, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void refuse(rt_h5_dataset *d, const char *fmt, ...)
{
    va_list a;
    va_start(a, fmt);
    vsnprintf(d->refused, sizeof d->refused, fmt, a);
    va_end(a);
}

/* "rows of (28, 28) u8" */
static const char *row_text(const rt_h5_dataset *d, char text[96])
{
    size_t n = 0;
    text[0] = 0;
    for (int i = 1; i < d->rank && n < 60; i++)
        n += (size_t)snprintf(text + n, 96 - n, "%s%llu", i > 1 ? ", " : "(", (unsigned long long)d->dim[i]);
    n += (size_t)snprintf(text + n, 96 - n, "%s%s", n ? ") " : "", rt_dtype_name(d->type));
    if (d->type == RT_TEXT) snprintf(text + n, 96 - n, " of %u bytes", d->element);
    return text;
}

static int rows_alike(const rt_h5_dataset *a, const rt_h5_dataset *b)
{
    if (a->type != b->type || a->element != b->element || a->rank != b->rank) return 0;
    for (int i = 1; i < a->rank; i++) if (a->dim[i] != b->dim[i]) return 0;
    return 1;
}

/* The set that n files have, the first of them in m[0]. */
static void merge(rt_h5_dataset *d, const rt_h5_file *f, const member *m, int n)
{
    char a[96], b[96];
    const char *first = f->part[m[0].part]->path;
    *d = *m[0].set;
    d->compact = NULL;
    d->chunk = NULL;
    if (!strcmp(d->name, "manifest")) return;         /* that of the first: rt_h5_read_all */
    d->chunked = d->filters = d->swap = 0;
    d->chunks = 0;
    d->offset = UINT64_MAX;
    for (int i = 0; i < n && !d->refused[0]; i++)
        if (m[i].set->refused[0]) refuse(d, "in %.80s: %.150s", f->part[m[i].part]->path, m[i].set->refused);
    if (d->refused[0]) return;
    if (n < f->parts) {
        int lacks = 0;
        while (lacks < n && m[lacks].part == lacks) lacks++;
        refuse(d, "%.*s has it, %.*s has not", PATH_SHOWN, first, PATH_SHOWN, f->part[lacks]->path);
        return;
    }
    if (d->rank < 1) refuse(d, "is a single value, not rows");
    for (int i = 1; i < n && !d->refused[0]; i++) {
        const char *path = f->part[m[i].part]->path;
        if (!rows_alike(m[0].set, m[i].set))
            refuse(d, "%.*s has rows of %s, %.*s of %s", PATH_SHOWN, first, row_text(m[0].set, a), PATH_SHOWN, path,
                   row_text(m[i].set, b));
        else if (__builtin_add_overflow(d->dim[0], m[i].set->dim[0], &d->dim[0]) || d->dim[0] > INT64_MAX)
            refuse(d, "has more rows than can be counted, up to %.*s", PATH_SHOWN, path);
    }
    uint64_t bytes = d->element;
    for (int i = 0; i < d->rank && !d->refused[0]; i++)
        if (__builtin_mul_overflow(bytes, d->dim[i], &bytes)) refuse(d, "has more bytes than can be counted");
}

static rt_status merge_sets(rt_h5_file *f)
{
    size_t all = 0, n = 0;
    for (int p = 0; p < f->parts; p++) all += (size_t)f->part[p]->sets;
    member *m = malloc((all + 1) * sizeof *m);
    if (!m) return rt_fail(RT_RUN, "out of memory");
    for (int p = 0; p < f->parts; p++)
        for (int i = 0; i < f->part[p]->sets; i++)
            if (strncmp(f->part[p]->set[i].name, RT_CHECKS_GROUP, strlen(RT_CHECKS_GROUP)))
                m[n++] = (member){&f->part[p]->set[i], p};
    qsort(m, n, sizeof *m, by_name);
    size_t sets = 0;
    for (size_t i = 0; i < n; i++) sets += !i || strcmp(m[i].set->name, m[i - 1].set->name);
    f->set = calloc(sets + 1, sizeof *f->set);
    for (size_t i = 0, k; f->set && i < n; i = k) {
        for (k = i + 1; k < n && !strcmp(m[k].set->name, m[i].set->name); k++) {}
        merge(&f->set[f->sets++], f, m + i, (int)(k - i));
    }
    free(m);
    return f->set ? RT_OK : rt_fail(RT_RUN, "out of memory");
}

/* ---- opening ---- */

/* Each file stays open. */
static rt_status make_room(int files)
{
    struct rlimit r;
    rlim_t least = (rlim_t)files + SPARE_FILES, wanted = least + (rlim_t)files; /* labels elsewhere may be as many */
    if (files < SPARE_FILES || getrlimit(RLIMIT_NOFILE, &r) || r.rlim_cur >= wanted) return RT_OK;
    r.rlim_cur = r.rlim_max < wanted ? r.rlim_max : wanted;
    if (setrlimit(RLIMIT_NOFILE, &r)) getrlimit(RLIMIT_NOFILE, &r);
    if (r.rlim_cur >= least) return RT_OK;
    return rt_fail(RT_RUN,
                   "a source of %d files, and this process may have %llu open: raise the limit (ulimit -n), or join "
                   "some of them",
                   files, (unsigned long long)r.rlim_cur);
}

/* Readers of metadata are processes, which are waited for: several at a time. */
typedef struct {
    rt_h5_file *f;
    const rt_source_files *l;
    pthread_mutex_t lock;
    int next, failed;                                 /* failed: the first file that did */
    rt_status status;
    char message[1024];
} scanning;

static void *scan_some(void *arg)
{
    scanning *s = arg;
    pthread_mutex_lock(&s->lock);
    while (s->next < s->l->count && s->next < s->failed) {
        int i = s->next++;
        pthread_mutex_unlock(&s->lock);
        rt_status st = rt_check_stop();
        if (!st) st = rt_h5_scan(&s->f->part[i], s->l->path[i]);
        pthread_mutex_lock(&s->lock);
        if (!st || i > s->failed) continue;
        s->failed = i;
        s->status = st;
        snprintf(s->message, sizeof s->message, "%s", rt_error_message());
    }
    pthread_mutex_unlock(&s->lock);
    return NULL;
}

static rt_status scan_files(rt_h5_file *f, const rt_source_files *l)
{
    pthread_t thread[SCANS];
    int threads = 0, wanted = l->count < SCANS ? l->count - 1 : SCANS - 1;
    scanning s = {.f = f, .l = l, .failed = l->count};
    pthread_mutex_init(&s.lock, NULL);
    while (threads < wanted && !rt_thread_start(&thread[threads], scan_some, &s)) threads++;
    scan_some(&s);
    for (int i = 0; i < threads; i++) pthread_join(thread[i], NULL);
    pthread_mutex_destroy(&s.lock);
    f->parts = l->count;                              /* those that were not scanned are NULL */
    return s.status ? rt_fail(s.status, "%s", s.message) : RT_OK;
}

static rt_status find_twice(const rt_h5_file *f)
{
    struct stat *s = malloc((size_t)f->parts * sizeof *s);
    rt_status st = s ? RT_OK : rt_fail(RT_RUN, "out of memory");
    for (int i = 0; i < f->parts && !st; i++)
        if (fstat(f->part[i]->fd, &s[i])) st = rt_fail(RT_RUN, "%s: %s", f->part[i]->path, strerror(errno));
    for (int i = 1; i < f->parts && !st; i++)
        for (int k = 0; k < i && !st; k++)
            if (s[i].st_ino == s[k].st_ino && s[i].st_dev == s[k].st_dev)
                st = rt_fail(RT_USAGE, "%s: this file is in the source twice%s%s; name it once", f->part[i]->path,
                             strcmp(f->part[i]->path, f->part[k]->path) ? ", also as " : "",
                             strcmp(f->part[i]->path, f->part[k]->path) ? f->part[k]->path : "");
    free(s);
    return st;
}

/* What messages call it. */
static void name_it(rt_h5_file *f, const char *source)
{
    int listed = is_list(source);
    size_t n = 0;
    for (int i = 0; i < f->parts; i++) n += strlen(f->part[i]->path) + 2;
    if (!listed) snprintf(f->path, sizeof f->path, "%s", source);
    else if (n > SHOWN)
        snprintf(f->path, sizeof f->path, "%.*s and %d more files", SHOWN, f->part[0]->path, f->parts - 1);
    else
        for (int i = n = 0; i < f->parts; i++)
            n += (size_t)snprintf(f->path + n, sizeof f->path - n, "%s%s", i ? ", " : "", f->part[i]->path);
}

static rt_status scan_all(rt_h5_file *f, const rt_source_files *l)
{
    RT_TRY(make_room(l->count));
    RT_TRY(scan_files(f, l));
    for (int i = 0; i < f->parts; i++) {
        f->size += f->part[i]->size;
        f->cut |= f->part[i]->cut;
        f->guard = i ? f->guard & f->part[i]->guard : f->part[i]->guard;
    }
    RT_TRY(find_twice(f));
    for (int i = 1; i < f->parts; i++) RT_TRY(rt_names_agree(f->part[0], f->part[i]));
    return merge_sets(f);
}

rt_status rt_source_scan(rt_h5_file **out, const char *source)
{
    rt_source_files l;
    *out = NULL;
    RT_TRY(rt_source_files_of(&l, source));
    if (l.count == 1) {
        rt_status st = rt_h5_scan(out, l.path[0]);
        rt_source_files_free(&l);
        return st;
    }
    rt_h5_file *f = calloc(1, sizeof *f);
    rt_status st = f && (f->part = calloc((size_t)l.count, sizeof(rt_h5_file *))) ? RT_OK
                                                                                  : rt_fail(RT_RUN, "out of memory");
    if (f) {
        f->users = 1;
        f->fd = -1;
    }
    if (!st) st = scan_all(f, &l);
    if (st) rt_h5_close(f);
    else {
        name_it(f, source);
        *out = f;
    }
    rt_source_files_free(&l);
    return st;
}
