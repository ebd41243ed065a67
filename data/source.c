#include "data/source.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "data/cache.h"
#include "data/checks.h"
#include "data/decode.h"
#include "data/grid.h"
#include "data/mapped.h"

enum { CACHE_BYTES = 256 << 20, BLOCK_BYTES = 1 << 30 };
enum { GROUP_CHUNKS = 64, GROUP_BYTES = 4 << 20, TILE_BYTES = 128 << 10 };

/* A decoder with room for the chunks that are spread over rows together. Idle ones wait in a list. */
typedef struct worker { rt_decoder *decoder; char *group; struct worker *next; } worker;

/* One of the data sets that stand side by side. */
typedef struct {
    rt_source *source;
    char *name;
    size_t at;                     /* bytes from the beginning of a row */
} joined_part;

struct rt_source {
    joined_part part[RT_SOURCE_PARTS];
    int parts;                     /* 0: one data set, and all below; else only file, set, row_bytes and rows */
    rt_h5_dataset *joined;         /* what `set` is then */
    rt_h5_file *file;
    const rt_h5_dataset *set;
    size_t row_bytes;
    uint64_t rows;
    void *map;
    size_t map_bytes;
    _Atomic long checked;          /* when the file's size was last compared, in ticks of the coarse clock */
    rt_checks *checks;             /* of data that lies in one piece; NULL: there are none */
    const char *base;              /* row 0 of data that lies in one piece */
    const char *chunks;            /* byte 0 of the file, of chunks without filters */
    rt_cache *cache;               /* of other chunks' blocks */
    rt_grid grid;
    worker *idle;
    pthread_mutex_t lock;          /* of idle */
};

/* ---- decoding blocks ---- */

static uint64_t group_size(const rt_grid *g)
{
    uint64_t n = GROUP_BYTES / (g->chunk_bytes + RT_DECODE_SLACK);
    n = n < 1 ? 1 : n > GROUP_CHUNKS ? GROUP_CHUNKS : n;
    return n < g->per ? n : g->per;
}

static void free_worker(worker *w)
{
    rt_decoder_free(w->decoder);
    free(w->group);
    free(w);
}

static worker *get_worker(rt_source *s)
{
    pthread_mutex_lock(&s->lock);
    worker *w = s->idle;
    if (w) s->idle = w->next;
    pthread_mutex_unlock(&s->lock);
    if (w || !(w = calloc(1, sizeof *w))) return w;
    w->decoder = rt_decoder_new();
    if (!s->grid.whole) w->group = malloc(group_size(&s->grid) * (s->grid.chunk_bytes + RT_DECODE_SLACK));
    if (w->decoder && (s->grid.whole || w->group)) return w;
    free_worker(w);
    return NULL;
}

static void put_worker(rt_source *s, worker *w)
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
static rt_status load_cut(rt_source *s, worker *w, uint64_t block, char *data)
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

static rt_status load_block(void *arg, uint64_t block, char *data)
{
    rt_source *s = arg;
    worker *w = get_worker(s);
    if (!w) return rt_fail(RT_RUN, "out of memory for a block of chunks");
    const rt_h5_chunk *c = &s->set->chunk[block];
    rt_status st = RT_OK;
    if (!s->grid.whole) st = load_cut(s, w, block, data);
    else if (c->bytes) st = rt_decode_chunk(w->decoder, s->file, s->set, c, s->grid.chunk_bytes, data);
    else rt_fill(data, s->grid.chunk_bytes, s->set->fill, s->set->element);
    put_worker(s, w);
    return st;
}

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

static rt_status open_chunks(rt_source *s)
{
    rt_grid_init(&s->grid, s->set);
    if (!s->rows || !s->row_bytes) return RT_OK;
    if (!s->set->filters) return map_file(s, 0, s->file->size, &s->chunks);
    uint64_t rows = s->grid.block_rows < s->rows ? s->grid.block_rows : s->rows;
    uint64_t bytes = s->grid.whole ? s->grid.chunk_bytes : rows * s->row_bytes;
    if (rows > BLOCK_BYTES / s->row_bytes || bytes > BLOCK_BYTES)
        return rt_fail(RT_INPUT, "%s: data set '%s': %llu rows of %zu bytes lie in chunks that must be decoded"
                       " together, more than %d MiB; rewrite it with fewer rows in a chunk", s->file->path,
                       s->set->name, (unsigned long long)rows, s->row_bytes, BLOCK_BYTES >> 20);
    return rt_cache_new(&s->cache, s->grid.blocks, bytes + RT_DECODE_SLACK, CACHE_BYTES, load_block, s);
}

rt_status rt_source_open_in(rt_source **out, rt_h5_file *file, const char *dataset)
{
    *out = NULL;
    rt_source *s = calloc(1, sizeof *s);
    if (!s) return rt_fail(RT_RUN, "out of memory");
    pthread_mutex_init(&s->lock, NULL);
    s->file = file;
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

rt_status rt_source_open(rt_source **out, const char *path, const char *dataset)
{
    rt_h5_file *f;
    *out = NULL;
    RT_TRY(rt_h5_scan(&f, path));
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
    free(s->joined);
    if (s->map) munmap(s->map, s->map_bytes);
    rt_cache_free(s->cache);
    rt_checks_close(s->checks);
    while (s->idle) {
        worker *w = s->idle;
        s->idle = w->next;
        free_worker(w);
    }
    if (!s->parts) rt_h5_close(s->file);
    pthread_mutex_destroy(&s->lock);
    free(s);
}

/* ---- side by side ---- */

/* The name tells the parts and what they are, as two that differ must not have one name. */
static void name_joined(rt_source *s)
{
    rt_hasher *h = rt_hasher_new();
    char text[RT_H5_NAME + 300], *name = s->joined->name;
    size_t n = 0, most = RT_H5_NAME - 40;
    for (int i = 0; i < s->parts; i++) {
        const rt_h5_dataset *d = s->part[i].source->set;
        int k = snprintf(text, sizeof text, "%s%s:%s", i ? ", " : "", s->part[i].name, d->name);
        if (n + (size_t)k < most) n += (size_t)snprintf(name + n, most - n, "%s", text);
        rt_hasher_add(h, text, strlen(text) + 1);
        k = snprintf(text, sizeof text, "%s %d", rt_dtype_name(d->type), d->rank);
        for (int j = 0; j < d->rank; j++)
            k += snprintf(text + k, sizeof text - (size_t)k, " %llu", (unsigned long long)d->dim[j]);
        rt_hasher_add(h, text, strlen(text) + 1);
    }
    snprintf(name + n, RT_H5_NAME - n, " (%.16s)", rt_hasher_end(h).hex);
}

static rt_status join(rt_source *s, int home)
{
    const rt_source *first = s->part[home].source;
    uint64_t bytes = 0;
    for (int i = 0; i < s->parts; i++) {
        const rt_source *p = s->part[i].source;
        if (p->rows != first->rows)
            return rt_fail(RT_INPUT, "%s: data set '%s' has %llu rows, '%s' of %s has %llu", p->file->path,
                           p->set->name, (unsigned long long)p->rows, first->set->name, first->file->path,
                           (unsigned long long)first->rows);
        if (p->set->type == RT_TEXT)
            return rt_fail(RT_INPUT, "%s: data set '%s' is text, not numbers", p->file->path, p->set->name);
        s->part[i].at = (size_t)bytes;
        bytes += (p->row_bytes + 7) & ~(uint64_t)7;
    }
    if (RT_SOURCE_ROW_BYTES < bytes)
        return rt_fail(RT_INPUT, "%s: a row of all inputs takes %llu bytes, at most %d are read", first->file->path,
                       (unsigned long long)bytes, RT_SOURCE_ROW_BYTES);
    s->rows = first->rows;
    s->row_bytes = (size_t)bytes;
    s->file = first->file;
    s->joined->type = RT_U8;
    s->joined->element = 1;
    s->joined->rank = 2;
    s->joined->dim[0] = s->rows;
    s->joined->dim[1] = bytes;
    name_joined(s);
    s->set = s->joined;
    return RT_OK;
}

rt_status rt_source_join(rt_source **out, rt_source **part, const char *const *name, int parts, int home)
{
    rt_source *s = calloc(1, sizeof *s);
    *out = NULL;
    rt_status st = s && (s->joined = calloc(1, sizeof *s->joined)) ? RT_OK : rt_fail(RT_RUN, "out of memory");
    for (int i = 0; i < parts; i++) {
        if (!s) rt_source_close(part[i]);
        else s->part[s->parts++] = (joined_part){.source = part[i], .name = strdup(name[i])};
        if (s && !s->part[i].name && !st) st = rt_fail(RT_RUN, "out of memory");
    }
    if (!s) return st;
    pthread_mutex_init(&s->lock, NULL);
    if (!st) st = join(s, home);
    if (st) rt_source_close(s);
    else *out = s;
    return st;
}

int rt_source_parts(const rt_source *s) { return s->parts ? s->parts : 1; }

rt_source *rt_source_part(const rt_source *s, int i, const char **name, size_t *at)
{
    if (name) *name = s->parts ? s->part[i].name : "";
    if (at) *at = s->parts ? s->part[i].at : 0;
    return s->parts ? s->part[i].source : (rt_source *)(uintptr_t)s;
}

int rt_source_find_part(const rt_source *s, const char *name)
{
    for (int i = 0; i < s->parts; i++) if (!strcmp(s->part[i].name, name)) return i;
    return -1;
}

enum { PIECE_BYTES = 64 << 10 };

/* n rows of every part, a few at a time, into their places. */
static rt_status read_parts(rt_source *s, const uint64_t *row, uint64_t first, uint64_t n, char *dst)
{
    for (int i = 0; i < s->parts; i++) {
        rt_source *p = s->part[i].source;
        size_t bytes = p->row_bytes, room = (bytes + 7) & ~(size_t)7, few = bytes < PIECE_BYTES ? PIECE_BYTES : bytes;
        uint64_t at_once = bytes ? few / bytes : n;
        char *piece = malloc(few);
        if (!piece) return rt_fail(RT_RUN, "out of memory");
        rt_status st = RT_OK;
        for (uint64_t done = 0; done < n && !st; done += at_once) {
            uint64_t k = n - done < at_once ? n - done : at_once;
            st = row ? rt_source_read(p, row + done, (int)k, piece) : rt_source_read_stored(p, first + done, k, piece);
            char *to = dst + done * s->row_bytes + s->part[i].at;
            for (uint64_t r = 0; r < k && !st; r++, to += s->row_bytes) {
                memcpy(to, piece + r * bytes, bytes);
                memset(to + bytes, 0, room - bytes);
            }
        }
        free(piece);
        if (st) return st;
    }
    return RT_OK;
}

/* A shuffle keeps together what the part with the largest blocks has to decode. */
static int slowest_part(const rt_source *s)
{
    int slowest = 0;
    for (int i = 1; i < s->parts; i++)
        if (rt_source_block(s->part[i].source) > rt_source_block(s->part[slowest].source)) slowest = i;
    return slowest;
}

/* As many of its blocks as every part can hold the rows of. */
static int joined_window(const rt_source *s)
{
    uint64_t block = rt_source_block(s), least = INT_MAX;
    for (int i = 0; i < s->parts; i++) {
        uint64_t blocks = (uint64_t)rt_source_window_blocks(s->part[i].source);
        uint64_t fit = blocks == INT_MAX ? INT_MAX : blocks * rt_source_block(s->part[i].source) / block;
        if (fit < least) least = fit;
    }
    return least ? (int)least : 1;
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
    if (s->parts) return rt_source_block(s->part[slowest_part(s)].source);
    if (!s->set->chunked || (s->grid.whole && !s->set->filters)) return 1;
    uint64_t rows = s->rows ? s->rows : 1;
    return s->grid.block_rows < rows ? s->grid.block_rows : rows;
}

int rt_source_window_blocks(const rt_source *s)
{
    if (s->parts) return joined_window(s);
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
    RT_TRY(rt_cache_pin(s->cache, block, &data, &slot));
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
    if (s->parts) return read_parts(s, row, 0, (uint64_t)n, dst);
    return s->map ? read_mapped(s, row, 0, (uint64_t)n, dst) : read_rows(s, row, n, dst);
}

rt_status rt_source_read_stored(rt_source *s, uint64_t first, uint64_t n, void *dst)
{
    if (n > s->rows || first > s->rows - n) return no_row(s, first > s->rows ? first : s->rows);
    if (s->parts) return read_parts(s, NULL, first, n, dst);
    return s->map ? read_mapped(s, NULL, first, n, dst) : read_run(s, first, n, dst);
}
