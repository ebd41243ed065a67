/* engine/session.c - sessions, by the kind of their device. */
#include "engine/session.h"

#include <math.h>
#include <stdio.h>

#include "engine/device_parts.h"

rt_status rt_session_new(rt_session **out, const rt_session_spec *spec, rt_device *d)
{
    *out = NULL;
    return d->kind ? d->kind->session(out, spec, d) : rt_session_cpu(out, spec, d->pool);
}

rt_status rt_session_check(const rt_session_spec *spec, const rt_device *d)
{ return d->kind && d->kind->takes ? d->kind->takes(d->card, spec) : RT_OK; }

void rt_session_free(rt_session *s)
{
    if (s) s->kind->end(s);
}

float *rt_session_buffer(const rt_session *s, rt_buffer_id id, size_t *floats)
{
    return s->kind->buffer(s, id, floats);
}
rt_status rt_session_read(rt_session *s, unsigned buffers) { return s->kind->read(s, buffers); }
rt_status rt_session_write(rt_session *s, unsigned buffers) { return s->kind->write(s, buffers); }

void rt_session_borrow(rt_session *s, const float *params, const float *states) { s->kind->borrow(s, params, states); }

rt_status rt_session_step(rt_session *s, const rt_step *step) { return s->kind->step(s, step); }

rt_status rt_session_results(rt_session *s, int wait, rt_step_result *r, int most, int *count)
{ return s->kind->results(s, wait, r, most, count); }

uint64_t rt_session_updates(const rt_session *s) { return s->kind->updates(s); }
void rt_session_set_updates(rt_session *s, uint64_t made) { s->kind->set_updates(s, made); }

const float *rt_session_best(const rt_session *s, int states)
{
    const float *average = rt_session_buffer(s, states ? RT_B_EMA_STATES : RT_B_EMA, NULL);
    return average ? average : rt_session_buffer(s, states ? RT_B_STATES : RT_B_PARAMS, NULL);
}

rt_status rt_session_keep(rt_session *s) { return s->kind->keep(s); }

void rt_session_find_bad(const rt_session *s, char *text, size_t room) { s->kind->find_bad(s, text, room); }

rt_status rt_session_infer(rt_session *s, const rt_step *step) { return s->kind->infer(s, step); }
rt_status rt_session_ahead(rt_session *s, const rt_step *step)
{ return s->kind->ahead ? s->kind->ahead(s, step) : RT_OK; }
const float *rt_session_output(const rt_session *s, int i) { return s->kind->output(s, i); }
const float *rt_session_asked(const rt_session *s) { return s->kind->asked(s); }
const float *rt_session_gradient(const rt_session *s, int i) { return s->kind->gradient(s, i); }
size_t rt_session_bytes(const rt_session *s) { return s->kind->bytes(s); }

void rt_session_describe(const rt_session *s, void (*line)(void *, const char *), void *arg)
{ s->kind->describe(s, line, arg); }

rt_status rt_session_profile(rt_session *s, int on) { return s->kind->profile(s, on); }

int rt_graph_find_bad(const rt_graph *g, const float *params, const float *grads, char *text, size_t room)
{
    for (int pass = 0; pass < 2; pass++)
        for (int i = -1; (i = rt_graph_next_field(g, RT_PARAM, i)) >= 0;) {
            const rt_field *f = &g->field[i];
            if (pass && f->grad_at == RT_NOWHERE) continue;
            const float *p = pass ? grads + f->grad_at : params + f->offset;
            for (size_t k = 0; k < f->count; k++)
                if (!isfinite(p[k])) {
                    snprintf(text, room, "the %s of %s", pass ? "gradient" : "weights", f->name);
                    return 1;
                }
        }
    return 0;
}
