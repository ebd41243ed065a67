/* tests/cuda/emulated_gpu.h - what the parts of the emulated GPU know of each other. */
#ifndef RT_TESTS_CUDA_EMULATED_GPU_H
#define RT_TESTS_CUDA_EMULATED_GPU_H

#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "cuda_runtime.h"

namespace rt_emulated {

struct config {
    int order = 0, devices = 1, capability = 90, sms = 8;
    bool driver = true, old_driver = false, no_blas = false;
    uint64_t seed = 1;
    size_t memory = (size_t)4 << 30;
    std::string fail_name;               /* empty: any call */
    uint64_t fail_at = 0;                /* 0: never */
    cudaError_t lost = cudaSuccess;      /* what a lost card says */
};
extern config settings;                  /* of the environment */

/* emulator.cpp: runs a kernel to its end. */
void run_kernel(const char *name, dim3 grid, dim3 block, size_t dynamic, const std::function<void()> &thread);
uint64_t random_word();
void reset_emulator();
extern uint64_t kernels, switches;
size_t block_limit();                    /* most shared bytes of a block, by capability */

/* emulated_runtime.cpp */
typedef std::function<void()> work;
cudaError_t enter(const char *name);     /* every call: counts, fails when it is told to, says what a lost card says */
cudaError_t remember(cudaError_t);       /* as the thread's last error, when it is one */
void enqueue(cudaStream_t, work);        /* or adds to the graph that the stream captures */
bool on_device(const void *at, size_t bytes);     /* within one allocation */
CUstream_st *find(cudaStream_t);         /* nullptr: the current device has no such stream */
void run_until(CUstream_st *, uint64_t until);    /* what must have run when so many items of it have */
bool run_some(CUstream_st *, uint64_t until);     /* one item, as time does; whether that was the last */
void wait_all();
size_t live_handles();                   /* emulated_streams.cpp: streams, events, graphs */
struct lock { lock(); ~lock(); lock(const lock &) = delete; };      /* one host thread at a time */
enum { ANY = 1, UNSAFE = 2 };            /* works without a card; not during a capture */
struct call {                            /* one call: serialised, counted, refused where there is no card */
    lock one;
    cudaError_t error;
    explicit call(const char *name, int flags = 0);
};
struct item {
    work run;
    CUstream_st *wait;                   /* instead: until that stream has done so many */
    uint64_t until;
};
extern std::vector<CUstream_st *> &streams;       /* destroyed ones, too: events may name them */
extern CUstream_st legacy;
extern thread_local int device;          /* the current one */
}

/* What was captured, in that order, each with the nodes that it waits for. */
struct CUgraphNode_st { rt_emulated::work run; std::vector<int> after; };
struct CUgraph_st {
    std::vector<CUgraphNode_st> nodes;
    CUstream_st *origin;                 /* where the capture began; others have joined it by an event */
    uint64_t number;                     /* of the capture, from 1 */
    bool broken;
};
struct CUgraphExec_st { std::shared_ptr<std::vector<CUgraphNode_st>> nodes; };
struct CUstream_st {
    int device;
    bool blocking, live;                 /* blocking: ordered with the legacy stream */
    std::deque<rt_emulated::item> items;
    uint64_t queued, done;
    CUgraph_st *capture;
    std::vector<int> last;               /* what its next node waits for */
    cudaStreamCaptureMode mode;
};
/* Of a capture, with its number, or of a stream. */
struct CUevent_st {
    CUstream_st *stream;
    uint64_t until;
    unsigned flags;
    uint64_t captured;
    std::vector<int> last;
};
#endif
