#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "experiments/report_parts.h"
#include "student/metrics.h"
#include "experiments/statistics.h"

enum { MAX_POINTS = 32, PLOT_W = 460, PLOT_H = 300, LEFT = 62, RIGHT = 20, TOP = 16, BOTTOM = 44,
       MOST_TICKS = 20 };

static const char *const palette[] = {"#1f6feb", "#d1242f", "#1a7f37", "#9a6700",
                                      "#8250df", "#bf3989", "#0a7ea4", "#57606a"};
enum { PALETTE = sizeof palette / sizeof palette[0] };

typedef struct { double lo, hi; int log; } axis;

static axis axis_of(const double *v, int n, int log)
{
    axis a = {INFINITY, -INFINITY, log};
    for (int i = 0; i < n; i++) {
        if (!isfinite(v[i])) continue;
        double x = log ? log10(v[i]) : v[i];
        if (x < a.lo) a.lo = x;
        if (x > a.hi) a.hi = x;
    }
    if (!(a.lo <= a.hi)) { a.lo = 0; a.hi = 1; }
    double pad = (a.hi - a.lo) * 0.12;
    if (pad < 1e-9) pad = log ? 0.3 : fabs(a.hi) * 0.05 + 1e-6;
    a.lo -= pad;
    a.hi += pad;
    return a;
}

static double place_x(const axis *a, double v)
{
    return LEFT + ((a->log ? log10(v) : v) - a->lo) / (a->hi - a->lo) * (PLOT_W - LEFT - RIGHT);
}

static double place_y(const axis *a, double v)
{
    return PLOT_H - BOTTOM - (v - a->lo) / (a->hi - a->lo) * (PLOT_H - TOP - BOTTOM);
}

static void tick_x(rt_string *t, double x, const char *label)
{
    rt_put(t, "<line class=\"g\" x1=\"%.1f\" y1=\"%d\" x2=\"%.1f\" y2=\"%d\"/>", x, TOP, x, PLOT_H - BOTTOM);
    rt_put(t, "<text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%s</text>", x, PLOT_H - BOTTOM + 15, label);
}

static void tick_y(rt_string *t, double y, const char *label)
{
    rt_put(t, "<line class=\"g\" x1=\"%d\" y1=\"%.1f\" x2=\"%d\" y2=\"%.1f\"/>", LEFT, y, PLOT_W - RIGHT, y);
    rt_put(t, "<text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%s</text>", LEFT - 6, y + 4, label);
}

/* 1, 2, 5 of each power of ten, or the powers alone over more than two of them. */
static void log_ticks(rt_string *t, const axis *a)
{
    static const int digit[] = {1, 2, 5};
    int digits = a->hi - a->lo > 2 ? 1 : 3;
    for (int e = (int)floor(a->lo) - 1; e <= (int)ceil(a->hi); e++)
        for (int k = 0; k < digits; k++) {
            double v = digit[k] * pow(10, e);
            if (log10(v) < a->lo || log10(v) > a->hi) continue;
            rt_string label = {0};
            rt_put_si(&label, v);
            tick_x(t, place_x(a, v), label.p ? label.p : "");
            free(label.p);
        }
}

static void ticks(rt_string *t, const axis *a, int vertical)
{
    double span = a->hi - a->lo, step = pow(10, floor(log10(span / 4)));
    if (span / step > 8) step *= span / step > 16 ? 5 : 2;
    int decimals = step < 1 ? (int)ceil(-log10(step) - 1e-9) : 0;
    double first = ceil(a->lo / step);
    for (int i = 0; i < MOST_TICKS && (first + i) * step <= a->hi + 1e-12; i++) {
        double v = (first + i) * step + 0.0;       /* no -0 */
        rt_string label = {0};
        rt_put(&label, "%.*f", decimals, v);
        if (vertical) tick_y(t, place_y(a, v), label.p ? label.p : "");
        else tick_x(t, place_x(a, v), label.p ? label.p : "");
        free(label.p);
    }
}

static void open_plot(rt_string *t, const char *x_title, const char *y_title)
{
    rt_put(t, "<svg viewBox=\"0 0 %d %d\" width=\"%d\" height=\"%d\" role=\"img\" aria-label=\"%s by %s\">", PLOT_W,
           PLOT_H, PLOT_W, PLOT_H, y_title, x_title);
    rt_put(t, "<rect class=\"f\" x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\"/>", LEFT, TOP, PLOT_W - LEFT - RIGHT,
           PLOT_H - TOP - BOTTOM);
    rt_put(t, "<text class=\"t\" x=\"%d\" y=\"%d\" text-anchor=\"middle\">%s</text>", (LEFT + PLOT_W - RIGHT) / 2,
           PLOT_H - 8, x_title);
    rt_put(t, "<text class=\"t\" transform=\"translate(14 %d) rotate(-90)\" text-anchor=\"middle\">%s</text>",
           (TOP + PLOT_H - BOTTOM) / 2, y_title);
}

/* ---- accuracy against cost ---- */

typedef struct { double x0, y0, x1, y1; } box;

static int overlap(const box *a, const box *b)
{
    return a->x0 < b->x1 && b->x0 < a->x1 && a->y0 < b->y1 && b->y0 < a->y1;
}

typedef struct {
    double x[MAX_POINTS], y[MAX_POINTS];           /* in the picture */
    const char *name[MAX_POINTS];
    int n, on[MAX_POINTS];                         /* on: on the Pareto front */
} points;

/* Where the name of point i goes: the first of some places around it that meets no point and no name set before. Below
 * it and to its right is free of the front, which rises that way. */
static box label_place(const points *p, int i, const box *taken)
{
    static const int at[][2] = {{1, 14}, {1, -7}, {-1, -7}, {-1, 14}, {1, -22}, {1, 29}, {-1, -22}, {-1, 29}, {1, -37},
                                {1, 44}, {-1, -37}, {-1, 44}, {1, -52}, {1, 59}, {-1, -52}, {-1, 59}};
    enum { PLACES = sizeof at / sizeof at[0] };
    size_t letters = strlen(p->name[i]);
    double width = 7.0 * (double)(letters < 24 ? letters : 24);
    box first = {0}, b;
    for (int k = 0; k < PLACES; k++) {
        double x = p->x[i] + 9 * at[k][0], y = p->y[i] + at[k][1];
        int free = 1;
        b = (box){at[k][0] > 0 ? x : x - width, y - 11, at[k][0] > 0 ? x + width : x, y + 3};
        if (b.x0 < LEFT || b.x1 > PLOT_W || b.y0 < 0 || b.y1 > PLOT_H - BOTTOM) continue;
        for (int q = 0; q < p->n; q++) {
            box point = {p->x[q] - 6, p->y[q] - 6, p->x[q] + 6, p->y[q] + 6};
            free &= !overlap(&b, &point) && (q >= i || !overlap(&b, &taken[q]));
        }
        if (free) return b;
        if (first.x1 == 0) first = b;
    }
    return first;
}

static void put_points(rt_string *t, const points *p)
{
    box taken[MAX_POINTS];
    for (int i = 0; i < p->n; i++) {
        taken[i] = label_place(p, i, taken);
        rt_put(t, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"5\" fill=\"%s\"%s/>", p->x[i], p->y[i], palette[i % PALETTE],
               p->on[i] ? "" : " fill-opacity=\"0.45\"");
        int left = taken[i].x1 < p->x[i];
        rt_put(t, "<text class=\"n\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\">", left ? taken[i].x1 : taken[i].x0,
               taken[i].y1 - 3, left ? "end" : "start");
        char name[100];
        int bytes = 0, letters = 0;                /* of whole characters */
        for (; p->name[i][bytes] && bytes < 96; bytes++) {
            letters += (p->name[i][bytes] & 0xc0) != 0x80;
            if (letters > 24) break;
        }
        memcpy(name, p->name[i], (size_t)bytes);
        name[bytes] = 0;
        rt_put_html(t, name);
        rt_put(t, "%s</text>", p->name[i][bytes] ? "&hellip;" : "");
    }
}

static int by_x(const void *a, const void *b)
{
    const double *x = a, *y = b;
    return x[0] < y[0] ? -1 : x[0] > y[0];
}

void rt_plot_scatter(rt_string *t, const cJSON *e, const char *y_key, const char *title, const char *x_title,
                     double (*x_of)(const cJSON *))
{
    double x[MAX_POINTS], y[MAX_POINTS], front[MAX_POINTS][2];
    points p = {0};
    int k = 0;
    for (const cJSON *m = rt_first_model(e); m && p.n < MAX_POINTS; m = m->next) {
        x[p.n] = x_of(m);
        y[p.n] = rt_number(m, y_key);
        p.name[p.n] = rt_model_name(m);
        if (isfinite(x[p.n]) && x[p.n] > 0 && isfinite(y[p.n])) p.n++;
    }
    if (!p.n) return;
    axis ax = axis_of(x, p.n, 1), ay = axis_of(y, p.n, 0);
    rt_pareto(y, x, p.n, p.on);
    rt_put(t, "<figure><figcaption>%s</figcaption>", title);
    open_plot(t, x_title, y_key);
    log_ticks(t, &ax);
    ticks(t, &ay, 1);
    for (int i = 0; i < p.n; i++) {
        p.x[i] = place_x(&ax, x[i]);
        p.y[i] = place_y(&ay, y[i]);
        if (!p.on[i]) continue;
        front[k][0] = p.x[i];
        front[k++][1] = p.y[i];
    }
    qsort(front, (size_t)k, sizeof front[0], by_x);
    rt_put(t, "<polyline class=\"p\" points=\"");
    for (int i = 0; i < k; i++) rt_put(t, "%.1f,%.1f ", front[i][0], front[i][1]);
    rt_put(t, "\"/>");
    put_points(t, &p);
    rt_put(t, "</svg></figure>");
}

/* ---- training curves, reliability ---- */

static const cJSON *history(const cJSON *m)
{
    const cJSON *h = rt_member(m, "history");
    return h ? h->child : NULL;
}

/* Curves come from a file that anybody may have written: what has no place on an axis is left out. */
static int has_place(double x, double y) { return fabs(x) <= 1e15 && fabs(y) <= 1e15; }

static int has_curve(const cJSON *m, const char *key)
{
    for (const cJSON *h = history(m); h; h = h->next)
        if (has_place(rt_number(h, "epoch"), rt_number(h, key))) return 1;
    return 0;
}

typedef struct { const char *key, *other; } measure;

static const char *key_of(const cJSON *m, const measure *q)
{ return q->other && !has_curve(m, q->key) ? q->other : q->key; }

/* The corners of all curves; 0 where there are none. */
static int extent(const cJSON *e, const measure *q, double xs[2], double ys[2])
{
    int any = 0;
    for (const cJSON *m = rt_first_model(e); m; m = m->next) {
        const char *key = key_of(m, q);
        for (const cJSON *h = history(m); h; h = h->next) {
            double x = rt_number(h, "epoch"), y = rt_number(h, key);
            if (!has_place(x, y)) continue;
            xs[0] = any ? fmin(xs[0], x) : x;
            xs[1] = any ? fmax(xs[1], x) : x;
            ys[0] = any ? fmin(ys[0], y) : y;
            ys[1] = any ? fmax(ys[1], y) : y;
            any = 1;
        }
    }
    return any;
}

void rt_plot_curves(rt_string *t, const cJSON *e, const char *name, const char *other, const char *title, int falls)
{
    const measure q = {name, other};
    double xs[2], ys[2];
    int i = 0, shown = 0, models = 0;
    if (!extent(e, &q, xs, ys)) return;
    for (const cJSON *m = rt_first_model(e); m; m = m->next) models += has_curve(m, key_of(m, &q));
    axis ax = axis_of(xs, 2, 0), ay = axis_of(ys, 2, 0);
    rt_put(t, "<figure><figcaption>Training curves: %s</figcaption>", title);
    open_plot(t, "epoch", title);
    ticks(t, &ax, 0);
    ticks(t, &ay, 1);
    for (const cJSON *m = rt_first_model(e); m; m = m->next, i++) {
        const char *key = key_of(m, &q);
        if (!has_curve(m, key)) continue;
        rt_put(t, "<polyline fill=\"none\" stroke-width=\"1.6\" stroke=\"%s\" points=\"", palette[i % PALETTE]);
        for (const cJSON *h = history(m); h; h = h->next) {
            double x = rt_number(h, "epoch"), y = rt_number(h, key);
            if (has_place(x, y)) rt_put(t, "%.1f,%.1f ", place_x(&ax, x), place_y(&ay, y));
        }
        int at = falls ? TOP + 16 + 15 * shown : PLOT_H - BOTTOM - 8 - 15 * (models - 1 - shown);
        shown++;
        rt_put(t, "\"/><text class=\"n\" x=\"%d\" y=\"%d\" style=\"fill:%s\" text-anchor=\"end\">",
               PLOT_W - RIGHT - 8, at, palette[i % PALETTE]);
        rt_put_html(t, rt_model_name(m));
        rt_put(t, "</text>");
    }
    rt_put(t, "</svg></figure>");
}

void rt_plot_reliability(rt_string *t, const cJSON *m, int index)
{
    axis a = {0, 1, 0};
    const cJSON *bins = rt_member(m, "reliability");
    if (!bins) return;
    rt_put(t, "<figure><figcaption>Reliability: ");
    rt_put_html(t, rt_model_name(m));
    rt_put(t, " (ECE %.4f)</figcaption>", rt_number(m, "ece"));
    open_plot(t, "confidence (15 equal bins; count above each bar)", "accuracy");
    ticks(t, &a, 0);
    ticks(t, &a, 1);
    rt_put(t, "<line class=\"p\" x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\"/>", place_x(&a, 0), place_y(&a, 0),
           place_x(&a, 1), place_y(&a, 1));
    int k = 0;
    for (const cJSON *b = bins->child; b; b = b->next, k++) {
        double x0 = place_x(&a, (double)k / RT_ECE_BINS), x1 = place_x(&a, (double)(k + 1) / RT_ECE_BINS);
        double y = place_y(&a, rt_number(b, "accuracy")), count = rt_number(b, "count");
        if (!(count > 0) || !isfinite(y)) continue;
        rt_put(t, "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" fill=\"%s\" fill-opacity=\"0.55\"/>",
               x0 + 1, y, x1 - x0 - 2, place_y(&a, 0) - y, palette[index % PALETTE]);
        rt_put(t, "<text class=\"s\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">%.0f</text>", (x0 + x1) / 2,
               y - 3 < TOP + 8 ? TOP + 8 : y - 3, count);
    }
    rt_put(t, "</svg></figure>");
}
