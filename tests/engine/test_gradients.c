/* Gradients of the layers that students are made of, see gradients.h. */
#include "tests/engine/gradients.h"

static void dense(void **state)
{
    (void)state;
    static const char *const a[] = {NET("[7]", "3", "{\"op\":\"dense\",\"out\":19},{\"op\":\"relu\"},"
        "{\"op\":\"dense\",\"out\":3,\"bias\":false}"),
                                    NET("[150]", "1", "{\"op\":\"dense\",\"out\":70},{\"op\":\"relu6\"},"
                                        "{\"op\":\"dense\",\"out\":1}"),
                                    NET("[40]", "3", "{\"op\":\"dense\",\"out\":64},{\"op\":\"gelu\"},"
                                        "{\"op\":\"dense\",\"out\":70},{\"op\":\"tanh\"},{\"op\":\"dense\",\"out\":3}"),
                                    NET("[6,5]", "4", "{\"op\":\"dense\",\"out\":8},{\"op\":\"gelu\"},"
                                        "{\"op\":\"dense\",\"out\":3},{\"op\":\"flatten\"},"
                                        "{\"op\":\"dense\",\"out\":4}"),
                                    /* by panels, and two that add to one gradient */
                                    NET("[6]", "2", "{\"op\":\"dense\",\"out\":260,\"name\":\"a\"},"
                                        "{\"op\":\"dense\",\"out\":256,\"name\":\"b\"},"
                                        "{\"op\":\"dense\",\"from\":\"a\",\"out\":256,\"name\":\"c\"},"
                                        "{\"op\":\"add\",\"from\":[\"b\",\"c\"]},{\"op\":\"relu\"},"
                                        "{\"op\":\"dense\",\"out\":2}"), NULL};
    in_ways(a, 1);
}

/* Weights of several layers: products over rows, sums in slots, Winograd's planes; used in one phase and in several;
 * and a use whose gradient nothing asks for. */
static void shared(void **state)
{
    (void)state;
    /* not shared, but a norm whose channels a view hides from the sum that would take them up */
    static const char *const hidden[] = {
        NET("[5,3]", "3", NAMED("dense", "d", ",\"out\":3") ",{\"op\":\"batch_norm\"}," NAMED("flatten", "f", "") ","
            NAMED("flatten", "g", ",\"from\":\"d\"") ",{\"op\":\"add\",\"from\":[\"f\",\"g\"]},"
            "{\"op\":\"dense\",\"out\":3}"), NULL};
    each_family(hidden);
#define SHARE(op, of, rest) "{\"op\":\"" op "\",\"share\":\"" of "\"" rest "}"
    static const char *const a[] = {
        NET("[7]", "7", NAMED("dense", "a", ",\"out\":7") ",{\"op\":\"tanh\"}," SHARE("dense", "a", ",\"out\":7")
            ",{\"op\":\"sigmoid\"}," SHARE("dense", "a", ",\"out\":7,\"bias\":false")),
        NET("[70]", "3", NAMED("dense", "a", ",\"out\":70") "," NAMED("layer_norm", "n", "") ",{\"op\":\"relu\"},"
            SHARE("dense", "a", ",\"out\":70") "," SHARE("layer_norm", "n", "") ",{\"op\":\"dense\",\"out\":3}"),
        NET("[6,7,5]", "3", NAMED("conv2d", "a", ",\"out\":5,\"kernel\":3,\"padding\":1") ",{\"op\":\"batch_norm\"},"
            "{\"op\":\"relu\"}," SHARE("conv2d", "a", ",\"out\":5,\"kernel\":3,\"padding\":1") HEAD),
        NET("[8,8,2]", "3", NAMED("conv2d", "s", ",\"out\":32,\"kernel\":1") ","
            NAMED("conv2d", "a", ",\"out\":32,\"kernel\":3,\"padding\":1") ","
            SHARE("conv2d", "a", ",\"out\":32,\"kernel\":3,\"padding\":1") HEAD), NULL};
    each_family(a);
}

static void convolution(void **state)
{
    (void)state;
    static const char *const a[] = {
        NET("[7,6,2]", "3", STEM "{\"op\":\"conv2d\",\"out\":17,\"kernel\":3,\"padding\":1}" HEAD),
        NET("[8,9,3]", "3", STEM "{\"op\":\"conv2d\",\"out\":6,\"kernel\":3,\"stride\":2,\"padding\":1}" HEAD),
        NET("[8,9,3]", "3", STEM
            "{\"op\":\"conv2d\",\"out\":6,\"kernel\":[2,5],\"stride\":[3,2],\"padding\":[1,0,2,1]}" HEAD),
        NET("[9,8,3]", "3", STEM "{\"op\":\"conv2d\",\"out\":6,\"kernel\":1,\"stride\":2}" HEAD),
        NET("[9,8,3]", "3", STEM "{\"op\":\"conv2d\",\"out\":4,\"kernel\":4,\"stride\":3,\"padding\":\"same\"},"
            "{\"op\":\"relu\"}" HEAD),
        NET("[5,5,3]", "3", STEM "{\"op\":\"conv2d\",\"out\":4,\"kernel\":5,\"padding\":2,\"bias\":false}" HEAD),
        NET("[10,7,1]", "3", "{\"op\":\"conv2d\",\"out\":66,\"kernel\":[10,4],\"stride\":2,\"padding\":[4,1]},"
            "{\"op\":\"relu\"},{\"op\":\"conv2d\",\"out\":70,\"kernel\":3,\"padding\":1}" HEAD),
        NET("[6,6,2]", "3", "{\"op\":\"conv2d\",\"out\":6,\"kernel\":1},"
            "{\"op\":\"conv2d\",\"out\":9,\"kernel\":3,\"groups\":3,\"padding\":1}" HEAD),
        NET("[6,7,2]", "3", "{\"op\":\"conv2d\",\"out\":8,\"kernel\":1},"
            "{\"op\":\"conv2d\",\"out\":4,\"kernel\":3,\"stride\":2,\"groups\":2}" HEAD),
        NET("[6,7,2]", "3", "{\"op\":\"conv2d\",\"out\":19,\"kernel\":1},"
            "{\"op\":\"conv2d\",\"out\":19,\"kernel\":3,\"groups\":19,\"padding\":1}" HEAD),
        NET("[8,7,2]", "3", "{\"op\":\"conv2d\",\"out\":7,\"kernel\":1},"
            "{\"op\":\"conv2d\",\"out\":7,\"kernel\":5,\"stride\":2,\"groups\":7,\"padding\":2},"
            "{\"op\":\"relu6\"}" HEAD),
        NET("[11,3]", "3", "{\"op\":\"conv1d\",\"out\":6,\"kernel\":1},"
            "{\"op\":\"conv1d\",\"out\":9,\"kernel\":5,\"padding\":2,\"stride\":2},{\"op\":\"relu\"}" HEAD),
        NET("[11,3]", "3", "{\"op\":\"conv1d\",\"out\":6,\"kernel\":1},"
            "{\"op\":\"conv1d\",\"out\":6,\"kernel\":3,\"padding\":1,\"groups\":6}" HEAD), NULL};
    each_family(a);
}

/* 3x3 kernels of stride 1 with channels enough for Winograd: padded, not padded, over a branch, grouped (which goes
 * directly). */
static void winograd(void **state)
{
    (void)state;
    static const char *const a[] = {
        NET("[9,6,2]", "3", "{\"op\":\"conv2d\",\"out\":16,\"kernel\":1},"
            "{\"op\":\"conv2d\",\"out\":17,\"kernel\":3,\"padding\":1},{\"op\":\"relu\"}" HEAD),
        NET("[10,9,2]", "3", "{\"op\":\"conv2d\",\"out\":18,\"kernel\":1},"
            "{\"op\":\"conv2d\",\"out\":16,\"kernel\":3,\"bias\":false},{\"op\":\"batch_norm\"},"
            "{\"op\":\"relu\"}" HEAD),
        NET("[8,8,2]", "3", NAMED("conv2d", "a", ",\"out\":16,\"kernel\":1") ","
            NAMED("conv2d", "b", ",\"out\":16,\"kernel\":3,\"padding\":1") ","
            NAMED("add", "c", ",\"from\":[\"b\",\"a\"]")
            ",{\"op\":\"conv2d\",\"out\":32,\"kernel\":3,\"padding\":[2,1,0,1]}" HEAD),
        NET("[8,8,2]", "3", "{\"op\":\"conv2d\",\"out\":32,\"kernel\":1},"
            "{\"op\":\"conv2d\",\"out\":32,\"kernel\":3,\"padding\":1,\"groups\":2}" HEAD), NULL};
    each_family(a);
}

/* Images larger than the block of rows that a convolution takes at a time. */
static void large_images(void **state)
{
    (void)state;
    static const char *const a[] = {
        NET("[40,30,2]", "3", "{\"op\":\"conv2d\",\"out\":16,\"kernel\":1},"
            "{\"op\":\"conv2d\",\"out\":6,\"kernel\":3,\"padding\":1}" HEAD),
        NET("[40,30,2]", "3", "{\"op\":\"conv2d\",\"out\":16,\"kernel\":1},"
            "{\"op\":\"conv2d\",\"out\":16,\"kernel\":5,\"padding\":2,\"groups\":16}" HEAD),
        NET("[41,30,2]", "3", "{\"op\":\"conv2d\",\"out\":16,\"kernel\":1},"
            "{\"op\":\"conv2d\",\"out\":16,\"kernel\":3,\"stride\":2,\"padding\":1,\"groups\":16}" HEAD),
        NET("[41,30,2]", "3", "{\"op\":\"conv2d\",\"out\":16,\"kernel\":1},"
            "{\"op\":\"conv2d\",\"out\":4,\"kernel\":3,\"stride\":2,\"padding\":1}" HEAD),
        NET("[37,30,2]", "3", "{\"op\":\"conv2d\",\"out\":16,\"kernel\":1},"
            "{\"op\":\"conv2d\",\"out\":4,\"kernel\":3}" HEAD), NULL};
    each_family(a);
}

static void norms(void **state)
{
    (void)state;
    static const char *const a[] = {
        NET("[6,6,2]", "3", STEM "{\"op\":\"batch_norm\"},{\"op\":\"conv2d\",\"out\":4,\"kernel\":3}" HEAD),
        NET("[6,6,2]", "3", STEM "{\"op\":\"batch_norm\"},{\"op\":\"relu\"},"
            "{\"op\":\"conv2d\",\"out\":18,\"kernel\":3},{\"op\":\"batch_norm\"},{\"op\":\"relu6\"}" HEAD),
        NET("[6,6,2]", "3", "{\"op\":\"conv2d\",\"out\":40,\"kernel\":1},{\"op\":\"batch_norm\"},"
            "{\"op\":\"silu\"},{\"op\":\"conv2d\",\"out\":4,\"kernel\":3}" HEAD),
        NET("[9]", "3", "{\"op\":\"dense\",\"out\":12},{\"op\":\"batch_norm\"},{\"op\":\"relu\"},"
            "{\"op\":\"dense\",\"out\":3}"),
        NET("[9]", "3", "{\"op\":\"dense\",\"out\":12},{\"op\":\"layer_norm\"},{\"op\":\"tanh\"},"
            "{\"op\":\"dense\",\"out\":3}"),
        NET("[4,6]", "3", "{\"op\":\"dense\",\"out\":7},{\"op\":\"layer_norm\"},{\"op\":\"flatten\"},"
            "{\"op\":\"dense\",\"out\":3}"), NULL};
    each_family(a);
}

static void activations(void **state)
{
    (void)state;
    static const char *const names[] = {"relu", "relu6", "leaky_relu", "gelu", "silu", "hard_swish", "sigmoid", "tanh"};
    char text[8][256];
    const char *a[9] = {0};
    for (int i = 0; i < 8; i++) {
        snprintf(text[i], 256, NET("[9]", "3", "{\"op\":\"dense\",\"out\":20},{\"op\":\"layer_norm\"},"
            "{\"op\":\"%s\"},{\"op\":\"dense\",\"out\":3}"), names[i]);
        a[i] = text[i];
    }
    each_family(a);
}

static void pools(void **state)
{
    (void)state;
    static const char *const a[] = {
        NET("[6,8,2]", "3", STEM "{\"op\":\"max_pool\",\"kernel\":2}" HEAD),
        NET("[7,9,2]", "3", "{\"op\":\"conv2d\",\"out\":18,\"kernel\":1},"
            "{\"op\":\"max_pool\",\"kernel\":3,\"stride\":2,\"padding\":1}" HEAD),
        NET("[7,9,2]", "3", STEM "{\"op\":\"max_pool\",\"kernel\":2}" HEAD),
        NET("[7,9,2]", "3", STEM "{\"op\":\"avg_pool\",\"kernel\":3,\"stride\":2,\"padding\":1}" HEAD),
        NET("[6,8,2]", "3", STEM "{\"op\":\"avg_pool\",\"kernel\":2}" HEAD),
        NET("[12,3]", "3", "{\"op\":\"conv1d\",\"out\":6,\"kernel\":3},{\"op\":\"max_pool\",\"kernel\":2}" HEAD), NULL};
    each_family(a);
}

static void branches(void **state)
{
    (void)state;
    static const char *const a[] = {
        /* two inputs, the second read twice; they meet in a sum, then side by side */
        "{\"inputs\":[{\"name\":\"p\",\"shape\":[6,6,2]},{\"name\":\"q\",\"shape\":[7]}],\"classes\":3,\"layers\":["
            NAMED("conv2d", "a", ",\"out\":5,\"kernel\":3,\"from\":\"p\"") "," NAMED("batch_norm", "n", "") ","
            "{\"op\":\"relu\"}," NAMED("global_avg_pool", "g", "") ","
            NAMED("dense", "d", ",\"out\":5,\"from\":\"q\"") "," NAMED("add", "s", ",\"from\":[\"g\",\"d\"]") ","
            NAMED("concat", "c", ",\"from\":[\"q\",\"s\"]") ",{\"op\":\"dense\",\"out\":3}]}",
        /* residual, its input used twice; the sum has an activation */
        NET("[6,6,2]", "3", STEM NAMED("batch_norm", "n0", "") "," NAMED("relu", "a", "") ","
            NAMED("conv2d", "b", ",\"out\":5,\"kernel\":3,\"padding\":1") "," NAMED("batch_norm", "c", "") ","
            NAMED("add", "d", ",\"from\":[\"c\",\"a\"]") ",{\"op\":\"relu\"},"
                "{\"op\":\"conv2d\",\"out\":4,\"kernel\":3}" HEAD),
        /* the skip comes first, and the branch is one layer */
        NET("[6,6,2]", "3", NAMED("conv2d", "a", ",\"out\":5,\"kernel\":1") ","
            NAMED("conv2d", "b", ",\"out\":5,\"kernel\":3,\"padding\":1") ","
            NAMED("add", "d", ",\"from\":[\"a\",\"b\"]") "," NAMED("gelu", "e", "") HEAD),
        NET("[8]", "3", NAMED("dense", "a", ",\"out\":6") ","
            NAMED("dense", "b", ",\"out\":6,\"from\":\"input\"") "," NAMED("sigmoid", "s", "") ","
            NAMED("multiply", "m", ",\"from\":[\"a\",\"s\"]") ",{\"op\":\"dense\",\"out\":3}"),
        NET("[8]", "3", NAMED("dense", "a", ",\"out\":6") ","
            NAMED("multiply", "m", ",\"from\":[\"a\",\"a\"]") ","
            NAMED("add", "n", ",\"from\":[\"m\",\"m\"]") ",{\"op\":\"dense\",\"out\":3}"),
        NET("[5,5,2]", "3", NAMED("conv2d", "a", ",\"out\":3,\"kernel\":1") ","
            NAMED("conv2d", "b", ",\"out\":4,\"kernel\":3,\"padding\":1") ","
            NAMED("concat", "c", ",\"from\":[\"a\",\"b\",\"a\"]") ",{\"op\":\"relu\"}" HEAD),
        NET("[12]", "3", "{\"op\":\"dense\",\"out\":12},{\"op\":\"reshape\",\"shape\":[2,2,3]},"
            "{\"op\":\"conv2d\",\"out\":4,\"kernel\":2},{\"op\":\"flatten\"},{\"op\":\"dense\",\"out\":3}"),
        NET("[12]", "3", "{\"op\":\"dense\",\"out\":15},{\"op\":\"dropout\",\"rate\":0.4},"
            "{\"op\":\"dense\",\"out\":3}"),
        NET("[6,6,2]", "3", STEM "{\"op\":\"batch_norm\"},{\"op\":\"relu\"},{\"op\":\"dropout\",\"rate\":0.3},"
            "{\"op\":\"conv2d\",\"out\":4,\"kernel\":3}" HEAD),
        NET("[9]", "4", "{\"op\":\"dense\",\"out\":11},{\"op\":\"softmax\"},{\"op\":\"dense\",\"out\":4},"
            "{\"op\":\"softmax\"}"),
        "{\"input\":[8,8,3],\"classes\":4,\"family\":\"resnet\",\"width\":4,\"depth\":2}",
        "{\"input\":[12,9,1],\"classes\":4,\"family\":\"dscnn\",\"width\":10,\"depth\":2}",
        /* gradients that branches share, late readers, an own copy, the same input twice, batch norms side by side */
        NET("[6]", "3", NAMED("dense", "a", ",\"out\":8") "," NAMED("dense", "b", ",\"out\":8") ","
            NAMED("add", "c", ",\"from\":[\"b\",\"a\"]") ",{\"op\":\"dense\",\"out\":3}"),
        NET("[6]", "3", NAMED("dense", "a", ",\"out\":8") ","
            NAMED("add", "b", ",\"from\":[\"a\",\"a\"]") ",{\"op\":\"relu\"},"
            NAMED("add", "c", ",\"from\":[\"b\",\"a\"]") ",{\"op\":\"dense\",\"out\":3}"),
        NET("[6]", "3", NAMED("dense", "a", ",\"out\":8") "," NAMED("dense", "b", ",\"out\":8") ","
            NAMED("add", "c", ",\"from\":[\"a\",\"b\"]") "," NAMED("relu", "d", "") ","
            NAMED("add", "e", ",\"from\":[\"d\",\"a\"]") ","
            NAMED("add", "f", ",\"from\":[\"e\",\"d\"]") ",{\"op\":\"dense\",\"out\":3}"),
        NET("[6,6,2]", "3", NAMED("conv2d", "a", ",\"out\":5,\"kernel\":1") ","
            NAMED("batch_norm", "b", ",\"from\":\"a\"") ","
            NAMED("conv2d", "c", ",\"from\":\"a\",\"out\":5,\"kernel\":3,\"padding\":1") ","
            NAMED("batch_norm", "d", "") ",{\"op\":\"relu\",\"name\":\"r\"},"
            NAMED("batch_norm", "e", ",\"from\":\"a\"") "," NAMED("add", "f", ",\"from\":[\"b\",\"e\"]") ","
            NAMED("add", "g", ",\"from\":[\"f\",\"r\"]") HEAD),
        NET("[6,6,2]", "3", STEM NAMED("batch_norm", "b", "") "," NAMED("relu", "r", "") ","
            NAMED("add", "f", ",\"from\":[\"r\",\"r\"]") "," NAMED("batch_norm", "h", "") ","
            NAMED("add", "g", ",\"from\":[\"h\",\"r\"]") HEAD),
        "{\"input\":[8,8,1],\"classes\":4,\"family\":\"cnn\",\"width\":4,\"depth\":2,\"convs\":2}", NULL};
    each_family(a);
}

/* Layers named frozen...: no gradient, those before and behind them as ever, running statistics in place of the
 * batch's. */
static void frozen(void **state)
{
    (void)state;
    static const char *const a[] = {
        NET("[7]", "3", FROZEN("dense", "1", ",\"out\":19") ",{\"op\":\"relu\"},{\"op\":\"dense\",\"out\":3}"),
        NET("[7]", "3",
            "{\"op\":\"dense\",\"out\":19},{\"op\":\"gelu\"}," FROZEN(
                "dense", "1", ",\"out\":40") ",{\"op\":\"relu\"},{\"op\":\"dense\",\"out\":3}"),
        NET("[9]", "3",
            "{\"op\":\"dense\",\"out\":12}," FROZEN("batch_norm", "1", "") ",{\"op\":\"relu\"},"
            "{\"op\":\"dense\",\"out\":3}"),
        NET("[6,6,2]", "3",
            STEM FROZEN("conv2d", "1", ",\"out\":6,\"kernel\":3,\"padding\":1") "," FROZEN(
                "batch_norm", "2", "") ",{\"op\":\"gelu\"},{\"op\":\"conv2d\",\"out\":4,\"kernel\":3}" HEAD),
        NET("[8,8,16]", "3",
            "{\"op\":\"conv2d\",\"out\":16,\"kernel\":3,\"padding\":1}," /* Winograd */
            FROZEN(
                "conv2d", "1",
                ",\"out\":16,\"kernel\":3,\"padding\":1") ","
            "{\"op\":\"conv2d\",\"out\":16,\"kernel\":3,\"padding\":1}" HEAD),
        NET("[6,6,2]", "3", STEM FROZEN("conv2d", "1", ",\"out\":10,\"groups\":5,\"kernel\":3,\"padding\":1") HEAD),
        NET("[6,5]", "4",
            "{\"op\":\"dense\",\"out\":8}," FROZEN("layer_norm", "1",
                                                   "") ",{\"op\":\"dense\",\"out\":3},"
            "{\"op\":\"flatten\"},{\"op\":\"dense\",\"out\":4}"),
        /* Two norms into an addition, one of them frozen, then both; a frozen branch beside a trained one. */
        NET("[6,6,2]", "3",
            STEM NAMED("relu", "s", "") "," NAMED("conv2d", "a", ",\"out\":5,\"kernel\":3,\"padding\":1") "," FROZEN(
                "batch_norm", "1",
                "") "," NAMED("conv2d", "b",
                              ",\"out\":5,\"kernel\":1,\"from\":\"s\"") "," NAMED("batch_norm", "n",
                                                                                  "") "," NAMED("add", "sum",
            ",\"from\":[\"frozen1\",\"n\"]") ",{\"op\":\"relu\"}" HEAD),
        NET("[6,6,2]", "3",
            STEM NAMED("relu", "s", "") "," NAMED("conv2d", "a", ",\"out\":5,\"kernel\":3,\"padding\":1") "," FROZEN(
                "batch_norm", "1",
                "") "," FROZEN("conv2d", "2",
                               ",\"out\":5,\"kernel\":1,\"from\":\"s\"") "," FROZEN("batch_norm", "3",
                                                                                    "") "," NAMED("add", "sum",
            ",\"from\":[\"frozen1\",\"frozen3\"]")
                HEAD),
        NET("[6,6,2]", "3",
            FROZEN("conv2d", "0", ",\"out\":5,\"kernel\":1") "," NAMED("relu", "s", "") "," FROZEN(
                "conv2d", "1",
                ",\"out\":5,\"kernel\":3,\"padding\":1") "," NAMED("batch_norm", "n",
                                                                   "") "," NAMED("multiply", "m",
            ",\"from\":[\"s\",\"n\"]") HEAD),
        NULL};
    each_family(a);
}

/* Learned, shared and constant; behind a layer with gradients and on the input. */
static void positions(void **state)
{
    (void)state;
    static const char *const a[] = {
        NET("[9,5]", "3",
            "{\"op\":\"dense\",\"out\":7},{\"op\":\"position\",\"learned\":true},{\"op\":\"gelu\"},"
            "{\"op\":\"layer_norm\"},{\"op\":\"flatten\"},{\"op\":\"dense\",\"out\":3}"),
        NET("[9,6]", "3",
            "{\"op\":\"position\"},{\"op\":\"dense\",\"out\":4,\"name\":\"d\"},{\"op\":\"position\",\"name\":\"p\"},"
            "{\"op\":\"multiply\",\"from\":[\"p\",\"d\"]},{\"op\":\"flatten\"},{\"op\":\"dense\",\"out\":3}"),
        NET("[3,2,4]", "3",
            "{\"op\":\"position\",\"learned\":true,\"name\":\"a\"},{\"op\":\"tanh\"},"
            "{\"op\":\"position\",\"learned\":true,\"share\":\"a\"}" HEAD),
        NULL};
    each_family(a);
}

/* Tables of one tile, of several and of more rows than ids; read twice, shared, and through a view of the ids; beside
 * numbers, whose gradients go on. */
static void embeddings(void **state)
{
    (void)state;
    static const char *const a[] = {
        INPUTS(IDS("[9]", ""), "{\"op\":\"embedding\",\"rows\":11,\"out\":6,\"from\":\"i\"},{\"op\":\"dense\",\"out\":"
                               "5},{\"op\":\"gelu\"}" HEAD),
        INPUTS(IDS("[2,3]", ",{\"name\":\"v\",\"shape\":[6,4]}"),
               "{\"op\":\"reshape\",\"shape\":[6],\"from\":\"i\",\"name\":\"r\"},"
               "{\"op\":\"embedding\",\"rows\":500,\"out\":4,\"name\":\"e\",\"from\":\"r\"},"
               "{\"op\":\"dense\",\"out\":4,\"from\":\"v\",\"name\":\"d\"},{\"op\":\"add\",\"from\":[\"e\",\"d\"]},"
               "{\"op\":\"layer_norm\"},{\"op\":\"flatten\"},{\"op\":\"dense\",\"out\":3}"),
        INPUTS(
            IDS("[4]", ""),
            "{\"op\":\"embedding\",\"rows\":70,\"out\":17,\"from\":\"i\",\"name\":\"e\"},"
            "{\"op\":\"tanh\",\"name\":\"a\"},"
               "{\"op\":\"embedding\",\"rows\":70,\"out\":17,\"from\":\"i\",\"share\":\"e\","
            "\"name\":\"f\"},{\"op\":\"multiply\",\"from\":"
               "[\"a\",\"f\"]},{\"op\":\"flatten\"},{\"op\":\"dense\",\"out\":3}"),
        INPUTS(IDS("[5]", ""),
               "{\"op\":\"embedding\",\"rows\":9,\"out\":8,\"from\":\"i\"},{\"op\":\"conv1d\",\"out\":6,"
               "\"kernel\":3,\"padding\":1},{\"op\":\"batch_norm\"},{\"op\":\"relu\"}" HEAD),
        NULL};
    each_family(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(dense),        cmocka_unit_test(shared),
                                       cmocka_unit_test(convolution),  cmocka_unit_test(winograd),
                                       cmocka_unit_test(large_images), cmocka_unit_test(norms),
                                       cmocka_unit_test(activations),  cmocka_unit_test(pools),
                                       cmocka_unit_test(branches),     cmocka_unit_test(frozen),
                                       cmocka_unit_test(embeddings),   cmocka_unit_test(positions)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
