/* engine/cuda/cuda_session.h - what a session on a card is. Private to cuda_session.c, cuda_queue.c and cuda_rows.c. */
#ifndef RT_ENGINE_CUDA_SESSION_H
#define RT_ENGINE_CUDA_SESSION_H

#include "engine/cuda/cuda_block.h"
#include "engine/cuda/cuda_plan.h"
#include "engine/cuda/cuda_stamps.h"
#include "engine/cuda/cuda_update.h"

enum {
    RT_BLOCKS = 4, RT_GRAPHS = 6, RT_RESULTS = RT_QUEUE,
    RT_GROUP = 8                       /* steps of a small net that are launched together */
};

/* slot: of the ring, whose records and rows are made ahead; -1: the steps make them. */
typedef struct { int rows, steps, slot; cudaGraphExec_t exec; uint64_t used; } rt_captured;
typedef struct { const void *from; int first, rows; } rt_asked_rows;

typedef struct {
    rt_session base;
    const rt_cuda_card *card;
    rt_session_spec spec;
    rt_precision precision;
    rt_loss_desc loss[RT_MAX_LOSSES];
    rt_cuda_plan *plan;
    cudaStream_t stream, copies;
    rt_cuda_side side;                 /* training */
    /* the ring */
    size_t block_bytes, row_bytes;
    char *block, *ring;                /* (depth) pinned host memory; device memory */
    cudaEvent_t copied[2 * RT_GROUP], done[RT_RESULTS];  /* of a block's copy; of a training step */
    unsigned long long *count;         /* device: blocks taken */
    unsigned *ticket;                  /* device: of the launch that takes one */
    rt_cuda_now *now;                  /* device */
    rt_cuda_rows *rows;                /* device: (inputs) */
    rt_row_desc seen[RT_MAX_INPUTS];   /* what they were made of; mul, add and pick are copies */
    void *row_lists[RT_MAX_INPUTS];    /* device: mul, add, pick of an input */
    uint64_t number;                   /* of steps that were queued */
    int depth, group, together;        /* blocks of the ring; steps that are launched together: now, and unless timed */
    int waiting, waiting_rows, polled; /* the last so many steps are packed and not launched; their rows; somebody has
                                          asked for their results since */
    size_t waiting_bytes;              /* of their blocks, at most */
    int waiting_brings;                /* one of them has rows that stay on the card */
    rt_cuda_now *ahead;                /* device: (depth) records, and (depth, batch, input) rows, of steps that are
                                          launched together, made beside the steps before; NULL: they are not */
    float *ahead_rows;
    size_t ahead_bytes;
    cudaEvent_t in_turn;               /* of the last step that made its rows itself */
    int was_in_turn;                   /* since rows were made ahead */
    uint64_t sure;                     /* steps before this one are known to be done */
    int event[RT_RESULTS];             /* which of `done` tells that a step is */
    rt_cuda_held held;                 /* rows NULL: none are held */
    /* training */
    rt_cuda_result *results;           /* (RT_RESULTS) pinned host memory that the card writes to */
    rt_cuda_result *held_results;      /* the same in device memory, of steps that are launched together */
    uint64_t told;
    rt_cuda_trouble *trouble;          /* device */
    float *loss_rows, *planes;         /* device: (losses, batch); of dist */
    rt_cuda_update update;
    rt_update_block *update_block;     /* device */
    rt_chain_update chain_update;
    uint64_t made;
    int bad;
    /* buffers */
    float *device[RT_BUFFERS], *host[RT_BUFFERS];
    size_t floats[RT_BUFFERS];
    int owned[RT_BUFFERS];
    const float *params, *states;      /* inference: that are used, on the host */
    int stale;
    /* inference */
    float *output[RT_MAX_OUTPUTS];     /* (RT_AHEAD, batch, n) pinned host: of step i in part i modulo RT_AHEAD */
    size_t output_floats[RT_MAX_OUTPUTS];              /* of a part */
    int begun, answered;               /* steps that are underway; the part that holds the last answers */
    rt_asked_rows asked[RT_AHEAD];     /* what each part was asked */
    rt_captured graph[RT_GRAPHS];
    size_t bytes;                      /* of device memory */
    int threads;                       /* of the device */
    rt_pool *packers;                  /* some that copy many rows; NULL: none */
    rt_cuda_stamps *stamps;            /* NULL: launches are not timed */
    size_t launches;                   /* of a step of a whole batch: kernels, copies, fills */
} rt_cuda_session;

#define RT_CARD_CHECK(s, call, what) RT_TRY(rt_cuda_check((s)->card, (call), (what)))

/* cuda_session.c */
rt_status rt_cuda_session_take(rt_cuda_session *, void *out, size_t bytes);       /* device memory */
/* Launches a step, which tells the host what so many steps up to it gave; 0: one behind it will. slot: as above. */
rt_status rt_cuda_session_emit(rt_cuda_session *, int rows, int tells, int slot);

/* cuda_rows.c: how rows of data are laid out and normalised, which may change between two steps. */
rt_status rt_cuda_look_at_rows(rt_cuda_session *);
rt_status rt_cuda_hold_rows(rt_cuda_session *);
/* Records and rows of the steps in the ring from `slot` on, on their way beside the steps before. */
rt_status rt_cuda_rows_ahead(rt_cuda_session *, int rows, int slot, int steps);
/* Bytes of records and rows that are made ahead. */
size_t rt_cuda_ahead_bytes(const rt_session_spec *, int depth, int group);
/* Blocks of the ring, of so many bytes each; *group: steps that are launched together. */
int rt_cuda_ring_depth(const rt_cuda_plan *, size_t block_bytes, int *group);

/* cuda_queue.c */
rt_status rt_cuda_find_graph(rt_cuda_session *, int rows, int steps, int slot, cudaGraphExec_t *);
void rt_cuda_forget_graphs(rt_cuda_session *);
/* Packs a step and launches it, or leaves it to be launched with those behind it. */
rt_status rt_cuda_queue(rt_cuda_session *, const rt_step *);
rt_status rt_cuda_flush(rt_cuda_session *);                                       /* launches what waits */
rt_status rt_cuda_results(rt_cuda_session *, int wait, rt_step_result *, int most, int *count);
#endif
