/* tests/train/reference_model.h - the small network of trainer_reference.h, and files of it with given weights. */
#ifndef RT_TESTS_TRAIN_REFERENCE_MODEL_H
#define RT_TESTS_TRAIN_REFERENCE_MODEL_H

#include "student/arch.h"
#include "tests/train/train_support.h"
#include "tests/train/trainer_reference.h"

#define LAYERS "'layers': [{'op': 'dense', 'out': 6, 'bias': false}, {'op': 'batch_norm'}, {'op': 'relu'}, " \
    "{'op': 'dense', 'out': 3}]"

/* Places of the reference's numbers in a model: (out, in) matrices are kept as (in, out). */
static inline void each_weight(rt_model *m, void (*visit)(float *, double, const char *), const double *value)
{
    const rt_graph *g = m->graph;
    for (rt_home home = RT_PARAM; home <= RT_STATE; home++)
        for (int i = -1; (i = rt_graph_next_field(g, home, i)) >= 0;) {
            const rt_field *f = &g->field[i];
            float *w = rt_model_field(m, i);
            int in = f->shape.rank == 2 ? f->shape.dim[0] : 1;
            int out = f->shape.rank == 2 ? f->shape.dim[1] : (int)f->count;
            for (int o = 0; o < out; o++)
                for (int k = 0; k < in; k++) visit(&w[k * out + o], *value++, f->name);
        }
}

static inline void put_weight(float *w, double value, const char *name)
{
    (void)name;
    *w = (float)value;
}

static double weight_limit;
static inline void check_weight(float *w, double value, const char *name)
{
    check_close(name, *w, value, weight_limit, weight_limit);
}

static inline void write_model(const char *name, const float *weights, size_t count)
{
    cJSON *arch = parse_config("{'input': [5], 'classes': 3, " LAYERS "}");
    rt_model *m;
    double value[256];
    check_ok(rt_model_new(&m, arch, 1));
    for (size_t i = 0; i < count; i++) value[i] = weights[i];
    each_weight(m, put_weight, value);
    cJSON_AddItemToObject(m->provenance, "seen", cJSON_CreateArray());     /* made from nothing */
    check_ok(rt_model_save(m, in_folder(name)));
    rt_model_free(m);
    cJSON_Delete(arch);
}
#endif
