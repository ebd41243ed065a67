/* teacher/teacher_parts.h - what a kind of teacher is made of; nothing outside teacher/ includes it. */
#ifndef RT_TEACHER_TEACHER_PARTS_H
#define RT_TEACHER_TEACHER_PARTS_H

#include "data/json.h"
#include "teacher/spec.h"
#include "teacher/teacher.h"

/* Functions as teacher.h tells of them; NULL where the kind has no such thing. */
typedef struct {
    const char *name;
    unsigned can;
    void (*close)(rt_teacher *);
    int (*files)(const rt_teacher *, const char **list, int n, int most); /* appends those that path does not name */
    rt_status (*twin)(rt_teacher **, const rt_teacher *);
    const rt_head *(*heads)(const rt_teacher *, int *count);
    const rt_names *(*columns)(const rt_teacher *);
    int (*inputs)(const rt_teacher *, const char *name[RT_SOURCE_PARTS], int n);
    void (*ids)(const rt_teacher *, const rt_source *, int ids[RT_SOURCE_PARTS]);
    rt_status (*digest)(const rt_teacher *, rt_digest *);
    void (*hash_names)(const rt_teacher *, rt_hasher *);
    rt_status (*seen)(const rt_teacher *, cJSON *);
    const cJSON *(*provenance)(const rt_teacher *, int);
    rt_status (*describe)(const rt_teacher *, cJSON *);
    rt_teacher_cost (*costs)(const rt_teacher *);
    int (*models)(const rt_teacher *);
    rt_model *const *(*native)(const rt_teacher *, int *);
    int (*quantized)(const rt_teacher *);
    rt_status (*tell)(const rt_teacher *, cJSON *);
    rt_status (*bind)(rt_teacher *, const rt_teacher_binding *);
    rt_status (*answer_as)(rt_teacher *, const rt_head *, int, const char *, rt_match);
    rt_status (*ready)(rt_teacher *, rt_device *, int, const char *const *, int);
    const char *(*last_features)(const rt_teacher *);
    rt_status (*feature_shape)(const rt_teacher *, const char *, rt_shape *);
    rt_status (*ask)(rt_teacher *, const rt_feed *, float *);
    int (*micro)(const rt_teacher *);
    const float *(*feature)(const rt_teacher *, int);
    rt_status (*check_view)(const rt_teacher *, rt_view_desc *);
    rt_status (*kept)(rt_teacher *, int view, const uint64_t *, int, float *);
    const rt_label_views *(*views)(const rt_teacher *);
    rt_status (*recall_ready)(rt_teacher *, const char *const *, int, int);
    rt_status (*recall)(rt_teacher *, int view, const uint64_t *, int);
    void (*covers)(const rt_teacher *, uint64_t *, uint64_t *);
    rt_status (*remove_unanswered)(rt_teacher *, rt_rows *, uint64_t *);
    int (*top)(const rt_teacher *, int);
} rt_teacher_kind;

struct rt_teacher {
    const rt_teacher_kind *kind;
    unsigned can;                                      /* in place of the kind's, where it is not 0 */
    const char *path[RT_TEACHER_FILES];                /* borrowed */
    int files;
};

/* Reads the keys of a specification (teacher/spec.h), all of them, to rt_cfg_end; then, unless out is NULL, opens the
 * teacher. Texts belong to the configuration, which outlives it. The caller sets its path. */
typedef rt_status rt_teacher_from_spec(rt_teacher **out, rt_cfg *, const rt_x_where *x);
/* Of any kind: the one place where a specification becomes a teacher. */
rt_teacher_from_spec rt_teacher_read_object;
rt_teacher_from_spec rt_teacher_read_file;             /* teacher/teacher.c */
rt_teacher_from_spec rt_teacher_read_process;
rt_teacher_from_spec rt_teacher_read_given;
rt_teacher_from_spec rt_teacher_read_mix;
/* An element of a list as an object: text and files as rt_teacher_spec_unfold has them, a model's file as {"file"}. */
rt_status rt_teacher_spec_member(cJSON *list, cJSON **element);

/* "classes" (names, or how many) or "heads" of a specification; of: for messages, borrowed by no one. The heads are for
 * the caller to free, also after an error. */
rt_status rt_teacher_read_heads(rt_cfg *, rt_head head[RT_MAX_HEADS], int *heads, const char *of);
/* For kinds that keep the heads that they were asked for: where those, their number, the width of an answer and the
 * places of the teacher's own elements in it are kept. */
typedef struct { rt_head *head; int *heads, *width, **place; } rt_teacher_asked;
/* The answer_as of such a kind: matches its own heads (`of` names it) with those asked for, and keeps these in place of
 * the ones before, which stay on an error. */
rt_status rt_teacher_keep_asked(rt_teacher_asked, const rt_head *own, int owned, const char *of, const rt_head *,
                                int count, const char *asks, rt_match);

/* RT_INPUT, with both lists, when the data names classes that the teacher's only head of classes lacks: for kinds whose
 * names were given by hand. */
rt_status rt_teacher_check_classes(const rt_teacher *, const rt_teacher_binding *);

rt_status rt_teacher_open_models(rt_teacher **, const char *const *path, int count, const rt_x_where *x);
/* One ONNX file, of which the binding (student/onnx/onnx_import.h) tells what it takes and answers. */
rt_status rt_teacher_open_bound(rt_teacher **, const char *path, const cJSON *binding, const rt_x_where *x);
rt_status rt_teacher_open_store(rt_teacher **, const char *path);
#endif
