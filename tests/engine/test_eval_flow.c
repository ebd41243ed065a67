/* If, Loop and Scan over bodies: sums whose values are known beforehand, and loops that never end. */
#include "tests/support.h"

#include "engine/clock.h"
#include "engine/eval/eval.h"
#include "engine/red_zones.h"

enum { VALUES = 16 };

/* A graph under construction: values are numbered by whoever builds it. */
typedef struct {
    rt_eval_graph g;
    const char *names[VALUES];
    rt_array *known[VALUES];
    int in[VALUES], out[VALUES], capture[VALUES], from[VALUES];
    rt_eval_node node[8];
    int io[8][2][4];
    rt_eval_attr attr[8][4];
} built;

static rt_region *region;
static rt_eval *eval;

static int setup(void **state)
{
    (void)state;
    region = rt_region_new((size_t)16 << 20);
    return region ? (int)rt_eval_new(&eval, region) : 1;
}

static int teardown(void **state)
{
    (void)state;
    rt_region_free(region);
    return 0;
}

static void begin(built *b, rt_eval_graph *around)
{
    memset(b, 0, sizeof *b);
    for (int i = 0; i < VALUES; i++) b->names[i] = "v";
    b->g = (rt_eval_graph){.name = "body", .values = VALUES, .value = b->names, .known = b->known, .input = b->in,
                           .output = b->out, .node = b->node, .capture = b->capture, .captured_from = b->from,
                           .around = around};
}

/* op(a, b) = y; b -1: none */
static rt_eval_node *add(built *b, const char *op, int version, int x, int z, int y)
{
    int k = b->g.nodes++;
    rt_eval_node *n = &b->node[k];
    b->io[k][0][0] = x;
    b->io[k][0][1] = z;
    b->io[k][1][0] = y;
    *n = (rt_eval_node){.name = "n", .op = op, .domain = "", .in = b->io[k][0], .inputs = z >= 0 ? 2 : 1,
                        .out = b->io[k][1], .outputs = 1, .attr = b->attr[k], .def = rt_eval_find("", op, version),
                        .version = version};
    return n;
}

static void body(built *b, const char *name, const built *of)
{
    rt_eval_node *n = &b->node[b->g.nodes - 1];
    b->attr[b->g.nodes - 1][n->attrs++] = (rt_eval_attr){
        .name = name, .kind = RT_EA_GRAPH, .n = 1, .g = (rt_eval_graph *)&of->g};
}

static void ints(built *b, const char *name, int kind, int n, const int64_t *list)
{
    rt_eval_node *at = &b->node[b->g.nodes - 1];
    b->attr[b->g.nodes - 1][at->attrs++] = (rt_eval_attr){
        .name = name, .kind = (rt_eval_attr_kind)kind, .n = n, .i = list};
}

static rt_array *whole(int rank, int64_t n, const int64_t *v)
{
    rt_array *a;
    check_ok(rt_array_make(&a, region, RT_I64, rank, &n));
    for (size_t i = 0; i < a->count; i++) rt_array_put_int(a, i, v[i]);
    return a;
}
static rt_array *one(int64_t v) { return whole(0, 0, &v); }
static rt_array *truth(int v)
{
    rt_array *a;
    check_ok(rt_array_make(&a, region, RT_BOOL, 0, NULL));
    rt_array_put_int(a, 0, v);
    return a;
}

static void check(const rt_array *a, int rank, const int64_t *dim, const int64_t *v)
{
    assert_non_null(a);
    assert_int_equal(a->rank, rank);
    for (int i = 0; i < rank; i++) assert_int_equal(a->dim[i], dim[i]);
    for (size_t i = 0; i < a->count; i++) assert_int_equal(rt_array_int(a, i), v[i]);
}

static void branches(void **state)
{
    (void)state;
    for (int is = 0; is < 2; is++) {
        built g, yes, no;
        begin(&g, NULL);
        begin(&yes, &g.g);
        begin(&no, &g.g);
        for (int k = 0; k < 2; k++) {                   /* both read value 1 of the graph around them */
            built *b = k ? &yes : &no;
            b->g.captures = 1;
            b->from[0] = 1;
            add(b, k ? "Add" : "Mul", 14, 0, 0, 1);
            add(b, "Mul", 14, 1, 0, 2);
            b->g.outputs = 1;
            b->out[0] = 2;
        }
        add(&g, "If", 16, 0, -1, 2);
        body(&g, "then_branch", &yes);
        body(&g, "else_branch", &no);
        rt_array *value[VALUES] = {truth(is), one(5)};
        check_ok(rt_eval_run(eval, &g.g, value, 1));
        check(value[2], 0, NULL, (int64_t[]){is ? 50 : 125});
    }
}

/* Body of: turn, go, sum -> go, sum + turn, and that again as what is collected. With a bound the loop goes on while
 * the sum is below value 1 of the graph around. */
static void sums(built *b, built *around, int bounded)
{
    begin(b, &around->g);
    b->g.inputs = 3;
    for (int i = 0; i < 3; i++) b->in[i] = i;
    b->g.captures = bounded;
    b->capture[0] = 5;
    b->from[0] = 1;
    add(b, "Add", 14, 2, 0, 3);
    if (bounded) add(b, "Less", 13, 3, 5, 4);
    else add(b, "Identity", 16, 1, -1, 4);
    b->g.outputs = 3;
    b->out[0] = 4;
    b->out[1] = b->out[2] = 3;
}

/* trips and condition NULL: left out. */
static rt_status loop(rt_array *trips, rt_array *condition, int64_t bound, rt_array **sum, rt_array **list)
{
    static built g, b;
    begin(&g, NULL);
    sums(&b, &g, bound != 0);
    rt_eval_node *n = add(&g, "Loop", 16, 2, 3, 6);
    g.io[0][0][0] = trips ? 2 : -1;
    g.io[0][0][1] = condition ? 3 : -1;
    g.io[0][0][2] = 4;
    g.io[0][1][1] = 7;
    n->inputs = 3;
    n->outputs = 2;
    body(&g, "body", &b);
    rt_array *value[VALUES] = {NULL, one(bound), trips, condition, one(100)};
    rt_status st = rt_eval_run(eval, &g.g, value, 1);
    *sum = value[6];
    *list = value[7];
    return st;
}

static void loops(void **state)
{
    (void)state;
    rt_array *sum, *list;
    check_ok(loop(one(4), truth(1), 0, &sum, &list));
    check(sum, 0, NULL, (int64_t[]){106});
    check(list, 1, (int64_t[]){4}, (int64_t[]){100, 101, 103, 106});
    check_ok(loop(NULL, NULL, 105, &sum, &list));                /* ends by the condition alone */
    check(list, 1, (int64_t[]){4}, (int64_t[]){100, 101, 103, 106});
    check_ok(loop(one(2), NULL, 105, &sum, &list));              /* the trips are fewer */
    check(sum, 0, NULL, (int64_t[]){101});
    check_ok(loop(one(9), truth(0), 0, &sum, &list));            /* no turn at all */
    check(sum, 0, NULL, (int64_t[]){100});
    check(list, 1, (int64_t[]){0}, NULL);
    check_ok(loop(one(0), NULL, 0, &sum, &list));
    check(list, 1, (int64_t[]){0}, NULL);
}

static void endless(void **state)
{
    (void)state;
    rt_array *sum, *list;
    check_fails(loop(NULL, NULL, 0, &sum, &list), RT_INPUT, "budget of 16 MiB");
    rt_region_free(region);
    assert_int_equal(setup(NULL), 0);

    rt_eval_limit(eval, 1e-9);
    check_fails(loop(one(INT64_MAX), NULL, 0, &sum, &list), RT_INPUT, "seconds that are allowed");
}

/* One operator over an array of this shape in half a second; how long it took of the thread's time. */
static double in_time(const char *op, int opset, rt_dtype type, int rank, const int64_t *dim, const char *said)
{
    built b;
    rt_array *x, *value[VALUES] = {0}, *out[4] = {0};
    rt_region *room = rt_region_new((size_t)1 << 30);
    rt_eval *e;
    begin(&b, NULL);
    add(&b, op, opset, 0, -1, 1);
    b.node[0].inputs = 1;
    check_ok(rt_array_make(&x, room, type, rank, dim));
    for (int64_t i = 0; rank == 2 && i < dim[0]; i++) rt_array_put(x, (size_t)(i * (dim[1] + 1)), 1);
    check_ok(rt_eval_new(&e, room));
    value[0] = x;
    double start = rt_thread_seconds();
    rt_eval_limit(e, 0.5);
    check_fails(rt_eval_one(e, &b.g, &b.node[0], value, out), RT_INPUT, said);
    double took = rt_thread_seconds() - start;
    rt_region_free(room);
    return took;
}

/* What takes longer than is allowed ends in time, wherever its loops are: a transform of prime length, elimination,
 * elements one by one. Instrumented, a step takes longer. */
static void long_ones(void **state)
{
    (void)state;
    const double most = RT_RED_ZONES ? 5 : 2;
    assert_true(in_time("DFT", 17, RT_F32, 3, (int64_t[]){1, 199999, 1}, "seconds that are allowed") < most);
    assert_true(in_time("Det", 11, RT_F64, 2, (int64_t[]){4000, 4000}, "seconds that are allowed") < most);
    assert_true(in_time("Erf", 13, RT_F16, 1, (int64_t[]){1 << 26}, "67108864 elements more take longer") < 0.5);
    assert_true(in_time("Neg", 13, RT_I8, 1, (int64_t[]){1 << 28}, "268435456 elements more take longer") < 0.5);
}

/* Small pieces use up a budget with the places that they take. */
static void small_pieces(void **state)
{
    (void)state;
    rt_region *r = rt_region_new(1 << 20);
    int n = 0;
    while (rt_region_take(r, 1)) n++;
    assert_int_equal(n, (1 << 20) / 16);
    rt_region_clear(r);
    for (n = 0; rt_region_take(r, 65); n++) {}
    assert_int_equal(n, (1 << 20) / 128);
    rt_region_clear(r);
    assert_non_null(rt_region_take(r, 1 << 20));
    assert_null(rt_region_take(r, 0));
    rt_region_free(r);
}

/* s, x[i] -> s + x[i], and its double as what is collected */
static void running(built *b)
{
    begin(b, NULL);
    b->g.inputs = 2;
    b->in[1] = 1;
    add(b, "Add", 14, 0, 1, 2);
    add(b, "Add", 14, 2, 2, 3);
    b->g.outputs = 2;
    b->out[0] = 2;
    b->out[1] = 3;
}

static void scans(void **state)
{
    (void)state;
    static const int64_t x[] = {1, 2, 3, 10, 20, 30}, two[] = {100, 200}, inputs = 1, at[] = {1}, back[] = {1},
                         last[] = {-1};
    built g, b;
    begin(&g, NULL);
    running(&b);
    rt_eval_node *n = add(&g, "Scan", 16, 0, 1, 2);
    n->outputs = 2;
    g.io[0][1][1] = 3;
    body(&g, "body", &b);
    ints(&g, "num_scan_inputs", RT_EA_INT, 1, &inputs);
    ints(&g, "scan_input_axes", RT_EA_INTS, 1, at);
    ints(&g, "scan_output_axes", RT_EA_INTS, 1, last);
    rt_array *value[VALUES] = {whole(1, 2, two), NULL}, *m;
    check_ok(rt_array_make(&m, region, RT_I64, 2, (int64_t[]){2, 3}));
    for (size_t i = 0; i < 6; i++) rt_array_put_int(m, i, x[i]);
    value[1] = m;
    check_ok(rt_eval_run(eval, &g.g, value, 1));
    check(value[2], 1, (int64_t[]){2}, (int64_t[]){106, 260});
    check(value[3], 2, (int64_t[]){2, 3}, (int64_t[]){202, 206, 212, 420, 460, 520});

    begin(&g, NULL);                                             /* backwards, and what is collected turned, too */
    n = add(&g, "Scan", 9, 0, 1, 2);
    n->outputs = 2;
    g.io[0][1][1] = 3;
    body(&g, "body", &b);
    ints(&g, "num_scan_inputs", RT_EA_INT, 1, &inputs);
    ints(&g, "scan_input_directions", RT_EA_INTS, 1, back);
    ints(&g, "scan_output_directions", RT_EA_INTS, 1, back);
    rt_array *list[VALUES] = {one(0), whole(1, 3, x)};
    check_ok(rt_eval_run(eval, &g.g, list, 1));
    check(list[2], 0, NULL, (int64_t[]){6});
    check(list[3], 1, (int64_t[]){3}, (int64_t[]){12, 10, 6});
}

/* Opset 8: a batch in front of everything, and the lengths before it, left out. */
static void batched(void **state)
{
    (void)state;
    static const int64_t x[] = {1, 2, 3, 10, 20, 30}, two[] = {100, 200}, inputs = 1;
    built g, b;
    rt_array *m;
    begin(&g, NULL);
    running(&b);
    rt_eval_node *n = add(&g, "Scan", 8, -1, 0, 2);
    g.io[0][0][2] = 1;
    g.io[0][1][1] = 3;
    n->inputs = 3;
    n->outputs = 2;
    body(&g, "body", &b);
    ints(&g, "num_scan_inputs", RT_EA_INT, 1, &inputs);
    check_ok(rt_array_make(&m, region, RT_I64, 2, (int64_t[]){2, 3}));
    for (size_t i = 0; i < 6; i++) rt_array_put_int(m, i, x[i]);
    rt_array *value[VALUES] = {whole(1, 2, two), m};
    check_ok(rt_eval_run(eval, &g.g, value, 1));
    check(value[2], 1, (int64_t[]){2}, (int64_t[]){106, 260});
    check(value[3], 2, (int64_t[]){2, 3}, (int64_t[]){202, 206, 212, 420, 460, 520});
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test_setup_teardown(branches, setup, teardown),
                                       cmocka_unit_test_setup_teardown(loops, setup, teardown),
                                       cmocka_unit_test_setup_teardown(endless, setup, teardown),
                                       cmocka_unit_test(long_ones), cmocka_unit_test(small_pieces),
                                       cmocka_unit_test_setup_teardown(scans, setup, teardown),
                                       cmocka_unit_test_setup_teardown(batched, setup, teardown)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
