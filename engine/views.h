/* engine/views.h - how rows of data become the rows of a graph's inputs: raw values of any type, normalised, in a view
 * that (seed, epoch, row) decides, so that whoever is shown it sees the very same one. All of it is plain data, which a
 * device can read.
 *
 *   flip   mirror left-right with probability 1/2
 *   shift  move by up to this many pixels each way; what comes in from outside is 0 in raw units
 *   erase  with this probability, a rectangle of 2 % to 33 % of the area becomes the mean (Zhong et al. 2020)
 * An image of another size is then brought to the input's: bilinear as PyTorch has it with align_corners=False and
 * without antialias, then a part of it is cut out. Pixel i of a side of n, made of m, lies at s = max(0, (i + 1/2) m /
 * n
 * - 1/2) and is (1 - t) a[floor(s)] + t a[min(floor(s) + 1, m - 1)], t = s - floor(s); first along rows, then along
 * columns, of raw values, which are not rounded. So a view is drawn for the data's image, and all see the same one.
 * And a mixture lambda x + (1 - lambda) x' of each row with another one (mixup, Zhang et al. 2018). */
#ifndef RT_ENGINE_VIEWS_H
#define RT_ENGINE_VIEWS_H

#include <stddef.h>
#include <stdint.h>

#include "engine/types.h"

/* How images of (from_h, from_w) become the input's: resized to (to_h, to_w), of which (top, left) is the first pixel
 * that is kept. from_h 0: they are the input's as they are. */
typedef struct { int from_h, from_w, to_h, to_w, top, left; } rt_resize;

/* An input: its row, where its elements lie in a raw row, and their normalisation x' = (x + add[c]) mul[c]. */
typedef struct {
    const char *name;
    rt_shape shape;
    size_t size;                   /* elements */
    rt_dtype type;
    size_t at, bytes;              /* of a raw row: where its elements begin, how long it is */
    const int *pick;               /* (size) which of the raw elements each is; NULL: as they come */
    int channels;                  /* 1 or the last dimension */
    const float *mul, *add;
    int ids;                       /* they become int32, neither normalised nor moved nor mixed; -1: no id */
    rt_resize resize;
} rt_row_desc;

typedef struct {
    int flip, shift;
    double erase;
    const char *input;             /* the name of the one that it is for; NULL: any */
} rt_view_desc;

/* A batch of raw rows. Rows first to first + rows are asked for; what a device adds to fill it is 0. */
typedef struct {
    const void *raw;
    int first, rows;
    const uint64_t *row;           /* their numbers, from 0 on as raw is; NULL: nobody asks for them */
    const rt_view_desc *view;      /* NULL: as they are */
    uint64_t seed;
    uint32_t epoch;
    const int *partner;            /* the row of raw that each is mixed with; NULL: no mixture */
    float lambda;
} rt_feed;

/* A view of one row: mirrored; pixel (y, x) shows (y + dy, x + dx) of that; the rectangle of (eh, ew) pixels whose
 * first is (ey, ex) is the mean. */
typedef struct { int flip, dy, dx, ey, ex, eh, ew; } rt_view_draw;
/* Whether the feed shows other views of this input's rows than the rows themselves. */
int rt_view_moves(const rt_row_desc *, const rt_feed *);
/* The view of row i of raw, by its number; the feed has a view. */
rt_view_draw rt_view_of(const rt_row_desc *, const rt_feed *, int i);

/* Rows [row0, row0 + n) of those asked for into dst (n, size), floats or of ids int32. Thread-safe. */
void rt_rows_fill(const rt_row_desc *, const rt_feed *, float *dst, int row0, int n);
/* One raw row before normalisation. */
void rt_rows_raw(const rt_row_desc *, float *dst, const void *row);
#endif
