#include "engine/progress.h"

static _Atomic int asked;

void rt_ask_to_stop(int yes) { asked = yes; }
int rt_stopped(void) { return asked; }
rt_status rt_check_stop(void) { return asked ? rt_fail(RT_INTERRUPTED, "interrupted") : RT_OK; }
