/* tests/engine/eval_cases.h - recorded cases of the evaluator's operators, in a text file:
 *
 *   case OP OPSET DOMAIN NAME        DOMAIN - is ai.onnx
 *   by WHO                           recorded
 *   attr KIND NAME VALUE...          int ints float floats string strings
 *   in TYPE DIM... : VALUE...        or "in -": left out
 *   out TYPE DIM... : VALUE...       or "out -": without a name; or instead of all of them
 *   refused
 *   end COUNT
 *
 * Texts have %hh for what is no printable character; % alone is the empty one. */
#ifndef RT_TESTS_ENGINE_EVAL_CASES_H
#define RT_TESTS_ENGINE_EVAL_CASES_H

#include "engine/eval/eval.h"
#include "tests/support.h"

enum { CASE_VALUES = 32, CASE_ATTRS = 16 };

typedef struct {
    rt_region *region;
    char title[256];
    rt_eval_node node;
    rt_eval_attr attr[CASE_ATTRS];
    int in[CASE_VALUES], out[CASE_VALUES], inputs, outputs, refused;
    rt_array *value[CASE_VALUES], *want[CASE_VALUES];
} eval_case;

static char *case_text(rt_region *r, const char *word)
{
    char *to = rt_region_take(r, strlen(word) + 1), *at = to;
    assert_non_null(to);
    for (; *word; word++) {
        unsigned c;
        if (*word == '%' && sscanf(word + 1, "%2x", &c) == 1) *at++ = (char)c, word += 2;
        else if (*word != '%') *at++ = *word;
    }
    return to;
}

static rt_dtype case_type(const char *name)
{
    for (int t = 0; t < RT_DTYPE_COUNT; t++) if (!strcmp(rt_dtype_name((rt_dtype)t), name)) return (rt_dtype)t;
    fail_msg("no type %s", name);
    return RT_F32;
}

/* What follows "in" or "out"; NULL: left out. */
static rt_array *case_array(rt_region *r, char **rest)
{
    char *word = strtok_r(NULL, " ", rest);
    int64_t dim[RT_ARRAY_RANK];
    int rank = 0;
    rt_array *a;
    if (!strcmp(word, "-")) return NULL;
    rt_dtype type = case_type(word);
    while ((word = strtok_r(NULL, " ", rest)) && strcmp(word, ":")) dim[rank++] = atoll(word);
    check_ok(rt_array_make(&a, r, type, rank, dim));
    for (size_t i = 0; i < a->count; i++) {
        word = strtok_r(NULL, " ", rest);
        assert_non_null(word);
        if (type == RT_STRING) ((char **)a->data)[i] = case_text(r, word);
        else if (rt_array_is_float(a)) rt_array_put(a, i, strtod(word, NULL));
        else rt_array_put_int(a, i, *word == '-' ? strtoll(word, NULL, 10) : (int64_t)strtoull(word, NULL, 10));
    }
    assert_null(strtok_r(NULL, " ", rest));
    return a;
}

static void case_attr(eval_case *c, char **rest)
{
    static const char *const kinds[] = {[RT_EA_FLOAT] = "float", [RT_EA_INT] = "int", [RT_EA_STRING] = "string",
                                        [RT_EA_TENSOR] = "", "", [RT_EA_FLOATS] = "floats", [RT_EA_INTS] = "ints",
                                        [RT_EA_STRINGS] = "strings"};
    rt_eval_attr *a = &c->attr[c->node.attrs++];
    char *word = strtok_r(NULL, " ", rest);
    int k = 0;
    assert_true(c->node.attrs <= CASE_ATTRS);
    while (strcmp(kinds[k], word)) k++;
    a->kind = (rt_eval_attr_kind)k;
    a->name = case_text(c->region, strtok_r(NULL, " ", rest));
    float *f = rt_region_list(c->region, 64, sizeof *f);
    int64_t *i = rt_region_list(c->region, 64, sizeof *i);
    const char **s = rt_region_list(c->region, 64, sizeof *s);
    for (; (word = strtok_r(NULL, " ", rest)); a->n++) {
        assert_true(a->n < 64);
        f[a->n] = strtof(word, NULL);
        i[a->n] = strtoll(word, NULL, 10);
        s[a->n] = case_text(c->region, word);
    }
    a->f = f;
    a->i = i;
    a->s = s;
}

/* The next case of a file, in a region that is cleared for it; 0 at the end, where *count gets the file's. */
static int read_case(FILE *f, rt_region *r, eval_case *c, int *count)
{
    char *line = NULL;
    size_t room = 0;
    int any = 0;
    rt_region_clear(r);
    memset(c, 0, sizeof *c);
    c->region = r;
    while (getline(&line, &room, f) > 0) {
        line[strcspn(line, "\n")] = 0;
        char *rest, *word = strtok_r(line, " ", &rest);
        if (!word && any) break;
        if (!word || *word == '#') continue;
        any = 1;
        if (!strcmp(word, "end")) {
            *count = atoi(strtok_r(NULL, " ", &rest));
            any = 0;
            break;
        }
        if (!strcmp(word, "case")) {
            c->node.op = case_text(r, strtok_r(NULL, " ", &rest));
            c->node.version = atoi(strtok_r(NULL, " ", &rest));
            char *domain = strtok_r(NULL, " ", &rest);
            c->node.domain = !strcmp(domain, "-") ? "" : case_text(r, domain);
            snprintf(c->title, sizeof c->title, "%s %d %s", c->node.op, c->node.version, strtok_r(NULL, " ", &rest));
        } else if (!strcmp(word, "attr")) {
            case_attr(c, &rest);
        } else if (!strcmp(word, "in")) {
            c->value[c->inputs] = case_array(r, &rest);
            c->in[c->inputs] = c->value[c->inputs] ? c->inputs : -1;
            c->inputs++;
        } else if (!strcmp(word, "out")) {
            c->want[c->outputs] = case_array(r, &rest);
            c->out[c->outputs] = c->want[c->outputs] ? 0 : -1;
            c->outputs++;
        } else if (!strcmp(word, "refused")) {
            c->refused = 1;
        } else if (strcmp(word, "by")) {
            fail_msg("line '%s'", word);
        }
    }
    free(line);
    if (c->refused) c->outputs = 3;                 /* as many as any has that is refused */
    for (int i = 0; i < c->outputs; i++) if (c->out[i] >= 0) c->out[i] = c->inputs + i;
    c->node.name = c->title;
    c->node.in = c->in;
    c->node.out = c->out;
    c->node.inputs = c->inputs;
    c->node.outputs = c->outputs;
    c->node.attr = c->attr;
    c->node.def = any ? rt_eval_find(c->node.domain, c->node.op, c->node.version) : NULL;
    return any;
}

static inline rt_status run_case(eval_case *c, rt_array **out)
{
    rt_eval *e;
    rt_eval_graph g = {.name = "case", .values = CASE_VALUES};
    check_ok(rt_eval_new(&e, c->region));
    if (c->refused && c->node.def && c->node.def->max_outputs >= 0 && c->node.outputs > c->node.def->max_outputs)
        c->node.outputs = c->node.def->max_outputs;
    rt_status st = rt_eval_one(e, &g, &c->node, c->value, out);
    return st;
}

/* Floats within a part of the largest; others equal. */
static inline void check_array(const char *title, int output, const rt_array *got, const rt_array *want)
{
    char a[128], b[128];
    double most = 0, part = want->type == RT_F16 ? 4e-3 : want->type == RT_F64 ? 1e-10 : 1e-5;
    assert_non_null(got);
    if (got->type != want->type || got->rank != want->rank ||
        memcmp(got->dim, want->dim, (size_t)want->rank * sizeof *want->dim))
        fail_msg("%s: output %d is %s, want %s", title, output, rt_array_describe(got, a), rt_array_describe(want, b));
    for (size_t i = 0; i < want->count; i++) {
        double v = fabs(rt_array_double(want, i));
        if (isfinite(v) && v > most) most = v;
    }
    for (size_t i = 0; i < want->count; i++) {
        double x = rt_array_double(got, i), y = rt_array_double(want, i);
        if (want->type == RT_STRING ? strcmp(rt_array_text(got, i), rt_array_text(want, i)) != 0
                                    : !rt_array_is_float(want) ? rt_array_int(got, i) != rt_array_int(want, i)
                                    : isfinite(y) ? !(fabs(x - y) <= 1e-6 + part * most)
                                                  : !(x == y || (isnan(x) && isnan(y))))
            fail_msg("%s: output %d[%zu] is %.9g '%s', want %.9g '%s'", title, output, i, x, rt_array_text(got, i), y,
                     rt_array_text(want, i));
    }
}

/* All cases of a file: outputs as recorded, inputs untouched; what is to be refused is. */
static inline void check_cases(const char *path)
{
    FILE *f = fopen(path, "r");
    rt_region *r = rt_region_new((size_t)64 << 20);
    eval_case c;
    int cases = 0, count = -1;
    assert_non_null(f);
    assert_non_null(r);
    for (; read_case(f, r, &c, &count); cases++) {
        rt_array *out[CASE_VALUES] = {NULL};
        if (!c.node.def && !c.refused) fail_msg("%s: no such operator", c.title);
        rt_status st = run_case(&c, out);
        if (c.refused ? st != RT_INPUT : st != RT_OK)
            fail_msg("%s: status %d%s%s", c.title, st, st ? ": " : "", st ? rt_error_message() : "");
        for (int i = 0; !st && i < c.outputs; i++) if (c.want[i]) check_array(c.title, i, out[i], c.want[i]);
    }
    assert_int_equal(cases, count);
    rt_region_free(r);
    fclose(f);
}
#endif
