/* The models that speed is measured on: twenty steps on the emulated card lose what they lose on the CPU. */
#include "tests/cuda/cuda_scene.h"

static void twenty(const char *name, int batch, double drift)
{
    char *text = scene_text(name);
    scene_check(&(cuda_scene){.arch = text, .batch = batch, .steps = 20, .orders = 1, .gradient = 1e-4, .drift = drift,
                              .lr = 0.01});
    free(text);
}

static void jet(void **state)    { (void)state; twenty("jet", 32, 1e-4); }
static void mlp(void **state)    { (void)state; twenty("mlp", 8, 1e-4); }
static void cnn(void **state)    { (void)state; twenty("cnn", 2, 1e-3); }
static void conv1d(void **state) { (void)state; twenty("conv1d", 4, 1e-3); }
static void dscnn(void **state)  { (void)state; twenty("dscnn", 2, 1e-3); }
static void resnet8(void **state) { (void)state; twenty("resnet8", 4, 4e-3); }

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(jet),    cmocka_unit_test(mlp),   cmocka_unit_test(cnn),
                                       cmocka_unit_test(conv1d), cmocka_unit_test(dscnn), cmocka_unit_test(resnet8)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
