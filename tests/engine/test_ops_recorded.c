/* test_layers.c over what record_ops.py recorded: functions of one and of two numbers, moves, reductions, softmax. */
#define LAYERS_REFERENCE "tests/engine/ops_reference.h"
#include "tests/engine/test_layers.c"
