/* The emulated cuBLASLt against sums in double: transposes, leading dimensions, batches, epilogues, precisions; and
 * what it refuses. */
#include "cuda_support.h"

#include <cmath>
#include <cublasLt.h>

struct shape { int m, n, k, count; bool ta, tb; };
struct kind { cudaDataType type, out; cublasComputeType_t compute; int bits; double tolerance; };
static const kind fp32 = {CUDA_R_32F, CUDA_R_32F, CUBLAS_COMPUTE_32F, 23, 1e-5};
static const kind tf32 = {CUDA_R_32F, CUDA_R_32F, CUBLAS_COMPUTE_32F_FAST_TF32, 10, 1e-5};
static const kind bf16 = {CUDA_R_16BF, CUDA_R_32F, CUBLAS_COMPUTE_32F, 7, 1e-5};
static const kind bf16_all = {CUDA_R_16BF, CUDA_R_16BF, CUBLAS_COMPUTE_32F, 7, 1.0 / 128};

static cublasLtHandle_t handle;
static void good(cublasStatus_t s)
{
    if (s) fail_msg("%s", cublasLtGetStatusName(s));
}
static double rounded(double x, int bits)
{
    int e;
    double f = frexp(x, &e);
    f = ldexp(f, bits + 1);
    return ldexp(bits == 10 ? round(f) : rint(f), e - bits - 1);     /* halves: tf32 away from 0, else to even */
}

/* A matrix on the card, with gaps of 3 between columns and 5 between batches. */
struct matrix {
    int rows, cols, ld, count;
    size_t stride;
    cudaDataType type;
    std::vector<float> host;
    void *card;
    cublasLtMatrixLayout_t layout;
    matrix(int r, int c, int batches, cudaDataType t, unsigned seed)
        : rows(r), cols(c), ld(r + 3), count(batches), stride((size_t)ld * (size_t)c + 5), type(t)
    {
        int64_t apart = (int64_t)stride;
        host = numbers(stride * (size_t)batches, seed);
        ok(cudaMalloc(&card, bytes()));
        put();
        good(cublasLtMatrixLayoutCreate(&layout, type, (uint64_t)r, (uint64_t)c, ld));
        good(cublasLtMatrixLayoutSetAttribute(layout, CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, &count, sizeof count));
        good(cublasLtMatrixLayoutSetAttribute(layout, CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET, &apart,
                                              sizeof apart));
    }
    matrix(const matrix &) = delete;
    ~matrix() { cudaFree(card), cublasLtMatrixLayoutDestroy(layout); }
    size_t bytes() const { return host.size() * (type == CUDA_R_32F ? 4 : 2); }
    void put() const
    {
        std::vector<uint16_t> half;
        for (float v : host) half.push_back(rt_bf16_of(v));
        ok(cudaMemcpy(card, type == CUDA_R_32F ? (const void *)host.data() : half.data(), bytes(),
                      cudaMemcpyHostToDevice));
    }
    std::vector<float> read() const
    {
        std::vector<float> v(host.size());
        std::vector<uint16_t> half(host.size());
        ok(cudaMemcpy(type == CUDA_R_32F ? (void *)v.data() : half.data(), card, bytes(), cudaMemcpyDeviceToHost));
        for (size_t i = 0; type != CUDA_R_32F && i < v.size(); i++) v[i] = rt_of_bf16(half[i]);
        return v;
    }
    size_t at(int b, int r, int c) const { return (size_t)b * stride + (size_t)c * (size_t)ld + (size_t)r; }
};

struct task {
    shape s;
    kind k;
    matrix a, b, c, d;
    cublasLtMatmulDesc_t desc;
    task(shape what, kind how, uint32_t epilogue)
        : s(what), k(how), a(s.ta ? s.k : s.m, s.ta ? s.m : s.k, s.count, k.type, 1),
          b(s.tb ? s.n : s.k, s.tb ? s.k : s.n, s.count, k.type, 2), c(s.m, s.n, s.count, k.out, 3),
          d(s.m, s.n, s.count, k.out, 4)
    {
        int32_t ta = s.ta, tb = s.tb;
        good(cublasLtMatmulDescCreate(&desc, k.compute, CUDA_R_32F));
        set(CUBLASLT_MATMUL_DESC_TRANSA, ta);
        set(CUBLASLT_MATMUL_DESC_TRANSB, tb);
        set(CUBLASLT_MATMUL_DESC_EPILOGUE, epilogue);
    }
    task(const task &) = delete;
    ~task() { cublasLtMatmulDescDestroy(desc); }
    template <class T> void set(cublasLtMatmulDescAttributes_t what, T value)
    {
        good(cublasLtMatmulDescSetAttribute(desc, what, &value, sizeof value));
    }
    int heuristic(cublasLtMatmulHeuristicResult_t results[4], uint64_t workspace)
    {
        cublasLtMatmulPreference_t preference;
        int found;
        good(cublasLtMatmulPreferenceCreate(&preference));
        good(cublasLtMatmulPreferenceSetAttribute(preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &workspace,
                                                  sizeof workspace));
        cublasStatus_t status = cublasLtMatmulAlgoGetHeuristic(handle, desc, a.layout, b.layout, c.layout, d.layout,
                                                               preference, 4, results, &found);
        cublasLtMatmulPreferenceDestroy(preference);
        return status ? -(int)status : found;
    }
    cublasStatus_t run(float alpha, float beta, const cublasLtMatmulAlgo_t *algo = nullptr, void *workspace = nullptr,
                       size_t bytes = 0)
    {
        return cublasLtMatmul(handle, desc, &alpha, a.card, a.layout, b.card, b.layout, &beta, c.card, c.layout, d.card,
                              d.layout, algo, workspace, bytes, nullptr);
    }
    double in(const matrix &m, bool trans, int batch, int r, int col) const
    {
        return rounded(m.host[trans ? m.at(batch, col, r) : m.at(batch, r, col)], k.bits);
    }
    double product(int batch, int r, int col) const
    {
        double sum = 0;
        for (int i = 0; i < s.k; i++) sum += in(a, s.ta, batch, r, i) * in(b, s.tb, batch, i, col);
        return sum;
    }
    double before(int batch, int r, int col) const     /* what d held, and c holds */
    {
        float v = c.host[c.at(batch, r, col)];
        return k.out == CUDA_R_32F ? v : rounded(v, 7);
    }
    /* Every element against expect(batch, row, column); what lies between columns has not been touched. */
    template <class F> void compare(F expect) const
    {
        auto out = d.read();
        std::vector<bool> seen(out.size());
        for (int i = 0; i < s.count; i++)
            for (int r = 0; r < s.m; r++)
                for (int col = 0; col < s.n; col++) {
                    double want = expect(i, r, col);
                    seen[d.at(i, r, col)] = true;
                    assert_true(fabs(out[d.at(i, r, col)] - want) <= k.tolerance * (1 + fabs(want)));
                }
        for (size_t i = 0; i < out.size(); i++)
            if (!seen[i]) assert_true(out[i] == (k.out == CUDA_R_32F ? d.host[i] : rt_of_bf16(rt_bf16_of(d.host[i]))));
    }
};

static const shape shapes[] = {{1, 1, 1, 1, false, false}, {5, 7, 3, 1, true, false}, {16, 9, 33, 2, false, true},
                               {3, 20, 17, 3, true, true}, {64, 31, 70, 1, false, false}};

static void test_products(void **)
{
    for (const kind &k : {fp32, tf32, bf16, bf16_all})
        for (const shape &s : shapes) {
            task t(s, k, CUBLASLT_EPILOGUE_DEFAULT);
            good(t.run(1, 0));
            t.compare([&](int i, int r, int c) { return t.product(i, r, c); });
            good(t.run(-0.5f, 2));
            t.compare([&](int i, int r, int c) { return -0.5 * t.product(i, r, c) + 2 * t.before(i, r, c); });
        }
    task exact(shapes[4], fp32, CUBLASLT_EPILOGUE_DEFAULT), coarse(shapes[4], tf32, CUBLASLT_EPILOGUE_DEFAULT);
    good(exact.run(1, 0));
    good(coarse.run(1, 0));
    assert_true(fabs(exact.d.read()[0] - coarse.d.read()[0]) > 1e-6);      /* tf32 does round */
}

static void test_pointer_mode(void **)
{
    task t(shapes[1], fp32, CUBLASLT_EPILOGUE_DEFAULT);
    on_card<float> scalars(std::vector<float>{3, 0});
    t.set(CUBLASLT_MATMUL_DESC_POINTER_MODE, (int32_t)CUBLASLT_POINTER_MODE_DEVICE);
    good(cublasLtMatmul(handle, t.desc, scalars.at, t.a.card, t.a.layout, t.b.card, t.b.layout, scalars.at + 1,
                        t.c.card, t.c.layout, t.d.card, t.d.layout, nullptr, nullptr, 0, nullptr));
    t.compare([&](int i, int r, int c) { return 3 * t.product(i, r, c); });
}

static double gelu(double x) { return 0.5 * x * (1 + tanh(sqrt(2 / M_PI) * (x + 0.044715 * x * x * x))); }

/* Forward epilogues, and the masks and inputs that they leave for backward. */
static void test_forward(void **)
{
    const uint32_t kinds[] = {CUBLASLT_EPILOGUE_BIAS,         CUBLASLT_EPILOGUE_RELU,
                              CUBLASLT_EPILOGUE_RELU_BIAS,    CUBLASLT_EPILOGUE_GELU,
                              CUBLASLT_EPILOGUE_GELU_BIAS,    CUBLASLT_EPILOGUE_RELU_AUX_BIAS,
                              CUBLASLT_EPILOGUE_GELU_AUX_BIAS};
    for (uint32_t e : kinds)
        for (const kind &k : {fp32, bf16}) {
            shape s = {21, 6, 9, 2, true, false};
            task t(s, k, e);
            auto bias = numbers(21, 7);
            on_card<float> b(bias), aux(2 * 128 * 6);
            if (e & 4) t.set(CUBLASLT_MATMUL_DESC_BIAS_POINTER, (const void *)b.at);
            if (e & 128) {
                t.set(CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_POINTER, (const void *)aux.at);
                t.set(CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_LD, (int64_t)128);
                t.set(CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_BATCH_STRIDE, (int64_t)(128 * 6));
            }
            good(t.run(1, 1));
            auto linear = [&](int i, int r, int c) {
                return t.product(i, r, c) + t.before(i, r, c) + (e & 4 ? bias[(size_t)r] : 0);
            };
            t.compare([&](int i, int r, int c) {
                double v = linear(i, r, c);
                return e & 2 ? v > 0 ? v : 0 : e & 32 ? gelu(v) : v;
            });
            if (!(e & 128)) continue;
            auto kept = aux.read();
            for (int i = 0; i < 2; i++)
                for (int c = 0; c < 6; c++)
                    for (int r = 0; r < 21; r++) {
                        size_t at = (size_t)(i * 768 + c * 128 + r);
                        if (e & 32)
                            assert_true(fabs(kept[at] - linear(i, r, c)) < 1e-5);
                        else
                            assert_int_equal(((unsigned char *)kept.data())[at / 8] >> at % 8 & 1, linear(i, r, c) > 0);
                    }
        }
}

/* Backward epilogues: the slope at what was kept, and sums for the bias. */
static void test_backward(void **)
{
    const shape s = {21, 6, 9, 1, false, true};
    for (uint32_t e : {CUBLASLT_EPILOGUE_DRELU, CUBLASLT_EPILOGUE_DRELU_BGRAD, CUBLASLT_EPILOGUE_DGELU,
                       CUBLASLT_EPILOGUE_DGELU_BGRAD}) {
        task t(s, fp32, e);
        auto kept = numbers(128 * 6, 8);
        on_card<float> aux(kept), sums(21);
        t.set(CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_POINTER, (const void *)aux.at);
        t.set(CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_LD, (int64_t)128);
        if (e & 16) t.set(CUBLASLT_MATMUL_DESC_BIAS_POINTER, (const void *)sums.at);
        good(t.run(1, 0));
        auto slope = [&](int r, int c) {
            size_t at = (size_t)(c * 128 + r);
            if (e & 8) return (double)(((unsigned char *)kept.data())[at / 8] >> at % 8 & 1);
            return (gelu(kept[at] + 1e-5) - gelu(kept[at] - 1e-5)) / 2e-5;
        };
        t.compare([&](int i, int r, int c) { return t.product(i, r, c) * slope(r, c); });
        for (int r = 0; e & 16 && r < 21; r++) {
            double sum = 0;
            for (int c = 0; c < 6; c++) sum += t.product(0, r, c) * slope(r, c);
            assert_true(fabs(sums.read()[(size_t)r] - sum) < 1e-5);
        }
    }
    for (uint32_t e : {CUBLASLT_EPILOGUE_BGRADA, CUBLASLT_EPILOGUE_BGRADB}) {
        task t(s, fp32, e);
        int n = e == CUBLASLT_EPILOGUE_BGRADA ? s.m : s.n;
        on_card<float> sums((size_t)n);
        t.set(CUBLASLT_MATMUL_DESC_BIAS_POINTER, (const void *)sums.at);
        good(t.run(1, 0));
        t.compare([&](int i, int r, int c) { return t.product(i, r, c); });
        for (int j = 0; j < n; j++) {
            double sum = 0;
            for (int i = 0; i < s.k; i++)
                sum += e == CUBLASLT_EPILOGUE_BGRADA ? t.in(t.a, s.ta, 0, j, i) : t.in(t.b, s.tb, 0, i, j);
            assert_true(fabs(sums.read()[(size_t)j] - sum) < 1e-5);
        }
    }
}

/* Algorithms by number, their workspace, and a product in a graph. */
static void test_algorithms(void **)
{
    task t(shapes[4], fp32, CUBLASLT_EPILOGUE_DEFAULT);
    cublasLtMatmulHeuristicResult_t r[4];
    assert_int_equal(t.heuristic(r, 0), 1);
    assert_int_equal(t.heuristic(r, 1 << 20), 3);
    on_card<char> work(1 << 20);
    for (int i = 0; i < 3; i++) {
        uint32_t split = 0;
        size_t written;
        good(cublasLtMatmulAlgoConfigGetAttribute(&r[i].algo, CUBLASLT_ALGO_CONFIG_SPLITK_NUM, &split, sizeof split,
                                                  &written));
        assert_int_equal(split, 1);
        if (r[i].workspaceSize)
            assert_int_equal(t.run(1, 0, &r[i].algo, work.at, r[i].workspaceSize - 1), CUBLAS_STATUS_INVALID_VALUE);
        good(t.run(1, 0, &r[i].algo, work.at, work.n));
        t.compare([&](int b, int row, int c) { return t.product(b, row, c); });
    }
    cudaStream_t s;
    cudaGraph_t graph;
    cudaGraphExec_t exec;
    float alpha = 1, beta = 0;
    ok(cudaStreamCreateWithFlags(&s, cudaStreamNonBlocking));
    ok(cudaStreamBeginCapture(s, cudaStreamCaptureModeGlobal));
    good(cublasLtMatmul(handle, t.desc, &alpha, t.a.card, t.a.layout, t.b.card, t.b.layout, &beta, t.c.card, t.c.layout,
                        t.d.card, t.d.layout, &r[1].algo, work.at, work.n, s));
    ok(cudaStreamEndCapture(s, &graph));
    ok(cudaGraphInstantiateWithFlags(&exec, graph, 0));
    for (float &v : t.a.host) v *= -2;
    t.a.put();
    ok(cudaGraphLaunch(exec, s));
    ok(cudaStreamSynchronize(s));
    t.compare([&](int b, int row, int c) { return t.product(b, row, c); });
    ok(cudaGraphExecDestroy(exec));
    ok(cudaGraphDestroy(graph));
    ok(cudaStreamDestroy(s));
}

static void test_refused(void **)
{
    const cublasStatus_t bad = CUBLAS_STATUS_INVALID_VALUE;
    cublasLtMatmulHeuristicResult_t r[4];
    shape s = {8, 8, 8, 1, false, false};
    task t(s, fp32, CUBLASLT_EPILOGUE_DEFAULT);
    int32_t wrong = 1;
    uint64_t rows = 9;
    int64_t ld = 4;
    assert_int_equal(cublasLtMatmulDescSetAttribute(t.desc, CUBLASLT_MATMUL_DESC_BIAS_POINTER, &wrong, sizeof wrong),
                     bad);
    assert_int_equal(cublasLtMatrixLayoutSetAttribute(t.a.layout, CUBLASLT_MATRIX_LAYOUT_LD, &wrong, sizeof wrong),
                     bad);
    good(cublasLtMatrixLayoutSetAttribute(t.a.layout, CUBLASLT_MATRIX_LAYOUT_ROWS, &rows, sizeof rows));
    assert_int_equal(t.run(1, 0), bad);                /* 9 rows into 8 */
    rows = 8;
    good(cublasLtMatrixLayoutSetAttribute(t.a.layout, CUBLASLT_MATRIX_LAYOUT_ROWS, &rows, sizeof rows));
    good(cublasLtMatrixLayoutSetAttribute(t.b.layout, CUBLASLT_MATRIX_LAYOUT_LD, &ld, sizeof ld));
    assert_int_equal(t.run(1, 0), bad);                /* fewer than the rows */
    assert_int_equal(t.heuristic(r, 0), -(int)bad);
    ld = 12;                                           /* the last column would end behind the allocation */
    good(cublasLtMatrixLayoutSetAttribute(t.b.layout, CUBLASLT_MATRIX_LAYOUT_LD, &ld, sizeof ld));
    assert_int_equal(t.run(1, 0), CUBLAS_STATUS_SUCCESS);
    ld = 14;
    good(cublasLtMatrixLayoutSetAttribute(t.b.layout, CUBLASLT_MATRIX_LAYOUT_LD, &ld, sizeof ld));
    assert_int_equal(t.run(1, 0), bad);
    float alpha = 1, beta = 0;
    task u(s, fp32, CUBLASLT_EPILOGUE_DEFAULT);
    assert_int_equal(cublasLtMatmul(handle, u.desc, &alpha, u.a.host.data(), u.a.layout, u.b.card, u.b.layout, &beta,
                                    u.c.card, u.c.layout, u.d.card, u.d.layout, nullptr, nullptr, 0, nullptr),
                     bad);
    assert_int_equal(u.run(1, 0, nullptr, u.a.host.data(), 64), bad);           /* workspace on the host */
    task v(s, fp32, CUBLASLT_EPILOGUE_RELU_AUX_BIAS);
    on_card<float> aux(128 * 8);
    v.set(CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_POINTER, (const void *)aux.at);
    v.set(CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_LD, (int64_t)64);
    assert_int_equal(v.run(1, 0), bad);                /* not a multiple of 128 */
    v.set(CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_LD, (int64_t)128);
    assert_int_equal(v.run(1, 0), bad);                /* no bias */
    v.set(CUBLASLT_MATMUL_DESC_BIAS_POINTER, (const void *)aux.at);
    assert_int_equal(v.run(1, 0), CUBLAS_STATUS_SUCCESS);
    setenv("RETORT_EMULATE_NO_EPILOGUES", "1", 1);
    assert_int_equal(v.heuristic(r, 0), -(int)CUBLAS_STATUS_NOT_SUPPORTED);
    assert_int_equal(u.heuristic(r, 0), 1);
    unsetenv("RETORT_EMULATE_NO_EPILOGUES");
    ok(cudaDeviceSynchronize());
}

static void test_settings(void **)
{
    setenv("RETORT_EMULATE_CAPABILITY", "75", 1);
    rt_emulated_reset();
    cublasLtMatmulHeuristicResult_t r[4];
    {
        task t(shapes[0], bf16, CUBLASLT_EPILOGUE_DEFAULT);
        assert_int_equal(t.heuristic(r, 0), -(int)CUBLAS_STATUS_NOT_SUPPORTED);
    }
    unsetenv("RETORT_EMULATE_CAPABILITY");
    setenv("RETORT_EMULATE_FAIL", "cublasLtMatmul:2", 1);
    rt_emulated_reset();
    task t(shapes[0], fp32, CUBLASLT_EPILOGUE_DEFAULT);
    good(t.run(1, 0));
    assert_int_equal(t.run(1, 0), CUBLAS_STATUS_EXECUTION_FAILED);
    good(t.run(1, 0));
    unsetenv("RETORT_EMULATE_FAIL");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_products), cmocka_unit_test(test_pointer_mode), cmocka_unit_test(test_forward),
        cmocka_unit_test(test_backward), cmocka_unit_test(test_algorithms),   cmocka_unit_test(test_refused),
        cmocka_unit_test(test_settings),
    };
    good(cublasLtCreate(&handle));
    int failed = cmocka_run_group_tests(tests, nullptr, nullptr);
    good(cublasLtDestroy(handle));
    return failed;
}
