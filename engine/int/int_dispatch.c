/* engine/int/int_dispatch.c - picks the family of integer kernels at run time. */
#if defined(__x86_64__)
#include <cpuid.h>
#endif
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#if defined(RT_AMX)
#include <sys/syscall.h>
#include <unistd.h>
#endif

#include "engine/int/int_family.h"

static const rt_int_kernels *const families[] = {
#if defined(RT_AMX)
    &rt_int_family_amx_int8,
#endif
#if defined(__x86_64__)
    &rt_int_family_avx512vnni,
#if defined(RT_AVXVNNI)
    &rt_int_family_avxvnni,
#endif
    &rt_int_family_avx2,
#endif
    &rt_int_family_scalar, NULL};

static _Atomic(const rt_int_kernels *) chosen;

const rt_int_kernels *const *rt_int_kernels_all(void) { return families; }

#if defined(__x86_64__)
static int has_vnni(void)
{
    return __builtin_cpu_supports("fma") && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
           __builtin_cpu_supports("avx512vnni");
}
#endif

#if defined(RT_AMX)
/* CPUID 7, EDX bits 24 tiles and 25 of 8 bits; and Linux lets this process use their registers. */
static int has_amx(void)
{
    enum { ARCH_REQ_XCOMP_PERM = 0x1023, XFEATURE_XTILEDATA = 18 };
    unsigned a, b, c, d;
    return has_vnni() && __get_cpuid_count(7, 0, &a, &b, &c, &d) && (d >> 24 & 1) && (d >> 25 & 1) &&
           syscall(SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA) == 0;
}
#endif

int rt_int_kernels_runnable(const rt_int_kernels *k)
{
#if defined(__x86_64__)
    __builtin_cpu_init();
    int avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    if (k == &rt_int_family_avx2) return avx2;
#if defined(RT_AVXVNNI)
    unsigned a, b, c, d;                  /* clang 14's __builtin_cpu_supports does not know "avxvnni" */
    if (k == &rt_int_family_avxvnni) return avx2 && __get_cpuid_count(7, 1, &a, &b, &c, &d) && (a >> 4 & 1);
#endif
    if (k == &rt_int_family_avx512vnni) return has_vnni();
#if defined(RT_AMX)
    if (k == &rt_int_family_amx_int8) return has_amx();
#endif
#endif
    return k == &rt_int_family_scalar;
}

rt_status rt_int_kernels_select(const char *name)
{
    int any = !name || !*name || strcmp(name, "auto") == 0;
    for (const rt_int_kernels *const *k = families; *k; k++) {
        if (any ? !rt_int_kernels_runnable(*k) : strcmp((*k)->name, name) != 0) continue;
        if (!rt_int_kernels_runnable(*k))
            return rt_fail(RT_RUN, "integer kernel family '%s' needs instructions that this machine lacks; leave "
                           "--int-kernels, or RETORT_INT_KERNELS, out to take the best it has", name);
        atomic_store(&chosen, *k);
        return RT_OK;
    }
    return rt_fail(RT_USAGE, "unknown integer kernel family '%s'; known: auto, amx_int8, avx512vnni, avxvnni, avx2, "
                   "scalar", name);
}

const rt_int_kernels *rt_int_kernels_get(void)
{
    if (!atomic_load(&chosen) && rt_int_kernels_select(getenv("RETORT_INT_KERNELS"))) return NULL;
    return atomic_load(&chosen);
}
