#include "data/row_folds.h"

#include <stdlib.h>
#include <string.h>

#include "data/source.h"
#include "data/source_files.h"
#include "engine/progress.h"

enum { PIECE = 1 << 22 };

void rt_row_folds_read(rt_cfg *d, rt_rows_config *c)
{
    c->by = "";
    c->by_set = "fold";
    c->by_digest = "";
    if (!rt_cfg_has(d, "fold_by")) return;
    if (!c->folds) {
        rt_cfg_refuse(d, "fold_by", "says which rows data.fold is; it does nothing without that");
        return;
    }
    if (!cJSON_IsObject(cJSON_GetObjectItemCaseSensitive(d->object, "fold_by"))) {
        c->by = rt_cfg_source(d, "fold_by", NULL);
        return;
    }
    rt_cfg o = rt_cfg_object(d, "fold_by");
    c->by = rt_cfg_source(&o, "source", NULL);
    c->by_set = rt_cfg_string(&o, "set", "fold");
    c->by_digest = rt_cfg_string(&o, "digest", "");
    rt_cfg_join(d, &o);
}

/* Adds the rows [first, first + n) that are of the fold. */
static rt_status add_piece(const rt_rows_config *c, rt_rows *mine, unsigned char *piece, uint64_t first, uint64_t n)
{
    rt_rows these = {0};
    int any = 0;
    for (uint64_t i = 0; i < n; i++) {
        if (piece[i] >= c->folds && piece[i] != RT_NO_FOLD)
            return rt_fail(RT_INPUT, "%s: '%s' has fold %d for row %llu; folds are 0 to %d, or %d for none", c->by,
                           c->by_set, piece[i], (unsigned long long)(first + i), c->folds - 1, RT_NO_FOLD);
        any |= piece[i] = piece[i] == c->fold;
    }
    if (!any) return RT_OK;
    rt_status st = rt_rows_from_blocks(&these, first, n, 1, piece);
    if (!st) st = rt_rows_add(mine, &these);
    rt_rows_free(&these);
    return st;
}

static rt_status read_numbers(const rt_rows_config *c, uint64_t source_rows, rt_rows *mine, rt_digest *digest)
{
    rt_source *s;
    RT_TRY(rt_source_open(&s, c->by, c->by_set));
    rt_status st = RT_OK;
    if (rt_source_row_bytes(s) != 1 || rt_source_type(s) != RT_U8)
        st = rt_fail(RT_INPUT, "%s: '%s' is no list of folds: u8, one a row, is expected", c->by, c->by_set);
    else if (rt_source_rows(s) != source_rows)
        st = rt_fail(RT_INPUT, "%s: '%s' has %llu rows, but the data has %llu", c->by, c->by_set,
                     (unsigned long long)rt_source_rows(s), (unsigned long long)source_rows);
    unsigned char *piece = malloc(PIECE);
    if (!st && !piece) st = rt_fail(RT_RUN, "out of memory");
    rt_hasher *h = rt_hasher_new();
    for (uint64_t at = 0, n; at < source_rows && !st; at += n) {
        n = source_rows - at < PIECE ? source_rows - at : PIECE;
        st = rt_source_read_stored(s, at, n, piece);
        if (!st) rt_hasher_add(h, piece, (size_t)n);
        if (!st) st = add_piece(c, mine, piece, at, n);
        if (!st) st = rt_check_stop();
    }
    *digest = rt_hasher_end(h);
    free(piece);
    rt_source_close(s);
    return st;
}

rt_status rt_row_folds_take(const rt_rows_config *c, uint64_t source_rows, rt_rows *from, rt_rows *drawn,
                            rt_digest *digest)
{
    rt_rows mine = {0};
    *drawn = (rt_rows){0};
    rt_status st = read_numbers(c, source_rows, &mine, digest);
    if (!st && *c->by_digest && strcmp(c->by_digest, digest->hex))
        st = rt_fail(RT_INPUT, "%s: its folds are others than those of data.fold_by's digest", c->by);
    if (!st) st = rt_rows_remove(from, &mine);
    if (!st) st = rt_rows_range(drawn, c->range, source_rows);
    if (!st) st = rt_rows_remove(drawn, from);
    if (!st && !drawn->count)
        st = rt_fail(RT_USAGE, "data.fold: no row of data.rows is of fold %d in %s", c->fold, c->by);
    rt_rows_free(&mine);
    return st;
}
