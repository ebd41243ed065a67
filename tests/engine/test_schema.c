/* The tables of operators' attributes: defaults in range, each range kept for callers who set attributes themselves,
 * the text of what differs from the defaults; and windows settled to the numbers of other frameworks. */
#include "data/json.h"
#include "engine/graph.h"
#include "engine/window.h"
#include "tests/support.h"

typedef struct { _Alignas(8) unsigned char byte[RT_ATTR_BYTES]; } attributes;

/* Attributes with which the kind can be used: the defaults, and the least where a value is required. */
static attributes usable(const rt_schema *schema)
{
    attributes a = {{0}};
    rt_schema_defaults(schema, &a);
    for (int i = 0; i < schema->count; i++) {
        const rt_attr_spec *s = &schema->spec[i];
        int *at = (int *)(void *)(a.byte + s->at);
        if (s->required <= 0) continue;
        at[0] = 1;
        if (s->kind == RT_A_PAIR || s->kind == RT_A_SHAPE || s->kind == RT_A_INTS) at[1] = 1;
    }
    return a;
}

static void defaults_and_ranges(void **state)
{
    (void)state;
    int tables = 0, numbers = 0;
    for (int k = 0; k < RT_LAYER_KINDS; k++) {
        rt_layer_kind kind = rt_layer_kind_at(k);
        assert_true(kind.name && kind.help && *kind.help);
        for (int i = 0; i < k; i++) assert_string_not_equal(kind.name, rt_layer_kind_at(i).name);
        if (!kind.schema) continue;
        tables++;
        assert_true(kind.schema->size <= RT_ATTR_BYTES);
        attributes good = usable(kind.schema);
        check_ok(rt_schema_check(kind.schema, &good));
        for (int i = 0; i < kind.schema->count; i++) {
            const rt_attr_spec *s = &kind.schema->spec[i];
            attributes bad = good, edge = good;
            void *at = bad.byte + s->at, *on = edge.byte + s->at;
            for (int q = 0; s->kind == RT_A_CHOICE && q <= (int)s->high + 1; q++)
                assert_int_equal(s->names[q] != NULL, q <= (int)s->high);
            assert_true(s->at < kind.schema->size && *s->help && s->low <= s->high);
            switch (s->kind) {
            case RT_A_NUMBER: *(float *)at = (float)s->high * 1.001f; *(float *)on = (float)s->high; break;
            case RT_A_PAIR: ((int *)at)[1] = (int)s->high + 1; ((int *)on)[1] = (int)s->high; break;
            case RT_A_PADDING:
                *(rt_padding *)at = (rt_padding){{0, 0, 0, (int)s->high + 1}, 4};
                *(rt_padding *)on = (rt_padding){{0, 0, 0, (int)s->high}, 4};
                break;
            case RT_A_INTS:
                *(rt_ints *)at = (rt_ints){RT_MAX_RANK + 1, {0}};
                *(rt_ints *)on = (rt_ints){2, {(int)s->low, (int)s->high}};
                break;
            case RT_A_SHAPE: ((rt_shape *)at)->rank = RT_MAX_RANK + 1; break;
            default: *(int *)at = (int)s->high + 1; *(int *)on = (int)s->high; break;
            }
            check_fails(rt_schema_check(kind.schema, &bad), RT_USAGE, s->name);
            check_ok(rt_schema_check(kind.schema, &edge));
            numbers++;
        }
    }
    assert_true(tables >= 9 && numbers >= 20);
}

static void texts(void **state)
{
    (void)state;
    typedef struct { const char *op, *json, *text; } text_case;
    static const text_case cases[] = {
        {"conv2d", "{\"out\": 16, \"kernel\": 3, \"padding\": 1}", "out 16 kernel 3x3 padding 1"},
        {"conv2d", "{\"out\": 7, \"kernel\": [1, 5], \"stride\": [2, 1], \"padding\": [0, 2], \"bias\": false}",
         "out 7 kernel 1x5 stride 2x1 padding 0,2 no bias"},
        {"conv1d", "{\"out\": 8, \"kernel\": 4, \"padding\": \"same\", \"groups\": 2}",
         "out 8 kernel 4x4 padding same groups 2"},
        {"max_pool", "{\"kernel\": 2}", "kernel 2x2"},
        {"dense", "{\"out\": 10}", "out 10"},
        {"dropout", "{\"rate\": 0.25}", "rate 0.25"},
        {"dropout", "{}", ""},
        {"batch_norm", "{\"eps\": 0.001}", "eps 0.001"},
        {"leaky_relu", "{\"slope\": 0.2}", "slope 0.2"},
        {"reshape", "{\"shape\": [2, 3, 4]}", "shape (2, 3, 4)"},
        {"slice", "{\"start\": [0, -3], \"end\": [9, 4], \"step\": [2, 1]}", "start 0,-3 end 9,4 step 2,1"},
        {"permute", "{\"axes\": [2, 0, 1]}", "axes 2,0,1"},
        {"add", "{\"operand\": [3, 1], \"learned\": true}", "operand (3, 1) learned"},
        {"pow", "{\"exponent\": 0.5}", "exponent 0.5"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        cJSON *j = cJSON_Parse(cases[i].json);
        rt_cfg c = rt_cfg_begin(j, "layer");
        int k = 0;
        while (strcmp(rt_layer_kind_at(k).name, cases[i].op)) k++;
        const rt_schema *schema = rt_layer_kind_at(k).schema;
        attributes a;
        char text[200];
        rt_cfg_read(&c, schema, &a);
        check_ok(rt_cfg_end(&c));
        check_ok(rt_schema_check(schema, &a));
        assert_string_equal(rt_schema_text(schema, &a, text, sizeof text), cases[i].text);
        rt_schema_text(schema, &a, text, 8);                      /* what does not fit is cut */
        assert_int_equal(strlen(text), strlen(cases[i].text) < 7 ? strlen(cases[i].text) : 7);
        cJSON_Delete(j);
    }
}

/* The effective configuration has every number and truth value; lists only where they were given. */
static void what_is_left_behind(void **state)
{
    (void)state;
    cJSON *j = cJSON_Parse("{\"kernel\": 3, \"out\": 4}");
    rt_cfg c = rt_cfg_begin(j, "layer");
    attributes a;
    rt_cfg_read(&c, rt_ops[RT_OP_CONV2D]->schema, &a);
    check_ok(rt_cfg_end(&c));
    char *text = cJSON_PrintUnformatted(j);
    assert_string_equal(text, "{\"kernel\":3,\"out\":4,\"groups\":1,\"bias\":true}");
    free(text);
    cJSON_Delete(j);
    j = cJSON_Parse("{\"kernel\": 3}");
    c = rt_cfg_begin(j, "layer");
    rt_cfg_read(&c, rt_ops[RT_OP_CONV2D]->schema, &a);
    check_fails(c.status, RT_USAGE, "layer.out: a value is required here: output channels");
    cJSON_Delete(j);
}

static void check_window(rt_window w, rt_shape in, const int want[8], int oh, int ow)
{
    int h, width;
    check_ok(rt_window_settle(&w, &in));
    const int got[8] = {w.kernel[0],   w.kernel[1],   w.stride[0],   w.stride[1],
                        w.pad.side[0], w.pad.side[1], w.pad.side[2], w.pad.side[3]};
    for (int i = 0; i < 8; i++) assert_int_equal(got[i], want[i]);
    check_ok(rt_window_out(&w, &in, &h, &width));
    assert_int_equal(h, oh);
    assert_int_equal(width, ow);
    rt_window again = w;
    check_ok(rt_window_settle(&again, &in));
    assert_memory_equal(&again, &w, sizeof w);                   /* what is settled stays */
}

static void windows(void **state)
{
    (void)state;
    rt_shape image = {3, {10, 7, 3}}, line = {2, {11, 4}};
    /* TensorFlow's "SAME" and ONNX's SAME_UPPER: 10 by 4 in steps of 3 takes 3 pixels more, 1 before and 2 behind */
    check_window((rt_window){{4, 4}, {3, 3}, {{0}, RT_PAD_SAME}}, image, (int[8]){4, 4, 3, 3, 1, 2, 1, 2}, 4, 3);
    check_window((rt_window){{3, 2}, {1, 1}, {{1}, 1}}, image, (int[8]){3, 2, 1, 1, 1, 1, 1, 1}, 10, 8);
    check_window((rt_window){{3, 3}, {2, 1}, {{1, 0}, 2}}, image, (int[8]){3, 3, 2, 1, 1, 1, 0, 0}, 5, 5);
    check_window((rt_window){{2, 3}, {0, 0}, {{0}, 0}}, image, (int[8]){2, 3, 2, 3, 0, 0, 0, 0}, 5, 2);
    check_window((rt_window){{5, 5}, {2, 2}, {{2}, 1}}, line, (int[8]){1, 5, 1, 2, 0, 0, 2, 2}, 1, 6);
    check_window((rt_window){{4, 4}, {1, 1}, {{1, 2}, 2}}, line, (int[8]){1, 4, 1, 1, 0, 0, 1, 2}, 1, 11);
    check_window((rt_window){{4, 4}, {1, 1}, {{0}, RT_PAD_SAME}}, line, (int[8]){1, 4, 1, 1, 0, 0, 1, 2}, 1, 11);
    rt_window w = {{3, 3}, {1, 1}, {{1, 1, 1, 1}, 4}};
    check_fails(rt_window_settle(&w, &line), RT_USAGE, "[0, 0, before, behind]");
    w = (rt_window){{12, 3}, {1, 1}, {{0}, 0}};
    int oh, ow;
    check_ok(rt_window_settle(&w, &image));
    check_fails(rt_window_out(&w, &image, &oh, &ow), RT_USAGE,
                "kernel 12x3 is larger than the padded input (10, 7, 3)");
}

/* A layer of a graph is checked where it is added, whoever adds it. */
static void graphs_check(void **state)
{
    (void)state;
    rt_graph *g = rt_graph_new();
    int t;
    check_ok(rt_graph_add(g, RT_OP_INPUT, "x", NULL, 0, &(rt_shape_attr){.shape = {1, {4}}}, NULL, &t));
    check_fails(rt_graph_add(g, RT_OP_DENSE, "d", &t, 1, &(rt_dense_attr){.out = 0}, NULL, &t), RT_USAGE, "'out' is 0");
    check_fails(rt_graph_add(g, RT_OP_DENSE, "d", &t, 1, NULL, NULL, &t), RT_USAGE, "layer 'd' (dense): 'out' is 0");
    check_fails(rt_graph_add(g, RT_OP_DROPOUT, "p", &t, 1, &(rt_dropout_attr){1.5f}, NULL, &t), RT_USAGE,
                "'rate' is 1.5");
    check_ok(rt_graph_add(g, RT_OP_DROPOUT, "p", &t, 1, NULL, NULL, &t));
    check_close("rate", RT_ATTR(&g->node[1], rt_dropout_attr)->rate, 0.5, 0, 0);
    rt_graph_free(g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(defaults_and_ranges), cmocka_unit_test(texts),
                                       cmocka_unit_test(what_is_left_behind), cmocka_unit_test(windows),
                                       cmocka_unit_test(graphs_check)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
