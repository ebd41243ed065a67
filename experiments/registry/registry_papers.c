/* Evaluations and verdicts: kept as objects, and as rows of what is asked for again. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data/files.h"
#include "engine/digest.h"
#include "experiments/registry/registry_looks.h"
#include "experiments/registry/registry_parts.h"

enum { DEPTH = 4, METRICS = 1024, METRIC_NAME = 200 };

static const cJSON *member(const cJSON *j, const char *key) { return cJSON_GetObjectItemCaseSensitive(j, key); }

static const char *text_of(const cJSON *j, const char *key)
{
    const char *text = cJSON_GetStringValue(member(j, key));
    return text && rt_is_utf8(text) ? text : "";
}

static double number_of(const cJSON *j, const char *key)
{
    const cJSON *n = member(j, key);
    return cJSON_IsNumber(n) ? n->valuedouble : NAN;
}

static int64_t whole_of(const cJSON *j, const char *key)
{
    double v = number_of(j, key);
    return v >= 0 && v < 9e15 ? (int64_t)v : 0;
}

/* ---- reading ---- */

rt_status rt_registry_paper_read(rt_registry_paper *p, const char *path, const char *format)
{
    *p = (rt_registry_paper){0};
    RT_TRY(rt_read_file(&p->text, &p->bytes, path, RT_REGISTRY_OBJECT_MAX));
    rt_status st = rt_json_parse(&p->json, p->text, p->bytes, path);
    const char *kind = text_of(p->json, "format");
    size_t n = strlen(format);
    if (!st && format[n - 1] == '-' && !strncmp(kind, format, n) && (kind[n] < '1' || kind[n] > '2' || kind[n + 1]))
        st = rt_fail(RT_INPUT, "%s: its format is '%.60s', and this version reads %s1 and %s2", path, kind, format,
                     format);
    if (!st && strncmp(kind, format, n))
        st = rt_fail(RT_INPUT, "%s: its format is '%.60s', and '%s...' is expected, as 'retort %s' writes it", path,
                     kind, format, strstr(format, "verdict") ? "gate' and its verdict.json"
                                   : strstr(format, "drift") ? "drift' and its drift.json" : "eval");
    if (!st) rt_sha256_of(p->sha256, p->text, p->bytes);
    else rt_registry_paper_free(p);
    return st;
}

void rt_registry_paper_free(rt_registry_paper *p)
{
    cJSON_Delete(p->json);
    free(p->text);
    *p = (rt_registry_paper){0};
}

const char *rt_verdict_side(const cJSON *verdict, const char *side, const char *key)
{
    static const char *const old[][2] = {{"model_digest", "model"}, {"data_digest", "data"}, {"file", "path"}};
    const cJSON *s = member(verdict, side);
    for (size_t i = 0; i < sizeof old / sizeof old[0] && !strcmp(text_of(verdict, "format"), "retort-verdict-1"); i++)
        if (!strcmp(key, old[i][0])) return text_of(s, old[i][1]);
    return text_of(s, key);
}

const cJSON *rt_evaluation_of(const cJSON *evaluation, const char *digest, const char *path)
{
    const cJSON *models = member(evaluation, "models");
    for (const cJSON *m = models ? models->child : NULL; m; m = m->next)
        if (!strcmp(text_of(m, "digest"), digest)) return m;
    rt_fail(RT_INPUT, "%s: none of its models has the digest %s; evaluate this model, and give that evaluation.json",
            path, digest);
    return NULL;
}

/* ---- machines ---- */

void rt_machine_fingerprint(char out[17], const cJSON *machine)
{
    static const char *const keys[] = {"cpu", "system", "governor", "kernels", "device", "card", "precision",
                                       "compiler", "libraries", "threads", "pinned"};
    rt_hasher *h = rt_hasher_new();
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        const cJSON *v = member(machine, keys[i]);
        char number[32] = "";
        if (cJSON_IsNumber(v)) snprintf(number, sizeof number, "%.17g", v->valuedouble);
        const char *text = cJSON_IsString(v) ? v->valuestring : number;
        rt_hasher_add(h, keys[i], strlen(keys[i]) + 1);
        rt_hasher_add(h, text, strlen(text) + 1);
    }
    rt_digest d = rt_hasher_end(h);
    memcpy(out, d.hex, 16);
    out[16] = 0;
}

int rt_metric_is_timed(const char *name)
{
    static const char *const begins[] = {"latency_", "throughput", "cold_start", "multistream", "speed_", "joules",
                                         "energy.",  "cost."};
    for (size_t i = 0; i < sizeof begins / sizeof begins[0]; i++)
        if (!strncmp(name, begins[i], strlen(begins[i]))) return 1;
    return 0;
}

/* ---- evaluations ---- */

typedef struct {
    rt_registry *r;
    int64_t evaluation;
    int count;
} metrics;

/* An interval stands beside its number: "accuracy" and "accuracy_95", "rows_per_second" with "lowest" and "highest". */
static void interval_of(const cJSON *object, const char *key, double *lo, double *hi)
{
    char beside[METRIC_NAME + 4];
    *lo = *hi = NAN;
    snprintf(beside, sizeof beside, "%s_95", key);
    const cJSON *range = member(object, beside);
    if (cJSON_GetArraySize(range) == 2 && cJSON_IsNumber(range->child) && cJSON_IsNumber(range->child->next)) {
        *lo = range->child->valuedouble;
        *hi = range->child->next->valuedouble;
    } else if (!strcmp(key, "rows_per_second")) {
        *lo = number_of(object, "lowest");
        *hi = number_of(object, "highest");
    }
}

static int is_passed_over(const char *key)
{
    static const char *const no[] = {"seen", "lowest", "highest", "undefined", "history"};
    for (size_t i = 0; i < sizeof no / sizeof no[0]; i++) if (!strcmp(key, no[i])) return 1;
    return 0;
}

static rt_status put_number(metrics *m, const cJSON *object, const cJSON *n, const char *name)
{
    double lo, hi;
    interval_of(object, n->string, &lo, &hi);
    if (m->count++ >= METRICS || !isfinite(n->valuedouble) || !rt_is_utf8(name)) return RT_OK;
    return rt_sql_run(m->r, "INSERT OR IGNORE INTO metric (evaluation, name, value, lo, hi) VALUES (?, ?, ?, ?, ?)",
                      "isddd", m->evaluation, name, n->valuedouble, lo, hi);
}

/* Every number of an object, by its path: "accuracy", "latency_batch1_1thread.p50_us", "heads.kind.accuracy". */
static rt_status put_numbers(metrics *m, const cJSON *object, const char *prefix, int depth)
{
    for (const cJSON *e = object ? object->child : NULL; e && depth < DEPTH; e = e->next) {
        char name[METRIC_NAME];
        if (!e->string || is_passed_over(e->string)) continue;
        if (snprintf(name, sizeof name, "%s%s", prefix, e->string) >= (int)sizeof name - 2) continue;
        if (cJSON_IsNumber(e)) RT_TRY(put_number(m, object, e, name));
        else if (cJSON_IsObject(e)) {
            strcat(name, ".");
            RT_TRY(put_numbers(m, e, name, depth + 1));
        } else if (cJSON_IsArray(e) && !strcmp(e->string, "heads"))
            for (const cJSON *h = e->child; h; h = h->next) {
                char of[METRIC_NAME];
                if (snprintf(of, sizeof of, "%s.%s.", name, text_of(h, "name")) < (int)sizeof of)
                    RT_TRY(put_numbers(m, h, of, depth + 1));
            }
    }
    return RT_OK;
}

rt_status rt_registry_put_evaluation(rt_registry *r, const rt_version *v, const rt_registry_paper *p)
{
    const cJSON *of = rt_evaluation_of(p->json, v->digest, p->sha256), *machine = member(p->json, "machine"),
                *data = member(p->json, "data");
    int64_t there, event;
    char print[17];
    if (!of) return RT_INPUT;
    RT_TRY(rt_sql_number(r, &there, 0, "SELECT id FROM evaluation WHERE version = ? AND object = ?", "is", v->id,
                         p->sha256));
    if (there) return RT_OK;
    rt_machine_fingerprint(print, machine);
    char *text = machine ? rt_json_text(machine, 0) : strdup("{}");
    rt_status st = text ? rt_registry_event(r, v->model, v->number, "evaluation", NULL, &event)
                        : rt_fail(RT_RUN, "out of memory");
    if (!st)
        st = rt_sql_run(r, "INSERT INTO evaluation (version, event, object, name, data, rows, time, tool, machine, "
                        "fingerprint) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", "iisttnttss", v->id, event, p->sha256,
                        text_of(of, "name"), text_of(data, "digest"), whole_of(data, "rows"), text_of(machine, "time"),
                        text_of(p->json, "tool"), text, print);
    free(text);
    metrics m = {.r = r, .evaluation = sqlite3_last_insert_rowid(r->db)};
    return st ? st : put_numbers(&m, of, "", 0);
}

/* ---- gate runs ---- */

/* A verdict that was made elsewhere is a decision on its rows, too. */
static rt_status count_look(rt_registry *r, const cJSON *j, const char *policy)
{
    rt_look_of of = {rt_verdict_side(j, "candidate", "rows_digest"), rt_verdict_side(j, "baseline", "model_digest"),
                     rt_verdict_side(j, "candidate", "model_digest"), rt_verdict_side(j, "anchor", "sha256"), policy};
    rt_look look;
    return *of.test_set ? rt_registry_take_look(r, &of, 0, &look) : RT_OK;
}

static int is_sha256(const char *text) { return strlen(text) == 64 && strspn(text, "0123456789abcdef") == 64; }

rt_status rt_registry_put_gate(rt_registry *r, const rt_version *v, const rt_registry_paper *p, double alpha,
                               int64_t *id)
{
    const cJSON *j = p->json, *candidate = member(j, "candidate"), *baseline = member(j, "baseline");
    const char *rows = text_of(candidate, "rows_digest"), *mine = text_of(candidate, "sha256"),
               *other = text_of(baseline, "sha256");
    char policy[RT_SHA256], print[17];
    double exit_code = number_of(j, "exit_code");
    int64_t event, model = v ? v->model : 0, number = v ? v->number : 0;
    if (!is_sha256(mine) || !is_sha256(other) || !*text_of(j, "verdict") || !(exit_code >= 0 && exit_code < 256))
        return rt_fail(RT_INPUT, "verdict %.16s...: does not tell its sides by SHA-256, or what was decided",
                       p->sha256);
    RT_TRY(rt_sql_number(r, id, 0, "SELECT id FROM gate_run WHERE object = ?", "s", p->sha256));
    if (*id) return RT_OK;
    if (!cJSON_IsObject(member(j, "policy")))
        return rt_fail(RT_INPUT, "verdict %.16s...: does not tell its policy", p->sha256);
    RT_TRY(rt_registry_policy_digest(policy, member(j, "policy")));
    RT_TRY(count_look(r, j, policy));
    rt_machine_fingerprint(print, member(j, "machine"));
    if (!v) {
        RT_TRY(rt_sql_number(r, &model, 0, "SELECT model FROM version WHERE object = ? ORDER BY id DESC", "s", mine));
        RT_TRY(rt_sql_number(r, &number, 0, "SELECT number FROM version WHERE object = ? ORDER BY id DESC", "s", mine));
    }
    RT_TRY(rt_registry_event(r, model, number, "gate", text_of(j, "verdict"), &event));
    RT_TRY(rt_sql_run(r,
                      "INSERT INTO gate_run (event, object, candidate, baseline, policy, test_set, rows, mode, "
                      "confidence, verdict, exit_code, time, fingerprint, alpha) VALUES "
                      "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                      "isssstntdsitsd", event, p->sha256, mine, other, policy,
                      *rows ? rows : rt_verdict_side(j, "candidate", "data_digest"), whole_of(j, "rows"),
                      text_of(j, "mode"), number_of(j, "confidence"), text_of(j, "verdict"), (int64_t)exit_code,
                      text_of(j, "time"), print, alpha));
    *id = sqlite3_last_insert_rowid(r->db);
    return RT_OK;
}

/* ---- drift ---- */

rt_status rt_registry_put_drift(rt_registry *r, const rt_version *v, const rt_registry_paper *p)
{
    const cJSON *j = p->json, *data = member(j, "data"), *accuracy = member(j, "accuracy");
    double exit_code = number_of(j, "exit_code");
    int64_t there, event;
    if (!*text_of(j, "verdict") || !(exit_code >= 0 && exit_code < 256))
        return rt_fail(RT_INPUT, "drift %.16s...: does not tell what was found", p->sha256);
    RT_TRY(
        rt_sql_number(r, &there, 0, "SELECT id FROM drift WHERE version = ? AND object = ?", "is", v->id, p->sha256));
    if (there) return RT_OK;
    RT_TRY(rt_registry_event(r, v->model, v->number, "drift", text_of(j, "verdict"), &event));
    return rt_sql_run(r,
                      "INSERT INTO drift (version, event, object, reference, data, rows, verdict, exit_code, drifts, "
                      "expected, time) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                      "iisttnsiidt", v->id, event, p->sha256, text_of(member(j, "reference"), "digest"),
                      text_of(data, "digest"), whole_of(data, "rows"), text_of(j, "verdict"), (int64_t)exit_code,
                      whole_of(member(j, "counts"), "drift"),
                      number_of(accuracy ? accuracy->child : NULL, "expected_atc"), text_of(j, "time"));
}

rt_status rt_registry_add_gate(rt_registry *r, const cJSON *verdict, double alpha, int64_t *id)
{
    char *json = rt_json_text(verdict, 1);
    rt_string text = {0};
    int gone = 1;
    *id = 0;
    if (json) rt_put(&text, "%s\n", json);
    free(json);
    rt_registry_paper p = {.json = (cJSON *)verdict, .text = text.p, .bytes = text.n};
    rt_status st = text.p && !text.failed ? RT_OK : rt_fail(RT_RUN, "out of memory");
    while (!st && gone) {
        st = rt_object_put(r, p.text, p.bytes, p.sha256);
        if (!st) st = rt_registry_begin(r);
        if (!st) st = rt_object_refer(r, p.sha256, (int64_t)p.bytes, "verdict", &gone);
        if (!st && !gone) st = rt_registry_put_gate(r, NULL, &p, alpha, id);
        if (!st && !gone) st = rt_registry_commit(r);
        rt_registry_rollback(r);
    }
    free(text.p);
    return st;
}
