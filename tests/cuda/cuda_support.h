/* tests/cuda/cuda_support.h - for tests on the emulated GPU, in C++: arrays on the device, the same in every order. */
#ifndef RT_TESTS_CUDA_SUPPORT_H
#define RT_TESTS_CUDA_SUPPORT_H

#include <csetjmp>
#include <cstdarg>
#include <cstddef>
#include <cstdint>
extern "C" {
#include <cmocka.h>
}

#include <vector>

#include "emulator.h"
#include "engine/cuda/device_code.h"

inline void ok(cudaError_t e)
{
    if (e) fail_msg("%s", cudaGetErrorName(e));
}

/* An array in device memory; NaN until written. */
template <class T> struct on_card {
    T *at = nullptr;
    size_t n;
    explicit on_card(size_t count) : n(count) { ok(cudaMalloc(&at, n * sizeof(T))); }
    explicit on_card(const std::vector<T> &v) : on_card(v.size())
    {
        ok(cudaMemcpy(at, v.data(), n * sizeof(T), cudaMemcpyHostToDevice));
    }
    on_card(const on_card &) = delete;
    ~on_card() { cudaFree(at); }
    std::vector<T> read() const
    {
        std::vector<T> v(n);
        ok(cudaMemcpy(v.data(), at, n * sizeof(T), cudaMemcpyDeviceToHost));
        return v;
    }
};

/* n numbers in [-1, 1). */
inline std::vector<float> numbers(size_t n, unsigned seed = 1)
{
    std::vector<float> v(n);
    uint32_t u = seed * 2654435761u;
    for (float &x : v) u = u * 1664525u + 1013904223u, x = (float)(u >> 8) * 0x1p-23f - 1;
    return v;
}

/* Forward, backward and three random orders: f() returns a vector of which the bits are the same. */
template <class F> void in_all_orders(F f)
{
    auto first = f();
    for (int order = 1; order < 5; order++) {
        rt_emulated_order(order == 1 ? (int)RT_EMULATED_REVERSE : (int)RT_EMULATED_RANDOM, (uint64_t)order);
        auto out = f();
        assert_int_equal(out.size(), first.size());
        assert_memory_equal(out.data(), first.data(), first.size() * sizeof first[0]);
    }
    rt_emulated_order(RT_EMULATED_FORWARD, 0);
}
#endif
