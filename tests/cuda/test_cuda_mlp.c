/* Dense networks on the emulated card, against the CPU: products of ours and of cuBLASLt, epilogues, batches that are
 * not full, optimizers. */
#include "tests/cuda/cuda_scene.h"

#define MLP \
    "{\"input\": [13], \"classes\": 5, \"layers\": [" \
    "{\"op\": \"dense\", \"out\": 17}, {\"op\": \"relu\"}, {\"op\": \"dense\", \"out\": 9}, {\"op\": \"relu6\"}, " \
    "{\"op\": \"dense\", \"out\": 5}]}"
#define WIDE \
    "{\"input\": [784], \"classes\": 10, \"layers\": [" \
    "{\"op\": \"dense\", \"out\": 128}, {\"op\": \"relu\"}, {\"op\": \"dense\", \"out\": 64}, {\"op\": \"relu\"}, " \
    "{\"op\": \"dense\", \"out\": 10}]}"
#define SHARED "{\"input\": [8], \"classes\": 3, \"layers\": [" \
               "{\"op\": \"dense\", \"name\": \"a\", \"out\": 8}, {\"op\": \"relu\"}, " \
               "{\"op\": \"dense\", \"name\": \"b\", \"out\": 8, \"share\": \"a\"}, {\"op\": \"dense\", \"out\": 3}]}"

#define LINEAR "{\"input\": [784], \"classes\": 10, \"layers\": [" \
               "{\"op\": \"dense\", \"out\": 128}, {\"op\": \"dense\", \"out\": 10}]}"

#define LINES \
    "{\"input\": [65, 6], \"classes\": 3, \"layers\": [{\"op\": \"dense\", \"out\": 7}, {\"op\": \"relu\"}, " \
    "{\"op\": \"global_avg_pool\"}, {\"op\": \"dense\", \"out\": 3}]}"

static void small(void **state)
{
    (void)state;
    scene_check(&(cuda_scene){.arch = MLP, .batch = 7, .rows = 3, .steps = 4});
    scene_check(&(cuda_scene){.arch = MLP, .batch = 1, .steps = 2});
    scene_check(&(cuda_scene){.arch = MLP, .batch = 33, .steps = 3, .update = {.kind = RT_ADAMW, .beta1 = 0.9,
                              .beta2 = 0.999, .eps = 1e-8, .weight_decay = 0.01}, .drift = 2e-3});
}

static void by_library(void **state)
{
    (void)state;
    scene_check(&(cuda_scene){.arch = WIDE, .batch = 16, .rows = 11, .steps = 3});
}

/* Gradients of weights over so many positions that their sums are cut into parts, the last of them shorter. */
static void long_sums(void **state)
{
    (void)state;
    scene_check(&(cuda_scene){.arch = LINES, .batch = 40, .rows = 37, .steps = 2});
}

static void shared_weights(void **state)
{
    (void)state;
    scene_check(&(cuda_scene){.arch = SHARED, .batch = 6, .steps = 3});
}

static void clipped_and_averaged(void **state)
{
    (void)state;
    scene_check(&(cuda_scene){.arch = MLP, .batch = 12, .steps = 5,
                              .update = {.kind = RT_SGD, .momentum = 0.9, .nesterov = 1, .clip = 0.1, .ema = 0.9,
                                         .weight_decay = 0.01}});
}

static void distilled(void **state)
{
    (void)state;
    scene_check(&(cuda_scene){.arch = MLP, .batch = 12, .steps = 3,
                              .loss = {.kind = RT_SOFT_KD, .hard = 0.3f, .soft = 0.7f, .temperature = 4}});
}

/* Without ReLU, whose derivative jumps where a sum is rounded across 0. */
static void rounded(void **state)
{
    (void)state;
    for (rt_precision p = RT_P_TF32; p <= RT_P_BF16; p++)
        scene_check(&(cuda_scene){.arch = LINEAR, .batch = 16, .steps = 2, .precision = p,
                                  .forward = p == RT_P_TF32 ? 2e-3 : 2e-2, .gradient = p == RT_P_TF32 ? 4e-3 : 4e-2,
                                  .drift = p == RT_P_TF32 ? 1e-2 : 6e-2});
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(small),     cmocka_unit_test(by_library),           cmocka_unit_test(shared_weights),
        cmocka_unit_test(long_sums), cmocka_unit_test(clipped_and_averaged), cmocka_unit_test(distilled),
        cmocka_unit_test(rounded)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
