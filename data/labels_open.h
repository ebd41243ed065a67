/* data/labels_open.h - a label store that is open; data/labels_read.c and data/labels_rows.c alone include it. */
#ifndef RT_DATA_LABELS_OPEN_H
#define RT_DATA_LABELS_OPEN_H

#include <stdatomic.h>

#include "data/labels_format.h"

struct rt_labels {
    rt_labels_spec spec;
    rt_label_column col[RT_LABEL_COLUMNS];
    int cols, complete;
    rt_source *src[RT_LABEL_COLUMNS];
    cJSON *manifest;
    rt_head head[RT_MAX_HEADS];
    int heads;
    rt_label_head kept[RT_MAX_HEADS];
    rt_label_feature feature[RT_LABEL_FEATURES];
    int features;                      /* the first one's column */
    rt_label_hand hand;
    int *place;                        /* of each element in the answers that are read; NULL: the store's own */
    int width;                         /* of those */
    char path[1024];
    uint64_t blocks;
    uint32_t *crc;                     /* (blocks) */
    unsigned char *committed;          /* (blocks) */
    atomic_uchar *checked;             /* (blocks) its bytes have its CRC */
    uint64_t *class_count, *status_count;
    double confidence;
    uint32_t head_crc;                 /* CRC32C of what stands in head_crc32c's place in the description */
    char *dataset, *type;              /* of the source */
    uint64_t shape[RT_H5_RANK], span_rows, first_span, spans;
    int rank;
    rt_leaf *leaf;                     /* (spans) */
};

/* at[i]: the store's row of source row row[i], in a block whose bytes have its CRC. RT_INPUT for rows that the store
 * does not cover or has not yet. */
rt_status rt_label_find_rows(rt_labels *, const uint64_t *row, int n, uint64_t *at);
rt_status rt_label_check_block(rt_labels *, uint64_t block);
#endif
