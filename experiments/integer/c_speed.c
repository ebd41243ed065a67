/* c_speed.c - what a row costs in the integer program and in C that was exported from it, in blocks that alternate, by
 * the thread's CPU time: see c_speed.sh.
 *
 *     c_speed PROGRAM.q ROWS LIBRARY.so...        (each has void run(float *y, const void *x))
 *
 * Prints microseconds a row of the program and of each library, medians over blocks, and the library's over the
 * program's, median of the blocks' ratios. Ends with 1 when an answer differs, but those of a library called peer.so.
 */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "data/files.h"
#include "student/program.h"

enum { BLOCKS = 201, MOST = 8 };
typedef void run_row(float *y, const void *x);

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

static double median(double *v)
{
    qsort(v, BLOCKS, sizeof *v, by_value);
    return v[BLOCKS / 2];
}

static int measure(const rt_program *p, const char *rows, int count, run_row *const *run, int libraries, char **name)
{
    static double spent[MOST + 1][BLOCKS], ratio[BLOCKS];
    const size_t width = (size_t)rt_program_width(p);
    const rt_net_tensor *in = &rt_program_net(p)->tensor[0];
    const size_t row = (size_t)in->h * (size_t)in->w * (size_t)in->c * (rt_program_takes(p) ? 1 : sizeof(float));
    float *want = calloc((size_t)count * width, sizeof *want), *got = calloc((size_t)count * width, sizeof *got);
    void *context = aligned_alloc(64, (rt_program_bytes(p) + 63) & ~(size_t)63);
    if (!want || !got || !context) return RT_RUN;
    rt_program_start(p, context);
    int bad = 0;
    for (int b = -3; b < BLOCKS; b++)
        for (int side = 0; side <= libraries; side++) {
            float *y = side ? got : want;
            double start = seconds();
            for (int r = 0; r < count; r++)
                if (side) run[side - 1](y + (size_t)r * width, rows + (size_t)r * row);
                else rt_program_infer(p, context, y + (size_t)r * width, rows + (size_t)r * row, 1);
            if (b >= 0) spent[side][b] = (seconds() - start) / count * 1e6;
            bad |= side && !strstr(name[side - 1], "peer.so") && memcmp(want, got, (size_t)count * width * sizeof *got);
        }
    for (int side = 0; side <= libraries; side++) {
        for (int b = 0; b < BLOCKS && side; b++) ratio[b] = spent[side][b] / spent[0][b];
        if (side) printf("  %s %8.2f us (%.2fx)", name[side - 1], median(spent[side]), median(ratio));
    }
    printf("  program %8.2f us%s\n", median(spent[0]), bad ? "  ANSWERS DIFFER" : "");
    free(want);
    free(got);
    free(context);
    return bad;
}

int main(int argc, char **argv)
{
    rt_program *p;
    char *rows;
    size_t n;
    run_row *run[MOST];
    if (argc < 4 || argc > 3 + MOST) return RT_USAGE;
    if (rt_program_load(&p, argv[1]) || rt_read_file(&rows, &n, argv[2], 1 << 28)) {
        fprintf(stderr, "c_speed: %s\n", rt_error_message());
        return RT_INPUT;
    }
    for (int i = 3; i < argc; i++) {
        void *library = dlopen(argv[i], RTLD_NOW | RTLD_LOCAL), *at = library ? dlsym(library, "run") : NULL;
        if (!at) {
            fprintf(stderr, "c_speed: %s\n", dlerror());
            return RT_INPUT;
        }
        memcpy(&run[i - 3], &at, sizeof at);
    }
    const rt_net_tensor *in = &rt_program_net(p)->tensor[0];
    int count = (int)(n / ((size_t)in->h * (size_t)in->w * (size_t)in->c * (rt_program_takes(p) ? 1 : sizeof(float))));
    return measure(p, rows, count, run, argc - 3, argv + 3);
}
