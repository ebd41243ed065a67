/* engine/cuda/update.cuh - what an update makes of N neighbouring parameters; see cuda_update.h. */
#ifndef RT_ENGINE_CUDA_UPDATE_CUH
#define RT_ENGINE_CUDA_UPDATE_CUH

#include "engine/cuda/cuda_update.h"
#include "engine/cuda/device_code.h"

namespace {

template <int N> RT_DEVICE void sgd(const rt_cuda_update &u, float lr, float decay, float scale, const float (&g)[N],
                                    float (&w)[N], float (&m)[N])
{
    RT_UNROLL
    for (int i = 0; i < N; i++) {
        float d = g[i] * scale + decay * w[i];
        m[i] = u.momentum * m[i] + d;
        w[i] -= lr * (u.nesterov ? d + u.momentum * m[i] : m[i]);
    }
}

template <int N> RT_DEVICE void adamw(const rt_cuda_update &u, float lr, float decay, float scale, const float (&g)[N],
                                      float (&w)[N], float (&m)[N], float (&v)[N])
{
    float step = lr / u.now->bias1, root = 1.0f / u.now->bias2, keep = 1.0f - lr * decay;
    RT_UNROLL
    for (int i = 0; i < N; i++) {
        float d = g[i] * scale;
        m[i] = u.beta1 * m[i] + (1.0f - u.beta1) * d;
        v[i] = u.beta2 * v[i] + (1.0f - u.beta2) * (d * d);
        w[i] = keep * w[i] - step * m[i] / (sqrtf(v[i] * root) + u.eps);
    }
}

/* w, m and, of AdamW, v become what they are after the update by g, whose factor for all parameters is `factor`. */
template <int N> RT_DEVICE void update(const rt_cuda_update &u, const rt_tuning &how, double factor,
                                       const float (&g)[N], float (&w)[N], float (&m)[N], float (&v)[N])
{
    float lr = (float)(u.now->lr * how.lr_scale), scale = (float)(factor * how.grad_scale), before[N];
    RT_UNROLL
    for (int i = 0; i < N; i++) before[i] = w[i];
    if (u.adamw) adamw<N>(u, lr, how.weight_decay, scale, g, w, m, v);
    else sgd<N>(u, lr, how.weight_decay, scale, g, w, m);
    RT_UNROLL
    for (int i = 0; i < N; i++) {
        if (how.relative) w[i] = before[i] + (w[i] - before[i]) * before[i];
        if (w[i] < how.low) w[i] = how.low;
    }
}

}
#endif
