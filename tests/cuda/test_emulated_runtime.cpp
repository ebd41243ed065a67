/* The emulated runtime: what is queued runs when it is waited for; streams, events, graphs, memory, and what is
 * refused. */
#include "cuda_support.h"

#include <cmath>

struct stream {
    cudaStream_t at;
    explicit stream(unsigned flags = cudaStreamNonBlocking) { ok(cudaStreamCreateWithFlags(&at, flags)); }
    ~stream() { cudaStreamDestroy(at); }
    operator cudaStream_t() const { return at; }
};
struct event {
    cudaEvent_t at;
    event() { ok(cudaEventCreateWithFlags(&at, cudaEventDisableTiming)); }
    ~event() { cudaEventDestroy(at); }
    operator cudaEvent_t() const { return at; }
};

__global__ void k_add(float *to, const float *from, int n)
{
    int i = (int)(blockIdx.x * blockDim.x + threadIdx.x);
    if (i < n) to[i] += from[i];
}
__global__ void k_scale(float *x, float by, int n)
{
    int i = (int)(blockIdx.x * blockDim.x + threadIdx.x);
    if (i < n) x[i] *= by;
}
static const std::vector<float> ones(100, 1.0f);

/* Nothing runs before it is waited for; then in order. */
static void test_deferred(void **)
{
    stream s;
    on_card<float> x(100), y(ones);
    std::vector<float> out(100, -1);
    ok(cudaMemsetAsync(x.at, 0, 400, s));
    RT_LAUNCH(k_add, 1, 128, 0, s, x.at, y.at, 100);
    RT_LAUNCH(k_scale, 1, 128, 0, s, x.at, 3.0f, 100);
    ok(cudaMemcpyAsync(out.data(), x.at, 400, cudaMemcpyDeviceToHost, s));
    ok(cudaPeekAtLastError());
    assert_true(out[7] == -1);
    ok(cudaStreamSynchronize(s));
    assert_true(out[7] == 3);
}

/* A source that is changed before the copy has been waited for, and memory that nobody wrote. */
static void test_faults_that_show(void **)
{
    stream s;
    on_card<float> x(100);
    for (float v : x.read()) assert_true(std::isnan(v));
    std::vector<float> in(100, 1), out(100);
    ok(cudaMemcpyAsync(x.at, in.data(), 400, cudaMemcpyHostToDevice, s));
    in.assign(100, 2);
    ok(cudaMemcpyAsync(out.data(), x.at, 400, cudaMemcpyDeviceToHost, s));
    ok(cudaStreamSynchronize(s));
    assert_true(out[0] == 2);
}

/* Two streams: without an event the second reads what is not there yet, with one it does not, in every order. */
static std::vector<float> two_streams(bool waits)
{
    std::vector<float> in(100, 5), out(100);           /* they live longer than what is queued */
    stream a, b;
    event done;
    on_card<float> x(100), y(100);
    ok(cudaMemcpyAsync(x.at, in.data(), 400, cudaMemcpyHostToDevice, a));
    ok(cudaEventRecord(done, a));
    if (waits) ok(cudaStreamWaitEvent(b, done, 0));
    ok(cudaMemcpyAsync(y.at, x.at, 400, cudaMemcpyDeviceToDevice, b));
    RT_LAUNCH(k_scale, 1, 128, 0, b, y.at, 2.0f, 100);
    ok(cudaMemcpyAsync(out.data(), y.at, 400, cudaMemcpyDeviceToHost, b));
    ok(cudaStreamSynchronize(b));
    return out;
}
static void test_events(void **)
{
    in_all_orders([] {
        auto v = two_streams(true);
        assert_true(v[0] == 10);
        return v;
    });
    assert_true(std::isnan(two_streams(false)[0]));
}
/* A buffer is used again while another stream may still read it: reverse order shows that, forward does not. */
static void test_reuse(void **)
{
    float seen[2];
    for (int order = 0; order < 2; order++) {
        rt_emulated_order(order, 0);
        stream a, b;
        on_card<float> x(ones), y(100), z(std::vector<float>(100, 9.0f));
        std::vector<float> out(100);
        ok(cudaMemcpyAsync(y.at, x.at, 400, cudaMemcpyDeviceToDevice, a));
        ok(cudaMemcpyAsync(x.at, z.at, 400, cudaMemcpyDeviceToDevice, b));
        ok(cudaMemcpyAsync(out.data(), y.at, 400, cudaMemcpyDeviceToHost, a));
        ok(cudaStreamSynchronize(a));
        seen[order] = out[0];
    }
    rt_emulated_order(RT_EMULATED_FORWARD, 0);
    assert_true(seen[0] == 1 && seen[1] == 9);
}
static void test_queries(void **)
{
    stream s;
    event e;
    on_card<float> x(100);
    ok(cudaEventQuery(e));                             /* never recorded */
    ok(cudaEventSynchronize(e));
    ok(cudaMemsetAsync(x.at, 0, 400, s));
    ok(cudaEventRecord(e, s));
    ok(cudaMemsetAsync(x.at, 0, 400, s));
    assert_int_equal(cudaEventQuery(e), cudaErrorNotReady);
    ok(cudaEventSynchronize(e));
    ok(cudaEventQuery(e));
    assert_int_equal(cudaStreamQuery(s), cudaErrorNotReady);
    while (cudaStreamQuery(s) == cudaErrorNotReady) {}            /* time goes on while one asks */
    ok(cudaStreamQuery(s));
    ok(cudaGetLastError());
    cudaEvent_t timed[2];
    float ms = 0;
    for (cudaEvent_t &t : timed) ok(cudaEventCreate(&t));
    for (cudaEvent_t &t : timed) ok(cudaEventRecord(t, s));
    assert_int_equal(cudaEventElapsedTime(&ms, timed[0], timed[1]), cudaErrorNotReady);
    ok(cudaStreamSynchronize(s));
    ok(cudaEventElapsedTime(&ms, timed[0], timed[1]));
    assert_true(std::isnan(ms));                       /* no time is ever told */
    for (cudaEvent_t &t : timed) ok(cudaEventDestroy(t));
}

/* The legacy stream waits for blocking streams and they for it; not for the others. */
static void test_legacy(void **)
{
    stream blocking(cudaStreamDefault), apart;
    on_card<float> x(100), y(100);
    ok(cudaMemsetAsync(x.at, 0, 400, blocking));
    ok(cudaMemsetAsync(y.at, 0, 400, apart));
    assert_true(x.read()[0] == 0 && std::isnan(y.read()[0]));
    ok(cudaMemcpyAsync(x.at, ones.data(), 400, cudaMemcpyHostToDevice, nullptr));
    RT_LAUNCH(k_scale, 1, 128, 0, blocking, x.at, 4.0f, 100);
    ok(cudaStreamSynchronize(blocking));
    ok(cudaDeviceSynchronize());
    assert_true(x.read()[0] == 4 && y.read()[0] == 0);
}

/* A graph does again what was captured, with what stands in memory then. */
static void test_graphs(void **)
{
    stream s;
    on_card<float> x(std::vector<float>(100, 0.0f)), y(ones);
    std::vector<float> out(100, -1), in(100, 1);
    cudaGraph_t graph;
    cudaGraphExec_t exec;
    cudaStreamCaptureStatus status;
    event e;
    size_t nodes;
    ok(cudaStreamBeginCapture(s, cudaStreamCaptureModeThreadLocal));
    ok(cudaStreamIsCapturing(s, &status));
    assert_int_equal(status, cudaStreamCaptureStatusActive);
    ok(cudaMemcpyAsync(y.at, in.data(), 400, cudaMemcpyHostToDevice, s));
    ok(cudaEventRecord(e, s));
    ok(cudaStreamWaitEvent(s, e, 0));
    RT_LAUNCH(k_add, 1, 128, 0, s, x.at, y.at, 100);
    ok(cudaMemcpyAsync(out.data(), x.at, 400, cudaMemcpyDeviceToHost, s));
    ok(cudaStreamEndCapture(s, &graph));
    ok(cudaGraphGetNodes(graph, nullptr, &nodes));
    assert_int_equal(nodes, 3);
    ok(cudaGraphInstantiateWithFlags(&exec, graph, 0));
    ok(cudaGraphDestroy(graph));
    ok(cudaStreamSynchronize(s));
    assert_true(out[0] == -1);
    for (int i = 0; i < 3; i++) ok(cudaGraphLaunch(exec, s));
    ok(cudaStreamSynchronize(s));
    assert_true(out[99] == 3);
    in.assign(100, 10);
    ok(cudaGraphLaunch(exec, s));
    ok(cudaStreamSynchronize(s));
    assert_true(out[99] == 13);
    assert_int_equal(cudaEventQuery(e), cudaErrorCapturedEvent);
    ok(cudaGraphExecDestroy(exec));
    assert_int_equal(cudaGraphLaunch(exec, s), cudaErrorInvalidResourceHandle);
    cudaGetLastError();
}

/* What breaks a capture: EndCapture says so, gives no graph, and the stream can be used again. */
template <class F> static void breaks_capture(cudaError_t expected, F f)
{
    stream s, other;
    cudaGraph_t graph;
    ok(cudaStreamBeginCapture(s, cudaStreamCaptureModeGlobal));
    assert_int_equal(f(s.at, other.at), expected);
    assert_int_equal(cudaStreamEndCapture(s, &graph), cudaErrorStreamCaptureInvalidated);
    assert_null(graph);
    assert_int_equal(cudaGetLastError(), cudaErrorStreamCaptureInvalidated);
    ok(cudaGetLastError());
    ok(cudaStreamSynchronize(s));
}
static void test_capture(void **)
{
    const cudaError_t no = cudaErrorStreamCaptureUnsupported;
    on_card<float> x(100);
    std::vector<float> host(100);
    void *p = nullptr;
    event e;
    breaks_capture(no, [&](cudaStream_t, cudaStream_t) { return cudaMalloc(&p, 100); });
    breaks_capture(no, [&](cudaStream_t, cudaStream_t) { return cudaFree(x.at); });
    breaks_capture(no, [&](cudaStream_t, cudaStream_t) { return cudaMallocHost(&p, 100); });
    breaks_capture(no, [&](cudaStream_t s, cudaStream_t) { return cudaStreamSynchronize(s); });
    breaks_capture(no, [&](cudaStream_t s, cudaStream_t) { return cudaStreamQuery(s); });
    breaks_capture(no, [&](cudaStream_t, cudaStream_t) { return cudaDeviceSynchronize(); });
    breaks_capture(
        no, [&](cudaStream_t, cudaStream_t) { return cudaMemcpy(x.at, host.data(), 400, cudaMemcpyHostToDevice); });
    breaks_capture(cudaErrorStreamCaptureIsolation, [&](cudaStream_t s, cudaStream_t other) {
        ok(cudaEventRecord(e, other));
        return cudaStreamWaitEvent(s, e, 0);
    });
    stream s, other, blocking(cudaStreamDefault);
    cudaGraph_t graph;
    ok(cudaStreamBeginCapture(s, cudaStreamCaptureModeRelaxed));
    ok(cudaMalloc(&p, 100));
    ok(cudaEventRecord(e, s));
    ok(cudaStreamEndCapture(s, &graph));
    assert_int_equal(cudaStreamWaitEvent(other, e, 0), cudaErrorStreamCaptureIsolation); /* of a capture that is over */
    ok(cudaGraphDestroy(graph));
    ok(cudaFree(p));
    ok(cudaStreamBeginCapture(blocking, cudaStreamCaptureModeRelaxed));
    assert_int_equal(cudaMemsetAsync(x.at, 0, 400, nullptr), cudaErrorStreamCaptureImplicit);
    assert_int_equal(cudaStreamEndCapture(blocking, &graph), cudaErrorStreamCaptureInvalidated);
    assert_int_equal(cudaStreamEndCapture(s, &graph), cudaErrorInvalidValue);
    cudaGetLastError();
}

/* A capture goes on in a stream that waits for its event; what does not wait for each other runs in any order, and what
 * nobody waits for does not end well. */
static void test_fork(void **)
{
    for (int order = 0; order < 5; order++) {
        rt_emulated_order(order < 2 ? order : RT_EMULATED_RANDOM, (uint64_t)order);
        stream s, side;
        event fork, join;
        on_card<float> x(ones), y(100), z(100), w(100);
        std::vector<float> out(100);
        cudaGraph_t graph;
        cudaGraphExec_t exec;
        cudaStreamCaptureStatus status;
        size_t nodes;
        ok(cudaStreamBeginCapture(s, cudaStreamCaptureModeThreadLocal));
        RT_LAUNCH(k_scale, 1, 128, 0, s, x.at, 2.0f, 100);                                       /* x 2 */
        ok(cudaEventRecord(fork, s));
        ok(cudaStreamWaitEvent(side, fork, 0));
        ok(cudaStreamIsCapturing(side, &status));
        assert_int_equal(status, cudaStreamCaptureStatusActive);
        ok(cudaMemcpyAsync(y.at, x.at, 400, cudaMemcpyDeviceToDevice, side));                    /* y 2 */
        RT_LAUNCH(k_scale, 1, 128, 0, side, y.at, 5.0f, 100);                                    /* y 10 */
        ok(cudaEventRecord(join, side));
        ok(cudaMemcpyAsync(z.at, x.at, 400, cudaMemcpyDeviceToDevice, s));                       /* z 2 */
        RT_LAUNCH(k_scale, 1, 128, 0, s, z.at, 3.0f, 100);                                       /* z 6 */
        assert_int_equal(cudaStreamEndCapture(side, &graph), cudaErrorStreamCaptureUnmatched);
        cudaGetLastError();
        assert_int_equal(cudaStreamEndCapture(s, &graph), cudaErrorStreamCaptureInvalidated);
        cudaGetLastError();
        for (int waits = 0; waits < 2; waits++) {
            ok(cudaStreamBeginCapture(s, cudaStreamCaptureModeThreadLocal));
            RT_LAUNCH(k_scale, 1, 128, 0, s, x.at, 2.0f, 100);
            ok(cudaEventRecord(fork, s));
            ok(cudaStreamWaitEvent(side, fork, 0));
            ok(cudaMemcpyAsync(y.at, x.at, 400, cudaMemcpyDeviceToDevice, side));
            RT_LAUNCH(k_scale, 1, 128, 0, side, y.at, 5.0f, 100);
            ok(cudaMemcpyAsync(z.at, x.at, 400, cudaMemcpyDeviceToDevice, s));
            RT_LAUNCH(k_scale, 1, 128, 0, s, z.at, 3.0f, 100);
            ok(cudaEventRecord(join, side));
            if (waits) ok(cudaStreamWaitEvent(s, join, 0));
            RT_LAUNCH(k_add, 1, 128, 0, s, z.at, y.at, 100);                                     /* z 16 */
            cudaError_t ended = cudaStreamEndCapture(s, &graph);
            assert_int_equal(ended, waits ? cudaSuccess : cudaErrorStreamCaptureUnjoined);
            cudaGetLastError();
        }
        ok(cudaStreamIsCapturing(side, &status));
        assert_int_equal(status, cudaStreamCaptureStatusNone);
        ok(cudaGraphGetNodes(graph, nullptr, &nodes));
        assert_int_equal(nodes, 6);
        ok(cudaGraphInstantiateWithFlags(&exec, graph, 0));
        for (int i = 0; i < 2; i++) ok(cudaGraphLaunch(exec, s));
        ok(cudaMemcpyAsync(out.data(), z.at, 400, cudaMemcpyDeviceToHost, s));
        ok(cudaStreamSynchronize(s));
        assert_true(out[0] == 32 && out[99] == 32);
        ok(cudaGraphDestroy(graph));
        ok(cudaGraphExecDestroy(exec));
    }
    rt_emulated_order(RT_EMULATED_FORWARD, 0);
}
/* Where a wait is missing the orders differ. */
static void test_missing_wait(void **)
{
    float seen[2];
    for (int order = 0; order < 2; order++) {
        rt_emulated_order(order, 0);
        stream s, side;
        event fork, join;
        on_card<float> x(ones), y(std::vector<float>(100, 9.0f));
        std::vector<float> out(100);
        cudaGraph_t graph;
        cudaGraphExec_t exec;
        ok(cudaStreamBeginCapture(s, cudaStreamCaptureModeThreadLocal));
        ok(cudaEventRecord(fork, s));
        ok(cudaStreamWaitEvent(side, fork, 0));
        ok(cudaMemcpyAsync(y.at, x.at, 400, cudaMemcpyDeviceToDevice, side));
        ok(cudaEventRecord(join, side));
        RT_LAUNCH(k_scale, 1, 128, 0, s, y.at, 2.0f, 100);                 /* without waiting for it */
        ok(cudaStreamWaitEvent(s, join, 0));
        ok(cudaMemcpyAsync(out.data(), y.at, 400, cudaMemcpyDeviceToHost, s));
        ok(cudaStreamEndCapture(s, &graph));
        ok(cudaGraphInstantiateWithFlags(&exec, graph, 0));
        ok(cudaGraphLaunch(exec, s));
        ok(cudaStreamSynchronize(s));
        seen[order] = out[0];
        ok(cudaGraphDestroy(graph));
        ok(cudaGraphExecDestroy(exec));
    }
    rt_emulated_order(RT_EMULATED_FORWARD, 0);
    assert_true(seen[0] == 2 && seen[1] == 1);
}

/* Copies and sets: within one allocation, in the direction that is said. */
static void test_copies(void **)
{
    stream s;
    on_card<float> x(100), y(100);
    std::vector<float> h(100), g(100);
    const cudaError_t direction = cudaErrorInvalidMemcpyDirection, value = cudaErrorInvalidValue;
    ok(cudaMemcpyAsync(x.at, h.data(), 400, cudaMemcpyHostToDevice, s));
    ok(cudaMemcpyAsync(x.at + 99, h.data(), 4, cudaMemcpyDefault, s));
    ok(cudaMemcpyAsync(g.data(), h.data(), 400, cudaMemcpyHostToHost, s));
    ok(cudaMemcpyAsync(nullptr, nullptr, 0, cudaMemcpyHostToDevice, s));
    assert_int_equal(cudaMemcpyAsync(x.at, h.data(), 400, cudaMemcpyDeviceToHost, s), direction);
    assert_int_equal(cudaMemcpyAsync(h.data(), x.at, 400, cudaMemcpyHostToDevice, s), direction);
    assert_int_equal(cudaMemcpyAsync(h.data(), x.at, 400, cudaMemcpyDeviceToDevice, s), direction);
    assert_int_equal(cudaMemcpyAsync(x.at, y.at, 400, cudaMemcpyHostToHost, s), direction);
    assert_int_equal(cudaMemcpy(h.data(), x.at, 400, cudaMemcpyHostToDevice), direction);
    assert_int_equal(cudaMemcpyAsync(x.at, y.at, 400, cudaMemcpyHostToDevice, s), direction);      /* only the source */
    assert_int_equal(cudaMemcpyAsync(x.at, h.data(), 400, cudaMemcpyDeviceToDevice, s), direction);
    assert_int_equal(cudaMemcpyAsync(x.at, h.data(), 404, cudaMemcpyHostToDevice, s), value);
    assert_int_equal(cudaMemcpyAsync(x.at + 50, h.data(), 204, cudaMemcpyHostToDevice, s), value);
    assert_int_equal(cudaMemcpyAsync(x.at, y.at + 1, 400, cudaMemcpyDeviceToDevice, s), value);
    assert_int_equal(cudaMemsetAsync(x.at + 1, 0, 400, s), value);
    assert_int_equal(cudaMemsetAsync(h.data(), 0, 4, s), value);
    assert_int_equal(cudaMemcpyAsync(x.at, h.data(), 4, (cudaMemcpyKind)7, s), direction);
    assert_int_equal(cudaFree(x.at + 1), value);
    assert_int_equal(cudaFreeHost(h.data()), value);
    assert_int_equal(cudaGetLastError(), value);
    ok(cudaGetLastError());
    ok(cudaStreamSynchronize(s));
}

static void test_handles(void **)
{
    const cudaError_t no = cudaErrorInvalidResourceHandle;
    size_t before = rt_emulated_live();
    cudaStream_t s;
    cudaEvent_t e;
    void *pinned, *p;
    ok(cudaStreamCreate(&s));
    ok(cudaEventCreate(&e));
    ok(cudaMallocHost(&pinned, 1000));
    ok(cudaMalloc(&p, 1000));
    assert_int_equal((uintptr_t)p % 256, 0);
    assert_int_equal(rt_emulated_live(), before + 4);
    ok(cudaMemsetAsync(p, 0, 1000, s));
    ok(cudaMemcpyAsync(pinned, p, 1000, cudaMemcpyDeviceToHost, s));
    ok(cudaEventRecord(e, s));
    ok(cudaStreamDestroy(s));                          /* what was queued is done */
    assert_int_equal(*(int *)pinned, 0);
    ok(cudaEventSynchronize(e));
    assert_int_equal(cudaStreamSynchronize(s), no);
    assert_int_equal(cudaMemsetAsync(p, 0, 1000, s), no);
    RT_LAUNCH(k_scale, 1, 1, 0, s, (float *)p, 1.0f, 1);
    assert_int_equal(cudaGetLastError(), no);
    ok(cudaEventDestroy(e));
    assert_int_equal(cudaEventDestroy(e), no);
    ok(cudaFree(p));
    ok(cudaFreeHost(pinned));
    ok(cudaFree(nullptr));
    ok(cudaFreeHost(nullptr));
    assert_int_equal(rt_emulated_live(), before);
    cudaGetLastError();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_deferred), cmocka_unit_test(test_faults_that_show), cmocka_unit_test(test_events),
        cmocka_unit_test(test_reuse),    cmocka_unit_test(test_queries),          cmocka_unit_test(test_legacy),
        cmocka_unit_test(test_graphs),   cmocka_unit_test(test_fork),             cmocka_unit_test(test_missing_wait),
           cmocka_unit_test(test_capture),          cmocka_unit_test(test_copies),
        cmocka_unit_test(test_handles),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
