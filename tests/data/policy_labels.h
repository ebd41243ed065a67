/* Labels that record_label_policy.py makes, too: logits in steps of a half, so that many rows are equally sure, with
 * rows that have no label and rows that have no true class. */
#ifndef RT_TESTS_POLICY_LABELS_H
#define RT_TESTS_POLICY_LABELS_H

#include "data/labels.h"
#include "tests/support.h"

enum { FIRST = 37, ROWS = 2600, K = 4, SOURCE_ROWS = FIRST + ROWS + 10 };
static float z[ROWS * K];
static int32_t y[SOURCE_ROWS];
static unsigned char status[ROWS];
static char data[64], store[64];
static uint64_t state = 2026;

static double draw(void)
{
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (double)(state >> 33);
}

static void make_labels(void)
{
    for (int i = 0; i < ROWS * K; i++) z[i] = ((float)((int)draw() % 17) - 8) / 2;
    for (int i = 0; i < ROWS; i++) {
        z[i * K + i % K] += 2;
        z[i * K] += 0.5f;
        status[i] = i % 97 == 5 ? RT_LABEL_BAD_INPUT : RT_LABEL_DONE;
    }
    for (int i = 0; i < SOURCE_ROWS; i++) y[i] = -1;
    for (int i = 0; i < ROWS; i++) {
        double u = draw() / 2147483648.0, p[K], sum = 0, before = 0;
        int c = 0;
        for (int k = 0; k < K; k++) sum += p[k] = exp((double)z[i * K + k] / 2);
        while (c < K - 1 && (before += p[c] / sum) <= u) c++;
        if (i % 11) y[FIRST + i] = c;
    }
}

/* A store of these rows of data set x; classes: their names, as JSON. */
static void write_store(const char *path, const char *of, rt_labels_spec spec, const float *logits,
                        const unsigned char *is, const char *manifest)
{
    rt_labels_writer *w;
    rt_source *x;
    rt_identity *id;
    cJSON *m = cJSON_Parse(manifest);
    check_ok(rt_source_open(&x, of, "x"));
    check_ok(rt_identity_open(&id, x, RT_CHECK_KNOWN));
    rt_labels_job job = {.source = id, .mark_bad = is != NULL};
    check_ok(rt_labels_begin(&w, &(rt_target){.path = path, .force = 1}, &spec, m, &job));
    for (uint64_t b = 0; b < rt_labels_blocks(w); b++) {
        size_t at = b * RT_LABEL_BLOCK;
        check_ok(rt_labels_put(w, b, logits + at * (size_t)spec.classes, is ? is + at : NULL));
    }
    check_ok(rt_labels_end(w));
    rt_identity_close(id);
    rt_source_close(x);
    cJSON_Delete(m);
}

#define NAMED "{\"teacher\": {\"digest\": \"t\"}, \"classes\": [\"ant\", \"bee\", \"cat\", \"dog\"]}"

static int set_up(void **s)
{
    static unsigned char x[SOURCE_ROWS];
    if (make_test_folder(s)) return 1;
    setenv("XDG_CACHE_HOME", test_folder, 1);
    snprintf(data, sizeof data, "%s/data.h5", test_folder);
    snprintf(store, sizeof store, "%s/labels.h5", test_folder);
    make_labels();
    for (int i = 0; i < SOURCE_ROWS; i++) x[i] = (unsigned char)(i * 7);
    static const char names[] = "{\"classes\": [\"ant\", \"bee\", \"cat\", \"dog\"]}";
    rt_h5_item item[] = {{.name = "x", .type = RT_U8, .rank = 2, .dim = {SOURCE_ROWS, 1}, .data = x},
                         {.name = "y", .type = RT_I32, .rank = 1, .dim = {SOURCE_ROWS}, .data = y},
                         {.name = "manifest", .type = RT_TEXT, .element = sizeof names - 1, .data = names}};
    check_ok(rt_h5_save(data, "retort-data-1", item, 3));
    write_store(store, data, (rt_labels_spec){.first = FIRST, .rows = ROWS, .classes = K, .type = RT_F32}, z, status,
                NAMED);
    return 0;
}
#endif
