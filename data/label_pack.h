/* data/label_pack.h - a smaller copy of a label store. */
#ifndef RT_DATA_LABEL_PACK_H
#define RT_DATA_LABEL_PACK_H

#include "data/json.h"
#include "data/output.h"
#include "engine/pool.h"
#include "engine/progress.h"

typedef struct {
    const char *store;
    const char *type;                  /* "f32", "f16" or "q8"; NULL: the store's */
    int topk;                          /* 0: as many classes as the store has */
    int hard;                          /* 1: the best class and its confidence, without logits */
    int views;                         /* the first so many views of each row; -1: all that the store has */
    const char *columns; /* "hard,entropy", ... beside the logits; NULL: the store's, and what hard needs */
    rt_pool *pool;                     /* codes rows in its threads; NULL: alone */
    const rt_progress *progress;       /* may be NULL */
} rt_label_pack_job;

/* Writes the store's rows in another coding, as they would have been labelled, byte for byte, when the store has the
 * answers in f32; its labels by hand, features, leaves and manifest go with it, and the manifest tells the digest of
 * the store ("packed"). {"labels", "from", "rows", "coding", "type", "views", "columns", "bytes_before", "bytes_after",
 * "error": {"HEAD": {"logit", "probability"}}}: the largest difference to what the store says. RT_USAGE when the copy
 * would hold what the store does not (logits of a store of hard labels, more classes, a wider type, a column that
 * cannot be computed), or would be the same. The store must be complete. */
rt_status rt_label_pack(const rt_label_pack_job *, const rt_target *out, cJSON **result);
#endif
