/* data/files.h - system calls on files, in one place: a call that a signal interrupts goes on, and a transfer that is
 * short is finished. A fault of the machine (no memory, no descriptors, a failing disk) is RT_RUN, a file that is not
 * what it should be RT_INPUT. */
#ifndef RT_DATA_FILES_H
#define RT_DATA_FILES_H

#include <dirent.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "engine/digest.h"
#include "engine/error.h"

/* ---- reading ---- */

/* What an errno of a look at a path or a folder says: RT_RUN for a fault of the machine, RT_INPUT for what is not
 * there, not allowed or not of its kind. */
rt_status rt_errno_status(int error);
/* Opens a regular file, through links, for reading; what is none (a folder, a FIFO, a device, a socket) is refused
 * without waiting for it. */
rt_status rt_open_input(int *fd, const char *path);
/* Up to n bytes, fewer only where the file ends: *got says how many. */
rt_status rt_read_some(int fd, void *data, size_t n, const char *path, size_t *got);
rt_status rt_pread_some(int fd, void *data, size_t n, uint64_t at, const char *path, size_t *got);
/* RT_INPUT when the file ends before n bytes. */
rt_status rt_pread_all(int fd, void *data, size_t n, uint64_t at, const char *path);
/* The whole regular file, with a zero behind, for the caller to free; RT_INPUT when it is longer than most. */
rt_status rt_read_file(char **out, size_t *n, const char *path, size_t most);
/* Whether next to nothing of so many bytes is stored, so that what is not would be read for hours: it is more than 64
 * times what is stored, and more than 1 GiB. */
int rt_hollow(uint64_t bytes, uint64_t stored);
/* Bytes of a file's [first, end) that are stored and no holes, or enough of them that they are not hollow. Where the
 * file system tells of no holes all are stored. fd stays where it stands. */
rt_status rt_stored_bytes(int fd, const char *path, uint64_t first, uint64_t end, uint64_t *stored);
/* Before a file is read to its end: RT_INPUT for a hollow one. */
rt_status rt_check_holes(int fd, const char *path);
/* The hash of a regular file's bytes, after rt_check_holes. RT_INTERRUPTED when stoppable and asked to stop. */
rt_status rt_digest_file(rt_digest *, const char *path, int stoppable);
/* From where fd stands to the end. */
rt_status rt_digest_rest(rt_digest *, int fd, const char *path, int stoppable);
/* Whether something has this name, through links. RT_RUN when the machine cannot tell: "not there" is an answer that
 * work is begun anew on. */
rt_status rt_file_there(const char *path, int *there);

/* What a file is as long as nobody changes it; times in ns. */
typedef struct { uint64_t size, inode, device; int64_t mtime, ctime; } rt_stamp;
rt_status rt_stamp_of(rt_stamp *, int fd, const char *path);
rt_status rt_stamp_at(rt_stamp *, const char *path);
int rt_stamps_equal(const rt_stamp *, const rt_stamp *);
/* For those that read a file whose content is not hashed: RT_INPUT when it is not what it was at the stamp. */
rt_status rt_stamp_unchanged(const rt_stamp *, const char *path);

/* ---- writing ---- */

rt_status rt_write_all(int fd, const void *data, size_t n, const char *path);
rt_status rt_pwrite_all(int fd, const void *data, size_t n, uint64_t at, const char *path);
/* What was written is on disk; errno after a failure is its reason. Once this has failed the system may have forgotten
 * what is not: never try again. */
rt_status rt_sync_file(int fd, const char *path);
rt_status rt_sync_data(int fd, const char *path);           /* without times; the size is included */
/* A folder's entries; dir is open. */
rt_status rt_sync_folder(int dir, const char *path);
/* With parents, each synced into its own; fine when it exists. */
rt_status rt_make_folder(const char *path);

/* ---- a file that appears whole ----
 *
 * It has no name until it is complete (O_TMPFILE), or a random one, .NAME.tmp-RANDOM, where the file system has no
 * nameless files. Commit: sync, then the name, then the folder's sync. */
typedef struct {
    int dir, fd;                       /* the folder, borrowed; fd is open for reading and writing, -1: none */
    char name[256], temp[256];         /* temp "": nameless */
    const char *path;                  /* of messages; borrowed */
} rt_temp;

/* In the open folder dir, for the name `name`. */
rt_status rt_temp_open(rt_temp *, int dir, const char *name, const char *path);
/* Gives the file its name: the place of what has it with replace, else only where nothing has it (RT_USAGE). fd stays
 * open for the caller to close; after an error the file is gone. */
rt_status rt_temp_commit(rt_temp *, int replace);
/* Removes what was not committed and closes fd. The message of an error at hand stays. */
void rt_temp_drop(rt_temp *);
/* What lies in a folder of an open one ("." for itself; no link), for closedir; NULL with errno. */
DIR *rt_folder_entries(int dir, const char *name);
/* The next of them, NULL behind the last. RT_RUN where the folder cannot be read on (path: for the message): what was
 * seen until then is not all. */
rt_status rt_folder_next(DIR *, const char *path, struct dirent **);
/* Removes what killed processes left of files with this name; "" of all names. Only under the lock of that name. */
void rt_temp_sweep(int dir, const char *name);

/* A whole file, durably, in the place of what has its name. For files that a lock guards already. */
rt_status rt_write_file(const char *path, const void *data, size_t n);
rt_status rt_write_file_at(int dir, const char *name, const void *data, size_t n, const char *path);

/* Opens the folder that path lies in and gives path's last part. A link at path is followed: where it points to is what
 * is meant. RT_USAGE when path cannot be the name of a file. */
rt_status rt_open_folder_of(int *dir, char name[256], const char *path);
#endif
