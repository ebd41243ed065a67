/* Quantizers in a model: files whole, refused and damaged; weights that two layers share; the float model again. */
#include <unistd.h>

#include "data/files.h"
#include "data/h5.h"
#include "student/calibrate.h"
#include "student/fidelity.h"
#include "student/predictor.h"
#include "tests/student/quantizers_reference.h"
#include "tests/support.h"

enum { ROWS = 40, IN = 8 * 8 * 2 };

/* A norm that folds, a convolution whose weights two layers use, two heads. */
static const char arch[] =
    "{\"input\":[8,8,2],\"heads\":[{\"name\":\"kind\",\"size\":4},{\"name\":\"age\",\"task\":\"real\",\"size\":2}],"
    "\"layers\":[{\"name\":\"a/1\",\"op\":\"conv2d\",\"out\":6,\"kernel\":3},{\"name\":\"n\",\"op\":\"batch_norm\"},"
    "{\"name\":\"r\",\"op\":\"relu\"},{\"name\":\"b\",\"op\":\"conv2d\",\"out\":6,\"kernel\":3,\"padding\":1},"
    "{\"name\":\"b2\",\"op\":\"conv2d\",\"out\":6,\"kernel\":3,\"padding\":1,\"share\":\"b\"},"
    "{\"name\":\"b3\",\"op\":\"conv2d\",\"out\":6,\"kernel\":3,\"padding\":1,\"share\":\"b2\"},"
    "{\"name\":\"p\",\"op\":\"max_pool\",\"kernel\":2},{\"name\":\"f\",\"op\":\"flatten\"},"
    "{\"name\":\"kind\",\"op\":\"dense\",\"out\":4,\"from\":\"f\"},"
    "{\"name\":\"age\",\"op\":\"dense\",\"out\":2,\"from\":\"f\"}]}";

static rt_device *device;
static float *rows;

static rt_model *float_model(void)
{
    cJSON *j;
    rt_model *m;
    double mean[2] = {100, 100.3}, std[2] = {60, 50};
    check_ok(rt_json_parse(&j, arch, strlen(arch), "test"));
    check_ok(rt_model_new(&m, j, 5));
    check_ok(rt_input_set_normalization(&m->input[0], mean, std, 2));
    cJSON_Delete(j);
    return m;
}

static rt_model *quantized(int bytes, int bits, int correct)
{
    int list[16];
    rt_model *m = float_model();
    for (int i = 0; i < 16; i++) list[i] = bits;
    rt_calibrate_spec spec = {.bytes = bytes, .bits = list, .correct = correct};
    check_ok(rt_calibrate(m, &spec, rows, ROWS, device));
    return m;
}

static char *at(const char *name)
{
    static char path[4][128];
    static int i;
    char *p = path[i++ % 4];
    snprintf(p, sizeof path[0], "%s/%s", test_folder, name);
    return p;
}

static uint8_t *program_of(const rt_model *m, size_t *n)
{
    rt_program *p;
    uint8_t *bytes;
    check_ok(rt_program_of(&p, m));
    check_ok(rt_program_write(p, &bytes, n));
    rt_program_free(p);
    return bytes;
}

static int node_named(const rt_model *m, const char *name)
{
    for (int i = 0; i < m->graph->nodes; i++) if (!strcmp(m->graph->node[i].name, name)) return i;
    fail_msg("no node %s", name);
    return -1;
}

static void files(void **state)
{
    (void)state;
    for (int i = 0; i < 8; i++) {
        rt_model *m = quantized(i & 1, i & 2 ? 4 : 8, i & 4), *n;
        size_t a, b;
        check_ok(rt_model_save(m, at("q.h5")));
        check_ok(rt_model_load(&n, at("q.h5")));
        assert_true(rt_model_quantized(n));
        assert_int_equal(n->graph->quant.bytes, i & 1);
        assert_string_equal(rt_model_digest(m).hex, rt_model_digest(n).hex);
        uint8_t *x = program_of(m, &a), *y = program_of(n, &b);
        assert_int_equal(a, b);
        assert_memory_equal(x, y, a);
        free(x);
        free(y);
        rt_model_free(m);
        rt_model_free(n);
    }
}

/* Input, bits, steps, ranges and corrections are in the digest; what is left of them is the float model. */
static void digests(void **state)
{
    (void)state;
    rt_model *plain = float_model(), *m = quantized(0, 8, 1), *other = quantized(1, 8, 1);
    rt_digest all = rt_model_digest(m), was = rt_model_digest(plain);
    assert_string_not_equal(all.hex, was.hex);
    assert_string_not_equal(all.hex, rt_model_digest(other).hex);
    rt_model_free(other);
    other = quantized(0, 7, 1);
    assert_string_not_equal(all.hex, rt_model_digest(other).hex);
    int a = node_named(m, "a/1"), r = node_named(m, "r");
    float *of[] = {rt_model_steps(m, a), rt_model_shifts(m, a), rt_model_range(m, m->graph->node[r].out)};
    for (int i = 0; i < 3; i++) {
        float kept = of[i][1];
        of[i][1] += 1;
        assert_string_not_equal(all.hex, rt_model_digest(m).hex);
        of[i][1] = kept;
    }
    assert_string_equal(all.hex, rt_model_digest(m).hex);
    assert_int_equal(rt_graph_param_count(m->graph), rt_graph_param_count(plain->graph));
    rt_model_unquantize(m);
    assert_false(rt_model_quantized(m));
    assert_string_equal(rt_model_digest(m).hex, was.hex);
    for (rt_home h = RT_PARAM; h <= RT_STATE; h++)
        assert_int_equal(m->graph->floats[h], plain->graph->floats[h]);
    check_ok(rt_model_save(m, at("f.h5")));
    check_ok(rt_model_save(plain, at("g.h5")));
    rt_digest x, y;
    check_ok(rt_digest_file(&x, at("f.h5"), 0));
    check_ok(rt_digest_file(&y, at("g.h5"), 0));
    assert_string_equal(x.hex, y.hex);
    rt_model_free(plain);
    rt_model_free(m);
    rt_model_free(other);
}

/* One step for weights that layers share, a correction for each, as their inputs differ. */
static void shared(void **state)
{
    (void)state;
    rt_model *m = quantized(1, 4, 1);
    const rt_quantizers *q = &m->graph->quant;
    int b = node_named(m, "b"), b2 = node_named(m, "b2"), b3 = node_named(m, "b3");
    assert_true(q->step[b] >= 0 && q->step[b] == q->step[b2] && q->step[b] == q->step[b3]);
    assert_true(q->shift[b] >= 0 && q->shift[b] != q->shift[b2] && q->shift[b2] != q->shift[b3]);
    assert_true(q->bits[b] == 4 && q->bits[b2] == 4 && q->bits[b3] == 4);
    assert_true(rt_model_shifts(m, b)[0] != rt_model_shifts(m, b2)[0]);
    assert_null(rt_model_range(m, m->graph->input[0]));            /* bytes have their own */
    assert_null(rt_model_range(m, m->graph->node[node_named(m, "p")].out));
    assert_null(rt_model_range(m, m->graph->node[node_named(m, "kind")].out));
    assert_null(rt_model_range(m, m->graph->node[node_named(m, "a/1")].out));
    assert_non_null(rt_model_range(m, m->graph->node[node_named(m, "r")].out));
    rt_model_free(m);
}

/* Numbers that no quantizer has, with digests that fit. */
static void bad_numbers(void **state)
{
    static const struct { int what; float a, b; const char *says; } bad[] = {
        {0, NAN, 1, "the range of 'r' is [nan, 1]"}, {0, 0, INFINITY, "the range of 'r'"},
        {0, 0, 0, "the range of 'r' is [0, 0]"}, {0, 0, 1e-37f, "have a width"}, {0, 1, 2, "hold 0"},
        {0, 0, -1, "hold 0"}, {1, 0, 1, "the step of output channel 0 of layer 'a/1' is 0"},
        {1, 1, -1, "the step of output channel 1 of layer 'a/1' is -1"}, {1, 1, NAN, "must be finite and above 0"},
        {1, INFINITY, 1, "must be finite"}, {1, 1e-39f, 1, "above 0"},
        {2, 0, NAN, "the correction of output channel 1 of layer 'a/1' is not finite"}};
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        rt_model *m = quantized(0, 8, 1), *n;
        int a = node_named(m, "a/1"), r = node_named(m, "r");
        float *of[] = {rt_model_range(m, m->graph->node[r].out), rt_model_steps(m, a), rt_model_shifts(m, a)};
        of[bad[i].what][0] = bad[i].a;
        of[bad[i].what][1] = bad[i].b;
        check_ok(rt_model_save(m, at("bad.h5")));
        check_fails(rt_model_load(&n, at("bad.h5")), RT_INPUT, bad[i].says);
        check_fails(RT_INPUT, RT_INPUT, "bad.h5: ");
        rt_model_free(m);
    }
}

/* A copy of a file with another text in its manifest, whose digest fits. */
static void edit_manifest(const char *from, const char *to, const char *was, const char *is)
{
    enum { MOST = 32 };
    rt_h5_file *f;
    void *data[MOST] = {0};
    rt_h5_item it[MOST] = {{0}};
    char *text = NULL;
    check_ok(rt_h5_scan(&f, from));
    assert_true(f->sets <= MOST);
    for (int i = 0; i < f->sets; i++) {
        const rt_h5_dataset *d = &f->set[i];
        check_ok(rt_h5_read_all(&data[i], f, d->name, 1 << 20));
        it[i] = (rt_h5_item){.name = d->name, .type = d->type, .rank = d->rank, .data = data[i]};
        memcpy(it[i].dim, d->dim, sizeof it[i].dim);
        if (strcmp(d->name, "manifest")) continue;
        char *here = strstr(data[i], was);
        if (!here) fail_msg("no '%s' in %s", was, (char *)data[i]);
        text = calloc(1, strlen(data[i]) + strlen(is) + 1);
        sprintf(text, "%.*s%s%s", (int)(here - (char *)data[i]), (char *)data[i], is, here + strlen(was));
        char *digest = strstr(text, "\"manifest_digest\":");
        digest = strchr(digest + 18, '"') + 1;
        memset(digest, '0', 32);
        memcpy(digest, rt_digest_of(text, strlen(text)).hex, 32);
        it[i].data = text;
        it[i].element = (uint32_t)strlen(text);
    }
    check_ok(rt_h5_save(to, "retort-model-5", it, f->sets));
    for (int i = 0; i < f->sets; i++) free(data[i]);
    free(text);
    rt_h5_close(f);
}

/* What has no integer form, by name; rows are of one input. */
static void refused(void **state)
{
    static const struct { const char *arch, *says;
    } bad[] = {
        {"{\"input\":[6],\"classes\":2,\"layers\":[{\"op\":\"dense\",\"out\":4},"
         "{\"op\":\"softmax\",\"name\":\"s\"},{\"op\":\"dense\",\"out\":2}]}",
         "layer 's' (softmax) has no integer form"},
        {"{\"inputs\":[{\"name\":\"left\",\"shape\":[3]},{\"name\":\"right\",\"shape\":[3]}],\"classes\":2,\"layers\":["
         "{\"op\":\"add\",\"from\":[\"left\",\"right\"]},{\"op\":\"dense\",\"out\":2}]}",
         "has 2 inputs (left, right)"},
        {"{\"inputs\":[{\"name\":\"word\",\"shape\":[4],\"type\":\"i32\"}],\"classes\":2,\"layers\":["
         "{\"op\":\"embedding\",\"rows\":9,\"out\":3,\"name\":\"e\"},{\"op\":\"flatten\"},"
         "{\"op\":\"dense\",\"out\":2}]}",
         "layer 'e' (embedding) has no integer form"}};
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        cJSON *j;
        rt_model *m;
        check_ok(rt_json_parse(&j, bad[i].arch, strlen(bad[i].arch), "test"));
        check_ok(rt_model_new(&m, j, 1));
        cJSON_Delete(j);
        check_fails(rt_calibrate(m, &(rt_calibrate_spec){0}, rows, ROWS, device), RT_USAGE, bad[i].says);
        rt_model_free(m);
    }
}

static void bad_manifests(void **state)
{
    static const struct { const char *was, *is, *says; } bad[] = {
        {"\"contract\":\t1", "\"contract\":\t2", "is quantized by version 2 of the integer contract"},
        {"\"activations\":\t8", "\"activations\":\t4", "with 4 bits of activations"},
        {"\"input\":\t\"u8\"", "\"input\":\t\"u7\"", "does not say how it is quantized"},
        {"\"input\":\t\"u8\"", "\"input\":\t\"f32\"", "do not match their digest"},
        {"\"a/1\":\t8", "\"a/1\":\t9", "a number of bits that is none from 2 to 8"},
        {"\"a/1\":\t8", "\"a/1\":\t1", "a number of bits that is none from 2 to 8"},
        {"\"a/1\":\t8", "\"a/1\":\t7.5", "a number of bits that is none from 2 to 8"},
        {"\"a/1\":\t8", "\"a/1\":\t\"8\"", "a number of bits that is none from 2 to 8"},
        {"\"a/1\":\t8", "\"a/1\":\t4", "do not match their digest"},
        {"\"a/1\":\t8", "\"a/2\":\t8", "'a/2', which is no layer that has weights of its own"},
        {"\"a/1\":\t8", "\"r\":\t8", "'r', which is no layer that has weights of its own"},
        {"\"a/1\":\t8", "\"b2\":\t8", "'b2', which is no layer that has weights of its own"},
        {"\"ranges\":\t[\"r\"", "\"ranges\":\t[\"q\"", "gives a range to 'q', which is no layer"},
        {"\"ranges\":\t[\"r\"", "\"ranges\":\t[7", "gives a range to '', which is no layer"},
        {"\"ranges\":\t[\"r\"", "\"ranges\":\t[\"n\"", "has no data set 'state/n.range'"},
        {"\"ranges\":\t[\"r\"", "\"ranges\":\t[\"r\", \"r\"", "gives 'r' a range twice"},
        {"\"quantization\":", "\"quantisation\":", "does not say how it is quantized"}};
    (void)state;
    rt_model *m = quantized(1, 8, 0), *n;
    check_ok(rt_model_save(m, at("m.h5")));
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        edit_manifest(at("m.h5"), at("e.h5"), bad[i].was, bad[i].is);
        check_fails(rt_model_load(&n, at("e.h5")), RT_INPUT, bad[i].says);
        check_fails(RT_INPUT, RT_INPUT, "e.h5: ");
    }
    edit_manifest(at("m.h5"), at("e.h5"), "retort-model-5", "retort-model-7");
    check_fails(rt_model_load(&n, at("e.h5")), RT_INPUT, "is no retort model of format retort-model-6, retort-model-5");
    edit_manifest(at("m.h5"), at("e.h5"), "\"shifts\":\tfalse", "\"shifts\":\ttrue");
    check_fails(rt_model_load(&n, at("e.h5")), RT_INPUT, "has no data set 'state/");
    rt_model_free(m);
}

/* A predictor answers as the program does, for raw bytes, raw floats and views, whatever the threads; a byte is found
 * again behind its normalisation; what an ensemble averages is the same. */
static void predictors(void **state)
{
    enum { WIDTH = 6 };
    static const rt_view_desc plain;
    static uint8_t raw[ROWS * IN];
    static float wide[ROWS * IN], seen[ROWS * IN], want[ROWS * WIDTH], got[ROWS * WIDTH];
    (void)state;
    for (int i = 0; i < ROWS * IN; i++) {
        raw[i] = (uint8_t)(i * 7919 % 256);
        wide[i] = raw[i];
    }
    for (int bytes = 0; bytes < 2; bytes++) {
        rt_model *m = quantized(bytes, 8, 1);
        rt_program *p;
        check_ok(rt_program_of(&p, m));
        rt_input_take(&m->input[0], RT_U8);
        rt_input_normalize(&m->input[0], seen, raw, ROWS);
        void *context = aligned_alloc(64, (rt_program_bytes(p) + 63) & ~(size_t)63);
        rt_program_start(p, context);
        rt_program_infer(p, context, want, bytes ? (const void *)raw : seen, ROWS);
        for (int threads = 1; threads <= 3; threads++) {
            rt_device *some = rt_device_cpu(threads);
            rt_predictor *q;
            check_ok(rt_predictor_new(&q, &m, 1, some, threads == 2 ? 7 : 0, NULL, 0));
            assert_non_null(rt_predictor_program(q, 0));
            assert_true(rt_predictor_bytes(q) >= (size_t)threads * rt_program_bytes(p));
            for (int how = 0; how < 3; how++) {
                memset(got, 0, sizeof got);
                rt_input_take(&m->input[0], how == 1 ? RT_F32 : RT_U8);
                if (how == 0) rt_predict(q, &(rt_feed){.raw = raw, .rows = ROWS}, got);
                if (how == 1) rt_predict(q, &(rt_feed){.raw = wide, .rows = ROWS}, got);
                if (how == 2) rt_predict(q, &(rt_feed){.raw = raw, .rows = ROWS, .view = &plain}, got);
                if (memcmp(want, got, sizeof want)) fail_msg("bytes %d, %d threads, way %d", bytes, threads, how);
            }
            rt_predictor_free(q);
            rt_device_close(some);
        }
        rt_predictor *q;
        int feature = 3;
        rt_input_take(&m->input[0], RT_U8);
        check_fails(rt_predictor_new(&q, &m, 1, device, 0, &feature, 1), RT_USAGE, "keeps no features of layers");
        rt_model *twice[2] = {m, m};
        check_ok(rt_predictor_new(&q, twice, 2, device, 0, NULL, 0));
        rt_predict(q, &(rt_feed){.raw = raw, .rows = ROWS}, got);
        for (int r = 0; r < ROWS; r++)
            for (int k = 0; k < WIDTH; k++) {
                const float *z = want + r * WIDTH;
                double sum = 0;
                for (int c = 0; c < 4; c++) sum += exp((double)z[c]);
                check_close("ensemble", (double)got[r * WIDTH + k], k < 4 ? (double)z[k] - log(sum) : (double)z[k],
                            1e-5, 1e-5);
            }
        rt_predictor_free(q);
        free(context);
        rt_program_free(p);
        rt_model_free(m);
    }
}

/* Threads do not share a context: many tiles at a time, over and over. */
static void threads(void **state)
{
    enum { MANY = 4096, WIDTH = 6, TURNS = 12 };
    (void)state;
    rt_model *m = quantized(1, 8, 0);
    uint8_t *raw = malloc((size_t)MANY * IN);
    float *want = calloc(MANY * WIDTH, sizeof *want), *got = calloc(MANY * WIDTH, sizeof *got);
    rt_device *one = rt_device_cpu(1), *four = rt_device_cpu(4);
    rt_predictor *p, *q;
    for (int i = 0; i < MANY * IN; i++) raw[i] = (uint8_t)((uint32_t)i * 2654435761u >> 24);
    rt_input_take(&m->input[0], RT_U8);
    check_ok(rt_predictor_new(&p, &m, 1, one, 1024, NULL, 0));
    check_ok(rt_predictor_new(&q, &m, 1, four, 1024, NULL, 0));
    rt_predict(p, &(rt_feed){.raw = raw, .rows = MANY}, want);
    for (int t = 0; t < TURNS; t++) {
        rt_predict(q, &(rt_feed){.raw = raw, .rows = MANY}, got);
        assert_memory_equal(want, got, MANY * WIDTH * sizeof *got);
    }
    rt_predictor_free(p);
    rt_predictor_free(q);
    rt_device_close(one);
    rt_device_close(four);
    rt_model_free(m);
    free(raw);
    free(want);
    free(got);
}

/* Columns of bytes in another order are put into place. */
static void columns(void **state)
{
    enum { N = 20 };
    static const char small[] = "{\"input\":[3],\"classes\":2,\"layers\":[{\"op\":\"dense\",\"out\":2}]}";
    static float x[N * 3], want[N * 2], got[N * 2];
    static uint8_t raw[N * 3], turned[N * 4];
    cJSON *j;
    rt_model *m;
    rt_predictor *q;
    double mean[1] = {128}, std[1] = {64};
    (void)state;
    check_ok(rt_json_parse(&j, small, strlen(small), "test"));
    check_ok(rt_model_new(&m, j, 2));
    cJSON_Delete(j);
    check_ok(rt_input_set_normalization(&m->input[0], mean, std, 1));
    for (int r = 0; r < N; r++)
        for (int c = 0; c < 3; c++) raw[r * 3 + c] = turned[r * 4 + 3 - c] = (uint8_t)(r * 31 + c * 77);
    rt_input_take(&m->input[0], RT_U8);
    rt_input_normalize(&m->input[0], x, raw, N);
    check_ok(rt_calibrate(m, &(rt_calibrate_spec){.bytes = 1}, x, N, device));
    check_ok(rt_predictor_new(&q, &m, 1, device, 0, NULL, 0));
    rt_predict(q, &(rt_feed){.raw = raw, .rows = N}, want);
    m->input[0].raw_bytes = 4;
    m->input[0].pick = malloc(3 * sizeof(int));
    for (int c = 0; c < 3; c++) m->input[0].pick[c] = 3 - c;
    rt_predict(q, &(rt_feed){.raw = turned, .rows = N}, got);
    assert_memory_equal(want, got, sizeof want);
    rt_predictor_free(q);
    rt_model_free(m);
}

/* What the table of layers tells, computed once more: from the float model's tensors and from the program's answers.
 * The range of b's output is cut on both sides, so that values are clipped. */
static void fidelity(void **state)
{
    enum { SOME = 37 };
    (void)state;
    rt_model *m = quantized(0, 8, 1);
    const rt_graph *g = m->graph;
    int b = g->node[node_named(m, "b")].out, kind = g->node[node_named(m, "kind")].out;
    float *range = rt_model_range(m, b);
    range[0] *= 0.3f;
    range[1] *= 0.4f;
    rt_program *p;
    rt_session *s;
    check_ok(rt_program_of(&p, m));
    const rt_net *net = rt_program_net(p);
    rt_fidelity *of = calloc((size_t)net->calls, sizeof *of);
    check_ok(rt_fidelity_measure(of, m, p, rows, NULL, SOME, device));
    rt_session_spec spec = {.graph = g, .batch = SOME, .params = m->params, .states = m->states,
                            .output = {b, kind}, .outputs = 2};
    check_ok(rt_session_new(&s, &spec, device));
    rt_session_infer(s, &(rt_step){.rows = SOME, .x = {rows}});
    const float *vb = rt_session_output(s, 0), *vk = rt_session_output(s, 1);
    size_t nb = SOME * rt_shape_count(&g->tensor[b].shape);
    double clipped = 0, signal = 0, noise = 0;
    rt_quant q = rt_quant_of(range[0], range[1]);
    for (size_t i = 0; i < nb; i++)
        clipped += rint((double)vb[i] / (double)q.scale) < -q.zero ||
                   rint((double)vb[i] / (double)q.scale) > 255 - q.zero;
    void *context = aligned_alloc(64, (rt_program_bytes(p) + 63) & ~(size_t)63);
    rt_program_start(p, context);
    for (int r = 0; r < SOME; r++) {
        float y[6];
        rt_program_infer(p, context, y, rows + (size_t)r * IN, 1);
        for (int k = 0; k < 4; k++) {
            double v = (double)vk[r * 4 + k], d = (double)y[k] - v;
            signal += v * v;
            noise += d * d;
        }
    }
    int seen = 0;
    for (int i = 0; i < net->calls; i++) {
        const char *name = g->node[rt_program_node(p, i)].name;
        if (net->call[i].op == RT_NET_RESHAPE) continue;
        if (of[i].values <= 0) fail_msg("nothing is said of call %d, %s", i, name);
        if (!strcmp(name, "b")) {
            check_close("clipped", of[i].clipped, clipped, 0, 0);
            check_close("values", of[i].values, (double)nb, 0, 0);
            assert_true(clipped > 0.01 * (double)nb && rt_fidelity_db(&of[i]) < 20);
            seen++;
        }
        if (!strcmp(name, "kind")) {
            check_close("dB", rt_fidelity_db(&of[i]), 10 * log10(signal / noise), 1e-9, 0);
            seen++;
        }
        if (!strcmp(name, "a/1")) assert_true(rt_fidelity_db(&of[i]) > 30 && ++seen);
    }
    assert_int_equal(seen, 3);
    cJSON *layers = rt_fidelity_layers(m, p, of), *l = cJSON_GetArrayItem(layers, 1);
    assert_string_equal(cJSON_GetStringValue(cJSON_GetObjectItem(l, "name")), "a/1");
    assert_string_equal(cJSON_GetStringValue(cJSON_GetObjectItem(l, "op")), "conv2d then relu");
    assert_int_equal(cJSON_GetObjectItem(l, "bits")->valueint, 8);
    assert_int_equal(cJSON_GetObjectItem(l, "macs")->valueint, 6 * 6 * 6 * 9 * 2);
    assert_int_equal(cJSON_GetObjectItem(l, "weight_bytes")->valueint, 9 * 2 * 6 + 8 * 6);
    assert_int_equal(cJSON_GetArraySize(layers), 8);               /* input, a/1, b, b2, b3, p, kind, age */
    cJSON_Delete(layers);
    rt_session_free(s);
    rt_program_free(p);
    rt_model_free(m);
    free(context);
    free(of);
}

/* Of bytes whose deviation differs by channel, corrections are the mean error of the sums in the model's own units. */
static void corrections_of_bytes(void **state)
{
    (void)state;
    rt_model *m = quantized(1, 4, 1);
    int a = node_named(m, "a/1");
    const float *w = rt_model_field(m, m->graph->node[a].field[0]), *step = rt_model_steps(m, a),
                *shift = rt_model_shifts(m, a), *mul = m->input[0].mul;
    double mean[2] = {0};
    for (int i = 0; i < ROWS * IN; i++) mean[i % 2] += (double)rows[i] / (ROWS * IN / 2);
    assert_true(mul[0] != mul[1]);
    double scale = (double)fmaxf(mul[0], mul[1]);
    for (int o = 0; o < 6; o++) {
        double sum = 0;
        for (int r = 0; r < 3 * 3 * 2; r++) {
            double part = (double)mul[r % 2] / scale, v = (double)w[r * 6 + o];
            double q = fmin(fmax(rint(v * part / (double)step[o]), -7), 7) * (double)step[o] / part;
            sum += (v - q) * mean[r % 2];
        }
        check_close("correction", (double)shift[o], sum, 1e-6, 1e-4);
    }
    rt_model_free(m);
}

/* ---- against NumPy (record_quantizers.py) ---- */

static float number(uint64_t i, uint64_t salt)
{
    i = (i * 2654435761u + salt * 40503u) & 0xffffffffu;
    i = (i ^ i >> 13) * 1274126177u & 0xffffffffu;
    return (float)((double)(i >> 8) / (1 << 24) - 0.5);
}

static void put_numbers(float *to, size_t n, int salt, double scale, double shift, int cube)
{
    for (size_t i = 0; i < n; i++) {
        double v = (double)(float)((double)number(i, (uint64_t)salt) * scale + shift);
        to[i] = cube ? (float)(v * v * v / cube) : (float)v;
    }
}

static double squared_error(const float *v, size_t n, float low, float high)
{
    rt_quant q = rt_quant_of(low, high);
    double sum = 0;
    for (size_t i = 0; i < n; i++) {
        double r = fmin(fmax(rint((double)v[i] / (double)q.scale) + q.zero, 0), 255);
        r = (r - q.zero) * (double)q.scale - (double)v[i];
        sum += r * r;
    }
    return sum / (double)n;
}

static void check_list(const char *what, const float *got, const double *want, int n, double absolute, double relative)
{
    char text[80];
    assert_non_null(got);
    for (int i = 0; i < n; i++) {
        snprintf(text, sizeof text, "%s[%d]", what, i);
        check_close(text, (double)got[i], want[i], absolute, relative);
    }
}

static const char oracle_arch[] =
    "{\"input\":[6,5,4],\"classes\":3,\"layers\":["
    "{\"name\":\"c\",\"op\":\"conv2d\",\"out\":6,\"kernel\":3,\"padding\":1,\"groups\":2},"
    "{\"name\":\"r\",\"op\":\"relu\"},{\"name\":\"p\",\"op\":\"avg_pool\",\"kernel\":2},"
    "{\"name\":\"f\",\"op\":\"flatten\"},{\"name\":\"d\",\"op\":\"dense\",\"out\":3}]}";

/* Ranges, steps and corrections of 8 and 4 bits, by min-max and by MSE. */
static void against_numpy(void **state)
{
    enum { N = 2000, IN_N = 6 * 5 * 4 };
    static float x[N * IN_N];
    const struct { int bits, mse; const double *step1, *step2, *shift1, *shift2; } cases[] = {
        {8, 0, reference_step1_8_0, reference_step2_8_0, reference_shift1_8_0, reference_shift2_8_0},
        {8, 1, reference_step1_8_1, reference_step2_8_1, reference_shift1_8_1, reference_shift2_8_1},
        {4, 0, reference_step1_4_0, reference_step2_4_0, reference_shift1_4_0, reference_shift2_4_0},
        {4, 1, reference_step1_4_1, reference_step2_4_1, reference_shift1_4_1, reference_shift2_4_1}};
    (void)state;
    put_numbers(x, N * IN_N, 1, 4, 0.3, 2);
    x[7777] = 40;
    for (size_t k = 0; k < sizeof cases / sizeof cases[0]; k++) {
        cJSON *j;
        rt_model *m;
        int bits[8];
        check_ok(rt_json_parse(&j, oracle_arch, strlen(oracle_arch), "test"));
        check_ok(rt_model_new(&m, j, 1));
        cJSON_Delete(j);
        for (int i = 0; i < 8; i++) bits[i] = cases[k].bits;
        int c = node_named(m, "c"), d = node_named(m, "d"), r = node_named(m, "r"), p = node_named(m, "p");
        const rt_graph *g = m->graph;
        put_numbers(rt_model_field(m, g->node[c].field[0]), 3 * 3 * 2 * 6, 2, 1, 0, 1);
        put_numbers(rt_model_field(m, g->node[c].field[1]), 6, 3, 0.2, 0, 0);
        put_numbers(rt_model_field(m, g->node[d].field[0]), 36 * 3, 4, 0.5, 0, 0);
        put_numbers(rt_model_field(m, g->node[d].field[1]), 3, 5, 0.2, 0, 0);
        rt_calibrate_spec spec = {.method = cases[k].mse ? RT_CALIBRATE_MSE : RT_CALIBRATE_MINMAX, .bits = bits,
                                  .correct = 1};
        check_ok(rt_calibrate(m, &spec, x, N, device));
        const float *in = rt_model_range(m, g->input[0]), *relu = rt_model_range(m, g->node[r].out),
                    *average = rt_model_range(m, g->node[p].out);
        if (cases[k].mse) {
            double e = squared_error(x, N * IN_N, in[0], in[1]);
            if (!(e <= 1.01 * reference_input[3])) fail_msg("error %.6g, the least is %.6g", e, reference_input[3]);
        } else {
            check_list("input", in, reference_input, 2, 0, 1e-6);
            check_list("relu", relu, reference_relu, 2, 0, 1e-5);
            check_list("average", average, reference_pool, 2, 0, 1e-5);
            check_close("error", squared_error(x, N * IN_N, in[0], in[1]), reference_input[2], 0, 1e-3);
        }
        check_list("steps of c", rt_model_steps(m, c), cases[k].step1, 6, 0, 1e-6);
        check_list("steps of d", rt_model_steps(m, d), cases[k].step2, 3, 0, 1e-6);
        check_list("shifts of c", rt_model_shifts(m, c), cases[k].shift1, 6, 2e-6, 1e-4);
        check_list("shifts of d", rt_model_shifts(m, d), cases[k].shift2, 3, 2e-6, 1e-4);
        rt_model_free(m);
    }
}

static int set_up(void **state)
{
    rows = random_floats(ROWS * IN, 8);
    return make_test_folder(state) || !(device = rt_device_cpu(2));
}

static int tear_down(void **state)
{
    free(rows);
    rt_device_close(device);
    return remove_test_folder(state);
}

/* Columns whose middle half is a given number of steps wide, one that has two values, and one of a single one. */
static void far_values(void **state)
{
    (void)state;
    enum { MANY = 400, COLUMNS = 5 };
    static const float range[2] = {-1, 254};                    /* steps of 1 */
    static const double width[COLUMNS] = {3.9, 4.1, 0.5, 0, 200};
    static const char net[] = "{\"input\":[5],\"classes\":2,\"layers\":[{\"op\":\"dense\",\"out\":2}]}";
    static float x[MANY * COLUMNS];
    char text[300];
    cJSON *j;
    rt_model *m;
    check_ok(rt_json_parse(&j, net, strlen(net), "net"));
    check_ok(rt_model_new(&m, j, 1));
    cJSON_Delete(j);
    for (int i = 0; i < MANY * COLUMNS; i++)                   /* 0 to 2 widths, evenly, in an order of their own */
        x[i] = (float)(2 * width[i % COLUMNS] * (i / COLUMNS * 171 % MANY) / MANY);
    check_ok(rt_calibrate_coarse(text, sizeof text, m, x, MANY, range));
    if (!strstr(text, "from -1 to 254 in 255 steps; of 2 of its 5 columns")) fail_msg("'%s'", text);
    check_ok(rt_calibrate_coarse(text, sizeof text, m, x, MANY, NULL));             /* 0 to 399 */
    if (!strstr(text, "from 0 to 399 in 255 steps; of 3 of its 5 columns")) fail_msg("'%s'", text);
    x[COLUMNS - 1] = 1e4f;
    check_ok(rt_calibrate_coarse(text, sizeof text, m, x, MANY, NULL));
    if (!strstr(text, "from 0 to 10000 in 255 steps; of 3 of its 5 columns")) fail_msg("'%s'", text);
    for (int i = 0; i < MANY * COLUMNS; i++) x[i] = (float)(i % 2);
    check_ok(rt_calibrate_coarse(text, sizeof text, m, x, MANY, NULL));
    assert_string_equal(text, "");
    rt_model_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(files),  cmocka_unit_test(digests),
                                       cmocka_unit_test(shared), cmocka_unit_test(bad_numbers),
                                       cmocka_unit_test(bad_manifests), cmocka_unit_test(predictors),
                                       cmocka_unit_test(columns),       cmocka_unit_test(against_numpy),
                                       cmocka_unit_test(fidelity),      cmocka_unit_test(refused),
                                       cmocka_unit_test(corrections_of_bytes),
                                       cmocka_unit_test(threads),        cmocka_unit_test(far_values)};
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
