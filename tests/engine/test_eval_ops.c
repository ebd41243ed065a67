/* Operators of the evaluator against onnx.reference and ONNX Runtime: tests/engine/eval_ops.txt, recorded by
 * record_eval.py, or the files named on the command line. */
#include "tests/support.h"

#include "engine/eval/eval.h"
#include "engine/narrow.h"

#define RECORDED RETORT_SOURCE_DIR "/tests/engine/eval_ops.txt"
enum { MOST = 64 };

static int wrong;                      /* cases */
#define WRONG(...) do { print_error(__VA_ARGS__); print_error("\n"); wrong++; return; } while (0)

typedef struct {
    rt_region *region;
    const char *at;                    /* of the text */
    int line;
} reader;

static rt_dtype type_of(const char *name)
{
    for (int t = 0; t < RT_DTYPE_COUNT; t++) if (!strcmp(rt_array_type_name((rt_dtype)t), name)) return (rt_dtype)t;
    fail_msg("type %s", name);
    return RT_F32;
}

/* The next word of the line; "" at its end. A text in quotes is given without them. */
static const char *word(reader *r)
{
    while (*r->at == ' ') r->at++;
    int quoted = *r->at == '"';
    if (quoted) r->at++;
    size_t n = quoted ? strcspn(r->at, "\"") : strcspn(r->at, " \n");
    const char *w = rt_region_text(r->region, r->at, n);
    r->at += n + (size_t)quoted;
    return w;
}

static int more(reader *r)
{
    while (*r->at == ' ') r->at++;
    return *r->at && *r->at != '\n';
}

static void next_line(reader *r)
{
    r->at += strcspn(r->at, "\n");
    if (*r->at) r->at++;
    r->line++;
}

/* "float32 2,3 : 1 2 3 4 5 6", or "-" for none */
static rt_array *array(reader *r)
{
    const char *type = word(r), *dims;
    int64_t dim[RT_ARRAY_RANK];
    int rank = 0;
    rt_array *a;
    if (!strcmp(type, "-")) return NULL;
    dims = word(r);
    if (*dims != '-')
        for (char *end = (char *)dims; *end; end += *end == ',') dim[rank++] = strtoll(end, &end, 10);
    assert_string_equal(word(r), ":");
    check_ok(rt_array_make(&a, r->region, type_of(type), rank, dim));
    for (size_t i = 0; i < a->count; i++) {
        if (a->type != RT_STRING && !more(r)) fail_msg("line %d: too few values", r->line);
        const char *w = word(r);
        if (a->type == RT_STRING) ((const char **)a->data)[i] = w;
        else if (rt_narrow_is_float(a->type)) ((uint8_t *)a->data)[i] = rt_narrow_code(a->type, strtod(w, NULL), 0);
        else if (rt_array_is_float(a)) rt_array_put(a, i, a->type == RT_F32 ? strtof(w, NULL) : strtod(w, NULL));
        else rt_array_put_int(a, i, *w == '-' ? strtoll(w, NULL, 10) : (int64_t)strtoull(w, NULL, 10));
    }
    return a;
}

static rt_eval_attr attribute(reader *r)
{
    rt_eval_attr a = {.name = word(r), .n = 1};
    const char *kind = word(r);
    if (*kind == 't') {
        a.kind = RT_EA_TENSOR;
        a.t = array(r);
        return a;
    }
    float *f = rt_region_list(r->region, 4096, sizeof *f);
    int64_t *i = rt_region_list(r->region, 4096, sizeof *i);
    const char **s = rt_region_list(r->region, 4096, sizeof *s);
    int list = kind[1] != 0, n = 0;
    for (; more(r) || (!list && !n); n++) {
        const char *w = word(r);
        assert_true(n < 4096);
        s[n] = w;
        f[n] = strtof(w, NULL);
        i[n] = strtoll(w, NULL, 10);
    }
    a.kind = *kind == 'f' ? RT_EA_FLOAT : *kind == 'i' ? RT_EA_INT : RT_EA_STRING;
    if (list) a.kind = *kind == 'f' ? RT_EA_FLOATS : *kind == 'i' ? RT_EA_INTS : RT_EA_STRINGS;
    a.n = n;
    a.f = f;
    a.i = i;
    a.s = s;
    return a;
}

/* How far floats may lie apart: sums in another order, and functions of other libraries; com.microsoft's are rougher.
 */
static double loose(const rt_array *a, const rt_eval_node *n)
{
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

/* From the line of its name on: returns 0 when there is none. */
static int one_case(reader *r, int *cases)
{
    static char what[200];
    rt_eval_attr attr[MOST];
    rt_array *value[MOST] = {0}, *want[MOST], *out[MOST] = {0};
    const char *names[MOST];
    int in[MOST], outs[MOST], inputs = 0, outputs = 0, attrs = 0, given = 0;
    while (*r->at && strncmp(r->at, "== ", 3)) next_line(r);
    if (!*r->at) return 0;
    r->at += 3;
    const char *op = word(r), *opset = word(r), *domain = word(r);
    snprintf(what, sizeof what, "%s %s (line %d)", op, opset, r->line + 1);
    for (next_line(r); *r->at == '@' || *r->at == '<' || *r->at == '>'; next_line(r)) {
        char kind = *r->at++;
        assert_true(inputs < MOST / 2 && outputs < MOST / 2 && attrs < MOST);
        if (kind == '@') attr[attrs++] = attribute(r);
        else if (kind == '<') {
            value[given] = array(r);
            in[inputs++] = value[given] ? given++ : -1;
        } else want[outputs++] = array(r);
    }
    for (int i = 0; i < outputs; i++) outs[i] = given + i;
    for (int i = 0; i < MOST; i++) names[i] = "";
    int version = atoi(opset);
    domain = *domain == '-' ? "" : domain;
    rt_eval_node node = {.name = "it",
                         .op = op,
                         .domain = domain,
                         .in = in,
                         .inputs = inputs,
                         .out = outs,
                         .outputs = outputs,
                         .attr = attr,
                         .attrs = attrs,
                         .def = rt_eval_find(domain, op, version),
                         .version = version};
    rt_eval_graph g = {.name = "g", .values = given + outputs, .value = names, .node = &node, .nodes = 1};
    rt_eval *e;
    check_ok(rt_eval_new(&e, r->region));
    rt_status st = rt_eval_one(e, &g, &node, value, out);
    if (st) {
        print_error("%s: %s\n", what, rt_error_message());
        wrong++;
    }
    for (int i = 0; i < outputs && !st; i++) if (want[i]) compare(what, &node, out[i], want[i]);
    ++*cases;
    return 1;
}

static const char *const *files;
static int file_count;

static void recorded(void **state)
{
    (void)state;
    for (int i = 0; i < file_count; i++) {
        int cases = 0;
        FILE *f = fopen(files[i], "rb");
        assert_non_null(f);
        rt_region *r = rt_region_new((size_t)1 << 30);
        char *text = rt_region_take(r, 64 << 20);
        assert_non_null(text);
        assert_true(fread(text, 1, (64 << 20) - 1, f) > 0);
        fclose(f);
        reader at = {rt_region_new((size_t)1 << 30), text, 0};
        while (one_case(&at, &cases)) rt_region_clear(at.region);
        assert_true(cases > 0);
        print_message("%d cases\n", cases);
        rt_region_free(at.region);
        rt_region_free(r);
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
