#include "data/label_policy.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data/label_scan.h"
#include "engine/progress.h"
#include "engine/rng.h"

enum { CONFIDENCE, MARGIN, ENTROPY, MEASURES };
enum { DIGIT = 12, BINS = 1 << DIGIT, RANKS = 1 << 2 * DIGIT, PIECE = 1 << 20 };
enum { NO_BALANCE, EQUAL, PRIOR, SQUARE_ROOT };

static const char *const measures[MEASURES] = {"confidence", "margin", "entropy"};
static const unsigned column_of[MEASURES] = {RT_COLUMN_CONFIDENCE, RT_COLUMN_MARGIN, RT_COLUMN_ENTROPY};

struct rt_label_policy {
    cJSON *effective;
    char key[160];                     /* for messages: data.policy, or the file */
    const char *head;
    double temperature, low[MEASURES], high[MEASURES];
    int limits[MEASURES];              /* these are given */
    const cJSON *min, *quota;          /* by class, or NULL */
    double median_capped;              /* 0: none */
    uint64_t top;                      /* 0: none */
    int balance, random, allow_empty;
    int weighs, weight_classes;        /* "weights" is given; by class */
    double weight_power;               /* of the confidence; 0: none */
    uint64_t seed;
};

/* ---- the file ---- */

static void read_measure(rt_cfg *c, rt_label_policy *p, int m)
{
    const double most = m == ENTROPY ? 14 : 1;     /* log of RT_HEADS_WIDTH is 13.9 */
    p->low[m] = 0;
    p->high[m] = most;
    p->limits[m] = rt_cfg_any(c, measures[m]) != NULL;
    if (!p->limits[m]) return;
    rt_cfg o = rt_cfg_object(c, measures[m]);
    if (!o.status && !rt_cfg_has(&o, "min") && !rt_cfg_has(&o, "max"))
        rt_cfg_fail(&o, "min", "is expected here, or max");
    p->low[m] = rt_cfg_number(&o, "min", 0, 0, most);
    p->high[m] = rt_cfg_number(&o, "max", most, 0, most);
    if (!o.status && p->low[m] > p->high[m]) rt_cfg_fail(&o, "min", "is above max: no row could pass");
    rt_cfg_join(c, &o);
}

/* Numbers by class: a list of all, or an object of some. */
static const cJSON *read_by_class(rt_cfg *c, const char *key, double most, int whole, int list)
{
    const cJSON *v = rt_cfg_any(c, key);
    if (!v) return NULL;
    int good = (list && cJSON_IsArray(v)) || (cJSON_IsObject(v) && v->child);
    for (const cJSON *n = v->child; n && good; n = n->next)
        good = cJSON_IsNumber(n) && n->valuedouble >= 0 && n->valuedouble <= most &&
               (!whole || n->valuedouble == floor(n->valuedouble));
    if (!good)
        rt_cfg_fail(c, key, whole ? "{\"CLASS\": a whole number of rows, ...} is expected"
                                  : "a list with a number from 0 to 1 for each class, or {\"CLASS\": number, ...}, is "
                                    "expected");
    return good ? v : NULL;
}

static void read_classes(rt_cfg *c, rt_label_policy *p)
{
    rt_cfg o = rt_cfg_object(c, "per_class");
    p->min = read_by_class(&o, "min", 1, 0, 1);
    p->median_capped = rt_cfg_number(&o, "median_capped", 0, 0, 1);
    p->top = (uint64_t)rt_cfg_number(&o, "top", 0, 0, 1e15);
    if (!o.status && (double)p->top != cJSON_GetObjectItemCaseSensitive(o.object, "top")->valuedouble)
        rt_cfg_fail(&o, "top", "a whole number of rows is expected");
    p->quota = read_by_class(&o, "quota", 1e15, 1, 0);
    rt_cfg_join(c, &o);
}

/* The name of a file becomes what it says: an effective policy holds the number. */
static void take_temperature(rt_cfg *c)
{
    const char *file = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(c->object, "temperature"));
    cJSON *said = NULL;
    if (!file || c->status) return;
    c->status = rt_json_file(&said, file);
    if (c->status) c->status = rt_fail_in(c->status, "%s: temperature", c->path);
    const cJSON *t = cJSON_GetObjectItemCaseSensitive(said, "temperature");
    if (!c->status && !cJSON_IsNumber(t))
        c->status = rt_fail(RT_INPUT, "%s: has no number \"temperature\"; 'retort labels calibrate' tells one", file);
    if (!c->status)
        cJSON_ReplaceItemInObjectCaseSensitive(c->object, "temperature", cJSON_CreateNumber(t->valuedouble));
    cJSON_Delete(said);
}

static const char *const balances[] = {"none", "equal", "prior", "sqrt", NULL};

static void read_weights(rt_cfg *c, rt_label_policy *p)
{
    p->weighs = rt_cfg_any(c, "weights") != NULL;
    if (!p->weighs) return;
    rt_cfg o = rt_cfg_object(c, "weights");
    p->weight_classes = rt_cfg_choice(&o, "classes", balances, NO_BALANCE);
    p->weight_power = rt_cfg_number(&o, "confidence", 0, 0, 100);
    if (!o.status && !p->weight_classes && p->weight_power == 0)
        rt_cfg_fail(&o, "classes", "equal, prior or sqrt is expected here, or a power of the confidence above 0: all "
                    "weights would be the same");
    rt_cfg_join(c, &o);
}

static rt_status read_policy(rt_label_policy *p)
{
    static const char *const choices[] = {"confidence", "random", NULL};
    rt_cfg c = rt_cfg_begin(p->effective, p->key);
    p->head = rt_cfg_string(&c, "head", "");
    take_temperature(&c);
    p->temperature = rt_cfg_number(&c, "temperature", 1, 1e-3, 1e3);
    for (int m = 0; m < MEASURES; m++) read_measure(&c, p, m);
    read_classes(&c, p);
    p->balance = rt_cfg_choice(&c, "balance", balances, NO_BALANCE);
    p->random = rt_cfg_choice(&c, "choose", choices, 0);
    if (!p->random) rt_cfg_refuse(&c, "seed", "does nothing without \"choose\": \"random\"");
    else p->seed = rt_cfg_u64(&c, "seed", 1);
    p->allow_empty = rt_cfg_bool(&c, "allow_empty", 0);
    read_weights(&c, p);
    return rt_cfg_end(&c);
}

rt_status rt_label_policy_read(rt_label_policy **out, const cJSON *from, const char *key)
{
    rt_label_policy *p = calloc(1, sizeof *p);
    *out = NULL;
    if (!p) return rt_fail(RT_RUN, "out of memory");
    const char *file = cJSON_GetStringValue(from);
    snprintf(p->key, sizeof p->key, "%s", file ? file : key);
    rt_status st = RT_OK;
    if (file) st = *file ? rt_json_file(&p->effective, file) : rt_fail(RT_USAGE, "%s: a file is expected", key);
    else if (!cJSON_IsObject(from)) st = rt_fail(RT_USAGE, "%s: a file's name or an object is expected", key);
    else if (!(p->effective = cJSON_Duplicate(from, 1))) st = rt_fail(RT_RUN, "out of memory");
    if (!st) st = read_policy(p);
    if (!st) rt_json_sort(p->effective);
    if (st) rt_label_policy_free(p);
    else *out = p;
    return st;
}

void rt_label_policy_free(rt_label_policy *p)
{
    if (!p) return;
    cJSON_Delete(p->effective);
    free(p);
}

int rt_label_policy_weighs(const rt_label_policy *p) { return p->weighs; }
const cJSON *rt_label_policy_effective(const rt_label_policy *p) { return p->effective; }

rt_digest rt_label_policy_digest(const rt_label_policy *p)
{
    char *text = rt_json_text(p->effective, 0);
    if (!text) rt_out_of_memory();
    rt_digest d = rt_digest_of(text, strlen(text));
    free(text);
    return d;
}

/* ---- classes ---- */

/* A class: what is asked of its rows, and how many there are. */
typedef struct {
    double least;                      /* per_class.min */
    uint64_t quota;                    /* UINT64_MAX: none */
    uint64_t before, passed, limit, after;
    uint32_t median, cut;              /* ranks: of the median; the lowest that is kept */
    double factor, drawn;              /* of the weights; their sum over its rows */
    uint64_t ties, tied;               /* rows of rank `cut` that are kept; that were seen */
    uint64_t *bin;                     /* (BINS) while it is searched, or NULL */
    uint64_t wanted;                   /* the row that is looked for, from the best on; 0: none */
} class;

typedef struct {
    const rt_label_policy *p;
    const char *path;
    const rt_head *head;
    class *of;                         /* (K) */
    int by_median, low_digit;          /* what is searched: medians; the digit */
    const rt_rows *rows;
    rt_rows chosen;
    unsigned char *in;                 /* (PIECE) 1: row piece + i is chosen */
    uint64_t piece;
    int marked;                        /* any is */
    rt_row_weights weights;            /* of the chosen rows */
    double unit;                       /* what the greatest weight is divided by */
    rt_status status;
} view;

/* per_class.KEY into the classes. */
static rt_status take_by_class(const view *v, const cJSON *from, const char *key)
{
    int k = v->head->size, quota = !strcmp(key, "quota"), i = 0;
    if (cJSON_IsArray(from) && cJSON_GetArraySize(from) != k)
        return rt_fail(RT_USAGE, "%s: per_class.%s: has %d numbers, %s has %d classes", v->p->key, key,
                       cJSON_GetArraySize(from), v->path, k);
    for (const cJSON *n = from ? from->child : NULL; n; n = n->next, i++) {
        int c = i;
        char text[RT_NAMES_TEXT];
        if (n->string) c = rt_names_find(&v->head->names, n->string);
        if (c < 0)
            return rt_fail(RT_USAGE, "%s: per_class.%s: '%s' is no class of %s; its classes: %s", v->p->key, key,
                           n->string ? n->string : "", v->path, rt_names_text(&v->head->names, text));
        if (quota) v->of[c].quota = (uint64_t)n->valuedouble;
        else v->of[c].least = n->valuedouble;
    }
    return RT_OK;
}

/* "gives": "classes" of the teacher, however deep. */
static int only_classes(const cJSON *j)
{
    for (const cJSON *c = j ? j->child : NULL; c; c = c->next) {
        const char *text = c->string && !strcmp(c->string, "gives") ? cJSON_GetStringValue(c) : NULL;
        if ((text && !strcmp(text, "classes")) || only_classes(c)) return 1;
    }
    return 0;
}

/* The store has what the policy looks at. */
static rt_status check_columns(const view *v, rt_labels *l)
{
    const rt_label_policy *p = v->p;
    const rt_labels_spec *spec = rt_labels_info(l);
    const unsigned kept = p->temperature == 1 ? spec->columns : 0;     /* columns are at temperature 1 */
    int ranked = (p->top || p->quota || p->balance) && !p->random, k = v->head->size, top = spec->topk;
    const char *asks = p->limits[CONFIDENCE]                        ? "confidence"
                       : p->limits[MARGIN]                          ? "margin"
                       : p->limits[ENTROPY]                         ? "entropy"
                       : p->min || p->median_capped > 0 || ranked   ? "per_class"
                       : p->weight_power > 0                        ? "weights"
                                                                    : NULL;
    if (asks && ranked && !strcmp(asks, "per_class") && !p->min && p->median_capped == 0) asks = "choose";
    if (asks && only_classes(cJSON_GetObjectItemCaseSensitive(rt_labels_manifest(l), "teacher")))
        return rt_fail(RT_USAGE,
                       "%s: %s: %s keeps classes alone, as its teacher gave no probabilities, so there is no "
                       "confidence; thresholds need logits, and \"choose\": \"random\" needs none",
                       p->key, asks, v->path);
    if (spec->hard && p->temperature != 1)
        return rt_fail(RT_USAGE,
                       "%s: temperature: %s keeps hard labels and no labels/logits, and their confidence is at "
                       "temperature 1; leave it out",
                       p->key, v->path);
    for (int m = MARGIN; m < MEASURES && spec->hard; m++)
        if (p->limits[m] && !(kept & column_of[m]))
            return rt_fail(RT_USAGE,
                           "%s: %s: %s has no column labels/%s, and keeps no logits that would tell it; label "
                           "again with labels.columns=%s beside labels.keep=hard, or use confidence",
                           p->key, measures[m], v->path, measures[m], measures[m]);
    if (p->limits[ENTROPY] && top && top < k && !(kept & RT_COLUMN_ENTROPY))
        return rt_fail(RT_USAGE,
                       "%s: entropy: %s keeps the top %d of %d logits, which do not tell it, and has no column "
                       "labels/entropy; label again without labels.topk or with labels.columns=entropy, or use "
                       "confidence",
                       p->key, v->path, top, k);
    if (p->limits[MARGIN] && top == 1 && k > 2 && !(kept & RT_COLUMN_MARGIN))
        return rt_fail(RT_USAGE,
                       "%s: margin: %s keeps the top 1 of %d logits, which does not tell it, and has no column "
                       "labels/margin; label again with labels.topk=2 or more or with labels.columns=margin, or use "
                       "confidence",
                       p->key, v->path, k);
    return RT_OK;
}

/* ---- passes ---- */

static uint32_t rank_of(double confidence)
{
    double r = floor(confidence * RANKS);
    return r >= RANKS ? RANKS - 1 : r > 0 ? (uint32_t)r : 0;
}

static int passes(const view *v, const rt_label_facts *f)
{
    const rt_label_policy *p = v->p;
    const double is[MEASURES] = {f->confidence, f->margin, f->entropy};
    for (int m = 0; m < MEASURES; m++) if (is[m] < p->low[m] || (p->limits[m] && is[m] > p->high[m])) return 0;
    const class *c = &v->of[f->best];
    if (f->confidence < c->least) return 0;
    return !(p->median_capped > 0) || f->confidence >= p->median_capped || rank_of(f->confidence) >= c->median;
}

/* What makes the row better than others of its class. */
static uint32_t rank_in(const view *v, uint64_t row, const rt_label_facts *f)
{
    uint32_t word[4];
    if (!v->p->random || v->by_median) return rank_of(f->confidence);
    rt_random4(word, v->p->seed, RT_RNG_POLICY, 0, (uint32_t)(row >> 32), (uint32_t)row, 0);
    return word[0] >> (32 - 2 * DIGIT);
}

static void count_before(view *v, uint64_t row, const rt_label_facts *f)
{
    (void)row;
    v->of[f->best].before++;
}

static void count_passed(view *v, uint64_t row, const rt_label_facts *f)
{
    (void)row;
    v->of[f->best].passed += (unsigned)passes(v, f);
}

/* A pass over one digit of the ranks of classes that are searched. */
static void count_digit(view *v, uint64_t row, const rt_label_facts *f)
{
    class *c = &v->of[f->best];
    if (!c->bin || (!v->by_median && !passes(v, f))) return;
    uint32_t rank = rank_in(v, row, f);
    if (!v->low_digit) c->bin[rank >> DIGIT]++;
    else if (rank >> DIGIT == c->cut) c->bin[rank & (BINS - 1)]++;
}

/* Adds the rows of the piece to those that are chosen. */
static rt_status end_piece(view *v)
{
    rt_rows part;
    if (!v->marked) return RT_OK;
    uint64_t n = v->rows->end - v->piece;
    RT_TRY(rt_rows_from_blocks(&part, v->piece, n < PIECE ? n : PIECE, 1, v->in));
    rt_status st = rt_rows_add(&v->chosen, &part);
    rt_rows_free(&part);
    memset(v->in, 0, PIECE);
    v->marked = 0;
    return st;
}

/* Rows come in rising order. */
static void choose_row(view *v, uint64_t row, const rt_label_facts *f)
{
    class *c = &v->of[f->best];
    if (!c->limit || !passes(v, f)) return;
    if (c->passed > c->limit) {
        uint32_t rank = rank_in(v, row, f);
        if (rank < c->cut || (rank == c->cut && c->tied++ >= c->ties)) return;
    }
    if (row - v->piece >= PIECE) {
        if (!v->status) v->status = end_piece(v);
        v->piece = row;
    }
    v->in[row - v->piece] = 1;
    v->marked = 1;
    c->after++;
}

typedef void row_fn(view *, uint64_t row, const rt_label_facts *);
typedef struct { view *v; row_fn *fn; } pass;

static rt_status each(void *arg, const rt_label_batch *b)
{
    const pass *q = arg;
    for (int i = 0; i < b->n; i++) {
        rt_label_facts f = rt_label_facts_at(b, i, q->v->head, q->v->p->temperature);
        q->fn(q->v, b->row[i], &f);
    }
    return q->v->status;
}

static rt_status go_over(view *v, rt_labels *l, row_fn *fn)
{
    pass q = {v, fn};
    return rt_label_scan(l, v->path, v->head, v->rows, NULL, each, &q);
}

/* The bin of the wanted row from above, which is taken off `wanted`. */
static uint32_t find_bin(class *c)
{
    int b = BINS - 1;
    for (; b > 0 && c->bin[b] < c->wanted; b--) c->wanted -= c->bin[b];
    return (uint32_t)b;
}

/* Of each class with wanted > 0 the rank of its wanted-th best row into cut; ties: how many of that rank are among the
 * best `wanted`. */
static rt_status find_cuts(view *v, rt_labels *l)
{
    int k = v->head->size, any = 0;
    rt_status st = RT_OK;
    for (int c = 0; c < k && !st; c++) {
        if (!v->of[c].wanted) continue;
        any = 1;
        v->of[c].bin = calloc(BINS, sizeof *v->of[c].bin);
        if (!v->of[c].bin) st = rt_fail(RT_RUN, "out of memory for the ranks of %d classes", k);
    }
    for (v->low_digit = 0; v->low_digit < 2 && any && !st; v->low_digit++) {
        st = go_over(v, l, count_digit);
        for (int c = 0; c < k && !st; c++) {
            class *q = &v->of[c];
            if (!q->bin) continue;
            uint32_t b = find_bin(q);
            q->cut = v->low_digit ? q->cut << DIGIT | b : b;
            q->ties = q->wanted;
            memset(q->bin, 0, BINS * sizeof *q->bin);
        }
    }
    for (int c = 0; c < k; c++) {
        free(v->of[c].bin);
        v->of[c].bin = NULL;
        v->of[c].wanted = 0;
    }
    return st;
}

static uint64_t least_of(uint64_t a, uint64_t b) { return a < b ? a : b; }

/* How many rows of each class are kept. */
static void set_limits(view *v)
{
    const rt_label_policy *p = v->p;
    int scarce = -1, k = v->head->size;
    double share = 0;
    for (int c = 0; c < k; c++) {
        class *q = &v->of[c];
        q->limit = least_of(q->quota, p->top ? p->top : UINT64_MAX);
        uint64_t n = least_of(q->limit, q->passed);
        double part = p->balance == EQUAL ? 1 : p->balance == PRIOR ? (double)q->before : sqrt((double)q->before);
        if (p->balance == NO_BALANCE || !n || (scarce >= 0 && (double)n / part >= share)) continue;
        scarce = c;
        share = (double)n / part;
    }
    uint64_t n = scarce < 0 ? 0 : least_of(v->of[scarce].limit, v->of[scarce].passed);
    for (int c = 0; c < k && scarce >= 0; c++) {
        class *q = &v->of[c];
        double a = (double)q->before, b = (double)v->of[scarce].before;
        double m = p->balance == EQUAL ? (double)n
                                       : floor((p->balance == PRIOR ? a * (double)n / b : sqrt(a / b) * (double)n));
        uint64_t most = c == scarce ? n : m < 1 ? 1 : (uint64_t)m;
        q->limit = least_of(q->limit, most);
    }
}

static rt_status choose(view *v, rt_labels *l)
{
    v->in = calloc(PIECE, 1);
    v->piece = v->rows->first;
    rt_status st = v->in ? go_over(v, l, choose_row) : rt_fail(RT_RUN, "out of memory");
    if (!st) st = end_piece(v);
    free(v->in);
    v->in = NULL;
    return st;
}

/* ---- weights ---- */

static void weigh_row(view *v, uint64_t row, const rt_label_facts *f)
{
    class *c = &v->of[f->best];
    double w = c->factor * pow(f->confidence, v->p->weight_power) / v->unit * UINT16_MAX;
    double whole = w < 1 ? 1 : w >= UINT16_MAX ? UINT16_MAX : floor(w + 0.5);
    if (v->weights.weight) v->weights.weight[row - v->weights.first] = (uint16_t)whole;
    c->drawn += whole;
}

/* Of the rows that are chosen, whose numbers are known by now. */
static rt_status weigh(view *v, rt_labels *l, int wanted)
{
    const rt_label_policy *p = v->p;
    if (!p->weighs || !v->chosen.count) return RT_OK;
    for (int c = 0; c < v->head->size; c++) {
        class *q = &v->of[c];
        double had = (double)q->before, part = p->weight_classes == PRIOR ? had : sqrt(had);
        if (!q->after) continue;
        q->factor = !p->weight_classes ? 1 : (p->weight_classes == EQUAL ? 1 : part) / (double)q->after;
        if (q->factor > v->unit) v->unit = q->factor;
    }
    if (wanted) RT_TRY(rt_row_weights_new(&v->weights, v->chosen.first, v->chosen.end));
    const rt_rows *all = v->rows;
    v->rows = &v->chosen;
    rt_status st = go_over(v, l, weigh_row);
    v->rows = all;
    return st;
}

/* ---- the whole ---- */

static rt_status find_view(view *v, rt_labels *l)
{
    const rt_label_policy *p = v->p;
    int k = v->head->size;
    for (int c = 0; c < k; c++) v->of[c].quota = UINT64_MAX;
    RT_TRY(take_by_class(v, p->min, "min"));
    RT_TRY(take_by_class(v, p->quota, "quota"));
    RT_TRY(check_columns(v, l));
    RT_TRY(go_over(v, l, count_before));
    if (p->median_capped > 0) {
        v->by_median = 1;
        for (int c = 0; c < k; c++) v->of[c].wanted = (v->of[c].before + 1) / 2;
        RT_TRY(find_cuts(v, l));
        for (int c = 0; c < k; c++) v->of[c].median = v->of[c].cut;
        v->by_median = 0;
    }
    RT_TRY(go_over(v, l, count_passed));
    set_limits(v);
    for (int c = 0; c < k; c++) if (v->of[c].passed > v->of[c].limit) v->of[c].wanted = v->of[c].limit;
    RT_TRY(find_cuts(v, l));
    return choose(v, l);
}

/* Nothing is left, or nothing of a class. */
static rt_status check_empty(const view *v)
{
    char text[400], number[16];
    int n = 0, empty = 0;
    uint64_t before = 0;
    for (int c = 0; c < v->head->size; c++) {
        const class *q = &v->of[c];
        before += q->before;
        if (!q->before || q->after) continue;
        if (empty++ < 4)
            n += snprintf(text + n, sizeof text - (size_t)n, "%s'%.40s' (of %" PRIu64 " rows %" PRIu64 " pass)",
                          n ? ", " : "", rt_names_at(&v->head->names, c, number), q->before, q->passed);
    }
    if (v->p->allow_empty) return RT_OK;
    if (!v->chosen.count)
        return rt_fail(RT_NOTHING, "%s: chooses none of %" PRIu64 " rows that %s has labels of; weaken it, or give "
                       "\"allow_empty\": true", v->p->key, before, v->path);
    if (empty)
        return rt_fail(RT_NOTHING, "%s: leaves no row of %d of %d classes of %s: %s%s; weaken it, or give "
                       "\"allow_empty\": true", v->p->key, empty, v->head->size, v->path, text,
                       empty > 4 ? ", ..." : "");
    return RT_OK;
}

static cJSON *report_of(const view *v)
{
    uint64_t before = 0, passed = 0, after = 0;
    double drawn = 0;
    char number[16];
    for (int c = 0; c < v->head->size; c++) drawn += v->of[c].drawn;
    cJSON *r = cJSON_CreateObject(), *classes = cJSON_CreateObject();
    for (int c = 0; c < v->head->size; c++) {
        const class *q = &v->of[c];
        cJSON *one = cJSON_AddObjectToObject(classes, rt_names_at(&v->head->names, c, number));
        cJSON_AddNumberToObject(one, "before", (double)q->before);
        cJSON_AddNumberToObject(one, "passed", (double)q->passed);
        cJSON_AddNumberToObject(one, "after", (double)q->after);
        if (drawn > 0) cJSON_AddNumberToObject(one, "drawn", q->drawn / drawn);
        before += q->before;
        passed += q->passed;
        after += q->after;
    }
    cJSON_AddStringToObject(r, "digest", rt_label_policy_digest(v->p).hex);
    cJSON_AddItemToObject(r, "effective", cJSON_Duplicate(v->p->effective, 1));
    cJSON_AddStringToObject(r, "head", v->head->name);
    cJSON_AddNumberToObject(r, "rows_before", (double)before);
    cJSON_AddNumberToObject(r, "rows_after", (double)after);
    cJSON_AddNumberToObject(r, "abstained", (double)(before - passed));
    cJSON_AddNumberToObject(r, "cut", (double)(passed - after));
    cJSON_AddItemToObject(r, "classes", classes);
    return r;
}

rt_status rt_label_policy_apply(const rt_label_policy *p, rt_labels *l, const char *path, rt_rows *rows,
                                rt_row_weights *weights, cJSON **report)
{
    view v = {.p = p, .path = path, .rows = rows};
    *report = NULL;
    if (weights) *weights = (rt_row_weights){0};
    rt_status st = rt_label_find_head(l, path, p->head, &v.head);
    if (st) return rt_fail_in(st, "%s", p->key);
    v.of = calloc((size_t)v.head->size, sizeof *v.of);
    st = v.of ? find_view(&v, l) : rt_fail(RT_RUN, "out of memory");
    if (!st) st = check_empty(&v);
    if (!st) st = weigh(&v, l, weights != NULL);
    if (!st) *report = report_of(&v);
    free(v.of);
    if (st) {
        rt_rows_free(&v.chosen);
        rt_row_weights_free(&v.weights);
    } else {
        if (weights) *weights = v.weights;
        rt_rows_free(rows);
        *rows = v.chosen;
    }
    return st;
}
