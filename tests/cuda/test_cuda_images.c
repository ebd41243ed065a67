/* Networks of images and lines on the emulated card, against the CPU: convolutions of all kinds, transposed ones,
 * pools, resizing; in each precision; batches that are not full; inputs that several layers read. */
#include "tests/cuda/cuda_scene.h"

#define NET(input, layers) "{\"input\": " input ", \"classes\": 3, \"layers\": [" layers "]}"
#define HEAD ", {\"op\": \"flatten\"}, {\"op\": \"dense\", \"out\": 3}"
#define CONV(out, more) "{\"op\": \"conv2d\", \"out\": " out ", " more "}"
#define LINE(out, more) "{\"op\": \"conv1d\", \"out\": " out ", " more "}"
#define RELU ", {\"op\": \"relu\"}, "

static void check(const char *arch) { scene_check(&(cuda_scene){.arch = arch, .batch = 5, .rows = 2, .steps = 3}); }

static void convolutions(void **state)
{
    (void)state;
    check(NET("[9, 8, 1]",
              CONV("8", "\"kernel\": 3, \"padding\": \"same\"")
                  RELU CONV("12", "\"kernel\": 3, \"stride\": 2, \"padding\": \"same\"")
                               ", {\"op\": \"relu6\"}, " CONV(
                      "16", "\"kernel\": 1") RELU CONV("5", "\"kernel\": [2, 3], \"bias\": false") HEAD));
    check(NET("[8, 9, 4]", CONV("8", "\"kernel\": 3, \"dilation\": 2, \"padding\": [2, 1, 0, 3]") RELU
                               CONV("16", "\"kernel\": 1, \"stride\": 2") ", {\"op\": \"global_avg_pool\"}, "
                                   "{\"op\": \"dense\", \"out\": 3}"));
    check(NET("[2, 3, 8]", CONV("256", "\"kernel\": 1") RELU CONV("257", "\"kernel\": 1") RELU
                               CONV("4", "\"kernel\": 2") HEAD));                     /* by the library */
    check(NET("[7, 6, 16]", CONV("24", "\"kernel\": 3, \"groups\": 2, \"padding\": 1") RELU
                                CONV("6", "\"kernel\": 3, \"groups\": 3") HEAD));
}

static void depthwise(void **state)
{
    (void)state;
    check(NET("[8, 7, 1]", CONV("12", "\"kernel\": 3") RELU
                               CONV("12", "\"kernel\": 3, \"groups\": 12, \"padding\": 1, \"stride\": 2") RELU
                                   CONV("20", "\"kernel\": 1") RELU
                                       CONV("40", "\"kernel\": 2, \"groups\": 20, \"bias\": false") HEAD));
}

static void lines(void **state)
{
    (void)state;
    check(NET("[19, 3]", LINE("8", "\"kernel\": 5, \"padding\": [2, 1], \"stride\": 2") RELU
                             LINE("8", "\"kernel\": 3, \"groups\": 8, \"padding\": \"same\"")
                                 ", {\"op\": \"max_pool\", \"kernel\": 2}, " LINE("4", "\"kernel\": 2") HEAD));
    check(NET("[5, 6]",
              "{\"op\": \"conv_transpose1d\", \"out\": 8, \"kernel\": 4, \"stride\": 3, \"padding\": 1}" RELU
              "{\"op\": \"resize\", \"size\": [1, 9], \"mode\": \"linear\"}, " LINE("4", "\"kernel\": 3") HEAD));
}

static void transposed(void **state)
{
    (void)state;
    check(NET(
        "[4, 5, 3]", CONV("8", "\"kernel\": 2") RELU
        "{\"op\": \"conv_transpose2d\", \"out\": 12, \"kernel\": 3, \"stride\": 2, \"padding\": 1, "
        "\"output_padding\": 1}" RELU
        "{\"op\": \"conv_transpose2d\", \"out\": 6, \"kernel\": 2, \"groups\": 6, \"dilation\": 2, "
        "\"bias\": false}" HEAD));
    check(NET("[3, 3, 4]", CONV("4", "\"kernel\": 1")
              ", {\"op\": \"conv_transpose2d\", \"out\": 5, \"kernel\": 1}" HEAD));
}

static void pools(void **state)
{
    (void)state;
    check(NET("[9, 8, 1]", CONV("8", "\"kernel\": 3, \"padding\": 1")
              ", {\"op\": \"max_pool\", \"kernel\": 3, \"stride\": 2, \"padding\": 1}, "
              "{\"op\": \"avg_pool\", \"kernel\": 3, \"stride\": 2, \"padding\": 1, \"count_padding\": true}" HEAD));
    check(NET("[8, 10, 2]", CONV("5", "\"kernel\": 3")
              ", {\"op\": \"avg_pool\", \"kernel\": 3, \"stride\": 2, \"ceil\": true}, "
              "{\"op\": \"max_pool\", \"kernel\": 2, \"stride\": 1, \"dilation\": 2, \"ceil\": true}" HEAD));
    check(NET("[6, 5, 2]",
              CONV("36", "\"kernel\": 3") ", {\"op\": \"global_max_pool\"}, {\"op\": \"dense\", \"out\": 3}"));
}

#define RESIZE(size, more) "{\"op\": \"resize\", \"size\": " size more "}"
static void resized(void **state)
{
    (void)state;
    static const char *const how[] = {
        "[9, 4], \"mode\": \"nearest\"",
        "[3, 11], \"mode\": \"nearest\", \"nearest\": \"ceil\", \"coordinates\": \"asymmetric\"",
        "[9, 7], \"mode\": \"linear\"",
        "[3, 11], \"mode\": \"linear\", \"coordinates\": \"align_corners\"",
        "[4, 3], \"mode\": \"linear\", \"coordinates\": \"half_pixel_symmetric\"",
        "[11, 9], \"mode\": \"cubic\"",
        "[2, 8], \"mode\": \"cubic\", \"exclude_outside\": true",
        "[7, 1], \"mode\": \"linear\", \"coordinates\": \"pytorch_half_pixel\"",
        "[5, 9], \"mode\": \"linear\", \"scale_w\": 1.6, \"exclude_outside\": true"};
    for (size_t i = 0; i < sizeof how / sizeof *how; i++) {
        char arch[600];
        snprintf(arch, sizeof arch, NET("[5, 6, 2]", CONV("3", "\"kernel\": 1") ", " RESIZE("%s", "") HEAD), how[i]);
        check(arch);
    }
    check(NET("[1, 5, 2]", CONV("4", "\"kernel\": 1") ", " RESIZE("[1, 8], \"mode\": \"cubic\"", "") HEAD));
    check(NET("[1, 5, 2]", CONV("4", "\"kernel\": 1") ", " RESIZE("[3, 4], \"mode\": \"cubic\"", "") HEAD));
}

#define DEEP(act) NET("[8, 8, 4]", CONV("16", "\"kernel\": 3, \"padding\": 1") act \
                                      CONV("36", "\"kernel\": 3, \"padding\": 1, \"stride\": 2") act \
                                          CONV("8", "\"kernel\": 1") HEAD)
/* Without steps in the derivative, which rounding would move; errors of four layers add up. */
static void precisions(void **state)
{
    (void)state;
    scene_check(&(cuda_scene){.arch = DEEP(", "), .batch = 4, .scale = 0.2f, .steps = 1, .precision = RT_P_TF32,
                              .forward = 2e-3, .gradient = 5e-3, .drift = 5e-3});
    scene_check(&(cuda_scene){.arch = DEEP(", "), .batch = 4, .scale = 0.2f, .steps = 1, .precision = RT_P_BF16,
                              .forward = 2e-2, .gradient = 4e-2, .drift = 4e-2});
}

/* A card without tensor cores. */
static void old_card(void **state)
{
    (void)state;
    setenv("RETORT_EMULATE_CAPABILITY", "75", 1);
    rt_emulated_reset();
    check(DEEP(RELU));
    unsetenv("RETORT_EMULATE_CAPABILITY");
    rt_emulated_reset();
}

/* A tensor that two layers read: its gradient is a sum. */
static void read_twice(void **state)
{
    (void)state;
    static const char *const layers[] = {CONV("8", "\"kernel\": 3, \"padding\": 1, \"from\": \"a\""),
                                         CONV("8", "\"kernel\": 3, \"padding\": 1, \"groups\": 8, \"from\": \"a\""),
                                         CONV("8", "\"kernel\": 1, \"from\": \"a\"")};
    for (size_t i = 0; i < sizeof layers / sizeof *layers; i++) {
        char arch[900];
        snprintf(arch, sizeof arch,
                 NET("[5, 6, 2]", "{\"op\": \"conv2d\", \"name\": \"a\", \"out\": 8, \"kernel\": 1}, "
                     "{\"op\": \"max_pool\", \"name\": \"b\", \"kernel\": 3, \"stride\": 1, \"padding\": 1}, %s, "
                     "{\"op\": \"add\", \"from\": [\"b\", \"%s\"]}" HEAD), layers[i], "conv2d3");
        check(arch);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(convolutions), cmocka_unit_test(depthwise),
                                       cmocka_unit_test(lines),        cmocka_unit_test(transposed),
                                       cmocka_unit_test(pools),        cmocka_unit_test(resized),
                                       cmocka_unit_test(precisions),   cmocka_unit_test(old_card),
                                       cmocka_unit_test(read_twice)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
