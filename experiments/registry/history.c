#include "experiments/registry/history.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/version.h"
#include "experiments/machine.h"
#include "experiments/policy.h"
#include "experiments/registry/registry_looks.h"
#include "experiments/registry/registry_parts.h"
#include "experiments/report/report_parts.h"
#include "experiments/statistics/statistics.h"

enum { NAMES = 512, NAME_BYTES = 256 };

typedef enum { QUALITY, SIZE, SPEED } kind;
static const char *const kind_name[] = {"quality", "size", "speed"};

/* A number of a version, from one evaluation or one gate run. */
typedef struct {
    double value, lo, hi;
    int test_set, machine;             /* places in the lists; -1: not told */
    int gate;                          /* it is a gate run's */
} number;

typedef struct {
    rt_registry *r;
    char metric[NAME_BYTES], anchored[NAME_BYTES + 16];    /* its name as a limit against the anchor */
    kind kind;
    int higher;
    int64_t model;
    cJSON *h, *test_sets, *machines, *metrics, *notes;
    int want_set, want_machine;        /* of the newest version; -1: whatever there is */
    int decisions;
} work;

/* A version, as it is listed, with what is known of it. */
typedef struct {
    cJSON *j;                          /* of the list; "versions" take it */
    number n;
    int has;                           /* n */
    double drop, drop_lo, drop_hi, limit;      /* since the anchor */
    const char *drop_from;             /* NULL: there is none */
    int anchor;                        /* place of the anchor in force; -1 */
} entry;

static void add_number(cJSON *j, const char *key, double v)
{
    if (isfinite(v)) cJSON_AddNumberToObject(j, key, v);
    else cJSON_AddNullToObject(j, key);
}

static void add_place(cJSON *j, const char *key, int place)
{
    if (place >= 0) cJSON_AddNumberToObject(j, key, place);
    else cJSON_AddNullToObject(j, key);
}

/* ---- what a metric is ---- */

static const rt_cost_metric *cost_of(const char *metric)
{
    for (int i = 0; i < RT_COST_METRICS; i++) if (!strcmp(metric, rt_cost_metrics[i].name)) return &rt_cost_metrics[i];
    return NULL;
}

/* By its name: of the gate's table of costs, or the path of an evaluation ("latency_batch1_1thread.p50_us"). */
static kind kind_of(const char *metric)
{
    static const char *const speeds[] = {"latency", "multistream", "throughput", "cold_start", "speed", "energy",
                                         "joules", "rows_per_second"};
    static const char *const sizes[] = {"parameters", "macs", "file_bytes", "memory", "program", "plan_bytes",
                                        "weight_bytes", "peak_memory"};
    const rt_cost_metric *cost = cost_of(metric);
    if (cost) return cost->size == RT_TIMED ? SPEED : SIZE;
    for (int i = 0; i < 8; i++) if (!strncmp(metric, speeds[i], strlen(speeds[i]))) return SPEED;
    for (int i = 0; i < 8; i++) if (!strncmp(metric, sizes[i], strlen(sizes[i]))) return SIZE;
    return QUALITY;
}

/* Whether larger values are better; -1: nobody knows. */
static int is_higher(const char *metric, kind k)
{
    char word[NAME_BYTES];
    const char *last = strrchr(metric, '.');
    snprintf(word, sizeof word, "%s", last ? last + 1 : metric);
    word[strcspn(word, " ")] = 0;                          /* "recall class=6" */
    if (k != QUALITY) return strstr(metric, "rows_per_second") || strstr(metric, "throughput");
    int count;
    const rt_paired_metric *m = rt_paired_metrics(&count);
    for (int i = 0; i < count; i++) if (!strcmp(word, m[i].name)) return m[i].higher;
    static const char *const lower[] = {"kl_from", "distance", "difference", "rows_seen"};
    for (int i = 0; i < 4; i++) if (strstr(metric, lower[i])) return 0;
    return strncmp(word, "agreement", 9) ? -1 : 1;
}

/* ---- lists ---- */

/* The place of what has these two members, added where it is new. */
static int place_in(cJSON *list, const char *key, const char *text, const char *second, double n, cJSON **added)
{
    int i = 0;
    *added = NULL;
    for (const cJSON *e = list->child; e; e = e->next, i++)
        if (!strcmp(rt_text(e, key), text) && (!second || rt_number(e, second) == n)) return i;
    *added = cJSON_CreateObject();
    cJSON_AddItemToArray(list, *added);
    cJSON_AddStringToObject(*added, key, text);
    if (second) cJSON_AddNumberToObject(*added, second, n);
    return i;
}

static int test_set_of(work *w, const char *data, double rows)
{
    cJSON *added;
    return *data ? place_in(w->test_sets, "data", data, "rows", rows, &added) : -1;
}

static int machine_of(work *w, const char *fingerprint, const char *machine)
{
    cJSON *added;
    if (!*fingerprint) return -1;
    int place = place_in(w->machines, "fingerprint", fingerprint, NULL, 0, &added);
    if (!added) return place;
    cJSON *m = cJSON_Parse(machine);
    cJSON_AddStringToObject(added, "cpu", rt_text(m, "cpu"));
    cJSON_AddStringToObject(added, "kernels", rt_text(m, "kernels"));
    if (*rt_text(m, "card")) cJSON_AddStringToObject(added, "card", rt_text(m, "card"));
    add_number(added, "threads", rt_number(m, "threads"));
    cJSON_Delete(m);
    return place;
}

/* ---- numbers of a version ---- */

/* 2: on the newest version's test set or machine; 1: on that of the version before, so that the line goes on; else 0.
 */
static int rank(const work *w, const number *n, const number *before)
{
    int speed = w->kind == SPEED, here = speed ? n->machine : n->test_set;
    if (here < 0) return 0;
    if (here == (speed ? w->want_machine : w->want_set)) return 2;
    return before && here == (speed ? before->machine : before->test_set);
}

/* The newest evaluation that has it, of those of the highest rank. */
static rt_status from_evaluations(work *w, int64_t number_of, const number *before, number *best, int *found)
{
    sqlite3_stmt *s;
    int row = 1;
    *found = 0;
    RT_TRY(rt_sql(w->r, &s, "SELECT m.value, m.lo, m.hi, e.data, e.rows, e.fingerprint, e.machine FROM evaluation e "
                  "JOIN metric m ON m.evaluation = e.id JOIN version v ON v.id = e.version WHERE v.model = ? AND "
                  "v.number = ? AND m.name = ? ORDER BY e.id DESC", "iis", w->model, number_of, w->metric));
    rt_status st = RT_OK;
    while (!st && !(st = rt_sql_next(w->r, s, &row)) && row) {
        number n = {.value = sqlite3_column_double(s, 0), .lo = NAN, .hi = NAN};
        if (sqlite3_column_type(s, 1) != SQLITE_NULL) n.lo = sqlite3_column_double(s, 1);
        if (sqlite3_column_type(s, 2) != SQLITE_NULL) n.hi = sqlite3_column_double(s, 2);
        n.test_set = test_set_of(w, rt_sql_text(s, 3), sqlite3_column_double(s, 4));
        n.machine = machine_of(w, rt_sql_text(s, 5), rt_sql_text(s, 6));
        if (*found && rank(w, &n, before) <= rank(w, best, before)) continue;
        *best = n;
        *found = 1;
    }
    sqlite3_finalize(s);
    return st;
}

/* A limit of a verdict by its name, and by its bound where one is wanted; "accuracy against=anchor" is asked for as
 * that. */
static const cJSON *limit_of(const cJSON *verdict, const char *name, const char *bound)
{
    const cJSON *list = rt_member(verdict, "limits");
    for (const cJSON *l = cJSON_IsArray(list) ? list->child : NULL; l; l = l->next)
        if (!strcmp(rt_text(l, "name"), name) && isfinite(rt_number(l, "value")) &&
            (!bound || !strcmp(rt_text(l, "bound"), bound))) return l;
    return NULL;
}

static int from_gate(work *w, const cJSON *verdict, const char *fingerprint, number *n)
{
    const cJSON *l = limit_of(verdict, w->metric, NULL);
    double value = rt_number(l, "candidate"), rows = rt_number(l, "n");
    if (!l) return 0;
    if (!isfinite(value)) value = rt_number(l, "value");   /* of the pair, as nfr */
    *n = (number){.value = value, .lo = NAN, .hi = NAN, .gate = 1};
    if (rt_member(l, "b") && value >= 0 && value <= 1 && rows >= 1 && rows < 1e15) {
        double range[2];
        rt_wilson((uint64_t)llround(value * rows), (uint64_t)rows, 0.95, range);
        n->lo = range[0];
        n->hi = range[1];
    } else if (!strcmp(rt_text(l, "bound"), "min") || !strcmp(rt_text(l, "bound"), "max")) {
        n->lo = rt_number(l, "lo");                        /* of the number itself */
        n->hi = rt_number(l, "hi");
    }
    char *machine = cJSON_PrintUnformatted(rt_member(verdict, "machine"));
    n->test_set = test_set_of(w, rt_verdict_side(verdict, "candidate", "data_digest"), rt_number(verdict, "rows"));
    n->machine = machine_of(w, fingerprint, machine ? machine : "{}");
    cJSON_free(machine);
    return isfinite(value);
}

/* ---- gate runs ---- */

static rt_status describe_side(work *w, const char *sha256, cJSON *gate)
{
    sqlite3_stmt *s;
    char text[RT_VERSION_TEXT];
    int row;
    RT_TRY(rt_sql(w->r, &s, "SELECT m.name, v.number FROM version v JOIN model m ON m.id = v.model WHERE v.object = ? "
                  "ORDER BY m.id = ? DESC, v.id DESC LIMIT 1", "si", sha256, w->model));
    rt_status st = rt_sql_next(w->r, s, &row);
    if (!st && row)
        snprintf(text, sizeof text, "%s@%lld", rt_sql_text(s, 0), (long long)sqlite3_column_int64(s, 1));
    else snprintf(text, sizeof text, "sha256:%.12s", sha256);
    sqlite3_finalize(s);
    cJSON_AddStringToObject(gate, "baseline", text);
    return st;
}

/* The newest run with these bytes as the candidate; *verdict: its JSON, or NULL where there is none. A verdict that is
 * damaged or missing is told, and the rest is shown. */
static rt_status find_gate(work *w, cJSON *version, cJSON **verdict, char fingerprint[17])
{
    sqlite3_stmt *s;
    int row;
    int64_t runs;
    char object[RT_SHA256] = "";
    const char *sha256 = rt_text(version, "sha256");
    *verdict = NULL;
    RT_TRY(rt_sql(w->r, &s,
                  "SELECT object, verdict, baseline, time, alpha, fingerprint FROM gate_run WHERE candidate = ? "
                  "ORDER BY id DESC LIMIT 1",
                  "s", sha256));
    rt_status st = rt_sql_next(w->r, s, &row);
    if (!st && row) {
        cJSON *g = cJSON_AddObjectToObject(version, "gate");
        snprintf(object, sizeof object, "%s", rt_sql_text(s, 0));
        snprintf(fingerprint, 17, "%s", rt_sql_text(s, 5));
        rt_sql_add(g, "verdict", s, 1);
        st = describe_side(w, rt_sql_text(s, 2), g);
        rt_sql_add(g, "time", s, 3);
        rt_sql_add(g, "alpha", s, 4);
        if (!st) st = rt_sql_number(w->r, &runs, 0, "SELECT count(*) FROM gate_run WHERE candidate = ?", "s", sha256);
        if (!st) cJSON_AddNumberToObject(g, "runs", (double)runs);
    } else if (!st) cJSON_AddNullToObject(version, "gate");
    sqlite3_finalize(s);
    if (st || !*object) return st;
    st = rt_object_json(w->r, verdict, object);
    if (st != RT_INPUT) return st;
    rt_string note = {0};
    rt_put(&note, "%s: %s", rt_text(version, "version"), rt_error_message());
    cJSON_AddItemToArray(w->notes, cJSON_CreateString(note.p ? note.p : ""));
    free(note.p);
    return RT_OK;
}

static void add_name(cJSON *list, const char *name)
{
    for (const cJSON *e = list->child; e; e = e->next) if (!strcmp(e->valuestring, name)) return;
    if (cJSON_GetArraySize(list) < NAMES && rt_is_utf8(name)) cJSON_AddItemToArray(list, cJSON_CreateString(name));
}

/* What else could have been asked for. */
static void add_limits(work *w, const cJSON *verdict)
{
    const cJSON *list = rt_member(verdict, "limits");
    for (const cJSON *l = cJSON_IsArray(list) ? list->child : NULL; l; l = l->next)
        if (*rt_text(l, "name") && !strstr(rt_text(l, "name"), " against=anchor"))
            add_name(w->metrics, rt_text(l, "name"));
}

/* ---- since the anchor ---- */

/* Of pairs of rows: the run was held against this anchor, or it was the baseline. */
static int drop_of_pairs(const work *w, const cJSON *verdict, const entry *anchor, entry *e)
{
    const char *mine = rt_text(anchor->j, "sha256");
    const cJSON *l = NULL;
    if (!strcmp(rt_text(rt_member(verdict, "anchor"), "sha256"), mine)) l = limit_of(verdict, w->anchored, "max_drop");
    if (!l && !strcmp(rt_text(rt_member(verdict, "baseline"), "sha256"), mine))
        l = limit_of(verdict, w->metric, "max_drop");
    if (!l) return 0;
    e->drop = rt_number(l, "value");
    e->drop_lo = rt_number(l, "lo");
    e->drop_hi = rt_number(l, "hi");
    if (strstr(rt_text(l, "name"), " against=anchor")) e->limit = rt_number(l, "limit");
    e->drop_from = "pairs";
    return 1;
}

static int comparable(const work *w, const entry *a, const entry *b)
{
    if (!a->has || !b->has) return 0;
    if (w->kind == SIZE) return 1;
    if (a->n.test_set != b->n.test_set && w->kind == QUALITY) return 0;
    return w->kind == QUALITY || a->n.machine == b->n.machine;
}

static double drop_between(const work *w, const entry *older, const entry *newer)
{
    return w->higher ? older->n.value - newer->n.value : newer->n.value - older->n.value;
}

static void take_drop(const work *w, const cJSON *verdict, const entry *all, int at, entry *e)
{
    if (e->anchor < 0) return;
    const entry *anchor = &all[e->anchor];
    if (e->anchor != at && drop_of_pairs(w, verdict, anchor, e)) return;
    if (!comparable(w, anchor, e)) return;
    e->drop = drop_between(w, anchor, e);
    e->drop_from = "values";
}

/* ---- all versions ---- */

static rt_status take_version(work *w, entry *all, int at, int shown)
{
    entry *e = &all[at];
    cJSON *verdict = NULL;
    char fingerprint[17] = "";
    e->drop = e->drop_lo = e->drop_hi = e->limit = NAN;
    e->anchor = at ? all[at - 1].anchor : -1;
    if (cJSON_GetArraySize(rt_member(e->j, "anchors"))) e->anchor = at;
    int before = at - 1;
    while (before >= 0 && !all[before].has) before--;
    RT_TRY(from_evaluations(w, (int64_t)rt_number(e->j, "number"), before < 0 ? NULL : &all[before].n, &e->n, &e->has));
    if (!shown && e->has) return RT_OK;
    RT_TRY(find_gate(w, e->j, &verdict, fingerprint));
    if (verdict) add_limits(w, verdict);
    if (!e->has && verdict) e->has = from_gate(w, verdict, fingerprint, &e->n);
    take_drop(w, verdict, all, at, e);
    const char *rows = rt_text(rt_member(verdict, "candidate"), "rows_digest");
    rt_status st = *rows ? rt_registry_decisions(w->r, rows, &w->decisions) : RT_OK;
    cJSON_Delete(verdict);
    return st;
}

/* before: the version before that has a value; NULL */
static void describe(const work *w, entry *all, entry *e, const entry *before)
{
    static const char *const unused[] = {"name", "user", "bytes", "accuracy", "parent"};
    int joined = before && comparable(w, before, e);
    for (int i = 0; i < 5; i++) cJSON_DeleteItemFromObjectCaseSensitive(e->j, unused[i]);
    cJSON_AddItemToObject(e->j, "releases", cJSON_DetachItemFromObjectCaseSensitive(e->j, "anchors"));
    add_number(e->j, "value", e->has ? e->n.value : NAN);
    if (!e->has) return;
    add_number(e->j, "lo", e->n.lo);
    add_number(e->j, "hi", e->n.hi);
    cJSON_AddStringToObject(e->j, "source", e->n.gate ? "gate" : "evaluation");
    add_place(e->j, "test_set", e->n.test_set);
    add_place(e->j, "machine", e->n.machine);
    cJSON_AddBoolToObject(e->j, "joined", joined);
    add_number(e->j, "step", joined ? drop_between(w, before, e) : NAN);
    if (e->anchor < 0) return;
    const entry *anchor = &all[e->anchor];
    const cJSON *release = rt_member(anchor->j, "releases");
    int last = cJSON_GetArraySize(release) - 1;
    cJSON *a = cJSON_AddObjectToObject(e->j, "anchor");
    cJSON_AddNumberToObject(a, "number", rt_number(anchor->j, "number"));
    cJSON_AddStringToObject(a, "release", cJSON_GetStringValue(cJSON_GetArrayItem(release, last < 0 ? 0 : last)));
    add_number(e->j, "drop", e->drop_from ? e->drop : NAN);
    if (!e->drop_from) return;
    add_number(e->j, "drop_lo", e->drop_lo);
    add_number(e->j, "drop_hi", e->drop_hi);
    add_number(e->j, "drop_limit", e->limit);
    cJSON_AddStringToObject(e->j, "drop_from", e->drop_from);
    cJSON_AddBoolToObject(e->j, "drop_joined", joined && before->drop_from && before->anchor == e->anchor);
}

/* ---- the metric ---- */

static rt_status one_text(rt_registry *r, char *out, size_t n, const char *sql, int64_t model, const char *metric)
{
    sqlite3_stmt *s;
    int row;
    RT_TRY(rt_sql(r, &s, sql, metric ? "is" : "i", model, metric));
    rt_status st = rt_sql_next(r, s, &row);
    if (!st && row) snprintf(out, n, "%s", rt_sql_text(s, 0));
    sqlite3_finalize(s);
    return st;
}

static rt_status list_metrics(work *w)
{
    sqlite3_stmt *s;
    int row = 1;
    RT_TRY(rt_sql(w->r, &s,
                  "SELECT DISTINCT m.name FROM metric m JOIN evaluation e ON e.id = m.evaluation JOIN version v "
                  "ON v.id = e.version WHERE v.model = ? ORDER BY m.name LIMIT ?",
                  "ii", w->model, (int64_t)NAMES));
    rt_status st = RT_OK;
    while (!st && !(st = rt_sql_next(w->r, s, &row)) && row) add_name(w->metrics, rt_sql_text(s, 0));
    sqlite3_finalize(s);
    return st;
}

/* Where nothing was asked for: accuracy, else what the newest version has. */
static rt_status choose_metric(work *w, const char *metric)
{
    if (metric && strlen(metric) >= sizeof w->metric) return rt_fail(RT_USAGE, "'%.60s...' is no metric", metric);
    snprintf(w->metric, sizeof w->metric, "%s", metric ? metric : "accuracy");
    if (!metric)
        RT_TRY(one_text(w->r, w->metric, sizeof w->metric,
                        "SELECT m.name FROM metric m JOIN evaluation e ON e.id = m.evaluation JOIN version v ON "
                        "v.id = e.version WHERE v.model = ? ORDER BY m.name = 'accuracy' DESC, v.number DESC, m.name "
                        "LIMIT 1", w->model, NULL));
    size_t word = strcspn(w->metric, " ");
    snprintf(w->anchored, sizeof w->anchored, "%.*s against=anchor%s", (int)word, w->metric, w->metric + word);
    w->kind = kind_of(w->metric);
    w->higher = is_higher(w->metric, w->kind);
    if (w->higher >= 0) return RT_OK;
    w->higher = 1;
    cJSON_AddItemToArray(w->notes,
                         cJSON_CreateString("Whether larger values of this metric are better is not known; they "
                                            "are taken to be, and a drop is a smaller one."));
    return RT_OK;
}

/* Of the newest version that has an evaluation with the metric. */
static rt_status choose_place(work *w)
{
    sqlite3_stmt *s;
    int row;
    w->want_set = w->want_machine = -1;
    RT_TRY(rt_sql(w->r, &s, "SELECT e.data, e.rows, e.fingerprint, e.machine FROM evaluation e JOIN metric m ON "
                  "m.evaluation = e.id JOIN version v ON v.id = e.version WHERE v.model = ? AND m.name = ? ORDER BY "
                  "v.number DESC, e.id DESC LIMIT 1", "is", w->model, w->metric));
    rt_status st = rt_sql_next(w->r, s, &row);
    if (!st && row) {
        w->want_set = test_set_of(w, rt_sql_text(s, 0), sqlite3_column_double(s, 1));
        w->want_machine = machine_of(w, rt_sql_text(s, 2), rt_sql_text(s, 3));
    }
    sqlite3_finalize(s);
    return st;
}

static rt_status no_such_metric(const work *w, const char *name)
{
    const char *names[NAMES];
    int n = 0;
    for (const cJSON *e = w->metrics->child; e && n < NAMES; e = e->next) names[n++] = e->valuestring;
    const char *near = rt_nearest(w->metric, names, n);
    return rt_fail(RT_NOTHING, "%s: no version of %s has '%.100s'%s%.100s%s%s", rt_registry_folder(w->r), name,
                   w->metric, near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "",
                   n ? "" : ": add evaluations ('retort registry add --eval'), or gate with --registry");
}

static rt_status take_all(work *w, cJSON *list, int last, const char *name)
{
    int n = cJSON_GetArraySize(list), i = 0, any = 0;
    cJSON *versions = cJSON_AddArrayToObject(w->h, "versions");
    entry *all = calloc((size_t)n + 1, sizeof *all), *before = NULL;
    rt_status st = all ? RT_OK : rt_fail(RT_RUN, "out of memory");
    for (cJSON *j = list->child; j && !st; j = j->next) all[i++].j = j;
    for (i = 0; i < n && !st; i++) {
        st = take_version(w, all, i, !last || i >= n - last);
        any |= all[i].has;
    }
    if (!st && !any) st = no_such_metric(w, name);
    for (i = 0; i < n && !st; i++) {
        describe(w, all, &all[i], before);
        if (all[i].has) before = &all[i];
    }
    for (i = 0; i < n && !st; i++)
        if (!last || i >= n - last) cJSON_AddItemToArray(versions, cJSON_DetachItemViaPointer(list, all[i].j));
    free(all);
    return st;
}

static void begin(work *w, const char *name)
{
    char date[32];
    rt_machine_date(date);
    w->h = cJSON_CreateObject();
    cJSON_AddStringToObject(w->h, "format", "retort-history-1");
    cJSON_AddStringToObject(w->h, "registry", rt_registry_folder(w->r));
    cJSON_AddStringToObject(w->h, "name", name);
    cJSON_AddStringToObject(w->h, "tool", rt_tool());
    cJSON_AddStringToObject(w->h, "time", date);
    w->test_sets = cJSON_AddArrayToObject(w->h, "test_sets");
    w->machines = cJSON_AddArrayToObject(w->h, "machines");
    w->notes = cJSON_AddArrayToObject(w->h, "notes");
    w->metrics = cJSON_CreateArray();
}

rt_status rt_history(rt_registry *r, const char *name, const char *metric, int last, cJSON **history)
{
    rt_registry_filter filter = {.name = name};
    cJSON *list;
    work w = {.r = r};
    *history = NULL;
    RT_TRY(rt_registry_list(r, &filter, &list));
    begin(&w, name);
    rt_status st = rt_registry_model(r, name, &w.model);
    if (!st) st = list_metrics(&w);
    if (!st) st = choose_metric(&w, metric);
    if (!st) st = choose_place(&w);
    if (!st && !cJSON_GetArraySize(rt_member(list, "versions")))
        st = rt_fail(RT_NOTHING, "%s: %s has no version", rt_registry_folder(r), name);
    if (!st) st = take_all(&w, cJSON_GetObjectItemCaseSensitive(list, "versions"), last, name);
    if (!st) {
        cJSON_AddStringToObject(w.h, "metric", w.metric);
        cJSON_AddStringToObject(w.h, "better", w.higher ? "higher" : "lower");
        cJSON_AddStringToObject(w.h, "kind", kind_name[w.kind]);
        if (w.decisions) cJSON_AddNumberToObject(w.h, "decisions", w.decisions);
        cJSON_AddItemToObject(w.h, "metrics", w.metrics);
        *history = w.h;
    } else {
        cJSON_Delete(w.h);
        cJSON_Delete(w.metrics);
    }
    cJSON_Delete(list);
    return st;
}

rt_status rt_history_write(const cJSON *history, const rt_target *target)
{
    rt_string page = {0};
    rt_output *out = NULL;
    int fd;
    rt_history_html(&page, history);
    rt_status st = page.p && !page.failed ? RT_OK : rt_fail(RT_RUN, "out of memory");
    rt_digest digest = rt_digest_of(page.p ? page.p : "", page.n);
    if (!st) st = rt_output_take(&out, target, (const char *const[]){NULL});
    if (!st) st = rt_output_may_replace(out, RT_OUTPUT_EXPORT);
    if (!st) st = rt_output_create(out, &fd);
    if (!st) st = rt_write_all(fd, page.p, page.n, rt_output_path(out));
    if (!st) rt_output_mark(out, &digest);
    if (!st) st = rt_output_commit(out);
    rt_output_end(out);
    free(page.p);
    return st;
}
