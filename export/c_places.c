/* export/c_places.c - where the tensors of an exported program lie, and the numbers of its calls. */
#include <stdlib.h>
#include <string.h>

#include "export/c_parts.h"

int rt_c_depthwise(const rt_net *n, const rt_net_call *c)
{
    return c->op == RT_NET_CONV && c->out >= 0 && c->groups > 1 && c->groups == c->n &&
           c->n == n->tensor[c->in[0]].c;
}

int rt_c_few(const rt_net *n, const rt_net_call *c)
{
    if (c->op != RT_NET_CONV || rt_c_depthwise(n, c) || c->groups > 1) return 0;
    rt_c_sides side = rt_c_sides_of(n, c);
    return side.oh * side.ow >= RT_C_WIDTH && c->kh * c->kw * n->tensor[c->in[0]].c <= RT_C_FEW;
}

static int up(int n, int to) { return (n + to - 1) / to * to; }

rt_c_runs rt_c_runs_of(const rt_net *n, const rt_net_call *c)
{
    int cg = n->tensor[c->in[0]].c / c->groups;
    rt_c_runs r = {.runs = c->groups == 1 ? 1 : c->kw, .run = c->groups == 1 ? c->kw * cg : cg};
    r.four = up(r.run, 4);
    r.column = c->kh * c->kw * cg;
    if (!rt_c_few(n, c)) r.column = up(r.column, RT_C_COLUMN);
    else r.column = r.column <= RT_C_FEW / 3 ? RT_C_FEW / 3 : RT_C_FEW;
    return r;
}

rt_c_sides rt_c_sides_of(const rt_net *n, const rt_net_call *c)
{
    const rt_net_tensor *x = &n->tensor[c->in[0]];
    rt_c_sides s = {.h = x->h, .w = x->w};
    rt_net_window(c, x, &s.oh, &s.ow);
    int single = c->kh * c->kw * c->sh * c->sw == 1 && !(c->pad[0] + c->pad[1] + c->pad[2] + c->pad[3]);
    if (single && s.w < RT_C_WIDTH && !rt_c_depthwise(n, c)) s = (rt_c_sides){1, s.h * s.w, 1, s.oh * s.ow};
    return s;
}

float rt_c_multiplier(const rt_net *n, const rt_net_call *c, int channel)
{
    float sx = n->tensor[c->in[0]].q.scale, sw = n->step[c->channel + (size_t)channel];
    return c->out >= 0 ? rt_int_multiplier(sx, sw, n->tensor[c->out].q.scale) : sx * sw;
}

/* Least and greatest number of taps inside, along one side. */
static void taps(int x, int k, int s, int before, int outputs, int *least, int *most)
{
    *least = k;
    *most = 0;
    for (int i = 0; i < outputs; i++) {
        int first = i * s - before, end = first + k;
        int inside = (end < x ? end : x) - (first > 0 ? first : 0);
        if (inside < *least) *least = inside;
        if (inside > *most) *most = inside;
    }
}

rt_c_windows rt_c_windows_of(const rt_net *n, const rt_net_call *c)
{
    const rt_net_tensor *x = &n->tensor[c->in[0]], *y = &n->tensor[c->out];
    rt_c_windows w;
    int rows, columns;
    taps(x->h, c->kh, c->sh, c->pad[0], y->h, &w.rows, &rows);
    taps(x->w, c->kw, c->sw, c->pad[2], y->w, &w.columns, &columns);
    w.row_choices = rows - w.rows + 1;
    w.choices = columns - w.columns + 1;
    return w;
}

typedef struct { int tensor, first, last; size_t bytes, at; } span;

static int by_size(const void *a, const void *b)
{
    const span *x = a, *y = b;
    if (x->bytes != y->bytes) return x->bytes < y->bytes ? 1 : -1;
    return x->tensor - y->tensor;
}

/* Whose bytes they are, and from which call to which they are needed. */
static void find_spans(const rt_c_net *e, span *s)
{
    const rt_net *n = e->n;
    for (int t = 0; t < n->tensors; t++) {
        e->root[t] = t;
        s[t] = (span){t, t ? n->calls : -1, -1,
                      (size_t)n->tensor[t].h * (size_t)n->tensor[t].w * (size_t)n->tensor[t].c, 0};
    }
    for (int i = 0; i < n->calls; i++) {
        const rt_net_call *c = &n->call[i];
        for (int k = 0; k <= (c->op == RT_NET_ADD || c->op == RT_NET_MUL); k++) s[e->root[c->in[k]]].last = i;
        if (c->out < 0) continue;
        if (c->op == RT_NET_RESHAPE) {
            e->root[c->out] = e->root[c->in[0]];
            continue;
        }
        span *o = &s[c->out];
        if (o->first > i) o->first = i;
        if (o->last < i) o->last = i;
    }
}

/* Large ones first, each at the lowest place that is free while it lives. */
static void find_places(rt_c_net *e, span *s, int count)
{
    qsort(s, (size_t)count, sizeof *s, by_size);
    for (int i = 0; i < count; i++) {
        int moved = 1;
        while (moved) {
            moved = 0;
            for (int k = 0; k < i; k++)
                if (s[k].first <= s[i].last && s[i].first <= s[k].last && s[k].at < s[i].at + s[i].bytes &&
                    s[i].at < s[k].at + s[k].bytes) {
                    s[i].at = (s[k].at + s[k].bytes + 15) & ~(size_t)15;
                    moved = 1;
                }
        }
        e->at[s[i].tensor] = s[i].at;
        if (s[i].at + s[i].bytes > e->bytes) e->bytes = s[i].at + s[i].bytes;
    }
}

static void find_cells(rt_c_net *e)
{
    const rt_net *n = e->n;
    for (const rt_net_call *c = n->call; c < n->call + n->calls; c++) {
        if (c->op != RT_NET_CONV) continue;
        const rt_net_tensor *x = &n->tensor[c->in[0]];
        rt_c_runs r = rt_c_runs_of(n, c);
        size_t lines = (size_t)c->kh * ((size_t)(rt_c_sides_of(n, c).w + c->pad[2] + c->pad[3]) * (size_t)x->c + 16);
        if (rt_c_few(n, c)) {
            size_t few = lines + (size_t)r.column * RT_C_WIDTH;
            if (few > e->few) e->few = few;
        } else if (!rt_c_depthwise(n, c) && 4 * (size_t)r.column > e->column) e->column = 4 * (size_t)r.column;
        if (lines > e->lines) e->lines = lines;
        if (c->kh > e->rows) e->rows = c->kh;
    }
}

rt_status rt_c_place(rt_c_net *e)
{
    const int tensors = e->n->tensors;
    span *s = calloc((size_t)tensors, sizeof *s);
    e->root = calloc((size_t)tensors, sizeof *e->root);
    e->at = calloc((size_t)tensors, sizeof *e->at);
    if (!s || !e->root || !e->at) {
        free(s);
        return rt_fail(RT_RUN, "out of memory");
    }
    find_spans(e, s);
    int count = 0;
    for (int t = 0; t < tensors; t++)
        if (e->root[t] == t && (t || e->n->floats) && s[t].last >= s[t].first) s[count++] = s[t];
    find_places(e, s, count);
    find_cells(e);
    free(s);
    return RT_OK;
}
