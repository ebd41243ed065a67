/* engine/cpu/amx.c - fp32 products on the bf16 matrix units of AMX; compiled with -mamx-tile -mamx-bf16 and
 * the flags of avx512.c.
 *
 * A float is the sum of three bf16: x = x0 + x1 + x2, where x0 = bf16(x), x1 = bf16(x - x0), x2 = x - x0 - x1, exactly,
 * as 3 x 8 bits hold the 24 of fp32 (Henry, Tang & Heinecke 2019, "Leveraging the bfloat16 artificial intelligence
 * datatype for higher-precision computations"). Of the nine partial products of x w the six greatest are added up, x0
 * w0 + x0 w1 + x0 w2 + x1 w0 + x1 w1 + x2 w0; the rest is below 2^-24 |x w|. Products of bf16 are exact in fp32, and
 * the instruction adds up 32 k before it adds to the sum, so that sums of 64 terms and more have smaller errors than a
 * chain of fused multiply-adds, and a single product one below 2^-23 |x w| (tests/engine/test_products.c). Exceptions:
 * |x| above 3.39e38 becomes infinite, an infinity NaN, and what x1 and x2 have below 2^-126 is lost.
 *
 * A tile is 16 rows of 64 bytes: of the left side 16 rows x 32 k, of the right side 16 pairs of k x 16 columns, the two
 * of a pair side by side. Tiles of the three parts lie one after the other, 1 KiB each. */
#define RT_SIMD_AVX512
#include "engine/cpu/family.h"
#include "engine/cpu/simd.h"

enum {
    TILE = 1024, PARTS = 3, STEP = 32,       /* bytes of a tile; k of a tile */
    PIECES = 32,                             /* a step's right side is split in: 16 pairs of rows x 2 tiles */
    ROWS = 32, COLS = 32,                    /* of y that are in registers at a time: 2 x 2 tiles */
    STEPS_MOST = 32,                         /* steps whose left sides are split at a time */
    LEFT = 2 * PARTS * TILE, RIGHT = 2 * PARTS * TILE   /* bytes of a step's tiles: [2][part] */
};

typedef struct { uint8_t palette, start, zero[14]; uint16_t row_bytes[16]; uint8_t rows[16]; } tile_shapes;

static void tiles_on(void)
{
    static const tile_shapes full = {1, 0, {0}, {64, 64, 64, 64, 64, 64, 64, 64}, {16, 16, 16, 16, 16, 16, 16, 16}};
    _tile_loadconfig(&full);
}

static inline __mmask16 lanes(int n) { return (__mmask16)(n >= 16 ? 0xffffu : n > 0 ? (1u << n) - 1u : 0u); }
static inline int at_most(int n, int most) { return n < most ? n : most; }
static inline int at_least(int n, int least) { return n > least ? n : least; }

/* bf16(x) in the upper halves; halfway cases away from zero. */
RT_INLINE __m512i upper(__m512 x)
{
    return _mm512_and_si512(_mm512_add_epi32(_mm512_castps_si512(x), _mm512_set1_epi32(0x8000)),
                            _mm512_set1_epi32((int)0xffff0000));
}

RT_INLINE void split(__m512 x, __m512i part[PARTS])
{
    part[0] = upper(x);
    x = _mm512_sub_ps(x, _mm512_castsi512_ps(part[0]));
    part[1] = upper(x);
    part[2] = _mm512_castps_si512(_mm512_sub_ps(x, _mm512_castsi512_ps(part[1])));
}

/* A tile's row of the left side from floats k..k+31 of a row: lo has the first 16. */
RT_INLINE void store_left(char *to, __m512 lo, __m512 hi)
{
    const __m512i odd = _mm512_set_epi16(63, 61, 59, 57, 55, 53, 51, 49, 47, 45, 43, 41, 39, 37, 35, 33, 31, 29, 27, 25,
                                         23, 21, 19, 17, 15, 13, 11, 9, 7, 5, 3, 1);
    __m512i a[PARTS], b[PARTS];
    split(lo, a);
    split(hi, b);
    for (int p = 0; p < PARTS; p++) _mm512_storeu_si512(to + p * TILE, _mm512_permutex2var_epi16(a[p], odd, b[p]));
}

/* A row of pairs: even in the lower halves. */
RT_INLINE void store_pairs(char *to, __m512 even, __m512 odd)
{
    __m512i a[PARTS], b[PARTS];
    split(even, a);
    split(odd, b);
    for (int p = 0; p < PARTS; p++)
        _mm512_storeu_si512(to + p * TILE, _mm512_mask_blend_epi16(0xaaaaaaaau, _mm512_srli_epi32(a[p], 16), b[p]));
}

/* Up to 32 rows of the right side, of which `rows` are there, and 32 columns, those in the masks. */
typedef struct { const float *w; ptrdiff_t ld; int rows; __mmask16 m[2]; } right_side;

static right_side columns_from(const float *w, ptrdiff_t ld, int n0, int k, int n)
{
    return (right_side){w + n0, ld, n0 < n ? k : 0, {lanes(n - n0), lanes(n - n0 - 16)}};
}

/* Pieces i .. end of its 32: half i % 2 of the pair of rows i / 2. All of its rows and columns are there if it is
 * whole. */
RT_INLINE void split_pairs(char *to, const right_side *a, const int i, const int end, const int whole)
{
    for (int q = i; q < end; q++) {
        int j = q / 2, v = q % 2;
        const float *w = a->w + 2 * j * a->ld + 16 * v;
        __m512 even = whole ? _mm512_loadu_ps(w) : _mm512_maskz_loadu_ps(2 * j < a->rows ? a->m[v] : 0, w);
        __m512 odd = whole ? _mm512_loadu_ps(w + a->ld)
                           : _mm512_maskz_loadu_ps(2 * j + 1 < a->rows ? a->m[v] : 0, w + a->ld);
        store_pairs(to + v * PARTS * TILE + j * 64, even, odd);
    }
}

static void split_first(char *to, const right_side *a) { split_pairs(to, a, 0, PIECES, 0); }

/* Tile operations that the compiler moves no load or store across: its own say nothing of memory. */
#define FENCE __asm__ volatile("" ::: "memory")
#define LOAD(tile, from) do { FENCE; _tile_loadd(tile, from, 64); FENCE; } while (0)
#define MULTIPLY(c, a, b) do { FENCE; _tile_dpbf16ps(c, a, b); FENCE; } while (0)

/* What is done while the matrix unit is busy: splitting the next step's right side. */
typedef struct { char *to; const right_side *from; } meanwhile;
enum { NOTHING, MASKED, WHOLE };

/* Group g of a step: products of the left parts in tiles 4 and 5 with one part of the right side. A product keeps the
 * matrix unit busy for 16 cycles and the rest of the core idle; a few pieces are split after each, so few that they fit
 * in the window of a core that is shared. */
RT_INLINE void part_products(const char *right, const int g, const meanwhile *m, const int kind, const int two_rows,
                             const int two_cols)
{
#define PIECE(t) \
    do { \
        if (kind) \
            split_pairs(m->to, m->from, PIECES * (4 * g + (t)) / 24, PIECES * (4 * g + (t) + 1) / 24, kind == WHOLE); \
    } while (0)
    LOAD(6, right);
    MULTIPLY(0, 4, 6);
    PIECE(0);
    if (two_rows) MULTIPLY(2, 5, 6);
    PIECE(1);
    if (two_cols) LOAD(7, right + PARTS * TILE);
    if (two_cols) MULTIPLY(1, 4, 7);
    PIECE(2);
    if (two_cols && two_rows) MULTIPLY(3, 5, 7);
    PIECE(3);
}

RT_INLINE void load_left(const char *left, const int two_rows)
{
    LOAD(4, left);
    if (two_rows) LOAD(5, left + PARTS * TILE);
}

/* A step: tiles 0 .. 3 += left right, the small parts first. */
RT_INLINE void step(const char *left, const char *right, const meanwhile *m, const int kind, const int two_rows,
                    const int two_cols)
{
    load_left(left + 2 * TILE, two_rows);
    part_products(right, 0, m, kind, two_rows, two_cols);
    load_left(left + TILE, two_rows);
    part_products(right + TILE, 1, m, kind, two_rows, two_cols);
    part_products(right, 2, m, kind, two_rows, two_cols);
    load_left(left, two_rows);
    part_products(right + 2 * TILE, 3, m, kind, two_rows, two_cols);
    part_products(right + TILE, 4, m, kind, two_rows, two_cols);
    part_products(right, 5, m, kind, two_rows, two_cols);
}

RT_INLINE void zero_tiles(void)
{
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
}

RT_INLINE void store_tiles(float *c, const int two_rows, const int two_cols)
{
    _tile_stored(0, c, COLS * sizeof *c);
    if (two_cols) _tile_stored(1, c + 16, COLS * sizeof *c);
    if (two_rows) _tile_stored(2, c + 16 * COLS, COLS * sizeof *c);
    if (two_rows && two_cols) _tile_stored(3, c + 16 * COLS + 16, COLS * sizeof *c);
}

/* c (32 x 32) = left w. buffer holds the right side of two steps, that of the first in half *at. After the last step
 * that of `after`, the columns that follow, is in half *at. */
RT_INLINE void block_split(float *c, const char *left, right_side w, int k, const right_side *after, char *buffer,
                           int *at, const int two_rows, const int two_cols)
{
    zero_tiles();
    for (; k > 0; k -= STEP, left += LEFT) {
        const char *right = buffer + *at * RIGHT;
        *at ^= 1;
        w.w += STEP * w.ld;
        w.rows = k - STEP;
        meanwhile m = {buffer + *at * RIGHT, k > STEP ? &w : after};
        if (m.from->rows >= STEP && m.from->m[1] == 0xffff) step(left, right, &m, WHOLE, two_rows, two_cols);
        else if (m.from->rows > 0) step(left, right, &m, MASKED, two_rows, two_cols);
        else step(left, right, NULL, NOTHING, two_rows, two_cols);
    }
    store_tiles(c, two_rows, two_cols);
}

/* The same with the right side split before. */
RT_INLINE void block_packed(float *c, const char *left, const char *right, size_t right_step, int k, const int two_rows,
                            const int two_cols)
{
    zero_tiles();
    for (; k > 0; k -= STEP, left += LEFT, right += right_step) step(left, right, NULL, NOTHING, two_rows, two_cols);
    store_tiles(c, two_rows, two_cols);
}

/* y (rows, n), up to 32 x 32, = act(start + c) with start what is there, bias or 0. */
typedef struct { float *y; ptrdiff_t ld; const float *bias; int rows, n, accumulate; rt_act act; } result;

RT_INLINE void finish(const result *a, const float *c)
{
    for (int v = 0; v < a->n; v += 16) {
        __mmask16 m = lanes(a->n - v);
        float *y = a->y + v;
        __m512 start = a->bias ? _mm512_maskz_loadu_ps(m, a->bias + v) : _mm512_setzero_ps();
        for (int r = 0; r < a->rows; r++, y += a->ld) {
            __m512 q = _mm512_add_ps(_mm512_load_ps(c + r * COLS + v),
                                     a->accumulate ? _mm512_maskz_loadu_ps(m, y) : start);
            if (a->act) q = _mm512_max_ps(_mm512_setzero_ps(), q);
            if (a->act == RT_ACT_RELU6) q = _mm512_min_ps(_mm512_set1_ps(6.0f), q);
            _mm512_mask_storeu_ps(y, m, q);
        }
    }
}

/* Rows of x in tiles of the left side. */
static void split_rows(char *left, const float *x, ptrdiff_t ld, int rows, int k)
{
    for (int s = 0; s < k; s += STEP, left += LEFT)
        for (int r = 0; r < (rows + 15) / 16 * 16; r++) {
            const float *row = x + (r < rows ? r : 0) * ld + s;
            store_left(left + r / 16 * PARTS * TILE + r % 16 * 64,
                       _mm512_maskz_loadu_ps(r < rows ? lanes(k - s) : 0, row),
                       _mm512_maskz_loadu_ps(r < rows ? lanes(k - s - 16) : 0, row + 16));
        }
}

/* x transposed, so that its k columns, 32 at most, are rows of the left side: steps of rows of x. */
static void split_columns(char *left, const float *x, ptrdiff_t ld, int rows, int k)
{
    for (int s = 0; s < rows; s += STEP, left += LEFT)
        for (int i0 = 0; i0 < k; i0 += 16) {
            __m512 lo[16], hi[16];
            for (int i = 0; i < 16; i++) {
                lo[i] = s + i < rows ? _mm512_maskz_loadu_ps(lanes(k - i0), x + (s + i) * ld + i0)
                                     : _mm512_setzero_ps();
                hi[i] = s + i + 16 < rows ? _mm512_maskz_loadu_ps(lanes(k - i0), x + (s + i + 16) * ld + i0)
                                          : _mm512_setzero_ps();
            }
            v_transpose(lo);
            v_transpose(hi);
            for (int i = 0; i < 16; i++) store_left(left + i0 / 16 * PARTS * TILE + i * 64, lo[i], hi[i]);
        }
}

void rt_amx_product(const rt_conv_line *a)
{
    _Alignas(64) char left[STEPS_MOST * LEFT], buffer[2 * RIGHT];
    _Alignas(64) float c[ROWS * COLS];
    tiles_on();
    for (int r0 = 0; r0 < a->px; r0 += ROWS)
        for (int k0 = 0; k0 < a->klen; k0 += STEPS_MOST * STEP) {
            int k = at_most(a->klen - k0, STEPS_MOST * STEP), rows = at_most(a->px - r0, ROWS), at = 0;
            const float *w = a->w + k0 * a->w_ld;
            split_rows(left, a->x + r0 * a->x_px + k0, a->x_px, rows, k);
            right_side now = columns_from(w, a->w_ld, 0, k, a->n);
            split_first(buffer, &now);
            for (int n0 = 0; n0 < a->n; n0 += COLS) {
                result y = {a->y + r0 * a->y_px + n0,
                            a->y_px,
                            a->bias ? a->bias + n0 : NULL,
                            rows,
                            at_most(a->n - n0, COLS),
                            a->accumulate || k0,
                            k0 + k == a->klen ? a->act : RT_ACT_NONE};
                right_side after = columns_from(w, a->w_ld, n0 + COLS, k, a->n);
                if (rows > 16 && y.n > 16) block_split(c, left, now, k, &after, buffer, &at, 1, 1);
                else if (rows > 16) block_split(c, left, now, k, &after, buffer, &at, 1, 0);
                else block_split(c, left, now, k, &after, buffer, &at, 0, 1);
                finish(&y, c);
                now = after;
            }
        }
    _tile_release();
}

static size_t tiles_of(int n) { return ((size_t)n + 15) / 16; }

size_t rt_amx_product_bytes(int rows, int n) { return ((size_t)rows + STEP - 1) / STEP * tiles_of(n) * PARTS * TILE; }

void rt_amx_product_pack(void *packed, const float *dy, ptrdiff_t ld, int row0, int row1, int rows, int n)
{
    int end = row1 < rows ? row1 : (rows + STEP - 1) / STEP * STEP;      /* rows that are not there become zeros */
    for (int s = row0 / STEP; s * STEP < end; s++)
        for (int c = 0; c < n; c += 16) {
            char *tile = (char *)packed + ((size_t)s * tiles_of(n) + (size_t)(c / 16)) * PARTS * TILE;
            __mmask16 m = lanes(n - c);
            for (int j = at_least(row0 / 2, 16 * s); j < at_most((end + 1) / 2, 16 * (s + 1)); j++) {
                const float *row = dy + 2 * j * ld + c;
                int even = 2 * j >= row0, odd = 2 * j + 1 < end;
                char *to = tile + j % 16 * 64;
                __m512i old[PARTS];
                for (int p = 0; p < PARTS; p++) old[p] = _mm512_loadu_si512(to + p * TILE);
                store_pairs(to, _mm512_maskz_loadu_ps(even && 2 * j < rows ? m : 0, row),
                            _mm512_maskz_loadu_ps(odd && 2 * j + 1 < rows ? m : 0, row + ld));
                if (even && odd) continue;
                for (int p = 0; p < PARTS; p++)                          /* the pair's other half stays */
                    _mm512_storeu_si512(to + p * TILE,
                                        _mm512_mask_blend_epi16(even ? 0xaaaaaaaau : 0x55555555u,
                                                                _mm512_loadu_si512(to + p * TILE), old[p]));
            }
        }
}

void rt_amx_product_dw(const rt_conv_dw *a, const void *packed)
{
    _Alignas(64) char left[STEPS_MOST * LEFT];
    _Alignas(64) float c[ROWS * COLS];
    size_t right_step = tiles_of(a->n) * PARTS * TILE;
    tiles_on();
    for (int k0 = 0; k0 < a->klen; k0 += ROWS)
        for (int p0 = 0; p0 < a->px; p0 += STEPS_MOST * STEP) {
            int px = at_most(a->px - p0, STEPS_MOST * STEP), rows = at_most(a->klen - k0, ROWS);
            split_columns(left, a->x + p0 * a->x_px + k0, a->x_px, px, rows);
            for (int n0 = 0; n0 < a->n; n0 += COLS) {
                const char *right = (const char *)packed + (size_t)(p0 / STEP) * right_step +
                                    (size_t)(n0 / 16) * PARTS * TILE;
                result dw = {a->dw + k0 * a->dw_ld + n0, a->dw_ld,   NULL, rows, at_most(a->n - n0, COLS),
                             p0 || !a->overwrite,        RT_ACT_NONE};
                if (rows > 16 && dw.n > 16) block_packed(c, left, right, right_step, px, 1, 1);
                else if (rows > 16) block_packed(c, left, right, right_step, px, 1, 0);
                else if (dw.n > 16) block_packed(c, left, right, right_step, px, 0, 1);
                else block_packed(c, left, right, right_step, px, 0, 0);
                finish(&dw, c);
            }
        }
    _tile_release();
}
