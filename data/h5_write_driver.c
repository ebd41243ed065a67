/* data/h5_write_driver.c - an HDF5 file driver that writes to an open descriptor. The library's own opens files by
 * name, and a file that has no name yet, or whose name may be somebody else's by now, cannot be opened so. */
#include <errno.h>
#include <hdf5.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#if H5_VERSION_GE(1, 14, 0)
#include <H5FDdevelop.h>
#endif

#include "data/files.h"
#include "data/h5_plan.h"

typedef struct { H5FD_t base; haddr_t eoa, eof; } driver_file;

static struct { int fd; const char *path; rt_status status; } io;      /* used under rt_h5_library */

static herr_t failed(rt_status st)
{
    if (!io.status) io.status = st;
    return -1;
}

static H5FD_t *open_it(const char *name, unsigned flags, hid_t fapl, haddr_t most)
{
    struct stat s;
    (void)name, (void)fapl, (void)most;
    driver_file *f = calloc(1, sizeof *f);
    if (!f || fstat(io.fd, &s) || (flags & H5F_ACC_TRUNC && ftruncate(io.fd, 0))) {
        failed(rt_fail(RT_RUN, "%s: %s", io.path, strerror(errno)));
        free(f);
        return NULL;
    }
    f->eof = flags & H5F_ACC_TRUNC ? 0 : (haddr_t)s.st_size;
    return (H5FD_t *)f;
}

static herr_t close_it(H5FD_t *f)
{
    free(f);
    return 0;
}

/* As the library's own driver, so that the same file comes out. */
static herr_t query(const H5FD_t *f, unsigned long *flags)
{
    (void)f;
    if (flags)
        *flags = H5FD_FEAT_AGGREGATE_METADATA | H5FD_FEAT_ACCUMULATE_METADATA | H5FD_FEAT_DATA_SIEVE |
                 H5FD_FEAT_AGGREGATE_SMALLDATA | H5FD_FEAT_DEFAULT_VFD_COMPATIBLE;
    return 0;
}

static haddr_t get_eoa(const H5FD_t *f, H5FD_mem_t type)
{
    (void)type;
    return ((const driver_file *)f)->eoa;
}

static herr_t set_eoa(H5FD_t *f, H5FD_mem_t type, haddr_t eoa)
{
    (void)type;
    ((driver_file *)f)->eoa = eoa;
    return 0;
}

static haddr_t get_eof(const H5FD_t *f, H5FD_mem_t type)
{
    (void)type;
    return ((const driver_file *)f)->eof;
}

static herr_t read_bytes(H5FD_t *f, H5FD_mem_t type, hid_t dxpl, haddr_t at, size_t n, void *out)
{
    size_t got;
    (void)f, (void)type, (void)dxpl;
    rt_status st = rt_pread_some(io.fd, out, n, at, io.path, &got);
    if (st) return failed(st);
    memset((char *)out + got, 0, n - got);
    return 0;
}

static herr_t write_bytes(H5FD_t *f, H5FD_mem_t type, hid_t dxpl, haddr_t at, size_t n, const void *in)
{
    driver_file *d = (driver_file *)f;
    (void)type, (void)dxpl;
    if (io.status) return -1;                         /* the library goes on with what else it holds */
    rt_status st = rt_pwrite_all(io.fd, in, n, at, io.path);
    if (st) return failed(st);
    if (at + n > d->eof) d->eof = at + n;
    return 0;
}

static herr_t truncate_it(H5FD_t *f, hid_t dxpl, hbool_t closing)
{
    driver_file *d = (driver_file *)f;
    (void)dxpl, (void)closing;
    if (io.status) return -1;
    if (d->eoa == d->eof) return 0;
    if (ftruncate(io.fd, (off_t)d->eoa)) return failed(rt_fail(RT_RUN, "%s: %s", io.path, strerror(errno)));
    d->eof = d->eoa;
    return 0;
}

static const H5FD_class_t driver = {
#if H5_VERSION_GE(1, 14, 0)
    .version = H5FD_CLASS_VERSION,
    .value = (H5FD_class_value_t)513,                /* one of those that are for private use */
#endif
    .name = "writing", .maxaddr = (haddr_t)INT64_MAX, .fc_degree = H5F_CLOSE_WEAK, .open = open_it, .close = close_it,
    .query = query, .get_eoa = get_eoa, .set_eoa = set_eoa, .get_eof = get_eof, .read = read_bytes,
    .write = write_bytes, .truncate = truncate_it, .fl_map = H5FD_FLMAP_DICHOTOMY,
};

int rt_h5_write_driver(int64_t access, int fd, const char *path)
{
    io.fd = fd;
    io.path = path;
    io.status = RT_OK;
    hid_t id = H5FDregister(&driver);
    int bad = id < 0 || H5Pset_driver(access, id, NULL) < 0;
    if (id >= 0) H5FDunregister(id);                  /* the property list keeps its own hold */
    return bad;
}

rt_status rt_h5_write_status(void) { return io.status; }
