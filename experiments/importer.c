#include "experiments/importer.h"

#include <stdlib.h>
#include <string.h>

#include "data/import.h"
#include "experiments/import_model.h"

typedef struct {
    char *classes, *drop, *columns[RT_IMPORT_TARGETS];
    rt_import_target *target;
    rt_import_spec spec;
} reading;

/* Texts of a list, or of one text with commas between, blanks around them left out; that is cut into `hold` for the
 * caller to free. */
static int texts(rt_cfg *c, const char *key, const char **out, char **hold)
{
    cJSON *j = cJSON_GetObjectItemCaseSensitive(c->object, key);
    if (!cJSON_IsString(j)) return rt_cfg_strings(c, key, out, RT_IMPORT_LIST);
    int n = 0;
    *hold = strdup(rt_cfg_string(c, key, ""));
    if (!*hold) rt_out_of_memory();
    for (char *p = *hold; *p || n;) {
        char *comma = strchr(p, ',');
        if (n == RT_IMPORT_LIST || p == comma || !*p) {
            rt_cfg_fail(c, key, n == RT_IMPORT_LIST ? "too many names"
                        : "a name between the commas is empty; a name that holds a comma needs a list: "
                          "key=[\"a,b\",\"c\"]");
            return 0;
        }
        p += strspn(p, " ");
        char *end = comma ? comma : p + strlen(p);
        while (end > p && end[-1] == ' ') end--;
        if (comma) *comma = 0;
        *end = 0;
        if (!*p) {
            rt_cfg_fail(c, key, "a name between the commas is blank; a name of blanks needs a list: key=[\" \"]");
            return 0;
        }
        out[n++] = p;
        if (!comma) break;
        p = comma + 1;
    }
    return n;
}

static char one_character(rt_cfg *c, const char *key, const char *const *names, const char *stand_for)
{
    const char *text = rt_cfg_string(c, key, "");
    for (int i = 0; names[i]; i++) if (strcmp(text, names[i]) == 0) return stand_for[i];
    if (!*text) return 0;
    if (strlen(text) != 1 || *text == '"' || *text == '\n' || *text == '\r')
        rt_cfg_fail(c, key, "one character is expected, or 'tab' or 'blanks' for a separator");
    return *text;
}

static void read_csv(rt_cfg *c, reading *r)
{
    static const char *const headers[] = {"auto", "yes", "no", NULL}, *const gaps[] = {"refuse", "drop", NULL};
    static const char *const separators[] = {"tab", "\\t", "blanks", "space", "semicolon", "comma", NULL},
        *const none[] = {NULL};
    rt_import_spec *s = &r->spec;
    s->label = rt_cfg_string(c, "label", "");
    s->separator = one_character(c, "separator", separators, "\t\t  ;,");
    s->decimal = one_character(c, "decimal", none, "");
    s->header = (rt_header)rt_cfg_choice(c, "header", headers, 0);
    s->encoding = rt_cfg_string(c, "encoding", "");
    s->drop_missing = rt_cfg_choice(c, "missing", gaps, 0);
    s->drops = texts(c, "drop", s->drop, &r->drop);
    s->keep_index = rt_cfg_bool(c, "keep_index", 0);
    if (!*s->label) s->label = NULL;
    if (!*s->encoding) s->encoding = NULL;
    if (s->decimal && s->decimal != '.' && s->decimal != ',') rt_cfg_fail(c, "decimal", "'.' or ',' is expected");
    if (s->decimal == ',' && s->separator == ',') rt_cfg_fail(c, "decimal", "',' cannot be the separator, too");
}

/* {"NAME": "column" or a list of them}. */
static void read_targets(rt_cfg *c, reading *r)
{
    static const char *const taken[] = {"x", "y", "manifest"};
    cJSON *all = rt_cfg_any(c, "targets");
    if (!all) return;
    if (!cJSON_IsObject(all)) {
        rt_cfg_fail(c, "targets", "{\"NAME\": [\"column\", ...]} is expected");
        return;
    }
    r->target = calloc(RT_IMPORT_TARGETS, sizeof *r->target);
    if (!r->target) rt_out_of_memory();
    rt_cfg one = rt_cfg_begin(all, "targets");
    for (cJSON *t = all->child; t && !one.status; t = t->next) {
        rt_import_target *q = &r->target[r->spec.targets];
        int bad = !*t->string || strlen(t->string) > 64 || strpbrk(t->string, "/.\n\r\t");
        for (int i = 0; i < 3; i++) bad |= !strcmp(t->string, taken[i]);
        if (r->spec.targets == RT_IMPORT_TARGETS) rt_cfg_fail(&one, t->string, "there are at most 8");
        else if (bad)
            rt_cfg_fail(&one, t->string,
                        "a data set cannot have this name: 1 to 64 bytes without '/' and '.', and not x, "
                        "y or manifest, are expected");
        else {
            q->name = t->string;
            q->columns = texts(&one, t->string, q->column, &r->columns[r->spec.targets++]);
            if (!q->columns) rt_cfg_fail(&one, t->string, "no column is named");
        }
    }
    r->spec.target = r->target;
    rt_cfg_join(c, &one);
}

static void read_pictures(rt_cfg *c, rt_import_spec *s)
{
    static const char *const grounds[] = {"drop", "white", "black", NULL};
    int size[2] = {0, 0}, n = rt_cfg_ints(c, "size", size, 2, 1, 16384);
    s->height = size[0];
    s->width = n == 1 ? size[0] : size[1];
    const cJSON *channels = rt_cfg_any(c, "channels");
    const char *text = cJSON_IsString(channels) ? channels->valuestring : "";
    double number = cJSON_IsNumber(channels) ? channels->valuedouble : 0;
    if (number == 1 || !strcmp(text, "1")) s->channels = 1;
    else if (number == 3 || !strcmp(text, "3")) s->channels = 3;
    else if (!strcmp(text, "first")) s->place = RT_CHANNELS_FIRST;
    else if (!strcmp(text, "last")) s->place = RT_CHANNELS_LAST;
    else if (channels)
        rt_cfg_fail(c, "channels", "1 (grey) or 3 (colour) of images, first or last of NPY, is expected");
    if (rt_cfg_any(c, "alpha")) s->alpha = RT_ALPHA_DROP + rt_cfg_choice(c, "alpha", grounds, 0);
    s->skip_bad = rt_cfg_bool(c, "skip_bad", 0);
}

static const char *optional(rt_cfg *c, const char *key)
{
    const char *text = rt_cfg_string(c, key, "");
    return *text ? text : NULL;
}

/* r must be freed also after an error. */
static rt_status read_config(cJSON *config, reading *r)
{
    static const char *const formats[] = {"auto", "idx", "csv", "npy", "npz", "images", NULL},
        *const missing[] = {"no-label", "refuse", NULL};
    rt_import_spec *s = &r->spec;
    rt_cfg c = rt_cfg_begin(config, "");
    s->format = (rt_format)rt_cfg_choice(&c, "format", formats, 0);
    s->input = rt_cfg_file(&c, "input", NULL);
    s->labels = optional(&c, "labels");
    s->missing_labels_refused = rt_cfg_choice(&c, "missing_labels", missing, 0);
    if (rt_cfg_any(&c, "no_label")) s->no_label = rt_cfg_string(&c, "no_label", "");
    s->class_count = texts(&c, "classes", s->classes, &r->classes);
    s->like = optional(&c, "like");
    s->max_classes = rt_cfg_int(&c, "max_classes", 0, 0, 1 << 17);
    s->x = optional(&c, "x");
    s->y = optional(&c, "y");
    read_csv(&c, r);
    read_targets(&c, r);
    read_pictures(&c, s);
    return rt_cfg_end(&c);
}

static void free_reading(reading *r)
{
    free(r->classes);
    free(r->drop);
    free(r->target);
    for (int i = 0; i < RT_IMPORT_TARGETS; i++) free(r->columns[i]);
    free(r);
}

rt_status rt_import_check(cJSON *config)
{
    int known = 1, is_model;
    RT_TRY(rt_import_is_model(config, &is_model));
    if (is_model) return rt_import_model_check(config);
    reading *r = calloc(1, sizeof *r);
    if (!r) rt_out_of_memory();
    rt_status st = read_config(config, r);
    if (!st && r->spec.format == RT_FORMAT_AUTO) st = rt_file_there(r->spec.input, &known);
    if (!st && known) st = rt_import_applies(&r->spec);
    free_reading(r);
    return st;
}

rt_status rt_import(cJSON *config, const rt_target *out, const rt_progress *progress, cJSON **result)
{
    int is_model;
    *result = NULL;
    RT_TRY(rt_import_is_model(config, &is_model));
    if (is_model) return rt_import_model(config, out, result);
    reading *r = calloc(1, sizeof *r);
    if (!r) rt_out_of_memory();
    rt_status st = read_config(config, r);
    r->spec.progress = progress;
    if (!st) st = rt_import_run(&r->spec, out, result);
    free_reading(r);
    return st;
}
