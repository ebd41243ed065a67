/* experiments/drift/drift_stored.c - files of predictions as sides: columns that rows are grouped by, truths, answers.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "experiments/drift/drift_parts.h"

static rt_status no_memory(void) { return rt_fail(RT_RUN, "out of memory"); }

typedef struct {
    rt_drift_work *w;
    rt_predictions *p[RT_DRIFT_SIDES];
    int *place;                        /* of an answer's element in the data's answer; NULL: the same */
    int columns;                       /* that are held before the heads' */
    int with[RT_PREDICTIONS_COLUMNS][RT_DRIFT_SIDES];
    rt_drift_words *words[RT_PREDICTIONS_COLUMNS];
    int labels[RT_MAX_HEADS], label_words[RT_MAX_HEADS]; /* held column of the truth of head h, -1; its words */
} storing;

static int find_column(const rt_predictions *p, const char *name)
{
    for (int i = 0; i < p->columns; i++) if (!strcmp(p->column[i].name, name)) return i;
    return -1;
}

static rt_drift_words *new_words(rt_drift_work *w)
{
    rt_drift_words *words = w->words < RT_DRIFT_FIELDS ? rt_drift_words_new() : NULL;
    if (words) w->word[w->words++] = words;
    return words;
}

/* Columns of both files, by name. */
static rt_status add_columns(storing *q)
{
    rt_drift_work *w = q->w;
    for (int i = 0; i < q->p[0]->columns; i++) {
        const rt_row_column *own = &q->p[0]->column[i];
        int k = find_column(q->p[1], own->name), skip = 0;
        for (int j = 0; j < w->limits.ignored; j++) skip |= !strcmp(w->limits.ignore[j], own->name);
        if (k < 0)
            rt_eval_note(w->notes, "%s has no column '%.60s', which is not compared.", q->p[1]->path, own->name);
        if (k < 0 || skip) continue;
        if (!own->text != !q->p[1]->column[k].text)
            return rt_fail(RT_INPUT, "%s: column '%.60s' is %s, in %s it is %s", q->p[1]->path, own->name,
                           own->text ? "numbers" : "text", q->p[0]->path, own->text ? "text" : "numbers");
        if (own->text && !(q->words[q->columns] = new_words(w))) return no_memory();
        if (rt_drift_add_column(w, "column", own->text != NULL, q->words[q->columns], "%s", own->name) < 0)
            return no_memory();
        q->with[q->columns][0] = i;
        q->with[q->columns++][1] = k;
    }
    return RT_OK;
}

/* Heads that both have whole; classes by name. */
static rt_status add_labels(storing *q)
{
    rt_drift_work *w = q->w;
    const rt_predictions *a = q->p[0];
    char number[16];
    for (int h = 0; h < a->heads; h++) {
        q->labels[h] = -1;
        if (a->head[h].task != RT_TASK_CLASSES || !a->of[h].y.y) continue;
        rt_drift_words *words = new_words(w);
        if (!words) return no_memory();
        for (int i = 0; i < a->head[h].size && i < RT_DRIFT_WORDS; i++) {
            const char *name = rt_names_at(&a->head[h].names, i, number);
            if (rt_drift_word(words, name, strlen(name)) < 0) return no_memory();
        }
        q->labels[h] = rt_drift_add_column(w, "label", 1, words, "%s", a->head[h].name);
        if (q->labels[h] < 0) return no_memory();
    }
    return RT_OK;
}

static rt_status check_whole(const rt_predictions *p)
{
    for (int h = 0; h < p->heads; h++)
        if (p->of[h].top || !p->of[h].there)
            return rt_fail(RT_INPUT, "%s: does not keep all numbers of head '%s'; predict without topk", p->path,
                           p->head[h].name);
    return RT_OK;
}

/* Row i's answer of a side, in the reference's order. */
static void gather(const storing *q, int side, uint64_t i, float *own, float *z, int width)
{
    const rt_predictions *p = q->p[side];
    for (int h = 0; h < p->heads; h++)
        memcpy(own + p->head[h].at, p->of[h].z + i * (uint64_t)p->head[h].size, (size_t)p->head[h].size * sizeof *own);
    for (int j = 0; j < width; j++) {
        int from = side && q->place ? q->place[j] : j;
        z[j] = from >= 0 ? own[from] : 0;
    }
}

/* The truth of head h of a row, in the reference's order of classes. */
static int truth(const storing *q, int side, int h, uint64_t i)
{
    const rt_predictions *p = q->p[side];
    int own = h;
    if (side) own = rt_heads_find(p->head, p->heads, &q->p[0]->head[h], q->p[0]->heads);
    if (own < 0 || !p->of[own].y.y || p->of[own].y.y[i] == RT_NO_LABEL) return -1;
    int y = p->of[own].y.y[i];
    for (int j = 0; side && q->place && j < q->p[0]->head[h].size; j++)
        if (q->place[q->p[0]->head[h].at + j] == p->head[own].at + y) return j;
    return y;
}

static rt_status hold_side(storing *q, int side, float *own, float *z, int width)
{
    rt_drift_work *w = q->w;
    const rt_predictions *p = q->p[side];
    uint64_t rows = p->rows;
    for (int c = 0; c < q->columns; c++) {
        const rt_row_column *from = &p->column[q->with[c][side]];
        double *to = w->held[side] + (uint64_t)c * rows;
        for (uint64_t i = 0; i < rows; i++) {
            const char *text = from->text ? from->text + i * (uint64_t)from->width : NULL;
            size_t n = text ? strnlen(text, (size_t)from->width) : 0;
            int at = n ? rt_drift_word(q->words[c], text, n) : 0;
            if (at < 0) return no_memory();
            to[i] = text ? (n ? at : NAN) : from->number[i];
        }
    }
    for (int h = 0; h < w->heads; h++)
        if (q->labels[h] >= 0 && !(w->right[side][h] = malloc((size_t)rows + 1))) return no_memory();
    int next = 0;                                      /* of the sample */
    for (uint64_t i = 0; i < rows; i++) {
        gather(q, side, i, own, z, width);
        rt_drift_hold_row(w, side, i, z);
        for (int h = 0; h < w->heads; h++) {
            if (q->labels[h] < 0) continue;
            int y = truth(q, side, h, i), best = 0;
            const float *of = z + w->head[h].at;
            for (int j = 1; j < w->head[h].size; j++) if (of[j] > of[best]) best = j;
            w->held[side][(uint64_t)(q->labels[h] - w->streamed) * rows + i] = y < 0 ? NAN : y;
            w->right[side][h][i] = y < 0 ? -1 : y == best;
        }
        if (next < w->side[side].sampled && w->side[side].at[next] == i) {
            memcpy(w->feature[side] + (size_t)next * (size_t)w->dim, z, (size_t)w->dim * sizeof *z);
            w->side[side].at[next++] = p->row[i];      /* from here on by its number in the data */
        }
    }
    return rt_check_stop();
}

rt_status rt_drift_take_predictions(rt_drift_work *w)
{
    storing *q = calloc(1, sizeof *q);
    float *own = NULL, *z = NULL;
    if (!q) return no_memory();
    q->w = w;
    uint64_t rows[RT_DRIFT_SIDES];
    for (int s = 0; s < RT_DRIFT_SIDES; s++) {
        q->p[s] = w->side[s].predictions;
        rows[s] = q->p[s]->rows;
    }
    const rt_predictions *a = q->p[0], *b = q->p[1];
    rt_status st = check_whole(a);
    if (!st) st = check_whole(b);
    if (!st) st = rt_heads_place(&q->place, a->head, a->heads, a->path, b->head, b->heads, b->path,
                                 w->side[0].data.match);
    if (!st) st = rt_heads_copy(w->head, a->head, a->heads);
    w->heads = st ? 0 : a->heads;
    if (strcmp(a->model.hex, b->model.hex))
        rt_eval_note(w->notes, "the predictions are of two models (%.8s and %.8s): what differs may be the models'.",
                     a->model.hex, b->model.hex);
    w->model_digest = a->model;
    strcpy(w->kernels, a->kernels);
    if (!st) st = add_columns(q);
    if (!st) st = add_labels(q);
    if (!st) st = rt_drift_hold_heads(w, rows);
    w->dim = st ? 0 : rt_heads_width(w->head, w->heads);
    strcpy(w->feature_of, "answers of the model");
    int most = st ? 0 : w->dim > rt_heads_width(b->head, b->heads) ? w->dim : rt_heads_width(b->head, b->heads);
    if (!st) {
        own = calloc((size_t)most + 1, sizeof *own);
        z = calloc((size_t)most + 1, sizeof *z);
        if (!own || !z) st = no_memory();
    }
    for (int s = 0; s < RT_DRIFT_SIDES && !st; s++) {
        w->feature[s] = malloc((size_t)w->side[s].sampled * (size_t)w->dim * sizeof(float) + 8);
        st = w->feature[s] ? hold_side(q, s, own, z, w->dim) : no_memory();
    }
    free(own);
    free(z);
    free(q->place);
    free(q);
    return st;
}
