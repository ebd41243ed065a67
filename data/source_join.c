/* data/source_join.c - data sets side by side, and behind each other, as one source. */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data/source_parts.h"

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
rt_status rt_source_read_joined(rt_source *s, const uint64_t *row, uint64_t first, uint64_t n, char *dst)
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
int rt_source_slowest(const rt_source *s)
{
    int slowest = 0;
    for (int i = 1; i < s->parts; i++)
        if (rt_source_block(s->part[i].source) > rt_source_block(s->part[slowest].source)) slowest = i;
    return slowest;
}

/* As many of its blocks as every part can hold the rows of. */
int rt_source_joined_window(const rt_source *s)
{
    uint64_t block = rt_source_block(s), least = INT_MAX;
    for (int i = 0; i < s->parts; i++) {
        uint64_t blocks = (uint64_t)rt_source_window_blocks(s->part[i].source);
        uint64_t fit = blocks == INT_MAX ? INT_MAX : blocks * rt_source_block(s->part[i].source) / block;
        if (fit < least) least = fit;
    }
    return least ? (int)least : 1;
}

/* ---- behind each other ---- */

/* The link that has this row or block: the last that begins at or before it. */
static int link_of(const uint64_t *first, int links, uint64_t at)
{
    int low = 0, n = links;
    while (n > 1) {
        int half = n / 2;
        if (first[low + half] <= at) low += half;
        n -= half;
    }
    return low;
}

static rt_status load_chained(void *arg, uint64_t block, char *data)
{
    rt_source *s = arg;
    int k = link_of(s->first_block, s->links, block);
    return rt_source_load(s->link[k], block - s->first_block[k], data);
}

/* One cache for what any of them decodes. */
static rt_status share_cache(rt_source *s)
{
    size_t most = 0;
    for (int i = 0; i < s->links; i++) {
        size_t bytes = rt_source_decoded_bytes(s->link[i]);
        s->first_block[i + 1] = s->first_block[i] + (bytes ? s->link[i]->grid.blocks : 0);
        if (bytes > most) most = bytes;
    }
    if (!most) return RT_OK;
    if (s->first_block[s->links] >= (uint64_t)1 << 31)
        return rt_fail(RT_INPUT, "%s: data set '%s' has over 2^31 blocks of chunks; write it with larger ones",
                       s->file->path, s->set->name);
    RT_TRY(rt_cache_new(&s->cache, s->first_block[s->links], most, RT_SOURCE_CACHE, load_chained, s));
    for (int i = 0; i < s->links; i++) {
        if (!rt_source_decoded_bytes(s->link[i])) continue;
        s->link[i]->cache = s->cache;
        s->link[i]->cache_base = s->first_block[i];
    }
    return RT_OK;
}

static rt_status open_links(rt_source *s, const char *dataset)
{
    RT_TRY(rt_h5_need(&s->set, s->file, dataset));
    if (!strcmp(s->set->name, "manifest"))
        return rt_fail(RT_INPUT, "%s: data set 'manifest' is a text of each file, not rows", s->file->path);
    for (int i = 0; i < s->file->parts; i++, s->links++) {
        RT_TRY(rt_source_open_set(&s->link[i], s->file->part[i], dataset, 1));
        s->first[i + 1] = s->first[i] + s->link[i]->rows;
    }
    s->rows = s->first[s->links];
    s->row_bytes = s->link[0]->row_bytes;
    return share_cache(s);
}

rt_status rt_source_chain(rt_source **out, rt_h5_file *file, const char *dataset)
{
    size_t n = (size_t)file->parts + 1;
    *out = NULL;
    rt_source *s = calloc(1, sizeof *s);
    if (!s) return rt_fail(RT_RUN, "out of memory");
    pthread_mutex_init(&s->lock, NULL);
    s->file = file;
    file->users++;
    s->link = calloc(n, sizeof(rt_source *));
    s->first = calloc(n, sizeof *s->first);
    s->first_block = calloc(n, sizeof *s->first_block);
    rt_status st = s->link && s->first && s->first_block ? RT_OK : rt_fail(RT_RUN, "out of memory");
    if (!st) st = open_links(s, dataset);
    if (st) rt_source_close(s);
    else *out = s;
    return st;
}

/* n rows from first on, of as many links as they lie in. */
static rt_status read_span(rt_source *s, uint64_t first, uint64_t n, char *dst)
{
    for (int k = link_of(s->first, s->links, first); n; k++) {
        uint64_t here = s->first[k + 1] - first;
        if (here > n) here = n;
        RT_TRY(rt_source_read_stored(s->link[k], first - s->first[k], here, dst));
        first += here;
        n -= here;
        dst += here * s->row_bytes;
    }
    return RT_OK;
}

rt_status rt_source_read_chained(rt_source *s, const uint64_t *row, uint64_t first, uint64_t n, char *dst)
{
    enum { SOME = 256 };
    uint64_t local[SOME];
    if (!row) return read_span(s, first, n, dst);
    for (uint64_t i = 0; i < n;) {                    /* rows of one file together */
        int k = link_of(s->first, s->links, row[i]), m = 0;
        for (; m < SOME && i + (uint64_t)m < n; m++) {
            uint64_t r = row[i + (uint64_t)m];
            if (r < s->first[k] || r >= s->first[k + 1]) break;
            local[m] = r - s->first[k];
        }
        RT_TRY(rt_source_read(s->link[k], local, m, dst + i * s->row_bytes));
        i += (uint64_t)m;
    }
    return RT_OK;
}

uint64_t rt_source_chained_block(const rt_source *s)
{
    uint64_t most = 1;
    for (int i = 0; i < s->links; i++) {
        uint64_t block = rt_source_block(s->link[i]);
        if (block > most) most = block;
    }
    return most;
}

/* As many blocks of the largest as the cache holds, where a file with smaller ones needs several in their place. */
int rt_source_chained_window(const rt_source *s)
{
    if (!s->cache) return INT_MAX;
    uint64_t block = rt_source_chained_block(s), most = 1, units = 0, slots = (uint64_t)rt_cache_slots(s->cache);
    for (int i = 0; i < s->links; i++) {
        uint64_t own = rt_source_block(s->link[i]), each = block / own + (block % own != 0);
        units += s->link[i]->rows / block + (s->link[i]->rows % block != 0);
        if (s->link[i]->cache && each + 1 > most && own != block) most = each + 1;
    }
    if (slots == s->first_block[s->links]) return units < INT_MAX ? (int)units : INT_MAX;
    slots = slots > 3 ? (slots - 2) / most : 1;
    return slots ? (int)slots : 1;
}

int rt_source_files_behind(const rt_source *s, const uint64_t **first)
{
    if (s->parts) return rt_source_files_behind(s->part[rt_source_slowest(s)].source, first);
    if (first) *first = s->links ? s->first : NULL;
    return s->links ? s->links : 1;
}

rt_source *rt_source_link(const rt_source *s, int i) { return s->links ? s->link[i] : (rt_source *)(uintptr_t)s; }
