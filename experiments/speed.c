#include "experiments/speed.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine/clock.h"
#include "engine/memory.h"
#include "engine/rng.h"
#include "experiments/eval/eval_data.h"
#include "experiments/statistics/statistics.h"

const int rt_speed_size[RT_SPEED_SIZES] = {1, 16, 64, 256};

enum { RAW_ROWS = 256, CLOCK_READS = 2000, COLD_RUNS = 5 };
static const double disturbed_share = 0.1, disturbed_seconds = 10e-6;   /* wall time beyond CPU time */
static const double group_seconds = 20e-6;       /* shorter calls share one reading of the CPU clock */
static const double warm_seconds = 1, longest_call = 0.5, report_every = 0.1, idle_seconds = 0.2, cold_seconds = 5;

/* A call waited when it took longer than what a call needs of the CPU, by 10 % and 10 us. Of a single call that need is
 * known; of a group it is the mean, and it counts only when the group as a whole has waited. */
void rt_speed_disturbed(const double *stamp, int calls, double cpu, unsigned char *lost)
{
    double wall = stamp[calls] - stamp[0], need = cpu / calls;
    int waited = wall > cpu * (1 + disturbed_share) + disturbed_seconds;
    for (int k = 0; k < calls; k++)
        lost[k] = waited && stamp[k + 1] - stamp[k] > need * (1 + disturbed_share) + disturbed_seconds;
}

rt_status rt_speed_window(rt_status (*fn)(void *arg), rt_status (*end)(void *arg), void *arg, int group, double seconds,
                          double *rate, double *of_cpu)
{
    double start = rt_seconds(), cpu = rt_process_seconds(), gone;
    uint64_t calls = 0;
    do {
        RT_TRY(rt_check_stop());
        for (int k = 0; k < group; k++, calls++) RT_TRY(fn(arg));
    } while (rt_seconds() - start < seconds);
    if (end) RT_TRY(end(arg));
    gone = rt_seconds() - start;
    *rate = (double)calls / gone;
    if (of_cpu) *of_cpu = (double)calls / (rt_process_seconds() - cpu);
    return RT_OK;
}

static rt_status go_on(rt_speed *s, const rt_speed_subject *e)
{
    RT_TRY(rt_check_stop());
    double now = rt_seconds();
    if (now - s->shown < report_every) return RT_OK;
    s->shown = now;
    double rate = (double)s->calls / (now - s->began + 1e-9);
    double planned = fmax((double)s->calls_planned, (double)s->calls);         /* rounds may go on */
    rt_progress_update(s->progress, "measure", (double)s->calls, planned, rate, "calls", e->name);
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

static int on_card(const rt_speed *s) { return !rt_device_is_cpu(s->device); }

static int rows_of(int scenario) { return scenario == RT_MULTI_STREAM ? RT_SPEED_STREAMS : 1; }

static rt_status ask(rt_teacher *t, const char *raw, int rows, float *z)
{
    rt_feed q = {.raw = raw, .rows = rows};
    return rt_teacher_ask(t, &q, z);
}

/* The rows of call k. */
static const char *raw_rows(const rt_speed *s, int rows, uint64_t k)
{
    return s->raw + k * (uint64_t)rows % RAW_ROWS * rt_source_row_bytes(s->x);
}

/* ---- before the rounds ---- */

/* The first call, then calls until a window of them is within 5 % of the one before, at most a second. */
static rt_status warm_up(rt_speed *s, rt_speed_subject *e, int scenario)
{
    enum { WINDOW = 50 };
    rt_teacher *t = e->stream[scenario];
    int rows = rows_of(scenario);
    double start = rt_seconds(), last = 0, call;
    RT_TRY(ask(t, s->raw, rows, s->answer));
    call = fmax(0, rt_seconds() - start - s->clock_cost);
    if (scenario == RT_SINGLE_STREAM) e->first = call;
    for (int warm = 0; !warm;) {
        double begun = rt_seconds(), now = begun;
        int calls = 0;
        while (calls < WINDOW && now - start < warm_seconds) {
            RT_TRY(go_on(s, e));
            RT_TRY(ask(t, raw_rows(s, rows, (uint64_t)calls++), rows, s->answer));
            now = rt_seconds();
        }
        if (calls) call = (now - begun) / calls;
        warm = now - start >= warm_seconds || fabs(call - last) < 0.05 * last;
        last = call;
    }
    if (scenario == RT_SINGLE_STREAM || e->call == 0) e->call = call / rows;
    return RT_OK;
}

/* Plans for the batch sizes whose calls end soon enough to be stopped between them. */
static rt_status plan_batches(rt_speed *s, rt_speed_subject *e)
{
    for (int b = 0; b < RT_SPEED_SIZES; b++) {
        double about = e->call * rt_speed_size[b] / rt_device_threads(s->device);
        if (b && about > longest_call) {
            rt_eval_note(s->notes,
                         "%s: throughput is not measured at batch %d and above: one call would take about %.1f s",
                         e->name, rt_speed_size[b], about);
            return RT_OK;
        }
        RT_TRY(rt_teacher_twin(&e->many[b], e->teacher));
        RT_TRY(rt_teacher_ready(e->many[b], s->device, rt_speed_size[b], NULL, 0));
        e->rate[b] = calloc(RT_SPEED_ROUNDS, sizeof *e->rate[b]);
        e->joules[b] = calloc(RT_SPEED_ROUNDS, sizeof *e->joules[b]);
        if (!e->rate[b] || !e->joules[b]) return rt_fail(RT_RUN, "out of memory");
    }
    return RT_OK;
}

/* SingleStream is planned always: how long a call takes decides on the rest. */
static rt_status prepare(rt_speed *s, rt_speed_subject *e)
{
    for (int k = 0; k < 2; k++) {
        if (k == RT_MULTI_STREAM && !(s->scenarios & 1u << k)) continue;
        RT_TRY(rt_teacher_twin(&e->stream[k], e->teacher));
        RT_TRY(rt_teacher_ready(e->stream[k], on_card(s) ? s->device : s->single, rows_of(k), NULL, 0));
        for (int q = 0; q < RT_QUANTILES; q++) {
            e->calls[k].round[q] = calloc(RT_SPEED_ROUNDS, sizeof(float));
            if (!e->calls[k].round[q]) return rt_fail(RT_RUN, "out of memory");
        }
        RT_TRY(warm_up(s, e, k));
    }
    return s->scenarios & 1u << RT_OFFLINE ? plan_batches(s, e) : RT_OK;
}

/* ---- a round ---- */

static rt_status make_room(rt_speed_calls *c, uint64_t more)
{
    uint64_t n = c->undisturbed + c->disturbed + more;
    float *p = realloc(c->sample, (n + 1) * sizeof *p);
    if (!p) return rt_fail(RT_RUN, "out of memory for %llu timings", (unsigned long long)n);
    memmove(p + n - c->disturbed, p + c->room - c->disturbed, c->disturbed * sizeof *p);
    c->sample = p;
    c->room = n;
    return RT_OK;
}

/* Calls that share one reading of a clock that would take too much of each. */
static int group_of(double call)
{
    return call * RT_SPEED_GROUP <= group_seconds ? RT_SPEED_GROUP
           : call >= group_seconds                ? 1
                                                  : (int)ceil(group_seconds / call);
}

/* Percentiles of a round's undisturbed calls: the median, and the smallest sample that so many are not above. */
static rt_status close_round(const rt_speed *s, rt_speed_calls *c, uint64_t first)
{
    static const double share[RT_QUANTILES] = {0.5, 0.9, 0.99};
    uint64_t n = c->undisturbed - first;
    float *v = malloc((2 * n + 1) * sizeof *v);
    if (!v) return rt_fail(RT_RUN, "out of memory");
    memcpy(v, c->sample + first, n * sizeof *v);
    rt_sort_floats(v, v + n, n);
    for (int q = 0; q < RT_QUANTILES; q++) {
        double needs = q == RT_P50 ? 1 : 1 / (1 - share[q]) - 1e-9;
        float *to = &c->round[q][s->taken];
        if ((double)n < needs) *to = NAN;
        else *to = q == RT_P50 ? (float)rt_median(v, n) : v[(uint64_t)ceil(share[q] * (double)n) - 1];
    }
    free(v);
    return RT_OK;
}

/* n calls on one thread. The CPU clock is read outside of what is timed. */
static rt_status take_calls(rt_speed *s, rt_speed_subject *e, int scenario, uint64_t n)
{
    rt_speed_calls *c = &e->calls[scenario];
    int rows = rows_of(scenario);
    uint64_t group = (uint64_t)group_of(e->call * rows), first = c->undisturbed;
    RT_TRY(make_room(c, n));
    while (n) {
        double stamp[RT_SPEED_GROUP + 1];
        unsigned char lost[RT_SPEED_GROUP];
        int calls = (int)(n < group ? n : group);
        double cpu = rt_thread_seconds();
        stamp[0] = rt_seconds();
        for (int k = 0; k < calls; k++) {
            const char *raw = raw_rows(s, rows, c->undisturbed + c->disturbed + (uint64_t)k);
            RT_TRY(ask(e->stream[scenario], raw, rows, s->answer));
            stamp[k + 1] = rt_seconds();
        }
        if (on_card(s)) memset(lost, 0, sizeof lost);        /* a call waits for the card, and that is its time */
        else rt_speed_disturbed(stamp, calls, rt_thread_seconds() - cpu, lost);
        for (int k = 0; k < calls; k++) {
            float took = (float)fmax(0, stamp[k + 1] - stamp[k] - s->clock_cost);
            if (lost[k]) c->sample[c->room - ++c->disturbed] = took;
            else c->sample[c->undisturbed++] = took;
        }
        n -= (uint64_t)calls;
        s->calls += (uint64_t)calls;
        RT_TRY(go_on(s, e));
    }
    return close_round(s, c, first);
}

typedef struct { rt_speed *s; rt_speed_subject *e; int size; } batch_call;

static rt_status call_batch(void *arg)
{
    batch_call *b = arg;
    RT_TRY(ask(b->e->many[b->size], b->s->raw, rt_speed_size[b->size], b->s->answer));
    return go_on(b->s, b->e);
}

/* Calls of one batch size for a while, after one that is not counted. */
static rt_status take_rate(rt_speed *s, rt_speed_subject *e, int b)
{
    batch_call call = {s, e, b};
    double rate, start;
    rt_energy_count before, after;
    rt_joules used;
    RT_TRY(call_batch(&call));
    int group = group_of(e->call * rt_speed_size[b] / rt_device_threads(s->device));
    rt_energy_read(&s->energy, &before);
    start = rt_seconds();
    RT_TRY(rt_speed_window(call_batch, NULL, &call, group, s->seconds / s->rounds / RT_SPEED_SIZES, &rate, NULL));
    double seconds = rt_seconds() - start, rows = rate * rt_speed_size[b];
    rt_energy_read(&s->energy, &after);
    e->rate[b][s->taken] = (float)rows;
    e->joules[b][s->taken] = NAN;
    if (!rt_energy_between(&s->energy, &before, &after, &used)) return RT_OK;
    e->joules[b][s->taken] = (float)((used.package + used.dram) / (rows * seconds));
    e->used.package += used.package;
    e->used.dram += used.dram;
    e->used_rows += rows * seconds;
    e->used_seconds += seconds;
    return RT_OK;
}

/* Calls of a scenario in this round: their share of the samples, of a slow model what fits into its time. */
static uint64_t calls_of(const rt_speed *s, const rt_speed_subject *e, int scenario)
{
    uint64_t samples = (uint64_t)s->samples, rounds = (uint64_t)s->rounds, round = (uint64_t)s->taken % rounds;
    uint64_t n = samples * (round + 1) / rounds - samples * round / rounds;
    if (scenario == RT_MULTI_STREAM && !s->bounded)
        n = (n + RT_SPEED_STREAMS - 1) / RT_SPEED_STREAMS; /* as many rows */
    double share = s->most / 2 / s->rounds / s->count / RT_SCENARIOS, call = e->call * rows_of(scenario);
    if (s->bounded && (double)n * call > share) n = (uint64_t)fmax(1, share / call);
    return n;
}

static rt_status take_turn(rt_speed *s, rt_speed_subject *e)
{
    for (int k = 0; k < 2; k++)
        if (s->scenarios & 1u << k) RT_TRY(take_calls(s, e, k, calls_of(s, e, k)));
    for (int b = 0; b < RT_SPEED_SIZES && e->many[b]; b++) RT_TRY(take_rate(s, e, b));
    return RT_OK;
}

static int any_noise(const rt_speed *s)
{
    for (int k = 0; k < RT_SCENARIOS; k++)
        if (s->scenarios & 1u << k && rt_speed_noise(s, (rt_scenario)k).noisy) return 1;
    return 0;
}

static rt_status take_rounds(rt_speed *s)
{
    double start = rt_seconds();
    do {
        for (int i = 0; i < s->count; i++) {
            uint64_t turn = rt_permute((uint64_t)i, (uint64_t)s->count, s->seed, RT_RNG_ORDER, (uint32_t)s->taken, 0);
            RT_TRY(take_turn(s, &s->subject[turn]));
        }
        s->taken++;
    } while (s->taken < s->rounds ||
             (s->taken < RT_SPEED_ROUNDS && rt_seconds() - start < s->most && any_noise(s)));
    return RT_OK;
}

/* A turn each, again and again; no turn begins when the time is gone, but for the first. */
static rt_status start_cold(rt_speed *s)
{
    double start = rt_seconds();
    for (int r = 0; r < COLD_RUNS && (!r || rt_seconds() - start < cold_seconds); r++)
        for (int i = 0; i + 1 < s->count; i++) {
            rt_speed_subject *e = &s->subject[i];
            if (!e->cold.model) continue;
            RT_TRY(rt_cold_start(&e->cold, s->device));
            rt_progress_update(s->progress, "cold start", r, COLD_RUNS, (r + 1) / (rt_seconds() - start + 1e-9),
                               "starts", e->name);
        }
    return RT_OK;
}

static rt_status read_rows(rt_speed *s)
{
    uint64_t rows[RAW_ROWS];
    int widest = 0, count;
    for (int i = 0; i < s->count; i++) {
        const rt_head *head = rt_teacher_heads(s->subject[i].teacher, &count);
        if (rt_heads_width(head, count) > widest) widest = rt_heads_width(head, count);
    }
    s->single = on_card(s) ? NULL : rt_device_cpu(1);
    if (!s->single && !on_card(s)) return RT_RUN;
    s->answer = rt_floats_new((size_t)RAW_ROWS * (size_t)widest);
    if (!s->answer) return RT_RUN;
    s->raw = malloc(rt_source_row_bytes(s->x) * RAW_ROWS + 64);
    if (!s->raw) return rt_fail(RT_RUN, "out of memory");
    for (int i = 0; i < RAW_ROWS; i++) rows[i] = rt_rows_at(s->rows, (uint64_t)i % s->rows->count);
    return rt_source_read(s->x, rows, RAW_ROWS, s->raw);
}

rt_status rt_speed_measure(rt_speed *s)
{
    if (!s->count) return RT_OK;
    s->subject[s->count++] = (rt_speed_subject){.name = s->subject[0].name, .teacher = s->subject[0].teacher};
    RT_TRY(read_rows(s));
    if (on_card(s))
        rt_eval_note(s->notes, "latency and throughput on %s are those of whole calls: rows to the card, the model, "
                     "answers back; whether a call lost the CPU is not seen there.", rt_device_name(s->device));
    s->clock_cost = clock_cost();
    if (!on_card(s)) rt_energy_open(&s->energy, s->powercap ? s->powercap : rt_energy_folder);
    RT_TRY(rt_energy_idle(&s->energy, idle_seconds, &s->idle_watts));
    s->began = rt_seconds();
    rt_machine_look(&s->before);
    for (int i = 0; i < s->count; i++) {
        RT_TRY(prepare(s, &s->subject[i]));
        for (int k = 0; k < 2; k++)
            if (s->scenarios & 1u << k) s->calls_planned += (uint64_t)s->rounds * calls_of(s, &s->subject[i], k);
    }
    RT_TRY(take_rounds(s));
    RT_TRY(start_cold(s));
    s->took = rt_seconds() - s->began;
    rt_progress_update(s->progress, "measure", (double)s->calls, (double)s->calls, (double)s->calls / s->took, "calls",
                       "");
    return RT_OK;
}

void rt_speed_free(rt_speed *s)
{
    for (int i = 0; i < s->count; i++) {
        rt_speed_subject *e = &s->subject[i];
        for (int k = 0; k < 2; k++) {
            rt_teacher_close(e->stream[k]);
            free(e->calls[k].sample);
            for (int q = 0; q < RT_QUANTILES; q++) free(e->calls[k].round[q]);
        }
        for (int b = 0; b < RT_SPEED_SIZES; b++) {
            rt_teacher_close(e->many[b]);
            free(e->rate[b]);
            free(e->joules[b]);
        }
    }
    rt_device_close(s->single);
    free(s->raw);
    free(s->answer);
}
