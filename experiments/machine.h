/* experiments/machine.h - what a measurement ran on: a reader of its figures must know, as another machine, or the same
 * with other work on it, gives others. Linux; what cannot be read is null. */
#ifndef RT_EXPERIMENTS_MACHINE_H
#define RT_EXPERIMENTS_MACHINE_H

#include <cjson/cJSON.h>

#include "engine/device.h"

/* What else ran while something was measured. */
typedef struct { double stolen, busy, all; } rt_machine_use;   /* seconds of all CPUs since the start, times 100 */

/* At the beginning; rt_machine_describe tells what has gone since. */
void rt_machine_look(rt_machine_use *);
/* Adds to `into` what the machine is: cpu, system, governor, kernels (the family of the device that computed, with
 * precision and library of a card), compiler, libraries, threads; of a card also device, card and precision. since
 * (NULL: nothing was timed): what it did, pinned (the CPUs that this process may use, where these are not all), time
 * (UTC, ISO 8601), load (of the last minute), steal, the share of time that the hypervisor gave to others, and busy,
 * the share of all CPUs that was used. */
void rt_machine_describe(cJSON *into, const rt_device *, const rt_machine_use *since);
/* The date that results bear, in UTC, ISO 8601: of SOURCE_DATE_EPOCH (seconds since 1970) where it is set, so that
 * equal runs can give equal files, else of the clock. */
void rt_machine_date(char text[32]);
/* Bytes of memory that this process can still take: the least of what the machine has free (its caches counted), what
 * its control group leaves (version 2), and what its own limit on addresses (ulimit -v) leaves. INFINITY where nothing
 * tells. */
double rt_machine_free_memory(void);
/* RT_RUN when rows times bytes_a_row are more than that: before the work, with what it takes and what there is. of, and
 * what helps, are parts of the message. */
rt_status rt_machine_room_for(uint64_t rows, double bytes_a_row, const char *of, const char *remedy);
/* Most memory that this program has held, in bytes, since it was started: not what held the process before. */
double rt_machine_peak_rss(void);
#endif
