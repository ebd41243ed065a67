#include "data/row_bytes.h"

#include <stdlib.h>

#include "data/source.h"
#include "engine/progress.h"

enum { PIECE = 1 << 22 };

static rt_status check(const rt_row_bytes *b, const rt_source *s, uint64_t source_rows)
{
    int fits = 0;
    for (int i = 0; i < b->types; i++) fits |= rt_source_type(s) == b->type[i];
    if (rt_source_row_bytes(s) != 1 || !fits)
        return rt_fail(RT_INPUT, "%s: '%s' is no %s: %s", b->source, b->set, b->what, b->wants);
    if (rt_source_rows(s) != source_rows)
        return rt_fail(RT_INPUT, "%s: '%s' has %llu rows, but the data has %llu; a %s has one for each row of the data",
                       b->source, b->set, (unsigned long long)rt_source_rows(s), (unsigned long long)source_rows,
                       b->what);
    return RT_OK;
}

rt_status rt_row_bytes_each(const rt_row_bytes *b, uint64_t source_rows, rt_row_bytes_fn *fn, void *arg,
                            rt_digest *digest)
{
    rt_source *s;
    RT_TRY(rt_source_open(&s, b->source, b->set));
    rt_status st = check(b, s, source_rows);
    unsigned char *piece = malloc(PIECE);
    if (!st && !piece) st = rt_fail(RT_RUN, "out of memory");
    rt_hasher *h = rt_hasher_new();
    for (uint64_t at = 0, n; at < source_rows && !st; at += n) {
        n = source_rows - at < PIECE ? source_rows - at : PIECE;
        st = rt_source_read_stored(s, at, n, piece);
        if (!st) rt_hasher_add(h, piece, (size_t)n);
        if (!st) st = fn(arg, piece, at, n);
        if (!st) st = rt_check_stop();
    }
    *digest = rt_hasher_end(h);
    free(piece);
    rt_source_close(s);
    return st;
}
