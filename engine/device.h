/* engine/device.h - what sessions compute on: the CPU, whose threads it owns, or a card. Above engine/ a device is a
 * name; whoever needs threads beside it (reading, hashing, integer programs) takes its pool. */
#ifndef RT_ENGINE_DEVICE_H
#define RT_ENGINE_DEVICE_H

#include <stdint.h>

#include "engine/error.h"
#include "engine/pool.h"
#include "engine/types.h"

typedef struct rt_device rt_device;

/* How products and convolutions are computed: floats as they are; their factors rounded to 10 bits (tf32) or 7 bits
 * (bf16) of mantissa. Weights, sums, statistics and losses are 32-bit floats in all of them. The CPU has the first. */
typedef enum { RT_P_FP32, RT_P_TF32, RT_P_BF16, RT_PRECISIONS } rt_precision;
const char *rt_precision_name(rt_precision);             /* "fp32" */
int rt_precision_find(const char *name);                 /* -1: none has the name */

/* NAME is "cpu", "cuda" (the first card) or "cuda:N"; NULL: what RETORT_DEVICE says, else "cpu". threads: as of
 * rt_pool_new. RT_USAGE when no device has the name, with those that there are; RT_RUN when there is no card to be had
 * here: a build without CUDA, no driver, one that is too old, no code for the card's capability. */
rt_status rt_device_open(rt_device **, const char *name, int threads);
/* The CPU; NULL and a message when out of memory. */
rt_device *rt_device_cpu(int threads);
void rt_device_close(rt_device *);

const char *rt_device_name(const rt_device *);           /* "cpu", "cuda:0" */
int rt_device_is_cpu(const rt_device *);
rt_pool *rt_device_pool(const rt_device *);              /* the device's; NULL of NULL */
int rt_device_threads(const rt_device *);                /* of its pool; 1 of NULL */
/* What the last bits of float results depend on: "avx512", "cuda-fp32 sm_90 132 SM cublasLt 13.1". */
enum { RT_FAMILY_TEXT = 120 };
const char *rt_device_family(const rt_device *, char text[RT_FAMILY_TEXT]);
/* Of sessions that are made from now on; at first RT_P_FP32. RT_USAGE where the device does not have it. */
rt_status rt_device_set_precision(rt_device *, rt_precision);
rt_status rt_device_check_precision(const rt_device *, rt_precision);    /* the same, and nothing changes */
rt_precision rt_device_precision(const rt_device *);
/* Rows that inference takes at once to be fast; 0: as the architecture says. */
int rt_device_micro(const rt_device *);

/* What there is to choose from. */
typedef struct {
    char name[16], card[256];                            /* "cuda:0", "NVIDIA H100 80GB HBM3" */
    int major, minor, processors;                        /* compute capability; streaming multiprocessors or threads */
    uint64_t memory, available;                          /* bytes; 0: not known */
    unsigned precisions;                                 /* a bit of each that it has */
    char trouble[300];                                   /* why it cannot be used; "": it can */
} rt_device_info;
/* Lists devices into info, at most `most`, the CPU first; returns how many. *note: why there are no cards; "": there
 * are. */
int rt_device_list(rt_device_info *info, int most, char note[300]);
/* The entry of this device. */
void rt_device_describe(const rt_device *, rt_device_info *);
/* Whether cards, in this build, have an operator (rt_op_id of engine/graph.h); the CPU has all of them. */
int rt_device_operator(int op);
#endif
