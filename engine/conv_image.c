#include "engine/conv_image.h"

void rt_conv_image(const rt_kernels *k, const rt_conv_line *whole, int lines, ptrdiff_t y_line, ptrdiff_t x_line)
{
    enum { PANEL = 6144, CHANNELS = 64 };                  /* floats: 24 KiB */
    if ((ptrdiff_t)whole->kh * whole->klen * whole->n <= PANEL) {
        rt_conv_line a = *whole;
        for (int i = 0; i < lines; i++, a.y += y_line, a.x += x_line) k->conv_line(&a);
        return;
    }
    for (int n0 = 0; n0 < whole->n; n0 += CHANNELS) {
        int n = whole->n - n0 < CHANNELS ? whole->n - n0 : CHANNELS, first = 1;
        int step = PANEL / n < whole->klen ? PANEL / n : whole->klen, per = step == whole->klen ? PANEL / (n * step) : 1;
        for (int r = 0; r < whole->kh; r += per)
            for (int k0 = 0; k0 < whole->klen; k0 += step) {
                rt_conv_line a = *whole;
                a.kh = whole->kh - r < per ? whole->kh - r : per;
                a.klen = whole->klen - k0 < step ? whole->klen - k0 : step;
                if (a.klen != whole->klen) a.kw = 1;
                int last = r + a.kh >= whole->kh && k0 + a.klen >= whole->klen;
                a.n = n;
                a.y += n0;
                a.x += r * a.x_row + k0;
                a.w += ((ptrdiff_t)r * whole->klen + k0) * a.w_ld + n0;
                a.bias = a.bias ? a.bias + n0 : NULL;
                a.accumulate = whole->accumulate || !first;
                a.act = last ? whole->act : RT_ACT_NONE;
                first = 0;
                for (int i = 0; i < lines; i++, a.y += y_line, a.x += x_line) k->conv_line(&a);
            }
    }
}
