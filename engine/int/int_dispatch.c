/* engine/int/int_dispatch.c - picks the family of integer kernels at run time. */
#if defined(__x86_64__)
#include <cpuid.h>
#endif
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "engine/int/int_family.h"

static const rt_int_kernels *const families[] = {
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
    if (k == &rt_int_family_avx512vnni)
        return avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
               __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
               __builtin_cpu_supports("avx512vnni");
#endif
    return k == &rt_int_family_scalar;
}

rt_status rt_int_kernels_select(const char *name)
{
    int any = !name || !*name || strcmp(name, "auto") == 0;
    for (const rt_int_kernels *const *k = families; *k; k++) {
        if (any ? !rt_int_kernels_runnable(*k) : strcmp((*k)->name, name) != 0) continue;
        if (!rt_int_kernels_runnable(*k))
            return rt_fail(RT_RUN, "integer kernel family '%s' needs instructions that this machine lacks; leave out "
                           "RETORT_INT_KERNELS to take the best it has", name);
        atomic_store(&chosen, *k);
        return RT_OK;
    }
    return rt_fail(RT_USAGE, "unknown integer kernel family '%s'; known: auto, amx_int8, avx512vnni, avxvnni, avx2, "
                   "scalar", name);
}

const rt_int_kernels *rt_int_kernels_get(void)
{
    const rt_int_kernels *k = atomic_load(&chosen);
    if (!k) {
        if (rt_int_kernels_select(getenv("RETORT_INT_KERNELS"))) rt_int_kernels_select(NULL);
        k = atomic_load(&chosen);
    }
    return k;
}
