/* experiments/gate/gate_stored.c - speeds that a registry has of the sides: shown, and never what decides. They were
 * measured at another time, if not on another machine, and a faster one would make a slower model pass. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "experiments/gate/gate_parts.h"
#include "experiments/registry/registry_parts.h"
#include "experiments/report/report_parts.h"

/* What an evaluation calls the cost. */
static void name_of(const rt_cost_metric *m, char name[64])
{
    static const char *const quantile[RT_QUANTILES] = {"p50", "p90", "p99"};
    static const char *const of_rate[] = {"throughput.rows_per_second", "cost.per_million",
                                          "energy.joules_per_million"};
    if (m->scenario == RT_OFFLINE) snprintf(name, 64, "%s", of_rate[m->quantile]);
    else
        snprintf(name, 64, "latency_batch%d_1thread.%s_us", m->scenario == RT_MULTI_STREAM ? RT_SPEED_STREAMS : 1,
                 quantile[m->quantile]);
}

static const char *unit_of(const rt_cost_metric *m)
{
    if (m->scenario != RT_OFFLINE) return "us";
    return m->quantile == RT_OF_RATE ? "rows/s" : m->quantile == RT_OF_COST ? "a million rows" : "J a million rows";
}

static void add(rt_gate_work *w, int side, const rt_limit *l, sqlite3_stmt *s, const char *here)
{
    cJSON *j = cJSON_CreateObject(), *machine = cJSON_Parse(rt_sql_text(s, 4));
    char version[RT_VERSION_TEXT];
    int same = !strcmp(rt_sql_text(s, 3), here);
    snprintf(version, sizeof version, "%s@%lld", rt_sql_text(s, 0), (long long)sqlite3_column_int64(s, 1));
    cJSON_AddItemToArray(w->stored, j);
    cJSON_AddStringToObject(j, "side", rt_gate_side[side]);
    cJSON_AddStringToObject(j, "version", version);
    cJSON_AddStringToObject(j, "metric", l->metric);
    cJSON_AddNumberToObject(j, "value", sqlite3_column_double(s, 5));
    cJSON_AddStringToObject(j, "unit", unit_of(l->cost));
    cJSON_AddStringToObject(j, "time", rt_sql_text(s, 2));
    cJSON_AddStringToObject(j, "cpu", rt_text(machine, "cpu"));
    cJSON_AddBoolToObject(j, "same_machine", same);
    rt_eval_note(w->notes,
                 "stored, of the %s (%s): %s %.4g %s, measured %.20s on %s (%.60s). It is shown, and decides nothing.",
                 rt_gate_side[side], version, l->metric, sqlite3_column_double(s, 5), unit_of(l->cost),
                 rt_sql_text(s, 2), same ? "this machine" : "another machine", rt_text(machine, "cpu"));
    cJSON_Delete(machine);
}

/* The newest that the registry has of the side's model, whatever file it is in. */
static rt_status look_up(rt_gate_work *w, int side, const rt_limit *l, const char *here)
{
    const char *model = cJSON_GetStringValue(rt_member(w->sides[side], "model_digest"));
    sqlite3_stmt *s;
    char name[64];
    int row;
    if (!model) return RT_OK;
    name_of(l->cost, name);
    RT_TRY(
        rt_sql(w->registry, &s,
               "SELECT d.name, v.number, e.time, e.fingerprint, e.machine, m.value FROM evaluation e JOIN metric m ON "
               "m.evaluation = e.id JOIN version v ON v.id = e.version JOIN model d ON d.id = v.model WHERE "
               "v.digest = ? AND m.name = ? ORDER BY e.id DESC LIMIT 1",
               "ss", model, name));
    rt_status st = rt_sql_next(w->registry, s, &row);
    if (!st && row) add(w, side, l, s, here);
    sqlite3_finalize(s);
    return st;
}

rt_status rt_gate_stored(rt_gate_work *w)
{
    char here[17];
    rt_status st = RT_OK;
    if (!w->registry) return RT_OK;
    cJSON *machine = cJSON_CreateObject();
    rt_machine_describe(machine, w->spec->device, w->timing.count ? &w->timing.before : NULL);
    rt_machine_fingerprint(here, machine);
    cJSON_Delete(machine);
    for (int i = 0; i < w->policy.limits && !st; i++) {
        const rt_limit *l = &w->policy.limit[i];
        if (!l->cost || l->cost->size != RT_TIMED || l->anchor) continue;
        for (int side = 0; side < RT_SIDES && !st; side++) st = look_up(w, side, l, here);
    }
    return st;
}
