#include "experiments/jobs/gate_job.h"

#include <time.h>

#include "data/files.h"
#include "data/precision.h"
#include "experiments/policy.h"
#include "experiments/registry/registry_looks.h"

enum { MEMBERS = 16 };

typedef struct { const char *baseline[MEMBERS], *candidate[MEMBERS], *anchor[MEMBERS]; rt_gate_spec spec; } settings;

static rt_status read_settings(cJSON *config, settings *s)
{
    rt_cfg c = rt_cfg_begin(config, "");
    *s = (settings){.spec = {.baseline = s->baseline, .candidate = s->candidate, .anchor = s->anchor}};
    s->spec.baselines = rt_cfg_strings(&c, "baseline", s->baseline, MEMBERS);
    s->spec.candidates = rt_cfg_strings(&c, "candidate", s->candidate, MEMBERS);
    s->spec.anchors = rt_cfg_strings(&c, "anchor", s->anchor, MEMBERS);
    if (!s->spec.baselines) rt_cfg_fail(&c, "baseline", "a model, predictions, or a list of models is required");
    if (!s->spec.candidates) rt_cfg_fail(&c, "candidate", "a model, predictions, or a list of models is required");
    s->spec.policy = rt_cfg_file(&c, "policy", NULL);
    s->spec.data = rt_cfg_has(&c, "data") ? rt_cfg_any(&c, "data") : NULL;
    const char *registry = rt_cfg_string(&c, "registry", "");
    s->spec.registry = *registry ? registry : NULL;
    s->spec.common = rt_cfg_bool(&c, "common", 0);
    s->spec.allow_same = rt_cfg_bool(&c, "allow_same", 0);
    s->spec.precision = rt_precision_read(&c);
    return rt_cfg_end(&c);
}

rt_status rt_gate_check(cJSON *config)
{
    settings s;
    rt_policy policy;
    int there;
    RT_TRY(read_settings(config, &s));
    RT_TRY(rt_file_there(s.spec.policy, &there));
    if (!there) return RT_OK;
    rt_status st = rt_policy_read(&policy, s.spec.policy, (long)(time(NULL) / 86400));
    rt_policy_free(&policy);
    return st;
}

rt_status rt_gate_run(cJSON *config, const rt_target *out, rt_device *device, const rt_progress *progress,
                      cJSON **verdict)
{
    settings s;
    *verdict = NULL;
    RT_TRY(read_settings(config, &s));
    s.spec.device = device;
    s.spec.progress = progress;
    return rt_gate(&s.spec, out, verdict);
}

rt_status rt_gate_depends(const cJSON *config, rt_hasher *h)
{
    const char *folder = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(config, "registry"));
    rt_registry *r;
    int64_t pins;
    if (!folder || !*folder) return RT_OK;
    RT_TRY(rt_registry_open(&r, folder, 0));
    rt_status st = rt_registry_pins(r, &pins);
    rt_registry_close(r);
    rt_hasher_add(h, &pins, sizeof pins);
    return st;
}
