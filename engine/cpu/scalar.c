/* engine/cpu/scalar.c - the plain-C family: the definition that every faster variant is tested against. */
#include "engine/cpu/family.h"
#include "engine/cpu/simd.h"

static void conv_line(const rt_conv_line *a)
{
    for (int i = 0; i < a->px * (a->lines ? a->lines : 1); i++) {
        ptrdiff_t l = i / a->px, p = i % a->px;
        const float *x = a->x + l * a->x_line + p * a->x_px;
        for (int n = 0; n < a->n; n++) {
            float *y = a->y + l * a->y_line + p * a->y_px + n;
            float s = a->accumulate ? *y : a->bias ? a->bias[n] : 0.0f;
            for (int r = 0; r < a->kh; r++)
                for (int k = 0; k < a->klen; k++)
                    s += x[r * a->x_row + k] * a->w[(ptrdiff_t)(r * a->klen + k) * a->w_ld + n];
            *y = act_v(s, a->act);
        }
    }
}

static void conv_dw(const rt_conv_dw *a)
{
    for (int r = 0; r < a->kh; r++)
        for (int k = 0; k < a->klen; k++)
            for (int n = 0; n < a->n; n++) {
                float *dw = a->dw + (ptrdiff_t)(r * a->klen + k) * a->dw_ld + n;
                float s = a->overwrite ? 0.0f : *dw;
                for (int l = 0; l < a->lines; l++)
                    for (int p = 0; p < a->px; p++)
                        s += a->x[l * a->x_line + p * a->x_px + r * a->x_row + k] *
                             a->dy[l * a->dy_line + p * a->dy_px + n];
                *dw = s;
            }
}

/* Element c of the pixel that tap (r, t) of point (l, p) meets; zero outside the image. */
#define PIXEL(a, l, p, r, t, c) \
    ((unsigned)((a)->y0 + (l) * (a)->sy + (r)) < (unsigned)(a)->h && \
             (unsigned)((a)->x0 + (p) * (a)->sx + (t)) < (unsigned)(a)->w \
         ? (a)->x[((ptrdiff_t)((a)->y0 + (l) * (a)->sy + (r)) * (a)->w + (a)->x0 + (p) * (a)->sx + (t)) * (a)->c + \
                  (c)] \
         : 0.0f)

static void depthwise(const rt_depthwise *a)
{
    for (int l = 0; l < a->lines; l++)
        for (int p = 0; p < a->px; p++)
            for (int c = 0; c < a->c; c++) {
                float *y = a->y + l * a->y_line + p * a->y_px + c;
                float s = a->accumulate ? *y : a->bias ? a->bias[c] : 0.0f;
                for (int r = 0; r < a->kh; r++)
                    for (int t = 0; t < a->kw; t++) s += PIXEL(a, l, p, r, t, c) * a->taps[(r * a->kw + t) * a->c + c];
                *y = act_v(s, a->act);
            }
}

static void depthwise_dw(const rt_depthwise_dw *a)
{
    for (int r = 0; r < a->kh; r++)
        for (int t = 0; t < a->kw; t++)
            for (int c = 0; c < a->c; c++) {
                float *dw = a->dw + (r * a->kw + t) * a->c + c, s = *dw;
                for (int l = 0; l < a->lines; l++)
                    for (int p = 0; p < a->px; p++)
                        s += PIXEL(a, l, p, r, t, c) * a->dy[l * a->dy_line + p * a->dy_px + c];
                *dw = s;
            }
}

enum { PANEL_COLS = 8, PANEL_ROWS = 4, PANELS_FROM = 1 << 10, PANELS_DW_FROM = 1 << 10 };

static void panel_product(const rt_panels *a)
{
    for (int r = 0; r < a->rows; r++)
        for (int n0 = 0; n0 < a->n; n0 += PANEL_COLS) {
            const float *w = a->w + (ptrdiff_t)n0 * a->k;
            const float *x = a->left ? a->x + (ptrdiff_t)(r / PANEL_ROWS) * a->k * PANEL_ROWS + r % PANEL_ROWS
                                     : a->x + r * a->x_ld;
            float *y = a->y + r * a->y_ld + n0, s[PANEL_COLS] = {0};
            int cols = a->n - n0 < PANEL_COLS ? a->n - n0 : PANEL_COLS;
            for (int c = 0; c < cols; c++) s[c] = a->accumulate ? y[c] : a->bias ? a->bias[n0 + c] : 0.0f;
            for (int k = 0; k < a->k; k++)
                for (int c = 0; c < PANEL_COLS; c++)
                    s[c] += x[k * (a->left ? PANEL_ROWS : 1)] * w[k * PANEL_COLS + c];
            for (int c = 0; c < cols; c++) y[c] = act_v(s[c], a->act);
        }
}

void rt_panels_by(float *to, const float *w, ptrdiff_t row, ptrdiff_t col, int k, int n, int width)
{
    for (int n0 = 0; n0 < n; n0 += width)
        for (int r = 0; r < k; r++)
            for (int c = 0; c < width; c++) *to++ = n0 + c < n ? w[r * row + (n0 + c) * col] : 0.0f;
}

static void panel_pack(float *to, const float *w, ptrdiff_t ld, int k, int n)
{ rt_panels_by(to, w, ld, 1, k, n, PANEL_COLS); }
static void panel_pack_transposed(float *to, const float *w, ptrdiff_t ld, int k, int n)
{ rt_panels_by(to, w, 1, ld, k, n, PANEL_COLS); }
static void panel_pack_left(float *to, const float *x, ptrdiff_t ld, int rows, int k)
{ rt_panels_by(to, x, ld, 1, k, rows, PANEL_ROWS); }

static double peak_loop(long rounds)
{
    volatile float b = 1.0000001f, c = 1e-7f;
    float acc[8] = {0, 1, 2, 3, 4, 5, 6, 7}, bb = b, cc = c;
    for (long r = 0; r < rounds; r++)
        for (int i = 0; i < 8; i++) acc[i] = acc[i] * bb + cc;
    volatile float sink = acc[0] + acc[1] + acc[2] + acc[3] + acc[4] + acc[5] + acc[6] + acc[7];
    (void)sink;
    return (double)rounds * 8 * 2;
}

#include "engine/cpu/winograd.inc"
#define RT_FAMILY_NAME "scalar"
#define RT_FAMILY_VECTOR 1
#define RT_FAMILY_SYMBOL rt_family_scalar
#include "engine/cpu/elementwise.inc"
