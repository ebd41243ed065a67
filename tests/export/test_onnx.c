/* Programs as ONNX: what the file holds, read back with protobuf-c, and that its bytes and ONNX Runtime's answers are
 * the recorded ones. RETORT_ONNX_FOLDER=FOLDER writes NET.onnx, NET.x and NET.y for record_onnx.py. */
#include "data/files.h"
#include "export/exporter.h"
#include "onnx.pb-c.h"
#include "tests/export/integer_nets.h"
#include "tests/export/onnx_reference.h"

/* Rows beyond the first, in which there are numbers that are not finite. */
enum { SKIP = 3, onnx_rows = NET_ROWS - SKIP };

static const char *text_of(const Onnx__ModelProto *m, const char *key)
{
    for (size_t i = 0; i < m->n_metadata_props; i++)
        if (!strcmp(m->metadata_props[i]->key, key)) return m->metadata_props[i]->value;
    return "";
}

static Onnx__ModelProto *exported(const rt_program *p, const rt_onnx_spec *spec, uint8_t **bytes, size_t *n,
                                  int *packed)
{
    check_ok(rt_export_onnx(p, spec, bytes, n, packed));
    Onnx__ModelProto *m = onnx__model_proto__unpack(NULL, *n, *bytes);
    assert_non_null(m);
    return m;
}

/* Every input of a node is given before it, once; outputs are given. */
static void check_graph(const Onnx__GraphProto *g)
{
    const char *known[2048];
    size_t n = 0;
    for (size_t i = 0; i < g->n_input; i++) known[n++] = g->input[i]->name;
    for (size_t i = 0; i < g->n_initializer; i++) known[n++] = g->initializer[i]->name;
    for (size_t i = 0; i < g->n_node; i++) {
        for (size_t k = 0; k < g->node[i]->n_input; k++) {
            size_t at = 0;
            while (at < n && strcmp(known[at], g->node[i]->input[k])) at++;
            if (at == n)
                fail_msg("node %s reads %s, which nobody gives before", g->node[i]->name, g->node[i]->input[k]);
        }
        known[n++] = g->node[i]->output[0];
    }
    for (size_t a = 0; a < n; a++)
        for (size_t b = 0; b < a; b++) if (!strcmp(known[a], known[b])) fail_msg("%s is given twice", known[a]);
    for (size_t i = 0; i < g->n_output; i++) {
        size_t at = 0;
        while (at < n && strcmp(known[at], g->output[i]->name)) at++;
        if (at == n) fail_msg("output %s is given by nobody", g->output[i]->name);
        assert_int_equal(g->output[i]->type->tensor_type->elem_type, ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT);
        assert_string_equal(g->output[i]->type->tensor_type->shape->dim[0]->dim_param, "batch");
    }
}

/* Integers and scales are the program's. */
static void check_weights(const rt_program *p, const Onnx__GraphProto *g)
{
    const rt_net *n = rt_program_net(p);
    for (int i = 0; i < n->calls; i++) {
        const rt_net_call *c = &n->call[i];
        if (c->op != RT_NET_CONV) continue;
        char name[64];
        const Onnx__TensorProto *w = NULL, *b = NULL, *s = NULL;
        for (size_t k = 0; k < g->n_initializer; k++) {
            snprintf(name, sizeof name, "/call%d/weight", i);
            if (!strcmp(g->initializer[k]->name, name)) w = g->initializer[k];
            snprintf(name, sizeof name, "/call%d/bias", i);
            if (!strcmp(g->initializer[k]->name, name)) b = g->initializer[k];
            snprintf(name, sizeof name, "/call%d/weight/scale", i);
            if (!strcmp(g->initializer[k]->name, name)) s = g->initializer[k];
        }
        assert_true(w && b && s);
        int cg = n->tensor[c->in[0]].c / c->groups, taps = c->kh * c->kw;
        assert_int_equal(w->raw_data.len, (size_t)(taps * cg * c->n));
        assert_memory_equal(b->raw_data.data, n->bias + c->channel, 4 * (size_t)c->n);
        assert_memory_equal(s->raw_data.data, n->step + c->channel, 4 * (size_t)c->n);
        for (int o = 0; o < c->n; o++)
            for (int k = 0; k < cg; k++)
                for (int t = 0; t < taps; t++) {
                    int want = n->weight[c->weight + (size_t)((t * cg + k) * c->n + o)];
                    size_t at = w->n_dims == 2 ? (size_t)(k * c->n + o) : (size_t)((o * cg + k) * taps + t);
                    assert_int_equal((int8_t)w->raw_data.data[at], want);
                }
    }
}

static void save(const char *folder, int net, const uint8_t *bytes, size_t n, const void *x, size_t nx, const float *y,
                 size_t ny)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%d.onnx", folder, net);
    check_ok(rt_write_file(path, bytes, n));
    snprintf(path, sizeof path, "%s/%d.x", folder, net);
    check_ok(rt_write_file(path, x, nx));
    snprintf(path, sizeof path, "%s/%d.y", folder, net);
    check_ok(rt_write_file(path, y, ny));
}

/* The file without what tells the version that made it. */
static uint64_t hash_of(Onnx__ModelProto *m)
{
    char *made = m->producer_version;
    m->producer_version = "";
    size_t n = onnx__model_proto__get_packed_size(m);
    uint8_t *bytes = malloc(n);
    onnx__model_proto__pack(m, bytes);
    uint64_t h = net_fnv(bytes, n);
    free(bytes);
    m->producer_version = made;
    return h;
}

static void recorded(void **state)
{
    const char *folder = getenv("RETORT_ONNX_FOLDER");
    int number = 0;
    (void)state;
    for (int a = 0; a < NETS; a++)
        for (int bytes = 0; bytes < 2; bytes++) {
            if (bytes ? !nets[a].bytes : nets[a].bytes == 2) continue;
            net_scene s = net_scene_new(a, bytes);
            rt_onnx_spec spec = {.opset = number % 2 ? 21 : 17};
            size_t row, n, again_n, width = (size_t)rt_program_width(s.p);
            const void *rows = net_rows(&s, &row);
            uint8_t *file, *again;
            int packed;
            float *y = net_answers(s.p, rows, row);
            const float *z = y + SKIP * width;
            const size_t size = onnx_rows * width * sizeof *z;
            Onnx__ModelProto *m = exported(s.p, &spec, &file, &n, &packed);
            check_graph(m->graph);
            check_weights(s.p, m->graph);
            assert_int_equal(packed, 0);
            assert_int_equal(m->opset_import[0]->version, spec.opset);
            assert_int_equal(m->ir_version, spec.opset == 17 ? 8 : 10);
            assert_int_equal(m->graph->input[0]->type->tensor_type->elem_type,
                             bytes ? ONNX__TENSOR_PROTO__DATA_TYPE__UINT8 : ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT);
            check_ok(rt_export_onnx(s.p, &spec, &again, &again_n, &packed));
            assert_int_equal(n, again_n);
            assert_memory_equal(file, again, n);
            if (folder) {
                save(folder, number, file, n, (const char *)rows + SKIP * row, onnx_rows * row, z, size);
                printf("    {0x%016llxu, 0x%016llxu},\n", (unsigned long long)hash_of(m),
                       (unsigned long long)net_fnv(z, size));
            } else {
                if (hash_of(m) != onnx_reference[number].file) fail_msg("net %d: the file is another one", number);
                if (net_fnv(z, size) != onnx_reference[number].answers)
                    fail_msg("net %d: answers are not those of ONNX Runtime", number);
            }
            onnx__model_proto__free_unpacked(m, NULL);
            free(file); free(again); free(y);
            net_scene_free(&s);
            number++;
        }
}

static void names_and_options(void **state)
{
    uint8_t *file;
    size_t n;
    int packed;
    (void)state;
    net_scene s = net_scene_new(3, 1), t = net_scene_new(0, 0);
    Onnx__ModelProto *m = exported(s.p, &(rt_onnx_spec){.opset = 21, .packed = 1}, &file, &n, &packed);
    assert_true(packed >= 1);
    int fours = 0, compared = 0;
    const rt_net *net = rt_program_net(s.p);
    for (size_t i = 0; i < m->graph->n_initializer; i++) {
        const Onnx__TensorProto *w = m->graph->initializer[i];
        int call;
        if (w->data_type == 22 && w->n_dims == 4 && sscanf(w->name, "/call%d/weight", &call) == 1) {
            const rt_net_call *c = &net->call[call];
            const size_t taps = (size_t)(w->dims[2] * w->dims[3]), cg = (size_t)w->dims[1];
            for (size_t k = 0; k < (size_t)w->dims[0] * cg * taps; k++, compared++) {     /* low half first */
                size_t from = (k % taps * cg + k / taps % cg) * (size_t)c->n + k / taps / cg;
                assert_int_equal((w->raw_data.data[k / 2] >> 4 * (k % 2)) & 15, net->weight[c->weight + from] & 15);
            }
        }
        fours += w->data_type == 22 && w->n_dims > 1;
    }
    assert_int_equal(fours, packed);
    assert_true(compared > 0);
    assert_int_equal(m->graph->n_output, 2);
    assert_string_equal(m->graph->output[0]->name, "kind");
    assert_string_equal(m->graph->output[1]->name, "what it's worth");
    assert_non_null(strstr(text_of(m, "class_names.kind"), "\"b\",\"c\",\"d\"]"));
    assert_string_equal(text_of(m, "class_names.what it's worth"), "");
    assert_string_equal(text_of(m, "contract"), "1");
    assert_string_equal(text_of(m, "model"), rt_model_digest(s.m).hex);
    onnx__model_proto__free_unpacked(m, NULL);
    free(file);
    m = exported(s.p, &(rt_onnx_spec){.opset = 17, .input = RT_ONNX_INPUT_F32}, &file, &n, &packed);
    assert_int_equal(m->graph->input[0]->type->tensor_type->elem_type, ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT);
    assert_string_equal(m->graph->node[0]->op_type, "QuantizeLinear");
    onnx__model_proto__free_unpacked(m, NULL);
    free(file);
    check_fails(rt_export_onnx(t.p, &(rt_onnx_spec){.opset = 17, .input = RT_ONNX_INPUT_U8}, &file, &n, &packed),
                RT_USAGE, "takes floats, not bytes");
    check_fails(rt_export_onnx(s.p, &(rt_onnx_spec){.opset = 18}, &file, &n, &packed), RT_USAGE, "neither 17 nor 21");
    check_fails(rt_export_onnx(s.p, &(rt_onnx_spec){.opset = 17, .packed = 1}, &file, &n, &packed), RT_USAGE,
                "opset=21");
    net_scene_free(&s);
    net_scene_free(&t);
}

/* Several heads are outputs by name, each with its class names; weights of 7 bits stay int8 when fours are packed. */
static void heads(void **state)
{
    uint8_t *file;
    size_t n;
    int packed;
    (void)state;
    net_scene s = net_scene_new(4, 1);
    Onnx__ModelProto *m = exported(s.p, &(rt_onnx_spec){.opset = 21, .packed = 1}, &file, &n, &packed);
    static const char *const name[] = {"kind", "tags", "how much"};
    const int64_t size[] = {4, 3, 1};
    assert_int_equal(m->graph->n_output, 3);
    for (int h = 0; h < 3; h++) {
        const Onnx__ValueInfoProto *o = m->graph->output[h];
        assert_string_equal(o->name, name[h]);
        assert_int_equal(o->type->tensor_type->shape->dim[1]->dim_value, size[h]);
    }
    assert_non_null(strstr(text_of(m, "class_names.kind"), "quoted"));
    assert_string_equal(text_of(m, "class_names.tags"), "[\"b\",\"c\",\"d\"]");
    assert_string_equal(text_of(m, "class_names.how much"), "");
    int fours = 0, bytes = 0;
    for (size_t i = 0; i < m->graph->n_initializer; i++) {
        const Onnx__TensorProto *w = m->graph->initializer[i];
        if (w->n_dims < 2) continue;
        fours += w->data_type == 22;
        bytes += w->data_type == ONNX__TENSOR_PROTO__DATA_TYPE__INT8;
    }
    assert_int_equal(fours, packed);
    assert_int_equal(fours + bytes, 5);
    assert_true(fours == 3 && bytes == 2);
    onnx__model_proto__free_unpacked(m, NULL);
    free(file);
    net_scene_free(&s);
}

/* Normalisation that differs by channel stands in the graph. */
static void normalisation(void **state)
{
    uint8_t *file;
    size_t n;
    int packed;
    (void)state;
    net_scene s = net_scene_new(0, 0);
    double mean[2] = {3, 4}, std[2] = {2, 4};
    rt_program *p;
    check_ok(rt_input_set_normalization(&s.m->input[0], mean, std, 2));
    check_ok(rt_program_of(&p, s.m));
    Onnx__ModelProto *m = exported(p, &(rt_onnx_spec){.opset = 17}, &file, &n, &packed);
    check_graph(m->graph);
    assert_string_equal(m->graph->node[0]->op_type, "Add");
    assert_string_equal(m->graph->node[1]->op_type, "Mul");
    const float add[] = {-3, -4}, mul[] = {0.5f, 0.25f};
    assert_memory_equal(m->graph->initializer[0]->raw_data.data, add, sizeof add);
    assert_memory_equal(m->graph->initializer[1]->raw_data.data, mul, sizeof mul);
    assert_int_equal(m->graph->initializer[0]->n_dims, 3);
    onnx__model_proto__free_unpacked(m, NULL);
    free(file);
    rt_program_free(p);
    net_scene_free(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(recorded), cmocka_unit_test(names_and_options),
                                       cmocka_unit_test(heads), cmocka_unit_test(normalisation)};
    net_device = rt_device_cpu(2);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    rt_device_close(net_device);
    return failed;
}
