/* data/labels_format.h - what the writers and the reader of label stores share; nothing else includes it. */
#ifndef RT_DATA_LABELS_FORMAT_H
#define RT_DATA_LABELS_FORMAT_H

#include "data/labels.h"

enum { RT_LABEL_COLUMNS = 2 * (9 * RT_MAX_HEADS + RT_LABEL_FEATURES) + 2, RT_LABEL_TILE = 64 };
enum { RT_LABEL_NAME = 2 * RT_HEAD_NAME + 40 };
#define RT_LABEL_FORMAT "retort-labels-2"             /* of one head of classes named "y" */
#define RT_LABEL_FORMAT_HEADS "retort-labels-3"
#define RT_LABEL_FORMAT_COLUMNS "retort-labels-4"     /* 8 bits, columns, features, hand labels, hard labels alone */
#define RT_LABEL_FORMAT_VIEWS "retort-labels-5"       /* views; 8 bits of top-k; several heads by hand */
const char *rt_label_format(const rt_labels_spec *, int by_hand);

/* An array that rows have a part of, or, of a block each, the blocks; of views it has a plane each, one behind the
 * other, and every row has its part of each. Its bytes in a block of the store are those of the block's rows, plane by
 * plane, or of the block's one entry. */
typedef struct {
    char name[RT_LABEL_NAME];
    rt_dtype type;
    uint64_t width;
    int flat;                         /* no dimension of its own, as width is always 1 */
    int by_block;
    int planes;                       /* V, of views; 0: it is of the rows as they are, and has one */
    const char *decode;               /* how its values become logits, for other readers; NULL */
} rt_label_column;

/* A head in the store: its place in an answer, its first column; topk 0: full, or, of a store of hard labels, none.
 * Its columns are logits, or id, logit and tail of the k best; coded: then scale and offset. fact: columns of hard
 * label, confidence, margin and entropy, -1 where there is none. error: where in a block's errors those of this head
 * are, -1: its code has none. Its columns of views are rt_label_view_column behind these. */
typedef struct { rt_task task; int at, size, topk, column, columns, coded, fact[4], error; } rt_label_head;
int rt_label_heads(const rt_labels_spec *, rt_label_head h[RT_MAX_HEADS]);

/* The columns of the heads, of features, the same of views, the errors of blocks, and, last of all, the statuses. */
int rt_label_columns(const rt_labels_spec *, rt_label_column c[RT_LABEL_COLUMNS]);
/* By how much the columns of views stand behind those of the rows as they are. */
int rt_label_view_column(const rt_labels_spec *);
int rt_label_column_planes(const rt_label_column *);                               /* at least 1 */
size_t rt_label_column_bytes(const rt_label_column *);                             /* of an entry */
size_t rt_label_piece_bytes(const rt_label_column *, uint64_t rows);               /* of so many rows of one plane */
size_t rt_label_part_bytes(const rt_label_column *, uint64_t rows);                /* of so many rows of a block */
/* The entry of a plane that row `row` of the store has, or, by block, its block. */
uint64_t rt_label_entry(const rt_label_column *, const rt_labels_spec *, int plane, uint64_t row);
uint64_t rt_label_column_entries(const rt_label_column *, const rt_labels_spec *);
size_t rt_label_row_bytes(const rt_labels_spec *);                                 /* without what blocks have */
size_t rt_label_block_bytes(const rt_labels_spec *, uint64_t rows);
uint64_t rt_label_blocks(const rt_labels_spec *);
uint64_t rt_label_block_rows(const rt_labels_spec *, uint64_t block);

/* "labels" of the manifest. Reading takes heads into head (count *heads: 0 where it tells of none), and features into
 * feature, whose names the caller frees. RT_INPUT names the file, `of`. */
void rt_label_spec_tell(const rt_labels_spec *, cJSON *manifest);
rt_status rt_label_spec_read(rt_labels_spec *, rt_head head[RT_MAX_HEADS], int *heads,
                             rt_label_feature feature[RT_LABEL_FEATURES], const cJSON *manifest, const char *of);

enum { RT_LABEL_FAILED = 128 };

/* What the journals of a store say of its blocks. */
typedef struct {
    uint64_t blocks;
    const uint32_t *stored;            /* (blocks) labels/block_crc32c of the file, which summary lines speak of */
    uint32_t *crc;                     /* (blocks) of named blocks; may be `stored` itself */
    unsigned char *named, *taken;      /* (blocks) 1: on disk; taken: a shard said that it labels it; may be NULL */
    char failed[RT_LABEL_FAILED];      /* the error of a sync that failed, "" when none did */
    char damaged[RT_LABEL_FAILED];     /* the journal with a whole line that does not hold, "" when all do */
} rt_label_named;
/* What a path that is a link points to, else the path: journals lie beside the file. RT_USAGE when it is too long. */
rt_status rt_label_real_path(char *out, size_t room, const char *path);
/* Adds what the whole lines of all journals of the store at path say. */
rt_status rt_label_read_journals(const char *path, rt_label_named *);

/* ---- rows ---- */

/* What one thread needs for a row: keys and room to sort them, terms of sums (2 K), maxima of groups, logits side by
 * side. */
typedef struct {
    uint64_t *key, *room;
    double *term;
    float *most, *lanes;
} rt_label_work;

/* The k best classes of z, the lower of equal ones first, their logits, and the tail of labels.h. */
void rt_label_topk(const rt_label_work *, const float *z, int classes, int k, int32_t *id, float *value, float *tail);
/* Classes of the k best as they are stored: i32 or u16. */
void rt_label_put_ids(void *to, rt_dtype, const int32_t *id, int k);
void rt_label_get_ids(int32_t *id, const void *from, rt_dtype, int k);
/* e[i] = exp(z[i] - max), within 1e-14 for z - max >= -700, the same bits on every CPU. */
void rt_label_exp(double *e, const float *z, double max, int n);
void rt_label_q8(unsigned char *q, float *scale, float *offset, const float *z, int n);
void rt_label_q8_back(float *z, const unsigned char *q, float scale, float offset, int n);
/* The same of the k best: id tells the classes, the best one first, and it is still the first of the best. */
void rt_label_q8_best(unsigned char *q, float *scale, float *offset, const float *value, const int32_t *id, int k);
/* What errors that made, beside the classes and the tail that stay: as rt_label_code_error of those K classes. */
void rt_label_code_error_best(const float *value, const float *decoded, int k, int others, float tail, double worst[2]);

/* A coder turns answers into the bytes of a block and back. A block in memory is its columns, one behind the other. */
typedef struct rt_label_coder rt_label_coder;
rt_status rt_label_coder_new(rt_label_coder **out, const rt_labels_spec *, rt_pool *);
void rt_label_coder_free(rt_label_coder *);

/* Rows of a block. status (NULL: all are DONE): rows that are not DONE are zeros. by_hand (heads, RT_LABEL_BLOCK; NULL:
 * none): the labels of each row, -1 where it has none; it takes the place of the teacher's in status and counts, not in
 * the other columns. Of several heads a row without the teacher's answer stays so, as its other heads have none.
 * feature[i]: (rows, width) of feature i. With views answers and features have 1 + V planes (rt_label_planes). */
typedef struct {
    uint64_t rows;
    const float *answers;
    const float *const *feature;
    const unsigned char *status;
    const int32_t *by_hand;
    const rt_label_facts *fact;        /* (planes, heads, RT_LABEL_BLOCK) what columns hold; NULL: what answers say */
    uint64_t plane;                    /* rows from one plane of answers and features to the next one; 0: rows */
} rt_label_rows;
/* Codes rows into the block, adds them to the counts by class and by status, and returns the sum of their
 * confidences. */
double rt_label_encode(rt_label_coder *, char *block, const rt_label_rows *, uint64_t *class_count,
                       uint64_t *status_count);
/* Answers (rows, W) of a block that is coded, as they are read again: of its rows as they are, or of a view. */
void rt_label_decode(rt_label_coder *, const char *block, int view, uint64_t rows, float *answers);
/* The logits of k classes with these values, of `classes` the others `tail`. 0 when one is no class. */
int rt_label_topk_back(float *z, int classes, int k, const int32_t *id, const float *value, float tail);
/* Counts a block that is coded: the same numbers. by_hand as above. */
double rt_label_count(rt_label_coder *, char *block, uint64_t rows, const int32_t *by_hand, uint64_t *class_count,
                      uint64_t *status_count);

/* ---- a store as it is ---- */

/* Answers (n, W), facts (heads, RT_LABEL_BLOCK) and statuses of up to RT_LABEL_BLOCK rows, as the teacher gave them,
 * whatever stands by hand; facts are those of columns, and else what the logits say. Where a row by hand has zeros
 * alone, the teacher had no answer, and its status is BAD_INPUT. */
rt_status rt_labels_read_stored(rt_labels *, int view, const uint64_t *row, int n, float *answers, rt_label_facts *,
                                unsigned char *status);
rt_status rt_labels_read_feature_stored(rt_labels *, int feature, int view, const uint64_t *row, int n, float *);
const rt_leaf *rt_labels_leaves(const rt_labels *, uint64_t *count);

/* ---- by hand ---- */

/* Labels that people gave: source rows, rising, of a row by its heads, and the class of each. */
typedef struct { uint64_t *row; int32_t *label; unsigned char *head; uint64_t count; } rt_label_hand;
/* Empty, with room for n. */
rt_status rt_label_hand_new(rt_label_hand *, uint64_t n);
void rt_label_hand_free(rt_label_hand *);
rt_status rt_labels_hand_copy(const rt_labels *, rt_label_hand *);
/* Those of a store's file, none where it has none. RT_INPUT when they are not what the manifest tells. */
rt_status rt_label_hand_read(rt_label_hand *, rt_h5_file *, const rt_labels_spec *, const cJSON *manifest,
                             const char *of);
/* "hand" of the manifest: how many, and their digest. */
void rt_label_hand_tell(const rt_label_hand *, cJSON *manifest);
/* Labels of rows [first, first + n) into label (heads, RT_LABEL_BLOCK), -1 where there is none; returns label, NULL
 * when none has one. */
const int32_t *rt_label_hand_of(const rt_label_hand *, int heads, uint64_t first, uint64_t n, int32_t *label);
int32_t rt_label_hand_at(const rt_label_hand *, int head, uint64_t row);           /* -1: none */
#endif
