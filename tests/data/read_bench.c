/* Reads a data set as rt_source does it for a stream, and tells rows per second of CPU time; no test.
 *
 *   read_bench FILE SET seq|rows BATCH raw|float     each line of stdin, a number of seconds, is answered by a rate
 *   read_bench FILE SET open                         each line is answered by the CPU seconds of one opening
 *
 * seq: batches of neighbours, over and over; rows: batches of single rows in a scattered order (a bijection). Each pass
 * over the data opens it anew, so that no block is found decoded and no page mapped; that is not counted for seq and
 * rows. CPU time is the process's, with that of the children that read metadata, or unpack. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "data/source.h"
#include "engine/rng.h"

/* Of the children of this process's children, who unpack what needs the HDF5 library and live as long as the source. */
static double cpu_of_unpackers(pid_t parent, int depth)
{
    double sum = 0;
    DIR *d = opendir("/proc");
    for (struct dirent *e; d && (e = readdir(d));) {
        char path[300], line[400] = "";
        int pid = atoi(e->d_name), of;
        unsigned long long ns;
        snprintf(path, sizeof path, "/proc/%d/stat", pid);
        FILE *f = pid > parent ? fopen(path, "r") : NULL;
        if (!f) continue;
        int mine = fgets(line, sizeof line, f) && strrchr(line, ')') &&
                   sscanf(strrchr(line, ')') + 1, " %*c %d", &of) == 1 && of == parent;
        fclose(f);
        snprintf(path, sizeof path, "/proc/%d/schedstat", pid);
        if (!mine || !(f = fopen(path, "r"))) continue;
        if (depth && fscanf(f, "%llu", &ns) == 1) sum += 1e-9 * (double)ns;
        fclose(f);
        if (depth < 2) sum += cpu_of_unpackers(pid, depth + 1);
    }
    if (d) closedir(d);
    return sum;
}

static int unpacks;

static double cpu_seconds(void)
{
    double sum = unpacks ? cpu_of_unpackers(getpid(), 0) : 0;
    for (int who = 0; who < 2; who++) {
        struct rusage u;
        getrusage(who ? RUSAGE_CHILDREN : RUSAGE_SELF, &u);
        sum += (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
               1e-6 * (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec);
    }
    return sum;
}

static int failed(void)
{
    fprintf(stderr, "read_bench: %s\n", rt_error_message());
    return 1;
}

static int bench_open(const char *path, const char *set)
{
    char line[64];
    while (fgets(line, sizeof line, stdin)) {
        rt_source *s;
        double start = cpu_seconds();
        if (rt_source_open(&s, path, set)) return failed();
        rt_source_close(s);
        printf("%.9g\n", cpu_seconds() - start);
        fflush(stdout);
    }
    return 0;
}

typedef struct {
    const char *path, *set;
    rt_h5_file *file;
    rt_source *source;
    uint64_t *row, at, batch;
    int scattered;
    char *raw;
    float *as_float;
} bench;

static rt_status read_batch(bench *b, uint64_t *count)
{
    uint64_t rows = rt_source_rows(b->source);
    uint64_t n = rows - b->at < b->batch ? rows - b->at : b->batch;
    for (uint64_t i = 0; i < n; i++)
        b->row[i] = b->scattered ? rt_permute(b->at + i, rows, 1, RT_RNG_SHUFFLE, 0, 0) : b->at + i;
    RT_TRY(rt_source_read(b->source, b->row, (int)n, b->raw));
    rt_dtype type = rt_source_type(b->source);
    if (b->as_float) rt_to_float(b->as_float, b->raw, type, n * rt_source_row_bytes(b->source) / rt_dtype_size(type));
    b->at = b->at + n < rows ? b->at + n : 0;
    *count += n;
    return RT_OK;
}

/* The next batches, up to 64 or the end of a pass: their rows and CPU time. */
static rt_status read_some(bench *b, uint64_t *rows, double *seconds)
{
    if (!b->at) {
        rt_source_close(b->source);
        RT_TRY(rt_source_open_in(&b->source, b->file, b->set));
    }
    double start = cpu_seconds();
    for (int i = 0; i < 64 && (i == 0 || b->at); i++) RT_TRY(read_batch(b, rows));
    *seconds += cpu_seconds() - start;
    return RT_OK;
}

int main(int argc, char **argv)
{
    bench b = {0};
    char line[64];
    if (argc == 4 && !strcmp(argv[3], "open")) return bench_open(argv[1], argv[2]);
    if (argc != 6) return fprintf(stderr, "usage: read_bench FILE SET seq|rows BATCH raw|float, or FILE SET open\n"), 2;
    b.path = argv[1];
    b.set = argv[2];
    if (rt_h5_scan(&b.file, b.path) || rt_source_open_in(&b.source, b.file, b.set)) return failed();
    unpacks = rt_source_info(b.source)->by_library;
    b.scattered = !strcmp(argv[3], "rows");
    b.batch = (uint64_t)atoi(argv[4]);
    size_t bytes = (size_t)b.batch * rt_source_row_bytes(b.source);
    b.row = malloc(b.batch * sizeof *b.row);
    b.raw = aligned_alloc(64, (bytes + 63) & ~(size_t)63);
    if (!strcmp(argv[5], "float")) b.as_float = malloc(bytes / rt_dtype_size(rt_source_type(b.source)) * sizeof(float));
    while (fgets(line, sizeof line, stdin)) {
        double seconds = atof(line), gone = 0;
        uint64_t rows = 0;
        while (gone < seconds)
            if (read_some(&b, &rows, &gone)) return failed();
        printf("%.9g\n", (double)rows / gone);
        fflush(stdout);
    }
    free(b.row);
    free(b.raw);
    free(b.as_float);
    rt_source_close(b.source);
    rt_h5_close(b.file);
    return 0;
}
