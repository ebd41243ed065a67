/* teacher/process_parts.h - what the files of the process teacher share. */
#ifndef RT_TEACHER_PROCESS_PARTS_H
#define RT_TEACHER_PROCESS_PARTS_H

#include "data/files.h"
#include "student/input.h"
#include "teacher/child.h"
#include "teacher/teacher_parts.h"

/* What the specification tells. Texts belong to it. */
typedef struct {
    const char *command[RT_CHILD_ARGUMENTS], *version, *input;
    int arguments, probabilities, batch, check;
    double start_seconds, batch_seconds;
    double *mean, *std;                        /* (channels); NULL: rows are sent as they are */
    int channels;
    rt_head head[RT_MAX_HEADS];
    int heads;
    rt_names columns;                          /* without names: rows as the data has them */
} rt_process_told;

/* The program and what it is sent. */
typedef struct {
    rt_process_told told;
    const char *name;                          /* for messages: the first file of the command, or the command */
    rt_digest digest;
    int file[RT_CHILD_ARGUMENTS];              /* the argument is a file, as it was when it was hashed: */
    rt_stamp stamp[RT_CHILD_ARGUMENTS];
    double file_bytes;
    cJSON *about;                              /* rt_teacher_tell's, and its provenance */
    /* of the source that it is bound to */
    rt_input in;
    int bound, marks;                          /* marks: answers that are not finite are given as they are */
    rt_dtype type;                             /* of the elements that are sent */
    int rank;
    uint64_t dim[RT_H5_RANK];                  /* of a row that is sent, from 1 on */
    size_t row_bytes;                          /* of it */
    const rt_progress *progress;
    cJSON *notes;
    rt_child child;
    int running, answered, restarts;           /* answered: since it was started */
    int unchecked;                             /* arrays since the last that it was asked about twice; -1: none was */
} rt_process;

typedef struct {
    rt_teacher base;
    rt_process *process;
    int owned, micro;                          /* rows that are sent at once */
    rt_head head[RT_MAX_HEADS];                /* that answers are given for, once they are asked for */
    int heads, width;
    int *place; /* where in them each element of the program's answer stands; NULL: there */
    char *body, *reply;                        /* (micro, row) as sent; (micro, W) as it came */
    float *x, *z, *again;                      /* (micro, row elements); (micro, W); the same of the check */
} rt_process_teacher;

/* process_ask.c: raw answers (rows, W) of the program to rows [at, at + rows) of the feed, rows <= micro. */
rt_status rt_process_ask(rt_process_teacher *, const rt_feed *, int at, int rows, float *z);
/* Starts the program, unless it runs. */
rt_status rt_process_start(rt_process *);
#endif
