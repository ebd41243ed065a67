/* teacher/labeler_parts.h - a labelling as it is set up, for what labels and what estimates. */
#ifndef RT_TEACHER_LABELER_PARTS_H
#define RT_TEACHER_LABELER_PARTS_H

#include "data/labels.h"
#include "data/precision.h"
#include "data/stream.h"
#include "data/targets.h"
#include "data/x_where.h"
#include "teacher/cluster.h"
#include "teacher/labeler.h"
#include "teacher/spec.h"

typedef struct {
    rt_teacher_spec teacher;
    const char *source, *rows;
    rt_target_where y;                 /* true classes to compare with; an empty set: none */
    rt_x_where x;
    rt_labels_spec kept;               /* what is kept of an answer, and how; views too */
    const char *feature[RT_LABEL_FEATURES];            /* layers of the teacher that are kept, too */
    int features;
    rt_dtype feature_type;
    int mark_bad, batch, prefetch, readers;
    rt_check check;
    rt_match match;
    rt_precision precision;
    int shard, shards, take_over;      /* --shard I/N; shards 0: not given */
    rt_cluster_mode mpi;
    double price;                      /* of an hour, in any currency; 0: not given */
} rt_label_settings;

typedef struct {
    rt_label_settings set;
    const rt_target *out;
    rt_device *device;
    const rt_progress *progress;
    rt_teacher *teacher;
    const rt_head *head;               /* its heads */
    int heads;
    rt_source *x;
    rt_identity *identity;             /* of x */
    rt_labels_writer *writer;
    rt_labels_spec spec;
    rt_label_feature feature[RT_LABEL_FEATURES];
    char feature_name[RT_LABEL_FEATURES][RT_HEAD_NAME];
    rt_digest digest;                  /* of the teacher */
    int only_looks;                    /* nothing is written, what is known of the source either */
    cJSON *notes;
    rt_cluster *cluster;               /* the processes of an mpirun; NULL: there are none */
    uint64_t labelled, before;         /* rows of this run; those that were on disk when it began */
    double start, first, compute;      /* seconds: when it began, until the first row was there, in the teacher */
    double source, store;              /* seconds that rows were waited for behind the first, and that the store was */
    double reading, writing;           /* seconds that each reader, and what writes the store, worked */
    double first_cpu;                  /* of the process, of all its threads, until then */
    double shown;                      /* when progress was told last */
} rt_labeler;

/* The first of its heads of classes, or NULL. */
const rt_head *rt_labeler_classes(const rt_labeler *);
rt_status rt_labeler_read(cJSON *config, rt_label_settings *);
/* Teacher and rows, with what the store will be made of; for rt_labeler_close, also after an error. RT_NOTHING when
 * there are no rows. */
rt_status rt_labeler_open(rt_labeler *);
void rt_labeler_close(rt_labeler *);
/* Rows that are read and asked about together where nothing else is said: a block of the store, beside a card several,
 * 8 to 32 by the size of a row, so that it works on some while others are packed and taken. */
uint64_t rt_labeler_together(const rt_labeler *);
/* Threads that read them: label.readers, and where that is 0 one; beside a card, which takes rows faster than one reads
 * and checks them, a quarter of the device's threads, 4 at most. */
int rt_labeler_readers(const rt_labeler *);
/* Answers (rows, W) to the rows of the feed and to each view that is kept, plane by plane (rt_label_planes), `plane`
 * rows from one to the next, and, where features are kept, feature[i] (rows, width) the same. */
rt_status rt_labeler_ask(const rt_labeler *, const rt_feed *, uint64_t plane, float *answers, float *const *feature);
/* Of batch row r, which is bad: RT_INPUT with what it contains. */
rt_status rt_labeler_refuse(const rt_labeler *, const rt_batch *, int r);
#endif
