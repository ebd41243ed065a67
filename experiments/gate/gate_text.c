#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "experiments/gate/gate_parts.h"

/* ---- one limit ---- */

/* What the interval is of. */
static const char *quantity(const cJSON *l)
{
    const char *bound = rt_text(l, "bound");
    if (!strcmp(bound, "max_drop")) return "drop";
    if (!strcmp(bound, "max_drop_rel")) return "relative drop";
    if (!strcmp(bound, "max_ratio")) return "ratio";
    return strcmp(bound, "max_us") ? "value" : "us";
}

void rt_gate_put_bound(rt_string *t, const cJSON *l)
{
    rt_put(t, "%s %.6g", rt_text(l, "bound"), rt_number(l, "limit"));
}

static void put_number(rt_string *t, double v)
{
    if (isfinite(v)) rt_put(t, "%.4g", v);
    else rt_put(t, "-");
}

void rt_gate_put_value(rt_string *t, const cJSON *l) { put_number(t, rt_number(l, "value")); }

void rt_gate_put_interval(rt_string *t, const cJSON *l)
{
    double lo = rt_number(l, "lo"), hi = rt_number(l, "hi");
    if (!isfinite(lo) || !isfinite(hi)) return;
    rt_put(t, "[%.4g, %.4g]", lo, hi);
}

void rt_gate_put_detail(rt_string *t, const cJSON *l)
{
    const char *reason = rt_text(l, "reason");
    double n = rt_number(l, "n");
    int shown = isfinite(rt_number(l, "value"));
    if (shown) {
        rt_put(t, "%s ", quantity(l));
        rt_gate_put_value(t, l);
        rt_put(t, " ");
        rt_gate_put_interval(t, l);
        rt_put(t, ", limit ");
        rt_gate_put_bound(t, l);
        if (isfinite(rt_number(l, "baseline")))
            rt_put(t, "; baseline %.6g, candidate %.6g", rt_number(l, "baseline"), rt_number(l, "candidate"));
        if (n > 0) rt_put(t, "; n %.0f", n);
        if (rt_member(l, "b")) rt_put(t, ", b %.0f, c %.0f", rt_number(l, "b"), rt_number(l, "c"));
    }
    if (*reason) {
        rt_put(t, "%s", shown ? "; " : "");
        rt_put_plain(t, reason);
    }
}

char *rt_gate_title(const cJSON *l)
{
    rt_string t = {0};
    const char *kernels = rt_text(l, "kernels");
    rt_put_plain(&t, rt_text(l, "name"));
    if (*kernels) rt_put(&t, " [%s]", kernels);
    return t.p;
}

static int waived(const cJSON *l)
{
    const char *outcome = rt_text(l, "outcome");
    return rt_member(l, "waiver") && strcmp(outcome, "pass") && strcmp(outcome, "listed");
}

const char *rt_gate_outcome(const cJSON *l) { return waived(l) ? "waived" : rt_text(l, "outcome"); }

const char *const rt_gate_order[RT_GATE_ORDERS] = {"regression", "not measured", "undecided",
                                                   "waived",     "pass",         "listed"};
enum { PASS_AT = 4 };

const cJSON *rt_gate_limits(const cJSON *v)
{
    const cJSON *l = rt_member(v, "limits");
    return l ? l->child : NULL;
}

static int count_of(const cJSON *v, const char *outcome)
{
    int n = 0;
    for (const cJSON *l = rt_gate_limits(v); l; l = l->next) n += !strcmp(rt_gate_outcome(l), outcome);
    return n;
}

void rt_gate_put_counts(rt_string *t, const cJSON *v)
{
    int any = 0;
    for (int k = 0; k < RT_GATE_ORDERS; k++) {
        int n = count_of(v, rt_gate_order[k]);
        if (n) rt_put(t, "%s%d %s%s", any++ ? ", " : "", n, rt_gate_order[k], !k && n > 1 ? "s" : "");
    }
}

static void put_side(rt_string *t, const cJSON *v, const char *side, void (*put)(rt_string *, const char *))
{
    const cJSON *s = rt_member(v, side);
    put(t, rt_text(s, "name"));
    rt_put(t, " (%.8s)", rt_text(s, "sha256"));
}

void rt_gate_put_sides(rt_string *t, const cJSON *v, void (*put)(rt_string *, const char *))
{
    put_side(t, v, "candidate", put);
    rt_put(t, " against ");
    put_side(t, v, "baseline", put);
    if (!rt_member(v, "anchor")) return;
    rt_put(t, " and the anchor ");
    put_side(t, v, "anchor", put);
}

void rt_gate_put_confidence(rt_string *t, const cJSON *v)
{
    double confidence = rt_number(v, "confidence");
    if (confidence < 0.99999) rt_put(t, "%.6g %%", 100 * confidence);
    else rt_put(t, "1 - %.2g", 1 - confidence);
}

void rt_gate_put_upper(rt_string *t, const char *word)
{
    for (; *word; word++) rt_put(t, "%c", *word >= 'a' && *word <= 'z' ? *word - 'a' + 'A' : *word);
}

/* ---- the terminal ---- */

static void put_screen_line(rt_string *t, const cJSON *l)
{
    char *title = rt_gate_title(l);
    rt_string value = {0}, bound = {0};
    rt_gate_put_value(&value, l);
    rt_put(&value, " ");
    rt_gate_put_interval(&value, l);
    rt_gate_put_bound(&bound, l);
    rt_put_padded(t, rt_gate_outcome(l), 13);
    rt_put(t, " ");
    rt_put_padded(t, title, 34);
    rt_put(t, " ");
    rt_put_padded(t, value.p, 30);
    rt_put(t, " ");
    rt_put_padded(t, bound.p, 20);
    rt_put(t, " %8.0f\n", rt_number(l, "n"));
    free(title);
    free(value.p);
    free(bound.p);
}

static void put_lines_of(rt_string *t, const cJSON *list, const char *word, int most)
{
    int n = 0, all = cJSON_GetArraySize(list);
    for (const cJSON *e = list ? list->child : NULL; e && n < most; e = e->next, n++) {
        rt_put(t, "%s: ", word);
        rt_put_plain(t, cJSON_GetStringValue(e));
        rt_put(t, "\n");
    }
    if (all > most) rt_put(t, "%s: and %d more, in verdict.json\n", word, all - most);
}

char *rt_gate_screen(const cJSON *v)
{
    enum { LINES = 12 };             /* with heads, notes and what is left out: 24 */
    rt_string t = {0};
    int left = LINES, hidden = 0;
    rt_gate_put_upper(&t, rt_text(v, "verdict"));
    rt_put(&t, ": ");
    rt_gate_put_sides(&t, v, rt_put_plain);
    rt_put(&t, "\n%.0f rows, ", rt_number(v, "rows"));
    rt_gate_put_confidence(&t, v);
    rt_put(&t, ", %s: ", rt_text(v, "mode"));
    rt_gate_put_counts(&t, v);
    if (isfinite(rt_number(rt_member(v, "test_set"), "decisions"))) rt_put(&t, "\n");
    rt_gate_put_wear(&t, v);
    rt_put(&t, "\n\n%-13s %-34s %-30s %-20s %8s\n", "", "limit", "drop, value or ratio [interval]", "bound", "n");
    for (int k = 0; k < RT_GATE_ORDERS; k++)
        for (const cJSON *l = rt_gate_limits(v); l; l = l->next) {
            if (strcmp(rt_gate_outcome(l), rt_gate_order[k])) continue;
            if (left-- > 0) put_screen_line(&t, l);
            else hidden++;
        }
    if (hidden) rt_put(&t, "%-13s and %d more, in verdict.json\n", "", hidden);
    put_lines_of(&t, rt_member(v, "refused"), "not comparable", 2);
    put_lines_of(&t, rt_member(v, "notes"), "note", 3);
    if (t.failed) free(t.p);
    return t.failed ? NULL : t.p;
}

/* ---- Markdown ---- */

static void put_wear(rt_string *t, const cJSON *v)
{
    rt_string wear = {0};
    rt_gate_put_wear(&wear, v);
    if (wear.p) rt_put(t, "%c%s.\n\n", wear.p[0] - 'a' + 'A', wear.p + 1);
    t->failed |= wear.failed;
    free(wear.p);
}

static void put_baseline(rt_string *t, const cJSON *l) { put_number(t, rt_number(l, "baseline")); }
static void put_candidate(rt_string *t, const cJSON *l) { put_number(t, rt_number(l, "candidate")); }
static void put_rows(rt_string *t, const cJSON *l) { rt_put(t, "%.0f", rt_number(l, "n")); }

static void put_flips(rt_string *t, const cJSON *l)
{
    if (rt_member(l, "b")) rt_put(t, "%.0f, %.0f", rt_number(l, "b"), rt_number(l, "c"));
}

#define NUMBER(title, put) {title, put, NULL, 0, RT_CELL_NUMBER, 0, NULL}
const rt_table_column rt_gate_columns[RT_GATE_COLUMNS] = {
    NUMBER("baseline", put_baseline), NUMBER("candidate", put_candidate),
    NUMBER("drop, value or ratio", rt_gate_put_value), NUMBER("interval", rt_gate_put_interval),
    NUMBER("bound", rt_gate_put_bound), NUMBER("n", put_rows), NUMBER("b, c", put_flips)};

static void put_table(rt_string *t, const cJSON *v, int from, int to)
{
    rt_put(t, "| verdict | limit |");
    for (int c = 0; c < RT_GATE_COLUMNS; c++) rt_put(t, " %s |", rt_gate_columns[c].title);
    rt_put(t, "\n|---|---|");
    for (int c = 0; c < RT_GATE_COLUMNS; c++) rt_put(t, "---:|");
    rt_put(t, "\n");
    for (int k = from; k < to; k++)
        for (const cJSON *l = rt_gate_limits(v); l; l = l->next) {
            if (strcmp(rt_gate_outcome(l), rt_gate_order[k])) continue;
            char *title = rt_gate_title(l);
            const char *strong = k < PASS_AT ? "**" : "";
            rt_put(t, "| %s%s%s | ", strong, rt_gate_outcome(l), strong);
            rt_put_markdown(t, title);
            free(title);
            for (int c = 0; c < RT_GATE_COLUMNS; c++) {
                rt_put(t, " | ");
                rt_gate_columns[c].put(t, l);
            }
            rt_put(t, " |\n");
        }
}

/* Why each limit that has something to say is what it is. */
static void put_reasons(rt_string *t, const cJSON *v)
{
    for (const cJSON *l = rt_gate_limits(v); l; l = l->next) {
        const cJSON *waiver = rt_member(l, "waiver");
        if (!*rt_text(l, "reason") && !waived(l)) continue;
        rt_put(t, "- ");
        rt_put_markdown(t, rt_text(l, "name"));
        rt_put(t, ": ");
        rt_put_markdown(t, rt_text(l, "reason"));
        if (waived(l)) {
            rt_put(t, "%swaived until %s: ", *rt_text(l, "reason") ? "; " : "", rt_text(waiver, "until"));
            rt_put_markdown(t, rt_text(waiver, "reason"));
        }
        rt_put(t, "\n");
    }
}

static void put_detects(rt_string *t, const cJSON *power) { rt_put(t, "%.4g", rt_number(power, "detects")); }
static void put_undecided(rt_string *t, const cJSON *power)
{ rt_put(t, "%.0f %%", 100 * rt_number(power, "undecided_if_unchanged")); }

void rt_gate_put_title(rt_string *t, const cJSON *l)
{
    char *title = rt_gate_title(l);
    rt_put(t, "%s", title ? title : "");
    free(title);
}

void rt_gate_put_power(rt_string *t, rt_form form, const cJSON *v, const char *before, const char *behind)
{
    static const rt_table_column columns[] = {
        {"limit", rt_gate_put_title, NULL, 0, RT_CELL_TEXT, 0, NULL},
        {"smallest drop found with 80 %", put_detects, "power", 0, RT_CELL_NUMBER, 0, NULL},
        {"undecided where nothing changed", put_undecided, "power", 0, RT_CELL_NUMBER, 0, NULL}};
    enum { COLUMNS = sizeof columns / sizeof *columns };
    int any = 0;
    for (const cJSON *l = rt_gate_limits(v); l; l = l->next) {
        if (!rt_member(l, "power")) continue;
        if (!any++) {
            rt_put(t, "%s", before);
            rt_table_begin(t, form, columns, COLUMNS);
        }
        rt_table_row(t, form, columns, COLUMNS, l);
    }
    if (!any) return;
    rt_table_end(t, form);
    rt_put(t, "%s", behind);
}

char *rt_gate_markdown(const cJSON *v)
{
    rt_string t = {0};
    rt_put(&t, "<!-- retort-gate -->\n## ");
    rt_gate_put_upper(&t, rt_text(v, "verdict"));
    rt_put(&t, ": ");
    rt_gate_put_sides(&t, v, rt_put_markdown);
    rt_put(&t, "\n\n%.0f rows, ", rt_number(v, "rows"));
    rt_gate_put_confidence(&t, v);
    rt_put(&t, ", %s: ", rt_text(v, "mode"));
    rt_gate_put_counts(&t, v);
    rt_put(&t, ".\n\n");
    put_wear(&t, v);
    for (const cJSON *e = rt_member(v, "refused")->child; e; e = e->next) {
        rt_put(&t, "**Not comparable:** ");
        rt_put_markdown(&t, e->valuestring);
        rt_put(&t, "\n\n");
    }
    int failing = 0;
    for (int k = 0; k < PASS_AT; k++) failing += count_of(v, rt_gate_order[k]);
    if (failing) put_table(&t, v, 0, PASS_AT);
    rt_put(&t, "\n");
    put_reasons(&t, v);
    if (count_of(v, "pass") + count_of(v, "listed")) {
        rt_put(&t, "\n<details><summary>%d passed, %d listed</summary>\n\n", count_of(v, "pass"),
               count_of(v, "listed"));
        put_table(&t, v, PASS_AT, RT_GATE_ORDERS);
        rt_put(&t, "\n</details>\n");
    }
    rt_gate_put_power(&t, RT_FORM_MARKDOWN, v, "\n<details><summary>What these rows can show</summary>\n\n",
                      "\n</details>\n");
    for (const cJSON *n = rt_member(v, "notes")->child; n; n = n->next) {
        rt_put(&t, "\n");
        rt_put_markdown(&t, n->valuestring);
        rt_put(&t, "\n");
    }
    rt_put(&t,
           "\nA drop is baseline minus candidate in the bad direction; b: rows that the baseline alone has right, c: "
           "that the candidate alone has right. %s, %s.\n",
           rt_text(v, "tool"), rt_text(v, "time"));
    if (t.failed) free(t.p);
    return t.failed ? NULL : t.p;
}

/* ---- GitHub's commands ---- */

/* A value of a command, or a property of it: one line, and what its grammar uses as %XX. */
static void put_command(rt_string *t, const char *text, int property)
{
    rt_string plain = {0};
    rt_put_plain(&plain, text);
    for (const char *p = plain.p; p && *p; p++) {
        if (*p == '%' || (property && (*p == ':' || *p == ','))) rt_put(t, "%%%02X", (unsigned)*p);
        else rt_put_bytes(t, p, 1);
    }
    free(plain.p);
}

char *rt_gate_annotations(const cJSON *v)
{
    static const char *const level[RT_GATE_ORDERS] = {"error", "error", "warning", "notice", NULL, NULL};
    rt_string t = {0};
    for (const cJSON *e = rt_member(v, "refused")->child; e; e = e->next) {
        rt_put(&t, "::error title=retort gate%%3A not comparable::");
        put_command(&t, e->valuestring, 0);
        rt_put(&t, "\n");
    }
    for (int k = 0; k < RT_GATE_ORDERS; k++)
        for (const cJSON *l = rt_gate_limits(v); l && level[k]; l = l->next) {
            if (strcmp(rt_gate_outcome(l), rt_gate_order[k])) continue;
            rt_string detail = {0};
            char *title = rt_gate_title(l);
            rt_gate_put_detail(&detail, l);
            rt_put(&t, "::%s title=retort gate%%3A %s ", level[k], rt_gate_outcome(l));
            put_command(&t, title, 1);
            rt_put(&t, "::");
            put_command(&t, detail.p, 0);
            rt_put(&t, "\n");
            free(detail.p);
            free(title);
        }
    if (!t.p) rt_put(&t, "%s", "");
    if (t.failed) free(t.p);
    return t.failed ? NULL : t.p;
}
