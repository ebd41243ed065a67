/* tests/faults/fault_flips.c - one bit of a file that retort wrote is turned over before it is read. */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "faults.h"
#include "folders.h"

/* Text that people wrote has no checksum, nor have the files of other tools: of those that setup.sh makes, what retort
 * wrote to read it again is HDF5. */
static int is_foreign(const char *name)
{
    return !strstr(name, ".h5") && strcmp(name, "out") && strncmp(name, "out.", 4);
}

/* What a gate writes names its inputs by SHA-256: with another bit, in a gap of a file too, they are others. */
int flippable(const scene *x)
{
    return strncmp(x->name, "gate", 4) && strncmp(x->name, "registry", 8) && (strstr(x->needs, ".h5") || !x->reads);
}

/* The files of a folder, by name, as far as the list has room. */
static int list_files(const char *folder, int top, char (*path)[ROOM], int n, int room)
{
    struct dirent **e;
    int entries = scandir(folder, &e, NULL, alphasort);
    for (int i = 0; i < entries; i++) {
        struct stat s;
        char at[ROOM];
        int skip = !strcmp(e[i]->d_name, ".") || !strcmp(e[i]->d_name, "..") || (top && is_foreign(e[i]->d_name));
        snprintf(at, sizeof at, "%.700s/%.250s", folder, e[i]->d_name);
        if (!skip && !lstat(at, &s) && S_ISDIR(s.st_mode)) n = list_files(at, 0, path, n, room);
        else if (!skip && n < room && S_ISREG(s.st_mode) && s.st_size) strcpy(path[n++], at);
        free(e[i]);
    }
    if (entries >= 0) free(e);
    return n;
}

/* Turns a bit over; the file keeps its times, as one would whose disk forgets. */
static int flip(const char *path, uint64_t bit)
{
    struct stat s;
    unsigned char c = 0;
    int fd = open(path, O_RDWR | O_CLOEXEC);
    int bad = fd < 0 || fstat(fd, &s) || pread(fd, &c, 1, (off_t)(bit / 8)) != 1;
    c = (unsigned char)(c ^ (1u << bit % 8));
    bad = bad || pwrite(fd, &c, 1, (off_t)(bit / 8)) != 1 || futimens(fd, (struct timespec[]){s.st_atim, s.st_mtim});
    if (fd >= 0) close(fd);
    return bad;
}

static const char *base_name(const char *path) { return strrchr(path, '/') + 1; }

/* What shows files shows what is wrong with them; a report says why it lacks a curve. */
static int shows_damage(const char *path)
{
    static const char *const said[] = {"damaged", "cannot_be_read", "do not match", "checksum", "not read", "refused"};
    char text[1 << 16];
    text_of(path, text, sizeof text);
    for (size_t i = 0; i < sizeof said / sizeof said[0]; i++) if (strstr(text, said[i])) return 1;
    return 0;
}

static int byte_at(const char *path, uint64_t at)
{
    unsigned char c = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC), there = fd >= 0 && pread(fd, &c, 1, (off_t)at) == 1;
    if (fd >= 0) close(fd);
    return there ? c : -1;
}

/* The bit is in a gap of a file, where a run that nothing happened to has zeros and nobody reads: it stays turned over.
 */
static int in_a_gap(const char *victim, uint64_t bit)
{
    char good[3 * ROOM];
    snprintf(good, sizeof good, "%s%s", it.good, victim + strlen(it.work));
    return byte_at(good, bit / 8) == 0 && byte_at(victim, bit / 8) == 1 << bit % 8 && !flip(victim, bit);
}

int flipped(course *c, const item *x, char *why, size_t room)
{
    enum { MOST = 64 };
    static char path[MOST][ROOM];
    const plan none = {.kind = PLAN_NONE};
    char before[2 * ROOM], text[512];
    struct stat s;
    outcome o;
    int left = x->plan.kind == PLAN_KILL;
    if (left && run(c, it.work, it.out, &x->plan, NULL, &o)) return -1;
    int n = list_files(it.work, 1, path, 0, MOST);
    if (!n) return 1;
    const char *victim = path[(x->draw >> 8) % (uint64_t)n];
    if (stat(victim, &s)) return -1;
    uint64_t bit = mix(x->draw) % ((uint64_t)s.st_size * 8);
    snprintf(before, sizeof before, "%s/flipped", it.folder);
    if (flip(victim, bit)) return -1;
    folders_remove(before);
    if (mkdir(before, 0777) || folders_copy_file(victim, before, "file")) return -1;
    c->points++;
    if (run(c, it.work, it.out, &none, NULL, &o)) return -1;
    error_text(text, sizeof text);
    char stays[3 * ROOM];
    snprintf(stays, sizeof stays, "%s/file", before);
    int same = folders_same_bytes(stays, victim);
    if (same && flip(victim, bit)) return -1;
    if (!same && o.code == 0) in_a_gap(victim, bit);
    /* A step's key is over its inputs' bytes, those that mean nothing too, which are zeros. */
    folders_leave_out(same && byte_at(victim, bit / 8) == 0 ? "\"hash\":" : NULL);
    int good = o.code == 0 && folders_equal(it.good, it.work, why, room) &&
               (left || shows_damage(it.out) || folders_same_text(it.good_out, it.out, why, room));
    folders_leave_out(NULL);
    if (o.hung || o.signal || o.orphans) snprintf(why, room, o.hung ? "hung" : o.signal ? "a signal" : "orphans");
    else if (good || (o.code == 0 && c->scene->reads && shows_damage(it.out))) return 1;
    else if (o.code == 0 && strstr(why, "/evaluation.json: ") && strstr(victim, "/result.json")) {
        *strstr(strchr(why, '/'), ": ") = 0;
        if (shows_damage(strchr(why, '/'))) return 1;
    }
    else if ((o.code == 2 || o.code == 3) && clear_message(base_name(victim), why, room)) return 1;
    char reason[ROOM];
    snprintf(reason, sizeof reason, "bit %llu of %.300s%s: exit %d: %.300s", (unsigned long long)bit,
             victim + strlen(it.work) + 1, same ? "" : " (written anew)", o.code, *why && !o.code ? why : text);
    snprintf(why, room, "%s", reason);
    return 0;
}
