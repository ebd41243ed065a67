/* tests/teacher/child_teacher.c - a program that answers as a teacher, by linear.h, well or badly:
 *   child_teacher CLASSES HOW [ARGUMENT ...]       HOW env: the rest is in CHILD_HOW, with blanks between
 * Of its own: no code of retort's, so that both sides do not share a mistake about the format. */
#include <math.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "tests/teacher/linear.h"

enum { MOST = 1 << 16 };

static void rest(double seconds)
{
    struct timespec t = {(time_t)seconds, (long)((seconds - floor(seconds)) * 1e9)};
    nanosleep(&t, NULL);
}

/* So much of a CPU: a model that computes. */
static void burn(double seconds)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    double until = (double)t.tv_sec + (double)t.tv_nsec * 1e-9 + seconds, now = 0;
    while (now < until) {
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
        now = (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
    }
}

/* 0 at the end of the input, before the first byte, where that may be. */
static int take_or_end(void *to, size_t n, int may_end)
{
    char *p = to;
    size_t have = 0;
    while (have < n) {
        ssize_t got = read(0, p + have, n - have);
        if (got == 0 && !have && may_end) return 0;
        if (got <= 0) exit(9);
        have += (size_t)got;
    }
    return 1;
}

static int take(void *to, size_t n) { return take_or_end(to, n, 0); }

static void give(const void *from, size_t n)
{
    const char *p = from;
    while (n) {
        ssize_t put = write(1, p, n);
        if (put < 0) exit(8);
        p += put;
        n -= (size_t)put;
    }
}

/* Of programs that are timed: bytes stay as they are. */
static unsigned char *bytes_alone;
static size_t bytes_room;

static int read_bytes(size_t n)
{
    if (n > bytes_room) bytes_alone = realloc(bytes_alone, bytes_room = n);
    return take(bytes_alone, n);
}

/* A batch: rows of `size` elements as doubles; 0 at the end. */
static int read_rows(double **x, size_t *rows, size_t *size)
{
    unsigned char head[10];
    char text[4096], type[8];
    if (!take_or_end(head, 10, 1)) return 0;
    size_t n = head[8] | (size_t)head[9] << 8;
    if (memcmp(head, "\223NUMPY\1\0", 8) || n >= sizeof text || (n + 10) % 64) exit(7);
    take(text, n);
    text[n] = 0;
    const char *descr = strstr(text, "'descr': '"), *shape = strstr(text, "'shape': (");
    if (!descr || !shape || !strstr(text, "'fortran_order': False") || text[n - 1] != '\n') exit(7);
    snprintf(type, sizeof type, "%.3s", descr + 10);
    char *end;
    *rows = strtoul(shape + 10, &end, 10);
    for (*size = 1; (end += strspn(end, ", ")) && *end != ')';) *size *= strtoul(end, &end, 10);
    size_t count = *rows * *size, e = (size_t)(type[2] - '0');
    if (!x) return read_bytes(count * e);
    unsigned char *raw = malloc(count * e + 1);
    *x = malloc(count * sizeof **x + 1);
    take(raw, count * e);
    for (size_t i = 0; i < count; i++) {
        float f;
        double d;
        int32_t v;
        if (!strcmp(type, "|u1")) (*x)[i] = raw[i];
        else if (!strcmp(type, "<f4")) memcpy(&f, raw + i * 4, 4), (*x)[i] = (double)f;
        else if (!strcmp(type, "<f8")) memcpy(&d, raw + i * 8, 8), (*x)[i] = d;
        else if (!strcmp(type, "<i4")) memcpy(&v, raw + i * 4, 4), (*x)[i] = v;
        else exit(6);
    }
    free(raw);
    return 1;
}

static void write_head(const char *type, size_t rows, size_t width, int fortran)
{
    char text[128];
    unsigned char start[10] = {0x93, 'N', 'U', 'M', 'P', 'Y', 1, 0, 118, 0};
    memset(text, ' ', sizeof text);
    int n = snprintf(text, sizeof text, "{'descr': '%s', 'fortran_order': %s, 'shape': (%zu, %zu), }", type,
                     fortran ? "True" : "False", rows, width);
    text[n] = ' ';
    text[117] = '\n';
    give(start, 10);
    give(text, 118);
}

static void chatter(size_t bytes)
{
    char block[1000];
    memset(block, 'c', sizeof block);
    block[999] = '\n';
    for (; bytes >= sizeof block; bytes -= sizeof block)
        if (write(2, block, sizeof block) < 0) exit(5);
}

static int is(const char *how, const char *name) { return !strcmp(how, name); }

/* Whether this is the first time that anybody asks, by a file. */
static int first_time(const char *path)
{
    struct stat s;
    if (!stat(path, &s)) return 0;
    FILE *f = fopen(path, "w");
    if (f) fclose(f);
    return 1;
}

/* Ends when it meets the row whose first number this is. */
static void meet(const double *x, size_t rows, size_t size, float value)
{
    for (size_t r = 0; r < rows; r++)
        if ((float)x[r * size] == value) {
            fprintf(stderr, "reading weights\nno memory on \033[31mGPU\033[0m 0\n");
            abort();
        }
}

/* What happens before an answer: crashes, waits, noise. */
static void before(const char *how, int batch, int argc, char **argv)
{
    int at = argc > 3 ? atoi(argv[3]) : 0;
    if (is(how, "chatty")) chatter(2000000);
    if (is(how, "slow")) rest(atof(argv[3]));
    if (is(how, "busy")) burn(atof(argv[3]));
    if (is(how, "crash-once") && batch == at && first_time(argv[4])) raise(SIGKILL);
    if (is(how, "exit-once") && batch == at && first_time(argv[4])) exit(3);
    if (is(how, "hang-once") && batch == at && first_time(argv[4])) rest(1000);
    if (is(how, "hang") && batch == at) rest(1000);
    if (is(how, "quit") && batch == at) exit(4);
}

static void write_answer(const char *how, float *z, size_t rows, size_t width, int argc, char **argv)
{
    static int answers;
    answers++;
    if (is(how, "f8")) {
        write_head("<f8", rows, width, 0);
        for (size_t i = 0; i < rows * width; i++) {
            double d = (double)z[i];
            give(&d, 8);
        }
        return;
    }
    if (is(how, "f2")) {
        write_head("<f2", rows, width, 0);
        for (size_t i = 0; i < rows * width; i++) {
            _Float16 half = (_Float16)z[i];
            give(&half, 2);
        }
        return;
    }
    if (is(how, "big-endian")) {
        write_head(">f4", rows, width, 0);
        for (size_t i = 0; i < rows * width; i++) {
            unsigned char b[4];
            memcpy(b, &z[i], 4);
            unsigned char turned[4] = {b[3], b[2], b[1], b[0]};
            give(turned, 4);
        }
        return;
    }
    if (is(how, "probabilities"))
        for (size_t r = 0; r < rows; r++) linear_softmax(z + r * width, z + r * width, (int)width);
    if (is(how, "reverse") || (is(how, "reverse-from") && answers >= atoi(argv[3])))
        for (size_t r = 0; r < rows / 2; r++)
            for (size_t k = 0; k < width; k++) {
                float t = z[r * width + k];
                z[r * width + k] = z[(rows - 1 - r) * width + k];
                z[(rows - 1 - r) * width + k] = t;
            }
    if (is(how, "rotate")) { /* each row gets the answer to the next, the last that to the first */
        float first[16];
        memcpy(first, z, width * sizeof *z);
        memmove(z, z + width, (rows - 1) * width * sizeof *z);
        memcpy(z + (rows - 1) * width, first, width * sizeof *z);
    }
    if (is(how, "mean"))
        for (size_t k = 0; k < width; k++) {
            float m = 0;
            for (size_t r = 0; r < rows; r++) m += z[r * width + k] * (float)(r + 1);
            for (size_t r = 0; r < rows; r++) z[r * width + k] -= m / (float)rows;
        }
    if (is(how, "nan") && argc > 3 && (size_t)atoi(argv[3]) < rows) z[(size_t)atoi(argv[3]) * width + 1] = NAN;
    write_head(is(how, "integers") ? "<i4" : "<f4", is(how, "fewer") ? rows - 1 : rows,
               is(how, "wider") ? width + 1 : width, is(how, "fortran"));
    if (is(how, "short")) {
        give(z, rows * width * 2);
        exit(0);
    }
    give(z, rows * width * 4);
    if (is(how, "extra")) give("rest", 4);
    if (is(how, "twice")) {
        write_head("<f4", rows, width, 0);
        give(z, rows * width * 4);
    }
}

/* "env": what the environment tells, so that the command stays the same. */
static char **from_environment(int *argc, char **argv)
{
    static char *list[8], text[400];
    const char *told = getenv("CHILD_HOW");
    if (*argc < 3 || strcmp(argv[2], "env")) return argv;
    snprintf(text, sizeof text, "%s", told && *told ? told : "right");
    list[0] = argv[0];
    list[1] = argv[1];
    *argc = 2;
    for (char *word = strtok(text, " "); word && *argc < 7; word = strtok(NULL, " ")) list[(*argc)++] = word;
    return list;
}

int main(int argc, char **argv)
{
    argv = from_environment(&argc, argv);
    int classes = argc > 2 ? atoi(argv[1]) : 0;
    const char *how = argc > 2 ? argv[2] : "";
    double *x;
    size_t rows, size;
    if (classes < 1) return 2;
    if (is(how, "slow-start")) rest(atof(argv[3]));
    if (is(how, "never-reads")) rest(1000);
    if (is(how, "writes-only")) for (;;) give("no array at all ", 16);
    if (is(how, "greets")) give("Loading model\n", 14);
    int inner = is(how, "parent") && fork() == 0;          /* a child of its own, which holds its pipes */
    if (is(how, "pid") || (inner && argc > 3)) {
        FILE *f = fopen(argv[3], "w");
        if (f) fprintf(f, "%d\n", (int)getpid());
        if (f) fclose(f);
    }
    if (inner) rest(1000);
    while ((is(how, "busy") || is(how, "idle")) && read_rows(NULL, &rows, &size)) {
        float *z = calloc(rows * (size_t)classes + 1, sizeof *z);
        before(how, 0, argc, argv);
        for (size_t r = 0; r < rows; r++)
            for (int k = 0; k < classes; k++) z[r * (size_t)classes + (size_t)k] = bytes_alone[r * size + (size_t)k];
        write_answer(how, z, rows, (size_t)classes, argc, argv);
        free(z);
    }
    for (int batch = 1; read_rows(&x, &rows, &size); batch++) {
        float *z = malloc(rows * (size_t)classes * sizeof *z + 1);
        before(how, batch, argc, argv);
        if (is(how, "crash-at")) meet(x, rows, size, strtof(argv[3], NULL));
        for (size_t r = 0; r < rows; r++) linear_row(z + r * (size_t)classes, classes, x + r * size, size);
        write_answer(how, z, rows, (size_t)classes, argc, argv);
        if (is(how, "pid")) rest(argc > 4 ? atof(argv[4]) : 0);
        free(z);
        free(x);
        if (batch == MOST) return 1;
    }
    if (is(how, "stays")) rest(1000);
    return 0;
}
