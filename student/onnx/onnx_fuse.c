/* student/onnx/onnx_fuse.c - chains of small operators, as exporters spell larger ones, become those: GELU in both
 * forms, SiLU, hard-swish, Mish, layer, root mean square, group and local response norms. Each is evaluated on the row
 * in both forms, and stays as it was where they differ by more than 1e-5 of its scale. */
#include <math.h>
#include <string.h>

#include "student/onnx/onnx_lower.h"

enum { CHAIN = 64 /* nodes that change nothing, one behind the other */ };

typedef struct {
    rt_onnx_row *row;
    rt_eval_graph *g;
    int *giver;                        /* (values) node, -1: none */
    int fused, differ;
} fuser;

/* ---- looking at what gives a value ---- */

static const rt_eval_node *giver(const fuser *f, int v)
{ return v >= 0 && f->giver[v] >= 0 ? &f->g->node[f->giver[v]] : NULL; }

static int changes_nothing(const fuser *f, const rt_eval_node *n)
{
    if (*n->domain) return 0;
    return !strcmp(n->op, "Identity") || (!strcmp(n->op, "Cast") && rt_array_is_float(f->row->value[n->in[0]]) &&
                                          rt_array_is_float(f->row->value[n->out[0]]));
}

/* The value behind identities and casts among floats. */
static int through(const fuser *f, int v)
{
    int steps = 0;
    for (const rt_eval_node *n = giver(f, v); n && changes_nothing(f, n) && steps < CHAIN; n = giver(f, v), steps++)
        v = n->in[0];
    return v;
}

/* The node that gives v, through those, if it is this operator. */
static const rt_eval_node *given_by(const fuser *f, int v, const char *op)
{
    const rt_eval_node *n = giver(f, through(f, v));
    return n && !*n->domain && !strcmp(n->op, op) ? n : NULL;
}

static int scalar(const fuser *f, int v, double *to)
{
    const rt_array *a = v >= 0 && !f->row->varies[v] ? f->row->value[v] : NULL;
    if (!a || a->count != 1 || !rt_array_is_float(a)) return 0;
    *to = rt_array_double(a, 0);
    return 1;
}

static int near(double a, double b) { return fabs(a - b) <= 1e-4 * fabs(b); }

/* v as a number times another value; the number multiplies *scale. */
static int strip(const fuser *f, int v, double *scale)
{
    double s;
    const rt_eval_node *n;
    if ((n = given_by(f, v, "Mul"))) {
        for (int i = 0; i < 2; i++)
            if (scalar(f, n->in[i], &s)) {
                *scale *= s;
                return through(f, n->in[1 - i]);
            }
    } else if ((n = given_by(f, v, "Div")) && scalar(f, n->in[1], &s)) {
        *scale /= s;
        return through(f, n->in[0]);
    }
    return through(f, v);
}

/* v = w + c; -1: it is none. */
static int less_constant(const fuser *f, int v, double *c)
{
    const rt_eval_node *n = given_by(f, v, "Add");
    for (int i = 0; n && i < 2; i++) if (scalar(f, n->in[i], c)) return through(f, n->in[1 - i]);
    return -1;
}

/* ---- what the factors of a product can be ---- */

static int is_erf_factor(const fuser *f, int t, int x)
{
    double one, scale = 1;
    const rt_eval_node *n = given_by(f, less_constant(f, t, &one), "Erf");
    return n && near(one, 1) && strip(f, n->in[0], &scale) == x && near(scale, sqrt(0.5));
}

static int is_cube(const fuser *f, int v, int x, double *scale)
{
    double three;
    v = strip(f, v, scale);
    const rt_eval_node *n = given_by(f, v, "Pow");
    if (n) return through(f, n->in[0]) == x && scalar(f, n->in[1], &three) && three == 3;
    n = given_by(f, v, "Mul");
    for (int i = 0; n && i < 2; i++) {
        const rt_eval_node *square = given_by(f, n->in[i], "Mul");
        int rest = strip(f, n->in[1 - i], scale);
        if (square && rest == x && through(f, square->in[0]) == x && through(f, square->in[1]) == x) return 1;
    }
    return 0;
}

static int is_tanh_factor(const fuser *f, int t, int x)
{
    double one, scale = 1;
    const rt_eval_node *n = given_by(f, less_constant(f, t, &one), "Tanh"), *sum;
    if (!n || !near(one, 1)) return 0;
    sum = given_by(f, strip(f, n->in[0], &scale), "Add");
    if (!sum || !near(scale, sqrt(2 / 3.14159265358979323846))) return 0;
    for (int i = 0; i < 2; i++) {
        double c = 1;
        if (through(f, sum->in[i]) == x && is_cube(f, sum->in[1 - i], x, &c) && near(c, 0.044715)) return 1;
    }
    return 0;
}

static int is_hard_factor(const fuser *f, int t, int x, double *scale)
{
    const rt_eval_node *n = given_by(f, t, "HardSigmoid");
    double three, low = NAN, high = NAN;
    if (n) return through(f, n->in[0]) == x && near(rt_lower_float(n, "alpha", 0.2), 1 / 6.0) &&
                  near(rt_lower_float(n, "beta", 0.5), 0.5);
    if (!(n = given_by(f, t, "Clip"))) return 0;
    if (n->inputs > 1 && n->in[1] >= 0) scalar(f, n->in[1], &low);
    else low = rt_lower_float(n, "min", NAN);
    if (n->inputs > 2 && n->in[2] >= 0) scalar(f, n->in[2], &high);
    else high = rt_lower_float(n, "max", NAN);
    *scale *= 6;
    return less_constant(f, n->in[0], &three) == x && three == 3 && low == 0 && high == 6;
}

/* ---- new nodes ---- */

static int equal(const rt_array *a, const rt_array *b)
{
    double scale = 0;
    if (a->count != b->count) return 0;
    for (size_t i = 0; i < b->count; i++) scale = fmax(scale, fabs(rt_array_double(b, i)));
    for (size_t i = 0; i < b->count; i++)
        if (!(fabs(rt_array_double(a, i) - rt_array_double(b, i)) <= 1e-5 * scale)) return 0;
    return 1;
}

/* The node becomes another, with this operator, when that gives the same. */
static rt_status become(fuser *f, rt_eval_node *n, const rt_eval_node *to)
{
    rt_eval_node was = *n, is = *to;
    rt_array **out;
    rt_eval *e;
    is.name = was.name;
    is.domain = "";
    is.out = was.out;
    is.outputs = 1;
    is.def = rt_eval_find("", is.op, is.version);
    if (!is.def) return RT_OK;
    rt_region *r = rt_onnx_row_rest(f->row);
    if (!r) return RT_RUN;
    rt_status st = (out = rt_region_list(r, 1, sizeof *out)) ? rt_eval_new(&e, r) : RT_RUN;
    if (!st) st = rt_eval_one(e, f->g, &is, f->row->value, out);
    int same = !st && equal(out[0], f->row->value[was.out[0]]);
    rt_region_free(r);
    if (st && st != RT_INPUT) return st;
    f->differ += !same;
    f->fused += same;
    if (same) *n = is;
    return RT_OK;
}

static rt_status of_one(fuser *f, rt_eval_node *n, const char *op, int version, int x, const char *string,
                        const char *value)
{
    rt_region *r = f->row->region;
    int *in = rt_region_list(r, 1, sizeof *in);
    rt_eval_attr *a = rt_region_list(r, 1, sizeof *a);
    const char **s = rt_region_list(r, 1, sizeof *s);
    if (!in || !a || !s) return RT_RUN;
    in[0] = x;
    s[0] = value;
    *a = (rt_eval_attr){.name = string, .kind = RT_EA_STRING, .n = 1, .s = s};
    return become(
        f, n, &(rt_eval_node){.op = op, .version = version, .in = in, .inputs = 1, .attr = a, .attrs = string != NULL});
}

/* A product, or a quotient by a number, that is an activation. */
static rt_status activation(fuser *f, rt_eval_node *n)
{
    double outer = 1;
    int root = strip(f, n->out[0], &outer);
    const rt_eval_node *m = given_by(f, root, "Mul");
    if (!m) return RT_OK;
    for (int i = 0; i < 4; i++) {                          /* either side, as it is and without a number before it */
        double scale = outer, hard;
        int t = strip(f, m->in[1 - i % 2], &scale),
            x = i < 2 ? through(f, m->in[i % 2]) : strip(f, m->in[i % 2], &scale);
        if (x < 0 || t < 0 || !f->row->varies[x]) continue;
        hard = scale;
        if (near(scale, 0.5) && is_erf_factor(f, t, x)) return of_one(f, n, "Gelu", 20, x, NULL, NULL);
        if (near(scale, 0.5) && is_tanh_factor(f, t, x)) return of_one(f, n, "Gelu", 20, x, "approximate", "tanh");
        const rt_eval_node *s = given_by(f, t, "Sigmoid"), *g = given_by(f, t, "Tanh"),
                           *plus = g ? given_by(f, g->in[0], "Softplus") : NULL;
        if (near(scale, 1) && plus && through(f, plus->in[0]) == x) return of_one(f, n, "Mish", 18, x, NULL, NULL);
        if (near(scale, 1) && s && through(f, s->in[0]) == x) return of_one(f, n, "Swish", 24, x, NULL, NULL);
        if (is_hard_factor(f, t, x, &hard) && near(hard, 1)) return of_one(f, n, "HardSwish", 14, x, NULL, NULL);
    }
    return RT_OK;
}

/* ---- norms ---- */

/* The mean of what, over the last dimensions from *axis on. */
static int mean_of(const fuser *f, int v, int *axis)
{
    const rt_eval_node *n = given_by(f, v, "ReduceMean");
    if (!n || !rt_lower_int(n, "keepdims", 1)) return -1;
    const rt_array *x = f->row->value[n->in[0]], *y = f->row->value[n->out[0]];
    for (*axis = 0; *axis < x->rank && y->dim[*axis] == x->dim[*axis]; ) ++*axis;
    for (int i = *axis; i < x->rank; i++) if (y->dim[i] != 1) return -1;
    return through(f, n->in[0]);
}

/* v = w^2; -1 else. */
static int root_of(const fuser *f, int v)
{
    double two;
    const rt_eval_node *n = given_by(f, v, "Pow");
    if (n) return scalar(f, n->in[1], &two) && two == 2 ? through(f, n->in[0]) : -1;
    n = given_by(f, v, "Mul");
    return n && through(f, n->in[0]) == through(f, n->in[1]) ? through(f, n->in[0]) : -1;
}

/* v is x - mean(x) over the last dimensions: x. */
static int centered(const fuser *f, int v, int *axis)
{
    const rt_eval_node *n = given_by(f, v, "Sub");
    if (!n) return -1;
    int x = through(f, n->in[0]);
    return mean_of(f, n->in[1], axis) == x ? x : -1;
}

typedef struct { int x, axis, centered; double eps; } norm;

/* v = d / sqrt(mean(d^2) + eps), d = x - mean(x) or x. */
static int find_norm(const fuser *f, int v, norm *m)
{
    const rt_eval_node *n = given_by(f, v, "Div"), *r;
    int d = -1, root = -1, axis;
    if (n) d = through(f, n->in[0]), root = n->in[1];
    else if ((n = given_by(f, v, "Mul")))
        for (int i = 0; i < 2 && d < 0; i++)
            if ((r = given_by(f, n->in[i], "Reciprocal"))) root = r->in[0], d = through(f, n->in[1 - i]);
    const rt_eval_node *s = d >= 0 ? given_by(f, root, "Sqrt") : NULL;
    if (!s) return 0;
    int square = mean_of(f, less_constant(f, s->in[0], &m->eps), &m->axis),
        from = square >= 0 ? root_of(f, square) : -1;
    if (from < 0) return 0;
    m->x = centered(f, d, &axis);
    m->centered = m->x >= 0;
    if (!m->centered) m->x = d;
    else if (axis != m->axis || (from != d && centered(f, from, &axis) != m->x)) return 0;
    return m->centered || from == d;
}

/* The constant is one number for each element of the last dimensions. */
static int is_scale(const fuser *f, int v, const norm *m)
{
    const rt_array *a = v >= 0 && !f->row->varies[v] ? f->row->value[v] : NULL, *x = f->row->value[m->x];
    size_t width = 1;
    for (int i = m->axis; i < x->rank; i++) width *= (size_t)x->dim[i];
    return a && a->count == width && a->rank >= x->rank - m->axis;
}

static rt_status normed(fuser *f, rt_eval_node *n, const norm *m, int gamma, int beta)
{
    rt_region *r = f->row->region;
    int *in = rt_region_list(r, 3, sizeof *in);
    rt_eval_attr *a = rt_region_list(r, 2, sizeof *a);
    float *eps = rt_region_list(r, 1, sizeof *eps);
    int64_t *axis = rt_region_list(r, 1, sizeof *axis);
    if (!in || !a || !eps || !axis) return RT_RUN;
    in[0] = m->x;
    in[1] = gamma;
    in[2] = beta;
    *eps = (float)m->eps;
    *axis = m->axis - f->row->value[m->x]->rank;
    a[0] = (rt_eval_attr){.name = "epsilon", .kind = RT_EA_FLOAT, .n = 1, .f = eps};
    a[1] = (rt_eval_attr){.name = "axis", .kind = RT_EA_INT, .n = 1, .i = axis};
    return become(f, n,
                  &(rt_eval_node){.op = m->centered ? "LayerNormalization" : "RMSNormalization",
                                  .version = m->centered ? 17 : 23,
                                  .in = in,
                                  .inputs = beta >= 0 ? 3 : 2,
                                  .attr = a,
                                  .attrs = 2});
}

/* n is gamma times a norm, or that plus beta. */
static rt_status norm_behind(fuser *f, rt_eval_node *n)
{
    norm m;
    int beta = -1, v = n->out[0];
    const rt_eval_node *sum = given_by(f, v, "Add"), *times;
    for (int i = 0; sum && i < 2 && beta < 0; i++)
        if (sum->in[i] >= 0 && !f->row->varies[sum->in[i]]) beta = sum->in[i], v = sum->in[1 - i];
    if ((sum && beta < 0) || !(times = given_by(f, v, "Mul"))) return RT_OK;
    for (int i = 0; i < 2; i++)
        if (times->in[i] >= 0 && !f->row->varies[times->in[i]] && find_norm(f, times->in[1 - i], &m) &&
            is_scale(f, times->in[i], &m) && (beta < 0 || (m.centered && is_scale(f, beta, &m))))
            return normed(f, n, &m, times->in[i], beta);
    return RT_OK;
}

/* ---- norms that are spelled by others, as exports of before the operator's opset have them ---- */

/* A new constant of the graph: the elements of another, in one dimension; -1: memory. */
static int row_of(fuser *f, int v)
{
    rt_eval_graph *g = f->g;
    rt_onnx_row *row = f->row;
    rt_region *r = row->region;
    const size_t n = (size_t)g->values;
    const char **name = rt_region_list(r, n + 1, sizeof *name);
    rt_array **known = rt_region_list(r, n + 1, sizeof *known), **value = rt_region_list(r, n + 1, sizeof *value),
             *a = rt_region_take(r, sizeof *a);
    char *varies = rt_region_take(r, n + 1);
    int *giver = rt_region_list(r, n + 1, sizeof *giver);
    if (!name || !known || !value || !a || !varies || !giver) return -1;
    memcpy(name, g->value, n * sizeof *name);
    memcpy(known, g->known, n * sizeof *known);
    memcpy(value, row->value, n * sizeof *value);
    memcpy(varies, row->varies, n);
    memcpy(giver, f->giver, n * sizeof *giver);
    *a = *row->value[v];
    a->rank = 1;
    a->dim[0] = (int64_t)a->count;
    name[n] = g->value[v];
    known[n] = value[n] = a;
    giver[n] = -1;
    g->value = name;
    g->known = known;
    row->value = value;
    row->varies = varies;
    f->giver = giver;
    return g->values++;
}

static const rt_array *constant(const fuser *f, int v)
{ return v >= 0 && !f->row->varies[v] ? f->row->value[v] : NULL; }

static int all_are(const rt_array *a, double v)
{
    for (size_t i = 0; a && i < a->count; i++) if (rt_array_double(a, i) != v) return 0;
    return a != NULL;
}

/* The constant is a number a channel, which is axis 1 of x. */
static int by_channel(const fuser *f, int v, const rt_array *x)
{
    const rt_array *a = constant(f, v);
    int axis = a ? a->rank - (x->rank - 1) : -1;
    return axis >= 0 && a->count == (size_t)x->dim[1] && a->dim[axis] == x->dim[1];
}

/* Reshape to (1, G, -1), InstanceNormalization by 1 and 0, Reshape back, times gamma and plus beta by channel. */
static rt_status group_norm(fuser *f, rt_eval_node *n)
{
    const rt_eval_node *sum = given_by(f, n->out[0], "Add"), *times = NULL, *back, *norm, *parts;
    int beta = -1, gamma = -1;
    for (int i = 0; sum && i < 2 && !times; i++)
        if (constant(f, sum->in[i]) && (times = given_by(f, sum->in[1 - i], "Mul"))) beta = sum->in[i];
    for (int i = 0; times && i < 2; i++) if (constant(f, times->in[i])) gamma = i;
    back = gamma >= 0 ? given_by(f, times->in[1 - gamma], "Reshape") : NULL;
    norm = back ? given_by(f, back->in[0], "InstanceNormalization") : NULL;
    parts = norm ? given_by(f, norm->in[0], "Reshape") : NULL;
    if (!parts || !all_are(constant(f, norm->in[1]), 1) || !all_are(constant(f, norm->in[2]), 0)) return RT_OK;
    const int x = through(f, parts->in[0]);
    const rt_array *from = f->row->value[x], *split = f->row->value[parts->out[0]], *to = f->row->value[n->out[0]];
    gamma = times->in[gamma];
    if (from->rank < 2 || from->rank != to->rank || memcmp(from->dim, to->dim, sizeof from->dim) || split->rank != 3 ||
        from->dim[0] != 1 || split->dim[0] != 1 || from->dim[1] % split->dim[1] || !by_channel(f, gamma, from) ||
        !by_channel(f, beta, from))
        return RT_OK;
    rt_region *r = f->row->region;
    int *in = rt_region_list(r, 3, sizeof *in);
    rt_eval_attr *a = rt_region_list(r, 2, sizeof *a);
    float *eps = rt_region_list(r, 1, sizeof *eps);
    int64_t *groups = rt_region_list(r, 1, sizeof *groups);
    if (!in || !a || !eps || !groups) return RT_RUN;
    *eps = (float)rt_lower_float(norm, "epsilon", 1e-5);
    *groups = split->dim[1];
    in[0] = x;
    if ((in[1] = row_of(f, gamma)) < 0 || (in[2] = row_of(f, beta)) < 0) return RT_RUN;
    a[0] = (rt_eval_attr){.name = "epsilon", .kind = RT_EA_FLOAT, .n = 1, .f = eps};
    a[1] = (rt_eval_attr){.name = "num_groups", .kind = RT_EA_INT, .n = 1, .i = groups};
    return become(f, n, &(rt_eval_node){.op = "GroupNormalization", .version = 21, .in = in, .inputs = 3, .attr = a,
                                        .attrs = 2});
}

/* v as another value with a number put to it by this operator; -1: it is none. */
static int less_number(const fuser *f, int v, const char *op, double *number)
{
    const rt_eval_node *n = given_by(f, v, op);
    for (int i = 0; n && i < 2; i++)
        if (scalar(f, n->in[i], number) && (i || strcmp(op, "Pow"))) return through(f, n->in[1 - i]);
    return -1;
}

/* x / (bias + alpha mean(x^2))^beta, the mean of a window of channels that counts what is outside as 0. */
static rt_status local_norm(fuser *f, rt_eval_node *n)
{
    double number[3];                                      /* beta, bias, alpha */
    const int64_t *kernel, *pads;
    const int x = through(f, n->in[0]);
    int v = less_number(f, n->in[1], "Pow", &number[0]);
    if (v >= 0) v = less_number(f, v, "Add", &number[1]);
    if (v >= 0) v = less_number(f, v, "Mul", &number[2]);
    const rt_eval_node *back = v >= 0 ? given_by(f, v, "Reshape") : NULL,
                       *pool = back ? given_by(f, back->in[0], "AveragePool") : NULL,
                       *plane = pool ? given_by(f, pool->in[0], "Reshape") : NULL;
    if (!plane || root_of(f, plane->in[0]) != x) return RT_OK;
    const rt_array *from = f->row->value[x], *flat = f->row->value[plane->out[0]];
    if (from->rank < 2 || flat->rank != 4 || from->dim[0] != 1 || flat->dim[1] != 1 || flat->dim[2] != from->dim[1] ||
        rt_lower_ints(pool, "kernel_shape", &kernel) != 2 || kernel[1] != 1 ||
        rt_lower_ints(pool, "pads", &pads) != 4 || pads[0] != (kernel[0] - 1) / 2 || pads[2] != kernel[0] / 2 ||
        pads[1] || pads[3] || !rt_lower_int(pool, "count_include_pad", 0))
        return RT_OK;
    static const char *const names[] = {"beta", "bias", "alpha"};
    rt_region *r = f->row->region;
    int *in = rt_region_list(r, 1, sizeof *in);
    rt_eval_attr *a = rt_region_list(r, 4, sizeof *a);
    float *number_of = rt_region_list(r, 3, sizeof *number_of);
    int64_t *size = rt_region_list(r, 1, sizeof *size);
    if (!in || !a || !number_of || !size) return RT_RUN;
    in[0] = x;
    *size = kernel[0];
    for (int i = 0; i < 3; i++) {
        number_of[i] = (float)number[i];
        a[i] = (rt_eval_attr){.name = names[i], .kind = RT_EA_FLOAT, .n = 1, .f = &number_of[i]};
    }
    a[3] = (rt_eval_attr){.name = "size", .kind = RT_EA_INT, .n = 1, .i = size};
    return become(f, n, &(rt_eval_node){.op = "LRN", .version = 13, .in = in, .inputs = 1, .attr = a, .attrs = 4});
}

/* ---- the whole ---- */

static void find_givers(fuser *f)
{
    for (int v = 0; v < f->g->values; v++) f->giver[v] = -1;
    for (int i = 0; i < f->g->nodes; i++)
        for (int k = 0; k < f->g->node[i].outputs; k++)
            if (f->g->node[i].out[k] >= 0) f->giver[f->g->node[i].out[k]] = i;
}

rt_status rt_onnx_fuse(rt_onnx_row *row, int *fused)
{
    fuser f = {.row = row, .g = row->graph};
    if (!(f.giver = rt_region_list(row->region, (size_t)row->graph->values, sizeof *f.giver))) return RT_RUN;
    find_givers(&f);
    for (int i = row->graph->nodes - 1; i >= 0; i--) {
        rt_eval_node *n = &row->graph->node[i];
        if (*n->domain || n->outputs != 1 || n->out[0] < 0 || !row->varies[n->out[0]]) continue;
        if (!rt_array_is_float(row->value[n->out[0]])) continue;
        if (!strcmp(n->op, "Add") || !strcmp(n->op, "Mul")) RT_TRY(norm_behind(&f, n));
        if (!strcmp(n->op, "Add")) RT_TRY(group_norm(&f, n));
        if (!strcmp(n->op, "Div")) RT_TRY(local_norm(&f, n));
        if (!strcmp(n->op, "Mul") || !strcmp(n->op, "Div")) RT_TRY(activation(&f, n));
    }
    *fused = f.fused;
    return RT_OK;
}
