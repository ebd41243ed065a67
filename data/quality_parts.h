/* data/quality_parts.h - what the files of data/quality.h share. */
#ifndef RT_DATA_QUALITY_PARTS_H
#define RT_DATA_QUALITY_PARTS_H

#include "data/quality.h"

/* C (K, K), rows by label, and counts (K) of labels: joint (K, K), with the rounding of cleanlab. */
rt_status rt_quality_calibrate(int64_t *joint, const int64_t *confident, const uint64_t *given, int classes);
/* take (K, K): of label k, how many rows are to go for class j (take[k * K + j]); the diagonal is what stays. */
void rt_quality_prune(int64_t *take, const int64_t *joint, int classes);

/* Doubles in their order as whole numbers; -0 is 0. */
uint64_t rt_quality_key(double);

/* "The `take` least of a stream of keys, of equal ones the first", for many streams at once. */
typedef struct {
    uint64_t low, high;                /* the last one taken lies in here */
    uint64_t take, within;             /* of the keys in here: how many are taken, how many there are */
    uint64_t *count, *key;             /* of a pass: histogram; the keys themselves */
    uint64_t keys, room;
    int shift, done;
} rt_least;

/* A stream of `within` keys; take <= within. */
rt_least rt_least_of(uint64_t take, uint64_t within);
/* Gives each stream that is not done room for the next pass: memory in all. *open: how many are not done. RT_RUN. */
rt_status rt_least_begin(rt_least *, size_t n, size_t memory, void **room, size_t *open);
/* A key of the pass. */
static inline void rt_least_see(rt_least *s, uint64_t key)
{
    if (s->done || key < s->low || key > s->high) return;
    if (s->count) s->count[(key - s->low) >> s->shift]++;
    else if (s->key && s->keys < s->room) s->key[s->keys++] = key;
}
/* After a pass: less is open. Frees the room. RT_INPUT when the keys were not those of the passes before. */
rt_status rt_least_end(rt_least *, size_t n, void *room);
/* Whether the next key of the stream, which is done, is taken. */
static inline int rt_least_takes(rt_least *s, uint64_t key)
{
    if (key < s->low) return 1;
    if (key > s->low || !s->take) return 0;
    s->take--;
    return 1;
}
#endif
