#include "experiments/eval/agreement.h"

#include <math.h>
#include <stdlib.h>

typedef struct { double v; size_t i; } item;

static int by_value(const void *a, const void *b)
{
    const item *p = a, *q = b;
    if (p->v != q->v) return p->v < q->v ? -1 : 1;
    return p->i < q->i ? -1 : 1;
}

/* Falling, of equal ones the first. */
static int by_size(const void *a, const void *b)
{
    const item *p = a, *q = b;
    if (p->v != q->v) return p->v > q->v ? -1 : 1;
    return p->i < q->i ? -1 : 1;
}

static void put_ranks(double *rank, const float *v, size_t n, item *room)
{
    for (size_t i = 0; i < n; i++) room[i] = (item){(double)v[i], i};
    qsort(room, n, sizeof *room, by_value);
    for (size_t i = 0, end; i < n; i = end) {
        for (end = i + 1; end < n && room[end].v == room[i].v; end++) {}
        for (size_t k = i; k < end; k++) rank[room[k].i] = (double)(i + end - 1) / 2;
    }
}

static double pearson(const double *a, const double *b, size_t n)
{
    double ma = 0, mb = 0, aa = 0, bb = 0, ab = 0;
    for (size_t i = 0; i < n; i++) {
        ma += a[i] / (double)n;
        mb += b[i] / (double)n;
    }
    for (size_t i = 0; i < n; i++) {
        aa += (a[i] - ma) * (a[i] - ma);
        bb += (b[i] - mb) * (b[i] - mb);
        ab += (a[i] - ma) * (b[i] - mb);
    }
    return aa > 0 && bb > 0 ? ab / sqrt(aa * bb) : (double)NAN;
}

static double cosine_of(const float *a, const float *b, size_t n)
{
    double aa = 0, bb = 0, ab = 0;
    for (size_t i = 0; i < n; i++) {
        aa += (double)a[i] * (double)a[i];
        bb += (double)b[i] * (double)b[i];
        ab += (double)a[i] * (double)b[i];
    }
    return aa > 0 && bb > 0 ? ab / sqrt(aa * bb) : (double)NAN;
}

static void mark_top(unsigned char *mark, int bit, const float *v, size_t n, size_t top, item *room)
{
    for (size_t i = 0; i < n; i++) room[i] = (item){fabs((double)v[i]), i};
    qsort(room, n, sizeof *room, by_size);
    for (size_t i = 0; i < top; i++) mark[room[i].i] |= (unsigned char)bit;
}

rt_status rt_agree(const float *a, const float *b, size_t n, size_t top, rt_agreement *out)
{
    double *rank = malloc((2 * n + 1) * sizeof *rank);
    item *room = malloc((n + 1) * sizeof *room);
    unsigned char *mark = calloc(n + 1, 1);
    int finite = n > 0;
    size_t both = 0;
    *out = (rt_agreement){NAN, NAN, NAN};
    for (size_t i = 0; i < n; i++) finite &= isfinite(a[i]) && isfinite(b[i]);
    if (top > n) top = n;
    rt_status st = rank && room && mark ? RT_OK : rt_fail(RT_RUN, "out of memory");
    if (!st && finite) {
        put_ranks(rank, a, n, room);
        put_ranks(rank + n, b, n, room);
        out->spearman = pearson(rank, rank + n, n);
        out->cosine = cosine_of(a, b, n);
        mark_top(mark, 1, a, n, top, room);
        mark_top(mark, 2, b, n, top, room);
        for (size_t i = 0; i < n; i++) both += mark[i] == 3;
        if (top) out->overlap = (double)both / (double)top;
    }
    free(rank);
    free(room);
    free(mark);
    return st;
}
