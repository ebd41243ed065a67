/* experiments/jobs/runner_parts.h - what the files of experiments/jobs/runner.h share: an experiment, its steps, and
 * the table of what a step can do. A new kind of step is a row of that table (experiments/jobs/steps.c). */
#ifndef RT_EXPERIMENTS_RUNNER_PARTS_H
#define RT_EXPERIMENTS_RUNNER_PARTS_H

#include "data/run_folder.h"
#include "engine/digest.h"
#include "experiments/jobs/runner.h"

enum { RT_STEPS = 256 };

typedef struct rt_run_step rt_run_step;
typedef struct rt_run rt_run;

/* What is true of a kind of step. */
enum {
    RT_STEP_COMPUTES = 1,              /* on the device; others are the CPU's */
    RT_STEP_FOLDER = 2,                /* makes a folder, not a file */
    RT_STEP_CALIBRATES = 4,            /* on the CPU, also where the device is a card */
    RT_STEP_STORE = 8,                 /* what it makes is a label store */
    RT_STEP_MARKED = 16,               /* its files are replaced by the digests of what it made (RT_OUTPUT_EXPORT) */
    RT_STEP_INPUT_FOLDER = 32,         /* "input" may be a folder: all of its files count */
    RT_STEP_DAILY = 64,                /* what it says holds for a day */
    RT_STEP_VERDICT = 128,             /* its result is one, also where the step fails by it */
    RT_STEP_EVALUATION = 256           /* its result is that of the experiment */
};

typedef struct {
    const char *name;
    unsigned is;
    const char *ending;                /* of its file; NULL: ending_of tells it, or it makes a folder */
    const char *(*ending_of)(const char *to);          /* by the configuration's "to", NULL where it has none */
    const char *makes;                 /* the file in its folder that ${step} stands for; NULL: the folder */
    const char *product;               /* of a folder, the file that shows that the result is there */
    const char *beside;                /* ending of a second file that it makes; NULL: none */
    const char *precision;             /* the section that may name one, "" for the configuration itself; NULL: none */
    int specifications;                /* so many of "teacher", "students", "baseline", "candidate", "model" */
    /* What can be said of the configuration before any step runs; adds defaults to a copy. */
    rt_status (*check)(const rt_run *, cJSON *with);
    /* stale: what stands in its place is of another configuration. */
    rt_status (*perform)(const rt_run *, const rt_run_step *, int stale, cJSON **result);
    /* Whether the experiment's seed is its own where it names none; NULL: no. */
    int (*seeded)(const cJSON *with);
    /* What its result depends on beside files and configuration, as it is now; NULL: nothing. */
    rt_status (*depends)(const cJSON *with, rt_hasher *);
} rt_step_kind;

extern const rt_step_kind rt_step_kinds[];             /* ended by name NULL */

struct rt_run_step {
    const char *name;
    const rt_step_kind *kind;
    cJSON *with;                       /* with references resolved */
    char output[1024];                 /* what ${name} stands for */
    char place[1024];                  /* folder or file handed to the action */
    char product[1100];                /* the file whose content shows that the step's result is still there */
    char beside[1100];                 /* the second one, "": none */
};

struct rt_run {
    const char *name, *out, *config;   /* config: the experiment's file */
    rt_run_folder *folder;
    uint64_t seed;
    rt_run_step step[RT_STEPS];
    int steps;
    rt_device *device;
    rt_device *cpu;                    /* what calibrates where `device` is a card; NULL: not needed */
    const rt_progress *progress;
};

/* Where the step's output lies. */
void rt_step_place(const rt_run *, rt_run_step *);
/* Replaces ${name} of steps before this one in every string of the tree. */
rt_status rt_step_resolve(const rt_run *, cJSON *, const char *step_name);
/* Every file that the step names is there, or a step before makes it. */
rt_status rt_step_check_files(const rt_run *, const rt_run_step *);
/* The file in "FILE.h5:SET", or the text itself where that is one or has no colon. 0: too long for a path. */
int rt_step_file_of(const char *text, char path[4096]);
/* Every string that names a file stands for its content; with `folders` the one called "input" may be a folder. */
rt_status rt_step_hash_files(const cJSON *, int folders, rt_hasher *);
#endif
