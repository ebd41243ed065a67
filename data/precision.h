/* data/precision.h - the key "precision" of a command's configuration: how its device computes. */
#ifndef RT_DATA_PRECISION_H
#define RT_DATA_PRECISION_H

#include "data/json.h"
#include "engine/device.h"

/* The key `precision` of a section: fp32 (the default), tf32 or bf16. */
rt_precision rt_precision_read(rt_cfg *);
/* Sessions are made in it from now on. RT_USAGE, with the key's path, where the device does not have it. */
rt_status rt_precision_take(rt_device *, rt_precision, const char *path);
#endif
