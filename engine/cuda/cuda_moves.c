/* engine/cuda/cuda_moves.c - operators on cards that put values elsewhere: permute, slice, pad, gather, tile, concat.
 */
#include "engine/cuda/cuda_moves.h"

#include <string.h>

#include "engine/cuda/cuda_ops.h"

/* ---- by a rule for each axis ---- */

static int is_whole(const rt_moved_axis *a)
{ return a->kind == RT_MOVE_STEP && a->step == 1 && a->first == 0 && a->count == a->n; }

/* The node's axes, rows first, the outermost first; those that go through whole, one behind the other, are one. */
static rt_moved moved(const rt_cuda_emit *e, const rt_node *n)
{
    rt_move m = rt_move_of(e->graph, n, n->fields ? rt_cuda_field(e, n, 0) : NULL);
    int64_t rows = e->rows, behind = 1;
    rt_moved k = {.value = m.value, .axes = 1, .pack = 1};
    k.axis[0] = (rt_moved_axis){.count = rows, .n = rows, .step = 1, .in_step = (int64_t)rt_cuda_size(e, n->in[0])};
    for (int i = 0; i < m.axes; i++) {
        const rt_move_axis *a = &m.axis[i];
        rt_moved_axis b = {a->kind, a->mode, a->count, a->n, a->first, a->step, a->stride, 0, a->pick};
        rt_moved_axis *before = &k.axis[k.axes - 1];
        if (is_whole(&b) && b.n == 1) continue;
        if (is_whole(&b) && is_whole(before) && before->in_step == b.in_step * b.n) {
            before->count *= b.count;
            before->n *= b.n;
            before->in_step = b.in_step;
        } else k.axis[k.axes++] = b;
    }
    for (int i = k.axes - 1; i >= 0; i--) {
        k.axis[i].out_step = behind;
        behind *= k.axis[i].count;
    }
    return k;
}

/* The innermost axis first, of the output or of the input; and packs of 4, where all lies so. */
static void arrange(rt_moved *m, int of_input, int aligned)
{
    for (int i = 0; i < m->axes; i++)
        for (int k = i; k > 0; k--) {
            rt_moved_axis *a = &m->axis[k - 1], *b = &m->axis[k], keep = *a;
            if ((of_input ? a->in_step : a->out_step) <= (of_input ? b->in_step : b->out_step)) break;
            *a = *b;
            *b = keep;
        }
    rt_moved_axis *first = &m->axis[0];
    int packs = aligned && is_whole(first) && first->in_step == 1 && first->out_step == 1 && first->n % 4 == 0;
    for (int i = 1; i < m->axes; i++) packs &= m->axis[i].in_step % 4 == 0 && m->axis[i].out_step % 4 == 0;
    if (packs) {
        m->pack = 4;
        first->n = first->count /= 4;
        first->in_step = first->out_step = 4;
    }
    for (int i = 0; i < m->axes; i++) {
        const rt_moved_axis *a = &m->axis[i];
        m->space.count[i] = (uint64_t)(of_input ? a->n : a->count);
        m->space.step[0][i] = a->in_step * (a->n > a->count ? a->n : a->count) / (int64_t)m->space.count[i];
        m->space.step[1][i] = a->out_step * (a->n > a->count ? a->n : a->count) / (int64_t)m->space.count[i];
        m->several |= a->kind == RT_MOVE_TILE || (a->kind == RT_MOVE_PAD && a->mode != RT_PAD_CONSTANT);
    }
    m->space.dims = m->axes;
    rt_space_seal(&m->space);
}

/* Where neighbours of the output are far apart in the input, and its neighbours one axis further out: that, true. */
static int is_transposition(const rt_moved *m, rt_transposition *t)
{
    enum { WORTH = 8 };                /* the shorter side of a matrix from which tiles pay */
    if (m->axes < 2 || m->axes > 3) return 0;
    const rt_moved_axis *b = &m->axis[m->axes - 1], *a = b - 1, *batch = m->axes == 3 ? a - 1 : NULL;
    if (!is_whole(a) || !is_whole(b) || (batch && !is_whole(batch)) || a->in_step != 1 || b->in_step == 1) return 0;
    *t = (rt_transposition){.batch = batch ? (size_t)batch->count : 1, .rows = (size_t)b->count,
                            .columns = (size_t)a->count, .from_ld = (size_t)b->in_step, .to_ld = (size_t)a->out_step,
                            .from_next = batch ? (size_t)batch->in_step : 0,
                            .to_next = batch ? (size_t)batch->out_step : 0};
    return t->rows >= WORTH && t->columns >= WORTH;
}

static int aligned(const void *a, const void *b) { return (((uintptr_t)a | (uintptr_t)b) & 15) == 0; }

static rt_status move(rt_cuda_emit *e, const rt_node *n)
{
    rt_moved m = moved(e, n);
    rt_transposition t;
    const float *x = rt_cuda_value(e, n->in[0]);
    float *y = rt_cuda_value(e, n->out);
    if (is_transposition(&m, &t)) rt_k_transpose(e->stream, y, x, &t, 0);
    else {
        arrange(&m, 0, aligned(x, y));
        rt_k_move(e->stream, y, x, &m);
    }
    return rt_cuda_launched(e, n);
}

static rt_status move_back(rt_cuda_emit *e, const rt_node *n)
{
    rt_moved m = moved(e, n);
    rt_transposition t;
    int add = 0;
    const float *dy = rt_cuda_grad(e, n);
    float *dx = rt_cuda_grad_into(e, n, 0, &add);
    if (!dx) return RT_OK;
    if (is_transposition(&m, &t)) {
        rt_transposition back = {t.batch, t.columns, t.rows, t.to_ld, t.to_next, t.from_ld, t.from_next};
        rt_k_transpose(e->stream, dx, dy, &back, add);
    } else {
        arrange(&m, 1, aligned(dx, dy));
        rt_k_move_grad(e->stream, dx, dy, &m, add);
    }
    return rt_cuda_launched(e, n);
}

const rt_cuda_op rt_cuda_move = {.forward = move, .backward = move_back};

static rt_status gather_back(rt_cuda_emit *e, const rt_node *n)
{
    const rt_shape *in = &e->graph->tensor[n->in[0]].shape;
    const rt_gather_attr *a = RT_ATTR(n, rt_gather_attr);
    int add = 0, axis = a->axis < 0 ? a->axis + in->rank : a->axis;
    size_t outer = (size_t)e->rows, inner = 1;
    for (int i = 0; i < axis; i++) outer *= (size_t)in->dim[i];
    for (int i = axis + 1; i < in->rank; i++) inner *= (size_t)in->dim[i];
    const float *dy = rt_cuda_grad(e, n);
    float *dx = rt_cuda_grad_into(e, n, 0, &add);
    if (dx)
        rt_k_pick_grad(e->stream, dx, dy, rt_cuda_field(e, n, 0), outer, in->dim[axis],
                       (int)rt_shape_count(&a->shape), inner, add);
    return rt_cuda_launched(e, n);
}

const rt_cuda_op rt_cuda_gather = {.forward = move, .backward = gather_back};

/* ---- concat ---- */

/* Floats of a run that comes from the shape. */
static size_t run_of(const rt_cuda_emit *e, const rt_node *n, int tensor)
{
    const rt_shape *s = &e->graph->tensor[tensor].shape;
    int axis = RT_ATTR(n, rt_axis_attr)->axis;
    size_t run = 1;
    for (int i = axis < 0 ? axis + s->rank : axis; i < s->rank; i++) run *= (size_t)s->dim[i];
    return run;
}

static rt_strips strips_of(const rt_cuda_emit *e, const rt_node *n, float *whole)
{
    size_t width = run_of(e, n, n->out);
    return (rt_strips){.whole = whole, .width = width, .lines = rt_cuda_size(e, n->out) / width * (size_t)e->rows};
}

static rt_status concat(rt_cuda_emit *e, const rt_node *n)
{
    rt_strips s = strips_of(e, n, rt_cuda_value(e, n->out));
    size_t at = 0;
    for (int i = 0; i < n->inputs; i++) {
        size_t width = run_of(e, n, n->in[i]);
        s.strip[s.strips++] = (rt_strip){rt_cuda_value(e, n->in[i]), width, at, 0};
        at += width;
        if (s.strips == RT_STRIPS || i == n->inputs - 1) {
            rt_k_join(e->stream, &s);
            s.strips = 0;
        }
    }
    return rt_cuda_launched(e, n);
}

/* Strips of one launch go to different places: a tensor that comes again begins another. */
static rt_status concat_back(rt_cuda_emit *e, const rt_node *n)
{
    rt_strips s = strips_of(e, n, rt_cuda_grad(e, n));
    size_t at = 0;
    for (int i = 0; i < n->inputs; i++) {
        size_t width = run_of(e, n, n->in[i]);
        int add = 0, again = s.strips == RT_STRIPS;
        float *dx = rt_cuda_grad_into(e, n, i, &add);
        for (int k = 0; k < s.strips; k++) again |= s.strip[k].strip == dx;
        if (again && dx) {
            rt_k_part(e->stream, &s);
            s.strips = 0;
        }
        if (dx) s.strip[s.strips++] = (rt_strip){dx, width, at, add};
        at += width;
    }
    if (s.strips) rt_k_part(e->stream, &s);
    return rt_cuda_launched(e, n);
}

const rt_cuda_op rt_cuda_concat = {.forward = concat, .backward = concat_back};
