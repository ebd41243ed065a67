/* cli/main.c - the retort program: finds the command, lets it run, prints what it returns. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "cli/cli.h"
#include "data/file_name.h"
#include "data/h5.h"
#include "engine/version.h"
#include "experiments/cold_start.h"

static void on_signal(int sig)
{
    if (rt_stopped()) _exit(128 + sig);       /* a second one ends at once; files stay as the last sync left them */
    rt_ask_to_stop(1);
}

static int is_help(const char *s) { return strcmp(s, "--help") == 0 || strcmp(s, "-h") == 0; }
static int is_version(const char *s) { return strcmp(s, "--version") == 0 || strcmp(s, "-V") == 0; }

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

/* Some frames are large: with less the process would die of SIGSEGV in the middle of its work. */
static rt_status look_at_stack(void)
{
    enum { LEAST = 1024 };             /* KiB */
    struct rlimit l;
    if (getrlimit(RLIMIT_STACK, &l) || l.rlim_cur >= (rlim_t)LEAST << 10) return RT_OK;
    return rt_fail(RT_RUN, "the stack may grow to %llu KiB and not to the %d KiB that are needed: allow more, as by "
                   "'ulimit -s 8192'", (unsigned long long)(l.rlim_cur >> 10), LEAST);
}

static rt_status run(cli_args *a, const cli_command *c, int argc, char **argv, cJSON **result)
{
    RT_TRY(look_at_stack());
    RT_TRY(cli_parse(a, c, argc, argv));
    if (!a->quiet) cli_progress_on(&a->progress);
    RT_TRY(cli_references(a, c));
    RT_TRY(rt_device_open(&a->device, c->takes & CLI_DEVICE ? a->device_name : "cpu", a->threads));
    if (!rt_device_is_cpu(a->device) && cli_value(a, "kernels") && !(c->takes & CLI_BOTH))
        return rt_fail(RT_USAGE, "--kernels chooses among those of the CPU, and %s computes: leave one of --kernels "
                       "and --device out", rt_device_name(a->device));
    return c->run(a, result);
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
    rt_cold_start_by("/proc/self/exe");
    cJSON_InitHooks(&(cJSON_Hooks){json_memory, free});
    if (argc < 2) {
        cli_help(stderr);
        return RT_USAGE;
    }
    int asks = strcmp(argv[1], "help") == 0;
    if (is_help(argv[1]) || (asks && argc == 2)) cli_help(stdout);
    else if (is_version(argv[1])) printf("retort %s (commit %s)\n", rt_tool_version(), rt_commit());
    else if (asks) st = cli_help_on(argc - 2, argv + 2);
    else if (!(c = cli_find(argv[1]))) st = RT_USAGE;
    else {
        int wants_help = 0;
        for (int i = 2; i < argc; i++) wants_help |= is_help(argv[i]);
        st = wants_help ? cli_help_on(1, argv + 1) : run(&a, c, argc - 2, argv + 2, &result);
    }
    cli_progress_clear();
    if (st) rt_file_names_told(st);
    if (st && is_json(argc, argv)) cli_print_error(st, result);
    else if (result) print_result(c, &a, result);
    if (st) fprintf(stderr, "retort: %s\n", rt_error_message());
    cJSON_Delete(result);
    rt_device_close(a.device);
    if ((fflush(stdout) || ferror(stdout)) && !st) {
        fprintf(stderr, "retort: writing to standard output failed\n");
        st = RT_RUN;
    }
    rt_h5_reader_stop();
    return st;
}
