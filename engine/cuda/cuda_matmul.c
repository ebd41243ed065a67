/* engine/cuda/cuda_matmul.c - products of two inputs on cards, and their gradients: as few calls of rt_cuda_multiply as
 * regular distances allow. */
#include "engine/broadcast.h"
#include "engine/cuda/cuda_ops.h"

static int leads_of(const rt_shape *s)
{
    int n = 1;
    for (int i = 0; i < s->rank - 2; i++) n *= s->dim[i];
    return n;
}

static rt_shape leads(const rt_shape *s)
{
    rt_shape l = *s;
    l.rank -= 2;
    return l;
}

/* y (m, n) of a and b with k terms, and all such matrices of the batch as runs: operand 0 is a, 1 is b, in matrices. */
typedef struct {
    const rt_shape *a, *b;
    rt_matmul_attr how;
    int m, k, n;
    rt_runs runs;
} products;

static products products_of(const rt_cuda_emit *e, const rt_node *n)
{
    const rt_shape *out = &e->graph->tensor[n->out].shape;
    products p = {.a = &e->graph->tensor[n->in[0]].shape, .b = &e->graph->tensor[n->in[1]].shape,
                  .how = *RT_ATTR(n, rt_matmul_attr), .m = out->dim[out->rank - 2], .n = out->dim[out->rank - 1]};
    p.k = p.a->dim[p.a->rank - (p.how.transpose_a ? 2 : 1)];
    rt_shape all = leads(out), a = leads(p.a), b = leads(p.b);
    if (!p.how.transpose_a && leads_of(p.b) == 1) {        /* one right side for all of a row: they are one matrix */
        p.m *= leads_of(out);
        all.rank = a.rank = b.rank = 0;
    }
    p.runs = rt_runs_of(&all, (const rt_shape *const[]){&a, &b}, 2, 1, e->rows, 0);
    return p;
}

/* Distances between matrices along a run, of c, a and b. */
typedef struct { size_t c, a, b; } steps;

/* One call for the matrices along run `at` (-1: one each) together, and for each place of the others. Where c stays
 * products add up. */
static rt_status multiply(rt_cuda_emit *e, rt_cuda_product p, const rt_runs *r, const steps *step, int at)
{
    float *c = p.c;
    const float *a = p.a, *b = p.b;
    int add = p.add;
    size_t place[RT_MAX_RANK + 1] = {0};
    if (at >= 0) {
        p.count = (int)r->count[at];
        p.c_next = step[at].c;
        p.a_next = step[at].a;
        p.b_next = step[at].b;
    }
    for (;;) {
        size_t to = 0, from_a = 0, from_b = 0;
        p.add = add;
        for (int g = 0; g < r->runs; g++) {
            to += place[g] * step[g].c;
            from_a += place[g] * step[g].a;
            from_b += place[g] * step[g].b;
            p.add |= place[g] && !step[g].c;
        }
        p.c = c + to;
        p.a = a + from_a;
        p.b = b + from_b;
        RT_TRY(rt_cuda_multiply(e, &p));
        int g = 0;
        for (; g < r->runs; g++) {
            if (g == at) continue;
            if (++place[g] < r->count[g]) break;
            place[g] = 0;
        }
        if (g == r->runs) return RT_OK;
    }
}

/* The longest run whose products do not add up; -1: there is none. */
static int longest(const rt_runs *r, const steps *step)
{
    int best = -1;
    for (int g = 0; g < r->runs; g++) if (step[g].c && (best < 0 || r->count[g] > r->count[best])) best = g;
    return best;
}

static rt_status forward(rt_cuda_emit *e, const rt_node *n)
{
    products p = products_of(e, n);
    steps step[RT_MAX_RANK + 1];
    size_t mn = (size_t)p.m * (size_t)p.n, mk = (size_t)p.m * (size_t)p.k, kn = (size_t)p.k * (size_t)p.n, all = 1;
    for (int g = 0; g < p.runs.runs; g++) {
        step[g] = (steps){all * mn, (size_t)p.runs.stride[0][g] * mk, (size_t)p.runs.stride[1][g] * kn};
        all *= p.runs.count[g];
    }
    const float *a = rt_cuda_value(e, n->in[0]), *b = rt_cuda_value(e, n->in[1]);
    rt_cuda_product c = {.c = rt_cuda_value(e, n->out), .a = a, .b = b, .m = p.m, .n = p.n, .k = p.k, .ldc = p.n,
                         .lda = p.a->dim[p.a->rank - 1], .ldb = p.b->dim[p.b->rank - 1],
                         .trans_a = p.how.transpose_a, .trans_b = p.how.transpose_b, .alpha = p.how.scale};
    if (p.how.scale != 0) RT_TRY(multiply(e, c, &p.runs, step, longest(&p.runs, step)));
    else cudaMemsetAsync(c.c, 0, all * mn * sizeof *c.c, e->stream);       /* alpha 0 stands for 1 */
    return rt_cuda_launched(e, n);
}

/* da (m, k) = dy b^T, its transpose (k, m) = b dy^T; db (k, n) = a^T dy, its transpose (n, k) = dy^T a. */
static rt_cuda_product product_back(const products *p, int input, float *to, const float *other, const float *dy)
{
    int ta = p->how.transpose_a, tb = p->how.transpose_b, turned = input ? tb : ta;
    const rt_shape *own = input ? p->b : p->a, *left = input ? p->a : p->b;
    int other_ld = left->dim[left->rank - 1], rows = input ? p->k : p->m, columns = input ? p->n : p->k;
    rt_cuda_product c = {.c = to, .ldc = own->dim[own->rank - 1], .k = input ? p->m : p->n, .alpha = p->how.scale,
                         .m = turned ? columns : rows, .n = turned ? rows : columns};
    if (input ? tb : !ta) {                                /* dy is the left side */
        c.a = dy;
        c.lda = p->n;
        c.trans_a = input;
        c.b = other;
        c.ldb = other_ld;
        c.trans_b = input ? ta : !tb;
    } else {
        c.a = other;
        c.lda = other_ld;
        c.trans_a = input ? !ta : tb;
        c.b = dy;
        c.ldb = p->n;
        c.trans_b = !input;
    }
    return c;
}

static rt_status side_back(rt_cuda_emit *e, const rt_node *n, int input, float *to, int add, const float *dy)
{
    products p = products_of(e, n);
    steps step[RT_MAX_RANK + 1];
    size_t mk = (size_t)p.m * (size_t)p.k, kn = (size_t)p.k * (size_t)p.n, all = 1;
    size_t own = input ? kn : mk, other = input ? mk : kn;
    rt_cuda_product c = product_back(&p, input, to, rt_cuda_value(e, n->in[1 - input]), dy);
    for (int g = 0; g < p.runs.runs; g++) {
        size_t by_dy = all * (size_t)p.m * (size_t)p.n, by_other = (size_t)p.runs.stride[1 - input][g] * other;
        int dy_first = c.a == dy;
        step[g] = (steps){(size_t)p.runs.stride[input][g] * own, dy_first ? by_dy : by_other,
                          dy_first ? by_other : by_dy};
        all *= p.runs.count[g];
    }
    c.add = add;
    return multiply(e, c, &p.runs, step, longest(&p.runs, step));
}

static rt_status backward(rt_cuda_emit *e, const rt_node *n)
{
    const float *dy = rt_cuda_grad(e, n);
    for (int input = 0; input < 2; input++) {
        int add = 0;
        float *to = rt_cuda_grad_into(e, n, input, &add);
        if (!to) continue;
        if (RT_ATTR(n, rt_matmul_attr)->scale != 0) RT_TRY(side_back(e, n, input, to, add, dy));
        else if (!add)
            cudaMemsetAsync(to, 0, (size_t)e->rows * rt_cuda_size(e, n->in[input]) * sizeof *to, e->stream);
    }
    return rt_cuda_launched(e, n);
}

const rt_cuda_op rt_cuda_matmul = {.forward = forward, .backward = backward};
