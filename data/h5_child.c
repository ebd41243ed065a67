/* data/h5_child.c - the process that lets the HDF5 library look at a file: it walks the groups and writes the plan. Its
 * words and reasons serve the one that unpacks (h5_unpack_child.c), too.
 *
 * Every link ends up in the list: as a data set, as a group whose members are listed, or by name with the reason. */
#include <errno.h>
#include <hdf5.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "data/h5_plan.h"

#define NEWER "if a newer one wrote it, write it anew, with h5py by libver='v110'"

enum { DEPTH = 32, MAX_LINKS = 1 << 17, MAX_PATH = 4096, BLOCK = 4096, LITTLE = 1 << 20 };

typedef struct {
    const rt_h5_request *asked;
    char path[MAX_PATH];                /* of the link that is looked at */
    size_t length;
    haddr_t group[DEPTH];               /* the groups from the root to here */
    int depth;
    uint64_t sets, links;
    uint64_t payload;                   /* bytes of chunk tables and compact sets */
    int cut;
} walk;

void rt_h5_send(const void *data, size_t n)
{
    for (const char *p = data; n;) {
        ssize_t k = write(RT_H5_PLAN_FD, p, n);
        if (k < 0 && errno == EINTR) continue;
        if (k <= 0) _exit(k ? errno : EIO);
        p += k;
        n -= (size_t)k;
    }
}

static int inside;                      /* a table whose bytes are not all sent: no place for a record */

_Noreturn static void finish(rt_h5_outcome outcome, int error, int cut, const char *text)
{
    int32_t kind = RT_H5_END;
    rt_h5_end end = {.outcome = (int32_t)outcome, .error = error, .cut = cut};
    snprintf(end.text, sizeof end.text, "%s", text);
    if (!inside) rt_h5_send(&kind, sizeof kind);
    if (!inside) rt_h5_send(&end, sizeof end);
    _exit(outcome == RT_H5_FAULT ? error : outcome == RT_H5_MEMORY ? ENOMEM : 0);
}

/* ---- the library's failures ---- */

typedef struct { char *text; size_t size; int memory; } reason;

static herr_t each_error(unsigned n, const H5E_error2_t *e, void *arg)
{
    reason *r = arg;
    if (n == 0) snprintf(r->text, r->size, "%s", e->desc ? e->desc : "no reason given");
    r->memory |= e->min_num == H5E_NOSPACE || e->min_num == H5E_CANTALLOC;
    return 0;
}

int rt_h5_private_memory_for(size_t n)
{
    void *p = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return p != MAP_FAILED && munmap(p, n) == 0;
}

/* No memory was given. Whose fault that is is asked the second time: the machine's while it has none for anybody, the
 * file's when this process has used up its own. Else the file wants an absurd amount at once, and only that fails. */
static void out_of_memory(const walk *w)
{
    if (!w->asked->second || !rt_h5_memory_for(32 << 20)) finish(RT_H5_MEMORY, 0, 0, "");
    if (!rt_h5_private_memory_for(LITTLE)) finish(RT_H5_GREEDY, 0, 0, "");
}

/* A small allocation failed: the library might not survive that. */
static const walk *walked;

static void no_memory(void)
{
    out_of_memory(walked);
    finish(RT_H5_MEMORY, 0, 0, "");
}

int rt_h5_library_says(char *text, size_t room)
{
    reason r = {text, room, 0};
    snprintf(text, room, "no reason given");
    H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, each_error, &r);
    return r.memory;
}

/* Why the library's last call failed, in its own words. A failed read, or no memory, is no property of the file: it
 * ends the scan, for every other set would be in doubt, too. */
static const char *why(const walk *w)
{
    static char text[100];
    int memory = rt_h5_library_says(text, sizeof text);
    if (rt_h5_driver_error()) finish(RT_H5_FAULT, rt_h5_driver_error(), 0, "");
    if (memory || !rt_h5_private_memory_for(LITTLE)) out_of_memory(w);      /* the library does not always tell */
    return text;
}

/* ---- records ---- */

static void send_record(walk *w, rt_h5_record *r)
{
    int32_t kind = RT_H5_SET;
    snprintf(r->set.name, sizeof r->set.name, "%.*s", (int)sizeof r->set.name - 1, w->path);
    if (strlen(w->path) >= sizeof r->set.name) {
        rt_h5_refuse(&r->set, "its name has %zu bytes; at most %zu are read", strlen(w->path), sizeof r->set.name - 1);
        r->set.chunks = r->compact = 0;
    }
    w->sets++;
    rt_h5_send(&kind, sizeof kind);
    rt_h5_send(r, sizeof *r);
}

/* Something that is no readable data set, by name. */
static void name_only(walk *w, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void name_only(walk *w, const char *fmt, ...)
{
    rt_h5_record r = {0};
    va_list a;
    va_start(a, fmt);
    vsnprintf(r.set.refused, sizeof r.set.refused, fmt, a);
    va_end(a);
    send_record(w, &r);
}

/* ---- data sets ---- */

/* The parent keeps chunk tables and compact bytes for so long as the file is open. */
static void claim(walk *w, rt_h5_dataset *d, uint64_t bytes)
{
    uint64_t most = rt_h5_payload_budget(w->asked->stored);
    if (bytes > most - w->payload)
        rt_h5_refuse(d,
                     "where the parts of this file's sets lie takes more than %llu MiB to note; keep it in a file of "
                     "its own, with larger chunks",
                     (unsigned long long)(most >> 20));
    else w->payload += bytes;
}

/* How many chunks are stored decides what the table is: all holes is "never allocated", few in a huge grid is refused
 * (each hole costs a look-up, and a file of a kilobyte could ask for millions). */
static void count_chunks(walk *w, hid_t id, rt_h5_record *r, unsigned *options)
{
    rt_h5_dataset *d = &r->set;
    hsize_t stored = 0;
    hid_t space = H5Dget_space(id), p = H5Dget_create_plist(id);
    if (H5Dget_num_chunks(id, space, &stored) < 0 || H5Pget_chunk_opts(p, options) < 0)
        rt_h5_refuse(d, "its chunk index cannot be read (%s)", why(w));
    else if (stored == 0) {
        d->chunked = d->filters = d->by_library = 0;
        d->chunks = 0;
    } else if (d->chunks > ((uint64_t)1 << 20) + 16 * stored)
        rt_h5_refuse(d, "only %llu of its %llu chunks were ever written: copy what is there into a set with "
                     "larger chunks", (unsigned long long)stored, (unsigned long long)d->chunks);
    else claim(w, d, d->chunks * sizeof(rt_h5_chunk));
    if (d->refused[0]) d->chunks = 0;
    H5Pclose(p);
    H5Sclose(space);
}

static void send_chunks(walk *w, hid_t id, const rt_h5_dataset *d, unsigned options)
{
    static rt_h5_chunk block[BLOCK];
    rt_h5_tail tail = {0};
    uint64_t at[RT_H5_RANK] = {0};
    inside = 1;
    for (uint64_t done = 0; done < d->chunks;) {
        size_t n = 0;
        for (; n < BLOCK && done < d->chunks; n++, done++) {
            int partial = 0;
            block[n] = (rt_h5_chunk){0};
            if (!tail.refused[0] && rt_h5_driver_chunk(id, at, &block[n]) < 0)
                snprintf(tail.refused, sizeof tail.refused, "its chunk index cannot be read (%s)", why(w));
            for (int k = 0; k < d->rank; k++) partial |= d->dim[k] - at[k] < d->chunk_dim[k];
            if (partial && options & H5D_CHUNK_DONT_FILTER_PARTIAL_CHUNKS) block[n].mask = UINT32_MAX;
            for (int k = d->rank - 1; k >= 0; k--) {
                if (d->dim[k] - at[k] > d->chunk_dim[k]) {
                    at[k] += d->chunk_dim[k];
                    break;
                }
                at[k] = 0;
            }
        }
        rt_h5_send(block, n * sizeof *block);
    }
    rt_h5_send(&tail, sizeof tail);
    inside = 0;
}

static void list_set(walk *w, hid_t group, const char *name)
{
    rt_h5_record r = {0};
    unsigned char *compact = NULL;
    unsigned options = 0;
    hid_t id = H5Dopen2(group, name, H5P_DEFAULT);
    if (id < 0) {
        name_only(w, "HDF5 %d.%d.%d cannot open it (%s); " NEWER,
                  H5_VERS_MAJOR, H5_VERS_MINOR, H5_VERS_RELEASE, why(w));
        return;
    }
    snprintf(r.set.name, sizeof r.set.name, "%.*s", (int)sizeof r.set.name - 1, w->path);    /* for recipes */
    if (rt_h5_describe(id, &r, &compact)) finish(RT_H5_MEMORY, 0, 0, "");
    if (r.set.refused[0]) why(w);
    if (r.set.chunks) count_chunks(w, id, &r, &options);
    if (r.compact) claim(w, &r.set, r.compact);
    if (r.set.refused[0]) r.compact = 0;
    send_record(w, &r);
    if (r.compact) rt_h5_send(compact, r.compact);
    if (r.set.chunks) send_chunks(w, id, &r.set, options);
    free(compact);
    H5Dclose(id);
}

/* ---- links ---- */

static herr_t each_link(hid_t group, const char *name, const H5L_info_t *info, void *arg);

static void walk_group(walk *w, hid_t group, const char *name, haddr_t address)
{
    for (int i = 0; i < w->depth; i++)
        if (w->group[i] == address) {
            name_only(w, "it is a link back to a group that holds it");
            return;
        }
    if (w->depth == DEPTH) {
        name_only(w, "its groups are nested deeper than %d", DEPTH);
        return;
    }
    hid_t id = H5Gopen2(group, name, H5P_DEFAULT);
    w->group[w->depth++] = address;
    if (id < 0 || H5Literate(id, H5_INDEX_NAME, H5_ITER_INC, NULL, each_link, w) < 0)
        name_only(w, "it is a group whose members cannot be listed (%s)", why(w));
    w->depth--;
    if (id >= 0) H5Gclose(id);
}

static void look_at(walk *w, hid_t group, const char *name, const char *soft)
{
    H5O_info_t object;
    if (H5Oget_info_by_name2(group, name, &object, H5O_INFO_BASIC, H5P_DEFAULT) < 0) {
        const char *reason = why(w);
        if (soft) name_only(w, "it is a soft link to '%.100s', which leads to nothing in this file", soft);
        else name_only(w, "HDF5 %d.%d.%d cannot read it (%s); " NEWER,
                       H5_VERS_MAJOR, H5_VERS_MINOR, H5_VERS_RELEASE, reason);
    } else if (object.type == H5O_TYPE_DATASET) list_set(w, group, name);
    else if (object.type == H5O_TYPE_GROUP) walk_group(w, group, name, object.addr);
    else if (object.type == H5O_TYPE_NAMED_DATATYPE) name_only(w, "it is a stored type, not a data set");
    else name_only(w, "it is an object of a kind that HDF5 %d.%d does not know", H5_VERS_MAJOR, H5_VERS_MINOR);
}

/* Text that a link holds; the caller frees it. */
static char *link_value(walk *w, hid_t group, const char *name, size_t size)
{
    char *value = size < MAX_PATH * 2 ? calloc(1, size + 1) : NULL;
    if (!value && size < MAX_PATH * 2) no_memory();
    if (value && H5Lget_val(group, name, value, size, H5P_DEFAULT) < 0) {
        why(w);
        value[0] = 0;
    }
    return value;
}

static void external_link(walk *w, hid_t group, const char *name, size_t size)
{
    unsigned flags;
    const char *file = NULL, *object = NULL;
    char *value = link_value(w, group, name, size);
    if (value && H5Lunpack_elink_val(value, size, &flags, &file, &object) >= 0)
        name_only(w, "it is a link to '%.60s' in the file '%.80s', which is never followed; give that file",
                  object, file);
    else name_only(w, "it is a link into another file, which is never followed");
    free(value);
}

static herr_t each_link(hid_t group, const char *name, const H5L_info_t *info, void *arg)
{
    walk *w = arg;
    size_t before = w->length, n = strlen(name);
    if (w->sets >= RT_H5_MAX_SETS || ++w->links > MAX_LINKS) {
        w->cut = 1;
        return 1;
    }
    if (before + 1 + n >= sizeof w->path) {
        name_only(w, "it holds a name that makes the path longer than %d bytes", MAX_PATH);
        return 0;
    }
    w->length += (size_t)snprintf(w->path + before, sizeof w->path - before, "%s%s", before ? "/" : "", name);
    if (info->type == H5L_TYPE_HARD) look_at(w, group, name, NULL);
    else if (info->type == H5L_TYPE_SOFT) {
        char *target = link_value(w, group, name, info->u.val_size);
        look_at(w, group, name, target ? target : "?");
        free(target);
    } else if (info->type == H5L_TYPE_EXTERNAL) external_link(w, group, name, info->u.val_size);
    else name_only(w, "it is a link of a user-defined kind, which is never followed");
    w->length = before;
    w->path[before] = 0;
    return w->cut;
}

void rt_h5_warm_up(void)
{
    H5dont_atexit();
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
    H5PLset_loading_state(0);
}

_Noreturn void rt_h5_child(const rt_h5_request *asked, int guard)
{
    static walk w;
    H5O_info_t root;
    int32_t kind = RT_H5_GUARD, enforced;
    w.asked = asked;
    walked = &w;
    rt_on_out_of_memory(no_memory);
    if (rt_h5_filter_calls()) guard |= RT_H5_GUARD_CALLS;
    enforced = guard;
    rt_h5_send(&kind, sizeof kind);
    rt_h5_send(&enforced, sizeof enforced);
    if (!rt_h5_memory_for((size_t)16 << 20)) finish(RT_H5_MEMORY, 0, 0, "");      /* the library's own needs */
    hid_t file = rt_h5_driver_open(asked->size);
    if (file < 0 || H5Oget_info2(file, &root, H5O_INFO_BASIC) < 0) finish(RT_H5_UNREADABLE, 0, 0, why(&w));
    w.group[w.depth++] = root.addr;
    if (H5Literate(file, H5_INDEX_NAME, H5_ITER_INC, NULL, each_link, &w) < 0)
        finish(RT_H5_UNREADABLE, 0, 0, why(&w));
    if (rt_h5_driver_error()) finish(RT_H5_FAULT, rt_h5_driver_error(), 0, "");
    if (!rt_h5_private_memory_for(LITTLE)) out_of_memory(&w);
    finish(RT_H5_DONE, 0, w.cut, "");
}
