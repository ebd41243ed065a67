/* Quantized ONNX models of others (tests/onnx/quantized, recorded by tests/onnx/record_quantized.py with ONNX Runtime's
 * quantize_static): those that obey the integer contract become quantized models, whose programs answer as ONNX
 * Runtime's integer kernels do, to the bit; others stay in float, and the reason is told. */
#include "data/files.h"
#include "student/onnx/onnx_import.h"
#include "student/predictor.h"
#include "tests/support.h"

typedef struct { int rows, width; float *x, *y; } recording;

static const char *sample(const char *name, const char *end)
{
    static char path[512];
    snprintf(path, sizeof path, "%s/tests/onnx/quantized/%s%s", RETORT_SOURCE_DIR, name, end);
    return path;
}

static recording read_recording(const char *name, size_t size)
{
    recording r;
    FILE *f = fopen(sample(name, ".txt"), "r");
    assert_non_null(f);
    assert_int_equal(fscanf(f, "rows %d width %d", &r.rows, &r.width), 2);
    r.x = calloc((size_t)r.rows * size, sizeof *r.x);
    r.y = calloc((size_t)(r.rows * r.width), sizeof *r.y);
    for (int i = 0; i < r.rows; i++) {
        for (size_t k = 0; k < size; k++) assert_int_equal(fscanf(f, "%f", &r.x[(size_t)i * size + k]), 1);
        for (int k = 0; k < r.width; k++) assert_int_equal(fscanf(f, "%f", &r.y[i * r.width + k]), 1);
    }
    fclose(f);
    return r;
}

static rt_model *import(const char *name, const char *binding, cJSON *notes)
{
    rt_onnx_file *f;
    cJSON *b = NULL;
    rt_model *m;
    if (binding) check_ok(rt_json_parse(&b, binding, strlen(binding), "binding"));
    check_ok(rt_onnx_read(&f, sample(name, ".onnx"), &(rt_onnx_spec_read){0}));
    check_ok(rt_onnx_import(&m, f, b, NULL, notes));
    rt_onnx_close(f);
    cJSON_Delete(b);
    return m;
}

/* How many numbers differ from what ONNX Runtime gave. */
static int differing(const rt_model *m, const char *name)
{
    rt_program *p;
    int n = 0;
    recording r = read_recording(name, m->input[0].size);
    check_ok(rt_program_of(&p, m));
    assert_int_equal(rt_program_width(p), r.width);
    void *context = aligned_alloc(64, (rt_program_bytes(p) + 63) / 64 * 64);
    float *y = calloc((size_t)(r.rows * r.width), sizeof *y);
    rt_program_start(p, context);
    rt_program_infer(p, context, y, r.x, r.rows);
    for (int i = 0; i < r.rows * r.width; i++) n += memcmp(&y[i], &r.y[i], sizeof *y) != 0;
    free(context); free(y); free(r.x); free(r.y);
    rt_program_free(p);
    return n;
}

static int count_of(const rt_model *m, rt_op_id op)
{
    int n = 0;
    for (int i = 0; i < m->graph->nodes; i++) n += m->graph->node[i].op == op;
    return n;
}

static void same_bits(void **state)
{
    static const struct { const char *name; int calls; } some[] = {
        {"residual", 14}, {"signed", 14}, {"residual_operators", 14}, {"flat", 6}, {"flat_operators", 6}, {"mlp", 6},
        {"mlp_tensor", 6}, {"mlp_operators", 6}, {"lines", 8}};
    (void)state;
    for (size_t i = 0; i < sizeof some / sizeof *some; i++) {
        int lines = !strcmp(some[i].name, "lines"), differ;
        rt_model *m = import(some[i].name, lines ? "{\"inputs\":{\"x\":{\"layout\":\"hwc\"}}}" : NULL, NULL);
        if (!rt_model_quantized(m)) fail_msg("%s stayed in float", some[i].name);
        if ((differ = differing(m, some[i].name))) fail_msg("%s: %d answers differ", some[i].name, differ);
        rt_program *p;
        check_ok(rt_program_of(&p, m));
        assert_int_equal(rt_program_net(p)->calls, some[i].calls);
        rt_program_free(p);
        rt_model_free(m);
    }
}

/* Probabilities in steps of bytes: the program gives the logits before them, whose softmax lies within a step of
 * what ONNX Runtime's has by its tables. */
static void probabilities(void **state)
{
    (void)state;
    cJSON *notes = cJSON_CreateArray();
    rt_model *m = import("softmax", NULL, notes);
    recording r = read_recording("softmax", m->input[0].size);
    rt_program *p;
    int told = 0;
    for (const cJSON *n = notes->child; n; n = n->next) told |= strstr(n->valuestring, "rounded to steps") != NULL;
    assert_true(told && rt_model_quantized(m));
    check_ok(rt_program_of(&p, m));
    void *context = aligned_alloc(64, (rt_program_bytes(p) + 63) / 64 * 64);
    float *y = calloc((size_t)(r.rows * r.width), sizeof *y);
    rt_program_start(p, context);
    rt_program_infer(p, context, y, r.x, r.rows);
    for (int i = 0; i < r.rows; i++) {
        double sum = 0;
        for (int k = 0; k < r.width; k++) sum += exp((double)y[i * r.width + k]);
        for (int k = 0; k < r.width; k++)
            check_close("a probability", exp((double)y[i * r.width + k]) / sum, (double)r.y[i * r.width + k],
                        1.0 / 255, 0);
    }
    free(context); free(y); free(r.x); free(r.y);
    rt_program_free(p);
    rt_model_free(m);
    cJSON_Delete(notes);
}

/* Graphs that are no program: layers of integers beside those of floats, and inputs that are quantized where they
 * stand, each row by itself. */
static void layers(void **state)
{
    /* floats that are not exact differ: tokens go through a norm and GELU */
    static const struct { const char *name, *binding; rt_op_id op; int count; double within; } some[] = {
        {"dynamic", NULL, RT_OP_DENSE_INT8, 3, 0}, {"dynamic_tokens", NULL, RT_OP_DENSE_INT8, 3, 2e-6},
        {"dynamic_unsigned", NULL, RT_OP_CONV_INT8, 3, 0}, {"dynamic_conv", NULL, RT_OP_CONV_INT8, 4, 0},
        {"unsigned_weights", NULL, RT_OP_CONV_INT8, 3, 0}, {"mixed_operators", NULL, RT_OP_CONV_INT8, 5, 0},
        {"mixed_unsigned", NULL, RT_OP_CONV_INT8, 5, 0}, {"mixed_pairs", NULL, RT_OP_CONV_INT8, 5, 0},
        {"attend_operators", "{\"gives\": \"values\"}", RT_OP_MATMUL, 2, 0}};
    (void)state;
    for (size_t i = 0; i < sizeof some / sizeof *some; i++) {
        rt_model *m = import(some[i].name, some[i].binding, NULL);
        rt_predictor *p;
        rt_device *device = rt_device_cpu(1);
        recording r = read_recording(some[i].name, m->input[0].size);
        float *y = calloc((size_t)(r.rows * r.width), sizeof *y), *z = calloc((size_t)(r.rows * r.width), sizeof *y);
        check_ok(rt_predictor_new(&p, &m, 1, device, 0, NULL, 0));
        check_ok(rt_predict(p, &(rt_feed){.raw = r.x, .rows = r.rows}, y));
        for (int k = 0; k < r.rows; k++)
            check_ok(rt_predict(p, &(rt_feed){.raw = r.x + (size_t)k * m->input[0].size, .rows = 1},
                                z + (size_t)(k * r.width)));
        assert_memory_equal(y, z, (size_t)(r.rows * r.width) * sizeof *y);       /* whatever rows stand beside it */
        double scale = 0, apart = 0;
        int others = 0;
        for (int k = 0; k < r.rows * r.width; k++) {
            scale = fmax(scale, fabs((double)r.y[k]));
            apart = fmax(apart, fabs((double)y[k] - (double)r.y[k]));
            others += y[k] < r.y[k] || y[k] > r.y[k];
        }
        if (!(apart <= some[i].within * scale))
            fail_msg("%s: %d of %d answers differ, up to %g of the scale", some[i].name, others, r.rows * r.width,
                     apart / scale);
        if (count_of(m, some[i].op) != some[i].count || count_of(m, RT_OP_CALL))
            fail_msg("%s: %d layers, %d by definition", some[i].name, count_of(m, some[i].op), count_of(m, RT_OP_CALL));
        free(y); free(z); free(r.x); free(r.y);
        rt_predictor_free(p);
        rt_device_close(device);
        rt_model_free(m);
    }
}

static void is_told(void **state)
{
    (void)state;
    cJSON *notes = cJSON_CreateArray();
    rt_model *m = import("dynamic_conv", NULL, notes);
    const cJSON *last = cJSON_GetArrayItem(notes, cJSON_GetArraySize(notes) - 1);
    assert_non_null(strstr(last->valuestring, "each row by itself"));
    cJSON_Delete(notes);
    rt_model_free(m);
}

static void reasons(void **state)
{
    static const char *const some[][2] = {
        {"unsigned_weights", "node '/c/Gemm' (Gemm): a weight is -128"},
        {"asymmetric", "node '/a/Gemm' (Gemm): its weights are not symmetric"},
        {"sixteen", "node 'x_QuantizeLinear' (QuantizeLinear): its activations are not of 8 bits"},
        {"normed", "node '/end/LayerNormalization' (LayerNormalization): has no integer form"},
        {"rescaled", "its input is taken in another scale than it was given in"},
        {"lines", "the input is no image with its channels last in the data"}};
    (void)state;
    for (size_t i = 0; i < sizeof some / sizeof *some; i++) {
        cJSON *notes = cJSON_CreateArray();
        rt_model *m = import(some[i][0], NULL, notes);
        int told = 0;
        assert_false(rt_model_quantized(m));
        for (const cJSON *n = notes->child; n; n = n->next) told |= strstr(n->valuestring, some[i][1]) != NULL;
        if (!told) fail_msg("%s: its reason is not told", some[i][0]);
        rt_model_free(m);
        cJSON_Delete(notes);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(same_bits), cmocka_unit_test(layers), cmocka_unit_test(is_told),
                                       cmocka_unit_test(probabilities),
                                       cmocka_unit_test(reasons)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
