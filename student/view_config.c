#include "student/view_config.h"

#include <string.h>

void rt_view_read(rt_cfg *c, rt_view_desc *v)
{
    v->flip = rt_cfg_bool(c, "flip", 0);
    v->shift = rt_cfg_int(c, "shift", 0, 0, 1024);
    v->erase = rt_cfg_number(c, "erase", 0, 0, 1);
    v->input = rt_cfg_has(c, "input") ? rt_cfg_string(c, "input", NULL) : NULL;
}

int rt_view_is_on(const rt_view_desc *v) { return v->flip || v->shift || v->erase > 0; }

rt_status rt_view_check(rt_view_desc *v, const rt_input *in, int inputs)
{
    const char *key = v->flip ? "flip" : v->shift ? "shift" : v->erase > 0 ? "erase" : NULL;
    int image = -1, images = 0, at = 0;
    for (int i = 0; i < inputs; i++)
        if (in[i].shape.rank == 3 && !in[i].ids) {
            image = i;
            images++;
        }
    if (!key) return v->input ? rt_fail(RT_USAGE, "augment.input: is not used without flip, shift or erase") : RT_OK;
    while (v->input && at < inputs && strcmp(in[at].name, v->input)) at++;
    if (v->input && at == inputs) return rt_fail(RT_USAGE, "augment.input: the model has no input '%.60s'", v->input);
    if (v->input || inputs == 1) image = at;
    else if (images > 1)
        return rt_fail(RT_USAGE, "augment.%s: the model has %d inputs that are images; augment.input names one", key,
                       images);
    else if (!images) return rt_fail(RT_USAGE, "augment.%s: needs images, and no input is one; leave it out", key);
    const rt_shape *s = &in[image].shape;
    if (s->rank != 3)
        return rt_fail(RT_USAGE, "augment.%s: needs images, but the model's input has %d dimension%s; leave it out",
                       key, s->rank, s->rank == 1 ? "" : "s");
    if (inputs > 1) v->input = in[image].name;
    return RT_OK;
}
