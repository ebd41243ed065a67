#include "engine/eval/eval.h"

const rt_eval_op rt_eval_loss_ops[] = {{0}};
