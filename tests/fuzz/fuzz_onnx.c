/* ONNX files: parsed, imported, and where a model comes of it and is small, asked about a row; nodes of `call` as model
 * files have them. Both in little memory and time. */
#include "student/onnx/onnx_call.h"
#include "student/onnx/onnx_import.h"
#include "student/predictor.h"
#include "tests/fuzz/fuzz.h"

enum { FLOATS = 1 << 20 };

static size_t floats_of(const rt_model *m)
{
    size_t n = m->graph->floats[RT_PARAM];
    for (int i = 0; i < m->graph->tensors && n < FLOATS; i++) n += rt_shape_count(&m->graph->tensor[i].shape);
    return n;
}

static void ask(rt_model *m)
{
    static rt_device *device;
    rt_predictor *p;
    size_t size = 0;
    if (!device) device = rt_device_cpu(1);
    for (int i = 0; i < m->inputs; i++) size += m->input[i].size;
    if (m->inputs != 1 || floats_of(m) >= FLOATS || !device) return;
    float *x = calloc(size, sizeof *x), *y = calloc((size_t)rt_model_width(m), sizeof *y);
    if (!x || !y) abort();
    for (size_t i = 0; i < size && !m->input[0].ids; i++) x[i] = (float)(i * 40503 % 1000) / 500 - 1;
    if (m->input[0].ids) rt_input_take(&m->input[0], RT_I32);
    if (!fuzz_refused(rt_predictor_new(&p, &m, 1, device, 1, NULL, 0))) {
        rt_predict(p, &(rt_feed){.raw = x, .rows = 1}, y);
        rt_predictor_free(p);
    }
    free(x);
    free(y);
}

static void onnx(const uint8_t *data, size_t size)
{
    rt_onnx_file *f;
    rt_model *m = NULL;
    const rt_onnx_spec_read little = {.budget = (size_t)256 << 20, .seconds = 0.5};
    rt_kernels_select("scalar");
    if (fuzz_refused(rt_onnx_parse(&f, data, size, &little))) return;
    if (!fuzz_refused(rt_onnx_import(&m, f, NULL, NULL, NULL))) ask(m);
    rt_model_free(m);
    rt_onnx_close(f);
}

static void onnx_call(const uint8_t *data, size_t size)
{
    cJSON *j = NULL;
    rt_onnx_call *c;
    static float x[FLOATS];
    const void *in[RT_CALL_INPUTS];
    const char ids[RT_CALL_INPUTS] = {0};
    size_t count, bytes, most = 0;
    if (fuzz_refused(rt_json_parse(&j, (const char *)data, size, "node"))) return;
    if (!fuzz_refused(rt_onnx_call_read(&c, j))) {
        for (int i = 0; i < c->graph.inputs; i++) {
            in[i] = x;
            if (!rt_array_size(c->in[i].type, c->in[i].rank, c->in[i].dim, &count, &bytes) && count > most)
                most = count;
        }
        if (!rt_array_size(RT_F32, c->rank, c->dim, &count, &bytes) && count < FLOATS && most < FLOATS &&
            c->bytes < FLOATS) {
            float *y = calloc(count, sizeof *y);
            void *memory = malloc(c->bytes);
            if (!y || !memory) abort();
            rt_onnx_call_row(c, y, in, ids, memory, c->bytes);
            free(memory);
            free(y);
        }
        rt_onnx_call_free(c);
    }
    cJSON_Delete(j);
}

int fuzz_record_calls(const char *model, const char *to)
{
    rt_model *m;
    int n = 0;
    rt_kernels_select(NULL);
    if (rt_model_load(&m, model)) return 0; /* one that is refused has none */
    const cJSON *layers = cJSON_GetObjectItemCaseSensitive(m->arch, "layers");
    for (const cJSON *j = layers->child; j; j = j->next) {
        char name[1024], *text = cJSON_PrintUnformatted(cJSON_GetObjectItemCaseSensitive(j, "onnx"));
        snprintf(name, sizeof name, "%s-%d", to, n++);
        if (text) fuzz_put(name, text, strlen(text));
        free(text);
    }
    rt_model_free(m);
    return 0;
}

const fuzz_target fuzz_of_onnx[] = {{"onnx", onnx}, {"onnx_call", onnx_call}, {NULL, NULL}};
