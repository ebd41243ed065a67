/* cli/cmd_select.c - retort select */
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "experiments/select_job.h"

static rt_status run(cli_args *a, cJSON **result)
{
    rt_select_request q = {.by = RT_SELECT_BADGE, .features = cli_value(a, "features"), .data = cli_value(a, "data"),
                           .labelled = cli_value(a, "labelled"), .seed = a->seed ? strtoull(a->seed, NULL, 10) : 1};
    const char *out = cli_value(a, "out"), *by = cli_value(a, "by");
    int n;
    if (!out || a->count < 1 || !cli_value(a, "n"))
        return rt_fail(RT_USAGE, "select: predictions or a label store, --n and --out FILE.csv are required; see "
                       "'retort select --help'");
    q.from = a->positional[0];
    RT_TRY(cli_int(a, "n", 0, 1, RT_SELECT_MOST, &n));
    q.n = (uint64_t)n;
    int which = RT_SELECT_BADGE;
    if (by) for (which = 0; rt_select_names[which] && strcmp(rt_select_names[which], by);) which++;
    if (!rt_select_names[which])
        return rt_fail(RT_USAGE, "--by %s: entropy, margin, least-confidence, k-center, badge or mix is expected", by);
    q.by = (rt_select_by)which;
    if (q.by != RT_SELECT_MIX && cli_value(a, "pool")) return rt_fail(RT_USAGE, "--pool belongs to --by mix");
    if (q.by != RT_SELECT_K_CENTER && q.by != RT_SELECT_BADGE && a->seed)
        return rt_fail(RT_USAGE, "--seed does nothing in %s, where nothing is drawn", rt_select_names[q.by]);
    RT_TRY(cli_int(a, "pool", 10, 1, 1 << 20, &q.pool));
    return rt_select_rows(&q, &(rt_target){.path = out, .force = cli_flag(a, "force")}, result);
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
             "[--labelled FILE.csv] [--pool P] [--seed S] [--force]",
    .about =
        "Chooses N rows of a file of predictions ('retort predict') or of a label store, of one head of classes. The "
        "list is a CSV file: row, its number in the data; id, what the predictions call it, or the hash of the row; "
        "score; why, in words. Equal inputs and seeds give equal lists; ties go to the lower row, and of rows that are "
        "copies of each other one is chosen at most.\n\n"
        "Scores are uncertainties, and distances of k-center, mix (Euclid) and badge. Time of these three grows with "
        "rows * N * features; answers and features are held in memory.",
    .options = options,
    .terms = terms,
    .examples = "retort select p.h5 --n 500 --out todo.csv\n"
                "retort select labels.h5 --n 500 --by badge --features hidden.h5:h --out todo.csv --seed 3\n"
                "retort select p.h5 --n 200 --by k-center --features train.h5 --labelled done.csv --out todo.csv\n",
    .run = run,
    .takes = CLI_SEED,
    .files = 1};
