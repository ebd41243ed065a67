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

static void put_range(rt_string *t, const cJSON *d)
{
    if (!isfinite(rt_number(d, "lo"))) return;
    put_number(t, rt_number(d, "lo"));
    rt_put(t, " to ");
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

/* ---- columns ---- */

static void put_metric(rt_string *t, const cJSON *d) { rt_put(t, "%s", rt_text(d, "metric")); }
static void put_baseline(rt_string *t, const cJSON *d) { put_number(t, rt_number(d, "baseline")); }
static void put_candidate(rt_string *t, const cJSON *d) { put_number(t, rt_number(d, "candidate")); }
static void put_drop(rt_string *t, const cJSON *d) { put_number(t, rt_number(d, "drop")); }
static void put_no_drop(rt_string *t, const cJSON *d) { put_p(t, rt_number(d, "p")); }
static void put_worse(rt_string *t, const cJSON *d) { put_p(t, rt_number(d, "p_worse_holm")); }
static void put_rows(rt_string *t, const cJSON *j) { rt_put(t, "%.0f", rt_number(j, "rows")); }
static void put_n(rt_string *t, const cJSON *d) { rt_put(t, "%.0f", rt_number(d, "n")); }
static void put_name(rt_string *t, const cJSON *j) { rt_put(t, "%s", rt_text(j, "name")); }
static void put_truth(rt_string *t, const cJSON *j) { rt_put(t, "%s", rt_text(j, "truth")); }
static void put_answer(rt_string *t, const cJSON *j) { rt_put(t, "%s", rt_text(j, "answer")); }
static void put_of_baseline(rt_string *t, const cJSON *j) { rt_put(t, "%.0f", rt_number(j, "baseline")); }
static void put_of_candidate(rt_string *t, const cJSON *j) { rt_put(t, "%.0f", rt_number(j, "candidate")); }
static double more_of(const cJSON *j) { return rt_number(j, "candidate") - rt_number(j, "baseline"); }
static void put_more(rt_string *t, const cJSON *j) { rt_put(t, "%+.0f", more_of(j)); }
static const char *class_of_more(const cJSON *j) { return more_of(j) > 0 ? "bad" : "good"; }

static void put_flips(rt_string *t, const cJSON *d)
{
    if (rt_number(d, "b") + rt_number(d, "c") > 0) rt_put(t, "%.0f : %.0f", rt_number(d, "b"), rt_number(d, "c"));
}

static void put_word(rt_string *t, const cJSON *d)
{
    int measured = !strcmp(rt_text(d, "status"), "measured");
    if (*(measured ? said_of(d) : rt_text(d, "reason"))) rt_put(t, "%s", measured ? said_of(d) : rt_text(d, "reason"));
}

static void put_method(rt_string *t, const cJSON *d)
{
    if (*rt_text(d, "method")) rt_put(t, "%s", rt_text(d, "method"));
}

static void put_slice(rt_string *t, const cJSON *s)
{
    for (const cJSON *n = items(s, "slice"); n; n = n->next)
        rt_put(t, "%s%s", cJSON_GetStringValue(n), n->next ? " and " : "");
}

static void put_value_of(rt_string *t, const cJSON *s)
{ rt_put(t, "%s = %s", rt_text(s, "column"), rt_text(s, "value")); }

static const char *class_of_word(const char *word) { return *word == 'w' ? "bad" : *word == 'b' ? "good" : ""; }
static const char *class_of_drop(const cJSON *d) { return class_of_word(said_of(d)); }

/* Both sides, their drop, its interval: columns of every table of deltas. */
#define DELTAS(of, before) \
    {before "baseline", put_baseline, of, 9, RT_CELL_NUMBER, 0, NULL}, \
    {before "candidate", put_candidate, of, 9, RT_CELL_NUMBER, 0, NULL}, \
    {"drop", put_drop, of, 9, RT_CELL_NUMBER, 0, class_of_drop}, \
    {"interval", put_range, of, 22, RT_CELL_NUMBER, 0, NULL}

static const rt_table_column of_metrics[] = {
    {"metric", put_metric, NULL, -18, RT_CELL_TEXT, 0, NULL},
    DELTAS(NULL, ""),
    {"p of no drop", put_no_drop, NULL, 0, RT_CELL_NUMBER, RT_NOT_PLAIN, NULL},
    {"b : c", put_flips, NULL, 9, RT_CELL_NUMBER, 0, NULL},
    {"method", put_method, NULL, 0, RT_CELL_TEXT, RT_NOT_PLAIN | RT_NOT_MARKDOWN, NULL},
    {"", put_word, NULL, 0, RT_CELL_TEXT, 0, NULL}};
static const rt_table_column of_classes[] = {
    {"class", put_name, NULL, 0, RT_CELL_TEXT, 0, NULL}, {"rows", put_rows, NULL, 0, RT_CELL_NUMBER, 0, NULL},
    DELTAS("recall", "recall, "),
    {"drop of precision", put_drop, "precision", 0, RT_CELL_NUMBER, 0, NULL},
    {"drop of F1", put_drop, "f1", 0, RT_CELL_NUMBER, 0, NULL}};
static const rt_table_column of_confusion[] = {
    {"truth", put_truth, NULL, 0, RT_CELL_TEXT, 0, NULL}, {"answered with", put_answer, NULL, 0, RT_CELL_TEXT, 0, NULL},
    {"baseline", put_of_baseline, NULL, 0, RT_CELL_NUMBER, 0, NULL},
    {"candidate", put_of_candidate, NULL, 0, RT_CELL_NUMBER, 0, NULL},
    {"difference", put_more, NULL, 0, RT_CELL_NUMBER, 0, class_of_more}};
static const rt_table_column of_slices[] = {
    {"slice", put_value_of, NULL, 0, RT_CELL_TEXT, 0, NULL}, {"rows", put_n, NULL, 0, RT_CELL_NUMBER, 0, NULL},
    DELTAS(NULL, ""), {"p (Holm)", put_worse, NULL, 0, RT_CELL_NUMBER, 0, NULL}};
static const rt_table_column of_found[] = {
    {"slice", put_slice, NULL, 0, RT_CELL_TEXT, 0, NULL}, {"rows", put_n, "confirmed", 0, RT_CELL_NUMBER, 0, NULL},
    DELTAS("confirmed", ""), {"p (Holm)", put_worse, NULL, 0, RT_CELL_NUMBER, 0, NULL}};
enum { CLASS_COLUMNS = sizeof of_classes / sizeof *of_classes };
#define COUNT(columns) ((int)(sizeof(columns) / sizeof *(columns)))

/* "drop 0.01 (0.00 to 0.02)" */
static void put_drop_and_range(rt_string *t, const cJSON *d)
{
    rt_put(t, "drop ");
    put_drop(t, d);
    rt_put(t, " (");
    put_range(t, d);
    rt_put(t, ")");
}

/* ---- as text ---- */

static void metrics(rt_string *t, rt_form form, const cJSON *h)
{
    rt_table_begin(t, form, of_metrics, COUNT(of_metrics));
    for (const cJSON *m = items(h, "metrics"); m; m = m->next)
        if (form != RT_FORM_PLAIN || !strcmp(rt_text(m, "status"), "measured"))
            rt_table_row(t, form, of_metrics, COUNT(of_metrics), m);
    rt_table_end(t, form);
}

/* What was found on one half of the rows and confirmed on the other, a sentence each. */
static void found(rt_string *t, rt_form form, const cJSON *h)
{
    for (const cJSON *f = items(h, "found"); f; f = f->next) {
        rt_string name = {0};
        if (!(rt_number(f, "p_worse_holm") < 0.05)) continue;
        put_slice(&name, f);
        rt_put(t, form == RT_FORM_MARKDOWN ? "\nWorse on " : "worse on ");
        rt_put_as(t, form, name.p);
        rt_put(t, ": %.0f rows, ", rt_number(f, "rows"));
        put_drop_and_range(t, rt_member(f, "confirmed"));
        rt_put(t, ", p %.2g (Holm)\n", rt_number(f, "p_worse_holm"));
        t->failed |= name.failed;
        free(name.p);
    }
}

void rt_put_pair(rt_string *t, rt_form form, const cJSON *e)
{
    const cJSON *c = rt_member(e, "comparison");
    if (!c) return;
    rt_put(t, form == RT_FORM_MARKDOWN ? "\n\n## Baseline and candidate\n\nBaseline " : "baseline ");
    rt_put_as(t, form, rt_text(rt_member(c, "baseline"), "name"));
    rt_put(t, ", candidate ");
    rt_put_as(t, form, rt_text(rt_member(c, "candidate"), "name"));
    rt_put(t, ": %.0f rows; drop: baseline minus candidate in the bad direction, %.4g %% interval\n",
           rt_number(c, "rows"), 100 * rt_number(c, "confidence"));
    for (const cJSON *h = items(c, "heads"); h; h = h->next) {
        if (form == RT_FORM_MARKDOWN) {
            rt_put(t, "\nHead ");
            rt_put_markdown(t, rt_text(h, "name"));
            rt_put(t, "\n\n");
        }
        metrics(t, form, h);
        found(t, form, h);
    }
    rt_put(t, "\n");
}

/* ---- as a page ---- */

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
        rt_put(t, "<p class=\"sum %s\">", class_of_word(word));
        if (cJSON_GetArraySize(rt_member(c, "heads")) > 1) {
            rt_put_html(t, rt_text(h, "name"));
            rt_put(t, ": ");
        }
        rt_put(t, "%s ", rt_text(d, "metric"));
        put_number(t, rt_number(d, "baseline"));
        rt_put(t, " &rarr; ");
        put_number(t, rt_number(d, "candidate"));
        rt_put(t, ", ");
        put_drop_and_range(t, d);
        rt_put(t, ": %s%s</p>\n", *word == 'n' ? "" : "the candidate is ", word);
    }
}

static void per_class(rt_string *t, const cJSON *h, const char *from)
{
    int n = 0, count = cJSON_GetArraySize(rt_member(h, "per_class")), columns = CLASS_COLUMNS;
    if (!count) return;
    if (!rt_member(items(h, "per_class"), "precision")) columns -= 2;
    rt_put(t, "<h3>Classes, by drop of recall</h3>");
    rt_table_begin(t, RT_FORM_PAGE, of_classes, columns);
    for (const cJSON *c = items(h, "per_class"); c && n < CLASSES; c = c->next, n++)
        rt_table_row(t, RT_FORM_PAGE, of_classes, columns, c);
    rt_table_end(t, RT_FORM_PAGE);
    if (count > n) rt_put(t, "<p><small>The first %d of %d; all are in %s.</small></p>", n, count, from);
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
    rt_table_begin(t, RT_FORM_PAGE, of_confusion, COUNT(of_confusion));
    for (const cJSON *p = items(o, "pairs"); p; p = p->next)
        rt_table_row(t, RT_FORM_PAGE, of_confusion, COUNT(of_confusion), p);
    rt_table_end(t, RT_FORM_PAGE);
}

static void slices(rt_string *t, const cJSON *h)
{
    int n = 0;
    if (items(h, "found")) {
        rt_put(t,
               "<h3>Slices found</h3><p><small>Sought on one half of the rows, confirmed on the other; numbers are of "
               "the half that confirms. p: one-sided, that the candidate is no worse.</small></p>");
        rt_table_begin(t, RT_FORM_PAGE, of_found, COUNT(of_found));
        for (const cJSON *f = items(h, "found"); f; f = f->next)
            rt_table_row(t, RT_FORM_PAGE, of_found, COUNT(of_found), f);
        rt_table_end(t, RT_FORM_PAGE);
    } else if (rt_member(h, "found"))
        rt_put(t, "<h3>Slices found</h3><p>None on which the candidate is worse.</p>");
    if (!items(h, "slices")) return;
    rt_put(t, "<h3>Worst slices</h3><p><small>Of %.0f of 20 rows to 95 %% of them; %s. p: one-sided, that the ",
           rt_number(h, "slices_compared"), rt_text(rt_member(h, "slices")->child, "metric"));
    rt_put(t, "candidate is no worse, after Holm.</small></p>");
    rt_table_begin(t, RT_FORM_PAGE, of_slices, COUNT(of_slices));
    for (const cJSON *s = items(h, "slices"); s && n < 20; s = s->next, n++)
        rt_table_row(t, RT_FORM_PAGE, of_slices, COUNT(of_slices), s);
    rt_table_end(t, RT_FORM_PAGE);
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

static void head_title(rt_string *t, const cJSON *heads, const cJSON *h)
{
    if (cJSON_GetArraySize(heads) < 2) return;
    rt_put(t, "<h2>Head ");
    rt_put_html(t, rt_text(h, "name"));
    rt_put(t, " (%s)</h2>", rt_text(h, "task"));
}

void rt_put_heads_page(rt_string *t, const cJSON *heads, const char *from)
{
    for (const cJSON *h = heads ? heads->child : NULL; h; h = h->next) {
        if (!items(h, "per_class") && !items(h, "flips")) continue;
        head_title(t, heads, h);
        per_class(t, h, from);
        flips(t, h);
    }
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
        head_title(t, rt_member(c, "heads"), h);
        if (rt_member(h, "missing")) {
            rt_put(t, "<p>A side lacks this head.</p>");
            continue;
        }
        metrics(t, RT_FORM_PAGE, h);
        rt_put(t,
               "<p><small>A drop is baseline minus candidate in the bad direction; intervals are of %.4g %%. b: rows "
               "that the baseline alone has right, c: the candidate alone. nfr b/n, btc a/(a+b), nfi b/(b+d): "
               "negative flips, backward trust, the share of the candidate's errors that are new; their interval is "
               "of the number itself.</small></p>\n",
               100 * rt_number(c, "confidence"));
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
        head_title(t, rt_member(c, "heads"), h);
        per_class(t, h, "evaluation.json");
        confusion(t, h);
        slices(t, h);
        rt_plot_reliabilities(t, rt_member(h, "reliability"));
        flips(t, h);
    }
}
