/* engine/eval/eval_index.h - what the files of table `index` have of each other. */
#ifndef RT_ENGINE_EVAL_INDEX_H
#define RT_ENGINE_EVAL_INDEX_H

#include "engine/eval/eval.h"

rt_status rt_eval_unique(rt_eval_call *), rt_eval_non_max_suppression(rt_eval_call *);
#endif
