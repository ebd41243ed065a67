/* Heads: their places in the answer, what is refused, lists of them as JSON, how two lists are matched; a model's heads
 * of an architecture, by layers, by a family, and kept in its file; answers of several heads, of one model and of two.
 */
#include <math.h>

#include "student/arch.h"
#include "student/predictor.h"
#include "tests/support.h"

static rt_model *make(const char *arch)
{
    cJSON *j;
    rt_model *m;
    check_ok(rt_json_parse(&j, arch, strlen(arch), "test"));
    check_ok(rt_model_new(&m, j, 1));
    cJSON_Delete(j);
    return m;
}

#define LAYERS \
    "\"input\":[4],\"layers\":[{\"op\":\"dense\",\"out\":5,\"name\":\"trunk\"},{\"op\":\"relu\",\"name\":\"act\"}," \
    "{\"op\":\"dense\",\"out\":3,\"name\":\"kind\"},{\"op\":\"dense\",\"out\":2,\"name\":\"tags\",\"from\":\"act\"}," \
    "{\"op\":\"dense\",\"out\":1,\"name\":\"price\",\"from\":\"act\"}]"
#define HEADS "\"heads\":[{\"name\":\"price\",\"task\":\"real\"},{\"name\":\"kind\",\"names\":[\"a\",\"b\",\"c\"]}," \
    "{\"name\":\"labels\",\"task\":\"multilabel\",\"layer\":\"tags\"}]"

static void classes_are_a_head(void **state)
{
    (void)state;
    rt_model *m = make("{\"input\":[4],\"classes\":3,\"layers\":[{\"op\":\"dense\",\"out\":3,\"name\":\"three\"}]}");
    const rt_head *h = &m->head[0];
    assert_int_equal(m->heads, 1);
    assert_true(rt_heads_plain(m->head, 1));
    assert_string_equal(h->name, "y");
    assert_string_equal(rt_arch_layer(m->graph, h->tensor), "three");
    assert_int_equal(h->task, RT_TASK_CLASSES);
    assert_int_equal(h->size, 3);
    assert_int_equal(h->at, 0);
    assert_int_equal(h->tensor, m->graph->output);
    assert_int_equal(h->names.count, 3);
    assert_null(h->names.name);
    rt_model_free(m);
}

static void places(void **state)
{
    (void)state;
    rt_head head[RT_MAX_HEADS] = {{0}}, copy[RT_MAX_HEADS];
    int count = 0, again;
    assert_int_equal(rt_heads_width(head, count), 0);
    check_ok(rt_heads_add(head, &count, "kind", RT_TASK_CLASSES, 3));
    check_ok(rt_heads_add(head, &count, "tags", RT_TASK_MULTILABEL, 5));
    check_ok(rt_heads_add(head, &count, "price", RT_TASK_REAL, 1));
    assert_int_equal(head[1].at, 3);
    assert_int_equal(head[2].at, 8);
    assert_int_equal(rt_heads_width(head, count), 9);
    cJSON *list = rt_heads_to_json(head, count);
    check_ok(rt_heads_from_json(copy, &again, list, "f.h5", "heads"));
    assert_int_equal(again, 3);
    for (int i = 0; i < 3; i++) {
        assert_string_equal(copy[i].name, head[i].name);
        assert_int_equal(copy[i].task, head[i].task);
        assert_int_equal(copy[i].names.count, head[i].size);
        assert_string_equal(copy[i].names.of, "f.h5");
        assert_int_equal(copy[i].size, head[i].size);
        assert_int_equal(copy[i].at, head[i].at);
    }
    cJSON_Delete(list);
    rt_heads_free(head, count);
    rt_heads_free(copy, again);
}

static void refused(void **state)
{
    (void)state;
    static const struct { const char *arch, *says; } bad[] = {
        {"{" LAYERS ",\"heads\":[{\"name\":\"map\",\"layer\":\"none\"}]}", "has no layer named 'none'"},
        {"{" LAYERS ",\"heads\":[{\"name\":\"kind\"},{\"name\":\"x\"}]}", "heads[1]: no layer is named 'x'"},
        {"{" LAYERS ",\"heads\":[{\"name\":\"kind\",\"size\":4}]}", "gives (3), but the head has 4 outputs"},
        {"{" LAYERS ",\"heads\":[{\"name\":\"kind\",\"names\":[\"a\"]}]}", "but the head has 1 outputs"},
        {"{" LAYERS ",\"heads\":[]}", "the list is empty"},
        {"{" LAYERS ",\"classes\":3," HEADS "}", "classes"},
        {"{\"input\":[4],\"family\":\"mlp\",\"heads\":[{\"name\":\"a\"}]}", "size: how many outputs"},
        {"{\"input\":[4],\"family\":\"mlp\",\"head\":[{\"name\":\"a\"}]}", "did you mean 'heads'?"},
        {"{" LAYERS ",\"heads\":[{\"name\":\"kind\",\"layr\":\"kind\"}]}", "did you mean 'layer'?"},
        {"{\"input\":[4,4,1],\"layers\":[{\"op\":\"conv2d\",\"out\":2,\"kernel\":3,\"name\":\"c\"}],"
         "\"heads\":[{\"name\":\"c\"}]}", "a head needs one row of numbers"}};
    rt_head head[RT_MAX_HEADS];
    int count = 0;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        cJSON *j;
        rt_model *m;
        check_ok(rt_json_parse(&j, bad[i].arch, strlen(bad[i].arch), "test"));
        check_fails(rt_model_new(&m, j, 1), RT_USAGE, bad[i].says);
        cJSON_Delete(j);
    }
    const char *const names[] = {"", "a/b", "a.b", "a\nb"};
    for (int i = 0; i < 4; i++)
        check_fails(rt_heads_add(head, &count, names[i], RT_TASK_REAL, 1), RT_USAGE, "a name has");
    check_fails(rt_heads_add(head, &count, "none", RT_TASK_REAL, 0), RT_USAGE, "0 outputs");
    for (int i = 0; i < RT_MAX_HEADS; i++) {
        char name[] = {(char)('a' + i), 0};
        check_ok(rt_heads_add(head, &count, name, RT_TASK_REAL, 3));
        if (i == 0) check_fails(rt_heads_add(head, &count, "a", RT_TASK_REAL, 3), RT_USAGE, "two heads");
    }
    check_fails(rt_heads_add(head, &count, "one more", RT_TASK_REAL, 3), RT_USAGE, "at most 8 heads");
    assert_int_equal(count, RT_MAX_HEADS);
    rt_heads_free(head, count);
}

static cJSON *parse(const char *text)
{
    cJSON *j;
    check_ok(rt_json_parse(&j, text, strlen(text), "test"));
    return j;
}

static int read_list(rt_head *head, const char *text, const char *of)
{
    cJSON *j = parse(text);
    int count;
    check_ok(rt_heads_from_json(head, &count, j, of, "heads"));
    cJSON_Delete(j);
    return count;
}

/* Heads by name in any order, classes by name within; elements that the other side lacks have no place. */
static void matching(void **state)
{
    (void)state;
    rt_head a[RT_MAX_HEADS], b[RT_MAX_HEADS], c[RT_MAX_HEADS];
    int *place, na = read_list(a, "[{\"name\":\"kind\",\"size\":2,\"names\":[\"x\",\"y\"]},{\"name\":\"age\","
                                  "\"task\":\"real\",\"size\":1},{\"name\":\"more\",\"size\":3}]", "a.h5");
    int nb = read_list(b, "[{\"name\":\"age\",\"task\":\"real\",\"size\":1},{\"name\":\"kind\",\"size\":2,"
                          "\"names\":[\"y\",\"x\"]}]", "b.h5");
    check_ok(rt_heads_place(&place, a, na, "a.h5", b, nb, "b.h5", RT_MATCH_NAMES));
    static const int by_name[6] = {2, 1, 0, -1, -1, -1}, by_position[6] = {1, 2, 0, -1, -1, -1};
    assert_memory_equal(place, by_name, sizeof by_name);
    free(place);
    check_ok(rt_heads_place(&place, a, na, "a.h5", b, nb, "b.h5", RT_MATCH_POSITION));
    assert_memory_equal(place, by_position, sizeof by_position);
    free(place);
    check_ok(rt_heads_place(&place, a, na, "a.h5", a, na, "a.h5", RT_MATCH_NAMES));
    assert_null(place);
    int nc = read_list(c, "[{\"name\":\"kind\",\"task\":\"multilabel\",\"size\":2},{\"name\":\"z\",\"size\":9}]",
                       "c.h5");
    check_fails(rt_heads_place(&place, a, na, "a.h5", c, nc, "c.h5", RT_MATCH_NAMES), RT_INPUT,
                "its head 'kind' is of task classes with 2 outputs, that of c.h5 of task multilabel with 2");
    check_fails(rt_heads_place(&place, a + 1, 1, "a.h5", c, nc, "c.h5", RT_MATCH_NAMES), RT_INPUT, "none of its heads");
    assert_int_equal(rt_heads_find(c + 1, 1, a, 1), 0);       /* two single ones, whatever their names */
    rt_heads_free(a, na);
    rt_heads_free(b, nb);
    rt_heads_free(c, nc);
}

/* Of an architecture, in another order than its layers, kept in the file with names that came later. */
static void of_a_model(void **state)
{
    (void)state;
    char path[128];
    rt_model *m = make("{" LAYERS "," HEADS "}"), *back;
    assert_int_equal(m->heads, 3);
    assert_string_equal(m->head[0].name, "price");
    assert_int_equal(m->head[1].at, 1);
    assert_int_equal(m->head[2].at, 4);
    assert_int_equal(rt_model_width(m), 6);
    assert_string_equal(rt_arch_layer(m->graph, m->head[2].tensor), "tags");
    assert_string_equal(m->head[1].names.name[2], "c");
    cJSON *list = parse("[\"p\",\"q\"]");
    rt_names_free(&m->head[2].names);
    check_ok(rt_names_from_json(&m->head[2].names, list, NULL, "names"));
    cJSON_Delete(list);
    snprintf(path, sizeof path, "%s/heads.h5", test_folder);
    check_ok(rt_model_save(m, path));
    check_ok(rt_model_load(&back, path));
    assert_int_equal(back->heads, 3);
    assert_string_equal(back->head[1].names.name[0], "a");
    assert_string_equal(back->head[2].names.name[1], "q");
    assert_null(back->head[0].names.name);
    assert_string_equal(rt_model_digest(back).hex, rt_model_digest(m).hex);
    rt_model_free(back);
    rt_model_free(m);
    m = make("{\"input\":[8,8,1],\"family\":\"cnn\",\"width\":4,\"depth\":2,\"heads\":[{\"name\":\"a\",\"size\":2},"
             "{\"name\":\"b\",\"task\":\"real\",\"size\":3}]}");
    assert_int_equal(rt_model_width(m), 5);
    assert_string_equal(rt_arch_layer(m->graph, m->head[1].tensor), "b");
    assert_int_equal(m->graph->tensor[m->head[1].tensor].shape.dim[0], 3);
    rt_model_free(m);
}

/* Each head's dense layer by hand: z = (relu(trunk x + b)) W + c. */
static void answer_by_hand(const rt_model *m, const float *x, float z[6])
{
    const float *field[8];
    float hidden[5];
    int n = 0;
    for (int i = -1; (i = rt_graph_next_field(m->graph, RT_PARAM, i)) >= 0;) field[n++] = rt_model_field(m, i);
    for (int j = 0; j < 5; j++) {
        hidden[j] = field[1][j];
        for (int i = 0; i < 4; i++) hidden[j] += x[i] * field[0][i * 5 + j];
        hidden[j] = fmaxf(hidden[j], 0);
    }
    static const int size[3] = {3, 2, 1}, at[3] = {1, 4, 0};       /* layers kind, tags, price */
    for (int l = 0; l < 3; l++)
        for (int c = 0; c < size[l]; c++) {
            float s = field[3 + 2 * l][c];
            for (int j = 0; j < 5; j++) s += hidden[j] * field[2 + 2 * l][j * size[l] + c];
            z[at[l] + c] = s;
        }
}

static void answers(void **state)
{
    (void)state;
    enum { ROWS = 37 };
    rt_model *m[2] = {make("{" LAYERS "," HEADS "}"), make("{" LAYERS "," HEADS "}")};
    rt_device *device = rt_device_cpu(2);
    rt_predictor *p;
    float x[ROWS * 4], z[2][ROWS * 6], both[ROWS * 6], want[6];
    for (int i = 0; i < ROWS * 4; i++) x[i] = (float)((i * 37) % 101) / 50 - 1;
    for (size_t i = 0; i < m[1]->graph->floats[RT_PARAM]; i++) m[1]->params[i] = -1.5f * m[1]->params[i] + 0.01f;
    for (int k = 0; k < 2; k++) {
        check_ok(rt_predictor_new(&p, &m[k], 1, device, 16, NULL, 0));
        assert_int_equal(rt_predictor_width(p), 6);
        rt_predict(p, &(rt_feed){.raw = x, .rows = ROWS}, z[k]);
        for (int r = 0; r < ROWS; r++) {
            answer_by_hand(m[k], x + 4 * r, want);
            for (int i = 0; i < 6; i++) check_close("answer", z[k][6 * r + i], want[i], 1e-5, 1e-5);
        }
        rt_predictor_free(p);
    }
    check_ok(rt_predictor_new(&p, m, 2, device, 16, NULL, 0));
    rt_predict(p, &(rt_feed){.raw = x, .rows = ROWS}, both);
    for (int r = 0; r < ROWS; r++) {
        double sum[2] = {0}, q;
        const float *a = z[0] + 6 * r, *b = z[1] + 6 * r, *e = both + 6 * r;
        check_close("value", e[0], ((double)a[0] + b[0]) / 2, 1e-5, 1e-6);
        for (int c = 1; c < 4; c++) sum[0] += exp(a[c]), sum[1] += exp(b[c]);
        for (int c = 1; c < 4; c++)
            check_close("class", e[c], log((exp(a[c]) / sum[0] + exp(b[c]) / sum[1]) / 2), 1e-5, 1e-5);
        for (int c = 4; c < 6; c++) {
            q = (1 / (1 + exp(-(double)a[c])) + 1 / (1 + exp(-(double)b[c]))) / 2;
            check_close("label", e[c], log(q / (1 - q)), 1e-5, 1e-5);
        }
    }
    rt_head two[RT_MAX_HEADS];
    int count = read_list(two, "[{\"name\":\"kind\",\"size\":3,\"names\":[\"c\",\"a\",\"b\"]},{\"name\":\"other\","
                               "\"task\":\"real\",\"size\":2}]", "two");
    float some[ROWS * 5];
    check_ok(rt_predictor_set_heads(p, two, count, "two", RT_MATCH_NAMES));
    assert_int_equal(rt_predictor_width(p), 5);
    rt_predict(p, &(rt_feed){.raw = x, .rows = ROWS}, some);
    for (int r = 0; r < ROWS; r++) {
        static const int from[3] = {3, 1, 2};
        for (int c = 0; c < 3; c++) assert_true(some[5 * r + c] == both[6 * r + from[c]]);
        assert_true(some[5 * r + 3] == 0 && some[5 * r + 4] == 0);
    }
    rt_heads_free(two, count);
    rt_predictor_free(p);
    rt_device_close(device);
    rt_model_free(m[0]);
    rt_model_free(m[1]);
}

/* A list of heads for messages says when it names not all. */
static void heads_in_messages(void **state)
{
    (void)state;
    char text[RT_NAMES_TEXT], name[RT_HEAD_NAME + 1];
    rt_head head[RT_MAX_HEADS];
    int n = 0;
    check_ok(rt_heads_add(head, &n, "kind", RT_TASK_CLASSES, 10));
    check_ok(rt_heads_add(head, &n, "age", RT_TASK_REAL, 1));
    assert_string_equal(rt_heads_text(head, n, text), "kind (classes, 10), age (real, 1)");
    while (n < RT_MAX_HEADS) {
        memset(name, 'a' + n, RT_HEAD_NAME);
        name[RT_HEAD_NAME] = 0;
        check_ok(rt_heads_add(head, &n, name, RT_TASK_MULTILABEL, 100000));
    }
    rt_heads_text(head, n, text);
    assert_true(strlen(text) < RT_NAMES_TEXT);
    assert_string_equal(text + strlen(text) - 5, ", ...");
    rt_heads_free(head, n);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(heads_in_messages),
                                       cmocka_unit_test(classes_are_a_head),
                                       cmocka_unit_test(places),
                                       cmocka_unit_test(refused),
                                       cmocka_unit_test(matching),
                                       cmocka_unit_test(of_a_model),
                                       cmocka_unit_test(answers)};
    return cmocka_run_group_tests(tests, make_test_folder, remove_test_folder);
}
