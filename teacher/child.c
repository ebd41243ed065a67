#include "teacher/child.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "engine/clock.h"
#include "engine/text.h"

#ifndef SYS_close_range
#define SYS_close_range 436
#endif

enum { CLOSE_ON_EXEC = 4, PIPE_BYTES = 1 << 20, LOOK_MS = 100, PATIENCE_MS = 1000, KILL_MS = 5 };

/* ---- start ---- */

static void close_end(int *fd)
{
    if (*fd >= 0) close(*fd);
    *fd = -1;
}

typedef struct { int end[4][2]; } pipes;       /* of input, output, error; of the reason why it could not be started */
enum { IN, OUT, ERR, WHY };

static void close_pipes(pipes *p)
{
    for (int i = 0; i < 4; i++) {
        close_end(&p->end[i][0]);
        close_end(&p->end[i][1]);
    }
}

/* Ends above 2, so that none is closed when it takes its place. */
static rt_status open_pipes(pipes *p)
{
    memset(p, -1, sizeof *p);
    for (int i = 0; i < 4; i++) {
        int end[2];
        if (pipe2(end, O_CLOEXEC)) break;
        for (int k = 0; k < 2; k++) {
            p->end[i][k] = end[k] > 2 ? end[k] : fcntl(end[k], F_DUPFD_CLOEXEC, 3);
            if (p->end[i][k] != end[k]) close(end[k]);
        }
        if (p->end[i][0] < 0 || p->end[i][1] < 0) break;
        if (i == WHY) return RT_OK;
    }
    rt_status st = rt_fail(RT_RUN, "no pipe: %s", strerror(errno));
    close_pipes(p);
    return st;
}

/* In the new process: only calls that a signal handler may make. */
static _Noreturn void become(const pipes *p, char *const *argument, pid_t parent)
{
    static const int given[] = {SIGINT, SIGTERM, SIGHUP, SIGPIPE, SIGXFSZ, SIGQUIT, SIGCHLD};
    sigset_t none;
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) _exit(127);                   /* which is gone already */
    for (size_t i = 0; i < sizeof given / sizeof given[0]; i++) signal(given[i], SIG_DFL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    if (dup2(p->end[IN][0], 0) >= 0 && dup2(p->end[OUT][1], 1) >= 0 && dup2(p->end[ERR][1], 2) >= 0) {
        syscall(SYS_close_range, 3u, ~0u, CLOSE_ON_EXEC);  /* an older kernel: all of ours are marked so anyway */
        execvp(argument[0], argument);
    }
    int why = errno;
    if (write(p->end[WHY][1], &why, sizeof why) < 0) _exit(126);
    _exit(127);
}

static void set_nonblocking(int fd)
{
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    fcntl(fd, F_SETPIPE_SZ, PIPE_BYTES);                   /* fewer turns; where it is not allowed, more of them */
}

rt_status rt_child_start(rt_child *c, const char *name, const char *const *command, int arguments,
                         const rt_progress *progress)
{
    char *argument[RT_CHILD_ARGUMENTS + 1] = {NULL};
    pipes p;
    int why = 0;
    *c = (rt_child){.name = name, .progress = progress, .in = -1, .out = -1, .err = -1};
    for (int i = 0; i < arguments && i < RT_CHILD_ARGUMENTS; i++) memcpy(&argument[i], &command[i], sizeof *argument);
    RT_TRY(open_pipes(&p));
    pid_t parent = getpid();
    c->pid = fork();
    if (c->pid == 0) become(&p, argument, parent);
    if (c->pid < 0) {
        rt_status st = rt_fail(RT_RUN, "%s: cannot be started: %s", name, strerror(errno));
        c->pid = 0;
        close_pipes(&p);
        return st;
    }
    setpgid(c->pid, c->pid);                               /* both sides set it: whoever is first */
    close_end(&p.end[WHY][1]);
    ssize_t got;
    while ((got = read(p.end[WHY][0], &why, sizeof why)) < 0 && errno == EINTR) {}
    if (got == sizeof why) {
        close_pipes(&p);
        while (waitpid(c->pid, NULL, 0) < 0 && errno == EINTR) {}
        c->pid = 0;
        return rt_fail(why == ENOMEM || why == EAGAIN || why == EMFILE || why == ENFILE ? RT_RUN : RT_INPUT,
                       "%s: cannot be started: %s", command[0], strerror(why));
    }
    c->in = p.end[IN][1];
    c->out = p.end[OUT][0];
    c->err = p.end[ERR][0];
    p.end[IN][1] = p.end[OUT][0] = p.end[ERR][0] = -1;
    close_pipes(&p);
    set_nonblocking(c->in);
    set_nonblocking(c->out);
    set_nonblocking(c->err);
    return RT_OK;
}

/* ---- standard error ---- */

static void keep_said(rt_child *c, const char *text, size_t n)
{
    if (n > sizeof c->said) {
        text += n - sizeof c->said;
        n = sizeof c->said;
    }
    size_t keep = c->said_bytes + n > sizeof c->said ? sizeof c->said - n : c->said_bytes;
    memmove(c->said, c->said + c->said_bytes - keep, keep);
    memcpy(c->said + keep, text, n);
    c->said_bytes = keep + n;
}

static void show_line(rt_child *c)
{
    char text[RT_CHILD_LINE + 300];
    c->line[c->line_bytes] = 0;
    c->line_bytes = 0;
    if (!c->line[0] || ++c->shown > RT_CHILD_SHOWN + 1) return;
    if (c->shown <= RT_CHILD_SHOWN) snprintf(text, sizeof text, "%.200s: %s", c->name, c->line);
    else snprintf(text, sizeof text, "%.200s: has said %d lines; what follows is not shown", c->name, RT_CHILD_SHOWN);
    rt_one_line(text);
    rt_progress_line(c->progress, text);
}

/* What is there of its standard error, at most so much that other work is not kept from going on. */
static void take_error(rt_child *c)
{
    char block[16384];
    if (c->err < 0) return;
    ssize_t n = read(c->err, block, sizeof block);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (n <= 0) {
        close_end(&c->err);
        if (c->line_bytes) show_line(c);
        return;
    }
    keep_said(c, block, (size_t)n);
    for (ssize_t i = 0; i < n; i++) {
        if (block[i] == '\n' || block[i] == '\r' || c->line_bytes == RT_CHILD_LINE) show_line(c);
        if (block[i] != '\n' && block[i] != '\r') c->line[c->line_bytes++] = block[i] ? block[i] : '?';
    }
}

const char *rt_child_said(rt_child *c, char text[RT_CHILD_SAID + 1])
{
    size_t n = c->said_bytes;
    memcpy(text, c->said, n);
    for (size_t i = 0; i < n; i++) if (!text[i] || text[i] == '\n') text[i] = ' ';
    while (n && text[n - 1] == ' ') n--;
    text[n] = 0;
    return text;
}

/* ---- bytes ---- */

void rt_child_send(rt_child *c, const struct iovec *part, int parts)
{
    c->parts = parts;
    memcpy(c->left, part, (size_t)parts * sizeof *part);
}

int rt_child_sending(const rt_child *c) { return c->parts > 0; }

/* writev that raises no SIGPIPE, whatever the program does about that signal: one that we cause is taken back. */
static ssize_t write_quietly(int fd, const struct iovec *part, int parts)
{
    static const struct timespec now = {0, 0};
    sigset_t broken, before, waiting;
    sigemptyset(&broken);
    sigaddset(&broken, SIGPIPE);
    sigpending(&waiting);
    int was = sigismember(&waiting, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &broken, &before);
    ssize_t n = writev(fd, part, parts);
    int error = errno;
    if (n < 0 && error == EPIPE && !was) sigtimedwait(&broken, NULL, &now);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    errno = error;
    return n;
}

/* Sends what the pipe takes; 0: nobody reads any more. */
static int send_some(rt_child *c)
{
    ssize_t n = write_quietly(c->in, c->left, c->parts);
    if (n < 0) return errno == EAGAIN || errno == EINTR;
    size_t sent = (size_t)n;
    while (c->parts && sent >= c->left[0].iov_len) {
        sent -= c->left[0].iov_len;
        memmove(c->left, c->left + 1, (size_t)--c->parts * sizeof *c->left);
    }
    if (c->parts) {
        c->left[0].iov_base = (char *)c->left[0].iov_base + sent;
        c->left[0].iov_len -= sent;
    }
    return 1;
}

/* Waits until something can be sent, or is there, or LOOK_MS. */
static void wait_for(rt_child *c, struct pollfd f[3], double until)
{
    double ms = (until - rt_seconds()) * 1000;
    f[0] = (struct pollfd){.fd = c->parts ? c->in : -1, .events = POLLOUT};
    f[1] = (struct pollfd){.fd = c->out, .events = POLLIN};
    f[2] = (struct pollfd){.fd = c->err, .events = POLLIN};
    if (poll(f, 3, ms < 0 ? 0 : ms < LOOK_MS ? (int)ms + 1 : LOOK_MS) < 0)
        for (int i = 0; i < 3; i++) f[i].revents = 0;
}

rt_child_state rt_child_read(rt_child *c, void *to, size_t n, double until)
{
    struct pollfd f[3];
    while (n) {
        if (rt_stopped()) return RT_CHILD_STOPPED;
        ssize_t got = read(c->out, to, n);                 /* it is often there already */
        if (got == 0) return RT_CHILD_ENDED;
        if (got > 0) {
            to = (char *)to + got;
            n -= (size_t)got;
            continue;
        }
        if (errno != EAGAIN && errno != EINTR) return RT_CHILD_ENDED;
        if (c->parts && !send_some(c)) return RT_CHILD_ENDED;
        wait_for(c, f, until);
        if (f[2].revents) take_error(c);
        if (rt_seconds() > until) return RT_CHILD_LATE;
    }
    return RT_CHILD_FINE;
}

int rt_child_more(rt_child *c)
{
    struct pollfd f = {.fd = c->out, .events = POLLIN};
    take_error(c);
    return poll(&f, 1, 0) > 0 && f.revents & POLLIN;
}

/* ---- end ---- */

/* Whether it has ended; it stays to be waited for, so that its group's number is nobody else's. */
static int has_ended(const rt_child *c)
{
    siginfo_t s = {0};
    return waitid(P_PID, (id_t)c->pid, &s, WEXITED | WNOHANG | WNOWAIT) || s.si_pid == c->pid;
}

static void describe_end(int status, int late, char *how, size_t room)
{
    if (late) snprintf(how, room, "closed its output and did not end");
    else if (WIFEXITED(status)) snprintf(how, room, "ended with status %d", WEXITSTATUS(status));
    else snprintf(how, room, "was ended by signal %d (%s)", WTERMSIG(status), strsignal(WTERMSIG(status)));
}

void rt_child_end(rt_child *c, int patient, char *how, size_t room)
{
    struct pollfd f[3];
    int status = 0;
    if (room) how[0] = 0;
    if (!c->pid) return;
    close_end(&c->in);
    c->parts = 0;
    double until = rt_seconds() + (patient ? PATIENCE_MS : KILL_MS) * 1e-3;
    int ended = has_ended(c);
    while (!ended && rt_seconds() < until && !rt_stopped()) {
        char rest[4096];
        double soon = rt_seconds() + 5e-3;
        wait_for(c, f, soon < until ? soon : until);
        if (f[1].revents && read(c->out, rest, sizeof rest) <= 0) close_end(&c->out);
        if (f[2].revents) take_error(c);
        ended = has_ended(c);
    }
    kill(-c->pid, SIGKILL);                                /* and whatever it started */
    while (waitpid(c->pid, &status, 0) < 0 && errno == EINTR) {}
    c->pid = 0;
    for (int turns = 0; c->err >= 0 && turns < 64; turns++) {      /* what it wrote last */
        wait_for(c, f, rt_seconds() + 0.01);
        if (!f[2].revents) break;
        take_error(c);
    }
    close_end(&c->out);
    close_end(&c->err);
    if (c->line_bytes) show_line(c);
    if (room) describe_end(status, !ended, how, room);
}
