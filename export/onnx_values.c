/* export/onnx_values.c - names, orders and constants of the exporter of float graphs. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "export/onnx_float_parts.h"

/* ---- names: a set with open addressing ---- */

struct rt_fo_names { const char **slot; size_t room, count; };

static size_t slot_of(const rt_fo_names *s, const char *text)
{
    uint64_t h = 14695981039346656037u;
    for (const char *c = text; *c; c++) h = (h ^ (unsigned char)*c) * 1099511628211u;
    size_t at = h & (s->room - 1);
    while (s->slot[at] && strcmp(s->slot[at], text)) at = (at + 1) & (s->room - 1);
    return at;
}

static int widen(rt_fo_names *s)
{
    rt_fo_names more = {.room = 2 * s->room};
    if (2 * s->count < s->room) return 1;
    more.slot = calloc(more.room, sizeof *more.slot);
    if (!more.slot) return 0;
    for (size_t i = 0; i < s->room; i++) if (s->slot[i]) more.slot[slot_of(&more, s->slot[i])] = s->slot[i];
    free(s->slot);
    s->slot = more.slot;
    s->room = more.room;
    return 1;
}

const char *rt_fo_unique(rt_fo_graph *e, const char *text)
{
    rt_fo_names *s = e->names;
    const char *name = rt_onnx_name(e->o, "%s", text);
    if (!widen(s)) {
        e->status = rt_fail(RT_RUN, "out of memory");
        return name;
    }
    for (int i = 2; s->slot[slot_of(s, name)]; i++) name = rt_onnx_name(e->o, "%s~%d", text, i);
    s->slot[slot_of(s, name)] = name;
    s->count++;
    return name;
}

const char *rt_fo_own(rt_fo_graph *e, const rt_node *n, const char *what)
{ return rt_fo_unique(e, rt_onnx_name(e->o, "%s/%s", n->name, what)); }

rt_onnx_node *rt_fo_node_of(rt_fo_graph *e, const char *op, const char *out, const char *a, const char *b,
                              const char *c)
{
    const char *in[] = {a, b, c, NULL};
    return rt_onnx_add(e->o, op, out, in);
}

const char *rt_fo_chain(rt_fo_graph *e, const rt_node *n, const char *op, const char *what, const char *a,
                        const char *b)
{
    const char *out = rt_fo_own(e, n, what);
    rt_fo_node_of(e, op, out, a, b, NULL);
    return out;
}

/* ---- orders ---- */

/* Whether a row of this shape is the same numbers in the same places, channels first or last. */
static int same_places(const rt_shape *s)
{
    int c = s->rank ? s->dim[s->rank - 1] : 1;
    return c == 1 || rt_shape_count(s) == (size_t)c;
}

int rt_fo_has(const rt_fo_graph *e, int tensor, rt_fo_order order) { return e->value[tensor].name[order] != NULL; }

void rt_fo_set(rt_fo_graph *e, int tensor, rt_fo_order order, const char *name)
{
    rt_fo_value *v = &e->value[tensor];
    v->name[order] = name;
    if (e->g->tensor[tensor].shape.rank == 1 && same_places(&v->block))
        v->name[RT_FO_LAST] = v->name[RT_FO_FIRST] = name;
}

int rt_fo_shape(const rt_shape *s, rt_fo_order order, int64_t dim[RT_MAX_RANK + 1])
{
    int n = 0;
    dim[n++] = 0;
    if (order == RT_FO_FIRST && s->rank > 1) dim[n++] = s->dim[s->rank - 1];
    for (int i = 0; i < s->rank - (order == RT_FO_FIRST && s->rank > 1); i++) dim[n++] = s->dim[i];
    return n;
}

int rt_fo_rank(const rt_fo_graph *e, int tensor) { return e->g->tensor[tensor].shape.rank; }

int rt_fo_dims(const rt_fo_graph *e, int tensor, rt_fo_order order, int64_t dim[RT_MAX_RANK + 1])
{ return rt_fo_shape(&e->g->tensor[tensor].shape, order, dim); }

int rt_fo_axis(int axis, int rank, rt_fo_order order)
{ return order == RT_FO_LAST || rank == 1 ? axis + 1 : axis == rank - 1 ? 1 : axis + 2; }

rt_shape rt_fo_widened(const rt_shape *s, int rank)
{
    rt_shape w = {.rank = rank};
    for (int i = 0; i < rank; i++) w.dim[i] = i < rank - s->rank ? 1 : s->dim[i - (rank - s->rank)];
    return w;
}

/* A row of this shape from channels first to last, or the other way. A Reshape does where no number moves: ONNX
 * Runtime takes longer for a Transpose. */
static void transpose(rt_fo_graph *e, const rt_node *n, const char *in, const char *out, const rt_shape *s,
                      rt_fo_order to)
{
    int64_t perm[RT_MAX_RANK + 1] = {0}, dim[RT_MAX_RANK + 1];
    if (same_places(s)) {
        int rank = rt_fo_shape(s, to, dim);
        rt_fo_node_of(e, "Reshape", out, in, rt_fo_whole(e, n, "places", rank, dim), NULL);
        return;
    }
    for (int i = 1; i <= s->rank; i++)
        perm[i] = to == RT_FO_FIRST ? (i == 1 ? s->rank : i - 1) : (i == s->rank ? 1 : i + 1);
    rt_onnx_ints(rt_fo_node_of(e, "Transpose", out, in, NULL, NULL), "perm", s->rank + 1, perm);
}

/* A row of one dimension from where channels come first to where they come last. */
static const char *reordered(rt_fo_graph *e, const rt_node *n, const rt_shape *block, const char *in)
{
    int64_t dim[RT_MAX_RANK + 1], row[] = {0, (int64_t)rt_shape_count(block)};
    int rank = rt_fo_shape(block, RT_FO_FIRST, dim);
    const char *image = rt_fo_own(e, n, "image"), *last = rt_fo_own(e, n, "last"), *out = rt_fo_own(e, n, "row");
    rt_fo_node_of(e, "Reshape", image, in, rt_fo_whole(e, n, "image/shape", rank, dim), NULL);
    transpose(e, n, image, last, block, RT_FO_LAST);
    rt_fo_node_of(e, "Reshape", out, last, rt_fo_whole(e, n, "row/shape", 2, row), NULL);
    return out;
}

const char *rt_fo_take(rt_fo_graph *e, int tensor, rt_fo_order order)
{
    rt_fo_value *v = &e->value[tensor];
    const rt_node *from = &e->g->node[e->g->tensor[tensor].producer];
    const char *there = v->name[!order];
    const rt_shape *shape = &e->g->tensor[tensor].shape;
    if (v->name[order]) return v->name[order];
    if (shape->rank == 1) v->name[order] = reordered(e, from, &v->block, there);
    else {
        v->name[order] = rt_fo_own(e, from, order == RT_FO_FIRST ? "channels_first" : "channels_last");
        transpose(e, from, there, v->name[order], shape, order);
    }
    return v->name[order];
}

rt_fo_order rt_fo_common(const rt_fo_graph *e, const rt_node *n)
{
    const rt_fo_value *first = &e->value[n->in[0]];
    int rank = e->g->tensor[n->in[0]].shape.rank, lack[RT_FO_ORDERS] = {0};
    for (int i = 0; i < n->inputs; i++) {
        for (int order = 0; order < RT_FO_ORDERS; order++) lack[order] += !rt_fo_has(e, n->in[i], order);
        if (rank == 1 && !rt_shape_equal(&e->value[n->in[i]].block, &first->block)) return RT_FO_LAST;
    }
    if (rank == 1 && lack[RT_FO_FIRST]) return RT_FO_LAST;
    return lack[RT_FO_FIRST] <= lack[RT_FO_LAST] ? RT_FO_FIRST : RT_FO_LAST;
}

/* ---- constants ---- */

typedef struct { int field; rt_fo_form form; const char *name; int next; } constant;

struct rt_fo_constants {
    constant *list;
    int count, room;
    int *first;                            /* (fields) of the list, -1: has none */
};

/* Where channels first has what channels last has at `at` of rows (pixels, c). */
static size_t to_first(size_t at, size_t pixels, size_t c) { return at % c * pixels + at / c; }

static void arrange(float *to, const float *from, const rt_field *f, const rt_fo_form *form)
{
    const rt_shape *s = &form->shape;
    size_t n = (size_t)f->shape.dim[f->shape.rank - 1], c, pixels;
    switch (form->kind) {
    case RT_FO_AS_IS: case RT_FO_CHANNEL: memcpy(to, from, f->count * sizeof *to); return;
    case RT_FO_TO_FIRST:
        c = (size_t)s->dim[s->rank - 1];
        for (size_t i = 0; i < f->count; i++) to[to_first(i, f->count / c, c)] = from[i];
        return;
    case RT_FO_CONV:
        c = (size_t)f->shape.dim[f->shape.rank - 2];
        pixels = f->count / n / c;
        for (size_t i = 0; i < f->count; i++) {
            size_t out = i % n, in = i / n % c, tap = i / n / c;
            to[(out * c + in) * pixels + tap] = from[i];
        }
        return;
    case RT_FO_TURNED:
        c = f->shape.rank == 3 ? (size_t)f->shape.dim[0] : 1;
        pixels = f->count / n / c;
        for (size_t i = 0; i < f->count; i++) to[(i / n / pixels * n + i % n) * pixels + i / n % pixels] = from[i];
        return;
    case RT_FO_ROWS:
        c = (size_t)s->dim[s->rank - 1];
        pixels = rt_shape_count(s) / c;
        for (size_t k = 0; k < c * pixels; k++)
            memcpy(to + to_first(k, pixels, c) * n, from + k * n, n * sizeof *to);
        return;
    }
}

static int form_dims(const rt_field *f, const rt_fo_form *form, int64_t *dim)
{
    int told = form->kind == RT_FO_AS_IS || form->kind == RT_FO_TO_FIRST || form->kind == RT_FO_TURNED;
    const rt_shape *s = told ? &form->shape : &f->shape;
    int n = 0, rank = s->rank;
    switch (form->kind) {
    case RT_FO_CHANNEL:
        dim[n++] = s->dim[0];
        while (n < form->shape.rank) dim[n++] = 1;
        return n;
    case RT_FO_CONV:
        dim[n++] = s->dim[rank - 1];
        dim[n++] = s->dim[rank - 2];
        rank -= 2;
        break;
    case RT_FO_TO_FIRST: dim[n++] = s->dim[--rank]; break;
    case RT_FO_AS_IS: case RT_FO_ROWS: case RT_FO_TURNED: break;
    }
    for (int i = 0; i < rank; i++) dim[n++] = s->dim[i];
    return n;
}

/* The same as before for the same field and form. */
static int known(const rt_fo_constants *c, int field, const rt_fo_form *form)
{
    int i = c->first[field];
    while (i >= 0 && (c->list[i].form.kind != form->kind || !rt_shape_equal(&c->list[i].form.shape, &form->shape)))
        i = c->list[i].next;
    return i;
}

const char *rt_fo_field(rt_fo_graph *e, int field, rt_fo_form_kind kind, const rt_shape *shape)
{
    rt_fo_constants *c = e->constants;
    const rt_field *f = &e->g->field[field];
    rt_fo_form form = {.kind = kind, .shape = shape ? *shape : f->shape};
    int64_t dim[RT_MAX_RANK + 1];
    int at = known(c, field, &form);
    if (at >= 0) return c->list[at].name;
    if (c->count == c->room) {
        constant *more = realloc(c->list, (2 * (size_t)c->room + 64) * sizeof *more);
        if (!more) {
            e->status = rt_fail(RT_RUN, "out of memory");
            return "";
        }
        c->list = more;
        c->room = 2 * c->room + 64;
    }
    const char *name = rt_fo_unique(e, f->name);
    float *v = malloc(f->count * sizeof *v);
    if (v) {
        arrange(v, e->field[field], f, &form);
        rt_onnx_const(e->o, name, RT_ONNX_F32, form_dims(f, &form, dim), dim, v);
    } else e->status = rt_fail(RT_RUN, "out of memory");
    free(v);
    c->list[c->count] = (constant){field, form, name, c->first[field]};
    c->first[field] = c->count++;
    return name;
}

const char *rt_fo_number(rt_fo_graph *e, const rt_node *n, const char *what, float v)
{ return rt_onnx_scalar(e->o, rt_fo_own(e, n, what), RT_ONNX_F32, &v); }

const char *rt_fo_fill(rt_fo_graph *e, const rt_node *n, const char *what, int64_t count, float value)
{
    const char *name = rt_fo_own(e, n, what);
    float *v = malloc((size_t)count * sizeof *v);
    for (int64_t i = 0; i < count && v; i++) v[i] = value;
    if (v) rt_onnx_const(e->o, name, RT_ONNX_F32, 1, &count, v);
    else e->status = rt_fail(RT_RUN, "out of memory");
    free(v);
    return name;
}

const char *rt_fo_numbers(rt_fo_graph *e, const rt_node *n, const char *what, int count, const float *v)
{
    const int64_t dim = count;
    return rt_onnx_const(e->o, rt_fo_own(e, n, what), RT_ONNX_F32, 1, &dim, v);
}

const char *rt_fo_rows(rt_fo_graph *e, const rt_node *n)
{
    static const int64_t zero = 0, one = 1;
    const char *const *input = e->value[e->g->input[0]].name, *shape, *from, *to, *rows;
    if (e->rows) return e->rows;
    shape = rt_fo_chain(e, n, "Shape", "input_shape", input[input[RT_FO_LAST] ? RT_FO_LAST : RT_FO_FIRST], NULL);
    from = rt_fo_whole(e, n, "from", 1, &zero);
    to = rt_fo_whole(e, n, "to", 1, &one);
    rows = rt_fo_own(e, n, "rows");
    rt_fo_node_of(e, "Slice", rows, shape, from, to);
    return e->rows = rows;
}

const char *rt_fo_whole(rt_fo_graph *e, const rt_node *n, const char *what, int count, const int64_t *v)
{
    const int64_t dim = count;
    return rt_onnx_const(e->o, rt_fo_own(e, n, what), RT_ONNX_I64, 1, &dim, v);
}

/* ---- begin and end ---- */

rt_status rt_fo_begin(rt_fo_graph *e)
{
    const size_t fields = (size_t)e->g->fields;
    e->names = calloc(1, sizeof *e->names);
    e->constants = calloc(1, sizeof *e->constants);
    e->value = calloc((size_t)e->g->tensors + 1, sizeof *e->value);
    if (e->names) e->names->slot = calloc(e->names->room = 64, sizeof *e->names->slot);
    if (e->constants) e->constants->first = malloc((fields + 1) * sizeof *e->constants->first);
    if (!e->value || !e->names || !e->names->slot || !e->constants || !e->constants->first)
        return rt_fail(RT_RUN, "out of memory");
    for (size_t i = 0; i < fields; i++) e->constants->first[i] = -1;
    return RT_OK;
}

void rt_fo_end(rt_fo_graph *e)
{
    if (e->names) free(e->names->slot);
    if (e->constants) {
        free(e->constants->list);
        free(e->constants->first);
    }
    free(e->names);
    free(e->constants);
    free(e->value);
}
