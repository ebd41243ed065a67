#include "teacher/label_put.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/clock.h"
#include "engine/memory.h"
#include "engine/pool.h"

enum { ROOMS = 2, MESSAGE = 2048 };

struct rt_label_put {
    rt_labels_writer *writer;
    const rt_labels_spec *spec;
    rt_label_room room[ROOMS];
    uint64_t most;                     /* rows of a room */
    int at;                            /* the room that is being filled */
    /* Beside a card; all below the lock. */
    int beside, underway, ends;        /* underway: the other room is being put */
    uint64_t block, rows;
    double writing;                    /* seconds */
    rt_status status;                  /* of the block that was put last */
    char message[MESSAGE];
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
};

/* ---- putting ---- */

static rt_status put(const rt_label_put *p, const rt_label_room *r, uint64_t block, uint64_t rows)
{
    for (uint64_t at = 0; at < rows; at += RT_LABEL_BLOCK, block++) {
        const unsigned char *status = r->status + at;
        uint64_t n = rows - at < RT_LABEL_BLOCK ? rows - at : RT_LABEL_BLOCK;
        const float *feature[RT_LABEL_FEATURES];
        for (int i = 0; i < p->spec->features; i++)
            feature[i] = r->feature[i] + at * (uint64_t)p->spec->feature[i].width;
        const rt_label_planes planes = {r->answers + at * (uint64_t)p->spec->classes, feature,
                                        memchr(status, RT_LABEL_BAD_INPUT, n) ? status : NULL};
        RT_TRY(rt_labels_put_planes(p->writer, block, &planes));
    }
    return RT_OK;
}

static void *put_beside(void *arg)
{
    rt_label_put *p = arg;
    pthread_mutex_lock(&p->lock);
    for (;;) {
        while (!p->underway && !p->ends) pthread_cond_wait(&p->changed, &p->lock);
        if (!p->underway) break;
        pthread_mutex_unlock(&p->lock);
        double begun = rt_seconds();
        rt_status st = put(p, &p->room[!p->at], p->block, p->rows);
        pthread_mutex_lock(&p->lock);
        p->writing += rt_seconds() - begun;
        p->status = st;
        if (st) snprintf(p->message, sizeof p->message, "%s", rt_error_message());
        p->underway = 0;
        pthread_cond_broadcast(&p->changed);
    }
    pthread_mutex_unlock(&p->lock);
    return NULL;
}

rt_status rt_label_put_wait(rt_label_put *p)
{
    if (!p->beside) return RT_OK;
    pthread_mutex_lock(&p->lock);
    while (p->underway) pthread_cond_wait(&p->changed, &p->lock);
    rt_status st = p->status;
    p->status = RT_OK;
    pthread_mutex_unlock(&p->lock);
    return st ? rt_fail(st, "%s", p->message) : RT_OK;
}

rt_status rt_label_put_blocks(rt_label_put *p, uint64_t block, uint64_t rows)
{
    RT_ASSERT(rows <= p->most);
    if (!p->beside) {
        double begun = rt_seconds();
        rt_status st = put(p, &p->room[0], block, rows);
        p->writing += rt_seconds() - begun;
        return st;
    }
    RT_TRY(rt_label_put_wait(p));
    pthread_mutex_lock(&p->lock);
    p->at = !p->at;
    p->block = block;
    p->rows = rows;
    p->underway = 1;
    pthread_cond_broadcast(&p->changed);
    pthread_mutex_unlock(&p->lock);
    return RT_OK;
}

double rt_label_put_writing(const rt_label_put *p) { return p->writing; }

const rt_label_room *rt_label_put_room(const rt_label_put *p) { return &p->room[p->at]; }

/* ---- making one ---- */

static rt_status take_room(rt_label_room *r, uint64_t most, const rt_labels_spec *spec)
{
    size_t rows = (size_t)most * (1 + (size_t)spec->views.count);
    r->status = malloc((size_t)most);
    r->answers = rt_floats_new(rows * (size_t)spec->classes);
    if (!r->status || !r->answers) return rt_fail(RT_RUN, "out of memory");
    for (int i = 0; i < spec->features; i++) {
        r->feature[i] = rt_floats_new(rows * (size_t)spec->feature[i].width);
        if (!r->feature[i]) return rt_fail(RT_RUN, "out of memory for feature '%s'", spec->feature[i].name);
    }
    return RT_OK;
}

static rt_status begin_thread(rt_label_put *p)
{
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->changed, NULL);
    int error = rt_thread_start(&p->thread, put_beside, p);
    if (!error) {
        p->beside = 1;
        return RT_OK;
    }
    pthread_cond_destroy(&p->changed);
    pthread_mutex_destroy(&p->lock);
    return rt_fail(RT_RUN, "no thread that writes labels can be started (error %d); see ulimit -u", error);
}

rt_status rt_label_put_new(rt_label_put **out, rt_labels_writer *writer, const rt_labels_spec *spec, uint64_t most,
                           int beside)
{
    rt_label_put *p = *out = calloc(1, sizeof *p);
    if (!p) return rt_fail(RT_RUN, "out of memory");
    p->writer = writer;
    p->spec = spec;
    p->most = most;
    rt_status st = RT_OK;
    for (int i = 0; i <= !!beside && !st; i++) st = take_room(&p->room[i], p->most, spec);
    if (!st && beside) st = begin_thread(p);
    if (!st) return RT_OK;
    rt_label_put_free(p);
    *out = NULL;
    return st;
}

void rt_label_put_free(rt_label_put *p)
{
    if (!p) return;
    if (p->beside) {
        pthread_mutex_lock(&p->lock);
        p->ends = 1;
        pthread_cond_broadcast(&p->changed);
        pthread_mutex_unlock(&p->lock);
        pthread_join(p->thread, NULL);
        pthread_cond_destroy(&p->changed);
        pthread_mutex_destroy(&p->lock);
    }
    for (int i = 0; i < ROOMS; i++) {
        free(p->room[i].answers);
        free(p->room[i].status);
        for (int k = 0; k < p->spec->features; k++) free(p->room[i].feature[k]);
    }
    free(p);
}

/* ---- progress ---- */

static void tell(void *arg, const char *what, double done, double total, double rate, const char *unit,
                 const char *note)
{
    rt_label_telling *t = arg;
    pthread_mutex_lock(&t->lock);
    rt_progress_update(t->to, what, done, total, rate, unit, note);
    pthread_mutex_unlock(&t->lock);
}

static void tell_line(void *arg, const char *text)
{
    rt_label_telling *t = arg;
    pthread_mutex_lock(&t->lock);
    rt_progress_line(t->to, text);
    pthread_mutex_unlock(&t->lock);
}

const rt_progress *rt_label_telling_begin(rt_label_telling *t, const rt_progress *to)
{
    *t = (rt_label_telling){.progress = {.update = tell, .line = tell_line, .arg = t}, .to = to};
    pthread_mutex_init(&t->lock, NULL);
    return to ? &t->progress : NULL;
}

void rt_label_telling_end(rt_label_telling *t) { pthread_mutex_destroy(&t->lock); }
