#include "data/cache.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "engine/red_zones.h"

/* Under AddressSanitizer what lies between two blocks must not be touched, nor a block that was never taken. */
enum { RED = RT_RED_ZONES ? 64 : 0 };

enum { MOST_SLOTS = 1 << 16, ABSENT = -1, ALIGN = 16, HUGE_PAGE = 2 << 20, FEW = 4, FEW_BYTES = 8 << 20 };
#define TAKEN (1u << 31)           /* in slot.pins: the slot's block is being replaced */

/* Who pins a slot (pins + 1) while TAKEN is not set has its block and data fixed until he lets go. Only the holder of
 * the lock sets TAKEN, and only on a slot that nobody pins; whoever pins one that is TAKEN steps back at once. */
typedef struct {
    _Atomic uint32_t pins;
    _Atomic int used;              /* since the hand last came by */
    uint64_t block;                /* written while TAKEN */
    char *data;
} slot;

struct rt_cache {
    size_t block_bytes, stride;    /* stride: from one slot's data to the next one's */
    char *map, *arena;             /* arena: (slots, stride) in the map */
    size_t map_bytes;
    rt_cache_load *load;
    void *arg;
    _Atomic int32_t *where;        /* block to its slot; ABSENT; -2 - slot while it is loaded */
    slot *slot;
    int slots;
    int hand, few, streams;        /* under the lock, as the next two: few: of the slots, those used while it streams */
    int begun;
    uint64_t top;                  /* the highest block that was loaded */
    _Atomic int waiting;           /* threads that look for a slot: who releases one wakes them */
    pthread_mutex_t lock;
    pthread_cond_t changed;
};

/* One mapping for all slots, whose pages come when they are touched: huge ones where the kernel has them, which cost a
 * fault each and not one for every 4 KiB of a block. Fewer slots will not do: orders of rows depend on their number. */
static rt_status map_arena(rt_cache *c)
{
    size_t bytes = (size_t)c->slots * c->stride, huge = bytes >= HUGE_PAGE ? HUGE_PAGE : 0;
    char *p = mmap(NULL, bytes + huge, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED)
        return rt_fail(RT_RUN, "out of memory for %d blocks of %zu bytes", c->slots, c->block_bytes);
    c->map = p;
    c->map_bytes = bytes + huge;
    c->arena = huge ? p + (-(uintptr_t)p & (HUGE_PAGE - 1)) : p;
    if (huge) madvise(c->arena, bytes, MADV_HUGEPAGE);         /* a wish: where it is not granted, small ones do */
    RT_CLOSE(c->map, c->map_bytes);
    return RT_OK;
}

rt_status rt_cache_new(rt_cache **out, uint64_t blocks, size_t block_bytes, size_t budget, rt_cache_load *load,
                       void *arg)
{
    rt_cache *c = *out = calloc(1, sizeof *c);
    if (!c) return rt_fail(RT_RUN, "out of memory");
    c->block_bytes = block_bytes;
    c->stride = (block_bytes + RED + ALIGN - 1) / ALIGN * ALIGN;
    if (!c->stride) c->stride = ALIGN;
    c->load = load;
    c->arg = arg;
    pthread_mutex_init(&c->lock, NULL);
    pthread_cond_init(&c->changed, NULL);
    uint64_t n = block_bytes ? budget / block_bytes : blocks, least = block_bytes > budget ? 1 : 2;
    if (n < least) n = least;
    if (n > MOST_SLOTS) n = MOST_SLOTS;
    if (n > blocks) n = blocks ? blocks : 1;
    c->slots = (int)n;
    c->few = FEW_BYTES / c->stride > FEW ? (int)(FEW_BYTES / c->stride) : FEW;
    c->streams = 1;
    c->slot = calloc(n, sizeof *c->slot);
    c->where = malloc((blocks + 1) * sizeof *c->where);
    rt_status st = c->slot && c->where ? map_arena(c)
                   : rt_fail(RT_RUN, "out of memory for a table of %llu blocks", (unsigned long long)blocks);
    if (st) {
        rt_cache_free(c);
        *out = NULL;
        return st;
    }
    for (uint64_t i = 0; i < blocks; i++) atomic_init(&c->where[i], ABSENT);
    return RT_OK;
}

void rt_cache_free(rt_cache *c)
{
    if (!c) return;
    if (c->map) {
        RT_OPEN(c->map, c->map_bytes);
        munmap(c->map, c->map_bytes);
    }
    free(c->slot);
    free(c->where);
    pthread_mutex_destroy(&c->lock);
    pthread_cond_destroy(&c->changed);
    free(c);
}

int rt_cache_slots(const rt_cache *c) { return c->slots; }

void rt_cache_release(rt_cache *c, int i)
{
    atomic_fetch_sub(&c->slot[i].pins, 1);
    if (!atomic_load(&c->waiting)) return;
    pthread_mutex_lock(&c->lock);
    pthread_cond_broadcast(&c->changed);
    pthread_mutex_unlock(&c->lock);
}

/* The pinned slot of a block, -1 when it is not there. */
static int try_pin(rt_cache *c, uint64_t block)
{
    int i = atomic_load(&c->where[block]);
    if (i < 0) return -1;
    slot *s = &c->slot[i];
    if (!(atomic_fetch_add(&s->pins, 1) & TAKEN) && s->block == block) {
        if (!atomic_load_explicit(&s->used, memory_order_relaxed))
            atomic_store_explicit(&s->used, 1, memory_order_relaxed);
        return i;
    }
    rt_cache_release(c, i);
    return -1;
}

/* A slot of the first n that nobody pins, now TAKEN, or -1; with the lock held. Twice round: the first turn forgets who
 * was used. */
static int take_of(rt_cache *c, int n)
{
    for (int turn = 0; turn < 2 * n; turn++) {
        int i = c->hand < n ? c->hand : 0;
        slot *s = &c->slot[i];
        uint32_t free_slot = 0;
        c->hand = i + 1 < n ? i + 1 : 0;
        if (atomic_exchange_explicit(&s->used, 0, memory_order_relaxed)) continue;
        if (atomic_compare_exchange_strong(&s->pins, &free_slot, TAKEN)) return i;
    }
    return -1;
}

/* A slot for this block, or -1. As long as blocks are asked for in order, or nearly so, as by a single pass, what lies
 * behind is not kept: a few slots, which stay in the CPU's cache, serve as well as fresh memory for all. */
static int take_slot(rt_cache *c, uint64_t block)
{
    uint64_t near = (uint64_t)c->few;
    if (c->streams && c->begun && (block + near / 2 < c->top || block > c->top + near)) {
        c->streams = 0;
        c->hand = c->few < c->slots ? c->few : 0;     /* to those that were never used */
    }
    if (!c->begun || block > c->top) c->top = block;
    c->begun = 1;
    if (!c->streams || c->few >= c->slots) return take_of(c, c->slots);
    int i = take_of(c, c->few);
    if (i < 0) i = take_of(c, ++c->few);              /* many readers hold all of them */
    return i;
}

/* Loads block into slot i, which is TAKEN; leaves it pinned. */
static rt_status load(rt_cache *c, uint64_t block, int i)
{
    slot *s = &c->slot[i];
    if (!s->data) {
        s->data = c->arena + (size_t)i * c->stride;
        RT_OPEN(s->data, c->block_bytes);
    }
    rt_status st = c->load(c->arg, block, s->data);
    pthread_mutex_lock(&c->lock);
    atomic_store(&c->where[block], st ? ABSENT : i);
    atomic_store_explicit(&s->used, !st, memory_order_relaxed);
    if (!st) atomic_fetch_add(&s->pins, 1);
    atomic_fetch_and(&s->pins, ~TAKEN);
    pthread_cond_broadcast(&c->changed);
    pthread_mutex_unlock(&c->lock);
    return st;
}

rt_status rt_cache_pin(rt_cache *c, uint64_t block, const char **data, int *found)
{
    int i;
    while ((i = try_pin(c, block)) < 0) {
        pthread_mutex_lock(&c->lock);
        atomic_fetch_add(&c->waiting, 1);             /* before slots are looked at: no release goes unseen */
        int absent = atomic_load(&c->where[block]) == ABSENT;
        if (absent) i = take_slot(c, block);
        if (i >= 0) {
            slot *s = &c->slot[i];
            if (s->data && atomic_load(&c->where[s->block]) == i) atomic_store(&c->where[s->block], ABSENT);
            s->block = block;
            atomic_store(&c->where[block], -2 - i);
        } else if (absent || atomic_load(&c->where[block]) < ABSENT) pthread_cond_wait(&c->changed, &c->lock);
        atomic_fetch_sub(&c->waiting, 1);
        pthread_mutex_unlock(&c->lock);
        if (i < 0) continue;                          /* another loads it, or all slots are pinned: look again */
        rt_status st = load(c, block, i);
        if (st) return st;
        break;
    }
    *found = i;
    *data = c->slot[i].data;
    return RT_OK;
}
