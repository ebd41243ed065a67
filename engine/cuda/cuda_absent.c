/* engine/cuda/cuda_absent.c - a build without CUDA: it says so. */
#include <stdio.h>

#include "engine/device_parts.h"

static const char no[] = "this build has no CUDA: build it with cmake -DRETORT_CUDA=on where nvcc (CUDA 11.8 or later) "
                         "is, or compute on the CPU (--device cpu)";

static rt_status open_card(void **card, int index)
{
    *card = NULL;
    return rt_fail(RT_RUN, "cuda:%d: %s", index, no);
}

static void close_card(void *card) { (void)card; }

static int list(rt_device_info *info, int most, char note[300])
{
    (void)info, (void)most;
    snprintf(note, 300, "%s", no);
    return 0;
}

static int has(int op)
{
    (void)op;
    return 0;
}

const rt_device_kind rt_cuda_device = {.name = "cuda", .open = open_card, .close = close_card, .list = list,
                                       .has = has};
