/* engine/cuda/cuda_queue.c - steps on their way to a card: packed into the ring, copied, launched; what they gave.
 *
 * A step is one launch of its graph. Steps of small nets, whose work is less than what the host pays for a launch, wait
 * until there are RT_GROUP of them: these are copied by one call and are one graph. They are launched before, one by
 * one, when somebody waits for them, when the next one has other rows, and when somebody asks twice what they gave. */
#include "engine/cuda/cuda_session.h"

#include <math.h>
#include <string.h>

typedef rt_cuda_session session;
enum { SHORT = 64 << 10 /* bytes of a block whose copy is not worth a stream of its own, and that may wait */ };

#define CHECK RT_CARD_CHECK

void rt_cuda_forget_graphs(session *s)
{
    for (int i = 0; i < RT_GRAPHS; i++) {
        if (s->graph[i].exec) cudaGraphExecDestroy(s->graph[i].exec);
        s->graph[i] = (rt_captured){0};
    }
}

static rt_status capture(session *s, int rows, int steps, int slot, cudaGraph_t *graph)
{
    /* Whatever becomes of the capture, nothing stays queued behind it that would outlive what it works on. */
    CHECK(s, cudaStreamSynchronize(s->stream), "waiting for steps");
    int stamps = s->stamps && rows == s->spec.batch;
    if (stamps) RT_TRY(rt_cuda_stamps_clear(s->stamps, s->stream));
    CHECK(s, cudaStreamBeginCapture(s->stream, cudaStreamCaptureModeThreadLocal), "beginning to capture a step");
    rt_status st = RT_OK;
    if (stamps) rt_cuda_stamps_begin(s->stamps, s->stream);
    for (int i = 0; i < steps && !st; i++)
        st = rt_cuda_session_emit(s, rows, i == steps - 1 ? steps : 0, slot < 0 ? slot : slot + i);
    rt_cuda_stamps_end();
    cudaError_t ended = cudaStreamEndCapture(s->stream, graph);
    return st ? st : rt_cuda_check(s->card, ended, "capturing a step");
}

/* The graph for so many rows and steps; the one that was not used for longest makes room. */
rt_status rt_cuda_find_graph(session *s, int rows, int steps, int slot, cudaGraphExec_t *exec)
{
    rt_captured *to = &s->graph[0];
    for (int i = 0; i < RT_GRAPHS; i++) {
        rt_captured *g = &s->graph[i];
        if (g->exec && g->rows == rows && g->steps == steps && g->slot == slot) {
            g->used = s->number;
            *exec = g->exec;
            return RT_OK;
        }
        if (!s->graph[i].exec || (to->exec && s->graph[i].used < to->used)) to = &s->graph[i];
    }
    cudaGraph_t graph = NULL;
    rt_status st = capture(s, rows, steps, slot, &graph);
    if (!st && rows == s->spec.batch && steps == 1)
        st = rt_cuda_check(s->card, cudaGraphGetNodes(graph, NULL, &s->launches), "counting a step's launches");
    if (!st && to->exec) {
        st = rt_cuda_check(s->card, cudaStreamSynchronize(s->stream), "waiting for steps");
        cudaGraphExecDestroy(to->exec);
    }
    *to = (rt_captured){.rows = rows, .steps = steps, .slot = slot, .used = s->number};
    if (!st) st = rt_cuda_check(s->card, cudaGraphInstantiateWithFlags(&to->exec, graph, 0), "making a step's graph");
    if (graph) cudaGraphDestroy(graph);
    *exec = to->exec;
    return st;
}

/* The host's and the card's block of step `number`. */
static size_t place_of(const session *s, uint64_t number)
{
    return (size_t)(number % (uint64_t)s->depth) * s->block_bytes;
}

/* Launches the last `steps` steps that are packed, and tells by which event they are done. */
static rt_status launch(session *s, int rows, int steps, int slot)
{
    cudaGraphExec_t exec;
    int each = steps == s->group ? steps : 1;
    s->was_in_turn |= slot < 0;
    for (int i = 0; i < steps; i += each) {
        RT_TRY(rt_cuda_find_graph(s, rows, each, slot, &exec));
        CHECK(s, cudaGraphLaunch(exec, s->stream), "launching a step");
    }
    if (!s->spec.train) return RT_OK;
    int last = (int)((s->number - 1) % RT_RESULTS);
    for (uint64_t n = s->number - (uint64_t)steps; n < s->number; n++) s->event[n % RT_RESULTS] = last;
    return rt_cuda_check(s->card, cudaEventRecord(s->done[last], s->stream), "launching a step");
}

/* What s->copies has been asked to copy is there before what s->stream is asked from now on. */
static rt_status behind_copies(session *s, uint64_t number)
{
    cudaEvent_t copied = s->copied[number % (uint64_t)s->depth];
    CHECK(s, cudaEventRecord(copied, s->copies), "copying a batch");
    return rt_cuda_check(s->card, cudaStreamWaitEvent(s->stream, copied, 0), "copying a batch");
}

/* The copy, and what is made of it ahead, runs beside the steps before. */
rt_status rt_cuda_flush(session *s)
{
    int steps = s->waiting, slot = -1;
    if (!steps) return RT_OK;
    s->waiting = 0;
    uint64_t first = s->number - (uint64_t)steps;
    size_t at = place_of(s, first);
    CHECK(s, cudaMemcpy2DAsync(s->ring + at, s->block_bytes, s->block + at, s->block_bytes, s->waiting_bytes,
                               (size_t)steps, cudaMemcpyHostToDevice, s->copies), "copying steps");
    if (s->ahead && steps == s->group && first % (uint64_t)steps == 0) {
        slot = (int)(first % (uint64_t)s->depth);
        RT_TRY(rt_cuda_rows_ahead(s, s->waiting_rows, slot, steps));
    }
    RT_TRY(behind_copies(s, first));
    return launch(s, s->waiting_rows, steps, slot);
}

/* Alone, with a copy that runs beside the step before where that is long. */
static rt_status launch_one(session *s, int rows, size_t bytes)
{
    size_t at = place_of(s, s->number - 1);
    cudaStream_t by = bytes < SHORT ? s->stream : s->copies;
    CHECK(s, cudaMemcpyAsync(s->ring + at, s->block + at, bytes, cudaMemcpyHostToDevice, by), "copying a batch");
    if (by != s->stream) RT_TRY(behind_copies(s, s->number - 1));
    return launch(s, rows, 1, -1);
}

static rt_status wait_for(session *s, uint64_t number)
{
    if (number >= s->number - (uint64_t)s->waiting) RT_TRY(rt_cuda_flush(s));
    if (number < s->sure) return RT_OK;
    int event = s->event[number % RT_RESULTS];
    CHECK(s, cudaEventSynchronize(s->done[event]), "a training step");
    s->sure = number + 1 + ((uint64_t)event + RT_RESULTS - number % RT_RESULTS) % RT_RESULTS;
    return RT_OK;
}

/* What packs waits until the step that had the block is done; answers are waited for anyhow. */
rt_status rt_cuda_queue(session *s, const rt_step *step)
{
    CHECK(s, cudaSetDevice(s->card->index), "choosing the card");      /* of this thread */
    RT_TRY(rt_cuda_look_at_rows(s));
    if (s->waiting && s->waiting_rows != step->rows) RT_TRY(rt_cuda_flush(s));
    if (s->spec.train) {
        if (s->number - s->told == RT_RESULTS) RT_TRY(wait_for(s, s->told++));     /* nobody asked for the oldest */
        if (s->number >= (uint64_t)s->depth) RT_TRY(wait_for(s, s->number - (uint64_t)s->depth));
    }
    char *block = s->block + place_of(s, s->number);
    size_t bytes = rt_cuda_block_pack(block, s->block_bytes, &s->spec, s->spec.graph, step,
                                      s->held.rows ? &s->held : NULL, s->packers);
    int waits = s->group > 1 && bytes < SHORT;
    if (!waits) RT_TRY(rt_cuda_flush(s));
    rt_cuda_now *now = (rt_cuda_now *)(void *)block;
    now->number = ++s->number;
    s->polled = 0;
    if (s->spec.update && step->last) {
        double t = (double)++s->made;
        const rt_update_desc *u = s->spec.update;
        now->bias1 = (float)(1 - pow(u->beta1, t));
        now->bias2 = (float)(1 - pow(u->beta2, t));
        now->ema = (float)(u->ema < (1 + t) / (10 + t) ? u->ema : (1 + t) / (10 + t));
    }
    if (!waits) return launch_one(s, step->rows, bytes);
    if (!s->waiting++) s->waiting_bytes = 0, s->waiting_brings = 0;
    if (bytes > s->waiting_bytes) s->waiting_bytes = bytes;
    s->waiting_brings |= now->raw && now->where;
    s->waiting_rows = step->rows;
    return s->number % (uint64_t)s->group == 0 ? rt_cuda_flush(s) : RT_OK;
}

rt_status rt_cuda_results(session *s, int wait, rt_step_result *out, int most, int *count)
{
    *count = 0;
    while (s->told < s->number && *count < most) {
        uint64_t slot = s->told % RT_RESULTS;
        int full = s->number - s->told == RT_RESULTS, launched = s->told < s->number - (uint64_t)s->waiting;
        if (!launched && !wait && !full && !s->polled) {
            s->polled = 1;
            break;
        }
        if (!launched) RT_TRY(rt_cuda_flush(s));
        cudaEvent_t done = s->done[s->event[slot]];
        cudaError_t e = wait || full ? cudaEventSynchronize(done) : cudaEventQuery(done);
        if (e == cudaErrorNotReady) break;
        CHECK(s, e, "a training step");
        const rt_cuda_result *r = &s->results[slot];
        out[*count] = (rt_step_result){.epoch = r->epoch, .step = r->step, .total = r->total, .bad = r->bad};
        memcpy(out[*count].loss, r->loss, sizeof r->loss);
        s->bad |= r->bad;
        s->told++;
        ++*count;
    }
    return RT_OK;
}
