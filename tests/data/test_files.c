/* The wrappers of system calls: interrupted calls go on, short transfers are finished, machine faults are so called. */
#include <errno.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "data/files.h"
#include "tests/support.h"

static char path[] = "/tmp/retort-files-XXXXXX";
static int interrupts, error, calls;

/* What each call does in turn when interrupts is set: fails with EINTR, moves one byte, moves all. */
#define WRAPPED(type, name, parameters, one_byte, all)                                                                 \
    type __real_##name parameters;                                                                                     \
    type __wrap_##name parameters;                                                                                     \
    type __wrap_##name parameters                                                                                      \
    {                                                                                                                  \
        if (error || (interrupts && calls++ % 3 == 0)) {                                                               \
            errno = error ? error : EINTR;                                                                             \
            return -1;                                                                                                 \
        }                                                                                                              \
        return interrupts && n && calls % 3 == 2 ? one_byte : all;                                                     \
    }

WRAPPED(ssize_t, read, (int fd, void *p, size_t n), __real_read(fd, p, 1), __real_read(fd, p, n))
WRAPPED(ssize_t, write, (int fd, const void *p, size_t n), __real_write(fd, p, 1), __real_write(fd, p, n))
WRAPPED(ssize_t, pread, (int fd, void *p, size_t n, off_t at), __real_pread(fd, p, 1, at), __real_pread(fd, p, n, at))
WRAPPED(ssize_t, pwrite, (int fd, const void *p, size_t n, off_t at), __real_pwrite(fd, p, 1, at),
        __real_pwrite(fd, p, n, at))

int __real_stat(const char *at, struct stat *s);
int __wrap_stat(const char *at, struct stat *s);
int __wrap_stat(const char *at, struct stat *s)
{
    if (!error) return __real_stat(at, s);
    errno = error;
    return -1;
}

static void goes_on(void **state)
{
    (void)state;
    static const char text[] = "what is written is what is read";
    char got[sizeof text], *all;
    size_t n;
    int fd = open(path, O_RDWR);
    interrupts = 1;
    check_ok(rt_write_all(fd, text, 10, path));
    check_ok(rt_pwrite_all(fd, text + 10, sizeof text - 10, 10, path));
    check_ok(rt_pread_all(fd, got, sizeof got, 0, path));
    assert_memory_equal(got, text, sizeof text);
    check_ok(rt_pread_some(fd, got, sizeof got, 20, path, &n));
    assert_int_equal(n, sizeof text - 20);
    lseek(fd, 5, SEEK_SET);
    check_ok(rt_read_some(fd, got, sizeof got, path, &n));
    assert_int_equal(n, sizeof text - 5);
    assert_memory_equal(got, text + 5, n);
    check_ok(rt_read_file(&all, &n, path, 1000));
    assert_int_equal(n, sizeof text);
    assert_memory_equal(all, text, n);
    free(all);
    check_fails(rt_pread_all(fd, got, sizeof got, 1, path), RT_INPUT, "ends too early");
    interrupts = 0;
    close(fd);
}

static void machine_faults(void **state)
{
    (void)state;
    static const int machine[] = {EIO, ENOMEM, EMFILE, ENFILE, ENOSPC, EDQUOT, ESTALE, EROFS},
                     input[] = {ENOENT, EACCES, EISDIR, ENOTDIR, ELOOP, ENAMETOOLONG};
    char byte;
    size_t n;
    struct rlimit before, none;
    for (size_t i = 0; i < sizeof machine / sizeof *machine; i++)
        assert_int_equal(rt_errno_status(machine[i]), RT_RUN);
    for (size_t i = 0; i < sizeof input / sizeof *input; i++) assert_int_equal(rt_errno_status(input[i]), RT_INPUT);
    int fd = open(path, O_RDWR), other;
    error = EIO;
    check_fails(rt_pread_some(fd, &byte, 1, 0, path, &n), RT_RUN, path);
    check_fails(rt_read_some(fd, &byte, 1, path, &n), RT_RUN, path);
    error = ENOSPC;
    check_fails(rt_write_all(fd, "a", 1, path), RT_RUN, path);
    check_fails(rt_pwrite_all(fd, "a", 1, 0, path), RT_RUN, path);
    error = 0;
    getrlimit(RLIMIT_NOFILE, &before);
    none = (struct rlimit){0, before.rlim_max};
    setrlimit(RLIMIT_NOFILE, &none);
    rt_status st = rt_open_input(&other, path);
    setrlimit(RLIMIT_NOFILE, &before);
    check_fails(st, RT_RUN, path);
    check_fails(rt_open_input(&other, "/tmp/retort-no-such-file"), RT_INPUT, "No such file");
    check_fails(rt_open_input(&other, "/dev/null"), RT_INPUT, "is a device");
    check_fails(rt_open_input(&other, "/tmp"), RT_INPUT, "is a folder");
    close(fd);
}

/* That the machine cannot tell is not "no". */
static void there_or_not(void **state)
{
    (void)state;
    int there = 0;
    check_ok(rt_file_there(path, &there));
    assert_true(there);
    check_ok(rt_file_there("/tmp/retort-no-such-file", &there));
    assert_false(there);
    static const int machine[] = {ENOMEM, EIO, ESTALE}, no[] = {ENOENT, ENOTDIR, ENAMETOOLONG, ELOOP, EACCES};
    for (size_t i = 0; i < sizeof machine / sizeof *machine; i++) {
        error = machine[i];
        rt_status st = rt_file_there(path, &there);
        error = 0;
        check_fails(st, RT_RUN, strerror(machine[i]));
    }
    for (size_t i = 0; i < sizeof no / sizeof *no; i++) {
        there = 1;
        error = no[i];
        rt_status st = rt_file_there(path, &there);
        error = 0;
        check_ok(st);
        assert_false(there);
    }
}

/* A file of which next to nothing is stored is not read to its end; holes of a size that is soon read are zeros. */
static void holes(void **state)
{
    (void)state;
    enum { FEW = 8 << 20, ENOUGH = 17 << 20 };
    const off_t most = 1 << 30;
    rt_digest d;
    int fd = open(path, O_RDWR | O_TRUNC);
    char *zeros = calloc(1, ENOUGH);
    assert_int_equal(ftruncate(fd, FEW), 0);
    check_ok(rt_digest_file(&d, path, 0));
    assert_string_equal(d.hex, rt_digest_of(zeros, FEW).hex);
    assert_int_equal(ftruncate(fd, most), 0);
    check_ok(rt_check_holes(fd, path));
    const off_t vast[] = {most + 1, (off_t)1 << 40, INT64_C(0x7ffffffff000)};
    for (int i = 0; i < 3; i++) {
        if (ftruncate(fd, vast[i])) continue;                          /* longer than its file system allows */
        assert_int_equal(lseek(fd, 5, SEEK_SET), 5);
        check_fails(rt_check_holes(fd, path), RT_INPUT, "of which 0 are stored");
        assert_int_equal(lseek(fd, 0, SEEK_CUR), 5);
        check_fails(rt_digest_file(&d, path, 0), RT_INPUT, "holes");
        check_fails(rt_digest_rest(&d, fd, path, 0), RT_INPUT, "holes");
    }
    assert_int_equal(ftruncate(fd, most + FEW), 0);
    assert_int_equal(pwrite(fd, zeros, 1000, most / 2), 1000);
    check_fails(rt_check_holes(fd, path), RT_INPUT, "are stored");
    for (off_t at = 0; at < 4; at++)                                   /* in pieces: 68 MiB of 1.5 GiB */
        assert_int_equal(pwrite(fd, zeros, ENOUGH, at * most / 3), ENOUGH);
    assert_int_equal(ftruncate(fd, most + most / 2), 0);
    assert_int_equal(lseek(fd, 5, SEEK_SET), 5);
    check_ok(rt_check_holes(fd, path));
    assert_int_equal(lseek(fd, 0, SEEK_CUR), 5);
    close(fd);
    free(zeros);
    truncate(path, 0);
}

int main(void)
{
    close(mkstemp(path));
    const struct CMUnitTest tests[] = {cmocka_unit_test(goes_on), cmocka_unit_test(machine_faults),
                                       cmocka_unit_test(there_or_not), cmocka_unit_test(holes)};
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    unlink(path);
    return failed;
}
