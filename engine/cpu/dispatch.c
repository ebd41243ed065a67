/* engine/cpu/dispatch.c - picks the kernel family at run time. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "engine/clock.h"
#include "engine/cpu/family.h"
#include "engine/dots.h"

#if defined(__x86_64__)
#include <xmmintrin.h>
#endif
#if defined(RT_AMX)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

static const rt_kernels *const families[] = {
#if defined(RT_AMX)
    &rt_family_amx,
#endif
#if defined(__x86_64__)
    &rt_family_avx512, &rt_family_avx2,
#endif
    &rt_family_openblas, &rt_family_scalar, NULL};

static _Atomic(const rt_kernels *) chosen;

static pthread_once_t named = PTHREAD_ONCE_INIT;

const rt_kernels *const *rt_kernels_all(void)
{
    pthread_once(&named, rt_family_openblas_init);
    return families;
}

#if defined(__x86_64__)
static int has_avx512(void)
{
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("fma");
}
#endif

#if defined(RT_AMX)
/* The CPU has AMX (CPUID 7, EDX bits 22 bf16 and 24 tiles), and Linux (from 5.16) lets this process use its registers.
 */
static int has_amx(void)
{
    enum { ARCH_REQ_XCOMP_PERM = 0x1023, XFEATURE_XTILEDATA = 18 };
    unsigned a, b, c, d;
    return has_avx512() && __get_cpuid_count(7, 0, &a, &b, &c, &d) && (d >> 22 & 1) && (d >> 24 & 1) &&
           syscall(SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA) == 0;
}
#endif

int rt_kernels_runnable(const rt_kernels *k)
{
#if defined(__x86_64__)
    __builtin_cpu_init();
#if defined(RT_AMX)
    if (k == &rt_family_amx) return has_amx();
#endif
    if (k == &rt_family_avx512) return has_avx512();
    if (k == &rt_family_avx2) return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
#endif
    return k == &rt_family_openblas || k == &rt_family_scalar;
}

rt_status rt_kernels_select(const char *name)
{
    if (!name || !*name || strcmp(name, "auto") == 0) {
        for (const rt_kernels *const *k = rt_kernels_all(); *k; k++)
            if (rt_kernels_runnable(*k)) {
                atomic_store(&chosen, *k);
                return RT_OK;
            }
    }
    for (const rt_kernels *const *k = rt_kernels_all(); *k; k++)
        if (strcmp((*k)->name, name) == 0 || (*k == &rt_family_openblas && strcmp(name, "openblas") == 0)) {
            if (!rt_kernels_runnable(*k))
                return rt_fail(RT_RUN,
                               "kernel family '%s' needs instructions that this machine lacks; leave out --kernels to "
                               "take the best it has",
                               name);
            if (*k == &rt_family_openblas) RT_TRY(rt_dots_begin(1));
            atomic_store(&chosen, *k);
            return RT_OK;
        }
    return rt_fail(RT_USAGE, "unknown kernel family '%s'; known: auto, amx, avx512, avx2, openblas, scalar", name);
}

const rt_kernels *rt_kernels_get(void)
{
    const rt_kernels *k = atomic_load(&chosen);
    if (!k) {
        const char *env = getenv("RETORT_KERNELS");
        if (rt_kernels_select(env)) rt_kernels_select(NULL);
        k = atomic_load(&chosen);
    }
    return k;
}

double rt_kernels_fma(const rt_kernels *k, long rounds)
{
#if defined(__x86_64__)
#if defined(RT_AMX)
    if (k == &rt_family_amx) return rt_family_avx512_peak(rounds);
#endif
    if (k == &rt_family_avx512) return rt_family_avx512_peak(rounds);
    if (k == &rt_family_avx2) return rt_family_avx2_peak(rounds);
#endif
    (void)k;
    return rt_family_scalar_peak(rounds);
}

double rt_kernels_peak(const rt_kernels *k)
{
    double best = 0;
    for (int i = 0; i < 20; i++) {
        double start = rt_seconds(), flop = rt_kernels_fma(k, 200000), rate = flop / (rt_seconds() - start) * 1e-9;
        if (rate > best) best = rate;
    }
    return best;
}

void rt_fp_mode(void)
{
#if defined(__x86_64__)
    _mm_setcsr(_mm_getcsr() | 0x8040u);
#elif defined(__aarch64__)
    enum { FZ = 1 << 24 };
    uint64_t control;
    __asm__ volatile("mrs %0, fpcr" : "=r"(control));
    __asm__ volatile("msr fpcr, %0" : : "r"(control | FZ));
#endif
}

const char *rt_act_name(rt_act a)
{
    static const char *const names[RT_ACT_COUNT] = {"none", "relu", "relu6", "leaky_relu", "gelu", "silu", "hard_swish",
                                                    "sigmoid", "tanh", "gelu_erf"};
    return (unsigned)a < RT_ACT_COUNT ? names[a] : "?";
}
