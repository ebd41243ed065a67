#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "experiments/report/report_axes.h"
#include "experiments/report/report_parts.h"
#include "student/metrics.h"
#include "experiments/statistics/statistics.h"

enum { MAX_POINTS = 32, PLOT_W = RT_PLOT_W, PLOT_H = RT_PLOT_H, LEFT = RT_PLOT_LEFT, RIGHT = RT_PLOT_RIGHT,
       TOP = RT_PLOT_TOP, BOTTOM = RT_PLOT_BOTTOM };

/* ---- accuracy against cost ---- */

typedef struct { double x0, y0, x1, y1; } box;

static int overlap(const box *a, const box *b)
{
    return a->x0 < b->x1 && b->x0 < a->x1 && a->y0 < b->y1 && b->y0 < a->y1;
}

typedef struct {
    double x[MAX_POINTS], y[MAX_POINTS];           /* in the picture */
    double low[MAX_POINTS], high[MAX_POINTS];      /* ends of the whisker; equal: none */
    const char *name[MAX_POINTS];
    int n, on[MAX_POINTS];                         /* on: on the Pareto front */
    double front[MAX_POINTS][2];                   /* its points by rising x */
    int fronts;
} points;

enum { LETTERS = 24, LETTER = 7, LINE = 14 };

/* Bytes of at most LETTERS whole characters. */
static int cut_name(const char *name, int *letters)
{
    int bytes = 0, n = 0;
    for (; name[bytes] && bytes < 96; bytes++) {
        if ((name[bytes] & 0xc0) == 0x80) continue;
        if (n == LETTERS) break;
        n++;
    }
    *letters = n + (name[bytes] != 0);
    return bytes;
}

static int is_free(const points *p, const box *b, const box *taken, int set)
{
    if (b->x0 < LEFT || b->x1 > PLOT_W || b->y0 < 0 || b->y1 > PLOT_H - BOTTOM) return 0;
    for (int q = 0; q < p->n; q++) {
        box point = {p->x[q] - 6, fmin(p->y[q] - 6, p->high[q]), p->x[q] + 6, fmax(p->y[q] + 6, p->low[q])};
        if (overlap(b, &point) || (q < set && overlap(b, &taken[q]))) return 0;
    }
    for (int k = 1; k < p->fronts; k++)
        for (int s = 0; s <= 40; s++) {            /* the line between two points of the front */
            double x = p->front[k - 1][0] + (p->front[k][0] - p->front[k - 1][0]) * s / 40,
                   y = p->front[k - 1][1] + (p->front[k][1] - p->front[k - 1][1]) * s / 40;
            if (x > b->x0 && x < b->x1 && y > b->y0 && y < b->y1) return 0;
        }
    return 1;
}

/* Where the name of point i goes: of all places that meet no point, no name set before and not the
 * front the nearest. Where there is none (many long names), x0 is negative, and
 * the name stands in the list below the plot alone. */
static box label_place(const points *p, int i, const box *taken)
{
    int letters;
    cut_name(p->name[i], &letters);
    double width = (double)LETTER * letters, best = INFINITY;
    box found = {.x0 = -1};
    for (int y = 12; y < PLOT_H - BOTTOM; y += LINE / 2)
        for (int x = LEFT + 2; x + width < PLOT_W; x += 8) {
            box b = {x, y - 11, x + width, y + 3};
            double dx = p->x[i] < b.x0 ? b.x0 - p->x[i] : p->x[i] > b.x1 ? p->x[i] - b.x1 : 0;
            double dy = fabs(p->y[i] - (y - 4)), away = dx * dx + 2 * dy * dy;
            if (away >= best || !is_free(p, &b, taken, i)) continue;
            best = away;
            found = b;
        }
    return found;
}

static void put_name(rt_string *t, const char *whole)
{
    char name[100];
    int letters, bytes = cut_name(whole, &letters);
    memcpy(name, whole, (size_t)bytes);
    name[bytes] = 0;
    rt_put_html(t, name);
    if (whole[bytes]) rt_put(t, "&hellip;");
}

/* A line from a point to its name when that is not beside it. */
static void put_leader(rt_string *t, const points *p, int i, const box *b)
{
    double x = fmin(fmax(p->x[i], b->x0), b->x1), y = p->y[i] < b->y0 ? b->y0 : p->y[i] > b->y1 ? b->y1 : p->y[i];
    if (hypot(x - p->x[i], y - p->y[i]) > 16)
        rt_put(t, "<line class=\"l\" x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\"/>", p->x[i], p->y[i], x, y);
}

static void put_points(rt_string *t, const points *p)
{
    box taken[MAX_POINTS];
    for (int i = 0; i < p->n; i++) {
        const char *colour = rt_palette[i % RT_PALETTE];
        taken[i] = label_place(p, i, taken);
        if (taken[i].x0 >= 0) put_leader(t, p, i, &taken[i]);
        if (p->low[i] - p->high[i] > 1)
            rt_put(t, "<path d=\"M%.1f %.1fV%.1fM%.1f %.1fh8M%.1f %.1fh8\" stroke=\"%s\" fill=\"none\"/>", p->x[i],
                   p->low[i], p->high[i], p->x[i] - 4, p->low[i], p->x[i] - 4, p->high[i], colour);
        rt_put(t, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"5\" fill=\"%s\"%s><title>", p->x[i], p->y[i], colour,
               p->on[i] ? "" : " fill-opacity=\"0.45\"");
        rt_put_html(t, p->name[i]);
        rt_put(t, "</title></circle>");
        if (taken[i].x0 < 0) continue;
        rt_put(t, "<text class=\"n\" x=\"%.1f\" y=\"%.1f\">", taken[i].x0, taken[i].y1 - 3);
        put_name(t, p->name[i]);
        rt_put(t, "</text>");
    }
    rt_put(t, "</svg>");
    for (int i = 0; i < p->n; i++) {
        if (taken[i].x0 >= 0) continue;
        rt_put(t, "<br><small style=\"color:%s\">&#9679;</small> <small>", rt_palette[i % RT_PALETTE]);
        rt_put_html(t, p->name[i]);
        rt_put(t, "</small>");
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
    double x[MAX_POINTS], y[MAX_POINTS], ends[2][MAX_POINTS];
    points p = {0};
    for (const cJSON *m = rt_first_model(e); m && p.n < MAX_POINTS; m = m->next) {
        x[p.n] = x_of(m);
        y[p.n] = rt_number(m, y_key);
        p.name[p.n] = rt_model_name(m);
        const cJSON *range = strcmp(y_key, "accuracy") ? NULL : rt_member(m, "accuracy_95");
        ends[0][p.n] = range ? cJSON_GetNumberValue(cJSON_GetArrayItem(range, 0)) : y[p.n];
        ends[1][p.n] = range ? cJSON_GetNumberValue(cJSON_GetArrayItem(range, 1)) : y[p.n];
        if (isfinite(x[p.n]) && x[p.n] > 0 && isfinite(y[p.n]) && isfinite(ends[0][p.n] + ends[1][p.n])) p.n++;
    }
    if (!p.n) return;
    memmove(ends[0] + p.n, ends[1], (size_t)p.n * sizeof ends[1][0]);        /* of all ends together */
    rt_axis ax = rt_axis_of(x, p.n, 1, PLOT_W, PLOT_H), ay = rt_axis_of(ends[0], 2 * p.n, 0, PLOT_W, PLOT_H);
    rt_pareto(y, x, p.n, p.on);
    rt_put(t, "<figure><figcaption>%s</figcaption>", title);
    rt_open_plot(t, PLOT_W, PLOT_H, x_title, y_key);
    rt_log_ticks(t, &ax);
    rt_ticks(t, &ay, 1);
    for (int i = 0; i < p.n; i++) {
        p.x[i] = rt_place_x(&ax, x[i]);
        p.y[i] = rt_place_y(&ay, y[i]);
        p.low[i] = rt_place_y(&ay, ends[0][i]);
        p.high[i] = rt_place_y(&ay, ends[0][p.n + i]);
        if (!p.on[i]) continue;
        p.front[p.fronts][0] = p.x[i];
        p.front[p.fronts++][1] = p.y[i];
    }
    qsort(p.front, (size_t)p.fronts, sizeof p.front[0], by_x);
    rt_put(t, "<polyline class=\"p\" points=\"");
    for (int i = 0; i < p.fronts; i++) rt_put(t, "%.1f,%.1f ", p.front[i][0], p.front[i][1]);
    rt_put(t, "\"/>");
    put_points(t, &p);
    rt_put(t, "</figure>");
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
    rt_axis ax = rt_axis_of(xs, 2, 0, PLOT_W, PLOT_H), ay = rt_axis_of(ys, 2, 0, PLOT_W, PLOT_H);
    rt_put(t, "<figure><figcaption>Training curves: %s</figcaption>", title);
    rt_open_plot(t, PLOT_W, PLOT_H, "epoch", title);
    rt_ticks(t, &ax, 0);
    rt_ticks(t, &ay, 1);
    for (const cJSON *m = rt_first_model(e); m; m = m->next, i++) {
        const char *key = key_of(m, &q);
        if (!has_curve(m, key)) continue;
        rt_put(t, "<polyline fill=\"none\" stroke-width=\"1.6\" stroke=\"%s\" points=\"", rt_palette[i % RT_PALETTE]);
        for (const cJSON *h = history(m); h; h = h->next) {
            double x = rt_number(h, "epoch"), y = rt_number(h, key);
            if (has_place(x, y)) rt_put(t, "%.1f,%.1f ", rt_place_x(&ax, x), rt_place_y(&ay, y));
        }
        int at = falls ? TOP + 16 + 15 * shown : PLOT_H - BOTTOM - 8 - 15 * (models - 1 - shown);
        shown++;
        rt_put(t, "\"/><text class=\"n\" x=\"%d\" y=\"%d\" style=\"fill:%s\" text-anchor=\"end\">",
               PLOT_W - RIGHT - 8, at, rt_palette[i % RT_PALETTE]);
        rt_put_html(t, rt_model_name(m));
        rt_put(t, "</text>");
    }
    rt_put(t, "</svg></figure>");
}

void rt_plot_reliability(rt_string *t, const cJSON *m, int index)
{
    rt_axis a = rt_axis_between(0, 1, PLOT_W, PLOT_H);
    const cJSON *bins = rt_member(m, "reliability");
    if (!bins) return;
    rt_put(t, "<figure><figcaption>Reliability: ");
    rt_put_html(t, rt_model_name(m));
    rt_put(t, " (ECE %.4f)</figcaption>", rt_number(m, "ece"));
    rt_open_plot(t, PLOT_W, PLOT_H, "confidence (15 equal bins; count above each bar)", "accuracy");
    rt_ticks(t, &a, 0);
    rt_ticks(t, &a, 1);
    rt_put(t, "<line class=\"p\" x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\"/>", rt_place_x(&a, 0),
           rt_place_y(&a, 0), rt_place_x(&a, 1), rt_place_y(&a, 1));
    int k = 0;
    for (const cJSON *b = bins->child; b; b = b->next, k++) {
        double x0 = rt_place_x(&a, (double)k / RT_ECE_BINS), x1 = rt_place_x(&a, (double)(k + 1) / RT_ECE_BINS);
        double y = rt_place_y(&a, rt_number(b, "accuracy")), count = rt_number(b, "count");
        if (!(count > 0) || !isfinite(y)) continue;
        rt_put(t, "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" fill=\"%s\" fill-opacity=\"0.55\"/>",
               x0 + 1, y, x1 - x0 - 2, rt_place_y(&a, 0) - y, rt_palette[index % RT_PALETTE]);
        rt_put(t, "<text class=\"s\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">%.0f</text>", (x0 + x1) / 2,
               y - 3 < TOP + 8 ? TOP + 8 : y - 3, count);
    }
    rt_put(t, "</svg></figure>");
}

void rt_plot_reliabilities(rt_string *t, const cJSON *sides)
{
    static const char *const name[] = {"baseline", "candidate"};
    rt_axis a = rt_axis_between(0, 1, PLOT_W, PLOT_H);
    if (!sides) return;
    rt_put(t, "<h3>Reliability</h3><figure><figcaption>Reliability of both</figcaption>");
    rt_open_plot(t, PLOT_W, PLOT_H, "confidence (15 equal bins; whiskers: Wilson)", "accuracy");
    rt_ticks(t, &a, 0);
    rt_ticks(t, &a, 1);
    rt_put(t, "<line class=\"p\" x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\"/>", rt_place_x(&a, 0),
           rt_place_y(&a, 0), rt_place_x(&a, 1), rt_place_y(&a, 1));
    for (int s = 0; s < 2; s++) {
        const cJSON *bins = rt_member(sides, name[s]);
        rt_put(t, "<text class=\"n\" x=\"%d\" y=\"%d\" style=\"fill:%s\">%s</text>", LEFT + 10, TOP + 16 + 15 * s,
               rt_palette[s], name[s]);
        for (const cJSON *b = bins ? bins->child : NULL; b; b = b->next) {
            double x = rt_place_x(&a, rt_number(b, "confidence")) + 3 * s, y = rt_place_y(&a, rt_number(b, "accuracy"));
            double lo = rt_place_y(&a, rt_number(b, "lo")), hi = rt_place_y(&a, rt_number(b, "hi")),
                   n = rt_number(b, "count");
            if (!(n > 0) || !isfinite(x + y + lo + hi)) continue;
            rt_put(t, "<path d=\"M%.1f %.1fV%.1f\" stroke=\"%s\" fill=\"none\"/>", x, lo, hi, rt_palette[s]);
            rt_put(t, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"%.1f\" fill=\"%s\"><title>%s: %.0f rows, %.3f of them "
                   "right</title></circle>", x, y, fmin(6, 2 + log10(n)), rt_palette[s], name[s], n,
                   rt_number(b, "accuracy"));
        }
    }
    rt_put(t, "</svg></figure>");
}

/* ---- confusion ---- */

static void put_class(rt_string *t, const cJSON *names, int i)
{
    if (names) rt_put_html(t, cJSON_GetStringValue(cJSON_GetArrayItem(names, i)));
    else rt_put(t, "%d", i);
}

static void put_class_short(rt_string *t, const cJSON *names, int i)
{
    const char *name = names ? cJSON_GetStringValue(cJSON_GetArrayItem(names, i)) : NULL;
    char cut[32];
    int bytes = 0, letters = 0;
    for (; name && name[bytes] && bytes < 28; bytes++) {
        letters += (name[bytes] & 0xc0) != 0x80;
        if (letters > 7) break;
    }
    if (!name) {
        rt_put(t, "%d", i);
        return;
    }
    memcpy(cut, name, (size_t)bytes);
    cut[bytes] = 0;
    rt_put_html(t, cut);
    if (name[bytes]) rt_put(t, "&hellip;");
}

/* How strongly a cell is coloured, from 0 to 1: of counts its share of the truth's rows, wrong ones four times. */
static double strength(double v, double total, double most, int diagonal, int differences)
{
    if (differences) return most > 0 ? fabs(v) / most : 0;
    double share = total > 0 ? v / total : 0;
    return diagonal ? share : fmin(1, share * 4);
}

void rt_plot_matrix(rt_string *t, const cJSON *m, const cJSON *names, int differences, const char *title)
{
    enum { CELL = 40, HEAD = 64 };
    int k = cJSON_GetArraySize(m), side = HEAD + CELL * k + 2, y = 0;
    double most = 0;
    for (const cJSON *line = m->child; line; line = line->next)
        for (const cJSON *v = line->child; v; v = v->next) most = fmax(most, fabs(v->valuedouble));
    rt_put(t, "<figure class=\"m\"><svg viewBox=\"0 0 %d %d\" width=\"%d\" height=\"%d\" role=\"img\"><title>", side,
           side, side, side);
    rt_put_html(t, title);
    rt_put(t, "</title>");
    for (int i = 0; i < k; i++) {
        rt_put(t, "<text x=\"%d\" y=\"%d\" text-anchor=\"middle\">", HEAD + CELL * i + CELL / 2, HEAD - 8);
        put_class_short(t, names, i);
        rt_put(t, "</text><text x=\"%d\" y=\"%d\" text-anchor=\"end\">", HEAD - 5, HEAD + CELL * i + CELL / 2 + 4);
        put_class_short(t, names, i);
        rt_put(t, "</text>");
    }
    for (const cJSON *line = m->child; line; line = line->next, y++) {
        double total = 0;
        int x = 0;
        for (const cJSON *v = line->child; v; v = v->next) total += v->valuedouble;
        for (const cJSON *v = line->child; v; v = v->next, x++) {
            double n = v->valuedouble;
            int good = differences ? (x == y) == (n > 0) : x == y;
            rt_put(t, "<g><title>");
            put_class(t, names, y);
            rt_put(t, " answered ");
            put_class(t, names, x);
            rt_put(t, differences ? ": %+.0f" : ": %.0f", n);
            rt_put(t,
                   "</title><rect class=\"k\" x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\"/><rect x=\"%d\" y=\"%d\" "
                   "width=\"%d\" height=\"%d\" fill=\"%s\" fill-opacity=\"%.3f\"/>",
                   HEAD + CELL * x, HEAD + CELL * y, CELL, CELL, HEAD + CELL * x, HEAD + CELL * y, CELL, CELL,
                   good ? "#1a7f37" : "#d1242f", 0.75 * strength(n, total, most, x == y, differences));
            if (n != 0 || (!differences && x == y)) {
                rt_put(t, "<text class=\"t\" x=\"%d\" y=\"%d\" text-anchor=\"middle\">", HEAD + CELL * x + CELL / 2,
                       HEAD + CELL * y + CELL / 2 + 4);
                rt_put(t, differences ? "%+.0f" : "%.0f", n);
                rt_put(t, "</text>");
            }
            rt_put(t, "</g>");
        }
    }
    rt_put(t, "</svg></figure>");
}
