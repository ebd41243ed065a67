#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "experiments/registry/registry_parts.h"

enum { LEAST_DIGITS = 8, TEXT_MAX = 4000, NAMES_SHOWN = 400 };

static int is_word(char c, int first)
{
    if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_') return 1;
    return !first && (c == '.' || c == '-');
}

static int is_number(const char *s) { return *s && strspn(s, "0123456789") == strlen(s); }

/* What ends like this is the name of a file. */
static int is_file(const char *s)
{
    static const char *const endings[] = {".h5", ".onnx", ".json", ".q"};
    for (size_t i = 0; i < sizeof endings / sizeof endings[0]; i++) {
        size_t n = strlen(s), k = strlen(endings[i]);
        if (n >= k && !strcmp(s + n - k, endings[i])) return 1;
    }
    return 0;
}

static size_t name_length(const char *s)
{
    size_t n = 0;
    while (is_word(s[n], !n)) n++;
    return n;
}

rt_status rt_registry_check_name(const char *name, const char *what)
{
    size_t n = name_length(name);
    if (!n || name[n] || n >= RT_REGISTRY_NAME)
        return rt_fail(RT_USAGE,
                       "'%.120s' is no %s: letters, digits, '_', '.' and '-' are, %d at most, of which '.' and "
                       "'-' do not begin it",
                       name, what, RT_REGISTRY_NAME - 1);
    if (!strcmp(what, "tag") && is_file(name))
        return rt_fail(RT_USAGE, "'%s' is no tag: it ends like the name of a file", name);
    if (!strcmp(what, "tag") && (is_number(name) || !strcmp(name, "latest")))
        return rt_fail(RT_USAGE, "'%s' is no tag: %s", name,
                       is_number(name) ? "numbers are those of versions" : "it always means the newest version");
    return RT_OK;
}

rt_status rt_registry_check_text(const char *text, const char *what)
{
    if (strlen(text) > TEXT_MAX) return rt_fail(RT_USAGE, "the %s is longer than %d bytes", what, TEXT_MAX);
    return rt_is_utf8(text) ? RT_OK : rt_fail(RT_USAGE, "the %s is no valid UTF-8", what);
}

int rt_registry_is_reference(const char *text)
{
    if (!strncmp(text, "sha256:", 7)) {
        size_t n = strlen(text + 7);
        return n >= LEAST_DIGITS && n <= 64 && strspn(text + 7, "0123456789abcdef") == n;
    }
    size_t n = name_length(text);
    if (!n || n >= RT_REGISTRY_NAME || text[n] != '@') return 0;
    size_t k = name_length(text + n + 1);
    return k && k < RT_REGISTRY_NAME && !text[n + 1 + k] && !is_file(text);
}

rt_status rt_registry_resolve(const char *folder, const char *text, char path[RT_FOLDER_PATH],
                              char called[RT_VERSION_TEXT], char told[RT_TOLD])
{
    struct stat s;
    rt_registry *r;
    rt_version v;
    *path = *called = *told = 0;
    if (!rt_registry_is_reference(text)) return RT_OK;
    if (!lstat(text, &s)) {
        if (folder) snprintf(told, RT_TOLD, "%.180s: the file of this name is taken, not a version", text);
        return RT_OK;
    }
    if (!folder)
        return rt_fail(RT_INPUT, "%s: there is no such file, and for a version of a registry --registry DIR or "
                       "RETORT_REGISTRY is needed", text);
    RT_TRY(rt_registry_open(&r, folder, 0));
    rt_status st = rt_registry_find(r, text, &v);
    if (!st) st = rt_registry_check_object(r, v.sha256, 1);
    if (st == RT_INPUT && v.id) st = rt_fail_in(st, "%s@%lld", v.name, (long long)v.number);
    if (!st) {
        rt_registry_object(r, path, v.sha256);
        rt_version_text(called, &v);
        snprintf(told, RT_TOLD, "%.180s is %s%ssha256:%s", text, strcmp(text, called) ? called : "",
                 strcmp(text, called) ? ", " : "", v.sha256);
    }
    rt_registry_close(r);
    return st;
}

void rt_version_text(char out[RT_VERSION_TEXT], const rt_version *v)
{
    snprintf(out, RT_VERSION_TEXT, "%s@%lld", v->name, (long long)v->number);
}

rt_status rt_registry_model(rt_registry *r, const char *name, int64_t *id)
{
    return rt_sql_number(r, id, 0, "SELECT id FROM model WHERE name = ?", "s", name);
}

rt_status rt_registry_no_name(rt_registry *r, const char *name)
{
    char *names[NAMES_SHOWN];
    sqlite3_stmt *s;
    int n = 0, row = 1;
    rt_status st = rt_sql(r, &s, "SELECT name FROM model WHERE last > 0 ORDER BY id DESC LIMIT ?", "i",
                          (int64_t)NAMES_SHOWN);
    while (!st && !(st = rt_sql_next(r, s, &row)) && row && n < NAMES_SHOWN)
        if ((names[n] = strdup(rt_sql_text(s, 0)))) n++;
    sqlite3_finalize(s);
    const char *near = rt_nearest(name, (const char *const *)names, n);
    if (!st)
        st = rt_fail(RT_INPUT, "%s: there is no '%s'%s%s%s 'retort registry list' tells what there is", r->folder,
                     name, near ? "; did you mean '" : ";", near ? near : "", near ? "'?" : "");
    for (int i = 0; i < n; i++) free(names[i]);
    return st;
}

/* The row of a statement of columns id, model, name, number, object, digest. */
static rt_status take(rt_registry *r, sqlite3_stmt *s, rt_version *v, int *found)
{
    rt_status st = rt_sql_next(r, s, found);
    if (st || !*found) return st;
    *v = (rt_version){.id = sqlite3_column_int64(s, 0), .model = sqlite3_column_int64(s, 1),
                      .number = sqlite3_column_int64(s, 3)};
    snprintf(v->name, sizeof v->name, "%s", rt_sql_text(s, 2));
    snprintf(v->sha256, sizeof v->sha256, "%s", rt_sql_text(s, 4));
    snprintf(v->digest, sizeof v->digest, "%s", rt_sql_text(s, 5));
    return RT_OK;
}

#define COLUMNS \
    "SELECT v.id, v.model, m.name, v.number, v.object, v.digest FROM version v JOIN model m ON m.id = v.model "

static rt_status find_digest(rt_registry *r, const char *text, rt_version *v)
{
    char end[72];
    sqlite3_stmt *s;
    int found, more = 0;
    char first[RT_SHA256];
    snprintf(end, sizeof end, "%sg", text + 7);
    RT_TRY(rt_sql(r, &s, COLUMNS "WHERE v.object >= ? AND v.object < ? ORDER BY v.object, v.id DESC", "ss", text + 7,
                  end));
    rt_status st = take(r, s, v, &found);
    strcpy(first, v->sha256);
    for (int row = 1; !st && found && row && !more;) {
        st = rt_sql_next(r, s, &row);
        more = !st && row && strcmp(first, rt_sql_text(s, 4));
    }
    sqlite3_finalize(s);
    if (!st && !found) return rt_fail(RT_INPUT, "%s: no version has %s", r->folder, text);
    if (!st && more) return rt_fail(RT_USAGE, "%s: several objects begin with %s; give more digits", r->folder, text);
    return st;
}

static rt_status no_such_version(rt_registry *r, const char *name, const char *which)
{
    int64_t model, last, tags;
    RT_TRY(rt_registry_model(r, name, &model));
    RT_TRY(rt_sql_number(r, &last, 0, "SELECT max(number) FROM version WHERE model = ?", "i", model));
    RT_TRY(rt_sql_number(r, &tags, 0, "SELECT count(*) FROM tag WHERE model = ?", "i", model));
    if (!is_number(which)) {
        char list[512] = "";
        sqlite3_stmt *s;
        int row = 1;
        size_t n = 0;
        RT_TRY(rt_sql(r, &s, "SELECT name FROM tag WHERE model = ? ORDER BY name", "i", model));
        rt_status st = RT_OK;
        while (!st && !(st = rt_sql_next(r, s, &row)) && row && n < sizeof list - RT_REGISTRY_NAME - 4)
            n += (size_t)snprintf(list + n, sizeof list - n, "%s%s", n ? ", " : "", rt_sql_text(s, 0));
        sqlite3_finalize(s);
        if (st) return st;
        return rt_fail(RT_INPUT, "%s: no version of %s has the tag '%s'; tags: %s", r->folder, name, which,
                       n ? list : "none");
    }
    return rt_fail(RT_INPUT, "%s: there is no version %s@%s; the newest is %lld", r->folder, name, which,
                   (long long)last);
}

rt_status rt_registry_find(rt_registry *r, const char *text, rt_version *v)
{
    char name[RT_REGISTRY_NAME];
    sqlite3_stmt *s;
    int64_t model;
    int found;
    *v = (rt_version){0};
    if (!rt_registry_is_reference(text))
        return rt_fail(RT_USAGE, "'%.120s' is no version: NAME@NUMBER, NAME@TAG, NAME@latest or sha256:DIGEST is "
                       "expected", text);
    if (!strncmp(text, "sha256:", 7)) return find_digest(r, text, v);
    size_t n = strcspn(text, "@");
    const char *which = text + n + 1;
    snprintf(name, sizeof name, "%.*s", (int)n, text);
    RT_TRY(rt_registry_model(r, name, &model));
    if (!model) return rt_registry_no_name(r, name);
    if (!strcmp(which, "latest"))
        RT_TRY(rt_sql(r, &s, COLUMNS "WHERE v.model = ? ORDER BY v.number DESC LIMIT 1", "i", model));
    else if (is_number(which) && strlen(which) > 18) return no_such_version(r, name, which);
    else if (is_number(which))
        RT_TRY(rt_sql(r, &s, COLUMNS "WHERE v.model = ? AND v.number = ?", "ii", model,
                      (int64_t)strtoll(which, NULL, 10)));
    else
        RT_TRY(rt_sql(r, &s,
                      COLUMNS "WHERE v.model = ? AND v.id = (SELECT version FROM tag WHERE model = ? AND name = ?)",
                      "iis", model, model, which));
    rt_status st = take(r, s, v, &found);
    sqlite3_finalize(s);
    return st || found ? st : no_such_version(r, name, which);
}

rt_status rt_registry_find_exact(rt_registry *r, const char *text, int number_alone, rt_version *v)
{
    const char *at = strchr(text, '@');
    if (!at || !rt_registry_is_reference(text) || !strcmp(at, "@latest") || (number_alone && !is_number(at + 1)))
        return rt_fail(RT_USAGE, "'%.120s': an exact version is expected here, NAME@NUMBER%s", text,
                       number_alone ? "" : " or NAME@TAG");
    return rt_registry_find(r, text, v);
}
