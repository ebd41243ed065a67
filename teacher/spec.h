/* teacher/spec.h - what a configuration says of a teacher: files, or an object that tells its kind.
 *
 * "model.h5" (a model, or a label store), ["a.h5", "b.h5"] (an ensemble of models), or a specification:
 *   {"file": "model.h5", ...}                          a model or a label store (teacher/teacher.c)
 *   {"command": [...], "version": "...", ...}          a program that answers on a pipe (teacher/process.c)
 *   {"from": "logits.npy", "gives": ..., ...}          answers that were made elsewhere (teacher/given.c)
 *   {"mix": "probabilities"|"logits"|"best", "teachers": [...], ...}    several of any kind (teacher/mix.c)
 * A specification may stand in a file of its own, NAME.json, or as text that begins with '{': both are replaced by the
 * object, so that the configuration that is in effect tells all. A list with a specification in it is the mix of its
 * members' probabilities. Files are those of the working folder, as in all of a configuration. */
#ifndef RT_TEACHER_SPEC_H
#define RT_TEACHER_SPEC_H

#include "data/json.h"
#include "teacher/teacher.h"

typedef struct {
    cJSON *object;                             /* NULL: the files are all there is to say */
    const char *path[RT_TEACHER_FILES];        /* files that it is made of, the one that it is called by first */
    int paths;                                 /* 0: nothing was said */
} rt_teacher_spec;

/* Of models, or of one label store; the texts are borrowed, as all texts of a specification are. */
rt_teacher_spec rt_teacher_of_files(const char *const *path, int count);
/* Reads a key, which may be absent, and checks the keys of its specification; opens nothing but NAME.json. what: what
 * is expected there, for messages. */
rt_teacher_spec rt_teacher_spec_read(rt_cfg *, const char *key, const char *what);
/* The same of an element of the key's list. */
rt_teacher_spec rt_teacher_spec_take(rt_cfg *, const char *key, const char *what, cJSON *list, cJSON *element);
/* Puts the object in the place of NAME.json and of text in object.key, or in each element of its list; nothing is
 * checked. RT_INPUT or RT_USAGE for what is no object. */
rt_status rt_teacher_spec_unfold(cJSON *object, const char *key);
/* Appends the files that are named in a specification, or in any value that stands for a teacher, to a list of n; the
 * new n, at most `most`. A command's arguments count where such a file is there. */
int rt_teacher_spec_files(const cJSON *value, const char **list, int n, int most);
rt_status rt_teacher_open_spec(rt_teacher **, const rt_teacher_spec *, const rt_x_where *x);
#endif
