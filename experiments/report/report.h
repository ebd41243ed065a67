/* experiments/report/report.h - an evaluation as JSON, Markdown, CSV and one self-contained HTML file (inline SVG, no
 * script).
 *
 * A report is a folder with evaluation.json, report.md, report.csv, report.html and report.xxh128, which holds the
 * hashes of the others (xxhsum -c report.xxh128 checks them). By it a later run knows its own: a report is replaced
 * by the next one only when its files are as a run left them. */
#ifndef RT_EXPERIMENTS_REPORT_H
#define RT_EXPERIMENTS_REPORT_H

#include "data/json.h"
#include "data/run_folder.h"

typedef struct rt_report rt_report;

/* Makes the folder, takes its lock, and looks at what would be replaced. RT_USAGE for a file that is an input (ended by
 * NULL), is no regular file or that no run wrote, and, unless forced, that was changed since a run wrote it; RT_RUN
 * when the folder cannot be made or written, or another process is writing into it. */
rt_status rt_report_open(rt_report **out, const rt_target *folder, const char *const *inputs);
/* Writes the files, and adds the page's path to the evaluation, as "report". */
rt_status rt_report_write(rt_report *, cJSON *evaluation);
/* Frees it; a folder that rt_report_open made and nothing was written into is removed. NULL is fine. */
void rt_report_close(rt_report *);

/* The table of the report as plain text for a terminal; the caller frees. NULL when out of memory. */
char *rt_report_table(const cJSON *evaluation);
#endif
