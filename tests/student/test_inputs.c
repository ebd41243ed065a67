/* Models of several inputs: answers and gradients against PyTorch's, whatever way rows come; their files; what is
 * refused. */
#include "student/arch.h"
#include "student/model.h"
#include "student/predictor.h"
#include "tests/engine/session_step.h"
#include "tests/student/inputs_reference.h"
#include "tests/support.h"

static const char two[] =
    "{\"inputs\": [{\"name\": \"left\", \"shape\": [5, 5, 2]}, {\"name\": \"right\", \"shape\": [6]}], \"classes\": 3, "
    "\"layers\": [{\"op\": \"conv2d\", \"name\": \"conv\", \"out\": 4, \"kernel\": 3, \"padding\": 1, "
    "\"from\": \"left\"}, "
    "{\"op\": \"relu\"}, {\"op\": \"global_avg_pool\", \"name\": \"l\"}, "
    "{\"op\": \"dense\", \"name\": \"r\", \"out\": 4, \"from\": \"right\"}, {\"op\": \"tanh\", \"name\": \"branch\"}, "
    "{\"op\": \"dense\", \"name\": \"beside\", \"out\": 2, \"from\": \"right\"}, "
    "{\"op\": \"add\", \"name\": \"sum\", \"from\": [\"l\", \"branch\"]}, "
    "{\"op\": \"concat\", \"from\": [\"sum\", \"beside\"]}, {\"op\": \"dense\", \"name\": \"out\", \"out\": 3}]}";

static rt_device *device;

static int set_up(void **state)
{
    device = rt_device_cpu(2);
    return make_test_folder(state);
}

static int tear_down(void **state)
{
    rt_device_close(device);
    return remove_test_folder(state);
}

static cJSON *parsed(const char *text)
{
    cJSON *j;
    check_ok(rt_json_parse(&j, text, strlen(text), "test"));
    return j;
}

/* Fields of the reference, one behind the other, in the order of the graph. */
static void each_field(const rt_graph *g, const float *from, float *to, int into)
{
    for (int i = -1; (i = rt_graph_next_field(g, RT_PARAM, i)) >= 0; from += g->field[i].count)
        for (size_t k = 0; k < g->field[i].count; k++) {
            float *at = to + (into ? g->field[i].offset : g->field[i].grad_at) + k;
            if (into) *at = from[k];
            else check_close(g->field[i].name, *at, from[k], 2e-5, 2e-5);
        }
}

static rt_model *make(void)
{
    static const double mean[] = {1.5, 0.5}, std[] = {2, 4}, flat_mean = -2, flat_std = 0.5;
    cJSON *arch = parsed(two);
    rt_model *m;
    check_ok(rt_model_new(&m, arch, 1));
    cJSON_Delete(arch);
    assert_int_equal(m->inputs, 2);
    check_ok(rt_input_set_normalization(&m->input[0], mean, std, 2));
    check_ok(rt_input_set_normalization(&m->input[1], &flat_mean, &flat_std, 1));
    each_field(m->graph, ref_weights, m->params, 1);
    return m;
}

/* Rows of both inputs side by side, as a model is bound to them. */
static const float *raw_rows(rt_model *m)
{
    static float raw[REF_ROWS][REF_LEFT + REF_RIGHT];
    for (int r = 0; r < REF_ROWS; r++) {
        memcpy(raw[r], ref_left + (size_t)r * REF_LEFT, REF_LEFT * sizeof(float));
        memcpy(raw[r] + REF_LEFT, ref_right + (size_t)r * REF_RIGHT, REF_RIGHT * sizeof(float));
    }
    for (int i = 0; i < 2; i++) {
        rt_input_take(&m->input[i], RT_F32);
        m->input[i].raw_at = i ? REF_LEFT * sizeof(float) : 0;
        m->input[i].raw_bytes = sizeof raw[0];
    }
    return raw[0];
}

static void check_answers(rt_model *m, int micro)
{
    rt_predictor *p;
    float answer[REF_ROWS * REF_K];
    check_ok(rt_predictor_new(&p, &m, 1, device, micro, NULL, 0));
    rt_predict(p, &(rt_feed){.raw = raw_rows(m), .rows = REF_ROWS}, answer);
    for (int i = 0; i < REF_ROWS * REF_K; i++) check_close("answer", answer[i], ref_answer[i], 2e-5, 2e-5);
    rt_predictor_free(p);
}

static void files_keep_every_input(void **state)
{
    (void)state;
    rt_model *m = make(), *n;
    char file[128];
    const char *path = file;
    snprintf(file, sizeof file, "%s/two.h5", test_folder);
    rt_names names = {.count = 6, .of = NULL};
    static char *const columns[] = {"a", "b", "c", "d", "e", "f"};
    names.name = (char **)columns;
    rt_names_free(&m->input[1].columns);
    check_ok(rt_names_copy(&m->input[1].columns, &names));
    check_answers(m, 0);
    check_ok(rt_model_save(m, path));
    check_ok(rt_model_load(&n, path));
    assert_string_equal(rt_model_digest(m).hex, rt_model_digest(n).hex);
    assert_string_equal(n->input[0].name, "left");
    assert_string_equal(n->input[1].columns.name[3], "d");
    assert_null(n->input[0].columns.name);
    for (int micro = 1; micro < 9; micro += 3) check_answers(n, micro);
    n->input[1].mul[0] += 1;
    assert_string_not_equal(rt_model_digest(m).hex, rt_model_digest(n).hex);
    rt_model_free(m);
    rt_model_free(n);
}

static void gradients(void **state)
{
    (void)state;
    rt_model *m = make();
    float left[REF_ROWS * REF_LEFT], right[REF_ROWS * REF_RIGHT];
    const rt_feed feed = {.raw = raw_rows(m), .rows = REF_ROWS};
    const rt_row_desc rows[2] = {rt_input_rows(&m->input[0]), rt_input_rows(&m->input[1])};
    rt_rows_fill(&rows[0], &feed, left, 0, REF_ROWS);
    rt_rows_fill(&rows[1], &feed, right, 0, REF_ROWS);
    /* sum (z - target)^2 / 2, mean over rows */
    const rt_loss_batch half_square = {
        .config = {.task = RT_TASK_REAL, .hard_kind = RT_HARD_HUBER, .hard = 1, .delta = INFINITY},
        .values = ref_target};
    for (int filled = 0; filled < 2; filled++)
        for (const rt_kernels *const *k = rt_kernels_all(); *k; k++) {
            if (!rt_kernels_runnable(*k)) continue;
            check_ok(rt_kernels_select((*k)->name));
            rt_session *s;
            rt_session_spec spec = {.graph = m->graph, .batch = REF_ROWS, .train = 1, .losses = 1, .params = m->params,
                                    .states = m->states, .rows = filled ? rows : NULL};
            spec.loss[0].tensor = m->head[0].tensor;
            spec.loss[0].batch = &half_square;
            check_ok(rt_session_new(&s, &spec, device));
            rt_step step = {.rows = REF_ROWS, .feed = &feed, .first = 1, .last = 1, .summed = 1};
            if (!filled) step.x[0] = left;
            if (!filled) step.x[1] = right;
            check_close("loss", session_step(s, &step).total, ref_loss, 1e-6, 1e-5);
            each_field(m->graph, ref_grads, rt_session_buffer(s, RT_B_GRADS, NULL), 0);
            rt_session_free(s);
        }
    rt_model_free(m);
}

/* An input that stands in the way of nothing is one as any: named in a list, it gives what "input" gives. */
static void one_in_a_list(void **state)
{
    (void)state;
    static const char *const text[] = {
        "{\"input\": [6], \"classes\": 3, \"family\": \"mlp\", \"width\": 8}",
        "{\"inputs\": [{\"name\": \"x\", \"shape\": [6]}], \"classes\": 3, \"family\": \"mlp\", \"width\": 8}"};
    rt_model *m[2];
    for (int i = 0; i < 2; i++) {
        cJSON *arch = parsed(text[i]);
        check_ok(rt_model_new(&m[i], arch, 9));
        cJSON_Delete(arch);
    }
    assert_int_equal(m[1]->graph->floats[RT_PARAM], m[0]->graph->floats[RT_PARAM]);
    assert_memory_equal(m[1]->params, m[0]->params, m[0]->graph->floats[RT_PARAM] * sizeof(float));
    check_ok(rt_model_one_input(m[1]->graph, "m"));
    rt_model_free(m[0]);
    rt_model_free(m[1]);
}

#define TWO(more) \
    "{\"inputs\": [{\"name\": \"a\", \"shape\": [4]}, {\"name\": \"b\", \"shape\": [4]}], \"classes\": 2, " more "}"

static void refused(void **state)
{
    (void)state;
    static const char *const wrong[][2] = {
        {TWO("\"layers\": [{\"op\": \"dense\", \"out\": 2}]"),
         "layers[0].from: the model has several inputs: name those that this layer takes"},
        {TWO("\"layers\": [{\"op\": \"dense\", \"out\": 2, \"from\": \"b\"}]"), "inputs[0]: no layer takes 'a'"},
        {TWO("\"family\": \"mlp\""), "family: has one input"},
        {TWO("\"input\": [3], \"layers\": []"), "input: is short for one input"},
        {"{\"input\": [8], \"heads\": [{\"name\": \"a\", \"size\": 2}, {\"name\": \"dense2\", \"size\": 2}], "
         "\"family\": \"mlp\"}",
         "heads[1].name: the family has a layer 'dense2' of its own; give the head another name"},
        {"{\"inputs\": [], \"classes\": 2, \"layers\": []}", "inputs: the input's shape is required here"},
        {"{\"inputs\": [{\"name\": \"a\"}], \"classes\": 2, \"layers\": []}", "inputs[0].shape: the input's shape is"},
        {"{\"inputs\": [{\"shape\": [2]}], \"classes\": 2, \"layers\": []}", "inputs[0].name"},
        {"{\"inputs\": [{\"name\": \"a\", \"shape\": [2]}, {\"name\": \"a\", \"shape\": [2]}], \"layers\": []}",
         "inputs[1]: two layers are named 'a'"}};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        cJSON *arch = parsed(wrong[i][0]);
        rt_graph *g;
        check_fails(rt_arch_build(&g, arch, "test"), RT_USAGE, wrong[i][1]);
        cJSON_Delete(arch);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(files_keep_every_input), cmocka_unit_test(gradients),
                                       cmocka_unit_test(one_in_a_list), cmocka_unit_test(refused)};
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
