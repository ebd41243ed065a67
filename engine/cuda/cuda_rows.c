/* engine/cuda/cuda_rows.c - rows of data on their way to a card: the ring of blocks, descriptions, rows that stay
 * there.
 */
#include <stdlib.h>
#include <string.h>

#include "engine/cuda/cuda_feed.h"
#include "engine/cuda/cuda_session.h"

#define CHECK RT_CARD_CHECK

/* The host's calls for a step's graph cost as much as several of its launches, so steps of few rows go together. */
int rt_cuda_ring_depth(const rt_cuda_plan *p, size_t block_bytes, int *group)
{
    enum { MOST = 32 << 20, NODES = 100 /* a graph of eight steps has some thousand launches then */ };
    *group = p->train && p->graph->nodes <= NODES && 2 * RT_GROUP * block_bytes <= MOST ? RT_GROUP : 1;
    return *group > 1 ? 2 * RT_GROUP : RT_BLOCKS;
}

static size_t input_floats(const rt_graph *g) { return rt_shape_count(&g->tensor[g->input[0]].shape); }

size_t rt_cuda_ahead_bytes(const rt_session_spec *spec, int depth, int group)
{
    if (group < 2 || spec->graph->inputs != 1) return 0;
    return (size_t)depth * (sizeof(rt_cuda_now) + (size_t)spec->batch * input_floats(spec->graph) * sizeof(float));
}

/* Where a step brings rows that stay, the next one may read them. */
rt_status rt_cuda_rows_ahead(rt_cuda_session *s, int rows, int slot, int steps)
{
    size_t size = input_floats(s->spec.graph), stride = (size_t)s->spec.batch * size;
    int each = s->waiting_brings ? 1 : steps;
    if (s->was_in_turn) {
        CHECK(s, cudaEventRecord(s->in_turn, s->stream), "making rows");
        CHECK(s, cudaStreamWaitEvent(s->copies, s->in_turn, 0), "making rows");
        s->was_in_turn = 0;
    }
    for (int i = slot; i < slot + steps; i += each) {
        rt_cuda_ring ring = {.fixed = s->ahead + i, .blocks = s->ring + (size_t)i * s->block_bytes,
                             .bytes = s->block_bytes, .stride = stride};
        rt_k_rows_ahead(s->copies, s->ahead_rows + (size_t)i * stride, s->rows, size, rows, &ring, each);
    }
    return rt_cuda_check(s->card, cudaGetLastError(), "launching the rows of steps");
}

static rt_status take_ahead(rt_cuda_session *s)
{
    if (s->ahead) {
        cudaFree(s->ahead);
        s->bytes -= s->ahead_bytes;
    }
    s->ahead = NULL;
    s->ahead_bytes = rt_cuda_ahead_bytes(&s->spec, s->depth, s->together);
    if (!s->ahead_bytes) return RT_OK;
    RT_TRY(rt_cuda_session_take(s, &s->ahead, s->ahead_bytes));
    s->ahead_rows = (float *)(void *)(s->ahead + s->depth);
    return RT_OK;
}

/* Threads that copy rows into the ring, where a step has many bytes of them. */
static void take_packers(rt_cuda_session *s)
{
    enum { MUCH = 1 << 20, MOST = 8 };
    int some = s->threads / 2 < MOST ? s->threads / 2 : MOST;
    if (!s->packers && some > 1 && s->row_bytes * (size_t)s->spec.batch >= MUCH) s->packers = rt_pool_new(some);
}

static rt_status take_ring(rt_cuda_session *s)
{
    take_packers(s);
    rt_cuda_forget_graphs(s);
    if (s->block) cudaFreeHost(s->block);
    if (s->ring) {
        cudaFree(s->ring);
        s->bytes -= (size_t)s->depth * s->block_bytes;
    }
    s->block = s->ring = NULL;
    s->block_bytes = rt_cuda_block_bytes(&s->spec, s->spec.graph, s->row_bytes);
    s->depth = rt_cuda_ring_depth(s->plan, s->block_bytes, &s->together);
    s->group = s->stamps ? 1 : s->together;
    size_t bytes = (size_t)s->depth * s->block_bytes;
    RT_TRY(take_ahead(s));
    CHECK(s, cudaMallocHost((void **)&s->block, bytes), "taking pinned memory");
    return rt_cuda_session_take(s, &s->ring, bytes);
}

static int same_list(const void *a, const void *b, size_t bytes)
{ return !bytes || (!a && !b) || (a && b && !memcmp(a, b, bytes)); }

static int same_rows(const rt_row_desc *a, const rt_row_desc *b)
{
    size_t c = (size_t)b->channels;
    return a->size == b->size && a->type == b->type && a->at == b->at && a->bytes == b->bytes && a->ids == b->ids &&
           a->channels == b->channels && rt_shape_equal(&a->shape, &b->shape) &&
           same_list(a->mul, b->mul, c * sizeof(float)) && same_list(a->add, b->add, c * sizeof(float)) &&
           same_list(a->pick, b->pick, b->size * sizeof(int)) &&
           !memcmp(&a->resize, &b->resize, sizeof a->resize);
}

/* What remains of a description when the one that it was made of has gone: the lists in one piece of memory. */
static rt_status remember(rt_cuda_session *s, int i, const rt_row_desc *d)
{
    size_t c = (size_t)d->channels * sizeof(float), n = d->pick ? d->size * sizeof(int) : 0;
    rt_row_desc *to = &s->seen[i];
    free((void *)(uintptr_t)to->mul);
    *to = *d;
    char *lists = malloc(2 * c + n + 1);
    to->mul = (const float *)(void *)lists;
    if (!lists) return rt_fail(RT_RUN, "out of memory");
    if (d->mul) memcpy(lists, d->mul, c);
    if (d->add) memcpy(lists + c, d->add, c);
    if (n) memcpy(lists + 2 * c, d->pick, n);
    to->add = (const float *)(void *)(lists + c);
    to->pick = n ? (const int *)(void *)(lists + 2 * c) : NULL;
    if (s->row_lists[i]) cudaFree(s->row_lists[i]);
    s->row_lists[i] = NULL;
    RT_TRY(rt_cuda_session_take(s, &s->row_lists[i], 2 * c + n));
    CHECK(s, cudaMemcpy(s->row_lists[i], lists, 2 * c + n, cudaMemcpyHostToDevice), "copying an input's numbers");
    char *base = s->row_lists[i];
    rt_cuda_rows rows = {.at = d->at, .size = d->size, .type = (int)d->type, .channels = d->channels, .ids = d->ids,
                         .input = i, .mul = (const float *)(void *)base, .add = (const float *)(void *)(base + c),
                         .pick = n ? (const int *)(void *)(base + 2 * c) : NULL, .resize = d->resize};
    rt_shape_hwc(&d->shape, &rows.h, &rows.w, &rows.c);
    return rt_cuda_check(s->card, cudaMemcpy(s->rows + i, &rows, sizeof rows, cudaMemcpyHostToDevice),
                         "copying an input's description");
}

/* The data's rows stay on the card where a quarter of what is free holds them: they are copied once. */
rt_status rt_cuda_hold_rows(rt_cuda_session *s)
{
    size_t available = 0, all = 0;
    uint64_t rows = s->spec.data_rows;
    if (!s->spec.train || !s->spec.rows || !rows || rows > UINT32_MAX || !s->row_bytes) return RT_OK;
    CHECK(s, cudaMemGetInfo(&available, &all), "asking for free device memory");
    if (rows > available / 4 / s->row_bytes) return RT_OK;
    s->held.seen = calloc((size_t)(rows + 63) / 64, sizeof *s->held.seen);
    if (!s->held.seen) return rt_fail(RT_RUN, "out of memory");
    s->held.count = rows;
    return rt_cuda_session_take(s, &s->held.rows, (size_t)rows * s->row_bytes);
}

/* How rows of data are laid out and normalised, which may change between two steps. */
rt_status rt_cuda_look_at_rows(rt_cuda_session *s)
{
    int inputs = s->spec.graph->inputs, changed = !s->ring;
    for (int i = 0; i < inputs; i++) {
        rt_row_desc plain = {.size = rt_shape_count(&s->spec.graph->tensor[s->spec.graph->input[i]].shape),
                             .shape = s->spec.graph->tensor[s->spec.graph->input[i]].shape, .type = RT_F32};
        const rt_row_desc *d = s->spec.rows ? &s->spec.rows[i] : &plain;
        if (s->seen[i].mul && same_rows(&s->seen[i], d)) continue;
        RT_TRY(rt_cuda_flush(s));
        CHECK(s, cudaStreamSynchronize(s->stream), "waiting for steps");
        RT_TRY(remember(s, i, d));
        changed |= d->bytes != s->row_bytes;
    }
    s->row_bytes = s->spec.rows ? s->spec.rows[0].bytes : 0;
    return changed ? take_ring(s) : RT_OK;
}
