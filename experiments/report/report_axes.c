#include "experiments/report/report_axes.h"

#include <math.h>
#include <stdlib.h>

#include "experiments/report/report_parts.h"

enum { LEFT = RT_PLOT_LEFT, RIGHT = RT_PLOT_RIGHT, TOP = RT_PLOT_TOP, BOTTOM = RT_PLOT_BOTTOM, MOST_TICKS = 20 };

const char *const rt_palette[RT_PALETTE] = {"#1f6feb", "#d1242f", "#1a7f37", "#9a6700",
                                            "#8250df", "#bf3989", "#0a7ea4", "#57606a"};

rt_axis rt_axis_of(const double *v, int n, int log, int width, int height)
{
    rt_axis a = {INFINITY, -INFINITY, log, width, height};
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

rt_axis rt_axis_between(double lo, double hi, int width, int height)
{
    return (rt_axis){lo, hi, 0, width, height};
}

double rt_place_x(const rt_axis *a, double v)
{
    return LEFT + ((a->log ? log10(v) : v) - a->lo) / (a->hi - a->lo) * (a->width - LEFT - RIGHT);
}

double rt_place_y(const rt_axis *a, double v)
{
    return a->height - BOTTOM - (v - a->lo) / (a->hi - a->lo) * (a->height - TOP - BOTTOM);
}

void rt_tick_x(rt_string *t, const rt_axis *a, double x, const char *label)
{
    rt_put(t, "<line class=\"g\" x1=\"%.1f\" y1=\"%d\" x2=\"%.1f\" y2=\"%d\"/>", x, TOP, x, a->height - BOTTOM);
    rt_put(t, "<text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%s</text>", x, a->height - BOTTOM + 15, label);
}

static void tick_y(rt_string *t, const rt_axis *a, double y, const char *label)
{
    rt_put(t, "<line class=\"g\" x1=\"%d\" y1=\"%.1f\" x2=\"%d\" y2=\"%.1f\"/>", LEFT, y, a->width - RIGHT, y);
    rt_put(t, "<text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%s</text>", LEFT - 6, y + 4, label);
}

/* 1, 2, 5 of each power of ten, or the powers alone over more than two of them. */
void rt_log_ticks(rt_string *t, const rt_axis *a)
{
    static const int digit[] = {1, 2, 5};
    int digits = a->hi - a->lo > 2 ? 1 : 3;
    for (int e = (int)floor(a->lo) - 1; e <= (int)ceil(a->hi); e++)
        for (int k = 0; k < digits; k++) {
            double v = digit[k] * pow(10, e);
            if (log10(v) < a->lo || log10(v) > a->hi) continue;
            rt_string label = {0};
            rt_put_si(&label, v);
            rt_tick_x(t, a, rt_place_x(a, v), label.p ? label.p : "");
            free(label.p);
        }
}

void rt_ticks(rt_string *t, const rt_axis *a, int vertical)
{
    double span = a->hi - a->lo, step = pow(10, floor(log10(span / 4)));
    if (span / step > 8) step *= span / step > 16 ? 5 : 2;
    int decimals = step < 1 ? (int)ceil(-log10(step) - 1e-9) : 0;
    double first = ceil(a->lo / step);
    for (int i = 0; i < MOST_TICKS && (first + i) * step <= a->hi + 1e-12; i++) {
        double v = (first + i) * step + 0.0;       /* no -0 */
        rt_string label = {0};
        rt_put(&label, "%.*f", decimals, v);
        if (vertical) tick_y(t, a, rt_place_y(a, v), label.p ? label.p : "");
        else rt_tick_x(t, a, rt_place_x(a, v), label.p ? label.p : "");
        free(label.p);
    }
}

void rt_plot_frame(rt_string *t, int width, int height, const char *x_title, const char *y_title)
{
    rt_put(t, "<rect class=\"f\" x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\"/>", LEFT, TOP, width - LEFT - RIGHT,
           height - TOP - BOTTOM);
    rt_put(t, "<text class=\"t\" x=\"%d\" y=\"%d\" text-anchor=\"middle\">", (LEFT + width - RIGHT) / 2, height - 8);
    rt_put_html(t, x_title);
    rt_put(t, "</text><text class=\"t\" transform=\"translate(14 %d) rotate(-90)\" text-anchor=\"middle\">",
           (TOP + height - BOTTOM) / 2);
    rt_put_html(t, y_title);
    rt_put(t, "</text>");
}

void rt_open_plot(rt_string *t, int width, int height, const char *x_title, const char *y_title)
{
    rt_put(t, "<svg viewBox=\"0 0 %d %d\" width=\"%d\" height=\"%d\" role=\"img\"><title>%s by %s</title>", width,
           height, width, height, y_title, x_title);
    rt_plot_frame(t, width, height, x_title, y_title);
}
