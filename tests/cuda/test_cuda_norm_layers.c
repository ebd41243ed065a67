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

#define CONV(out, more) OP("conv2d", ", \"bias\": false, \"out\": " out ", \"kernel\": 3, \"padding\": 1" more)
#define BLOCK(out) CONV(out, "") OP("batch_norm", "") OP("relu", "")
#define MAX(more) OP("max_pool", ", " more)
#define MEAN OP("global_avg_pool", "")
#define DENSE_HEAD "{\"op\": \"dense\", \"out\": 4}"

/* Pools that a norm's launches make, and those that they must not: windows that overlap, that leave pixels out or reach
 * over them; what is pooled has another reader; dilation; averages of windows. */
static void pooled_norms(void **state)
{
    static const char *const nets[] = {
        NET("[8, 8, 3]",
            BLOCK("8") MAX("\"kernel\": 2") CONV("12", "") OP("batch_norm", "") OP("relu6", "") MEAN DENSE_HEAD),
        NET("[6, 9, 2]", BLOCK("5") MAX("\"kernel\": [2, 3]") CONV("7", "") OP("batch_norm", "") MEAN DENSE_HEAD),
        NET("[12, 3]", OP("conv1d", ", \"bias\": false, \"out\": 8, \"kernel\": 3, \"padding\": 1") OP("batch_norm", "")
                           OP("relu", "") MAX("\"kernel\": 4") HEAD),
        NET("[8, 8, 3]", BLOCK("8") MAX("\"kernel\": 3, \"stride\": 2, \"padding\": 1") HEAD),
        NET("[7, 9, 3]", BLOCK("8") MAX("\"kernel\": 2") HEAD),
        NET("[7, 7, 3]", BLOCK("8") MAX("\"kernel\": 2, \"ceil\": true") HEAD),
        NET("[8, 8, 3]", BLOCK("8") MAX("\"kernel\": 2, \"stride\": 3, \"dilation\": 2") HEAD),
        NET("[8, 8, 3]", BLOCK("8") OP("avg_pool", ", \"kernel\": 2") HEAD),
        NET("[8, 8, 3]", BLOCK("8") OP("global_max_pool", "") DENSE_HEAD),
        NET("[6, 6, 3]", CONV("8", "") OP("batch_norm", ", \"name\": \"n\"") MAX("\"kernel\": 2, \"name\": \"p\"") OP(
                             "conv2d", ", \"out\": 8, \"kernel\": 2, \"stride\": 2, \"from\": \"n\", \"name\": \"c\"")
                             OP("add", ", \"from\": [\"p\", \"c\"]") HEAD),
        /* the norm's input has another reader, so that its gradient is a sum */
        NET("[6, 6, 3]",
            CONV("8", ", \"name\": \"a\"") OP("batch_norm", "") OP("relu", "") MAX("\"kernel\": 2, \"name\": \"p\"")
                OP("conv2d", ", \"out\": 8, \"kernel\": 2, \"stride\": 2, \"from\": \"a\", \"name\": \"c\"")
                    OP("add", ", \"from\": [\"p\", \"c\"]") HEAD),
        /* a norm of the input itself, which has no gradient */
        NET("[6, 6, 8]", OP("batch_norm", "") OP("relu", "") MAX("\"kernel\": 2") HEAD),
        /* two readers of the pool; memory taken between the norm and it */
        NET("[6, 6, 3]",
            CONV("8", ", \"name\": \"a\"") OP("batch_norm", ", \"name\": \"n\"")
                OP("conv2d", ", \"out\": 8, \"kernel\": 2, \"stride\": 2, \"from\": \"a\", \"name\": \"c\"")
                    OP("tanh", ", \"name\": \"t\"") MAX("\"kernel\": 2, \"from\": \"n\", \"name\": \"p\"")
                        OP("tanh", ", \"name\": \"u\"") OP("add", ", \"from\": [\"u\", \"t\"], \"name\": \"s\"")
                            OP("add", ", \"from\": [\"s\", \"p\"]") HEAD),
        /* a mean of an addition; one whose other side has no gradient; a mean that is the answer */
        NET("[5, 7, 8]", CONV("8", "") OP("batch_norm", ", \"name\": \"n\"") OP("add", ", \"from\": [\"n\", \"input\"]")
                             OP("relu", "") MEAN DENSE_HEAD),
        NET("[5, 7, 3]", CONV("8", ", \"name\": \"a\"") OP("tanh", ", \"name\": \"t\"") CONV("8", "")
                             OP("batch_norm", ", \"name\": \"n\"") OP("add", ", \"from\": [\"t\", \"n\"]")
                                 OP("relu", "") MEAN DENSE_HEAD),
        NET("[6, 5, 3]",
            CONV("8", "") OP("relu", "") CONV("4", "") OP("batch_norm", "") "{\"op\": \"global_avg_pool\"}"),
        NET("[36, 32, 2]", CONV("4", "") OP("batch_norm", "") OP("relu", "") MEAN DENSE_HEAD)};
    (void)state;
    for (size_t i = 0; i < sizeof nets / sizeof *nets; i++)
        scene_check(&(cuda_scene){.arch = nets[i], .batch = 6, .rows = 4, .steps = 3, .drift = 5e-4, .gradient = 1e-4});
    for (rt_precision p = RT_P_TF32; p <= RT_P_BF16; p++)
        scene_check(&(cuda_scene){.arch = NET("[6, 9, 2]", CONV("8", "") OP("batch_norm", "") MEAN DENSE_HEAD),
                                  .batch = 6, .steps = 1, .precision = p,
                                  .forward = p == RT_P_TF32 ? 4e-3 : 4e-2, .gradient = p == RT_P_TF32 ? 1e-2 : 8e-2,
                                  .drift = p == RT_P_TF32 ? 1e-2 : 8e-2});
}

#define NAMED(name, from) ", \"name\": \"" name "\", \"from\": \"" from "\""
/* "m" is what is added to the norm "n" of "a". */
#define RESIDUE(m) NET("[6, 6, 3]", CONV("8", ", \"name\": \"a\"") m CONV("8", NAMED("b", "a")) \
                       OP("batch_norm", ", \"name\": \"n\"") OP("add", ", \"from\": [\"n\", \"m\"], \"name\": \"s\"")
/* Norms whose addition's other side is a norm, too, which is made along, and those that must not be: it has an
 * activation or another reader; both are of one tensor, or one side is what the norm is of. */
static void norms_of_skips(void **state)
{
    static const char *const nets[] = {
        RESIDUE(CONV("8", NAMED("c", "a")) OP("batch_norm", ", \"name\": \"m\"")) OP("relu", "") HEAD),
        RESIDUE(CONV("8", NAMED("c", "a")) OP("batch_norm", ", \"name\": \"m\"")) OP("relu6", "") MEAN DENSE_HEAD),
        RESIDUE(CONV("8", NAMED("c", "a")) OP("batch_norm", ", \"name\": \"k\"") OP("relu", ", \"name\": \"m\""))
            OP("relu", "") HEAD),
        RESIDUE(CONV("8", NAMED("c", "a")) OP("batch_norm", ", \"name\": \"m\"")) OP("tanh", ", \"name\": \"t\"")
            OP("add", ", \"from\": [\"t\", \"m\"]") HEAD),
        RESIDUE(OP("batch_norm", NAMED("m", "a"))) OP("tanh", "") HEAD),
        NET("[6, 6, 3]", CONV("8", ", \"name\": \"a\"") OP("batch_norm", ", \"name\": \"n\"")
            OP("add", ", \"from\": [\"n\", \"a\"]") OP("relu", "") HEAD),
        NET("[6, 6, 3]", CONV("8", ", \"name\": \"a\"") CONV("8", NAMED("c", "a"))
            OP("batch_norm", ", \"name\": \"m\"") CONV("8", NAMED("b", "a")) OP("tanh", "") OP("batch_norm", "")
            OP("tanh", "") CONV("8", "") OP("tanh", "") CONV("8", "") OP("batch_norm", ", \"name\": \"n\"")
            OP("add", ", \"from\": [\"n\", \"m\"]") OP("relu", "") HEAD),
        NET("[6, 6, 3]", CONV("8", ", \"name\": \"a\"") OP("batch_norm", ", \"name\": \"n\"")
            OP("batch_norm", NAMED("m", "a")) OP("add", ", \"from\": [\"m\", \"n\"]") OP("relu", "") MEAN DENSE_HEAD)};
    (void)state;
    for (size_t i = 0; i < sizeof nets / sizeof *nets; i++)
        scene_check(&(cuda_scene){.arch = nets[i], .batch = 6, .rows = 4, .steps = 3, .drift = 1e-3, .gradient = 1e-4});
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
    const struct CMUnitTest tests[] = {cmocka_unit_test(batch_norms), cmocka_unit_test(pooled_norms),
                                       cmocka_unit_test(norms_of_skips),
                                       cmocka_unit_test(norms_of_rows), cmocka_unit_test(softmaxes),
                                       cmocka_unit_test(tables)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
