/* tests/late_device.h - a device that computes as the CPU does and tells it late, as a card: what a step gave is told
 * only when `late_by` more were given, or to one who waits; buffers on the host hold NaN but for what was read since
 * the last step; an inference session keeps its own copy of borrowed weights, as they were when it was told of them,
 * and answers of a step that was begun before; what it answered to the step before that is NaN.
 * What comes out of a run on it must be what comes out of the CPU's, bit for bit. */
#ifndef RT_TESTS_LATE_DEVICE_H
#define RT_TESTS_LATE_DEVICE_H

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/device_parts.h"
#include "engine/kernels.h"
#include "engine/memory.h"

static int late_by = RT_QUEUE - 1;     /* steps behind */
static int late_fails;                 /* steps and inferences until the card is lost; 0: it is not */
static int late_untold;                /* results that nobody asked for before their session ended */
static int late_most;                  /* steps that were behind at once */
static int late_changed;               /* its library is another one */
static int late_sessions;              /* that were made */
static int late_ahead;                 /* steps of inference that were begun at once, at most */
static int late_misasked;              /* inferences of another step than the one that was begun first */

typedef struct {
    rt_session base;
    rt_session *inner;
    float *seen[RT_BUFFERS];           /* what the host sees */
    size_t floats[RT_BUFFERS];
    const float *lent[2];              /* an inference session's parameters and states, as they were lent */
    float *copy[2];
    int inference, bad;
    rt_step_result result[2 * RT_QUEUE];
    int results;
    int outputs, begun, number;        /* inference: steps that are underway; that were begun in all */
    size_t output_floats[RT_MAX_OUTPUTS];
    float *output[RT_AHEAD][RT_MAX_OUTPUTS];
    rt_feed asked[RT_AHEAD];
    int answered;
} late_session;

static inline late_session *late_of(rt_session *s) { return (late_session *)(void *)s; }
static inline const late_session *late_in(const rt_session *s) { return (const late_session *)(const void *)s; }

static inline rt_status late_works(void)
{
    if (!late_fails || --late_fails) return RT_OK;
    late_fails = 1;                    /* it stays lost */
    return rt_fail(RT_RUN, "late:0: the card is lost");
}

static inline void late_forget(late_session *s)
{
    for (int i = 0; i < RT_BUFFERS; i++)
        for (size_t k = 0; k < s->floats[i] && s->seen[i]; k++) s->seen[i][k] = NAN;
}

static inline void late_end(rt_session *base)
{
    late_session *s = late_of(base);
    late_untold += s->results;
    rt_session_free(s->inner);
    for (int i = 0; i < RT_BUFFERS; i++) free(s->seen[i]);
    for (int i = 0; i < RT_AHEAD * RT_MAX_OUTPUTS; i++) free(s->output[i / RT_MAX_OUTPUTS][i % RT_MAX_OUTPUTS]);
    free(s->copy[0]);
    free(s->copy[1]);
    free(s);
}

static inline float *late_buffer(const rt_session *base, rt_buffer_id id, size_t *floats)
{
    const late_session *s = late_in(base);
    if (floats) *floats = s->floats[id];
    return s->seen[id];
}

static inline rt_status late_move(late_session *s, unsigned buffers, int write)
{
    RT_TRY(late_works());
    for (int i = 0; i < RT_BUFFERS; i++) {
        float *inner = rt_session_buffer(s->inner, (rt_buffer_id)i, NULL);
        if (!(buffers & 1u << i) || !inner) continue;
        memcpy(write ? inner : s->seen[i], write ? s->seen[i] : inner, s->floats[i] * sizeof *inner);
    }
    return RT_OK;
}

static inline rt_status late_read(rt_session *s, unsigned buffers) { return late_move(late_of(s), buffers, 0); }
static inline rt_status late_write(rt_session *s, unsigned buffers) { return late_move(late_of(s), buffers, 1); }

static inline void late_borrow(rt_session *base, const float *params, const float *states)
{
    late_session *s = late_of(base);
    if (params) s->lent[0] = params;
    if (states) s->lent[1] = states;
    for (int i = 0; i < 2; i++) memcpy(s->copy[i], s->lent[i], s->floats[i] * sizeof(float));
    rt_session_borrow(s->inner, s->copy[0], s->copy[1]);
}

static inline rt_status late_step(rt_session *base, const rt_step *step)
{
    late_session *s = late_of(base);
    rt_step_result *r = &s->result[s->results];
    int n;
    RT_TRY(late_works());
    if (s->results == 2 * RT_QUEUE) return rt_fail(RT_RUN, "nobody asks what steps gave");
    RT_TRY(rt_session_step(s->inner, step));
    RT_TRY(rt_session_results(s->inner, 1, r, 1, &n));
    if (!n) *r = (rt_step_result){.epoch = step->epoch, .step = step->step, .total = NAN, .bad = 1};
    if (++s->results > late_most) late_most = s->results;
    late_forget(s);
    return RT_OK;
}

static inline rt_status late_results(rt_session *base, int wait, rt_step_result *r, int most, int *count)
{
    late_session *s = late_of(base);
    int done = wait ? s->results : s->results - late_by;
    RT_TRY(late_works());
    *count = done < 0 ? 0 : done < most ? done : most;
    memcpy(r, s->result, (size_t)*count * sizeof *r);
    s->results -= *count;
    memmove(s->result, s->result + *count, (size_t)s->results * sizeof *r);
    return RT_OK;
}

static inline uint64_t late_updates(const rt_session *s) { return rt_session_updates(late_in(s)->inner); }
static inline void late_set_updates(rt_session *s, uint64_t n) { rt_session_set_updates(late_of(s)->inner, n); }

static inline rt_status late_keep(rt_session *base)
{
    RT_TRY(late_works());
    RT_TRY(rt_session_keep(late_of(base)->inner));
    late_forget(late_of(base));
    return RT_OK;
}

static inline void late_find_bad(const rt_session *s, char *text, size_t room)
{ rt_session_find_bad(late_in(s)->inner, text, room); }

static inline rt_status late_begin(rt_session *base, const rt_step *step)
{
    late_session *s = late_of(base);
    if (!step) {
        s->begun = 0;
        return RT_OK;
    }
    if (s->begun == RT_AHEAD) return rt_fail(RT_RUN, "more steps are begun than a card takes");
    int part = s->number % RT_AHEAD;
    rt_status st = late_works();
    if (!st) st = rt_session_infer(s->inner, step);
    for (int i = 0; i < s->outputs && !st; i++)
        memcpy(s->output[part][i], rt_session_output(s->inner, i), s->output_floats[i] * sizeof(float));
    if (st) {
        s->begun = 0;
        return st;
    }
    s->asked[part] = step->feed ? *step->feed : (rt_feed){.raw = step->x[0], .rows = step->rows};
    s->number++;
    if (++s->begun > late_ahead) late_ahead = s->begun;
    return RT_OK;
}

static inline rt_status late_infer(rt_session *base, const rt_step *step)
{
    late_session *s = late_of(base);
    int last = s->answered;
    if (!s->begun) RT_TRY(late_begin(base, step));
    s->answered = (s->number - s->begun) % RT_AHEAD;
    s->begun--;
    const rt_feed *f = &s->asked[s->answered];
    late_misasked += step->feed && (f->raw != step->feed->raw || f->first != step->feed->first ||
                                    f->rows != step->feed->rows);
    for (int i = 0; i < s->outputs && last != s->answered && !s->begun; i++)
        for (size_t k = 0; k < s->output_floats[i]; k++) s->output[last][i][k] = NAN;
    return RT_OK;
}

static inline const float *late_output(const rt_session *s, int i)
{ return late_in(s)->output[late_in(s)->answered][i]; }
static inline size_t late_bytes(const rt_session *s) { return rt_session_bytes(late_in(s)->inner); }
static inline void late_describe(const rt_session *s, void (*line)(void *, const char *), void *arg)
{ rt_session_describe(late_in(s)->inner, line, arg); }
static inline rt_status late_profile(rt_session *s, int on)
{
    return rt_session_profile(late_of(s)->inner, on);
}

static const rt_session_kind late_kind = {late_end, late_buffer, late_read, late_write, late_borrow, late_step,
                                          late_results, late_updates, late_set_updates, late_keep, late_find_bad,
                                          late_infer, late_begin, late_output, late_bytes, late_describe, late_profile};

static inline rt_status late_session_new(rt_session **out, const rt_session_spec *spec, rt_device *d)
{
    rt_session_spec inner = *spec;
    late_session *s = calloc(1, sizeof *s);
    if (!s) return rt_fail(RT_RUN, "out of memory");
    late_sessions++;
    s->base.kind = &late_kind;
    s->inference = !spec->train;
    const float *lent[2] = {spec->params, spec->states};
    for (int i = 0; i < 2 && s->inference && spec->params; i++) {
        size_t n = spec->graph->floats[i ? RT_STATE : RT_PARAM];
        s->copy[i] = rt_floats_new(n);
        memcpy(s->copy[i], lent[i], n * sizeof(float));
        s->lent[i] = lent[i];
    }
    if (s->copy[0]) inner.params = s->copy[0];
    if (s->copy[1]) inner.states = s->copy[1];
    s->outputs = s->inference ? spec->outputs ? spec->outputs : 1 : 0;
    for (int i = 0; i < s->outputs; i++) {
        int t = spec->outputs ? spec->output[i] : spec->graph->output;
        s->output_floats[i] = rt_shape_count(&spec->graph->tensor[t].shape) * (size_t)spec->batch;
        for (int k = 0; k < RT_AHEAD; k++) s->output[k][i] = rt_floats_new(s->output_floats[i]);
    }
    rt_status st = rt_session_cpu(&s->inner, &inner, rt_device_pool(d));
    for (int i = 0; i < RT_BUFFERS && !st; i++)
        if (rt_session_buffer(s->inner, (rt_buffer_id)i, &s->floats[i])) s->seen[i] = rt_floats_new(s->floats[i]);
    late_forget(s);
    if (st) late_end(&s->base);
    else *out = &s->base;
    return st;
}

static inline rt_status late_check(const void *card, rt_precision p)
{
    (void)card;
    return p == RT_P_BF16 ? rt_fail(RT_USAGE, "late:0 has no bf16: use fp32 or tf32") : RT_OK;
}

static inline void late_family(const void *card, rt_precision p, char text[RT_FAMILY_TEXT])
{
    (void)card;                        /* in fp32 the CPU's, so that files can be compared */
    snprintf(text, RT_FAMILY_TEXT, "%s%s%s", p ? "late-tf32 " : "", rt_kernels_get()->name, late_changed ? "-2" : "");
}

static inline int late_list(rt_device_info *info, int most, char note[300])
{
    *note = 0;
    if (most > 0) *info = (rt_device_info){.name = "late:0", .card = "Late card", .processors = 1, .precisions = 3};
    return most > 0;
}

static inline void late_close(void *card) { (void)card; }

static const rt_device_kind late_device_kind = {.name = "late", .close = late_close, .list = late_list,
                                                .check = late_check, .family = late_family, .micro = 48,
                                                .session = late_session_new};

static inline rt_device *late_device(int threads)
{
    rt_device *d = rt_device_cpu(threads);
    if (!d) abort();
    d->kind = &late_device_kind;
    strcpy(d->name, "late:0");
    return d;
}
#endif
