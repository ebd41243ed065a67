/* tests/faults/faults.h - what the parts of faults share: scenes in kernel families, and what is done to them. */
#ifndef RT_TESTS_FAULTS_FAULTS_H
#define RT_TESTS_FAULTS_FAULTS_H

#include <stddef.h>
#include <stdint.h>

#include "acknowledged.h"
#include "preload.h"
#include "tracer.h"

enum { ROOM = 1024, DEADLINE = 60, HURRY = 300 };

/* A command (scenes.h). */
typedef struct {
    const char *name;
    const char *needs;           /* inputs, of those that setup.sh makes */
    const char *command;         /* without --quiet, --threads, --kernels */
    int families;                /* takes --kernels */
    int reads;                   /* changes no file: there is nothing to kill */
} scene;

/* One thing that is done to a command. */
typedef struct { plan plan; long again; preload_plan memory; int input; uint64_t draw; } item;

/* A scene in a kernel family, with its items' number and how far it is. */
typedef struct {
    const scene *scene;
    const char *family;
    outcome whole;                   /* of a run that is left alone */
    long allocations;
    long items, next, hits, points, failures;
    labelling labels;                /* of such a run, where it labels */
} course;

extern struct faults {
    const char *retort, *setup, *preload, *state, *only;
    enum { KILLS, INJECT, FLIPS } mode;
    int verbose;
    double end;
    char folder[ROOM], base[ROOM], good[ROOM], work[ROOM], out[ROOM], err[ROOM], good_out[ROOM], plan_file[ROOM];
    uint64_t identity;               /* of the program */
    preload_plan *shared;
} it;

/* ---- fault_runs.c: a command is run once, or with what is done to it ---- */

/* An empty folder with the scene's inputs. Returns 0, or -1. */
int fresh(const course *, const char *folder);
/* Runs it there; its standard output goes to `out`. Returns 0, or -1 when it cannot be traced. */
int run(const course *, const char *folder, const char *out, const plan *, const preload_plan *, outcome *);
/* The beginning of a file, "" where there is none; of what the last run wrote to standard error. */
void text_of(const char *path, char *text, size_t room);
void error_text(char *text, size_t room);
/* The name of the f-th HDF5 file among a scene's inputs, or NULL. What the command itself changes is none. */
const char *input_of(const course *, int f, char *name);
/* One line of ours, that names no damage, or else this file. */
int clear_message(const char *file, char *why, size_t room);
/* Whether all went well with an item: 1, 0 (then why tells what did not), or -1 when it cannot be tried. */
int killed(course *, const item *, char *why, size_t room);
int failed(course *, const item *, char *why, size_t room);

/* ---- fault_flips.c: one bit is turned over ---- */

int flippable(const scene *);
int flipped(course *, const item *, char *why, size_t room);

/* ---- fault_items.c: what is done, by number ---- */

uint64_t mix(uint64_t x);
/* The i-th item in an order that soon has been everywhere. 0: there is none. */
int item_of(const course *, long i, item *);
/* How many faults there are. */
long count_faults(const course *);
void describe(const course *, const item *, long number, char *text, size_t room);
#endif
