/* cli/arguments.c - from argv to options, overrides and a configuration. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "data/file_name.h"
#include "engine/int/integer.h"

const cli_option cli_common[] = {
    {"json", CLI_FLAG, NULL, "print the result, or the error, as JSON on standard output", NULL},
    {"quiet", CLI_FLAG, NULL, "no progress on standard error", NULL},
    {0}};
const cli_option cli_speed[] = {
    {"threads", CLI_VALUE, "N", "threads (default: all CPUs); results do not depend on it", NULL},
    {"kernels", CLI_VALUE, "F", "kernel family: auto, amx, avx512, avx2, openblas, scalar (also RETORT_KERNELS)", NULL},
    {"int-kernels", CLI_VALUE, "F",
     "that of quantized models: auto, amx_int8, avx512vnni, avxvnni, avx2, scalar (also RETORT_INT_KERNELS); their "
     "answers do not depend on it",
     NULL},
    {0}};
const cli_option cli_devices[] = {
    {"device", CLI_VALUE, "D",
     "cpu (the default), cuda (the first card) or cuda:N (also RETORT_DEVICE); 'retort info --devices' lists them",
     NULL},
    {0}};
const cli_option cli_seeds[] = {
    {"seed", CLI_VALUE, "N", "seed of everything random (default 1, stored with results)", NULL}, {0}};

const char *cli_value_at(const cli_args *a, const char *name, int i)
{
    for (int k = 0; k < a->options; k++)
        if (strcmp(a->name[k], name) == 0 && i-- == 0) return a->value[k];
    return NULL;
}

const char *cli_value(const cli_args *a, const char *name) { return cli_value_at(a, name, 0); }

int cli_flag(const cli_args *a, const char *name) { return cli_value_at(a, name, 0) != NULL; }

rt_status cli_int(const cli_args *a, const char *name, int fallback, int min, int max, int *out)
{
    const char *v = cli_value(a, name);
    char *end;
    *out = fallback;
    if (!v) return RT_OK;
    long n = strtol(v, &end, 10);
    if (!*v || *end || n < min || n > max)
        return rt_fail(RT_USAGE, "--%s %s: a whole number from %d to %d is expected", name, v, min, max);
    *out = (int)n;
    return RT_OK;
}

rt_status cli_set(cJSON *config, const char *path, const char *value)
{
    if (!value) return RT_OK;
    cJSON *s = cJSON_CreateString(value);
    char *quoted = s ? cJSON_PrintUnformatted(s) : NULL;
    size_t room = quoted ? strlen(path) + strlen(quoted) + 2 : 0;
    char *text = quoted ? malloc(room) : NULL;
    if (text) snprintf(text, room, "%s=%s", path, quoted);
    rt_status st = text ? rt_json_override(config, text) : rt_fail(RT_RUN, "out of memory");
    free(text);
    cJSON_free(quoted);
    cJSON_Delete(s);
    return st;
}

/* The override that says `path`, something inside it or something that holds it, or NULL. */
static const char *override_of(const cli_args *a, const char *path, size_t length)
{
    for (int i = 0; i < a->overrides; i++) {
        size_t n = strcspn(a->override[i], "="), least = n < length ? n : length;
        if (strncmp(a->override[i], path, least)) continue;
        if (n == length || (n < length ? path[n] : a->override[i][length]) == '.') return a->override[i];
    }
    return NULL;
}

rt_status cli_set_option(const cli_args *a, cJSON *config, const char *option, const char *path)
{
    const char *twice = override_of(a, path, strlen(path));
    if (cli_value(a, option) && twice)
        return rt_fail(RT_USAGE, "--%s and %s say the same thing; give one of them", option, twice);
    return cli_set(config, path, cli_value(a, option));
}

rt_status cli_set_list(const cli_args *a, cJSON *config, const char *option, const char *path)
{
    const char *twice = override_of(a, path, strlen(path));
    if (!cli_value(a, option)) return RT_OK;
    if (twice) return rt_fail(RT_USAGE, "--%s and %s say the same thing; give one of them", option, twice);
    cJSON *list = cJSON_CreateArray();
    for (int i = 0; cli_value_at(a, option, i); i++)
        cJSON_AddItemToArray(list, cJSON_CreateString(cli_value_at(a, option, i)));
    cJSON_DeleteItemFromObjectCaseSensitive(config, path);
    cJSON_AddItemToObject(config, path, list);
    return RT_OK;
}

rt_status cli_set_columns(const cli_args *a, cJSON *config, const char *option, const char *path)
{
    const char *value = cli_value(a, option), *twice = override_of(a, path, strlen(path));
    char text[4300];
    if (!value) return RT_OK;
    if (twice) return rt_fail(RT_USAGE, "--%s and %s say the same thing; give one of them", option, twice);
    cJSON *list = cJSON_CreateArray();
    for (size_t n; ; value += n + 1) {
        n = strcspn(value, ",");
        snprintf(text, sizeof text, "%.*s", (int)n, value);
        if (n) cJSON_AddItemToArray(list, cJSON_CreateString(text));
        if (!value[n]) break;
    }
    char *names = cJSON_PrintUnformatted(list);
    int n = names && list->child ? snprintf(text, sizeof text, "%s=%s", path, names) : -1;
    cJSON_free(names);
    cJSON_Delete(list);
    if (n < 0 || n >= (int)sizeof text)
        return rt_fail(RT_USAGE, "--%s: names of columns with commas between are expected", option);
    return rt_json_override(config, text);
}

rt_status cli_config(const cli_args *a, cJSON **config)
{
    *config = NULL;
    if (a->count == 1) RT_TRY(rt_json_file(config, a->positional[0]));
    else *config = cJSON_CreateObject();
    if (!cJSON_IsObject(*config)) return rt_fail(RT_USAGE, "%s: an object {...} is expected", a->positional[0]);
    for (int i = 0; i < a->overrides; i++) RT_TRY(rt_json_override(*config, a->override[i]));
    RT_TRY(rt_file_names_in(*config));
    if (!a->seed) return RT_OK;
    const char *twice = override_of(a, "seed", 4);
    if (twice) return rt_fail(RT_USAGE, "--seed and %s say the same thing; give one of them", twice);
    char text[64];
    unsigned long long seed = strtoull(a->seed, NULL, 10);       /* beyond 2^53 JSON holds it as text */
    snprintf(text, sizeof text, seed <= 1ull << 53 ? "seed=%llu" : "seed=\"%llu\"", seed);
    return rt_json_override(*config, text);
}

static const cli_option *find(const cli_option *list, const char *name)
{
    for (const cli_option *q = list; q && q->name; q++) if (strcmp(q->name, name) == 0) return q;
    return NULL;
}

void cli_lists(const cli_command *c, const cli_option *list[CLI_LISTS])
{
    int n = 0;
    list[n++] = c->options;
    list[n++] = cli_common;
    if (c->takes & CLI_DEVICE) list[n++] = cli_devices;
    if (c->takes & CLI_THREADS) list[n++] = cli_speed;
    if (c->takes & CLI_REGISTRY) list[n++] = cli_registries;
    if (c->takes & CLI_SEED) list[n++] = cli_seeds;
    list[n] = NULL;
}

static const cli_option *option_of(const cli_command *c, const char *name)
{
    const cli_option *list[CLI_LISTS], *o = NULL;
    cli_lists(c, list);
    for (int i = 0; list[i] && !o; i++) o = find(list[i], name);
    return o;
}

static rt_status unknown_option(const cli_command *c, const char *name)
{
    const cli_option *list[CLI_LISTS];
    const char *names[64];
    int n = 0;
    if (find(cli_seeds, name))
        return rt_fail(RT_USAGE, "--seed does nothing in '%s', where nothing is random", c->name);
    if (find(cli_devices, name))
        return rt_fail(RT_USAGE, "--device does nothing in '%s', which computes nothing on cards", c->name);
    if (find(cli_registries, name)) return rt_fail(RT_USAGE, "--registry does nothing in '%s', which takes no model",
                                                   c->name);
    if (find(cli_speed, name)) return rt_fail(RT_USAGE, "--%s does nothing in '%s'", name, c->name);
    cli_lists(c, list);
    for (int i = 0; list[i]; i++)
        for (const cli_option *q = list[i]; q->name && n < 64; q++) names[n++] = q->name;
    const char *near = rt_nearest(name, names, n);
    return rt_fail(RT_USAGE, "unknown option --%s%s%s%s see 'retort %s --help'", name, near ? "; did you mean --" : ";",
                   near ? near : "", near ? "?" : "", c->name);
}

/* An option; *i moves on when the value is the next argument. */
static rt_status take_option(cli_args *a, const cli_command *c, const char *s, int argc, char **argv, int *i)
{
    char name[64];
    const char *eq = strchr(s, '=');
    snprintf(name, sizeof name, "%.*s", (int)(eq ? eq - s - 2 : (long)strlen(s) - 2), s + 2);
    const cli_option *o = option_of(c, name);
    if (!o) return unknown_option(c, name);
    if (o->takes != CLI_LIST && o->takes != CLI_SOURCE && cli_value(a, o->name))
        return rt_fail(RT_USAGE, "--%s is given twice; one is expected", o->name);
    const char *value = eq ? eq + 1 : NULL;
    if (o->takes != CLI_FLAG && !value) {
        if (*i + 1 >= argc) return rt_fail(RT_USAGE, "--%s needs a value", o->name);
        value = argv[++*i];
        if (strncmp(value, "--", 2) == 0 && option_of(c, value + 2))
            return rt_fail(RT_USAGE, "--%s needs a value, but %s follows, which is an option", o->name, value);
    }
    if (o->takes != CLI_FLAG && !*value) return rt_fail(RT_USAGE, "--%s: its value is empty; leave it out", o->name);
    if (o->takes == CLI_FLAG && eq) return rt_fail(RT_USAGE, "--%s takes no value", o->name);
    a->name[a->options] = o->name;
    a->value[a->options++] = value ? value : "";
    return RT_OK;
}

/* The first key is a word; those in it may be names of heads, with blanks and whatever else. */
static int is_override(const char *s)
{
    size_t n = strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_");
    if (n && s[n] == '.') n += strcspn(s + n, "=/");
    return n && s[n] == '=';
}

static rt_status take_override(cli_args *a, const cli_command *c, const char *s)
{
    if (!(c->takes & CLI_KEYS)) return rt_fail(RT_USAGE, "'%s' takes no key=value, so %s would do nothing", c->name, s);
    const char *twice = override_of(a, s, strcspn(s, "="));
    if (twice) return rt_fail(RT_USAGE, "%s and %s say the same thing; give one of them", twice, s);
    a->override[a->overrides++] = s;
    return RT_OK;
}

/* Several sources as one value: the text of their list. */
static rt_status join_sources(cli_args *a, const cli_command *c)
{
    const cli_option *o = c->options;
    while (o && o->name && o->takes != CLI_SOURCE) o++;
    if (!o || !o->name || !cli_value_at(a, o->name, 1)) return RT_OK;
    cJSON *list = cJSON_CreateArray();
    for (int i = 0; cli_value_at(a, o->name, i); i++)
        cJSON_AddItemToArray(list, cJSON_CreateString(cli_value_at(a, o->name, i)));
    a->sources = cJSON_PrintUnformatted(list);
    cJSON_Delete(list);
    if (!a->sources) return rt_fail(RT_RUN, "out of memory");
    int k = 0;
    while (strcmp(a->name[k], o->name)) k++;
    a->value[k] = a->sources;
    return RT_OK;
}

static rt_status take_kernels(const cli_args *a, const cli_command *c)
{
    const char *floats = cli_value(a, "kernels"), *integers = cli_value(a, "int-kernels");
    if (c->takes & CLI_THREADS) {
        if (!floats) floats = getenv("RETORT_KERNELS");
        if (!integers) integers = getenv("RETORT_INT_KERNELS");
    }
    if (floats && !(c->takes & CLI_ALL_KERNELS && !strcmp(floats, "all"))) RT_TRY(rt_kernels_select(floats));
    return integers ? rt_int_kernels_select(integers) : RT_OK;
}

rt_status cli_parse(cli_args *a, const cli_command *c, int argc, char **argv)
{
    for (int i = 0; i < argc; i++) {
        const char *s = strcmp(argv[i], "-o") == 0 ? "--out" : argv[i];
        if (a->count == CLI_MAX || a->overrides == CLI_MAX || a->options == CLI_MAX)
            return rt_fail(RT_USAGE, "more than %d arguments of one kind", CLI_MAX - 1);
        if (strncmp(s, "--", 2) == 0 && s[2]) RT_TRY(take_option(a, c, s, argc, argv, &i));
        else if (s[0] == '-' && s[1])
            return rt_fail(RT_USAGE, "unknown option %s; see 'retort %s --help' (a file of that name: ./%s)", s,
                           c->name, s);
        else if (!*s) return rt_fail(RT_USAGE, "%s: argument %d is empty; leave it out", c->name, i + 1);
        else if (is_override(s)) RT_TRY(take_override(a, c, s));
        else if (a->count == c->files) {
            return rt_fail(RT_USAGE, "%s: at most %d file%s taken, so '%s' would do nothing; see 'retort %s --help'",
                           c->name, c->files, c->files == 1 ? " is" : "s are", s, c->name);
        } else a->positional[a->count++] = s;
    }
    a->json = cli_flag(a, "json");
    a->quiet = cli_flag(a, "quiet");
    a->seed = cli_value(a, "seed");
    a->device_name = cli_value(a, "device");
    errno = 0;
    if (a->seed && (!*a->seed || strspn(a->seed, "0123456789") != strlen(a->seed) ||
                    (strtoull(a->seed, NULL, 10) == ULLONG_MAX && errno)))
        return rt_fail(RT_USAGE, "--seed %s: a whole number from 0 to %llu is expected", a->seed, ULLONG_MAX);
    RT_TRY(join_sources(a, c));
    RT_TRY(cli_int(a, "threads", 0, 1, 1024, &a->threads));
    return take_kernels(a, c);
}
