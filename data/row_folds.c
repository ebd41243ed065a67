#include "data/row_folds.h"

#include <string.h>

#include "data/row_bytes.h"
#include "data/source_files.h"

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

typedef struct { const rt_rows_config *c; rt_rows rows; } fold;

/* Adds the rows [first, first + n) that are of the fold. */
static rt_status add_piece(void *arg, unsigned char *piece, uint64_t first, uint64_t n)
{
    fold *mine = arg;
    const rt_rows_config *c = mine->c;
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
    if (!st) st = rt_rows_add(&mine->rows, &these);
    rt_rows_free(&these);
    return st;
}

rt_status rt_row_folds_take(const rt_rows_config *c, uint64_t source_rows, rt_rows *from, rt_rows *drawn,
                            rt_digest *digest)
{
    const rt_row_bytes b = {.source = c->by, .set = c->by_set, .type = {RT_U8}, .types = 1, .what = "list of folds",
                            .wants = "u8, one a row, is expected"};
    fold mine = {.c = c};
    *drawn = (rt_rows){0};
    rt_status st = rt_row_bytes_each(&b, source_rows, add_piece, &mine, digest);
    if (!st && *c->by_digest && strcmp(c->by_digest, digest->hex))
        st = rt_fail(RT_INPUT, "%s: its folds are others than those of data.fold_by's digest", c->by);
    if (!st) st = rt_rows_remove(from, &mine.rows);
    if (!st) st = rt_rows_range(drawn, c->range, source_rows);
    if (!st) st = rt_rows_remove(drawn, from);
    if (!st && !drawn->count)
        st = rt_fail(RT_USAGE, "data.fold: no row of data.rows is of fold %d in %s", c->fold, c->by);
    rt_rows_free(&mine.rows);
    return st;
}
