/* experiments/energy.h - joules that the processor used, by its own counters (RAPL): Linux, /sys/class/powercap.
 *
 * Counted are packages (intel-rapl:N of that name) and the memory beside them (dram), of all that the machine did
 * meanwhile, what it uses when idle included. Zones within a package (core, uncore) and of the whole board (psys) are
 * parts or wholes of these, and are left out. Energy of cards is not read. */
#ifndef RT_EXPERIMENTS_ENERGY_H
#define RT_EXPERIMENTS_ENERGY_H

#include <stdint.h>

#include "engine/error.h"

enum { RT_ENERGY_ZONES = 32 };
extern const char rt_energy_folder[];                  /* "/sys/class/powercap" */

typedef struct { char path[384]; int dram; uint64_t range; } rt_energy_zone;
/* zones 0: there are none that can be read, and why says the reason. */
typedef struct { rt_energy_zone zone[RT_ENERGY_ZONES]; int zones, drams; char why[256]; } rt_energy;
typedef struct { uint64_t uj[RT_ENERGY_ZONES]; int good; } rt_energy_count;
typedef struct { double package, dram; } rt_joules;

/* Looks for counters in a folder, each of which is read once. */
void rt_energy_open(rt_energy *, const char *folder);
/* All counters now; count->good 0: there are none, or one could not be read. */
void rt_energy_read(const rt_energy *, rt_energy_count *count);
/* Between two readings: a counter that is lower than before has begun again after max_energy_range_uj, once (a package
 * of 200 W takes some twenty minutes for that; read more often). 0 where either reading is not good. */
int rt_energy_between(const rt_energy *, const rt_energy_count *before, const rt_energy_count *after, rt_joules *);
/* Watts while this process sleeps for so many seconds; NAN where nothing can be read. RT_INTERRUPTED. */
rt_status rt_energy_idle(const rt_energy *, double seconds, double *watts);
#endif
