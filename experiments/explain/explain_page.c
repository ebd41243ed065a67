/* experiments/explain/explain_page.c - an explanation as a page and on a terminal. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "experiments/eval/comparison_result.h"
#include "experiments/explain/explain_parts.h"
#include "experiments/report/report_parts.h"

enum { LISTED = 50, IDS = 512, LINES = 20, SHOWN = 256 /* pixels have no names */ };

static const char *const methods[RT_ATTRIBUTIONS] = {
    "gradient times (row - baseline): what the answer would gain at this rate",
    "integrated gradients: the gradient's mean on the line from the baseline to the row, times their difference; parts "
    "sum to the difference of the two answers",
    "occlusion: what the answer loses when a part is replaced by the baseline"};
static const char *const asked[RT_ASK_KINDS] = {"the output", "the output less the mean over outputs",
                                                "the probability"};
static const char *const bases[] = {"zeros", "the mean of the data's rows", "the row itself, blurred", "another row"};

static void put_text(rt_string *t, const cJSON *j, const char *key)
{ rt_put_html(t, cJSON_GetStringValue(rt_member(j, key))); }

/* ---- agreement ---- */

static void put_mean(rt_string *t, const cJSON *a, const char *key, const char *column)
{
    const cJSON *m = rt_member(a, key);
    rt_put(t, "<td>");
    if (cJSON_IsNumber(rt_member(m, "mean")))
        rt_put(t, "%.3f <small>[%.3f, %.3f]</small>", rt_number(m, "mean"), rt_number(m, "low"), rt_number(m, "high"));
    else rt_put(t, "not defined");
    rt_put(t, "<b>%s</b></td>", column);
}

static void put_agreement(rt_string *t, const cJSON *j)
{
    static const struct { const char *key, *name, *help; } line[] = {
        {"spearman", "rank correlation", "Spearman's, of the signed parts"},
        {"cosine", "cosine", "of the signed parts"},
        {"overlap", "overlap", "of the largest parts by size"}};
    const cJSON *a = rt_member(j, "agreement");
    if (!a) return;
    rt_put(t, "<h2>Agreement with ");
    put_text(t, rt_member(j, "against"), "name");
    rt_put(t,
           "</h2><table><tr><th>parts of a row</th><th>of the same row</th><th>of another row</th><th>rows</th></tr>");
    for (int i = 0; i < 3; i++) {
        rt_put(t, "<tr><td>%s<br><small>%s", line[i].name, line[i].help);
        if (i == 2) rt_put(t, ": %.0f", rt_number(a, "top"));
        rt_put(t, "</small></td>");
        put_mean(t, a, line[i].key, "of the same row");
        put_mean(t, rt_member(a, "with_another_row"), line[i].key, "of another row");
        rt_put(t, "<td>%.0f<b>rows</b></td></tr>", rt_number(rt_member(a, line[i].key), "rows"));
    }
    rt_put(t,
           "</table><p><small>Means over rows with 95 %% intervals. The second column, where each row is held against "
           "another one's parts, is what agreement is when the row does not matter.</small></p>");
}

/* ---- elements ---- */

static void put_elements(rt_string *t, const cJSON *j)
{
    const cJSON *list = rt_member(j, "elements");
    double most = list && list->child ? rt_number(list->child, "mean_size") : 0;
    int n = 0, all = cJSON_GetArraySize(list);
    if (!list || !(most > 0)) return;
    rt_put(t, "<h2>Elements by their part</h2><table><tr><th>element</th><th>mean |part|</th>"
              "<th>95 %% interval</th><th>share</th><th>mean part</th><th></th></tr>");
    for (const cJSON *e = list->child; e && n < LISTED; e = e->next, n++) {
        double mean = rt_number(e, "mean"), size = rt_number(e, "mean_size");
        rt_put(t, "<tr><td>");
        put_text(t, e, "element");
        rt_put(
            t,
            "</td><td>%.4g<b>mean |part|</b></td><td>%.4g to %.4g<b>interval</b></td><td>%.1f %%<b>share</b></td>"
            "<td>%+.4g<b>mean part</b></td><td class=\"x\"><span class=\"bar %s\" style=\"width:%.0fpx\"></span>"
            "</td></tr>",
            size, rt_number(e, "low"), rt_number(e, "high"), 100 * rt_number(e, "share"), mean,
            mean < 0 ? "not" : "for", 160 * size / most);
    }
    rt_put(t, "</table><p><small>Orange: on the whole for what is asked; blue: against it.");
    if (all > LISTED) rt_put(t, " %d of %d elements; explanation.json has all.", LISTED, all);
    rt_put(t, "</small></p>");
}

/* ---- rows ---- */

typedef struct { int height, width, channels, picture, ids; } form;

static form form_of(const rt_explanation *x)
{
    form f = {0};
    rt_shape s;
    const rt_row_desc *in = &x->side[0].rows[0];
    if (rt_source_parts(x->data.x) > 1 || rt_source_shape(x->data.x, &s)) return f;
    if (s.rank == 1 && !in->pick && !in->resize.from_h) s = in->shape; /* a flat row is what the model makes of it */
    f.picture = !in->ids && rt_picture_shape(&s, &f.height, &f.width, &f.channels);
    f.ids = x->side[0].model[0]->inputs == 1 && x->side[0].rows[0].ids > 0 && x->elements <= IDS;
    return f;
}

/* A part that few others of the row go beyond, so that one does not hide the others. */
static double scale_of(const rt_explanation *x, int s, int r)
{
    const float *v = x->side[s].told + (size_t)r * x->elements;
    double most = 0;
    for (size_t e = 0; e < x->elements; e++) most = fmax(most, fabs((double)v[e]));
    return most;
}

static void put_image(rt_string *t, char *uri, const char *alt)
{
    if (uri) rt_put(t, "<img src=\"%s\" alt=\"%s\">", uri, alt);
    else t->failed = 1;
    free(uri);
}

static rt_status put_pictures(rt_string *t, rt_explanation *x, const form *f, int r)
{
    char *raw = malloc(rt_source_row_bytes(x->data.x));
    rt_status st = raw ? rt_source_read(x->data.x, &x->row[r], 1, raw) : rt_fail(RT_RUN, "out of memory");
    for (int s = -1; s < x->sides && !st; s++) {
        rt_put(t, "<figure><span class=\"over%s\">", s < 0 ? "" : " two");
        put_image(t, rt_picture_of_row(raw, rt_source_type(x->data.x), f->height, f->width, f->channels), "the row");
        if (s >= 0)
            put_image(t,
                      rt_picture_of_parts(x->side[s].told + (size_t)r * x->elements, f->height, f->width, f->channels,
                                          scale_of(x, s, r) * (f->channels > 1 ? f->channels : 1)),
                      "its parts");
        rt_put(t, "</span><figcaption>");
        rt_put_html(t, s < 0 ? "the row" : x->side[s].name);
        rt_put(t, "</figcaption></figure>");
    }
    free(raw);
    return st;
}

static void put_ids(rt_string *t, const rt_explanation *x, int r)
{
    for (int s = 0; s < x->sides; s++) {
        double most = scale_of(x, s, r);
        rt_put(t, "<div class=\"ids\">");
        if (x->sides > 1) rt_put_html(t, x->side[s].name);
        if (x->sides > 1) rt_put(t, ": ");
        for (size_t e = 0; e < x->elements; e++) {
            double v = (double)x->side[s].told[(size_t)r * x->elements + e];
            rt_put(t, "<span style=\"background:rgba(%s,%.2f)\" title=\"%.4g\">%.0f</span>",
                   v < 0 ? "40,110,220" : "224,90,20", most > 0 ? 0.8 * fabs(v) / most : 0, v, rt_explain_has(x, r, e));
        }
        rt_put(t, "</div>");
    }
}

static void put_largest(rt_string *t, const cJSON *row)
{
    const cJSON *list = rt_member(row, "largest");
    double most = list && list->child ? fabs(rt_number(list->child, "part")) : 0;
    rt_put(t, "<table>");
    for (const cJSON *e = list ? list->child : NULL; e; e = e->next) {
        double v = rt_number(e, "part");
        rt_put(t, "<tr><td>");
        put_text(t, e, "element");
        if (cJSON_IsNumber(rt_member(e, "is"))) rt_put(t, " = %.4g", rt_number(e, "is"));
        rt_put(t, "</td><td>%+.4g</td><td class=\"x\"><span class=\"bar %s\" style=\"width:%.0fpx\"></span></td></tr>",
               v, v < 0 ? "not" : "for", most > 0 ? 60 * fabs(v) / most : 0);
    }
    rt_put(t, "</table>");
}

static rt_status put_row(rt_string *t, rt_explanation *x, const form *f, int r, const cJSON *row)
{
    rt_put(t, "<div class=\"row\"><b>row %" PRIu64 "</b>: ", x->row[r]);
    put_text(t, row, "target");
    if (rt_member(row, "answer")) {
        rt_put(t, "; answer ");
        put_text(t, row, "answer");
        if (rt_member(row, "against")) {
            rt_put(t, ", ");
            rt_put_html(t, x->side[1].name);
            rt_put(t, " ");
            put_text(t, rt_member(row, "against"), "answer");
        }
    }
    if (cJSON_IsString(rt_member(row, "truth"))) {
        rt_put(t, "; label ");
        put_text(t, row, "truth");
    }
    rt_put(t, "<br><small>f %.4g", rt_number(row, "value"));
    if (x->how.method == RT_BY_INTEGRATED)
        rt_put(t, ", of the baseline %.4g; residual %.2g after %.0f steps", rt_number(row, "baseline_value"),
               rt_number(row, "residual"), rt_number(row, "steps"));
    if (cJSON_IsNumber(rt_member(rt_member(row, "agreement"), "spearman")))
        rt_put(t, "; rank correlation %.3f", rt_number(rt_member(row, "agreement"), "spearman"));
    rt_put(t, "</small><div>");
    if (!rt_explain_usable(x, r)) rt_put(t, "<span class=\"bad\">the residual is above the limit: no parts</span>");
    else if (f->picture) RT_TRY(put_pictures(t, x, f, r));
    else if (f->ids) put_ids(t, x, r);
    else put_largest(t, row);
    rt_put(t, "</div></div>\n");
    return RT_OK;
}

/* The mean size of parts over rows, drawn. */
static void put_means(rt_string *t, const rt_explanation *x, const form *f)
{
    float *mean = malloc((x->elements + 1) * sizeof *mean);
    rt_put(t, "<h2>Mean size of parts</h2>");
    for (int s = 0; s < x->sides && mean; s++) {
        double most = 0;
        memset(mean, 0, x->elements * sizeof *mean);
        for (int r = 0; r < x->rows; r++)
            for (size_t e = 0; e < x->elements && rt_explain_usable(x, r); e++)
                mean[e] += fabsf(x->side[s].told[(size_t)r * x->elements + e]);
        for (size_t e = 0; e < x->elements; e++) most = fmax(most, (double)mean[e]);
        rt_put(t, "<figure><span class=\"over\">");
        put_image(t, rt_picture_of_parts(mean, f->height, f->width, f->channels, most * f->channels),
                  "mean size of parts");
        rt_put(t, "</span><figcaption>");
        rt_put_html(t, x->side[s].name);
        rt_put(t, "</figcaption></figure>");
    }
    t->failed |= !mean;
    free(mean);
}

static void put_opening(rt_string *t, const rt_explanation *x, const cJSON *j)
{
    const rt_explain_side *s = &x->side[0];
    char title[RT_EXPLAIN_NAME + 40];
    snprintf(title, sizeof title, "What %s answers by", s->name);
    rt_page_begin(t, "retort explanation", title);
    rt_put(t, "<p>Model <b>");
    rt_put_html(t, s->name);
    rt_put(t, "</b> (%.8s), ", s->digest.hex);
    if (x->sides > 1) {
        rt_put(t, "against <b>");
        rt_put_html(t, x->side[1].name);
        rt_put(t, "</b> (%.8s), ", x->side[1].digest.hex);
    }
    rt_put(t, "data <b>");
    rt_put_html(t, x->data.source);
    rt_put(t, "</b> (%.8s), %d rows explained%s. ", x->data.digest.hex, x->rows - x->incomplete,
           x->flips ? ", which the second has right and the first has wrong" : "");
    put_text(t, j, "time");
    rt_put(t, "</p><p>By %s. Asked is %s of ", methods[x->how.method], asked[x->how.ask]);
    rt_put_html(t, x->head->name);
    rt_put(t, ": ");
    if (!strcmp(x->target, "predicted")) rt_put(t, "its best answer");
    else if (!strcmp(x->target, "label")) rt_put(t, "the row's label");
    else rt_put_html(t, x->target);
    rt_put(t, ". The baseline is %s", bases[x->base]);
    if (x->base == RT_BASE_ROW) rt_put(t, ", %" PRIu64, x->base_row);
    rt_put(t, ". <span class=\"bar for\" style=\"width:.8em\"></span> speaks for it, <span class=\"bar not\" "
              "style=\"width:.8em\"></span> against it.</p>\n");
    const cJSON *notes = rt_member(j, "notes");
    for (const cJSON *n = notes ? notes->child : NULL; n; n = n->next) {
        rt_put(t, "<p class=\"note\">");
        rt_put_html(t, cJSON_GetStringValue(n));
        rt_put(t, "</p>\n");
    }
}

rt_status rt_explain_page(rt_string *t, rt_explanation *x, const cJSON *j)
{
    form f = form_of(x);
    const cJSON *row = rt_member(j, "rows") ? rt_member(j, "rows")->child : NULL;
    put_opening(t, x, j);
    put_agreement(t, j);
    if (f.picture) put_means(t, x, &f);
    else if (!f.ids) put_elements(t, j);
    rt_put(t, "<h2>Rows</h2>");
    if (x->rows > RT_EXPLAIN_DRAWN) rt_put(t, "<p>The first %d of %d.</p>", RT_EXPLAIN_DRAWN, x->rows);
    rt_put(t, "<div class=\"rows\">\n");
    for (int r = 0; r < x->rows && r < RT_EXPLAIN_DRAWN; r++, row = row->next) RT_TRY(put_row(t, x, &f, r, row));
    rt_put(t, "</div>\n<p>Made by ");
    put_text(t, j, "tool");
    rt_put(t, "; the numbers are in explanation.json and attributions.csv.</p></body></html>\n");
    return t->failed ? rt_fail(RT_RUN, "out of memory") : RT_OK;
}

/* ---- terminal ---- */

static void put_line(rt_string *t, const cJSON *row, int path)
{
    const char *truth = cJSON_GetStringValue(rt_member(row, "truth"));
    rt_put(t, "%8.0f  ", rt_number(row, "row"));
    rt_put_padded(t, truth ? truth : "-", 14);
    rt_put(t, " ");
    rt_put_padded(t, cJSON_GetStringValue(rt_member(row, "target")), 14);
    rt_put(t, " %12.5g", rt_number(row, "value"));
    if (path)
        rt_put(t, " %12.5g %12.5g %10.2g %6.0f", rt_number(row, "baseline_value"),
               rt_number(row, "value") - rt_number(row, "baseline_value") + rt_number(row, "residual"),
               rt_number(row, "residual"), rt_number(row, "steps"));
    else if (rt_member(row, "sum")) rt_put(t, " %12.5g", rt_number(row, "sum"));
    if (path && cJSON_IsFalse(rt_member(row, "complete"))) rt_put(t, "  above the limit: no parts");
    rt_put(t, "\n");
}

static void put_alike(rt_string *t, const cJSON *j)
{
    static const char *const key[] = {"spearman", "cosine", "overlap"}, *const name[] = {"rank correlation", "cosine",
                                                                                         "overlap of the largest"};
    const cJSON *a = rt_member(j, "agreement");
    if (!a) return;
    rt_put(t, "\nagreement with ");
    rt_put_plain(t, cJSON_GetStringValue(rt_member(rt_member(j, "against"), "name")));
    rt_put(t, " (of another row)\n");
    for (int i = 0; i < 3; i++) {
        const cJSON *m = rt_member(a, key[i]), *o = rt_member(rt_member(a, "with_another_row"), key[i]);
        rt_put(t, "  %-24s", name[i]);
        if (cJSON_IsNumber(rt_member(m, "mean")))
            rt_put(t, "%.3f [%.3f, %.3f]", rt_number(m, "mean"), rt_number(m, "low"), rt_number(m, "high"));
        else rt_put(t, "not defined");
        if (cJSON_IsNumber(rt_member(o, "mean"))) rt_put(t, "  (%.3f)", rt_number(o, "mean"));
        rt_put(t, "\n");
    }
}

char *rt_explain_screen(const cJSON *j)
{
    rt_string t = {0};
    const char *method = cJSON_GetStringValue(rt_member(j, "method"));
    int path = method && !strcmp(method, rt_attribution_names[RT_BY_INTEGRATED]), n = 0;
    int gradient = method && !strcmp(method, rt_attribution_names[RT_BY_GRADIENT]);
    const cJSON *rows = rt_member(j, "rows"), *elements = rt_member(j, "elements"), *notes = rt_member(j, "notes");
    rt_put_plain(&t, cJSON_GetStringValue(rt_member(rt_member(j, "model"), "name")));
    rt_put(&t, ", %s, %.0f rows explained\n\n     row  %-14s %-14s %12s", method ? method : "",
           rt_number(j, "rows_explained"), "label", "asked", "f");
    rt_put(&t, path ? " %12s %12s %10s %6s\n" : gradient ? " %12s\n" : "%s\n",
           path ? "f(baseline)" : gradient ? "sum of parts" : "", "sum of parts", "residual", "steps");
    for (const cJSON *r = rows ? rows->child : NULL; r && n < LINES; r = r->next, n++) put_line(&t, r, path);
    if (cJSON_GetArraySize(rows) > LINES) rt_put(&t, "     ... %d more\n", cJSON_GetArraySize(rows) - LINES);
    if (elements && cJSON_GetArraySize(elements) <= SHOWN) {
        rt_put(&t, "\nelements by mean |part|\n");
        n = 0;
        for (const cJSON *e = elements->child; e && n < 10; e = e->next, n++) {
            rt_put(&t, "  ");
            rt_put_padded(&t, cJSON_GetStringValue(rt_member(e, "element")), 24);
            rt_put(&t, "%10.4g  [%.4g, %.4g]  %5.1f %%\n", rt_number(e, "mean_size"), rt_number(e, "low"),
                   rt_number(e, "high"), 100 * rt_number(e, "share"));
        }
    }
    put_alike(&t, j);
    for (const cJSON *note = notes ? notes->child : NULL; note; note = note->next) {
        rt_put(&t, "\nnote: ");
        rt_put_plain(&t, cJSON_GetStringValue(note));
    }
    rt_put(&t, "%s\npage: ", notes ? "\n" : "");
    rt_put_plain(&t, cJSON_GetStringValue(rt_member(j, "page")));
    rt_put(&t, "\n");
    if (!t.failed) return t.p;
    free(t.p);
    return NULL;
}
