/* engine/ops_matmul.c - the product of two inputs: y[..., m, n] = scale sum_k a[..., m, k] b[..., k, n], the dimensions
 * before the last two broadcast: they are equal, or 1, or missing. transpose_a: a is (..., K, M); transpose_b: b is
 * (..., N, K). */
#include <string.h>

#include "engine/matrix.h"
#include "engine/ops.h"

/* Dimension i of those before the last two, counted from behind; 1 where there is none. */
static int lead(const rt_shape *s, int i) { return i < s->rank - 2 ? s->dim[s->rank - 3 - i] : 1; }

typedef struct {
    int m, k, n, leads;
    const rt_shape *a, *b, *out;
    rt_matmul_attr how;
} sizes;

static sizes sizes_of(const rt_shape *a, const rt_shape *b, const rt_shape *out, const rt_matmul_attr *how)
{
    sizes s = {.a = a, .b = b, .out = out, .how = *how, .leads = 1};
    s.m = out->dim[out->rank - 2];
    s.n = out->dim[out->rank - 1];
    s.k = a->dim[a->rank - (how->transpose_a ? 2 : 1)];
    for (int i = 0; i < out->rank - 2; i++) s.leads *= out->dim[i];
    return s;
}

static sizes sizes_in(const rt_plan *p, const rt_node *n)
{
    return sizes_of(rt_shape_of(p, n->in[0]), rt_shape_of(p, n->in[1]), rt_shape_of(p, n->out),
                    RT_ATTR(n, rt_matmul_attr));
}

static rt_status infer(rt_graph *g, rt_node *n, rt_shape *out)
{
    const rt_shape *a = &g->tensor[n->in[0]].shape, *b = &g->tensor[n->in[1]].shape;
    const rt_matmul_attr *how = RT_ATTR(n, rt_matmul_attr);
    char at[64], bt[64];
    if (a->rank < 2 || b->rank < 2)
        return rt_fail(RT_USAGE, "takes matrices, and its inputs are %s and %s", rt_shape_text(a, at),
                       rt_shape_text(b, bt));
    int m = a->dim[a->rank - (how->transpose_a ? 1 : 2)], k = a->dim[a->rank - (how->transpose_a ? 2 : 1)],
        terms = b->dim[b->rank - (how->transpose_b ? 1 : 2)], columns = b->dim[b->rank - (how->transpose_b ? 2 : 1)];
    if (k != terms)
        return rt_fail(RT_USAGE, "inputs %s%s and %s%s do not fit: %d columns of one, %d rows of the other",
                       rt_shape_text(a, at), how->transpose_a ? " transposed" : "", rt_shape_text(b, bt),
                       how->transpose_b ? " transposed" : "", k, terms);
    *out = (rt_shape){.rank = a->rank > b->rank ? a->rank : b->rank};
    for (int i = 0; i < out->rank - 2; i++) {
        int x = lead(a, i), y = lead(b, i);
        if (x != y && x != 1 && y != 1)
            return rt_fail(RT_USAGE, "inputs %s and %s do not fit: %d matrices of one, %d of the other",
                           rt_shape_text(a, at), rt_shape_text(b, bt), x, y);
        out->dim[out->rank - 3 - i] = x > y ? x : y;
    }
    out->dim[out->rank - 2] = m;
    out->dim[out->rank - 1] = columns;
    return RT_OK;
}

/* Which matrix of s the matrix number `at` of the output goes with. */
static size_t matrix_of(const rt_shape *s, const rt_shape *out, int at)
{
    size_t matrix = 0, step = 1;
    for (int i = 0; i < out->rank - 2; i++) {
        int size = lead(s, i), place = at % lead(out, i);
        if (size > 1) matrix += step * (size_t)place;
        step *= (size_t)size;
        at /= lead(out, i);
    }
    return matrix;
}

static int leads_of(const rt_shape *s)
{
    int n = 1;
    for (int i = 0; i < s->rank - 2; i++) n *= s->dim[i];
    return n;
}

static ptrdiff_t columns(const rt_shape *s) { return s->dim[s->rank - 1]; }

/* One right side for all rows: they are one matrix. */
static void merge_leads(sizes *s)
{
    if (s->how.transpose_a || leads_of(s->b) > 1) return;
    s->m *= s->leads;
    s->leads = 1;
}

static void run_forward(const rt_call *c, rt_ctx *x, int row0, int rows)
{
    sizes s = sizes_in(x->plan, c->node);
    merge_leads(&s);
    size_t mk = (size_t)s.m * (size_t)s.k, kn = (size_t)s.k * (size_t)s.n, mn = (size_t)s.m * (size_t)s.n;
    const float *a = rt_at(x, c->value[0], row0), *b = rt_at(x, c->value[1], row0);
    float *y = rt_at(x, c->value[2], row0);
    for (int r = 0; r < rows; r++, a += rt_shape_count(s.a), b += rt_shape_count(s.b))
        for (int l = 0; l < s.leads; l++, y += mn)
            rt_matrix_product(x->plan->k,
                              &(rt_matrices){.y = y, .y_ld = s.n,
                                             .a = a + matrix_of(s.a, s.out, l) * mk, .a_ld = columns(s.a),
                                             .b = b + matrix_of(s.b, s.out, l) * kn, .b_ld = columns(s.b),
                                             .m = s.m, .k = s.k, .n = s.n, .a_transposed = s.how.transpose_a,
                                             .b_transposed = s.how.transpose_b, .scale = s.how.scale},
                              x->scratch);
}

/* da (m, k) = dy b^T, its transpose (k, m) = b dy^T; db (k, n) = a^T dy, its transpose (n, k) = dy^T a. */
static rt_matrices product_back(const sizes *s, int input, float *to, const float *other, const float *dy)
{
    int ta = s->how.transpose_a, tb = s->how.transpose_b;
    ptrdiff_t other_ld = columns(input ? s->a : s->b);
    rt_matrices p = {.y = to, .y_ld = columns(input ? s->b : s->a), .scale = s->how.scale};
    int dy_first = input ? tb : !ta;                   /* dy is the left side */
    if (dy_first) {
        p.a = dy;
        p.a_ld = s->n;
        p.a_transposed = input;
        p.b = other;
        p.b_ld = other_ld;
        p.b_transposed = input ? ta : !tb;
    } else {
        p.a = other;
        p.a_ld = other_ld;
        p.a_transposed = input ? !ta : tb;
        p.b = dy;
        p.b_ld = s->n;
        p.b_transposed = !input;
    }
    int rows = input ? s->k : s->m, cols = input ? s->n : s->k, terms = input ? s->m : s->n,
        turned = input ? tb : ta;
    p.m = turned ? cols : rows;
    p.n = turned ? rows : cols;
    p.k = terms;
    return p;
}

/* value: 0 dy, 1 the other input, 2 the gradient of input at[0] */
static void run_back(const rt_call *c, rt_ctx *x, int row0, int rows)
{
    sizes s = sizes_in(x->plan, c->node);
    int input = (int)c->at[0];
    const rt_shape *own = input ? s.b : s.a, *other = input ? s.a : s.b;
    merge_leads(&s);
    size_t n_own = rt_shape_count(own), n_other = rt_shape_count(other), mn = (size_t)s.m * (size_t)s.n,
           per_own = (size_t)s.k * (size_t)(input ? s.n : s.m), per_other = (size_t)s.k * (size_t)(input ? s.m : s.n);
    const float *dy = rt_at(x, c->value[0], row0), *in = rt_at(x, c->value[1], row0);
    float *d = rt_at(x, c->value[2], row0);
    int several = n_own < per_own * (size_t)s.leads;   /* products that add up */
    if (several && !c->flag) memset(d, 0, (size_t)rows * n_own * sizeof *d);
    for (int r = 0; r < rows; r++, d += n_own, in += n_other)
        for (int l = 0; l < s.leads; l++, dy += mn) {
            rt_matrices p = product_back(&s, input, d + matrix_of(own, s.out, l) * per_own,
                                         in + matrix_of(other, s.out, l) * per_other, dy);
            p.accumulate = c->flag || several;
            rt_matrix_product(x->plan->k, &p, x->scratch);
        }
}

static void forward(rt_plan *p, const rt_node *n)
{
    int a = rt_plan_read(p, n->in[0]), b = rt_plan_read(p, n->in[1]), out = rt_plan_write(p, n->out);
    rt_plan_need_scratch(p, rt_matrix_scratch());
    rt_call *c = rt_plan_rows(p, "matmul", n, run_forward);
    c->value[0] = a;
    c->value[1] = b;
    c->value[2] = out;
}

static void backward(rt_plan *p, const rt_node *n)
{
    int dy = rt_plan_grad_read(p, n->out);
    rt_plan_need_scratch(p, rt_matrix_scratch());
    for (int i = 0; i < 2; i++) {
        if (!rt_plan_needs_grad(p, n->in[i])) continue;
        int accumulate, other = rt_plan_read(p, n->in[1 - i]), d = rt_plan_grad_write(p, n->in[i], &accumulate);
        rt_call *c = rt_plan_rows(p, i ? "matmul dB" : "matmul dA", n, run_back);
        c->value[0] = dy;
        c->value[1] = other;
        c->value[2] = d;
        c->at[0] = i;
        c->flag = accumulate;
    }
}

static double macs(const rt_graph *g, const rt_node *n)
{
    const rt_shape *a = &g->tensor[n->in[0]].shape;
    return (double)rt_shape_count(&g->tensor[n->out].shape) *
           a->dim[a->rank - (RT_ATTR(n, rt_matmul_attr)->transpose_a ? 2 : 1)];
}

static const rt_attr_spec spec[] = {
    {"transpose_a", RT_A_BOOL, offsetof(rt_matmul_attr, transpose_a), 0, 1, 0, 0, "the first input is (..., K, M)"},
    {"transpose_b", RT_A_BOOL, offsetof(rt_matmul_attr, transpose_b), 0, 1, 0, 0, "the second input is (..., N, K)"},
    {"scale", RT_A_NUMBER, offsetof(rt_matmul_attr, scale), -1e6, 1e6, 1, 0, "what the product is multiplied by"}};
static const rt_schema schema = {spec, sizeof spec / sizeof *spec, sizeof(rt_matmul_attr)};

const rt_op rt_op_matmul = {.name = "matmul",
                            .help = "the product of two inputs, (..., M, K) and (..., K, N)",
                            .min_inputs = 2,
                            .max_inputs = 2,
                            .schema = &schema,
                            .infer = infer,
                            .forward = forward,
                            .backward = backward,
                            .macs = macs};
