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

/* What is given and decides nothing is refused; what decides something is not. The target class of decoupled
 * distillation (Zhao et al. 2022, equation 7) is the row's label, unless it is what the teacher answers. */
static void what_is_given_is_used(void **s)
{
    (void)s;
    static const char *const configs[][2] = {
        {"'data': {'source': '@band.h5', 'validation': 0, 'y': 'k'}, 'loss': {'kind': 'dkd', 'hard': 0}", NULL},
        {"'data': {'source': '@band.h5', 'validation': 0, 'y': 'k'}, 'loss': {'kind': 'dkd', 'hard': 0, 'target': "
         "'teacher'}", "data.y: is not used"},
        {"'data': {'source': '@band.h5', 'validation': 0, 'y': 'k'}, 'loss': {'kind': 'kd', 'hard': 0}",
         "data.y: is not used"},
        {"'data': {'source': '@band.h5', 'y': 'k'}, 'loss': {'kind': 'kd', 'hard': 0}", NULL},
        {"'data': {'source': '@band.h5'}, 'loss': {'kind': 'kd', 'hard': 1, 'soft': 0}", "teacher: is not used"},
        {"'data': {'source': '@band.h5'}, 'loss': {'kind': 'kd', 'hard': 1, 'soft': 1e-3}", NULL}};
    for (size_t i = 0; i < sizeof configs / sizeof configs[0]; i++) {
        char text[400];
        snprintf(text, sizeof text, "{'model': {'input': [8], 'classes': 3, 'family': 'mlp', 'width': 8, 'depth': 1}, "
                 "'teacher': '@t.h5', %s}", configs[i][0]);
        cJSON *config = parse_config(text);
        if (configs[i][1]) check_fails(rt_train_check(config), RT_USAGE, configs[i][1]);
        else check_ok(rt_train_check(config));
        cJSON_Delete(config);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(fields_that_say_nothing),
                                       cmocka_unit_test(what_is_given_is_used)};
    return cmocka_run_group_tests(tests, make_test_folder, remove_test_folder);
}
