/* Faults in maps of files: data that loses its end, a disk that fails, and faults that are none of ours. */
#include <errno.h>
#include <fcntl.h>
#include <hdf5.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "data/mapped.h"
#include "data/source.h"
#include "tests/support.h"

enum { ROWS = 4096, ROW = 64, THREADS = 4 };
static char path[] = "/tmp/retort-mapped-XXXXXX";

/* rt_mapped_begin, as the linker names it when another takes its place. */
void __real_rt_mapped_begin(rt_mapped *, const void *map, size_t bytes);
void __wrap_rt_mapped_begin(rt_mapped *, const void *map, size_t bytes);

static int disk_fails;

/* The fault that the kernel would send for a page at the map's beginning. */
void __wrap_rt_mapped_begin(rt_mapped *m, const void *map, size_t bytes)
{
    __real_rt_mapped_begin(m, map, bytes);
    if (!disk_fails) return;
    siginfo_t info = {.si_signo = SIGBUS, .si_code = SI_QUEUE};
    info.si_addr = (void *)(uintptr_t)map;
    syscall(SYS_rt_tgsigqueueinfo, getpid(), (pid_t)syscall(SYS_gettid), SIGBUS, &info);
}

static void write_rows(int chunked)
{
    static unsigned char data[ROWS][ROW];
    hsize_t dim[2] = {ROWS, ROW}, chunk[2] = {256, ROW};
    for (int i = 0; i < ROWS; i++) memset(data[i], i & 255, ROW);
    hid_t f = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT), s = H5Screate_simple(2, dim, NULL);
    hid_t p = H5Pcreate(H5P_DATASET_CREATE);
    if (chunked) H5Pset_chunk(p, 2, chunk);
    hid_t d = H5Dcreate2(f, "x", H5T_STD_U8LE, s, H5P_DEFAULT, p, H5P_DEFAULT);
    assert_true(H5Dwrite(d, H5T_NATIVE_UINT8, H5S_ALL, H5S_ALL, H5P_DEFAULT, data) >= 0);
    H5Dclose(d);
    H5Pclose(p);
    H5Sclose(s);
    H5Fclose(f);
}

static rt_source *source;

/* Reads all rows, many times, until it fails. */
static void *reader(void *arg)
{
    unsigned char got[16][ROW];
    char *message = arg;
    for (int round = 0; round < 100000; round++)
        for (uint64_t at = 0; at < ROWS; at += 16)
            if (rt_source_read_stored(source, at, 16, got)) {
                strcpy(message, rt_error_message());
                return NULL;
            }
    return NULL;
}

static void cut_in_use(void)
{
    for (int turn = 0; turn < 10; turn++) {
        pthread_t thread[THREADS];
        static char message[THREADS][2048];
        write_rows(turn % 2);
        check_ok(rt_source_open(&source, path, "x"));
        for (int i = 0; i < THREADS; i++) {
            message[i][0] = 0;
            assert_int_equal(pthread_create(&thread[i], NULL, reader, message[i]), 0);
        }
        nanosleep(&(struct timespec){.tv_nsec = 1000000L * turn}, NULL);
        assert_int_equal(truncate(path, 8192), 0);
        for (int i = 0; i < THREADS; i++) {
            pthread_join(thread[i], NULL);
            if (!strstr(message[i], path) || !strstr(message[i], "was cut from"))
                fail_msg("thread %d: %s", i, message[i]);
        }
        rt_source_close(source);
    }
}

/* Within a tick of the clock by which the size is looked at. */
static void cut_just_now(void)
{
    unsigned char got[ROW];
    for (int turn = 0; turn < 20; turn++) {
        uint64_t row[] = {ROWS - 1};
        write_rows(0);
        check_ok(rt_source_open(&source, path, "x"));
        check_ok(rt_source_read(source, row, 1, got));
        assert_int_equal(truncate(path, 8192), 0);
        check_fails(rt_source_read(source, row, 1, got), RT_INPUT, "was cut from");
        rt_source_close(source);
    }
}

static void a_disk_that_fails(void)
{
    unsigned char got[ROW];
    uint64_t row[] = {7};
    write_rows(0);
    check_ok(rt_source_open(&source, path, "x"));
    disk_fails = 1;
    check_fails(rt_source_read(source, row, 1, got), RT_RUN, path);
    check_fails(rt_source_read_stored(source, 0, 1, got), RT_RUN, "reading failed");
    disk_fails = 0;
    check_ok(rt_source_read(source, row, 1, got));
    assert_int_equal(got[0], 7);
    rt_source_close(source);
}

/* Touches a page behind the end of a file of its own. */
static void touch_nothing(void)
{
    int fd = open(path, O_RDWR);
    volatile char *map = mmap(NULL, 8192, PROT_READ, MAP_SHARED, fd, 0);
    if (ftruncate(fd, 0)) _exit(1);
    (void)map[4096];
    _exit(2);
}

static void exit_42(int sig)
{
    (void)sig;
    _exit(42);
}

static int ending_of(void (*child)(void))
{
    int status;
    pid_t pid = fork();
    if (pid == 0) child();
    waitpid(pid, &status, 0);
    return status;
}

static void without_handler(void)
{
    signal(SIGBUS, SIG_DFL);
    rt_mapped_init();
    touch_nothing();
}

static void with_handler(void)
{
    signal(SIGBUS, exit_42);
    rt_mapped_init();
    touch_nothing();
}

/* A thread that reads from one map and meets a fault in another. */
static void elsewhere(void)
{
    static char own[64];
    rt_mapped m;
    signal(SIGBUS, SIG_DFL);
    rt_mapped_init();
    if (RT_MAPPED_FAULT(&m)) _exit(3);
    rt_mapped_begin(&m, own, sizeof own);
    touch_nothing();
}

/* First, as the handler is set up once in a process. */
static void faults_of_others_stay(void **state)
{
    (void)state;
    write_rows(0);
    int status = ending_of(without_handler);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGBUS);
    write_rows(0);
    status = ending_of(with_handler);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 42);
    write_rows(0);
    status = ending_of(elsewhere);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGBUS);
}

/* In one test: between two, cmocka takes SIGBUS for itself. */
static void in_use(void **state)
{
    (void)state;
#ifdef __SANITIZE_THREAD__
    skip();                            /* its runtime keeps a signal blocked whose handler is left by a jump */
#endif
    cut_in_use();
    cut_just_now();
    a_disk_that_fails();
}

int main(void)
{
    close(mkstemp(path));
    const struct CMUnitTest tests[] = {cmocka_unit_test(faults_of_others_stay), cmocka_unit_test(in_use)};
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    unlink(path);
    return failed;
}
