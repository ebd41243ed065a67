/* experiments/drift/drift_page.c - a look at drift as one HTML file. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "experiments/drift/drift_parts.h"
#include "experiments/report/report_axes.h"
#include "experiments/report/report_parts.h"

enum { MOST_ROWS = 200, MOST_PLOTS = 24, WIDTH = 380, HEIGHT = 240, LETTERS = 7 };
static const char *const colour[RT_DRIFT_SIDES] = {"#1f6feb", "#9a6700"};

static void put_side(rt_string *t, const char *word, const cJSON *side)
{
    rt_put(t, "%s <b>", word);
    rt_put_html(t, rt_text(side, "path"));
    rt_put(t, "</b> (%.8s), %.0f rows. ", rt_text(side, "digest"), rt_number(side, "rows"));
}

static const char *class_of(const char *verdict)
{ return !strcmp(verdict, "drift") ? "bad" : !strcmp(verdict, "none") ? "good" : ""; }

static void put_opening(rt_string *t, const cJSON *r)
{
    const cJSON *counts = rt_member(r, "counts"), *model = rt_member(r, "model");
    const char *verdict = rt_text(r, "verdict");
    rt_page_begin(t, "retort drift", "Drift");
    rt_put(t, "<p class=\"sum %s\">%s</p><p>", class_of(verdict),
           !strcmp(verdict, "drift") ? "The data has drifted" : !strcmp(verdict, "none") ? "No drift" : "Undecided");
    put_side(t, "Reference", rt_member(r, "reference"));
    put_side(t, "Data", rt_member(r, "data"));
    if (model) {
        rt_put(t, "Model <b>");
        if (rt_member(model, "path")) rt_put_html(t, rt_text(model, "path"));
        else rt_put(t, "of the predictions");
        rt_put(t, "</b> (%.8s), kernels ", rt_text(model, "digest"));
        rt_put_html(t, rt_text(model, "kernels"));
        rt_put(t, ". ");
    }
    rt_put_html(t, rt_text(r, "time"));
    rt_put(t, ".</p><p>%.0f checks drift, %.0f are undecided, %.0f do not.</p>\n", rt_number(counts, "drift"),
           rt_number(counts, "undecided"), rt_number(counts, "none"));
    for (const cJSON *n = rt_member(r, "notes")->child; n; n = n->next) {
        rt_put(t, "<p class=\"note\">");
        rt_put_html(t, n->valuestring);
        rt_put(t, "</p>\n");
    }
}

static void put_cell(rt_string *t, const char *title, double v, const char *form)
{
    rt_put(t, "<td>");
    if (form[0] == 'p' && v == 0) rt_put(t, "&lt; 1e-300");
    else if (isfinite(v)) rt_put(t, form[0] == 'p' ? "%.2g" : "%.3g", v);
    else rt_put(t, "-");
    rt_put(t, "<b>%s</b></td>", title);
}

static void put_checks(rt_string *t, const cJSON **sorted, int n)
{
    rt_put(t, "<h2>Checks</h2><table><tr><th>check</th><th>verdict</th><th>effect</th><th>value</th><th>limit</th>"
              "<th>least found</th><th>p (Holm)</th><th>test</th><th class=\"x\">why</th></tr>");
    for (int i = 0; i < n && i < MOST_ROWS; i++) {
        const cJSON *c = sorted[i], *e = rt_member(c, "effects")->child;
        for (const cJSON *o = e; o; o = o->next)       /* of two effects the one nearer to its limit */
            if (rt_number(o, "value") * rt_number(e, "limit") > rt_number(e, "value") * rt_number(o, "limit")) e = o;
        rt_put(t, "<tr><td>");
        rt_put_html(t, rt_text(c, "name"));
        rt_put(t, "</td><td class=\"%s\">%s<b>verdict</b></td><td>%s<b>effect</b></td>",
               class_of(rt_text(c, "verdict")), rt_text(c, "verdict"), rt_text(e, "name"));
        put_cell(t, "value", rt_number(e, "value"), "e");
        put_cell(t, "limit", rt_number(e, "limit"), "e");
        put_cell(t, "least found", rt_number(e, "detects"), "e");
        put_cell(t, "p (Holm)", rt_number(c, "p_holm"), "p");
        rt_put(t, "<td>%s<b>test</b></td><td class=\"x\">", rt_text(c, "test"));
        rt_put_html(t, rt_text(c, "reason"));
        rt_put(t, "</td></tr>");
    }
    rt_put(t, "</table>\n");
    if (n > MOST_ROWS) rt_put(t, "<p>%d more stand in drift.csv.</p>", n - MOST_ROWS);
}

/* ---- a column ---- */

static void put_name(rt_string *t, const cJSON *of, int numbers, int i, int shorten)
{
    const cJSON *name = cJSON_GetArrayItem(of, i);
    char cut[64];
    int letters = 0, bytes = 0;
    if (numbers) {
        if (cJSON_IsNumber(name)) rt_put(t, "&le; %.3g", name->valuedouble);
        else rt_put(t, "above");
        return;
    }
    const char *text = cJSON_GetStringValue(name);
    for (; text && text[bytes] && bytes < 60; bytes++) {
        letters += (text[bytes] & 0xc0) != 0x80;
        if (shorten && letters > LETTERS) break;
    }
    snprintf(cut, sizeof cut, "%.*s", bytes, text ? text : "");
    rt_put_html(t, cut);
    if (text && text[bytes]) rt_put(t, "&hellip;");
}

static void put_plot(rt_string *t, const cJSON *column)
{
    const cJSON *bins = rt_member(column, "bins"), *names = rt_member(bins, "upto");
    int numbers = names != NULL;
    if (!numbers) names = rt_member(bins, "of");
    int k = cJSON_GetArraySize(names), every = (k + 4) / 5;
    double total[RT_DRIFT_SIDES] = {0, 0}, most = 0;
    const cJSON *count[RT_DRIFT_SIDES] = {rt_member(bins, "reference"), rt_member(bins, "data")};
    if (!k) return;
    for (int s = 0; s < RT_DRIFT_SIDES; s++)
        for (const cJSON *c = count[s]->child; c; c = c->next) total[s] += c->valuedouble;
    for (int s = 0; s < RT_DRIFT_SIDES; s++)
        for (const cJSON *c = count[s]->child; c && total[s] > 0; c = c->next)
            most = fmax(most, c->valuedouble / total[s]);
    rt_axis x = rt_axis_between(0, k, WIDTH, HEIGHT), y = rt_axis_between(0, most * 1.08 + 1e-9, WIDTH, HEIGHT);
    rt_put(t, "<figure><figcaption>");
    rt_put_html(t, rt_text(column, "name"));
    rt_put(t, "</figcaption>");
    rt_open_plot(t, WIDTH, HEIGHT, numbers ? "values, by tenths of the reference" : "categories", "share of rows");
    rt_ticks(t, &y, 1);
    for (int i = 0; i < k; i++) {
        double left = rt_place_x(&x, i + 0.1), wide = (rt_place_x(&x, i + 0.9) - left) / RT_DRIFT_SIDES;
        for (int s = 0; s < RT_DRIFT_SIDES; s++) {
            double share = total[s] > 0 ? cJSON_GetArrayItem(count[s], i)->valuedouble / total[s] : 0;
            double top = rt_place_y(&y, share);
            rt_put(t, "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" fill=\"%s\"><title>",
                   left + s * wide, top, wide, rt_place_y(&y, 0) - top, colour[s]);
            put_name(t, names, numbers, i, 0);
            rt_put(t, ": %.2f %% of the %s</title></rect>", 100 * share, s ? "data" : "reference");
        }
        if (i % every) continue;
        rt_put(t, "<text class=\"s\" x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">", rt_place_x(&x, i + 0.5),
               HEIGHT - RT_PLOT_BOTTOM + 14);
        put_name(t, names, numbers, i, 1);
        rt_put(t, "</text>");
    }
    rt_put(t, "</svg><br><small>PSI %.3f", rt_number(column, "psi"));
    if (numbers)
        rt_put(t, ", KS %.3f; mean %.4g &rarr; %.4g", rt_number(column, "ks"),
               rt_number(rt_member(column, "reference"), "mean"), rt_number(rt_member(column, "data"), "mean"));
    rt_put(t, "</small></figure>");
}

/* Columns in the order of their checks, those that drift first. */
static void put_columns(rt_string *t, const cJSON *r, const cJSON **sorted, int n)
{
    const cJSON *done[MOST_PLOTS], *columns = rt_member(r, "columns");
    int plots = 0, all = 0;
    for (const cJSON *c = columns->child; c; c = c->next) all += rt_member(c, "bins") != NULL;
    if (!all) return;
    rt_put(t, "<h2>Columns</h2><p><span style=\"color:%s\">&#9632;</span> reference &nbsp; "
              "<span style=\"color:%s\">&#9632;</span> data</p>", colour[0], colour[1]);
    for (int i = 0; i < n && plots < MOST_PLOTS; i++) {
        const char *name = rt_text(sorted[i], "column"), *group = rt_text(sorted[i], "group");
        int again = 0;
        for (const cJSON *c = columns->child; c && *name; c = c->next) {
            if (strcmp(rt_text(c, "name"), name) || strcmp(rt_text(c, "group"), group) || !rt_member(c, "bins"))
                continue;
            for (int k = 0; k < plots; k++) again |= done[k] == c;
            if (again || plots == MOST_PLOTS) break;
            done[plots++] = c;
            put_plot(t, c);
            break;
        }
    }
    if (all > plots) rt_put(t, "<p>%d more stand in drift.json.</p>", all - plots);
}

/* ---- the model ---- */

static void put_accuracy(rt_string *t, const cJSON *list)
{
    if (!list) return;
    rt_put(t,
           "<h2>Expected accuracy</h2><p>Estimates from how sure the model is, without labels of the data; they hold "
           "as far as its confidence means the same there.</p><table><tr><th>head</th><th>reference</th>"
           "<th>expected (ATC)</th><th>expected (DoC)</th><th>by labels</th></tr>");
    for (const cJSON *a = list->child; a; a = a->next) {
        rt_put(t, "<tr><td>");
        rt_put_html(t, rt_text(a, "head"));
        rt_put(t, "</td>");
        put_cell(t, "reference", rt_number(a, "reference"), "e");
        put_cell(t, "expected (ATC)", rt_number(a, "expected_atc"), "e");
        put_cell(t, "expected (DoC)", rt_number(a, "expected_doc"), "e");
        put_cell(t, "by labels", rt_number(a, "data"), "e");
        rt_put(t, "</tr>");
    }
    rt_put(t, "</table>");
}

static void put_unlike(rt_string *t, const cJSON *u)
{
    if (!rt_member(u, "share")) return;
    rt_put(t, "<h2>Rows unlike any</h2><p>%.2f %% of %.0f rows lie farther from the reference than 99 %% of its own; "
              "%.2f %% is usual. Features: ", 100 * rt_number(u, "share"), rt_number(u, "rows"),
           100 * rt_number(u, "expected"));
    rt_put_html(t, rt_text(u, "features"));
    rt_put(t, " (%.0f numbers).</p><table><tr><th>row</th><th>distance</th><th>p</th></tr>",
           rt_number(u, "dimensions"));
    for (const cJSON *row = rt_member(u, "rows_unlike")->child; row; row = row->next) {
        rt_put(t, "<tr><td>%.0f</td>", rt_number(row, "row"));
        put_cell(t, "distance", rt_number(row, "distance"), "e");
        put_cell(t, "p", rt_number(row, "p"), "p");
        rt_put(t, "</tr>");
    }
    rt_put(t, "</table>");
}

static const char definitions[] =
    "<h2>What the numbers are</h2><dl>"
    "<dt>verdict</dt><dd>drift: the effect is beyond its limit and p, after Holm's correction over all checks, is at "
    "most alpha. none: it is within, and one beyond would have been significant. undecided: too few rows for either. "
    "With many rows everything is significant, so that an effect is needed, too.</dd>"
    "<dt>psi</dt><dd>&Sigma; (q - p) ln(q / p) over tenths of the reference (a value that fills several is a bin of "
    "its own), or over its 20 most frequent categories, "
    "the rest and what it has not; p = (rows + 1/2) / (all + bins / 2). Below 0.1 small, from 0.25 on large.</dd>"
    "<dt>ks</dt><dd>the largest distance of the two distribution functions; p exact up to 10,000 rows a side</dd>"
    "<dt>chi-square, Fisher</dt><dd>of counts; categories of which fewer than 5 rows are expected are put together; "
    "where one would remain Fisher's exact test takes its place</dd>"
    "<dt>outside, unseen, missing</dt><dd>the share of values beyond the reference's range; of rows of categories that "
    "it has not, less the share that stands in it once (Good and Turing); the change of the share that is missing</dd>"
    "<dt>features</dt><dd>auc: how well a classifier tells the sides apart on rows that it did not learn from; 0.5 is "
    "not at all</dd>"
    "<dt>unlike</dt><dd>the share of rows whose fifth nearest neighbour in a third of the reference is farther than "
    "of 99 % of the other reference rows</dd>"
    "<dt>expected accuracy</dt><dd>ATC: the share of rows as sure as the share of the reference that is right; DoC: "
    "the reference's accuracy less the drop of the mean confidence</dd>"
    "<dt>least found</dt><dd>the smallest effect that would be significant with these rows</dd></dl>\n";

void rt_drift_page(rt_string *t, const cJSON *r)
{
    int n;
    const cJSON **sorted = rt_drift_sorted(rt_member(r, "checks"), &n);
    put_opening(t, r);
    if (!sorted) t->failed = 1;
    if (sorted) put_checks(t, sorted, n);
    put_accuracy(t, rt_member(r, "accuracy"));
    put_unlike(t, rt_member(r, "unlike"));
    if (sorted) put_columns(t, r, sorted, n);
    rt_put(t, "%s<p>Made by ", definitions);
    rt_put_html(t, rt_text(r, "tool"));
    rt_put(t, "; the numbers are in drift.json.</p></body></html>\n");
    free(sorted);
}
