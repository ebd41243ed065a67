/* engine/cuda/cuda_parts.h - gradients of fields that come in parts, which one launch adds up for many fields. C and
 * C++. */
#ifndef RT_ENGINE_CUDA_PARTS_H
#define RT_ENGINE_CUDA_PARTS_H

#include <cuda_runtime_api.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* to[0] (count[0]) and to[1] (count[1]) = or += the sums of `parts` parts, which lie one behind the other and are
 * (count[0] + count[1]); to[1] may be NULL. */
typedef struct {
    float *to[2];
    size_t count[2];
    int add[2], parts;
    const float *from;
} rt_parts;

enum { RT_PARTS_JOBS = 32 };           /* of a launch, at most */
/* In an order that the number of parts alone decides. */
void rt_k_add_parts(cudaStream_t, const rt_parts *, int jobs);

#ifdef __cplusplus
}
#endif
#endif
