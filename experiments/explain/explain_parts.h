/* experiments/explain/explain_parts.h - what the files of explanations share: explain.c settings, models, rows;
 * explain_rows.c rows and baselines as models take them; explain_result.c what is told; explain_page.c the page. */
#ifndef RT_EXPERIMENTS_EXPLAIN_PARTS_H
#define RT_EXPERIMENTS_EXPLAIN_PARTS_H

#include "data/json.h"
#include "engine/text.h"
#include "experiments/eval/agreement.h"
#include "experiments/eval/eval_data.h"
#include "experiments/explain/explain.h"
#include "student/attribution.h"
#include "teacher/spec.h"

enum { RT_EXPLAIN_SIDES = 2, RT_EXPLAIN_NAME = 96, RT_EXPLAIN_DRAWN = 100, RT_EXPLAIN_TOP = 10,
       RT_EXPLAIN_COLUMNS = 4096 };
#define RT_EXPLAIN_FLOATS ((uint64_t)1 << 25)    /* rows times elements */

typedef enum { RT_BASE_ZERO, RT_BASE_MEAN, RT_BASE_BLUR, RT_BASE_ROW } rt_explain_base;

/* The model, or the one that it is held against. */
typedef struct {
    rt_teacher_spec spec;
    rt_teacher *teacher;
    rt_model *const *model;            /* the teacher's */
    int models;
    char name[RT_EXPLAIN_NAME];
    rt_digest digest;
    rt_explainer *e;
    rt_row_desc rows[RT_MAX_INPUTS];   /* of the data; lists are own */
    int *pick[RT_MAX_INPUTS];
    size_t parts;
    uint32_t *place;                   /* (parts) the element of the data's row that each is of */
    int *of;                           /* (size of the head) its own element for each of the model's */
    float *x, *base;                   /* (rows, parts) */
    int *element, *answer;             /* (rows) what is asked; the best, of the model's elements */
    float *part;                       /* (rows, parts) */
    float *told;                       /* (rows, elements) by the data's elements */
    double *value, *base_value, *residual;
    int *steps;
    double limit;                      /* of residuals */
} rt_explain_side;

typedef struct {
    rt_attribution_spec how;
    rt_explain_base base;
    double blur;
    uint64_t base_row;
    int most, top, flips, limited;     /* limited: explain.limit is given */
    const char *target, *wanted;       /* wanted: the head's name */
    rt_eval_data data;
    rt_explain_side side[RT_EXPLAIN_SIDES];
    int sides;
    const rt_head *head;               /* the model's */
    uint64_t *row;                     /* (rows) that are explained */
    int rows;
    int32_t *truth;                    /* (rows) -1: not known; NULL: nobody knows */
    size_t elements;                   /* of a row of the data */
    int part_of[RT_SOURCE_PARTS + 1];  /* where those of each part of the source begin */
    char **element_name;               /* (elements) NULL: no memory for so many */
    rt_agreement *alike, *other;       /* (rows) with against's same row, and with its next one */
    int incomplete;                    /* rows whose residual is above the limit, of either side */
    rt_device *device;
    const rt_progress *progress;
    cJSON *notes;
} rt_explanation;

/* explain_rows.c */
rt_status rt_explain_places(rt_explanation *);
/* The rows' values as a side takes them, x (n, parts). RT_INPUT for what no model can compute with. */
rt_status rt_explain_read(rt_explanation *, const uint64_t *row, int n, float *const x[RT_EXPLAIN_SIDES]);
rt_status rt_explain_baselines(rt_explanation *);
/* told of side s. */
void rt_explain_tell(rt_explanation *, int s);
/* Its name in room; an element without one is called by its place. */
const char *rt_explain_element(const rt_explanation *, size_t element, char room[128]);
/* What row r has there, as the model takes it; NAN: it takes nothing from there. */
double rt_explain_has(const rt_explanation *, int r, size_t element);
/* explain_result.c: for the caller to delete. */
rt_status rt_explain_result(rt_explanation *, const cJSON *config, cJSON **result);
void rt_explain_csv(rt_string *, const rt_explanation *);
int rt_explain_usable(const rt_explanation *, int r);             /* all sides have parts of row r */
/* explain_page.c */
rt_status rt_explain_page(rt_string *, rt_explanation *, const cJSON *result);
#endif
