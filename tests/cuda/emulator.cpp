/* tests/cuda/emulator.cpp - runs a kernel on one thread of the CPU. The threads of a block are fibers; who arrives last
 * at a warp operation or barrier evaluates it for all and goes on, and a thread that ends lets the next one begin on
 * its own stack: a kernel without such operations switches twice in all.
 *
 * Order is a parameter, so that what leans on one order shows. Shared memory is NaN until written. A fault ends the
 * process with one line. With RT_EMULATE_TSAN, each thread is one for ThreadSanitizer, too: barriers, warp operations
 * and kernel boundaries are its only order, and neighbouring blocks are different threads over different memory; this
 * file itself is then compiled without instrumentation. (ThreadSanitizer from LLVM 14 on tells some 250 threads apart:
 * blocks of 64 show most.) */
#include "emulated_gpu.h"
#include "emulator.h"

#include <algorithm>
#include <pthread.h>
#include <sys/mman.h>
#include <vector>

#ifdef RT_EMULATE_TSAN
#include <sanitizer/tsan_interface.h>
enum { TSAN = 1, THREADS = 2048, STACK = 64 << 10 };
#else
enum { TSAN = 0, THREADS = 1024, STACK = 256 << 10 };
static inline void __tsan_acquire(void *) {}
static inline void __tsan_release(void *) {}
#endif
#ifdef RT_EMULATE_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif
#if !defined(__x86_64__)
#include <ucontext.h>
#endif

namespace rt_emulated {

builtin now;
uint64_t kernels, switches;

enum { WARP = 32, BLOCK = 1024, GUARD = 64 << 10, SHARED = 228 << 10, STATIC = 48 << 10, GAP = 64 };
enum kind { SYNC, SHUFFLE, BALLOT, MMA_TF32, MMA_BF16 };

struct context {                           /* a stack and where it stands */
    void *sp = nullptr;
    char *low = nullptr;
    size_t size = 0;
    context *next = nullptr;               /* in the list of free ones */
    void *fake = nullptr, *tsan = nullptr;
#if !defined(__x86_64__)
    ucontext_t place;
#endif
};
struct copy { void *to; const void *from; int bytes, valid; };
struct thread {
    context *on;                           /* nullptr: not begun */
    uint3 index;
    kind op;
    unsigned mask;
    site at;
    uint64_t in, out;
    int source;
    const uint32_t *a, *b;
    float *c;
    std::vector<copy> copies;              /* asked for and not yet done */
    std::vector<size_t> groups;            /* ends of committed groups in it */
    unsigned barriers, operations;
};
struct warp { unsigned ready, waiting, barrier, ended, lanes; };

static struct {
    const char *kernel;
    const std::function<void()> *body;
    uint64_t block, blocks, step, first;   /* the block that runs, and how the next is found */
    unsigned threads, warps, ready, at_barrier, ended;
    bool running;
    site barrier;
    const thread *barrier_first;
    size_t dynamic, used, at;
    unsigned base;                         /* of this block in `threads` */
} g;
static thread threads[THREADS];
static warp warps[BLOCK / WARP];
static context main_context, *free_stacks, *own_stacks[THREADS];
static thread *current;                    /* nullptr: none runs */
static struct { const void *key; void *at; size_t bytes; } arrays[64];
static int array_count;
alignas(4096) static char shared_memory[GUARD + SHARED + GUARD];
static char *shared_base = shared_memory + GUARD;  /* nothing in front may be touched */
#ifdef RT_EMULATE_TSAN
enum : size_t { POOL = (size_t)2 << 30 };
static char *shared_pool;
#endif
static char tsan_begin, tsan_end, tsan_fence, tsan_block[THREADS / WARP][2], tsan_warp[THREADS / WARP][2];

uint64_t random_word()                     /* xorshift64* */
{
    uint64_t &x = settings.seed;
    if (!x) x = 88172645463325252u;
    x ^= x >> 12, x ^= x << 25, x ^= x >> 27;
    return x * 2685821657736338717u;
}

static uint3 block_at(uint64_t b)
{
    return {(unsigned)(b % now.grid_dim.x), (unsigned)(b / now.grid_dim.x % now.grid_dim.y),
            (unsigned)(b / now.grid_dim.x / now.grid_dim.y)};
}

[[noreturn]] static void die(const thread *t, const std::string &what)
{
    uint3 b = now.block, i = t ? t->index : uint3{0, 0, 0};
    fprintf(stderr, "emulator: kernel %s, block (%u,%u,%u), thread (%u,%u,%u): %s\n", g.kernel ? g.kernel : "?", b.x,
            b.y, b.z, i.x, i.y, i.z, what.c_str());
    fflush(stderr);
    abort();
}
static bool same(site a, site b) { return a.line == b.line && (a.file == b.file || !strcmp(a.file, b.file)); }
static std::string place(site s)
{
    const char *base = strrchr(s.file, '/');
    return std::string(base ? base + 1 : s.file) + ":" + std::to_string(s.line);
}
void trap(const char *why) { die(current, why); }

/* Fibers. */

#if defined(__x86_64__)
asm(R"(
.text
.globl rt_emulated_switch
.type rt_emulated_switch,@function
rt_emulated_switch:
    pushq %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    movq %rsp, (%rdi)
    movq %rsi, %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbx
    popq %rbp
    ret
.size rt_emulated_switch, .-rt_emulated_switch
)");
extern "C" void rt_emulated_switch(void **save, void *load);
#endif

static void thread_main();

static void go(context *from, context *to, bool ends)
{
    switches++;
#ifdef RT_EMULATE_ASAN
    __sanitizer_start_switch_fiber(ends ? nullptr : &from->fake, to->low, to->size);
#endif
    (void)ends;
#ifdef RT_EMULATE_TSAN
    __tsan_switch_to_fiber(to->tsan, __tsan_switch_to_fiber_no_sync);
#endif
#if defined(__x86_64__)
    rt_emulated_switch(&from->sp, to->sp);
#else
    swapcontext(&from->place, &to->place);
#endif
#ifdef RT_EMULATE_ASAN
    __sanitizer_finish_switch_fiber(from->fake, nullptr, nullptr);
#endif
}

static context *new_stack()
{
    context *c = new context;
    static size_t count;
    size_t page = 4096, stagger = count++ * 9 * 64 % page; /* or all their tops would share a few lines of cache */
    int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
    char *all = (char *)mmap(nullptr, STACK + 2 * page, PROT_READ | PROT_WRITE, flags, -1, 0);
    if (all == MAP_FAILED) trap("no memory for another stack");
    mprotect(all, page, PROT_NONE);
    c->low = all + page;
    c->size = STACK + stagger;
#ifdef RT_EMULATE_TSAN
    c->tsan = __tsan_create_fiber(0);
#endif
    return c;
}
/* For TSan each thread has its own, always, and all come from the host's thread: what makes one comes before it, and
 * memory of stacks would race. */
[[maybe_unused]] static void make_stacks(unsigned count)
{
    for (unsigned i = 0; TSAN && i < count; i++)
        if (!own_stacks[i]) own_stacks[i] = new_stack();
}

static context *take_stack(const thread *t)
{
    context *c = TSAN ? own_stacks[t - threads] : free_stacks;
    if (!c)
        c = new_stack();
    else
        free_stacks = c->next;
#if defined(__x86_64__)
    uint64_t *sp = (uint64_t *)(void *)(c->low + c->size);
    *--sp = 0;
    *--sp = (uint64_t)(uintptr_t)thread_main;
    for (int i = 0; i < 6; i++) *--sp = 0;
    c->sp = sp;
#else
    getcontext(&c->place);
    c->place.uc_stack.ss_sp = c->low;
    c->place.uc_stack.ss_size = c->size;
    c->place.uc_link = nullptr;
    makecontext(&c->place, thread_main, 0);
#endif
    return c;
}

/* Blocks. */

static void poison(void *at, size_t bytes)             /* not by memset, which sanitizers would see */
{
    volatile unsigned char *p = (volatile unsigned char *)at;
    if (TSAN)
        for (size_t i = 0; i < bytes; i++) p[i] = 0xff;
    else
        memset(at, 0xff, bytes);
}

static void new_shared()
{
#ifdef RT_EMULATE_TSAN                     /* fresh for each block, or its uses by different blocks would race */
    static size_t used;
    used += g.at;
    if (used + SHARED + GUARD > POOL) used = 0;
    shared_base = shared_pool + used;
#endif
#ifdef RT_EMULATE_ASAN
    __asan_poison_memory_region(shared_memory, sizeof shared_memory);
    __asan_unpoison_memory_region(shared_base, g.dynamic);
#endif
    array_count = 0;
    g.at = (g.dynamic + GAP + 127) & ~(size_t)127;
    g.used = 0;
    if (g.dynamic) poison(shared_base, g.dynamic);
}

static bool next_block()
{
    if (g.block >= g.blocks) return false;
    now.block = block_at((g.first + g.block * g.step) % g.blocks);
    g.block++;
    new_shared();
    g.at_barrier = g.ended = 0;
    g.ready = g.warps == 32 ? ~0u : (1u << g.warps) - 1;
    unsigned step = (g.threads + WARP - 1) / WARP * WARP;
    g.base = TSAN && !g.base ? step : 0;
    for (unsigned w = 0; w < g.warps; w++) {
        unsigned lanes = g.threads - w * WARP;
        warps[w].lanes = warps[w].ready = lanes >= WARP ? ~0u : (1u << lanes) - 1;
        warps[w].waiting = warps[w].barrier = warps[w].ended = 0;
    }
    for (unsigned t = 0; t < g.threads; t++) {
        thread *f = &threads[g.base + t];
        f->barriers = f->operations = 0;
        f->on = nullptr;
    }
    return true;
}

static unsigned bit_of(unsigned set)                   /* which of a set, by the order */
{
    if (settings.order == RT_EMULATED_FORWARD) return (unsigned)__builtin_ctz(set);
    if (settings.order == RT_EMULATED_REVERSE) return 31 - (unsigned)__builtin_clz(set);
    unsigned skip = (unsigned)(random_word() >> 32) % (unsigned)__builtin_popcount(set);
    while (skip--) set &= set - 1;
    return (unsigned)__builtin_ctz(set);
}
static warp *warp_of(const thread *t) { return &warps[(t - threads - g.base) / WARP]; }
static unsigned lane_of(const thread *t) { return (unsigned)(t - threads) % WARP; }
static thread *lanes_of(const warp *w) { return &threads[g.base + (unsigned)(w - warps) * WARP]; }
static void set_ready(warp *w, unsigned lanes)
{
    w->ready |= lanes;
    g.ready |= 1u << (w - warps);
}

static void say_stuck()
{
    unsigned alive = g.threads - g.ended;
    for (unsigned t = 0; t < g.threads; t++) {
        thread *f = &threads[g.base + t];
        if (warps[t / WARP].waiting >> t % WARP & 1)
            die(f, "waits for lanes of its mask at " + place(f->at) + " that never arrive");
    }
    die(g.barrier_first, "waits at the __syncthreads() of " + place(g.barrier) + " where " +
                             (g.at_barrier == alive ? std::to_string(g.ended) + " threads of the block have ended"
                                                    : "not all threads arrive"));
}

/* Who runs next, in the block or the one after it; nullptr: the kernel has ended. */
static thread *next_thread()
{
    for (;;) {
        if (g.ready) {
            static unsigned w;
            if (settings.order == RT_EMULATED_RANDOM || !(g.ready >> w & 1)) w = bit_of(g.ready);
            unsigned lane = bit_of(warps[w].ready);
            warps[w].ready &= ~(1u << lane);
            if (!warps[w].ready) g.ready &= ~(1u << w);
            return &threads[g.base + w * WARP + lane];
        }
        if (g.ended < g.threads) say_stuck();
        if (!next_block()) return nullptr;
    }
}

static void enter_thread(thread *t)
{
    current = t;
    now.thread = t->index;
}
static void begin_thread(thread *t, context *stack)
{
    unsigned i = (unsigned)(t - threads) - g.base, x = now.block_dim.x, y = now.block_dim.y;
    t->on = stack;
    t->index = {i % x, i / x % y, i / x / y};
}

/* From the fiber that runs to another; the current one may have ended. */
static void leave(thread *to, context *from, bool ends)
{
    context *target = &main_context;
    if (to) {
        if (!to->on) begin_thread(to, take_stack(to));
        target = to->on;
        enter_thread(to);
    } else {
        current = nullptr;
    }
    go(from, target, ends);
}

static void end_thread(thread *t)
{
    if (!t->copies.empty()) die(t, "ends with asynchronous copies that it has not waited for");
    warp *w = warp_of(t);
    w->ended |= 1u << lane_of(t);
    g.ended++;
    for (unsigned waiting = w->waiting; waiting; waiting &= waiting - 1) {
        thread *other = lanes_of(w) + __builtin_ctz(waiting);
        if (other->mask >> lane_of(t) & 1)
            die(other, "the warp operation at " + place(other->at) + " names lane " + std::to_string(lane_of(t)) +
                           ", which has ended");
    }
}

static void thread_main()
{
#ifdef RT_EMULATE_ASAN
    __sanitizer_finish_switch_fiber(nullptr, nullptr, nullptr);
#endif
    for (;;) {
        __tsan_acquire(&tsan_begin);
        (*g.body)();
        __tsan_release(&tsan_end);
        thread *me = current, *next;
        context *stack = me->on;
        end_thread(me);
        next = next_thread();
        if (!TSAN && next && !next->on) {              /* on the same stack */
            begin_thread(next, stack);
            enter_thread(next);
            continue;
        }
        if (!TSAN) {
            stack->next = free_stacks;
            free_stacks = stack;
        }
        leave(next, stack, true);
        __builtin_unreachable();
    }
}

static void suspend()                                  /* until it is ready again; its state is set */
{
    thread *me = current, *next = next_thread();
    if (next != me) leave(next, me->on, false);
}

void sync_block(site at)
{
    thread *me = current;
    warp *w = warp_of(me);
    if (!g.at_barrier) g.barrier = at, g.barrier_first = me;
    if (!same(at, g.barrier))
        die(me, "is at the __syncthreads() of " + place(at) + " while others wait at that of " + place(g.barrier));
    me->at = at;
    char *order = &tsan_block[g.base / WARP][me->barriers++ & 1];   /* who runs ahead must not be seen at this one */
    __tsan_release(order);
    w->barrier |= 1u << lane_of(me);
    if (++g.at_barrier == g.threads) {
        for (unsigned i = 0; i < g.warps; i++) {
            set_ready(&warps[i], warps[i].barrier);
            warps[i].barrier = 0;
        }
        g.at_barrier = 0;
    }
    suspend();
    __tsan_acquire(order);
}

/* Warp operations. */

static float as_float(uint32_t u) { return bits<float>(u); }

static void multiply(thread *w, kind op)
{
    enum { M = 16, N = 8 };
    int depth = op == MMA_TF32 ? 8 : 16;
    float a[M][16], b[16][N], d[M][N];
    for (int i = 0; i < WARP; i++) {
        const uint32_t *x = w[i].a, *y = w[i].b;
        int r = i >> 2, t = i & 3;
        for (int j = 0; j < 4; j++) {                  /* rows r and r + 8, then the other half of the depth */
            int row = r + 8 * (j & 1), half = depth / 2 * (j >> 1);
            if (op == MMA_TF32) {                      /* the unit sees 10 bits of mantissa */
                a[row][t + half] = as_float(x[j] & 0xffffe000u);
                if (j < 2) b[t + 4 * j][r] = as_float(y[j] & 0xffffe000u);
            } else {
                a[row][2 * t + half] = as_float(x[j] << 16), a[row][2 * t + half + 1] = as_float(x[j] & 0xffff0000u);
                if (j < 2)
                    b[2 * t + 8 * j][r] = as_float(y[j] << 16), b[2 * t + 8 * j + 1][r] = as_float(y[j] & 0xffff0000u);
            }
            d[row][2 * t + (j >> 1)] = w[i].c[2 * (j & 1) + (j >> 1)];
        }
    }
    for (int r = 0; r < M; r++)
        for (int k = 0; k < depth; k++)
            for (int c = 0; c < N; c++) d[r][c] += a[r][k] * b[k][c];
    for (int i = 0; i < WARP; i++)
        for (int j = 0; j < 4; j++) w[i].c[j] = d[(i >> 2) + 8 * (j >> 1)][2 * (i & 3) + (j & 1)];
}

/* All lanes of the mask have arrived. */
static void evaluate(thread *w, unsigned mask, thread *last)
{
    unsigned votes = 0;
    for (unsigned m = mask; m; m &= m - 1) {
        thread *t = &w[__builtin_ctz(m)];
        if (t->op != last->op || !same(t->at, last->at))
            die(t, "is in the warp operation at " + place(t->at) + " while lanes of its mask are in that at " +
                       place(last->at));
        votes |= (unsigned)(t->in != 0) << __builtin_ctz(m);
    }
    switch (last->op) {
    case SYNC: break;
    case SHUFFLE:
        for (unsigned m = mask; m; m &= m - 1) {
            thread *t = &w[__builtin_ctz(m)];
            if (!(mask >> t->source & 1))
                die(t, "shuffles at " + place(t->at) + " from lane " + std::to_string(t->source) +
                           ", which is not in the mask");
            t->out = w[t->source].in;
        }
        break;
    case BALLOT:
        for (unsigned m = mask; m; m &= m - 1) w[__builtin_ctz(m)].out = votes;
        break;
    case MMA_TF32:
    case MMA_BF16: multiply(w, last->op);
    }
}

static void meet(kind op, unsigned mask, site at)
{
    thread *me = current;
    warp *w = warp_of(me);
    thread *lanes = lanes_of(w);
    unsigned bit = 1u << lane_of(me);
    me->op = op, me->mask = mask, me->at = at;
    if (!(mask & bit)) die(me, "is not in its own mask at " + place(at));
    if (mask & (w->ended | ~w->lanes))
        die(me, "the warp operation at " + place(at) + " names lanes that have ended or do not exist");
    char *order = &tsan_warp[(me - threads) / WARP][me->operations++ & 1];
    __tsan_release(order);
    w->waiting |= bit;
    unsigned here = 0;
    if ((w->waiting & mask) == mask)
        for (unsigned m = mask; m; m &= m - 1)
            if (lanes[__builtin_ctz(m)].mask == mask) here |= m & -m;
    if (here == mask) {
        evaluate(lanes, mask, me);
        w->waiting &= ~mask;
        set_ready(w, mask);
    }
    suspend();
    __tsan_acquire(order);
}

void sync_warp(unsigned mask, site at) { meet(SYNC, mask, at); }
uint64_t shuffle(unsigned mask, uint64_t value, int source, site at)
{
    thread *me = current;
    me->in = value, me->source = source & 31;
    meet(SHUFFLE, mask, at);
    return me->out;
}
unsigned ballot(unsigned mask, int predicate, site at)
{
    thread *me = current;
    me->in = predicate != 0;
    meet(BALLOT, mask, at);
    return (unsigned)me->out;
}
static void mma(kind op, float *c, const uint32_t *a, const uint32_t *b, site at)
{
    thread *me = current;
    if (settings.capability < 80) die(me, "tensor cores at " + place(at) + " need compute capability 8.0");
    if (warp_of(me)->lanes != ~0u) die(me, "mma at " + place(at) + " without a whole warp");
    me->a = a, me->b = b, me->c = c;
    meet(op, ~0u, at);
}
void mma_tf32(float *c, const uint32_t *a, const uint32_t *b, site at) { mma(MMA_TF32, c, a, b, at); }
void mma_bf16(float *c, const uint32_t *a, const uint32_t *b, site at) { mma(MMA_BF16, c, a, b, at); }
void fence()
{
    __tsan_release(&tsan_fence);
    __tsan_acquire(&tsan_fence);
}

/* Asynchronous copies: done as late as they may be, and their target is NaN until then. */

static void copied(const copy &c) /* of sizes that are not known here: sanitizers see these calls */
{
    if (c.valid)
        memcpy(c.to, c.from, (size_t)c.bytes);
    else
        memset(c.to, 0, (size_t)c.bytes);
}

void copy_async(void *to, const void *from, int bytes, int valid)
{
    if (bytes != 4 && bytes != 8 && bytes != 16)
        die(current, "an asynchronous copy of " + std::to_string(bytes) + " bytes");
    if ((uintptr_t)to % (unsigned)bytes || (valid && (uintptr_t)from % (unsigned)bytes))
        die(current, "an asynchronous copy of " + std::to_string(bytes) +
                         " bytes between addresses that are not aligned to as many");
    if ((char *)to < shared_base || (char *)to + bytes > shared_base + SHARED + GUARD)
        die(current, "an asynchronous copy to somewhere outside shared memory");
    if (settings.capability < 80) {
        copied({to, from, bytes, valid});
        return;
    }
    memset(to, 0xff, (size_t)bytes);
    current->copies.push_back({to, from, bytes, valid});
}
void copy_commit()
{
    if (settings.capability >= 80) current->groups.push_back(current->copies.size());
}
void copy_wait(int pending)
{
    thread *me = current;
    if (me->groups.size() <= (size_t)pending) return;
    size_t done = me->groups.size() - (size_t)pending, end = me->groups[done - 1];
    for (size_t i = 0; i < end; i++) copied(me->copies[i]);
    me->copies.erase(me->copies.begin(), me->copies.begin() + (long)end);
    me->groups.erase(me->groups.begin(), me->groups.begin() + (long)done);
    for (size_t &group : me->groups) group -= end;
}

/* Shared memory. */

size_t block_limit()
{
    int c = settings.capability;
    return (size_t)(c >= 90 ? 227 : c == 80 || c == 87 ? 163 : c > 80 ? 99 : c == 75 ? 64 : 96) << 10;
}
void *shared(const void *key, const char *name, size_t bytes)
{
    for (int i = 0; i < array_count; i++)
        if (arrays[i].key == key) return arrays[i].at;
    g.used += bytes;
    if (g.used > STATIC) die(current, std::string("more than 48 KiB of shared memory with array ") + name);
    if (g.used + g.dynamic > block_limit())
        die(current, std::string("more shared memory than a block may have with array ") + name);
    if (array_count == 64) die(current, "more than 64 arrays in shared memory");
    void *at = shared_base + g.at;
    g.at += (bytes + GAP + 127) & ~(size_t)127;
    arrays[array_count++] = {key, at, bytes};
#ifdef RT_EMULATE_ASAN
    __asan_unpoison_memory_region(at, bytes);
#endif
    poison(at, bytes);
    return at;
}
void *shared_dynamic(size_t align)
{
    if (!g.dynamic) die(current, "uses dynamic shared memory, of which the launch gives none");
    if (align > 16) die(current, "dynamic shared memory is aligned to 16 bytes");
    return shared_base;
}

/* Kernels. */

static uint64_t common(uint64_t a, uint64_t b) { return b ? common(b, a % b) : a; }

void run_kernel(const char *name, dim3 grid, dim3 block, size_t dynamic, const std::function<void()> &thread_body)
{
    g.kernel = name;
    g.body = &thread_body;
    g.threads = block.x * block.y * block.z;
    g.warps = (g.threads + WARP - 1) / WARP;
    g.blocks = (uint64_t)grid.x * grid.y * grid.z;
    g.dynamic = dynamic;
    g.block = 0;
    g.first = 0, g.step = 1;
    if (settings.order == RT_EMULATED_REVERSE) g.first = g.step = g.blocks - 1;
    if (settings.order == RT_EMULATED_RANDOM && g.blocks > 1) {
        g.first = random_word() % g.blocks;
        do g.step = 1 + random_word() % g.blocks % 65536; while (common(g.step, g.blocks) > 1);
    }
    if (g.blocks == 1) g.step = 1, g.first = 0;
    now.block_dim = block;
    now.grid_dim = grid;
    kernels++;
#ifdef RT_EMULATE_ASAN
    static thread_local char *low;                     /* the stack of this thread of the host */
    static thread_local size_t size;
    pthread_attr_t own;
    if (!low && !pthread_getattr_np(pthread_self(), &own)) {
        void *at;
        pthread_attr_getstack(&own, &at, &size);
        low = (char *)at;
        pthread_attr_destroy(&own);
    }
    main_context.low = low, main_context.size = size;
#endif
#ifndef RT_EMULATE_ASAN                    /* which reads all memory when it looks for leaks, and poisons it instead */
    static const int guarded = mprotect(shared_memory, GUARD, PROT_NONE);
    if (guarded) die(nullptr, "shared memory cannot be guarded");
#endif
#ifdef RT_EMULATE_TSAN
    main_context.tsan = __tsan_get_current_fiber();
    make_stacks(2 * g.warps * WARP);
    int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
    if (!shared_pool) shared_pool = (char *)mmap(nullptr, POOL, PROT_READ | PROT_WRITE, flags, -1, 0);
#endif
    __tsan_release(&tsan_begin);                       /* sees what came before it; its blocks do not see each other */
    thread *first = next_block() ? next_thread() : nullptr;
    if (first) leave(first, &main_context, false);
    __tsan_acquire(&tsan_end);
    g.kernel = nullptr;
}

void reset_emulator() { kernels = switches = 0; }
}

extern "C" {
uint64_t rt_emulated_switches(void) { return rt_emulated::switches; }
uint64_t rt_emulated_kernels(void) { return rt_emulated::kernels; }
}
