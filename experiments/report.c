#include "experiments/report.h"

#include <stdlib.h>
#include <string.h>

#include "engine/digest.h"
#include "experiments/report_parts.h"

enum { FILES = 4, SUMS_MAX = 1024 };
static const char *const file_name[FILES + 2] = {"evaluation.json", "report.md", "report.csv", "report.html",
                                                 "report.xxh128", NULL};
#define SUMS file_name[FILES]

struct rt_report {
    rt_run_folder *folder;
};

/* The hashes that a run left, by file. *of_ours 0: there are none, or the file that should hold them is not ours. */
static rt_status read_sums(const rt_report *r, char hash[FILES][33], int *of_ours)
{
    char path[RT_FOLDER_PATH], *text;
    size_t n;
    memset(hash, 0, FILES * sizeof hash[0]);
    rt_run_folder_path(r->folder, path, SUMS);
    *of_ours = 0;
    rt_status st = rt_read_file(&text, &n, path, SUMS_MAX);
    if (st) return st == RT_INPUT ? RT_OK : st;
    const char *at = text;
    int ours = 1;
    for (int i = 0; i < FILES && ours; i++) {
        size_t name = strlen(file_name[i]);
        ours = strspn(at, "0123456789abcdef") == 32 && !strncmp(at + 32, "  ", 2) &&
               !strncmp(at + 34, file_name[i], name) && at[34 + name] == '\n';
        if (!ours) break;
        memcpy(hash[i], at, 32);
        at += 35 + name;
    }
    *of_ours = ours && !*at;
    free(text);
    return RT_OK;
}

/* Every file that would be replaced is one that a run wrote: as it left it, or with force also changed since. */
static rt_status look(const rt_report *r, int force)
{
    char hash[FILES][33], path[RT_FOLDER_PATH];
    int ours;
    RT_TRY(read_sums(r, hash, &ours));
    for (int i = 0; i <= FILES; i++) {
        rt_digest d;
        int has;
        RT_TRY(rt_run_folder_has(r->folder, file_name[i], &has));
        if (!has) continue;
        rt_run_folder_path(r->folder, path, file_name[i]);
        if (!ours)
            return rt_fail(RT_USAGE,
                           "%s was not written by an evaluation, as far as %s tells, and is not replaced; give another "
                           "folder, or move it away",
                           path, SUMS);
        if (force || i == FILES) continue;
        RT_TRY(rt_digest_file(&d, path, 0));
        if (strcmp(d.hex, hash[i]))
            return rt_fail(RT_USAGE,
                           "%s was changed since an evaluation wrote it (%s has another digest); give another "
                           "folder, or --force to replace it",
                           path, SUMS);
    }
    return RT_OK;
}

rt_status rt_report_open(rt_report **out, const rt_target *target, const char *const *inputs)
{
    rt_report *r = calloc(1, sizeof *r);
    *out = NULL;
    if (!r) return rt_fail(RT_RUN, "out of memory");
    rt_status st = rt_run_folder_open(&r->folder, target, inputs, file_name); /* its lock shows it can be written */
    if (!st) st = look(r, target->force);
    if (st) rt_report_close(r);
    else *out = r;
    return st;
}

void rt_report_close(rt_report *r)
{
    if (!r) return;
    rt_run_folder_close(r->folder);
    free(r);
}

/* The old files go first, and new hashes come before new files: whenever this ends early, what is there is a run's
 * own. */
static rt_status put_files(const rt_report *r, const rt_string file[FILES], const char *sums)
{
    for (int i = 0; i < FILES; i++) RT_TRY(rt_run_folder_remove(r->folder, file_name[i]));
    RT_TRY(rt_run_folder_sync(r->folder, "."));
    RT_TRY(rt_run_folder_write(r->folder, SUMS, sums, strlen(sums)));
    for (int i = 0; i < FILES; i++) RT_TRY(rt_run_folder_write(r->folder, file_name[i], file[i].p, file[i].n));
    return RT_OK;
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
    rt_string file[FILES] = {{0}}, sums = {0};
    char path[RT_FOLDER_PATH];
    int failed = 0;
    for (int i = 0; i < FILES; i++) {
        form[i](&file[i], e);
        failed |= file[i].failed || !file[i].p;
        if (!failed) rt_put(&sums, "%s  %s\n", rt_digest_of(file[i].p, file[i].n).hex, file_name[i]);
    }
    failed |= sums.failed;
    rt_status st = failed ? rt_fail(RT_RUN, "out of memory") : put_files(r, file, sums.p);
    for (int i = 0; i < FILES; i++) free(file[i].p);
    free(sums.p);
    rt_run_folder_path(r->folder, path, "report.html");
    if (!st) cJSON_AddStringToObject(e, "report", path);
    return st;
}
