/* Models with norms, softmax, embeddings and positions on the emulated card, against the CPU: answers, gradients,
 * running statistics and weights after steps whose last has fewer rows; norms that nothing takes up in inference. */
#include "tests/cuda/cuda_scene.h"

#define NET(input, layers) "{\"input\": " input ", \"classes\": 4, \"layers\": [" layers "]}"
#define OP(name, more) "{\"op\": \"" name "\"" more "}, "
/* Without a bias: a norm behind it takes that out again, and its gradient is 0 but for rounding. */
#define DENSE(n) OP("dense", ", \"bias\": false, \"out\": " n)
#define HEAD OP("flatten", "") "{\"op\": \"dense\", \"out\": 4}"

static void batch_norms(void **state)
{
    (void)state;
    scene_check(&(cuda_scene){.arch = NET("[9]", DENSE("12") OP("batch_norm", "") OP("relu", "") DENSE("16")
                                          OP("batch_norm", ", \"momentum\": 0.3") OP("relu6", "") HEAD),
                              .batch = 37, .rows = 11, .steps = 4, .drift = 5e-4});
    scene_check(&(cuda_scene){.arch = NET("[6, 5, 7]", OP("batch_norm", "") OP("gelu", "") DENSE("8")
                                          OP("batch_norm", ", \"eps\": 0.01") OP("tanh", "") HEAD),
                              .batch = 16, .rows = 3, .steps = 3, .drift = 5e-4, .scale = 3});
    scene_check(&(cuda_scene){.arch = NET("[40, 3]", OP("batch_norm", "") OP("gelu", "") HEAD), .batch = 300,
                              .steps = 2});
}

static void norms_of_rows(void **state)
{
    static const char *const nets[] = {
        NET("[5, 12]", OP("layer_norm", "") HEAD),
        NET("[5, 12]", DENSE("9") OP("layer_norm", ", \"dims\": 2") OP("relu", "") HEAD),
        NET("[5, 12]", OP("rms_norm", "") DENSE("40") OP("rms_norm", ", \"eps\": 0.01") HEAD),
        NET("[3, 5, 12]", DENSE("12") OP("group_norm", ", \"groups\": 3") OP("tanh", "") HEAD),
        NET("[3, 5, 6]", DENSE("6") OP("group_norm", ", \"groups\": 6") OP("group_norm", ", \"groups\": 1") HEAD),
        NET("[3, 10]", DENSE("11") OP("lrn", ", \"size\": 5, \"alpha\": 0.5") HEAD),
        NET("[3, 10]", DENSE("6") OP("lrn", ", \"size\": 4, \"alpha\": 0.2, \"beta\": 0.5, \"bias\": 2") HEAD),
        NET("[1100]", OP("layer_norm", "") HEAD), NET("[20, 20, 8]", OP("group_norm", ", \"groups\": 2") HEAD),
        NET("[2, 1030]", OP("rms_norm", "") HEAD)};
    enum { LONG = sizeof nets / sizeof *nets - 3 };     /* one step brings a loss of these down to 0 */
    (void)state;
    for (size_t i = 0; i < sizeof nets / sizeof *nets; i++)
        scene_check(&(cuda_scene){.arch = nets[i], .batch = 7, .rows = 4, .steps = i < LONG ? 3 : 1, .drift = 5e-4,
                                  .scale = 2});
}

static void softmaxes(void **state)
{
    static const char *const nets[] = {
        NET("[5, 12]", DENSE("9") OP("softmax", "") HEAD),
        NET("[5, 12]", DENSE("9") OP("softmax", ", \"axis\": 0") HEAD),
        NET("[5, 12]", DENSE("9") OP("log_softmax", "") HEAD),
        NET("[5, 3, 4]", DENSE("4") OP("log_softmax", ", \"axis\": 1") HEAD)};
    (void)state;
    for (size_t i = 0; i < sizeof nets / sizeof *nets; i++)
        scene_check(&(cuda_scene){.arch = nets[i], .batch = 6, .rows = 5, .steps = 3, .scale = 2});
}

static void tables(void **state)
{
    (void)state;
    scene_check(&(cuda_scene){
        .arch = "{\"inputs\": [{\"name\": \"i\", \"shape\": [11], \"type\": \"i32\"}], \"classes\": 4, \"layers\": ["
                OP("embedding", ", \"from\": \"i\", \"rows\": 13, \"out\": 6") OP("position", ", \"learned\": true")
                DENSE("7") OP("position", "") OP("layer_norm", "") HEAD "]}",
        .batch = 9, .rows = 5, .steps = 3, .ids = 13});
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(batch_norms), cmocka_unit_test(norms_of_rows),
                                       cmocka_unit_test(softmaxes), cmocka_unit_test(tables)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
