/* Models of operators with fields of their own: constants and operands are in the file, under the digest, and come
 * back; what does not fit is refused before memory is taken, with the reason; what has no integer form is named. */
#include <unistd.h>

#include "engine/plan.h"
#include "student/model.h"
#include "student/program.h"
#include "tests/support.h"

static const char many[] =
    "{\"input\":[6,5],\"classes\":4,\"layers\":["
    "{\"op\":\"gather\",\"axis\":0,\"shape\":[3],\"name\":\"picked\"},{\"op\":\"dense\",\"out\":4},"
    "{\"op\":\"multiply\",\"operand\":[4],\"learned\":true,\"name\":\"scaled\"},"
    "{\"op\":\"subtract\",\"operand\":[3,1],\"reverse\":true,\"name\":\"shifted\"},{\"op\":\"gelu_erf\"},"
    "{\"op\":\"constant\",\"shape\":[1,4],\"name\":\"rows\"},{\"op\":\"add\",\"from\":[\"gelu_erf5\",\"rows\"]},"
    "{\"op\":\"permute\",\"axes\":[1,0]},{\"op\":\"clip\",\"low\":-2,\"high\":2.5},"
    "{\"op\":\"pad\",\"before\":[0,1],\"behind\":[0,2],\"mode\":\"reflect\"},"
    "{\"op\":\"slice\",\"start\":[0,1],\"end\":[4,5],\"step\":[1,2]},{\"op\":\"softmax\",\"axis\":0},"
    "{\"op\":\"reduce_log_sum_exp\",\"axes\":[1]}]}";

static rt_model *model_of(const char *text)
{
    cJSON *j;
    rt_model *m;
    check_ok(rt_json_parse(&j, text, strlen(text), "test"));
    if (rt_model_new(&m, j, 5)) fail_msg("%s: %s", text, rt_error_message());
    cJSON_Delete(j);
    return m;
}

static int field_of(const rt_model *m, const char *name)
{
    for (int i = 0; i < m->graph->fields; i++) if (!strcmp(m->graph->field[i].name, name)) return i;
    fail_msg("no field %s", name);
    return -1;
}

static void answers(rt_model *m, float y[4 * 3])
{
    rt_pool *pool = rt_pool_new(1);
    rt_plan *p;
    check_ok(rt_plan_new(&p, &(rt_plan_spec){.graph = m->graph, .batch = 3}, pool));
    float *x = random_floats(90, 3);
    rt_run run = {.rows = 3, .x = {x}, .params = m->params, .states = m->states};
    assert_non_null(p);
    rt_plan_prepare(p, &run);
    rt_plan_run(p, &run);
    memcpy(y, rt_plan_output(p, 0), 12 * sizeof *y);
    rt_plan_free(p);
    rt_pool_free(pool);
    free(x);
}

static void round_trip(void **state)
{
    (void)state;
    char path[128];
    static const float places[] = {-1, 2, 0};
    float first[12], again[12];
    rt_model *m = model_of(many), *n;
    memcpy(rt_model_field(m, field_of(m, "picked.indices")), places, sizeof places);
    rt_digest zeros = rt_model_digest(m);
    rt_model_field(m, field_of(m, "shifted.operand"))[2] = 1.5f;
    rt_model_field(m, field_of(m, "rows.value"))[3] = -0.75f;
    assert_string_not_equal(zeros.hex, rt_model_digest(m).hex);
    assert_int_equal(m->graph->field[field_of(m, "scaled.operand")].home, RT_PARAM);
    check_close("a learned factor begins", rt_model_field(m, field_of(m, "scaled.operand"))[1], 1, 0, 0);
    snprintf(path, sizeof path, "%s/m.h5", test_folder);
    check_ok(rt_model_save(m, path));
    check_ok(rt_model_load(&n, path));
    assert_string_equal(rt_model_digest(m).hex, rt_model_digest(n).hex);
    for (int i = 0; i < m->graph->fields; i++)
        assert_memory_equal(rt_model_field(m, i), rt_model_field(n, i), m->graph->field[i].count * sizeof(float));
    answers(m, first);
    answers(n, again);
    assert_memory_equal(first, again, sizeof first);
    for (int i = 0; i < 12; i++) assert_true(isfinite(first[i]));
    rt_model_field(n, field_of(n, "picked.indices"))[0] = 6; /* beyond the six: NaN, never another's memory */
    answers(n, again);
    int lost = 0;
    for (int i = 0; i < 12; i++) lost += isnan(again[i]);
    assert_true(lost > 0);
    rt_model_free(m);
    rt_model_free(n);
}

/* Attributes that are younger than their layers leave what was written before as it was. */
static void old_digests(void **state)
{
    (void)state;
    rt_model *m = model_of(
        "{\"input\":[4,6],\"classes\":3,\"layers\":[{\"op\":\"dense\",\"out\":6,\"name\":\"a\"},"
        "{\"op\":\"add\",\"from\":[\"a\",\"input\"]},{\"op\":\"multiply\",\"from\":[\"a\",\"add2\"]},"
        "{\"op\":\"concat\",\"from\":[\"a\",\"add2\"]},{\"op\":\"softmax\"},{\"op\":\"max_pool\","
        "\"kernel\":2},{\"op\":\"layer_norm\"},{\"op\":\"flatten\"},{\"op\":\"dense\",\"out\":3}]}");
    char *text = cJSON_PrintUnformatted(m->arch);
    static const char *const young[] = {"learned", "reverse", "operand", "axis", "ceil", "dilation", "dims"};
    for (size_t i = 0; i < sizeof young / sizeof young[0]; i++)
        if (strstr(text, young[i])) fail_msg("'%s' was written into %s", young[i], text);
    free(text);
    rt_model_free(m);
}

#define LAYERS(input, layers) "{\"input\":" input ",\"layers\":[" layers "]}"
static void refusals(void **state)
{
    (void)state;
    static const struct { const char *layers, *part; } cases[] = {
        {"{\"op\":\"add\"}", "takes two inputs, or one and the shape of an 'operand'"},
        {"{\"op\":\"add\",\"operand\":[4]}", "shapes (2, 3, 5) and (4), which do not broadcast"},
        {"{\"op\":\"add\",\"from\":[\"input\",\"input\"],\"learned\":true}", "of two there is no 'operand'"},
        {"{\"op\":\"add\",\"operand\":[0]}", "operand"},
        {"{\"op\":\"multiply\",\"operand\":[16777216,16777216,16777216,2,3,5]}", "too large"},
        {"{\"op\":\"divide\",\"operand\":[4000,4000,1000,1,1,1]}", "too large"},
        {"{\"op\":\"where\",\"from\":[\"input\",\"input\"]}", "2 inputs given, 3 to 3 expected"},
        {"{\"op\":\"constant\",\"shape\":[16777216,16777216]}", "too large"},
        {"{\"op\":\"constant\",\"shape\":[3],\"from\":\"input\"}", "1 inputs given, 0 to 0 expected"},
        {"{\"op\":\"pow\"}", "exponent: a value is required"},
        {"{\"op\":\"celu\",\"alpha\":0}", "alpha"},
        {"{\"op\":\"permute\",\"axes\":[0,1]}", "'axes' has 2 numbers, and the input 3 dimensions"},
        {"{\"op\":\"permute\",\"axes\":[0,1,1]}", "each number from 0 to 2 once"},
        {"{\"op\":\"permute\",\"axes\":[0,1,3]}", "each number from 0 to 2 once"},
        {"{\"op\":\"slice\"}", "needs 'start', 'end' or 'step'"},
        {"{\"op\":\"slice\",\"step\":[1,0,1]}", "'step' must not be 0"},
        {"{\"op\":\"slice\",\"start\":[0,3,0]}", "nothing is left of dimension 1, which has 3"},
        {"{\"op\":\"slice\",\"start\":[0,1,2,3]}", "'start' has 4 numbers"},
        {"{\"op\":\"slice\",\"start\":[1,2,3,4,5,6,7]}", "start"},
        {"{\"op\":\"pad\"}", "needs 'before' or 'behind'"},
        {"{\"op\":\"pad\",\"before\":[0,-3,0]}", "dimension 1 would have 0 values"},
        {"{\"op\":\"pad\",\"before\":[16777216,16777216,0]}", "too large"},
        {"{\"op\":\"pad\",\"before\":[1,1,1],\"mode\":\"mirror\"}", "mode"},
        {"{\"op\":\"gather\",\"axis\":3,\"shape\":[2]}", "'axis' is 3, and the input has 3 dimensions"},
        {"{\"op\":\"gather\",\"axis\":0,\"shape\":[2,2,2,2,2]}", "would have 7 dimensions"},
        {"{\"op\":\"gather\",\"axis\":0,\"shape\":[16777216,1000]}", "too large"},
        {"{\"op\":\"expand\",\"shape\":[4,5]}", "do not broadcast"},
        {"{\"op\":\"expand\",\"shape\":[16777216,16777216,16777216,2,3,5]}", "too large"},
        {"{\"op\":\"tile\",\"repeats\":[2]}", "'repeats' has 1 numbers"},
        {"{\"op\":\"tile\",\"repeats\":[16777216,16777216,16777216]}", "too large"},
        {"{\"op\":\"tile\",\"repeats\":[0,1,1]}", "repeats"},
        {"{\"op\":\"concat\",\"axis\":3,\"from\":[\"input\",\"input\"]}", "'axis' is 3"},
        {"{\"op\":\"concat\",\"axis\":-4,\"from\":[\"input\",\"input\"]}", "'axis' is -4"},
        {"{\"op\":\"slice\",\"end\":[2,2,2],\"name\":\"s\"},{\"op\":\"concat\",\"axis\":1,\"from\":[\"input\",\"s\"]}",
         "more than its dimension of the axis"},
        {"{\"op\":\"reduce_sum\",\"axes\":[3]}", "'axes' has 3, and the input has 3 dimensions"},
        {"{\"op\":\"reduce_sum\",\"axes\":[-4]}", "'axes' has -4"},
        {"{\"op\":\"reduce_max\",\"axes\":[1,-2]}", "names dimension 1 twice"},
        {"{\"op\":\"softmax\",\"axis\":5}", "'axis' is 5"},
        {"{\"op\":\"log_softmax\",\"axis\":-6}", "'axis' is -6"},
        {"{\"op\":\"clip\",\"lo\":1}", "did you mean"},
        {"{\"op\":\"softplu\"}", "did you mean 'softplus'"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[600];
        cJSON *j;
        rt_model *m = NULL;
        snprintf(text, sizeof text, LAYERS("[2,3,5]", "%s,{\"op\":\"flatten\"},{\"op\":\"dense\",\"out\":3}"),
                 cases[i].layers);
        check_ok(rt_json_parse(&j, text, strlen(text), "test"));
        rt_status st = rt_model_new(&m, j, 1);
        if (st != RT_USAGE || !strstr(rt_error_message(), cases[i].part))
            fail_msg("%s: status %d, '%s' does not say '%s'", cases[i].layers, st, rt_error_message(), cases[i].part);
        cJSON_Delete(j);
    }
}

/* The integer forms are those of inputs of one shape and of the last dimension; all else is refused by name. */
static void no_integers(void **state)
{
    (void)state;
    static const struct { const char *layer, *name;
    } cases[] = {
        {"{\"op\":\"exp\",\"name\":\"l\"}", "layer 'l' (exp) has no integer form"},
        {"{\"op\":\"add\",\"operand\":[5],\"name\":\"l\"}", "layer 'l' (add) has no integer form"},
        {"{\"op\":\"multiply\",\"operand\":[1],\"name\":\"l\"}", "layer 'l' (multiply) has no integer form"},
        {"{\"op\":\"maximum\",\"operand\":[1],\"name\":\"l\"}", "layer 'l' (maximum) has no integer form"},
        {"{\"op\":\"concat\",\"axis\":0,\"from\":[\"a\",\"a\"],\"name\":\"l\"}",
         "layer 'l' (concat) has no integer form"},
        {"{\"op\":\"permute\",\"axes\":[1,0],\"name\":\"l\"}", "layer 'l' (permute) has no integer form"},
        {"{\"op\":\"reduce_mean\",\"axes\":[0],\"name\":\"l\"}", "layer 'l' (reduce_mean) has no integer form"},
        {"{\"op\":\"gelu_erf\",\"name\":\"l\"}", NULL},
        {"{\"op\":\"add\",\"from\":[\"a\",\"a\"],\"name\":\"l\"}", NULL},
        {"{\"op\":\"concat\",\"axis\":1,\"from\":[\"a\",\"a\"],\"name\":\"l\"}", NULL}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[400], range[32];
        snprintf(text, sizeof text, LAYERS("[4,5]", "{\"op\":\"dense\",\"out\":5,\"name\":\"a\"},%s,"
                 "{\"op\":\"flatten\"},{\"op\":\"dense\",\"out\":3}"), cases[i].layer);
        rt_model *m = model_of(text);
        if (cases[i].name) check_fails(rt_program_needs(m, 0, range), RT_USAGE, cases[i].name);
        else check_ok(rt_program_needs(m, 0, range));
        rt_model_free(m);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(round_trip), cmocka_unit_test(old_digests),
                                       cmocka_unit_test(refusals), cmocka_unit_test(no_integers)};
    return cmocka_run_group_tests(tests, make_test_folder, remove_test_folder);
}
