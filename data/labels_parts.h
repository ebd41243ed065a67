/* data/labels_parts.h - what the files that make label stores share. */
#ifndef RT_DATA_LABELS_PARTS_H
#define RT_DATA_LABELS_PARTS_H

#include <time.h>

#include "data/labels_format.h"
#include "data/lock.h"

/* Data sets behind the columns, in the order of the file. */
enum {
    RT_LABEL_CRC,
    RT_LABEL_STATUS_COUNT,
    RT_LABEL_CLASS_COUNT,
    RT_LABEL_CONFIDENCE,
    RT_LABEL_LEAVES,
    RT_LABEL_HEAD_CRC,
    RT_LABEL_COMPLETE,
    RT_LABEL_MANIFEST,
    RT_LABEL_FIXED
};
enum { RT_LABEL_PATH = 1100, RT_LABEL_WHO = 32, RT_LABEL_OLDS = 8 };

/* The file of a store that is being made, and what is counted until it is complete. */
typedef struct {
    rt_labels_spec spec;
    rt_label_column col[RT_LABEL_COLUMNS];
    int cols;
    uint64_t at[RT_LABEL_COLUMNS], fixed[RT_LABEL_FIXED];  /* offsets in the file */
    char path[RT_LABEL_PATH];
    int fd;
    uint32_t manifest_crc;             /* of the file that was made here, */
    int made;                          /* which has no name yet */
    uint64_t blocks, span_rows, first_span, spans;
    uint32_t *crc;                     /* (blocks) */
    double *confidence;                /* (blocks) the sum of each one's rows */
    uint64_t *class_count, status_count[RT_LABEL_STATUSES];
    rt_label_coder *coder;
    char *buffer;                      /* (block) as it is stored */
    rt_label_hand hand;                /* labels by hand that the file has */
    int32_t *by_hand;                  /* (block) of the block at hand */
} rt_label_file;

/* The file at path that the specification means, whose source has so many rows a span; nothing is opened yet. RT_RUN
 * when memory ends; the file is to be freed then, too. */
rt_status rt_label_file_init(rt_label_file *, const char *path, const rt_labels_spec *, uint64_t span_rows, rt_pool *);
void rt_label_file_free(rt_label_file *);
/* Adds what the store holds ("labels") and of what ("source") to the manifest. The same whether or not anything is
 * known of the source yet: equal labels are equal files. */
void rt_label_file_describe(const rt_label_file *, const rt_h5_dataset *source, cJSON *manifest);
/* Makes the file anew, with its labels by hand and all rows NOT_YET; open for writing, it has its name after
 * rt_output_commit. */
rt_status rt_label_file_make(rt_label_file *, rt_output *, const char *manifest);
/* The same, which gets its name; it is still to be opened. */
rt_status rt_label_file_create(rt_label_file *, rt_output *, const char *manifest);
/* Opens the file that is there: its sets must be what the specification tells. Reads the labels by hand. */
rt_status rt_label_file_open(rt_label_file *, rt_h5_file *);
/* RT_USAGE unless the store at hand has the manifest's teacher, classes, columns, source and coding. *grown (may be
 * NULL): 1 when the source and the rows are more than the store's and begin with them, which is RT_USAGE without it. */
rt_status rt_label_file_same(const rt_label_file *, rt_h5_file *, const cJSON *manifest, int *grown);
/* RT_USAGE with its message, "the store is of something else", unless a checksum of the store tells that it is damaged.
 */
rt_status rt_label_or_damaged(const char *path, rt_status);
uint64_t rt_label_fixed_bytes(const rt_label_file *, int which);
/* Codes rows of a block into the buffer, counts them, and takes the CRC32C of its bytes; the labels by hand of the
 * block have their places. */
void rt_label_file_encode(rt_label_file *, uint64_t block, const rt_label_rows *);
/* Counts the block in the buffer, and gives it the statuses of labels by hand. */
void rt_label_file_count(rt_label_file *, uint64_t block);
/* CRC32C of the buffer as this block. */
uint32_t rt_label_file_crc(const rt_label_file *, uint64_t block);
/* A block's bytes to the buffer, and from there; crc[block] is not changed. */
rt_status rt_label_file_read(const rt_label_file *, uint64_t block);
rt_status rt_label_file_write(const rt_label_file *, uint64_t block);
/* The counts that the file holds. */
rt_status rt_label_file_get_counts(rt_label_file *);
/* crc: as the file holds it; of so many blocks to the file. */
rt_status rt_label_file_get_crc(rt_label_file *);
rt_status rt_label_file_put_crc(const rt_label_file *, const uint64_t *block, uint64_t n);
/* Mean confidence of the labelled rows that are counted. */
double rt_label_file_mean(const rt_label_file *);
/* CRC32C of the manifest; from that of the whole head, once every block is there. */
rt_status rt_label_file_manifest_crc(const rt_label_file *, uint32_t *crc);
rt_status rt_label_file_head_crc(const rt_label_file *, uint32_t *crc);
/* Counts and checksums, once every block is there and counted. */
rt_status rt_label_file_put_head(rt_label_file *);

/* ---- journals (data/labels_journal.c) ----
 *
 * PATH.journal, or PATH.journal.I-N of shard I of N. Its lines, each with its own CRC32C:
 *   BLOCK CRC            the block is on disk, and its bytes have this CRC32C
 *   FROM-TO CRC          blocks [FROM, TO) are on disk: a summary line, of at most 4,096 blocks; CRC is that of their
 *                        entries in labels/block_crc32c
 *   takes FROM-TO        this shard labels these blocks; nothing is said of their bytes
 *   sync failed: ERROR
 * It is written anew with summary lines when a process begins with it and whenever it is long, so that what a restart
 * reads does not grow with the store. */
#define RT_LABEL_SYNC_MARK "sync failed: "
typedef struct {
    char path[RT_LABEL_PATH];
    int fd;
    size_t lines, summed;              /* in it; of those, how many were there when it was written anew */
} rt_label_journal;

/* who: "" or "I-N". RT_USAGE when it is too long. */
rt_status rt_label_journal_path(char *out, size_t room, const char *path, const char *who);
typedef rt_status rt_label_journal_fn(void *arg, const char *journal, const char *who);
/* Calls f for each journal of the store at path that is there; ends with its first error. */
rt_status rt_label_each_journal(const char *path, rt_label_journal_fn *f, void *arg);
rt_status rt_label_remove_journals(const char *path);
/* Makes the system read them from the disk again. */
rt_status rt_label_forget_journals(const char *path);
/* Of one journal; one that is not there says nothing. */
rt_status rt_label_read_journal(const char *journal, rt_label_named *);
/* Opens it to be written to its end. */
rt_status rt_label_journal_open(rt_label_journal *);
/* Makes it anew, with summary lines for the blocks that are RT_LABEL_NAMED: another file, so that who had it open
 * writes to nobody's. */
rt_status rt_label_journal_sum(rt_label_journal *, const unsigned char *done, const uint32_t *crc, uint64_t blocks);
/* Lines for the same blocks of a file that is to take the place of this one, behind those that are there, which are
 * summary lines alone: CRCs of a file say which of them hold for it. Durable. */
rt_status rt_label_journal_also(rt_label_journal *, const unsigned char *done, const uint32_t *crc, uint64_t blocks);
/* Removes the journals of shards, whose blocks are in that of the store. */
rt_status rt_label_remove_shards(const char *path);
int rt_label_journal_long(const rt_label_journal *);
void rt_label_journal_close(rt_label_journal *);
/* Lines for blocks, or for what is taken; the caller syncs. */
rt_status rt_label_journal_add(rt_label_journal *, const uint64_t *block, size_t n, const uint32_t *crc);
rt_status rt_label_journal_take(rt_label_journal *, uint64_t from, uint64_t to);
/* Says to the next run, as far as it can, that a sync failed. */
void rt_label_journal_mark(rt_label_journal *, int error);

/* ---- the writer ---- */

/* Of a block: a journal names it; it is in the counts; its old bytes are damaged. */
enum { RT_LABEL_NAMED = 1, RT_LABEL_COUNTED = 2, RT_LABEL_LOST = 4 };

struct rt_labels_writer {
    rt_label_file f;
    rt_labels_job job;
    char path[RT_LABEL_PATH];          /* of the store; f.path is another one while it grows */
    char who[RT_LABEL_WHO];            /* "I-N", or "" */
    rt_label_journal journal;
    rt_output *output;                 /* the store's lock; a shard holds it shortly */
    rt_lock own, last;                 /* of this shard; of who looks through the finished store */
    int dir;                           /* the folder of the store, and its name there */
    char name[256];
    int begun;                         /* this process made the store */
    int broken;                        /* a write or a sync failed: nothing more is done */
    int suspect;                       /* a sync of an earlier run failed: what memory holds of it proves nothing */
    int complete, verified;            /* as the file says; all blocks are there, read back and counted */
    int alone;                         /* nobody else labels: all that is not done is to be done here */
    int passed, left;                  /* all was offered once; nothing is left for this process */
    uint64_t run, run_end, cursor;     /* blocks taken that are not yet given out; where the next are looked for */
    unsigned char *done, *span_done;   /* (blocks) flags; (spans) */
    uint64_t *pending, pendings, pending_bytes;
    struct timespec last_commit;
    unsigned char *status;             /* (block) */
    float *limit;                      /* (W) largest that the file can hold */
    rt_labels *old[RT_LABEL_OLDS];     /* stores of less of the source, whose blocks are copied */
    int olds;
};

/* ---- who writes (data/labels_share.c) ---- */

/* Takes the store's lock: for the whole run, or for what follows, up to rt_label_go_on. RT_RUN when somebody else
 * writes. */
rt_status rt_label_enter(rt_labels_writer *, const rt_target *);
void rt_label_go_on(rt_labels_writer *);
/* RT_RUN when a shard of the store at this path is at work. Under the store's lock. */
rt_status rt_label_alone(const char *path);
/* Takes the store's lock again, for the end. */
rt_status rt_label_lead(rt_labels_writer *);
/* RT_RUN when another process was put in the place of this shard. */
rt_status rt_label_still_mine(const rt_labels_writer *);
/* Blocks for this shard: run to run_end, none when the others have all that is left. */
rt_status rt_label_claim(rt_labels_writer *);
/* Whether this process is the one that completes the store: every block is named, and nobody else is at it. */
rt_status rt_label_is_last(rt_labels_writer *, int *is_last);
/* Lets everything go; locks of shards that are gone are removed when the store is complete. */
void rt_label_leave(rt_labels_writer *);

/* ---- grown sources (data/labels_grow.c) ---- */

/* Whether the rows that older stores have labels of are what they were; others may have the store's lock meanwhile. */
rt_status rt_label_check_olds(rt_labels_writer *, const cJSON *manifest);
/* The store at hand is of the first rows of a source that has grown: from now on f is PATH.grown-ROWS, which is made
 * or gone on with; the stores of less rows are where blocks are copied from. *fresh: it was made. */
rt_status rt_label_grow(rt_labels_writer *, cJSON *manifest, int *fresh);
/* Whether a block can be copied as it is; rows at the beginning of a block that were labelled before. */
int rt_label_is_old(const rt_labels_writer *, uint64_t block);
uint64_t rt_label_old_rows(const rt_labels_writer *, uint64_t block);
/* A block's old bytes to f.buffer; *lost: they are damaged, and are no longer old. */
rt_status rt_label_copy(rt_labels_writer *, uint64_t block, int *lost);
/* Looks whether the old rows of a block hold; where they do not they are no longer old. */
rt_status rt_label_check_old(rt_labels_writer *, uint64_t block);
/* f.buffer holds the new rows of the block alone: now the old ones too. */
rt_status rt_label_splice(rt_labels_writer *, uint64_t block);
/* Gives the complete store its name, unless somebody did. */
rt_status rt_label_grown(rt_labels_writer *);
/* RT_USAGE when something was begun for the store at this path, which would take the place of what is changed now.
 * Under the store's lock. */
rt_status rt_label_not_growing(const char *store);
/* Removes what was begun for the store, of up to so many rows of the source. */
rt_status rt_label_remove_grown(const rt_labels_writer *, uint64_t rows);

/* What a store holds of blocks (data/labels_read.c): rows [at, at + rows) of it as they are stored, columns one behind
 * the other, from blocks that hold; whether a block is there; RT_USAGE when rows with labels are not what they were. */
rt_status rt_labels_coded(rt_labels *, uint64_t at, uint64_t rows, char *out);
int rt_labels_has_block(const rt_labels *, uint64_t block);
rt_status rt_labels_check_prefix(const rt_labels *, rt_identity *, rt_pool *, const rt_progress *);
#endif
