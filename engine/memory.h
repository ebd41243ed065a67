/* engine/memory.h - memory for numbers. */
#ifndef RT_ENGINE_MEMORY_H
#define RT_ENGINE_MEMORY_H

#include <stddef.h>

/* n floats, zero, aligned to 64 bytes, with room behind for a vector; free() frees. NULL and a message when out of
 * memory. */
float *rt_floats_new(size_t n);
#endif
