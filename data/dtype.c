#include "data/dtype.h"

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
