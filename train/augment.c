#include "train/augment.h"

#include <float.h>
#include <math.h>
#include <stdio.h>

#include "engine/rng.h"

void rt_augment_read(rt_cfg *c, rt_augment *a)
{
    rt_view_read(c, &a->view);
    a->mixup = rt_cfg_number(c, "mixup", 0, 0, 100);
    a->views = a->views_given = rt_cfg_has(c, "views");
    if (a->views_given) a->views = rt_cfg_int(c, "views", 0, 0, RT_LABEL_VIEWS);
    a->seed_given = rt_cfg_has(c, "seed");
    if (a->seed_given) a->seed = rt_cfg_u64(c, "seed", 0);
    if (a->views && !rt_view_is_on(&a->view))
        rt_cfg_fail(c, "views", "are of flip, shift or erase, without which all of them are the row itself; leave it "
                    "out");
    if (a->seed_given && !rt_view_is_on(&a->view))
        rt_cfg_fail(c, "seed", "is that of views by flip, shift or erase, and none of them is given; leave it out");
}

rt_status rt_augment_check(rt_augment *a, const rt_input *in, int inputs)
{
    for (int i = 0; i < inputs && a->mixup > 0; i++)
        if (in[i].ids)
            return rt_fail(RT_USAGE, "augment.mixup: mixes numbers, and input '%s' is of ids; leave it out",
                           in[i].name);
    return rt_view_check(&a->view, in, inputs);
}

/* A store of views: a run that shows views of rows shows those. */
static rt_status take_kept(rt_augment *a, const rt_label_views *kept, const char *moved, const char *store,
                           cJSON *notes)
{
    rt_label_views shown = {.count = a->views, .seed = a->seed, .how = a->view};
    char why[160], text[400];
    if (!rt_view_is_on(&a->view)) {
        snprintf(text, sizeof text,
                 "%.200s keeps labels of %d views of each row, and the run shows none: rows are learnt as they are; "
                 "augment with the same settings shows them", store, kept->count);
        return cJSON_AddItemToArray(notes, cJSON_CreateString(text)) ? RT_OK : rt_fail(RT_RUN, "out of memory");
    }
    if (a->views_given && !a->views) return RT_OK;
    if (a->views > kept->count)
        return rt_fail(RT_USAGE, "augment.views: %d, but %s keeps labels of %d views of each row; give at most %d, or "
                       "label again with label.views=%d", a->views, store, kept->count, kept->count, a->views);
    if (moved) shown.how.input = moved;
    if (!rt_label_views_same(kept, &shown, why))
        return rt_fail(RT_USAGE, "%s: its labels are of other views, made with augment.%s; give that, label again, or "
                       "learn the labels of rows as they are, whatever the view, by augment.views=0", store, why);
    if (!a->views) a->views = kept->count;
    a->kept = 1;
    return RT_OK;
}

rt_status rt_augment_settle(rt_augment *a, uint64_t seed, const rt_label_views *kept, const char *moved,
                            const char *store, cJSON *notes)
{
    if (!a->seed_given) a->seed = seed;
    if (kept && kept->count) return take_kept(a, kept, moved, store, notes);
    if (*store && a->views)
        return rt_fail(RT_USAGE, "augment.views: %s keeps labels of rows as they are alone; label again with "
                       "label.views=%d, or leave augment.views out to learn those whatever the view", store, a->views);
    return RT_OK;
}

int rt_augment_view(const rt_augment *a, uint32_t epoch)
{ return a->kept ? (int)(epoch % (uint32_t)a->views) : RT_LABEL_NO_VIEW; }

/* Gamma(a) for any a > 0 by Marsaglia & Tsang 2000, on a counter: draw i is lane i. For a < 1 the value is
 * u^(1/a) Gamma(a + 1), and *log_u is log u, else 0; *whole is the other factor. */
static double gamma_draw(double a, uint64_t seed, const rt_batch *b, uint32_t which, double *log_u, double *whole)
{
    double boost = 1;
    uint32_t w[4], lane = 0;
    *log_u = 0;
    if (a < 1) {
        rt_random4(w, seed, RT_RNG_MIXUP, b->epoch, b->step, which, lane++);
        *log_u = log((w[0] + 0.5) * 0x1p-32);
        boost = pow((w[0] + 0.5) * 0x1p-32, 1 / a);
        a += 1;
    }
    double d = a - 1.0 / 3, c = 1 / sqrt(9 * d);
    for (;;) {
        rt_random4(w, seed, RT_RNG_MIXUP, b->epoch, b->step, which, lane++);
        double x = sqrt(-2 * log((w[0] + 0.5) * 0x1p-32)) * cos(6.283185307179586 * w[1] * 0x1p-32);
        double v = 1 + c * x, u = (w[2] + 0.5) * 0x1p-32;
        v = v * v * v;
        if (v > 0 && log(u) < 0.5 * x * x + d - d * v + d * log(v)) {
            *whole = d * v;
            return boost * d * v;
        }
    }
}

/* Beta(a, a) is x / (x + y) of two gammas. Where a is tiny both may be too small for a double, but not their quotient.
 */
float rt_mixup_draw(const rt_augment *a, uint64_t seed, const rt_batch *b, int *partner)
{
    double log_u[2], whole[2], x = gamma_draw(a->mixup, seed, b, 0, &log_u[0], &whole[0]);
    double y = gamma_draw(a->mixup, seed, b, 1, &log_u[1], &whole[1]);
    for (int i = 0; i < b->rows; i++)
        partner[i] = (int)rt_permute((uint64_t)i, (uint64_t)b->rows, seed, RT_RNG_MIXUP, b->epoch, b->step);
    if (x + y >= DBL_MIN) return (float)(x / (x + y));
    return (float)(1 / (1 + exp((log_u[1] - log_u[0]) / a->mixup + log(whole[1] / whole[0]))));
}
