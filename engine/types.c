#include "engine/types.h"

#include <stdio.h>
#include <string.h>

static const char *const dtype_names[RT_DTYPE_COUNT] = {
#define X(E, n, s) n,
    RT_DTYPES(X)
#undef X
};
static const size_t dtype_sizes[RT_DTYPE_COUNT] = {
#define X(E, n, s) s,
    RT_DTYPES(X)
#undef X
};
size_t rt_dtype_size(rt_dtype t) { return (unsigned)t < RT_DTYPE_COUNT ? dtype_sizes[t] : 0; }
const char *rt_dtype_name(rt_dtype t) { return (unsigned)t < RT_DTYPE_COUNT ? dtype_names[t] : "?"; }
int rt_dtype_is_integer(rt_dtype t) { return (unsigned)t < RT_F16; }

size_t rt_shape_count(const rt_shape *s)
{
    size_t n = 1;
    for (int i = 0; i < s->rank; i++) n *= (size_t)s->dim[i];
    return n;
}

int rt_shape_equal(const rt_shape *a, const rt_shape *b)
{
    return a->rank == b->rank && memcmp(a->dim, b->dim, (size_t)a->rank * sizeof a->dim[0]) == 0;
}

char *rt_shape_text(const rt_shape *s, char text[64])
{
    int n = snprintf(text, 64, "(");
    for (int i = 0; i < s->rank && n < 50; i++)
        n += snprintf(text + n, 64 - (size_t)n, "%s%d", i ? ", " : "", s->dim[i]);
    snprintf(text + n, 64 - (size_t)n, ")");
    return text;
}

void rt_shape_hwc(const rt_shape *s, int *h, int *w, int *c)
{
    *h = s->rank == 3 ? s->dim[0] : 1;
    *w = s->rank >= 2 ? s->dim[s->rank - 2] : 1;
    *c = s->dim[s->rank - 1];
}
