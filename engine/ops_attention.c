/* engine/ops_attention.c - attention (Vaswani et al. 2017, 3.2): for each of H heads
 *
 *   out[t] = sum_s softmax_s(scale q[t] . k[s] + mask[t][s]) v[s]
 *
 * of q (T, H d), k (S, G d), v (S, G e) to (T, H e); with G < H, H / G heads beside each other read the same keys and
 * values (Ainslie et al. 2023). mask, (H, T, S) or what broadcasts to it, is added; a key at -INFINITY is not seen, and
 * a query that sees none gives 0. causal: query t sees the keys up to t. One input in place of three is (T, (H + 2 G)
 * d), q, k and v side by side.
 *
 * Scores are never there at once: blocks of 64 queries by 256 keys, the softmax rescaled from block to block (Milakov &
 * Gimelshein 2018). Training keeps the logarithm of each sum, and the backward pass makes the blocks again (Dao et al.
 * 2022): dv += p^T dy, ds = p (dy v^T - dy . y), dq += ds k, dk += ds^T q. A row, or where inference has few of them a
 * row's group of heads, is computed by one thread. */
#include <math.h>
#include <string.h>

#include "engine/matrix.h"
#include "engine/ops.h"

enum { QUERIES = 64, KEYS = 256 };

typedef struct {
    int t, s, d, e, heads, groups, causal;
    float scale;
    ptrdiff_t q_ld, k_ld, v_ld;
    int packed;                        /* q, k and v are one input */
    int masked;                        /* the number of the mask's input; 0: none */
    size_t mask_h, mask_t, mask_s;     /* its strides */
} sizes;

static rt_status sizes_of(const rt_shape *const in[4], int inputs, const rt_attention_attr *a, sizes *z)
{
    char text[3][64];
    *z = (sizes){.heads = a->heads, .groups = a->kv_heads ? a->kv_heads : a->heads, .causal = a->causal,
                 .packed = inputs < 3, .masked = inputs == 2 ? 1 : inputs == 4 ? 3 : 0};
    for (int i = 0; i < (z->packed ? 1 : 3); i++)
        if (in[i]->rank != 2)
            return rt_fail(RT_USAGE, "takes rows of positions, (T, D), and input %d is %s", i,
                           rt_shape_text(in[i], text[0]));
    if (z->heads % z->groups)
        return rt_fail(RT_USAGE, "%d heads of keys do not divide %d heads", z->groups, z->heads);
    z->t = in[0]->dim[0];
    z->s = in[z->packed ? 0 : 1]->dim[0];
    z->q_ld = in[0]->dim[1];
    z->k_ld = in[z->packed ? 0 : 1]->dim[1];
    z->v_ld = in[z->packed ? 0 : 2]->dim[1];
    int64_t parts = z->packed ? (int64_t)z->heads + 2 * (int64_t)z->groups : z->heads;
    z->d = (int)(z->q_ld / parts);
    z->e = z->packed ? z->d : (int)(z->v_ld / z->groups);
    if (z->q_ld % parts || (z->packed && z->d < 1))
        return rt_fail(RT_USAGE, "input %s does not fall into %lld heads", rt_shape_text(in[0], text[0]),
                       (long long)parts);
    if (!z->packed && (z->k_ld != (ptrdiff_t)z->groups * z->d || z->v_ld % z->groups || in[2]->dim[0] != z->s))
        return rt_fail(RT_USAGE, "q %s, k %s and v %s do not fit: k must be (S, %lld), v (S, %d times its heads)",
                       rt_shape_text(in[0], text[0]), rt_shape_text(in[1], text[1]), rt_shape_text(in[2], text[2]),
                       (long long)z->groups * z->d, z->groups);
    z->scale = a->scale > 0 ? a->scale : (float)(1 / sqrt(z->d));
    if (!z->masked) return RT_OK;
    const rt_shape *m = in[z->masked];
    const int want[3] = {z->heads, z->t, z->s};
    size_t step = 1, *stride[3] = {&z->mask_h, &z->mask_t, &z->mask_s};
    for (int i = 0; i < m->rank; i++) {
        int size = m->dim[m->rank - 1 - i];
        if (i > 2 || (size != 1 && size != want[2 - i]))
            return rt_fail(RT_USAGE, "mask %s does not broadcast to (%d, %d, %d): heads, queries, keys",
                           rt_shape_text(m, text[0]), want[0], want[1], want[2]);
        if (size > 1) *stride[2 - i] = step;
        step *= (size_t)size;
    }
    return RT_OK;
}

static sizes sizes_in(const rt_graph *g, const rt_node *n)
{
    const rt_shape *in[4];
    sizes z;
    for (int i = 0; i < n->inputs; i++) in[i] = &g->tensor[n->in[i]].shape;
    rt_status st = sizes_of(in, n->inputs, RT_ATTR(n, rt_attention_attr), &z);
    RT_ASSERT(!st);
    (void)st;
    return z;
}

static rt_status infer(rt_graph *g, rt_node *n, rt_shape *out)
{
    const rt_shape *in[4];
    sizes z;
    for (int i = 0; i < n->inputs; i++) in[i] = &g->tensor[n->in[i]].shape;
    RT_TRY(sizes_of(in, n->inputs, RT_ATTR(n, rt_attention_attr), &z));
    int64_t width = (int64_t)z.heads * z.e;
    if (width > INT32_MAX) return rt_fail(RT_USAGE, "its output is too large");
    *out = (rt_shape){2, {z.t, (int)width}};
    return RT_OK;
}

/* ---- one row ---- */

/* Rows of q, k and v, and of their gradients. */
typedef struct { float *q, *k, *v; } three;

static three parts_of(const sizes *z, float *q, float *k, float *v)
{
    if (!z->packed) return (three){q, k, v};
    return (three){q, q + (ptrdiff_t)z->heads * z->d, q + ((ptrdiff_t)z->heads + z->groups) * z->d};
}

static int at_most(int n, int most) { return n < most ? n : most; }
static size_t keys_whole(const sizes *z) { return ((size_t)z->s + KEYS - 1) / KEYS * KEYS; }

static size_t whole(int n) { return ((size_t)n + 15) & ~(size_t)15; }

static void times(float *x, float by, size_t n) { for (size_t i = 0; i < n; i++) x[i] *= by; }

/* panels (d, S) of scale k^T of a group. */
static void pack_keys(const rt_kernels *kn, const sizes *z, float *to, const float *k, int group, float scale)
{
    kn->panel_pack_transposed(to, k + (ptrdiff_t)group * z->d, z->k_ld, z->d, z->s);
    times(to, scale, (size_t)z->d * (size_t)rt_panel_width(kn, z->s));
}

/* Panels (KEYS, width) of each block of keys. */
static void pack_blocks(const rt_kernels *kn, const sizes *z, float *to, const float *x, ptrdiff_t ld, int width)
{
    for (int j = 0; j < z->s; j += KEYS, to += (size_t)KEYS * (size_t)rt_panel_width(kn, width))
        kn->panel_pack(to, x + j * ld, ld, at_most(z->s - j, KEYS), width);
}

/* Scores of queries i .. i + rows by keys j .. j + n of head h, of row stride KEYS. */
static void scores(const rt_kernels *kn, const sizes *z, float *s, const float *q, const float *packed,
                   const float *mask, int h, int i, int rows, int j, int n)
{
    kn->panel_product(&(rt_panels){.y = s, .y_ld = KEYS, .x = q + i * z->q_ld + (ptrdiff_t)h * z->d, .x_ld = z->q_ld,
                                   .w = packed + (size_t)j * (size_t)z->d, .rows = rows, .k = z->d, .n = n,
                                   .next = {packed, 0, 0, 0}});
    for (int r = 0; r < rows && mask; r++) {
        const float *m = mask + (size_t)h * z->mask_h + (size_t)(i + r) * z->mask_t + (size_t)j * z->mask_s;
        float *to = s + r * KEYS;
        if (z->mask_s) for (int c = 0; c < n; c++) to[c] += m[c];
        else for (int c = 0; c < n; c++) to[c] += *m;
    }
    for (int r = 0; r < rows && z->causal; r++)
        for (int c = i + r + 1 > j ? i + r + 1 - j : 0; c < n; c++) s[r * KEYS + c] = -INFINITY;
}

/* Keys up to which the queries up to `last` see any. */
static int keys_seen(const sizes *z, int last) { return z->causal && last + 1 < z->s ? last + 1 : z->s; }

static size_t forward_scratch(const rt_kernels *kn, const sizes *z)
{
    return keys_whole(z) * ((size_t)z->d + (size_t)rt_panel_width(kn, z->e)) + QUERIES * KEYS + 4 * QUERIES + 64;
}

/* The heads of groups first .. last - 1. log_sum (T, H), or NULL. */
static void attend(const rt_kernels *kn, const sizes *z, int first, int last, float *y, float *log_sum, three in,
                   const float *mask, float *scratch)
{
    ptrdiff_t y_ld = (ptrdiff_t)z->heads * z->e;
    size_t block = (size_t)KEYS * (size_t)rt_panel_width(kn, z->e);
    float *s = scratch, *top = s + QUERIES * KEYS, *sum = top + QUERIES, *keep = sum + QUERIES,
          *logs = keep + QUERIES, *k = logs + QUERIES, *v = k + keys_whole(z) * (size_t)z->d;
    int per = z->heads / z->groups;
    for (int h = first * per; h < last * per; h++) {
        int group = h / per;
        if (h % per == 0) {
            pack_keys(kn, z, k, in.k, group, z->scale);
            pack_blocks(kn, z, v, in.v + (ptrdiff_t)group * z->e, z->v_ld, z->e);
        }
        for (int i = 0; i < z->t; i += QUERIES) {
            int rows = at_most(z->t - i, QUERIES), seen = keys_seen(z, i + rows - 1);
            float *to = y + i * y_ld + (ptrdiff_t)h * z->e;
            for (int r = 0; r < rows; r++) {
                top[r] = -INFINITY;
                sum[r] = 0;
            }
            for (int j = 0; j < seen; j += KEYS) {
                int n = at_most(z->s - j, KEYS);
                scores(kn, z, s, in.q, k, mask, h, i, rows, j, n);
                kn->softmax_block(s, KEYS, top, sum, keep, rows, n);
                for (int r = 0; r < rows && j; r++) times(to + r * y_ld, keep[r], (size_t)z->e);
                kn->panel_product(&(rt_panels){.y = to, .y_ld = y_ld, .x = s, .x_ld = KEYS,
                                               .w = v + (size_t)(j / KEYS) * block, .rows = rows, .k = n, .n = z->e,
                                               .accumulate = j > 0, .next = {v, 0, 0, 0}});
            }
            for (int r = 0; r < rows; r++)
                times(to + r * y_ld, top[r] > -INFINITY || top[r] != top[r] ? 1 / sum[r] : 0, (size_t)z->e);
            if (!log_sum) continue;
            kn->log_n(logs, sum, (size_t)rows);
            for (int r = 0; r < rows; r++)            /* of a query that sees no key its exponentials are 0 again */
                log_sum[(ptrdiff_t)(i + r) * z->heads + h] = top[r] > -INFINITY ? top[r] + logs[r] : INFINITY;
        }
    }
}

static size_t backward_scratch(const rt_kernels *kn, const sizes *z)
{
    return keys_whole(z) * ((size_t)z->d + (size_t)z->e + (size_t)rt_panel_width(kn, z->d)) + 2 * QUERIES * KEYS +
           QUERIES + whole(z->t) + rt_matrix_scratch();
}

typedef struct {
    const float *y, *dy, *log_sum, *mask;
    three in, to;                      /* gradients are added to */
    float *to_mask;                    /* or NULL */
} backward_row;

static float dot_of(const float *a, const float *b, int n)
{
    double s = 0;
    for (int i = 0; i < n; i++) s += (double)a[i] * (double)b[i];
    return (float)s;
}

static void mask_back(const sizes *z, float *to, const float *ds, int h, int i, int rows, int j, int n)
{
    for (int r = 0; r < rows; r++) {
        float *m = to + (size_t)h * z->mask_h + (size_t)(i + r) * z->mask_t + (size_t)j * z->mask_s;
        for (int c = 0; c < n; c++) m[(size_t)c * z->mask_s] += ds[r * KEYS + c];
    }
}

static void attend_back(const rt_kernels *kn, const sizes *z, const backward_row *b, float *scratch)
{
    ptrdiff_t y_ld = (ptrdiff_t)z->heads * z->e;
    float *p = scratch, *ds = p + QUERIES * KEYS, *logs = ds + QUERIES * KEYS, *dots = logs + QUERIES,
          *k = dots + whole(z->t), *v = k + keys_whole(z) * (size_t)z->d, *kb = v + keys_whole(z) * (size_t)z->e,
          *inner = kb + keys_whole(z) * (size_t)rt_panel_width(kn, z->d);
    size_t block = (size_t)KEYS * (size_t)rt_panel_width(kn, z->d);
    for (int h = 0; h < z->heads; h++) {
        int per = z->heads / z->groups, group = h / per;
        const float *q = b->in.q + (ptrdiff_t)h * z->d, *dy = b->dy + (ptrdiff_t)h * z->e;
        float *dk = b->to.k + (ptrdiff_t)group * z->d, *dv = b->to.v + (ptrdiff_t)group * z->e,
              *dq = b->to.q + (ptrdiff_t)h * z->d;
        if (h % per == 0) {
            pack_keys(kn, z, k, b->in.k, group, z->scale);
            kn->panel_pack_transposed(v, b->in.v + (ptrdiff_t)group * z->e, z->v_ld, z->e, z->s);
            pack_blocks(kn, z, kb, b->in.k + (ptrdiff_t)group * z->d, z->k_ld, z->d);
            times(kb, z->scale, (size_t)z->s * (size_t)rt_panel_width(kn, z->d));
        }
        for (int i = 0; i < z->t; i++)
            dots[i] = dot_of(dy + i * y_ld, b->y + i * y_ld + (ptrdiff_t)h * z->e, z->e);
        for (int j = 0; j < z->s; j += KEYS)
            for (int i = z->causal ? j / QUERIES * QUERIES : 0; i < z->t; i += QUERIES) {
                int rows = at_most(z->t - i, QUERIES), n = at_most(z->s - j, KEYS);
                scores(kn, z, p, b->in.q, k, b->mask, h, i, rows, j, n);
                for (int r = 0; r < rows; r++) logs[r] = b->log_sum[(ptrdiff_t)(i + r) * z->heads + h];
                kn->softmax_again(p, KEYS, logs, rows, n);
                kn->panel_product(&(rt_panels){.y = ds, .y_ld = KEYS, .x = dy + i * y_ld, .x_ld = y_ld,
                                               .w = v + (size_t)j * (size_t)z->e, .rows = rows, .k = z->e, .n = n,
                                               .next = {v, 0, 0, 0}});
                rt_matrix_product(kn, &(rt_matrices){.y = dv + j * z->v_ld, .y_ld = z->v_ld, .a = p, .a_ld = KEYS,
                                                     .b = dy + i * y_ld, .b_ld = y_ld, .m = n, .k = rows, .n = z->e,
                                                     .a_transposed = 1, .accumulate = 1, .scale = 1}, inner);
                kn->softmax_back(ds, p, KEYS, dots + i, rows, n);
                if (b->to_mask) mask_back(z, b->to_mask, ds, h, i, rows, j, n);
                kn->panel_product(&(rt_panels){.y = dq + i * z->q_ld, .y_ld = z->q_ld, .x = ds, .x_ld = KEYS,
                                               .w = kb + (size_t)(j / KEYS) * block, .rows = rows, .k = n, .n = z->d,
                                               .accumulate = 1, .next = {kb, 0, 0, 0}});
                rt_matrix_product(kn, &(rt_matrices){.y = dk + j * z->k_ld, .y_ld = z->k_ld, .a = ds, .a_ld = KEYS,
                                                     .b = q + i * z->q_ld, .b_ld = z->q_ld, .m = n, .k = rows,
                                                     .n = z->d, .a_transposed = 1, .accumulate = 1,
                                                     .scale = z->scale}, inner);
            }
    }
}

/* ---- in a plan: values 0 to 3 inputs, 4 out, 5 log_sum, 6 dy, 7 to 10 gradients of the inputs ---- */

enum { OUT = 4, LOG_SUM, DY, TO };

static void *at(const rt_call *c, rt_ctx *x, int v, int row)
{
    return c->value[v] < 0 ? NULL : rt_at(x, c->value[v], row);
}

static void attend_row(const rt_call *c, rt_ctx *x, const sizes *z, int r, int first, int last)
{
    attend(x->plan->k, z, first, last, at(c, x, OUT, r), at(c, x, LOG_SUM, r),
           parts_of(z, at(c, x, 0, r), at(c, x, 1, r), at(c, x, 2, r)), z->masked ? at(c, x, z->masked, r) : NULL,
           x->scratch);
}

static void run_forward(const rt_call *c, rt_ctx *x, int row0, int rows)
{
    sizes z = sizes_in(x->plan->graph, c->node);
    for (int r = row0; r < row0 + rows; r++) attend_row(c, x, &z, r, 0, z.groups);
}

/* One group of one row. */
static void run_forward_tile(const rt_call *c, rt_ctx *x, int tile, int unused)
{
    (void)unused;
    sizes z = sizes_in(x->plan->graph, c->node);
    int row = tile / z.groups, group = tile % z.groups;
    if (row < x->run->rows) attend_row(c, x, &z, row, group, group + 1);
}

static void forward(rt_plan *p, const rt_node *n)
{
    sizes z = sizes_in(p->graph, n);
    int in[4] = {-1, -1, -1, -1}, log_sum = -1;
    for (int i = 0; i < n->inputs; i++) in[i] = rt_plan_read(p, n->in[i]);
    int out = rt_plan_write(p, n->out);
    if (p->spec.train)
        log_sum = rt_plan_note(p, n)->value = rt_plan_temp(p, (size_t)z.t * (size_t)z.heads * sizeof(float));
    rt_plan_need_scratch(p, forward_scratch(p->k, &z));
    /* Few rows: threads share their heads, which are computed as ever. */
    int threads = rt_pool_threads(p->pool), few = !p->spec.train && threads > 1 && p->spec.batch < 2 * threads;
    rt_call *c = few ? rt_plan_tiles(p, "attention", n, p->spec.batch * z.groups, run_forward_tile)
                     : rt_plan_rows(p, "attention", n, run_forward);
    memcpy(c->value, in, sizeof in);
    c->value[OUT] = out;
    c->value[LOG_SUM] = log_sum;
}

/* flag: bit i: nothing is there yet of the gradient of input i, or it is asked for by nothing. What nothing asks for
 * goes to scratch. */
static void run_backward(const rt_call *c, rt_ctx *x, int row0, int rows)
{
    sizes z = sizes_in(x->plan->graph, c->node);
    for (int r = row0; r < row0 + rows; r++) {
        float *d[4] = {NULL, NULL, NULL, NULL}, *spare = x->scratch + backward_scratch(x->plan->k, &z);
        for (int i = 0; i < c->node->inputs; i++) {
            size_t count = rt_shape_count(rt_shape_of(x->plan, c->node->in[i]));
            d[i] = at(c, x, TO + i, r);
            if (!d[i] && !(z.masked && i == z.masked)) d[i] = spare;
            if (d[i] && (c->flag >> i & 1)) memset(d[i], 0, count * sizeof *d[i]);
        }
        backward_row b = {.y = at(c, x, OUT, r), .dy = at(c, x, DY, r), .log_sum = at(c, x, LOG_SUM, r),
                          .mask = z.masked ? at(c, x, z.masked, r) : NULL,
                          .in = parts_of(&z, at(c, x, 0, r), at(c, x, 1, r), at(c, x, 2, r)),
                          .to = parts_of(&z, d[0], d[1], d[2]), .to_mask = z.masked ? d[z.masked] : NULL};
        attend_back(x->plan->k, &z, &b, x->scratch);
    }
}

static void backward(rt_plan *p, const rt_node *n)
{
    sizes z = sizes_in(p->graph, n);
    int in[4] = {-1, -1, -1, -1}, to[4] = {-1, -1, -1, -1}, flags = 0;
    size_t spare = 0;
    int out = rt_plan_read(p, n->out), dy = rt_plan_grad_read(p, n->out);
    for (int i = 0; i < n->inputs; i++) in[i] = rt_plan_read(p, n->in[i]);
    for (int i = 0; i < n->inputs; i++) {
        int accumulate = 0;
        size_t count = rt_shape_count(rt_shape_of(p, n->in[i]));
        if (rt_plan_needs_grad(p, n->in[i])) to[i] = rt_plan_grad_write(p, n->in[i], &accumulate);
        else if (count > spare) spare = count;
        flags |= !accumulate << i;
    }
    rt_plan_need_scratch(p, backward_scratch(p->k, &z) + spare);
    rt_call *c = rt_plan_rows(p, "attention back", n, run_backward);
    memcpy(c->value, in, sizeof in);
    c->value[OUT] = out;
    c->value[LOG_SUM] = rt_plan_note(p, n)->value;
    c->value[DY] = dy;
    memcpy(c->value + TO, to, sizeof to);
    c->flag = flags;
    c->work *= 2.5;
}

static double macs(const rt_graph *g, const rt_node *n)
{
    sizes z = sizes_in(g, n);
    return (double)z.t * z.s * z.heads * ((double)z.d + z.e);
}

static const rt_attr_spec spec[] = {
    {"heads", RT_A_INT, offsetof(rt_attention_attr, heads), 1, 4096, 0, 1, "of queries"},
    {"kv_heads", RT_A_INT, offsetof(rt_attention_attr, kv_heads), 1, 4096, 0, 0,
     "of keys and values, which divide those of queries; as many when not given"},
    {"scale", RT_A_NUMBER, offsetof(rt_attention_attr, scale), 1e-6, 1e6, 0, 0,
     "of scores; 1 / sqrt of a head's width when not given"},
    {"causal", RT_A_BOOL, offsetof(rt_attention_attr, causal), 0, 1, 0, 0, "a query sees no later key"}};
static const rt_schema schema = {spec, sizeof spec / sizeof *spec, sizeof(rt_attention_attr)};

const rt_op rt_op_attention = {
    .name = "attention",
    .help = "softmax(scale q k^T + mask) v by heads, of q (T, H d), k (S, G d), v (S, G e); or of one (T, (H + 2 G) d)",
    .min_inputs = 1,
    .max_inputs = 4,
    .schema = &schema,
    .infer = infer,
    .forward = forward,
    .backward = backward,
    .macs = macs};
