/* Energy and cost: counters of a folder that stands for /sys/class/powercap, and figures by hand. */
#include <sys/stat.h>
#include <unistd.h>

#include "experiments/energy.h"
#include "experiments/policy.h"
#include "experiments/speed.h"
#include "tests/support.h"

static int enter(void **state) { return make_test_folder(state) || chdir(test_folder); }
static int leave(void **state) { return chdir("/") || remove_test_folder(state); }

static void put(const char *zone, const char *file, const char *text)
{
    char path[256];
    snprintf(path, sizeof path, "cap/%s", zone);
    mkdir("cap", 0777);
    mkdir(path, 0777);
    snprintf(path, sizeof path, "cap/%s/%s", zone, file);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static void add_zone(const char *zone, const char *name, const char *uj, const char *range)
{
    put(zone, "name", name);
    put(zone, "energy_uj", uj);
    put(zone, "max_energy_range_uj", range);
}

/* Two packages, memory of one of them; a core, the whole board, the same package by another interface. */
static void machine(void)
{
    add_zone("intel-rapl:0", "package-0\n", "1000000\n", "262143328850\n");
    add_zone("intel-rapl:0:0", "core\n", "500000\n", "262143328850\n");
    add_zone("intel-rapl:0:1", "dram\n", "200000\n", "65712999613\n");
    add_zone("intel-rapl:1", "package-1\n", "262143000000\n", "262143328850\n");
    add_zone("intel-rapl:2", "psys\n", "9000000\n", "262143328850\n");
    add_zone("intel-rapl-mmio:0", "package-0\n", "1000000\n", "262143328850\n");
    put("dtpm", "name", "package-7\n");
}

static void counters(void **state)
{
    (void)state;
    rt_energy e;
    rt_energy_count a, b;
    rt_joules j;
    machine();
    rt_energy_open(&e, "cap");
    assert_int_equal(e.zones, 3);
    assert_int_equal(e.drams, 1);
    assert_string_equal(e.why, "");
    rt_energy_read(&e, &a);
    assert_int_equal(a.good, 1);
    put("intel-rapl:0", "energy_uj", "3500000\n");
    put("intel-rapl:0:0", "energy_uj", "99500000\n");
    put("intel-rapl:0:1", "energy_uj", "450000\n");
    put("intel-rapl:2", "energy_uj", "99000000\n");
    put("intel-rapl:1", "energy_uj", "171150\n");              /* it began again: 328850 to the end, and these */
    rt_energy_read(&e, &b);
    assert_int_equal(rt_energy_between(&e, &a, &b, &j), 1);
    check_close("packages", j.package, 2.5 + 0.5, 1e-12, 0);
    check_close("memory", j.dram, 0.25, 1e-12, 0);
    assert_int_equal(rt_energy_between(&e, &b, &b, &j), 1);
    assert_true(j.package == 0 && j.dram == 0);
}

static void not_there(void **state)
{
    (void)state;
    rt_energy e;
    rt_energy_count a, b;
    rt_joules j;
    double watts;
    rt_energy_open(&e, "nowhere");
    assert_int_equal(e.zones, 0);
    assert_non_null(strstr(e.why, "nowhere: No such file"));
    rt_energy_read(&e, &a);
    assert_int_equal(a.good, 0);
    assert_int_equal(rt_energy_between(&e, &a, &a, &j), 0);
    check_ok(rt_energy_idle(&e, 60, &watts));                   /* at once */
    assert_true(isnan(watts));
    mkdir("empty", 0777);
    rt_energy_open(&e, "empty");
    assert_non_null(strstr(e.why, "no counters of energy (RAPL) in empty"));

    add_zone("intel-rapl:0", "package-0\n", "1000", "5000\n");
    static const char *const bad[] = {"", "-5\n", "12x\n", "99999999999999999999999\n", "\n"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        put("intel-rapl:0", "energy_uj", bad[i]);
        rt_energy_open(&e, "cap");
        assert_int_equal(e.zones, 0);
        assert_non_null(strstr(e.why, "cap/intel-rapl:0 cannot be read"));
    }
    /* Gone, or nonsense, after it was there. */
    put("intel-rapl:0", "energy_uj", "4000\n");
    rt_energy_open(&e, "cap");
    assert_int_equal(e.zones, 1);
    rt_energy_read(&e, &a);
    put("intel-rapl:0", "energy_uj", "?\n");
    rt_energy_read(&e, &b);
    assert_int_equal(b.good, 0);
    assert_int_equal(rt_energy_between(&e, &a, &b, &j), 0);
    b = a;
    a.uj[0] = 9000000;                                          /* beyond its range: no counter */
    assert_int_equal(rt_energy_between(&e, &a, &b, &j), 0);
    unlink("cap/intel-rapl:0/energy_uj");
    rt_energy_open(&e, "cap");
    assert_non_null(strstr(e.why, "No such file"));
    if (getuid()) {
        put("intel-rapl:0", "energy_uj", "4000\n");
        chmod("cap/intel-rapl:0/energy_uj", 0);
        rt_energy_open(&e, "cap");
        assert_non_null(strstr(e.why, "Permission denied"));
    }
}

static void idle(void **state)
{
    (void)state;
    rt_energy e;
    double watts;
    machine();
    rt_energy_open(&e, "cap");
    check_ok(rt_energy_idle(&e, 0.01, &watts));
    assert_true(watts == 0);                                    /* nothing counts here */
    rt_ask_to_stop(1);
    check_fails(rt_energy_idle(&e, 60, &watts), RT_INTERRUPTED, "interrupted");
    rt_ask_to_stop(0);
}

/* ---- figures ---- */

enum { TAKEN = 7 };

static void fill(rt_speed_subject *e, float rate, float joules)
{
    for (int b = 0; b < 2; b++) {
        e->rate[b] = calloc(TAKEN, sizeof(float));
        e->joules[b] = calloc(TAKEN, sizeof(float));
        for (int r = 0; r < TAKEN; r++) {
            e->rate[b][r] = (b ? 1 : 0.5f) * rate * (1 + 0.01f * (float)(r - 3));      /* the second size is the best */
            e->joules[b][r] = b ? joules * (1 + 0.001f * (float)(r - 3)) : 9;
        }
    }
}

static const cJSON *get(const cJSON *j, const char *key) { return cJSON_GetObjectItemCaseSensitive(j, key); }
static double number(const cJSON *j, const char *key) { return cJSON_GetNumberValue(get(j, key)); }

static void figures(void **state)
{
    (void)state;
    rt_speed s = {
        .taken = TAKEN, .scenarios = 1u << RT_OFFLINE, .price = 3.6, .copies = 2, .count = 3, .idle_watts = 20};
    s.device = rt_device_cpu(1);
    fill(&s.subject[0], 1000, 0.02f);
    fill(&s.subject[1], 4000, 0.03f);
    fill(&s.subject[2], 1000, 0.02f);
    s.subject[1].used = (rt_joules){8, 2};
    s.subject[1].used_rows = 500;
    s.subject[1].used_seconds = 0.25;
    cJSON *j = cJSON_CreateObject();
    check_ok(rt_speed_describe(j, &s, 1));
    /* 3.60 an hour is 0.001 a second; a million rows at 4000 a second take 250 s; two copies halve it. */
    check_close("cost", number(get(j, "cost"), "per_million"), 0.125, 0, 1e-6);
    check_close("lowest", number(get(j, "cost"), "lowest"), 0.125 / 1.03, 0, 1e-6);
    check_close("highest", number(get(j, "cost"), "highest"), 0.125 / 0.97, 0, 1e-6);
    assert_true(number(get(j, "cost"), "copies") == 2 && number(get(j, "cost"), "price_per_hour") == 3.6);
    check_close("joules", number(j, "joules_per_row"), 0.03, 0, 1e-6);
    const cJSON *e = get(j, "energy");
    check_close("a million", number(e, "joules_per_million"), 30000, 0, 1e-6);
    check_close("idle", number(e, "idle_share"), 0.5, 0, 1e-6);   /* 20 W for 0.25 s of 10 J */
    assert_true(cJSON_IsNull(get(e, "dram_joules")));
    assert_non_null(get(get(e, "undefined"), "dram_joules"));
    assert_true(number(e, "package_joules") == 8 && number(e, "rounds") == TAKEN);
    cJSON_Delete(j);

    rt_speed_figure f = rt_speed_compare(&s, RT_OFFLINE, RT_OF_COST, 0, 1, 0.95);
    check_close("cost ratio", f.ratio, 0.25, 0, 1e-5);
    check_close("cost of the baseline", f.baseline, 0.5, 0, 1e-5);
    check_close("cost of the candidate", f.candidate, 0.125, 0, 1e-5);
    f = rt_speed_compare(&s, RT_OFFLINE, RT_OF_ENERGY, 0, 1, 0.95);
    check_close("energy ratio", f.ratio, 1.5, 0, 1e-5);
    check_close("energy", f.candidate, 30000, 0, 1e-5);
    f = rt_speed_compare(&s, RT_OFFLINE, RT_OF_RATE, 0, 1, 0.95);
    check_close("rate ratio", f.ratio, 0.25, 0, 1e-5);

    /* Without a price there is no cost; without a reading there is a reason. */
    s.price = 0;
    snprintf(s.energy.why, sizeof s.energy.why, "no counters");
    for (int r = 0; r < TAKEN; r++) s.subject[1].joules[1][r] = NAN;
    j = cJSON_CreateObject();
    check_ok(rt_speed_describe(j, &s, 1));
    assert_null(get(j, "cost"));
    assert_null(get(j, "energy"));
    assert_true(cJSON_IsNull(get(j, "joules_per_row")));
    assert_string_equal(cJSON_GetStringValue(get(get(j, "undefined"), "joules_per_row")), "no counters");
    cJSON_Delete(j);
    f = rt_speed_compare(&s, RT_OFFLINE, RT_OF_ENERGY, 0, 1, 0.95);
    assert_int_equal(f.rounds, 0);
    rt_device *d = s.device;
    rt_speed_free(&s);
    rt_device_close(d);
}

static rt_status take(const char *text)
{
    rt_policy p;
    rt_status st = rt_policy_take(&p, cJSON_Parse(text), "policy", 20000);
    rt_policy_free(&p);
    return st;
}

static void policies(void **state)
{
    (void)state;
#define POLICY(limit, more) "{\"format\": \"retort-policy-1\", \"limits\": [" limit "]" more "}"
    check_ok(take(POLICY("{\"metric\": \"cost_per_million\", \"max_ratio\": 1.1}", "")));
    check_ok(take(POLICY("{\"metric\": \"energy_per_million\", \"max_ratio\": 1.1}", "")));
    check_ok(take(POLICY("{\"metric\": \"energy_per_million\", \"max\": 40000}", "")));
    check_ok(take(POLICY("{\"metric\": \"cost_per_million\", \"max\": 2}", ", \"speed\": {\"price_per_hour\": 1.5}")));
    check_fails(take(POLICY("{\"metric\": \"cost_per_million\", \"max\": 2}", "")), RT_USAGE, "speed.price_per_hour");
    check_fails(take(POLICY("{\"metric\": \"cost_per_million\", \"max_us\": 2}", "")), RT_USAGE, "max_us");
    check_fails(take(POLICY("{\"metric\": \"throughput\", \"max\": 2}", "")), RT_USAGE, "max");
    check_fails(take(POLICY("{\"metric\": \"cost_per_milion\", \"max\": 2}", "")), RT_USAGE, "cost_per_million");
    check_ok(take(POLICY("{\"metric\": \"file_bytes\", \"max\": 2}", "")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(counters, enter, leave),
        cmocka_unit_test_setup_teardown(not_there, enter, leave),
        cmocka_unit_test_setup_teardown(idle, enter, leave),
        cmocka_unit_test(figures), cmocka_unit_test(policies)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
