/* experiments/verify_parts.h - what the parts of verification share. */
#ifndef RT_EXPERIMENTS_VERIFY_PARTS_H
#define RT_EXPERIMENTS_VERIFY_PARTS_H

#include "experiments/verify_job.h"
#include "student/program.h"

typedef struct {
    const rt_verify_spec *spec;
    const rt_progress *progress;
    rt_program *p;
    void *x;                           /* (rows) of `row` bytes, as the program takes them */
    int rows;
    size_t elements, row, width;
    float *want;                       /* (rows, width), of the plain-C family */
} verify_job;

double rt_verify_seconds(void);        /* CPU time of the thread */
/* How many numbers of (rows, width) differ in a bit, and how many rows have another best class. */
void rt_verify_answers(const verify_job *, const float *got, uint64_t *answers, uint64_t *flips);
/* Exported C, compiled as a shared library with vectors and without. */
rt_status rt_verify_c(const verify_job *, cJSON *list, int *differs);
#endif
