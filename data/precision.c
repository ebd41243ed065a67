#include "data/precision.h"

rt_precision rt_precision_read(rt_cfg *c)
{
    const char *name[RT_PRECISIONS + 1] = {NULL};
    for (int i = 0; i < RT_PRECISIONS; i++) name[i] = rt_precision_name((rt_precision)i);
    return (rt_precision)rt_cfg_choice(c, "precision", name, RT_P_FP32);
}

rt_status rt_precision_take(rt_device *d, rt_precision p, const char *path)
{
    rt_status st = rt_device_set_precision(d, p);
    return st ? rt_fail_in(st, "%s", path) : RT_OK;
}
