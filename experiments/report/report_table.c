/* experiments/report/report_table.c - a table of rows of JSON, from one list of columns in every form. */
#include <stdlib.h>
#include <string.h>

#include "experiments/report/report_parts.h"

static int shown(const rt_table_column *c, rt_form form)
{
    static const unsigned not_in[] = {RT_NOT_PLAIN, RT_NOT_MARKDOWN, RT_NOT_PAGE};
    return !(c->where & not_in[form]);
}

void rt_table_begin(rt_string *t, rt_form form, const rt_table_column *c, int columns)
{
    if (form == RT_FORM_PAGE) rt_put(t, "<table class=\"r\"><tr>");
    for (int i = 0; i < columns; i++) {
        if (!shown(&c[i], form)) continue;
        if (form == RT_FORM_PLAIN && *c[i].title) rt_put(t, "%s%*s", i ? " " : "", c[i].width, c[i].title);
        else if (form == RT_FORM_PLAIN) break;
        else rt_put(t, form == RT_FORM_PAGE ? "<th>%s</th>" : "| %s ", c[i].title);
    }
    rt_put(t, form == RT_FORM_PAGE ? "</tr>\n" : form == RT_FORM_PLAIN ? "\n" : "|\n");
    for (int i = 0; i < columns && form == RT_FORM_MARKDOWN; i++)
        if (shown(&c[i], form)) rt_put(t, c[i].kind == RT_CELL_NUMBER ? "|---:" : "|---");
    if (form == RT_FORM_MARKDOWN) rt_put(t, "|\n");
}

static void put_text(rt_string *t, rt_form form, const rt_table_column *c, const char *text)
{
    if (form == RT_FORM_PLAIN) {
        rt_string plain = {0};
        rt_put_plain(&plain, text);
        if (c->width < 0) rt_put_padded(t, plain.p ? plain.p : "", -c->width);
        else rt_put(t, "%*s", c->width, plain.p ? plain.p : "");
        t->failed |= plain.failed;
        free(plain.p);
    } else if (c->kind == RT_CELL_NUMBER) rt_put(t, "%s", text);
    else if (form == RT_FORM_PAGE) rt_put_html(t, text);
    else rt_put_markdown(t, text);
}

static void put_cell(rt_string *t, rt_form form, const rt_table_column *c, const cJSON *row, int first)
{
    const cJSON *of = c->of ? rt_member(row, c->of) : row;
    rt_string cell = {0};
    c->put(&cell, of);
    const char *text = cell.p ? cell.p : c->kind == RT_CELL_NUMBER ? "-" : "", *class = c->class ? c->class(of) : "";
    if (form == RT_FORM_PLAIN) rt_put(t, "%s", first || (!*c->title && !*text) ? "" : " ");
    else if (form == RT_FORM_MARKDOWN) rt_put(t, "| ");
    else if (*class) rt_put(t, "<td class=\"%s\">", class);
    else rt_put(t, *c->title ? "<td>" : "<td class=\"x\">");
    put_text(t, form, c, text);
    if (form == RT_FORM_MARKDOWN) rt_put(t, " ");
    if (form == RT_FORM_PAGE && !first && *c->title) rt_put(t, "<b>%s</b>", c->title);
    if (form == RT_FORM_PAGE) rt_put(t, "</td>");
    t->failed |= cell.failed;
    free(cell.p);
}

void rt_table_row(rt_string *t, rt_form form, const rt_table_column *c, int columns, const cJSON *row)
{
    if (form == RT_FORM_PAGE) rt_put(t, "<tr>");
    for (int i = 0, first = 1; i < columns; i++) {
        if (!shown(&c[i], form)) continue;
        put_cell(t, form, &c[i], row, first);
        first = 0;
    }
    rt_put(t, form == RT_FORM_PAGE ? "</tr>\n" : form == RT_FORM_PLAIN ? "\n" : "|\n");
}

void rt_table_end(rt_string *t, rt_form form) { if (form == RT_FORM_PAGE) rt_put(t, "</table>\n"); }

void rt_put_as(rt_string *t, rt_form form, const char *text)
{
    if (form == RT_FORM_PLAIN) rt_put_plain(t, text);
    else if (form == RT_FORM_MARKDOWN) rt_put_markdown(t, text);
    else rt_put_html(t, text);
}
