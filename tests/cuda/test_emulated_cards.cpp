/* What the environment makes of the emulated machine: cards, drivers, memory, calls that fail, cards that are lost. */
#include "cuda_support.h"

#include <string>

static void machine(const char *name, const char *value)
{
    for (const char *each : {"DEVICES", "CAPABILITY", "SMS", "MEMORY", "FAIL", "ORDER", "NO_BLAS"})
        unsetenv((std::string("RETORT_EMULATE_") + each).c_str());
    if (name) setenv((std::string("RETORT_EMULATE_") + name).c_str(), value, 1);
    rt_emulated_reset();
}

static void test_cards(void **)
{
    int count = -1, version = -1, device = -1, value;
    cudaDeviceProp prop;
    machine(nullptr, nullptr);
    ok(cudaGetDeviceCount(&count));
    assert_int_equal(count, 1);
    ok(cudaDriverGetVersion(&version));
    assert_true(version >= CUDART_VERSION);
    ok(cudaRuntimeGetVersion(&version));
    assert_int_equal(version, CUDART_VERSION);
    machine("DEVICES", "3");
    ok(cudaGetDeviceCount(&count));
    assert_int_equal(count, 3);
    ok(cudaSetDevice(2));
    ok(cudaGetDevice(&device));
    assert_int_equal(device, 2);
    assert_int_equal(cudaSetDevice(3), cudaErrorInvalidDevice);
    assert_int_equal(cudaSetDevice(-1), cudaErrorInvalidDevice);
    assert_int_equal(cudaGetDeviceProperties(&prop, 3), cudaErrorInvalidDevice);
    cudaStream_t there;
    ok(cudaStreamCreate(&there));
    ok(cudaSetDevice(0));
    assert_int_equal(cudaStreamSynchronize(there), cudaErrorInvalidResourceHandle);   /* of another card */
    ok(cudaSetDevice(2));
    ok(cudaStreamDestroy(there));
    const struct {
        const char *capability;
        size_t shared;
    } kinds[] = {{"75", 64}, {"80", 163}, {"86", 99}, {"90", 227}};
    for (auto &k : kinds) {
        machine("CAPABILITY", k.capability);
        ok(cudaGetDeviceProperties(&prop, 0));
        assert_int_equal(prop.major * 10 + prop.minor, atoi(k.capability));
        assert_int_equal(prop.sharedMemPerBlockOptin, k.shared << 10);
        ok(cudaDeviceGetAttribute(&value, cudaDevAttrMaxSharedMemoryPerBlockOptin, 0));
        assert_int_equal(value, k.shared << 10);
        ok(cudaDeviceGetAttribute(&value, cudaDevAttrComputeCapabilityMajor, 0));
        assert_int_equal(value, prop.major);
    }
    machine("SMS", "132");
    ok(cudaGetDeviceProperties(&prop, 0));
    assert_int_equal(prop.multiProcessorCount, 132);
}

static void test_no_card(void **)
{
    int count = -1, version = -1;
    void *p;
    machine("DEVICES", "0");
    assert_int_equal(cudaGetDeviceCount(&count), cudaErrorNoDevice);
    assert_int_equal(count, 0);
    assert_int_equal(cudaMalloc(&p, 4), cudaErrorNoDevice);
    machine("DEVICES", "none");
    assert_int_equal(cudaGetDeviceCount(&count), cudaErrorInsufficientDriver);
    ok(cudaDriverGetVersion(&version));
    assert_int_equal(version, 0);
    assert_int_equal(cudaSetDevice(0), cudaErrorInsufficientDriver);
    assert_string_equal(cudaGetErrorName(cudaErrorInsufficientDriver), "cudaErrorInsufficientDriver");
    machine("DEVICES", "old");
    assert_int_equal(cudaGetDeviceCount(&count), cudaErrorInsufficientDriver);
    ok(cudaDriverGetVersion(&version));
    assert_true(version > 0 && version < CUDART_VERSION);
}

static void test_memory(void **)
{
    size_t available, total;
    void *p, *q;
    machine("MEMORY", "1000000");
    ok(cudaMalloc(&p, 600000));
    ok(cudaMemGetInfo(&available, &total));
    assert_int_equal(total, 1000000);
    assert_int_equal(available, 400000);
    assert_int_equal(cudaMalloc(&q, 400001), cudaErrorMemoryAllocation);
    assert_null(q);
    assert_int_equal(cudaGetLastError(), cudaErrorMemoryAllocation);
    ok(cudaGetLastError());                            /* that does not stay */
    ok(cudaMalloc(&q, 400000));
    assert_int_equal(rt_emulated_bytes(), 1000000);
    ok(cudaFree(p));
    ok(cudaFree(q));
    assert_int_equal(rt_emulated_bytes(), 0);
}

__global__ void k_one(float *x) { x[threadIdx.x] = 1; }

static void test_failures(void **)
{
    void *p = nullptr;
    machine("FAIL", "2");
    ok(cudaMalloc(&p, 128));
    assert_int_equal(cudaMemset(p, 0, 128), cudaErrorLaunchFailure);
    ok(cudaMemset(p, 0, 128));
    ok(cudaFree(p));
    assert_int_equal(rt_emulated_calls(), 4);
    machine("FAIL", "cudaMalloc:2");
    ok(cudaMalloc(&p, 128));
    void *q;
    assert_int_equal(cudaMalloc(&q, 128), cudaErrorMemoryAllocation);
    ok(cudaGetLastError() == cudaErrorMemoryAllocation ? cudaSuccess : cudaErrorUnknown);
    ok(cudaFree(p));
    machine("FAIL", "cudaLaunchKernel:1");
    ok(cudaMalloc(&p, 128));
    RT_LAUNCH(k_one, 1, 32, 0, nullptr, (float *)p);
    assert_int_equal(cudaPeekAtLastError(), cudaErrorLaunchFailure);
    assert_int_equal(cudaGetLastError(), cudaErrorLaunchFailure);
    ok(cudaGetLastError());
    RT_LAUNCH(k_one, 1, 32, 0, nullptr, (float *)p);
    ok(cudaGetLastError());
    ok(cudaFree(p));
}

static void test_lost(void **)
{
    for (bool ecc : {false, true}) {
        cudaError_t gone = ecc ? cudaErrorECCUncorrectable : cudaErrorIllegalAddress;
        float host[32] = {0}, *p;
        machine(nullptr, nullptr);
        ok(cudaMalloc(&p, 128));
        machine("FAIL", ecc ? "cudaDeviceSynchronize:1:ecc" : "cudaDeviceSynchronize:1:lost");
        RT_LAUNCH(k_one, 1, 32, 0, nullptr, p);
        ok(cudaMemcpyAsync(host, p, 128, cudaMemcpyDeviceToHost, nullptr));
        assert_int_equal(cudaDeviceSynchronize(), gone);
        assert_int_equal(cudaDeviceSynchronize(), gone);
        assert_int_equal(cudaMemcpy(host, p, 128, cudaMemcpyDeviceToHost), gone);
        assert_int_equal(cudaGetLastError(), gone);
        assert_int_equal(cudaGetLastError(), gone);    /* that stays */
        assert_true(host[0] == 0);
        machine(nullptr, nullptr);
        ok(cudaDeviceSynchronize());
        ok(cudaFree(p));
    }
}

static void test_order(void **)
{
    machine("ORDER", "random:7");
    assert_int_equal(rt_emulated_blas_missing(), 0);
    machine("NO_BLAS", "1");
    assert_int_equal(rt_emulated_blas_missing(), 1);
    machine(nullptr, nullptr);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cards),    cmocka_unit_test(test_no_card), cmocka_unit_test(test_memory),
        cmocka_unit_test(test_failures), cmocka_unit_test(test_lost),    cmocka_unit_test(test_order),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
