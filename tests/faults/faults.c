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
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "faults.h"
#include "folders.h"
#include "scenes.h"

enum { FAMILIES = 4, MOST_FAILURES = 20, MODES = 3 };
static const char *const families[FAMILIES] = {"scalar", "avx2", "avx512", "amx"};
static const char *const modes[MODES] = {"kills", "inject", "flips"}, *const things[MODES] = {"kills", "faults",
                                                                                              "flips"};

struct faults it;
static course every[SCENES * FAMILIES];
static int courses;

static double seconds_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
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
    c->items = it.mode == INJECT ? count_faults(c) : it.mode == FLIPS || c->whole.changes ? 1L << 40 : 0;
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
        for (int i = 0; i < courses; i++) {
            course *c = &every[i];
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
    for (int i = 0; f && i < courses; i++) {
        const course *c = &every[i];
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
            every[courses++] = (course){.scene = x, .family = x->families ? families[f] : NULL};
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
        for (int i = 0; i < courses && seconds_now() < it.end; i++) {
            course *c = &every[i];
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
    for (int i = 0; i < courses; i++) {
        const course *c = &every[i];
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
    if (!broken && !courses) broken = 1;
    load_state();
    it.end = seconds_now() + (getenv("FAULTS_SECONDS") ? atof(getenv("FAULTS_SECONDS")) : 60);
    if (!broken && argc == 8) {
        it.verbose = 1;
        it.shared->hurry = 0;
        for (int i = 0; i < courses; i++) broken |= prepare(&every[i]) || try_item(&every[i], atol(argv[7]));
        printf("what is left is in %s\n", it.folder);
        return broken || every[0].failures;
    }
    if (!broken) broken = sweep();
    int status = report(broken);
    folders_remove(it.folder);
    return status;
}
