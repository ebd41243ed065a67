#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine/clock.h"
#include "experiments/eval/evaluator_parts.h"

enum { ROWS_PER_TILE = 8 };

typedef struct { rt_row_score row; double kl; } row_score;

/* One model's answers to a batch, and what each row's score of a head of classes is made of. */
typedef struct {
    const rt_evaluation *v;
    const rt_head *head;
    const float *z, *reference;        /* (rows, W): the model's, model 0's; NULL: this is model 0 */
    const rt_target_rows *y;           /* of the head; without any where there are no labels */
    int rows;
    double *log_sum;                   /* (rows) of model 0: log sum exp of its logits */
    row_score *score;                  /* (rows) */
} job;

/* The head's part of row r of an answer. */
static const float *part(const job *j, const float *answers, int r)
{ return answers + (size_t)r * (size_t)j->v->width + j->head->at; }

static int class_of(const job *j, int r) { return j->y->y ? j->y->y[r] : RT_NO_LABEL; }

/* Sum over c of q_c (log q_c - log p_c): q the reference's distribution, p this model's. */
static double divergence(const job *j, int r, const float *z, double log_sum)
{
    int k = j->head->size;
    const float *q = part(j, j->reference, r);
    double kl = 0;
    for (int c = 0; c < k; c++) {
        double log_q = q[c] - j->log_sum[r], log_p = z[c] - log_sum;
        kl += exp(log_q) * (log_q - log_p);
    }
    return kl > 0 ? kl : 0;            /* rounding alone makes it negative */
}

static void score_row(const job *j, int r)
{
    const float *z = part(j, j->z, r);
    int y = class_of(j, r);
    row_score *s = &j->score[r];
    *s = (row_score){.row = rt_score_row(z, j->head->size, y == RT_NO_LABEL ? -1 : y)};
    if (s->row.answer < 0) return;
    if (j->reference) s->kl = divergence(j, r, z, s->row.log_sum);
    else j->log_sum[r] = s->row.log_sum;
}

static void score_tile(void *arg, int tile, int thread)
{
    const job *j = arg;
    (void)thread;
    for (int r = tile * ROWS_PER_TILE; r < (tile + 1) * ROWS_PER_TILE && r < j->rows; r++) score_row(j, r);
}

static rt_status not_finite(const rt_eval_model *e, const char *what, uint64_t row)
{
    return rt_fail(RT_INPUT, "%s: gives a %s that is not finite for row %llu", e->spec.path[0], what,
                   (unsigned long long)row);
}

/* Adds the batch's scores in the order of its rows. first: what model 0 answered. */
static rt_status count_classes(const job *j, rt_eval_model *e, rt_eval_quality *q, const uint64_t *row, int *first)
{
    size_t k = (size_t)j->head->size;
    rt_pool_run(rt_device_pool(j->v->device), (j->rows + ROWS_PER_TILE - 1) / ROWS_PER_TILE, score_tile, (void *)j);
    for (int r = 0; r < j->rows; r++) {
        const row_score *s = &j->score[r];
        if (s->row.answer < 0) return not_finite(e, "logit", row[r]);
        int y = class_of(j, r), answer = s->row.answer, right = answer == y;
        if (!j->reference) first[r] = answer;
        q->compared++;
        q->agree += answer == first[r];
        q->kl += s->kl;
        if (y == RT_NO_LABEL) continue;
        q->reference_only += first[r] == y && !right;
        q->this_only += first[r] != y && right;
        if (q->confusion) q->confusion[(size_t)y * k + (size_t)answer]++;
        rt_scores_add(&q->scores, &s->row, part(j, j->z, r), y);
    }
    return RT_OK;
}

/* KL of two Bernoulli distributions with these logits, the reference's first. */
static double divergence_of_label(double a, double z)
{
    double q = 1 / (1 + exp(-a)), log_q = -log1p(exp(-fabs(a))) + fmin(a, 0),
           log_p = -log1p(exp(-fabs(z))) + fmin(z, 0);
    double kl = q * (log_q - log_p) + (1 - q) * (log_q - a - log_p + z);
    return kl > 0 ? kl : 0;
}

static rt_status count_labels(const job *j, rt_eval_model *e, rt_eval_quality *q, const uint64_t *row)
{
    size_t k = (size_t)j->head->size;
    for (int r = 0; r < j->rows; r++) {
        const float *z = part(j, j->z, r), *a = j->reference ? part(j, j->reference, r) : z;
        const uint8_t *y = j->y->labels ? j->y->labels + (size_t)r * k : NULL,
                      *mask = y ? j->y->mask + (size_t)r * k : NULL;
        size_t known = 0, wrong = 0, reference_wrong = 0;
        for (size_t i = 0; i < k; i++) {
            if (!isfinite(z[i])) return not_finite(e, "logit", row[r]);
            q->compared++;
            q->agree += (z[i] > 0) == (a[i] > 0);
            q->kl += divergence_of_label(a[i], z[i]);
            if (!y || !mask[i]) continue;
            known++;
            wrong += (z[i] > 0) != y[i];
            reference_wrong += (a[i] > 0) != y[i];
        }
        if (!known) continue;
        q->error[q->scores.rows] = (float)wrong / (float)known;
        q->reference_only += known == k && wrong && !reference_wrong;
        q->this_only += known == k && !wrong && reference_wrong;
        rt_scores_add_labels(&q->scores, z, y, mask);
    }
    return RT_OK;
}

static rt_status count_values(const job *j, rt_eval_model *e, rt_eval_quality *q, const uint64_t *row)
{
    size_t k = (size_t)j->head->size;
    for (int r = 0; r < j->rows; r++) {
        const float *z = part(j, j->z, r), *a = j->reference ? part(j, j->reference, r) : z;
        const float *y = j->y->values ? j->y->values + (size_t)r * k : NULL;
        const uint8_t *mask = y ? j->y->mask + (size_t)r * k : NULL;
        double error = 0;
        size_t known = 0;
        for (size_t i = 0; i < k; i++) {
            if (!isfinite(z[i])) return not_finite(e, "value", row[r]);
            double away = fabs((double)z[i] - a[i]);
            q->compared++;
            q->away += away;
            q->agree += away <= 0.1 * fabs((double)a[i]);
            if (!y || !mask[i]) continue;
            known++;
            error += fabs((double)z[i] - y[i]);
        }
        if (!known) continue;
        q->error[q->scores.rows] = (float)(error / (double)known);
        rt_scores_add_values(&q->scores, z, y, mask);
    }
    return RT_OK;
}

/* A micro-batch at a time, so that a large model can be stopped between them. */
static rt_status answer(const rt_evaluation *v, const rt_eval_model *e, const rt_batch *b, float *z)
{
    int micro = rt_teacher_micro(e->teacher) ? rt_teacher_micro(e->teacher) : b->rows;
    size_t row = rt_source_row_bytes(v->data.x);
    for (int at = 0; at < b->rows; at += micro) {
        rt_feed q = {.raw = b->x + (size_t)at * row, .row = b->row + at,
                         .rows = b->rows - at < micro ? b->rows - at : micro};
        RT_TRY(rt_teacher_ask(e->teacher, &q, z + (size_t)at * (size_t)v->width));
        RT_TRY(rt_check_stop());
    }
    return RT_OK;
}

/* A side of the pair has answered already; at: the batch's first row among all. */
static void take_answers(const rt_evaluation *v, int side, uint64_t at, int rows, float *z)
{
    for (int h = 0; h < v->heads; h++) {
        size_t size = (size_t)v->head[h].size;
        const float *own = rt_comparison_answers(v->pair.comparison, side, h);
        for (int r = 0; r < rows && own; r++)
            memcpy(z + (size_t)r * (size_t)v->width + v->head[h].at, own + (at + (size_t)r) * size, size * sizeof *z);
    }
}

/* What is kept between the models, and the batches, of a pass. */
typedef struct {
    float *z, *reference;              /* (batch, W) */
    rt_target_rows y[RT_MAX_HEADS];
    double log_sum[RT_MAX_HEADS][RT_EVAL_BATCH];
    int first[RT_MAX_HEADS][RT_EVAL_BATCH];
    row_score score[RT_EVAL_BATCH];
} pass;

static rt_status score_heads(rt_evaluation *v, rt_eval_model *e, const rt_batch *b, pass *p)
{
    job j = {.v = v, .z = e == v->model ? p->reference : p->z, .reference = e == v->model ? NULL : p->reference,
             .rows = b->rows, .score = p->score};
    for (int h = 0; h < v->heads; h++) {
        rt_eval_quality *q = &e->quality[h];
        if (!q->there) continue;
        j.head = &v->head[h];
        j.y = &p->y[h];
        j.log_sum = p->log_sum[h];
        switch (v->head[h].task) {
        case RT_TASK_CLASSES: RT_TRY(count_classes(&j, e, q, b->row, p->first[h])); break;
        case RT_TASK_MULTILABEL: RT_TRY(count_labels(&j, e, q, b->row)); break;
        case RT_TASK_REAL: RT_TRY(count_values(&j, e, q, b->row)); break;
        case RT_TASK_COUNT: break;
        }
    }
    return RT_OK;
}

static rt_status score_batch(rt_evaluation *v, const rt_batch *b, uint64_t at, pass *p)
{
    for (int h = 0; h < v->heads; h++)
        if (v->data.y[h]) RT_TRY(rt_targets_read_rows(v->data.y[h], b->row, b->rows, &p->y[h]));
    for (int r = 0; r < b->rows; r++) {
        int any = 0;
        for (int h = 0; h < v->heads; h++) {
            int has = v->data.y[h] && rt_target_has(&p->y[h], v->head[h].task, v->head[h].size, r);
            v->labelled[h] += (uint64_t)has;
            any |= has;
        }
        v->labelled_rows += (uint64_t)any;
    }
    for (int i = 0; i < v->count; i++) {
        int side = rt_eval_side(v, i);
        if (side < 0) RT_TRY(answer(v, &v->model[i], b, i ? p->z : p->reference));
        else take_answers(v, side, at, b->rows, i ? p->z : p->reference);
        RT_TRY(score_heads(v, &v->model[i], b, p));
    }
    return RT_OK;
}

static rt_status make_room(rt_evaluation *v, pass *p)
{
    size_t n = (size_t)RT_EVAL_BATCH * (size_t)v->width;
    p->z = rt_floats_new(n);
    p->reference = rt_floats_new(n);
    if (!p->z || !p->reference) return RT_RUN;
    for (int h = 0; h < v->heads; h++) {
        const rt_head *head = &v->head[h];
        if (v->data.y[h]) RT_TRY(rt_target_rows_new(&p->y[h], head->task, head->size, RT_EVAL_BATCH));
        for (int i = 0; i < v->count; i++)
            RT_TRY(rt_scores_begin(&v->model[i].quality[h].scores, head->task, head->size, v->data.y[h] != NULL,
                                   v->data.rows.count));
    }
    return RT_OK;
}

rt_status rt_eval_score(rt_evaluation *v)
{
    rt_stream *stream = NULL;
    rt_stream_spec spec = {
        .x = v->data.x, .rows = &v->data.rows, .batch = RT_EVAL_BATCH, .keep_tail = 1, .prefetch = 2};
    pass *p = calloc(1, sizeof *p);
    rt_status st = p ? make_room(v, p) : rt_fail(RT_RUN, "out of memory");
    for (int i = 0; i < v->count; i++) rt_teacher_ids(v->model[i].teacher, v->data.x, spec.ids);
    if (!st) st = rt_stream_open(&stream, &spec, 0);
    uint64_t done = 0;
    double start = rt_seconds();
    for (uint64_t g = 0; !st && g < rt_stream_steps(stream); g++) {
        const rt_batch *b;
        st = rt_stream_next(stream, &b);
        if (!st) st = score_batch(v, b, done, p);
        if (st) break;
        done += (uint64_t)b->rows;
        double rate = (double)done / (rt_seconds() - start + 1e-9);
        rt_progress_update(v->progress, "evaluate", (double)done, (double)v->data.rows.count, rate, "rows", "");
    }
    rt_stream_close(stream);
    for (int h = 0; h < RT_MAX_HEADS && p; h++) rt_target_rows_free(&p->y[h]);
    if (p) {
        free(p->z);
        free(p->reference);
    }
    free(p);
    return st;
}
