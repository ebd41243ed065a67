/* data/labels_parts.h - what the files that make label stores share. */
#ifndef RT_DATA_LABELS_PARTS_H
#define RT_DATA_LABELS_PARTS_H

#include "data/labels_format.h"

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
enum { RT_LABEL_PATH = 1100 };

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
/* RT_USAGE unless the store at hand has the manifest's teacher, classes, columns, source and coding. */
rt_status rt_label_file_same(const rt_label_file *, rt_h5_file *, const cJSON *manifest);
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
/* Mean confidence of the labelled rows that are counted. */
double rt_label_file_mean(const rt_label_file *);
/* CRC32C of the manifest; from that of the whole head, once every block is there. */
rt_status rt_label_file_manifest_crc(const rt_label_file *, uint32_t *crc);
rt_status rt_label_file_head_crc(const rt_label_file *, uint32_t *crc);
/* Counts and checksums, once every block is there and counted. */
rt_status rt_label_file_put_head(rt_label_file *);
#endif
