#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "experiments/registry/registry_parts.h"

/* ---- protected tags ---- */

rt_status rt_registry_protected(rt_registry *r, const char *tag, int *yes)
{
    sqlite3_stmt *s;
    int row;
    *yes = 0;
    RT_TRY(rt_sql(r, &s, "SELECT value FROM setting WHERE key = 'protected'", ""));
    rt_status st = rt_sql_next(r, s, &row);
    for (const char *p = st || !row ? "" : rt_sql_text(s, 0); *p;) {
        size_t n = strcspn(p, ",");
        *yes |= n == strlen(tag) && !strncmp(p, tag, n);
        p += n + (p[n] == ',');
    }
    sqlite3_finalize(s);
    return st;
}

/* The latest run of this candidate against this baseline: passed, or why it cannot move the tag. */
static rt_status passed_gate(rt_registry *r, const rt_version *to, const rt_version *now, const char *tag, int64_t *run)
{
    char verdict[64] = "";
    sqlite3_stmt *s;
    int row, passed = 0, code = 0;
    *run = 0;
    RT_TRY(rt_sql(r, &s,
                  "SELECT id, verdict, exit_code FROM gate_run WHERE candidate = ? AND baseline = ? ORDER BY id DESC "
                  "LIMIT 1",
                  "ss", to->sha256, now->sha256));
    rt_status st = rt_sql_next(r, s, &row);
    if (!st && row) {
        passed = !strcmp(rt_sql_text(s, 1), "pass") && !sqlite3_column_int64(s, 2);
        snprintf(verdict, sizeof verdict, "%s", rt_sql_text(s, 1));
        code = sqlite3_column_int(s, 2);
        if (passed) *run = sqlite3_column_int64(s, 0);
    }
    sqlite3_finalize(s);
    rt_one_line(verdict);
    if (st || passed) return st;
    return rt_fail(
        code == RT_GATE || code == RT_UNDECIDED ? (rt_status)code : RT_NOTHING,
        "%s: '%s' is a protected tag, and %s@%lld %s against %s@%lld, which has it%s%s: run 'retort gate' and add its "
        "verdict (retort registry add %s@%lld --gate verdict.json), or say why with --reason",
        r->folder, tag, to->name, (long long)to->number, *verdict ? "was gated" : "was not gated", now->name,
        (long long)now->number, *verdict ? ", with the verdict " : "", verdict, to->name, (long long)to->number);
}

/* ---- tag ---- */

static rt_status tagged(rt_registry *r, int64_t model, const char *name, const char *tag, rt_version *v)
{
    int64_t id;
    char text[RT_REGISTRY_NAME * 2];
    *v = (rt_version){0};
    RT_TRY(rt_sql_number(r, &id, 0, "SELECT version FROM tag WHERE model = ? AND name = ?", "is", model, tag));
    if (!id) return RT_OK;
    snprintf(text, sizeof text, "%s@%s", name, tag);
    return rt_registry_find(r, text, v);
}

static rt_status moved_meanwhile(rt_registry *r, const rt_registry_tagging *t, const char *name, const rt_version *now)
{
    char has[RT_VERSION_TEXT], want[32];
    rt_version_text(has, now);
    snprintf(want, sizeof want, "%lld", (long long)t->from);
    return rt_fail(RT_RUN,
                   "%s: '%s' of %s is not where --from says (%s): it is at %s; somebody moved it: look, and "
                   "try again",
                   r->folder, t->tag, name, t->from ? want : "none", now->id ? has : "none");
}

/* Both sides are looked at under the lock, so that of several one wins. */
static rt_status change(rt_registry *r, const rt_registry_tagging *t, const char *name, rt_version *to, rt_version *now,
                        int64_t *run)
{
    int64_t event, model;
    int guarded;
    *run = 0;
    RT_TRY(rt_registry_model(r, name, &model));
    if (!t->remove) RT_TRY(rt_registry_find_exact(r, t->version, 0, to));
    else if (!model) return rt_registry_no_name(r, name);
    RT_TRY(tagged(r, model, name, t->tag, now));
    if (t->from >= 0 && t->from != now->number) return moved_meanwhile(r, t, name, now);
    if (t->remove && !now->id)
        return rt_fail(RT_INPUT, "%s: no version of %s has the tag '%s'", r->folder, name, t->tag);
    if (!t->remove && now->id == to->id)
        return rt_fail(RT_USAGE, "%s: %s@%lld has the tag '%s' already", r->folder, name, (long long)to->number,
                       t->tag);
    RT_TRY(rt_registry_protected(r, t->tag, &guarded));
    if (guarded && !t->reason && t->remove)
        return rt_fail(RT_USAGE, "%s: '%s' is a protected tag: say with --reason why it is taken away", r->folder,
                       t->tag);
    if (guarded && !t->reason && now->id) RT_TRY(passed_gate(r, to, now, t->tag, run));
    RT_TRY(rt_registry_event(r, model, to->number, t->remove ? "untag" : "tag", t->tag, &event));
    RT_TRY(rt_sql_run(r, "INSERT INTO tag_log (event, tag, from_number, to_number, gate_run, reason) VALUES "
                      "(?, ?, ?, ?, ?, ?)", "isnnns", event, t->tag, now->number, to->number, *run, t->reason));
    if (t->remove) return rt_sql_run(r, "DELETE FROM tag WHERE model = ? AND name = ?", "is", model, t->tag);
    return rt_sql_run(r,
                      "INSERT INTO tag (model, name, version) VALUES (?, ?, ?) ON CONFLICT (model, name) DO UPDATE SET "
                      "version = excluded.version",
                      "isi", model, t->tag, to->id);
}

static cJSON *result_of(const rt_registry_tagging *t, const rt_version *to, const rt_version *now, int64_t run)
{
    char text[RT_VERSION_TEXT];
    cJSON *j = cJSON_CreateObject();
    cJSON_AddStringToObject(j, "tag", t->tag);
    if (!t->remove) {
        rt_version_text(text, to);
        cJSON_AddStringToObject(j, "version", text);
        cJSON_AddStringToObject(j, "sha256", to->sha256);
    } else cJSON_AddNullToObject(j, "version");
    if (now->id) {
        rt_version_text(text, now);
        cJSON_AddStringToObject(j, "from", text);
    } else cJSON_AddNullToObject(j, "from");
    if (run) cJSON_AddNumberToObject(j, "gate_run", (double)run);
    if (t->reason) cJSON_AddStringToObject(j, "reason", t->reason);
    return j;
}

rt_status rt_registry_tag(rt_registry *r, const rt_registry_tagging *t, cJSON **result)
{
    rt_version to = {0}, now = {0};
    char name[RT_REGISTRY_NAME];
    int64_t run = 0;
    *result = NULL;
    RT_TRY(rt_registry_check_name(t->tag, "tag"));
    if (t->reason) RT_TRY(rt_registry_check_text(t->reason, "reason"));
    if (t->reason && !*t->reason) return rt_fail(RT_USAGE, "the reason is empty");
    if (t->remove) RT_TRY(rt_registry_check_name(t->version, "name"));
    else RT_TRY(rt_registry_find_exact(r, t->version, 0, &to));
    snprintf(name, sizeof name, "%.*s", (int)strcspn(t->version, "@"), t->version);
    rt_status st = rt_registry_begin(r);
    if (!st) st = change(r, t, name, &to, &now, &run);
    if (!st) st = rt_registry_commit(r);
    rt_registry_rollback(r);
    if (!st) *result = result_of(t, &to, &now, run);
    return st;
}

/* ---- anchors ---- */

rt_status rt_registry_anchor(rt_registry *r, const char *version, const char *release, cJSON **result)
{
    rt_version v;
    int64_t event, there = 0;
    *result = NULL;
    RT_TRY(rt_registry_check_name(release, "release"));
    RT_TRY(rt_registry_find_exact(r, version, 0, &v));
    rt_status st = rt_registry_begin(r);
    if (!st) st = rt_registry_find_exact(r, version, 0, &v);          /* a tag may have moved */
    if (!st)
        st = rt_sql_number(r, &there, 0,
                           "SELECT v.number FROM anchor a JOIN version v ON v.id = a.version WHERE a.model = ? "
                           "AND a.release = ?",
                           "is", v.model, release);
    if (!st && there)
        st = rt_fail(RT_USAGE, "%s: release '%s' is pinned to %s@%lld, and stays there; give another name", r->folder,
                     release, v.name, (long long)there);
    if (!st) st = rt_registry_event(r, v.model, v.number, "anchor", release, &event);
    if (!st)
        st = rt_sql_run(r, "INSERT INTO anchor (event, model, release, version) VALUES (?, ?, ?, ?)", "iisi", event,
                        v.model, release, v.id);
    if (!st) st = rt_registry_commit(r);
    rt_registry_rollback(r);
    if (st) return st;
    char text[RT_VERSION_TEXT];
    rt_version_text(text, &v);
    *result = cJSON_CreateObject();
    cJSON_AddStringToObject(*result, "anchor", release);
    cJSON_AddStringToObject(*result, "version", text);
    cJSON_AddStringToObject(*result, "sha256", v.sha256);
    return RT_OK;
}

rt_status rt_registry_anchor_of(rt_registry *r, const char *name, rt_version *v, char release[RT_REGISTRY_NAME])
{
    char text[RT_VERSION_TEXT] = "";
    sqlite3_stmt *s;
    int row;
    RT_TRY(rt_registry_check_name(name, "name"));
    RT_TRY(rt_sql(r, &s,
                  "SELECT m.name || '@' || v.number, a.release FROM model m JOIN anchor a ON a.model = m.id JOIN "
                  "version v ON v.id = a.version WHERE m.name = ? ORDER BY a.id DESC LIMIT 1",
                  "s", name));
    rt_status st = rt_sql_next(r, s, &row);
    if (!st && row) {
        snprintf(text, sizeof text, "%s", rt_sql_text(s, 0));
        snprintf(release, RT_REGISTRY_NAME, "%s", rt_sql_text(s, 1));
    }
    sqlite3_finalize(s);
    if (st) return st;
    if (*text) return rt_registry_find(r, text, v);
    return rt_fail(RT_INPUT, "%s: no version of %s is pinned as an anchor; 'retort registry tag %s@NUMBER --anchor "
                   "RELEASE' pins one", r->folder, name, name);
}

/* ---- removal ---- */

/* "tag prod, parent of student@4", or "" */
static rt_status holders(rt_registry *r, const rt_version *v, char *out, size_t room)
{
    static const char sql[] =
        "SELECT 'tag ' || name FROM tag WHERE version = ?1"
        " UNION ALL SELECT 'anchor of release ' || release FROM anchor WHERE version = ?1"
        " UNION ALL SELECT 'parent of ' || m.name || '@' || c.number FROM version c JOIN model m ON m.id = c.model"
        "  WHERE c.parent = ?1"
        " UNION ALL SELECT 'teacher of ' || m.name || '@' || c.number FROM version c JOIN model m ON m.id = c.model"
        "  WHERE " RT_TAUGHT_BY("?2") " AND NOT EXISTS (SELECT 1 FROM version o WHERE o.digest = ?2 AND o.id != ?1)";
    sqlite3_stmt *s;
    int row = 1;
    size_t n = 0;
    *out = 0;
    RT_TRY(rt_sql(r, &s, sql, "is", v->id, v->digest));
    rt_status st = RT_OK;
    while (!st && !(st = rt_sql_next(r, s, &row)) && row && n < room - RT_VERSION_TEXT - 40)
        n += (size_t)snprintf(out + n, room - n, "%s%s", n ? ", " : "", rt_sql_text(s, 0));
    sqlite3_finalize(s);
    return st;
}

rt_status rt_registry_remove(rt_registry *r, const char *version, const char *reason, cJSON **result)
{
    rt_version v;
    char why[1024], text[RT_VERSION_TEXT];
    rt_string detail = {0};
    int64_t event;
    *result = NULL;
    if (reason) RT_TRY(rt_registry_check_text(reason, "reason"));
    RT_TRY(rt_registry_find_exact(r, version, 1, &v));
    rt_status st = rt_registry_begin(r);
    if (!st) st = rt_registry_find_exact(r, version, 1, &v);
    if (!st) st = holders(r, &v, why, sizeof why);
    if (!st && *why)
        st = rt_fail(RT_USAGE, "%s: %s stays, for it is held by: %s", r->folder, version, why);
    if (!st) rt_put(&detail, "sha256:%s", v.sha256);
    if (!st && reason) rt_put(&detail, " %s", reason);
    if (!st) st = rt_registry_event(r, v.model, v.number, "rm", detail.p, &event);
    if (!st) st = rt_sql_run(r, "DELETE FROM version WHERE id = ?", "i", v.id);
    if (!st) st = rt_registry_commit(r);
    rt_registry_rollback(r);
    free(detail.p);
    if (st) return st;
    rt_version_text(text, &v);
    *result = cJSON_CreateObject();
    cJSON_AddStringToObject(*result, "removed", text);
    cJSON_AddStringToObject(*result, "sha256", v.sha256);
    cJSON_AddStringToObject(*result, "note",
                            "its file stays until 'retort registry gc', and what happened stays in the log");
    return RT_OK;
}
