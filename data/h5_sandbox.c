/* data/h5_sandbox.c - what the process that reads metadata gives up before it sees a byte of the file. */
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <math.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
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

#ifdef RETORT_SANITIZE
enum { SLOWER = 10 };
#else
enum { SLOWER = 1 };
#endif

#define DENY(nr) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (nr), 0, 1), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM)

/* What a reader of one open file never needs: the library opens nothing, its driver has the descriptor. */
static void deny_calls(void)
{
#if defined(RT_AUDIT_ARCH)
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, RT_AUDIT_ARCH, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        DENY(__NR_execve), DENY(__NR_execveat), DENY(__NR_socket), DENY(__NR_connect), DENY(__NR_bind),
        DENY(__NR_clone), DENY(__NR_clone3), DENY(__NR_ptrace), DENY(__NR_unlinkat), DENY(__NR_renameat2),
        DENY(__NR_linkat),
        DENY(__NR_symlinkat), DENY(__NR_truncate), DENY(__NR_ftruncate), DENY(__NR_mkdirat), DENY(__NR_mknodat),
        DENY(__NR_fchmodat), DENY(__NR_mount), DENY(__NR_process_vm_writev), DENY(__NR_kill), DENY(__NR_tkill),
        DENY(__NR_pwrite64), DENY(__NR_openat), DENY(__NR_openat2),
#if defined(__x86_64__)
        DENY(__NR_fork), DENY(__NR_vfork), DENY(__NR_unlink), DENY(__NR_rename), DENY(__NR_mkdir), DENY(__NR_creat),
        DENY(__NR_link), DENY(__NR_symlink), DENY(__NR_chmod), DENY(__NR_open),
#endif
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {(unsigned short)(sizeof filter / sizeof filter[0]), filter};
    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
#endif
}

static void limit(int what, rlim_t now, rlim_t most)
{
    struct rlimit r, inherited;
    if (getrlimit(what, &inherited)) return;
    if (most > inherited.rlim_max) most = inherited.rlim_max;
    r = (struct rlimit){now < most ? now : most, most};
    setrlimit(what, &r);
}

#ifndef RETORT_SANITIZE
/* Private writable memory that the process has at birth: what it inherited, the stacks of other threads included. */
static int inherited_bytes(rlim_t *bytes)
{
    unsigned long long data;
    FILE *f = fopen("/proc/self/statm", "re");
    if (!f) return errno ? errno : ENOENT;
    int read = fscanf(f, "%*u %*u %*u %*u %*u %llu", &data);
    fclose(f);
    *bytes = read == 1 ? (rlim_t)data * (rlim_t)sysconf(_SC_PAGESIZE) : 0;
    return read == 1 ? 0 : EIO;
}
#endif

void rt_h5_limit_cpu(double seconds)
{
    limit(RLIMIT_CPU, (rlim_t)ceil(seconds * SLOWER), 3600);
}

int rt_h5_lock_down(void)
{
    static const int fatal[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGXCPU, SIGXFSZ};
    static const int ignored[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};   /* the parent answers these */
    static const char *const unset[] = {"HDF5_PLUGIN_PATH", "HDF5_PLUGIN_PRELOAD", "HDF5_VOL_CONNECTOR", "HDF5_DRIVER",
                                        "HDF5_DRIVER_CONFIG", "HDF5_EXT_PREFIX", "HDF5_EXTFILE_PREFIX", "HDF5_VDS_PREFIX"};
    for (size_t i = 0; i < sizeof fatal / sizeof fatal[0]; i++) signal(fatal[i], SIG_DFL);
    for (size_t i = 0; i < sizeof ignored / sizeof ignored[0]; i++) signal(ignored[i], SIG_IGN);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    limit(RLIMIT_CORE, 0, 0);
    limit(RLIMIT_FSIZE, 0, 0);
    rt_h5_limit_cpu(RT_H5_CPU_SECONDS);
#ifndef RETORT_SANITIZE                              /* shadow memory takes more */
    rlim_t inherited = 0;
    int error = inherited_bytes(&inherited);
    if (error) return error;
    limit(RLIMIT_DATA, inherited + ((rlim_t)2 << 30), inherited + ((rlim_t)2 << 30));
#endif
    for (size_t i = 0; i < sizeof unset / sizeof unset[0]; i++) unsetenv(unset[i]);
    setenv("HDF5_USE_FILE_LOCKING", "FALSE", 1);
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    deny_calls();
    return 0;
}
