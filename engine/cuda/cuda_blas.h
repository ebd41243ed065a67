/* engine/cuda/cuda_blas.h - cuBLASLt, loaded when a card is opened, so that the program runs without it. */
#ifndef RT_ENGINE_CUDA_BLAS_H
#define RT_ENGINE_CUDA_BLAS_H

#include <cuda_runtime_api.h>

#include "engine/cuda/cuda_ops.h"

typedef struct rt_cuda_blas rt_cuda_blas;

/* RT_RUN with where it was looked for. RETORT_CUBLASLT names the library's file, where it lies elsewhere. */
rt_status rt_cuda_blas_new(rt_cuda_blas **);
void rt_cuda_blas_free(rt_cuda_blas *);
/* "13.1.0" */
void rt_cuda_blas_version(const rt_cuda_blas *, char text[32]);

/* The product by the library; workspace of so many bytes. *taken: it was; 0: no algorithm serves it, and nothing was
 * launched. RELU6 and results with gaps between rows are finished by the caller: the product's act and bias are only
 * applied where *finished. */
rt_status rt_cuda_blas_multiply(rt_cuda_blas *, cudaStream_t, const rt_cuda_product *, rt_precision, void *workspace,
                                size_t bytes, int *taken, int *finished);
#endif
