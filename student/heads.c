#include "student/heads.h"

#include <stdlib.h>
#include <string.h>

static const char *layer_of(const rt_graph *g, int tensor)
{
    for (int i = 0; i < g->nodes; i++)
        if (g->node[i].out == tensor) return g->node[i].name;
    return "input";
}

rt_status rt_heads_add(rt_head head[RT_MAX_HEADS], int *count, const rt_graph *g, const char *name, rt_task task,
                       int tensor)
{
    char text[64];
    const rt_shape *shape = &g->tensor[tensor].shape;
    rt_head h = {.layer = layer_of(g, tensor), .task = task, .size = shape->dim[0], .tensor = tensor,
                 .at = rt_heads_width(head, *count)};
    if (*count == RT_MAX_HEADS)
        return rt_fail(RT_USAGE, "head '%.100s': a model has at most %d heads; leave one out", name, RT_MAX_HEADS);
    for (int i = 0; i < *count; i++)
        if (strcmp(head[i].name, name) == 0)
            return rt_fail(RT_USAGE, "two heads are named '%.100s'; give one another name", name);
    if (shape->rank != 1)
        return rt_fail(RT_USAGE, "head '%.100s': layer '%.100s' gives %s a row; a head needs one row of numbers, such "
                       "as a dense layer's", name, h.layer, rt_shape_text(shape, text));
    RT_TRY(rt_names_numbered(&h.names, h.size, NULL));
    h.name = strdup(name);
    if (!h.name) {
        rt_names_free(&h.names);
        return rt_fail(RT_RUN, "out of memory");
    }
    head[(*count)++] = h;
    return RT_OK;
}

void rt_heads_free(rt_head *head, int count)
{
    for (int i = 0; i < count; i++) {
        free(head[i].name);
        rt_names_free(&head[i].names);
    }
}

int rt_heads_width(const rt_head *head, int count) { return count ? head[count - 1].at + head[count - 1].size : 0; }
