/* experiments/clean/clean_input.h - labels and probabilities side by side, row by row, from where they lie: a file of
 * predictions, a label store, or a data set of probabilities. Nothing is held but the rows that are asked for. */
#ifndef RT_EXPERIMENTS_CLEAN_INPUT_H
#define RT_EXPERIMENTS_CLEAN_INPUT_H

#include "data/identity.h"
#include "data/labels.h"
#include "data/quality.h"
#include "data/targets.h"
#include "data/x_where.h"
#include "engine/device.h"

typedef enum { RT_CLEAN_PREDICTIONS, RT_CLEAN_LABELS, RT_CLEAN_SET } rt_clean_kind;

typedef struct {
    /* what the configuration says; texts belong to it */
    const char *path, *set, *wanted;   /* wanted: the head, "": the only one of classes */
    const char *source;                /* of the data; NULL: none given */
    rt_target_where y;                 /* data.y, where y_given is not 0 */
    int y_given;
    const cJSON *said;                 /* "data" itself */
    rt_x_where where;
    rt_check check;
    rt_match match;
    /* what is open */
    rt_clean_kind kind;
    rt_head head[RT_MAX_HEADS];
    int heads, mine;                   /* mine: the head that is meant */
    uint64_t rows, source_rows;        /* source_rows 0: not known */
    uint64_t first;                    /* the number of the first row */
    double seen;                       /* rows that whoever answered was trained or chosen on; NAN: not known */
    int unknown;                       /* its ancestors that do not say */
    rt_h5_file *file;
    cJSON *manifest;
    rt_source *z, *row, *truth, *x;
    rt_labels *labels;
    rt_identity *identity;
    rt_targets *y_of;
    uint64_t last;                     /* the row before the block that is read next, plus one */
    int room;                          /* rows of a block */
    uint64_t *at;                      /* (room) their numbers */
    float *answer;
    unsigned char *raw;
} rt_clean_input;

/* Keys of "data": source, x, y, names, check. */
void rt_clean_data_read(rt_cfg *data, rt_clean_input *);
/* Opens what is named, for blocks of at most `block` rows. RT_INPUT when the data is not what the answers are of, or
 * the answers lack classes (topk); RT_USAGE when a key is missing or of no use. */
rt_status rt_clean_open(rt_clean_input *, int block, rt_device *, const rt_progress *);
void rt_clean_close(rt_clean_input *);
/* For rt_quality_input; `of` is the input. at[0..n) are the rows' numbers in the data then, rising over all blocks. */
rt_status rt_clean_read(void *of, uint64_t first, int n, int32_t *y, double *p);
#endif
