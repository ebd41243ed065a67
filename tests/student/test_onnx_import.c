/* Imported ONNX models (tests/onnx/samples, recorded by tests/onnx/record_samples.py with PyTorch and ONNX Runtime):
 * their answers, alone and in batches to the same bit; saved and loaded; which layers they become; what is refused, and
 * how that is told; what a binding may say. */
#include <sys/stat.h>
#include <unistd.h>

#include "data/files.h"
#include "engine/clock.h"
#include "onnx.pb-c.h"
#include "student/onnx/onnx_import.h"
#include "student/predictor.h"
#include "tests/support.h"

static char *sample(const char *name, const char *end)
{
    static char path[4][512];
    static int at;
    char *p = path[at++ % 4];
    snprintf(p, sizeof path[0], "%s/tests/onnx/samples/%s%s", RETORT_SOURCE_DIR, name, end);
    return p;
}

/* ---- importing ---- */

static rt_status import_file(rt_model **m, const char *path, const char *binding, const char *root, cJSON *notes)
{
    rt_onnx_file *f;
    cJSON *b = NULL;
    rt_onnx_spec_read spec = {.data_root = root};
    *m = NULL;
    if (binding) check_ok(rt_json_parse(&b, binding, strlen(binding), "binding"));
    rt_status st = rt_onnx_read(&f, path, &spec);
    if (!st) {
        st = rt_onnx_import(m, f, b, NULL, notes);
        rt_onnx_close(f);
    }
    cJSON_Delete(b);
    return st;
}

static rt_model *import(const char *name)
{
    rt_model *m;
    check_ok(import_file(&m, sample(name, ".onnx"), NULL, NULL, NULL));
    return m;
}

static void refused(const char *name, const char *binding, rt_status want, const char *part)
{
    rt_model *m;
    check_fails(import_file(&m, sample(name, ".onnx"), binding, NULL, NULL), want, part);
    assert_null(m);
}

static int has_layer(const rt_model *m, const char *op)
{
    const cJSON *layers = cJSON_GetObjectItemCaseSensitive(m->arch, "layers");
    int n = 0;
    for (const cJSON *j = layers->child; j; j = j->next)
        n += !strcmp(cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(j, "op")), op);
    return n;
}

/* ---- answers ---- */

typedef struct {
    int rows, width;
    size_t size;
    float *x, *y;
    int32_t *ids;
} recording;

static recording read_recording(const char *name, size_t size)
{
    recording r = {.size = size};
    FILE *f = fopen(sample(name, ".txt"), "r");
    assert_non_null(f);
    assert_int_equal(fscanf(f, "rows %d width %d", &r.rows, &r.width), 2);
    r.x = calloc((size_t)r.rows * size, sizeof *r.x);
    r.ids = calloc((size_t)r.rows * size, sizeof *r.ids);
    r.y = calloc((size_t)(r.rows * r.width), sizeof *r.y);
    for (int i = 0; i < r.rows; i++) {
        for (size_t k = 0; k < size; k++) assert_int_equal(fscanf(f, "%f", &r.x[(size_t)i * size + k]), 1);
        for (int k = 0; k < r.width; k++) assert_int_equal(fscanf(f, "%f", &r.y[i * r.width + k]), 1);
    }
    for (size_t k = 0; k < (size_t)r.rows * size; k++) r.ids[k] = (int32_t)r.x[k];
    char rest;
    assert_int_equal(fscanf(f, " %c", &rest), EOF);
    fclose(f);
    return r;
}

static void free_recording(recording *r)
{
    free(r->x);
    free(r->y);
    free(r->ids);
}

static float *answers(rt_model *m, const recording *r, int at_once)
{
    rt_predictor *p;
    rt_device *device = rt_device_cpu(1);
    float *y = calloc((size_t)(r->rows * r->width), sizeof *y);
    const char *raw = m->input[0].ids ? (const char *)r->ids : (const char *)r->x;
    if (m->input[0].ids) rt_input_take(&m->input[0], RT_I32);
    assert_int_equal(rt_model_width(m), r->width);
    assert_int_equal(m->input[0].size, r->size);
    check_ok(rt_predictor_new(&p, &m, 1, device, 0, NULL, 0));
    for (int i = 0; i < r->rows; i += at_once)
        rt_predict(p, &(rt_feed){.raw = raw + (size_t)i * r->size * 4, .rows = at_once}, y + i * r->width);
    rt_predictor_free(p);
    rt_device_close(device);
    return y;
}

static void softmax(float *y, const recording *r)
{
    for (int i = 0; i < r->rows; i++) {
        double sum = 0;
        for (int k = 0; k < r->width; k++) sum += exp((double)y[i * r->width + k]);
        for (int k = 0; k < r->width; k++) y[i * r->width + k] = (float)(exp((double)y[i * r->width + k]) / sum);
    }
}

static void check_answers(rt_model *m, const char *name)
{
    recording r = read_recording(name, m->input[0].size);
    float *all = answers(m, &r, r.rows), *each = answers(m, &r, 1);
    char what[160];
    double scale = 0;
    assert_memory_equal(all, each, (size_t)(r.rows * r.width) * sizeof *all);
    if (!strcmp(name, "probabilities")) softmax(all, &r);
    for (int i = 0; i < r.rows * r.width; i++) scale = fmax(scale, fabs((double)r.y[i]));
    for (int i = 0; i < r.rows * r.width; i++) {
        snprintf(what, sizeof what, "%s, row %d, answer %d", name, i / r.width, i % r.width);
        check_close(what, (double)all[i], (double)r.y[i], 2e-6 * scale, 2e-5);
    }
    free(all);
    free(each);
    free_recording(&r);
}

static const char *const models[] = {"cnn",           "activations", "attention", "lstm",      "batch_of_one",
                                     "probabilities", "decided",     "unsorted",  "functions", "einsum",
                                     "external",      "ids",         "reshaped",  "small_table",
                                     "columns",       "loops",       "volumes",   "fused",
                                     "while_loop",    "counted_ids", "one_number"};
enum { MODELS = sizeof models / sizeof models[0] };

static void recorded_answers(void **state)
{
    (void)state;
    for (int i = 0; i < MODELS; i++) {
        rt_model *m = import(models[i]);
        check_answers(m, models[i]);
        rt_model_free(m);
    }
}

static void saved_and_loaded(void **state)
{
    (void)state;
    char path[128];
    for (int i = 0; i < MODELS; i++) {
        rt_model *m = import(models[i]), *n, *direct;
        snprintf(path, sizeof path, "%s/%s.h5", test_folder, models[i]);
        check_ok(rt_model_save(m, path));
        check_ok(rt_model_load(&n, path));
        assert_string_equal(rt_model_digest(m).hex, rt_model_digest(n).hex);
        check_ok(rt_model_load(&direct, sample(models[i], ".onnx")));
        assert_string_equal(rt_model_digest(m).hex, rt_model_digest(direct).hex);
        recording r = read_recording(models[i], m->input[0].size);
        float *a = answers(m, &r, r.rows), *b = answers(n, &r, r.rows);
        assert_memory_equal(a, b, (size_t)(r.rows * r.width) * sizeof *a);
        free(a);
        free(b);
        free_recording(&r);
        rt_model_free(m);
        rt_model_free(n);
        rt_model_free(direct);
    }
}

/* ---- layers ---- */

static void layers(void **state)
{
    (void)state;
    static const struct {
        const char *model, *op;
        int times;
    } want[] = {{"cnn", "conv2d", 4},
                {"cnn", "max_pool", 1},
                {"cnn", "avg_pool", 1},
                {"cnn", "dense", 1},
                {"cnn", "permute", 0},
                {"cnn", "call", 0},
                {"activations", "hard_swish", 1},
                {"activations", "gelu_erf", 1},
                {"activations", "gelu", 1},
                {"activations", "silu", 1},
                {"activations", "prelu", 1},
                {"activations", "layer_norm", 1},
                {"activations", "constant", 1},
                {"activations", "concat", 1},
                {"activations", "pad", 1},
                {"activations", "erf", 0},
                {"activations", "call", 0},
                {"activations", "permute", 0},
                {"attention", "attention", 1},
                {"attention", "softmax", 0},
                {"attention", "call", 0},
                {"lstm", "lstm", 1},
                {"lstm", "call", 0},
                {"batch_of_one", "conv1d", 1},
                {"probabilities", "softmax", 0},
                {"decided", "dense", 1},
                {"functions", "elu", 2},
                {"functions", "leaky_relu", 2},
                {"einsum", "call", 2},
                {"einsum", "dense", 1},
                {"ids", "embedding", 1},
                {"columns", "call", 4},
                {"loops", "call", 0},
                {"loops", "dense", 4},
                {"volumes", "conv3d", 2},
                {"volumes", "max_pool3d", 1},
                {"volumes", "avg_pool3d", 1},
                {"volumes", "conv_transpose3d", 1},
                {"volumes", "resize", 2},
                {"volumes", "call", 0},
                {"fused", "conv2d", 7},
                {"fused", "add", 2},
                {"fused", "clip", 1},
                {"fused", "dense", 10},
                {"fused", "leaky_relu", 2},
                {"while_loop", "call", 0},
                {"while_loop", "tanh", 5},
                {"counted_ids", "dense", 1}};
    for (size_t i = 0; i < sizeof want / sizeof want[0]; i++) {
        rt_model *m = import(want[i].model);
        int n = has_layer(m, want[i].op);
        if (n != want[i].times) fail_msg("%s has %d layers %s, not %d", want[i].model, n, want[i].op, want[i].times);
        rt_model_free(m);
    }
}

static void notes(void **state)
{
    (void)state;
    static const struct {
        const char *model, *part;
    } want[] = {{"cnn", "input 'x': images have their channels last in the data"},
                {"probabilities", "output 'y' is a softmax: probabilities"},
                {"ids", "input 'mask' marks the ids of 'ids' that are not 0"},
                {"ids", "input 'token_type_ids' is 0 everywhere"}};
    for (size_t i = 0; i < sizeof want / sizeof want[0]; i++) {
        cJSON *list = cJSON_CreateArray();
        rt_model *m;
        int found = 0;
        check_ok(import_file(&m, sample(want[i].model, ".onnx"), NULL, NULL, list));
        for (const cJSON *j = list->child; j; j = j->next) found |= strstr(j->valuestring, want[i].part) != NULL;
        if (!found) fail_msg("%s: no note '%s'", want[i].model, want[i].part);
        cJSON_Delete(list);
        rt_model_free(m);
    }
}

/* ---- refusals ---- */

static void refusals(void **state)
{
    (void)state;
    refused("mixes_rows", NULL, RT_INPUT, "node 'over_rows' (ReduceMean) mixes rows");
    refused("random", NULL, RT_INPUT, "node 'dice' (RandomUniformLike)");
    refused("shape_of_data", NULL, RT_INPUT,
            "node 'where_is_it' (NonZero): the shape of what it gives depends on the data");
    refused("unknown", NULL, RT_INPUT,
            "2 nodes of operators that are not known here: node 'strange' (Frobnicate of domain 'mine', opset 1), "
            "node 'odd' (Wobble");
    refused("fused_odd", NULL, RT_INPUT,
            "node 'odd' (FusedGemm): its activation 'Wave' is not known here; a file without ONNX Runtime's");
    refused("cycle", NULL, RT_INPUT, "node 'round' (Add)");
    refused("two_outputs", NULL, RT_USAGE, "the model has y (");
    refused("open_shape", NULL, RT_USAGE,
            "the model leaves dimension 2 ('t') open; the data that is labelled, trained or evaluated on tells it, or "
            "give the shape of a row: --shape x=");
}

static void copy(const char *from, const char *to)
{
    char *bytes;
    size_t n;
    check_ok(rt_read_file(&bytes, &n, from, 1 << 20));
    FILE *f = fopen(to, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, n, f), n);
    fclose(f);
    free(bytes);
}

/* Weights may lie beside the model, as a file; elsewhere, or behind links, only where that is told. */
static void external_data(void **state)
{
    (void)state;
    char model[128], link[128], beside[128], outside[128], stored[128];
    rt_model *m;
    snprintf(model, sizeof model, "%s/m", test_folder);
    assert_int_equal(mkdir(model, 0700), 0);
    snprintf(stored, sizeof stored, "%s/m/store", test_folder);
    assert_int_equal(mkdir(stored, 0700), 0);
    snprintf(model, sizeof model, "%s/m/m.onnx", test_folder);
    snprintf(link, sizeof link, "%s/m/link.bin", test_folder);
    snprintf(beside, sizeof beside, "%s/m/weights.bin", test_folder);
    snprintf(stored, sizeof stored, "%s/m/store/weights.bin", test_folder);
    snprintf(outside, sizeof outside, "%s/weights.bin", test_folder);
    char *slash = strrchr(beside, '/');
    copy(sample("weights", ".bin"), outside);
    copy(sample("weights", ".bin"), stored);
    copy(sample("external_outside", ".onnx"), model);
    check_fails(import_file(&m, model, NULL, NULL, NULL), RT_INPUT,
                "tensor 'w': external data: '../weights.bin' leads out of");
    *slash = 0;
    check_fails(import_file(&m, model, NULL, beside, NULL), RT_INPUT, "'../weights.bin' leads out of");
    copy(sample("external_link", ".onnx"), model);
    assert_int_equal(symlink("store/weights.bin", link), 0);
    check_fails(import_file(&m, model, NULL, NULL, NULL), RT_INPUT, "is a link; --data-root names a folder");
    check_ok(import_file(&m, model, NULL, beside, NULL));
    check_answers(m, "external");
    rt_model_free(m);
    assert_int_equal(unlink(link), 0);
    assert_int_equal(symlink("../weights.bin", link), 0); /* out of that folder, too */
    check_fails(import_file(&m, model, NULL, beside, NULL), RT_INPUT, "'link.bin' leads out of");
    *slash = '/';
    copy(sample("external", ".onnx"), model);
    check_fails(import_file(&m, model, NULL, NULL, NULL), RT_INPUT, "weights.bin");
    copy(sample("weights", ".bin"), beside);
    check_ok(import_file(&m, model, NULL, NULL, NULL));
    rt_model_free(m);
    assert_int_equal(truncate(beside, 87), 0);
    check_fails(import_file(&m, model, NULL, NULL, NULL), RT_INPUT, "weights.bin");
}

/* Every part of a small file, and every bit of it turned: a model or a message, never anything else. */
static void damage(void **state)
{
    (void)state;
    static const char *const of[] = {"decided", "functions", "einsum", "ids"};
    for (size_t i = 0; i < sizeof of / sizeof of[0]; i++) {
        char *bytes;
        size_t n;
        int read = 0;
        check_ok(rt_read_file(&bytes, &n, sample(of[i], ".onnx"), 1 << 20));
        for (size_t k = 0; k < n; k++) {
            rt_onnx_file *f;
            char *part = malloc(k + 1);
            memcpy(part, bytes, k);
            if (rt_onnx_parse(&f, part, k, NULL)) assert_true(strlen(rt_error_message()) > 0);
            else rt_onnx_close(f), read++;
            free(part);
        }
        assert_true(read < 4); /* but for what lies behind the graph */
        for (size_t bit = 0; bit < (n < 500 ? 8 * n : 4000); bit++) {
            rt_onnx_file *f;
            bytes[bit / 8] ^= (char)(1 << bit % 8);
            if (rt_onnx_parse(&f, bytes, n, NULL)) assert_true(strlen(rt_error_message()) > 0);
            else rt_onnx_close(f);
            bytes[bit / 8] ^= (char)(1 << bit % 8);
        }
        free(bytes);
    }
}

/* ---- bindings ---- */

static void bindings(void **state)
{
    (void)state;
    rt_model *m;
    refused("cnn", "{\"inputs\": {\"z\": 0}}", RT_USAGE, "the model has no input named 'z'");
    refused("cnn", "{\"inputs\": {\"x\": 0}}", RT_INPUT, "no input is left for data");
    refused("cnn", "{\"inputs\": {\"x\": {\"shape\": [2, 7, 6]}}}", RT_USAGE, "dimension 3 is 6, the model's is 5");
    refused("cnn", "{\"inputs\": {\"x\": {\"shape\": [2, 7]}}}", RT_USAGE, "has 2 dimensions, the model's input 3");
    refused("cnn", "{\"inputs\": {\"x\": \"y != 0\"}}", RT_USAGE, "the model has no other input named 'y'");
    refused("cnn", "{\"inputs\": {\"x\": \"y > 0\"}}", RT_USAGE,
            "'y > 0' is not understood; \"ids != 0\" marks the ids");
    refused("cnn", "{\"inputs\": {\"x\": {\"std\": 0}}}", RT_USAGE, "above 0");
    refused("cnn", "{\"inputs\": {\"x\": {\"mean\": [1, 2, 3]}}}", RT_USAGE, "3");
    refused("cnn", "{\"inputs\": {\"x\": {\"scale\": -1}}}", RT_USAGE, "inputs.x.scale: is above 0");
    refused("cnn", "{\"inputs\": {\"x\": {\"mean\": [1, 2], \"std\": [1]}}}", RT_USAGE, "another key 2");
    refused("cnn", "{\"inputs\": {\"x\": {\"mean\": \"far\"}}}", RT_USAGE, "inputs.x.mean: is a number, or a list");
    refused("cnn", "{\"inputs\": {\"x\": {\"layout\": \"hcw\"}}}", RT_USAGE, "layout");
    refused("unsorted", "{\"inputs\": {\"x\": {\"layout\": \"hwc\"}}}", RT_USAGE, "layout: is of images");
    refused("cnn", "{\"output\": \"z\"}", RT_USAGE, "its outputs are y (");
    refused("cnn", "{\"gives\": \"odds\"}", RT_USAGE, "odds");
    refused("cnn", "{\"classes\": [\"a\", \"b\"]}", RT_INPUT, "4");
    refused("cnn", "{\"input\": 1}", RT_USAGE, "input");
    check_ok(import_file(&m, sample("two_outputs", ".onnx"), "{\"output\": \"r\"}", NULL, NULL));
    assert_int_equal(has_layer(m, "relu"), 1);
    rt_model_free(m);
    check_ok(import_file(&m, sample("open_shape", ".onnx"), "{\"inputs\": {\"x\": {\"shape\": [3, 9]}}}", NULL, NULL));
    assert_int_equal(m->input[0].size, 27);
    rt_model_free(m);
    check_ok(import_file(&m, sample("cnn", ".onnx"),
                         "{\"classes\": [\"a\", \"b\", \"c\", \"d\"], \"gives\": \"logits\"}", NULL, NULL));
    assert_string_equal(m->head[0].names.name[2], "c");
    check_answers(m, "cnn");
    rt_model_free(m);
    check_ok(import_file(&m, sample("cnn", ".onnx"), "{\"gives\": \"probabilities\"}", NULL, NULL));
    assert_int_equal(has_layer(m, "log"), 1);
    rt_model_free(m);
    check_ok(import_file(&m, sample("unsorted", ".onnx"), "{\"gives\": \"values\"}", NULL, NULL));
    assert_int_equal(m->head[0].task, RT_TASK_REAL);
    rt_model_free(m);
}

/* (x - mean) / std of the data is what the file's graph gets; channels first is what is told. */
static void normalised(void **state)
{
    (void)state;
    rt_model *m, *n, *scaled;
    check_ok(import_file(&m, sample("cnn", ".onnx"), "{\"inputs\": {\"x\": {\"mean\": [0.5, -1], \"std\": [2, 4]}}}",
                         NULL, NULL));
    /* ((x / 4) - mean) / std */
    check_ok(import_file(&scaled, sample("cnn", ".onnx"),
                         "{\"inputs\": {\"x\": {\"scale\": 0.25, \"mean\": [0.125, -0.25], \"std\": [0.5, 1]}}}", NULL,
                         NULL));
    assert_string_equal(rt_model_digest(m).hex, rt_model_digest(scaled).hex);
    rt_model_free(scaled);
    check_ok(import_file(&n, sample("cnn", ".onnx"), "{\"inputs\": {\"x\": {\"layout\": \"chw\"}}}", NULL, NULL));
    recording r = read_recording("cnn", m->input[0].size), s = read_recording("cnn", m->input[0].size);
    size_t pixels = r.size / 2;
    for (int i = 0; i < r.rows; i++)
        for (size_t k = 0; k < r.size; k++) {
            size_t at = (size_t)i * r.size;
            r.x[at + k] = k % 2 ? s.x[at + k] * 4 - 1 : s.x[at + k] * 2 + 0.5f;
        }
    float *a = answers(m, &r, r.rows);
    for (int i = 0; i < r.rows; i++)
        for (size_t k = 0; k < r.size; k++)
            r.x[(size_t)i * r.size + k % 2 * pixels + k / 2] = s.x[(size_t)i * r.size + k];
    float *b = answers(n, &r, r.rows);
    for (int i = 0; i < r.rows * r.width; i++) {
        check_close("normalised", (double)a[i], (double)r.y[i], 1e-5, 1e-4);
        check_close("channels first", (double)b[i], (double)r.y[i], 1e-6, 1e-5);
    }
    free(a);
    free(b);
    free_recording(&r);
    free_recording(&s);
    rt_model_free(m);
    rt_model_free(n);
}

static void one_number(void **state)
{
    (void)state;
    static const struct { const char *binding; rt_task task; } want[] = {
        {NULL, RT_TASK_REAL},
        {"{\"gives\": \"logits\"}", RT_TASK_MULTILABEL},
        {"{\"gives\": \"embedding\"}", RT_TASK_REAL},
        {"{\"task\": \"multilabel\"}", RT_TASK_MULTILABEL}};
    for (size_t i = 0; i < sizeof want / sizeof want[0]; i++) {
        rt_model *m;
        check_ok(import_file(&m, sample("one_number", ".onnx"), want[i].binding, NULL, NULL));
        assert_int_equal(m->head[0].task, want[i].task);
        rt_model_free(m);
    }
    refused("one_number", "{\"task\": \"classes\"}", RT_USAGE, "'y' is one number a row, which tells no classes");
}

/* ---- names ---- */

/* y = tanh of tanh of ... of x, whose nodes have all one name, or none (NULL); the file names so many operator sets. */
static void write_chain(const char *path, int nodes, const char *name, int all_sets)
{
    Onnx__ModelProto model = ONNX__MODEL_PROTO__INIT;
    Onnx__GraphProto graph = ONNX__GRAPH_PROTO__INIT;
    Onnx__OperatorSetIdProto set = ONNX__OPERATOR_SET_ID_PROTO__INIT, *sets[100];
    Onnx__TensorShapeProto__Dimension dim[2] = {ONNX__TENSOR_SHAPE_PROTO__DIMENSION__INIT,
                                                ONNX__TENSOR_SHAPE_PROTO__DIMENSION__INIT},
                                      *dims[] = {&dim[0], &dim[1]};
    Onnx__TensorShapeProto shape = ONNX__TENSOR_SHAPE_PROTO__INIT;
    Onnx__TypeProto__Tensor tensor = ONNX__TYPE_PROTO__TENSOR__INIT;
    Onnx__TypeProto type = ONNX__TYPE_PROTO__INIT;
    Onnx__ValueInfoProto x = ONNX__VALUE_INFO_PROTO__INIT, y = x, *in = &x, *out = &y;
    Onnx__NodeProto *node = calloc((size_t)nodes, sizeof *node), **list = calloc((size_t)nodes, sizeof *list);
    char(*value)[12] = calloc((size_t)nodes + 1, sizeof *value), **text = calloc((size_t)nodes + 1, sizeof *text);
    for (int i = 0; i <= nodes; i++) snprintf(text[i] = value[i], sizeof value[i], "v%d", i);
    for (int i = 0; i < nodes; i++) {
        list[i] = &node[i];
        onnx__node_proto__init(&node[i]);
        node[i].op_type = "Tanh";
        node[i].name = (char *)(uintptr_t)name;
        node[i].n_input = node[i].n_output = 1;
        node[i].input = &text[i];
        node[i].output = &text[i + 1];
    }
    for (int i = 0; i < 2; i++) {
        dim[i].value_case = ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE;
        dim[i].dim_value = i ? 4 : 1;
    }
    shape.n_dim = 2, shape.dim = dims;
    tensor.has_elem_type = 1, tensor.elem_type = 1, tensor.shape = &shape;
    type.value_case = ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE, type.tensor_type = &tensor;
    x.name = text[0], y.name = text[nodes], x.type = y.type = &type;
    graph.name = "chain";
    graph.n_node = (size_t)nodes, graph.node = list;
    graph.n_input = graph.n_output = 1, graph.input = &in, graph.output = &out;
    set.has_version = 1, set.version = 17;
    model.has_ir_version = 1, model.ir_version = 8;
    for (int i = 0; i < all_sets; i++) sets[i] = &set;
    model.n_opset_import = (size_t)all_sets, model.opset_import = sets, model.graph = &graph;
    uint8_t *bytes = malloc(onnx__model_proto__get_packed_size(&model));
    size_t n = onnx__model_proto__pack(&model, bytes);
    FILE *f = fopen(path, "wb");
    assert_int_equal(fwrite(bytes, 1, n, f), n);
    fclose(f);
    free(bytes), free(node), free(list), free(value), free(text);
}

/* y = x (1, 2, 3), or (2) where rank is 1, with its axes in the order of perm. */
static void write_turn(const char *path, const int64_t *perm, size_t n, int rank)
{
    static const int size[] = {1, 2, 3};
    Onnx__ModelProto model = ONNX__MODEL_PROTO__INIT;
    Onnx__GraphProto graph = ONNX__GRAPH_PROTO__INIT;
    Onnx__OperatorSetIdProto set = ONNX__OPERATOR_SET_ID_PROTO__INIT, *sets = &set;
    Onnx__TensorShapeProto__Dimension dim[3], *dims[3];
    Onnx__TensorShapeProto shape = ONNX__TENSOR_SHAPE_PROTO__INIT;
    Onnx__TypeProto__Tensor tensor = ONNX__TYPE_PROTO__TENSOR__INIT;
    Onnx__TypeProto type = ONNX__TYPE_PROTO__INIT;
    Onnx__ValueInfoProto x = ONNX__VALUE_INFO_PROTO__INIT, y = x, *in = &x, *out = &y;
    Onnx__AttributeProto axes = ONNX__ATTRIBUTE_PROTO__INIT, *attribute = &axes;
    Onnx__NodeProto turn = ONNX__NODE_PROTO__INIT, flat = turn, *node[] = {&turn, &flat};
    char *text[] = {"x", "t", "y"};
    for (int i = 0; i < rank; i++) {
        dims[i] = &dim[i];
        onnx__tensor_shape_proto__dimension__init(&dim[i]);
        dim[i].value_case = ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE;
        dim[i].dim_value = size[rank > 1 ? i : 1];
    }
    shape.n_dim = (size_t)rank, shape.dim = dims;
    tensor.has_elem_type = 1, tensor.elem_type = 1, tensor.shape = &shape;
    type.value_case = ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE, type.tensor_type = &tensor;
    x.name = text[0], y.name = text[2], x.type = y.type = &type;
    axes.name = "perm", axes.has_type = 1, axes.type = ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INTS;
    axes.n_ints = n, axes.ints = (int64_t *)(uintptr_t)perm;
    turn.op_type = "Transpose", turn.n_attribute = 1, turn.attribute = &attribute;
    flat.op_type = rank > 1 ? "Flatten" : "Identity";
    for (int i = 0; i < 2; i++) {
        node[i]->n_input = node[i]->n_output = 1;
        node[i]->input = &text[i];
        node[i]->output = &text[i + 1];
    }
    graph.name = "turn", graph.n_node = 2, graph.node = node;
    graph.n_input = graph.n_output = 1, graph.input = &in, graph.output = &out;
    set.has_version = 1, set.version = 17;
    model.has_ir_version = 1, model.ir_version = 8;
    model.n_opset_import = 1, model.opset_import = &sets, model.graph = &graph;
    uint8_t bytes[2000];
    assert_true(onnx__model_proto__get_packed_size(&model) <= sizeof bytes);
    size_t packed = onnx__model_proto__pack(&model, bytes);
    FILE *f = fopen(path, "wb");
    assert_int_equal(fwrite(bytes, 1, packed, f), packed);
    fclose(f);
}

/* Axes that are counted from the end, and a list of none. */
static void axes_of_a_turn(void **state)
{
    (void)state;
    static const int64_t order[][3] = {{0, 2, 1}, {0, -1, -2}, {-3, -1, 1}};
    static const float x[2][6] = {{1, 2, 3, 4, 5, 6}, {7, 8, 9, 10, 11, 12}};
    static const int from[6] = {0, 3, 1, 4, 2, 5};
    char path[128];
    rt_model *m;
    snprintf(path, sizeof path, "%s/turn.onnx", test_folder);
    for (int i = 0; i < 3; i++) {
        rt_predictor *p;
        float y[2][6];
        rt_device *device = rt_device_cpu(1);
        write_turn(path, order[i], 3, 3);
        check_ok(import_file(&m, path, "{\"task\": \"real\"}", NULL, NULL));
        check_ok(rt_predictor_new(&p, &m, 1, device, 0, NULL, 0));
        const rt_feed feed = {.raw = x, .rows = 2};
        check_ok(rt_predict(p, &feed, y[0]));
        for (int r = 0; r < 2; r++) for (int k = 0; k < 6; k++) assert_true(y[r][k] == x[r][from[k]]);
        rt_predictor_free(p);
        rt_model_free(m);
        rt_device_close(device);
    }
    write_turn(path, NULL, 0, 1);
    check_ok(import_file(&m, path, NULL, NULL, NULL));
    rt_model_free(m);
}

/* Nodes of one name, as exporters of loops write them, become layers of names of their own, and not in hours. */
static void one_name(void **state)
{
    (void)state;
    enum { NODES = 4000 };
    static const char *const names[] = {NULL, "n", "n_2"};
    static const char *const layer[3][3] = {{"v1", "v2", "v4000"}, {"n", "n_1", "n_3999"},
                                            {"n_2", "n_2_1", "n_2_3999"}};
    char path[128];
    snprintf(path, sizeof path, "%s/chain.onnx", test_folder);
    for (int i = 0; i < 3; i++) {
        rt_model *m;
        double start = rt_thread_seconds();
        write_chain(path, NODES, names[i], 1 + i);
        check_ok(import_file(&m, path, NULL, NULL, NULL));
        assert_true(rt_thread_seconds() - start < 4);              /* 0.4; with a look at all names for each try 180 */
        for (int k = 0; k < 3; k++) {
            const rt_node *n = NULL;
            for (int at = 0; at < m->graph->nodes && !n; at++)
                if (!strcmp(m->graph->node[at].name, layer[i][k])) n = &m->graph->node[at];
            if (!n) fail_msg("there is no layer '%s'", layer[i][k]);
        }
        rt_model_free(m);
    }
    /* Each node looks among them for its own. */
    rt_model *m;
    write_chain(path, 3, NULL, 65);
    check_fails(import_file(&m, path, NULL, NULL, NULL), RT_INPUT, "names 65 operator sets, at most 64 are looked at");
    /* Reading has a clock, too. */
    rt_onnx_file *f;
    write_chain(path, NODES, NULL, 1);
    check_fails(rt_onnx_read(&f, path, &(rt_onnx_spec_read){.seconds = 1e-9}), RT_INPUT,
                "takes more than the 1e-09 seconds that are allowed to read");
}

int main(void)
{
    rt_kernels_select(NULL);
    const struct CMUnitTest tests[] = {cmocka_unit_test(recorded_answers), cmocka_unit_test(saved_and_loaded),
                                       cmocka_unit_test(layers),           cmocka_unit_test(notes),
                                       cmocka_unit_test(refusals),         cmocka_unit_test(external_data),
                                       cmocka_unit_test(damage),           cmocka_unit_test(bindings),
                                       cmocka_unit_test(normalised),       cmocka_unit_test(one_number),
                                       cmocka_unit_test(one_name),         cmocka_unit_test(axes_of_a_turn)};
    return cmocka_run_group_tests(tests, make_test_folder, remove_test_folder);
}
