/* tests/cuda/step_block.h - a step's block, packed by hand, and memory of the emulated card. */
#ifndef RT_TESTS_CUDA_STEP_BLOCK_H
#define RT_TESTS_CUDA_STEP_BLOCK_H

#include <cuda_runtime_api.h>

#include "engine/cuda/cuda_feed.h"
#include "tests/cuda/emulator.h"
#include "tests/support.h"

static inline void card_ok(cudaError_t e)
{
    if (e) fail_msg("%s", cudaGetErrorString(e));
}

static inline void *card_new(size_t bytes)
{
    void *p;
    card_ok(cudaMalloc(&p, bytes ? bytes : 1));
    return p;
}
static inline void *card_put(const void *from, size_t bytes)
{
    void *p = card_new(bytes);
    card_ok(cudaMemcpy(p, from, bytes, cudaMemcpyHostToDevice));
    return p;
}
/* Waits for what was launched. */
static inline void card_get(void *to, const void *from, size_t bytes)
{
    card_ok(cudaDeviceSynchronize());
    card_ok(cudaMemcpy(to, from, bytes, cudaMemcpyDeviceToHost));
}

/* Forward, reverse, and some random ones. */
enum { ORDERS = 4 };
static inline void in_order(int i) { rt_emulated_order(i < 2 ? i : RT_EMULATED_RANDOM, (uint64_t)i + 1); }

/* The block: its record, and what was put behind that. */
typedef struct { rt_cuda_now now; char *bytes; size_t used, room; } step_block;

static inline step_block block_new(uint64_t number, int rows)
{
    step_block b = {.used = (sizeof(rt_cuda_now) + 15) & ~(size_t)15, .room = 1 << 22};
    b.bytes = calloc(1, b.room);
    b.now.number = number;
    b.now.rows = b.now.total = rows;
    b.now.first = b.now.last = 1;
    b.now.lambda = 1;
    b.now.lr = b.now.grad_scale = 1;
    b.now.bias1 = b.now.bias2 = 1;
    return b;
}
/* Where it lies; 0 where there is nothing. */
static inline uint64_t block_add(step_block *b, const void *from, size_t bytes)
{
    if (!from) return 0;
    size_t at = b->used;
    b->used = (at + bytes + 15) & ~(size_t)15;
    assert_true(b->used <= b->room);
    memcpy(b->bytes + at, from, bytes);
    return at;
}
/* The record on the card; *ring, the block, is to be freed as well. Frees the block here. */
static inline rt_cuda_now *block_send(step_block *b, void **ring)
{
    memcpy(b->bytes, &b->now, sizeof b->now);
    *ring = card_put(b->bytes, b->used);
    free(b->bytes);
    b->bytes = NULL;
    b->now.block = *ring;
    return card_put(&b->now, sizeof b->now);
}
#endif
