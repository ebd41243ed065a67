/* HDF5: nothing vanishes from the list, damage is told from a machine's fault, and hostile files cost little. */
#include <errno.h>
#include <fcntl.h>
#include <hdf5.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/data/h5_support.h"

#define HOSTILE RETORT_SOURCE_DIR "/tests/data/samples/hostile/"

#ifdef RETORT_SANITIZE
enum { SANITIZED = 1 };
#else
enum { SANITIZED = 0 };
#endif

static void path_of(char path[128], const char *name) { snprintf(path, 128, "%s/%s", test_folder, name); }

/* Every pread of this program and of the child comes here: the one of this number fails. */
static struct { int number, error; } *fault;
static _Atomic int *reads;
ssize_t pread(int fd, void *out, size_t n, off_t at)
{
    if (fault && (*reads)++ == fault->number) {
        errno = fault->error;
        return -1;
    }
    return syscall(SYS_pread64, fd, out, n, at);
}

static void make_file(const char *path)
{
    hsize_t dim[2] = {40, 3}, chunk[2] = {4, 3};
    hid_t f = H5Fcreate(path, H5F_ACC_TRUNC, 0, 0), s = H5Screate_simple(2, dim, NULL);
    hid_t p = H5Pcreate(H5P_DATASET_CREATE), g = H5Gcreate2(f, "g", 0, 0, 0);
    H5Pset_chunk(p, 2, chunk);
    H5Pset_deflate(p, 1);
    static float x[120];
    for (int i = 0; i < 120; i++) x[i] = (float)i;
    for (int i = 0; i < 3; i++) {
        char name[8];
        snprintf(name, sizeof name, "x%d", i);
        hid_t d = H5Dcreate2(i ? g : f, name, H5T_IEEE_F32LE, s, 0, p, 0);
        H5Dwrite(d, H5T_NATIVE_FLOAT, 0, 0, 0, x);
        H5Dclose(d);
    }
    H5Gclose(g);
    H5Pclose(p);
    H5Sclose(s);
    H5Fclose(f);
}

/* A read that fails anywhere is the disk's fault: no set is dropped, nothing is called damaged. EINTR is no fault. */
static void disk_errors(void **state)
{
    (void)state;
    char path[128];
    rt_h5_file *f;
    path_of(path, "disk.h5");
    make_file(path);
    fault = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    reads = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    fault->number = -1;
    check_ok(rt_h5_scan(&f, path));
    assert_int_equal(f->sets, 3);
    rt_h5_close(f);
    int count = *reads;
    assert_true(count > 10);
    for (int i = 0; i < 2 * count; i++) {
        *reads = 0;
        fault->number = i / 2;
        fault->error = i % 2 ? EINTR : EIO;
        if (i % 2) {
            check_ok(rt_h5_scan(&f, path));
            assert_int_equal(f->sets, 3);
            for (int k = 0; k < 3; k++) assert_int_equal(f->set[k].chunks, 10);
            rt_h5_close(f);
        } else check_fails(rt_h5_scan(&f, path), RT_RUN, "Input/output error");
    }
    fault->number = -1;                                  /* of the reader, too, which was started with it */
    rt_h5_reader_stop();
    fault = NULL;
}

/* A reader that gets no memory says so: the file is not "damaged". Its limits are those at its start. */
static void no_memory(void **state)
{
    (void)state;
    if (SANITIZED) skip();
    char path[128];
    path_of(path, "memory.h5");
    make_file(path);
    int seen = 0;
    for (int mib = 0; mib <= 40; mib += mib < 20 ? 1 : 4) {
        pid_t pid = fork();
        if (pid == 0) {
            rt_h5_file *f;
            unsigned long pages = 0;
            FILE *statm = fopen("/proc/self/statm", "r");
            if (!statm || fscanf(statm, "%lu", &pages) != 1) _exit(77);
            fclose(statm);
            rlim_t now = (rlim_t)pages * (rlim_t)sysconf(_SC_PAGESIZE);
            rt_h5_reader_stop();
            struct rlimit all = {now + ((rlim_t)mib << 20), RLIM_INFINITY}, before;
            getrlimit(RLIMIT_AS, &before);
            setrlimit(RLIMIT_AS, &all);
            rt_h5_reader_start();
            setrlimit(RLIMIT_AS, &before);
            rt_status st = rt_h5_scan(&f, path);
            _exit(st == RT_OK ? 0 : st == RT_RUN && strstr(rt_error_message(), "memory") ? 1 : 2);
        }
        int status;
        waitpid(pid, &status, 0);
        assert_true(WIFEXITED(status));
        if (WEXITSTATUS(status) > 1) fail_msg("with %d MiB: %d", mib, WEXITSTATUS(status));
        seen |= 1 << WEXITSTATUS(status);
    }
    assert_int_equal(seen, 3);
}

static sem_t enough;
static void *wait_for_it(void *arg)
{
    (void)arg;
    sem_wait(&enough);
    return NULL;
}

/* The child's limit on memory is its own: stacks of this program's threads do not count. */
static void many_threads(void **state)
{
    (void)state;
    enum { THREADS = 400 };
    pthread_t thread[THREADS];
    pthread_attr_t a;
    char path[128];
    rt_h5_file *f;
    path_of(path, "threads.h5");
    make_file(path);
    sem_init(&enough, 0, 0);
    pthread_attr_init(&a);
    pthread_attr_setstacksize(&a, 16 << 20);             /* 6.4 GB of address space, none of it touched */
    int started = 0;
#ifdef RETORT_SANITIZE
    rt_h5_reader_start(); /* a sanitizer's allocator may stay locked in the fork of a process with threads */
#endif
    while (started < THREADS && pthread_create(&thread[started], &a, wait_for_it, NULL) == 0) started++;
    rt_status st = rt_h5_scan(&f, path);
    for (int i = 0; i < started; i++) sem_post(&enough);
    for (int i = 0; i < started; i++) pthread_join(thread[i], NULL);
    if (started < THREADS) skip();
    check_ok(st);
    rt_h5_close(f);
}

static void create(hid_t f, const char *name, int rank, const hsize_t *dim, hid_t p)
{
    hid_t s = H5Screate_simple(rank, dim, NULL), d = H5Dcreate2(f, name, H5T_STD_U8LE, s, 0, p, 0);
    assert_true(d >= 0);
    H5Dclose(d);
    H5Sclose(s);
}

/* What cannot be read stands beside what can, with its reason. */
static void odd_sets(void **state)
{
    (void)state;
    char path[128], name[RT_H5_NAME + 400];
    rt_h5_file *f;
    size_t n;
    hsize_t small[1] = {5}, huge[3] = {(hsize_t)1 << 32, (hsize_t)1 << 32, 8}, nine[9] = {1, 1, 1, 1, 1, 1, 1, 1, 2};
    hsize_t many[1] = {1 << 26}, one[1] = {1}, two[1] = {2}, wide[2] = {1 << 15, 1 << 15};
    path_of(path, "odd.h5");
    hid_t h = H5Fcreate(path, H5F_ACC_TRUNC, 0, 0);
    hid_t p = H5Pcreate(H5P_DATASET_CREATE), q = H5Pcreate(H5P_DATASET_CREATE);
    create(h, "small", 1, small, 0);
    H5Pset_alloc_time(p, H5D_ALLOC_TIME_LATE);
    create(h, "huge", 3, huge, p);
    create(h, "nine", 9, nine, 0);
    H5Pset_chunk(q, 1, one);
    create(h, "many", 1, many, q);
    H5Pset_chunk(q, 1, two);
    create(h, "all_holes", 1, (hsize_t[]){1 << 20}, q);
    H5Pset_chunk(q, 2, wide);
    H5Pset_alloc_time(q, H5D_ALLOC_TIME_INCR);
    create(h, "wide", 2, wide, q);
    memset(name, 'n', sizeof name);
    name[RT_H5_NAME + 44] = 0;
    create(h, name, 1, small, 0);
    create(h, "line\nbreak", 1, small, 0);
    H5Fclose(h);
    check_ok(rt_h5_scan(&f, path));
    assert_int_equal(f->sets, 8);
    free(h5_read(f, "small", RT_U8, &n));
    h5_refused(f, "huge", "its shape is impossible");
    h5_refused(f, "nine", "9 dimensions; at most 8");
    h5_refused(f, "many", "67108864 chunks; at most 16777216");
    free(h5_read(f, "line?break", RT_U8, &n));
    name[RT_H5_NAME - 1] = 0;
    h5_refused(f, name, "its name has 1068 bytes");
    const rt_h5_dataset *d;
    check_ok(rt_h5_need(&d, f, "all_holes"));
    assert_int_equal(d->chunked, 0);
    assert_true(d->offset == UINT64_MAX);
    rt_h5_close(f);
}

/* Groups that lead back, nests, and a diamond of groups, whose paths would double with each step. */
static void group_graphs(void **state)
{
    (void)state;
    char path[128], name[8], deep[200] = "";
    rt_h5_file *f;
    hsize_t small[1] = {5};
    path_of(path, "graph.h5");
    hid_t access = H5Pcreate(H5P_FILE_ACCESS);
    H5Pset_fclose_degree(access, H5F_CLOSE_STRONG);
    hid_t h = H5Fcreate(path, H5F_ACC_TRUNC, 0, access), g = H5Gcreate2(h, "0", 0, 0, 0), at = g;
    for (int i = 0; i < 40; i++) {
        hid_t next = H5Gcreate2(at, "d", 0, 0, 0);
        if (i < 30) strcat(deep, "/d");
        if (i == 29) create(next, "x", 1, small, 0);
        at = next;
    }
    H5Lcreate_hard(h, "0", at, "top", 0, 0);
    hid_t ladder = H5Gcreate2(h, "ladder", 0, 0, 0);
    for (int i = 0; i < 31; i++) {
        snprintf(name, sizeof name, "%d", i);
        hid_t step = H5Gcreate2(ladder, name, 0, 0, 0);
        if (i) {
            char last[8];
            snprintf(last, sizeof last, "%d", i - 1);
            H5Lcreate_hard(ladder, last, step, "l", 0, 0);
            H5Lcreate_hard(ladder, last, step, "r", 0, 0);
        } else create(step, "x", 1, small, 0);
        H5Gclose(step);
    }
    H5Fclose(h);
    check_ok(rt_h5_scan(&f, path));
    const rt_h5_dataset *d;
    snprintf(path, sizeof path, "0%.60s/x", deep);
    check_ok(rt_h5_need(&d, f, path));
    assert_int_equal(f->cut, 1);
    check_fails(rt_h5_need(&d, f, "zzz"), RT_INPUT, "it holds more than are looked at");
    int nested = 0;
    for (int i = 0; i < f->sets; i++) nested |= strstr(f->set[i].refused, "nested deeper") != NULL;
    assert_true(nested);
    rt_h5_close(f);
}

static double cpu_of(int who)
{
    struct rusage r;
    getrusage(who, &r);
    return (double)(r.ru_utime.tv_sec + r.ru_stime.tv_sec) + 1e-6 * (double)(r.ru_utime.tv_usec + r.ru_stime.tv_usec);
}
static double cpu_seconds(void) { return cpu_of(RUSAGE_SELF) + cpu_of(RUSAGE_CHILDREN); }

/* 65,536 chunks are found in n log n, each where the library wrote it. */
static void many_chunks(void **state)
{
    (void)state;
    enum { N = 1 << 16 };
    char path[128];
    rt_h5_file *f;
    hsize_t dim[1] = {2 * N}, most[1] = {H5S_UNLIMITED}, chunk[1] = {2};
    for (int newest = 0; newest < 2; newest++) {
        path_of(path, "many.h5");
        hid_t access = H5Pcreate(H5P_FILE_ACCESS), p = H5Pcreate(H5P_DATASET_CREATE);
        if (newest) H5Pset_libver_bounds(access, H5F_LIBVER_V110, H5F_LIBVER_V110);
        H5Pset_chunk(p, 1, chunk);
        hid_t h = H5Fcreate(path, H5F_ACC_TRUNC, 0, access), s = H5Screate_simple(1, dim, most);
        hid_t d = H5Dcreate2(h, "x", H5T_STD_U16LE, s, 0, p, 0);
        for (hsize_t i = 0; i < N; i++) {
            uint16_t x[2] = {(uint16_t)(i * 40503u), (uint16_t)i};
            hsize_t at = 2 * i;
            H5Dwrite_chunk(d, 0, 0, &at, sizeof x, x);
        }
        H5Dclose(d);
        H5Fclose(h);
        double start = cpu_seconds();
        check_ok(rt_h5_scan(&f, path));
        double taken = cpu_seconds() - start;
        if (!SANITIZED && taken > 1) fail_msg("%d chunks took %.2f s of CPU time to open", N, taken);
        assert_int_equal(f->set[0].chunks, N);
        int fd = open(path, O_RDONLY);
        for (size_t i = 0; i < N; i += 7) {
            uint16_t x[2];
            assert_int_equal(pread(fd, x, 4, (off_t)f->set[0].chunk[i].offset), 4);
            assert_int_equal(x[0], (uint16_t)(i * 40503u));
            assert_int_equal(x[1], (uint16_t)i);
        }
        close(fd);
        rt_h5_close(f);
    }
}

/* A chunk index whose node has lost its signature is damage, not a set full of holes; other sets are read. */
static void damaged_index(void **state)
{
    (void)state;
    static const struct { int newest; char signature[6]; size_t bytes; } k[] = {{0, "TREE\1", 5}, {1, "FADB", 4}};
    for (int i = 0; i < 2; i++) {
        char path[128], *data = malloc(1 << 16), *at;
        rt_h5_file *f;
        hsize_t dim[1] = {40}, chunk[1] = {4};
        int32_t fill = 3, x[40] = {1, 2, 3};
        path_of(path, "index.h5");
        hid_t access = H5Pcreate(H5P_FILE_ACCESS), p = H5Pcreate(H5P_DATASET_CREATE);
        hid_t s = H5Screate_simple(1, dim, NULL);
        if (k[i].newest) H5Pset_libver_bounds(access, H5F_LIBVER_V110, H5F_LIBVER_V110);
        hid_t h = H5Fcreate(path, H5F_ACC_TRUNC, 0, access);
        create(h, "plain", 1, dim, 0);
        H5Pset_chunk(p, 1, chunk);
        H5Pset_fill_value(p, H5T_NATIVE_INT32, &fill);
        hid_t d = H5Dcreate2(h, "x", H5T_STD_I32LE, s, 0, p, 0);
        H5Dwrite(d, H5T_NATIVE_INT32, 0, 0, 0, x);
        H5Dclose(d);
        H5Fclose(h);
        int fd = open(path, O_RDWR);
        ssize_t n = read(fd, data, 1 << 16);
        assert_non_null(at = memmem(data, (size_t)n, k[i].signature, k[i].bytes));
        assert_int_equal(pwrite(fd, "?", 1, at - data), 1);
        close(fd);
        free(data);
        check_ok(rt_h5_scan(&f, path));
        h5_refused(f, "x", "its chunk index cannot be read (");
        assert_string_equal(rt_h5_find(f, "plain")->refused, "");
        rt_h5_close(f);
    }
}

/* One chunk in a grid of millions: a small file must not buy minutes. */
static void sparse_grid(void **state)
{
    (void)state;
    char path[128];
    rt_h5_file *f;
    hsize_t dim[1] = {1 << 24}, chunk[1] = {1}, at[1] = {(1 << 24) - 1};
    path_of(path, "sparse.h5");
    hid_t h = H5Fcreate(path, H5F_ACC_TRUNC, 0, 0), p = H5Pcreate(H5P_DATASET_CREATE);
    hid_t s = H5Screate_simple(1, dim, NULL);
    H5Pset_chunk(p, 1, chunk);
    hid_t d = H5Dcreate2(h, "x", H5T_STD_U8LE, s, 0, p, 0);
    H5Dwrite_chunk(d, 0, 0, at, 1, "x");
    H5Dclose(d);
    H5Fclose(h);
    double start = cpu_seconds();
    check_ok(rt_h5_scan(&f, path));
    assert_true(SANITIZED || cpu_seconds() - start < 1);
    h5_refused(f, "x", "only 1 of its 16777216 chunks were ever written");
    rt_h5_close(f);
}

/* A file with any byte changed is refused or read: nothing dies, nothing is the machine's fault, nothing takes long. */
static void changed_bytes(void **state)
{
    (void)state;
    char path[128], *data = malloc(1 << 20);
    path_of(path, "changed.h5");
    make_file(path);
    int fd = open(path, O_RDWR), refused = 0, tried = 0;
    ssize_t n = read(fd, data, 1 << 20);
    assert_true(n > 2000 && n < 1 << 20);
    for (ssize_t i = 8; i < n; i += SANITIZED ? 197 : 37)
        for (int how = 0; how < 2; how++) {
            rt_h5_file *f;
            char changed = how ? (char)(data[i] ^ (1 << i % 8)) : (char)0xff;
            if (changed == data[i]) continue;
            assert_int_equal(pwrite(fd, &changed, 1, i), 1);
            rt_status st = rt_h5_scan(&f, path);
            if (st && st != RT_INPUT) fail_msg("byte %zd to %d: status %d: %s", i, changed, st, rt_error_message());
            else rt_h5_close(f);
            refused += st != RT_OK;
            tried++;
            assert_int_equal(pwrite(fd, data + i, 1, i), 1);
        }
    close(fd);
    free(data);
    assert_true(refused > tried / 100 && refused < tried);
}

/* Findings of others: the library itself dies of the first two; its look-ups took 25 s on the third. */
static void known_attacks(void **state)
{
    (void)state;
    rt_h5_file *f;
    check_fails(rt_h5_scan(&f, HOSTILE "cve-2018-16438.h5"), RT_INPUT, "damaged");
    check_fails(rt_h5_scan(&f, HOSTILE "gh-4432-poc-05.h5"), RT_INPUT, "damaged");
    double start = cpu_seconds();
    rt_status st = rt_h5_scan(&f, HOSTILE "cve-2018-15671.h5");
    assert_true(st == RT_OK || st == RT_INPUT);
    if (!st) rt_h5_close(f);
    assert_true(SANITIZED || cpu_seconds() - start < 2);
}

/* No HDF5 file at all; and a pipe is not waited for. */
static void no_hdf5(void **state)
{
    (void)state;
    char path[128];
    rt_h5_file *f;
    path_of(path, "pipe");
    assert_int_equal(mkfifo(path, 0600), 0);
    check_fails(rt_h5_scan(&f, path), RT_INPUT, "is no regular file");
    path_of(path, "text");
    FILE *t = fopen(path, "w");
    for (int i = 0; i < 1000; i++) fprintf(t, "a line\n");
    fclose(t);
    check_fails(rt_h5_scan(&f, path), RT_INPUT, "is no HDF5 file");
    check_fails(rt_h5_scan(&f, "/nonexistent.h5"), RT_INPUT, "No such file");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(disk_errors), cmocka_unit_test(no_memory), cmocka_unit_test(many_threads),
        cmocka_unit_test(odd_sets), cmocka_unit_test(group_graphs), cmocka_unit_test(many_chunks),
        cmocka_unit_test(damaged_index), cmocka_unit_test(sparse_grid), cmocka_unit_test(changed_bytes),
        cmocka_unit_test(known_attacks), cmocka_unit_test(no_hdf5)};
    return cmocka_run_group_tests(tests, make_test_folder, remove_test_folder);
}
