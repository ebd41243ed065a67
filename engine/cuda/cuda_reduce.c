/* engine/cuda/cuda_reduce.c - reductions on cards, and sums over what broadcasts. */
#include "engine/cuda/cuda_reduce.h"

#include "engine/cuda/cuda_sums.h"

enum { SUM_BLOCKS = 256 };             /* that sums of a whole batch are cut into, on any card */

/* ---- sums over what an operand repeats ---- */

void rt_folding_spaces(rt_folding *f, const rt_runs *r, int by)
{
    int64_t x = 1;
    for (int i = 0; i < r->runs; i++) {
        rt_space_add(r->stride[by][i] ? &f->kept : &f->gone, r->count[i], x, r->stride[0][i],
                     r->operands > 1 ? r->stride[1][i] : 0);
        x *= (int64_t)r->count[i];
    }
}

size_t rt_cuda_sum_room(size_t outputs, size_t places) { return rt_folding_room(outputs, places, SUM_BLOCKS); }

void rt_cuda_sum(rt_cuda_emit *e, rt_folding *f)
{
    f->parts = rt_cuda_scratch(e);
    rt_folding_plan(f, SUM_BLOCKS);
    rt_k_fold(e->stream, f);
}

/* ---- reductions ---- */

static rt_runs runs_of(const rt_graph *g, const rt_node *n, int rows)
{
    const rt_shape *in = &g->tensor[n->in[0]].shape;
    rt_shape kept = *in;
    unsigned bits = rt_reduce_gone(n, in->rank);
    for (int i = 0; i < in->rank; i++) if (bits >> i & 1) kept.dim[i] = 1;
    return rt_runs_of(in, (const rt_shape *const[]){&kept}, 1, 1, rows, 0);
}

static rt_folding folding_of(const rt_graph *g, const rt_node *n, int rows, rt_folds what)
{
    rt_folding f = {.what = what, .reduce = rt_reduce_of(n)};
    rt_runs r = runs_of(g, n, rows);
    rt_folding_spaces(&f, &r, 0);
    return f;
}

/* What the gradient needs to know of all values of an output: RT_FOLDS_REDUCE for nothing. */
static rt_folds known(rt_reduce f)
{
    if (f == RT_REDUCE_PROD) return RT_FOLDS_FACTORS;
    return f == RT_REDUCE_MAX || f == RT_REDUCE_MIN ? RT_FOLDS_EQUAL : RT_FOLDS_REDUCE;
}

static size_t outputs_of(const rt_graph *g, const rt_node *n, int rows)
{ return rt_shape_count(&g->tensor[n->out].shape) * (size_t)rows; }

static size_t scratch(const rt_graph *g, const rt_node *n, int batch, int train)
{
    rt_folding f = folding_of(g, n, batch, RT_FOLDS_REDUCE);
    rt_folds what = known(f.reduce);
    size_t bytes = rt_folding_plan(&f, 0);
    if (!train || what == RT_FOLDS_REDUCE) return bytes;
    f = folding_of(g, n, batch, what);
    size_t back = rt_folding_plan(&f, 0) + 2 * outputs_of(g, n, batch) * sizeof(double);
    return back > bytes ? back : bytes;
}

static rt_status forward(rt_cuda_emit *e, const rt_node *n)
{
    rt_folding f = folding_of(e->graph, n, e->rows, RT_FOLDS_REDUCE);
    f.x = rt_cuda_value(e, n->in[0]);
    f.out = rt_cuda_value(e, n->out);
    f.parts = rt_cuda_scratch(e);
    rt_folding_plan(&f, 0);
    rt_k_fold(e->stream, &f);
    return rt_cuda_launched(e, n);
}

static rt_status backward(rt_cuda_emit *e, const rt_node *n)
{
    rt_runs r = runs_of(e->graph, n, e->rows);
    rt_space s = {0};
    for (int i = 0; i < r.runs; i++) rt_space_add(&s, r.count[i], r.stride[0][i], 0, 0);
    rt_folding f = folding_of(e->graph, n, e->rows, known(rt_reduce_of(n)));
    size_t outputs = outputs_of(e->graph, n, e->rows);
    f.x = rt_cuda_value(e, n->in[0]);
    f.y = rt_cuda_value(e, n->out);
    if (f.what != RT_FOLDS_REDUCE) {
        f.both = rt_cuda_scratch(e);
        f.parts = f.both + 2 * outputs;
        rt_folding_plan(&f, 0);
        rt_k_fold(e->stream, &f);
    }
    int add;
    const float *dy = rt_cuda_grad(e, n);
    float *dx = rt_cuda_grad_into(e, n, 0, &add);
    double parts = (double)rt_cuda_size(e, n->in[0]) / (double)rt_cuda_size(e, n->out);
    if (dx) rt_k_reduce_grad(e->stream, dx, dy, f.x, f.y, f.both, &s, f.reduce, outputs, parts, add);
    return rt_cuda_launched(e, n);
}

const rt_cuda_op rt_cuda_reduce = {.scratch = scratch, .forward = forward, .backward = backward};
