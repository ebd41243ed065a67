#include "engine/broadcast.h"

#include <string.h>

rt_status rt_broadcast(const rt_shape *a, const rt_shape *b, rt_shape *out)
{
    char ta[64], tb[64];
    *out = (rt_shape){.rank = a->rank > b->rank ? a->rank : b->rank};
    for (int i = 1; i <= out->rank; i++) {
        int p = i <= a->rank ? a->dim[a->rank - i] : 1, q = i <= b->rank ? b->dim[b->rank - i] : 1;
        if (p != q && p != 1 && q != 1)
            return rt_fail(RT_USAGE,
                           "inputs have shapes %s and %s, which do not broadcast: dimensions, from the last on, "
                           "must be equal or 1",
                           rt_shape_text(a, ta), rt_shape_text(b, tb));
        out->dim[out->rank - i] = p == 1 ? q : p;
    }
    return RT_OK;
}

rt_runs rt_runs_of(const rt_shape *out, const rt_shape *const *operand, int operands, int px, int rows, unsigned fields)
{
    rt_runs r = {.operands = operands};
    ptrdiff_t inner[RT_OPERANDS] = {1, 1, 1}; /* floats of an operand that lie within the dimensions so far */
    unsigned last = ~0u;
    int dims = px > 1 ? 1 : out->rank;
    for (int i = 1; i <= dims + 1; i++) {                   /* the rows come last */
        int whole = i > dims, n = whole ? rows : out->dim[out->rank - i];
        unsigned moves = 0;
        for (int k = 0; k < operands; k++) {
            const rt_shape *s = operand[k];
            if (whole ? !(fields >> k & 1) : i <= s->rank && s->dim[s->rank - i] > 1) moves |= 1u << k;
        }
        if (n > 1 && moves == last) r.count[r.runs - 1] *= (size_t)n;
        else if (n > 1) {
            last = moves;
            r.count[r.runs] = (size_t)n;
            for (int k = 0; k < operands; k++) r.stride[k][r.runs] = moves >> k & 1 ? inner[k] : 0;
            r.runs++;
        }
        for (int k = 0; k < operands && n > 1; k++) if (moves >> k & 1) inner[k] *= n;
    }
    if (!r.runs) r.count[r.runs++] = 1;
    return r;
}

void rt_runs_each(const rt_runs *r, int first, rt_runs_fn *fn, void *arg)
{
    size_t at[RT_MAX_RANK + 1] = {0}, out = 0, step = 1;
    ptrdiff_t place[RT_OPERANDS] = {0};
    for (int g = 0; g < first && g < r->runs; g++) step *= r->count[g];
    for (;;) {
        fn(arg, place, out);
        out += step;
        int g = first;
        for (; g < r->runs; g++) {
            for (int k = 0; k < r->operands; k++) place[k] += r->stride[k][g];
            if (++at[g] < r->count[g]) break;
            for (int k = 0; k < r->operands; k++) place[k] -= r->stride[k][g] * (ptrdiff_t)r->count[g];
            at[g] = 0;
        }
        if (g >= r->runs) return;
    }
}

/* ---- sums over what repeats ---- */

typedef struct { const rt_kernels *k; const rt_runs *r; float *dx; const float *g; int operand; } summing;

static void sum_one(void *arg, const ptrdiff_t *at, size_t out)
{
    const summing *s = arg;
    const rt_runs *r = s->r;
    const float *g = s->g + out;
    float *dx = s->dx + at[s->operand];
    size_t n = r->count[0], lines = r->runs > 1 ? r->count[1] : 1;
    int along = r->stride[s->operand][0] != 0, moves = r->runs > 1 && r->stride[s->operand][1] != 0;
    if (along && !moves && lines > 1) s->k->channel_sum(dx, g, lines, (int)n);
    else if (along) s->k->accumulate(dx, g, n * lines);
    else if (!moves) *dx += (float)s->k->fold_run(0, g, n * lines, RT_FOLD_SUM);
    else for (size_t l = 0; l < lines; l++, g += n) dx[l] += (float)s->k->fold_run(0, g, n, RT_FOLD_SUM);
}

void rt_runs_sum(const rt_kernels *k, const rt_runs *r, int operand, float *dx, const float *g, int accumulate)
{
    summing s = {k, r, dx, g, operand};
    size_t count = 1;
    for (int i = 0; i < r->runs; i++) if (r->stride[operand][i]) count *= r->count[i];
    if (!accumulate) memset(dx, 0, count * sizeof *dx);
    rt_runs_each(r, 2, sum_one, &s);
}
