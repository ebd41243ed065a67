#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "experiments/registry/history_parts.h"
#include "experiments/report/report_axes.h"
#include "experiments/report/report_parts.h"

static const cJSON *first_of(const cJSON *j, const char *key)
{
    const cJSON *list = rt_member(j, key);
    return list ? list->child : NULL;
}

static int is_speed(const cJSON *h) { return !strcmp(rt_text(h, "kind"), "speed"); }

static void put_range(rt_string *t, double lo, double hi)
{
    if (isfinite(lo) && isfinite(hi)) rt_put(t, " <small>[%.4g, %.4g]</small>", lo, hi);
}

/* ---- what stands first ---- */

static const cJSON *newest(const cJSON *h)
{
    const cJSON *last = NULL;
    for (const cJSON *v = first_of(h, "versions"); v; v = v->next) if (isfinite(rt_number(v, "value"))) last = v;
    return last;
}

static void put_summary(rt_string *t, const cJSON *h)
{
    const cJSON *v = newest(h), *gate = rt_member(v, "gate"), *anchor = rt_member(v, "anchor");
    if (!v) return;
    if (!cJSON_IsObject(gate)) gate = NULL;
    rt_put(t, "<p class=\"sum %s\">", !strcmp(rt_history_mark(v), "regression") ? "bad" : "");
    rt_put_html(t, rt_text(v, "version"));
    rt_put(t, ": %.6g", rt_number(v, "value"));
    if (isfinite(rt_number(v, "lo"))) rt_put(t, " [%.4g, %.4g]", rt_number(v, "lo"), rt_number(v, "hi"));
    if (isfinite(rt_number(v, "drop"))) {
        double drop = rt_number(v, "drop");
        rt_put(t, "; %s by %.4g than the anchor of release ", drop > 0 ? "worse" : "better", fabs(drop));
        rt_put_html(t, rt_text(anchor, "release"));
        if (isfinite(rt_number(v, "drop_lo")))
            rt_put(t, " (drop [%.4g, %.4g])", rt_number(v, "drop_lo"), rt_number(v, "drop_hi"));
    }
    if (gate) rt_put(t, "; gate: ");
    if (gate) rt_put_html(t, rt_text(gate, "verdict"));
    rt_put(t, "</p>\n");
}

static void put_opening(rt_string *t, const cJSON *h)
{
    rt_string title = {0}, heading = {0};
    rt_put(&title, "%s: %s", rt_text(h, "name"), rt_text(h, "metric"));
    rt_put(&heading, "%s: %s by version", rt_text(h, "name"), rt_text(h, "metric"));
    rt_page_begin(t, title.p ? title.p : "", heading.p ? heading.p : "");
    t->failed |= title.failed || heading.failed;
    free(title.p);
    free(heading.p);
    rt_put(t, "<p>Registry <b>");
    rt_put_html(t, rt_text(h, "registry"));
    rt_put(t, "</b>, %d versions; ", cJSON_GetArraySize(rt_member(h, "versions")));
    rt_put(t, "%s is better. ", !strcmp(rt_text(h, "better"), "higher") ? "higher" : "lower");
    rt_put_html(t, rt_text(h, "time"));
    if (isfinite(rt_number(h, "decisions")))
        rt_put(t, ". The test set of the newest gate has been used for %.0f decision%s", rt_number(h, "decisions"),
               rt_number(h, "decisions") == 1 ? "" : "s");
    rt_put(t, "</p>\n");
    put_summary(t, h);
    for (const cJSON *n = first_of(h, "notes"); n; n = n->next) {
        rt_put(t, "<p class=\"note\">");
        rt_put_html(t, cJSON_GetStringValue(n));
        rt_put(t, "</p>\n");
    }
}

/* ---- figures ---- */

static void put_figure(rt_string *t, const cJSON *h, void (*plot)(rt_string *, const cJSON *, int, int),
                       const char *caption)
{
    rt_string wide = {0}, narrow = {0};
    plot(&wide, h, 1100, 340);
    plot(&narrow, h, RT_HISTORY_NARROW, 320);
    if (wide.p && narrow.p) {
        rt_put(t, "<h2>%s</h2><figure class=\"w\">", caption);
        rt_put_bytes(t, wide.p, wide.n);
        rt_put(t, "</figure><figure class=\"h\">");
        rt_put_bytes(t, narrow.p, narrow.n);
        rt_put(t, "</figure>\n");
    }
    t->failed |= wide.failed || narrow.failed;
    free(wide.p);
    free(narrow.p);
}

static void put_key_mark(rt_string *t, const char *mark)
{
    rt_put(t, "<li><svg viewBox=\"0 0 24 14\" aria-hidden=\"true\">");
    rt_put_mark(t, mark, 12, 7);
    rt_put(t, "</svg>%s</li>", mark);
}

static void put_key_line(rt_string *t, const char *class, const char *text)
{
    rt_put(t, "<li><svg viewBox=\"0 0 24 14\" aria-hidden=\"true\"><line class=\"%s\" x1=\"12\" y1=\"0\" x2=\"12\" "
           "y2=\"14\"/></svg>%s</li>", class, text);
}

static void put_key(rt_string *t, const cJSON *h)
{
    static const char *const marks[] = {"pass", "regression", "undecided", "not measured", "no gate"};
    int gaps = 0, releases = 0, had = 0, intervals = 0;
    rt_put(t, "<ul class=\"key\">");
    for (int i = 0; i < 5; i++) {
        int any = 0;
        for (const cJSON *v = first_of(h, "versions"); v; v = v->next)
            any |= isfinite(rt_number(v, "value")) && !strcmp(rt_history_mark(v), marks[i]);
        if (any) put_key_mark(t, marks[i]);
    }
    for (const cJSON *v = first_of(h, "versions"); v; v = v->next) {
        releases |= first_of(v, "releases") != NULL;
        intervals |= isfinite(rt_number(v, "lo")) || isfinite(rt_number(v, "drop_lo"));
        if (!isfinite(rt_number(v, "value"))) continue;
        gaps |= had && cJSON_IsFalse(rt_member(v, "joined"));
        had = 1;
    }
    if (releases) put_key_line(t, "anchor", "anchor of a release");
    if (gaps && is_speed(h))
        put_key_line(t, "gap", "another machine: speeds of two machines are not comparable, and the line breaks");
    else if (gaps) put_key_line(t, "gap", "another test set: the line breaks");
    if (intervals)
        rt_put(t, "<li><svg viewBox=\"0 0 24 14\" aria-hidden=\"true\"><path class=\"wh\" d=\"M12 1V13M9 1h6M9 "
               "13h6\"/></svg>interval</li>");
    rt_put(t, "</ul>\n");
}

/* ---- the table ---- */

static void put_cell(rt_string *t, const char *title) { rt_put(t, "<td><b>%s</b>", title); }

static void put_list(rt_string *t, const cJSON *list, const char *before)
{
    for (const cJSON *e = list ? list->child : NULL; e; e = e->next) {
        rt_put(t, "%s", before);
        rt_put_html(t, cJSON_GetStringValue(e));
        if (e->next) rt_put(t, ", ");
    }
}

static void put_gate(rt_string *t, const cJSON *v)
{
    const cJSON *gate = rt_member(v, "gate");
    put_cell(t, "gate");
    if (!cJSON_IsObject(gate)) rt_put(t, "-");
    else {
        const char *class = !strcmp(rt_history_mark(v), "regression") ? "bad" : !strcmp(rt_history_mark(v), "pass")
                                ? "good" : "";
        rt_put(t, "<span class=\"%s\">", class);
        rt_put_html(t, rt_text(gate, "verdict"));
        rt_put(t, "</span><br><small>against ");
        rt_put_html(t, rt_text(gate, "baseline"));
        if (isfinite(rt_number(gate, "alpha"))) rt_put(t, ", alpha %.2g", rt_number(gate, "alpha"));
        rt_put(t, "</small>");
    }
    rt_put(t, "</td>");
}

static void put_place(rt_string *t, const cJSON *h, const cJSON *v)
{
    double place = rt_number(v, is_speed(h) ? "machine" : "test_set");
    put_cell(t, is_speed(h) ? "machine" : "test set");
    if (place >= 0 && place < 26) rt_put(t, "%c", 'A' + (int)place);
    else if (place >= 0) rt_put(t, "%.0f", place);
    else rt_put(t, "-");
    rt_put(t, "</td>");
}

static void put_drop(rt_string *t, const char *title, double drop, const cJSON *v, int pairs)
{
    put_cell(t, title);
    if (!isfinite(drop)) rt_put(t, "-");
    else {
        rt_put(t, "%+.4g", drop);
        if (pairs) put_range(t, rt_number(v, "drop_lo"), rt_number(v, "drop_hi"));
    }
    rt_put(t, "</td>");
}

static void put_row(rt_string *t, const cJSON *h, const cJSON *v)
{
    const cJSON *releases = rt_member(v, "releases"), *tags = rt_member(v, "tags");
    rt_put(t, "<tr><td>");
    rt_put_html(t, rt_text(v, "version"));
    rt_put(t, "</td>");
    put_cell(t, "added");
    rt_put_html(t, rt_text(v, "time"));
    rt_put(t, "</td>");
    put_cell(t, "value");
    if (isfinite(rt_number(v, "value"))) rt_put(t, "%.6g", rt_number(v, "value"));
    else rt_put(t, "-");
    put_range(t, rt_number(v, "lo"), rt_number(v, "hi"));
    rt_put(t, "</td>");
    put_drop(t, "drop, version before", rt_number(v, "step"), v, 0);
    put_drop(t, "drop, anchor", rt_number(v, "drop"), v, 1);
    put_gate(t, v);
    put_place(t, h, v);
    rt_put(t, "<td class=\"x\">");
    put_list(t, tags, "");
    if (tags && tags->child && releases && releases->child) rt_put(t, "; ");
    put_list(t, releases, "anchor of release ");
    if (*rt_text(v, "note") && ((tags && tags->child) || (releases && releases->child))) rt_put(t, "; ");
    rt_put_html(t, rt_text(v, "note"));
    rt_put(t, "</td></tr>\n");
}

static void put_table(rt_string *t, const cJSON *h)
{
    rt_put(t, "<h2>Versions</h2><table><tr><th>version</th><th>added</th><th>value</th><th>drop, version before</th>"
           "<th>drop, anchor</th><th>gate</th><th>%s</th><th class=\"x\">tags, notes</th></tr>\n",
           is_speed(h) ? "machine" : "test set");
    int n = cJSON_GetArraySize(rt_member(h, "versions"));
    const cJSON **v = calloc((size_t)n + 1, sizeof *v);
    for (const cJSON *e = first_of(h, "versions"); v && e; e = e->next) v[--n] = e;
    for (const cJSON **e = v; e && *e; e++) put_row(t, h, *e);          /* the newest first */
    t->failed |= !v;
    free(v);
    rt_put(t, "</table>\n");
}

static void put_places(rt_string *t, const cJSON *h)
{
    int i = 0;
    rt_put(t, "<h2>%s</h2><dl>", is_speed(h) ? "Machines" : "Test sets");
    for (const cJSON *p = first_of(h, is_speed(h) ? "machines" : "test_sets"); p; p = p->next, i++) {
        rt_put(t, "<dt><span style=\"color:%s\">&#9679;</span> ", rt_palette[i % RT_PALETTE]);      /* of its lines */
        rt_put(t, i < 26 ? "%c</dt><dd>" : "%d</dt><dd>", i < 26 ? 'A' + i : i);
        if (is_speed(h)) {
            rt_put_html(t, rt_text(p, "cpu"));
            rt_put(t, ", kernels ");
            rt_put_html(t, rt_text(p, "kernels"));
            rt_put(t, ", %.0f threads, fingerprint ", rt_number(p, "threads"));
            rt_put_html(t, rt_text(p, "fingerprint"));
        } else {
            rt_put_html(t, rt_text(p, "data"));
            rt_put(t, ", %.0f rows", rt_number(p, "rows"));
        }
        rt_put(t, "</dd>");
    }
    rt_put(t, "</dl>\n");
}

static const char definitions[] =
    "<h2>What the numbers are</h2><dl>"
    "<dt>value</dt><dd>of the version's newest evaluation on the newest version's test set (of a speed: machine), else "
    "on that of the version before, else on any; where there is none, what its newest gate run measured; the interval "
    "is of 95 %</dd>"
    "<dt>drop</dt><dd>the older version minus this one in the bad direction: above 0 this one is worse</dd>"
    "<dt>drop, anchor</dt><dd>since the last version, up to this one, that was pinned at a release. With an interval: "
    "of pairs of rows, as a gate compared them; without: the difference of both values</dd>"
    "<dt>gate</dt><dd>of the newest run with this version as the candidate; alpha: what it spent of the error that is "
    "allowed over all releases on its test set</dd></dl>\n";

void rt_history_html(rt_string *t, const cJSON *h)
{
    put_opening(t, h);
    put_figure(t, h, rt_plot_history, "By version");
    put_key(t, h);
    put_figure(t, h, rt_plot_drift, "Since the anchor");
    put_table(t, h);
    put_places(t, h);
    rt_put(t, "%s<p>Made by ", definitions);
    rt_put_html(t, rt_text(h, "tool"));
    rt_put(t, "; 'retort registry history --json' gives the numbers.</p></body></html>\n");
}
