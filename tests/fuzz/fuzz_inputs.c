/* Hostile bytes into everything that reads a file: libFuzzer programs, one per FUZZ_ target; see fuzz.sh. A reader may refuse
 * an input with a message, or accept it and then have all of its result readable; nothing else. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "data/h5_plan.h"
#include "data/import.h"
#include "data/import_parts.h"
#include "data/labels.h"
#include "student/model.h"
#include "train/trainer.h"

static char folder[64], path[96], out[96];

static void clean(void)
{
    char name[128];
    static const char *const left[] = {"in", "out", "a/i.png", "a"};
    for (int i = 0; i < 4; i++) {
        snprintf(name, sizeof name, "%s/%s", folder, left[i]);
        remove(name);
    }
    rmdir(folder);
}

#if defined(FUZZ_PLAN)
static void open_bytes(void);
static int record(const char *file, const char *to);
#endif

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
#if defined(FUZZ_PLAN)
    if (*argc == 4 && strcmp((*argv)[1], "record") == 0) _exit(record((*argv)[2], (*argv)[3]));
    open_bytes();
#endif
    (void)argc;
    (void)argv;
    snprintf(folder, sizeof folder, "%s/retort-fuzz-XXXXXX", access("/dev/shm", W_OK) ? "/tmp" : "/dev/shm");
    if (!mkdtemp(folder)) abort();
    snprintf(path, sizeof path, "%s/a", folder);
    mkdir(path, 0700);
    snprintf(path, sizeof path, "%s/in", folder);
    snprintf(out, sizeof out, "%s/out", folder);
    atexit(clean);
    return 0;
}

static __attribute__((unused)) void put(const char *name, const uint8_t *data, size_t size)
{
    FILE *f = fopen(name, "wb");
    if (!f || fwrite(data, 1, size, f) != size || fclose(f)) abort();
}

/* Refused with a message, or made whole: labels are classes, or -1. */
static __attribute__((unused)) void import(rt_import_spec spec)
{
    cJSON *report = NULL;
    rt_h5_file *f = NULL;
    int32_t *y = NULL;
    rt_status st = rt_import_run(&spec, &(rt_target){.path = out, .force = 1}, &report);
    if (st && (!*rt_error_message() || report || !access(out, F_OK))) abort();
    if (!st) {
        if (rt_h5_scan(&f, out)) abort();
        const rt_h5_dataset *set = rt_h5_find(f, "y");
        if (set && rt_h5_read_all((void **)&y, f, "y", 1 << 28)) abort();
        int classes = (int)cJSON_GetNumberValue(cJSON_GetObjectItemCaseSensitive(report, "classes"));
        for (uint64_t i = 0; set && i < set->dim[0]; i++) if (y[i] < -1 || y[i] >= classes) abort();
        free(y);
        rt_h5_close(f);
        unlink(out);
    }
    cJSON_Delete(report);
}

/* What a file is said to hold is read at both ends, or refused. */
static __attribute__((unused)) void read_sets(rt_h5_file *f)
{
    for (int i = 0; i < f->sets; i++) {
        rt_source *s = NULL;
        if (rt_source_open_in(&s, f, f->set[i].name)) continue;
        uint64_t rows = rt_source_rows(s), row[2] = {0, rows ? rows - 1 : 0};
        size_t bytes = rt_source_row_bytes(s);
        void *to = bytes < 1 << 24 ? malloc(2 * bytes + 1) : NULL;
        if (to) rt_source_read(s, row, 2, to);
        free(to);
        rt_source_close(s);
    }
}

#if defined(FUZZ_PLAN)
static int bytes_of_file;                              /* what the forged plans are plans of */

static void open_bytes(void)
{
    char block[1 << 16];
    bytes_of_file = memfd_create("file", MFD_CLOEXEC);
    for (size_t i = 0; i < sizeof block; i++) block[i] = (char)(i * 40503 >> 8);
    if (write(bytes_of_file, block, sizeof block) != sizeof block) abort();
}

/* The plan that the child makes of a file, as a seed. */
static int record(const char *file, const char *to)
{
    int plan[2], end[2], fd = open(file, O_RDONLY | O_CLOEXEC), out_fd = open(to, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    struct stat st;
    char block[4096];
    if (fd < 0 || out_fd < 0 || fstat(fd, &st) || pipe(plan) || pipe(end)) return 1;
    rt_h5_request r = {.size = (uint64_t)st.st_size, .stored = (uint64_t)st.st_size};
    if (rt_h5_ask(&r, (int[RT_H5_FDS]){fd, plan[1], end[1]})) return 1;
    close(plan[1]);
    for (ssize_t n; (n = read(plan[0], block, sizeof block)) > 0;) if (write(out_fd, block, (size_t)n) != n) return 1;
    return 0;
}
#endif

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
#if defined(FUZZ_JSON)
    cJSON *j = NULL;
    if (!rt_json_parse(&j, (const char *)data, size, "input")) {
        rt_train_check(j);
        rt_json_sort(j);
        cJSON_free(cJSON_PrintUnformatted(j));
    }
    cJSON_Delete(j);
#elif defined(FUZZ_IDX)
    put(path, data, size);
    import((rt_import_spec){.format = RT_FORMAT_IDX, .input = path});
    import((rt_import_spec){.format = RT_FORMAT_IDX, .input = path, .labels = path});
#elif defined(FUZZ_NPY)
    put(path, data, size);
    import((rt_import_spec){.format = RT_FORMAT_NPY, .input = path});
    import((rt_import_spec){.format = RT_FORMAT_NPY, .input = path, .place = RT_CHANNELS_FIRST});
    import((rt_import_spec){.format = RT_FORMAT_NPY, .input = path, .labels = path});
#elif defined(FUZZ_NPZ)
    put(path, data, size);
    import((rt_import_spec){.format = RT_FORMAT_NPZ, .input = path});
    import((rt_import_spec){.format = RT_FORMAT_NPZ, .input = path, .x = "y", .y = "x"});
#elif defined(FUZZ_CSV)
    put(path, data, size);
    import((rt_import_spec){.format = RT_FORMAT_CSV, .input = path, .label = "-1"});
    import((rt_import_spec){.format = RT_FORMAT_CSV, .input = path, .separator = ',', .drop_missing = 1});
    import((rt_import_spec){.format = RT_FORMAT_CSV, .input = path, .labels = path, .separator = ';', .decimal = ',', .encoding = "utf-16"});
#elif defined(FUZZ_IMAGE)
    char image[128];
    snprintf(image, sizeof image, "%s/a/i.png", folder);
    put(image, data, size);
    import((rt_import_spec){.format = RT_FORMAT_IMAGES, .input = folder});
    import((rt_import_spec){.format = RT_FORMAT_IMAGES, .input = folder, .height = 5, .width = 7, .channels = 1, .alpha = RT_ALPHA_WHITE, .skip_bad = 1});
    remove(image);
#elif defined(FUZZ_EXIF)
    int o = rt_exif_orientation(data, size);
    if (o < 1 || o > 8) abort();
#elif defined(FUZZ_H5)
    put(path, data, size);
    rt_h5_file *f = NULL;
    if (rt_h5_scan(&f, path)) return 0;
    read_sets(f);
    rt_h5_close(f);
    rt_model *m = NULL;
    if (!rt_model_load(&m, path)) rt_model_free(m);
    rt_labels *l = NULL;
    if (!rt_labels_open(&l, path, 1)) {
        const rt_labels_spec *spec = rt_labels_info(l);
        float *logits = spec->classes < 1 << 20 ? malloc((size_t)spec->classes * sizeof *logits) : NULL;
        uint64_t row = spec->first;
        if (logits) rt_labels_read(l, &row, 1, logits);
        free(logits);
        rt_labels_verify(l);
        rt_labels_close(l);
    }
#elif defined(FUZZ_PLAN)
    rt_h5_file *f = calloc(1, sizeof *f);
    int sent = memfd_create("plan", MFD_CLOEXEC);
    *f = (rt_h5_file){.fd = dup(bytes_of_file), .size = 1 << 16, .users = 1};
    snprintf(f->path, sizeof f->path, "file");
    if (write(sent, data, size) != (ssize_t)size || lseek(sent, 0, SEEK_SET)) abort();
    rt_h5_plan p = {.pipe = sent, .stored = f->size};
    clock_gettime(CLOCK_MONOTONIC, &p.start);
    if (!rt_h5_take_plan(f, &p)) read_sets(f);
    close(sent);
    rt_h5_close(f);
#else
#error "name a target"
#endif
    return 0;
}
