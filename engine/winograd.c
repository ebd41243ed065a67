#include "engine/winograd.h"

#include "engine/conv_image.h"

enum { PLANES = RT_WINO_PLANES, TILE = 4, BLOCK_FLOATS = 65536, MIN_TILES = 32, MAX_TILES = 96, PAD = 16,
       FEW_FLOATS = 1 << 17 };

static int tiles_across(const rt_wino_shape *s) { return (s->ow + TILE - 1) / TILE; }
static int lines_down(const rt_wino_shape *s) { return (s->oh + TILE - 1) / TILE; }

int rt_wino_pays(const rt_wino_shape *s)
{
    long tiles = (long)tiles_across(s) * lines_down(s);
    return s->c >= 16 && s->n >= 16 && PLANES * tiles * 4 < (long)9 * s->oh * s->ow * 3;
}

/* Lines of tiles in a block: transformed input and products together stay in the L2 cache, and there are enough tiles
 * for each matrix of weights that is read. */
static int lines_in_block(const rt_wino_shape *s)
{
    int across = tiles_across(s), tiles = BLOCK_FLOATS / (PLANES * (s->c + s->n));
    tiles = tiles < MIN_TILES ? MIN_TILES : tiles > MAX_TILES ? MAX_TILES : tiles;
    return tiles < across ? 1 : tiles / across;
}

/* A plane is a little longer than its tiles, or all planes would fall on the same lines of the cache. */
static ptrdiff_t plane_floats(int tiles, int channels) { return (ptrdiff_t)tiles * channels + PAD; }

size_t rt_wino_scratch(const rt_wino_shape *s)
{
    int tiles = lines_in_block(s) * tiles_across(s);
    return PLANES * (size_t)(plane_floats(tiles, s->c) + plane_floats(tiles, s->n));
}

void rt_wino_weights(const rt_kernels *k, float *u, const float *w, int c, int n)
{ k->wino_weights(u, w, (ptrdiff_t)c * n); }

void rt_wino_weights_flipped(const rt_kernels *k, float *u, const float *w, int c, int n, float *scratch)
{
    enum { BLOCK = 16 };
    ptrdiff_t count = (ptrdiff_t)c * n;
    for (int tap = 0; tap < 9; tap++, w += count) {
        float *to = scratch + (8 - tap) * count;
        for (int n0 = 0; n0 < n; n0 += BLOCK)
            for (int i = 0; i < c; i++)
                for (int j = n0; j < n && j < n0 + BLOCK; j++) to[(ptrdiff_t)j * c + i] = w[(ptrdiff_t)i * n + j];
    }
    k->wino_weights(u, scratch, count);
}

void rt_wino_grad_weights(const rt_kernels *k, float *dw, const float *m, int c, int n, int c0, int rows)
{
    k->wino_unwind(dw + (ptrdiff_t)c0 * n, (ptrdiff_t)c * n, m, (ptrdiff_t)rows * n);
}

typedef struct { int image, line, lines, tiles; } block;

/* A block of lines of tiles of consecutive images, from line `first` of all. */
static int next_block(const rt_wino_shape *s, int images, int first, block *b)
{
    int down = lines_down(s), all = images * down, lines = lines_in_block(s);
    if (first >= all) return 0;
    *b = (block){first / down, first % down, all - first < lines ? all - first : lines, 0};
    b->tiles = b->lines * tiles_across(s);
    return 1;
}

/* Runs a transform over the lines of a block; the image is (h, w, c), and line l of tiles starts at row 4 l - pt. */
static void transform(void (*fn)(const rt_wino_line *), const rt_wino_shape *s, const block *b, rt_wino_line a, int pt)
{
    int down = lines_down(s), line = b->line;
    a.tiles = tiles_across(s);
    a.image += (ptrdiff_t)b->image * a.h * a.w * a.c;
    for (int l = 0; l < b->lines; l++, a.planes += a.tiles * a.c) {
        a.y0 = TILE * line - pt;
        fn(&a);
        if (++line == down) {
            line = 0;
            a.image += (ptrdiff_t)a.h * a.w * a.c;
        }
    }
}

/* To make planes costs what to read them does where they are beyond L2: that of one tile. */
static int few_pay(const rt_wino_shape *s, int64_t tiles)
{ return tiles <= RT_WINO_FEW && (int64_t)PLANES * s->c * s->n >= FEW_FLOATS * tiles; }

int rt_wino_is_few(const rt_wino_shape *s, int images)
{ return few_pay(s, (int64_t)tiles_across(s) * lines_down(s) * images); }

/* The planes of `to`, out of those of `from`. */
static void products(const rt_kernels *k, const rt_wino_shape *s, const block *b, const float *from, float *to,
                     const float *u, const float *w)
{
    ptrdiff_t in = plane_floats(b->tiles, s->c), out = plane_floats(b->tiles, s->n);
    if (w && (!u || few_pay(s, b->tiles))) {
        k->wino_few(&(rt_wino_few){to, out, from, in, w, s->c, s->n, b->tiles});
        return;
    }
    for (int p = 0; p < PLANES; p++)
        rt_conv_image(k, &(rt_conv_line){.y = to + p * out,
                                         .y_px = s->n,
                                         .x = from + p * in,
                                         .x_px = s->c,
                                         .w = u + (ptrdiff_t)p * s->c * s->n,
                                         .w_ld = s->n,
                                         .px = b->tiles,
                                         .kh = 1,
                                         .klen = s->c,
                                         .n = s->n});
}

void rt_wino_forward(const rt_kernels *k, const rt_wino_shape *s, float *y, const float *x, const float *u,
                     const float *w, const float *bias, rt_act act, int accumulate, int images, float *scratch)
{
    block b;
    for (int first = 0; next_block(s, images, first, &b); first += b.lines) {
        ptrdiff_t in = plane_floats(b.tiles, s->c), out = plane_floats(b.tiles, s->n);
        float *product = scratch + PLANES * in;
        transform(
            k->wino_in, s, &b,
            (rt_wino_line){
                .image = (float *)x, .h = s->h, .w = s->w, .c = s->c, .x0 = -s->pl, .planes = scratch, .plane = in},
            s->pt);
        products(k, s, &b, scratch, product, u, w);
        transform(k->wino_out, s, &b,
                  (rt_wino_line){.image = y,
                                 .h = s->oh,
                                 .w = s->ow,
                                 .c = s->n,
                                 .planes = product,
                                 .plane = out,
                                 .accumulate = accumulate,
                                 .bias = bias,
                                 .act = act},
                  0);
    }
}

void rt_wino_grad(const rt_kernels *k, const rt_wino_shape *s, float *m, const float *x, const float *dy,
                  int accumulate, int images, float *scratch)
{
    block b;
    for (int first = 0; next_block(s, images, first, &b); first += b.lines) {
        ptrdiff_t in = plane_floats(b.tiles, s->c), out = plane_floats(b.tiles, s->n);
        float *grad = scratch + PLANES * in;
        transform(
            k->wino_in, s, &b,
            (rt_wino_line){
                .image = (float *)x, .h = s->h, .w = s->w, .c = s->c, .x0 = -s->pl, .planes = scratch, .plane = in},
            s->pt);
        transform(k->wino_grad, s, &b,
                  (rt_wino_line){.image = (float *)dy, .h = s->oh, .w = s->ow, .c = s->n, .planes = grad, .plane = out},
                  0);
        for (int p = 0; p < PLANES; p++) {
            rt_conv_dw a = {.dw = m + (ptrdiff_t)p * s->c * s->n,
                            .dw_ld = s->n,
                            .x = scratch + p * in,
                            .x_px = s->c,
                            .dy = grad + p * out,
                            .dy_px = s->n,
                            .lines = 1,
                            .px = b.tiles,
                            .kh = 1,
                            .klen = s->c,
                            .n = s->n,
                            .overwrite = !accumulate && !first};
            k->conv_dw(&a);
        }
    }
}
