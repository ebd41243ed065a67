/* data/labels_hand.c - labels by hand in a store's file. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "data/labels_format.h"

void rt_label_hand_free(rt_label_hand *h)
{
    free(h->row);
    free(h->label);
    *h = (rt_label_hand){0};
}

static rt_digest digest_of(const rt_label_hand *h)
{
    rt_hasher *hash = rt_hasher_new();
    rt_hasher_add(hash, h->row, h->count * sizeof *h->row);
    rt_hasher_add(hash, h->label, h->count * sizeof *h->label);
    return rt_hasher_end(hash);
}

void rt_label_hand_tell(const rt_label_hand *h, cJSON *manifest)
{
    cJSON_DeleteItemFromObjectCaseSensitive(manifest, "hand");
    if (!h->count) return;
    cJSON *j = cJSON_AddObjectToObject(manifest, "hand");
    cJSON_AddNumberToObject(j, "rows", (double)h->count);
    cJSON_AddStringToObject(j, "digest", digest_of(h).hex);
    cJSON_AddStringToObject(j, "are", "hand/row: rows of the source, rising; hand/label: the class that somebody gave "
                            "each, which stands before the teacher's answer; their status is 4");
}

static rt_status damaged(const char *of)
{
    return rt_fail(RT_INPUT, "%s: its labels by hand are not what its manifest tells; the file is damaged", of);
}

rt_status rt_label_hand_read(rt_label_hand *h, rt_h5_file *f, const rt_labels_spec *s, const cJSON *manifest,
                             const char *of)
{
    const cJSON *told = cJSON_GetObjectItemCaseSensitive(manifest, "hand");
    const char *digest = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(told, "digest"));
    const rt_h5_dataset *row = rt_h5_find(f, "hand/row"), *label = rt_h5_find(f, "hand/label");
    *h = (rt_label_hand){0};
    if (!told && !row && !label) return RT_OK;
    double rows = cJSON_GetNumberValue(cJSON_GetObjectItemCaseSensitive(told, "rows"));
    if (!digest || !row || !label || row->rank != 1 || label->rank != 1 || row->type != RT_U64 ||
        label->type != RT_I32 || row->dim[0] != label->dim[0] || !row->dim[0] || row->dim[0] > s->rows ||
        (double)row->dim[0] != rows || s->heads > 1 || (s->heads && s->head[0].task != RT_TASK_CLASSES))
        return damaged(of);
    h->count = row->dim[0];
    rt_status st = rt_h5_read_all((void **)&h->row, f, "hand/row", h->count * sizeof *h->row);
    if (!st) st = rt_h5_read_all((void **)&h->label, f, "hand/label", h->count * sizeof *h->label);
    if (!st && strcmp(digest_of(h).hex, digest)) st = damaged(of);
    for (uint64_t i = 0; i < h->count && !st; i++)
        if (h->row[i] < s->first || h->row[i] - s->first >= s->rows || (i && h->row[i] <= h->row[i - 1]) ||
            h->label[i] < 0 || h->label[i] >= s->classes)
            st = damaged(of);
    if (st) rt_label_hand_free(h);
    return st;
}

/* The first one that is not below the row. */
static uint64_t find(const rt_label_hand *h, uint64_t row)
{
    uint64_t low = 0, high = h->count;
    while (low < high) {
        uint64_t middle = low + (high - low) / 2;
        if (h->row[middle] < row) low = middle + 1;
        else high = middle;
    }
    return low;
}

int32_t rt_label_hand_at(const rt_label_hand *h, uint64_t row)
{
    uint64_t i = find(h, row);
    return i < h->count && h->row[i] == row ? h->label[i] : -1;
}

const int32_t *rt_label_hand_of(const rt_label_hand *h, uint64_t first, uint64_t n, int32_t *label)
{
    uint64_t i = find(h, first);
    if (i == h->count || h->row[i] - first >= n) return NULL;
    for (uint64_t r = 0; r < n; r++) label[r] = -1;
    for (; i < h->count && h->row[i] - first < n; i++) label[h->row[i] - first] = h->label[i];
    return label;
}
