#include "data/row_mask.h"

#include <stdlib.h>

#include "data/source.h"
#include "data/source_files.h"
#include "engine/progress.h"

enum { PIECE = 1 << 22 };

void rt_row_mask_read(rt_cfg *d, rt_row_mask *m)
{
    *m = (rt_row_mask){"", "keep"};
    if (!rt_cfg_has(d, "mask") || !cJSON_IsObject(cJSON_GetObjectItemCaseSensitive(d->object, "mask"))) {
        int listed = rt_cfg_has(d, "mask") && cJSON_IsArray(cJSON_GetObjectItemCaseSensitive(d->object, "mask"));
        m->source = listed ? rt_cfg_source(d, "mask", NULL) : rt_cfg_string(d, "mask", "");
        return;
    }
    rt_cfg c = rt_cfg_object(d, "mask");
    m->source = rt_cfg_source(&c, "source", NULL);
    m->set = rt_cfg_string(&c, "set", "keep");
    rt_cfg_join(d, &c);
}

static rt_status remove_piece(rt_rows *rows, unsigned char *piece, uint64_t first, uint64_t n)
{
    rt_rows these;
    int any = 0;
    for (uint64_t i = 0; i < n; i++) any |= piece[i] = !piece[i];
    if (!any) return RT_OK;
    rt_status st = rt_rows_from_blocks(&these, first, n, 1, piece);
    if (!st) st = rt_rows_remove(rows, &these);
    rt_rows_free(&these);
    return st;
}

rt_status rt_row_mask_apply(const rt_row_mask *m, rt_rows *rows, uint64_t source_rows, rt_digest *digest)
{
    rt_source *s;
    RT_TRY(rt_source_open(&s, m->source, m->set));
    rt_dtype type = rt_source_type(s);
    rt_status st = RT_OK;
    if (rt_source_row_bytes(s) != 1 || (type != RT_U8 && type != RT_I8 && type != RT_BOOL))
        st = rt_fail(RT_INPUT, "%s: '%s' is no mask: u8, i8 or truth values, one a row, are expected", m->source,
                     m->set);
    else if (rt_source_rows(s) != source_rows)
        st = rt_fail(RT_INPUT, "%s: '%s' has %llu rows, but the data has %llu; a mask has one for each row of the data",
                     m->source, m->set, (unsigned long long)rt_source_rows(s), (unsigned long long)source_rows);
    unsigned char *piece = malloc(PIECE);
    if (!st && !piece) st = rt_fail(RT_RUN, "out of memory");
    rt_hasher *h = rt_hasher_new();
    for (uint64_t at = 0, n; at < source_rows && !st; at += n) {
        n = source_rows - at < PIECE ? source_rows - at : PIECE;
        st = rt_source_read_stored(s, at, n, piece);
        if (!st) rt_hasher_add(h, piece, (size_t)n);
        if (!st) st = remove_piece(rows, piece, at, n);
        if (!st) st = rt_check_stop();
    }
    *digest = rt_hasher_end(h);
    free(piece);
    rt_source_close(s);
    return st;
}
