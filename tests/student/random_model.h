/* tests/student/random_model.h - models whose norms and biases are not at their first values. */
#ifndef RT_TESTS_RANDOM_MODEL_H
#define RT_TESTS_RANDOM_MODEL_H

#include "student/model.h"
#include "tests/support.h"

/* A model of an architecture's text, with statistics and signs of all kinds in its norms. */
static inline rt_model *random_model(const char *arch, uint64_t seed)
{
    cJSON *j;
    rt_model *m;
    check_ok(rt_json_parse(&j, arch, strlen(arch), "test"));
    check_ok(rt_model_new(&m, j, seed));
    cJSON_Delete(j);
    const rt_graph *g = m->graph;
    for (int i = 0; i < g->fields; i++) {
        const char *dot = strrchr(g->field[i].name, '.');
        float *v = rt_model_field(m, i), *noise = random_floats(g->field[i].count, 50 + (uint32_t)i);
        for (size_t k = 0; k < g->field[i].count; k++) {
            if (!strcmp(dot, ".gamma")) v[k] = noise[k];
            if (!strcmp(dot, ".beta") || !strcmp(dot, ".mean") || !strcmp(dot, ".bias")) v[k] = 0.3f * noise[k];
            if (!strcmp(dot, ".variance")) v[k] = 0.5f + fabsf(noise[k]);
        }
        free(noise);
    }
    return m;
}
#endif
