/* experiments/report.h - Markdown, CSV and one self-contained HTML file (inline SVG, no script) from an evaluation. */
#ifndef RT_EXPERIMENTS_REPORT_H
#define RT_EXPERIMENTS_REPORT_H

#include "data/json.h"

/* Writes evaluation.json, report.md, report.csv and report.html into folder. */
rt_status rt_report_write(const cJSON *evaluation, const char *folder);
/* The table of the report as plain text for a terminal; the caller frees. NULL when out of memory. */
char *rt_report_table(const cJSON *evaluation);
#endif
