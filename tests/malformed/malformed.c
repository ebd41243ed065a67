/* malformed RETORT BASES COUNT [FOLDER] - files that are not what they claim to be, shown to the program.
 *
 * Cases are numbered: first the files of FOLDER (or of each folder in it), then MUTATIONS changes of the files in
 * BASES, by the number alone. Each is shown by 'info', and to the commands that would use it. The program must end by
 * itself, within CPU_SECONDS of its own and its child's together, and neither may take more than MEMORY_MIB and the
 * file's size. COUNT keeps the counts and the next number, so that a run goes on where the last one stopped; the
 * count begins anew with another RETORT or other files. MALFORMED_SECONDS bounds a run, MALFORMED_CASES takes so many
 * cases, evenly spread. */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <inttypes.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { MUTATIONS = 2400, MAX_FILES = 2048, MAX_BYTES = 4 << 20, CPU_SECONDS = 5, WALL_SECONDS = 120,
       MEMORY_MIB = 256 + 64 + 64, CODES = 8 };

typedef struct {
    uint64_t of;                                                /* the program and the files that were counted */
    long next, runs, deaths, slow, large, odd, code[CODES];
    double most_cpu;
    long most_kib;
} counts;

static char *files[MAX_FILES], *bases[MAX_FILES];
static int n_files, n_bases;
static unsigned char bytes[MAX_BYTES + 64];
static size_t size;
static uint64_t state;

static uint64_t chance(uint64_t below)                 /* splitmix64 */
{
    uint64_t z = state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return below ? (z ^ (z >> 31)) % below : 0;
}

/* ---- changes ---- */

#define ROTATE(x, k) (((x) << (k)) | ((x) >> (32 - (k))))
/* Bob Jenkins's lookup3, by which HDF5 checks its newer metadata. */
static uint32_t lookup3(const unsigned char *p, size_t n)
{
    uint32_t a, b, c, w[3];
    a = b = c = 0xdeadbeef + (uint32_t)n;
    for (; n > 12; n -= 12, p += 12) {
        memcpy(w, p, 12);
        a += w[0], b += w[1], c += w[2];
        a -= c, a ^= ROTATE(c, 4), c += b, b -= a, b ^= ROTATE(a, 6), a += c, c -= b, c ^= ROTATE(b, 8), b += a;
        a -= c, a ^= ROTATE(c, 16), c += b, b -= a, b ^= ROTATE(a, 19), a += c, c -= b, c ^= ROTATE(b, 4), b += a;
    }
    if (!n) return c;
    memset(w, 0, sizeof w);
    memcpy(w, p, n);
    a += w[0], b += w[1], c += w[2];
    c ^= b, c -= ROTATE(b, 14), a ^= c, a -= ROTATE(c, 11), b ^= a, b -= ROTATE(a, 25), c ^= b, c -= ROTATE(b, 16);
    a ^= c, a -= ROTATE(c, 4), b ^= a, b -= ROTATE(a, 14), c ^= b, c -= ROTATE(b, 24);
    return c;
}

static void put_checksum(size_t from, size_t n)
{
    if (from + n + 4 > size) return;
    uint32_t sum = lookup3(bytes + from, n);
    memcpy(bytes + from + n, &sum, 4);
}

static int is_at(size_t i, const char *signature) { return i + 4 <= size && !memcmp(bytes + i, signature, 4); }

/* Checksums of what was changed are made good where that is simple, so that the change is seen by what reads it. */
static void make_good(void)
{
    if (size > 48 && !memcmp(bytes, "\211HDF", 4) && bytes[8] >= 2) put_checksum(0, 44);
    for (size_t i = 0; i + 64 < size; i++) {
        if (!is_at(i, "OHDR") && !is_at(i, "FRHP") && !is_at(i, "BTHD")) continue;
        if (is_at(i, "BTHD")) put_checksum(i, 34);
        if (!is_at(i, "OHDR")) continue;
        int flags = bytes[i + 5], width = 1 << (flags & 3);
        size_t at = i + 6 + (flags & 0x20 ? 16 : 0) + (flags & 0x10 ? 4 : 0), n = 0;
        for (int k = 0; k < width && k < 4; k++) n |= (size_t)bytes[at + (size_t)k] << (8 * k);
        if (n < size) put_checksum(i, at + (size_t)width + n - i);
    }
}

static void write_value(size_t at)
{
    static const uint64_t values[] = {0,
                                      1,
                                      2,
                                      0x7f,
                                      0x80,
                                      0xff,
                                      0xffff,
                                      0x7fffffff,
                                      0x80000000u,
                                      0xffffffffu,
                                      INT64_MAX,
                                      (uint64_t)1 << 60,
                                      (uint64_t)1 << 63,
                                      UINT64_MAX};
    uint64_t v = values[chance(sizeof values / sizeof values[0])];
    if (chance(3) == 0) v = chance(2) ? size : chance(size);
    size_t n = (size_t)1 << chance(4);
    if (at + n <= size) memcpy(bytes + at, &v, n);
}

/* A field of a structure of the format: superblock, object header, heap, B-tree, index of chunks. */
static void change_structure(void)
{
    static const char *const signatures[] = {"\211HDF", "TREE", "HEAP", "SNOD", "OHDR", "OCHK", "FRHP", "FHDB", "FHIB",
                                             "GCOL",    "BTHD", "BTLF", "BTIN", "FAHD", "FADB", "EAHD", "EAIB", "EADB"};
    size_t found[256], n = 0;
    for (size_t i = 0; i + 4 <= size && n < 256; i++)
        for (size_t k = 0; k < sizeof signatures / sizeof signatures[0]; k++)
            if (is_at(i, signatures[k])) found[n++] = i;
    if (!n) return;
    for (uint64_t k = 1 + chance(2); k; k--) write_value(found[chance(n)] + 4 + chance(chance(2) ? 24 : 200));
    make_good();
}

/* Text that lies in the file: a number becomes absurd, a bracket opens for ever, a key stands twice. */
static void change_manifest(void)
{
    size_t from = size, to = size;
    for (size_t i = 0; i + 2 < size && from == size; i++) if (bytes[i] == '{' && bytes[i + 1] == '"') from = i;
    for (to = from; to < size && bytes[to]; to++) ;
    if (to - from < 16) {
        change_structure();
        return;
    }
    size_t at = from + chance(to - from - 8);
    static const char *const texts[] = {"99999999", "-1",          "1e999",      "[[[[[[[[",
                                        "null",     "\"\033[2J\"", "{\"a\":{\"", "0.5"};
    int digits = chance(2) == 0;
    for (size_t i = at; digits && i < to; i++)
        if (bytes[i] >= '0' && bytes[i] <= '9') {
            bytes[i] = (unsigned char)('0' + chance(10));
            if (i + 6 < to && chance(2)) memset(bytes + i, '9', 6);
            return;
        }
    const char *t = texts[chance(sizeof texts / sizeof texts[0])];
    if (at + strlen(t) < to) memcpy(bytes + at, t, strlen(t));
}

static void mutate(long number)
{
    state = (uint64_t)number * 0x2545f4914f6cdd1du;
    switch (chance(8)) {
    case 0:
        for (uint64_t k = 1 + chance(4); k; k--) bytes[chance(size)] ^= (unsigned char)(1 << chance(8));
        break;
    case 1: size = chance(size); break;
    case 2: memset(bytes + chance(size), chance(2) ? 0xff : 0, 1 + chance(16)); break;
    case 3: {
        size_t n = 1 + chance(64), from = chance(size), to = chance(size);
        if (from + n <= size && to + n <= size) memmove(bytes + to, bytes + from, n);
        break;
    }
    case 4: case 5: change_manifest(); break;
    default: change_structure(); break;
    }
}

/* ---- running ---- */

static void run(counts *c, const char *what, char **argv, size_t file_bytes)
{
    struct rusage used;
    int status, null;
    pid_t pid = fork();
    if (pid == 0) {
        null = open("/dev/null", O_RDWR);
        for (int i = 0; i < 3; i++) dup2(null, i);
        alarm(WALL_SECONDS);
        execv(argv[0], argv);
        _exit(127);
    }
    while (wait4(pid, &status, 0, &used) < 0 && errno == EINTR) ;
    double cpu = (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
                 1e-6 * (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec);
    c->runs++;
    if (cpu > c->most_cpu) c->most_cpu = cpu;
    if (used.ru_maxrss > c->most_kib) c->most_kib = used.ru_maxrss;
    if (WIFSIGNALED(status)) c->deaths++;
    else if (WEXITSTATUS(status) < CODES) c->code[WEXITSTATUS(status)]++;
    int odd = WIFEXITED(status) && (WEXITSTATUS(status) == 4 || WEXITSTATUS(status) >= CODES);
    int slow = cpu > CPU_SECONDS, large = used.ru_maxrss > MEMORY_MIB * 1024L + (long)(file_bytes >> 10);
    c->odd += odd;
    c->slow += slow;
    c->large += large;
    if (WIFSIGNALED(status) || slow || large || odd)
        printf("case %ld %s, %s: status %#x, %.2f s, %ld KiB\n", c->next, what, argv[1], status, cpu, used.ru_maxrss);
}

static int read_file(const char *path)
{
    FILE *f = fopen(path, "rb");
    if (!f) return 0;
    size = fread(bytes, 1, MAX_BYTES, f);
    fclose(f);
    return size > 0;
}

/* Each command that could be given the file, one after the other by the number of the case. */
static void show(counts *c, char *retort, const char *what, char *path, char *bases_folder, size_t file_bytes)
{
    char good[4200], teacher[4200], labels[4300], source[4300];
    snprintf(good, sizeof good, "%s/data.h5", bases_folder);
    snprintf(teacher, sizeof teacher, "%s/model.h5", bases_folder);
    snprintf(labels, sizeof labels, "data.labels=%s", path);
    snprintf(source, sizeof source, "data.source=%s", path);
    char *const uses[][9] = {
        {retort, "export", path, "--out", "out.npz", "--quiet"},
        {retort, "export", path, "--out", "out.npy", "--quiet"},
        {retort, "export", path, "--out", "out.csv", "--quiet"},
        {retort, "label", "--teacher", path, "--data", good, "--out", "out", "--quiet"},
        {retort, "label", "--teacher", teacher, "--data", path, "--out", "out", "--quiet"},
        {retort, "train", "model.json", "--out", "out", "--quiet", labels},
        {retort, "train", "heads.json", "--out", "out", "--quiet", labels},
        {retort, "train", "model.json", "--out", "out", "--quiet", source},
    };
    enum { USES = sizeof uses / sizeof uses[0] };
    char *argv[10] = {NULL};
    memcpy(argv, uses[((uint32_t)c->next * 2654435761u >> 8) % USES], sizeof uses[0]);
    run(c, what, (char *[]){retort, "info", path, "--quiet", NULL}, file_bytes);
    run(c, what, argv, file_bytes);
    if (system("rm -rf out out.*")) exit(4);
}

static int add_file(const char *path, const struct stat *s, int kind, struct FTW *w)
{
    (void)w;
    const char *dot = strrchr(path, '.');
    if (kind == FTW_F && s->st_size < MAX_BYTES && n_files < MAX_FILES && (!dot || strcmp(dot, ".tsv")))
        files[n_files++] = strdup(path);
    return 0;
}

static int by_name(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

static void list(char *folder, char **to, int *n)
{
    n_files = 0;
    nftw(folder, add_file, 16, FTW_PHYS);
    qsort(files, (size_t)n_files, sizeof *files, by_name);
    memcpy(to, files, (size_t)n_files * sizeof *files);
    *n = n_files;
}

/* FNV-1a over a file's name and bytes. */
static uint64_t hash_file(uint64_t h, const char *path)
{
    FILE *f = fopen(path, "rb");
    for (const char *p = path; *p; p++) h = (h ^ (unsigned char)*p) * 1099511628211u;
    for (int b; f && (b = getc(f)) != EOF;) h = (h ^ (unsigned)b) * 1099511628211u;
    if (f) fclose(f);
    return h;
}

static void load(counts *c, const char *path, uint64_t of)
{
    FILE *f = fopen(path, "r");
    int n = 0;
    if (f) {
        n = fscanf(f, "%" SCNx64 "%ld %ld %ld %ld %ld %ld %lf %ld", &c->of, &c->next, &c->runs, &c->deaths, &c->slow,
                   &c->large, &c->odd, &c->most_cpu, &c->most_kib);
        for (int i = 0; i < CODES; i++) n += fscanf(f, "%ld", &c->code[i]) == 1;
        fclose(f);
    }
    if (n != 9 + CODES || c->of != of) *c = (counts){.of = of};
}

static int save(const counts *c, const char *path)
{
    FILE *f = fopen(path, "w");
    if (!f) return 1;
    fprintf(f, "%" PRIx64 " %ld %ld %ld %ld %ld %ld %.3f %ld", c->of, c->next, c->runs, c->deaths, c->slow, c->large,
            c->odd, c->most_cpu, c->most_kib);
    for (int i = 0; i < CODES; i++) fprintf(f, " %ld", c->code[i]);
    fprintf(f, "\n");
    return fclose(f) != 0;
}

static long number_of(const char *name, long otherwise)
{
    const char *v = getenv(name);
    return v && *v ? atol(v) : otherwise;
}

int main(int argc, char **argv)
{
    static char *given[MAX_FILES];
    int n_given = 0;
    counts c;
    if (argc < 4) return 2;
    list(argv[2], bases, &n_bases);
    if (argc > 4 && *argv[4]) list(argv[4], given, &n_given);
    if (!n_bases) return 2;
    uint64_t of = hash_file(14695981039346656037u, argv[1]);
    for (int i = 0; i < n_given; i++) of = hash_file(of, given[i]);
    load(&c, argv[3], of);
    long all = n_given + MUTATIONS, few = number_of("MALFORMED_CASES", 0), step = few ? all / few : 1;
    time_t end = time(NULL) + number_of("MALFORMED_SECONDS", 600);
    long shown = 0;
    for (; c.next < all && time(NULL) < end; c.next += step, shown++) {
        char what[4200], path[] = "case.h5";
        long m = c.next - n_given;
        char *from = m < 0 ? given[c.next] : bases[m % n_bases];
        if (!read_file(from)) continue;
        if (m >= 0) mutate(m);
        FILE *f = fopen(path, "wb");
        if (!f || fwrite(bytes, 1, size, f) != size || fclose(f)) return 4;
        snprintf(what, sizeof what, "(%.4000s%s)", from, m < 0 ? "" : " changed");
        show(&c, argv[1], what, path, argv[2], size);
        if (!few && save(&c, argv[3])) return 4;
    }
    if (!few && save(&c, argv[3])) return 4;
    printf(
        "malformed: %ld of %ld cases (%d given, %d changes), %ld runs: %ld deaths, %ld over %d s of CPU, "
        "%ld over %d MiB, %ld called a machine's fault; most %.2f s, %ld MiB; exit codes",
        few            ? shown
        : c.next < all ? c.next
                       : all,
        all, n_given, MUTATIONS, c.runs, c.deaths, c.slow, CPU_SECONDS, c.large, MEMORY_MIB, c.odd, c.most_cpu,
        c.most_kib >> 10);
    for (int i = 0; i < CODES; i++) if (c.code[i]) printf(" %d: %ld", i, c.code[i]);
    printf("\n");
    return c.deaths || c.slow || c.large || c.odd;
}
