/* experiments/cold_start.h - what a model costs that nobody has used yet: this program is started anew, loads the
 * model, plans, and answers one row; the time from before it is started until it has the answer, and the most memory
 * that it held. Again and again, as a single start tells little. Files are in the page cache after the first start;
 * opening the data, which a deployed model does not do, is taken off. */
#ifndef RT_EXPERIMENTS_COLD_START_H
#define RT_EXPERIMENTS_COLD_START_H

#include "data/json.h"
#include "engine/device.h"

enum { RT_COLD_RUNS = 100 };

/* The program that is started, as an absolute path that stays; NULL, as at first: none is known, and nothing is
 * measured. Before work begins, in one thread. */
void rt_cold_start_by(const char *program);

/* A model that is started cold. model: a file's name, a list (an ensemble) or a specification; data: that of
 * 'retort eval', of which row 0 is answered. Both borrowed. */
typedef struct {
    const cJSON *model, *data;
    int runs;                              /* so far */
    double took[RT_COLD_RUNS];             /* seconds, of each */
    double rss;                            /* bytes: the most of all */
    char why[256];                         /* why there is none; "" */
} rt_cold;

/* One start more, on one thread and by the selected kernels, or on the card. What the new process cannot do is its
 * `why`, and no error. RT_INTERRUPTED when asked to stop. */
rt_status rt_cold_start(rt_cold *, rt_device *);
/* As members of `into`: cold_start_us, the median, and cold_start {median_us, lowest_us, highest_us, runs,
 * peak_rss_bytes}; null with the reason where there is none. Sorts. */
void rt_cold_describe(cJSON *into, rt_cold *);

/* In the new process, as 'bench' what=cold once=true does: {"model", "data"} of config. *result: {"answered_at":
 * rt_seconds() when the answer was there, "data_seconds": spent on the data, "peak_rss_bytes"}. */
rt_status rt_cold_answer(rt_cfg *config, rt_device *, cJSON **result);
#endif
