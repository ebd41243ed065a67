#include "engine/eval/eval.h"

const rt_eval_op rt_eval_norm_ops[] = {{0}};
