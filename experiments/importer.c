#include "experiments/importer.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "data/files.h"
#include "data/import.h"

enum { AUTO, IDX, CSV, NPY, IMAGES };
static const char *const formats[] = {"auto", "idx", "csv", "npy", "images", NULL};

static int guess(const char *path)
{
    struct stat s;
    if (stat(path, &s) == 0 && S_ISDIR(s.st_mode)) return IMAGES;
    if (strstr(path, ".npy")) return NPY;
    if (strstr(path, ".csv") || strstr(path, ".tsv") || strstr(path, ".txt") || strstr(path, ".data")) return CSV;
    if (strstr(path, "idx")) return IDX;
    return AUTO;
}

rt_status rt_import(cJSON *config, const char *out, int force, cJSON **result)
{
    rt_cfg c = rt_cfg_begin(config, "");
    int format = rt_cfg_choice(&c, "format", formats, AUTO), size[2] = {0, 0};
    const char *input = rt_cfg_string(&c, "input", NULL), *labels = rt_cfg_string(&c, "labels", ""), *label = rt_cfg_string(&c, "label", "");
    const char *separator = rt_cfg_string(&c, "separator", strstr(input, ".tsv") ? "\t" : ",");
    int n = rt_cfg_ints(&c, "size", size, 2, 1, 16384), channels = rt_cfg_int(&c, "channels", 3, 1, 3);
    if (n == 1) size[1] = size[0];
    *result = NULL;
    RT_TRY(rt_cfg_end(&c));
    if (channels == 2) return rt_fail(RT_USAGE, "channels: 1 (grey) or 3 (colour) is expected");
    if (strcmp(separator, "\\t") == 0) separator = "\t";
    if (strlen(separator) != 1) return rt_fail(RT_USAGE, "separator: one character is expected");
    if (format == AUTO) format = guess(input);
    if (format == AUTO) return rt_fail(RT_USAGE, "%s: its format cannot be told from its name; give --format idx, csv, npy or images", input);
    if (!force && rt_file_exists(out)) return rt_fail(RT_USAGE, "%s: exists; give another --out, or --force to replace it", out);
    rt_table t = {0};
    const char *inputs[2] = {input, labels};
    rt_status st;
    switch (format) {
    case IDX: st = rt_import_idx(&t, input, *labels ? labels : NULL); break;
    case NPY: st = rt_import_npy(&t, input, *labels ? labels : NULL); break;
    case CSV: st = rt_import_csv(&t, input, *label ? label : NULL, *separator); break;
    default: st = rt_import_images(&t, input, size[0], size[1], channels); break;
    }
    if (!st) st = rt_import_write(&t, out, formats[format], inputs, *labels ? 2 : 1);
    if (!st) {
        cJSON *r = *result = cJSON_CreateObject(), *shape;
        int classes = t.classes;
        for (uint64_t i = 0; t.y && i < t.dim[0]; i++) if (t.y[i] >= classes) classes = t.y[i] + 1;
        cJSON_AddStringToObject(r, "data", out);
        cJSON_AddNumberToObject(r, "rows", (double)t.dim[0]);
        shape = cJSON_AddArrayToObject(r, "row_shape");
        for (int i = 1; i < t.rank; i++) cJSON_AddItemToArray(shape, cJSON_CreateNumber((double)t.dim[i]));
        cJSON_AddStringToObject(r, "type", rt_dtype_name(t.type));
        cJSON_AddBoolToObject(r, "labels", t.y != NULL);
        if (t.y) cJSON_AddNumberToObject(r, "classes", classes);
    }
    rt_table_free(&t);
    return st;
}
