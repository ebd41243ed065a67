#include "export/out_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "data/files.h"

rt_out_file rt_out_open(const char *path)
{
    rt_out_file f = {.fd = -1, .path = path};
    f.status = rt_temp_name(f.temp, sizeof f.temp, path);
    if (f.status) return f;
    unlink(f.temp);
    f.fd = open(f.temp, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (f.fd < 0) f.status = rt_fail(RT_RUN, "%s: %s", path, strerror(errno));
    return f;
}

void rt_out_put(rt_out_file *f, const void *data, size_t n)
{
    if (!f->status) f->status = rt_pwrite_all(f->fd, data, n, f->at, f->path);
    f->at += n;
}

rt_status rt_out_close(rt_out_file *f, rt_status st)
{
    if (!st) st = f->status;
    if (f->fd < 0) return st;
    if (close(f->fd) && !st) st = rt_fail(RT_RUN, "%s: %s", f->path, strerror(errno));
    if (!st) return rt_commit_file(f->temp, f->path);
    unlink(f->temp);
    return st;
}

size_t rt_npy_header(char out[256], const char *type, const uint64_t *dim, int rank)
{
    char text[200];
    int n = snprintf(text, sizeof text, "{'descr': '%s', 'fortran_order': False, 'shape': (", type);
    for (int i = 0; i < rank; i++)
        n += snprintf(text + n, sizeof text - (size_t)n, "%llu,%s", (unsigned long long)dim[i],
                      i + 1 < rank ? " " : "");
    n += snprintf(text + n, sizeof text - (size_t)n, "), }");
    size_t total = (10 + (size_t)n + 1 + 63) & ~(size_t)63, length = total - 10;
    memcpy(out, "\223NUMPY\1\0", 8);
    out[8] = (char)(length & 255);
    out[9] = (char)(length >> 8);
    memcpy(out + 10, text, (size_t)n);
    memset(out + 10 + n, ' ', length - (size_t)n);
    out[total - 1] = '\n';
    return total;
}
