#include "experiments/report.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "data/files.h"
#include "engine/digest.h"
#include "experiments/report_parts.h"

enum { FILES = 4, SUMS_MAX = 1024 };
static const char *const file_name[FILES] = {"evaluation.json", "report.md", "report.csv", "report.html"};
static const char sums_name[] = "report.xxh128";

struct rt_report {
    char folder[1000];
    int fd, made, written;             /* of the folder, which holds the lock; made here */
};

static void path_of(char out[1100], const rt_report *r, const char *name)
{
    snprintf(out, 1100, "%s/%s", r->folder, name);
}

/* The hashes that a run left, by file; an empty text where there is none. Anything else in the file: not ours. */
static int read_sums(const rt_report *r, char hash[FILES][33])
{
    char path[1100], text[SUMS_MAX + 1];
    memset(hash, 0, FILES * sizeof hash[0]);
    path_of(path, r, sums_name);
    FILE *f = fopen(path, "r");
    if (!f) return 0;
    size_t n = fread(text, 1, SUMS_MAX, f);
    fclose(f);
    text[n] = 0;
    const char *at = text;
    for (int i = 0; i < FILES; i++) {
        size_t name = strlen(file_name[i]);
        if (strspn(at, "0123456789abcdef") != 32 || strncmp(at + 32, "  ", 2)) return 0;
        if (strncmp(at + 34, file_name[i], name) || at[34 + name] != '\n') return 0;
        memcpy(hash[i], at, 32);
        at += 35 + name;
    }
    return !*at;
}

static rt_status foreign(const char *path)
{
    return rt_fail(RT_USAGE,
                   "%s was not written by an evaluation, or was changed since; give another folder, or --force to "
                   "replace it",
                   path);
}

/* Every file that would be replaced is one that a run wrote. */
static rt_status look(const rt_report *r, int force)
{
    char hash[FILES][33], path[1100];
    struct stat s;
    int ours = read_sums(r, hash);
    for (int i = 0; i <= FILES; i++) {
        path_of(path, r, i < FILES ? file_name[i] : sums_name);
        if (lstat(path, &s)) {
            if (errno == ENOENT) continue;
            return rt_fail(RT_RUN, "%s: %s", path, strerror(errno));
        }
        if (!S_ISREG(s.st_mode)) return rt_fail(RT_USAGE, "%s is in the way: it is not a regular file", path);
        if (force) continue;
        rt_digest d;
        if (!ours) return foreign(path);
        if (i < FILES) RT_TRY(rt_digest_file(&d, path, 0));
        if (i < FILES && strcmp(d.hex, hash[i])) return foreign(path);
    }
    return RT_OK;
}

static rt_status try_writing(const rt_report *r)
{
    char path[1100];
    path_of(path, r, "retort-XXXXXX");
    int fd = mkstemp(path);
    if (fd < 0) return rt_fail(RT_RUN, "%s: cannot write into the folder: %s", r->folder, strerror(errno));
    close(fd);
    unlink(path);
    return RT_OK;
}

rt_status rt_report_open(rt_report **out, const char *folder, int force)
{
    rt_report *r = calloc(1, sizeof *r);
    struct stat s;
    *out = NULL;
    if (!r) return rt_fail(RT_RUN, "out of memory");
    r->fd = -1;
    rt_status st = RT_OK;
    if (snprintf(r->folder, sizeof r->folder, "%s", folder) >= (int)sizeof r->folder)
        st = rt_fail(RT_USAGE, "%.60s...: the path is too long", folder);
    if (!st) {
        r->made = stat(folder, &s) != 0;
        st = rt_make_folder(folder);
    }
    if (!st) {
        r->fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (r->fd < 0) st = rt_fail(RT_RUN, "%s: %s", folder, strerror(errno));
        else if (flock(r->fd, LOCK_EX | LOCK_NB) && errno == EWOULDBLOCK)
            st = rt_fail(RT_RUN, "%s: another evaluation is writing into this folder", folder);
    }
    if (!st) st = look(r, force);
    if (!st) st = try_writing(r);
    if (st) rt_report_close(r);
    else *out = r;
    return st;
}

void rt_report_close(rt_report *r)
{
    if (!r) return;
    if (r->made && !r->written && r->fd >= 0) rmdir(r->folder);
    if (r->fd >= 0) close(r->fd);
    free(r);
}

/* The old files go first, and new hashes come before new files: whenever this ends early, what is there is a run's
 * own. */
static rt_status put_files(const rt_report *r, const rt_string file[FILES], const char *sums)
{
    char path[1100];
    for (int i = 0; i < FILES; i++) {
        path_of(path, r, file_name[i]);
        if (unlink(path) && errno != ENOENT) return rt_fail(RT_RUN, "%s: %s", path, strerror(errno));
    }
    path_of(path, r, sums_name);
    RT_TRY(rt_write_file(path, sums, strlen(sums)));
    for (int i = 0; i < FILES; i++) {
        path_of(path, r, file_name[i]);
        RT_TRY(rt_write_file(path, file[i].p, file[i].n));
    }
    return RT_OK;
}

static void json(rt_string *t, const cJSON *e)
{
    char *text = rt_json_text(e, 1);
    if (text) rt_put(t, "%s\n", text);
    else t->failed = 1;
    free(text);
}

rt_status rt_report_write(rt_report *r, cJSON *e)
{
    static void (*const form[FILES])(rt_string *, const cJSON *) = {json, rt_report_markdown, rt_report_csv,
                                                                  rt_report_html};
    rt_string file[FILES] = {{0}}, sums = {0};
    char path[1100];
    int failed = 0;
    for (int i = 0; i < FILES; i++) {
        form[i](&file[i], e);
        failed |= file[i].failed || !file[i].p;
        if (!failed) rt_put(&sums, "%s  %s\n", rt_digest_of(file[i].p, file[i].n).hex, file_name[i]);
    }
    failed |= sums.failed;
    r->written = 1;
    rt_status st = failed ? rt_fail(RT_RUN, "out of memory") : put_files(r, file, sums.p);
    for (int i = 0; i < FILES; i++) free(file[i].p);
    free(sums.p);
    path_of(path, r, "report.html");
    if (!st) cJSON_AddStringToObject(e, "report", path);
    return st;
}
