/* Integer programs that were exported as ONNX come back as quantized models: the same program file to the byte, the
 * same answers to the bit, heads, classes, columns and normalisation; and what is told where a file was changed. */
#include <unistd.h>

#include "export/exporter.h"
#include "student/onnx/onnx_import.h"
#include "student/program_model.h"
#include "tests/export/integer_nets.h"

static rt_status import_bytes(rt_model **m, const void *bytes, size_t n, cJSON *notes)
{
    rt_onnx_file *f;
    *m = NULL;
    RT_TRY(rt_onnx_parse(&f, bytes, n, NULL));
    rt_status st = rt_onnx_import(m, f, NULL, NULL, notes);
    rt_onnx_close(f);
    return st;
}

static int says(const cJSON *notes, const char *part)
{
    for (const cJSON *n = notes->child; n; n = n->next) if (strstr(n->valuestring, part)) return 1;
    return 0;
}

static void show(const cJSON *notes)
{
    for (const cJSON *n = notes->child; n; n = n->next) print_message("note: %s\n", n->valuestring);
}

/* Saved and loaded, it still stands for the model that the program was made of. */
static void check_saved(const rt_model *m, const uint8_t *was, size_t n)
{
    char path[] = "/tmp/retort-quantized-XXXXXX";
    rt_model *again;
    rt_program *p;
    uint8_t *is;
    size_t is_n;
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    check_ok(rt_model_save(m, path));
    check_ok(rt_model_load(&again, path));
    check_ok(rt_program_of(&p, again));
    check_ok(rt_program_write(p, &is, &is_n));
    assert_int_equal(n, is_n);
    assert_memory_equal(was, is, n);
    unlink(path);
    free(is);
    rt_program_free(p);
    rt_model_free(again);
}

static int count_of(const rt_model *m, rt_op_id op)
{
    int n = 0;
    for (int i = 0; i < m->graph->nodes; i++) n += m->graph->node[i].op == op;
    return n;
}

/* dense: how many layers of that kind it has; -1: any. */
static void check_back(const rt_program *p, const rt_onnx_spec *spec, const void *rows, size_t row, int dense)
{
    uint8_t *file, *was, *is;
    size_t n, was_n, is_n;
    int packed;
    rt_model *m;
    rt_program *q;
    cJSON *notes = cJSON_CreateArray();
    check_ok(rt_export_onnx(p, spec, &file, &n, &packed));
    check_ok(import_bytes(&m, file, n, notes));
    if (!rt_model_quantized(m)) {
        show(notes);
        fail_msg("it came back as a float model");
    }
    check_ok(rt_program_of(&q, m));
    check_ok(rt_program_write(p, &was, &was_n));
    check_ok(rt_program_write(q, &is, &is_n));
    if (was_n != is_n || memcmp(was, is, is_n)) {
        show(notes);
        char *a = rt_json_text(rt_program_about(p), 0), *b = rt_json_text(rt_program_about(q), 0);
        fail_msg("another program:\n%s\n%s", a, b);
    }
    assert_true(says(notes, "to the byte"));
    if (dense >= 0) assert_int_equal(count_of(m, RT_OP_DENSE), dense);
    check_saved(m, was, was_n);
    float *y = net_answers(p, rows, row), *z = net_answers(q, rows, row);
    assert_memory_equal(y, z, (size_t)NET_ROWS * (size_t)rt_program_width(p) * sizeof *y);
    cJSON_Delete(notes);
    rt_program_free(q);
    rt_model_free(m);
    free(file); free(was); free(is); free(y); free(z);
}

static void every_net(void **state)
{
    static const rt_onnx_spec specs[] = {{.opset = 17}, {.opset = 21}, {.opset = 21, .packed = 1},
                                         {.opset = 17, .input = RT_ONNX_INPUT_F32}};
    (void)state;
    for (int a = 0; a < NETS; a++)
        for (int bytes = 0; bytes < 2; bytes++) {
            if (bytes ? !nets[a].bytes : nets[a].bytes == 2) continue;
            size_t row;
            net_scene s = net_scene_new(a, bytes);
            const void *rows = net_rows(&s, &row);
            for (size_t i = 0; i < sizeof specs / sizeof *specs; i++) check_back(s.p, &specs[i], rows, row, -1);
            net_scene_free(&s);
        }
}

static void columns_and_changes(void **state)
{
    (void)state;
    net_scene s = net_scene_new(1, 0);
    cJSON *list = cJSON_CreateArray(), *notes = cJSON_CreateArray();
    char name[16];
    rt_names columns;
    rt_program *p;
    rt_model *m;
    uint8_t *file;
    size_t n;
    int packed;
    for (int i = 0; i < 16; i++) {
        snprintf(name, sizeof name, "c %d", i);
        cJSON_AddItemToArray(list, cJSON_CreateString(name));
    }
    check_ok(rt_names_from_json(&columns, list, "test", "columns"));
    check_ok(rt_model_set_columns(s.m, 0, &columns));
    check_ok(rt_program_of(&p, s.m));
    check_back(p, &(rt_onnx_spec){.opset = 17}, s.x, 16 * sizeof *s.x, 3);

    /* one weight is another: a quantized model as well, which stands for nothing but itself */
    check_ok(rt_export_onnx(p, &(rt_onnx_spec){.opset = 17}, &file, &n, &packed));
    const int8_t *w = rt_program_net(p)->weight + rt_program_net(p)->call[0].weight;
    uint8_t *at = memmem(file, n, w, 16 * 70);
    assert_non_null(at);
    at[3] ^= 1;
    check_ok(import_bytes(&m, file, n, notes));
    assert_true(rt_model_quantized(m) && says(notes, "was changed since") && !says(notes, "to the byte"));
    assert_string_equal(m->input[0].columns.name[15], "c 15");
    const cJSON *from = cJSON_GetObjectItemCaseSensitive(m->provenance, "onnx");
    assert_null(cJSON_GetObjectItemCaseSensitive(from, "stands_for"));
    rt_program *q;
    check_ok(rt_program_of(&q, m));
    const rt_net *u = rt_program_net(p), *v = rt_program_net(q);
    assert_int_equal(v->weight[3], (int8_t)(u->weight[3] ^ 1));
    assert_memory_equal(u->weight + 4, v->weight + 4, u->weights - 4);
    assert_string_equal(cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(rt_program_about(q), "model")),
                        rt_model_digest(m).hex);
    rt_program_free(p);
    rt_program_free(q);
    rt_model_free(m);
    rt_names_free(&columns);
    cJSON_Delete(list);
    cJSON_Delete(notes);
    free(file);
    net_scene_free(&s);
}

/* What exporters leave out, or write in two ways: norms alone before and behind rows, tables behind tables, slopes,
 * pixels of one, reshapes that change nothing, pools of a whole image, one layer of two heads, one that others read. */
static const char *const odd[] = {
    "{\"input\":[12],\"classes\":5,\"layers\":[{\"op\":\"batch_norm\"},{\"op\":\"dense\",\"out\":9},"
    "{\"op\":\"leaky_relu\",\"slope\":0.17},{\"op\":\"batch_norm\"},{\"op\":\"relu\"},{\"op\":\"dense\",\"out\":5}]}",
    "{\"input\":[6,6,3],\"classes\":8,\"layers\":[{\"op\":\"conv2d\",\"out\":8,\"kernel\":3,\"stride\":2},"
    "{\"op\":\"tanh\"},{\"op\":\"sigmoid\"},{\"op\":\"max_pool\",\"kernel\":2},{\"op\":\"relu\"},"
    "{\"op\":\"conv2d\",\"out\":8,\"kernel\":1,\"stride\":2},{\"op\":\"gelu_erf\"},{\"op\":\"flatten\"},"
    "{\"op\":\"reshape\",\"shape\":[1,1,8]},{\"op\":\"conv2d\",\"out\":8,\"kernel\":1,\"groups\":8},"
    "{\"op\":\"global_avg_pool\"},{\"op\":\"dense\",\"out\":8}]}",
    "{\"input\":[5,5,4],\"heads\":[{\"name\":\"a\",\"size\":3,\"layer\":\"d\"},{\"name\":\"b\",\"task\":\"real\","
    "\"size\":3,\"layer\":\"d\"},{\"name\":\"c\",\"task\":\"multilabel\",\"size\":6,\"layer\":\"k\"}],\"layers\":["
    "{\"op\":\"conv2d\",\"out\":6,\"kernel\":2},{\"op\":\"reshape\",\"shape\":[4,4,6]},{\"op\":\"relu\"},"
    "{\"op\":\"reshape\",\"shape\":[16,1,6]},{\"op\":\"batch_norm\"},{\"op\":\"avg_pool\",\"kernel\":[16,1]},"
    "{\"name\":\"f\",\"op\":\"flatten\"},{\"name\":\"d\",\"op\":\"dense\",\"out\":3},"
    "{\"name\":\"e\",\"op\":\"relu6\"},{\"name\":\"k\",\"op\":\"concat\",\"from\":[\"e\",\"d\"]}]}",
    "{\"input\":[1,20,2],\"classes\":6,\"layers\":[{\"op\":\"conv2d\",\"out\":6,\"kernel\":[1,3]},{\"op\":\"silu\"},"
    "{\"op\":\"avg_pool\",\"kernel\":[1,18],\"stride\":1},{\"op\":\"flatten\"},{\"op\":\"batch_norm\"}]}",
    "{\"input\":[24,2],\"classes\":4,\"layers\":[{\"op\":\"batch_norm\"},{\"op\":\"conv1d\",\"out\":5,\"kernel\":3,"
    "\"stride\":3},{\"op\":\"hard_swish\"},{\"op\":\"reshape\",\"shape\":[5,8]},{\"op\":\"global_avg_pool\"},"
    "{\"op\":\"dense\",\"out\":4}]}"};

/* Norms with channels turned around and channels that are nearly off, whose biases need their own steps. */
static void disturb(rt_model *m)
{
    for (int i = 0; i < m->graph->nodes; i++) {
        const rt_node *n = &m->graph->node[i];
        if (n->op != RT_OP_BATCH_NORM) continue;
        float *gamma = rt_model_field(m, n->field[0]), *beta = rt_model_field(m, n->field[1]);
        gamma[0] = -gamma[0];
        gamma[1] = 1e-12f;
        beta[1] = 1.7f;
    }
}

static void odd_nets(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof odd / sizeof *odd; i++) {
        net_scene s = {.m = random_model(odd[i], 21 + i)};
        disturb(s.m);
        s.raw = malloc(1);
        s.x = random_floats(s.m->input[0].size * NET_ROWS, 5);
        double mean[4] = {0, 0.25, -1, 2}, std[4] = {1, 2, 0.3, 1};
        if (!i) check_ok(rt_input_set_normalization(&s.m->input[0], mean, std + 1, 1));
        else if (rt_input_last(&s.m->input[0]) <= 4)
            check_ok(rt_input_set_normalization(&s.m->input[0], mean, std, rt_input_last(&s.m->input[0])));
        check_ok(rt_calibrate(s.m, &(rt_calibrate_spec){.correct = 1}, s.x, NET_ROWS, net_device));
        check_ok(rt_program_of(&s.p, s.m));
        check_back(s.p, &(rt_onnx_spec){.opset = i % 2 ? 21 : 17}, s.x, s.m->input[0].size * sizeof(float),
                   i == 3 ? 0 : count_of(s.m, RT_OP_DENSE));
        net_scene_free(&s);
    }
}

/* A scale that no range from 0 on gives. */
static float hard_scale(float x)
{
    float s = expf(x) * 0.01f;
    while (1) {
        float high = (float)(255 * (double)s);
        float made = rt_quant_of(0, high).scale;
        if ((double)high > 255 * (double)s && memcmp(&made, &s, sizeof s)) return s;
        s = nextafterf(s, 1);
    }
}

/* Numbers that no float model was the origin of, as files of others have them: any scale, and biases as large as they
 * come, of a net that takes bytes, whose offsets are in its biases. */
static void any_numbers(void **state)
{
    (void)state;
    net_scene s = net_scene_new(0, 1);
    rt_net *n = rt_program_numbers(s.p);
    const rt_input *in = &s.m->input[0];
    const rt_net_origin of = {.head = s.m->head, .heads = s.m->heads, .mul = in->mul, .add = in->add,
                              .channels = in->channels};
    float *some = random_floats(400, 9);
    for (int round = 0; round < 40; round++) {
        rt_model *m;
        for (int t = 1; t < n->tensors; t++) {
            n->tensor[t].q.scale = round % 4 ? expf(some[round * 8 + t]) * 0.01f : hard_scale(some[round * 8 + t]);
            if (n->call[t - 1].op == RT_NET_MAX_POOL) n->tensor[t].q = n->tensor[t - 1].q;
            else n->tensor[t].q.zero = round % 4 == 0 ? 0 : round % 4 == 1 ? 255 : 3 * round;
        }
        for (int i = 0; i < n->calls; i++)
            for (int k = 0; n->call[i].op == RT_NET_CONV && k < n->call[i].n; k++) {
                size_t c = n->call[i].channel + (size_t)k;
                float step = n->step[c], sx = n->tensor[n->call[i].in[0]].q.scale,
                      b = some[(size_t)round + c] * 3e7f * sx * step;
                if (k % 2) b = nextafterf(ldexpf(b < 0 ? -1 : 1, ilogbf(3e7f * sx * step)), 0);
                check_ok(rt_int_bias(&n->bias[c], &b, &step, sx, 1));
            }
        check_ok(rt_model_of_net(&m, n, &of));
        rt_model_free(m);
    }
    free(some);
    net_scene_free(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_net), cmocka_unit_test(odd_nets),
                                       cmocka_unit_test(columns_and_changes), cmocka_unit_test(any_numbers)};
    net_device = rt_device_cpu(1);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    rt_device_close(net_device);
    return failed;
}
