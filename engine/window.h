/* engine/window.h - kernel, stride and padding of convolutions and pools: the rules that they share. */
#ifndef RT_ENGINE_WINDOW_H
#define RT_ENGINE_WINDOW_H

#include <stddef.h>

#include "engine/attr.h"

/* Rows of a schema for a window at this offset of the attributes. stride: its default, 0 for that of the kernel. */
#define RT_WINDOW_SPEC(type, stride_default, stride_help) \
    {"kernel", RT_A_PAIR, offsetof(type, window.kernel), 1, 1024, 0, 1, "size, or [h, w]"}, \
    {"stride", RT_A_PAIR, offsetof(type, window.stride), 1, 1024, stride_default, 0, "step, or [h, w]" stride_help}, \
    {"padding", RT_A_PADDING, offsetof(type, window.pad), 0, 1024, 0, 0, \
     "a number, [h, w], [top, bottom, left, right], \"same\" or \"valid\""}, \
    {"dilation", RT_A_PAIR, offsetof(type, window.dilation), 1, 1024, 1, 0, "how far taps are apart, or [h, w]"}

/* And for a depth. */
#define RT_DEPTH_SPEC(type, stride_default, stride_help) \
    {"depth", RT_A_INT, offsetof(type, depth.kernel), 1, 1024, 0, 1, "the kernel's size along D"}, \
    {"depth_stride", RT_A_INT, offsetof(type, depth.stride), 1, 1024, stride_default, 0, "step along D" stride_help}, \
    {"depth_padding", RT_A_PAIR, offsetof(type, depth.pad), 0, 1024, 0, 0, "planes, or [in front, behind]"}, \
    {"depth_dilation", RT_A_INT, offsetof(type, depth.dilation), 1, 1024, 1, 0, "how far taps are apart along D"}

/* Gives the window its numbers, which depend on the input: 4 sides of padding, the stride of the kernel, height 1 for
 * (T, C), no dilation of a kernel of 1. RT_USAGE for padding above or below a sequence. */
rt_status rt_window_settle(rt_window *, const rt_shape *in);
/* The output's pixels; RT_USAGE when the kernel is larger than the padded input. */
rt_status rt_window_out(const rt_window *, const rt_shape *in, int *oh, int *ow);
/* The same, but a last window that reaches over the padding counts, if it begins inside of it: what ONNX and PyTorch
 * call ceil_mode. */
rt_status rt_window_out_ceil(const rt_window *, const rt_shape *in, int *oh, int *ow);
/* A window of volumes (D, H, W, C): settled; the output's planes and pixels, by the rule of rt_window_out or, with
 * ceil, of rt_window_out_ceil. RT_USAGE for another rank, and where the kernel is larger than the padded input. */
rt_status rt_depth_settle(rt_depth *, rt_window *, const rt_shape *in);
rt_status rt_depth_out(const rt_depth *, const rt_window *, const rt_shape *in, int ceil, int to[3]);
/* The shape of a plane (H, W, C) of volumes; others are their own plane. */
static inline rt_shape rt_plane_of(const rt_shape *s)
{ return s->rank == 4 ? (rt_shape){3, {s->dim[1], s->dim[2], s->dim[3]}} : *s; }

/* Taps of k, the first of them at `at` and d apart, that lie in an axis of `size`: [from, to). */
typedef struct { int from, to; } rt_taps;
static inline rt_taps rt_taps_inside(int at, int k, int d, int size)
{
    rt_taps s = {at < 0 ? (d - 1 - at) / d : 0, at < size ? (size - at + d - 1) / d : 0};
    if (s.to > k) s.to = k;
    return s;
}

/* Pixels from the first to the last tap along axis i. */
static inline int rt_window_reach(const rt_window *w, int i) { return (w->kernel[i] - 1) * w->dilation[i] + 1; }
#endif
