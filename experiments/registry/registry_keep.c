#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "data/files.h"
#include "engine/clock.h"
#include "experiments/registry/registry_parts.h"

enum { MOST_NAMED = 64, MOST_DAMAGED = 1000 };
static const char digits[] = "0123456789abcdef";

/* ---- what lies in objects/ ---- */

/* An object, a file that a killed writer left (sha256 ""), or something else. */
typedef enum { IS_OBJECT, IS_LEFT, IS_FOREIGN } kind;
typedef rt_status look(void *arg, kind, int shelf, const char *name, const char *sha256, const struct stat *);

static rt_status walk_shelf(rt_registry *r, const char *shelf, look *visit, void *arg)
{
    char path[RT_FOLDER_PATH];
    DIR *d = rt_folder_entries(r->objects, shelf);
    rt_status st = RT_OK;
    snprintf(path, sizeof path, "%s/objects/%s", r->folder, shelf);
    if (!d) return rt_fail(RT_RUN, "%s: %s", path, strerror(errno));
    for (struct dirent *e; !st && !(st = rt_folder_next(d, path, &e)) && e;) {
        char sha256[RT_SHA256] = "";
        struct stat s;
        const char *n = e->d_name;
        if (!strcmp(n, ".") || !strcmp(n, "..")) continue;
        if (fstatat(dirfd(d), n, &s, AT_SYMLINK_NOFOLLOW)) {
            if (errno != ENOENT) st = rt_fail(RT_RUN, "%s/%s: %s", path, n, strerror(errno));
            continue;                                  /* gone meanwhile */
        }
        int object = strlen(n) == 62 && strspn(n, digits) == 62 && S_ISREG(s.st_mode);
        int left = n[0] == '.' && strlen(n) > 63 && strspn(n + 1, digits) == 62 && !strncmp(n + 63, ".tmp-", 5) &&
                   S_ISREG(s.st_mode);
        if (object) snprintf(sha256, sizeof sha256, "%.2s%.62s", shelf, n);
        st = visit(arg, object ? IS_OBJECT : left ? IS_LEFT : IS_FOREIGN, dirfd(d), n, sha256, &s);
        if (!st) st = rt_check_stop();
    }
    closedir(d);
    return st;
}

static rt_status walk(rt_registry *r, look *visit, void *arg)
{
    struct stat s;
    for (int i = 0; i < 256; i++) {
        char shelf[3] = {digits[i / 16], digits[i % 16], 0};
        if (!fstatat(r->objects, shelf, &s, AT_SYMLINK_NOFOLLOW)) RT_TRY(walk_shelf(r, shelf, visit, arg));
        else if (errno != ENOENT) return rt_fail(RT_RUN, "%s/objects/%s: %s", r->folder, shelf, strerror(errno));
    }
    return RT_OK;
}

static rt_status is_named(rt_registry *r, const char *sha256, int64_t *yes)
{
    return rt_sql_number(
        r, yes, 0,
        "SELECT EXISTS (SELECT 1 FROM version WHERE object = ?1) OR EXISTS (SELECT 1 FROM version WHERE "
        "configuration = ?1) OR EXISTS (SELECT 1 FROM evaluation WHERE object = ?1) OR EXISTS (SELECT 1 "
        "FROM gate_run WHERE object = ?1) OR EXISTS (SELECT 1 FROM drift WHERE object = ?1)",
        "s", sha256);
}

/* ---- collection ---- */

typedef struct {
    rt_registry *r;
    cJSON *objects;                    /* {"sha256", "bytes"} */
    double bytes, age, now;
    int remove, left;
} collection;

static rt_status collect(void *arg, kind what, int shelf, const char *name, const char *sha256, const struct stat *s)
{
    collection *c = arg;
    int64_t named = 0;
    if (what == IS_FOREIGN || c->now - (double)s->st_mtime < c->age) return RT_OK;
    if (what == IS_OBJECT) RT_TRY(is_named(c->r, sha256, &named));
    if (named) return RT_OK;
    if (what == IS_OBJECT) {
        cJSON *e = cJSON_CreateObject();
        cJSON_AddStringToObject(e, "sha256", sha256);
        cJSON_AddNumberToObject(e, "bytes", (double)s->st_size);
        cJSON_AddItemToArray(c->objects, e);
    } else c->left++;
    c->bytes += (double)s->st_size;
    if (c->remove && unlinkat(shelf, name, 0) && errno != ENOENT)
        return rt_fail(RT_RUN, "%s/objects/%.2s/%s: cannot be removed: %s", c->r->folder, sha256, name,
                       strerror(errno));
    return RT_OK;
}

/* Rows first, and committed, so that no row is ever without its file; then the files, with writers kept out, of whom
 * each looks under the same lock whether its objects are still there. */
static rt_status collect_all(rt_registry *r, collection *c, int dry)
{
    if (dry) return walk(r, collect, c);
    c->remove = 1;
    RT_TRY(rt_registry_begin(r));
    RT_TRY(rt_sql_run(
        r,
        "DELETE FROM object WHERE sha256 NOT IN (SELECT object FROM version UNION SELECT configuration FROM "
        "version WHERE configuration IS NOT NULL UNION SELECT object FROM evaluation UNION SELECT object FROM "
        "gate_run UNION SELECT object FROM drift)",
        ""));
    RT_TRY(rt_registry_commit(r));
    RT_TRY(rt_registry_begin(r));
    RT_TRY(walk(r, collect, c));
    return rt_registry_commit(r);
}

rt_status rt_registry_collect(rt_registry *r, double age, int dry, cJSON **result)
{
    collection c = {.r = r, .objects = cJSON_CreateArray(), .age = age, .now = (double)time(NULL)};
    *result = NULL;
    int folders = 0;
    rt_status st = collect_all(r, &c, dry);
    rt_registry_rollback(r);
    if (!st) st = rt_registry_sweep(r, age, dry, &folders);
    if (st) {
        cJSON_Delete(c.objects);
        return st;
    }
    cJSON *j = cJSON_CreateObject();
    cJSON_AddItemToObject(j, "objects", c.objects);
    cJSON_AddNumberToObject(j, "unfinished_files", c.left + folders);
    cJSON_AddNumberToObject(j, "bytes", c.bytes);
    cJSON_AddBoolToObject(j, "removed", !dry);
    *result = j;
    return RT_OK;
}

/* ---- verification ---- */

typedef struct {
    rt_registry *r;
    cJSON *damaged, *foreign;
    double objects, bytes, all, started, told;
    int unnamed, left;
    const rt_progress *progress;
} check;

static void add_damage(check *c, const char *what, const char *sha256, const char *of)
{
    cJSON *e = cJSON_CreateObject();
    cJSON_AddStringToObject(e, "what", what);
    if (sha256) cJSON_AddStringToObject(e, "sha256", sha256);
    if (of) cJSON_AddStringToObject(e, "of", of);
    cJSON_AddItemToArray(c->damaged, e);
}

static void say_damage(void *arg, const char *what)
{
    check *c = arg;
    if (cJSON_GetArraySize(c->damaged) < MOST_DAMAGED) add_damage(c, what, NULL, NULL);
}

/* SQLite's check takes a page that could not be read, or had no memory, for a damaged one. */
static rt_status check_reading(check *c, const char *line)
{
    const char *code = strstr(line, "error code=");
    int error = code ? atoi(code + 11) : 0, kind = error & 0xff;
    return kind == SQLITE_IOERR || kind == SQLITE_NOMEM || kind == SQLITE_CANTOPEN ? rt_sql_failed(c->r, error) : RT_OK;
}

/* Lines of a check of SQLite's own but "ok". */
static rt_status check_database(check *c, const char *sql, const char *of_what)
{
    sqlite3_stmt *s;
    int row = 1;
    RT_TRY(rt_sql(c->r, &s, sql, ""));
    rt_status st = RT_OK;
    while (!st && !(st = rt_sql_next(c->r, s, &row)) && row) {
        rt_string text = {0};
        if (!strcmp(rt_sql_text(s, 0), "ok")) continue;
        if ((st = check_reading(c, rt_sql_text(s, 0)))) break;
        rt_put(&text, "registry.db: %s%s", of_what, rt_sql_text(s, 0));
        add_damage(c, text.p ? text.p : "", NULL, NULL);
        free(text.p);
    }
    sqlite3_finalize(s);
    return st;
}

static const char objects_sql[] =
    "SELECT o.sha256, o.bytes, coalesce("
    " (SELECT group_concat(m.name || '@' || v.number, ', ') FROM version v JOIN model m ON m.id = v.model"
    "  WHERE v.object = o.sha256),"
    " (SELECT 'the configuration of ' || m.name || '@' || v.number FROM version v JOIN model m ON m.id = v.model"
    "  WHERE v.configuration = o.sha256 LIMIT 1),"
    " (SELECT 'an evaluation of ' || m.name || '@' || v.number FROM evaluation y JOIN version v ON v.id = y.version"
    "  JOIN model m ON m.id = v.model WHERE y.object = o.sha256 LIMIT 1),"
    " (SELECT 'the verdict of gate run ' || g.id FROM gate_run g WHERE g.object = o.sha256),"
    " (SELECT 'a look at drift of ' || m.name || '@' || v.number FROM drift d JOIN version v ON v.id = d.version"
    "  JOIN model m ON m.id = v.model WHERE d.object = o.sha256 LIMIT 1), 'no version')"
    " FROM object o ORDER BY o.sha256";

static rt_status check_objects(check *c)
{
    sqlite3_stmt *s;
    int row = 1;
    RT_TRY(rt_sql(c->r, &s, objects_sql, ""));
    rt_status st = RT_OK;
    while (!st && !(st = rt_sql_next(c->r, s, &row)) && row) {
        st = rt_registry_check_object(c->r, rt_sql_text(s, 0), 1);
        if (st == RT_INPUT) {
            add_damage(c, rt_error_message(), rt_sql_text(s, 0), rt_sql_text(s, 2));
            st = RT_OK;
        }
        c->objects++;
        c->bytes += (double)sqlite3_column_int64(s, 1);
        double gone = rt_seconds() - c->started;
        if (gone - c->told < 0.5) continue;
        c->told = gone;
        rt_progress_update(c->progress, "verify", c->objects, c->all, gone > 0 ? c->objects / gone : 0, "objects", "");
    }
    sqlite3_finalize(s);
    return st;
}

static rt_status count_files(void *arg, kind what, int shelf, const char *name, const char *sha256,
                             const struct stat *s)
{
    check *c = arg;
    int64_t named = 0;
    (void)shelf;
    (void)s;
    if (what == IS_OBJECT) RT_TRY(is_named(c->r, sha256, &named));
    if (what == IS_OBJECT) c->unnamed += !named;
    else if (what == IS_LEFT) c->left++;
    else if (cJSON_GetArraySize(c->foreign) < MOST_NAMED) cJSON_AddItemToArray(c->foreign, cJSON_CreateString(name));
    return RT_OK;
}

static rt_status check_all(check *c, int64_t *versions)
{
    int64_t objects;
    RT_TRY(check_database(c, "PRAGMA integrity_check(100)", ""));
    RT_TRY(rt_registry_check_seals(c->r, say_damage, c));
    RT_TRY(check_database(c, "PRAGMA foreign_key_check", "a reference to nothing in table "));
    RT_TRY(rt_sql_number(c->r, &objects, 0, "SELECT count(*) FROM object", ""));
    RT_TRY(rt_sql_number(c->r, versions, 0, "SELECT count(*) FROM version", ""));
    c->all = (double)objects;
    RT_TRY(check_objects(c));
    RT_TRY(walk(c->r, count_files, c));
    int folders;
    RT_TRY(rt_registry_sweep(c->r, 0, 1, &folders));
    c->left += folders;
    return RT_OK;
}

rt_status rt_registry_verify(rt_registry *r, const rt_progress *progress, cJSON **result)
{
    check c = {.r = r, .damaged = cJSON_CreateArray(), .foreign = cJSON_CreateArray(), .started = rt_seconds(),
               .progress = progress};
    int64_t versions = 0;
    *result = NULL;
    rt_status st = check_all(&c, &versions);
    if (st) {
        cJSON_Delete(c.damaged);
        cJSON_Delete(c.foreign);
        return st;
    }
    cJSON *j = cJSON_CreateObject();
    int bad = cJSON_GetArraySize(c.damaged);
    cJSON_AddStringToObject(j, "registry", r->folder);
    cJSON_AddNumberToObject(j, "versions", (double)versions);
    cJSON_AddNumberToObject(j, "objects", c.objects);
    cJSON_AddNumberToObject(j, "bytes", c.bytes);
    cJSON_AddItemToObject(j, "damaged", c.damaged);
    cJSON_AddNumberToObject(j, "objects_that_nothing_names", c.unnamed);
    cJSON_AddNumberToObject(j, "unfinished_files", c.left);
    cJSON_AddItemToObject(j, "files_of_others", c.foreign);
    *result = j;
    if (!bad) return RT_OK;
    const cJSON *first = c.damaged->child;
    const char *of = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(first, "of"));
    return rt_fail(RT_INPUT, "%d damaged; the first is of %s: %s", bad, of ? of : "the database",
                   cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(first, "what")));
}
