/* experiments/bench_kernels.h - what share of the peak of a core the kernels reach. */
#ifndef RT_EXPERIMENTS_BENCH_KERNELS_H
#define RT_EXPERIMENTS_BENCH_KERNELS_H

#include <cjson/cJSON.h>

#include "engine/error.h"

enum { RT_BENCH_ROUNDS = 101 };       /* the most */

/* Adds to `result`: "conv3x3", convolutions of several channels and images; "dense", large products; "dense_stack", a
 * stack of them in inference. Each figure is the median of `rounds`, every one of some `seconds` for each shape.
 * RT_STOPPED when interrupted. */
rt_status rt_bench_kernels(int rounds, double seconds, cJSON *result);
#endif
