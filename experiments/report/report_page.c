#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "experiments/report/report_parts.h"
#include "student/metrics.h"

enum { MOST_CLASSES = 40 };            /* a larger confusion matrix is not shown */

/* What compares with the reference, of the tasks that are there, and what is seen. */
static void put_comparisons(rt_string *t, unsigned tasks)
{
    enum { C = 1 << RT_TASK_CLASSES, L = 1 << RT_TASK_MULTILABEL, R = 1 << RT_TASK_REAL };
    static const struct { unsigned tasks; const char *text; } line[] = {
        {C | L, "<dt>agreement</dt><dd>share of all rows with the reference's answer</dd>"},
        {R, "<dt>agreement of values</dt><dd>the share of elements within a tenth of the reference's</dd>"},
        {R, "<dt>distance</dt><dd>mean over all elements of |value - the reference's|</dd>"},
        {C | L, "<dt>KL</dt><dd>mean over all rows of &Sigma; q ln(q/p), q the reference's distribution, in nats</dd>"},
        {C | L, "<dt>McNemar p</dt><dd>exact, two-sided; below it rows that the reference alone has right : this model "
                "alone</dd>"},
        {L | R, "<dt>error difference</dt><dd>mean over rows of this model's error less the reference's (of labels the "
                "share that is wrong, of values the mean absolute error): below 0 this model is the better one; below "
                "it the 95 % interval</dd>"},
        {C | L | R, "<dt>rows seen</dt><dd>rows of this evaluation that the model or an ancestor was trained or chosen "
                    "on; &ldquo;-&rdquo;: not known. Equal rows in another file are not found.</dd>"}};
    for (size_t i = 0; i < sizeof line / sizeof line[0]; i++) if (line[i].tasks & tasks) rt_put(t, "%s", line[i].text);
}

/* Of the tables of metrics. */
static void put_metrics(rt_string *t, const rt_report_view *view, int views)
{
    unsigned done = 0;
    static const char *const what[RT_TASK_COUNT] = {
        "p: softmax of the logits; the answer: the largest; below the accuracy stands Wilson's 95 % interval",
        "p of a label: the logistic function of its logit; the answer: the labels of p above one half", NULL};
    unsigned all = 0;
    for (int v = 0; v < views; v++) all |= 1u << view[v].task;
    rt_put(t, "<h2>What the numbers are</h2><p>Over rows with a label or target.");
    for (int task = 0; task < RT_TASK_COUNT; task++)
        if (all >> task & 1 && what[task]) rt_put(t, " %s: %s.", task ? "Labels" : "Classes", what[task]);
    rt_put(t, "</p><dl>");
    for (int v = 0; v < views; v++) {
        const rt_metric_table *of = &rt_metrics[view[v].task];
        if (done & 1u << view[v].task) continue;
        done |= 1u << view[v].task;
        for (int i = 0; i < of->count; i++) {
            rt_put(t, "<dt>");
            for (const char *c = of->metric[i].name; *c; c++) rt_put(t, "%c", *c == '_' ? ' ' : *c);
            rt_put(t, "</dt><dd>");
            rt_put_html(t, of->metric[i].help);
            rt_put(t, ". scikit-learn: ");
            rt_put_html(t, of->metric[i].equals);
            rt_put(t, "</dd>");
        }
    }
    put_comparisons(t, all);
}

static const char speed_definitions[] =
    "<dt>p50, p99</dt><dd>one row, one thread, after warm-up, models in turn, the cost of reading the clock taken off; "
    "p50 is the median, p99 the MLPerf early-stopping estimate at 99 % confidence (absent below 662 samples)</dd>"
    "<dt>disturbed calls</dt><dd>took longer than 1.1 times their CPU time and 10 us: they lost the CPU to something "
    "else. p99 us is over all calls, p99 us undisturbed without these.</dd>"
    "<dt>rows/s</dt><dd>median of the rounds at the fastest batch size of 1, 16, 64, 256; below it the lowest and the "
    "highest round</dd>"
    "<dt>J/million rows</dt><dd>at that batch size, by the processor's counters (RAPL): packages and memory, what they "
    "use when idle and what else ran included; energy.idle_share tells how much that is. Absent where they cannot be "
    "read.</dd>"
    "<dt>cold start, peak RSS</dt><dd>apart from the rounds: a new process loads the model, plans and answers one row; "
    "the median of the starts, files in the page cache, and the most memory that it held</dd>"
    "<dt>cost/million rows</dt><dd>price of an hour / 3600 &times; seconds of a million rows / copies</dd>";

/* What stands in small type below a value. */
static void put_detail(rt_string *t, const rt_column *c, const cJSON *m)
{
    const cJSON *range = rt_member(m, "accuracy_95"), *flips = rt_member(m, "mcnemar_vs_reference");
    const cJSON *rate = rt_member(m, "throughput");
    switch (c->detail) {
    case RT_INTERVAL:
        rt_put(t, "<br><small>%.4f&ndash;%.4f</small>", cJSON_GetNumberValue(cJSON_GetArrayItem(range, 0)),
               cJSON_GetNumberValue(cJSON_GetArrayItem(range, 1)));
        break;
    case RT_FLIPS:
        rt_put(t, "<br><small>%.0f : %.0f</small>", rt_number(flips, "reference_right_only"),
               rt_number(flips, "this_right_only"));
        break;
    case RT_SPAN:
        range = rt_member(rt_member(m, "difference_vs_reference"), "interval_95");
        rt_put(t, "<br><small>%.4g to %.4g</small>", cJSON_GetNumberValue(cJSON_GetArrayItem(range, 0)),
               cJSON_GetNumberValue(cJSON_GetArrayItem(range, 1)));
        break;
    case RT_OF_CALLS:
        rt_put(t, "<br><small>of %.0f</small>", rt_number(rt_member(m, "latency_batch1_1thread"), "samples"));
        break;
    case RT_OF_STARTS:
        range = rt_member(m, "cold_start");
        rt_put(t, "<br><small>%.0f&ndash;%.0f, %.0f starts</small>", rt_number(range, "lowest_us"),
               rt_number(range, "highest_us"), rt_number(range, "runs"));
        break;
    case RT_RANGE:
        rt_put(t, "<br><small>");
        rt_put_si(t, rt_number(rate, "lowest"));
        rt_put(t, "&ndash;");
        rt_put_si(t, rt_number(rate, "highest"));
        rt_put(t, ", batch %.0f</small>", rt_number(rate, "batch"));
        break;
    default:
        break;
    }
}

static void table(rt_string *t, const rt_report_view *view, int which)
{
    const cJSON *e = view->e;
    unsigned task = 1u << view->task;
    rt_put(t, "<table><tr><th>model</th>");
    for (int c = 0; c < RT_COLUMNS; c++)
        if ((int)rt_columns[c].table == which && rt_columns[c].tasks & task && rt_column_used(&rt_columns[c], e))
            rt_put(t, "<th>%s</th>", rt_columns[c].title);
    rt_put(t, "</tr>");
    for (const cJSON *m = rt_first_model(e); m; m = m->next) {
        rt_put(t, "<tr><td>");
        rt_put_html(t, rt_model_name(m));
        rt_put(t, "</td>");
        for (int c = 0; c < RT_COLUMNS; c++) {
            if ((int)rt_columns[c].table != which || !(rt_columns[c].tasks & task) ||
                !rt_column_used(&rt_columns[c], e)) continue;
            rt_put(t, "<td>");
            rt_put_value(t, &rt_columns[c], m);
            rt_put(t, "<b>%s</b>", rt_columns[c].title);
            if (isfinite(rt_columns[c].value(m))) put_detail(t, &rt_columns[c], m);
            rt_put(t, "</td>");
        }
        rt_put(t, "</tr>");
    }
    rt_put(t, "</table>\n");
}

static void confusion(rt_string *t, const cJSON *e, const cJSON *m)
{
    rt_string title = {0};
    rt_put(&title, "Confusion: %s (rows: truth, columns: answer)", rt_model_name(m));
    rt_put(t, "<h3>");
    rt_put_html(t, title.p);
    rt_put(t, "</h3>");
    rt_plot_matrix(t, rt_member(m, "confusion"), rt_member(rt_member(e, "data"), "class_names"), 0,
                   title.p ? title.p : "");
    t->failed |= title.failed;
    free(title.p);
}

static void heading(rt_string *t, const char *text, const rt_report_view *view)
{
    rt_put(t, "<h2>%s", text);
    if (view->name) {
        rt_put(t, ": ");
        rt_put_html(t, view->name);
        rt_put(t, " (%s)", rt_metrics[view->task].task);
    }
    rt_put(t, "</h2>");
}

static void confusions(rt_string *t, const rt_report_view *view)
{
    const cJSON *e = view->e;
    double k = rt_number(rt_member(e, "data"), "classes");
    if (!rt_member(rt_first_model(e), "confusion")) return;
    heading(t, "Confusion", view);
    if (k > MOST_CLASSES) {
        rt_put(t, "<p>%.0f classes are too many to show; per_class%s in evaluation.json tell%s.</p>", k,
               cJSON_IsArray(rt_member(rt_first_model(e), "confusion")) ? " and confusion" : "",
               cJSON_IsArray(rt_member(rt_first_model(e), "confusion")) ? "" : "s");
        return;
    }
    for (const cJSON *m = rt_first_model(e); m; m = m->next)
        if (rt_member(m, "confusion")) confusion(t, e, m);                /* one may lack the head */
}

static int is_plain(const char *key)
{ return *key && strspn(key, "abcdefghijklmnopqrstuvwxyz_0123456789") == strlen(key); }

/* A word of a shell's command. */
static void put_word(rt_string *t, const char *path, const char *json)
{
    rt_put(t, " '%s=", path);
    for (const char *c = json; *c; c++) rt_put(t, *c == '\'' ? "'\\''" : "%c", *c);
    rt_put(t, "'");
}

void rt_put_settings(rt_string *t, const char *path, const cJSON *j)
{
    int plain = cJSON_IsObject(j) && j->child;
    for (const cJSON *c = j->child; c; c = c->next) plain &= c->string && is_plain(c->string);
    if (!plain || strlen(path) > 60) {
        char *text = *path && !cJSON_IsNull(j) ? cJSON_PrintUnformatted(j) : NULL;
        if (text) put_word(t, path, text);
        cJSON_free(text);
        return;
    }
    for (const cJSON *c = j->child; c; c = c->next) {
        char at[160];
        snprintf(at, sizeof at, "%s%s%.60s", path, *path ? "." : "", c->string);
        rt_put_settings(t, at, c);
    }
}

/* The command that does the same again. */
static void put_command(rt_string *t, const cJSON *e)
{
    const cJSON *config = rt_member(e, "config");
    rt_string line = {0};
    if (!cJSON_IsObject(config)) return;
    rt_put_settings(&line, "", config);
    const char *device = cJSON_GetStringValue(rt_member(rt_member(e, "machine"), "device"));
    rt_put(t, "</dl>\n<h2>Command</h2><pre>retort eval --out FOLDER");
    if (device) rt_put(t, " --device ");
    if (device) rt_put_html(t, device);
    rt_put_html(t, line.p);
    rt_put(t, "</pre><dl>");
    t->failed |= line.failed;
    free(line.p);
}

void rt_put_machine_page(rt_string *t, const cJSON *machine, int speed)
{
    rt_put(t, "CPU ");
    rt_put_html(t, cJSON_GetStringValue(rt_member(machine, "cpu")));
    rt_put(t, ", %.0f threads, kernels ", rt_number(machine, "threads"));
    rt_put_html(t, cJSON_GetStringValue(rt_member(machine, "kernels")));
    const char *integer = cJSON_GetStringValue(rt_member(machine, "int_kernels"));
    if (integer) {
        rt_put(t, ", integer kernels ");
        rt_put_html(t, integer);
    }
    if (rt_member(machine, "card")) {
        rt_put(t, ", on ");
        rt_put_html(t, cJSON_GetStringValue(rt_member(machine, "card")));
    }
    if (speed && rt_member(machine, "peak_gflops_1thread"))
        rt_put(t, ", measured peak %.0f GFLOP/s a thread", rt_number(machine, "peak_gflops_1thread"));
    rt_put(t, ", governor ");
    rt_put_html(t, cJSON_GetStringValue(rt_member(machine, "governor")));
    rt_put(t, ", compiler ");
    rt_put_html(t, cJSON_GetStringValue(rt_member(machine, "compiler")));
    rt_put(t, ". ");
}

static void put_made_by(rt_string *t, const cJSON *e, int speed)
{
    rt_put(t, "</dl>\n<p>");
    rt_put_machine_page(t, rt_member(e, "machine"), speed);
    rt_put(t, "Made by ");
    rt_put_html(t, cJSON_GetStringValue(rt_member(e, "tool")));
    rt_put(t, "; the numbers are in evaluation.json.</p></body></html>\n");
}

static void put_opening(rt_string *t, const cJSON *e)
{
    const cJSON *data = rt_member(e, "data"), *notes = rt_member(e, "notes");
    double rows = rt_number(data, "rows"), labelled = rt_number(data, "labelled_rows");
    rt_string line = {0}, title = {0};
    if (rt_member(e, "comparison")) rt_put_pair_title(&title, e);
    rt_page_begin(t, "retort evaluation", title.p ? title.p : "Evaluation");
    free(title.p);
    rt_put_pair_banner(t, e);
    rt_put(t, "<p>");
    if (data) {
        rt_put(t, "Data <b>");
        rt_put_html(t, cJSON_GetStringValue(rt_member(data, "source")));
        rt_put(t, "</b> (%.8s), %.0f rows", cJSON_GetStringValue(rt_member(data, "digest")), rows);
        if (labelled < rows) rt_put(t, ", %.0f of them with a label", labelled);
        if (rt_member(data, "classes")) rt_put(t, ", %.0f classes", rt_number(data, "classes"));
        rt_put(t, ". ");
    }
    if (rt_member(rt_member(e, "machine"), "time")) {
        rt_put_html(t, cJSON_GetStringValue(rt_member(rt_member(e, "machine"), "time")));
        rt_put(t, ". ");
    }
    rt_put_reference(&line, e);
    rt_put_html(t, line.p);
    free(line.p);
    rt_put(t, "</p>\n");
    for (const cJSON *n = notes ? notes->child : NULL; n; n = n->next) {
        rt_put(t, "<p class=\"note\">");
        rt_put_html(t, cJSON_GetStringValue(n));
        rt_put(t, "</p>\n");
    }
}

/* What stands beside cost: of each task a metric whose larger values are better. */
static void put_plots(rt_string *t, const rt_report_view *view)
{
    static const char *const best[RT_TASK_COUNT] = {"accuracy", "micro_f1", "r2"};
    static const char *const title[RT_TASK_COUNT] = {"Accuracy against cost", "Micro-F1 against cost",
                                                     "R2 against cost"};
    heading(t, title[view->task], view);
    rt_put(t, "<p><small>The dashed line joins the Pareto front.</small></p>");
    rt_plot_scatter(t, view->e, best[view->task], view->task ? "Quality and latency" : "Accuracy and latency",
                    "batch-1 latency p50, us (log)", rt_report_p50);
    rt_plot_scatter(t, view->e, best[view->task], view->task ? "Quality and size" : "Accuracy and size",
                    "parameters (log)", rt_report_parameters);
}

/* Training curves of a head's two metrics; of one head of classes of the accuracy alone. */
static void put_curves(rt_string *t, const rt_report_view *view)
{
    const rt_metric_table *of = &rt_metrics[view->task];
    const rt_metric *metric[2] = {&of->metric[of->first], &of->metric[of->second]};
    for (int i = 0; i < (view->name || view->task != RT_TASK_CLASSES ? 2 : 1); i++) {
        char key[160], alone[160], title[160];
        snprintf(key, sizeof key, "validation_%s%s%s", view->name ? view->name : "", view->name ? "." : "",
                 metric[i]->name);
        snprintf(title, sizeof title, "validation %s", metric[i]->name);
        /* What a model of this head alone calls it. */
        snprintf(alone, sizeof alone, "validation_%s",
                 metric[i] == &rt_classes_metrics[RT_NLL] ? "loss" : metric[i]->name);
        rt_plot_curves(t, view->e, key, alone, title, !metric[i]->higher);
    }
}

static void put_view(rt_string *t, const cJSON *e, const rt_report_view *view)
{
    int i = 0;
    int labelled = rt_number(rt_member(view->e, "data"), "labelled_rows") > 0;
    if (labelled) put_plots(t, view);
    if (!view->name) rt_plot_curves(t, e, "loss", NULL, "training loss, each model's own", 1);
    put_curves(t, view);
    if (labelled && view->task == RT_TASK_CLASSES) heading(t, "Calibration", view);
    for (const cJSON *m = rt_first_model(view->e); m; m = m->next, i++) rt_plot_reliability(t, m, i);
    confusions(t, view);
}

void rt_report_html(rt_string *t, const cJSON *e)
{
    int speed = rt_report_has(e, "throughput");
    rt_report_view view[RT_VIEWS], whole = {.e = e};
    int views = rt_report_views(e, view);
    put_opening(t, e);
    rt_put_pair_page(t, e);
    for (int i = 0; i < views; i++) {
        int labelled = rt_number(rt_member(view[i].e, "data"), "labelled_rows") > 0;
        if (!labelled && !rt_member(e, "reference")) continue;
        heading(t, "Quality", &view[i]);
        table(t, &view[i], RT_QUALITY);
    }
    if (views) {
        rt_put(t, "<h2>Cost</h2>");
        table(t, &whole, RT_COST);
    }
    if (views > 1) rt_plot_curves(t, e, "loss", NULL, "training loss, each model's own", 1);
    for (int i = 0; i < views; i++) put_view(t, e, &view[i]);
    put_metrics(t, view, views);
    if (speed) rt_put(t, "%s", speed_definitions);
    put_command(t, e);
    put_made_by(t, e, speed);
    rt_report_views_free(view, views);
}
