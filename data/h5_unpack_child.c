/* data/h5_unpack_child.c - the process that lets the HDF5 library undo filters of chunks and convert types, row by row.
 *
 * Beside the library's own filters and plugins there are those that retort itself undoes, for sets that have both.
 * Plugins are looked for as the library does, but by us: it would load every one of a folder, in the folder's order. */
#include <dirent.h>
#include <dlfcn.h>
#include <hdf5.h>
#include <limits.h>
#include <linux/futex.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "data/codecs.h"
#include "data/decode.h"
#include "data/h5_plan.h"

enum { LITTLE = 1 << 20 };

/* ---- filters ---- */

/* HDF5 takes what a filter gives for a whole chunk, however little it is, and reads on behind it. So filters are
 * registered by these slots, which know how much it must be; the library's own cannot be. */
typedef struct {
    int id;
    H5Z_func_t plugin;                 /* NULL: it is undone here */
    size_t bytes;                      /* that it must give; 0: a filter below it tells */
} slot;
static slot slots[RT_H5_FILTERS];
static int used;
static rt_codec_scratch scratch;
static size_t chunk_bytes;

static size_t undo_here(int filter, size_t n, const unsigned *value, char *to, size_t room, const char *from,
                        size_t bytes)
{
    uint32_t param[RT_H5_PARAMS] = {0};
    for (size_t i = 0; i < RT_H5_PARAMS && i < n; i++) param[i] = value[i];
    switch (filter) {
    case RT_H5_LZF: return rt_lzf_decode(to, room, from, bytes);
    case RT_H5_LZ4: return rt_lz4_decode(to, room, from, bytes);
    case RT_H5_ZSTD: return rt_zstd_decode(&scratch, to, room, from, bytes);
    default: return rt_bitshuffle_decode(&scratch, param, to, room, from, bytes);
    }
}

/* As HDF5 wants it: *buffer is replaced; 0: failed. Between filters a chunk may be larger than it is (data/decode.c).
 */
static size_t undo(int at, unsigned flags, size_t n, const unsigned *value, size_t bytes, size_t *room, void **buffer)
{
    const slot *s = &slots[at];
    if (!(flags & H5Z_FLAG_REVERSE)) return 0;
    size_t most = chunk_bytes + chunk_bytes / 4 + 1024, got;
    if (s->plugin) got = s->plugin(flags, n, value, bytes, room, buffer);
    else {
        char *to = H5allocate_memory(most, 0);
        got = to ? undo_here(s->id, n, value, to, most, *buffer, bytes) : 0;
        H5free_memory(got ? *buffer : to);
        if (got) {
            *buffer = to;
            *room = most;
        }
    }
    return got > *room || (s->bytes && got != s->bytes) ? 0 : got;
}

#define SLOT(I) static size_t slot##I(unsigned f, size_t n, const unsigned *v, size_t bytes, size_t *room, void **b) \
                { return undo(I, f, n, v, bytes, room, b); }
SLOT(0) SLOT(1) SLOT(2) SLOT(3) SLOT(4) SLOT(5) SLOT(6) SLOT(7)

static int put_slot(int id, H5Z_func_t plugin)
{
    static const H5Z_func_t call[RT_H5_FILTERS] = {slot0, slot1, slot2, slot3, slot4, slot5, slot6, slot7};
    H5Z_class2_t class = {H5Z_CLASS_T_VERS, id, 0, 1, "retort", NULL, NULL, call[used]};
    if (used == RT_H5_FILTERS) return 0;
    slots[used++] = (slot){.id = id, .plugin = plugin};
    return H5Zregister(&class) >= 0;
}

/* What a filter must give, once a chunk's size is known: those below it that only move bytes, or add a checksum, tell.
 */
static void expect_bytes(const rt_h5_request *r)
{
    for (int k = 0; k < used; k++) {
        size_t bytes = chunk_bytes;
        int i = 0, times = 0;
        for (int j = 0; j < r->filters; j++) times += r->filter[j] == slots[k].id;
        for (; r->filter[i] == RT_H5_SHUFFLE || r->filter[i] == RT_H5_FLETCHER32; i++)
            bytes += r->filter[i] == RT_H5_FLETCHER32 ? 4 : 0;
        slots[k].bytes = times == 1 && r->filter[i] == slots[k].id ? bytes : 0;
    }
}

/* ---- plugins ---- */

/* The filter with this id of a plugin, which stays loaded; NULL: it is none, or another's. */
static H5Z_func_t filter_in(const char *path, int id)
{
    void *library = dlopen(path, RTLD_LAZY | RTLD_LOCAL);
    H5PL_type_t (*type)(void) = NULL;
    const void *(*info)(void) = NULL;
    if (!library) return NULL;
    *(void **)&type = dlsym(library, "H5PLget_plugin_type");
    *(void **)&info = dlsym(library, "H5PLget_plugin_info");
    const H5Z_class2_t *class = type && info && type() == H5PL_TYPE_FILTER ? info() : NULL;
    if (class && class->version == H5Z_CLASS_T_VERS && class->id == id && class->decoder_present) return class->filter;
    dlclose(library);
    return NULL;
}

static int is_library(const struct dirent *e)
{
    return !strncmp(e->d_name, "lib", 3) && strstr(e->d_name, ".so");      /* as HDF5 looks for them */
}

static H5Z_func_t filter_under(const char *folder, int id)
{
    struct dirent **file;
    char path[PATH_MAX];
    H5Z_func_t found = NULL;
    int n = scandir(folder, &file, is_library, alphasort);
    for (int i = 0; i < n; i++) {
        if (!found && snprintf(path, sizeof path, "%s/%s", folder, file[i]->d_name) < (int)sizeof path)
            found = filter_in(path, id);
        free(file[i]);
    }
    if (n >= 0) free(file);
    return found;
}

/* In the folders that the library would look into, unless it is told not to. */
static H5Z_func_t find_plugin(int id)
{
    const char *none = getenv("HDF5_PLUGIN_PRELOAD");
    char folder[PATH_MAX];
    unsigned folders = 0;
    H5Z_func_t found = NULL;
    if ((none && !strcmp(none, "::")) || H5PLsize(&folders) < 0) return NULL;
    for (unsigned i = 0; i < folders && !found; i++) {
        ssize_t n = H5PLget(i, folder, sizeof folder);
        if (n > 0 && n < (ssize_t)sizeof folder) found = filter_under(folder, id);
    }
    return found;
}

static int make_ready(int id)
{
    static const uint32_t plain[RT_H5_PARAMS] = {0};
    unsigned how = 0;
    if (id < H5Z_FILTER_RESERVED || H5Zfilter_avail(id) > 0)       /* the library's own, or here already */
        return H5Zfilter_avail(id) > 0 && H5Zget_filter_info(id, &how) >= 0 && how & H5Z_FILTER_CONFIG_DECODE_ENABLED;
    if (rt_h5_filter_undone(id) && !rt_codec_lacks(id, plain)) return put_slot(id, NULL);
    H5Z_func_t plugin = find_plugin(id);
    return plugin && put_slot(id, plugin);
}

int rt_h5_load_filters(const rt_h5_request *r)
{
    for (int i = 0; i < r->filters && i < RT_H5_FILTERS; i++) if (!make_ready(r->filter[i])) return r->filter[i];
    return 0;
}

/* ---- rows ---- */

typedef struct {
    const rt_h5_request *asked;
    rt_h5_shared *shared;
    hid_t set, space, type;
    int rank;
    hsize_t dim[H5S_MAX_RANK], chunk[H5S_MAX_RANK];
    uint64_t row_bytes;
    size_t szip_bytes;                 /* that a chunk must say it becomes; 0: they are not looked at */
    int szip_at;
} rows;

void rt_h5_answer(rt_h5_outcome outcome, int error, const char *text)
{
    rt_h5_end end = {.outcome = (int32_t)outcome, .error = error};
    strncpy(end.text, text, sizeof end.text - 1);
    rt_h5_send(&end, sizeof end);
    if (outcome != RT_H5_DONE) _exit(0);
}

/* Whose fault it is that the library's last call failed. A filter says nothing of memory that it was not given. */
_Noreturn static void failed(const rows *w)
{
    char text[100];
    int memory = rt_h5_library_says(text, sizeof text) || !rt_h5_private_memory_for(LITTLE);
    if (rt_h5_driver_error()) rt_h5_answer(RT_H5_FAULT, rt_h5_driver_error(), "");
    if (!rt_h5_memory_for((size_t)(32 << 20) + 2 * (size_t)w->asked->chunk)) rt_h5_answer(RT_H5_MEMORY, 0, "");
    if (memory && !rt_h5_private_memory_for(LITTLE)) rt_h5_answer(RT_H5_GREEDY, 0, "");
    rt_h5_answer(RT_H5_UNREADABLE, 0, text);
    _exit(0);
}

/* Where nothing but checksums came behind szip. */
static void expect_szip(rows *w)
{
    const rt_h5_request *r = w->asked;
    size_t bytes = chunk_bytes;
    int i = 0;
    for (; i < r->filters && (r->filter[i] == RT_H5_SHUFFLE || r->filter[i] == RT_H5_FLETCHER32); i++)
        bytes += r->filter[i] == RT_H5_FLETCHER32 ? 4 : 0;
    if (i == r->filters || r->filter[i] != H5Z_FILTER_SZIP) return;
    w->szip_at = i;
    while (++i < r->filters) if (r->filter[i] != RT_H5_FLETCHER32) return;
    w->szip_bytes = bytes;
}

/* Bytes of a chunk as it is stored. */
static void find_chunk(rows *w, size_t element)
{
    hid_t p = H5Dget_create_plist(w->set);
    uint64_t n = element;
    for (int i = 0, rank = p < 0 ? 0 : H5Pget_chunk(p, H5S_MAX_RANK, w->chunk); i < rank; i++)
        if (__builtin_mul_overflow(n, w->chunk[i], &n)) n = 0;
    chunk_bytes = n < UINT32_MAX ? (size_t)n : 0;     /* HDF5 has none larger */
    expect_bytes(w->asked);
    if (chunk_bytes) expect_szip(w);
}

/* A chunk of szip says in its first four bytes what it becomes; HDF5 believes it, and reads on behind what it made. */
static void check_szip(const rows *w, const hsize_t *at)
{
    hsize_t n;
    uint32_t mask;
    if (H5Dget_chunk_storage_size(w->set, at, &n) < 0) failed(w);
    if (!n) return;                                   /* never written */
    unsigned char *stored = n <= 2 * (hsize_t)chunk_bytes + 1024 ? malloc((size_t)n) : NULL;
    if (!stored && n <= 2 * (hsize_t)chunk_bytes + 1024) rt_h5_answer(RT_H5_MEMORY, 0, "");
    if (stored && H5Dread_chunk(w->set, H5P_DEFAULT, at, &mask, stored) < 0) failed(w);
    uint32_t says = stored && n >= 4 ? stored[0] | (uint32_t)stored[1] << 8 | (uint32_t)stored[2] << 16 |
                                           (uint32_t)stored[3] << 24 : 0;
    if (!stored || (!(mask >> w->szip_at & 1) && says != w->szip_bytes))
        rt_h5_answer(RT_H5_UNREADABLE, 0, "a chunk says that it becomes another number of bytes");
    free(stored);
}

/* All chunks that rows [first, first + n) lie in. */
static void check_chunks(const rows *w, uint64_t first, uint64_t n)
{
    hsize_t at[H5S_MAX_RANK] = {first / w->chunk[0] * w->chunk[0]};
    while (at[0] < first + n) {
        check_szip(w, at);
        for (int i = w->rank - 1; i >= 0; i--) {
            at[i] += w->chunk[i];
            if (!i || at[i] < w->dim[i]) break;
            at[i] = 0;
        }
    }
}

static void open_set(rows *w)
{
    const rt_h5_request *r = w->asked;
    hid_t access = H5Pcreate(H5P_DATASET_ACCESS), file = rt_h5_driver_open(r->size);
    H5Pset_chunk_cache(access, 1, 0, 1);             /* each chunk is asked for once */
    w->set = file < 0 ? -1 : H5Dopen2(file, r->name, access);
    if (w->set < 0) failed(w);
    hid_t stored = H5Dget_type(w->set);
    w->space = H5Dget_space(w->set);
    w->type = stored < 0 ? -1 : rt_h5_memory_type(stored, (rt_dtype)r->type, r->use);
    w->rank = H5Sget_simple_extent_ndims(w->space);
    if (w->type < 0 || w->rank < 1 || H5Sget_simple_extent_dims(w->space, w->dim, NULL) < 0) failed(w);
    find_chunk(w, H5Tget_size(stored));
    w->row_bytes = H5Tget_size(w->type);
    for (int i = 1; i < w->rank; i++)
        if (__builtin_mul_overflow(w->row_bytes, w->dim[i], &w->row_bytes)) w->row_bytes = 0;
    if (!w->row_bytes || w->row_bytes > r->block) rt_h5_answer(RT_H5_UNREADABLE, 0, "it has another shape now");
}

static void read_rows(const rows *w, uint64_t first, uint64_t n)
{
    hsize_t start[H5S_MAX_RANK] = {first}, count[H5S_MAX_RANK];
    if (!n || first > w->dim[0] || n > w->dim[0] - first || n > w->asked->block / w->row_bytes)
        rt_h5_answer(RT_H5_UNREADABLE, 0, "it has another shape now");
    char *data = (char *)w->shared + RT_H5_SHARED_HEAD;
    if (w->szip_bytes) check_chunks(w, first, n);
    memcpy(count, w->dim, sizeof count);
    count[0] = n;
    hid_t memory = H5Screate_simple(w->rank, count, NULL);
    if (memory < 0 || H5Sselect_hyperslab(w->space, H5S_SELECT_SET, start, NULL, count, NULL) < 0 ||
        H5Dread(w->set, w->type, memory, w->space, H5P_DEFAULT, data) < 0 ||
        rt_h5_convert(w->type, (rt_dtype)w->asked->type, w->asked->use, n * w->row_bytes / H5Tget_size(w->type), data))
        failed(w);
    H5Sclose(memory);
}

_Noreturn void rt_h5_unpack_child(const rt_h5_request *asked, void *memory)
{
    rows w = {.asked = asked, .shared = memory};
    uint32_t turn = 0;
    prctl(PR_SET_PDEATHSIG, SIGKILL);                /* where who waits for it cannot end it, but ends */
    rt_h5_filter_calls();
    if (!rt_h5_memory_for((size_t)16 << 20)) rt_h5_answer(RT_H5_MEMORY, 0, "");
    open_set(&w);
    for (;;) {
        rt_h5_answer(RT_H5_DONE, 0, "");
        while (atomic_load(&w.shared->turn) == turn)
            syscall(SYS_futex, &w.shared->turn, FUTEX_WAIT, turn, NULL, NULL, 0);
        turn = atomic_load(&w.shared->turn);
        read_rows(&w, w.shared->first, w.shared->rows);
    }
}
