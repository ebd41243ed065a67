#include "data/source.h"

#include <errno.h>
#include <libdeflate.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "data/files.h"
#include "engine/kernels.h"

enum { CACHE_BYTES = 256 << 20, CACHE_MIN = 4, CACHE_MAX = 512 };
enum { FILTER_DEFLATE = 1, FILTER_SHUFFLE = 2, FILTER_FLETCHER32 = 3 };

typedef struct { uint64_t block, used; int state; char *data; } slot;   /* state 0 empty, 1 loading, 2 ready */

struct rt_source {
    rt_h5_file *file;
    const rt_h5_dataset *set;
    size_t row_bytes;
    uint64_t rows, block_rows;
    void *map;
    size_t map_bytes;
    const char *base;              /* first row of contiguous data */
    slot *slot;
    int slots;
    uint64_t clock;
    size_t chunk_bytes;
    pthread_mutex_t lock;
    pthread_cond_t ready;
};

rt_status rt_source_open(rt_source **out, const char *path, const char *dataset)
{
    rt_h5_file *f;
    *out = NULL;
    RT_TRY(rt_h5_scan(&f, path));
    rt_status st = rt_source_open_in(out, f, dataset);
    rt_h5_close(f);
    return st;
}

rt_status rt_source_open_in(rt_source **out, rt_h5_file *file, const char *dataset)
{
    const char *path = file->path;
    *out = NULL;
    rt_source *s = calloc(1, sizeof *s);
    if (!s) return rt_fail(RT_RUN, "out of memory");
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->ready, NULL);
    rt_status st = RT_OK;
    s->file = file;
    file->users++;
    if (!(s->set = rt_h5_find(s->file, dataset))) {
        char list[300] = "";
        for (int i = 0, n = 0; i < s->file->sets && n < 200; i++) n += snprintf(list + n, sizeof list - (size_t)n, "%s%.60s", i ? ", " : "", s->file->set[i].name);
        st = rt_fail(RT_INPUT, "%s: has no data set '%s'; it has: %s", path, dataset, list[0] ? list : "none");
    }
    if (!st && s->set->refused[0]) st = rt_fail(RT_INPUT, "%s: data set '%s': %s", path, dataset, s->set->refused);
    if (!st && s->set->rank < 1) st = rt_fail(RT_INPUT, "%s: data set '%s' is a single value, not rows", path, dataset);
    if (st) goto fail;
    s->rows = s->set->dim[0];
    s->row_bytes = s->set->element;
    for (int i = 1; i < s->set->rank; i++) s->row_bytes *= s->set->dim[i];
    s->block_rows = 1;
    if (s->set->chunked) {
        s->block_rows = s->set->chunk_dim[0] < s->rows ? s->set->chunk_dim[0] : s->rows ? s->rows : 1;
        s->chunk_bytes = s->set->element;
        for (int i = 0; i < s->set->rank; i++) s->chunk_bytes *= s->set->chunk_dim[i];
        uint64_t block = s->block_rows * s->row_bytes;
        if (block > (uint64_t)1 << 31) {
            st = rt_fail(RT_INPUT, "%s: data set '%s': a block of chunks takes %llu bytes; rewrite it with smaller chunks", path, dataset, (unsigned long long)block);
            goto fail;
        }
        uint64_t n = block ? CACHE_BYTES / block : 1;
        s->slots = n < CACHE_MIN ? CACHE_MIN : n > CACHE_MAX ? CACHE_MAX : (int)n;
        s->slot = calloc((size_t)s->slots, sizeof *s->slot);
        if (!s->slot) st = rt_fail(RT_RUN, "out of memory");
    } else if (s->rows && s->row_bytes) {
        uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE), start = s->set->offset & ~(page - 1);
        s->map_bytes = s->rows * s->row_bytes + (s->set->offset - start);
        s->map = mmap(NULL, s->map_bytes, PROT_READ, MAP_SHARED, s->file->fd, (off_t)start);
        if (s->map == MAP_FAILED) {
            s->map = NULL;
            st = rt_fail(RT_RUN, "%s: cannot be mapped: %s", path, strerror(errno));
        } else s->base = (const char *)s->map + (s->set->offset - start);
    }
    if (!st) {
        *out = s;
        return RT_OK;
    }
fail:
    rt_source_close(s);
    return st;
}

void rt_source_close(rt_source *s)
{
    if (!s) return;
    if (s->map) munmap(s->map, s->map_bytes);
    for (int i = 0; i < s->slots && s->slot; i++) free(s->slot[i].data);
    free(s->slot);
    rt_h5_close(s->file);
    pthread_mutex_destroy(&s->lock);
    pthread_cond_destroy(&s->ready);
    free(s);
}

uint64_t rt_source_rows(const rt_source *s) { return s->rows; }
size_t rt_source_row_bytes(const rt_source *s) { return s->row_bytes; }
rt_dtype rt_source_type(const rt_source *s) { return s->set->type; }
const rt_h5_dataset *rt_source_info(const rt_source *s) { return s->set; }
const char *rt_source_path(const rt_source *s) { return s->file->path; }
rt_h5_file *rt_source_file(const rt_source *s) { return s->file; }
uint64_t rt_source_block(const rt_source *s) { return s->block_rows; }

rt_status rt_source_shape(const rt_source *s, rt_shape *shape)
{
    *shape = (rt_shape){1, {1}};
    if (s->set->rank - 1 > RT_MAX_RANK) return rt_fail(RT_INPUT, "%s: data set '%s' has rows of %d dimensions; at most %d are supported", s->file->path, s->set->name, s->set->rank - 1, RT_MAX_RANK);
    if (s->set->rank > 1) shape->rank = s->set->rank - 1;
    for (int i = 1; i < s->set->rank; i++) {
        if (s->set->dim[i] > 1 << 30) return rt_fail(RT_INPUT, "%s: data set '%s' has rows too large for a tensor", s->file->path, s->set->name);
        shape->dim[i - 1] = (int)s->set->dim[i];
    }
    return RT_OK;
}

/* ---- decoding ---- */

/* Fletcher-32 as HDF5 stores it: over big-endian 16-bit words. */
static uint32_t fletcher32(const unsigned char *p, size_t n)
{
    uint32_t a = 0, b = 0;
    size_t words = n / 2;
    while (words) {
        size_t run = words < 360 ? words : 360;
        words -= run;
        for (; run; run--, p += 2) {
            a += (uint32_t)(p[0] << 8 | p[1]);
            b += a;
        }
        a = (a & 0xffff) + (a >> 16);
        b = (b & 0xffff) + (b >> 16);
    }
    if (n & 1) {
        a += (uint32_t)(*p << 8);
        b += a;
        a = (a & 0xffff) + (a >> 16);
        b = (b & 0xffff) + (b >> 16);
    }
    a = (a & 0xffff) + (a >> 16);
    b = (b & 0xffff) + (b >> 16);
    return b << 16 | a;
}

static void unshuffle(char *dst, const char *src, size_t n, size_t element)
{
    size_t count = n / element;
    for (size_t b = 0; b < element; b++)
        for (size_t i = 0; i < count; i++) dst[i * element + b] = src[b * count + i];
    memcpy(dst + count * element, src + count * element, n - count * element);
}

/* Undoes the filters, last first. a holds the raw bytes; the result is in *out, which is a or b. */
static rt_status undo_filters(const rt_source *s, const rt_h5_chunk *c, char *a, char *b, char **out)
{
    const rt_h5_dataset *d = s->set;
    size_t n = c->bytes;
    for (int i = d->filters - 1; i >= 0; i--) {
        if (c->mask & 1u << i) continue;
        if (d->filter[i] == FILTER_FLETCHER32) {
            uint32_t stored;
            if (n < 4) goto damaged;
            memcpy(&stored, a + n - 4, 4);
            uint32_t sum = fletcher32((unsigned char *)a, n - 4);
            if (stored != sum && stored != ((sum & 0x00ff00ffu) << 8 | (sum & 0xff00ff00u) >> 8)) goto damaged;
            n -= 4;
            continue;
        }
        if (d->filter[i] == FILTER_DEFLATE) {
            struct libdeflate_decompressor *z = libdeflate_alloc_decompressor();
            size_t got = 0;
            int bad = !z || libdeflate_zlib_decompress(z, a, n, b, s->chunk_bytes + 8, &got) != LIBDEFLATE_SUCCESS;
            libdeflate_free_decompressor(z);
            if (bad) goto damaged;
            n = got;
        } else unshuffle(b, a, n, d->element);
        char *t = a;
        a = b;
        b = t;
    }
    if (n != s->chunk_bytes) goto damaged;
    *out = a;
    return RT_OK;
damaged:
    return rt_fail(RT_INPUT, "%s: data set '%s': a chunk at byte %llu is damaged", s->file->path, d->name, (unsigned long long)c->offset);
}

/* Copies chunk (at `first` in the data set) into the block buffer, cutting off what hangs over the edge. */
static void place_chunk(const rt_h5_dataset *d, char *block, uint64_t block_row0, const char *chunk, const uint64_t *first)
{
    uint64_t at[RT_H5_RANK] = {0}, extent[RT_H5_RANK];
    int last = d->rank - 1;
    for (int k = 0; k < d->rank; k++) extent[k] = d->dim[k] - first[k] < d->chunk_dim[k] ? d->dim[k] - first[k] : d->chunk_dim[k];
    for (;;) {
        uint64_t from = 0, to = 0;
        for (int k = 0; k < d->rank; k++) {
            from = from * d->chunk_dim[k] + at[k];
            to = to * (k ? d->dim[k] : 1) + (k ? first[k] + at[k] : first[0] - block_row0 + at[0]);
        }
        memcpy(block + to * d->element, chunk + from * d->element, (last ? extent[last] : 1) * d->element);
        int k = last ? last - 1 : 0;
        for (; k >= 0; k--) {
            if (++at[k] < extent[k]) break;
            at[k] = 0;
        }
        if (k < 0) return;
    }
}

static rt_status load_block(rt_source *s, uint64_t block, char *out)
{
    const rt_h5_dataset *d = s->set;
    uint64_t per = 1, grid[RT_H5_RANK];
    for (int k = 0; k < d->rank; k++) {
        grid[k] = (d->dim[k] + d->chunk_dim[k] - 1) / d->chunk_dim[k];
        if (k) per *= grid[k];
    }
    uint32_t largest = 0;
    for (uint64_t i = 0; i < per; i++) if (d->chunk[block * per + i].bytes > largest) largest = d->chunk[block * per + i].bytes;
    size_t room = (largest > s->chunk_bytes ? largest : s->chunk_bytes) + 64;
    char *a = malloc(room), *b = malloc(room), *chunk;
    rt_status st = a && b ? RT_OK : rt_fail(RT_RUN, "out of memory");
    for (uint64_t i = 0; i < per && !st; i++) {
        const rt_h5_chunk *c = &d->chunk[block * per + i];
        uint64_t first[RT_H5_RANK] = {block * d->chunk_dim[0]}, rest = i;
        chunk = a;
        for (int k = d->rank - 1; k > 0; k--) {
            first[k] = rest % grid[k] * d->chunk_dim[k];
            rest /= grid[k];
        }
        if (c->bytes == 0) {
            memset(a, 0, s->chunk_bytes);
        } else {
            st = rt_pread_all(s->file->fd, a, c->bytes, c->offset, s->file->path);
            if (!st) st = undo_filters(s, c, a, b, &chunk);
        }
        if (!st) place_chunk(d, out, block * d->chunk_dim[0], chunk, first);
    }
    free(a);
    free(b);
    return st;
}

/* The slot with this block, loading it if need be; called and returns with the lock held. */
static rt_status find_block(rt_source *s, uint64_t block, slot **found)
{
    for (;;) {
        slot *oldest = NULL;
        int loading = 0;
        for (int i = 0; i < s->slots; i++) {
            slot *t = &s->slot[i];
            if (t->state && t->block == block) {
                if (t->state == 2) {
                    t->used = ++s->clock;
                    *found = t;
                    return RT_OK;
                }
                loading = 1;
            }
            if (t->state != 1 && (!oldest || t->used < oldest->used || !t->state)) oldest = t;
        }
        if (loading || !oldest) {
            pthread_cond_wait(&s->ready, &s->lock);
            continue;
        }
        oldest->state = 1;
        oldest->block = block;
        if (!oldest->data) oldest->data = malloc(s->block_rows * s->row_bytes + 64);
        char *data = oldest->data;
        pthread_mutex_unlock(&s->lock);
        rt_status st = data ? load_block(s, block, data) : rt_fail(RT_RUN, "out of memory");
        pthread_mutex_lock(&s->lock);
        oldest->state = st ? 0 : 2;
        oldest->used = ++s->clock;
        pthread_cond_broadcast(&s->ready);
        if (st) return st;
    }
}

rt_status rt_source_read(rt_source *s, const uint64_t *row, int n, void *dst)
{
    char *out = dst;
    for (int i = 0; i < n; i++)
        if (row[i] >= s->rows) return rt_fail(RT_INPUT, "%s: row %llu is asked for, but data set '%s' has %llu", s->file->path, (unsigned long long)row[i], s->set->name, (unsigned long long)s->rows);
    if (!s->set->chunked) {
        for (int i = 0; i < n;) {                     /* runs of neighbours in one copy */
            int j = i + 1;
            while (j < n && row[j] == row[j - 1] + 1) j++;
            memcpy(out + (size_t)i * s->row_bytes, s->base + row[i] * s->row_bytes, (size_t)(j - i) * s->row_bytes);
            i = j;
        }
        return RT_OK;
    }
    rt_status st = RT_OK;
    pthread_mutex_lock(&s->lock);
    for (int i = 0; i < n && !st; i++) {
        slot *t;
        st = find_block(s, row[i] / s->block_rows, &t);
        if (!st) memcpy(out + (size_t)i * s->row_bytes, t->data + row[i] % s->block_rows * s->row_bytes, s->row_bytes);
    }
    pthread_mutex_unlock(&s->lock);
    return st;
}

rt_status rt_source_digest(rt_source *s, rt_digest *digest)
{
    rt_hasher *h = rt_hasher_new();
    char head[256];
    int n = snprintf(head, sizeof head, "%s", rt_dtype_name(s->set->type));
    for (int i = 0; i < s->set->rank; i++) n += snprintf(head + n, sizeof head - (size_t)n, " %llu", (unsigned long long)s->set->dim[i]);
    rt_hasher_add(h, head, (size_t)n);
    rt_status st = RT_OK;
    if (!s->set->chunked) rt_hasher_add(h, s->base, s->rows * s->row_bytes);
    else {
        char *row = malloc(s->row_bytes + 1);
        if (!row) st = rt_fail(RT_RUN, "out of memory");
        for (uint64_t i = 0; i < s->rows && !st; i++) {
            st = rt_source_read(s, &i, 1, row);
            rt_hasher_add(h, row, s->row_bytes);
        }
        free(row);
    }
    *digest = rt_hasher_end(h);
    return st;
}

void rt_to_float(float *dst, const void *src, rt_dtype type, size_t n)
{
    switch (type) {
#define CASE(E, T) case E: for (size_t i = 0; i < n; i++) { T v; memcpy(&v, (const char *)src + i * sizeof v, sizeof v); dst[i] = (float)v; } break;
    CASE(RT_U8, uint8_t) CASE(RT_I8, int8_t) CASE(RT_U16, uint16_t) CASE(RT_I16, int16_t) CASE(RT_U32, uint32_t)
    CASE(RT_I32, int32_t) CASE(RT_U64, uint64_t) CASE(RT_I64, int64_t) CASE(RT_F64, double)
#undef CASE
    case RT_F16: rt_kernels_get()->from_f16(dst, src, n); break;
    case RT_F32: memcpy(dst, src, n * sizeof *dst); break;
    default: memset(dst, 0, n * sizeof *dst); break;
    }
}
