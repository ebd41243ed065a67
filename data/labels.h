/* data/labels.h - the label store: what a teacher said about rows of a source, beside a reference to them.
 *
 * An HDF5 file whose data sets are allocated at birth:
 *   labels/logits f32|f16 (N, K)              full coding, or
 *   labels/topk_id i32 (N, k), labels/topk_logit f32|f16 (N, k), labels/tail f32 (N)
 *                                             top-k: every other class has the logit `tail`, which keeps the total
 *                                             probability of the tail: tail = logsumexp(others) - log(K - k)
 *   labels/status u8 (N)                      0 not yet, 1 labelled
 *   labels/block_crc32c u32 (blocks)          CRC32C of each block's bytes, set by set
 *   labels/complete u8 (1), manifest text     who, from what, how
 * Row i of the store is row first + i of the source. Rows are written in blocks of RT_LABEL_BLOCK: bytes by pwrite,
 * fdatasync, then a line in PATH.journal (block, CRC, CRC of the line). What the journal names is on disk. */
#ifndef RT_DATA_LABELS_H
#define RT_DATA_LABELS_H

#include "data/names.h"
#include "data/source.h"

enum { RT_LABEL_BLOCK = 1024 };

typedef struct {
    uint64_t first, rows;
    int classes, topk;                /* topk 0: full */
    rt_dtype type;                    /* RT_F32 or RT_F16 */
} rt_labels_spec;

typedef struct rt_labels_writer rt_labels_writer;

/* Creates the store, or resumes it when path exists with an equal manifest. RT_USAGE when it exists with another one
 * (force != 0 replaces it). manifest names the teacher, the source and the coding; spec is added to it. */
rt_status rt_labels_begin(rt_labels_writer **out, const char *path, const rt_labels_spec *, cJSON *manifest, int force);
uint64_t rt_labels_blocks(const rt_labels_writer *);
int rt_labels_done(const rt_labels_writer *, uint64_t block);
/* logits (rows of the block, K). Thread: one. RT_INPUT when a logit is not finite or does not fit the type. */
rt_status rt_labels_put(rt_labels_writer *, uint64_t block, const float *logits);
/* Makes all blocks put so far durable; called by put about once a second and 64 MiB. */
rt_status rt_labels_commit(rt_labels_writer *);
/* Commits and, when every block is there, marks the store complete and removes the journal. Frees the writer. */
rt_status rt_labels_end(rt_labels_writer *);

typedef struct rt_labels rt_labels;
/* RT_INPUT when the store is incomplete (unless partial) or damaged. */
rt_status rt_labels_open(rt_labels **out, const char *path, int partial);
void rt_labels_close(rt_labels *);
const rt_labels_spec *rt_labels_info(const rt_labels *);
const cJSON *rt_labels_manifest(const rt_labels *);
uint64_t rt_labels_count_done(rt_labels *);
/* The teacher's classes, "classes" of the manifest; numbers when it names none. */
const rt_names *rt_labels_classes(const rt_labels *);
/* From now on logits are read in the order of these classes (copied). RT_INPUT with both lists when they are not the store's.
 * Not while others read. */
rt_status rt_labels_set_classes(rt_labels *, const rt_names *);
/* Full logits (n, K) of source rows row[0..n). Thread-safe. RT_INPUT for a row outside the store or not labelled. */
rt_status rt_labels_read(rt_labels *, const uint64_t *row, int n, float *logits);
/* Checks every block's CRC. */
rt_status rt_labels_verify(rt_labels *);
#endif
