/* Gradients of operators of one and two numbers, of moves and of reductions, see gradients.h. */
#include "tests/engine/gradients.h"

static const struct { const char *before, *layer;
} functions[] = {{"", "\"exp\""},
                 {"softplus", "\"log\""},
                 {"softplus", "\"sqrt\""},
                 {"softplus", "\"reciprocal\""},
                 {"", "\"abs\""},
                 {"", "\"neg\""},
                 {"", "\"erf\""},
                 {"", "\"elu\",\"alpha\":0.7"},
                 {"", "\"selu\""},
                 {"", "\"celu\",\"alpha\":1.6"},
                 {"", "\"softplus\""},
                 {"", "\"softsign\""},
                 {"", "\"hard_sigmoid\",\"alpha\":0.4,\"beta\":0.3"},
                 {"", "\"mish\""},
                 {"", "\"thresholded_relu\",\"alpha\":0.3"},
                 {"", "\"shrink\",\"lambd\":0.2,\"bias\":0.1"},
                 {"", "\"clip\",\"low\":-0.4,\"high\":0.9"},
                 {"", "\"pow\",\"exponent\":2"},
                 {"", "\"pow\",\"exponent\":3"},
                 {"softplus", "\"pow\",\"exponent\":0.5"},
                 {"softplus", "\"pow\",\"exponent\":-1"},
                 {"softplus", "\"pow\",\"exponent\":-1.7"},
                 {"", "\"sin\""},
                 {"", "\"cos\""},
                 {"softsign", "\"tan\""},
                 {"softsign", "\"asin\""},
                 {"softsign", "\"acos\""},
                 {"", "\"atan\""},
                 {"", "\"sinh\""},
                 {"", "\"cosh\""},
                 {"", "\"asinh\""},
                 {"exp", "\"asinh\""},
                 {"softsign", "\"atanh\""},
                 {"", "\"floor\""},
                 {"", "\"ceil\""},
                 {"", "\"round\""},
                 {"", "\"sign\""},
                 {"", "\"not\""},
                 {"", "\"is_nan\""},
                 {"", "\"is_inf\""},
                 {"softplus\"},{\"op\":\"exp", "\"acosh\""}};
enum { FUNCTIONS = sizeof functions / sizeof functions[0] };

static void one_number(void **state)
{
    (void)state;
    static char text[FUNCTIONS][400];
    const char *a[FUNCTIONS + 2] = {NET("[3,5]", "3", "{\"op\":\"dense\",\"out\":17},{\"op\":\"gelu_erf\"}" HEAD)};
    int used[RT_UNARY_COUNT] = {0};
    for (int i = 0; i < FUNCTIONS; i++) {
        const char *before = *functions[i].before ? functions[i].before : "flatten";
        snprintf(text[i], sizeof text[i], "{\"input\":[13],\"classes\":3,\"layers\":[{\"op\":\"dense\",\"out\":23},"
                 "{\"op\":\"%s\"},{\"op\":%s,\"name\":\"f\"},{\"op\":\"dense\",\"out\":3,\"name\":\"d\"},"
                 "{\"op\":\"dense\",\"out\":3,\"from\":\"f\",\"name\":\"e\"},{\"op\":\"add\",\"from\":[\"d\",\"e\"]}]}",
                 before, functions[i].layer);
        a[1 + i] = text[i];
        for (int k = 0; k < RT_LAYER_KINDS; k++) {
            rt_layer_kind kind = rt_layer_kind_at(k);
            size_t length = strlen(kind.name);
            used[kind.unary] |= !strncmp(functions[i].layer + 1, kind.name, length) &&
                                functions[i].layer[1 + length] == '"';
        }
    }
    for (int u = RT_UNARY_NONE + 1; u < RT_UNARY_COUNT; u++) assert_true(used[u]);
    each_family(a);
}

/* Two inputs: a (5,3,4) and b of another shape, which broadcast either way; then summed over into the answer. */
#define PAIR(op, before, shape) \
    "{\"inputs\":[{\"name\":\"u\",\"shape\":[5,3,4]},{\"name\":\"v\",\"shape\":" shape "}],\"classes\":3,\"layers\":[" \
    "{\"op\":\"dense\",\"out\":4,\"from\":\"u\"}," before "{\"op\":\"flatten\",\"name\":\"fa\"}," \
    "{\"op\":\"reshape\",\"shape\":[5,3,4],\"name\":\"a\"}," \
    "{\"op\":\"position\",\"learned\":true,\"from\":\"v\"}," before "{\"op\":\"flatten\",\"name\":\"fb\"}," \
    "{\"op\":\"reshape\",\"shape\":" shape ",\"name\":\"b\"}," \
    "{\"op\":\"" op "\",\"from\":[\"a\",\"b\"],\"name\":\"c\"},{\"op\":\"" op \
    "\",\"from\":[\"b\",\"c\"],\"name\":\"d\"}," \
    "{\"op\":\"tanh\"},{\"op\":\"add\",\"from\":[\"tanh%\",\"a\"]},{\"op\":\"flatten\"},{\"op\":\"dense\",\"out\":3}]}"

/* JSON text with the name of each layer that has none: NAME% stands for NAME and its number. */
static char *numbered(const char *text)
{
    char *out = malloc(2 * strlen(text) + 100), *at = out;
    int layers = 0;
    const char *list = strstr(text, "\"layers\"");
    for (const char *c = text; *c; c++) {
        if (c > list && !strncmp(c, "{\"op\"", 5)) layers++;
        if (*c == '%') at += sprintf(at, "%d", layers - 1);
        else *at++ = *c;
    }
    *at = 0;
    return out;
}

static void each_numbered(const char *const *a)
{
    const char *list[64] = {0};
    int n = 0;
    for (; a[n]; n++) list[n] = numbered(a[n]);
    each_family(list);
    for (int i = 0; i < n; i++) free((void *)(uintptr_t)list[i]);
}

#define PLUS "{\"op\":\"softplus\"},"
static void two_inputs(void **state)
{
    (void)state;
    static const char *const a[] = {
        PAIR("add", "", "[3,1]"), PAIR("add", "", "[1,3,4]"), PAIR("add", "", "[5,1,4]"), PAIR("add", "", "[1,1]"),
        PAIR("subtract", "", "[3,4]"), PAIR("subtract", "", "[5,1,1]"), PAIR("subtract", "", "[5,3,4]"),
        PAIR("multiply", "", "[1,4]"), PAIR("multiply", "", "[5,3,1]"), PAIR("multiply", "", "[3,4]"),
        PAIR("divide", PLUS, "[3,1]"), PAIR("divide", PLUS, "[5,3,4]"), PAIR("minimum", "", "[5,1,1]"),
        PAIR("maximum", "", "[1,3,1]"), PAIR("minimum", "", "[5,3,4]"), PAIR("power", PLUS, "[3,1]"),
        PAIR("power", PLUS, "[5,3,4]"), PAIR("prelu", "", "[3,4]"), PAIR("prelu", "", "[1,1]"),
        PAIR("less", "", "[3,4]"), PAIR("greater_or_equal", "", "[5,1,1]"),
        PAIR("equal", "", "[5,3,4]"), PAIR("xor", "", "[3,1]"), NULL};
    each_numbered(a);
}

/* An operand of the layer's own, constant or trained, on either side; positions of rows, and lines long and short. */
#define OPERAND(op, before, shape, more) \
    NET("[7,19]", "3", "{\"op\":\"dense\",\"out\":19}," before "{\"op\":\"" op "\",\"operand\":" shape more "}," \
        "{\"op\":\"tanh\"},{\"op\":\"flatten\"},{\"op\":\"dense\",\"out\":3}")
#define LEARNED ",\"learned\":true"
#define REVERSE ",\"reverse\":true"
static void operands(void **state)
{
    (void)state;
    static const char *const a[] = {OPERAND("add", "", "[19]", LEARNED),
                                    OPERAND("add", "", "[19]", ""),
                                    OPERAND("add", "", "[7,1]", LEARNED),
                                    OPERAND("add", "", "[1]", LEARNED),
                                    OPERAND("multiply", "", "[19]", LEARNED),
                                    OPERAND("multiply", "", "[7,19]", LEARNED REVERSE),
                                    OPERAND("multiply", "", "[2,7,19]", LEARNED),
                                    OPERAND("multiply", "", "[3,1,1]", ""),
                                    OPERAND("subtract", "", "[19]", REVERSE LEARNED),
                                    OPERAND("subtract", "", "[1,19]", LEARNED),
                                    OPERAND("divide", PLUS, "[1]", REVERSE LEARNED),
                                    OPERAND("divide", "", "[1,19]", LEARNED),
                                    OPERAND("power", PLUS, "[19]", LEARNED),
                                    OPERAND("power", PLUS, "[1]", ""),
                                    OPERAND("prelu", "", "[19]", LEARNED),
                                    OPERAND("prelu", "", "[1]", LEARNED),
                                    OPERAND("maximum", "", "[1]", ""),
                                    OPERAND("minimum", "", "[7,1]", LEARNED),
                                    OPERAND("greater", "", "[1]", ""),
                                    OPERAND("modulo", "", "[1]", LEARNED),
                                    /* short lines, in blocks */
        NET("[701,2]", "3", "{\"op\":\"dense\",\"out\":3},{\"op\":\"softplus\"},"
            "{\"op\":\"divide\",\"operand\":[3]" LEARNED REVERSE "},"
            "{\"op\":\"prelu\",\"operand\":[701,1]" LEARNED "},{\"op\":\"tanh\"}" HEAD),
        NET("[5,4,3]", "3",
                                        "{\"op\":\"dense\",\"out\":3},{\"op\":\"multiply\",\"operand\":[3]" LEARNED "},"
                                        "{\"op\":\"add\",\"operand\":[4,1]" LEARNED
                                        "},{\"op\":\"subtract\",\"operand\":[5,4,3]" LEARNED "},"
                                        "{\"op\":\"tanh\"},{\"op\":\"divide\",\"operand\":[5,1,1]" LEARNED "}" HEAD),
                                    NULL};
    each_family(a);
}

#define CALL(op, name, from) NAMED(op, name, ",\"from\":" from)
#define FLAT ",{\"op\":\"flatten\"},{\"op\":\"dense\",\"out\":3}"
static void choices(void **state)
{
    (void)state;
    static const char *const a[] = {
        NET("[5,6]", "3", NAMED("dense", "a", ",\"out\":6") "," NAMED("dense", "b", ",\"out\":6,\"from\":\"input\"") ","
            CALL("less", "m", "[\"input\",\"a\"]") "," CALL("where", "w", "[\"m\",\"a\",\"b\"]") FLAT),
        NET("[5,6]", "3", NAMED("dense", "a", ",\"out\":6") "," NAMED("constant", "k", ",\"shape\":[1]" LEARNED) ","
            NAMED("constant", "q", ",\"shape\":[4,1,6]" LEARNED) "," CALL("greater", "m", "[\"a\",\"k\"]") ","
            CALL("where", "w", "[\"m\",\"q\",\"a\"]") "," CALL("where", "x", "[\"m\",\"k\",\"w\"]") FLAT),
        NET("[6]", "3", NAMED("dense", "a", ",\"out\":6") "," NAMED("constant", "k", ",\"shape\":[6]") ","
            CALL("multiply", "m", "[\"a\",\"k\"]") ",{\"op\":\"dense\",\"out\":3}"), NULL};
    each_family(a);
}

/* A layer between others, whose input is read by a second one, too. */
#define BETWEEN(shape, layer) \
    NET(shape, "3", NAMED("dense", "a", ",\"out\":4") "," NAMED("tanh", "t", "") "," layer ",{\"op\":\"tanh\"}," \
        "{\"op\":\"flatten\"}," NAMED("dense", "d", ",\"out\":3") "," NAMED("flatten", "e", ",\"from\":\"t\"") "," \
        NAMED("dense", "g", ",\"out\":3") ",{\"op\":\"add\",\"from\":[\"d\",\"g\"]}")
#define OP(op, rest) "{\"op\":\"" op "\"" rest "}"
static void moves(void **state)
{
    (void)state;
    static const char *const a[] = {
        BETWEEN("[5,3,2]", OP("permute", ",\"axes\":[2,0,1]")),
        BETWEEN("[5,3,2]", OP("permute", ",\"axes\":[1,0,2]")),
        BETWEEN("[5,3,2]", OP("permute", ",\"axes\":[0,2,1]")),
        BETWEEN("[5,3,2]", OP("permute", ",\"axes\":[2,1,0]")),
        BETWEEN("[19,1,2]", OP("permute", ",\"axes\":[2,1,0]")),
        BETWEEN("[5,3,2]", OP("permute", ",\"axes\":[0,1,2]")),
        BETWEEN("[33,2]", OP("reshape", ",\"shape\":[2,3,11,2,1]") "," OP("permute", ",\"axes\":[3,1,4,0,2]")),
        BETWEEN("[5,3,2]", OP("slice", ",\"start\":[1,0,-3],\"end\":[99,-1,4]")),
        BETWEEN("[5,3,2]", OP("slice", ",\"start\":[4,2,3],\"end\":[-99,-99,0],\"step\":[-2,-1,-1]")),
        BETWEEN("[7,2]", OP("slice", ",\"step\":[3,2]")),
        BETWEEN("[7,2]", OP("slice", ",\"step\":[-1,1]")),
        BETWEEN("[7,2]", OP("slice", ",\"end\":[-2,9]")),
        BETWEEN("[7,2]", OP("slice", ",\"start\":[-9,3],\"end\":[4,4]")),
        BETWEEN("[3,4,2]", OP("pad", ",\"before\":[1,0,2],\"behind\":[0,3,1],\"value\":0.5")),
        BETWEEN("[3,4,2]", OP("pad", ",\"before\":[-1,1,0],\"behind\":[2,-2,-1]")),
        BETWEEN("[3,4,2]", OP("pad", ",\"before\":[2,0,3],\"behind\":[1,3,3],\"mode\":\"reflect\"")),
        BETWEEN("[3,4,2]", OP("pad", ",\"before\":[7,0,0],\"behind\":[9,0,5],\"mode\":\"reflect\"")),
        BETWEEN("[3,4,2]", OP("pad", ",\"before\":[2,-1,1],\"behind\":[0,5,-2],\"mode\":\"edge\"")),
        BETWEEN("[3,4,2]", OP("pad", ",\"before\":[4,1,0],\"behind\":[3,0,9],\"mode\":\"wrap\"")),
        BETWEEN("[3,4,2]", OP("pad", ",\"behind\":[-1,-1,-1]")),
        BETWEEN("[6,2]", OP("gather", ",\"axis\":0,\"shape\":[9]")),
        BETWEEN("[6,2]", OP("gather", ",\"axis\":-1,\"shape\":[3]")),
        BETWEEN("[5,6,2]", OP("gather", ",\"axis\":1,\"shape\":[2,3]")),
        BETWEEN("[6,2]", OP("gather", ",\"axis\":0,\"shape\":[1]")),
        BETWEEN("[3,1,2]", OP("expand", ",\"shape\":[5,1]")),
        BETWEEN("[3,2]", OP("expand", ",\"shape\":[2,1,1,1]")),
        BETWEEN("[2]", OP("reshape", ",\"shape\":[4,1]") "," OP("expand", ",\"shape\":[4,70]")),
        BETWEEN("[3,2,2]", OP("tile", ",\"repeats\":[2,1,3]")),
        BETWEEN("[3,2,2]", OP("tile", ",\"repeats\":[1,4,1]")),
        BETWEEN("[3,2]", OP("tile", ",\"repeats\":[1,1]")), BETWEEN("[3,2]", OP("tile", ",\"repeats\":[1,5]")),
        BETWEEN("[35,2]", OP("permute", ",\"axes\":[1,0]")), BETWEEN("[2,17,2]", OP("permute", ",\"axes\":[0,2,1]")),
        BETWEEN("[9,3]", OP("slice", ",\"start\":[1,0],\"end\":[9,3]") "," OP("permute", ",\"axes\":[1,0]")),
        NULL};
    each_family(a);
}

static void joins(void **state)
{
    (void)state;
    static const char *const a[] = {
        NET("[5,3,2]", "3",
            NAMED("dense", "a", ",\"out\":4") "," NAMED("slice", "s", ",\"end\":[2,3,4]") "," NAMED(
                "concat", "c", ",\"axis\":0,\"from\":[\"a\",\"s\",\"a\"]") ",{\"op\":\"tanh\"}" HEAD),
        NET("[5,3,2]", "3",
            NAMED("dense", "a", ",\"out\":4") "," NAMED("slice", "s", ",\"end\":[5,1,4]") "," NAMED(
                "concat", "c",
                ",\"axis\":-2,\"from\":[\"s\",\"a\"]") ",{\"op\":\"flatten\"},{\"op\":\"dense\",\"out\":3}"),
        NET("[5,3,2]", "3",
            NAMED("dense", "a", ",\"out\":4") "," NAMED("slice", "s", ",\"end\":[5,3,1]") "," NAMED(
                "concat", "c",
                ",\"axis\":2,\"from\":[\"s\",\"a\"]") ",{\"op\":\"flatten\"},{\"op\":\"dense\",\"out\":3}"),
        NULL};
    each_family(a);
}

#define REDUCE(f, before, shape, rest) BETWEEN(shape, before OP("reduce_" f, rest))
static void reductions(void **state)
{
    (void)state;
    static const char *const a[] = {
        REDUCE("sum", "", "[5,3,2]", ",\"axes\":[0]"), REDUCE("sum", "", "[5,3,2]", ",\"axes\":[2,0]"),
        REDUCE("sum", "", "[29,3,2]", ",\"axes\":[0,1]"), REDUCE("max", "", "[4,37,2]", ",\"axes\":[1]"),
        REDUCE("min", "", "[27,2]", ",\"axes\":[0]"), REDUCE("sum", "", "[5,3,2]", ""),
        REDUCE("mean", "", "[5,3,2]", ",\"axes\":[1],\"keep\":true"),
        REDUCE("mean", "", "[5,7,2]", ",\"axes\":[-1,-2]"), REDUCE("mean", "", "[2]", ""),
        REDUCE("max", "", "[5,3,2]", ",\"axes\":[0,1]"), REDUCE("max", "", "[5,3,2]", ",\"axes\":[2]"),
        REDUCE("min", "", "[5,3,2]", ",\"axes\":[1]"), REDUCE("min", "", "[5,3,2]", ",\"keep\":true"),
        REDUCE("prod", "", "[2,3,2]", ",\"axes\":[0]"), REDUCE("prod", "", "[2,3,2]", ",\"axes\":[2]"),
        REDUCE("l1", "", "[5,3,2]", ",\"axes\":[1]"), REDUCE("l2", "", "[5,3,2]", ",\"axes\":[0,2]"),
        REDUCE("l2", "", "[3,2]", ",\"axes\":[1]"), REDUCE("sum_square", "", "[5,3,2]", ",\"axes\":[-1]"),
        REDUCE("log_sum", PLUS, "[5,3,2]", ",\"axes\":[0]"), REDUCE("log_sum_exp", "", "[5,3,2]", ",\"axes\":[1]"),
        REDUCE("log_sum_exp", "", "[300,1]", ",\"axes\":[0,1]"), REDUCE("log_sum_exp", "", "[9,2]", ",\"axes\":[1]"),
        NULL};
    each_family(a);
}

static void softmaxes(void **state)
{
    (void)state;
    static const char *const a[] = {BETWEEN("[5,3,2]", OP("softmax", ",\"axis\":0")),
                                    BETWEEN("[5,3,2]", OP("softmax", ",\"axis\":1")),
                                    BETWEEN("[5,3,2]", OP("softmax", "")),
                                    BETWEEN("[5,3,2]", OP("log_softmax", "")),
                                    BETWEEN("[5,3,2]", OP("log_softmax", ",\"axis\":-2")),
                                    BETWEEN("[3,9,2]", OP("log_softmax", ",\"axis\":0")),
                                    NULL};
    each_family(a);
}

/* ---- where a formula has no derivative, or 0 / 0 ---- */

/* The gradient of a field of v (1, 4) through one layer and a sum. */
static void check_gradient(const char *layer, const float v[4], const float want[4])
{
    char text[300];
    cJSON *j;
    rt_graph *g;
    float x[2] = {0}, params[16], states[1];
    snprintf(text, sizeof text,
             "{\"input\":[2],\"classes\":1,\"layers\":[{\"op\":\"constant\",\"shape\":[4],\"learned\":true,"
             "\"name\":\"k\"},%s,{\"op\":\"reduce_sum\"}]}", layer);
    check_ok(rt_json_parse(&j, text, strlen(text), "test"));
    check_ok(rt_arch_build(&g, j, "test"));
    memcpy(params, v, 4 * sizeof *v);
    way ways[WAYS];
    int n = list_ways(ways, 1);
    for (int w = 0; w < n; w++) {
        rt_device *device = take_way(&ways[w]);
        float below = -1e6f;                     /* a quantile at level 0 of what lies far below: the gradient is 1 */
        rt_loss_batch loss = {.config = {.task = RT_TASK_REAL, .hard_kind = RT_HARD_QUANTILE, .hard = 1},
                              .values = &below};
        rt_session_spec spec = {.graph = g, .batch = 1, .train = 1, .losses = 1, .params = params, .states = states,
                                .loss = {{.tensor = g->output, .batch = &loss}}};
        rt_session *s;
        check_ok(rt_session_new(&s, &spec, device));
        check_ok(rt_session_write(s, RT_B_WEIGHTS));
        session_step(s, &(rt_step){.rows = 1, .x = {x}});
        check_ok(rt_session_read(s, 1u << RT_B_GRADS));
        const float *grads = rt_session_buffer(s, RT_B_GRADS, NULL);
        for (int i = 0; i < 4; i++) {
            snprintf(text, sizeof text, "%s: gradient %d (%.40s)", layer, i, ways[w].name);
            check_close(text, grads[i], want[i], 1e-7, 1e-6);
        }
        rt_session_free(s);
        rt_device_close(device);
    }
    rt_graph_free(g);
    cJSON_Delete(j);
}

static void ties_and_zeros(void **state)
{
    (void)state;
    check_gradient(OP("reduce_max", ""), (float[]){2, 5, 5, 1}, (float[]){0, 0.5f, 0.5f, 0});
    check_gradient(OP("reduce_min", ""), (float[]){3, 3, 3, 4}, (float[]){1 / 3.0f, 1 / 3.0f, 1 / 3.0f, 0});
    check_gradient(OP("reduce_prod", ""), (float[]){2, 0, 3, -1}, (float[]){0, -6, 0, 0});
    check_gradient(OP("reduce_prod", ""), (float[]){2, 0, 3, 0}, (float[]){0, 0, 0, 0});
    check_gradient(OP("reduce_prod", ""), (float[]){2, 4, 3, -1}, (float[]){-12, -6, -8, 24});
    check_gradient(OP("reduce_l2", ""), (float[]){0, 0, 0, 0}, (float[]){0, 0, 0, 0});
    check_gradient(OP("abs", ""), (float[]){0, -1, 2, 0}, (float[]){0, -1, 1, 0});
    check_gradient(OP("minimum", ",\"operand\":[1]"), (float[]){0, -1, 2, 0}, (float[]){0.5f, 1, 0, 0.5f});
    check_gradient(OP("maximum", ",\"from\":[\"k\",\"k\"]"), (float[]){0, -1, 2, 7}, (float[]){1, 1, 1, 1});
    check_gradient(OP("gather", ",\"axis\":0,\"shape\":[3]"), (float[]){1, 2, 3, 4}, (float[]){3, 0, 0, 0});
    check_gradient(OP("reduce_sum", ",\"name\":\"s\"") "," CALL("add", "q", "[\"k\",\"s\"]") ","
                   CALL("add", "r", "[\"q\",\"s\"]"),
                   (float[]){1, 2, 3, 4}, (float[]){9, 9, 9, 9});          /* a number that one row repeats, twice */
    check_gradient(OP("sign", ""), (float[]){1, -2, 0, 4}, (float[]){0, 0, 0, 0});
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(one_number), cmocka_unit_test(two_inputs),
                                       cmocka_unit_test(operands), cmocka_unit_test(choices),
                                       cmocka_unit_test(moves), cmocka_unit_test(joins), cmocka_unit_test(reductions),
                                       cmocka_unit_test(softmaxes), cmocka_unit_test(ties_and_zeros)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
