#include "data/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "data/files.h"
#include "engine/text.h"

enum { TEXT_MAX = 1024, COMMAND_MAX = 160, TRIES = 1000, GONE_WAITS = 100, SAY_WAITS = 5, WAIT_NS = 20000000 };
static const char first_line[] = "retort-lock 1\n";

static void pause_a_little(void)
{
    struct timespec t = {.tv_nsec = WAIT_NS};
    nanosleep(&t, NULL);
}

/* The command line in one line, cut where it is long. */
static void command_of_this(char out[COMMAND_MAX + 4])
{
    int fd = open("/proc/self/cmdline", O_RDONLY | O_CLOEXEC);
    size_t n = 0;
    if (fd >= 0 && rt_read_some(fd, out, COMMAND_MAX + 1, "/proc/self/cmdline", &n)) n = 0;
    if (fd >= 0) close(fd);
    int cut = n > COMMAND_MAX;
    if (cut) n = COMMAND_MAX;
    else while (n && !out[n - 1]) n--;
    for (size_t i = 0; i < n; i++) if (!out[i]) out[i] = ' ';
    strcpy(out + n, cut ? "..." : "");
    rt_one_line(out);
}

static rt_status say_who(const rt_lock *l, const char *path)
{
    char text[TEXT_MAX], host[128] = "", command[COMMAND_MAX + 4], since[32];
    time_t now = time(NULL);
    struct tm t;
    gethostname(host, sizeof host - 1);
    rt_one_line(host);
    command_of_this(command);
    strftime(since, sizeof since, "%Y-%m-%d %H:%M:%S UTC", gmtime_r(&now, &t));
    int n = snprintf(text, sizeof text, "%spid %ld\nhost %s\nsince %s\ncommand %s\n", first_line, (long)getpid(), host,
                     since, command);
    if (ftruncate(l->fd, 0)) return rt_fail(RT_RUN, "%s: its lock cannot be written: %s", path, strerror(errno));
    return rt_pwrite_all(l->fd, text, (size_t)n, 0, path);
}

typedef struct { long pid; char host[128], since[64], command[COMMAND_MAX + 4]; int there, foreign; } holder;

static void field(const char *text, const char *key, char *out, size_t room)
{
    const char *at = strstr(text, key);
    out[0] = 0;
    if (!at) return;
    at += strlen(key);
    size_t n = strcspn(at, "\n");
    snprintf(out, room, "%.*s", (int)(n < room ? n : room - 1), at);
    rt_one_line(out);
}

static holder read_holder(int fd)
{
    holder h = {0};
    char text[TEXT_MAX + 1], pid[32];
    size_t n = 0;
    if (rt_pread_some(fd, text, TEXT_MAX, 0, "lock", &n)) n = 0;
    text[n] = 0;
    h.there = n > sizeof first_line;
    h.foreign = n && strncmp(text, first_line, n < sizeof first_line - 1 ? n : sizeof first_line - 1);
    field(text, "\npid ", pid, sizeof pid);
    field(text, "\nhost ", h.host, sizeof h.host);
    field(text, "\nsince ", h.since, sizeof h.since);
    field(text, "\ncommand ", h.command, sizeof h.command);
    h.pid = strtol(pid, NULL, 10);
    return h;
}

/* A process that was killed may have a child that ends a moment later, and holds the lock until then. */
static int is_gone(const holder *h)
{
    char host[128] = "";
    gethostname(host, sizeof host - 1);
    rt_one_line(host);
    return h->pid > 0 && !strcmp(host, h->host) && kill((pid_t)h->pid, 0) && errno == ESRCH;
}

static rt_status held(const holder *h, const char *path)
{
    if (!h->there) return rt_fail(RT_RUN, "%s: another process is writing to it; try again when it has ended", path);
    return rt_fail(RT_RUN,
                   "%s: another process is writing to it: %ld on %s since %s (%s); try again when it has ended, "
                   "or give another --out",
                   path, h->pid, h->host, h->since, h->command);
}

static rt_status no_lock(const char *path, int error)
{
    if (error == ENOSYS || error == EOPNOTSUPP || error == ENOLCK || error == EINVAL)
        return rt_fail(RT_RUN, "%s: its file system has no locks (%s), so two runs could write to it at once; give an "
                       "--out on another one", path, strerror(error));
    return rt_fail(RT_RUN, "%s: cannot be locked: %s", path, strerror(error));
}

/* 1: taken; 0: to be tried again; else *st. */
static int try_once(rt_lock *l, const char *path, int patience, int *waits, rt_status *st)
{
    struct stat mine;
    int r;
    do l->fd = openat(l->dir, l->name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, 0666);
    while (l->fd < 0 && errno == EINTR);
    if (l->fd < 0) {
        *st = rt_fail(RT_RUN, "%s: its lock %s cannot be made: %s", path, l->name, strerror(errno));
        return 0;
    }
    if (fstat(l->fd, &mine)) *st = rt_fail(RT_RUN, "%s: %s", path, strerror(errno));
    else if (!S_ISREG(mine.st_mode)) *st = rt_fail(RT_USAGE, "%s: %s, the name of its lock, is no regular file", path,
                                                   l->name);
    if (*st) return 0;
    do r = flock(l->fd, LOCK_EX | LOCK_NB);
    while (r && errno == EINTR);
    int error = errno;
    holder h = read_holder(l->fd);
    if (h.foreign)
        *st = rt_fail(RT_USAGE, "%s: %s, the name of its lock, is a file that retort did not write; move it away", path,
                      l->name);
    else if (r && error != EWOULDBLOCK) *st = no_lock(path, error);
    else if (r) {
        int most = is_gone(&h) ? GONE_WAITS : h.there ? 0 : SAY_WAITS;
        if (++*waits > (most > patience ? most : patience)) *st = held(&h, path);
        else pause_a_little();
        return 0;
    }
    /* Who ends removes the file: the one that is locked must be the one that others would open. */
    return !*st && rt_lock_mine(l);
}

rt_status rt_lock_take(rt_lock *l, int dir, const char *name, const char *path)
{
    return rt_lock_take_within(l, dir, name, path, 0);
}

rt_status rt_lock_take_within(rt_lock *l, int dir, const char *name, const char *path, double seconds)
{
    rt_status st = RT_OK;
    int waits = 0, patience = (int)(seconds * 1e9 / WAIT_NS);
    l->fd = -1;
    l->dir = dir;
    if (snprintf(l->name, sizeof l->name, "%s", name) >= (int)sizeof l->name)
        return rt_fail(RT_USAGE, "%s: the name is too long", path);
    for (int i = 0; i < TRIES + patience; i++) {
        int taken = try_once(l, path, patience, &waits, &st);
        if (taken) st = say_who(l, path);
        if (taken && !st) return RT_OK;
        if (taken) {
            rt_lock_release(l);
            return st;
        }
        if (l->fd >= 0) close(l->fd);
        l->fd = -1;
        if (st) return st;
    }
    return rt_fail(RT_RUN, "%s: its lock %s is made and removed by others again and again", path, name);
}

/* The lock's file as others see it: -1 when there is none. */
static rt_status look_at(int dir, const char *name, const char *path, int *fd, holder *h)
{
    *h = (holder){0};
    do *fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
    while (*fd < 0 && errno == EINTR);
    if (*fd < 0 && errno == ENOENT) return RT_OK;
    if (*fd < 0) return rt_fail(RT_RUN, "%s: its lock %s cannot be read: %s", path, name, strerror(errno));
    *h = read_holder(*fd);
    return RT_OK;
}

rt_status rt_lock_free(int dir, const char *name, const char *path)
{
    int fd, r;
    holder h;
    RT_TRY(look_at(dir, name, path, &fd, &h));
    if (fd < 0) return RT_OK;
    do r = flock(fd, LOCK_EX | LOCK_NB);
    while (r && errno == EINTR);
    rt_status st = !r ? RT_OK : errno == EWOULDBLOCK ? held(&h, path) : no_lock(path, errno);
    close(fd);
    return st;
}

rt_status rt_lock_take_over(rt_lock *l, int dir, const char *name, const char *path)
{
    int fd;
    holder h;
    RT_TRY(look_at(dir, name, path, &fd, &h));
    if (fd >= 0) close(fd);
    if (fd >= 0 && !h.foreign && unlinkat(dir, name, 0) && errno != ENOENT)
        return rt_fail(RT_RUN, "%s: its lock %s cannot be removed: %s", path, name, strerror(errno));
    return rt_lock_take(l, dir, name, path);
}

int rt_lock_mine(const rt_lock *l)
{
    struct stat mine, there;
    return l->fd >= 0 && !fstat(l->fd, &mine) && !fstatat(l->dir, l->name, &there, AT_SYMLINK_NOFOLLOW) &&
           mine.st_ino == there.st_ino && mine.st_dev == there.st_dev;
}

void rt_lock_release(rt_lock *l)
{
    if (l->fd < 0) return;
    if (rt_lock_mine(l)) unlinkat(l->dir, l->name, 0);
    close(l->fd);
    l->fd = -1;
}
