/* Attributes by the table of an operator. */
#include <stdio.h>
#include <string.h>

#include "data/json.h"

static void read_padding(rt_cfg *c, const rt_attr_spec *s, rt_padding *pad)
{
    const cJSON *v = rt_cfg_any(c, s->name);
    if (cJSON_IsString(v)) {
        if (strcmp(v->valuestring, "same") == 0) pad->given = RT_PAD_SAME;
        else if (strcmp(v->valuestring, "valid"))
            rt_cfg_fail(c, s->name, "a number, a list of 2 or 4 numbers, \"same\" or \"valid\" is expected");
        return;
    }
    pad->given = rt_cfg_ints(c, s->name, pad->side, 4, (int)s->low, (int)s->high);
    if (pad->given == 3) rt_cfg_fail(c, s->name, "1, 2 or 4 numbers are expected");
}

static void read_pair(rt_cfg *c, const rt_attr_spec *s, int *pair)
{
    if (rt_cfg_ints(c, s->name, pair, 2, (int)s->low, (int)s->high) == 1) pair[1] = pair[0];
}

static void read_one(rt_cfg *c, const rt_attr_spec *s, void *at)
{
    rt_shape *shape = at;
    rt_ints *list = at;
    switch (s->kind) {
    case RT_A_INT: *(int *)at = rt_cfg_int(c, s->name, (int)s->fallback, (int)s->low, (int)s->high); break;
    case RT_A_NUMBER: *(float *)at = (float)rt_cfg_number(c, s->name, s->fallback, s->low, s->high); break;
    case RT_A_BOOL: *(int *)at = rt_cfg_bool(c, s->name, (int)s->fallback); break;
    case RT_A_CHOICE: *(int *)at = rt_cfg_choice(c, s->name, s->names, (int)s->fallback); break;
    case RT_A_PAIR: read_pair(c, s, at); break;
    case RT_A_PADDING: read_padding(c, s, at); break;
    case RT_A_INTS:
        list->count = rt_cfg_ints(c, s->name, list->value, RT_MAX_RANK, (int)s->low, (int)s->high);
        break;
    case RT_A_SHAPE:
        shape->rank = rt_cfg_ints(c, s->name, shape->dim, RT_MAX_RANK, (int)s->low, (int)s->high);
        break;
    }
}

void rt_cfg_read(rt_cfg *c, const rt_schema *schema, void *attributes)
{
    rt_schema_defaults(schema, attributes);
    for (int i = 0; i < schema->count; i++) {
        const rt_attr_spec *s = &schema->spec[i];
        char text[160];
        if (s->required > 0 && !rt_cfg_has(c, s->name)) {
            snprintf(text, sizeof text, "a value is required here: %s", s->help);
            rt_cfg_fail(c, s->name, text);
            return;
        }
        int number = s->kind == RT_A_INT || s->kind == RT_A_NUMBER,
            not_given = number && (s->fallback < s->low || s->fallback > s->high);
        if ((s->required == RT_A_LATER || not_given) && !rt_cfg_any(c, s->name)) continue;
        read_one(c, s, (char *)attributes + s->at);
        if (c->status) return;
    }
}
