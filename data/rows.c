#include "data/rows.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data/row_folds.h"
#include "engine/progress.h"

enum { BLOCK = 8, HINT = 512, PICK = 64 }; /* words a rank (a cache line), members a hint, members looked up at once */

/* ---- words ---- */

static uint64_t minimum(uint64_t a, uint64_t b) { return a < b ? a : b; }

static uint64_t words_of(const rt_rows *a) { return a->end > a->first ? (a->end - 1) / 64 - a->first / 64 + 1 : 0; }

static uint64_t ones_from(uint64_t bit) { return ~(uint64_t)0 << bit; }
static uint64_t ones_below(uint64_t bit) { return bit < 64 ? ~ones_from(bit) : ~(uint64_t)0; }

/* Members among rows [64 w, 64 w + 64). */
static uint64_t word_at(const rt_rows *a, uint64_t w)
{
    if (a->end <= a->first || w < a->first / 64 || w > (a->end - 1) / 64) return 0;
    if (a->word) return a->word[w - a->first / 64];
    uint64_t ones = w == a->first / 64 ? ones_from(a->first % 64) : ~(uint64_t)0;
    return w == (a->end - 1) / 64 ? ones & ones_below((a->end - 1) % 64 + 1) : ones;
}

/* Set bits, without an instruction that not every processor has. */
static uint64_t ones_in(uint64_t w)
{
    w -= w >> 1 & 0x5555555555555555u;
    w = (w & 0x3333333333333333u) + (w >> 2 & 0x3333333333333333u);
    return ((w + (w >> 4)) & 0x0f0f0f0f0f0f0f0fu) * 0x0101010101010101u >> 56;
}

/* Place of set bit k, k < ones_in(w): by its byte, then within the byte, eight counts at once and without a branch
 * (Vigna, Broadword implementation of rank/select queries, 2008). */
static uint64_t place_of(uint64_t w, uint64_t k)
{
    const uint64_t low = 0x0101010101010101u, high = 0x8080808080808080u;
    uint64_t s = w - (w >> 1 & 0x5555555555555555u);
    s = (s & 0x3333333333333333u) + (s >> 2 & 0x3333333333333333u);
    s = ((s + (s >> 4)) & 0x0f0f0f0f0f0f0f0fu) * low;                       /* byte b: set bits of bytes 0 to b */
    uint64_t byte = ((((k * low | high) - s) & high) >> 7) * low >> 56; /* bytes with no more than k up to their end */
    uint64_t rest = k - (s << 8 >> byte * 8 & 255);
    uint64_t bits = (w >> byte * 8 & 255) * low & 0x8040201008040201u;      /* byte b: bit b of the byte */
    uint64_t sums = (((bits | ((bits | high) - low)) & high) >> 7) * low;   /* byte b: set bits 0 to b */
    return byte * 8 + (((((rest * low | high) - sums) & high) >> 7) * low >> 56);
}

/* A mask of no members over [first, end). */
static rt_status make_mask(rt_rows *a, uint64_t first, uint64_t end)
{
    *a = (rt_rows){.first = first, .end = end};
    a->word = calloc((words_of(a) / BLOCK + 1) * BLOCK, sizeof *a->word);      /* whole blocks */
    if (a->word) return RT_OK;
    return rt_fail(RT_RUN, "out of memory for the mask of %llu rows", (unsigned long long)(end - first));
}

/* Counts the members and makes the index; a mask without gaps becomes a range. */
static rt_status index_mask(rt_rows *a)
{
    uint64_t words = words_of(a), count = 0, n = 0, low = 0, high = 0;
    for (uint64_t w = 0; w < words; w++) {
        if (!a->word[w]) continue;
        if (!count) low = w;
        high = w;
        count += ones_in(a->word[w]);
    }
    if (count) {
        low = (a->first / 64 + low) * 64 + place_of(a->word[low], 0);
        high = (a->first / 64 + high) * 64 + place_of(a->word[high], ones_in(a->word[high]) - 1);
    }
    if (!count || high - low + 1 == count) {
        rt_rows_free(a);
        *a = count ? rt_rows_between(low, high + 1) : (rt_rows){0};
        return RT_OK;
    }
    uint64_t blocks = (words + BLOCK - 1) / BLOCK, hints = (count - 1) / HINT + 1;
    free(a->rank);
    free(a->hint);
    a->rank = malloc((blocks + 1) * sizeof *a->rank);
    a->hint = malloc((hints + 1) * sizeof *a->hint);
    if (!a->rank || !a->hint || blocks >= UINT32_MAX)
        return rt_fail(RT_RUN, "out of memory for the index of %llu rows", (unsigned long long)count);
    a->count = count;
    for (uint64_t b = 0, h = 0; b < blocks; b++) {
        a->rank[b] = n;
        for (uint64_t w = b * BLOCK; w < words && w < (b + 1) * BLOCK; w++) n += ones_in(a->word[w]);
        while (h < hints && h * HINT < n) a->hint[h++] = (uint32_t)b;
    }
    a->rank[blocks] = count;
    a->hint[hints] = (uint32_t)(blocks - 1);
    return RT_OK;
}

static rt_status index_or_free(rt_rows *a)
{
    rt_status st = index_mask(a);
    if (st) rt_rows_free(a);
    return st;
}

/* ---- sets ---- */

void rt_rows_read(rt_cfg *data, rt_rows_config *c)
{
    c->range = rt_cfg_string(data, "rows", "");
    c->test = rt_rows_part(data, "test", 0);
    c->test_seed = rt_cfg_u64(data, "test_seed", 1);
    c->fold = c->folds = 0;
    if (rt_cfg_any(data, "fold")) {
        const char *fold = rt_cfg_string(data, "fold", "");
        if (!data->status && !rt_rows_fold_of(fold, &c->fold, &c->folds))
            rt_cfg_fail(data, "fold", "i/n is expected, fold i (0 to n - 1) of n, n from 2 to 100, such as 0/3");
    }
    rt_row_folds_read(data, c);
    if (c->test > 0 && c->folds) rt_cfg_fail(data, "fold", "stands beside data.test; give one of them");
    if (!rt_rows_tests(c) && c->test_seed != 1)
        rt_cfg_fail(data, "test_seed", "does nothing without data.test or data.fold");
}

int rt_rows_fold_of(const char *text, int *fold, int *folds)
{
    char end;
    *fold = *folds = 0;
    if (!*text) return 1;
    if (strspn(text, "0123456789/") != strlen(text) || strlen(text) > 7) return 0;
    if (sscanf(text, "%d/%d%c", fold, folds, &end) == 2 && *folds >= 2 && *folds <= RT_FOLDS && *fold < *folds)
        return 1;
    *fold = *folds = 0;
    return 0;
}

double rt_rows_part(rt_cfg *c, const char *key, double fallback)
{
    double part = rt_cfg_number(c, key, fallback, 0, 1e15);
    if (part > 1 && part != floor(part)) rt_cfg_fail(c, key, "a share below 1 or a whole number of rows is expected");
    return part;
}

/* Digits to a number; too many are the largest, which lies outside any source. */
static uint64_t number(const char *s)
{
    uint64_t v = 0;
    for (; *s >= '0' && *s <= '9'; s++) {
        unsigned digit = (unsigned)(*s - '0');
        if (v > (UINT64_MAX - digit) / 10) return UINT64_MAX;
        v = v * 10 + digit;
    }
    return v;
}

rt_status rt_parse_range(const char *range, uint64_t rows, uint64_t *first, uint64_t *end)
{
    *first = 0;
    *end = rows;
    if (!*range) return RT_OK;
    const char *colon = strchr(range, ':');
    if (colon && strspn(range, "0123456789:") == strlen(range) && !strchr(colon + 1, ':')) {
        if (colon != range) *first = number(range);
        if (colon[1]) *end = number(colon + 1);
        if (*first <= *end && *end <= rows) return RT_OK;
        if (*first > *end && *first <= rows)
            return rt_fail(RT_USAGE, "rows '%s' end before they begin", range);
        return rt_fail(RT_USAGE, "rows '%s' reach outside the %llu rows of the source", range,
                       (unsigned long long)rows);
    }
    return rt_fail(RT_USAGE, "rows '%s' are not of the form first:end, such as 0:10000", range);
}

rt_rows rt_rows_between(uint64_t first, uint64_t end)
{
    return first < end ? (rt_rows){.count = end - first, .first = first, .end = end} : (rt_rows){0};
}

rt_status rt_rows_range(rt_rows *out, const char *range, uint64_t source_rows)
{
    uint64_t first, end;
    *out = (rt_rows){0};
    RT_TRY(rt_parse_range(range, source_rows, &first, &end));
    *out = rt_rows_between(first, end);
    return RT_OK;
}

rt_status rt_rows_from_blocks(rt_rows *out, uint64_t first, uint64_t rows, uint64_t block, const unsigned char *in)
{
    RT_TRY(make_mask(out, first, first + rows));
    for (uint64_t at = 0, b = 0; at < rows; at += block, b++) {
        if (!in[b]) continue;
        rt_rows part = rt_rows_between(first + at, first + at + minimum(block, rows - at));
        for (uint64_t w = part.first / 64; w <= (part.end - 1) / 64; w++)
            out->word[w - first / 64] |= word_at(&part, w);
    }
    return index_or_free(out);
}

void rt_rows_free(rt_rows *a)
{
    free(a->word);
    free(a->rank);
    free(a->hint);
    *a = (rt_rows){0};
}

/* ---- members ---- */

/* The last block whose rank is not above i. */
static uint64_t find_block(const rt_rows *a, uint64_t i)
{
    uint64_t low = a->hint[i / HINT], high = a->hint[i / HINT + 1];
    while (low < high) {
        uint64_t middle = (low + high + 1) / 2;
        if (a->rank[middle] <= i) low = middle;
        else high = middle - 1;
    }
    return low;
}

/* The word of the block that holds member i, and how many members of that word stand before it: sums over all words of
 * the block instead of a search, so that no branch depends on the data. */
static uint64_t find_word(const rt_rows *a, uint64_t block, uint64_t i, uint64_t *before)
{
    uint64_t k = i - a->rank[block], sum = 0, skipped = 0, w = 0;
    const uint64_t *word = a->word + block * BLOCK;
    for (int n = 0; n < BLOCK - 1; n++) {
        sum += ones_in(word[n]);
        w += sum <= k;
        skipped = sum <= k ? sum : skipped;
    }
    *before = k - skipped;
    return block * BLOCK + w;
}

static uint64_t member(const rt_rows *a, uint64_t block, uint64_t i)
{
    uint64_t k, w = find_word(a, block, i, &k);
    return (a->first / 64 + w) * 64 + place_of(a->word[w], k);
}

uint64_t rt_rows_at(const rt_rows *a, uint64_t i) { return a->word ? member(a, find_block(a, i), i) : a->first + i; }

void rt_rows_pick(const rt_rows *a, uint64_t *i, int n)
{
    if (!a->word) {
        for (int k = 0; k < n; k++) i[k] += a->first;
        return;
    }
    for (int at = 0; at < n; at += PICK) {               /* each step's memory is asked for a step ahead */
        uint64_t *part = i + at, block[PICK];
        int m = n - at < PICK ? n - at : PICK;
        for (int k = 0; k < m; k++) __builtin_prefetch(&a->hint[part[k] / HINT]);
        for (int k = 0; k < m; k++) __builtin_prefetch(&a->rank[a->hint[part[k] / HINT]]);
        for (int k = 0; k < m; k++) __builtin_prefetch(&a->word[(block[k] = find_block(a, part[k])) * BLOCK]);
        for (int k = 0; k < m; k++) part[k] = member(a, block[k], part[k]);
    }
}

void rt_rows_list(const rt_rows *a, uint64_t i, uint64_t n, uint64_t *row)
{
    if (!n) return;
    if (!a->word) {
        for (uint64_t k = 0; k < n; k++) row[k] = a->first + i + k;
        return;
    }
    uint64_t k, w = find_word(a, find_block(a, i), i, &k), rest = a->word[w] & ones_from(place_of(a->word[w], k));
    for (uint64_t at = 0; at < n;) {
        for (; rest && at < n; rest &= rest - 1) row[at++] = (a->first / 64 + w) * 64 + (uint64_t)__builtin_ctzll(rest);
        if (at < n) rest = a->word[++w];
    }
}

uint64_t rt_rows_below(const rt_rows *a, uint64_t row)
{
    if (row <= a->first) return 0;
    if (row >= a->end) return a->count;
    if (!a->word) return row - a->first;
    uint64_t word = row / 64 - a->first / 64, w = word / BLOCK * BLOCK, n = a->rank[word / BLOCK];
    for (; w < word; w++) n += ones_in(a->word[w]);
    return n + ones_in(a->word[word] & ~ones_from(row % 64));
}

int rt_rows_has(const rt_rows *a, uint64_t row)
{
    return row >= a->first && row < a->end && (word_at(a, row / 64) >> row % 64 & 1);
}

/* ---- algebra ---- */

/* From a mask of places among the members to the mask of those members. */
static rt_status members_at(const rt_rows *from, rt_rows *mask)
{
    rt_rows place = *mask;
    uint64_t at = 0;
    rt_status st = make_mask(mask, from->first, from->end);
    for (uint64_t w = 0; w < words_of(from) && !st; w++)
        for (uint64_t rest = word_at(from, from->first / 64 + w); rest; rest &= rest - 1, at++)
            if (place.word[at / 64] >> at % 64 & 1) mask->word[w] |= rest & -rest;
    free(place.word);
    return st ? st : index_or_free(mask);
}

/* Members of `from` that the keyed permutation takes to [low, high), to *drawn. */
static rt_status draw_between(rt_rows *from, uint64_t low, uint64_t high, uint64_t seed, rt_rng_purpose purpose,
                              rt_rows *drawn)
{
    rt_permutation p = {0};
    rt_rows side;
    RT_TRY(rt_permutation_set(&p, from->count, seed, purpose, 0, 0));
    rt_status st = make_mask(&side, 0, from->count);
    for (uint64_t j = low; j < high && !st; j++) {
        uint64_t i = rt_permutation_from(&p, j);
        side.word[i / 64] |= (uint64_t)1 << i % 64;
        if (!(j & ((1 << 20) - 1))) st = rt_check_stop();
    }
    rt_permutation_free(&p);
    if (!st) st = members_at(from, &side);
    if (!st) st = rt_rows_remove(from, &side);
    if (st) rt_rows_free(&side);
    else *drawn = side;
    return st;
}

rt_status rt_rows_draw(rt_rows *from, double part, uint64_t seed, rt_rng_purpose purpose, const char *what,
                       rt_rows *drawn)
{
    uint64_t n = from->count, take = part < 1 ? (uint64_t)((double)n * part) : (uint64_t)part;
    *drawn = (rt_rows){0};
    if (take >= n && n)
        return rt_fail(RT_USAGE, "%s takes %llu of %llu rows, which leaves none to train on", what,
                       (unsigned long long)take, (unsigned long long)n);
    if (!take || !n) return RT_OK;
    /* The permutation backwards, from the smaller of the two sides. */
    uint64_t low = take <= n / 2 ? 0 : take, high = take <= n / 2 ? take : n;
    rt_rows side;
    RT_TRY(draw_between(from, low, high, seed, purpose, &side));
    if (low) {
        *drawn = *from;
        *from = side;
    } else *drawn = side;
    return RT_OK;
}

static rt_status draw_fold(const rt_rows_config *c, rt_rows *from, rt_rows *drawn)
{
    uint64_t n = from->count, f = (uint64_t)c->fold, k = (uint64_t)c->folds;
    if (n < k)
        return rt_fail(RT_USAGE, "data.fold: %llu rows make no %d folds", (unsigned long long)n, c->folds);
    /* n can be near 2^64: f n / k without n times f */
    uint64_t low = n / k * f + n % k * f / k, high = n / k * (f + 1) + n % k * (f + 1) / k;
    return draw_between(from, low, high, c->test_seed, RT_RNG_HELD, drawn);
}

rt_status rt_rows_select(const rt_rows_config *c, uint64_t source_rows, rt_rows *others, rt_rows *test)
{
    *test = (rt_rows){0};
    RT_TRY(rt_rows_range(others, c->range, source_rows));
    rt_digest folds;
    if (c->folds && c->by && *c->by) return rt_row_folds_take(c, source_rows, others, test, &folds);
    if (c->folds) return draw_fold(c, others, test);
    return rt_rows_draw(others, c->test, c->test_seed, RT_RNG_HELD, "data.test", test);
}

rt_status rt_rows_add(rt_rows *to, const rt_rows *these)
{
    if (rt_rows_common(to, these) == these->count) return RT_OK;
    rt_rows all;
    uint64_t first = !to->count || these->first < to->first ? these->first : to->first;
    uint64_t end = these->end > to->end ? these->end : to->end;
    RT_TRY(make_mask(&all, first, end));
    for (uint64_t w = 0; w < words_of(&all); w++)
        all.word[w] = word_at(to, first / 64 + w) | word_at(these, first / 64 + w);
    RT_TRY(index_or_free(&all));
    rt_rows_free(to);
    *to = all;
    return RT_OK;
}

rt_status rt_rows_remove(rt_rows *from, const rt_rows *these)
{
    if (!rt_rows_common(from, these)) return RT_OK;
    rt_rows rest;
    RT_TRY(make_mask(&rest, from->first, from->end));
    for (uint64_t w = 0; w < words_of(from); w++)
        rest.word[w] = word_at(from, from->first / 64 + w) & ~word_at(these, from->first / 64 + w);
    RT_TRY(index_or_free(&rest));
    rt_rows_free(from);
    *from = rest;
    return RT_OK;
}

uint64_t rt_rows_common(const rt_rows *a, const rt_rows *b)
{
    uint64_t n = 0, first = a->first > b->first ? a->first : b->first, end = minimum(a->end, b->end);
    if (first >= end) return 0;
    for (uint64_t w = first / 64; w <= (end - 1) / 64; w++) n += ones_in(word_at(a, w) & word_at(b, w));
    return n;
}
