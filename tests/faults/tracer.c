#include "tracer.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { CHANGES = 1 << 12, CREATES = 1 << 13, MOVES = 1 << 14 };    /* changes the disk; if it creates; moves bytes */
enum { DISK = MAY_ENOSPC | MAY_EIO, READS = MAY_EIO | MAY_EINTR | MAY_ENOMEM | MAY_SHORT | MOVES,
       WRITES = DISK | MAY_EINTR | MAY_ENOMEM | MAY_SHORT | MOVES | CHANGES };

static const struct { int nr; traced_call is; } table[] = {
    {SYS_open, {"open", DISK | MAY_EINTR | MAY_ENOMEM | MAY_EMFILE | CREATES}},
    {SYS_openat, {"openat", DISK | MAY_EINTR | MAY_ENOMEM | MAY_EMFILE | CREATES}},
    {SYS_creat, {"creat", DISK | MAY_EINTR | MAY_EMFILE | CHANGES}},
    {SYS_read, {"read", READS}},
    {SYS_pread64, {"pread64", READS}},
    {SYS_readv, {"readv", READS & ~(MAY_SHORT | MOVES)}},
    {SYS_write, {"write", WRITES}},
    {SYS_pwrite64, {"pwrite64", WRITES}},
    {SYS_writev, {"writev", (WRITES & ~(MAY_SHORT | MOVES))}},
    {SYS_fsync, {"fsync", DISK | MAY_EINTR | CHANGES}},
    {SYS_fdatasync, {"fdatasync", DISK | MAY_EINTR | CHANGES}},
    {SYS_sync_file_range, {"sync_file_range", DISK | CHANGES}},
    {SYS_rename, {"rename", DISK | MAY_ENOMEM | CHANGES}},
    {SYS_renameat, {"renameat", DISK | MAY_ENOMEM | CHANGES}},
    {SYS_renameat2, {"renameat2", DISK | MAY_ENOMEM | CHANGES}},
    {SYS_link, {"link", DISK | MAY_ENOMEM | CHANGES}},
    {SYS_linkat, {"linkat", DISK | MAY_ENOMEM | CHANGES}},
    {SYS_symlink, {"symlink", DISK | CHANGES}},
    {SYS_unlink, {"unlink", MAY_EIO | MAY_ENOMEM | CHANGES}},
    {SYS_unlinkat, {"unlinkat", MAY_EIO | MAY_ENOMEM | CHANGES}},
    {SYS_rmdir, {"rmdir", MAY_EIO | CHANGES}},
    {SYS_mkdir, {"mkdir", DISK | MAY_ENOMEM | CHANGES}},
    {SYS_mkdirat, {"mkdirat", DISK | MAY_ENOMEM | CHANGES}},
    {SYS_truncate, {"truncate", DISK | MAY_EINTR | CHANGES}},
    {SYS_ftruncate, {"ftruncate", DISK | MAY_EINTR | CHANGES}},
    {SYS_fallocate, {"fallocate", DISK | MAY_EINTR | CHANGES}},
    {SYS_fchmod, {"fchmod", MAY_EIO | CHANGES}},
    {SYS_flock, {"flock", MAY_EINTR | MAY_ENOLCK | CHANGES}},
    {SYS_fcntl, {"fcntl", MAY_EINTR | MAY_ENOLCK}},
    {SYS_close, {"close", MAY_EIO | MAY_EINTR}},
    {SYS_stat, {"stat", MAY_EIO | MAY_ENOMEM}},
    {SYS_lstat, {"lstat", MAY_EIO | MAY_ENOMEM}},
    {SYS_fstat, {"fstat", MAY_EIO | MAY_ENOMEM}},
    {SYS_newfstatat, {"newfstatat", MAY_EIO | MAY_ENOMEM}},
    {SYS_statx, {"statx", MAY_EIO | MAY_ENOMEM}},
    {SYS_statfs, {"statfs", MAY_EIO | MAY_EINTR}},
    {SYS_fstatfs, {"fstatfs", MAY_EIO | MAY_EINTR}},
    {SYS_access, {"access", MAY_EIO | MAY_ENOMEM}},
    {SYS_readlink, {"readlink", MAY_EIO | MAY_ENOMEM}},
    {SYS_lseek, {"lseek", MAY_EIO}},
    {SYS_getdents64, {"getdents64", MAY_EIO | MAY_ENOMEM}},
    {SYS_getcwd, {"getcwd", MAY_ENOMEM}},
    {SYS_mmap, {"mmap", MAY_ENOMEM}},
    {SYS_mprotect, {"mprotect", MAY_ENOMEM}},
    {SYS_mremap, {"mremap", MAY_ENOMEM}},
    {SYS_madvise, {"madvise", MAY_ENOMEM}},
    {SYS_clone, {"clone", MAY_EAGAIN | MAY_ENOMEM}},
    {SYS_clone3, {"clone3", MAY_EAGAIN | MAY_ENOMEM}},
    {SYS_fork, {"fork", MAY_EAGAIN | MAY_ENOMEM}},
    {SYS_vfork, {"vfork", MAY_EAGAIN | MAY_ENOMEM}},
    {SYS_execve, {"execve", MAY_EIO | MAY_ENOMEM}},
    {SYS_pipe2, {"pipe2", MAY_EMFILE}},
    {SYS_socketpair, {"socketpair", MAY_EMFILE}},
    {SYS_memfd_create, {"memfd_create", MAY_EMFILE | MAY_ENOMEM}},
    {SYS_wait4, {"wait4", MAY_EINTR}},
    {SYS_poll, {"poll", MAY_EINTR | MAY_ENOMEM}},
    {SYS_getrandom, {"getrandom", MAY_EINTR}},
    {SYS_prlimit64, {"prlimit64", MAY_EPERM}},
    {SYS_dup, {"dup", MAY_EMFILE}},
};
enum { CALLS = sizeof table / sizeof table[0], PROCESSES = 256 };
_Static_assert((int)CALLS <= (int)FAULT_CALLS, "outcome has no room");

const traced_call *tracer_call(int i) { return i < CALLS ? &table[i].is : NULL; }

#if defined(__x86_64__)

typedef struct { pid_t tid; int first, started, leaving; unsigned long entry; long code; } tracee;

typedef struct {
    tracee at[PROCESSES];
    int n, ended;
    pid_t root;
    const plan *plan;
    outcome *o;
} trace;

static volatile sig_atomic_t alarmed;
static void on_alarm(int sig) { (void)sig, alarmed = 1; }

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* ---- the program's side ---- */

static int wanted(const plan *p, int i)
{
    if (p->kind == PLAN_FAIL) return i == p->call;
    if (p->kind == PLAN_KILL) return table[i].is.faults & (CHANGES | CREATES);
    return p->kind != PLAN_NONE;
}

static void filter(const plan *p)
{
    struct sock_filter f[2 * CALLS + 8];
    unsigned short n = 0;
    f[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch));
    f[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 1, 0);
    f[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    f[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
    for (int i = 0; i < CALLS; i++) {
        if (!wanted(p, i)) continue;
        f[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)table[i].nr, 0, 1);
        f[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRACE | (unsigned)i);
    }
    f[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    struct sock_fprog program = {n, f};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program)) _exit(126);
}

static void redirect(const char *path, int to, int flags)
{
    int fd = open(path, flags, 0666);
    if (fd < 0 || dup2(fd, to) < 0) _exit(126);
    if (fd != to) close(fd);
}

_Noreturn static void become(int go, const program *p, const plan *q)
{
    char c;
    redirect("/dev/null", 0, O_RDONLY);
    redirect(p->out, 1, O_WRONLY | O_CREAT | O_TRUNC);
    redirect(p->err, 2, O_WRONLY | O_CREAT | O_TRUNC);
    setenv("LD_PRELOAD", p->preload, 1);
    setenv("FAULTS_PRELOAD", p->preload_plan, 1);
    if (read(go, &c, 1) != 1 || chdir(p->folder)) _exit(126);
    close(go);
    filter(q);
    execv(p->argv[0], p->argv);
    _exit(126);
}

/* ---- the tracer's side ---- */

static tracee *find(trace *t, pid_t tid)
{
    for (int i = 0; i < t->n; i++) if (t->at[i].tid == tid) return &t->at[i];
    return NULL;
}

static tracee *add(trace *t, pid_t tid)
{
    if (t->n == PROCESSES) return NULL;
    t->at[t->n] = (tracee){.tid = tid, .started = 1};
    return &t->at[t->n++];
}

static void drop(trace *t, pid_t tid)
{
    tracee *p = find(t, tid);
    if (p) *p = t->at[--t->n];
}

/* A new program: its calls count from its entry point on, where a breakpoint waits. */
static void at_exec(tracee *p)
{
    char path[64];
    unsigned long pair[2];
    snprintf(path, sizeof path, "/proc/%d/auxv", (int)p->tid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    p->entry = 0;
    while (fd >= 0 && read(fd, pair, sizeof pair) == (ssize_t)sizeof pair && pair[0] != AT_NULL)
        if (pair[0] == AT_ENTRY) p->entry = pair[1];
    if (fd >= 0) close(fd);
    if (!p->entry) return;
    errno = 0;
    p->code = ptrace(PTRACE_PEEKTEXT, p->tid, p->entry, NULL);
    if (errno) return;
    ptrace(PTRACE_POKETEXT, p->tid, p->entry, (p->code & ~0xffL) | 0xcc);
    p->started = 0;
}

static int at_entry(tracee *p)
{
    struct user_regs_struct r;
    if (p->started || ptrace(PTRACE_GETREGS, p->tid, NULL, &r) || r.rip != p->entry + 1) return 0;
    ptrace(PTRACE_POKETEXT, p->tid, p->entry, p->code);
    r.rip = p->entry;
    ptrace(PTRACE_SETREGS, p->tid, NULL, &r);
    p->started = 1;
    return 1;
}

static int changes(int i, const struct user_regs_struct *r)
{
    int flags = (int)(table[i].nr == SYS_open ? r->rsi : r->rdx);
    if (table[i].is.faults & CREATES) return (flags & (O_CREAT | O_TRUNC)) || (flags & O_TMPFILE) == O_TMPFILE;
    if ((table[i].is.faults & MOVES) && (r->rdi == 1 || r->rdi == 2)) return 0;      /* the output is not the disk */
    return table[i].is.faults & CHANGES;
}

static void fire(trace *t, int i)
{
    if (!t->o->fired++) t->o->fired_call = i;
}

static void fail(trace *t, tracee *p, int i, struct user_regs_struct *r)
{
    const plan *q = t->plan;
    if (q->error == FAULT_SHORT) {
        if (r->rdx < 2) return;
        r->rdx = (r->rdx + 1) / 2;
    } else if (table[i].nr == SYS_close) p->leaving = q->error;       /* a file is closed, whatever close says */
    else {
        r->orig_rax = (unsigned long)-1;
        r->rax = (unsigned long)-q->error;
    }
    fire(t, i);
    ptrace(PTRACE_SETREGS, p->tid, NULL, r);
}

static void at_call(trace *t, tracee *p)
{
    unsigned long i;
    struct user_regs_struct r;
    const plan *q = t->plan;
    outcome *o = t->o;
    if (!p->started || ptrace(PTRACE_GETEVENTMSG, p->tid, NULL, &i) || i >= CALLS) return;
    if (ptrace(PTRACE_GETREGS, p->tid, NULL, &r)) return;
    if ((table[i].is.faults & MOVES) && r.rdi == 2) return;            /* messages must be seen */
    o->all++;
    o->count[i]++;
    int change = p->first && changes((int)i, &r);
    o->changes += change;
    if (q->kind == PLAN_KILL && change && o->changes == q->nth) {
        fire(t, (int)i);
        kill(t->root, SIGKILL);
    } else if (q->kind == PLAN_SIGNAL && o->all == q->nth) {
        fire(t, (int)i);
        kill(t->root, q->error);
    } else if (q->kind == PLAN_CUT && o->all == q->nth) {
        struct stat s;
        if (!stat(q->file, &s) && !truncate(q->file, s.st_size / 2)) fire(t, (int)i);
    } else if (q->kind == PLAN_FAIL && (int)i == q->call && o->count[i] >= q->nth && o->count[i] - q->nth < q->burst)
        fail(t, p, (int)i, &r);
}

/* On the way back from a call that was let through: its result becomes an error. */
static void at_return(tracee *p)
{
    struct user_regs_struct r;
    if (!ptrace(PTRACE_GETREGS, p->tid, NULL, &r)) {
        r.rax = (unsigned long)-p->leaving;
        ptrace(PTRACE_SETREGS, p->tid, NULL, &r);
    }
    p->leaving = 0;
}

static void stopped(trace *t, pid_t tid, int status)
{
    int event = status >> 16, deliver = 0;
    tracee *p = find(t, tid);
    if (!p) p = add(t, tid);
    if (!p) kill(tid, SIGKILL);
    else if (event == PTRACE_EVENT_SECCOMP) at_call(t, p);
    else if (event == PTRACE_EVENT_EXEC) at_exec(p);
    else if (event == PTRACE_EVENT_CLONE) {                            /* a thread counts as its process */
        unsigned long child;
        if (!ptrace(PTRACE_GETEVENTMSG, tid, NULL, &child)) {
            tracee *c = find(t, (pid_t)child);
            int first = p->first;
            if (!c) c = add(t, (pid_t)child);
            if (c) c->first = first;
        }
    } else if (!event) {
        deliver = WSTOPSIG(status);
        if (deliver == SIGTRAP && at_entry(p)) deliver = 0;
        if (deliver == (SIGTRAP | 0x80)) {
            at_return(p);
            deliver = 0;
        }
    }
    ptrace(p && p->leaving ? PTRACE_SYSCALL : PTRACE_CONT, tid, NULL, deliver);
}

static void end_all(trace *t)
{
    for (int i = 0; i < t->n; i++) kill(t->at[i].tid, SIGKILL);
}

static void follow(trace *t, double deadline)
{
    double start = now(), end = start + deadline;
    while (t->n) {
        int status;
        pid_t tid = waitpid(-1, &status, __WALL);
        if (tid < 0 && errno == EINTR) {
            if (now() <= end) continue;
            if (t->ended) t->o->orphans += t->n;
            else t->o->hung = 1;
            end_all(t);
            end = now() + 60;
        } else if (tid < 0) break;
        else if (WIFSTOPPED(status)) stopped(t, tid, status);
        else {
            drop(t, tid);
            if (tid != t->root) continue;
            t->ended = 1;
            t->o->seconds = now() - start;
            t->o->code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
            t->o->signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
            end = now() + 2;
        }
    }
}

int tracer_run(const program *run, const plan *p, outcome *o)
{
    static trace t;
    int go[2];
    struct sigaction action = {.sa_handler = on_alarm};
    struct sigevent tick = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGALRM};
    struct itimerspec each = {{0, 200000000}, {0, 200000000}};
    timer_t timer;
    *o = (outcome){.code = -1};
    t = (trace){.plan = p, .o = o};
    if (pipe2(go, O_CLOEXEC)) return -1;
    fflush(NULL);
    t.root = fork();
    if (t.root == 0) become(go[0], run, p);
    close(go[0]);
    long options = PTRACE_O_EXITKILL | PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACESECCOMP | PTRACE_O_TRACEEXEC |
                   PTRACE_O_TRACECLONE | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK;
    if (t.root < 0 || ptrace(PTRACE_SEIZE, t.root, NULL, options)) {
        close(go[1]);
        if (t.root > 0) waitpid(t.root, NULL, 0);
        return -1;
    }
    tracee *first = add(&t, t.root);
    first->first = 1;
    first->started = 0;
    sigaction(SIGALRM, &action, NULL);
    if (timer_create(CLOCK_MONOTONIC, &tick, &timer) || timer_settime(timer, 0, &each, NULL)) return -1;
    ssize_t wrote = write(go[1], "g", 1);
    close(go[1]);
    follow(&t, wrote == 1 ? run->deadline : 0);
    timer_delete(timer);
    return o->code == 126 ? -1 : 0;
}

#else

int tracer_run(const program *run, const plan *p, outcome *o)
{
    (void)run, (void)p;
    *o = (outcome){.code = -1};
    return -1;
}
#endif
