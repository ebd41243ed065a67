/* experiments/report/report_pair.c - what a report shows of a baseline and a candidate ("comparison",
 * comparison_result.h). */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "experiments/report/report_parts.h"
#include "student/metrics.h"

enum { CLASSES = 200, MATRIX = 40 };

static const cJSON *items(const cJSON *j, const char *key)
{
    const cJSON *list = rt_member(j, key);
    return list ? list->child : NULL;
}

/* "worse", "better": the interval lies on one side of no drop; else "not told apart". */
static const char *said_of(const cJSON *d)
{
    double lo = rt_number(d, "lo"), hi = rt_number(d, "hi");
    if (cJSON_IsTrue(rt_member(d, "of_both")) || !isfinite(lo)) return "";
    return lo > 0 ? "worse" : hi < 0 ? "better" : "not told apart";
}

static void put_number(rt_string *t, double v)
{
    if (!isfinite(v)) rt_put(t, "-");
    else if (fabs(v) < 1e-4 && v != 0) rt_put(t, "%.2e", v);
    else rt_put(t, "%.4f", v);
}

static void put_p(rt_string *t, double v)
{
    if (!isfinite(v)) rt_put(t, "-");
    else rt_put(t, v < 1e-300 ? "<1e-300" : "%.3g", v);
}

static void put_range(rt_string *t, const cJSON *d, const char *to)
{
    if (!isfinite(rt_number(d, "lo"))) {
        rt_put(t, "-");
        return;
    }
    put_number(t, rt_number(d, "lo"));
    rt_put(t, "%s", to);
    put_number(t, rt_number(d, "hi"));
}

/* The delta that a head is summed up by: its task's first metric. */
static const cJSON *main_delta(const cJSON *head)
{
    const cJSON *m = items(head, "metrics");
    const char *want = strcmp(rt_text(head, "task"), "real") ? NULL : "mae";
    while (m && want && strcmp(rt_text(m, "metric"), want)) m = m->next;
    return m;
}

/* ---- as text ---- */

void rt_put_pair_plain(rt_string *t, const cJSON *e)
{
    const cJSON *c = rt_member(e, "comparison");
    if (!c) return;
    rt_put(t, "baseline ");
    rt_put_plain(t, rt_text(rt_member(c, "baseline"), "name"));
    rt_put(t, ", candidate ");
    rt_put_plain(t, rt_text(rt_member(c, "candidate"), "name"));
    rt_put(t, ": %.0f rows; drop: baseline minus candidate in the bad direction, %.4g %% interval\n",
           rt_number(c, "rows"), 100 * rt_number(c, "confidence"));
    for (const cJSON *h = items(c, "heads"); h; h = h->next) {
        rt_put(t, "%-18s %9s %9s %9s %22s %9s\n", "metric", "baseline", "candidate", "drop", "interval", "b : c");
        for (const cJSON *m = items(h, "metrics"); m; m = m->next) {
            rt_string v[4] = {{0}};
            if (strcmp(rt_text(m, "status"), "measured")) continue;
            put_number(&v[0], rt_number(m, "baseline"));
            put_number(&v[1], rt_number(m, "candidate"));
            put_number(&v[2], rt_number(m, "drop"));
            put_range(&v[3], m, " to ");
            rt_put(t, "%-18s %9s %9s %9s %22s", rt_text(m, "metric"), v[0].p, v[1].p, v[2].p, v[3].p);
            if (rt_number(m, "b") + rt_number(m, "c") > 0)
                rt_put(t, " %4.0f : %.0f", rt_number(m, "b"), rt_number(m, "c"));
            rt_put(t, "%s%s\n", *said_of(m) ? "  " : "", said_of(m));
            for (int i = 0; i < 4; i++) free(v[i].p);
        }
        for (const cJSON *f = items(h, "found"); f; f = f->next) {
            if (!(rt_number(f, "p_worse_holm") < 0.05)) continue;
            rt_put(t, "worse on ");
            for (const cJSON *n = items(f, "slice"); n; n = n->next) {
                rt_put_plain(t, cJSON_GetStringValue(n));
                rt_put(t, n->next ? " and " : "");
            }
            rt_put(t, ": %.0f rows, drop %.4f, p %.2g (Holm)\n", rt_number(f, "rows"),
                   rt_number(rt_member(f, "confirmed"), "drop"), rt_number(f, "p_worse_holm"));
        }
    }
    rt_put(t, "\n");
}

void rt_put_pair_markdown(rt_string *t, const cJSON *e)
{
    const cJSON *c = rt_member(e, "comparison");
    if (!c) return;
    rt_put(t, "\n\n## Baseline and candidate\n\n");
    rt_put_markdown(t, rt_text(rt_member(c, "baseline"), "name"));
    rt_put(t, " and ");
    rt_put_markdown(t, rt_text(rt_member(c, "candidate"), "name"));
    rt_put(t, ", %.0f rows; a drop is baseline minus candidate in the bad direction.\n", rt_number(c, "rows"));
    for (const cJSON *h = items(c, "heads"); h; h = h->next) {
        rt_put(t, "\nHead ");
        rt_put_markdown(t, rt_text(h, "name"));
        rt_put(t, "\n\n| metric | baseline | candidate | drop | %.4g %% interval | b : c | |\n",
               100 * rt_number(c, "confidence"));
        rt_put(t, "|---|---:|---:|---:|---:|---:|---|\n");
        for (const cJSON *m = items(h, "metrics"); m; m = m->next) {
            rt_put(t, "| %s | ", rt_text(m, "metric"));
            put_number(t, rt_number(m, "baseline"));
            rt_put(t, " | ");
            put_number(t, rt_number(m, "candidate"));
            rt_put(t, " | ");
            put_number(t, rt_number(m, "drop"));
            rt_put(t, " | ");
            put_range(t, m, " to ");
            if (rt_number(m, "b") + rt_number(m, "c") > 0)
                rt_put(t, " | %.0f : %.0f | ", rt_number(m, "b"), rt_number(m, "c"));
            else rt_put(t, " | | ");
            if (strcmp(rt_text(m, "status"), "measured")) rt_put_markdown(t, rt_text(m, "reason"));
            else rt_put(t, "%s", said_of(m));
            rt_put(t, " |\n");
        }
    }
}

/* ---- as a page ---- */

/* The end of a cell with what it is called, which narrow screens show in place of a heading. */
static void end_cell(rt_string *t, const char *title) { rt_put(t, "<b>%s</b></td>", title); }

static void delta_cells(rt_string *t, const cJSON *d)
{
    const char *word = said_of(d);
    rt_put(t, "<td>");
    put_number(t, rt_number(d, "baseline"));
    end_cell(t, "baseline");
    rt_put(t, "<td>");
    put_number(t, rt_number(d, "candidate"));
    end_cell(t, "candidate");
    rt_put(t, "<td class=\"%s\">", *word == 'w' ? "bad" : *word == 'b' ? "good" : "");
    put_number(t, rt_number(d, "drop"));
    end_cell(t, "drop");
    rt_put(t, "<td>");
    put_range(t, d, " to ");
    end_cell(t, "interval");
}

void rt_put_side_page(rt_string *t, const char *role, const cJSON *s)
{
    rt_put(t, "<dt>%s</dt><dd><b>", role);
    rt_put_html(t, rt_text(s, "name"));
    rt_put(t, "</b> (");
    rt_put_html(t, rt_text(s, "file"));
    rt_put(t, "), model %.8s, data %.8s, rows %.8s, kernels ", rt_text(s, "model_digest"), rt_text(s, "data_digest"),
           rt_text(s, "rows_digest"));
    rt_put_html(t, rt_text(s, "kernels"));
    rt_put(t, ", ");
    rt_put_html(t, rt_text(s, "tool"));
    if (rt_number(s, "rows_left_out") > 0)
        rt_put(t, "; %.0f of its %.0f rows left out", rt_number(s, "rows_left_out"), rt_number(s, "rows"));
    if (!(rt_number(s, "rows_seen_in_training") == 0)) {
        rt_put(t, "; rows seen in training: ");
        if (isfinite(rt_number(s, "rows_seen_in_training"))) rt_put(t, "%.0f", rt_number(s, "rows_seen_in_training"));
        else rt_put(t, "not known");
    }
    rt_put(t, "</dd>");
}

static void sum_up(rt_string *t, const cJSON *c)
{
    for (const cJSON *h = items(c, "heads"); h; h = h->next) {
        const cJSON *d = main_delta(h);
        const char *word = d ? said_of(d) : "";
        if (!d || !*word) continue;
        rt_put(t, "<p class=\"sum %s\">", *word == 'w' ? "bad" : *word == 'b' ? "good" : "");
        if (cJSON_GetArraySize(rt_member(c, "heads")) > 1) {
            rt_put_html(t, rt_text(h, "name"));
            rt_put(t, ": ");
        }
        rt_put(t, "%s ", rt_text(d, "metric"));
        put_number(t, rt_number(d, "baseline"));
        rt_put(t, " &rarr; ");
        put_number(t, rt_number(d, "candidate"));
        rt_put(t, ", drop ");
        put_number(t, rt_number(d, "drop"));
        rt_put(t, " (");
        put_range(t, d, " to ");
        rt_put(t, "): %s</p>\n", *word == 'n' ? "not told apart" : *word == 'w' ? "the candidate is worse"
                                                                                  : "the candidate is better");
    }
}

static void metrics(rt_string *t, const cJSON *h, double confidence)
{
    rt_put(t, "<table class=\"r\"><tr><th>metric</th><th>baseline</th><th>candidate</th><th>drop</th>"
              "<th>%.4g %% interval</th><th>p of no drop</th><th>b : c</th><th></th></tr>", 100 * confidence);
    for (const cJSON *m = items(h, "metrics"); m; m = m->next) {
        rt_put(t, "<tr><td>%s</td>", rt_text(m, "metric"));
        delta_cells(t, m);
        rt_put(t, "<td>");
        put_p(t, rt_number(m, "p"));
        end_cell(t, "p of no drop");
        rt_put(t, "<td>");
        if (rt_number(m, "b") + rt_number(m, "c") > 0) rt_put(t, "%.0f : %.0f", rt_number(m, "b"), rt_number(m, "c"));
        else rt_put(t, "-");
        end_cell(t, "b : c");
        rt_put(t, "<td class=\"x\">");
        rt_put_html(t, strcmp(rt_text(m, "status"), "measured") ? rt_text(m, "reason") : rt_text(m, "method"));
        rt_put(t, "</td></tr>\n");
    }
    rt_put(t, "</table><p><small>A drop is baseline minus candidate in the bad direction. b: rows that the baseline "
              "alone has right, c: the candidate alone. nfr b/n, btc a/(a+b), nfi b/(b+d): negative flips, backward "
              "trust, the share of the candidate's errors that are new; their interval is of the number itself.</small>"
              "</p>\n");
}

static void per_class(rt_string *t, const cJSON *h)
{
    int n = 0, count = cJSON_GetArraySize(rt_member(h, "per_class"));
    if (!count) return;
    rt_put(t,
           "<h3>Classes, by drop of recall</h3><table class=\"r\"><tr><th>class</th><th>rows</th><th>baseline recall"
           "</th><th>candidate recall</th><th>drop</th><th>interval</th><th>drop of precision</th><th>drop of F1</th>"
           "</tr>");
    for (const cJSON *c = items(h, "per_class"); c && n < CLASSES; c = c->next, n++) {
        rt_put(t, "<tr><td>");
        rt_put_html(t, rt_text(c, "name"));
        rt_put(t, "</td><td>%.0f", rt_number(c, "rows"));
        end_cell(t, "rows");
        delta_cells(t, rt_member(c, "recall"));
        rt_put(t, "<td>");
        put_number(t, rt_number(rt_member(c, "precision"), "drop"));
        end_cell(t, "drop of precision");
        rt_put(t, "<td>");
        put_number(t, rt_number(rt_member(c, "f1"), "drop"));
        end_cell(t, "drop of F1");
        rt_put(t, "</tr>\n");
    }
    rt_put(t, "</table>");
    if (count > n) rt_put(t, "<p><small>The first %d of %d; all are in evaluation.json.</small></p>", n, count);
}

static void confusion(rt_string *t, const cJSON *h)
{
    const cJSON *o = rt_member(h, "confusion_difference"), *m = rt_member(o, "matrix");
    if (!o) return;
    rt_put(t, "<h3>Confusion, candidate less baseline</h3>");
    if (m)
        rt_plot_matrix(t, m, rt_member(h, "names"), 1,
                       "Rows of a truth (down) by answer (across), candidate less baseline");
    if (!items(o, "pairs")) return;
    rt_put(t, "<table class=\"r\"><tr><th>truth</th><th>answered with</th><th>baseline</th><th>candidate</th>"
              "<th>difference</th></tr>");
    for (const cJSON *p = items(o, "pairs"); p; p = p->next) {
        double a = rt_number(p, "baseline"), b = rt_number(p, "candidate");
        rt_put(t, "<tr><td>");
        rt_put_html(t, rt_text(p, "truth"));
        rt_put(t, "</td><td>");
        rt_put_html(t, rt_text(p, "answer"));
        end_cell(t, "answered with");
        rt_put(t, "<td>%.0f", a);
        end_cell(t, "baseline");
        rt_put(t, "<td>%.0f", b);
        end_cell(t, "candidate");
        rt_put(t, "<td class=\"%s\">%+.0f", b > a ? "bad" : "good", b - a);
        end_cell(t, "difference");
        rt_put(t, "</tr>\n");
    }
    rt_put(t, "</table>");
}

static void slice_row(rt_string *t, const cJSON *d, double p)
{
    rt_put(t, "<td>%.0f", rt_number(d, "n"));
    end_cell(t, "rows");
    delta_cells(t, d);
    rt_put(t, "<td>");
    put_p(t, p);
    end_cell(t, "p (Holm)");
    rt_put(t, "</tr>\n");
}

static const char slice_titles[] = "<th>rows</th><th>baseline</th><th>candidate</th><th>drop</th><th>interval</th>"
                                   "<th>p (Holm)</th></tr>";

static void slices(rt_string *t, const cJSON *h)
{
    int n = 0;
    if (items(h, "found")) {
        rt_put(t,
               "<h3>Slices found</h3><p><small>Sought on one half of the rows, confirmed on the other; numbers are of "
               "the half that confirms. p: one-sided, that the candidate is no worse.</small></p><table class=\"r\">"
               "<tr><th>slice</th>%s",
               slice_titles);
        for (const cJSON *f = items(h, "found"); f; f = f->next) {
            rt_put(t, "<tr><td>");
            for (const cJSON *s = items(f, "slice"); s; s = s->next) {
                rt_put_html(t, cJSON_GetStringValue(s));
                rt_put(t, "%s", s->next ? "<br>" : "");
            }
            rt_put(t, "</td>");
            slice_row(t, rt_member(f, "confirmed"), rt_number(f, "p_worse_holm"));
        }
        rt_put(t, "</table>");
    } else if (rt_member(h, "found"))
        rt_put(t, "<h3>Slices found</h3><p>None on which the candidate is worse.</p>");
    if (!items(h, "slices")) return;
    rt_put(t, "<h3>Worst slices</h3><p><small>Of %.0f of 20 rows to 95 %% of them; %s. p: one-sided, that the ",
           rt_number(h, "slices_compared"), rt_text(rt_member(h, "slices")->child, "metric"));
    rt_put(t, "candidate is no worse, after Holm.</small></p><table class=\"r\"><tr><th>slice</th>%s", slice_titles);
    for (const cJSON *s = items(h, "slices"); s && n < 20; s = s->next, n++) {
        rt_put(t, "<tr><td>");
        rt_put_html(t, rt_text(s, "column"));
        rt_put(t, " = ");
        rt_put_html(t, rt_text(s, "value"));
        rt_put(t, "</td>");
        slice_row(t, s, rt_number(s, "p_worse_holm"));
    }
    rt_put(t, "</table>");
}

static void look(rt_string *t, const cJSON *f)
{
    const char *uri = rt_text(f, "picture");
    if (strncmp(uri, "data:image/png;base64,", 22) == 0) {
        rt_put(t, "<img alt=\"row ");
        rt_put_html(t, rt_text(f, "id"));
        rt_put(t, "\" src=\"");
        rt_put_html(t, uri);
        rt_put(t, "\">");
        return;
    }
    for (const cJSON *v = items(f, "values"); v; v = v->next)
        rt_put(t, "%s%.4g", v == items(f, "values") ? "<code>" : " ", cJSON_GetNumberValue(v));
    if (items(f, "values")) rt_put(t, "</code>");
}

static void flips(rt_string *t, const cJSON *h)
{
    if (!items(h, "flips")) return;
    rt_put(t, "<h3>Rows that flipped</h3><p><small>%d of %.0f: first those that only the baseline has right, the "
              "candidate's surest errors first.</small></p><div class=\"flips\">",
           cJSON_GetArraySize(rt_member(h, "flips")), rt_number(h, "flips_counted"));
    for (const cJSON *f = items(h, "flips"); f; f = f->next) {
        int bad = !strcmp(rt_text(f, "flip"), "negative");
        rt_put(t, "<div class=\"flip %s\">", bad ? "bad" : "good");
        look(t, f);
        rt_put(t, "<div>truth <b>");
        rt_put_html(t, rt_text(f, "truth"));
        rt_put(t, "</b></div><div>baseline ");
        rt_put_html(t, rt_text(f, "baseline"));
        rt_put(t, " %.2f</div><div>candidate ", rt_number(f, "baseline_confidence"));
        rt_put_html(t, rt_text(f, "candidate"));
        rt_put(t, " %.2f</div><small>", rt_number(f, "candidate_confidence"));
        rt_put_html(t, rt_text(f, "id"));
        rt_put(t, "</small></div>\n");
    }
    rt_put(t, "</div>");
}

static void head_title(rt_string *t, const cJSON *c, const cJSON *h)
{
    if (cJSON_GetArraySize(rt_member(c, "heads")) < 2) return;
    rt_put(t, "<h2>Head ");
    rt_put_html(t, rt_text(h, "name"));
    rt_put(t, " (%s)</h2>", rt_text(h, "task"));
}

void rt_put_pair_title(rt_string *t, const cJSON *e)
{
    const cJSON *c = rt_member(e, "comparison");
    rt_put(t, "%s against %s", rt_text(rt_member(c, "candidate"), "name"), rt_text(rt_member(c, "baseline"), "name"));
}

void rt_put_pair_banner(rt_string *t, const cJSON *e)
{
    const cJSON *c = rt_member(e, "comparison");
    if (!c) return;
    sum_up(t, c);
    for (const cJSON *h = items(c, "heads"); h; h = h->next) {
        head_title(t, c, h);
        if (rt_member(h, "missing")) rt_put(t, "<p>A side lacks this head.</p>");
        else metrics(t, h, rt_number(c, "confidence"));
    }
}

void rt_put_pair_page(rt_string *t, const cJSON *e)
{
    const cJSON *c = rt_member(e, "comparison");
    if (!c) return;
    rt_put(t, "<h2>Baseline and candidate</h2><dl>");
    rt_put_side_page(t, "baseline", rt_member(c, "baseline"));
    rt_put_side_page(t, "candidate", rt_member(c, "candidate"));
    rt_put(t, "</dl><p><small>%.0f rows, paired by their ids.</small></p>", rt_number(c, "rows"));
    for (const cJSON *h = items(c, "heads"); h; h = h->next) {
        if (rt_member(h, "missing")) continue;
        head_title(t, c, h);
        per_class(t, h);
        confusion(t, h);
        slices(t, h);
        rt_plot_reliabilities(t, rt_member(h, "reliability"));
        flips(t, h);
    }
}
