/* Gradients of operators of one and two numbers, of moves and of reductions, see gradients.h. */
#include "tests/engine/gradients.h"

static const struct { const char *before, *layer; } functions[] = {
    {"", "\"exp\""}, {"softplus", "\"log\""}, {"softplus", "\"sqrt\""}, {"softplus", "\"reciprocal\""},
    {"", "\"abs\""}, {"", "\"neg\""}, {"", "\"erf\""}, {"", "\"elu\",\"alpha\":0.7"}, {"", "\"selu\""},
    {"", "\"celu\",\"alpha\":1.6"}, {"", "\"softplus\""}, {"", "\"softsign\""},
    {"", "\"hard_sigmoid\",\"alpha\":0.4,\"beta\":0.3"}, {"", "\"mish\""}, {"", "\"thresholded_relu\",\"alpha\":0.3"},
    {"", "\"shrink\",\"lambd\":0.2,\"bias\":0.1"}, {"", "\"clip\",\"low\":-0.4,\"high\":0.9"},
    {"", "\"pow\",\"exponent\":2"}, {"", "\"pow\",\"exponent\":3"}, {"softplus", "\"pow\",\"exponent\":0.5"},
    {"softplus", "\"pow\",\"exponent\":-1"}, {"softplus", "\"pow\",\"exponent\":-1.7"}, {"", "\"sin\""}, {"", "\"cos\""},
    {"softsign", "\"tan\""}, {"softsign", "\"asin\""}, {"softsign", "\"acos\""}, {"", "\"atan\""}, {"", "\"sinh\""},
    {"", "\"cosh\""}, {"", "\"asinh\""}, {"exp", "\"asinh\""}, {"softsign", "\"atanh\""}, {"", "\"floor\""},
    {"", "\"ceil\""}, {"", "\"round\""}, {"", "\"sign\""}, {"", "\"not\""}, {"", "\"is_nan\""}, {"", "\"is_inf\""},
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
            used[kind.unary] |= !strncmp(functions[i].layer + 1, kind.name, length) && functions[i].layer[1 + length] == '"';
        }
    }
    for (int u = RT_UNARY_NONE + 1; u < RT_UNARY_COUNT; u++) assert_true(used[u]);
    each_family(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(one_number)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
