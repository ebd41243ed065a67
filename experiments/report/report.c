#include "experiments/report/report.h"

#include <stdlib.h>

#include "experiments/report/report_parts.h"
#include "experiments/result_files.h"

enum { FILES = 4 };
static const rt_result_list list = {.name = {"evaluation.json", "report.md", "report.csv", "report.html"},
                                    .sums = "report.xxh128",
                                    .by = "an evaluation"};

struct rt_report {
    rt_result_files *files;
};

rt_status rt_report_open(rt_report **out, const rt_target *target, const char *const *inputs)
{
    rt_report *r = calloc(1, sizeof *r);
    *out = NULL;
    if (!r) return rt_fail(RT_RUN, "out of memory");
    rt_status st = rt_result_files_open(&r->files, target, inputs, &list);
    if (st) rt_report_close(r);
    else *out = r;
    return st;
}

void rt_report_close(rt_report *r)
{
    if (!r) return;
    rt_result_files_close(r->files);
    free(r);
}

static void json(rt_string *t, const cJSON *e)
{
    char *text = rt_json_text(e, 1);
    if (text) rt_put(t, "%s\n", text);
    else t->failed = 1;
    free(text);
}

rt_status rt_report_write(rt_report *r, cJSON *e)
{
    static void (*const form[FILES])(rt_string *, const cJSON *) = {json, rt_report_markdown, rt_report_csv,
                                                                  rt_report_html};
    rt_string file[FILES] = {{0}};
    char path[RT_FOLDER_PATH];
    for (int i = 0; i < FILES; i++) form[i](&file[i], e);
    rt_status st = rt_result_files_write(r->files, file);
    for (int i = 0; i < FILES; i++) free(file[i].p);
    rt_result_files_path(r->files, path, "report.html");
    if (!st) cJSON_AddStringToObject(e, "report", path);
    return st;
}
