/* cli/cmd_select.c - retort select */
#include "cli/cli.h"
#include "experiments/jobs/select_job.h"

static rt_status run(cli_args *a, cJSON **result)
{
    static const char *const option[] = {"by", "features", "data", "labelled"}, *const number[] = {"n", "pool"};
    const char *out = cli_value(a, "out");
    cJSON *config = cJSON_CreateObject();
    rt_status st = RT_OK;
    for (int i = 0; i < a->overrides && !st; i++) st = rt_json_override(config, a->override[i]);
    if (!st && a->count && cJSON_HasObjectItem(config, "from"))
        st = rt_fail(RT_USAGE, "%s and the key from say the same thing; give one of them", a->positional[0]);
    if (!st && a->count) cJSON_AddStringToObject(config, "from", a->positional[0]);
    for (size_t i = 0; i < sizeof option / sizeof option[0] && !st; i++)
        st = cli_set_option(a, config, option[i], option[i]);
    for (int i = 0, v; i < 2 && !st; i++) {
        if (!cli_value(a, number[i])) continue;
        if (cJSON_HasObjectItem(config, number[i]))
            st = rt_fail(RT_USAGE, "--%s and %s=... say the same thing; give one of them", number[i], number[i]);
        if (!st) st = cli_int(a, number[i], 0, 1, RT_SELECT_MOST, &v);
        if (!st) cJSON_AddNumberToObject(config, number[i], v);
    }
    if (!st && a->seed) st = cli_set(config, "seed", a->seed);
    if (!st && (!out || !cJSON_HasObjectItem(config, "from") || !cJSON_HasObjectItem(config, "n")))
        st = rt_fail(RT_USAGE, "select: predictions or a label store, --n and --out FILE.csv are required; see "
                     "'retort select --help'");
    if (!st) st = rt_select_rows(config, &(rt_target){.path = out, .force = cli_flag(a, "force")}, result);
    cJSON_Delete(config);
    return st;
}

static const cli_option options[] = {
    {"n", CLI_VALUE, "N", "how many rows", NULL},
    {"by", CLI_VALUE, "NAME", "entropy, margin, least-confidence, k-center, badge (the default) or mix", NULL},
    {"features", CLI_VALUE, "FILE.h5[:SET]",
     "of k-center, badge and mix: what distances are taken of, a data set (x) by the rows' numbers; without it the "
     "probabilities, of badge the gradients of the logits", NULL},
    {"data", CLI_VALUE, "FILE.h5[:SET]",
     "the rows (x): copies of a row that is chosen or labelled are passed over. Not needed where ids of predictions "
     "are hashes, or a store's data is where it was", NULL},
    {"labelled", CLI_VALUE, "FILE.csv",
     "rows that have a label already, their numbers in the first column: never chosen, and k-center and mix keep away "
     "from them", NULL},
    {"pool", CLI_VALUE, "P", "of mix: it chooses among the P * N least sure rows (10)", NULL},
    {"out", CLI_VALUE, "FILE.csv", "the list", NULL},
    {"force", CLI_FLAG, NULL, "replace an earlier list that was not changed since", NULL},
    {0}};

static const cli_term terms[] = {
    {"entropy", "-sum p ln p: rows whose answer is spread over many classes"},
    {"margin", "1 - (p of the best class - p of the second): rows between two classes"},
    {"least-confidence", "1 - p of the best class"},
    {"k-center", "the row farthest from all that are chosen or labelled, again and again; the first by --seed. Sener "
                 "and Savarese, 2018"},
    {"badge", "k-means++ by --seed on the gradients of the last layer, (p - onehot) x features: rows that are unsure "
              "and differ. Ash et al., 2020"},
    {"mix", "k-center among the least sure by entropy"},
    {0}};

const cli_command cli_select = {
    .name = "select",
    .summary = "rows that are worth a label by hand, from what a model says of them",
    .usage = "P.h5|LABELS.h5 --n N --out FILE.csv [--by NAME] [--features FILE.h5[:SET]] [--data FILE.h5[:SET]] "
             "[--labelled FILE.csv] [--pool P] [--seed S] [--force] [key=value ...]",
    .about =
        "Chooses N rows of a file of predictions ('retort predict') or of a label store, of one head of classes. The "
        "list is a CSV file: row, its number in the data; id, what the predictions call it, or the hash of the row; "
        "score; why, in words. Equal inputs and seeds give equal lists; ties go to the lower row, and of rows that are "
        "copies of each other one is chosen at most.\n\n"
        "Scores are uncertainties, and distances of k-center, mix (Euclid) and badge. Time of these three grows with "
        "rows * N * features; answers and features are held in memory.",
    .options = options,
    .keys = cli_select_keys,
    .terms = terms,
    .examples = "retort select p.h5 --n 500 --out todo.csv\n"
                "retort select labels.h5 --n 500 --by badge --features hidden.h5:h --out todo.csv --seed 3\n"
                "retort select p.h5 --n 200 --by k-center --features train.h5 --labelled done.csv --out todo.csv\n",
    .run = run,
    .takes = CLI_SEED | CLI_KEYS,
    .files = 1};
