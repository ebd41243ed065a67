/* experiments/drift/drift_model.c - what a model says of a sample of each side: answers, how sure it is, features. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data/row_check.h"
#include "engine/clock.h"
#include "engine/int/integer.h"
#include "engine/memory.h"
#include "experiments/drift/drift_parts.h"

enum { MANY = 64 /* columns of a head of labels or values */, WIDEST = 1 << 16 };

static rt_status no_memory(void) { return rt_fail(RT_RUN, "out of memory"); }

/* ---- held columns ---- */

/* The words that the classes of head h are called by. */
static rt_drift_words *name_classes(rt_drift_work *w, const rt_head *h)
{
    char number[16];
    rt_drift_words *words = rt_drift_words_new();
    if (!words) return NULL;
    w->word[w->words++] = words;
    for (int i = 0; i < h->size && i < RT_DRIFT_WORDS; i++) {
        const char *name = rt_names_at(&h->names, i, number);
        if (rt_drift_word(words, name, strlen(name)) < 0) return NULL;
    }
    return words;
}

static int add_head(rt_drift_work *w, const rt_head *h)
{
    char number[16];
    int good = 1;
    if (h->task == RT_TASK_CLASSES) {
        rt_drift_words *words = name_classes(w, h);
        good = words && rt_drift_add_column(w, "answer", 1, words, "answer %s", h->name) >= 0;
        good = good && rt_drift_add_column(w, "confidence", 0, NULL, "confidence %s", h->name) >= 0;
        return good && rt_drift_add_column(w, "entropy", 0, NULL, "entropy %s", h->name) >= 0;
    }
    for (int i = 0; i < h->size && i < MANY && good; i++)
        good = rt_drift_add_column(w, "answer", 0, NULL, h->size > 1 ? "answer %s.%s" : "answer %s", h->name,
                                   rt_names_at(&h->names, i, number)) >= 0;
    if (h->size > MANY)
        rt_eval_note(w->notes, "head '%s' has %d outputs; the first %d are compared.", h->name, h->size, MANY);
    return good;
}

rt_status rt_drift_hold_heads(rt_drift_work *w, const uint64_t rows[RT_DRIFT_SIDES])
{
    for (int h = 0; h < w->heads; h++) if (!add_head(w, &w->head[h])) return no_memory();
    w->helds = w->columns - w->streamed;
    for (int s = 0; s < RT_DRIFT_SIDES; s++) {
        w->held_rows[s] = rows[s];
        w->held[s] = malloc((size_t)rows[s] * (size_t)w->helds * sizeof(double) + 8);
        if (!w->held[s]) return no_memory();
        for (uint64_t i = 0; i < rows[s] * (uint64_t)w->helds; i++) w->held[s][i] = NAN;
        for (int h = 0; h < w->heads; h++)
            if (w->head[h].task == RT_TASK_CLASSES &&
                !(w->confidence[s][h] = malloc((size_t)rows[s] * sizeof(double) + 8)))
                return no_memory();
    }
    return RT_OK;
}

static void hold(rt_drift_work *w, int side, int column, uint64_t i, double v)
{ w->held[side][(uint64_t)(column - w->streamed) * w->held_rows[side] + i] = v; }

void rt_drift_hold_row(rt_drift_work *w, int side, uint64_t i, const float *z)
{
    /* Columns of heads are the last ones that were added, in the heads' order. */
    int column = w->columns;
    for (int h = w->heads - 1; h >= 0; h--) {
        const rt_head *head = &w->head[h];
        column -= head->task == RT_TASK_CLASSES ? 3 : head->size < MANY ? head->size : MANY;
    }
    for (int h = 0; h < w->heads; h++) {
        const rt_head *head = &w->head[h];
        const float *own = z + head->at;
        int k = head->size;
        if (head->task == RT_TASK_CLASSES) {
            double sum = 0, entropy = 0;
            int best = 0;
            for (int j = 1; j < k; j++) if (own[j] > own[best]) best = j;
            for (int j = 0; j < k; j++) sum += exp((double)own[j] - own[best]);
            for (int j = 0; j < k; j++) {
                double p = exp((double)own[j] - own[best]) / sum;
                if (p > 0) entropy -= p * log(p);
            }
            hold(w, side, column++, i, best);
            hold(w, side, column++, i, 1 / sum);
            hold(w, side, column++, i, entropy);
            w->confidence[side][h][i] = 1 / sum;
            continue;
        }
        for (int j = 0; j < k && j < MANY; j++)
            hold(w, side, column++, i, head->task == RT_TASK_MULTILABEL ? 1 / (1 + exp(-(double)own[j])) : own[j]);
    }
}

/* ---- what is true ---- */

/* The labels of head h among the fields, as class numbers of the head, of the sample. */
static rt_status judge_head(rt_drift_work *w, int side, int h)
{
    const rt_head *head = &w->head[h];
    const rt_drift_field *f = NULL;
    char number[32];
    for (int i = 0; i < w->fields; i++)
        if (w->field[i].make == RT_DRIFT_LABEL && !strcmp(w->field[i].name, head->name)) f = &w->field[i];
    if (!f || f->width != 1 || !w->column[f->first].category || head->task != RT_TASK_CLASSES) return RT_OK;
    rt_drift_side *d = &w->side[side];
    double *label = malloc((size_t)d->sampled * sizeof *label + 8);
    w->right[side][h] = malloc((size_t)d->sampled + 1);
    rt_status st = label && w->right[side][h] ? rt_drift_cells(w, f, side, d->at, d->sampled, label) : no_memory();
    const double *answer = w->held[side];
    for (int c = w->streamed; c < w->columns; c++)
        if (!strcmp(w->column[c].group, "answer") && !strcmp(w->column[c].name + 7, head->name))
            answer = w->held[side] + (uint64_t)(c - w->streamed) * w->held_rows[side];
    for (int i = 0; i < d->sampled && !st; i++) {
        const char *name = number;
        if (isnan(label[i])) {
            w->right[side][h][i] = -1;
            continue;
        }
        if (f->words) name = rt_drift_word_at(f->words, (int)label[i]);
        else snprintf(number, sizeof number, "%.0f", label[i]);
        int class = d->data.match == RT_MATCH_POSITION && !f->words ? (int)label[i]
                    : head->names.name                              ? rt_names_find(&head->names, name)
                                                                    : atoi(name);
        w->right[side][h][i] = class == (int)answer[i];
    }
    free(label);
    return st;
}

/* ---- asking ---- */

typedef struct {
    rt_drift_work *w;
    rt_teacher *t;
    const char *layer;                 /* of the features; NULL: answers */
    int side, width;
    float *z;
    char *raw;
} asking;

static rt_status no_feature(asking *a, const char *why)
{
    rt_eval_note(a->w->notes, "features are the model's answers: %s.", why);
    a->layer = NULL;
    return RT_OK;
}

static rt_status choose_features(asking *a)
{
    rt_drift_work *w = a->w;
    rt_shape shape;
    a->layer = rt_teacher_last_features(a->t);
    if (!a->layer) return no_feature(a, "it is no single model in float, or has one layer");
    RT_TRY(rt_teacher_feature_shape(a->t, a->layer, &shape));
    if (rt_shape_count(&shape) > WIDEST) return no_feature(a, "those of its last layer are too many");
    w->dim = (int)rt_shape_count(&shape);
    snprintf(w->feature_of, sizeof w->feature_of, "layer '%.120s' of the model", a->layer);
    return RT_OK;
}

/* The rows of a micro-batch, so that features are those of all of them. */
static rt_status ask_rows(asking *a, int at, int n)
{
    rt_drift_work *w = a->w;
    rt_drift_side *d = &w->side[a->side];
    const rt_source *bad;
    int ids[RT_SOURCE_PARTS] = {0};
    rt_teacher_ids(a->t, d->data.x, ids);
    RT_TRY(rt_source_read(d->data.x, d->at + at, n, a->raw));
    size_t bytes = rt_source_row_bytes(d->data.x);
    for (int i = 0; i < n && rt_source_suspect(d->data.x, ids, a->raw, n); i++) {
        const char *what = rt_source_fault(d->data.x, ids, a->raw + (size_t)i * bytes, &bad);
        if (what)
            return rt_fail(RT_INPUT, "%s: row %llu %s, which the model cannot read; leave the model out to look at the "
                           "data alone", rt_source_path(bad), (unsigned long long)d->at[at + i], what);
    }
    rt_feed q = {.raw = a->raw, .row = d->at + at, .rows = n};
    RT_TRY(rt_teacher_ask(a->t, &q, a->z));
    const float *feature = a->layer ? rt_teacher_feature(a->t, 0) : a->z;
    for (size_t i = 0; i < (size_t)n * (size_t)a->width; i++)
        if (!isfinite(a->z[i]))
            return rt_fail(RT_INPUT, "%s: row %llu gets an answer that is not finite", d->data.source,
                           (unsigned long long)d->at[at + (int)(i / (size_t)a->width)]);
    for (int i = 0; i < n; i++) rt_drift_hold_row(w, a->side, (uint64_t)(at + i), a->z + (size_t)i * (size_t)a->width);
    memcpy(w->feature[a->side] + (size_t)at * (size_t)w->dim, feature, (size_t)n * (size_t)w->dim * sizeof *feature);
    return rt_check_stop();
}

static rt_status ask_side(rt_drift_work *w, int side)
{
    rt_drift_side *d = &w->side[side];
    asking a = {.w = w, .side = side, .width = rt_heads_width(w->head, w->heads)};
    double since = rt_seconds();
    RT_TRY(rt_teacher_open_spec(&a.t, &w->model, &d->data.where));
    rt_teacher_binding to = {.source = d->data.x, .id = d->data.identity, .match = d->data.match, .device = w->device,
                             .progress = w->progress, .notes = side ? NULL : w->notes};
    if (!side) w->dim = a.width;
    if (!side) snprintf(w->feature_of, sizeof w->feature_of, "answers of the model");
    rt_status st = rt_teacher_bind(a.t, &to);
    if (!st && !side) st = choose_features(&a);
    else if (!st) a.layer = w->dim != a.width || strncmp(w->feature_of, "answers", 7) ? rt_teacher_last_features(a.t)
                                                                                      : NULL;
    if (!st) st = rt_teacher_ready(a.t, w->device, 0, &a.layer, a.layer != NULL);
    if (!st) st = rt_teacher_answer_as(a.t, w->head, w->heads, w->model.path[0], d->data.match);
    int micro = st ? 0 : rt_teacher_micro(a.t);
    if (!st && micro < 1) micro = RT_DRIFT_BLOCK;
    if (!st) {
        a.z = rt_floats_new((size_t)micro * (size_t)a.width);
        a.raw = malloc((size_t)micro * rt_source_row_bytes(d->data.x) + 8);
        w->feature[side] = malloc((size_t)d->sampled * (size_t)w->dim * sizeof(float) + 8);
        if (!a.z || !a.raw || !w->feature[side]) st = no_memory();
    }
    for (int at = 0; at < d->sampled && !st; at += micro) {
        st = ask_rows(&a, at, d->sampled - at < micro ? d->sampled - at : micro);
        rt_progress_update(w->progress, "ask the model", at, d->sampled, at / (rt_seconds() - since + 1e-9), "rows",
                           "");
    }
    free(a.z);
    free(a.raw);
    rt_teacher_close(a.t);
    return st;
}

static void describe_kernels(rt_drift_work *w, const rt_teacher *t)
{
    char family[RT_FAMILY_TEXT];
    snprintf(w->kernels, sizeof w->kernels, "%s", rt_device_family(w->device, family));
    if (rt_teacher_quantized(t))
        snprintf(w->kernels, sizeof w->kernels, "%s, integers %.24s", family, rt_int_kernels_get()->name);
}

rt_status rt_drift_ask(rt_drift_work *w)
{
    rt_teacher *t = NULL;
    uint64_t rows[RT_DRIFT_SIDES] = {(uint64_t)w->side[0].sampled, (uint64_t)w->side[1].sampled};
    if (!w->model.paths) return RT_OK;
    RT_TRY(rt_teacher_open_spec(&t, &w->model, &w->side[0].data.where));
    describe_kernels(w, t);
    rt_teacher_close(t);
    RT_TRY(rt_drift_hold_heads(w, rows));
    for (int s = 0; s < RT_DRIFT_SIDES; s++) RT_TRY(ask_side(w, s));
    for (int s = 0; s < RT_DRIFT_SIDES; s++)
        for (int h = 0; h < w->heads; h++) RT_TRY(judge_head(w, s, h));
    return RT_OK;
}
