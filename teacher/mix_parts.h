/* teacher/mix_parts.h - what the files of the mixture share. */
#ifndef RT_TEACHER_MIX_PARTS_H
#define RT_TEACHER_MIX_PARTS_H

#include "student/ensemble.h"
#include "teacher/teacher_parts.h"

typedef enum { RT_MIX_BY_PROBABILITIES, RT_MIX_BY_LOGITS, RT_MIX_BEST } rt_mix_how;

/* Labelled rows that the best one is chosen on. Texts belong to the specification. */
typedef struct { const char *source, *x, *y, *rows; } rt_mix_judge;

typedef struct {
    rt_teacher base;
    rt_mix_how how;
    int members, owned;
    rt_teacher *member[RT_TEACHER_MODELS];
    cJSON *spec[RT_TEACHER_MODELS];            /* of each; borrowed */
    const rt_x_where *x;                       /* as it was opened with; borrowed */
    float weight[RT_TEACHER_MODELS], temperature[RT_TEACHER_MODELS];
    rt_mix_judge judge;
    int chosen;                                /* the best; -1: not known yet, or all have a say */
    double accuracy[RT_TEACHER_MODELS];
    rt_digest data[2];                         /* of the judge's x and y */
    uint64_t judged;                           /* its labelled rows */
    cJSON *past;                               /* "seen": the judge's rows; an owned member of provenance */
    rt_head asked[RT_MAX_HEADS];               /* as answers are given; 0: as the first member's */
    int asked_heads, width;
    int *place;                                /* where in them each element of its own stands; NULL: there */
    float *z, *sum, *rest;                     /* (room, W) */
    size_t room;
} rt_mix;

/* mix_best.c: asks every member about the judge's rows, one after the other, and chooses: fills accuracy, judged, data,
 * past, chosen. Of equal ones the first. */
rt_status rt_mix_choose(rt_mix *, const rt_teacher_binding *);
/* One member of a specification, opened anew. */
rt_status rt_mix_open_member(rt_teacher **, const rt_mix *, int i);
#endif
