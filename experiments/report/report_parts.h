/* experiments/report/report_parts.h - what the forms of a report share: the table, and the figures of a page. */
#ifndef RT_EXPERIMENTS_REPORT_PARTS_H
#define RT_EXPERIMENTS_REPORT_PARTS_H

#include <stddef.h>

#include "data/json.h"
#include "engine/text.h"
#include "student/metrics.h"

/* Four digits with K, M, G; "-" for what is no number. */
void rt_put_si(rt_string *, double);

const cJSON *rt_member(const cJSON *, const char *key);
const char *rt_text(const cJSON *, const char *key);   /* "" where there is no text */
double rt_number(const cJSON *, const char *key);      /* NAN where there is no number */
const char *rt_model_name(const cJSON *model);
const cJSON *rt_first_model(const cJSON *evaluation);
int rt_report_has(const cJSON *evaluation, const char *key);     /* a model has it */

/* The columns of the table; every form shows the same values. */
typedef struct {
    const char *title;                 /* at most 20 characters */
    enum { RT_QUALITY, RT_COST } table;
    enum { RT_SHARE, RT_DIGITS, RT_SI, RT_MICROSECONDS, RT_PROBABILITY, RT_COUNT } kind;
    double (*value)(const cJSON *model);
    unsigned tasks;                    /* bit of each rt_task whose heads have it */
    int terminal;                      /* shown there, too */
    enum {
        RT_NO_DETAIL,
        RT_INTERVAL,
        RT_FLIPS,
        RT_SPAN,
        RT_OF_CALLS,
        RT_OF_STARTS,
        RT_RANGE
    } detail; /* what a page shows below the value */
} rt_column;
enum { RT_COLUMNS = 40 };
extern const rt_column rt_columns[RT_COLUMNS];
/* A head of an evaluation, as an evaluation of that head alone. name NULL: the only one, when e is the evaluation
 * itself. */
enum { RT_VIEWS = 8 };
typedef struct { const cJSON *e; cJSON *owned; const char *name; rt_task task; } rt_report_view;
int rt_report_views(const cJSON *evaluation, rt_report_view view[RT_VIEWS]);
void rt_report_views_free(rt_report_view *, int count);
/* Whether any model has a value there. */
int rt_column_used(const rt_column *, const cJSON *evaluation);
void rt_put_value(rt_string *, const rt_column *, const cJSON *model);
double rt_report_parameters(const cJSON *model),
    rt_report_p50(const cJSON *model);

/* Whom the others are compared with, as a sentence in plain text. */
void rt_put_reference(rt_string *, const cJSON *evaluation);

/* For a terminal, Markdown, or a page. */
typedef enum { RT_FORM_PLAIN, RT_FORM_MARKDOWN, RT_FORM_PAGE } rt_form;
/* Text of others, inert in this form. */
void rt_put_as(rt_string *, rt_form, const char *text);

/* A column of a table of JSON objects, the same values in every form. */
enum { RT_NOT_PLAIN = 1, RT_NOT_MARKDOWN = 2, RT_NOT_PAGE = 4 };
typedef struct {
    const char *title;                 /* "": what is to be said beside the others; the last */
    void (*put)(rt_string *, const cJSON *);       /* as plain text; nothing of a number: "-" */
    const char *of;                    /* the member of the row that put and class are given; NULL: the row */
    int width;                         /* on a terminal; below 0: from the left */
    enum { RT_CELL_NUMBER, RT_CELL_TEXT } kind;    /* a number is ours; a text may be others', and is made inert */
    unsigned where;                    /* RT_NOT_...: forms that leave it out */
    const char *(*class)(const cJSON *);           /* of the page's style; "": none */
} rt_table_column;
void rt_table_begin(rt_string *, rt_form, const rt_table_column *, int columns);
void rt_table_row(rt_string *, rt_form, const rt_table_column *, int columns, const cJSON *row);
void rt_table_end(rt_string *, rt_form);

/* "comparison", a baseline and a candidate, on a terminal and in Markdown; nothing where there is none. */
void rt_put_pair(rt_string *, rt_form, const cJSON *evaluation);
/* On a page: what is first, the verdict with the deltas and their intervals beneath it; and the rest. */
void rt_put_pair_title(rt_string *, const cJSON *evaluation);
void rt_put_pair_banner(rt_string *, const cJSON *evaluation);
void rt_put_pair_page(rt_string *, const cJSON *evaluation);
/* Of heads (an array) classes by their drop of recall and rows that flipped, on a page; what there is. from: the file
 * that has all of them. */
void rt_put_heads_page(rt_string *, const cJSON *heads, const char *from);
/* A side of a comparison or of a verdict, as an entry of a list of definitions. */
void rt_put_side_page(rt_string *, const char *role, const cJSON *side);
/* PATH=VALUE of each setting, as words of a shell's command; an object whose keys are names of users stands whole. */
void rt_put_settings(rt_string *, const char *path, const cJSON *);
/* The processor, kernels, compiler: "machine" of an evaluation or a verdict, as a sentence of a page. */
void rt_put_machine_page(rt_string *, const cJSON *machine, int speed);

void rt_report_markdown(rt_string *, const cJSON *evaluation);
void rt_report_csv(rt_string *, const cJSON *evaluation);
void rt_report_html(rt_string *, const cJSON *evaluation);

/* A page up to its heading, with the style of all of them; "</body></html>" ends it. title, heading: text of others. */
void rt_page_begin(rt_string *, const char *title, const char *heading);

/* SVG figures for the page. y_key: a metric whose larger values are better; x_of: the model's place on the logarithmic
 * axis. */
void rt_plot_scatter(rt_string *, const cJSON *evaluation, const char *y_key, const char *title, const char *x_title,
                     double (*x_of)(const cJSON *));
/* One measure of the history of each model by epoch, where it has none by that key, by `other` (or NULL); nothing where
 * no model has it. falls: the legend goes to the top. */
void rt_plot_curves(rt_string *, const cJSON *evaluation, const char *key, const char *other, const char *title,
                    int falls);
void rt_plot_reliability(rt_string *, const cJSON *model, int index);
/* Both sides on one scale: accuracy by confidence, with intervals. NULL: nothing. */
void rt_plot_reliabilities(rt_string *, const cJSON *sides);
/* A confusion matrix, [truth][answer]; differences: counts of one less another's, on a scale of their own. names: of
 * classes, or NULL. */
void rt_plot_matrix(rt_string *, const cJSON *matrix, const cJSON *names, int differences, const char *title);
#endif
