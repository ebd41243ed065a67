/* data/h5_filters.c - the filters of chunks: those that are undone here, and whether the HDF5 library can undo another.
 *
 * Who asks is the process that scans, about the few filters that files of a run have; who knows is a child of the
 * reader's, for it must look for plugins, load them, and is gone with them. */
#include <stdio.h>
#include <string.h>

#include "data/codecs.h"
#include "data/h5_plan.h"

typedef struct { int id; const char *name; int undone, plugin; } filter;
static const filter known[] = {
    {RT_H5_DEFLATE, "deflate", 1, 0}, {RT_H5_SHUFFLE, "shuffle", 1, 0}, {RT_H5_FLETCHER32, "fletcher32", 1, 0},
    {4, "szip", 0, 0}, {5, "n-bit", 0, 0}, {6, "scale-offset", 0, 0}, {305, "LZO", 0, 1}, {307, "bzip2", 0, 1},
    {RT_H5_LZF, "lzf", 1, 0}, {32001, "Blosc", 0, 1}, {RT_H5_LZ4, "lz4", 1, 1}, {RT_H5_BITSHUFFLE, "bitshuffle", 1, 1},
    {32013, "ZFP", 0, 1}, {RT_H5_ZSTD, "zstd", 1, 1}, {32017, "SZ", 0, 1}, {32018, "FCIDECOMP", 0, 1},
    {32019, "JPEG", 0, 1}, {32024, "SZ3", 0, 1}, {32026, "Blosc2", 0, 1}, {32028, "SPERR", 0, 1},
};

static const filter *find(int id)
{
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) if (known[i].id == id) return &known[i];
    return NULL;
}

const char *rt_h5_filter_name(int id) { return find(id) ? find(id)->name : "?"; }

int rt_h5_filter_undone(int id) { return find(id) && find(id)->undone; }

/* ---- what the library can undo ---- */

static struct { int id, there; } asked[64];
static int answers;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static rt_status ask(int id, const rt_h5_file *f, int *there)
{
    rt_h5_request r;
    rt_h5_run run;
    rt_h5_exit e;
    rt_h5_end end = {0};
    char doing[64];
    memset(&r, 0, sizeof r);
    r.task = RT_H5_FIND_FILTERS;
    r.filters = 1;
    r.filter[0] = id;
    snprintf(doing, sizeof doing, "looking for what undoes filter %d", id);
    RT_TRY(rt_h5_run_begin(&run, f->path, &r, f->fd, -1));
    rt_status st = rt_h5_take(run.plan, &run.start, f->path, &end, sizeof end);
    RT_TRY(rt_h5_run_end(&run, f->path, &e));
    if (st == RT_NOTHING)                             /* a plugin that dies when it is loaded: no file is at fault */
        return rt_fail(RT_RUN, "%s: %s: a plugin of HDF5 ended the process that loaded it (status %d); look at what"
                       " lies in HDF5_PLUGIN_PATH", f->path, doing, e.status);
    end.text[sizeof end.text - 1] = 0;
    *there = end.outcome == RT_H5_DONE;
    return st ? st : *there || end.outcome == RT_H5_NO_FILTER ? RT_OK : rt_h5_verdict(f->path, doing, &r, &end);
}

static rt_status find_in_library(int id, const rt_h5_file *f, int *there)
{
    int i = 0;
    pthread_mutex_lock(&lock);
    while (i < answers && asked[i].id != id) i++;
    rt_status st = i < answers ? RT_OK : ask(id, f, there);
    if (i < answers) *there = asked[i].there;
    else if (!st && answers < (int)(sizeof asked / sizeof *asked)) {
        asked[answers].id = id;
        asked[answers++].there = *there;
    }
    pthread_mutex_unlock(&lock);
    return st;
}

/* A copy recipe that loses nothing: h5repack drops what it has no filter for. */
static void refuse(rt_h5_dataset *d, int i)
{
    int id = d->filter[i];
    const filter *k = find(id);
    const char *name = k ? k->name : d->filter_name[0] ? d->filter_name : "an unnamed filter";
    const char *set = strlen(d->name) <= 60 && !strpbrk(d->name, "'\"\\$`!") ? d->name : "NAME";
    const char *lacks = k && k->undone ? rt_codec_lacks(id, d->param[i]) : NULL;
    if (lacks)
        rt_h5_refuse(d, "it is compressed by %s (filter %d), which this build of retort lacks; build it where %s is "
                     "installed", name, id, lacks);
    else
        rt_h5_refuse(d, "it is compressed by %s (filter %d), and HDF5 has no plugin for it here: name its folder in"
                     " HDF5_PLUGIN_PATH, or copy the set%s: python3 -c \"import h5py%s; h5py.File('new.h5', 'a')['%s']"
                     " = h5py.File('old.h5')['%s'][()]\"", name, id, k ? "" : " where it is installed",
                     k && k->plugin ? ", hdf5plugin" : "", set, set);
}

rt_status rt_h5_filters_find(rt_h5_dataset *d, const rt_h5_file *f)
{
    if (!d->by_library || d->refused[0]) return RT_OK;
    for (int i = 0; i < d->filters && !d->refused[0]; i++) {
        int there = rt_h5_filter_undone(d->filter[i]) && !rt_codec_lacks(d->filter[i], d->param[i]);
        if (!there) RT_TRY(find_in_library(d->filter[i], f, &there));
        if (!there) refuse(d, i);
    }
    if (d->refused[0]) rt_h5_free_bytes(d);
    return RT_OK;
}
