/* data/vote_parts.h - what reads voters and what writes their result share; nothing else includes it. */
#ifndef RT_DATA_VOTE_PARTS_H
#define RT_DATA_VOTE_PARTS_H

#include "data/labels.h"
#include "data/targets.h"
#include "data/vote_job.h"
#include "data/votes.h"
#include "data/x_where.h"

/* One who votes: a store, or a column. */
typedef struct {
    char *path, *set, *name;           /* set NULL: a store */
    int column;                        /* of several; -1: the set's only one */
    rt_labels *labels;
    rt_targets *targets;
    uint64_t votes, right, of_right;   /* votes given; of rows whose truth is known: right ones, all */
} rt_voter;

typedef struct {
    rt_x_where x;
    rt_check check;
    rt_match match;
    rt_labels_spec kept;               /* how the labels are kept */
    rt_vote_options options;
    double *prior;                     /* given; NULL: learnt */
    const char *said[RT_VOTERS], *truth_at;
    cJSON *priors;
    int said_count;

    rt_voter voter[RT_VOTERS];
    int voters;
    rt_source *source;
    rt_identity *identity;
    rt_head head[RT_MAX_HEADS];        /* one: "y" */
    int heads;
    uint64_t first, rows;
    rt_voter truth;                    /* targets NULL: none */
    rt_votes votes;
    cJSON *notes;
} rt_vote_run;

/* Opens all that is named and holds the votes in memory. */
rt_status rt_vote_open(rt_vote_run *, rt_pool *, const rt_progress *);
void rt_vote_close(rt_vote_run *);
#endif
