/* engine/functions.h - functions of one and of two numbers, and reductions: the lists from which names, help, kernels
 * and tests come. NaN goes through all of them unless it says otherwise; a float below 2^-126 is 0. */
#ifndef RT_ENGINE_FUNCTIONS_H
#define RT_ENGINE_FUNCTIONS_H

#include <stddef.h>

/* One list of functions of one number x with constants a and b: enumerator, name of the layer, formula. */
#define RT_UNARY(X) \
    X(EXP, exp, "e^x") X(LOG, log, "the natural logarithm; -inf at 0, NaN below") X(SQRT, sqrt, "NaN below 0") \
    X(RECIPROCAL, reciprocal, "1 / x") X(ABS, abs, "|x|; the derivative at 0 is 0") X(NEG, neg, "-x") \
    X(ERF, erf, "the error function, 2 / sqrt(pi) times the integral of exp(-t^2) from 0 to x") \
    X(ELU, elu, "x, or alpha (e^x - 1) below 0") X(SELU, selu, "gamma x, or gamma alpha (e^x - 1) below 0") \
    X(CELU, celu, "x, or alpha (e^(x / alpha) - 1) below 0") X(SOFTPLUS, softplus, "log(1 + e^x)") \
    X(SOFTSIGN, softsign, "x / (1 + |x|)") X(HARD_SIGMOID, hard_sigmoid, "min(max(alpha x + beta, 0), 1)") \
    X(MISH, mish, "x tanh(log(1 + e^x))") X(THRESHOLDED_RELU, thresholded_relu, "x above alpha, else 0") \
    X(SHRINK, shrink, "x + bias below -lambd, x - bias above lambd, else 0") \
    X(CLIP, clip, "min(max(x, low), high); the derivative at low and high is 1") \
    X(POW, pow, "x^exponent; of x below 0 only by whole exponents, else NaN") \
    X(SIN, sin, "the sine") X(COS, cos, "the cosine") X(TAN, tan, "the tangent") X(ASIN, asin, "the arc sine") \
    X(ACOS, acos, "the arc cosine") X(ATAN, atan, "the arc tangent") X(SINH, sinh, "the hyperbolic sine") \
    X(COSH, cosh, "the hyperbolic cosine") X(ASINH, asinh, "the inverse of sinh") \
    X(ACOSH, acosh, "the inverse of cosh; NaN below 1") X(ATANH, atanh, "the inverse of tanh; NaN beyond 1 and -1") \
    X(FLOOR, floor, "the whole number at or below x; as of all steps, the derivative is 0") \
    X(CEIL, ceil, "the whole number at or above x") X(ROUND, round, "the nearest whole number, of two the even one") \
    X(SIGN, sign, "-1, 0 or 1") X(NOT, not, "1 where x is 0, else 0") X(IS_NAN, is_nan, "1 where x is NaN, else 0") \
    X(IS_INF, is_inf, "1 where x is infinite, else 0")
typedef enum {
    RT_UNARY_NONE,
#define X(E, n, help) RT_UNARY_##E,
    RT_UNARY(X)
#undef X
    RT_UNARY_COUNT
} rt_unary;

/* The same of two numbers a and b. */
#define RT_BINARY(X) \
    X(ADD, add, "a + b") X(SUBTRACT, subtract, "a - b") X(MULTIPLY, multiply, "a b") X(DIVIDE, divide, "a / b") \
    X(MINIMUM, minimum, "the lesser of a and b; equal ones share the gradient") \
    X(MAXIMUM, maximum, "the greater of a and b; equal ones share the gradient") \
    X(POWER, power, "a^b; of a below 0 only by whole b, else NaN") X(PRELU, prelu, "a, or a b below 0") \
    X(MODULO, modulo, "a - b trunc(a / b)") X(LESS, less, "whether a < b, as 1 or 0; no gradient") \
    X(LESS_OR_EQUAL, less_or_equal, "whether a <= b, as 1 or 0; no gradient") \
    X(GREATER, greater, "whether a > b, as 1 or 0; no gradient") \
    X(GREATER_OR_EQUAL, greater_or_equal, "whether a >= b, as 1 or 0; no gradient") \
    X(EQUAL, equal, "whether a = b, as 1 or 0; no gradient") \
    X(AND, and, "whether neither is 0, as 1 or 0; no gradient") \
    X(OR, or, "whether one or both are not 0, as 1 or 0; no gradient") \
    X(XOR, xor, "whether one of both is not 0, as 1 or 0; no gradient")
typedef enum {
#define X(E, n, help) RT_BINARY_##E,
    RT_BINARY(X)
#undef X
    RT_BINARY_COUNT
} rt_binary;

/* Lines of two numbers each: y[l n + i] = f(a[l a_line + i a_step], b[l b_line + i b_step]), steps 0 or 1. */
typedef struct {
    const float *a, *b;
    ptrdiff_t a_line, b_line;
    int a_step, b_step;
    size_t lines, n;
} rt_lines;

/* Reductions of x over some dimensions. */
#define RT_REDUCE(X) \
    X(SUM, sum, "the sum over the axes") X(MEAN, mean, "the mean over the axes") \
    X(MAX, max, "the greatest value over the axes; NaN wins; equal ones share the gradient") \
    X(MIN, min, "the least value over the axes; NaN wins; equal ones share the gradient") \
    X(PROD, prod, "the product over the axes") X(L1, l1, "the sum of |x| over the axes") \
    X(L2, l2, "sqrt of the sum of x^2 over the axes; at 0 its gradient is 0") \
    X(SUM_SQUARE, sum_square, "the sum of x^2 over the axes") X(LOG_SUM, log_sum, "log of the sum over the axes") \
    X(LOG_SUM_EXP, log_sum_exp, "log of the sum of e^x over the axes")
typedef enum {
#define X(E, n, help) RT_REDUCE_##E,
    RT_REDUCE(X)
#undef X
    RT_REDUCE_COUNT
} rt_reduce;

/* What a reduction adds up: x, |x|, x^2; or a product, or a greatest or least value. */
typedef enum { RT_FOLD_SUM, RT_FOLD_ABS, RT_FOLD_SQUARE, RT_FOLD_PROD, RT_FOLD_MAX, RT_FOLD_MIN } rt_fold;
#endif
