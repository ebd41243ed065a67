/* engine/update_blocks.h - how the parameters of a graph are cut into blocks, each of which is updated as one. Nothing
 * outside engine/ includes it. */
#ifndef RT_ENGINE_UPDATE_BLOCKS_H
#define RT_ENGINE_UPDATE_BLOCKS_H

#include "engine/tuning.h"
#include "engine/updates.h"

/* Blocks of at most RT_UPDATE_BLOCK floats over all that is trained, in the order of the buffers; by the graph and what
 * is asked of its fields alone. The caller frees *out. RT_RUN and NULL when out of
 * memory. */
rt_status rt_update_blocks(rt_update_block **out, int *blocks, const rt_update_desc *, const rt_graph *);
#endif
