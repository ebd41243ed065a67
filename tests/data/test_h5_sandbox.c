/* The process that reads HDF5's metadata: what it can still do, asked from inside of it; and what is believed of it. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "data/h5_plan.h"
#include "tests/support.h"

#define SAMPLE RETORT_SOURCE_DIR "/tests/data/samples/links.h5"

#ifdef RETORT_SANITIZE
enum { SANITIZED = 1, DESCRIPTORS = 3 };
#else
enum { SANITIZED = 0, DESCRIPTORS = 2 };
#endif
enum { CALLS = 600, X32 = 0x40000000 };

/* Memory of this program and of the children that it forks itself. */
typedef struct {
    int guard, filtered;
    long result[2][CALLS];
    int failed_check;
    _Atomic int in_child, go_on;
    long seen;
} shared;
static shared *share;

/* What the hook in pread does in a real child: once, but EAT. */
static enum { NOTHING, CALL_GETPPID, DIE, LEAVE, LEAVE_WITH_ERROR, LOOK_AT, LOOK_AT_TEXT, STAY, EAT } *task;
static const char *volatile *place;
static void *volatile kept;                 /* else a compiler may leave the allocations out */

ssize_t pread(int fd, void *out, size_t n, off_t at)
{
    if (task && fd == RT_H5_FILE_FD) {
        int what = *task;
        if (what != EAT) *task = NOTHING;
        if (what == CALL_GETPPID) share->seen = syscall(SYS_getppid) < 0 ? -errno : 0;
        if (what == DIE) __builtin_trap();
        if (what == LEAVE) _exit(0);
        if (what == LEAVE_WITH_ERROR) _exit(ENOSPC);
        if (what == LOOK_AT) share->seen = syscall(SYS_pread64, RT_H5_FILE_FD, *place, 1, 0) < 0 ? -errno : 1;
        if (what == LOOK_AT_TEXT) share->seen = **place;
        for (size_t piece = (size_t)64 << 20; what == EAT && piece >= 64; piece /= 2)
            while ((kept = malloc(piece))) ;
        if (what == STAY) {
            share->in_child = 1;
            while (!share->go_on) ;
        }
    }
    return syscall(SYS_pread64, fd, out, n, at);
}

static int set_up(void **state)
{
    share = mmap(NULL, sizeof *share + 8192, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    task = (void *)((char *)share + ((sizeof *share + 63) & ~(size_t)63));
    place = (void *)((char *)task + 64);
    return share == MAP_FAILED || make_test_folder(state);
}

/* A process that has given up everything but its system calls; 0 in it, its number outside. */
static pid_t fork_isolated(int plan)
{
    pid_t pid = fork();
    if (pid) return pid;
    static const rt_h5_request few = {.stored = 1000};
    int file = open(SAMPLE, O_RDONLY | O_CLOEXEC), error = rt_h5_isolate(file, plan, &few, &share->guard);
    if (error) _exit(100);
    return 0;
}

static int wait_for(pid_t pid)
{
    int status;
    assert_true(pid > 0);
    while (waitpid(pid, &status, 0) < 0) ;
    return status;
}

/* ---- system calls ---- */

static int in_list(long call, const long *list, int n)
{
    for (int i = 0; i < n; i++) if (list[i] == call) return 1;
    return 0;
}

/* With arguments that are no good for anything, so that nothing happens where a call is let through. */
static void try_call(int plan, long call, long *result)
{
    enum { NOT_MADE = -4096 };
    *result = NOT_MADE;
    pid_t pid = fork_isolated(plan);
    if (pid == 0) {
        if (rt_h5_filter_calls()) {
            long r = syscall(call, -1L, -1L, -1L, -1L, -1L, -1L);
            *result = r < 0 ? -errno : r;
        }
        syscall(SYS_exit_group, 0);
    }
    int status = wait_for(pid);
    if (WIFSIGNALED(status)) *result = -WTERMSIG(status) - 10000;
}

/* Newer kernels let two calls of their own probes pass by every filter; made from anywhere else they fail. */
static int is_probe(long call)
{
#if defined(__x86_64__)
    return call == 335 || call == 336;
#else
    return call < 0;
#endif
}

/* Every system call there is: the few of the list are let through, all others fail, x32 ends the process. */
static void every_call(void **state)
{
    (void)state;
    static const long allowed[] = {SYS_pread64, SYS_munmap, SYS_mremap, SYS_brk, SYS_exit, SYS_exit_group};
    if (SANITIZED) skip();
    int plan[2], through = 0, turned_down = 0, ended = 0;
    assert_int_equal(pipe(plan), 0);
    pid_t pid = fork_isolated(plan[1]);
    if (pid == 0) {
        share->filtered = rt_h5_filter_calls();
        _exit(0);
    }
    wait_for(pid);
    if (!share->filtered) skip();
    for (int x32 = 0; x32 < 2; x32++)
        for (long call = 0; call < CALLS; call++) {
            long *r = &share->result[x32][call];
            try_call(plan[1], call | (x32 ? X32 : 0), r);
            int lets = !x32 && in_list(call, allowed, sizeof allowed / sizeof *allowed);
            int killed = *r == -SIGSYS - 10000;
            int fails = *r == -EPERM || (is_probe(call) && (*r == -SIGILL - 10000 || *r == -ENXIO));
            if (lets ? killed || *r == -EPERM : x32 ? !killed : !fails)
                fail_msg("system call %ld%s: %ld", call, x32 ? " of x32" : "", *r);
            through += lets;
            turned_down += !lets && !x32;
            ended += killed;
        }
    close(plan[0]);
    close(plan[1]);
    print_message("of %d system calls %d are let through, %d fail, %d end the process\n", 2 * CALLS, through,
                  turned_down, ended);
    assert_int_equal(through + turned_down + ended, 2 * CALLS);
}

#if defined(__x86_64__)
static long call_of_32_bits(long number)
{
    long r;
    __asm__ volatile("int $0x80" : "=a"(r) : "a"(number), "b"(0), "c"(0), "d"(0) : "memory");
    return r;
}
#endif

/* One thing that is allowed by its arguments, or not; what it returns is 0 where it worked. */
static int act(int which)
{
    static int word;
    char *page = which > 3 ? NULL : mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    switch (which) {
    case 0: return page == MAP_FAILED;
    case 1: return mprotect(page, 4096, PROT_READ);
    case 2: return write(RT_H5_PLAN_FD, "x", 1) != 1;
    case 3: return syscall(SYS_futex, &word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0) != 0;
    case 4: return mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED;
    case 5: return mprotect((void *)((uintptr_t)&word & ~(uintptr_t)4095), 4096, PROT_READ | PROT_EXEC);
    case 6: return mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, RT_H5_FILE_FD, 0) == MAP_FAILED;
    case 7: return write(RT_H5_FILE_FD, "x", 1) != 1;
    case 8: return write(2, "x", 1) != 1;
    case 9: return syscall(SYS_futex, &word, FUTEX_CMP_REQUEUE_PI, 1, NULL, &word, 0) != 0;
    case 10: return syscall(SYS_write, (1L << 32) + 2, "x", 1) != 1;
#if defined(__x86_64__)
    case 11: return call_of_32_bits(20) < 0;
#endif
    default: return 0;
    }
}

static void arguments(void **state)
{
    (void)state;
    enum { ALLOWED = 4, ACTS = 12 };
    if (SANITIZED || !share->filtered) skip();
    int plan[2];
    assert_int_equal(pipe(plan), 0);
#if defined(__x86_64__)
    int acts = ACTS;
#else
    int acts = ACTS - 1;
#endif
    for (int i = 0; i < acts; i++) {
        pid_t pid = fork_isolated(plan[1]);
        if (pid == 0) {
            rt_h5_filter_calls();
            syscall(SYS_exit_group, act(i));
        }
        int status = wait_for(pid);
        if (i < ALLOWED ? status != 0 : status == 0)
            fail_msg("act %d: status %x", i, status);
    }
    close(plan[0]);
    close(plan[1]);
}

/* ---- what else is given up ---- */

/* The number of the line that does not hold, or 0. */
#define HOLDS(what) do { if (!(what)) return __LINE__; } while (0)
static int check_isolated(pid_t parent, const char *folder)
{
    uid_t r, e, s;
    gid_t rg, eg, sg;
    struct rlimit l;
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct caps[2] = {{0}};
    char path[160];
    for (int fd = 0; fd < 4096; fd++) HOLDS((fcntl(fd, F_GETFD) >= 0) == (fd < DESCRIPTORS));
    HOLDS((fcntl(RT_H5_FILE_FD, F_GETFL) & O_ACCMODE) == O_RDONLY);
    HOLDS(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1 && prctl(PR_GET_DUMPABLE) == 0);
    HOLDS(syscall(SYS_capget, &header, caps) == 0);
    for (int i = 0; i < 2; i++) HOLDS(!caps[i].effective && !caps[i].permitted && !caps[i].inheritable);
    HOLDS(getresuid(&r, &e, &s) == 0 && getresgid(&rg, &eg, &sg) == 0);
    if (share->guard & RT_H5_GUARD_USER) {
        HOLDS(r && e && s && rg && eg && sg);
        HOLDS(r != 65534 || getgroups(0, NULL) == 0);
        HOLDS(r != 65534 || kill(parent, 0) < 0);
    }
    HOLDS(open("/etc/passwd", O_RDONLY) < 0 && dup(0) < 0 && socket(AF_UNIX, SOCK_STREAM, 0) < 0);
    snprintf(path, sizeof path, "%s/made", folder);
    if (share->guard & RT_H5_GUARD_FILES) HOLDS(mkdir(path, 0700) < 0 && errno == EACCES);
    static const int none[] = {RLIMIT_CORE, RLIMIT_FSIZE, RLIMIT_NOFILE, RLIMIT_NPROC};
    for (int i = 0; i < 4; i++) HOLDS(getrlimit(none[i], &l) == 0 && l.rlim_max == 0);
    HOLDS(getrlimit(RLIMIT_CPU, &l) == 0 && l.rlim_max <= (SANITIZED ? 60 : 6));
    if (!SANITIZED) {
        size_t most = RT_H5_CHILD_BYTES + ((size_t)1 << 20);
        HOLDS(mmap(NULL, most, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED);
        most = RT_H5_CHILD_BYTES - ((size_t)1 << 20);
        HOLDS(mmap(NULL, most, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED);
    }
    return 0;
}

static void isolation(void **state)
{
    (void)state;
    int plan[2];
    pid_t self = getpid();
    assert_int_equal(pipe(plan), 0);
    assert_int_equal(chmod(test_folder, 0777), 0);
    int more = open("/dev/null", O_RDWR);
    assert_true(more > 2 && dup2(more, 700) == 700);          /* one that was left open */
    pid_t pid = fork_isolated(plan[1]);
    if (pid == 0) {
        share->failed_check = check_isolated(self, test_folder);
        _exit(0);
    }
    int status = wait_for(pid);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    if (share->failed_check) fail_msg("line %d of check_isolated does not hold", share->failed_check);
    close(700);
    close(more);
    close(plan[0]);
    close(plan[1]);
}

/* ---- real scans ---- */

static rt_status scan(void)
{
    rt_h5_file *f;
    rt_status st = rt_h5_scan(&f, SAMPLE);
    if (!st) rt_h5_close(f);
    return st;
}

/* The child of a scan stands under the same filter, and what it does instead of reading is told apart. */
static void real_child(void **state)
{
    (void)state;
    check_ok(scan());
    if (!SANITIZED && share->filtered) {
        rt_h5_file *f;
        *task = CALL_GETPPID;
        check_ok(scan());
        assert_int_equal(share->seen, -EPERM);
        check_ok(rt_h5_scan(&f, SAMPLE));
        assert_int_equal(f->guard & RT_H5_GUARD_CALLS, RT_H5_GUARD_CALLS);
        rt_h5_close(f);
    }
    *task = DIE;
    check_ok(scan());                                         /* a second look is taken, at which nothing is wrong */
    *task = LEAVE;
    check_fails(scan(), RT_INPUT, "reading its metadata ended without a result");
    *task = LEAVE_WITH_ERROR;
    check_fails(scan(), RT_RUN, "No space left on device");
}

/* What was in memory when the reader was started it has, but for the environment; nothing of what came later. */
static void memory_of_the_caller(void **state)
{
    (void)state;
    char *early = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    setenv("RETORT_TEST_SECRET", "secret", 1);
    const char *secret = getenv("RETORT_TEST_SECRET");
    rt_h5_reader_stop();
    rt_h5_reader_start();
    char *late = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memset(late, 'x', 1 << 20);
    *place = late + 8000;
    *task = LOOK_AT;
    check_ok(scan());
    assert_int_equal(share->seen, -EFAULT);
    *place = early;
    *task = LOOK_AT;
    check_ok(scan());
    assert_int_equal(share->seen, 1);
    *place = secret;
    *task = LOOK_AT_TEXT;
    check_ok(scan());
    assert_int_equal(share->seen, 0);
    assert_string_equal(getenv("RETORT_TEST_SECRET"), "secret");
    munmap(early, 4096);
    munmap(late, 1 << 20);
}

/* Three gigabytes that this process has already when the reader is started: not the reader's own. */
static void large_caller(void **state)
{
    (void)state;
    size_t n = (size_t)3 << 30;
    rt_h5_reader_stop();
    char *p = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED) skip();
    check_ok(scan());
    rt_h5_reader_stop();
    munmap(p, n);
}

/* A file that needs more than a reader may have is at fault, while the machine has memory. */
static void greedy_file(void **state)
{
    (void)state;
    if (SANITIZED) skip();
    *task = EAT;
    rt_status st = scan();
    *task = NOTHING;
    check_fails(st, RT_INPUT, "takes over 256 MiB of memory");
    check_ok(scan());
}

static void *scan_in_thread(void *arg)
{
    *(rt_status *)arg = scan();
    char *text = malloc(1024);
    snprintf(text, 1024, "%s", rt_error_message());
    return text;
}

/* A process whose parent this is, or 0. */
static pid_t child_of(pid_t parent)
{
    DIR *d = opendir("/proc");
    pid_t found = 0;
    for (struct dirent *e; d && !found && (e = readdir(d));) {
        char path[300], line[300] = "";
        int pid, of;
        snprintf(path, sizeof path, "/proc/%s/stat", e->d_name);
        FILE *f = fopen(path, "r");
        if (!f) continue;
        if (fgets(line, sizeof line, f) && strrchr(line, ')') && sscanf(line, "%d", &pid) == 1 &&
            sscanf(strrchr(line, ')') + 1, " %*c %d", &of) == 1 && of == parent) found = pid;
        fclose(f);
    }
    if (d) closedir(d);
    return found;
}

/* Killed from outside, the child or the reader: the machine's fault, and the next scan goes well. */
static void killed_from_outside(void **state)
{
    (void)state;
    static const char *const message[2] = {"was killed; is there enough memory?",
                                           "starts readers of metadata was killed"};
    check_ok(scan());                                         /* the reader is started while there is one thread */
    for (int which = 0; which < 2; which++) {
        pthread_t thread;
        rt_status st;
        char *text;
        share->in_child = share->go_on = 0;
        *task = STAY;
        assert_int_equal(pthread_create(&thread, NULL, scan_in_thread, &st), 0);
        while (!share->in_child) usleep(1000);
        pid_t reader = child_of(getpid()), child = child_of(reader);
        assert_true(reader > 0 && child > 0);
        kill(which ? reader : child, SIGKILL);
        if (which) kill(child, SIGKILL);
        share->go_on = 1;
        pthread_join(thread, (void **)&text);
        if (st != RT_RUN || !strstr(text, message[which])) fail_msg("killed %d: status %d: %s", which, st, text);
        free(text);
        check_ok(scan());
    }
}

/* The reader killed with a request that it had not read, or while nothing was asked: said, and the next has another. */
static void killed_unseen(void **state)
{
    (void)state;
    pthread_t thread;
    rt_status st;
    char *text;
    check_ok(scan());
    pid_t reader = child_of(getpid());
    assert_true(reader > 0);
    kill(reader, SIGSTOP);
    assert_int_equal(pthread_create(&thread, NULL, scan_in_thread, &st), 0);
    usleep(100000);                                           /* for the request to be sent */
    kill(reader, SIGKILL);
    pthread_join(thread, (void **)&text);
    if (st != RT_RUN || !strstr(text, "was killed")) fail_msg("status %d: %s", st, text);
    free(text);
    check_ok(scan());
    reader = child_of(getpid());
    assert_true(reader > 0 && kill(reader, SIGKILL) == 0);
    siginfo_t dead;
    assert_int_equal(waitid(P_PID, (id_t)reader, &dead, WEXITED | WNOWAIT), 0);
    check_fails(scan(), RT_RUN, "was killed");                /* between two scans */
    check_ok(scan());
}

/* No descriptor left: said, and no file is called damaged. */
static void no_descriptors(void **state)
{
    (void)state;
    struct rlimit before, few;
    check_ok(scan());
    getrlimit(RLIMIT_NOFILE, &before);
    int next = dup(0), worked = 0;
    close(next);
    for (int more = 0; more < 8; more++) {
        few = (struct rlimit){(rlim_t)(next + more), before.rlim_max};
        setrlimit(RLIMIT_NOFILE, &few);
        rt_status st = scan();
        setrlimit(RLIMIT_NOFILE, &before);
        worked += st == RT_OK;
        if (st) check_fails(st, RT_RUN, "Too many open files");
    }
    assert_true(worked >= 1 && worked < 8);
}

/* ---- plans ---- */

typedef struct { unsigned char *bytes; size_t n, room; } message;

static void put(message *m, const void *p, size_t n)
{
    if (m->n + n > m->room) m->bytes = realloc(m->bytes, m->room = 2 * (m->n + n));
    memcpy(m->bytes + m->n, p, n);
    m->n += n;
}

static void put_kind(message *m, int32_t kind) { put(m, &kind, sizeof kind); }

static message begin(void)
{
    message m = {0};
    put_kind(&m, RT_H5_GUARD);
    put_kind(&m, 7);
    return m;
}

static void put_end(message *m)
{
    rt_h5_end e = {.outcome = RT_H5_DONE};
    put_kind(m, RT_H5_END);
    put(m, &e, sizeof e);
}

/* Takes m for what the child of a file of this size sent; f is to be closed where it went well. */
static rt_status believe(message *m, uint64_t size, rt_h5_file **f)
{
    char path[128];
    snprintf(path, sizeof path, "%s/plan", test_folder);
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
    assert_int_equal(write(fd, m->bytes, m->n), m->n);
    lseek(fd, 0, SEEK_SET);
    *f = calloc(1, sizeof **f);
    **f = (rt_h5_file){.fd = -1, .size = size, .users = 1};
    snprintf((*f)->path, sizeof (*f)->path, "forged.h5");
    rt_h5_plan p = {.pipe = fd, .stored = size};
    clock_gettime(CLOCK_MONOTONIC, &p.start);
    rt_status st = rt_h5_take_plan(*f, &p);
    close(fd);
    free(m->bytes);
    if (st) {
        rt_h5_close(*f);
        *f = NULL;
    }
    return st;
}

static rt_h5_record plain(void)
{
    rt_h5_record r = {.set = {.name = "x", .type = RT_F32, .element = 4, .rank = 2, .dim = {10, 2}, .offset = 100}};
    return r;
}

static rt_status believe_set(const rt_h5_record *r, uint64_t size, rt_h5_file **f)
{
    message m = begin();
    put_kind(&m, RT_H5_SET);
    put(&m, r, sizeof *r);
    put_end(&m);
    return believe(&m, size, f);
}

/* What no child of ours sends ends the scan; what only cannot be true of the file refuses the set. */
static void forged_plans(void **state)
{
    (void)state;
    rt_h5_file *f;
    rt_h5_record r = plain();
    check_ok(believe_set(&r, 180, &f));
    assert_int_equal(f->guard, 7);
    assert_string_equal(f->set[0].refused, "");
    rt_h5_close(f);
    static const struct { int which; uint64_t value; const char *refused; } k[] = {
        {0, 179, "outside the file"}, {1, UINT64_MAX - 20, "outside the file"}, {2, (uint64_t)1 << 60, "impossible"},
        {2, UINT64_MAX, "impossible"}, {3, 8, "impossible"}, {4, RT_H5_RANK + 1, NULL}, {4, (uint64_t)-1, NULL},
        {5, RT_DATA_TYPES, NULL}, {6, RT_H5_FILTERS + 1, NULL}, {7, RT_H5_MAX_COMPACT + 1, NULL}, {8, 5, NULL},
        {9, RT_H5_MAX_CHUNKS + 1, NULL}, {6, 2, "filter that is not supported"},
    };
    for (size_t i = 0; i < sizeof k / sizeof k[0]; i++) {
        uint64_t size = 180;
        r = plain();
        switch (k[i].which) {
        case 0: size = k[i].value; break;
        case 1: r.set.offset = k[i].value; break;
        case 2: r.set.dim[0] = k[i].value; break;
        case 3: r.set.element = (uint32_t)k[i].value; break;
        case 4: r.set.rank = (int)k[i].value; break;
        case 5: r.set.type = (rt_dtype)k[i].value; break;
        case 6: r.set.filters = (int)k[i].value; break;
        case 7: r.compact = (uint32_t)k[i].value; break;
        case 8: r.set.chunks = k[i].value; break;
        case 9: r.set.chunked = 1, r.set.chunks = k[i].value; break;
        }
        if (!k[i].refused) {
            check_fails(believe_set(&r, size, &f), RT_INPUT, "hostile");
            continue;
        }
        check_ok(believe_set(&r, size, &f));
        if (!strstr(f->set[0].refused, k[i].refused)) fail_msg("forgery %zu: '%s'", i, f->set[0].refused);
        rt_h5_close(f);
    }
}

/* Nothing of a plan is kept beyond its budget, and a plan that breaks off is none. */
static void forged_lengths(void **state)
{
    (void)state;
    rt_h5_file *f;
    rt_h5_record r = plain();
    message m = begin();
    put_kind(&m, 99);
    check_fails(believe(&m, 180, &f), RT_INPUT, "hostile");
    m = (message){0};
    put_kind(&m, RT_H5_END);
    check_fails(believe(&m, 180, &f), RT_INPUT, "hostile");
    m = begin();
    put_kind(&m, RT_H5_SET);
    put(&m, &r, sizeof r - 1);
    assert_int_equal(believe(&m, 180, &f), RT_NOTHING);
    /* 4.2 million chunks of 16 bytes are the 64 MiB that any file may have; one more is believed of a larger file only.
     */
    r.set.chunked = 1;
    r.set.rank = 1;
    r.set.chunk_dim[0] = 1;
    r.set.dim[0] = r.set.chunks = (4 << 20) + 1;
    m = begin();
    put_kind(&m, RT_H5_SET);
    put(&m, &r, sizeof r);
    check_fails(believe(&m, 15, &f), RT_INPUT, "hostile");
    m = begin();
    put_kind(&m, RT_H5_SET);
    put(&m, &r, sizeof r);
    assert_int_equal(believe(&m, 16, &f), RT_NOTHING);
    /* Sets without end. */
    r = plain();
    snprintf(r.set.refused, sizeof r.set.refused, "no");
    m = begin();
    for (int i = 0; i <= RT_H5_MAX_SETS; i++) {
        put_kind(&m, RT_H5_SET);
        put(&m, &r, sizeof r);
    }
    check_fails(believe(&m, 180, &f), RT_INPUT, "hostile");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_call),
                                       cmocka_unit_test(arguments),
                                       cmocka_unit_test(isolation),
                                       cmocka_unit_test(real_child),
                                       cmocka_unit_test(memory_of_the_caller),
                                       cmocka_unit_test(large_caller),
                                       cmocka_unit_test(greedy_file),
                                       cmocka_unit_test(killed_from_outside),
                                       cmocka_unit_test(killed_unseen),
                                       cmocka_unit_test(no_descriptors),
                                       cmocka_unit_test(forged_plans),
                                       cmocka_unit_test(forged_lengths)};
    return cmocka_run_group_tests(tests, set_up, remove_test_folder);
}
