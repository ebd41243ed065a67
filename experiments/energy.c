#include "experiments/energy.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "engine/clock.h"
#include "engine/progress.h"

const char rt_energy_folder[] = "/sys/class/powercap";

static const char zones_are_called[] = "intel-rapl:";

/* The first line of FOLDER/ZONE/FILE; errno says why there is none. */
static int read_line(char line[64], const char *zone, const char *file)
{
    char path[512];
    if (snprintf(path, sizeof path, "%s/%s", zone, file) >= (int)sizeof path) return errno = ENAMETOOLONG, 0;
    FILE *f = fopen(path, "r");
    if (!f) return 0;
    errno = 0;
    int good = fgets(line, 64, f) != NULL;
    if (!good && !errno) errno = ENODATA;
    int error = errno;
    fclose(f);
    errno = error;
    if (good) line[strcspn(line, "\n")] = 0;
    return good;
}

static int read_number(uint64_t *v, const char *zone, const char *file)
{
    char line[64], *end;
    if (!read_line(line, zone, file)) return 0;
    errno = 0;
    *v = strtoull(line, &end, 10);
    if (!errno && (end == line || *end || line[0] == '-')) errno = EINVAL;
    return !errno;
}

/* Of a zone of the folder whether it counts, and what. */
static void look_at(rt_energy *e, const char *folder, const char *name)
{
    rt_energy_zone z = {.dram = 0};
    char of[64];
    uint64_t now;
    if (e->zones == RT_ENERGY_ZONES || strncmp(name, zones_are_called, sizeof zones_are_called - 1)) return;
    if (snprintf(z.path, sizeof z.path, "%s/%s", folder, name) >= (int)sizeof z.path) return;
    if (!read_line(of, z.path, "name")) return;
    z.dram = !strcmp(of, "dram");
    if (!z.dram && strncmp(of, "package", 7)) return;
    if (!read_number(&now, z.path, "energy_uj") || !read_number(&z.range, z.path, "max_energy_range_uj")) {
        snprintf(e->why, sizeof e->why, "the counter of energy %.160s cannot be read: %s", z.path, strerror(errno));
        return;
    }
    e->drams += z.dram;
    e->zone[e->zones++] = z;
}

static int by_name(const struct dirent **a, const struct dirent **b) { return strcmp((*a)->d_name, (*b)->d_name); }

void rt_energy_open(rt_energy *e, const char *folder)
{
    struct dirent **list;
    *e = (rt_energy){0};
    int n = scandir(folder, &list, NULL, by_name);
    if (n < 0) snprintf(e->why, sizeof e->why, "there are no counters of energy: %.160s: %s", folder, strerror(errno));
    else snprintf(e->why, sizeof e->why, "there are no counters of energy (RAPL) in %.160s", folder);
    for (int i = 0; i < n; i++) {
        look_at(e, folder, list[i]->d_name);
        free(list[i]);
    }
    if (n >= 0) free(list);
    if (e->zones) e->why[0] = 0;
}

void rt_energy_read(const rt_energy *e, rt_energy_count *c)
{
    c->good = e->zones > 0;
    for (int i = 0; i < e->zones && c->good; i++) c->good = read_number(&c->uj[i], e->zone[i].path, "energy_uj");
}

int rt_energy_between(const rt_energy *e, const rt_energy_count *a, const rt_energy_count *b, rt_joules *j)
{
    *j = (rt_joules){0, 0};
    if (!a->good || !b->good) return 0;
    for (int i = 0; i < e->zones; i++) {
        const rt_energy_zone *z = &e->zone[i];
        double uj = (double)b->uj[i] - (double)a->uj[i];
        if (uj < 0) uj += (double)z->range;
        if (uj < 0) return 0;                          /* no counter of this range */
        *(z->dram ? &j->dram : &j->package) += uj * 1e-6;
    }
    return 1;
}

rt_status rt_energy_idle(const rt_energy *e, double seconds, double *watts)
{
    rt_energy_count before, after;
    rt_joules used;
    const struct timespec moment = {.tv_nsec = 20000000};
    *watts = NAN;
    rt_energy_read(e, &before);
    if (!before.good) return RT_OK;
    double start = rt_seconds();
    while (rt_seconds() - start < seconds) {
        RT_TRY(rt_check_stop());
        nanosleep(&moment, NULL);
    }
    rt_energy_read(e, &after);
    if (rt_energy_between(e, &before, &after, &used)) *watts = (used.package + used.dram) / (rt_seconds() - start);
    return RT_OK;
}
