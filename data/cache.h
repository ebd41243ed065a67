/* data/cache.h - decoded blocks of a data set, kept within a budget of memory and shared by threads.
 *
 * A block that is there is found without a lock: one table look-up, one atomic addition to pin it, one to let it go.
 * Only a block that has to be loaded takes the lock, which is not held while it loads; threads that want a block which
 * another one is loading wait for it. Blocks that were not used for long give way first (second chance). As long as
 * blocks are asked for in order, as by a single pass over the data, only 8 MiB of them (4 at least) are held; from the
 * first that is asked for out of order on, as many as the budget has. */
#ifndef RT_DATA_CACHE_H
#define RT_DATA_CACHE_H

#include <stddef.h>
#include <stdint.h>

#include "engine/error.h"

typedef struct rt_cache rt_cache;

/* Fills data (block_bytes of it) with a block; called by many threads at once, for different blocks. */
typedef rt_status rt_cache_load(void *arg, uint64_t block, char *data);

/* blocks < 2^31 numbers of blocks; at least two of them are held whatever budget says (one when a single block is above
 * it). They lie in one map, in huge pages where the kernel grants them; pages are taken when they are first touched.
 * RT_RUN when there is no memory for it. */
rt_status rt_cache_new(rt_cache **out, uint64_t blocks, size_t block_bytes, size_t budget, rt_cache_load *,
                       void *arg);
void rt_cache_free(rt_cache *);
/* How many blocks it holds at once. */
int rt_cache_slots(const rt_cache *);

/* The block's bytes, valid until rt_cache_release(*slot). A thread pins one block at a time. Fails as load does, and
 * then the block is tried again by the next who asks. Thread-safe. */
rt_status rt_cache_pin(rt_cache *, uint64_t block, const char **data, int *slot);
void rt_cache_release(rt_cache *, int slot);
#endif
