/* Operators of the evaluator on what nobody meant: the recorded cases with shapes, types, values, attributes and opsets
 * changed at random. Each either runs or is refused with a word, within its time and memory. */
#include "tests/engine/eval_recorded.h"

typedef struct { uint64_t seed; uint32_t at; } draw;
static uint32_t next(draw *d, uint32_t n)
{
    uint32_t w[4];
    rt_random4(w, d->seed, RT_RNG_TEST, 0, 0, d->at++, 3);
    return w[0] % n;
}

static int64_t some_int(draw *d)
{
    static const int64_t few[] = {-2, -1, 0, 1, 2, 3, 4, 9, 64, 1000, 1 << 20, INT32_MAX, (int64_t)1 << 40, INT64_MAX,
                                  INT64_MIN, INT64_MIN + 1};
    return few[next(d, next(d, 2) ? 8 : 16)];
}

static double some_real(draw *d)
{
    static const double few[] = {0,        -0.0,      1,   -1,  0.5,  2,   1e-30, 1e30,
                                 INFINITY, -INFINITY, NAN, 3.5, -1e9, 255, 1e18,  -128};
    return few[next(d, 16)];
}

/* An input of another type, rank, size, or with other values; or none. */
static void change_input(recorded_case *c, rt_region *r, draw *d)
{
    int i = (int)next(d, (uint32_t)c->node.inputs), at = c->in[i], rank;
    if (at < 0) return;
    rt_array *a = c->value[at], *b;
    int64_t dim[RT_ARRAY_RANK], count = 1;
    rt_dtype type = a->type;
    memcpy(dim, a->dim, sizeof dim);
    rank = a->rank;
    switch (next(d, 7)) {
    case 0: if (rank) dim[next(d, (uint32_t)rank)] = next(d, 4); break;
    case 1: if (rank) rank--; break;
    case 2: if (rank < RT_ARRAY_RANK) dim[rank++] = next(d, 3); break;
    case 3: do type = (rt_dtype)next(d, RT_DTYPE_COUNT); while (type == RT_TEXT); break;
    case 4: c->in[i] = -1; return;
    default:
        for (uint32_t k = 0, n = 1 + next(d, 3); k < n && a->count && type != RT_STRING; k++) {
            size_t where = next(d, (uint32_t)a->count);
            if (rt_array_is_float(a)) rt_array_put(a, where, some_real(d));
            else rt_array_put_int(a, where, some_int(d));
        }
        return;
    }
    for (int k = 0; k < rank; k++) count *= dim[k];
    if (count > 1 << 16) return;
    check_ok(rt_array_make(&b, r, type, rank, dim));
    for (size_t k = 0; k < b->count && a->count; k++) {
        if (type == RT_STRING && a->type == RT_STRING) rt_array_copy(b, k, a, k % a->count);
        else if (type != RT_STRING && a->type != RT_STRING) rt_array_put(b, k, rt_array_double(a, k % a->count));
    }
    c->value[at] = b;
}

static void change_attribute(recorded_case *c, draw *d)
{
    static const char *const words[] = {"",    "reflect",   "edge", "wrap",       "add", "max",
                                        "DCR", "CRD",       "LEFT", "SAME_LOWER", "MAX", "LOGISTIC",
                                        "RBF", "BRANCH_EQ", "LEAF", "circular"};
    if (!c->node.attrs) return;
    rt_eval_attr *a = &c->attr[next(d, (uint32_t)c->node.attrs)];
    if (a->kind == RT_EA_TENSOR) return;
    switch (next(d, 6)) {
    case 0: *a = c->attr[--c->node.attrs]; return;
    case 1: a->n = a->kind >= RT_EA_FLOATS ? (int)next(d, 12) : 1; break;
    case 2: a->kind = (rt_eval_attr_kind[]){RT_EA_INT, RT_EA_INTS, RT_EA_FLOATS, RT_EA_STRING}[next(d, 4)]; break;
    default: {
        int at = a->n ? (int)next(d, (uint32_t)a->n) : 0;
        ((int64_t *)(uintptr_t)a->i)[at] = some_int(d);
        ((float *)(uintptr_t)a->f)[at] = (float)some_real(d);
        ((const char **)(uintptr_t)a->s)[at] = words[next(d, 16)];
    }
    }
    for (int i = 0; i < a->n; i++) if (!a->s[i]) ((const char **)(uintptr_t)a->s)[i] = "";
}

static void changed(reader *r, recorded_case *c, draw *d, int *ran)
{
    rt_array *out[MOST] = {0};
    rt_eval *e;
    for (uint32_t k = 0, n = 1 + next(d, 3); k < n; k++) {
        uint32_t what = next(d, 8);
        if (what < 4 && c->node.inputs) change_input(c, r->region, d);
        else if (what < 7) change_attribute(c, d);
        else c->node.version = 1 + (int)next(d, 28);
    }
    c->node.def = rt_eval_find(c->node.domain, c->node.op, c->node.version);
    check_ok(rt_eval_new(&e, r->region));
    rt_eval_limit(e, 2);
    rt_status st = rt_eval_one(e, &c->graph, &c->node, c->value, out);
    if (st && st != RT_INPUT) fail_msg("%s: status %d: %s", c->what, st, rt_error_message());
    if (st && !*rt_error_message()) fail_msg("%s: refused without a word", c->what);
    for (int i = 0; !st && i < c->node.outputs; i++) {
        size_t count, bytes;
        if (!out[i]) fail_msg("%s: no output %d", c->what, i);
        check_ok(rt_array_size(out[i]->type, out[i]->rank, out[i]->dim, &count, &bytes));
        assert_int_equal(count, out[i]->count);
        for (size_t k = 0; k < count; k++) {                     /* each is there to be read, and truth is 0 or 1 */
            double v = rt_array_double(out[i], k);
            if (out[i]->type == RT_BOOL) assert_true(v == 0 || v == 1);
            if (out[i]->type == RT_STRING) assert_non_null(rt_array_text(out[i], k));
        }
    }
    *ran += !st;
}

static int turns = 12;

static void any_change(void **state)
{
    (void)state;
    int ran = 0, all = 0;
    for (int k = 0; k < turns; k++) {
        recorded_case c;
        draw d = {(uint64_t)k, 0};
        rt_region *whole = rt_region_new((size_t)1 << 30);
        reader r = open_cases(RECORDED, whole, (size_t)64 << 20);
        for (; read_case(&r, &c); rt_region_clear(r.region), all++) changed(&r, &c, &d, &ran);
        rt_region_free(r.region);
        rt_region_free(whole);
    }
    print_message("%d of %d ran\n", ran, all);
    assert_true(ran > all / 10 && ran < all * 9 / 10);
}

/* test_eval_ops_any [TURNS] */
int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(any_change)};
    if (argc > 1) turns = atoi(argv[1]);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
