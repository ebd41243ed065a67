#include "export/out_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

rt_out_file rt_out_open(rt_output *out)
{
    rt_out_file f = {.out = out, .hash = rt_hasher_new()};
    f.status = rt_output_create(out, &f.fd);
    return f;
}

void rt_out_put(rt_out_file *f, const void *data, size_t n)
{
    if (!f->status) f->status = rt_pwrite_all(f->fd, data, n, f->at, rt_output_path(f->out));
    if (!f->status) rt_hasher_add(f->hash, data, n);
    f->at += n;
}

rt_status rt_out_close(rt_out_file *f, rt_status st)
{
    if (!f->hash) return st;                          /* never opened */
    rt_digest d = rt_hasher_end(f->hash);
    if (!st) st = f->status;
    if (st) return st;
    rt_output_mark(f->out, &d);
    return rt_output_commit(f->out);
}

rt_status rt_write_safetensors(rt_output *out, cJSON *meta, const rt_safe_array *a, int count)
{
    cJSON *h = cJSON_CreateObject();
    uint64_t at = 0;
    cJSON_AddItemToObject(h, "__metadata__", meta);
    for (int i = 0; i < count; i++) {
        cJSON *t = cJSON_AddObjectToObject(h, a[i].name);
        const double span[2] = {(double)at, (double)(at + a[i].bytes)};
        cJSON_AddStringToObject(t, "dtype", a[i].type);
        cJSON_AddItemToObject(t, "shape", cJSON_CreateIntArray(a[i].dim, a[i].rank));
        cJSON_AddItemToObject(t, "data_offsets", cJSON_CreateDoubleArray(span, 2));
        at += a[i].bytes;
    }
    char *text = rt_json_text(h, 0);
    cJSON_Delete(h);
    rt_out_file f = rt_out_open(out);
    if (text) {
        uint64_t size = (strlen(text) + 7) & ~(uint64_t)7;
        rt_out_put(&f, &size, 8);
        rt_out_put(&f, text, strlen(text));
        rt_out_put(&f, "       ", size - strlen(text));
        for (int i = 0; i < count; i++) rt_out_put(&f, a[i].data, a[i].bytes);
    }
    rt_status st = rt_out_close(&f, text ? RT_OK : rt_fail(RT_RUN, "out of memory"));
    free(text);
    return st;
}
