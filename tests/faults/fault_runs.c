/* tests/faults/fault_runs.c - a command with its inputs: run to its end, killed, or with calls that fail, and gone on
 * with. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "faults.h"
#include "folders.h"

/* ---- running ---- */

int run(const course *c, const char *folder, const char *out, const plan *p, const preload_plan *memory,
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

int fresh(const course *c, const char *folder)
{
    char needs[ROOM];
    snprintf(needs, sizeof needs, "%s", c->scene->needs);
    if (folders_remove(folder) || mkdir(folder, 0777)) return -1;
    for (char *word = strtok(needs, " "); word; word = strtok(NULL, " "))
        if (folders_copy(it.base, folder, word)) return -1;
    return 0;
}

void text_of(const char *path, char *text, size_t room)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? 0 : read(fd, text, room - 1);
    if (fd >= 0) close(fd);
    text[n > 0 ? n : 0] = 0;
}

void error_text(char *text, size_t room) { text_of(it.err, text, room); }

/* The name of the f-th HDF5 file among a scene's inputs, or NULL. What the command itself changes is none. */
const char *input_of(const course *c, int f, char *name)
{
    static char text[ROOM];
    snprintf(text, sizeof text, "%s", c->scene->needs);
    for (char *word = strtok(text, " "); word; word = strtok(NULL, " "))
        if (strstr(word, ".h5") && strncmp(word, "out", 3) && strncmp(word, ".out", 4) && f-- == 0)
            return name ? strcpy(name, word) : word;
    return NULL;
}

/* One line of ours, that names no damage, or else this file. */
int clear_message(const char *file, char *why, size_t room)
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

int killed(course *c, const item *x, char *why, size_t room)
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

int failed(course *c, const item *x, char *why, size_t room)
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
