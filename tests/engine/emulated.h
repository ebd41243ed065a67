/* tests/engine/emulated.h - families of integer kernels that this machine may not run, compiled from their templates
 * with plain-C definitions of the instructions in question: emulated_*.c. */
#ifndef RT_TESTS_ENGINE_EMULATED_H
#define RT_TESTS_ENGINE_EMULATED_H

#include "engine/int/integer.h"

#if defined(__x86_64__)
extern const rt_int_kernels emulated_amx_int8, emulated_avx512vnni, emulated_avxvnni;
static inline const rt_int_kernels *emulated_at(int i)
{
    __builtin_cpu_init();
    int avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    return i == 0 ? &emulated_avx512vnni : i == 1 ? &emulated_amx_int8 : i == 2 && avx2 ? &emulated_avxvnni : NULL;
}
#else
static inline const rt_int_kernels *emulated_at(int i) { return (void)i, NULL; }
#endif
#endif
