/* tests/engine/eval_recorded.h - reads tests/engine/eval_ops.txt, as record_eval.py writes it. */
#ifndef RT_TESTS_EVAL_RECORDED_H
#define RT_TESTS_EVAL_RECORDED_H

#include "tests/support.h"

#include "engine/eval/eval.h"
#include "engine/narrow.h"

#define RECORDED RETORT_SOURCE_DIR "/tests/engine/eval_ops.txt"
enum { MOST = 64 }; /* values of a case */

typedef struct {
    rt_region *region;
    const char *at; /* of the text */
    int line;
} reader;

static rt_dtype type_of(const char *name)
{
    for (int t = 0; t < RT_DTYPE_COUNT; t++)
        if (!strcmp(rt_array_type_name((rt_dtype)t), name)) return (rt_dtype)t;
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
        else if (a->type == RT_F8E8M0) ((uint8_t *)a->data)[i] = rt_narrow_exponent(strtof(w, NULL), 0, RT_NARROW_DOWN);
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
    float *f = rt_region_list(r->region, 512, sizeof *f);
    int64_t *i = rt_region_list(r->region, 512, sizeof *i);
    const char **s = rt_region_list(r->region, 512, sizeof *s);
    int list = kind[1] != 0, n = 0;
    for (; more(r) || (!list && !n); n++) {
        const char *w = word(r);
        assert_true(n < 512);
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

/* A node of an operator, with what goes in and what must come out (NULL: anything). */
typedef struct {
    char what[200];
    rt_eval_attr attr[MOST];
    rt_array *value[MOST], *want[MOST];
    const char *names[MOST];
    int in[MOST], out[MOST];
    rt_eval_node node;
    rt_eval_graph graph;
} recorded_case;

/* From the line of its name on: returns 0 when there is none. */
static int read_case(reader *r, recorded_case *c)
{
    int given = 0;
    memset(c, 0, sizeof *c);
    while (*r->at && strncmp(r->at, "== ", 3)) next_line(r);
    if (!*r->at) return 0;
    r->at += 3;
    rt_eval_node *n = &c->node;
    n->name = "it";
    n->op = word(r);
    n->version = atoi(word(r));
    n->domain = word(r);
    if (*n->domain == '-') n->domain = "";
    snprintf(c->what, sizeof c->what, "%s %d (line %d)", n->op, n->version, r->line + 1);
    for (next_line(r); *r->at == '@' || *r->at == '<' || *r->at == '>'; next_line(r)) {
        char kind = *r->at++;
        assert_true(n->inputs < MOST / 2 && n->outputs < MOST / 2 && n->attrs < MOST);
        if (kind == '@') c->attr[n->attrs++] = attribute(r);
        else if (kind == '<') {
            c->value[given] = array(r);
            c->in[n->inputs++] = c->value[given] ? given++ : -1;
        } else c->want[n->outputs++] = array(r);
    }
    for (int i = 0; i < n->outputs; i++) c->out[i] = MOST / 2 + i;
    for (int i = 0; i < MOST; i++) c->names[i] = "";
    n->in = c->in;
    n->out = c->out;
    n->attr = c->attr;
    n->def = rt_eval_find(n->domain, n->op, n->version);
    c->graph = (rt_eval_graph){.name = "g", .values = MOST, .value = c->names, .node = n, .nodes = 1};
    return 1;
}

/* The text of a file, and a reader of its cases: each is read into a region of this budget, to be cleared by whoever
 * reads the next. */
static reader open_cases(const char *path, rt_region *whole, size_t budget)
{
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    char *text = rt_region_take(whole, 64 << 20);
    assert_non_null(text);
    assert_true(fread(text, 1, (64 << 20) - 1, f) > 0);
    fclose(f);
    return (reader){rt_region_new(budget), text, 0};
}
#endif
