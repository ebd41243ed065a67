#include "engine/device.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/device_parts.h"
#include "engine/kernels.h"

enum { MOST_CARDS = 64 };

static const char *const precisions[RT_PRECISIONS] = {"fp32", "tf32", "bf16"};

const char *rt_precision_name(rt_precision p) { return precisions[p]; }

int rt_precision_find(const char *name)
{
    for (int i = 0; i < RT_PRECISIONS; i++)
        if (!strcmp(name, precisions[i])) return i;
    return -1;
}

rt_device *rt_device_cpu(int threads)
{
    rt_device *d = calloc(1, sizeof *d);
    if (!d) {
        rt_fail(RT_RUN, "out of memory");
        return NULL;
    }
    strcpy(d->name, "cpu");
    d->pool = rt_pool_new(threads);
    if (d->pool) return d;
    free(d);
    return NULL;
}

/* The index behind "cuda" or "cuda:"; -1: the name is none of the kind's. */
static int index_of(const rt_device_kind *kind, const char *name)
{
    size_t n = strlen(kind->name);
    if (strncmp(name, kind->name, n)) return -1;
    if (!name[n]) return 0;
    char *end;
    long i = name[n] == ':' && name[n + 1] >= '0' && name[n + 1] <= '9' ? strtol(name + n + 1, &end, 10) : -1;
    return i < 0 || *end || i > 1023 ? -1 : (int)i;
}

rt_status rt_device_open(rt_device **out, const char *name, int threads)
{
    const rt_device_kind *kind = &rt_cuda_device;
    *out = NULL;
    const char *from = getenv("RETORT_DEVICE"), *said = name ? "" : "RETORT_DEVICE: ";
    if (!name) name = from && *from ? from : "cpu";
    int cpu = !strcmp(name, "cpu"), index = cpu ? 0 : index_of(kind, name);
    if (index < 0)
        return rt_fail(RT_USAGE, "%sno device is called \"%.40s\": there are cpu, cuda and cuda:N (retort info "
                       "--devices lists those of this machine)", said, name);
    rt_device *d = rt_device_cpu(threads);
    if (!d) return RT_RUN;
    if (!cpu) {
        d->index = index;
        rt_status st = kind->open(&d->card, index);
        if (st) {
            rt_device_close(d);
            return st;
        }
        d->kind = kind;
        snprintf(d->name, sizeof d->name, "%s:%d", kind->name, index);
    }
    *out = d;
    return RT_OK;
}

void rt_device_close(rt_device *d)
{
    if (!d) return;
    if (d->kind) d->kind->close(d->card);
    rt_pool_free(d->pool);
    free(d);
}

const char *rt_device_name(const rt_device *d) { return d->name; }
int rt_device_is_cpu(const rt_device *d) { return !d->kind; }
rt_pool *rt_device_pool(const rt_device *d) { return d ? d->pool : NULL; }
int rt_device_threads(const rt_device *d) { return d ? rt_pool_threads(d->pool) : 1; }
int rt_device_micro(const rt_device *d) { return d->kind ? d->kind->micro : 0; }

const char *rt_device_family(const rt_device *d, char text[RT_FAMILY_TEXT])
{
    if (d->kind) d->kind->family(d->card, d->precision, text);
    else snprintf(text, RT_FAMILY_TEXT, "%s", rt_kernels_get()->name);
    return text;
}

rt_precision rt_device_precision(const rt_device *d) { return d->precision; }

rt_status rt_device_check_precision(const rt_device *d, rt_precision p)
{
    if (d->kind) return d->kind->check(d->card, p);
    if (p == RT_P_FP32) return RT_OK;
    return rt_fail(RT_USAGE, "the precision %s needs a card: the CPU computes in fp32 (--device cuda, or precision "
                   "\"fp32\")", precisions[p]);
}

rt_status rt_device_set_precision(rt_device *d, rt_precision p)
{
    RT_TRY(rt_device_check_precision(d, p));
    d->precision = p;
    return RT_OK;
}

int rt_device_list(rt_device_info *info, int most, char note[300])
{
    *note = 0;
    if (most < 1) return 0;
    *info = (rt_device_info){.name = "cpu", .processors = rt_cpu_count(), .precisions = 1u << RT_P_FP32};
    snprintf(info->card, sizeof info->card, "%s kernels", rt_kernels_get()->name);
    return 1 + rt_cuda_device.list(info + 1, most - 1, note);
}

void rt_device_describe(const rt_device *d, rt_device_info *info)
{
    rt_device_info list[MOST_CARDS];
    char note[300];
    int n = d->kind ? d->kind->list(list, MOST_CARDS, note) : rt_device_list(list, 1, note);
    *info = d->kind ? (rt_device_info){0} : list[0];
    snprintf(info->name, sizeof info->name, "%s", d->name);
    for (int i = 0; i < n; i++) if (!strcmp(list[i].name, d->name)) *info = list[i];
}

int rt_device_operator(int op) { return rt_cuda_device.has(op); }
