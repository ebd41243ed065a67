/* experiments/heads/derive.c - real data for heads of labels and numbers, made of Fashion-MNIST, and the comparison of
 * students over several seeds. A tool of experiments/heads.sh; not installed.
 *
 *   derive mosaics IMAGES.h5 OUT.h5       rows of four images, 2 x 2: x (N / 4, 56, 56, 1); articles (N / 4, 10): which
 * occur derive halves IMAGES.h5 OUT.h5        the upper half of each image: x (N, 14, 28, 1); profile (N, 14): the mean
 * brightness of each row of the lower half, / 64 - 1 derive pool DATA.h5 SET A.npy B.npy [A.npy B.npy ...] error of B
 * less error of A, row by row, mean over the pairs: of labels the share that is wrong, of numbers the mean absolute
 * error; with its 95 % interval */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data/h5.h"
#include "data/source.h"
#include "experiments/statistics/statistics.h"

enum { SIDE = 28, PIXELS = SIDE * SIDE, CLASSES = 10, HALF = SIDE / 2 };

static const char articles[] =
    "{\"targets\": {\"articles\": [\"t-shirt\", \"trouser\", \"pullover\", \"dress\", \"coat\", "
    "\"sandal\", \"shirt\", \"sneaker\", \"bag\", \"boot\"]}}";

static void *memory(size_t n)
{
    void *p = calloc(n, 1);
    if (!p) {
        fprintf(stderr, "derive: out of memory\n");
        exit(4);
    }
    return p;
}

/* All rows of a set, for the caller to free. */
static rt_status read_all(void **out, uint64_t *rows, const char *path, const char *set)
{
    rt_source *s;
    RT_TRY(rt_source_open(&s, path, set));
    *rows = rt_source_rows(s);
    *out = memory(*rows * rt_source_row_bytes(s));
    rt_status st = rt_source_read_stored(s, 0, *rows, *out);
    rt_source_close(s);
    return st;
}

static rt_status mosaics(const unsigned char *x, const int32_t *y, uint64_t rows, const char *out)
{
    uint64_t n = rows / 4;
    unsigned char *big = memory(n * 4 * PIXELS);
    int8_t *there = memory(n * CLASSES);
    for (uint64_t i = 0; i < 4 * n; i++) {
        unsigned char *to = big + i / 4 * 4 * PIXELS + (i % 4 / 2 * 2 * SIDE + i % 2) * SIDE;
        for (int r = 0; r < SIDE; r++) memcpy(to + r * 2 * SIDE, x + i * PIXELS + r * SIDE, SIDE);
        there[i / 4 * CLASSES + (uint64_t)y[i]] = 1;
    }
    rt_h5_item it[] = {
        {.name = "x", .type = RT_U8, .rank = 4, .dim = {n, 2 * SIDE, 2 * SIDE, 1}, .data = big},
        {.name = "articles", .type = RT_I8, .rank = 2, .dim = {n, CLASSES}, .data = there},
        {.name = "manifest", .type = RT_TEXT, .element = sizeof articles - 1, .data = articles}};
    rt_status st = rt_h5_save(out, "retort-data-1", it, 3);
    free(big);
    free(there);
    return st;
}

static rt_status halves(const unsigned char *x, uint64_t rows, const char *out)
{
    unsigned char *upper = memory(rows * PIXELS / 2);
    float *profile = memory(rows * HALF * sizeof *profile);
    for (uint64_t i = 0; i < rows; i++) {
        memcpy(upper + i * PIXELS / 2, x + i * PIXELS, PIXELS / 2);
        for (int r = 0; r < HALF; r++) {
            double sum = 0;
            for (int c = 0; c < SIDE; c++) sum += x[i * PIXELS + (uint64_t)((HALF + r) * SIDE + c)];
            profile[i * HALF + (uint64_t)r] = (float)(sum / SIDE / 64 - 1);
        }
    }
    rt_h5_item it[] = {{.name = "x", .type = RT_U8, .rank = 4, .dim = {rows, HALF, SIDE, 1}, .data = upper},
                       {.name = "profile", .type = RT_F32, .rank = 2, .dim = {rows, HALF}, .data = profile}};
    rt_status st = rt_h5_save(out, "retort-data-1", it, 2);
    free(upper);
    free(profile);
    return st;
}

/* ---- the comparison ---- */

/* (rows, width) f32 as `retort export` writes it. */
static rt_status read_npy(const char *path, float *to, size_t n)
{
    unsigned char head[10];
    FILE *f = fopen(path, "rb");
    int good = f && fread(head, 1, sizeof head, f) == sizeof head && !memcmp(head, "\x93NUMPY\1", 7) &&
               !fseek(f, head[8] | head[9] << 8, SEEK_CUR) && fread(to, sizeof *to, n, f) == n && fgetc(f) == EOF;
    if (f) fclose(f);
    return good ? RT_OK : rt_fail(RT_INPUT, "%s: is no NPY of %zu 32-bit floats", path, n);
}

typedef struct { uint64_t rows; int width, labels; const void *y; } truth;

static double error_of(const truth *t, const float *z, uint64_t row)
{
    double sum = 0;
    for (int i = 0; i < t->width; i++) {
        uint64_t at = row * (uint64_t)t->width + (uint64_t)i;
        sum += t->labels ? (z[at] > 0) != ((const int8_t *)t->y)[at] : fabs((double)z[at] - ((const float *)t->y)[at]);
    }
    return sum / t->width;
}

static rt_status pool(const char *data, const char *set, char **npy, int pairs)
{
    rt_source *s;
    truth t = {0};
    void *y;
    RT_TRY(rt_source_open(&s, data, set));
    t.labels = rt_source_type(s) == RT_I8;
    t.width = (int)(rt_source_row_bytes(s) / rt_dtype_size(rt_source_type(s)));
    rt_source_close(s);
    RT_TRY(read_all(&y, &t.rows, data, set));
    t.y = y;
    size_t n = t.rows * (size_t)t.width;
    float *z = memory(n * sizeof *z), *d = memory(t.rows * sizeof *d);
    double mean, range[2], error[2] = {0};
    const char *method;
    rt_status st = RT_OK;
    for (int i = 0; i < 2 * pairs && !st; i++) {
        st = read_npy(npy[i], z, n);
        for (uint64_t r = 0; r < t.rows && !st; r++) {
            double e = error_of(&t, z, r);
            error[i % 2] += e / pairs / (double)t.rows;
            d[r] += (float)((i % 2 ? e : -e) / pairs);
        }
    }
    if (!st) {
        rt_paired_interval(d, t.rows, &mean, range, &method);
        printf("%s: error of A %.5f, of B %.5f; B - A %.5f, 95 %% interval %.5f to %.5f (%s; %llu rows, %d seeds)\n",
               set, error[0], error[1], mean, range[0], range[1], method, (unsigned long long)t.rows, pairs);
    }
    free(y);
    free(z);
    free(d);
    return st;
}

int main(int argc, char **argv)
{
    void *x = NULL, *y = NULL;
    uint64_t rows;
    rt_status st = RT_USAGE;
    if (argc == 4 && !strcmp(argv[1], "mosaics")) {
        st = read_all(&x, &rows, argv[2], "x");
        if (!st) st = read_all(&y, &rows, argv[2], "y");
        if (!st) st = mosaics(x, y, rows, argv[3]);
    } else if (argc == 4 && !strcmp(argv[1], "halves")) {
        st = read_all(&x, &rows, argv[2], "x");
        if (!st) st = halves(x, rows, argv[3]);
    } else if (argc >= 6 && argc % 2 == 0 && !strcmp(argv[1], "pool"))
        st = pool(argv[2], argv[3], argv + 4, (argc - 4) / 2);
    else rt_fail(RT_USAGE, "derive mosaics|halves IMAGES.h5 OUT.h5, or derive pool DATA.h5 SET A.npy B.npy ...");
    free(x);
    free(y);
    if (st) fprintf(stderr, "derive: %s\n", rt_error_message());
    return st;
}
