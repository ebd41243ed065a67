/* Files whose graph is made for four rows at a time: each row by itself gives what the file's own graph, evaluated on
 * all four, gives for it; or the file is refused, with what helps. */
#include "export/onnx_write.h"
#include "student/onnx/onnx_import.h"
#include "student/predictor.h"
#include "tests/support.h"

enum { ROWS = 4, WIDTH = 12 };

static rt_onnx *begin(void)
{
    rt_onnx *o = rt_onnx_new(17, "g");
    rt_onnx_input(o, "x", RT_ONNX_F32, 2, (const int64_t[]){ROWS, WIDTH});
    return o;
}

static const char *list(rt_onnx *o, const char *name, int n, const int64_t *v)
{
    const int64_t count = n;
    return rt_onnx_const(o, name, RT_ONNX_I64, 1, &count, v);
}

/* The file; its output is y. */
static rt_onnx_file *end(rt_onnx *o)
{
    uint8_t *bytes;
    size_t n;
    rt_onnx_file *f;
    rt_onnx_output(o, "y", RT_ONNX_F32, 2, (const int64_t[]){0, 0});
    check_ok(rt_onnx_pack(o, &bytes, &n));
    check_ok(rt_onnx_parse(&f, bytes, n, NULL));
    rt_onnx_free(o);
    free(bytes);
    return f;
}

static rt_status import(rt_model **m, const rt_onnx_file *f)
{
    cJSON *b = cJSON_CreateObject();
    cJSON_AddStringToObject(b, "gives", "values");
    rt_status st = rt_onnx_import(m, f, b, NULL, NULL);
    cJSON_Delete(b);
    return st;
}

static void same(rt_onnx *o, const char *what)
{
    rt_onnx_file *f = end(o);
    rt_model *m;
    if (import(&m, f)) fail_msg("%s: %s", what, rt_error_message());
    float *x = random_floats(ROWS * WIDTH, 3), got[ROWS * 64];
    rt_device *device = rt_device_cpu(1);
    rt_predictor *p;
    rt_region *r = rt_region_new((size_t)1 << 24);
    rt_array **value = rt_region_list(r, (size_t)f->graph->values, sizeof *value), *in;
    rt_eval *e;
    check_ok(rt_predictor_new(&p, &m, 1, device, 0, NULL, 0));
    check_ok(rt_predict(p, &(rt_feed){.raw = x, .rows = ROWS}, got));
    check_ok(rt_eval_new(&e, r));
    check_ok(rt_array_make(&in, r, RT_F32, 2, (const int64_t[]){ROWS, WIDTH}));
    memcpy(in->data, x, ROWS * WIDTH * sizeof *x);
    value[f->graph->input[0]] = in;
    check_ok(rt_eval_run(e, f->graph, value, 1));
    const rt_array *y = value[f->graph->output[0]];
    assert_int_equal(y->count, ROWS * rt_model_width(m));
    for (size_t i = 0; i < y->count; i++) check_close(what, (double)got[i], rt_array_double(y, i), 1e-6, 1e-5);
    rt_region_free(r);
    rt_predictor_free(p);
    rt_device_close(device);
    rt_model_free(m);
    rt_onnx_close(f);
    free(x);
}

static void refused(rt_onnx *o, const char *why)
{
    rt_onnx_file *f = end(o);
    rt_model *m;
    check_fails(import(&m, f), RT_INPUT, "is made for 4 rows at a time");
    if (!strstr(rt_error_message(), "with a batch of one, or of any size") || !strstr(rt_error_message(), why))
        fail_msg("%s", rt_error_message());
    rt_onnx_close(f);
}

/* Softmax over what a shape makes the last axis: by rows or not. */
static void shapes(void **state)
{
    static const struct { const char *what; int n; int64_t to[4]; } some[] = {
        {"whole", 3, {4, 3, 4}}, {"open", 3, {4, -1, 6}}, {"a factor", 2, {8, 6}}, {"heads as many", 3, {0, 4, 3}},
        {"to be found", 3, {-1, 4, 3}}, {"behind", 3, {4, 4, 3}}};
    (void)state;
    for (size_t i = 0; i < sizeof some / sizeof *some; i++) {
        rt_onnx *o = begin();
        rt_onnx_add(o, "Reshape", "a", (const char *[]){"x", list(o, "to", some[i].n, some[i].to), NULL});
        rt_onnx_add(o, "Softmax", "b", (const char *[]){"a", NULL});
        rt_onnx_add(o, "Reshape", "y", (const char *[]){"b", list(o, "back", 2, (const int64_t[]){ROWS, WIDTH}), NULL});
        same(o, some[i].what);
    }
}

/* A row that is repeated for each of the batch, and one that is made to fill it. */
static void repeated(void **state)
{
    const float row[WIDTH] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};
    (void)state;
    for (int filled = 0; filled < 2; filled++) {
        rt_onnx *o = begin();
        const char *to = list(o, "to", 2, (const int64_t[]){ROWS, WIDTH}),
                   *one = rt_onnx_const(o, "one", RT_ONNX_F32, 2, (const int64_t[]){1, WIDTH}, row);
        if (filled) rt_onnx_add(o, "ConstantOfShape", "a", (const char *[]){to, NULL});
        else rt_onnx_add(o, "Expand", "a", (const char *[]){one, to, NULL});
        rt_onnx_int(rt_onnx_add(o, "Concat", "y", (const char *[]){"x", "a", NULL}), "axis", 1);
        same(o, filled ? "filled" : "repeated");
    }
}

static void first_states(void **state)
{
    enum { T = 3, D = 4, H = 2 };
    float *w = random_floats(4 * H * D, 5), *r = random_floats(4 * H * H, 6), h[ROWS * H];
    (void)state;
    for (int unlike = 0; unlike < 2; unlike++) {
        rt_onnx *o = begin();
        for (int i = 0; i < ROWS * H; i++) h[i] = 0.25f * (float)(i % H + 1) + (float)(unlike * i);
        rt_onnx_add(o, "Reshape", "a", (const char *[]){"x", list(o, "to", 3, (const int64_t[]){ROWS, T, D}), NULL});
        rt_onnx_node *n = rt_onnx_add(o, "Transpose", "b", (const char *[]){"a", NULL});
        rt_onnx_ints(n, "perm", 3, (const int64_t[]){1, 0, 2});
        n = rt_onnx_add(o, "LSTM", "", (const char *[]){
            "b", rt_onnx_const(o, "w", RT_ONNX_F32, 3, (const int64_t[]){1, 4 * H, D}, w),
            rt_onnx_const(o, "r", RT_ONNX_F32, 3, (const int64_t[]){1, 4 * H, H}, r), "", "",
            rt_onnx_const(o, "h", RT_ONNX_F32, 3, (const int64_t[]){1, ROWS, H}, h), "", NULL});
        rt_onnx_int(n, "hidden_size", H);
        rt_onnx_more(n, "last");
        rt_onnx_add(o, "Reshape", "y", (const char *[]){"last", list(o, "out", 2, (const int64_t[]){ROWS, H}), NULL});
        if (unlike) refused(o, "initial_h");
        else same(o, "first states");
    }
    free(w);
    free(r);
}

static void mixed(void **state)
{
    (void)state;
    rt_onnx *o = begin();
    rt_onnx_int(rt_onnx_add(o, "Softmax", "y", (const char *[]){"x", NULL}), "axis", 0);
    refused(o, "mixes rows");
    o = begin();                                           /* rows meet behind a shape that goes through */
    rt_onnx_add(o, "Reshape", "a", (const char *[]){"x", list(o, "to", 2, (const int64_t[]){2, -1}), NULL});
    rt_onnx_add(o, "Softmax", "b", (const char *[]){"a", NULL});
    rt_onnx_add(o, "Reshape", "y", (const char *[]){"b", list(o, "back", 2, (const int64_t[]){ROWS, WIDTH}), NULL});
    refused(o, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(shapes), cmocka_unit_test(repeated),
                                       cmocka_unit_test(first_states), cmocka_unit_test(mixed)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
