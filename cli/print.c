/* cli/print.c - results, errors and progress for people and for programs. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "engine/text.h"

static int bar_width;

static void print_to(FILE *f, const char *text)
{
    rt_string t = {0};
    rt_put_plain(&t, text);
    if (t.p) fputs(t.p, f);
    free(t.p);
}

void cli_print_text(const char *s) { print_to(stdout, s); }

/* Counts in full, measured values to six digits. */
static void print_number(double v)
{
    printf(v == floor(v) && fabs(v) <= 9007199254740992.0 ? "%.0f" : "%.6g", v);
}

static void print_value(const cJSON *c)
{
    if (cJSON_IsString(c)) cli_print_text(c->valuestring);
    else if (cJSON_IsBool(c)) printf("%s", cJSON_IsTrue(c) ? "yes" : "no");
    else if (cJSON_IsNumber(c)) print_number(c->valuedouble);
    else printf("-");
}

static int is_row(const cJSON *c)
{
    return cJSON_IsArray(c) && c->child && !cJSON_IsObject(c->child) && !cJSON_IsArray(c->child);
}

/* A list with a long text in it, of sentences or calls of a plan, is printed a line each, and whole. */
static int is_lines(const cJSON *c)
{
    enum { LONG = 40 };
    for (const cJSON *e = is_row(c) ? c->child : NULL; e; e = e->next)
        if (cJSON_IsString(e) && strlen(e->valuestring) > LONG) return 1;
    return 0;
}

void cli_print_tree(const cJSON *j, int indent)
{
    for (const cJSON *c = j->child; c; c = c->next) {
        printf("%*s", indent, "");
        cli_print_text(c->string ? c->string : "-");
        int pad = 24 - (c->string ? (int)strlen(c->string) : 1);
        if (is_lines(c)) {
            putchar('\n');
            for (const cJSON *e = c->child; e; e = e->next) {
                printf("%*s", indent + 2, "");
                print_value(e);
                putchar('\n');
            }
        } else if (is_row(c)) {
            int shown = 0;
            printf("%*s", pad > 0 ? pad : 0, "");
            for (const cJSON *e = c->child; e && shown < 16; e = e->next, shown++) {
                putchar(' ');
                print_value(e);
            }
            if (cJSON_GetArraySize(c) > shown) printf(" ... (%d in all)", cJSON_GetArraySize(c));
            putchar('\n');
        } else if (c->child) {
            putchar('\n');
            cli_print_tree(c, indent + 2);
        } else {
            printf("%*s ", pad > 0 ? pad : 0, "");
            print_value(c);
            putchar('\n');
        }
    }
}

/* A number in its column, or a dash. */
static void put_column(const cJSON *v, int width, int digits)
{
    if (cJSON_IsNumber(v)) printf(" %*.*f", width, digits, v->valuedouble);
    else printf(" %*s", width, "-");
}

void cli_print_layers(const cJSON *layers)
{
    static const struct { const char *key; int width, digits; } column[] = {
        {"clipped", 9, 5}, {"snr_db", 7, 1}, {"macs", 11, 0}, {"weight_bytes", 10, 0}};
    printf("%-20s %-24s %4s %11s %11s %9s %7s %11s %10s\n", "layer", "operator", "bits", "least", "greatest", "clipped",
           "dB", "MACs", "bytes");
    for (const cJSON *l = layers->child; l; l = l->next) {
        const cJSON *range = cJSON_GetObjectItemCaseSensitive(l, "range");
        char name[64];
        snprintf(name, sizeof name, "%.60s", cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(l, "name")));
        cli_print_text(name);
        printf("%*s %-24s", (int)(20 > strlen(name) ? 20 - strlen(name) : 0), "",
               cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(l, "op")));
        put_column(cJSON_GetObjectItemCaseSensitive(l, "bits"), 4, 0);
        for (int k = 0; k < 2; k++) put_column(cJSON_GetArrayItem(range, k), 11, 3);
        for (size_t k = 0; k < sizeof column / sizeof column[0]; k++)
            put_column(cJSON_GetObjectItemCaseSensitive(l, column[k].key), column[k].width, column[k].digits);
        putchar('\n');
    }
}

/* Names with commas between, in lines that begin below each other. */
static void print_names(const char *what, const cJSON *list)
{
    char text[4096] = "none";
    size_t n = 0;
    for (const cJSON *c = list->child; c && n < sizeof text - 64; c = c->next)
        n += (size_t)snprintf(text + n, sizeof text - n, "%s%.50s", n ? ", " : "", c->valuestring);
    printf("\n%s: ", what);
    cli_wrap(text, (int)strlen(what) + 2, 110);
}

static const char *or_dash(const cJSON *j, const char *key)
{
    const char *s = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(j, key));
    return s ? s : "-";
}

static void put_gib(const cJSON *j, const char *key)
{
    const cJSON *v = cJSON_GetObjectItemCaseSensitive(j, key);
    if (cJSON_IsNumber(v)) printf(" %8.1f", v->valuedouble / (1 << 30));
    else printf(" %8s", "-");
}

void cli_print_devices(const cJSON *result)
{
    const cJSON *list = cJSON_GetObjectItemCaseSensitive(result, "devices");
    printf("%-8s %-28s %10s %10s %8s %8s  %s\n", "device", "card", "capability", "processors", "GiB", "free",
           "precisions");
    for (const cJSON *d = list->child; d; d = d->next) {
        const cJSON *trouble = cJSON_GetObjectItemCaseSensitive(d, "trouble");
        char card[29];
        snprintf(card, sizeof card, "%s", or_dash(d, "card"));
        printf("%-8s ", or_dash(d, "name"));
        cli_print_text(card);
        printf("%*s %10s %10d", (int)(28 - strlen(card)), "", or_dash(d, "capability"),
               cJSON_GetObjectItemCaseSensitive(d, "processors")->valueint);
        put_gib(d, "memory_bytes");
        put_gib(d, "free_bytes");
        putchar(' ');
        for (const cJSON *p = cJSON_GetObjectItemCaseSensitive(d, "precisions")->child; p; p = p->next)
            printf(" %s", p->valuestring);
        putchar('\n');
        if (cJSON_IsString(trouble)) {
            printf("         ");
            cli_print_text(trouble->valuestring);
            putchar('\n');
        }
    }
    const char *note = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(result, "note"));
    if (note) {
        printf("\nno cards: ");
        cli_print_text(note);
        putchar('\n');
    }
    print_names("operators of cards", cJSON_GetObjectItemCaseSensitive(result, "operators_of_cards"));
    print_names("of the CPU alone", cJSON_GetObjectItemCaseSensitive(result, "operators_of_the_cpu_alone"));
}

static const char *kind_of(rt_status st)
{
    switch (st) {
    case RT_USAGE: return "usage";
    case RT_INPUT: return "input";
    case RT_GATE: return "failed";
    case RT_NOTHING: return "nothing to do";
    case RT_UNDECIDED: return "undecided";
    case RT_INTERRUPTED: return "interrupted";
    default: return "could not run";
    }
}

void cli_print_error(rt_status st, cJSON *result)
{
    cJSON *j = result ? result : cJSON_CreateObject(), *e = cJSON_AddObjectToObject(j, "error");
    cJSON_AddNumberToObject(e, "code", st);
    cJSON_AddStringToObject(e, "kind", kind_of(st));
    cJSON_AddStringToObject(e, "message", rt_error_message());
    char *text = rt_json_text(j, 1);
    puts(text ? text : "{}");
    free(text);
    if (!result) cJSON_Delete(j);
}

/* ---- progress ---- */

void cli_progress_clear(void)
{
    if (bar_width) fprintf(stderr, "\r%*s\r", bar_width, "");
    bar_width = 0;
}

/* Each tenth of the work is a line. */
static void show_plain(const char *what, double share, double rate, const char *unit, const char *note)
{
    static double shown;
    if (share < shown) shown = 0;
    if (share < shown + 0.1 && share < 1) return;
    if (share >= 1 && shown >= 1) return;
    shown = share;
    fprintf(stderr, "%s %3.0f %%  ", what, 100 * share);
    if (rate > 0) fprintf(stderr, "%.0f %s/s  ", rate, unit);
    print_to(stderr, note);
    fputs("\n", stderr);
}

static void show_progress(void *arg, const char *what, double done, double total, double rate, const char *unit,
                          const char *note)
{
    double share = total > 0 ? done / total : 0, left = rate > 0 ? (total - done) / rate : 0;
    (void)arg;
    if (!isatty(2)) {
        show_plain(what, share, rate, unit, note);
        return;
    }
    char text[200], bar[21];
    for (int i = 0; i < 20; i++) bar[i] = i < (int)(share * 20 + 0.5) ? '#' : '.';
    bar[20] = 0;
    int n = snprintf(text, sizeof text, "%-8s [%s] %3.0f %%  ", what, bar, 100 * share);
    if (rate > 0)                                     /* not known of everything */
        n += snprintf(text + n, sizeof text - (size_t)n, "%.0f %s/s  %d:%02d left  ", rate, unit, (int)left / 60,
                      (int)left % 60);
    n += snprintf(text + n, sizeof text - (size_t)n, "%s", note);
    rt_one_line(text);
    fprintf(stderr, "\r%-*s", bar_width, text);
    bar_width = n < (int)sizeof text ? n : (int)sizeof text - 1;
    fflush(stderr);
}

static void show_line(void *arg, const char *text)
{
    (void)arg;
    cli_progress_clear();
    print_to(stderr, text);
    fputs("\n", stderr);
}

void cli_progress_on(rt_progress *p)
{
    p->update = show_progress;
    p->line = show_line;
}
