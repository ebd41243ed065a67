/* train/checkpoint.h - the whole state of a training run, durably.
 *
 * FOLDER/checkpoint-NNNNNNNN.h5 (named by batches done) holds every buffer and a JSON text; FOLDER/checkpoints.json,
 * written last, lists the newest with their sizes and hashes. A checkpoint exists only if it is listed and matches.
 */
#ifndef RT_TRAIN_CHECKPOINT_H
#define RT_TRAIN_CHECKPOINT_H

#include "data/json.h"

typedef struct { const char *name; float *data; size_t count; } rt_buffer;

/* Keeps the newest `keep`, this one among them. */
rt_status rt_checkpoint_save(const char *folder, uint64_t batches, const cJSON *state, const rt_buffer *, int buffers,
                             int keep);
/* Loads the newest valid checkpoint into the buffers, or, at not 0, the one of so many batches. *state is NULL when
 * there is none. RT_INPUT when listed ones exist but none is valid, or that one is not there. */
rt_status rt_checkpoint_load(const char *folder, uint64_t at, cJSON **state, const rt_buffer *, int buffers);
#endif
