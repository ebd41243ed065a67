/* tests/data/import_support.h - what the tests of importers share: an import, read back. */
#ifndef RT_TESTS_IMPORT_SUPPORT_H
#define RT_TESTS_IMPORT_SUPPORT_H

#include <unistd.h>

#include "data/h5.h"
#include "data/import.h"
#include "tests/support.h"

#define SAMPLES RETORT_SOURCE_DIR "/tests/data/samples/"

typedef struct {
    cJSON *report, *manifest;
    void *x;
    int32_t *y;                   /* NULL: none */
    rt_dtype type;
    int rank;
    uint64_t dim[RT_H5_RANK];
} imported;

static inline const char *out_path(void)
{
    static char path[96];
    snprintf(path, sizeof path, "%s/out.h5", test_folder);
    return path;
}

/* A file in the scratch folder. */
static inline const char *put(const char *name, const void *data, size_t n)
{
    static char path[32][128];
    static int at;
    char *p = path[at++ & 31];
    snprintf(p, 128, "%s/%s", test_folder, name);
    FILE *f = fopen(p, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, n, f), n);
    fclose(f);
    return p;
}
#define TEXT(name, s) put(name, s, sizeof s - 1)

static inline imported read_back(const char *path)
{
    imported r = {.y = NULL};
    rt_h5_file *f;
    char *text;
    check_ok(rt_h5_scan(&f, path));
    const rt_h5_dataset *x = rt_h5_find(f, "x");
    assert_non_null(x);
    r.type = x->type;
    r.rank = x->rank;
    memcpy(r.dim, x->dim, sizeof r.dim);
    check_ok(rt_h5_read_all(&r.x, f, "x", 1 << 28));
    if (rt_h5_find(f, "y")) {
        assert_true(rt_h5_find(f, "y")->type == RT_I32 && rt_h5_find(f, "y")->dim[0] == r.dim[0]);
        check_ok(rt_h5_read_all((void **)&r.y, f, "y", 1 << 28));
    }
    check_ok(rt_h5_read_all((void **)&text, f, "manifest", 1 << 22));
    check_ok(rt_json_parse(&r.manifest, text, strlen(text), "manifest"));
    free(text);
    rt_h5_close(f);
    return r;
}

static inline imported import(rt_import_spec s)
{
    cJSON *report;
    check_ok(rt_import_run(&s, &(rt_target){.path = out_path(), .force = 1}, &report));
    imported r = read_back(out_path());
    r.report = report;
    unlink(out_path());
    return r;
}

static inline void done(imported *r)
{
    cJSON_Delete(r->report);
    cJSON_Delete(r->manifest);
    free(r->x);
    free(r->y);
}

/* The import fails with this message, and leaves no file. */
static inline void refuse(rt_import_spec s, rt_status want, const char *part)
{
    cJSON *report;
    check_fails(rt_import_run(&s, &(rt_target){.path = out_path(), .force = 1}, &report), want, part);
    assert_null(report);
    assert_int_not_equal(access(out_path(), F_OK), 0);
    char command[160];
    snprintf(command, sizeof command, "ls %s/*.tmp* > /dev/null 2>&1", test_folder);
    assert_int_not_equal(system(command), 0);
}

/* "a|b|c" of a list of names in the report or manifest. */
static inline const char *names_of(const cJSON *object, const char *key)
{
    static char text[2000];
    size_t n = 0;
    *text = 0;
    const cJSON *list = cJSON_GetObjectItemCaseSensitive(object, key);
    if (!list) return "(none)";
    for (const cJSON *c = list->child; c; c = c->next)
        n += (size_t)(cJSON_IsString(c) ? snprintf(text + n, sizeof text - n, "%s%s", n ? "|" : "", c->valuestring)
                                        : snprintf(text + n, sizeof text - n, "%s%g", n ? "|" : "", c->valuedouble));
    return text;
}

static inline const char *text_of(const cJSON *object, const char *key)
{
    const char *s = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, key));
    return s ? s : "(none)";
}

/* A note of the report holds this text. */
static inline int noted(const imported *r, const char *part)
{
    const cJSON *notes = cJSON_GetObjectItemCaseSensitive(r->report, "notes");
    for (const cJSON *c = notes->child; c; c = c->next) if (strstr(c->valuestring, part)) return 1;
    return 0;
}

/* How many of `what` were skipped. */
static inline double skipped(const imported *r, const char *what)
{
    const cJSON *list = cJSON_GetObjectItemCaseSensitive(r->report, "skipped");
    for (const cJSON *c = list->child; c; c = c->next)
        if (strcmp(text_of(c, "what"), what) == 0) return cJSON_GetObjectItemCaseSensitive(c, "count")->valuedouble;
    return 0;
}

#define CHECK_X(r, ctype, ...) do { \
    const ctype want_[] = {__VA_ARGS__}; \
    assert_int_equal(sizeof want_ / sizeof *want_, (r).dim[0] * (r).dim[1]); \
    assert_memory_equal((r).x, want_, sizeof want_); \
} while (0)
#define CHECK_Y(r, ...) do { \
    const int32_t want_[] = {__VA_ARGS__}; \
    assert_non_null((r).y); \
    assert_int_equal(sizeof want_ / sizeof *want_, (r).dim[0]); \
    for (size_t i_ = 0; i_ < sizeof want_ / sizeof *want_; i_++) assert_int_equal((r).y[i_], want_[i_]); \
} while (0)
#endif
