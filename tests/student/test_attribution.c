/* Attributions against values of PyTorch's autograd in double (record_attributions.py), finite differences, the axioms of
 * Sundararajan et al. 2017, and the integer programs of quantized models. */
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

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(mlp_against_pytorch), cmocka_unit_test(cnn_against_pytorch),
                                       cmocka_unit_test(words_against_pytorch)};
    (void)argc, (void)argv;
    if (!(device = rt_device_cpu(2))) return 1;
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    rt_device_close(device);
    return failed;
}
