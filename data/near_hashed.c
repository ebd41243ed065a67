/* data/near_hashed.c - the hashed way of data/near.h. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "data/near_parts.h"
#include "engine/digest.h"
#include "engine/dots.h"
#include "engine/rng.h"

/* Signs of a table; rows that are compared with each other, at most; rows that a prefix leaves together, about. */
enum { SIGNS = 64, GROUP = 256, SHARED = 32, TILE = 1024 };

/* A row of x, or with `from` of the others. */
typedef struct { uint64_t signs; uint32_t row; uint8_t other, bits; } signed_row;
/* Rows [first, first + count) of an order; bits: of the prefix that they share, SIGNS + 1 where no prefix parts them.
 */
typedef struct { uint32_t first, count; int bits; } group;

typedef struct {
    rt_near_job *q;
    uint64_t all;                      /* rows of x that are looked at, and the others */
    int sets;                          /* 2: the others are a set of their own */
    double *mean;                      /* (D) */
    float *plane;                      /* (D, SIGNS) */
    float offset[SIGNS];               /* of the mean */
    signed_row *list;                  /* (all) */
    group *groups;
    uint64_t count, room;              /* groups */
    uint32_t *same;                    /* (rows) with `within`: the first row that equals it, itself where none does */
    float *apart;                      /* (rows) chance that one sign parts it from another within reach */
    float *missed;                     /* (rows) chance that no table so far has both in one group */
    float *scratch;                    /* (threads, each) */
    size_t each;
} hashed;

static int threads_of(const rt_near_spec *s) { return s->pool ? rt_pool_threads(s->pool) : 1; }

static void run(const rt_near_spec *s, uint64_t tiles, void (*fn)(void *, int, int), void *arg)
{
    if (s->pool) rt_pool_run(s->pool, (int)tiles, fn, arg);
    else for (uint64_t t = 0; t < tiles; t++) fn(arg, (int)t, 0);
}

/* ---- rows ---- */

static const float *row_of(const hashed *h, const signed_row *r)
{
    return (r->other ? h->q->o : h->q->s->x) + (uint64_t)r->row * (uint64_t)h->q->s->width;
}

/* The mean of all rows, and how easily a sign parts a row at distance r of it from one within reach w: the angle
 * between them is at most asin(w / r), and a plane lies between them with the probability angle / pi. */
static void find_mean(hashed *h)
{
    const rt_near_spec *s = h->q->s;
    uint64_t width = (uint64_t)s->width, n = s->rows + (h->sets > 1 ? s->others : 0);
    for (uint64_t r = 0; r < s->rows; r++)
        for (uint64_t i = 0; i < width; i++) h->mean[i] += (double)s->x[r * width + i];
    for (uint64_t r = 0; r < s->others && h->sets > 1; r++)
        for (uint64_t i = 0; i < width; i++) h->mean[i] += (double)h->q->o[r * width + i];
    for (uint64_t i = 0; i < width; i++) h->mean[i] /= (double)n;
    if (!isfinite(s->within)) return;
    for (uint64_t r = 0; r < s->rows; r++) {
        double sum = 0;
        for (uint64_t i = 0; i < width; i++) {
            double d = (double)s->x[r * width + i] - h->mean[i];
            sum += d * d;
        }
        sum = sqrt(sum);
        h->apart[r] = sum > s->within ? (float)(asin(s->within / sum) / acos(-1)) : 1;
        h->missed[r] = 1;
    }
}

typedef struct { uint64_t key; uint32_t row; } keyed;

static int by_key(const void *a, const void *b)
{
    const keyed *x = a, *y = b;
    if (x->key != y->key) return x->key < y->key ? -1 : 1;
    return x->row < y->row ? -1 : x->row > y->row;
}

/* Rows that are equal to the byte are one row in the orders, however many they are. */
static rt_status find_same(hashed *h)
{
    const rt_near_spec *s = h->q->s;
    size_t bytes = (size_t)s->width * sizeof *s->x;
    keyed *k = malloc((s->rows + 1) * sizeof *k);
    if (!k) return rt_fail(RT_RUN, "out of memory");
    for (uint64_t r = 0; r < s->rows; r++) {
        char half[17] = "";
        memcpy(half, rt_digest_of(s->x + r * (uint64_t)s->width, bytes).hex, 16);
        k[r] = (keyed){strtoull(half, NULL, 16), (uint32_t)r};
        h->same[r] = (uint32_t)r;
    }
    qsort(k, s->rows, sizeof *k, by_key);
    for (uint64_t i = 1; i < s->rows; i++) {
        uint32_t first = h->same[k[i - 1].row], row = k[i].row;
        if (k[i].key == k[i - 1].key &&
            !memcmp(s->x + (uint64_t)first * (uint64_t)s->width, s->x + (uint64_t)row * (uint64_t)s->width, bytes))
            h->same[row] = first;
    }
    free(k);
    return rt_check_stop();
}

static void list_rows(hashed *h)
{
    const rt_near_spec *s = h->q->s;
    h->all = 0;
    for (uint64_t r = 0; r < s->rows; r++)
        if (!h->same || h->same[r] == r) h->list[h->all++] = (signed_row){.row = (uint32_t)r};
    for (uint64_t r = 0; r < s->others && h->sets > 1; r++)
        h->list[h->all++] = (signed_row){.row = (uint32_t)r, .other = 1};
}

/* ---- orders ---- */

/* Sums in the order of the columns, a lane each plane: the same signs on every CPU. */
static void sign_rows(void *arg, int tile, int thread)
{
    hashed *h = arg;
    uint64_t first = (uint64_t)tile * TILE, width = (uint64_t)h->q->s->width;
    (void)thread;
    for (uint64_t r = first; r < h->all && r < first + TILE; r++) {
        const float *x = row_of(h, &h->list[r]);
        float sum[SIGNS] = {0};
        for (uint64_t i = 0; i < width; i++)
            for (int p = 0; p < SIGNS; p++) sum[p] += x[i] * h->plane[i * SIGNS + (uint64_t)p];
        uint64_t signs = 0;
        for (int p = 0; p < SIGNS; p++) signs = signs << 1 | (sum[p] >= h->offset[p]);
        h->list[r].signs = signs;
    }
}

static int by_signs(const void *a, const void *b)
{
    const signed_row *x = a, *y = b;
    if (x->signs != y->signs) return x->signs < y->signs ? -1 : 1;
    if (x->other != y->other) return x->other < y->other ? -1 : 1;
    return x->row < y->row ? -1 : x->row > y->row;
}

static rt_status add_group(hashed *h, uint64_t first, uint64_t count, int bits)
{
    if (h->count == h->room) {
        uint64_t room = h->room ? 2 * h->room : 1024;
        group *more = realloc(h->groups, room * sizeof *more);
        if (!more) return rt_fail(RT_RUN, "out of memory");
        h->groups = more;
        h->room = room;
    }
    h->groups[h->count++] = (group){(uint32_t)first, (uint32_t)count, bits};
    return RT_OK;
}

/* Rows of one prefix of `bits` signs are a group when they are few enough, or parted by the next sign. */
static rt_status part(hashed *h, uint64_t first, uint64_t end, int bits, int least)
{
    if (end - first < 2) return RT_OK;
    if (bits >= least && end - first <= GROUP) return add_group(h, first, end - first, bits);
    if (bits == SIGNS) {
        for (; end - first > GROUP; first += GROUP / 2) RT_TRY(add_group(h, first, GROUP, SIGNS + 1));
        return add_group(h, first, end - first, SIGNS + 1);
    }
    uint64_t low = first, high = end, sign = (uint64_t)1 << (SIGNS - 1 - bits);
    while (low < high) {
        uint64_t middle = low + (high - low) / 2;
        if (h->list[middle].signs & sign) high = middle;
        else low = middle + 1;
    }
    RT_TRY(part(h, first, low, bits + 1, least));
    return part(h, low, end, bits + 1, least);
}

/* Which rows are compared: with a reach, those of one prefix, as long as leaves about SHARED rows together; without
 * one, so many side by side, whatever their signs. */
static rt_status make_groups(hashed *h)
{
    int least = 0;
    h->count = 0;
    if (isfinite(h->q->s->within)) {
        while (least < SIGNS - 1 && h->all >> (least + 1) >= SHARED) least++;
        return part(h, 0, h->all, 0, least);
    }
    uint64_t first = 0;
    for (; h->all - first > GROUP; first += GROUP / 2) RT_TRY(add_group(h, first, GROUP, SIGNS + 1));
    return h->all > first ? add_group(h, first, h->all - first, SIGNS + 1) : RT_OK;
}

/* ---- comparing ---- */

/* Row a of the group against all of it; norm: (1 - E) |o|^2 of the others. */
static void compare_row(hashed *h, const signed_row *list, int n, int a, const float *dots, const float *norm)
{
    uint64_t i = list[a].row;
    float limit = (float)rt_near_limit(h->q, i, i);
    for (int b = 0; b < n; b++) {
        if (norm[b] - 2 * dots[b] > limit || list[b].other != (h->sets > 1)) continue;
        rt_near_measure(h->q, i, i, list[b].row);
        limit = (float)rt_near_limit(h->q, i, i);
    }
}

static void compare_group(hashed *h, const group *g, float *x)
{
    rt_near_job *q = h->q;
    uint64_t width = (uint64_t)q->s->width;
    const signed_row *list = h->list + g->first;
    int n = (int)g->count;
    float *dots = x + GROUP * width, norm[GROUP], less = (float)(1 - q->error);
    for (int r = 0; r < n; r++) {
        memcpy(x + (uint64_t)r * width, row_of(h, &list[r]), width * sizeof *x);
        norm[r] = less * (list[r].other || h->sets == 1 ? q->o_norm[list[r].row] : 0);
    }
    rt_dots(dots, GROUP, x, n, x, n, q->s->width);
    for (int a = 0; a < n; a++) {
        uint64_t i = list[a].row;
        if (list[a].other) continue;
        compare_row(h, list, n, a, dots + a * GROUP, norm);
        if (h->missed && g->bits <= SIGNS) h->missed[i] *= (float)(1 - pow(1 - (double)h->apart[i], g->bits));
    }
}

/* Groups of a tile: every second one, as neighbours may have rows in common. */
typedef struct { hashed *h; uint64_t first; int odd; } turn;

enum { GROUPS = 16 };

static void compare_tile(void *arg, int tile, int thread)
{
    const turn *t = arg;
    hashed *h = t->h;
    uint64_t from = t->first + (uint64_t)tile * 2 * GROUPS + (uint64_t)t->odd * GROUPS;
    for (uint64_t g = from; g < from + GROUPS && g < h->count; g++)
        compare_group(h, &h->groups[g], h->scratch + (size_t)thread * h->each);
}

static rt_status compare_groups(hashed *h)
{
    const rt_near_spec *s = h->q->s;
    uint64_t piece = 64;                                /* tiles between which it can be stopped */
    for (uint64_t first = 0; first < h->count; first += piece * 2 * GROUPS) {
        for (int odd = 0; odd < 2; odd++) {
            turn t = {h, first, odd};
            uint64_t tiles = (h->count - first + 2 * GROUPS - 1) / (2 * GROUPS);
            run(s, tiles < piece ? tiles : piece, compare_tile, &t);
        }
        RT_TRY(rt_check_stop());
    }
    return RT_OK;
}

static rt_status add_table(hashed *h, int table)
{
    const rt_near_spec *s = h->q->s;
    uint64_t width = (uint64_t)s->width;
    rt_normal(h->plane, width * SIGNS, s->seed, RT_RNG_NEAR, (uint32_t)table);
    for (int p = 0; p < SIGNS; p++) {
        double sum = 0;
        for (uint64_t i = 0; i < width; i++) sum += h->mean[i] * (double)h->plane[i * SIGNS + (uint64_t)p];
        h->offset[p] = (float)sum;
    }
    run(s, (h->all + TILE - 1) / TILE, sign_rows, h);
    RT_TRY(rt_check_stop());
    qsort(h->list, h->all, sizeof *h->list, by_signs);
    RT_TRY(make_groups(h));
    RT_TRY(compare_groups(h));
    h->q->to->tables = table + 1;
    return RT_OK;
}

/* Of all rows alike, a copy's chance being 1. */
static double bound_of(const hashed *h)
{
    const rt_near_spec *s = h->q->s;
    double sum = 0;
    for (uint64_t r = 0; r < s->rows; r++) sum += h->same[r] == r ? (double)h->missed[r] : 0;
    return 1 - sum / (double)s->rows;
}

/* What is found of a row is true of those that equal it; within one set they are each other's nearest. */
static void copy_answers(hashed *h)
{
    const rt_near_spec *s = h->q->s;
    uint64_t k = (uint64_t)s->k;
    for (uint64_t r = 0; r < s->rows; r++) {
        uint64_t first = h->same[r];
        if (first == r) continue;
        if (!s->o) rt_near_measure(h->q, r, r, first);
        for (uint64_t i = 0; i < k && h->q->to->row[first * k + i] != RT_NEAR_NONE; i++)
            rt_near_measure(h->q, r, r, h->q->to->row[first * k + i]);
    }
}

static rt_status make_tables(hashed *h)
{
    const rt_near_spec *s = h->q->s;
    int reach = isfinite(s->within), most = reach ? RT_NEAR_TABLES : s->tables;
    find_mean(h);
    if (reach) RT_TRY(find_same(h));
    list_rows(h);
    for (int t = 0; t < most; t++) {
        RT_TRY(add_table(h, t));
        if (reach) h->q->to->bound = bound_of(h);
        rt_progress_update(s->progress, "tables", t + 1, most, 0, "tables", "");
        if (reach && h->q->to->bound >= s->recall) break;
    }
    if (reach) copy_answers(h);
    return RT_OK;
}

rt_status rt_near_hashed(rt_near_job *q)
{
    const rt_near_spec *s = q->s;
    hashed h = {.q = q, .sets = s->o ? 2 : 1};
    size_t width = (size_t)s->width, reach = isfinite(s->within);
    h.each = GROUP * (width + GROUP);
    h.mean = calloc(width, sizeof *h.mean);
    h.plane = malloc(width * SIGNS * sizeof *h.plane);
    h.list = malloc((s->rows + (s->o ? s->others : 0) + 1) * sizeof *h.list);
    h.scratch = malloc((size_t)threads_of(s) * h.each * sizeof *h.scratch);
    if (reach) {
        h.same = malloc((s->rows + 1) * sizeof *h.same);
        h.apart = malloc((s->rows + 1) * sizeof *h.apart);
        h.missed = malloc((s->rows + 1) * sizeof *h.missed);
    }
    int there = h.mean && h.plane && h.list && h.scratch && (!reach || (h.same && h.apart && h.missed));
    rt_status st = there ? make_tables(&h)
                         : rt_fail(RT_RUN, "out of memory for %llu rows", (unsigned long long)s->rows);
    void *owned[] = {h.mean, h.plane, h.list, h.groups, h.same, h.apart, h.missed, h.scratch};
    for (size_t i = 0; i < sizeof owned / sizeof owned[0]; i++) free(owned[i]);
    return st;
}
