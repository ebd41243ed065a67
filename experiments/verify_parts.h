/* experiments/verify_parts.h - what the parts of verification share. */
#ifndef RT_EXPERIMENTS_VERIFY_PARTS_H
#define RT_EXPERIMENTS_VERIFY_PARTS_H

#include "experiments/jobs/verify_job.h"
#include "student/program.h"

typedef struct {
    const rt_verify_spec *spec;
    const rt_progress *progress;
    rt_program *p;
    rt_model *m;                       /* that it is the program of; NULL: not known */
    void *x;                           /* (rows) of `row` bytes, as the program takes them */
    int rows;
    size_t elements, row, width;
    float *want;                       /* (rows, width), of the plain-C family */
} verify_job;

/* A family of kernels that runs the rows; every tensor of the last row lies in its context. */
typedef struct {
    const rt_int_kernels *k;
    rt_linked *linked;
    void *context;
    float *y;                          /* (rows, width) */
    double seconds;
    uint64_t *differ;                  /* (calls) bytes that are not those of the plain-C family */
} verify_family;

const rt_int_kernels *rt_verify_plain(void);       /* the plain-C family */
/* What begins, whether or not it succeeds, is for rt_verify_end. */
rt_status rt_verify_begin(verify_family *, const verify_job *, const rt_int_kernels *);
void rt_verify_end(verify_family *);
void rt_verify_row(verify_family *, const verify_job *, int row);
/* Adds "us", "bytes", "layers", "answers", "flips"; whether something differs. */
int rt_verify_describe(cJSON *one, const verify_job *, double seconds, const uint64_t *differ, const float *y);

double rt_verify_seconds(void);        /* CPU time of the thread */
/* How many numbers of (rows, width) differ in a bit, and how many rows have another best class. */
void rt_verify_answers(const verify_job *, const float *got, uint64_t *answers, uint64_t *flips);
/* Exported C, compiled as a shared library with vectors and without. */
rt_status rt_verify_c(const verify_job *, cJSON *list, int *differs);
/* The forward pass of training, as it is once ranges stand, into *one. */
rt_status rt_verify_training(const verify_job *, cJSON *one, int *differs);
#endif
