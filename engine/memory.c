#include "engine/memory.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "engine/error.h"

float *rt_floats_new(size_t n)
{
    enum { HUGE_PAGE = 2 << 20 };
    size_t bytes = (n * sizeof(float) + 127) & ~(size_t)63, align = bytes >= HUGE_PAGE ? HUGE_PAGE : 64;
    bytes = (bytes + align - 1) & ~(align - 1);
    float *p = aligned_alloc(align, bytes);
    if (!p) {
        rt_fail(RT_RUN, "out of memory for %zu numbers", n);
        return NULL;
    }
#ifdef MADV_HUGEPAGE
    /* A step walks through the arenas many times: pages of 4 KiB would miss the TLB. A kernel may refuse; it is advice.
     */
    if (align == HUGE_PAGE) madvise(p, bytes, MADV_HUGEPAGE);
#endif
    memset(p, 0, bytes);
    return p;
}
