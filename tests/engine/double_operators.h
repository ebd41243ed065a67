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

/* Which place along a dimension of n a padded one is; -1: none. By walking there step by step. */
static int padded_d(int i, int n, rt_pad_mode mode)
{
    while (i < 0 || i >= n) {
        if (mode == RT_PAD_CONSTANT) return -1;
        if (mode == RT_PAD_EDGE) i += i < 0 ? 1 : -1;
        else if (mode == RT_PAD_WRAP) i += i < 0 ? n : -n;
        else if (n == 1) i = 0;
        else i = i < 0 ? -i : 2 * (n - 1) - i;
    }
    return i;
}

static int of_list(const rt_ints *l, int i, int fallback) { return l->count ? l->value[i] : fallback; }

/* Indices `at` of the output, from the first dimension on, become those of the input; 0: there is none. */
static int came_from(forward_d *f, const rt_node *n, const rt_shape *in, const int *out, int *at)
{
    const rt_shape *to = &f->g->tensor[n->out].shape;
    for (int i = 0; i < in->rank; i++)
        switch (n->op) {
        case RT_OP_PERMUTE:
            for (int k = 0; k < in->rank; k++) if (RT_ATTR(n, rt_permute_attr)->axes.value[k] == i) at[i] = out[k];
            break;
        case RT_OP_SLICE: {
            const rt_slice_attr *a = RT_ATTR(n, rt_slice_attr);
            int step = of_list(&a->step, i, 1), start = of_list(&a->start, i, step > 0 ? 0 : in->dim[i] - 1);
            if (start < 0) start += in->dim[i];
            if (step < 0 && start >= in->dim[i]) start = in->dim[i] - 1;
            at[i] = (start < 0 ? 0 : start) + out[i] * step;
            break;
        }
        case RT_OP_PAD: {
            const rt_pad_attr *a = RT_ATTR(n, rt_pad_attr);
            at[i] = padded_d(out[i] - of_list(&a->before, i, 0), in->dim[i], a->mode);
            if (at[i] < 0) return 0;
            break;
        }
        case RT_OP_TILE: at[i] = out[i] % in->dim[i]; break;
        case RT_OP_EXPAND: at[i] = in->dim[i] == 1 ? 0 : out[i + to->rank - in->rank]; break;
        default: {                                                       /* gather */
            const rt_gather_attr *a = RT_ATTR(n, rt_gather_attr);
            int axis = a->axis < 0 ? a->axis + in->rank : a->axis, q = a->shape.rank, k = 0;
            if (i < axis) at[i] = out[i];
            else if (i > axis) at[i] = out[i - 1 + q];
            else {
                for (int d = 0; d < q; d++) k = k * a->shape.dim[d] + out[axis + d];
                at[i] = (int)f->g->field[n->field[0]].value[k];
                if (at[i] < 0) at[i] += in->dim[i];
            }
        }
        }
    return 1;
}

static void move_node(forward_d *f, const rt_node *n)
{
    const rt_shape *in = &f->g->tensor[n->in[0]].shape, *out = &f->g->tensor[n->out].shape;
    size_t from = rt_shape_count(in), to = rt_shape_count(out);
    for (size_t i = 0; i < to; i++) {
        int index[RT_MAX_RANK], at[RT_MAX_RANK] = {0};
        size_t rest = i, place = 0;
        for (int d = out->rank - 1; d >= 0; d--) {
            index[d] = (int)(rest % (size_t)out->dim[d]);
            rest /= (size_t)out->dim[d];
        }
        int there = came_from(f, n, in, index, at);
        for (int d = 0; d < in->rank; d++) place = place * (size_t)in->dim[d] + (size_t)at[d];
        for (size_t r = 0; r < ROWS; r++)
            out_of(f, n)[r * to + i] = there ? in_of(f, n, 0)[r * from + place]
                                             : (double)RT_ATTR(n, rt_pad_attr)->value;
    }
}

static void concat_node(forward_d *f, const rt_node *n)
{
    const rt_shape *out = &f->g->tensor[n->out].shape;
    int axis = RT_ATTR(n, rt_axis_attr)->axis, first = 0;
    if (axis < 0) axis += out->rank;
    for (int q = 0; q < n->inputs; q++) {
        const rt_shape *in = &f->g->tensor[n->in[q]].shape;
        for (size_t i = 0; i < rt_shape_count(in) * ROWS; i++) {
            size_t rest = i, place = 0, scale = 1;
            for (int d = in->rank - 1; d >= 0; d--) {
                size_t at = rest % (size_t)in->dim[d] + (d == axis ? (size_t)first : 0);
                place += at * scale;
                scale *= (size_t)out->dim[d];
                rest /= (size_t)in->dim[d];
            }
            out_of(f, n)[place + rest * scale] = in_of(f, n, q)[i];
        }
        first += in->dim[axis];
    }
}

static double reduce_d(rt_op_id op, const double *v, int n)
{
    double sum = 0, squares = 0, size = 0, product = 1, high = -INFINITY, low = INFINITY, exponents = 0;
    for (int i = 0; i < n; i++) {
        sum += v[i];
        squares += v[i] * v[i];
        size += fabs(v[i]);
        product *= v[i];
        high = fmax(high, v[i]);
        low = fmin(low, v[i]);
        exponents += exp(v[i]);
    }
    switch (op) {
    case RT_OP_REDUCE_SUM: return sum;
    case RT_OP_REDUCE_MEAN: return sum / n;
    case RT_OP_REDUCE_MAX: return high;
    case RT_OP_REDUCE_MIN: return low;
    case RT_OP_REDUCE_PROD: return product;
    case RT_OP_REDUCE_L1: return size;
    case RT_OP_REDUCE_L2: return sqrt(squares);
    case RT_OP_REDUCE_SUM_SQUARE: return squares;
    case RT_OP_REDUCE_LOG_SUM: return log(sum);
    default: return log(exponents);
    }
}

/* Each output gathers its values from the whole input. */
static void reduce_node(forward_d *f, const rt_node *n)
{
    const rt_shape *in = &f->g->tensor[n->in[0]].shape;
    const rt_ints *axes = &RT_ATTR(n, rt_reduce_attr)->axes;
    size_t from = rt_shape_count(in), to = rt_shape_count(&f->g->tensor[n->out].shape);
    double *v = malloc(from * sizeof *v);
    for (size_t r = 0; r < ROWS; r++)
        for (size_t o = 0; o < to; o++) {
            int count = 0;
            for (size_t i = 0; i < from; i++) {
                size_t rest = i, place = 0, scale = 1;
                for (int d = in->rank - 1; d >= 0; d--) {
                    size_t at = rest % (size_t)in->dim[d];
                    int reduced = !axes->count;
                    for (int a = 0; a < axes->count; a++) reduced |= (axes->value[a] + in->rank) % in->rank == d;
                    if (!reduced) {
                        place += at * scale;
                        scale *= (size_t)in->dim[d];
                    }
                    rest /= (size_t)in->dim[d];
                }
                if (place == o) v[count++] = in_of(f, n, 0)[r * from + i];
            }
            out_of(f, n)[r * to + o] = reduce_d(n->op, v, count);
        }
    free(v);
}

static void softmax_node(forward_d *f, const rt_node *n)
{
    const rt_shape *s = &f->g->tensor[n->out].shape;
    int axis = RT_ATTR(n, rt_axis_attr)->axis;
    size_t d = (size_t)s->dim[axis < 0 ? axis + s->rank : axis], inner = 1, all = rt_shape_count(s) * ROWS;
    for (int i = (axis < 0 ? axis + s->rank : axis) + 1; i < s->rank; i++) inner *= (size_t)s->dim[i];
    for (size_t i = 0; i < all; i++) {
        size_t first = i / (d * inner) * (d * inner) + i % inner;
        double sum = 0;
        for (size_t k = 0; k < d; k++) sum += exp(in_of(f, n, 0)[first + k * inner]);
        out_of(f, n)[i] = n->op == RT_OP_SOFTMAX ? exp(in_of(f, n, 0)[i]) / sum : in_of(f, n, 0)[i] - log(sum);
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
    case RT_OP_CONSTANT: {
        const rt_field *q = &f->g->field[n->field[0]];
        for (size_t i = 0; i < all; i++)
            y[i] = q->home == RT_CONST ? q->value[i % q->count] : f->params[q->offset + i % q->count];
        return 1;
    }
    case RT_OP_PERMUTE: case RT_OP_SLICE: case RT_OP_PAD: case RT_OP_GATHER: case RT_OP_EXPAND: case RT_OP_TILE:
        move_node(f, n);
        return 1;
    case RT_OP_CONCAT: concat_node(f, n); return 1;
    case RT_OP_SOFTMAX: case RT_OP_LOG_SOFTMAX: softmax_node(f, n); return 1;
    default:
        if (n->op < RT_OP_REDUCE_SUM || n->op > RT_OP_REDUCE_LOG_SUM_EXP) return pair_node(f, n);
        reduce_node(f, n);
        return 1;
    }
}
