#include "data/grid.h"

#include <string.h>

void rt_grid_init(rt_grid *g, const rt_h5_dataset *d)
{
    size_t one = d->element;
    *g = (rt_grid){.rank = d->rank, .element = one, .row_bytes = one, .chunk_bytes = one, .per = 1};
    for (int k = 0; k < d->rank; k++) {
        g->dim[k] = d->dim[k];
        g->chunk_dim[k] = d->chunk_dim[k];
        g->chunks[k] = d->dim[k] / d->chunk_dim[k] + (d->dim[k] % d->chunk_dim[k] != 0);
        g->chunk_bytes *= d->chunk_dim[k];
        if (k) {
            g->row_bytes *= d->dim[k];
            g->per *= g->chunks[k];
            if (d->chunk_dim[k] != d->dim[k]) g->cut = k;
        }
    }
    g->whole = g->cut == 0;
    g->block_rows = d->chunk_dim[0];
    g->blocks = g->chunks[0];
    size_t from = g->element, to = g->element;
    for (int k = g->rank - 1; k >= 0; k--) {
        g->from[k] = from;
        g->to[k] = to;
        from *= g->chunk_dim[k];
        to *= g->dim[k];
    }
}

void rt_fill(char *dst, size_t n, const unsigned char *fill, size_t element)
{
    int differ = 0;
    for (size_t i = 1; i < element && element <= 8; i++) differ |= fill[i] != fill[0];
    if (!differ) {
        memset(dst, element > 8 ? 0 : fill[0], n);
        return;
    }
    size_t done = element < n ? element : n;
    memcpy(dst, fill, done);
    while (done < n) {                                /* what is there doubles */
        size_t more = done < n - done ? done : n - done;
        memcpy(dst + done, dst, more);
        done += more;
    }
}

/* n pieces of `bytes`, from_step and to_step apart. Short ones are what chunks cut in all dimensions consist of. */
static void copy_pieces(char *dst, size_t to_step, const char *src, size_t from_step, uint64_t n, size_t bytes)
{
#define PIECES(T) \
    for (; n; n--, dst += to_step, src += from_step) { \
        T first, last; \
        memcpy(&first, src, sizeof first); \
        memcpy(&last, src + bytes - sizeof last, sizeof last); \
        memcpy(dst, &first, sizeof first); \
        memcpy(dst + bytes - sizeof last, &last, sizeof last); \
    }
    typedef struct { uint64_t half[2]; } pair;
    if (bytes == 1) PIECES(uint8_t)
    else if (bytes < 4) PIECES(uint16_t)              /* two that overlap make 3 */
    else if (bytes < 8) PIECES(uint32_t)
    else if (bytes < 16) PIECES(uint64_t)
    else if (bytes <= 32) PIECES(pair)
    else for (; n; n--, dst += to_step, src += from_step) memcpy(dst, src, bytes);
#undef PIECES
}

static void fill_pieces(char *dst, size_t to_step, uint64_t n, size_t bytes, const unsigned char *fill, size_t element)
{
    for (; n; n--, dst += to_step) rt_fill(dst, bytes, fill, element);
}

/* One chunk's part of the rows. at: its first index in each dimension; src: row `first` of the chunk, or NULL. */
static void place(const rt_grid *g, char *dst, uint64_t rows, const char *src, const uint64_t *at,
                  const unsigned char *fill)
{
    uint64_t extent[RT_H5_RANK], i[RT_H5_RANK] = {0};
    int cut = g->cut, inner = 0;                      /* the loop inside: over rows, or the dimension before the cut */
    for (int k = 1; k <= cut; k++) {
        extent[k] = g->dim[k] - at[k] < g->chunk_dim[k] ? g->dim[k] - at[k] : g->chunk_dim[k];
        dst += at[k] * g->to[k];
    }
    extent[0] = rows;
    if (cut > 1 && extent[cut - 1] > rows) inner = cut - 1;
    size_t bytes = cut ? extent[cut] * g->to[cut] : g->row_bytes;
    for (;;) {
        char *to = dst;
        const char *from = src;
        for (int k = 0; k < cut || k == 0; k++) {
            to += i[k] * g->to[k];
            if (src) from += i[k] * g->from[k];
        }
        if (src) copy_pieces(to, g->to[inner], from, g->from[inner], extent[inner], bytes);
        else fill_pieces(to, g->to[inner], extent[inner], bytes, fill, g->element);
        int k = cut - 1;
        for (; k >= 0; k--) {
            if (k == inner) continue;
            if (++i[k] < extent[k]) break;
            i[k] = 0;
        }
        if (k < 0) return;
    }
}

void rt_grid_gather(const rt_grid *g, char *dst, uint64_t first, uint64_t rows, const char *const *chunk, uint64_t from,
                    uint64_t to, const unsigned char *fill)
{
    uint64_t at[RT_H5_RANK] = {0}, rest = from;
    if (!g->row_bytes || !rows) return;
    for (int k = g->rank - 1; k > 0; k--) {
        at[k] = rest % g->chunks[k] * g->chunk_dim[k];
        rest /= g->chunks[k];
    }
    for (uint64_t i = from; i < to; i++) {
        const char *src = chunk[i - from];
        place(g, dst, rows, src ? src + first * g->from[0] : NULL, at, fill);
        for (int k = g->rank - 1; k > 0; k--) {
            if ((at[k] += g->chunk_dim[k]) < g->dim[k]) break;
            at[k] = 0;
        }
    }
}
