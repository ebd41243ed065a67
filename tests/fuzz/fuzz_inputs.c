/* Hostile bytes into everything that reads a file: libFuzzer programs, one per FUZZ_ target; see fuzz.sh. A reader may refuse
 * an input with a message, or accept it and then have all of its result readable; nothing else. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "data/import.h"
#include "data/labels.h"
#include "student/model.h"
#include "train/trainer.h"

static char folder[64], path[96];

static void clean(void)
{
    char name[128];
    static const char *const left[] = {"in", "a/i.png", "a/i.jpg", "a"};
    for (int i = 0; i < 4; i++) {
        snprintf(name, sizeof name, "%s/%s", folder, left[i]);
        remove(name);
    }
    rmdir(folder);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    snprintf(folder, sizeof folder, "%s/retort-fuzz-XXXXXX", access("/dev/shm", W_OK) ? "/tmp" : "/dev/shm");
    if (!mkdtemp(folder)) abort();
    snprintf(path, sizeof path, "%s/a", folder);
    mkdir(path, 0700);
    snprintf(path, sizeof path, "%s/in", folder);
    atexit(clean);
    return 0;
}

static __attribute__((unused)) void put(const char *name, const uint8_t *data, size_t size)
{
    FILE *f = fopen(name, "wb");
    if (!f || fwrite(data, 1, size, f) != size || fclose(f)) abort();
}

/* Refused with a message, or every byte that the table promises is there. */
static __attribute__((unused)) void check_table(rt_status st, rt_table *t)
{
    if (st && !*rt_error_message()) abort();
    if (!st) {
        size_t bytes = rt_dtype_size(t->type);
        for (int i = 0; i < t->rank; i++) bytes *= t->dim[i];
        unsigned sum = 0;
        for (size_t i = 0; i < bytes; i++) sum += ((unsigned char *)t->x)[i];
        __asm__ volatile("" : : "r"(sum));
        for (uint64_t i = 0; t->y && i < t->dim[0]; i++) {
            if (t->y[i] < 0 || (t->class_name && t->y[i] >= t->classes)) abort();
        }
    }
    rt_table_free(t);
}

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
    rt_table t = {0};
    put(path, data, size);
    check_table(rt_import_idx(&t, path, NULL), &t);
    memset(&t, 0, sizeof t);
    check_table(rt_import_idx(&t, path, path), &t);
#elif defined(FUZZ_NPY)
    rt_table t = {0};
    put(path, data, size);
    check_table(rt_import_npy(&t, path, NULL), &t);
    memset(&t, 0, sizeof t);
    check_table(rt_import_npy(&t, path, path), &t);
#elif defined(FUZZ_CSV)
    rt_table t = {0};
    put(path, data, size);
    check_table(rt_import_csv(&t, path, "-1", ','), &t);
    memset(&t, 0, sizeof t);
    check_table(rt_import_csv(&t, path, NULL, ','), &t);
#elif defined(FUZZ_IMAGE)
    rt_table t = {0};
    char image[128];
    snprintf(image, sizeof image, "%s/a/i.%s", folder, size && data[0] == 0x89 ? "png" : "jpg");
    put(image, data, size);
    check_table(rt_import_images(&t, folder, 0, 0, 3), &t);
    memset(&t, 0, sizeof t);
    check_table(rt_import_images(&t, folder, 5, 7, 1), &t);
    remove(image);
#elif defined(FUZZ_H5)
    put(path, data, size);
    rt_h5_file *f = NULL;
    if (rt_h5_scan(&f, path)) return 0;
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
#else
#error "name a target"
#endif
    return 0;
}
