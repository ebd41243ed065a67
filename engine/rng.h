/* engine/rng.h - random numbers as a pure function: Philox4x32-10 (Salmon et al., SC'11), no state to save.
 *
 * key = (seed, purpose), counter = (epoch, step, row, lane). The same arguments give the same numbers everywhere. */
#ifndef RT_ENGINE_RNG_H
#define RT_ENGINE_RNG_H

#include <stdint.h>

#include "engine/error.h"

typedef enum {
    RT_RNG_INIT = 1, RT_RNG_SHUFFLE, RT_RNG_SPLIT, RT_RNG_AUGMENT, RT_RNG_DROPOUT, RT_RNG_MIXUP, RT_RNG_BOOTSTRAP,
    RT_RNG_TEST, RT_RNG_HELD, RT_RNG_ORDER, RT_RNG_POLICY, RT_RNG_SELECT, RT_RNG_DRIFT, RT_RNG_NEAR, RT_RNG_WEIGHT
} rt_rng_purpose;

void rt_philox(uint32_t out[4], const uint32_t counter[4], const uint32_t key[2]);

/* Four words for (seed, purpose) at (epoch, step, row, lane). */
void rt_random4(uint32_t out[4], uint64_t seed, rt_rng_purpose, uint32_t epoch, uint32_t step, uint32_t row,
                uint32_t lane);

/* In [0, 1), of 24 bits. */
static inline float rt_unit(uint32_t word) { return (float)(word >> 8) * 0x1p-24f; }

/* n values of the standard normal distribution (Box-Muller in double), lane i / 4 of (seed, purpose, stream). */
void rt_normal(float *out, uint64_t n, uint64_t seed, rt_rng_purpose, uint32_t stream);

/* A keyed bijection of [0, n): where index i of this (seed, purpose, epoch, stream) goes. A Feistel network over
 * Philox with cycle walking; no state, any order of calls. i < n. */
uint64_t rt_permute(uint64_t i, uint64_t n, uint64_t seed, rt_rng_purpose, uint32_t epoch, uint32_t stream);

/* The same bijection with all but i fixed, for many i: tables of the rounds' functions (8 sqrt(n) to 16 sqrt(n) bytes,
 * for n up to 2^32) make it some ten times faster, and it runs backwards. Start from {0}; setting it again keeps the
 * memory. Read by any number of threads at once. */
typedef struct {
    uint64_t n, seed;
    rt_rng_purpose purpose;
    uint32_t epoch, stream, mask;
    int half;
    uint16_t *table;               /* (4, 2^half); NULL: beyond 2^32 */
    uint64_t room;
} rt_permutation;

rt_status rt_permutation_set(rt_permutation *, uint64_t n, uint64_t seed, rt_rng_purpose, uint32_t epoch,
                             uint32_t stream);
uint64_t rt_permutation_at(const rt_permutation *, uint64_t i);            /* rt_permute(i, ...) */
uint64_t rt_permutation_from(const rt_permutation *, uint64_t j);          /* the i that goes to j */
void rt_permutation_free(rt_permutation *);
#endif
