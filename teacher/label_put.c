#include "teacher/label_put.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/clock.h"
#include "engine/memory.h"
#include "engine/pool.h"

enum { ROOMS = 4, MESSAGE = 2048 };
enum { MUCH = 64 << 20 /* bytes of a room beyond which there are two: one is filled while the other is put */ };

/* A room with what is to be put from it. */
typedef struct { rt_label_room room; uint64_t block, rows; } place;

struct rt_label_put {
    rt_labels_writer *writer;
    const rt_labels_spec *spec;
    place place[ROOMS];
    uint64_t most;                     /* rows of a room */
    int places, at;                    /* how many; the one that is being filled */
    double writing;                    /* seconds */
    /* Beside a card; all below the lock. */
    int beside, waiting, ends;         /* waiting: the last so many places before `at` are to be put, oldest first */
    rt_status status;                  /* the first error since rt_label_put_wait: what came after it is not put */
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
        while (!p->waiting && !p->ends) pthread_cond_wait(&p->changed, &p->lock);
        if (!p->waiting) break;
        const place *next = &p->place[(p->at + p->places - p->waiting) % p->places];
        rt_status st = RT_OK;
        if (!p->status) {
            pthread_mutex_unlock(&p->lock);
            double begun = rt_seconds();
            st = put(p, &next->room, next->block, next->rows);
            pthread_mutex_lock(&p->lock);
            p->writing += rt_seconds() - begun;
        }
        if (st) snprintf(p->message, sizeof p->message, "%s", rt_error_message());
        if (st) p->status = st;
        p->waiting--;
        pthread_cond_broadcast(&p->changed);
    }
    pthread_mutex_unlock(&p->lock);
    return NULL;
}

/* Waits until no more than so many are to be put; an error since. */
static rt_status wait_for(rt_label_put *p, int most)
{
    pthread_mutex_lock(&p->lock);
    while (p->waiting > most) pthread_cond_wait(&p->changed, &p->lock);
    rt_status st = p->status;
    if (!p->waiting) p->status = RT_OK;
    pthread_mutex_unlock(&p->lock);
    return st ? rt_fail(st, "%s", p->message) : RT_OK;
}

rt_status rt_label_put_wait(rt_label_put *p) { return p->beside ? wait_for(p, 0) : RT_OK; }

rt_status rt_label_put_blocks(rt_label_put *p, uint64_t block, uint64_t rows)
{
    RT_ASSERT(rows <= p->most);
    if (!p->beside) {
        double begun = rt_seconds();
        rt_status st = put(p, &p->place[0].room, block, rows);
        p->writing += rt_seconds() - begun;
        return st;
    }
    RT_TRY(wait_for(p, p->places - 2));                /* the room after this one is free then */
    pthread_mutex_lock(&p->lock);
    p->place[p->at].block = block;
    p->place[p->at].rows = rows;
    p->at = (p->at + 1) % p->places;
    p->waiting++;
    pthread_cond_broadcast(&p->changed);
    pthread_mutex_unlock(&p->lock);
    return RT_OK;
}

double rt_label_put_writing(const rt_label_put *p) { return p->writing; }

const rt_label_room *rt_label_put_room(const rt_label_put *p) { return &p->place[p->at].room; }

/* ---- making one ---- */

static uint64_t room_bytes(uint64_t most, const rt_labels_spec *spec)
{
    uint64_t floats = (uint64_t)spec->classes;
    for (int i = 0; i < spec->features; i++) floats += (uint64_t)spec->feature[i].width;
    return most * (1 + (uint64_t)spec->views.count) * floats * sizeof(float);
}

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
    p->places = !beside ? 1 : room_bytes(most, spec) > MUCH ? 2 : ROOMS;
    rt_status st = RT_OK;
    for (int i = 0; i < p->places && !st; i++) st = take_room(&p->place[i].room, p->most, spec);
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
        const rt_label_room *r = &p->place[i].room;
        free(r->answers);
        free(r->status);
        for (int k = 0; k < p->spec->features; k++) free(r->feature[k]);
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
