/* train/trainer_parts.h - what the files of the trainer share; nothing outside train/ includes it.
 *
 *   train_config.c   the settings          train_heads.c   those of each head
 *   train_data.c     sources, names, rows  train_targets.c labels, and the rows that they choose
 *   train_model.c    model, graph, plan    train_normalize.c
 *   train_folder.c   the run's folder      train_state.c   checkpoints
 *   trainer.c        batches, epochs       train_validate.c   metrics of an epoch
 *   train_quant.c    quantizers            train_settle.c  where they stand
 *   train_peer.c     two students, each the other's teacher
 *   trial.c          without a folder      train_result.c  metrics, provenance, model file, result */
#ifndef RT_TRAIN_TRAINER_PARTS_H
#define RT_TRAIN_TRAINER_PARTS_H

#include "data/identity.h"
#include "data/label_policy.h"
#include "data/mixing.h"
#include "data/row_mask.h"
#include "data/rows.h"
#include "data/run_folder.h"
#include "data/stream.h"
#include "student/metrics.h"
#include "student/model.h"
#include "student/qat_model.h"
#include "student/quant_config.h"
#include "teacher/spec.h"
#include "train/augment.h"
#include "train/loss_policy.h"
#include "train/optimizer.h"
#include "train/trainer.h"

enum { RT_MAX_HINTS = RT_MAX_LOSSES - RT_MAX_HEADS };

enum { RT_MAX_FREEZE = 64, RT_MAX_TUNED = 64 };

typedef struct { const char *student, *teacher; float weight; } rt_hint;

/* What a head learns from, as the configuration tells. */
typedef struct {
    rt_loss_config loss;
    rt_target_where where;
    int given;                     /* the configuration names the targets itself */
} rt_head_settings;

/* A head while it learns. */
typedef struct {
    rt_targets *y;                 /* NULL: it has none, or needs none */
    uint64_t labelled;             /* rows to learn from that have a target */
    uint64_t held;                 /* of several heads: validation rows that judge this one */
    int judged;                    /* validation rows have targets; else the teacher is what they are compared with */
    float *class_weight;           /* (K) of the hard loss, or NULL */
    rt_loss_batch loss;
} rt_learner;

typedef struct {
    const char *source, *labels, *hard_rows, *init;
    rt_target_where y;
    rt_x_where x;
    char *input[RT_MAX_INPUTS];    /* names of the model's; as many as heads are known: none while init is not there */
    int inputs;
    cJSON *replace;                /* heads that init gets in place of others, or NULL */
    rt_model *init_model;          /* that init names, until the run takes it; NULL: it is not there yet */
    int y_given;                   /* the configuration names y itself */
    cJSON *normalize;              /* NULL: auto */
    rt_label_policy *policy;       /* of labels; NULL: all of their rows */
    int policy_all;                /* it chooses among rows with a label of the data, too */
    const char *policy_file;       /* that tells it; NULL: none, or it stands in the configuration */
    rt_rows_config rows;
    rt_row_mask mask;
    rt_check check;
    rt_match match;
    double validation;
    rt_teacher_spec teacher;
    int teachers;                  /* a teacher is in the loop: how many files it is */
    int peer;                      /* the teacher is a second student */
    rt_head head[RT_MAX_HEADS];    /* none when init names a file that is not there yet */
    rt_head_settings of[RT_MAX_HEADS];
    int heads;
    rt_hint hint[RT_MAX_HINTS];
    int hints;
    const char *freeze[RT_MAX_FREEZE];   /* patterns of layers that are not trained */
    int frozen;
    struct {
        const char *match;
        rt_tuning to;
    } tune[RT_MAX_TUNED]; /* patterns of weights that are trained otherwise */
    int tuned;
    rt_augment augment;
    struct {
        int on;
        rt_quant_settings of;
        rt_quant_training how;
    } quant;
    rt_optimizer_config optimizer;
    const rt_metric *monitor;      /* what the best epoch is chosen by, of monitor_head */
    int monitor_head;
    int patience;                  /* epochs without a better one after which the run ends; 0: none */
    int epochs, batch, drop_last, accumulate, shuffle_window, prefetch, checkpoint_every, checkpoint_seconds, workers;
    rt_precision precision;
    uint64_t seed, init_seed;      /* init_seed: of first weights and of dropout */
} rt_train_settings;

/* How an input was normalised. */
typedef struct {
    const char *how, *why;         /* NULL: as the model of init is; why: after the words that tell how, or NULL */
    int constant;                  /* channels that are constant */
    uint64_t rows;                 /* measured on so many */
} rt_normalized;

/* Quantization-aware training. */
typedef struct {
    int bytes, *bits;              /* of the input; (nodes) of weights */
    char *learn, *range;           /* (nodes) steps are trained; (tensors) have a range */
    rt_model_qat of;               /* its mode: of the session */
    uint64_t live_from, frozen_from;   /* batches */
    int begun;                     /* these are known */
} rt_train_quant;

typedef struct rt_trainer rt_trainer;
struct rt_trainer {
    rt_train_settings set;
    const rt_train_options *opt;
    cJSON *config;
    char config_digest[33];
    cJSON *content;                /* digests of what the run comes from: x, y, labels, teacher, init, mask */
    rt_digest init_digest, mask_digest, fold_digest;
    uint64_t masked_out;           /* rows that data.mask leaves out */
    rt_sources *own_sources;       /* NULL: they are shared */
    rt_source *x;
    rt_identity *identity;         /* of x; of the sources, as x is */
    rt_digest data_digest;         /* its root */
    rt_digest part_digest[RT_SOURCE_PARTS];   /* the roots of its parts */
    rt_learner learn[RT_MAX_HEADS];
    uint64_t hard_first, hard_end;
    rt_rows train, held, test;     /* rows to learn from, for validation, and left for a test */
    uint64_t labelled;             /* of train: rows with a target of any head */
    uint64_t unlabelled_out;       /* rows left out because they have no label and there is no teacher */
    int held_of_labelled;          /* validation rows were drawn among the labelled ones of hard_rows */
    rt_normalized normalized[RT_MAX_INPUTS];
    rt_model *model;
    rt_teacher *teacher;           /* in the loop, or the label store; NULL: none */
    rt_graph *graph;               /* the model's, with projections of hints behind it */
    rt_session *session;           /* of the graph: weights, gradients, moments, averages, the best epoch's */
    rt_session_spec spec;          /* that it was made by */
    rt_train_quant quant;
    rt_predictor *validator;
    rt_stream *stream;
    rt_feed feed;                  /* of the batch in hand */
    rt_row_desc rows[RT_MAX_INPUTS];
    rt_loss_batch hint[RT_MAX_HINTS];
    int *partner;
    float *answers;                /* (B, W) of the teacher in the loop */
    double best, epoch_loss;       /* epoch_loss: the sum over the steps of the epoch in hand that have told theirs */
    uint64_t done, steps, total;   /* batches */
    uint64_t told;                 /* steps in epoch_loss */
    int ahead;                     /* steps that a device may be behind; see keep_near */
    double near;                   /* when it last was behind by none */
    uint64_t near_done;            /* and what was done then */
    uint64_t saved;                /* batches that the last checkpoint holds; 0: there is none */
    int diverged;
    int best_epoch;
    double seconds, data_seconds;
    cJSON *history;
    cJSON *notes;                  /* what was assumed or left out, for the result */
    rt_row_weights weights;        /* by data.policy, until all rows are chosen */
    rt_row_draws *draws;           /* how often rows of t->train come; NULL: each once an epoch */
    cJSON *policy;                 /* what data.policy chose (rt_label_policy_apply), or NULL */
    char folder[1100];
    rt_run_folder *run;            /* the folder, with its lock */
    char order[160];               /* of the training rows, in words */
    int mixing_known;
    rt_mixing mixing;              /* of that order, once mixing_known */
    rt_trainer *peer, *first;      /* the second student, and the second's first; NULL: there is no other */
    rt_predictor *asked;           /* answers the other's questions */
    rt_train_options peer_options;
    char peer_out[1040];
    cJSON *peer_result;            /* what the result tells of the second student */
    cJSON *finished;               /* of the second student: its result, once it is there */
};

/* ---- train_heads.c ---- */

enum { RT_LOSS_PATH = RT_HEAD_NAME + 8 };
/* "loss", or "loss.HEAD" of several heads. */
const char *rt_loss_path(const rt_train_settings *, int head, char text[RT_LOSS_PATH]);
int rt_learns_soft(const rt_loss_config *);            /* from a teacher's answers */
int rt_learns_labels(const rt_loss_config *);          /* from targets of the data */
int rt_train_soft(const rt_train_settings *), rt_train_labels(const rt_train_settings *);    /* any head does */
/* The heads, and of each what "data", "loss" and "train" tell. */
/* The model that init names, with its heads replaced. */
rt_status rt_train_load_init(rt_train_settings *, const rt_x_where *x);
rt_status rt_train_heads(cJSON *config, rt_train_settings *, rt_cfg *data, rt_cfg *loss, rt_cfg *train);

/* ---- train_config.c ---- */

/* What train.freeze and train.fields say, into the graph. */
rt_status rt_train_tune(rt_graph *, const rt_train_settings *);
/* The settings, checked as far as that goes without data; config becomes the effective configuration. */
rt_status rt_train_settings_read(cJSON *config, rt_train_settings *);
void rt_train_settings_free(rt_train_settings *);
/* Digest of what the configuration decides, without paths and without what only decides speed. */
void rt_train_config_digest(rt_trainer *);

/* ---- train_data.c ---- */

/* Teacher or label store, the source, row sets. */
rt_status rt_train_open_data(rt_trainer *);
/* Binds model, teachers and label store to the data and to each other, by names; those of a new model come from the
 * data, or from whoever labels it. */
rt_status rt_train_match_names(rt_trainer *);

/* ---- train_targets.c ---- */

/* loss.class_weight as numbers, of the labelled rows to learn from where it is "balanced". */
rt_status rt_train_weigh_classes(rt_trainer *);
/* Class labels, and with them the rows to learn from and those for validation. RT_INPUT or RT_NOTHING when the loss
 * needs labels that are not there. */
rt_status rt_train_select(rt_trainer *);

/* ---- train_normalize.c ---- */

/* data.normalize into the model: measured on the rows to learn from, or as given. */
rt_status rt_train_normalize(rt_trainer *);

/* ---- train_model.c ---- */

/* All that a run needs, in memory; no file is written. */
rt_status rt_train_set_up(rt_trainer *);
void rt_train_tear_down(rt_trainer *);

/* ---- train_state.c ---- */

rt_status rt_train_save(rt_trainer *);
/* The newest checkpoint, or, at not 0, the one of so many batches. */
rt_status rt_train_load(rt_trainer *, uint64_t at, int *found);
/* A number, or a text that holds one exactly. */
double rt_train_number(const cJSON *, const char *key);

/* ---- train_folder.c ---- */

/* Fills t->content: what the run comes from, wherever it lies. */
rt_status rt_train_content(rt_trainer *);
/* RT_USAGE, naming the part that differs, when `kept` (as rt_train_content made it then) is not what there is now. */
rt_status rt_train_same_content(const rt_trainer *, const cJSON *kept, const char *where);

/* Makes the folder and takes its lock, before anything else is looked at. RT_USAGE when an output would take the place
 * of an input; RT_RUN when another process has the lock. */
rt_status rt_train_take_folder(rt_trainer *);
/* *done 0: go on (fresh, or to resume); 1: a finished run of the same configuration and content, whose result is read.
 * RT_USAGE when the folder holds another run, or files that no run wrote. */
rt_status rt_train_folder(rt_trainer *, int *done, cJSON **result);
rt_status rt_train_write_text(rt_trainer *, const char *name, const char *text);

/* ---- trainer.c ---- */

/* At most so many epochs from where the run is (0: all that are left); with checkpoints where there is a folder. */
rt_status rt_train_epochs(rt_trainer *, int most);
/* All epochs are done, or patience is over. */
int rt_train_ended(const rt_trainer *);

/* Which of the rows' values are ids, of student and teacher. */
void rt_train_ids(const rt_trainer *, rt_stream_spec *);
/* The label store's answers with the batches. */
void rt_train_stream_answers(const rt_trainer *, rt_stream_spec *);

/* ---- train_validate.c ---- */

/* What an epoch's line tells of the validation rows: two metrics of each head, and the monitored one. */
enum { RT_TRAIN_COLUMNS = 2 * RT_MAX_HEADS + 1 };
typedef struct { char key[RT_HEAD_NAME + 48]; int head; const rt_metric *metric; } rt_train_column;
int rt_train_columns(const rt_trainer *, rt_train_column list[RT_TRAIN_COLUMNS]);    /* none without such rows */
/* RT_INPUT when the monitored metric can never be defined on the validation rows, as far as their targets tell. */
rt_status rt_train_check_monitor(rt_trainer *);
/* Adds them to the epoch's entry; *value: the monitored one. */
rt_status rt_train_validate(rt_trainer *, cJSON *epoch, double *value);

/* ---- train_quant.c: nothing is done where there is no "quant" ---- */

/* Quantizers for the training graph, which has the model's nodes alone so far. */
rt_status rt_train_quant_begin(rt_trainer *);
void rt_train_quant_free(rt_train_quant *);
/* The session that the next batch needs, or, next 0, the one that the last one had. RT_INPUT when rows do not calibrate
 * a layer. t->steps and t->total are known. */
rt_status rt_train_quant_ready(rt_trainer *, int next);
/* At the begin of an epoch: steps that are searched. */
rt_status rt_train_quant_epoch(rt_trainer *);
/* Parameters and states into the model, whose steps are made to fit them where they are not learned. */
rt_status rt_train_quant_take(rt_trainer *, const float *params, const float *states);
/* Before ranges stand: weights become their average, norms' statistics those of rt_train_quant_rows rows with them.
 * Done twice it gives the same bits. RT_RUN when the weights' answers are not finite. */
rt_status rt_train_quant_settle(rt_trainer *);
uint64_t rt_train_quant_rows(const rt_trainer *);
/* How the model got its quantizers, for its provenance. */
void rt_train_quant_describe(const rt_trainer *, cJSON *provenance);
/* The first epoch with quantizers: those before it are no candidates for the best. */
int rt_train_quant_first(const rt_trainer *, int epoch);

/* ---- train_peer.c: nothing is done where there is no second student ---- */

void rt_train_peer_read(rt_cfg *, rt_train_settings *);
/* The second student, with its settings; it is the first one's. RT_USAGE on a card. */
rt_status rt_train_peer_open(rt_trainer *);
/* Once both are set up. RT_INPUT or RT_USAGE when they have not the same heads. */
rt_status rt_train_peer_meet(rt_trainer *);
/* Each one's answers to the rows in t->feed, with the weights that they have now, into the other's `answers`. */
rt_status rt_train_peer_ask(rt_trainer *);
/* Who teaches, into the provenance. */
void rt_train_peer_tell(const rt_trainer *, cJSON *provenance);
void rt_train_peer_close(rt_trainer *);

/* ---- train_result.c ---- */

/* Lines about rows, loss and input, so that nothing is assumed in silence. */
void rt_train_say(const rt_trainer *);
/* Both files are written anew from the history, which the checkpoints hold: a resumed run has no doubled lines. */
rt_status rt_train_write_metrics(rt_trainer *);
rt_status rt_train_weights_digest(const rt_trainer *, rt_digest *);
/* The best epoch's weights into the model. */
rt_status rt_train_take_best(rt_trainer *);
/* Writes the best epoch's model and result.json. */
rt_status rt_train_finish(rt_trainer *, cJSON **result);
#endif
