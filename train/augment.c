#include "train/augment.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include "engine/rng.h"

void rt_augment_read(rt_cfg *c, rt_augment *a)
{
    rt_view_desc *v = &a->view;
    v->flip = rt_cfg_bool(c, "flip", 0);
    v->shift = rt_cfg_int(c, "shift", 0, 0, 1024);
    v->erase = rt_cfg_number(c, "erase", 0, 0, 1);
    a->mixup = rt_cfg_number(c, "mixup", 0, 0, 100);
    v->input = rt_cfg_has(c, "input") ? rt_cfg_string(c, "input", NULL) : NULL;
}

rt_status rt_augment_check(rt_augment *a, const rt_input *in, int inputs)
{
    rt_view_desc *v = &a->view;
    const char *key = v->flip ? "flip" : v->shift ? "shift" : v->erase > 0 ? "erase" : NULL;
    int image = -1, images = 0, at = 0;
    for (int i = 0; i < inputs && a->mixup > 0; i++)
        if (in[i].ids)
            return rt_fail(RT_USAGE, "augment.mixup: mixes numbers, and input '%s' is of ids; leave it out",
                           in[i].name);
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
