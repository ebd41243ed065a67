/* experiments/result_files.h - the files that a command leaves in the folder it was asked to fill, with a file of their
 * hashes beside them (xxhsum -c NAME.xxh128 checks them), by which a later run knows its own: what no run wrote is
 * never replaced. */
#ifndef RT_EXPERIMENTS_RESULT_FILES_H
#define RT_EXPERIMENTS_RESULT_FILES_H

#include "data/run_folder.h"
#include "engine/text.h"

enum { RT_RESULT_FILES = 8 };

/* What a command writes: up to RT_RESULT_FILES names, ended by NULL; the file of hashes; what to call the command. */
typedef struct {
    const char *name[RT_RESULT_FILES + 1], *sums, *by;
    int keeps;                         /* files as a run left them are kept, too, unless it is forced */
} rt_result_list;

typedef struct rt_result_files rt_result_files;

/* Makes the folder, takes its lock, and looks at what would be replaced. RT_USAGE for a file that is an input (ended by
 * NULL), is no regular file or that no run wrote, and, unless forced, that was changed since a run wrote it (or with
 * `keeps` is there at all); RT_RUN when the folder cannot be made or written, or another process is writing into it.
 * The list must outlive it. */
rt_status rt_result_files_open(rt_result_files **, const rt_target *folder, const char *const *inputs,
                               const rt_result_list *);
/* Writes the texts, one for each name. Where that fails nothing is left of them, nor of what was to be replaced; and
 * whenever it ends early, what is there is a run's own. */
rt_status rt_result_files_write(rt_result_files *, const rt_string *text);
/* FOLDER/NAME */
void rt_result_files_path(const rt_result_files *, char out[RT_FOLDER_PATH], const char *name);
/* Frees it; a folder that was made here and that nothing was written into is removed. NULL is fine. */
void rt_result_files_close(rt_result_files *);
#endif
