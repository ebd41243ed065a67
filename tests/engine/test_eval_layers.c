/* The evaluator's layers - products, convolutions, pooling, norms, recurrence, attention, losses, images, signals -
 * against what ONNX Runtime, the ONNX reference and PyTorch answered (record_eval_layers.py), every opset that changed
 * a definition among them; and products at sizes around those of their blocks. */
#include "tests/engine/eval_cases.h"

static void recorded(void **state)
{
    (void)state;
    check_cases(RETORT_SOURCE_DIR "/tests/engine/eval_layers.txt");
}

static void numbers(rt_array *a, uint64_t seed)
{
    for (size_t i = 0; i < a->count; i++) {
        uint32_t w[4];
        rt_random4(w, seed, RT_RNG_TEST, 0, 0, (uint32_t)i, 0);
        rt_array_put(a, i, rt_unit(w[0]) - 0.5);
    }
}

/* MatMul and Gemm, with either operand transposed, against sums in double. */
static void products_at_odd_sizes(void **state)
{
    (void)state;
    static const int sizes[][3] = {{1, 1, 1}, {1, 7, 300}, {2, 257, 5}, {3, 9, 513}, {4, 8, 256}, {5, 15, 257},
                                   {63, 17, 31}, {65, 260, 270}, {129, 3, 2}, {7, 513, 258}};
    for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++)
        for (int t = 0; t < 5; t++) {               /* 4: MatMul */
            int64_t m = sizes[s][0], n = sizes[s][1], k = sizes[s][2], ta = t < 4 && t & 1, tb = t < 4 && t & 2;
            int64_t da[] = {ta ? k : m, ta ? m : k}, db[] = {tb ? n : k, tb ? k : n}, flag_a = ta, flag_b = tb != 0;
            rt_region *r = rt_region_new((size_t)64 << 20);
            rt_array *value[2], *out[1] = {NULL};
            rt_eval *e;
            rt_eval_graph g = {.name = "products", .values = 3};
            rt_eval_attr attr[] = {{.name = "transA", .kind = RT_EA_INT, .n = 1, .i = &flag_a},
                                   {.name = "transB", .kind = RT_EA_INT, .n = 1, .i = &flag_b}};
            int in[] = {0, 1}, name[] = {2};
            rt_eval_node node = {.name = "p", .op = t < 4 ? "Gemm" : "MatMul", .domain = "", .in = in, .inputs = 2,
                                 .out = name, .outputs = 1, .attr = attr, .attrs = t < 4 ? 2 : 0, .version = 13};
            node.def = rt_eval_find("", node.op, 13);
            check_ok(rt_array_make(&value[0], r, RT_F32, 2, da));
            check_ok(rt_array_make(&value[1], r, RT_F32, 2, db));
            numbers(value[0], s + 1);
            numbers(value[1], s + 100);
            check_ok(rt_eval_new(&e, r));
            check_ok(rt_eval_one(e, &g, &node, value, out));
            for (int64_t i = 0; i < m; i++)
                for (int64_t j = 0; j < n; j++) {
                    double sum = 0;
                    for (int64_t l = 0; l < k; l++)
                        sum += rt_array_double(value[0], (size_t)(ta ? l * m + i : i * k + l)) *
                               rt_array_double(value[1], (size_t)(tb ? j * k + l : l * n + j));
                    check_close(node.op, rt_array_double(out[0], (size_t)(i * n + j)), sum, 1e-5, 0);
                }
            rt_region_free(r);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(recorded), cmocka_unit_test(products_at_odd_sizes)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
