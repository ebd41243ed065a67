/* data/output.h - the file that a command was asked to write (--out).
 *
 * In this order: its lock; a look at what is there; the bytes, in a file that has no name yet; sync, name, sync of the
 * folder; and at the end the lock is let go. Never replaced, whatever was asked: what is an input of the command (by
 * device and inode, so through links too), what is no regular file, and what no run of retort wrote. */
#ifndef RT_DATA_OUTPUT_H
#define RT_DATA_OUTPUT_H

#include "data/files.h"

/* Where a command writes. */
typedef struct {
    const char *path;
    int force;                         /* replace what a run of retort wrote there */
    const char *config;                /* the file that the configuration came from, an input as well; or NULL */
} rt_target;

/* What may be replaced by force, and how it is known:
 *   RT_OUTPUT_DATA     data that import wrote, by its manifest
 *   RT_OUTPUT_LABELS   a label store, by its manifest
 *   RT_OUTPUT_PREDICTIONS  predictions, by their manifest
 *   RT_OUTPUT_QUANTIZED  a model that 'retort quantize' wrote, by its manifest; never one that was trained
 *   RT_OUTPUT_MODEL    a model that import made of another format, by its manifest; never one that was trained on
 *   RT_OUTPUT_EXPORT   a file of another format, by a mark beside its content (the extended attribute
 *                      user.retort.xxh128) that holds the digest of what was written: a file that was changed since is
 *                      not replaced */
typedef enum {
    RT_OUTPUT_DATA,
    RT_OUTPUT_LABELS,
    RT_OUTPUT_PREDICTIONS,
    RT_OUTPUT_QUANTIZED,
    RT_OUTPUT_MODEL,
    RT_OUTPUT_EXPORT
} rt_output_kind;

typedef struct rt_output rt_output;

/* Takes the lock of the path, removes what killed runs left of it, and looks. inputs: paths or sources
 * (data/source_files.h), ended by NULL; empty ones are passed over. RT_RUN when another process has the lock. */
rt_status rt_output_take(rt_output **, const rt_target *, const char *const *inputs);
/* The same, waiting up to so many seconds for who holds the lock: for outputs that several processes share, of which
 * each holds it shortly. */
rt_status rt_output_take_within(rt_output **, const rt_target *, const char *const *inputs, double seconds);
/* Lets others have the lock for now, and takes it again. */
void rt_output_yield(rt_output *);
rt_status rt_output_retake(rt_output *, double seconds);
int rt_output_exists(const rt_output *);
const char *rt_output_path(const rt_output *);
/* RT_OK when nothing is there, or when it may be replaced. RT_USAGE says why not. */
rt_status rt_output_may_replace(const rt_output *, rt_output_kind);
/* A file without a name to write to, after rt_output_may_replace; it belongs to the output. */
rt_status rt_output_create(rt_output *, int *fd);
/* Marks the file as RT_OUTPUT_EXPORT with the digest of its content. Where the file system keeps no such marks the file
 * is without one, and will not be replaced. */
void rt_output_mark(rt_output *, const rt_digest *);
/* Sync, name, sync of the folder. The descriptor stays open until the end. */
rt_status rt_output_commit(rt_output *);
/* What its folder lists is on disk. */
rt_status rt_output_sync_folder(const rt_output *);
/* Lets the lock go, and removes what was not committed. NULL is fine; the message of an error at hand stays. */
void rt_output_end(rt_output *);

/* RT_USAGE when path, if it is there, is one of the inputs or no regular file. */
rt_status rt_refuse_inputs(const char *path, const char *const *inputs);
/* The same of `name` in the open folder dir; *exists: whether it is there. */
rt_status rt_look_at(int dir, const char *name, const char *path, const char *const *inputs, int *exists);
#endif
