/* student/calibrate.h - quantizers of a trained model, from rows of data: post-training quantization.
 *
 * Ranges: of every tensor the least and the greatest value over all rows, 0 included; or, by MSE, what of it keeps the
 * mean squared error of its values least (a histogram of them). Steps of weights: max |w| / (2^(bits - 1) - 1) of each
 * output channel; or, by MSE, the part of it that keeps the squared error least. Biases are corrected for the mean
 * error that rounded weights make with the mean input (Nagel et al. 2019, section 4.2). */
#ifndef RT_STUDENT_CALIBRATE_H
#define RT_STUDENT_CALIBRATE_H

#include "data/source.h"
#include "engine/device.h"
#include "student/quantizers.h"

typedef enum { RT_CALIBRATE_MINMAX, RT_CALIBRATE_MSE } rt_calibrate_method;

typedef struct {
    rt_calibrate_method method;
    int bytes;                       /* as of rt_quantizers; x is normalised floats in any case */
    const int *bits;                 /* (nodes) of weights; NULL: 8 */
    int correct;                     /* biases */
} rt_calibrate_spec;

/* Rows to calibrate with: n of the source, as they are in *raw, and normalised in *x (n, input), both for the caller to
 * free. RT_INPUT with the row when a value is none that can be used; RT_USAGE for more than fit. */
rt_status rt_calibrate_rows(float **x, char **raw, rt_source *, const uint64_t *row, size_t n, const rt_input *);
/* Steps of the weights of layer `node`, anew, from the weights as they are, where it has its own. */
rt_status rt_calibrate_steps(rt_model *, int node, rt_calibrate_method);
/* Gives a float model quantizers. x (rows, input), normalised. RT_INPUT with the layer when a value is not finite, or a
 * layer answers 0 to every row; a range has no width then. RT_USAGE when the model has no integer form. After an error
 * the model may have quantizers without numbers. */
rt_status rt_calibrate(rt_model *, const rt_calibrate_spec *, const float *x, int rows, rt_device *);
/* What is to be said where far values leave others few of the input's bytes, which no training makes good: of how many
 * columns (the last dimension) fewer than 4 steps of the range lie between the quartiles, which are not equal; normal
 * values have about 45 there. x (rows, input), normalised; range: least and greatest, NULL: those of x. text is empty
 * where there are no such columns. */
rt_status rt_calibrate_coarse(char *text, size_t size, const rt_model *, const float *x, int rows, const float *range);
#endif
