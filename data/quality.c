#include "data/quality.h"

#include <math.h>
#include <stdlib.h>

#include "data/quality_parts.h"

#define CLOSE 1e-6                     /* what cleanlab takes for equal */

const char *const rt_quality_methods[] = {"low_self_confidence", "low_normalized_margin", "prune_by_noise_rate",
                                          "prune_by_class", "both", "confident_learning", "predicted_neq_given", NULL};

/* A stream of keys of rows: of label `given` (-1: of all), for class `other`. */
typedef struct { int32_t given, other; } stream;

typedef struct {
    const rt_quality_input *in;
    const rt_quality_job *job;
    rt_quality *q;
    int32_t *y;                        /* (block) */
    double *p;                         /* (block, K) */
    rt_quality_row *found;             /* (block) */
    double *sum, *lost;                /* (K) of p(r, y), and what rounding took from it */
    double shift, all;                 /* of the adjusted score: max t, and the sum over classes */
    uint64_t off;                      /* rows that confident_learning finds */
    stream *of;                        /* by label */
    rt_least *least;
    size_t streams;
    size_t *at;                        /* (K + 1) streams of a label */
} search;

/* ---- a row ---- */

static int largest(const double *p, int n)
{
    int best = 0;
    for (int j = 1; j < n; j++) if (p[j] > p[best]) best = j;
    return best;
}

/* Whether p(y) + CLOSE is the first of the largest. */
static int agrees(const double *p, int n, int y)
{
    double own = p[y] + CLOSE;
    for (int j = 0; j < y; j++) if (p[j] >= own) return 0;
    for (int j = y + 1; j < n; j++) if (p[j] > own) return 0;
    return 1;
}

static int guess_of(const double *p, const double *threshold, int n)
{
    int only = -1, confident = 0;
    for (int j = 0; j < n; j++) {
        if (!(p[j] >= threshold[j] - CLOSE)) continue;
        if (!confident++) only = j;
    }
    return confident > 1 ? largest(p, n) : only;
}

static double margin_of(const double *p, int n, int y)
{
    double other = -INFINITY;
    for (int j = 0; j < n; j++) if (j != y && p[j] > other) other = p[j];
    return (p[y] - other + 1) / 2;
}

/* ---- passes ---- */

typedef void (*visit)(search *, const double *p, int32_t y, rt_quality_row *);

static rt_status pass(search *s, const char *what, visit f, int put)
{
    const rt_quality_input *in = s->in;
    size_t k = (size_t)in->classes;
    for (uint64_t first = 0; first < in->rows;) {
        int n = in->rows - first < (uint64_t)s->job->block ? (int)(in->rows - first) : s->job->block;
        RT_TRY(in->read(in->of, first, n, s->y, s->p));
        for (int i = 0; i < n; i++) f(s, s->p + (size_t)i * k, s->y[i], &s->found[i]);
        if (put && s->job->put) RT_TRY(s->job->put(s->job->to, first, n, s->found));
        first += (uint64_t)n;
        rt_progress_update(s->job->progress, what, (double)first, (double)in->rows, 0, "rows", "");
        RT_TRY(rt_check_stop());
    }
    s->q->passes++;
    return RT_OK;
}

/* Sums are compensated, in the order of rows: they do not depend on the block. */
static void add_confidence(search *s, const double *p, int32_t y, rt_quality_row *found)
{
    (void)found;
    if (y < 0) return;
    double v = p[y], sum = s->sum[y] + v;
    s->lost[y] += fabs(s->sum[y]) >= fabs(v) ? (s->sum[y] - sum) + v : (v - sum) + s->sum[y];
    s->sum[y] = sum;
    s->q->given[y]++;
    s->q->labelled++;
}

static rt_status find_thresholds(search *s)
{
    rt_quality *q = s->q;
    RT_TRY(pass(s, "thresholds", add_confidence, 0));
    if (!q->labelled) return rt_fail(RT_NOTHING, "none of %llu rows has a label", (unsigned long long)q->rows);
    s->shift = -INFINITY;
    for (int k = 0; k < q->classes; k++) {
        double mean = q->given[k] ? (s->sum[k] + s->lost[k]) / (double)q->given[k] : 2;
        q->threshold[k] = mean > 2 * CLOSE ? mean : 2 * CLOSE;
        s->shift = fmax(s->shift, q->threshold[k]);
    }
    return RT_OK;
}

static void count_joint(search *s, const double *p, int32_t y, rt_quality_row *found)
{
    (void)found;
    if (y < 0) return;
    int n = s->q->classes, guess = guess_of(p, s->q->threshold, n);
    if (guess < 0) return;
    s->q->confident[(size_t)y * (size_t)n + (size_t)guess]++;
    s->off += guess != y && !agrees(p, n, y);
}

static rt_status find_joint(search *s)
{
    rt_quality *q = s->q;
    size_t k = (size_t)q->classes;
    RT_TRY(pass(s, "joint", count_joint, 0));
    for (size_t i = 0; i < k; i++) if (!q->confident[i * k + i]) q->confident[i * k + i] = 1;
    return rt_quality_calibrate(q->joint, q->confident, q->given, q->classes);
}

/* ---- where the methods cut ---- */

enum { OWN = -1, MARGIN = -2 };

static uint64_t key_for(const stream *t, const double *p, int n, int32_t y)
{
    if (t->other == OWN) return rt_quality_key(p[y]);
    if (t->other == MARGIN) return rt_quality_key(margin_of(p, n, y));
    return rt_quality_key(p[y] - p[t->other]);
}

static void see_keys(search *s, const double *p, int32_t y, rt_quality_row *found)
{
    (void)found;
    if (y < 0) return;
    for (size_t i = s->at[y]; i < s->at[y + 1]; i++)
        if (!s->least[i].done) rt_least_see(&s->least[i], key_for(&s->of[i], p, s->q->classes, y));
}

static void add_stream(search *s, int32_t given, int32_t other, uint64_t take, uint64_t within)
{
    if (take > within) take = within;
    s->of[s->streams] = (stream){given, other};
    s->least[s->streams++] = rt_least_of(take, within);
}

static rt_status make_streams(search *s)
{
    const rt_quality *q = s->q;
    size_t k = (size_t)q->classes, n = 0;
    rt_quality_method m = s->job->method;
    int noise = m == RT_PRUNE_BY_NOISE_RATE || m == RT_PRUNE_BOTH, own = m == RT_PRUNE_BY_CLASS || m == RT_PRUNE_BOTH;
    int64_t *take = calloc(k * k, sizeof *take);
    s->at = calloc(k + 1, sizeof *s->at);
    if (!take || !s->at) return free(take), rt_fail(RT_RUN, "out of memory");
    rt_quality_prune(take, q->joint, q->classes);
    for (size_t i = 0; i < k * k; i++) n += take[i] > 0;
    s->of = calloc(n + k + 1, sizeof *s->of);
    s->least = calloc(n + k + 1, sizeof *s->least);
    if (!s->of || !s->least) return free(take), rt_fail(RT_RUN, "out of memory");
    for (size_t i = 0; i < k; i++) {
        s->at[i] = s->streams;
        if (q->given[i] < 2) continue;
        int64_t go = (int64_t)q->given[i] - take[i * k + i];
        if (own) add_stream(s, (int32_t)i, OWN, go > 0 ? (uint64_t)go : 0, q->given[i]);
        for (size_t j = 0; j < k && noise; j++)
            if (j != i && take[i * k + j] > 0)
                add_stream(s, (int32_t)i, (int32_t)j, (uint64_t)take[i * k + j], q->given[i]);
    }
    s->at[k] = s->streams;
    free(take);
    return RT_OK;
}

/* low_*: one stream for all labels. */
static rt_status make_stream(search *s)
{
    size_t k = (size_t)s->q->classes;
    s->at = calloc(k + 1, sizeof *s->at);
    s->of = calloc(1, sizeof *s->of);
    s->least = calloc(1, sizeof *s->least);
    if (!s->at || !s->of || !s->least) return rt_fail(RT_RUN, "out of memory");
    add_stream(s, -1, s->job->method == RT_LOW_SELF_CONFIDENCE ? OWN : MARGIN, s->off, s->q->labelled);
    return RT_OK;
}

static void see_all(search *s, const double *p, int32_t y, rt_quality_row *found)
{
    (void)found;
    if (y >= 0) rt_least_see(s->least, key_for(s->of, p, s->q->classes, y));
}

static rt_status find_cuts(search *s)
{
    rt_quality_method m = s->job->method;
    int low = m == RT_LOW_SELF_CONFIDENCE || m == RT_LOW_NORMALIZED_MARGIN;
    if (m == RT_CONFIDENT_LEARNING || m == RT_PREDICTED_NEQ_GIVEN) return RT_OK;
    RT_TRY(low ? make_stream(s) : make_streams(s));
    for (size_t open;;) {
        void *room;
        RT_TRY(rt_least_begin(s->least, s->streams, s->job->memory, &room, &open));
        if (!open) return RT_OK;
        rt_status st = pass(s, "cuts", low ? see_all : see_keys, 0);
        if (st) return free(room), st;
        RT_TRY(rt_least_end(s->least, s->streams, room));
    }
}

/* ---- the result ---- */

static int flagged(search *s, const double *p, int32_t y, int suggested)
{
    rt_quality_method m = s->job->method;
    int n = s->q->classes, own = 0, noise = 0;
    if (m == RT_LOW_SELF_CONFIDENCE || m == RT_LOW_NORMALIZED_MARGIN)
        return rt_least_takes(s->least, key_for(s->of, p, n, y));
    if (m == RT_PREDICTED_NEQ_GIVEN) return suggested != y && !agrees(p, n, y);
    if (m == RT_CONFIDENT_LEARNING) {
        int guess = guess_of(p, s->q->threshold, n);
        return guess >= 0 && guess != y && !agrees(p, n, y);
    }
    for (size_t i = s->at[y]; i < s->at[y + 1]; i++) {
        int takes = rt_least_takes(&s->least[i], key_for(&s->of[i], p, n, y));
        if (s->of[i].other == OWN) own |= takes;
        else noise |= takes;
    }
    int issue = m == RT_PRUNE_BOTH ? own && noise : m == RT_PRUNE_BY_CLASS ? own : noise;
    return issue && !agrees(p, n, y);
}

static void judge(search *s, const double *p, int32_t y, rt_quality_row *found)
{
    int n = s->q->classes;
    *found = (rt_quality_row){y, largest(p, n), 0, NAN, NAN, NAN};
    if (y < 0) return;
    double sum = 0;
    for (int j = 0; j < n; j++) sum += p[j] - s->q->threshold[j] + s->shift;
    found->self_confidence = p[y];
    found->normalized_margin = margin_of(p, n, y);
    found->quality = (p[y] - s->q->threshold[y] + s->shift) / sum;
    found->issue = flagged(s, p, y, found->suggested);
    s->q->issues += (uint64_t)found->issue;
    s->q->flagged[y] += (uint64_t)found->issue;
}

static rt_quality *new_result(const rt_quality_input *in)
{
    size_t k = (size_t)in->classes;
    rt_quality *q = calloc(1, sizeof *q);
    if (!q) return NULL;
    q->classes = in->classes;
    q->rows = in->rows;
    q->threshold = calloc(k, sizeof *q->threshold);
    q->given = calloc(k, sizeof *q->given);
    q->flagged = calloc(k, sizeof *q->flagged);
    q->confident = calloc(k * k, sizeof *q->confident);
    q->joint = calloc(k * k, sizeof *q->joint);
    if (q->threshold && q->given && q->flagged && q->confident && q->joint) return q;
    rt_quality_free(q);
    return NULL;
}

rt_status rt_quality_find(rt_quality **out, const rt_quality_input *in, const rt_quality_job *job)
{
    *out = NULL;
    if (in->classes < 2 || in->classes > RT_QUALITY_CLASSES)
        return rt_fail(RT_INPUT, "%d classes, where 2 to %d are expected", in->classes, RT_QUALITY_CLASSES);
    size_t k = (size_t)in->classes, block = (size_t)job->block;
    search s = {.in = in, .job = job, .q = new_result(in), .y = calloc(block, sizeof *s.y),
                .p = calloc(block * k, sizeof *s.p), .found = calloc(block, sizeof *s.found),
                .sum = calloc(k, sizeof *s.sum), .lost = calloc(k, sizeof *s.lost)};
    rt_status st = s.q && s.y && s.p && s.found && s.sum && s.lost ? RT_OK : rt_fail(RT_RUN, "out of memory");
    if (!st) st = find_thresholds(&s);
    if (!st) st = find_joint(&s);
    if (!st) st = find_cuts(&s);
    if (!st) st = pass(&s, "issues", judge, 1);
    if (!st) *out = s.q;
    else rt_quality_free(s.q);
    free(s.y);
    free(s.p);
    free(s.found);
    free(s.sum);
    free(s.lost);
    free(s.of);
    free(s.least);
    free(s.at);
    return st;
}

void rt_quality_free(rt_quality *q)
{
    if (!q) return;
    free(q->threshold);
    free(q->given);
    free(q->flagged);
    free(q->confident);
    free(q->joint);
    free(q);
}
