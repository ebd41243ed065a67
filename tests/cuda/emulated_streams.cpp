/* tests/cuda/emulated_streams.cpp - streams, events and graphs of the emulated runtime. An event is a place in a
 * stream; a captured graph is the list of what would have been queued, with what each waits for: a stream that waits
 * for an event of a capture joins it, and must be waited for by the one where it began before it ends. Nodes that do
 * not wait for each other run in any order. */
#include "emulated_gpu.h"
#include "emulator.h"

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
    if (s->capture) s->capture->broken = true;
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
    event->captured = s->capture ? s->capture->number : 0;
    event->last = s->last;
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
    if (s->capture || event->captured) {
        CUgraph_st *of = event->stream->capture;       /* still the one that the event is of */
        if (!event->captured || !of || of->number != event->captured || (s->capture && s->capture != of)) {
            if (s->capture) s->capture->broken = true;
            return remember(cudaErrorStreamCaptureIsolation);
        }
        if (!s->capture) s->last.clear();
        s->capture = of;
        s->mode = of->origin->mode;
        s->last.insert(s->last.end(), event->last.begin(), event->last.end());
        return cudaSuccess;
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
    static uint64_t captures;
    s->capture = new CUgraph_st{{}, s, ++captures, false};
    s->last.clear();
    s->mode = mode;
    return cudaSuccess;
}

/* Whether the origin's end waits for every node. */
static bool joined(const CUgraph_st *g, const std::vector<int> &last)
{
    std::vector<bool> seen(g->nodes.size());
    for (int i : last) seen[(size_t)i] = true;
    for (size_t i = g->nodes.size(); i-- > 0;) {
        if (!seen[i]) return false;
        for (int k : g->nodes[i].after) seen[(size_t)k] = true;
    }
    return true;
}

cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t *graph)
{
    call c("cudaStreamEndCapture");
    CUstream_st *s = find(stream);
    if (graph) *graph = nullptr;
    if (!s || !graph) return c.error ? c.error : no_such();
    if (!s->capture) return c.error ? c.error : remember(cudaErrorInvalidValue);
    CUgraph_st *made = s->capture;
    if (made->origin != s) {
        made->broken = true;
        return remember(cudaErrorStreamCaptureUnmatched);
    }
    bool whole = joined(made, s->last);
    for (CUstream_st *o : streams) {
        if (o->capture != made) continue;
        o->capture = nullptr;
        o->last.clear();
    }
    if (c.error || made->broken || !whole) {
        cudaError_t why = made->broken ? cudaErrorStreamCaptureInvalidated : cudaErrorStreamCaptureUnjoined;
        delete made;
        return c.error ? c.error : remember(why);
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
              : s->capture->broken ? cudaStreamCaptureStatusInvalidated
                          : cudaStreamCaptureStatusActive;
    return cudaSuccess;
}

cudaError_t cudaGraphInstantiateWithFlags(cudaGraphExec_t *exec, cudaGraph_t graph, unsigned long long)
{
    call c("cudaGraphInstantiate", UNSAFE);
    if (c.error) return c.error;
    if (!exec || !graphs.count(graph)) return remember(cudaErrorInvalidValue);
    *exec = new CUgraphExec_st{std::make_shared<std::vector<CUgraphNode_st>>(graph->nodes)};
    execs.insert(*exec);
    return cudaSuccess;
}
/* In an order that their waits allow: forward as they were captured, reverse the latest first. */
static void run_nodes(const std::vector<CUgraphNode_st> &nodes)
{
    std::vector<size_t> waits(nodes.size()), ready;
    std::vector<std::vector<size_t>> behind(nodes.size());
    for (size_t i = 0; i < nodes.size(); i++) {
        std::set<int> after(nodes[i].after.begin(), nodes[i].after.end());
        for (int k : after) behind[(size_t)k].push_back(i);
        if (!(waits[i] = after.size())) ready.push_back(i);
    }
    while (!ready.empty()) {
        auto at = settings.order == RT_EMULATED_RANDOM ? ready.begin() + (ptrdiff_t)(random_word() % ready.size())
                  : settings.order == RT_EMULATED_REVERSE ? std::max_element(ready.begin(), ready.end())
                                                          : std::min_element(ready.begin(), ready.end());
        size_t i = *at;
        ready.erase(at);
        nodes[i].run();
        for (size_t k : behind[i]) if (!--waits[k]) ready.push_back(k);
    }
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t exec, cudaStream_t stream)
{
    call c("cudaGraphLaunch");
    if (c.error) return c.error;
    CUstream_st *s = find(stream);
    if (!s || !execs.count(exec)) return no_such();
    auto nodes = exec->nodes;
    enqueue(stream, [nodes] { run_nodes(*nodes); });
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
