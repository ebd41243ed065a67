/* experiments/registry/history_plot.c - figures of a history: a metric by version, and its drop since the anchor. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "experiments/registry/history_parts.h"
#include "experiments/report/report_axes.h"
#include "experiments/report/report_parts.h"

enum { LEFT = RT_PLOT_LEFT, TOP = RT_PLOT_TOP, BOTTOM = RT_PLOT_BOTTOM, LETTER = 7, ROOM = 34 };

static const cJSON *first_version(const cJSON *h)
{
    const cJSON *v = rt_member(h, "versions");
    return v ? v->child : NULL;
}

/* What comes from a file that anybody may have written, and has no place on an axis, is left out. */
static double placed(const cJSON *v, const char *key)
{
    double x = rt_number(v, key);
    return fabs(x) <= 1e15 ? x : NAN;
}

/* ---- marks ---- */

const char *rt_history_mark(const cJSON *version)
{
    const char *verdict = rt_text(rt_member(version, "gate"), "verdict");
    if (!strcmp(verdict, "pass") || !strcmp(verdict, "regression") || !strcmp(verdict, "undecided")) return verdict;
    return *verdict ? "not measured" : "no gate";
}

/* Told apart by form and by colour. */
void rt_put_mark(rt_string *t, const char *mark, double x, double y)
{
    if (!strcmp(mark, "pass")) rt_put(t, "<circle class=\"vp\" cx=\"%.1f\" cy=\"%.1f\" r=\"5\"/>", x, y);
    else if (!strcmp(mark, "regression"))
        rt_put(t, "<path class=\"vr\" d=\"M%.1f %.1fl10 10m0 -10l-10 10\"/>", x - 5, y - 5);
    else if (!strcmp(mark, "undecided"))
        rt_put(t, "<path class=\"vu\" d=\"M%.1f %.1fl6 6l-6 6l-6 -6z\"/>", x, y - 6);
    else if (!strcmp(mark, "no gate")) rt_put(t, "<circle class=\"vn\" cx=\"%.1f\" cy=\"%.1f\" r=\"4\"/>", x, y);
    else rt_put(t, "<rect class=\"vn\" x=\"%.1f\" y=\"%.1f\" width=\"8\" height=\"8\"/>", x - 4, y - 4);
}

/* ---- the frame ---- */

typedef struct {
    const cJSON *h;
    rt_axis x, y;
    int count;
    const char *value, *lo, *hi;       /* members of a version */
} plot;

/* Around all values and their intervals, and around `also` where it is finite. */
static rt_axis axis_of(const plot *p, double also, double more, int width, int height)
{
    int n = 0;
    double *v = malloc((3 * (size_t)p->count + 2) * sizeof *v);
    if (!v) return rt_axis_between(0, 1, width, height);
    for (const cJSON *e = first_version(p->h); e; e = e->next) {
        if (!isfinite(placed(e, p->value))) continue;
        v[n++] = placed(e, p->value);
        v[n++] = placed(e, p->lo);
        v[n++] = placed(e, p->hi);
    }
    v[n++] = also;
    v[n++] = more;
    rt_axis a = rt_axis_of(v, n, 0, width, height);
    free(v);
    return a;
}

/* Numbers of versions, as many as have room. */
static void version_ticks(rt_string *t, const plot *p)
{
    int fit = (p->x.width - LEFT) / ROOM, step = 1, i = 0;
    static const int steps[] = {1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 20000, 50000};
    for (int k = 0; k < 15 && p->count / step > fit; k++) step = steps[k];
    for (const cJSON *v = first_version(p->h); v; v = v->next, i++) {
        rt_string label = {0};
        if (i % step) continue;
        rt_put(&label, "%.0f", rt_number(v, "number"));
        rt_tick_x(t, &p->x, rt_place_x(&p->x, i), label.p ? label.p : "");
        t->failed |= label.failed;
        free(label.p);
    }
}

/* Lines down through the plot: releases, and where a machine or test set ends. */
static void put_events(rt_string *t, const plot *p)
{
    int i = 0, had = 0;
    double free_from = 0;
    for (const cJSON *v = first_version(p->h); v; v = v->next, i++) {
        double x = rt_place_x(&p->x, i);
        const cJSON *releases = rt_member(v, "releases");
        if (isfinite(placed(v, "value"))) {
            if (had && cJSON_IsFalse(rt_member(v, "joined")))
                rt_put(t, "<line class=\"gap\" x1=\"%.1f\" y1=\"%d\" x2=\"%.1f\" y2=\"%d\"/>",
                       rt_place_x(&p->x, i - 0.5), TOP, rt_place_x(&p->x, i - 0.5), p->x.height - BOTTOM);
            had = 1;
        }
        if (!releases || !releases->child) continue;
        rt_put(t, "<g><title>anchor of release ");
        rt_put_html(t, cJSON_GetStringValue(releases->child));
        rt_put(t, "</title><line class=\"anchor\" x1=\"%.1f\" y1=\"%d\" x2=\"%.1f\" y2=\"%d\"/>", x, TOP, x,
               p->x.height - BOTTOM);
        const char *name = cJSON_GetStringValue(releases->child);
        double wide = LETTER * (double)strlen(name ? name : "") + 14;
        if (x >= free_from && x + wide < p->x.width) {
            rt_put(t, "<text class=\"n\" x=\"%.1f\" y=\"%d\">", x + 4, TOP + 12);
            rt_put_html(t, name);
            rt_put(t, "</text>");
            free_from = x + wide;
        }
        rt_put(t, "</g>");
    }
}

/* ---- values ---- */

static int colour_of(const cJSON *h, const cJSON *v)
{
    double place = rt_number(v, strcmp(rt_text(h, "kind"), "speed") ? "test_set" : "machine");
    return place >= 0 && place < 1e6 ? (int)place % RT_PALETTE : 0;
}

/* A line for each run of versions that can be compared. */
static void put_lines(rt_string *t, const plot *p, const char *joined)
{
    int i = 0, open = 0;
    for (const cJSON *v = first_version(p->h); v; v = v->next, i++) {
        double y = placed(v, p->value);
        if (!isfinite(y)) continue;
        if (open && !cJSON_IsTrue(rt_member(v, joined))) {
            rt_put(t, "\"/>");
            open = 0;
        }
        if (!open++)
            rt_put(t, "<polyline fill=\"none\" stroke-width=\"1.6\" stroke=\"%s\" points=\"",
                   rt_palette[colour_of(p->h, v)]);
        rt_put(t, "%.1f,%.1f ", rt_place_x(&p->x, i), rt_place_y(&p->y, y));
    }
    if (open) rt_put(t, "\"/>");
}

static void put_tags(rt_string *t, const cJSON *v, double x, double y, int width)
{
    const cJSON *tags = rt_member(v, "tags");
    if (!tags || !tags->child) return;
    rt_put(t, "<text class=\"n\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\">", x, y, x > width - 60 ? "end" : "middle");
    for (const cJSON *tag = tags->child; tag; tag = tag->next) {
        rt_put_html(t, cJSON_GetStringValue(tag));
        if (tag->next) rt_put(t, ", ");
    }
    rt_put(t, "</text>");
}

static void put_values(rt_string *t, const plot *p, int tags)
{
    int i = 0;
    for (const cJSON *v = first_version(p->h); v; v = v->next, i++) {
        double value = placed(v, p->value), lo = placed(v, p->lo), hi = placed(v, p->hi), x = rt_place_x(&p->x, i);
        if (!isfinite(value)) continue;
        double y = rt_place_y(&p->y, value), top = y;
        rt_put(t, "<g><title>");
        rt_put_html(t, rt_text(v, "version"));
        rt_put(t, ": %.6g", value);
        if (isfinite(lo) && isfinite(hi)) rt_put(t, " [%.6g, %.6g]", lo, hi);
        rt_put(t, ", %s</title>", rt_history_mark(v));
        if (isfinite(lo) && isfinite(hi)) {
            double low = rt_place_y(&p->y, lo), high = rt_place_y(&p->y, hi);
            rt_put(t, "<path class=\"wh\" d=\"M%.1f %.1fV%.1fM%.1f %.1fh6M%.1f %.1fh6\"/>", x, low, high, x - 3, low,
                   x - 3, high);
            top = fmin(top, high);
        }
        rt_put_mark(t, rt_history_mark(v), x, y);
        if (tags) put_tags(t, v, x, fmax(TOP + 10, top - 6), p->x.width);
        rt_put(t, "</g>");
    }
}

static int has(const cJSON *h, const char *key)
{
    for (const cJSON *v = first_version(h); v; v = v->next) if (isfinite(placed(v, key))) return 1;
    return 0;
}

static void begin(rt_string *t, const plot *p, const char *title, const char *what, const char *y_title)
{
    rt_put(t, "<svg viewBox=\"0 0 %d %d\" width=\"%d\" height=\"%d\" role=\"img\"><title>", p->x.width, p->x.height,
           p->x.width, p->x.height);
    rt_put_html(t, title);
    rt_put(t, "</title><desc>");
    rt_put_html(t, what);
    rt_put(t, "</desc>");
    rt_plot_frame(t, p->x.width, p->x.height, "version", strlen(y_title) > 40 ? "value" : y_title);
    version_ticks(t, p);
    rt_ticks(t, &p->y, 1);
}

void rt_plot_history(rt_string *t, const cJSON *h, int width, int height)
{
    plot p = {.h = h, .count = cJSON_GetArraySize(rt_member(h, "versions")), .value = "value", .lo = "lo", .hi = "hi"};
    rt_string title = {0}, what = {0};
    if (!has(h, "value")) return;
    p.x = rt_axis_between(-0.5, p.count - 0.5, width, height);
    p.y = axis_of(&p, NAN, NAN, width, height);
    rt_put(&title, "%s of %s by version", rt_text(h, "metric"), rt_text(h, "name"));
    rt_put(&what,
           "%d versions. Whiskers are intervals, marks what the gate decided, dashed lines releases; dotted ones "
           "stand where %s ends. The table below has every number.",
           p.count, strcmp(rt_text(h, "kind"), "speed") ? "a test set" : "a machine");
    begin(t, &p, title.p, what.p, rt_text(h, "metric"));
    put_events(t, &p);
    put_lines(t, &p, "joined");
    put_values(t, &p, 1);
    rt_put(t, "</svg>");
    t->failed |= title.failed || what.failed;
    free(title.p);
    free(what.p);
}

/* The limit of the newest verdict that has one. */
static double limit_of(const cJSON *h)
{
    double limit = NAN;
    for (const cJSON *v = first_version(h); v; v = v->next)
        if (isfinite(placed(v, "drop_limit"))) limit = placed(v, "drop_limit");
    return limit;
}

void rt_plot_drift(rt_string *t, const cJSON *h, int width, int height)
{
    plot p = {.h = h, .count = cJSON_GetArraySize(rt_member(h, "versions")), .value = "drop", .lo = "drop_lo",
              .hi = "drop_hi"};
    double limit = limit_of(h);
    if (!has(h, "drop")) return;
    p.x = rt_axis_between(-0.5, p.count - 0.5, width, height);
    p.y = axis_of(&p, 0, limit, width, height);
    begin(t, &p, "Drop since the anchor by version",
          "Above 0 the version is worse than the anchor that was in force. Whiskers are intervals of pairs of rows; "
          "the dashed line across is the limit that the policy allows.", "drop since the anchor");
    put_events(t, &p);
    rt_put(t, "<line class=\"l\" x1=\"%d\" y1=\"%.1f\" x2=\"%d\" y2=\"%.1f\"/>", LEFT, rt_place_y(&p.y, 0),
           width - RT_PLOT_RIGHT, rt_place_y(&p.y, 0));
    if (isfinite(limit)) {
        double y = rt_place_y(&p.y, limit);
        rt_put(t, "<g><title>limit %.6g</title><line class=\"limit\" x1=\"%d\" y1=\"%.1f\" x2=\"%d\" y2=\"%.1f\"/>",
               limit, LEFT, y, width - RT_PLOT_RIGHT, y);
        rt_put(t, "<text class=\"n\" x=\"%d\" y=\"%.1f\" text-anchor=\"end\">limit %.4g</text></g>",
               width - RT_PLOT_RIGHT - 4, y - 4, limit);
    }
    put_lines(t, &p, "drop_joined");
    put_values(t, &p, 0);
    rt_put(t, "</svg>");
}
