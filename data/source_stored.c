/* data/source_stored.c - of how many rows there is anything: a file of a kilobyte may claim 2^40 rows of its fill
 * value. */
#include "data/files.h"
#include "data/source_parts.h"

static uint64_t times(uint64_t a, uint64_t b)
{
    uint64_t n;
    return __builtin_mul_overflow(a, b, &n) ? UINT64_MAX : n;
}

/* Rows of chunks that were written, of those that rows [first, end) lie in; a row that is not written whole counts by
 * the share of its chunks. */
static uint64_t written_rows(const rt_h5_dataset *d, uint64_t first, uint64_t end)
{
    uint64_t rows = d->chunk_dim[0], bands = d->dim[0] / rows + (d->dim[0] % rows != 0), each = d->chunks / bands,
             n = 0;
    for (uint64_t c = first / rows * each; c < ((end - 1) / rows + 1) * each; c++) n += d->chunk[c].bytes != 0;
    return times(n, rows) / each;
}

/* Bytes of rows [first, end) of one file's set that are stored. */
static rt_status stored_of(const rt_source *s, uint64_t first, uint64_t end, uint64_t *stored)
{
    const rt_h5_dataset *d = s->set;
    uint64_t bytes = (end - first) * s->row_bytes, written, low = d->offset, high = s->file->size;
    *stored = bytes;
    if (d->compact) return RT_OK;
    if (!d->chunked && d->offset == UINT64_MAX) {
        *stored = 0;
        return RT_OK;
    }
    if (d->chunked) {
        written = times(written_rows(d, first, end), s->row_bytes);
        if (written < *stored) *stored = written;
        if (d->filters || d->by_library) return RT_OK;
        low = 0;
    } else {
        low += first * s->row_bytes;
        high = low + bytes;
    }
    /* What is neither filtered nor a hole lies there byte for byte. */
    RT_TRY(rt_stored_bytes(s->file->fd, s->file->path, low, high, &written));
    if (rt_hollow(high - low, written) && written < *stored) *stored = written;
    return RT_OK;
}

static rt_status check_set(const rt_source *s, uint64_t first, uint64_t end)
{
    if (end > s->rows) end = s->rows;                  /* who asks for whole spans may ask beyond */
    if (first >= end) return RT_OK;
    uint64_t bytes = (end - first) * s->row_bytes, stored;
    if (!rt_hollow(bytes, 0)) return RT_OK;
    RT_TRY(stored_of(s, first, end, &stored));
    if (!rt_hollow(bytes, stored)) return RT_OK;
    return rt_fail(RT_INPUT,
                   "%s: data set '%s': rows %llu to %llu are %llu bytes, of which %llu are stored; the others "
                   "were never written: copy what there is into a set of its own",
                   s->file->path, s->set->name, (unsigned long long)first, (unsigned long long)(end - 1),
                   (unsigned long long)bytes, (unsigned long long)stored);
}

rt_status rt_source_check_stored(const rt_source *s, uint64_t first, uint64_t end)
{
    for (int i = 0; i < s->parts; i++) RT_TRY(rt_source_check_stored(s->part[i].source, first, end));
    for (int i = 0; i < s->links; i++) {
        uint64_t low = first > s->first[i] ? first : s->first[i], high = end < s->first[i + 1] ? end : s->first[i + 1];
        if (low < high) RT_TRY(check_set(s->link[i], low - s->first[i], high - s->first[i]));
    }
    return s->parts || s->links ? RT_OK : check_set(s, first, end);
}
