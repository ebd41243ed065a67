/* cli/main.c - the retort program: finds the command, lets it run, prints what it returns. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "data/h5.h"
#include "engine/version.h"

static const cli_command *const commands[] = {&cli_import, &cli_info,   &cli_train, &cli_label,
                                              &cli_eval,   &cli_export, &cli_run,   &cli_bench};
enum { COMMANDS = sizeof commands / sizeof commands[0] };

static void on_signal(int sig)
{
    if (rt_stopped()) _exit(128 + sig);       /* a second one ends at once; files stay as the last sync left them */
    rt_ask_to_stop(1);
}

static void usage(FILE *f)
{
    fprintf(f, "retort %s: distil a large model into a small one, measured against its teacher.\n\n"
               "usage: retort COMMAND [arguments]\n\n", rt_version());
    for (int i = 0; i < COMMANDS; i++) fprintf(f, "  %-8s %s\n", commands[i]->name, commands[i]->summary);
    fprintf(f,
            "\n'retort help COMMAND' (or COMMAND --help, -h) explains one, with examples. 'retort help layers' lists\n"
            "what models are made of. 'retort --version' says what this is.\n"
            "Options of every command:\n"
            "  --json         print the result, or the error, as JSON on standard output\n"
            "  --quiet        no progress on standard error\n"
            "and where they have an effect (elsewhere they are refused):\n"
            "  --threads N    threads (default: all CPUs); results do not depend on it\n"
            "  --kernels F    kernel family: auto, amx, avx512, avx2, scalar (also RETORT_KERNELS)\n"
            "  --seed N       seed of everything random (default 1, stored with results)\n"
            "  key.path=value override of the configuration, such as train.epochs=20\n\n"
            "Exit codes: 0 done, 1 gate failed, 2 usage, 3 bad input, 4 could not run, 5 nothing to do it on,\n"
            "130 interrupted.\n");
}

static const cli_command *find_command(const char *name)
{
    const char *names[COMMANDS];
    for (int i = 0; i < COMMANDS; i++) {
        names[i] = commands[i]->name;
        if (strcmp(name, commands[i]->name) == 0) return commands[i];
    }
    const char *near = rt_nearest(name, names, COMMANDS);
    rt_fail(RT_USAGE, "unknown command '%s'%s%s%s; see 'retort --help'", name, near ? "; did you mean '" : "",
            near ? near : "", near ? "'?" : "");
    return NULL;
}

static int is_help(const char *s) { return strcmp(s, "--help") == 0 || strcmp(s, "-h") == 0; }
static int is_version(const char *s) { return strcmp(s, "--version") == 0 || strcmp(s, "-V") == 0; }

static rt_status help(const char *name)
{
    if (strcmp(name, "layers") == 0) {
        cli_help_layers();
        return RT_OK;
    }
    const cli_command *c = find_command(name);
    if (!c) return RT_USAGE;
    printf("retort %s - %s\n\n%s", c->name, c->summary, c->help);
    return RT_OK;
}

static void *json_memory(size_t n)
{
    void *p = malloc(n);
    if (!p) rt_out_of_memory();
    return p;
}

/* Without this a file opened later could get one of the three numbers, and what is printed would go into it. */
static void hold_standard_files(void)
{
    int fd;
    do fd = open("/dev/null", O_RDWR);
    while (fd >= 0 && fd <= 2);
    if (fd > 2) close(fd);
}

static void set_signals(void)
{
    static const int stops[] = {SIGINT, SIGTERM, SIGHUP};
    struct sigaction action = {.sa_handler = on_signal}, before;
    for (size_t i = 0; i < sizeof stops / sizeof stops[0]; i++)     /* what nohup ignores stays ignored */
        if (!sigaction(stops[i], NULL, &before) && before.sa_handler != SIG_IGN) sigaction(stops[i], &action, NULL);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN);         /* a file-size limit is then an error of write, with its message */
}

static rt_status run(cli_args *a, const cli_command *c, int argc, char **argv, cJSON **result)
{
    RT_TRY(cli_parse(a, c, argc, argv));
    if (!a->quiet) cli_progress_on(&a->progress);
    a->pool = rt_pool_new(a->threads);
    return a->pool ? c->run(a, result) : RT_RUN;
}

static void print_result(const cli_command *c, const cli_args *a, const cJSON *result)
{
    if (a->json) {
        char *text = rt_json_text(result, 1);
        puts(text ? text : "{}");
        free(text);
    } else if (c->show) c->show(result);
    else cli_print_tree(result, 0);
}

static int is_json(int argc, char **argv)         /* also where the arguments are not understood */
{
    for (int i = 1; i < argc; i++) if (strcmp(argv[i], "--json") == 0) return 1;
    return 0;
}

int main(int argc, char **argv)
{
    static cli_args a;
    cJSON *result = NULL;
    const cli_command *c = NULL;
    rt_status st = RT_OK;
    set_signals();
    hold_standard_files();
    rt_h5_reader_start();             /* before anything is in memory */
    cJSON_InitHooks(&(cJSON_Hooks){json_memory, free});
    if (argc < 2) {
        usage(stderr);
        return RT_USAGE;
    }
    int asks = strcmp(argv[1], "help") == 0;
    if (is_help(argv[1]) || (asks && argc == 2)) usage(stdout);
    else if (is_version(argv[1])) printf("retort %s (commit %s)\n", rt_version(), rt_commit());
    else if (asks && argc > 3) st = rt_fail(RT_USAGE, "help: one command is expected, but '%s' is given, too", argv[3]);
    else if (asks) st = help(argv[2]);
    else if (!(c = find_command(argv[1]))) st = RT_USAGE;
    else {
        int wants_help = 0;
        for (int i = 2; i < argc; i++) wants_help |= is_help(argv[i]);
        st = wants_help ? help(c->name) : run(&a, c, argc - 2, argv + 2, &result);
    }
    cli_progress_clear();
    if (st && is_json(argc, argv)) cli_print_error(st, result);
    else if (result) print_result(c, &a, result);
    if (st) fprintf(stderr, "retort: %s\n", rt_error_message());
    cJSON_Delete(result);
    rt_pool_free(a.pool);
    if ((fflush(stdout) || ferror(stdout)) && !st) {
        fprintf(stderr, "retort: writing to standard output failed\n");
        st = RT_RUN;
    }
    rt_h5_reader_stop();
    return st;
}
