/* train/train_settle.c - where quantization-aware training comes to stand: the weights that it goes on from, and the
 * statistics that their batch norms stand with.
 *
 * What is deployed is the average of the weights where there is one (train.ema). Its layers' sums are not those of the
 * weights that moved, least of all at few bits, where weights jump between two steps from update to update: running
 * statistics are of neither (Nagel et al. 2022, Overcoming Oscillations in Quantization-Aware Training, where they are
 * taken anew at the end). So the run goes on from the average, whose statistics are taken anew. */
#include <stdlib.h>
#include <string.h>

#include "student/calibrate.h"
#include "train/trainer_parts.h"

enum { ROWS = 2048 };

/* Whole batches, one at least; t->spec.batch is no more than there are rows. */
uint64_t rt_train_quant_rows(const rt_trainer *t)
{
    const uint64_t batch = (uint64_t)t->spec.batch, n = t->train.count < ROWS ? t->train.count : ROWS;
    return n < batch ? batch : n / batch * batch;
}

static int has_norms(const rt_graph *g)
{
    for (int i = 0; i < g->nodes; i++) if (g->node[i].op == RT_OP_BATCH_NORM) return 1;
    return 0;
}

/* Means are sums' shifts in what follows, too: so that the bits are the same when this is done again after a kill. */
static void forget_norms(const rt_graph *g, float *states)
{
    for (int i = 0; i < g->nodes; i++)
        for (int k = 0; k < g->node[i].fields && g->node[i].op == RT_OP_BATCH_NORM; k++) {
            const rt_field *f = &g->field[g->node[i].field[k]];
            if (f->home == RT_STATE) memset(states + f->offset, 0, f->count * sizeof *states);
        }
}

/* Batch k of the rows, which lie evenly among those to learn from, as they are. */
static rt_status run_batch(rt_trainer *t, rt_session *s, uint64_t k, uint64_t *row)
{
    const int batch = t->spec.batch;
    const uint64_t apart = t->train.count / rt_train_quant_rows(t);
    float *x = NULL;
    char *raw = NULL;
    rt_step_result r = {0};
    int told;
    for (int i = 0; i < batch; i++) row[i] = rt_rows_at(&t->train, (k * (uint64_t)batch + (uint64_t)i) * apart);
    t->quant.of.qat.norms = (float)(1.0 / (double)(k + 1));        /* so that all batches count alike */
    rt_status st = rt_calibrate_rows(&x, &raw, t->x, row, (size_t)batch, &t->model->input[0]);
    if (!st) st = rt_session_step(s, &(rt_step){.rows = batch, .x = {x}, .first = 1, .last = 1, .summed = 1});
    if (!st) st = rt_session_results(s, 1, &r, 1, &told);
    free(x);
    free(raw);
    if (st || !r.bad) return st;
    return rt_fail(RT_RUN, "training diverged: where ranges are to stand, the weights answer what is not finite; lower "
                   "train.lr or set train.clip");
}

/* Through the layers with quantizers as they are before they stand; nothing but these statistics changes. */
static rt_status take_norms(rt_trainer *t, float *params, float *states)
{
    rt_qat *qat = &t->quant.of.qat;
    const rt_qat before = *qat;
    rt_session *s = NULL;
    rt_session_spec spec = t->spec;
    float *zeros = calloc((size_t)spec.batch * (size_t)rt_model_width(t->model), sizeof *zeros);
    uint64_t *row = malloc((size_t)spec.batch * sizeof *row);
    rt_loss_batch loss = {.config = {.task = RT_TASK_REAL, .hard_kind = RT_HARD_HINT, .hard = 1}, .values = zeros};
    spec.rows = NULL;
    spec.update = NULL;
    spec.keeps = spec.accumulates = 0;
    spec.losses = t->model->heads;
    for (int h = 0; h < spec.losses; h++) spec.loss[h].batch = &loss;
    spec.params = params;
    spec.states = states;
    spec.qat = qat;
    qat->mode = RT_QAT_LIVE;
    qat->momentum = 0;
    rt_status st = zeros && row ? rt_session_new(&s, &spec, t->opt->device) : rt_fail(RT_RUN, "out of memory");
    forget_norms(t->graph, states);
    for (uint64_t k = 0; k < rt_train_quant_rows(t) / (uint64_t)spec.batch && !st; k++) {
        st = run_batch(t, s, k, row);
        if (!st) st = rt_check_stop();
    }
    *qat = before;
    rt_session_free(s);
    free(zeros);
    free(row);
    return st;
}

rt_status rt_train_quant_settle(rt_trainer *t)
{
    rt_session *s = t->session;
    size_t n, m;
    RT_TRY(rt_session_read(s, RT_B_ALL));
    float *params = rt_session_buffer(s, RT_B_PARAMS, &n), *states = rt_session_buffer(s, RT_B_STATES, &m),
          *average = rt_session_buffer(s, RT_B_EMA, NULL), *of_states = rt_session_buffer(s, RT_B_EMA_STATES, NULL);
    if (average) memcpy(params, average, n * sizeof *params);
    if (has_norms(t->graph)) RT_TRY(take_norms(t, params, states));
    if (of_states && m) memcpy(of_states, states, m * sizeof *states);
    return rt_session_write(s, RT_B_ALL);
}
