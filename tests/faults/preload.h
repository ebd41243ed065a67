/* tests/faults/preload.h - what the library for LD_PRELOAD and the test share in a file, which FAULTS_PRELOAD names. */
#ifndef RT_TESTS_FAULTS_PRELOAD_H
#define RT_TESTS_FAULTS_PRELOAD_H

typedef struct {
    long fail_at;            /* which allocation fails, from 1; 0: none */
    long from_there_on;      /* and all behind it */
    long hurry;              /* milliseconds that the monotonic clock moves on at each look: what is done "each second"
                              * happens in a run of milliseconds, too, and always at the same place */
    long count, failed;      /* allocations so far */
    long looks;
} preload_plan;
#endif
