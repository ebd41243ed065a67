/* cli/cli.h - what commands share: arguments, progress, results. */
#ifndef RT_CLI_CLI_H
#define RT_CLI_CLI_H

#include "data/json.h"
#include "engine/pool.h"
#include "engine/progress.h"

enum { CLI_MAX = 64 };

typedef struct { const char *name; int takes_value; } cli_option;   /* list ended by NULL */

typedef struct {
    const char *positional[CLI_MAX];
    int count;
    const char *override[CLI_MAX];     /* key=value */
    int overrides;
    const char *name[CLI_MAX], *value[CLI_MAX];
    int options;
    int json, quiet, threads;
    const char *seed;
    rt_pool *pool;
    rt_progress progress;
} cli_args;

typedef struct {
    const char *name, *summary, *help;
    const cli_option *options;
    rt_status (*run)(cli_args *, cJSON **result);
    void (*show)(const cJSON *result);  /* NULL: as a tree */
} cli_command;

extern const cli_command cli_import, cli_info, cli_train, cli_label, cli_eval, cli_export, cli_run, cli_bench;

/* The last value of --name, or NULL; i-th of several. */
const char *cli_value(const cli_args *, const char *name);
const char *cli_value_at(const cli_args *, const char *name, int i);
int cli_flag(const cli_args *, const char *name);
/* --name as a whole number. */
rt_status cli_int(const cli_args *, const char *name, int fallback, int min, int max, int *out);

/* The configuration: from the file at positional 0 if given, else empty; then overrides, then --seed. */
rt_status cli_config(const cli_args *, cJSON **config);
/* Sets config.path (dotted) when value is given. */
rt_status cli_set(cJSON *config, const char *path, const char *value);

void cli_print_tree(const cJSON *, int indent);
#endif
