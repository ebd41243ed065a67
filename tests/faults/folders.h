/* tests/faults/folders.h - folders of small files: copied, removed, compared. */
#ifndef RT_TESTS_FAULTS_FOLDERS_H
#define RT_TESTS_FAULTS_FOLDERS_H

#include <stddef.h>

/* Copies name (a file or a folder) of one folder into another. Files are years old there: what is known of a file that
 * was written just now is not kept by retort. Returns 0, or -1. */
int folders_copy(const char *from, const char *to, const char *name);
int folders_copy_file(const char *from, const char *folder, const char *name);
int folders_same_bytes(const char *a, const char *b);
int folders_remove(const char *path);                /* with all that is in it; fine when it is not there */
/* Whether both hold the same files with the same bytes, but for lines that tell times, checkpoints and *.retort-id. If
 * not, what differs is in why. */
int folders_equal(const char *a, const char *b, char *why, size_t room);
void folders_leave_out(const char *lines);           /* lines with this text, too; NULL: no others */
int folders_same_text(const char *a, const char *b, char *why, size_t room);     /* the same of two files */
#endif
