/* engine/eval/eval_einsum.c - Einsum. */
#include <string.h>

#include "engine/eval/layers.h"

/* A letter, or a dimension that "..." stands for, is an index with a size and a step in each operand. */
enum { INDICES = 52 + RT_ARRAY_RANK, OPERANDS = 16, DOTS = 52 };

typedef struct {
    int operands, dots;                     /* dots: dimensions that "..." stands for, the most of any operand */
    int64_t size[INDICES];                  /* -1: does not occur */
    int64_t step[OPERANDS][INDICES];
    int occurs[INDICES];                    /* in how many places of the terms */
    int out[RT_ARRAY_RANK], outs;           /* indices of the output */
    const rt_array *in[OPERANDS];
} equation;

static int letter(char c) { return c >= 'A' && c <= 'Z' ? c - 'A' : c >= 'a' && c <= 'z' ? c - 'a' + 26 : -1; }

static rt_status add_index(equation *q, int operand, int index, int64_t dim, int64_t step)
{
    if (q->size[index] < 0 || q->size[index] == 1) q->size[index] = dim;
    else if (dim != q->size[index] && dim != 1)
        return rt_fail(RT_INPUT, "an index of the equation has sizes %lld and %lld", (long long)q->size[index],
                       (long long)dim);
    if (dim != 1) q->step[operand][index] += step;      /* a repeated letter is a diagonal */
    q->occurs[index]++;
    return RT_OK;
}

/* One term, [s, end), of operand k. */
static rt_status term(equation *q, int k, const char *s, const char *end)
{
    const rt_array *a = q->in[k];
    int letters = 0, at = 0, dotted = 0;
    int64_t step[RT_ARRAY_RANK];
    rt_array_steps(a->rank, a->dim, step);
    for (const char *c = s; c < end; c++) letters += letter(*c) >= 0;
    for (; s < end; s++) {
        if (*s == ' ') continue;
        if (*s == '.' && end - s >= 3 && s[1] == '.' && s[2] == '.' && !dotted) {
            int n = a->rank - letters;
            if (n < 0) break;
            for (int i = 0; i < n; i++, at++)           /* aligned at the last */
                RT_TRY(add_index(q, k, DOTS + RT_ARRAY_RANK - n + i, a->dim[at], step[at]));
            if (n > q->dots) q->dots = n;
            s += 2;
            dotted = 1;
        } else {
            int index = letter(*s);
            if (index < 0) return rt_fail(RT_INPUT, "equation: '%c' is no letter", *s);
            if (at >= a->rank) break;
            RT_TRY(add_index(q, k, index, a->dim[at], step[at]));
            at++;
        }
    }
    char text[128];
    if (at != a->rank || s < end)
        return rt_fail(RT_INPUT, "the equation has another number of dimensions for input %d, %s", k,
                       rt_array_describe(a, text));
    return RT_OK;
}

static rt_status add_output(equation *q, int index)
{
    for (int i = 0; i < q->outs; i++)
        if (q->out[i] == index) return rt_fail(RT_INPUT, "the equation's output repeats an index");
    if (q->outs == RT_ARRAY_RANK)
        return rt_fail(RT_INPUT, "the equation's output has more than %d dimensions", q->outs);
    q->out[q->outs++] = index;
    return RT_OK;
}

static rt_status output(equation *q, const char *s)
{
    int first_dot = DOTS + RT_ARRAY_RANK - q->dots;
    if (!s) {                               /* implied: "...", then what occurs once */
        for (int i = first_dot; i < INDICES; i++) RT_TRY(add_output(q, i));
        for (int i = 0; i < DOTS; i++) if (q->occurs[i] == 1) RT_TRY(add_output(q, i));
        return RT_OK;
    }
    for (; *s; s++) {
        if (*s == ' ') continue;
        if (*s == '.' && s[1] == '.' && s[2] == '.') {
            for (int i = first_dot; i < INDICES; i++) RT_TRY(add_output(q, i));
            s += 2;
            continue;
        }
        int index = letter(*s);
        if (index < 0 || q->size[index] < 0)
            return rt_fail(RT_INPUT, "equation: '%c' of the output is in no input", *s);
        RT_TRY(add_output(q, index));
    }
    return RT_OK;
}

static rt_status parse(equation *q, const char *text)
{
    const char *arrow = strstr(text, "->"), *end = arrow ? arrow : text + strlen(text), *s = text;
    for (int k = 0; k < q->operands; k++) {
        const char *comma = memchr(s, ',', (size_t)(end - s));
        if (!comma != (k + 1 == q->operands))
            return rt_fail(RT_INPUT, "the equation has not %d terms, as many as there are inputs", q->operands);
        RT_TRY(term(q, k, s, comma ? comma : end));
        s = comma ? comma + 1 : end;
    }
    return output(q, arrow ? arrow + 2 : NULL);
}

/* The indices that are summed over, the one with the smallest steps last. */
typedef struct { int n, index[INDICES]; } summed;

static summed summed_indices(const equation *q)
{
    summed s = {0};
    int64_t least = INT64_MAX;
    int last = 0;
    for (int i = 0; i < INDICES; i++) {
        int is_out = q->size[i] < 0;
        for (int o = 0; o < q->outs; o++) is_out |= q->out[o] == i;
        if (is_out) continue;
        int64_t most = 0;
        for (int k = 0; k < q->operands; k++) if (q->step[k][i] > most) most = q->step[k][i];
        if (most < least && q->size[i] > 1) least = most, last = s.n;
        s.index[s.n++] = i;
    }
    if (s.n) {
        int t = s.index[last];
        s.index[last] = s.index[s.n - 1];
        s.index[s.n - 1] = t;
    }
    return s;
}

/* The sum of n products of elements that are `step` apart: of doubles, or of integers that wrap. */
static double line_of_doubles(const equation *q, const double *const *x, const int64_t *at, int index, int64_t n)
{
    double sum = 0;
    const double *a = x[0] + at[0];
    int64_t sa = q->step[0][index];
    if (q->operands == 1) {
        for (int64_t i = 0; i < n; i++) sum += a[i * sa];
        return sum;
    }
    const double *b = x[1] + at[1];
    int64_t sb = q->step[1][index];
    if (q->operands == 2) {
        for (int64_t i = 0; i < n; i++) sum += a[i * sa] * b[i * sb];
        return sum;
    }
    for (int64_t i = 0; i < n; i++) {
        double p = a[i * sa] * b[i * sb];
        for (int k = 2; k < q->operands; k++) p *= x[k][at[k] + i * q->step[k][index]];
        sum += p;
    }
    return sum;
}

static uint64_t line_of_wholes(const equation *q, const int64_t *at, int index, int64_t n)
{
    uint64_t sum = 0;
    for (int64_t i = 0; i < n; i++) {
        uint64_t p = 1;
        for (int k = 0; k < q->operands; k++)
            p *= (uint64_t)rt_array_int(q->in[k], (size_t)(at[k] + (index < 0 ? 0 : i * q->step[k][index])));
        sum += p;
    }
    return sum;
}

/* Moves to the next place of some indices; 0 when all have been. */
static int next(const equation *q, const int *index, int n, int64_t *count, int64_t *at)
{
    for (int i = n - 1; i >= 0; i--) {
        int x = index[i], turns = ++count[i] == q->size[x];
        for (int k = 0; k < q->operands; k++) at[k] += turns ? -q->step[k][x] * (q->size[x] - 1) : q->step[k][x];
        if (!turns) return 1;
        count[i] = 0;
    }
    return 0;
}

static rt_status sum_all(rt_eval_call *call, const equation *q, const double *const *x, rt_array *y)
{
    summed s = summed_indices(q);
    int64_t at[OPERANDS] = {0}, count[RT_ARRAY_RANK] = {0}, inner = s.n ? q->size[s.index[s.n - 1]] : 1, lines = 1;
    int last = s.n ? s.index[s.n - 1] : -1, empty = 0;
    for (int i = 0; i < s.n; i++) empty |= q->size[s.index[i]] == 0;
    if (empty || !y->count) return RT_OK;
    for (int i = 0; i + 1 < s.n; i++)
        if (__builtin_mul_overflow(lines, q->size[s.index[i]], &lines))
            return rt_fail(RT_INPUT, "the equation has more products than can be computed");
    for (size_t i = 0; i < y->count; i++) {
        int64_t inside[INDICES] = {0}, place[OPERANDS];
        double sum = 0;
        uint64_t whole = 0;
        memcpy(place, at, sizeof at);
        do {
            RT_TRY(rt_eval_tick(call, (double)inner));
            if (x && last < 0) {
                double p = 1;
                for (int k = 0; k < q->operands; k++) p *= x[k][place[k]];
                sum += p;
            } else if (x) sum += line_of_doubles(q, x, place, last, inner);
            else whole += line_of_wholes(q, place, last, inner);
        } while (next(q, s.index, s.n ? s.n - 1 : 0, inside, place));
        if (x) rt_array_put(y, i, sum);
        else rt_array_put_int(y, i, (int64_t)whole);
        next(q, q->out, q->outs, count, at);
    }
    return RT_OK;
}

rt_status rt_eval_einsum(rt_eval_call *call)
{
    equation q = {.operands = call->inputs};
    const double *x[OPERANDS];
    const char *text = rt_eval_string(call, "equation", NULL);
    if (!text) return rt_fail(RT_INPUT, "equation is missing");
    if (q.operands > OPERANDS) return rt_fail(RT_INPUT, "%d inputs; up to %d are supported", q.operands, OPERANDS);
    for (int i = 0; i < INDICES; i++) q.size[i] = -1;
    for (int k = 0; k < q.operands; k++) {
        RT_TRY(rt_layer_in(call, k, RT_EVAL_NUMBERS, 0, RT_ARRAY_RANK, &q.in[k]));
        if (q.in[k]->type != q.in[0]->type) return rt_fail(RT_INPUT, "the inputs' types differ");
    }
    RT_TRY(parse(&q, text));
    int64_t dim[RT_ARRAY_RANK];
    for (int i = 0; i < q.outs; i++) dim[i] = q.size[q.out[i]];
    rt_array *y;
    RT_TRY(rt_eval_make(call, 0, q.in[0]->type, q.outs, dim, &y));
    int real = rt_array_is_float(y);
    for (int k = 0; real && k < q.operands; k++) RT_TRY(rt_layer_doubles(call, q.in[k], &x[k]));
    return sum_all(call, &q, real ? x : NULL, y);
}
