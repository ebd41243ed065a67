/* experiments/drift/drift_cells.c - the cells of columns: numbers of rows, and how often they lie where. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/clock.h"
#include "engine/convert.h"
#include "experiments/drift/drift_parts.h"

enum { ROWS_A_TILE = 32, POOL_BITS = 29 /* samples and cells of all columns: 2^29 bytes */,
       MOST_SAMPLED = 1 << 17 /* rows of a side: then cells have about 4 in a million of them */ };

static rt_status no_memory(void) { return rt_fail(RT_RUN, "out of memory"); }

/* ---- cells ---- */

typedef struct {
    rt_drift_work *w;
    const rt_drift_field *f;
    int side, n;
    const uint64_t *row;
    const char *raw;
    double *cells, *room;              /* room: (threads, elements) */
    size_t elements;
} filling;

static void fill_picture(const filling *q, const double *v, double *out)
{
    int h, w, c, n = q->n;
    rt_shape_hwc(&q->f->side[q->side].shape, &h, &w, &c);
    size_t pixels = (size_t)h * (size_t)w;
    double sum = 0, square = 0, least = INFINITY, most = -INFINITY, edge = 0, edge2 = 0;
    for (size_t i = 0; i < pixels * (size_t)c; i++) {
        sum += v[i];
        least = fmin(least, v[i]);
        most = fmax(most, v[i]);
    }
    double mean = sum / (double)(pixels * (size_t)c), inside = 0;
    for (size_t i = 0; i < pixels * (size_t)c; i++) square += (v[i] - mean) * (v[i] - mean);
    /* The Laplacian of the channels' sum, where all neighbours are there. */
    int high = h > 2, wide = w > 2;
    for (int y = high; y < h - high; y++)
        for (int x = wide; x < w - wide && (high || wide); x++) {
            double l = 0;
            for (int k = 0; k < c; k++) {
                const double *p = v + ((size_t)y * (size_t)w + (size_t)x) * (size_t)c + (size_t)k;
                if (wide) l += p[-c] + p[c] - 2 * p[0];
                if (high) l += p[-(ptrdiff_t)w * c] + p[(ptrdiff_t)w * c] - 2 * p[0];
            }
            l /= c;
            edge += l;
            edge2 += l * l;
            inside++;
        }
    double of_edge = inside > 0 ? edge / inside : NAN;
    out[0] = mean;
    out[n] = sqrt(square / (double)(pixels * (size_t)c));
    out[2 * n] = inside > 0 ? edge2 / inside - of_edge * of_edge : NAN;
    out[3 * n] = isnan(mean) ? NAN : least;
    out[4 * n] = isnan(mean) ? NAN : most;
    for (int k = 0; k < c && q->f->width > 5; k++) {
        double own = 0, away = 0;
        for (size_t i = 0; i < pixels; i++) own += v[i * (size_t)c + (size_t)k];
        own /= (double)pixels;
        for (size_t i = 0; i < pixels; i++) {
            double d = v[i * (size_t)c + (size_t)k] - own;
            away += d * d;
        }
        out[(5 + 2 * k) * n] = own;
        out[(6 + 2 * k) * n] = sqrt(away / (double)pixels);
    }
}

/* One of `count` places of a row, by the row's number. */
static size_t draw_place(const filling *q, int r, size_t count)
{
    uint32_t w[4];
    uint64_t row = q->row[r];
    rt_random4(w, q->w->seed, RT_RNG_DRIFT, 1, (uint32_t)q->side, (uint32_t)(row >> 32), (uint32_t)row);
    return (size_t)(((uint64_t)w[0] << 16 | w[1] >> 16) % count);
}

static void fill_tokens(const filling *q, const double *v, int r, double *out)
{
    size_t length = q->elements;
    while (length && v[length - 1] == 0) length--;
    out[0] = (double)length;
    out[q->n] = length ? v[draw_place(q, r, length)] : NAN;
}

static void fill_label(const filling *q, const double *v, double *out)
{
    const rt_drift_field *f = q->f;
    int at = f->side[q->side].at;
    for (int i = 0; i < f->width; i++) {
        double x = v[at >= 0 ? at : i];
        int category = q->w->column[f->first].category;
        if (category && (x == RT_NO_LABEL || !(fabs(x) < 0x1p53))) x = NAN;
        out[i * q->n] = x;
    }
}

static void fill_tile(void *arg, int tile, int thread)
{
    filling *q = arg;
    const rt_drift_field *f = q->f;
    const rt_source *set = f->side[q->side].set;
    const int *pick = f->side[q->side].pick;
    size_t bytes = rt_source_row_bytes(set);
    double *v = q->room + (size_t)thread * q->elements;
    for (int r = tile * ROWS_A_TILE; r < q->n && r < (tile + 1) * ROWS_A_TILE; r++) {
        double *out = q->cells + r;
        rt_to_double(v, q->raw + (size_t)r * bytes, rt_source_type(set), q->elements);
        if (f->make == RT_DRIFT_PICTURE) fill_picture(q, v, out);
        else if (f->make == RT_DRIFT_TOKENS) fill_tokens(q, v, r, out);
        else if (f->make == RT_DRIFT_LABEL) fill_label(q, v, out);
        else for (int i = 0; i < f->width; i++) out[(size_t)i * (size_t)q->n] = v[pick[i]];
    }
}

/* Words are numbered in the order of their rows, so that numbers do not depend on threads. */
static rt_status fill_words(const filling *q)
{
    size_t bytes = rt_source_row_bytes(q->f->side[q->side].set);
    static const char space[] = " \t\r\n\f\v";
    for (int r = 0; r < q->n; r++) {
        const char *text = q->raw + (size_t)r * bytes;
        size_t n = strnlen(text, bytes), words = 0, letters = 0;
        double *out = q->cells + r;
        if (q->f->make == RT_DRIFT_WORD) {
            int at = n ? rt_drift_word(q->f->words, text, n) : 0;
            if (at < 0) return no_memory();
            *out = n ? at : NAN;
            continue;
        }
        for (size_t i = 0; i < n; i++) {
            letters += ((unsigned char)text[i] & 0xc0) != 0x80;
            words += !strchr(space, text[i]) && (i == 0 || strchr(space, text[i - 1]));
        }
        out[0] = (double)letters;
        out[q->n] = (double)words;
        out[2 * q->n] = NAN;
        size_t want = words ? draw_place(q, r, words) : 0, seen = 0;
        for (size_t i = 0, end; i < n && words; i = end + 1) {
            for (end = i; end < n && !strchr(space, text[end]); end++) {}
            if (end == i || seen++ != want) continue;
            int at = rt_drift_word(q->f->words, text + i, end - i);
            if (at < 0) return no_memory();
            out[2 * q->n] = at;
        }
    }
    return RT_OK;
}

/* Labels of a file that names its classes become the names' numbers; of one that does not, their own numbers' names. */
static rt_status name_labels(const filling *q)
{
    const rt_drift_field *f = q->f;
    char text[32];
    for (int r = 0; r < q->n && f->words; r++) {
        double v = q->cells[r];
        if (isnan(v)) continue;
        if (f->side[q->side].word && !(v >= 0 && v < f->side[q->side].classes && v == floor(v)))
            return rt_fail(RT_INPUT, "%s: row %llu of '%s' is %.9g, but the file names %d classes (from 0)",
                           rt_source_path(f->side[q->side].set), (unsigned long long)q->row[r], f->name, v,
                           f->side[q->side].classes);
        if (v != floor(v))
            return rt_fail(RT_INPUT, "%s: row %llu of '%s' is %.9g, which is no class number",
                           rt_source_path(f->side[q->side].set), (unsigned long long)q->row[r], f->name, v);
        snprintf(text, sizeof text, "%.0f", v);
        int at = f->side[q->side].word ? f->side[q->side].word[(int)v] : rt_drift_word(f->words, text, strlen(text));
        if (at < 0) return no_memory();
        q->cells[r] = at;
    }
    return RT_OK;
}

rt_status rt_drift_cells(rt_drift_work *w, const rt_drift_field *f, int side, const uint64_t *row, int n, double *cells)
{
    rt_source *set = f->side[side].set;
    size_t bytes = rt_source_row_bytes(set);
    int words = f->make == RT_DRIFT_TEXT || f->make == RT_DRIFT_WORD;
    size_t elements = words ? 1 : bytes / rt_dtype_size(rt_source_type(set));
    rt_pool *pool = rt_device_pool(w->device);
    char *raw = malloc((size_t)n * bytes + 8);
    double *room = malloc((size_t)rt_device_threads(w->device) * elements * sizeof *room);
    filling q = {w, f, side, n, row, raw, cells, room, elements};
    rt_status st = raw && room ? rt_source_read(set, row, n, raw) : no_memory();
    if (!st && words) st = fill_words(&q);
    else if (!st) rt_pool_run(pool, (n + ROWS_A_TILE - 1) / ROWS_A_TILE, fill_tile, &q);
    if (!st && f->make == RT_DRIFT_LABEL) st = name_labels(&q);
    free(raw);
    free(room);
    return st;
}

/* ---- counting ---- */

typedef struct {
    rt_drift_work *w;
    int first, side, n, exact;
    double *cells;                     /* (columns, n) */
    uint64_t pooled;                   /* values of a column in the pool */
    rt_status st;
} adding;

static void add_tile(void *arg, int tile, int thread)
{
    adding *a = arg;
    (void)thread;
    rt_drift_column_add(&a->w->column[a->first + tile], a->side, a->cells + (size_t)tile * (size_t)a->n, a->n);
}

static void cells_tile(void *arg, int tile, int thread)
{
    adding *a = arg;
    (void)thread;
    rt_drift_column *c = &a->w->column[a->first + tile];
    if (rt_drift_column_cells(c, a->cells + (size_t)tile * a->pooled, a->pooled, a->exact)) c->failed = 1;
}

static rt_status any_failed(const rt_drift_work *w)
{
    for (int i = 0; i < w->columns; i++) if (w->column[i].failed) return no_memory();
    return RT_OK;
}

/* Rows of a block: small ones that large rows still fit. */
static int block_of(const rt_drift_work *w)
{
    size_t widest = 1;
    for (int i = 0; i < w->fields; i++)
        for (int s = 0; s < RT_DRIFT_SIDES; s++) {
            size_t bytes = rt_source_row_bytes(w->field[i].side[s].set) + 8 * (size_t)w->field[i].width;
            if (bytes > widest) widest = bytes;
        }
    size_t n = ((size_t)1 << 26) / widest;
    return n < 1 ? 1 : n > RT_DRIFT_BLOCK ? RT_DRIFT_BLOCK : (int)n;
}

/* A sample of both sides makes the cells of numbers: of all rows, where they are few. */
static rt_status make_cells(rt_drift_work *w, int block)
{
    uint64_t most = ((uint64_t)1 << POOL_BITS) / 64 / (uint64_t)(w->streamed ? w->streamed : 1), taken[RT_DRIFT_SIDES];
    rt_rows of[RT_DRIFT_SIDES] = {{0}};
    uint64_t *row = malloc((size_t)block * sizeof *row);
    rt_status st = row ? RT_OK : no_memory();
    if (most < 1000) most = 1000;
    if (most > MOST_SAMPLED) most = MOST_SAMPLED;
    for (int s = 0; s < RT_DRIFT_SIDES && !st; s++) {
        rt_rows all = rt_rows_between(0, w->side[s].rows);
        if (all.count <= most) of[s] = all;
        else st = rt_rows_draw(&all, (double)most, w->seed + 2 + (uint64_t)s, RT_RNG_DRIFT, "sample", &of[s]);
        taken[s] = of[s].count;
        if (all.word) rt_rows_free(&all);
    }
    int exact = !st && taken[0] == w->side[0].rows && taken[1] == w->side[1].rows;
    for (int i = 0; i < w->fields && !st; i++) {
        const rt_drift_field *f = &w->field[i];
        uint64_t pooled = taken[0] + taken[1], at = 0;
        double *pool = malloc((size_t)pooled * (size_t)f->width * sizeof *pool + 8);
        double *cells = malloc((size_t)block * (size_t)f->width * sizeof *cells + 8);
        if (!pool || !cells) st = no_memory();
        for (int s = 0; s < RT_DRIFT_SIDES && !st; s++)
            for (uint64_t done = 0; done < taken[s] && !st; done += (uint64_t)block) {
                int n = taken[s] - done < (uint64_t)block ? (int)(taken[s] - done) : block;
                rt_rows_list(&of[s], done, (uint64_t)n, row);
                rt_rows_pick(&w->side[s].data.rows, row, n);
                st = rt_drift_cells(w, f, s, row, n, cells);
                for (int c = 0; c < f->width && !st; c++)
                    memcpy(pool + (size_t)c * pooled + at, cells + (size_t)c * (size_t)n, (size_t)n * sizeof *cells);
                at += (uint64_t)n;
                if (!st) st = rt_check_stop();
            }
        adding a = {.w = w, .first = f->first, .exact = exact, .cells = pool, .pooled = pooled};
        if (!st) rt_pool_run(rt_device_pool(w->device), f->width, cells_tile, &a);
        if (!st) st = any_failed(w);
        free(pool);
        free(cells);
    }
    for (int s = 0; s < RT_DRIFT_SIDES; s++) if (of[s].word) rt_rows_free(&of[s]);
    free(row);
    return st;
}

static rt_status count_held(rt_drift_work *w)
{
    for (int i = 0; i < w->helds; i++) {
        uint64_t n = w->held_rows[0], m = w->held_rows[1];
        double *pool = malloc((size_t)(n + m + 1) * sizeof *pool);
        if (!pool) return no_memory();
        memcpy(pool, w->held[0] + (uint64_t)i * n, (size_t)n * sizeof *pool);
        memcpy(pool + n, w->held[1] + (uint64_t)i * m, (size_t)m * sizeof *pool);
        rt_drift_column *c = &w->column[w->streamed + i];
        rt_status st = rt_drift_column_cells(c, pool, n + m, 1);
        free(pool);
        if (st) return st;
        for (int s = 0; s < RT_DRIFT_SIDES; s++)
            for (uint64_t r = 0; r < w->held_rows[s]; r += RT_DRIFT_BLOCK) {
                uint64_t left = w->held_rows[s] - r;
                rt_drift_column_add(c, s, w->held[s] + (uint64_t)i * w->held_rows[s] + r,
                                    (int)(left < RT_DRIFT_BLOCK ? left : RT_DRIFT_BLOCK));
            }
    }
    return any_failed(w);
}

rt_status rt_drift_count(rt_drift_work *w)
{
    int block = block_of(w), width = 1;
    RT_TRY(count_held(w));
    if (!w->fields) return RT_OK;
    RT_TRY(make_cells(w, block));
    for (int i = 0; i < w->fields; i++) if (w->field[i].width > width) width = w->field[i].width;
    uint64_t *row = malloc((size_t)block * sizeof *row);
    double *cells = malloc((size_t)block * (size_t)width * sizeof *cells), since = rt_seconds();
    rt_status st = row && cells ? RT_OK : no_memory();
    for (int s = 0; s < RT_DRIFT_SIDES && !st; s++)
        for (uint64_t done = 0; done < w->side[s].rows && !st; done += (uint64_t)block) {
            int n = w->side[s].rows - done < (uint64_t)block ? (int)(w->side[s].rows - done) : block;
            rt_rows_list(&w->side[s].data.rows, done, (uint64_t)n, row);
            for (int i = 0; i < w->fields && !st; i++) {
                adding a = {.w = w, .first = w->field[i].first, .side = s, .n = n, .cells = cells};
                st = rt_drift_cells(w, &w->field[i], s, row, n, cells);
                if (!st) rt_pool_run(rt_device_pool(w->device), w->field[i].width, add_tile, &a);
            }
            if (!st) st = any_failed(w);
            if (!st) st = rt_check_stop();
            double spent = rt_seconds() - since, rows = (double)done + n + (s ? (double)w->side[0].rows : 0);
            rt_progress_update(w->progress, "drift", rows, (double)w->side[0].rows + (double)w->side[1].rows,
                               spent > 0 ? rows / spent : 0, "rows", "");
        }
    free(row);
    free(cells);
    for (int s = 0; s < RT_DRIFT_SIDES && !st; s++) st = rt_identity_unchanged(w->side[s].data.identity);
    return st;
}
