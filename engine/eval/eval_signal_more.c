/* engine/eval/eval_signal_more.c - operators on texts: n-grams, normalization, joining, splitting. */
#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "engine/eval/layers.h"

/* ---- TfIdfVectorizer ---- */

/* N-grams of a pool, one length after the other, found by a hash of their items. */
typedef struct {
    const int64_t *start, *column, *numbers;        /* start (lengths) in the pool; column of each n-gram */
    const char *const *texts;
    const float *weight;
    int lengths, grams, items, weights, shortest, longest, skips;
    int64_t columns;
    int *place, *length, *slot;                     /* place in the pool and length (grams); slot (slots) gram + 1 */
    uint64_t slots;
    char mode;                                      /* 'C' counts, 'I' whether, 'W' counts with weights */
} grams;

static uint64_t mix(uint64_t h, uint64_t v)
{
    h = (h ^ v) * 0x9e3779b97f4a7c15ull;
    return h ^ h >> 29;
}

static uint64_t hash_text(uint64_t h, const char *s)
{
    for (; *s; s++) h = mix(h, (unsigned char)*s);
    return mix(h, 256);
}

static uint64_t hash_pool(const grams *g, int place, int length)
{
    uint64_t h = (uint64_t)length;
    for (int i = place; i < place + length; i++)
        h = g->texts ? hash_text(h, g->texts[i]) : mix(h, (uint64_t)g->numbers[i]);
    return h;
}

static rt_status tfidf_attributes(rt_eval_call *call, grams *g)
{
    const char *mode = rt_eval_string(call, "mode", "");
    int64_t shortest = rt_eval_int(call, "min_gram_length", 0), longest = rt_eval_int(call, "max_gram_length", 0);
    int64_t skips = rt_eval_int(call, "max_skip_count", -1);
    g->mode = !strcmp(mode, "TF") ? 'C' : !strcmp(mode, "IDF") ? 'I' : !strcmp(mode, "TFIDF") ? 'W' : 0;
    g->lengths = rt_eval_ints(call, "ngram_counts", &g->start);
    g->grams = rt_eval_ints(call, "ngram_indexes", &g->column);
    g->weights = rt_eval_floats(call, "weights", &g->weight);
    int numbers = rt_eval_ints(call, "pool_int64s", &g->numbers);
    int texts = rt_eval_strings(call, "pool_strings", &g->texts);
    if (!g->mode) return rt_fail(RT_INPUT, "mode \"%s\" is unknown", mode);
    if ((numbers > 0) == (texts > 0)) return rt_fail(RT_INPUT, "one of pool_int64s and pool_strings must be given");
    if (texts <= 0) g->texts = NULL;
    g->items = texts > 0 ? texts : numbers;
    if (shortest < 1 || longest < shortest || longest > 1 << 20 || skips < 0 || skips > 1 << 20 || g->lengths < 1 ||
        g->grams < 1)
        return rt_fail(RT_INPUT, "lengths of n-grams, skips or indexes are out of range");
    g->shortest = (int)shortest;
    g->longest = (int)longest;
    g->skips = (int)skips;
    for (int i = 0; i < g->grams; i++) {
        if (g->column[i] < 0 || g->column[i] > 1 << 30)
            return rt_fail(RT_INPUT, "ngram_indexes has %lld", (long long)g->column[i]);
        if (g->column[i] >= g->columns) g->columns = g->column[i] + 1;
    }
    if (g->weights > 0 && g->weights != g->grams)
        return rt_fail(RT_INPUT, "%d weights for %d n-grams", g->weights, g->grams);
    return RT_OK;
}

static int same_gram(const grams *g, int gram, const rt_array *x, int64_t at, int64_t step)
{
    for (int i = 0; i < g->length[gram]; i++) {
        size_t item = (size_t)(at + i * step);
        int place = g->place[gram] + i;
        if (g->texts ? strcmp(g->texts[place], rt_array_text(x, item)) : g->numbers[place] != rt_array_int(x, item))
            return 0;
    }
    return 1;
}

/* A later n-gram that is equal to one before it stands for both. */
static rt_status tfidf_table(rt_eval_call *call, grams *g)
{
    int n = 0;
    g->place = rt_eval_scratch(call, (size_t)g->grams, sizeof *g->place);
    g->length = rt_eval_scratch(call, (size_t)g->grams, sizeof *g->length);
    for (g->slots = 16; g->slots < 2 * (uint64_t)g->grams; g->slots *= 2) {}
    g->slot = rt_eval_scratch(call, g->slots, sizeof *g->slot);
    if (!g->place || !g->length || !g->slot) return RT_INPUT;
    for (int l = 0; l < g->lengths; l++) {
        int64_t from = g->start[l], to = l + 1 < g->lengths ? g->start[l + 1] : g->items;
        if (from < 0 || to < from || to > g->items || (to - from) % (l + 1) || n + (to - from) / (l + 1) > g->grams)
            return rt_fail(RT_INPUT, "ngram_counts and ngram_indexes do not fit the pool of %d items", g->items);
        for (int64_t p = from; p < to; p += l + 1, n++) {
            g->place[n] = (int)p;
            g->length[n] = l + 1;
            uint64_t s = hash_pool(g, (int)p, l + 1) & (g->slots - 1);
            for (; g->slot[s]; s = (s + 1) & (g->slots - 1)) {
                int other = g->slot[s] - 1, same = g->length[other] == l + 1;
                for (int i = 0; same && i <= l; i++)
                    same = g->texts ? !strcmp(g->texts[g->place[other] + i], g->texts[p + i])
                                    : g->numbers[g->place[other] + i] == g->numbers[p + i];
                if (same) break;
            }
            g->slot[s] = n + 1;
            RT_TRY(rt_eval_tick(call, 16 * (double)(l + 1)));
        }
    }
    return n == g->grams ? RT_OK : rt_fail(RT_INPUT, "%d n-grams with %d indexes", n, g->grams);
}

/* Counts the n-grams of one row of `length` items; count (grams). */
static rt_status tfidf_row(rt_eval_call *call, const grams *g, const rt_array *x, int64_t row, int64_t length,
                           double *count)
{
    for (int64_t step = 1; step <= g->skips + 1; step++)
        for (int64_t at = 0; at < length; at++) {
            uint64_t parts = 0;                     /* the hash begins with the length, so it is made anew for each */
            for (int n = 1; n <= g->longest && n <= g->lengths && at + (n - 1) * step < length; n++) {
                if (n < g->shortest || (n == 1 && step > 1)) continue;
                parts = (uint64_t)n;
                RT_TRY(rt_eval_tick(call, 16 * (double)n));
                for (int i = 0; i < n; i++) {
                    size_t item = (size_t)(row * length + at + i * step);
                    parts = g->texts ? hash_text(parts, rt_array_text(x, item))
                                     : mix(parts, (uint64_t)rt_array_int(x, item));
                }
                uint64_t s = parts & (g->slots - 1);
                for (; g->slot[s]; s = (s + 1) & (g->slots - 1)) {
                    int gram = g->slot[s] - 1;
                    if (g->length[gram] != n || !same_gram(g, gram, x, row * length + at, step)) continue;
                    count[gram]++;
                    break;
                }
            }
        }
    return RT_OK;
}

rt_status rt_eval_tfidf(rt_eval_call *call)
{
    grams g = {0};
    const rt_array *x;
    rt_array *y;
    RT_TRY(tfidf_attributes(call, &g));
    RT_TRY(rt_layer_in(call, 0, g.texts ? 1 << RT_STRING : 1 << RT_I32 | 1 << RT_I64, 1, 2, &x));
    RT_TRY(tfidf_table(call, &g));
    int64_t rows = x->rank == 2 ? x->dim[0] : 1, length = x->dim[x->rank - 1], dim[] = {rows, g.columns};
    RT_TRY(rt_eval_make(call, 0, RT_F32, x->rank, x->rank == 2 ? dim : dim + 1, &y));
    double *count = rt_eval_scratch(call, (size_t)g.grams, sizeof *count);
    if (!count) return RT_INPUT;
    for (int64_t r = 0; r < rows; r++) {
        float *row = (float *)y->data + r * g.columns;
        memset(count, 0, (size_t)g.grams * sizeof *count);
        RT_TRY(tfidf_row(call, &g, x, r, length, count));
        for (int i = 0; i < g.grams; i++) {
            double v = g.mode == 'I' ? count[i] > 0 : count[i];
            row[g.column[i]] += (float)(g.weights > 0 && g.mode != 'C' ? v * (double)g.weight[i] : v);
        }
    }
    return RT_OK;
}

/* ---- texts ---- */

static int is_ascii(const char *s)
{
    for (; *s; s++) if (*s & 0x80) return 0;
    return 1;
}

static rt_status take_text(rt_eval_call *call, rt_array *y, size_t i, const char *text, size_t length)
{
    char *copy = rt_region_text(call->region, text, length);
    if (!copy) return RT_INPUT;
    ((const char **)y->data)[i] = copy;
    return RT_OK;
}

/* Elements that are stop words are left out, the others' case is changed. */
rt_status rt_eval_string_normalizer(rt_eval_call *call)
{
    const rt_array *x;
    rt_array *y;
    const char *const *stop, *action = rt_eval_string(call, "case_change_action", "NONE");
    int stops = rt_eval_strings(call, "stopwords", &stop), exact = rt_eval_int(call, "is_case_sensitive", 0) != 0;
    int lower = !strcmp(action, "LOWER"), upper = !strcmp(action, "UPPER");
    rt_eval_string(call, "locale", "");
    if (!lower && !upper && strcmp(action, "NONE"))
        return rt_fail(RT_INPUT, "case_change_action \"%s\" is unknown", action);
    RT_TRY(rt_layer_in(call, 0, 1 << RT_STRING, 1, 2, &x));
    if (x->rank == 2 && x->dim[0] != 1) return rt_fail(RT_INPUT, "%lld rows; there may be one", (long long)x->dim[0]);
    size_t *kept = rt_eval_scratch(call, x->count, sizeof *kept), n = 0;
    if (!kept) return RT_INPUT;
    for (size_t i = 0; i < x->count; i++) {
        const char *text = rt_array_text(x, i);
        int stopped = 0;
        if ((lower || upper || (!exact && stops > 0)) && !is_ascii(text))
            return rt_fail(RT_INPUT, "a text with letters beyond ASCII, whose case depends on a locale");
        for (int k = 0; k < stops && !stopped; k++)
            stopped = exact ? !strcmp(text, stop[k]) : !strcasecmp(text, stop[k]);
        if (!stopped) kept[n++] = i;
        RT_TRY(rt_eval_tick(call, 8 * (double)(stops > 0 ? stops : 1)));
    }
    int64_t dim[] = {1, n ? (int64_t)n : 1};
    RT_TRY(rt_eval_make(call, 0, RT_STRING, x->rank, x->rank == 2 ? dim : dim + 1, &y));
    for (size_t i = 0; i < n; i++) {
        const char *text = rt_array_text(x, kept[i]);
        RT_TRY(take_text(call, y, i, text, strlen(text)));
        char *copy = ((char **)y->data)[i];
        for (; *copy && (lower || upper); copy++) *copy = (char)(lower ? tolower(*copy) : toupper(*copy));
    }
    return RT_OK;
}

rt_status rt_eval_string_concat(rt_eval_call *call)
{
    const rt_array *in[2];
    int64_t dim[RT_ARRAY_RANK];
    int rank;
    rt_array *y;
    rt_walk w;
    size_t i = 0;
    for (int k = 0; k < 2; k++) RT_TRY(rt_layer_in(call, k, 1 << RT_STRING, 0, RT_ARRAY_RANK, &in[k]));
    RT_TRY(rt_array_broadcast(in, 2, &rank, dim));
    RT_TRY(rt_eval_make(call, 0, RT_STRING, rank, dim, &y));
    for (rt_walk_begin(&w, rank, dim, in, 2); w.left; rt_walk_next(&w), i++) {
        const char *a = rt_array_text(in[0], w.pos[0]), *b = rt_array_text(in[1], w.pos[1]);
        size_t n = strlen(a), m = strlen(b);
        RT_TRY(rt_eval_tick(call, 64 + (double)(n + m)));
        char *text = rt_region_take(call->region, n + m + 1);
        if (!text) return RT_INPUT;
        memcpy(text, a, n);
        memcpy(text + n, b, m);
        ((char **)y->data)[i] = text;
    }
    return RT_OK;
}

/* ---- StringSplit ---- */

static const char *const spaces = " \t\n\v\f\r\x1c\x1d\x1e\x1f";

/* The next part of *s, which moves behind it and its delimiter, or becomes NULL after the last. `rest`: all that is
 * left. Without a delimiter parts are what stands between spaces. 0: there is none. */
static int next_part(const char **s, const char *delimiter, int rest, const char **part, size_t *length)
{
    if (!*s) return 0;
    if (!delimiter) *s += strspn(*s, spaces);
    *part = *s;
    if (!delimiter && !**s) return 0;
    const char *end = rest ? NULL : delimiter ? strstr(*s, delimiter) : strpbrk(*s, spaces);
    *length = end ? (size_t)(end - *s) : strlen(*s);
    if (rest && !delimiter) while (*length && strchr(spaces, (*s)[*length - 1])) --*length;
    *s = end ? end + (delimiter ? strlen(delimiter) : 0) : NULL;
    return 1;
}

rt_status rt_eval_string_split(rt_eval_call *call)
{
    const rt_array *x;
    rt_array *y, *counts;
    const char *delimiter = rt_eval_string(call, "delimiter", ""), *part;
    int64_t most = rt_eval_has(call, "maxsplit") ? rt_eval_int(call, "maxsplit", 0) : -1, widest = 0;
    size_t length;
    if (!*delimiter) delimiter = NULL;
    RT_TRY(rt_layer_in(call, 0, 1 << RT_STRING, 0, RT_ARRAY_RANK - 1, &x));
    RT_TRY(rt_eval_like(call, 1, RT_I64, x, &counts));
    for (size_t i = 0; i < x->count; i++) {
        const char *s = rt_array_text(x, i);
        int64_t n = 0;
        RT_TRY(rt_eval_tick(call, 64 + (double)strlen(s)));
        if (!delimiter && !is_ascii(s)) return rt_fail(RT_INPUT, "spaces beyond ASCII in \"%s\" are not looked for", s);
        while (next_part(&s, delimiter, most >= 0 && n == most, &part, &length)) n++;
        rt_array_put_int(counts, i, n);
        if (n > widest) widest = n;
    }
    int64_t dim[RT_ARRAY_RANK];
    memcpy(dim, x->dim, sizeof dim);
    dim[x->rank] = widest;
    RT_TRY(rt_eval_make(call, 0, RT_STRING, x->rank + 1, dim, &y));
    for (size_t i = 0; i < x->count; i++) {
        const char *s = rt_array_text(x, i);
        RT_TRY(rt_eval_tick(call, 64 + (double)strlen(s)));
        for (int64_t n = 0; next_part(&s, delimiter, most >= 0 && n == most, &part, &length); n++)
            RT_TRY(take_text(call, y, i * (size_t)widest + (size_t)n, part, length));
    }
    return RT_OK;
}
