#include "engine/window.h"

#include <string.h>

/* What ONNX calls SAME_UPPER. */
static void same_padding(rt_window *w, int h, int width)
{
    const int size[2] = {h, width};
    for (int i = 0; i < 2; i++) {
        int out = (size[i] + w->stride[i] - 1) / w->stride[i];
        int need = (out - 1) * w->stride[i] + rt_window_reach(w, i) - size[i];
        if (need < 0) need = 0;
        w->pad.side[2 * i] = need / 2;
        w->pad.side[2 * i + 1] = need - need / 2;
    }
}

rt_status rt_window_settle(rt_window *w, const rt_shape *in)
{
    int h, width, c, sequence = in->rank == 2;
    rt_padding given = w->pad;
    int *side = w->pad.side;
    rt_shape_hwc(in, &h, &width, &c);
    for (int i = 0; i < 2; i++) if (!w->stride[i]) w->stride[i] = w->kernel[i];
    if (sequence) w->kernel[0] = w->stride[0] = 1;
    for (int i = 0; i < 2; i++) if (w->kernel[i] == 1 || !w->dilation[i]) w->dilation[i] = 1;
    memset(side, 0, sizeof w->pad.side);
    w->pad.given = 4;
    switch (given.given) {
    case RT_PAD_SAME: same_padding(w, h, width); break;
    case 1:
        if (!sequence) side[0] = side[1] = given.side[0];
        side[2] = side[3] = given.side[0];
        break;
    case 2:
        for (int i = 0; i < 2; i++)
            if (sequence) side[2 + i] = given.side[i];              /* of a sequence: before, behind */
            else side[2 * i] = side[2 * i + 1] = given.side[i];
        break;
    case 4: memcpy(side, given.side, sizeof given.side); break;
    default: break;
    }
    if (sequence && (side[0] || side[1]))
        return rt_fail(RT_USAGE, "padding of a sequence is [0, 0, before, behind], not [%d, %d, %d, %d]", side[0],
                       side[1], side[2], side[3]);
    return RT_OK;
}

/* Windows along an axis of `size` and its padding; below 1: the kernel is larger. */
static int windows(int size, int before, int behind, int reach, int stride, int ceil)
{
    int room = size + before + behind - reach;
    if (room < 0) return 0;
    int n = (room + (ceil ? stride - 1 : 0)) / stride + 1;
    return ceil && (n - 1) * stride >= size + before ? n - 1 : n;
}

static rt_status out(const rt_window *w, const rt_shape *in, int ceil, int *oh, int *ow)
{
    const int *pad = w->pad.side;
    int size[2], c, *to[2] = {oh, ow};
    char text[64];
    rt_shape_hwc(in, &size[0], &size[1], &c);
    for (int i = 0; i < 2; i++) {
        *to[i] = windows(size[i], pad[2 * i], pad[2 * i + 1], rt_window_reach(w, i), w->stride[i], ceil);
        if (*to[i] < 1)
            return rt_fail(RT_USAGE, "kernel %dx%d%s is larger than the padded input %s", w->kernel[0], w->kernel[1],
                           w->dilation[0] > 1 || w->dilation[1] > 1 ? ", dilated," : "", rt_shape_text(in, text));
    }
    return RT_OK;
}

rt_status rt_window_out(const rt_window *w, const rt_shape *in, int *oh, int *ow) { return out(w, in, 0, oh, ow); }
rt_status rt_window_out_ceil(const rt_window *w, const rt_shape *in, int *oh, int *ow) { return out(w, in, 1, oh, ow); }

rt_status rt_depth_settle(rt_depth *d, rt_window *w, const rt_shape *in)
{
    char text[64];
    if (in->rank != 4)
        return rt_fail(RT_USAGE, "input %s has %d dimensions, 4 expected: (D, H, W, C)", rt_shape_text(in, text),
                       in->rank);
    rt_shape plane = rt_plane_of(in);
    if (!d->stride) d->stride = d->kernel;
    if (d->kernel == 1) d->dilation = 1;
    return rt_window_settle(w, &plane);
}

rt_status rt_depth_out(const rt_depth *d, const rt_window *w, const rt_shape *in, int ceil, int to[3])
{
    rt_shape plane = rt_plane_of(in);
    char text[64];
    to[0] = windows(in->dim[0], d->pad[0], d->pad[1], (d->kernel - 1) * d->dilation + 1, d->stride, ceil);
    if (to[0] < 1)
        return rt_fail(RT_USAGE, "a depth of %d%s is larger than the padded input %s", d->kernel,
                       d->dilation > 1 ? ", dilated," : "", rt_shape_text(in, text));
    return out(w, &plane, ceil, &to[1], &to[2]);
}
