/* cli/cli.h - what commands share: arguments, progress, results. */
#ifndef RT_CLI_CLI_H
#define RT_CLI_CLI_H

#include <signal.h>
#include <stdio.h>

#include "data/json.h"
#include "engine/device.h"
#include "engine/progress.h"

enum { CLI_MAX = 64 };

/* What follows an option: nothing, one value, one value each time, as the option may be given again, or sources, which
 * are one value, too (data/source_files.h); of these a command has at most one. */
enum { CLI_FLAG, CLI_VALUE, CLI_LIST, CLI_SOURCE };
/* value: what stands for the value in help, "FILE" for a path; group: a heading before this option, or NULL. A list is
 * ended by name NULL. */
typedef struct { const char *name; int takes; const char *value, *help, *group; } cli_option;

/* A key of the configuration: its default as text ("" where there is none), what it is. Ended by path NULL. */
typedef struct { const char *path, *fallback, *help; } cli_key;

/* A word that results use, and what it means. Ended by word NULL. */
typedef struct { const char *word, *help; } cli_term;

/* What else a command takes; anything that it does not take is refused, as it would do nothing. */
enum {
    CLI_SEED = 1,                      /* --seed */
    CLI_KEYS = 2,                      /* key=value */
    CLI_THREADS = 4,                   /* --threads, --kernels, --int-kernels */
    CLI_ALL_KERNELS = 8,               /* --kernels all, which the command goes through itself */
    CLI_DEVICE = 16,                   /* --device */
    CLI_REGISTRY = 64,                 /* models may be versions of a registry; --registry */
    CLI_BOTH = 32                      /* on a card some of the work is the CPU's, so that --kernels has a use */
};

typedef struct {
    const char *positional[CLI_MAX];
    int count;
    const char *override[CLI_MAX];     /* key=value */
    int overrides;
    const char *name[CLI_MAX], *value[CLI_MAX];
    int options;
    char *sources;                     /* the value of several sources */
    int json, quiet, threads;
    const char *seed, *device_name;
    rt_device *device;
    rt_progress progress;
} cli_args;

/* A command. Arguments are parsed, help, manual pages and completions are written from this alone. */
typedef struct {
    const char *name, *summary;
    const char *usage;                  /* lines behind "retort NAME " */
    const char *about;                  /* paragraphs, with an empty line between */
    const cli_option *options;
    const cli_key *keys;                /* NULL: none of its own */
    const char *keys_about;             /* a paragraph before them; NULL */
    const cli_term *terms;              /* NULL */
    const char *examples;               /* lines */
    rt_status (*run)(cli_args *, cJSON **result);
    void (*show)(const cJSON *result);  /* NULL: as a tree */
    int takes;                          /* CLI_SEED ... */
    int files;                          /* most positional arguments */
} cli_command;

/* What every command takes; what those with CLI_THREADS, CLI_SEED, CLI_DEVICE and CLI_REGISTRY take. */
extern const cli_option cli_common[], cli_speed[], cli_seeds[], cli_devices[], cli_registries[];
/* The lists of options that a command takes, its own first; ends with NULL. */
enum { CLI_LISTS = 7 };
void cli_lists(const cli_command *, const cli_option *list[CLI_LISTS]);

/* cli/keys.c */
extern const cli_key cli_train_keys[], cli_label_keys[], cli_eval_keys[], cli_export_keys[], cli_run_keys[],
    cli_bench_keys[], cli_teacher_keys[], cli_quantize_keys[], cli_gate_keys[], cli_predict_keys[],
    cli_clean_keys[], cli_vote_keys[], cli_select_keys[], cli_drift_keys[], cli_explain_keys[];

enum { CLI_COMMANDS = 19 };
extern const cli_command *const cli_commands[CLI_COMMANDS];
extern const cli_command cli_import, cli_info, cli_train, cli_label, cli_predict, cli_eval, cli_export, cli_run,
    cli_bench, cli_quantize, cli_verify, cli_gate, cli_labels, cli_clean,
    cli_vote, cli_select, cli_registry, cli_drift, cli_explain;

/* Reads the arguments behind the command's name: "--name value", "--name=value", "-o FILE" for --out, key=value, the
 * rest positional. RT_USAGE for what the command does not take and for what is given twice. Selects the kernels. */
rt_status cli_parse(cli_args *, const cli_command *, int argc, char **argv);

/* Puts files in the place of versions of a registry, in what was given and (rt_file_names_in) in what configurations
 * hold from now on; what a tag meant is told. */
rt_status cli_references(cli_args *, const cli_command *);

/* The value of --name, or NULL; i-th of a CLI_LIST. */
const char *cli_value(const cli_args *, const char *name);
const char *cli_value_at(const cli_args *, const char *name, int i);
int cli_flag(const cli_args *, const char *name);
/* --name as a whole number. */
rt_status cli_int(const cli_args *, const char *name, int fallback, int min, int max, int *out);

/* The configuration: from the file at positional 0 if given, else empty; then overrides, then --seed. */
rt_status cli_config(const cli_args *, cJSON **config);
/* config.path (dotted) = value, when it is not NULL. */
rt_status cli_set(cJSON *config, const char *path, const char *value);
/* config.path = the value of --option, when it is given. RT_USAGE when path=... is given, too. */
rt_status cli_set_option(const cli_args *, cJSON *config, const char *option, const char *path);
/* The same for a CLI_LIST: config.path = all its values. path has no dot. */
rt_status cli_set_list(const cli_args *, cJSON *config, const char *option, const char *path);
/* The same for names with commas between: config.path = their list. */
rt_status cli_set_columns(const cli_args *, cJSON *config, const char *option, const char *path);

/* Text of others on standard output, as rt_put_plain puts it. */
void cli_print_text(const char *);
void cli_print_tree(const cJSON *, int indent);
/* What "info --devices" tells, as a table. */
void cli_print_devices(const cJSON *);
/* The layers of a quantized model as a table. */
void cli_print_layers(const cJSON *);
/* The error at hand as {"error": {"code", "kind", "message"}} on standard output, behind what result (or NULL) holds.
 */
void cli_print_error(rt_status, cJSON *result);

/* "retort --help" */
void cli_help(FILE *);
/* "retort help WORD ...": a command or a topic, and what the topic takes. RT_USAGE for what is neither. */
rt_status cli_help_on(int count, char **word);
/* Text in lines of at most `width` columns; those after the first begin at column `indent`, where the caller stands. */
void cli_wrap(const char *text, int indent, int width);
/* The command of this name, or NULL with RT_USAGE and the nearest one. */
const cli_command *cli_find(const char *name);

/* "retort help layers": every layer with its keys, from the operators' tables. */
void cli_help_layers(void);
/* "retort help teachers": what a specification of a teacher can tell. */
void cli_help_teachers(void);
/* "retort help metrics": the table of metrics. */
void cli_help_metrics(void);
/* "retort help reference": every key of the configuration as Markdown. */
void cli_help_reference(void);
/* A manual page in roff: of a command, or of the program where it is NULL. */
void cli_manual(const cli_command *);
/* Completion for "bash", "zsh" or "fish". RT_USAGE for another shell. */
rt_status cli_completion(const char *shell);

/* Progress on standard error: a bar on a terminal, plain lines elsewhere. */
void cli_progress_on(rt_progress *);
void cli_progress_clear(void);
#endif
