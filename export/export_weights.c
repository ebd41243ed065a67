/* export/export_weights.c - a model's weights as safetensors or NPZ. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "engine/version.h"
#include "export/exporter.h"
#include "export/out_file.h"

typedef struct { const rt_field *f; const float *data; } item;

static int items_of(const rt_model *m, item **out)
{
    const rt_graph *g = m->graph;
    int n = 0;
    item *it = calloc((size_t)(g->fields + 1), sizeof *it);
    *out = it;
    if (!it) return -1;
    for (rt_home home = RT_PARAM; home <= RT_CONST; home++)
        for (int i = -1; (i = rt_graph_next_field(g, home, i)) >= 0;)
            it[n++] = (item){&g->field[i], rt_model_field(m, i)};
    return n;
}

static void add_text(cJSON *meta, const char *key, const cJSON *value)
{
    char *t = rt_json_text(value, 0);
    if (t) cJSON_AddStringToObject(meta, key, t);
    free(t);
}

rt_status rt_export_safetensors(const rt_model *m, rt_output *out)
{
    item *it;
    int n = items_of(m, &it);
    rt_safe_array *a = n < 0 ? NULL : calloc((size_t)n + 1, sizeof *a);
    if (!a) {
        free(it);
        return rt_fail(RT_RUN, "out of memory");
    }
    cJSON *meta = cJSON_CreateObject();
    cJSON_AddStringToObject(meta, "creator", rt_tool());
    cJSON_AddStringToObject(meta, "digest", rt_model_digest(m).hex);
    add_text(meta, "arch", m->arch);
    cJSON *norm = m->inputs == 1 ? rt_input_normalization(&m->input[0]) : rt_model_inputs_json(m);
    add_text(meta, m->inputs == 1 ? "normalization" : "inputs", norm);
    cJSON_Delete(norm);
    int plain = rt_heads_plain(m->head, m->heads);
    cJSON *classes = plain ? rt_names_to_json(&m->head[0].names) : NULL,
          *columns = m->inputs == 1 ? rt_names_to_json(&m->input[0].columns) : NULL;
    cJSON *heads = plain ? NULL : rt_heads_to_json(m->head, m->heads);
    if (heads) add_text(meta, "heads", heads);
    cJSON_Delete(heads);
    if (classes) add_text(meta, "class_names", classes);
    if (columns) add_text(meta, "columns", columns);
    cJSON_Delete(classes);
    cJSON_Delete(columns);
    for (int i = 0; i < n; i++) {
        const rt_shape *shape = &it[i].f->shape;
        a[i] = (rt_safe_array){it[i].f->name, "F32", shape->dim, shape->rank, it[i].data, it[i].f->count * 4};
    }
    rt_status st = rt_write_safetensors(out, meta, a, n);
    free(it);
    free(a);
    return st;
}

/* ---- NPZ ---- */

typedef struct {
    char name[RT_NAME_MAX + 32], type[24];
    uint64_t dim[RT_MAX_RANK];
    int rank;
    const void *data;
    size_t bytes;
    char *owned;                       /* data, when it was made for the file */
    uint64_t start;
    uint32_t crc;
} entry;

static void little(unsigned char *p, uint64_t v, int bytes)
{
    for (int i = 0; i < bytes; i++) p[i] = (unsigned char)(v >> (8 * i));
}

/* UTF-8, which names are known to be, to code points; returns how many. out may be NULL. */
static size_t code_points(const char *text, unsigned char *out)
{
    size_t n = 0;
    for (const unsigned char *p = (const unsigned char *)text; *p; n++) {
        int more = *p < 0x80 ? 0 : *p < 0xe0 ? 1 : *p < 0xf0 ? 2 : 3;
        uint32_t v = more ? *p & (0x3fu >> more) : *p;
        for (p++; more; more--, p++) v = v << 6 | (*p & 0x3fu);
        if (out) little(out + 4 * n, v, 4);
    }
    return n;
}

/* An array of strings as numpy has it: UTF-32, all as long as the longest. */
static rt_status names_entry(entry *e, const rt_names *names, const char *name)
{
    size_t longest = 1;
    for (int i = 0; i < names->count; i++) {
        size_t n = code_points(names->name[i], NULL);
        if (n > longest) longest = n;
    }
    *e = (entry){.rank = 1, .dim = {(uint64_t)names->count}, .bytes = 4 * longest * (size_t)names->count};
    snprintf(e->name, sizeof e->name, "%s.npy", name);
    snprintf(e->type, sizeof e->type, "<U%zu", longest);
    if (e->bytes > (size_t)1 << 30)
        return rt_fail(RT_USAGE,
                       "the names of %s take too much room in an NPZ, where all are as long as the longest; export to "
                               "safetensors", name);
    e->data = e->owned = calloc(e->bytes, 1);
    if (!e->owned) return rt_fail(RT_RUN, "out of memory");
    for (int i = 0; i < names->count; i++)
        code_points(names->name[i], (unsigned char *)e->owned + 4 * longest * (size_t)i);
    return RT_OK;
}

static rt_status entries_of(const rt_model *m, entry **out, int *count)
{
    item *it;
    int n = items_of(m, &it);
    entry *e = n < 0 ? NULL : calloc((size_t)n + RT_MAX_HEADS + 1, sizeof *e);
    rt_status st = e ? RT_OK : rt_fail(RT_RUN, "out of memory");
    for (int i = 0; i < n && !st; i++) {
        const rt_shape *shape = &it[i].f->shape;
        e[i] = (entry){.type = "<f4", .rank = shape->rank, .data = it[i].data, .bytes = it[i].f->count * 4};
        snprintf(e[i].name, sizeof e[i].name, "%s.npy", it[i].f->name);
        for (int k = 0; k < shape->rank; k++) e[i].dim[k] = (uint64_t)shape->dim[k];
    }
    free(it);
    *out = e;
    *count = st ? 0 : n;
    for (int h = 0; h < m->heads && !st; h++) {
        char name[RT_HEAD_NAME + 8] = "class_names";
        if (!rt_heads_plain(m->head, m->heads)) snprintf(name, sizeof name, "%s.names", m->head[h].name);
        if (m->head[h].names.name) st = names_entry(&e[(*count)++], &m->head[h].names, name);
    }
    for (int i = 0; i < m->inputs && !st; i++) {
        char name[RT_NAME_MAX + 16] = "columns";
        if (m->inputs > 1) snprintf(name, sizeof name, "%s.columns", m->input[i].name);
        if (m->input[i].columns.name) st = names_entry(&e[(*count)++], &m->input[i].columns, name);
    }
    uint64_t total = 0;
    for (int i = 0; i < *count; i++) total += e[i].bytes + 512;
    return !st && total > 0xf0000000u ? rt_fail(RT_USAGE, "an NPZ holds less than 4 GiB; export to safetensors") : st;
}

/* A stored local file (pass 0), or its copy in the central directory (pass 1). */
static void put_entry(rt_out_file *f, entry *e, int pass)
{
    char head[256];
    unsigned char h[46] = {0}, *q = h;
    size_t header = rt_npy_header(head, e->type, e->dim, e->rank), length = strlen(e->name);
    if (pass == 0) {
        e->crc = (uint32_t)crc32(crc32(0, (Bytef *)head, (uInt)header), (const Bytef *)e->data, (uInt)e->bytes);
        e->start = f->at;
        little(q, 0x04034b50, 4);
        little(q + 4, 20, 2);
    } else {
        little(q, 0x02014b50, 4);
        little(q + 4, 20, 2);
        little(q + 6, 20, 2);
        q += 2;
    }
    little(q + 12, 0x21, 2);                            /* 1980-01-01 */
    little(q + 14, e->crc, 4);
    little(q + 18, header + e->bytes, 4);
    little(q + 22, header + e->bytes, 4);
    little(q + 26, length, 2);
    if (pass == 1) little(h + 42, e->start, 4);
    rt_out_put(f, h, pass == 0 ? 30 : 46);
    rt_out_put(f, e->name, length);
    if (pass) return;
    rt_out_put(f, head, header);
    rt_out_put(f, e->data, e->bytes);
}

/* ZIP (APPNOTE 6.3). Dates are fixed: equal models, equal bytes. */
rt_status rt_export_npz(const rt_model *m, rt_output *out)
{
    entry *e;
    int n;
    rt_status st = entries_of(m, &e, &n);
    rt_out_file f = {0};
    if (!st) {
        unsigned char end[22] = {0};
        f = rt_out_open(out);
        for (int i = 0; i < n; i++) put_entry(&f, &e[i], 0);
        uint64_t directory = f.at;
        for (int i = 0; i < n; i++) put_entry(&f, &e[i], 1);
        little(end, 0x06054b50, 4);
        little(end + 8, (uint64_t)n, 2);
        little(end + 10, (uint64_t)n, 2);
        little(end + 12, f.at - directory, 4);
        little(end + 16, directory, 4);
        rt_out_put(&f, end, sizeof end);
    } else st = rt_fail_in(st, "%s", rt_output_path(out));
    for (int i = 0; i < n; i++) free(e[i].owned);
    free(e);
    return rt_out_close(&f, st);
}
