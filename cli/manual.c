/* cli/manual.c - manual pages in roff (man(7)), from the commands' tables. */
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "engine/version.h"

/* Text with what roff reads as its own made harmless: backslashes, hyphens that are to stay so, and lines that begin
 * with a dot or an apostrophe. */
static void put(const char *text)
{
    int start = 1;
    for (; *text; text++) {
        if (start && (*text == '.' || *text == '\'')) printf("\\&");
        if (strncmp(text, "\n\n", 2) == 0) {
            printf("\n.PP\n");
            text++;
            start = 1;
            continue;
        }
        start = *text == '\n';
        if (*text == '\\') printf("\\e");
        else if (*text == '-') printf("\\-");
        else putchar(*text);
    }
}

static void heading(const char *name) { printf(".SH %s\n", name); }

static void head(const char *name, const char *summary)
{
    char upper[64];
    size_t n = 0;
    for (; name[n] && n + 1 < sizeof upper; n++) upper[n] = name[n] >= 'a' && name[n] <= 'z' ? name[n] - 32 : name[n];
    upper[n] = 0;
    printf(".TH %s 1 \"\" \"retort %s\" \"User Commands\"\n", upper, rt_tool_version());
    heading("NAME");
    put(name);
    printf(" \\- ");
    put(summary);
    putchar('\n');
}

static void options(const cli_option *o)
{
    for (; o->name; o++) {
        if (o->group) {
            printf(".SS ");
            put(o->group);
            putchar('\n');
        }
        printf(".TP\n.B \\-\\-");
        put(o->name);
        if (o->value) {
            printf(" \\fI");
            put(o->value);
            printf("\\fR");
        }
        putchar('\n');
        put(o->help);
        putchar('\n');
    }
}

static void exit_status(void)
{
    heading("EXIT STATUS");
    put("0 done, 1 gate failed, 2 usage, 3 bad input, 4 could not run, 5 nothing to do it on, 130 interrupted.\n");
}

static void lines(const char *text)
{
    printf(".nf\n");
    put(text);
    printf(".fi\n");
}

static void command_page(const cli_command *c)
{
    char name[64];
    snprintf(name, sizeof name, "retort-%s", c->name);
    head(name, c->summary);
    heading("SYNOPSIS");
    for (const char *u = c->usage; *u;) {
        size_t n = strcspn(u, "\n");
        char line[400];
        snprintf(line, sizeof line, "%.*s", (int)n, u);
        printf(".B retort %s\n", c->name);
        put(line);
        printf("\n.br\n");
        u += n + (u[n] == '\n');
    }
    heading("DESCRIPTION");
    put(c->about);
    putchar('\n');
    heading("OPTIONS");
    const cli_option *list[CLI_LISTS];
    cli_lists(c, list);
    for (int i = 0; list[i]; i++) options(list[i]);
    if (c->keys) {
        heading("CONFIGURATION");
        put("Keys of the configuration, given as path.to.key=value or in the file; defaults in brackets.\n");
        if (c->keys_about) put(c->keys_about);
        for (const cli_key *k = c->keys; k->path; k++) {
            printf("\n.TP\n.B ");
            put(k->path);
            if (*k->fallback) {
                printf(" \\fR[");
                put(k->fallback);
                putchar(']');
            }
            putchar('\n');
            put(k->help);
        }
        putchar('\n');
    }
    if (c->terms) heading("NUMBERS");
    for (const cli_term *t = c->terms; t && t->word; t++) {
        printf(".TP\n.B ");
        put(t->word);
        putchar('\n');
        put(t->help);
        putchar('\n');
    }
    exit_status();
    heading("EXAMPLES");
    lines(c->examples);
    heading("SEE ALSO");
    printf(".BR retort (1)\n");
}

static void program_page(void)
{
    head("retort", "distil a large model into a small one, measured against its teacher");
    heading("SYNOPSIS");
    printf(
        ".B retort\n.I COMMAND\n[arguments]\n.br\n.B retort help\n[COMMAND | layers | teachers | metrics | reference | "
        "man [COMMAND] | completion SHELL]\n.br\n.B retort \\-\\-version\n");
    heading("COMMANDS");
    for (int i = 0; i < CLI_COMMANDS; i++) {
        printf(".TP\n.BR retort\\-%s (1)\n", cli_commands[i]->name);
        put(cli_commands[i]->summary);
        putchar('\n');
    }
    heading("OPTIONS");
    put("Of every command:\n");
    options(cli_common);
    printf(".PP\n");
    put("Where they have an effect; elsewhere they are refused:\n");
    options(cli_devices);
    options(cli_speed);
    options(cli_registries);
    options(cli_seeds);
    printf(".TP\n.IR key.path = value\noverride of the configuration, such as train.epochs=20\n");
    exit_status();
    heading("ENVIRONMENT");
    printf(".TP\n.B RETORT_DEVICE\nthe device where\n.B \\-\\-device\nis not given\n"
           ".TP\n.B RETORT_CUBLASLT\nthe file of cuBLASLt, which cards need, where the system does not find it\n"
           ".TP\n.B RETORT_KERNELS\nthe kernel family where\n.B \\-\\-kernels\nis not given\n"
           ".TP\n.B RETORT_INT_KERNELS\nthat of quantized models where\n.B \\-\\-int\\-kernels\nis not given\n");
}

void cli_manual(const cli_command *c)
{
    if (c) command_page(c);
    else program_page();
}
