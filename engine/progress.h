/* engine/progress.h - how long work reports itself and is asked to stop. Library code prints nothing itself. */
#ifndef RT_ENGINE_PROGRESS_H
#define RT_ENGINE_PROGRESS_H

#include "engine/error.h"

typedef struct rt_progress {
    /* done of total units, so far at rate units/s; note is a short text such as "loss 0.41", or "". Any may be shown.
     */
    void (*update)(void *arg, const char *what, double done, double total, double rate, const char *unit,
                   const char *note);
    /* A line that stays, such as the result of an epoch. */
    void (*line)(void *arg, const char *text);
    void *arg;
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

/* Asks all work of the process to end soon (or, with 0, no longer). May be called in a signal handler. */
void rt_ask_to_stop(int yes);
/* Whether that was asked. Any thread; work that can last looks at it several times a second, keeps what is worth
 * keeping and returns RT_INTERRUPTED. What is needed to keep things does not look. */
int rt_stopped(void);
/* RT_INTERRUPTED, "interrupted", when it was asked. */
rt_status rt_check_stop(void);
#endif
