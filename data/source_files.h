/* data/source_files.h - where the rows of a source lie: a file, a pattern of names, or a list of these, as one.
 *
 * Whatever takes a source takes one text (data.source, --data, "source" of y, targets, mask and inputs):
 *   FILE               what there is under that name; else
 *   shards/train-*     a pattern as the shell has it (* ? [...]): the files it fits, by rising bytes of their names,
 *                      but hidden ones and the .retort-id files that lie beside data
 *   ["A.h5", "B.h5"]   a list of files and patterns, as JSON, in this order
 * Row i of several files is row i - (rows of those before) of its file: a data set of the source is the sets of that
 * name behind each other. All must agree in type and in the shape of a row, and the files in the names of classes,
 * columns and targets that their manifests give. */
#ifndef RT_DATA_SOURCE_FILES_H
#define RT_DATA_SOURCE_FILES_H

#include "data/h5.h"
#include "data/json.h"

enum { RT_SOURCE_FILES = 4096 };       /* of a source, at most */

typedef struct { char **path; int count; } rt_source_files;

/* The files of a source in their order; one that is not there is found out when it is opened. RT_INPUT when a pattern
 * fits no file; RT_USAGE when the list is none, is empty or has too many. */
rt_status rt_source_files_of(rt_source_files *out, const char *source);
void rt_source_files_free(rt_source_files *);

/* Scans them: as rt_h5_scan for one; of several a file whose sets are those of all, and part[] are they. A set that
 * not all have, or in which they differ, is in its list, refused, with the names of two files that differ. Raises the
 * process's limit of open files where it must. RT_INPUT also when names of classes, columns or targets differ; RT_USAGE
 * when a file is there twice, under whatever names. */
rt_status rt_source_scan(rt_h5_file **out, const char *source);

/* A source in a configuration: a text, or a list of texts, which becomes the text of that list there. As rt_cfg_file
 * otherwise. */
const char *rt_cfg_source(rt_cfg *, const char *key, const char *fallback);
/* "source" of a "data" object (or NULL) before anything else is read of it, made a text as above; "" where it is none.
 */
const char *rt_source_in(cJSON *data);
#endif
