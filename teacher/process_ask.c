/* teacher/process_ask.c - a batch of rows to the program and its answer back, as often as is worth trying. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data/npy.h"
#include "engine/clock.h"
#include "engine/convert.h"
#include "engine/kernels.h"
#include "teacher/process_parts.h"

enum { TRIES = 3, NOTED = 5, CHECK_EVERY = 256 };
static const float floor_of_p = 1e-30f;
static const double alike = 2e-3;              /* of the largest answer: what f16 and other orders of sums may differ */

rt_status rt_process_start(rt_process *p)
{
    if (p->running) return RT_OK;
    for (int i = 0; i < p->told.arguments; i++)
        if (p->file[i]) RT_TRY(rt_stamp_unchanged(&p->stamp[i], p->told.command[i]));
    RT_TRY(rt_child_start(&p->child, p->name, p->told.command, p->told.arguments, p->progress));
    p->running = 1;
    p->answered = 0;
    p->unchecked = -1;
    return RT_OK;
}

/* ---- rows out ---- */

#define CUT(T, low, high) \
    for (size_t i = 0; i < n; i++) { \
        double v = rint((double)x[i]); \
        ((T *)dst)[i] = v > (low) ? v < (high) ? (T)v : (T)(high) : (T)(low); \
    }

/* Views of rows in the type of the rows: integers are rounded, and cut where a view leaves their range. */
static void to_type(void *dst, const float *x, rt_dtype type, size_t n)
{
    switch (type) {
    case RT_U8: CUT(uint8_t, 0, UINT8_MAX) break;
    case RT_I8: CUT(int8_t, INT8_MIN, INT8_MAX) break;
    case RT_U16: CUT(uint16_t, 0, UINT16_MAX) break;
    case RT_I16: CUT(int16_t, INT16_MIN, INT16_MAX) break;
    case RT_U32: CUT(uint32_t, 0, UINT32_MAX) break;
    case RT_I32: CUT(int32_t, INT32_MIN, INT32_MAX) break;
    case RT_U64: CUT(uint64_t, 0, 0x1p63) break;               /* rows are floats: none holds more digits */
    case RT_I64: CUT(int64_t, -0x1p62, 0x1p62) break;
    case RT_BOOL: CUT(uint8_t, 0, 1) break;
    case RT_F16: rt_kernels_get()->to_f16(dst, x, n); break;
    case RT_F64: for (size_t i = 0; i < n; i++) ((double *)dst)[i] = (double)x[i]; break;
    default: memcpy(dst, x, n * sizeof *x); break;
    }
}

/* Rows [at, at + rows) of the feed as they are sent, micro of them, the last one again where there are fewer. */
static const void *fill(rt_process_teacher *t, const rt_feed *f, int at, int rows)
{
    const rt_process *p = t->process;
    const rt_input *in = &p->in;
    rt_feed part = *f;
    const char *raw = (const char *)f->raw + (size_t)(f->first + at) * in->raw_bytes + in->raw_at;
    int plain = !f->view && !f->partner && p->type == in->raw_type && !p->told.mean;
    part.first += at;
    part.rows = rows;
    if (plain && !in->pick) {
        if (in->raw_bytes == p->row_bytes && rows == t->micro) return raw;
        for (int r = 0; r < rows; r++)
            memcpy(t->body + (size_t)r * p->row_bytes, raw + (size_t)r * in->raw_bytes, p->row_bytes);
    } else if (plain) {
        size_t e = rt_dtype_size(p->type);
        for (int r = 0; r < rows; r++)
            for (size_t i = 0; i < in->size; i++)
                memcpy(t->body + (size_t)r * p->row_bytes + i * e,
                       raw + (size_t)r * in->raw_bytes + (size_t)in->pick[i] * e, e);
    } else {
        rt_row_desc d = rt_input_rows(in);
        rt_rows_fill(&d, &part, t->x, 0, rows);
        to_type(t->body, t->x, p->type, in->size * (size_t)rows);
    }
    for (int r = rows; r < t->micro; r++)
        memcpy(t->body + (size_t)r * p->row_bytes, t->body + (size_t)(rows - 1) * p->row_bytes, p->row_bytes);
    return t->body;
}

/* ---- an answer in ---- */

/* What is asked about, for messages. */
typedef struct { const rt_feed *feed; int at, rows; } asked;

static unsigned long long row_of(const asked *a, int r)
{ return a->feed->row ? a->feed->row[a->feed->first + a->at + r] : (unsigned long long)(a->at + r); }

/* "rows 64 to 127" */
static const char *rows_text(const asked *a, char text[64])
{
    snprintf(text, 64, "rows %llu to %llu", row_of(a, 0), row_of(a, a->rows - 1));
    return text;
}

static rt_status no_array(const rt_process *p, const unsigned char *start, const asked *a)
{
    char text[RT_NPY_START + 1], rows[64];
    for (int i = 0; i < RT_NPY_START; i++) text[i] = start[i] >= ' ' && start[i] < 127 ? (char)start[i] : '?';
    text[RT_NPY_START] = 0;
    return rt_fail(RT_INPUT, "%s: to %s it writes '%s...', which begins no NPY array; what it prints belongs on its "
                   "standard error", p->name, rows_text(a, rows), text);
}

static const char *shape_of(const rt_npy *h, char text[120])
{
    int n = snprintf(text, 120, "(");
    for (int i = 0; i < h->rank && n < 100; i++)
        n += snprintf(text + n, 120 - (size_t)n, "%s%llu", i ? ", " : "", (unsigned long long)h->dim[i]);
    snprintf(text + n, 120 - (size_t)n, ")");
    return text;
}

static rt_status check_header(const rt_process_teacher *t, const rt_npy *h, const asked *a)
{
    const rt_process *p = t->process;
    char shape[120], rows[64];
    uint64_t width = (uint64_t)rt_heads_width(p->told.head, p->told.heads);
    int flat = h->rank == 1 && width == 1;
    if (h->type != RT_F16 && h->type != RT_F32 && h->type != RT_F64)
        return rt_fail(RT_INPUT, "%s: to %s it answers %s, where f16, f32 or f64 is expected", p->name,
                       rows_text(a, rows), rt_dtype_name(h->type));
    if ((h->rank != 2 && !flat) || h->dim[0] != (uint64_t)t->micro || (!flat && h->dim[1] != width))
        return rt_fail(RT_INPUT, "%s: to %s it answers an array of shape %s, where (%d, %llu) is expected", p->name,
                       rows_text(a, rows), shape_of(h, shape), t->micro, (unsigned long long)width);
    if (h->fortran && h->rank == 2 && width > 1)
        return rt_fail(RT_INPUT, "%s: to %s it answers in Fortran order; write np.ascontiguousarray(...)", p->name,
                       rows_text(a, rows));
    return RT_OK;
}

/* The next array of its output to z (micro, W). *state tells whether the program is lost; a status, that its answer is
 * of no use. */
static rt_status take_answer(rt_process_teacher *t, const asked *a, double until, float *z, rt_child_state *state)
{
    rt_process *p = t->process;
    unsigned char start[RT_NPY_START], told[4];
    rt_npy h;
    int bytes;
    size_t length, n = (size_t)t->micro * (size_t)rt_heads_width(p->told.head, p->told.heads);
    if ((*state = rt_child_read(&p->child, start, sizeof start, until))) return RT_OK;
    if (rt_npy_start(start, p->name, &bytes)) return no_array(p, start, a);
    if ((*state = rt_child_read(&p->child, told, (size_t)bytes, until))) return RT_OK;
    RT_TRY(rt_npy_length(told, bytes, p->name, &length));
    char *text = calloc(length + 1, 1);
    if (!text) return rt_fail(RT_RUN, "out of memory");
    rt_status st = RT_OK;
    *state = rt_child_read(&p->child, text, length, until);
    if (!*state) st = rt_npy_parse(&h, text, p->name);
    free(text);
    if (*state || st) return st;
    RT_TRY(check_header(t, &h, a));
    size_t e = rt_dtype_size(h.type);
    if ((*state = rt_child_read(&p->child, t->reply, n * e, until))) return RT_OK;
    if (h.swap) rt_swap_bytes(t->reply, n, e);
    rt_to_float(z, t->reply, h.type, n);
    return RT_OK;
}

/* One array there and one back. */
static rt_status exchange(rt_process_teacher *t, const void *body, const asked *a, float *z, rt_child_state *state)
{
    rt_process *p = t->process;
    char header[256], rows[64];
    const void *of_rows = body;
    double until = rt_seconds() + (p->answered ? p->told.batch_seconds : p->told.start_seconds);
    p->dim[0] = (uint64_t)t->micro;
    if (p->answered && rt_child_more(&p->child)) goto more;
    struct iovec part[2] = {{header, rt_npy_header(header, rt_npy_type(p->type), p->dim, p->rank)}};
    memcpy(&part[1].iov_base, &of_rows, sizeof of_rows);
    part[1].iov_len = (size_t)t->micro * p->row_bytes;
    rt_child_send(&p->child, part, 2);
    RT_TRY(take_answer(t, a, until, z, state));
    if (*state) return RT_OK;
    if (rt_child_sending(&p->child))
        return rt_fail(RT_INPUT, "%s: answers before it has read all of %s", p->name, rows_text(a, rows));
    p->answered = 1;
    if (!rt_child_more(&p->child)) return RT_OK;
more:
    return rt_fail(RT_INPUT, "%s: writes more than one array (%d, %d) for %s", p->name, t->micro,
                   rt_heads_width(p->told.head, p->told.heads), rows_text(a, rows));
}

/* ---- what an answer says ---- */

static rt_status refuse_value(const rt_process *p, const asked *a, int r, double v, const char *what)
{ return rt_fail(RT_INPUT, "%s: its answer to row %llu is %g, %s", p->name, row_of(a, r), v, what); }

/* Probabilities of a row as logits. */
static rt_status take_logarithms(const rt_process *p, const asked *a, int r, float *z)
{
    for (int h = 0; h < p->told.heads; h++) {
        const rt_head *head = &p->told.head[h];
        double sum = 0;
        if (head->task == RT_TASK_REAL) continue;
        for (int i = head->at; i < head->at + head->size; i++) {
            double v = (double)z[i];
            if (v < -1e-3 || v > 1 + 1e-3) return refuse_value(p, a, r, v, "which is no probability");
            sum += v;
            z[i] = logf(fmaxf(z[i], floor_of_p));
            if (head->task == RT_TASK_MULTILABEL) z[i] -= logf(fmaxf((float)(1 - v), floor_of_p));
        }
        if (head->task == RT_TASK_CLASSES && fabs(sum - 1) > 0.02)
            return rt_fail(RT_INPUT, "%s: its probabilities for row %llu add up to %g; \"gives\" says what it answers",
                           p->name, row_of(a, r), sum);
    }
    return RT_OK;
}

static rt_status take_values(const rt_process *p, const asked *a, float *z)
{
    int width = rt_heads_width(p->told.head, p->told.heads);
    for (int r = 0; r < a->rows; r++, z += width) {
        int finite = 1;
        for (int i = 0; i < width; i++) {
            if (isfinite(z[i])) continue;
            if (!p->marks) return refuse_value(p, a, r, (double)z[i], "which is no number");
            finite = 0;
        }
        if (finite && p->told.probabilities) RT_TRY(take_logarithms(p, a, r, z));
    }
    return RT_OK;
}

/* Asks about the same rows once more, each in the place of the one before, the last one in its own as well: answers
 * move with their rows. No order of the rows but the right one commutes with that map, so that any other is found. */
static rt_status check_order(rt_process_teacher *t, const void *body, const asked *a, rt_child_state *state)
{
    rt_process *p = t->process;
    size_t n = (size_t)t->micro, width = (size_t)rt_heads_width(p->told.head, p->told.heads), bytes = p->row_bytes;
    char *turned = malloc(n * bytes);
    double largest = 0;
    if (!turned) return rt_fail(RT_RUN, "out of memory");
    memcpy(turned, (const char *)body + bytes, (n - 1) * bytes);
    memcpy(turned + (n - 1) * bytes, (const char *)body + (n - 1) * bytes, bytes);
    rt_status st = exchange(t, turned, a, t->again, state);
    free(turned);
    if (st || *state) return st;
    for (size_t i = 0; i < n * width; i++) if (isfinite(t->z[i])) largest = fmax(largest, fabs((double)t->z[i]));
    for (int at = 0; at < a->rows; at++) {
        int r = at + 1 < t->micro ? at + 1 : at;               /* the row that stood there the second time */
        if (r >= a->rows) continue;
        for (size_t i = 0; i < width; i++) {
            double one = (double)t->z[(size_t)r * width + i], two = (double)t->again[(size_t)at * width + i];
            if (fabs(one - two) <= alike * largest + 1e-6 || (!isfinite(one) && !isfinite(two))) continue;
            return rt_fail(RT_INPUT,
                           "%s: asked twice about row %llu, beside other rows, it answers %g and %g: it mixes "
                           "up rows, lets them depend on each other, or answers by chance (\"check\": false takes "
                           "that)",
                           p->name, row_of(a, r), one, two);
        }
    }
    p->unchecked = 0;
    return RT_OK;
}

/* ---- tries ---- */

static rt_status try_once(rt_process_teacher *t, const rt_feed *f, const asked *a, rt_child_state *state)
{
    rt_process *p = t->process;
    RT_TRY(rt_process_start(p));
    const void *body = fill(t, f, a->at, a->rows);
    RT_TRY(exchange(t, body, a, t->z, state));
    if (*state || !p->told.check || t->micro < 2) return RT_OK;
    if (p->unchecked >= 0 && ++p->unchecked < CHECK_EVERY) return RT_OK;
    return check_order(t, body, a, state);
}

/* Ends what is lost; why: in words. */
static void give_up(rt_process *p, rt_child_state state, char *why, size_t room)
{
    if (p->running) rt_child_end(&p->child, state == RT_CHILD_ENDED, why, room);
    if (state == RT_CHILD_LATE)
        snprintf(why, room, "gave no answer within %g seconds",
                 p->answered ? p->told.batch_seconds : p->told.start_seconds);
    p->running = 0;
}

static void say_restart(rt_process *p, const asked *a, const char *why)
{
    char text[600], rows[64];
    snprintf(text, sizeof text, "%.200s: %.200s; it is started again, and asked again about %s", p->name, why,
             rows_text(a, rows));
    rt_progress_line(p->progress, text);
    if (p->notes && p->restarts < NOTED) cJSON_AddItemToArray(p->notes, cJSON_CreateString(text));
    p->restarts++;
}

rt_status rt_process_ask(rt_process_teacher *t, const rt_feed *f, int at, int rows, float *z)
{
    rt_process *p = t->process;
    asked a = {f, at, rows};
    char why[200], said[RT_CHILD_SAID + 1], text[64];
    for (int tries = 1;; tries++) {
        rt_child_state state = RT_CHILD_FINE;
        rt_status st = try_once(t, f, &a, &state);
        if (!st && !state) return take_values(p, &a, z);
        give_up(p, state, why, sizeof why);
        if (st) return st;
        if (state == RT_CHILD_STOPPED) return rt_fail(RT_INTERRUPTED, "interrupted");
        if (tries == TRIES) break;
        say_restart(p, &a, why);
    }
    rt_child_said(&p->child, said);
    return rt_fail(RT_RUN, "%s: %s when it was asked about %s, for the third time%s%s", p->name, why,
                   rows_text(&a, text), *said ? "; it said last: " : "", said);
}
