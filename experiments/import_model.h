/* experiments/import_model.h - what an import does where the input is a model and no data. */
#ifndef RT_EXPERIMENTS_IMPORT_MODEL_H
#define RT_EXPERIMENTS_IMPORT_MODEL_H

#include "experiments/importer.h"

/* Whether config.input is a model; 0 where there is no such file. */
rt_status rt_import_is_model(const cJSON *config, int *is_model);
rt_status rt_import_model_check(cJSON *config);
/* rt_import of one. */
rt_status rt_import_model(cJSON *config, const rt_target *, cJSON **result);
#endif
