/* data/sources.h - data sets that are open, each once: whoever asks for one again, as trials of one process do, gets
 * the same, with its map of the file, its cache of decoded blocks and its digests. They stay open, and are taken as
 * they were, until all are closed together. One thread at a time asks; rows of a source are read by any. */
#ifndef RT_DATA_SOURCES_H
#define RT_DATA_SOURCES_H

#include "data/identity.h"
#include "data/x_where.h"

typedef struct rt_sources rt_sources;

/* NULL, with a message, when memory is out. */
rt_sources *rt_sources_new(void);
/* Closes all; nothing may use them any longer. */
void rt_sources_free(rt_sources *);
/* The rows and their identity, which belong to the sources. With RT_CHECK_FULL it is another than without. Fails as
 * rt_x_open and rt_identity_open do. */
rt_status rt_sources_get(rt_sources *, const rt_x_where *, rt_check, rt_source **, rt_identity **);
int rt_sources_opened(const rt_sources *);             /* how many are open */
#endif
