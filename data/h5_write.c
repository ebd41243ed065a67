/* data/h5_write.c - HDF5 files that we write: metadata by the library, bytes by pwrite. */
#include <errno.h>
#include <fcntl.h>
#include <hdf5.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "data/files.h"
#include "data/h5_plan.h"
#include "engine/version.h"

static hid_t file_type(const rt_h5_item *it)
{
    switch (it->type) {
    case RT_U8: return H5Tcopy(H5T_STD_U8LE);
    case RT_I8: return H5Tcopy(H5T_STD_I8LE);
    case RT_U16: return H5Tcopy(H5T_STD_U16LE);
    case RT_I16: return H5Tcopy(H5T_STD_I16LE);
    case RT_U32: return H5Tcopy(H5T_STD_U32LE);
    case RT_I32: return H5Tcopy(H5T_STD_I32LE);
    case RT_U64: return H5Tcopy(H5T_STD_U64LE);
    case RT_I64: return H5Tcopy(H5T_STD_I64LE);
    case RT_BF16: {
        hid_t t = H5Tcopy(H5T_IEEE_F32LE);
        H5Tset_fields(t, 15, 7, 8, 0, 7);
        H5Tset_size(t, 2);
        return t;
    }
    case RT_F32: return H5Tcopy(H5T_IEEE_F32LE);
    case RT_F64: return H5Tcopy(H5T_IEEE_F64LE);
    case RT_F16: {
        hid_t t = H5Tcopy(H5T_IEEE_F32LE);          /* IEEE half, which h5py shows as float16 */
        H5Tset_fields(t, 15, 10, 5, 0, 10);
        H5Tset_size(t, 2);
        H5Tset_ebias(t, 15);
        return t;
    }
    default: {
        hid_t t = H5Tcopy(H5T_C_S1);
        H5Tset_size(t, it->element ? it->element : 1);
        H5Tset_strpad(t, H5T_STR_NULLPAD);
        H5Tset_cset(t, H5T_CSET_UTF8);
        return t;
    }
    }
}

static uint64_t item_bytes(const rt_h5_item *it)
{
    uint64_t n = it->type == RT_TEXT ? (it->element ? it->element : 1) : rt_dtype_size(it->type);
    for (int i = 0; i < it->rank; i++) n *= it->dim[i];
    return n;
}

static int add_text(hid_t file, const char *key, const char *value)
{
    hid_t t = H5Tcopy(H5T_C_S1), s = H5Screate(H5S_SCALAR);
    H5Tset_size(t, strlen(value) ? strlen(value) : 1);
    H5Tset_cset(t, H5T_CSET_UTF8);
    H5Tset_strpad(t, H5T_STR_NULLPAD);
    hid_t a = H5Acreate2(file, key, t, s, H5P_DEFAULT, H5P_DEFAULT);
    int bad = a < 0 || H5Awrite(a, t, value) < 0;
    if (a >= 0) H5Aclose(a);
    H5Sclose(s);
    H5Tclose(t);
    return bad;
}

static int add_set(hid_t file, hid_t groups, const rt_h5_item *it)
{
    hid_t t = file_type(it), c = H5Pcreate(H5P_DATASET_CREATE), links = H5Pcreate(H5P_LINK_CREATE);
    hsize_t dims[RT_H5_RANK];
    for (int i = 0; i < it->rank; i++) dims[i] = it->dim[i];
    hid_t s = it->rank ? H5Screate_simple(it->rank, dims, NULL) : H5Screate(H5S_SCALAR);
    H5Pset_layout(c, H5D_CONTIGUOUS);
    H5Pset_alloc_time(c, H5D_ALLOC_TIME_EARLY);
    H5Pset_fill_time(c, H5D_FILL_TIME_NEVER);
    H5Pset_obj_track_times(c, 0);
    char group[RT_H5_NAME];
    snprintf(group, sizeof group, "%s", it->name);
    int bad = 0;
    for (char *slash = group; !bad && (slash = strchr(slash, '/')); *slash++ = '/') {      /* "a", then "a/b" */
        *slash = 0;
        if (H5Lexists(file, group, H5P_DEFAULT) > 0) continue;
        hid_t g = H5Gcreate2(file, group, H5P_DEFAULT, groups, H5P_DEFAULT);
        bad = g < 0;
        if (!bad) H5Gclose(g);
    }
    hid_t d = bad ? -1 : H5Dcreate2(file, it->name, t, s, links, c, H5P_DEFAULT);
    bad |= d < 0;
    if (d >= 0 && it->note) bad |= add_text(d, it->note, it->said);
    if (d >= 0) H5Dclose(d);
    H5Pclose(links);
    H5Pclose(c);
    H5Sclose(s);
    H5Tclose(t);
    return bad;
}

static rt_status reserve(int fd, const char *path)
{
    struct stat s;
    int e;
    if (fstat(fd, &s)) return rt_fail(RT_RUN, "%s: %s", path, strerror(errno));
    do e = s.st_size ? posix_fallocate(fd, 0, s.st_size) : 0;
    while (e == EINTR);
    if (!e || e == EOPNOTSUPP || e == EINVAL) return RT_OK;
    return rt_fail(RT_RUN, "%s: %lld bytes are needed on the disk: %s", path, (long long)s.st_size, strerror(e));
}

static rt_status enough_space(int fd, const char *path, uint64_t bytes)
{
    struct statvfs v;
    if (fstatvfs(fd, &v)) return rt_fail(RT_RUN, "%s: %s", path, strerror(errno));
    uint64_t have = (uint64_t)v.f_bavail * v.f_frsize;
    if (have < bytes)
        return rt_fail(RT_RUN, "%s: the disk is full: %llu bytes are needed, %llu are free", path,
                       (unsigned long long)bytes, (unsigned long long)have);
    return RT_OK;
}

rt_status rt_h5_create(int fd, const char *path, const char *kind, const rt_h5_item *items, int n, uint64_t *offsets)
{
    uint64_t total = 1 << 16;
    for (int i = 0; i < n; i++) total += item_bytes(&items[i]);
    RT_TRY(enough_space(fd, path, total));
    pthread_mutex_lock(&rt_h5_library);
    H5dont_atexit();
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
    hid_t fapl = H5Pcreate(H5P_FILE_ACCESS), fcpl = H5Pcreate(H5P_FILE_CREATE), gcpl = H5Pcreate(H5P_GROUP_CREATE);
#if H5_VERSION_GE(1, 10, 2)
    H5Pset_libver_bounds(fapl, H5F_LIBVER_V18, H5F_LIBVER_V18);
#else
    H5Pset_libver_bounds(fapl, H5F_LIBVER_LATEST, H5F_LIBVER_LATEST);
#endif
    H5Pset_obj_track_times(fcpl, 0);
    H5Pset_obj_track_times(gcpl, 0);
    H5Pset_alignment(fapl, 4096, 64);
    int bad = rt_h5_write_driver(fapl, fd, path);
    hid_t f = bad ? -1 : H5Fcreate("/file", H5F_ACC_TRUNC, fcpl, fapl);
    bad |= f < 0;
    if (!bad)
        bad = add_text(f, "creator", "retort") || add_text(f, "creator_version", rt_tool_version()) ||
              add_text(f, "commit", rt_commit()) || add_text(f, "format", kind);
    for (int i = 0; i < n && !bad; i++) bad = add_set(f, gcpl, &items[i]);
    if (f >= 0) bad |= H5Fclose(f) < 0;
    /* Offsets are asked of the closed and reopened file: no metadata is in flight then. */
    f = bad ? -1 : H5Fopen("/file", H5F_ACC_RDONLY, fapl);
    for (int i = 0; i < n && !bad; i++) {
        hid_t d = f < 0 ? -1 : H5Dopen2(f, items[i].name, H5P_DEFAULT);
        haddr_t at = d < 0 ? HADDR_UNDEF : H5Dget_offset(d);
        if (d >= 0) H5Dclose(d);
        bad = at == HADDR_UNDEF && item_bytes(&items[i]) > 0;
        offsets[i] = at;
    }
    if (f >= 0) H5Fclose(f);
    H5Pclose(fapl);
    H5Pclose(fcpl);
    H5Pclose(gcpl);
    rt_status st = bad ? rt_h5_write_status() : RT_OK;
    pthread_mutex_unlock(&rt_h5_library);
    if (st) return st;
    return bad ? rt_fail(RT_RUN, "%s: the HDF5 library could not create the file (is the disk full?)", path)
               : reserve(fd, path);
}

rt_status rt_h5_write(int fd, const char *path, const char *kind, const rt_h5_item *items, int n)
{
    uint64_t *offsets = calloc((size_t)n + 1, sizeof *offsets);
    if (!offsets) return rt_fail(RT_RUN, "out of memory");
    rt_status st = rt_h5_create(fd, path, kind, items, n, offsets);
    for (int i = 0; i < n && !st; i++)
        if (items[i].data) st = rt_pwrite_all(fd, items[i].data, item_bytes(&items[i]), offsets[i], path);
    free(offsets);
    return st;
}

rt_status rt_h5_save(const char *path, const char *kind, const rt_h5_item *items, int n)
{
    char name[256];
    int dir;
    rt_temp t = {.fd = -1};
    rt_status st = rt_open_folder_of(&dir, name, path);
    if (!st) st = rt_temp_open(&t, dir, name, path);
    if (!st) st = rt_h5_write(t.fd, path, kind, items, n);
    if (!st) st = rt_temp_commit(&t, 1);
    rt_temp_drop(&t);
    if (dir >= 0) close(dir);
    return st;
}
