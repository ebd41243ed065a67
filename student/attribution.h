/* student/attribution.h - which parts of a row a model's answer rests on.
 *
 * Parts are the elements of a row as the model takes it, before normalisation: U of them, input by input; of an input
 * of ids each id is one. f is one number of a row's answer (engine/ask.h); x the row, b the baseline, another row that
 * stands for "nothing there".
 *   gradient    (x_u - b_u) df/dx_u at x                                              Simonyan et al. 2014
 *   integrated  (x_u - b_u) times the mean of df/dx_u on the line from b to x         Sundararajan et al. 2017
 *               The sum over u is f(x) - f(b): what it is off by is the residual. A row's points on the line are
 * doubled, from `steps` up to `most`, until |residual| <= limit max(|f(x) - f(b)|, sum_u |part_u| / 10); a row that
 *               does not get there has no attribution.
 *   occlusion   mean over the patches that cover u of f(x) - f(x with the patch's parts of b)         Zeiler and Fergus
 * 2014 A patch is a square of an image, one position of a sequence (all its channels), one column, one id. Of ids,
 * parts of a gradient are those of what the tables say for them, e: sum_d (e_d - b_d) df/de_d, with b = 0. Gradients
 * are those of inference: batch norms and dropout stand. Of a quantized model f is its integer program's answer, and
 * gradients go straight through the roundings, but not through a value at an end of its range (engine/qat.h). Of an
 * ensemble f is the ensemble's answer. A model with a layer that has no gradient has occlusion alone; so has whatever a
 * card computes. */
#ifndef RT_STUDENT_ATTRIBUTION_H
#define RT_STUDENT_ATTRIBUTION_H

#include "engine/progress.h"
#include "student/predictor.h"

typedef enum { RT_BY_GRADIENT, RT_BY_INTEGRATED, RT_BY_OCCLUSION, RT_ATTRIBUTIONS } rt_attribution_method;
extern const char *const rt_attribution_names[RT_ATTRIBUTIONS + 1];     /* ended by NULL */

/* Points a in (0, 1) of the line b + a (x - b), and their weights, of S: (s + 1/2) / S, each 1 / S; s / (S - 1), halves
 * at the ends; those of Gauss and Legendre. */
typedef enum { RT_PATH_MIDPOINT, RT_PATH_TRAPEZOID, RT_PATH_GAUSS, RT_PATHS } rt_path;
extern const char *const rt_path_names[RT_PATHS + 1];

enum { RT_PATH_MOST = 4096 };

typedef struct {
    rt_attribution_method method;
    rt_ask_kind ask;
    int head;                          /* of the first model's */
    rt_path path;
    int steps, most;                   /* 2 to RT_PATH_MOST */
    double limit;
    int patch, stride;                 /* pixels of an image */
} rt_attribution_spec;

/* Rows, and what is known of each: arrays of `rows`, parts (rows, U). */
typedef struct {
    int rows;
    const float *x, *base;             /* (rows, U); ids are the bits of an int32 */
    const int *element;                /* of the head's output: what is asked about */
    float *part;                       /* NAN where a row has no attribution */
    float *slope;                      /* gradient: df/dx, of ids its length over d; NULL: not wanted */
    double *value, *base_value;        /* f(x); f(b), of integrated alone */
    double *residual;                  /* of integrated */
    int *steps;                        /* of integrated; 0: the residual is above the limit */
} rt_attribution;

typedef struct rt_explainer rt_explainer;

/* Models, borrowed, that are bound to one source, each with as many elements in the same order; from then on their rows
 * are plain ones (rt_inputs_take). RT_USAGE with the layer or the reason where the method cannot be used with them. */
rt_status rt_explainer_new(rt_explainer **, rt_model *const *, int count, rt_device *, const rt_attribution_spec *);
void rt_explainer_free(rt_explainer *);
/* U */
size_t rt_explainer_parts(const rt_explainer *);
/* z (rows, W): the answers, of the models' heads. */
rt_status rt_explainer_answers(rt_explainer *, const float *x, int rows, float *z);
/* RT_INPUT for a row whose answer is not finite; RT_INTERRUPTED. */
rt_status rt_explain_rows(rt_explainer *, const rt_attribution *, const rt_progress *);

/* Points and weights of a path, S each. */
void rt_path_points(rt_path, int steps, double *point, double *weight);
#endif
