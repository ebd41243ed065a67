/* experiments/explain/explain.h - which parts of rows a model's answers rest on (student/attribution.h), drawn, ranked,
 * and held against another model's: 'retort explain'.
 *
 * {"model": files of native models or ONNX, or {"file": ...}, "against": the same, or none,
 *  "explain": {"method": "integrated"|"gradient"|"occlusion", "of": "output"|"centred"|"probability", "head": name,
 *    "target": "predicted"|"label"|a class or its number, "baseline": "zero"|"mean"|"blur"|"row:N", "blur": pixels,
 *    "path", "steps", "most_steps", "limit", "patch", "stride", "most": rows, "top": elements, "flips": false},
 *  "data": {"source", "x", "y", "targets", "rows", "test", "test_seed", "names", "check"}}
 *
 * Parts are told for the elements of the data's rows: columns go by name, and parts of an image that a model resizes go
 * to the pixel that lies nearest (those of occlusion as their mean). Of `against` what is asked is the same class, by
 * name, on the same rows. With flips the rows are those that `against` has right and the model has wrong, and what is
 * asked is their label.
 *
 * The folder gets explanation.json (retort-explanation-1), attributions.csv, explanation.html. */
#ifndef RT_EXPERIMENTS_EXPLAIN_H
#define RT_EXPERIMENTS_EXPLAIN_H

#include "data/json.h"
#include "data/output.h"
#include "engine/device.h"
#include "engine/progress.h"

/* RT_USAGE when the configuration has an error that needs no look inside of a file. Adds defaults. */
rt_status rt_explain_check(cJSON *config);
/* RT_NOTHING when there are no rows (no flips, or none whose residual is within the limit). */
rt_status rt_explain(cJSON *config, const rt_target *folder, rt_device *, const rt_progress *, cJSON **result);
/* The result as lines for a terminal, for the caller to free; NULL when memory is out. */
char *rt_explain_screen(const cJSON *result);
#endif
