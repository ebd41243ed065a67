#include "data/source.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "data/mapped.h"
#include "data/source_files.h"
#include "data/source_parts.h"

enum { BLOCK_BYTES = 1 << 30 };
enum { GROUP_CHUNKS = 64, GROUP_BYTES = 4 << 20, TILE_BYTES = 128 << 10 };

/* ---- decoding blocks ---- */

static int is_decoded(const rt_h5_dataset *d) { return d->chunked && (d->filters || d->by_library); }

static uint64_t group_size(const rt_grid *g)
{
    uint64_t n = GROUP_BYTES / (g->chunk_bytes + RT_DECODE_SLACK);
    n = n < 1 ? 1 : n > GROUP_CHUNKS ? GROUP_CHUNKS : n;
    return n < g->per ? n : g->per;
}

static void free_worker(rt_source_worker *w)
{
    rt_decoder_free(w->decoder);
    rt_h5_unpacker_free(w->unpacker);
    free(w->group);
    free(w);
}

static rt_source_worker *get_worker(rt_source *s)
{
    pthread_mutex_lock(&s->lock);
    rt_source_worker *w = s->idle;
    if (w) s->idle = w->next;
    pthread_mutex_unlock(&s->lock);
    if (w || !(w = calloc(1, sizeof *w))) return w;
    if (s->set->by_library) {
        uint64_t rows = s->grid.block_rows < s->rows ? s->grid.block_rows : s->rows;
        w->unpacker = rt_h5_unpacker_new(s->file, s->set, s->row_bytes, rows * s->row_bytes);
        if (w->unpacker) return w;
        free_worker(w);
        return NULL;
    }
    w->decoder = rt_decoder_new();
    if (!s->grid.whole) w->group = malloc(group_size(&s->grid) * (s->grid.chunk_bytes + RT_DECODE_SLACK));
    if (w->decoder && (s->grid.whole || w->group)) return w;
    free_worker(w);
    return NULL;
}

static void put_worker(rt_source *s, rt_source_worker *w)
{
    pthread_mutex_lock(&s->lock);
    w->next = s->idle;
    s->idle = w;
    pthread_mutex_unlock(&s->lock);
}

static uint64_t rows_of_block(const rt_source *s, uint64_t block)
{
    uint64_t left = s->rows - block * s->grid.block_rows;
    return left < s->grid.block_rows ? left : s->grid.block_rows;
}

/* Rows that are put together at a time, so that what is written stays in the cache of the CPU. */
static uint64_t tile_rows(const rt_source *s)
{
    uint64_t n = TILE_BYTES / s->row_bytes;
    return n ? n : 1;
}

/* A block whose rows are cut: groups of chunks are decoded, then spread. */
static rt_status load_cut(rt_source *s, rt_source_worker *w, uint64_t block, char *data)
{
    const rt_grid *g = &s->grid;
    const rt_h5_chunk *table = s->set->chunk + block * g->per;
    uint64_t step = group_size(g), rows = rows_of_block(s, block), tile = tile_rows(s);
    for (uint64_t from = 0; from < g->per; from += step) {
        const char *chunk[GROUP_CHUNKS];
        uint64_t to = from + step < g->per ? from + step : g->per;
        for (uint64_t i = from; i < to; i++) {
            char *at = w->group + (i - from) * (g->chunk_bytes + RT_DECODE_SLACK);
            chunk[i - from] = table[i].bytes ? at : NULL;
            if (table[i].bytes) RT_TRY(rt_decode_chunk(w->decoder, s->file, s->set, &table[i], g->chunk_bytes, at));
        }
        for (uint64_t r = 0; r < rows; r += tile) {
            uint64_t n = rows - r < tile ? rows - r : tile;
            rt_grid_gather(g, data + r * s->row_bytes, r, n, chunk, from, to, s->set->fill);
        }
    }
    return RT_OK;
}

rt_status rt_source_load(rt_source *s, uint64_t block, char *data)
{
    rt_source_worker *w = get_worker(s);
    if (!w) return rt_fail(RT_RUN, "out of memory for a block of chunks");
    const rt_h5_chunk *c = &s->set->chunk[block];
    rt_status st = RT_OK;
    if (w->unpacker) st = rt_h5_unpack(w->unpacker, block * s->grid.block_rows, rows_of_block(s, block), data);
    else if (!s->grid.whole) st = load_cut(s, w, block, data);
    else if (c->bytes) st = rt_decode_chunk(w->decoder, s->file, s->set, c, s->grid.chunk_bytes, data);
    else rt_fill(data, s->grid.chunk_bytes, s->set->fill, s->set->element);
    put_worker(s, w);
    return st;
}

static rt_status load_block(void *arg, uint64_t block, char *data) { return rt_source_load(arg, block, data); }

/* ---- opening ---- */

static rt_status find_set(rt_source *s, const char *dataset)
{
    const char *path = s->file->path;
    RT_TRY(rt_h5_need(&s->set, s->file, dataset));
    if (s->set->rank < 1) return rt_fail(RT_INPUT, "%s: data set '%s' is a single value, not rows", path, dataset);
    uint64_t bytes = s->set->element;
    for (int i = 1; i < s->set->rank; i++)
        if (__builtin_mul_overflow(bytes, s->set->dim[i], &bytes) || bytes > INT64_MAX) bytes = INT64_MAX;
    if (bytes > RT_SOURCE_ROW_BYTES)
        return rt_fail(RT_INPUT, "%s: data set '%s': a row takes %llu bytes, at most %d are read; is axis 0 the rows?",
                       path, dataset, (unsigned long long)bytes, RT_SOURCE_ROW_BYTES);
    s->rows = s->set->dim[0];
    s->row_bytes = (size_t)bytes;
    return RT_OK;
}

static rt_status map_file(rt_source *s, uint64_t offset, uint64_t bytes, const char **at)
{
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE), start = offset & ~(page - 1);
    void *map = mmap(NULL, bytes + (offset - start), PROT_READ, MAP_SHARED, s->file->fd, (off_t)start);
    if (map == MAP_FAILED) return rt_fail(RT_RUN, "%s: cannot be mapped: %s", s->file->path, strerror(errno));
    rt_mapped_init();
    s->map = map;
    s->map_bytes = bytes + (offset - start);
    *at = (const char *)map + (offset - start);
    return RT_OK;
}

size_t rt_source_decoded_bytes(const rt_source *s)
{
    if (!is_decoded(s->set) || !s->rows || !s->row_bytes) return 0;
    uint64_t rows = s->grid.block_rows < s->rows ? s->grid.block_rows : s->rows;
    return (s->grid.whole ? s->grid.chunk_bytes : (size_t)rows * s->row_bytes) + RT_DECODE_SLACK;
}

static rt_status open_chunks(rt_source *s)
{
    rt_grid_init(&s->grid, s->set);
    if (!s->rows || !s->row_bytes) return RT_OK;
    if (!is_decoded(s->set)) return map_file(s, 0, s->file->size, &s->chunks);
    uint64_t rows = s->grid.block_rows < s->rows ? s->grid.block_rows : s->rows;
    uint64_t bytes = s->grid.whole ? s->grid.chunk_bytes : rows * s->row_bytes;
    if (rows > BLOCK_BYTES / s->row_bytes || bytes > BLOCK_BYTES)
        return rt_fail(RT_INPUT, "%s: data set '%s': %llu rows of %zu bytes lie in chunks that must be decoded"
                       " together, more than %d MiB; rewrite it with fewer rows in a chunk", s->file->path,
                       s->set->name, (unsigned long long)rows, s->row_bytes, BLOCK_BYTES >> 20);
    if (s->linked) return RT_OK;
    return rt_cache_new(&s->cache, s->grid.blocks, rt_source_decoded_bytes(s), RT_SOURCE_CACHE, load_block, s);
}

rt_status rt_source_open_set(rt_source **out, rt_h5_file *file, const char *dataset, int linked)
{
    *out = NULL;
    rt_source *s = calloc(1, sizeof *s);
    if (!s) return rt_fail(RT_RUN, "out of memory");
    pthread_mutex_init(&s->lock, NULL);
    s->file = file;
    s->linked = linked;
    file->users++;
    rt_status st = find_set(s, dataset);
    if (!st && s->set->chunked) st = open_chunks(s);
    else if (!st && s->set->compact) s->base = (const char *)s->set->compact;
    else if (!st && s->set->offset != UINT64_MAX && s->rows && s->row_bytes)
        st = map_file(s, s->set->offset, s->rows * s->row_bytes, &s->base);
    if (!st) st = rt_checks_open(&s->checks, file, s->set);
    if (st) rt_source_close(s); else *out = s;
    return st;
}

rt_status rt_source_open_in(rt_source **out, rt_h5_file *file, const char *dataset)
{ return file->parts ? rt_source_chain(out, file, dataset) : rt_source_open_set(out, file, dataset, 0); }

rt_status rt_source_open(rt_source **out, const char *path, const char *dataset)
{
    rt_h5_file *f;
    *out = NULL;
    RT_TRY(rt_source_scan(&f, path));
    rt_status st = rt_source_open_in(out, f, dataset);
    rt_h5_close(f);
    return st;
}

void rt_source_close(rt_source *s)
{
    if (!s) return;
    for (int i = 0; i < s->parts; i++) {
        rt_source_close(s->part[i].source);
        free(s->part[i].name);
    }
    for (int i = 0; i < s->links; i++) rt_source_close(s->link[i]);
    free(s->link);
    free(s->first);
    free(s->first_block);
    free(s->joined);
    if (s->map) munmap(s->map, s->map_bytes);
    if (!s->linked) rt_cache_free(s->cache);
    rt_checks_close(s->checks);
    while (s->idle) {
        rt_source_worker *w = s->idle;
        s->idle = w->next;
        free_worker(w);
    }
    if (!s->parts) rt_h5_close(s->file);
    pthread_mutex_destroy(&s->lock);
    free(s);
}

/* ---- what it is ---- */

uint64_t rt_source_rows(const rt_source *s) { return s->rows; }
size_t rt_source_row_bytes(const rt_source *s) { return s->row_bytes; }
rt_dtype rt_source_type(const rt_source *s) { return s->set->type; }
const rt_h5_dataset *rt_source_info(const rt_source *s) { return s->set; }
const char *rt_source_path(const rt_source *s) { return s->file->path; }
rt_h5_file *rt_source_file(const rt_source *s) { return s->file; }

uint64_t rt_source_block(const rt_source *s)
{
    if (s->parts) return rt_source_block(s->part[rt_source_slowest(s)].source);
    if (s->links) return rt_source_chained_block(s);
    if (!s->set->chunked || (s->grid.whole && !is_decoded(s->set))) return 1;
    uint64_t rows = s->rows ? s->rows : 1;
    return s->grid.block_rows < rows ? s->grid.block_rows : rows;
}

int rt_source_window_blocks(const rt_source *s)
{
    if (s->parts) return rt_source_joined_window(s);
    if (s->links) return rt_source_chained_window(s);
    if (!s->cache) return INT_MAX;
    int slots = rt_cache_slots(s->cache);
    if ((uint64_t)slots == s->grid.blocks) return slots;
    return slots > 3 ? slots - 2 : 1;                 /* spare: for the next window, while this one is left */
}

rt_status rt_source_shape(const rt_source *s, rt_shape *shape)
{
    *shape = (rt_shape){1, {1}};
    if (s->set->rank - 1 > RT_MAX_RANK)
        return rt_fail(RT_INPUT, "%s: data set '%s' has rows of %d dimensions; at most %d are supported", s->file->path,
                       s->set->name, s->set->rank - 1, RT_MAX_RANK);
    if (s->set->rank > 1) shape->rank = s->set->rank - 1;
    for (int i = 1; i < s->set->rank; i++) {
        if (s->set->dim[i] > 1 << 30)
            return rt_fail(RT_INPUT, "%s: data set '%s' has rows too large for a tensor", s->file->path, s->set->name);
        shape->dim[i - 1] = (int)s->set->dim[i];
    }
    return RT_OK;
}

/* ---- reading ---- */

static rt_status was_cut(const rt_source *s, const struct stat *file)
{
    return rt_fail(RT_INPUT, "%s: was cut from %llu to %llu bytes while it was read", s->file->path,
                   (unsigned long long)s->file->size, (unsigned long long)file->st_size);
}

/* The end of a file's last page reads as zeros, so the size is looked at when the coarse clock moves on. */
static rt_status check_size(rt_source *s)
{
    struct timespec now;
    struct stat file;
    clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    long ticks = now.tv_sec * 1000 + now.tv_nsec / 1000000;
    if (atomic_load_explicit(&s->checked, memory_order_relaxed) == ticks) return RT_OK;
    if (fstat(s->file->fd, &file)) return rt_fail(RT_RUN, "%s: %s", s->file->path, strerror(errno));
    if ((uint64_t)file.st_size < s->file->size) return was_cut(s, &file);
    atomic_store_explicit(&s->checked, ticks, memory_order_relaxed);
    return RT_OK;
}

static rt_status damaged(const rt_source *s, const rt_h5_chunk *c)
{
    return rt_fail(RT_INPUT, "%s: data set '%s': the chunk at byte %llu has %u bytes instead of %zu", s->file->path,
                   s->set->name, (unsigned long long)c->offset, c->bytes, s->grid.chunk_bytes);
}

/* Rows of one block of chunks without filters, from the map. */
static rt_status copy_mapped(rt_source *s, uint64_t block, uint64_t first, uint64_t rows, char *dst)
{
    const rt_grid *g = &s->grid;
    const rt_h5_chunk *table = s->set->chunk + block * g->per;
    uint64_t tile = g->whole ? rows : tile_rows(s);
    for (uint64_t i = 0; i < g->per; i++)
        if (table[i].bytes && table[i].bytes != g->chunk_bytes) return damaged(s, &table[i]);
    if (g->whole && table->bytes) {
        memcpy(dst, s->chunks + table->offset + first * s->row_bytes, rows * s->row_bytes);
        return RT_OK;
    }
    for (uint64_t r = 0; r < rows; r += tile)
        for (uint64_t from = 0; from < g->per; from += GROUP_CHUNKS) {
            const char *chunk[GROUP_CHUNKS];
            uint64_t to = from + GROUP_CHUNKS < g->per ? from + GROUP_CHUNKS : g->per;
            for (uint64_t i = from; i < to; i++) chunk[i - from] = table[i].bytes ? s->chunks + table[i].offset : NULL;
            uint64_t n = rows - r < tile ? rows - r : tile;
            rt_grid_gather(g, dst + r * s->row_bytes, first + r, n, chunk, from, to, s->set->fill);
        }
    return RT_OK;
}

static rt_status copy_decoded(rt_source *s, uint64_t block, uint64_t first, uint64_t rows, char *dst)
{
    const rt_h5_chunk *table = s->set->chunk + block * s->grid.per;
    const char *data;
    int slot;
    uint64_t unwritten = 0;
    while (unwritten < s->grid.per && !table[unwritten].bytes) unwritten++;
    if (unwritten == s->grid.per) {                   /* no memory is taken for what a file only claims to hold */
        rt_fill(dst, rows * s->row_bytes, s->set->fill, s->set->element);
        return RT_OK;
    }
    RT_TRY(rt_cache_pin(s->cache, s->cache_base + block, &data, &slot));
    memcpy(dst, data + first * s->row_bytes, rows * s->row_bytes);
    rt_cache_release(s->cache, slot);
    return RT_OK;
}

/* Rows [first, first + n), which exist. */
static rt_status read_run(rt_source *s, uint64_t first, uint64_t n, char *dst)
{
    if (!s->row_bytes) return RT_OK;
    if (!s->set->chunked) {
        if (s->checks) RT_TRY(rt_checks_rows(s->checks, s->base, first, n));
        if (s->base) memcpy(dst, s->base + first * s->row_bytes, n * s->row_bytes);
        else rt_fill(dst, n * s->row_bytes, s->set->fill, s->set->element);
    }
    for (uint64_t done = 0; s->set->chunked && done < n;) {
        uint64_t block = (first + done) / s->grid.block_rows, in = (first + done) % s->grid.block_rows;
        uint64_t rows = s->grid.block_rows - in < n - done ? s->grid.block_rows - in : n - done;
        RT_TRY((s->cache ? copy_decoded : copy_mapped)(s, block, in, rows, dst + done * s->row_bytes));
        done += rows;
    }
    if (s->set->swap) rt_swap_bytes(dst, n * s->row_bytes / s->set->element, s->set->element);
    return RT_OK;
}

static rt_status no_row(const rt_source *s, uint64_t row)
{
    return rt_fail(RT_INPUT, "%s: row %llu is asked for, but data set '%s' has %llu", s->file->path,
                   (unsigned long long)row, s->set->name, (unsigned long long)s->rows);
}

static rt_status read_rows(rt_source *s, const uint64_t *row, int n, void *dst)
{
    for (int i = 0; i < n;) {                         /* runs of neighbours in one copy */
        int j = i + 1;
        while (j < n && row[j] == row[j - 1] + 1) j++;
        RT_TRY(read_run(s, row[i], (uint64_t)(j - i), (char *)dst + (size_t)i * s->row_bytes));
        i = j;
    }
    return RT_OK;
}

/* Why a page of the file could not be had. */
static rt_status fault(const rt_source *s)
{
    struct stat file;
    if (!fstat(s->file->fd, &file) && (uint64_t)file.st_size < s->file->size) return was_cut(s, &file);
    return rt_fail(RT_RUN, "%s: reading failed: %s", s->file->path, strerror(EIO));
}

/* n rows: those that row lists, or those from first on where it is NULL. */
static rt_status read_mapped(rt_source *s, const uint64_t *row, uint64_t first, uint64_t n, void *dst)
{
    rt_mapped m;
    RT_TRY(check_size(s));
    if (RT_MAPPED_FAULT(&m)) return fault(s);
    rt_mapped_begin(&m, s->map, s->map_bytes);
    rt_status st = row ? read_rows(s, row, (int)n, dst) : read_run(s, first, n, dst);
    rt_mapped_end();
    return st;
}

rt_status rt_source_read(rt_source *s, const uint64_t *row, int n, void *dst)
{
    for (int i = 0; i < n; i++)
        if (row[i] >= s->rows) return no_row(s, row[i]);
    if (s->parts) return rt_source_read_joined(s, row, 0, (uint64_t)n, dst);
    if (s->links) return rt_source_read_chained(s, row, 0, (uint64_t)n, dst);
    return s->map ? read_mapped(s, row, 0, (uint64_t)n, dst) : read_rows(s, row, n, dst);
}

rt_status rt_source_read_stored(rt_source *s, uint64_t first, uint64_t n, void *dst)
{
    if (n > s->rows || first > s->rows - n) return no_row(s, first > s->rows ? first : s->rows);
    if (s->parts) return rt_source_read_joined(s, NULL, first, n, dst);
    if (s->links) return rt_source_read_chained(s, NULL, first, n, dst);
    return s->map ? read_mapped(s, NULL, first, n, dst) : read_run(s, first, n, dst);
}
