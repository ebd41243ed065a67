#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data/file_name.h"
#include "experiments/chances.h"
#include "experiments/eval/comparison_result.h"
#include "experiments/gate/gate_parts.h"
#include "experiments/statistics/statistics.h"

static const double chance = 0.8;      /* of the power that is told */

rt_finding *rt_gate_find(rt_gate_work *w, const rt_limit *l, const char *what, const char *kernels)
{
    if (w->count == w->room) {
        int room = 2 * w->room + 64;
        rt_finding *p = realloc(w->found, (size_t)room * sizeof *p);
        if (!p) {
            rt_fail(RT_RUN, "out of memory");
            return NULL;
        }
        w->found = p;
        w->room = room;
    }
    rt_finding *f = &w->found[w->count++];
    *f = (rt_finding){.limit = l, .value = NAN, .lo = NAN, .hi = NAN, .baseline = NAN, .candidate = NAN, .p = NAN,
                      .method = "", .detects = NAN, .undecided = NAN};
    snprintf(f->kernels, sizeof f->kernels, "%s", kernels);
    if (!what) strcpy(f->name, l->name);
    else if (!strcmp(l->value, "*"))
        snprintf(f->name, sizeof f->name, "%.*s%s", (int)strlen(l->name) - 1, l->name, what);
    else {
        const char *star = strstr(l->name, " class=*") + 7;
        snprintf(f->name, sizeof f->name, "%.*s%s%s", (int)(star - l->name), l->name, what, star + 1);
    }
    f->waiver = rt_policy_waiver(&w->policy, l, f->name);
    return f;
}

/* ---- answers ---- */

/* What the limit can tell of changes on these rows. A share's by the flips that were seen (of none, one); a number's by
 * the width of its interval. */
static void add_power(rt_finding *f, double confidence)
{
    double scale = f->limit->bound == RT_MAX_DROP_REL ? fabs(f->baseline) : 1, limit = f->limit->most * scale;
    if (f->limit->bound > RT_MAX_DROP_REL || !(scale > 0) || !f->n) return;
    if (f->shares) {
        double flips = f->b + f->c ? (double)(f->b + f->c) : 1, psi = flips / (double)f->n;
        f->undecided = rt_power_of_share(f->n, psi, 0, limit, confidence).undecided;
        f->detects = rt_power_detects(f->n, psi, limit, confidence, chance) / scale;
    } else if (f->hi > f->lo) {
        double error = (f->hi - f->lo) / 2 / rt_normal_quantile(0.5 + confidence / 2);
        f->undecided = rt_power_of_number(error, 0, f->limit->most, confidence).undecided;
        f->detects = rt_power_number_detects(error, f->limit->most, confidence, chance);
    }
}

/* Where the seam has none: by the width of the interval and the normal distribution. */
static double p_of(const rt_finding *f, double confidence)
{
    double error = (f->hi - f->lo) / 2 / rt_normal_quantile(0.5 + confidence / 2), away = f->value - f->limit->most;
    if (f->limit->bound == RT_MIN) away = -away;
    return error > 0 ? rt_normal_cdf(-away / error) : away > 0 ? 0 : 1;
}

/* A limit of one class or slice takes the place of that of each. */
static int has_its_own(const rt_gate_work *w, const rt_finding *f)
{
    for (int i = 0; i < w->policy.limits; i++) {
        const rt_limit *l = &w->policy.limit[i];
        if (l != f->limit && l->bound == f->limit->bound && !strcmp(l->name, f->name)) return 1;
    }
    return 0;
}

static rt_status ask(rt_gate_work *w, const rt_limit *l, rt_question *q, const char *what, const char *kernels)
{
    rt_delta d;
    rt_finding *f = rt_gate_find(w, l, what, kernels);
    if (!f) return RT_RUN;
    if (what && has_its_own(w, f)) {
        w->count--;
        return RT_OK;
    }
    q->confidence = w->confidence;
    q->seed = w->policy.seed;
    q->min_rows = l->min_rows;
    q->relative = l->bound == RT_MAX_DROP_REL;
    q->alone = rt_limit_is_alone(l);
    q->limit = l->most;
    RT_TRY(rt_comparison_ask(w->comparison, q, &d));
    f->n = d.n;
    f->b = d.b;
    f->c = d.c;
    f->method = d.method ? d.method : "";
    if (d.status != RT_MEASURED) {
        f->outcome = d.status == RT_TOO_FEW_ROWS && l->each ? RT_LISTED : RT_NOT_MEASURED;
        snprintf(f->reason, sizeof f->reason, "%s", d.reason);
        return RT_OK;
    }
    f->shares = d.b + d.c > 0 || strstr(f->method, "Tango") != NULL;
    f->baseline = d.baseline;
    f->candidate = d.candidate;
    f->value = q->alone || q->metric->of == RT_OF_PAIR ? d.candidate : d.drop;
    f->lo = d.lo;
    f->hi = d.hi;
    f->p = isfinite(d.p_limit) && q->metric->of != RT_OF_PAIR ? d.p_limit : p_of(f, w->confidence);
    f->outcome = l->bound == RT_MIN ? rt_decide(-d.hi, -d.lo, -l->most) : rt_decide(d.lo, d.hi, l->most);
    add_power(f, w->confidence);
    return rt_check_stop();
}

/* What a limit asks: head, metric, class (of "*" none yet), and the slices of its column. RT_USAGE for what there is
 * not. */
static rt_status look_up(const rt_gate_work *w, const rt_limit *l, rt_question *q, const rt_slice **slice, int *count)
{
    char names[RT_NAMES_TEXT];
    int heads, h = rt_comparison_head(w->comparison, rt_limit_head(&w->policy, l));
    *count = 0;
    if (h < 0) return rt_fail_in(RT_USAGE, "%s: limit '%s'", w->spec->policy, l->name);
    const rt_head *head = &rt_comparison_heads(w->comparison, &heads)[h];
    *q = (rt_question){.metric = rt_paired_metric_find(head->task, l->metric), .head = h, .class = -1};
    if (!q->metric) return rt_fail_in(RT_USAGE, "%s: limit '%s'", w->spec->policy, l->name);
    if (*l->class && strcmp(l->class, "*") && (q->class = rt_names_find(&head->names, l->class)) < 0)
        return rt_fail(RT_USAGE, "%s: limit '%s': there is no such class; there are %s", w->spec->policy, l->name,
                       rt_names_text(&head->names, names));
    return *l->column ? rt_comparison_slices(w->comparison, h, l->column, slice, count) : RT_OK;
}

static rt_status ask_classes(rt_gate_work *w, const rt_limit *l, rt_question *q, const char *kernels)
{
    char number[16];
    int heads;
    const rt_head *head = &rt_comparison_heads(w->comparison, &heads)[q->head];
    if (strcmp(l->class, "*")) return ask(w, l, q, NULL, kernels);
    for (q->class = 0; q->class < head->size; q->class++)
        RT_TRY(ask(w, l, q, rt_names_at(&head->names, q->class, number), kernels));
    return RT_OK;
}

static rt_status ask_limit(rt_gate_work *w, const rt_limit *l, const char *kernels)
{
    rt_question q;
    const rt_slice *slice = NULL;
    int count;
    RT_TRY(look_up(w, l, &q, &slice, &count));
    if (!*l->column) return ask_classes(w, l, &q, kernels);
    int each = !strcmp(l->value, "*"), found = 0;
    for (int i = 0; i < count; i++) {
        if (!each && strcmp(slice[i].value, l->value)) continue;
        q.slice = &slice[i];
        found = 1;
        RT_TRY(each ? ask(w, l, &q, slice[i].value, kernels) : ask_classes(w, l, &q, kernels));
    }
    if (each || found) return RT_OK;
    rt_finding *f = rt_gate_find(w, l, NULL, kernels);
    if (!f) return RT_RUN;
    f->outcome = RT_NOT_MEASURED;
    snprintf(f->reason, sizeof f->reason, "no row has this value (n = 0)");
    return RT_OK;
}

/* Before the decision is counted: a policy that these rows cannot be asked about has cost nothing. */
static rt_status check_limits(const rt_gate_work *w, int *any)
{
    *any = 0;
    for (int i = 0; i < w->policy.limits; i++) {
        rt_question q;
        const rt_slice *slice;
        int count;
        if (w->policy.limit[i].cost) continue;              /* measured anew each time: no rows are worn */
        RT_TRY(look_up(w, &w->policy.limit[i], &q, &slice, &count));
        *any = 1;
    }
    return RT_OK;
}

/* The columns that limits name stand in data.slices, so that they are read. */
static cJSON *data_with_slices(const rt_gate_work *w)
{
    cJSON *data = cJSON_Duplicate(w->spec->data, 1), *list = cJSON_GetObjectItemCaseSensitive(data, "slices");
    for (int i = 0; data && i < w->policy.limits; i++) {
        const char *column = w->policy.limit[i].column;
        static const char *const own[] = {"class", "predicted", "confidence"};
        int there = !*column || !strncmp(column, "input.", 6);
        for (int k = 0; k < 3; k++) there |= !strcmp(column, own[k]);
        if (cJSON_IsString(list)) there |= !strcmp(list->valuestring, column);
        for (const cJSON *s = cJSON_IsArray(list) ? list->child : NULL; s; s = s->next)
            there |= cJSON_IsString(s) && !strcmp(s->valuestring, column);
        if (there) continue;
        if (cJSON_IsString(list)) {
            cJSON *one = cJSON_CreateString(list->valuestring);
            cJSON_DeleteItemFromObjectCaseSensitive(data, "slices");
            cJSON_AddItemToArray(list = cJSON_AddArrayToObject(data, "slices"), one);
        }
        if (!list) list = cJSON_AddArrayToObject(data, "slices");
        cJSON_AddItemToArray(list, cJSON_CreateString(column));
    }
    return data;
}

static cJSON *describe_side(const rt_side_info *s, const char *sha256)
{
    cJSON *j = rt_side_to_json(s);
    cJSON_AddStringToObject(j, "sha256", sha256 + 7);
    return j;
}

const char *const rt_gate_side[RT_GATE_SIDES] = {"baseline", "candidate", "anchor"};

const char *const *rt_gate_files(const rt_gate_spec *g, int side, int *count)
{
    *count = side == RT_BASELINE ? g->baselines : side == RT_CANDIDATE ? g->candidates : g->anchors;
    return side == RT_BASELINE ? g->baseline : side == RT_CANDIDATE ? g->candidate : g->anchor;
}

/* What is told of rows that a side has seen. */
static void tell_of_training(rt_gate_work *w, const rt_side_info *s)
{
    const char *called = rt_file_called(s->path), *name = called ? called : s->path;
    if (s->seen > 0)
        rt_eval_note(w->refused,
                     "%s was trained or chosen on %.0f of these %.0f rows: its figures say nothing about new data",
                     name, s->seen, w->rows);
    else if (isnan(s->seen))
        rt_eval_note(w->notes,
                     "%s does not say what it was trained on: whether it has seen these rows is not known.", name);
}

/* What only a look at both sides tells: the baseline is the policy's, the models differ, nothing was learnt from these
 * rows. */
static rt_status look_at_sides(rt_gate_work *w)
{
    const rt_side_info *s[RT_SIDES];
    char digest[48];
    for (int i = 0; i < RT_SIDES; i++) {
        s[i] = rt_comparison_side(w->comparison, i);
        w->sides[i] = describe_side(s[i], w->sha256[i]);
    }
    w->rows = (double)rt_comparison_rows(w->comparison);
    snprintf(digest, sizeof digest, "xxh128:%s", s[RT_BASELINE]->model);
    RT_TRY(rt_policy_check_baseline(&w->policy, s[RT_BASELINE]->path, w->sha256[RT_BASELINE], digest));
    if (!w->spec->allow_same && !strcmp(s[RT_BASELINE]->model, s[RT_CANDIDATE]->model))
        return rt_fail(RT_NOTHING,
                       "%s and %s are the same model (digest %s): nothing is compared; --allow-same compares "
                       "it with itself",
                       s[RT_BASELINE]->path, s[RT_CANDIDATE]->path, s[RT_BASELINE]->model);
    for (int i = 0; i < RT_SIDES; i++) tell_of_training(w, s[i]);
    return RT_OK;
}

/* The anchor may be either side: the first version after it has it as its baseline, and it is a candidate again where a
 * release is taken back. */
static void look_at_anchor(rt_gate_work *w)
{
    const rt_side_info *s = rt_comparison_side(w->comparison, RT_BASELINE);
    cJSON *j = w->sides[RT_ANCHOR] = describe_side(s, w->sha256[RT_ANCHOR]);
    if (*w->release) {
        cJSON_ReplaceItemInObjectCaseSensitive(j, "name", cJSON_CreateString(w->anchor_name));
        cJSON_AddStringToObject(j, "release", w->release);
    }
    for (int i = 0; i < RT_SIDES; i++) {
        const char *model = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(w->sides[i], "model_digest"));
        if (!model || strcmp(model, s->model)) continue;
        rt_eval_note(w->notes, "the anchor is the %s (digest %.8s)", rt_gate_side[i], s->model);
        return;
    }
    tell_of_training(w, s);
}

/* Classes and rows that flipped, with what such rows look like where the data is at hand. */
static rt_status tell_of_rows(rt_gate_work *w, cJSON *data)
{
    rt_eval_data rows = {0};
    rt_status st = RT_OK;
    rt_comparison_options o = {.confidence = w->confidence, .seed = w->policy.seed, .brief = 1};
    if (data) {
        rt_cfg c = rt_cfg_begin(data, "data");
        rt_eval_data_read(&c, &rows);
        st = c.status;
        int shown = !st && !rows.where.parts;          /* rows of several inputs have no look */
        if (shown) st = rt_eval_data_open(&rows, data, NULL, 0, w->spec->device, w->spec->progress);
        o.rows = rows.x;
        o.data = rows.digest.hex;
    }
    if (!st) st = rt_comparison_result(w->comparison, &o, NULL, &w->rows_told);
    rt_eval_data_close(&rows);
    return st;
}

/* Of the limits that are held against this side. before: the comparison with another one, or NULL. */
static rt_status compare(rt_gate_work *w, int with, const char *kernels, const rt_comparison *before)
{
    cJSON *data = w->spec->data ? data_with_slices(w) : NULL;
    int first = !w->sides[with], count[RT_SIDES], any;
    const char *const *file[RT_SIDES] = {rt_gate_files(w->spec, with, &count[0]),
                                         rt_gate_files(w->spec, RT_CANDIDATE, &count[1])};
    rt_teacher_spec side[RT_SIDES] = {rt_teacher_of_files(file[0], count[0]), rt_teacher_of_files(file[1], count[1])};
    rt_comparison_spec spec = {.side = {&side[RT_BASELINE], &side[RT_CANDIDATE]}, .before = before, .data = data,
                               .common = w->spec->common, .device = w->spec->device, .progress = w->spec->progress,
                               .notes = first && with != RT_ANCHOR ? w->notes : NULL};
    rt_status st = rt_comparison_open(&w->comparison, &spec);
    if (!st && first && with == RT_ANCHOR) look_at_anchor(w);
    else if (!st && first) {
        st = look_at_sides(w);
        if (!st) st = check_limits(w, &any);
        if (!st && any) st = rt_gate_count(w);
    }
    for (int i = 0; i < w->policy.limits && !st; i++) {
        const rt_limit *l = &w->policy.limit[i];
        if (!l->cost && l->anchor == (with == RT_ANCHOR)) st = ask_limit(w, l, kernels);
    }
    if (!st && first && with != RT_ANCHOR) st = tell_of_rows(w, data);
    cJSON_Delete(data);
    return st && with == RT_ANCHOR ? rt_fail_in(st, "against the anchor") : st;
}

rt_status rt_gate_answers(rt_gate_work *w, const char *kernels)
{
    rt_status st = compare(w, RT_BASELINE, kernels, NULL);
    rt_comparison *pair = w->comparison;
    w->comparison = NULL;
    if (!st && w->policy.anchored) st = compare(w, RT_ANCHOR, kernels, pair);
    rt_comparison_close(w->comparison);
    rt_comparison_close(pair);
    w->comparison = NULL;
    return st;
}

/* ---- costs ---- */

static double size_of(const rt_teacher *t, rt_cost_size what)
{
    rt_teacher_cost c = rt_teacher_costs(t);
    switch (what) {
    case RT_FILE_BYTES: return rt_teacher_quantized(t) ? c.program_bytes : c.file_bytes;
    case RT_MEMORY_BYTES: return c.weight_bytes + c.plan_bytes;
    case RT_PARAMETERS: return c.parameters;
    default: return c.macs;
    }
}

static void bound_size(const rt_gate_work *w, rt_finding *f)
{
    f->baseline = size_of(w->teacher[f->limit->anchor ? RT_ANCHOR : RT_BASELINE], f->limit->cost->size);
    f->candidate = size_of(w->teacher[RT_CANDIDATE], f->limit->cost->size);
    f->value = f->limit->bound == RT_MAX_RATIO ? f->candidate / f->baseline : f->candidate;
    f->lo = f->hi = f->value;
    f->method = "exact";
    if (isfinite(f->value)) f->outcome = rt_decide(f->lo, f->hi, f->limit->most);
    else {
        f->outcome = RT_NOT_MEASURED;
        snprintf(f->reason, sizeof f->reason, "the %s has none, and there is no ratio",
                 rt_gate_side[f->limit->anchor ? RT_ANCHOR : RT_BASELINE]);
    }
}

static void bound_speed(const rt_gate_work *w, rt_finding *f)
{
    const rt_cost_metric *m = f->limit->cost;
    rt_speed_figure s = rt_speed_compare(&w->timing, m->scenario, m->quantile, f->limit->anchor ? RT_ANCHOR : 0, 1,
                                         w->policy.confidence);
    int ratio = f->limit->bound == RT_MAX_RATIO;
    f->baseline = s.baseline;
    f->candidate = s.candidate;
    f->value = ratio ? s.ratio : s.candidate;
    f->lo = ratio ? s.ratio_lo : s.lo;
    f->hi = ratio ? s.ratio_hi : s.hi;
    f->n = s.calls ? s.calls : (uint64_t)s.rounds;
    f->method = ratio ? "median of the rounds' ratios, order statistics" : "median of the rounds, order statistics";
    if (rt_speed_noise(&w->timing, m->scenario).noisy) {
        f->outcome = RT_OPEN;
        rt_speed_say_noisy(&w->timing, m->scenario, f->reason, sizeof f->reason);
    } else if (isfinite(f->lo)) f->outcome = rt_decide(f->lo, f->hi, f->limit->most);
    else if (m->scenario == RT_OFFLINE && m->quantile == RT_OF_ENERGY && !s.rounds) {
        f->outcome = RT_NOT_MEASURED;
        snprintf(f->reason, sizeof f->reason, "%s", *w->timing.energy.why ? w->timing.energy.why
                                                                           : "the energy of a card is not measured");
    } else {
        f->outcome = RT_NOT_MEASURED;
        snprintf(f->reason, sizeof f->reason,
                 "%d rounds have enough undisturbed calls, and an interval takes more: raise "
                 "speed.samples, or speed.seconds",
                 s.rounds);
    }
}

static rt_status measure(rt_gate_work *w)
{
    rt_speed *s = &w->timing;
    s->scenarios = w->policy.scenarios;
    s->samples = w->policy.samples;
    s->rounds = w->policy.rounds;
    s->most = w->policy.seconds;
    s->price = w->policy.price;
    s->copies = w->policy.copies;
    s->seconds = w->policy.seconds / (w->teacher[RT_ANCHOR] ? 12 : 9);     /* with A twice: a third of the time */
    s->bounded = 1;
    s->seed = w->policy.seed;
    s->x = w->data.x;
    s->rows = &w->data.rows;
    s->device = w->spec->device;
    s->progress = w->spec->progress;
    s->notes = w->notes;
    for (int i = 0; i < RT_GATE_SIDES && w->teacher[i]; i++) {
        int count;
        const char *const *file = rt_gate_files(w->spec, i, &count);
        s->subject[s->count] = (rt_speed_subject){.name = rt_gate_side[i], .teacher = w->teacher[i]};
        w->model[i] = cJSON_CreateStringArray(file, count);
        s->subject[s->count++].cold = (rt_cold){.model = w->model[i], .data = w->data_json};
    }
    RT_TRY(rt_speed_measure(s));
    cJSON *j = w->speed = cJSON_CreateObject();
    rt_speed_describe_all(j, s);
    for (int i = 0; i < RT_GATE_SIDES && w->teacher[i]; i++)
        RT_TRY(rt_speed_describe(cJSON_AddObjectToObject(j, rt_gate_side[i]), s, i));
    return RT_OK;
}

static rt_status open_models(rt_gate_work *w, int sides)
{
    const rt_gate_spec *g = w->spec;
    const char *input[RT_SOURCE_PARTS];
    int inputs = 0;
    w->data_json = cJSON_Duplicate(g->data, 1);
    rt_cfg c = rt_cfg_begin(w->data_json, "data");
    rt_eval_data_read(&c, &w->data);
    RT_TRY(c.status);
    for (int i = 0; i < sides; i++) {
        int count;
        const char *const *file = rt_gate_files(g, i, &count);
        RT_TRY(rt_teacher_open(&w->teacher[i], file, count, &w->data.where));
        inputs = rt_teacher_inputs(w->teacher[i], input, inputs);
    }
    RT_TRY(rt_eval_data_open(&w->data, w->data_json, input, inputs, g->device, g->progress));
    rt_teacher_binding to = {.source = w->data.x, .id = w->data.identity, .match = w->data.match, .device = g->device,
                             .progress = g->progress};
    for (int i = 0; i < sides; i++) {
        RT_TRY(rt_teacher_bind(w->teacher[i], &to));
        RT_TRY(rt_teacher_ready(w->teacher[i], g->device, 1, NULL, 0));
    }
    return RT_OK;
}

rt_status rt_gate_costs(rt_gate_work *w)
{
    int any = 0, anchored = 0, stored[RT_GATE_SIDES] = {0};
    for (int i = 0; i < w->policy.limits; i++) {
        any |= w->policy.limit[i].cost != NULL;
        anchored |= w->policy.limit[i].cost && w->policy.limit[i].anchor;
    }
    if (!any) return RT_OK;
    for (int i = 0; i < RT_GATE_SIDES; i++)
        stored[i] = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(w->sides[i], "stored"));
    int either = stored[RT_BASELINE] || stored[RT_CANDIDATE];
    if (!either) RT_TRY(open_models(w, anchored && !stored[RT_ANCHOR] ? RT_GATE_SIDES : RT_SIDES));
    if (!either && w->policy.scenarios) RT_TRY(measure(w));
    for (int i = 0; i < w->policy.limits; i++) {
        const rt_limit *l = &w->policy.limit[i];
        if (!l->cost) continue;
        rt_finding *f = rt_gate_find(w, l, NULL, "");
        if (!f) return RT_RUN;
        if (either || (l->anchor && stored[RT_ANCHOR])) {
            f->outcome = RT_NOT_MEASURED;
            snprintf(f->reason, sizeof f->reason,
                     "a file of predictions has no size and no speed of its model: give the "
                     "models");
        } else if (l->cost->size == RT_TIMED) bound_speed(w, f);
        else bound_size(w, f);
    }
    return RT_OK;
}

void rt_gate_costs_end(rt_gate_work *w)
{
    rt_speed_free(&w->timing);
    for (int i = 0; i < RT_GATE_SIDES; i++) {
        rt_teacher_close(w->teacher[i]);
        cJSON_Delete(w->model[i]);
    }
    rt_eval_data_close(&w->data);
    cJSON_Delete(w->data_json);
}
