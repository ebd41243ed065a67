/* teacher/mix.c - several teachers of any kind as one.
 *
 *   {"mix": "probabilities" | "logits" | "best",
 *    "teachers": ["a.h5", {"command": ..., "weight": 2, "temperature": 1.5}, ...],
 *    "validation": {"source": "held.h5", "x": "x", "y": "y", "rows": "0:1000"}}     of "best" alone, and required
 *
 * Formulas: student/ensemble.h; weights and temperatures are 1 by default. "best" is the member with the largest
 * accuracy on labelled rows, whose answers are then given as they are. Members have the same heads and classes, in any
 * order. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data/provenance.h"
#include "data/source_files.h"
#include "engine/memory.h"
#include "engine/progress.h"
#include "teacher/mix_parts.h"

static const rt_teacher_kind kind;
static const char *const ways[] = {"probabilities", "logits", "best", NULL};

static const rt_mix *of(const rt_teacher *t) { return (const rt_mix *)(const void *)t; }
static rt_mix *own(rt_teacher *t) { return (rt_mix *)(void *)t; }

/* ---- specification ---- */

static void member_path(char path[80], int i) { snprintf(path, 80, "teacher.teachers[%d]", i); }

/* Weight and temperature, which the member's own reader then knows. */
static void read_share(rt_cfg *c, rt_mix *m, int i)
{
    float *to[2] = {&m->weight[i], &m->temperature[i]};
    static const char *const key[2] = {"weight", "temperature"};
    for (int k = 0; k < 2; k++) {
        *to[k] = 1;
        if (m->how == RT_MIX_BEST) rt_cfg_refuse(c, key[k], "does not apply: the best one answers alone");
        else *to[k] = (float)rt_cfg_number(c, key[k], 1, 1e-6, 1e6);
    }
}

static rt_status read_member(rt_cfg *list, rt_mix *m, cJSON *all, int i, int open)
{
    char path[80];
    cJSON *e = cJSON_GetArrayItem(all, i);
    rt_status st = rt_teacher_spec_member(all, &e);
    member_path(path, i);
    if (st) return list->status = rt_fail_in(st, "%s", path);
    rt_cfg c = rt_cfg_begin(e, path);
    m->spec[i] = e;
    read_share(&c, m, i);
    if (rt_cfg_has(&c, "mix")) rt_cfg_fail(&c, "mix", "a mix within a mix is not taken: name its members here");
    if (!c.status) c.status = rt_teacher_read_object(open ? &m->member[i] : NULL, &c, m->x);
    if (open && !c.status) m->members = i + 1;
    return list->status = c.status;
}

rt_status rt_mix_open_member(rt_teacher **out, const rt_mix *m, int i)
{
    char path[80];
    member_path(path, i);
    rt_cfg c = rt_cfg_begin(m->spec[i], path);
    rt_cfg_any(&c, "weight");
    rt_cfg_any(&c, "temperature");
    return rt_teacher_read_object(out, &c, m->x);
}

static void read_judge(rt_cfg *c, rt_mix *m)
{
    if (m->how != RT_MIX_BEST) {
        rt_cfg_refuse(c, "validation", "belongs to \"mix\": \"best\", which is chosen on it");
        return;
    }
    if (!rt_cfg_has(c, "validation")) rt_cfg_fail(c, "validation", "labelled rows to choose on are required: "
                                                  "{\"source\", \"x\", \"y\", \"rows\"}");
    if (c->status) return;
    rt_cfg v = rt_cfg_object(c, "validation");
    m->judge.source = rt_cfg_source(&v, "source", NULL);
    m->judge.x = rt_cfg_file(&v, "x", "x");
    m->judge.y = rt_cfg_file(&v, "y", "y");
    m->judge.rows = rt_cfg_string(&v, "rows", "");
    rt_cfg_join(c, &v);
}

/* ---- members that fit ---- */

static rt_status check_member(const rt_mix *m, int i)
{
    int a, b, *place;
    char x[RT_NAMES_TEXT], y[RT_NAMES_TEXT];
    const rt_head *first = rt_teacher_heads(m->member[0], &a), *head = rt_teacher_heads(m->member[i], &b);
    const char *of_first = rt_teacher_path(m->member[0]), *of_this = rt_teacher_path(m->member[i]);
    RT_TRY(rt_heads_place(&place, head, b, of_this, first, a, of_first, RT_MATCH_NAMES));
    int width = rt_heads_width(head, b), same = a == b && width == rt_heads_width(first, a);
    for (int k = 0; place && same && k < width; k++) same = place[k] >= 0;
    free(place);
    return same ? RT_OK : rt_fail(RT_USAGE, "%s: has the heads %s, %s has %s, so they make no mix", of_this,
                                  rt_heads_text(head, b, x), of_first, rt_heads_text(first, a, y));
}

static rt_status check_members(rt_mix *m)
{
    int count, classes = 0, labels = 0;
    const rt_head *head = rt_teacher_heads(m->member[0], &count);
    unsigned all = RT_TEACHER_COMPUTES | RT_TEACHER_TIMED;
    for (int i = 1; i < m->members; i++) RT_TRY(check_member(m, i));
    for (int i = 0; i < m->members; i++) all &= rt_teacher_abilities(m->member[i]);
    m->base.can = all & RT_TEACHER_COMPUTES ? all : RT_TEACHER_ROWS;
    for (int h = 0; h < count; h++) {
        classes += head[h].task == RT_TASK_CLASSES;
        labels += head[h].task == RT_TASK_MULTILABEL;
    }
    for (int i = 0; i < m->members && !classes && !labels; i++)
        if (m->temperature[i] != 1)
            return rt_fail(RT_USAGE, "teacher.teachers[%d].temperature: does nothing, as all heads are of numbers", i);
    if (m->how == RT_MIX_BEST && (count != 1 || !classes))
        return rt_fail(RT_USAGE, "teacher.mix: the best one is chosen by accuracy, and %s has not one head of classes "
                       "alone", rt_teacher_path(m->member[0]));
    m->width = rt_heads_width(head, count);
    return RT_OK;
}

/* ---- life ---- */

static void close_mix(rt_teacher *t)
{
    rt_mix *m = own(t);
    for (int i = 0; i < m->members; i++) rt_teacher_close(m->member[i]);
    rt_heads_free(m->asked, m->asked_heads);
    if (m->owned) cJSON_Delete(m->past);
    void *mine[] = {m->place, m->z, m->sum, m->rest, m};
    for (size_t i = 0; i < sizeof mine / sizeof mine[0]; i++) free(mine[i]);
}

rt_status rt_teacher_read_mix(rt_teacher **out, rt_cfg *c, const rt_x_where *x)
{
    rt_mix *m = calloc(1, sizeof *m);
    if (!m) return rt_fail(RT_RUN, "out of memory");
    m->base.kind = &kind;
    m->owned = 1;
    m->chosen = -1;
    m->x = x;
    m->how = (rt_mix_how)rt_cfg_choice(c, "mix", ways, -1);
    cJSON *all = rt_cfg_array(c, "teachers");
    int count = cJSON_GetArraySize(all);
    if (!c->status && (count < 1 || count > RT_TEACHER_MODELS))
        rt_cfg_fail(c, "teachers", "a list of 1 to 16 teachers is expected");
    read_judge(c, m);
    rt_status st = rt_cfg_end(c);
    for (int i = 0; i < count && !st; i++) st = read_member(c, m, all, i, out != NULL);
    if (!st && out) st = check_members(m);
    if (!st && out) *out = &m->base;
    else close_mix(&m->base);
    return st;
}

/* Twins of the members that have a say. */
static rt_status twin(rt_teacher **out, const rt_teacher *t)
{
    rt_mix *m = calloc(1, sizeof *m);
    if (!m) return rt_fail(RT_RUN, "out of memory");
    *m = *of(t);
    m->owned = m->asked_heads = 0;
    m->place = NULL;
    m->z = m->sum = m->rest = NULL;
    m->room = 0;
    rt_status st = RT_OK;
    for (m->members = 0; m->members < of(t)->members && !st;) {
        m->member[m->members] = NULL;
        st = rt_teacher_twin(&m->member[m->members], of(t)->member[m->members]);
        if (!st) m->members++;
    }
    int count;
    if (st) {
        close_mix(&m->base);
        return st;
    }
    const rt_head *head = rt_teacher_heads(m->member[0], &count);
    m->width = rt_heads_width(head, count);
    *out = &m->base;
    return RT_OK;
}

/* ---- what it says of itself ---- */

/* Whether a member has a say. */
static int speaks(const rt_mix *m, int i) { return m->chosen < 0 || m->chosen == i; }

static const rt_head *heads(const rt_teacher *t, int *count) { return rt_teacher_heads(of(t)->member[0], count); }
static const rt_names *columns(const rt_teacher *t) { return rt_teacher_columns(of(t)->member[0]); }

static int files(const rt_teacher *t, const char **list, int n, int most)
{
    for (int i = 0; i < of(t)->members; i++) n += rt_teacher_files(of(t)->member[i], list + n, most - n);
    return n;
}

static int inputs(const rt_teacher *t, const char *name[RT_SOURCE_PARTS], int n)
{
    for (int i = 0; i < of(t)->members; i++) n = rt_teacher_inputs(of(t)->member[i], name, n);
    return n;
}

static void ids(const rt_teacher *t, const rt_source *s, int list[RT_SOURCE_PARTS])
{
    for (int i = 0; i < of(t)->members; i++) rt_teacher_ids(of(t)->member[i], s, list);
}

static rt_status add_member(const rt_mix *m, int i, cJSON *list)
{
    rt_digest d;
    cJSON *e = cJSON_CreateObject();
    cJSON_AddItemToArray(list, e);
    RT_TRY(rt_teacher_digest(m->member[i], &d));
    cJSON_AddStringToObject(e, "kind", rt_teacher_kind_name(m->member[i]));
    cJSON_AddStringToObject(e, "digest", d.hex);
    if (m->how != RT_MIX_BEST) {
        cJSON_AddNumberToObject(e, "weight", (double)m->weight[i]);
        cJSON_AddNumberToObject(e, "temperature", (double)m->temperature[i]);
    }
    if (m->chosen >= 0) cJSON_AddNumberToObject(e, "accuracy", m->accuracy[i]);
    return rt_teacher_tell(m->member[i], e);
}

static rt_status tell(const rt_teacher *t, cJSON *into)
{
    const rt_mix *m = of(t);
    cJSON *j = cJSON_AddObjectToObject(into, "mix");
    cJSON_AddStringToObject(j, "of", ways[m->how]);
    cJSON *list = cJSON_AddArrayToObject(j, "teachers");
    for (int i = 0; i < m->members; i++) RT_TRY(add_member(m, i, list));
    if (m->chosen < 0) return RT_OK;
    cJSON_AddNumberToObject(j, "chosen", m->chosen);
    cJSON *v = cJSON_AddObjectToObject(j, "validation");
    cJSON_AddStringToObject(v, "data", m->data[0].hex);
    cJSON_AddStringToObject(v, "labels", m->data[1].hex);
    cJSON_AddStringToObject(v, "rows", m->judge.rows);
    cJSON_AddNumberToObject(v, "labelled_rows", (double)m->judged);
    return RT_OK;
}

/* Of what it tells: the members, their shares, and once it is known the choice. */
static rt_status digest(const rt_teacher *t, rt_digest *d)
{
    cJSON *j = cJSON_CreateObject();
    rt_status st = j ? tell(t, j) : rt_fail(RT_RUN, "out of memory");
    char *text = st ? NULL : cJSON_PrintUnformatted(j);
    if (!st && !text) st = rt_fail(RT_RUN, "out of memory");
    if (!st) *d = rt_digest_of(text, strlen(text));
    cJSON_free(text);
    cJSON_Delete(j);
    return st;
}

static void hash_names(const rt_teacher *t, rt_hasher *h)
{
    for (int i = 0; i < of(t)->members; i++) rt_teacher_hash_names(of(t)->member[i], h);
}

static rt_status seen(const rt_teacher *t, cJSON *list)
{
    const rt_mix *m = of(t);
    rt_digest d;
    for (int i = 0; i < m->members; i++) if (speaks(m, i)) RT_TRY(rt_teacher_seen(m->member[i], list));
    if (!m->past) return RT_OK;
    RT_TRY(digest(t, &d));
    return rt_seen_join(list, m->past, "teacher", d.hex);
}

static const cJSON *provenance(const rt_teacher *t, int n)
{
    const rt_mix *m = of(t);
    const cJSON *p;
    for (int i = 0; i < m->members; i++)
        for (int k = 0; speaks(m, i) && (p = rt_teacher_provenance(m->member[i], k)); k++) if (!n--) return p;
    return n ? NULL : m->past;
}

static rt_teacher_cost costs(const rt_teacher *t)
{
    rt_teacher_cost all = {0};
    for (int i = 0; i < of(t)->members; i++) {
        if (!speaks(of(t), i)) continue;
        rt_teacher_cost c = rt_teacher_costs(of(t)->member[i]);
        all.parameters += c.parameters;
        all.macs += c.macs;
        all.weight_bytes += c.weight_bytes;
        all.file_bytes += c.file_bytes;
        all.plan_bytes += c.plan_bytes;
        all.program_bytes += c.program_bytes;
    }
    return all;
}

static int models(const rt_teacher *t)
{
    int n = 0;
    for (int i = 0; i < of(t)->members; i++) n += rt_teacher_models(of(t)->member[i]);
    return n;
}

static int quantized(const rt_teacher *t)
{
    int n = 0;
    for (int i = 0; i < of(t)->members; i++) n += rt_teacher_quantized(of(t)->member[i]);
    return n;
}

/* ---- rows ---- */

static rt_status bind(rt_teacher *t, const rt_teacher_binding *b)
{
    rt_mix *m = own(t);
    if (m->how == RT_MIX_BEST && m->chosen < 0) RT_TRY(rt_mix_choose(m, b));
    for (int i = 0; i < m->members; i++) if (speaks(m, i)) RT_TRY(rt_teacher_bind(m->member[i], b));
    return RT_OK;
}

static rt_status check_view(const rt_teacher *t, rt_view_desc *v)
{
    for (int i = 0; i < of(t)->members; i++)
        if (speaks(of(t), i)) RT_TRY(rt_teacher_check_view(of(t)->member[i], v));
    return RT_OK;
}

/* Members answer as the first one does. */
static rt_status ready(rt_teacher *t, rt_device *device, int micro, const char *const *feature, int features)
{
    rt_mix *m = own(t);
    int count;
    (void)feature;
    const rt_head *head = rt_teacher_heads(m->member[0], &count);
    if (features) return rt_fail(RT_USAGE, "%s: is one of several teachers, whose layers none can learn from",
                                 rt_teacher_path(t));
    for (int i = 0; i < m->members; i++) {
        if (!speaks(m, i)) continue;
        RT_TRY(rt_teacher_ready(m->member[i], device, micro, NULL, 0));
        RT_TRY(rt_teacher_answer_as(m->member[i], head, count, rt_teacher_path(m->member[0]), RT_MATCH_NAMES));
    }
    return RT_OK;
}

static rt_status answer_as(rt_teacher *t, const rt_head *head, int count, const char *asks, rt_match match)
{
    rt_mix *m = own(t);
    int mine;
    const rt_head *first = rt_teacher_heads(m->member[0], &mine);
    return rt_teacher_keep_asked((rt_teacher_asked){m->asked, &m->asked_heads, &m->width, &m->place}, first, mine,
                                 rt_teacher_path(t), head, count, asks, match);
}

static rt_status make_room(rt_mix *m, size_t n)
{
    float **to[] = {&m->z, &m->sum, &m->rest};
    if (n <= m->room) return RT_OK;
    m->room = 0;
    for (int i = 0; i < 3; i++) {
        free(*to[i]);
        *to[i] = rt_floats_new(n);
        if (!*to[i]) return RT_RUN;
    }
    m->room = n;
    return RT_OK;
}

static rt_status ask(rt_teacher *t, const rt_feed *q, float *answers)
{
    rt_mix *m = own(t);
    int count, first = 1;
    const rt_head *head = rt_teacher_heads(m->member[0], &count);
    size_t from = (size_t)rt_heads_width(head, count), width = (size_t)m->width, rows = (size_t)q->rows;
    rt_mix_of way = m->how == RT_MIX_BY_LOGITS ? RT_MIX_LOGITS : RT_MIX_PROBABILITIES;
    double weights = 0;
    RT_TRY(make_room(m, rows * from));
    for (int i = 0; i < m->members; i++) {
        if (!speaks(m, i)) continue;
        RT_TRY(rt_teacher_ask(m->member[i], q, m->chosen < 0 ? m->z : m->sum));
        RT_TRY(rt_check_stop());
        if (m->chosen >= 0) break;
        rt_ensemble_add(way, head, count, m->sum, m->rest, m->z, q->rows, m->weight[i], m->temperature[i], first);
        weights += (double)m->weight[i];
        first = 0;
    }
    if (m->chosen < 0) rt_ensemble_end(way, head, count, m->sum, m->sum, m->rest, q->rows, weights);
    if (!m->place) {
        memcpy(answers, m->sum, rows * from * sizeof *answers);
        return RT_OK;
    }
    memset(answers, 0, rows * width * sizeof *answers);
    for (size_t r = 0; r < rows; r++)
        for (size_t c = 0; c < from; c++)
            if (m->place[c] >= 0) answers[r * width + (size_t)m->place[c]] = m->sum[r * from + c];
    return RT_OK;
}

static void covers(const rt_teacher *t, uint64_t *first, uint64_t *end)
{
    for (int i = 0; i < of(t)->members; i++) {
        uint64_t low, high;
        if (!speaks(of(t), i)) continue;
        rt_teacher_covers(of(t)->member[i], &low, &high);
        if (low > *first) *first = low;
        if (high < *end) *end = high;
    }
}

static rt_status remove_unanswered(rt_teacher *t, rt_rows *rows, uint64_t *removed)
{
    for (int i = 0; i < of(t)->members; i++) {
        uint64_t more;
        if (!speaks(of(t), i)) continue;
        RT_TRY(rt_teacher_remove_unanswered(own(t)->member[i], rows, &more));
        *removed += more;
    }
    return RT_OK;
}

static const rt_teacher_kind kind = {.name = "mix",
                                     .close = close_mix,
                                     .files = files,
                                     .twin = twin,
                                     .heads = heads,
                                     .columns = columns,
                                     .inputs = inputs,
                                     .ids = ids,
                                     .digest = digest,
                                     .hash_names = hash_names,
                                     .seen = seen,
                                     .provenance = provenance,
                                     .tell = tell,
                                     .costs = costs,
                                     .models = models,
                                     .quantized = quantized,
                                     .bind = bind,
                                     .answer_as = answer_as,
                                     .ready = ready,
                                     .check_view = check_view,
                                     .ask = ask,
                                     .covers = covers,
                                     .remove_unanswered = remove_unanswered};
