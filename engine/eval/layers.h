/* engine/eval/layers.h - what the evaluator's operators over whole layers have in common: checked inputs, windows that
 * slide over an image, and products of matrices. */
#ifndef RT_ENGINE_EVAL_LAYERS_H
#define RT_ENGINE_EVAL_LAYERS_H

#include "engine/eval/eval.h"

/* Input i with one of the types and a rank in [low, high]; RT_INPUT else. The second lets it be left out: NULL. */
rt_status rt_layer_in(const rt_eval_call *, int i, unsigned types, int low, int high, const rt_array **);
rt_status rt_layer_optional(const rt_eval_call *, int i, unsigned types, int low, int high, const rt_array **);
/* RT_INPUT unless the array has this type and shape; a dimension of -1 may be any. `what` names it. NULL passes. */
rt_status rt_layer_shape(const rt_array *, const char *what, rt_dtype, int rank, const int64_t *dim);

/* n elements from `first` on, `step` apart, as doubles, and back (rounded to the type). */
void rt_layer_load(double *to, const rt_array *, size_t first, size_t step, size_t n);
void rt_layer_store(rt_array *, size_t first, size_t step, const double *from, size_t n);
/* All elements as doubles or floats: the array's own where it has that type, else passing copies. */
rt_status rt_layer_doubles(rt_eval_call *, const rt_array *, const double **);
rt_status rt_layer_floats(rt_eval_call *, const rt_array *, const float **);

/* Mean and variance (of the population) of n numbers; 0 of none. */
void rt_layer_moments(const double *, size_t n, double *mean, double *variance);

/* ---- windows ---- */

enum { RT_LAYER_SPACE = RT_ARRAY_RANK - 2 };

/* A kernel that slides over the dimensions behind batch and channels. Place o of the output looks at
 * o * stride - begin + k * dilation, k in [0, kernel). */
typedef struct {
    int n;                                  /* dimensions */
    int64_t in[RT_LAYER_SPACE], out[RT_LAYER_SPACE], kernel[RT_LAYER_SPACE], stride[RT_LAYER_SPACE],
        dilation[RT_LAYER_SPACE], begin[RT_LAYER_SPACE], end[RT_LAYER_SPACE];
    int64_t pixels, places, taps;           /* products of in, out and kernel */
    int ceil;                               /* the output's size is rounded up */
    int valid;                              /* auto_pad VALID */
} rt_layer_window;

enum { RT_LAYER_NO_AUTO_PAD = 1, RT_LAYER_NO_DILATION = 2, RT_LAYER_NO_KERNEL = 4 };

/* Reads kernel_shape, strides, pads, auto_pad and dilations of an operator over an image with these n dimensions, and
 * finds the output's. kernel: its shape where a weight has it, NULL: the attribute must be there. The flags leave out
 * attributes that an operator has not. w->ceil is the caller's. */
rt_status rt_layer_window_read(rt_eval_call *, int n, const int64_t *in, const int64_t *kernel, unsigned flags,
                               rt_layer_window *w);
/* The same without the output's size: begin and end are as written, 0 with auto_pad; *automatic gets its name. */
rt_status rt_layer_window_parts(rt_eval_call *, int n, const int64_t *in, const int64_t *kernel, unsigned flags,
                                rt_layer_window *w, const char **automatic);
/* The taps k in [*from, *to) along dimension d of place o that lie inside the image. */
void rt_layer_window_taps(const rt_layer_window *, int d, int64_t o, int64_t *from, int64_t *to);

/* ---- products ---- */

enum { RT_LAYER_ROOM = 64 * 256 + 256 * 256 };

/* C[i ci + j] += sum over l of A[i ai + l al] B[l bl + j bj], i < m, j < n, l < k. room: RT_LAYER_ROOM floats. Sums are
 * of floats, of up to 256 products at a time. Ticks. */
rt_status rt_layer_product(rt_eval_call *, int64_t m, int64_t n, int64_t k, const float *a, ptrdiff_t ai, ptrdiff_t al,
                           const float *b, ptrdiff_t bl, ptrdiff_t bj, float *c, ptrdiff_t ci, float *room);
rt_status rt_layer_product_double(rt_eval_call *, int64_t m, int64_t n, int64_t k, const double *a, ptrdiff_t ai,
                                  ptrdiff_t al, const double *b, ptrdiff_t bl, ptrdiff_t bj, double *c, ptrdiff_t ci);

/* Lines of the matrix that makes a convolution a product: col[r * width + p] for r < channels * taps and places
 * [first, first + width) of one image; 0 where a tap is outside. size: bytes of an element, 4 or 8. */
void rt_layer_columns(const rt_layer_window *, const void *image, int64_t channels, int64_t first, int64_t width,
                      size_t size, void *col);
/* The other way round: every element of such a matrix is added to the pixel that it would come from. type: F32, F64, or
 * U64, which wraps. */
void rt_layer_columns_add(const rt_layer_window *, const void *col, int64_t channels, int64_t first, int64_t width,
                          rt_dtype type, void *image);

/* ---- operators of a table whose file is full ---- */

rt_status rt_eval_einsum(rt_eval_call *);
rt_status rt_eval_deform_conv(rt_eval_call *);
rt_status rt_eval_causal_conv(rt_eval_call *);
rt_status rt_eval_col2im(rt_eval_call *);
rt_status rt_eval_max_unpool(rt_eval_call *);
rt_status rt_eval_max_roi_pool(rt_eval_call *);
rt_status rt_eval_roi_align(rt_eval_call *);
rt_status rt_eval_skip_layer_norm(rt_eval_call *);
rt_status rt_eval_embed_layer_norm(rt_eval_call *);
rt_status rt_eval_rotary_embedding(rt_eval_call *);
rt_status rt_eval_linear_attention(rt_eval_call *);
rt_status rt_eval_fused_attention(rt_eval_call *);
rt_status rt_eval_multi_head_attention(rt_eval_call *);
rt_status rt_eval_grid_sample(rt_eval_call *);
rt_status rt_eval_affine_grid(rt_eval_call *);
rt_status rt_eval_tfidf(rt_eval_call *);
rt_status rt_eval_string_normalizer(rt_eval_call *);
rt_status rt_eval_string_concat(rt_eval_call *);
rt_status rt_eval_string_split(rt_eval_call *);
#endif
