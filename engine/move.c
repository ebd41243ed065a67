#include "engine/move.h"

#include <math.h>
#include <string.h>

enum { OUTSIDE = -1, NOWHERE = -2, BLOCK = 16 };

/* Which of the input's axis i is. */
static int source(const rt_move_axis *a, int i)
{
    int n = a->n, j = i - a->first, period = 2 * (n - 1);
    switch (a->kind) {
    case RT_MOVE_STEP: return a->first + i * a->step;
    case RT_MOVE_TILE: return i % n;
    case RT_MOVE_PICK: {
        float v = a->pick[i];
        if (!(v >= (float)-n && v < (float)n)) return NOWHERE;
        j = (int)v;
        return j < 0 ? j + n : j;
    }
    case RT_MOVE_PAD: break;
    }
    if (j >= 0 && j < n) return j;
    switch (a->mode) {
    case RT_PAD_EDGE: return j < 0 ? 0 : n - 1;
    case RT_PAD_WRAP: return j % n < 0 ? j % n + n : j % n;
    case RT_PAD_REFLECT:
        if (n == 1) return 0;
        j %= period;
        j = j < 0 ? -j : j;
        return j < n ? j : period - j;
    default: return OUTSIDE;
    }
}

/* Some of what a padded axis gives is the input itself. */
static int inside(const rt_move_axis *a)
{ return a->kind == RT_MOVE_PAD && a->first < a->count && a->first + a->n > 0; }

static int is_plain(const rt_move_axis *a) { return a->kind == RT_MOVE_STEP && a->step == 1 && a->first == 0; }

void rt_move_simplify(rt_move *m)
{
    int kept = 0;
    for (int i = 0; i < m->axes; i++) {
        rt_move_axis a = m->axis[i], *before = kept ? &m->axis[kept - 1] : NULL;
        if (a.kind == RT_MOVE_STEP && a.step == 1) {           /* where it begins is a matter of the base */
            m->base += a.first * a.stride;
            a.first = 0;
        }
        if (a.kind == RT_MOVE_STEP && a.count == 1) {
            m->base += a.first * a.stride;
            continue;
        }
        if (before && is_plain(before) && is_plain(&a) && before->stride == a.stride * a.count) {
            before->count *= a.count;
            before->stride = a.stride;
        } else m->axis[kept++] = a;
    }
    m->axes = kept;
    if (kept && is_plain(&m->axis[kept - 1]) && m->axis[kept - 1].stride == 1)
        m->run = (size_t)m->axis[--m->axes].count;
}

/* ---- out = in ---- */

static void fill(float *out, size_t n, float v) { for (size_t i = 0; i < n; i++) out[i] = v; }

/* Two axes of which the inner one goes far and the outer one to the neighbour: by blocks, so that lines stay cached. */
static void transpose(const rt_move_axis *a, const rt_move_axis *b, float *out, const float *in)
{
    ptrdiff_t far = b->step * b->stride;
    in += b->first * b->stride;
    for (int i0 = 0; i0 < a->count; i0 += BLOCK)
        for (int k0 = 0; k0 < b->count; k0 += BLOCK) {
            int i1 = i0 + BLOCK < a->count ? i0 + BLOCK : a->count, k1 = k0 + BLOCK < b->count ? k0 + BLOCK : b->count;
            for (int i = i0; i < i1; i++)
                for (int k = k0; k < k1; k++) out[(size_t)i * (size_t)b->count + (size_t)k] = in[i + k * far];
        }
}

static int is_transposed(const rt_move *m, int d)
{
    const rt_move_axis *a = &m->axis[d], *b = a + 1;
    return d + 2 == m->axes && m->run == 1 && is_plain(a) && a->stride == 1 && b->kind == RT_MOVE_STEP;
}

static float *forward(const rt_move *m, int d, float *out, const float *in);

/* Each index of an axis by its own. */
static void one_by_one(const rt_move *m, int d, int from, int to, float *out, const float *in, size_t behind)
{
    const rt_move_axis *a = &m->axis[d];
    for (int i = from; i < to; i++, out += behind) {
        int j = source(a, i);
        if (j >= 0) forward(m, d + 1, out, in + j * a->stride);
        else fill(out, behind, j == OUTSIDE ? m->value : NAN);
    }
}

/* Writes what axes from d on give; returns what is behind that. */
static float *forward(const rt_move *m, int d, float *out, const float *in)
{
    const rt_move_axis *a = &m->axis[d];
    if (d == m->axes) {
        memcpy(out, in, m->run * sizeof *out);
        return out + m->run;
    }
    if (is_transposed(m, d)) {
        transpose(a, a + 1, out, in);
        return out + (size_t)a->count * (size_t)a[1].count;
    }
    if (d + 1 == m->axes && m->run == 1 && a->kind == RT_MOVE_STEP) {
        ptrdiff_t step = a->step * a->stride;
        in += a->first * a->stride;
        if (!step) fill(out, (size_t)a->count, *in);
        else for (int i = 0; i < a->count; i++) out[i] = in[i * step];
        return out + a->count;
    }
    size_t behind = m->run, n = (size_t)a->n, count = (size_t)a->count;
    for (int i = d + 1; i < m->axes; i++) behind *= (size_t)m->axis[i].count;
    int together = d + 1 == m->axes && a->stride == (ptrdiff_t)m->run;       /* neighbours here are neighbours there */
    if (a->kind == RT_MOVE_TILE) {
        if (together) memcpy(out, in, n * behind * sizeof *out);
        else one_by_one(m, d, 0, a->n, out, in, behind);
        for (size_t i = n; i < count; i += n) memcpy(out + i * behind, out, n * behind * sizeof *out);
    } else if (together && inside(a)) {
        int low = a->first > 0 ? a->first : 0, high = a->first + a->n < a->count ? a->first + a->n : a->count;
        one_by_one(m, d, 0, low, out, in, behind);
        memcpy(out + (size_t)low * behind, in + (low - a->first) * a->stride,
               (size_t)(high - low) * behind * sizeof *out);
        one_by_one(m, d, high, a->count, out + (size_t)high * behind, in, behind);
    } else one_by_one(m, d, 0, a->count, out, in, behind);
    return out + count * behind;
}

void rt_move_forward(const rt_move *m, float *out, const float *in) { forward(m, 0, out, in + m->base); }

/* ---- din (+)= dout ---- */

typedef struct { const rt_move *m; const rt_kernels *k; int assign; } returning;

static const float *back(const returning *r, int d, float *din, const float *dout)
{
    const rt_move *m = r->m;
    const rt_move_axis *a = &m->axis[d];
    if (d == m->axes) {
        if (r->assign) memcpy(din, dout, m->run * sizeof *din);
        else r->k->accumulate(din, dout, m->run);
        return dout + m->run;
    }
    if (d + 1 == m->axes && m->run == 1 && a->kind == RT_MOVE_STEP) {
        ptrdiff_t step = a->step * a->stride;
        din += a->first * a->stride;
        if (!step) *din += (float)r->k->fold_run(0, dout, (size_t)a->count, RT_FOLD_SUM);
        else if (r->assign) for (int i = 0; i < a->count; i++) din[i * step] = dout[i];
        else for (int i = 0; i < a->count; i++) din[i * step] += dout[i];
        return dout + a->count;
    }
    size_t behind = m->run;
    for (int i = d + 1; i < m->axes; i++) behind *= (size_t)m->axis[i].count;
    int together = d + 1 == m->axes && a->stride == (ptrdiff_t)m->run, low = -1, high = -1;
    if (together && a->kind == RT_MOVE_PAD && inside(a)) {
        low = a->first > 0 ? a->first : 0;
        high = a->first + a->n < a->count ? a->first + a->n : a->count;
    }
    for (int i = 0; i < a->count;) {
        int j = source(a, i), n = 1;
        if (i == low) n = high - low;
        else if (together && a->kind == RT_MOVE_TILE) n = a->n;
        if (n > 1) r->k->accumulate(din + j * a->stride, dout, (size_t)n * behind);
        else if (j >= 0) back(r, d + 1, din + j * a->stride, dout);
        dout += (size_t)n * behind;
        i += n;
    }
    return dout;
}

void rt_move_back(const rt_move *m, const rt_kernels *k, float *din, const float *dout, int assign)
{
    returning r = {m, k, assign};
    back(&r, 0, din + m->base, dout);
}
