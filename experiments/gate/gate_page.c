/* experiments/gate/gate_page.c - a verdict as one HTML file: the banner, then every limit with its interval, then
 * classes and rows that flipped, then what it was measured on. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "experiments/gate/gate_parts.h"

static const char *class_of(const char *outcome)
{
    if (!strcmp(outcome, "pass")) return "good";
    if (!strcmp(outcome, "regression")) return "bad";
    return !strcmp(outcome, "listed") || !strcmp(outcome, "waived") ? "" : "open";
}

static void put_banner(rt_string *t, const cJSON *v)
{
    const char *verdict = rt_text(v, "verdict");
    rt_string wear = {0};
    rt_put(t, "<p class=\"sum %s\">", class_of(verdict));
    rt_gate_put_upper(t, verdict);
    rt_put(t, ": ");
    rt_gate_put_counts(t, v);
    rt_put(t, "</p>\n<p>%.0f rows, ", rt_number(v, "rows"));
    rt_gate_put_confidence(t, v);
    rt_put(t, ", %s", rt_text(v, "mode"));
    rt_gate_put_wear(&wear, v);
    if (wear.p) rt_put(t, "; ");
    rt_put_html(t, wear.p);
    rt_put(t, ". %s.</p>\n", rt_text(v, "time"));
    t->failed |= wear.failed;
    free(wear.p);
}

static void put_lines(rt_string *t, const cJSON *list, const char *before)
{
    for (const cJSON *e = list ? list->child : NULL; e; e = e->next) {
        rt_put(t, "<p class=\"note\">%s", before);
        rt_put_html(t, cJSON_GetStringValue(e));
        rt_put(t, "</p>\n");
    }
}

/* What is to be said of a limit beside its numbers. */
static void put_why(rt_string *t, const cJSON *l)
{
    const cJSON *waiver = rt_member(l, "waiver");
    const char *const text[] = {rt_text(l, "reason"), rt_text(l, "method"), rt_text(l, "note")};
    int any = 0;
    for (int i = 0; i < 3; i++) if (*text[i]) rt_put(t, "%s%s", any++ ? "; " : "", text[i]);
    if (!waiver) return;
    rt_put(t, "%swaived until %s: %s", any ? "; " : "", rt_text(waiver, "until"), rt_text(waiver, "reason"));
}

static void put_outcome(rt_string *t, const cJSON *l) { rt_put(t, "%s", rt_gate_outcome(l)); }
static const char *class_of_outcome(const cJSON *l) { return class_of(rt_gate_outcome(l)); }

static void put_limits(rt_string *t, const cJSON *v)
{
    enum { BEFORE = 2, ALL = BEFORE + RT_GATE_COLUMNS + 1 };
    rt_table_column column[ALL] = {{"limit", rt_gate_put_title, NULL, 0, RT_CELL_TEXT, 0, NULL},
                                   {"verdict", put_outcome, NULL, 0, RT_CELL_TEXT, 0, class_of_outcome}};
    memcpy(column + BEFORE, rt_gate_columns, sizeof rt_gate_columns);
    column[ALL - 1] = (rt_table_column){"", put_why, NULL, 0, RT_CELL_TEXT, 0, NULL};
    rt_table_begin(t, RT_FORM_PAGE, column, ALL);
    for (int k = 0; k < RT_GATE_ORDERS; k++)
        for (const cJSON *l = rt_gate_limits(v); l; l = l->next)
            if (!strcmp(rt_gate_outcome(l), rt_gate_order[k])) rt_table_row(t, RT_FORM_PAGE, column, ALL, l);
    rt_table_end(t, RT_FORM_PAGE);
    rt_put(t, "<p><small>A drop is baseline minus candidate in the bad direction; its interval [lo, hi] passes "
              "where hi is within the limit, is a regression where lo is beyond it, and else decides nothing. b: rows "
              "that the baseline alone has right, c: the candidate alone. Slices and confusion: retort eval.</small>"
              "</p>\n");
}

/* Noise, and what is apart from the rounds: starts of new processes. */
static void put_speed(rt_string *t, const cJSON *v)
{
    const cJSON *speed = rt_member(v, "speed"), *control = rt_member(speed, "control");
    if (!speed) return;
    rt_put(t, "<h2>Speed</h2><p>%.0f rounds in %.1f s. The baseline against itself:", rt_number(speed, "rounds"),
           rt_number(speed, "seconds"));
    for (const cJSON *c = control ? control->child : NULL; c; c = c->next) {
        if (!cJSON_IsObject(c)) continue;
        rt_put(t, " %s %.4f", c->string, rt_number(c, "ratio"));
        if (isfinite(rt_number(c, "disturbed")))
            rt_put(t, " (%.2g %% of calls disturbed)", 100 * rt_number(c, "disturbed"));
        rt_put(t, "%s%s", cJSON_IsTrue(rt_member(c, "noisy")) ? ", too noisy" : "",
               c->next && c->next->child ? ";" : "");
    }
    rt_put(t, ".</p>\n");
    for (int i = 0; i < RT_GATE_SIDES; i++) {
        const cJSON *cold = rt_member(rt_member(speed, rt_gate_side[i]), "cold_start");
        if (!cold) continue;
        rt_put(t, "<p>Cold start of the %s: %.1f ms (%.1f to %.1f, %.0f new processes), at most ", rt_gate_side[i],
               rt_number(cold, "median_us") / 1e3, rt_number(cold, "lowest_us") / 1e3,
               rt_number(cold, "highest_us") / 1e3, rt_number(cold, "runs"));
        rt_put_si(t, rt_number(cold, "peak_rss_bytes"));
        rt_put(t, " bytes of memory.</p>\n");
    }
}

void rt_gate_page(rt_string *t, const cJSON *v)
{
    rt_string sides = {0};
    rt_gate_put_sides(&sides, v, rt_put_plain);
    rt_page_begin(t, "retort gate", sides.p ? sides.p : "");
    t->failed |= sides.failed;
    free(sides.p);
    put_banner(t, v);
    put_lines(t, rt_member(v, "refused"), "<b>Not comparable:</b> ");
    put_limits(t, v);
    put_lines(t, rt_member(v, "notes"), "");
    rt_gate_put_power(t, RT_FORM_PAGE, v, "<h2>What these rows can show</h2>", "");
    rt_put_heads_page(t, rt_member(v, "heads"), "verdict.json");
    put_speed(t, v);
    rt_put(t, "<h2>Sides</h2><dl>");
    for (int i = 0; i < RT_GATE_SIDES; i++)
        if (rt_member(v, rt_gate_side[i])) rt_put_side_page(t, rt_gate_side[i], rt_member(v, rt_gate_side[i]));
    rt_put(t, "</dl>\n<h2>Command</h2><pre>");
    rt_put_html(t, rt_text(v, "command"));
    rt_put(t, "</pre>\n<h2>Policy</h2><pre>");
    char *policy = cJSON_Print(rt_member(v, "policy"));
    rt_put_html(t, policy);
    cJSON_free(policy);
    rt_put(t, "</pre>\n<p>");
    rt_put_machine_page(t, rt_member(v, "machine"), 0);
    rt_put(t, "Made by ");
    rt_put_html(t, rt_text(v, "tool"));
    rt_put(t, "; the numbers are in verdict.json.</p></body></html>\n");
}
