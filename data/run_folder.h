/* data/run_folder.h - the folder that a command was asked to fill (--out): of a training run, of an evaluation, of an
 * experiment. It has one lock, taken before anything in it is looked at and held until it is closed. */
#ifndef RT_DATA_RUN_FOLDER_H
#define RT_DATA_RUN_FOLDER_H

#include "data/output.h"

enum { RT_FOLDER_PATH = 1200 };

typedef struct rt_run_folder rt_run_folder;

/* Makes the folder, with parents, where there is none, takes its lock, and removes what killed runs left of the files
 * called `names` (ended by NULL), which are those that the caller writes. RT_USAGE when one of them is an input
 * (ended by NULL; empty ones are passed over) or no regular file; RT_RUN when another process has the lock. */
rt_status rt_run_folder_open(rt_run_folder **, const rt_target *, const char *const *inputs, const char *const *names);
/* Lets the lock go; a folder that was made here and is empty is removed. NULL is fine; the message of an error at hand
 * stays. */
void rt_run_folder_close(rt_run_folder *);
/* Whether it holds this file; as rt_file_there. */
rt_status rt_run_folder_has(const rt_run_folder *, const char *name, int *has);
/* A whole file, durably, in the place of the old one. */
rt_status rt_run_folder_write(rt_run_folder *, const char *name, const void *data, size_t n);
/* Fine when it is not there. */
rt_status rt_run_folder_remove(rt_run_folder *, const char *name);
/* Removes what killed runs left in the folder `name` of it, of which all files are ours; fine when there is none.
 * RT_USAGE when it is something else. */
rt_status rt_run_folder_sweep(rt_run_folder *, const char *name);
/* What its folder `name`, or "." for itself, lists is on disk; fine when there is none. */
rt_status rt_run_folder_sync(rt_run_folder *, const char *name);
/* FOLDER/NAME */
void rt_run_folder_path(const rt_run_folder *, char out[RT_FOLDER_PATH], const char *name);
#endif
