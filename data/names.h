/* data/names.h - names of classes and of columns, and how lists of them are matched.
 *
 * A data file keeps them in its manifest (JSON text): "classes", the name of label 0, 1, ..., and "columns", the
 * name of each element of a row of x. Models and label stores keep the lists that they were made with. Names are
 * equal when their UTF-8 bytes are equal. Where classes or columns were never given names, a number is the name of
 * its class ("0", "1", ...): a list without names therefore matches another without names, or one whose names are
 * these numbers, and no other. */
#ifndef RT_DATA_NAMES_H
#define RT_DATA_NAMES_H

#include "data/json.h"
#include "data/source.h"
#include "engine/digest.h"

enum { RT_NAMES_TEXT = 320 };

typedef struct {
    char **name;                  /* NULL: known by number only, 0 to count - 1 */
    int count;                    /* of data without names: 0, not known */
    int *order;                   /* positions by rising name, for rt_names_find */
    char *of;                     /* the file they belong to, for messages; NULL: a model that is no file yet */
} rt_names;

/* data.names: "match" (the default), or "position": class and column i of the one is i of the other, whatever their
 * names. */
typedef enum { RT_MATCH_NAMES, RT_MATCH_POSITION } rt_match;
rt_match rt_match_read(rt_cfg *data);

/* A list without names; of may be NULL. */
rt_status rt_names_numbered(rt_names *out, int count, const char *of);
/* From a JSON list of strings; NULL gives a list of no names and count 0. RT_INPUT when it is something else, when a
 * name stands twice or is no UTF-8; `key` names the list in the message. */
rt_status rt_names_from_json(rt_names *out, const cJSON *list, const char *of, const char *key);
rt_status rt_names_copy(rt_names *out, const rt_names *);
void rt_names_free(rt_names *);
/* A list of strings for the caller to delete, NULL when there are no names. */
cJSON *rt_names_to_json(const rt_names *);
/* "classes" and "columns" of a data file's manifest; each may be NULL. Both are for the caller to free, also after
 * an error. RT_INPUT when there is a manifest that cannot be read. */
rt_status rt_names_read(const rt_h5_file *, rt_names *classes, rt_names *columns);
/* Names of the columns of another set than x, "targets" of the manifest; as rt_names_read. */
rt_status rt_names_read_targets(const rt_h5_file *, const char *set, rt_names *columns);
/* RT_INPUT, with both files and their lists, unless both give the same names to classes, to columns and to the columns
 * of other sets, in the same order, or both give none. */
rt_status rt_names_agree(const rt_h5_file *, const rt_h5_file *);
/* Names of the elements of a row: "columns" of the manifest, when the set's rows are flat and as many; for the
 * caller to free. RT_INPUT when the manifest names another number of columns than x has. */
rt_status rt_source_columns(const rt_source *, rt_names *columns);

/* Adds the list to a hash. */
void rt_names_hash(rt_hasher *, const rt_names *);

/* Position of a name, -1 when it is unknown. */
int rt_names_find(const rt_names *, const char *name);
/* The name of i; `number` is room for one that is a number. */
const char *rt_names_at(const rt_names *, int i, char number[16]);
/* The list as messages show it, shortened when it is long. */
const char *rt_names_text(const rt_names *, char text[RT_NAMES_TEXT]);

/* (*map)[i] is the position in `to` of name i of `from`, for the caller to free. RT_INPUT with both lists when `to`
 * lacks one; what: "class" or "column". */
rt_status rt_names_map(int **map, const rt_names *from, const rt_names *to, const char *what);
/* The same for lists that must hold the same names; NULL when they hold them in the same order. */
rt_status rt_names_permute(int **map, const rt_names *from, const rt_names *to, const char *what);
#endif
