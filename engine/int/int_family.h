/* engine/int/int_family.h - what the families of integer kernels share. */
#ifndef RT_ENGINE_INT_INT_FAMILY_H
#define RT_ENGINE_INT_INT_FAMILY_H

#include "engine/int/integer.h"

/* rne(v) clamped to [low, high]; NaN gives low. The sum with 1.5 2^23 rounds what is below 2^22. */
static inline int rt_int_round(float v, int low, int high)
{
    v = v > (float)low ? v : (float)low;
    v = v < (float)high ? v : (float)high;
    union { float f; int32_t i; } u = {v + 12582912.0f};
    return u.i - 0x4B400000;
}

static inline uint8_t rt_int_byte(int32_t acc, float m, const rt_int_range *r)
{
    float v = (float)acc * m;
    return (uint8_t)(rt_int_round(v, r->low - r->zero, r->high - r->zero) + r->zero);
}

/* M of an average over so many taps. */
static inline float rt_int_average(const rt_int_pool *p, int taps)
{
    float s = p->sx / (float)taps;
    return s / p->sy;
}

typedef struct { int r0, r1, s0, s1; } rt_int_window;       /* rows and columns of x */
rt_int_window rt_int_window_at(const rt_int_pool *, int i, int j);

extern const rt_int_kernels rt_int_family_scalar;
#if defined(__x86_64__)
extern const rt_int_kernels rt_int_family_avx2, rt_int_family_avxvnni, rt_int_family_avx512vnni, rt_int_family_amx_int8;
#endif
#endif
