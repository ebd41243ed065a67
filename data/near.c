#include "data/near.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "data/near_parts.h"
#include "engine/dots.h"

enum { LANES = 8 };

double rt_near_square(const float *a, const float *b, int width)
{
    double sum[LANES] = {0};
    int i = 0;
    for (; i + LANES <= width; i += LANES)
        for (int l = 0; l < LANES; l++) {
            double d = (double)a[i + l] - (double)b[i + l];
            sum[l] += d * d;
        }
    for (int l = 0; i < width; i++, l++) {
        double d = (double)a[i] - (double)b[i];
        sum[l] += d * d;
    }
    return ((sum[0] + sum[4]) + (sum[2] + sum[6])) + ((sum[1] + sum[5]) + (sum[3] + sum[7]));
}

void rt_near_norms(float *norm, const float *x, uint64_t rows, int width)
{
    for (uint64_t r = 0; r < rows; r++) {
        const float *v = x + r * (uint64_t)width;
        double sum = 0;
        for (int i = 0; i < width; i++) sum += (double)v[i] * (double)v[i];
        norm[r] = (float)sum;
    }
}

rt_status rt_near_lists(rt_near *n, uint64_t rows, int k)
{
    size_t all = (size_t)rows * (size_t)k;
    if (rows >= RT_NEAR_NONE || (k && all / (size_t)k != rows) || all > SIZE_MAX / sizeof *n->square)
        return rt_fail(RT_RUN, "out of memory for the neighbours of %llu rows", (unsigned long long)rows);
    n->row = malloc((all + 1) * sizeof *n->row);
    n->square = malloc((all + 1) * sizeof *n->square);
    if (!n->row || !n->square)
        return rt_fail(RT_RUN, "out of memory for the neighbours of %llu rows", (unsigned long long)rows);
    for (size_t i = 0; i < all; i++) {
        n->row[i] = RT_NEAR_NONE;
        n->square[i] = INFINITY;
    }
    return RT_OK;
}

void rt_near_free(rt_near *n)
{
    free(n->row);
    free(n->square);
    *n = (rt_near){0};
}

/* ---- pairs ---- */

/* Into a list of rising (square, row), unless it is there. */
static void insert(uint32_t *row, double *square, int k, uint32_t j, double d)
{
    int at = k;
    while (at && (d < square[at - 1] || (d == square[at - 1] && j < row[at - 1]))) at--;
    if (at == k || (at && row[at - 1] == j && square[at - 1] == d)) return;
    memmove(row + at + 1, row + at, (size_t)(k - at - 1) * sizeof *row);
    memmove(square + at + 1, square + at, (size_t)(k - at - 1) * sizeof *square);
    row[at] = j;
    square[at] = d;
}

void rt_near_measure(rt_near_job *q, uint64_t at, uint64_t i, uint64_t j)
{
    const rt_near_spec *s = q->s;
    uint64_t k = (uint64_t)s->k, width = (uint64_t)s->width;
    if (!s->o && (i == j || (s->lower && j > i))) return;
    double d = rt_near_square(s->x + i * width, q->o + j * width, s->width);
    if (d <= s->within * s->within) insert(q->to->row + at * k, q->to->square + at * k, s->k, (uint32_t)j, d);
}

/* |x|^2 + |o|^2 - 2 x.o, off by E (|x|^2 + |o|^2) at most, is above the worst that is worth a look where
 * (1 - E) |o|^2 - 2 x.o > worst - (1 - E) |x|^2. Where numbers may overflow all pairs are measured. */
double rt_near_limit(const rt_near_job *q, uint64_t at, uint64_t i)
{
    double most = q->s->within * q->s->within, k = (double)q->to->square[(at + 1) * (uint64_t)q->s->k - 1];
    return q->large ? INFINITY : (k < most ? k : most) - (1 - q->error) * (double)q->x_norm[i] + 1e-30;
}

void rt_near_offer(rt_near_job *q, uint64_t at, uint64_t i, uint64_t j, int n, const float *dots)
{
    const float less = (float)(1 - q->error), *norm = q->o_norm + j;
    float limit = (float)rt_near_limit(q, at, i);
    for (int c = 0; c < n; c++) {
        if (less * norm[c] - 2 * dots[c] > limit) continue;
        rt_near_measure(q, at, i, j + (uint64_t)c);
        limit = (float)rt_near_limit(q, at, i);
    }
}

/* ---- all pairs ---- */

typedef struct {
    rt_near_job *q;
    const uint64_t *row;               /* (count) the rows asked about; NULL: all */
    uint64_t count, first;             /* first: of this piece of rows */
    float *room;                       /* (threads) products, and rows that do not stand together */
    size_t each;
} exact;

static void compare_block(void *arg, int tile, int thread)
{
    const exact *e = arg;
    rt_near_job *q = e->q;
    const rt_near_spec *s = q->s;
    uint64_t at = e->first + (uint64_t)tile * RT_NEAR_ROWS, width = (uint64_t)s->width;
    float *dots = e->room + (size_t)thread * e->each, *own = dots + RT_NEAR_ROWS * RT_NEAR_OTHERS;
    int n = e->count - at < RT_NEAR_ROWS ? (int)(e->count - at) : RT_NEAR_ROWS;
    const float *x = e->row ? own : s->x + at * width;
    for (int r = 0; r < n && e->row; r++)
        memcpy(own + (uint64_t)r * width, s->x + e->row[at + (uint64_t)r] * width, width * sizeof *own);
    uint64_t end = s->lower && !e->row ? at + (uint64_t)n : s->others;
    for (uint64_t o = 0; o < end; o += RT_NEAR_OTHERS) {
        int m = end - o < RT_NEAR_OTHERS ? (int)(end - o) : RT_NEAR_OTHERS;
        rt_dots(dots, RT_NEAR_OTHERS, x, n, q->o + o * width, m, s->width);
        for (int r = 0; r < n; r++) {
            uint64_t i = e->row ? e->row[at + (uint64_t)r] : at + (uint64_t)r;
            rt_near_offer(q, at + (uint64_t)r, i, o, m, dots + r * RT_NEAR_OTHERS);
        }
    }
}

/* In pieces of tiles, between which it can be stopped. */
static rt_status compare_all(rt_near_job *q, const uint64_t *row, uint64_t count)
{
    const rt_near_spec *s = q->s;
    int threads = s->pool ? rt_pool_threads(s->pool) : 1, piece = 4 * threads;
    exact e = {.q = q, .row = row, .count = count};
    e.each = RT_NEAR_ROWS * (RT_NEAR_OTHERS + (size_t)(row ? s->width : 0));
    e.room = malloc((size_t)threads * e.each * sizeof *e.room);
    rt_status st = e.room ? RT_OK : rt_fail(RT_RUN, "out of memory for products of %d columns", s->width);
    for (; e.first < count && !st; e.first += (uint64_t)piece * RT_NEAR_ROWS) {
        uint64_t tiles = (count - e.first + RT_NEAR_ROWS - 1) / RT_NEAR_ROWS;
        int n = tiles < (uint64_t)piece ? (int)tiles : piece;
        if (s->pool) rt_pool_run(s->pool, n, compare_block, &e);
        else for (int t = 0; t < n; t++) compare_block(&e, t, 0);
        if (!row) rt_progress_update(s->progress, "pairs", (double)e.first, (double)count, 0, "rows", "");
        st = rt_check_stop();
    }
    free(e.room);
    return st;
}

static rt_status begin(rt_near_job *q, rt_near *n, const rt_near_spec *s, uint64_t lists)
{
    *q = (rt_near_job){.s = s, .to = n, .o = s->o ? s->o : s->x, .error = rt_dots_error(s->width)};
    *n = (rt_near){.bound = NAN};
    RT_TRY(rt_dots_begin(s->pool ? rt_pool_threads(s->pool) : 1));
    RT_TRY(rt_near_lists(n, lists, s->k));
    q->x_norm = malloc((s->rows + 1) * sizeof *q->x_norm);
    q->o_norm = s->o ? malloc((s->others + 1) * sizeof *q->o_norm) : q->x_norm;
    if (!q->x_norm || !q->o_norm) return rt_fail(RT_RUN, "out of memory");
    rt_near_norms(q->x_norm, s->x, s->rows, s->width);
    if (s->o) rt_near_norms(q->o_norm, s->o, s->others, s->width);
    for (uint64_t r = 0; r < s->rows; r++) q->large |= !(q->x_norm[r] < 1e36f);
    for (uint64_t r = 0; r < s->others && s->o; r++) q->large |= !(q->o_norm[r] < 1e36f);
    return RT_OK;
}

static void end(rt_near_job *q)
{
    if (q->o_norm != q->x_norm) free(q->o_norm);
    free(q->x_norm);
}

rt_status rt_near_find(rt_near *n, const rt_near_spec *s)
{
    rt_near_job q;
    rt_status st = begin(&q, n, s, s->rows);
    if (!st) st = s->exact ? compare_all(&q, NULL, s->rows) : rt_near_hashed(&q);
    end(&q);
    return st;
}

rt_status rt_near_some(rt_near *n, const rt_near_spec *s, const uint64_t *row, int count)
{
    rt_near_job q;
    rt_status st = begin(&q, n, s, (uint64_t)count);
    if (!st) st = compare_all(&q, row, (uint64_t)count);
    end(&q);
    return st;
}
