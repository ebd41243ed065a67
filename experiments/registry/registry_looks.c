#include "experiments/registry/registry_looks.h"

#include <stdlib.h>
#include <string.h>

#include "experiments/registry/registry_parts.h"

rt_status rt_registry_policy_digest(char out[RT_SHA256], const cJSON *policy)
{
    cJSON *copy = cJSON_Duplicate(policy, 1);
    rt_json_sort(copy);
    char *text = copy ? rt_json_text(copy, 0) : NULL;
    cJSON_Delete(copy);
    if (!text) return rt_fail(RT_RUN, "out of memory");
    rt_sha256_of(out, text, strlen(text));
    free(text);
    return RT_OK;
}

rt_status rt_registry_decisions(rt_registry *r, const char *test_set, int *count)
{
    int64_t n;
    RT_TRY(rt_sql_number(r, &n, 0, "SELECT count(*) FROM look WHERE test_set = ?", "s", test_set));
    *count = n < 0x7fffffff ? (int)n : 0x7fffffff;
    return RT_OK;
}

rt_status rt_registry_pins(rt_registry *r, int64_t *count)
{
    return rt_sql_number(r, count, 0, "SELECT count(*) FROM anchor", "");
}

static rt_status find(rt_registry *r, const rt_look_of *of, rt_look *look)
{
    int64_t number;
    RT_TRY(rt_sql_number(r, &number, 0,
                         "SELECT number FROM look WHERE test_set = ? AND baseline = ? AND candidate = ? "
                         "AND anchor = ? AND policy = ?",
                         "sssss", of->test_set, of->baseline, of->candidate, of->anchor, of->policy));
    *look = (rt_look){.number = (int)number, .again = number > 0};
    return rt_registry_decisions(r, of->test_set, &look->decisions);
}

rt_status rt_registry_take_look(rt_registry *r, const rt_look_of *of, int most, rt_look *look)
{
    int64_t event;
    RT_TRY(find(r, of, look));
    if (look->again || (most && look->decisions >= most)) return RT_OK;
    RT_TRY(rt_registry_event(r, 0, 0, "look", of->test_set, &event));
    RT_TRY(rt_sql_run(r,
                      "INSERT INTO look (event, test_set, number, baseline, candidate, anchor, policy) VALUES "
                      "(?, ?, ?, ?, ?, ?, ?)",
                      "isissss", event, of->test_set, (int64_t)look->decisions + 1, of->baseline, of->candidate,
                      of->anchor, of->policy));
    look->number = ++look->decisions;
    return RT_OK;
}

rt_status rt_registry_look(rt_registry *r, const rt_look_of *of, int most, rt_look *look)
{
    if (!r->write) return find(r, of, look);
    rt_status st = rt_registry_begin(r);
    if (!st) st = rt_registry_take_look(r, of, most, look);
    if (!st) st = rt_registry_commit(r);
    rt_registry_rollback(r);
    return st;
}
