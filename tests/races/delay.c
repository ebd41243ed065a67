/* tests/races/delay.c - preloaded: before every third call that changes names or takes locks it waits, up to DELAY_US
 * microseconds, so that processes that start together meet at every pair of such calls. DELAY_SEED makes it repeatable
 * as far as the scheduler does. */
#include <dlfcn.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

static _Thread_local uint64_t x;

static void wait_a_little(void)
{
    const char *seed = getenv("DELAY_SEED"), *most = getenv("DELAY_US");
    if (!x) x = (seed ? strtoull(seed, NULL, 10) : 1) * UINT64_C(0x9e3779b97f4a7c15) | 1;
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    if (x % 3) return;
    struct timespec t = {.tv_nsec = (long)(x / 3 % (uint64_t)(most ? atol(most) : 3000)) * 1000};
    nanosleep(&t, NULL);
}

#define NEXT(name) __typeof__(name) *next = (__typeof__(name) *)dlsym(RTLD_NEXT, #name)

int openat(int dir, const char *path, int flags, ...)
{
    NEXT(openat);
    va_list a;
    va_start(a, flags);
    mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(a, mode_t) : 0;
    va_end(a);
    wait_a_little();
    return next(dir, path, flags, mode);
}

int flock(int fd, int how)
{
    NEXT(flock);
    wait_a_little();
    return next(fd, how);
}

int ftruncate(int fd, off_t n)
{
    NEXT(ftruncate);
    wait_a_little();
    return next(fd, n);
}

int fsync(int fd)
{
    NEXT(fsync);
    wait_a_little();
    return next(fd);
}

int fdatasync(int fd)
{
    NEXT(fdatasync);
    wait_a_little();
    return next(fd);
}

int mkdir(const char *path, mode_t mode)
{
    NEXT(mkdir);
    wait_a_little();
    return next(path, mode);
}

int unlink(const char *path)
{
    NEXT(unlink);
    wait_a_little();
    return next(path);
}

int unlinkat(int dir, const char *path, int flags)
{
    NEXT(unlinkat);
    wait_a_little();
    return next(dir, path, flags);
}

int linkat(int a, const char *from, int b, const char *to, int flags)
{
    NEXT(linkat);
    wait_a_little();
    return next(a, from, b, to, flags);
}

int renameat(int a, const char *from, int b, const char *to)
{
    NEXT(renameat);
    wait_a_little();
    return next(a, from, b, to);
}

int renameat2(int a, const char *from, int b, const char *to, unsigned flags)
{
    NEXT(renameat2);
    wait_a_little();
    return next(a, from, b, to, flags);
}
