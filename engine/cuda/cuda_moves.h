/* engine/cuda/cuda_moves.h - launchers of moves.cu: values that go elsewhere. */
#ifndef RT_ENGINE_CUDA_MOVES_H
#define RT_ENGINE_CUDA_MOVES_H

#include <cuda_runtime_api.h>

#include "engine/cuda/cuda_space.h"
#include "engine/move.h"

#ifdef __cplusplus
extern "C" {
#endif

/* An axis of a move between an input of n and an output of `count` places, which lie so many floats apart; see
 * engine/move.h. */
typedef struct {
    rt_move_kind kind;
    rt_pad_mode mode;
    int64_t count, n, first, step, in_step, out_step;
    const float *pick;                 /* device memory */
} rt_moved_axis;

/* axis[0] is the innermost: of the output for rt_k_move, of the input for rt_k_move_grad, which walk `space` (its
 * counts are those of the axes, blocks of `pack` along the first). */
typedef struct {
    rt_moved_axis axis[RT_SPACE_DIMS];
    rt_space space;
    int axes, pack;
    int several;                       /* an input may go to several places */
    float value;                       /* of constant padding */
} rt_moved;

/* y = x, moved. */
void rt_k_move(cudaStream_t, float *y, const float *x, const rt_moved *);
/* dx (+)= the sums of dy over the places that each went to; not of RT_MOVE_PICK. */
void rt_k_move_grad(cudaStream_t, float *dx, const float *dy, const rt_moved *, int add);
/* The same of y (outer, count, inner) = x (outer, n, inner) at the places pick (count). */
void rt_k_pick_grad(cudaStream_t, float *dx, const float *dy, const float *pick, size_t outer, int n, int count,
                    size_t inner, int add);

/* to[b][c][r] (+)= from[b][r][c] of `batch` matrices of so many rows and columns: rows of from are from_ld floats
 * apart, matrices from_next. */
typedef struct { size_t batch, rows, columns, from_ld, from_next, to_ld, to_next; } rt_transposition;
void rt_k_transpose(cudaStream_t, float *to, const float *from, const rt_transposition *, int add);

/* Columns of a matrix (lines, whole) that are matrices of their own, up to 16 at once. */
enum { RT_STRIPS = 16 };
typedef struct { float *strip; size_t width, at; int add; } rt_strip;
typedef struct {
    float *whole;
    size_t lines, width;
    int strips;
    rt_strip strip[RT_STRIPS];
} rt_strips;
/* whole = strips; or strips (+)= whole. */
void rt_k_join(cudaStream_t, const rt_strips *);
void rt_k_part(cudaStream_t, const rt_strips *);

#ifdef __cplusplus
}
#endif
#endif
