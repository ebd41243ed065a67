/* data/h5_reader.c - the process whose forks read metadata.
 *
 * A child forked for each file from the process that scans would hold its memory (models, labels, keys), cost a copy of
 * its page tables, and count its gigabytes as the child's own. A program of its own started for each file costs the
 * loading of 40 libraries, several times what a scan takes, and must be found: the test programs are not retort, /proc
 * may be missing, the program may have been replaced on disk. So one small process is forked before anything is in
 * memory; it waits for files on a socket, holds nothing else, and forks a child for each. The library is started in it
 * once, before any file is there, which a scan then no longer pays for.
 *
 * A request is one message with its descriptors, and the answer comes through those, so threads and forks of this
 * process may all ask. Files are read one after the other, but by those that unpack, which live as long as a source. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "data/h5_plan.h"

static struct { pid_t pid; int socket; int started; } reader;

/* ---- in the reader ---- */

extern char **environ;

/* Values of the environment may be secrets, and some of them direct the library: none is kept. The time zone is given,
 * so that nobody looks for a file of it: the library converts times that it shows to nobody; where plugins lie is for
 * those who unpack. */
static void forget_environment(void)
{
    static const char *const plugins[] = {"HDF5_PLUGIN_PATH", "HDF5_PLUGIN_PRELOAD"};
    static char zone[] = "TZ=UTC0", kept[2][PATH_MAX + 32], *few[4] = {zone};
    int n = 1;
    for (int i = 0; i < 2; i++) {
        const char *value = getenv(plugins[i]);
        if (value && strlen(value) < PATH_MAX) {
            snprintf(kept[i], sizeof kept[i], "%s=%s", plugins[i], value);
            few[n++] = kept[i];
        }
    }
    for (char **e = environ; e && *e; e++) explicit_bzero(*e, strlen(*e));
    environ = few;
    tzset();
}

/* The next request; 0 at the end. Descriptors that are missing are -1. */
static int receive(int from, rt_h5_request *r, int fd[RT_H5_FDS])
{
    union { struct cmsghdr align; char bytes[CMSG_SPACE(RT_H5_FDS * sizeof(int))]; } control;
    struct iovec data = {r, sizeof *r};
    struct msghdr m = {.msg_iov = &data, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
    for (int i = 0; i < RT_H5_FDS; i++) fd[i] = -1;
    ssize_t n;
    do n = recvmsg(from, &m, MSG_CMSG_CLOEXEC);
    while (n < 0 && errno == EINTR);
    struct cmsghdr *c = n == sizeof *r ? CMSG_FIRSTHDR(&m) : NULL;
    if (c && c->cmsg_type == SCM_RIGHTS) memcpy(fd, CMSG_DATA(c), c->cmsg_len - CMSG_LEN(0));
    return n == sizeof *r;
}

static void ignore(int sig) { (void)sig; }

/* Standard error is one of the descriptors of a request here. */
static void end_silently(void) { _exit(ENOMEM); }

/* Waits for the child to end, or for the one that asked to close the pipe of the plan: nobody wants it then. */
static void await(pid_t pid, int plan, rt_h5_exit *e)
{
    struct pollfd gone = {.fd = plan};
    struct rusage used;
    sigset_t none;
    int status = 0;
    sigemptyset(&none);
    while (wait4(pid, &status, WNOHANG, &used) == 0)
        if (ppoll(&gone, 1, NULL, &none) > 0) {           /* the end of a child interrupts this */
            if (kill(pid, SIGKILL)) return;               /* another user's, without the capability: it has limits */
            while (wait4(pid, &status, 0, &used) < 0 && errno == EINTR) ;
            break;
        }
    e->status = status;
    e->cpu = (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
             1e-6 * (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec);
    e->memory_short = !rt_h5_memory_for(RT_H5_CHILD_BYTES);
}

/* The memory that is shared with who asks, mapped before no more can be. */
static void *shared_memory(const rt_h5_request *r, int fd, int *error)
{
    size_t bytes = rt_h5_shared_bytes(r->block);
    void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (p == MAP_FAILED) *error = errno;
    return p;
}

_Noreturn static void work(const rt_h5_request *r, const int fd[RT_H5_FDS])
{
    int guard = 0, error = 0, lacks = r->task == RT_H5_SCAN ? 0 : rt_h5_load_filters(r);
    void *memory = r->task == RT_H5_UNPACK ? shared_memory(r, fd[3], &error) : NULL;
    if (!error) error = rt_h5_isolate(fd[0], fd[1], r, &guard);
    if (error) _exit(error < 128 ? error : EPERM);
    if (r->task == RT_H5_SCAN) rt_h5_child(r, guard);
    if (lacks) rt_h5_answer(RT_H5_NO_FILTER, lacks, "");
    if (r->task == RT_H5_UNPACK) rt_h5_unpack_child(r, memory);
    rt_h5_answer(RT_H5_DONE, 0, "");
    _exit(0);
}

static void read_one(const rt_h5_request *r, const int fd[RT_H5_FDS])
{
    rt_h5_exit e = {0};
    pid_t pid = fork();
    if (pid == 0) work(r, fd);
    e.error = pid < 0 ? errno : 0;
    if (pid > 0) await(pid, fd[1], &e);
    ssize_t n;
    do n = write(fd[2], &e, sizeof e);
    while (n < 0 && errno == EINTR);
}

/* A child that lives long has a process of its own to wait for it; other files are read meanwhile. */
static void watch(const rt_h5_request *r, const int fd[RT_H5_FDS])
{
    pid_t pid = fork();
    if (pid == 0) {
        close(0);                                     /* who asks must not take it for the reader */
        read_one(r, fd);
        _exit(0);
    }
    rt_h5_exit e = {.error = pid < 0 ? errno : 0};
    while (pid < 0 && write(fd[2], &e, sizeof e) < 0 && errno == EINTR) ;
}

_Noreturn static void serve(int from)
{
    static const int ignored[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGPIPE};   /* whoever asks answers these */
    struct sigaction ends = {.sa_handler = ignore};
    sigset_t chld;
    rt_h5_request r;
    int fd[RT_H5_FDS], warm = 0;
    for (size_t i = 0; i < sizeof ignored / sizeof ignored[0]; i++) signal(ignored[i], SIG_IGN);
    sigaction(SIGCHLD, &ends, NULL);
    sigemptyset(&chld);
    sigaddset(&chld, SIGCHLD);
    sigprocmask(SIG_SETMASK, &chld, NULL);
    rt_on_out_of_memory(end_silently);
    prctl(PR_SET_NAME, "retort-reader");
    forget_environment();
    if (from != 0 && dup2(from, 0) < 0) _exit(1);
#ifdef RETORT_SANITIZE
    rt_h5_close_from(3);                                  /* reports go to standard error */
#else
    rt_h5_close_from(1);
#endif
    while (receive(0, &r, fd)) {
        if (!warm) rt_h5_warm_up();
        warm = 1;
        if (fd[2] >= 0 && r.task != RT_H5_UNPACK) read_one(&r, fd);
        else if (fd[2] >= 0) watch(&r, fd);
        while (waitpid(-1, NULL, WNOHANG) > 0) ;
        for (int i = 0; i < RT_H5_FDS; i++) if (fd[i] >= 0) close(fd[i]);
    }
    _exit(0);
}

/* ---- in the process that scans ---- */

static int start(void)
{
    int pair[2];
    if (reader.started) return 0;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair)) return errno;
    reader.pid = fork();
    if (reader.pid == 0) {
        close(pair[0]);
        serve(pair[1]);
    }
    int error = reader.pid < 0 ? errno : 0;
    close(pair[1]);
    if (error) close(pair[0]);
    reader.socket = pair[0];
    reader.started = !error;
    return error;
}

static void stop(void)
{
    if (!reader.started) return;
    close(reader.socket);
    while (waitpid(reader.pid, NULL, 0) < 0 && errno == EINTR) ;     /* not ours after a fork: fails at once */
    reader.started = 0;
}

void rt_h5_reader_start(void)
{
    pthread_mutex_lock(&rt_h5_library);
    start();
    pthread_mutex_unlock(&rt_h5_library);
}

void rt_h5_reader_stop(void)
{
    pthread_mutex_lock(&rt_h5_library);
    stop();
    pthread_mutex_unlock(&rt_h5_library);
}

static int send_request(const rt_h5_request *r, const int fd[RT_H5_FDS])
{
    union { struct cmsghdr align; char bytes[CMSG_SPACE(RT_H5_FDS * sizeof(int))]; } control = {0};
    struct iovec data = {(void *)(uintptr_t)r, sizeof *r};
    struct msghdr m = {.msg_iov = &data, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    size_t fds = fd[3] < 0 ? 3 : 4;
    m.msg_controllen = CMSG_SPACE(fds * sizeof(int));
    *c = (struct cmsghdr){.cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(fds * sizeof(int))};
    memcpy(CMSG_DATA(c), fd, fds * sizeof(int));
    ssize_t n;
    do n = sendmsg(reader.socket, &m, MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    return n < 0 ? errno : 0;
}

int rt_h5_ask(const rt_h5_request *r, const int fd[RT_H5_FDS])
{
    pthread_mutex_lock(&rt_h5_library);
    int error = start();
    if (!error) error = send_request(r, fd);
    if (error == ECONNRESET) error = EPIPE;           /* it left a request unread */
    if (error == EPIPE) stop();                       /* the next scan has another */
    pthread_mutex_unlock(&rt_h5_library);
    return error;
}
