#include "experiments/result_files.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/digest.h"

enum { SUMS_MAX = 1024 };

struct rt_result_files {
    rt_run_folder *folder;
    const rt_result_list *list;
    int count;
};

/* The hashes that a run left, by file; one of an earlier version may lack the last names of the list. *of_ours 0: there
 * are none, or the file that should hold them is not ours. */
static rt_status read_sums(const rt_result_files *r, char hash[RT_RESULT_FILES][33], int *of_ours)
{
    char path[RT_FOLDER_PATH], *text;
    size_t n;
    memset(hash, 0, RT_RESULT_FILES * sizeof hash[0]);
    rt_run_folder_path(r->folder, path, r->list->sums);
    *of_ours = 0;
    rt_status st = rt_read_file(&text, &n, path, SUMS_MAX);
    if (st) return st == RT_INPUT ? RT_OK : st;
    const char *at = text;
    int ours = 1;
    for (int i = 0; i < r->count && ours && (*at || !i); i++) {
        const char *called = r->list->name[i];
        size_t name = strlen(called);
        ours = strspn(at, "0123456789abcdef") == 32 && !strncmp(at + 32, "  ", 2) &&
               !strncmp(at + 34, called, name) && at[34 + name] == '\n';
        if (!ours) break;
        memcpy(hash[i], at, 32);
        at += 35 + name;
    }
    *of_ours = ours && !*at;
    free(text);
    return RT_OK;
}

/* Every file that would be replaced is one that a run wrote: as it left it, or with force also changed since. */
static rt_status look(const rt_result_files *r, int force)
{
    char hash[RT_RESULT_FILES][33], path[RT_FOLDER_PATH];
    const char *sums = r->list->sums;
    int ours;
    RT_TRY(read_sums(r, hash, &ours));
    for (int i = 0; i <= r->count; i++) {
        const char *name = i < r->count ? r->list->name[i] : sums;
        rt_digest d;
        int has;
        RT_TRY(rt_run_folder_has(r->folder, name, &has));
        if (!has) continue;
        rt_run_folder_path(r->folder, path, name);
        if (!ours || (i < r->count && !*hash[i]))
            return rt_fail(RT_USAGE,
                           "%s was not written by %s, as far as %s tells, and is not replaced; give another "
                           "folder, or move it away",
                           path, r->list->by, sums);
        if (force || i == r->count) continue;
        if (r->list->keeps)
            return rt_fail(RT_USAGE, "%s is there; give another folder, or --force to replace it", path);
        RT_TRY(rt_digest_file(&d, path, 1));
        if (strcmp(d.hex, hash[i]))
            return rt_fail(RT_USAGE,
                           "%s was changed since %s wrote it (%s has another digest); give another "
                           "folder, or --force to replace it",
                           path, r->list->by, sums);
    }
    return RT_OK;
}

rt_status rt_result_files_open(rt_result_files **out, const rt_target *target, const char *const *inputs,
                               const rt_result_list *list)
{
    const char *names[RT_RESULT_FILES + 2] = {NULL};
    rt_result_files *r = calloc(1, sizeof *r);
    *out = NULL;
    if (!r) return rt_fail(RT_RUN, "out of memory");
    r->list = list;
    while (list->name[r->count]) {
        names[r->count] = list->name[r->count];
        r->count++;
    }
    names[r->count] = list->sums;
    rt_status st = rt_run_folder_open(&r->folder, target, inputs, names); /* its lock shows it can be written */
    if (!st) st = look(r, target->force);
    if (st) rt_result_files_close(r);
    else *out = r;
    return st;
}

void rt_result_files_close(rt_result_files *r)
{
    if (!r) return;
    rt_run_folder_close(r->folder);
    free(r);
}

void rt_result_files_path(const rt_result_files *r, char out[RT_FOLDER_PATH], const char *name)
{ rt_run_folder_path(r->folder, out, name); }

/* The old files go first, and new hashes come before new files. */
static rt_status put_files(const rt_result_files *r, const rt_string *text, const rt_string *sums)
{
    for (int i = 0; i < r->count; i++) RT_TRY(rt_run_folder_remove(r->folder, r->list->name[i]));
    RT_TRY(rt_run_folder_sync(r->folder, "."));
    RT_TRY(rt_run_folder_write(r->folder, r->list->sums, sums->p, sums->n));
    for (int i = 0; i < r->count; i++)
        RT_TRY(rt_run_folder_write(r->folder, r->list->name[i], text[i].p, text[i].n));
    return RT_OK;
}

/* A part of what was to be written is worth nothing: the disk is full, as a rule. The message stays. */
static rt_status take_back(const rt_result_files *r, rt_status st)
{
    char message[2048];
    snprintf(message, sizeof message, "%s", rt_error_message());
    for (int i = 0; i < r->count; i++) rt_run_folder_remove(r->folder, r->list->name[i]);
    rt_run_folder_remove(r->folder, r->list->sums);
    return rt_fail(st, "%s", message);
}

rt_status rt_result_files_write(rt_result_files *r, const rt_string *text)
{
    rt_string sums = {0};
    int failed = 0;
    for (int i = 0; i < r->count; i++) {
        failed |= text[i].failed || !text[i].p;
        if (!failed) rt_put(&sums, "%s  %s\n", rt_digest_of(text[i].p, text[i].n).hex, r->list->name[i]);
    }
    failed |= sums.failed;
    rt_status st = failed ? rt_fail(RT_RUN, "out of memory") : put_files(r, text, &sums);
    free(sums.p);
    return st ? take_back(r, st) : RT_OK;
}
