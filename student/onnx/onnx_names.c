#include <string.h>

#include "student/onnx/onnx_parts.h"

static uint64_t hash_of(const char *s)                      /* FNV-1a, 64 bit */
{
    uint64_t h = 14695981039346656037u;
    for (; *s; s++) h = (h ^ (unsigned char)*s) * 1099511628211u;
    return h ^ h >> 29;
}

static size_t slot_of(const rt_onnx_names *m, const char *name)
{
    size_t at = (size_t)hash_of(name) & (m->room - 1);
    while (m->name[at] && strcmp(m->name[at], name)) at = (at + 1) & (m->room - 1);
    return at;
}

int rt_onnx_names_find(const rt_onnx_names *m, const char *name)
{
    if (!m->room) return RT_ONNX_NO_NAME;
    size_t at = slot_of(m, name);
    return m->name[at] ? m->number[at] : RT_ONNX_NO_NAME;
}

static rt_status grow(rt_onnx_names *m)
{
    rt_onnx_names big = {.region = m->region, .room = m->room ? m->room * 2 : 32, .used = m->used};
    big.name = rt_region_list(m->region, big.room, sizeof *big.name);
    big.number = rt_region_list(m->region, big.room, sizeof *big.number);
    if (!big.name || !big.number) return RT_INPUT;
    for (size_t i = 0; i < m->room; i++) {
        if (!m->name[i]) continue;
        size_t at = slot_of(&big, m->name[i]);
        big.name[at] = m->name[i];
        big.number[at] = m->number[i];
    }
    *m = big;
    return RT_OK;
}

rt_status rt_onnx_names_put(rt_onnx_names *m, const char *name, int number)
{
    if (m->used * 2 >= m->room) RT_TRY(grow(m));
    size_t at = slot_of(m, name);
    if (!m->name[at]) m->used++;
    m->name[at] = name;
    m->number[at] = number;
    return RT_OK;
}
