/* Files that others wrote: what import reads, and any HDF5 file. */
#include <sys/stat.h>

#include "data/codecs.h"
#include "data/import.h"
#include "data/import_parts.h"
#include "data/labels.h"
#include "student/model.h"
#include "teacher/teacher_parts.h"
#include "tests/fuzz/fuzz.h"

/* Refused with a message, or made whole: labels are classes, or -1. */
static void import(rt_import_spec spec)
{
    cJSON *report = NULL;
    rt_h5_file *f = NULL;
    int32_t *y = NULL;
    rt_status st = rt_import_run(&spec, &(rt_target){.path = fuzz_out, .force = 1}, &report);
    if (fuzz_refused(st)) {
        if (report || !access(fuzz_out, F_OK)) abort();
        return;
    }
    if (rt_h5_scan(&f, fuzz_out)) abort();
    const rt_h5_dataset *set = rt_h5_find(f, "y");
    if (set && rt_h5_read_all((void **)&y, f, "y", 1 << 28)) abort();
    double classes = cJSON_GetNumberValue(cJSON_GetObjectItemCaseSensitive(report, "classes"));
    for (uint64_t i = 0; set && i < set->dim[0]; i++) if (y[i] < -1 || !(y[i] < classes)) abort();
    free(y);
    rt_h5_close(f);
    unlink(fuzz_out);
    cJSON_Delete(report);
}

static void idx(const uint8_t *data, size_t size)
{
    fuzz_put(fuzz_in, data, size);
    import((rt_import_spec){.format = RT_FORMAT_IDX, .input = fuzz_in});
    import((rt_import_spec){.format = RT_FORMAT_IDX, .input = fuzz_in, .labels = fuzz_in});
}

static void npy(const uint8_t *data, size_t size)
{
    fuzz_put(fuzz_in, data, size);
    import((rt_import_spec){.format = RT_FORMAT_NPY, .input = fuzz_in});
    import((rt_import_spec){.format = RT_FORMAT_NPY, .input = fuzz_in, .place = RT_CHANNELS_FIRST});
    import((rt_import_spec){.format = RT_FORMAT_NPY, .input = fuzz_in, .labels = fuzz_in});
}

static void npz(const uint8_t *data, size_t size)
{
    fuzz_put(fuzz_in, data, size);
    import((rt_import_spec){.format = RT_FORMAT_NPZ, .input = fuzz_in});
    import((rt_import_spec){.format = RT_FORMAT_NPZ, .input = fuzz_in, .x = "y", .y = "x"});
}

static void csv(const uint8_t *data, size_t size)
{
    fuzz_put(fuzz_in, data, size);
    import((rt_import_spec){.format = RT_FORMAT_CSV, .input = fuzz_in, .label = "-1"});
    import((rt_import_spec){.format = RT_FORMAT_CSV, .input = fuzz_in, .separator = ',', .drop_missing = 1});
    import((rt_import_spec){.format = RT_FORMAT_CSV, .input = fuzz_in, .labels = fuzz_in, .separator = ';',
                            .decimal = ',', .encoding = "utf-16"});
}

static void image(const uint8_t *data, size_t size)
{
    char folder[128], name[160];
    snprintf(folder, sizeof folder, "%s/pictures/a", fuzz_folder);
    snprintf(name, sizeof name, "%s/pictures", fuzz_folder);
    mkdir(name, 0700);
    mkdir(folder, 0700);
    folder[strlen(folder) - 2] = 0;
    snprintf(name, sizeof name, "%s/a/i.png", folder);
    fuzz_put(name, data, size);
    import((rt_import_spec){.format = RT_FORMAT_IMAGES, .input = folder});
    import((rt_import_spec){.format = RT_FORMAT_IMAGES, .input = folder, .height = 5, .width = 7, .channels = 1,
                            .alpha = RT_ALPHA_WHITE, .skip_bad = 1});
}

static void exif(const uint8_t *data, size_t size)
{
    int o = rt_exif_orientation(data, size);
    if (o < 1 || o > 8) abort();
}

static void h5(const uint8_t *data, size_t size)
{
    rt_h5_file *f = NULL;
    rt_model *m = NULL;
    rt_labels *l = NULL;
    fuzz_put(fuzz_in, data, size);
    if (fuzz_refused(rt_h5_scan(&f, fuzz_in))) return;
    for (int i = 0; i < f->sets; i++) {
        rt_source *s = NULL;
        if (fuzz_refused(rt_source_open_in(&s, f, f->set[i].name))) continue;
        uint64_t rows = rt_source_rows(s), row[2] = {0, rows ? rows - 1 : 0};
        size_t bytes = rt_source_row_bytes(s);
        void *to = bytes < 1 << 24 ? malloc(2 * bytes + 1) : NULL;
        if (to && rows) fuzz_refused(rt_source_read(s, row, 2, to));
        free(to);
        rt_source_close(s);
    }
    rt_h5_close(f);
    if (!fuzz_refused(rt_model_load(&m, fuzz_in))) rt_model_free(m);
    if (fuzz_refused(rt_labels_open(&l, fuzz_in, 1))) return;
    const rt_labels_spec *spec = rt_labels_info(l);
    float *logits = spec->classes < 1 << 20 ? malloc((size_t)spec->classes * sizeof *logits) : NULL;
    uint64_t row = spec->first;
    if (logits) fuzz_refused(rt_labels_read(l, &row, 1, logits));
    free(logits);
    fuzz_refused(rt_labels_verify(l));
    rt_labels_close(l);
}

/* A chunk as HDF5's plugins compress it, behind six bytes that say how and what room there is. */
static void codec(const uint8_t *data, size_t size)
{
    static rt_codec_scratch scratch;
    static const uint32_t method[] = {0, 2, 3};
    if (size < 6) return;
    const uint32_t param[RT_H5_PARAMS] = {0, 4, data[1], data[2] * 8u, method[data[3] % 3]};
    size_t room = (size_t)data[4] << 8 | data[5], n = size - 6, got;
    char *dst = malloc(room + 1), *src = malloc(n + 1);
    if (!dst || !src) abort();
    memcpy(src, data + 6, n);
    if (data[0] % 3 == 0) got = rt_lz4_decode(dst, room, src, n);
    else if (data[0] % 3 == 1) got = rt_zstd_decode(&scratch, dst, room, src, n);
    else got = rt_bitshuffle_decode(&scratch, param, dst, room, src, n);
    if (got > room) abort();
    free(dst);
    free(src);
}

enum { ANSWERED = 6 };

/* Six rows that files of answers are about. */
static rt_source *answered(void)
{
    static rt_source *source;
    static const float x[ANSWERED] = {1, 2, 3, 4, 5, 6};
    rt_h5_item item = {.name = "x", .type = RT_F32, .rank = 1, .dim = {ANSWERED}, .data = x};
    if (source) return source;
    if (rt_h5_save(fuzz_out, "retort-data-1", &item, 1) || rt_source_open(&source, fuzz_out, "x")) abort();
    unlink(fuzz_out);
    return source;
}

/* Answers that were made elsewhere (teacher/given.c), by number and, of an HDF5 file, of set "z" by "key". */
static void answers(const uint8_t *data, size_t size)
{
    static const char *const how[] = {"logits", "probabilities", "classes"};
    fuzz_put(fuzz_in, data, size);
    int h5 = size > 4 && !memcmp(data + 1, "HDF", 3);
    for (int i = 0; i < 6; i++) {
        char text[400];
        rt_teacher *t = NULL;
        cJSON *j;
        snprintf(text, sizeof text, "{\"from\": \"%s%s\", \"gives\": \"%s\"%s}", fuzz_in, h5 ? i < 3 ? ":z" : ":h" : "",
                 how[i % 3], i % 3 == 2 ? ", \"classes\": [\"a\", \"b\", \"c\"]" : "");
        if (rt_json_parse(&j, text, strlen(text), "a specification")) abort();
        rt_cfg c = rt_cfg_begin(j, "");
        rt_teacher_binding to = {.source = answered(), .marks = i > 2};
        if (!fuzz_refused(rt_teacher_read_object(&t, &c, NULL)) && !fuzz_refused(rt_teacher_bind(t, &to))) {
            int heads;
            uint64_t row[ANSWERED] = {0, 1, 2, 5, 4, 3};
            const rt_head *head = rt_teacher_heads(t, &heads);
            float *z = malloc((size_t)rt_heads_width(head, heads) * ANSWERED * sizeof *z);
            if (z) fuzz_refused(rt_teacher_ask(t, &(rt_feed){.row = row, .rows = ANSWERED}, z));
            free(z);
        }
        rt_teacher_close(t);
        cJSON_Delete(j);
    }
}

const fuzz_target fuzz_of_files[] = {{"answers", answers}, {"idx", idx},   {"npy", npy}, {"npz", npz}, {"csv", csv},
                                     {"image", image},     {"exif", exif}, {"h5", h5},
                                     {"codec", codec},     {NULL, NULL}};
