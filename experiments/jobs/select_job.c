/* experiments/jobs/select_job.c - from predictions or a label store to a list of rows worth a label. */
#include "experiments/jobs/select_job.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data/label_features.h"
#include "data/labels.h"
#include "data/source.h"
#include "engine/rng.h"
#include "engine/text.h"
#include "experiments/eval/predictions.h"
#include "export/out_file.h"

enum { BLOCK = 1024, FEATURES_BITS = 34 /* features take 2^34 bytes at most */, LABELLED_BYTES = 1 << 30 };

typedef struct {
    const char *from;
    rt_select_by by;
    uint64_t n, seed;
    int pool;
    const char *features, *data, *labelled;            /* NULL: none */
} settings;

typedef struct { rt_row_key key; uint64_t at; } keyed;

typedef struct {
    const settings *q;
    rt_predictions *predictions;       /* or */
    rt_labels *labels;
    rt_source *data;
    rt_head head;                      /* borrowed */
    uint64_t rows;
    uint64_t *row;                     /* (rows) numbers in the data */
    char *id;                          /* (rows, id_width); NULL: not known */
    int id_width, id_owned;
    float *p, *h;
    int width;
    unsigned char *left_out, *labelled;
    uint64_t unanswered, known;
    keyed *key;                        /* (rows) */
    uint64_t *group;                   /* (rows); NULL: copies are not known */
    cJSON *notes;
} selection;

static void *room(uint64_t n, size_t size)
{ return n > SIZE_MAX / 4 / size ? NULL : malloc((size_t)n * size + 64); }

static rt_status no_memory(void) { return rt_fail(RT_RUN, "out of memory"); }

static void softmax(const float *z, int k, float *p)
{
    double sum = 0;
    float most = z[0];
    for (int c = 1; c < k; c++) if (z[c] > most) most = z[c];
    for (int c = 0; c < k; c++) sum += exp((double)z[c] - (double)most);
    for (int c = 0; c < k; c++) p[c] = (float)(exp((double)z[c] - (double)most) / sum);
}

/* ---- what is asked ---- */

static const char *some_file(rt_cfg *c, const char *key) { return rt_cfg_has(c, key) ? rt_cfg_file(c, key, "") : NULL; }

static rt_status read_settings(cJSON *config, settings *q)
{
    rt_cfg c = rt_cfg_begin(config, "");
    *q = (settings){.pool = 10, .seed = 1};
    q->from = rt_cfg_file(&c, "from", NULL);
    q->n = (uint64_t)rt_cfg_int(&c, "n", 0, 0, RT_SELECT_MOST);
    if (!q->n) rt_cfg_fail(&c, "n", "how many rows to choose is required, at least 1");
    q->by = (rt_select_by)rt_cfg_choice(&c, "by", rt_select_names, RT_SELECT_BADGE);
    int draws = q->by == RT_SELECT_K_CENTER || q->by == RT_SELECT_BADGE;
    if (draws) q->seed = rt_cfg_u64(&c, "seed", 1);
    else rt_cfg_refuse(&c, "seed", "does nothing where nothing is drawn: it belongs to k-center and badge");
    if (q->by == RT_SELECT_MIX) q->pool = rt_cfg_int(&c, "pool", 10, 1, 1 << 20);
    else rt_cfg_refuse(&c, "pool", "belongs to mix");
    q->features = some_file(&c, "features");
    if (q->features && !draws && q->by != RT_SELECT_MIX)
        rt_cfg_fail(&c, "features", "do nothing here: the choice is by probabilities alone");
    q->data = some_file(&c, "data");
    q->labelled = some_file(&c, "labelled");
    return rt_cfg_end(&c);
}

rt_status rt_select_check(cJSON *config)
{
    settings q;
    return read_settings(config, &q);
}

/* ---- answers ---- */

static rt_status only_head(const selection *s, const rt_head *head, int heads, rt_head *out)
{
    if (heads != 1 || head[0].task != RT_TASK_CLASSES || head[0].size < 2)
        return rt_fail(RT_USAGE, "%s: rows are chosen by one head of two or more classes, and this has another answer",
                       s->q->from);
    *out = head[0];
    return RT_OK;
}

static rt_status new_rows(selection *s)
{
    s->row = room(s->rows, sizeof *s->row);
    s->p = room(s->rows, (size_t)s->head.size * sizeof *s->p);
    s->left_out = calloc(s->rows + 1, 1);
    s->labelled = calloc(s->rows + 1, 1);
    return s->row && s->p && s->left_out && s->labelled ? RT_OK : no_memory();
}

static rt_status take_predictions(selection *s)
{
    rt_predictions *p;
    RT_TRY(rt_predictions_read(&s->predictions, s->q->from));
    p = s->predictions;
    RT_TRY(only_head(s, p->head, p->heads, &s->head));
    if (p->of[0].top)
        return rt_fail(RT_USAGE, "%s: keeps the %d largest logits of a row alone; predict without topk", s->q->from,
                       p->of[0].kept);
    s->rows = p->rows;
    RT_TRY(new_rows(s));
    memcpy(s->row, p->row, s->rows * sizeof *s->row);
    for (uint64_t i = 0; i < s->rows; i++) {
        size_t at = (size_t)i * (size_t)s->head.size;
        softmax(p->of[0].z + at, s->head.size, s->p + at);
    }
    s->id = p->id;
    s->id_width = p->id_width;
    return RT_OK;
}

static rt_status take_labels(selection *s)
{
    unsigned char status[BLOCK];
    uint64_t row[BLOCK];
    int heads;
    RT_TRY(rt_labels_open(&s->labels, s->q->from, 0));
    const rt_head *head = rt_labels_heads(s->labels, &heads);
    RT_TRY(only_head(s, head, heads, &s->head));
    const rt_labels_spec *spec = rt_labels_info(s->labels);
    size_t k = (size_t)s->head.size;
    if (spec->hard)
        return rt_fail(RT_USAGE, "%s: keeps hard labels and no labels/logits, by which rows are chosen; label again "
                       "without labels.keep=hard", s->q->from);
    s->rows = spec->rows;
    RT_TRY(new_rows(s));
    float *z = malloc(BLOCK * k * sizeof *z);
    rt_status st = z ? RT_OK : no_memory();
    for (uint64_t at = 0; at < s->rows && !st; at += BLOCK) {
        int n = s->rows - at < BLOCK ? (int)(s->rows - at) : BLOCK, there = 0;
        for (int i = 0; i < n; i++) s->row[at + (uint64_t)i] = spec->first + at + (uint64_t)i;
        st = rt_labels_status(s->labels, s->row + at, n, status);
        for (int i = 0; i < n && !st; i++) {
            if (status[i] == RT_LABEL_BY_HAND) s->labelled[at + (uint64_t)i] = 1, s->known++;
            if (rt_label_is_there(status[i])) row[there++] = s->row[at + (uint64_t)i];
            else s->left_out[at + (uint64_t)i] = 1, s->unanswered++;
        }
        if (!st && there) st = rt_labels_read(s->labels, row, there, z);
        for (int i = 0; i < there && !st; i++) softmax(z + (size_t)i * k, (int)k, s->p + (row[i] - spec->first) * k);
        if (!st) st = rt_check_stop();
    }
    free(z);
    return st;
}

/* ---- other files ---- */

enum { PATH_ROOM = 1100 };

/* "FILE.h5[:SET]" */
static rt_status split(const char *said, char path[PATH_ROOM], const char **set)
{
    int whole;
    const char *colon = strrchr(said, ':');
    RT_TRY(rt_file_there(said, &whole));
    size_t n = colon && !whole ? (size_t)(colon - said) : strlen(said);
    if (n >= PATH_ROOM) return rt_fail(RT_USAGE, "%.60s...: the path is too long", said);
    snprintf(path, PATH_ROOM, "%.*s", (int)n, said);
    *set = said[n] ? colon + 1 : "x";
    return RT_OK;
}

static rt_status open_set(rt_source **out, const char *said)
{
    const char *set = NULL;
    char path[PATH_ROOM];
    RT_TRY(split(said, path, &set));
    return rt_source_open(out, path, set);
}

static rt_status has_rows(const selection *s, const rt_source *f, const char *what)
{
    for (uint64_t i = 0; i < s->rows; i++)
        if (s->row[i] >= rt_source_rows(f))
            return rt_fail(RT_INPUT, "%s: '%s' has %" PRIu64 " rows, and %s has row %" PRIu64 "; %s are by the rows' "
                           "numbers in the data", rt_source_path(f), rt_source_info(f)->name, rt_source_rows(f),
                           s->q->from, s->row[i], what);
    return RT_OK;
}

static rt_status make_features(selection *s, const char *path, size_t width)
{
    if (width > INT32_MAX || s->rows > (UINT64_C(1) << FEATURES_BITS) / 4 / width)
        return rt_fail(RT_USAGE, "%s: features of %" PRIu64 " rows take more than 16 GiB; choose among fewer rows, or "
                       "by smaller features", path, s->rows);
    s->width = (int)width;
    s->h = room(s->rows, width * sizeof *s->h);
    return s->h ? RT_OK : no_memory();
}

/* Those that a label store keeps. */
static rt_status recall_features(selection *s, const rt_label_features *f, const char *path)
{
    RT_TRY(make_features(s, path, (size_t)f->width));
    for (uint64_t at = 0; at < s->rows; at += BLOCK) {
        int n = s->rows - at < BLOCK ? (int)(s->rows - at) : BLOCK;
        RT_TRY(rt_label_features_read(f, s->row + at, n, 1, s->h + at * (uint64_t)f->width));
        RT_TRY(rt_check_stop());
    }
    return RT_OK;
}

static rt_status fill_features(selection *s, rt_source *f)
{
    rt_dtype type = rt_source_type(f);
    size_t bytes = rt_source_row_bytes(f);
    if (type == RT_TEXT || rt_source_parts(f) > 1)
        return rt_fail(RT_INPUT, "%s: '%s' holds no numbers", rt_source_path(f), rt_source_info(f)->name);
    size_t width = bytes / rt_dtype_size(type);
    RT_TRY(make_features(s, rt_source_path(f), width));
    char *raw = room(BLOCK, bytes);
    rt_status st = raw ? RT_OK : no_memory();
    for (uint64_t at = 0; at < s->rows && !st; at += BLOCK) {
        int n = s->rows - at < BLOCK ? (int)(s->rows - at) : BLOCK;
        float *h = s->h + at * width;
        st = rt_source_read(f, s->row + at, n, raw);
        if (!st) rt_to_float(h, raw, type, (size_t)n * width);
        for (size_t i = 0; i < (size_t)n * width && !st; i++)
            if (!isfinite(h[i]))
                st = rt_fail(RT_INPUT, "%s: row %" PRIu64 " of '%s' contains NaN or infinity", rt_source_path(f),
                             s->row[at + i / width], rt_source_info(f)->name);
        if (!st) st = rt_check_stop();
    }
    free(raw);
    return st;
}

static rt_status take_features(selection *s)
{
    rt_select_by by = s->q->by;
    int needs = by == RT_SELECT_K_CENTER || by == RT_SELECT_BADGE || by == RT_SELECT_MIX;
    if (!needs || (!s->q->features && by == RT_SELECT_BADGE)) return RT_OK;
    if (!s->q->features) {
        s->width = s->head.size;
        s->h = room(s->rows, (size_t)s->width * sizeof *s->h);
        if (!s->h) return no_memory();
        for (uint64_t i = 0; i < s->rows * (uint64_t)s->width; i++)
            s->h[i] = s->left_out[i / (uint64_t)s->width] ? 0 : s->p[i];
        return RT_OK;
    }
    rt_source *f;
    rt_label_features kept;
    const char *set = NULL;
    char path[PATH_ROOM];
    RT_TRY(split(s->q->features, path, &set));
    rt_status st = rt_label_features_open(&kept, path, set);
    if (!st && kept.labels) st = recall_features(s, &kept, path);
    else if (!st && !(st = rt_source_open(&f, path, set))) {
        st = has_rows(s, f, "features");
        if (!st) st = fill_features(s, f);
        rt_source_close(f);
    }
    rt_label_features_close(&kept);
    return st;
}

/* ---- copies ---- */

/* The data whose rows are compared: that given, or that of the store where it is still there. */
static rt_status open_data(selection *s)
{
    if (s->q->data) RT_TRY(open_set(&s->data, s->q->data));
    else if (s->labels) {
        const cJSON *m = rt_labels_manifest(s->labels);
        const char *path = cJSON_GetStringValue(
            cJSON_GetObjectItemCaseSensitive(cJSON_GetObjectItemCaseSensitive(m, "paths"), "source"));
        const char *set = cJSON_GetStringValue(
            cJSON_GetObjectItemCaseSensitive(cJSON_GetObjectItemCaseSensitive(m, "source"), "dataset"));
        rt_status st = path && set ? rt_source_open(&s->data, path, set) : RT_OK;
        if (st == RT_RUN) return st;
        if (st) s->data = NULL;
    }
    if (!s->data) return RT_OK;
    RT_TRY(has_rows(s, s->data, "rows"));
    if (!s->labels) return RT_OK;
    rt_identity *id;
    RT_TRY(rt_identity_open(&id, s->data, RT_CHECK_KNOWN));
    rt_status st = rt_labels_check_source(s->labels, id, NULL, NULL);
    rt_identity_close(id);
    return st;
}

static rt_status hash_rows(selection *s)
{
    size_t bytes = rt_source_row_bytes(s->data);
    char *raw = room(BLOCK, bytes);
    if (!s->id) {
        s->id_width = (int)sizeof((rt_digest *)NULL)->hex - 1;
        s->id = room(s->rows, (size_t)s->id_width);
        s->id_owned = 1;
    }
    rt_status st = raw && s->id ? RT_OK : no_memory();
    for (uint64_t at = 0; at < s->rows && !st; at += BLOCK) {
        int n = s->rows - at < BLOCK ? (int)(s->rows - at) : BLOCK;
        st = rt_source_read(s->data, s->row + at, n, raw);
        for (int i = 0; i < n && !st; i++) {
            uint64_t r = at + (uint64_t)i;
            rt_digest d = rt_digest_of(raw + (size_t)i * bytes, bytes);
            char half[17] = "";
            if (s->id_owned) memcpy(s->id + r * (uint64_t)s->id_width, d.hex, (size_t)s->id_width);
            for (int w = 0; w < 2; w++) {
                memcpy(half, d.hex + 16 * w, 16);
                s->key[r].key.word[w] = strtoull(half, NULL, 16);
            }
        }
        if (!st) st = rt_check_stop();
    }
    free(raw);
    return st;
}

static int by_key(const void *a, const void *b)
{
    const keyed *x = a, *y = b;
    for (int i = 0; i < 2; i++)
        if (x->key.word[i] != y->key.word[i]) return x->key.word[i] < y->key.word[i] ? -1 : 1;
    return x->at < y->at ? -1 : x->at > y->at;
}

static rt_status find_copies(selection *s)
{
    RT_TRY(open_data(s));
    int hashes = s->predictions && !*s->predictions->id_from;
    if (!s->data && !hashes) {
        cJSON_AddItemToArray(s->notes, cJSON_CreateString("copies of a row are not known, and may be chosen beside it: "
                                                          "--data DATA.h5 tells what the rows are"));
        return RT_OK;
    }
    s->key = room(s->rows, sizeof *s->key);
    s->group = room(s->rows, sizeof *s->group);
    if (!s->key || !s->group) return no_memory();
    for (uint64_t i = 0; i < s->rows; i++) {
        s->key[i].at = i;
        if (hashes) s->key[i].key = s->predictions->key[i];
    }
    if (s->data) RT_TRY(hash_rows(s));
    qsort(s->key, s->rows, sizeof *s->key, by_key);
    for (uint64_t i = 0; i < s->rows; i++) {
        int same = i && !memcmp(&s->key[i].key, &s->key[i - 1].key, sizeof s->key[i].key);
        s->group[s->key[i].at] = same ? s->group[s->key[i - 1].at] : s->key[i].at;
    }
    return RT_OK;
}

/* ---- rows that have a label ---- */

typedef struct { uint64_t row, at; } placed;

static int by_row(const void *a, const void *b)
{
    uint64_t x = ((const placed *)a)->row, y = ((const placed *)b)->row;
    return x < y ? -1 : x > y;
}

static rt_status mark_line(selection *s, const placed *place, const char *line, uint64_t number)
{
    char *end;
    const char *path = s->q->labelled;
    size_t digits = strspn(line, "0123456789");
    if (!digits || digits > 19 || !strchr(",;\t\r\n", line[digits]))        /* strchr finds the zero at the end, too */
        return number == 1 ? RT_OK : rt_fail(RT_INPUT, "%s: line %" PRIu64 ": a row's number is expected in the first "
                                             "column", path, number);
    placed want = {.row = strtoull(line, &end, 10)};
    const placed *found = bsearch(&want, place, s->rows, sizeof *place, by_row);
    if (!found)
        return rt_fail(RT_INPUT, "%s: line %" PRIu64 ": %s has no row %" PRIu64, path, number, s->q->from, want.row);
    s->known += !s->labelled[found->at];
    s->labelled[found->at] = 1;
    return RT_OK;
}

static rt_status take_labelled(selection *s)
{
    char *text;
    size_t n;
    if (!s->q->labelled) return RT_OK;
    RT_TRY(rt_read_file(&text, &n, s->q->labelled, LABELLED_BYTES));
    placed *place = room(s->rows, sizeof *place);
    rt_status st = place ? RT_OK : no_memory();
    for (uint64_t i = 0; i < s->rows && !st; i++) place[i] = (placed){s->row[i], i};
    if (!st) qsort(place, s->rows, sizeof *place, by_row);
    uint64_t number = 1;
    for (char *line = text; *line && !st; number++) {
        size_t length = strcspn(line, "\n");
        int last = !line[length];
        line[length] = 0;
        if (*line && *line != '\r') st = mark_line(s, place, line, number);
        line += length + !last;
    }
    free(place);
    free(text);
    return st;
}

/* ---- the list ---- */

static void put_best_two(const selection *s, uint64_t at, rt_string *why)
{
    char number[16];
    const float *p = s->p + at * (uint64_t)s->head.size;
    int first = 0, second = -1;
    for (int c = 1; c < s->head.size; c++) if (p[c] > p[first]) first = c;
    for (int c = 0; c < s->head.size; c++) if (c != first && (second < 0 || p[c] > p[second])) second = c;
    rt_put_plain(why, rt_names_at(&s->head.names, first, number));
    rt_put(why, " %.3f or ", (double)p[first]);
    rt_put_plain(why, rt_names_at(&s->head.names, second, number));
    rt_put(why, " %.3f", (double)p[second]);
}

static void put_why(const selection *s, const rt_selected *one, rt_string *why)
{
    rt_select_by by = s->q->by;
    int near = one->near != RT_NO_NEAR;
    if (by != RT_SELECT_K_CENTER && by != RT_SELECT_BADGE) put_best_two(s, one->row, why);
    if (by == RT_SELECT_MIX) rt_put(why, near ? ", " : ", the least sure");
    if (near) rt_put(why, "%sfar from row %" PRIu64, by == RT_SELECT_BADGE ? "gradient " : "", s->row[one->near]);
    else if (by == RT_SELECT_BADGE) rt_put(why, "longest gradient");
    else if (by == RT_SELECT_K_CENTER) rt_put(why, "first, by the seed");
}

static rt_status write_list(const selection *s, const rt_selected *list, rt_output *out)
{
    rt_out_file f = rt_out_open(out);
    static const char head[] = "row,id,score,why\n";
    rt_string line = {0}, text = {0};
    rt_out_put(&f, head, sizeof head - 1);
    for (uint64_t i = 0; i < s->q->n; i++) {
        const rt_selected *one = &list[i];
        line.n = text.n = 0;
        rt_put(&line, "%" PRIu64 ",", s->row[one->row]);
        rt_put(&text, "%.*s", s->id ? s->id_width : 0, s->id ? s->id + one->row * (uint64_t)s->id_width : "");
        if (text.n) rt_put_csv(&line, text.p);
        rt_put(&line, ",%.9g,", one->score);
        text.n = 0;
        put_why(s, one, &text);
        rt_put_csv(&line, text.p);
        rt_put(&line, "\n");
        if (line.failed || text.failed) break;
        rt_out_put(&f, line.p, line.n);
    }
    rt_status st = rt_out_close(&f, line.failed || text.failed ? no_memory() : RT_OK);
    free(line.p);
    free(text.p);
    return st;
}

static rt_status choose(selection *s, rt_selected *list)
{
    const settings *q = s->q;
    double *draw = room(q->n, sizeof *draw);
    if (!draw) return no_memory();
    for (uint64_t i = 0; i < q->n; i++) {
        uint32_t w[4];
        rt_random4(w, q->seed, RT_RNG_SELECT, 0, 0, (uint32_t)i, 0);
        draw[i] = (double)(((uint64_t)w[0] << 21) ^ (w[1] >> 11)) * 0x1p-53;
    }
    rt_select_spec spec = {.by = q->by, .rows = s->rows, .n = q->n, .classes = s->head.size, .width = s->width,
                           .p = s->p, .h = s->h, .group = s->group, .labelled = s->labelled, .left_out = s->left_out,
                           .draw = draw, .pool = q->pool, .stop = rt_stopped};
    rt_status st = rt_select(list, &spec);
    free(draw);
    return st;
}

static void tell(const selection *s, const rt_target *out, cJSON *j)
{
    uint64_t copies = 0;
    for (uint64_t i = 0; i < s->rows && s->group; i++) copies += s->group[i] != i;
    cJSON_AddStringToObject(j, "file", out->path);
    cJSON_AddStringToObject(j, "by", rt_select_names[s->q->by]);
    cJSON_AddNumberToObject(j, "rows", (double)s->rows);
    cJSON_AddNumberToObject(j, "selected", (double)s->q->n);
    cJSON_AddNumberToObject(j, "rows_labelled", (double)s->known);
    cJSON_AddNumberToObject(j, "rows_without_answer", (double)s->unanswered);
    if (s->group) cJSON_AddNumberToObject(j, "rows_that_are_copies", (double)copies);
    if (s->notes->child) cJSON_AddItemToObject(j, "notes", cJSON_Duplicate(s->notes, 1));
}

static rt_status read_all(selection *s)
{
    int predicted;
    RT_TRY(rt_predictions_is(s->q->from, &predicted));
    RT_TRY(predicted ? take_predictions(s) : take_labels(s));
    if (s->q->n > s->rows)
        return rt_fail(RT_USAGE, "n %" PRIu64 ": %s has %" PRIu64 " rows", s->q->n, s->q->from, s->rows);
    RT_TRY(take_features(s));
    RT_TRY(find_copies(s));
    return take_labelled(s);
}

rt_status rt_select_rows(cJSON *config, const rt_target *target, cJSON **result)
{
    settings asked, *q = &asked;
    *result = NULL;
    RT_TRY(read_settings(config, q));
    const char *inputs[] = {q->from, q->features ? q->features : "", q->data ? q->data : "",
                            q->labelled ? q->labelled : "", NULL};
    selection s = {.q = q, .notes = cJSON_CreateArray()};
    rt_output *out = NULL;
    rt_selected *list = room(q->n, sizeof *list);
    rt_status st = list ? rt_output_take(&out, target, inputs) : no_memory();
    if (!st) st = rt_output_may_replace(out, RT_OUTPUT_EXPORT);
    if (!st) st = read_all(&s);
    if (!st) st = choose(&s, list);
    if (!st) st = write_list(&s, list, out);
    if (!st) tell(&s, target, *result = cJSON_CreateObject());
    rt_output_end(out);
    rt_source_close(s.data);
    if (s.id_owned) free(s.id);
    rt_predictions_free(s.predictions);
    rt_labels_close(s.labels);
    void *owned[] = {list, s.row, s.p, s.h, s.left_out, s.labelled, s.key, s.group};
    for (size_t i = 0; i < sizeof owned / sizeof owned[0]; i++) free(owned[i]);
    cJSON_Delete(s.notes);
    return st;
}
