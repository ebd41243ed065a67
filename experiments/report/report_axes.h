/* experiments/report/report_axes.h - the frame of a figure of a page: axes with round ticks, a palette. Pictures are
 * SVG of a width and a height; the plot lies within margins of them. */
#ifndef RT_EXPERIMENTS_REPORT_AXES_H
#define RT_EXPERIMENTS_REPORT_AXES_H

#include "engine/text.h"

enum { RT_PLOT_W = 460, RT_PLOT_H = 300, RT_PLOT_LEFT = 62, RT_PLOT_RIGHT = 20, RT_PLOT_TOP = 16, RT_PLOT_BOTTOM = 44,
       RT_PALETTE = 8 };
extern const char *const rt_palette[RT_PALETTE];

/* What lies between lo and hi (log: their logarithms to base 10), of a picture of this size. */
typedef struct { double lo, hi; int log, width, height; } rt_axis;

/* Around n numbers, with some room; those that are not finite do not count. Without any 0 to 1. */
rt_axis rt_axis_of(const double *v, int n, int log, int width, int height);
rt_axis rt_axis_between(double lo, double hi, int width, int height);
double rt_place_x(const rt_axis *, double v);
double rt_place_y(const rt_axis *, double v);
/* Grid lines with their numbers: of a logarithmic axis below, of a linear one below or (vertical) at the left. */
void rt_log_ticks(rt_string *, const rt_axis *);
void rt_ticks(rt_string *, const rt_axis *, int vertical);
/* One grid line below, with a label of our own making. */
void rt_tick_x(rt_string *, const rt_axis *, double x, const char *label);
/* The frame of the plot, and what its axes are: text of others. */
void rt_plot_frame(rt_string *, int width, int height, const char *x_title, const char *y_title);
/* Opens an SVG with its frame and titles (of our own making); "</svg>" ends it. */
void rt_open_plot(rt_string *, int width, int height, const char *x_title, const char *y_title);
#endif
