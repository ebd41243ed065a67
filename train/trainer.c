#include "train/trainer.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "data/files.h"
#include "data/rows.h"
#include "data/stream.h"
#include "engine/clock.h"
#include "engine/version.h"
#include "student/arch.h"
#include "student/model.h"
#include "student/predictor.h"
#include "train/augment.h"
#include "train/checkpoint.h"
#include "train/losses.h"
#include "train/optimizer.h"

enum { MAX_BUFFERS = 8, MAX_HINTS = RT_MAX_LOSSES - 1, MAX_TEACHERS = 16, STATISTICS_ROWS = 65536 };

typedef struct { const char *student, *teacher; float weight; } hint;

typedef struct {
    const char *source, *x, *y, *labels, *hard_rows, *init;
    rt_rows_config rows;
    double validation;
    const char *teacher[MAX_TEACHERS];
    int teachers;
    rt_loss_config loss;
    hint hint[MAX_HINTS];
    int hints;
    rt_augment augment;
    rt_optimizer_config optimizer;
    int epochs, batch, drop_last, accumulate, prefetch, checkpoint_every, checkpoint_seconds, workers;
    uint64_t seed;
} settings;

typedef struct {
    settings set;
    const rt_train_options *opt;
    cJSON *config;
    char config_digest[33];
    rt_source *x, *y;
    rt_labels *labels;
    uint64_t hard_first, hard_end;
    rt_rows train, held, test;         /* rows to learn from, for validation, and left for a test */
    rt_model *model, **teacher;
    rt_graph *graph;               /* the model's, with projections of hints behind it */
    float *params, *grads, *sum;   /* flat, of graph; sum: of accumulated gradients */
    float *best_params, *best_states;
    float *ema_states;             /* running statistics averaged as the weights are, which they must match */
    rt_plan *plan;
    rt_optimizer *optimizer;
    rt_predictor *validator, *teacher_predictor;
    rt_stream *stream;
    rt_view view;
    rt_loss_batch loss;
    rt_hint_batch hint[MAX_HINTS];
    int32_t *y_batch;
    int *partner;
    float *teacher_logits, *val_logits;
    int32_t *val_class;
    double best, epoch_loss;
    uint64_t done, steps, total;   /* batches */
    int best_epoch;
    double seconds, data_seconds;
    cJSON *history;
    char folder[1100];
} trainer;

/* ---- configuration ---- */

static void read_hints(rt_cfg *c, settings *s)
{
    cJSON *list = rt_cfg_array(c, "hints");
    for (cJSON *h = list ? list->child : NULL; h && !c->status; h = h->next) {
        if (s->hints == MAX_HINTS) {
            rt_cfg_fail(c, "hints", "too many hints");
            return;
        }
        rt_cfg one = rt_cfg_begin(h, "loss.hints[]");
        hint *q = &s->hint[s->hints++];
        q->student = rt_cfg_string(&one, "student", NULL);
        q->teacher = rt_cfg_string(&one, "teacher", NULL);
        q->weight = (float)rt_cfg_number(&one, "weight", 1, 0, 1e6);
        rt_cfg_join(c, &one);
    }
    if (s->hints && s->teachers != 1) rt_cfg_fail(c, "hints", "need exactly one model under \"teacher\", which then runs beside the student");
}

static rt_status read_settings(cJSON *config, settings *s)
{
    memset(s, 0, sizeof *s);
    rt_cfg c = rt_cfg_begin(config, "");
    if (!rt_cfg_any(&c, "model") && !rt_cfg_has(&c, "init")) rt_cfg_fail(&c, "model", "an architecture (or \"init\": a model file to start from) is required");
    s->init = rt_cfg_string(&c, "init", "");
    if (*s->init && rt_cfg_has(&c, "model")) rt_cfg_fail(&c, "init", "give either \"model\" or \"init\", which brings its own architecture");
    s->seed = rt_cfg_u64(&c, "seed", 1);
    rt_cfg d = rt_cfg_object(&c, "data");
    s->source = rt_cfg_string(&d, "source", NULL);
    s->x = rt_cfg_string(&d, "x", "x");
    s->y = rt_cfg_string(&d, "y", "y");
    rt_rows_read(&d, &s->rows);
    s->hard_rows = rt_cfg_string(&d, "hard_rows", "");
    s->validation = rt_cfg_number(&d, "validation", 0.1, 0, 1e12);
    s->labels = rt_cfg_string(&d, "labels", "");
    if (rt_cfg_any(&d, "normalize") && *s->init) rt_cfg_fail(&d, "normalize", "belongs to the model given by \"init\"");
    rt_cfg_join(&c, &d);
    s->teachers = rt_cfg_strings(&c, "teacher", s->teacher, MAX_TEACHERS);
    if (*s->labels && s->teachers) rt_cfg_fail(&c, "teacher", "give either data.labels (cached labels) or teacher (labels of every view), not both");
    rt_cfg l = rt_cfg_object(&c, "loss");
    rt_loss_read(&l, &s->loss, *s->labels || s->teachers);
    read_hints(&l, s);
    rt_cfg_join(&c, &l);
    rt_cfg a = rt_cfg_object(&c, "augment");
    rt_augment_read(&a, &s->augment);
    rt_cfg_join(&c, &a);
    rt_cfg t = rt_cfg_object(&c, "train");
    s->epochs = rt_cfg_int(&t, "epochs", 20, 1, 1000000);
    s->batch = rt_cfg_int(&t, "batch", 128, 1, 65536);
    s->drop_last = rt_cfg_bool(&t, "drop_last", 1);
    s->accumulate = rt_cfg_int(&t, "accumulate", 1, 1, 4096);
    rt_optimizer_read(&t, &s->optimizer, s->epochs);
    s->checkpoint_every = rt_cfg_int(&t, "checkpoint_every", 1, 1, 1000000);
    s->checkpoint_seconds = rt_cfg_int(&t, "checkpoint_seconds", 60, 0, 1000000);
    s->prefetch = rt_cfg_int(&t, "prefetch", 4, 0, 1024);
    s->workers = rt_cfg_int(&t, "readers", 1, 1, 64);
    rt_cfg_join(&c, &t);
    return rt_cfg_end(&c);
}

rt_status rt_train_check(cJSON *config)
{
    settings s;
    RT_TRY(read_settings(config, &s));
    cJSON *arch = cJSON_GetObjectItemCaseSensitive(config, "model");
    if (!arch) return RT_OK;
    rt_graph *g;
    RT_TRY(rt_arch_build(&g, arch, "model"));
    rt_graph_free(g);
    return RT_OK;
}

/* What decides the result, without what only decides speed. */
static void digest_config(trainer *t)
{
    cJSON *c = cJSON_Duplicate(t->config, 1), *train = cJSON_GetObjectItemCaseSensitive(c, "train");
    static const char *const speed[] = {"prefetch", "readers", "checkpoint_every", "checkpoint_seconds"};
    for (int i = 0; i < 4; i++) cJSON_DeleteItemFromObjectCaseSensitive(train, speed[i]);
    rt_json_sort(c);
    char *text = cJSON_PrintUnformatted(c);
    snprintf(t->config_digest, sizeof t->config_digest, "%s", rt_digest_of(text ? text : "", text ? strlen(text) : 0).hex);
    cJSON_free(text);
    cJSON_Delete(c);
}

/* ---- set-up ---- */

static rt_status open_data(trainer *t)
{
    settings *s = &t->set;
    RT_TRY(rt_source_open(&t->x, s->source, s->x));
    int wants_y = s->loss.hard > 0 || s->validation > 0;
    if (*s->y && wants_y) {
        rt_h5_file *f;
        RT_TRY(rt_h5_scan(&f, s->source));
        int there = rt_h5_find(f, s->y) != NULL;
        rt_h5_close(f);
        if (there) RT_TRY(rt_source_open(&t->y, s->source, s->y));
        else if (s->loss.hard > 0) return rt_fail(RT_INPUT, "%s: has no labels '%s'; train on a teacher's labels alone with loss.hard=0", s->source, s->y);
    }
    if (t->y && rt_source_rows(t->y) != rt_source_rows(t->x)) return rt_fail(RT_INPUT, "%s: '%s' has %llu rows, '%s' has %llu", s->source, s->y, (unsigned long long)rt_source_rows(t->y), s->x, (unsigned long long)rt_source_rows(t->x));
    uint64_t rows = rt_source_rows(t->x);
    RT_TRY(rt_parse_range(s->hard_rows, rows, &t->hard_first, &t->hard_end));
    RT_TRY(rt_rows_select(&s->rows, rows, &t->train, &t->test));
    if (*s->hard_rows) {                              /* validation rows are drawn where labels may be seen */
        rt_rows pool;
        rt_status st = rt_rows_range(&pool, s->hard_rows, rows);
        if (!st) {
            rt_rows_remove(&pool, &t->test);
            st = rt_rows_draw(&pool, s->validation, s->seed, RT_RNG_SPLIT, "data.validation", &t->held);
        }
        rt_rows_free(&pool);
        RT_TRY(st);
        rt_rows_remove(&t->train, &t->held);
    } else RT_TRY(rt_rows_draw(&t->train, s->validation, s->seed, RT_RNG_SPLIT, "data.validation", &t->held));
    if (!t->train.count) return rt_fail(RT_NOTHING, "%s: no rows to train on", s->source);
    if (!*s->labels) return RT_OK;
    RT_TRY(rt_labels_open(&t->labels, s->labels, 0));
    /* Labels of other data are worse than none. */
    rt_digest d;
    RT_TRY(rt_source_digest(t->x, &d));
    const cJSON *src = cJSON_GetObjectItemCaseSensitive(rt_labels_manifest(t->labels), "source");
    const char *hash = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(src, "digest"));
    if (!hash || strcmp(hash, d.hex)) return rt_fail(RT_INPUT, "%s: its labels are of other data than %s:%s; label this data again", s->labels, s->source, s->x);
    return RT_OK;
}

/* Mean and deviation per channel over the training rows (evenly thinned beyond STATISTICS_ROWS), summed in double. */
static rt_status set_normalization(trainer *t)
{
    rt_model *m = t->model;
    cJSON *data = cJSON_GetObjectItemCaseSensitive(t->config, "data"), *norm = cJSON_GetObjectItemCaseSensitive(data, "normalize");
    size_t n = rt_model_input_size(m);
    const rt_shape *shape = &m->graph->tensor[m->graph->input].shape;
    rt_dtype type = rt_source_type(t->x);
    int channels = shape->dim[shape->rank - 1];
    if ((shape->rank == 1 && type == RT_U8) || channels > RT_MAX_CHANNELS) channels = 1;
    double mean[RT_MAX_CHANNELS] = {0}, square[RT_MAX_CHANNELS] = {0}, shift[RT_MAX_CHANNELS];
    if (cJSON_IsString(norm) && strcmp(norm->valuestring, "none") == 0) return RT_OK;
    if (cJSON_IsObject(norm)) {
        const cJSON *a = cJSON_GetObjectItemCaseSensitive(norm, "mean"), *b = cJSON_GetObjectItemCaseSensitive(norm, "std");
        int count = cJSON_GetArraySize(a);
        if (!cJSON_IsArray(a) || !cJSON_IsArray(b) || count != cJSON_GetArraySize(b) || count < 1 || count > RT_MAX_CHANNELS)
            return rt_fail(RT_USAGE, "data.normalize: {\"mean\": [...], \"std\": [...]} of one length is expected");
        for (int i = 0; i < count; i++) {
            mean[i] = cJSON_GetNumberValue(cJSON_GetArrayItem(a, i));
            square[i] = cJSON_GetNumberValue(cJSON_GetArrayItem(b, i));
        }
        return rt_model_set_normalization(m, mean, square, count);
    }
    if (norm && (!cJSON_IsString(norm) || strcmp(norm->valuestring, "auto"))) return rt_fail(RT_USAGE, "data.normalize: \"auto\", \"none\" or {\"mean\": [...], \"std\": [...]} is expected");
    char *raw = malloc(rt_source_row_bytes(t->x));
    float *row = malloc(n * sizeof *row);
    rt_status st = raw && row ? RT_OK : rt_fail(RT_RUN, "out of memory");
    uint64_t stride = (t->train.count + STATISTICS_ROWS - 1) / STATISTICS_ROWS, used = 0;
    for (uint64_t i = 0; i < t->train.count && !st; i += stride, used++) {
        st = rt_source_read(t->x, &t->train.row[i], 1, raw);
        if (st) break;
        rt_to_float(row, raw, type, n);
        for (size_t k = 0; k < n; k++) {
            int c = channels == 1 ? 0 : (int)(k % (size_t)channels);
            if (i == 0 && k < (size_t)channels) shift[c] = row[k];
            if (!isfinite(row[k])) {
                st = rt_fail(RT_INPUT, "%s: row %llu contains NaN or infinity; clean the data first", t->set.source, (unsigned long long)t->train.row[i]);
                break;
            }
            double d = row[k] - shift[c];
            mean[c] += d;
            square[c] += d * d;
        }
    }
    free(raw);
    free(row);
    RT_TRY(st);
    double count = (double)used * (double)n / channels;
    for (int c = 0; c < channels; c++) {
        double m1 = mean[c] / count, var = square[c] / count - m1 * m1;
        mean[c] = shift[c] + m1;
        square[c] = var > 1e-12 ? sqrt(var) : 1;
    }
    return rt_model_set_normalization(m, mean, square, channels);
}

/* Labels are small, so they are all looked at before anything is written. */
static rt_status check_labels(trainer *t)
{
    if (!t->y) return RT_OK;
    if (rt_source_type(t->y) >= RT_F16 || rt_source_row_bytes(t->y) != rt_dtype_size(rt_source_type(t->y)))
        return rt_fail(RT_INPUT, "%s: data set '%s' does not hold one whole number a row", t->set.source, t->set.y);
    for (int part = 0; part < 2; part++) {
        const uint64_t *row = part ? t->held.row : t->train.row;
        uint64_t rows = part ? t->held.count : t->train.count;
        for (uint64_t i = 0; i < rows; i++) {
            char raw[8];
            float v;
            if (row[i] < t->hard_first || row[i] >= t->hard_end) continue;
            RT_TRY(rt_source_read(t->y, &row[i], 1, raw));
            rt_to_float(&v, raw, rt_source_type(t->y), 1);
            if (!(v >= 0 && v < (float)t->model->classes))
                return rt_fail(RT_INPUT, "%s: row %llu has the label %.0f, but there are %d classes (0 to %d)", t->set.source, (unsigned long long)row[i], (double)v, t->model->classes, t->model->classes - 1);
        }
    }
    return RT_OK;
}

static rt_status make_model(trainer *t)
{
    settings *s = &t->set;
    if (*s->init) RT_TRY(rt_model_load(&t->model, s->init));
    else {
        cJSON *arch = cJSON_GetObjectItemCaseSensitive(t->config, "model");
        RT_TRY(rt_model_new(&t->model, arch, s->seed));
    }
    RT_TRY(rt_model_accepts(t->model, t->x));
    RT_TRY(rt_augment_check(&s->augment, t->model));
    RT_TRY(check_labels(t));
    if (t->labels && rt_labels_info(t->labels)->classes != t->model->classes)
        return rt_fail(RT_INPUT, "%s: has labels of %d classes, the model has %d", s->labels, rt_labels_info(t->labels)->classes, t->model->classes);
    if (!*s->init) RT_TRY(set_normalization(t));
    rt_h5_file *f;                                      /* class names travel with the data */
    RT_TRY(rt_h5_scan(&f, s->source));
    char *text;
    if (rt_h5_find(f, "manifest") && !rt_h5_read_all((void **)&text, f, "manifest", RT_JSON_MAX_BYTES)) {
        cJSON *m;
        if (!rt_json_parse(&m, text, strlen(text), s->source)) {
            const cJSON *names = cJSON_GetObjectItemCaseSensitive(m, "classes");
            if (cJSON_GetArraySize(names) == t->model->classes) {
                cJSON_Delete(t->model->class_names);
                t->model->class_names = cJSON_Duplicate(names, 1);
            }
            cJSON_Delete(m);
        }
        free(text);
    }
    rt_h5_close(f);
    return RT_OK;
}

/* The training graph: the model's own, then a projection for each hint. Parameters of the model keep their places. */
static rt_status make_graph(trainer *t, rt_plan_spec *spec)
{
    settings *s = &t->set;
    int features[MAX_HINTS];
    cJSON *arch = cJSON_Duplicate(t->model->arch, 1);
    rt_status st = arch ? rt_arch_build(&t->graph, arch, "model") : rt_fail(RT_RUN, "out of memory");
    cJSON_Delete(arch);
    RT_TRY(st);
    int output = t->graph->output;
    t->loss.config = s->loss;
    spec->loss[spec->losses++] = rt_loss_spec_logits(&t->loss, output, t->model->classes);
    for (int i = 0; i < s->hints; i++) {
        const rt_graph *tg = t->teacher[0]->graph;
        int from = rt_arch_find(t->graph, s->hint[i].student), to = rt_arch_find(tg, s->hint[i].teacher), out;
        if (from < 0) return rt_fail(RT_USAGE, "loss.hints[%d].student: the model has no layer named '%s'", i, s->hint[i].student);
        if (to < 0) return rt_fail(RT_USAGE, "loss.hints[%d].teacher: the teacher has no layer named '%s'", i, s->hint[i].teacher);
        const rt_shape *a = &t->graph->tensor[from].shape, *b = &tg->tensor[to].shape;
        char ta[64], tb[64], name[32];
        int same = a->rank == b->rank;
        for (int k = 0; same && k + 1 < a->rank; k++) same = a->dim[k] == b->dim[k];
        if (!same) return rt_fail(RT_USAGE, "loss.hints[%d]: the student's %s and the teacher's %s may differ only in the last dimension", i, rt_shape_text(a, ta), rt_shape_text(b, tb));
        rt_attr attr = {.out = b->dim[b->rank - 1], .bias = 1, .groups = 1, .kernel = {1, 1}, .stride = {1, 1}};
        snprintf(name, sizeof name, "hint%d", i);
        RT_TRY(rt_graph_add(t->graph, a->rank == 3 ? RT_OP_CONV2D : RT_OP_DENSE, name, &from, 1, &attr, &out));
        t->hint[i].weight = s->hint[i].weight;
        spec->loss[spec->losses++] = (rt_loss_spec){.tensor = out, .fn = rt_loss_fn_hint, .arg = &t->hint[i]};
        features[i] = to;
    }
    rt_graph_set_output(t->graph, output);
    if (s->teachers)
        RT_TRY(rt_predictor_new(&t->teacher_predictor, t->teacher, s->teachers, t->opt->pool, s->batch, s->hints ? features : NULL, s->hints));
    return RT_OK;
}

static void fill_input(void *arg, float *x, int row0, int rows)
{
    trainer *t = arg;
    rt_view_fill(&t->view, t->model, x, row0, rows);
}

static rt_status set_up(trainer *t)
{
    settings *s = &t->set;
    rt_plan_spec spec = {.batch = s->batch, .train = 1, .input = fill_input, .input_arg = t};
    RT_TRY(open_data(t));
    RT_TRY(make_model(t));
    if (s->teachers) {
        RT_TRY(rt_models_load(&t->teacher, s->teacher, s->teachers));
        if (t->teacher[0]->classes != t->model->classes || rt_model_input_size(t->teacher[0]) != rt_model_input_size(t->model))
            return rt_fail(RT_USAGE, "%s: the teacher has another input or number of classes than the model", s->teacher[0]);
    }
    RT_TRY(make_graph(t, &spec));
    if ((uint64_t)spec.batch > t->train.count) spec.batch = (int)t->train.count;
    spec.graph = t->graph;
    size_t n = t->graph->param_floats, k = (size_t)t->model->classes, b = (size_t)s->batch;
    t->params = rt_floats_new(n);
    t->grads = rt_floats_new(n);
    t->best_params = rt_floats_new(n);
    t->best_states = rt_floats_new(t->graph->state_floats);
    if (s->accumulate > 1) t->sum = rt_floats_new(n);
    if (s->optimizer.ema > 0) t->ema_states = rt_floats_new(t->graph->state_floats);
    t->y_batch = calloc(b, sizeof *t->y_batch);
    t->partner = calloc(b, sizeof *t->partner);
    t->teacher_logits = rt_floats_new(b * k);
    float *scratch = rt_floats_new(t->graph->state_floats);
    if (!t->params || !t->grads || !t->best_params || !t->best_states || (s->accumulate > 1 && !t->sum) || (s->optimizer.ema > 0 && !t->ema_states) || !t->y_batch || !t->partner || !t->teacher_logits || !scratch) {
        free(scratch);
        return rt_fail(RT_RUN, "out of memory");
    }
    rt_graph_init(t->graph, s->seed, t->params, scratch);   /* projections; the model's own follow */
    free(scratch);
    memcpy(t->params, t->model->params, t->model->graph->param_floats * sizeof *t->params);
    if (t->ema_states) memcpy(t->ema_states, t->model->states, t->graph->state_floats * sizeof(float));
    t->plan = rt_plan_new(&spec, t->opt->pool);
    if (!t->plan) return RT_RUN;
    RT_TRY(rt_optimizer_new(&t->optimizer, &s->optimizer, t->graph, t->opt->pool, t->params));
    if (t->held.count) RT_TRY(rt_predictor_new(&t->validator, &t->model, 1, t->opt->pool, 0, NULL, 0));
    t->view = (rt_view){.augment = &s->augment, .type = rt_source_type(t->x), .row_bytes = rt_source_row_bytes(t->x), .seed = s->seed};
    return RT_OK;
}

static rt_stream_spec stream_spec(const trainer *t)
{
    const settings *s = &t->set;
    int y = t->y && s->loss.hard > 0;
    if (t->y && s->loss.kind == RT_SOFT_DKD) y = 1;
    return (rt_stream_spec){.x = t->x, .y = y ? t->y : NULL, .labels = s->loss.soft > 0 ? t->labels : NULL, .row = t->train.row, .rows = t->train.count,
                            .classes = t->model->classes, .batch = s->batch, .keep_tail = !s->drop_last, .shuffle = 1, .seed = s->seed, .prefetch = s->prefetch, .threads = s->workers};
}

/* ---- state ---- */

static int buffers_of(trainer *t, rt_buffer b[MAX_BUFFERS])
{
    size_t n = t->graph->param_floats, q = t->graph->state_floats;
    rt_buffer all[] = {{"params", t->params, n}, {"states", t->model->states, q}, {"m", t->optimizer->m, n}, {"v", t->optimizer->v, n},
                       {"ema", t->optimizer->ema, n}, {"best_params", t->best_params, n}, {"best_states", t->best_states, q}, {"ema_states", t->ema_states, q}};
    memcpy(b, all, sizeof all);
    return (int)(sizeof all / sizeof all[0]);
}

static char *exact(double v, char text[40])
{
    snprintf(text, 40, "%a", v);
    return text;
}

static rt_status save_state(trainer *t)
{
    rt_buffer b[MAX_BUFFERS];
    char text[40];
    int n = buffers_of(t, b);
    cJSON *j = cJSON_CreateObject();
    cJSON_AddStringToObject(j, "config", t->config_digest);
    cJSON_AddStringToObject(j, "kernels", rt_kernels_get()->name);
    cJSON_AddStringToObject(j, "tool", rt_tool());
    cJSON_AddNumberToObject(j, "batches", (double)t->done);
    cJSON_AddNumberToObject(j, "updates", (double)t->optimizer->updates);
    cJSON_AddNumberToObject(j, "best_epoch", t->best_epoch);
    cJSON_AddStringToObject(j, "best", exact(t->best, text));
    cJSON_AddStringToObject(j, "epoch_loss", exact(t->epoch_loss, text));
    cJSON_AddNumberToObject(j, "seconds", t->seconds);
    cJSON_AddItemReferenceToObject(j, "history", t->history);
    rt_status st = rt_checkpoint_save(t->folder, t->done, j, b, n);
    cJSON_Delete(j);
    return st;
}

static double number_of(const cJSON *j, const char *key)
{
    const cJSON *v = cJSON_GetObjectItemCaseSensitive(j, key);
    return cJSON_IsString(v) ? strtod(v->valuestring, NULL) : cJSON_IsNumber(v) ? v->valuedouble : 0;
}

static rt_status load_state(trainer *t, int *found)
{
    rt_buffer b[MAX_BUFFERS];
    cJSON *j;
    int n = buffers_of(t, b);
    *found = 0;
    RT_TRY(rt_checkpoint_load(t->folder, &j, b, n));
    if (!j) return RT_OK;
    const char *kernels = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(j, "kernels"));
    rt_status st = RT_OK;
    if (kernels && strcmp(kernels, rt_kernels_get()->name) && !t->opt->allow_numeric_change)
        st = rt_fail(RT_USAGE, "%s: was trained with the %s kernels, this is %s: results would differ in their last bits; use --kernels %s, or --allow-numeric-change", t->opt->out, kernels, rt_kernels_get()->name, kernels);
    if (!st) {
        t->done = (uint64_t)number_of(j, "batches");
        t->optimizer->updates = (uint64_t)number_of(j, "updates");
        t->best_epoch = (int)number_of(j, "best_epoch");
        t->best = number_of(j, "best");
        t->epoch_loss = number_of(j, "epoch_loss");
        t->seconds = number_of(j, "seconds");
        cJSON_Delete(t->history);
        t->history = cJSON_DetachItemFromObjectCaseSensitive(j, "history");
        if (!t->history) t->history = cJSON_CreateArray();
        *found = 1;
    }
    cJSON_Delete(j);
    return st;
}

/* ---- an epoch ---- */

static const float *eval_params(const trainer *t) { return t->optimizer->ema ? t->optimizer->ema : t->params; }
static const float *eval_states(const trainer *t) { return t->ema_states ? t->ema_states : t->model->states; }

static void average_states(trainer *t)
{
    float decay = t->optimizer->update.ema;
    for (size_t i = 0; t->ema_states && i < t->graph->state_floats; i++) t->ema_states[i] += (1.0f - decay) * (t->model->states[i] - t->ema_states[i]);
}

static void first_bad_layer(const trainer *t, char *text, size_t room)
{
    const rt_graph *g = t->graph;
    for (int pass = 0; pass < 2; pass++)
        for (int i = 0; i < g->params; i++) {
            const float *p = (pass ? t->grads : t->params) + g->param[i].offset;
            for (size_t k = 0; k < g->param[i].count; k++)
                if (!isfinite(p[k])) {
                    snprintf(text, room, "first in the %s of %s", pass ? "gradient" : "weights", g->param[i].name);
                    return;
                }
        }
    snprintf(text, room, "in the forward pass, while all weights are finite");
}

static rt_status train_batch(trainer *t, const rt_batch *b)
{
    settings *s = &t->set;
    rt_run run = {.rows = b->rows, .params = t->params, .states = t->model->states, .grads = t->grads, .seed = s->seed, .epoch = b->epoch, .step = b->step};
    t->view.batch = b;
    t->view.partner = NULL;
    t->view.lambda = 1;
    if (s->augment.mixup > 0) {
        t->view.lambda = rt_mixup_draw(&s->augment, s->seed, b, t->partner);
        t->view.partner = t->partner;
    }
    t->loss.partner = t->view.partner;
    t->loss.lambda = t->view.lambda;
    t->loss.y = NULL;
    t->loss.teacher = b->soft;
    t->loss.soft_scale = s->loss.kind == RT_SOFT_DKD && s->loss.warmup ? fminf(1.0f, (float)(b->epoch + 1) / (float)s->loss.warmup) : 1.0f;
    if (b->y) {
        for (int i = 0; i < b->rows; i++) t->y_batch[i] = b->row[i] >= t->hard_first && b->row[i] < t->hard_end ? b->y[i] : -1;
        t->loss.y = t->y_batch;
    }
    if (t->teacher_predictor) {
        /* The teacher sees the mixture itself, so its logits need no mixing. */
        rt_predict(t->teacher_predictor, rt_view_fill, &t->view, b->rows, t->teacher_logits);
        t->loss.teacher = t->teacher_logits;
        for (int i = 0; i < s->hints; i++) t->hint[i].target = rt_predictor_feature(t->teacher_predictor, i);
        t->loss.teacher_mixed = 1;
    }
    rt_plan_run(t->plan, &run);
    double loss = 0;
    for (int i = 0; i <= s->hints; i++) loss += run.loss[i];
    if (!isfinite(loss)) {
        char where[160];
        first_bad_layer(t, where, sizeof where);
        return rt_fail(RT_RUN, "training diverged: the loss is %g at epoch %u, step %u, %s; lower train.lr or set train.clip", loss, b->epoch + 1, b->step + 1, where);
    }
    t->epoch_loss += loss;
    double lr = rt_learning_rate(&s->optimizer, t->done, t->total, t->steps);
    int k = s->accumulate, at = (int)(b->step % (uint32_t)k), last = at == k - 1 || b->step + 1 == t->steps;
    const float *g = t->grads;
    if (k > 1) {
        if (at == 0) memcpy(t->sum, t->grads, t->graph->param_floats * sizeof *t->sum);
        else rt_kernels_get()->accumulate(t->sum, t->grads, t->graph->param_floats);
        g = t->sum;
    }
    if (last) {
        rt_optimizer_step(t->optimizer, t->params, g, lr, 1.0 / (at + 1));
        average_states(t);
    }
    return RT_OK;
}

/* Accuracy and cross-entropy on the validation rows: against labels, or the teacher's answers where there are none. */
static rt_status validate(trainer *t, double *accuracy, double *loss)
{
    int k = t->model->classes, right = 0;
    double sum = 0;
    rt_predictor_set_weights(t->validator, 0, eval_params(t), eval_states(t));
    rt_stream *stream;
    rt_stream_spec s = {.x = t->x, .y = t->y, .labels = t->y ? NULL : t->labels, .row = t->held.row, .rows = t->held.count, .classes = k, .batch = 256, .keep_tail = 1};
    RT_TRY(rt_stream_open(&stream, &s, 0));
    float *z = rt_floats_new((size_t)256 * (size_t)k), *q = rt_floats_new((size_t)256 * (size_t)k);
    rt_status st = z && q ? RT_OK : RT_RUN;
    for (uint64_t i = 0; i < rt_stream_steps(stream) && !st; i++) {
        const rt_batch *b;
        st = rt_stream_next(stream, &b);
        if (st) break;
        const float *soft = b->soft;
        if (!t->y && !soft && t->teacher_predictor) {
            rt_view plain = {.augment = &(rt_augment){0}, .batch = b, .type = t->view.type, .row_bytes = t->view.row_bytes};
            rt_predict(t->teacher_predictor, rt_view_fill, &plain, b->rows, q);
            soft = q;
        }
        rt_predict_raw(t->validator, b->x, t->view.type, b->rows, z);
        for (int r = 0; r < b->rows; r++) {
            const float *a = z + (size_t)r * (size_t)k;
            int best = 0, y = b->y ? b->y[r] : 0;
            for (int c = 1; c < k; c++) if (a[c] > a[best]) best = c;
            for (int c = 1; c < k && !b->y && soft; c++) if (soft[(size_t)r * (size_t)k + (size_t)c] > soft[(size_t)r * (size_t)k + (size_t)y]) y = c;
            double e = 0;
            for (int c = 0; c < k; c++) e += exp((double)a[c] - a[best]);
            right += best == y;
            sum += log(e) + a[best] - a[y];
        }
    }
    free(z);
    free(q);
    rt_stream_close(stream);
    *accuracy = (double)right / (double)t->held.count;
    *loss = sum / (double)t->held.count;
    return st;
}

static rt_status write_text(trainer *t, const char *name, const char *text)
{
    char path[1200];
    snprintf(path, sizeof path, "%s/%s", t->opt->out, name);
    return rt_write_file(path, text, strlen(text));
}

/* Both files are written anew from the history, which the checkpoints hold: a resumed run has no doubled lines. */
static rt_status write_metrics(trainer *t)
{
    size_t room = 256 * ((size_t)cJSON_GetArraySize(t->history) + 2), n, m = 0;
    char *csv = malloc(room), *lines = malloc(2 * room);
    rt_status st = csv && lines ? RT_OK : rt_fail(RT_RUN, "out of memory");
    if (!st) {
        n = (size_t)snprintf(csv, room, "epoch,loss,validation_accuracy,validation_loss,lr,digest\n");
        for (const cJSON *e = t->history->child; e; e = e->next) {
            const char *digest = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(e, "digest"));
            n += (size_t)snprintf(csv + n, room - n, "%d,%.9g,", (int)number_of(e, "epoch"), number_of(e, "loss"));
            if (t->held.count) n += (size_t)snprintf(csv + n, room - n, "%.9g,%.9g", number_of(e, "validation_accuracy"), number_of(e, "validation_loss"));
            else n += (size_t)snprintf(csv + n, room - n, ",");
            n += (size_t)snprintf(csv + n, room - n, ",%.9g,%s\n", number_of(e, "lr"), digest ? digest : "");
            char *one = cJSON_PrintUnformatted(e);
            if (one) m += (size_t)snprintf(lines + m, 2 * room - m, "%s\n", one);
            cJSON_free(one);
        }
        lines[m] = 0;
        st = write_text(t, "metrics.csv", csv);
        if (!st) st = write_text(t, "metrics.jsonl", lines);
    }
    free(csv);
    free(lines);
    return st;
}

static rt_digest weights_digest(const trainer *t)
{
    const rt_graph *g = t->model->graph;
    rt_hasher *h = rt_hasher_new();
    for (int i = 0; i < g->params; i++) rt_hasher_add(h, t->params + g->param[i].offset, g->param[i].count * sizeof(float));
    for (int i = 0; i < g->states; i++) rt_hasher_add(h, t->model->states + g->state[i].offset, g->state[i].count * sizeof(float));
    return rt_hasher_end(h);
}

static rt_status end_epoch(trainer *t, int epoch)
{
    double accuracy = 0, loss = 0, train = t->epoch_loss / (double)t->steps;
    char text[256];
    if (t->held.count) RT_TRY(validate(t, &accuracy, &loss));
    if (!t->held.count || epoch == 1 || accuracy > t->best) {
        t->best = accuracy;
        t->best_epoch = epoch;
        memcpy(t->best_params, eval_params(t), t->graph->param_floats * sizeof(float));
        memcpy(t->best_states, eval_states(t), t->graph->state_floats * sizeof(float));
    }
    rt_digest digest = weights_digest(t);
    cJSON *e = cJSON_CreateObject();
    cJSON_AddNumberToObject(e, "epoch", epoch);
    cJSON_AddNumberToObject(e, "loss", train);
    if (t->held.count) {
        cJSON_AddNumberToObject(e, "validation_accuracy", accuracy);
        cJSON_AddNumberToObject(e, "validation_loss", loss);
    }
    cJSON_AddNumberToObject(e, "lr", rt_learning_rate(&t->set.optimizer, t->done - 1, t->total, t->steps));
    cJSON_AddStringToObject(e, "digest", digest.hex);
    cJSON_AddItemToArray(t->history, e);
    int n = snprintf(text, sizeof text, "epoch %d/%d  loss %.4f", epoch, t->set.epochs, train);
    if (t->held.count) n += snprintf(text + n, sizeof text - (size_t)n, "  validation %.4f%s", accuracy, t->best_epoch == epoch ? " *" : "  ");
    snprintf(text + n, sizeof text - (size_t)n, "  digest %.16s", digest.hex);
    rt_progress_line(t->opt->progress, text);
    t->epoch_loss = 0;
    return RT_OK;
}

static rt_status run_epochs(trainer *t)
{
    rt_stream_spec spec = stream_spec(t);
    rt_stream *stream;
    RT_TRY(rt_stream_open(&stream, &spec, t->done));
    t->steps = rt_stream_steps(stream);
    t->total = t->steps * (uint64_t)t->set.epochs;
    double start = rt_seconds(), saved = start, mark = start, before = t->seconds;
    uint64_t first = t->done;
    rt_status st = RT_OK;
    while (t->done < t->total && !st) {
        const rt_batch *b;
        double wait = rt_seconds();
        st = rt_stream_next(stream, &b);
        t->data_seconds += rt_seconds() - wait;
        if (!st) st = train_batch(t, b);
        if (st) break;
        t->done++;
        double now = rt_seconds();
        t->seconds = before + now - start;
        int epoch = (int)(t->done / t->steps), ended = t->done % t->steps == 0, stop = rt_progress_stopped(t->opt->progress);
        if (now - mark > 0.2 || ended) {
            char note[64];
            snprintf(note, sizeof note, "epoch %d/%d loss %.4f", (int)((t->done - 1) / t->steps) + 1, t->set.epochs, t->epoch_loss / (double)((t->done - 1) % t->steps + 1));
            double rate = (double)(t->done - first) * t->set.batch / (now - start);
            rt_progress_update(t->opt->progress, "train", (double)t->done * t->set.batch, (double)t->total * t->set.batch, rate, "samples", note);
            mark = now;
        }
        if (ended) st = end_epoch(t, epoch);
        int due = ended && (epoch % t->set.checkpoint_every == 0 || t->done == t->total);
        if (t->set.checkpoint_seconds && now - saved > t->set.checkpoint_seconds) due = 1;
        if (!st && (due || stop)) {
            st = save_state(t);
            if (!st && ended) st = write_metrics(t);
            saved = rt_seconds();
        }
        if (!st && stop && t->done < t->total) st = rt_fail(RT_INTERRUPTED, "interrupted after %llu of %llu steps; the same command goes on from here", (unsigned long long)t->done, (unsigned long long)t->total);
    }
    rt_stream_close(stream);
    return st;
}

/* ---- result ---- */

static rt_status finish(trainer *t, cJSON **result)
{
    char path[1200];
    rt_model *m = t->model;
    rt_digest last = weights_digest(t);
    memcpy(m->params, t->best_params, m->graph->param_floats * sizeof(float));
    memcpy(m->states, t->best_states, m->graph->state_floats * sizeof(float));
    cJSON *p = m->provenance;
    rt_digest data;
    RT_TRY(rt_source_digest(t->x, &data));
    static const char *const old[] = {"tool", "kernels", "config", "data", "data_digest", "labels", "teacher_digest", "best_epoch", "seed"};
    for (size_t i = 0; i < sizeof old / sizeof old[0]; i++) cJSON_DeleteItemFromObjectCaseSensitive(p, old[i]);
    cJSON_AddStringToObject(p, "tool", rt_tool());
    cJSON_AddStringToObject(p, "kernels", rt_kernels_get()->name);
    cJSON_AddNumberToObject(p, "seed", (double)t->set.seed);
    cJSON_AddStringToObject(p, "data", t->set.source);
    cJSON_AddStringToObject(p, "data_digest", data.hex);
    if (t->labels) cJSON_AddItemToObject(p, "labels", cJSON_Duplicate(rt_labels_manifest(t->labels), 1));
    if (t->teacher) cJSON_AddStringToObject(p, "teacher_digest", rt_models_digest(t->teacher, t->set.teachers).hex);
    cJSON_AddNumberToObject(p, "best_epoch", t->best_epoch);
    cJSON_AddItemToObject(p, "config", cJSON_Duplicate(t->config, 1));
    snprintf(path, sizeof path, "%s/model.h5", t->opt->out);
    RT_TRY(rt_model_save(m, path));
    cJSON *r = cJSON_CreateObject();
    cJSON_AddStringToObject(r, "model", path);
    cJSON_AddStringToObject(r, "digest", rt_model_digest(m).hex);
    cJSON_AddStringToObject(r, "last_weights_digest", last.hex);
    cJSON_AddNumberToObject(r, "epochs", t->set.epochs);
    cJSON_AddNumberToObject(r, "best_epoch", t->best_epoch);
    if (t->held.count) {
        cJSON_AddNumberToObject(r, "validation_accuracy", t->best);
        cJSON_AddStringToObject(r, "validation_against", t->y ? "labels" : "teacher");
        cJSON_AddNumberToObject(r, "validation_rows", (double)t->held.count);
    }
    cJSON_AddNumberToObject(r, "training_rows", (double)t->train.count);
    if (t->test.count) cJSON_AddNumberToObject(r, "test_rows_left_out", (double)t->test.count);
    cJSON_AddNumberToObject(r, "steps", (double)t->done);
    cJSON_AddNumberToObject(r, "parameters", (double)rt_graph_param_count(m->graph));
    cJSON_AddNumberToObject(r, "seconds", t->seconds);
    cJSON_AddStringToObject(r, "config_digest", t->config_digest);
    cJSON_AddItemToObject(r, "history", cJSON_Duplicate(t->history, 1));
    char *text = cJSON_Print(r);
    rt_status st = text ? write_text(t, "result.json", text) : rt_fail(RT_RUN, "out of memory");
    cJSON_free(text);
    if (st) cJSON_Delete(r); else *result = r;
    return st;
}

/* 0: go on (fresh or to resume), 1: already done */
static rt_status look_at_folder(trainer *t, int *done, cJSON **result)
{
    char path[1200];
    cJSON *old = NULL;
    *done = 0;
    RT_TRY(rt_make_folder(t->opt->out));
    snprintf(path, sizeof path, "%s/run.json", t->opt->out);
    if (rt_file_exists(path) && !t->opt->force) {
        RT_TRY(rt_json_file(&old, path));
        const char *digest = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(old, "config_digest"));
        int same = digest && strcmp(digest, t->config_digest) == 0;
        cJSON_Delete(old);
        if (!same) return rt_fail(RT_USAGE, "%s: holds a run with another configuration; give another --out, or --force to replace it", t->opt->out);
        snprintf(path, sizeof path, "%s/result.json", t->opt->out);
        if (rt_file_exists(path)) {
            *done = 1;
            return rt_json_file(result, path);
        }
        return RT_OK;
    }
    static const char *const stale[] = {"result.json", "model.h5", "metrics.csv", "metrics.jsonl", "checkpoints/checkpoints.json", "run.json"};
    for (size_t i = 0; i < sizeof stale / sizeof stale[0]; i++) {
        snprintf(path, sizeof path, "%s/%s", t->opt->out, stale[i]);
        unlink(path);
    }
    char *text = cJSON_Print(t->config), mark[96];
    rt_status st = text ? write_text(t, "config.json", text) : rt_fail(RT_RUN, "out of memory");
    cJSON_free(text);
    snprintf(mark, sizeof mark, "{\"config_digest\": \"%s\"}\n", t->config_digest);
    return st ? st : write_text(t, "run.json", mark);
}

static void tear_down(trainer *t)
{
    rt_plan_free(t->plan);
    rt_optimizer_free(t->optimizer);
    rt_predictor_free(t->validator);
    rt_predictor_free(t->teacher_predictor);
    rt_models_free(t->teacher, t->set.teachers);
    rt_graph_free(t->graph);
    rt_model_free(t->model);
    rt_labels_close(t->labels);
    rt_source_close(t->x);
    rt_source_close(t->y);
    void *owned[] = {t->params, t->grads, t->sum, t->best_params, t->best_states, t->ema_states, t->y_batch, t->partner, t->teacher_logits};
    for (size_t i = 0; i < sizeof owned / sizeof owned[0]; i++) free(owned[i]);
    rt_rows_free(&t->train);
    rt_rows_free(&t->held);
    rt_rows_free(&t->test);
    cJSON_Delete(t->history);
}

rt_status rt_train(cJSON *config, const rt_train_options *opt, cJSON **result)
{
    trainer t = {.opt = opt, .config = config, .history = cJSON_CreateArray()};
    int done = 0, found = 0;
    *result = NULL;
    rt_status st = read_settings(config, &t.set);
    if (!st) st = rt_train_check(config);
    if (!st) {
        snprintf(t.folder, sizeof t.folder, "%s/checkpoints", opt->out);
        st = set_up(&t);                          /* before the folder is touched: bad data leaves nothing behind */
    }
    if (!st) {
        digest_config(&t);
        st = look_at_folder(&t, &done, result);
    }
    if (!st && !done) st = load_state(&t, &found);
    if (!st && found) {
        char text[120];
        snprintf(text, sizeof text, "resumed at step %llu", (unsigned long long)t.done);
        rt_progress_line(opt->progress, text);
    }
    if (!st && !done) st = run_epochs(&t);
    if (!st && !done) st = write_metrics(&t);
    if (!st && !done) st = finish(&t, result);
    tear_down(&t);
    return st;
}
