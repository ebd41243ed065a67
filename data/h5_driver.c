/* data/h5_driver.c - an HDF5 file driver for one open descriptor. Metadata is read; of chunks only the place is noted.
 *
 * HDF5 1.10 has no fast way to ask where chunks lie: its look-up by coordinates walks the whole index each time, and
 * names wrong chunks where the unlimited dimension is not the first. H5Dread_chunk finds a chunk as H5Dread does, in
 * log n; under this driver it reads nothing. */
#include <errno.h>
#include <hdf5.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#if H5_VERSION_GE(1, 14, 0)
#include <H5FDdevelop.h>
#endif

#include "data/h5_plan.h"

typedef struct { H5FD_t base; haddr_t eoa; } driver_file;

static struct {
    int opened, error;
    haddr_t size;
    int noting;                         /* raw reads are noted, not made */
    haddr_t at;
    size_t bytes;
} io;

/* External links, virtual sets and external storage would open other files here: there is one file and no other. */
static H5FD_t *open_once(const char *name, unsigned flags, hid_t fapl, haddr_t most)
{
    (void)name, (void)flags, (void)fapl, (void)most;
    driver_file *f = io.opened ? NULL : calloc(1, sizeof *f);
    if (f) io.opened = 1;
    else if (!io.opened) io.error = ENOMEM;
    return (H5FD_t *)f;
}

static herr_t close_file(H5FD_t *f)
{
    free(f);
    return 0;
}

static herr_t query(const H5FD_t *f, unsigned long *flags)
{
    (void)f;
    if (flags) *flags = H5FD_FEAT_DEFAULT_VFD_COMPATIBLE;
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
    (void)f, (void)type;
    return io.size;
}

static herr_t read_bytes(H5FD_t *f, H5FD_mem_t type, hid_t dxpl, haddr_t at, size_t n, void *out)
{
    (void)f, (void)dxpl;
    if (io.noting && type == H5FD_MEM_DRAW) {
        io.at = at;
        io.bytes = n;
        return 0;
    }
    for (char *p = out; n;) {
        ssize_t k = at >= io.size ? 0 : pread(RT_H5_FILE_FD, p, n, (off_t)at);
        if (k < 0 && errno == EINTR) continue;
        if (k < 0) {
            if (!io.error) io.error = errno;
            return -1;
        }
        if (k == 0 && at < io.size) return -1;       /* cut since it was opened */
        if (k == 0) {                                /* behind the end of the file: as the library's own driver */
            memset(p, 0, n);
            return 0;
        }
        p += k;
        at += (haddr_t)k;
        n -= (size_t)k;
    }
    return 0;
}

static herr_t write_bytes(H5FD_t *f, H5FD_mem_t type, hid_t dxpl, haddr_t at, size_t n, const void *in)
{
    (void)f, (void)type, (void)dxpl, (void)at, (void)n, (void)in;
    return -1;
}

static const H5FD_class_t driver = {
#if H5_VERSION_GE(1, 14, 0)
    .version = H5FD_CLASS_VERSION,
    .value = (H5FD_class_value_t)512,                /* the first of those that are for private use */
#endif
    .name = "noting", .maxaddr = (haddr_t)INT64_MAX, .fc_degree = H5F_CLOSE_STRONG, .open = open_once,
    .close = close_file, .query = query, .get_eoa = get_eoa, .set_eoa = set_eoa, .get_eof = get_eof, .read = read_bytes,
    .write = write_bytes,
    .fl_map = H5FD_FLMAP_DICHOTOMY,
};

int64_t rt_h5_driver_open(uint64_t size)
{
    io.size = size;
    hid_t id = H5FDregister(&driver), access = H5Pcreate(H5P_FILE_ACCESS);
    if (id < 0 || access < 0 || H5Pset_driver(access, id, NULL) < 0) return -1;
    return H5Fopen("/file", H5F_ACC_RDONLY, access);    /* access stays: closing it would clear the errors */
}

int rt_h5_driver_error(void) { return io.error; }

/* In which function the innermost error arose: a chunk that is not there is H5Dread_chunk's own finding; a damaged
 * index fails below it. */
static herr_t innermost(unsigned n, const H5E_error2_t *e, void *found)
{
    if (n == 0) *(int *)found = e->func_name && strcmp(e->func_name, "H5D__chunk_direct_read") == 0;
    return n == 0;
}

int rt_h5_driver_chunk(int64_t dataset, const uint64_t *at, rt_h5_chunk *c)
{
    hsize_t coordinate[RT_H5_RANK];
    uint32_t mask = 0;
    char nothing[8];                                 /* never written to: the driver only notes */
    int absent = 0;
    for (int i = 0; i < RT_H5_RANK; i++) coordinate[i] = at[i];
    io.noting = 1;
    io.at = HADDR_UNDEF;
    io.bytes = 0;
    herr_t failed = H5Dread_chunk(dataset, H5P_DEFAULT, coordinate, &mask, nothing);
    io.noting = 0;
    *c = (rt_h5_chunk){0};
    if (failed < 0) {
        if (H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, innermost, &absent) < 0 || !absent || io.error) return -1;
        return 0;
    }
    if (io.at == HADDR_UNDEF || !io.bytes || io.bytes >= UINT32_MAX) return -1;
    *c = (rt_h5_chunk){io.at, (uint32_t)io.bytes, mask};
    return 1;
}
