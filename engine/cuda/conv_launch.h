/* engine/cuda/conv_launch.h - convolutions on a card: their shapes, and what launches their kernels. C17 and C++.
 *
 * Everything is about one convolution of images (rows, h, w, c) to outputs (rows, oh, ow, n), weights w (kh, kw, cg,
 * n):
 *
 *   forward   y[p][n] (+)= act(bias[n] + sum_{tap, ci} x[pixel of p and tap][ci] w[tap][ci][n])
 *   back      dx[q][c] (+)= bias[c] + sum_{tap, j} dy[pixel of q and tap][j] w[tap][c][j]
 *   weights   dw[tap][ci][n] (+)= sum_p x[pixel of p and tap][ci] dy[p][n];  dbias[n] (+)= sum_p dy[p][n]
 *
 * A transposed convolution is that of its output's shape, with forward and back exchanged. The first two are products
 * of pixels by channels, of which that of the pixels is gathered while it is read; a value is a sum in an order of its
 * taps and channels that the shape alone decides, whatever the tile that it falls into and however many rows there are.
 * With a stride, `back` goes by classes of pixels that see the same taps. The third is cut into parts along the pixels,
 * by shape alone, which cuda_parts.h adds up.
 * A tensor has fewer than 2^31 values. */
#ifndef RT_ENGINE_CUDA_CONV_LAUNCH_H
#define RT_ENGINE_CUDA_CONV_LAUNCH_H

#include <cuda_runtime_api.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "engine/kernels.h"

typedef struct {
    int rows;
    int h, w, c, oh, ow, n;
    int kh, kw, sh, sw, dh, dw, pt, pl;  /* taps lie dh and dw apart */
    int groups, cg, ng;                  /* channels that a group reads and writes */
} rt_conv_shape;

/* How products are computed: in floats; as sums of three products of the two halves that a float is of tf32, which is
 * as good; of factors rounded to tf32 or bfloat16. All but the first need compute capability 8.0, and channels of a
 * group that 4 divides, else the first is taken. */
typedef enum { RT_CONV_FLOAT, RT_CONV_TF32X3, RT_CONV_TF32, RT_CONV_BF16 } rt_conv_math;

enum { RT_CONV_DEEP = 16 };              /* terms of a sum that a block reads at once */

/* Few channels a group, as in depthwise convolutions: a thread computes a value alone. */
static inline int rt_conv_is_direct(const rt_conv_shape *s)
{ return s->groups > 1 && (s->cg < 8 || s->ng < 8); }

/* Of those, depthwise ones whose channels go to the lanes of a warp. */
static inline int rt_conv_is_lanes(const rt_conv_shape *s)
{ return s->groups > 1 && s->cg == 1 && s->ng == 1 && s->c % 4 == 0; }

/* Images of few channels, as of the first layer of a network: multiply-adds in a patch of a few floats a pixel. Their
 * sums have up to so many terms. */
enum { RT_CONV_FEW_ROWS = 128, RT_CONV_FEW_MOST = 256 };
static inline int rt_conv_is_few(const rt_conv_shape *s)
{
    return s->groups == 1 && s->c < 16 && s->c % 4 && s->n % 4 == 0 &&
           (int64_t)s->c * s->kh * s->kw <= RT_CONV_FEW_MOST;
}

/* One pixel sees one: products of matrices, on tensor cores. */
static inline int rt_conv_is_point(const rt_conv_shape *s, rt_conv_math math)
{
    return math != RT_CONV_FLOAT && s->groups == 1 && s->kh == 1 && s->kw == 1 && !s->pt && !s->pl &&
           s->oh == (s->h - 1) / s->sh + 1 && s->ow == (s->w - 1) / s->sw + 1 && s->c % 4 == 0 && s->n % 4 == 0;
}

static inline size_t rt_conv_pixels(const rt_conv_shape *s) { return (size_t)s->rows * (size_t)s->oh * (size_t)s->ow; }
static inline size_t rt_conv_weights(const rt_conv_shape *s)
{ return (size_t)s->kh * (size_t)s->kw * (size_t)s->cg * (size_t)s->n; }

/* What `weights` cuts the work into where it has no patches: tiles of rows (taps and channels) by columns; and parts
 * along the pixels, so many that a large card is busy. */
enum { RT_CONV_ROWS = 64, RT_CONV_SUMS = 9, RT_CONV_LANES = 32 };
static inline int rt_conv_columns(int n) { return n <= 16 ? 16 : n <= 32 ? 32 : 64; }
static inline size_t rt_conv_most_parts(const rt_conv_shape *s)
{
    enum { BLOCKS = 528 };
    size_t m = (size_t)s->kh * (size_t)s->kw * (size_t)s->cg, q = (size_t)rt_conv_columns(s->ng), tiles;
    if (rt_conv_is_direct(s))
        tiles = (m + RT_CONV_SUMS - 1) / RT_CONV_SUMS * (((size_t)s->n + RT_CONV_LANES - 1) / RT_CONV_LANES);
    else tiles = (m + RT_CONV_ROWS - 1) / RT_CONV_ROWS * (((size_t)s->ng + q - 1) / q) * (size_t)s->groups;
    return tiles < BLOCKS ? BLOCKS / tiles : 1;
}
/* Pixels of a part but the last, of so many parts at most. */
enum { RT_CONV_LEAST = 128 };
static inline size_t rt_conv_part(const rt_conv_shape *s, size_t parts)
{ return ((rt_conv_pixels(s) + parts - 1) / parts + RT_CONV_DEEP - 1) / RT_CONV_DEEP * RT_CONV_DEEP; }

/* How work with patches of an image is cut: tiles are high by wide pixels of so many images, which see a patch. Of
 * `weights`: a block has `image` by `out` channels and `taps` taps (of a depthwise convolution `image` channels), and a
 * part is `per` tiles, of which `slots` are in shared memory at once. `blocks` have the weights, each once; 0: it is
 * not done so, as a tile takes too much.
 * With a gap, lines of tiles are whole runs of RT_CONV_RUN pixels, and RT_CONV_GAP floats follow on every so many
 * pixels of a patch, so that lanes that read from the runs side by side do not meet in a bank of shared memory; lines
 * are so long that it holds for short ones, too. */
enum { RT_CONV_RUN = 4, RT_CONV_GAP = 8 };
typedef struct {
    int high, wide, images, patch_high, patch_wide;
    int down, across;                    /* tiles of an image */
    int image_apart, out_apart, slots;   /* floats from pixel to pixel in a patch, in a tile */
    int gap, line;                       /* floats from line to line of a patch */
    int image, out, taps, blocks;
    int per, parts, most;                /* parts; at most, for these and for fewer rows */
} rt_conv_cut;

enum { RT_CONV_CUT_TAPS = 9, RT_CONV_CUT_FEW = 5, RT_CONV_CUT_BYTES = 99 << 10,
       RT_CONV_CUT_PIXELS = 128, RT_CONV_CUT_LINE = 32 };
static inline int rt_conv_up(int n, int by) { return (n + by - 1) / by; }
static inline size_t rt_conv_cut_bytes(const rt_conv_cut *c)
{
    return sizeof(float) * (size_t)c->slots *
           ((size_t)c->images * (size_t)c->patch_high * (size_t)c->line +
            (size_t)rt_conv_up(c->images * c->high * c->wide, 16) * 16 * (size_t)c->out_apart);
}
static inline int rt_conv_cut_line(const rt_conv_cut *c, int up)
{
    const int least = c->patch_wide * c->image_apart;
    if (!c->gap) return least;
    int line = least + rt_conv_up(c->patch_wide, c->gap) * RT_CONV_GAP;
    for (int i = 0; i < 8; i++)
        if ((line + i * 4) * up % 32 == c->wide / RT_CONV_RUN * RT_CONV_GAP % 32) return line + i * 4;
    return line;
}
/* Tiles of images (h, w) whose pixel (y, x) sees those from (y up, x left) on, `more` on: along y, along x. 0: none
 * takes so few bytes. */
static inline int rt_conv_tiles(rt_conv_cut *c, int h, int w, int up, int left, int more_y, int more_x, size_t bytes)
{
    int wide = h * RT_CONV_CUT_LINE < RT_CONV_CUT_PIXELS ? RT_CONV_CUT_PIXELS / h : RT_CONV_CUT_LINE;
    const int run = c->gap ? RT_CONV_RUN : 1;
    wide = rt_conv_up(rt_conv_up(w, rt_conv_up(w, wide)), run) * run;
    for (int room = RT_CONV_CUT_PIXELS;; room = room > 1 ? room / 2 : 1) {
        int high = room / wide < 1 ? 1 : room / wide < h ? room / wide : h;
        if (room < wide) wide = rt_conv_up(rt_conv_up(w, rt_conv_up(w, room)), run) * run;
        c->high = rt_conv_up(h, rt_conv_up(h, high)), c->wide = wide;
        c->down = rt_conv_up(h, c->high), c->across = rt_conv_up(w, wide);
        c->images = c->down == 1 && c->across == 1 && room > c->high * wide ? room / (c->high * wide) : 1;
        c->patch_high = (c->high - 1) * up + more_y + 1;
        c->patch_wide = (wide - 1) * left + more_x + 1;
        c->line = rt_conv_cut_line(c, up);
        if (rt_conv_cut_bytes(c) <= bytes) return 1;
        if (room == 1) return 0;
    }
}
/* Nine taps, of which those of a line lie side by side: a lane that has a run of pixels reads each but once for them.
 */
static inline int rt_conv_three_lines(const rt_conv_shape *s)
{ return s->kh == 3 && s->kw == 3 && s->dw == 1 && s->sw <= 2; }

static inline rt_conv_cut rt_conv_cut_of(const rt_conv_shape *s)
{
    enum { BLOCKS = 132 };
    int lanes = rt_conv_is_lanes(s), few = rt_conv_is_few(s), taps = s->kh * s->kw,
        blocks = lanes ? 4 * BLOCKS : few ? 2 * BLOCKS : BLOCKS;
    rt_conv_cut c;
    memset(&c, 0, sizeof c);
    c.slots = lanes ? 1 : few ? 2 : 3;
    c.image = lanes ? 32 : 16;
    c.out = s->n <= 16 ? 16 : 32;
    c.taps = taps < RT_CONV_CUT_TAPS ? taps : RT_CONV_CUT_TAPS;
    if (s->n % 4 || (!few && (s->c % 4 || (s->groups != 1 && !lanes))) || (taps == 1 && !few && !lanes)) return c;
    if (!lanes && c.taps > RT_CONV_CUT_FEW && !rt_conv_three_lines(s)) c.taps = RT_CONV_CUT_FEW;
    if (!lanes && !few) c.gap = rt_conv_three_lines(s) && s->sw == 2 ? 2 * RT_CONV_RUN : RT_CONV_RUN;
    if (few) c.image = s->c, c.taps = RT_CONV_FEW_ROWS / s->c;
    c.image_apart = lanes ? RT_CONV_LANES : few ? s->c : c.image;
    c.out_apart = lanes ? RT_CONV_LANES : few ? c.out + 8 : c.out + RT_CONV_GAP / RT_CONV_RUN;
    if (!rt_conv_tiles(&c, s->oh, s->ow, s->sh, s->sw, (s->kh - 1) * s->dh, (s->kw - 1) * s->dw,
                       lanes || few ? 40 << 10 : RT_CONV_CUT_BYTES - (1 << 10) /* of tables */)) return c;
    c.blocks = rt_conv_up(s->c, c.image) * (lanes ? 1 : rt_conv_up(s->n, c.out)) * rt_conv_up(taps, c.taps);
    int tiles = rt_conv_up(s->rows, c.images) * c.down * c.across, most = c.blocks < blocks ? blocks / c.blocks : 1;
    c.per = rt_conv_up(tiles, most);
    c.parts = rt_conv_up(tiles, c.per);
    c.most = tiles < most ? tiles : most;
    return c;
}

static inline int rt_conv_cuts(const rt_conv_shape *s, rt_conv_math math)
{ return (math != RT_CONV_FLOAT || rt_conv_is_lanes(s) || rt_conv_is_few(s)) && rt_conv_cut_of(s).blocks; }

/* How `weights` of a rt_conv_is_point is cut: a block has `image` by `out` channels, a part is `per` tiles of so many
 * pixels. */
typedef struct { int image, out, pixels, blocks, per, parts, most; } rt_conv_point;
static inline rt_conv_point rt_conv_point_of(const rt_conv_shape *s)
{
    enum { BLOCKS = 132, SMALL = 32, LARGE = 64 };
    rt_conv_point c;
    c.image = rt_conv_columns(s->c), c.out = rt_conv_columns(s->n);
    c.pixels = c.image <= SMALL && c.out <= SMALL ? 2 * LARGE : LARGE;
    c.blocks = rt_conv_up(s->c, c.image) * rt_conv_up(s->n, c.out);
    int tiles = rt_conv_up((int)rt_conv_pixels(s), c.pixels), most = c.blocks < BLOCKS ? BLOCKS / c.blocks : 1;
    c.per = rt_conv_up(tiles, most);
    c.parts = rt_conv_up(tiles, c.per);
    c.most = tiles < most ? tiles : most;
    return c;
}

/* Into how many parts `weights` goes. */
static inline int rt_conv_parts(const rt_conv_shape *s, rt_conv_math math)
{
    if (rt_conv_is_point(s, math)) return rt_conv_point_of(s).parts;
    if (rt_conv_cuts(s, math)) return rt_conv_cut_of(s).parts;
    size_t parts = (rt_conv_pixels(s) + RT_CONV_LEAST - 1) / RT_CONV_LEAST, most = rt_conv_most_parts(s),
           part = rt_conv_part(s, parts < most ? parts : most);
    return (int)((rt_conv_pixels(s) + part - 1) / part);
}
/* Floats that `weights` works in: of the parts, weights and bias. Fewer rows never take more. */
static inline size_t rt_conv_partial(const rt_conv_shape *s)
{
    size_t most = rt_conv_most_parts(s), parts = (rt_conv_pixels(s) + RT_CONV_LEAST - 1) / RT_CONV_LEAST;
    rt_conv_cut c = rt_conv_cut_of(s);
    if (parts > most) parts = most;
    if (c.blocks && parts < (size_t)c.most) parts = (size_t)c.most;
    if (rt_conv_is_point(s, RT_CONV_TF32X3) && parts < (size_t)rt_conv_point_of(s).most)
        parts = (size_t)rt_conv_point_of(s).most;
    return parts > 1 ? parts * (rt_conv_weights(s) + (size_t)s->n) : 0;
}

#ifdef __cplusplus
extern "C" {
#endif
/* bias may be NULL; act: NONE, RELU, RELU6; not both act and add. */
void rt_k_conv(cudaStream_t, const rt_conv_shape *, rt_conv_math, float *y, const float *x, const float *w,
               const float *bias, rt_act act, int add);
void rt_k_conv_back(cudaStream_t, const rt_conv_shape *, rt_conv_math, float *dx, const float *dy, const float *w,
                    const float *bias, int add);
/* The same on tensor cores from patches of the image, each read once for all taps: one group, channels that 4 divides.
 * 0: not with this shape, and nothing was launched. The two above ask here first. */
int rt_k_conv_patch(cudaStream_t, const rt_conv_shape *, rt_conv_math, float *y, const float *x, const float *w,
                    const float *bias, rt_act act, int add);
int rt_k_conv_patch_back(cudaStream_t, const rt_conv_shape *, rt_conv_math, float *dx, const float *dy, const float *w,
                         const float *bias, int add);
/* The same of shapes for which rt_conv_is_point; 0: nothing was launched. */
int rt_k_point(cudaStream_t, const rt_conv_shape *, rt_conv_math, float *y, const float *x, const float *w,
               const float *bias, rt_act act, int add);
int rt_k_point_back(cudaStream_t, const rt_conv_shape *, rt_conv_math, float *dx, const float *dy, const float *w,
                    const float *bias, int add);
int rt_k_point_weights(cudaStream_t, const rt_conv_shape *, rt_conv_math, float *dw, float *dbias, float *partial,
                       const float *x, const float *dy, int add_dw, int add_dbias);
/* dbias may be NULL. Where rt_conv_parts are more than one, they go to partial (rt_conv_partial floats), each weights
 * and bias, in place of dw and dbias. rt_k_conv_weights asks the second first, as above. */
void rt_k_conv_weights(cudaStream_t, const rt_conv_shape *, rt_conv_math, float *dw, float *dbias, float *partial,
                       const float *x, const float *dy, int add_dw, int add_dbias);
int rt_k_conv_patch_weights(cudaStream_t, const rt_conv_shape *, rt_conv_math, float *dw, float *dbias, float *partial,
                            const float *x, const float *dy, int add_dw, int add_dbias);
/* The same of shapes for which rt_conv_is_few; 0: nothing was launched. */
int rt_k_few(cudaStream_t, const rt_conv_shape *, float *y, const float *x, const float *w, const float *bias, rt_act,
             int add);
int rt_k_few_weights(cudaStream_t, const rt_conv_shape *, float *dw, float *dbias, float *partial, const float *x,
                     const float *dy, int add_dw, int add_dbias);
/* The two on tensor cores. */
int rt_k_few_tensor(cudaStream_t, const rt_conv_shape *, float *y, const float *x, const float *w, const float *bias,
                    rt_act, int add);
int rt_k_few_tensor_weights(cudaStream_t, const rt_conv_shape *, float *dw, float *dbias, float *partial,
                            const float *x, const float *dy, int add_dw, int add_dbias);
/* The same of shapes for which rt_conv_is_direct. */
void rt_k_direct(cudaStream_t, const rt_conv_shape *, float *y, const float *x, const float *w, const float *bias,
                 rt_act act, int add);
void rt_k_direct_back(cudaStream_t, const rt_conv_shape *, float *dx, const float *dy, const float *w,
                      const float *bias, int add);
void rt_k_direct_weights(cudaStream_t, const rt_conv_shape *, float *dw, float *dbias, float *partial, const float *x,
                         const float *dy, int add_dw, int add_dbias);
/* The same from patches, of shapes for which rt_conv_is_lanes; 0: nothing was launched. The three above ask here first.
 */
int rt_k_lanes(cudaStream_t, const rt_conv_shape *, float *y, const float *x, const float *w, const float *bias, rt_act,
               int add);
int rt_k_lanes_back(cudaStream_t, const rt_conv_shape *, float *dx, const float *dy, const float *w, const float *bias,
                    int add);
int rt_k_lanes_weights(cudaStream_t, const rt_conv_shape *, float *dw, float *dbias, float *partial, const float *x,
                       const float *dy, int add_dw, int add_dbias);
#ifdef __cplusplus
}
#endif
#endif
