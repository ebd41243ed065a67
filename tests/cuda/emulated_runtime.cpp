/* tests/cuda/emulated_runtime.cpp - the CUDA runtime over host memory. What is put into a stream runs when something
 * waits for it, and until then device memory cannot be touched: a missing wait, a host access and a source that is
 * changed too early all show. Device memory starts as NaN, ends at a page that cannot be touched, and is freed for
 * good. */
#include "emulated_gpu.h"
#include "emulator.h"

#include <algorithm>
#include <csignal>
#include <map>
#include <mutex>
#include <set>
#include <sys/mman.h>

#ifdef RT_EMULATE_ASAN
#include <sanitizer/asan_interface.h>
#endif

using namespace rt_emulated;

struct allocation { char *map; size_t map_bytes, bytes; int device; };

config rt_emulated::settings;
std::vector<CUstream_st *> &rt_emulated::streams = *new std::vector<CUstream_st *>;
CUstream_st rt_emulated::legacy;
thread_local int rt_emulated::device;
static std::recursive_mutex one_at_a_time;
static std::map<uintptr_t, allocation> device_memory;
static std::set<void *> pinned;
static std::map<const void *, int> dynamic_allowed;
static size_t in_use[64];
static uint64_t calls, matched;
static bool configured;
static cudaError_t lost;
static thread_local cudaError_t last_error;

lock::lock() { one_at_a_time.lock(); }
lock::~lock() { one_at_a_time.unlock(); }

/* Settings. */

static long number_of(const char *name, long otherwise)
{
    const char *text = getenv(name);
    char *end;
    if (!text || !*text) return otherwise;
    long v = strtol(text, &end, 10);
    if (*end || v < 0) {
        fprintf(stderr, "emulator: %s=%s is not a number\n", name, text);
        abort();
    }
    return v;
}

static void read_fail(const char *text)
{
    std::string rest = text;
    size_t colon = rest.rfind(':');
    if (colon != std::string::npos && (rest.substr(colon) == ":lost" || rest.substr(colon) == ":ecc")) {
        settings.lost = rest.substr(colon) == ":ecc" ? cudaErrorECCUncorrectable : cudaErrorIllegalAddress;
        rest.resize(colon);
    }
    colon = rest.rfind(':');
    if (colon != std::string::npos) {
        settings.fail_name = rest.substr(0, colon);
        rest = rest.substr(colon + 1);
    }
    settings.fail_at = strtoull(rest.c_str(), nullptr, 10);
    if (!settings.fail_at) {
        fprintf(stderr, "emulator: RETORT_EMULATE_FAIL=%s is not [name:]n[:lost|:ecc]\n", text);
        abort();
    }
}

static void configure()
{
    configured = true;
    settings = config();
    const char *cards = getenv("RETORT_EMULATE_DEVICES"), *order = getenv("RETORT_EMULATE_ORDER"),
               *fail = getenv("RETORT_EMULATE_FAIL");
    if (cards && !strcmp(cards, "none"))
        settings.driver = false;
    else if (cards && !strcmp(cards, "old"))
        settings.old_driver = true;
    else
        settings.devices = (int)std::min(number_of("RETORT_EMULATE_DEVICES", 1), 64l);
    settings.capability = (int)number_of("RETORT_EMULATE_CAPABILITY", 90);
    settings.sms = (int)number_of("RETORT_EMULATE_SMS", 8);
    settings.memory = (size_t)number_of("RETORT_EMULATE_MEMORY", 4l << 30);
    settings.no_blas = number_of("RETORT_EMULATE_NO_BLAS", 0) != 0;
    if (order && !strcmp(order, "reverse")) settings.order = RT_EMULATED_REVERSE;
    if (order && !strncmp(order, "random", 6)) {
        settings.order = RT_EMULATED_RANDOM;
        if (order[6] == ':') settings.seed = strtoull(order + 7, nullptr, 10);
    }
    if (fail && *fail) read_fail(fail);
}

cudaError_t rt_emulated::remember(cudaError_t error)
{
    if (error) last_error = error;
    return error;
}

cudaError_t rt_emulated::enter(const char *name)
{
    if (!configured) configure();
    calls++;
    if (lost) return remember(lost);
    if (!settings.fail_at || (!settings.fail_name.empty() && settings.fail_name != name)) return cudaSuccess;
    if (++matched != settings.fail_at) return cudaSuccess;
    lost = settings.lost;
    if (lost) {
        for (CUstream_st *s : streams) s->items.clear(), s->done = s->queued;      /* it does none of this any more */
        return remember(lost);
    }
    bool memory = strstr(name, "Malloc") || strstr(name, "Instantiate");
    return remember(memory ? cudaErrorMemoryAllocation : cudaErrorLaunchFailure);
}

static bool break_captures()
{
    bool some = false;
    for (CUstream_st *s : streams)
        if (s->live && s->capture && s->mode != cudaStreamCaptureModeRelaxed)
            s->capture->broken = some = true;
    return some;
}

call::call(const char *name, int flags)
{
    error = enter(name);
    if (error || (flags & ANY)) return;
    if (!settings.driver || settings.old_driver)
        error = remember(cudaErrorInsufficientDriver);
    else if (!settings.devices)
        error = remember(cudaErrorNoDevice);
    else if ((flags & UNSAFE) && break_captures())
        error = remember(cudaErrorStreamCaptureUnsupported);
}

/* Device memory. */

#if defined(RT_EMULATE_ASAN) || defined(RT_EMULATE_TSAN)
enum { LOCKS = 0 };
#else
enum { LOCKS = 1 };
#endif
enum { PAGE = 4096, ALIGN = 256, AROUND = 64 << 10 };      /* bytes that cannot be touched, on either side */
static int open_count;

static void set_access(const allocation &a, uintptr_t at, bool open)
{
    if (LOCKS) mprotect(a.map + AROUND, a.map_bytes - 2 * AROUND, open ? PROT_READ | PROT_WRITE : PROT_NONE);
#ifdef RT_EMULATE_ASAN
    if (open)
        __asan_unpoison_memory_region((void *)at, a.bytes);
    else
        __asan_poison_memory_region((void *)at, a.bytes);
#endif
    (void)at;
}
static void set_access_all(bool open)
{
    for (auto &m : device_memory) set_access(m.second, m.first, open);
}
namespace {
struct opened {                            /* device memory, to kernels and copies */
    opened() { if (!open_count++) set_access_all(true); }
    ~opened() { if (!--open_count) set_access_all(false); }
    opened(const opened &) = delete;
};
}

/* The allocation that `at` lies in or beside, or nullptr. */
static const std::pair<const uintptr_t, allocation> *around(const void *at)
{
    for (auto &m : device_memory) {
        char *low = LOCKS ? m.second.map : (char *)m.first, *high = low + (LOCKS ? m.second.map_bytes : m.second.bytes);
        if ((char *)at >= low && (char *)at < high) return &m;
    }
    return nullptr;
}
bool rt_emulated::on_device(const void *at, size_t bytes)
{
    auto next = device_memory.upper_bound((uintptr_t)at);
    if (next == device_memory.begin()) return false;
    auto &m = *--next;
    return (uintptr_t)at - m.first <= m.second.bytes && bytes <= m.second.bytes - ((uintptr_t)at - m.first);
}
static bool on_host(const void *at, size_t bytes)
{
    for (auto &m : device_memory)
        if ((uintptr_t)at < m.first + m.second.bytes && (uintptr_t)at + bytes > m.first) return false;
    return at != nullptr;
}

static void fault(int number, siginfo_t *info, void *)
{
    const auto *m = around(info->si_addr);
    signal(number, SIG_DFL);               /* the access is repeated, and ends the process */
    if (!m) {
        if (open_count) trap("touches memory that is not the device's");
        return;
    }
    char what[160];
    long at = (long)((uintptr_t)info->si_addr - m->first);
    snprintf(what, sizeof what, "touches byte %ld of an allocation of %zu bytes", at, m->second.bytes);
    if (open_count) trap(what);
    fprintf(stderr, "emulator: the host %s on the device\n", what);
}

static void watch_faults()
{
    static bool done;
    if (done || !LOCKS) return;
    done = true;
    stack_t own = {};
    own.ss_sp = malloc(own.ss_size = 64 << 10);
    sigaltstack(&own, nullptr);
    struct sigaction action = {};
    action.sa_sigaction = fault;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK;
    sigaction(SIGSEGV, &action, nullptr);
}

/* Streams. */

CUstream_st *rt_emulated::find(cudaStream_t s)               /* nullptr: there is no such stream */
{
    if (!s) {
        legacy.blocking = legacy.live = true;
        return &legacy;
    }
    for (CUstream_st *each : streams)
        if (each == s && each->live) return s->device == device ? s : nullptr;
    return nullptr;
}

static void advance(CUstream_st *s, uint64_t until);

static void one_item(CUstream_st *s)
{
    item i = std::move(s->items.front());
    s->items.pop_front();
    if (i.wait)
        advance(i.wait, i.until);
    else
        i.run();
    s->done++;
}
static void advance(CUstream_st *s, uint64_t until)
{
    while (s->done < until && !s->items.empty()) one_item(s);
}

static std::vector<CUstream_st *> with_work()
{
    std::vector<CUstream_st *> some;
    for (CUstream_st *s : streams)
        if (!s->items.empty()) some.push_back(s);
    if (!legacy.items.empty()) some.push_back(&legacy);
    return some;
}

/* Runs what must have run when `until` items of the stream have, in the chosen order. */
void rt_emulated::run_until(CUstream_st *s, uint64_t until)
{
    if (s->done >= until) return;
    opened memory;
    if (settings.order == RT_EMULATED_REVERSE) {
        auto others = with_work();
        for (auto o = others.rbegin(); o != others.rend(); o++)
            if (*o != s) advance(*o, (*o)->queued);
    }
    while (settings.order == RT_EMULATED_RANDOM && s->done < until) {
        auto some = with_work();
        one_item(some[random_word() % some.size()]);
    }
    advance(s, until);
}

bool rt_emulated::run_some(CUstream_st *s, uint64_t until)
{
    if (s->done >= until) return true;
    opened memory;
    one_item(s);
    return false;
}

static void add(CUstream_st *s, item i)
{
    s->items.push_back(std::move(i));
    s->queued++;
}
void rt_emulated::enqueue(cudaStream_t stream, work w)
{
    CUstream_st *s = stream ? stream : &legacy;
    if (s->capture) {
        s->capture->nodes.push_back({std::move(w), s->last});
        s->last = {(int)s->capture->nodes.size() - 1};
        return;
    }
    if (s == &legacy) {
        for (CUstream_st *o : streams)
            if (o->blocking && o->done < o->queued) add(s, {nullptr, o, o->queued});
    } else if (s->blocking && legacy.done < legacy.queued) {
        add(s, {nullptr, &legacy, legacy.queued});
    }
    add(s, {std::move(w), nullptr, 0});
}

static cudaError_t no_such_stream() { return remember(cudaErrorInvalidResourceHandle); }

/* Whether the legacy stream may be used: not while a stream that it waits for is captured. */
static bool legacy_refused(CUstream_st *s)
{
    bool refused = false;
    if (s != &legacy) return false;
    for (CUstream_st *o : streams)
        if (o->live && o->capture && o->blocking) o->capture->broken = refused = true;
    return refused;
}

void rt_emulated::wait_all()
{
    for (CUstream_st *s : with_work()) run_until(s, s->queued);
}

void rt_emulated::enqueue_kernel(const char *name, const void *kernel, dim3 grid, dim3 block, size_t dynamic,
                                 cudaStream_t stream, work thread)
{
    call c("cudaLaunchKernel");
    if (c.error) return;
    const char *what = nullptr;
    uint64_t n = (uint64_t)block.x * block.y * block.z;
    if (!n || block.x > 1024 || block.y > 1024 || block.z > 64 || n > 1024)
        what = "1 to 1024 threads a block, at most 64 of them in z";
    else if (!grid.x || !grid.y || !grid.z || grid.x > 0x7fffffffu || grid.y > 65535 || grid.z > 65535)
        what = "1 to 2^31 - 1 blocks in x, 1 to 65535 in y and z";
    else if (dynamic > (48u << 10) && (size_t)(dynamic_allowed.count(kernel) ? dynamic_allowed[kernel] : 0) < dynamic)
        what = "more than 48 KiB of dynamic shared memory need cudaFuncSetAttribute before";
    if (what) {
        fprintf(stderr, "emulator: kernel %s, launch of grid (%u,%u,%u), block (%u,%u,%u), %zu bytes: %s\n", name,
                grid.x, grid.y, grid.z, block.x, block.y, block.z, dynamic, what);
        abort();
    }
    CUstream_st *s = find(stream);
    if (!s) {
        remember(cudaErrorInvalidResourceHandle);
        return;
    }
    if (legacy_refused(s)) {
        remember(cudaErrorStreamCaptureImplicit);
        return;
    }
    enqueue(stream, [=] { run_kernel(name, grid, block, dynamic, thread); });
}

/* Copies. */

static cudaError_t check_copy(void *to, const void *from, size_t bytes, cudaMemcpyKind kind)
{
    if (kind == cudaMemcpyDefault) {
        bool d = on_device(to, bytes), s = on_device(from, bytes);
        kind = d   ? s ? cudaMemcpyDeviceToDevice : cudaMemcpyHostToDevice
               : s ? cudaMemcpyDeviceToHost
                   : cudaMemcpyHostToHost;
    }
    if (kind < cudaMemcpyHostToHost || kind > cudaMemcpyDeviceToDevice)
        return remember(cudaErrorInvalidMemcpyDirection);
    bool to_device = kind == cudaMemcpyHostToDevice || kind == cudaMemcpyDeviceToDevice,
         from_device = kind >= cudaMemcpyDeviceToHost;
    if (to_device == on_host(to, 1) || from_device == on_host(from, 1))
        return remember(cudaErrorInvalidMemcpyDirection);
    bool inside = (to_device ? on_device(to, bytes) : on_host(to, bytes)) &&
                  (from_device ? on_device(from, bytes) : on_host(from, bytes));
    return inside ? cudaSuccess : remember(cudaErrorInvalidValue);
}

extern "C" {

cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t bytes, cudaMemcpyKind kind, cudaStream_t stream)
{
    call c("cudaMemcpyAsync");
    if (c.error) return c.error;
    CUstream_st *s = find(stream);
    if (!s) return no_such_stream();
    if (legacy_refused(s)) return remember(cudaErrorStreamCaptureImplicit);
    if (!bytes) return cudaSuccess;
    cudaError_t e = check_copy(to, from, bytes, kind);
    if (e) return e;
    enqueue(stream, [=] { memmove(to, from, bytes); });
    return cudaSuccess;
}

cudaError_t cudaMemcpy2DAsync(void *to, size_t to_pitch, const void *from, size_t from_pitch, size_t width,
                              size_t height, cudaMemcpyKind kind, cudaStream_t stream)
{
    call c("cudaMemcpy2DAsync");
    if (c.error) return c.error;
    CUstream_st *s = find(stream);
    if (!s) return no_such_stream();
    if (legacy_refused(s)) return remember(cudaErrorStreamCaptureImplicit);
    if (width > to_pitch || width > from_pitch) return remember(cudaErrorInvalidValue);
    for (size_t i = 0; i < height && width; i++) {
        cudaError_t e = check_copy((char *)to + i * to_pitch, (const char *)from + i * from_pitch, width, kind);
        if (e) return e;
    }
    enqueue(stream, [=] {
        for (size_t i = 0; i < height && width; i++)
            memmove((char *)to + i * to_pitch, (const char *)from + i * from_pitch, width);
    });
    return cudaSuccess;
}

cudaError_t cudaMemcpy(void *to, const void *from, size_t bytes, cudaMemcpyKind kind)
{
    call c("cudaMemcpy", UNSAFE);
    if (c.error) return c.error;
    cudaError_t e = bytes ? check_copy(to, from, bytes, kind) : cudaSuccess;
    if (e) return e;
    if (!bytes) return cudaSuccess;
    enqueue(nullptr, [=] { memmove(to, from, bytes); });
    run_until(&legacy, legacy.queued);
    return cudaSuccess;
}

cudaError_t cudaMemsetAsync(void *at, int value, size_t bytes, cudaStream_t stream)
{
    call c("cudaMemsetAsync");
    if (c.error) return c.error;
    CUstream_st *s = find(stream);
    if (!s) return no_such_stream();
    if (legacy_refused(s)) return remember(cudaErrorStreamCaptureImplicit);
    if (!bytes) return cudaSuccess;
    if (!on_device(at, bytes)) return remember(cudaErrorInvalidValue);
    enqueue(stream, [=] { memset(at, value, bytes); });
    return cudaSuccess;
}

cudaError_t cudaMemset(void *at, int value, size_t bytes) { return cudaMemsetAsync(at, value, bytes, nullptr); }

cudaError_t cudaMalloc(void **at, size_t bytes)
{
    call c("cudaMalloc", UNSAFE);
    if (c.error) return c.error;
    if (!at) return remember(cudaErrorInvalidValue);
    *at = nullptr;
    if (!bytes) return cudaSuccess;
    if (bytes > settings.memory - in_use[device]) return remember(cudaErrorMemoryAllocation);
    watch_faults();
    size_t inner = (bytes + ALIGN + PAGE - 1) / PAGE * PAGE;
    allocation a = {nullptr, inner + 2 * AROUND, bytes, device};
    uintptr_t p;
    if (LOCKS) {
        void *map = mmap(nullptr, a.map_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (map == MAP_FAILED) return remember(cudaErrorMemoryAllocation);
        a.map = (char *)map;
        p = ((uintptr_t)a.map + AROUND + inner - bytes) & ~(uintptr_t)(ALIGN - 1);
    } else {
        void *map;
        if (posix_memalign(&map, ALIGN, bytes)) return remember(cudaErrorMemoryAllocation);
        a.map = (char *)map;
        p = (uintptr_t)map;
    }
    set_access(a, p, true);
    memset((void *)p, 0xff, bytes);
    if (!open_count) set_access(a, p, false);
    device_memory[p] = a;
    in_use[device] += bytes;
    *at = (void *)p;
    return cudaSuccess;
}

/* What is given back by a call that fails, or to a card that is lost, is the program's no longer: a card keeps or drops
 * it. */
cudaError_t cudaFree(void *at)
{
    call c("cudaFree", UNSAFE);
    if (!at) return c.error;
    auto m = device_memory.find((uintptr_t)at);
    if (m == device_memory.end()) return c.error ? c.error : remember(cudaErrorInvalidValue);
    if (!lost) wait_all();
    in_use[m->second.device] -= m->second.bytes;
    set_access(m->second, m->first, true);
    if (LOCKS)
        munmap(m->second.map, m->second.map_bytes);
    else
        free(m->second.map);
    device_memory.erase(m);
    return c.error;
}

cudaError_t cudaHostAlloc(void **at, size_t bytes, unsigned)
{
    call c("cudaMallocHost", UNSAFE);
    if (c.error) return c.error;
    *at = nullptr;
    if (!bytes) return cudaSuccess;
    if (posix_memalign(at, PAGE, bytes)) return remember(cudaErrorMemoryAllocation);
    memset(*at, 0xff, bytes);
    pinned.insert(*at);
    return cudaSuccess;
}
cudaError_t cudaMallocHost(void **at, size_t bytes) { return cudaHostAlloc(at, bytes, cudaHostAllocDefault); }
cudaError_t cudaFreeHost(void *at)
{
    call c("cudaFreeHost", UNSAFE);
    if (!at) return c.error;
    if (!pinned.erase(at)) return c.error ? c.error : remember(cudaErrorInvalidValue);
    free(at);
    return c.error;
}

cudaError_t cudaMemGetInfo(size_t *available, size_t *total)
{
    call c("cudaMemGetInfo");
    if (c.error) return c.error;
    *total = settings.memory;
    *available = settings.memory - in_use[device];
    return cudaSuccess;
}

static const struct { cudaError_t error; const char *name, *text;
} errors[] = {
    {cudaSuccess, "cudaSuccess", "no error"},
    {cudaErrorInvalidValue, "cudaErrorInvalidValue", "invalid argument"},
    {cudaErrorMemoryAllocation, "cudaErrorMemoryAllocation", "out of memory"},
    {cudaErrorInvalidConfiguration, "cudaErrorInvalidConfiguration", "invalid configuration argument"},
    {cudaErrorInvalidMemcpyDirection, "cudaErrorInvalidMemcpyDirection", "invalid copy direction for memcpy"},
    {cudaErrorInsufficientDriver, "cudaErrorInsufficientDriver",
     "CUDA driver version is insufficient for CUDA runtime version"},
    {cudaErrorNoDevice, "cudaErrorNoDevice", "no CUDA-capable device is detected"},
    {cudaErrorInvalidDevice, "cudaErrorInvalidDevice", "invalid device ordinal"},
    {cudaErrorNoKernelImageForDevice, "cudaErrorNoKernelImageForDevice",
     "no kernel image is available for execution on the device"},
    {cudaErrorECCUncorrectable, "cudaErrorECCUncorrectable", "uncorrectable ECC error encountered"},
    {cudaErrorInvalidResourceHandle, "cudaErrorInvalidResourceHandle", "invalid resource handle"},
    {cudaErrorNotReady, "cudaErrorNotReady", "device not ready"},
    {cudaErrorIllegalAddress, "cudaErrorIllegalAddress", "an illegal memory access was encountered"},
    {cudaErrorLaunchFailure, "cudaErrorLaunchFailure", "unspecified launch failure"},
    {cudaErrorStreamCaptureUnsupported, "cudaErrorStreamCaptureUnsupported",
     "operation not permitted when stream is capturing"},
    {cudaErrorStreamCaptureInvalidated, "cudaErrorStreamCaptureInvalidated",
     "operation failed due to a previous error during capture"},
    {cudaErrorStreamCaptureUnmatched, "cudaErrorStreamCaptureUnmatched",
     "capture was not ended in the same stream as it began"},
    {cudaErrorStreamCaptureUnjoined, "cudaErrorStreamCaptureUnjoined",
     "the capturing stream has unjoined work"},
    {cudaErrorStreamCaptureIsolation, "cudaErrorStreamCaptureIsolation",
     "dependency created on uncaptured work in another stream"},
    {cudaErrorStreamCaptureImplicit, "cudaErrorStreamCaptureImplicit",
     "operation would make the legacy stream depend on a capturing blocking stream"},
    {cudaErrorCapturedEvent, "cudaErrorCapturedEvent",
     "operation not permitted on an event last recorded in a capturing stream"},
};
const char *cudaGetErrorName(cudaError_t error)
{
    for (auto &e : errors)
        if (e.error == error) return e.name;
    return "cudaErrorUnknown";
}
const char *cudaGetErrorString(cudaError_t error)
{
    for (auto &e : errors)
        if (e.error == error) return e.text;
    return "unknown error";
}
cudaError_t cudaGetLastError(void)
{
    cudaError_t e = lost ? lost : last_error;
    last_error = cudaSuccess;
    return e;
}
cudaError_t cudaPeekAtLastError(void) { return lost ? lost : last_error; }

/* Cards. */

cudaError_t cudaDriverGetVersion(int *version)
{
    call c("cudaDriverGetVersion", ANY);
    *version = !settings.driver ? 0 : settings.old_driver ? 11000 : 13000;
    return c.error;
}
cudaError_t cudaRuntimeGetVersion(int *version)
{
    *version = CUDART_VERSION;
    return cudaSuccess;
}
cudaError_t cudaGetDeviceCount(int *count)
{
    *count = 0;
    call c("cudaGetDeviceCount");
    if (c.error) return c.error;
    *count = settings.devices;
    return cudaSuccess;
}
cudaError_t cudaGetDevice(int *current)
{
    call c("cudaGetDevice");
    *current = device;
    return c.error;
}
cudaError_t cudaSetDevice(int chosen)
{
    call c("cudaSetDevice");
    if (c.error) return c.error;
    if (chosen < 0 || chosen >= settings.devices) return remember(cudaErrorInvalidDevice);
    device = chosen;
    return cudaSuccess;
}
cudaError_t cudaGetDeviceProperties(cudaDeviceProp *prop, int chosen)
{
    call c("cudaGetDeviceProperties");
    if (c.error) return c.error;
    if (chosen < 0 || chosen >= settings.devices) return remember(cudaErrorInvalidDevice);
    *prop = cudaDeviceProp();
    snprintf(prop->name, sizeof prop->name, "Emulated GPU");
    prop->totalGlobalMem = settings.memory;
    prop->sharedMemPerBlock = 48 << 10;
    prop->sharedMemPerBlockOptin = block_limit();
    prop->sharedMemPerMultiprocessor = block_limit() + 1024;
    prop->regsPerBlock = 65536;
    prop->warpSize = 32;
    prop->maxThreadsPerBlock = 1024;
    prop->maxThreadsPerMultiProcessor = settings.capability == 75 ? 1024 : 2048;
    prop->maxGridSize[0] = 0x7fffffff, prop->maxGridSize[1] = prop->maxGridSize[2] = 65535;
    prop->major = settings.capability / 10, prop->minor = settings.capability % 10;
    prop->multiProcessorCount = settings.sms;
    prop->l2CacheSize = 4 << 20;
    prop->memoryBusWidth = 256;
    prop->pciBusID = chosen + 1;
    return cudaSuccess;
}
cudaError_t cudaDeviceGetAttribute(int *value, cudaDeviceAttr attribute, int chosen)
{
    call c("cudaDeviceGetAttribute");
    if (c.error) return c.error;
    if (chosen < 0 || chosen >= settings.devices) return remember(cudaErrorInvalidDevice);
    switch (attribute) {
    case cudaDevAttrMaxThreadsPerBlock: *value = 1024; break;
    case cudaDevAttrMaxSharedMemoryPerBlock: *value = 48 << 10; break;
    case cudaDevAttrWarpSize: *value = 32; break;
    case cudaDevAttrMultiProcessorCount: *value = settings.sms; break;
    case cudaDevAttrL2CacheSize: *value = 4 << 20; break;
    case cudaDevAttrMaxThreadsPerMultiProcessor: *value = settings.capability == 75 ? 1024 : 2048; break;
    case cudaDevAttrComputeCapabilityMajor: *value = settings.capability / 10; break;
    case cudaDevAttrComputeCapabilityMinor: *value = settings.capability % 10; break;
    case cudaDevAttrMaxSharedMemoryPerMultiprocessor: *value = (int)block_limit() + 1024; break;
    case cudaDevAttrMaxSharedMemoryPerBlockOptin: *value = (int)block_limit(); break;
    default: return remember(cudaErrorInvalidValue);
    }
    return cudaSuccess;
}
cudaError_t cudaFuncSetAttribute(const void *function, cudaFuncAttribute attribute, int value)
{
    call c("cudaFuncSetAttribute");
    if (c.error) return c.error;
    if (attribute == cudaFuncAttributePreferredSharedMemoryCarveout) return cudaSuccess;
    if (attribute != cudaFuncAttributeMaxDynamicSharedMemorySize || value < 0 || (size_t)value > block_limit())
        return remember(cudaErrorInvalidValue);
    dynamic_allowed[function] = value;
    return cudaSuccess;
}

/* Tests. */

void rt_emulated_order(int order, uint64_t seed)
{
    lock one;
    if (!configured) configure();
    settings.order = order;
    settings.seed = seed;
}
void rt_emulated_reset(void)
{
    lock one;
    configure();
    reset_emulator();
    calls = matched = 0;
    lost = last_error = cudaSuccess;
    device = 0;
}
uint64_t rt_emulated_calls(void) { return calls; }
size_t rt_emulated_bytes(void)
{
    size_t sum = 0;
    for (auto &m : device_memory) sum += m.second.bytes;
    return sum;
}
size_t rt_emulated_live(void) { return device_memory.size() + pinned.size() + live_handles(); }
int rt_emulated_blas_missing(void)
{
    lock one;
    if (!configured) configure();
    return settings.no_blas;
}
}
