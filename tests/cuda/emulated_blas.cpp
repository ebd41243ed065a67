/* tests/cuda/emulated_blas.cpp - a cuBLASLt of plain loops: each element is summed over k from 0 on in float, whatever
 * the other dimensions. Queued in the stream, captured too. Refuses what the documentation of cuBLASLt does not allow
 * (leading dimensions, sizes of attributes, alignment of masks, mixtures of types) and pointers that do not lie wholly
 * in device memory. The workspace that an algorithm asks for is overwritten with NaN. */
#include "emulated_gpu.h"
#include "emulator.h"

#include <cmath>
#include <vector>

#include "cublasLt.h"

using namespace rt_emulated;

struct cublasLtContext { int device; };
struct cublasLtMatrixLayoutOpaque { int32_t type, order; uint64_t rows, cols; int64_t ld, stride; int32_t count; };
struct cublasLtMatmulDescOpaque {
    int32_t compute, scale, mode, trans_a, trans_b;
    uint32_t epilogue;
    const void *bias, *aux;
    int64_t bias_stride, aux_ld, aux_stride;
    int32_t bias_type;
};
struct cublasLtMatmulPreferenceOpaque { uint64_t workspace; uint32_t reductions, align[4]; };
typedef cublasLtMatrixLayoutOpaque layout;

enum { MAGIC = 0x626c6173, BIAS = 4, RELU = 2, GELU = 32, AUX = 128, DRELU = 8, DGELU = 64, BGRAD = 16 };

namespace {
struct product {                           /* all that is needed when it runs */
    layout a, b, c, d;
    cublasLtMatmulDescOpaque desc;
    const void *alpha, *beta;
    float alpha_host, beta_host;
    const void *pa, *pb, *pc;
    void *pd, *workspace;
    size_t workspace_bytes;
};
}

static size_t size_of(int32_t type) { return type == CUDA_R_32F ? 4 : 2; }
static float value_at(const void *at, int32_t type, size_t i)
{
    if (type == CUDA_R_32F) return ((const float *)at)[i];
    return bits<float>((uint32_t)((const uint16_t *)at)[i] << 16);
}
static void put(void *at, int32_t type, size_t i, float v)
{
    uint32_t u = bits<uint32_t>(v);
    if (type == CUDA_R_32F)
        ((float *)at)[i] = v;
    else                                   /* to the nearest, ties to even */
        ((uint16_t *)at)[i] = v != v ? 0x7fff : (uint16_t)((u + 0x7fff + (u >> 16 & 1)) >> 16);
}
static float input(float v, int32_t compute)
{
    uint32_t u = bits<uint32_t>(v);
    if (compute == CUBLAS_COMPUTE_32F_FAST_TF32 && (u & 0x7f800000u) != 0x7f800000u) u = (u + 0x1000) & 0xffffe000u;
    if (compute == CUBLAS_COMPUTE_32F_FAST_16BF && (u & 0x7f800000u) != 0x7f800000u)
        u = (u + 0x7fff + (u >> 16 & 1)) & 0xffff0000u;
    return bits<float>(u);
}

/* The rules. */

static bool extent_ok(const void *at, const layout &l, int64_t stride)
{
    size_t last = (size_t)(l.count - 1) * (size_t)stride + (size_t)(l.cols - 1) * (size_t)l.ld + l.rows;
    return at && (uintptr_t)at % size_of(l.type) == 0 && on_device(at, last * size_of(l.type));
}
static cublasStatus_t check(const cublasLtMatmulDescOpaque &t, const layout &a, const layout &b, const layout &c,
                            const layout &d)
{
    bool ta = t.trans_a != CUBLAS_OP_N, tb = t.trans_b != CUBLAS_OP_N;
    uint64_t m = ta ? a.cols : a.rows, k = ta ? a.rows : a.cols, n = tb ? b.rows : b.cols;
    if (!m || !n || !k || (tb ? b.cols : b.rows) != k || d.rows != m || d.cols != n || c.rows != m || c.cols != n)
        return CUBLAS_STATUS_INVALID_VALUE;
    for (const layout *l : {&a, &b, &c, &d}) {
        if (l->ld < (int64_t)l->rows || l->count != d.count || l->count < 1) return CUBLAS_STATUS_INVALID_VALUE;
        if (l->order != CUBLASLT_ORDER_COL) return CUBLAS_STATUS_NOT_SUPPORTED;
    }
    if (c.type != d.type || (d.count > 1 && d.stride < (int64_t)((n - 1) * (uint64_t)d.ld + m)))
        return CUBLAS_STATUS_INVALID_VALUE;
    if (a.type != b.type || (a.type == CUDA_R_32F && d.type != CUDA_R_32F)) return CUBLAS_STATUS_NOT_SUPPORTED;
    if (a.type == CUDA_R_16F || d.type == CUDA_R_16F || t.scale != CUDA_R_32F) return CUBLAS_STATUS_NOT_SUPPORTED;
    if (a.type == CUDA_R_16BF && (settings.capability < 80 || t.compute != CUBLAS_COMPUTE_32F))
        return settings.capability < 80 ? CUBLAS_STATUS_ARCH_MISMATCH : CUBLAS_STATUS_NOT_SUPPORTED;
    uint32_t e = t.epilogue;
    if (e == CUBLASLT_EPILOGUE_DEFAULT) return CUBLAS_STATUS_SUCCESS;
    if (getenv("RETORT_EMULATE_NO_EPILOGUES")) return CUBLAS_STATUS_NOT_SUPPORTED;
    bool gradient = e == CUBLASLT_EPILOGUE_BGRADA || e == CUBLASLT_EPILOGUE_BGRADB;
    if (gradient && d.count > 1) return CUBLAS_STATUS_NOT_SUPPORTED;
    if (!gradient && (e & AUX)) {
        int64_t unit = e & (RELU | DRELU) ? 128 : 8;
        if (t.aux_ld < (int64_t)m || t.aux_ld % unit || t.aux_stride % unit) return CUBLAS_STATUS_INVALID_VALUE;
    }
    return CUBLAS_STATUS_SUCCESS;
}
static bool pointers_ok(const product &p)
{
    uint32_t e = p.desc.epilogue;
    uint64_t m = p.d.rows, n = p.d.cols, count = (uint64_t)p.d.count;
    bool gradient = e == CUBLASLT_EPILOGUE_BGRADA || e == CUBLASLT_EPILOGUE_BGRADB;
    if (!extent_ok(p.pa, p.a, p.a.stride) || !extent_ok(p.pb, p.b, p.b.stride) || !extent_ok(p.pd, p.d, p.d.stride))
        return false;
    if ((p.desc.mode || p.beta_host != 0) && !extent_ok(p.pc, p.c, p.c.stride)) return false;
    if (gradient || (e != CUBLASLT_EPILOGUE_DEFAULT && e & (BIAS | BGRAD))) {
        uint64_t length = e == CUBLASLT_EPILOGUE_BGRADB ? n : m;
        size_t bytes = size_of(p.desc.bias_type) * (length + (count - 1) * (uint64_t)p.desc.bias_stride);
        if (!p.desc.bias || !on_device(p.desc.bias, bytes)) return false;
    }
    if (!gradient && e & AUX) {
        uint64_t elements = (n - 1) * (uint64_t)p.desc.aux_ld + m + (count - 1) * (uint64_t)p.desc.aux_stride;
        size_t bytes = e & (RELU | DRELU) ? (elements + 7) / 8 : elements * size_of(p.d.type);
        if (!p.desc.aux || !on_device(p.desc.aux, bytes)) return false;
    }
    return !p.desc.mode || (on_device(p.alpha, 4) && on_device(p.beta, 4));
}

/* The arithmetic. */

static float gelu(float x)                 /* by tanh, as cuBLASLt's */
{
    return 0.5f * x * (1 + tanhf(0.7978845608f * (x + 0.044715f * x * x * x)));
}
static float gelu_slope(float x)
{
    float t = tanhf(0.7978845608f * (x + 0.044715f * x * x * x));
    return 0.5f * (1 + t) + 0.5f * x * (1 - t * t) * 0.7978845608f * (1 + 3 * 0.044715f * x * x);
}

/* op(x) as (rows, cols), column-major without gaps. */
static std::vector<float> unpacked(const product &p, const void *at, const layout &l, int32_t trans, int batch)
{
    uint64_t rows = trans ? l.cols : l.rows, cols = trans ? l.rows : l.cols;
    std::vector<float> x(rows * cols);
    size_t base = (size_t)batch * (size_t)l.stride;
    for (uint64_t c = 0; c < cols; c++)
        for (uint64_t r = 0; r < rows; r++) {
            size_t i = trans ? base + r * (size_t)l.ld + c : base + c * (size_t)l.ld + r;
            x[c * rows + r] = input(value_at(at, l.type, i), p.desc.compute);
        }
    return x;
}

static float finish(const product &p, float v, uint64_t r, uint64_t c, int batch)
{
    uint32_t e = p.desc.epilogue;
    if (e == CUBLASLT_EPILOGUE_DEFAULT || e == CUBLASLT_EPILOGUE_BGRADA || e == CUBLASLT_EPILOGUE_BGRADB) return v;
    size_t at = (size_t)batch * (size_t)p.desc.aux_stride + c * (size_t)p.desc.aux_ld + r;
    unsigned char *mask = (unsigned char *)p.desc.aux;
    if (e & BIAS) v += value_at(p.desc.bias, p.desc.bias_type, (size_t)batch * (size_t)p.desc.bias_stride + r);
    if (e & DRELU) return mask[at / 8] >> at % 8 & 1 ? v : 0;
    if (e & DGELU) return v * gelu_slope(value_at(p.desc.aux, p.d.type, at));
    if (e & RELU) {
        if (e & AUX) mask[at / 8] = (unsigned char)((mask[at / 8] & ~(1 << at % 8)) | (v > 0) << at % 8);
        return v > 0 || v != v ? v : 0;
    }
    if (e & GELU) {
        if (e & AUX) put((void *)p.desc.aux, p.d.type, at, v);
        return gelu(v);
    }
    return v;
}

static void run_batch(const product &p, float alpha, float beta, int batch)
{
    uint64_t m = p.d.rows, n = p.d.cols, k = p.desc.trans_a ? p.a.rows : p.a.cols;
    auto a = unpacked(p, p.pa, p.a, p.desc.trans_a, batch), b = unpacked(p, p.pb, p.b, p.desc.trans_b, batch);
    std::vector<float> sum(m), row_sums(m);
    uint32_t e = p.desc.epilogue;
    void *bias = (char *)p.desc.bias + size_of(p.desc.bias_type) * (size_t)batch * (size_t)p.desc.bias_stride;
    for (uint64_t c = 0; c < n; c++) {
        std::fill(sum.begin(), sum.end(), 0.0f);
        float column_sum = 0;
        for (uint64_t i = 0; i < k; i++) {
            float x = b[c * k + i];
            const float *column = &a[i * m];
            float *s = sum.data();
            for (uint64_t r = 0; r < m; r++) s[r] += column[r] * x;
            column_sum += x;
        }
        for (uint64_t r = 0; r < m; r++) {
            size_t at = (size_t)batch * (size_t)p.d.stride + c * (size_t)p.d.ld + r;
            float v = alpha * sum[r];
            if (beta != 0)
                v += beta * value_at(p.pc, p.c.type, (size_t)batch * (size_t)p.c.stride + c * (size_t)p.c.ld + r);
            v = finish(p, v, r, c, batch);
            put(p.pd, p.d.type, at, v);
            row_sums[r] += v;
        }
        if (e == CUBLASLT_EPILOGUE_BGRADB) put(bias, p.desc.bias_type, c, column_sum);
    }
    if (e == CUBLASLT_EPILOGUE_BGRADA) {
        std::fill(row_sums.begin(), row_sums.end(), 0.0f);
        for (uint64_t i = 0; i < k; i++)
            for (uint64_t r = 0; r < m; r++) row_sums[r] += a[i * m + r];
    }
    if (e == CUBLASLT_EPILOGUE_BGRADA || (e & BGRAD && e & AUX))
        for (uint64_t r = 0; r < m; r++) put(bias, p.desc.bias_type, r, row_sums[r]);
}

static void run(const product &p)
{
    float alpha = p.desc.mode ? *(const float *)p.alpha : p.alpha_host,
          beta = p.desc.mode ? *(const float *)p.beta : p.beta_host;
    if (p.workspace_bytes) memset(p.workspace, 0xff, p.workspace_bytes);
    for (int i = 0; i < p.d.count; i++) run_batch(p, alpha, beta, i);
}

/* What algorithms there are: the first without workspace, two more that need some. data: magic, number, workspace,
 * split. */
static size_t workspace_of(int number) { return number ? (size_t)number << 16 : 0; }

template <class T> static cublasStatus_t set(T *field, const void *value, size_t bytes)
{
    if (!value || bytes != sizeof(T)) return CUBLAS_STATUS_INVALID_VALUE;
    memcpy(field, value, bytes);
    return CUBLAS_STATUS_SUCCESS;
}
template <class T> static cublasStatus_t drop(T *at)
{
    delete at;
    return CUBLAS_STATUS_SUCCESS;
}

extern "C" {

size_t cublasLtGetVersion(void) { return 111103; }
const char *cublasLtGetStatusName(cublasStatus_t s)
{
    switch (s) {
    case CUBLAS_STATUS_SUCCESS: return "CUBLAS_STATUS_SUCCESS";
    case CUBLAS_STATUS_NOT_INITIALIZED: return "CUBLAS_STATUS_NOT_INITIALIZED";
    case CUBLAS_STATUS_ALLOC_FAILED: return "CUBLAS_STATUS_ALLOC_FAILED";
    case CUBLAS_STATUS_INVALID_VALUE: return "CUBLAS_STATUS_INVALID_VALUE";
    case CUBLAS_STATUS_ARCH_MISMATCH: return "CUBLAS_STATUS_ARCH_MISMATCH";
    case CUBLAS_STATUS_MAPPING_ERROR: return "CUBLAS_STATUS_MAPPING_ERROR";
    case CUBLAS_STATUS_EXECUTION_FAILED: return "CUBLAS_STATUS_EXECUTION_FAILED";
    case CUBLAS_STATUS_INTERNAL_ERROR: return "CUBLAS_STATUS_INTERNAL_ERROR";
    case CUBLAS_STATUS_NOT_SUPPORTED: return "CUBLAS_STATUS_NOT_SUPPORTED";
    }
    return "CUBLAS_STATUS_UNKNOWN";
}
const char *cublasLtGetStatusString(cublasStatus_t s) { return cublasLtGetStatusName(s); }

cublasStatus_t cublasLtCreate(cublasLtHandle_t *handle)
{
    call c("cublasLtCreate");
    if (c.error || !handle) return c.error ? CUBLAS_STATUS_NOT_INITIALIZED : CUBLAS_STATUS_INVALID_VALUE;
    *handle = new cublasLtContext{device};
    return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtDestroy(cublasLtHandle_t handle) { return drop(handle); }

cublasStatus_t cublasLtMatrixLayoutCreate(cublasLtMatrixLayout_t *l, cudaDataType type, uint64_t rows, uint64_t cols,
                                          int64_t ld)
{
    *l = new layout{type, CUBLASLT_ORDER_COL, rows, cols, ld, 0, 1};
    return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatrixLayoutDestroy(cublasLtMatrixLayout_t l) { return drop(l); }
cublasStatus_t cublasLtMatrixLayoutSetAttribute(cublasLtMatrixLayout_t l, cublasLtMatrixLayoutAttribute_t attribute,
                                                const void *value, size_t bytes)
{
    switch (attribute) {
    case CUBLASLT_MATRIX_LAYOUT_TYPE: return set(&l->type, value, bytes);
    case CUBLASLT_MATRIX_LAYOUT_ORDER: return set(&l->order, value, bytes);
    case CUBLASLT_MATRIX_LAYOUT_ROWS: return set(&l->rows, value, bytes);
    case CUBLASLT_MATRIX_LAYOUT_COLS: return set(&l->cols, value, bytes);
    case CUBLASLT_MATRIX_LAYOUT_LD: return set(&l->ld, value, bytes);
    case CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT: return set(&l->count, value, bytes);
    case CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET: return set(&l->stride, value, bytes);
    }
    return CUBLAS_STATUS_INVALID_VALUE;
}

cublasStatus_t cublasLtMatmulDescCreate(cublasLtMatmulDesc_t *desc, cublasComputeType_t compute, cudaDataType scale)
{
    *desc = new cublasLtMatmulDescOpaque();
    (*desc)->compute = compute;
    (*desc)->scale = scale;
    (*desc)->epilogue = CUBLASLT_EPILOGUE_DEFAULT;
    (*desc)->bias_type = -1;
    return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulDescDestroy(cublasLtMatmulDesc_t desc) { return drop(desc); }
cublasStatus_t cublasLtMatmulDescSetAttribute(cublasLtMatmulDesc_t t, cublasLtMatmulDescAttributes_t attribute,
                                              const void *value, size_t bytes)
{
    switch (attribute) {
    case CUBLASLT_MATMUL_DESC_COMPUTE_TYPE: return set(&t->compute, value, bytes);
    case CUBLASLT_MATMUL_DESC_SCALE_TYPE: return set(&t->scale, value, bytes);
    case CUBLASLT_MATMUL_DESC_POINTER_MODE: return set(&t->mode, value, bytes);
    case CUBLASLT_MATMUL_DESC_TRANSA: return set(&t->trans_a, value, bytes);
    case CUBLASLT_MATMUL_DESC_TRANSB: return set(&t->trans_b, value, bytes);
    case CUBLASLT_MATMUL_DESC_EPILOGUE: return set(&t->epilogue, value, bytes);
    case CUBLASLT_MATMUL_DESC_BIAS_POINTER: return set(&t->bias, value, bytes);
    case CUBLASLT_MATMUL_DESC_BIAS_BATCH_STRIDE: return set(&t->bias_stride, value, bytes);
    case CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_POINTER: return set(&t->aux, value, bytes);
    case CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_LD: return set(&t->aux_ld, value, bytes);
    case CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_BATCH_STRIDE: return set(&t->aux_stride, value, bytes);
    case CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE: return set(&t->bias_type, value, bytes);
    }
    return CUBLAS_STATUS_INVALID_VALUE;
}

cublasStatus_t cublasLtMatmulPreferenceCreate(cublasLtMatmulPreference_t *preference)
{
    *preference = new cublasLtMatmulPreferenceOpaque{0, CUBLASLT_REDUCTION_SCHEME_MASK, {256, 256, 256, 256}};
    return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulPreferenceDestroy(cublasLtMatmulPreference_t preference) { return drop(preference); }
cublasStatus_t cublasLtMatmulPreferenceSetAttribute(cublasLtMatmulPreference_t p,
                                                    cublasLtMatmulPreferenceAttributes_t attribute, const void *value,
                                                    size_t bytes)
{
    uint32_t search;
    switch (attribute) {
    case CUBLASLT_MATMUL_PREF_SEARCH_MODE: return set(&search, value, bytes);
    case CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES: return set(&p->workspace, value, bytes);
    case CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK: return set(&p->reductions, value, bytes);
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES: return set(&p->align[0], value, bytes);
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES: return set(&p->align[1], value, bytes);
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES: return set(&p->align[2], value, bytes);
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES: return set(&p->align[3], value, bytes);
    }
    return CUBLAS_STATUS_INVALID_VALUE;
}

cublasStatus_t cublasLtMatmulAlgoGetHeuristic(cublasLtHandle_t handle, cublasLtMatmulDesc_t desc,
                                              cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b,
                                              cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t d,
                                              cublasLtMatmulPreference_t preference, int most,
                                              cublasLtMatmulHeuristicResult_t results[], int *count)
{
    call one("cublasLtMatmulAlgoGetHeuristic");
    if (one.error) return CUBLAS_STATUS_INTERNAL_ERROR;
    if (!handle || !desc || !a || !b || !c || !d || !preference || most < 1 || !results || !count)
        return CUBLAS_STATUS_INVALID_VALUE;
    *count = 0;
    cublasStatus_t status = check(*desc, *a, *b, *c, *d);
    if (status) return status == CUBLAS_STATUS_ARCH_MISMATCH ? CUBLAS_STATUS_NOT_SUPPORTED : status;
    for (int i = 0; i < most && i < 3 && workspace_of(i) <= preference->workspace; i++) {
        results[i] = cublasLtMatmulHeuristicResult_t();
        results[i].algo.data[0] = MAGIC;
        results[i].algo.data[1] = (uint64_t)i;
        results[i].algo.data[2] = workspace_of(i);
        results[i].algo.data[3] = 1;
        results[i].workspaceSize = workspace_of(i);
        results[i].wavesCount = 1;
        *count = i + 1;
    }
    return CUBLAS_STATUS_SUCCESS;
}

/* Splitting k is not done, whatever the number that is set. */
static uint64_t *setting(cublasLtMatmulAlgo_t *algo, cublasLtMatmulAlgoConfigAttributes_t attribute)
{
    static const int place[] = {1, 4, 3, 5, 6, 7, -1};
    if (!algo || algo->data[0] != MAGIC || attribute < 0 || attribute > CUBLASLT_ALGO_CONFIG_CUSTOM_OPTION)
        return nullptr;
    return &algo->data[place[attribute]];
}
cublasStatus_t cublasLtMatmulAlgoConfigGetAttribute(const cublasLtMatmulAlgo_t *algo,
                                                    cublasLtMatmulAlgoConfigAttributes_t attribute, void *value,
                                                    size_t bytes, size_t *written)
{
    uint64_t *at = setting((cublasLtMatmulAlgo_t *)algo, attribute);
    if (!at || bytes < 4 || !value) return CUBLAS_STATUS_INVALID_VALUE;
    uint32_t v = (uint32_t)*at;
    memcpy(value, &v, sizeof v);
    if (written) *written = sizeof v;
    return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulAlgoConfigSetAttribute(cublasLtMatmulAlgo_t *algo,
                                                    cublasLtMatmulAlgoConfigAttributes_t attribute, const void *value,
                                                    size_t bytes)
{
    uint64_t *at = setting(algo, attribute);
    uint32_t v;
    if (!at || bytes != sizeof v || !value) return CUBLAS_STATUS_INVALID_VALUE;
    memcpy(&v, value, sizeof v);
    *at = v;
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmul(cublasLtHandle_t handle, cublasLtMatmulDesc_t desc, const void *alpha, const void *a,
                              cublasLtMatrixLayout_t a_layout, const void *b, cublasLtMatrixLayout_t b_layout,
                              const void *beta, const void *c, cublasLtMatrixLayout_t c_layout, void *d,
                              cublasLtMatrixLayout_t d_layout, const cublasLtMatmulAlgo_t *algo, void *workspace,
                              size_t workspace_bytes, cudaStream_t stream)
{
    call one("cublasLtMatmul");
    if (one.error) return CUBLAS_STATUS_EXECUTION_FAILED;
    if (!handle || !desc || !alpha || !beta || !find(stream)) return CUBLAS_STATUS_INVALID_VALUE;
    if (handle->device != device) return CUBLAS_STATUS_INVALID_VALUE;
    cublasStatus_t status = check(*desc, *a_layout, *b_layout, *c_layout, *d_layout);
    if (status) return status;
    product p = {*a_layout, *b_layout, *c_layout, *d_layout, *desc, alpha, beta, 0, 0, a, b, c, d, workspace, 0};
    if (!desc->mode) p.alpha_host = *(const float *)alpha, p.beta_host = *(const float *)beta;
    if (desc->bias_type < 0) p.desc.bias_type = p.d.type;
    if (algo) {
        if (algo->data[0] != MAGIC || algo->data[2] > workspace_bytes) return CUBLAS_STATUS_INVALID_VALUE;
        p.workspace_bytes = (size_t)algo->data[2];
    }
    if (workspace_bytes && (!on_device(workspace, workspace_bytes) || (uintptr_t)workspace % 16))
        return CUBLAS_STATUS_INVALID_VALUE;
    if (!pointers_ok(p)) return CUBLAS_STATUS_INVALID_VALUE;
    enqueue(stream, [p] { run(p); });
    return CUBLAS_STATUS_SUCCESS;
}
}
