/* engine/int/int_link.c - a net for this machine's kernels: places for its tensors, packed weights, calls that are
 * ready.
 *
 * A context begins with its head and the calls, whose pointers lead into it; its tensors follow. A tensor that a
 * convolution reads with padding carries its border, which is filled once: so its place is shared only with tensors of
 * the same geometry and zero point. Other tensors share places by when they are alive. */
#include <stdlib.h>
#include <string.h>

#include "engine/int/net.h"

enum { ALIGN = 64, AT_ONCE = 16 };    /* rows of a net whose tensors have one pixel, which are the pixels of a line */

/* What a context begins with: rows that its calls are made for; whether weights are read from their end, in turns, so
 * that a row begins with what the one before it left in the cache. Calls follow. */
typedef struct { int rows, backward; } head;

typedef struct {
    rt_net_op op;
    int head;                        /* floats before its output; -1: gives a tensor */
    union {
        rt_int_conv conv;
        rt_int_pair pair;
        rt_int_pool pool;
        rt_int_map map;
        struct { rt_int_image x, y; } move;
        struct { rt_int_image x; rt_quant q; } floats;
    } u;
} ready;

typedef struct {
    int border[4];                   /* top, bottom, left, right */
    int first, last;                 /* calls between which it is alive */
    int place;
    size_t row, bytes, at;           /* of its memory in a context; pixel (0, 0) is behind the border */
} spot;

typedef struct { size_t bytes, at; int tensor, free_from; } place;      /* tensor: of whose geometry; -1: no border */

struct rt_linked {
    const rt_net *net;
    const rt_int_kernels *k;
    ready *call;                     /* pointers to tensors are offsets from the context's begin */
    int *gives;                      /* of each call: the tensor that it writes; -1: none, or a call before it does */
    spot *spot;
    float *m;
    int32_t *start;
    char *packed;
    size_t packed_bytes, bytes;
    int at_once, width, keep;
};

static size_t up(size_t n) { return (n + ALIGN - 1) & ~(size_t)(ALIGN - 1); }

/* Whether rows can be the pixels of a line: nothing in the net sees more than a pixel. */
static int is_flat(const rt_net *n)
{
    for (int t = 0; t < n->tensors; t++) if (n->tensor[t].h * n->tensor[t].w != 1) return 0;
    for (int i = 0; i < n->calls; i++) {
        const rt_net_call *c = &n->call[i];
        int ok = c->op == RT_NET_CONV && c->kh == 1 && c->kw == 1 && c->sh == 1 && c->sw == 1 &&
                 !(c->pad[0] + c->pad[1] + c->pad[2] + c->pad[3]);
        if (!ok && c->op != RT_NET_ADD && c->op != RT_NET_MUL && c->op != RT_NET_MAP) return 0;
    }
    return n->heads == 1;
}

/* The shape of a CONV; images lie at 0. */
static rt_int_conv conv_shape(const rt_linked *l, const rt_net_call *c)
{
    const rt_net_tensor *x = &l->net->tensor[c->in[0]];
    rt_int_conv a = {.x = {.px = x->c, .h = x->h, .w = x->w * l->at_once, .c = x->c},
                     .kh = c->kh,
                     .kw = c->kw,
                     .sh = c->sh,
                     .sw = c->sw,
                     .groups = c->groups,
                     .n = c->n};
    rt_net_window(c, x, &a.y.h, &a.y.w);
    a.y.w *= l->at_once;
    a.y.c = c->n;
    a.y.px = c->n;
    a.y.row = a.y.w * a.y.px;
    return a;
}

/* Whether c is the maximum of pixels side by side of what only it reads, which the convolution before it can give. */
static int joins(const rt_linked *l, const rt_net_call *c)
{
    const rt_net *n = l->net;
    const rt_net_call *conv = c - 1;
    if (l->keep || c == n->call || c->op != RT_NET_MAX_POOL || conv->op != RT_NET_CONV || conv->out != c->in[0] ||
        c->kh != 1 || c->kw != 2 || c->sh != 1 || c->sw != 2 || c->pad[0] + c->pad[1] + c->pad[2] + c->pad[3])
        return 0;
    for (const rt_net_call *o = n->call; o < n->call + n->calls; o++)
        for (int k = 0; k <= (o->op == RT_NET_ADD || o->op == RT_NET_MUL); k++)
            if (o != c && o->in[k] == conv->out) return 0;
    const rt_int_conv a = conv_shape(l, conv);
    return l->k->conv_pairs(&a);
}

static void find_outputs(rt_linked *l)
{
    for (int i = 0; i < l->net->calls; i++) {
        l->gives[i] = l->net->call[i].out;
        if (!joins(l, &l->net->call[i])) continue;
        l->gives[i - 1] = l->net->call[i].out;
        l->gives[i] = -1;
    }
}

static void find_spots(rt_linked *l)
{
    const rt_net *n = l->net;
    for (int t = 0; t < n->tensors; t++) l->spot[t].first = t ? n->calls : -1;
    for (int i = 0; i < n->calls; i++) {
        const rt_net_call *c = &n->call[i];
        for (int k = 0; k <= (c->op == RT_NET_ADD || c->op == RT_NET_MUL); k++) {
            spot *s = &l->spot[c->in[k]];
            s->last = i;
            for (int e = 0; e < 4 && c->op == RT_NET_CONV; e++)
                if (c->pad[e] > s->border[e]) s->border[e] = c->pad[e];
        }
        const int out = l->gives[i];
        if (out >= 0 && l->spot[out].first > i) l->spot[out].first = i;
        if (out >= 0 && l->spot[out].last < i) l->spot[out].last = i;
    }
    for (int t = 0; t < n->tensors; t++) {
        spot *s = &l->spot[t];
        const rt_net_tensor *q = &n->tensor[t];
        s->row = (size_t)(q->w + s->border[2] + s->border[3]) * (size_t)q->c * (size_t)l->at_once;
        s->bytes = s->row * (size_t)(q->h + s->border[0] + s->border[1]);
    }
}

static int has_border(const spot *s) { return s->border[0] + s->border[1] + s->border[2] + s->border[3] > 0; }

static int fits(const rt_linked *l, const place *p, int t)
{
    const spot *s = &l->spot[t];
    if (l->keep || p->free_from > s->first) return 0;
    if (p->tensor < 0 || !has_border(s)) return p->tensor < 0 && !has_border(s);
    const rt_net_tensor *a = &l->net->tensor[t], *b = &l->net->tensor[p->tensor];
    return a->h == b->h && a->w == b->w && a->c == b->c && a->q.zero == b->q.zero &&
           !memcmp(s->border, l->spot[p->tensor].border, sizeof s->border);
}

/* Places in the order in which tensors begin to live, the largest free one first. */
static rt_status find_places(rt_linked *l)
{
    const rt_net *n = l->net;
    int count = 0;
    place *p = calloc((size_t)n->tensors, sizeof *p);
    if (!p) return rt_fail(RT_RUN, "out of memory");
    for (int i = -1; i < n->calls; i++) {
        int t = i < 0 ? 0 : l->gives[i];
        if (t < 0 || l->spot[t].first != i) continue;
        int best = -1;
        for (int k = 0; k < count; k++)
            if (fits(l, &p[k], t) && (best < 0 || p[k].bytes > p[best].bytes)) best = k;
        if (best < 0) p[best = count++] = (place){.tensor = has_border(&l->spot[t]) ? t : -1};
        if (p[best].bytes < l->spot[t].bytes) p[best].bytes = l->spot[t].bytes;
        p[best].free_from = l->spot[t].last + 1;
        l->spot[t].place = best;
    }
    size_t at = ALIGN + up((size_t)n->calls * sizeof(ready));
    for (int k = 0; k < count; k++) {
        p[k].at = at;
        at += up(p[k].bytes);
    }
    l->bytes = at + ALIGN + RT_INT_SLACK;
    for (int t = 0; t < n->tensors; t++) l->spot[t].at = p[l->spot[t].place].at;
    free(p);
    return RT_OK;
}

/* Offsets in place of pointers, until a context begins. */
static rt_int_image image_of(const rt_linked *l, int t)
{
    const rt_net_tensor *q = &l->net->tensor[t];
    const spot *s = &l->spot[t];
    size_t at = s->at + (size_t)s->border[0] * s->row + (size_t)s->border[2] * (size_t)q->c;
    return (rt_int_image){(uint8_t *)at, q->c, (ptrdiff_t)s->row, q->h, q->w * l->at_once, q->c};
}

static rt_int_conv ready_conv(const rt_linked *l, const rt_net_call *c)
{
    const rt_net *n = l->net;
    rt_int_conv a = conv_shape(l, c);
    const int out = l->gives[c - n->call];
    a.x = image_of(l, c->in[0]);
    a.x.p -= c->pad[0] * a.x.row + c->pad[2] * a.x.px;
    a.w = n->weight + c->weight;
    a.bias = l->start + c->channel;
    a.m = l->m + c->channel;
    if (out < 0) return a;
    a.y = image_of(l, out);
    a.range = rt_int_range_of(n->tensor[c->out].q, c->act);
    a.pairs = out != c->out;
    return a;
}

static ready ready_of(const rt_linked *l, const rt_net_call *c)
{
    const rt_net_tensor *t = l->net->tensor;
    ready r = {.op = c->op, .head = -1};
    for (int h = 0, at = 0; c->out < 0 && h <= c->head; at += l->net->size[h++]) r.head = at;
    switch (c->op) {
    case RT_NET_CONV: r.u.conv = ready_conv(l, c); break;
    case RT_NET_ADD: case RT_NET_MUL:
        r.u.pair = (rt_int_pair){.a = image_of(l, c->in[0]), .b = image_of(l, c->in[1]), .y = image_of(l, c->out),
                                 .range = rt_int_range_of(t[c->out].q, c->act)};
        (c->op == RT_NET_ADD ? rt_int_add_factors : rt_int_mul_factors)(&r.u.pair, t[c->in[0]].q, t[c->in[1]].q,
                                                                        t[c->out].q);
        break;
    case RT_NET_MAX_POOL: case RT_NET_AVG_POOL:
        if (l->gives[c - l->net->call] < 0) {
            r.op = RT_NET_OPS;                           /* the call before it does it */
            break;
        }
        r.u.pool = (rt_int_pool){.x = image_of(l, c->in[0]),
                                 .y = image_of(l, c->out),
                                 .kh = c->kh,
                                 .kw = c->kw,
                                 .sh = c->sh,
                                 .sw = c->sw,
                                 .top = c->pad[0],
                                 .left = c->pad[2],
                                 .sx = t[c->in[0]].q.scale,
                                 .sy = t[c->out].q.scale,
                                 .zx = t[c->in[0]].q.zero,
                                 .range = rt_int_range_of(t[c->out].q, RT_ACT_NONE)};
        break;
    case RT_NET_MAP:
        r.u.map = (rt_int_map){image_of(l, c->in[0]), image_of(l, c->out), l->net->table[c->table]};
        r.u.map.y.p += c->at;
        r.u.map.y.c = r.u.map.x.c;
        break;
    case RT_NET_RESHAPE:
        r.u.move.x = image_of(l, c->in[0]);
        r.u.move.y = image_of(l, c->out);
        break;
    case RT_NET_FLOATS:
        r.u.floats.x = image_of(l, c->in[0]);
        r.u.floats.q = t[c->in[0]].q;
        break;
    case RT_NET_OPS: break;
    }
    return r;
}

rt_status rt_linked_refresh(rt_linked *l, int call)
{
    const rt_net *n = l->net;
    const rt_net_call *c = &n->call[call];
    const rt_net_tensor *x = &n->tensor[c->in[0]];
    rt_status st = rt_int_start(l->start + c->channel, n->bias + c->channel, x->q.zero, n->weight + c->weight,
                                c->kh * c->kw * (x->c / c->groups), c->n);
    if (st) return rt_fail_in(st, "call %d", call);
    for (size_t k = c->channel; k < c->channel + (size_t)c->n; k++)
        l->m[k] = c->out >= 0 ? rt_int_multiplier(x->q.scale, n->step[k], n->tensor[c->out].q.scale)
                              : x->q.scale * n->step[k];
    l->k->conv_pack(&l->call[call].u.conv, (void *)(uintptr_t)l->call[call].u.conv.packed);
    return RT_OK;
}

/* Room for packed weights, and those. */
static rt_status pack(rt_linked *l)
{
    const rt_net *n = l->net;
    size_t at = 0;
    for (int i = 0; i < n->calls; i++) {
        l->call[i] = ready_of(l, &n->call[i]);
        if (n->call[i].op == RT_NET_CONV) at += up(l->k->conv_bytes(&l->call[i].u.conv));
    }
    l->packed_bytes = at;
    l->packed = aligned_alloc(ALIGN, at + ALIGN);
    if (!l->packed) return rt_fail(RT_RUN, "out of memory for %zu bytes of packed weights", at);
    memset(l->packed, 0, at + ALIGN);
    at = 0;
    for (int i = 0; i < n->calls; i++) {
        if (n->call[i].op != RT_NET_CONV) continue;
        l->call[i].u.conv.packed = l->packed + at;
        at += up(l->k->conv_bytes(&l->call[i].u.conv));
        RT_TRY(rt_linked_refresh(l, i));
    }
    return RT_OK;
}

rt_status rt_linked_new(rt_linked **out, const rt_net *n, const rt_int_kernels *k, int keep)
{
    *out = NULL;
    rt_linked *l = calloc(1, sizeof *l);
    if (!l) return rt_fail(RT_RUN, "out of memory");
    l->net = n;
    l->k = k;
    l->keep = keep;
    l->at_once = is_flat(n) ? AT_ONCE : 1;
    for (int h = 0; h < n->heads; h++) l->width += n->size[h];
    l->call = calloc((size_t)n->calls, sizeof *l->call);
    l->gives = calloc((size_t)n->calls, sizeof *l->gives);
    l->spot = calloc((size_t)n->tensors, sizeof *l->spot);
    l->m = calloc(n->channels + 1, sizeof *l->m);
    l->start = calloc(n->channels + 1, sizeof *l->start);
    rt_status st = l->call && l->gives && l->spot && l->m && l->start ? RT_OK : rt_fail(RT_RUN, "out of memory");
    if (!st) {
        find_outputs(l);
        find_spots(l);
        st = find_places(l);
    }
    if (!st) st = pack(l);
    if (st) rt_linked_free(l);
    else *out = l;
    return st;
}

void rt_linked_free(rt_linked *l)
{
    if (!l) return;
    void *owned[] = {l->call, l->gives, l->spot, l->m, l->start, l->packed, l};
    for (size_t i = 0; i < sizeof owned / sizeof owned[0]; i++) free(owned[i]);
}

int rt_linked_rows(const rt_linked *l) { return l->at_once; }
size_t rt_linked_bytes(const rt_linked *l) { return l->bytes; }
size_t rt_linked_packed(const rt_linked *l) { return l->packed_bytes; }
int rt_linked_width(const rt_linked *l) { return l->width; }

/* The images of a call; its input first, its output last. */
static int images_of(ready *r, rt_int_image *to[3])
{
    switch (r->op) {
    case RT_NET_CONV: to[0] = &r->u.conv.x; to[1] = &r->u.conv.y; return 2;
    case RT_NET_ADD: case RT_NET_MUL: to[0] = &r->u.pair.a; to[1] = &r->u.pair.b; to[2] = &r->u.pair.y; return 3;
    case RT_NET_MAX_POOL: case RT_NET_AVG_POOL: to[0] = &r->u.pool.x; to[1] = &r->u.pool.y; return 2;
    case RT_NET_MAP: to[0] = &r->u.map.x; to[1] = &r->u.map.y; return 2;
    case RT_NET_RESHAPE: to[0] = &r->u.move.x; to[1] = &r->u.move.y; return 2;
    case RT_NET_FLOATS: to[0] = &r->u.floats.x; return 1;
    case RT_NET_OPS: break;
    }
    return 0;
}

static ready *calls_of(void *context) { return (ready *)(void *)((char *)context + ALIGN); }

void rt_linked_start(const rt_linked *l, void *context)
{
    const rt_net *n = l->net;
    memset(context, 0, l->bytes);
    ((head *)context)->rows = l->at_once;
    ready *call = memcpy(calls_of(context), l->call, (size_t)n->calls * sizeof *call);
    for (int t = 0; t < n->tensors; t++)
        if (has_border(&l->spot[t])) memset((char *)context + l->spot[t].at, n->tensor[t].q.zero, l->spot[t].bytes);
    for (int i = 0; i < n->calls; i++) {
        rt_int_image *image[3];
        for (int k = images_of(&call[i], image) - 1; k >= 0; k--)
            image[k]->p = (uint8_t *)context + (size_t)image[k]->p;
    }
}

rt_int_image rt_linked_tensor(const rt_linked *l, void *context, int t)
{
    rt_int_image m = image_of(l, t);
    m.p = (uint8_t *)context + (size_t)m.p;
    m.w /= l->at_once;
    return m;
}

/* Bytes in order, over rows of different lengths. */
static void reshape(const rt_int_image *y, const rt_int_image *x)
{
    size_t from = (size_t)x->w * (size_t)x->c, to = (size_t)y->w * (size_t)y->c, count = from * (size_t)x->h;
    for (size_t e = 0; e < count;) {
        size_t i = e % from, j = e % to, n = from - i < to - j ? from - i : to - j;
        memcpy(y->p + (ptrdiff_t)(e / to) * y->row + j, x->p + (ptrdiff_t)(e / from) * x->row + i, n);
        e += n;
    }
}

static void floats(float *y, const rt_int_image *x, rt_quant q)
{
    for (int i = 0; i < x->h; i++)
        for (int j = 0; j < x->w * x->c; j++) *y++ = q.scale * (float)(x->p[i * x->row + j] - q.zero);
}

static void run(const rt_int_kernels *k, ready *r, float *y, int backward)
{
    switch (r->op) {
    case RT_NET_CONV:
        r->u.conv.backward = backward;
        if (r->head >= 0) r->u.conv.logits = y + r->head;
        k->conv(&r->u.conv);
        break;
    case RT_NET_ADD: k->add(&r->u.pair); break;
    case RT_NET_MUL: k->mul(&r->u.pair); break;
    case RT_NET_MAX_POOL: k->max_pool(&r->u.pool); break;
    case RT_NET_AVG_POOL: k->avg_pool(&r->u.pool); break;
    case RT_NET_MAP: k->map(&r->u.map); break;
    case RT_NET_RESHAPE: reshape(&r->u.move.y, &r->u.move.x); break;
    case RT_NET_FLOATS: floats(y + r->head, &r->u.floats.x, r->u.floats.q); break;
    case RT_NET_OPS: break;
    }
}

/* So many rows, side by side, in the calls of a flat net; they stay until there are others. */
static void set_rows(const rt_linked *l, void *context, int rows)
{
    ready *call = calls_of(context);
    if (((head *)context)->rows == rows) return;
    ((head *)context)->rows = rows;
    for (int i = 0; i < l->net->calls; i++) {
        rt_int_image *image[3];
        for (int k = images_of(&call[i], image) - 1; k >= 0; k--) image[k]->w = rows;
    }
}

static void read_input(const rt_linked *l, const rt_int_image *in, const void *x, int rows)
{
    const rt_quant *q = &l->net->tensor[0].q;
    size_t n = (size_t)(l->at_once > 1 ? rows : in->w) * (size_t)in->c;
    for (int i = 0; i < in->h; i++)
        if (l->net->floats) l->k->quantize(in->p + i * in->row, (const float *)x + (size_t)i * n, n, q->scale, q->zero);
        else memcpy(in->p + i * in->row, (const uint8_t *)x + (size_t)i * n, n);
}

void rt_linked_infer(const rt_linked *l, void *context, float *y, const void *x, int rows)
{
    const rt_net *n = l->net;
    ready *call = calls_of(context);
    rt_int_image in = image_of(l, 0);
    in.p = (uint8_t *)context + (size_t)in.p;
    size_t row = (size_t)n->tensor[0].h * (size_t)n->tensor[0].w * (size_t)in.c * (n->floats ? sizeof(float) : 1);
    for (int r = 0, take; r < rows; r += take) {
        take = rows - r < l->at_once ? rows - r : l->at_once;
        read_input(l, &in, (const char *)x + (size_t)r * row, take);
        if (l->at_once > 1) set_rows(l, context, take);
        const int backward = ((head *)context)->backward ^= 1;
        for (int i = 0; i < n->calls; i++) run(l->k, &call[i], y + (ptrdiff_t)r * l->width, backward);
    }
}
