/* student/program_file.c - programs as files. A call's weights, steps and biases follow those of the call before it, so
 * the file holds no offsets. */
#include <stdlib.h>
#include <string.h>

#include "data/files.h"
#include "student/program_parts.h"

static const char magic[8] = "retort-q";
enum { VERSION = 1, DIGEST_AT = 24, DIGEST = 32, HEADER = 64, CALL_WORDS = 20, PROGRAM_MOST = 1 << 30 };

/* ---- writing ---- */

typedef struct { uint8_t *p; size_t n, room; int failed; } out_bytes;

static void put(out_bytes *o, const void *from, size_t n)
{
    if (o->n + n > o->room && !o->failed) {
        size_t room = 2 * (o->n + n);
        uint8_t *more = realloc(o->p, room);
        if (more) o->p = more, o->room = room;
        else o->failed = 1;
    }
    if (o->failed || !n) return;
    memcpy(o->p + o->n, from, n);
    o->n += n;
}

static void put_u64(out_bytes *o, uint64_t v)
{
    uint8_t b[8];
    for (int i = 0; i < 8; i++) b[i] = (uint8_t)(v >> 8 * i);
    put(o, b, 8);
}

static void put_i32(out_bytes *o, int32_t v)
{
    uint8_t b[4];
    for (int i = 0; i < 4; i++) b[i] = (uint8_t)((uint32_t)v >> 8 * i);
    put(o, b, 4);
}

static void put_f32(out_bytes *o, float v)
{
    int32_t i;
    memcpy(&i, &v, 4);
    put_i32(o, i);
}

static size_t weights_of(const rt_net *n, const rt_net_call *c)
{ return (size_t)c->kh * (size_t)c->kw * (size_t)(n->tensor[c->in[0]].c / c->groups) * (size_t)c->n; }

static void put_weights(out_bytes *o, const int8_t *w, size_t n, int bits)
{
    if (bits > 4) {
        put(o, w, n);
        return;
    }
    for (size_t i = 0; i < n; i += 2) {
        uint8_t two = (uint8_t)((w[i] & 15) | (i + 1 < n ? (w[i + 1] & 15) << 4 : 0));
        put(o, &two, 1);
    }
}

static void put_net(out_bytes *o, const rt_net *n)
{
    const int32_t counts[] = {n->tensors, n->calls, n->floats, n->heads, n->tables};
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) put_i32(o, counts[i]);
    for (int h = 0; h < n->heads; h++) put_i32(o, n->size[h]);
    for (const rt_net_tensor *t = n->tensor; t < n->tensor + n->tensors; t++) {
        const int32_t shape[] = {t->h, t->w, t->c, t->q.zero};
        for (int i = 0; i < 4; i++) put_i32(o, shape[i]);
        put_f32(o, t->q.scale);
    }
    for (const rt_net_call *c = n->call; c < n->call + n->calls; c++) {
        const int32_t word[CALL_WORDS] = {(int32_t)c->op, c->in[0],        c->in[1],  c->out,    c->head,
                                          c->kh,          c->kw,           c->sh,     c->sw,     c->pad[0],
                                          c->pad[1],      c->pad[2],       c->pad[3], c->groups, c->n,
                                          c->bits,        (int32_t)c->act, c->at,     c->table,  0};
        for (int i = 0; i < CALL_WORDS; i++) put_i32(o, word[i]);
    }
    put(o, n->table, (size_t)n->tables * 256);
    for (const rt_net_call *c = n->call; c < n->call + n->calls; c++) {
        if (c->op != RT_NET_CONV) continue;
        for (int k = 0; k < c->n; k++) put_f32(o, n->step[c->channel + (size_t)k]);
        for (int k = 0; k < c->n; k++) put_i32(o, n->bias[c->channel + (size_t)k]);
        put_weights(o, n->weight + c->weight, weights_of(n, c), c->bits);
    }
}

rt_status rt_program_write(const rt_program *p, uint8_t **bytes, size_t *n)
{
    out_bytes o = {0};
    char *text = rt_json_text(p->about, 0);
    *bytes = NULL;
    if (text) {
        put(&o, magic, sizeof magic);
        put_i32(&o, VERSION);
        put_i32(&o, RT_INT_CONTRACT);
        put_u64(&o, 0);
        put(&o, (const uint8_t[DIGEST]){0}, DIGEST);
        put_u64(&o, strlen(text));
        put(&o, text, strlen(text));
        put_net(&o, &p->net);
    }
    free(text);
    if (!text || o.failed) {
        free(o.p);
        return rt_fail(RT_RUN, "out of memory");
    }
    for (int i = 0; i < 8; i++) o.p[16 + i] = (uint8_t)((uint64_t)o.n >> 8 * i);
    rt_digest d = rt_digest_of(o.p, o.n);
    memcpy(o.p + DIGEST_AT, d.hex, DIGEST);
    *bytes = o.p;
    *n = o.n;
    return RT_OK;
}

size_t rt_program_size(const rt_program *p)
{
    uint8_t *bytes;
    size_t n;
    if (rt_program_write(p, &bytes, &n)) return 0;
    free(bytes);
    return n;
}

rt_status rt_program_save(const rt_program *p, const char *path)
{
    uint8_t *bytes;
    size_t n;
    RT_TRY(rt_program_write(p, &bytes, &n));
    rt_status st = rt_write_file(path, bytes, n);
    free(bytes);
    return st;
}

/* ---- reading: every count is checked against the bytes that are left before memory is taken ---- */

typedef struct { const uint8_t *p; size_t left; int short_of; } in_bytes;

static const uint8_t *get(in_bytes *i, size_t n)
{
    if (n > i->left) {
        i->short_of = 1;
        return NULL;
    }
    const uint8_t *at = i->p;
    i->p += n;
    i->left -= n;
    return at;
}

static uint64_t get_u64(in_bytes *i)
{
    const uint8_t *b = get(i, 8);
    uint64_t v = 0;
    for (int k = 0; b && k < 8; k++) v |= (uint64_t)b[k] << 8 * k;
    return v;
}

static int32_t get_i32(in_bytes *i)
{
    const uint8_t *b = get(i, 4);
    return b ? (int32_t)((uint32_t)b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24) : 0;
}

static float get_f32(in_bytes *i)
{
    int32_t v = get_i32(i);
    float f;
    memcpy(&f, &v, 4);
    return f;
}

/* n things of which each takes `each` bytes of the file. */
static void *room_for(in_bytes *i, int64_t n, size_t each, size_t size)
{
    if (n < 0 || (uint64_t)n > i->left / each) {
        i->short_of = 1;
        return NULL;
    }
    return calloc((size_t)n + 1, size);
}

static void get_calls(in_bytes *i, rt_net *n)
{
    for (rt_net_call *c = n->call; c < n->call + n->calls; c++) {
        int32_t w[CALL_WORDS];
        for (int k = 0; k < CALL_WORDS; k++) w[k] = get_i32(i);
        *c = (rt_net_call){.op = (rt_net_op)w[0], .in = {w[1], w[2]}, .out = w[3], .head = w[4], .kh = w[5], .kw = w[6],
                           .sh = w[7], .sw = w[8], .pad = {w[9], w[10], w[11], w[12]}, .groups = w[13], .n = w[14],
                           .bits = w[15], .act = (rt_act)w[16], .at = w[17], .table = w[18]};
        if (w[19]) i->short_of = 1;
    }
}

/* Bytes that a convolution takes in the file; -1 when it can be none. */
static int64_t conv_bytes(const rt_net *n, const rt_net_call *c, size_t *weights)
{
    if (c->in[0] < 0 || c->in[0] >= n->tensors || c->groups < 1 || c->n < 1 || c->kh < 1 || c->kw < 1) return -1;
    double count = (double)c->kh * c->kw * (n->tensor[c->in[0]].c / c->groups) * c->n;
    if (!(count >= 0 && count < PROGRAM_MOST)) return -1;
    *weights = (size_t)count;
    return (int64_t)c->n * 8 + (int64_t)(c->bits > 4 ? *weights : (*weights + 1) / 2);
}

static void get_weights(in_bytes *i, int8_t *w, size_t n, int bits)
{
    const uint8_t *b = get(i, bits > 4 ? n : (n + 1) / 2);
    if (!b) return;
    if (bits > 4) memcpy(w, b, n);
    else
        for (size_t k = 0; k < n; k++) {
            int v = b[k / 2] >> (k % 2 ? 4 : 0) & 15;
            w[k] = (int8_t)(v > 7 ? v - 16 : v);
        }
}

/* Where each call's weights and channels begin, and room for all. */
static rt_status take_weights(in_bytes *i, rt_net *n)
{
    int64_t total = 0;
    for (rt_net_call *c = n->call; c < n->call + n->calls; c++) {
        size_t weights;
        if (c->op != RT_NET_CONV) continue;
        int64_t bytes = conv_bytes(n, c, &weights);
        if (bytes < 0 || (total += bytes) > (int64_t)i->left) return RT_INPUT;
        c->weight = n->weights;
        c->channel = n->channels;
        n->weights += weights;
        n->channels += (size_t)c->n;
    }
    n->weight = malloc(n->weights + 1);
    n->step = malloc((n->channels + 1) * sizeof *n->step);
    n->bias = malloc((n->channels + 1) * sizeof *n->bias);
    return n->weight && n->step && n->bias ? RT_OK : RT_RUN;
}

static rt_status get_net(in_bytes *i, rt_net *n)
{
    n->tensors = get_i32(i);
    n->calls = get_i32(i);
    n->floats = get_i32(i);
    n->heads = get_i32(i);
    n->tables = get_i32(i);
    if (n->heads < 1 || n->heads > RT_NET_HEADS || n->tensors > RT_NET_MOST || n->calls > RT_NET_MOST ||
        (n->floats != 0 && n->floats != 1)) return RT_INPUT;
    for (int h = 0; h < n->heads; h++) n->size[h] = get_i32(i);
    n->tensor = room_for(i, n->tensors, 20, sizeof *n->tensor);
    for (int t = 0; t < n->tensors && n->tensor; t++) {
        rt_net_tensor *q = &n->tensor[t];
        q->h = get_i32(i);
        q->w = get_i32(i);
        q->c = get_i32(i);
        q->q.zero = get_i32(i);
        q->q.scale = get_f32(i);
    }
    n->call = room_for(i, n->calls, CALL_WORDS * 4, sizeof *n->call);
    if (n->call) get_calls(i, n);
    n->table = room_for(i, n->tables, 256, 256);
    if (i->short_of) return RT_INPUT;
    if (!n->tensor || !n->call || !n->table) return RT_RUN;
    const uint8_t *tables = get(i, (size_t)n->tables * 256);
    if (tables) memcpy(n->table, tables, (size_t)n->tables * 256);
    RT_TRY(take_weights(i, n));
    for (const rt_net_call *c = n->call; c < n->call + n->calls; c++) {
        size_t weights;
        if (c->op != RT_NET_CONV || conv_bytes(n, c, &weights) < 0) continue;
        for (int k = 0; k < c->n; k++) n->step[c->channel + (size_t)k] = get_f32(i);
        for (int k = 0; k < c->n; k++) n->bias[c->channel + (size_t)k] = get_i32(i);
        get_weights(i, n->weight + c->weight, weights, c->bits);
    }
    return i->short_of || i->left ? RT_INPUT : RT_OK;
}

static rt_status check_header(const uint8_t *bytes, size_t n, const char *of)
{
    in_bytes i = {bytes, n, 0};
    const uint8_t *m = get(&i, sizeof magic);
    if (!m || memcmp(m, magic, sizeof magic)) return rt_fail(RT_INPUT, "%s: is no integer program of retort", of);
    int version = get_i32(&i), contract = get_i32(&i);
    if (n < HEADER || version != VERSION)
        return rt_fail(RT_INPUT,
                       "%s: is an integer program of format %d; this version reads %d: write it again from its "
                       "model",
                       of, version, VERSION);
    if (contract != RT_INT_CONTRACT)
        return rt_fail(RT_INPUT,
                       "%s: computes by version %d of the integer contract; this version has %d: write it again "
                       "from its model",
                       of, contract, RT_INT_CONTRACT);
    rt_hasher *h = rt_hasher_new();
    const uint8_t zeros[DIGEST] = {0};
    rt_hasher_add(h, bytes, DIGEST_AT);
    rt_hasher_add(h, zeros, DIGEST);
    rt_hasher_add(h, bytes + DIGEST_AT + DIGEST, n - DIGEST_AT - DIGEST);
    rt_digest d = rt_hasher_end(h);
    if (get_u64(&i) != n || memcmp(d.hex, bytes + DIGEST_AT, DIGEST))
        return rt_fail(RT_INPUT, "%s: does not match its digest; the file is damaged or was cut", of);
    return RT_OK;
}

static rt_status get_about(in_bytes *i, rt_program *p, const char *of)
{
    uint64_t length = get_u64(i);
    const uint8_t *text = length <= RT_JSON_MAX_BYTES ? get(i, (size_t)length) : NULL;
    if (!text) return rt_fail(RT_INPUT, "%s: its text is cut", of);
    RT_TRY(rt_json_parse(&p->about, (const char *)text, (size_t)length, of));
    return rt_heads_from_json(p->head, &p->heads, cJSON_GetObjectItemCaseSensitive(p->about, "heads"), of, "heads");
}

rt_status rt_program_read(rt_program **out, const void *bytes, size_t n, const char *of)
{
    *out = NULL;
    RT_TRY(check_header(bytes, n, of));
    rt_program *p = calloc(1, sizeof *p);
    if (!p) return rt_fail(RT_RUN, "out of memory");
    in_bytes i = {(const uint8_t *)bytes + HEADER - 8, n - HEADER + 8, 0};
    rt_status st = get_about(&i, p, of);
    if (!st) {
        st = get_net(&i, &p->net);
        if (st) st = rt_fail(st, st == RT_RUN ? "out of memory for %s" : "%s: its net does not fit its length", of);
    }
    if (!st) {
        st = rt_program_finish(p);
        if (st) st = rt_fail_in(st == RT_USAGE ? RT_INPUT : st, "%s", of);
    }
    int same = p->heads == p->net.heads;
    for (int h = 0; h < p->heads && same; h++) same = p->head[h].size == p->net.size[h];
    if (!st && !same) st = rt_fail(RT_INPUT, "%s: its heads are not those of its net", of);
    if (st) rt_program_free(p);
    else *out = p;
    return st;
}

rt_status rt_program_load(rt_program **out, const char *path)
{
    char *bytes;
    size_t n;
    *out = NULL;
    RT_TRY(rt_read_file(&bytes, &n, path, PROGRAM_MOST));
    rt_status st = rt_program_read(out, bytes, n, path);
    free(bytes);
    return st;
}
