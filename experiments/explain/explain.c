#include "experiments/explain/explain_parts.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data/file_name.h"
#include "data/precision.h"
#include "engine/memory.h"
#include "experiments/result_files.h"

#define LIMIT 0.02
#define ROUNDED_LIMIT 0.1              /* of gradients that go through roundings */

static const char *const kinds[] = {"output", "centred", "probability", NULL};
static const char expected[] = "a model file, a list of up to 16 (an ensemble), or {\"file\": ...}";
static const rt_result_list files = {.name = {"explanation.json", "attributions.csv", "explanation.html"},
                                     .sums = "explanation.xxh128",
                                     .by = "an explanation"};

/* ---- settings ---- */

static void read_baseline(rt_cfg *c, rt_explanation *x)
{
    static const char *const names[] = {"zero", "mean", "blur", NULL};
    const char *text = rt_cfg_string(c, "baseline", "zero");
    char *end;
    x->base = RT_BASE_ROW;
    for (int i = 0; names[i]; i++) if (!strcmp(text, names[i])) x->base = (rt_explain_base)i;
    if (x->base == RT_BASE_ROW) {
        int row = !strncmp(text, "row:", 4) && text[4] >= '0' && text[4] <= '9';
        x->base_row = row ? strtoull(text + 4, &end, 10) : 0;
        if (!row || *end) rt_cfg_fail(c, "baseline", "zero, mean, blur or row:N is expected");
    }
    if (x->base == RT_BASE_BLUR) x->blur = rt_cfg_number(c, "blur", 0, 0, 1000);
    else rt_cfg_refuse(c, "blur", "belongs to explain.baseline blur; leave it out");
}

static void read_how(rt_cfg *c, rt_explanation *x)
{
    rt_attribution_spec *s = &x->how;
    s->method = (rt_attribution_method)rt_cfg_choice(c, "method", rt_attribution_names, RT_BY_INTEGRATED);
    s->ask = (rt_ask_kind)rt_cfg_choice(c, "of", kinds, RT_ASK_OUTPUT);
    s->limit = 1;
    s->steps = s->most = 2;
    if (s->method == RT_BY_INTEGRATED) {
        s->path = (rt_path)rt_cfg_choice(c, "path", rt_path_names, RT_PATH_MIDPOINT);
        s->steps = rt_cfg_int(c, "steps", 64, 2, RT_PATH_MOST);
        s->most = rt_cfg_int(c, "most_steps", s->steps > 1024 ? s->steps : 1024, s->steps, RT_PATH_MOST);
        x->limited = rt_cfg_has(c, "limit");
        s->limit = x->limited ? rt_cfg_number(c, "limit", LIMIT, 0, 10) : LIMIT;
    } else {
        static const char *const keys[] = {"path", "steps", "most_steps", "limit"};
        for (int i = 0; i < 4; i++)
            rt_cfg_refuse(c, keys[i], "belongs to explain.method integrated; leave it out");
    }
    s->patch = s->stride = 1;
    if (s->method == RT_BY_OCCLUSION) {
        s->patch = rt_cfg_int(c, "patch", 4, 1, 512);
        s->stride = rt_cfg_int(c, "stride", s->patch > 1 ? s->patch / 2 : 1, 1, s->patch);
    } else {
        rt_cfg_refuse(c, "patch", "belongs to explain.method occlusion; leave it out");
        rt_cfg_refuse(c, "stride", "belongs to explain.method occlusion; leave it out");
    }
}

/* Who is explained is a model, whose insides can be asked. */
static rt_teacher_spec read_side(rt_cfg *c, const char *key)
{
    rt_teacher_spec s = rt_teacher_spec_read(c, key, expected);
    if (s.object && !cJSON_HasObjectItem(s.object, "file"))
        rt_cfg_fail(c, key,
                    "explains native models and ONNX alone: of a program, a store or a mixture nobody sees inside");
    return s;
}

static rt_status read_settings(cJSON *config, rt_explanation *x)
{
    rt_cfg c = rt_cfg_begin(config, "");
    x->side[0].spec = read_side(&c, "model");
    if (!x->side[0].spec.paths) rt_cfg_fail(&c, "model", "a model is required");
    x->side[1].spec = read_side(&c, "against");
    x->sides = 1 + (x->side[1].spec.paths > 0);
    rt_cfg e = rt_cfg_object(&c, "explain");
    read_how(&e, x);
    x->wanted = rt_cfg_string(&e, "head", "");
    x->flips = rt_cfg_bool(&e, "flips", 0);
    x->target = rt_cfg_string(&e, "target", x->flips ? "label" : "predicted");
    if (x->flips && x->sides < 2) rt_cfg_fail(&e, "flips", "needs --against: the version that had these rows right");
    read_baseline(&e, x);
    x->most = rt_cfg_int(&e, "most", 100, 1, 1 << 24);
    if (x->sides > 1) x->top = rt_cfg_int(&e, "top", 0, 0, 1 << 24);
    else rt_cfg_refuse(&e, "top", "is of the agreement with --against; leave it out");
    rt_cfg_join(&c, &e);
    rt_cfg d = rt_cfg_object(&c, "data");
    rt_eval_data_read(&d, &x->data);
    rt_cfg_join(&c, &d);
    return rt_cfg_end(&c);
}

rt_status rt_explain_check(cJSON *config)
{
    rt_explanation *x = calloc(1, sizeof *x);
    rt_status st = x ? read_settings(config, x) : rt_fail(RT_RUN, "out of memory");
    free(x);
    return st;
}

/* ---- models ---- */

static void name_side(rt_explain_side *s, const rt_explain_side *other)
{
    rt_file_title(s->name, RT_EXPLAIN_NAME - 15, s->spec.path[0]);
    if (other && !strcmp(other->name, s->name)) strcat(s->name, " (against)");
}

static rt_status open_sides(rt_explanation *x, cJSON *data)
{
    const char *input[RT_SOURCE_PARTS];
    int inputs = 0;
    for (int i = 0; i < x->sides; i++) {
        rt_explain_side *s = &x->side[i];
        name_side(s, i ? &x->side[0] : NULL);
        RT_TRY(rt_teacher_open_spec(&s->teacher, &s->spec, &x->data.where));
        s->model = rt_teacher_native(s->teacher, &s->models);
        if (!s->model)
            return rt_fail(RT_USAGE, "%s: is a %s; native models and ONNX are explained", s->spec.path[0],
                           rt_teacher_kind_name(s->teacher));
        RT_TRY(rt_teacher_digest(s->teacher, &s->digest));
        inputs = rt_teacher_inputs(s->teacher, input, inputs);
    }
    RT_TRY(rt_eval_data_open(&x->data, data, input, inputs, x->device, x->progress));
    rt_teacher_binding to = {.source = x->data.x, .id = x->data.identity, .match = x->data.match, .device = x->device,
                             .progress = x->progress, .notes = x->notes};
    for (int i = 0; i < x->sides; i++) RT_TRY(rt_teacher_bind(x->side[i].teacher, &to));
    return rt_explain_places(x);
}

/* Which head, and which of its own elements each side has for the model's. */
static rt_status find_head(rt_explanation *x)
{
    const rt_model *m = x->side[0].model[0];
    char text[RT_NAMES_TEXT];
    x->how.head = -1;
    for (int h = 0; h < m->heads; h++)
        if (*x->wanted ? !strcmp(x->wanted, m->head[h].name) : x->how.head < 0) x->how.head = h;
    if (x->how.head < 0)
        return rt_fail(RT_USAGE, "explain.head: %s has no head '%s'; its heads: %s", x->side[0].spec.path[0], x->wanted,
                       rt_heads_text(m->head, m->heads, text));
    x->head = &m->head[x->how.head];
    if (!*x->wanted && m->heads > 1)
        rt_eval_note(x->notes, "head '%s' is explained; explain.head names another.", x->head->name);
    for (int i = 0; i < x->sides; i++) {
        const rt_model *own = x->side[i].model[0];
        int h = rt_heads_find(own->head, own->heads, x->head, m->heads), *place;
        if (h < 0)
            return rt_fail(RT_INPUT, "%s: has no head '%s'; its heads: %s", x->side[i].spec.path[0], x->head->name,
                           rt_heads_text(own->head, own->heads, text));
        RT_TRY(rt_heads_place(&place, own->head, own->heads, x->side[i].spec.path[0], m->head, m->heads,
                              x->side[0].spec.path[0], x->data.match));
        int *of = x->side[i].of = calloc((size_t)x->head->size, sizeof *of);
        for (int e = 0; of && e < own->head[h].size; e++)
            of[(place ? place[own->head[h].at + e] : x->head->at + e) - x->head->at] = e;
        free(place);
        if (!of) return rt_fail(RT_RUN, "out of memory");
    }
    return RT_OK;
}

static rt_status begin_sides(rt_explanation *x, cJSON *data)
{
    const rt_model *m = x->side[0].model[0];
    int any;
    RT_TRY(find_head(x));
    RT_TRY(rt_eval_data_targets(&x->data, m->head, m->heads, data, x->notes, &any));
    for (int i = 0; i < x->sides; i++) {
        rt_explain_side *s = &x->side[i];
        rt_attribution_spec how = x->how;
        how.head = rt_heads_find(s->model[0]->head, s->model[0]->heads, x->head, m->heads);
        int rounded = rt_teacher_quantized(s->teacher) > 0 && how.method != RT_BY_OCCLUSION;
        s->limit = how.limit = rounded && !x->limited ? ROUNDED_LIMIT : how.limit;
        if (rounded)
            rt_eval_note(x->notes,
                         "%s is quantized: what is explained is its integer program's answer, and gradients go "
                         "straight through its roundings.",
                         s->name);
        if (rounded && how.method == RT_BY_INTEGRATED && !x->limited)
            rt_eval_note(x->notes, "explain.limit is %g for %s.", ROUNDED_LIMIT, s->name);
        RT_TRY(rt_explainer_new(&s->e, s->model, s->models, x->device, &how));
    }
    return RT_OK;
}

/* ---- rows ---- */

/* The best of a side's answers z, as an element of the model's head. */
static int best_of(const rt_explanation *x, const rt_explain_side *s, const float *z)
{
    const rt_model *m = s->model[0];
    int h = rt_heads_find(m->head, m->heads, x->head, x->side[0].model[0]->heads), best = 0;
    const float *own = z + m->head[h].at;
    for (int e = 1; e < x->head->size; e++) if (own[s->of[e]] > own[s->of[best]]) best = e;
    return best;
}

static rt_status find_answers(rt_explanation *x, rt_explain_side *s, const float *rows, int n, int *answer)
{
    size_t width = (size_t)rt_model_width(s->model[0]);
    float *z = malloc((size_t)n * width * sizeof *z);
    rt_status st = z ? rt_explainer_answers(s->e, rows, n, z) : rt_fail(RT_RUN, "out of memory");
    for (int r = 0; r < n && !st; r++) answer[r] = best_of(x, s, z + (size_t)r * width);
    free(z);
    return st;
}

/* Rows that `against` has right and the model has wrong, to the front of x->row. */
static rt_status choose_flips(rt_explanation *x)
{
    enum { SOME = 256 };
    uint64_t all = x->data.rows.count, row[SOME];
    float *part[RT_EXPLAIN_SIDES] = {rt_floats_new(SOME * x->side[0].parts), rt_floats_new(SOME * x->side[1].parts)};
    int32_t y[SOME];
    int answer[RT_EXPLAIN_SIDES][SOME], found = 0;
    rt_status st = part[0] && part[1] ? RT_OK : RT_RUN;
    for (uint64_t at = 0; at < all && !st && found < x->most; at += SOME) {
        int n = all - at < SOME ? (int)(all - at) : SOME;
        rt_rows_list(&x->data.rows, at, (uint64_t)n, row);
        st = rt_explain_read(x, row, n, part);
        for (int s = 0; s < x->sides && !st; s++) st = find_answers(x, &x->side[s], part[s], n, answer[s]);
        if (!st) st = rt_targets_read(x->data.y[x->how.head], row, n, y);
        for (int r = 0; r < n && !st && found < x->most; r++)
            if (y[r] >= 0 && answer[1][r] == y[r] && answer[0][r] != y[r]) x->row[found++] = row[r];
    }
    free(part[0]);
    free(part[1]);
    x->rows = found;
    if (!st && !found)
        return rt_fail(RT_NOTHING, "%s: no row that %s has right is wrong in %s: there is no flip to explain",
                       x->data.source, x->side[1].name, x->side[0].name);
    return st;
}

static rt_status choose_rows(rt_explanation *x)
{
    uint64_t all = x->data.rows.count, n = all < (uint64_t)x->most ? all : (uint64_t)x->most;
    int labels = x->data.y[x->how.head] && x->head->task == RT_TASK_CLASSES;
    if ((x->flips || !strcmp(x->target, "label")) && !labels)
        return rt_fail(RT_NOTHING, "%s: has no classes for head '%s', which explain.%s needs", x->data.source,
                       x->head->name, x->flips ? "flips" : "target=label");
    x->row = malloc((n + 1) * sizeof *x->row);
    x->truth = labels ? malloc((n + 1) * sizeof *x->truth) : NULL;
    if (!x->row || (labels && !x->truth)) return rt_fail(RT_RUN, "out of memory");
    x->rows = (int)n;
    if (x->flips) RT_TRY(choose_flips(x));
    else for (uint64_t i = 0; i < n; i++)
        x->row[i] = rt_rows_at(&x->data.rows, (uint64_t)((double)i * (double)all / (double)n));
    if (!x->flips && n < all)
        rt_eval_note(x->notes, "%d of %llu rows are explained, evenly among them; explain.most takes more.", x->rows,
                     (unsigned long long)all);
    return labels ? rt_targets_read(x->data.y[x->how.head], x->row, x->rows, x->truth) : RT_OK;
}

static rt_status take_room(rt_explanation *x)
{
    size_t n = (size_t)x->rows;
    for (int i = 0; i < x->sides; i++) {
        rt_explain_side *s = &x->side[i];
        if ((s->parts > x->elements ? s->parts : x->elements) > RT_EXPLAIN_FLOATS / n)
            return rt_fail(RT_USAGE, "%d rows of %zu numbers are too many at once; lower explain.most", x->rows,
                           s->parts);
        s->x = rt_floats_new(n * s->parts);
        s->base = rt_floats_new(n * s->parts);
        s->part = rt_floats_new(n * s->parts);
        s->told = rt_floats_new(n * x->elements);
        s->element = calloc(n, sizeof *s->element);
        s->answer = calloc(n, sizeof *s->answer);
        s->value = calloc(n, sizeof *s->value);
        s->base_value = calloc(n, sizeof *s->base_value);
        s->residual = calloc(n, sizeof *s->residual);
        s->steps = calloc(n, sizeof *s->steps);
        if (!s->x || !s->base || !s->part || !s->told || !s->element || !s->answer || !s->value || !s->base_value ||
            !s->residual || !s->steps) return rt_fail(RT_RUN, "out of memory");
    }
    x->alike = calloc(n, sizeof *x->alike);
    x->other = calloc(n, sizeof *x->other);
    return x->alike && x->other ? RT_OK : rt_fail(RT_RUN, "out of memory");
}

/* What is asked of each row, as an element of the model's head. */
static rt_status find_targets(rt_explanation *x)
{
    const rt_head *h = x->head;
    char *end, number[16], text[RT_NAMES_TEXT];
    long fixed = -1;
    int label = !strcmp(x->target, "label"), predicted = !strcmp(x->target, "predicted");
    if (!label && !predicted) {
        fixed = h->names.name ? rt_names_find(&h->names, x->target) : -1;
        if (fixed < 0) fixed = *x->target >= '0' && *x->target <= '9' ? strtol(x->target, &end, 10) : -1;
        if (fixed < 0 || fixed >= h->size || (h->names.name && rt_names_find(&h->names, x->target) < 0 && *end))
            return rt_fail(RT_USAGE, "explain.target: '%s' is none of predicted, label, and what head '%s' tells: %s",
                           x->target, h->name, rt_names_text(&h->names, text));
    } else if (h->task == RT_TASK_REAL && h->size > 1) {
        return rt_fail(RT_USAGE, "explain.target: head '%s' tells %d numbers; name one, as explain.target=%s", h->name,
                       h->size, rt_names_at(&h->names, 0, number));
    }
    for (int r = 0; r < x->rows; r++) {
        int element = fixed >= 0 ? (int)fixed : label ? x->truth[r] : x->side[0].answer[r];
        if (element < 0)
            return rt_fail(RT_NOTHING, "%s: row %llu has no label, which explain.target=label asks about",
                           x->data.source, (unsigned long long)x->row[r]);
        for (int s = 0; s < x->sides; s++) x->side[s].element[r] = x->side[s].of[element];
    }
    return RT_OK;
}

/* ---- all of it ---- */

static rt_status compare(rt_explanation *x)
{
    size_t n = x->elements, top = (size_t)x->top;
    if (x->sides < 2) return RT_OK;
    if (!top) top = n / 10 > 3 ? n / 10 : 3;
    if (top > n) top = n;
    x->top = (int)top;
    for (int r = 0; r < x->rows; r++) {
        int next = (r + 1) % x->rows;
        const float *a = x->side[0].told + (size_t)r * n, *b = x->side[1].told;
        RT_TRY(rt_agree(a, b + (size_t)r * n, n, top, &x->alike[r]));
        RT_TRY(rt_agree(a, b + (size_t)next * n, n, top, &x->other[r]));
    }
    return RT_OK;
}

int rt_explain_usable(const rt_explanation *x, int r)
{
    int usable = 1;
    for (int s = 0; s < x->sides; s++) usable &= x->how.method != RT_BY_INTEGRATED || x->side[s].steps[r] > 0;
    return usable;
}

static rt_status explain(rt_explanation *x, cJSON *data)
{
    float *to[RT_EXPLAIN_SIDES] = {0};
    RT_TRY(open_sides(x, data));
    RT_TRY(begin_sides(x, data));
    RT_TRY(choose_rows(x));
    RT_TRY(take_room(x));
    for (int s = 0; s < x->sides; s++) to[s] = x->side[s].x;
    RT_TRY(rt_explain_read(x, x->row, x->rows, to));
    for (int s = 0; s < x->sides; s++) RT_TRY(find_answers(x, &x->side[s], to[s], x->rows, x->side[s].answer));
    RT_TRY(find_targets(x));
    RT_TRY(rt_explain_baselines(x));
    for (int i = 0; i < x->sides; i++) {
        rt_explain_side *s = &x->side[i];
        rt_attribution io = {.rows = x->rows, .x = s->x, .base = s->base, .element = s->element, .part = s->part,
                             .value = s->value, .base_value = s->base_value, .residual = s->residual,
                             .steps = s->steps};
        RT_TRY(rt_explain_rows(s->e, &io, x->progress));
        rt_explain_tell(x, i);
    }
    for (int r = 0; r < x->rows; r++) x->incomplete += !rt_explain_usable(x, r);
    if (x->incomplete == x->rows)
        return rt_fail(RT_NOTHING, "no row's parts sum to the difference of outputs: the least residual is above "
                       "explain.limit=%g after %d steps; give more (explain.most_steps), or use --method occlusion",
                       x->side[0].limit, x->how.most);
    if (x->incomplete)
        rt_eval_note(x->notes, "%d row%s no attribution: the residual is above explain.limit after %d steps.",
                     x->incomplete, x->incomplete > 1 ? "s have" : " has", x->how.most);
    return compare(x);
}

static void end_explanation(rt_explanation *x)
{
    for (int i = 0; i < x->sides; i++) {
        rt_explain_side *s = &x->side[i];
        rt_explainer_free(s->e);
        for (int k = 0; k < RT_MAX_INPUTS; k++) free(s->pick[k]);
        void *owned[] = {s->place, s->of, s->x, s->base, s->element, s->answer, s->part, s->told, s->value,
                         s->base_value, s->residual, s->steps};
        for (size_t k = 0; k < sizeof owned / sizeof owned[0]; k++) free(owned[k]);
    }
    for (size_t e = 0; x->element_name && e < x->elements; e++) free(x->element_name[e]);
    for (int i = 0; i < x->sides; i++) if (x->side[i].teacher) rt_teacher_close(x->side[i].teacher);
    void *owned[] = {x->element_name, x->row, x->truth, x->alike, x->other};
    for (size_t k = 0; k < sizeof owned / sizeof owned[0]; k++) free(owned[k]);
    rt_eval_data_close(&x->data);
    cJSON_Delete(x->notes);
    free(x);
}

static rt_status write_files(rt_explanation *x, rt_result_files *out, const cJSON *config, cJSON **result)
{
    rt_string text[3] = {0};
    char *json = NULL;
    rt_status st = rt_explain_result(x, config, result);
    if (!st) json = rt_json_text(*result, 1);
    if (json) rt_put(&text[0], "%s\n", json);
    rt_explain_csv(&text[1], x);
    if (!st) st = rt_explain_page(&text[2], x, *result);
    if (!st) st = rt_result_files_write(out, text);
    for (int i = 0; i < 3; i++) free(text[i].p);
    free(json);
    return st;
}

rt_status rt_explain(cJSON *config, const rt_target *folder, rt_device *device, const rt_progress *progress,
                     cJSON **result)
{
    const char *inputs[2 * RT_TEACHER_FILES + RT_SOURCE_PARTS + 3];
    rt_result_files *out = NULL;
    rt_explanation *x = calloc(1, sizeof *x);
    int n = 0;
    *result = NULL;
    if (!x) return rt_fail(RT_RUN, "out of memory");
    x->device = device;
    x->progress = progress;
    x->notes = cJSON_CreateArray();
    rt_status st = read_settings(config, x);
    for (int s = 0; s < x->sides && !st; s++)
        for (int i = 0; i < x->side[s].spec.paths; i++) inputs[n++] = x->side[s].spec.path[i];
    if (!st) n = rt_eval_data_files(&x->data, inputs, n);
    inputs[n] = NULL;
    if (!st) st = rt_result_files_open(&out, folder, inputs, &files);
    if (!st) st = explain(x, cJSON_GetObjectItemCaseSensitive(config, "data"));
    if (!st) st = write_files(x, out, config, result);
    if (!st) {
        char path[RT_FOLDER_PATH];
        rt_result_files_path(out, path, "explanation.html");
        cJSON_AddStringToObject(*result, "page", path);
    }
    rt_result_files_close(out);
    end_explanation(x);
    return st;
}
