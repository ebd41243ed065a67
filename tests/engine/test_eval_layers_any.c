/* The evaluator's layers on what nobody meant: the recorded cases with shapes, types, values, attributes and opsets
 * changed at random. Each either runs or is refused, in its time and memory; under sanitizers no byte is read that is
 * not there. */
#include "tests/engine/eval_cases.h"

enum { CHANGED = 60 };                      /* versions of each case */

typedef struct { uint64_t seed; uint32_t at; } draw;
static uint32_t next(draw *d, uint32_t n)
{
    uint32_t w[4];
    rt_random4(w, d->seed, RT_RNG_TEST, 0, 0, d->at++, 7);
    return w[0] % n;
}

static int64_t some_int(draw *d)
{
    static const int64_t few[] = {-2, -1, 0, 1, 2, 3, 4, 7, 64, 1000, 1 << 20, INT32_MAX, (int64_t)1 << 40, INT64_MAX,
                                  INT64_MIN, -1000};
    return few[next(d, next(d, 2) ? 8 : 16)];
}

static double some_double(draw *d)
{
    static const double few[] = {0, 1, -1, 0.5, 2, 1e-30, 1e30, INFINITY, -INFINITY, NAN, 3.5, -1e9};
    return few[next(d, 12)];
}

/* One input with another shape, type or value; it never has more than 4096 elements. */
static void change_input(eval_case *c, draw *d)
{
    int i = (int)next(d, (uint32_t)c->inputs);
    rt_array *a = c->value[i], *b;
    if (!a) return;
    int64_t dim[RT_ARRAY_RANK], count = 1;
    int rank = a->rank;
    rt_dtype type = a->type;
    memcpy(dim, a->dim, sizeof dim);
    switch (next(d, 6)) {
    case 0: if (rank) dim[next(d, (uint32_t)rank)] = next(d, 6); break;
    case 1: if (rank) rank--; break;
    case 2: if (rank < RT_ARRAY_RANK) dim[rank++] = 1 + next(d, 3); break;
    case 3: type = (rt_dtype)next(d, RT_DTYPE_COUNT); break;
    case 4: c->in[i] = -1; return;
    default:
        if (a->type != RT_STRING && a->count) {
            if (rt_array_is_float(a)) rt_array_put(a, next(d, (uint32_t)a->count), some_double(d));
            else rt_array_put_int(a, next(d, (uint32_t)a->count), some_int(d));
        }
        return;
    }
    for (int k = 0; k < rank; k++) count *= dim[k];
    if (type == RT_TEXT || count > 4096) return;
    check_ok(rt_array_make(&b, c->region, type, rank, dim));
    for (size_t k = 0; k < b->count && a->count; k++) {
        size_t from = k % a->count;
        if (type == RT_STRING) ((const char **)b->data)[k] = rt_array_text(a, from);
        else if (a->type != RT_STRING) rt_array_put(b, k, rt_array_double(a, from));
    }
    c->value[i] = b;
}

static void change_attribute(eval_case *c, draw *d)
{
    static const char *const words[] = {"", "SAME_UPPER", "SAME_LOWER", "VALID", "linear", "cubic", "nearest",
                                        "reverse", "bidirectional", "none", "reflection", "align_corners"};
    if (!c->node.attrs) return;
    rt_eval_attr *a = &c->attr[next(d, (uint32_t)c->node.attrs)];
    int at = a->n ? (int)next(d, (uint32_t)a->n) : 0;
    switch (next(d, 8)) {
    case 0: *a = c->attr[--c->node.attrs]; break;
    case 1: a->n = (int)next(d, 9); break;
    case 2: a->kind = (rt_eval_attr_kind[]){RT_EA_INT, RT_EA_INTS, RT_EA_FLOATS, RT_EA_STRING}[next(d, 4)]; break;
    default:
        ((int64_t *)(uintptr_t)a->i)[at] = some_int(d);
        ((float *)(uintptr_t)a->f)[at] = (float)some_double(d);
        if (a->kind == RT_EA_STRING || a->kind == RT_EA_STRINGS)
            ((const char **)(uintptr_t)a->s)[at] = words[next(d, 12)];
    }
    for (int i = 0; i < a->n; i++) if (!a->s[i]) ((const char **)(uintptr_t)a->s)[i] = "";
}

static void one(eval_case *c, draw *d, int *ran)
{
    rt_array *out[CASE_VALUES] = {NULL};
    rt_eval *e;
    rt_eval_graph g = {.name = "any", .values = CASE_VALUES};
    for (uint32_t k = 0, n = 1 + next(d, 3); k < n; k++) {
        uint32_t what = next(d, 8);
        if (what < 4 && c->inputs) change_input(c, d);
        else if (what < 7) change_attribute(c, d);
        else c->node.version = 1 + (int)next(d, 28);
    }
    c->node.def = rt_eval_find(c->node.domain, c->node.op, c->node.version);
    check_ok(rt_eval_new(&e, c->region));
    rt_eval_limit(e, 0.5);
    rt_status st = rt_eval_one(e, &g, &c->node, c->value, out);
    if (st && st != RT_INPUT) fail_msg("%s: status %d: %s", c->title, st, rt_error_message());
    if (st && !*rt_error_message()) fail_msg("%s: refused without a word", c->title);
    for (int i = 0; !st && i < c->node.outputs; i++) {
        size_t count, bytes;
        if (c->out[i] < 0) continue;
        if (!out[i]) fail_msg("%s: no output %d", c->title, i);
        check_ok(rt_array_size(out[i]->type, out[i]->rank, out[i]->dim, &count, &bytes));
        assert_int_equal(count, out[i]->count);
        if (count) assert_true(rt_array_double(out[i], count - 1) == 0 || 1);      /* read it */
    }
    *ran += !st;
}

static void any_change(void **state)
{
    (void)state;
    rt_region *r = rt_region_new((size_t)32 << 20);
    int ran = 0, all = 0, count;
    for (int k = 0; k < CHANGED; k++) {
        FILE *f = fopen(RETORT_SOURCE_DIR "/tests/engine/eval_layers.txt", "r");
        eval_case c;
        draw d = {(uint64_t)k, 0};
        assert_non_null(f);
        for (; read_case(f, r, &c, &count); all++) {
            if (c.refused) c.node.outputs = 1;
            one(&c, &d, &ran);
        }
        fclose(f);
    }
    rt_region_free(r);
    print_message("%d of %d ran\n", ran, all);
    assert_true(all > 10000 && ran > all / 10 && ran < all * 9 / 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(any_change)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
