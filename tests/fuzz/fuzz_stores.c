/* Files of our own format, forged: whatever their texts say, with arrays and checksums that hold as far as they can. An
 * input is a JSON text, up to a zero byte, and then bytes for the arrays and for what they should be like. */
#include <fcntl.h>
#include <sys/stat.h>

#include "data/h5.h"
#include "data/identity_cache.h"
#include "data/labels_parts.h"
#include "data/names.h"
#include "experiments/eval/comparison.h"
#include "student/predictor.h"
#include "tests/fuzz/fuzz.h"
#include "train/checkpoint.h"

enum { MOST_FLOATS = 1 << 14, MOST_SETS = 128 };

typedef struct { char *text; const uint8_t *rest; size_t bytes; } parts;

static parts split(const uint8_t *data, size_t size)
{
    const uint8_t *zero = memchr(data, 0, size);
    size_t n = zero ? (size_t)(zero - data) : size;
    parts p = {malloc(n + 1), zero ? zero + 1 : NULL, zero ? size - n - 1 : 0};
    if (!p.text) abort();
    memcpy(p.text, data, n);
    p.text[n] = 0;
    return p;
}

/* The next byte of the rest, zeros behind it. */
static unsigned next(parts *p)
{
    if (!p->bytes) return 0;
    p->bytes--;
    return *p->rest++;
}

static void fill(parts *p, void *to, size_t n)
{
    size_t k = n < p->bytes ? n : p->bytes;
    memset(to, 0, n);
    if (!k) return;
    memcpy(to, p->rest, k);
    p->rest += k;
    p->bytes -= k;
}

/* The file holds the bytes of the sets alone; where they lie, and what they are, a scan is told without HDF5: writing
 * metadata and asking another process for it takes a hundred times what the readers here do ("h5" and "plan" are the
 * targets for that). The sets are those of the last file that was saved. */
static struct { char path[128]; rt_h5_dataset set[MOST_SETS + 8]; int sets; } laid;

static void save(const char *path, const rt_h5_item *it, int n)
{
    static const char zeros[64];
    uint64_t end = 0;
    FILE *f = fopen(path, "wb");
    if (!f) abort();
    snprintf(laid.path, sizeof laid.path, "%s", path);
    laid.sets = n;
    for (int i = 0; i < n; i++) {
        rt_h5_dataset *d = &laid.set[i];
        uint64_t element = it[i].type == RT_TEXT ? it[i].element + !it[i].element : rt_dtype_size(it[i].type);
        uint64_t bytes = element;
        *d = (rt_h5_dataset){.type = it[i].type, .element = (uint32_t)element, .rank = it[i].rank, .offset = end};
        snprintf(d->name, sizeof d->name, "%s", it[i].name);
        for (int k = 0; k < d->rank; k++) bytes *= d->dim[k] = it[i].dim[k];
        if (fwrite(it[i].data, 1, bytes, f) != bytes || !fwrite(zeros, 64 - bytes % 64, 1, f)) abort();
        end += bytes + 64 - bytes % 64;
    }
    if (fclose(f)) abort();
}

rt_status __real_rt_h5_scan(rt_h5_file **out, const char *path);
rt_status __wrap_rt_h5_scan(rt_h5_file **out, const char *path);
rt_status __wrap_rt_h5_scan(rt_h5_file **out, const char *path)
{
    struct stat s;
    if (strcmp(path, laid.path)) return __real_rt_h5_scan(out, path);
    rt_h5_file *f = *out = calloc(1, sizeof *f);
    rt_h5_dataset *set = malloc(sizeof laid.set);
    if (!f || !set) abort();
    *f = (rt_h5_file){.fd = open(path, O_RDONLY | O_CLOEXEC), .set = set, .sets = laid.sets, .users = 1};
    if (f->fd < 0 || fstat(f->fd, &s)) abort();
    f->size = (uint64_t)s.st_size;
    snprintf(f->path, sizeof f->path, "%s", path);
    memcpy(set, laid.set, sizeof laid.set);
    return RT_OK;
}

static rt_h5_item text_item(const char *text)
{
    return (rt_h5_item){.name = "manifest", .type = RT_TEXT, .element = (uint32_t)strlen(text), .data = text};
}

/* ---- model ---- */

/* Of quantizers: steps of 1, ranges from -1 to 1. */
static float *values_of(const rt_field *f, float *zeros)
{
    static float ones[MOST_FLOATS], range[16] = {-1, 1};
    for (int i = 0; i < MOST_FLOATS && ones[0] == 0; i++) ones[MOST_FLOATS - 1 - i] = 1;
    if (!(f->flags & RT_F_QUANTIZER)) return zeros;
    return f->home == RT_PARAM ? ones : strstr(f->name, ".range") ? range : zeros;
}

/* Gives the model, whose memory is taken anew, the quantizers that its manifest tells. */
static void give_quantizers(rt_model *m, const cJSON *told)
{
    if (!told || fuzz_refused(rt_quantizers_from_json(m, told, "manifest"))) return;
    free(m->params);
    free(m->states);
    m->params = rt_floats_new(m->graph->floats[RT_PARAM]);
    m->states = rt_floats_new(m->graph->floats[RT_STATE]);
    if (!m->params || !m->states) abort();
}

/* Sets of an architecture, one of them left out or of another shape when the rest says so. */
static int fields(parts *p, const rt_graph *g, rt_h5_item *it, char (*name)[RT_H5_NAME], float *base)
{
    int n = 0, odd = (int)next(p), all = g->fields;
    for (int i = 0; i < all && n + 1 < MOST_SETS; i++) {
        const rt_field *f = &g->field[i];
        if (odd == i + 1) continue;
        snprintf(name[n], RT_H5_NAME, "%s/%s", f->home == RT_PARAM ? "params" : "state", f->name);
        it[n] =
            (rt_h5_item){.name = name[n], .type = odd == 64 + i ? RT_F64 : RT_F32, .rank = f->shape.rank,
                             .data = values_of(f, base)};
        for (int k = 0; k < f->shape.rank; k++) it[n].dim[k] = (uint64_t)f->shape.dim[k];
        if (odd == 128 + i) it[n].dim[0]++;
        n++;
    }
    return n;
}

static void use_model(const rt_model *m)
{
    rt_predictor *p = NULL;
    rt_model *models[] = {(rt_model *)m};
    size_t in = 0;
    for (int i = 0; i < m->inputs; i++) if (m->input[i].size > in) in = m->input[i].size;
    if (in > MOST_FLOATS || rt_graph_macs(m->graph) > 1e7) return;
    rt_device *device = rt_device_cpu(1);
    float *x = calloc(in, sizeof *x), *z = calloc((size_t)rt_model_width(m), sizeof *z);
    if (device && x && z && !fuzz_refused(rt_predictor_new(&p, models, 1, device, 1, NULL, 0)))
        rt_predict(p, &(rt_feed){.raw = x, .rows = 1}, z);
    rt_predictor_free(p);
    rt_device_close(device);
    free(x);
    free(z);
}

static void model(const uint8_t *data, size_t size)
{
    static char name[MOST_SETS][RT_H5_NAME];
    static float base[4 * MOST_FLOATS];
    rt_h5_item it[MOST_SETS + 1];
    parts p = split(data, size);
    cJSON *j = cJSON_Parse(p.text);
    rt_model *m = NULL, *loaded = NULL;
    char *text = strdup(p.text), zeros[] = "00000000000000000000000000000000";
    int n = 0;
    if (cJSON_IsObject(j) && !rt_model_new(&m, cJSON_GetObjectItemCaseSensitive(j, "arch"), 0) &&
        m->graph->floats[RT_PARAM] + m->graph->floats[RT_STATE] < MOST_FLOATS) {
        give_quantizers(m, cJSON_GetObjectItemCaseSensitive(j, "quantization"));
        n = fields(&p, m->graph, it, name, base);
        for (int i = 0; i < m->graph->fields; i++)
            memcpy(rt_model_field(m, i), values_of(&m->graph->field[i], base),
                   m->graph->field[i].count * sizeof(float));
        cJSON *whole = cJSON_CreateObject();
        const char *kind = cJSON_HasObjectItem(j, "quantization") ? "retort-model-5" : "retort-model-2";
        cJSON_AddStringToObject(whole, "format", kind);
        cJSON_AddStringToObject(whole, "manifest_digest", zeros);
        cJSON_AddStringToObject(whole, "digest", rt_model_digest(m).hex);
        for (const cJSON *c = j->child; c; c = c->next)
            if (!cJSON_GetObjectItemCaseSensitive(whole, c->string))
                cJSON_AddItemToObject(whole, c->string, cJSON_Duplicate(c, 1));
        free(text);
        text = cJSON_Print(whole);
        char *at = strstr(text, zeros);
        memcpy(at, rt_digest_of(text, strlen(text)).hex, 32);
        cJSON_Delete(whole);
    }
    it[n] = text_item(text);
    save(fuzz_in, it, n + 1);
    if (!fuzz_refused(rt_model_load(&loaded, fuzz_in))) {
        use_model(loaded);
        rt_model_free(loaded);
    }
    rt_model_free(m);
    cJSON_Delete(j);
    free(text);
    free(p.text);
}

/* ---- label store ---- */

static void use_labels(rt_labels *l)
{
    rt_digest d;
    rt_labels_summary s;
    rt_rows rows = rt_rows_between(rt_labels_info(l)->first, rt_labels_info(l)->first + rt_labels_info(l)->rows);
    uint64_t row = rt_labels_info(l)->first, removed;
    unsigned char status;
    float *z = calloc((size_t)rt_labels_info(l)->classes, sizeof *z);
    if (!z) abort();
    fuzz_refused(rt_labels_read(l, &row, 1, z));
    for (int v = 0; v <= rt_labels_info(l)->views.count && v < 4; v++)
        if (!fuzz_refused(rt_labels_read_view(l, v, &row, 1, z)) && v == rt_labels_info(l)->views.count) abort();
    fuzz_refused(rt_labels_status(l, &row, 1, &status));
    fuzz_refused(rt_labels_verify(l));
    int heads;
    const rt_head *head = rt_labels_heads(l, &heads);
    rt_label_facts fact = {0};
    float feature[2];
    double worst[2];
    for (int h = 0; h < heads; h++) {
        if (head[h].task == RT_TASK_CLASSES &&
            !fuzz_refused(rt_labels_read_columns(l, h, RT_LABEL_NO_VIEW, &row, 1, &fact)) &&
            (fact.best < 0 || fact.best >= head[h].size))
            abort();
        fuzz_refused(rt_labels_code_error(l, h, worst));
    }
    if (rt_labels_find_feature(l, "f") == 0 && rt_labels_info(l)->feature[0].width <= 2)
        fuzz_refused(rt_labels_read_feature(l, 0, RT_LABEL_NO_VIEW, &row, 1, feature));
    if (!fuzz_refused(rt_labels_summarize(l, &s)) && rt_labels_complete(l))
        cJSON_Delete(rt_labels_class_counts(&s, head, heads));
    fuzz_refused(rt_labels_digest(l, &d));
    fuzz_refused(rt_labels_remove_bad(l, &rows, &removed));
    rt_rows_free(&rows);
    free(z);
}

/* The manifest, with what it tells of labels by hand where the file has some, and their true digest. */
static char *tell_hand(const char *text, const uint64_t *row, const int32_t *label, const unsigned char *of,
                       uint64_t count)
{
    cJSON *j = count ? cJSON_Parse(text) : NULL;
    rt_label_hand hand = {(uint64_t *)(uintptr_t)row, (int32_t *)(uintptr_t)label, (unsigned char *)(uintptr_t)of,
                          count};
    if (cJSON_IsObject(j)) rt_label_hand_tell(&hand, j);
    char *told = cJSON_IsObject(j) ? cJSON_Print(j) : strdup(text);
    cJSON_Delete(j);
    if (!told) abort();
    return told;
}

/* Of few rows and classes, in the coding and size that the rest tells; its CRCs hold. */
static void labels(const uint8_t *data, size_t size)
{
    parts p = split(data, size);
    uint64_t rows = 1 + next(&p) % 4, classes = 1 + next(&p) % 4, topk = next(&p) % 3, status_count[RT_LABEL_STATUSES];
    uint64_t class_count[8], spans = 1 + next(&p) % 2;
    unsigned form = next(&p);
    rt_labels_spec spec = {
        .rows = rows, .classes = (int)classes, .topk = (int)topk, .type = form & 1 ? RT_F16 : RT_F32};
    static const rt_label_feature feature[] = {{"f", 2, RT_F16}};
    rt_head heads[RT_MAX_HEADS];
    int count = 0;
    uint64_t by_hand = form & 32 ? 1 + next(&p) % 2 : 0;
    if (form & 4) spec.topk = form & 128 ? (int)topk : 0, spec.type = RT_U8;
    if (form & 128) spec.views.count = 2;
    if (form & 8) spec.columns = 15;
    if (form & 16) spec.hard = 1, spec.topk = 0, spec.columns |= 3;
    if (form & 64) spec.feature = feature, spec.features = 1;
    if (form & 2) {
        if (rt_heads_add(heads, &count, "k", RT_TASK_CLASSES, (int)classes) ||
            rt_heads_add(heads, &count, "t", RT_TASK_MULTILABEL, 2) ||
            rt_heads_add(heads, &count, "p", RT_TASK_REAL, 1))
            abort();
        spec.head = heads;
        spec.heads = count;
        spec.classes = rt_heads_width(heads, count);
        classes = (uint64_t)spec.classes;
    }
    rt_label_column col[RT_LABEL_COLUMNS];
    rt_h5_item it[RT_LABEL_COLUMNS + 11];
    static unsigned char bytes[RT_LABEL_COLUMNS][256], leaves[2 * 16];
    unsigned char complete = (unsigned char)(next(&p) & 1);
    double confidence = 0.5;
    uint32_t crc = 0, head;
    int n = rt_label_columns(&spec, col);
    fill(&p, leaves, sizeof leaves);
    fill(&p, status_count, sizeof status_count);
    fill(&p, class_count, sizeof class_count);
    for (int i = 0; i < n; i++) {
        size_t all = rt_label_part_bytes(&col[i], rows);
        fill(&p, bytes[i], all);
        crc = rt_crc32c(crc, bytes[i], all);
        it[i] = (rt_h5_item){.name = col[i].name, .type = col[i].type, .rank = col[i].flat ? 1 : 2,
                             .dim = {rt_label_column_entries(&col[i], &spec), col[i].width}, .data = bytes[i]};
        if (col[i].planes) it[i].dim[0] = 2, it[i].dim[1] = rows, it[i].dim[2] = col[i].width, it[i].rank++;
    }
    it[n++] = (rt_h5_item){.name = "source/leaves", .type = RT_U8, .rank = 2, .dim = {spans, 16}, .data = leaves};
    it[n++] = (rt_h5_item){.name = "labels/status_count", .type = RT_U64, .rank = 1, .dim = {8}, .data = status_count};
    it[n++] =
        (rt_h5_item){.name = "labels/class_count", .type = RT_U64, .rank = 1, .dim = {classes}, .data = class_count};
    it[n++] = (rt_h5_item){.name = "labels/block_crc32c", .type = RT_U32, .rank = 1, .dim = {1}, .data = &crc};
    it[n++] =
        (rt_h5_item){.name = "labels/confidence_mean", .type = RT_F64, .rank = 1, .dim = {1}, .data = &confidence};
    it[n++] = (rt_h5_item){.name = "labels/head_crc32c", .type = RT_U32, .rank = 1, .dim = {1}, .data = &head};
    it[n++] = (rt_h5_item){.name = "labels/complete", .type = RT_U8, .rank = 1, .dim = {1}, .data = &complete};
    uint64_t hand_row[2];
    int32_t hand_label[2];
    unsigned char hand_head[2];
    fill(&p, hand_head, sizeof hand_head);
    fill(&p, hand_row, sizeof hand_row);
    fill(&p, hand_label, sizeof hand_label);
    char *text = tell_hand(p.text, hand_row, hand_label, hand_head, by_hand);
    head = rt_crc32c(0, text, strlen(text));
    head = rt_crc32c(head, leaves, 16 * spans);
    head = rt_crc32c(head, status_count, sizeof status_count);
    head = rt_crc32c(head, class_count, 8 * classes);
    head = rt_crc32c(head, &confidence, 8);
    head = rt_crc32c(head, &crc, 4);
    it[n++] = text_item(text);
    if (by_hand) {
        it[n++] = (rt_h5_item){.name = "hand/row", .type = RT_U64, .rank = 1, .dim = {by_hand}, .data = hand_row};
        it[n++] = (rt_h5_item){.name = "hand/label", .type = RT_I32, .rank = 1, .dim = {by_hand}, .data = hand_label};
        if (form & 2)
            it[n++] = (rt_h5_item){.name = "hand/head", .type = RT_U8, .rank = 1, .dim = {by_hand}, .data = hand_head};
    }
    save(fuzz_in, it, n);
    rt_heads_free(heads, count);
    free(text);
    rt_labels *l = NULL;
    if (!fuzz_refused(rt_labels_open(&l, fuzz_in, 1))) {
        use_labels(l);
        rt_labels_close(l);
    }
    free(p.text);
}

static void journal(const uint8_t *data, size_t size)
{
    enum { BLOCKS = 100 };
    uint32_t crc[BLOCKS], stored[BLOCKS] = {0};      /* zeros: summary lines may hold */
    unsigned char named[BLOCKS] = {0}, taken[BLOCKS] = {0};
    rt_label_named all = {.blocks = BLOCKS, .stored = stored, .crc = crc, .named = named, .taken = taken};
    fuzz_put(fuzz_in, data, size);
    if (fuzz_refused(rt_label_read_journal(fuzz_in, &all))) return;
    if (strlen(all.failed) >= sizeof all.failed) abort();
    for (int i = 0; i < BLOCKS; i++) if (named[i] > 1 || taken[i] > 1) abort();
}

/* ---- checkpoint ---- */

/* The text is the checkpoint's state; or, with an odd first byte behind it, the list of checkpoints. */
static void checkpoint(const uint8_t *data, size_t size)
{
    parts p = split(data, size);
    char path[128], text[300];
    float kept[8], m[4], v[4];                       /* kept: of doubles, too */
    cJSON *state = NULL;
    static char file[1 << 18];
    rt_digest d;
    int of_list = (int)(next(&p) & 1);
    rt_h5_item it[] = {{.name = "params", .type = next(&p) % 5 ? RT_F32 : RT_F64, .rank = 1, .dim = {4}, .data = kept},
                       {.name = "m", .type = RT_F32, .rank = 1, .dim = {4}, .data = m}, {.name = ""}};
    if (!(next(&p) % 5)) it[1].dim[0] = 1 + next(&p) % 8 % 4;
    fill(&p, kept, sizeof kept);
    fill(&p, m, sizeof m);
    it[2] = text_item(p.text);
    snprintf(path, sizeof path, "%s/checkpoint-00000001.h5", fuzz_folder);
    save(path, it, 3);
    FILE *f = fopen(path, "rb");
    d = rt_digest_of(file, f ? fread(file, 1, sizeof file, f) : 0);
    if (f) fclose(f);
    snprintf(text, sizeof text,
             "{\"checkpoints\": [{\"file\": \"checkpoint-00000001.h5\", \"size\": 1, \"xxh128\": \"%s\"}]}", d.hex);
    snprintf(path, sizeof path, "%s/checkpoints.json", fuzz_folder);
    if (of_list) fuzz_put(path, p.text, strlen(p.text));
    else fuzz_put(path, text, strlen(text));
    rt_buffer b[] = {{"params", kept, 4}, {"m", m, 4}, {"v", v, 4}};
    fuzz_refused(rt_checkpoint_load(fuzz_folder, 0, &state, b, p.bytes ? 3 : 2));
    cJSON_Delete(state);
    free(p.text);
}

/* ---- predictions ---- */

/* Questions without resamples, of every head and every slice. */
static void use_predictions(void)
{
    static const char *const metric[] = {"accuracy", "auc", "recall", "nfr", "subset_accuracy"};
    const char *file = fuzz_in;
    rt_comparison *c;
    rt_teacher_spec side = rt_teacher_of_files(&file, 1);
    rt_comparison_spec spec = {.side = {&side, &side}};
    if (fuzz_refused(rt_comparison_open(&c, &spec))) return;
    int heads;
    const rt_head *head = rt_comparison_heads(c, &heads);
    for (int h = 0; h < heads; h++) {
        const char *const *column;
        int columns = rt_comparison_columns(c, h, &column), count;
        for (int i = 0; i < 5; i++) {
            rt_delta d;
            rt_question q = {.metric = rt_paired_metric_find(head[h].task, metric[i]),
                             .head = h,
                             .class = i == 2 ? 0 : -1,
                             .confidence = 0.95,
                             .alone = i % 2 == 0};
            if (q.metric && !fuzz_refused(rt_comparison_ask(c, &q, &d)) && !d.status && !(d.hi >= d.lo)) abort();
        }
        for (int i = 0; i < columns; i++) {
            const rt_slice *slice;
            fuzz_refused(rt_comparison_slices(c, h, column[i], &slice, &count));
        }
    }
    rt_comparison_close(c);
}

/* A set of bytes of the rest, in a name and a room of its own; odd == n: of one row more. */
typedef struct { rt_h5_item it[MOST_SETS]; char name[MOST_SETS][RT_H5_NAME]; void *room[MOST_SETS]; int n, odd; } sets;

static void *add_set(sets *s, parts *p, rt_dtype type, uint64_t rows, uint64_t width, const char *fmt, const char *name)
{
    if (s->n == MOST_SETS - 1) return NULL;
    uint64_t bytes = (type == RT_TEXT ? width : rt_dtype_size(type) * width) * (rows + 1);
    void *room = s->room[s->n] = calloc(1, bytes + 1);
    if (!room) abort();
    fill(p, room, bytes);
    snprintf(s->name[s->n], RT_H5_NAME, fmt, name);
    s->it[s->n] = (rt_h5_item){.name = s->name[s->n], .type = type, .rank = 1, .dim = {rows + (s->n == s->odd)},
                               .data = room};
    if (type == RT_TEXT) s->it[s->n].element = (uint32_t)width;
    else if (width > 1) s->it[s->n].dim[s->it[s->n].rank++] = width;
    s->n++;
    return room;
}

static void add_head(sets *s, parts *p, const rt_head *head, uint64_t rows, int topk)
{
    uint64_t size = (uint64_t)head->size, top = head->task == RT_TASK_CLASSES && topk > 0 && topk < head->size;
    add_set(s, p, RT_F32, rows, top ? (uint64_t)topk : size, "logits/%.60s", head->name);
    if (top) {
        add_set(s, p, RT_I32, rows, (uint64_t)topk, "classes/%.60s", head->name);
        add_set(s, p, RT_F32, rows, 1, "log_sum/%.60s", head->name);
    }
    rt_dtype type = head->task == RT_TASK_CLASSES ? RT_I32 : head->task == RT_TASK_REAL ? RT_F32 : RT_U8;
    if (next(p) % 4) add_set(s, p, type, rows, head->task == RT_TASK_CLASSES ? 1 : size, "truth/%.60s", head->name);
}

/* The text is the manifest; sets are as it says where that is little. */
static void predictions(const uint8_t *data, size_t size)
{
    enum { ROWS = 16, SIZE = 64 };
    static sets s;
    parts p = split(data, size);
    cJSON *j = cJSON_Parse(p.text), *q = cJSON_GetObjectItemCaseSensitive(j, "predictions");
    double said = cJSON_GetNumberValue(cJSON_GetObjectItemCaseSensitive(q, "rows")),
           topk = cJSON_GetNumberValue(cJSON_GetObjectItemCaseSensitive(q, "topk"));
    uint64_t rows = said >= 1 && said <= ROWS ? (uint64_t)said : 2;
    const cJSON *column = cJSON_GetObjectItemCaseSensitive(q, "slices");
    rt_head head[RT_MAX_HEADS] = {{0}};
    int heads = 0;
    memset(&s, 0, sizeof s);
    s.odd = (int)next(&p) - 1;
    add_set(&s, &p, RT_U64, rows, 1, "%s", "row");
    int hash = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(q, "id_is_hash"));
    char *id = add_set(&s, &p, RT_TEXT, rows, hash ? 32 : 4, "%s", "id");
    for (uint64_t i = 0; i < rows * 32 && hash; i++) id[i] = "0123456789abcdef"[id[i] & 15];
    if (!fuzz_refused(rt_heads_from_json(head, &heads, cJSON_GetObjectItemCaseSensitive(q, "heads"), "in", "heads")))
        for (int h = 0; h < heads; h++)
            if (head[h].size <= SIZE) add_head(&s, &p, &head[h], rows, topk >= 0 && topk < SIZE ? (int)topk : 0);
    rt_heads_free(head, heads);
    for (const cJSON *c = cJSON_IsArray(column) ? column->child : NULL; c; c = c->next) {
        const char *set = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(c, "set"));
        if (set) add_set(&s, &p, next(&p) & 1 ? RT_TEXT : RT_F64, rows, 1, "%.200s", set);
    }
    s.it[s.n] = text_item(p.text);
    save(fuzz_in, s.it, s.n + 1);
    use_predictions();
    for (int i = 0; i < s.n; i++) free(s.room[i]);
    cJSON_Delete(j);
    free(p.text);
}

/* ---- identity cache ---- */

static void identity(const uint8_t *data, size_t size)
{
    enum { SPANS = 8 };
    char path[128], end[32], head[200], key[] = "set x f32 100x4 16";
    rt_leaf leaf[SPANS];
    rt_leaf_key k = {.path = fuzz_in, .key = key, .stamp = {size, 1, 2, 3, 4}, .spans = SPANS};
    snprintf(path, sizeof path, "%s.retort-id", fuzz_in);
    int n = snprintf(head, sizeof head, "retort-id 1\nfile %zu 3 4 1 2\n", size);
    char *text = malloc((size_t)n + size + 1);
    if (!text) abort();
    memcpy(text, head, (size_t)n);
    memcpy(text + n, data, size);
    text[(size_t)n + size] = '\n';
    snprintf(end, sizeof end, "crc32c %08x\n", rt_crc32c(0, text, (size_t)n + size + 1));
    FILE *f = fopen(path, "wb");
    if (!f || fwrite(text, 1, (size_t)n + size + 1, f) != (size_t)n + size + 1 || fputs(end, f) < 0 || fclose(f))
        abort();
    fuzz_put(fuzz_in, "", 0);
    memset(leaf, 0, sizeof leaf);
    rt_leaves_load(&k, leaf);
    leaf[1].byte[0] = 1;
    rt_leaves_save(&k, leaf);
    rt_leaf again[SPANS] = {{{0}}};
    rt_leaves_load(&k, again);
    if (memcmp(leaf, again, sizeof leaf)) abort();
    unlink(path);
    fuzz_put(path, data, size);
    rt_leaves_load(&k, leaf);
    unlink(path);
    free(text);
}

const fuzz_target fuzz_of_stores[] = {{"model", model}, {"labels", labels}, {"journal", journal},
                                      {"checkpoint", checkpoint}, {"predictions", predictions},
                                      {"identity", identity}, {NULL, NULL}};
