/* data/lock.h - one writer at a time.
 *
 * A lock is a small file in the folder of what it guards, held by flock: it dies with the process, wherever that was
 * killed, and the file that is left then is taken over by the next who comes. Its text says who holds it. Whoever ends
 * in order removes it. */
#ifndef RT_DATA_LOCK_H
#define RT_DATA_LOCK_H

#include "engine/error.h"

enum { RT_LOCK_NAME = 256 };

/* Not taken: fd is -1. */
typedef struct {
    int fd, dir;                       /* dir is borrowed: the folder of the lock's file */
    char name[RT_LOCK_NAME];
} rt_lock;

#define RT_LOCK_FREE {.fd = -1, .dir = -1}

/* Takes the lock `name` in the open folder dir without waiting for who holds it (but for the last moments of a process
 * that was killed). path is what it guards, for messages. RT_RUN names the holder (process, host, since when, command)
 * when there is one, and says so when the file system has no locks; RT_USAGE when something else has that name. */
rt_status rt_lock_take(rt_lock *, int dir, const char *name, const char *path);
/* The same, but waits for who holds it, up to so many seconds: for what is held shortly. */
rt_status rt_lock_take_within(rt_lock *, int dir, const char *name, const char *path, double seconds);
/* RT_OK when nobody holds the lock `name` at this moment, else RT_RUN with who does. Where others may want it just
 * then: only under a lock that they need first. */
rt_status rt_lock_free(int dir, const char *name, const char *path);
/* Puts this process in the place of one that holds the lock and does not go on: its file is removed and made anew. The
 * other one learns of it by rt_lock_mine. Takes the lock of nobody else than a run of retort. */
rt_status rt_lock_take_over(rt_lock *, int dir, const char *name, const char *path);
/* Whether the lock that was taken is still the one that has its name: a lock file is a generation, and who was replaced
 * holds an older one. */
int rt_lock_mine(const rt_lock *);
/* Removes the file and lets go; nothing happens to a lock that is not taken. The message of an error at hand stays. */
void rt_lock_release(rt_lock *);
#endif
