/* experiments/eval/predictions_parts.h - what the files of predictions share. */
#ifndef RT_EXPERIMENTS_PREDICTIONS_PARTS_H
#define RT_EXPERIMENTS_PREDICTIONS_PARTS_H

#include "experiments/eval/predictions.h"

/* The number that 16 digits of a hash are. */
uint64_t rt_key_word(const char *hex);
/* Fills key of all rows from their ids, and refuses ids of a column that stand twice (RT_INPUT). */
rt_status rt_predictions_keys(rt_predictions *);
/* Fills of_rows. */
rt_status rt_predictions_hash_rows(rt_predictions *);
/* Room for an answer of head h of so many rows: z, top and log_sum, but not the truth. */
rt_status rt_predicted_room(rt_predictions *, int h);
/* Adds a column; number or text stays the caller's to fill. */
rt_status rt_predictions_add_column(rt_predictions *, const char *name, int width, rt_row_column **);
/* Whether a column of this name is made of the row's own numbers: "input.mean", ... */
int rt_predictions_statistic(const char *name);
/* Texts of column or id of row r, without the zeros behind, into room of width + 1 bytes. */
const char *rt_row_text(const char *text, int width, uint64_t r, char *room);
#endif
