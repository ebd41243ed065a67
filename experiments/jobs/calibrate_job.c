#include "experiments/jobs/calibrate_job.h"

#include <stdlib.h>
#include <string.h>

#include "data/label_report.h"
#include "data/source_files.h"
#include "export/out_file.h"

static rt_status read_settings(cJSON *config, rt_label_report *r, rt_target_where *y)
{
    rt_cfg c = rt_cfg_begin(config, "");
    *r = (rt_label_report){0};
    r->store = rt_cfg_file(&c, "labels", NULL);
    if (rt_cfg_has(&c, "head")) r->head = rt_cfg_string(&c, "head", "");
    rt_cfg d = rt_cfg_object(&c, "data");
    RT_TRY(d.status);
    r->data = rt_cfg_source(&d, "source", NULL);
    r->x = rt_cfg_string(&d, "x", "x");
    if (rt_target_y_read(&d, y)) r->truth = y;
    else (void)rt_cfg_string(&d, "y", "y");
    if (rt_cfg_has(&d, "rows")) r->rows = rt_cfg_string(&d, "rows", "");
    rt_cfg_join(&c, &d);
    return rt_cfg_end(&c);
}

rt_status rt_calibrate_labels_check(cJSON *config)
{
    rt_label_report r;
    rt_target_where y;
    return read_settings(config, &r, &y);
}

static rt_status write_result(const cJSON *result, rt_output *o)
{
    char *text = rt_json_text(result, 1);
    if (!text) return rt_fail(RT_RUN, "out of memory");
    rt_out_file f = rt_out_open(o);
    rt_out_put(&f, text, strlen(text));
    free(text);
    return rt_out_close(&f, RT_OK);
}

rt_status rt_calibrate_labels(cJSON *config, const rt_target *out, rt_pool *pool, const rt_progress *progress,
                              cJSON **result)
{
    rt_label_report r;
    rt_target_where y;
    rt_output *o;
    *result = NULL;
    RT_TRY(read_settings(config, &r, &y));
    r.pool = pool;
    r.progress = progress;
    const char *inputs[] = {r.store, r.data, r.truth && y.source ? y.source : NULL, NULL};
    RT_TRY(rt_output_take(&o, out, inputs));
    rt_status st = rt_output_may_replace(o, RT_OUTPUT_EXPORT);
    if (!st) st = rt_label_calibrate_report(&r, result);
    if (!st) st = write_result(*result, o);
    rt_output_end(o);
    if (!st) return RT_OK;
    cJSON_Delete(*result);
    *result = NULL;
    return st;
}
