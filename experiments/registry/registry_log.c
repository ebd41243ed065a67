#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "experiments/registry/registry_parts.h"

/* ---- log ---- */

static const char log_sql[] =
    "SELECT e.id, e.time, e.user, e.what, m.name || '@' || e.number, m.name, e.detail, t.tag, t.from_number,"
    " t.to_number, t.gate_run, t.reason, g.verdict, g.id FROM event e LEFT JOIN model m ON m.id = e.model"
    " LEFT JOIN tag_log t ON t.event = e.id LEFT JOIN gate_run g ON g.event = e.id"
    " WHERE ?1 IS NULL OR e.model = ?2 OR g.candidate IN (SELECT object FROM version WHERE model = ?2) ORDER BY e.id";

static cJSON *event_of(sqlite3_stmt *s)
{
    static const char *const keys[] = {"event", "time", "user", "what"};
    cJSON *j = cJSON_CreateObject();
    const char *what = rt_sql_text(s, 3);
    int of_tag = sqlite3_column_type(s, 7) != SQLITE_NULL, of_gate = sqlite3_column_type(s, 12) != SQLITE_NULL;
    for (int i = 0; i < 4; i++) rt_sql_add(j, keys[i], s, i);
    if (!strcmp(what, "untag")) rt_sql_add(j, "name", s, 5);
    else rt_sql_add(j, "version", s, 4);
    if (of_tag) {
        rt_sql_add(j, "tag", s, 7);
        rt_sql_add(j, "from", s, 8);
        rt_sql_add(j, "to", s, 9);
        rt_sql_add(j, "gate_run", s, 10);
        rt_sql_add(j, "reason", s, 11);
    } else if (of_gate) {
        rt_sql_add(j, "verdict", s, 12);
        rt_sql_add(j, "gate_run", s, 13);
    } else rt_sql_add(j, "detail", s, 6);
    return j;
}

rt_status rt_registry_log(rt_registry *r, const char *name, cJSON **result)
{
    char latest[64] = "";
    sqlite3_stmt *s;
    int64_t model = 0;
    int row = 1;
    *result = NULL;
    if (name) RT_TRY(rt_registry_check_name(name, "name"));
    if (name) RT_TRY(rt_registry_model(r, name, &model));
    if (name && !model) return rt_registry_no_name(r, name);
    cJSON *j = cJSON_CreateObject(), *list = cJSON_AddArrayToObject(j, "events");
    rt_status st = rt_sql(r, &s, log_sql, "si", name, model);
    while (!st && !(st = rt_sql_next(r, s, &row)) && row) {
        cJSON *e = event_of(s);
        const char *time = rt_sql_text(s, 1);
        if (strcmp(time, latest) < 0) cJSON_AddStringToObject(e, "clock_set_back", latest);
        else snprintf(latest, sizeof latest, "%s", time);
        cJSON_AddItemToArray(list, e);
    }
    sqlite3_finalize(s);
    if (st) cJSON_Delete(j);
    else *result = j;
    return st;
}

/* ---- diff ---- */

static void add_pair(cJSON *list, const char *key, const cJSON *a, const cJSON *b)
{
    cJSON *e = cJSON_CreateObject();
    cJSON_AddStringToObject(e, "key", key);
    cJSON_AddItemToObject(e, "a", a ? cJSON_Duplicate(a, 1) : cJSON_CreateNull());
    cJSON_AddItemToObject(e, "b", b ? cJSON_Duplicate(b, 1) : cJSON_CreateNull());
    if (cJSON_IsNumber(a) && cJSON_IsNumber(b))
        cJSON_AddNumberToObject(e, "difference", b->valuedouble - a->valuedouble);
    cJSON_AddItemToArray(list, e);
}

static int are_equal(const cJSON *a, const cJSON *b)
{
    char *x = rt_json_text(a, 0), *y = rt_json_text(b, 0);
    int equal = x && y && !strcmp(x, y);
    free(x);
    free(y);
    return equal;
}

/* What differs of two values with sorted keys, by path. */
static void compare(cJSON *list, const char *path, const cJSON *a, const cJSON *b)
{
    if (!cJSON_IsObject(a) || !cJSON_IsObject(b)) {
        if (!are_equal(a, b)) add_pair(list, path, a, b);
        return;
    }
    for (const cJSON *x = a->child, *y = b->child; x || y;) {
        int order = !x ? 1 : !y ? -1 : strcmp(x->string, y->string);
        rt_string key = {0};
        rt_put(&key, "%s%s%s", path, *path ? "." : "", order > 0 ? y->string : x->string);
        if (order < 0) add_pair(list, key.p ? key.p : "", x, NULL);
        else if (order > 0) add_pair(list, key.p ? key.p : "", NULL, y);
        else compare(list, key.p ? key.p : "", x, y);
        free(key.p);
        if (order <= 0) x = x->next;
        if (order >= 0) y = y->next;
    }
}

typedef struct { cJSON *metadata, *lineage, *sizes; char configuration[RT_SHA256]; } description;

static rt_status describe(rt_registry *r, const rt_version *v, description *d)
{
    static const char *const metadata[] = {"time", "user", "note", "code", "seed"};
    static const char *const lineage[] = {"teacher", "labels", "data", "init", "configuration", "parent"};
    sqlite3_stmt *s;
    int row;
    RT_TRY(rt_sql(
        r, &s,
        "SELECT e.time, e.user, v.note, v.tool, v.seed, v.teacher, v.labels, v.data, v.init, "
        "v.configuration, (SELECT m.name || '@' || p.number FROM version p JOIN model m ON m.id = p.model WHERE "
        "p.id = v.parent), o.bytes, v.facts, (SELECT group_concat(t.name, ' ') FROM tag t WHERE t.version = v.id)"
        " FROM version v JOIN event e ON e.id = v.event JOIN object o ON o.sha256 = v.object WHERE v.id = ?",
        "i", v->id));
    rt_status st = rt_sql_next(r, s, &row);
    cJSON *facts = NULL;
    if (!st && row) st = rt_json_parse(&facts, rt_sql_text(s, 12), strlen(rt_sql_text(s, 12)), "registry.db");
    if (!st && row) {
        d->metadata = cJSON_CreateObject();
        d->lineage = cJSON_CreateObject();
        d->sizes = cJSON_CreateObject();
        for (int i = 0; i < 5; i++) rt_sql_add(d->metadata, metadata[i], s, i);
        rt_sql_add(d->metadata, "tags", s, 13);
        for (int i = 0; i < 6; i++) rt_sql_add(d->lineage, lineage[i], s, 5 + i);
        rt_sql_add(d->sizes, "bytes", s, 11);
        snprintf(d->configuration, sizeof d->configuration, "%s", rt_sql_text(s, 9));
        cJSON_AddStringToObject(d->metadata, "sha256", v->sha256);
        cJSON_AddStringToObject(d->metadata, "digest", v->digest);
        for (const cJSON *f = facts->child; f; f = f->next) {
            cJSON *part = cJSON_IsNumber(f) ? d->sizes : !strcmp(f->string, "teachers") ? d->lineage : d->metadata;
            cJSON_AddItemToObject(part, f->string, cJSON_Duplicate(f, 1));
        }
        rt_json_sort(d->metadata);
        rt_json_sort(d->lineage);
        rt_json_sort(d->sizes);
    }
    cJSON_Delete(facts);
    sqlite3_finalize(s);
    return st;
}

static void forget(description *d)
{
    cJSON_Delete(d->metadata);
    cJSON_Delete(d->lineage);
    cJSON_Delete(d->sizes);
}

/* A configuration that cannot be read is said, and the rest is told. */
static rt_status add_configuration(rt_registry *r, const description d[2], cJSON *j)
{
    cJSON *side[2] = {NULL, NULL}, *list = cJSON_AddArrayToObject(j, "configuration");
    rt_status st = RT_OK;
    for (int i = 0; i < 2 && !st; i++) {
        if (!d[i].configuration[0]) side[i] = cJSON_CreateObject();
        else st = rt_object_json(r, &side[i], d[i].configuration);
        if (!st) rt_json_sort(side[i]);
    }
    if (!st) compare(list, "", side[0], side[1]);
    cJSON_Delete(side[0]);
    cJSON_Delete(side[1]);
    if (st != RT_INPUT) return st;
    cJSON_AddStringToObject(j, "configuration_unknown", rt_error_message());
    return RT_OK;
}

static rt_status add_metrics(rt_registry *r, int64_t a, int64_t b, int timed, cJSON *list)
{
    sqlite3_stmt *s;
    int row = 1;
    RT_TRY(rt_sql(r, &s,
                  "SELECT x.name, x.value, x.lo, x.hi, y.value, y.lo, y.hi FROM metric x JOIN metric y ON y.name = "
                  "x.name AND y.evaluation = ?2 WHERE x.evaluation = ?1 ORDER BY x.name",
                  "ii", a, b));
    rt_status st = RT_OK;
    while (!st && !(st = rt_sql_next(r, s, &row)) && row) {
        static const char *const keys[] = {"key", "a", "a_lo", "a_hi", "b", "b_lo", "b_hi"};
        if (!timed && rt_metric_is_timed(rt_sql_text(s, 0))) continue;
        cJSON *e = cJSON_CreateObject();
        for (int i = 0; i < 7; i++) rt_sql_add(e, keys[i], s, i);
        cJSON_AddNumberToObject(e, "difference", sqlite3_column_double(s, 4) - sqlite3_column_double(s, 1));
        cJSON_AddItemToArray(list, e);
    }
    sqlite3_finalize(s);
    return st;
}

/* Of the newest evaluations of both that are of the same data. */
static rt_status compare_metrics(rt_registry *r, const rt_version *a, const rt_version *b, cJSON *j)
{
    sqlite3_stmt *s;
    int row;
    int64_t id[2] = {0, 0};
    int same_machine = 0;
    cJSON *list = cJSON_AddArrayToObject(j, "metrics");
    RT_TRY(rt_sql(r, &s,
                  "SELECT x.id, y.id, x.fingerprint = y.fingerprint, x.data FROM evaluation x JOIN evaluation y ON "
                  "y.version = ?2 AND y.data = x.data WHERE x.version = ?1 ORDER BY x.id DESC, y.id DESC LIMIT 1",
                  "ii", a->id, b->id));
    rt_status st = rt_sql_next(r, s, &row);
    if (!st && row) {
        id[0] = sqlite3_column_int64(s, 0);
        id[1] = sqlite3_column_int64(s, 1);
        same_machine = sqlite3_column_int(s, 2);
        cJSON_AddStringToObject(j, "metrics_of_data", rt_sql_text(s, 3));
    }
    sqlite3_finalize(s);
    if (st) return st;
    if (!id[0]) {
        cJSON_AddStringToObject(j, "metrics_note", "no data were used to evaluate both");
        return RT_OK;
    }
    if (!same_machine)
        cJSON_AddStringToObject(j, "metrics_note",
                                "latencies and throughput were measured on different machines, and are "
                                "not compared");
    return add_metrics(r, id[0], id[1], same_machine, list);
}

rt_status rt_registry_diff(rt_registry *r, const char *a, const char *b, cJSON **result)
{
    static const char *const sides[] = {"a", "b"};
    const char *text[] = {a, b};
    description d[2] = {{0}, {0}};
    rt_version v[2];
    *result = NULL;
    for (int i = 0; i < 2; i++) RT_TRY(rt_registry_find(r, text[i], &v[i]));
    cJSON *j = cJSON_CreateObject();
    for (int i = 0; i < 2; i++) {
        char name[RT_VERSION_TEXT];
        rt_version_text(name, &v[i]);
        cJSON_AddStringToObject(j, sides[i], name);
    }
    rt_status st = describe(r, &v[0], &d[0]);
    if (!st) st = describe(r, &v[1], &d[1]);
    if (!st) {
        compare(cJSON_AddArrayToObject(j, "metadata"), "", d[0].metadata, d[1].metadata);
        compare(cJSON_AddArrayToObject(j, "lineage"), "", d[0].lineage, d[1].lineage);
        st = add_configuration(r, d, j);
        compare(cJSON_AddArrayToObject(j, "sizes"), "", d[0].sizes, d[1].sizes);
        if (!st) st = compare_metrics(r, &v[0], &v[1], j);
    }
    forget(&d[0]);
    forget(&d[1]);
    if (st) cJSON_Delete(j);
    else *result = j;
    return st;
}
