/* experiments/row_energy.h - the energy of what a model answered to rows: -log sum exp of the logits, high where no
 * class is likely (Liu, Wang, Owens, Li, Energy-based Out-of-distribution Detection, NeurIPS 2020, at temperature 1).
 */
#ifndef RT_EXPERIMENTS_ROW_ENERGY_H
#define RT_EXPERIMENTS_ROW_ENERGY_H

#include <stdint.h>

#include "engine/error.h"

/* By the rows' numbers in the data, in double; NAN for rows without an answer of the model. path: predictions or a
 * label store; head "": the only one of classes. *energy is the caller's to free; *rows: the data's, as far as the file
 * knows them: up to its last row. RT_INPUT when the file keeps the largest logits of a row alone and not what is left.
 */
rt_status rt_row_energies(double **energy, uint64_t *rows, const char *path, const char *head);
#endif
