/* data/labels_journal.c - which blocks of a label store are on disk. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "data/files.h"
#include "data/labels_parts.h"

enum { WINDOW = 4096, LINE = 128 };        /* blocks of a summary line at most; room for a line */

/* ---- their names ---- */

rt_status rt_label_journal_path(char *out, size_t room, const char *path, const char *who)
{
    int n = snprintf(out, room, "%s.journal%s%s", path, *who ? "." : "", who);
    return n < 0 || (size_t)n >= room ? rt_fail(RT_USAGE, "%.60s...: the path is too long", path) : RT_OK;
}

rt_status rt_label_real_path(char *out, size_t room, const char *path)
{
    char real[PATH_MAX];
    struct stat s;
    if (!lstat(path, &s) && S_ISLNK(s.st_mode) && realpath(path, real)) path = real;
    int n = snprintf(out, room, "%s", path);
    return n < 0 || (size_t)n >= room ? rt_fail(RT_USAGE, "%.60s...: the path is too long", path) : RT_OK;
}

/* "3-8" of a shard's journal, "" of the journal of a process that labels alone; 0: it is none. */
static int is_journal(const char *entry, const char *name, const char **who)
{
    static const char mark[] = ".journal";
    size_t n = strlen(name), m = sizeof mark - 1;
    if (strncmp(entry, name, n) || strncmp(entry + n, mark, m)) return 0;
    entry += n + m;
    *who = entry + (*entry == '.');
    if (!*entry) return 1;
    size_t first = *entry == '.' ? strspn(*who, "0123456789") : 0;
    if (!first || (*who)[first] != '-') return 0;
    size_t second = strspn(*who + first + 1, "0123456789");
    return second && !(*who)[first + 1 + second] && strlen(*who) < RT_LABEL_WHO;
}

/* The folder of a path, and its last part. */
static rt_status open_folder(DIR **d, const char **name, const char *path)
{
    char folder[RT_LABEL_PATH];
    if (snprintf(folder, sizeof folder, "%s", path) >= (int)sizeof folder)
        return rt_fail(RT_USAGE, "%.60s...: the path is too long", path);
    char *slash = strrchr(folder, '/');
    *name = path + (slash ? slash - folder + 1 : 0);
    if (slash) slash[slash == folder] = 0;
    do *d = opendir(slash ? folder : ".");
    while (!*d && errno == EINTR);
    return *d ? RT_OK : rt_fail(rt_errno_status(errno), "%s: its folder: %s", path, strerror(errno));
}

rt_status rt_label_each_journal(const char *path, rt_label_journal_fn *f, void *arg)
{
    char journal[RT_LABEL_PATH];
    const char *name, *who;
    DIR *d;
    rt_status st = RT_OK;
    RT_TRY(open_folder(&d, &name, path));
    for (struct dirent *e; !st && !(st = rt_folder_next(d, path, &e)) && e;) {
        if (!is_journal(e->d_name, name, &who)) continue;
        st = rt_label_journal_path(journal, sizeof journal, path, who);
        if (!st) st = f(arg, journal, who);
    }
    closedir(d);
    return st;
}

static rt_status remove_one(void *arg, const char *journal, const char *who)
{
    (void)arg, (void)who;
    if (!unlink(journal) || errno == ENOENT) return RT_OK;
    return rt_fail(RT_RUN, "%s: cannot be removed: %s", journal, strerror(errno));
}

static rt_status remove_shard(void *arg, const char *journal, const char *who)
{ return *who ? remove_one(arg, journal, who) : RT_OK; }

/* Removes what kills left of journals that were made anew. */
static rt_status sweep(const char *path)
{
    char base[256];
    const char *name, *who;
    DIR *d;
    RT_TRY(open_folder(&d, &name, path));
    for (struct dirent *e; (e = readdir(d));) {
        snprintf(base, sizeof base, "%s", e->d_name[0] == '.' ? e->d_name + 1 : "");
        char *temp = strstr(base, ".tmp-");
        if (temp) *temp = 0;
        if (temp && is_journal(base, name, &who)) rt_temp_sweep(dirfd(d), base);
    }
    closedir(d);
    return RT_OK;
}

rt_status rt_label_remove_shards(const char *path)
{
    RT_TRY(rt_label_each_journal(path, remove_shard, NULL));
    return sweep(path);
}

rt_status rt_label_remove_journals(const char *path)
{
    RT_TRY(rt_label_each_journal(path, remove_one, NULL));
    return sweep(path);
}

static rt_status forget_one(void *arg, const char *journal, const char *who)
{
    (void)arg, (void)who;
    int fd = open(journal, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0) return RT_OK;
    posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
    close(fd);
    return RT_OK;
}

rt_status rt_label_forget_journals(const char *path) { return rt_label_each_journal(path, forget_one, NULL); }

/* ---- reading ---- */

/* A line without its checksum, that holds: its length, else 0. Behind the checksum it ends: two lines whose newline is
 * damaged are not the first of them. */
static int checked(const char *line, int n)
{
    unsigned own;
    if (n <= 0 || strlen(line + n) != 8 || sscanf(line + n, "%8x", &own) != 1) return 0;
    return rt_crc32c(0, line, (size_t)n) == own ? n : 0;
}

/* 0: it is none of ours, or is damaged. */
static int take_line(const char *line, const rt_label_named *to)
{
    unsigned long long a, b;
    unsigned crc;
    int n = 0;
    if (sscanf(line, "%llu-%llu %8x %n", &a, &b, &crc, &n) == 3 && checked(line, n)) {
        if (a >= b || b > to->blocks || rt_crc32c(0, to->stored + a, (size_t)(b - a) * sizeof *to->stored) != crc)
            return 1;
        memset(to->named + a, 1, (size_t)(b - a));
        for (uint64_t i = a; to->crc != to->stored && i < b; i++) to->crc[i] = to->stored[i];
        return 1;
    }
    if (n = 0, sscanf(line, "takes %llu-%llu %n", &a, &b, &n) == 2 && checked(line, n)) {
        if (to->taken && a < b && b <= to->blocks) memset(to->taken + a, 1, (size_t)(b - a));
        return 1;
    }
    if (n = 0, sscanf(line, "%llu %8x %n", &a, &crc, &n) != 2 || !checked(line, n)) return 0;
    if (a >= to->blocks) return 1;
    to->crc[a] = crc;
    to->named[a] = 1;
    return 1;
}

static const char *base_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

rt_status rt_label_read_journal(const char *journal, rt_label_named *to)
{
    enum { MOST = 1 << 30 };
    struct stat s;
    char *text;
    size_t all;
    if (stat(journal, &s))
        return errno == ENOENT ? RT_OK : rt_fail(rt_errno_status(errno), "%s: %s", journal, strerror(errno));
    RT_TRY(rt_read_file(&text, &all, journal, MOST));
    const char *at = text;
    char line[LINE];
    for (const char *end; (end = memchr(at, '\n', all - (size_t)(at - text))); at = end + 1) {
        snprintf(line, sizeof line, "%.*s", end - at < (ptrdiff_t)sizeof line ? (int)(end - at) : 0, at);
        if (!strncmp(line, RT_LABEL_SYNC_MARK, sizeof RT_LABEL_SYNC_MARK - 1))
            snprintf(to->failed, RT_LABEL_FAILED, "%s", line + sizeof RT_LABEL_SYNC_MARK - 1);
        else if (!take_line(line, to)) snprintf(to->damaged, RT_LABEL_FAILED, "%s", base_of(journal));
    }
    /* A write that was cut off leaves less than a line; a whole one with another byte behind it had its newline there.
     */
    size_t left = all - (size_t)(at - text);
    snprintf(line, sizeof line, "%.*s", left > 1 && left <= sizeof line ? (int)left - 1 : 0, at);
    if (take_line(line, to)) snprintf(to->damaged, RT_LABEL_FAILED, "%s", base_of(journal));
    free(text);
    return RT_OK;
}

static rt_status read_one(void *arg, const char *journal, const char *who)
{
    (void)who;
    return rt_label_read_journal(journal, arg);
}

rt_status rt_label_read_journals(const char *path, rt_label_named *to)
{
    return rt_label_each_journal(path, read_one, to);
}

/* ---- writing ---- */

/* A line behind the text, with its own checksum. */
static size_t put_line(char *text, const char *line)
{
    return (size_t)sprintf(text, "%s%08x\n", line, rt_crc32c(0, line, strlen(line)));
}

static rt_status append(rt_label_journal *j, const char *text, size_t n, size_t lines)
{
    RT_TRY(rt_write_all(j->fd, text, n, j->path));
    j->lines += lines;
    return RT_OK;
}

rt_status rt_label_journal_add(rt_label_journal *j, const uint64_t *block, size_t n, const uint32_t *crc)
{
    char *text = malloc(n * LINE + 1), line[LINE];
    size_t at = 0;
    if (!text) return rt_fail(RT_RUN, "out of memory");
    for (size_t i = 0; i < n; i++) {
        snprintf(line, sizeof line, "%" PRIu64 " %08x ", block[i], crc[block[i]]);
        at += put_line(text + at, line);
    }
    rt_status st = append(j, text, at, n);
    free(text);
    return st;
}

rt_status rt_label_journal_take(rt_label_journal *j, uint64_t from, uint64_t to)
{
    char text[2 * LINE], line[LINE];
    snprintf(line, sizeof line, "takes %" PRIu64 "-%" PRIu64 " ", from, to);
    return append(j, text, put_line(text, line), 1);
}

void rt_label_journal_mark(rt_label_journal *j, int error)
{
    char line[RT_LABEL_FAILED + 32];
    if (j->fd < 0) return;
    snprintf(line, sizeof line, "\n" RT_LABEL_SYNC_MARK "%s\n", strerror(error));
    (void)rt_write_all(j->fd, line, strlen(line), j->path);
}

rt_status rt_label_journal_open(rt_label_journal *j)
{
    if (j->fd >= 0) close(j->fd);
    do j->fd = open(j->path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0666);
    while (j->fd < 0 && errno == EINTR);
    return j->fd < 0 ? rt_fail(RT_RUN, "%s: %s", j->path, strerror(errno)) : RT_OK;
}

/* Summary lines of the named blocks, for the caller to free, also after an error. */
static rt_status summary(char **out, size_t *bytes, size_t *count, const unsigned char *done, const uint32_t *crc,
                         uint64_t blocks)
{
    size_t room = 1 << 16, n = 0, lines = 0;
    char *text = malloc(room), line[LINE];
    rt_status st = text ? RT_OK : rt_fail(RT_RUN, "out of memory");
    for (uint64_t a = 0, b; a < blocks && !st; a = b) {
        for (b = a; b < blocks && done[b] & RT_LABEL_NAMED && b / WINDOW == a / WINDOW; b++) {}
        if (b == a) {
            b++;
            continue;
        }
        snprintf(line, sizeof line, "%" PRIu64 "-%" PRIu64 " %08x ", a, b,
                 rt_crc32c(0, crc + a, (size_t)(b - a) * sizeof *crc));
        char *more = room - n < LINE ? realloc(text, room *= 2) : text;
        if (more) n += put_line((text = more) + n, line);
        else st = rt_fail(RT_RUN, "out of memory");
        lines++;
    }
    *out = text;
    *bytes = n;
    *count = lines;
    return st;
}

rt_status rt_label_journal_sum(rt_label_journal *j, const unsigned char *done, const uint32_t *crc, uint64_t blocks)
{
    char *text;
    size_t n, lines;
    rt_status st = summary(&text, &n, &lines, done, crc, blocks);
    if (!st) st = rt_write_file(j->path, text, n);
    free(text);
    RT_TRY(st);
    j->lines = j->summed = lines;
    return rt_label_journal_open(j);
}

rt_status rt_label_journal_also(rt_label_journal *j, const unsigned char *done, const uint32_t *crc, uint64_t blocks)
{
    char *text;
    size_t n, lines;
    rt_status st = summary(&text, &n, &lines, done, crc, blocks);
    if (!st) st = append(j, text, n, lines);
    if (!st) st = rt_sync_data(j->fd, j->path);
    free(text);
    return st;
}

int rt_label_journal_long(const rt_label_journal *j) { return j->lines > j->summed + WINDOW; }

void rt_label_journal_close(rt_label_journal *j)
{
    if (j->fd >= 0) close(j->fd);
    j->fd = -1;
}
