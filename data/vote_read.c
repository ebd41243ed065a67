/* data/vote_read.c - voters: stores and columns, their classes, rows and votes. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data/vote_parts.h"

enum { BLOCK = RT_LABEL_BLOCK };

static char *copy(const char *text, size_t n)
{
    char *out = malloc(n + 1);
    if (!out) rt_out_of_memory();
    memcpy(out, text, n);
    out[n] = 0;
    return out;
}

static void drop(rt_voter *v)
{
    rt_labels_close(v->labels);
    rt_targets_close(v->targets);
    free(v->path);
    free(v->set);
    free(v->name);
    *v = (rt_voter){0};
}

/* "FILE", or "FILE:SET" where no file has the whole name. */
static rt_status parse(const char *said, rt_voter *v)
{
    int whole;
    const char *colon = strrchr(said, ':');
    *v = (rt_voter){.column = -1};
    RT_TRY(rt_file_there(said, &whole));
    size_t n = colon && !whole ? (size_t)(colon - said) : strlen(said);
    v->path = copy(said, n);
    if (said[n]) v->set = copy(colon + 1, strlen(colon + 1));
    v->name = copy(said, strlen(said));
    if (v->set && (!n || !*v->set))
        return rt_fail(RT_USAGE, "'%s': a label store, or DATA.h5:SET, is expected", said);
    return RT_OK;
}

static rt_status too_many(void) { return rt_fail(RT_USAGE, "more than %d voters", RT_VOTERS); }

/* A set of several columns is as many voters. */
static rt_status add_columns(rt_vote_run *r, rt_voter *v)
{
    rt_source *s;
    RT_TRY(rt_source_open(&s, v->path, v->set));
    const rt_h5_dataset *d = rt_source_info(s);
    uint64_t columns = d->rank == 2 ? d->dim[1] : 1;
    rt_source_close(s);
    if (columns > (uint64_t)(RT_VOTERS - r->voters)) return too_many();
    if (columns == 1) {
        r->voter[r->voters++] = *v;
        *v = (rt_voter){0};
        return RT_OK;
    }
    for (int i = 0; i < (int)columns; i++) {
        size_t room = strlen(v->name) + 16;
        rt_voter *one = &r->voter[r->voters++];
        *one = (rt_voter){.path = copy(v->path, strlen(v->path)), .set = copy(v->set, strlen(v->set)), .column = i};
        one->name = malloc(room);
        if (!one->name) rt_out_of_memory();
        snprintf(one->name, room, "%s[%d]", v->name, i);
    }
    return RT_OK;
}

static rt_status add_voter(rt_vote_run *r, const char *said)
{
    rt_voter v;
    rt_status st = parse(said, &v);
    if (!st && v.set) st = add_columns(r, &v);
    else if (!st && r->voters == RT_VOTERS) st = too_many();
    else if (!st && !(st = rt_labels_open(&v.labels, v.path, 0))) {
        int heads;
        const rt_head *head = rt_labels_heads(v.labels, &heads);
        if (heads != 1 || head[0].task != RT_TASK_CLASSES)
            st = rt_fail(RT_INPUT, "%s: voters have one head of classes, and this store has another answer", v.path);
        if (!st) r->voter[r->voters++] = v;
    }
    if (st || v.set) drop(&v);
    return st;
}

static rt_voter *first_store(rt_vote_run *r)
{
    for (int i = 0; i < r->voters; i++) if (r->voter[i].labels) return &r->voter[i];
    return NULL;
}

/* ---- whose rows ---- */

static rt_status open_source(rt_vote_run *r)
{
    rt_voter *store = first_store(r);
    if (!r->x.source && store) {
        const cJSON *m = rt_labels_manifest(store->labels);
        const cJSON *paths = cJSON_GetObjectItemCaseSensitive(m, "paths");
        const cJSON *source = cJSON_GetObjectItemCaseSensitive(m, "source");
        r->x.source = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(paths, "source"));
        const char *set = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(source, "dataset"));
        if (!r->x.given && set) r->x.set = set;
    } else if (!r->x.source) r->x.source = r->voter[0].path;
    if (!r->x.source || !*r->x.source)
        return rt_fail(RT_USAGE, "vote: --data DATA.h5 is required: the rows that are voted on");
    RT_TRY(rt_x_open(&r->source, &r->x));
    RT_TRY(rt_identity_open(&r->identity, r->source, r->check));
    r->rows = rt_source_rows(r->source);
    if (!store) return RT_OK;
    const rt_labels_spec *s = rt_labels_info(store->labels);
    r->first = s->first;
    r->rows = s->rows;
    return RT_OK;
}

static rt_status check_stores(rt_vote_run *r, rt_pool *pool, const rt_progress *progress)
{
    for (int i = 0; i < r->voters; i++) {
        if (!r->voter[i].labels) continue;
        const rt_labels_spec *s = rt_labels_info(r->voter[i].labels);
        if (s->first != r->first || s->rows != r->rows)
            return rt_fail(RT_INPUT, "%s: votes on rows %" PRIu64 ":%" PRIu64 ", %s on %" PRIu64 ":%" PRIu64
                           "; voters have the same rows", r->voter[i].path, s->first, s->first + s->rows,
                           first_store(r)->path, r->first, r->first + r->rows);
        RT_TRY(rt_labels_check_source(r->voter[i].labels, r->identity, pool, progress));
    }
    return RT_OK;
}

/* ---- which classes ---- */

static rt_status open_targets(rt_vote_run *r, rt_voter *v, const rt_head *head)
{
    rt_target_where w = {.source = v->path, .set = v->set, .column = v->column, .only = 1};
    RT_TRY(rt_targets_open_head(&v->targets, r->source, &w, head, r->match));
    rt_targets_limit(v->targets, r->first, r->first + r->rows);
    return RT_OK;
}

/* One more than the largest class that any column says. */
static rt_status count_classes(rt_vote_run *r, int *classes)
{
    rt_head any[RT_MAX_HEADS];
    uint64_t row[BLOCK];
    int32_t y[BLOCK];
    int n = 0, most = 1;
    RT_TRY(rt_heads_add(any, &n, "y", RT_TASK_CLASSES, RT_VOTE_CLASSES));
    rt_status st = RT_OK;
    for (int i = 0; i < r->voters && !st; i++) {
        st = open_targets(r, &r->voter[i], &any[0]);
        for (uint64_t at = 0; at < r->rows && !st; at += BLOCK) {
            int rows = r->rows - at < BLOCK ? (int)(r->rows - at) : BLOCK;
            for (int k = 0; k < rows; k++) row[k] = r->first + at + (uint64_t)k;
            st = rt_targets_read(r->voter[i].targets, row, rows, y);
            for (int k = 0; k < rows && !st; k++) if (y[k] > most) most = y[k];
            if (!st) st = rt_check_stop();
        }
        rt_targets_close(r->voter[i].targets);
        r->voter[i].targets = NULL;
    }
    rt_heads_free(any, n);
    *classes = most + 1;
    return st;
}

/* Of a voter, in place of what there was; or none. */
static rt_status names_of(const rt_voter *v, rt_names *names)
{
    rt_source *s;
    rt_names_free(names);
    RT_TRY(rt_source_open(&s, v->path, v->set));
    rt_status st = rt_targets_named(rt_source_file(s), v->set, 1) ? rt_names_read(rt_source_file(s), names, NULL)
                                                                 : RT_OK;
    rt_source_close(s);
    return st;
}

/* The classes of the first store; else those that the file of a column names; else, by position, those of the data;
 * else numbers. */
static rt_status find_classes(rt_vote_run *r)
{
    rt_voter *store = first_store(r);
    rt_names names = {0};
    int classes = 0;
    rt_status st = RT_OK;
    if (store) {
        int heads;
        const rt_head *head = rt_labels_heads(store->labels, &heads);
        classes = head->size;
        st = head->names.name ? rt_names_copy(&names, &head->names) : RT_OK;
    }
    for (int i = 0; i < r->voters && !store && !names.name && !st; i++) st = names_of(&r->voter[i], &names);
    if (!st && !names.name) rt_names_free(&names);
    if (!st && !names.name && !store && r->match == RT_MATCH_POSITION)
        st = rt_names_read(rt_source_file(r->source), &names, NULL);
    if (!st && names.name) classes = names.count;
    if (!st && !classes) st = count_classes(r, &classes);
    if (!st && (classes < 2 || classes > RT_VOTE_CLASSES))
        st = rt_fail(RT_INPUT, "%s: has %d classes; voters vote on 2 to %d", r->voter[0].path, classes,
                     RT_VOTE_CLASSES);
    if (!st) st = rt_heads_add(r->head, &r->heads, "y", RT_TASK_CLASSES, classes);
    if (!st && names.name) {
        rt_names_free(&r->head[0].names);
        r->head[0].names = names;
        names = (rt_names){0};
    }
    rt_names_free(&names);
    return st;
}

static rt_status match_voter(rt_vote_run *r, rt_voter *v)
{
    if (!v->labels) return open_targets(r, v, &r->head[0]);
    int count;
    const rt_head *own = rt_labels_heads(v->labels, &count);
    if (own->size != r->head[0].size)
        return rt_fail(RT_INPUT, "%s: has %d classes, %s has %d; voters choose among the same", v->path, own->size,
                       first_store(r)->path, r->head[0].size);
    rt_head asked = r->head[0];
    asked.name = own->name;
    return rt_labels_set_heads(v->labels, &asked, 1, first_store(r)->path, r->match);
}

/* ---- votes ---- */

static rt_status read_store(rt_vote_run *r, int i, float *z)
{
    uint64_t row[BLOCK];
    unsigned char status[BLOCK];
    rt_labels *l = r->voter[i].labels;
    int classes = r->head[0].size;
    for (uint64_t at = 0; at < r->rows; at += BLOCK) {
        int rows = r->rows - at < BLOCK ? (int)(r->rows - at) : BLOCK, n = 0;
        uint64_t labelled[BLOCK];
        for (int k = 0; k < rows; k++) row[k] = r->first + at + (uint64_t)k;
        RT_TRY(rt_labels_status(l, row, rows, status));
        for (int k = 0; k < rows; k++) if (rt_label_is_there(status[k])) labelled[n++] = row[k];
        if (n) RT_TRY(rt_labels_read(l, labelled, n, z));
        for (int k = 0; k < n; k++) {
            const float *one = z + (size_t)k * (size_t)classes;
            int best = 0;
            for (int c = 1; c < classes; c++) if (one[c] > one[best]) best = c;
            rt_votes_put(&r->votes, labelled[k] - r->first, i, best);
        }
        r->voter[i].votes += (uint64_t)n;
        RT_TRY(rt_check_stop());
    }
    return RT_OK;
}

static rt_status read_column(rt_vote_run *r, int i)
{
    uint64_t row[BLOCK];
    int32_t y[BLOCK];
    for (uint64_t at = 0; at < r->rows; at += BLOCK) {
        int rows = r->rows - at < BLOCK ? (int)(r->rows - at) : BLOCK;
        for (int k = 0; k < rows; k++) row[k] = r->first + at + (uint64_t)k;
        RT_TRY(rt_targets_read(r->voter[i].targets, row, rows, y));
        for (int k = 0; k < rows; k++) {
            if (y[k] == RT_NO_LABEL) continue;
            rt_votes_put(&r->votes, at + (uint64_t)k, i, y[k]);
            r->voter[i].votes++;
        }
        RT_TRY(rt_check_stop());
    }
    return RT_OK;
}

static rt_status read_votes(rt_vote_run *r)
{
    rt_status st = rt_votes_new(&r->votes, r->rows, r->voters, r->head[0].size);
    float *z = malloc((size_t)BLOCK * (size_t)r->head[0].size * sizeof *z);
    if (!st && !z) st = rt_fail(RT_RUN, "out of memory");
    for (int i = 0; i < r->voters && !st; i++) st = r->voter[i].labels ? read_store(r, i, z) : read_column(r, i);
    free(z);
    return st;
}

rt_status rt_vote_open(rt_vote_run *r, rt_pool *pool, const rt_progress *progress)
{
    for (int i = 0; i < r->said_count; i++) RT_TRY(add_voter(r, r->said[i]));
    RT_TRY(open_source(r));
    if (!r->rows) return rt_fail(RT_NOTHING, "%s: there are no rows to vote on", r->x.source);
    RT_TRY(find_classes(r));
    for (int i = 0; i < r->voters; i++) RT_TRY(match_voter(r, &r->voter[i]));
    RT_TRY(check_stores(r, pool, progress));
    if (*r->truth_at) {
        RT_TRY(parse(r->truth_at, &r->truth));
        if (!r->truth.set)
            return rt_fail(RT_USAGE, "truth: '%s': DATA.h5:SET is expected, a set of classes", r->truth_at);
        RT_TRY(open_targets(r, &r->truth, &r->head[0]));
    }
    return read_votes(r);
}

void rt_vote_close(rt_vote_run *r)
{
    for (int i = 0; i < r->voters; i++) drop(&r->voter[i]);
    drop(&r->truth);
    rt_identity_close(r->identity);
    rt_source_close(r->source);
    rt_heads_free(r->head, r->heads);
    rt_votes_free(&r->votes);
    free(r->prior);
}
