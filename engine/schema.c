#include "engine/schema.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const void *place(const rt_attr_spec *s, const void *attributes) { return (const char *)attributes + s->at; }

void rt_schema_defaults(const rt_schema *schema, void *attributes)
{
    memset(attributes, 0, schema->size);
    for (int i = 0; i < schema->count; i++) {
        const rt_attr_spec *s = &schema->spec[i];
        void *at = (char *)attributes + s->at;
        switch (s->kind) {
        case RT_A_INT:
        case RT_A_CHOICE:
        case RT_A_BOOL: *(int *)at = (int)s->fallback; break;
        case RT_A_NUMBER: *(float *)at = (float)s->fallback; break;
        case RT_A_PAIR: ((int *)at)[0] = ((int *)at)[1] = (int)s->fallback; break;
        case RT_A_PADDING:
        case RT_A_INTS:
        case RT_A_SHAPE: break;
        }
    }
}

static rt_status check_number(const rt_attr_spec *s, double v)
{
    /* bounds are those that the type holds: the float next to 0.999 is above it */
    double low = s->kind == RT_A_NUMBER ? (double)(float)s->low : s->low;
    double high = s->kind == RT_A_NUMBER ? (double)(float)s->high : s->high;
    if ((v >= low && v <= high) || (s->required <= 0 && v == s->fallback)) return RT_OK;
    return rt_fail(RT_USAGE, "'%s' is %g: %g to %g %s allowed", s->name, v, s->low, s->high,
                   s->kind == RT_A_NUMBER ? "is" : "are");
}

static rt_status check_numbers(const rt_attr_spec *s, const int *v, int count)
{
    for (int i = 0; i < count; i++) RT_TRY(check_number(s, v[i]));
    return RT_OK;
}

rt_status rt_schema_check(const rt_schema *schema, const void *attributes)
{
    for (int i = 0; i < schema->count; i++) {
        const rt_attr_spec *s = &schema->spec[i];
        const void *at = place(s, attributes);
        const rt_padding *pad = at;
        const rt_shape *shape = at;
        const rt_ints *list = at;
        switch (s->kind) {
        case RT_A_INT:
        case RT_A_CHOICE:
        case RT_A_BOOL: RT_TRY(check_number(s, *(const int *)at)); break;
        case RT_A_NUMBER: RT_TRY(check_number(s, (double)*(const float *)at)); break;
        case RT_A_PAIR: RT_TRY(check_numbers(s, at, 2)); break;
        case RT_A_PADDING:
            if (pad->given == RT_PAD_SAME) break;
            if (pad->given != 0 && pad->given != 1 && pad->given != 2 && pad->given != 4)
                return rt_fail(RT_USAGE, "'%s' has %d numbers: 1, 2 or 4 are allowed", s->name, pad->given);
            RT_TRY(check_numbers(s, pad->side, pad->given));
            break;
        case RT_A_INTS:
            if (list->count < (s->required > 0) || list->count > RT_MAX_RANK)
                return rt_fail(RT_USAGE, "'%s' has %d numbers: %d to %d are allowed", s->name, list->count,
                               s->required > 0, RT_MAX_RANK);
            RT_TRY(check_numbers(s, list->value, list->count));
            break;
        case RT_A_SHAPE:
            if (!shape->rank && s->required <= 0) break;
            if (shape->rank < 1 || shape->rank > RT_MAX_RANK)
                return rt_fail(RT_USAGE, "'%s' has %d dimensions: 1 to %d are allowed", s->name, shape->rank,
                               RT_MAX_RANK);
            RT_TRY(check_numbers(s, shape->dim, shape->rank));
            break;
        }
    }
    return RT_OK;
}

typedef struct { char *text; size_t room, length; } line;

static void put(line *l, const char *text)
{
    int n = snprintf(l->text + l->length, l->room - l->length, "%s%s", l->length ? " " : "", text);
    l->length += (size_t)n < l->room - l->length ? (size_t)n : l->room - l->length - 1;
}

static void list_text(const rt_attr_spec *s, const rt_ints *list, line *l)
{
    char text[160];
    int n = snprintf(text, sizeof text, "%.60s", s->name);
    for (int i = 0; i < list->count; i++)
        n += snprintf(text + n, sizeof text - (size_t)n, "%c%d", i ? ',' : ' ', list->value[i]);
    if (list->count) put(l, text);
}

static void padding_text(const rt_attr_spec *s, const rt_padding *pad, line *l)
{
    const int *v = pad->side;
    int equal = 1, any = 0;
    char text[96];
    for (int i = 0; i < pad->given; i++) {
        equal &= v[i] == v[0];
        any |= v[i] != 0;
    }
    if (pad->given == RT_PAD_SAME) snprintf(text, sizeof text, "%s same", s->name);
    else if (!any) return;
    else if (equal) snprintf(text, sizeof text, "%s %d", s->name, v[0]);
    else if (pad->given == 2) snprintf(text, sizeof text, "%s %d,%d", s->name, v[0], v[1]);
    else snprintf(text, sizeof text, "%s %d,%d,%d,%d", s->name, v[0], v[1], v[2], v[3]);
    put(l, text);
}

char *rt_schema_text(const rt_schema *schema, const void *attributes, char *text, size_t room)
{
    line l = {text, room, 0};
    *text = 0;
    for (int i = 0; i < schema->count; i++) {
        const rt_attr_spec *s = &schema->spec[i];
        const void *at = place(s, attributes);
        const int *v = at;
        char one[160], shape[64];
        *one = 0;
        switch (s->kind) {
        case RT_A_INT: if (v[0] != (int)s->fallback) snprintf(one, sizeof one, "%s %d", s->name, v[0]); break;
        case RT_A_CHOICE:
            if (v[0] != (int)s->fallback) snprintf(one, sizeof one, "%s %s", s->name, s->names[v[0]]);
            break;
        case RT_A_BOOL:
            if (v[0] != (int)s->fallback) snprintf(one, sizeof one, "%s%s", v[0] ? "" : "no ", s->name);
            break;
        case RT_A_NUMBER: {
            float f = *(const float *)at;
            if (f < (float)s->fallback || f > (float)s->fallback)
                snprintf(one, sizeof one, "%s %g", s->name, (double)f);
            break;
        }
        case RT_A_PAIR:
            if (v[0] != (int)s->fallback || v[1] != (int)s->fallback)
                snprintf(one, sizeof one, "%s %dx%d", s->name, v[0], v[1]);
            break;
        case RT_A_PADDING: padding_text(s, at, &l); break;
        case RT_A_INTS: list_text(s, at, &l); break;
        case RT_A_SHAPE:
            if (((const rt_shape *)at)->rank) snprintf(one, sizeof one, "%s %s", s->name, rt_shape_text(at, shape));
            break;
        }
        if (*one) put(&l, one);
    }
    return text;
}
