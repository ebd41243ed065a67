/* tests/faults/faults.c - kills and faults at every system call of every command.
 *
 *   faults kills|inject|flips RETORT SETUP.sh PRELOAD.so [SCENE [FAMILY [ITEM]]]
 *
 * kills: the command is killed on entry to a state-changing call, once or twice, and then run to its end: it goes on,
 * ends in the same files as a run that was left alone, and nothing else lies about; of a labelling, no block that a
 * journal told to be done is labelled again.
 * inject: one call fails, once or from there on, moves half of its bytes, or an allocation fails, or a signal comes, or
 * an input loses its second half: the command ends in the same files and output, or with exit code 4 (130 after a
 * signal, 3 where an input was cut) and one line that says why and speaks of no damage; and the next run ends in the
 * same files.
 *
 * flips: one bit of a file that retort wrote is turned over: of an input, of what a killed run left, or of what a
 * finished one made. The command then ends in the same files and output, or with exit code 2 or 3 and one line that
 * names the file. What shows files may show that it is damaged.
 *
 * SCENE is one of scenes.h, or the beginning of several before a '*' ("registry-*").
 *
 * Each scene has a list of items, visited in an order that soon has been everywhere. FAULTS_SECONDS (60), after the
 * setup, bounds a call; FAULTS_STATE names a file that keeps count, by which the next call goes on; the count begins
 * anew with another RETORT. FAULTS_IN_TURN (25) items of a scene come one after the other.
 * FAULTS_ONLY leaves out items in whose description this text is not ("memory", "signal", "is cut", "pread64 fails").
 * FAULTS_FOLDER is where it works (/dev/shm or /tmp). */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "acknowledged.h"
#include "folders.h"
#include "preload.h"
#include "scenes.h"
#include "tracer.h"

enum { ROOM = 1024, FAMILIES = 4, MOST_FAILURES = 20, DEADLINE = 60, HURRY = 300, ALLOCATIONS_APART = 10,
       PRELOAD_CALLS = 3 };               /* that the preloaded library makes before main */
static const char *const families[FAMILIES] = {"scalar", "avx2", "avx512", "amx"};

enum { MODES = 3 };
static const char *const modes[MODES] = {"kills", "inject", "flips"}, *const things[MODES] = {"kills", "faults",
                                                                                              "flips"};

/* One thing that is done to a command. */
typedef struct { plan plan; long again; preload_plan memory; int input; uint64_t draw; } item;

/* A scene in a kernel family, with its items' number and how far it is. */
typedef struct {
    const scene *scene;
    const char *family;
    outcome whole;                   /* of a run that is left alone */
    long allocations;
    long items, next, hits, points, failures;
    labelling labels;                /* of such a run, where it labels */
} course;

static struct {
    const char *retort, *setup, *preload, *state, *only;
    enum { KILLS, INJECT, FLIPS } mode;
    int verbose;
    double end;
    char folder[ROOM], base[ROOM], good[ROOM], work[ROOM], out[ROOM], err[ROOM], good_out[ROOM], plan_file[ROOM];
    uint64_t identity;               /* of the program */
    preload_plan *shared;
    course course[SCENES * FAMILIES];
    int courses;
} it;

static double seconds_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* ---- running ---- */

static int run(const course *c, const char *folder, const char *out, const plan *p, const preload_plan *memory,
               outcome *o)
{
    char text[ROOM], *argv[64];
    int n = 0;
    snprintf(text, sizeof text, "%s %s --quiet%s%s", it.retort, c->scene->command,
             c->family ? " --threads 2 --kernels " : "", c->family ? c->family : "");
    for (char *word = strtok(text, " "); word && n < 63; word = strtok(NULL, " ")) argv[n++] = word;
    argv[n] = NULL;
    *it.shared = memory ? *memory : (preload_plan){0};
    it.shared->hurry = HURRY;
    program q = {folder, argv, out, it.err, it.preload, it.plan_file, DEADLINE};
    return tracer_run(&q, p, o);
}

static int fresh(const course *c, const char *folder)
{
    char needs[ROOM];
    snprintf(needs, sizeof needs, "%s", c->scene->needs);
    if (folders_remove(folder) || mkdir(folder, 0777)) return -1;
    for (char *word = strtok(needs, " "); word; word = strtok(NULL, " "))
        if (folders_copy(it.base, folder, word)) return -1;
    return 0;
}

static void text_of(const char *path, char *text, size_t room)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? 0 : read(fd, text, room - 1);
    if (fd >= 0) close(fd);
    text[n > 0 ? n : 0] = 0;
}

static void error_text(char *text, size_t room) { text_of(it.err, text, room); }

/* The name of the f-th HDF5 file among a scene's inputs, or NULL. What the command itself changes is none. */
static const char *input_of(const course *c, int f, char *name)
{
    static char text[ROOM];
    snprintf(text, sizeof text, "%s", c->scene->needs);
    for (char *word = strtok(text, " "); word; word = strtok(NULL, " "))
        if (strstr(word, ".h5") && strncmp(word, "out", 3) && strncmp(word, ".out", 4) && f-- == 0)
            return name ? strcpy(name, word) : word;
    return NULL;
}

/* One line of ours, that names no damage, or else this file. */
static int clear_message(const char *file, char *why, size_t room)
{
    static const char *const wrong[] = {"damaged", "hostile", "truncated", "corrupt", "changed", "is no HDF5"};
    char text[4096];
    error_text(text, sizeof text);
    char *end = strchr(text, '\n');
    int bad = strncmp(text, "retort: ", 8) != 0 || !end || end[1] || end < text + 12;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) bad |= !file && strstr(text, wrong[i]);
    bad |= file && !strstr(text, file);
    if (!bad) text_of(it.out, text, sizeof text);
    bad |= strstr(text, "(null)") != NULL;
    if (bad) snprintf(why, room, "its message is '%.300s'", text);
    return !bad;
}

/* ---- one item ---- */

/* Rows that are told to be done in the folder at hand, of those that the command labels. */
static long told(const course *c)
{
    char store[ROOM], info[ROOM + 16];
    store_of(c->scene->command, store, sizeof store);
    snprintf(info, sizeof info, "'%s' info", it.retort);
    return acknowledged(it.work, store, info, c->labels);
}

/* What was labelled before people's labels came stays. */
static int keeps_labels(const course *c, char *why, size_t room)
{
    char store[ROOM], info[ROOM + 16];
    if (strcmp(c->scene->name, "labels-append-unfinished")) return 1;
    store_of(c->scene->command, store, sizeof store);
    snprintf(info, sizeof info, "'%s' info", it.retort);
    long before = labelled_in(it.base, store, info), now = labelled_in(it.work, store, info);
    if (before > 0 && now == before) return 1;
    snprintf(why, room, "%ld rows have a label, and %ld had one", now, before);
    return 0;
}

/* No block that was told to be done is labelled again. */
static int none_again(const course *c, long done, char *why, size_t room)
{
    char text[4096];
    if (c->labels.now < 0) return 1;
    text_of(it.out, text, sizeof text);
    long now = labelling_of(text).now;
    if (now >= 0 && now + done <= c->labels.now) return 1;
    snprintf(why, room, "%ld rows were told to be done, and %ld of %ld are labelled after that", done, now,
             c->labels.now);
    return 0;
}

/* The run that goes on, without faults. */
static int goes_on(const course *c, char *why, size_t room)
{
    const plan none = {.kind = PLAN_NONE};
    outcome o;
    long done = c->labels.now < 0 ? 0 : told(c);
    if (!keeps_labels(c, why, room)) return 0;
    if (run(c, it.work, it.out, &none, NULL, &o) || o.code || o.hung) {
        char text[512];
        error_text(text, sizeof text);
        snprintf(why, room, "the run that goes on: exit %d, signal %d%s: %.300s", o.code, o.signal,
                 o.hung ? ", hung" : "", text);
        return 0;
    }
    return none_again(c, done, why, room) && folders_equal(it.good, it.work, why, room);
}

/* Registries are asked whether they hold what they should: a version more, or a time, is no fault. done: whether the
 * command has said so. */
static int is_registry(const course *c)
{
    static const char *const changing[] = {"init", "add", "add-more", "protect", "anchor", "untag",
                                           "gate", "tag", "rm", "gc", "import"};
    const char *what = strncmp(c->scene->name, "registry-", 9) ? "" : c->scene->name + 9;
    for (size_t i = 0; i < sizeof changing / sizeof changing[0]; i++) if (!strcmp(what, changing[i])) return 1;
    return 0;
}

static int registry_holds(const course *c, int done, char *why, size_t room)
{
    char command[4 * ROOM], text[700];
    const char *slash = strrchr(it.setup, '/');
    snprintf(command, sizeof command, "cd '%s' && env -u LD_PRELOAD sh '%.*s/registry_holds.sh' '%s' %s %d > '%s' 2>&1",
             it.work, slash ? (int)(slash - it.setup) : 1, slash ? it.setup : ".", it.retort, c->scene->name, done,
             it.out);
    if (!system(command)) return 1;
    text_of(it.out, text, sizeof text);
    snprintf(why, room, "%s", text);
    return 0;
}

/* Exported C of which a compiler takes all files is of one export: the one that was there, or the new one. */
static int builds_one(const course *c, char *why, size_t room)
{
    static const char *const file[] = {"out.c", "out.h", "out_data.c"};
    char command[3 * ROOM], a[2 * ROOM], b[2 * ROOM];
    int old = 0, new = 0;
    if (strcmp(c->scene->name, "export-c-over")) return 1;
    snprintf(command, sizeof command, "cd '%s' && cc -fsyntax-only -I. out.c out_data.c 2> '%s'", it.work, it.err);
    if (system(command)) return 1;
    for (int i = 0; i < 3; i++) {
        snprintf(a, sizeof a, "%s/%s", it.work, file[i]);
        snprintf(b, sizeof b, "%s/%s", it.base, file[i]);
        old += folders_same_bytes(a, b);
        snprintf(b, sizeof b, "%s/%s", it.good, file[i]);
        new += folders_same_bytes(a, b);
    }
    if (old < 3 && new < 3) snprintf(why, room, "a compiler takes %d old and %d new files", old, new);
    return old == 3 || new == 3;
}

static int killed(course *c, const item *x, char *why, size_t room)
{
    outcome o;
    plan p = x->plan;
    if (run(c, it.work, it.out, &p, NULL, &o)) return -1;
    c->points += o.fired;
    if (o.hung || o.orphans) {
        snprintf(why, room, "%s", o.hung ? "hung" : "processes stayed behind");
        return 0;
    }
    if (x->again) {
        long done = c->labels.now < 0 ? 0 : told(c);
        p.nth = x->again;
        if (run(c, it.work, it.out, &p, NULL, &o)) return -1;
        c->points += o.fired;
        if (c->labels.now >= 0 && told(c) < done) {
            snprintf(why, room, "%ld rows were told to be done, and after a second kill %ld are", done, told(c));
            return 0;
        }
    }
    if (is_registry(c)) return registry_holds(c, !x->again && o.code == 0, why, room);
    return builds_one(c, why, room) && goes_on(c, why, room);
}

/* The right exit code, and a message. */
static int says_so(const course *c, const item *x, const outcome *o, char *why, size_t room)
{
    int code = x->plan.kind == PLAN_SIGNAL ? 130 : x->plan.kind == PLAN_CUT ? 3 : 4;
    char name[ROOM], text[512];
    if (o->code == code) return clear_message(code == 3 ? input_of(c, x->input, name) : NULL, why, room);
    error_text(text, sizeof text);
    snprintf(why, room, "exit %d: %.300s", o->code, text);
    return 0;
}

/* Ends as if nothing had been. A file of a lock that could not be removed may stay: who finds a step done does not
 * take that step's lock. */
static int next_run(const course *c, const item *x, char *why, size_t room)
{
    if (is_registry(c)) return registry_holds(c, 0, why, room);
    if (c->scene->reads) return folders_equal(it.good, it.work, why, room);
    if (goes_on(c, why, room)) return 1;
    const char *call = x->plan.kind == PLAN_FAIL ? tracer_call(x->plan.call)->name : "";
    int stuck = strstr(call, "unlink") || strstr(call, "stat");        /* that it is ours is looked at before */
    return stuck && strstr(why, "left over: .") && strstr(why, "retort-lock");
}

static int failed(course *c, const item *x, char *why, size_t room)
{
    outcome o;
    plan p = x->plan;
    char name[ROOM], file[2 * ROOM];
    if (p.kind == PLAN_CUT) {
        snprintf(file, sizeof file, "%s/%s", it.work, input_of(c, x->input, name));
        p.file = file;
    }
    if (run(c, it.work, it.out, &p, &x->memory, &o)) return -1;
    if (p.kind == PLAN_CUT && folders_copy(it.base, it.work, name)) return -1;
    int hit = x->memory.fail_at ? it.shared->failed > 0 : o.fired > 0;
    c->points += hit;
    if (o.hung) snprintf(why, room, "hung");
    else if (o.signal) snprintf(why, room, "signal %d", o.signal);
    else if (o.orphans) snprintf(why, room, "processes stayed behind");
    else if (o.code == 0 && is_registry(c)) return registry_holds(c, 1, why, room);
    else if (o.code == 0 && p.kind == PLAN_FAIL && strstr(tracer_call(p.call)->name, "unlink") && !c->scene->reads)
        return next_run(c, x, why, room);             /* what could not be removed is, by the next run */
    else if (o.code == 0) {
        /* What shows files shows damaged ones, too. */
        if (p.kind == PLAN_CUT && c->scene->reads) return 1;
        int told = strstr(c->scene->needs, "child_teacher") != NULL; /* that a program was started again is said */
        if (folders_equal(it.good, it.work, why, room) && (told || folders_same_text(it.good_out, it.out, why, room)))
            return 1;
        if (strstr(why, ".retort-lock")) return next_run(c, x, why, room);      /* the next one removes it */
        char text[ROOM];
        snprintf(text, sizeof text, "exit 0 with another result: %.600s", why);
        snprintf(why, room, "%s", text);
    } else if (says_so(c, x, &o, why, room))
        return next_run(c, x, why, room);
    return 0;
}

/* ---- a bit ---- */

static uint64_t mix(uint64_t x)
{
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

/* Text that people wrote has no checksum, nor have the files of other tools: of those that setup.sh makes, what retort
 * wrote to read it again is HDF5. */
static int is_foreign(const char *name)
{
    return !strstr(name, ".h5") && strcmp(name, "out") && strncmp(name, "out.", 4);
}

/* What a gate writes names its inputs by SHA-256: with another bit, in a gap of a file too, they are others. */
static int flippable(const scene *x)
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

static int flipped(course *c, const item *x, char *why, size_t room)
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
    int good = o.code == 0 && folders_equal(it.good, it.work, why, room) &&
               (left || folders_same_text(it.good_out, it.out, why, room));
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

/* ---- items by number ---- */

/* The i-th kill: first each call once, then pairs without end. */
static int kill_item(const course *c, long i, item *x)
{
    long n = c->whole.changes;
    if (n == 0 || i >= c->items) return 0;
    *x = (item){.plan = {.kind = PLAN_KILL}};
    if (i < n) {
        long step = n * 61 / 100 | 1; /* golden section: any beginning of the list is spread */
        while (n > 1 && step > 1) {
            long a = n, b = step;
            while (b) { long r = a % b; a = b; b = r; }
            if (a == 1) break;
            step += 2;
        }
        x->plan.nth = i * step % n + 1;
    } else {
        uint64_t r = mix((uint64_t)i + 0x9e3779b97f4a7c15u);
        x->plan.nth = (long)(r % (uint64_t)n) + 1;
        x->again = (long)((r >> 32) % (uint64_t)n) + 1;
    }
    return 1;
}

static const struct { int may, error;
} errors[] = {{MAY_ENOSPC, ENOSPC}, {MAY_EIO, EIO},           {MAY_EINTR, EINTR},
              {MAY_ENOMEM, ENOMEM}, {MAY_SHORT, FAULT_SHORT}, {MAY_EMFILE, EMFILE},
              {MAY_EAGAIN, EAGAIN}, {MAY_ENOLCK, ENOLCK},     {MAY_EPERM, EPERM}};
enum { ERRORS = sizeof errors / sizeof errors[0], FOR_EVER = 1 << 30, BURST = 20 };

static long allocation_items(const course *c) { return 2 * (c->allocations / ALLOCATIONS_APART + 1); }

/* All faults are numbered: calls by errors by once and on by places; then allocations; then signals; then inputs that
 * are cut. x NULL: counts. */
static long fault_item(const course *c, long i, item *x)
{
    static const int stops[] = {SIGTERM, SIGINT, SIGHUP};
    long at = 0;
    const traced_call *call;
    for (int k = 0; (call = tracer_call(k)); k++)
        for (int e = 0; e < ERRORS; e++) {
            if (!(call->faults & errors[e].may)) continue;
            long n = 2 * c->whole.count[k];
            if (x && i < at + n) {
                int on = errors[e].error == EINTR || errors[e].error == EAGAIN ? BURST : FOR_EVER;
                *x = (item){.plan = {PLAN_FAIL, k, errors[e].error, (i - at) / 2 + 1, (i - at) % 2 ? on : 1, NULL}};
                return 1;
            }
            at += n;
        }
    long n = allocation_items(c);
    if (x && i < at + n) {
        *x = (item){.memory = {.fail_at = (i - at) / 2 * ALLOCATIONS_APART + 1, .from_there_on = (i - at) % 2}};
        return 1;
    }
    at += n;
    n = c->whole.all - PRELOAD_CALLS;
    if (x && i < at + n) {
        *x = (item){.plan = {.kind = PLAN_SIGNAL, .error = stops[(i - at) % 3], .nth = i - at + 1 + PRELOAD_CALLS}};
        return 1;
    }
    at += n;
    for (int f = 0; input_of(c, f, NULL); f++, at += n)
        if (x && i < at + n) {
            *x = (item){.plan = {.kind = PLAN_CUT, .nth = i - at + 1}, .input = f};
            return 1;
        }
    return at;
}

/* Half of the flips of a command that writes are in what it left behind: killed at a call, or at its end. */
static int flip_item(const course *c, long i, item *x)
{
    uint64_t r = mix((uint64_t)i * 2654435761u + 12345);
    long n = c->whole.changes + c->whole.changes / 4;
    *x = (item){.plan = {.kind = PLAN_NONE}, .draw = r};
    if (n && i % 2) x->plan = (plan){.kind = PLAN_KILL, .nth = (long)((r >> 20) % (uint64_t)n) + 1};
    return 1;
}

static int item_of(const course *c, long i, item *x)
{
    if (it.mode == KILLS) return kill_item(c, i, x);
    if (it.mode == FLIPS) return flip_item(c, i, x);
    /* Places near each other fail alike: the order jumps. A prime larger than any list makes every number come once. */
    return i < c->items && (int)fault_item(c, (long)((uint64_t)i * 1000003u % (uint64_t)c->items), x);
}

static void describe(const course *c, const item *x, long number, char *text, size_t room)
{
    const plan *p = &x->plan;
    int n = snprintf(text, room, "%s %s item %ld: ", c->scene->name, c->family ? c->family : "-", number);
    text += n, room -= (size_t)n;
    if (it.mode == FLIPS) snprintf(text, room, "a bit of %s", p->kind == PLAN_KILL ? "what a run left" : "an input");
    else if (p->kind == PLAN_KILL && x->again) snprintf(text, room, "kills at calls %ld and %ld", p->nth, x->again);
    else if (p->kind == PLAN_KILL) snprintf(text, room, "kill at call %ld", p->nth);
    else if (p->kind == PLAN_SIGNAL) snprintf(text, room, "signal %d at call %ld", p->error, p->nth);
    else if (p->kind == PLAN_CUT) snprintf(text, room, "%s is cut at call %ld", input_of(c, x->input, NULL), p->nth);
    else if (p->kind == PLAN_FAIL)
        snprintf(text, room, "%s %s at %s %ld%s", tracer_call(p->call)->name, "fails",
                 p->error == FAULT_SHORT ? "(half)" : strerrorname_np(p->error), p->nth, p->burst > 1 ? " and on" : "");
    else
        snprintf(text, room, "no memory at allocation %ld%s", x->memory.fail_at,
                 x->memory.from_there_on ? " and on" : "");
}

/* ---- courses ---- */

/* A run that is left alone gives the counts and what all others are compared with. -1: it does not run here. */
static int prepare(course *c)
{
    const plan count = {.kind = PLAN_COUNT};
    if (fresh(c, it.good) || run(c, it.good, it.good_out, &count, NULL, &c->whole) || c->whole.code || c->whole.hung) {
        char text[512];
        error_text(text, sizeof text);
        fprintf(stderr, "faults: %s does not run: exit %d: %s\n", c->scene->name, c->whole.code, text);
        return -1;
    }
    char text[4096];
    text_of(it.good_out, text, sizeof text);
    c->labels = labelling_of(text);
    c->allocations = it.shared->count;
    c->items = it.mode == INJECT ? fault_item(c, 0, NULL) : it.mode == FLIPS || c->whole.changes ? 1L << 40 : 0;
    return 0;
}

static int has_family(const char *family)
{
    course c = {.scene = &scenes[SCENES - 1], .family = family};
    const plan none = {.kind = PLAN_NONE};
    outcome o;
    return !fresh(&c, it.work) && !run(&c, it.work, it.out, &none, NULL, &o) && o.code == 0;
}

static int try_item(course *c, long number)
{
    item x;
    char why[ROOM] = "";
    char text[ROOM];
    if (!item_of(c, number, &x)) return -1;
    describe(c, &x, number, text, sizeof text);
    if (it.only && !strstr(text, it.only)) return 0;
    if (fresh(c, it.work)) return -1;
    long before = c->points;
    int ok = (it.mode == KILLS ? killed : it.mode == FLIPS ? flipped : failed)(c, &x, why, sizeof why);
    if (ok < 0) return -1;
    c->hits += c->points > before;
    if (!ok || it.verbose) {
        printf("%s%s%s%s\n", ok ? "" : "FAILED: ", text, ok ? "" : ": ", why);
        fflush(stdout);
    }
    c->failures += !ok;
    return 0;
}

/* ---- what is kept ---- */

static void load_state(void)
{
    FILE *f = it.state ? fopen(it.state, "r") : NULL;
    char mode[32], name[64], family[32];
    unsigned long long identity;
    long next, points, failures;
    while (f &&
           fscanf(f, "%31s %llx %63s %31s %ld %ld %ld", mode, &identity, name, family, &next, &points, &failures) == 7)
        for (int i = 0; i < it.courses; i++) {
            course *c = &it.course[i];
            if (identity != it.identity || strcmp(mode, modes[it.mode]) ||
                strcmp(name, c->scene->name) || strcmp(family, c->family ? c->family : "-"))
                continue;
            c->next = next;
            c->points = points;
            c->failures = failures;
        }
    if (f) fclose(f);
}

static void save_state(void)
{
    char temp[ROOM];
    if (!it.state) return;
    snprintf(temp, sizeof temp, "%s.new", it.state);
    FILE *f = fopen(temp, "w");
    for (int i = 0; f && i < it.courses; i++) {
        const course *c = &it.course[i];
        fprintf(f, "%s %llx %s %s %ld %ld %ld\n", modes[it.mode], (unsigned long long)it.identity,
                c->scene->name, c->family ? c->family : "-", c->next, c->points, c->failures);
    }
    if (f && !fclose(f)) rename(temp, it.state);
}

static uint64_t identity_of(const char *path)
{
    uint64_t h = 14695981039346656037u;
    FILE *f = fopen(path, "r");
    for (int c; f && (c = getc(f)) != EOF;) h = (h ^ (uint64_t)c) * 1099511628211u;
    if (f) fclose(f);
    return h;
}

/* ---- all ---- */

static int make_folders(void)
{
    const char *where = getenv("FAULTS_FOLDER");
    char command[3 * ROOM];
    if (!where) where = access("/dev/shm", W_OK) ? "/tmp" : "/dev/shm";
    snprintf(it.folder, sizeof it.folder, "%.900s/retort-faults-XXXXXX", where);
    if (!mkdtemp(it.folder)) return -1;
    struct {
        char *to;
        const char *name;
    } const part[] = {{it.base, "base"},     {it.good, "good"},  {it.work, "work"},
                      {it.out, "stdout"},    {it.err, "stderr"}, {it.good_out, "good-stdout"},
                      {it.plan_file, "plan"}};
    for (size_t i = 0; i < sizeof part / sizeof part[0]; i++)
        snprintf(part[i].to, ROOM, "%.990s/%s", it.folder, part[i].name);
    int fd = open(it.plan_file, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (fd < 0 || ftruncate(fd, sizeof *it.shared) || mkdir(it.base, 0777)) return -1;
    it.shared = mmap(NULL, sizeof *it.shared, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (it.shared == MAP_FAILED) return -1;
    snprintf(command, sizeof command, "sh '%s' '%s' '%s'", it.setup, it.retort, it.base);
    return system(command) ? -1 : 0;
}

/* A scene's name, or its beginning before '*'. */
static int named(const char *pattern, const char *name)
{
    size_t n = strcspn(pattern, "*");
    return pattern[n] ? !strncmp(pattern, name, n) : !strcmp(pattern, name);
}

static void add_courses(const char *scene_name, const char *family)
{
    for (int f = 0; f < FAMILIES; f++) {
        int here = has_family(families[f]);
        for (int s = 0; s < SCENES && here; s++) {
            const scene *x = &scenes[s];
            if ((scene_name && !named(scene_name, x->name)) || (!x->families && f) || (it.mode == KILLS && x->reads))
                continue;
            if (it.mode == FLIPS && !flippable(x)) continue;
            if (x->families && family && strcmp(family, families[f])) continue;
            it.course[it.courses++] = (course){.scene = x, .family = x->families ? families[f] : NULL};
        }
    }
}

/* Courses in turn, some items each, until time is up or all is done. */
static int sweep(void)
{
    enum { IN_TURN = 25 };
    int share = getenv("FAULTS_IN_TURN") ? atoi(getenv("FAULTS_IN_TURN")) : IN_TURN, left = 1;
    while (left && seconds_now() < it.end) {
        left = 0;
        for (int i = 0; i < it.courses && seconds_now() < it.end; i++) {
            course *c = &it.course[i];
            if ((c->items && c->next >= c->items) || c->failures >= MOST_FAILURES) continue;
            if (prepare(c)) return 1;
            if (!c->items) { c->next = 1, c->items = 1; continue; }
            for (int k = 0; k < share && c->next < c->items && seconds_now() < it.end; k++) {
                if (try_item(c, c->next)) return 1;
                c->next++;
                if (c->failures >= MOST_FAILURES) break;
            }
            left |= c->next < c->items;
            save_state();
        }
    }
    return 0;
}

static int report(int broken)
{
    long points = 0, failures = 0;
    for (int i = 0; i < it.courses; i++) {
        const course *c = &it.course[i];
        printf("%-20s %-7s %7ld %s, %ld failures%s\n", c->scene->name, c->family ? c->family : "-", c->points,
               things[it.mode], c->failures, it.mode == INJECT && c->items && c->next >= c->items ? ", all" : "");
        points += c->points;
        failures += c->failures;
    }
    printf("%s: %ld %s, %ld failures\n", modes[it.mode], points, things[it.mode], failures);
    return broken || failures || !points;
}

int main(int argc, char **argv)
{
    int mode = 0;
    while (argc >= 5 && mode < MODES && strcmp(argv[1], modes[mode])) mode++;
    if (argc < 5 || argc > 8 || mode == MODES) {
        fprintf(stderr, "usage: faults kills|inject|flips RETORT SETUP.sh PRELOAD.so [SCENE [FAMILY [ITEM]]]\n");
        return 2;
    }
#if !defined(__x86_64__)
    fprintf(stderr, "faults: skipped: the tracer knows x86-64 alone\n");
    return 77;
#endif
    setenv("SOURCE_DATE_EPOCH", "1600000000", 1);          /* a verdict is dated; runs are compared to the byte */
    it.mode = mode;
    it.retort = argv[2];
    it.setup = argv[3];
    it.preload = argv[4];
    it.state = argc > 5 ? NULL : getenv("FAULTS_STATE");
    it.only = getenv("FAULTS_ONLY");
    it.identity = identity_of(it.retort);
    int broken = make_folders();
    if (broken) fprintf(stderr, "faults: the inputs could not be made in %s\n", it.folder);
    if (!broken) add_courses(argc > 5 ? argv[5] : NULL, argc > 6 && strcmp(argv[6], "-") ? argv[6] : NULL);
    if (!broken && !it.courses) broken = 1;
    load_state();
    it.end = seconds_now() + (getenv("FAULTS_SECONDS") ? atof(getenv("FAULTS_SECONDS")) : 60);
    if (!broken && argc == 8) {
        it.verbose = 1;
        it.shared->hurry = 0;
        for (int i = 0; i < it.courses; i++) broken |= prepare(&it.course[i]) || try_item(&it.course[i], atol(argv[7]));
        printf("what is left is in %s\n", it.folder);
        return broken || it.course[0].failures;
    }
    if (!broken) broken = sweep();
    int status = report(broken);
    folders_remove(it.folder);
    return status;
}
