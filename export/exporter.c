#include "export/exporter.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include "data/files.h"
#include "engine/version.h"
#include "student/predictor.h"

enum { BLOCK = 1024 };

/* ---- files written piece by piece, then committed ---- */

typedef struct { int fd; uint64_t at; char temp[1100]; const char *path; rt_status status; } out_file;

static out_file open_out(const char *path)
{
    out_file f = {.fd = -1, .path = path};
    f.status = rt_temp_name(f.temp, sizeof f.temp, path);
    if (f.status) return f;
    unlink(f.temp);
    f.fd = open(f.temp, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (f.fd < 0) f.status = rt_fail(RT_RUN, "%s: %s", path, strerror(errno));
    return f;
}

static void put(out_file *f, const void *data, size_t n)
{
    if (!f->status) f->status = rt_pwrite_all(f->fd, data, n, f->at, f->path);
    f->at += n;
}

static rt_status close_out(out_file *f, rt_status st)
{
    if (!st) st = f->status;
    if (f->fd < 0) return st;
    if (close(f->fd) && !st) st = rt_fail(RT_RUN, "%s: %s", f->path, strerror(errno));
    if (!st) return rt_commit_file(f->temp, f->path);
    unlink(f->temp);
    return st;
}

/* ---- weights ---- */

typedef struct { const rt_field *f; const float *data; } item;

static int items_of(const rt_model *m, item **out)
{
    const rt_graph *g = m->graph;
    int n = 0;
    item *it = calloc((size_t)(g->params + g->states + 1), sizeof *it);
    *out = it;
    if (!it) return -1;
    for (int i = 0; i < g->params; i++) it[n++] = (item){&g->param[i], m->params + g->param[i].offset};
    for (int i = 0; i < g->states; i++) it[n++] = (item){&g->state[i], m->states + g->state[i].offset};
    return n;
}

static void add_text(cJSON *meta, const char *key, const cJSON *value)
{
    char *t = cJSON_PrintUnformatted(value);
    if (t) cJSON_AddStringToObject(meta, key, t);
    cJSON_free(t);
}

rt_status rt_export_safetensors(const rt_model *m, const char *path)
{
    item *it;
    int n = items_of(m, &it);
    if (n < 0) return rt_fail(RT_RUN, "out of memory");
    cJSON *h = cJSON_CreateObject(), *meta = cJSON_AddObjectToObject(h, "__metadata__"), *norm = cJSON_CreateObject();
    uint64_t at = 0;
    cJSON_AddStringToObject(meta, "creator", rt_tool());
    cJSON_AddStringToObject(meta, "digest", rt_model_digest(m).hex);
    add_text(meta, "arch", m->arch);
    cJSON *mul = cJSON_AddArrayToObject(norm, "mul"), *add = cJSON_AddArrayToObject(norm, "add");
    for (int i = 0; i < m->channels; i++) {
        cJSON_AddItemToArray(mul, cJSON_CreateNumber(m->mul[i]));
        cJSON_AddItemToArray(add, cJSON_CreateNumber(m->add[i]));
    }
    add_text(meta, "normalization", norm);
    cJSON_Delete(norm);
    for (int i = 0; i < n; i++) {
        cJSON *t = cJSON_AddObjectToObject(h, it[i].f->name), *shape;
        cJSON_AddStringToObject(t, "dtype", "F32");
        shape = cJSON_AddArrayToObject(t, "shape");
        for (int k = 0; k < it[i].f->shape.rank; k++) cJSON_AddItemToArray(shape, cJSON_CreateNumber(it[i].f->shape.dim[k]));
        double span[2] = {(double)at, (double)(at + it[i].f->count * 4)};
        cJSON_AddItemToObject(t, "data_offsets", cJSON_CreateDoubleArray(span, 2));
        at += it[i].f->count * 4;
    }
    char *text = cJSON_PrintUnformatted(h);
    cJSON_Delete(h);
    out_file f = open_out(path);
    if (text) {
        uint64_t size = (strlen(text) + 7) & ~(uint64_t)7;
        put(&f, &size, 8);
        put(&f, text, strlen(text));
        put(&f, "       ", size - strlen(text));
        for (int i = 0; i < n; i++) put(&f, it[i].data, it[i].f->count * 4);
    }
    rt_status st = close_out(&f, text ? RT_OK : rt_fail(RT_RUN, "out of memory"));
    cJSON_free(text);
    free(it);
    return st;
}

/* NPY 1.0 header, padded to 64 bytes. */
static size_t npy_header(char out[256], const char *type, const uint64_t *dim, int rank)
{
    char text[200];
    int n = snprintf(text, sizeof text, "{'descr': '%s', 'fortran_order': False, 'shape': (", type);
    for (int i = 0; i < rank; i++) n += snprintf(text + n, sizeof text - (size_t)n, "%llu,%s", (unsigned long long)dim[i], i + 1 < rank ? " " : "");
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

static void little(unsigned char *p, uint64_t v, int bytes)
{
    for (int i = 0; i < bytes; i++) p[i] = (unsigned char)(v >> (8 * i));
}

/* ZIP (APPNOTE 6.3): a stored local file per array, then the central directory. Dates are fixed: equal models, equal bytes. */
rt_status rt_export_npz(const rt_model *m, const char *path)
{
    item *it;
    int n = items_of(m, &it);
    uint64_t total = 0;
    for (int i = 0; i < n; i++) total += it[i].f->count * 4 + 512;
    uint64_t *start = n < 0 ? NULL : calloc((size_t)n + 1, sizeof *start);
    uint32_t *crc = n < 0 ? NULL : calloc((size_t)n + 1, sizeof *crc);
    if (!start || !crc || total > 0xf0000000u) {
        free(it);
        free(start);
        free(crc);
        return total > 0xf0000000u ? rt_fail(RT_USAGE, "%s: an NPZ holds less than 4 GiB; export to safetensors", path) : rt_fail(RT_RUN, "out of memory");
    }
    out_file f = open_out(path);
    uint64_t directory;
    for (int pass = 0; pass < 2; pass++) {
        directory = f.at;
        for (int i = 0; i < n; i++) {
            char head[256], name[RT_NAME_MAX + 32];
            unsigned char h[46] = {0};
            uint64_t dim[RT_MAX_RANK];
            for (int k = 0; k < it[i].f->shape.rank; k++) dim[k] = (uint64_t)it[i].f->shape.dim[k];
            size_t header = npy_header(head, "<f4", dim, it[i].f->shape.rank), bytes = it[i].f->count * 4;
            int len = snprintf(name, sizeof name, "%s.npy", it[i].f->name);
            unsigned char *q = h;                       /* local header, or its copy in the directory */
            if (pass == 0) {
                crc[i] = (uint32_t)crc32(crc32(0, (Bytef *)head, (uInt)header), (const Bytef *)it[i].data, (uInt)bytes);
                start[i] = f.at;
                little(q, 0x04034b50, 4);
                little(q + 4, 20, 2);
            } else {
                little(q, 0x02014b50, 4);
                little(q + 4, 20, 2);
                little(q + 6, 20, 2);
                q += 2;
            }
            little(q + 12, 0x21, 2);                    /* 1980-01-01 */
            little(q + 14, crc[i], 4);
            little(q + 18, header + bytes, 4);
            little(q + 22, header + bytes, 4);
            little(q + 26, (uint64_t)len, 2);
            if (pass == 1) little(h + 42, start[i], 4);
            put(&f, h, pass == 0 ? 30 : 46);
            put(&f, name, (size_t)len);
            if (pass) continue;
            put(&f, head, header);
            put(&f, it[i].data, bytes);
        }
        if (pass) {
            unsigned char e[22] = {0};
            little(e, 0x06054b50, 4);
            little(e + 8, (uint64_t)n, 2);
            little(e + 10, (uint64_t)n, 2);
            little(e + 12, f.at - directory, 4);
            little(e + 16, directory, 4);
            put(&f, e, sizeof e);
        }
    }
    free(it);
    free(start);
    free(crc);
    return close_out(&f, RT_OK);
}

/* ---- rows of logits ---- */

static void put_logits(out_file *f, const float *z, uint64_t first, int rows, int k, int csv)
{
    if (!csv) {
        put(f, z, (size_t)rows * (size_t)k * sizeof *z);
        return;
    }
    char *text = malloc((size_t)rows * ((size_t)k * 16 + 48));
    size_t n = 0;
    if (!text) {
        f->status = rt_fail(RT_RUN, "out of memory");
        return;
    }
    for (int r = 0; r < rows; r++, z += k) {
        int best = 0;
        double sum = 0;
        for (int c = 1; c < k; c++) if (z[c] > z[best]) best = c;
        for (int c = 0; c < k; c++) sum += exp((double)z[c] - z[best]);
        n += (size_t)sprintf(text + n, "%llu,%d", (unsigned long long)(first + (uint64_t)r), best);
        for (int c = 0; c < k; c++) n += (size_t)sprintf(text + n, ",%.7g", exp((double)z[c] - z[best]) / sum);
        text[n++] = '\n';
    }
    put(f, text, n);
    free(text);
}

static void put_head(out_file *f, uint64_t rows, int k, int csv)
{
    char head[256];
    uint64_t dim[2] = {rows, (uint64_t)k};
    if (!csv) {
        put(f, head, npy_header(head, "<f4", dim, 2));
        return;
    }
    put(f, "row,answer", 10);
    for (int c = 0; c < k; c++) put(f, head, (size_t)snprintf(head, sizeof head, ",p%d", c));
    put(f, "\n", 1);
}

rt_status rt_export_labels(rt_labels *l, const char *path, int csv)
{
    const rt_labels_spec *s = rt_labels_info(l);
    out_file f = open_out(path);
    float *z = rt_floats_new((size_t)BLOCK * (size_t)s->classes);
    rt_status st = z ? f.status : RT_RUN;
    if (!st) put_head(&f, s->rows, s->classes, csv);
    for (uint64_t at = 0; at < s->rows && !st; at += BLOCK) {
        uint64_t row[BLOCK];
        int n = s->rows - at < BLOCK ? (int)(s->rows - at) : BLOCK;
        for (int i = 0; i < n; i++) row[i] = s->first + at + (uint64_t)i;
        st = rt_labels_read(l, row, n, z);
        if (!st) put_logits(&f, z, row[0], n, s->classes, csv);
    }
    free(z);
    return close_out(&f, st);
}

rt_status rt_export_predictions(rt_model *const *m, int models, rt_source *x, uint64_t first, uint64_t end, const char *path, int csv, rt_pool *pool, const rt_progress *progress)
{
    rt_predictor *p;
    if (first == end) return rt_fail(RT_NOTHING, "%s: no rows to predict", path);
    RT_TRY(rt_predictor_new(&p, m, models, pool, 0, NULL, 0));
    int k = m[0]->classes;
    float *z = rt_floats_new((size_t)BLOCK * (size_t)k);
    char *raw = malloc(BLOCK * rt_source_row_bytes(x) + 64);
    out_file f = open_out(path);
    rt_status st = z && raw ? f.status : rt_fail(RT_RUN, "out of memory");
    if (!st) put_head(&f, end - first, k, csv);
    for (uint64_t at = first; at < end && !st; at += BLOCK) {
        uint64_t row[BLOCK];
        int n = end - at < BLOCK ? (int)(end - at) : BLOCK;
        for (int i = 0; i < n; i++) row[i] = at + (uint64_t)i;
        st = rt_source_read(x, row, n, raw);
        if (st) break;
        rt_predict_raw(p, raw, rt_source_type(x), n, z);
        put_logits(&f, z, at, n, k, csv);
        rt_progress_update(progress, "export", (double)(at + (uint64_t)n - first), (double)(end - first), 0, "rows", "");
        if (rt_progress_stopped(progress)) st = rt_fail(RT_INTERRUPTED, "interrupted");
    }
    free(z);
    free(raw);
    rt_predictor_free(p);
    return close_out(&f, st);
}
