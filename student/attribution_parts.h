/* student/attribution_parts.h - what the files of attributions share; nothing outside student/ includes it. */
#ifndef RT_STUDENT_ATTRIBUTION_PARTS_H
#define RT_STUDENT_ATTRIBUTION_PARTS_H

#include "student/attribution.h"
#include "student/qat_model.h"

enum { RT_ATTRIBUTION_BATCH = 64 };

/* Where gradients come from: an input of numbers, or a table that an input of ids reads. */
typedef struct { int input, field; } rt_attribution_place;        /* field -1: the input itself */

/* One model, while gradients are asked of it. */
typedef struct {
    const rt_model *model;
    rt_session *session;
    rt_model_qat qat;
    rt_ask ask;
    int *from;                         /* (size) its own element for each of the first model's head */
    rt_attribution_place place[RT_MAX_OUTPUTS];
    int places;
    rt_row_desc rows[RT_MAX_INPUTS];
} rt_attribution_member;

struct rt_explainer {
    rt_attribution_spec spec;
    rt_model *const *model;
    int count;
    rt_predictor *predictor;
    rt_attribution_member *member;     /* of gradients; else NULL */
    size_t parts, at[RT_MAX_INPUTS + 1];
    int ids, batch;                    /* an input is of ids */
    float *x;                          /* (batch, U) rows in hand */
    int *element;                      /* (batch) of the member in hand */
    double *value;                     /* (batch) f of the models, and, of an ensemble, what each member's is times */
    double *factor;
    float *z;                          /* (batch, W) */
};

const char *rt_attribution_of(const rt_explainer *);              /* the first model's file, for messages */
/* attribution_path.c */
rt_status rt_attribution_begin(rt_explainer *, rt_device *);
void rt_attribution_end(rt_explainer *);
rt_status rt_attribution_paths(rt_explainer *, const rt_attribution *, const rt_progress *);
#endif
