#include "data/stream.h"

#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/rng.h"

enum { WINDOW_BLOCKS = 16 };       /* chunks that a block shuffle mixes */

typedef struct { rt_batch b; int ready; rt_status status; char message[2048]; } slot;

struct rt_stream {
    rt_stream_spec spec;
    uint64_t steps, next_fill, next_take, first;
    size_t row_bytes;
    slot *ring;
    int depth, thread_count, stop;
    pthread_t *thread;
    pthread_mutex_t lock;
    pthread_cond_t filled, freed;
};

/* ---- order ---- */

/* Position i of an epoch to an index into spec.rows. Contiguous sources are shuffled whole; chunked ones by permuting
 * blocks of rows and then rows within windows of blocks, so that a chunk is decoded about once an epoch. */
static uint64_t place(const rt_stream_spec *s, uint64_t i, uint32_t epoch)
{
    uint64_t block = rt_source_block(s->x), n = s->rows->count, blocks = n / block;
    if (block <= 1 || blocks <= 1) return rt_permute(i, n, s->seed, RT_RNG_SHUFFLE, epoch, 0);
    uint64_t window = WINDOW_BLOCKS * block, w = i / window, whole = blocks * block;
    if (i >= whole) return whole + rt_permute(i - whole, n - whole, s->seed, RT_RNG_SHUFFLE, epoch, UINT32_MAX);
    uint64_t first = w * window, size = whole - first < window ? whole - first : window;
    uint64_t j = rt_permute(i - first, size, s->seed, RT_RNG_SHUFFLE, epoch, (uint32_t)w + 1);
    uint64_t b = rt_permute((first + j) / block, blocks, s->seed, RT_RNG_SHUFFLE, epoch, 0);
    return b * block + (first + j) % block;
}

/* ---- filling ---- */

static rt_status check_finite(const rt_stream_spec *s, const rt_batch *b, size_t row_bytes)
{
    rt_dtype t = rt_source_type(s->x);
    if (t != RT_F16 && t != RT_F32 && t != RT_F64) return RT_OK;
    size_t size = rt_dtype_size(t), n = row_bytes / size;
    for (int r = 0; r < b->rows; r++) {
        const char *p = b->x + (size_t)r * row_bytes;
        int bad = 0;
        if (t == RT_F32) {
            for (size_t i = 0; i < n; i++) bad |= (((const uint32_t *)p)[i] & 0x7f800000u) == 0x7f800000u;
        } else if (t == RT_F16) {
            for (size_t i = 0; i < n; i++) bad |= (((const uint16_t *)p)[i] & 0x7c00u) == 0x7c00u;
        } else {
            for (size_t i = 0; i < n; i++) bad |= !isfinite(((const double *)p)[i]);
        }
        if (bad) return rt_fail(RT_INPUT, "%s: row %llu contains NaN or infinity; clean the data first", rt_source_path(s->x), (unsigned long long)b->row[r]);
    }
    return RT_OK;
}

static rt_status fill(rt_stream *t, slot *q, uint64_t number)
{
    const rt_stream_spec *s = &t->spec;
    rt_batch *b = &q->b;
    b->number = number;
    b->epoch = (uint32_t)(number / t->steps);
    b->step = (uint32_t)(number % t->steps);
    uint64_t first = (uint64_t)b->step * (uint64_t)s->batch, left = s->rows->count - first;
    b->rows = left < (uint64_t)s->batch ? (int)left : s->batch;
    if (s->shuffle) for (int i = 0; i < b->rows; i++) b->row[i] = rt_rows_at(s->rows, place(s, first + (uint64_t)i, b->epoch));
    else rt_rows_list(s->rows, first, (uint64_t)b->rows, b->row);
    RT_TRY(rt_source_read(s->x, b->row, b->rows, b->x));
    RT_TRY(check_finite(s, b, t->row_bytes));
    if (s->y) RT_TRY(rt_targets_read(s->y, b->row, b->rows, b->y));
    return s->labels ? rt_labels_read(s->labels, b->row, b->rows, b->soft) : RT_OK;
}

static void fill_slot(rt_stream *t, slot *q, uint64_t number)
{
    q->status = fill(t, q, number);
    if (q->status) snprintf(q->message, sizeof q->message, "%s", rt_error_message());
}

static void *reader(void *arg)
{
    rt_stream *t = arg;
    pthread_mutex_lock(&t->lock);
    while (!t->stop) {
        /* The batch in use keeps its slot until the one after it is asked for. */
        if (t->next_fill + 1 >= t->next_take + (uint64_t)t->depth + (t->next_take == t->first)) {
            pthread_cond_wait(&t->freed, &t->lock);
            continue;
        }
        uint64_t g = t->next_fill++;
        slot *q = &t->ring[g % (uint64_t)t->depth];
        pthread_mutex_unlock(&t->lock);
        fill_slot(t, q, g);
        pthread_mutex_lock(&t->lock);
        q->ready = 1;
        pthread_cond_broadcast(&t->filled);
    }
    pthread_mutex_unlock(&t->lock);
    return NULL;
}

rt_status rt_stream_next(rt_stream *t, const rt_batch **out)
{
    uint64_t g = t->next_take;
    slot *q = &t->ring[g % (uint64_t)t->depth];
    if (!t->thread_count) {
        fill_slot(t, q, g);
        t->next_take++;
    } else {
        pthread_mutex_lock(&t->lock);
        if (g > t->first) t->ring[(g - 1) % (uint64_t)t->depth].ready = 0;
        t->next_take++;
        pthread_cond_broadcast(&t->freed);
        while (!q->ready || q->b.number != g) pthread_cond_wait(&t->filled, &t->lock);
        pthread_mutex_unlock(&t->lock);
    }
    *out = &q->b;
    return q->status ? rt_fail(q->status, "%s", q->message) : RT_OK;
}

uint64_t rt_stream_steps(const rt_stream *t) { return t->steps; }

rt_status rt_stream_open(rt_stream **out, const rt_stream_spec *spec, uint64_t first)
{
    *out = NULL;
    if (!spec->rows->count) return rt_fail(RT_NOTHING, "%s: no rows are left to read", rt_source_path(spec->x));
    rt_stream *t = calloc(1, sizeof *t);
    if (!t) return rt_fail(RT_RUN, "out of memory");
    t->spec = *spec;
    uint64_t n = spec->rows->count;
    if ((uint64_t)t->spec.batch > n) t->spec.batch = (int)n;
    t->steps = spec->keep_tail ? (n + (uint64_t)t->spec.batch - 1) / (uint64_t)t->spec.batch : n / (uint64_t)t->spec.batch;
    t->row_bytes = rt_source_row_bytes(spec->x);
    t->first = t->next_fill = t->next_take = first;
    t->depth = spec->prefetch > 0 ? spec->prefetch + 2 : 1;
    pthread_mutex_init(&t->lock, NULL);
    pthread_cond_init(&t->filled, NULL);
    pthread_cond_init(&t->freed, NULL);
    t->ring = calloc((size_t)t->depth, sizeof *t->ring);
    int readers = spec->prefetch > 0 ? (spec->threads > 0 ? spec->threads : 1) : 0;
    t->thread = calloc((size_t)readers + 1, sizeof *t->thread);
    size_t room = (size_t)t->spec.batch;
    int ok = t->ring && t->thread;
    for (int i = 0; ok && i < t->depth; i++) {
        rt_batch *b = &t->ring[i].b;
        b->row = malloc(room * sizeof *b->row);
        b->x = aligned_alloc(64, (room * t->row_bytes + 127) & ~(size_t)63);
        if (spec->y) b->y = malloc(room * sizeof *b->y);
        if (spec->labels) b->soft = malloc(room * (size_t)spec->classes * sizeof *b->soft);
        ok = b->row && b->x && (!spec->y || b->y) && (!spec->labels || b->soft);
    }
    if (!ok) {
        rt_stream_close(t);
        return rt_fail(RT_RUN, "out of memory for a stream of batches; use a smaller batch or prefetch");
    }
    for (int i = 0; i < readers; i++) {
        if (pthread_create(&t->thread[i], NULL, reader, t)) break;
        t->thread_count++;
    }
    *out = t;
    return RT_OK;
}

void rt_stream_close(rt_stream *t)
{
    if (!t) return;
    pthread_mutex_lock(&t->lock);
    t->stop = 1;
    pthread_cond_broadcast(&t->freed);
    pthread_mutex_unlock(&t->lock);
    for (int i = 0; i < t->thread_count; i++) pthread_join(t->thread[i], NULL);
    for (int i = 0; i < t->depth && t->ring; i++) {
        free(t->ring[i].b.row);
        free(t->ring[i].b.x);
        free(t->ring[i].b.y);
        free(t->ring[i].b.soft);
    }
    free(t->ring);
    free(t->thread);
    pthread_mutex_destroy(&t->lock);
    pthread_cond_destroy(&t->filled);
    pthread_cond_destroy(&t->freed);
    free(t);
}
