/* cli/help.c - what --help prints, from the commands' tables. */
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "engine/version.h"
#include "student/metrics.h"

enum { WIDTH = 110, TEXT_AT = 26 };

const cli_command *const cli_commands[CLI_COMMANDS] = {
    &cli_import, &cli_info,   &cli_train,  &cli_label, &cli_labels, &cli_quantize, &cli_predict,
    &cli_eval,   &cli_gate,   &cli_export, &cli_verify, &cli_run,   &cli_bench,
    &cli_clean,  &cli_vote,   &cli_select, &cli_registry, &cli_drift, &cli_explain};

void cli_wrap(const char *text, int indent, int width)
{
    int at = indent, first = 1;
    while (*text) {
        size_t n = strcspn(text, " \n");
        if (!first && at + 1 + (int)n > width) {
            printf("\n%*s", indent, "");
            at = indent;
        } else if (!first && n) {
            putchar(' ');
            at++;
        }
        printf("%.*s", (int)n, text);
        at += (int)n;
        first = 0;
        text += n;
        if (strncmp(text, "\n\n", 2) == 0) {
            printf("\n\n%*s", indent, "");
            at = indent;
            first = 1;
        }
        text += strspn(text, " \n");
    }
    putchar('\n');
}

/* "  left" and the text beside it, or below where left is long. */
static void print_item(const char *left, const char *text)
{
    int n = printf("  %s", left);
    if (n + 2 > TEXT_AT) printf("\n%*s", TEXT_AT, "");
    else printf("%*s", TEXT_AT - n, "");
    cli_wrap(text, TEXT_AT, WIDTH);
}

static void print_options(const cli_option *o)
{
    char left[160];
    for (; o->name; o++) {
        if (o->group) printf("%s\n", o->group);
        snprintf(left, sizeof left, "--%s%s%s", o->name, o->value ? " " : "", o->value ? o->value : "");
        print_item(left, o->help);
    }
}

static void print_keys(const cli_command *c)
{
    char left[160];
    printf("\nconfiguration: keys, as path.to.key=value or in CONFIG.json; defaults in brackets\n");
    if (c->keys_about) cli_wrap(c->keys_about, 0, WIDTH);
    for (const cli_key *k = c->keys; k->path; k++) {
        snprintf(left, sizeof left, *k->fallback ? "%s [%s]" : "%s", k->path, k->fallback);
        print_item(left, k->help);
    }
}

/* Each line behind the same words. */
static void print_usage(const char *name, const char *usage)
{
    for (int first = 1; *usage; first = 0) {
        size_t n = strcspn(usage, "\n");
        char line[400];
        snprintf(line, sizeof line, "%s retort %s %.*s", first ? "usage:" : "      ", name, (int)n, usage);
        int indent = 15 + (int)strlen(name);
        printf("%.7s", line);
        cli_wrap(line + 7, indent, WIDTH);
        usage += n + (usage[n] == '\n');
    }
}

static void print_lines(const char *lines)
{
    while (*lines) {
        size_t n = strcspn(lines, "\n");
        printf("  %.*s\n", (int)n, lines);
        lines += n + (lines[n] == '\n');
    }
}

static void help_on_command(const cli_command *c)
{
    printf("retort %s - %s\n\n", c->name, c->summary);
    print_usage(c->name, c->usage);
    putchar('\n');
    cli_wrap(c->about, 0, WIDTH);
    putchar('\n');
    print_options(c->options);
    printf("\nand those of every command, which 'retort --help' lists: --json --quiet%s%s%s%s\n",
           c->takes & CLI_DEVICE ? " --device" : "",
           c->takes & CLI_THREADS ? " --threads --kernels --int-kernels" : "", c->takes & CLI_SEED ? " --seed" : "",
           c->takes & CLI_REGISTRY ? " --registry" : "");
    if (c->keys) print_keys(c);
    if (c->terms) printf("\nwhat the numbers are\n");
    for (const cli_term *t = c->terms; t && t->word; t++) print_item(t->word, t->help);
    printf("\nexample:\n");
    print_lines(c->examples);
}

void cli_help(FILE *f)
{
    fprintf(f, "retort %s: distil a large model into a small one, measured against its teacher.\n\n"
               "usage: retort COMMAND [arguments]\n\n", rt_tool_version());
    for (int i = 0; i < CLI_COMMANDS; i++) fprintf(f, "  %-8s %s\n", cli_commands[i]->name, cli_commands[i]->summary);
    fprintf(
        f,
        "\n'retort help COMMAND' (or COMMAND --help, -h) explains one, with examples. 'retort --version' says what\n"
        "this is. Also: 'retort help layers', what models are made of; 'retort help teachers', what can teach them;\n"
        "'retort help metrics', how they are measured; 'retort help reference', all keys of the configuration as\n"
        "Markdown; 'retort help man [COMMAND]', a manual page; 'retort help completion SHELL', for bash, zsh or fish.\n"
        "Options of every command:\n");
    for (const cli_option *o = cli_common; o->name; o++) fprintf(f, "  --%-12s %s\n", o->name, o->help);
    fprintf(f, "and where they have an effect (elsewhere they are refused):\n");
    const cli_option *const some[] = {cli_devices, cli_speed, cli_seeds, cli_registries};
    for (int i = 0; i < 4; i++)
        for (const cli_option *o = some[i]; o->name; o++)
            fprintf(f, "  --%s %-*s %s\n", o->name, 11 - (int)strlen(o->name), o->value, o->help);
    fprintf(f, "  key.path=value override of the configuration, such as train.epochs=20\n\n"
               "Exit codes: 0 done, 1 gate failed, 2 usage, 3 bad input, 4 could not run, 5 nothing to do it on,\n"
               "6 undecided, or the machine is too noisy, 130 interrupted.\n");
}

const cli_command *cli_find(const char *name)
{
    const char *names[CLI_COMMANDS];
    for (int i = 0; i < CLI_COMMANDS; i++) {
        names[i] = cli_commands[i]->name;
        if (strcmp(name, names[i]) == 0) return cli_commands[i];
    }
    const char *near = rt_nearest(name, names, CLI_COMMANDS);
    rt_fail(RT_USAGE, "unknown command '%s'%s%s%s; see 'retort --help'", name, near ? "; did you mean '" : "",
            near ? near : "", near ? "'?" : "");
    return NULL;
}

void cli_help_metrics(void)
{
    static const char *const about[RT_TASK_COUNT] = {
        "Heads of classes: K classes; p: softmax of the logits; the answer: the largest logit, the first of equals.",
        "Heads of labels (multilabel): K labels; p = 1 / (1 + e^-z) of each; the answer is yes where z > 0.",
        "Heads of values (real): D columns."};
    printf(
        "retort help metrics - what a model's answers to labelled rows are worth\n\n"
        "In evaluation.json under these names, and for train.monitor (of several heads: HEAD.METRIC). A value that\n"
        "is not defined is null, with the reason.\n");
    for (int t = 0; t < RT_TASK_COUNT; t++) {
        printf("\n%s\n\n", about[t]);
        for (int i = 0; i < rt_metrics[t].count; i++) {
            const rt_metric *m = &rt_metrics[t].metric[i];
            char text[400];
            snprintf(text, sizeof text, "%s. %s is better. scikit-learn: %s", m->help, m->higher ? "Higher" : "Lower",
                     m->equals);
            print_item(m->name, text);
        }
    }
}

void cli_help_teachers(void)
{
    char left[160];
    printf("retort help teachers - what can stand in the place of a model's file where a teacher is named\n\n");
    cli_wrap(
        "A specification: an object in the configuration, a file of its own (NAME.json), or text that begins with "
        "'{'. It has one of the keys file, command, from and mix, which tells its kind. A list with a specification "
        "in it is the mix of its members' probabilities. Defaults in brackets.",
        0, WIDTH);
    printf(
        "\n  {\"command\": [\"python3\", \"teacher.py\"], \"version\": \"3\", \"classes\": [\"cat\", \"dog\"]}\n"
        "  {\"from\": \"logits.npy\", \"gives\": \"probabilities\", \"like\": \"student.h5\"}\n"
        "  {\"mix\": \"logits\", \"teachers\": [\"a.h5\", {\"file\": \"b.h5\", \"weight\": 2, \"temperature\": 1.5}]}\n"
        "  {\"mix\": \"best\", \"teachers\": [\"a.h5\", \"b.h5\"], \"validation\": {\"source\": \"held.h5\"}}\n\n");
    for (const cli_key *k = cli_teacher_keys; k->path; k++) {
        snprintf(left, sizeof left, *k->fallback ? "%s [%s]" : "%s", k->path, k->fallback);
        print_item(left, k->help);
    }
}

/* A word of Markdown's tables. */
static void put_cell(const char *text)
{
    for (; *text; text++) {
        if (*text == '|') putchar('\\');
        putchar(*text);
    }
}

static void put_keys(const cli_key *k)
{
    printf("\n\n| key | default | |\n|---|---|---|\n");
    for (; k->path; k++) {
        printf("| `%s` | %s | ", k->path, k->fallback);
        put_cell(k->help);
        printf(" |\n");
    }
}

void cli_help_reference(void)
{
    for (int i = 0; i < CLI_COMMANDS; i++) {
        const cli_command *c = cli_commands[i];
        if (!c->keys) continue;
        printf("%s`%s`%s%s", i ? "\n" : "", c->name, c->keys_about ? ": " : "", c->keys_about ? c->keys_about : "");
        put_keys(c->keys);
    }
    printf("\nA specification of a teacher (`retort help teachers`)");
    put_keys(cli_teacher_keys);
}

rt_status cli_help_on(int count, char **word)
{
    const char *topic = word[0], *of = count > 1 ? word[1] : NULL;
    int takes = !strcmp(topic, "man") || !strcmp(topic, "completion");
    if (count > 1 + takes)
        return rt_fail(RT_USAGE, "help: one %s is expected, but '%s' is given, too",
                       takes ? "word behind it" : "command", word[1 + takes]);
    if (!strcmp(topic, "completion")) return cli_completion(of ? of : "");
    if (!strcmp(topic, "man")) {
        const cli_command *c = of ? cli_find(of) : NULL;
        if (of && !c) return RT_USAGE;
        cli_manual(c);
    } else if (!strcmp(topic, "layers")) cli_help_layers();
    else if (!strcmp(topic, "metrics")) cli_help_metrics();
    else if (!strcmp(topic, "teachers")) cli_help_teachers();
    else if (!strcmp(topic, "reference")) cli_help_reference();
    else {
        const cli_command *c = cli_find(topic);
        if (!c) return RT_USAGE;
        help_on_command(c);
    }
    return RT_OK;
}
