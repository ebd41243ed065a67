/* teacher/teacher.h - whatever answers rows: a model, an ensemble of models, a label store, a program, a file of
 * answers, a mixture. Who trains, labels, evaluates and exports knows no other kind; a new one is a table of functions
 * (teacher/teacher_parts.h), and a row in teacher/spec.c where a specification tells it.
 *
 * A teacher is opened, bound to a source, made ready, and asked. Answers are (W) floats a row, head by head
 * (data/heads.h), of the teacher's own heads until rt_teacher_answer_as asks for others. */
#ifndef RT_TEACHER_TEACHER_H
#define RT_TEACHER_TEACHER_H

#include "data/heads.h"
#include "data/identity.h"
#include "data/labels.h"
#include "data/rows.h"
#include "data/x_where.h"
#include "student/predictor.h"

typedef struct rt_teacher rt_teacher;

enum { RT_TEACHER_MODELS = 16 /* of an ensemble */, RT_TEACHER_FILES = 64 };

typedef enum {
    RT_TEACHER_COMPUTES = 1,           /* answers any view of any row: rt_teacher_ask */
    RT_TEACHER_KEEPS = 2,              /* has the answers to some rows, by their number: rt_teacher_kept */
    RT_TEACHER_ROWS = 8,               /* answers rows of the source, which must tell their numbers, and no views */
    RT_TEACHER_TIMED = 4               /* computes in this process, so that clocks tell what a call costs */
} rt_teacher_can;

/* One file, or several models as an ensemble; the kind is told by the content. RT_INPUT when a file is neither a model
 * nor a label store, RT_USAGE when several make no ensemble. x: where the rows lie that it will be asked about, for a
 * model that leaves their shape open; NULL where there are none. It outlives the teacher. */
rt_status rt_teacher_open(rt_teacher **, const char *const *path, int count, const rt_x_where *x);
/* Another teacher over the same models or store, which must outlive it: with its own plans and order of heads. */
rt_status rt_teacher_twin(rt_teacher **, const rt_teacher *);
void rt_teacher_close(rt_teacher *);

unsigned rt_teacher_abilities(const rt_teacher *);
const char *rt_teacher_path(const rt_teacher *);       /* of its first file, for messages */
/* Its files as they lie in folders, at most `most`; how many. */
int rt_teacher_files(const rt_teacher *, const char **list, int most);
const rt_head *rt_teacher_heads(const rt_teacher *, int *count);
const rt_names *rt_teacher_columns(const rt_teacher *);        /* of a single input; without names where it has none */
/* Appends the names of its inputs to a list of n, as far as they are not in it; the new n. */
int rt_teacher_inputs(const rt_teacher *, const char *name[RT_SOURCE_PARTS], int n);
/* rt_inputs_ids of its inputs. */
void rt_teacher_ids(const rt_teacher *, const rt_source *, int ids[RT_SOURCE_PARTS]);
/* Of its content: models in order, or a store's rows and what they are of. */
rt_status rt_teacher_digest(const rt_teacher *, rt_digest *);
/* Names of heads, classes and columns, of all members. */
void rt_teacher_hash_names(const rt_teacher *, rt_hasher *);
/* Appends what it, and all that it comes from, has seen to a list (data/provenance.h); `by`: "teacher" or "labels". */
rt_status rt_teacher_seen(const rt_teacher *, cJSON *seen);
/* The provenance of each member, NULL after the last. */
const cJSON *rt_teacher_provenance(const rt_teacher *, int member);
/* How a student's provenance names it: "teacher_digest", or "labels" with the store's manifest; what rt_teacher_tell
 * tells under "teacher". */
rt_status rt_teacher_describe(const rt_teacher *, cJSON *provenance);
const char *rt_teacher_kind_name(const rt_teacher *);          /* "model", "label store", "process", ... */
/* What its answers depend on, beside the content of its models, and what was chosen; of several models "members", the
 * digest of each; of one, and of stores, nothing. */
rt_status rt_teacher_tell(const rt_teacher *, cJSON *into);

/* What a call needs; of a store all are 0. */
typedef struct {
    double parameters, macs, weight_bytes, file_bytes, plan_bytes;
    double program_bytes;              /* files of the integer programs of quantized models */
} rt_teacher_cost;
rt_teacher_cost rt_teacher_costs(const rt_teacher *);
/* Native models in it; what others answer does not depend on our kernels. */
int rt_teacher_models(const rt_teacher *);
/* The native models that it is, one or an ensemble, for who looks inside of them; NULL: it is something else. */
rt_model *const *rt_teacher_native(const rt_teacher *, int *count);
/* How many of its models are quantized, and answer by integers. */
int rt_teacher_quantized(const rt_teacher *);

/* Rows of this source are what is asked about. Of a store they must be those that it is of (id; rows are hashed where
 * they are not known). notes: a list that gets what the user must know, or NULL. */
typedef struct {
    const rt_source *source;
    rt_identity *id;                   /* of the source; NULL: models alone can be bound */
    rt_match match;
    int marks;                         /* answers that are not finite are looked at by who asks, and are no error */
    rt_device *device;
    const rt_progress *progress;
    cJSON *notes;
} rt_teacher_binding;
rt_status rt_teacher_bind(rt_teacher *, const rt_teacher_binding *);
/* From now on answers are given for these heads; rt_predictor_set_heads. */
rt_status rt_teacher_answer_as(rt_teacher *, const rt_head *, int count, const char *of, rt_match);
/* Plans for asking: micro-batches of `micro` rows (0: chosen by the architecture), with features (layers of a single
 * model) beside the answers. Of a store nothing is to be made ready. RT_USAGE where there are no such features. */
rt_status rt_teacher_ready(rt_teacher *, rt_device *, int micro, const char *const *feature, int features);
/* The layer whose output the last layer with weights of its first head reads: what a single float model knows of a row
 * before it answers. NULL: there is none, as of other kinds, of ensembles and of quantized models. */
const char *rt_teacher_last_features(const rt_teacher *);
/* Shape of a layer's output. RT_USAGE when it has no layer of this name, or no features at all. */
rt_status rt_teacher_feature_shape(const rt_teacher *, const char *layer, rt_shape *);

/* Whether it can be asked about such views of rows, whose input is set where the teacher has several (rt_view_check).
 * RT_USAGE when it answers rows alone, or none of its inputs is an image. Of a teacher that is bound. */
rt_status rt_teacher_check_view(const rt_teacher *, rt_view_desc *);
/* answers (rows, W) to rows of the source; a store answers by their numbers alone, and to no views of them. RT_INPUT
 * for a row that a store does not cover or has no label for. One thread at a time. */
rt_status rt_teacher_ask(rt_teacher *, const rt_feed *, float *answers);
int rt_teacher_micro(const rt_teacher *);              /* rows of a micro-batch; 0: any */
/* Feature i of the last rt_teacher_ask, when its rows fitted one micro-batch. */
const float *rt_teacher_feature(const rt_teacher *, int i);

/* ---- of teachers that keep answers ---- */

/* rt_stream_spec.answers: thread-safe; arg is the teacher. */
rt_status rt_teacher_kept(void *teacher, int view, const uint64_t *row, int n, float *answers);
/* The views of each row that it keeps answers to, too; NULL: it keeps none. They belong to it. */
const rt_label_views *rt_teacher_views(const rt_teacher *);
/* Rows [*first, *end) of the source are covered; all of them by a teacher that computes. */
void rt_teacher_covers(const rt_teacher *, uint64_t *first, uint64_t *end);
/* Names of the features that it keeps are ready: from now on rt_teacher_recall makes those of rows what
 * rt_teacher_feature tells, in this order. RT_USAGE when it keeps no such feature; most: rows at a time. */
rt_status rt_teacher_recall_ready(rt_teacher *, const char *const *feature, int features, int most);
rt_status rt_teacher_recall(rt_teacher *, int view, const uint64_t *row, int n);
/* Takes rows without an answer out of the set. */
rt_status rt_teacher_remove_unanswered(rt_teacher *, rt_rows *, uint64_t *removed);
/* How many classes of a head it keeps; all: the head's size. */
int rt_teacher_top(const rt_teacher *, int head);
#endif
