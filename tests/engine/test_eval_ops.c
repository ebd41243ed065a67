/* Operators of the evaluator against onnx.reference and ONNX Runtime: tests/engine/eval_ops.txt, recorded by
 * record_eval.py, or the files named on the command line. */
#include "tests/engine/eval_recorded.h"

static int wrong;                      /* cases */
#define WRONG(...) do { print_error(__VA_ARGS__); print_error("\n"); wrong++; return; } while (0)

/* How far floats may lie apart: sums in another order, and functions of other libraries; com.microsoft's are rougher.
 */
static double loose(const rt_array *a, const rt_eval_node *n)
{
    if (!strcmp(n->op, "Cast") || !strcmp(n->op, "Transpose")) return 0;
    double by_type = a->type == RT_F64 ? 1e-12 : a->type == RT_F16 ? 2e-3 : 2e-6;
    return *n->domain || !strncmp(n->op, "Cum", 3) ? fmax(by_type, 4e-5) : by_type;
}

static void compare(const char *what, const rt_eval_node *n, const rt_array *got, const rt_array *want)
{
    char a[128], b[128];
    if (!got || got->type != want->type || got->rank != want->rank ||
        memcmp(got->dim, want->dim, (size_t)want->rank * sizeof *want->dim))
        WRONG("%s: %s, recorded is %s", what, got ? rt_array_describe(got, a) : "nothing", rt_array_describe(want, b));
    for (size_t i = 0; i < want->count; i++) {
        if (want->type == RT_STRING) {
            if (strcmp(rt_array_text(got, i), rt_array_text(want, i)))
                WRONG("%s[%zu]: '%s', recorded is '%s'", what, i, rt_array_text(got, i), rt_array_text(want, i));
        } else if (!rt_array_is_float(want)) {
            if (rt_array_int(got, i) != rt_array_int(want, i))
                WRONG("%s[%zu]: %lld, recorded is %lld", what, i, (long long)rt_array_int(got, i),
                      (long long)rt_array_int(want, i));
        } else {
            double x = rt_array_double(got, i), y = rt_array_double(want, i), l = loose(want, n);
            if (isnan(y) ? !isnan(x) : isinf(y) ? x != y : !(fabs(x - y) <= l * (0.5 + fabs(y))))
                WRONG("%s[%zu]: %.9g, recorded is %.9g", what, i, x, y);
        }
    }
}

static const char *const *files;
static int file_count;

static void recorded(void **state)
{
    (void)state;
    for (int i = 0; i < file_count; i++) {
        recorded_case c;
        int cases = 0;
        rt_region *whole = rt_region_new((size_t)1 << 30);
        reader r = open_cases(files[i], whole, (size_t)1 << 30);
        for (; read_case(&r, &c); rt_region_clear(r.region), cases++) {
            rt_array *out[MOST] = {0};
            rt_eval *e;
            check_ok(rt_eval_new(&e, r.region));
            rt_status st = rt_eval_one(e, &c.graph, &c.node, c.value, out);
            if (st) print_error("%s: %s\n", c.what, rt_error_message());
            wrong += st != RT_OK;
            for (int k = 0; k < c.node.outputs && !st; k++) if (c.want[k]) compare(c.what, &c.node, out[k], c.want[k]);
        }
        print_message("%d cases\n", cases);
        assert_true(cases > 0);
        rt_region_free(r.region);
        rt_region_free(whole);
    }
    assert_int_equal(wrong, 0);
}

int main(int argc, char **argv)
{
    static const char *const kept[] = {RECORDED};
    const struct CMUnitTest tests[] = {cmocka_unit_test(recorded)};
    files = argc > 1 ? (const char *const *)argv + 1 : kept;
    file_count = argc > 1 ? argc - 1 : 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
