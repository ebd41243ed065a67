/* Heads of a trained model are replaced: what stays has its values and answers, what is new is new, and what cannot be
 * is refused with the reason. */
#include "student/arch.h"
#include "student/predictor.h"
#include "student/replace_heads.h"
#include "tests/support.h"

static const char two_heads[] =
    "{\"input\": [6], \"layers\": ["
    "{\"op\": \"dense\", \"name\": \"t1\", \"out\": 5}, {\"op\": \"relu\", \"name\": \"trunk\"},"
    "{\"op\": \"dense\", \"name\": \"kind\", \"out\": 3, \"from\": \"trunk\"},"
    "{\"op\": \"softmax\", \"name\": \"soft\", \"from\": \"kind\"},"
    "{\"op\": \"dense\", \"name\": \"age\", \"out\": 1, \"from\": \"trunk\"}],"
    "\"heads\": [{\"name\": \"kind\", \"size\": 3, \"layer\": \"soft\"},"
    "{\"name\": \"age\", \"task\": \"real\", \"size\": 1}]}";

static rt_model *make(void)
{
    cJSON *j = cJSON_Parse(two_heads);
    rt_model *m;
    check_ok(rt_model_new(&m, j, 3));
    for (size_t i = 0; i < m->graph->floats[RT_PARAM]; i++) m->params[i] += 0.01f * (float)(i % 7);    /* trained */
    cJSON_Delete(j);
    return m;
}

static const float *field(const rt_model *m, const char *name)
{
    for (int i = 0; i < m->graph->fields; i++)
        if (!strcmp(m->graph->field[i].name, name)) return rt_model_field(m, i);
    return NULL;
}

static void answers(rt_model *m, const float *x, int rows, float *y)
{
    rt_device *device = rt_device_cpu(1);
    rt_predictor *p;
    check_ok(rt_predictor_new(&p, &m, 1, device, 0, NULL, 0));
    rt_predict(p, &(rt_feed){.raw = x, .rows = rows}, y);
    rt_predictor_free(p);
    rt_device_close(device);
}

static rt_status replace(rt_model **m, const char *text)
{
    cJSON *list = cJSON_Parse(text);
    assert_non_null(list);
    rt_status st = rt_model_replace_heads(m, list, 9, "heads");
    cJSON_Delete(list);
    return st;
}

static void others_stay(void **state)
{
    enum { ROWS = 4 };
    float x[ROWS * 6], before[ROWS * 4], after[ROWS * 6];
    (void)state;
    for (int i = 0; i < ROWS * 6; i++) x[i] = 0.1f * (float)(i * 7 % 11) - 0.4f;
    rt_model *m = make(), *was = make();
    answers(m, x, ROWS, before);
    check_ok(replace(&m, "[{\"replace\": \"age\", \"name\": \"group\", \"task\": \"classes\", "
                         "\"names\": [\"a\", \"b\", "
                         "\"c\"]}]"));
    assert_int_equal(m->heads, 2);
    assert_string_equal(m->head[1].name, "group");
    assert_int_equal(m->head[1].task, RT_TASK_CLASSES);
    assert_int_equal(m->head[1].size, 3);
    assert_string_equal(m->head[1].names.name[2], "c");
    assert_int_equal(m->head[0].size, 3);
    answers(m, x, ROWS, after);
    for (int r = 0; r < ROWS; r++) assert_memory_equal(after + r * 6, before + r * 4, 3 * sizeof(float));
    assert_memory_equal(field(m, "t1.weight"), field(was, "t1.weight"), 30 * sizeof(float));
    assert_memory_equal(field(m, "kind.weight"), field(was, "kind.weight"), 15 * sizeof(float));
    assert_null(field(m, "age.weight"));
    float sum = 0;
    for (int i = 0; i < 15; i++) sum += fabsf(field(m, "age_new.weight")[i]);
    assert_true(sum > 0.5f);                               /* first values, not zeros */
    rt_model_free(m);
    rt_model_free(was);
}

static void from_a_layer(void **state)
{
    (void)state;
    rt_model *m = make();
    check_ok(replace(&m, "[{\"replace\": \"kind\", \"size\": 7, \"from\": \"trunk\"}]"));
    assert_string_equal(m->head[0].name, "kind");
    assert_int_equal(m->head[0].size, 7);
    assert_null(field(m, "kind.weight"));                  /* nothing depends on it any more, */
    assert_int_equal(rt_arch_find(m->graph, "soft"), -1);
    assert_non_null(field(m, "age.weight"));               /* on this something does */
    rt_model_free(m);
}

static void refused(void **state)
{
    static const struct { const char *list, *says; } cases[] = {
        {"[{\"replace\": \"kid\", \"size\": 3}]", "no such head"},
        {"[{\"replace\": \"kind\", \"size\": 3}]", "name the layer whose output the new head is to read"},
        {"[{\"replace\": \"kind\", \"size\": 3, \"from\": \"trunks\"}]", "no layer named 'trunks'"},
        {"[{\"replace\": \"age\", \"size\": 0}]", "size"},
        {"[{\"replace\": \"age\", \"sise\": 2}]", "sise"},
        {"[]", "a list of"},
        {"[{\"size\": 2}]", "replace"}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        rt_model *m = make();
        rt_digest before = rt_model_digest(m);
        assert_int_equal(replace(&m, cases[i].list), RT_USAGE);
        if (!strstr(rt_error_message(), cases[i].says)) fail_msg("%s: %s", cases[i].list, rt_error_message());
        assert_string_equal(rt_model_digest(m).hex, before.hex);
        rt_model_free(m);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(others_stay), cmocka_unit_test(from_a_layer),
                                       cmocka_unit_test(refused)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
