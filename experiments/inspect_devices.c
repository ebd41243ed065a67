/* experiments/inspect_devices.c - what there is to compute on. */
#include <stdio.h>

#include "engine/device.h"
#include "engine/graph.h"
#include "experiments/inspect.h"

enum { MOST = 65 };

static void add_bytes(cJSON *j, const char *key, uint64_t bytes)
{
    if (bytes) cJSON_AddNumberToObject(j, key, (double)bytes);
    else cJSON_AddNullToObject(j, key);
}

static void add_text(cJSON *j, const char *key, const char *text)
{
    if (*text) cJSON_AddStringToObject(j, key, text);
    else cJSON_AddNullToObject(j, key);
}

static void add_device(cJSON *list, const rt_device_info *d)
{
    char capability[32] = "";
    cJSON *j = cJSON_CreateObject();
    cJSON_AddItemToArray(list, j);
    cJSON_AddStringToObject(j, "name", d->name);
    add_text(j, "card", d->card);
    if (d->major) snprintf(capability, sizeof capability, "%d.%d", d->major, d->minor);
    add_text(j, "capability", capability);
    cJSON_AddNumberToObject(j, "processors", d->processors);
    add_bytes(j, "memory_bytes", d->memory);
    add_bytes(j, "free_bytes", d->available);
    cJSON *p = cJSON_AddArrayToObject(j, "precisions");
    for (int i = 0; i < RT_PRECISIONS; i++)
        if (d->precisions & 1u << i) cJSON_AddItemToArray(p, cJSON_CreateString(rt_precision_name((rt_precision)i)));
    add_text(j, "trouble", d->trouble);
}

rt_status rt_inspect_devices(cJSON **result)
{
    rt_device_info info[MOST];
    char note[300];
    int n = rt_device_list(info, MOST, note);
    cJSON *j = *result = cJSON_CreateObject(), *list = cJSON_AddArrayToObject(j, "devices");
    for (int i = 0; i < n; i++) add_device(list, &info[i]);
    add_text(j, "note", note);
    cJSON *has = cJSON_AddArrayToObject(j, "operators_of_cards");
    cJSON *lacks = cJSON_AddArrayToObject(j, "operators_of_the_cpu_alone");
    for (int op = RT_OP_INPUT + 1; op < RT_OP_COUNT; op++)
        cJSON_AddItemToArray(rt_device_operator(op) ? has : lacks, cJSON_CreateString(rt_ops[op]->name));
    return RT_OK;
}
