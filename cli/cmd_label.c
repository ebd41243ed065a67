/* cli/cmd_label.c - retort label */
#include "cli/cli.h"
#include "teacher/labeler.h"

static rt_status run(cli_args *a, cJSON **result)
{
    cJSON *config;
    const char *out = cli_value(a, "out");
    if (!out) return rt_fail(RT_USAGE, "label: --out LABELS.h5 is required; see 'retort label --help'");
    rt_status st = cli_config(a, &config);
    if (!st) st = cli_set_list(a, config, "teacher", "teacher");
    if (!st) st = cli_set_option(a, config, "data", "data.source");
    if (!st) st = cli_set_option(a, config, "rows", "data.rows");
    if (!st) st = cli_set_option(a, config, "check", "data.check");
    rt_target target = {.path = out, .force = cli_flag(a, "force"), .config = a->count ? a->positional[0] : NULL};
    if (!st) st = rt_label(config, &target, a->pool, &a->progress, result);
    cJSON_Delete(config);
    return st;
}

/* As a tree, with the largest classes alone where there are many. */
static void show(const cJSON *result)
{
    enum { MOST = 20 };
    cJSON *copy = cJSON_Duplicate(result, 1), *all = cJSON_GetObjectItemCaseSensitive(copy, "class_counts");
    int classes = cJSON_GetArraySize(all);
    if (classes > MOST) {
        char name[64];
        cJSON *largest = cJSON_CreateObject();
        for (int i = 0; i < MOST; i++) {
            cJSON *best = all->child;
            for (cJSON *c = best; c; c = c->next) if (c->valuedouble > best->valuedouble) best = c;
            cJSON_AddNumberToObject(largest, best->string, best->valuedouble);
            cJSON_Delete(cJSON_DetachItemViaPointer(all, best));
        }
        snprintf(name, sizeof name, "class_counts, largest %d of %d", MOST, classes);
        cJSON_AddItemToObject(copy, name, largest);
        cJSON_DeleteItemFromObjectCaseSensitive(copy, "class_counts");
    }
    cli_print_tree(copy, 0);
    cJSON_Delete(copy);
}

static const cli_option options[] = {
    {"teacher", CLI_LIST, "MODEL.h5", "given more than once: an ensemble", NULL},
    {"data", CLI_VALUE, "DATA.h5", "the same as data.source", NULL},
    {"rows", CLI_VALUE, "A:B", "rows of the source (default: all); the same as data.rows", NULL},
    {"check", CLI_VALUE, "HOW", "known or full; the same as data.check", NULL},
    {"out", CLI_VALUE, "LABELS.h5", "the label store", NULL},
    {"force", CLI_FLAG, NULL, "replace a store made by another teacher or of other data", NULL},
    {0}};

const cli_command cli_label = {
    .name = "label",
    .summary = "let a teacher label a data set",
    .usage = "[CONFIG.json] --teacher MODEL.h5 [--teacher ...] --data DATA.h5 --out LABELS.h5 [--rows A:B] "
             "[--check HOW] [key=value ...] [--force]",
    .about =
        "Writes the teacher's logits for rows of a data set into a label store. Several teachers make an ensemble.\n\n"
        "What is reported as done is on disk; the same command goes on after an interruption, to the same bytes. "
        "Data that changed since it was labelled is refused.",
    .options = options,
    .keys = cli_label_keys,
    .examples = "retort label --teacher runs/teacher/model.h5 --data train.h5 --rows 10000:60000 --out labels.h5\n",
    .run = run,
    .show = show,
    .takes = CLI_KEYS | CLI_THREADS,
    .files = 1};
