/* engine/cuda/cuda_blas.c - dense products by cuBLASLt. Row-major products are column-major ones of the transposes: c^T
 * (n, m) = op(b)^T op(a)^T, so b is its first factor and bias, a value a column of c, runs along its rows.
 *
 * An algorithm is the library's first answer for the shape, never a measurement, and one whose sums are not split, so
 * that the bits of a row do not depend on the others. */
#include "engine/cuda/cuda_blas.h"

#include <cublasLt.h>
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FUNCTIONS(X) \
    X(Create) X(Destroy) X(GetVersion) X(MatmulDescCreate) X(MatmulDescDestroy) X(MatmulDescSetAttribute) \
    X(MatrixLayoutCreate) X(MatrixLayoutDestroy) X(MatrixLayoutSetAttribute) X(MatmulPreferenceCreate) \
    X(MatmulPreferenceDestroy) X(MatmulPreferenceSetAttribute) X(MatmulAlgoGetHeuristic) X(Matmul)

struct rt_cuda_blas {
    void *library;
    cublasLtHandle_t handle;
#define X(name) __typeof__(&cublasLt##name) name;
    FUNCTIONS(X)
#undef X
};

static rt_status find_functions(rt_cuda_blas *b, const char *file)
{
    static const char *const names[] = {
#define X(name) "cublasLt" #name,
        FUNCTIONS(X)
#undef X
    };
    void *found[sizeof names / sizeof names[0]];
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (!(found[i] = dlsym(b->library, names[i])))
            return rt_fail(RT_RUN, "%s: has no %s: it is another library, or one older than CUDA 11.8", file, names[i]);
    size_t i = 0;
#define X(name) memcpy(&b->name, &found[i++], sizeof found[0]);
    FUNCTIONS(X)
#undef X
    return RT_OK;
}

#ifdef RT_CUDA_EMULATED
int rt_emulated_blas_missing(void);    /* tests/cuda/emulator.h */
#endif

static rt_status load(rt_cuda_blas *b)
{
    const char *own = getenv("RETORT_CUBLASLT"), *why;
    int missing = 0;
#ifdef RT_CUDA_EMULATED
    own = own && *own ? own : NULL;
    missing = rt_emulated_blas_missing();
    if (!own && !missing) {
        b->library = dlopen(NULL, RTLD_NOW);
        return find_functions(b, "this program");
    }
#endif
    if (own && *own) {
        if ((b->library = dlopen(own, RTLD_NOW | RTLD_LOCAL))) return find_functions(b, own);
        why = dlerror();
        return rt_fail(RT_RUN, "cuBLASLt cannot be loaded: RETORT_CUBLASLT names %s: %s", own, why ? why : "?");
    }
    static const char *const names[] = {"libcublasLt.so.13", "libcublasLt.so.12", "libcublasLt.so.11"};
    int major = CUDART_VERSION / 1000;
    for (int pass = 0; pass < 2; pass++)                    /* that of the runtime first */
        for (int i = 0; i < 3 && !missing; i++)
            if ((13 - i == major) == !pass && (b->library = dlopen(names[i], RTLD_NOW | RTLD_LOCAL)))
                return find_functions(b, names[i]);
    return rt_fail(RT_RUN, "cuBLASLt is missing: neither %s, %s nor %s is where the system looks for libraries "
                   "(LD_LIBRARY_PATH, ldconfig); install it, or name its file in RETORT_CUBLASLT", names[0], names[1],
                   names[2]);
}

rt_status rt_cuda_blas_new(rt_cuda_blas **out)
{
    *out = NULL;
    rt_cuda_blas *b = calloc(1, sizeof *b);
    if (!b) return rt_fail(RT_RUN, "out of memory");
    rt_status st = load(b);
    if (!st && b->Create(&b->handle) != CUBLAS_STATUS_SUCCESS) {
        b->handle = NULL;
        st = rt_fail(RT_RUN, "cuBLASLt cannot be started on this card");
    }
    if (st) rt_cuda_blas_free(b);
    else *out = b;
    return st;
}

void rt_cuda_blas_free(rt_cuda_blas *b)
{
    if (!b) return;
    if (b->handle) b->Destroy(b->handle);
    if (b->library) dlclose(b->library);
    free(b);
}

void rt_cuda_blas_version(const rt_cuda_blas *b, char text[32])
{
    size_t v = b->GetVersion();
    if (v >= 100000) snprintf(text, 32, "%zu.%zu.%zu", v / 10000, v % 10000 / 100, v % 100);
    else snprintf(text, 32, "%zu.%zu.%zu", v / 1000, v % 1000 / 100, v % 100);
}

/* ---- products ---- */

typedef struct {
    cublasLtMatmulDesc_t product;
    cublasLtMatrixLayout_t a, b, c;
    cublasLtMatmulPreference_t wish;
} described;

static int set(rt_cuda_blas *l, cublasLtMatmulDesc_t d, cublasLtMatmulDescAttributes_t what, const void *v, size_t n)
{ return l->MatmulDescSetAttribute(d, what, v, n) == CUBLAS_STATUS_SUCCESS; }

static int layout(rt_cuda_blas *l, cublasLtMatrixLayout_t *out, int rows, int columns, int ld, int count, size_t next)
{
    int64_t stride = (int64_t)next;
    if (l->MatrixLayoutCreate(out, CUDA_R_32F, (uint64_t)rows, (uint64_t)columns, ld) != CUBLAS_STATUS_SUCCESS)
        return 0;
    if (count <= 1) return 1;
    return l->MatrixLayoutSetAttribute(*out, CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, &count, sizeof count) ==
               CUBLAS_STATUS_SUCCESS &&
           l->MatrixLayoutSetAttribute(*out, CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET, &stride, sizeof stride) ==
               CUBLAS_STATUS_SUCCESS;
}

/* To how many bytes a pointer, and with it every row, is aligned; what is not said is taken to be 256. */
static uint32_t alignment(const void *p, int ld, size_t next)
{
    size_t bits = (size_t)(uintptr_t)p | (size_t)ld * sizeof(float) | next * sizeof(float) | 256;
    return (uint32_t)(bits & (~bits + 1));
}

static int align(rt_cuda_blas *l, cublasLtMatmulPreference_t wish, const rt_cuda_product *p)
{
    const cublasLtMatmulPreferenceAttributes_t what[] = {
        CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES,
        CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES};
    const uint32_t bytes[] = {alignment(p->b, p->ldb, p->b_next), alignment(p->a, p->lda, p->a_next),
                              alignment(p->c, p->ldc, p->c_next), alignment(p->c, p->ldc, p->c_next)};
    for (int i = 0; i < 4; i++)
        if (l->MatmulPreferenceSetAttribute(wish, what[i], &bytes[i], sizeof bytes[i]) != CUBLAS_STATUS_SUCCESS)
            return 0;
    return 1;
}

/* The library adds bias and takes the activation where it is known to: rows without gaps, one product. */
static int fuses(const rt_cuda_product *p)
{ return p->ldc == p->n && p->count <= 1 && !p->add && (p->act == RT_ACT_NONE || p->act == RT_ACT_RELU); }

static int describe(rt_cuda_blas *l, described *d, const rt_cuda_product *p, rt_precision precision, size_t workspace)
{
    static const cublasComputeType_t types[RT_PRECISIONS] = {CUBLAS_COMPUTE_32F, CUBLAS_COMPUTE_32F_FAST_TF32,
                                                             CUBLAS_COMPUTE_32F_FAST_16BF};
    cublasOperation_t first = p->trans_b ? CUBLAS_OP_T : CUBLAS_OP_N, second = p->trans_a ? CUBLAS_OP_T : CUBLAS_OP_N;
    uint32_t sums = CUBLASLT_REDUCTION_SCHEME_NONE;
    if (l->MatmulDescCreate(&d->product, types[precision], CUDA_R_32F) != CUBLAS_STATUS_SUCCESS ||
        l->MatmulPreferenceCreate(&d->wish) != CUBLAS_STATUS_SUCCESS)
        return 0;
    int good = set(l, d->product, CUBLASLT_MATMUL_DESC_TRANSA, &first, sizeof first) &&
               set(l, d->product, CUBLASLT_MATMUL_DESC_TRANSB, &second, sizeof second) && align(l, d->wish, p) &&
               layout(l, &d->a, p->trans_b ? p->k : p->n, p->trans_b ? p->n : p->k, p->ldb, p->count, p->b_next) &&
               layout(l, &d->b, p->trans_a ? p->m : p->k, p->trans_a ? p->k : p->m, p->lda, p->count, p->a_next) &&
               layout(l, &d->c, p->n, p->m, p->ldc, p->count, p->c_next) &&
               l->MatmulPreferenceSetAttribute(d->wish, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &workspace,
                                               sizeof workspace) == CUBLAS_STATUS_SUCCESS &&
               l->MatmulPreferenceSetAttribute(d->wish, CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, &sums,
                                               sizeof sums) == CUBLAS_STATUS_SUCCESS;
    if (!good || !fuses(p) || (!p->bias && p->act == RT_ACT_NONE)) return good;
    cublasLtEpilogue_t end = p->bias ? p->act == RT_ACT_RELU ? CUBLASLT_EPILOGUE_RELU_BIAS : CUBLASLT_EPILOGUE_BIAS
                                     : CUBLASLT_EPILOGUE_RELU;
    if (p->bias) good = set(l, d->product, CUBLASLT_MATMUL_DESC_BIAS_POINTER, &p->bias, sizeof p->bias);
    return good && set(l, d->product, CUBLASLT_MATMUL_DESC_EPILOGUE, &end, sizeof end);
}

static void forget(rt_cuda_blas *l, described *d)
{
    if (d->product) l->MatmulDescDestroy(d->product);
    if (d->a) l->MatrixLayoutDestroy(d->a);
    if (d->b) l->MatrixLayoutDestroy(d->b);
    if (d->c) l->MatrixLayoutDestroy(d->c);
    if (d->wish) l->MatmulPreferenceDestroy(d->wish);
}

rt_status rt_cuda_blas_multiply(rt_cuda_blas *l, cudaStream_t stream, const rt_cuda_product *p, rt_precision precision,
                                void *workspace, size_t bytes, int *taken, int *finished)
{
    described d = {0};
    cublasLtMatmulHeuristicResult_t best;
    float alpha = p->alpha != 0 ? p->alpha : 1, beta = p->add ? 1 : 0;
    int found = 0;
    rt_status st = RT_OK;
    *taken = *finished = 0;
    int good = describe(l, &d, p, precision, bytes);
    if (good && l->MatmulAlgoGetHeuristic(l->handle, d.product, d.a, d.b, d.c, d.c, d.wish, 1, &best, &found) ==
                    CUBLAS_STATUS_SUCCESS && found) {
        cublasStatus_t e = l->Matmul(l->handle, d.product, &alpha, p->b, d.a, p->a, d.b, &beta, p->c, d.c, p->c, d.c,
                                     &best.algo, workspace, bytes, stream);
        *taken = 1;
        *finished = fuses(p);
        if (e != CUBLAS_STATUS_SUCCESS)
            st = rt_fail(RT_RUN, "cuBLASLt refuses a product of %d x %d x %d (status %d)", p->m, p->n, p->k, (int)e);
    } else if (!good) st = rt_fail(RT_RUN, "cuBLASLt cannot describe a product of %d x %d x %d", p->m, p->n, p->k);
    forget(l, &d);
    return st;
}
