/* experiments/jobs/steps.c - the table of what a step of an experiment can do. */
#include "data/vote_job.h"
#include "experiments/jobs/calibrate_job.h"
#include "experiments/jobs/clean_job.h"
#include "experiments/drift/drift.h"
#include "experiments/eval/evaluator.h"
#include "experiments/explain/explain.h"
#include "experiments/jobs/export_job.h"
#include "experiments/jobs/gate_job.h"
#include "experiments/importer.h"
#include "experiments/jobs/predict_job.h"
#include "experiments/jobs/quantize_job.h"
#include "experiments/jobs/runner_parts.h"
#include "experiments/jobs/select_job.h"
#include "teacher/labeler.h"
#include "train/trainer.h"

/* ---- what can be said before ---- */

static rt_status check_import(const rt_run *x, cJSON *with) { return (void)x, rt_import_check(with); }
static rt_status check_label(const rt_run *x, cJSON *with) { return (void)x, rt_label_check(with); }
static rt_status check_vote(const rt_run *x, cJSON *with) { return (void)x, rt_vote_check(with); }
static rt_status check_calibrate(const rt_run *x, cJSON *with) { return (void)x, rt_calibrate_labels_check(with); }
static rt_status check_clean(const rt_run *x, cJSON *with) { return (void)x, rt_clean_check(with); }
static rt_status check_select(const rt_run *x, cJSON *with) { return (void)x, rt_select_check(with); }
static rt_status check_quantize(const rt_run *x, cJSON *with) { return (void)x, rt_quantize_check(with); }
static rt_status check_predict(const rt_run *x, cJSON *with) { return (void)x, rt_predict_check(with); }
static rt_status check_eval(const rt_run *x, cJSON *with) { return (void)x, rt_evaluate_check(with); }
static rt_status check_gate(const rt_run *x, cJSON *with) { return (void)x, rt_gate_check(with); }
static rt_status check_drift(const rt_run *x, cJSON *with) { return (void)x, rt_drift_check(with); }
static rt_status check_explain(const rt_run *x, cJSON *with) { return (void)x, rt_explain_check(with); }

static rt_status check_train(const rt_run *x, cJSON *with)
{
    RT_TRY(rt_train_check(with));
    return rt_train_check_device(with, x->device);
}

static rt_status check_export(const rt_run *x, cJSON *with)
{
    const char *stores[RT_STEPS + 1];
    int n = 0;
    for (int i = 0; i < x->steps; i++) if (x->step[i].kind->is & RT_STEP_STORE) stores[n++] = x->step[i].output;
    stores[n] = NULL;
    return rt_export_check(with, stores);
}

/* ---- what is done ---- */

static rt_target at_place(const rt_run *x, const rt_run_step *s, int force)
{ return (rt_target){.path = s->place, .force = force, .config = x->config}; }

static rt_status import(const rt_run *x, const rt_run_step *s, int stale, cJSON **r)
{
    rt_target out = at_place(x, s, 1);
    return (void)stale, rt_import(s->with, &out, x->progress, r);
}

static rt_status train(const rt_run *x, const rt_run_step *s, int stale, cJSON **r)
{
    rt_train_options o = {
        .out = s->place, .force = stale, .config = x->config, .device = x->device, .progress = x->progress};
    return rt_train(s->with, &o, r);
}

static rt_status label(const rt_run *x, const rt_run_step *s, int stale, cJSON **r)
{
    rt_target out = at_place(x, s, stale);
    return rt_label(s->with, &out, x->device, x->progress, r);
}

static rt_status vote(const rt_run *x, const rt_run_step *s, int stale, cJSON **r)
{
    rt_target out = at_place(x, s, 1);
    return (void)stale, rt_vote(s->with, &out, rt_device_pool(x->device), x->progress, r);
}

static rt_status calibrate(const rt_run *x, const rt_run_step *s, int stale, cJSON **r)
{
    rt_target out = at_place(x, s, 1);
    return (void)stale, rt_calibrate_labels(s->with, &out, rt_device_pool(x->device), x->progress, r);
}

/* ${step} is the mask; the list lies beside it. */
static rt_status clean(const rt_run *x, const rt_run_step *s, int stale, cJSON **r)
{
    rt_target mask = at_place(x, s, 1), list = {.path = s->beside, .force = 1, .config = x->config};
    return (void)stale, rt_clean(s->with, &list, &mask, x->device, x->progress, r);
}

static rt_status choose(const rt_run *x, const rt_run_step *s, int stale, cJSON **r)
{
    rt_target out = at_place(x, s, 1);
    return (void)stale, rt_select_rows(s->with, &out, r);
}

static rt_status quantize(const rt_run *x, const rt_run_step *s, int stale, cJSON **r)
{
    rt_target out = at_place(x, s, 1);
    return (void)stale, rt_quantize(s->with, &out, x->cpu ? x->cpu : x->device, x->progress, r);
}

static rt_status predict(const rt_run *x, const rt_run_step *s, int stale, cJSON **r)
{
    rt_target out = at_place(x, s, 1);
    return (void)stale, rt_predict_rows(s->with, &out, x->device, x->progress, r);
}

static rt_status evaluate(const rt_run *x, const rt_run_step *s, int stale, cJSON **r)
{
    rt_target out = at_place(x, s, 0);
    return (void)stale, rt_evaluate(s->with, &out, x->device, x->progress, r);
}

static rt_status export(const rt_run *x, const rt_run_step *s, int stale, cJSON **r)
{
    rt_target out = at_place(x, s, 1);
    return (void)stale, rt_export(s->with, &out, r);
}

static rt_status gate(const rt_run *x, const rt_run_step *s, int stale, cJSON **r)
{
    rt_target out = at_place(x, s, 1);
    return (void)stale, rt_gate_run(s->with, &out, x->device, x->progress, r);
}

static rt_status drift(const rt_run *x, const rt_run_step *s, int stale, cJSON **r)
{
    rt_target out = at_place(x, s, 1);
    return (void)stale, rt_drift(s->with, &out, x->device, x->progress, r);
}

static rt_status explain(const rt_run *x, const rt_run_step *s, int stale, cJSON **r)
{
    rt_target out = at_place(x, s, 1);
    return (void)stale, rt_explain(s->with, &out, x->cpu ? x->cpu : x->device, x->progress, r);
}

/* ---- the table ---- */

static const char *form_itself(const char *to) { return to ? to : "h5"; }
static const char *form_of_export(const char *to) { return rt_export_ending_of(to ? to : ""); }
static int has_folds(const cJSON *with) { return cJSON_HasObjectItem(with, "folds"); }
static int always(const cJSON *with) { return (void)with, 1; }

const rt_step_kind rt_step_kinds[] = {
    {.name = "import", .ending = "h5", .is = RT_STEP_INPUT_FOLDER, .check = check_import, .perform = import},
    {.name = "train",
     .is = RT_STEP_FOLDER | RT_STEP_COMPUTES,
     .makes = "model.h5",
     .precision = "train",
     .specifications = 4,
     .check = check_train,
     .perform = train,
     .seeded = always},
    {.name = "label",
     .ending = "h5",
     .is = RT_STEP_COMPUTES | RT_STEP_STORE,
     .precision = "label",
     .specifications = 4,
     .check = check_label,
     .perform = label},
    {.name = "vote", .ending = "h5", .is = RT_STEP_STORE, .check = check_vote, .perform = vote},
    {.name = "calibrate", .ending = "json", .is = RT_STEP_MARKED, .check = check_calibrate, .perform = calibrate},
    {.name = "clean",
     .ending = "h5",
     .beside = "csv",
     .is = RT_STEP_COMPUTES | RT_STEP_MARKED,
     .check = check_clean,
     .perform = clean,
     .seeded = has_folds},
    {.name = "select", .ending = "csv", .is = RT_STEP_MARKED, .check = check_select, .perform = choose},
    {.name = "quantize", .ending = "h5", .is = RT_STEP_CALIBRATES, .check = check_quantize, .perform = quantize},
    {.name = "predict",
     .ending_of = form_itself,
     .is = RT_STEP_COMPUTES | RT_STEP_MARKED,
     .precision = "",
     .specifications = 5,
     .check = check_predict,
     .perform = predict},
    {.name = "eval",
     .is = RT_STEP_FOLDER | RT_STEP_COMPUTES | RT_STEP_EVALUATION,
     .product = "evaluation.json",
     .precision = "eval",
     .specifications = 4,
     .check = check_eval,
     .perform = evaluate},
    {.name = "export", .ending_of = form_of_export, .is = RT_STEP_MARKED, .check = check_export, .perform = export},
    {.name = "gate",
     .is = RT_STEP_FOLDER | RT_STEP_COMPUTES | RT_STEP_DAILY | RT_STEP_VERDICT,
     .product = "verdict.json",
     .precision = "",
     .check = check_gate,
     .perform = gate,
     .depends = rt_gate_depends},
    {.name = "drift",
     .is = RT_STEP_FOLDER | RT_STEP_COMPUTES | RT_STEP_VERDICT,
     .product = "drift.json",
     .precision = "",
     .specifications = 5,
     .check = check_drift,
     .perform = drift},
    {.name = "explain",
     .is = RT_STEP_FOLDER | RT_STEP_CALIBRATES,
     .product = "explanation.json",
     .specifications = 6,
     .check = check_explain,
     .perform = explain},
    {0}};
