/* engine/ops_quantize.c - integers that stand for numbers, element by element, as whole floats: quantizers and what
 * undoes them, tables of bytes, sums and products of two quantized tensors. An element i of x has scale[i] and zero[i]
 * of fields that broadcast to x (one for all, one a channel, one for each element of a block).
 *
 *   quantize    y = sat(rne(x / scale) + zero); NaN becomes 0           QuantizeLinear
 *   scaled      y = sat(rne(x scale) + zero)                            the end of QLinearMatMul and the like
 *   dequantize  y = (x - zero) scale                                    DequantizeLinear
 *   both        quantize, then dequantize
 *   table       y = table[x - low], x from low on
 *
 * sat clamps to [low, high]; rne rounds to the nearest integer, halves to even. Of two (pair_int8), as ONNX Runtime
 * defines QLinearAdd and QLinearMul:
 *
 *   add         y = sat(rne(fma(a, ra, fma(b, rb, zc - fma(ra, za, fl(rb zb)))))), ra = fl(sa / sc), rb = fl(sb / sc)
 *   multiply    y = sat(rne(fl(fl((a - za)(b - zb)) fl(fl(sa sb) / sc)) + zc)) */
#include <float.h>
#include <math.h>
#include <string.h>

#include "engine/broadcast.h"

enum { QUANTIZE, SCALED, DEQUANTIZE, BOTH, TABLE };
enum { BYTES = 256 };
static const char *const forms[] = {"quantize", "scaled", "dequantize", "both", "table", NULL};

static rt_status infer(rt_graph *g, rt_node *n, rt_shape *out)
{
    const rt_quantize_attr *a = RT_ATTR(n, rt_quantize_attr);
    *out = g->tensor[n->in[0]].shape;
    if (a->low > a->high) return rt_fail(RT_USAGE, "'low' is above 'high'");
    if (a->form == TABLE) {
        if (a->operand.rank) return rt_fail(RT_USAGE, "a table has no 'operand'");
        return rt_graph_constant(g, n, "table", (rt_shape){1, {BYTES}}, NULL);
    }
    const rt_shape one = {1, {1}}, *s = a->operand.rank ? &a->operand : &one;
    rt_shape both;
    RT_TRY(rt_broadcast(out, s, &both));
    if (!rt_shape_equal(&both, out)) return rt_fail(RT_USAGE, "its scales have more elements than its input");
    RT_TRY(rt_graph_constant(g, n, "scale", *s, NULL));
    return rt_graph_constant(g, n, "zero", *s, NULL);
}

/* Halves to even, below 2^22. */
static inline float nearest(float v) { return (v + 12582912.0f) - 12582912.0f; }

/* Bounds are whole, so that clamping first gives the same, and never rounds what is large. */
static inline float steps_of(float v, float zero, float low, float high)
{
    float least = low - zero, most = high - zero, c = v > least ? v : least;
    c = nearest(c < most ? c : most) + zero;
    return v == v ? c : 0.0f;
}

typedef struct { const rt_quantize_attr *a; const float *x, *scale, *zero; float *y; const rt_runs *r; } quantizing;

#define EACH(Y) for (size_t i = 0; i < n; i++) { const float s = scale[i * step], z = zero[i * step]; y[i] = (Y); }

static inline __attribute__((always_inline)) void line(const rt_quantize_attr *a, float *restrict y,
                                                       const float *restrict x, const float *restrict scale,
                                                       const float *restrict zero, size_t n, const size_t step)
{
    const float low = (float)a->low, high = (float)a->high;
    switch (a->form) {
    case QUANTIZE: EACH(steps_of(x[i] / s, z, low, high)) break;
    case SCALED: EACH(steps_of(x[i] * s, z, low, high)) break;
    case DEQUANTIZE: EACH((x[i] - z) * s) break;
    default: EACH((steps_of(x[i] / s, z, low, high) - z) * s) break;
    }
}

static void lines(void *arg, const ptrdiff_t *at, size_t place)
{
    const quantizing *q = arg;
    const rt_runs *r = q->r;
    const size_t n = r->count[0], count = r->runs > 1 ? r->count[1] : 1;
    const ptrdiff_t next = r->runs > 1 ? r->stride[1][1] : 0;
    const float *x = q->x + place, *scale = q->scale + at[1], *zero = q->zero + at[1];
    float *y = q->y + place;
    for (size_t l = 0; l < count; l++, x += n, y += n, scale += next, zero += next)
        if (r->stride[1][0]) line(q->a, y, x, scale, zero, n, 1);
        else line(q->a, y, x, scale, zero, n, 0);
}

static void run_forward(const rt_call *c, rt_ctx *x, int row0, int rows)
{
    const rt_quantize_attr *a = RT_ATTR(c->node, rt_quantize_attr);
    const rt_graph *g = x->plan->graph;
    quantizing q = {.a = a, .x = rt_at(x, c->value[0], row0), .y = rt_at(x, c->value[1], row0),
                    .scale = rt_param(x, c->node, 0), .zero = rt_param(x, c->node, 1)};
    if (a->form == TABLE) {
        const size_t n = rt_floats_of(x, c->node->out, rows);
        for (size_t i = 0; i < n; i++) {
            float at = q.x[i] - (float)a->low;
            q.y[i] = q.scale[at > 0 ? at < BYTES - 1 ? (int)at : BYTES - 1 : 0];
        }
        return;
    }
    const rt_shape *in = rt_shape_of(x->plan, c->node->in[0]),
                   *shape[2] = {in, &g->field[c->node->field[0]].shape};
    const rt_runs r = rt_runs_of(in, shape, 2, 1, rows, 2);
    q.r = &r;
    rt_runs_each(&r, 2, lines, &q);
}

static void forward(rt_plan *p, const rt_node *n)
{
    int in = rt_plan_read(p, n->in[0]), out = rt_plan_write(p, n->out);
    rt_call *c = rt_plan_rows(p, rt_ops[n->op]->name, n, run_forward);
    c->value[0] = in;
    c->value[1] = out;
    c->weights = 0;
}

#define AT(field) offsetof(rt_quantize_attr, field)
static const rt_attr_spec spec[] = {
    {"form", RT_A_CHOICE, AT(form), 0, TABLE, QUANTIZE, 0, "quantize x / scale, scaled x scale, dequantize, both, or a "
     "table of 256", forms},
    {"operand", RT_A_SHAPE, AT(operand), 1, INT32_MAX, 0, 0, "shape of the scales and zero points; one for all", NULL},
    {"low", RT_A_INT, AT(low), -32768, 32767, 0, 0, "the least integer", NULL},
    {"high", RT_A_INT, AT(high), -32768, 65535, 255, 0, "the greatest", NULL}};
static const rt_schema schema = {spec, sizeof spec / sizeof *spec, sizeof(rt_quantize_attr)};

const rt_op rt_op_quantize = {
    .name = "quantize",
    .help = "integers that stand for numbers by scales and zero points, and back, without gradient (values are its "
            "file's)",
    .min_inputs = 1,
    .max_inputs = 1,
    .schema = &schema,
    .infer = infer,
    .forward = forward};

/* ---- of two ---- */

enum { ADD, MULTIPLY };
enum { SA, ZA, SB, ZB, SC, ZC, NUMBERS };
static const char *const pairs[] = {"add", "multiply", NULL};

static rt_status infer_pair(rt_graph *g, rt_node *n, rt_shape *out)
{
    const rt_pair_int8_attr *a = RT_ATTR(n, rt_pair_int8_attr);
    if (a->low > a->high) return rt_fail(RT_USAGE, "'low' is above 'high'");
    RT_TRY(rt_broadcast(&g->tensor[n->in[0]].shape, &g->tensor[n->in[1]].shape, out));
    return rt_graph_constant(g, n, "scales", (rt_shape){1, {NUMBERS}}, NULL);
}

/* Sums of products of such factors and of bytes have at most 53 bits, so that double is as good as fma. */
static int fits_double(float ra, float rb, float fx)
{
    const float least = 0x1p-12f, most = 0x1p6f;
    return ra >= least && ra <= most && rb >= least && rb <= most && fabsf(fx) <= 0x1p16f &&
           (fabsf(fx) >= least || fx == 0);
}

typedef struct {
    const rt_pair_int8_attr *a;
    const rt_runs *r;
    const float *side[2], *s;
    float *y;
} pairing;

static inline __attribute__((always_inline)) void pair_line(const pairing *p, float *restrict y,
                                                            const float *restrict a, const float *restrict b,
                                                            size_t n, const size_t i1, const size_t i2)
{
    const float *s = p->s, low = (float)p->a->low, high = (float)p->a->high;
    if (p->a->op == MULTIPLY) {
        const float m = s[SA] * s[SB] / s[SC], za = s[ZA], zb = s[ZB], zc = s[ZC];
        for (size_t i = 0; i < n; i++)
            y[i] = steps_of((a[i * i1] - za) * (b[i * i2] - zb) * m + zc, 0, low, high);
        return;
    }
    const float ra = s[SA] / s[SC], rb = s[SB] / s[SC], fx = s[ZC] - fmaf(ra, s[ZA], rb * s[ZB]);
    if (!fits_double(ra, rb, fx)) {
        for (size_t i = 0; i < n; i++) y[i] = steps_of(fmaf(a[i * i1], ra, fmaf(b[i * i2], rb, fx)), 0, low, high);
        return;
    }
    const double da = (double)ra, db = (double)rb, dx = (double)fx;
    for (size_t i = 0; i < n; i++) {
        float inner = (float)((double)b[i * i2] * db + dx);
        y[i] = steps_of((float)((double)a[i * i1] * da + (double)inner), 0, low, high);
    }
}

static void pair_lines(void *arg, const ptrdiff_t *at, size_t place)
{
    const pairing *p = arg;
    const rt_runs *r = p->r;
    const size_t n = r->count[0], count = r->runs > 1 ? r->count[1] : 1;
    const ptrdiff_t na = r->runs > 1 ? r->stride[0][1] : 0, nb = r->runs > 1 ? r->stride[1][1] : 0;
    const float *a = p->side[0] + at[0], *b = p->side[1] + at[1];
    float *y = p->y + place;
    for (size_t l = 0; l < count; l++, y += n, a += na, b += nb)
        if (!r->stride[0][0]) pair_line(p, y, a, b, n, 0, 1);
        else if (!r->stride[1][0]) pair_line(p, y, a, b, n, 1, 0);
        else pair_line(p, y, a, b, n, 1, 1);
}

static void run_pair(const rt_call *c, rt_ctx *x, int row0, int rows)
{
    const rt_shape *shape[2] = {rt_shape_of(x->plan, c->node->in[0]), rt_shape_of(x->plan, c->node->in[1])};
    const rt_runs r = rt_runs_of(rt_shape_of(x->plan, c->node->out), shape, 2, 1, rows, 0);
    pairing p = {RT_ATTR(c->node, rt_pair_int8_attr), &r, {rt_at(x, c->value[0], row0), rt_at(x, c->value[1], row0)},
                 rt_param(x, c->node, 0), rt_at(x, c->value[2], row0)};
    rt_runs_each(&r, 2, pair_lines, &p);
}

static void forward_pair(rt_plan *p, const rt_node *n)
{
    int a = rt_plan_read(p, n->in[0]), b = rt_plan_read(p, n->in[1]), out = rt_plan_write(p, n->out);
    rt_call *c = rt_plan_rows(p, rt_ops[n->op]->name, n, run_pair);
    c->value[0] = a;
    c->value[1] = b;
    c->value[2] = out;
    c->weights = 0;
}

#undef AT
#define AT(field) offsetof(rt_pair_int8_attr, field)
static const rt_attr_spec pair_spec[] = {
    {"what", RT_A_CHOICE, AT(op), 0, MULTIPLY, ADD, 0, "add or multiply", pairs},
    {"low", RT_A_INT, AT(low), -128, 127, 0, 0, "the least integer", NULL},
    {"high", RT_A_INT, AT(high), -128, 255, 255, 0, "the greatest", NULL}};
static const rt_schema pair_schema = {pair_spec, sizeof pair_spec / sizeof *pair_spec, sizeof(rt_pair_int8_attr)};

const rt_op rt_op_pair_int8 = {
    .name = "pair_int8",
    .help = "the sum or product of two quantized inputs, quantized, without gradient (scales and zero points are its "
            "file's)",
    .min_inputs = 2,
    .max_inputs = 2,
    .schema = &pair_schema,
    .infer = infer_pair,
    .forward = forward_pair};
