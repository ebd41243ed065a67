/* engine/eval/eval_move.h - what the files of table `move` have of each other. */
#ifndef RT_ENGINE_EVAL_MOVE_H
#define RT_ENGINE_EVAL_MOVE_H

#include "engine/eval/eval.h"

rt_status rt_eval_pad(rt_eval_call *), rt_eval_trilu(rt_eval_call *), rt_eval_reverse_sequence(rt_eval_call *),
    rt_eval_depth_to_space(rt_eval_call *), rt_eval_space_to_depth(rt_eval_call *),
    rt_eval_center_crop_pad(rt_eval_call *);
#endif
