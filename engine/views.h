/* engine/views.h - how the rows of a graph's inputs come to be. */
#ifndef RT_ENGINE_VIEWS_H
#define RT_ENGINE_VIEWS_H

/* Fills rows [row0, row0 + rows) of one of the graph's inputs; called from the pool's threads, also twice for a row. */
typedef void rt_input_fn(void *arg, int input, float *x, int row0, int rows);
#endif
