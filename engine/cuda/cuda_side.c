/* engine/cuda/cuda_side.c - see cuda_side.h. While a step is captured, events make edges of its graph. */
#include "engine/cuda/cuda_side.h"

#include <string.h>

#include "engine/cuda/cuda_plan.h"

cudaError_t rt_cuda_side_new(rt_cuda_side *s)
{
    cudaEvent_t *event[] = {&s->fork, &s->join, &s->done[0], &s->done[1]};
    cudaError_t e = cudaStreamCreateWithFlags(&s->stream, cudaStreamNonBlocking);
    _Static_assert(RT_CUDA_TURNS == 2, "an event each");
    for (int i = 0; i < 4 && e == cudaSuccess; i++) e = cudaEventCreateWithFlags(event[i], cudaEventDisableTiming);
    return e;
}

void rt_cuda_side_free(rt_cuda_side *s)
{
    cudaEvent_t event[] = {s->fork, s->join, s->done[0], s->done[1]};
    for (int i = 0; i < 4; i++) if (event[i]) cudaEventDestroy(event[i]);
    if (s->stream) cudaStreamDestroy(s->stream);
    memset(s, 0, sizeof *s);
}

void rt_cuda_side_begin(rt_cuda_emit *e)
{
    rt_cuda_side *s = e->side;
    if (!s) return;
    s->turn = s->used = 0;
    s->error = cudaSuccess;
    memset(s->recorded, 0, sizeof s->recorded);
}

static void keep(rt_cuda_side *s, cudaError_t e)
{
    if (s->error == cudaSuccess) s->error = e;
}

/* `waits` goes on behind what `for_it` has now. */
static void wait_for(rt_cuda_side *s, cudaStream_t waits, cudaStream_t for_it, cudaEvent_t event)
{
    keep(s, cudaEventRecord(event, for_it));
    keep(s, cudaStreamWaitEvent(waits, event, 0));
}

void rt_cuda_side_turn(rt_cuda_emit *e)
{
    rt_cuda_side *s = e->side;
    if (!s) return;
    int at = ++s->turn % RT_CUDA_TURNS;
    if (s->recorded[at]) keep(s, cudaStreamWaitEvent(e->stream, s->done[at], 0));
    s->recorded[at] = 0;
}

cudaStream_t rt_cuda_beside_begin(rt_cuda_emit *e)
{
    rt_cuda_side *s = e->side;
    if (!s) return e->stream;
    RT_ASSERT(s->turn > 0);
    s->used = 1;
    wait_for(s, s->stream, e->stream, s->fork);
    return s->stream;
}

void rt_cuda_beside_end(rt_cuda_emit *e)
{
    rt_cuda_side *s = e->side;
    if (!s) return;
    int at = s->turn % RT_CUDA_TURNS;
    s->recorded[at] = 1;
    keep(s, cudaEventRecord(s->done[at], s->stream));
}

void rt_cuda_side_join(rt_cuda_emit *e)
{
    rt_cuda_side *s = e->side;
    if (!s || !s->used) return;
    s->used = 0;
    memset(s->recorded, 0, sizeof s->recorded);
    wait_for(s, e->stream, s->stream, s->join);
}

rt_status rt_cuda_side_status(const rt_cuda_emit *e)
{ return e->side ? rt_cuda_check(e->plan->card, e->side->error, "work beside a step") : RT_OK; }
