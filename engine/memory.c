#include "engine/memory.h"

#include <stdlib.h>
#include <string.h>

#include "engine/error.h"

float *rt_floats_new(size_t n)
{
    size_t bytes = (n * sizeof(float) + 127) & ~(size_t)63;
    float *p = aligned_alloc(64, bytes);
    if (p) memset(p, 0, bytes);
    else rt_fail(RT_RUN, "out of memory for %zu numbers", n);
    return p;
}
