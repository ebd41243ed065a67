/* System calls that fail: whichever of a piece of work does, the work ends with RT_RUN and says which file it was about
 * and why, or does what it would have done; a call that a signal interrupts changes nothing. What it was to make is
 * there whole or not at all, and the next run succeeds. The linker puts the functions below in the place of the
 * system's calls (--wrap). */
#include <dirent.h>
#include <poll.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "tests/data/data_scenes.h"


static int turn(const char *name, int slow)
{
    if (fault && fault->error == EINTR && !slow) return 0;
    return fault_turn(name);
}

#define WRAP(type, name, slow, bad, parameters, arguments)                                                             \
    type __real_##name parameters;                                                                                     \
    type __wrap_##name parameters;                                                                                     \
    type __wrap_##name parameters { return turn(#name, slow) ? (type)(bad) : __real_##name arguments; }

WRAP(ssize_t, read, 1, -1, (int fd, void *p, size_t n), (fd, p, n))
WRAP(ssize_t, pread, 1, -1, (int fd, void *p, size_t n, off_t at), (fd, p, n, at))
WRAP(ssize_t, write, 1, -1, (int fd, const void *p, size_t n), (fd, p, n))
WRAP(ssize_t, pwrite, 1, -1, (int fd, const void *p, size_t n, off_t at), (fd, p, n, at))
WRAP(int, fstat, 0, -1, (int fd, struct stat *s), (fd, s))
WRAP(int, stat, 0, -1, (const char *path, struct stat *s), (path, s))
WRAP(int, lstat, 0, -1, (const char *path, struct stat *s), (path, s))
WRAP(int, fstatat, 0, -1, (int at, const char *path, struct stat *s, int flags), (at, path, s, flags))
WRAP(int, fstatvfs, 0, -1, (int fd, struct statvfs *s), (fd, s))
WRAP(int, ftruncate, 0, -1, (int fd, off_t n), (fd, n))
WRAP(int, fsync, 1, -1, (int fd), (fd))
WRAP(int, fdatasync, 1, -1, (int fd), (fd))
WRAP(int, flock, 1, -1, (int fd, int how), (fd, how))
WRAP(int, mkdir, 0, -1, (const char *path, mode_t mode), (path, mode))
WRAP(int, linkat, 0, -1, (int a, const char *p, int b, const char *q, int flags), (a, p, b, q, flags))
WRAP(int, renameat, 0, -1, (int a, const char *p, int b, const char *q), (a, p, b, q))
WRAP(int, renameat2, 0, -1, (int a, const char *p, int b, const char *q, unsigned flags), (a, p, b, q, flags))
WRAP(int, unlinkat, 0, -1, (int at, const char *path, int flags), (at, path, flags))
WRAP(int, unlink, 0, -1, (const char *path), (path))
WRAP(int, pipe2, 0, -1, (int fd[2], int flags), (fd, flags))
WRAP(int, socketpair, 0, -1, (int family, int type, int protocol, int fd[2]), (family, type, protocol, fd))
WRAP(ssize_t, sendmsg, 1, -1, (int fd, const struct msghdr *m, int flags), (fd, m, flags))
WRAP(ssize_t, recvmsg, 1, -1, (int fd, struct msghdr *m, int flags), (fd, m, flags))
WRAP(int, poll, 1, -1, (struct pollfd *p, nfds_t n, int ms), (p, n, ms))
WRAP(pid_t, fork, 0, -1, (void), ())
WRAP(int, getentropy, 0, -1, (void *p, size_t n), (p, n))
WRAP(DIR *, fdopendir, 0, 0, (int fd), (fd))
WRAP(char *, realpath, 0, 0, (const char *path, char *out), (path, out))
WRAP(int, posix_fallocate, 1, fault->error, (int fd, off_t at, off_t n), (fd, at, n))
WRAP(void *, mmap, 0, -1L, (void *p, size_t n, int use, int how, int fd, off_t at), (p, n, use, how, fd, at))

/* With the mode that O_CREAT asks for. */
#define MODE(flags)                                                                                                    \
    mode_t mode = 0;                                                                                                   \
    va_list a;                                                                                                         \
    va_start(a, flags);                                                                                                \
    if (flags & (O_CREAT | O_TMPFILE)) mode = va_arg(a, mode_t);                                                       \
    va_end(a)

int __real_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...)
{
    MODE(flags);
    return turn("open", 1) ? -1 : __real_open(path, flags, mode);
}

int __real_openat(int at, const char *path, int flags, ...);
int __wrap_openat(int at, const char *path, int flags, ...);
int __wrap_openat(int at, const char *path, int flags, ...)
{
    MODE(flags);
    return turn("openat", 1) ? -1 : __real_openat(at, path, flags, mode);
}

static void fails(void **state)
{
    (void)state;
    for (int i = 0; i < SCENES; i++) each_call(&scenes[i], 0, EIO, "");
}

static void interrupted(void **state)
{
    (void)state;
    for (int i = 0; i < SCENES; i++) each_call(&scenes[i], 0, EINTR, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(fails), cmocka_unit_test(interrupted)};
    return cmocka_run_group_tests(tests, make_scenes, remove_scenes);
}
