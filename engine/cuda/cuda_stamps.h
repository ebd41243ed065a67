/* engine/cuda/cuda_stamps.h - how long each launch of a step takes: behind every one of them a kernel of one thread
 * adds the card's clock to a place of its own. C17 and C++. */
#ifndef RT_ENGINE_CUDA_STAMPS_H
#define RT_ENGINE_CUDA_STAMPS_H

#include <cuda_runtime_api.h>

#include "engine/error.h"

typedef struct rt_cuda_stamps rt_cuda_stamps;

rt_status rt_cuda_stamps_new(rt_cuda_stamps **, size_t *bytes);      /* takes device memory: *bytes grows by it */
void rt_cuda_stamps_free(rt_cuda_stamps *);                          /* NULL: nothing */

/* Forgets all; not within a capture. */
rt_status rt_cuda_stamps_clear(rt_cuda_stamps *, cudaStream_t);
/* From here to the end launches of this thread into `stream` are stamped, from the first place on. */
void rt_cuda_stamps_begin(rt_cuda_stamps *, cudaStream_t);
void rt_cuda_stamps_end(void);

/* Of stamps that are underway; else nothing: the layer whose launches come next; a launch that is not one of ours. */
void rt_cuda_stamps_layer(const char *name, int back);
void rt_cuda_stamps_launched(const char *what, cudaStream_t);

int rt_cuda_stamps_count(const rt_cuda_stamps *);      /* of a step's: each is a launch more */

/* A line for each launch, in their order: microseconds, the mean of all steps since, from the end of the launch before
 * to its own end, less what a stamp alone takes; its kernel, its layer. Waits for the card. */
void rt_cuda_stamps_describe(const rt_cuda_stamps *, void (*line)(void *, const char *), void *arg);

#ifdef __cplusplus
extern "C" {
#endif
/* *to += the card's nanoseconds, to[1] += 1. */
void rt_k_stamp(cudaStream_t, unsigned long long *to);
/* What is called behind each RT_LAUNCH of this thread; NULL: nothing is. */
void rt_k_on_launch(void (*tell)(const char *kernel, cudaStream_t));
#ifdef __cplusplus
}
#endif
#endif
