/* experiments/eval/comparison_result.h - a comparison as JSON, for evaluation.json and the page: "comparison".
 *
 * {"confidence", "seed", "rows", "memory_bytes" (rt_comparison_bytes), "baseline": SIDE, "candidate": SIDE,
 *  "heads": [{"name", "task", "classes": [names], "labelled_rows",
 *    "metrics": [DELTA], what is of one side or of both together,
 *    "per_class": [{"class", "name", "rows", "recall": DELTA, "precision": DELTA, "f1": DELTA}], largest drop of recall
 *        first,
 *    "confusion_difference": {"matrix": [truth][answer] candidate less baseline, up to 40 classes,
 *        "pairs": [{"truth", "answer", "baseline", "candidate"}], the largest differences},
 *    "reliability": {"baseline": BINS, "candidate": BINS},
 *    "slices": [{"column", "value", DELTA, "p_worse", "p_worse_holm"}], the most significant first; "slices_compared",
 *    "found": the same of --find-slices, with "searched" and "confirmed" DELTAs,
 *    "flips": [{"id", "row", "flip": "negative"|"positive", "truth", "baseline", "candidate", confidences,
 *        "picture" or "values"}], "flips_counted"}]}
 * DELTA: the members of rt_delta; what is not defined is null, with "status" and "reason". */
#ifndef RT_EXPERIMENTS_COMPARISON_RESULT_H
#define RT_EXPERIMENTS_COMPARISON_RESULT_H

#include "data/source.h"
#include "experiments/eval/comparison.h"

typedef struct {
    double confidence;
    uint64_t seed;
    int find;                          /* --find-slices */
    int brief;                         /* of heads of classes per_class, of recall alone, and flips; nothing else */
    rt_source *rows;                   /* the data, for pictures of flipped rows; NULL: not at hand */
    const char *data;                  /* its digest: rows of sides made from other data have no pictures */
} rt_comparison_options;

/* For the caller to delete. */
rt_status rt_comparison_result(rt_comparison *, const rt_comparison_options *, cJSON *notes, cJSON **result);
/* A side as an object, here and in a verdict: {"name", "file", "stored", "model_digest", "data_digest", "rows_digest",
 * "rows", "rows_left_out", "kernels", "tool", "rows_seen_in_training"}. */
cJSON *rt_side_to_json(const rt_side_info *);
/* An answer as an object. */
cJSON *rt_delta_to_json(const rt_question *, const rt_delta *);

/* Slices of one column, or of two together, on which the candidate is worse: sought on the rows whose id hash is even,
 * confirmed on the others, with Holm's adjustment over all that were found. Of slices within each other only the larger
 * stands, unless the smaller one's drop is half as large again. What stands has at least 20 rows and 1 % of its half.
 */
typedef struct {
    char name[2][160];                 /* "country = DE"; the second "" of one column */
    rt_delta searched, confirmed;
    double p, adjusted;                /* one-sided, of no drop, on the half that confirms */
    uint64_t rows;                     /* of both halves */
} rt_found_slice;
enum { RT_FOUND_MOST = 10 };
rt_status rt_find_slices(rt_comparison *, const rt_question *, rt_found_slice found[RT_FOUND_MOST], int *count);

/* A row as a PNG file in a data URI, for the caller to free; NULL where rows are no pictures: (H, W) or (H, W, 1 or 3)
 * of 4 to 512 pixels a side. Bytes are taken as they are, other numbers from the row's least (black) to its greatest.
 */
char *rt_picture_of(const rt_source *, const void *row);
/* The same of values whose shape is known. */
char *rt_picture_of_row(const void *row, rt_dtype, int height, int width, int channels);
/* Whether rows of this shape are pictures so. */
int rt_picture_shape(const rt_shape *, int *height, int *width, int *channels);
/* Parts (H, W, C) of a row that speak for something (above 0, orange) or against it (blue) as such a file, channels
 * summed: as opaque as sqrt(|sum| / most), so that it is seen on any page. */
char *rt_picture_of_parts(const float *part, int height, int width, int channels, double most);
#endif
