/* What each operation of the emulated GPU gives, in three orders of threads, blocks and streams. */
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

static void ok(cudaError_t e)
{
    if (e) fail_msg("%s", cudaGetErrorName(e));
}

/* Three orders: the same bits. */
template <class F> static void in_all_orders(F f)
{
    std::vector<float> first;
    for (int order = 0; order < 5; order++) {
        rt_emulated_order(order < 2 ? order : (int)RT_EMULATED_RANDOM, (uint64_t)order);
        std::vector<float> out = f();
        if (!order) first = out;
        assert_int_equal(out.size(), first.size());
        assert_memory_equal(out.data(), first.data(), first.size() * sizeof(float));
    }
    rt_emulated_order(RT_EMULATED_FORWARD, 0);
}

struct device_floats {
    float *at = nullptr;
    size_t n;
    explicit device_floats(size_t count) : n(count) { ok(cudaMalloc(&at, n * sizeof(float))); }
    explicit device_floats(const std::vector<float> &v) : device_floats(v.size())
    {
        ok(cudaMemcpy(at, v.data(), n * sizeof(float), cudaMemcpyHostToDevice));
    }
    ~device_floats() { cudaFree(at); }
    std::vector<float> read() const
    {
        std::vector<float> v(n);
        ok(cudaMemcpy(v.data(), at, n * sizeof(float), cudaMemcpyDeviceToHost));
        return v;
    }
};
static std::vector<float> numbers(size_t n, unsigned seed = 1)
{
    std::vector<float> v(n);
    uint32_t u = seed * 2654435761u;
    for (float &x : v) u = u * 1664525u + 1013904223u, x = (float)(u >> 8) * 0x1p-23f - 1;
    return v;
}

__global__ void k_tiled(float *c, const float *a, const float *b, int n)
{
    RT_SHARED_2D(float, as, 16, 17);
    RT_SHARED_2D(float, bs, 16, 17);
    int tx = (int)threadIdx.x, ty = (int)threadIdx.y, row = (int)blockIdx.y * 16 + ty, col = (int)blockIdx.x * 16 + tx;
    float sum = 0;
    for (int k = 0; k < n; k += 16) {
        as[ty][tx] = row < n && k + tx < n ? a[row * n + k + tx] : 0;
        bs[ty][tx] = col < n && k + ty < n ? b[(k + ty) * n + col] : 0;
        __syncthreads();
        for (int i = 0; i < 16; i++) sum += as[ty][i] * bs[i][tx];
        __syncthreads();
    }
    if (row < n && col < n) c[row * n + col] = sum;
}
static void test_blocks(void **)
{
    int n = 37;
    auto a = numbers(37 * 37, 1), b = numbers(37 * 37, 2);
    in_all_orders([&] {
        device_floats da(a), db(b), dc(37 * 37);
        RT_LAUNCH(k_tiled, dim3(3, 3), dim3(16, 16), 0, nullptr, dc.at, da.at, db.at, n);
        auto c = dc.read();
        for (int i = 0; i < n; i++)
            for (int j = 0; j < n; j++) {
                double sum = 0;
                for (int k = 0; k < n; k++) sum += (double)a[i * n + k] * b[k * n + j];
                assert_true(fabs(c[i * n + j] - sum) < 1e-5);
            }
        return c;
    });
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_blocks)};
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
