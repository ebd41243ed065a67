/* experiments/eval/find_slices.c - where a candidate is worse, sought on one half of the rows and confirmed on the
 * other. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "experiments/eval/comparison_parts.h"
#include "experiments/eval/comparison_result.h"
#include "experiments/statistics/statistics.h"

enum { LEAST = 20, SINGLES = 400, KEPT = 4 * RT_FOUND_MOST };

/* A slice on trial: the rows of both halves, one behind the other. */
typedef struct {
    const rt_slice *one, *two;         /* two NULL: of one column */
    uint32_t *row[2];                  /* of the half that is searched, of the one that confirms */
    uint64_t rows[2];
    rt_delta delta;                    /* on the half that is searched */
    double score;                      /* Tango's, of no drop */
} trial;

typedef struct {
    rt_comparison *c;
    const rt_question *q;
    const rt_slice *single[SINGLES];
    int singles;
    unsigned char *in;                 /* (n) room for a mark a row */
    trial kept[KEPT + 1];
    int count;
} search;

static int half_of(const rt_comparison *c, uint32_t row) { return (int)(c->id_hash[row] & 1); }

static void drop_trial(trial *t)
{
    free(t->row[0]);
    free(t->row[1]);
}

/* The rows of one slice, or that are in both. */
static rt_status take_rows(search *s, trial *t)
{
    uint64_t most = t->one->rows + 1;
    t->row[0] = malloc(most * sizeof **t->row);
    t->row[1] = malloc(most * sizeof **t->row);
    if (!t->row[0] || !t->row[1]) return rt_fail(RT_RUN, "out of memory");
    for (uint64_t i = 0; t->two && i < t->two->rows; i++) s->in[t->two->row[i]] = 1;
    for (uint64_t i = 0; i < t->one->rows; i++) {
        uint32_t row = t->one->row[i];
        int half = half_of(s->c, row);
        if (!t->two || s->in[row]) t->row[half][t->rows[half]++] = row;
    }
    for (uint64_t i = 0; t->two && i < t->two->rows; i++) s->in[t->two->row[i]] = 0;
    return RT_OK;
}

static rt_status ask_half(const search *s, const trial *t, int half, rt_delta *d)
{
    rt_slice part = {.column = "", .value = "", .rows = t->rows[half], .row = t->row[half]};
    rt_question q = *s->q;
    q.slice = &part;
    q.limit = 0;
    return rt_comparison_ask(s->c, &q, d);
}

static uint64_t least_rows(const search *s)
{
    uint64_t part = s->c->n / 200;
    return part > LEAST ? part : LEAST;
}

/* Keeps the trials of the largest scores. */
static rt_status consider(search *s, const rt_slice *one, const rt_slice *two)
{
    trial t = {.one = one, .two = two};
    rt_status st = take_rows(s, &t);
    if (!st && t.rows[0] >= least_rows(s)) st = ask_half(s, &t, 0, &t.delta);
    int at = s->count;
    if (!st && t.rows[0] >= least_rows(s) && !t.delta.status && t.delta.drop > 0 && t.delta.p_limit < 0.05) {
        t.score = rt_tango_score(t.delta.b, t.delta.c, t.delta.n, 0);
        while (at > 0 && s->kept[at - 1].score < t.score) at--;
    } else at = KEPT;
    if (st || at == KEPT) {
        drop_trial(&t);
        return st;
    }
    if (s->count == KEPT) drop_trial(&s->kept[--s->count]);
    memmove(&s->kept[at + 1], &s->kept[at], (size_t)(s->count - at) * sizeof *s->kept);
    s->kept[at] = t;
    s->count++;
    return RT_OK;
}

/* Whether all rows of a are rows of b, on the half that is searched. */
static int within(search *s, const trial *a, const trial *b)
{
    uint64_t n = 0;
    if (a->rows[0] > b->rows[0]) return 0;
    for (uint64_t i = 0; i < b->rows[0]; i++) s->in[b->row[0][i]] = 1;
    for (uint64_t i = 0; i < a->rows[0]; i++) n += s->in[a->row[0][i]];
    for (uint64_t i = 0; i < b->rows[0]; i++) s->in[b->row[0][i]] = 0;
    return n == a->rows[0];
}

/* A slice within another says nothing new unless it is much worse; the larger one around a much worse one is the worse
 * one's shadow, but stands for itself. */
static void fold(search *s)
{
    unsigned char folded[KEPT] = {0};
    for (int i = 0; i < s->count; i++)
        for (int k = 0; k < s->count && !folded[i]; k++) {
            const trial *a = &s->kept[i], *b = &s->kept[k];
            if (i == k || folded[k] || !within(s, a, b)) continue;
            int same = a->rows[0] == b->rows[0], simpler = !b->two && a->two;
            folded[i] = same ? simpler || (k < i && !(!a->two && b->two)) : a->delta.drop < 1.5 * b->delta.drop;
        }
    int n = 0;
    for (int i = 0; i < s->count; i++) {
        if (folded[i]) drop_trial(&s->kept[i]);
        else s->kept[n++] = s->kept[i];
    }
    s->count = n;
}

static rt_status all_singles(search *s)
{
    const char *const *names;
    int columns = rt_comparison_columns(s->c, s->q->head, &names);
    for (int i = 0; i < columns; i++) {
        const rt_slice *list;
        int count;
        RT_TRY(rt_comparison_slices(s->c, s->q->head, names[i], &list, &count));
        for (int k = 0; k < count && s->singles < SINGLES; k++)
            if (list[k].rows >= 2 * least_rows(s) && 20 * list[k].rows < 19 * s->c->n)
                s->single[s->singles++] = &list[k];
    }
    return RT_OK;
}

static void name_found(const trial *t, rt_found_slice *f)
{
    snprintf(f->name[0], sizeof f->name[0], "%.60s = %.90s", t->one->column, t->one->value);
    if (t->two) snprintf(f->name[1], sizeof f->name[1], "%.60s = %.90s", t->two->column, t->two->value);
}

static rt_status confirm(search *s, rt_found_slice found[RT_FOUND_MOST], int *count)
{
    double p[RT_FOUND_MOST], adjusted[RT_FOUND_MOST];
    for (int i = 0; i < s->count && *count < RT_FOUND_MOST; i++) {
        rt_found_slice *f = &found[*count];
        *f = (rt_found_slice){.searched = s->kept[i].delta, .rows = s->kept[i].rows[0] + s->kept[i].rows[1]};
        name_found(&s->kept[i], f);
        RT_TRY(ask_half(s, &s->kept[i], 1, &f->confirmed));
        f->p = f->confirmed.status ? 1 : f->confirmed.p_limit;
        p[(*count)++] = f->p;
    }
    RT_TRY(rt_holm(p, *count, adjusted));
    for (int i = 0; i < *count; i++) found[i].adjusted = adjusted[i];
    return RT_OK;
}

/* One column, or the truth and the baseline's answer: together they choose the rows that the baseline has right, on
 * which any other model is worse. */
static int alike(const char *a, const char *b)
{
    int truth = !strcmp(a, "class") + !strcmp(b, "class"), answer = !strcmp(a, "predicted") + !strcmp(b, "predicted");
    return !strcmp(a, b) || (truth && answer);
}

rt_status rt_find_slices(rt_comparison *c, const rt_question *q, rt_found_slice found[RT_FOUND_MOST], int *count)
{
    search *s = calloc(1, sizeof *s);
    *count = 0;
    if (!s || !(s->in = calloc(c->n + 1, 1))) {
        free(s);
        return rt_fail(RT_RUN, "out of memory");
    }
    s->c = c;
    s->q = q;
    rt_status st = all_singles(s);
    for (int i = 0; i < s->singles && !st; i++) {
        st = consider(s, s->single[i], NULL);
        for (int k = 0; k < i && !st; k++)
            if (!alike(s->single[k]->column, s->single[i]->column)) st = consider(s, s->single[i], s->single[k]);
        if (!st) st = rt_check_stop();
    }
    if (!st) fold(s);
    if (!st) st = confirm(s, found, count);
    for (int i = 0; i < s->count; i++) drop_trial(&s->kept[i]);
    free(s->in);
    free(s);
    return st;
}
