/* data/x_where.h - where the rows that models read lie: in one data set, or in one for each input of a model.
 *
 * "x" of a configuration: "SET", or {"INPUT": "SET"} with {"source", "set"} in place of SET where it lies in another
 * file. Rows of several are numbered alike: row i of each belongs together. */
#ifndef RT_DATA_X_WHERE_H
#define RT_DATA_X_WHERE_H

#include "data/json.h"
#include "data/source.h"

typedef struct { const char *name, *source /* NULL: that of all */, *set; } rt_x_part;

typedef struct {
    const char *source;            /* as data/source_files.h has it */
    const char *set;               /* the one data set, unless there are parts */
    rt_x_part part[RT_SOURCE_PARTS];   /* by rising name */
    int parts;
    int given;                     /* the configuration tells */
} rt_x_where;

/* Texts belong to the configuration and the caller. */
void rt_x_where_read(rt_cfg *, const char *source, rt_x_where *);
/* Once the names of the inputs are known, of all models that read the rows: where nothing was given, and there are
 * several, each takes the set of its name, which goes into the effective configuration's object (or NULL) as "x".
 * RT_USAGE for a data set that no input takes. */
rt_status rt_x_where_settle(rt_x_where *, cJSON *object, const char *const *input, int inputs);
/* As text that is equal when both are, for the caller to free; NULL when memory is out. */
char *rt_x_where_text(const rt_x_where *);
/* Appends to a list of n files those that parts lie in; the new n. */
int rt_x_where_files(const rt_x_where *, const char **list, int n);
/* The shape of a row of what an input reads, before its data set is opened for good: of `input` among `several` inputs,
 * or of the only one. *set is its name, *path that of its file, both as long as w. RT_INPUT as rt_source_open. */
rt_status rt_x_where_shape(const rt_x_where *w, const char *input, int several, rt_shape *, const char **path,
                           const char **set);
/* RT_INPUT as rt_source_open and rt_source_join have it. */
rt_status rt_x_open(rt_source **, const rt_x_where *);
#endif
