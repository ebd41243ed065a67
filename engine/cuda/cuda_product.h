/* engine/cuda/cuda_product.h - dense products of our own, for C and for product.cu. */
#ifndef RT_ENGINE_CUDA_PRODUCT_H
#define RT_ENGINE_CUDA_PRODUCT_H

#include <cuda_runtime_api.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* As rt_cuda_product. parts: k is cut into so many, of k_part each; part i writes its sums, without bias and act, to
 * partial + i m n (count 1), and rt_k_product_parts adds them up in order. round: 0 factors as they are, 1 to tf32, 2
 * to bf16. act: 0 none, 1 relu, 2 relu6. */
typedef struct {
    float *c;        const float *a, *b, *bias;
    int m, n, k, ldc, lda, ldb, trans_a, trans_b, count;
    size_t c_next, a_next, b_next;
    float alpha;
    int add, act, round, parts, k_part;
    float *partial;
} rt_k_product_spec;

void rt_k_product(cudaStream_t, const rt_k_product_spec *);
void rt_k_product_parts(cudaStream_t, const rt_k_product_spec *);
/* c = act(c + bias), rows ldc apart: what a library left to do. */
void rt_k_product_end(cudaStream_t, float *c, const float *bias, int act, int m, int n, int ldc, int count,
                      size_t next);
/* cudaSuccess where there is code for the card that is chosen. */
cudaError_t rt_k_code(void);

#ifdef __cplusplus
}
#endif
#endif
