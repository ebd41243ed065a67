/* data/quality_least.c - the n-th of a stream that is too long to be kept: histograms of ever smaller spans of keys,
 * and the keys themselves once those of a span are few. */
#include <stdlib.h>
#include <string.h>

#include "data/quality_parts.h"

enum { BITS = 12 };

uint64_t rt_quality_key(double v)
{
    uint64_t b;
    v += 0.0;
    memcpy(&b, &v, sizeof b);
    return b >> 63 ? ~b : b | (uint64_t)1 << 63;
}

/* The keys up to `last` are taken, whatever comes behind. */
static void all_to(rt_least *s, uint64_t last)
{
    s->low = last;
    s->take = UINT64_MAX;
    s->done = 1;
}

static void settle(rt_least *s)
{
    if (!s->take) *s = (rt_least){.done = 1};
    else if (s->take == s->within) all_to(s, s->high);
    else if (s->low == s->high) s->done = 1;
}

rt_least rt_least_of(uint64_t take, uint64_t within)
{
    rt_least s = {.low = rt_quality_key(-4), .high = rt_quality_key(4), .take = take, .within = within};
    settle(&s);
    return s;
}

rt_status rt_least_begin(rt_least *s, size_t n, size_t memory, void **room, size_t *open)
{
    uint64_t words = memory / 2 / 8, kept = 0, used = 0;
    int bits = BITS;
    *open = 0;
    *room = NULL;
    for (size_t i = 0; i < n; i++) *open += !s[i].done;
    if (!*open) return RT_OK;
    /* half of the memory for keys of spans that hold few, the other for histograms */
    for (size_t i = 0; i < n; i++) {
        s[i].count = s[i].key = NULL;
        s[i].keys = s[i].room = 0;
        if (s[i].done || s[i].within > words - kept) continue;
        kept += s[i].room = s[i].within;
    }
    while (bits > 1 && (uint64_t)*open << bits > words) bits--;
    for (size_t i = 0; i < n; i++)
        if (!s[i].done && !s[i].room) used += (uint64_t)1 << bits;
    uint64_t *w = *room = calloc(kept + used + 1, 8);
    if (!w) return rt_fail(RT_RUN, "out of memory");
    for (size_t i = 0; i < n; i++) {
        if (s[i].done) continue;
        if (s[i].room) {
            s[i].key = w;
            w += s[i].room;
            continue;
        }
        s[i].count = w;
        w += (uint64_t)1 << bits;
        for (s[i].shift = 0; (s[i].high - s[i].low) >> s[i].shift >> bits; s[i].shift++) {}
    }
    return RT_OK;
}

/* What a[at] would be if a[0..n) were sorted (Hoare's selection); moves elements. */
static uint64_t select_key(uint64_t *a, uint64_t n, uint64_t at)
{
    for (uint64_t low = 0, high = n - 1; low < high;) {
        uint64_t x = a[low], y = a[low + (high - low) / 2], z = a[high], i = low, j = high;
        uint64_t middle = x < y ? (y < z ? y : x < z ? z : x) : (x < z ? x : y < z ? z : y);
        for (;;) {
            while (a[i] < middle) i++;
            while (a[j] > middle) j--;
            if (i >= j) break;
            uint64_t t = a[i];
            a[i++] = a[j];
            a[j--] = t;
        }
        if (at <= j) high = j;             /* [low, j] <= middle <= (j, high] */
        else low = j + 1;
    }
    return a[at];
}

static int end_keys(rt_least *s)
{
    uint64_t below = 0;
    if (s->keys != s->within) return 0;
    s->low = select_key(s->key, s->keys, s->take - 1);
    for (uint64_t i = 0; i < s->keys; i++) below += s->key[i] < s->low;
    s->take -= below;
    s->done = 1;
    return 1;
}

static int end_histogram(rt_least *s)
{
    uint64_t bin = 0, before = 0, bins = ((s->high - s->low) >> s->shift) + 1;
    while (bin < bins && before + s->count[bin] < s->take) before += s->count[bin++];
    if (bin == bins) return 0;
    s->take -= before;
    s->within = s->count[bin];
    s->low += bin << s->shift;
    uint64_t span = ((uint64_t)1 << s->shift) - 1;
    if (s->high - s->low > span) s->high = s->low + span;
    settle(s);
    return 1;
}

rt_status rt_least_end(rt_least *s, size_t n, void *room)
{
    int same = 1;
    for (size_t i = 0; i < n; i++) {
        if (s[i].done) continue;
        same &= s[i].key ? end_keys(&s[i]) : end_histogram(&s[i]);
        s[i].count = s[i].key = NULL;
    }
    free(room);
    return same ? RT_OK : rt_fail(RT_INPUT, "the rows changed while they were read; run it again");
}
