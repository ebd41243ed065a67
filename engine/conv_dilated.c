/* engine/conv_dilated.c - convolutions whose taps lie apart, as several without: see conv_direct.h.
 *
 * Along an axis with stride s, dilation d and p = d / gcd(s, d) the outputs q, q + p, q + 2 p ... read the pixels
 * r, r + d, r + 2 d ... alone, r = (q s - padding) mod d, and step s / gcd(s, d) of them further each. */
#include <string.h>

#include "engine/conv_direct.h"

typedef rt_conv_geometry geometry;

/* Along one axis: outputs first, first + step, ...; pixels from, from + apart, ... of which some may lie outside. */
typedef struct { int outputs, first, step, pixels, from, apart, stride, pad; } axis;

static int common(int a, int b) { return b ? common(b, a % b) : a; }
static int classes_of(int s, int d) { return d / common(s, d); }

static axis axis_of(int size, int out, int k, int s, int d, int pad, int q)
{
    axis a = {.step = classes_of(s, d), .first = q, .apart = d, .stride = s / common(s, d)};
    int at = q * s - pad, start = at >= 0 ? at / d : -((d - 1 - at) / d);       /* floor */
    a.outputs = q < out ? (out - q + a.step - 1) / a.step : 0;
    a.pad = start < 0 ? -start : 0;
    a.from = at - start * d + (start + a.pad) * d;
    int there = a.from < size ? (size - a.from + d - 1) / d : 0;
    int read = (a.outputs - 1) * a.stride + k - a.pad;      /* pixels behind the last tap are not needed */
    a.pixels = there < read ? there : read;
    if (a.pixels < 1) a.pixels = 1;
    return a;
}

/* A convolution without dilation, and where its image and output lie in those of the whole. */
typedef struct { geometry g; axis y, x; int qy, qx; } class;

static class class_of(const geometry *g, int qy, int qx)
{
    class c = {*g, axis_of(g->h, g->oh, g->kh, g->sh, g->dh, g->pt, qy),
               axis_of(g->w, g->ow, g->kw, g->sw, g->dw, g->pl, qx), qy, qx};
    geometry *s = &c.g;
    s->h = c.y.pixels;
    s->w = c.x.pixels;
    s->oh = c.y.outputs;
    s->ow = c.x.outputs;
    s->sh = c.y.stride;
    s->sw = c.x.stride;
    s->pt = c.y.pad;
    s->pl = c.x.pad;
    s->dh = s->dw = 1;
    if (s->depthwise) s->groups = s->c;
    rt_conv_complete(s);
    return c;
}

/* The class behind *c; false behind the last. Those without outputs are left out. */
static int next_class(const geometry *g, class *c)
{
    int ny = classes_of(g->sh, g->dh), nx = classes_of(g->sw, g->dw), qy = c->qy, qx = c->qx;
    if (ny > g->oh) ny = g->oh;
    if (nx > g->ow) nx = g->ow;
    for (;;) {
        if (++qx >= nx) {
            qx = 0;
            qy++;
        }
        if (qy >= ny) return 0;
        *c = class_of(g, qy, qx);
        if (c->g.oh > 0 && c->g.ow > 0) return 1;
    }
}
#define EACH_CLASS(g, c) for (class c = {.qx = -1}; next_class(g, &c);)

/* How much of an array a class uses: every step of rows and columns. */
typedef struct { int h, w, c, y0, x0, sy, sx; } lattice;

static lattice image_of(const geometry *g, const class *c)
{ return (lattice){g->h, g->w, g->c, c->y.from, c->x.from, c->y.apart, c->x.apart}; }
static lattice output_of(const geometry *g, const class *c)
{ return (lattice){g->oh, g->ow, g->n, c->y.first, c->x.first, c->y.step, c->x.step}; }

/* (h, w, c) from the lattice of `from`; zeros outside. */
static void copy_out(float *to, int h, int w, const float *from, const lattice *l)
{
    size_t bytes = (size_t)l->c * sizeof *to;
    for (int i = 0; i < h; i++)
        for (int j = 0; j < w; j++, to += l->c) {
            int y = l->y0 + i * l->sy, x = l->x0 + j * l->sx;
            if (y < l->h && x < l->w) memcpy(to, from + ((ptrdiff_t)y * l->w + x) * l->c, bytes);
            else memset(to, 0, bytes);
        }
}

static void copy_back(float *to, const float *from, int h, int w, const lattice *l, int accumulate)
{
    for (int i = 0; i < h; i++)
        for (int j = 0; j < w; j++, from += l->c) {
            int y = l->y0 + i * l->sy, x = l->x0 + j * l->sx;
            if (y >= l->h || x >= l->w) continue;
            float *t = to + ((ptrdiff_t)y * l->w + x) * l->c;
            if (accumulate) for (int q = 0; q < l->c; q++) t[q] += from[q];
            else memcpy(t, from, (size_t)l->c * sizeof *t);
        }
}

static size_t aligned(size_t floats) { return (floats + 15) & ~(size_t)15; }

/* Scratch: the image of a class, its output, what the convolution itself asks for; the largest of each. */
typedef struct { size_t image, output, inner; } rooms;

static rooms rooms_of(const geometry *g)
{
    rooms r = {0, 0, 0};
    EACH_CLASS(g, c) {
        size_t image = (size_t)c.g.h * (size_t)c.g.w * (size_t)c.g.c,
               output = (size_t)c.g.oh * (size_t)c.g.ow * (size_t)c.g.n, inner = rt_conv_scratch(&c.g);
        if (image > r.image) r.image = image;
        if (output > r.output) r.output = output;
        if (inner > r.inner) r.inner = inner;
    }
    r.image = aligned(r.image);
    r.output = aligned(r.output);
    return r;
}

size_t rt_conv_dilated_scratch(const geometry *g)
{
    rooms r = rooms_of(g);
    return r.image + r.output + r.inner;
}

void rt_conv_dilated_forward(const rt_kernels *k, const geometry *g, float *y, const float *x, const float *w,
                             const float *bias, rt_act act, int accumulate, int rows, float *scratch)
{
    rooms r = rooms_of(g);
    float *image = scratch, *output = image + r.image, *inner = output + r.output;
    for (int row = 0; row < rows; row++, x += (size_t)g->h * (size_t)g->w * (size_t)g->c,
             y += (size_t)g->oh * (size_t)g->ow * (size_t)g->n)
        EACH_CLASS(g, c) {
            lattice from = image_of(g, &c), to = output_of(g, &c);
            copy_out(image, c.g.h, c.g.w, x, &from);
            if (accumulate) copy_out(output, c.g.oh, c.g.ow, y, &to);
            rt_conv_forward(k, &c.g, output, image, w, bias, act, accumulate, 1, inner);
            copy_back(y, output, c.g.oh, c.g.ow, &to, 0);
        }
}

/* All classes have one kernel and one stride, and so one order of the weights. */
void rt_conv_dilated_flip(const geometry *g, float *flipped, const float *w)
{
    class c = class_of(g, 0, 0);
    rt_conv_flip(&c.g, flipped, w);
}

void rt_conv_dilated_dx(const rt_kernels *k, const geometry *g, float *dx, const float *dy, const float *flipped,
                        int rows, int accumulate, float *scratch)
{
    rooms r = rooms_of(g);
    size_t image_floats = (size_t)g->h * (size_t)g->w * (size_t)g->c;
    float *image = scratch, *output = image + r.image, *inner = output + r.output;
    for (int row = 0; row < rows; row++, dx += image_floats, dy += (size_t)g->oh * (size_t)g->ow * (size_t)g->n) {
        if (!accumulate) memset(dx, 0, image_floats * sizeof *dx);
        EACH_CLASS(g, c) {
            lattice to = image_of(g, &c), from = output_of(g, &c);
            copy_out(output, c.g.oh, c.g.ow, dy, &from);
            rt_conv_dx(k, &c.g, image, output, flipped, 1, 0, inner);
            copy_back(dx, image, c.g.h, c.g.w, &to, 1);
        }
    }
}

void rt_conv_dilated_dw(const rt_kernels *k, const geometry *g, float *dw, const float *x, const float *dy, int rows,
                        rt_conv_part part, float *scratch)
{
    rooms r = rooms_of(g);
    float *image = scratch, *output = image + r.image, *inner = output + r.output;
    for (int row = 0; row < rows; row++, x += (size_t)g->h * (size_t)g->w * (size_t)g->c,
             dy += (size_t)g->oh * (size_t)g->ow * (size_t)g->n)
        EACH_CLASS(g, c) {
            lattice in = image_of(g, &c), out = output_of(g, &c);
            copy_out(image, c.g.h, c.g.w, x, &in);
            copy_out(output, c.g.oh, c.g.ow, dy, &out);
            rt_conv_dw_part(k, &c.g, dw, image, output, 1, part, inner);
        }
}
