#include "experiments/mask_file.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "data/h5.h"

static int ends_in(const char *path, const char *ending)
{
    size_t n = strlen(path), m = strlen(ending);
    return n >= m && !strcmp(path + n - m, ending);
}

rt_status rt_mask_check(const char *path)
{
    if (!path || ends_in(path, ".npy") || ends_in(path, ".h5")) return RT_OK;
    return rt_fail(RT_USAGE, "%s: a mask's name ends in .h5 or .npy", path);
}

rt_status rt_mask_begin(rt_mask_file *m, rt_output *o, uint64_t rows)
{
    static const char manifest[] = "{\"mask\": {\"keep\": \"1: the row stays, 0: it is left out\"}}";
    uint64_t offset[2];
    *m = (rt_mask_file){.path = rt_output_path(o), .out = o, .fd = -1, .rows = rows};
    if (ends_in(m->path, ".npy")) {
        char header[256];
        m->npy = rt_out_open(o);
        rt_out_put(&m->npy, header, rt_npy_header(header, "|u1", &rows, 1));
        return m->npy.status;
    }
    const rt_h5_item item[2] = {{.name = "manifest", .type = RT_TEXT, .element = sizeof manifest - 1},
                                {.name = "keep", .type = RT_U8, .rank = 1, .dim = {rows}}};
    RT_TRY(rt_output_create(o, &m->fd));
    RT_TRY(rt_h5_create(m->fd, m->path, "retort-mask-1", item, 2, offset));
    RT_TRY(rt_pwrite_all(m->fd, manifest, sizeof manifest - 1, offset[0], m->path));
    m->base = offset[1];
    return RT_OK;
}

rt_status rt_mask_put(rt_mask_file *m, const unsigned char *keep, uint64_t n)
{
    if (m->fd < 0) rt_out_put(&m->npy, keep, n);
    else RT_TRY(rt_pwrite_all(m->fd, keep, n, m->base + m->done, m->path));
    m->done += n;
    return m->fd < 0 ? m->npy.status : RT_OK;
}

rt_status rt_mask_keep(rt_mask_file *m, uint64_t end)
{
    static const unsigned char one[256] = {
#define KEPT 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1
        KEPT, KEPT, KEPT, KEPT, KEPT, KEPT, KEPT, KEPT, KEPT, KEPT, KEPT, KEPT, KEPT, KEPT, KEPT, KEPT
#undef KEPT
    };
    while (m->done < end) RT_TRY(rt_mask_put(m, one, end - m->done < sizeof one ? end - m->done : sizeof one));
    return RT_OK;
}

rt_status rt_mask_end(rt_mask_file *m, rt_status st)
{
    rt_digest d;
    if (!m->out) return st;
    if (!st) st = rt_mask_keep(m, m->rows);
    if (m->fd < 0) return rt_out_close(&m->npy, st);
    if (st) return st;
    if (lseek(m->fd, 0, SEEK_SET)) return rt_fail(RT_RUN, "%s: %s", m->path, strerror(errno));
    RT_TRY(rt_digest_rest(&d, m->fd, m->path, 0));
    rt_output_mark(m->out, &d);
    return rt_output_commit(m->out);
}
