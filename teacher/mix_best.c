/* teacher/mix_best.c - which of several teachers is right most often on labelled rows. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data/identity.h"
#include "data/provenance.h"
#include "data/targets.h"
#include "engine/memory.h"
#include "engine/progress.h"
#include "teacher/mix_parts.h"

enum { BLOCK = 1024 };

/* The judge's rows while members are asked about them. */
typedef struct {
    rt_source *x;
    rt_identity *id;
    rt_targets *y;
    uint64_t first, end;
    char *raw;
    float *z;
    int classes;
} trial;

static rt_status begin(trial *q, rt_mix *m, const rt_teacher_binding *b)
{
    const rt_mix_judge *j = &m->judge;
    int count;
    const rt_head *head = rt_teacher_heads(m->member[0], &count);
    rt_source *y;
    RT_TRY(rt_source_open(&q->x, j->source, j->x));
    RT_TRY(rt_parse_range(j->rows, rt_source_rows(q->x), &q->first, &q->end));
    RT_TRY(rt_identity_open(&q->id, q->x, RT_CHECK_KNOWN));
    RT_TRY(rt_identity_root(&m->data[0], q->id, rt_device_pool(b->device), b->progress));
    RT_TRY(rt_targets_open(&q->y, q->x, j->y, &head->names, b->match));
    RT_TRY(rt_source_open_in(&y, rt_source_file(q->x), j->y));
    rt_status st = rt_identity_of(&m->data[1], y, RT_CHECK_KNOWN, rt_device_pool(b->device), b->progress);
    rt_source_close(y);
    q->classes = head->size;
    q->raw = malloc((size_t)BLOCK * rt_source_row_bytes(q->x) + 64);
    q->z = rt_floats_new((size_t)BLOCK * (size_t)q->classes);
    if (!st && (!q->raw || !q->z)) st = rt_fail(RT_RUN, "out of memory");
    return st;
}

/* Labelled rows, and those whose largest logit, of equal ones the first, is the label. */
static rt_status count_right(trial *q, rt_teacher *t, const rt_progress *progress, uint64_t *labelled, uint64_t *right)
{
    uint64_t row[BLOCK];
    int32_t y[BLOCK];
    size_t k = (size_t)q->classes;
    *labelled = *right = 0;
    for (uint64_t at = q->first; at < q->end; at += BLOCK) {
        int n = q->end - at < BLOCK ? (int)(q->end - at) : BLOCK;
        for (int i = 0; i < n; i++) row[i] = at + (uint64_t)i;
        RT_TRY(rt_check_stop());
        RT_TRY(rt_targets_read(q->y, row, n, y));
        RT_TRY(rt_source_read(q->x, row, n, q->raw));
        RT_TRY(rt_teacher_ask(t, &(rt_feed){.raw = q->raw, .row = row, .rows = n}, q->z));
        for (int i = 0; i < n; i++) {
            const float *z = q->z + (size_t)i * k;
            size_t best = 0;
            if (y[i] == RT_NO_LABEL) continue;
            for (size_t c = 1; c < k; c++) if (z[c] > z[best]) best = c;
            *labelled += 1;
            *right += best == (size_t)y[i];
        }
        rt_progress_update(progress, "choose", (double)(at + (uint64_t)n - q->first), (double)(q->end - q->first), 0,
                           "rows", rt_teacher_path(t));
    }
    return RT_OK;
}

/* A member opened anew, so that what it is bound to later is its own. */
static rt_status judge(trial *q, rt_mix *m, int i, const rt_teacher_binding *b)
{
    rt_teacher *t;
    int count;
    uint64_t right = 0;
    const rt_head *head = rt_teacher_heads(m->member[0], &count);
    rt_teacher_binding to = *b;
    to.source = q->x;
    to.id = q->id;
    to.marks = 0;
    to.notes = NULL;
    RT_TRY(rt_mix_open_member(&t, m, i));
    rt_status st = rt_teacher_bind(t, &to);
    if (!st) st = rt_teacher_ready(t, b->device, 0, NULL, 0);
    if (!st) st = rt_teacher_answer_as(t, head, count, rt_teacher_path(m->member[0]), RT_MATCH_NAMES);
    if (!st) st = count_right(q, t, b->progress, &m->judged, &right);
    rt_teacher_close(t);
    if (!st && !m->judged)
        st = rt_fail(RT_NOTHING, "teacher.validation: %s: no row of '%s' has a label to choose by", m->judge.source,
                     m->judge.y);
    if (!st) m->accuracy[i] = (double)right / (double)m->judged;
    return st ? rt_fail_in(st, "teacher.validation") : RT_OK;
}

/* The rows that it was chosen on count as seen. */
static rt_status note_past(rt_mix *m, uint64_t rows)
{
    m->past = cJSON_CreateObject();
    cJSON *list = cJSON_AddArrayToObject(m->past, "seen");
    rt_seen_run run = {.data = m->data[0].hex, .source_rows = rows, .rows = {.range = m->judge.rows, .test_seed = 1}};
    return list ? rt_seen_add(list, &run) : rt_fail(RT_RUN, "out of memory");
}

static void say(const rt_mix *m, const rt_teacher_binding *b)
{
    char text[600];
    int best = m->chosen;
    int n = snprintf(text, sizeof text, "of the teachers, %.200s is the best on %llu labelled rows: accuracy %.4f",
                     rt_teacher_path(m->member[best]), (unsigned long long)m->judged, m->accuracy[best]);
    for (int i = 0; i < m->members && n < 400; i++)
        if (i != best)
            n += snprintf(text + n, sizeof text - (size_t)n, "; %.100s %.4f", rt_teacher_path(m->member[i]),
                          m->accuracy[i]);
    if (b->notes) cJSON_AddItemToArray(b->notes, cJSON_CreateString(text));
}

rt_status rt_mix_choose(rt_mix *m, const rt_teacher_binding *b)
{
    trial q = {.x = NULL};
    int best = 0;
    rt_status st = begin(&q, m, b);
    for (int i = 0; i < m->members && !st; i++) {
        st = judge(&q, m, i, b);
        if (!st && m->accuracy[i] > m->accuracy[best]) best = i;
    }
    if (!st) st = note_past(m, rt_source_rows(q.x));
    if (!st) {
        m->chosen = best;
        say(m, b);
    }
    free(q.raw);
    free(q.z);
    rt_targets_close(q.y);
    rt_identity_close(q.id);
    rt_source_close(q.x);
    return st;
}
