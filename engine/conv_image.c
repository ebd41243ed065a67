#include "engine/conv_image.h"

enum {
    PANEL = 6144,
    CHANNELS = 64,
    BESIDE = 6144
}; /* floats of weights, 24 KiB; floats of x and y that are used with them */

static void panels(const rt_kernels *k, const rt_conv_line *whole)
{
    int n = whole->n, first = 1;
    int step = PANEL / n < whole->klen ? PANEL / n : whole->klen, per = step == whole->klen ? PANEL / (n * step) : 1;
    for (int r = 0; r < whole->kh; r += per)
        for (int k0 = 0; k0 < whole->klen; k0 += step) {
            rt_conv_line a = *whole;
            a.kh = whole->kh - r < per ? whole->kh - r : per;
            a.klen = whole->klen - k0 < step ? whole->klen - k0 : step;
            if (a.klen != whole->klen) a.kw = 1;
            int last = r + a.kh >= whole->kh && k0 + a.klen >= whole->klen;
            a.x += r * a.x_row + k0;
            a.w += ((ptrdiff_t)r * whole->klen + k0) * a.w_ld;
            a.accumulate = whole->accumulate || !first;
            a.act = last ? whole->act : RT_ACT_NONE;
            first = 0;
            k->conv_line(&a);
        }
}

void rt_conv_image(const rt_kernels *k, const rt_conv_line *whole)
{
    if ((ptrdiff_t)whole->kh * whole->klen * whole->n <= PANEL) {
        k->conv_line(whole);
        return;
    }
    for (int n0 = 0; n0 < whole->n; n0 += CHANNELS) {
        rt_conv_line a = *whole;
        a.n = whole->n - n0 < CHANNELS ? whole->n - n0 : CHANNELS;
        a.w += n0;
        a.bias = a.bias ? a.bias + n0 : NULL;
        int most = BESIDE / (a.px * (a.n + (a.x_px < PANEL / a.n ? (int)a.x_px : PANEL / a.n))),
            left = whole->lines ? whole->lines : 1;
        if (most < 1) most = 1;
        for (int l = 0; left > 0; l += a.lines, left -= a.lines) {
            a.lines = left < most ? left : most;
            a.x = whole->x + l * a.x_line;
            a.y = whole->y + n0 + l * a.y_line;
            panels(k, &a);
        }
    }
}
