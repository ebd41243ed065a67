/* data/labels_hand.c - labels by hand in a store's file. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "data/labels_format.h"

void rt_label_hand_free(rt_label_hand *h)
{
    free(h->row);
    free(h->label);
    free(h->head);
    *h = (rt_label_hand){0};
}

rt_status rt_label_hand_new(rt_label_hand *h, uint64_t n)
{
    size_t room = (size_t)n + 1;
    *h = (rt_label_hand){malloc(room * sizeof *h->row), malloc(room * sizeof *h->label), calloc(room, 1), 0};
    return h->row && h->label && h->head ? RT_OK : rt_fail(RT_RUN, "out of memory");
}

/* heads: of what it is, whose numbers are told where it has several. */
static rt_digest digest_of(const rt_label_hand *h, int heads)
{
    rt_hasher *hash = rt_hasher_new();
    rt_hasher_add(hash, h->row, h->count * sizeof *h->row);
    rt_hasher_add(hash, h->label, h->count * sizeof *h->label);
    if (heads > 1) rt_hasher_add(hash, h->head, h->count);
    return rt_hasher_end(hash);
}

static int heads_of(const cJSON *manifest)
{
    const cJSON *labels = cJSON_GetObjectItemCaseSensitive(manifest, "labels");
    int n = cJSON_GetArraySize(cJSON_GetObjectItemCaseSensitive(labels, "heads"));
    return n ? n : 1;
}

void rt_label_hand_tell(const rt_label_hand *h, cJSON *manifest)
{
    int heads = heads_of(manifest);
    cJSON_DeleteItemFromObjectCaseSensitive(manifest, "hand");
    if (!h->count) return;
    cJSON *j = cJSON_AddObjectToObject(manifest, "hand");
    cJSON_AddNumberToObject(j, "rows", (double)h->count);
    cJSON_AddStringToObject(j, "digest", digest_of(h, heads).hex);
    cJSON_AddStringToObject(j, "are", heads > 1
                            ? "hand/row: rows of the source, rising; hand/head: the number of a head; hand/label: the "
                              "class that somebody gave each for that head, which stands before the teacher's answer; "
                              "their status is 4"
                            : "hand/row: rows of the source, rising; hand/label: the class that somebody gave "
                              "each, which stands before the teacher's answer; their status is 4");
}

static rt_status damaged(const char *of)
{
    return rt_fail(RT_INPUT, "%s: its labels by hand are not what its manifest tells; the file is damaged", of);
}

/* Whether label i is one of a row and a head that there are, behind the one before it. */
static int holds(const rt_label_hand *h, uint64_t i, const rt_labels_spec *s)
{
    uint64_t row = h->row[i];
    int head = h->head[i], heads = s->heads ? s->heads : 1;
    if (row < s->first || row - s->first >= s->rows || head >= heads) return 0;
    if (i && (row < h->row[i - 1] || (row == h->row[i - 1] && head <= h->head[i - 1]))) return 0;
    if (s->heads && s->head[head].task != RT_TASK_CLASSES) return 0;
    return h->label[i] >= 0 && h->label[i] < (s->heads ? s->head[head].size : s->classes);
}

rt_status rt_label_hand_read(rt_label_hand *h, rt_h5_file *f, const rt_labels_spec *s, const cJSON *manifest,
                             const char *of)
{
    const int heads = s->heads ? s->heads : 1, several = heads > 1;
    const cJSON *told = cJSON_GetObjectItemCaseSensitive(manifest, "hand");
    const char *digest = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(told, "digest"));
    const rt_h5_dataset *row = rt_h5_find(f, "hand/row"), *label = rt_h5_find(f, "hand/label"),
                        *head = rt_h5_find(f, "hand/head");
    *h = (rt_label_hand){0};
    if (!told && !row && !label && !head) return RT_OK;
    double rows = cJSON_GetNumberValue(cJSON_GetObjectItemCaseSensitive(told, "rows"));
    if (!digest || !row || !label || row->rank != 1 || label->rank != 1 || row->type != RT_U64 ||
        label->type != RT_I32 || row->dim[0] != label->dim[0] || !row->dim[0] ||
        row->dim[0] / (uint64_t)heads > s->rows || (double)row->dim[0] != rows || several != (head != NULL) ||
        (several && (head->rank != 1 || head->type != RT_U8 || head->dim[0] != row->dim[0])))
        return damaged(of);
    uint64_t n = row->dim[0];
    rt_status st = rt_h5_read_all((void **)&h->row, f, "hand/row", n * sizeof *h->row);
    if (!st) st = rt_h5_read_all((void **)&h->label, f, "hand/label", n * sizeof *h->label);
    if (!st && several) st = rt_h5_read_all((void **)&h->head, f, "hand/head", n);
    if (!st && !several && !(h->head = calloc((size_t)n + 1, 1))) st = rt_fail(RT_RUN, "out of memory");
    h->count = n;
    if (!st && strcmp(digest_of(h, heads).hex, digest)) st = damaged(of);
    for (uint64_t i = 0; i < n && !st; i++) if (!holds(h, i, s)) st = damaged(of);
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

int32_t rt_label_hand_at(const rt_label_hand *h, int head, uint64_t row)
{
    for (uint64_t i = find(h, row); i < h->count && h->row[i] == row; i++) if (h->head[i] == head) return h->label[i];
    return -1;
}

const int32_t *rt_label_hand_of(const rt_label_hand *h, int heads, uint64_t first, uint64_t n, int32_t *label)
{
    uint64_t i = find(h, first);
    if (i == h->count || h->row[i] - first >= n) return NULL;
    for (int k = 0; k < heads * RT_LABEL_BLOCK; k++) label[k] = -1;
    for (; i < h->count && h->row[i] - first < n; i++)
        label[h->head[i] * RT_LABEL_BLOCK + (int)(h->row[i] - first)] = h->label[i];
    return label;
}
