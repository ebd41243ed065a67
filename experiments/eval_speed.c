#include <math.h>
#include <stdlib.h>

#include "engine/clock.h"
#include "experiments/evaluator_parts.h"

const int rt_eval_size[RT_EVAL_SIZES] = {1, 16, 64, 256};

enum { RAW_ROWS = 256, CLOCK_READS = 2000 };
static const double disturbed_share = 0.1, disturbed_seconds = 10e-6;   /* wall time beyond CPU time */
static const double group_seconds = 20e-6;       /* shorter calls share one reading of the CPU clock */
static const double warm_seconds = 1, longest_call = 0.5, report_every = 0.1;

/* A call waited when it took longer than what a call needs of the CPU, by 10 % and 10 us. Of a single call that need is
 * known; of a group it is the mean, and it counts only when the group as a whole has waited. */
void rt_eval_disturbed(const double *stamp, int calls, double cpu, unsigned char *lost)
{
    double wall = stamp[calls] - stamp[0], need = cpu / calls;
    int waited = wall > cpu * (1 + disturbed_share) + disturbed_seconds;
    for (int k = 0; k < calls; k++)
        lost[k] = waited && stamp[k + 1] - stamp[k] > need * (1 + disturbed_share) + disturbed_seconds;
}

/* How far timing has come, over all models. */
typedef struct {
    double start, shown;
    uint64_t taken, total;             /* calls of batch 1 */
} course;

static rt_status go_on(const rt_evaluation *v, course *c, const rt_eval_model *e)
{
    RT_TRY(rt_check_stop());
    double now = rt_seconds();
    if (now - c->shown < report_every) return RT_OK;
    c->shown = now;
    double rate = (double)c->taken / (now - c->start + 1e-9);
    rt_progress_update(v->progress, "measure", (double)c->taken, (double)c->total, rate, "calls", e->name);
    return RT_OK;
}

/* What one reading of the clock adds between two others: the least of many. */
static double clock_cost(void)
{
    double least = 1, last = rt_seconds();
    for (int i = 0; i < CLOCK_READS; i++) {
        double now = rt_seconds();
        least = fmin(least, now - last);
        last = now;
    }
    return least;
}

static rt_status prepare(rt_evaluation *v, rt_eval_model *e)
{
    rt_eval_speed *s = &e->speed;
    uint64_t rows[RAW_ROWS];
    s->raw = malloc(rt_source_row_bytes(v->data.x) * RAW_ROWS + 64);
    s->sample = malloc((size_t)v->set.samples * sizeof *s->sample);
    if (!s->raw || !s->sample) return rt_fail(RT_RUN, "out of memory for %d timings", v->set.samples);
    for (int i = 0; i < RAW_ROWS; i++) rows[i] = rt_rows_at(&v->data.rows, (uint64_t)i % v->data.rows.count);
    RT_TRY(rt_source_read(v->data.x, rows, RAW_ROWS, s->raw));
    RT_TRY(rt_teacher_twin(&s->one, e->teacher));
    return rt_teacher_ready(s->one, v->single, 1, NULL, 0);
}

static rt_status ask(rt_teacher *t, const char *raw, int rows, float *z)
{
    rt_feed q = {.raw = raw, .rows = rows};
    return rt_teacher_ask(t, &q, z);
}

static const char *raw_row(const rt_evaluation *v, const rt_eval_model *e, uint64_t k)
{
    return e->speed.raw + k % RAW_ROWS * rt_source_row_bytes(v->data.x);
}

/* The first call, then calls until a window of them is within 5 % of the one before, at most a second. */
static rt_status warm_up(rt_evaluation *v, rt_eval_model *e, float *z, course *c)
{
    enum { WINDOW = 50 };
    rt_eval_speed *s = &e->speed;
    double start = rt_seconds(), last = 0;
    RT_TRY(ask(s->one, s->raw, 1, z));
    s->cold = fmax(0, rt_seconds() - start - v->clock_cost);
    s->call = s->cold;
    for (int warm = 0; !warm;) {
        double begun = rt_seconds(), now = begun;
        int calls = 0;
        while (calls < WINDOW && now - start < warm_seconds) {
            RT_TRY(go_on(v, c, e));
            RT_TRY(ask(s->one, raw_row(v, e, (uint64_t)calls++), 1, z));
            now = rt_seconds();
        }
        if (calls) s->call = (now - begun) / calls;
        warm = now - start >= warm_seconds || fabs(s->call - last) < 0.05 * last;
        last = s->call;
    }
    return RT_OK;
}

/* Plans for the batch sizes whose calls end soon enough to be stopped between them. */
static rt_status plan_batches(rt_evaluation *v, rt_eval_model *e)
{
    rt_eval_speed *s = &e->speed;
    for (int b = 0; b < RT_EVAL_SIZES; b++) {
        double about = s->call * rt_eval_size[b] / rt_pool_threads(v->pool);
        if (b && about > longest_call) {
            rt_eval_note(v->notes,
                         "%s: throughput is not measured at batch %d and above: one call would take about %.1f s",
                         e->name, rt_eval_size[b], about);
            return RT_OK;
        }
        RT_TRY(rt_teacher_twin(&s->many[b], e->teacher));
        RT_TRY(rt_teacher_ready(s->many[b], v->pool, rt_eval_size[b], NULL, 0));
        s->rate[b] = calloc((size_t)v->set.rounds, sizeof *s->rate[b]);
        if (!s->rate[b]) return rt_fail(RT_RUN, "out of memory");
    }
    return RT_OK;
}

/* Calls that share one reading of a clock that would take too much of each. */
static int group_of(double call)
{
    return call * RT_EVAL_GROUP <= group_seconds ? RT_EVAL_GROUP
           : call >= group_seconds               ? 1
                                                 : (int)ceil(group_seconds / call);
}

/* n calls of one row on one thread. The CPU clock is read outside of what is timed. */
static rt_status take_latency(rt_evaluation *v, rt_eval_model *e, uint64_t n, float *z, course *c)
{
    rt_eval_speed *s = &e->speed;
    uint64_t group = (uint64_t)group_of(s->call);
    while (n) {
        double stamp[RT_EVAL_GROUP + 1];
        unsigned char lost[RT_EVAL_GROUP];
        int calls = (int)(n < group ? n : group);
        double cpu = rt_thread_seconds();
        stamp[0] = rt_seconds();
        for (int k = 0; k < calls; k++) {
            RT_TRY(ask(s->one, raw_row(v, e, s->undisturbed + s->disturbed + (uint64_t)k), 1, z));
            stamp[k + 1] = rt_seconds();
        }
        rt_eval_disturbed(stamp, calls, rt_thread_seconds() - cpu, lost);
        for (int k = 0; k < calls; k++) {
            float took = (float)fmax(0, stamp[k + 1] - stamp[k] - v->clock_cost);
            if (lost[k]) s->sample[(uint64_t)v->set.samples - ++s->disturbed] = took;
            else s->sample[s->undisturbed++] = took;
        }
        n -= (uint64_t)calls;
        c->taken += (uint64_t)calls;
        RT_TRY(go_on(v, c, e));
    }
    return RT_OK;
}

/* Calls of one batch size for a while, after one that is not counted. */
static rt_status take_rate(rt_evaluation *v, rt_eval_model *e, int b, int round, float *z, course *c)
{
    rt_eval_speed *s = &e->speed;
    double window = v->set.seconds / v->set.rounds / RT_EVAL_SIZES * 2, gone;
    uint64_t rows = 0;
    RT_TRY(ask(s->many[b], s->raw, rt_eval_size[b], z));
    int group = group_of(s->call * rt_eval_size[b] / rt_pool_threads(v->pool));
    double start = rt_seconds();
    do {
        RT_TRY(go_on(v, c, e));
        for (int k = 0; k < group; k++) RT_TRY(ask(s->many[b], s->raw, rt_eval_size[b], z));
        rows += (uint64_t)group * (uint64_t)rt_eval_size[b];
    } while ((gone = rt_seconds() - start) < window);
    s->rate[b][round] = (float)((double)rows / gone);
    return RT_OK;
}

/* A store has no speed. */
static int computes(const rt_eval_model *e) { return (rt_teacher_abilities(e->teacher) & RT_TEACHER_COMPUTES) != 0; }

static rt_status take_rounds(rt_evaluation *v, float *z, course *c)
{
    uint64_t samples = (uint64_t)v->set.samples, rounds = (uint64_t)v->set.rounds;
    for (int i = 0; i < v->count; i++) {
        if (!computes(&v->model[i])) continue;
        RT_TRY(prepare(v, &v->model[i]));
        RT_TRY(warm_up(v, &v->model[i], z, c));
        RT_TRY(plan_batches(v, &v->model[i]));
    }
    for (uint64_t round = 0; round < rounds; round++)
        for (int i = 0; i < v->count; i++) {
            rt_eval_model *e = &v->model[i];
            if (!computes(e)) continue;
            RT_TRY(take_latency(v, e, samples * (round + 1) / rounds - samples * round / rounds, z, c));
            for (int b = 0; b < RT_EVAL_SIZES && e->speed.many[b]; b++) RT_TRY(take_rate(v, e, b, (int)round, z, c));
        }
    return RT_OK;
}

rt_status rt_eval_measure(rt_evaluation *v)
{
    int widest = 0, count;
    for (int i = 0; i < v->count; i++) {
        const rt_head *head = rt_teacher_heads(v->model[i].teacher, &count);
        if (rt_heads_width(head, count) > widest) widest = rt_heads_width(head, count);
    }
    float *z = rt_floats_new((size_t)RAW_ROWS * (size_t)widest);
    if (!z) return RT_RUN;
    v->clock_cost = clock_cost();
    course c = {.start = rt_seconds(), .total = (uint64_t)v->set.samples * (uint64_t)v->count};
    rt_status st = take_rounds(v, z, &c);
    if (!st) {
        double rate = (double)c.total / (rt_seconds() - c.start + 1e-9);
        rt_progress_update(v->progress, "measure", (double)c.total, (double)c.total, rate, "calls", "");
    }
    free(z);
    return st;
}
