/* data/files.h - durable files: nothing half-written is ever seen under its final name. */
#ifndef RT_DATA_FILES_H
#define RT_DATA_FILES_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "engine/error.h"

/* path with ".tmp-PID" into out; RT_USAGE when too long. */
rt_status rt_temp_name(char *out, size_t room, const char *path);
/* fsync of the file, rename over path, fsync of the folder. On failure the temporary is removed. */
rt_status rt_commit_file(const char *temp, const char *path);
rt_status rt_write_file(const char *path, const void *data, size_t n);       /* whole file, durably */
rt_status rt_pwrite_all(int fd, const void *data, size_t n, uint64_t at, const char *path);
rt_status rt_pread_all(int fd, void *data, size_t n, uint64_t at, const char *path);
rt_status rt_sync_folder_of(const char *path);
rt_status rt_make_folder(const char *path);                                  /* with parents; fine when it exists */
int rt_file_exists(const char *path);
#endif
