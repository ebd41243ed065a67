#include "engine/cuda/cuda_block.h"

#include <string.h>

enum { ALIGNED = 16, WHOLE = 256, PIECE = 256 << 10 /* bytes that a thread copies at once */ };

static size_t up(size_t n, size_t to) { return (n + to - 1) & ~(to - 1); }
static size_t size_of(const rt_graph *g, int t) { return rt_shape_count(&g->tensor[t].shape); }

/* Raw rows: as many again in inference, where partners of a mixture may lie outside the rows that are asked for. */
static size_t raw_rows(const rt_session_spec *s) { return (size_t)s->batch * (s->train ? 1 : 2); }

size_t rt_cuda_block_bytes(const rt_session_spec *s, const rt_graph *g, size_t row_bytes)
{
    size_t b = (size_t)s->batch, n = up(sizeof(rt_cuda_now), ALIGNED) + up(raw_rows(s) * row_bytes, ALIGNED) +
                                     2 * up(b * sizeof(int32_t), ALIGNED);
    for (int i = 0; i < g->inputs; i++) {
        if (row_bytes) n += up(raw_rows(s) * sizeof(rt_view_draw), ALIGNED);
        else n += up(b * size_of(g, g->input[i]) * sizeof(float), ALIGNED);
    }
    for (int i = 0; i < s->losses; i++) {
        size_t k = size_of(g, s->loss[i].tensor);
        n += up(b * sizeof(int32_t), ALIGNED) + 2 * up(b * k, ALIGNED) + 2 * up(b * k * sizeof(float), ALIGNED) +
             up(k * sizeof(float), ALIGNED);
    }
    return up(n, WHOLE);
}

typedef struct { char *block; size_t at, room; rt_pool *copies; } packer;

/* Where the next bytes go; their offset in *at. */
static void *take(packer *p, uint64_t *at, size_t bytes)
{
    *at = p->at;
    p->at += up(bytes, ALIGNED);
    RT_ASSERT(p->at <= p->room);
    return p->block + *at;
}

static void put(packer *p, uint64_t *at, const void *from, size_t bytes)
{
    if (from) memcpy(take(p, at, bytes), from, bytes);
}

/* A thread alone copies more slowly than a card takes rows. */
typedef struct { char *to; const char *from; size_t bytes; } rows_copy;

static void copy_piece(void *arg, int piece, int thread)
{
    const rows_copy *c = arg;
    size_t at = (size_t)piece * PIECE;
    (void)thread;
    memcpy(c->to + at, c->from + at, c->bytes - at < PIECE ? c->bytes - at : PIECE);
}

static void copy_rows(rt_pool *pool, char *to, const char *from, size_t bytes)
{
    rows_copy c = {to, from, bytes};
    if (!pool || bytes < 2 * PIECE) memcpy(to, from, bytes);
    else rt_pool_run(pool, (int)((bytes + PIECE - 1) / PIECE), copy_piece, &c);
}

/* Where the card holds the rows, and whether it has all of them; those that it has not are noted as held. */
static int pack_places(packer *p, rt_cuda_now *now, const rt_feed *f, int rows, rt_cuda_held *held)
{
    int all = 1;
    uint32_t *where = take(p, &now->where, (size_t)rows * sizeof *where);
    now->held = held->rows;
    for (int i = 0; i < rows; i++) {
        uint64_t row = f->row[f->first + i];
        RT_ASSERT(row < held->count);
        where[i] = (uint32_t)row;
        all &= (int)(held->seen[row / 64] >> row % 64 & 1);
    }
    for (int i = 0; i < rows; i++) held->seen[where[i] / 64] |= 1ull << where[i] % 64;
    return all;
}

/* The raw rows that are asked for, and behind them partners from elsewhere; source[i] is which row of the feed's each
 * packed one is. */
static void pack_raw(packer *p, rt_cuda_now *now, const rt_session_spec *s, const rt_feed *f, int rows,
                     rt_cuda_held *held)
{
    size_t bytes = s->rows[0].bytes;
    const char *raw = (const char *)f->raw + (size_t)f->first * bytes;
    int count = rows;
    int32_t *partner = f->partner ? take(p, &now->partner, (size_t)s->batch * sizeof *partner) : NULL;
    int has = held && f->row ? pack_places(p, now, f, rows, held) : 0;
    char *to = has ? NULL : take(p, &now->raw, (s->train || !f->partner ? (size_t)rows : raw_rows(s)) * bytes);
    rt_view_draw *draw[RT_MAX_INPUTS] = {0};
    now->row_bytes = bytes;
    now->lambda = f->partner ? f->lambda : 1;
    if (to) copy_rows(p->copies, to, raw, (size_t)rows * bytes);
    for (int k = 0; k < s->graph->inputs; k++) {
        if (!rt_view_moves(&s->rows[k], f)) continue;
        draw[k] = take(p, &now->draw[k], raw_rows(s) * sizeof **draw);
        for (int i = 0; i < rows; i++) draw[k][i] = rt_view_of(&s->rows[k], f, f->first + i);
    }
    for (int i = 0; i < rows && partner; i++) {
        int from = f->partner[f->first + i], near = from - f->first;
        if (near >= 0 && near < rows) {
            partner[i] = near;
            continue;
        }
        RT_ASSERT(to && (size_t)count < raw_rows(s));      /* in training partners are of the batch */
        memcpy(to + (size_t)count * bytes, (const char *)f->raw + (size_t)from * bytes, bytes);
        for (int k = 0; k < s->graph->inputs; k++) if (draw[k]) draw[k][count] = rt_view_of(&s->rows[k], f, from);
        partner[i] = count++;
    }
}

static void pack_loss(packer *p, rt_cuda_loss_now *now, const rt_loss_batch *b, int rows, size_t k)
{
    put(p, &now->y, b->y, (size_t)rows * sizeof *b->y);
    put(p, &now->labels, b->labels, (size_t)rows * k);
    put(p, &now->mask, b->mask, (size_t)rows * k);
    put(p, &now->values, b->values, (size_t)rows * k * sizeof *b->values);
    put(p, &now->class_weight, b->class_weight, k * sizeof *b->class_weight);
    if (b->teacher) {
        float *to = take(p, &now->teacher, (size_t)rows * k * sizeof *to);
        for (int r = 0; r < rows; r++)
            memcpy(to + (size_t)r * k, rt_loss_teacher(b, r, (int)k), k * sizeof *to);
    }
    now->hard_scale = b->hard_scale;
    now->soft_scale = b->soft_scale;
    now->teacher_mixed = b->teacher_mixed;
}

size_t rt_cuda_block_pack(char *block, size_t bytes, const rt_session_spec *s, const rt_graph *g, const rt_step *step,
                          rt_cuda_held *held, rt_pool *copies)
{
    rt_cuda_now *now = (rt_cuda_now *)(void *)block;
    packer p = {block, up(sizeof *now, ALIGNED), bytes, copies};
    int there = step->rows;
    if (step->feed && step->feed->rows < there) there = step->feed->rows;
    *now = (rt_cuda_now){.seed = step->seed, .epoch = step->epoch, .step = step->step, .row_base = step->row_base,
                         .rows = there, .total = step->total ? step->total : step->rows, .lambda = 1,
                         .first = step->first, .last = step->last, .lr = step->lr,
                         .grad_scale = 1.0 / (step->summed ? step->summed : 1)};
    if (s->rows) pack_raw(&p, now, s, step->feed, there, held);
    else
        for (int i = 0; i < g->inputs; i++)
            put(&p, &now->x[i], step->x[i], (size_t)there * size_of(g, g->input[i]) * sizeof(float));
    for (int i = 0; i < s->losses; i++) {
        const rt_loss_batch *b = s->loss[i].batch;
        pack_loss(&p, &now->loss[i], b, there, size_of(g, s->loss[i].tensor));
        if (!b->partner || now->partner) continue;
        int32_t *partner = take(&p, &now->partner, (size_t)s->batch * sizeof *partner);      /* rows came as floats */
        for (int r = 0; r < there; r++) partner[r] = b->partner[r];
        now->lambda = b->lambda;
    }
    return p.at;
}
