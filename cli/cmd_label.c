/* cli/cmd_label.c - retort label */
#include <string.h>

#include "cli/cli.h"
#include "teacher/estimate.h"
#include "teacher/labeler.h"

/* Answers that were made elsewhere: options that make a specification. */
static rt_status take_from(cli_args *a, cJSON *config)
{
    static const char *const more[] = {"gives", "id", "like"};
    const char *from = cli_value(a, "from"), *classes = cli_value(a, "classes");
    char path[32];
    if (!from) {
        for (int i = 0; i < 3; i++)
            if (cli_value(a, more[i])) return rt_fail(RT_USAGE, "label: --%s belongs to --from", more[i]);
        return classes ? rt_fail(RT_USAGE, "label: --classes belongs to --from") : RT_OK;
    }
    if (cli_value(a, "teacher") || cJSON_HasObjectItem(config, "teacher"))
        return rt_fail(RT_USAGE, "label: give either a teacher or --from");
    RT_TRY(cli_set_option(a, config, "from", "teacher.from"));
    for (int i = 0; i < 3; i++) {
        snprintf(path, sizeof path, "teacher.%s", more[i]);
        RT_TRY(cli_set_option(a, config, more[i], path));
    }
    if (!classes || strspn(classes, "0123456789") != strlen(classes))
        return cli_set_columns(a, config, "classes", "teacher.classes");
    int count;
    RT_TRY(cli_int(a, "classes", 0, 1, 1 << 20, &count));
    cJSON_AddNumberToObject(cJSON_GetObjectItemCaseSensitive(config, "teacher"), "classes", count);
    return RT_OK;
}

static rt_status run(cli_args *a, cJSON **result)
{
    cJSON *config;
    const char *out = cli_value(a, "out");
    if (!out) return rt_fail(RT_USAGE, "label: --out LABELS.h5 is required; see 'retort label --help'");
    rt_status st = cli_config(a, &config);
    if (!st) st = take_from(a, config);
    if (!st) st = cli_set_list(a, config, "teacher", "teacher");
    if (!st) st = cli_set_option(a, config, "data", "data.source");
    if (!st) st = cli_set_option(a, config, "rows", "data.rows");
    if (!st) st = cli_set_option(a, config, "check", "data.check");
    if (!st) st = cli_set_option(a, config, "shard", "label.shard");
    if (!st && cli_flag(a, "takeover")) st = rt_json_override(config, "label.takeover=true");
    rt_target target = {.path = out, .force = cli_flag(a, "force"), .config = a->count ? a->positional[0] : NULL};
    rt_status (*job)(cJSON *, const rt_target *, rt_device *, const rt_progress *, cJSON **) =
        cli_flag(a, "dry-run") ? rt_label_estimate : rt_label;
    if (!st) st = job(config, &target, a->device, &a->progress, result);
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
    {"teacher", CLI_LIST, "MODEL.h5", "given more than once: an ensemble; or T.json, a specification", NULL},
    {"from", CLI_VALUE, "FILE", "answers made elsewhere: logits.npy, or a set of an HDF5 file, FILE.h5:SET", NULL},
    {"gives", CLI_VALUE, "WHAT", "what that file holds: logits, probabilities, or classes by number", NULL},
    {"id", CLI_VALUE, "SET", "of both files: rows are found by it; without it row i answers row i", NULL},
    {"classes", CLI_VALUE, "A,B,...", "names of its classes, or how many", NULL},
    {"like", CLI_VALUE, "MODEL.h5", "its classes are those of a model or of a label store", NULL},
    {"data", CLI_SOURCE, "DATA.h5", "the same as data.source", NULL},
    {"rows", CLI_VALUE, "A:B", "rows of the source (default: all); the same as data.rows", NULL},
    {"check", CLI_VALUE, "HOW", "known or full; the same as data.check", NULL},
    {"out", CLI_VALUE, "LABELS.h5", "the label store", NULL},
    {"shard", CLI_VALUE, "I/N", "one of N processes that label together, I from 0; the same as label.shard", NULL},
    {"takeover", CLI_FLAG, NULL, "with --shard: in the place of a process that hangs; the same as label.takeover",
     NULL},
    {"dry-run", CLI_FLAG, NULL, "tries some rows, tells what all would take, and writes nothing", NULL},
    {"force", CLI_FLAG, NULL, "replace a store made by another teacher or of other data", NULL},
    {0}};

static const cli_term terms[] = {
    {"rows_labelled", "with a label; bad_input, bad_answer: rows without one, as they or the answer were not finite"},
    {"class_counts", "labelled rows by the teacher's best class"},
    {"summary",
     "of about a million rows at most, spread evenly ('retort labels summary' looks at all): the histogram "
     "of confidence in tenths, mean entropy in nats, mean margin, and with data.y agreement with true classes"},
    {"start_seconds",
     "until the first row was there; start_cpu_seconds: of CPU until then; compute_seconds: in the teacher; "
     "source_seconds: that rows were waited for; store_seconds: that the store was; reading_seconds: that each "
     "thread that reads worked; writing_seconds: that digests, codes and writing took"},
    {"cost", "label.price_per_hour times the hours"},
    {"rows_per_second", "of --dry-run: the median of three places, with the least and the most"},
    {"seconds", "of --dry-run: start_seconds and the rows that are left at the median rate; reading and answering are "
                "tried, writing comes on top"},
    {"memory_bytes", "the most that the process had while it tried"},
    {0}};

const cli_command cli_label = {
    .name = "label",
    .summary = "let a teacher label a data set",
    .usage = "[CONFIG.json] --teacher MODEL.h5|T.json [--teacher ...] --data DATA.h5 --out LABELS.h5 [--rows A:B] "
             "[--check HOW] [--shard I/N [--takeover]] [key=value ...] [--force]\n"
             "--from logits.npy|FILE.h5:SET [--gives WHAT] [--id SET] [--classes A,B,...|--like MODEL.h5] "
             "--data DATA.h5 --out LABELS.h5 [...]",
    .about =
        "Writes the teacher's logits for rows of a data set into a label store. Several teachers make an ensemble. "
        "'retort help teachers' tells of others than models: programs, answers in files, mixtures.\n\n"
        "What is reported as done is on disk; the same command goes on after an interruption, to the same bytes. "
        "Data that changed since it was labelled is refused; where it has grown, the new rows are labelled.\n\n"
        "--shard I/N: N processes, here or on machines that share the folder, write one store; each takes blocks that "
        "nobody else has, and the last completes it. The processes of 'mpirun retort label ...' do so by themselves. "
        "The bytes are those that one process writes.\n\n"
        "--dry-run reads and asks about rows at three places, and tells rows a second, time, room and cost of the "
        "whole; a store that is there counts as done so far.",
    .terms = terms,
    .options = options,
    .keys = cli_label_keys,
    .examples =
        "retort label --teacher runs/teacher/model.h5 --data train.h5 --rows 10000:60000 --out labels.h5\n"
        "retort label --teacher teacher.json --data train.h5 --out labels.h5\n"
        "retort label --teacher teacher.json --data train.h5 --out labels.h5 --dry-run label.price_per_hour=3.20\n"
        "for i in 0 1 2 3; do retort label --teacher teacher.json --data train.h5 --out labels.h5 --shard $i/4 & done\n"
        "retort label --from logits.npy --classes cat,dog --data train.h5 --out labels.h5\n",
    .run = run,
    .show = show,
    .takes = CLI_KEYS | CLI_THREADS | CLI_DEVICE | CLI_REGISTRY,
    .files = 1};
