/* engine/plan_build.h - what operators use to add themselves to a plan. Only engine/ includes this.
 *
 * Words: a *phase* is a list of calls with a barrier behind it, over rows or over tiles. A *slot* is a run of the
 * batch's rows that one thread walks in a rows phase, and that has gradient sums of its own; each phase cuts the batch
 * into slots by the work in it and by shapes, so that bits do not depend on threads. Where all calls of a phase compute
 * each of a row's *positions* alone (the T of (T, D)), its rows may be positions. A *chunk* is as many of a slot's rows
 * as the cache holds: all calls of a phase run on a chunk before the next one. A *room* is what every slot of a phase
 * has for sums. A *tile* is a piece of work that is not cut by rows: columns of a weight matrix, channels of a norm.
 * *Late* tiles come after the whole backward pass, in one phase, *merge* tiles behind them; *pack* tiles before the
 * forward pass. A *value* is one version of a tensor in memory; one that lives within a phase is *local* to a chunk. */
#ifndef RT_ENGINE_PLAN_BUILD_H
#define RT_ENGINE_PLAN_BUILD_H

#include <stdatomic.h>

#include "engine/pass.h"
#include "engine/plan.h"

enum { RT_CALL_VALUES = 12, RT_CALL_OFFSETS = 6 };

/* A value: one version of a tensor (or of scratch that follows rows) in the plan. */
typedef struct {
    size_t row_bytes;
    int made;              /* phase that wrote it, while building */
    int first, last;       /* phases that use it */
    int first_call, last_call;
    int local;             /* in the thread's chunk arena */
    int external;          /* rt_run.x[external - 1]; 0: memory of the plan's */
    size_t offset;         /* bytes: into the chunk arena x chunk rows, or into the plan's arena */
} rt_value;

typedef struct rt_ctx {
    const rt_plan *plan;
    const rt_run *run;
    char *arena;           /* chunk arena of this thread */
    float *scratch;
    int chunk0, slot, slot_row0;
    int px;                /* rows of this phase that a row of the batch has: 1, or its positions */
} rt_ctx;

typedef struct rt_call {
    /* Rows phase: a = first row, b = rows. Tiles phase: a = tile, b = 0. */
    void (*fn)(const struct rt_call *, rt_ctx *, int a, int b);
    const char *what;
    const rt_node *node;
    int value[RT_CALL_VALUES];
    ptrdiff_t at[RT_CALL_OFFSETS];   /* offsets into params, states or the plan's buffer, as the operator likes */
    int flag, tiles;
    /* What slots are cut by: multiply-adds a row of the batch, floats that are read once a slot (of weights: what they
     * cost beside their use; of sums), and what slots and chunks must be multiples of. Weights and work are set from
     * the node and may be changed; grain is 1. */
    double work, weights;
    int grain;
    const void *arg;
    atomic_ullong nanoseconds;       /* of the profile, summed over threads */
} rt_call;

typedef struct {
    int tiles;                       /* 0: over rows */
    int first, count;                /* calls */
    int px;                          /* positions of a row of the batch that its rows are; 1 */
    int rows, slots, chunk;          /* rows of a slot; slots of a full batch; rows of a chunk */
    size_t arena;
} rt_phase;

/* Room for sums in each slot of a phase. */
typedef struct { size_t floats, at; int phase, rows, slots, px; } rt_room;

/* What an operator remembers of a node while it builds. */
typedef struct {
    int value;                       /* -1: none */
    ptrdiff_t buffer;                /* -1: none */
    int room;                        /* as it likes */
    char stage;                      /* what it has emitted so far, as it likes; 0 */
} rt_note;

struct rt_plan {
    rt_plan_spec spec;               /* with tensors of the lowered graph */
    rt_lowered low;
    const rt_graph *graph;           /* the lowered one */
    const rt_node *node;             /* its nodes */
    int *value_of, *grad_of;         /* tensor -> value, -1 when none */
    char *keep;                      /* tensors that are kept rather than computed again */
    char *has_back;                  /* nodes whose backward has been emitted */
    rt_note *note;                   /* of each node */
    int turn;                        /* the backward of nodes from this on has been emitted */
    rt_pool *pool;
    const rt_kernels *k;
    rt_call *call;       int calls;
    rt_phase *phase;     int phases;
    rt_value *value;     int values;
    int prepare_phases;              /* leading phases that rt_plan_prepare runs on inference plans */
    rt_room *room;       int rooms;
    size_t slot_floats;              /* of all rooms */
    struct rt_plan_frozen *frozen;  /* NULL: operators compute */
    int *range_of;                   /* of a plan with quantizers: tensor -> its range's field; below 0 when none */
    int *seen_room;                  /* tensor -> the room of what was seen of it */
    char *seen, *clipped;            /* tensors whose range, and whose gradient's ends, have been emitted */
    float **field, **grad;           /* of the run: where each field of the graph lies, and its gradient */
    int *use;                        /* node -> its first use of a field; the others follow */
    int *slot_room;                  /* use -> the room of its gradient, -1 when that is written whole */
    ptrdiff_t *part_at;              /* use -> where in the buffer its part of a shared field's gradient lies, or -1 */
    size_t buffer_floats;            /* packed weights, statistics and coefficients */
    size_t scratch_floats;
    size_t arena_bytes, local_bytes;
    char *arena, *local;
    float *slot_grads, *buffer, *scratch, *loss_rows, *derived;
    int output_value[RT_MAX_OUTPUTS];
    int wanted_value[RT_MAX_OUTPUTS];   /* gradients, -1: there is none */
    int profile, failed;
    rt_run *run;
    const rt_phase *running;
};

/* The value that holds tensor t now, for reading in this phase; computed first where its operator waited for a reader,
 * and computed again if that is cheaper than keeping it. */
int rt_plan_read(rt_plan *, int tensor);
/* A new value for tensor t, to be written in this phase. */
int rt_plan_write(rt_plan *, int tensor);
/* The gradient of t: for reading; for writing, *accumulate says whether a part of it is already there. */
int rt_plan_grad_read(rt_plan *, int tensor);
int rt_plan_grad_write(rt_plan *, int tensor, int *accumulate);
/* The gradient of `from`, a node's output, is that of `to`, its input, unchanged: they share it, if no part of the
 * latter is there yet and true is returned. Who changes a gradient in place asks for its own first. */
int rt_plan_grad_share(rt_plan *, int from, int to);
int rt_plan_grad_own(rt_plan *, int tensor);
/* True when anything before t has parameters or t is asked for, so that its gradient is needed. */
int rt_plan_needs_grad(const rt_plan *, int tensor);
/* Scratch that follows rows, such as pool indices. */
int rt_plan_temp(rt_plan *, size_t row_bytes);

/* Appends a call to the current rows phase / to the current tiles phase (both start one if need be) / to the phase
 * that packs weights before the forward pass. The caller lists every value the call uses in call->value: life spans
 * are read off there. A call pointer is valid until the next call is appended. */
rt_call *rt_plan_rows(rt_plan *, const char *what, const rt_node *, void (*fn)(const rt_call *, rt_ctx *, int, int));
rt_call *rt_plan_tiles(rt_plan *, const char *what, const rt_node *, int tiles,
                       void (*fn)(const rt_call *, rt_ctx *, int, int));
rt_call *rt_plan_pack(rt_plan *, const char *what, const rt_node *, int tiles,
                      void (*fn)(const rt_call *, rt_ctx *, int, int));
/* Of the phase that is open: its rows for a row of the batch. */
int rt_plan_positions(const rt_plan *);
/* The next call starts a new phase. */
void rt_plan_barrier(rt_plan *);

ptrdiff_t rt_plan_buffer(rt_plan *, size_t floats);          /* offset into the plan's own buffer */
void rt_plan_need_scratch(rt_plan *, size_t floats);
/* The gradient of field i of n is summed per slot of this rows phase instead of written whole (tiles phases). */
void rt_plan_slot_grad(rt_plan *, const rt_node *n, int i);
/* A room in every slot of this rows phase, for sums that the operator merges itself; see rt_slot_sums. */
int rt_plan_slot_room(rt_plan *, size_t floats);
/* A room for late tiles that each sum `rows` rows of the batch: slots are numbered by those tiles. */
int rt_plan_late_room(rt_plan *, size_t floats, int rows);

/* Weight gradients that need the whole batch at once: emitted after the backward pass, all in one phase. */
rt_call *rt_plan_late_tiles(rt_plan *, const char *what, const rt_node *, int tiles,
                            void (*fn)(const rt_call *, rt_ctx *, int, int));
/* What merges rooms of late tiles: in the phase behind them. */
rt_call *rt_plan_merge_tiles(rt_plan *, const char *what, const rt_node *, int tiles,
                             void (*fn)(const rt_call *, rt_ctx *, int, int));

/* What comes when all gradients are whole. */
rt_call *rt_plan_last_tiles(rt_plan *, const char *what, const rt_node *, int tiles,
                            void (*fn)(const rt_call *, rt_ctx *, int, int));

/* ---- quantizers: plan_quant.c; without a qat in the specification they do nothing ---- */

rt_status rt_quant_begin(rt_plan *, const rt_graph *source);
int rt_quant_has(const rt_plan *, int tensor);
/* A value of the tensor has just been made: it is brought to its quantizer's steps. */
void rt_quant_made(rt_plan *, int tensor);
/* The gradient of the node's output is whole: it ends where the output is at an end of its range, and with it that of
 * an activation which the node took up. Once a node. */
void rt_quant_clip(rt_plan *, const rt_node *);
int rt_quant_clips(const rt_plan *, const rt_node *);     /* that was done */
void rt_quant_end(rt_plan *);

/* ---- plan_frozen.c: of a plan whose forward pass is an integer program ---- */

rt_status rt_frozen_begin(rt_plan *, const rt_graph *source);
void rt_frozen_end(rt_plan *);
/* What runs the program, behind the input. */
void rt_frozen_forward(rt_plan *);
/* The node is computed by the program: it has no forward pass of its own. */
int rt_frozen_has(const rt_plan *, const rt_node *);
/* The value of a tensor's answer, which is a head; -1: it is none. */
int rt_frozen_answer(const rt_plan *, int tensor);
/* A new value of a tensor from its bytes in the program; -1: it has none. */
int rt_frozen_read(rt_plan *, int tensor);

/* In calls: */
static inline void *rt_at(const rt_ctx *c, int v, int row)
{
    const rt_value *x = &c->plan->value[v];
    size_t px = (size_t)c->px;
    if (x->local) return c->arena + x->offset + (size_t)(row - c->chunk0) * x->row_bytes / px;
    if (x->external) return (char *)c->run->x[x->external - 1] + (size_t)row * x->row_bytes / px;
    return c->plan->arena + x->offset + (size_t)row * x->row_bytes / px;
}
/* Field i of a node; NULL when it has none. */
static inline const float *rt_param(const rt_ctx *c, const rt_node *n, int i)
{
    return i < n->fields ? c->plan->field[n->field[i]] : NULL;
}
static inline float *rt_state(const rt_ctx *c, const rt_node *n, int i) { return c->plan->field[n->field[i]]; }
/* Field i of the node is trained: it has a gradient. */
static inline int rt_plan_trains(const rt_plan *p, const rt_node *n, int i)
{ return i < n->fields && p->graph->field[n->field[i]].grad_at != RT_NOWHERE; }
/* Where the gradient of field i of a node goes: its part of it, when other nodes use the field, too. NULL
 * when it is not trained. */
static inline float *rt_grad(const rt_ctx *c, const rt_node *n, int i)
{
    ptrdiff_t part = c->plan->part_at[c->plan->use[n - c->plan->node] + i];
    return part >= 0 ? c->plan->buffer + part : c->plan->grad[n->field[i]];
}
/* This slot's gradient of field i of n, zeroed when the slot starts. */
float *rt_slot_grad(const rt_ctx *c, const rt_node *n, int i, int row0);
/* A slot's part of a room, as it was left. */
float *rt_slot_sums(const rt_ctx *c, int room, int slot);
/* Slots of the room's phase that this run has rows for. */
int rt_slots_used(const rt_ctx *c, int room);
/* Floats [first, first + n) of a room, summed over the slots in use in a fixed tree. */
void rt_merge_slots(const rt_ctx *c, float *sum, int room, size_t first, size_t n);

static inline rt_note *rt_plan_note(rt_plan *p, const rt_node *n) { return &p->note[n - p->node]; }
/* The tensor that holds the memory of t. */
static inline int rt_memory_of(const rt_plan *p, int t) { return p->graph->tensor[t].memory; }
static inline const rt_shape *rt_shape_of(const rt_plan *p, int tensor) { return &p->graph->tensor[tensor].shape; }
/* Floats of a tensor that so many rows of the phase hold. */
static inline size_t rt_floats_of(const rt_ctx *c, int tensor, int rows)
{ return rt_shape_count(rt_shape_of(c->plan, tensor)) * (size_t)rows / (size_t)c->px; }

/* The planner's second half: life spans, sizes of slots and chunks, places of values and rooms; of phases that are
 * made. RT_RUN when memory is out. */
rt_status rt_plan_place(rt_plan *);
#endif
