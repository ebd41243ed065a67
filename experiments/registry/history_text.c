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

static void put_column(rt_string *t, rt_string *text, int width)
{
    rt_put_padded(t, text->p ? text->p : "", width);
    rt_put(t, " ");
    t->failed |= text->failed;
    free(text->p);
    *text = (rt_string){0};
}

static void put_range(rt_string *t, double v, double lo, double hi, const char *form)
{
    if (!isfinite(v)) rt_put(t, "-");
    else rt_put(t, form, v);
    if (isfinite(v) && isfinite(lo) && isfinite(hi)) rt_put(t, " [%.4g, %.4g]", lo, hi);
}

static void put_version(rt_string *t, const cJSON *h, const cJSON *v, int had)
{
    rt_string c = {0};
    const cJSON *gate = rt_member(v, "gate");
    int speed = !strcmp(rt_text(h, "kind"), "speed");
    rt_put_plain(&c, rt_text(v, "version"));
    put_column(t, &c, 16);
    put_range(&c, rt_number(v, "value"), rt_number(v, "lo"), rt_number(v, "hi"), "%.6g");
    put_column(t, &c, 26);
    put_range(&c, rt_number(v, "step"), NAN, NAN, "%+.4g");
    put_column(t, &c, 10);
    put_range(&c, rt_number(v, "drop"), rt_number(v, "drop_lo"), rt_number(v, "drop_hi"), "%+.4g");
    put_column(t, &c, 30);
    if (cJSON_IsObject(gate)) rt_put_plain(&c, rt_text(gate, "verdict"));
    else rt_put(&c, "-");
    put_column(t, &c, 13);
    if (had && cJSON_IsFalse(rt_member(v, "joined"))) rt_put(&c, "%s", speed ? "another machine" : "another test set");
    put_words(&c, rt_member(v, "tags"), "");
    put_words(&c, rt_member(v, "releases"), "anchor of release ");
    if (c.p) rt_put_bytes(t, c.p, c.n);
    rt_put(t, "\n");
    t->failed |= c.failed;
    free(c.p);
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
    rt_put(&t, "\n%-16s %-26s %-10s %-30s %-13s\n", "version", "value", "drop", "drop since the anchor", "gate");
    int had = 0;
    for (const cJSON *v = rt_member(h, "versions")->child; v; v = v->next) {
        put_version(&t, h, v, had);
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
