/* cli/main.c - the retort program: finds the command, reads arguments, prints what it returns. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "engine/kernels.h"
#include "engine/version.h"

static const cli_command *const commands[] = {&cli_import, &cli_info, &cli_train, &cli_label, &cli_eval, &cli_export, &cli_run, &cli_bench};
enum { COMMANDS = sizeof commands / sizeof commands[0] };

static volatile sig_atomic_t stop;
static int bar_width;

static void on_signal(int sig)
{
    if (stop) _exit(128 + sig);       /* a second one ends at once; files stay as the last sync left them */
    stop = 1;
}

static void clear_bar(void)
{
    if (bar_width) fprintf(stderr, "\r%*s\r", bar_width, "");
    bar_width = 0;
}

static void show_progress(void *arg, const char *what, double done, double total, double rate, const char *unit, const char *note)
{
    static double shown;
    int tty = *(int *)arg;
    double share = total > 0 ? done / total : 0, left = rate > 0 ? (total - done) / rate : 0;
    if (!tty) {                       /* plain lines, each tenth */
        if (share < shown) shown = 0;
        if (share < shown + 0.1 && share < 1) return;
        if (share >= 1 && shown >= 1) return;
        shown = share;
        fprintf(stderr, "%s %3.0f %%  %.0f %s/s  %s\n", what, 100 * share, rate, unit, note);
        return;
    }
    char text[200], bar[21];
    for (int i = 0; i < 20; i++) bar[i] = i < (int)(share * 20 + 0.5) ? '#' : '.';
    bar[20] = 0;
    int n = snprintf(text, sizeof text, "%-8s [%s] %3.0f %%  %.0f %s/s  %d:%02d left  %s", what, bar, 100 * share, rate, unit, (int)left / 60, (int)left % 60, note);
    fprintf(stderr, "\r%-*s", bar_width, text);
    bar_width = n < (int)sizeof text ? n : (int)sizeof text - 1;
    fflush(stderr);
}

static void show_line(void *arg, const char *text)
{
    (void)arg;
    clear_bar();
    fprintf(stderr, "%s\n", text);
}

static void usage(FILE *f)
{
    fprintf(f, "retort %s: distil a large model into a small one, measured against its teacher.\n\nusage: retort COMMAND [arguments]\n\n", rt_version());
    for (int i = 0; i < COMMANDS; i++) fprintf(f, "  %-8s %s\n", commands[i]->name, commands[i]->summary);
    fprintf(f, "\nEvery command has --help with an example, and these options:\n"
               "  --json         print the result as JSON on standard output\n"
               "  --threads N    threads (default: all CPUs); results do not depend on it\n"
               "  --seed N       seed of everything random (default 1, stored with results)\n"
               "  --kernels F    kernel family: auto, amx, avx512, avx2, scalar (also RETORT_KERNELS)\n"
               "  --quiet        no progress on standard error\n"
               "  key.path=value override of the configuration, such as train.epochs=20\n\n"
               "Exit codes: 0 done, 1 gate failed, 2 usage, 3 bad input, 4 could not run, 5 nothing to do it on, 130 interrupted.\n");
}

const char *cli_value_at(const cli_args *a, const char *name, int i)
{
    for (int k = 0; k < a->options; k++)
        if (strcmp(a->name[k], name) == 0 && i-- == 0) return a->value[k];
    return NULL;
}

const char *cli_value(const cli_args *a, const char *name)
{
    const char *v = NULL;
    for (int k = 0; k < a->options; k++) if (strcmp(a->name[k], name) == 0) v = a->value[k];
    return v;
}

int cli_flag(const cli_args *a, const char *name)
{
    for (int k = 0; k < a->options; k++) if (strcmp(a->name[k], name) == 0) return 1;
    return 0;
}

rt_status cli_int(const cli_args *a, const char *name, int fallback, int min, int max, int *out)
{
    const char *v = cli_value(a, name);
    char *end;
    *out = fallback;
    if (!v) return RT_OK;
    long n = strtol(v, &end, 10);
    if (!*v || *end || n < min || n > max) return rt_fail(RT_USAGE, "--%s %s: a whole number from %d to %d is expected", name, v, min, max);
    *out = (int)n;
    return RT_OK;
}

rt_status cli_set(cJSON *config, const char *path, const char *value)
{
    char text[4300];
    if (!value) return RT_OK;
    cJSON *s = cJSON_CreateString(value);
    char *quoted = s ? cJSON_PrintUnformatted(s) : NULL;
    int n = quoted ? snprintf(text, sizeof text, "%s=%s", path, quoted) : -1;
    cJSON_free(quoted);
    cJSON_Delete(s);
    if (n < 0 || n >= (int)sizeof text) return rt_fail(RT_USAGE, "the value of %s is too long", path);
    return rt_json_override(config, text);
}

rt_status cli_config(const cli_args *a, cJSON **config)
{
    *config = NULL;
    if (a->count > 1) return rt_fail(RT_USAGE, "one configuration file is expected, but '%s' is given, too", a->positional[1]);
    if (a->count == 1) RT_TRY(rt_json_file(config, a->positional[0]));
    else *config = cJSON_CreateObject();
    if (!cJSON_IsObject(*config)) return rt_fail(RT_USAGE, "%s: an object {...} is expected", a->positional[0]);
    for (int i = 0; i < a->overrides; i++) RT_TRY(rt_json_override(*config, a->override[i]));
    if (a->seed) {
        char text[64];
        snprintf(text, sizeof text, "seed=%.40s", a->seed);
        RT_TRY(rt_json_override(*config, text));
    }
    return RT_OK;
}

/* Text from files may hold control characters, which a terminal would obey. */
static void print_safe(const char *s)
{
    for (; *s; s++) putchar((unsigned char)*s < 32 || *s == 127 ? '?' : *s);
}

void cli_print_tree(const cJSON *j, int indent)
{
    for (const cJSON *c = j->child; c; c = c->next) {
        if (cJSON_IsArray(c) && c->child && !cJSON_IsObject(c->child) && !cJSON_IsArray(c->child)) {
            printf("%*s%-24s", indent, "", c->string ? c->string : "-");
            int shown = 0;
            for (const cJSON *e = c->child; e; e = e->next) {
                if (++shown > 16) {
                    printf(" ... (%d)", cJSON_GetArraySize(c));
                    break;
                }
                if (cJSON_IsString(e)) { putchar(' '); print_safe(e->valuestring); }
                else printf(" %.6g", e->valuedouble);
            }
            putchar('\n');
        } else if (c->child) {
            printf("%*s%s\n", indent, "", c->string ? c->string : "-");
            cli_print_tree(c, indent + 2);
        } else {
            printf("%*s%-24s ", indent, "", c->string ? c->string : "-");
            if (cJSON_IsString(c)) print_safe(c->valuestring);
            else if (cJSON_IsBool(c)) printf("%s", cJSON_IsTrue(c) ? "yes" : "no");
            else if (cJSON_IsNumber(c)) printf(c->valuedouble == (double)(long long)c->valuedouble ? "%.0f" : "%.6g", c->valuedouble);
            else printf("-");
            putchar('\n');
        }
    }
}

/* "--name value", "--name=value", "-o FILE" for --out, key=value overrides, the rest positional. */
static rt_status parse(cli_args *a, const cli_command *c, int argc, char **argv)
{
    static const cli_option common[] = {{"threads", 1}, {"seed", 1}, {"kernels", 1}, {"json", 0}, {"quiet", 0}, {NULL, 0}};
    for (int i = 0; i < argc; i++) {
        const char *s = strcmp(argv[i], "-o") == 0 ? "--out" : argv[i];
        if (a->count == CLI_MAX || a->overrides == CLI_MAX || a->options == CLI_MAX) return rt_fail(RT_USAGE, "too many arguments");
        if (strncmp(s, "--", 2)) {
            const char *eq = strchr(s, '=');
            if (eq && eq != s && strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.") == (size_t)(eq - s)) a->override[a->overrides++] = s;
            else a->positional[a->count++] = s;
            continue;
        }
        char name[64];
        const char *eq = strchr(s, '=');
        snprintf(name, sizeof name, "%.*s", (int)(eq ? eq - s - 2 : (long)strlen(s) - 2), s + 2);
        const cli_option *o = NULL;
        for (const cli_option *q = common; q->name && !o; q++) if (strcmp(q->name, name) == 0) o = q;
        for (const cli_option *q = c->options; q && q->name && !o; q++) if (strcmp(q->name, name) == 0) o = q;
        if (!o) {
            const char *names[64];
            int n = 0;
            for (const cli_option *q = common; q->name; q++) names[n++] = q->name;
            for (const cli_option *q = c->options; q && q->name; q++) names[n++] = q->name;
            const char *near = rt_nearest(name, names, n);
            return rt_fail(RT_USAGE, "unknown option --%s%s%s%s see 'retort %s --help'", name, near ? "; did you mean --" : ";", near ? near : "", near ? "?" : "", c->name);
        }
        const char *value = eq ? eq + 1 : NULL;
        if (o->takes_value && !value) {
            if (i + 1 >= argc) return rt_fail(RT_USAGE, "--%s needs a value", o->name);
            value = argv[++i];
        }
        if (!o->takes_value && eq) return rt_fail(RT_USAGE, "--%s takes no value", o->name);
        a->name[a->options] = o->name;
        a->value[a->options++] = value ? value : "";
    }
    a->json = cli_flag(a, "json");
    a->quiet = cli_flag(a, "quiet");
    a->seed = cli_value(a, "seed");
    if (a->seed && strspn(a->seed, "0123456789") != strlen(a->seed)) return rt_fail(RT_USAGE, "--seed %s: a whole number from 0 is expected", a->seed);
    RT_TRY(cli_int(a, "threads", 0, 1, 1024, &a->threads));
    if (cli_value(a, "kernels")) return rt_kernels_select(cli_value(a, "kernels"));
    const char *env = getenv("RETORT_KERNELS");
    return env ? rt_kernels_select(env) : RT_OK;
}

static void *json_memory(size_t n)
{
    void *p = malloc(n);
    if (!p) rt_out_of_memory();
    return p;
}

int main(int argc, char **argv)
{
    static cli_args a;
    cJSON_InitHooks(&(cJSON_Hooks){json_memory, free});
    int tty = isatty(2);
    cJSON *result = NULL;
    if (argc < 2 || strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "help") == 0) {
        usage(argc < 2 ? stderr : stdout);
        return argc < 2 ? RT_USAGE : 0;
    }
    if (strcmp(argv[1], "--version") == 0) {
        printf("retort %s (commit %s)\n", rt_version(), rt_commit());
        return 0;
    }
    const cli_command *c = NULL;
    const char *names[COMMANDS];
    for (int i = 0; i < COMMANDS; i++) {
        names[i] = commands[i]->name;
        if (strcmp(argv[1], commands[i]->name) == 0) c = commands[i];
    }
    if (!c) {
        const char *near = rt_nearest(argv[1], names, COMMANDS);
        fprintf(stderr, "retort: unknown command '%s'%s%s%s; see 'retort --help'\n", argv[1], near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
        return RT_USAGE;
    }
    for (int i = 2; i < argc; i++)
        if (strcmp(argv[i], "--help") == 0) {
            printf("retort %s - %s\n\n%s", c->name, c->summary, c->help);
            return 0;
        }
    struct sigaction action = {.sa_handler = on_signal};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN);         /* a file-size limit is then an error of write, with its message */
    rt_status st = parse(&a, c, argc - 2, argv + 2);
    if (!st) {
        if (!a.quiet) {
            a.progress.update = show_progress;
            a.progress.line = show_line;
        }
        a.progress.arg = &tty;
        a.progress.stop = &stop;
        a.pool = rt_pool_new(a.threads);
        st = a.pool ? c->run(&a, &result) : RT_RUN;
    }
    clear_bar();
    if (result) {
        if (a.json) {
            char *text = cJSON_Print(result);
            puts(text ? text : "{}");
            cJSON_free(text);
        } else if (c->show) c->show(result);
        else cli_print_tree(result, 0);
    }
    if (st) fprintf(stderr, "retort: %s\n", rt_error_message());
    cJSON_Delete(result);
    rt_pool_free(a.pool);
    if ((fflush(stdout) || ferror(stdout)) && !st) {
        fprintf(stderr, "retort: writing to standard output failed\n");
        st = RT_RUN;
    }
    return st;
}
