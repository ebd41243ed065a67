/* Depthwise kernels against their plain-C twin: channels 1 to 70, windows that hang over every side of the image. */
#include "engine/kernels.h"
#include "tests/support.h"

typedef struct { int kh, kw, sh, sw, h, w, top, left, lines, px; } shape;

/* Whole images, narrow and wide, strides, windows wider than the image, and windows that miss it. */
static const shape shapes[] = {
    {3, 3, 1, 1, 25, 5, 1, 1, 25, 5},  {3, 3, 1, 1, 3, 19, 1, 1, 3, 19}, {3, 3, 2, 2, 9, 8, 1, 1, 5, 4},
    {3, 3, 2, 2, 8, 9, 0, 0, 4, 5},    {3, 3, 1, 1, 2, 2, 2, 2, 4, 4},   {3, 3, 1, 1, 1, 1, 1, 1, 1, 1},
    {2, 2, 1, 1, 5, 4, 0, 1, 5, 4},    {1, 3, 1, 1, 1, 17, 0, 1, 1, 17}, {3, 1, 1, 1, 9, 3, 1, 0, 9, 3},
    {2, 3, 1, 2, 6, 9, 1, 1, 6, 5},    {5, 5, 1, 1, 6, 11, 2, 2, 6, 11}, {5, 5, 2, 2, 7, 7, 2, 2, 4, 4},
    {1, 11, 1, 1, 1, 30, 0, 5, 1, 30}, {7, 4, 3, 2, 6, 5, 3, 1, 2, 3},   {1, 1, 1, 1, 3, 3, 0, 0, 3, 3},
    {3, 3, 1, 1, 4, 4, 4, 4, 10, 10},  {1, 20, 1, 1, 1, 4, 9, 9, 1, 4},  {4, 3, 1, 1, 12, 3, 1, 1, 12, 3}};

static const rt_kernels *twin;

static void compare(const char *what, const shape *s, int c, const float *got, const float *want, size_t n,
                    double terms)
{
    char text[160];
    for (size_t i = 0; i < n; i++) {
        snprintf(text, sizeof text, "%s %dx%d of (%d, %d, %d) at %zu", what, s->kh, s->kw, s->h, s->w, c, i);
        check_close(text, got[i], want[i], 4e-7 * sqrt(terms) * 4, 2e-5);
    }
}

/* The outputs have gaps, which stay as they were; blocks of lines give the bits of the whole. */
static void forward(const rt_kernels *k, const shape *s, int c, int mode)
{
    int y_px = c + 3, y_line = s->px * y_px + 2;
    size_t nx = (size_t)(s->h * s->w * c), nw = (size_t)(s->kh * s->kw * c), ny = (size_t)(s->lines * y_line);
    float *x = random_floats(nx, 1), *w = random_floats(nw, 2), *bias = random_floats((size_t)c, 3),
          *want = random_floats(ny, 4), *got = random_floats(ny, 4), *parts = random_floats(ny, 4);
    rt_depthwise a = {.y = want, .y_px = y_px, .y_line = y_line, .x = x, .h = s->h, .w = s->w, .y0 = -s->top,
                      .x0 = -s->left, .sy = s->sh, .sx = s->sw, .taps = w, .bias = mode & 1 ? bias : NULL,
                      .lines = s->lines, .px = s->px, .kh = s->kh, .kw = s->kw, .c = c, .accumulate = mode == 2,
                      .act = mode == 1 ? RT_ACT_RELU : mode == 3 ? RT_ACT_RELU6 : RT_ACT_NONE};
    twin->depthwise(&a);
    a.y = got;
    k->depthwise(&a);
    compare("depthwise", s, c, got, want, ny, s->kh * s->kw);
    a.y = parts;
    for (int l = 0; l < s->lines; l += 2, a.y += 2 * y_line, a.y0 += 2 * s->sh) {
        a.lines = s->lines - l < 2 ? s->lines - l : 2;
        k->depthwise(&a);
    }
    assert_memory_equal(parts, got, ny * sizeof *got);
    free(x); free(w); free(bias); free(want); free(got); free(parts);
}

static void backward(const rt_kernels *k, const shape *s, int c)
{
    int dy_px = c + 1, dy_line = s->px * dy_px + 3;
    size_t nx = (size_t)(s->h * s->w * c), nw = (size_t)(s->kh * s->kw * c), ny = (size_t)(s->lines * dy_line);
    float *x = random_floats(nx, 5), *dy = random_floats(ny, 6), *want = random_floats(nw, 7),
          *got = random_floats(nw, 7), *parts = random_floats(nw, 7);
    rt_depthwise_dw a = {.dw = want, .x = x, .h = s->h, .w = s->w, .y0 = -s->top, .x0 = -s->left, .sy = s->sh,
                         .sx = s->sw, .dy = dy, .dy_px = dy_px, .dy_line = dy_line, .lines = s->lines, .px = s->px,
                         .kh = s->kh, .kw = s->kw, .c = c};
    twin->depthwise_dw(&a);
    a.dw = got;
    k->depthwise_dw(&a);
    compare("depthwise_dw", s, c, got, want, nw, s->lines * s->px);
    a.dw = parts;
    for (int l = 0; l < s->lines; l += 3, a.dy += 3 * dy_line, a.y0 += 3 * s->sh) {
        a.lines = s->lines - l < 3 ? s->lines - l : 3;
        k->depthwise_dw(&a);
    }
    assert_memory_equal(parts, got, nw * sizeof *got);
    free(x); free(dy); free(want); free(got); free(parts);
}

static void against_twin(void **state)
{
    (void)state;
    for (const rt_kernels *const *k = rt_kernels_all(); *k; k++) {
        if (!rt_kernels_runnable(*k)) {
            print_message("this machine does not run the %s family\n", (*k)->name);
            continue;
        }
        for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++)
            for (int c = 1; c <= 70; c++) {
                forward(*k, &shapes[i], c, (c + (int)i) % 4);
                backward(*k, &shapes[i], c);
            }
    }
}

/* The twin itself: three numbers, a window of three, by hand. */
static void by_hand(void **state)
{
    (void)state;
    const float x[3] = {1, 2, 4}, taps[3] = {10, 100, 1000}, bias[1] = {0.5f}, dy[3] = {1, 10, 100};
    for (const rt_kernels *const *k = rt_kernels_all(); *k; k++) {
        if (!rt_kernels_runnable(*k)) continue;
        float y[3], dw[3] = {0};
        rt_depthwise a = {.y = y, .y_px = 1, .x = x, .h = 1, .w = 3, .x0 = -1, .sy = 1, .sx = 1, .taps = taps,
                          .bias = bias, .lines = 1, .px = 3, .kh = 1, .kw = 3, .c = 1};
        rt_depthwise_dw b = {.dw = dw, .x = x, .h = 1, .w = 3, .x0 = -1, .sy = 1, .sx = 1, .dy = dy, .dy_px = 1,
                             .lines = 1, .px = 3, .kh = 1, .kw = 3, .c = 1};
        (*k)->depthwise(&a);
        (*k)->depthwise_dw(&b);
        assert_true(y[0] == 2100.5f && y[1] == 4210.5f && y[2] == 420.5f);
        assert_true(dw[0] == 210 && dw[1] == 421 && dw[2] == 42);
    }
}

int main(void)
{
    const rt_kernels *const *k = rt_kernels_all();
    while (k[1]) k++;
    twin = *k;
    const struct CMUnitTest tests[] = {cmocka_unit_test(by_hand), cmocka_unit_test(against_twin)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
