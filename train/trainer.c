#include "train/trainer_parts.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/clock.h"

void rt_train_stream_answers(const rt_trainer *t, rt_stream_spec *spec)
{
    spec->answers = rt_teacher_kept;
    spec->teacher = t->teacher;
}

static rt_stream_spec stream_spec(const rt_trainer *t)
{
    const rt_train_settings *s = &t->set;
    rt_stream_spec spec = {.x = t->x, .heads = s->heads, .rows = &t->train, .width = rt_model_width(t->model), .batch = s->batch,
                           .keep_tail = !s->drop_last, .shuffle = 1, .window = s->shuffle_window, .seed = s->seed,
                           .prefetch = s->prefetch, .threads = s->workers};
    if (rt_train_soft(s) && *s->labels) rt_train_stream_answers(t, &spec);
    for (int h = 0; h < s->heads; h++)
        if (rt_learns_labels(&s->of[h].loss)) spec.target[h] = t->learn[h].y;
    return spec;
}

const float *rt_train_best_params(const rt_trainer *t) { return t->optimizer->ema ? t->optimizer->ema : t->params; }
const float *rt_train_best_states(const rt_trainer *t) { return t->ema_states ? t->ema_states : t->model->states; }

static void average_states(rt_trainer *t)
{
    float decay = t->optimizer->update.ema;
    for (size_t i = 0; t->ema_states && i < t->graph->floats[RT_STATE]; i++)
        t->ema_states[i] += (1.0f - decay) * (t->model->states[i] - t->ema_states[i]);
}

static void first_bad_layer(const rt_trainer *t, char *text, size_t room)
{
    const rt_graph *g = t->graph;
    for (int pass = 0; pass < 2; pass++)
        for (int i = -1; (i = rt_graph_next_field(g, RT_PARAM, i)) >= 0;) {
            const rt_field *f = &g->field[i];
            if (pass && f->grad_at == RT_NOWHERE) continue;
            const float *p = pass ? t->grads + f->grad_at : t->params + f->offset;
            for (size_t k = 0; k < f->count; k++)
                if (!isfinite(p[k])) {
                    snprintf(text, room, "first in the %s of %s", pass ? "gradient" : "weights", f->name);
                    return;
                }
        }
    snprintf(text, room, "in the forward pass, while all weights are finite");
}

static void set_loss(rt_trainer *t, int h, const rt_batch *b, const float *answers)
{
    const rt_loss_config *c = &t->set.of[h].loss;
    const rt_target_rows *y = &b->target[h];
    const rt_head *head = &t->model->head[h];
    rt_loss_batch *l = &t->learn[h].loss;
    int there = y->y || y->labels || y->values, warm = c->kind == RT_SOFT_DKD && c->warmup;
    l->partner = t->view.partner;
    l->lambda = t->view.lambda;
    l->y = y->y;
    l->labels = y->labels;
    l->values = y->values;
    l->mask = y->mask;
    l->teacher = answers && rt_learns_soft(c) ? answers + head->at : NULL;
    l->teacher_mixed = t->set.teachers > 0;
    l->hard_scale = there && c->labelled_mean ? rt_loss_labelled_scale(l, b->rows, head->size) : 1.0f;
    l->soft_scale = warm ? fminf(1.0f, (float)(b->epoch + 1) / (float)c->warmup) : 1.0f;
}

/* Views, labels and teacher's answers of the batch, for input and losses. */
static rt_status set_batch(rt_trainer *t, const rt_batch *b)
{
    rt_train_settings *s = &t->set;
    t->view.batch = b;
    t->view.partner = NULL;
    t->view.lambda = 1;
    if (s->augment.mixup > 0) {
        t->view.lambda = rt_mixup_draw(&s->augment, s->seed, b, t->partner);
        t->view.partner = t->partner;
    }
    /* The teacher in the loop sees the mixture itself, so its answers need no mixing. */
    rt_question q = {.view = rt_view_fill, .arg = &t->view, .rows = b->rows};
    if (s->teachers) RT_TRY(rt_teacher_ask(t->teacher, &q, t->answers));
    for (int i = 0; i < s->hints; i++) t->hint[i].target = rt_teacher_feature(t->teacher, i);
    for (int h = 0; h < s->heads; h++) set_loss(t, h, b, s->teachers ? t->answers : b->soft);
    return RT_OK;
}

static rt_status train_batch(rt_trainer *t, const rt_batch *b)
{
    rt_train_settings *s = &t->set;
    rt_run run = {.rows = b->rows, .params = t->params, .states = t->model->states, .grads = t->grads, .seed = s->seed,
                  .epoch = b->epoch, .step = b->step};
    RT_TRY(set_batch(t, b));
    rt_plan_run(t->plan, &run);
    double loss = 0;
    for (int i = 0; i < s->heads + s->hints; i++) loss += run.loss[i];
    if (!isfinite(loss)) {
        char where[160];
        first_bad_layer(t, where, sizeof where);
        return rt_fail(RT_RUN,
                       "training diverged: the loss is %g at epoch %u, step %u, %s; lower train.lr or set train.clip",
                       loss, b->epoch + 1, b->step + 1, where);
    }
    t->epoch_loss += loss;
    double lr = rt_learning_rate(&s->optimizer, t->done, t->total, t->steps);
    int k = s->accumulate, at = (int)(b->step % (uint32_t)k), last = at == k - 1 || b->step + 1 == t->steps;
    const float *g = t->grads;
    if (k > 1) {
        if (at == 0) memcpy(t->sum, t->grads, t->graph->grad_floats * sizeof *t->sum);
        else rt_kernels_get()->accumulate(t->sum, t->grads, t->graph->grad_floats);
        g = t->sum;
    }
    if (last) {
        rt_optimizer_step(t->optimizer, t->params, g, lr, 1.0 / (at + 1));
        average_states(t);
    }
    return RT_OK;
}

static const rt_metric *monitor(const rt_trainer *t) { return t->set.monitor; }

/* No epoch of the last train.patience was better than the best. */
static int out_of_patience(const rt_trainer *t)
{
    int epochs = cJSON_GetArraySize(t->history);
    return t->set.patience && epochs - t->best_epoch >= t->set.patience;
}

/* One line about the epoch: the first head's first metric, and the monitored one when it is another. */
static void say_epoch(const rt_trainer *t, const cJSON *e, int epoch, double value, const char *digest)
{
    char text[400];
    rt_train_column list[RT_TRAIN_COLUMNS];
    int columns = rt_train_columns(t, list), plain = rt_heads_plain(t->set.head, t->set.heads);
    int n = snprintf(text, sizeof text, "epoch %d/%d  loss %.4f", epoch, t->set.epochs, rt_train_number(e, "loss"));
    if (columns && plain)
        n += snprintf(text + n, sizeof text - (size_t)n, "  validation %.4f", rt_train_number(e, list[0].key));
    for (int i = 0; i < columns && !plain && n < 300; i++)
        if (list[i].metric == rt_metric_first(t->set.head[list[i].head].task) ||
            (list[i].metric == monitor(t) && list[i].head == t->set.monitor_head))
            n += snprintf(text + n, sizeof text - (size_t)n, "  %s %.4f", list[i].key + strlen("validation_"),
                          rt_train_number(e, list[i].key));
    if (columns && plain && monitor(t) != &rt_classes_metrics[RT_ACCURACY])
        n += snprintf(text + n, sizeof text - (size_t)n, "  %s %.4f", monitor(t)->name, value);
    if (columns) n += snprintf(text + n, sizeof text - (size_t)n, t->best_epoch == epoch ? " *" : "  ");
    snprintf(text + n, sizeof text - (size_t)n, "  digest %.16s", digest);
    rt_progress_line(t->opt->progress, text);
    if (out_of_patience(t)) {
        snprintf(text, sizeof text,
                 "%s was best in epoch %d: stopped after %d epochs without a better one (train.patience)",
                 monitor(t)->name, t->best_epoch, t->set.patience);
        rt_progress_line(t->opt->progress, text);
    }
}

/* Nothing has changed where this is interrupted: the next run begins with it. */
static rt_status end_epoch(rt_trainer *t, int epoch)
{
    double value = 0, train = t->epoch_loss / (double)t->steps;
    cJSON *e = cJSON_CreateObject();
    cJSON_AddNumberToObject(e, "epoch", epoch);
    cJSON_AddNumberToObject(e, "loss", train);
    rt_status st = t->held.count ? rt_train_validate(t, e, &value) : RT_OK;
    if (st) {
        cJSON_Delete(e);
        return st;
    }
    if (!t->held.count || epoch == 1 || (monitor(t)->higher ? value > t->best : value < t->best)) {
        t->best = value;
        t->best_epoch = epoch;
        memcpy(t->best_params, rt_train_best_params(t), t->graph->floats[RT_PARAM] * sizeof(float));
        memcpy(t->best_states, rt_train_best_states(t), t->graph->floats[RT_STATE] * sizeof(float));
    }
    rt_digest digest = rt_train_weights_digest(t);
    cJSON_AddNumberToObject(e, "lr", rt_learning_rate(&t->set.optimizer, t->done - 1, t->total, t->steps));
    cJSON_AddStringToObject(e, "digest", digest.hex);
    cJSON_AddItemToArray(t->history, e);
    say_epoch(t, e, epoch, value, digest.hex);
    t->epoch_loss = 0;
    return RT_OK;
}

static void show_progress(const rt_trainer *t, uint64_t first, double seconds)
{
    char note[64];
    double batch = t->set.batch, rate = (double)(t->done - first) * batch / seconds;
    snprintf(note, sizeof note, "epoch %d/%d loss %.4f", (int)((t->done - 1) / t->steps) + 1, t->set.epochs,
             t->epoch_loss / (double)((t->done - 1) % t->steps + 1));
    rt_progress_update(t->opt->progress, "train", (double)t->done * batch, (double)t->total * batch, rate, "samples",
                       note);
}

static rt_status take_batch(rt_trainer *t, rt_stream *stream)
{
    const rt_batch *b;
    double wait = rt_seconds();
    rt_status st = rt_stream_next(stream, &b);
    t->data_seconds += rt_seconds() - wait;
    if (!st) st = train_batch(t, b);
    if (!st) t->done++;
    return st;
}

static rt_status run_epochs(rt_trainer *t)
{
    rt_stream_spec spec = stream_spec(t);
    rt_stream *stream;
    RT_TRY(rt_stream_order_text(&spec, t->order, sizeof t->order));
    RT_TRY(rt_stream_open(&stream, &spec, t->done));
    t->steps = rt_stream_steps(stream);
    t->total = t->steps * (uint64_t)t->set.epochs;
    double start = rt_seconds(), saved = start, mark = start, before = t->seconds;
    uint64_t first = t->done;
    rt_status st = RT_OK;
    /* All of an epoch's steps are done, but it was interrupted while it was validated. */
    int open_epoch = t->done && t->done % t->steps == 0 &&
                     (uint64_t)cJSON_GetArraySize(t->history) < t->done / t->steps;
    while ((open_epoch || (t->done < t->total && !out_of_patience(t))) && !st) {
        if (!open_epoch && (st = take_batch(t, stream))) break;
        open_epoch = 0;
        double now = rt_seconds();
        t->seconds = before + now - start;
        int epoch = (int)(t->done / t->steps), ended = t->done % t->steps == 0;
        int stop = rt_stopped();
        if (now - mark > 0.2 || ended) {
            show_progress(t, first, now - start);
            mark = now;
        }
        if (ended) st = end_epoch(t, epoch);
        if (st == RT_INTERRUPTED) {
            open_epoch = stop = 1;
            st = RT_OK;
        }
        int last = t->done == t->total || out_of_patience(t),
            due = ended && (epoch % t->set.checkpoint_every == 0 || last);
        if (t->set.checkpoint_seconds && now - saved > t->set.checkpoint_seconds) due = 1;
        if (!st && (due || stop)) {
            st = rt_train_save(t);
            if (!st && ended) st = rt_train_write_metrics(t);
            saved = rt_seconds();
        }
        if (!st && stop && (open_epoch || !last))
            st = rt_fail(RT_INTERRUPTED, "interrupted after %llu of %llu steps; the same command goes on from here",
                         (unsigned long long)t->done, (unsigned long long)t->total);
    }
    rt_stream_close(stream);
    return st;
}

rt_status rt_train(cJSON *config, const rt_train_options *opt, cJSON **result)
{
    rt_trainer t = {.opt = opt, .config = config, .history = cJSON_CreateArray(), .notes = cJSON_CreateArray()};
    int done = 0, found = 0;
    *result = NULL;
    rt_status st = rt_train_settings_read(config, &t.set);
    if (!st) {
        snprintf(t.folder, sizeof t.folder, "%s/checkpoints", opt->out);
        st = rt_train_take_folder(&t);
    }
    if (!st) st = rt_train_set_up(&t); /* nothing is written before: bad data leaves nothing behind */
    if (!st) st = rt_train_content(&t);
    if (!st) {
        rt_train_config_digest(&t);
        st = rt_train_folder(&t, &done, result);
    }
    if (!st && !done) rt_train_say(&t);
    if (!st && !done) st = rt_train_load(&t, &found);
    if (!st && found) {
        char text[120];
        snprintf(text, sizeof text, "resumed at step %llu", (unsigned long long)t.done);
        rt_progress_line(opt->progress, text);
    }
    if (!st && !done) st = run_epochs(&t);
    if (!st && !done) st = rt_train_write_metrics(&t);
    if (!st && !done) st = rt_train_finish(&t, result);
    rt_train_tear_down(&t);
    return st;
}
