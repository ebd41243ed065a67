/* teacher/estimate.h - what labelling would take, without a file written. */
#ifndef RT_TEACHER_ESTIMATE_H
#define RT_TEACHER_ESTIMATE_H

#include "teacher/labeler.h"

/* Reads and asks about rows at three places of those that rt_label would label (up to 0.7 s or 256 blocks each; one
 * place where they are few), and from the median of their rates tells what is left to do. {"would_write", "rows",
 * "rows_labelled" (by a store that is there, which the same command would go on with), "rows_tried", "rows_per_second":
 * {"median", "least", "most"}, "seconds" = start_seconds + rows left / median, "start_seconds", "store_bytes",
 * "free_bytes" of its folder, "memory_bytes" (most that this process has had), "cost" = label.price_per_hour x hours,
 * where a price is given, "warnings"}. Rates are of reading and answering; writing is behind them and costs little.
 * Errors as of rt_label: RT_NOTHING without rows, RT_INPUT for a tried row with NaN unless they are marked. Writes
 * nothing, not even what is known of the source. */
rt_status rt_label_estimate(cJSON *config, const rt_target *out, rt_device *, const rt_progress *, cJSON **result);
#endif
