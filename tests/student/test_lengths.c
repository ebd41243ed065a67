/* Plans by the length of rows (student/lengths.h): sentences that ONNX Runtime answered (tests/onnx/samples, recorded
 * by tests/onnx/record_bindings.py) get those answers, to the same bit whatever rows are beside them; weights that
 * change; ensembles; files; models whose answers padding changes, and others that take the whole length, with the
 * reason. */
#include "engine/kernels.h"
#include "student/arch.h"
#include "student/onnx/onnx_import.h"
#include "student/predictor.h"
#include "tests/support.h"

enum { T = 24, ROWS = 19, K = 3 };

typedef struct { int32_t id[ROWS][T]; float y[ROWS][K]; } sentences;

static sentences read_sentences(const char *name)
{
    char path[512];
    sentences s;
    int rows, width;
    snprintf(path, sizeof path, "%s/tests/onnx/samples/%s.txt", RETORT_SOURCE_DIR, name);
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    assert_int_equal(fscanf(f, "rows %d width %d", &rows, &width), 2);
    assert_int_equal(rows, ROWS);
    assert_int_equal(width, K);
    for (int i = 0; i < ROWS; i++) {
        for (int k = 0; k < T; k++) assert_int_equal(fscanf(f, "%d", &s.id[i][k]), 1);
        for (int k = 0; k < K; k++) assert_int_equal(fscanf(f, "%f", &s.y[i][k]), 1);
    }
    fclose(f);
    return s;
}

static rt_model *import(const char *name, int length, const char *more)
{
    char path[512], text[300];
    rt_onnx_file *f;
    rt_model *m;
    cJSON *b;
    snprintf(path, sizeof path, "%s/tests/onnx/samples/%s.onnx", RETORT_SOURCE_DIR, name);
    snprintf(text, sizeof text, "{\"inputs\": {\"input_ids\": {\"shape\": [%d]}}%s}", length, more);
    check_ok(rt_json_parse(&b, text, strlen(text), "binding"));
    check_ok(rt_onnx_read(&f, path, NULL));
    check_ok(rt_onnx_import(&m, f, b, NULL, NULL));
    rt_onnx_close(f);
    cJSON_Delete(b);
    rt_input_take(&m->input[0], RT_I32);
    return m;
}

/* Its mask is a set of its own, beside the ids. */
static rt_model *import_masked(const char *name)
{
    char path[512];
    static const char text[] = "{\"inputs\": {\"input_ids\": {\"set\": \"ids\", \"shape\": [24]}, "
                               "\"attention_mask\": {\"set\": \"mask\", \"shape\": [24]}}}";
    rt_onnx_file *f;
    rt_model *m;
    cJSON *b;
    snprintf(path, sizeof path, "%s/tests/onnx/samples/%s.onnx", RETORT_SOURCE_DIR, name);
    check_ok(rt_json_parse(&b, text, sizeof text - 1, "binding"));
    check_ok(rt_onnx_read(&f, path, NULL));
    check_ok(rt_onnx_import(&m, f, b, NULL, NULL));
    rt_onnx_close(f);
    cJSON_Delete(b);
    assert_int_equal(m->inputs, 2);
    for (int i = 0; i < 2; i++) {
        rt_input_take(&m->input[i], RT_I32);
        m->input[i].raw_at = strcmp(m->input[i].name, "mask") ? 0 : T * sizeof(int32_t);
        m->input[i].raw_bytes = 2 * T * sizeof(int32_t);
    }
    return m;
}

static rt_predictor *predictor(rt_model *const *m, int count, rt_device *device, int micro)
{
    rt_predictor *p;
    check_ok(rt_predictor_new(&p, m, count, device, micro, NULL, 0));
    return p;
}

static void check_plans(const rt_predictor *p, int model, int n, const int *length)
{
    const rt_lengths *q = rt_predictor_lengths(p, model);
    assert_non_null(q);
    if (q->plans != n) fail_msg("%d plans, not %d: %s", q->plans, n, q->why);
    for (int i = 0; i < n; i++) assert_int_equal(q->plan[i].length, length[i]);
}

static void check_reason(const char *name, const char *more, const char *why)
{
    rt_device *device = rt_device_cpu(1);
    rt_model *m = import(name, T, more);
    rt_predictor *p = predictor(&m, 1, device, 0);
    check_plans(p, 0, 0, NULL);
    if (!strstr(rt_predictor_lengths(p, 0)->why, why)) fail_msg("%s: %s", name, rt_predictor_lengths(p, 0)->why);
    rt_predictor_free(p);
    rt_model_free(m);
    rt_device_close(device);
}

/* Rows in groups, orders and micro-batches of all kinds: the same bits. */
static void check_grouping(rt_model *const *m, int count, const sentences *s, const float *want)
{
    static const int threads[] = {1, 3}, micro[] = {0, 1, 3, 64};
    static float y[4 * ROWS][K];
    for (int t = 0; t < 2; t++)
        for (int k = 0; k < 4; k++) {
            rt_device *device = rt_device_cpu(threads[t]);
            rt_predictor *p = predictor(m, count, device, micro[k]);
            for (int group = 1; group <= ROWS; group += 1 + group / 2)
                for (int i = 0; i < ROWS; i += group) {
                    int rows = ROWS - i < group ? ROWS - i : group;
                    check_ok(rt_predict(p, &(rt_feed){.raw = s->id[0], .first = i, .rows = rows}, y[0]));
                    assert_memory_equal(y[0], want + (size_t)(i * K), (size_t)(rows * K) * sizeof **y);
                }
            int32_t mixed[4 * ROWS][T];
            for (int i = 0; i < 4 * ROWS; i++) memcpy(mixed[i], s->id[i * 7 % ROWS], sizeof mixed[i]);
            check_ok(rt_predict(p, &(rt_feed){.raw = mixed[0], .rows = 4 * ROWS}, y[0]));
            for (int i = 0; i < 4 * ROWS; i++)
                assert_memory_equal(y[i], want + (size_t)(i * 7 % ROWS * K), sizeof y[i]);
            rt_predictor_free(p);
            rt_device_close(device);
        }
}

static float *answers(rt_model *const *m, int count, const sentences *s)
{
    rt_device *device = rt_device_cpu(1);
    rt_predictor *p = predictor(m, count, device, 0);
    float *y = calloc(ROWS * K, sizeof *y);
    check_ok(rt_predict(p, &(rt_feed){.raw = s->id[0], .rows = ROWS}, y));
    rt_predictor_free(p);
    rt_device_close(device);
    return y;
}

static void close_to(const char *what, const float *got, const float *want, double limit)
{
    for (int i = 0; i < ROWS * K; i++) check_close(what, (double)got[i], (double)want[i], limit, limit);
}

static void by_length(void **state)
{
    (void)state;
    static const int length[] = {8, 12, 16};
    sentences s = read_sentences("sentence");
    rt_model *m = import("sentence", T, ""), *whole = import("sentence", T, ", \"shorter\": false");
    rt_device *device = rt_device_cpu(1);
    rt_predictor *p = predictor(&m, 1, device, 0);
    check_plans(p, 0, 3, length);
    const rt_lengths *q = rt_predictor_lengths(p, 0);
    assert_true(rt_predictor_bytes(p) > rt_lengths_bytes(q));
    /* Which plan a row takes: the last that ran has its answer. */
    static const struct {
        int row, plan;
    } taken[] = {{0, -1}, {1, 0}, {7, 0}, {8, 1}, {9, 1}, {10, 2}, {11, 2}, {12, -1}, {18, -1}};
    for (size_t i = 0; i < sizeof taken / sizeof *taken; i++) {
        float one[K];
        int32_t id[T];
        check_ok(rt_predict(p, &(rt_feed){.raw = s.id[0], .first = taken[i].row, .rows = 1}, one));
        for (int k = 0; k < 3; k++)
            assert_int_equal(!memcmp(rt_session_output(q->plan[k].session, 0), one, sizeof one), k == taken[i].plan);
        rt_row_desc rows = rt_input_rows(&m->input[0]);
        assert_int_equal(rt_lengths_of(q, &rows, 1, &(rt_feed){.raw = s.id[0]}, taken[i].row, id), taken[i].plan);
    }
    rt_predictor_free(p);
    rt_device_close(device);
    float *y = answers(&m, 1, &s), *all = answers(&whole, 1, &s);
    close_to("as recorded", y, s.y[0], 1e-5);
    close_to("the whole length", all, s.y[0], 1e-5);
    check_grouping(&m, 1, &s, y);
    check_grouping(&whole, 1, &s, all);
    /* A row without ids, and one that ends in the last quarter, take the whole plan, to the bit. */
    assert_memory_equal(y + 18 * K, all + 18 * K, K * sizeof *y);
    assert_memory_equal(y, all, K * sizeof *y);
    assert_string_not_equal(rt_model_digest(m).hex, rt_model_digest(whole).hex);
    free(y);
    free(all);
    rt_model_free(m);
    rt_model_free(whole);
}

/* The length is that of other dimensions, too: 16 is the width, 24 a layer's. */
static void ambiguous(void **state)
{
    (void)state;
    static const int length[] = {8, 12}, longer[] = {8, 12, 16, 24, 32};
    rt_device *device = rt_device_cpu(1);
    for (int i = 0; i < 2; i++) {
        rt_model *m = import("sentence", i ? 40 : 16, "");
        rt_predictor *p = predictor(&m, 1, device, 0);
        check_plans(p, 0, i ? 5 : 2, i ? longer : length);
        rt_predictor_free(p);
        rt_model_free(m);
    }
    rt_device_close(device);
}

static void shortened(void **state)
{
    (void)state;
    rt_model *m = import("sentence", T, "");
    cJSON *arch, *layer;
    int reshaped = 0, wide = 0;
    check_ok(rt_arch_shorten(&arch, m->arch, m->graph, T, 5));
    cJSON_ArrayForEach(layer, cJSON_GetObjectItem(arch, "layers")) {
        const char *op = cJSON_GetObjectItem(layer, "op")->valuestring;
        const cJSON *d, *shape = cJSON_GetObjectItem(layer, "shape"), *out = cJSON_GetObjectItem(layer, "out");
        cJSON_ArrayForEach(d, shape) assert_int_not_equal(d->valueint, T);
        reshaped += !strcmp(op, "reshape");
        wide += out && out->valueint == T;
    }
    assert_true(reshaped > 4);
    assert_int_equal(wide, 1);                             /* a layer of 24 numbers stays one */
    rt_graph *g;
    check_ok(rt_arch_build(&g, arch, "model"));
    assert_int_equal(g->tensor[g->input[0]].shape.dim[0], 5);
    rt_graph_free(g);
    cJSON_Delete(arch);
    rt_model_free(m);
}

/* Plans read the model's own weights: those that it has now, or others. */
static void weights(void **state)
{
    (void)state;
    sentences s = read_sentences("sentence");
    rt_model *m = import("sentence", T, ""), *other = import("sentence", T, "");
    float *params = rt_floats_new(m->graph->floats[RT_PARAM]), y[ROWS][K];
    for (size_t i = 0; i < m->graph->floats[RT_PARAM]; i++) {
        params[i] = m->params[i] * 1.25f;
        other->params[i] = params[i];
    }
    float *before = answers(&m, 1, &s), *want = answers(&other, 1, &s);
    rt_device *device = rt_device_cpu(2);
    rt_predictor *p = predictor(&m, 1, device, 0);
    for (int turn = 0; turn < 2; turn++) {
        rt_predictor_set_weights(p, 0, params, m->states);
        check_ok(rt_predict(p, &(rt_feed){.raw = s.id[0], .rows = ROWS}, y[0]));
        assert_memory_equal(y, want, sizeof y);
        rt_predictor_set_weights(p, 0, m->params, m->states);
        check_ok(rt_predict(p, &(rt_feed){.raw = s.id[0], .rows = ROWS}, y[0]));
        assert_memory_equal(y, before, sizeof y);
    }
    rt_predictor_free(p);
    rt_device_close(device);
    free(params);
    free(before);
    free(want);
    rt_model_free(m);
    rt_model_free(other);
}

/* A table of places that is trained is a parameter, of which shorter plans read the first part, and what lies behind it
 * in memory stays where it is. */
static void trained_places(void **state)
{
    (void)state;
    static const int length[] = {8, 12, 16};
    sentences s = read_sentences("sentence");
    rt_model *m = import("sentence", T, ""), *n;
    cJSON *arch = cJSON_Duplicate(m->arch, 1), *layer;
    cJSON_ArrayForEach(layer, cJSON_GetObjectItem(arch, "layers"))
        if (!strcmp(cJSON_GetObjectItem(layer, "name")->valuestring, "/Add")) {
            cJSON_DeleteItemFromObject(layer, "learned");
            cJSON_AddTrueToObject(layer, "learned");
        }
    check_ok(rt_model_blank(&n, arch));
    assert_true(n->graph->floats[RT_PARAM] > m->graph->floats[RT_PARAM]);
    for (int i = 0; i < n->graph->fields; i++)
        for (int k = 0; k < m->graph->fields; k++)
            if (!strcmp(n->graph->field[i].name, m->graph->field[k].name))
                memcpy(rt_model_field(n, i), rt_model_field(m, k), m->graph->field[k].count * sizeof(float));
    rt_input_take(&n->input[0], RT_I32);
    rt_device *device = rt_device_cpu(1);
    rt_predictor *p = predictor(&n, 1, device, 0);
    check_plans(p, 0, 3, length);
    rt_predictor_free(p);
    rt_device_close(device);
    float *y = answers(&n, 1, &s);
    close_to("trained places", y, s.y[0], 1e-5);
    free(y);
    cJSON_Delete(arch);
    rt_model_free(m);
    rt_model_free(n);
}

static void ensembles(void **state)
{
    (void)state;
    sentences s = read_sentences("sentence");
    rt_model *m[3] = {import("sentence", T, ""), import("sentence_fixed", T, ""), import("sentence", T, "")};
    for (size_t i = 0; i < m[2]->graph->floats[RT_PARAM]; i++) m[2]->params[i] *= 0.9f;
    float *y = answers(m, 3, &s), *z[3];
    for (int k = 0; k < 3; k++) z[k] = answers(&m[k], 1, &s);
    for (int i = 0; i < ROWS; i++) {
        double p[K] = {0};
        for (int k = 0; k < 3; k++) {
            double sum = 0;
            for (int c = 0; c < K; c++) sum += exp((double)z[k][i * K + c]);
            for (int c = 0; c < K; c++) p[c] += exp((double)z[k][i * K + c]) / sum / 3;
        }
        for (int c = 0; c < K; c++) check_close("ensemble", (double)y[i * K + c], log(p[c]), 1e-5, 1e-5);
    }
    check_grouping(m, 3, &s, y);
    free(y);
    for (int k = 0; k < 3; k++) {
        free(z[k]);
        rt_model_free(m[k]);
    }
}

static void saved(void **state)
{
    (void)state;
    char path[64];
    sentences s = read_sentences("sentence");
    rt_model *m = import("sentence", T, ""), *n;
    snprintf(path, sizeof path, "%s/s.h5", test_folder);
    check_ok(rt_model_save(m, path));
    check_ok(rt_model_load(&n, path));
    assert_string_equal(rt_model_digest(m).hex, rt_model_digest(n).hex);
    rt_input_take(&n->input[0], RT_I32);
    float *a = answers(&m, 1, &s), *b = answers(&n, 1, &s);
    assert_memory_equal(a, b, ROWS * K * sizeof *a);
    free(a);
    free(b);
    rt_model_free(m);
    rt_model_free(n);
}

static void the_whole_length(void **state)
{
    (void)state;
    check_reason("sentence_unmasked", "", "what is padded changes the answer (tried at length 8)");
    check_reason("sentence_fixed", "", "does not say that its length is open");
    check_reason("sentence", ", \"shorter\": false", "does not say that its length is open");
    sentences s = read_sentences("sentence_unmasked");
    rt_model *m = import("sentence_unmasked", T, "");
    float *y = answers(&m, 1, &s);
    close_to("unmasked", y, s.y[0], 1e-5);
    free(y);
    rt_model_free(m);
    /* Features are of the whole length. */
    m = import("sentence", T, "");
    rt_device *device = rt_device_cpu(1);
    rt_predictor *p;
    int tensor = m->graph->node[m->graph->nodes - 2].out;
    check_ok(rt_predictor_new(&p, &m, 1, device, 0, &tensor, 1));
    assert_null(rt_predictor_lengths(p, 0));
    rt_predictor_free(p);
    rt_device_close(device);
    rt_model_free(m);
}

/* A mask that is given: what it marks are lengths, or not, row by row; answers are those of the ids' own mask, and of a
 * row with holes those of the whole length. */
static void given_mask(void **state)
{
    static const int lengths[] = {8, 12, 16};
    enum { HOLES = ROWS, LEFT, BEYOND /* what the ids call padding is marked, up to the next plan */, ALL };
    int32_t row[ALL][2][T];
    float y[ALL][K], alone[K], whole[ALL][K];
    (void)state;
    sentences s = read_sentences("sentence");
    for (int i = 0; i < ALL; i++)
        for (int k = 0; k < T; k++) {
            row[i][0][k] = i < ROWS ? s.id[i][k] : i == LEFT ? k >= T - 5 ? 1 + k : 0 : k < 6 ? 1 + k : 0;
            row[i][1][k] = i == BEYOND ? k < 10 : row[i][0][k] != 0 && (i != HOLES || k % 2 == 0 || k == 5);
        }
    rt_device *device = rt_device_cpu(1);
    rt_model *m = import_masked("sentence");
    rt_predictor *p = predictor(&m, 1, device, 0);
    check_plans(p, 0, 3, lengths);
    check_ok(rt_predict(p, &(rt_feed){.raw = row, .rows = ALL}, y[0]));
    close_to("a mask that is given", y[0], s.y[0], 2e-5);
    for (int i = 0; i < ALL; i++) {
        check_ok(rt_predict(p, &(rt_feed){.raw = row, .first = i, .rows = 1}, alone));
        assert_memory_equal(alone, y[i], sizeof alone);
    }
    rt_predictor_free(p);
    cJSON_DeleteItemFromObjectCaseSensitive(m->arch, "shorter");
    p = predictor(&m, 1, device, 0);
    check_plans(p, 0, 0, NULL);
    check_ok(rt_predict(p, &(rt_feed){.raw = row, .rows = ALL}, whole[0]));
    for (int i = 0; i < ALL; i++)
        for (int k = 0; k < K; k++) check_close("the whole length", (double)y[i][k], (double)whole[i][k], 1e-5, 1e-5);
    rt_predictor_free(p);
    rt_model_free(m);
    rt_device_close(device);
}

int main(void)
{
    rt_kernels_select(NULL);
    const struct CMUnitTest tests[] = {cmocka_unit_test(by_length),      cmocka_unit_test(ambiguous),
                                       cmocka_unit_test(given_mask),
                                       cmocka_unit_test(shortened),      cmocka_unit_test(weights),
                                       cmocka_unit_test(trained_places), cmocka_unit_test(ensembles),
                                       cmocka_unit_test(saved),          cmocka_unit_test(the_whole_length)};
    return cmocka_run_group_tests(tests, make_test_folder, remove_test_folder);
}
