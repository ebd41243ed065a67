/* engine/conv_direct.h - direct convolution on one thread, no im2col: rows of an image are copied with their border of
 * zeros to scratch, as many as stay in L1, and in NHWC the taps of a kernel row are then contiguous. dX is the same
 * line kernel over dY with flipped, transposed weights; with strides, the input pixels fall into sy x sx classes, each
 * of which sees its own subset of the taps.
 *
 * With dilation an image falls into images of every dh-th row and dw-th column, each convolved without: outputs of one
 * class read one of them. They are copied out to scratch and back, so that all of the above serves them, too.
 *
 * Weights are (KH, KW, C / groups, N); of a depthwise convolution, groups = C = N, (KH, KW, 1, C). What a convolution
 * computes is written in ops_conv.c, its transpose in ops_conv_transpose.c. */
#ifndef RT_ENGINE_CONV_DIRECT_H
#define RT_ENGINE_CONV_DIRECT_H

#include "engine/attr.h"
#include "engine/kernels.h"
#include "engine/winograd.h"

typedef struct {
    int h, w, c, oh, ow, n;              /* image and output */
    int kh, kw, sh, sw, pt, pl, groups;
    int dh, dw;                          /* dilation; 1 of a kernel of 1 */
    int cg, ng;                          /* channels a group reads and writes */
    int depthwise, point;                /* point: 1x1, stride 1, no padding, one group */
    int hp, wp;                          /* padded image */
    int dpy, dpx, hd, wd;                /* padded dy: border in front, size */
    int winograd, winograd_dx, winograd_dw;     /* of ops_conv.c, which goes that way itself; 0 */
    rt_wino_shape shape, shape_dx;
} rt_conv_geometry;

/* A part of a weight gradient: kernel rows [ky, ky + rows), of each group channels [n0, n0 + n). */
typedef struct { int ky, rows, n0, n; } rt_conv_part;

/* Of a window that is settled, of the shapes of image and output. */
rt_conv_geometry rt_conv_geometry_of(const rt_window *, int groups, const rt_shape *image, const rt_shape *out);
/* Completes the numbers from cg on. */
void rt_conv_complete(rt_conv_geometry *);
/* Scratch of each of the functions that follow, in floats. */
size_t rt_conv_scratch(const rt_conv_geometry *);
static inline int rt_conv_dilated(const rt_conv_geometry *g) { return g->dh > 1 || g->dw > 1; }

/* y (rows, oh, ow, n) = act(bias + x w) of `rows` images; with accumulate on top of what is there. */
void rt_conv_forward(const rt_kernels *, const rt_conv_geometry *, float *y, const float *x, const float *w,
                     const float *bias, rt_act, int accumulate, int rows, float *scratch);
/* The weights as rt_conv_dx reads them, as many floats. */
void rt_conv_flip(const rt_conv_geometry *, float *flipped, const float *w);
/* dx (rows, h, w, c) (+)= the gradient of x. */
void rt_conv_dx(const rt_kernels *, const rt_conv_geometry *, float *dx, const float *dy, const float *flipped,
                int rows, int accumulate, float *scratch);
/* A part of dW, on top of what is there; of a depthwise convolution all of it. */
void rt_conv_dw_part(const rt_kernels *, const rt_conv_geometry *, float *dw, const float *x, const float *dy, int rows,
                     rt_conv_part, float *scratch);

/* The same of dilated ones: conv_dilated.c. */
size_t rt_conv_dilated_scratch(const rt_conv_geometry *);
void rt_conv_dilated_forward(const rt_kernels *, const rt_conv_geometry *, float *y, const float *x, const float *w,
                             const float *bias, rt_act, int accumulate, int rows, float *scratch);
void rt_conv_dilated_flip(const rt_conv_geometry *, float *flipped, const float *w);
void rt_conv_dilated_dx(const rt_kernels *, const rt_conv_geometry *, float *dx, const float *dy, const float *flipped,
                        int rows, int accumulate, float *scratch);
void rt_conv_dilated_dw(const rt_kernels *, const rt_conv_geometry *, float *dw, const float *x, const float *dy,
                        int rows, rt_conv_part, float *scratch);
#endif
