/* engine/ops_resize.c - an image or a line at another size, by the definitions of ONNX (Resize, opset 19): output pixel
 * o of an axis lies at x of the input,
 *
 *   half_pixel            (o + 0.5) / scale - 0.5
 *   pytorch_half_pixel    the same, but 0 of an output of one pixel
 *   half_pixel_symmetric  the same about the middle, where scale times the input is not the output
 *   align_corners         o (in - 1) / (out - 1); 0 of an output of one pixel
 *   asymmetric            o / scale
 *   tf_half_pixel_for_nn  (o + 0.5) / scale
 *
 * and is the nearest pixel, or weighs 2 (linear) or 4 (cubic, Keys 1981) of them; pixels beyond the border are those at
 * it, or with exclude_outside weigh nothing. Axes are done one after the other. */
#include <math.h>
#include <string.h>

#include "engine/ops.h"

enum { NEAREST, LINEAR, CUBIC };
enum { HALF_PIXEL, PYTORCH_HALF_PIXEL, SYMMETRIC, ALIGN_CORNERS, ASYMMETRIC, TF_HALF_PIXEL };
enum { PREFER_FLOOR, PREFER_CEIL, FLOOR, CEIL };
enum { TAPS = 4 };

typedef struct { int at[TAPS]; float weight[TAPS]; } pixel;

static double place_of(int o, int in, int out, double scale, int coordinates)
{
    double half = (o + 0.5) / scale - 0.5;
    switch (coordinates) {
    case PYTORCH_HALF_PIXEL: return out > 1 ? half : 0;
    case SYMMETRIC: return in / 2.0 * (1 - out / (scale * in)) + half;
    case ALIGN_CORNERS: return out > 1 ? (double)o * (in - 1) / (out - 1) : 0;
    case ASYMMETRIC: return o / scale;
    case TF_HALF_PIXEL: return (o + 0.5) / scale;
    default: return half;
    }
}

static double nearest_of(double x, int how)
{
    switch (how) {
    case PREFER_CEIL: return floor(x + 0.5);
    case FLOOR: return floor(x);
    case CEIL: return ceil(x);
    default: return ceil(x - 0.5);
    }
}

static int clamped(double i, int in) { return i < 0 ? 0 : i > in - 1 ? in - 1 : (int)i; }

/* Keys's kernel at distances 1 + f, f, 1 - f, 2 - f. */
static void cubic_weights(double w[TAPS], double f, double a)
{
    const double far[2] = {1 + f, 2 - f}, near[2] = {f, 1 - f};
    for (int i = 0; i < 2; i++) {
        double u = far[i], v = near[i];
        w[3 * i] = ((a * u - 5 * a) * u + 8 * a) * u - 4 * a;
        w[1 + i] = ((a + 2) * v - (a + 3)) * v * v + 1;
    }
}

static int taps_of(int mode) { return mode == NEAREST ? 1 : mode == LINEAR ? 2 : TAPS; }

/* Output pixels of an axis. */
static void axis(pixel *p, int in, int out, float scale, const rt_resize_attr *a)
{
    double by = scale > 0 ? (double)scale : (double)out / in;
    for (int o = 0; o < out; o++, p++) {
        double x = place_of(o, in, out, by, a->coordinates), first = floor(x), f = x - first,
               w[TAPS] = {1 - f, f, 0, 0}, sum = 0;
        int taps = taps_of(a->mode);
        if (a->mode == NEAREST) {
            first = nearest_of(x, a->nearest);
            w[0] = 1;
        }
        if (a->mode == CUBIC) {
            cubic_weights(w, f, (double)a->cubic);
            first--;
        }
        for (int i = 0; i < taps; i++) {
            if (a->exclude_outside && a->mode != NEAREST && (first + i < 0 || first + i > in - 1)) w[i] = 0;
            sum += w[i];
            p->at[i] = clamped(first + i, in);
        }
        if (!(fabs(sum) > 0)) sum = w[0] = 1;               /* none is inside: the border's */
        for (int i = 0; i < taps; i++) p->weight[i] = (float)(a->exclude_outside ? w[i] / sum : w[i]);
    }
}

typedef struct { int h, w, c, oh, ow, taps; pixel *y, *x; float *line; } sizes;

/* The tables lie in scratch, a line of the input's width behind them. */
static size_t scratch_of(const sizes *z)
{
    size_t table = ((size_t)z->oh + (size_t)z->ow) * sizeof(pixel) / sizeof(float);
    return table + (size_t)z->w * (size_t)z->c;
}

static sizes sizes_of(const rt_plan *p, const rt_node *n, float *scratch)
{
    sizes z;
    int c;
    const rt_resize_attr *a = RT_ATTR(n, rt_resize_attr);
    const rt_shape *in = rt_shape_of(p, n->in[0]);
    rt_shape_hwc(in, &z.h, &z.w, &z.c);
    rt_shape_hwc(rt_shape_of(p, n->out), &z.oh, &z.ow, &c);
    z.taps = taps_of(a->mode);
    if (!scratch) return z;
    z.y = (pixel *)(void *)scratch;
    z.x = z.y + z.oh;
    z.line = (float *)(void *)(z.x + z.ow);
    axis(z.y, z.h, z.oh, in->rank == 2 ? 1 : a->scale_h, a);
    axis(z.x, z.w, z.ow, a->scale_w, a);
    if (z.h == 1 && z.oh == 1) *z.y = (pixel){.weight = {1}};   /* no axis, as the height of a line */
    return z;
}

static rt_status infer(rt_graph *g, rt_node *n, rt_shape *out)
{
    const rt_resize_attr *a = RT_ATTR(n, rt_resize_attr);
    const int *size = a->size;
    const float scale[2] = {a->scale_h, a->scale_w};
    *out = g->tensor[n->in[0]].shape;
    if (out->rank != 2 && out->rank != 3) return rt_fail(RT_USAGE, "takes (H, W, C) or (T, C)");
    for (int i = 3 - out->rank; i < 2; i++) {
        double want = (double)out->dim[out->rank - 3 + i] * (double)scale[i];
        if (scale[i] > 0 && !(fabs(want - size[i]) <= 1))
            return rt_fail(RT_USAGE, "%s %g of %d pixels gives %g, not %d", i ? "scale_w" : "scale_h",
                           (double)scale[i], out->dim[out->rank - 3 + i], want, size[i]);
    }
    out->dim[out->rank - 2] = size[1];
    if (out->rank == 3) out->dim[0] = size[0];
    return RT_OK;
}

static void add_times(float *y, const float *x, float by, size_t n, int first)
{
    if (first) for (size_t i = 0; i < n; i++) y[i] = x[i] * by;
    else for (size_t i = 0; i < n; i++) y[i] += x[i] * by;
}

static void run_forward(const rt_call *c, rt_ctx *ctx, int row0, int rows)
{
    sizes z = sizes_of(ctx->plan, c->node, ctx->scratch);
    const float *x = rt_at(ctx, c->value[0], row0);
    float *y = rt_at(ctx, c->value[1], row0);
    size_t ch = (size_t)z.c, line = (size_t)z.w * ch;
    for (int r = 0; r < rows; r++, x += (size_t)z.h * line)
        for (int oy = 0; oy < z.oh; oy++) {
            const pixel *v = &z.y[oy];
            const float *from = x + (size_t)v->at[0] * line;
            int taps = z.h == 1 && z.oh == 1 ? 1 : z.taps;
            if (taps > 1) from = z.line;
            for (int i = 0; i < taps && taps > 1; i++)
                add_times(z.line, x + (size_t)v->at[i] * line, v->weight[i], line, i == 0);
            for (int ox = 0; ox < z.ow; ox++, y += ch) {
                const pixel *h = &z.x[ox];
                if (z.taps == 1) memcpy(y, from + (size_t)h->at[0] * ch, ch * sizeof *y);
                else
                    for (int i = 0; i < z.taps; i++)
                        add_times(y, from + (size_t)h->at[i] * ch, h->weight[i], ch, i == 0);
            }
        }
}

static void run_backward(const rt_call *c, rt_ctx *ctx, int row0, int rows)
{
    sizes z = sizes_of(ctx->plan, c->node, ctx->scratch);
    const float *dy = rt_at(ctx, c->value[0], row0);
    float *dx = rt_at(ctx, c->value[1], row0);
    size_t ch = (size_t)z.c, line = (size_t)z.w * ch;
    if (!c->flag) memset(dx, 0, (size_t)rows * (size_t)z.h * line * sizeof *dx);
    for (int r = 0; r < rows; r++, dx += (size_t)z.h * line)
        for (int oy = 0; oy < z.oh; oy++) {
            const pixel *v = &z.y[oy];
            memset(z.line, 0, line * sizeof *z.line);
            for (int ox = 0; ox < z.ow; ox++, dy += ch)
                for (int i = 0; i < z.taps; i++)
                    add_times(z.line + (size_t)z.x[ox].at[i] * ch, dy, z.x[ox].weight[i], ch, 0);
            for (int i = 0; i < (z.h == 1 && z.oh == 1 ? 1 : z.taps); i++)
                add_times(dx + (size_t)v->at[i] * line, z.line, v->weight[i], line, 0);
        }
}

static void emit(rt_plan *p, const rt_node *n, const char *what, int from, int to, int flag,
                 void (*fn)(const rt_call *, rt_ctx *, int, int))
{
    sizes z = sizes_of(p, n, NULL);
    rt_plan_need_scratch(p, scratch_of(&z));
    rt_call *c = rt_plan_rows(p, what, n, fn);
    c->value[0] = from;
    c->value[1] = to;
    c->flag = flag;
}

static void forward(rt_plan *p, const rt_node *n)
{
    int in = rt_plan_read(p, n->in[0]), out = rt_plan_write(p, n->out);
    emit(p, n, "resize", in, out, 0, run_forward);
}

static void backward(rt_plan *p, const rt_node *n)
{
    int accumulate, dy = rt_plan_grad_read(p, n->out), dx = rt_plan_grad_write(p, n->in[0], &accumulate);
    emit(p, n, "resize back", dy, dx, accumulate, run_backward);
}

static const char *const modes[] = {"nearest", "linear", "cubic", NULL};
static const char *const places[] = {"half_pixel",   "pytorch_half_pixel", "half_pixel_symmetric", "align_corners",
                                     "asymmetric", "tf_half_pixel_for_nn", NULL};
static const char *const roundings[] = {"round_prefer_floor", "round_prefer_ceil", "floor", "ceil", NULL};
#define AT(field) offsetof(rt_resize_attr, field)
static const rt_attr_spec spec[] = {
    {"size", RT_A_PAIR, AT(size), 1, 1 << 16, 0, 1, "of the output, or [h, w]"},
    {"mode", RT_A_CHOICE, AT(mode), 0, CUBIC, NEAREST, 0, "which pixels count", modes},
    {"coordinates", RT_A_CHOICE, AT(coordinates), 0, TF_HALF_PIXEL, HALF_PIXEL, 0, "where an output pixel lies",
     places},
    {"nearest", RT_A_CHOICE, AT(nearest), 0, CEIL, PREFER_FLOOR, 0, "which pixel is the nearest", roundings},
    {"scale_h", RT_A_NUMBER, AT(scale_h), 1e-6, 1e6, 0, 0, "output by input; the sizes' when not given"},
    {"scale_w", RT_A_NUMBER, AT(scale_w), 1e-6, 1e6, 0, 0, "the same of the width, or of a line"},
    {"cubic", RT_A_NUMBER, AT(cubic), -10, 10, -0.75, 0, "the coefficient a of the cubic kernel"},
    {"exclude_outside", RT_A_BOOL, AT(exclude_outside), 0, 1, 0, 0, "pixels beyond the border weigh nothing"}};
static const rt_schema schema = {spec, sizeof spec / sizeof *spec, sizeof(rt_resize_attr)};

const rt_op rt_op_resize = {.name = "resize",
                            .help = "an image (H, W, C) or a line (T, C) at another size",
                            .min_inputs = 1,
                            .max_inputs = 1,
                            .schema = &schema,
                            .infer = infer,
                            .forward = forward,
                            .backward = backward};
