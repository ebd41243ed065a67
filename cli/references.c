/* cli/references.c - versions of a registry where a command takes a model. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "data/file_name.h"
#include "experiments/registry/registry.h"

const cli_option cli_registries[] = {
    {"registry", CLI_VALUE, "DIR", "of models that are given as NAME@TAG, NAME@NUMBER or sha256:DIGEST (also "
     "RETORT_REGISTRY)", NULL},
    {0}};

static struct {
    const char *folder;
    const rt_progress *progress;
} given;

static rt_status meaning(void *arg, const char *text, char path[RT_MEANT_PATH], char called[RT_MEANT_NAME])
{
    char told[RT_TOLD];
    (void)arg;
    RT_TRY(rt_registry_resolve(given.folder, text, path, called, told));
    if (*told) rt_progress_line(given.progress, told);
    return RT_OK;
}

/* "key=NAME@TAG" and "key=[...]": what stands behind "=" is JSON, or else a text. */
static rt_status take_override(const char **override)
{
    const char *eq = strchr(*override, '=');
    cJSON *j = cJSON_CreateObject(), *value = cJSON_Parse(eq + 1);
    char key[128];
    size_t n = (size_t)(eq - *override), dot = n;
    while (dot && (*override)[dot - 1] != '.') dot--;
    snprintf(key, sizeof key, "%.*s", (int)(n - dot), *override + dot);
    if (!value) value = cJSON_CreateString(eq + 1);
    cJSON_AddItemToObject(j, key, value);
    char *before = cJSON_PrintUnformatted(value);
    rt_status st = rt_file_names_in(j);
    char *after = st ? NULL : cJSON_PrintUnformatted(value);
    if (after && strcmp(before, after)) {
        char *text = NULL;
        if (asprintf(&text, "%.*s=%s", (int)n, *override, after) < 0) st = rt_fail(RT_RUN, "out of memory");
        else *override = text;                          /* as long as the process, as arguments are */
    }
    cJSON_free(before);
    cJSON_free(after);
    cJSON_Delete(j);
    return st;
}

static int is_of_models(const cli_option *o)
{
    return o->value && strcmp(o->name, "out") && (strstr(o->value, "MODEL") || strstr(o->value, "TEACHER"));
}

rt_status cli_references(cli_args *a, const cli_command *c)
{
    given.folder = cli_value(a, "registry");
    if (!given.folder) given.folder = getenv("RETORT_REGISTRY");
    if (given.folder && !*given.folder) given.folder = NULL;
    given.progress = &a->progress;
    rt_file_names_by(meaning, NULL);
    if (!(c->takes & CLI_REGISTRY)) return RT_OK;
    for (int i = 0; i < a->count; i++) RT_TRY(rt_file_name(&a->positional[i]));
    for (int i = 0; i < a->overrides; i++) RT_TRY(take_override(&a->override[i]));
    for (int i = 0; i < a->options; i++)
        for (const cli_option *o = c->options; o->name; o++)
            if (!strcmp(o->name, a->name[i]) && is_of_models(o)) RT_TRY(rt_file_name(&a->value[i]));
    return RT_OK;
}
