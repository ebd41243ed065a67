/* engine/ops_dense_int8.c - a dense layer of int8 weights over the last dimension of (.., K), whose input is brought to
 * bytes by the least and the greatest value of the row that it comes in:
 *
 *     scale = (max(x, 0) - min(x, 0)) / 255 (1 / 255 where all are 0), zero = sat(rne(-min(x, 0) / scale)),
 *     q = sat(rne(fl(x / scale)) + zero), y[n] = fl(fl(sum_k (q[k] - zero) w[k, n]) fl(scale step[n])) + bias[n]
 *
 * in float, the sum exact: ONNX's DynamicQuantizeLinear, MatMulInteger, Cast, Mul and Add over a batch of one. The
 * weights lie in constants as numbers, -127 to 127; others are the nearest of these. Before a plan runs they are packed
 * for the family of integer kernels (engine/int/integer.h); tokens of several rows are multiplied side by side, each
 * with the scale of its own row, so that bits do not depend on the batch. There is no gradient. */
#include <math.h>
#include <string.h>

#include "engine/int/integer.h"
#include "engine/ops.h"

enum { WEIGHT, STEP, BIAS };                                                              /* fields */
enum { K_MOST = 1 << 16 /* whose sums fit 32 bits */, TOKENS = 64, SUMS = 1 << 17 /* floats of a block */ };

static rt_status infer(rt_graph *g, rt_node *n, rt_shape *out)
{
    const rt_dense_int8_attr *a = RT_ATTR(n, rt_dense_int8_attr);
    const rt_shape *in = &g->tensor[n->in[0]].shape;
    int k = in->dim[in->rank - 1];
    if (k > K_MOST) return rt_fail(RT_USAGE, "sums of %d products may leave 32 bits; %d are allowed", k, K_MOST);
    RT_TRY(rt_graph_constant(g, n, "weight", (rt_shape){2, {k, a->out}}, NULL));
    RT_TRY(rt_graph_constant(g, n, "step", (rt_shape){1, {a->out}}, NULL));
    if (a->bias) RT_TRY(rt_graph_constant(g, n, "bias", (rt_shape){1, {a->out}}, NULL));
    *out = *in;
    out->dim[out->rank - 1] = a->out;
    return RT_OK;
}

typedef struct { int k, n, tokens, block; } sizes;         /* tokens of a row, and those that are multiplied at once */

static sizes sizes_of(const rt_plan *p, const rt_node *n)
{
    const rt_shape *in = rt_shape_of(p, n->in[0]);
    sizes s = {.k = in->dim[in->rank - 1], .n = RT_ATTR(n, rt_dense_int8_attr)->out, .block = TOKENS};
    s.tokens = (int)(rt_shape_count(in) / (size_t)s.k);
    while (s.block > 4 && (size_t)s.block * (size_t)s.n > SUMS) s.block /= 2;
    return s;
}

/* Buffer: packed weights, their bytes, starts of sums (zeros), totals; each from a multiple of 64 bytes on. */
typedef struct { size_t packed, weight, start, total, bytes; } places;

static size_t up(size_t n) { return (n + 63) & ~(size_t)63; }

static rt_int_conv conv_of(const sizes *s)
{
    return (rt_int_conv){.x = {.px = s->k, .row = (ptrdiff_t)s->k * s->block, .h = 1, .w = s->block, .c = s->k},
                         .y = {.px = s->n, .row = (ptrdiff_t)s->n * s->block, .h = 1, .w = s->block, .c = s->n},
                         .kh = 1, .kw = 1, .sh = 1, .sw = 1, .groups = 1, .n = s->n};
}

static places places_of(const sizes *s, const rt_int_kernels *k)
{
    const rt_int_conv c = conv_of(s);
    places p = {.weight = up(k->conv_bytes(&c))};
    p.start = p.weight + up((size_t)s->k * (size_t)s->n);
    p.total = p.start + up((size_t)s->n * sizeof(int32_t));
    p.bytes = p.total + up((size_t)s->n * sizeof(int32_t));
    return p;
}

static void set_weights(const rt_call *c, const rt_plan *p, const places *at, rt_int_conv *conv)
{
    char *b = (char *)(p->buffer + c->at[0]);
    conv->packed = b + at->packed;
    conv->w = (int8_t *)(b + at->weight);
    conv->bias = (int32_t *)(void *)(b + at->start);
}

static void pack(const rt_call *c, rt_ctx *x, int tile, int unused)
{
    (void)tile;
    (void)unused;
    const rt_int_kernels *k = c->arg;
    const sizes s = sizes_of(x->plan, c->node);
    const places at = places_of(&s, k);
    const float *w = rt_param(x, c->node, WEIGHT);
    rt_int_conv conv = conv_of(&s);
    char *b = (char *)(x->plan->buffer + c->at[0]);
    int8_t *q = (int8_t *)(b + at.weight);
    int32_t *total = (int32_t *)(void *)(b + at.total);
    memset(b + at.start, 0, at.bytes - at.start);
    for (size_t i = 0; i < (size_t)s.k * (size_t)s.n; i++) {
        q[i] = (int8_t)(w[i] == w[i] ? fminf(fmaxf(rintf(w[i]), -127), 127) : 0);
        total[i % (size_t)s.n] += q[i];
    }
    set_weights(c, x->plan, &at, &conv);
    conv.m = rt_param(x, c->node, STEP);
    k->conv_pack(&conv, b + at.packed);
}

/* Tokens that wait for their products, with the scale and zero point of their rows. */
typedef struct { int count, zero[TOKENS]; float scale[TOKENS]; } block;

static void multiply(rt_int_conv *conv, const rt_int_kernels *k, const block *b, rt_int_floats *a, float *y)
{
    conv->x.w = conv->y.w = b->count;
    k->conv(conv);
    for (int t = 0; t < b->count; t++) {
        a->zero = b->zero[t];
        a->scale = b->scale[t];
        k->floats(y + (size_t)t * (size_t)a->n, conv->sums + (size_t)t * (size_t)a->n, a);
    }
}

static void run_forward(const rt_call *c, rt_ctx *ctx, int row0, int rows)
{
    const rt_int_kernels *k = c->arg;
    const sizes s = sizes_of(ctx->plan, c->node);
    const places at = places_of(&s, k);
    const float *x = rt_at(ctx, c->value[0], row0);
    float *y = rt_at(ctx, c->value[1], row0);
    rt_int_conv conv = conv_of(&s);
    uint8_t *bytes = (uint8_t *)(ctx->scratch + up((size_t)s.block * (size_t)s.n * sizeof(float)) / sizeof(float));
    rt_int_floats a = {.n = s.n,
                       .total = (const int32_t *)(const void *)((char *)(ctx->plan->buffer + c->at[0]) + at.total),
                       .step = rt_param(ctx, c->node, STEP),
                       .bias = rt_param(ctx, c->node, BIAS)};
    block b = {.count = 0};
    set_weights(c, ctx->plan, &at, &conv);
    conv.m = a.step;
    conv.x.p = bytes;
    conv.sums = (int32_t *)(void *)ctx->scratch;
    for (int r = 0; r < rows; r++, x += (size_t)s.tokens * (size_t)s.k) {
        float low, high;
        k->range(&low, &high, x, (size_t)s.tokens * (size_t)s.k);
        float scale = (high > low ? high - low : 1.0f) / 255.0f, zero = -low / scale;
        int z = zero >= 0 && zero < 255 ? (int)rintf(zero) : zero >= 255 ? 255 : 0;        /* NaN: 0 */
        for (int t = 0; t < s.tokens; t++) {
            k->quantize(bytes + (size_t)b.count * (size_t)s.k, x + (size_t)t * (size_t)s.k, (size_t)s.k, scale, z);
            b.scale[b.count] = scale;
            b.zero[b.count++] = z;
            if (b.count < s.block && (t + 1 < s.tokens || r + 1 < rows)) continue;
            multiply(&conv, k, &b, &a, y);
            y += (size_t)b.count * (size_t)s.n;
            b.count = 0;
        }
    }
}

static void forward(rt_plan *p, const rt_node *n)
{
    const rt_int_kernels *k = rt_int_kernels_get();
    int in = rt_plan_read(p, n->in[0]), out = rt_plan_write(p, n->out);
    if (!k) {
        p->failed = 1;
        return;
    }
    const sizes s = sizes_of(p, n);
    ptrdiff_t at = rt_plan_buffer(p, (places_of(&s, k).bytes + 63) / 64 * 16);
    rt_call *t = rt_plan_pack(p, "pack", n, 1, pack);
    t->at[0] = at;
    t->arg = k;
    rt_plan_need_scratch(p, (up((size_t)s.block * (size_t)s.n * sizeof(float)) +
                             up((size_t)s.block * (size_t)s.k + RT_INT_SLACK)) / sizeof(float));
    rt_call *c = rt_plan_rows(p, "dense_int8", n, run_forward);
    c->value[0] = in;
    c->value[1] = out;
    c->at[0] = at;
    c->arg = k;
    c->work = (double)s.tokens * s.k * s.n / 4;
    c->weights = (double)s.k * s.n / 4;
}

static double macs(const rt_graph *g, const rt_node *n)
{ return (double)rt_shape_count(&g->tensor[n->in[0]].shape) * RT_ATTR(n, rt_dense_int8_attr)->out; }

static const rt_attr_spec spec[] = {
    {"out", RT_A_INT, offsetof(rt_dense_int8_attr, out), 1, 1 << 20, 0, 1, "outputs"},
    {"bias", RT_A_BOOL, offsetof(rt_dense_int8_attr, bias), 0, 1, 1, 0, "something is added to sums"}};
static const rt_schema schema = {spec, sizeof spec / sizeof *spec, sizeof(rt_dense_int8_attr)};

const rt_op rt_op_dense_int8 = {
    .name = "dense_int8",
    .help = "a dense layer of int8 weights, its input in 256 steps between its least and greatest value, without "
            "gradient (values are its file's)",
    .min_inputs = 1,
    .max_inputs = 1,
    .schema = &schema,
    .infer = infer,
    .forward = forward,
    .macs = macs};
