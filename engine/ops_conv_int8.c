/* engine/ops_conv_int8.c - convolutions and products of quantized inputs with integer weights, on the integer kernels
 * (engine/int/integer.h), exact to the integer: sums wrap at 32 bits, as ONNX has them.
 *
 *   acc[c] = sum over taps and channels of (x - x_zero) weight[.., c] + bias[c];  padding is x_zero
 *
 *   bytes    y = sat(rne(fl(fl(acc) step[c])) + y_zero), sat to [y_low, y_high]       QLinearConv, QLinearMatMul, QGemm
 *   sums     y = fl(acc)                                                              ConvInteger, MatMulInteger
 *   floats   y = fl(fl(acc) fl(scale step[c])), and then, rounded again, bias[c] more: x are floats, brought to 256
 *            steps from the least to the greatest of their row and 0, scale apart       DynamicQuantizeLinear before it
 *
 * x, but for the last, are whole: from x_low (0, or -128) to 255 above that. weight (kh, kw, C / groups, N) are whole,
 * from -255 to 255, those of a channel at most 255 apart: zero points are taken away. The kernels' weights have 8 bits,
 * so a channel that does not fit is cut in two: what lies around its middle, and the middle times the sum of the
 * window's bytes. bias (2, N) is bias[0] 2^16 + bias[1], but of floats (N). x is (C), (T, C) or (H, W, C); y likewise
 * with N. */
#include <math.h>
#include <string.h>

#include "engine/int/integer.h"
#include "engine/ops.h"
#include "engine/window.h"

enum { WEIGHT, STEP, BIAS };                                                              /* fields, of those it has */
enum { BYTES, SUMS, FLOATS };
enum {
    K_MOST = 1 << 20,                  /* products of a sum */
    PIXELS = 64,                       /* of a pointwise layer at once */
    TOGETHER = 1 << 16                 /* sums that wait for being finished */
};
static const char *const kinds[] = {"bytes", "sums", "floats", NULL};

static rt_status settle(const rt_graph *g, rt_node *n)
{
    rt_window *w = &RT_ATTR_SET(n, rt_conv_int8_attr)->window;
    if (g->tensor[n->in[0]].shape.rank > 1) return rt_window_settle(w, &g->tensor[n->in[0]].shape);
    const rt_shape row = {2, {1, g->tensor[n->in[0]].shape.dim[0]}};
    return rt_window_settle(w, &row);
}

static rt_status infer(rt_graph *g, rt_node *n, rt_shape *out)
{
    const rt_conv_int8_attr *a = RT_ATTR(n, rt_conv_int8_attr);
    const rt_window *w = &a->window;
    const rt_shape *in = &g->tensor[n->in[0]].shape, row = {2, {1, in->dim[0]}};
    int oh, ow, c = in->dim[in->rank - 1];
    if (in->rank > 3) return rt_fail(RT_USAGE, "needs an input of shape (C), (T, C) or (H, W, C)");
    if (c % a->groups || a->out % a->groups)
        return rt_fail(RT_USAGE, "%d groups do not divide %d inputs and %d outputs", a->groups, c, a->out);
    if (a->y_low > a->y_high) return rt_fail(RT_USAGE, "'y_low' is above 'y_high'");
    if (a->x_zero < a->x_low || a->x_zero > a->x_low + 255)
        return rt_fail(RT_USAGE, "'x_zero' is %d: %d to %d are allowed", a->x_zero, a->x_low, a->x_low + 255);
    RT_TRY(rt_window_out(w, in->rank > 1 ? in : &row, &oh, &ow));
    double taps = (double)rt_window_reach(w, 0) * rt_window_reach(w, 1);
    if (taps * (c / a->groups) > K_MOST || taps * (c / a->groups) * a->out > 1 << 28)
        return rt_fail(RT_USAGE, "has windows of %.0f numbers, dilation included; %d are allowed",
                       taps * (c / a->groups), K_MOST);
    RT_TRY(rt_graph_constant(g, n, "weight", (rt_shape){4, {w->kernel[0], w->kernel[1], c / a->groups, a->out}}, NULL));
    if (a->gives != SUMS) RT_TRY(rt_graph_constant(g, n, "step", (rt_shape){1, {a->out}}, NULL));
    if (a->bias)
        RT_TRY(rt_graph_constant(g, n, "bias", a->gives == FLOATS ? (rt_shape){1, {a->out}}
                                                                  : (rt_shape){2, {2, a->out}}, NULL));
    *out = in->rank == 3 ? (rt_shape){3, {oh, ow, a->out}} : (rt_shape){2, {ow, a->out}};
    if (in->rank == 1) *out = (rt_shape){1, {a->out}};
    return RT_OK;
}

typedef struct {
    const rt_conv_int8_attr *a;
    int h, w, c, oh, ow, n, groups, cg, hp, wp;     /* hp, wp: with padding */
    int kh, kw, reach_h, reach_w, sh, sw, dh, dw;
    int pointwise, band;                            /* band: pixels, or output rows, at once */
} sizes;

static sizes sizes_of(const rt_plan *p, const rt_node *n)
{
    const rt_conv_int8_attr *a = RT_ATTR(n, rt_conv_int8_attr);
    const rt_window *w = &a->window;
    const int *pad = w->pad.side;
    sizes s = {.a = a, .n = a->out, .groups = a->groups, .kh = w->kernel[0], .kw = w->kernel[1],
               .reach_h = rt_window_reach(w, 0), .reach_w = rt_window_reach(w, 1), .sh = w->stride[0],
               .sw = w->stride[1], .dh = w->dilation[0], .dw = w->dilation[1]};
    int out;
    rt_shape_hwc(rt_shape_of(p, n->in[0]), &s.h, &s.w, &s.c);
    rt_shape_hwc(rt_shape_of(p, n->out), &s.oh, &s.ow, &out);
    s.cg = s.c / s.groups;
    s.hp = s.h + pad[0] + pad[1];
    s.wp = s.w + pad[2] + pad[3];
    s.pointwise = s.kh == 1 && s.kw == 1 && s.sh == 1 && s.sw == 1 && s.hp == s.h && s.wp == s.w;
    size_t each = (size_t)s.n * (s.pointwise ? 1 : (size_t)s.ow);
    s.band = each < TOGETHER ? (int)(TOGETHER / each) : 1;
    if (s.band > (s.pointwise ? PIXELS : s.oh)) s.band = s.pointwise ? PIXELS : s.oh;
    return s;
}

static size_t up(size_t n) { return (n + 63) & ~(size_t)63; }

/* Bytes of the plan's buffer: packed weights, the weights, where sums start, M, and of each channel the sum of its
 * weights and its middle. */
typedef struct { size_t weight, start, m, full, middle, bytes; } places;

/* Scratch, in bytes: the image with its border, sums, sums of windows, of pixels. */
typedef struct { size_t sums, windows, pixels, bytes; } rooms;

static rt_int_conv conv_of(const sizes *s)
{
    rt_int_conv c = {.kh = s->reach_h, .kw = s->reach_w, .sh = s->sh, .sw = s->sw, .groups = s->groups, .n = s->n};
    const int h = s->pointwise ? 1 : s->hp, w = s->pointwise ? s->band : s->wp;
    c.x = (rt_int_image){.px = s->c, .row = (ptrdiff_t)s->c * w, .h = h, .w = w, .c = s->c};
    c.y = (rt_int_image){.px = s->n, .h = s->pointwise ? 1 : s->band, .w = s->pointwise ? s->band : s->ow, .c = s->n};
    c.y.row = c.y.px * c.y.w;
    return c;
}

static places places_of(const sizes *s, const rt_int_kernels *k)
{
    const rt_int_conv c = conv_of(s);
    const size_t list = up((size_t)s->n * sizeof(int32_t));
    places p = {.weight = up(k->conv_bytes(&c))};
    p.start = p.weight + up((size_t)s->reach_h * (size_t)s->reach_w * (size_t)s->cg * (size_t)s->n);
    p.m = p.start + list;
    p.full = p.m + list;
    p.middle = p.full + list;
    p.bytes = p.middle + list;
    return p;
}

static rooms rooms_of(const sizes *s)
{
    const size_t image = s->pointwise ? (size_t)s->band * (size_t)s->c : (size_t)s->hp * (size_t)s->wp * (size_t)s->c,
                 outs = (size_t)s->band * (s->pointwise ? 1 : (size_t)s->ow);
    rooms r = {.sums = up(image + RT_INT_SLACK)};
    r.windows = r.sums + up(outs * (size_t)s->n * sizeof(int32_t));
    r.pixels = r.windows + up(outs * (size_t)s->groups * sizeof(int32_t));
    r.bytes = r.pixels +
              (s->pointwise ? 0 : up((size_t)s->hp * (size_t)s->wp * (size_t)s->groups * sizeof(int32_t)));
    return r;
}

typedef struct {
    sizes s;
    places at;
    rooms room;
    const rt_int_kernels *k;
    rt_int_conv conv;
    rt_int_floats floats;
    const int32_t *full, *middle;
    uint8_t *image;
    int32_t *sums, *windows, *pixels;
} job;

static void begin(job *j, const rt_call *c, const rt_ctx *x)
{
    char *b = (char *)(x->plan->buffer + c->at[0]), *scratch = (char *)x->scratch;
    j->k = c->arg;
    j->s = sizes_of(x->plan, c->node);
    j->at = places_of(&j->s, j->k);
    j->room = rooms_of(&j->s);
    j->conv = conv_of(&j->s);
    j->conv.packed = b;
    j->conv.w = (int8_t *)(b + j->at.weight);
    j->conv.bias = (int32_t *)(void *)(b + j->at.start);
    j->conv.m = (float *)(void *)(b + j->at.m);
    j->full = (int32_t *)(void *)(b + j->at.full);
    j->middle = (int32_t *)(void *)(b + j->at.middle);
    j->image = (uint8_t *)scratch;
    j->conv.x.p = j->image;
    j->conv.sums = j->sums = (int32_t *)(void *)(scratch + j->room.sums);
    j->windows = (int32_t *)(void *)(scratch + j->room.windows);
    j->pixels = (int32_t *)(void *)(scratch + j->room.pixels);
    j->floats = (rt_int_floats){.n = j->s.n, .total = j->full, .step = rt_param(x, c->node, STEP),
                                .bias = j->s.a->bias ? rt_param(x, c->node, BIAS) : NULL};
}

static int whole(float v, int low, int high)
{ return v >= (float)low ? v <= (float)high ? (int)rintf(v) : high : low; }          /* NaN: low */

/* The middle that brings channel c's weights to 8 bits: 0 where they have them. */
static int middle_of(const float *w, size_t k, size_t n, size_t c)
{
    int low = 0, high = 0;
    for (size_t i = 0; i < k; i++) {
        int v = whole(w[i * n + c], -255, 255);
        if (!i || v < low) low = v;
        if (!i || v > high) high = v;
    }
    if (low >= -128 && high <= 127) return 0;
    return high - 127;                                     /* at most 255 apart: from -128 on */
}

static void pack(const rt_call *c, rt_ctx *x, int tile, int unused)
{
    job j;
    (void)tile;
    (void)unused;
    begin(&j, c, x);
    const sizes *s = &j.s;
    const float *w = rt_param(x, c->node, WEIGHT),
                *step = s->a->gives == SUMS ? NULL : rt_param(x, c->node, STEP), *bias = NULL;
    if (s->a->bias && s->a->gives != FLOATS) bias = rt_param(x, c->node, step ? BIAS : 1);
    const size_t n = (size_t)s->n, cg = (size_t)s->cg, k = (size_t)(s->kh * s->kw) * cg;
    char *b = (char *)(x->plan->buffer + c->at[0]);
    int8_t *to = (int8_t *)(b + j.at.weight);
    int32_t *start = (int32_t *)(void *)(b + j.at.start), *full = (int32_t *)(void *)(b + j.at.full),
            *middle = (int32_t *)(void *)(b + j.at.middle);
    float *m = (float *)(void *)(b + j.at.m);
    memset(to, 0, j.at.start - j.at.weight);
    for (size_t o = 0; o < n; o++) {
        uint32_t sum = 0;
        middle[o] = middle_of(w, k, n, o);
        for (int r = 0; r < s->kh; r++)
            for (int t = 0; t < s->kw; t++)
                for (size_t i = 0; i < cg; i++) {
                    const size_t from = (((size_t)r * (size_t)s->kw + (size_t)t) * cg + i) * n + o,
                                 tap = (size_t)(r * s->dh) * (size_t)s->reach_w + (size_t)(t * s->dw);
                    const int v = whole(w[from], -255, 255);
                    to[(tap * cg + i) * n + o] = (int8_t)whole((float)(v - middle[o]), -128, 127);
                    sum += (uint32_t)v;
                }
        full[o] = (int32_t)sum;
        uint32_t first = bias ? ((uint32_t)whole(bias[o], -32768, 32767) << 16) + (uint32_t)whole(bias[n + o], 0, 65535)
                              : 0;
        if (s->a->gives != FLOATS) first -= (uint32_t)(s->a->x_zero - s->a->x_low) * sum;
        start[o] = (int32_t)first;
        m[o] = step ? step[o] : 0;
    }
    j.k->conv_pack(&j.conv, b);
}

/* ---- what sums become ---- */

static inline float nearest(float v) { return (v + 12582912.0f) - 12582912.0f; }      /* halves to even, below 2^22 */

/* Sums of `count` pixels, to which a channel's middle times its window's bytes belongs. */
static void add_middles(const job *j, int count)
{
    const int ng = j->s.n / j->s.groups;
    for (int p = 0; p < count; p++)
        for (int g = 0; g < j->s.groups; g++) {
            const uint32_t all = (uint32_t)j->windows[p * j->s.groups + g];
            uint32_t *sum = (uint32_t *)j->sums + (size_t)p * (size_t)j->s.n + (size_t)(g * ng);
            const int32_t *middle = j->middle + g * ng;
            for (int o = 0; o < ng; o++) sum[o] += (uint32_t)middle[o] * all;
        }
}

static void finish(const job *j, float *restrict y, const int32_t *restrict sum, int zero, float scale)
{
    const rt_conv_int8_attr *a = j->s.a;
    const int n = j->s.n;
    if (a->gives == FLOATS) {
        rt_int_floats f = j->floats;
        f.zero = zero;
        f.scale = scale;
        j->k->floats(y, sum, &f);
        return;
    }
    if (a->gives == SUMS) {
        for (int c = 0; c < n; c++) y[c] = (float)sum[c];
        return;
    }
    const float low = (float)(a->y_low - a->y_zero), high = (float)(a->y_high - a->y_zero), at = (float)a->y_zero;
    const float *restrict m = j->conv.m;
    for (int c = 0; c < n; c++) {
        float v = (float)sum[c] * m[c];
        v = v > low ? v : low;
        y[c] = nearest(v < high ? v : high) + at;
    }
}

static int has_middles(const job *j)
{
    for (int c = 0; c < j->s.n; c++) if (j->middle[c]) return 1;
    return 0;
}

/* ---- rows ---- */

/* How a row is brought to bytes: its step, and the byte of its zero. */
typedef struct { float scale; int zero; } steps;

static steps steps_of(const job *j, const float *x)
{
    const rt_conv_int8_attr *a = j->s.a;
    float low, high;
    if (a->gives != FLOATS) return (steps){1, a->x_zero - a->x_low};
    j->k->range(&low, &high, x, (size_t)j->s.h * (size_t)j->s.w * (size_t)j->s.c);
    const float scale = (high > low ? high - low : 1.0f) / 255.0f, zero = -low / scale;
    return (steps){scale, zero >= 0 && zero < 255 ? (int)rintf(zero) : zero >= 255 ? 255 : 0};       /* NaN: 0 */
}

/* n numbers as bytes. */
static void to_bytes(const job *j, uint8_t *to, const float *x, size_t n, const steps *q)
{ j->k->quantize(to, x, n, q->scale, j->s.a->gives == FLOATS ? q->zero : -j->s.a->x_low); }

static uint32_t sum_of(const uint8_t *x, int n)
{
    uint32_t sum = 0;
    for (int i = 0; i < n; i++) sum += x[i];
    return sum;
}

static void run_pointwise(job *j, const float *x, float *y, int rows)
{
    const sizes *s = &j->s;
    const int px = s->h * s->w, middles = has_middles(j), ahead = s->a->gives == FLOATS ? 1 : s->band;
    const size_t c = (size_t)s->c;
    steps q[PIXELS] = {{1, s->a->x_zero - s->a->x_low}}, now = q[0];
    const int all = px * rows;
    for (int first = 0; first < all; first += s->band) {
        const int count = all - first < s->band ? all - first : s->band;
        for (int p = 0; p < count; p += ahead) {
            const int together = count - p < ahead ? count - p : ahead;
            if (s->a->gives == FLOATS && (first + p) % px == 0) now = steps_of(j, x + (size_t)(first + p) * c);
            q[p] = now;
            to_bytes(j, j->image + (size_t)p * c, x + (size_t)(first + p) * c, (size_t)together * c, &now);
        }
        j->conv.x.w = j->conv.y.w = count;
        j->conv.x.row = j->conv.x.px * count;
        j->conv.y.row = j->conv.y.px * count;
        j->k->conv(&j->conv);
        for (int p = 0; p < count && middles; p++)
            for (int g = 0; g < s->groups; g++)
                j->windows[p * s->groups + g] = (int32_t)sum_of(j->image + (size_t)p * c + (size_t)(g * s->cg), s->cg);
        if (middles) add_middles(j, count);
        for (int p = 0; p < count; p++) {
            const steps *own = &q[ahead == 1 ? p : 0];
            finish(j, y + (size_t)(first + p) * (size_t)s->n, j->sums + (size_t)p * (size_t)s->n, own->zero,
                   own->scale);
        }
    }
}

/* The row's image with its border, which is 0. */
static void fill_image(job *j, const float *x, const steps *q)
{
    const sizes *s = &j->s;
    const int *pad = s->a->window.pad.side;
    const size_t row = (size_t)s->wp * (size_t)s->c, inner = (size_t)s->w * (size_t)s->c;
    uint8_t *to = j->image;
    memset(to, q->zero, row * (size_t)pad[0]);
    to += row * (size_t)pad[0];
    for (int i = 0; i < s->h; i++, x += inner) {
        memset(to, q->zero, (size_t)pad[2] * (size_t)s->c);
        to += pad[2] * s->c;
        to_bytes(j, to, x, inner, q);
        to += inner;
        memset(to, q->zero, (size_t)pad[3] * (size_t)s->c);
        to += pad[3] * s->c;
    }
    memset(to, q->zero, row * (size_t)pad[1]);
}

/* Bytes of each window of output rows [first, first + count), of each group. */
static void sum_windows(const job *j, int first, int count)
{
    const sizes *s = &j->s;
    const ptrdiff_t g = s->groups;
    int32_t *to = j->windows;
    for (int i = first; i < first + count; i++)
        for (int o = 0; o < s->ow; o++, to += g) {
            memset(to, 0, (size_t)g * sizeof *to);
            for (int r = 0; r < s->kh; r++)
                for (int t = 0; t < s->kw; t++) {
                    const int32_t *from = j->pixels +
                        ((ptrdiff_t)(i * s->sh + r * s->dh) * s->wp + o * s->sw + t * s->dw) * g;
                    for (ptrdiff_t k = 0; k < g; k++) to[k] += from[k];
                }
        }
}

static void run_windows(job *j, const float *x, float *y, int rows)
{
    const sizes *s = &j->s;
    const int middles = has_middles(j), band = s->band;
    const size_t row = (size_t)s->wp * (size_t)s->c;
    for (int r = 0; r < rows; r++, x += (size_t)s->h * (size_t)s->w * (size_t)s->c) {
        const steps q = steps_of(j, x);
        fill_image(j, x, &q);
        for (size_t p = 0; p < (size_t)s->hp * (size_t)s->wp * (size_t)s->groups && middles; p++)
            j->pixels[p] = (int32_t)sum_of(j->image + p * (size_t)s->cg, s->cg);
        for (int i = 0; i < s->oh; i += band) {
            const int count = s->oh - i < band ? s->oh - i : band;
            j->conv.x.p = j->image + row * (size_t)(i * s->sh);
            j->conv.y.h = count;
            j->k->conv(&j->conv);
            if (middles) {
                sum_windows(j, i, count);
                add_middles(j, count * s->ow);
            }
            for (int p = 0; p < count * s->ow; p++, y += s->n)
                finish(j, y, j->sums + (size_t)p * (size_t)s->n, q.zero, q.scale);
        }
    }
}

static void run_forward(const rt_call *c, rt_ctx *x, int row0, int rows)
{
    job j;
    begin(&j, c, x);
    const float *in = rt_at(x, c->value[0], row0);
    float *out = rt_at(x, c->value[1], row0);
    if (j.s.pointwise) run_pointwise(&j, in, out, rows);
    else run_windows(&j, in, out, rows);
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
    const double macs = (double)s.oh * s.ow * s.kh * s.kw * s.cg * s.n;
    ptrdiff_t at = rt_plan_buffer(p, (places_of(&s, k).bytes + 63) / 64 * 16);
    rt_call *t = rt_plan_pack(p, "pack", n, 1, pack);
    t->at[0] = at;
    t->arg = k;
    rt_plan_need_scratch(p, rooms_of(&s).bytes / sizeof(float) + 16);
    rt_call *c = rt_plan_rows(p, "conv_int8", n, run_forward);
    c->value[0] = in;
    c->value[1] = out;
    c->at[0] = at;
    c->arg = k;
    c->work = macs / 4;
    c->weights = (double)s.kh * s.kw * s.cg * s.n / 4;
}

static double macs(const rt_graph *g, const rt_node *n)
{
    const rt_conv_int8_attr *a = RT_ATTR(n, rt_conv_int8_attr);
    const rt_shape *in = &g->tensor[n->in[0]].shape;
    return (double)rt_shape_count(&g->tensor[n->out].shape) * a->window.kernel[0] * a->window.kernel[1] *
           (in->dim[in->rank - 1] / a->groups);
}

#define AT(field) offsetof(rt_conv_int8_attr, field)
static const rt_attr_spec spec[] = {
    {"out", RT_A_INT, AT(out), 1, 1 << 20, 0, 1, "outputs", NULL},
    RT_WINDOW_SPEC(rt_conv_int8_attr, 1, ""),
    {"groups", RT_A_INT, AT(groups), 1, 1 << 20, 1, 0, "channels are cut into so many parts", NULL},
    {"bias", RT_A_BOOL, AT(bias), 0, 1, 1, 0, "something is added to sums", NULL},
    {"gives", RT_A_CHOICE, AT(gives), 0, FLOATS, BYTES, 0, "quantized bytes, sums, or floats of floats", kinds},
    {"x_low", RT_A_INT, AT(x_low), -128, 0, 0, 0, "the least byte of the input", NULL},
    {"x_zero", RT_A_INT, AT(x_zero), -128, 255, 0, 0, "the byte of its 0", NULL},
    {"y_low", RT_A_INT, AT(y_low), -128, 255, 0, 0, "the least byte of the output", NULL},
    {"y_high", RT_A_INT, AT(y_high), -128, 255, 255, 0, "the greatest", NULL},
    {"y_zero", RT_A_INT, AT(y_zero), -128, 255, 0, 0, "the byte of its 0", NULL}};
static const rt_schema schema = {spec, sizeof spec / sizeof *spec, sizeof(rt_conv_int8_attr)};

const rt_op rt_op_conv_int8 = {
    .name = "conv_int8",
    .help = "a convolution or dense layer of quantized inputs and integer weights, exact to the integer, without "
            "gradient (values are its file's)",
    .min_inputs = 1,
    .max_inputs = 1,
    .schema = &schema,
    .settle = settle,
    .infer = infer,
    .forward = forward,
    .macs = macs};
