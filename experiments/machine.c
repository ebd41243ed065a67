#include "experiments/machine.h"

#include <gnu/libc-version.h>
#include <math.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "engine/kernels.h"

static int first_line(char line[256], const char *path)
{
    FILE *f = fopen(path, "r");
    int good = f && fgets(line, 256, f);
    if (f) fclose(f);
    if (good) line[strcspn(line, "\n")] = 0;
    return good;
}

static void cpu_name(char text[128])
{
    char line[256];
    FILE *f = fopen("/proc/cpuinfo", "r");
    strcpy(text, "unknown");
    while (f && fgets(line, sizeof line, f))
        if (strncmp(line, "model name", 10) == 0 && strchr(line, ':')) {
            snprintf(text, 128, "%.120s", strchr(line, ':') + 2);
            text[strcspn(text, "\n")] = 0;
            break;
        }
    if (f) fclose(f);
}

void rt_machine_look(rt_machine_use *u)
{
    char line[256];
    double v[8] = {0};
    *u = (rt_machine_use){0};
    if (!first_line(line, "/proc/stat") ||
        sscanf(line, "cpu %lf %lf %lf %lf %lf %lf %lf %lf", v, v + 1, v + 2, v + 3, v + 4, v + 5, v + 6, v + 7) < 8)
        return;
    for (int i = 0; i < 8; i++) u->all += v[i];
    u->stolen = v[7];
    u->busy = u->all - v[3] - v[4];                    /* idle, waiting for a disk */
}

static void add_share(cJSON *into, const char *key, double part, double all)
{
    if (all > 0) cJSON_AddNumberToObject(into, key, part / all);
    else cJSON_AddNullToObject(into, key);
}

/* "0,2,3", or null where the process may use all CPUs of the machine. */
static void add_pinned(cJSON *into)
{
    cpu_set_t set;
    char text[1024];
    size_t n = 0;
    if (sched_getaffinity(0, sizeof set, &set) || CPU_COUNT(&set) >= sysconf(_SC_NPROCESSORS_ONLN)) {
        cJSON_AddNullToObject(into, "pinned");
        return;
    }
    for (int c = 0; c < CPU_SETSIZE && n < sizeof text - 16; c++)
        if (CPU_ISSET(c, &set)) n += (size_t)snprintf(text + n, sizeof text - n, "%s%d", n ? "," : "", c);
    cJSON_AddStringToObject(into, "pinned", text);
}

void rt_machine_date(char text[32])
{
    const char *epoch = getenv("SOURCE_DATE_EPOCH");
    time_t now = epoch && *epoch ? (time_t)strtoll(epoch, NULL, 10) : time(NULL);
    struct tm tm;
    if (!gmtime_r(&now, &tm) || !strftime(text, 32, "%Y-%m-%dT%H:%M:%SZ", &tm)) strcpy(text, "unknown");
}

static void add_card(cJSON *into, const rt_device *d)
{
    rt_device_info info;
    if (!d || rt_device_is_cpu(d)) return;
    rt_device_describe(d, &info);
    cJSON_AddStringToObject(into, "device", info.name);
    cJSON_AddStringToObject(into, "card", info.card);
    cJSON_AddStringToObject(into, "precision", rt_precision_name(rt_device_precision(d)));
}

void rt_machine_describe(cJSON *into, const rt_device *device, const rt_machine_use *since)
{
    char cpu[128], line[256], date[32], family[RT_FAMILY_TEXT];
    struct utsname u;
    double load;
    cpu_name(cpu);
    uname(&u);
    rt_machine_date(date);
    if (!first_line(line, "/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")) strcpy(line, "unknown");
    cJSON_AddStringToObject(into, "cpu", cpu);
    cJSON_AddStringToObject(into, "system", u.release);
    cJSON_AddStringToObject(into, "governor", line);
    cJSON_AddStringToObject(into, "kernels", device ? rt_device_family(device, family) : rt_kernels_get()->name);
    add_card(into, device);
    cJSON_AddStringToObject(into, "compiler", __VERSION__);
    snprintf(line, sizeof line, "glibc %.32s, cJSON %.32s", gnu_get_libc_version(), cJSON_Version());
    cJSON_AddStringToObject(into, "libraries", line);
    cJSON_AddNumberToObject(into, "threads", rt_device_threads(device));
    if (!since) return;
    add_pinned(into);
    cJSON_AddStringToObject(into, "time", date);
    if (getloadavg(&load, 1) == 1) cJSON_AddNumberToObject(into, "load", load);
    else cJSON_AddNullToObject(into, "load");
    rt_machine_use use;
    rt_machine_look(&use);
    add_share(into, "steal", use.stolen - since->stolen, use.all - since->all);
    add_share(into, "busy", use.busy - since->busy, use.all - since->all);
}

/* A number of KiB behind a word at the start of a line, in bytes; NAN. */
static double kib_of(const char *path, const char *format)
{
    char line[256];
    double kib = NAN;
    FILE *f = fopen(path, "r");
    while (f && fgets(line, sizeof line, f)) if (sscanf(line, format, &kib) == 1) break;
    if (f) fclose(f);
    return kib * 1024;
}

static double number_in(const char *path)
{
    char line[256];
    double v;
    return first_line(line, path) && sscanf(line, "%lf", &v) == 1 ? v : NAN;
}

/* What the process's control group leaves, with the pages of files that it would give back. */
static double left_by_group(void)
{
    char line[256], path[320];
    if (!first_line(line, "/proc/self/cgroup") || strncmp(line, "0::", 3)) return INFINITY;
    snprintf(path, sizeof path, "/sys/fs/cgroup%.200s/memory.max", line + 3);
    double most = number_in(path);
    snprintf(path, sizeof path, "/sys/fs/cgroup%.200s/memory.current", line + 3);
    double now = number_in(path);
    snprintf(path, sizeof path, "/sys/fs/cgroup%.200s/memory.stat", line + 3);
    double files = kib_of(path, "inactive_file %lf") / 1024;
    if (!isfinite(most) || !isfinite(now)) return INFINITY;
    return most - now + (isfinite(files) ? files : 0);
}

double rt_machine_free_memory(void)
{
    struct rlimit limit;
    double least = INFINITY, available = kib_of("/proc/meminfo", "MemAvailable: %lf kB"), group = left_by_group();
    if (isfinite(available)) least = available;
    if (group < least) least = group;
    if (!getrlimit(RLIMIT_AS, &limit) && limit.rlim_cur != RLIM_INFINITY) {
        double held = kib_of("/proc/self/status", "VmSize: %lf kB"), left = (double)limit.rlim_cur - held;
        if (isfinite(left) && left < least) least = left;
    }
    return least > 0 ? least : 0;
}

rt_status rt_machine_room_for(uint64_t rows, double bytes_a_row, const char *of, const char *remedy)
{
    double needs = (double)rows * bytes_a_row, there = rt_machine_free_memory();
    if (needs <= there) return RT_OK;
    return rt_fail(RT_RUN, "%s: %llu rows take about %.3g MB of memory (%.0f bytes each), and %.3g MB are free: %s", of,
                   (unsigned long long)rows, needs / 1e6, bytes_a_row, there / 1e6, remedy);
}

double rt_machine_peak_rss(void)
{
    struct rusage u;
    double peak = kib_of("/proc/self/status", "VmHWM: %lf kB");
    if (peak > 0) return peak;
    return getrusage(RUSAGE_SELF, &u) ? 0 : (double)u.ru_maxrss * 1024;    /* of what started it, too */
}
