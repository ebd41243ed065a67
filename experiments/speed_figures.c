#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "experiments/speed.h"
#include "experiments/statistics/statistics.h"

static const double noise_allowed = 0.03, disturbed_allowed = 0.05;

/* The last subject is the first once more. */
static int control_of(const rt_speed *s) { return s->count - 1; }

/* The batch size with the highest median; -1 where there is none. */
static int best_size(const rt_speed *s, int i)
{
    int best = -1;
    double most = 0;
    for (int b = 0; b < RT_SPEED_SIZES && s->subject[i].rate[b]; b++) {
        double v[RT_SPEED_ROUNDS];
        for (int r = 0; r < s->taken; r++) v[r] = s->subject[i].rate[b][r];
        double middle = rt_median_of(v, s->taken);
        if (middle > most) {
            most = middle;
            best = b;
        }
    }
    return best;
}

/* Of a million rows: price an hour / 3600 s * 1e6 / (rows a second) / copies. */
static double cost_of(const rt_speed *s, double rate)
{ return (s->price > 0 ? s->price / 3600 : 1) * 1e6 / rate / (s->copies > 0 ? s->copies : 1); }

/* Subject i's number of round r; NAN where it has none. */
static double of_round(const rt_speed *s, rt_scenario scenario, int quantile, int i, int best, int r)
{
    const rt_speed_subject *e = &s->subject[i];
    if (scenario == RT_OFFLINE) {
        double rate = best < 0 || !e->rate[best] ? NAN : (double)e->rate[best][r];
        if (quantile == RT_OF_COST) return cost_of(s, rate);
        if (quantile == RT_OF_ENERGY) return best < 0 || !e->joules[best] ? NAN : (double)e->joules[best][r] * 1e6;
        return rate;
    }
    const float *v = e->calls[scenario].round[quantile];
    return v ? v[r] * 1e6 : NAN;
}

rt_speed_figure rt_speed_compare(const rt_speed *s, rt_scenario scenario, int quantile, int b, int c,
                                 double confidence)
{
    double base[RT_SPEED_ROUNDS], cand[RT_SPEED_ROUNDS], ratio[RT_SPEED_ROUNDS];
    int n = 0, size_b = best_size(s, b), size_c = best_size(s, c);
    rt_speed_figure f = {0};
    for (int r = 0; r < s->taken; r++) {
        double x = of_round(s, scenario, quantile, b, size_b, r), y = of_round(s, scenario, quantile, c, size_c, r);
        if (b == 0 && c != control_of(s)) x = 0.5 * (x + of_round(s, scenario, quantile, control_of(s), size_b, r));
        if (!(x > 0) || !(y > 0)) continue;
        base[n] = x;
        cand[n] = y;
        ratio[n++] = scenario == RT_OFFLINE && quantile == RT_OF_RATE ? x / y : y / x;
    }
    f.rounds = n;
    if (scenario != RT_OFFLINE) f.calls = s->subject[c].calls[scenario].undisturbed;
    f.baseline = rt_median_of(base, n);
    f.candidate = rt_median_interval(cand, n, confidence, &f.lo, &f.hi);
    f.ratio = rt_median_interval(ratio, n, confidence, &f.ratio_lo, &f.ratio_hi);
    return f;
}

rt_speed_control rt_speed_noise(const rt_speed *s, rt_scenario scenario)
{
    rt_speed_control c = {.ratio = rt_speed_compare(s, scenario, RT_P50, 0, control_of(s), 0.95).ratio};
    uint64_t lost = 0, all = 0;
    for (int i = 0; i < s->count && scenario != RT_OFFLINE; i++) {
        lost += s->subject[i].calls[scenario].disturbed;
        all += s->subject[i].calls[scenario].disturbed + s->subject[i].calls[scenario].undisturbed;
    }
    c.disturbed = all ? (double)lost / (double)all : 0;
    c.noisy = !(c.ratio <= 1 + noise_allowed && c.ratio >= 1 / (1 + noise_allowed)) || c.disturbed > disturbed_allowed;
    return c;
}

static const char *const scenario_name[RT_SCENARIOS] = {"SingleStream", "MultiStream", "Offline"};

void rt_speed_say_noisy(const rt_speed *s, rt_scenario scenario, char *text, size_t n)
{
    rt_speed_control c = rt_speed_noise(s, scenario);
    snprintf(text, n,
             "machine too noisy: %s of the baseline against itself %.4f (0.971 to 1.03 is quiet), %.1f %% "
             "of calls disturbed (5 %% at most) after %.0f s",
             scenario_name[scenario], c.ratio, 100 * c.disturbed, s->took);
}

/* ---- as JSON ---- */

void rt_speed_percentiles(cJSON *into, float *seconds, float *room, uint64_t n)
{
    static const struct { const char *key; double p; } tail[] = {
        {"p90_us", 0.9}, {"p99_us", 0.99}, {"p99_9_us", 0.999}};
    rt_sort_floats(seconds, room, n);
    cJSON_AddNumberToObject(into, "samples", (double)n);
    if (!n) return;
    cJSON_AddNumberToObject(into, "min_us", (double)seconds[0] * 1e6);
    cJSON_AddNumberToObject(into, "p50_us", rt_median(seconds, n) * 1e6);
    for (int i = 0; i < 3; i++) {
        char reason[64];
        int64_t at = rt_percentile_index(n, tail[i].p);
        if (at < 0)
            snprintf(reason, sizeof reason, "needs %llu samples", (unsigned long long)rt_percentile_needs(tail[i].p));
        rt_json_number(into, tail[i].key, at < 0 ? NAN : (double)seconds[at] * 1e6, reason);
    }
    cJSON_AddNumberToObject(into, "max_us", (double)seconds[n - 1] * 1e6);
}

/* All calls together, the control's with its subject's. */
static rt_status describe_calls(cJSON *j, const rt_speed *s, int i, int scenario)
{
    const rt_speed_calls *c = &s->subject[i].calls[scenario];
    uint64_t n = c->undisturbed + c->disturbed;
    float *v = malloc((2 * n + 1) * sizeof *v);
    if (!v) return rt_fail(RT_RUN, "out of memory");
    for (uint64_t k = 0; k < c->undisturbed; k++) v[k] = c->sample[k];
    for (uint64_t k = 0; k < c->disturbed; k++) v[c->undisturbed + k] = c->sample[c->room - 1 - k];
    cJSON *l = cJSON_AddObjectToObject(j, scenario ? "latency_batch8_1thread" : "latency_batch1_1thread");
    cJSON *calm = cJSON_CreateObject();
    rt_speed_percentiles(calm, v, v + n, c->undisturbed);            /* first: the whole is sorted in its place */
    rt_speed_percentiles(l, v, v + n, n);
    if (!scenario) cJSON_AddNumberToObject(l, "first_call_us", s->subject[i].first * 1e6);
    cJSON_AddNumberToObject(l, "clock_us_taken_off", s->clock_cost * 1e6);
    cJSON_AddNumberToObject(l, "disturbed", (double)c->disturbed);
    cJSON_AddItemToObject(l, "undisturbed", calm);
    free(v);
    return RT_OK;
}

static void add_rate(cJSON *to, const rt_speed *s, int i, int b)
{
    double v[RT_SPEED_ROUNDS], lo, hi;
    for (int r = 0; r < s->taken; r++) v[r] = s->subject[i].rate[b][r];
    cJSON_AddNumberToObject(to, "rows_per_second", rt_median_interval(v, s->taken, 0.95, &lo, &hi));
    cJSON_AddNumberToObject(to, "lowest", v[0]);
    cJSON_AddNumberToObject(to, "highest", v[s->taken - 1]);
}

static double rt_number_of(const cJSON *j, const char *key)
{ return cJSON_GetNumberValue(cJSON_GetObjectItemCaseSensitive(j, key)); }

/* At the batch size of the throughput: the median of the rounds, all that the package and its memory used. */
static void describe_energy(cJSON *j, const rt_speed *s, int i, int best)
{
    const rt_speed_subject *e = &s->subject[i];
    double v[RT_SPEED_ROUNDS], lo, hi;
    int n = 0;
    for (int r = 0; r < s->taken && best >= 0 && e->joules[best]; r++)
        if (e->joules[best][r] >= 0) v[n++] = e->joules[best][r];      /* not NAN */
    double middle = rt_median_interval(v, n, 0.95, &lo, &hi);
    const char *why = !rt_device_is_cpu(s->device) ? "the energy of a card is not measured"
                      : *s->energy.why             ? s->energy.why
                                                   : "no round has a reading";
    rt_json_number(j, "joules_per_row", middle, why);
    if (!n) return;
    cJSON *energy = cJSON_AddObjectToObject(j, "energy");
    double rows = e->used_rows;
    cJSON_AddNumberToObject(energy, "joules_per_million", middle * 1e6);
    cJSON_AddNumberToObject(energy, "lowest", v[0]);
    cJSON_AddNumberToObject(energy, "highest", v[n - 1]);
    cJSON_AddNumberToObject(energy, "rounds", n);
    cJSON_AddNumberToObject(energy, "package_joules", e->used.package);
    rt_json_number(energy, "dram_joules", s->energy.drams ? e->used.dram : NAN, "memory has no counter of its own");
    cJSON_AddNumberToObject(energy, "rows", rows);
    cJSON_AddNumberToObject(energy, "seconds", e->used_seconds);
    rt_json_number(energy, "idle_watts", s->idle_watts, "it was not measured");
    double used = e->used.package + e->used.dram;
    if (isfinite(s->idle_watts) && used > 0)
        cJSON_AddNumberToObject(energy, "idle_share", fmin(1, s->idle_watts * e->used_seconds / used));
}

static void describe_rates(cJSON *j, const rt_speed *s, int i)
{
    int best = best_size(s, i);
    cJSON *t = cJSON_AddObjectToObject(j, "throughput"), *all = cJSON_AddObjectToObject(t, "by_batch");
    for (int b = 0; b < RT_SPEED_SIZES && s->subject[i].rate[b]; b++) {
        char key[16];
        snprintf(key, sizeof key, "%d", rt_speed_size[b]);
        add_rate(cJSON_AddObjectToObject(all, key), s, i, b);
    }
    cJSON_AddStringToObject(t, "statistic", "median of the rounds");
    cJSON_AddNumberToObject(t, "rounds", s->taken);
    cJSON_AddNumberToObject(t, "threads", rt_device_threads(s->device));
    cJSON_AddNumberToObject(t, "batch", rt_speed_size[best]);
    add_rate(t, s, i, best);
    describe_energy(j, s, i, best);
    if (!(s->price > 0)) return;
    cJSON *cost = cJSON_AddObjectToObject(j, "cost");
    cJSON_AddNumberToObject(cost, "per_million", cost_of(s, rt_number_of(t, "rows_per_second")));
    cJSON_AddNumberToObject(cost, "lowest", cost_of(s, rt_number_of(t, "highest")));
    cJSON_AddNumberToObject(cost, "highest", cost_of(s, rt_number_of(t, "lowest")));
    cJSON_AddNumberToObject(cost, "price_per_hour", s->price);
    cJSON_AddNumberToObject(cost, "copies", s->copies > 0 ? s->copies : 1);
}

rt_status rt_speed_describe(cJSON *j, rt_speed *s, int i)
{
    for (int k = 0; k < 2; k++)
        if (s->scenarios & 1u << k) RT_TRY(describe_calls(j, s, i, k));
    if (s->scenarios & 1u << RT_OFFLINE) describe_rates(j, s, i);
    rt_cold_describe(j, &s->subject[i].cold);
    return RT_OK;
}

void rt_speed_describe_ratios(cJSON *into, const rt_speed *s, int i)
{
    static const struct { const char *key; rt_scenario scenario; int quantile; } figure[] = {
        {"latency_p50", RT_SINGLE_STREAM, RT_P50}, {"latency_p90", RT_SINGLE_STREAM, RT_P90},
        {"multistream_p50", RT_MULTI_STREAM, RT_P50}, {"throughput", RT_OFFLINE, 0}};
    for (size_t k = 0; k < sizeof figure / sizeof figure[0]; k++) {
        char text[256];
        rt_scenario scenario = figure[k].scenario;
        if (!(s->scenarios & 1u << scenario)) continue;
        rt_speed_figure f = rt_speed_compare(s, scenario, figure[k].quantile, 0, i, 0.95);
        rt_speed_say_noisy(s, scenario, text, sizeof text);
        if (rt_speed_noise(s, scenario).noisy) f.ratio = NAN;
        rt_json_number(into, figure[k].key, f.ratio, text);
        char key[40];
        snprintf(key, sizeof key, "%s_95", figure[k].key);
        double range[2] = {f.ratio_lo, f.ratio_hi};
        if (isfinite(f.ratio) && isfinite(f.ratio_lo))
            cJSON_AddItemToObject(into, key, cJSON_CreateDoubleArray(range, 2));
    }
}

void rt_speed_describe_all(cJSON *into, const rt_speed *s)
{
    cJSON *control = cJSON_AddObjectToObject(into, "control");
    cJSON_AddStringToObject(control, "of", s->subject[0].name);
    int noisy = 0;
    for (int k = 0; k < RT_SCENARIOS; k++) {
        if (!(s->scenarios & 1u << k)) continue;
        rt_speed_control c = rt_speed_noise(s, (rt_scenario)k);
        cJSON *one = cJSON_AddObjectToObject(control, scenario_name[k]);
        rt_json_number(one, "ratio", c.ratio, "no round has both");
        if (k != RT_OFFLINE) cJSON_AddNumberToObject(one, "disturbed", c.disturbed);
        cJSON_AddBoolToObject(one, "noisy", c.noisy);
        noisy |= c.noisy;
    }
    cJSON_AddBoolToObject(into, "noisy", noisy);
    cJSON_AddNumberToObject(into, "rounds", s->taken);
    cJSON_AddNumberToObject(into, "seconds", s->took);
    cJSON_AddNumberToObject(into, "peak_rss_bytes", rt_machine_peak_rss());
}
