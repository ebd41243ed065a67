/* tests/power/power.c - preloaded: the power fails on entry to the POWER_CUT-th call that changes something in the
 * folder POWER_ROOT.
 *
 * Without POWER_DEVICE, what is on disk is kept in POWER_STORE, by the strictest reading of POSIX: the bytes of a file
 * as its last sync left them (f-INODE), the names in a folder as the folder's last sync left them (d-INODE); nothing
 * else survives. With it, POWER_ROOT lies on a real file system, which is shut down (ext4's and xfs's ioctl) without
 * its log being written. POWER_IGNORE: syncs do nothing, and say they did. POWER_ACK: a file outside, that gets a line
 * for what is known to be on disk after a sync: "journal LINES" of a label store, "checkpoint BATCHES" of a training
 * run, "step NAME" of an experiment, "file NAME" of out.h5 and out.csv. POWER_COST: a file that gets the seconds that
 * syncs took, those of the whole run, and the CPU seconds of the process. */
#include <dirent.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#define NEXT(name) __typeof__(name) *next = (__typeof__(name) *)dlsym(RTLD_NEXT, #name)

static const char *root, *store, *ack;
static long cut, calls;
static int ignore, device = -1;
static pid_t self;
static double waited, born;

static double seconds(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

__attribute__((constructor)) static void begin(void)
{
    const char *text = getenv("POWER_CUT"), *mount = getenv("POWER_DEVICE");
    root = getenv("POWER_ROOT");
    store = getenv("POWER_STORE");
    ack = getenv("POWER_ACK");
    cut = text ? atol(text) : 0;
    ignore = getenv("POWER_IGNORE") != NULL;
    if (mount) device = (open)(mount, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    self = getpid();
    born = seconds(CLOCK_MONOTONIC);
    unsetenv("LD_PRELOAD");                          /* helpers change nothing */
}

__attribute__((destructor)) static void end(void)
{
    char line[32];
    int fd = root && getpid() == self && getenv("POWER_CALLS") ? (open)(getenv("POWER_CALLS"), O_WRONLY | O_CREAT, 0666)
                                                               : -1;
    int cost = root && getpid() == self && getenv("POWER_COST") ? (open)(getenv("POWER_COST"), O_WRONLY | O_CREAT, 0666)
                                                                : -1;
    if (cost >= 0)
        dprintf(cost, "%.6f %.6f %.6f\n", waited, seconds(CLOCK_MONOTONIC) - born, seconds(CLOCK_PROCESS_CPUTIME_ID));
    if (fd >= 0) dprintf(fd, "%s", (snprintf(line, sizeof line, "%ld\n", calls), line));
}

static int below(const char *path)
{
    return root && getpid() == self && !strncmp(path, root, strlen(root));
}

static int path_of(int fd, char out[600])
{
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, out, 599);
    out[n < 0 ? 0 : n] = 0;
    return below(out);
}

static void enter(void)
{
    if (++calls != cut) return;
    if (device >= 0) {
        uint32_t without_log = 2;
        if (ioctl(device, _IOR('X', 125, uint32_t), &without_log)) _exit(98);
    }
    _exit(99);
}

static void at_folder(int dir) { char p[600]; if (path_of(dir, p)) enter(); }
static void at_path(const char *path)
{
    char whole[600];
    if (path[0] == '/') snprintf(whole, sizeof whole, "%s", path);
    else if (!getcwd(whole, sizeof whole)) return;
    if (below(whole)) enter();
}

/* An inode that is let go is not given to another file while this process lives. */
static void hold(int dir, const char *name) { (void)(openat)(dir, name, O_PATH | O_NOFOLLOW | O_CLOEXEC); }

static void copy(int fd, ino_t inode)
{
    char name[600], temp[620], buffer[65536];
    snprintf(name, sizeof name, "%s/f-%llu", store, (unsigned long long)inode);
    snprintf(temp, sizeof temp, "%s.new", name);
    int out = (open)(temp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666), again;
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    again = (open)(link, O_RDONLY | O_CLOEXEC);
    for (ssize_t n; out >= 0 && again >= 0 && (n = read(again, buffer, sizeof buffer)) > 0;) {
        NEXT(write);
        if (next(out, buffer, (size_t)n) != n) _exit(97);
    }
    if (out < 0 || again < 0) _exit(97);
    static const char mark[] = "user.retort.xxh128";
    ssize_t n = fgetxattr(again, mark, buffer, sizeof buffer);
    if (n > 0 && fsetxattr(out, mark, buffer, (size_t)n, 0)) _exit(97);
    close(out);
    close(again);
    rename(temp, name);
}

static void list(int dir, ino_t inode, char newest[64])
{
    char name[600], temp[620];
    snprintf(name, sizeof name, "%s/d-%llu", store ? store : "/", (unsigned long long)inode);
    snprintf(temp, sizeof temp, "%s.new", name);
    FILE *f = store ? fopen(temp, "w") : NULL;
    DIR *d = fdopendir((openat)(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    int told = ack ? (open)(ack, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0666) : -1;
    newest[0] = 0;
    for (struct dirent *e; d && (e = readdir(d));) {
        struct stat s;
        if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, "..") || fstatat(dir, e->d_name, &s, AT_SYMLINK_NOFOLLOW))
            continue;
        if (f) fprintf(f, "%c %llu %s\n", S_ISDIR(s.st_mode) ? 'd' : 'f', (unsigned long long)s.st_ino, e->d_name);
        size_t n = strlen(e->d_name);
        if (told >= 0 && n > 10 && !strcmp(e->d_name + n - 10, ".step.json"))
            dprintf(told, "step %.*s\n", (int)n - 10, e->d_name);
        if (told >= 0 && (!strcmp(e->d_name, "out.h5") || !strcmp(e->d_name, "out.csv")))
            dprintf(told, "file %s\n", e->d_name);
        if (!strncmp(e->d_name, "checkpoint-", 11) && strcmp(e->d_name, newest) > 0)
            snprintf(newest, 64, "%.63s", e->d_name);
    }
    if (d) closedir(d);
    if (told >= 0) close(told);
    if (f) {
        fclose(f);
        rename(temp, name);
    }
}

static void acknowledge(int fd, const char *path, const char *newest)
{
    static int listed;
    size_t n = strlen(path);
    int out = ack ? (open)(ack, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0666) : -1;
    if (out < 0) return;
    if (n > 8 && !strcmp(path + n - 8, ".journal")) {
        char link[64], c;
        long lines = 0;
        snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
        int in = (open)(link, O_RDONLY | O_CLOEXEC);
        for (char before = '\n'; read(in, &c, 1) == 1; before = c) lines += c == '\n' && before != '\n';
        close(in);
        dprintf(out, "journal %ld\n", lines);
    }
    /* The list names the newest checkpoint once the folder is synced behind the list's own name. */
    if (newest && *newest && n > 12 && !strcmp(path + n - 12, "/checkpoints") && listed++ % 2)
        dprintf(out, "checkpoint %ld\n", atol(newest + 11));
    close(out);
}

static int sync_by(int (*next)(int), int fd)
{
    char path[600], newest[64] = "";
    struct stat s;
    if (!path_of(fd, path)) return next(fd);
    enter();
    double start = seconds(CLOCK_MONOTONIC);
    int folder = !fstat(fd, &s) && S_ISDIR(s.st_mode), r = ignore ? 0 : next(fd);
    waited += seconds(CLOCK_MONOTONIC) - start;
    if (r) return r;
    if (folder) {
        const char *keep = store;
        if (ignore) store = NULL;
        list(fd, s.st_ino, newest);
        store = keep;
    } else if (store && !ignore) copy(fd, s.st_ino);
    acknowledge(fd, path, newest);
    return 0;
}

int fsync(int fd) { NEXT(fsync); return sync_by(next, fd); }
int fdatasync(int fd) { NEXT(fdatasync); return sync_by(next, fd); }

ssize_t write(int fd, const void *p, size_t n)
{
    char path[600];
    NEXT(write);
    if (fd > 2 && path_of(fd, path)) enter();
    return next(fd, p, n);
}

ssize_t pwrite(int fd, const void *p, size_t n, off_t at)
{
    char path[600];
    NEXT(pwrite);
    if (path_of(fd, path)) enter();
    return next(fd, p, n, at);
}

int ftruncate(int fd, off_t n)
{
    char path[600];
    NEXT(ftruncate);
    if (path_of(fd, path)) enter();
    return next(fd, n);
}

/* The names that libraries built for large files call. */
ssize_t pwrite64(int fd, const void *p, size_t n, off_t at) { return pwrite(fd, p, n, at); }
int ftruncate64(int fd, off_t n) { return ftruncate(fd, n); }

int mkdir(const char *path, mode_t mode) { NEXT(mkdir); at_path(path); return next(path, mode); }
int mkdirat(int dir, const char *path, mode_t mode) { NEXT(mkdirat); at_folder(dir); return next(dir, path, mode); }

int unlink(const char *path)
{
    NEXT(unlink);
    at_path(path);
    hold(AT_FDCWD, path);
    return next(path);
}

int unlinkat(int dir, const char *path, int flags)
{
    NEXT(unlinkat);
    at_folder(dir);
    hold(dir, path);
    return next(dir, path, flags);
}

int linkat(int a, const char *from, int b, const char *to, int flags)
{
    NEXT(linkat);
    at_folder(b);
    return next(a, from, b, to, flags);
}

int renameat(int a, const char *from, int b, const char *to)
{
    NEXT(renameat);
    at_folder(b);
    hold(b, to);
    return next(a, from, b, to);
}

int renameat2(int a, const char *from, int b, const char *to, unsigned flags)
{
    NEXT(renameat2);
    at_folder(b);
    return next(a, from, b, to, flags);
}
