/* engine/pool.h - a pool of threads that share tiles of work.
 *
 * Tiles are numbered by shape alone, and each tile's result depends on its number alone, so results do not depend on
 * how many threads there are or who took what. Threads spin for some microseconds between jobs, then sleep. */
#ifndef RT_ENGINE_POOL_H
#define RT_ENGINE_POOL_H

#include <pthread.h>

#include "engine/error.h"

/* pthread_create with a stack of 2 MiB, whatever 'ulimit -s' gives the process: a small one would be too little for
 * some kernels, and a thousand large ones more than the machine maps. */
int rt_thread_start(pthread_t *, void *(*fn)(void *), void *arg);

typedef struct rt_pool rt_pool;

/* threads >= 1 counts the caller; 0 means one for each CPU this process may use. NULL and a message when out of memory.
 */
rt_pool *rt_pool_new(int threads);
void rt_pool_free(rt_pool *);
int rt_pool_threads(const rt_pool *);

/* Calls fn(arg, tile, thread) for each tile < tiles, thread < rt_pool_threads; returns when all are done.
 * One thread may call this on a pool at a time; fn must not. */
void rt_pool_run(rt_pool *, int tiles, void (*fn)(void *arg, int tile, int thread), void *arg);

int rt_cpu_count(void);
#endif
