#include "engine/region.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "engine/error.h"
#include "engine/red_zones.h"

/* Under AddressSanitizer what lies between two pieces must not be touched, nor what has not been taken. */
enum { RED = RT_RED_ZONES ? 16 : 0 };

enum { ALIGN = 64, FIRST = 1 << 16 };

typedef struct block {
    struct block *next;
    size_t room, used;
    unsigned char *at;
} block;

struct rt_region {
    size_t budget, used, takes; /* used: of the budget, by what was taken and fills up its place, in so many pieces */
    int fixed;                       /* has its first block alone */
    block *first, *now;
};

rt_region *rt_region_new(size_t budget)
{
    rt_region *r = calloc(1, sizeof *r);
    if (!r) rt_fail(RT_RUN, "out of memory");
    else r->budget = budget;
    return r;
}

void rt_region_free(rt_region *r)
{
    if (!r) return;
    for (block *b = r->first, *next; b; b = next) {
        next = b->next;
        RT_OPEN(b->at, b->room);
        free(b->at);
        free(b);
    }
    free(r);
}

/* A block with room for n more bytes: the one in use, one behind it that a clear has left, or a new one. */
static block *block_for(rt_region *r, size_t n)
{
    while (r->now && r->now->room - r->now->used < n) {
        if (!r->now->next) break;
        r->now = r->now->next;
    }
    if (r->now && r->now->room - r->now->used >= n) return r->now;
    if (r->fixed) {
        rt_fail(RT_INPUT, "needs more than the %zu bytes that it has", r->budget);
        return NULL;
    }
    block *b = calloc(1, sizeof *b);
    size_t room = r->now ? r->now->room * 2 : FIRST;
    if (room > 64u << 20) room = 64u << 20;
    if (room < n) room = n;
    if (b) b->at = aligned_alloc(ALIGN, (room + ALIGN - 1) / ALIGN * ALIGN);
    if (!b || !b->at) {
        free(b);
        rt_fail(RT_RUN, "out of memory: %zu bytes asked for", room);
        return NULL;
    }
    b->room = room;
    RT_CLOSE(b->at, room);
    if (r->now) r->now->next = b;
    else r->first = b;
    return r->now = b;
}

void *rt_region_take(rt_region *r, size_t bytes)
{
    const size_t align = bytes >= ALIGN ? ALIGN : 16;
    const size_t place = bytes > SIZE_MAX - 2 * ALIGN ? bytes : (bytes + !bytes + align - 1) / align * align;
    if (place > r->budget - r->used || bytes > SIZE_MAX - 2 * ALIGN) {
        rt_fail(RT_INPUT,
                "needs more than the budget of %zu MiB of memory; \"memory\" of a model's binding allows more",
                r->budget >> 20);
        return NULL;
    }
    block *b = block_for(r, bytes + !bytes + align + RED);
    if (!b) return NULL;
    b->used = (b->used + align - 1) / align * align;
    void *p = b->at + b->used;
    b->used += bytes + !bytes + RED;
    r->used += place;
    r->takes++;
    RT_OPEN(p, bytes + !bytes);
    return memset(p, 0, bytes + !bytes);
}

void *rt_region_list(rt_region *r, size_t n, size_t size)
{
    size_t bytes;
    if (__builtin_mul_overflow(n, size, &bytes)) bytes = SIZE_MAX;
    return rt_region_take(r, bytes);
}

char *rt_region_text(rt_region *r, const char *text, size_t length)
{
    char *p = length < SIZE_MAX ? rt_region_take(r, length + 1) : NULL;
    if (p && length) memcpy(p, text, length);
    return p;
}

void rt_region_clear(rt_region *r)
{
    for (block *b = r->first; b; b = b->next) {
        b->used = 0;
        if (!r->fixed) RT_CLOSE(b->at, b->room);
    }
    r->now = r->first;
    r->used = r->takes = 0;
}

rt_region *rt_region_over(void *memory, size_t bytes)
{
    size_t skip = (size_t)(-(uintptr_t)memory & (ALIGN - 1));
    if (bytes < skip + 2 * ALIGN + sizeof(rt_region) + sizeof(block)) return NULL;
    unsigned char *at = (unsigned char *)memory + skip;
    rt_region *r = (rt_region *)(void *)at;
    block *b = (block *)(void *)(at + (sizeof *r + 15) / 16 * 16);
    unsigned char *from = (unsigned char *)(b + 1), *end = (unsigned char *)memory + bytes;
    from += -(uintptr_t)from & (ALIGN - 1);
    *b = (block){.room = (size_t)(end - from), .at = from};
    *r = (rt_region){.budget = b->room, .fixed = 1, .first = b, .now = b};
    return r;
}

size_t rt_region_footprint(const rt_region *r)
{ return r->used + r->takes * (ALIGN + RED) + 4 * ALIGN + sizeof(rt_region) + sizeof(block); }

size_t rt_region_used(const rt_region *r) { return r->used; }

void rt_region_allow(rt_region *r, size_t bytes, size_t most)
{
    if (r->fixed || r->budget >= most) return;
    r->budget = bytes > most - r->budget ? most : r->budget + bytes;
}
