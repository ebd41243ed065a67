#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "data/files.h"
#include "data/precision.h"
#include "engine/version.h"
#include "experiments/gate/gate_parts.h"
#include "experiments/machine.h"
#include "experiments/registry/registry_parts.h"
#include "experiments/report/report_parts.h"
#include "experiments/result_files.h"

static const rt_result_list files = {.name = {"verdict.json", "gate.md", "junit.xml", "gate.html"},
                                     .sums = "gate.xxh128",
                                     .by = "a gate",
                                     .keeps = 1};

static long today(void) { return (long)(time(NULL) / 86400); }

rt_status rt_gate_sha256(char out[72], const char *path)
{
    int64_t bytes;
    strcpy(out, "sha256:");
    return rt_sha256_of_file(out + 7, &bytes, path);
}

/* Before the work: files that are there, and that are not one and the same. */
static rt_status look_at_files(rt_gate_work *w)
{
    const rt_gate_spec *g = w->spec;
    if (w->policy.spending && !g->registry)
        return rt_fail(RT_USAGE,
                       "%s: spends its alpha over %d releases, and a registry counts them: give --registry DIR",
                       g->policy, w->policy.releases);
    if (w->policy.anchored && !g->anchors && !g->registry)
        return rt_fail(RT_USAGE,
                       "%s: limits are held against the anchor (%d), and there is none: give --anchor MODEL.h5, "
                       "or --registry DIR where 'retort registry tag NAME@NUMBER --anchor RELEASE' has pinned one",
                       g->policy, w->policy.anchored);
    if (g->anchors && !w->policy.anchored)
        return rt_fail(RT_USAGE,
                       "%s: no limit is held against the anchor, which is given: \"against\": \"anchor\" of a "
                       "limit, or of the policy, does",
                       g->policy);
    for (int i = 0; i < RT_GATE_SIDES; i++) {
        int count;
        const char *const *file = rt_gate_files(g, i, &count);
        if (count) RT_TRY(rt_gate_sha256(w->sha256[i], file[0]));
    }
    if (!strncmp(w->policy.baseline, "sha256:", 7))
        RT_TRY(rt_policy_check_baseline(&w->policy, g->baseline[0], w->sha256[RT_BASELINE], ""));
    if (!g->allow_same && g->baselines == 1 && g->candidates == 1 &&
        !strcmp(w->sha256[RT_BASELINE], w->sha256[RT_CANDIDATE]))
        return rt_fail(RT_NOTHING,
                       "%s and %s are the same file (%.15s...): nothing is compared; --allow-same compares it "
                       "with itself",
                       g->baseline[0], g->candidate[0], w->sha256[RT_BASELINE]);
    return RT_OK;
}

/* By the selected family, or by each that runs here. */
static rt_status ask_all(rt_gate_work *w)
{
    if (!w->spec->all_kernels) return rt_gate_answers(w, "");
    const char *selected = rt_kernels_get()->name;
    rt_status st = RT_OK;
    for (const rt_kernels *const *k = rt_kernels_all(); *k && !st; k++) {
        if (!rt_kernels_runnable(*k)) continue;
        st = rt_kernels_select((*k)->name);
        if (!st) st = rt_gate_answers(w, (*k)->name);
    }
    if (!st && cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(w->sides[0], "stored")) &&
        cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(w->sides[1], "stored")))
        st = rt_fail(RT_USAGE, "--kernels all: both sides are predictions, which no kernel computes any more");
    rt_status back = rt_kernels_select(selected);
    return st ? st : back;
}

/* ---- the verdict ---- */

static void add_number(cJSON *j, const char *key, double v)
{
    if (isfinite(v)) cJSON_AddNumberToObject(j, key, v);
    else cJSON_AddNullToObject(j, key);
}

static void add_given(cJSON *j, const char *key, const char *text)
{
    if (text && *text) cJSON_AddStringToObject(j, key, text);
}

static cJSON *describe(const rt_finding *f)
{
    const rt_limit *l = f->limit;
    cJSON *j = cJSON_CreateObject();
    cJSON_AddStringToObject(j, "name", f->name);
    cJSON_AddStringToObject(j, "metric", l->metric);
    cJSON_AddStringToObject(j, "bound", rt_bound_name[l->bound]);
    cJSON_AddNumberToObject(j, "limit", l->most);
    add_given(j, "kernels", f->kernels);
    cJSON_AddStringToObject(j, "outcome", rt_outcome_name[f->outcome]);
    add_number(j, "value", f->value);
    add_number(j, "lo", f->lo);
    add_number(j, "hi", f->hi);
    add_number(j, "baseline", f->baseline);
    add_number(j, "candidate", f->candidate);
    cJSON_AddNumberToObject(j, "n", (double)f->n);
    if (f->shares) {
        cJSON_AddNumberToObject(j, "b", (double)f->b);
        cJSON_AddNumberToObject(j, "c", (double)f->c);
    }
    if (!l->cost) add_number(j, "p", f->p);
    add_given(j, "method", f->method);
    add_given(j, "reason", f->reason);
    add_given(j, "note", l->note);
    if (isfinite(f->detects)) {
        cJSON *power = cJSON_AddObjectToObject(j, "power");
        cJSON_AddNumberToObject(power, "detects", f->detects);
        add_number(power, "undecided_if_unchanged", f->undecided);
    }
    if (f->waiver) {
        cJSON *waiver = cJSON_AddObjectToObject(j, "waiver");
        cJSON_AddStringToObject(waiver, "until", f->waiver->until);
        cJSON_AddStringToObject(waiver, "reason", f->waiver->reason);
    }
    return j;
}

static void add_counts(cJSON *r, const rt_gate_work *w)
{
    int n[RT_OUTCOMES] = {0}, waived = 0;
    for (int i = 0; i < w->count; i++) {
        const rt_finding *f = &w->found[i];
        if (f->waiver && f->outcome != RT_PASSED && f->outcome != RT_LISTED) waived++;
        else n[f->outcome]++;
    }
    cJSON *counts = cJSON_AddObjectToObject(r, "counts");
    for (int i = 0; i < RT_OUTCOMES; i++) cJSON_AddNumberToObject(counts, rt_outcome_name[i], n[i]);
    cJSON_AddNumberToObject(counts, "waived", waived);
}

static const char *word_of(rt_status st, int refused)
{
    switch (st) {
    case RT_OK: return "pass";
    case RT_GATE: return "regression";
    case RT_UNDECIDED: return "undecided";
    default: return refused ? "not comparable" : "not measured";
    }
}

static void put_option(rt_string *t, const char *name, const char *value)
{
    rt_put(t, " --%s '", name);
    for (; *value; value++) rt_put(t, *value == '\'' ? "'\\''" : "%c", *value);
    rt_put(t, "'");
}

/* What does the same again, but for the folder and the number of threads; NULL when out of memory. */
static char *command_of(const rt_gate_work *w)
{
    static const char *const flag[] = {"common", "allow-same"};
    const rt_gate_spec *g = w->spec;
    rt_string t = {0};
    rt_put(&t, "retort gate --out FOLDER");
    for (int s = 0; s < RT_GATE_SIDES; s++) {
        int count;
        const char *const *file = rt_gate_files(g, s, &count);
        for (int i = 0; i < count && file != &w->anchor_file; i++) put_option(&t, rt_gate_side[s], file[i]);
    }
    put_option(&t, "policy", g->policy);
    if (g->registry) put_option(&t, "registry", g->registry);
    for (int i = 0; i < 2; i++) if (i ? g->allow_same : g->common) rt_put(&t, " --%s", flag[i]);
    if (g->all_kernels) rt_put(&t, " --kernels all");
    if (!rt_device_is_cpu(g->device)) put_option(&t, "device", rt_device_name(g->device));
    if (g->precision != RT_P_FP32) rt_put(&t, " precision=%s", rt_precision_name(g->precision));
    if (g->data) rt_put_settings(&t, "data", g->data);
    if (!t.failed) return t.p;
    free(t.p);
    return NULL;
}

static cJSON *verdict_of(rt_gate_work *w, rt_status st)
{
    char date[32];
    rt_machine_date(date);
    cJSON *r = cJSON_CreateObject();
    cJSON_AddStringToObject(r, "format", "retort-verdict-2");
    cJSON_AddStringToObject(r, "verdict", word_of(st, cJSON_GetArraySize(w->refused)));
    cJSON_AddNumberToObject(r, "exit_code", st);
    cJSON_AddStringToObject(r, "tool", rt_tool());
    cJSON_AddStringToObject(r, "time", date);
    char *command = command_of(w);
    cJSON_AddStringToObject(r, "command", command ? command : "");
    free(command);
    cJSON_AddStringToObject(r, "mode", w->policy.proven ? "proven" : "noninferior");
    cJSON_AddNumberToObject(r, "confidence", w->confidence);
    cJSON_AddNumberToObject(r, "rows", w->rows);
    cJSON *test_set = rt_gate_test_set(w);
    for (int i = 0; i < RT_GATE_SIDES; i++) {
        if (w->sides[i]) cJSON_AddItemToObject(r, rt_gate_side[i], w->sides[i]);
        w->sides[i] = NULL;
    }
    cJSON_AddItemToObject(r, "test_set", test_set);
    add_counts(r, w);
    cJSON_AddItemToObject(r, "refused", cJSON_Duplicate(w->refused, 1));
    cJSON *limits = cJSON_AddArrayToObject(r, "limits");
    for (int i = 0; i < w->count; i++) cJSON_AddItemToArray(limits, describe(&w->found[i]));
    cJSON *heads = cJSON_DetachItemFromObjectCaseSensitive(w->rows_told, "heads");
    if (heads) cJSON_AddItemToObject(r, "heads", heads);
    if (w->speed) cJSON_AddItemToObject(r, "speed", w->speed);
    w->speed = NULL;
    if (cJSON_GetArraySize(w->stored)) cJSON_AddItemToObject(r, "stored_speeds", cJSON_Duplicate(w->stored, 1));
    rt_machine_describe(cJSON_AddObjectToObject(r, "machine"), w->spec->device,
                        w->timing.count ? &w->timing.before : NULL);
    cJSON_AddItemToObject(r, "notes", cJSON_Duplicate(w->notes, 1));
    cJSON_AddItemToObject(r, "policy", cJSON_Duplicate(w->policy.json, 1));
    return r;
}

/* One line, of what decided. */
static rt_status say(rt_status st, const rt_gate_work *w)
{
    static const rt_outcome of[] = {RT_REGRESSED, RT_NOT_MEASURED, RT_OPEN};
    const rt_finding *first = NULL;
    int more = 0;
    if (!st) return RT_OK;
    if (st == RT_NOTHING && cJSON_GetArraySize(w->refused)) return rt_fail(st, "%s", w->refused->child->valuestring);
    rt_outcome what = of[st == RT_GATE ? 0 : st == RT_NOTHING ? 1 : 2];
    for (int i = 0; i < w->count; i++) {
        if (w->found[i].outcome != what || w->found[i].waiver) continue;
        if (first) more++;
        else first = &w->found[i];
    }
    if (!first)
        return rt_fail(st, "not measured: every class or slice has fewer rows than min_rows, or is waived: nothing is "
                       "decided");
    rt_string text = {0};
    cJSON *j = describe(first);
    rt_gate_put_detail(&text, j);
    rt_fail(st, "%s: %s: %s", word_of(st, 0), first->name, text.p ? text.p : "");
    if (more) rt_fail(st, "%s (and %d more)", rt_error_message(), more);
    cJSON_Delete(j);
    free(text.p);
    return st;
}

static rt_status write_files(rt_result_files *out, const cJSON *verdict)
{
    enum { FILES = 4 };
    rt_string text[FILES] = {{0}};
    char *json = rt_json_text(verdict, 1), *markdown = rt_gate_markdown(verdict);
    if (json) rt_put(&text[0], "%s\n", json);
    if (markdown) rt_put_bytes(&text[1], markdown, strlen(markdown));
    rt_gate_junit(&text[2], verdict);
    rt_gate_page(&text[3], verdict);
    rt_status st = rt_result_files_write(out, text);
    for (int i = 0; i < FILES; i++) free(text[i].p);
    free(json);
    free(markdown);
    return st;
}

static rt_status open_out(rt_result_files **out, const rt_gate_spec *g, const rt_target *target)
{
    const char *inputs[RT_GATE_SIDES * RT_TEACHER_MODELS + 3] = {NULL};
    int n = 0;
    inputs[n++] = g->policy;
    for (int s = 0; s < RT_GATE_SIDES; s++) {
        int count;
        const char *const *file = rt_gate_files(g, s, &count);
        for (int i = 0; i < count && i < RT_TEACHER_MODELS; i++) inputs[n++] = file[i];
    }
    inputs[n++] = rt_source_in(g->data);
    return rt_result_files_open(out, target, inputs, &files);
}

static void clean_up(rt_gate_work *w)
{
    rt_gate_costs_end(w);
    rt_registry_close(w->registry);
    rt_policy_free(&w->policy);
    for (int i = 0; i < RT_GATE_SIDES; i++) cJSON_Delete(w->sides[i]);
    cJSON_Delete(w->notes);
    cJSON_Delete(w->refused);
    cJSON_Delete(w->speed);
    cJSON_Delete(w->stored);
    cJSON_Delete(w->rows_told);
    free(w->found);
    free(w);
}

rt_status rt_gate(const rt_gate_spec *g, const rt_target *target, cJSON **verdict)
{
    rt_result_files *out = NULL;
    rt_gate_work *w = calloc(1, sizeof *w);
    *verdict = NULL;
    if (!w) return rt_fail(RT_RUN, "out of memory");
    w->spec = g;
    w->notes = cJSON_CreateArray();
    w->refused = cJSON_CreateArray();
    w->stored = cJSON_CreateArray();
    rt_status st = rt_policy_read(&w->policy, g->policy, g->today ? g->today : today()), decided = RT_OK;
    w->confidence = w->policy.confidence;
    if (!st) st = rt_precision_take(g->device, g->precision, "precision");
    if (!st && target) st = open_out(&out, g, target);
    if (!st) st = look_at_files(w);
    if (!st) st = rt_gate_registry(w);
    if (!st) st = ask_all(w);
    if (!st) st = rt_gate_costs(w);
    if (!st) st = rt_gate_stored(w);
    if (!st) st = rt_verdict_claims(w->found, w->count, w->confidence);
    if (!st) {
        decided = rt_verdict(&w->policy, w->found, w->count);
        if (decided != RT_GATE && cJSON_GetArraySize(w->refused)) decided = RT_NOTHING;
        *verdict = verdict_of(w, decided);
        if (out) st = write_files(out, *verdict);
        if (!st) st = rt_gate_keep(w, *verdict);
        if (st) {
            cJSON_Delete(*verdict);
            *verdict = NULL;
        }
    }
    if (!st) st = say(decided, w);
    rt_result_files_close(out);
    clean_up(w);
    return st;
}
