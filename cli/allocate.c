/* cli/allocate.c - the program's allocator: the C library's, but that no small allocation fails.
 *
 * HDF5, OpenBLAS and parts of the C library read or write through NULL, end the process in silence, or call a good file
 * damaged when they get no memory for a few bytes; and when there is none for so few, there is none to go on with. So
 * the process ends here, with its message, as after a kill. Larger blocks are asked for by our own code and by checked
 * paths of the libraries, whose size a file or a configuration decides: these get NULL and tell what it was for.
 * The GNU C library lets a program take the place of these functions. Sanitizers do so themselves. */
#include <errno.h>
#include <stddef.h>

#include "engine/error.h"

#if defined(__GLIBC__) && !defined(RETORT_SANITIZE)

enum { SMALL = 1 << 20 };

void *__libc_malloc(size_t);
void *__libc_calloc(size_t, size_t);
void *__libc_realloc(void *, size_t);
void *__libc_memalign(size_t, size_t);

static void *got(void *p, size_t n)
{
    if (!p && n && n < SMALL) rt_out_of_memory();
    return p;
}

void *malloc(size_t n) { return got(__libc_malloc(n), n); }
void *realloc(void *p, size_t n) { return got(__libc_realloc(p, n), n); }
void *memalign(size_t align, size_t n) { return got(__libc_memalign(align, n), n); }
void *aligned_alloc(size_t align, size_t n) { return memalign(align, n); }

void *calloc(size_t count, size_t size)
{
    size_t n;
    if (__builtin_mul_overflow(count, size, &n)) n = SMALL;
    return got(__libc_calloc(count, size), n);
}

int posix_memalign(void **p, size_t align, size_t n)
{
    void *block = memalign(align, n);
    if (!block) return ENOMEM;
    *p = block;
    return 0;
}
#endif
