/* tests/cuda/launched.h - what tests of single launches share: device memory, numbers, comparison with doubles. */
#ifndef RT_TESTS_LAUNCHED_H
#define RT_TESTS_LAUNCHED_H

#include <cuda_runtime_api.h>

#include "tests/cuda/emulator.h"
#include "tests/support.h"

static inline void cuda_ok(cudaError_t e)
{
    if (e) fail_msg("%s", cudaGetErrorName(e));
}

/* Device memory of so many bytes with what is at v; v NULL: as it comes. */
static inline void *upload_bytes(const void *v, size_t bytes)
{
    void *p = NULL;
    cuda_ok(cudaMalloc(&p, bytes ? bytes : 1));
    if (v && bytes) cuda_ok(cudaMemcpy(p, v, bytes, cudaMemcpyHostToDevice));
    return p;
}
static inline float *upload(const float *v, size_t n) { return upload_bytes(v, n * sizeof *v); }
static inline float *upload_all(float v, size_t n)
{
    float *h = malloc((n ? n : 1) * sizeof *h);
    assert_non_null(h);
    for (size_t i = 0; i < n; i++) h[i] = v;
    float *p = upload(h, n);
    free(h);
    return p;
}
/* Brings n floats, newly allocated, and frees the device's. */
static inline float *taken(float *p, size_t n)
{
    float *v = malloc((n ? n : 1) * sizeof *v);
    assert_non_null(v);
    cuda_ok(cudaPeekAtLastError());
    cuda_ok(cudaMemcpy(v, p, n * sizeof *v, cudaMemcpyDeviceToHost));
    cuda_ok(cudaFree(p));
    return v;
}

static inline double *doubles(size_t n)
{
    double *p = calloc(n ? n : 1, sizeof *p);
    assert_non_null(p);
    return p;
}

/* got is close to plus + want, relative to itself and to the root mean square of want; frees both. */
static inline void check_tensor(const char *name, const char *what, float *got, double *want, size_t n, double plus,
                                double tolerance)
{
    double square = 0;
    for (size_t i = 0; i < n; i++) square += want[i] * want[i];
    double size = sqrt(square / (double)(n ? n : 1));
    for (size_t i = 0; i < n; i++) {
        double w = want[i] + plus, limit = tolerance * (fabs(w) + size) + 1e-30;
        if (!(fabs((double)got[i] - w) <= limit))
            fail_msg("%s, %s %zu of %zu: %.9g, want %.9g (limit %.3g)", name, what, i, n, (double)got[i], w, limit);
    }
    free(got);
    free(want);
}

/* All orders of threads give the bits of the first call of f, which leaves n floats, newly allocated. */
static inline void check_orders(float *(*f)(void *, size_t *n), void *arg)
{
    size_t n = 0, m = 0;
    float *first = f(arg, &n);
    for (int i = 1; i <= 3; i++) {
        rt_emulated_order(i == 1 ? RT_EMULATED_REVERSE : RT_EMULATED_RANDOM, (uint64_t)i);
        float *other = f(arg, &m);
        rt_emulated_order(RT_EMULATED_FORWARD, 0);
        assert_int_equal(n, m);
        if (memcmp(first, other, n * sizeof *first)) fail_msg("other bits in another order of threads");
        free(other);
    }
    free(first);
}
#endif
