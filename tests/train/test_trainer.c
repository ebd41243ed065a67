/* Whole runs against runs of PyTorch; what is kept as best; which labels count; how the input is normalised; that a run goes
 * on after any batch; what a run's folder accepts. */
#include "data/provenance.h"
#include "tests/train/train_support.h"
#include "tests/train/trainer_reference.h"

#define LAYERS "'layers': [{'op': 'dense', 'out': 6, 'bias': false}, {'op': 'batch_norm'}, {'op': 'relu'}, {'op': 'dense', 'out': 3}]"

/* ---- a model file with given weights ---- */

/* Places of the reference's numbers in a model: (out, in) matrices are kept as (in, out). */
static void each_weight(rt_model *m, void (*visit)(float *, double, const char *), const double *value)
{
    const rt_graph *g = m->graph;
    for (int i = 0; i < g->params + g->states; i++) {
        const rt_field *f = i < g->params ? &g->param[i] : &g->state[i - g->params];
        float *w = (i < g->params ? m->params : m->states) + f->offset;
        int in = f->shape.rank == 2 ? f->shape.dim[0] : 1, out = f->shape.rank == 2 ? f->shape.dim[1] : (int)f->count;
        for (int o = 0; o < out; o++)
            for (int k = 0; k < in; k++) visit(&w[k * out + o], *value++, f->name);
    }
}

static void put_weight(float *w, double value, const char *name)
{
    (void)name;
    *w = (float)value;
}

static double weight_limit;
static void check_weight(float *w, double value, const char *name) { check_close(name, *w, value, weight_limit, weight_limit); }

static void write_model(const char *name, const float *weights, size_t count)
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

static int set_up(void **s)
{
    uint64_t dim[] = {REF_ROWS, REF_IN};
    if (make_test_folder(s)) return 1;
    test_pool = rt_pool_new(2);
    write_data("ref.h5", ref_x, 2, dim, ref_y);
    write_data("few.h5", ref_x, 2, dim, ref_few);
    write_model("student.h5", ref_student, sizeof ref_student / sizeof ref_student[0]);
    write_model("teacher.h5", ref_teacher, sizeof ref_teacher / sizeof ref_teacher[0]);
    return 0;
}

static int tear_down(void **s)
{
    rt_pool_free(test_pool);
    return remove_test_folder(s);
}

/* ---- against PyTorch ---- */

static void reference_run(const ref_run *r)
{
    char config[1024];
    int ce = strcmp(r->kind, "ce") == 0, dkd = strcmp(r->kind, "dkd") == 0, sgd = strcmp(r->optimizer, "sgd") == 0;
    snprintf(config, sizeof config,
             "{'init': '@student.h5', 'seed': %d, 'data': {'source': '@%s', 'validation': 0}, %s'loss': {'kind': '%s', "
             "'hard_mean': '%s'%s}, 'train': {'epochs': %d, 'batch': %d, 'drop_last': false, 'lr': 0.1, 'weight_decay': 0.02, "
             "'warmup': 1, 'optimizer': '%s', %s 'accumulate': %d, 'ema': %g, 'clip': %g}}",
             REF_SEED, ce ? "ref.h5" : "few.h5", ce ? "" : "'teacher': '@teacher.h5', ", r->kind, r->mean,
             dkd ? ", 'warmup': 2" : "", REF_EPOCHS, REF_BATCH, r->optimizer, sgd ? "'nesterov': true," : "", r->accumulate,
             r->ema, r->clip);
    cJSON *result = train(config, "reference"), *history = cJSON_GetObjectItem(result, "history");
    print_message("%s %s, accumulate %d, ema %g, clip %g, mean over %s\n", r->kind, r->optimizer, r->accumulate, r->ema,
                  r->clip, r->mean);
    weight_limit = dkd ? 1e-4 : 2e-5;
    for (int e = 0; e < REF_EPOCHS; e++)
        check_close("loss", number(cJSON_GetArrayItem(history, e), "loss"), r->loss[e], 1e-5, dkd ? 1e-4 : 1e-5);
    rt_model *m = load_model("reference");
    each_weight(m, check_weight, r->weights);
    rt_model_free(m);
    cJSON_Delete(result);
}

static void runs_of_pytorch(void **s)
{
    (void)s;
    for (size_t i = 0; i < sizeof ref_runs / sizeof ref_runs[0]; i++) reference_run(&ref_runs[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(runs_of_pytorch),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
