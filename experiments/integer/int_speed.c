/* int_speed.c - what a row costs in the integer program and in float, in blocks that alternate, by the thread's CPU
 * time.
 *
 *     int_speed [--bits B] [--blocks N] [--save FOLDER] MODEL.json...        (architectures; weights are random)
 *
 * A line a model: microseconds a row of float, of the integer program, their ratio (medians over blocks of a batch of
 * one); of the program in batches of 64; bytes of the model's and of the program's file; and the 99th percentile of a
 * program's call with one row, by the clock, of calls in which the thread was not put aside. RETORT_KERNELS and
 * RETORT_INT_KERNELS choose families. FOLDER gets the programs, their rows and their answers (floats), for
 * against_ort.py. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "data/files.h"
#include "engine/rng.h"
#include "student/calibrate.h"
#include "student/predictor.h"
#include "student/program.h"

enum { ROWS = 64 };

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

/* FOLDER/NAME.q, .x and .y. */
static rt_status save(const char *folder, const char *name, const rt_program *p, const float *x, size_t nx,
                      const float *y, size_t ny)
{
    char path[512];
    const char *dot = strrchr(name, '.');
    int n = dot ? (int)(dot - name) : (int)strlen(name);
    snprintf(path, sizeof path, "%s/%.*s.q", folder, n, name);
    RT_TRY(rt_program_save(p, path));
    snprintf(path, sizeof path, "%s/%.*s.x", folder, n, name);
    RT_TRY(rt_write_file(path, x, nx * sizeof *x));
    snprintf(path, sizeof path, "%s/%.*s.y", folder, n, name);
    return rt_write_file(path, y, ny * sizeof *y);
}

static double by_clock(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static long put_aside(void)
{
    struct rusage u;
    return getrusage(RUSAGE_THREAD, &u) ? -1 : u.ru_nivcsw;
}

/* Microseconds that 99 of 100 calls with one row stay within. */
static double late(const rt_program *p, void *context, const float *x, size_t n, float *y)
{
    enum { CALLS = 20000 };
    static double t[CALLS];
    int kept = 0;
    for (int i = 0; i < CALLS; i++) {
        const long before = put_aside();
        const double start = by_clock();
        rt_program_infer(p, context, y, x + (size_t)(i % ROWS) * n, 1);
        t[kept] = by_clock() - start;
        kept += put_aside() == before;
    }
    qsort(t, (size_t)kept, sizeof(double), by_value);
    return kept > 99 ? 1e6 * t[kept - 1 - kept / 100] : -1;
}

static rt_status measure(const char *path, int bits, int blocks, const char *folder, rt_device *device)
{
    cJSON *j;
    rt_model *m;
    rt_predictor *float_one;
    rt_program *p;
    RT_TRY(rt_json_file(&j, path));
    RT_TRY(rt_model_new(&m, j, 1));
    size_t n = m->input[0].size, width = (size_t)rt_model_width(m), size;
    float *x = malloc(ROWS * n * sizeof *x), *y = malloc(ROWS * width * sizeof *y);
    int *list = malloc((size_t)m->graph->nodes * sizeof *list);
    double *t[3] = {0};
    for (int side = 0; side < 3; side++)
        if (!(t[side] = malloc((size_t)blocks * sizeof(double)))) return rt_fail(RT_RUN, "out of memory");
    if (!x || !y || !list) return rt_fail(RT_RUN, "out of memory");
    rt_normal(x, ROWS * n, 1, RT_RNG_TEST, 1);
    for (int i = 0; i < m->graph->nodes; i++) list[i] = bits;
    RT_TRY(rt_calibrate(m, &(rt_calibrate_spec){.bits = list}, x, ROWS, device));
    RT_TRY(rt_program_of(&p, m));
    rt_model_unquantize(m);
    RT_TRY(rt_predictor_new(&float_one, &m, 1, device, 1, NULL, 0));
    void *context = aligned_alloc(64, (rt_program_bytes(p) + 63) & ~(size_t)63);
    if (!context) return rt_fail(RT_RUN, "out of memory");
    rt_program_start(p, context);
    const double p99 = late(p, context, x, n, y);        /* y is written anew below */
    for (int b = -3; b < blocks; b++)
        for (int side = 0; side < 3; side++) {
            double start = seconds();
            for (int r = 0; r < ROWS; r++)
                if (side == 2) {
                    rt_program_infer(p, context, y, x, ROWS);
                    break;
                } else if (side) rt_program_infer(p, context, y + (size_t)r * width, x + (size_t)r * n, 1);
                else rt_predict(float_one, &(rt_feed){.raw = x + (size_t)r * n, .rows = 1}, y + (size_t)r * width);
            if (b >= 0) t[side][b] = (seconds() - start) / ROWS * 1e6;
        }
    for (int side = 0; side < 3; side++) qsort(t[side], (size_t)blocks, sizeof(double), by_value);
    uint8_t *bytes;
    char file[] = "/tmp/int-speed-XXXXXX.h5";
    RT_TRY(rt_program_write(p, &bytes, &size));
    int fd = mkstemps(file, 3);
    if (fd < 0) return rt_fail(RT_RUN, "no temporary file");
    close(fd);
    RT_TRY(rt_model_save(m, file));
    FILE *f = fopen(file, "rb");
    if (!f || fseek(f, 0, SEEK_END)) return rt_fail(RT_RUN, "%s is gone", file);
    double whole = (double)ftell(f);
    fclose(f);
    unlink(file);
    double a = t[0][blocks / 2], i = t[1][blocks / 2];
    const char *slash = strrchr(path, '/');
    if (folder) RT_TRY(save(folder, slash ? slash + 1 : path, p, x, ROWS * n, y, ROWS * width));
    printf("%-16s float %8.3f us  integer %8.3f us  %5.2fx   of 64 %8.3f us   file %8.0f  program %8zu  %.3f   "
           "p99 %8.3f us\n",
           slash ? slash + 1 : path, a, i, a / i, t[2][blocks / 2], whole, size, (double)size / whole, p99);
    fflush(stdout);
    rt_program_free(p);
    rt_predictor_free(float_one);
    rt_model_free(m);
    cJSON_Delete(j);
    void *owned[] = {x, y, list, t[0], t[1], t[2], context, bytes};
    for (size_t k = 0; k < sizeof owned / sizeof owned[0]; k++) free(owned[k]);
    return RT_OK;
}

int main(int argc, char **argv)
{
    int bits = 8, blocks = 200, i = 1;
    const char *folder = NULL;
    for (; i + 1 < argc && argv[i][0] == '-'; i += 2) {
        if (!strcmp(argv[i], "--bits")) bits = atoi(argv[i + 1]);
        else if (!strcmp(argv[i], "--blocks")) blocks = atoi(argv[i + 1]);
        else if (!strcmp(argv[i], "--save")) folder = argv[i + 1];
        else break;
    }
    rt_device *device = rt_device_cpu(1);
    const rt_int_kernels *k = rt_int_kernels_get();
    if (!k) {
        fprintf(stderr, "int_speed: %s\n", rt_error_message());
        return RT_USAGE;
    }
    if (i == argc || bits < 2 || bits > 8 || blocks < 1 || !device) {
        fprintf(stderr, "usage: int_speed [--bits B] [--blocks N] [--save FOLDER] MODEL.json...\n");
        return RT_USAGE;
    }
    printf("float kernels %s, integer kernels %s, %d bits\n", rt_kernels_get()->name, k->name, bits);
    for (; i < argc; i++) {
        rt_status st = measure(argv[i], bits, blocks, folder, device);
        if (st) {
            fprintf(stderr, "%s: %s\n", argv[i], rt_error_message());
            return (int)st;
        }
    }
    rt_device_close(device);
    return 0;
}
