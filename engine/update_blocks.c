#include "engine/update_blocks.h"

#include <math.h>
#include <stdlib.h>

/* How a field is trained, with the weight decay that it has, and its place. */
static rt_update_block begin(const rt_update_desc *d, const rt_field *f, size_t done)
{
    rt_update_block b = {f->offset + done, f->grad_at + done, 0, f->tuning,
                         (f->flags & RT_F_DECAY) || d->decay_all};
    if (isnan(b.how.weight_decay)) b.how.weight_decay = b.decays ? (float)d->weight_decay : 0;
    return b;
}

/* Not the decay alone: what lies in a block, and with it the order of sums, is the same at a decay of 0. */
static int alike(const rt_update_block *a, const rt_update_block *b)
{
    return a->decays == b->decays && a->how.lr_scale == b->how.lr_scale && a->how.grad_scale == b->how.grad_scale &&
           a->how.weight_decay == b->how.weight_decay && a->how.low == b->how.low && a->how.relative == b->how.relative;
}

/* Neighbouring fields that are trained alike share blocks: few calls for nets of many small fields. */
rt_status rt_update_blocks(rt_update_block **out, int *blocks, const rt_update_desc *desc, const rt_graph *g)
{
    rt_update_block *block = calloc((size_t)g->fields + g->grad_floats / RT_UPDATE_BLOCK + 1, sizeof *block);
    int n = 0;
    *out = block;
    *blocks = 0;
    if (!block) return rt_fail(RT_RUN, "out of memory for the optimizer");
    for (int i = -1; (i = rt_graph_next_field(g, RT_PARAM, i)) >= 0;) {
        const rt_field *f = &g->field[i];
        size_t room = (f->count + 15) & ~(size_t)15;
        if (f->grad_at == RT_NOWHERE) continue;
        for (size_t done = 0; done < room;) {
            rt_update_block *last = n ? &block[n - 1] : NULL, next = begin(desc, f, done);
            if (!last || !alike(last, &next) || last->count == RT_UPDATE_BLOCK ||
                last->first + last->count != next.first) {
                last = &block[n++];
                *last = next;
            }
            size_t more = room - done < RT_UPDATE_BLOCK - last->count ? room - done : RT_UPDATE_BLOCK - last->count;
            last->count += more;
            done += more;
        }
    }
    *blocks = n;
    return RT_OK;
}
