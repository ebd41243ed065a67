/* tests/cuda/emulator.h - how tests steer the emulated GPU. Environment, read at the first call and by
 * rt_emulated_reset():
 *   RETORT_EMULATE_ORDER       forward (default), reverse, random, random:SEED: the order of threads, blocks and
 * streams RETORT_EMULATE_DEVICES     how many cards (1); 0: none; none: no driver; old: a driver that is too old
 *   RETORT_EMULATE_CAPABILITY  compute capability times ten (90)
 *   RETORT_EMULATE_SMS         multiprocessors (8)
 *   RETORT_EMULATE_MEMORY      bytes of a card (4 GiB)
 *   RETORT_EMULATE_FAIL        [name:]n[:lost|:ecc]: the nth call (of that name) of the runtime, of cuBLASLt or launch
 *                              fails, once; with a suffix the card is lost: that error is given from then on
 *   RETORT_EMULATE_NO_BLAS     1: cuBLASLt is missing (rt_emulated_blas_missing())
 * A fault in a kernel ends the process by abort(), with one line on standard error:
 *   emulator: kernel NAME, block (x,y,z), thread (x,y,z): WHAT
 * Time means nothing here: cudaEventElapsedTime gives NaN. */
#ifndef RT_TESTS_CUDA_EMULATOR_H
#define RT_TESTS_CUDA_EMULATOR_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { RT_EMULATED_FORWARD, RT_EMULATED_REVERSE, RT_EMULATED_RANDOM };

/* The order of what runs from now on: threads of a block, its warps, blocks of a grid. With several streams: forward
 * runs in a synchronisation only what it waits for, reverse all other streams before it, random any interleaving.
 * The seed is of RANDOM. */
void rt_emulated_order(int order, uint64_t seed);

/* As in a new process: reads the environment again, forgets errors, counts from 0. Device memory, streams and graphs
 * must have been freed. */
void rt_emulated_reset(void);

uint64_t rt_emulated_calls(void);      /* of the runtime, cuBLASLt and launches, so far */
uint64_t rt_emulated_switches(void);   /* from fiber to fiber */
uint64_t rt_emulated_kernels(void);    /* that have run */
size_t rt_emulated_live(void);         /* allocations (device, pinned), streams, events and graphs not yet given back */
size_t rt_emulated_bytes(void);        /* of device memory in use */
int rt_emulated_blas_missing(void);

#ifdef __cplusplus
}
#endif
#endif
