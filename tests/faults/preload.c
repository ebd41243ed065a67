/* tests/faults/preload.c - a library for LD_PRELOAD: allocations fail, the clock hurries.
 *
 * The plan's file is mapped, so that a process and its children count together and the test reads the count afterwards.
 * All begins with the program's own entry: loading it is not its business. */
#include "preload.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

void *dlsym(void *, const char *);

static preload_plan *plan;

static int fails(void)
{
    if (!plan) return 0;
    long n = __atomic_add_fetch(&plan->count, 1, __ATOMIC_RELAXED);
    if (!plan->fail_at || n < plan->fail_at || (n > plan->fail_at && !plan->from_there_on)) return 0;
    __atomic_add_fetch(&plan->failed, 1, __ATOMIC_RELAXED);
    errno = ENOMEM;
    return 1;
}

/* The program has its own malloc, which stands before any library's, so its way to the C library is interposed. */
#define NEXT(name) do if (!next_##name) *(void **)&next_##name = dlsym((void *)-1L, #name); while (0) /* RTLD_NEXT */
static void *(*next___libc_malloc)(size_t), *(*next___libc_calloc)(size_t, size_t),
    *(*next___libc_realloc)(void *, size_t), *(*next___libc_memalign)(size_t, size_t);

void *__libc_malloc(size_t n)
{
    NEXT(__libc_malloc);
    return fails() ? NULL : next___libc_malloc(n);
}
void *__libc_calloc(size_t n, size_t size)
{
    NEXT(__libc_calloc);
    return fails() ? NULL : next___libc_calloc(n, size);
}
void *__libc_realloc(void *p, size_t n)
{
    NEXT(__libc_realloc);
    return n && fails() ? NULL : next___libc_realloc(p, n);
}
void *__libc_memalign(size_t align, size_t n)
{
    NEXT(__libc_memalign);
    return fails() ? NULL : next___libc_memalign(align, n);
}

int clock_gettime(clockid_t clock, struct timespec *t)
{
    long failed = syscall(SYS_clock_gettime, clock, t);
    if (failed || !plan || !plan->hurry || clock != CLOCK_MONOTONIC) return (int)failed;
    long more = plan->hurry * __atomic_add_fetch(&plan->looks, 1, __ATOMIC_RELAXED);
    t->tv_sec += more / 1000;
    t->tv_nsec += more % 1000 * 1000000;
    if (t->tv_nsec < 1000000000) return 0;
    t->tv_nsec -= 1000000000;
    t->tv_sec++;
    return 0;
}

typedef int main_function(int, char **, char **);
typedef int start_function(main_function *, int, char **, void (*)(void), void (*)(void), void (*)(void), void *);

int __libc_start_main(main_function *m, int argc, char **argv, void (*init)(void), void (*fini)(void),
                      void (*loader_fini)(void), void *stack)
{
    start_function *start = (start_function *)dlsym((void *)-1L, "__libc_start_main");      /* RTLD_NEXT */
    const char *path = getenv("FAULTS_PRELOAD");
    int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    if (fd >= 0) {
        void *map = mmap(NULL, sizeof *plan, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (map != MAP_FAILED) plan = map;
        close(fd);
    }
    return start(m, argc, argv, init, fini, loader_fini, stack);
}
