#include "data/stream.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data/order.h"
#include "data/row_check.h"
#include "engine/clock.h"
#include "engine/pool.h"

/* A window mixes so many at least, where the source's cache holds them. */
enum { WINDOW_BLOCKS = 16, WINDOW_ROWS = 16384 };
/* Rows that are not decoded are mixed in blocks only where it is asked for; a block has so many bytes. */
enum { PLAIN_BYTES = 1 << 20 };

typedef struct { rt_batch b; int ready; rt_status status; char message[2048]; } slot;

/* A thread that fills slots, or the caller where there are none. */
typedef struct {
    rt_stream *stream;
    rt_order_reader order;
    pthread_t thread;
} reader;

struct rt_stream {
    rt_stream_spec spec;
    rt_order order;
    uint64_t next_fill, next_take, first;
    size_t row_bytes;
    slot *ring;
    int depth, readers, threads, stop;
    reader *reader;
    double reading;                    /* of all readers, seconds */
    pthread_mutex_t lock;
    pthread_cond_t filled, freed;
};

/* ---- order ---- */

rt_status rt_stream_plan(const rt_stream_spec *s, rt_order *o)
{
    const rt_rows *rows = s->rows;
    *o = (rt_order){.rows = rows, .batch = s->batch, .shuffle = s->shuffle, .keep_tail = s->keep_tail,
                    .seed = s->seed, .draws = s->draws, .block = rt_source_block(s->x), .window = UINT64_MAX};
    o->files = rt_source_files_behind(s->x, &o->file_first);
    if (s->shuffle && o->block > 1) {
        uint64_t most = (uint64_t)rt_source_window_blocks(s->x);
        uint64_t blocks = rt_order_block_of(o, rows->end - 1) - rt_order_block_of(o, rows->first) + 1;
        uint64_t wanted = WINDOW_ROWS / (rows->count / blocks + 1) + 1;       /* blocks with so many of the rows */
        if (wanted < WINDOW_BLOCKS) wanted = WINDOW_BLOCKS;
        o->window = s->window ? (uint64_t)s->window : most >= blocks || wanted > most ? most : wanted;
        if (o->window > most)
            return rt_fail(RT_USAGE, "train.shuffle_window: %d blocks are asked for, but no more than %llu blocks of "
                           "%s are held in memory at once", s->window, (unsigned long long)most, rt_source_path(s->x));
    } else if (s->shuffle && s->window) {
        o->block = PLAIN_BYTES / (rt_source_row_bytes(s->x) + 1);
        o->window = (uint64_t)s->window;
        if (o->block < 2)
            return rt_fail(RT_USAGE, "train.shuffle_window: '%s' of %s has rows so large that each is read as well by "
                           "itself; leave the window out", rt_source_info(s->x)->name, rt_source_path(s->x));
        uint64_t blocks = rt_order_block_of(o, rows->end - 1) - rt_order_block_of(o, rows->first) + 1;
        if (blocks <= o->window)
            return rt_fail(RT_USAGE,
                           "train.shuffle_window: '%s' of %s has %llu blocks of %llu rows, so that %d would mix "
                           "all rows; leave the window out",
                           rt_source_info(s->x)->name, rt_source_path(s->x), (unsigned long long)blocks,
                           (unsigned long long)o->block, s->window);
    }
    rt_order_plan(o);
    return RT_OK;
}

rt_status rt_stream_order_text(const rt_stream_spec *s, char *text, size_t size)
{
    rt_order o;
    RT_TRY(rt_stream_plan(s, &o));
    if (!s->shuffle) snprintf(text, size, "rising");
    else if (!o.window) snprintf(text, size, "all rows mixed");
    else
        snprintf(text, size, "blocks of %llu rows mixed within windows of %llu blocks", (unsigned long long)o.block,
                 (unsigned long long)o.window);
    return RT_OK;
}

/* ---- filling ---- */

static rt_status check_rows(const rt_stream_spec *s, rt_batch *b, size_t row_bytes)
{
    const rt_source *part;
    if (b->bad) memset(b->bad, 0, (size_t)b->rows);
    if (!rt_source_suspect(s->x, s->ids, b->x, b->rows)) return RT_OK;
    for (int r = 0; r < b->rows; r++) {
        const char *fault = rt_source_fault(s->x, s->ids, b->x + (size_t)r * row_bytes, &part);
        if (fault && !b->bad)
            return rt_fail(RT_INPUT, "%s: row %llu of '%s' contains %s", rt_source_path(part),
                           (unsigned long long)b->row[r], rt_source_info(part)->name, fault);
        if (fault) b->bad[r] = 1;
    }
    return RT_OK;
}

static rt_status fill(reader *c, slot *q, uint64_t number)
{
    const rt_stream *t = c->stream;
    const rt_stream_spec *s = &t->spec;
    rt_batch *b = &q->b;
    b->number = number;
    b->epoch = (uint32_t)(number / t->order.steps);
    b->step = (uint32_t)(number % t->order.steps);
    RT_TRY(rt_order_batch(&c->order, number, b->row, &b->rows));
    RT_TRY(rt_source_read(s->x, b->row, b->rows, b->x));
    RT_TRY(check_rows(s, b, t->row_bytes));
    for (int h = 0; h < s->heads; h++)
        if (s->target[h]) RT_TRY(rt_targets_read_rows(s->target[h], b->row, b->rows, &b->target[h]));
    int view = s->views ? (int)(b->epoch % (uint32_t)s->views) : -1;
    return s->answers ? s->answers(s->teacher, view, b->row, b->rows, b->soft) : RT_OK;
}

static void fill_slot(reader *c, slot *q, uint64_t number)
{
    q->status = fill(c, q, number);
    if (q->status) snprintf(q->message, sizeof q->message, "%s", rt_error_message());
}

static void *fill_slots(void *arg)
{
    reader *c = arg;
    rt_stream *t = c->stream;
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
        double begun = rt_seconds();
        fill_slot(c, q, g);
        pthread_mutex_lock(&t->lock);
        t->reading += rt_seconds() - begun;
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
    if (!t->threads) {
        double begun = rt_seconds();
        fill_slot(&t->reader[0], q, g);
        t->reading += rt_seconds() - begun;
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

uint64_t rt_stream_steps(const rt_stream *t) { return t->order.steps; }

double rt_stream_reading(rt_stream *t)
{
    pthread_mutex_lock(&t->lock);
    double all = t->reading;
    pthread_mutex_unlock(&t->lock);
    return all / (t->threads ? t->threads : 1);
}

rt_status rt_stream_open(rt_stream **out, const rt_stream_spec *spec, uint64_t first)
{
    *out = NULL;
    if (!spec->rows->count) return rt_fail(RT_NOTHING, "%s: no rows are left to read", rt_source_path(spec->x));
    rt_order order;
    RT_TRY(rt_stream_plan(spec, &order));
    rt_stream *t = calloc(1, sizeof *t);
    if (!t) return rt_fail(RT_RUN, "out of memory");
    t->spec = *spec;
    t->order = order;
    t->row_bytes = rt_source_row_bytes(spec->x);
    t->first = t->next_fill = t->next_take = first;
    t->depth = spec->prefetch > 0 ? spec->prefetch + 2 : 1;
    pthread_mutex_init(&t->lock, NULL);
    pthread_cond_init(&t->filled, NULL);
    pthread_cond_init(&t->freed, NULL);
    t->ring = calloc((size_t)t->depth, sizeof *t->ring);
    int readers = spec->prefetch > 0 && spec->threads > 0 ? spec->threads : 1;
    t->reader = calloc((size_t)readers, sizeof *t->reader);
    t->readers = t->reader ? readers : 0;
    size_t room = (size_t)order.batch;
    int ok = t->ring && t->reader;
    for (int i = 0; ok && i < t->depth; i++) {
        rt_batch *b = &t->ring[i].b;
        b->row = malloc(room * sizeof *b->row);
        b->x = aligned_alloc(64, (room * t->row_bytes + 127) & ~(size_t)63);
        int good = 1;
        for (int h = 0; h < spec->heads; h++) {
            const rt_targets *y = spec->target[h];
            if (y) good &= !rt_target_rows_new(&b->target[h], rt_targets_task(y), rt_targets_classes(y), order.batch);
        }
        if (spec->answers) b->soft = malloc(room * (size_t)spec->width * sizeof *b->soft);
        if (spec->mark_bad) b->bad = malloc(room);
        ok = b->row && b->x && good && (!spec->answers || b->soft) && (!spec->mark_bad || b->bad);
    }
    if (!ok) {
        rt_stream_close(t);
        return rt_fail(RT_RUN, "out of memory for a stream of batches; use a smaller batch or prefetch");
    }
    for (int i = 0; i < readers; i++) t->reader[i].stream = t;
    for (int i = 0; i < readers; i++) {
        rt_status st = rt_order_reader_open(&t->reader[i].order, &t->order);
        if (st) {
            rt_stream_close(t);
            return st;
        }
    }
    while (spec->prefetch > 0 && t->threads < readers &&
           !rt_thread_start(&t->reader[t->threads].thread, fill_slots, &t->reader[t->threads]))
        t->threads++;
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
    for (int i = 0; i < t->threads; i++) pthread_join(t->reader[i].thread, NULL);
    for (int i = 0; i < t->readers; i++) rt_order_reader_close(&t->reader[i].order);
    for (int i = 0; i < t->depth && t->ring; i++) {
        free(t->ring[i].b.row);
        free(t->ring[i].b.x);
        for (int h = 0; h < t->spec.heads; h++) rt_target_rows_free(&t->ring[i].b.target[h]);
        free(t->ring[i].b.soft);
        free(t->ring[i].b.bad);
    }
    free(t->ring);
    free(t->reader);
    pthread_mutex_destroy(&t->lock);
    pthread_cond_destroy(&t->filled);
    pthread_cond_destroy(&t->freed);
    free(t);
}
