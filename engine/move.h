/* engine/move.h - where the values of an output come from: each of its axes goes along an axis of the input by a rule
 * of its own, and what lies behind the last one is a run of neighbours. */
#ifndef RT_ENGINE_MOVE_H
#define RT_ENGINE_MOVE_H

#include <stddef.h>

#include "engine/graph.h"

typedef enum {
    RT_MOVE_STEP,                      /* i is first + i step */
    RT_MOVE_PAD,                       /* i - first, by the mode where that lies outside of the input's n */
    RT_MOVE_TILE,                      /* i modulo n */
    RT_MOVE_PICK                       /* pick[i], from the end where below 0; NaN where that is none of n */
} rt_move_kind;

typedef struct {
    rt_move_kind kind;
    int count, first, step, n;
    rt_pad_mode mode;
    ptrdiff_t stride;                  /* of the input's axis, in floats */
    const float *pick;
} rt_move_axis;

typedef struct {
    int axes;
    rt_move_axis axis[RT_MAX_RANK + 1];
    size_t run;
    ptrdiff_t base;                    /* of the input */
    float value;                       /* of constant padding */
} rt_move;

/* What a node does to each row: an axis for each dimension of its output; in a gather those of the indices are one.
 * field: the indices of a gather. */
rt_move rt_move_of(const rt_graph *, const rt_node *, const float *field);
/* Axes that do nothing are put together: to be called once all are there, with a run of 1. */
void rt_move_simplify(rt_move *);
/* out = in, moved. */
void rt_move_forward(const rt_move *, float *out, const float *in);
/* din += dout at the places that they came from; or, assign: din = dout, where each place has one. */
void rt_move_back(const rt_move *, const rt_kernels *, float *din, const float *dout, int assign);
#endif
