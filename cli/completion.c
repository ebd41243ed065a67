/* cli/completion.c - completions for shells, from the commands' tables. */
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"

typedef void each_fn(const cli_command *, const cli_option *);

static void each_option(const cli_command *c, each_fn *fn)
{
    const cli_option *list[CLI_LISTS];
    cli_lists(c, list);
    for (int i = 0; list[i]; i++)
        for (const cli_option *o = list[i]; o->name; o++) fn(c, o);
}

/* Inside single quotes; specials get a backslash before them. */
static void put_quoted(const char *text, const char *specials)
{
    for (; *text; text++) {
        if (*text == '\'') {
            printf("'\\''");
            continue;
        }
        if (strchr(specials, *text)) putchar('\\');
        putchar(*text);
    }
}

static void bash_option(const cli_command *c, const cli_option *o)
{
    (void)c;
    printf(" --%s", o->name);
}

static void bash(void)
{
    printf("# bash completion for retort\n_retort() {\n"
           "    local cur=${COMP_WORDS[COMP_CWORD]} list=\n"
           "    COMPREPLY=()\n"
           "    if [ \"$COMP_CWORD\" -eq 1 ]; then\n        list='");
    for (int i = 0; i < CLI_COMMANDS; i++) printf("%s ", cli_commands[i]->name);
    printf("help --help --version'\n    elif [ \"$cur\" ]; then            # files, where nothing is typed yet\n"
           "        case ${COMP_WORDS[1]} in\n");
    for (int i = 0; i < CLI_COMMANDS; i++) {
        const cli_command *c = cli_commands[i];
        printf("            %s) list='", c->name);
        each_option(c, bash_option);
        for (const cli_key *k = c->keys; k && k->path; k++) printf(" %s=", k->path);
        printf("' ;;\n");
    }
    printf("            help) list='");
    for (int i = 0; i < CLI_COMMANDS; i++) printf("%s ", cli_commands[i]->name);
    printf("layers teachers metrics reference man completion' ;;\n        esac\n    fi\n"
           "    COMPREPLY=($(compgen -W \"$list\" -- \"$cur\"))\n"
           "    [ ${#COMPREPLY[@]} -ne 1 ] || case ${COMPREPLY[0]} in *=) compopt -o nospace ;; esac\n"
           "}\ncomplete -o default -o bashdefault -F _retort retort\n");
}

static void zsh_option(const cli_command *c, const cli_option *o)
{
    (void)c;
    printf("            '%s--%s%s[", o->takes >= CLI_LIST ? "*" : "", o->name, o->takes == CLI_FLAG ? "" : "=");
    put_quoted(o->help, "[]:\\");
    printf("]");
    if (o->takes != CLI_FLAG) {
        printf(":");
        put_quoted(o->value, ":\\");
        printf(":_files");
    }
    printf("' \\\n");
}

static void zsh(void)
{
    printf("#compdef retort\n_retort() {\n    local -a commands\n    commands=(\n");
    for (int i = 0; i < CLI_COMMANDS; i++) {
        printf("        '%s:", cli_commands[i]->name);
        put_quoted(cli_commands[i]->summary, ":\\");
        printf("'\n");
    }
    printf("        'help:explain a command')\n    if (( CURRENT == 2 )); then\n        _describe command commands\n"
           "        return\n    fi\n    case $words[2] in\n");
    for (int i = 0; i < CLI_COMMANDS; i++) {
        const cli_command *c = cli_commands[i];
        printf("        %s)\n            local -a keys\n            keys=(", c->name);
        for (const cli_key *k = c->keys; k && k->path; k++) printf("'%s=' ", k->path);
        printf(")\n            _arguments -S \\\n");
        each_option(c, zsh_option);
        printf("            '*:file or key:{ compadd -S \"\" -a keys; _files }' ;;\n");
    }
    printf("        help) _describe command commands ;;\n    esac\n}\n_retort \"$@\"\n");
}

static void fish_option(const cli_command *c, const cli_option *o)
{
    printf("complete -c retort -n '__fish_seen_subcommand_from %s' -l %s%s -d '", c->name, o->name,
           o->takes == CLI_FLAG ? "" : " -r");
    for (const char *p = o->help; *p; p++) {
        if (*p == '\'' || *p == '\\') putchar('\\');
        putchar(*p);
    }
    printf("'\n");
}

static void fish(void)
{
    for (int i = 0; i < CLI_COMMANDS; i++)
        printf("complete -c retort -n __fish_use_subcommand -a %s -d '%s'\n", cli_commands[i]->name,
               cli_commands[i]->summary);
    printf("complete -c retort -n __fish_use_subcommand -a help -d 'explain a command'\n");
    for (int i = 0; i < CLI_COMMANDS; i++) {
        const cli_command *c = cli_commands[i];
        each_option(c, fish_option);
        for (const cli_key *k = c->keys; k && k->path; k++)
            printf("complete -c retort -n '__fish_seen_subcommand_from %s' -a %s=\n", c->name, k->path);
    }
}

rt_status cli_completion(const char *shell)
{
    if (!strcmp(shell, "bash")) bash();
    else if (!strcmp(shell, "zsh")) zsh();
    else if (!strcmp(shell, "fish")) fish();
    else return rt_fail(RT_USAGE, "help completion '%s': bash, zsh or fish is expected", shell);
    return RT_OK;
}
