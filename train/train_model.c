#include "train/trainer_parts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data/precision.h"
#include "student/arch.h"
#include "student/quantizers.h"

/* Which views the run shows, and of which the label store keeps labels; the configuration tells how many. */
static rt_status settle_views(rt_trainer *t)
{
    rt_train_settings *s = &t->set;
    rt_augment *a = &s->augment;
    const char *moved = t->model->inputs == 1 && rt_source_parts(t->x) > 1 ? t->model->input[0].name : NULL;
    RT_TRY(rt_augment_settle(a, s->seed, t->teacher ? rt_teacher_views(t->teacher) : NULL, moved, s->labels, t->notes));
    cJSON *told = cJSON_GetObjectItemCaseSensitive(t->config, "augment");
    if (a->kept && !a->views_given) cJSON_AddNumberToObject(told, "views", a->views);
    return RT_OK;
}

static rt_status make_model(rt_trainer *t)
{
    rt_train_settings *s = &t->set;
    if (*s->init) {
        if (!s->init_model) RT_TRY(rt_train_load_init(s, &s->x));
        if (s->heads != s->init_model->heads) return rt_fail(RT_RUN, "%s: changed meanwhile; run again", s->init);
        t->model = s->init_model;
        s->init_model = NULL;
        t->init_digest = rt_model_digest(t->model);
        if (rt_model_quantized(t->model)) {
            rt_model_unquantize(t->model);
            cJSON_AddItemToArray(t->notes, cJSON_CreateString("init is quantized: training starts from its weights in "
                                                              "float, without quantizers"));
        }
    } else {
        cJSON *arch = cJSON_GetObjectItemCaseSensitive(t->config, "model");
        RT_TRY(rt_model_new(&t->model, arch, s->init_seed));
    }
    RT_TRY(rt_train_match_names(t));
    RT_TRY(rt_augment_check(&s->augment, t->model->input, t->model->inputs));
    RT_TRY(settle_views(t));
    RT_TRY(rt_train_select(t));
    RT_TRY(rt_train_weigh_classes(t));
    return *s->init ? RT_OK : rt_train_normalize(t);
}

/* A learned projection to this width, point by point. */
static rt_status add_projection(rt_graph *g, const char *name, int from, int width, int *out)
{
    rt_dense_attr dense = {.out = width, .bias = 1};
    rt_conv_attr conv = {.out = width, .groups = 1, .bias = 1,
                         .window = {.kernel = {1, 1}, .stride = {1, 1}, .dilation = {1, 1}}};
    if (g->tensor[from].shape.rank == 3) return rt_graph_add(g, RT_OP_CONV2D, name, &from, 1, &conv, NULL, out);
    return rt_graph_add(g, RT_OP_DENSE, name, &from, 1, &dense, NULL, out);
}

/* The training graph: the model's own, then a projection for each hint. Parameters of the model keep their places. */
static rt_status make_graph(rt_trainer *t, rt_session_spec *spec)
{
    rt_train_settings *s = &t->set;
    const char *feature[RT_MAX_HINTS];
    cJSON *arch = cJSON_Duplicate(t->model->arch, 1);
    rt_status st = arch ? rt_arch_build(&t->graph, arch, "model") : rt_fail(RT_RUN, "out of memory");
    cJSON_Delete(arch);
    RT_TRY(st);
    for (int i = -1; (i = rt_graph_next_field(t->graph, RT_CONST, i)) >= 0;)      /* as the model has them */
        memcpy(rt_graph_constant_values(t->graph, i), rt_model_field(t->model, i),
               t->graph->field[i].count * sizeof(float));
    RT_TRY(rt_train_tune(t->graph, s));
    RT_TRY(rt_train_quant_begin(t));
    int output = t->graph->output;
    for (int h = 0; h < s->heads; h++) {
        const rt_head *head = &t->model->head[h];
        rt_loss_batch *b = &t->learn[h].loss;
        b->config = s->of[h].loss.desc;
        b->focal = s->of[h].loss.focal;
        b->class_weight = t->learn[h].class_weight;
        b->stride = (size_t)rt_model_width(t->model);
        spec->loss[spec->losses].tensor = head->tensor;
        spec->loss[spec->losses++].batch = b;
    }
    for (int i = 0; i < s->hints; i++) {
        int from = rt_arch_find(t->graph, s->hint[i].student), out;
        if (from < 0)
            return rt_fail(RT_USAGE, "loss.hints[%d].student: the model has no layer named '%s'", i,
                           s->hint[i].student);
        if (!s->teachers && s->augment.mixup > 0)
            return rt_fail(RT_USAGE,
                           "loss.hints: features of a label store are of rows by themselves, and augment.mixup "
                           "mixes rows; leave one of them out");
        rt_shape of_teacher;
        rt_status has = rt_teacher_feature_shape(t->teacher, s->hint[i].teacher, &of_teacher);
        if (has) return rt_fail_in(has, "loss.hints[%d].teacher", i);
        const rt_shape *a = &t->graph->tensor[from].shape, *b = &of_teacher;
        char ta[64], tb[64], name[32];
        int same = a->rank == b->rank;
        for (int k = 0; same && k + 1 < a->rank; k++) same = a->dim[k] == b->dim[k];
        if (!same)
            return rt_fail(
                RT_USAGE, "loss.hints[%d]: the student's %s and the teacher's %s may differ only in the last dimension",
                i, rt_shape_text(a, ta), rt_shape_text(b, tb));
        snprintf(name, sizeof name, "hint%d", i);
        RT_TRY(add_projection(t->graph, name, from, b->dim[b->rank - 1], &out));
        t->hint[i].config = (rt_loss_desc){.task = RT_TASK_REAL, .hard_kind = RT_HARD_HINT, .hard = s->hint[i].weight};
        spec->loss[spec->losses].tensor = out;
        spec->loss[spec->losses++].batch = &t->hint[i];
        feature[i] = s->hint[i].teacher;
    }
    rt_graph_set_output(t->graph, output);
    rt_graph_seal(t->graph);
    if (!s->teachers) return t->teacher ? rt_teacher_recall_ready(t->teacher, feature, s->hints, s->batch) : RT_OK;
    RT_TRY(rt_teacher_ready(t->teacher, t->opt->device, s->batch, feature, s->hints));
    return rt_teacher_answer_as(t->teacher, t->model->head, t->model->heads, NULL, s->match);
}

/* Layers that no loss depends on are left out of the plan, which is said. */
static rt_status say_unread(rt_trainer *t)
{
    const rt_graph *g = t->graph;
    char *live = calloc((size_t)g->tensors, 1), text[400];
    int n = 0, most = (int)sizeof text - 80;
    if (!live) return rt_fail(RT_RUN, "out of memory");
    for (int h = 0; h < t->set.heads; h++) live[t->model->head[h].tensor] = 1;
    for (int i = g->nodes - 1; i >= 0; i--) {
        const rt_node *q = &g->node[i];
        if (q->out >= t->model->graph->tensors) live[q->out] = 1;          /* a hint's projection */
        for (int k = 0; k < q->inputs; k++) live[q->in[k]] |= live[q->out];
    }
    for (int i = 0; i < g->nodes && n < most; i++)
        if (!live[g->node[i].out]) n += snprintf(text + n, sizeof text - (size_t)n, "%s%.60s", n ? ", " : "",
                                                 g->node[i].name);
    free(live);
    if (!n) return RT_OK;
    snprintf(text + n, sizeof text - (size_t)n, "%s: no head depends on these layers: they are not trained",
             n >= most ? " ..." : "");
    cJSON_AddItemToArray(t->notes, cJSON_CreateString(text));
    return RT_OK;
}

rt_status rt_train_set_up(rt_trainer *t)
{
    rt_train_settings *s = &t->set;
    rt_session_spec spec = {.batch = s->batch, .train = 1, .rows = t->rows,
                            .update = &s->optimizer.update, .accumulates = s->accumulate > 1, .keeps = 1};
    RT_TRY(rt_precision_take(t->opt->device, s->precision, "train.precision"));
    if (s->quant.on) RT_TRY(rt_train_check_quant(t->opt->device));
    RT_TRY(rt_train_open_data(t));
    RT_TRY(make_model(t));
    RT_TRY(make_graph(t, &spec));
    if ((uint64_t)spec.batch > t->train.count) spec.batch = (int)t->train.count;
    spec.graph = t->graph;
    spec.data_rows = rt_source_rows(t->x);
    size_t k = (size_t)rt_model_width(t->model), b = (size_t)s->batch, n;
    t->partner = calloc(b, sizeof *t->partner);
    t->answers = rt_floats_new(b * k);
    if (!t->partner || !t->answers) return rt_fail(RT_RUN, "out of memory");
    for (int i = 0; i < t->model->inputs; i++) t->rows[i] = rt_input_rows(&t->model->input[i]);
    t->spec = spec;
    RT_TRY(rt_session_new(&t->session, &spec, t->opt->device));
    float *params = rt_session_buffer(t->session, RT_B_PARAMS, &n),
          *ema = rt_session_buffer(t->session, RT_B_EMA, NULL);
    float *states = rt_session_buffer(t->session, RT_B_STATES, NULL);
    float *ema_states = rt_session_buffer(t->session, RT_B_EMA_STATES, NULL);
    size_t of_states = t->graph->floats[RT_STATE] * sizeof(float);
    rt_graph_init(t->graph, s->init_seed, params,
                  states); /* projections of hints, quantizers; the model's own follow */
    memcpy(params, t->model->params, t->model->graph->floats[RT_PARAM] * sizeof *params);
    memcpy(states, t->model->states, t->model->graph->floats[RT_STATE] * sizeof *states);
    if (ema) memcpy(ema, params, n * sizeof *ema);
    if (ema_states) memcpy(ema_states, states, of_states);
    RT_TRY(rt_session_write(t->session, RT_B_BEST_SEEN));
    RT_TRY(say_unread(t));
    if (t->held.count) RT_TRY(rt_predictor_new(&t->validator, &t->model, 1, t->opt->device, 0, NULL, 0));
    return rt_train_check_monitor(t);
}

void rt_train_tear_down(rt_trainer *t)
{
    rt_train_peer_close(t);
    rt_run_folder_close(t->run);
    rt_session_free(t->session);
    rt_predictor_free(t->validator);
    rt_predictor_free(t->asked);
    rt_train_quant_free(&t->quant);
    rt_teacher_close(t->teacher);
    rt_graph_free(t->graph);
    rt_model_free(t->model);
    for (int h = 0; h < RT_MAX_HEADS; h++) {
        rt_targets_close(t->learn[h].y);
        free(t->learn[h].class_weight);
    }
    rt_sources_free(t->own_sources);
    free(t->partner);
    free(t->answers);
    rt_rows_free(&t->train);
    rt_rows_free(&t->held);
    rt_rows_free(&t->test);
    cJSON_Delete(t->history);
    cJSON_Delete(t->notes);
    cJSON_Delete(t->policy);
    rt_row_weights_free(&t->weights);
    rt_row_draws_free(t->draws);
    cJSON_Delete(t->peer_result);
    cJSON_Delete(t->finished);
    cJSON_Delete(t->content);
    rt_train_settings_free(&t->set);
}
