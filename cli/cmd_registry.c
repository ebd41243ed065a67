/* cli/cmd_registry.c - retort registry */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "data/file_name.h"
#include "engine/text.h"
#include "experiments/registry/history.h"
#include "experiments/registry/registry.h"

enum { PAPERS = 32, HOUR = 3600 /* no add takes as long between its objects and its rows */ };

typedef struct { const cli_args *a; const char *folder, *arg[2]; } request;

static int list_of(const cli_args *a, const char *option, const char **file)
{
    int n = 0;
    while (n < PAPERS && (file[n] = cli_value_at(a, option, n))) n++;
    return n;
}

static rt_status with(const request *q, int write, rt_status (*work)(rt_registry *, const request *, cJSON **),
                      cJSON **result)
{
    rt_registry *r;
    RT_TRY(rt_registry_open(&r, q->folder, write));
    rt_status st = work(r, q, result);
    rt_registry_close(r);
    return st;
}

static rt_status init(const request *q, cJSON **result)
{
    const char *protect = cli_value(q->a, "protect");
    return rt_registry_init(q->folder, protect && !strcmp(protect, "none") ? "" : protect, result);
}

static rt_status do_add(rt_registry *r, const request *q, cJSON **result)
{
    const char *evaluation[PAPERS + 1], *gate[PAPERS + 1], *drift[PAPERS + 1];
    rt_registry_adding x = {.name = q->arg[0], .model = q->arg[1], .evaluation = evaluation, .gate = gate,
                            .drift = drift, .note = cli_value(q->a, "note"), .parent = cli_value(q->a, "parent")};
    if (x.model) RT_TRY(rt_file_name(&x.model));         /* a version under another name */
    x.evaluations = list_of(q->a, "eval", evaluation);
    x.gates = list_of(q->a, "gate", gate);
    x.drifts = list_of(q->a, "drift", drift);
    return rt_registry_add(r, &x, result);
}

static rt_status do_list(rt_registry *r, const request *q, cJSON **result)
{
    rt_registry_filter f = {.name = q->arg[0], .tag = cli_value(q->a, "tag"), .teacher = cli_value(q->a, "teacher"),
                            .data = cli_value(q->a, "data"), .labels = cli_value(q->a, "labels"),
                            .configuration = cli_value(q->a, "configuration")};
    RT_TRY(cli_int(q->a, "last", 0, 1, 1 << 30, &f.last));
    return rt_registry_list(r, &f, result);
}

static rt_status do_show(rt_registry *r, const request *q, cJSON **result)
{
    return rt_registry_show(r, q->arg[0], result);
}

static rt_status do_tag(rt_registry *r, const request *q, cJSON **result)
{
    const char *from = cli_value(q->a, "from"), *release = cli_value(q->a, "anchor");
    int number;
    rt_registry_tagging t = {.version = q->arg[0], .tag = q->arg[1], .from = -1, .remove = cli_flag(q->a, "remove"),
                             .reason = cli_value(q->a, "reason")};
    if (release && (t.tag || from || t.remove || t.reason))
        return rt_fail(RT_USAGE, "registry tag: --anchor RELEASE pins a version, and takes no tag, --from, --remove or "
                       "--reason");
    if (release) return rt_registry_anchor(r, t.version, release, result);
    if (!t.tag) return rt_fail(RT_USAGE, "registry tag: a version and a tag are required, or --anchor RELEASE");
    if (from && !strcmp(from, "none")) t.from = 0;
    else if (from) {
        RT_TRY(cli_int(q->a, "from", 0, 1, 0x7fffffff, &number));
        t.from = number;
    }
    return rt_registry_tag(r, &t, result);
}

static rt_status do_log(rt_registry *r, const request *q, cJSON **result)
{
    return rt_registry_log(r, q->arg[0], result);
}

static rt_status do_diff(rt_registry *r, const request *q, cJSON **result)
{
    return rt_registry_diff(r, q->arg[0], q->arg[1], result);
}

static rt_status do_history(rt_registry *r, const request *q, cJSON **result)
{
    const char *page = cli_value(q->a, "html");
    int last;
    RT_TRY(cli_int(q->a, "last", 0, 1, 1 << 30, &last));
    if (cli_flag(q->a, "force") && !page) return rt_fail(RT_USAGE, "registry history: --force goes with --html FILE");
    RT_TRY(rt_history(r, q->arg[0], q->arg[1], last, result));
    if (!page) return RT_OK;
    rt_status st = rt_history_write(*result, &(rt_target){.path = page, .force = cli_flag(q->a, "force")});
    if (!st) cJSON_AddStringToObject(*result, "page", page);
    return st;
}

static rt_status do_gc(rt_registry *r, const request *q, cJSON **result)
{
    int age;
    RT_TRY(cli_int(q->a, "age", HOUR, 0, 1 << 30, &age));
    return rt_registry_collect(r, age, cli_flag(q->a, "dry-run"), result);
}

static rt_status do_verify(rt_registry *r, const request *q, cJSON **result)
{
    return rt_registry_verify(r, &q->a->progress, result);
}

static rt_status do_export(rt_registry *r, const request *q, cJSON **result)
{
    const char *out = cli_value(q->a, "out");
    if (!out) return rt_fail(RT_USAGE, "registry export: --out FILE.tar.zst or FILE.tar.gz is required");
    return rt_registry_export(r, q->arg[0], &(rt_target){.path = out, .force = cli_flag(q->a, "force")}, result);
}

static rt_status do_import(rt_registry *r, const request *q, cJSON **result)
{
    return rt_registry_import(r, q->arg[0], cli_value(q->a, "name"), result);
}

static rt_status do_rm(rt_registry *r, const request *q, cJSON **result)
{
    return rt_registry_remove(r, q->arg[0], cli_value(q->a, "reason"), result);
}

static rt_status add(const request *q, cJSON **result) { return with(q, 1, do_add, result); }
static rt_status list(const request *q, cJSON **result) { return with(q, 0, do_list, result); }
static rt_status show_one(const request *q, cJSON **result) { return with(q, 0, do_show, result); }
static rt_status tag(const request *q, cJSON **result) { return with(q, 1, do_tag, result); }
static rt_status rm(const request *q, cJSON **result) { return with(q, 1, do_rm, result); }
static rt_status log_of(const request *q, cJSON **result) { return with(q, 0, do_log, result); }
static rt_status diff(const request *q, cJSON **result) { return with(q, 0, do_diff, result); }
static rt_status history(const request *q, cJSON **result) { return with(q, 0, do_history, result); }
static rt_status gc(const request *q, cJSON **result) { return with(q, !cli_flag(q->a, "dry-run"), do_gc, result); }
static rt_status export(const request *q, cJSON **result) { return with(q, 0, do_export, result); }
static rt_status import(const request *q, cJSON **result) { return with(q, 1, do_import, result); }
static rt_status verify(const request *q, cJSON **result) { return with(q, 0, do_verify, result); }

/* What the actions take: arguments, at least and at most; options. */
static const struct {
    const char *name;
    rt_status (*run)(const request *, cJSON **);
    int least, most;
    const char *needs, *takes[10];
} actions[] = {
    {"init", init, 0, 0, "", {"protect"}},
    {"add", add, 1, 2, "NAME MODEL.h5, or NAME@NUMBER with --eval, --gate or --drift",
     {"eval", "gate", "drift", "note", "parent"}},
    {"list", list, 0, 1, "[NAME]", {"tag", "teacher", "data", "labels", "configuration", "last"}},
    {"show", show_one, 1, 1, "a version", {NULL}},
    {"tag", tag, 1, 2, "NAME@NUMBER TAG", {"from", "reason", "remove", "anchor"}},
    {"log", log_of, 0, 1, "[NAME]", {NULL}},
    {"diff", diff, 2, 2, "two versions", {NULL}},
    {"history", history, 1, 2, "NAME [METRIC]", {"html", "force", "last"}},
    {"rm", rm, 1, 1, "NAME@NUMBER", {"reason"}},
    {"gc", gc, 0, 0, "", {"dry-run", "age"}},
    {"verify", verify, 0, 0, "", {NULL}},
    {"export", export, 1, 1, "a version", {"out", "force"}},
    {"import", import, 1, 1, "an archive", {"name"}},
};
enum { ACTIONS = sizeof actions / sizeof actions[0] };

static const cli_option options[];

static rt_status check_options(const cli_args *a, int action)
{
    for (const cli_option *o = options; o->name; o++) {
        int taken = !strcmp(o->name, "registry");
        for (int k = 0; k < 10 && actions[action].takes[k]; k++) taken |= !strcmp(actions[action].takes[k], o->name);
        if (cli_value(a, o->name) && !taken)
            return rt_fail(RT_USAGE, "registry %s: --%s would do nothing here", actions[action].name, o->name);
    }
    return RT_OK;
}

static rt_status run(cli_args *a, cJSON **result)
{
    const char *names[ACTIONS];
    int action = 0;
    for (int i = 0; i < ACTIONS; i++) names[i] = actions[i].name;
    if (!a->count) return rt_fail(RT_USAGE, "registry: what to do is required; see 'retort registry --help'");
    while (action < ACTIONS && strcmp(names[action], a->positional[0])) action++;
    if (action == ACTIONS) {
        const char *near = rt_nearest(a->positional[0], names, ACTIONS);
        return rt_fail(RT_USAGE, "registry: there is no '%s'%s%s%s see 'retort registry --help'", a->positional[0],
                       near ? "; did you mean '" : ";", near ? near : "", near ? "'?" : "");
    }
    int given = a->count - 1;
    if (given < actions[action].least || given > actions[action].most)
        return rt_fail(RT_USAGE, "registry %s: %s expected", actions[action].name,
                       *actions[action].needs ? actions[action].needs : "no argument is");
    RT_TRY(check_options(a, action));
    request q = {.a = a, .folder = cli_value(a, "registry")};
    if (!q.folder) q.folder = getenv("RETORT_REGISTRY");
    if (!q.folder || !*q.folder)
        return rt_fail(RT_USAGE, "registry: --registry DIR is required, or RETORT_REGISTRY=DIR in the environment");
    for (int i = 0; i < given; i++) q.arg[i] = a->positional[1 + i];
    return actions[action].run(&q, result);
}

/* ---- what is shown ---- */

static const cJSON *member(const cJSON *j, const char *key) { return cJSON_GetObjectItemCaseSensitive(j, key); }

static void put_words(rt_string *t, const cJSON *list, const char *before)
{
    for (const cJSON *e = list ? list->child : NULL; e; e = e->next) {
        if (t->n) rt_put(t, ", ");
        rt_put(t, "%s", before);
        rt_put_plain(t, e->valuestring);
    }
}

/* The tags and anchors of a version. */
static rt_string marks_of(const cJSON *version)
{
    rt_string t = {0};
    put_words(&t, member(version, "tags"), "");
    put_words(&t, member(version, "anchors"), "anchor ");
    return t;
}

/* Of a column, so that no name in it is cut off. */
static int widest(const cJSON *list, const char *key, int least)
{
    for (const cJSON *e = list->child; e; e = e->next) {
        const char *text = cJSON_GetStringValue(member(e, key));
        if (text && (int)strlen(text) > least) least = (int)strlen(text);
    }
    return least;
}

static void show_versions(const cJSON *versions)
{
    rt_string t = {0};
    int width = widest(versions, "version", 24), marked = 22;
    if (!versions->child) {
        puts("no version");
        return;
    }
    for (const cJSON *v = versions->child; v; v = v->next) {
        rt_string marks = marks_of(v);
        if ((int)marks.n > marked) marked = (int)marks.n;
        free(marks.p);
    }
    rt_put(&t, "%-*s %-*s %8s %12s  %-20s %s\n", width, "version", marked, "tags", "accuracy", "bytes", "added",
           "note");
    for (const cJSON *v = versions->child; v; v = v->next) {
        rt_string tags = marks_of(v);
        const cJSON *accuracy = member(v, "accuracy"), *bytes = member(v, "bytes");
        rt_put_padded(&t, member(v, "version")->valuestring, width);
        rt_put(&t, " ");
        rt_put_padded(&t, tags.p ? tags.p : "", marked);
        if (cJSON_IsNumber(accuracy)) rt_put(&t, " %8.4f", accuracy->valuedouble);
        else rt_put(&t, " %8s", "");
        rt_put(&t, " %12.0f  ", cJSON_IsNumber(bytes) ? bytes->valuedouble : 0);
        rt_put_padded(&t, cJSON_GetStringValue(member(v, "time")), 20);
        rt_put(&t, " ");
        rt_put_plain(&t, cJSON_GetStringValue(member(v, "note")));
        rt_put(&t, "\n");
        free(tags.p);
    }
    fputs(t.p ? t.p : "", stdout);
    free(t.p);
}

static void put_value(rt_string *t, const cJSON *v)
{
    char *text = cJSON_IsString(v) ? NULL : v && !cJSON_IsNull(v) ? rt_json_text(v, 0) : NULL;
    if (cJSON_IsNumber(v)) rt_put(t, "%.6g", v->valuedouble);
    else rt_put_plain(t, cJSON_IsString(v) ? v->valuestring : text ? text : "-");
    free(text);
}

static void show_events(const cJSON *events)
{
    static const char *const rest[] = {"from", "to", "verdict", "gate_run", "reason", "detail", "clock_set_back"};
    rt_string t = {0};
    int width = widest(events, "name", widest(events, "version", 20)), users = widest(events, "user", 16);
    for (const cJSON *e = events->child; e; e = e->next) {
        const char *version = cJSON_GetStringValue(member(e, "version"));
        rt_put(&t, "%6.0f  ", member(e, "event")->valuedouble);
        rt_put_padded(&t, cJSON_GetStringValue(member(e, "time")), 20);
        rt_put(&t, " ");
        rt_put_padded(&t, cJSON_GetStringValue(member(e, "user")), users);
        rt_put(&t, " ");
        rt_put_padded(&t, cJSON_GetStringValue(member(e, "what")), 10);
        rt_put(&t, " ");
        rt_put_padded(&t, version ? version : cJSON_GetStringValue(member(e, "name")), width);
        if (member(e, "tag")) rt_put(&t, " %s", member(e, "tag")->valuestring);
        for (int i = 0; i < 7; i++) {
            if (!member(e, rest[i])) continue;
            rt_put(&t, "  %s ", rest[i]);
            put_value(&t, member(e, rest[i]));
        }
        rt_put(&t, "\n");
    }
    fputs(t.p ? t.p : "", stdout);
    free(t.p);
}

/* Parts of a measurement, such as a latency's quantiles, are left to --json, but for the usual one of each. */
static int is_part(const char *key)
{
    static const char *const usual[] = {"latency_batch1_1thread.p50_us", "throughput.rows_per_second"};
    for (size_t i = 0; i < sizeof usual / sizeof usual[0]; i++) if (!strcmp(key, usual[i])) return 0;
    return strchr(key, '.') != NULL;
}

/* In a column of so many characters, with "..." in the place of what has no room. */
static void put_cell(rt_string *t, const rt_string *cell, int width)
{
    char text[64];
    const char *p = cell->p ? cell->p : "";
    int cut = strlen(p) > (size_t)width;
    snprintf(text, sizeof text, "%.*s%s", cut ? width - 3 : width, p, cut ? "..." : "");
    rt_put(t, " ");
    rt_put_padded(t, text, width);
}

static void show_differences(const cJSON *j)
{
    static const char *const parts[] = {"metadata", "lineage", "configuration", "sizes", "metrics"};
    rt_string t = {0};
    int more = 0, width = 38;
    for (int i = 0; i < 5; i++) if (member(j, parts[i])) width = widest(member(j, parts[i]), "key", width);
    rt_put(&t, "%-*s %-22s %-22s %s\n", width + 2, "", member(j, "a")->valuestring, member(j, "b")->valuestring,
           "b - a");
    for (int i = 0; i < 5; i++) {
        if (!member(j, parts[i]) || !member(j, parts[i])->child) continue;
        rt_put(&t, "%s\n", parts[i]);
        for (const cJSON *e = member(j, parts[i])->child; e; e = e->next) {
            rt_string side[2] = {{0}, {0}};
            if (i == 4 && is_part(member(e, "key")->valuestring)) {
                more++;
                continue;
            }
            put_value(&side[0], member(e, "a"));
            put_value(&side[1], member(e, "b"));
            rt_put(&t, "  ");
            rt_put_padded(&t, member(e, "key")->valuestring, width);
            for (int k = 0; k < 2; k++) {
                put_cell(&t, &side[k], 22);
                free(side[k].p);
            }
            if (member(e, "difference")) rt_put(&t, " %+.6g", member(e, "difference")->valuedouble);
            rt_put(&t, "\n");
        }
    }
    if (more) rt_put(&t, "%d more numbers of measurements: --json\n", more);
    for (const char *const *note = (const char *const[]){"configuration_unknown", "metrics_note", NULL}; *note; note++)
        if (member(j, *note)) {
            rt_put_plain(&t, member(j, *note)->valuestring);
            rt_put(&t, "\n");
        }
    fputs(t.p ? t.p : "", stdout);
    free(t.p);
}

static void show(const cJSON *result)
{
    if (member(result, "events")) {
        show_events(member(result, "events"));
        return;
    }
    if (member(result, "sizes")) {
        show_differences(result);
        return;
    }
    const cJSON *versions = member(result, "versions");
    if (member(result, "metric")) {
        char *text = rt_history_screen(result);
        fputs(text ? text : "", stdout);
        free(text);
    } else if (cJSON_IsArray(versions)) show_versions(versions);
    else cli_print_tree(result, 0);
}

static const cli_option options[] = {
    {"registry", CLI_VALUE, "DIR", "the registry's folder; also RETORT_REGISTRY", NULL},
    {"protect", CLI_VALUE, "TAG,...", "of init: tags that only versions which passed the gate get (prod), or none",
     NULL},
    {"eval", CLI_LIST, "FILE", "of add: evaluation.json of this model; again for several", NULL},
    {"gate", CLI_LIST, "FILE", "of add: verdict.json of a gate whose candidate this model was; again for several",
     NULL},
    {"drift", CLI_LIST, "FILE",
     "of add: drift.json of 'retort drift' with this model, or of data alone; again for several", NULL},
    {"note", CLI_VALUE, "TEXT", "of add: what a reader should know", NULL},
    {"parent", CLI_VALUE, "VERSION", "of add: the version it comes from, where its own provenance does not tell", NULL},
    {"tag", CLI_VALUE, "TAG", "of list: versions that have it", NULL},
    {"teacher", CLI_VALUE, "DIGEST", "of list: versions of this teacher; a digest or its beginning", NULL},
    {"data", CLI_VALUE, "DIGEST", "of list: versions trained on these data", NULL},
    {"labels", CLI_VALUE, "DIGEST", "of list: versions trained on these labels", NULL},
    {"configuration", CLI_VALUE, "DIGEST", "of list: versions of this configuration", NULL},
    {"last", CLI_VALUE, "N", "of list: of each name the N newest; of history: the N newest", NULL},
    {"html", CLI_VALUE, "FILE", "of history: a page with figures, one file", NULL},
    {"force", CLI_FLAG, NULL, "of history and export: replace what retort wrote there and nobody changed", NULL},
    {"from", CLI_VALUE, "N", "of tag: the version that must have the tag now, or none; else nothing is changed", NULL},
    {"reason", CLI_VALUE, "TEXT", "of tag: why a protected tag moves without a passing gate; of rm: why", NULL},
    {"remove", CLI_FLAG, NULL, "of tag: take the tag away (NAME TAG --remove)", NULL},
    {"out", CLI_VALUE, "FILE", "of export: the archive, .tar.zst or .tar.gz", NULL},
    {"name", CLI_VALUE, "NAME", "of import: the name of the new version; without it that of the archive", NULL},
    {"dry-run", CLI_FLAG, NULL, "of gc: tell only", NULL},
    {"age", CLI_VALUE, "SECONDS", "of gc: objects younger than this stay, as an add may be about to name them (3600)",
     NULL},
    {"anchor", CLI_VALUE, "RELEASE", "of tag: pin the version as the anchor of a release, for ever", NULL},
    {0}};

static const cli_term terms[] = {
    {"history",
     "a metric by version: a number of evaluations (accuracy, latency_batch1_1thread.p50_us), or a limit of gates "
     "(\"recall class=6\"). Its value with the interval, what the gate decided, the drop since the anchor in force: of "
     "pairs of rows where a gate compared them. No line joins two test sets, nor speeds of two machines"},
    {"look", "in the log: a decision of a gate on a test set, by the digest of its rows; made again it is none"},
    {0}};

const cli_command cli_registry = {
    .name = "registry",
    .summary = "keep model versions as code revisions are kept",
    .usage = "init --registry DIR [--protect TAG,...]\n"
             "add NAME MODEL.h5 [--eval evaluation.json] [--gate verdict.json] [--drift drift.json] [--note TEXT] "
             "[--parent VERSION]\n"
             "add NAME@NUMBER [--eval evaluation.json] [--gate verdict.json] [--drift drift.json]\n"
             "list [NAME] [--tag TAG] [--teacher|--data|--labels|--configuration DIGEST] [--last N]\n"
             "show VERSION\n"
             "tag NAME@NUMBER TAG [--from N] [--reason TEXT]\n"
             "tag NAME TAG --remove [--reason TEXT]\n"
             "tag NAME@NUMBER --anchor RELEASE\n"
             "log [NAME]\n"
             "diff VERSION VERSION\n"
             "history NAME [METRIC] [--html FILE [--force]] [--last N]\n"
             "rm NAME@NUMBER [--reason TEXT]\n"
             "gc [--dry-run] [--age SECONDS]\n"
             "verify\n"
             "export VERSION --out FILE.tar.zst|FILE.tar.gz [--force]\n"
             "import FILE.tar.zst|FILE.tar.gz [--name NAME]",
    .about =
        "A registry is a folder: a database of versions, and the models as files under the SHA-256 of their bytes. A "
        "version is NAME@NUMBER, NAME@TAG, NAME@latest or sha256:DIGEST.\n\n"
        "Moving a protected tag (prod) needs the latest gate run of that version against the one that has the tag to "
        "have passed, or --reason; who moved what, and why, is logged. rm takes one exact version; those with a tag, "
        "an anchor, children or students stay.",
    .options = options,
    .terms = terms,
    .examples =
        "retort registry init --registry models\n"
        "retort registry add student runs/student/model.h5 --eval runs/report/evaluation.json --registry models\n"
        "retort registry add student@2 --gate gate/verdict.json --registry models\n"
        "retort registry tag student@2 prod --from 1 --registry models\n"
        "retort registry list student --registry models\n"
        "retort registry history student accuracy --html history.html --registry models\n",
    .run = run,
    .show = show,
    .files = 3};
