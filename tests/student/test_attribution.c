/* Attributions against values of PyTorch's autograd in double (record_attributions.py), finite differences, the axioms
 * of Sundararajan et al. 2017, and the integer programs of quantized models. */
#include "student/attribution.h"

#include <cjson/cJSON.h>

#include "engine/kernels.h"
#include "engine/memory.h"
#include "student/calibrate.h"
#include "student/quantizers.h"
#include "tests/student/attribution_reference.h"
#include "tests/support.h"

static rt_device *device;

static rt_model *load(const char *name)
{
    char path[512];
    rt_model *m;
    snprintf(path, sizeof path, "%s/tests/student/attributions/%s.onnx", RETORT_SOURCE_DIR, name);
    check_ok(rt_model_load(&m, path));
    return m;
}

static rt_model *made(const char *arch, uint64_t seed)
{
    rt_model *m;
    cJSON *j = cJSON_Parse(arch);
    assert_non_null(j);
    check_ok(rt_model_new(&m, j, seed));
    cJSON_Delete(j);
    return m;
}

/* What is known of up to 8 rows. */
typedef struct {
    rt_explainer *e;
    int rows, element[8], steps[8];
    size_t parts;
    float *part, *slope, *x, *base;
    double value[8], base_value[8], residual[8];
} answer;

static rt_status try(answer *a, rt_model *const *m, int count, const rt_attribution_spec *spec, const float *x,
                     const float *base, const int *element, int rows)
{
    rt_status st = rt_explainer_new(&a->e, m, count, device, spec);
    if (st) return st;
    a->rows = rows;
    a->parts = rt_explainer_parts(a->e);
    size_t n = a->parts * (size_t)rows;
    a->part = rt_floats_new(n);
    a->slope = rt_floats_new(n);
    a->x = rt_floats_new(n);
    a->base = rt_floats_new(n);
    memcpy(a->x, x, n * sizeof *x);
    if (base) memcpy(a->base, base, n * sizeof *base);
    rt_attribution io = {.rows = rows, .x = a->x, .base = a->base, .element = element, .part = a->part,
                         .slope = a->slope, .value = a->value, .base_value = a->base_value, .residual = a->residual,
                         .steps = a->steps};
    return rt_explain_rows(a->e, &io, NULL);
}

static void end(answer *a)
{
    rt_explainer_free(a->e);
    free(a->part);
    free(a->slope);
    free(a->x);
    free(a->base);
    *a = (answer){0};
}

static const rt_attribution_spec plain = {.method = RT_BY_GRADIENT, .steps = 64, .most = 64, .limit = 10, .patch = 4,
                                          .stride = 2};

static void check_all(const char *what, const float *got, const float *want, size_t n, double absolute, double relative)
{
    char text[120];
    double most = 0;
    for (size_t i = 0; i < n; i++) {
        snprintf(text, sizeof text, "%s, %zu", what, i);
        check_close(text, got[i], want[i], absolute, relative);
        most = fmax(most, fabs((double)want[i]));
    }
    assert_true(most > 20 * absolute);                      /* a comparison of zeros says nothing */
}

typedef struct {
    const char *name;
    const float *x, *value, *slope, *part, *rule[RT_PATHS], *occlusion;
    const int *class;
    int rows, ids;
    float base;
} recorded;

static const recorded nets[] = {
    {"mlp", mlp_x, mlp_value, mlp_slope, NULL, {mlp_midpoint, mlp_trapezoid, mlp_gauss}, mlp_occlusion, mlp_class, 4, 0,
     0},
    {"cnn", cnn_x, cnn_value, cnn_slope, NULL, {cnn_midpoint, cnn_trapezoid, cnn_gauss}, cnn_occlusion, cnn_class, 3, 0,
     0.25f},
    {"words", words_x, words_value, NULL, words_part, {words_midpoint, words_trapezoid, words_gauss}, words_occlusion,
     words_class, 3, 1, 0}};

static void against_pytorch(const recorded *n)
{
    rt_model *m = load(n->name);
    answer a = {0};
    rt_attribution_spec spec = plain;
    size_t count = (size_t)n->rows * m->input[0].size;
    float *x = rt_floats_new(count), *base = rt_floats_new(count), *value = rt_floats_new(8);
    for (size_t i = 0; i < count; i++) {
        int32_t id = (int32_t)n->x[i];
        if (n->ids) memcpy(x + i, &id, sizeof id);
        else x[i] = n->x[i];
        base[i] = n->base;
    }
    check_ok(try(&a, &m, 1, &spec, x, base, n->class, n->rows));
    for (int r = 0; r < n->rows; r++) value[r] = (float)a.value[r];
    check_all(n->name, value, n->value, (size_t)n->rows, 2e-6, 1e-5);
    if (n->slope) {
        check_all("slope", a.slope, n->slope, count, 2e-6, 2e-5);
        for (size_t i = 0; i < count; i++)
            check_close("times x", a.part[i], (double)a.slope[i] * ((double)x[i] - (double)n->base), 1e-7, 1e-6);
    } else check_all("part", a.part, n->part, count, 2e-6, 2e-5);
    end(&a);
    spec.method = RT_BY_INTEGRATED;
    for (spec.path = RT_PATH_MIDPOINT; spec.path < RT_PATHS; spec.path++) {
        spec.steps = spec.most = spec.path == RT_PATH_GAUSS ? 20 : 64;
        check_ok(try(&a, &m, 1, &spec, x, base, n->class, n->rows));
        check_all(rt_path_names[spec.path], a.part, n->rule[spec.path], count, 3e-6, 3e-5);
        end(&a);
    }
    spec.method = RT_BY_OCCLUSION;
    check_ok(try(&a, &m, 1, &spec, x, base, n->class, n->rows));
    check_all("occlusion", a.part, n->occlusion, count, 3e-6, 3e-5);
    end(&a);
    free(x);
    free(base);
    free(value);
    rt_model_free(m);
}

static void mlp_against_pytorch(void **state) { (void)state; against_pytorch(&nets[0]); }
static void cnn_against_pytorch(void **state) { (void)state; against_pytorch(&nets[1]); }
static void words_against_pytorch(void **state) { (void)state; against_pytorch(&nets[2]); }

/* ---- what must hold ---- */

#define CONV_NET \
    "{\"input\": [6, 5, 2], \"classes\": 4, \"layers\": [" \
    "{\"op\": \"conv2d\", \"out\": 6, \"kernel\": 3, \"bias\": false}, {\"op\": \"batch_norm\"}, {\"op\": \"relu\"}, " \
    "{\"op\": \"dropout\", \"rate\": 0.5}, {\"op\": \"conv2d\", \"out\": 5, \"kernel\": 3}, " \
    "{\"op\": \"batch_norm\"}, {\"op\": \"silu\"}, {\"op\": \"global_avg_pool\"}, {\"op\": \"dense\", \"out\": 4}]}"

/* Statistics, and a normalisation by channel, that are not those of the beginning. */
static rt_model *used(const char *arch, uint64_t seed)
{
    rt_model *m = made(arch, seed);
    float *noise = random_floats(m->graph->floats[RT_STATE] + m->graph->floats[RT_PARAM], (uint32_t)seed + 40);
    for (size_t i = 0; i < m->graph->floats[RT_STATE]; i++) m->states[i] += 0.3f * fabsf(noise[i]);
    for (size_t i = 0; i < m->graph->floats[RT_PARAM]; i++)
        m->params[i] += 0.1f * noise[m->graph->floats[RT_STATE] + i];
    free(noise);
    if (m->input[0].shape.rank == 3)
        check_ok(rt_input_set_normalization(&m->input[0], (double[]){0.4, -0.7}, (double[]){0.5, 2}, 2));
    return m;
}

enum { ROWS = 3 };

static size_t rows_of(const rt_model *m, float **x, float **base, int element[ROWS])
{
    size_t n = m->input[0].size;
    *x = random_floats(ROWS * n, 5);
    *base = random_floats(ROWS * n, 6);
    for (int r = 0; r < ROWS; r++) element[r] = r % m->head[0].size;
    return n;
}

/* f by the predictor, which shares no backward pass with what is tried. */
static double asked(rt_explainer *e, const rt_model *m, const float *x, rt_ask_kind kind, int element)
{
    float z[16];
    check_ok(rt_explainer_answers(e, x, 1, z));
    return rt_ask_row(kind, m->head[0].task, z, m->head[0].size, element, NULL);
}

static void finite_differences(void **state)
{
    (void)state;
    for (int kind = 0; kind < RT_ASK_KINDS; kind++)
        for (int members = 1; members <= 2; members++) {
            rt_model *m[2] = {used(CONV_NET, 3), used(CONV_NET, 4)};
            rt_attribution_spec spec = plain;
            float *x, *base;
            int element[ROWS];
            answer a = {0};
            size_t n = rows_of(m[0], &x, &base, element);
            spec.ask = (rt_ask_kind)kind;
            rt_status st = try(&a, m, members, &spec, x, base, element, ROWS);
            if (members == 2 && kind == RT_ASK_CENTRED) {
                check_fails(st, RT_USAGE, "of an ensemble");
            } else {
                double most = 0;
                check_ok(st);
                for (int r = 0; r < ROWS; r++) {
                    double f = asked(a.e, m[0], x + (size_t)r * n, spec.ask, element[r]);
                    check_close("f", a.value[r], f, 1e-5, 1e-5);
                    for (size_t u = 0; u < n; u += 7) {
                        float *at = &x[(size_t)r * n + u], keep = *at, h = 0.003f;
                        *at = keep + h;
                        double up = asked(a.e, m[0], x + (size_t)r * n, spec.ask, element[r]), high = *at;
                        *at = keep - h;
                        double down = asked(a.e, m[0], x + (size_t)r * n, spec.ask, element[r]), low = *at;
                        *at = keep;
                        check_close("slope", a.slope[(size_t)r * n + u], (up - down) / (high - low), 4e-4, 0.02);
                        most = fmax(most, fabs((up - down) / (high - low)));
                    }
                }
                assert_true(most > 0.02);
            }
            end(&a);
            free(x);
            free(base);
            for (int i = 0; i < 2; i++) rt_model_free(m[i]);
        }
}

static double sum_of(const answer *a, int r)
{
    double s = 0;
    for (size_t u = 0; u < a->parts; u++) s += (double)a->part[(size_t)r * a->parts + u];
    return s;
}

/* The sum is the difference of outputs, and the residual says what it is off by; a row whose limit is not met in so
 * many steps has more, or no attribution. */
static void completeness(void **state)
{
    (void)state;
    for (int members = 1; members <= 2; members++) {
        rt_model *m[2] = {used(CONV_NET, 3), used(CONV_NET, 4)};
        rt_attribution_spec spec = plain;
        float *x, *base;
        int element[ROWS];
        answer a = {0};
        size_t n = rows_of(m[0], &x, &base, element);
        spec.method = RT_BY_INTEGRATED;
        spec.steps = 2;
        spec.most = 1024;
        spec.limit = 0.002;
        check_ok(try(&a, m, members, &spec, x, base, element, ROWS));
        for (int r = 0; r < ROWS; r++) {
            double from = asked(a.e, m[0], base + (size_t)r * n, RT_ASK_OUTPUT, element[r]),
                   to = asked(a.e, m[0], x + (size_t)r * n, RT_ASK_OUTPUT, element[r]);
            check_close("f(b)", a.base_value[r], from, 1e-5, 1e-5);
            check_close("f(x)", a.value[r], to, 1e-5, 1e-5);
            assert_true(fabs(to - from) > 0.05);
            check_close("sum", sum_of(&a, r), to - from, 0, 0.0021 * 3);
            check_close("residual", a.residual[r], sum_of(&a, r) - (a.value[r] - a.base_value[r]), 1e-6, 1e-6);
            assert_true(a.steps[r] > 2 && a.steps[r] <= 1024);
        }
        end(&a);
        spec.most = 2;
        spec.limit = 1e-7;
        check_ok(try(&a, m, members, &spec, x, base, element, ROWS));
        for (int r = 0; r < ROWS; r++)
            assert_true(a.steps[r] == 0 && isnan(a.part[(size_t)r * n]) && fabs(a.residual[r]) > 1e-7);
        end(&a);
        free(x);
        free(base);
        for (int i = 0; i < 2; i++) rt_model_free(m[i]);
    }
}

/* Sensitivity: what equals the baseline has no part, and so has what the model does not read; implementation invariance
 * and scaling: units of the data change slopes, and no part. */
static void axioms(void **state)
{
    (void)state;
    static const char arch[] = "{\"input\": [6], \"classes\": 3, \"layers\": [{\"op\": \"dense\", \"out\": 7}, "
                               "{\"op\": \"tanh\"}, {\"op\": \"dense\", \"out\": 3}]}";
    float keep[ROWS * 6];
    for (int method = 0; method < RT_ATTRIBUTIONS; method++)
        for (int scaled = 0; scaled < 2; scaled++) {
            rt_model *m = used(arch, 9);
            rt_attribution_spec spec = plain;
            float *x, *base, *w = rt_model_field(m, 0);
            int element[ROWS];
            answer a = {0};
            rows_of(m, &x, &base, element);
            for (int k = 0; k < 7; k++) w[4 * 7 + k] = 0;            /* column 4 is not read */
            for (int r = 0; r < ROWS; r++) x[r * 6 + 1] = base[r * 6 + 1];
            if (scaled) {
                check_ok(rt_input_set_normalization(&m->input[0], (double[]){0}, (double[]){8}, 1));
                for (int i = 0; i < ROWS * 6; i++) x[i] *= 8, base[i] *= 8;
            }
            spec.method = (rt_attribution_method)method;
            check_ok(try(&a, &m, 1, &spec, x, base, element, ROWS));
            for (int r = 0; r < ROWS; r++) assert_true(a.part[r * 6 + 1] == 0 && a.part[r * 6 + 4] == 0);
            if (!scaled) memcpy(keep, a.part, sizeof keep);
            else check_all("scaled", a.part, keep, ROWS * 6, 1e-6, 1e-5);
            end(&a);
            free(x);
            free(base);
            rt_model_free(m);
        }
}

/* A linear function: all three methods say the same, w_u (x_u - b_u). */
static void linear(void **state)
{
    (void)state;
    for (int method = 0; method < RT_ATTRIBUTIONS; method++) {
        rt_model *m = used("{\"input\": [5], \"heads\": [{\"name\": \"v\", \"task\": \"real\", \"size\": 2}], "
                           "\"layers\": [{\"op\": \"dense\", \"out\": 2}]}", 2);
        rt_attribution_spec spec = plain;
        float *x, *base, *w = rt_model_field(m, 0), want[ROWS * 5];
        int element[ROWS];
        answer a = {0};
        rows_of(m, &x, &base, element);
        spec.method = (rt_attribution_method)method;
        for (int i = 0; i < ROWS * 5; i++) want[i] = w[i % 5 * 2 + element[i / 5]] * (x[i] - base[i]);
        check_ok(try(&a, &m, 1, &spec, x, base, element, ROWS));
        check_all("linear", a.part, want, ROWS * 5, 1e-6, 1e-5);
        end(&a);
        free(x);
        free(base);
        rt_model_free(m);
    }
}

/* Any number of threads, any rows beside it: the same bits. */
static void same_bits(void **state)
{
    (void)state;
    float first[ROWS * 60];
    for (int way = 0; way < 3; way++) {
        rt_device *keep = device;
        rt_model *m = used(CONV_NET, 3);
        rt_attribution_spec spec = plain;
        float *x, *base;
        int element[ROWS], only = way == 2;
        answer a = {0};
        size_t n = rows_of(m, &x, &base, element);
        assert_int_equal(n, 60);
        if (way == 1) assert_non_null(device = rt_device_cpu(5));
        spec.method = RT_BY_INTEGRATED;
        check_ok(try(&a, &m, 1, &spec, x + only * n, base + only * n, element + only, only ? 1 : ROWS));
        if (!way) memcpy(first, a.part, sizeof first);
        else assert_memory_equal(first + only * n, a.part, (only ? 1 : ROWS) * n * sizeof *first);
        end(&a);
        if (way == 1) rt_device_close(device);
        device = keep;
        free(x);
        free(base);
        rt_model_free(m);
    }
}

/* Of a quantized model f is the program's answer; occlusion is exact, gradients follow the float model's. */
static void quantized(void **state)
{
    (void)state;
    rt_model *m = used(CONV_NET, 3), *q = used(CONV_NET, 3);
    enum { MANY = 64 };
    size_t n = m->input[0].size;
    float *x, *base, *rows = random_floats(MANY * n, 21), *normal = rt_floats_new(MANY * n);
    int element[ROWS];
    answer a = {0}, b = {0};
    rows_of(m, &x, &base, element);
    rt_input_normalize(&q->input[0], normal, rows, MANY);
    check_ok(rt_calibrate(q, &(rt_calibrate_spec){.method = RT_CALIBRATE_MINMAX}, normal, MANY, device));
    assert_true(rt_model_quantized(q));
    for (int method = 0; method < RT_ATTRIBUTIONS; method++) {
        rt_attribution_spec spec = plain;
        spec.method = (rt_attribution_method)method;
        check_ok(try(&a, &m, 1, &spec, x, base, element, ROWS));
        check_ok(try(&b, &q, 1, &spec, x, base, element, ROWS));
        double ab = 0, aa = 0, bb = 0;
        for (int r = 0; r < ROWS; r++) {
            check_close("f", b.value[r], asked(b.e, q, x + (size_t)r * n, RT_ASK_OUTPUT, element[r]), 1e-6, 1e-6);
            assert_true(b.value[r] != a.value[r]);
            for (size_t u = 0; u < n; u++) {
                double s = (double)a.part[(size_t)r * n + u], t = (double)b.part[(size_t)r * n + u];
                ab += s * t, aa += s * s, bb += t * t;
            }
        }
        double cosine = ab / sqrt(aa * bb);
        if (!(cosine > 0.9 && cosine < 1)) fail_msg("%s: cosine %g", rt_attribution_names[method], cosine);
        end(&a);
        end(&b);
    }
    free(x);
    free(base);
    free(rows);
    free(normal);
    rt_model_free(m);
    rt_model_free(q);
}

/* Gauss and Legendre's rule of n points is exact to degree 2 n - 1 (and not beyond); weights of every rule sum to 1. */
static void rules(void **state)
{
    (void)state;
    double point[64], weight[64];
    for (int path = 0; path < RT_PATHS; path++)
        for (int n = 2; n <= 64; n += n < 8 ? 1 : 7) {
            double sum = 0, power = 0, beyond = 0;
            rt_path_points((rt_path)path, n, point, weight);
            for (int i = 0; i < n; i++) {
                assert_true(point[i] >= 0 && point[i] <= 1 && (!i || point[i] > point[i - 1]));
                sum += weight[i];
                power += weight[i] * pow(point[i], path == RT_PATH_GAUSS ? 2 * n - 1 : 1);
                beyond += weight[i] * pow(point[i], 2 * n);
            }
            check_close("weights", sum, 1, 1e-12, 0);
            check_close("power", power, path == RT_PATH_GAUSS ? 1.0 / (2 * n) : 0.5, 1e-13, 1e-11);
            if (path == RT_PATH_GAUSS && n < 6) assert_true(fabs(beyond - 1.0 / (2 * n + 1)) > 1e-9);
        }
}

/* A table beside numbers, whose gradient the layer of the numbers would change in its place: parts of both sum to the
 * difference, and slopes of numbers are those of finite differences. */
static void ids_beside_numbers(void **state)
{
    (void)state;
    static const char arch[] =
        "{\"inputs\": [{\"name\": \"n\", \"shape\": [4]}, {\"name\": \"w\", \"shape\": [1], \"type\": \"i32\"}], "
        "\"classes\": 3, \"layers\": [{\"op\": \"dense\", \"out\": 5, \"from\": \"n\"}, {\"op\": \"relu\"}, "
        "{\"op\": \"reshape\", \"shape\": [1, 5], \"name\": \"a\"}, "
        "{\"op\": \"embedding\", \"rows\": 7, \"out\": 5, \"name\": \"b\", \"from\": \"w\"}, "
        "{\"op\": \"add\", \"from\": [\"a\", \"b\"]}, {\"op\": \"tanh\"}, {\"op\": \"flatten\"}, "
        "{\"op\": \"dense\", \"out\": 3}]}";
    rt_model *m = used(arch, 12);
    rt_attribution_spec spec = plain;
    enum { U = 5 };
    float *x = random_floats(ROWS * U, 31), *base = rt_floats_new(ROWS * U);
    int element[ROWS] = {0, 1, 2};
    answer a = {0};
    for (int r = 0; r < ROWS; r++) {
        int32_t id = 2 * r + 1;
        memcpy(x + r * U + 4, &id, sizeof id);
    }
    check_ok(try(&a, &m, 1, &spec, x, base, element, ROWS));
    for (int r = 0; r < ROWS; r++)
        for (int u = 0; u < 4; u++) {
            float *at = &x[r * U + u], keep = *at, h = 0.003f;
            *at = keep + h;
            double up = asked(a.e, m, x + r * U, RT_ASK_OUTPUT, element[r]);
            *at = keep - h;
            double down = asked(a.e, m, x + r * U, RT_ASK_OUTPUT, element[r]);
            *at = keep;
            check_close("slope", a.slope[r * U + u], (up - down) / (2 * h), 4e-4, 0.02);
        }
    end(&a);
    spec.method = RT_BY_INTEGRATED;
    spec.steps = spec.most = 1024;
    check_ok(try(&a, &m, 1, &spec, x, base, element, ROWS));
    for (int r = 0; r < ROWS; r++) {
        check_close("sum", sum_of(&a, r), a.value[r] - a.base_value[r], 5e-4, 5e-4);
        assert_true(fabs((double)a.part[r * U + 4]) > 0.01);
    }
    end(&a);
    free(x);
    free(base);
    rt_model_free(m);
}

/* What has no gradient is named. */
static void refusals(void **state)
{
    (void)state;
    char path[512];
    rt_model *m;
    answer a = {0};
    float *x = rt_floats_new(64);
    int element = 0;
    snprintf(path, sizeof path, "%s/tests/onnx/samples/%s.onnx", RETORT_SOURCE_DIR, "einsum");
    check_ok(rt_model_load(&m, path));
    check_fails(try(&a, &m, 1, &plain, x, NULL, &element, 1), RT_USAGE, "--method occlusion");
    assert_non_null(strstr(rt_error_message(), "layer 'outer' (call) has no gradient"));
    rt_attribution_spec spec = plain;
    spec.method = RT_BY_OCCLUSION;
    for (int i = 0; i < 6; i++) x[i] = 0.3f * (float)(i - 2);
    check_ok(try(&a, &m, 1, &spec, x, NULL, &element, 1));
    assert_true(fabs(a.part[0]) > 1e-4 && a.part[2] == 0);        /* x[2] is the baseline's */
    end(&a);
    rt_model_free(m);
    free(x);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(mlp_against_pytorch), cmocka_unit_test(cnn_against_pytorch),
                                       cmocka_unit_test(words_against_pytorch),
                                       cmocka_unit_test(finite_differences),
                                       cmocka_unit_test(completeness),
                                       cmocka_unit_test(axioms),
                                       cmocka_unit_test(linear),
                                       cmocka_unit_test(same_bits),
                                       cmocka_unit_test(quantized),
                                       cmocka_unit_test(ids_beside_numbers),
                                       cmocka_unit_test(rules),
                                       cmocka_unit_test(refusals)};
    (void)argc, (void)argv;
    if (!(device = rt_device_cpu(2))) return 1;
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    rt_device_close(device);
    return failed;
}
