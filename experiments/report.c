#include "experiments/report.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data/files.h"
#include "experiments/statistics.h"

enum { MAX_POINTS = 32, PLOT_W = 460, PLOT_H = 300, LEFT = 62, RIGHT = 20, TOP = 16, BOTTOM = 44 };

typedef struct { char *p; size_t n, room; int failed; } text;

static void put(text *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void put(text *t, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int need = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    if (need < 0 || t->failed) return;
    if (t->n + (size_t)need + 1 > t->room) {
        size_t room = 2 * (t->n + (size_t)need + 1024);
        char *q = realloc(t->p, room);
        if (!q) {
            t->failed = 1;
            return;
        }
        t->p = q;
        t->room = room;
    }
    va_start(ap, fmt);
    t->n += (size_t)vsnprintf(t->p + t->n, t->room - t->n, fmt, ap);
    va_end(ap);
}

/* The one way user text gets into HTML. */
static void put_html(text *t, const char *s)
{
    for (; s && *s; s++) {
        unsigned char c = (unsigned char)*s;
        if (c == '&') put(t, "&amp;");
        else if (c == '<') put(t, "&lt;");
        else if (c == '>') put(t, "&gt;");
        else if (c == '"') put(t, "&quot;");
        else if (c == '\'') put(t, "&#39;");
        else if (c < 32 || c == 127) put(t, "?");
        else put(t, "%c", c);
    }
}

/* Names in CSV: quoted, and harmless to spreadsheets that take = + - @ for formulas. */
static void put_csv(text *t, const char *s)
{
    put(t, "\"%s", s && strchr("=+-@\t\r\n", *s) && *s ? "'" : "");
    for (; s && *s; s++) put(t, "%s%c", *s == '"' ? "\"" : "", (unsigned char)*s < 32 ? ' ' : *s);
    put(t, "\"");
}

static const cJSON *get(const cJSON *j, const char *key) { return cJSON_GetObjectItemCaseSensitive(j, key); }
static double number(const cJSON *j, const char *key)
{
    const cJSON *v = get(j, key);
    return cJSON_IsNumber(v) ? v->valuedouble : NAN;
}
static const char *name_of(const cJSON *m) { return cJSON_GetStringValue(get(m, "name")); }
static double latency(const cJSON *m, const char *key) { return number(get(m, "latency_batch1_1thread"), key); }
static double rate(const cJSON *m) { return number(get(m, "throughput"), "best_rows_per_second"); }

static void put_si(text *t, double v)
{
    if (!isfinite(v)) put(t, "-");
    else if (v >= 1e9) put(t, "%.2f G", v / 1e9);
    else if (v >= 1e6) put(t, "%.2f M", v / 1e6);
    else if (v >= 1e4) put(t, "%.1f K", v / 1e3);
    else put(t, "%.4g", v);
}

/* ---- the table: one description, three forms ---- */

typedef struct { const char *title; int kind; double (*value)(const cJSON *); } column;
static double c_accuracy(const cJSON *m) { return number(m, "accuracy"); }
static double c_f1(const cJSON *m) { return number(m, "macro_f1"); }
static double c_agree(const cJSON *m) { return number(m, "agreement"); }
static double c_kl(const cJSON *m) { return number(m, "kl_from_teacher"); }
static double c_ece(const cJSON *m) { return number(m, "ece"); }
static double c_params(const cJSON *m) { return number(m, "parameters"); }
static double c_macs(const cJSON *m) { return number(m, "macs"); }
static double c_bytes(const cJSON *m) { return number(m, "file_bytes"); }
static double c_p50(const cJSON *m) { return latency(m, "p50_us"); }
static double c_p99(const cJSON *m) { return latency(m, "p99_us"); }
static double c_rate(const cJSON *m) { return rate(m); }
static const column columns[] = {   /* kind: 0 four decimals, 1 SI, 2 microseconds */
    {"accuracy", 0, c_accuracy}, {"macro-F1", 0, c_f1}, {"agreement", 0, c_agree}, {"KL", 0, c_kl}, {"ECE", 0, c_ece}, {"parameters", 1, c_params},
    {"MACs", 1, c_macs}, {"file B", 1, c_bytes}, {"p50 us", 2, c_p50}, {"p99 us", 2, c_p99}, {"rows/s", 1, c_rate}};
enum { COLUMNS = sizeof columns / sizeof columns[0] };

static void put_value(text *t, const column *c, const cJSON *m)
{
    double v = c->value(m);
    if (!isfinite(v)) put(t, "-");
    else if (c->kind == 0) put(t, "%.4f", v);
    else if (c->kind == 2) put(t, v < 100 ? "%.2f" : "%.0f", v);
    else put_si(t, v);
}

enum { PLAIN, MARKDOWN, HTML };
static void put_name(text *t, const cJSON *m, int as)
{
    const char *name = name_of(m);
    if (as == HTML) put_html(t, name);
    else for (const char *s = name; *s; s++)
        put(t, "%s%c", as == MARKDOWN && strchr("|`*_<>[]\\", *s) ? "\\" : "", (unsigned char)*s < 32 || *s == 127 ? '?' : *s);
}

/* A line for each model that knows some of the rows already. */
static void put_seen(text *t, const cJSON *e, int as)
{
    static const char *const before[] = {"note: ", "\n", "<p>"}, *const after[] = {"", "", "</p>"};
    for (const cJSON *m = get(e, "models")->child; m; m = m->next) {
        double seen = number(m, "rows_seen_in_training");
        if (!(seen > 0)) continue;
        put(t, "%s", before[as]);
        put_name(t, m, as);
        put(t, " was trained or chosen on %.0f of these %.0f rows: its figures say nothing about new data (data.test keeps rows apart).%s\n", seen,
            number(get(e, "data"), "rows"), after[as]);
    }
}

char *rt_report_table(const cJSON *e)
{
    text t = {0};
    put(&t, "%-20s", "model");
    for (int c = 0; c < COLUMNS; c++) put(&t, " %10s", columns[c].title);
    put(&t, "\n");
    for (const cJSON *m = get(e, "models")->child; m; m = m->next) {
        char safe[24];
        snprintf(safe, sizeof safe, "%.20s", name_of(m));
        for (char *q = safe; *q; q++) if ((unsigned char)*q < 32 || *q == 127) *q = '?';
        put(&t, "%-20s", safe);
        for (int c = 0; c < COLUMNS; c++) {
            text v = {0};
            put_value(&v, &columns[c], m);
            put(&t, " %10s", v.p ? v.p : "");
            free(v.p);
        }
        put(&t, "\n");
    }
    put_seen(&t, e, PLAIN);
    if (t.failed) free(t.p);
    return t.failed ? NULL : t.p;
}

static void markdown(text *t, const cJSON *e)
{
    put(t, "# Evaluation\n\nData: `%s`, %.0f rows. Agreement and KL are against the first model. p50 and p99: batch 1, one thread; rows/s: the best batch, %.0f threads.\n\n| model |",
        cJSON_GetStringValue(get(get(e, "data"), "source")), number(get(e, "data"), "rows"), number(get(e, "machine"), "threads"));
    for (int c = 0; c < COLUMNS; c++) put(t, " %s |", columns[c].title);
    put(t, "\n|---|");
    for (int c = 0; c < COLUMNS; c++) put(t, "---:|");
    put(t, "\n");
    for (const cJSON *m = get(e, "models")->child; m; m = m->next) {
        put(t, "| ");
        put_name(t, m, MARKDOWN);
        put(t, " |");
        for (int c = 0; c < COLUMNS; c++) {
            put(t, " ");
            put_value(t, &columns[c], m);
            put(t, " |");
        }
        put(t, "\n");
    }
    put_seen(t, e, MARKDOWN);
}

static void csv(text *t, const cJSON *e)
{
    put(t, "model");
    for (int c = 0; c < COLUMNS; c++) put(t, ",%s", columns[c].title);
    put(t, "\n");
    for (const cJSON *m = get(e, "models")->child; m; m = m->next) {
        put_csv(t, name_of(m));
        for (int c = 0; c < COLUMNS; c++) {
            double v = columns[c].value(m);
            if (isfinite(v)) put(t, ",%.9g", v);
            else put(t, ",");
        }
        put(t, "\n");
    }
}

/* ---- SVG ---- */

static const char *const palette[] = {"#1f6feb", "#d1242f", "#1a7f37", "#9a6700", "#8250df", "#bf3989", "#0a7ea4", "#57606a"};
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

static double place_x(const axis *a, double v) { return LEFT + ((a->log ? log10(v) : v) - a->lo) / (a->hi - a->lo) * (PLOT_W - LEFT - RIGHT); }
static double place_y(const axis *a, double v) { return PLOT_H - BOTTOM - (v - a->lo) / (a->hi - a->lo) * (PLOT_H - TOP - BOTTOM); }

static void ticks(text *t, const axis *a, int vertical)
{
    if (a->log) {
        for (int e = (int)floor(a->lo) - 1; e <= (int)ceil(a->hi); e++)
            for (int k = 1; k < 10; k += a->hi - a->lo > 2 ? 9 : k == 1 ? 1 : k == 2 ? 3 : 5) {
                double v = k * pow(10, e);
                if (log10(v) < a->lo || log10(v) > a->hi) continue;
                double x = place_x(a, v);
                text label = {0};
                put_si(&label, v);
                put(t, "<line class=\"g\" x1=\"%.1f\" y1=\"%d\" x2=\"%.1f\" y2=\"%d\"/><text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%s</text>", x, TOP, x, PLOT_H - BOTTOM, x, PLOT_H - BOTTOM + 15, label.p ? label.p : "");
                free(label.p);
            }
        return;
    }
    double span = a->hi - a->lo, step = pow(10, floor(log10(span / 4)));
    if (span / step > 8) step *= span / step > 16 ? 5 : 2;
    int decimals = step < 1 ? (int)ceil(-log10(step) - 1e-9) : 0;
    for (double i = ceil(a->lo / step); i * step <= a->hi + 1e-12; i++) {
        double v = i * step + 0.0;                 /* no -0 */
        if (vertical) {
            double y = place_y(a, v);
            put(t, "<line class=\"g\" x1=\"%d\" y1=\"%.1f\" x2=\"%d\" y2=\"%.1f\"/><text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%.*f</text>", LEFT, y, PLOT_W - RIGHT, y, LEFT - 6, y + 4, decimals, v);
        } else {
            double x = place_x(a, v);
            put(t, "<line class=\"g\" x1=\"%.1f\" y1=\"%d\" x2=\"%.1f\" y2=\"%d\"/><text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%.*f</text>", x, TOP, x, PLOT_H - BOTTOM, x, PLOT_H - BOTTOM + 15, decimals, v);
        }
    }
}

static void open_plot(text *t, const char *x_title, const char *y_title)
{
    put(t, "<svg viewBox=\"0 0 %d %d\" width=\"%d\" height=\"%d\" role=\"img\"><rect class=\"f\" x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\"/>", PLOT_W, PLOT_H, PLOT_W, PLOT_H, LEFT, TOP, PLOT_W - LEFT - RIGHT, PLOT_H - TOP - BOTTOM);
    put(t, "<text class=\"t\" x=\"%d\" y=\"%d\" text-anchor=\"middle\">%s</text><text class=\"t\" transform=\"translate(14 %d) rotate(-90)\" text-anchor=\"middle\">%s</text>", (LEFT + PLOT_W - RIGHT) / 2, PLOT_H - 8, x_title, (TOP + PLOT_H - BOTTOM) / 2, y_title);
}

static int by_x(const void *a, const void *b)
{
    const double *x = a, *y = b;
    return x[0] < y[0] ? -1 : x[0] > y[0];
}

static void scatter(text *t, const cJSON *e, const char *title, const char *x_title, double (*x_of)(const cJSON *))
{
    double x[MAX_POINTS], y[MAX_POINTS], front[MAX_POINTS][2];
    const char *name[MAX_POINTS];
    int n = 0, on[MAX_POINTS], k = 0;
    for (const cJSON *m = get(e, "models")->child; m && n < MAX_POINTS; m = m->next) {
        x[n] = x_of(m);
        y[n] = c_accuracy(m);
        name[n] = name_of(m);
        if (isfinite(x[n]) && x[n] > 0) n++;
    }
    if (!n) return;
    axis ax = axis_of(x, n, 1), ay = axis_of(y, n, 0);
    rt_pareto(y, x, n, on);
    put(t, "<figure><figcaption>%s</figcaption>", title);
    open_plot(t, x_title, "accuracy");
    ticks(t, &ax, 0);
    ticks(t, &ay, 1);
    for (int i = 0; i < n; i++) if (on[i]) { front[k][0] = x[i]; front[k++][1] = y[i]; }
    qsort(front, (size_t)k, sizeof front[0], by_x);
    put(t, "<polyline class=\"p\" points=\"");
    for (int i = 0; i < k; i++) put(t, "%.1f,%.1f ", place_x(&ax, front[i][0]), place_y(&ay, front[i][1]));
    put(t, "\"/>");
    for (int i = 0; i < n; i++) {
        double px = place_x(&ax, x[i]), py = place_y(&ay, y[i]);
        int right = px > PLOT_W - 130;
        put(t, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"5\" fill=\"%s\"%s/><text class=\"n\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\">", px, py, palette[i % PALETTE], on[i] ? "" : " fill-opacity=\"0.45\"", px + (right ? -9 : 9), py - 7, right ? "end" : "start");
        put_html(t, name[i]);
        put(t, "</text>");
    }
    put(t, "</svg></figure>");
}

/* One measure of the history of each model by epoch; nothing where no model has it. The legend is where curves are not. */
static void curves(text *t, const cJSON *e, const char *key, const char *title, int falls)
{
    double xs[2] = {INFINITY, -INFINITY}, ys[2] = {INFINITY, -INFINITY};
    int any = 0, i = 0, models = cJSON_GetArraySize(get(e, "models"));
    for (const cJSON *m = get(e, "models")->child; m; m = m->next)
        for (const cJSON *h = get(m, "history") ? get(m, "history")->child : NULL; h; h = h->next) {
            double x = number(h, "epoch"), y = number(h, key);
            if (!isfinite(x) || !isfinite(y)) continue;
            any = 1;
            xs[0] = fmin(xs[0], x);
            xs[1] = fmax(xs[1], x);
            ys[0] = fmin(ys[0], y);
            ys[1] = fmax(ys[1], y);
        }
    if (!any) return;
    axis ax = axis_of(xs, 2, 0), ay = axis_of(ys, 2, 0);
    put(t, "<figure><figcaption>Training curves: %s</figcaption>", title);
    open_plot(t, "epoch", title);
    ticks(t, &ax, 0);
    ticks(t, &ay, 1);
    for (const cJSON *m = get(e, "models")->child; m; m = m->next, i++) {
        const cJSON *h = get(m, "history");
        if (!h || !h->child) continue;
        put(t, "<polyline fill=\"none\" stroke-width=\"1.6\" stroke=\"%s\" points=\"", palette[i % PALETTE]);
        for (h = h->child; h; h = h->next) {
            double y = number(h, key);
            if (isfinite(y)) put(t, "%.1f,%.1f ", place_x(&ax, number(h, "epoch")), place_y(&ay, y));
        }
        int at = falls ? TOP + 16 + 15 * i : PLOT_H - BOTTOM - 8 - 15 * (models - 1 - i);
        put(t, "\"/><text class=\"n\" x=\"%d\" y=\"%d\" style=\"fill:%s\" text-anchor=\"end\">", PLOT_W - RIGHT - 8, at, palette[i % PALETTE]);
        put_html(t, name_of(m));
        put(t, "</text>");
    }
    put(t, "</svg></figure>");
}

static void reliability(text *t, const cJSON *m, int i)
{
    axis a = {0, 1, 0};
    put(t, "<figure><figcaption>Reliability: ");
    put_html(t, name_of(m));
    put(t, " (ECE %.4f)</figcaption>", number(m, "ece"));
    open_plot(t, "confidence (15 equal bins; count above each bar)", "accuracy");
    ticks(t, &a, 0);
    ticks(t, &a, 1);
    put(t, "<line class=\"p\" x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\"/>", place_x(&a, 0), place_y(&a, 0), place_x(&a, 1), place_y(&a, 1));
    int k = 0;
    for (const cJSON *b = get(m, "reliability")->child; b; b = b->next, k++) {
        if (number(b, "count") <= 0) continue;
        double x0 = place_x(&a, (double)k / RT_ECE_BINS), x1 = place_x(&a, (double)(k + 1) / RT_ECE_BINS), y = place_y(&a, number(b, "accuracy"));
        put(t, "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" fill=\"%s\" fill-opacity=\"0.55\"/><text class=\"s\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">%.0f</text>", x0 + 1, y, x1 - x0 - 2, place_y(&a, 0) - y, palette[i % PALETTE], (x0 + x1) / 2, y - 3 < TOP + 8 ? TOP + 8 : y - 3, number(b, "count"));
    }
    put(t, "</svg></figure>");
}

static void confusion(text *t, const cJSON *e, const cJSON *m)
{
    const cJSON *c = get(m, "confusion"), *names = get(get(e, "data"), "class_names");
    int k = cJSON_GetArraySize(c);
    if (k < 1 || k > 40) return;
    put(t, "<figure><figcaption>Confusion: ");
    put_html(t, name_of(m));
    put(t, " (rows: truth, columns: answer)</figcaption><table class=\"c\"><tr><th></th>");
    for (int i = 0; i < k; i++) {
        put(t, "<th>");
        if (names) put_html(t, cJSON_GetStringValue(cJSON_GetArrayItem(names, i)));
        else put(t, "%d", i);
        put(t, "</th>");
    }
    put(t, "</tr>");
    for (int y = 0; y < k; y++) {
        const cJSON *line = cJSON_GetArrayItem(c, y);
        double total = 0;
        for (const cJSON *v = line->child; v; v = v->next) total += v->valuedouble;
        put(t, "<tr><th>");
        if (names) put_html(t, cJSON_GetStringValue(cJSON_GetArrayItem(names, y)));
        else put(t, "%d", y);
        put(t, "</th>");
        int x = 0;
        for (const cJSON *v = line->child; v; v = v->next, x++) {
            double share = total > 0 ? v->valuedouble / total : 0;
            put(t, "<td style=\"background:rgba(%s,%.3f)\">%.0f</td>", x == y ? "26,127,55" : "209,36,47", x == y ? share * 0.7 : fmin(1, share * 4) * 0.8, v->valuedouble);
        }
        put(t, "</tr>");
    }
    put(t, "</table></figure>");
}

static void html(text *t, const cJSON *e)
{
    const cJSON *machine = get(e, "machine");
    put(t, "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; img-src data:\">"
           "<meta name=\"viewport\" content=\"width=device-width\"><title>retort evaluation</title><style>"
           "body{font:14px/1.5 system-ui,sans-serif;margin:2em auto;max-width:1060px;padding:0 1em;color:#1f2328}h1{font-size:1.5em}h2{font-size:1.15em;margin-top:2em}"
           "table{border-collapse:collapse}td,th{padding:.25em .6em;text-align:right;white-space:nowrap;border-bottom:1px solid #d0d7de}th:first-child,td:first-child{text-align:left}"
           "figure{display:inline-block;margin:.5em 1em 1em 0;vertical-align:top}figcaption{font-weight:600}svg text{font-size:11px;fill:#57606a}svg .t{font-size:12px;fill:#1f2328}"
           "svg .n{font-size:12px;fill:#1f2328}svg .s{font-size:8px}.g{stroke:#eaeef2}.f{fill:#fff;stroke:#d0d7de}.p{fill:none;stroke:#57606a;stroke-dasharray:5 4}"
           ".c td,.c th{padding:.15em .45em;font-size:12px;border:1px solid #eaeef2}small{color:#57606a}.w{overflow-x:auto}</style></head><body><h1>Evaluation</h1><p>Data <b>");
    put_html(t, cJSON_GetStringValue(get(get(e, "data"), "source")));
    put(t, "</b>, %.0f rows, %.0f classes. Agreement, KL and McNemar compare with the first model.</p><div class=\"w\"><table><tr><th>model</th>", number(get(e, "data"), "rows"), number(get(e, "data"), "classes"));
    for (int c = 0; c < COLUMNS; c++) put(t, "<th>%s</th>", columns[c].title);
    put(t, "<th>McNemar p</th></tr>");
    for (const cJSON *m = get(e, "models")->child; m; m = m->next) {
        const cJSON *ci = get(m, "accuracy_95"), *mc = get(m, "mcnemar_vs_first");
        put(t, "<tr><td>");
        put_html(t, name_of(m));
        put(t, "</td>");
        for (int c = 0; c < COLUMNS; c++) {
            put(t, "<td>");
            put_value(t, &columns[c], m);
            if (c == 0 && ci) put(t, "<br><small>%.4f&ndash;%.4f</small>", cJSON_GetArrayItem(ci, 0)->valuedouble, cJSON_GetArrayItem(ci, 1)->valuedouble);
            put(t, "</td>");
        }
        if (mc) put(t, "<td>%.3g<br><small>%.0f : %.0f</small></td></tr>", number(mc, "p"), number(mc, "first_right_only"), number(mc, "this_right_only"));
        else put(t, "<td></td></tr>");
    }
    put(t, "</table></div>\n");
    put_seen(t, e, HTML);
    put(t, "<h2>Accuracy against cost</h2><p><small>The dashed line joins the Pareto front.</small></p>");
    scatter(t, e, "Accuracy and latency", "batch-1 latency p50, us (log)", c_p50);
    scatter(t, e, "Accuracy and size", "parameters (log)", c_params);
    curves(t, e, "loss", "training loss", 1);
    curves(t, e, "validation_accuracy", "validation accuracy", 0);
    put(t, "<h2>Calibration</h2>");
    int i = 0;
    for (const cJSON *m = get(e, "models")->child; m; m = m->next, i++) reliability(t, m, i);
    put(t, "<h2>Confusion</h2>");
    for (const cJSON *m = get(e, "models")->child; m; m = m->next) confusion(t, e, m);
    put(t, "<h2>How it was measured</h2><p>Latency: one row, one thread, after warm-up, models interleaved; p50 is the median, p99 the MLPerf early-stopping estimate at 99 %% confidence (absent below 662 samples). "
           "Throughput: the best of batches 1, 16, 64, 256 on %.0f threads. CPU ", number(machine, "threads"));
    put_html(t, cJSON_GetStringValue(get(machine, "cpu")));
    put(t, ", kernels ");
    put_html(t, cJSON_GetStringValue(get(machine, "kernels")));
    put(t, ", measured peak %.0f GFLOP/s a thread, governor ", number(machine, "peak_gflops_1thread"));
    put_html(t, cJSON_GetStringValue(get(machine, "governor")));
    put(t, ", compiler ");
    put_html(t, cJSON_GetStringValue(get(machine, "compiler")));
    put(t, ". Made by ");
    put_html(t, cJSON_GetStringValue(get(e, "tool")));
    put(t, "; the numbers are in evaluation.json.</p></body></html>\n");
}

rt_status rt_report_write(const cJSON *e, const char *folder)
{
    static const struct { const char *name; void (*write)(text *, const cJSON *); } files[] = {{"report.md", markdown}, {"report.csv", csv}, {"report.html", html}};
    char path[1200];
    RT_TRY(rt_make_folder(folder));
    for (int i = 0; i < 3; i++) {
        text t = {0};
        files[i].write(&t, e);
        snprintf(path, sizeof path, "%s/%s", folder, files[i].name);
        rt_status st = t.failed || !t.p ? rt_fail(RT_RUN, "out of memory") : rt_write_file(path, t.p, t.n);
        free(t.p);
        RT_TRY(st);
    }
    char *json = cJSON_Print(e);
    snprintf(path, sizeof path, "%s/evaluation.json", folder);
    rt_status st = json ? rt_write_file(path, json, strlen(json)) : rt_fail(RT_RUN, "out of memory");
    cJSON_free(json);
    return st;
}
