#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "experiments/registry/history_parts.h"
#include "experiments/report/report_parts.h"

static void put_words(rt_string *t, const cJSON *list, const char *before)
{
    for (const cJSON *e = list ? list->child : NULL; e; e = e->next) {
        rt_put(t, "%s%s", t->n ? ", " : "", before);
        rt_put_plain(t, cJSON_GetStringValue(e));
    }
}

static void put_range(rt_string *t, double v, double lo, double hi, const char *form)
{
    if (!isfinite(v)) rt_put(t, "-");
    else rt_put(t, form, v);
    if (isfinite(v) && isfinite(lo) && isfinite(hi)) rt_put(t, " [%.4g, %.4g]", lo, hi);
}

enum { COLUMNS = 5 };
static const struct { const char *title; int least; } columns[COLUMNS] = {
    {"version", 16}, {"value", 26}, {"drop", 10}, {"drop since the anchor", 30}, {"gate", 13}};

static void fill(rt_string c[COLUMNS], const cJSON *v)
{
    const cJSON *gate = rt_member(v, "gate");
    for (int i = 0; i < COLUMNS; i++) c[i] = (rt_string){0};
    rt_put_plain(&c[0], rt_text(v, "version"));
    put_range(&c[1], rt_number(v, "value"), rt_number(v, "lo"), rt_number(v, "hi"), "%.6g");
    put_range(&c[2], rt_number(v, "step"), NAN, NAN, "%+.4g");
    put_range(&c[3], rt_number(v, "drop"), rt_number(v, "drop_lo"), rt_number(v, "drop_hi"), "%+.4g");
    if (cJSON_IsObject(gate)) rt_put_plain(&c[4], rt_text(gate, "verdict"));
    else rt_put(&c[4], "-");
}

/* Columns are as wide as what stands in them: nothing is cut off. */
static void measure(int width[COLUMNS], const cJSON *versions)
{
    for (int i = 0; i < COLUMNS; i++) width[i] = columns[i].least;
    for (const cJSON *v = versions->child; v; v = v->next) {
        rt_string c[COLUMNS];
        fill(c, v);
        for (int i = 0; i < COLUMNS; i++) {
            if ((int)c[i].n > width[i]) width[i] = (int)c[i].n;
            free(c[i].p);
        }
    }
}

static void put_version(rt_string *t, const cJSON *h, const cJSON *v, const int width[COLUMNS], int had)
{
    rt_string c[COLUMNS], last = {0};
    int speed = !strcmp(rt_text(h, "kind"), "speed");
    fill(c, v);
    for (int i = 0; i < COLUMNS; i++) {
        rt_put_padded(t, c[i].p ? c[i].p : "", width[i]);
        rt_put(t, " ");
        t->failed |= c[i].failed;
        free(c[i].p);
    }
    if (had && cJSON_IsFalse(rt_member(v, "joined")))
        rt_put(&last, "%s", speed ? "another machine" : "another test set");
    put_words(&last, rt_member(v, "tags"), "");
    put_words(&last, rt_member(v, "releases"), "anchor of release ");
    if (last.p) rt_put_bytes(t, last.p, last.n);
    rt_put(t, "\n");
    t->failed |= last.failed;
    free(last.p);
}

char *rt_history_screen(const cJSON *h)
{
    rt_string t = {0};
    rt_put_plain(&t, rt_text(h, "name"));
    rt_put(&t, ": ");
    rt_put_plain(&t, rt_text(h, "metric"));
    rt_put(&t, ", %s is better; a drop is in the bad direction, since the anchor of pairs of rows where it has an "
           "interval\n", strcmp(rt_text(h, "better"), "higher") ? "lower" : "higher");
    if (isfinite(rt_number(h, "decisions")))
        rt_put(&t, "the newest gate's test set has been used for %.0f decision%s\n", rt_number(h, "decisions"),
               rt_number(h, "decisions") == 1 ? "" : "s");
    int had = 0, width[COLUMNS];
    measure(width, rt_member(h, "versions"));
    rt_put(&t, "\n");
    for (int i = 0; i < COLUMNS; i++) rt_put(&t, "%-*s%s", width[i], columns[i].title, i < COLUMNS - 1 ? " " : "\n");
    for (const cJSON *v = rt_member(h, "versions")->child; v; v = v->next) {
        put_version(&t, h, v, width, had);
        had |= isfinite(rt_number(v, "value"));
    }
    for (const cJSON *n = rt_member(h, "notes")->child; n; n = n->next) {
        rt_put(&t, "note: ");
        rt_put_plain(&t, n->valuestring);
        rt_put(&t, "\n");
    }
    if (*rt_text(h, "page")) {
        rt_put(&t, "page: ");
        rt_put_plain(&t, rt_text(h, "page"));
        rt_put(&t, "\n");
    }
    if (t.failed) free(t.p);
    return t.failed ? NULL : t.p;
}
