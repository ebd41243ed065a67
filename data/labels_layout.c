/* data/labels_layout.c - what a label store's file is made of, and how its manifest tells it. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data/labels_format.h"

const char *const rt_label_column_names[] = {"hard", "confidence", "margin", "entropy", NULL};
enum { FACTS = 4 };

int rt_label_is_there(unsigned char status) { return status == RT_LABEL_DONE || status == RT_LABEL_BY_HAND; }

const char *rt_label_status_word(unsigned char status)
{
    static const char *const word[RT_LABEL_STATUSES] = {"not yet", "labelled", "abstained", "bad input", "by hand",
                                                        "bad answer", "unknown", "unknown"};
    return status < RT_LABEL_STATUSES ? word[status] : "unknown";
}

uint64_t rt_labels_labelled(const uint64_t status[RT_LABEL_STATUSES])
{
    uint64_t n = 0;
    for (int i = 0; i < RT_LABEL_STATUSES; i++) n += rt_label_is_there((unsigned char)i) ? status[i] : 0;
    return n;
}

/* ---- columns ---- */

int rt_label_heads(const rt_labels_spec *s, rt_label_head h[RT_MAX_HEADS])
{
    int column = 0, errors = 0, heads = s->heads ? s->heads : 1;
    for (int i = 0; i < heads; i++) {
        const rt_head one = {.task = RT_TASK_CLASSES, .size = s->classes}, *from = s->heads ? &s->head[i] : &one;
        int classes = from->task == RT_TASK_CLASSES, few = classes && s->topk && (!s->heads || s->topk < from->size);
        rt_label_head *to = &h[i];
        *to = (rt_label_head){.task = from->task, .at = from->at, .size = from->size, .topk = few ? s->topk : 0,
                              .column = column, .error = -1, .fact = {-1, -1, -1, -1}};
        to->coded = s->type == RT_U8 && from->task != RT_TASK_REAL && !s->hard;
        column += s->hard ? 0 : (to->topk ? 3 : 1) + 2 * to->coded;
        for (int f = 0; f < FACTS && classes; f++) if (s->columns >> f & 1) to->fact[f] = column++;
        to->columns = column - to->column;
        if (to->coded) to->error = errors++;
    }
    return heads;
}

/* Where columns are put: of the rows as they are, or of V views. */
typedef struct { rt_label_column *c; int n, planes; } columns;

static rt_label_column *put_column(columns *to, const char *group, const char *what, rt_dtype type, int width)
{
    rt_label_column *c = &to->c[to->n++];
    *c = (rt_label_column){.type = type, .width = (uint64_t)width, .planes = to->planes};
    snprintf(c->name, sizeof c->name, "labels/%s%s%s", group, *group ? "/" : "", what);
    return c;
}

/* An array of a number each. */
static void put_flat(columns *to, const char *group, const char *what, rt_dtype type)
{ put_column(to, group, what, type, 1)->flat = 1; }

static void put_scale(columns *to, const char *group, const char *scale, const char *offset)
{
    put_flat(to, group, scale, RT_F32);
    put_flat(to, group, offset, RT_F32);
}

/* What is kept of a head. */
static void put_head(columns *to, const char *group, const rt_labels_spec *s, const rt_label_head *h)
{
    if (!s->hard && h->topk) {
        put_column(to, group, "topk_id", h->coded && h->size <= 1 << 16 ? RT_U16 : RT_I32, h->topk);
        put_column(to, group, "topk_logit", s->type, h->topk)->decode =
            !h->coded    ? NULL
            : to->planes ? "topk_logit * topk_scale[:, :, None] + topk_offset[:, :, None]"
                         : "topk_logit * topk_scale[:, None] + topk_offset[:, None]";
        put_flat(to, group, "tail", RT_F32);
        if (h->coded) put_scale(to, group, "topk_scale", "topk_offset");
    } else if (!s->hard && h->coded) {
        put_column(to, group, "logits", RT_U8, h->size)->decode =
            to->planes ? "logits * logits_scale[:, :, None] + logits_offset[:, :, None]"
                       : "logits * logits_scale[:, None] + logits_offset[:, None]";
        put_scale(to, group, "logits_scale", "logits_offset");
    } else if (!s->hard && h->task == RT_TASK_REAL) put_column(to, group, "values", RT_F32, h->size);
    else if (!s->hard) put_column(to, group, "logits", s->type, h->size);
    for (int f = 0; f < FACTS; f++)
        if (h->fact[f] >= 0) put_flat(to, group, rt_label_column_names[f], f ? RT_F32 : RT_I32);
}

int rt_label_columns(const rt_labels_spec *s, rt_label_column c[RT_LABEL_COLUMNS])
{
    rt_label_head h[RT_MAX_HEADS];
    int heads = rt_label_heads(s, h), errors = 0;
    columns to = {c, 0, 0};
    for (int views = 0; views <= (s->views.count > 0); views++) {
        to.planes = views ? s->views.count : 0;
        for (int i = 0; i < heads; i++) {
            char group[RT_HEAD_NAME + 8];
            const char *name = s->heads ? s->head[i].name : "";
            snprintf(group, sizeof group, "%s%s%s", name, views && *name ? "/" : "", views ? "views" : "");
            put_head(&to, group, s, &h[i]);
            errors += h[i].coded && !views;
        }
        for (int i = 0; i < s->features; i++)
            put_column(&to, views ? "views/features" : "features", s->feature[i].name, s->feature[i].type,
                       s->feature[i].width);
    }
    to.planes = 0;
    if (errors) put_column(&to, "", "code_error", RT_F32, 2 * errors)->by_block = 1;
    put_flat(&to, "", "status", RT_U8);
    return to.n;
}

int rt_label_view_column(const rt_labels_spec *s)
{
    rt_label_head h[RT_MAX_HEADS];
    int heads = rt_label_heads(s, h);
    return h[heads - 1].column + h[heads - 1].columns + s->features;
}

int rt_label_column_planes(const rt_label_column *c) { return c->planes ? c->planes : 1; }
size_t rt_label_column_bytes(const rt_label_column *c) { return rt_dtype_size(c->type) * c->width; }

size_t rt_label_piece_bytes(const rt_label_column *c, uint64_t rows)
{ return rt_label_column_bytes(c) * (c->by_block ? 1 : rows); }

size_t rt_label_part_bytes(const rt_label_column *c, uint64_t rows)
{ return rt_label_piece_bytes(c, rows) * (size_t)rt_label_column_planes(c); }

uint64_t rt_label_entry(const rt_label_column *c, const rt_labels_spec *s, int plane, uint64_t row)
{ return c->by_block ? row / RT_LABEL_BLOCK : (uint64_t)plane * s->rows + row; }

uint64_t rt_label_column_entries(const rt_label_column *c, const rt_labels_spec *s)
{ return c->by_block ? rt_label_blocks(s) : s->rows * (uint64_t)rt_label_column_planes(c); }

size_t rt_label_block_bytes(const rt_labels_spec *s, uint64_t rows)
{
    rt_label_column c[RT_LABEL_COLUMNS];
    size_t bytes = 0;
    for (int i = 0, n = rt_label_columns(s, c); i < n; i++) bytes += rt_label_part_bytes(&c[i], rows);
    return bytes;
}

size_t rt_label_row_bytes(const rt_labels_spec *s)
{
    rt_label_column c[RT_LABEL_COLUMNS];
    size_t bytes = 0;
    for (int i = 0, n = rt_label_columns(s, c); i < n; i++) if (!c[i].by_block) bytes += rt_label_part_bytes(&c[i], 1);
    return bytes;
}

double rt_label_store_bytes(const rt_labels_spec *s)
{
    const double headers = 8192;
    double bytes = (double)s->rows * (double)rt_label_row_bytes(s) + 4 * (double)rt_label_blocks(s) + headers;
    rt_label_column c[RT_LABEL_COLUMNS];
    for (int i = 0, n = rt_label_columns(s, c); i < n; i++)
        if (c[i].by_block) bytes += (double)rt_label_column_bytes(&c[i]) * (double)rt_label_blocks(s);
    return bytes;
}

uint64_t rt_label_blocks(const rt_labels_spec *s) { return s->rows / RT_LABEL_BLOCK + (s->rows % RT_LABEL_BLOCK != 0); }

uint64_t rt_label_block_rows(const rt_labels_spec *s, uint64_t block)
{
    uint64_t left = s->rows - block * RT_LABEL_BLOCK;
    return left < RT_LABEL_BLOCK ? left : RT_LABEL_BLOCK;
}

/* ---- the file ---- */

const char *rt_label_format(const rt_labels_spec *s, int by_hand)
{
    if (s->views.count || (s->topk && s->type == RT_U8) || (by_hand && s->heads > 1)) return RT_LABEL_FORMAT_VIEWS;
    if (by_hand || s->columns || s->features || s->hard || s->type == RT_U8) return RT_LABEL_FORMAT_COLUMNS;
    return s->heads ? RT_LABEL_FORMAT_HEADS : RT_LABEL_FORMAT;
}

/* ---- the manifest ---- */

static const char *type_name(const rt_labels_spec *s) { return s->type == RT_U8 ? "q8" : rt_dtype_name(s->type); }

static void tell_views(const rt_labels_spec *s, cJSON *v)
{
    const rt_label_views *w = &s->views;
    char seed[24];
    snprintf(seed, sizeof seed, "%" PRIu64, w->seed);
    cJSON_AddNumberToObject(v, "count", w->count);
    cJSON_AddStringToObject(v, "seed", seed);
    cJSON_AddBoolToObject(v, "flip", w->how.flip);
    cJSON_AddNumberToObject(v, "shift", w->how.shift);
    cJSON_AddNumberToObject(v, "erase", w->how.erase);
    if (w->how.input) cJSON_AddStringToObject(v, "input", w->how.input);
    cJSON_AddStringToObject(v, "are", "sets of views/...: view, row, ...; view v is what training shows in epoch v of "
                            "this seed with these settings of augment");
}

static void tell_more(const rt_labels_spec *s, cJSON *l)
{
    if (s->columns) {
        cJSON *list = cJSON_AddArrayToObject(l, "columns");
        for (int f = 0; f < FACTS; f++)
            if (s->columns >> f & 1) cJSON_AddItemToArray(list, cJSON_CreateString(rt_label_column_names[f]));
        cJSON_AddStringToObject(l, "columns_are", "of softmax of the answer before it is coded, in f32: the best class "
                                "(the lower of equal ones), its probability, how far the next one is below it, "
                                "entropy in nats");
    }
    if (!s->hard && s->type == RT_U8) {
        cJSON_AddStringToObject(l, "code", s->topk
                                ? "8 bits: z = topk_logit * topk_scale + topk_offset of the row, in f32; of heads with "
                                  "all classes logits * logits_scale + logits_offset"
                                : "8 bits: z = logits * logits_scale + logits_offset of the row, in f32");
        cJSON_AddStringToObject(l, "code_error", "of each block and head: the largest |z - answer|, the largest "
                                "difference of a probability");
    }
    if (s->views.count) tell_views(s, cJSON_AddObjectToObject(l, "views"));
    cJSON *features = s->features ? cJSON_AddArrayToObject(l, "features") : NULL;
    for (int i = 0; i < s->features; i++) {
        cJSON *one = cJSON_CreateObject();
        cJSON_AddStringToObject(one, "name", s->feature[i].name);
        cJSON_AddNumberToObject(one, "width", s->feature[i].width);
        if (s->feature[i].shape.rank > 1)
            cJSON_AddItemToObject(one, "shape",
                                  cJSON_CreateIntArray(s->feature[i].shape.dim, s->feature[i].shape.rank));
        cJSON_AddStringToObject(one, "type", rt_dtype_name(s->feature[i].type));
        cJSON_AddItemToArray(features, one);
    }
}

void rt_label_spec_tell(const rt_labels_spec *s, cJSON *m)
{
    cJSON_DeleteItemFromObjectCaseSensitive(m, "labels");
    cJSON *l = cJSON_AddObjectToObject(m, "labels");
    cJSON_AddNumberToObject(l, "first_row", (double)s->first);
    cJSON_AddNumberToObject(l, "rows", (double)s->rows);
    if (s->heads) cJSON_AddItemToObject(l, "heads", rt_heads_to_json(s->head, s->heads));
    else cJSON_AddNumberToObject(l, "classes", s->classes);
    cJSON_AddStringToObject(l, "coding", s->hard ? "hard" : s->topk ? "topk" : "full");
    if (s->topk) cJSON_AddNumberToObject(l, "topk", s->topk);
    if (!s->hard) cJSON_AddStringToObject(l, "type", type_name(s));
    cJSON_AddStringToObject(l, "values", s->hard ? "the best class alone, no logits" : !s->topk ? "logits" :
                            "logits of the k best classes; 'tail' is the logit of each other class that keeps their "
                            "total probability");
    cJSON_AddStringToObject(l, "status", "0 not yet, 1 labelled, 3 bad input (NaN or infinity), 5 bad answer");
    cJSON_AddNumberToObject(l, "block", RT_LABEL_BLOCK);
    tell_more(s, l);
}

static unsigned read_columns(rt_cfg *c)
{
    unsigned columns = 0;
    const char *name[FACTS + 1];
    int n = rt_cfg_strings(c, "columns", name, FACTS);
    for (int i = 0; i < n; i++) {
        int f = 0;
        while (f < FACTS && strcmp(rt_label_column_names[f], name[i])) f++;
        if (f == FACTS) rt_cfg_fail(c, "columns", "\"hard\", \"confidence\", \"margin\" and \"entropy\" are known");
        else if (columns >> f & 1) rt_cfg_fail(c, "columns", "names a column twice");
        else columns |= 1u << f;
    }
    return columns;
}

static void read_views(rt_cfg *c, rt_labels_spec *s)
{
    if (!rt_cfg_has(c, "views")) return;
    rt_cfg v = rt_cfg_object(c, "views");
    char *end = NULL;
    const char *seed = rt_cfg_string(&v, "seed", "");
    s->views = (rt_label_views){
        .count = rt_cfg_int(&v, "count", 0, 1, RT_LABEL_VIEWS),
        .how = {.flip = rt_cfg_bool(&v, "flip", 0), .shift = rt_cfg_int(&v, "shift", 0, 0, 1024),
                .erase = rt_cfg_number(&v, "erase", 0, 0, 1),
                .input = rt_cfg_has(&v, "input") ? rt_cfg_string(&v, "input", NULL) : NULL}};
    rt_cfg_any(&v, "are");
    if (*seed && strlen(seed) <= 20 && strspn(seed, "0123456789") == strlen(seed))
        s->views.seed = strtoull(seed, &end, 10);
    if (!end) rt_cfg_fail(&v, "seed", "is no number");
    rt_cfg_join(c, &v);
}

int rt_label_views_same(const rt_label_views *a, const rt_label_views *b, char why[160])
{
    const rt_view_desc *p = &a->how, *q = &b->how;
    char text[160] = "";
    size_t n = sizeof text;
    if (a->seed != b->seed) snprintf(text, n, "seed=%" PRIu64, a->seed);
    else if (!p->flip != !q->flip) snprintf(text, n, "flip=%s", p->flip ? "true" : "false");
    else if (p->shift != q->shift) snprintf(text, n, "shift=%d", p->shift);
    else if (p->erase < q->erase || p->erase > q->erase) snprintf(text, n, "erase=%.17g", p->erase);
    else if (p->input && q->input && strcmp(p->input, q->input)) snprintf(text, n, "input=%.60s", p->input);
    if (why) memcpy(why, text, sizeof text);
    return !text[0];
}

static int fits(const rt_shape *s, int width)
{
    int64_t n = 1;
    for (int i = 0; i < s->rank && n <= width; i++) n *= s->dim[i];
    return s->rank > 0 && n == width;
}

static void read_features(rt_cfg *c, rt_labels_spec *s, rt_label_feature feature[RT_LABEL_FEATURES])
{
    static const char *const types[] = {"f32", "f16", NULL};
    const cJSON *list = rt_cfg_has(c, "features") ? rt_cfg_array(c, "features") : NULL;
    if (cJSON_GetArraySize(list) > RT_LABEL_FEATURES) rt_cfg_fail(c, "features", "are too many");
    for (cJSON *j = list ? list->child : NULL; j && !c->status; j = j->next) {
        rt_cfg one = rt_cfg_begin(j, "manifest.labels.features");
        const char *name = rt_cfg_string(&one, "name", NULL);
        int width = rt_cfg_int(&one, "width", 0, 1, RT_LABEL_FEATURE_WIDTH);
        rt_dtype type = rt_cfg_choice(&one, "type", types, 0) ? RT_F16 : RT_F32;
        rt_shape shape = {.rank = 1, .dim = {width}};
        if (rt_cfg_has(&one, "shape"))
            shape.rank = rt_cfg_ints(&one, "shape", shape.dim, RT_MAX_RANK, 1, RT_LABEL_FEATURE_WIDTH);
        rt_cfg_join(c, &one);
        if (!c->status && !fits(&shape, width)) rt_cfg_fail(c, "features", "have a shape that is not their width");
        if (c->status) return;
        int bad = !*name || strlen(name) >= RT_HEAD_NAME || strchr(name, '/') != NULL;
        for (int i = 0; i < s->features; i++) bad |= !strcmp(feature[i].name, name);
        char *kept = bad ? NULL : strdup(name);
        if (!kept) rt_cfg_fail(c, "features", "have a name that is none, or is another's, too");
        else feature[s->features++] = (rt_label_feature){kept, width, type, shape};
    }
}

rt_status rt_label_spec_read(rt_labels_spec *s, rt_head head[RT_MAX_HEADS], int *heads,
                             rt_label_feature feature[RT_LABEL_FEATURES], const cJSON *manifest, const char *of)
{
    static const char *const coding[] = {"full", "topk", "hard", NULL}, *const types[] = {"f32", "f16", "q8", NULL};
    static const rt_dtype type_of[] = {RT_F32, RT_F16, RT_U8};
    cJSON *copy = cJSON_Duplicate(cJSON_GetObjectItemCaseSensitive(manifest, "labels"), 1);
    rt_cfg c = rt_cfg_begin(copy, "manifest.labels");
    *s = (rt_labels_spec){.first = rt_cfg_u64(&c, "first_row", 0), .rows = rt_cfg_u64(&c, "rows", 0)};
    rt_status st = rt_cfg_has(&c, "heads") ? rt_heads_from_json(head, heads, rt_cfg_any(&c, "heads"), of,
                                                                "manifest.labels.heads") : RT_OK;
    s->heads = *heads;
    s->head = *heads ? head : NULL;
    s->feature = feature;
    if (!st) {
        s->classes = *heads ? rt_heads_width(head, *heads) : rt_cfg_int(&c, "classes", 0, 1, 1 << 20);
        int how = rt_cfg_choice(&c, "coding", coding, 0);
        s->hard = how == 2;
        if (how == 1) {
            int most = s->classes < RT_LABEL_TOPK ? s->classes : RT_LABEL_TOPK;
            s->topk = rt_cfg_int(&c, "topk", 0, 1, most > 0 ? most : 1);
        }
        s->type = s->hard ? RT_F32 : type_of[rt_cfg_choice(&c, "type", types, 0)];
        s->columns = read_columns(&c);
        read_features(&c, s, feature);
        read_views(&c, s);
        if (s->hard && ~s->columns & (RT_COLUMN_HARD | RT_COLUMN_CONFIDENCE))
            rt_cfg_fail(&c, "columns", "lack \"hard\" or \"confidence\", without which hard labels are none");
        for (int i = 0; i < *heads && s->hard; i++)
            if (head[i].task != RT_TASK_CLASSES) rt_cfg_fail(&c, "coding", "hard is for heads of classes alone");
        st = c.status ? rt_fail_in(RT_INPUT, "%s", of) : RT_OK;
    }
    cJSON_Delete(copy);
    const cJSON *views = cJSON_GetObjectItemCaseSensitive(cJSON_GetObjectItemCaseSensitive(manifest, "labels"),
                                                          "views");
    s->views.how.input = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(views, "input"));
    return st;
}

/* ---- the configuration ---- */

void rt_labels_spec_config(rt_cfg *l, rt_labels_spec *s)
{
    static const char *const types[] = {"f32", "f16", "q8", NULL}, *const keep[] = {"logits", "hard", NULL};
    static const rt_dtype type_of[] = {RT_F32, RT_F16, RT_U8};
    s->hard = rt_cfg_choice(l, "keep", keep, 0);
    if (s->hard) {
        rt_cfg_refuse(l, "type", "is of logits, and labels.keep=hard keeps none");
        rt_cfg_refuse(l, "topk", "is of logits, and labels.keep=hard keeps none");
        s->type = RT_F32;
    } else {
        s->type = type_of[rt_cfg_choice(l, "type", types, 0)];
        s->topk = rt_cfg_int(l, "topk", 0, 0, RT_LABEL_TOPK);
    }
    s->columns = read_columns(l) | (s->hard ? RT_COLUMN_HARD | RT_COLUMN_CONFIDENCE : 0);
}

/* A block's answers, and its bytes, are in memory at once. */
static rt_status check_room(const rt_labels_spec *s)
{
    const double most = 1 << 30;
    double width = s->classes, bytes;
    for (int i = 0; i < s->features; i++) width += s->feature[i].width;
    bytes = (1 + (double)s->views.count) * RT_LABEL_BLOCK * width * sizeof(float);
    if (!s->views.count || bytes <= most) return RT_OK;
    return rt_fail(RT_USAGE, "label.views: %d views of %.0f numbers a row are %.0f MiB for a block of %d rows, and at "
                   "most 1024 are taken; give at most %.0f", s->views.count, width, bytes / (1 << 20), RT_LABEL_BLOCK,
                   fmax(0, floor(most / (RT_LABEL_BLOCK * width * sizeof(float)) - 1)));
}

rt_status rt_labels_spec_check(const rt_labels_spec *s, const rt_head *head, int heads)
{
    int most = 0, others = 0, at = 0;
    for (int h = 0; h < heads; h++) {
        if (head[h].task == RT_TASK_CLASSES && head[h].size > most) most = head[h].size;
        if (head[h].task != RT_TASK_CLASSES) others++, at = h;
    }
    if (s->topk && !most)
        return rt_fail(RT_USAGE, "labels.topk: is for heads of classes, and the teacher has none; leave it out");
    if (s->topk && s->topk >= most)
        return rt_fail(RT_USAGE, "labels.topk: %d of %d classes; leave it out for full logits", s->topk, most);
    if (s->hard && others)
        return rt_fail(RT_USAGE, "labels.keep: hard labels are of heads of classes, and head '%s' is of %s",
                       head[at].name, rt_task_name(head[at].task));
    if (s->columns && !most)
        return rt_fail(RT_USAGE, "labels.columns: are of heads of classes, and the teacher has none; leave them out");
    if (s->type == RT_U8 && others == heads && !most) {
        for (int h = 0; h < heads; h++) if (head[h].task == RT_TASK_MULTILABEL) return check_room(s);
        return rt_fail(RT_USAGE, "labels.type: q8 is of logits, and the teacher answers with numbers alone");
    }
    return check_room(s);
}
