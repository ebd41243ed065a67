/* data/vote_job.c - a model of voters is fitted, its soft labels are stored, and what was found is told. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data/provenance.h"
#include "data/source_files.h"
#include "data/vote_parts.h"
#include "engine/version.h"

static const float floor_of_logits = -30;
static const char *const methods[] = {"majority", "dawid-skene", "one-coin", NULL};

static rt_status read_config(cJSON *config, rt_vote_run *r)
{
    rt_cfg c = rt_cfg_begin(config, "");
    r->said_count = rt_cfg_strings(&c, "voters", r->said, RT_VOTERS);
    if (!r->said_count) rt_cfg_fail(&c, "voters", "label stores, or DATA.h5:SET, are required");
    r->truth_at = rt_cfg_string(&c, "truth", "");
    rt_cfg d = rt_cfg_object(&c, "data");
    const char *source = rt_cfg_has(&d, "source") ? rt_cfg_source(&d, "source", NULL) : "";
    rt_x_where_read(&d, source, &r->x);
    if (!*source) r->x.source = NULL;
    r->check = rt_check_read(&d);
    r->match = rt_match_read(&d);
    rt_cfg_join(&c, &d);
    rt_cfg v = rt_cfg_object(&c, "vote");
    r->options.method = (rt_vote_method)rt_cfg_choice(&v, "method", methods, RT_VOTE_DAWID_SKENE);
    r->options.tolerance = rt_cfg_number(&v, "tolerance", 1e-9, 0, 1);
    r->options.iterations = rt_cfg_int(&v, "iterations", 1000, 1, 1 << 20);
    r->options.stop = rt_stopped;
    r->priors = rt_cfg_has(&v, "priors") ? rt_cfg_any(&v, "priors") : NULL;
    if (r->priors && r->options.method == RT_VOTE_MAJORITY)
        rt_cfg_fail(&v, "priors", "a majority has none; leave it out, or choose another vote.method");
    rt_cfg_join(&c, &v);
    rt_cfg l = rt_cfg_object(&c, "labels");
    rt_labels_spec_config(&l, &r->kept);
    rt_cfg_join(&c, &l);
    return rt_cfg_end(&c);
}

rt_status rt_vote_check(cJSON *config)
{
    rt_vote_run r = {0};
    return read_config(config, &r);
}

/* "learn" (also by default), "uniform", or a share for each class. */
static rt_status read_priors(rt_vote_run *r)
{
    int classes = r->head[0].size, i = 0;
    const char *word = cJSON_GetStringValue(r->priors);
    double sum = 0;
    if (!r->priors || (word && !strcmp(word, "learn"))) return RT_OK;
    r->prior = malloc((size_t)classes * sizeof *r->prior);
    if (!r->prior) return rt_fail(RT_RUN, "out of memory");
    r->options.prior = r->prior;
    if (word && !strcmp(word, "uniform")) {
        for (; i < classes; i++) r->prior[i] = 1.0 / classes;
        return RT_OK;
    }
    if (!cJSON_IsArray(r->priors) || cJSON_GetArraySize(r->priors) != classes)
        return rt_fail(RT_USAGE, "vote.priors: \"learn\", \"uniform\", or a list of %d shares, one for each class in "
                       "their order, is expected", classes);
    for (const cJSON *j = r->priors->child; j; j = j->next) {
        if (!cJSON_IsNumber(j) || !(j->valuedouble > 0) || !isfinite(j->valuedouble))
            return rt_fail(RT_USAGE, "vote.priors: share %d is not above 0", i);
        sum += r->prior[i++] = j->valuedouble;
    }
    if (fabs(sum - 1) > 1e-3) return rt_fail(RT_USAGE, "vote.priors: the shares add up to %g, not to 1", sum);
    for (i = 0; i < classes; i++) r->prior[i] /= sum;
    return RT_OK;
}

/* ---- the store ---- */

/* Equal votes and settings are the same teacher, whatever files they come from. */
static rt_digest digest_of(const rt_vote_run *r)
{
    rt_hasher *h = rt_hasher_new();
    char text[200];
    int n = snprintf(text, sizeof text, "retort-votes-1 %s %d %d %.17g %d\n", methods[r->options.method], r->voters,
                     r->votes.classes, r->options.tolerance, r->options.iterations);
    rt_hasher_add(h, text, (size_t)n);
    rt_heads_hash(h, r->head, 1);
    if (r->prior) rt_hasher_add(h, r->prior, (size_t)r->votes.classes * sizeof *r->prior);
    rt_hasher_add(h, r->votes.vote, r->rows * (uint64_t)r->voters << r->votes.wide);
    return rt_hasher_end(h);
}

static rt_status describe(const rt_vote_run *r, cJSON *m)
{
    rt_digest d = digest_of(r);
    cJSON_AddStringToObject(m, "tool", rt_tool());
    cJSON *t = cJSON_AddObjectToObject(m, "teacher");
    cJSON_AddStringToObject(t, "digest", d.hex);
    cJSON_AddStringToObject(t, "kind", "votes");
    cJSON_AddStringToObject(t, "method", methods[r->options.method]);
    cJSON_AddNumberToObject(t, "voters", r->voters);
    cJSON_AddStringToObject(t, "abstained", "status 2: no voter said anything of the row");
    if (r->head[0].names.name) cJSON_AddItemToObject(m, "classes", rt_names_to_json(&r->head[0].names));
    cJSON *seen = cJSON_AddArrayToObject(m, "seen"), *where = cJSON_AddObjectToObject(m, "paths");
    cJSON_AddStringToObject(where, "source", r->x.source);
    cJSON *list = cJSON_AddArrayToObject(where, "teacher");
    for (int i = 0; i < r->voters; i++) {
        cJSON_AddItemToArray(list, cJSON_CreateString(r->voter[i].name));
        if (!r->voter[i].labels) continue;
        const cJSON *own = rt_labels_manifest(r->voter[i].labels);
        const cJSON *who = cJSON_GetObjectItemCaseSensitive(own, "teacher");
        const char *by = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(who, "digest"));
        rt_status st = rt_seen_join(seen, own, "labels", by ? by : "");
        if (st) return rt_fail_in(st, "%s", r->voter[i].path);
    }
    return RT_OK;
}

static rt_status put_block(const rt_vote_run *r, const rt_vote_model *m, rt_labels_writer *w, uint64_t b, double *p,
                           float *z)
{
    unsigned char status[RT_LABEL_BLOCK];
    int classes = m->classes;
    uint64_t at = b * RT_LABEL_BLOCK, rows = r->rows - at < RT_LABEL_BLOCK ? r->rows - at : RT_LABEL_BLOCK;
    for (uint64_t i = 0; i < rows; i++) {
        float *of = z + i * (size_t)classes;
        status[i] = rt_votes_posterior(m, &r->votes, at + i, p, NULL) ? RT_LABEL_DONE : RT_LABEL_ABSTAINED;
        for (int c = 0; c < classes; c++) {
            of[c] = status[i] == RT_LABEL_DONE ? (float)log(p[c]) : 0;
            if (of[c] < floor_of_logits) of[c] = floor_of_logits;
        }
    }
    RT_TRY(rt_labels_put(w, b, z, status));
    return rt_check_stop();
}

static rt_status put_blocks(const rt_vote_run *r, const rt_vote_model *m, rt_labels_writer *w, double *p, float *z)
{
    uint64_t first, end;
    do {
        RT_TRY(rt_labels_next(w, &first, &end));
        for (uint64_t row = first; row < end; row += RT_LABEL_BLOCK)
            RT_TRY(put_block(r, m, w, (row - r->first) / RT_LABEL_BLOCK, p, z));
    } while (first < end);
    return RT_OK;
}

static rt_status store(rt_vote_run *r, const rt_vote_model *m, const rt_target *out, rt_pool *pool,
                       const rt_progress *progress)
{
    const char *inputs[RT_VOTERS + RT_SOURCE_PARTS + 3];
    int n = 0;
    for (int i = 0; i < r->voters; i++) inputs[n++] = r->voter[i].path;
    if (r->truth.path) inputs[n++] = r->truth.path;
    inputs[n++] = r->x.source;
    inputs[rt_x_where_files(&r->x, inputs, n)] = NULL;
    rt_labels_job job = {.source = r->identity, .inputs = inputs, .pool = pool, .progress = progress,
                         .notes = r->notes};
    rt_labels_spec spec = r->kept;
    spec.first = r->first;
    spec.rows = r->rows;
    spec.classes = m->classes;
    rt_labels_writer *w = NULL;
    cJSON *manifest = cJSON_CreateObject();
    double *p = malloc((size_t)m->classes * sizeof *p);
    float *z = malloc((size_t)RT_LABEL_BLOCK * (size_t)m->classes * sizeof *z);
    rt_status st = p && z ? describe(r, manifest) : rt_fail(RT_RUN, "out of memory");
    if (!st) st = rt_labels_spec_check(&spec, r->head, 1);
    if (!st) st = rt_labels_begin(&w, out, &spec, manifest, &job);
    if (!st) st = put_blocks(r, m, w, p, z);
    if (w) {
        char message[1024];
        snprintf(message, sizeof message, "%s", rt_error_message());
        rt_status ended = rt_labels_end(w);
        st = st ? rt_fail(st, "%s", message) : ended;
    }
    cJSON_Delete(manifest);
    free(p);
    free(z);
    return st;
}

/* ---- what was found ---- */

typedef struct {
    uint64_t *count, *majority_count;  /* (K) rows by answer */
    uint64_t differ, ties, overruled, known, right, majority_right;
    cJSON *rows;                       /* of those overruled */
} counts;

static int is_tie(const double *p, int classes, int best)
{
    for (int c = best + 1; c < classes; c++) if (p[c] == p[best]) return 1;
    return 0;
}

static void count_row(rt_vote_run *r, const rt_vote_model *m, uint64_t at, int32_t truth, double *p, counts *n)
{
    int agreed = rt_votes_agreed(&r->votes, at);
    if (truth >= 0)
        for (int i = 0; i < r->voters; i++) {
            int said = rt_votes_at(&r->votes, at, i);
            r->voter[i].of_right += said >= 0;
            r->voter[i].right += said == truth;
        }
    if (!rt_votes_majority(&r->votes, at, p)) return;
    int most = rt_vote_best(p, m->classes);
    n->ties += (uint64_t)is_tie(p, m->classes, most);
    rt_votes_posterior(m, &r->votes, at, p, NULL);
    int best = rt_vote_best(p, m->classes);
    n->count[best]++;
    n->majority_count[most]++;
    n->differ += best != most;
    if (agreed >= 0 && best != agreed && n->overruled++ < RT_VOTE_ROWS)
        cJSON_AddItemToArray(n->rows, cJSON_CreateNumber((double)(r->first + at)));
    if (truth < 0) return;
    n->known++;
    n->right += best == truth;
    n->majority_right += most == truth;
}

static rt_status count_rows(rt_vote_run *r, const rt_vote_model *m, counts *n)
{
    uint64_t row[RT_LABEL_BLOCK];
    int32_t y[RT_LABEL_BLOCK];
    double *p = malloc((size_t)m->classes * sizeof *p);
    rt_status st = p ? RT_OK : rt_fail(RT_RUN, "out of memory");
    for (uint64_t at = 0; at < r->rows && !st; at += RT_LABEL_BLOCK) {
        int rows = r->rows - at < RT_LABEL_BLOCK ? (int)(r->rows - at) : RT_LABEL_BLOCK;
        for (int i = 0; i < rows; i++) row[i] = r->first + at + (uint64_t)i;
        for (int i = 0; i < rows; i++) y[i] = RT_NO_LABEL;
        st = r->truth.targets ? rt_targets_read(r->truth.targets, row, rows, y) : RT_OK;
        if (!st) st = rt_check_stop();
        for (int i = 0; i < rows && !st; i++) count_row(r, m, at + (uint64_t)i, y[i], p, n);
    }
    free(p);
    return st;
}

static cJSON *by_class(const rt_vote_run *r, const uint64_t *count)
{
    char number[16];
    cJSON *j = cJSON_CreateObject();
    for (int c = 0; c < r->head[0].size; c++)
        cJSON_AddNumberToObject(j, rt_names_at(&r->head[0].names, c, number), (double)count[c]);
    return j;
}

static cJSON *confusion_of(const rt_vote_model *m, int i)
{
    size_t k = (size_t)m->classes;
    cJSON *list = cJSON_CreateArray();
    for (size_t c = 0; c < k; c++)
        cJSON_AddItemToArray(list, cJSON_CreateDoubleArray(m->confusion + ((size_t)i * k + c) * k, m->classes));
    return list;
}

static double share(uint64_t part, uint64_t all) { return all ? (double)part / (double)all : NAN; }

static void tell_voters(const rt_vote_run *r, const rt_vote_model *m, cJSON *result)
{
    char text[600];
    cJSON *list = cJSON_AddArrayToObject(result, "voters");
    for (int i = 0; i < r->voters; i++) {
        const rt_voter *v = &r->voter[i];
        cJSON *j = cJSON_CreateObject();
        cJSON_AddItemToArray(list, j);
        cJSON_AddStringToObject(j, "voter", v->name);
        cJSON_AddNumberToObject(j, "votes", (double)v->votes);
        cJSON_AddNumberToObject(j, "coverage", share(v->votes, r->rows));
        cJSON_AddNumberToObject(j, "accuracy_estimate", m->accuracy[i]);
        if (r->truth.targets)
            rt_json_number(j, "accuracy", share(v->right, v->of_right), "it has no vote where the truth is known");
        if (m->classes <= RT_VOTE_CONFUSION) cJSON_AddItemToObject(j, "confusion", confusion_of(m, i));
        text[0] = 0;
        if (!v->votes) snprintf(text, sizeof text, "%.400s: abstains from every row", v->name);
        else if (m->accuracy[i] < 1.0 / m->classes)
            snprintf(text, sizeof text, "%.400s: is right in %.1f %% of its votes by the estimate, less than chance",
                     v->name, 100 * m->accuracy[i]);
        if (text[0]) cJSON_AddItemToArray(r->notes, cJSON_CreateString(text));
    }
}

static void note(const rt_vote_run *r, const rt_vote_model *m, const counts *n)
{
    char text[300];
    cJSON *notes = r->notes;
    if (m->method == RT_VOTE_MAJORITY) return;
    if (r->voters < 3)
        cJSON_AddItemToArray(notes, cJSON_CreateString("with fewer than three voters nothing tells who is right: the "
                                                       "model's answer is a matter of where it starts"));
    if (!m->converged) {
        snprintf(text, sizeof text, "the model still changed after %d iterations; vote.iterations allows more",
                 m->iterations);
        cJSON_AddItemToArray(notes, cJSON_CreateString(text));
    }
    if (n->overruled) {
        snprintf(text, sizeof text, "the model overrules voters who all agree in %" PRIu64 " rows: see overruled.rows, "
                 "and whether priors or voters who copy each other are the reason", n->overruled);
        cJSON_AddItemToArray(notes, cJSON_CreateString(text));
    }
    if (m->log_likelihood - m->log_likelihood_start < 1e-6)
        cJSON_AddItemToArray(notes, cJSON_CreateString("the model explains the votes no better than the majority does: "
                                                       "take vote.method=majority"));
}

static void tell_model(const rt_vote_run *r, const rt_vote_model *m, cJSON *j)
{
    char number[16];
    cJSON *prior = cJSON_AddObjectToObject(j, "priors");
    for (int c = 0; c < m->classes; c++)
        cJSON_AddNumberToObject(prior, rt_names_at(&r->head[0].names, c, number), m->prior[c]);
    cJSON_AddStringToObject(j, "priors_are", r->prior ? "given" : "learnt");
    if (m->method == RT_VOTE_MAJORITY) return;
    cJSON_AddNumberToObject(j, "iterations", m->iterations);
    cJSON_AddBoolToObject(j, "converged", m->converged);
    cJSON_AddNumberToObject(j, "log_likelihood", m->log_likelihood);
    cJSON_AddNumberToObject(j, "log_likelihood_start", m->log_likelihood_start);
}

static void tell(const rt_vote_run *r, const rt_vote_model *m, counts *n, const char *path, cJSON *j)
{
    cJSON_AddStringToObject(j, "labels", path);
    cJSON_AddStringToObject(j, "method", methods[m->method]);
    cJSON_AddNumberToObject(j, "rows", (double)r->rows);
    cJSON_AddNumberToObject(j, "rows_labelled", (double)m->voted);
    cJSON_AddNumberToObject(j, "rows_without_vote", (double)(r->rows - m->voted));
    cJSON_AddItemToObject(j, "class_counts", by_class(r, n->count));
    tell_model(r, m, j);
    cJSON *majority = cJSON_AddObjectToObject(j, "majority");
    cJSON_AddItemToObject(majority, "class_counts", by_class(r, n->majority_count));
    cJSON_AddNumberToObject(majority, "rows_that_differ", (double)n->differ);
    cJSON_AddNumberToObject(majority, "ties", (double)n->ties);
    cJSON *over = cJSON_AddObjectToObject(j, "overruled");
    cJSON_AddNumberToObject(over, "count", (double)n->overruled);
    cJSON_AddItemToObject(over, "rows", n->rows);
    n->rows = NULL;
    if (r->truth.targets) {
        cJSON *a = cJSON_AddObjectToObject(j, "accuracy");
        cJSON_AddNumberToObject(a, "rows_known", (double)n->known);
        rt_json_number(a, "model", share(n->right, n->known), "no row with a vote has a truth");
        rt_json_number(a, "majority", share(n->majority_right, n->known), "no row with a vote has a truth");
    }
    tell_voters(r, m, j);
    note(r, m, n);
    if (r->notes->child) cJSON_AddItemToObject(j, "notes", cJSON_Duplicate(r->notes, 1));
}

static rt_status run(rt_vote_run *r, const rt_target *out, rt_pool *pool, const rt_progress *progress, cJSON *result)
{
    rt_vote_model m = {0};
    counts n = {0};
    RT_TRY(rt_vote_open(r, pool, progress));
    n.rows = cJSON_CreateArray();
    rt_status st = read_priors(r);
    n.count = calloc((size_t)r->head[0].size, sizeof *n.count);
    n.majority_count = calloc((size_t)r->head[0].size, sizeof *n.majority_count);
    if (!st && (!n.count || !n.majority_count)) st = rt_fail(RT_RUN, "out of memory");
    if (!st) st = rt_votes_fit(&m, &r->votes, &r->options);
    if (!st) st = count_rows(r, &m, &n);
    if (!st) st = store(r, &m, out, pool, progress);
    if (!st) tell(r, &m, &n, out->path, result);
    rt_vote_model_free(&m);
    free(n.count);
    free(n.majority_count);
    cJSON_Delete(n.rows);
    return st;
}

rt_status rt_vote(cJSON *config, const rt_target *out, rt_pool *pool, const rt_progress *progress, cJSON **result)
{
    rt_vote_run *r = calloc(1, sizeof *r);
    *result = NULL;
    if (!r) return rt_fail(RT_RUN, "out of memory");
    r->notes = cJSON_CreateArray();
    cJSON *j = cJSON_CreateObject();
    rt_status st = read_config(config, r);
    if (!st) st = run(r, out, pool, progress, j);
    if (st) cJSON_Delete(j);
    else *result = j;
    cJSON_Delete(r->notes);
    rt_vote_close(r);
    free(r);
    return st;
}
