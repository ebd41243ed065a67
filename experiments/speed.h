/* experiments/speed.h - the one way in which models are timed, after MLPerf Inference:
 *   SingleStream   a row a call, one thread
 *   MultiStream    8 rows a call, one thread
 *   Offline        rows a second on all threads, at batches of 1, 16, 64, 256
 *
 * Subjects are timed in rounds; in each round every subject has its turn, in an order drawn anew. The first subject is
 * timed twice, as A and as A', with plans of its own: what differs between these is noise. Where the median of the
 * rounds' ratios A'/A leaves 3 %, or more than 5 % of all calls were disturbed, rounds go on until `most` seconds are
 * gone; then the machine is too noisy for a verdict.
 *
 * A call is disturbed when it took longer than 1.1 times its CPU time and 10 us: it lost the CPU to something else.
 * (Calls below 20 us are taken in groups of up to 16 with one CPU time, outside of what is timed.) What reading the
 * clock costs is taken off. Apart from the rounds, after them, every subject is started cold (cold_start.h), in turn,
 * five times, or as often as 5 seconds allow. On a card a call is all of it: rows to the card, the model, answers back;
 * the CPU only waits for it, so no call counts as disturbed. */
#ifndef RT_EXPERIMENTS_SPEED_H
#define RT_EXPERIMENTS_SPEED_H

#include "data/json.h"
#include "data/rows.h"
#include "engine/device.h"
#include "engine/progress.h"
#include "experiments/cold_start.h"
#include "experiments/energy.h"
#include "experiments/machine.h"
#include "teacher/teacher.h"

enum { RT_SPEED_SIZES = 4, RT_SPEED_GROUP = 16, RT_SPEED_STREAMS = 8, RT_SPEED_SUBJECTS = 33, RT_SPEED_ROUNDS = 1000 };
extern const int rt_speed_size[RT_SPEED_SIZES];

typedef enum { RT_SINGLE_STREAM, RT_MULTI_STREAM, RT_OFFLINE, RT_SCENARIOS } rt_scenario;
/* Percentiles of a round: p50, p90, p99. */
enum { RT_P50, RT_P90, RT_P99, RT_QUANTILES };

/* Of one scenario. sample holds seconds: undisturbed ones from its start, disturbed ones from its end backwards. */
typedef struct {
    float *sample;
    uint64_t undisturbed, disturbed, room;
    float *round[RT_QUANTILES];        /* (rounds) seconds, of a round's undisturbed calls; NAN: there are too few */
} rt_speed_calls;

typedef struct {
    /* filled by the caller; borrowed */
    const char *name;
    rt_teacher *teacher;               /* opened and bound */
    rt_cold cold;                      /* its model and data, for starts as a new process; NULL: none */
    /* measured */
    rt_teacher *stream[2], *many[RT_SPEED_SIZES];      /* twins with plans for SingleStream, MultiStream, Offline */
    rt_speed_calls calls[2];
    float *rate[RT_SPEED_SIZES];       /* (rounds) rows a second; NULL: not measured, a call would take too long */
    double first, call;                /* seconds: of the first call, of a warm one (about) */
    float *joules[RT_SPEED_SIZES];     /* (rounds) a row, of Offline; NAN: not read */
    rt_joules used;                    /* in all rounds of Offline, of */
    double used_rows, used_seconds;
} rt_speed_subject;

typedef struct {
    /* filled by the caller; borrowed */
    unsigned scenarios;                /* bit of each rt_scenario */
    int samples;                       /* calls of a scenario and a subject, over `rounds` rounds */
    int rounds;                        /* at least */
    double seconds;                    /* of Offline, of each subject, over `rounds` rounds */
    double most;                       /* seconds after which no round begins because the machine is noisy */
    int bounded;                       /* `most` holds for all: a slow model has fewer calls */
    double price;                      /* of an hour of the machine, in any currency; 0: not told */
    int copies;                        /* of the model that it runs at once, each as fast as here; 0: one */
    const char *powercap;              /* where counters of energy lie; NULL: rt_energy_folder */
    uint64_t seed;                     /* of the order */
    rt_source *x;
    const rt_rows *rows;
    rt_device *device;
    const rt_progress *progress;
    cJSON *notes;
    rt_speed_subject subject[RT_SPEED_SUBJECTS];
    int count;                         /* rt_speed_measure adds one: A' */
    /* measured */
    int taken;                         /* rounds */
    double clock_cost, began, shown, took;
    uint64_t calls, calls_planned;
    rt_machine_use before;
    rt_energy energy;
    double idle_watts;                 /* before the rounds; NAN */
    char *raw;
    float *answer;
    rt_device *single;                 /* the CPU with one thread; NULL: a card is timed */
} rt_speed;

/* Times all subjects. Fields begin as zeros. RT_INTERRUPTED within a call of being asked. */
rt_status rt_speed_measure(rt_speed *);
void rt_speed_free(rt_speed *);

/* Of `calls` calls between stamp[0], stamp[1], ... that took `cpu` seconds of the thread's CPU time in all: lost[k] = 1
 * when call k was disturbed. */
void rt_speed_disturbed(const double *stamp, int calls, double cpu, unsigned char *lost);

/* Calls fn(arg) until `seconds` are gone, at least once and in groups of `group`: calls a second of the clock, and of
 * the CPU time of all threads. end(arg), where it is not NULL, waits for what calls have only begun: that is timed,
 * too. */
rt_status rt_speed_window(rt_status (*fn)(void *arg), rt_status (*end)(void *arg), void *arg, int group, double seconds,
                          double *rate, double *of_cpu);

/* ---- figures ---- */

/* A number of subjects b and c. Each round has one (of b, where it is the first subject, the mean of A and A'); value
 * and ratio are medians over the rounds, which slow phases of the machine do not move; lo and hi hold the median with
 * the confidence asked for, whatever the distribution (order statistics; Conover 1999, 3.2). NAN with fewer rounds than
 * that needs. */
typedef struct {
    double baseline, candidate;        /* microseconds, or rows a second */
    double lo, hi;                     /* of the candidate's */
    double ratio, ratio_lo, ratio_hi;  /* in the bad direction: candidate/baseline, of rates baseline/candidate */
    int rounds;                        /* that have both */
    uint64_t calls;                    /* of the candidate; 0: of rates */
} rt_speed_figure;
/* quantile: RT_P50, ...; of RT_OFFLINE what it is of: rows a second, or (candidate over baseline) the cost or the
 * joules of a million rows. Without a price costs are seconds. */
enum { RT_OF_RATE, RT_OF_COST, RT_OF_ENERGY };
rt_speed_figure rt_speed_compare(const rt_speed *, rt_scenario, int quantile, int b, int c, double confidence);

typedef struct { double ratio, disturbed; int noisy; } rt_speed_control;   /* A'/A; share of calls of all subjects */
rt_speed_control rt_speed_noise(const rt_speed *, rt_scenario);
/* Says in `text` why there is no verdict. */
void rt_speed_say_noisy(const rt_speed *, rt_scenario, char *text, size_t n);

/* Percentiles of n seconds, which it sorts, as members of `into`, in microseconds; room holds n more. */
void rt_speed_percentiles(cJSON *into, float *seconds, float *room, uint64_t n);
/* What was measured of subject i, as members of `into`: latency_batch1_1thread, latency_batch8_1thread, throughput,
 * energy, cold_start. */
rt_status rt_speed_describe(cJSON *into, rt_speed *, int i);
/* Ratios of subject i to the first, with intervals of 95 %; null where the machine was too noisy. */
void rt_speed_describe_ratios(cJSON *into, const rt_speed *, int i);
/* The noise, and what is of the whole process: "speed" of an evaluation and of a verdict. */
void rt_speed_describe_all(cJSON *into, const rt_speed *);
#endif
