/* engine/progress.h - how long work reports itself and is asked to stop. Library code prints nothing itself. */
#ifndef RT_ENGINE_PROGRESS_H
#define RT_ENGINE_PROGRESS_H

#include <signal.h>

typedef struct rt_progress {
    /* done of total units, so far at rate units/s; note is a short text such as "loss 0.41", or "". Any may be shown.
     */
    void (*update)(void *arg, const char *what, double done, double total, double rate, const char *unit,
                   const char *note);
    /* A line that stays, such as the result of an epoch. */
    void (*line)(void *arg, const char *text);
    void *arg;
    const volatile sig_atomic_t *stop;     /* nonzero: save and return RT_INTERRUPTED */
} rt_progress;

static inline void rt_progress_update(const rt_progress *p, const char *what, double done, double total, double rate,
                                      const char *unit, const char *note)
{
    if (p && p->update) p->update(p->arg, what, done, total, rate, unit, note);
}
static inline void rt_progress_line(const rt_progress *p, const char *text)
{
    if (p && p->line) p->line(p->arg, text);
}
static inline int rt_progress_stopped(const rt_progress *p) { return p && p->stop && *p->stop; }
#endif
