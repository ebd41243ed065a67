#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "experiments/registry/registry_parts.h"

/* A column of texts as a list under key, when there are any. */
static rt_status add_texts(rt_registry *r, cJSON *j, const char *key, const char *sql, int64_t a)
{
    sqlite3_stmt *s;
    int row = 1;
    cJSON *list = cJSON_AddArrayToObject(j, key);
    RT_TRY(rt_sql(r, &s, sql, "i", a));
    rt_status st = RT_OK;
    while (!st && !(st = rt_sql_next(r, s, &row)) && row)
        cJSON_AddItemToArray(list, cJSON_CreateString(rt_sql_text(s, 0)));
    sqlite3_finalize(s);
    return st;
}

/* ---- list ---- */

/* GROUP_CONCAT of what no name holds. */
static void add_words(cJSON *j, const char *key, const char *text)
{
    cJSON *list = cJSON_AddArrayToObject(j, key);
    for (size_t n; *text; text += n + (text[n] == ' ')) {
        char word[RT_REGISTRY_NAME];
        n = strcspn(text, " ");
        snprintf(word, sizeof word, "%.*s", (int)n, text);
        cJSON_AddItemToArray(list, cJSON_CreateString(word));
    }
}

static cJSON *row_of_list(sqlite3_stmt *s)
{
    static const char *const keys[] = {"name", "number", "time", "user", "bytes", "sha256", "digest"};
    char name[RT_VERSION_TEXT];
    cJSON *j = cJSON_CreateObject();
    snprintf(name, sizeof name, "%s@%lld", rt_sql_text(s, 0), (long long)sqlite3_column_int64(s, 1));
    cJSON_AddStringToObject(j, "version", name);
    for (int i = 0; i < 7; i++) rt_sql_add(j, keys[i], s, i);
    add_words(j, "tags", rt_sql_text(s, 7));
    add_words(j, "anchors", rt_sql_text(s, 8));
    rt_sql_add(j, "parent", s, 9);
    rt_sql_add(j, "accuracy", s, 10);
    rt_sql_add(j, "note", s, 11);
    return j;
}

static const char list_sql[] =
    "SELECT m.name, v.number, e.time, e.user, o.bytes, v.object, v.digest, t.names, a.names,"
    " pm.name || '@' || p.number,"
    " (SELECT x.value FROM evaluation y JOIN metric x ON x.evaluation = y.id AND x.name = 'accuracy'"
    "  WHERE y.version = v.id ORDER BY y.id DESC LIMIT 1), v.note"
    " FROM model m JOIN version v ON v.model = m.id JOIN event e ON e.id = v.event"
    " JOIN object o ON o.sha256 = v.object"
    " LEFT JOIN (SELECT version, group_concat(name, ' ') AS names FROM tag GROUP BY version) t ON t.version = v.id"
    " LEFT JOIN (SELECT version, group_concat(release, ' ') AS names FROM anchor GROUP BY version) a"
    " ON a.version = v.id"
    " LEFT JOIN version p ON p.id = v.parent LEFT JOIN model pm ON pm.id = p.model"
    " WHERE (?1 IS NULL OR m.name = ?1)"
    " AND (?2 IS NULL OR EXISTS (SELECT 1 FROM tag t WHERE t.version = v.id AND t.name = ?2))"
    " AND (?3 IS NULL OR substr(v.teacher, 1, length(?3)) = ?3 OR (instr(v.facts, '\"teachers\"')"
    "  AND json_valid(v.facts) AND EXISTS (SELECT 1 FROM json_each(v.facts, '$.teachers')"
    "  WHERE substr(value, 1, length(?3)) = ?3)))"
    " AND (?4 IS NULL OR substr(v.data, 1, length(?4)) = ?4)"
    " AND (?5 IS NULL OR substr(v.labels, 1, length(?5)) = ?5)"
    " AND (?6 IS NULL OR substr(v.configuration, 1, length(?6)) = ?6)"
    " AND (?7 = 0 OR v.number IN (SELECT l.number FROM version l WHERE l.model = m.id ORDER BY l.number DESC LIMIT ?7))"
    " ORDER BY m.name, v.number";

enum { KNOWN_SHOWN = 8, DIGITS_SHOWN = 12 };

/* RT_USAGE when value is none of what sql tells, nor the beginning of one (digests). */
static rt_status check_known(rt_registry *r, const char *option, const char *value, int digest, const char *sql)
{
    sqlite3_stmt *s;
    rt_string list = {0};
    int row = 1, known = 0, n = 0;
    RT_TRY(rt_sql(r, &s, sql, ""));
    rt_status st = RT_OK;
    while (!st && !known && !(st = rt_sql_next(r, s, &row)) && row) {
        const char *there = rt_sql_text(s, 0);
        known = digest ? !strncmp(there, value, strlen(value)) : !strcmp(there, value);
        if (n++ < KNOWN_SHOWN)
            rt_put(&list, "%s%.*s", n > 1 ? ", " : "", digest ? DIGITS_SHOWN : RT_REGISTRY_NAME, there);
    }
    sqlite3_finalize(s);
    if (!st && !known && !digest) st = rt_registry_protected(r, value, &known);
    if (!st && !known) {
        char more[48] = "";
        if (n > KNOWN_SHOWN) snprintf(more, sizeof more, " and %d more", n - KNOWN_SHOWN);
        st = rt_fail(RT_USAGE, "registry list: no version has --%s %.80s; there %s: %s%s", option, value,
                     n == 1 ? "is" : "are", n ? list.p : "none", more);
    }
    free(list.p);
    return st;
}

/* What a list without rows was asked for: a word that was never there is a mistake, two that never met are none. */
static rt_status check_filter(rt_registry *r, const rt_registry_filter *f)
{
    const struct { const char *option, *value, *sql; } filters[] = {
        {"tag", f->tag, "SELECT DISTINCT name FROM tag ORDER BY name"},
        {"teacher", f->teacher,
         "SELECT teacher FROM version WHERE teacher IS NOT NULL UNION SELECT value FROM version, json_each(facts, "
         "'$.teachers') WHERE instr(facts, '\"teachers\"') AND json_valid(facts)"},
        {"data", f->data, "SELECT DISTINCT data FROM version WHERE data IS NOT NULL ORDER BY data"},
        {"labels", f->labels, "SELECT DISTINCT labels FROM version WHERE labels IS NOT NULL ORDER BY labels"},
        {"configuration", f->configuration,
         "SELECT DISTINCT configuration FROM version WHERE configuration IS NOT NULL ORDER BY configuration"}};
    for (int i = 0; i < 5; i++)
        if (filters[i].value) RT_TRY(check_known(r, filters[i].option, filters[i].value, i > 0, filters[i].sql));
    return RT_OK;
}

rt_status rt_registry_list(rt_registry *r, const rt_registry_filter *f, cJSON **result)
{
    sqlite3_stmt *s;
    int row = 1;
    int64_t model = 1;
    *result = NULL;
    if (f->name) RT_TRY(rt_registry_check_name(f->name, "name"));
    if (f->name) RT_TRY(rt_registry_model(r, f->name, &model));
    if (!model) return rt_registry_no_name(r, f->name);
    cJSON *j = cJSON_CreateObject();
    cJSON_AddStringToObject(j, "registry", r->folder);
    cJSON *list = cJSON_AddArrayToObject(j, "versions");
    rt_status st = rt_sql(r, &s, list_sql, "ssssssi", f->name, f->tag, f->teacher, f->data, f->labels, f->configuration,
                          (int64_t)f->last);
    while (!st && !(st = rt_sql_next(r, s, &row)) && row) cJSON_AddItemToArray(list, row_of_list(s));
    sqlite3_finalize(s);
    if (!st && !list->child) st = check_filter(r, f);
    if (st) cJSON_Delete(j);
    else *result = j;
    return st;
}

/* ---- show ---- */

/* A digest with the versions that have it. */
static rt_status add_version(rt_registry *r, cJSON *j, const char *digest)
{
    char found[RT_VERSION_TEXT] = "";
    sqlite3_stmt *s;
    int row;
    cJSON_AddStringToObject(j, "digest", digest);
    RT_TRY(rt_sql(r, &s,
                  "SELECT m.name || '@' || v.number FROM version v JOIN model m ON m.id = v.model WHERE v.digest = ? "
                  "ORDER BY v.id DESC LIMIT 1",
                  "s", digest));
    rt_status st = rt_sql_next(r, s, &row);
    if (!st && row) snprintf(found, sizeof found, "%s", rt_sql_text(s, 0));
    sqlite3_finalize(s);
    if (*found) cJSON_AddStringToObject(j, "version", found);
    return st;
}

static rt_status add_ancestor(rt_registry *r, cJSON *lineage, const char *key, const char *digest)
{
    return *digest ? add_version(r, cJSON_AddObjectToObject(lineage, key), digest) : RT_OK;
}

/* Those of an ensemble or a mixture, which the model's facts hold. */
static rt_status add_teachers(rt_registry *r, cJSON *lineage, cJSON *facts)
{
    cJSON *digests = cJSON_DetachItemFromObjectCaseSensitive(facts, "teachers"), *list = NULL;
    rt_status st = RT_OK;
    for (const cJSON *e = digests ? digests->child : NULL; e && !st; e = e->next) {
        cJSON *one = cJSON_CreateObject();
        if (!list) list = cJSON_AddArrayToObject(lineage, "teachers");
        cJSON_AddItemToArray(list, one);
        st = cJSON_IsString(e) ? add_version(r, one, e->valuestring) : RT_OK;
    }
    cJSON_Delete(digests);
    return st;
}

static rt_status add_lineage(rt_registry *r, const rt_version *v, cJSON *j)
{
    static const char *const keys[] = {"teacher", "labels", "data", "init", "configuration", "code", "seed"};
    sqlite3_stmt *s;
    int row;
    cJSON *lineage = cJSON_AddObjectToObject(j, "lineage");
    RT_TRY(rt_sql(
        r, &s,
        "SELECT v.teacher, v.labels, v.data, v.init, v.configuration, v.tool, v.seed,"
        " (SELECT m.name || '@' || p.number FROM version p JOIN model m ON m.id = p.model WHERE p.id = v.parent),"
        " v.facts, v.note FROM version v WHERE v.id = ?",
        "i", v->id));
    rt_status st = rt_sql_next(r, s, &row);
    if (!st && row) {
        rt_sql_add(lineage, "parent", s, 7);
        for (int i = 0; i < 4 && !st; i++)
            if (i == 0 || i == 3) st = add_ancestor(r, lineage, keys[i], rt_sql_text(s, i));
            else rt_sql_add(lineage, keys[i], s, i);
        for (int i = 4; i < 7; i++) rt_sql_add(lineage, keys[i], s, i);
        rt_sql_add(j, "note", s, 9);
        cJSON *facts = NULL;
        if (!st) st = rt_json_parse(&facts, rt_sql_text(s, 8), strlen(rt_sql_text(s, 8)), "registry.db");
        if (!st) st = add_teachers(r, lineage, facts);
        if (facts) cJSON_AddItemToObject(j, "model", facts);
    }
    sqlite3_finalize(s);
    return st;
}

static rt_status add_metrics(rt_registry *r, int64_t evaluation, cJSON *j)
{
    sqlite3_stmt *s;
    int row = 1;
    cJSON *list = cJSON_AddObjectToObject(j, "metrics");
    RT_TRY(rt_sql(r, &s, "SELECT name, value, lo, hi FROM metric WHERE evaluation = ? ORDER BY name", "i", evaluation));
    rt_status st = RT_OK;
    while (!st && !(st = rt_sql_next(r, s, &row)) && row) {
        if (sqlite3_column_type(s, 2) == SQLITE_NULL) {
            cJSON_AddNumberToObject(list, rt_sql_text(s, 0), sqlite3_column_double(s, 1));
            continue;
        }
        double v[3] = {sqlite3_column_double(s, 1), sqlite3_column_double(s, 2), sqlite3_column_double(s, 3)};
        cJSON_AddItemToObject(list, rt_sql_text(s, 0), cJSON_CreateDoubleArray(v, 3));
    }
    sqlite3_finalize(s);
    return st;
}

static rt_status add_evaluations(rt_registry *r, const rt_version *v, cJSON *j)
{
    static const char *const keys[] = {"name", "data", "rows", "time", "tool", "fingerprint", "object", "added"};
    sqlite3_stmt *s;
    int row = 1;
    cJSON *list = cJSON_AddArrayToObject(j, "evaluations");
    RT_TRY(rt_sql(r, &s, "SELECT y.id, y.name, y.data, y.rows, y.time, y.tool, y.fingerprint, y.object, e.time FROM "
                  "evaluation y JOIN event e ON e.id = y.event WHERE y.version = ? ORDER BY y.id", "i", v->id));
    rt_status st = RT_OK;
    while (!st && !(st = rt_sql_next(r, s, &row)) && row) {
        cJSON *one = cJSON_CreateObject();
        cJSON_AddItemToArray(list, one);
        for (int i = 0; i < 8; i++) rt_sql_add(one, keys[i], s, i + 1);
        st = add_metrics(r, sqlite3_column_int64(s, 0), one);
    }
    sqlite3_finalize(s);
    return st;
}

static rt_status add_gate_runs(rt_registry *r, const rt_version *v, cJSON *j)
{
    static const char *const keys[] = {"id", "verdict", "exit_code", "mode", "confidence", "rows", "time", "against",
                                       "baseline", "candidate", "policy", "test_set", "alpha", "object"};
    sqlite3_stmt *s;
    int row = 1;
    cJSON *list = cJSON_AddArrayToObject(j, "gate_runs");
    RT_TRY(rt_sql(
        r, &s,
        "SELECT g.id, g.verdict, g.exit_code, g.mode, g.confidence, g.rows, g.time,"
        " (SELECT m.name || '@' || b.number FROM version b JOIN model m ON m.id = b.model WHERE b.object = g.baseline"
        "  ORDER BY b.model = ?2 DESC, b.id DESC LIMIT 1),"
        " g.baseline, g.candidate, g.policy, g.test_set, g.alpha, g.object FROM gate_run g WHERE g.candidate = ?1"
        " ORDER BY g.id",
        "si", v->sha256, v->model));
    rt_status st = RT_OK;
    while (!st && !(st = rt_sql_next(r, s, &row)) && row) {
        cJSON *one = cJSON_CreateObject();
        cJSON_AddItemToArray(list, one);
        for (int i = 0; i < 14; i++) rt_sql_add(one, keys[i], s, i);
    }
    sqlite3_finalize(s);
    return st;
}

static rt_status add_drifts(rt_registry *r, const rt_version *v, cJSON *j)
{
    static const char *const keys[] = {
        "verdict", "exit_code", "drifts", "expected_accuracy", "reference", "data", "rows", "time", "object", "added"};
    sqlite3_stmt *s;
    int row = 1;
    cJSON *list = cJSON_AddArrayToObject(j, "drift");
    RT_TRY(rt_sql(r, &s, "SELECT d.verdict, d.exit_code, d.drifts, d.expected, d.reference, d.data, d.rows, d.time, "
                  "d.object, e.time FROM drift d JOIN event e ON e.id = d.event WHERE d.version = ? ORDER BY d.id", "i",
                  v->id));
    rt_status st = RT_OK;
    while (!st && !(st = rt_sql_next(r, s, &row)) && row) {
        cJSON *one = cJSON_CreateObject();
        cJSON_AddItemToArray(list, one);
        for (int i = 0; i < 10; i++) rt_sql_add(one, keys[i], s, i);
    }
    sqlite3_finalize(s);
    return st;
}

static rt_status add_kin(rt_registry *r, const rt_version *v, cJSON *j)
{
    RT_TRY(add_texts(r, j, "tags", "SELECT name FROM tag WHERE version = ? ORDER BY name", v->id));
    RT_TRY(add_texts(r, j, "anchors", "SELECT release FROM anchor WHERE version = ? ORDER BY id", v->id));
    RT_TRY(add_texts(r, j, "same_file", "SELECT m.name || '@' || o.number FROM version v JOIN version o ON o.object = "
                     "v.object AND o.id != v.id JOIN model m ON m.id = o.model WHERE v.id = ? ORDER BY o.id", v->id));
    RT_TRY(add_texts(r, j, "children", "SELECT m.name || '@' || c.number FROM version c JOIN model m ON m.id = c.model "
                     "WHERE c.parent = ? ORDER BY c.id", v->id));
    return add_texts(r, j, "students", "SELECT m.name || '@' || c.number FROM version v JOIN version c ON "
                     RT_TAUGHT_BY("v.digest") " JOIN model m ON m.id = c.model WHERE v.id = ? ORDER BY c.id", v->id);
}

rt_status rt_registry_show(rt_registry *r, const char *reference, cJSON **result)
{
    rt_version v;
    sqlite3_stmt *s;
    char name[RT_VERSION_TEXT], path[RT_FOLDER_PATH];
    int row;
    *result = NULL;
    RT_TRY(rt_registry_find(r, reference, &v));
    cJSON *j = cJSON_CreateObject();
    rt_version_text(name, &v);
    rt_registry_object(r, path, v.sha256);
    cJSON_AddStringToObject(j, "version", name);
    cJSON_AddStringToObject(j, "sha256", v.sha256);
    cJSON_AddStringToObject(j, "digest", v.digest);
    cJSON_AddStringToObject(j, "file", path);
    rt_status st = rt_sql(r, &s,
                          "SELECT o.bytes, e.time, e.user FROM version v JOIN object o ON o.sha256 = v.object JOIN "
                          "event e ON e.id = v.event WHERE v.id = ?",
                          "i", v.id);
    if (!st) st = rt_sql_next(r, s, &row);
    if (!st && row) {
        rt_sql_add(j, "bytes", s, 0);
        rt_sql_add(j, "time", s, 1);
        rt_sql_add(j, "user", s, 2);
    }
    sqlite3_finalize(s);
    if (!st) st = rt_registry_check_object(r, v.sha256, 0);
    if (st == RT_INPUT) {                             /* this one; the rest is told */
        cJSON_AddStringToObject(j, "damaged", rt_error_message());
        st = RT_OK;
    }
    if (!st) st = add_kin(r, &v, j);
    if (!st) st = add_lineage(r, &v, j);
    if (!st) st = add_evaluations(r, &v, j);
    if (!st) st = add_gate_runs(r, &v, j);
    if (!st) st = add_drifts(r, &v, j);
    if (st) cJSON_Delete(j);
    else *result = j;
    return st;
}
