#include <math.h>
#include <stdlib.h>

#include "engine/clock.h"
#include "experiments/evaluator_parts.h"

enum { ROWS_PER_TILE = 8 };

typedef struct { rt_row_score row; double kl; } row_score;

/* One model's logits of a batch, and what each row's score is made of. */
typedef struct {
    const rt_evaluation *v;
    const float *z, *reference;        /* (rows, K): the model's, model 0's; NULL: this is model 0 */
    const int32_t *y;                  /* (rows) class or RT_NO_LABEL */
    int rows;
    double *log_sum;                   /* (rows) of model 0: log sum exp of its logits */
    row_score *score;                  /* (rows) */
} job;

/* Sum over c of q_c (log q_c - log p_c): q the reference's distribution, p this model's. */
static double divergence(const job *j, int r, const float *z, double log_sum)
{
    int k = j->v->classes;
    const float *q = j->reference + (size_t)r * (size_t)k;
    double kl = 0;
    for (int c = 0; c < k; c++) {
        double log_q = q[c] - j->log_sum[r], log_p = z[c] - log_sum;
        kl += exp(log_q) * (log_q - log_p);
    }
    return kl > 0 ? kl : 0;            /* rounding alone makes it negative */
}

static void score_row(const job *j, int r)
{
    const float *z = j->z + (size_t)r * (size_t)j->v->classes;
    row_score *s = &j->score[r];
    *s = (row_score){.row = rt_score_row(z, j->v->classes, j->y[r] == RT_NO_LABEL ? -1 : j->y[r])};
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

/* Adds the batch's scores in the order of its rows. first: what model 0 answered. */
static rt_status count(const job *j, rt_eval_model *e, const uint64_t *row, int *first)
{
    rt_eval_quality *q = &e->quality;
    size_t k = (size_t)j->v->classes;
    for (int r = 0; r < j->rows; r++) {
        const row_score *s = &j->score[r];
        if (s->row.answer < 0)
            return rt_fail(RT_INPUT, "%s: gives a logit that is not finite for row %llu", e->path[0],
                           (unsigned long long)row[r]);
        int y = j->y[r], answer = s->row.answer, right = answer == y;
        if (!j->reference) first[r] = answer;
        q->agree += answer == first[r];
        q->kl += s->kl;
        if (y == RT_NO_LABEL) continue;
        q->reference_only += first[r] == y && !right;
        q->this_only += first[r] != y && right;
        if (q->confusion) q->confusion[(size_t)y * k + (size_t)answer]++;
        rt_scores_add(&q->scores, &s->row, j->z + (size_t)r * k, y);
    }
    return RT_OK;
}

/* A micro-batch at a time, so that a large model can be stopped between them. */
static rt_status answer(const rt_evaluation *v, const rt_eval_model *e, const char *raw, int rows, float *z)
{
    int micro = rt_predictor_micro(e->predictor);
    size_t row = rt_source_row_bytes(v->x);
    for (int at = 0; at < rows; at += micro) {
        int n = rows - at < micro ? rows - at : micro;
        rt_predict_raw(e->predictor, raw + (size_t)at * row, rt_source_type(v->x), n,
                       z + (size_t)at * (size_t)v->classes);
        RT_TRY(rt_check_stop());
    }
    return RT_OK;
}

static rt_status score_batch(rt_evaluation *v, const rt_batch *b, job *j, float *z, float *reference, int32_t *y,
                             int *first)
{
    if (v->y) RT_TRY(rt_targets_read(v->y, b->row, b->rows, y));
    for (int r = 0; r < b->rows; r++) {
        if (!v->y) y[r] = RT_NO_LABEL;
        v->labelled += y[r] != RT_NO_LABEL;
    }
    j->rows = b->rows;
    for (int i = 0; i < v->count; i++) {
        rt_eval_model *e = &v->model[i];
        j->z = i ? z : reference;
        j->reference = i ? reference : NULL;
        RT_TRY(answer(v, e, b->x, b->rows, i ? z : reference));
        rt_pool_run(v->pool, (b->rows + ROWS_PER_TILE - 1) / ROWS_PER_TILE, score_tile, j);
        RT_TRY(count(j, e, b->row, first));
    }
    return RT_OK;
}

rt_status rt_eval_score(rt_evaluation *v)
{
    rt_stream *stream;
    rt_stream_spec spec = {.x = v->x, .rows = &v->rows, .classes = v->classes, .batch = RT_EVAL_BATCH, .keep_tail = 1,
                           .prefetch = 2};
    for (int i = 0; i < v->count; i++)
        RT_TRY(rt_scores_begin(&v->model[i].quality.scores, RT_TASK_CLASSES, v->classes, v->y != NULL, v->rows.count));
    RT_TRY(rt_stream_open(&stream, &spec, 0));
    size_t logits = (size_t)RT_EVAL_BATCH * (size_t)v->classes;
    float *z = rt_floats_new(logits), *reference = rt_floats_new(logits);
    double log_sum[RT_EVAL_BATCH];
    row_score score[RT_EVAL_BATCH];
    int32_t y[RT_EVAL_BATCH];
    int first[RT_EVAL_BATCH];
    job j = {.v = v, .y = y, .log_sum = log_sum, .score = score};
    rt_status st = z && reference ? RT_OK : RT_RUN;
    uint64_t done = 0;
    double start = rt_seconds();
    for (uint64_t g = 0; g < rt_stream_steps(stream) && !st; g++) {
        const rt_batch *b;
        st = rt_stream_next(stream, &b);
        if (!st) st = score_batch(v, b, &j, z, reference, y, first);
        if (st) break;
        done += (uint64_t)b->rows;
        double rate = (double)done / (rt_seconds() - start + 1e-9);
        rt_progress_update(v->progress, "evaluate", (double)done, (double)v->rows.count, rate, "rows", "");
    }
    free(z);
    free(reference);
    rt_stream_close(stream);
    return st;
}
