/* engine/kernels.h - the table of compute kernels: the seam between plans and devices.
 *
 * Letters: B batch, H W C image, K classes, D features. All data is fp32, row-major, NHWC. Outputs come first in
 * argument lists, then inputs, then sizes; strides are in floats. A kernel works on memory it is given, allocates
 * nothing, takes no lock, and may run in any number of threads on disjoint outputs.
 *
 * Each family (scalar, avx2, avx512, amx, openblas-CORE) fills one table. Within a family every output is a fixed
 * sequence of operations that depends on shapes alone, so the same bits come out whatever the tiling or the threads.
 * The scalar family is the plain-C twin that the others are tested against; families may differ from each other in the
 * last bits. openblas-CORE, for CPUs that have no vector family here, is plain C but for dense products, which OpenBLAS
 * computes on one thread with the kernels of the core that it names; where that library has no locks, one at a time. */
#ifndef RT_ENGINE_KERNELS_H
#define RT_ENGINE_KERNELS_H

#include <stddef.h>
#include <stdint.h>

#include "engine/error.h"
#include "engine/functions.h"

/* Activations. Those up to RT_ACT_RELU6 can be applied in the epilogue of a convolution, as their derivative can be
 * read off their output. */
typedef enum {
    RT_ACT_NONE, RT_ACT_RELU, RT_ACT_RELU6,
    RT_ACT_LEAKY,                    /* x < 0 ? slope x : x */
    RT_ACT_GELU,                     /* 0.5 x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))), Hendrycks & Gimpel 2016 */
    RT_ACT_SILU,                     /* x sigmoid(x) */
    RT_ACT_HARDSWISH,                /* x clamp(x + 3, 0, 6) / 6, Howard et al. 2019 */
    RT_ACT_SIGMOID, RT_ACT_TANH,
    RT_ACT_GELU_ERF,                 /* 0.5 x (1 + erf(x / sqrt(2))) */
    RT_ACT_COUNT
} rt_act;

/* Lines of a convolution, or a block of a dense product: of each line, at x and y, and x_line and y_line further for
 * the next, y[p][n] (+)= bias[n] + sum_r sum_k x[p * x_px + r * x_row + k] * w[(r * klen + k) * w_ld + n] with p < px
 * output pixels, r < kh kernel rows, k < klen: in NHWC the taps of one kernel row are klen = kw * C contiguous floats,
 * and kw is given (else 1) where that is so. Terms are added by fused multiply-add in an order that depends on kh,
 * klen, kw, n and x_px alone, never on px: r, then k; or, where taps overlap (x_px = klen / kw), r, then channel, then
 * tap, if the family finds that faster. */
typedef struct {
    float *y;            ptrdiff_t y_px, y_line;
    const float *x;      ptrdiff_t x_px, x_row, x_line;
    const float *w;      ptrdiff_t w_ld;
    const float *bias;   /* (n) or NULL */
    int lines;           /* 0 is 1 */
    int px, kh, klen, n;
    int kw;              /* taps of a kernel row; 0 or 1: klen is one run */
    int accumulate;      /* start from y instead of bias */
    rt_act act;          /* NONE, RELU or RELU6, applied last */
} rt_conv_line;

/* Weight gradient of a block of lines:
 *   dw[(r * klen + k) * dw_ld + n] += sum_l sum_p x[l * x_line + p * x_px + r * x_row + k] * dy[l * dy_line + p * dy_px
 * + n] Terms are added in the order l, p. */
typedef struct {
    float *dw;           ptrdiff_t dw_ld;
    const float *x;      ptrdiff_t x_px, x_row, x_line;
    const float *dy;     ptrdiff_t dy_px, dy_line;
    int lines, px, kh, klen, n;
    int overwrite;       /* start from zero instead of dw */
} rt_conv_dw;

/* Lines of a depthwise convolution of an image (h, w, C); taps outside it are left out:
 *   y[l * y_line + p * y_px + c] (+)= bias[c] + sum_r sum_s x[iy][ix][c] * taps[(r * kw + s) * C + c]
 * with iy = y0 + l * sy + r, ix = x0 + p * sx + s. Terms are added in the order r, s. */
typedef struct {
    float *y;            ptrdiff_t y_px, y_line;
    const float *x;      int h, w, y0, x0, sy, sx;
    const float *taps, *bias;
    int lines, px, kh, kw, c;
    int accumulate;      /* start from y instead of bias */
    rt_act act;          /* NONE, RELU or RELU6, applied last */
} rt_depthwise;

/* Its weight gradient, added in the order l, p:
 *   dw[(r * kw + s) * C + c] += sum_l sum_p x[iy][ix][c] * dy[l * dy_line + p * dy_px + c] */
typedef struct {
    float *dw;
    const float *x;      int h, w, y0, x0, sy, sx;
    const float *dy;     ptrdiff_t dy_px, dy_line;
    int lines, px, kh, kw, c;
} rt_depthwise_dw;

/* Neighbouring output pixels of a pooling, (px, C) without gaps, that share their taps: (r, s) in [r0, r1) x [s0, s1),
 * of a kernel kw wide. The bounds keep padding out. */
typedef struct { ptrdiff_t x_px, x_row, x_tap; int px, c, r0, r1, s0, s1, kw; } rt_pooling;

/* One line of tiles of Winograd's F(4x4, 3x3), Lavin & Gray 2016, section 4.3. image is (h, w, c); element (i, j) of
 * tile t and channel k lies at planes[(6 i + j) * plane + t * c + k], tiles side by side. Pixels outside the image read
 * as zero and are not written. in:   planes = B^T d B of the 6x6 pixels whose first is (y0, x0 + 4 t) out:  the 4x4
 * pixels whose first is (y0, 4 t) = act(A^T m A + (accumulate ? what is there : bias)) grad: planes = A g A^T of the
 * 4x4 pixels whose first is (y0, 4 t): the transpose of out, for weight gradients */
typedef struct {
    float *image;        int h, w, c, y0, x0;
    float *planes;       ptrdiff_t plane;
    int tiles, accumulate;
    const float *bias;   /* (c) or NULL */
    rt_act act;          /* NONE, RELU or RELU6 */
} rt_wino_line;

/* Products of few tiles of Winograd's: plane p of y (tiles, n) is that of x (tiles, c) times plane p of u = G w G^T, of
 * taps w (9, c, n). u is made on the way and never whole in memory, where it would be four times w; the bits are those
 * of wino_weights and conv_line. */
enum { RT_WINO_FEW = 4 };
typedef struct {
    float *y;            ptrdiff_t y_plane;
    const float *x;      ptrdiff_t x_plane;
    const float *w;
    int c, n, tiles;     /* tiles 1 to RT_WINO_FEW */
} rt_wino_few;

/* What a product asks memory for while it works, so that it is there when its turn comes: tile t of the rows asks, for
 * every fourth of k, for panel_cols floats at `at` + panel * (number of the panel) + tile * (t modulo 4) + row * (k /
 * 4). Any address is good. */
typedef struct { const float *at; ptrdiff_t panel, tile, row; } rt_ahead;

/* A product of panels: y (rows, n) (+)= bias + x w over k terms, added by (fused) multiply-adds in the order of k, as
 * conv_line adds them, so that both give the same bits. w is packed by panel_pack or panel_pack_transposed. x (rows, k)
 * lies where it is, or is packed by panel_pack_left. */
typedef struct {
    float *y;            ptrdiff_t y_ld;
    const float *x;      ptrdiff_t x_ld;
    const float *w;
    const float *bias;   /* (n) or NULL */
    int rows, k, n;
    int left;            /* x is packed; x_ld is not read */
    int alone; /* a row's bits may not depend on what other rows there are: so it is in all families but openblas */
    int accumulate;      /* start from y instead of bias */
    rt_act act;          /* NONE, RELU or RELU6, applied last */
    rt_ahead next;
} rt_panels;

enum { RT_PACK_ROWS = 32 };           /* see product_pack */

enum { RT_LANES = 16 };               /* rows of a block, see block_in */

/* What one update of parameters needs; all arrays have n elements. */
typedef struct {
    float lr, momentum, weight_decay, beta1, beta2, eps;
    float bias1, bias2;  /* 1 - beta1^t, 1 - beta2^t */
    float ema;           /* 0: no average of weights is kept */
    float grad_scale;    /* clipping and 1/accumulation steps */
    int nesterov;
} rt_update;

typedef struct rt_kernels {
    const char *name;                /* scalar, avx2, avx512, amx, openblas-CORE */
    int vector;                      /* floats a register holds */

    void (*conv_line)(const rt_conv_line *);
    void (*conv_dw)(const rt_conv_dw *);
    /* On matrix units, which pay from some 16 rows and 32 columns on; NULL in families without. product is conv_line,
     * and product_dw conv_dw, both of one line with kh = 1. product_dw takes dy from product_bytes(px, n) bytes that
     * product_pack filled: it packs rows row0 .. row1 of dy (rows, n), any ranges in parallel if they share no
     * RT_PACK_ROWS rows. */
    void (*product)(const rt_conv_line *);
    size_t (*product_bytes)(int rows, int n);
    void (*product_pack)(void *packed, const float *dy, ptrdiff_t ld, int row0, int row1, int rows, int n);
    void (*product_dw)(const rt_conv_dw *, const void *packed);
    void (*depthwise)(const rt_depthwise *);
    void (*depthwise_dw)(const rt_depthwise_dw *);
    /* Products of panels, see engine/panels.h. A panel is panel_cols columns of the right side, or panel_rows rows of
     * the left, of all k side by side, the panels one after the other: element (r, c) of panel p at [(p k + r)
     * panel_cols + c], of the left side (p, r, row) at [(p k + r) panel_rows + row]. What is not there is zero. */
    int panel_cols, panel_rows;
    int panels_from, panels_dw_from; /* weights of a dense layer (K N) from which panels pay; for their gradient */
    void (*panel_product)(const rt_panels *);
    void (*panel_pack)(float *to, const float *w, ptrdiff_t ld, int k, int n);              /* w (k, n) */
    void (*panel_pack_transposed)(float *to, const float *w, ptrdiff_t ld, int k, int n);   /* w (n, k) */
    void (*panel_pack_left)(float *to, const float *x, ptrdiff_t ld, int rows, int k);      /* x (k, rows) */
    void (*wino_in)(const rt_wino_line *);
    void (*wino_out)(const rt_wino_line *);
    void (*wino_grad)(const rt_wino_line *);
    /* Planes u (36, count) = G w G^T of taps w (9, count); and taps = G^T u G, tap t at dw + t * tap. */
    void (*wino_weights)(float *u, const float *w, ptrdiff_t count);
    void (*wino_unwind)(float *dw, ptrdiff_t tap, const float *u, ptrdiff_t count);
    void (*wino_few)(const rt_wino_few *);

    /* y = act(x scale[c] + shift[c]) over (px, C); scale NULL means 1, shift NULL means 0. */
    void (*affine_act)(float *y, const float *x, const float *scale, const float *shift, size_t px, int c, rt_act,
                       float slope);
    /* y = act(a + b) over n. */
    void (*add_act)(float *y, const float *a, const float *b, size_t n, rt_act, float slope);
    void (*mul)(float *y, const float *a, const float *b, size_t n);
    /* y += a */
    void (*accumulate)(float *y, const float *a, size_t n);
    /* dx (+)= dy act'(.): from the output y for RELU and RELU6, from the input x for all others. */
    void (*act_back)(float *dx, const float *dy, const float *x_or_y, size_t n, rt_act, float slope, int accumulate);
    /* sum[c] += sum over pixels of x */
    void (*channel_sum)(float *sum, const float *x, size_t px, int c);
    /* Shifted moments of (px, C): sum[c] = sum (x - shift[c]), square[c] = sum (x - shift[c])^2. */
    void (*channel_moments)(float *sum, float *square, const float *x, const float *shift, size_t px, int c);
    /* Batch-norm backward, first pass: dz = da act'(x scale + shift) for act NONE, RELU, RELU6;
     * s1[c] += sum dz, s2[c] += sum dz (x - mean[c]). dz is written over da when act is not NONE. */
    void (*bn_back_sums)(float *s1, float *s2, float *da, const float *x, const float *mean, const float *scale,
                         const float *shift, size_t px, int c, rt_act);
    /* y = act(a x1 + b x2 + d) per channel over (px, C), act NONE, RELU or RELU6; y may be x1 or x2. */
    void (*affine2)(float *y, const float *x1, const float *x2, const float *a, const float *b, const float *d,
                    size_t px, int c, rt_act);

    /* Max pooling: y[p][c] = max over taps of x[p * x_px + r * x_row + s * x_tap + c]; index[p][c] = r * kw + s of the
     * first tap that has it, or index is NULL. NaN wins. */
    void (*max_pool)(float *y, uint8_t *index, const float *x, const rt_pooling *);
    /* dx (+)= dy at the tap that won, 0 at the others, pixel by pixel. */
    void (*max_pool_back)(float *dx, const float *dy, const uint8_t *index, const rt_pooling *, int accumulate);

    /* y = exp(x) over n, y may be x; error below 2.2 ulp, underflow to 0, overflow to the largest float. */
    void (*exp_n)(float *y, const float *x, size_t n);
    void (*log_n)(float *y, const float *x, size_t n);

    /* engine/functions.h. y = f(x) over n; dx (+)= dy f'(x), dx may be dy. */
    void (*unary)(float *y, const float *x, size_t n, rt_unary, float a, float b);
    void (*unary_back)(float *dx, const float *dy, const float *x, size_t n, rt_unary, float a, float b,
                       int accumulate);
    /* y (lines, n) = f(a, b); g (lines, n) = dy times the derivative of f by a (side 0) or b (side 1), by both halves
     * of it where a function has a step; of functions that have a gradient. */
    void (*binary)(float *y, const rt_lines *, rt_binary);
    void (*binary_back)(float *g, const float *dy, const rt_lines *, rt_binary, int side);
    /* acc[i] = fold(acc[i], x[i]) over n; and fold(acc, all of x), in the order of 8 lanes. In double. */
    void (*fold_lines)(double *acc, const float *x, size_t n, rt_fold);
    double (*fold_run)(double acc, const float *x, size_t n, rt_fold);

    /* Blocks of RT_LANES rows of K side by side: element k of row r lies at [k * RT_LANES + r]. block_in reads n of
     * them, the others become zeros; block_out writes n; block_softmax is p = softmax(scale z), log_sum[r] = log sum_k
     * exp(scale z), log_sum may be NULL, p may be z, scale > 0; a NaN makes its row NaN. */
    void (*block_in)(float *block, const float *rows, int n, int k);
    void (*block_out)(float *rows, const float *block, int n, int k);
    void (*block_softmax)(float *p, float *log_sum, const float *z, float scale, int k);
    /* kl[r] = sum_k q (log q - log p) with p = softmax(scale z), q = softmax(scale t); g += weight (p - q). p and q are
     * work space of K x RT_LANES. No logarithm per class: log q - log p = scale (t - z) + log sum exp(scale z) - log
     * sum exp(scale t). */
    void (*block_kl)(float *g, float *kl, float *p, float *q, const float *z, const float *t, float scale, float weight,
                     int k);

    /* Softmax over blocks of columns, one after the other. Scores s (rows, n) of row stride ld become p = exp(s - top)
     * with top[r] the greatest so far, which the caller begins with -INFINITY; keep[r] = exp(old top - top), by which
     * what was summed before is to be multiplied; sum[r] = sum[r] keep[r] + sum p. Where all so far is -INFINITY, p and
     * keep are 0. Memory behind column n, up to a multiple of RT_LANES, is written. A NaN makes its row NaN. */
    void (*softmax_block)(float *s, ptrdiff_t ld, float *top, float *sum, float *keep, int rows, int n);
    /* s = exp(s - log_sum[r]). */
    void (*softmax_again)(float *s, ptrdiff_t ld, const float *log_sum, int rows, int n);
    /* Its derivative: d = p (d - dot[r]). */
    void (*softmax_back)(float *d, const float *p, ptrdiff_t ld, const float *dot, int rows, int n);

    /* Layer norm of rows of D: y = (x - mean) rstd gamma + beta; mean and rstd are kept. */
    void (*layer_norm)(float *y, float *mean, float *rstd, const float *x, const float *gamma, const float *beta,
                       size_t rows, int d, float eps);
    void (*layer_norm_back)(float *dx, float *dgamma, float *dbeta, const float *dy, const float *x, const float *mean,
                            const float *rstd, const float *gamma, size_t rows, int d, int accumulate);

    /* The same without mean and beta: y = x rstd gamma, rstd = 1 / sqrt(mean x^2 + eps), which is kept. */
    void (*rms_norm)(float *y, float *rstd, const float *x, const float *gamma, size_t rows, int d, float eps);
    void (*rms_norm_back)(float *dx, float *dgamma, const float *dy, const float *x, const float *rstd,
                          const float *gamma, size_t rows, int d, int accumulate);

    /* sum over slots in a fixed pairwise tree: g[i] = tree(slots[s * stride + i]), s < count */
    void (*reduce_slots)(float *g, const float *slots, size_t stride, int count, size_t n);
    /* SGD: v = momentum v + (g + wd w); w -= lr (nesterov ? g + wd w + momentum v : v) */
    void (*sgd)(float *w, float *v, float *ema, const float *g, size_t n, const rt_update *);
    /* AdamW (Loshchilov & Hutter 2019): decoupled decay w -= lr wd w */
    void (*adamw)(float *w, float *m, float *v, float *ema, const float *g, size_t n, const rt_update *);
    /* sum of squares, in double, over n in index order of 8 fixed lanes */
    double (*sum_squares)(const float *x, size_t n);

    /* y = (x + add[c]) mul[c] over (px, C) from bytes */
    void (*from_u8)(float *y, const uint8_t *x, const float *mul, const float *add, size_t px, int c);
    void (*from_f16)(float *y, const void *x, size_t n);           /* x at any address */
    void (*to_f16)(uint16_t *y, const float *x, size_t n);

    /* Quantizers in float. y = scale q over n, q = min(max(rne(x by), -zero), 255 - zero), or of x / scale where by is
     * 0; NaN stays NaN; y may be x. seen (2), or NULL: the least and the greatest x so far, 0 among them. */
    void (*fake_quant)(float *y, const float *x, size_t n, float scale, float by, int zero, float *seen);
    /* y = scale (q - zero) over n bytes. */
    void (*from_bytes)(float *y, const uint8_t *q, size_t n, float scale, int zero);
    /* dx = 0 where y, which was brought to steps between low and high, is at an end, or beyond. */
    void (*clip_back)(float *dx, const float *y, size_t n, float low, float high);
    /* y (rows, n) = step[c] q, q = min(max(rne(w / step[c]), -most), most), in double. */
    void (*quant_rows)(float *y, const float *w, const float *step, size_t rows, int n, int most);
    /* Steps that weights (rows, n) just fit: max over rows |w| / most; 1 / most of a channel of zeros. */
    void (*quant_follow)(float *step, const float *w, size_t rows, int n, int most);
} rt_kernels;

/* The best family this CPU runs, unless RETORT_KERNELS names another (scalar, openblas, avx2, avx512, amx) or a family
 * was set with rt_kernels_select. Never NULL after a successful select. Thread-safe. */
const rt_kernels *rt_kernels_get(void);

/* Sets the family for the process; NULL or "auto" means the best. RT_USAGE when unknown, RT_RUN when this CPU lacks it.
 */
rt_status rt_kernels_select(const char *name);

/* The families this build has, best first, ended by NULL; *runnable (if asked for) tells which run here. */
const rt_kernels *const *rt_kernels_all(void);
int rt_kernels_runnable(const rt_kernels *k);

/* GFLOP/s that a register-only loop of fused multiply-adds of this family reaches now, on this thread. */
double rt_kernels_peak(const rt_kernels *k);
/* That loop itself: its floating-point operations. */
double rt_kernels_fma(const rt_kernels *k, long rounds);

/* Flush-to-zero and denormals-are-zero for the calling thread. */
void rt_fp_mode(void);

const char *rt_act_name(rt_act a);
#endif
