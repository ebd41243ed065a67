/* data/labels.h - the label store: what a teacher said about rows of a source, beside a reference to them.
 *
 * An HDF5 file whose data sets are allocated at birth:
 * Of one head of classes named "y" (format retort-labels-2):
 *   labels/logits f32|f16 (N, K)              full coding, or
 *   labels/logits u8 (N, K), labels/logits_scale f32 (N), labels/logits_offset f32 (N)
 *                                             8 bits (type q8): z = logits * scale + offset (data/labels_q8.c), or
 *   labels/topk_id i32 (N, k), labels/topk_logit f32|f16|u8 (N, k), labels/tail f32 (N)
 *                                             top-k: every other class has the logit `tail`, which keeps the total
 *                                             probability of the tail: tail = logsumexp(others) - log(K - k). In 8
 *                                             bits with labels/topk_scale and labels/topk_offset f32 (N), and topk_id
 *                                             u16 where K is at most 65,536
 *   labels/hard i32 (N), labels/confidence f32 (N), labels/margin f32 (N), labels/entropy f32 (N)
 *                                             on request: the best class and what is known of it (data/label_facts.h),
 *                                             of the answer before it was coded. A store that keeps hard labels alone
 *                                             has the first two and none of the logits
 * of other heads (retort-labels-3) the same for each head of classes or labels as labels/HEAD/..., top-k for classes
 * alone, and of values labels/HEAD/values f32 (N, D); always:
 *   labels/features/NAME f32|f16 (N, D)       on request: features of the teacher
 *   labels/views/logits (V, N, K), ...        on request (retort-labels-5): the same sets of V views of each row, view
 * by view: labels/views/..., labels/HEAD/views/..., labels/views/features/NAME. View v of a row is the one that epoch v
 * of a training with the same seed shows (engine/views.h); all else in the store is of the rows as they are
 *   labels/code_error f32 (blocks, 2 x heads) with 8 bits: the largest error in the block of a logit and of a
 *                                             probability, of each head with a code, over all views. Of the k best
 *                                             classes: of those, beside the same k in f32 with the same tail
 *   labels/status u8 (N)                      rt_label_status; where rt_label_is_there() is 0 there is no label
 *   labels/block_crc32c u32 (blocks)          CRC32C of each block's bytes, set by set
 *   labels/status_count u64 (8), labels/class_count u64 (W), labels/confidence_mean f64 (1)
 *                                             of all rows, once they are there: rows by status, labelled rows by their
 *                                             best class (the lower of equal ones), or with a label (logit above 0);
 *                                             mean probability of the best class, of the first head of classes
 *   source/leaves u8 (spans, 16)              what the rows were: the leaves (data/identity.h) of their spans
 *   labels/head_crc32c u32 (1)                CRC32C of the manifest, the leaves, the counts, the mean and
 *                                             block_crc32c; of the manifest alone as long as rows are missing, which
 *                                             whoever opens the store compares (0: begun by an older version)
 *   labels/complete u8 (1), manifest text     who, from what, how
 *   hand/row u64 (n), hand/label i32 (n)      where there are labels by hand: rows, rising, and their classes; status
 *                                             is RT_LABEL_BY_HAND there, and the teacher's answer stays beside it. Of
 *                                             several heads hand/head u8 (n) tells the head, by its number
 * Row i of the store is row first + i of the source. Rows are written in blocks of RT_LABEL_BLOCK: leaves, bytes and
 * CRC by pwrite, fdatasync, then a line in PATH.journal (data/labels_parts.h). What the journal names is on disk.
 *
 * Several processes may write one store, each with a journal of its own: shards, which share nothing but the folder, or
 * processes that have a common counter. Each block is labelled by one of them; the file is the same to the byte as if
 * one had written it, and says nothing of who wrote what. Who finds every block named reads back what it did not write
 * itself, writes counts and complete, and removes the journals.
 *
 * A source that has grown: where the store's rows are the first ones of those that are wanted now, a new store,
 * PATH.grown-ROWS, takes their blocks over as they are and is given the new rows; complete, it takes the place of the
 * old one, and is what labelling the whole source would have made. */
#ifndef RT_DATA_LABELS_H
#define RT_DATA_LABELS_H

#include "data/heads.h"
#include "data/identity.h"
#include "data/label_facts.h"
#include "data/names.h"
#include "data/output.h"
#include "data/rows.h"
#include "engine/views.h"

enum { RT_LABEL_BLOCK = 1024, RT_LABEL_TOPK = 512 };

/* As it is stored. */
typedef enum {
    RT_LABEL_NOT_YET = 0,
    RT_LABEL_DONE = 1,
    RT_LABEL_ABSTAINED = 2,           /* nobody said anything of the row */
    RT_LABEL_BAD_INPUT = 3,           /* the row holds NaN or infinity */
    RT_LABEL_BY_HAND = 4,             /* somebody gave it a label, which stands before the teacher's */
    RT_LABEL_BAD_ANSWER = 5,          /* the row is finite, the teacher's answer is not */
    RT_LABEL_STATUSES = 8             /* room for counts */
} rt_label_status;
/* Whether a row of this status has a label. */
int rt_label_is_there(unsigned char status);
/* "labelled", "by hand", "bad input", ... */
const char *rt_label_status_word(unsigned char status);

/* Columns beside the logits, of heads of classes: bits of rt_labels_spec.columns. */
enum { RT_COLUMN_HARD = 1, RT_COLUMN_CONFIDENCE = 2, RT_COLUMN_MARGIN = 4, RT_COLUMN_ENTROPY = 8 };
extern const char *const rt_label_column_names[];      /* "hard", "confidence", ... in the order of bits; NULL */

enum { RT_LABEL_FEATURES = 8, RT_LABEL_FEATURE_WIDTH = 1 << 20 };
/* A feature of the teacher: a row is of this shape, `width` numbers; type: RT_F32 or RT_F16. */
typedef struct { const char *name; int width; rt_dtype type; rt_shape shape; } rt_label_feature;

enum { RT_LABEL_VIEWS = 1000, RT_LABEL_NO_VIEW = -1 /* the row as it is */ };
/* Views of each row: number v is that of epoch v (rt_view_of). input: of several, the one that is moved; NULL: the only
 * one, or any. */
typedef struct { int count; uint64_t seed; rt_view_desc how; } rt_label_views;
/* Whether they are the same views; why (or NULL): in words, what of the first ones is not so of the second. */
int rt_label_views_same(const rt_label_views *, const rt_label_views *, char why[160]);

typedef struct {
    uint64_t first, rows;
    int classes, topk;                /* W, floats of an answer: the classes of a single head; topk 0: full */
    rt_dtype type;                    /* of logits: RT_F32, RT_F16, or RT_U8: in 8 bits */
    const rt_head *head;              /* what the answer is made of; borrowed */
    int heads;                        /* 0: one head of classes, "y" */
    unsigned columns;                 /* RT_COLUMN_HARD | ... */
    int hard;                         /* 1: no logits are kept, but hard labels and their confidence */
    const rt_label_feature *feature;  /* borrowed */
    int features;
    rt_label_views views;             /* count 0: none; its text is borrowed */
} rt_labels_spec;
/* Reads "labels" of a configuration: type, topk, columns, keep. */
void rt_labels_spec_config(rt_cfg *labels, rt_labels_spec *);
/* RT_USAGE, by the names of the keys, when these heads cannot be kept so, or not so many views of them. */
rt_status rt_labels_spec_check(const rt_labels_spec *, const rt_head *head, int heads);

/* Of rows that are there. */
typedef struct {
    uint64_t status[RT_LABEL_STATUSES];
    const uint64_t *class_count;      /* (classes), belongs to the store */
    double confidence;                /* mean over labelled rows, 0 when there are none */
} rt_labels_summary;

/* Of counts by status: rows with a label, the teacher's or one by hand. */
uint64_t rt_labels_labelled(const uint64_t status[RT_LABEL_STATUSES]);

/* How a store is written, beside what it is. */
typedef struct {
    rt_identity *source;              /* of the data set whose rows are labelled; borrowed */
    const char *const *inputs;        /* files that it is made from, ended by NULL; may be NULL */
    int mark_bad;                     /* rows without a finite answer get a status; else they are errors */
    rt_pool *pool;                    /* codes rows in its threads; NULL: alone */
    const rt_progress *progress;      /* of hashing; may be NULL */
    cJSON *notes;                     /* a list that gets what the user must know; may be NULL */
    int grows;                        /* a store of the first rows of the source is gone on with */
    int shard, shards;                /* this process is number shard (from 0) of so many; shards 0: the only one */
    int take_over;                    /* in the place of a process with the same number that does not go on */
    /* Processes with a common counter: takes the next n of all blocks, [*at, *at + n), and gives RT_RUN when that is
     * not possible. Number 0 begins first, and the others when it has; NULL: shards look after each other by
     * themselves. */
    rt_status (*take)(void *counter, uint64_t n, uint64_t *at);
    void *counter;
} rt_labels_job;

/* Bytes of a store's file, to some thousand: its manifest and headers differ a little. */
double rt_label_store_bytes(const rt_labels_spec *);

/* {"class": rows, ...} in the order of the classes; by head, {"head": {...}, ...}, when they are not one head of
 * classes; for the caller to delete. */
cJSON *rt_labels_class_counts(const rt_labels_summary *, const rt_head *, int heads);

typedef struct rt_labels_writer rt_labels_writer;

/* Creates the store, or resumes it when path exists with an equal manifest and its rows are what they were. RT_USAGE
 * when it holds other labels, or another process writes to it. manifest names the teacher and its classes and columns;
 * what the rows are and how they are coded is added to it. */
rt_status rt_labels_begin(rt_labels_writer **out, const rt_target *, const rt_labels_spec *, cJSON *manifest,
                          const rt_labels_job *);
/* The next rows of the source that this process is to label, [*first, *end), of whole blocks but where rows were
 * labelled before the source grew; both 0: there are none. Then either all is done, read back and counted, or the rest
 * is with other processes. */
rt_status rt_labels_next(rt_labels_writer *, uint64_t *first, uint64_t *end);
/* The others with the same counter have all ended: what they left is this process's. */
rt_status rt_labels_alone(rt_labels_writer *);
uint64_t rt_labels_blocks(const rt_labels_writer *);
/* Rows that are on disk, as far as this process knows; whether all are, and were counted. */
uint64_t rt_labels_rows_done(const rt_labels_writer *);
int rt_labels_all_done(const rt_labels_writer *);
/* answers (rows of the block, W), those of rows before *first of rt_labels_next anything; status (rows): DONE,
 * ABSTAINED or BAD_INPUT, NULL when all rows are good. Hashes the spans that the rows lie in where they are not known.
 * Thread: one. RT_INPUT when a logit does not fit the type, or is not finite. */
rt_status rt_labels_put(rt_labels_writer *, uint64_t block, const float *answers, const unsigned char *status);
/* The same of a store with features or views: plane 0 is of the rows as they are, plane 1 + v of view v; answers (1 +
 * V, rows of the block, W), feature[i] (1 + V, rows of the block, width). RT_INPUT when a number is not finite, or does
 * not fit its type, in a row whose status is DONE; where bad answers are marked, one plane is enough. */
typedef struct { const float *answers; const float *const *feature; const unsigned char *status; } rt_label_planes;
rt_status rt_labels_put_planes(rt_labels_writer *, uint64_t block, const rt_label_planes *);
/* Makes all blocks put so far durable; called by put about once a second and 64 MiB. RT_INPUT when the rows changed
 * meanwhile, RT_RUN when another process was put in the place of this one: then nothing of it counts. After an error
 * nothing is synced or written any more. */
rt_status rt_labels_commit(rt_labels_writer *);
/* Of the blocks that were counted: all of them once all are done, before that those of this run; valid until the end.
 */
rt_labels_summary rt_labels_written(const rt_labels_writer *);
/* Commits and, when every block is there, marks the store complete and removes the journals. Frees the writer. */
rt_status rt_labels_end(rt_labels_writer *);

typedef struct rt_labels rt_labels;
/* RT_INPUT when the store is incomplete (unless partial), damaged or of an older format. */
rt_status rt_labels_open(rt_labels **out, const char *path, int partial);
void rt_labels_close(rt_labels *);
const rt_labels_spec *rt_labels_info(const rt_labels *);
const cJSON *rt_labels_manifest(const rt_labels *);
int rt_labels_complete(const rt_labels *);
uint64_t rt_labels_span_rows(const rt_labels *);        /* of the source */
/* Identity of the content: manifest (without the paths and the tool), leaves and every block's CRC. RT_INPUT while it
 * is incomplete. */
rt_status rt_labels_digest(const rt_labels *, rt_digest *);
/* Counts of a complete store as it keeps them; of an incomplete one, statuses of the rows that were committed, and NULL
 * for class_count. */
rt_status rt_labels_summarize(rt_labels *, rt_labels_summary *);
/* What the teacher answers: its heads, with the names of its classes. */
const rt_head *rt_labels_heads(const rt_labels *, int *count);
/* From now on answers are read as of these heads, their classes matched by name or by position (data/heads.h); elements
 * of a head that the store lacks are 0. RT_INPUT with both lists when they do not match. Not while others read. */
rt_status rt_labels_set_heads(rt_labels *, const rt_head *, int count, const char *of, rt_match);
/* Whether the data is what was labelled: spans that the labels' rows lie in are hashed where they are not known.
 * RT_INPUT with the rows that are not. Both pool and progress may be NULL. */
rt_status rt_labels_check_source(const rt_labels *, rt_identity *, rt_pool *, const rt_progress *);
/* Statuses of source rows row[0..n). Thread-safe. RT_INPUT for a row outside the store or damage. */
rt_status rt_labels_status(rt_labels *, const uint64_t *row, int n, unsigned char *status);
/* Takes rows that the store covers and has no label for out of the set; *removed says how many there were. */
rt_status rt_labels_remove_bad(rt_labels *, rt_rows *, uint64_t *removed);
/* Answers (n, W) of source rows row[0..n). Thread-safe. The CRC of a block is checked when a row of it is first
 * read. RT_INPUT for a row outside the store, without a label, or damaged. */
rt_status rt_labels_read(rt_labels *, const uint64_t *row, int n, float *answers);
/* The same of view `view` of each row, or RT_LABEL_NO_VIEW; a label by hand is that of every view. */
rt_status rt_labels_read_view(rt_labels *, int view, const uint64_t *row, int n, float *answers);
/* What the store's columns say of rows of a head of classes, by its number: those members of facts that have a column
 * (rt_labels_info()->columns); of rows by hand all, and nothing of rows without a label. Thread-safe; RT_INPUT as of
 * rt_labels_read. */
rt_status rt_labels_read_columns(rt_labels *, int head, int view, const uint64_t *row, int n, rt_label_facts *);
/* Whether a row has a label by hand for a head, which stands before the teacher's; its other heads have none for it. */
int rt_labels_is_by_hand(const rt_labels *, int head, uint64_t row);
/* A feature by its name, -1: none; and (n, width) of it. Errors as of rt_labels_read. */
int rt_labels_find_feature(const rt_labels *, const char *name);
rt_status rt_labels_read_feature(rt_labels *, int feature, int view, const uint64_t *row, int n, float *);
/* With 8 bits: the largest error of a logit and of a probability of this head, over all blocks that are there, each of
 * which is checked; 0 where there is no code. */
rt_status rt_labels_code_error(rt_labels *, int head, double worst[2]);
/* Checks every committed block's CRC. */
rt_status rt_labels_verify(rt_labels *);
#endif
