/* Float models as ONNX: each net of float_nets.json, in every form and at several opsets, is written, read back, and
 * evaluated operator by operator (engine/eval/, which ONNX's own tests define): the answers are those of the predictor.
 * And what the file says: names, shapes, opset, metadata; where things stand; what is refused. */
#include "data/files.h"
#include "export/exporter.h"
#include "export/onnx_float_parts.h"
#include "onnx.pb-c.h"
#include "student/onnx/onnx_import.h"
#include "student/predictor.h"
#include "student/quantizers.h"
#include "tests/student/random_model.h"

enum { ROWS = 5 };

static rt_device *device;
static cJSON *nets;

/* Four whole trees of seven nodes and eight leaves. */
static void grow(rt_model *m, const rt_node *n)
{
    const rt_graph *g = m->graph;
    float *v[8], *noise = random_floats(400, 17);
    for (int i = 0; i < 8; i++) v[i] = rt_model_field(m, n->field[i]);   /* as engine/ops_trees.c has them */
    for (int t = 0; t < 4; t++) v[0][t] = (float)(7 * t);
    for (int i = 0; i < 28; i++) {
        int tree = i / 7, k = i % 7;
        v[1][i] = (float)((3 * i + tree) % 6);
        v[2][i] = noise[i];
        v[3][i] = k < 3 ? (float)(7 * tree + 2 * k + 1) : (float)(-1 - (8 * tree + 2 * (k - 3)));
        v[4][i] = k < 3 ? (float)(7 * tree + 2 * k + 2) : (float)(-1 - (8 * tree + 2 * (k - 3) + 1));
        v[5][i] = (float)(i % 2);
    }
    for (size_t i = 0; i < g->field[n->field[6]].count; i++) v[6][i] = noise[40 + i];
    for (size_t i = 0; i < g->field[n->field[7]].count; i++) v[7][i] = noise[200 + i];
    free(noise);
}

/* Weights that are whole numbers, and their steps. */
static void set_integers(rt_model *m, const rt_node *n)
{
    const rt_graph *g = m->graph;
    float *w = rt_model_field(m, n->field[0]), *noise = random_floats(g->field[n->field[0]].count, 400);
    for (size_t i = 0; i < g->field[n->field[0]].count; i++) w[i] = fminf(fmaxf(rintf(noise[i] * 50), -127), 127);
    for (int f = 1; f < n->fields; f++)
        for (size_t i = 0; i < g->field[n->field[f]].count; i++)
            rt_model_field(m, n->field[f])[i] = 0.01f + fabsf(noise[i]) * 0.02f;
    free(noise);
}

/* Weights of both signs beyond 8 bits, zero points that are not 0, steps that are: what quantized layers have. */
static void set_quantized(rt_model *m, const rt_node *n)
{
    const rt_graph *g = m->graph;
    for (int f = 0; f < n->fields; f++) {
        const char *is = strrchr(g->field[n->field[f]].name, '.') + 1;
        const size_t count = g->field[n->field[f]].count;
        float *v = rt_model_field(m, n->field[f]), *noise = random_floats(count, 500 + (uint32_t)n->field[f]);
        for (size_t i = 0; i < count; i++) {
            const float whole = rintf(fminf(fmaxf(noise[i] * 40, -127), 127));
            v[i] = fabsf(noise[i]) * 0.01f + 0.002f;
            if (!strcmp(is, "weight")) v[i] = n->key % 3 ? whole : fabsf(2 * whole) - 27;
            if (!strcmp(is, "bias")) v[i] = i < count / 2 ? 0 : fabsf(whole);
            if (!strcmp(is, "zero") || !strcmp(is, "table"))
                v[i] = whole / 4 - rintf(whole / 4) > 0 ? 2 : rintf(whole / 4);
            if (!strcmp(is, "scale")) v[i] = RT_ATTR(n, rt_quantize_attr)->form == 1 ? v[i] : 10 * v[i];
            if (!strcmp(is, "scales")) v[i] = i % 2 ? whole : 0.02f + 0.01f * (float)i;
        }
        free(noise);
    }
}

static rt_model *model_of(const cJSON *net, uint64_t seed)
{
    char *text = cJSON_PrintUnformatted(cJSON_GetObjectItem(net, "arch"));
    rt_model *m = random_model(text, seed);
    cJSON_free(text);
    for (int i = 0; i < m->graph->nodes; i++)
        if (m->graph->node[i].op == RT_OP_TREES) grow(m, &m->graph->node[i]);
        else if (m->graph->node[i].op == RT_OP_DENSE_INT8) set_integers(m, &m->graph->node[i]);
        else if (m->graph->node[i].op >= RT_OP_CONV_INT8 && m->graph->node[i].op <= RT_OP_QUANTIZE)
            set_quantized(m, &m->graph->node[i]);
    for (int i = 0; i < m->graph->fields; i++) {
        const char *dot = strrchr(m->graph->field[i].name, '.');
        for (size_t k = 0; k < m->graph->field[i].count && !strcmp(dot, ".indices"); k++)
            rt_model_field(m, i)[k] = (float)((k + 1) % 3) - 1;
        if (strcmp(dot, ".operand") && strcmp(dot, ".value") && strcmp(dot, ".recurrent_bias")) continue;
        float *v = rt_model_field(m, i), *noise = random_floats(m->graph->field[i].count, 700 + (uint32_t)i);
        for (size_t k = 0; k < m->graph->field[i].count; k++) v[k] = 0.5f + fabsf(noise[k]);
        free(noise);
    }
    for (int i = 0; i < m->inputs; i++) {
        rt_input *in = &m->input[i];
        double mean[8], std[8];
        if (in->ids) continue;
        int many = i % 2 == 0 && rt_input_last(in) <= 8, n = many ? rt_input_last(in) : 1;
        for (int k = 0; k < n; k++) {
            mean[k] = 120 + 3 * k;
            std[k] = 60 + k;
        }
        check_ok(rt_input_set_normalization(in, mean, std, n));
    }
    return m;
}

static const cJSON *net_named(const char *name)
{
    const cJSON *n;
    cJSON_ArrayForEach(n, nets) if (!strcmp(cJSON_GetStringValue(cJSON_GetObjectItem(n, "name")), name)) return n;
    fail_msg("no net %s", name);
    return NULL;
}

/* ---- rows ---- */

/* Of all inputs side by side, as the model is bound to them: whole numbers from 0 to 255, or ids. */
static uint8_t *raw_rows(rt_model *m)
{
    size_t row = 0, at = 0;
    for (int i = 0; i < m->inputs; i++) row += 4 * m->input[i].size;
    uint8_t *raw = calloc(ROWS, row);
    for (int i = 0; i < m->inputs; i++) {
        rt_input *in = &m->input[i];
        rt_input_take(in, in->ids ? RT_I32 : RT_F32);
        in->raw_at = at;
        in->raw_bytes = row;
        float *noise = random_floats(ROWS * in->size, 900 + (uint32_t)i);
        for (size_t r = 0; r < ROWS; r++)
            for (size_t k = 0; k < in->size; k++) {
                uint8_t byte = (uint8_t)(int)(fabsf(noise[r * in->size + k]) * 90);
                int32_t id = byte % (in->ids ? in->ids : 1);
                float number = byte;
                memcpy(raw + r * row + at + 4 * k, in->ids ? (void *)&id : (void *)&number, 4);
            }
        free(noise);
        at += 4 * in->size;
    }
    return raw;
}

static float *answers(rt_model *m, const uint8_t *raw)
{
    rt_predictor *p;
    float *y = calloc((size_t)ROWS * (size_t)rt_model_width(m), sizeof *y);
    check_ok(rt_predictor_new(&p, &m, 1, device, 0, NULL, 0));
    rt_predict(p, &(rt_feed){.raw = raw, .rows = ROWS}, y);
    rt_predictor_free(p);
    return y;
}

/* Where channels first has what channels last has at k of a row. */
static size_t place(const rt_input *in, int first, size_t k)
{
    size_t c = (size_t)rt_input_last(in);
    return first ? k % c * (in->size / c) + k / c : k;
}

/* Rows [from, from + rows) of input i as the graph takes them. */
static rt_array *input_array(rt_region *r, const rt_model *m, int i, const rt_onnx_float_spec *s, const uint8_t *raw,
                             int from, int rows)
{
    const rt_input *in = &m->input[i];
    int first = s->nchw && !in->ids && in->shape.rank > 1, rank = in->shape.rank;
    rt_array *a;
    int64_t dim[RT_ARRAY_RANK] = {rows};
    for (int k = 0; k < rank; k++) dim[1 + k] = in->shape.dim[first ? (k + rank - 1) % rank : k];
    check_ok(rt_array_make(&a, r, in->ids ? s->ids32 ? RT_I32 : RT_I64 : s->u8 ? RT_U8 : RT_F32, rank + 1, dim));
    for (int row = 0; row < rows; row++) {
        float v[4096];
        int32_t id[4096];
        const uint8_t *at = raw + (size_t)(from + row) * in->raw_bytes + in->raw_at;
        memcpy(in->ids ? (void *)id : (void *)v, at, 4 * in->size);
        if (s->raw && !in->ids)
            for (size_t k = 0; k < in->size; k++) {
                size_t c = in->channels > 1 ? k % (size_t)in->channels : 0;
                v[k] = (v[k] + in->add[c]) * in->mul[c];
            }
        for (size_t k = 0; k < in->size; k++) {
            size_t to = (size_t)row * in->size + place(in, first, k);
            if (in->ids) rt_array_put_int(a, to, id[k]);
            else rt_array_put(a, to, v[k]);
        }
    }
    return a;
}

/* ---- the file, evaluated ---- */

static void check_evaluated(const rt_model *m, const rt_onnx_float_spec *s, const uint8_t *file, size_t n,
                            const uint8_t *raw, const float *want, int from, int rows, const char *name)
{
    rt_onnx_file *f;
    rt_region *r = rt_region_new((size_t)1 << 28);
    rt_eval *e;
    check_ok(rt_onnx_parse(&f, file, n, NULL));
    const rt_eval_graph *g = f->graph;
    rt_array **value = rt_region_list(r, (size_t)g->values, sizeof *value);
    check_ok(rt_eval_new(&e, r));
    assert_int_equal(g->inputs, m->inputs);
    for (int i = 0; i < g->inputs; i++) value[g->input[i]] = input_array(r, m, i, s, raw, from, rows);
    check_ok(rt_eval_run(e, g, value, 1));
    assert_int_equal(g->outputs, m->heads);
    for (int h = 0; h < m->heads; h++) {
        const rt_array *y = value[g->output[h]];
        const size_t size = (size_t)m->head[h].size, width = (size_t)rt_model_width(m);
        double scale = 0;
        assert_string_equal(g->value[g->output[h]], m->head[h].name);
        assert_int_equal(y->rank, 2);
        assert_int_equal(y->dim[0], rows);
        assert_int_equal(y->dim[1], size);
        for (size_t k = 0; k < (size_t)ROWS * size; k++)
            scale = fmax(scale, fabs((double)want[k / size * width + (size_t)m->head[h].at + k % size]));
        for (size_t k = 0; k < y->count; k++) {
            double got = rt_array_double(y, k),
                   is = want[((size_t)from + k / size) * width + (size_t)m->head[h].at + k % size];
            if (!(fabs(got - is) <= 1e-5 * scale))
                fail_msg("%s, opset %d, nchw %d, fold %d, u8 %d, raw %d: head %s, answer %zu is %g, not %g", name,
                         s->opset, s->nchw, s->fold, s->u8, s->raw, m->head[h].name, k, got, is);
        }
    }
    rt_region_free(r);
    rt_onnx_close(f);
}

/* ---- the file, read as it is ---- */

static const char *text_of(const Onnx__ModelProto *m, const char *key)
{
    for (size_t i = 0; i < m->n_metadata_props; i++)
        if (!strcmp(m->metadata_props[i]->key, key)) return m->metadata_props[i]->value;
    return NULL;
}

static size_t count_of(const Onnx__ModelProto *m, const char *op)
{
    size_t n = 0;
    for (size_t i = 0; i < m->graph->n_node; i++) n += !strcmp(m->graph->node[i]->op_type, op);
    return n;
}

static const Onnx__NodeProto *node_of(const Onnx__ModelProto *m, const char *op)
{
    for (size_t i = 0; i < m->graph->n_node; i++)
        if (!strcmp(m->graph->node[i]->op_type, op)) return m->graph->node[i];
    fail_msg("no %s", op);
    return NULL;
}

static const Onnx__AttributeProto *attribute(const Onnx__NodeProto *n, const char *name)
{
    for (size_t i = 0; i < n->n_attribute; i++) if (!strcmp(n->attribute[i]->name, name)) return n->attribute[i];
    fail_msg("%s has no %s", n->name, name);
    return NULL;
}

static const Onnx__TensorProto *constant(const Onnx__ModelProto *m, const char *name)
{
    for (size_t i = 0; i < m->graph->n_initializer; i++)
        if (!strcmp(m->graph->initializer[i]->name, name)) return m->graph->initializer[i];
    fail_msg("no initializer %s", name);
    return NULL;
}

/* Names are given once, before they are read; each initializer is read. */
static void check_names(const Onnx__GraphProto *g, const char *net)
{
    enum { MOST = 8192 };
    static const char *known[MOST];
    char used[MOST] = {0};
    size_t n = 0, given;
    assert_true(g->n_input + g->n_initializer + 3 * g->n_node < MOST);
    for (size_t i = 0; i < g->n_input; i++) known[n++] = g->input[i]->name;
    for (size_t i = 0; i < g->n_initializer; i++) known[n++] = g->initializer[i]->name;
    given = n;
    for (size_t i = 0; i < g->n_node; i++) {
        for (size_t k = 0; k < g->node[i]->n_input; k++) {
            size_t at = 0;
            if (!*g->node[i]->input[k]) continue;                      /* left out */
            while (at < n && strcmp(known[at], g->node[i]->input[k])) at++;
            if (at == n) fail_msg("%s: nobody gives %s, which %s reads", net, g->node[i]->input[k], g->node[i]->name);
            used[at] = 1;
        }
        assert_true(*g->node[i]->name);
        for (size_t k = 0; k < g->node[i]->n_output; k++)
            if (*g->node[i]->output[k]) known[n++] = g->node[i]->output[k];
    }
    for (size_t i = 0; i < given; i++) if (!used[i]) fail_msg("%s: nobody reads %s", net, known[i]);
    for (size_t a = 0; a < n; a++)
        for (size_t b = 0; b < a; b++)
            if (!strcmp(known[a], known[b])) fail_msg("%s: %s is given twice", net, known[a]);
}

static void check_about(const rt_model *m, const rt_onnx_float_spec *s, const Onnx__ModelProto *p)
{
    static const int ir[] = {7, 7, 8, 8, 8, 8, 9, 9, 10, 10, 11, 12, 13, 13, 13, 14};      /* by onnx.helper */
    assert_int_equal(p->ir_version, ir[s->opset - 13]);
    assert_true(p->n_opset_import <= 2);
    assert_int_equal(p->opset_import[0]->version, s->opset);
    assert_string_equal(text_of(p, "model"), rt_model_digest(m).hex);
    assert_string_equal(text_of(p, "batch_norm"), s->fold ? "folded" : "kept");
    assert_int_equal(p->graph->n_input, m->inputs);
    for (int i = 0; i < m->inputs; i++) {
        const rt_input *in = &m->input[i];
        const Onnx__TypeProto__Tensor *t = p->graph->input[i]->type->tensor_type;
        int first = s->nchw && !in->ids, rank = in->shape.rank;
        assert_int_equal(t->elem_type, in->ids ? s->ids32 ? 6 : 7 : s->u8 ? 2 : 1);
        assert_int_equal(t->shape->n_dim, rank + 1);
        assert_string_equal(t->shape->dim[0]->dim_param, "batch");
        for (int k = 0; k < rank; k++)
            assert_int_equal(t->shape->dim[1 + k]->dim_value, in->shape.dim[first ? (k + rank - 1) % rank : k]);
    }
    assert_int_equal(p->graph->n_output, m->heads);
    for (int h = 0; h < m->heads; h++) {
        const Onnx__TypeProto__Tensor *t = p->graph->output[h]->type->tensor_type;
        assert_string_equal(p->graph->output[h]->name, m->head[h].name);
        assert_int_equal(t->elem_type, 1);
        assert_string_equal(t->shape->dim[0]->dim_param, "batch");
        assert_int_equal(t->shape->dim[1]->dim_value, m->head[h].size);
    }
}

static Onnx__ModelProto *written(const rt_model *m, const rt_onnx_float_spec *s, uint8_t **file, size_t *n)
{
    check_ok(rt_export_onnx_float(m, s, file, n));
    Onnx__ModelProto *p = onnx__model_proto__unpack(NULL, *n, *file);
    assert_non_null(p);
    return p;
}

static void every_net(void **state)
{
    static const rt_onnx_float_spec forms[] = {
        {.opset = 17}, {.opset = 13, .nchw = 1}, {.opset = 28, .fold = 1}, {.opset = 13, .u8 = 1, .ids32 = 1},
        {.opset = 20, .nchw = 1, .fold = 1, .raw = 1}, {.opset = 18, .raw = 1}, {.opset = 17, .fold = 1},
        {.opset = 13}};
    const cJSON *net;
    int ran = 0;
    (void)state;
    cJSON_ArrayForEach(net, nets) {
        const char *name = cJSON_GetStringValue(cJSON_GetObjectItem(net, "name"));
        rt_model *m = model_of(net, 3);
        uint8_t *raw = raw_rows(m);
        float *want = answers(m, raw);
        for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++, ran++) {
            uint8_t *file, *again;
            size_t n, k;
            Onnx__ModelProto *p = written(m, &forms[i], &file, &n);
            check_names(p->graph, name);
            check_about(m, &forms[i], p);
            check_ok(rt_export_onnx_float(m, &forms[i], &again, &k));
            assert_int_equal(n, k);
            assert_memory_equal(file, again, n);
            check_evaluated(m, &forms[i], file, n, raw, want, 0, ROWS, name);
            check_evaluated(m, &forms[i], file, n, raw, want, 2, 1, name);
            onnx__model_proto__free_unpacked(p, NULL);
            free(file);
            free(again);
        }
        free(raw);
        free(want);
        rt_model_free(m);
    }
    assert_true(ran >= 50);
}

/* Imported again: the same heads with their names, and the same answers to the bit, also of layers that ONNX has no
 * word for in that opset: they are known by how they are spelled. */
static void and_back(void **state)
{
    static const rt_onnx_float_spec forms[] = {{.opset = 17}, {.opset = 13, .nchw = 1}, {.opset = 28}, {.opset = 16},
                                               {.opset = 18, .nchw = 1}, {.opset = 20}, {.opset = 21, .nchw = 1},
                                               {.opset = 23}};
    const cJSON *net;
    (void)state;
    cJSON_ArrayForEach(net, nets) {
        const char *name = cJSON_GetStringValue(cJSON_GetObjectItem(net, "name"));
        rt_model *m = model_of(net, 3);
        uint8_t *raw = raw_rows(m);
        float *want = answers(m, raw);
        const size_t size = (size_t)ROWS * (size_t)rt_model_width(m);
        for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
            uint8_t *file;
            size_t n;
            rt_onnx_file *f;
            rt_model *back;
            check_ok(rt_export_onnx_float(m, &forms[i], &file, &n));
            check_ok(rt_onnx_parse(&f, file, n, NULL));
            check_ok(rt_onnx_import(&back, f, NULL, NULL, NULL));
            assert_int_equal(back->heads, m->heads);
            for (int h = 0; h < m->heads; h++) {
                assert_string_equal(back->head[h].name, m->head[h].name);
                assert_int_equal(back->head[h].task, m->head[h].task);
                for (int k = 0; k < m->head[h].size && m->head[h].names.name; k++)
                    assert_string_equal(back->head[h].names.name[k], m->head[h].names.name[k]);
            }
            free(raw);
            raw = raw_rows(back);
            float *got = answers(back, raw);
            for (size_t k = 0; k < size; k++)
                if (memcmp(&got[k], &want[k], 4))
                    fail_msg("%s, opset %d: answer %zu is %.9g, not %.9g", name, forms[i].opset, k, got[k], want[k]);
            free(got);
            free(file);
            rt_model_free(back);
            rt_onnx_close(f);
        }
        free(raw);
        free(want);
        rt_model_free(m);
    }
}

/* Nothing that a model can hold is without an export, or without a net here. */
static void every_operator(void **state)
{
    char seen[RT_OP_COUNT] = {[RT_OP_AFFINE] = 1, [RT_OP_CALL] = 1}, acts[RT_ACT_COUNT] = {[RT_ACT_NONE] = 1},
         unary[RT_UNARY_COUNT] = {[RT_UNARY_NONE] = 1};
    const cJSON *net;
    (void)state;
    cJSON_ArrayForEach(net, nets) {
        rt_model *m = model_of(net, 3);
        for (int i = 0; i < m->graph->nodes; i++) {
            seen[m->graph->node[i].op] = 1;
            const rt_node *n = &m->graph->node[i];
            acts[rt_node_act(n)] = 1;
            if (n->op == RT_OP_UNARY) unary[RT_ATTR(n, rt_unary_attr)->fn] = 1;
        }
        rt_model_free(m);
    }
    for (int op = 0; op < RT_OP_COUNT; op++) {
        if (!rt_fo_put[op]) fail_msg("%s has no export to ONNX: give it one in export/onnx_layers.c", rt_ops[op]->name);
        if (!seen[op]) fail_msg("no net of tests/export/float_nets.json has %s", rt_ops[op]->name);
    }
    for (int act = 0; act < RT_ACT_COUNT; act++)
        if (!acts[act]) fail_msg("no net of tests/export/float_nets.json has activation %d", act);
    for (int f = 0; f < RT_UNARY_COUNT; f++)
        if (!unary[f]) fail_msg("no net of tests/export/float_nets.json has function %d of one number", f);
}

/* ---- where things stand ---- */

static void layouts(void **state)
{
    static const char cnn[] = "{\"input\": [12, 10, 3], \"classes\": 4, \"family\": \"resnet\", \"width\": 4, "
                              "\"depth\": 1}";
    uint8_t *file;
    size_t n;
    (void)state;
    rt_model *m = random_model(cnn, 1);
    for (int nchw = 0; nchw < 2; nchw++)
        for (int fold = 0; fold < 2; fold++) {
            Onnx__ModelProto *p = written(m, &(rt_onnx_float_spec){.opset = 17, .nchw = nchw, .fold = fold}, &file, &n);
            assert_int_equal(count_of(p, "Transpose"), !nchw);
            if (!nchw) assert_string_equal(p->graph->node[0]->op_type, "Transpose");
            assert_int_equal(count_of(p, "BatchNormalization"), fold ? 0 : 9);
            assert_int_equal(count_of(p, "Conv"), 9);
            assert_int_equal(count_of(p, "Mul") + count_of(p, "Identity") + count_of(p, "Reshape"), 0);
            onnx__model_proto__free_unpacked(p, NULL);
            free(file);
        }
    rt_model_free(m);
}

/* A flattened image's dense layer has its rows in the image's order; nothing is transposed behind the input. */
static void flattened(void **state)
{
    static const char net[] = "{\"input\": [3, 2, 2], \"classes\": 2, \"layers\": ["
                              "{\"op\": \"max_pool\", \"kernel\": 1}, {\"op\": \"flatten\"}, "
                              "{\"op\": \"dense\", \"out\": 2, \"name\": \"d\"}]}";
    uint8_t *file;
    size_t n;
    (void)state;
    rt_model *m = random_model(net, 1);
    Onnx__ModelProto *p = written(m, &(rt_onnx_float_spec){.opset = 17, .nchw = 1}, &file, &n);
    assert_int_equal(count_of(p, "Transpose"), 0);
    const Onnx__TensorProto *w = constant(p, "d.weight");
    for (size_t y = 0; y < 3; y++)
        for (size_t x = 0; x < 2; x++)
            for (size_t c = 0; c < 2; c++)
                assert_memory_equal(w->raw_data.data + 8 * (c * 6 + y * 2 + x), m->params + 2 * (4 * y + 2 * x + c), 8);
    onnx__model_proto__free_unpacked(p, NULL);
    free(file);
    rt_model_free(m);
}

/* A batch norm that is kept keeps all that it has; ONNX's momentum is the share that stays. */
static void norms(void **state)
{
    static const char *const fields[] = {"bn.gamma", "bn.beta", "bn.mean", "bn.variance"};
    static const char net[] = "{\"input\": [4], \"classes\": 2, \"layers\": ["
                              "{\"op\": \"batch_norm\", \"name\": \"bn\", \"eps\": 0.25, \"momentum\": 0.125}, "
                              "{\"op\": \"dense\", \"out\": 2, \"name\": \"y\"}]}";
    uint8_t *file;
    size_t n;
    (void)state;
    rt_model *m = random_model(net, 1);
    Onnx__ModelProto *p = written(m, &(rt_onnx_float_spec){.opset = 15}, &file, &n);
    const Onnx__NodeProto *bn = node_of(p, "BatchNormalization");
    assert_true(attribute(bn, "epsilon")->f == 0.25f && attribute(bn, "momentum")->f == 0.875f);
    assert_int_equal(bn->n_output, 1);
    for (int i = 0; i < 4; i++) {
        assert_string_equal(bn->input[1 + i], fields[i]);
        const Onnx__TensorProto *t = constant(p, fields[i]);
        const float *v = rt_model_field(m, m->graph->node[1].field[i]);
        assert_int_equal(t->raw_data.len, 16);
        assert_memory_equal(t->raw_data.data, v, 16);
    }
    onnx__model_proto__free_unpacked(p, NULL);
    free(file);
    rt_model_free(m);
}

/* Fields that layers share stand once. */
static void shared(void **state)
{
    uint8_t *file;
    size_t n, users = 0, tables = 0;
    (void)state;
    rt_model *m = model_of(net_named("encoder"), 3);
    Onnx__ModelProto *p = written(m, &(rt_onnx_float_spec){.opset = 17}, &file, &n);
    for (size_t i = 0; i < p->graph->n_node; i++)
        for (size_t k = 0; k < p->graph->node[i]->n_input; k++)
            users += !strcmp(p->graph->node[i]->input[k], "up.weight");
    for (size_t i = 0; i < p->graph->n_initializer; i++)
        tables += p->graph->initializer[i]->n_dims == 2 && p->graph->initializer[i]->dims[0] == 16;
    assert_int_equal(users, 2);
    assert_int_equal(tables, 2);             /* up, the answer's */
    assert_int_equal(count_of(p, "Dropout"), 0);
    onnx__model_proto__free_unpacked(p, NULL);
    free(file);
    rt_model_free(m);
}

/* What operators are by the opset. */
static void opsets(void **state)
{
    static const struct { int opset, gelu, pow, norm, swish, axes_input; } by[] = {
        {13, 0, 3, 0, 0, 0}, {14, 0, 3, 0, 1, 0}, {16, 0, 3, 0, 1, 0}, {17, 0, 1, 2, 1, 0},
        {18, 0, 1, 2, 1, 1}, {19, 0, 1, 2, 1, 1}, {20, 1, 0, 2, 1, 1}, {28, 1, 0, 2, 1, 1}};
    static const char net[] =
        "{\"input\": [4, 3], \"classes\": 2, \"layers\": [{\"op\": \"layer_norm\"}, {\"op\": \"gelu\"}, "
        "{\"op\": \"layer_norm\"}, {\"op\": \"hard_swish\"}, {\"op\": \"global_avg_pool\", \"name\": \"g\"}, "
        "{\"op\": \"reduce_mean\", \"axes\": [0], \"from\": \"hard_swish4\"}, {\"op\": \"add\", \"from\": [\"g\", "
        "\"reduce_mean6\"]}, {\"op\": \"dense\", \"out\": 2}]}";
    uint8_t *file;
    size_t n;
    (void)state;
    rt_model *m = random_model(net, 1);
    for (size_t i = 0; i < sizeof by / sizeof by[0]; i++) {
        Onnx__ModelProto *p = written(m, &(rt_onnx_float_spec){.opset = by[i].opset}, &file, &n);
        assert_int_equal(count_of(p, "Gelu"), by[i].gelu);
        assert_int_equal(count_of(p, "Pow"), by[i].pow);
        assert_int_equal(count_of(p, "LayerNormalization"), by[i].norm);
        assert_int_equal(count_of(p, "HardSwish"), by[i].swish);
        assert_int_equal(count_of(p, "ReduceMean"), by[i].norm ? 1 : 5);
        assert_int_equal(count_of(p, "GlobalAveragePool"), 1);
        for (size_t k = 0; k < p->graph->n_node; k++)
            if (!strcmp(p->graph->node[k]->op_type, "ReduceMean"))
                assert_int_equal(p->graph->node[k]->n_input, 1 + by[i].axes_input);
        onnx__model_proto__free_unpacked(p, NULL);
        free(file);
    }
    rt_model_free(m);
}

/* ---- what is said ---- */

#define INPUT(name, shape, type, layout, how) \
    "{\"name\":\"" name "\",\"shape\":" shape ",\"type\":\"" type "\",\"layout\":\"" layout \
    "\",\"normalized\":" how "}"

static void metadata(void **state)
{
    uint8_t *file;
    size_t n;
    (void)state;
    rt_model *m = model_of(net_named("inputs"), 3);
    static char *const names[] = {"r", "g", "b"}, *const columns[] = {"c0", "c1", "c2", "c3", "c4", "c5", "c6"};
    check_ok(rt_model_set_classes(m, 0, &(rt_names){.count = 3, .name = (char **)names}));
    check_ok(rt_model_set_columns(m, 1, &(rt_names){.count = 7, .name = (char **)columns}));
    cJSON_AddStringToObject(m->provenance, "seed", "7");
    Onnx__ModelProto *p = written(m, &(rt_onnx_float_spec){.opset = 17, .nchw = 1, .raw = 1}, &file, &n);
    assert_string_equal(text_of(p, "class_names"), "[\"r\",\"g\",\"b\"]");
    assert_string_equal(text_of(p, "columns.table"), "[\"c0\",\"c1\",\"c2\",\"c3\",\"c4\",\"c5\",\"c6\"]");
    assert_null(text_of(p, "columns.image"));
    assert_non_null(strstr(text_of(p, "normalization.image"), "\"add\":[-120,-123]"));
    assert_non_null(strstr(text_of(p, "provenance"), "\"seed\":\"7\""));
    assert_non_null(strstr(text_of(p, "retort"), "retort"));
    assert_string_equal(text_of(p, "inputs"),
                        "[" INPUT("image", "[6,5,2]", "f32", "nchw", "\"before\"") ","
                        INPUT("table", "[7]", "f32", "nhwc", "\"before\"") ","
                        INPUT("word", "[3]", "i64", "nhwc", "\"not\",\"ids\":20") ","
                        INPUT("other", "[2,2]", "i64", "nhwc", "\"not\",\"ids\":20") "]");
    assert_int_equal(count_of(p, "Cast"), 0);
    onnx__model_proto__free_unpacked(p, NULL);
    free(file);
    rt_model_free(m);
    m = model_of(net_named("heads"), 3);
    p = written(m, &(rt_onnx_float_spec){.opset = 17, .u8 = 1}, &file, &n);
    assert_string_equal(text_of(p, "class_names.kind"), "[\"a\",\"b \\\"quoted\\\"\",\"c\"]");
    assert_null(text_of(p, "class_names.tags"));
    assert_non_null(strstr(text_of(p, "inputs"), "\"type\":\"u8\""));
    assert_non_null(strstr(text_of(p, "inputs"), "\"normalized\":\"inside\""));
    assert_string_equal(p->graph->input[0]->name, "input~2");          /* a head has that name */
    assert_int_equal(count_of(p, "Relu"), 1);                          /* the other is read by nobody */
    onnx__model_proto__free_unpacked(p, NULL);
    free(file);
    rt_model_free(m);
}

static void refusals(void **state)
{
    uint8_t *file;
    size_t n;
    (void)state;
    rt_model *m = model_of(net_named("windows"), 3);
    check_fails(rt_export_onnx_float(m, &(rt_onnx_float_spec){.opset = 12}, &file, &n), RT_USAGE,
                "opset: 12 is not from 13 to 28");
    check_fails(rt_export_onnx_float(m, &(rt_onnx_float_spec){.opset = 29}, &file, &n), RT_USAGE, "opset: 29");
    check_fails(rt_export_onnx_float(m, &(rt_onnx_float_spec){.opset = 17, .u8 = 1, .raw = 1}, &file, &n), RT_USAGE,
                "input 'input': bytes cannot be normalised before");
    int bits[64] = {0};
    char range[64] = {0};
    for (int i = 0; i < m->graph->nodes; i++) bits[i] = rt_has_weights(&m->graph->node[i]) ? 8 : 0;
    check_ok(rt_model_quantize(m, &(rt_quantize_spec){.bits = bits, .range = range}));
    check_fails(rt_export_onnx_float(m, &(rt_onnx_float_spec){.opset = 17}, &file, &n), RT_USAGE, "to=onnx-qdq");
    rt_model_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_net), cmocka_unit_test(every_operator),
                                       cmocka_unit_test(and_back),
                                       cmocka_unit_test(layouts),   cmocka_unit_test(flattened),
                                       cmocka_unit_test(norms),     cmocka_unit_test(shared),
                                       cmocka_unit_test(opsets),    cmocka_unit_test(metadata),
                                       cmocka_unit_test(refusals)};
    char *text;
    size_t n;
    check_ok(rt_read_file(&text, &n, RETORT_SOURCE_DIR "/tests/export/float_nets.json", 1 << 20));
    check_ok(rt_json_parse(&nets, text, n, "float_nets.json"));
    free(text);
    device = rt_device_cpu(2);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    rt_device_close(device);
    cJSON_Delete(nets);
    return failed;
}
