/* engine/int/integer.h - integer layers: the arithmetic that a quantized model is deployed with, and its kernels.
 *
 * The contract, version 1. fl is rounding to float, rne to the nearest integer, halves to even; value = scale (q -
 * zero). Weights are s8 in [-127, 127] with a step sw[c] per output channel, activations u8 with scale s and zero point
 * z per tensor (x in, y out; a and b in, c out of a pair).
 *
 *   sums      acc = sum (x - zx) w + bias in int32, bias = rne(b / (sx sw[c])); padding is the zero point
 *   bytes     y = sat(rne(fl(fl(acc) M[c])) + zy), M[c] = fl(fl(sx sw[c]) / sy); no fused multiply-add
 *   logits    fl(fl(acc) fl(sx sw[c]))
 *   add       fx = zc - fma(ra, za, fl(rb zb)), y = sat(rne(fma(a, ra, fma(b, rb, fx)))), ra = fl(sa / sc), rb = fl(sb
 *             / sc): the one place with fused multiply-add
 *   multiply  y = sat(rne(fl(fl((a - za) (b - zb)) R)) + zc), R = fl(fl(sa sb) / sc)
 *   average   acc = sum (x - zx) over the n taps inside the image, then as bytes with M = fl(fl(sx / n) / sy)
 *   maximum   of bytes, over the taps inside the image
 *   others    activations f by a table of 256 bytes: sat(rne(f(sx (q - zx)) / sy) + zy) in double
 *   concat    brings each input to its scale by a table: sat(rne(fl(fl(sx (q - zx)) / sy)) + zy)
 *   input     y = sat(rne(fl(x / s)) + z)
 *
 * sat clamps to [low, high]: [0, 255]; with ReLU low = zy; with ReLU6 high = min(255, rne(fl(6 / sy)) + zy) too. ONNX
 * Runtime drops a Clip(0, 6) that the range of y implies, which this gives; otherwise it computes in float.
 *
 * Checked to the bit against ONNX Runtime 1.32 (tests/engine/record_integer.py). */
#ifndef RT_ENGINE_INT_INTEGER_H
#define RT_ENGINE_INT_INTEGER_H

#include <stddef.h>
#include <stdint.h>

#include "engine/kernels.h"

enum { RT_INT_CONTRACT = 1, RT_INT_SLACK = 64 };   /* SLACK: bytes behind a buffer that kernels may read, never use */

typedef struct { float scale; int zero; } rt_quant;

/* (H, W, C) bytes: channels of a pixel are side by side, px and row bytes lead to the next pixel and row, so that a
 * buffer carries its own border. */
typedef struct { uint8_t *p; ptrdiff_t px, row; int h, w, c; } rt_int_image;

/* What sat clamps to, and where zero is. */
typedef struct { int zero, low, high; } rt_int_range;

/* A convolution, 2-D, 1-D (height 1), grouped or depthwise; or a dense layer: rows are then pixels of a line. Of x, p
 * is the first tap of the first output pixel (in the border, where there is padding) and h and w are not read; of y, h
 * and w are what is computed. Where packed is asked for, the kernels' conv_pack has filled it from w, bias and m. */
typedef struct {
    rt_int_image x, y;
    int kh, kw, sh, sw, groups, n;
    const int8_t *w;                 /* (kh, kw, C / groups, N) */
    const int32_t *bias;             /* (N), as rt_int_start gives them */
    const float *m;                  /* (N): M, or the logits' factor */
    rt_int_range range;
    float *logits;                   /* (H, W, N) in place of y; or NULL */
    int32_t *sums;                   /* (H, W, N), acc itself, in place of y; or NULL */
    const void *packed;              /* conv_bytes, aligned to 64 */
    int backward;                    /* of one pixel: read weights from their end, of which the cache may hold more */
    int pairs; /* y[j] is of the larger of pixels 2 j and 2 j + 1 of a line: a maximum in one go */
} rt_int_conv;

/* y = a + b (ra, rb and fx as above) or a b (ra is R) of images of one shape. */
typedef struct {
    rt_int_image a, b, y;
    float ra, rb, fx;
    int za, zb;
    rt_int_range range;
} rt_int_pair;

/* Pooling: taps (kh, kw) from pixel (i sh - top, j sw - left) on, those inside of x. sx, sy and zx: of an average. */
typedef struct {
    rt_int_image x, y;
    int kh, kw, sh, sw, top, left;
    float sx, sy;
    int zx;
    rt_int_range range;
} rt_int_pool;

typedef struct { rt_int_image x, y; const uint8_t *table; } rt_int_map;   /* y = table[x] */

/* Sums of bytes with a zero point that is told later, as floats: of n channels total[c] is the sum of its weights. */
typedef struct {
    int n, zero;
    float scale;                     /* of the bytes */
    const int32_t *total;
    const float *step, *bias;        /* (n); bias may be NULL */
} rt_int_floats;

/* A family of kernels. All give the same bits. They allocate nothing, take no lock, and run in any number of threads on
 * disjoint outputs. */
typedef struct rt_int_kernels {
    const char *name;                /* scalar, avx2, avxvnni, avx512vnni, amx_int8 */
    size_t (*conv_bytes)(const rt_int_conv *);             /* of packed: depends on shapes alone */
    void (*conv_pack)(const rt_int_conv *, void *packed);
    void (*conv)(const rt_int_conv *);
    int (*conv_pairs)(const rt_int_conv *);                /* whether it serves `pairs`, to bytes: by shape alone */
    void (*add)(const rt_int_pair *);
    void (*mul)(const rt_int_pair *);
    void (*max_pool)(const rt_int_pool *);
    void (*avg_pool)(const rt_int_pool *);
    void (*map)(const rt_int_map *);
    void (*quantize)(uint8_t *y, const float *x, size_t n, float scale, int zero);     /* NaN becomes 0 */
    /* The least and the greatest of x and 0; NaN is neither. */
    void (*range)(float *low, float *high, const float *x, size_t n);
    /* y[c] = fl(fl(sums[c] - zero total[c]) fl(scale step[c])), and then, rounded again, bias[c] more. */
    void (*floats)(float *y, const int32_t *sums, const rt_int_floats *);
} rt_int_kernels;

/* The best family this CPU runs, unless RETORT_INT_KERNELS names another or one was set with rt_int_kernels_select:
 * apart from that of the float kernels. NULL, with a message, when that names none that runs here. Thread-safe. */
const rt_int_kernels *rt_int_kernels_get(void);
/* Sets the family for the process; NULL or "auto" means the best. RT_USAGE when unknown, RT_RUN when this CPU lacks it.
 */
rt_status rt_int_kernels_select(const char *name);
/* The families this build has, best first, ended by NULL; whether one runs here. */
const rt_int_kernels *const *rt_int_kernels_all(void);
int rt_int_kernels_runnable(const rt_int_kernels *);

/* ---- numbers of the contract ---- */

/* scale and zero point of values in [low, high], which 0 is brought into: 255 steps, 0 a whole number of them. */
rt_quant rt_quant_of(float low, float high);

float rt_int_multiplier(float sx, float sw, float sy);                    /* M[c] */
rt_int_range rt_int_range_of(rt_quant y, rt_act);                         /* act NONE, RELU or RELU6 */
void rt_int_add_factors(rt_int_pair *, rt_quant a, rt_quant b, rt_quant c);    /* ra, rb, fx, za, zb */
void rt_int_mul_factors(rt_int_pair *, rt_quant a, rt_quant b, rt_quant c);
/* For each of 256 bytes; act NONE: that of a concat. */
void rt_int_table(uint8_t table[256], rt_quant x, rt_quant y, rt_act, float slope);
/* bias[c] = rne(b[c] / (sx sw[c])); b NULL: zeros. RT_USAGE with the channel when one leaves 32 bits. */
rt_status rt_int_bias(int32_t *bias, const float *b, const float *sw, float sx, int n);
/* What sums start from: start[c] = bias[c] - zx sum of the channel's weights (taps, n). RT_USAGE with the channel when
 * its sums could leave int32 for some input, in whatever order they are added. */
rt_status rt_int_start(int32_t *start, const int32_t *bias, int zx, const int8_t *w, int taps, int n);
#endif
