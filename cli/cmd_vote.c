/* cli/cmd_vote.c - retort vote */
#include <string.h>

#include "cli/cli.h"
#include "data/vote_job.h"

/* --priors: a word, or shares with commas between. */
static rt_status take_priors(const cli_args *a, cJSON *config)
{
    char text[4096];
    const char *priors = cli_value(a, "priors");
    if (!priors || !strpbrk(priors, "0123456789")) return cli_set_option(a, config, "priors", "vote.priors");
    const cJSON *vote = cJSON_GetObjectItemCaseSensitive(config, "vote");
    if (cJSON_HasObjectItem(vote, "priors"))
        return rt_fail(RT_USAGE, "--priors and vote.priors say the same thing; give one of them");
    if (strlen(priors) + 32 > sizeof text) return rt_fail(RT_USAGE, "--priors: is too long; use vote.priors in a file");
    snprintf(text, sizeof text, "vote.priors=[%s]", priors);
    RT_TRY(rt_json_override(config, text));
    vote = cJSON_GetObjectItemCaseSensitive(config, "vote");
    if (cJSON_IsArray(cJSON_GetObjectItemCaseSensitive(vote, "priors"))) return RT_OK;
    return rt_fail(RT_USAGE, "--priors %s: learn, uniform, or shares with commas between are expected", priors);
}

static rt_status run(cli_args *a, cJSON **result)
{
    const char *out = cli_value(a, "out");
    if (!out || a->count < 1)
        return rt_fail(RT_USAGE, "vote: voters and --out LABELS.h5 are required; see 'retort vote --help'");
    cJSON *config = cJSON_CreateObject(), *list = cJSON_AddArrayToObject(config, "voters");
    for (int i = 0; i < a->count; i++) cJSON_AddItemToArray(list, cJSON_CreateString(a->positional[i]));
    rt_status st = RT_OK;
    for (int i = 0; i < a->overrides && !st; i++) st = rt_json_override(config, a->override[i]);
    if (!st) st = cli_set_option(a, config, "data", "data.source");
    if (!st) st = cli_set_option(a, config, "truth", "truth");
    if (!st) st = cli_set_option(a, config, "method", "vote.method");
    if (!st) st = take_priors(a, config);
    rt_target target = {.path = out, .force = cli_flag(a, "force")};
    if (!st) st = rt_vote(config, &target, rt_device_pool(a->device), &a->progress, result);
    cJSON_Delete(config);
    return st;
}

/* As a tree, with a line for each voter in place of its confusions. */
static void show(const cJSON *result)
{
    cJSON *copy = cJSON_Duplicate(result, 1), *voters = cJSON_GetObjectItemCaseSensitive(copy, "voters");
    for (cJSON *v = voters ? voters->child : NULL; v; v = v->next)
        cJSON_DeleteItemFromObjectCaseSensitive(v, "confusion");
    cli_print_tree(copy, 0);
    cJSON_Delete(copy);
}

static const cli_option options[] = {
    {"data", CLI_SOURCE, "DATA.h5", "whose rows are voted on; the same as data.source", NULL},
    {"truth", CLI_VALUE, "DATA.h5:SET",
     "classes that are known of some rows (-1: not known), to tell how often the model, the majority and each voter "
     "are right; they change no label", NULL},
    {"method", CLI_VALUE, "NAME", "dawid-skene, one-coin or majority; the same as vote.method", NULL},
    {"priors", CLI_VALUE, "P",
     "learn, uniform, or the share of each class, with commas between; the same as vote.priors", NULL},
    {"out", CLI_VALUE, "LABELS.h5", "the label store", NULL},
    {"force", CLI_FLAG, NULL, "replace a label store", NULL},
    {0}};

static const cli_term terms[] = {
    {"accuracy_estimate", "how often the voter is right by the model: the diagonal of its confusion, weighted by the "
                          "priors. No truth is needed for it"},
    {"confusion", "of each voter (with --json): line k is the true class, column l what the voter says of it"},
    {"overruled", "rows in which two or more voters say the same and the model says something else; the first 100 are "
                  "listed"},
    {"majority", "what counting votes gives, always beside the model: how often the two differ, and how many ties went "
                 "to the lower class"},
    {"log_likelihood", "of the votes of a row under the model, the mean; _start: with what the majority gives"},
    {0}};

const cli_command cli_vote = {
    .name = "vote",
    .summary = "several voters' labels become soft labels: Dawid-Skene, one coin, majority",
    .usage = "LABELS.h5|DATA.h5:SET ... --out LABELS.h5 [--data DATA.h5] [--method NAME] [--priors P] "
             "[--truth DATA.h5:SET] [--force] [key=value ...]",
    .about =
        "Voters are label stores (each row's best class) and sets of whole numbers in data files (-1: the voter "
        "abstains; a set of several columns is as many voters). Their classes are matched by name, and they vote on "
        "the same rows; numbers that no file names stay numbers, or have the data's names with data.names=position. "
        "The result is a label store that 'retort train' reads as data.labels: logits are ln p, at least -30; a row "
        "without a vote is marked as abstained and has no label.\n\n"
        "dawid-skene learns without any truth how often each voter takes one class for another, and weighs votes by "
        "that; one-coin learns a single accuracy of each voter, which takes fewer rows; majority counts votes. It "
        "takes three voters at least, whose errors do not come from each other, to tell who is right.\n\n"
        "Memory: a byte a vote (two above 254 classes); rows are read once, votes once an iteration.",
    .options = options,
    .keys = cli_vote_keys,
    .terms = terms,
    .examples = "retort vote a.h5 b.h5 c.h5 --out voted.h5\n"
                "retort vote train.h5:votes --data train.h5 --truth train.h5:checked --out voted.h5\n"
                "retort vote a.h5 train.h5:rule1 train.h5:rule2 --out voted.h5 --priors 0.7,0.2,0.1\n",
    .run = run,
    .show = show,
    .takes = CLI_KEYS | CLI_THREADS,
    .files = CLI_MAX};
