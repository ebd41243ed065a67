/* experiments/eval/predictions.h - what models answered to rows, with what is true of them and what they are called: in
 * memory, and as a file that is compared with others later.
 *
 * A file ("retort-predictions-1"; HDF5) of N rows:
 *   row            u64 (N) its number in the data
 *   id             text (N) its name: of a column, or the XXH3-128 of the row's bytes as hex
 *   logits/HEAD    f32 (N, size), logits or values; with top-k (N, k), falling, and beside them classes/HEAD i32 (N, k)
 *                  and log_sum/HEAD f32 (N): the logarithm of the sum of exp over all logits
 *   truth/HEAD     i32 (N), -1 where there is no label; of labels u8 (N, K), 255 where not known; of values f32 (N, D),
 *                  NaN where there is none
 *   slices/NAME    f64 or text (N): a column that rows are grouped by
 *   manifest       JSON: heads, digests of the model, of the data and of the rows, the family of kernels, the tool
 *   retort_crc32c/ checksums of all of it (data/checks.h)
 * Equal models, rows, truths and kernels give equal files. Answers are held in memory as a whole: 4 bytes a logit, and
 * of each row its number, id (32 of a hash, or the column's width), key (16), columns (8, or their width; four are
 * always there) and truth. What models were asked about together is held once for all. More than there is, is refused
 * before the work. */
#ifndef RT_EXPERIMENTS_PREDICTIONS_H
#define RT_EXPERIMENTS_PREDICTIONS_H

#include "data/output.h"
#include "experiments/eval/eval_data.h"
#include "teacher/spec.h"

enum { RT_PREDICTIONS_NAME = 96, RT_PREDICTIONS_COLUMNS = 64, RT_PREDICTIONS_ID = 1024 };

typedef struct { uint64_t word[2]; } rt_row_key;           /* the XXH3-128 of its id */

/* One thing about each row. */
typedef struct {
    char *name;
    double *number;                    /* (rows); NULL: text */
    char *text;                        /* (rows, width), zeros behind */
    int width;
} rt_row_column;

/* Answers of one head. */
typedef struct {
    int there, kept;                   /* 0: the model lacks the head; numbers of a row that are kept */
    float *z;                          /* (rows, kept) */
    int32_t *top;                      /* (rows, kept) classes of z; NULL: z has all, in their order */
    float *log_sum;                    /* (rows), beside top */
    rt_target_rows y;                  /* (rows); all fields NULL: nothing is true of them */
} rt_predicted;

typedef struct {
    char *path, name[RT_PREDICTIONS_NAME];
    rt_digest model, data, of_rows;    /* of_rows: of ids and truths, whatever their order */
    char kernels[RT_FAMILY_TEXT + 40], tool[96];
    char id_from[RT_H5_NAME];          /* "": ids are hashes */
    char *source;                      /* the data file */
    int stored, topk;
    int borrows;                       /* ids, rows, keys, columns and truths are another's, which outlives this */
    double seen;                       /* rows that the model or an ancestor was trained or chosen on; NAN: not known */
    rt_head head[RT_MAX_HEADS];
    int heads;
    rt_predicted of[RT_MAX_HEADS];
    uint64_t rows;
    uint64_t *row;                     /* (rows) */
    char *id;                          /* (rows, id_width), zeros behind */
    int id_width;
    rt_row_key *key;                   /* (rows) */
    rt_row_column *column;
    int columns;
} rt_predictions;

/* What is to be asked: models, which answer in the first one's heads. */
typedef struct {
    const rt_teacher_spec *const *model;
    int models;
    cJSON *data;                       /* keys of rt_eval_data_read, "id" and "slices"; gets defaults */
    int topk;                          /* of classes, so many a row; 0: all */
    rt_device *device;
    const rt_progress *progress;
    cJSON *notes;
    double beside;                     /* bytes a row that the caller takes then, for the check of what is free */
} rt_predictions_spec;

/* Checks the keys of data; files is filled, and 0-ended, with those it names. */
rt_status rt_predictions_check(cJSON *data, const char *files[RT_EVAL_DATA_FILES + 1]);
/* One pass over the rows; out[i] is model i's, for rt_predictions_free. RT_INPUT for an answer that is not finite, a
 * column that is missing and an id that stands twice, RT_NOTHING when there are no rows. */
rt_status rt_predictions_ask(rt_predictions **out, const rt_predictions_spec *);
/* Bytes that a row takes: answers of this one; and what is told of the row itself. */
double rt_predictions_row_bytes(const rt_predictions *, double *of_row);
/* Whether the file is one of predictions, by what it holds. */
rt_status rt_predictions_is(const char *path, int *yes);
/* RT_INPUT when it is none, or is damaged. */
rt_status rt_predictions_read(rt_predictions **out, const char *path);
void rt_predictions_free(rt_predictions *);

/* Writes and commits an output that may be replaced: as a file of predictions; as CSV or NPY (export/exporter.h). */
rt_status rt_predictions_write(const rt_predictions *, rt_output *);
rt_status rt_predictions_export(const rt_predictions *, rt_output *, int csv);

/* Rows in the order of their keys, of equal ones of their truths: place[i] is the i-th. truth (rows): a hash of what is
 * true of a row by the names of its classes, so that it is the same in any order of classes. Both are for the caller to
 * free. */
rt_status rt_predictions_order(const rt_predictions *, uint32_t **place, uint64_t **truth);
#endif
