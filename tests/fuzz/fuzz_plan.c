/* What the process that reads a file's metadata sends: a plan of bytes that are there, taken as hostile. */
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>

#include "data/h5_plan.h"
#include "data/source.h"
#include "tests/fuzz/fuzz.h"

/* What a file is said to hold is read at both ends, or refused. */
void fuzz_read_sets(rt_h5_file *f)
{
    for (int i = 0; i < f->sets; i++) {
        rt_source *s = NULL;
        if (fuzz_refused(rt_source_open_in(&s, f, f->set[i].name))) continue;
        uint64_t rows = rt_source_rows(s), row[2] = {0, rows ? rows - 1 : 0};
        size_t bytes = rt_source_row_bytes(s);
        void *to = bytes < 1 << 24 ? malloc(2 * bytes + 1) : NULL;
        if (to) fuzz_refused(rt_source_read(s, row, 2, to));
        free(to);
        rt_source_close(s);
    }
}

static void plan(const uint8_t *data, size_t size)
{
    static int file = -1;                              /* what the forged plans are plans of */
    char block[1 << 16];
    if (file < 0) {
        file = memfd_create("file", MFD_CLOEXEC);
        for (size_t i = 0; i < sizeof block; i++) block[i] = (char)(i * 40503 >> 8);
        if (write(file, block, sizeof block) != sizeof block) abort();
    }
    rt_h5_file *f = calloc(1, sizeof *f);
    int sent = memfd_create("plan", MFD_CLOEXEC);
    if (!f) abort();
    *f = (rt_h5_file){.fd = dup(file), .size = sizeof block, .users = 1};
    snprintf(f->path, sizeof f->path, "file");
    if (write(sent, data, size) != (ssize_t)size || lseek(sent, 0, SEEK_SET)) abort();
    rt_h5_plan p = {.pipe = sent, .stored = f->size};
    clock_gettime(CLOCK_MONOTONIC, &p.start);
    if (!rt_h5_take_plan(f, &p)) fuzz_read_sets(f);             /* how the other process ended tells more */
    close(sent);
    rt_h5_close(f);
}

int fuzz_record_plan(const char *file, const char *to)
{
    int sent[2], end[2], fd = open(file, O_RDONLY | O_CLOEXEC), out = open(to, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    struct stat st;
    char block[4096];
    if (fd < 0 || out < 0 || fstat(fd, &st) || pipe(sent) || pipe(end)) return 1;
    rt_h5_request r = {.size = (uint64_t)st.st_size, .stored = (uint64_t)st.st_size};
    if (rt_h5_ask(&r, (int[RT_H5_FDS]){fd, sent[1], end[1], -1})) return 1;
    close(sent[1]);
    for (ssize_t n; (n = read(sent[0], block, sizeof block)) > 0;) if (write(out, block, (size_t)n) != n) return 1;
    return 0;
}

const fuzz_target fuzz_of_plans[] = {{"plan", plan}, {NULL, NULL}};
