#include "data/checks.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/digest.h"

enum { BLOCK_BYTES = 64 << 10 };

struct rt_checks {
    const rt_h5_file *file;
    const rt_h5_dataset *set;
    uint64_t rows, row_bytes, block_rows;
    uint32_t *crc;
    _Atomic unsigned char *seen;        /* a byte a block: threads may set neighbours */
};

uint64_t rt_check_rows(uint64_t row_bytes)
{ return row_bytes && row_bytes < BLOCK_BYTES ? BLOCK_BYTES / row_bytes : 1; }

uint64_t rt_check_blocks(uint64_t rows, uint64_t row_bytes)
{
    uint64_t block = rt_check_rows(row_bytes);
    return rows / block + (rows % block != 0);
}

/* ---- writing ---- */

rt_status rt_check_begin(rt_check_sum *s, uint64_t rows, uint64_t row_bytes)
{
    *s = (rt_check_sum){.block_bytes = rt_check_rows(row_bytes) * row_bytes};
    s->crc = calloc(rt_check_blocks(rows, row_bytes) + 1, sizeof *s->crc);
    return s->crc ? RT_OK : rt_fail(RT_RUN, "out of memory");
}

void rt_check_add(rt_check_sum *s, const void *data, size_t n)
{
    for (const char *p = data; n;) {
        size_t part = n < s->block_bytes - s->held ? n : (size_t)(s->block_bytes - s->held);
        s->crc[s->block] = rt_crc32c(s->crc[s->block], p, part);
        s->held += part;
        p += part;
        n -= part;
        if (s->held < s->block_bytes) continue;
        s->held = 0;
        s->block++;
    }
}

void rt_check_free(rt_check_sum *s)
{
    free(s->crc);
    s->crc = NULL;
}

/* ---- reading ---- */

/* The checksums beside a set, as many as expected; NULL where there are none. */
static rt_status load(uint32_t **out, const rt_h5_file *f, const rt_h5_dataset *d, uint64_t expected)
{
    char name[RT_H5_NAME + sizeof RT_CHECKS_GROUP];
    *out = NULL;
    if (strncmp(d->name, RT_CHECKS_GROUP, sizeof RT_CHECKS_GROUP - 1) == 0) return RT_OK;
    snprintf(name, sizeof name, RT_CHECKS_GROUP "%s", d->name);
    const rt_h5_dataset *c = rt_h5_find(f, name);
    if (!c) return RT_OK;
    if (c->type != RT_U32 || c->rank != 1 || c->dim[0] != expected)
        return rt_fail(RT_INPUT,
                       "%s: the checksums '%s' do not fit '%s'; the file is damaged or was changed by another "
                       "program: import it anew, or delete them",
                       f->path, name, d->name);
    return rt_h5_read_all((void **)out, f, name, expected * sizeof **out);
}

rt_status rt_checks_open(rt_checks **out, const rt_h5_file *f, const rt_h5_dataset *d)
{
    *out = NULL;
    if (d->rank < 1 || d->chunked || d->compact || d->offset == UINT64_MAX) return RT_OK;
    uint64_t row_bytes = d->element;
    for (int i = 1; i < d->rank; i++) row_bytes *= d->dim[i];
    if (!row_bytes || !d->dim[0]) return RT_OK;
    uint64_t blocks = rt_check_blocks(d->dim[0], row_bytes);
    uint32_t *crc;
    RT_TRY(load(&crc, f, d, blocks));
    if (!crc) return RT_OK;
    rt_checks *c = calloc(1, sizeof *c);
    _Atomic unsigned char *seen = calloc(blocks, 1);
    if (!c || !seen) {
        free(c);
        free((void *)seen);
        free(crc);
        return rt_fail(RT_RUN, "out of memory");
    }
    *c = (rt_checks){f, d, d->dim[0], row_bytes, rt_check_rows(row_bytes), crc, seen};
    *out = c;
    return RT_OK;
}

rt_status rt_checks_rows(rt_checks *c, const char *base, uint64_t first, uint64_t n)
{
    if (!n) return RT_OK;
    for (uint64_t b = first / c->block_rows; b <= (first + n - 1) / c->block_rows; b++) {
        if (atomic_load_explicit(&c->seen[b], memory_order_relaxed)) continue;
        uint64_t row = b * c->block_rows, rows = c->rows - row < c->block_rows ? c->rows - row : c->block_rows;
        if (rt_crc32c(0, base + row * c->row_bytes, rows * c->row_bytes) != c->crc[b])
            return rt_fail(RT_INPUT,
                           "%s: data set '%s': among the rows from %" PRIu64 " to %" PRIu64 " some are not as "
                           "they were written: their checksum differs; import the data anew",
                           c->file->path, c->set->name, row, row + rows - 1);
        atomic_store_explicit(&c->seen[b], 1, memory_order_relaxed);
    }
    return RT_OK;
}

void rt_checks_close(rt_checks *c)
{
    if (!c) return;
    free(c->crc);
    free((void *)c->seen);
    free(c);
}

rt_status rt_checks_whole(const rt_h5_file *f, const rt_h5_dataset *d, const void *data, size_t n)
{
    uint32_t *crc;
    if (d->rank) return RT_OK;
    RT_TRY(load(&crc, f, d, 1));
    int same = !crc || *crc == rt_crc32c(0, data, n);
    free(crc);
    return same ? RT_OK
                : rt_fail(RT_INPUT, "%s: '%s' is not as it was written: its checksum differs; make the file anew",
                          f->path, d->name);
}
