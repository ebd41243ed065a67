/* The models that speed is measured on: twenty steps on the emulated card lose what they lose on the CPU; on a real one
 * it is a hundred, of larger batches, as differences of the last bits grow with the steps. */
#include "tests/cuda/cuda_scene.h"

static void twenty(const char *name, int batch, double drift)
{
    char *text = scene_text(name);
    cuda_scene s = {.arch = text, .batch = batch, .steps = 20, .orders = 1, .gradient = 1e-4, .drift = drift,
                    .lr = 0.01};
    rt_device *card;
    check_ok(rt_device_open(&card, "cuda", 1));
    int real = !rt_emulated_calls();
    rt_device_close(card);
    if (real) {
        s.batch = 32;
        s.steps = 100;
        s.loss_far = 1e-3;
        s.drift = s.gradient = 0.1;
    }
    scene_check(&s);
    free(text);
}

static void jet(void **state)    { (void)state; twenty("jet", 32, 1e-4); }
static void mlp(void **state)    { (void)state; twenty("mlp", 8, 1e-4); }
static void cnn(void **state)    { (void)state; twenty("cnn", 2, 1e-3); }
static void conv1d(void **state) { (void)state; twenty("conv1d", 4, 1e-3); }
static void dscnn(void **state)  { (void)state; twenty("dscnn", 2, 1e-3); }
static void resnet8(void **state) { (void)state; twenty("resnet8", 8, 4e-3); }

/* Additions that a batch norm makes, and those that it must not: the other side is computed behind the norm; between
 * norm and addition another layer takes memory. */
static void additions(void **state)
{
    (void)state;
    static const char *const arch[] = {
        "{\"input\": [6, 6, 3], \"classes\": 3, \"layers\": ["
        "{\"op\": \"conv2d\", \"name\": \"a\", \"out\": 8, \"kernel\": 3, \"padding\": \"same\", \"bias\": false},"
        "{\"op\": \"batch_norm\", \"name\": \"an\"},"
        "{\"op\": \"conv2d\", \"name\": \"b\", \"from\": \"input\", \"out\": 8, \"kernel\": 1},"
        "{\"op\": \"add\", \"name\": \"s\", \"from\": [\"an\", \"b\"]}, {\"op\": \"relu\"},"
        "{\"op\": \"global_avg_pool\"}, {\"op\": \"dense\", \"out\": 3}]}",
        "{\"input\": [6, 6, 3], \"classes\": 3, \"layers\": ["
        "{\"op\": \"conv2d\", \"name\": \"b\", \"out\": 8, \"kernel\": 1},"
        "{\"op\": \"conv2d\", \"name\": \"a\", \"from\": \"input\", \"out\": 8, \"kernel\": 3, \"padding\": \"same\", "
        "\"bias\": false},"
        "{\"op\": \"batch_norm\", \"name\": \"an\"},"
        "{\"op\": \"tanh\", \"name\": \"t\", \"from\": \"b\"},"
        "{\"op\": \"conv2d\", \"name\": \"c\", \"from\": \"t\", \"out\": 8, \"kernel\": 3, \"padding\": \"same\"},"
        "{\"op\": \"add\", \"name\": \"s\", \"from\": [\"an\", \"b\"]}, {\"op\": \"relu\", \"name\": \"r\"},"
        "{\"op\": \"multiply\", \"from\": [\"r\", \"c\"]},"
        "{\"op\": \"global_avg_pool\"}, {\"op\": \"dense\", \"out\": 3}]}"};
    for (int i = 0; i < 2; i++) {
        cuda_scene s = {
            .arch = arch[i], .batch = 5, .steps = 6, .orders = 1, .gradient = 1e-4, .drift = 1e-3, .lr = 0.05};
        scene_check(&s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(jet),    cmocka_unit_test(mlp),   cmocka_unit_test(cnn),
                                       cmocka_unit_test(conv1d), cmocka_unit_test(dscnn), cmocka_unit_test(additions),
                                       cmocka_unit_test(resnet8)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
