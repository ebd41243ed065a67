/* What a training's configuration is refused for, before any data is read. */
#include "tests/train/train_support.h"

static void fields_that_say_nothing(void **s)
{
    (void)s;
    static const char *const wrong[][2] = {
        {"[{'match': 'dense2'}]", "train.fields[0].match: says for which weights, but nothing about them is given"},
        {"[{'match': 'b*', 'low': 0}]", "train.fields[0].match: no weights that are trained match 'b*'; there are: "
                                        "dense2.weight dense2.bias dense4.weight dense4.bias"},
        {"[{'lr_scale': 2}]", "train.fields[0].match: "},
        {"[{'match': '*', 'lr_scale': 0}]", "train.fields[0].lr_scale: a number from 1e-09 to 1e+09 is expected"},
        {"[{'match': '*', 'lr': 1}]", "train.fields[0]"},
        {"{'match': '*'}", "train.fields: a list [...] is expected"}};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        char text[400];
        snprintf(text, sizeof text, "{'model': {'input': [8], 'classes': 3, 'family': 'mlp', 'width': 8, 'depth': 1}, "
                 "'data': {'source': '@band.h5'}, 'train': {'fields': %s}}", wrong[i][0]);
        cJSON *config = parse_config(text);
        check_fails(rt_train_check(config), RT_USAGE, wrong[i][1]);
        cJSON_Delete(config);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(fields_that_say_nothing)};
    return cmocka_run_group_tests(tests, make_test_folder, remove_test_folder);
}
