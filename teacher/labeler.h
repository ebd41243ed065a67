/* teacher/labeler.h - a teacher's answers for rows of a source, into a label store. */
#ifndef RT_TEACHER_LABELER_H
#define RT_TEACHER_LABELER_H

#include "data/json.h"
#include "data/output.h"
#include "engine/device.h"
#include "engine/progress.h"

/* Configuration: {"teacher": "model.h5", a list (an ensemble) or a specification (teacher/spec.h),
 *  "data": {"source", "x", "y", "rows", "check", "names"},
 *  "labels": {"type": "f32"|"f16", "topk": 0},
 *  "label": {"bad_rows": "refuse"|"mark", "batch": rows read at once, "prefetch", "readers", "price_per_hour"}}
 * The store resumes by itself. Bits do not depend on threads, prefetch, batch or what is known of the source. Classes
 * and columns are matched by name, also among the models of an ensemble. *result: rows, rows by status and class, mean
 * confidence, rate, digests; "summary" (rt_label_glance, against data.y where it is given); "cost" where there is a
 * price; "notes" and "warnings" where there are any. RT_NOTHING when there are no rows. */
rt_status rt_label(cJSON *config, const rt_target *out, rt_device *, const rt_progress *, cJSON **result);
rt_status rt_label_check(cJSON *config);
#endif
