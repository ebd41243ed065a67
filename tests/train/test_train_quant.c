/* Runs of quantization-aware training: what is validated is what is deployed; they go on after every batch, with any
 * number of threads and any family of integer kernels; the best epoch is one with quantizers; bad settings. */
#include "engine/int/integer.h"
#include "student/quantizers.h"
#include "tests/train/in_pieces.h"

enum { ROWS = 240, SIDE = 6 };

static int set_up(void **s)
{
    static int32_t y[ROWS];
    static uint8_t u[ROWS * SIDE * SIDE];
    uint64_t dim[] = {ROWS, SIDE, SIDE, 1};
    if (make_test_folder(s)) return 1;
    test_device = rt_device_cpu(2);
    float *x = random_floats(ROWS * SIDE * SIDE, 3);
    for (int i = 0; i < ROWS; i++) {
        y[i] = i % 3;
        for (int k = 0; k < SIDE * SIDE; k++) {
            x[i * SIDE * SIDE + k] += k / 12 == y[i] ? 1.0f : 0.0f;
            u[i * SIDE * SIDE + k] = (uint8_t)fminf(fmaxf(100 + 40 * x[i * SIDE * SIDE + k], 0), 255);
        }
    }
    write_data("floats.h5", x, 4, dim, y);
    rt_h5_item item[2] = {{.name = "x", .type = RT_U8, .rank = 4, .data = u, .dim = {ROWS, SIDE, SIDE, 1}},
                          {.name = "y", .type = RT_I32, .rank = 1, .dim = {ROWS}, .data = y}};
    check_ok(rt_h5_save(in_folder("bytes.h5"), "retort-data-1", item, 2));
    free(x);
    return 0;
}

static int tear_down(void **s)
{
    rt_device_close(test_device);
    return remove_test_folder(s);
}

#define NET \
    "'model': {'input': [6, 6, 1], 'classes': 3, 'layers': [" \
    "{'op': 'conv2d', 'name': 'c1', 'out': 4, 'kernel': 3, 'padding': 1, 'bias': false}, {'op': 'batch_norm', " \
    "'name': 'n1'}, {'op': 'relu'}, {'op': 'dropout', 'rate': 0.1}, {'op': 'conv2d', 'name': 'c2', 'out': 4, " \
    "'kernel': 3, 'padding': 1}, {'op': 'relu'}, {'op': 'max_pool', 'kernel': 2}, {'op': 'flatten'}, {'op': 'dense', " \
    "'name': 'd', 'out': 3}]}, "
#define RUN(DATA, TRAIN, QUANT) \
    "{" NET "'data': {'source': '@" DATA ".h5', 'validation': 48}, 'augment': {'flip': true, 'mixup': 0.2}, " \
    "'train': {'batch': 16, " TRAIN "}, 'quant': {" QUANT "}}"

static const char *const configs[] = {
    RUN("bytes", "'epochs': 4", "'weights': 4"),
    RUN("floats", "'epochs': 3, 'optimizer': 'adamw', 'ema': 0.9, 'accumulate': 5", "'weights': 5, 'first': 4, "
        "'warmup': 0, 'freeze': 0.5"),
    RUN("bytes", "'epochs': 4, 'lr': 0.02, 'ema': 0.8", "'method': 'mse', 'weights': 4, 'last': 5, 'calibrate': 40"),
    RUN("floats", "'epochs': 3, 'clip': 1, 'drop_last': false", "'method': 'minmax', 'input': 'f32', 'freeze': 1")};
enum { CONFIGS = sizeof configs / sizeof configs[0] };

/* The same bits with other threads, and with the plain-C integers. */
static void bits_do_not_depend_on_threads(void **s)
{
    char one[33], two[33], three[33];
    (void)s;
    for (int i = 0; i < CONFIGS; i++) {
        digest_of_run(configs[i], "two", two);
        rt_device *own = test_device;
        test_device = rt_device_cpu(1);
        digest_of_run(configs[i], "one", one);
        rt_device_close(test_device);
        test_device = rt_device_cpu(3);
        check_ok(rt_int_kernels_select("scalar"));
        digest_of_run(configs[i], "three", three);
        check_ok(rt_int_kernels_select("auto"));
        rt_device_close(test_device);
        test_device = own;
        assert_string_equal(one, two);
        assert_string_equal(one, three);
    }
}

static void goes_on_after_every_batch(void **s)
{
    (void)s;
    for (int i = 0; i < CONFIGS; i++) {
        char whole[33];
        cJSON *full = train(configs[i], "whole"), *r;
        snprintf(whole, sizeof whole, "%s", text_of(full, "last_weights_digest"));
        int turns = run_in_pieces(configs[i], "pieces", &r);
        assert_true(turns > 30);
        assert_string_equal(text_of(r, "last_weights_digest"), whole);
        assert_string_equal(text_of(r, "digest"), text_of(full, "digest"));
        cJSON_Delete(full);
        cJSON_Delete(r);
    }
}

/* Answers of a model file to all rows, and the share that is right among some. */
static double accuracy_of(rt_model *m, const uint64_t *row, int n)
{
    rt_source *x, *y;
    rt_predictor *p;
    int right = 0;
    check_ok(rt_source_open(&x, in_folder("bytes.h5"), "x"));
    check_ok(rt_source_open(&y, in_folder("bytes.h5"), "y"));
    check_ok(rt_inputs_bind(m->input, 1, x, RT_MATCH_NAMES, NULL));
    check_ok(rt_predictor_new(&p, &m, 1, test_device, 0, NULL, 0));
    for (int i = 0; i < n; i++) {
        uint8_t u[SIDE * SIDE];
        int32_t label;
        float z[3];
        check_ok(rt_source_read(x, &row[i], 1, u));
        check_ok(rt_source_read(y, &row[i], 1, &label));
        rt_predict(p, &(rt_feed){.raw = u, .rows = 1, .row = &row[i]}, z);
        int best = z[1] > z[0];
        if (z[2] > z[best]) best = 2;
        right += best == label;
    }
    rt_predictor_free(p);
    rt_source_close(x);
    rt_source_close(y);
    return (double)right / n;
}

/* What the run tells of its validation rows is what the file's program answers to them. */
static void the_number_is_that_of_the_program(void **s)
{
    (void)s;
    static const int of_bytes[] = {0, 2};
    for (int i = 0; i < 2; i++) {
        cJSON *r = train(configs[of_bytes[i]], "told");
        rt_model *m = load_model("told");
        rt_rows all = {0}, held = {0};
        uint64_t row[48];
        assert_true(rt_model_quantized(m));
        check_ok(rt_rows_range(&all, "", ROWS));
        check_ok(rt_rows_draw(&all, 48, 1, RT_RNG_SPLIT, "validation", &held));
        rt_rows_list(&held, 0, 48, row);
        int epoch = (int)number(r, "best_epoch");
        assert_true(epoch > 1);                    /* not the one in float */
        check_close("accuracy", accuracy_of(m, row, 48), number(r, "validation_accuracy"), 1e-12, 0);
        assert_non_null(cJSON_GetObjectItemCaseSensitive(m->provenance, "quantized"));
        rt_rows_free(&all);
        rt_rows_free(&held);
        rt_model_free(m);
        cJSON_Delete(r);
    }
}

static float *values(const rt_model *m, const char *name)
{
    for (int i = 0; i < m->graph->fields; i++) if (!strcmp(m->graph->field[i].name, name)) return rt_model_field(m, i);
    fail_msg("no field '%s'", name);
    return NULL;
}

/* At 8 bits steps fit the weights; below they are learned, by lsq alone. A frozen run leaves norms and ranges. */
static void steps_are_what_the_method_says(void **s)
{
    (void)s;
    for (int i = 0; i < 2; i++) {
        cJSON *r = train(i ? RUN("bytes", "'epochs': 2", "'weights': 4, 'method': 'minmax'")
                           : RUN("bytes", "'epochs': 2", "'weights': 4"), "method");
        rt_model *m = load_model("method");
        const float *w = values(m, "c2.weight"), *step = values(m, "c2.weight_step"), *w1 = values(m, "c1.weight"),
                    *step1 = values(m, "c1.weight_step");
        int fits = 1, fits1 = 1;
        for (int c = 0; c < 4; c++) {
            float top = 0, top1 = 0;
            for (int k = 0; k < 36; k++) top = fmaxf(top, fabsf(w[k * 4 + c]));
            for (int k = 0; k < 9; k++) top1 = fmaxf(top1, fabsf(w1[k * 4 + c]));
            fits &= step[c] == top / 7;
            fits1 &= step1[c] == top1 / 127;
        }
        assert_int_equal(fits, i);
        assert_true(fits1);
        rt_model_free(m);
        cJSON_Delete(r);
    }
    cJSON *a = train(RUN("bytes", "'epochs': 2", "'warmup': 1, 'freeze': 0.5"), "early"),
          *b = train(RUN("bytes", "'epochs': 2, 'lr': 0.2", "'warmup': 1, 'freeze': 0.5"), "late");
    cJSON_Delete(a);
    cJSON_Delete(b);
    rt_model *m = load_model("early");
    cJSON *c = train(RUN("bytes", "'epochs': 1, 'schedule': 'constant'", "'warmup': 0, 'freeze': 0"), "none");
    rt_model *first = load_model("none");
    const char *note = cJSON_GetArrayItem(cJSON_GetObjectItem(c, "notes"), 0)->valuestring;
    if (!strstr(note, "stand from step 0 on, at 1.00 of the peak learning rate")) fail_msg("'%s'", note);
    for (int k = 0; k < 4; k++) {                 /* frozen from the start: as they were made, with rows' statistics */
        assert_true(values(first, "n1.gamma")[k] == 1 && values(first, "n1.beta")[k] == 0);
        assert_true(values(first, "n1.mean")[k] != 0 && values(first, "n1.variance")[k] != 1);
        assert_true(values(m, "n1.mean")[k] != 0);
    }
    rt_model_free(m);
    rt_model_free(first);
    cJSON_Delete(c);
}

/* Training goes on from a model in float, which has its own normalisation; the default is no warm-up then. */
static void from_a_float_model(void **s)
{
    (void)s;
    cJSON *r = train("{" NET "'data': {'source': '@bytes.h5', 'validation': 48}, 'train': {'epochs': 3, 'batch': 16}}",
                     "float");
    double in_float = number(r, "validation_accuracy");
    cJSON_Delete(r);
    r = train("{'init': '@float/model.h5', 'data': {'source': '@bytes.h5', 'validation': 48}, 'train': {'epochs': 2, "
              "'batch': 16, 'lr': 0.01}, 'quant': {}}", "tuned");
    assert_true(number(r, "validation_accuracy") >= in_float - 0.05);
    assert_int_equal((int)number(r, "epochs"), 2);
    rt_model *m = load_model("tuned");
    assert_true(rt_model_quantized(m) && m->graph->quant.bytes);
    rt_model_free(m);
    cJSON_Delete(r);
}

/* Learned steps begin where the squared error of the weights is least: no step near by, nor the one that fits, nor
 * Esser's, has a smaller one. */
static double squared_error(const float *w, int c, double step)
{
    double sum = 0;
    for (int k = 0; k < 36; k++) {
        double v = (double)w[k * 4 + c], q = rint(v / step);
        q = q > 7 ? 7 : q < -7 ? -7 : q;
        sum += (v - step * q) * (v - step * q);
    }
    return sum;
}

static void learned_steps_begin_well(void **s)
{
    (void)s;
    cJSON_Delete(train("{" NET "'data': {'source': '@bytes.h5'}, 'train': {'epochs': 3, 'batch': 16}}", "begin"));
    cJSON_Delete(train("{'init': '@begin/model.h5', 'data': {'source': '@bytes.h5'}, 'train': {'epochs': 1, 'batch': "
                       "16, 'lr': 1e-9}, 'quant': {'weights': 4, 'step_lr': 0}}", "began"));
    rt_model *m = load_model("began");
    const float *w = values(m, "c2.weight"), *step = values(m, "c2.weight_step");
    for (int c = 0; c < 4; c++) {
        double top = 0, mean = 0, is = squared_error(w, c, (double)step[c]);
        for (int k = 0; k < 36; k++) {
            top = fmax(top, fabs((double)w[k * 4 + c]));
            mean += fabs((double)w[k * 4 + c]) / 36;
        }
        for (double by = 0.5; by < 2; by += 0.013)
            assert_true(is <= squared_error(w, c, by * (double)step[c]) * 1.02);
        assert_true(is <= squared_error(w, c, top / 7) * 1.000001 && is < squared_error(w, c, 2 * mean / sqrt(7)));
    }
    rt_model_free(m);
}

/* Mean and variance of channel c of c1's output over all rows, as c1 is now. */
static void moments_of(const rt_model *m, int c, double *mean, double *variance)
{
    const float *w = values(m, "c1.weight"), *step = values(m, "c1.weight_step");
    rt_source *x;
    double sum = 0, squares = 0;
    check_ok(rt_source_open(&x, in_folder("bytes.h5"), "x"));
    for (uint64_t r = 0; r < ROWS; r++) {
        uint8_t u[SIDE * SIDE];
        check_ok(rt_source_read(x, &r, 1, u));
        for (int i = 0; i < SIDE * SIDE; i++) {
            double v = 0;
            for (int k = 0; k < 9; k++) {
                int a = i / SIDE + k / 3 - 1, b = i % SIDE + k % 3 - 1;
                if (a < 0 || a >= SIDE || b < 0 || b >= SIDE) continue;
                v += (double)step[c] * rint((double)w[k * 4 + c] / (double)step[c]) *
                     ((double)u[a * SIDE + b] + (double)m->input[0].add[0]) * (double)m->input[0].mul[0];
            }
            sum += v;
            squares += v * v;
        }
    }
    rt_source_close(x);
    *mean = sum / (ROWS * SIDE * SIDE);
    *variance = squares / (ROWS * SIDE * SIDE) - *mean * *mean;
}

/* Where ranges come to stand, norms have the statistics of the rows with the weights that the run goes on from. */
static void norms_stand_with_statistics_of_rows(void **s)
{
    (void)s;
    static const char *const runs[] = {            /* one step behind, at hardly any rate */
        "{" NET "'data': {'source': '@bytes.h5', 'validation': 0}, 'train': {'epochs': 3, 'batch': 16}, "
        "'quant': {'warmup': 0, 'freeze': 0.97}}",
        "{" NET "'data': {'source': '@bytes.h5', 'validation': 0}, 'train': {'epochs': 3, 'batch': 16, 'ema': 0.95}, "
        "'quant': {'warmup': 0, 'freeze': 0.97}}"};
    for (int i = 0; i < 2; i++) {
        cJSON_Delete(train(runs[i], "stands"));
        rt_model *m = load_model("stands");
        for (int c = 0; c < 4; c++) {
            double mean, variance;
            moments_of(m, c, &mean, &variance);
            check_close("mean", values(m, "n1.mean")[c], mean, 1e-3 * sqrt(variance), 0);
            check_close("variance", values(m, "n1.variance")[c], variance, 0, 0.02);
        }
        const cJSON *q = cJSON_GetObjectItemCaseSensitive(m->provenance, "quantized");
        assert_true(number(q, "norms_of_rows") == ROWS);
        rt_model_free(m);
    }
}

/* It goes on from the average: at a rate of 0 that stays what it is, however long. */
static void the_run_goes_on_from_the_average(void **s)
{
    static const char *const runs[] = {
        "{" NET "'data': {'source': '@bytes.h5', 'validation': 0}, 'train': {'epochs': 2, 'batch': 16, 'ema': 0.9, "
        "'schedule': 'step', 'milestones': [1], 'step_gamma': 0}, 'quant': {'warmup': 0, 'weights': 4, 'freeze': 0.5}}",
        "{" NET "'data': {'source': '@bytes.h5', 'validation': 0}, 'train': {'epochs': 4, 'batch': 16, 'ema': 0.9, "
        "'schedule': 'step', 'milestones': [1], 'step_gamma': 0}, 'quant': {'warmup': 0, 'weights': 4, "
        "'freeze': 0.25}}"};
    (void)s;
    rt_model *m[2];
    for (int i = 0; i < 2; i++) {
        cJSON_Delete(train(runs[i], "goes"));
        m[i] = load_model("goes");
    }
    assert_memory_equal(values(m[0], "c1.weight"), values(m[1], "c1.weight"), 36 * sizeof(float));
    assert_memory_equal(values(m[0], "c2.weight_step"), values(m[1], "c2.weight_step"), 4 * sizeof(float));
    assert_memory_equal(values(m[0], "n1.variance"), values(m[1], "n1.variance"), 4 * sizeof(float));
    rt_model_free(m[0]);
    rt_model_free(m[1]);
}

/* A row of ten has a value that is far from all others, which share a byte then: that is in the result, also of a run
 * that went on. Of other floats nothing is said. */
static void far_values_are_told(void **s)
{
    (void)s;
    static const char of[] = RUN("far", "'epochs': 1", "'warmup': 0, 'input': 'f32'");
    static int32_t y[ROWS];
    uint64_t dim[] = {ROWS, SIDE, SIDE, 1};
    float *x = random_floats(ROWS * SIDE * SIDE, 3);
    cJSON *r, *whole, *usual = train(RUN("floats", "'epochs': 1", "'warmup': 0"), "usual");
    assert_null(cJSON_GetObjectItem(usual, "notes"));
    for (int i = 0; i < ROWS; i++) {
        y[i] = i % 3;
        if (i % 10 == 0) x[i * SIDE * SIDE] = 1e4f;
    }
    write_data("far.h5", x, 4, dim, y);
    whole = train(of, "far");
    run_in_pieces(of, "far_pieces", &r);
    for (int i = 0; i < 2; i++) {
        const char *note = cJSON_GetStringValue(cJSON_GetArrayItem(cJSON_GetObjectItem(i ? r : whole, "notes"), 0));
        assert_non_null(note);
        if (!strstr(note, "; of 1 of its 1 columns half of the values share fewer than 4")) fail_msg("'%s'", note);
    }
    cJSON_Delete(usual);
    cJSON_Delete(whole);
    cJSON_Delete(r);
    free(x);
}

static void bad_settings(void **s)
{
    (void)s;
    cJSON *r;
    static const struct { const char *config, *says;
    } cases[] = {
        {RUN("bytes", "'epochs': 2", "'weights': 3"), "quant.weights"},
        {RUN("bytes", "'epochs': 2", "'weights': 9"), "quant.weights"},
        {RUN("bytes", "'epochs': 2", "'method': 'lsp'"), "lsq"},
        {RUN("bytes", "'epochs': 2", "'warmup': 2"), "quant.warmup"},
        {RUN("bytes", "'epochs': 2", "'bias_correction': true"), "quant.bias_correction"},
        {RUN("bytes", "'epochs': 2", "'layers': {'c3': {'weights': 4}}"), "did you mean 'c1'"},
        {RUN("floats", "'epochs': 2", "'input': 'u8'"), "needs data of bytes"},
        {"{'model': {'input': [6, 6, 1], 'classes': 3, 'layers': [{'op': 'flatten'}, {'op': 'layer_norm', 'name': "
         "'ln'}, {'op': 'dense', 'out': 3}]}, 'data': {'source': '@bytes.h5'}, 'train': {'epochs': 2}, 'quant': {}}",
         "layer 'ln' (layer_norm) has no integer form"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        check_fails(train_with(cases[i].config, "bad", 1, NULL, &r), RT_USAGE, cases[i].says);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(bits_do_not_depend_on_threads),
                                       cmocka_unit_test(goes_on_after_every_batch),
                                       cmocka_unit_test(the_number_is_that_of_the_program),
                                       cmocka_unit_test(steps_are_what_the_method_says),
                                       cmocka_unit_test(from_a_float_model), cmocka_unit_test(learned_steps_begin_well),
                                       cmocka_unit_test(norms_stand_with_statistics_of_rows),
                                       cmocka_unit_test(the_run_goes_on_from_the_average),
                                       cmocka_unit_test(far_values_are_told), cmocka_unit_test(bad_settings)};
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
