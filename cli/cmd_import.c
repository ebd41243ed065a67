/* cli/cmd_import.c - retort import */
#include <stdio.h>

#include "cli/cli.h"
#include "experiments/importer.h"

static const char help[] =
    "usage: retort import INPUT [LABELS] --out DATA.h5 [--format idx|csv|npy|images] [options]\n\n"
    "Brings a data set into HDF5: x (rows, ...), y (rows) when there are labels, and a manifest with where it came from.\n\n"
    "  idx      INPUT and LABELS as in MNIST, plain or gzip\n"
    "  npy      INPUT and LABELS as saved by numpy\n"
    "  csv      --label COLUMN (name, or number from 0; -1 is the last), --separator C; other columns must be numbers\n"
    "  images   INPUT is a folder with one sub-folder of PNG or JPEG files a class; --size HxW resizes, --channels 1 or 3\n"
    "  --force  replace an existing file\n\n"
    "example:\n"
    "  retort import train-images-idx3-ubyte.gz train-labels-idx1-ubyte.gz --out train.h5\n"
    "  retort import flowers.csv --label species --out flowers.h5\n";


static rt_status run(cli_args *a, cJSON **result)
{
    const char *out = cli_value(a, "out");
    cJSON *config = cJSON_CreateObject();
    int h, w, channels;
    rt_status st = RT_OK;
    if (!out || a->count < 1 || a->count > 2) st = rt_fail(RT_USAGE, "import: INPUT and --out DATA.h5 are required; see 'retort import --help'");
    if (!st) st = cli_set(config, "input", a->positional[0]);
    if (!st && a->count == 2) st = cli_set(config, "labels", a->positional[1]);
    if (!st) st = cli_set(config, "format", cli_value(a, "format"));
    if (!st) st = cli_set(config, "label", cli_value(a, "label"));
    if (!st) st = cli_set(config, "separator", cli_value(a, "separator"));
    if (!st) st = cli_int(a, "channels", 3, 1, 3, &channels);
    if (!st && cli_value(a, "channels")) cJSON_AddNumberToObject(config, "channels", channels);
    if (!st && cli_value(a, "size")) {
        if (sscanf(cli_value(a, "size"), "%dx%d", &h, &w) != 2) st = rt_fail(RT_USAGE, "--size %s: HxW is expected, such as 32x32", cli_value(a, "size"));
        else cJSON_AddItemToObject(config, "size", cJSON_CreateIntArray((int[]){h, w}, 2));
    }
    for (int i = 0; i < a->overrides && !st; i++) st = rt_json_override(config, a->override[i]);
    if (!st) st = rt_import(config, out, cli_flag(a, "force"), result);
    cJSON_Delete(config);
    return st;
}

static const cli_option options[] = {{"out", 1}, {"format", 1}, {"label", 1}, {"separator", 1}, {"size", 1}, {"channels", 1}, {"force", 0}, {NULL, 0}};
const cli_command cli_import = {"import", "bring IDX, CSV, NPY or image files into HDF5", help, options, run, NULL,
                                CLI_KEYS, 2};
