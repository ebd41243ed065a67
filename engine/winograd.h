/* engine/winograd.h - 3x3 convolutions of stride 1 by Winograd's F(4x4, 3x3): 36 products where direct takes 144.
 *
 * Lavin & Gray 2016, "Fast Algorithms for Convolutional Neural Networks", section 4.3:
 *   y = A^T [(G w G^T) . (B^T x B)] A   summed over input channels before A^T, per tile of 4x4 outputs and 6x6 inputs;
 *   dw = G^T [(A dy A^T) . (B^T x B)] G summed over tiles before G^T. dx is y of dy with flipped, transposed weights.
 * The products over channels are 36 matrix products per block of tiles, which stays in the cache. Rounding errors are
 * six to eleven times those of the direct sum: 3e-6 of the largest output at 16 channels, 1e-5 at 256. What is computed
 * depends on shapes alone, and each output's sums have one order, however tiles are blocked. */
#ifndef RT_ENGINE_WINOGRAD_H
#define RT_ENGINE_WINOGRAD_H

#include "engine/kernels.h"

enum { RT_WINO_PLANES = 36 };

typedef struct {
    int h, w, c;                 /* image read */
    int oh, ow, n;               /* image made */
    int pt, pl;                  /* border of zeros above and left */
} rt_wino_shape;

/* True where it pays: 16 channels and more on both sides, and tiles that do not hang over the edge too far. */
int rt_wino_pays(const rt_wino_shape *);
/* Floats of scratch that the calls below need. */
size_t rt_wino_scratch(const rt_wino_shape *);

/* u (36, C, N) = G w G^T of w (3, 3, C, N). */
void rt_wino_weights(const rt_kernels *, float *u, const float *w, int c, int n);
/* The same of the flipped, transposed weights that make dx: u (36, N, C); scratch of 9 C N floats. */
void rt_wino_weights_flipped(const rt_kernels *, float *u, const float *w, int c, int n, float *scratch);
/* True where so many images have so few tiles, and planes are so large, that rt_wino_forward takes the taps w (3, 3, C,
 * N) in place of u, which may be NULL then. */
int rt_wino_is_few(const rt_wino_shape *, int images);
/* y (images, OH, OW, N) = act(bias + x (images, H, W, C) * u); with accumulate, on top of what is there. With the taps
 * w, or NULL, planes may be made on the way (rt_wino_is_few), with the same bits. */
void rt_wino_forward(const rt_kernels *, const rt_wino_shape *, float *y, const float *x, const float *u,
                     const float *w, const float *bias, rt_act, int accumulate, int images, float *scratch);
/* m (36, C, N) (+)= (A dy A^T) . (B^T x B) over the tiles of some images. */
void rt_wino_grad(const rt_kernels *, const rt_wino_shape *, float *m, const float *x, const float *dy, int accumulate,
                  int images, float *scratch);
/* Rows [c0, c0 + rows) of dw (3, 3, C, N) = G^T m G, of which m (36, rows, N) holds those rows. */
void rt_wino_grad_weights(const rt_kernels *, float *dw, const float *m, int c, int n, int c0, int rows);
#endif
