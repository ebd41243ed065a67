/* experiments/gate/gate_wear.c - what a gate has from a registry: the anchor, and how often its rows have been used. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "experiments/gate/gate_parts.h"
#include "experiments/report/report_parts.h"
#include "experiments/registry/registry_parts.h"

/* ---- the anchor ---- */

/* The name that has these bytes as a version, the newest one; "": none. */
static rt_status name_of(rt_registry *r, const char *sha256, char name[RT_REGISTRY_NAME])
{
    sqlite3_stmt *s;
    int row;
    *name = 0;
    RT_TRY(rt_sql(r, &s, "SELECT m.name FROM version v JOIN model m ON m.id = v.model WHERE v.object = ? ORDER BY v.id "
                  "DESC LIMIT 1", "s", sha256));
    rt_status st = rt_sql_next(r, s, &row);
    if (!st && row) snprintf(name, RT_REGISTRY_NAME, "%s", rt_sql_text(s, 0));
    sqlite3_finalize(s);
    return st;
}

static rt_status take_anchor(rt_gate_work *w)
{
    char name[RT_REGISTRY_NAME];
    rt_version v;
    RT_TRY(name_of(w->registry, w->sha256[RT_BASELINE] + 7, name));
    if (!*name) RT_TRY(name_of(w->registry, w->sha256[RT_CANDIDATE] + 7, name));
    if (!*name)
        return rt_fail(RT_USAGE,
                       "%s: neither side is a version of %s, so it has no anchor of theirs: add the baseline to "
                       "it ('retort registry add'), or give --anchor MODEL.h5",
                       w->spec->policy, w->spec->registry);
    rt_status st = rt_registry_anchor_of(w->registry, name, &v, w->release);
    if (st) return rt_fail_in(st, "%s: limits are held against the anchor (%d)", w->spec->policy, w->policy.anchored);
    RT_TRY(rt_registry_check_object(w->registry, v.sha256, 1));
    rt_registry_object(w->registry, w->anchor, v.sha256);
    w->anchor_file = w->anchor;
    rt_version_text(w->anchor_name, &v);
    w->own = *w->spec;
    w->own.anchor = &w->anchor_file;
    w->own.anchors = 1;
    w->spec = &w->own;
    return rt_gate_sha256(w->sha256[RT_ANCHOR], w->anchor);
}

rt_status rt_gate_registry(rt_gate_work *w)
{
    w->alpha = NAN;
    if (!w->spec->registry) return RT_OK;
    RT_TRY(rt_registry_open(&w->registry, w->spec->registry, 0));
    if (w->policy.spending && !w->registry->write)
        return rt_fail(RT_RUN, "%s: this registry cannot be written, and what the policy spends must be counted there",
                       w->spec->registry);
    return w->policy.anchored && !w->spec->anchors ? take_anchor(w) : RT_OK;
}

/* ---- looks ---- */

static const char *digest_of(const rt_gate_work *w, int side)
{
    const char *model = cJSON_GetStringValue(rt_member(w->sides[side], "model_digest"));
    return model ? model : "";
}

rt_status rt_gate_count(rt_gate_work *w)
{
    const rt_policy *p = &w->policy;
    const char *rows = cJSON_GetStringValue(rt_member(w->sides[RT_CANDIDATE], "rows_digest"));
    char policy[RT_SHA256];
    if (!w->registry || !rows) return RT_OK;
    RT_TRY(rt_registry_policy_digest(policy, p->json));
    rt_look_of of = {rows, digest_of(w, RT_BASELINE), digest_of(w, RT_CANDIDATE),
                     p->anchored ? w->sha256[RT_ANCHOR] + 7 : "", policy};
    RT_TRY(rt_registry_look(w->registry, &of, p->spending ? p->releases : 0, &w->look));
    if (!w->look.number && p->spending)
        return rt_fail(RT_NOTHING,
                       "%s: all of its alpha is spent: this test set (%.8s) has been used for %d decisions, "
                       "and %d releases were planned; take new rows, or plan anew",
                       w->spec->policy, rows, w->look.decisions, p->releases);
    if (!w->look.number)
        rt_eval_note(w->notes, "%s cannot be written: this decision is not counted.", w->spec->registry);
    if (!p->spending && p->releases && w->look.number > p->releases)
        rt_eval_note(w->notes, "This test set has been used for %d decisions, and the policy planned %d releases: what "
                     "was chosen on it looks better on it than it is. Take new rows.", w->look.decisions, p->releases);
    if (!p->spending) return RT_OK;
    w->alpha = rt_spending_alpha(p->spending, 1 - p->confidence, w->look.number, p->releases);
    w->confidence = 1 - w->alpha;
    return RT_OK;
}

/* ---- what is told ---- */

cJSON *rt_gate_test_set(const rt_gate_work *w)
{
    const rt_policy *p = &w->policy;
    cJSON *j = cJSON_CreateObject();
    const char *rows = cJSON_GetStringValue(rt_member(w->sides[RT_CANDIDATE], "rows_digest"));
    if (rows) cJSON_AddStringToObject(j, "digest", rows);
    if (!w->registry) return j;
    cJSON_AddNumberToObject(j, "decisions", w->look.decisions);
    if (w->look.number) cJSON_AddNumberToObject(j, "look", w->look.number);
    cJSON_AddBoolToObject(j, "again", w->look.again);
    if (p->releases) cJSON_AddNumberToObject(j, "releases", p->releases);
    if (!p->spending) return j;
    cJSON_AddStringToObject(j, "spending", rt_spending_name[p->spending]);
    cJSON_AddNumberToObject(j, "alpha", w->alpha);
    cJSON_AddNumberToObject(j, "alpha_spent", rt_spent(p->spending, 1 - p->confidence,
                                                       (double)w->look.number / p->releases));
    cJSON_AddNumberToObject(j, "alpha_of_all", 1 - p->confidence);
    return j;
}

rt_status rt_gate_keep(rt_gate_work *w, const cJSON *verdict)
{
    int64_t id;
    if (!w->registry || !w->registry->write) return RT_OK;
    return rt_registry_add_gate(w->registry, verdict, w->alpha, &id);
}

void rt_gate_put_wear(rt_string *t, const cJSON *v)
{
    const cJSON *s = rt_member(v, "test_set"), *how = rt_member(s, "spending");
    double n = rt_number(s, "decisions"), look = rt_number(s, "look"), releases = rt_number(s, "releases");
    if (!isfinite(n)) return;
    if (isfinite(look)) {
        rt_put(t, "look %.0f ", look);
        if (isfinite(releases)) rt_put(t, "of %.0f ", releases);
        rt_put(t, "on this test set%s", cJSON_IsTrue(rt_member(s, "again")) ? " (made before)" : "");
        if (how)
            rt_put(t, ", alpha %.2g of %.2g (%s, two-sided; %.2g spent with it)", rt_number(s, "alpha"),
                   rt_number(s, "alpha_of_all"), cJSON_GetStringValue(how), rt_number(s, "alpha_spent"));
        rt_put(t, "; ");
    }
    rt_put(t, "this test set has been used for %.0f decision%s", n, n == 1 ? "" : "s");
}
