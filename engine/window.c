#include "engine/window.h"

#include <string.h>

/* What ONNX calls SAME_UPPER. */
static void same_padding(rt_window *w, int h, int width)
{
    const int size[2] = {h, width};
    for (int i = 0; i < 2; i++) {
        int out = (size[i] + w->stride[i] - 1) / w->stride[i];
        int need = (out - 1) * w->stride[i] + w->kernel[i] - size[i];
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

rt_status rt_window_out(const rt_window *w, const rt_shape *in, int *oh, int *ow)
{
    const int *pad = w->pad.side;
    int h, width, c;
    char text[64];
    rt_shape_hwc(in, &h, &width, &c);
    h += pad[0] + pad[1];
    width += pad[2] + pad[3];
    if (h < w->kernel[0] || width < w->kernel[1])
        return rt_fail(RT_USAGE, "kernel %dx%d is larger than the padded input %s", w->kernel[0], w->kernel[1],
                       rt_shape_text(in, text));
    *oh = (h - w->kernel[0]) / w->stride[0] + 1;
    *ow = (width - w->kernel[1]) / w->stride[1] + 1;
    return RT_OK;
}
