/* experiments/drift/drift_columns.c - one column of both sides: moments, cells of numbers, counts of categories. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "experiments/drift/drift_parts.h"
#include "experiments/statistics/statistics.h"

/* ---- words ---- */

struct rt_drift_words {
    char **text;
    int *slot;                         /* (SLOTS) 1 + number; 0: empty */
    int count;
};

enum { SLOTS = 4 * RT_DRIFT_WORDS };

rt_drift_words *rt_drift_words_new(void)
{
    rt_drift_words *w = calloc(1, sizeof *w);
    if (!w) return NULL;
    w->text = calloc(RT_DRIFT_WORDS, sizeof *w->text);
    w->slot = calloc(SLOTS, sizeof *w->slot);
    if (w->text && w->slot) return w;
    rt_drift_words_free(w);
    return NULL;
}

void rt_drift_words_free(rt_drift_words *w)
{
    if (!w) return;
    for (int i = 0; i < w->count && w->text; i++) free(w->text[i]);
    free(w->text);
    free(w->slot);
    free(w);
}

int rt_drift_word(rt_drift_words *w, const char *text, size_t n)
{
    uint64_t hash = 14695981039346656037u;             /* FNV-1a */
    for (size_t i = 0; i < n; i++) hash = (hash ^ (unsigned char)text[i]) * 1099511628211u;
    int at = (int)((hash ^ hash >> 32) % SLOTS);
    for (; w->slot[at]; at = (at + 1) % SLOTS) {
        const char *own = w->text[w->slot[at] - 1];
        if (!strncmp(own, text, n) && !own[n]) return w->slot[at] - 1;
    }
    if (w->count == RT_DRIFT_WORDS) return RT_DRIFT_WORDS;
    if (!(w->text[w->count] = strndup(text, n))) return -1;
    w->slot[at] = ++w->count;
    return w->count - 1;
}

const char *rt_drift_word_at(const rt_drift_words *w, int i)
{ return i >= 0 && i < w->count ? w->text[i] : "?"; }

/* ---- cells ---- */

static int is_whole(double v) { return v == floor(v) && fabs(v) <= 0x1p53; }

/* A place for a code that is not there, at position `at`. */
static int add_code(rt_drift_column *c, int at, double code)
{
    if (c->codes == c->room) {
        int room = c->room ? 2 * c->room : 16;
        double *codes = realloc(c->code, (size_t)room * sizeof *codes);
        if (codes) c->code = codes;
        int whole = codes != NULL;
        for (int s = 0; s < RT_DRIFT_SIDES && whole; s++) {
            uint64_t *of = realloc(c->of[s], (size_t)room * sizeof *of);
            if (of) c->of[s] = of;
            whole = of != NULL;
        }
        if (!whole) {
            c->failed = 1;
            return -1;
        }
        c->room = room;
    }
    size_t after = (size_t)(c->codes - at);
    memmove(c->code + at + 1, c->code + at, after * sizeof *c->code);
    c->code[at] = code;
    for (int s = 0; s < RT_DRIFT_SIDES; s++) {
        memmove(c->of[s] + at + 1, c->of[s] + at, after * sizeof *c->of[s]);
        c->of[s][at] = 0;
    }
    c->codes++;
    return at;
}

/* The first of n rising values that is not below v. */
static int place_of(const double *value, int n, double v)
{
    int low = 0;
    while (n > 0) {
        int half = n / 2;
        if (value[low + half] < v) {
            low += half + 1;
            n -= half + 1;
        } else n = half;
    }
    return low;
}

rt_status rt_drift_column_cells(rt_drift_column *c, double *value, uint64_t n, int exact)
{
    uint64_t distinct = 0, kept = 0;
    int whole = 1;
    if (c->category) return RT_OK;
    for (uint64_t i = 0; i < n; i++) if (!isnan(value[i])) value[kept++] = value[i];
    rt_sort_doubles(value, kept);
    for (uint64_t i = 0; i < kept; i++) {
        whole &= is_whole(value[i]);
        if (!distinct || value[i] != value[distinct - 1]) value[distinct++] = value[i] + 0.0;
    }
    if (whole && distinct && distinct <= RT_DRIFT_GUESS) {
        c->category = c->guessed = 1;
        for (uint64_t i = 0; i < distinct; i++) if (add_code(c, c->codes, value[i]) < 0) break;
        return c->failed ? rt_fail(RT_RUN, "out of memory") : RT_OK;
    }
    c->exact = exact;
    c->edges = (int)distinct;
    c->edge = malloc((size_t)(distinct + 1) * sizeof *c->edge);
    for (int s = 0; s < RT_DRIFT_SIDES; s++) c->count[s] = calloc((size_t)distinct + 1, sizeof *c->count[s]);
    if (!c->edge || !c->count[0] || !c->count[1]) return rt_fail(RT_RUN, "out of memory");
    memcpy(c->edge, value, (size_t)distinct * sizeof *value);
    return RT_OK;
}

static void add_moment(rt_drift_moments *m, double v)
{
    if (m->rows == m->missing + 1 || v < m->least) m->least = v;     /* rows counts this one already */
    if (m->rows == m->missing + 1 || v > m->most) m->most = v;
    if (!isfinite(v)) {
        m->infinite++;
        return;
    }
    double n = (double)(m->rows - m->missing - m->infinite), away = v - m->mean;
    m->mean += away / n;
    m->m2 += away * (v - m->mean);
}

void rt_drift_column_add(rt_drift_column *c, int side, const double *value, int n)
{
    rt_drift_moments *m = &c->side[side];
    for (int i = 0; i < n; i++) {
        double v = value[i];
        m->rows++;
        if (isnan(v)) {
            m->missing++;
            continue;
        }
        if (!c->category) {
            add_moment(m, v);
            c->count[side][place_of(c->edge, c->edges, v)]++;
            continue;
        }
        int at = place_of(c->code, c->codes, v);
        if (at == c->codes || c->code[at] != v) {
            int most = c->guessed ? 2 * RT_DRIFT_GUESS : RT_DRIFT_WORDS;
            at = c->codes < most && (!c->words || v < RT_DRIFT_WORDS) ? add_code(c, at, v) : -1;
        }
        if (at < 0) c->other[side]++;
        else c->of[side][at]++;
    }
}

void rt_drift_column_free(rt_drift_column *c)
{
    free(c->name);
    free(c->edge);
    free(c->code);
    for (int s = 0; s < RT_DRIFT_SIDES; s++) {
        free(c->count[s]);
        free(c->of[s]);
    }
}

void rt_drift_put_category(rt_string *t, const rt_drift_column *c, double code)
{
    if (c->words) rt_put_bytes(t, rt_drift_word_at(c->words, (int)code), strlen(rt_drift_word_at(c->words, (int)code)));
    else rt_put(t, "%.17g", code);
}

/* ---- bins ---- */

/* Ends of tenths of the reference's rows: the smallest values with k / 10 of them at or below, each once. A value that
 * is the end of several tenths is a bin of its own, so that rows below it do not hide in it. */
static void bins_of_numbers(const rt_drift_column *c, rt_drift_bins *b)
{
    const uint64_t *own = c->count[RT_DRIFT_REFERENCE];
    uint64_t n = 0, below = 0;
    int k = 1, begun = 0;                              /* begun: the cell that the bin at hand begins with */
    for (int i = 0; i <= c->edges; i++) n += own[i];
    b->bins = 1;
    for (int i = 0; i <= c->edges; i++) {
        int ends = 0;
        below += own[i];
        for (; i < c->edges && k < RT_DRIFT_BINS && n && below * RT_DRIFT_BINS >= (uint64_t)k * n; k++) ends++;
        if (ends > 1 && begun < i) b->edge[b->bins++ - 1] = c->edge[i - 1];
        for (int s = 0; s < RT_DRIFT_SIDES; s++) b->count[s][b->bins - 1] += c->count[s][i];
        if (!ends) continue;
        b->edge[b->bins++ - 1] = c->edge[i];
        begun = i + 1;
    }
    b->edge[b->bins - 1] = INFINITY;
}

typedef struct { uint64_t rows; int at; } ranked;

static int by_rows(const void *a, const void *b)
{
    const ranked *x = a, *y = b;
    return x->rows != y->rows ? (x->rows < y->rows ? 1 : -1) : x->at - y->at;
}

static void put_bin(rt_drift_bins *b, double edge, uint64_t reference, uint64_t data)
{
    b->edge[b->bins] = edge;
    b->count[RT_DRIFT_REFERENCE][b->bins] = reference;
    b->count[RT_DRIFT_DATA][b->bins++] = data;
}

/* The reference's most frequent categories, then all its others together, then all that it has not. */
static rt_status bins_of_categories(const rt_drift_column *c, rt_drift_bins *b)
{
    const uint64_t *own = c->of[RT_DRIFT_REFERENCE], *data = c->of[RT_DRIFT_DATA];
    uint64_t rest[RT_DRIFT_SIDES] = {c->other[0], c->other[1]}, unseen = 0;
    ranked *r = malloc(((size_t)c->codes + 1) * sizeof *r);
    if (!r) return rt_fail(RT_RUN, "out of memory");
    for (int i = 0; i < c->codes; i++) r[i] = (ranked){own[i], i};
    qsort(r, (size_t)c->codes, sizeof *r, by_rows);
    for (int i = 0; i < c->codes; i++) {
        int at = r[i].at;
        if (!own[at]) unseen += data[at];
        else if (i < RT_DRIFT_GROUPS) put_bin(b, c->code[at], own[at], data[at]);
        else {
            rest[RT_DRIFT_REFERENCE] += own[at];
            rest[RT_DRIFT_DATA] += data[at];
        }
    }
    free(r);
    if (rest[0] || rest[1]) put_bin(b, NAN, rest[0], rest[1]);
    if (unseen) put_bin(b, INFINITY, 0, unseen);
    return RT_OK;
}

rt_status rt_drift_column_bins(const rt_drift_column *c, rt_drift_bins *b)
{
    memset(b, 0, sizeof *b);
    if (c->category) return bins_of_categories(c, b);
    bins_of_numbers(c, b);
    return RT_OK;
}
