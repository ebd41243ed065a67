#include "student/predictor.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "student/ensemble.h"
#include "student/lengths.h"

enum { TILE = 16 /* rows of a program that a thread takes at once */, WINDOW = 512 /* that are sorted by length */ };

/* How a model answers: a float model by a session, a quantized one by its integer program. */
typedef struct {
    rt_session *session;
    rt_lengths *lengths;               /* plans for shorter rows; NULL: of a program, or beside features */
    char *raw;                         /* (micro, row bytes) raw rows of one length */
    size_t raw_bytes;                  /* that there is room for */
    int32_t *id;                       /* of one row */
    int *take, *at;                    /* (WINDOW) the plan of each row; (micro) which rows are in hand */
    rt_program *program;
    char *context;                     /* one for each thread, `stride` bytes apart */
    size_t stride;
    rt_row_desc rows[RT_MAX_INPUTS];
    float *x;                          /* (threads, TILE, input) a view's rows */
    uint8_t *bytes;                    /* the same as a program of bytes takes them */
} engine;

struct rt_predictor {
    rt_model *const *model;
    rt_device *device;
    int count, micro;
    engine *engine;
    rt_head head[RT_MAX_HEADS];        /* that answers are given for */
    int heads, width;
    int **place;                       /* of a model: where in the answer each element of its own stands; NULL: there */
    int own;                           /* elements of a model's own answer */
    float *z;                          /* (micro, own) of the model in hand */
    float *turned;                     /* (micro, width) the same in its place */
    float *sorted;                     /* (micro, width) of a member of an ensemble whose rows took plans by length */
    float *sum, *rest;                 /* (micro, width) of an ensemble: p or values; 1 - p of labels */
    rt_feed feed;                      /* of the micro-batch in hand */
    int at;                            /* model in hand */
};

/* ---- integer programs ---- */

static rt_status begin_program(rt_predictor *p, engine *e, const rt_model *m)
{
    RT_TRY(rt_program_of(&e->program, m));
    size_t threads = (size_t)rt_device_threads(p->device), n = m->input[0].size * TILE * threads;
    e->stride = (rt_program_bytes(e->program) + 63) & ~(size_t)63;
    e->context = aligned_alloc(64, e->stride * threads);
    e->x = rt_floats_new(n);
    if (rt_program_takes(e->program)) e->bytes = malloc(n);
    if (!e->context || !e->x || (rt_program_takes(e->program) && !e->bytes))
        return rt_fail(RT_RUN, "out of memory for the contexts of an integer program");
    for (size_t t = 0; t < threads; t++) rt_program_start(e->program, e->context + t * e->stride);
    return RT_OK;
}

static void end_engine(engine *e)
{
    rt_lengths_free(e->lengths);
    rt_session_free(e->session);
    rt_program_free(e->program);
    void *owned[] = {e->context, e->x, e->bytes, e->raw, e->id, e->take, e->at};
    for (size_t i = 0; i < sizeof owned / sizeof owned[0]; i++) free(owned[i]);
}

/* The bytes that rows were before they were normalised; what lies between two is rounded, what lies outside cut. */
static void to_bytes(const rt_row_desc *in, uint8_t *u, const float *x, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        size_t c = in->channels == 1 ? 0 : i % (size_t)in->channels;
        double v = rint((double)x[i] / (double)in->mul[c] - (double)in->add[c]);
        u[i] = v > 0 ? (uint8_t)(v < 255 ? v : 255) : 0;
    }
}

static void copy_bytes(const rt_row_desc *in, uint8_t *u, const char *raw, int rows)
{
    for (int r = 0; r < rows; r++, raw += in->bytes) {
        const char *from = raw + in->at;
        if (!in->pick) memcpy(u + (size_t)r * in->size, from, in->size);
        for (size_t i = 0; i < in->size && in->pick; i++) u[(size_t)r * in->size + i] = (uint8_t)from[in->pick[i]];
    }
}

/* Rows of a micro-batch, for the model in hand. */
static void run_tile(void *arg, int tile, int thread)
{
    rt_predictor *p = arg;
    engine *e = &p->engine[p->at];
    const rt_row_desc *in = &e->rows[0];
    const rt_feed *f = &p->feed;
    int row0 = tile * TILE, rows = f->rows - row0 < TILE ? f->rows - row0 : TILE;
    size_t room = in->size * TILE * (size_t)thread;
    const char *raw = (const char *)f->raw + (size_t)(f->first + row0) * in->bytes;
    float *x = e->x + room;
    const void *from = x;
    if (e->bytes) from = e->bytes + room;
    if (e->bytes && in->type == RT_U8 && !f->view && !f->partner && !in->resize.from_h) {
        if (!in->pick && in->bytes == in->size) from = raw;
        else copy_bytes(in, e->bytes + room, raw, rows);
    } else {
        rt_rows_fill(in, f, x, row0, rows);
        if (e->bytes) to_bytes(in, e->bytes + room, x, in->size * (size_t)rows);
    }
    rt_program_infer(e->program, e->context + e->stride * (size_t)thread, p->z + (size_t)row0 * (size_t)p->own, from,
                     rows);
}

/* ---- */

static const char *name_of(const rt_model *m) { return m->head[0].names.of ? m->head[0].names.of : "the model"; }

static rt_status begin_engine(rt_predictor *p, int i, const int *features, int feature_count)
{
    const rt_model *m = p->model[i];
    if (rt_model_quantized(m)) {
        if (feature_count)
            return rt_fail(RT_USAGE, "%s: is quantized, and its integer program keeps no features of layers; take its "
                           "float model", name_of(m));
        if (!rt_device_is_cpu(p->device))
            return rt_fail(RT_USAGE, "%s: is quantized, and %s has no quantized kernels: use --device cpu, or its "
                           "float model", name_of(m), rt_device_name(p->device));
        return begin_program(p, &p->engine[i], m);
    }
    rt_session_spec spec = {.graph = m->graph, .batch = p->micro, .rows = p->engine[i].rows, .params = m->params,
                            .states = m->states};
    rt_model_outputs(m, spec.output);
    spec.outputs = m->heads;
    for (int f = 0; f < feature_count; f++) spec.output[spec.outputs++] = features[f];
    engine *e = &p->engine[i];
    RT_TRY(rt_session_new(&e->session, &spec, p->device));
    return feature_count ? RT_OK : rt_lengths_new(&e->lengths, m, e->session, e->rows, p->micro, p->device);
}

/* Rows of a step on a card, 0: the device is none. Small rows are taken more at once: a step costs the host some time,
 * however few it has. */
static int card_micro(const rt_predictor *p)
{
    enum { TIMES = 4, MUCH = 512 << 20 /* bytes of values */ };
    int micro = rt_device_micro(p->device);
    size_t floats = 0;
    for (int i = 0; i < p->count; i++)
        for (int t = 0; t < p->model[i]->graph->tensors; t++)
            floats += rt_shape_count(&p->model[i]->graph->tensor[t].shape);
    return floats * sizeof(float) * (size_t)micro * TIMES <= MUCH ? micro * TIMES : micro;
}

rt_status rt_predictor_new(rt_predictor **out, rt_model *const *models, int count, rt_device *device, int micro,
                           const int *features, int feature_count)
{
    *out = NULL;
    rt_predictor *p = calloc(1, sizeof *p);
    if (!p) return rt_fail(RT_RUN, "out of memory");
    p->model = models;
    p->device = device;
    p->count = count;
    p->own = rt_model_width(models[0]);
    p->micro = micro ? micro : card_micro(p);
    if (!p->micro) p->micro = rt_graph_macs(models[0]->graph) > 200000 ? 64 : 256;
    p->engine = calloc((size_t)count, sizeof *p->engine);
    p->place = calloc((size_t)count, sizeof *p->place);
    p->z = malloc((size_t)p->micro * (size_t)p->own * sizeof *p->z);
    int ok = p->engine && p->place && p->z;
    rt_status st = ok ? RT_OK : rt_fail(RT_RUN, "out of memory");
    if (!st) st = rt_predictor_set_heads(p, models[0]->head, models[0]->heads, NULL, RT_MATCH_NAMES);
    for (int i = 0; i < count && !st; i++) st = begin_engine(p, i, features, feature_count);
    if (st) rt_predictor_free(p);
    else *out = p;
    return st;
}

void rt_predictor_free(rt_predictor *p)
{
    if (!p) return;
    for (int i = 0; i < p->count && p->engine; i++) end_engine(&p->engine[i]);
    for (int i = 0; i < p->count && p->place; i++) free(p->place[i]);
    rt_heads_free(p->head, p->heads);
    void *owned[] = {p->engine, p->place, p->z, p->turned, p->sum, p->rest, p->sorted, p};
    for (size_t i = 0; i < sizeof owned / sizeof owned[0]; i++) free(owned[i]);
}

void rt_predictor_set_weights(rt_predictor *p, int i, const float *params, const float *states)
{
    rt_session_borrow(p->engine[i].session, params, states);
    if (p->engine[i].lengths) rt_lengths_borrow(p->engine[i].lengths, params, states);
}

/* Room for answers of this width. */
static rt_status take_room(rt_predictor *p, int width)
{
    size_t n = (size_t)p->micro * (size_t)width * sizeof(float);
    float **room[] = {&p->turned, &p->sum, &p->rest, &p->sorted};
    for (int i = 0; i < 4; i++) {
        float *more = realloc(*room[i], n);
        if (!more) return rt_fail(RT_RUN, "out of memory");
        *room[i] = more;
    }
    p->width = width;
    return RT_OK;
}

/* Members of an ensemble agree by name, whatever their first one's answer is matched by: first, or NULL, is where that
 * one's elements stand. */
static rt_status place_member(rt_predictor *p, int i, const int *first)
{
    const rt_model *m = p->model[i], *one = p->model[0];
    int *place;
    RT_TRY(rt_heads_place(&place, m->head, m->heads, name_of(m), one->head, one->heads, name_of(one), RT_MATCH_NAMES));
    if (first) {
        int *both = malloc((size_t)p->own * sizeof *both);
        for (int e = 0; e < p->own && both; e++) both[e] = first[place ? place[e] : e];
        free(place);
        place = both;
        if (!place) return rt_fail(RT_RUN, "out of memory");
    }
    p->place[i] = place;
    return RT_OK;
}

rt_status rt_predictor_set_heads(rt_predictor *p, const rt_head *head, int count, const char *of, rt_match match)
{
    rt_head copy[RT_MAX_HEADS];
    RT_TRY(rt_heads_copy(copy, head, count));
    rt_heads_free(p->head, p->heads);
    memcpy(p->head, copy, sizeof copy[0] * (size_t)count);
    p->heads = count;
    RT_TRY(take_room(p, rt_heads_width(head, count)));
    int *first;
    RT_TRY(rt_heads_place(&first, p->model[0]->head, p->model[0]->heads, name_of(p->model[0]), head, count,
                          of ? of : "the model", match));
    rt_status st = RT_OK;
    for (int i = p->count - 1; i >= 0 && !st; i--) {
        free(p->place[i]);
        p->place[i] = NULL;
        if (i) st = place_member(p, i, first);
        else p->place[0] = first;
    }
    if (st) free(first);
    return st;
}

/* The answer of the model in hand: its heads' outputs side by side, each element in its place. */
static const float *gather(rt_predictor *p, const rt_session *session, int rows)
{
    const rt_model *m = p->model[p->at];
    const int *place = p->place[p->at];
    const float *z = session ? rt_session_output(session, 0) : p->z;
    size_t own = (size_t)p->own, width = (size_t)p->width;
    if (session && m->heads > 1) {
        for (int h = 0; h < m->heads; h++) {
            const float *from = rt_session_output(session, h);
            size_t n = (size_t)m->head[h].size;
            for (size_t r = 0; r < (size_t)rows; r++)
                memcpy(p->z + r * own + m->head[h].at, from + r * n, n * sizeof *from);
        }
        z = p->z;
    }
    if (!place) return z;
    memset(p->turned, 0, (size_t)rows * width * sizeof *p->turned);
    for (size_t r = 0; r < (size_t)rows; r++)
        for (size_t c = 0; c < own; c++)
            if (place[c] >= 0) p->turned[r * width + (size_t)place[c]] = z[r * own + c];
    return p->turned;
}

/* ---- rows by length ---- */

static rt_status take_raw(rt_predictor *p, engine *e)
{
    size_t bytes = (size_t)p->micro * e->rows[0].bytes;
    if (!e->id) {
        e->id = malloc((size_t)e->lengths->full * sizeof *e->id);
        e->take = malloc(WINDOW * sizeof *e->take);
        e->at = malloc((size_t)p->micro * sizeof *e->at);
    }
    if (bytes > e->raw_bytes) {
        char *more = realloc(e->raw, bytes);
        if (!more) return rt_fail(RT_RUN, "out of memory");
        e->raw = more;
        e->raw_bytes = bytes;
    }
    return e->id && e->take && e->at ? RT_OK : rt_fail(RT_RUN, "out of memory");
}

/* Rows of one length, which lie in e->raw. to (.., width): where the answer of row i of them goes is e->at[i]. */
static rt_status run_length(rt_predictor *p, engine *e, int plan, int rows, float *to)
{
    rt_session *session = plan < 0 ? e->session : e->lengths->plan[plan].session;
    size_t width = (size_t)p->width;
    rt_feed feed = {.raw = e->raw, .rows = rows};
    RT_TRY(rt_session_infer(session, &(rt_step){.rows = rows, .feed = &feed}));
    const float *z = gather(p, session, rows);
    for (int i = 0; i < rows; i++) memcpy(to + (size_t)e->at[i] * width, z + (size_t)i * width, width * sizeof *to);
    return RT_OK;
}

/* to (rows, width): answers of the model in hand to rows of the feed, up to WINDOW of them, from `first` on. */
static rt_status by_length(rt_predictor *p, int first, int rows, float *to)
{
    engine *e = &p->engine[p->at];
    RT_TRY(take_raw(p, e));
    size_t bytes = e->rows[0].bytes;
    const char *raw = (const char *)p->feed.raw + (size_t)first * bytes;
    rt_lengths_bind(e->lengths, e->rows, p->model[p->at]->inputs);
    for (int i = 0; i < rows; i++)
        e->take[i] = rt_lengths_of(e->lengths, e->rows, p->model[p->at]->inputs, &p->feed, first + i, e->id);
    for (int plan = -1; plan < e->lengths->plans; plan++)
        for (int i = 0, n = 0; i <= rows; i++) {
            if (i < rows && e->take[i] == plan) {
                memcpy(e->raw + (size_t)n * bytes, raw + (size_t)i * bytes, bytes);
                e->at[n++] = i;
            }
            if (n < p->micro && (i < rows || !n)) continue;
            RT_TRY(run_length(p, e, plan, n, to));
            n = 0;
        }
    return RT_OK;
}

static int has_lengths(const engine *e) { return e->lengths && e->lengths->plans; }

/* The rows of the feed from `first` on, as many as a step takes, are begun by each session that answers them. */
static rt_status begin_rows(rt_predictor *p, const rt_feed *feed, int first)
{
    int left = feed->first + feed->rows - first;
    rt_feed part = *feed;
    part.first = first;
    part.rows = left < p->micro ? left : p->micro;
    for (int i = 0; i < p->count && left > 0; i++)
        if (p->engine[i].session && !has_lengths(&p->engine[i]))
            RT_TRY(rt_session_ahead(p->engine[i].session, &(rt_step){.rows = p->micro, .feed = &part}));
    return RT_OK;
}

static rt_status in_steps(rt_predictor *p, const rt_feed *feed, float *answer)
{
    size_t width = (size_t)p->width;
    int end = feed->first + feed->rows;
    RT_TRY(begin_rows(p, feed, feed->first));
    for (; p->feed.first < end; p->feed.first += p->micro) {
        RT_TRY(begin_rows(p, feed, p->feed.first + p->micro));
        int rows = p->feed.rows = end - p->feed.first < p->micro ? end - p->feed.first : p->micro;
        float *out = answer + (size_t)(p->feed.first - feed->first) * width;
        for (p->at = 0; p->at < p->count; p->at++) {
            const engine *e = &p->engine[p->at];
            const float *z = p->sorted;
            if (has_lengths(e)) RT_TRY(by_length(p, p->feed.first, rows, p->sorted));
            else if (e->session) RT_TRY(rt_session_infer(e->session, &(rt_step){.rows = p->micro, .feed = &p->feed}));
            else rt_pool_run(rt_device_pool(p->device), (rows + TILE - 1) / TILE, run_tile, p);
            if (!has_lengths(e)) z = gather(p, e->session, rows);
            if (p->count == 1) memcpy(out, z, (size_t)rows * width * sizeof *out);
            else rt_ensemble_add(RT_MIX_PROBABILITIES, p->head, p->heads, p->sum, p->rest, z, rows, 1, 1, p->at == 0);
        }
        if (p->count > 1)
            rt_ensemble_end(RT_MIX_PROBABILITIES, p->head, p->heads, out, p->sum, p->rest, rows, p->count);
    }
    return RT_OK;
}

/* ---- */

rt_status rt_predict(rt_predictor *p, const rt_feed *feed, float *answer)
{
    size_t width = (size_t)p->width;
    int end = feed->first + feed->rows;
    for (int i = 0; i < p->count; i++)
        for (int k = 0; k < p->model[i]->inputs; k++) p->engine[i].rows[k] = rt_input_rows(&p->model[i]->input[k]);
    p->feed = *feed;
    p->at = 0;
    if (p->count == 1 && has_lengths(&p->engine[0])) {
        for (int at = feed->first; at < end; at += WINDOW)
            RT_TRY(by_length(p, at, end - at < WINDOW ? end - at : WINDOW,
                             answer + (size_t)(at - feed->first) * width));
        return RT_OK;
    }
    rt_status st = in_steps(p, feed, answer);
    for (int i = 0; i < p->count && st; i++)           /* of the others nobody takes what was begun */
        if (p->engine[i].session) rt_session_ahead(p->engine[i].session, NULL);
    return st;
}

const float *rt_predictor_feature(const rt_predictor *p, int i)
{
    return rt_session_output(p->engine[0].session, i + p->model[0]->heads);
}
int rt_predictor_micro(const rt_predictor *p) { return p->micro; }
int rt_predictor_width(const rt_predictor *p) { return p->width; }

const rt_program *rt_predictor_program(const rt_predictor *p, int i) { return p->engine[i].program; }
const rt_lengths *rt_predictor_lengths(const rt_predictor *p, int i) { return p->engine[i].lengths; }

size_t rt_predictor_bytes(const rt_predictor *p)
{
    size_t n = 0;
    for (int i = 0; i < p->count; i++) {
        const engine *e = &p->engine[i];
        n += e->program ? e->stride * (size_t)rt_device_threads(p->device) : rt_session_bytes(e->session);
        if (e->lengths) n += rt_lengths_bytes(e->lengths);
    }
    return n;
}

static rt_status same_heads(const rt_model *a, const rt_model *b, const char *a_path, const char *b_path)
{
    char x[RT_NAMES_TEXT], y[RT_NAMES_TEXT];
    int same = a->heads == b->heads;
    if (a->heads == 1 && b->heads == 1 && a->head[0].task == RT_TASK_CLASSES && b->head[0].task == RT_TASK_CLASSES &&
        a->head[0].size != b->head[0].size)
        return rt_fail(RT_USAGE, "%s: has %d classes, %s has %d, so they make no ensemble", b_path, b->head[0].size,
                       a_path, a->head[0].size);
    for (int h = 0; h < b->heads && same; h++) {
        int k = rt_heads_find(a->head, a->heads, &b->head[h], b->heads);
        same = k >= 0 && a->head[k].task == b->head[h].task && a->head[k].size == b->head[h].size;
    }
    return same ? RT_OK : rt_fail(RT_USAGE, "%s: has the heads %s, %s has %s, so they make no ensemble", b_path,
                                  rt_heads_text(b->head, b->heads, x), a_path, rt_heads_text(a->head, a->heads, y));
}

rt_status rt_models_load(rt_model ***out, const char *const *paths, int count, const rt_x_where *x)
{
    *out = NULL;
    if (count < 1) return rt_fail(RT_USAGE, "no model is given");
    rt_model **m = calloc((size_t)count, sizeof *m);
    if (!m) return rt_fail(RT_RUN, "out of memory");
    rt_status st = RT_OK;
    for (int i = 0; i < count && !st; i++) {
        st = rt_model_load_bound(&m[i], paths[i], NULL, x);
        if (!st) st = same_heads(m[0], m[i], paths[0], paths[i]);
    }
    if (st) rt_models_free(m, count);
    else *out = m;
    return st;
}

rt_status rt_models_bind(rt_model *const *m, int count, const rt_source *s, rt_match match, cJSON *notes)
{
    char text[400];
    for (int i = 0; i < count; i++) {
        RT_TRY(rt_inputs_bind(m[i]->input, m[i]->inputs, s, match, notes));
        rt_dtype type = m[i]->input[0].raw_type;
        if (!m[i]->graph->quant.bytes || type == RT_U8 || !notes) continue;
        snprintf(text, sizeof text, "%.300s: takes bytes, so the %s values of the data are rounded to whole numbers "
                 "from 0 to 255", name_of(m[i]), rt_dtype_name(type));
        cJSON_AddItemToArray(notes, cJSON_CreateString(text));
    }
    return RT_OK;
}

void rt_models_free(rt_model **m, int count)
{
    for (int i = 0; i < count && m; i++) rt_model_free(m[i]);
    free(m);
}

rt_digest rt_models_digest(rt_model *const *m, int count)
{
    if (count == 1) return rt_model_digest(m[0]);
    rt_hasher *h = rt_hasher_new();
    for (int i = 0; i < count; i++) {
        rt_digest d = rt_model_digest(m[i]);
        rt_hasher_add(h, d.hex, 32);
    }
    return rt_hasher_end(h);
}
