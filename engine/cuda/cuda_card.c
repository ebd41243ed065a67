/* engine/cuda/cuda_card.c - NVIDIA cards as devices. */
#include "engine/cuda/cuda_card.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/cuda/cuda_product.h"

enum { LEAST = 75, MICRO = 1024 };     /* compute capability; rows that fill a card */

rt_status rt_cuda_check(const rt_cuda_card *c, cudaError_t e, const char *what)
{
    return e == cudaSuccess ? RT_OK
                            : rt_fail(RT_RUN, "cuda:%d: %s failed: %s (%s)", c->index, what, cudaGetErrorString(e),
                                      cudaGetErrorName(e));
}

static void version_text(char text[24], int v) { snprintf(text, 24, "%d.%d", v / 1000, v % 1000 / 10); }

/* How many cards there are; on failure why there are none, in note. */
static int count_cards(char note[300])
{
    int driver = 0, runtime = 0, count = 0;
    char has[24], needs[24];
    *note = 0;
    cudaError_t e = cudaGetDeviceCount(&count);
    if (e == cudaSuccess && count > 0) return count;
    cudaGetLastError();
    if (cudaDriverGetVersion(&driver) != cudaSuccess) driver = 0;
    if (cudaRuntimeGetVersion(&runtime) != cudaSuccess) runtime = 0;
    version_text(has, driver);
    version_text(needs, runtime);
    if (!driver)
        snprintf(note, 300,
                 "this machine has no NVIDIA driver; install one that supports CUDA %s, or compute on the CPU "
                 "(--device cpu)",
                 needs);
    else if (e == cudaErrorInsufficientDriver)
        snprintf(note, 300,
                 "the NVIDIA driver is too old: it supports CUDA %s, this build needs %s; update the driver, "
                 "or compute on the CPU (--device cpu)",
                 has, needs);
    else if (e == cudaSuccess || e == cudaErrorNoDevice)
        snprintf(note, 300, "no NVIDIA card is visible on this machine (CUDA_VISIBLE_DEVICES hides them, too); compute "
                 "on the CPU (--device cpu)");
    else snprintf(note, 300, "cards cannot be listed: %s", cudaGetErrorString(e));
    return 0;
}

static int attribute(enum cudaDeviceAttr a, int index)
{
    int v = 0;
    return cudaDeviceGetAttribute(&v, a, index) == cudaSuccess ? v : 0;
}

static rt_status describe(rt_cuda_card *c)
{
    struct cudaDeviceProp p;
    RT_TRY(rt_cuda_check(c, cudaGetDeviceProperties(&p, c->index), "asking for the card's properties"));
    snprintf(c->name, sizeof c->name, "%s", p.name);
    c->memory = p.totalGlobalMem;
    c->capability = 10 * attribute(cudaDevAttrComputeCapabilityMajor, c->index) +
                    attribute(cudaDevAttrComputeCapabilityMinor, c->index);
    c->processors = attribute(cudaDevAttrMultiProcessorCount, c->index);
    return RT_OK;
}

/* Why the card cannot be used: no code for it; "": it can. */
static void find_trouble(const rt_cuda_card *c, char text[300])
{
    *text = 0;
    if (c->capability < LEAST)
        snprintf(text, 300, "%.120s has compute capability %d.%d; %d.%d or later is needed", c->name,
                 c->capability / 10, c->capability % 10, LEAST / 10, LEAST % 10);
    else if (rt_k_code() != cudaSuccess) {
        cudaGetLastError();
        snprintf(text, 300, "this build has no code for compute capability %d.%d (%.120s); build it with "
                 "cmake -DCMAKE_CUDA_ARCHITECTURES=%d", c->capability / 10, c->capability % 10, c->name, c->capability);
    }
}

static void close_card(void *card)
{
    rt_cuda_card *c = card;
    if (!c) return;
    rt_cuda_blas_free(c->blas);
    free(c);
}

/* "cuda:0 NAME, cuda:1 NAME" */
static void list_names(char text[600], int count)
{
    int n = 0;
    *text = 0;
    for (int i = 0; i < count && n < 500; i++) {
        struct cudaDeviceProp p;
        if (cudaGetDeviceProperties(&p, i) != cudaSuccess) continue;
        n += snprintf(text + n, 600 - (size_t)n, "%scuda:%d %.80s", n ? ", " : "", i, p.name);
    }
}

static rt_status open_card(void **out, int index)
{
    char note[300], names[600];
    int count = count_cards(note);
    *out = NULL;
    if (!count) return rt_fail(RT_RUN, "cuda:%d: %s", index, note);
    list_names(names, count);
    if (index >= count) return rt_fail(RT_USAGE, "cuda:%d: there is no such card; there are: %s", index, names);
    rt_cuda_card *c = calloc(1, sizeof *c);
    if (!c) return rt_fail(RT_RUN, "out of memory");
    c->index = index;
    rt_status st = describe(c);
    if (!st) st = rt_cuda_check(c, cudaSetDevice(index), "choosing the card");
    if (!st) {
        find_trouble(c, note);
        if (*note) st = rt_fail(RT_RUN, "cuda:%d: %s", index, note);
    }
    if (!st) st = rt_cuda_blas_new(&c->blas);
    if (st) close_card(c);
    else *out = c;
    return st;
}

static unsigned precisions(const rt_cuda_card *c)
{ return c->capability >= 80 ? 1u << RT_P_FP32 | 1u << RT_P_TF32 | 1u << RT_P_BF16 : 1u << RT_P_FP32; }

static int list(rt_device_info *info, int most, char note[300])
{
    int count = count_cards(note), n = 0, before = 0;
    if (count && cudaGetDevice(&before) != cudaSuccess) before = 0;
    for (int i = 0; i < count && n < most; i++) {
        rt_cuda_card c = {.index = i};
        if (describe(&c)) continue;
        rt_device_info *d = &info[n++];
        size_t available = 0, all = 0;
        *d = (rt_device_info){.major = c.capability / 10, .minor = c.capability % 10, .processors = c.processors,
                              .memory = c.memory, .precisions = precisions(&c)};
        snprintf(d->name, sizeof d->name, "cuda:%d", i);
        snprintf(d->card, sizeof d->card, "%s", c.name);
        if (cudaSetDevice(i) == cudaSuccess && cudaMemGetInfo(&available, &all) == cudaSuccess)
            d->available = available;
        find_trouble(&c, d->trouble);
    }
    if (count) cudaSetDevice(before);
    return n;
}

static rt_status check(const void *card, rt_precision p)
{
    const rt_cuda_card *c = card;
    if (precisions(c) >> p & 1) return RT_OK;
    return rt_fail(RT_USAGE, "cuda:%d: %s has no %s: that needs compute capability 8.0, it has %d.%d; use fp32",
                   c->index, c->name, rt_precision_name(p), c->capability / 10, c->capability % 10);
}

static void family(const void *card, rt_precision p, char text[RT_FAMILY_TEXT])
{
    const rt_cuda_card *c = card;
    char version[32];
    rt_cuda_blas_version(c->blas, version);
    snprintf(text, RT_FAMILY_TEXT, "cuda-%s sm_%d %d SM cublasLt %s", rt_precision_name(p), c->capability,
             c->processors, version);
}

static int has(int op) { return rt_ops[op]->view || op == RT_OP_INPUT || rt_cuda_ops[op]; }

const rt_device_kind rt_cuda_device = {.name = "cuda",
                                       .open = open_card,
                                       .close = close_card,
                                       .list = list,
                                       .check = check,
                                       .family = family,
                                       .session = rt_session_cuda,
                                       .takes = rt_session_cuda_takes,
                                       .has = has,
                                       .micro = MICRO};
