/* Operators of elements, moves, joins, folds and products of two inputs on the emulated card, against the CPU, where
 * they take their special ways: tiles of a transposition, packs, folds in parts, more joins than a launch takes, the
 * same input twice, masks of dropout, regular and irregular distances of matrices; batches of one row and some.
 * (Gradients of all of them against double: test_cuda_operators.) */
#include "tests/cuda/cuda_scene.h"

#define NET(shape, layers) "{\"input\": " shape ", \"classes\": 3, \"layers\": [" layers "]}"
#define OP(op, rest) "{\"op\": \"" op "\"" rest "}, "
#define NAMED(op, name, rest) OP(op, ", \"name\": \"" name "\"" rest)
#define OUT "{\"op\": \"flatten\"}, {\"op\": \"dense\", \"out\": 3}"
#define STEM(out) OP("dense", ", \"out\": " out) OP("tanh", "")

static void try_all(const char *const *arch)
{
    for (; *arch; arch++) {
        scene_check(&(cuda_scene){.arch = *arch, .batch = 6, .rows = 5, .steps = 2});
        scene_check(&(cuda_scene){.arch = *arch, .batch = 1, .steps = 1});
    }
}

static void transposed(void **state)
{
    (void)state;
    try_all((const char *const[]){NET("[9, 35]", STEM("33") OP("permute", ", \"axes\": [1, 0]") OUT),
                                  NET("[5, 7, 9]", STEM("12") OP("permute", ", \"axes\": [2, 0, 1]") OUT),
                                  NET("[5, 8, 9]", STEM("34") OP("permute", ", \"axes\": [0, 2, 1]") OUT),
                                  NET("[5, 9, 9]", STEM("8") OP("permute", ", \"axes\": [1, 0, 2]") OUT),
                                  NET("[5, 9, 9]", STEM("9") OP("permute", ", \"axes\": [2, 1, 0]") OUT), NULL});
}

/* Along the last dimension whole or in part, by 4 or not. */
static void moved(void **state)
{
    (void)state;
    try_all((const char *const[]){
        NET("[6, 5]", STEM("8") OP("slice", ", \"start\": [1, 0], \"end\": [6, 8]") OP("relu", "") OUT),
        NET("[6, 5]", STEM("8") OP("slice", ", \"start\": [0, 4], \"end\": [6, 8], \"step\": [2, 1]") OUT),
        NET("[6, 5]", STEM("8") OP("pad", ", \"before\": [2, 0], \"behind\": [1, 0], \"mode\": \"reflect\"") OUT),
        NET("[6, 5]", STEM("8") OP("pad", ", \"before\": [20, 1], \"behind\": [7, 9], \"mode\": \"wrap\"") OUT),
        NET("[1, 5]", STEM("8") OP("pad", ", \"before\": [3, 0], \"behind\": [4, 2], \"mode\": \"edge\"") OUT),
        NET("[6, 5]", STEM("8") OP("tile", ", \"repeats\": [3, 1]") OP("tile", ", \"repeats\": [1, 2]") OUT),
        NET("[1, 5]", STEM("8") OP("expand", ", \"shape\": [9, 8]") OUT),
        NET("[6, 1]", STEM("1") OP("expand", ", \"shape\": [3, 1, 40]") OUT),
        NET("[6, 5]", STEM("40") OP("gather", ", \"axis\": 0, \"shape\": [70]") OUT), NULL});
}

#define ALL_16 \
    "\"a\", \"b\", \"a\", \"b\", \"a\", \"b\", \"a\", \"b\", \"a\", \"b\", \"a\", \"b\", \"a\", \"b\", \"a\", \"b\""
#define TWO(out, other) \
    NAMED("dense", "a", ", \"out\": " out) NAMED("dense", "b", ", \"out\": " other ", \"from\": \"input\"")
static void joined(void **state)
{
    (void)state;
    static char many[4000], inputs[1000];
    int n = 0, m = 0;
    for (int i = 0; i < 19; i++) {
        n += snprintf(many + n, sizeof many - (size_t)n, "{\"op\": \"dense\", \"out\": %d, \"from\": \"input\", "
                      "\"name\": \"d%d\"}, ", 1 + i % 5, i);
        m += snprintf(inputs + m, sizeof inputs - (size_t)m, "%s\"d%d\"", i ? ", " : "", i);
    }
    static char wide[6000];
    snprintf(wide, sizeof wide, NET("[4, 5]", "%s{\"op\": \"concat\", \"from\": [%s]}, " OP("tanh", "") OUT), many,
             inputs);
    try_all((const char *const[]){
        NET("[4, 5]", TWO("8", "4") NAMED("concat", "c", ", \"from\": [\"a\", \"b\", \"a\"]") OP("tanh", "") OUT),
        NET("[4, 5]", TWO("4", "4") NAMED("concat", "c", ", \"from\": [" ALL_16 ", \"a\", \"b\"]") OP("tanh", "") OUT),
        NET("[4, 5]", TWO("6", "6") NAMED("concat", "c", ", \"axis\": 0, \"from\": [\"b\", \"a\"]") OP("tanh", "") OUT),
        wide, NULL});
}

static void added(void **state)
{
    (void)state;
    try_all((const char *const[]){
        NET("[3, 5]", TWO("8", "8") OP("add", ", \"from\": [\"a\", \"b\"]") OP("relu", "") OUT),
        NET("[3, 5]", TWO("7", "7") OP("add", ", \"from\": [\"a\", \"a\"]") OP("relu6", "") OUT),
        NET("[3, 5]", TWO("8", "8") OP("multiply", ", \"from\": [\"b\", \"b\"]") OUT),
        NET("[3, 5]", TWO("8", "8") OP("multiply", ", \"from\": [\"a\", \"b\"]") NAMED("silu", "s", "")
            OP("add", ", \"from\": [\"s\", \"a\"]") OP("gelu", "") OUT),
        NET("[3, 5]", TWO("8", "8") OP("subtract", ", \"from\": [\"a\", \"b\"]") OP("leaky_relu", "") OUT), NULL});
}

/* Lines that fold into few numbers, in parts, and the other way. */
static void folded(void **state)
{
    (void)state;
    try_all((const char *const[]){
        NET("[40, 31, 3]", STEM("8") OP("multiply", ", \"operand\": [8], \"learned\": true")
            OP("prelu", ", \"operand\": [1], \"learned\": true")
            OP("add", ", \"operand\": [40, 1, 1], \"learned\": true")
            OP("reduce_mean", ", \"axes\": [0, 1]") OUT),
        NET("[9, 11, 3]", NAMED("dense", "a", ", \"out\": 12") OP("reduce_mean", ", \"axes\": [0, 1], \"keep\": true")
            OP("dense", ", \"out\": 12") NAMED("sigmoid", "g", "") OP("multiply", ", \"from\": [\"a\", \"g\"]")
            OP("reduce_max", ", \"axes\": [0, 1]") OUT),
        NET("[70, 9, 3]", NAMED("dense", "a", ", \"out\": 9") NAMED("reduce_log_sum_exp", "s", ", \"axes\": [0]")
            OP("reduce_l2", ", \"axes\": [1], \"from\": \"a\"") NAMED("flatten", "f", "")
            NAMED("flatten", "z", ", \"from\": \"s\"") OP("concat", ", \"from\": [\"f\", \"z\"]")
            OP("dense", ", \"out\": 3") "{\"op\": \"tanh\"}"), NULL});
    scene_check(&(cuda_scene){.arch = NET("[150, 60]", STEM("8") NAMED("reduce_sum", "s", "") OUT), .batch = 2,
                              .steps = 1});
    scene_check(&(cuda_scene){.arch = NET("[1300, 4]", STEM("5") OP("reduce_prod", ", \"axes\": [1]")
                                          OP("reduce_max", ", \"axes\": [0]") "{\"op\": \"dense\", \"out\": 3}"),
                              .batch = 2, .steps = 1});
}

static void dropped(void **state)
{
    (void)state;
    scene_check(&(cuda_scene){.arch = NET("[3, 5]", STEM("8") OP("dropout", ", \"rate\": 0.4") STEM("7")
                                          OP("dropout", ", \"rate\": 0.2") OUT), .batch = 9, .rows = 4, .steps = 3});
}

static void known_statistics(void **state)
{
    (void)state;
    static const char *const after[] = {"relu", "silu", "tanh", "relu6"};
    for (int i = 0; i < 4; i++) {
        char text[400];
        snprintf(text, sizeof text, NET("[5, 6]", OP("batch_norm", "") OP("%s", "") OUT), after[i]);
        scene_check(&(cuda_scene){.arch = text, .batch = 5});
    }
}

#define SIDE(input, name, count, shape) \
    NAMED("multiply", "m" name, ", \"operand\": [" count "], \"learned\": true, \"from\": \"" input "\"") \
    NAMED("reshape", name, ", \"shape\": " shape)
#define PRODUCT(n, a, m, b, rest) \
    "{\"inputs\": [{\"name\": \"u\", \"shape\": [" n "]}, {\"name\": \"v\", \"shape\": [" m "]}], \"classes\": 3, " \
    "\"layers\": [" SIDE("u", "p", n, a) SIDE("v", "q", m, b) OP("matmul", ", \"from\": [\"p\", \"q\"]" rest) \
    OP("tanh", "") OUT "]}"
static void products(void **state)
{
    (void)state;
    try_all((const char *const[]){
        PRODUCT("35", "[5, 7]", "28", "[7, 4]", ""),
        PRODUCT("35", "[7, 5]", "28", "[7, 4]", ", \"transpose_a\": true, \"scale\": 0.5"),
        PRODUCT("35", "[5, 7]", "28", "[4, 7]", ", \"transpose_b\": true"),
        PRODUCT("35", "[7, 5]", "28", "[4, 7]", ", \"transpose_a\": true, \"transpose_b\": true"),
        PRODUCT("210", "[2, 3, 5, 7]", "168", "[2, 3, 7, 4]", ""),
        PRODUCT("210", "[2, 3, 5, 7]", "28", "[7, 4]", ""),
        PRODUCT("210", "[2, 3, 7, 5]", "28", "[7, 4]", ", \"transpose_a\": true"),
        PRODUCT("35", "[5, 7]", "168", "[2, 3, 7, 4]", ""),
        PRODUCT("70", "[2, 1, 5, 7]", "84", "[1, 3, 4, 7]", ", \"transpose_b\": true"),
        PRODUCT("105", "[3, 5, 7]", "168", "[2, 3, 7, 4]", ""),
        PRODUCT("35", "[5, 7]", "28", "[7, 4]", ", \"scale\": 0"), NULL});
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(transposed), cmocka_unit_test(moved),   cmocka_unit_test(joined),
        cmocka_unit_test(added),      cmocka_unit_test(folded),  cmocka_unit_test(dropped),
        cmocka_unit_test(known_statistics), cmocka_unit_test(products)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
