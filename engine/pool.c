#include "engine/pool.h"

#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include "engine/kernels.h"

enum { RING = 8, SPIN = 4000, STACK = 2 << 20 };

typedef struct {
    void (*fn)(void *, int, int);
    void *arg;
    _Atomic int tiles, done;
} job;

/* Each thread has a share of a job's tiles, the same every time, so that what it wrote last time is in its own cache;
 * when it has done them it helps others. */
typedef struct { _Alignas(64) _Atomic uint64_t next; } share;   /* job number << 32 | next tile */

struct rt_pool {
    int threads;
    share *shares;                          /* one for each thread */
    _Alignas(64) _Atomic uint32_t number;   /* of the job that was published last */
    _Alignas(64) job ring[RING];
    _Atomic int running, sleepers, stop;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    pthread_t *ids;
    struct worker { rt_pool *pool; int index; } *workers;
};

static inline void pause_cpu(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#else
    sched_yield();
#endif
}

static int share_start(int tiles, int share, int threads) { return (int)((int64_t)tiles * share / threads); }

/* Runs one tile of the current job from a share; 0 when none is left. A claim that succeeds pins the job: it cannot
 * end, nor its ring slot be used again, before this tile is counted as done. */
static int claim(rt_pool *p, int from, int thread)
{
    _Atomic uint64_t *next = &p->shares[from].next;
    uint64_t s = atomic_load_explicit(next, memory_order_acquire);
    for (;;) {
        job *j = &p->ring[(s >> 32) % RING];
        int end = share_start(atomic_load_explicit(&j->tiles, memory_order_relaxed), from + 1, p->threads);
        if ((int)(uint32_t)s >= end) return 0;
        if (atomic_compare_exchange_weak_explicit(next, &s, s + 1, memory_order_acq_rel, memory_order_acquire)) {
            j->fn(j->arg, (int)(uint32_t)s, thread);
            atomic_fetch_add_explicit(&j->done, 1, memory_order_release);
            return 1;
        }
    }
}

static void drain(rt_pool *p, int thread)
{
    for (int i = 0; i < p->threads; i++) {
        int from = thread + i < p->threads ? thread + i : thread + i - p->threads;
        while (claim(p, from, thread)) ;
    }
}

static void *work(void *arg)
{
    struct worker *w = arg;
    rt_pool *p = w->pool;
    uint32_t seen = 0;
    rt_fp_mode();
    atomic_fetch_add(&p->running, 1);
    for (;;) {
        int spin = 0;
        while (atomic_load(&p->number) == seen) {
            if (atomic_load(&p->stop)) return NULL;
            if (++spin < SPIN) {
                pause_cpu();
                continue;
            }
            pthread_mutex_lock(&p->lock);
            atomic_fetch_add(&p->sleepers, 1);
            while (atomic_load(&p->number) == seen && !atomic_load(&p->stop)) pthread_cond_wait(&p->wake, &p->lock);
            atomic_fetch_sub(&p->sleepers, 1);
            pthread_mutex_unlock(&p->lock);
            spin = 0;
        }
        seen = atomic_load(&p->number);
        drain(p, w->index);
    }
}

int rt_cpu_count(void)
{
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0) return CPU_COUNT(&set);
    long n = sysconf(_SC_NPROCESSORS_ONLN);
    return n > 0 ? (int)n : 1;
}

/* Ends the threads that were started, the caller's and started - 1 others. */
static void stop(rt_pool *p, int started)
{
    pthread_mutex_lock(&p->lock);
    atomic_store(&p->stop, 1);
    pthread_cond_broadcast(&p->wake);
    pthread_mutex_unlock(&p->lock);
    for (int i = 1; i < started; i++) pthread_join(p->ids[i], NULL);
    pthread_mutex_destroy(&p->lock);
    pthread_cond_destroy(&p->wake);
    free(p->shares);
    free(p->ids);
    free(p->workers);
    free(p);
}

int rt_thread_start(pthread_t *id, void *(*fn)(void *), void *arg)
{
    pthread_attr_t a;
    int error = pthread_attr_init(&a);
    if (error) return error;
    error = pthread_attr_setstacksize(&a, STACK);
    if (!error) error = pthread_create(id, &a, fn, arg);
    pthread_attr_destroy(&a);
    return error;
}

rt_pool *rt_pool_new(int threads)
{
    if (threads <= 0) threads = rt_cpu_count();
    if (threads > 1024) threads = 1024;
    rt_pool *p = aligned_alloc(64, sizeof *p);
    share *shares = aligned_alloc(64, (size_t)threads * sizeof *shares);
    struct worker *workers = calloc((size_t)threads, sizeof *workers);
    pthread_t *ids = calloc((size_t)threads, sizeof *ids);
    if (!p || !shares || !workers || !ids) {
        free(p);
        free(shares);
        free(workers);
        free(ids);
        rt_fail(RT_RUN, "out of memory for a pool of %d threads", threads);
        return NULL;
    }
    *p = (rt_pool){.threads = threads, .shares = shares, .ids = ids, .workers = workers};
    for (int i = 0; i < threads; i++) atomic_init(&shares[i].next, 0);
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->wake, NULL);
    rt_fp_mode();
    for (int i = 1; i < threads; i++) {
        workers[i] = (struct worker){p, i};
        if (rt_thread_start(&ids[i], work, &workers[i])) {
            rt_fail(RT_RUN, "could not start thread %d of %d; use fewer --threads", i, threads);
            stop(p, i);
            return NULL;
        }
    }
    /* A process that forks next, to read a file, shall find no thread half started, with locks of its run-time library
     * taken. */
    while (atomic_load(&p->running) < threads - 1) sched_yield();
    return p;
}

void rt_pool_free(rt_pool *p)
{
    if (p) stop(p, p->threads);
}

int rt_pool_threads(const rt_pool *p) { return p->threads; }

void rt_pool_run(rt_pool *p, int tiles, void (*fn)(void *, int, int), void *arg)
{
    if (p->threads == 1 || tiles <= 1) {
        for (int t = 0; t < tiles; t++) fn(arg, t, 0);
        return;
    }
    uint32_t number = atomic_load_explicit(&p->number, memory_order_relaxed) + 1;
    job *j = &p->ring[number % RING];
    j->fn = fn;
    j->arg = arg;
    atomic_store_explicit(&j->done, 0, memory_order_relaxed);
    atomic_store_explicit(&j->tiles, tiles, memory_order_relaxed);
    for (int i = 0; i < p->threads; i++)
        atomic_store_explicit(&p->shares[i].next, (uint64_t)number << 32 | (uint32_t)share_start(tiles, i, p->threads),
                              memory_order_release);
    atomic_store(&p->number, number);
    if (atomic_load(&p->sleepers)) {
        pthread_mutex_lock(&p->lock);
        pthread_cond_broadcast(&p->wake);
        pthread_mutex_unlock(&p->lock);
    }
    drain(p, 0);
    for (int spin = 0; atomic_load_explicit(&j->done, memory_order_acquire) < tiles;)
        if (++spin < SPIN) pause_cpu(); else sched_yield();
}
