/* The double forward pass of gradients.h, of operators beyond those of students. */

static double unary_d(const rt_unary_attr *u, double x)
{
    double a = u->a, b = u->b;
    switch (u->fn) {
    case RT_UNARY_EXP: return exp(x);
    case RT_UNARY_LOG: return log(x);
    case RT_UNARY_SQRT: return sqrt(x);
    case RT_UNARY_RECIPROCAL: return 1 / x;
    case RT_UNARY_ABS: return fabs(x);
    case RT_UNARY_NEG: return -x;
    case RT_UNARY_ERF: return erf(x);
    case RT_UNARY_ELU: return x > 0 ? x : a * expm1(x);
    case RT_UNARY_SELU: return b * (x > 0 ? x : a * expm1(x));
    case RT_UNARY_CELU: return x > 0 ? x : a * expm1(x / a);
    case RT_UNARY_SOFTPLUS: return log1p(exp(x));
    case RT_UNARY_SOFTSIGN: return x / (1 + fabs(x));
    case RT_UNARY_HARD_SIGMOID: return fmin(fmax(a * x + b, 0), 1);
    case RT_UNARY_MISH: return x * tanh(log1p(exp(x)));
    case RT_UNARY_THRESHOLDED_RELU: return x > a ? x : 0;
    case RT_UNARY_SHRINK: return x < -a ? x + b : x > a ? x - b : 0;
    case RT_UNARY_CLIP: return fmin(fmax(x, a), b);
    case RT_UNARY_POW: return pow(x, a);
    case RT_UNARY_SIN: return sin(x);
    case RT_UNARY_COS: return cos(x);
    case RT_UNARY_TAN: return tan(x);
    case RT_UNARY_ASIN: return asin(x);
    case RT_UNARY_ACOS: return acos(x);
    case RT_UNARY_ATAN: return atan(x);
    case RT_UNARY_SINH: return sinh(x);
    case RT_UNARY_COSH: return cosh(x);
    case RT_UNARY_ASINH: return asinh(x);
    case RT_UNARY_ACOSH: return acosh(x);
    case RT_UNARY_ATANH: return atanh(x);
    case RT_UNARY_FLOOR: return floor(x);
    case RT_UNARY_CEIL: return ceil(x);
    case RT_UNARY_ROUND: return nearbyint(x);
    case RT_UNARY_SIGN: return (x > 0) - (x < 0);
    case RT_UNARY_NOT: return !(x < 0 || x > 0);
    case RT_UNARY_IS_NAN: return isnan(x);
    case RT_UNARY_IS_INF: return isinf(x);
    default: return NAN;
    }
}

/* Nonzero when it knows the operator. */
static int run_operator(forward_d *f, const rt_node *n)
{
    size_t all = rt_shape_count(&f->g->tensor[n->out].shape) * ROWS;
    double *y = out_of(f, n);
    switch (n->op) {
    case RT_OP_UNARY:
        for (size_t i = 0; i < all; i++) y[i] = unary_d(RT_ATTR(n, rt_unary_attr), in_of(f, n, 0)[i]);
        return 1;
    default: return 0;
    }
}
