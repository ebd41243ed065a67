/* engine/eval/eval_ml.h - what the files of table `ml` have of each other. Where the standard's text says less than
 * what exported models were made for, the answers are those of ONNX Runtime. */
#ifndef RT_ENGINE_EVAL_ML_H
#define RT_ENGINE_EVAL_ML_H

#include "engine/eval/eval.h"

typedef enum { RT_ML_NONE, RT_ML_SOFTMAX, RT_ML_LOGISTIC, RT_ML_SOFTMAX_ZERO, RT_ML_PROBIT } rt_ml_transform;
rt_status rt_ml_transform_of(rt_eval_call *, rt_ml_transform *);
/* n scores in place. One alone is changed by PROBIT only. */
void rt_ml_scores(rt_ml_transform, double *score, int n);
/* One score s of two classes, as two: of a logistic, of (-s, s); else (1 - s, s), or (-s, s) where weights are `mixed`.
 */
void rt_ml_two_scores(rt_ml_transform, double s, int mixed, double out[2]);

/* Input 0 as rows of features (a list is one row), and element (row, feature) as a number: of float64 as it is, of
 * others as float32. */
typedef struct { const rt_array *x; size_t rows, features; } rt_ml_rows;
rt_status rt_ml_rows_of(rt_eval_call *, rt_ml_rows *);
double rt_ml_at(const rt_ml_rows *, size_t row, size_t feature);

/* Class labels, integers or texts; n 0: none. */
typedef struct { const int64_t *whole; const char *const *text; int n; } rt_ml_labels;
rt_status rt_ml_labels_of(rt_eval_call *, const char *whole, const char *text, rt_ml_labels *);
/* Output 0, for the label of each row, and a label into it. */
rt_status rt_ml_labels_make(rt_eval_call *, const rt_ml_labels *, size_t rows, rt_array **y);
void rt_ml_label_put(const rt_ml_labels *, rt_array *y, size_t row, int label);

rt_status rt_eval_tree_classifier(rt_eval_call *), rt_eval_tree_regressor(rt_eval_call *),
    rt_eval_tree_ensemble(rt_eval_call *);
rt_status rt_eval_linear_classifier(rt_eval_call *), rt_eval_linear_regressor(rt_eval_call *),
    rt_eval_svm_classifier(rt_eval_call *), rt_eval_svm_regressor(rt_eval_call *);
#endif
