/* engine/cuda/cuda_card.h - a card and the library of its products. */
#ifndef RT_ENGINE_CUDA_CARD_H
#define RT_ENGINE_CUDA_CARD_H

#include <cuda_runtime_api.h>

#include "engine/cuda/cuda_blas.h"
#include "engine/device_parts.h"

typedef struct {
    int index, capability, processors; /* capability 90 is 9.0 */
    char name[256];
    uint64_t memory;
    rt_cuda_blas *blas;
} rt_cuda_card;

/* RT_OK, or RT_RUN with what was tried and CUDA's words: "cuda:0: copying a batch: ...". */
rt_status rt_cuda_check(const rt_cuda_card *, cudaError_t, const char *what);

/* engine/cuda/cuda_session.c */
rt_status rt_session_cuda(rt_session **, const rt_session_spec *, rt_device *);
rt_status rt_session_cuda_takes(const void *card, const rt_session_spec *);
#endif
