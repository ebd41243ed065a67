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

static double binary_d(rt_binary f, double a, double b)
{
    switch (f) {
    case RT_BINARY_ADD: return a + b;
    case RT_BINARY_SUBTRACT: return a - b;
    case RT_BINARY_MULTIPLY: return a * b;
    case RT_BINARY_DIVIDE: return a / b;
    case RT_BINARY_MINIMUM: return fmin(a, b);
    case RT_BINARY_MAXIMUM: return fmax(a, b);
    case RT_BINARY_POWER: return pow(a, b);
    case RT_BINARY_PRELU: return a < 0 ? a * b : a;
    case RT_BINARY_MODULO: return fmod(a, b);
    case RT_BINARY_LESS: return a < b;
    case RT_BINARY_LESS_OR_EQUAL: return a <= b;
    case RT_BINARY_GREATER: return a > b;
    case RT_BINARY_GREATER_OR_EQUAL: return a >= b;
    case RT_BINARY_EQUAL: return !(a < b) && !(a > b);
    case RT_BINARY_AND: return a * a > 0 && b * b > 0;
    case RT_BINARY_OR: return a * a > 0 || b * b > 0;
    case RT_BINARY_XOR: return (a * a > 0) != (b * b > 0);
    default: return NAN;
    }
}

/* Places of element i of row r of a shape, one a dimension, from the last on; and back, in a shape that broadcasts. */
static void places(const rt_shape *s, size_t i, int at[RT_MAX_RANK])
{
    for (int d = 0; d < RT_MAX_RANK; d++) {
        int n = d < s->rank ? s->dim[s->rank - 1 - d] : 1;
        at[d] = (int)(i % (size_t)n);
        i /= (size_t)n;
    }
}
static size_t element(const rt_shape *s, const int at[RT_MAX_RANK])
{
    size_t i = 0;
    for (int d = s->rank - 1; d >= 0; d--) {
        int n = s->dim[s->rank - 1 - d];
        i = i * (size_t)n + (size_t)(n == 1 ? 0 : at[d]);
    }
    return i;
}

/* What input k of a node, or its operand, has for element i of row r of the output. */
static double broadcast_d(forward_d *f, const rt_node *n, int k, size_t r, size_t i)
{
    int at[RT_MAX_RANK], reverse = n->op != RT_OP_WHERE && RT_ATTR(n, rt_binary_attr)->reverse;
    places(&f->g->tensor[n->out].shape, i, at);
    if (n->inputs == 1 && k != reverse) {
        const rt_field *q = &f->g->field[n->field[0]];
        return q->home == RT_CONST ? q->value[element(&q->shape, at)] : f->params[q->offset + element(&q->shape, at)];
    }
    const rt_shape *s = &f->g->tensor[n->in[n->inputs == 1 ? 0 : k]].shape;
    return in_of(f, n, n->inputs == 1 ? 0 : k)[r * rt_shape_count(s) + element(s, at)];
}

static rt_binary binary_of(rt_op_id op)
{
    static const struct { const char *name; rt_binary f; } all[] = {
#define X(E, n, help) {#n, RT_BINARY_##E},
        RT_BINARY(X)
#undef X
    };
    for (int i = 0; i < RT_BINARY_COUNT; i++) if (!strcmp(all[i].name, rt_ops[op]->name)) return all[i].f;
    return RT_BINARY_COUNT;
}

static int pair_node(forward_d *f, const rt_node *n)
{
    size_t row = rt_shape_count(&f->g->tensor[n->out].shape);
    rt_binary b = binary_of(n->op);
    if (b == RT_BINARY_COUNT && n->op != RT_OP_WHERE) return 0;
    for (size_t r = 0; r < ROWS; r++)
        for (size_t i = 0; i < row; i++) {
            double p = broadcast_d(f, n, 0, r, i), q = broadcast_d(f, n, 1, r, i);
            out_of(f, n)[r * row + i] = n->op == RT_OP_WHERE ? (p * p > 0 ? q : broadcast_d(f, n, 2, r, i))
                                                             : binary_d(b, p, q);
        }
    return 1;
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
    case RT_OP_CONSTANT: {
        const rt_field *q = &f->g->field[n->field[0]];
        for (size_t i = 0; i < all; i++)
            y[i] = q->home == RT_CONST ? q->value[i % q->count] : f->params[q->offset + i % q->count];
        return 1;
    }
    default: return pair_node(f, n);
    }
}
