/* Files that appear whole, locks, and the folders of runs, also on file systems that lack nameless files, locks or
 * renames that do not replace, and under signals: the linker puts the functions below in the place of the system's
 * calls (--wrap). */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "data/files.h"
#include "data/lock.h"
#include "data/run_folder.h"
#include "tests/support.h"

static int no_nameless, no_noreplace, flock_error, interrupt, remove_at_flock, make_at_name, dir;

int __real_openat(int, const char *, int, mode_t);
int __real_flock(int, int);
int __real_fsync(int);
int __real_renameat2(int, const char *, int, const char *, unsigned);
int __real_linkat(int, const char *, int, const char *, int);
ssize_t __real_pwrite(int, const void *, size_t, off_t);

static void make(const char *name, const char *text)
{
    int fd = __real_openat(dir, name, O_WRONLY | O_CREAT | O_TRUNC, 0666);
    assert_true(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
    close(fd);
}

/* 1 at every second call, which a signal then interrupts. */
static int interrupted(void)
{
    if (!interrupt || interrupt++ % 2) return 0;
    errno = EINTR;
    return 1;
}

int __wrap_openat(int at, const char *path, int flags, ...)
{
    va_list a;
    va_start(a, flags);
    mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(a, mode_t) : 0;
    va_end(a);
    if (no_nameless && (flags & O_TMPFILE) == O_TMPFILE) {
        errno = no_nameless;
        return -1;
    }
    return interrupted() ? -1 : __real_openat(at, path, flags, mode);
}

int __wrap_flock(int fd, int how)
{
    if (remove_at_flock) {                            /* its owner ends just now, and another one comes */
        remove_at_flock--;
        unlinkat(dir, "lock", 0);
        make("lock", "");
    }
    if (flock_error) errno = flock_error;
    return interrupted() || flock_error ? -1 : __real_flock(fd, how);
}

int __wrap_fsync(int fd) { return interrupted() ? -1 : __real_fsync(fd); }

int __wrap_renameat2(int a, const char *from, int b, const char *to, unsigned flags)
{
    if (make_at_name) make(to, "theirs");
    if (no_noreplace) errno = EINVAL;
    return no_noreplace ? -1 : __real_renameat2(a, from, b, to, flags);
}

int __wrap_linkat(int a, const char *from, int b, const char *to, int flags)
{
    if (make_at_name) make(to, "theirs");
    return __real_linkat(a, from, b, to, flags);
}

ssize_t __wrap_pwrite(int fd, const void *p, size_t n, off_t at)
{
    return interrupted() ? -1 : __real_pwrite(fd, p, interrupt && n > 1 ? n / 2 : n, at);
}

static int open_folder(void **state)
{
    if (make_test_folder(state)) return 1;
    dir = open(test_folder, O_RDONLY | O_DIRECTORY);
    return dir < 0;
}

static int close_folder(void **state)
{
    close(dir);
    return remove_test_folder(state);
}

static int entries(void)
{
    DIR *d = opendir(test_folder);
    int n = -2;
    while (readdir(d)) n++;
    closedir(d);
    return n;
}

static void holds(const char *name, const char *text)
{
    char path[256], *is;
    size_t n;
    snprintf(path, sizeof path, "%s/%s", test_folder, name);
    check_ok(rt_read_file(&is, &n, path, 100));
    assert_string_equal(is, text);
    free(is);
}

/* A new name, the place of an old one, and a name that somebody else takes meanwhile. */
static void commits(void **state)
{
    (void)state;
    static const int lacks[4][2] = {{0, 0}, {EOPNOTSUPP, 0}, {EISDIR, 1}, {EOPNOTSUPP, 1}};
    for (int i = 0; i < 8; i++) {
        rt_temp t;
        no_nameless = lacks[i % 4][0];
        no_noreplace = lacks[i % 4][1];
        interrupt = i >= 4;
        check_ok(rt_temp_open(&t, dir, "f", "f"));
        assert_int_equal(!t.temp[0], !no_nameless);
        check_ok(rt_pwrite_all(t.fd, "one", 3, 0, "f"));
        assert_int_not_equal(faccessat(dir, "f", F_OK, 0), 0);
        check_ok(rt_temp_commit(&t, 0));
        rt_temp_drop(&t);
        check_ok(rt_write_file_at(dir, "f", "two", 3, "f"));
        holds("f", "two");
        unlinkat(dir, "f", 0);
        check_ok(rt_temp_open(&t, dir, "f", "f"));
        make_at_name = 1;
        check_fails(rt_temp_commit(&t, 0), RT_USAGE, "somebody else");
        make_at_name = 0;
        holds("f", "theirs");
        unlinkat(dir, "f", 0);
        assert_int_equal(entries(), 0);
    }
    no_nameless = no_noreplace = interrupt = 0;
}

static void sweeps(void **state)
{
    (void)state;
    make(".f.tmp-0123456789abcdef", "");
    make(".ff.tmp-0123456789abcdef", "");
    make(".f.tmp-0123456789abcdeg", "");
    make("f.tmp-0123456789abcdef", "");
    mkdirat(dir, ".f.tmp-1123456789abcdef", 0777);
    rt_temp_sweep(dir, "f");
    assert_int_equal(entries(), 4);
    rt_temp_sweep(dir, "");
    assert_int_equal(entries(), 3);
    unlinkat(dir, ".f.tmp-0123456789abcdeg", 0);
    unlinkat(dir, "f.tmp-0123456789abcdef", 0);
    unlinkat(dir, ".f.tmp-1123456789abcdef", AT_REMOVEDIR);
}

static void locks(void **state)
{
    (void)state;
    rt_lock a, b;
    struct stat mine, there;
    check_ok(rt_lock_take(&a, dir, "lock", "out"));
    check_fails(rt_lock_take(&b, dir, "lock", "out"), RT_RUN, "out: another process is writing to it: ");
    char pid[32];
    snprintf(pid, sizeof pid, ": %ld on ", (long)getpid());
    assert_non_null(strstr(rt_error_message(), pid));
    assert_non_null(strstr(rt_error_message(), "test_outputs"));
    rt_lock_release(&a);
    rt_lock_release(&b);
    assert_int_equal(entries(), 0);
    /* Who waited with a file that was removed meanwhile has no lock. */
    for (int times = 1; times < 4; times++) {
        remove_at_flock = times;
        check_ok(rt_lock_take(&a, dir, "lock", "out"));
        assert_true(!fstat(a.fd, &mine) && !fstatat(dir, "lock", &there, 0) && mine.st_ino == there.st_ino);
        rt_lock_release(&a);
    }
    for (interrupt = 1; interrupt < 2; interrupt++) check_ok(rt_lock_take(&a, dir, "lock", "out"));
    interrupt = 0;
    rt_lock_release(&a);
    /* A file system without locks is told, not taken for one whose locks are free. */
    static const int without[] = {ENOSYS, EOPNOTSUPP, ENOLCK};
    for (int i = 0; i < 3; i++) {
        flock_error = without[i];
        check_fails(rt_lock_take(&a, dir, "lock", "out"), RT_RUN, "has no locks");
    }
    flock_error = 0;
    unlinkat(dir, "lock", 0);
    make("lock", "mine");
    check_fails(rt_lock_take(&a, dir, "lock", "out"), RT_USAGE, "did not write");
    holds("lock", "mine");
    unlinkat(dir, "lock", 0);
    make("target", "mine");
    symlinkat("target", dir, "lock");
    assert_int_not_equal(rt_lock_take(&a, dir, "lock", "out"), RT_OK);
    holds("target", "mine");
    unlinkat(dir, "lock", 0);
    unlinkat(dir, "target", 0);
}

/* The lock goes with its process, and the file that is left is taken over. */
static void killed(void **state)
{
    (void)state;
    rt_lock a;
    int told[2], status;
    char c;
    assert_int_equal(pipe(told), 0);
    pid_t child = fork();
    if (!child) {
        rt_lock mine;
        if (rt_lock_take(&mine, dir, "lock", "out")) _exit(1);
        if (write(told[1], "x", 1) == 1) pause();
        _exit(1);
    }
    assert_int_equal(read(told[0], &c, 1), 1);
    check_fails(rt_lock_take(&a, dir, "lock", "out"), RT_RUN, "another process");
    kill(child, SIGKILL);
    waitpid(child, &status, 0);
    assert_int_equal(entries(), 1);
    check_ok(rt_lock_take(&a, dir, "lock", "out"));
    rt_lock_release(&a);
    assert_int_equal(entries(), 0);
    close(told[0]);
    close(told[1]);
}

static void folders(void **state)
{
    (void)state;
    static const char *const names[] = {"a", "in/b", NULL};
    char path[256];
    rt_run_folder *f, *g;
    snprintf(path, sizeof path, "%s/x/y", test_folder);
    rt_target t = {.path = path};
    check_ok(rt_run_folder_open(&f, &t, NULL, names));
    check_fails(rt_run_folder_open(&g, &t, NULL, names), RT_RUN, "another process");
    rt_run_folder_close(f);
    assert_true(access(path, F_OK));                     /* made for nothing */
    check_ok(rt_run_folder_open(&f, &t, NULL, names));
    check_ok(rt_run_folder_write(f, "a", "text", 4));
    check_ok(rt_run_folder_sweep(f, "in"));
    check_ok(rt_run_folder_sync(f, "in"));
    check_ok(rt_run_folder_sync(f, "."));
    rt_run_folder_close(f);
    holds("x/y/a", "text");
    symlinkat("..", dir, "x/y/in");
    check_ok(rt_run_folder_open(&f, &t, NULL, names));
    check_fails(rt_run_folder_sweep(f, "in"), RT_USAGE, "is no folder");
    check_ok(rt_run_folder_remove(f, "a"));
    check_ok(rt_run_folder_remove(f, "a"));
    rt_run_folder_close(f);
}

/* Readers take regular files alone, without waiting; what cannot be read says why. */
static void inputs(void **state)
{
    (void)state;
    char path[256];
    int fd;
    char *text;
    size_t n;
    mkfifoat(dir, "pipe", 0666);
    snprintf(path, sizeof path, "%s/pipe", test_folder);
    check_fails(rt_open_input(&fd, path), RT_INPUT, path);
    check_fails(rt_open_input(&fd, test_folder), RT_INPUT, "is a folder");
    check_fails(rt_open_input(&fd, "/dev/null"), RT_INPUT, "is a device");
    snprintf(path, sizeof path, "%s/none", test_folder);
    check_fails(rt_open_input(&fd, path), RT_INPUT, "No such file");
    make("long", "0123456789");
    snprintf(path, sizeof path, "%s/long", test_folder);
    check_fails(rt_read_file(&text, &n, path, 9), RT_INPUT, "longer than 9 bytes");
    check_ok(rt_read_file(&text, &n, path, 10));
    assert_int_equal(n, 10);
    free(text);
    rt_stamp s;
    check_ok(rt_stamp_at(&s, path));
    check_ok(rt_stamp_unchanged(&s, path));
    make("long", "012345678");
    check_fails(rt_stamp_unchanged(&s, path), RT_INPUT, "was changed while it was read");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(commits), cmocka_unit_test(sweeps), cmocka_unit_test(locks),
                                       cmocka_unit_test(killed),  cmocka_unit_test(folders), cmocka_unit_test(inputs)};
    return cmocka_run_group_tests(tests, open_folder, close_folder);
}
