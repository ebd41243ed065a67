/* experiments/registry/history_parts.h - figures of a history's page. */
#ifndef RT_EXPERIMENTS_HISTORY_PARTS_H
#define RT_EXPERIMENTS_HISTORY_PARTS_H

#include "experiments/registry/history.h"

enum { RT_HISTORY_NARROW = 460 };      /* of a figure on a narrow screen */

/* "pass", "regression", "undecided", "not measured", "no gate" */
const char *rt_history_mark(const cJSON *version);
/* The mark as SVG, around a point. */
void rt_put_mark(rt_string *, const char *mark, double x, double y);
/* The metric by version, and its drop since the anchor in force; nothing where no version has one. */
void rt_plot_history(rt_string *, const cJSON *history, int width, int height);
void rt_plot_drift(rt_string *, const cJSON *history, int width, int height);
#endif
