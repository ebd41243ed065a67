/* engine/cuda/cuda_step.h - what host and kernels share of a step. Plain data, C and C++.
 *
 * The host packs a step into a block: this record, raw rows, targets, teacher's answers; offsets are bytes from its
 * beginning, 0 where there is none. Blocks lie in a ring in device memory. The first kernel of a step copies the record
 * to a fixed place, where all others read it, so that a captured step can be launched again and again. */
#ifndef RT_ENGINE_CUDA_STEP_H
#define RT_ENGINE_CUDA_STEP_H

#include <stdint.h>

#include "engine/losses.h"
#include "engine/types.h"
#include "engine/views.h"

typedef struct {
    uint64_t y;                        /* int32 (B) */
    uint64_t labels, mask;             /* u8 (B, K) */
    uint64_t values, teacher;          /* floats (B, K), without gaps */
    uint64_t class_weight;             /* floats (K) */
    float hard_scale, soft_scale;
    int teacher_mixed;
} rt_cuda_loss_now;

typedef struct rt_cuda_now {
    const char *block;                 /* in device memory; set by the kernel that takes the record */
    uint64_t number;                   /* of the step since the session began, from 1 */
    uint64_t seed;
    uint32_t epoch, step, row_base;
    int rows;                          /* rows that there are; those behind them are 0 */
    int total;                         /* losses are divided by it */
    /* the feed */
    uint64_t raw, row_bytes;           /* raw rows, one behind the other; 0: all of them are held */
    char *held;                        /* device memory: rows of the data set that came before; NULL: none are held */
    uint64_t where;                    /* uint32: which of those each raw row is, or becomes; 0: none */
    uint64_t x[RT_MAX_INPUTS];         /* or rows that are floats already (rows, input) */
    uint64_t draw[RT_MAX_INPUTS];      /* rt_view_draw of each raw row; 0: rows as they are */
    uint64_t partner;                  /* int32 (B): which raw row each is mixed with; 0: no mixture */
    float lambda;
    rt_cuda_loss_now loss[RT_MAX_LOSSES];
    /* the update */
    int first, last;                   /* of an accumulation */
    double lr, grad_scale;             /* grad_scale: 1 / summed */
    float bias1, bias2;                /* 1 - beta1^t, 1 - beta2^t */
    float ema;                         /* decay of the averages in this update */
} rt_cuda_now;

/* What a step gave. */
typedef struct {
    double loss[RT_MAX_LOSSES], total;
    uint32_t epoch, step;
    int bad;
    int unused;
} rt_cuda_result;

/* What stands of a training session's troubles. bad: the number of the first step whose loss was not finite, else 0.
 * weight, gradient: the least index into parameters (gradients) where, in that step, a number is not finite; ~0: none.
 */
typedef struct { unsigned long long bad, weight, gradient; } rt_cuda_trouble;

/* rt_row_desc in device memory. */
typedef struct {
    uint64_t at, size;                 /* of a raw row: where its elements begin in bytes; elements */
    int type;                          /* rt_dtype */
    int channels, h, w, c, ids, input;
    const float *mul, *add;            /* (channels) */
    const int *pick;                   /* (size) or NULL */
    rt_resize resize;
} rt_cuda_rows;
#endif
