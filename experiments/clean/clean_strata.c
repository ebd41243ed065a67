#include "experiments/clean/clean_strata.h"

#include <stdlib.h>
#include <string.h>

#include "data/row_folds.h"
#include "engine/progress.h"
#include "engine/rng.h"

enum { BLOCK = 4096, MOST_CLASSES = 1 << 20 };

/* What is known of a class, -1 first. */
typedef struct { uint64_t rows, before, seen; rt_permutation order; } class;

typedef struct {
    rt_strata *s;
    uint64_t first, end, seed;
    int folds, room;
    class *of;                         /* (room) */
} draw;

static rt_status count(draw *d, uint64_t row, int c)
{
    (void)row;
    if (c >= d->room) {
        int room = c < 64 ? 64 : 2 * c;
        class *more = realloc(d->of, (size_t)room * sizeof *more);
        if (!more) return rt_fail(RT_RUN, "out of memory for %d classes", room);
        memset(more + d->room, 0, (size_t)(room - d->room) * sizeof *more);
        d->of = more;
        d->room = room;
    }
    d->of[c].rows++;
    return RT_OK;
}

static rt_status deal(draw *d, uint64_t row, int c)
{
    class *k = &d->of[c];
    uint64_t to = rt_permutation_at(&k->order, k->seen++) + k->before;
    d->s->fold[row] = (unsigned char)(to % (uint64_t)d->folds);
    return RT_OK;
}

static rt_status each(draw *d, const rt_targets *y, rt_status (*what)(draw *, uint64_t row, int c))
{
    uint64_t row[BLOCK];
    int32_t label[BLOCK];
    rt_status st = RT_OK;
    for (uint64_t at = d->first; at < d->end && !st; at += BLOCK) {
        int n = d->end - at < BLOCK ? (int)(d->end - at) : BLOCK;
        for (int i = 0; i < n; i++) row[i] = at + (uint64_t)i;
        st = rt_targets_read(y, row, n, label);
        for (int i = 0; i < n && !st; i++) st = what(d, row[i], label[i] < 0 ? 0 : label[i] + 1);
        if (!st) st = rt_check_stop();
    }
    return st;
}

/* Between counting and dealing. */
static rt_status settle(draw *d)
{
    uint64_t before = 0;
    rt_status st = RT_OK;
    for (int c = 0; c < d->room && !st; c++) {
        class *k = &d->of[c];
        k->before = before;
        before += k->rows;
        if (k->rows) st = rt_permutation_set(&k->order, k->rows, d->seed, RT_RNG_HELD, (uint32_t)c, 0);
        d->s->classes += c && k->rows;
        d->s->rare += c && k->rows && k->rows < (uint64_t)d->folds;
    }
    return st;
}

static rt_status draw_all(draw *d, const rt_clean_input *in, const rt_source *x)
{
    rt_head any = {.name = "y", .task = RT_TASK_CLASSES, .size = MOST_CLASSES, .names = {.count = MOST_CLASSES}};
    rt_target_where where = in->y_given ? in->y : (rt_target_where){.set = "y", .column = -1};
    rt_targets *y;
    where.only = 1;
    if (d->end - d->first < (uint64_t)d->folds)
        return rt_fail(RT_USAGE, "folds: %llu rows make no %d folds", (unsigned long long)(d->end - d->first),
                       d->folds);
    RT_TRY(rt_targets_open_head(&y, x, &where, &any, RT_MATCH_POSITION));      /* classes need no name here */
    rt_status st = each(d, y, count);
    if (!st) st = settle(d);
    if (!st) st = each(d, y, deal);
    rt_targets_close(y);
    return st;
}

rt_status rt_strata_draw(rt_strata **out, const rt_clean_input *in, const char *range, int folds, uint64_t seed)
{
    rt_x_where where = in->where;
    rt_source *x;
    rt_strata *s = *out = calloc(1, sizeof *s);
    draw d = {.s = s, .folds = folds, .seed = seed};
    if (!s) return rt_fail(RT_RUN, "out of memory");
    rt_status st = rt_x_open(&x, &where);
    if (!st) {
        s->rows = rt_source_rows(x);
        s->fold = malloc(s->rows + 1);
        if (!s->fold) st = rt_fail(RT_RUN, "out of memory for the folds of all rows");
        else memset(s->fold, RT_NO_FOLD, s->rows);
        if (!st) st = rt_parse_range(range, s->rows, &d.first, &d.end);
        if (!st) st = draw_all(&d, in, x);
        if (!st) s->digest = rt_digest_of(s->fold, s->rows);
        rt_source_close(x);
    }
    for (int c = 0; c < d.room; c++) rt_permutation_free(&d.of[c].order);
    free(d.of);
    if (st) {
        rt_strata_free(s);
        *out = NULL;
    }
    return st;
}

void rt_strata_free(rt_strata *s)
{
    if (s) free(s->fold);
    free(s);
}

rt_status rt_strata_save(const rt_strata *s, const char *path)
{
    rt_h5_item it = {.name = "fold", .type = RT_U8, .element = 1, .rank = 1, .dim = {s->rows}, .data = s->fold,
                     .note = "about", .said = "fold of each row, 255: none"};
    int there;
    RT_TRY(rt_file_there(path, &there));
    if (there) {
        rt_h5_file *f;
        rt_status st = rt_h5_scan(&f, path);
        int ours = !st && f->sets == 1 && rt_h5_find(f, "fold");
        if (!st) rt_h5_close(f);
        if (st == RT_RUN || st == RT_INTERRUPTED) return st;
        if (!ours)
            return rt_fail(RT_USAGE, "%s: is there and holds no folds; move it away, or give another --work", path);
    }
    return rt_h5_save(path, "retort-folds-1", &it, 1);
}
