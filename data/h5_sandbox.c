/* data/h5_sandbox.c - what the process that reads metadata gives up before it sees a byte of the file. */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <math.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "data/h5_plan.h"

#if defined(__x86_64__)
#define RT_AUDIT_ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define RT_AUDIT_ARCH AUDIT_ARCH_AARCH64
#endif

#ifdef RETORT_SANITIZE                               /* its run time reports on standard error, and takes more of all */
enum { SLOWER = 10, DESCRIPTORS = 3 };
#else
enum { SLOWER = 1, DESCRIPTORS = 2 };
#endif

enum { NOBODY = 65534, STACK_BYTES = 16 << 20 };

/* ---- system calls ---- */

#define LOAD(field) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))
#define ARGUMENT(i) LOAD(args[i])                     /* its lower half: both machines are little-endian */
#define RETURN(what) BPF_STMT(BPF_RET | BPF_K, what)
#define DENY RETURN(SECCOMP_RET_ERRNO | EPERM)
#define ALLOW(call) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_##call, 0, 1), RETURN(SECCOMP_RET_ALLOW)
/* Allowed when this test of the argument holds. */
#define ALLOW_IF(call, argument, test, value) \
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_##call, 0, 4), ARGUMENT(argument), \
    BPF_JUMP(BPF_JMP | (test) | BPF_K, value, 0, 1), RETURN(SECCOMP_RET_ALLOW), DENY
#define ALLOW_UNLESS(call, argument, test, value) \
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_##call, 0, 4), ARGUMENT(argument), \
    BPF_JUMP(BPF_JMP | (test) | BPF_K, value, 1, 0), RETURN(SECCOMP_RET_ALLOW), DENY

/* Whoever changes this list changes that in tests/data/test_h5_sandbox.c and in README.md. No call opens anything,
 * reaches another process, or signals. What is not in it fails and does nothing; it does not end the process, for C
 * libraries make calls by the way that differ with their version (of the time zone; of the machine's memory, to sort)
 * and go on without. A call of another machine's numbers can only be an attack. */
int rt_h5_filter_calls(void)
{
#if defined(RT_AUDIT_ARCH)
    struct sock_filter filter[] = {
        LOAD(arch),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, RT_AUDIT_ARCH, 1, 0),
        RETURN(SECCOMP_RET_KILL_PROCESS),
        LOAD(nr),
        BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, 0x40000000, 0, 1),            /* x32 */
        RETURN(SECCOMP_RET_KILL_PROCESS),
        ALLOW(pread64),                               /* of the one file that is open */
#ifdef RETORT_SANITIZE
        ALLOW(sigaltstack), ALLOW(madvise), ALLOW(sched_yield), ALLOW(clock_gettime), ALLOW(getpid), ALLOW(gettid),
#endif
        ALLOW(munmap), ALLOW(mremap), ALLOW(brk), ALLOW(exit), ALLOW(exit_group),
        ALLOW_IF(write, 0, DESCRIPTORS == 2 ? BPF_JEQ : BPF_JGE, RT_H5_PLAN_FD),
        ALLOW_UNLESS(mprotect, 2, BPF_JSET, PROT_EXEC),
        /* Anonymous and never executable. */
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_mmap, 0, 6),
        ARGUMENT(2), BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, PROT_EXEC, 3, 0),
        ARGUMENT(3), BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, MAP_ANONYMOUS, 0, 1),
        RETURN(SECCOMP_RET_ALLOW), DENY,
        /* To wait and to wake, for locks of the C library. */
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_futex, 0, 4),
        ARGUMENT(1), BPF_STMT(BPF_ALU | BPF_AND | BPF_K, 0x7f),
        BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, 1, 1, 0), RETURN(SECCOMP_RET_ALLOW),
        DENY,
    };
    struct sock_fprog program = {(unsigned short)(sizeof filter / sizeof filter[0]), filter};
    return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
#else
    return 0;
#endif
}

/* ---- files ---- */

void rt_h5_close_from(int first)
{
#ifndef SYS_close_range
#define SYS_close_range 436
#endif
    if (syscall(SYS_close_range, (unsigned)first, ~0u, 0) == 0) return;
    struct rlimit r = {0};
    if (getrlimit(RLIMIT_NOFILE, &r) || r.rlim_max > 1 << 20) r.rlim_max = 1 << 20;
    for (int fd = first; fd < (int)r.rlim_max; fd++) close(fd);
}

/* Landlock, with no rule: no path can be opened, made or removed, no TCP port used, no process outside signalled. The
 * kernel says which of it it knows. */
static int deny_files(void)
{
    enum { CREATE_RULESET = 444, RESTRICT_SELF = 446, ONLY_VERSION = 1 };
    struct { uint64_t files, net, scoped; } handled = {0};
    long version = syscall(CREATE_RULESET, NULL, (size_t)0, ONLY_VERSION);
    if (version < 1) return 0;
    handled.files = version == 1 ? 0x1fff : version == 2 ? 0x3fff : version < 5 ? 0x7fff : 0xffff;
    if (version >= 4) handled.net = 3;
    if (version >= 6) handled.scoped = 3;
    long rules = syscall(CREATE_RULESET, &handled, sizeof handled, 0);
    if (rules < 0) return 0;
    int done = syscall(RESTRICT_SELF, (int)rules, 0) == 0;
    close((int)rules);
    return done;
}

/* ---- resources ---- */

static void limit(int what, rlim_t now, rlim_t most)
{
    struct rlimit r, inherited;
    if (getrlimit(what, &inherited)) return;
    if (most > inherited.rlim_max) most = inherited.rlim_max;
    r = (struct rlimit){now < most ? now : most, most};
    setrlimit(what, &r);
}

#ifndef RETORT_SANITIZE
/* How much private memory this process has, as RLIMIT_DATA counts it: the least limit under which a page more is given.
 * Asked of the kernel, for /proc may be missing. */
static rlim_t present_bytes(void)
{
    struct rlimit before, r;
    if (getrlimit(RLIMIT_DATA, &before)) return 0;
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    rlim_t low = 0, high = (rlim_t)1 << 47;
    if (high > before.rlim_max) high = before.rlim_max;
    while (high - low > page) {
        rlim_t middle = low + (high - low) / 2;
        r = (struct rlimit){middle, before.rlim_max};
        void *p = setrlimit(RLIMIT_DATA, &r) ? MAP_FAILED : mmap(NULL, page, PROT_READ | PROT_WRITE,
                                                                 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (p == MAP_FAILED) low = middle;
        else {
            munmap(p, page);
            high = middle;
        }
    }
    setrlimit(RLIMIT_DATA, &before);
    return high;
}
#endif

/* Shared memory counts against no limit of a process but that of its addresses, so this asks the machine. */
int rt_h5_memory_for(size_t n)
{
    void *p = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return p != MAP_FAILED && munmap(p, n) == 0;
}

static void limit_resources(const rt_h5_request *r)
{
    static const int none[] = {RLIMIT_CORE, RLIMIT_FSIZE, RLIMIT_NOFILE, RLIMIT_NPROC, RLIMIT_MEMLOCK, RLIMIT_MSGQUEUE};
    rlim_t seconds = (rlim_t)ceil(rt_h5_cpu_budget(r)) * SLOWER;
    for (size_t i = 0; i < sizeof none / sizeof none[0]; i++) limit(none[i], 0, 0);
    limit(RLIMIT_CPU, seconds, seconds + 1);
    limit(RLIMIT_STACK, STACK_BYTES * SLOWER, STACK_BYTES * SLOWER);
#ifndef RETORT_SANITIZE
    rlim_t bytes = present_bytes() + rt_h5_memory_budget(r);
    limit(RLIMIT_DATA, bytes, bytes);
#endif
}

/* ---- identity ---- */

/* Root becomes nobody, and capabilities go, whoever has them. 1 when no privilege is left. A user namespace may lack
 * the number: the capabilities are gone all the same. */
static int drop_identity(void)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct none[2] = {{0}};
    uid_t r, e, s;
    gid_t rg, eg, sg;
    if (geteuid() == 0) {
        if (setgroups(0, NULL) || setresgid(NOBODY, NOBODY, NOBODY) || setresuid(NOBODY, NOBODY, NOBODY))
            errno = 0;                                /* looked at below */
    }
    int bare = syscall(SYS_capset, &header, none) == 0;
    return bare && getresuid(&r, &e, &s) == 0 && r && e && s && getresgid(&rg, &eg, &sg) == 0 && rg && eg && sg;
}

int rt_h5_isolate(int file, int plan, const rt_h5_request *r, int *guard)
{
    static const int fatal[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGSYS, SIGXCPU, SIGXFSZ};
    sigset_t none;
    *guard = 0;
    for (size_t i = 0; i < sizeof fatal / sizeof fatal[0]; i++) signal(fatal[i], SIG_DFL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    plan = fcntl(plan, F_DUPFD, DESCRIPTORS);
    if (plan < 0 || dup2(file, RT_H5_FILE_FD) < 0 || dup2(plan, RT_H5_PLAN_FD) < 0) return errno;
    rt_h5_close_from(DESCRIPTORS);
    personality(PER_LINUX);                           /* else what may be read might be executed */
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)) return errno;
    if (deny_files()) *guard |= RT_H5_GUARD_FILES;
    limit_resources(r);
    if (drop_identity()) *guard |= RT_H5_GUARD_USER;
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    return 0;
}
