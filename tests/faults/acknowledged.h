/* tests/faults/acknowledged.h - what a labelling that was killed had told to be done, and what the next one does. */
#ifndef RT_TESTS_FAULTS_ACKNOWLEDGED_H
#define RT_TESTS_FAULTS_ACKNOWLEDGED_H

#include <stddef.h>

/* What a labelling that is left alone labels: `now` of `rows` rows, the last ones. now -1: the command labels none. */
typedef struct { long rows, now; } labelling;

/* From what it printed. */
labelling labelling_of(const char *printed);
/* Rows that `now` counts and that are told to be done: in a store that is complete, or of blocks that a whole line of
 * any journal in the folder names. store: its file there. command: prints what retort knows of a store, for a shell. */
long acknowledged(const char *folder, const char *store, const char *info, labelling whole);
/* The file behind --out, or behind "append"; "" where there is none. */
void store_of(const char *command, char *name, size_t room);
/* Rows with a label that retort finds in a store, -1: it finds none. */
long labelled_in(const char *folder, const char *store, const char *info);
#endif
