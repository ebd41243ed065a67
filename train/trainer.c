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

void rt_train_ids(const rt_trainer *t, rt_stream_spec *spec)
{
    rt_inputs_ids(t->model->input, t->model->inputs, t->x, spec->ids);
    if (t->teacher) rt_teacher_ids(t->teacher, t->x, spec->ids);
}

static rt_stream_spec stream_spec(const rt_trainer *t)
{
    const rt_train_settings *s = &t->set;
    rt_stream_spec spec = {.x = t->x,
                           .heads = s->heads,
                           .rows = &t->train,
                           .draws = t->draws,
                           .width = rt_model_width(t->model),
                           .batch = s->batch,
                           .keep_tail = !s->drop_last,
                           .shuffle = 1,
                           .window = s->shuffle_window,
                           .seed = s->seed,
                           .prefetch = s->prefetch,
                           .threads = s->workers};
    rt_train_ids(t, &spec);
    if (rt_train_soft(s) && *s->labels) rt_train_stream_answers(t, &spec);
    if (s->augment.kept) spec.views = s->augment.views;
    for (int h = 0; h < s->heads; h++)
        if (rt_learns_labels(&s->of[h].loss)) spec.target[h] = t->learn[h].y;
    return spec;
}

static void set_loss(rt_trainer *t, int h, const rt_batch *b, const float *answers)
{
    const rt_loss_config *c = &t->set.of[h].loss;
    const rt_target_rows *y = &b->target[h];
    const rt_head *head = &t->model->head[h];
    rt_loss_batch *l = &t->learn[h].loss;
    int there = y->y || y->labels || y->values, warm = c->desc.kind == RT_SOFT_DKD && c->warmup;
    l->partner = t->feed.partner;
    l->lambda = t->feed.lambda;
    l->y = y->y;
    l->labels = y->labels;
    l->values = y->values;
    l->mask = y->mask;
    l->teacher = answers && rt_learns_soft(c) ? answers + head->at : NULL;
    l->teacher_mixed = t->set.teachers > 0 || t->set.peer;
    l->hard_scale = there && c->labelled_mean ? rt_loss_labelled_scale(l, b->rows, head->size) : 1.0f;
    l->soft_scale = warm ? fminf(1.0f, (float)(b->epoch + 1) / (float)c->warmup) : 1.0f;
}

/* Views, labels and teacher's answers of the batch, for input and losses. */
static rt_status set_batch(rt_trainer *t, const rt_batch *b)
{
    rt_train_settings *s = &t->set;
    const rt_view_desc *v = &s->augment.view;
    int moves = rt_view_is_on(v);                         /* rows as they are take shorter ways */
    uint32_t views = (uint32_t)s->augment.views;
    t->feed = (rt_feed){.raw = b->x, .rows = b->rows, .row = b->row, .view = moves ? v : NULL,
                        .seed = s->augment.seed, .epoch = views ? b->epoch % views : b->epoch, .lambda = 1};
    if (s->augment.mixup > 0) {
        t->feed.lambda = rt_mixup_draw(&s->augment, s->seed, b, t->partner);
        t->feed.partner = t->partner;
    }
    /* The teacher in the loop sees the mixture itself, so its answers need no mixing. */
    if (s->teachers) RT_TRY(rt_teacher_ask(t->teacher, &t->feed, t->answers));
    else if (s->hints) RT_TRY(rt_teacher_recall(t->teacher, rt_augment_view(&s->augment, b->epoch), b->row,
                                                b->rows));
    for (int i = 0; i < s->hints; i++) t->hint[i].values = rt_teacher_feature(t->teacher, i);
    if (t->peer) {
        RT_TRY(rt_train_peer_ask(t));
        t->peer->feed = t->feed;
        for (int h = 0; h < s->heads; h++) set_loss(t->peer, h, b, t->peer->answers);
    }
    for (int h = 0; h < s->heads; h++) set_loss(t, h, b, s->teachers || s->peer ? t->answers : b->soft);
    return RT_OK;
}

/* Losses of steps that are done, in their order; with wait, of all. */
static rt_status collect(rt_trainer *t, int wait)
{
    rt_step_result r[RT_QUEUE];
    int n;
    do {
        RT_TRY(rt_session_results(t->session, wait, r, RT_QUEUE, &n));
        for (int i = 0; i < n; i++) {
            char where[300];
            t->epoch_loss += r[i].total;
            t->told++;
            if (!r[i].bad) continue;
            t->diverged = 1;
            rt_session_find_bad(t->session, where, sizeof where);
            return rt_fail(RT_RUN, "training diverged: the loss is %g at epoch %u, step %u, %s; lower train.lr or set "
                           "train.clip", isnan(r[i].total) ? (double)NAN : r[i].total, r[i].epoch + 1, r[i].step + 1,
                           where);
        }
    } while (n);
    return RT_OK;
}

/* A device is let no further behind than about a quarter of a second, so that a run which is asked to stop does so
 * within one: it is waited for after so many steps as took that long when it was last waited for. Of fast steps a queue
 * of the device's bounds them. */
static rt_status keep_near(rt_trainer *t)
{
    static const double most = 0.25;
    uint64_t given = t->done % t->steps + 1;
    if (t->ahead == RT_QUEUE || given < t->told + (uint64_t)t->ahead) return RT_OK;
    RT_TRY(collect(t, 1));
    double now = rt_seconds(), can = most * (double)(t->done + 1 - t->near_done) / (now - t->near + 1e-9);
    t->ahead = can >= RT_QUEUE ? RT_QUEUE : can < 1 ? 1 : (int)can;
    t->near = now;
    t->near_done = t->done + 1;
    return RT_OK;
}

/* A step of one student, whose feed and losses are set. */
static rt_status train_batch(rt_trainer *t, const rt_batch *b)
{
    rt_train_settings *s = &t->set;
    int k = s->accumulate, at = (int)(b->step % (uint32_t)k);
    rt_step step = {.rows = b->rows,
                    .feed = &t->feed,
                    .seed = s->init_seed,
                    .epoch = b->epoch,
                    .step = b->step,
                    .first = at == 0,
                    .last = at == k - 1 || b->step + 1 == t->steps,
                    .summed = at + 1,
                    .lr = rt_learning_rate(&s->optimizer, t->done, t->total, t->steps)};
    RT_TRY(rt_session_step(t->session, &step));
    RT_TRY(collect(t, 0));
    RT_TRY(keep_near(t));
    t->done++;
    return RT_OK;
}

static const rt_metric *monitor(const rt_trainer *t) { return t->set.monitor; }

/* No epoch of the last train.patience was better than the best, nor one of the other student's. */
static int out_of_patience(const rt_trainer *t)
{
    if (t->peer && !out_of_patience(t->peer)) return 0;
    int epochs = cJSON_GetArraySize(t->history);
    return t->set.patience && epochs - t->best_epoch >= t->set.patience &&
           (!t->set.quant.on || epochs > t->set.quant.how.warmup);
}

/* One line about the epoch: the first head's first metric, and the monitored one when it is another. */
static void say_epoch(const rt_trainer *t, const cJSON *e, int epoch, double value, const char *digest)
{
    char text[400];
    rt_train_column list[RT_TRAIN_COLUMNS];
    int columns = rt_train_columns(t, list), plain = rt_heads_plain(t->set.head, t->set.heads);
    int n = snprintf(text, sizeof text, "%sepoch %d/%d  loss %.4f", t->first ? "peer:  " : "", epoch, t->set.epochs,
                     rt_train_number(e, "loss"));
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
    if (!t->first && out_of_patience(t)) {
        snprintf(text, sizeof text,
                 "%s was best in epoch %d: stopped after %d epochs without a better one (train.patience)",
                 monitor(t)->name, t->best_epoch, t->set.patience);
        rt_progress_line(t->opt->progress, text);
    }
}

/* Nothing has changed where this is interrupted: the next run begins with it. */
static rt_status end_epoch(rt_trainer *t, int epoch)
{
    if (t->peer && cJSON_GetArraySize(t->peer->history) < epoch) RT_TRY(end_epoch(t->peer, epoch));
    double value = 0, train = t->epoch_loss / (double)t->steps;
    cJSON *e = cJSON_CreateObject();
    cJSON_AddNumberToObject(e, "epoch", epoch);
    cJSON_AddNumberToObject(e, "loss", train);
    rt_status st = t->held.count ? rt_train_validate(t, e, &value) : RT_OK;
    if (st) {
        cJSON_Delete(e);
        return st;
    }
    if (!t->held.count || epoch == 1 || rt_train_quant_first(t, epoch) ||
        (monitor(t)->higher ? value > t->best : value < t->best)) {
        t->best = value;
        t->best_epoch = epoch;
        if (!st) st = rt_session_keep(t->session);
    }
    rt_digest digest;
    if (!st) st = rt_train_weights_digest(t, &digest);
    if (st) {
        cJSON_Delete(e);
        return st;
    }
    cJSON_AddNumberToObject(e, "lr", rt_learning_rate(&t->set.optimizer, t->done - 1, t->total, t->steps));
    cJSON_AddStringToObject(e, "digest", digest.hex);
    cJSON_AddItemToArray(t->history, e);
    say_epoch(t, e, epoch, value, digest.hex);
    t->epoch_loss = 0;
    t->told = 0;
    return RT_OK;
}

static void show_progress(const rt_trainer *t, uint64_t first, double seconds)
{
    char note[64];
    double batch = t->set.batch, rate = (double)(t->done - first) * batch / seconds;
    int n = snprintf(note, sizeof note, "epoch %d/%d", (int)((t->done - 1) / t->steps) + 1, t->set.epochs);
    if (t->told) snprintf(note + n, sizeof note - (size_t)n, " loss %.4f", t->epoch_loss / (double)t->told);
    rt_progress_update(t->opt->progress, "train", (double)t->done * batch, (double)t->total * batch, rate, "samples",
                       note);
}

static rt_status take_batch(rt_trainer *t, rt_stream *stream)
{
    const rt_batch *b;
    RT_TRY(rt_train_quant_ready(t, 1));
    RT_TRY(rt_train_quant_epoch(t));
    double wait = rt_seconds();
    rt_status st = rt_stream_next(stream, &b);
    t->data_seconds += rt_seconds() - wait;
    if (!st) st = set_batch(t, b);
    if (!st && t->peer) st = train_batch(t->peer, b);
    return st ? st : train_batch(t, b);
}

/* The second student's checkpoint is there before the first one's. */
static rt_status save_all(rt_trainer *t)
{
    if (t->peer) RT_TRY(rt_train_save(t->peer));
    return rt_train_save(t);
}

/* The step failed, by its rows or by its teacher, while a device is behind: what was wrong in a step before it comes
 * first. */
static rt_status steps_before(rt_trainer *t, rt_status st)
{
    char message[1024];
    if (!t->session || t->diverged || st == RT_INTERRUPTED) return st;
    snprintf(message, sizeof message, "%s", rt_error_message());
    rt_status before = collect(t, 1);
    return before && t->diverged ? before : rt_fail(st, "%s", message);
}

/* A card that fails does not take back what is on disk. */
static rt_status say_kept(const rt_trainer *t, rt_status st)
{
    char message[1024];
    if (st != RT_RUN || t->diverged || !t->run || rt_device_is_cpu(t->opt->device)) return st;
    snprintf(message, sizeof message, "%s", rt_error_message());
    if (!t->saved) return rt_fail(st, "%s; there is no checkpoint yet: the same command begins anew", message);
    return rt_fail(st, "%s; the last checkpoint is %s/checkpoint-%08llu.h5: the same command goes on from there",
                   message, t->folder, (unsigned long long)t->saved);
}

/* A teacher was interrupted before it answered: the step is done when the run goes on. */
static rt_status keep_interrupted(rt_trainer *t)
{
    RT_TRY(collect(t, 1));
    if (t->run && t->done) RT_TRY(save_all(t));
    return rt_fail(RT_INTERRUPTED, "interrupted after %llu of %llu steps; the same command goes on from here",
                   (unsigned long long)t->done, (unsigned long long)t->total);
}

int rt_train_ended(const rt_trainer *t)
{
    return t->total && (t->done == t->total || out_of_patience(t)) &&
           (uint64_t)cJSON_GetArraySize(t->history) * t->steps >= t->done;
}

/* The second student begins where the first one does. */
static void begin_peer(rt_trainer *t)
{
    rt_trainer *p = t->peer;
    p->steps = t->steps;
    p->total = t->total;
    p->ahead = t->ahead;
    p->near = t->near;
    p->near_done = t->near_done;
    p->told = cJSON_GetArraySize(p->history) < (int)(p->done / p->steps) ? p->steps : p->done % p->steps;
    snprintf(p->order, sizeof p->order, "%s", t->order);
}

/* What an order that is no full permutation is worth, once a run. */
static rt_status tell_mixing(rt_trainer *t, const rt_stream_spec *spec)
{
    const rt_targets *y = NULL;
    char text[RT_MIXING_TEXT], line[RT_MIXING_TEXT + 240];
    if (t->mixing_known) return RT_OK;
    for (int h = 0; h < t->set.heads && !y; h++)
        if (t->set.head[h].task == RT_TASK_CLASSES) y = t->learn[h].y;
    RT_TRY(rt_mixing_of(&t->mixing, spec, y));
    t->mixing_known = 1;
    if (!t->mixing.measured) return RT_OK;
    rt_mixing_text(&t->mixing, text);
    snprintf(line, sizeof line, "order: %s: %s", t->order, text);
    rt_progress_line(t->opt->progress, line);
    if (!(t->mixing.class_runs < RT_MIXING_LOW)) return RT_OK;
    snprintf(line, sizeof line,
             "rows of a class lie together, and these windows mix them little: classes change %.3g times as "
             "often as in a full permutation; a larger train.shuffle_window, or data that was mixed once, helps",
             t->mixing.class_runs);
    cJSON_AddItemToArray(t->notes, cJSON_CreateString(line));
    return RT_OK;
}

rt_status rt_train_epochs(rt_trainer *t, int most)
{
    rt_stream_spec spec = stream_spec(t);
    rt_stream *stream;
    RT_TRY(rt_stream_order_text(&spec, t->order, sizeof t->order));
    RT_TRY(tell_mixing(t, &spec));
    RT_TRY(rt_stream_open(&stream, &spec, t->done));
    t->steps = rt_stream_steps(stream);
    t->total = t->steps * (uint64_t)t->set.epochs;
    uint64_t until = most ? (t->done / t->steps + (uint64_t)most) * t->steps : t->total;
    if (until > t->total) until = t->total;
    double start = rt_seconds(), saved = start, mark = start, before = t->seconds;
    uint64_t first = t->done;
    if (!t->ahead) t->ahead = 1;
    t->near = start;
    t->near_done = first;
    rt_status st = rt_train_quant_ready(t, 0);
    /* All of an epoch's steps are done, but it was interrupted while it was validated. */
    int open_epoch = t->done && t->done % t->steps == 0 &&
                     (uint64_t)cJSON_GetArraySize(t->history) < t->done / t->steps;
    t->told = open_epoch ? t->steps : t->done % t->steps;
    if (t->peer) begin_peer(t);
    while ((open_epoch || (t->done < until && !out_of_patience(t))) && !st) {
        if (!open_epoch && (st = take_batch(t, stream))) {
            st = st == RT_INTERRUPTED ? keep_interrupted(t) : steps_before(t, st);
            break;
        }
        open_epoch = 0;
        double now = rt_seconds();
        t->seconds = before + now - start;
        int epoch = (int)(t->done / t->steps), ended = t->done % t->steps == 0;
        int stop = rt_stopped();
        if (ended || stop || (t->set.checkpoint_seconds && now - saved > t->set.checkpoint_seconds)) {
            if ((st = collect(t, 1)) || (t->peer && (st = collect(t->peer, 1)))) break;
            now = rt_seconds();
            t->seconds = before + now - start;
        }
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
        if (!st && (due || stop) && t->run) {
            st = save_all(t);
            if (!st && ended && t->peer) st = rt_train_write_metrics(t->peer);
            if (!st && ended) st = rt_train_write_metrics(t);
            saved = rt_seconds();
        }
        if (!st && stop && (open_epoch || !last))
            st = rt_fail(RT_INTERRUPTED, "interrupted after %llu of %llu steps; the same command goes on from here",
                         (unsigned long long)t->done, (unsigned long long)t->total);
    }
    rt_stream_close(stream);
    return say_kept(t, st);
}

/* Both students' set-up: settings are read. Nothing is written but the folders with their locks. */
static rt_status set_up(rt_trainer *t)
{
    snprintf(t->folder, sizeof t->folder, "%s/checkpoints", t->opt->out);
    RT_TRY(rt_train_take_folder(t));
    RT_TRY(rt_train_set_up(t)); /* nothing is written before: bad data leaves nothing behind */
    rt_train_config_digest(t);
    return RT_OK;
}

/* Where the run is: at its last checkpoint. The second student's is the one of the same batches. */
static rt_status load(rt_trainer *t)
{
    char text[120];
    int found;
    RT_TRY(rt_train_load(t, 0, &found));
    if (!found) return RT_OK;
    if (t->peer && !t->peer->finished) RT_TRY(rt_train_load(t->peer, t->done, &found));
    snprintf(text, sizeof text, "resumed at step %llu", (unsigned long long)t->done);
    rt_progress_line(t->opt->progress, text);
    return RT_OK;
}

/* The second student's model and result, and of it what the first one's tells. */
static rt_status finish_peer(rt_trainer *t)
{
    static const char *const tells[] = {"model", "digest", "best_epoch", "parameters"};
    rt_trainer *p = t->peer;
    cJSON *r = p->finished;
    p->seconds = t->seconds;
    if (!r) {
        RT_TRY(rt_train_write_metrics(p));
        RT_TRY(rt_train_finish(p, &r));
        p->finished = r;
    }
    t->peer_result = cJSON_CreateObject();
    for (size_t i = 0; i < sizeof tells / sizeof tells[0]; i++)
        cJSON_AddItemToObject(t->peer_result, tells[i],
                              cJSON_Duplicate(cJSON_GetObjectItemCaseSensitive(r, tells[i]), 1));
    for (const cJSON *k = r->child; k; k = k->next)
        if (!strncmp(k->string, "validation", 10) && cJSON_IsNumber(k))
            cJSON_AddItemToObject(t->peer_result, k->string, cJSON_Duplicate(k, 0));
    return RT_OK;
}

rt_status rt_train(cJSON *config, const rt_train_options *opt, cJSON **result)
{
    rt_trainer t = {.opt = opt, .config = config, .history = cJSON_CreateArray(), .notes = cJSON_CreateArray()};
    int done = 0, peer_done = 0;
    *result = NULL;
    rt_status st = rt_train_settings_read(config, &t.set);
    if (!st) st = rt_train_peer_open(&t);
    if (!st) st = set_up(&t);
    if (!st && t.peer) st = set_up(t.peer);
    if (!st) st = rt_train_peer_meet(&t);
    if (!st) st = rt_train_content(&t);
    if (!st && t.peer) st = rt_train_content(t.peer);
    if (!st) st = rt_train_folder(&t, &done, result);
    if (!st && !done && t.peer) st = rt_train_folder(t.peer, &peer_done, &t.peer->finished);
    if (!st && !done) rt_train_say(&t);
    if (!st && !done) st = load(&t);
    if (!st && !done) st = rt_train_epochs(&t, 0);
    if (!st && !done && t.peer) st = finish_peer(&t);
    if (!st && !done) st = rt_train_write_metrics(&t);
    if (!st && !done) st = rt_train_finish(&t, result);
    rt_train_tear_down(&t);
    return st;
}
