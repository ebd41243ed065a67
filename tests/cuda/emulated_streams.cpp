/* tests/cuda/emulated_streams.cpp - streams, events and graphs of the emulated runtime. An event is a place in a
 * stream; a captured graph is the list of what would have been queued. Capture across streams is refused. */
#include "emulated_gpu.h"

#include <algorithm>
#include <cmath>
#include <set>

using namespace rt_emulated;

static std::set<void *> events, graphs, execs;

size_t rt_emulated::live_handles()
{
    size_t some = events.size() + graphs.size() + execs.size();
    for (CUstream_st *s : streams) some += s->live;
    return some;
}

static cudaError_t no_such() { return remember(cudaErrorInvalidResourceHandle); }

/* A stream that is captured cannot be waited for: the capture breaks. */
static bool captured(CUstream_st *s)
{
    if (s->capture) s->broken = true;
    return s->capture != nullptr;
}

extern "C" {

cudaError_t cudaStreamCreateWithFlags(cudaStream_t *stream, unsigned flags)
{
    call c("cudaStreamCreate");
    if (c.error) return c.error;
    if (!stream || flags > cudaStreamNonBlocking) return remember(cudaErrorInvalidValue);
    *stream = new CUstream_st();
    (*stream)->device = device;
    (*stream)->blocking = !(flags & cudaStreamNonBlocking);
    (*stream)->live = true;
    streams.push_back(*stream);
    return cudaSuccess;
}
cudaError_t cudaStreamCreate(cudaStream_t *stream) { return cudaStreamCreateWithFlags(stream, cudaStreamDefault); }

cudaError_t cudaStreamDestroy(cudaStream_t stream)
{
    call c("cudaStreamDestroy");
    if (c.error) return c.error;
    CUstream_st *s = find(stream);
    if (!s || s == &legacy) return no_such();
    if (s->capture) return remember(cudaErrorStreamCaptureUnsupported);
    run_until(s, s->queued);
    s->live = false;
    return cudaSuccess;
}

cudaError_t cudaStreamSynchronize(cudaStream_t stream)
{
    call c("cudaStreamSynchronize");
    if (c.error) return c.error;
    CUstream_st *s = find(stream);
    if (!s) return no_such();
    if (captured(s)) return remember(cudaErrorStreamCaptureUnsupported);
    run_until(s, s->queued);
    return cudaSuccess;
}
cudaError_t cudaStreamQuery(cudaStream_t stream)
{
    call c("cudaStreamQuery");
    if (c.error) return c.error;
    CUstream_st *s = find(stream);
    if (!s) return no_such();
    if (captured(s)) return remember(cudaErrorStreamCaptureUnsupported);
    return run_some(s, s->queued) ? cudaSuccess : cudaErrorNotReady;
}
cudaError_t cudaDeviceSynchronize(void)
{
    call c("cudaDeviceSynchronize", UNSAFE);
    if (c.error) return c.error;
    wait_all();
    return cudaSuccess;
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t *event, unsigned flags)
{
    call c("cudaEventCreate");
    if (c.error) return c.error;
    if (!event) return remember(cudaErrorInvalidValue);
    *event = new CUevent_st();
    (*event)->flags = flags;
    events.insert(*event);
    return cudaSuccess;
}
cudaError_t cudaEventCreate(cudaEvent_t *event) { return cudaEventCreateWithFlags(event, cudaEventDefault); }
cudaError_t cudaEventDestroy(cudaEvent_t event)
{
    call c("cudaEventDestroy");
    if (!events.erase(event)) return c.error ? c.error : no_such();
    delete event;
    return c.error;
}
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream)
{
    call c("cudaEventRecord");
    if (c.error) return c.error;
    CUstream_st *s = find(stream);
    if (!s || !events.count(event)) return no_such();
    event->captured = s->capture != nullptr;
    event->stream = s;
    if (!s->capture) {
        enqueue(stream, [] {});
        event->until = s->queued;
    }
    return cudaSuccess;
}
cudaError_t cudaEventQuery(cudaEvent_t event)
{
    call c("cudaEventQuery");
    if (c.error) return c.error;
    if (!events.count(event)) return no_such();
    if (event->captured) return remember(cudaErrorCapturedEvent);
    return !event->stream || run_some(event->stream, event->until) ? cudaSuccess : cudaErrorNotReady;
}
cudaError_t cudaEventSynchronize(cudaEvent_t event)
{
    call c("cudaEventSynchronize");
    if (c.error) return c.error;
    if (!events.count(event)) return no_such();
    if (event->captured) return remember(cudaErrorCapturedEvent);
    if (event->stream) run_until(event->stream, event->until);
    return cudaSuccess;
}
cudaError_t cudaEventElapsedTime(float *milliseconds, cudaEvent_t start, cudaEvent_t end)
{
    call c("cudaEventElapsedTime");
    if (c.error) return c.error;
    if (!events.count(start) || !events.count(end) || !start->stream || !end->stream ||
        ((start->flags | end->flags) & cudaEventDisableTiming))
        return no_such();
    if (start->captured || end->captured) return remember(cudaErrorCapturedEvent);
    if (start->stream->done < start->until || end->stream->done < end->until) return cudaErrorNotReady;
    *milliseconds = NAN;
    return cudaSuccess;
}
cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned)
{
    call c("cudaStreamWaitEvent");
    if (c.error) return c.error;
    CUstream_st *s = find(stream);
    if (!s || !events.count(event)) return no_such();
    if (!event->stream) return cudaSuccess;
    if (s->capture || event->captured) {               /* within one captured stream there is an order as it is */
        if (s->capture && event->captured && event->stream == s) return cudaSuccess;
        if (s->capture) s->broken = true;
        return remember(cudaErrorStreamCaptureIsolation);
    }
    s->items.push_back({nullptr, event->stream, event->until});
    s->queued++;
    return cudaSuccess;
}

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode mode)
{
    call c("cudaStreamBeginCapture");
    if (c.error) return c.error;
    CUstream_st *s = find(stream);
    if (!s) return no_such();
    if (s == &legacy) return remember(cudaErrorStreamCaptureUnsupported);
    if (s->capture) return remember(cudaErrorInvalidValue);
    s->capture = new CUgraph_st();
    s->mode = mode;
    s->broken = false;
    return cudaSuccess;
}
cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t *graph)
{
    call c("cudaStreamEndCapture");
    CUstream_st *s = find(stream);
    if (graph) *graph = nullptr;
    if (!s || !graph) return c.error ? c.error : no_such();
    if (!s->capture) return c.error ? c.error : remember(cudaErrorInvalidValue);
    CUgraph_st *made = s->capture;
    s->capture = nullptr;
    if (c.error || s->broken) {
        delete made;
        return c.error ? c.error : remember(cudaErrorStreamCaptureInvalidated);
    }
    graphs.insert(*graph = made);
    return cudaSuccess;
}
cudaError_t cudaStreamIsCapturing(cudaStream_t stream, cudaStreamCaptureStatus *status)
{
    call c("cudaStreamIsCapturing");
    if (c.error) return c.error;
    CUstream_st *s = find(stream);
    if (!s) return no_such();
    *status = !s->capture ? cudaStreamCaptureStatusNone
              : s->broken ? cudaStreamCaptureStatusInvalidated
                          : cudaStreamCaptureStatusActive;
    return cudaSuccess;
}

cudaError_t cudaGraphInstantiateWithFlags(cudaGraphExec_t *exec, cudaGraph_t graph, unsigned long long)
{
    call c("cudaGraphInstantiate", UNSAFE);
    if (c.error) return c.error;
    if (!exec || !graphs.count(graph)) return remember(cudaErrorInvalidValue);
    *exec = new CUgraphExec_st{std::make_shared<std::vector<work>>(graph->nodes)};
    execs.insert(*exec);
    return cudaSuccess;
}
cudaError_t cudaGraphLaunch(cudaGraphExec_t exec, cudaStream_t stream)
{
    call c("cudaGraphLaunch");
    if (c.error) return c.error;
    CUstream_st *s = find(stream);
    if (!s || !execs.count(exec)) return no_such();
    auto nodes = exec->nodes;
    enqueue(stream, [nodes] { for (const work &node : *nodes) node(); });
    return cudaSuccess;
}
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t exec)
{
    call c("cudaGraphExecDestroy");
    if (!execs.erase(exec)) return c.error ? c.error : no_such();
    delete exec;
    return c.error;
}
cudaError_t cudaGraphDestroy(cudaGraph_t graph)
{
    call c("cudaGraphDestroy");
    if (!graphs.erase(graph)) return c.error ? c.error : no_such();
    delete graph;
    return c.error;
}
cudaError_t cudaGraphGetNodes(cudaGraph_t graph, CUgraphNode_st **nodes, size_t *count)
{
    call c("cudaGraphGetNodes");
    if (c.error) return c.error;
    if (!graphs.count(graph) || !count || nodes) return remember(cudaErrorInvalidValue);
    *count = graph->nodes.size();
    return cudaSuccess;
}
}
