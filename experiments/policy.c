#include "experiments/policy.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/text.h"

const char *const rt_bound_name[RT_BOUNDS] = {"max_drop", "max_drop_rel", "max", "min", "max_ratio", "max_us"};
static const char *const against_name[] = {"baseline", "anchor", NULL};

const rt_cost_metric rt_cost_metrics[RT_COST_METRICS] = {
    {"latency_p50", RT_TIMED, RT_SINGLE_STREAM, RT_P50, "SingleStream: a row a call on one thread, median"},
    {"latency_p90", RT_TIMED, RT_SINGLE_STREAM, RT_P90, "the same, 90th percentile"},
    {"latency_p99", RT_TIMED, RT_SINGLE_STREAM, RT_P99, "the same, 99th percentile"},
    {"multistream_p50", RT_TIMED, RT_MULTI_STREAM, RT_P50, "MultiStream: 8 rows a call on one thread, median"},
    {"multistream_p90", RT_TIMED, RT_MULTI_STREAM, RT_P90, "the same, 90th percentile"},
    {"multistream_p99", RT_TIMED, RT_MULTI_STREAM, RT_P99, "the same, 99th percentile"},
    {"throughput", RT_TIMED, RT_OFFLINE, RT_OF_RATE, "Offline: rows a second on all threads, at the best batch size"},
    {"cost_per_million", RT_TIMED, RT_OFFLINE, RT_OF_COST,
     "of a million rows at that rate: speed.price_per_hour / 3600 * seconds / speed.copies"},
    {"energy_per_million", RT_TIMED, RT_OFFLINE, RT_OF_ENERGY,
     "joules of a million rows at that batch size, by the processor's counters (RAPL)"},
    {"file_bytes", RT_FILE_BYTES, 0, 0, "of the model's files; of a quantized model, of its program"},
    {"memory_bytes", RT_MEMORY_BYTES, 0, 0, "weights and arenas of a call of one row"},
    {"parameters", RT_PARAMETERS, 0, 0, "numbers that were trained"},
    {"macs", RT_MACS, 0, 0, "multiply-adds of a row"},
};

/* Howard Hinnant, "chrono-compatible low-level date algorithms": days_from_civil. */
long rt_days(const char *date)
{
    int y, m, d, n = 0;
    if (strlen(date) != 10 || strspn(date, "0123456789-") != 10) return -1;
    if (sscanf(date, "%4d-%2d-%2d%n", &y, &m, &d, &n) != 3 || n != 10 || date[4] != '-' || date[7] != '-') return -1;
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int leap = (y % 4 == 0 && y % 100 != 0) || y % 400 == 0;
    if (y < 1970 || m < 1 || m > 12 || d < 1 || d > days[m - 1] + (m == 2 && leap)) return -1;
    y -= m <= 2;
    int era = y / 400, of_era = y - era * 400, of_year = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1;
    return era * 146097L + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

static const rt_cost_metric *find_cost(const char *name)
{
    for (int i = 0; i < RT_COST_METRICS; i++)
        if (strcmp(name, rt_cost_metrics[i].name) == 0) return &rt_cost_metrics[i];
    return NULL;
}

/* Of any task; NULL. */
static const rt_paired_metric *find_paired(const char *name)
{
    int count;
    const rt_paired_metric *m = rt_paired_metrics(&count);
    for (int i = 0; i < count; i++) if (strcmp(name, m[i].name) == 0) return &m[i];
    return NULL;
}

static void unknown_metric(rt_cfg *c, const char *name)
{
    const char *names[256];
    char text[256];
    int count, n = 0;
    const rt_paired_metric *m = rt_paired_metrics(&count);
    for (int i = 0; i < count && n < 200; i++) names[n++] = m[i].name;
    for (int i = 0; i < RT_COST_METRICS; i++) names[n++] = rt_cost_metrics[i].name;
    const char *near = rt_nearest(name, names, n);
    snprintf(text, sizeof text, "there is no metric '%.60s'%s%s%s; see 'retort help metrics'", name,
             near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
    rt_cfg_fail(c, "metric", text);
}

/* ---- bounds ---- */

/* What a limit of this metric can be about. */
static unsigned bounds_of(const rt_limit *l, const rt_paired_metric *m)
{
    if (l->cost && l->cost->size != RT_TIMED) return 1u << RT_MAX_RATIO | 1u << RT_MAX;
    if (l->cost && l->cost->scenario == RT_OFFLINE)
        return 1u << RT_MAX_RATIO | (l->cost->quantile != RT_OF_RATE ? 1u << RT_MAX : 0);
    if (l->cost) return 1u << RT_MAX_RATIO | 1u << RT_MAX_US;
    unsigned number = m->higher ? 1u << RT_MIN : 1u << RT_MAX;
    return m->of == RT_OF_PAIR ? number : number | 1u << RT_MAX_DROP | 1u << RT_MAX_DROP_REL;
}

/* The worst number of a metric of answers there can be: a limit at it, or beyond it, is none. */
static double worst_of(const rt_paired_metric *m)
{
    static const struct { const char *name; double worst; } of[] = {
        {"mcc", -1}, {"r2", -INFINITY}, {"ece", 1}, {"adaptive_ece", 1}, {"hamming", 1}, {"brier", 2}, {"nfr", 1},
        {"nfi", 1}};
    for (size_t i = 0; i < sizeof of / sizeof of[0]; i++) if (!strcmp(m->name, of[i].name)) return of[i].worst;
    return m->higher ? 0 : INFINITY;
}

int rt_limit_is_alone(const rt_limit *l)
{
    if (l->bound != RT_MIN && l->bound != RT_MAX && l->bound != RT_MAX_US) return 0;
    const rt_paired_metric *m = l->cost ? NULL : find_paired(l->metric);
    return !m || m->of != RT_OF_PAIR;
}

static void put_names(char *text, size_t n, unsigned bounds)
{
    size_t at = 0;
    for (int b = 0; b < RT_BOUNDS && at < n; b++)
        if (bounds & 1u << b)
            at += (size_t)snprintf(text + at, n - at, "%s%s", at ? " or " : "", rt_bound_name[b]);
}

/* The one bound of a limit. A number itself is bounded by what it can reach at all, all else by 1e15. */
static void read_bound(rt_cfg *c, rt_limit *l, const rt_paired_metric *m)
{
    char names[96], text[256];
    unsigned allowed = bounds_of(l, m);
    int found = -1;
    put_names(names, sizeof names, allowed);
    for (int b = 0; b < RT_BOUNDS; b++) {
        if (!rt_cfg_any(c, rt_bound_name[b])) continue;
        if (!(allowed & 1u << b)) {
            snprintf(text, sizeof text, "does not apply to '%s', which %s bounds", l->metric, names);
            rt_cfg_fail(c, rt_bound_name[b], text);
            return;
        }
        if (found >= 0) {
            rt_cfg_fail(c, rt_bound_name[b], "a limit has one bound; write a second limit for the second");
            return;
        }
        found = b;
    }
    if (found < 0) {
        snprintf(text, sizeof text, "a bound is missing: %s", names);
        if (!rt_cfg_end(c)) rt_cfg_fail(c, "metric", text);          /* a bound that is misspelt is told as such */
        return;
    }
    int number = m && (found == RT_MIN || found == RT_MAX);
    double worst = number ? worst_of(m) : 0, least = fmax(-1e15, fmin(0, worst)), most = number && m->higher ? 1 : 1e15;
    if (number && !m->higher) most = fmin(most, worst);
    l->bound = (rt_bound)found;
    l->most = rt_cfg_number(c, rt_bound_name[found], 0, least, most);
    if (number && !c->status && (m->higher ? l->most <= worst : l->most >= worst))
        rt_cfg_fail(c, rt_bound_name[found], "is a limit that nothing can break");
    if (found == RT_MAX_RATIO && !c->status && l->most <= 0)
        rt_cfg_fail(c, rt_bound_name[found], "a ratio above 0 is expected");
}

/* ---- limits ---- */

static void name_limit(rt_cfg *c, rt_limit *l)
{
    int n = snprintf(l->name, sizeof l->name, "%s%s%s%s%s%s%s%s%s%s", l->metric, l->anchor ? " against=anchor" : "",
                     *l->head ? " head=" : "", l->head, *l->class ? " class=" : "", l->class,
                     *l->column ? " slice=" : "", l->column, *l->column ? "=" : "", l->value);
    if (n >= (int)sizeof l->name) rt_cfg_fail(c, "metric", "the limit's name is longer than 255 bytes");
}

static void read_slice(rt_cfg *c, rt_limit *l, const char *slice)
{
    const char *eq = strchr(slice, '=');
    l->value = "";
    if (!*slice) return;
    if (!eq || eq == slice || !eq[1] || eq - slice >= (long)sizeof l->column) {
        rt_cfg_fail(c, "slice", "COLUMN=VALUE is expected, or COLUMN=* for a limit of each");
        return;
    }
    memcpy(l->column, slice, (size_t)(eq - slice));
    l->value = eq + 1;
}

/* Whether the limit is held against the anchor too; by_default: where it does not say so. What is of the candidate
 * alone, as its microseconds or its accuracy itself, has no other side. */
static void read_against(rt_cfg *c, rt_limit *l, int by_default)
{
    int one_side = rt_limit_is_alone(l);
    l->anchor = rt_cfg_choice(c, "against", against_name, !one_side && by_default);
    if (one_side && l->anchor) rt_cfg_fail(c, "against", "does not apply to a bound of the candidate alone");
}

/* Under the name that it has against the baseline; l->anchor: it is held against the anchor too. */
static rt_status read_limit(cJSON *j, int index, rt_limit *l, int anchor)
{
    char at[32];
    snprintf(at, sizeof at, "limits[%d]", l->index = index);
    rt_cfg c = rt_cfg_begin(j, at);
    l->metric = rt_cfg_string(&c, "metric", NULL);
    l->head = rt_cfg_string(&c, "head", "");
    l->class = rt_cfg_string(&c, "class", "");
    l->note = rt_cfg_string(&c, "note", "");
    const char *slice = rt_cfg_string(&c, "slice", "");
    l->min_rows = (uint64_t)rt_cfg_int(&c, "min_rows", 1, 1, 2000000000);
    RT_TRY(c.status);
    l->cost = find_cost(l->metric);
    const rt_paired_metric *m = l->cost ? NULL : find_paired(l->metric);
    if (!l->cost && !m) unknown_metric(&c, l->metric);
    if (l->cost)
        for (int k = 0; k < 3; k++) {
            static const char *const of_rows[] = {"head", "class", "slice"};
            const char *given[] = {l->head, l->class, slice};
            if (*given[k]) rt_cfg_fail(&c, of_rows[k], "does not apply to what a model costs");
        }
    if (m && m->of == RT_OF_CLASS && !*l->class)
        rt_cfg_fail(&c, "class", "is missing: the metric is of one class; \"*\" is a limit of each");
    if (m && m->of != RT_OF_CLASS && *l->class)
        rt_cfg_fail(&c, "class", "does not apply: the metric is of all classes; \"slice\": \"class=...\" is of rows");
    read_slice(&c, l, slice);
    if (!strcmp(l->class, "*") && !strcmp(l->value, "*"))
        rt_cfg_fail(&c, "slice", "only one of class and slice can be \"*\"");
    l->each = strcmp(l->class, "*") == 0 || strcmp(l->value, "*") == 0;
    RT_TRY(c.status);
    read_bound(&c, l, m);
    read_against(&c, l, anchor);
    int both = l->anchor;
    name_limit(&c, l);             /* the longer name fits, too */
    l->anchor = 0;
    name_limit(&c, l);
    l->anchor = both;
    return rt_cfg_end(&c);
}

static int same_limit(const rt_limit *a, const rt_limit *b)
{
    return a->bound == b->bound && !strcmp(a->name, b->name);
}

/* Adds it as held against one side. */
static rt_status add_limit(rt_policy *p, const rt_limit *l, int anchor)
{
    rt_limit *to = &p->limit[p->limits];
    rt_cfg c = {0};
    *to = *l;
    to->anchor = anchor;
    name_limit(&c, to);
    for (int i = 0; i < p->limits; i++)
        if (same_limit(&p->limit[i], to))
            return rt_fail(RT_USAGE, "limits[%d]: '%s' has a %s already, in limits[%d]", to->index, to->name,
                           rt_bound_name[to->bound], p->limit[i].index);
    p->limits++;
    p->anchored += anchor;
    return RT_OK;
}

/* What is held against both sides is two limits, unless another one says what holds against the baseline. */
static rt_status add_limits(rt_policy *p, const rt_limit *read, int n)
{
    for (int i = 0; i < n; i++) {
        int own = 0;
        for (int k = 0; k < n && read[i].anchor; k++) own |= !read[k].anchor && same_limit(&read[k], &read[i]);
        if (!own) RT_TRY(add_limit(p, &read[i], 0));
        if (read[i].anchor) RT_TRY(add_limit(p, &read[i], 1));
    }
    return RT_OK;
}

static rt_status read_limits(rt_cfg *c, rt_policy *p, int anchor)
{
    cJSON *list = rt_cfg_array(c, "limits");
    int n = cJSON_GetArraySize(list);
    RT_TRY(c->status);
    rt_cfg_array(c, "waivers");
    if (!n && !rt_cfg_end(c))
        rt_cfg_fail(c, "limits", "there are none, and nothing could fail: at least one limit is expected");
    if (n > RT_POLICY_LIMITS) rt_cfg_fail(c, "limits", "at most 256 are taken");
    RT_TRY(c->status);
    rt_limit *read = calloc((size_t)n, sizeof *read);
    p->limit = calloc(2 * (size_t)n, sizeof *p->limit);
    rt_status st = p->limit && read ? RT_OK : rt_fail(RT_RUN, "out of memory");
    int i = 0;
    for (cJSON *j = list->child; j && !st; j = j->next, i++) {
        st = read_limit(j, i, &read[i], anchor);
        if (!st && read[i].cost && read[i].cost->size == RT_TIMED) p->scenarios |= 1u << read[i].cost->scenario;
    }
    if (!st) st = add_limits(p, read, n);
    free(read);
    return st;
}

/* ---- waivers ---- */

/* Whether a waiver's name is the limit's, or that of one class or slice of it. */
static int covers(const rt_limit *l, const char *name)
{
    if (strcmp(l->name, name) == 0) return 1;
    if (!l->each) return 0;
    /* "recall class=*" stands for "recall class=6": what is before the star, and what is behind it */
    size_t length = strlen(l->name), n = strlen(name);
    const char *star = strcmp(l->value, "*") == 0 ? l->name + length - 1 : strstr(l->name, " class=*") + 7;
    size_t before = (size_t)(star - l->name), behind = length - before - 1;
    return n > before + behind && !strncmp(l->name, name, before) && !strcmp(star + 1, name + n - behind);
}

static rt_status read_waivers(rt_cfg *c, rt_policy *p, long today)
{
    cJSON *list = rt_cfg_array(c, "waivers");
    int n = cJSON_GetArraySize(list);
    RT_TRY(c->status);
    p->waiver = n ? calloc((size_t)n, sizeof *p->waiver) : NULL;
    if (n && !p->waiver) return rt_fail(RT_RUN, "out of memory");
    for (cJSON *j = n ? list->child : NULL; j; j = j->next) {
        char at[32], text[320];
        rt_waiver *w = &p->waiver[p->waivers];
        const char *names[2 * RT_POLICY_LIMITS];
        int found = 0;
        snprintf(at, sizeof at, "waivers[%d]", p->waivers++);
        rt_cfg e = rt_cfg_begin(j, at);
        w->limit = rt_cfg_string(&e, "limit", NULL);
        w->until = rt_cfg_string(&e, "until", NULL);
        w->reason = rt_cfg_string(&e, "reason", NULL);
        RT_TRY(rt_cfg_end(&e));
        if (!*w->reason) rt_cfg_fail(&e, "reason", "is empty: say why the limit does not hold for now");
        long until = rt_days(w->until);
        if (until < 0) rt_cfg_fail(&e, "until", "a date, as \"2027-01-31\", is expected");
        else if (until < today) {
            snprintf(text, sizeof text, "the waiver of '%.200s' has expired on %s: remove it, or renew it", w->limit,
                     w->until);
            rt_cfg_fail(&e, "until", text);
        }
        for (int i = 0; i < p->limits; i++) {
            names[i] = p->limit[i].name;
            found |= covers(&p->limit[i], w->limit);
        }
        if (!found) {
            const char *near = rt_nearest(w->limit, names, p->limits);
            snprintf(text, sizeof text, "'%.120s' waives nothing: no limit has this name%s%.120s%s", w->limit,
                     near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
            rt_cfg_fail(&e, "limit", text);
        }
        RT_TRY(e.status);
    }
    return RT_OK;
}

const rt_waiver *rt_policy_waiver(const rt_policy *p, const rt_limit *l, const char *name)
{
    for (int i = 0; i < p->waivers; i++)
        if (!strcmp(p->waiver[i].limit, name) || !strcmp(p->waiver[i].limit, l->name)) return &p->waiver[i];
    return NULL;
}

/* ---- the whole ---- */

static int is_digest(const char *text, const char *kind, size_t digits)
{
    size_t n = strlen(kind);
    return !strncmp(text, kind, n) && strlen(text) == n + digits &&
           strspn(text + n, "0123456789abcdef") == digits;
}

static rt_status read_policy(rt_policy *p, long today)
{
    static const char *const modes[] = {"noninferior", "proven", NULL};
    rt_cfg c = rt_cfg_begin(p->json, "");
    const char *format = rt_cfg_string(&c, "format", NULL);
    if (!c.status && strcmp(format, "retort-policy-1"))
        rt_cfg_fail(&c, "format", "\"retort-policy-1\" is expected; this version reads no other");
    p->proven = rt_cfg_choice(&c, "mode", modes, 0);
    p->confidence = rt_cfg_number(&c, "confidence", 0.95, 0.5, 0.999999);
    p->seed = rt_cfg_u64(&c, "seed", 1);
    p->baseline = rt_cfg_string(&c, "baseline", "");
    p->head = rt_cfg_string(&c, "head", "");
    int anchor = rt_cfg_choice(&c, "against", against_name, 0);
    p->spending = (rt_spending)rt_cfg_choice(&c, "spending", rt_spending_name, RT_SPEND_NONE);
    p->releases = rt_cfg_int(&c, "releases", 0, 0, RT_POLICY_RELEASES);
    if (!c.status && p->spending && !p->releases)
        rt_cfg_fail(&c, "releases", "is missing: alpha is spent over a number of releases, 1 to 1000");
    if (!c.status && *p->baseline && !is_digest(p->baseline, "sha256:", 64) && !is_digest(p->baseline, "xxh128:", 32))
        rt_cfg_fail(&c, "baseline", "\"sha256:\" and 64 digits of hex, or \"xxh128:\" and 32, are expected");
    rt_cfg s = rt_cfg_object(&c, "speed");
    p->seconds = rt_cfg_number(&s, "seconds", 60, 0.1, 86400);
    p->rounds = rt_cfg_int(&s, "rounds", 40, 6, RT_SPEED_ROUNDS);
    p->samples = rt_cfg_int(&s, "samples", 8000, 64, 10000000);
    p->price = rt_cfg_number(&s, "price_per_hour", 0, 0, 1e9);
    p->copies = rt_cfg_int(&s, "copies", 1, 1, 100000);
    rt_cfg_join(&c, &s);
    RT_TRY(c.status);
    RT_TRY(read_limits(&c, p, anchor));
    for (int i = 0; i < p->limits && !p->price; i++)
        if (p->limit[i].bound == RT_MAX && p->limit[i].cost && p->limit[i].cost->quantile == RT_OF_COST &&
            p->limit[i].cost->size == RT_TIMED)
            return rt_fail(RT_USAGE, "speed.price_per_hour: is missing: '%s' is bounded by max", p->limit[i].name);
    RT_TRY(read_waivers(&c, p, today));
    return rt_cfg_end(&c);
}

rt_status rt_policy_take(rt_policy *p, cJSON *json, const char *name, long today)
{
    *p = (rt_policy){.json = json};
    rt_status st = read_policy(p, today);
    return st ? rt_fail_in(st, "%s", name) : RT_OK;
}

rt_status rt_policy_read(rt_policy *p, const char *path, long today)
{
    cJSON *json;
    *p = (rt_policy){0};
    rt_status st = rt_json_file(&json, path);
    if (st) return st == RT_INPUT ? rt_fail(RT_USAGE, "%s", rt_error_message()) : st;
    return rt_policy_take(p, json, path, today);
}

void rt_policy_free(rt_policy *p)
{
    cJSON_Delete(p->json);
    free(p->limit);
    free(p->waiver);
    *p = (rt_policy){0};
}

const char *rt_limit_head(const rt_policy *p, const rt_limit *l) { return *l->head ? l->head : p->head; }

rt_status rt_policy_check_baseline(const rt_policy *p, const char *path, const char *sha256, const char *xxh128)
{
    const char *is = !strncmp(p->baseline, "sha256:", 7) ? sha256 : xxh128;
    if (!*p->baseline || !strcmp(p->baseline, is)) return RT_OK;
    return rt_fail(RT_USAGE, "%s: is %s, but the policy is for the baseline %s", path, is, p->baseline);
}
