#include "data/row_mask.h"

#include "data/row_bytes.h"
#include "data/source_files.h"

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

static rt_status remove_piece(void *rows, unsigned char *piece, uint64_t first, uint64_t n)
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
    const rt_row_bytes b = {.source = m->source, .set = m->set, .type = {RT_U8, RT_I8, RT_BOOL}, .types = 3,
                            .what = "mask", .wants = "u8, i8 or truth values, one a row, are expected"};
    return rt_row_bytes_each(&b, source_rows, remove_piece, rows, digest);
}
