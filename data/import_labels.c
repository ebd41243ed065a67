/* data/import_labels.c - labels as they stand in a file to classes 0, 1, ... with names. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "data/import_parts.h"
#include "engine/digest.h"
#include "engine/text.h"

enum { MOST_LABELS = 1 << 17, SMALL_LOW = -128, SMALL = 1 << 16, MOST_CLASSES = 1000, FEW_CLASSES = 100,
      ROWS_A_CLASS = 3, MOST_FILLED = 1000 };

/* ---- the set of different labels ---- */

void rt_label_set_free(rt_label_set *s)
{
    for (int i = 0; i < s->count; i++) free(s->text[i]);
    free(s->text);
    free(s->rows);
    free(s->slot);
    free(s->small);
    *s = (rt_label_set){0};
}

static uint32_t hash_of(const char *text) { return rt_crc32c(0, text, strlen(text)) * 2654435761u; }

static int grow(rt_label_set *s)
{
    int room = s->room ? 2 * s->room : 64, slots = 4 * room;
    char **text = realloc(s->text, (size_t)room * sizeof *text);
    if (text) s->text = text;
    uint64_t *rows = realloc(s->rows, (size_t)room * sizeof *rows);
    if (rows) s->rows = rows;
    int *slot = malloc((size_t)slots * sizeof *slot);
    if (!text || !rows || !slot) {
        free(slot);
        return 1;
    }
    for (int i = 0; i < slots; i++) slot[i] = -1;
    for (int i = 0; i < s->count; i++) {
        uint32_t h = hash_of(s->text[i]) % (uint32_t)slots;
        while (slot[h] >= 0) h = (h + 1) % (uint32_t)slots;
        slot[h] = i;
    }
    free(s->slot);
    s->slot = slot;
    s->slots = slots;
    s->room = room;
    return 0;
}

int rt_label_add(rt_label_set *s, const char *text)
{
    if (s->count == s->room && grow(s)) return -(int)rt_fail(RT_RUN, "out of memory");
    uint32_t h = hash_of(text) % (uint32_t)s->slots;
    for (; s->slot[h] >= 0; h = (h + 1) % (uint32_t)s->slots)
        if (strcmp(s->text[s->slot[h]], text) == 0) return s->rows[s->slot[h]]++, s->slot[h];
    if (s->count == MOST_LABELS)
        return -(int)rt_fail(RT_INPUT,
                             "the labels have more than %d different values: that is no set of classes; is it the "
                             "right column?", MOST_LABELS);
    if (!(s->text[s->count] = strdup(text))) return -(int)rt_fail(RT_RUN, "out of memory");
    s->rows[s->count] = 1;
    s->slot[h] = s->count;
    return s->count++;
}

int rt_label_add_whole(rt_label_set *s, int64_t v)
{
    char text[32];
    if (!s->small) {
        s->small = malloc(SMALL * sizeof *s->small);
        if (!s->small) return -(int)rt_fail(RT_RUN, "out of memory");
        for (int i = 0; i < SMALL; i++) s->small[i] = -1;
    }
    int near = v >= SMALL_LOW && v < SMALL + SMALL_LOW, *code = near ? &s->small[v - SMALL_LOW] : NULL;
    if (near && *code >= 0) return s->rows[*code]++, *code;
    snprintf(text, sizeof text, "%lld", (long long)v);
    int c = rt_label_add(s, text);
    if (near) *code = c;
    return c;
}

/* ---- from labels to classes ---- */

typedef struct {
    const char *text;
    int code, missing;
    rt_cell_kind kind;
    rt_number value;
} label;

typedef struct {
    rt_import_job *job;
    const rt_label_set *set;
    const char *where;
    label *all, **left;            /* left: those that are not missing */
    int count, numbers, whole;     /* of left: how many; all are numbers; whole ones */
    int *to;
} resolver;

void rt_list_text(char *out, size_t room, const char *const *names, int count)
{
    size_t at = 0;
    *out = 0;
    for (int i = 0; i < count; i++) {
        int far = at + 60 > room || i == 40;
        int n = far ? snprintf(out + at, room - at, "%s... (%d)", i ? ", " : "", count)
            : snprintf(out + at, room - at, "%s%.40s", i ? ", " : "", names[i]);
        if (n < 0 || (size_t)n >= room - at || far) return;
        at += (size_t)n;
    }
}

static int same_label(const char *a, const char *b)
{
    rt_number x, y;
    if (strcmp(a, b) == 0) return 1;
    return rt_cell_read(a, '.', &x) == RT_CELL_NUMBER && rt_cell_read(b, '.', &y) == RT_CELL_NUMBER && x.v == y.v
        && (!x.whole || !y.whole || x.i == y.i);
}

/* Position among the given classes, -1. */
static int known_at(const rt_names *known, const char *text)
{
    int at = rt_names_find(known, text);
    for (int i = 0; i < known->count && at < 0; i++) if (same_label(known->name[i], text)) at = i;
    return at;
}

static int by_text(const void *a, const void *b)
{
    const label *x = *(label *const *)a, *y = *(label *const *)b;
    return strcmp(x->text, y->text);
}
static int by_value(const void *a, const void *b)
{
    const label *x = *(label *const *)a, *y = *(label *const *)b;
    if (x->value.whole && y->value.whole) return (x->value.i > y->value.i) - (x->value.i < y->value.i);
    return (x->value.v > y->value.v) - (x->value.v < y->value.v);
}

static rt_status add_class(rt_import_job *job, const char *name)
{
    job->class_name[job->classes] = strdup(name);
    return job->class_name[job->classes++] ? RT_OK : rt_fail(RT_RUN, "out of memory");
}

static rt_status room_for(rt_import_job *job, int classes)
{
    job->class_name = calloc((size_t)classes + 1, sizeof *job->class_name);
    return job->class_name ? RT_OK : rt_fail(RT_RUN, "out of memory");
}

static const char *like_of(const resolver *r)
{
    static char text[1100];
    const char *like = r->job->spec->like;
    snprintf(text, sizeof text, like && !r->job->spec->class_count ? "of %.1000s" : "of --classes", like);
    return text;
}

/* Labels to the classes of --classes or --like. */
static rt_status to_known(resolver *r)
{
    rt_import_job *job = r->job;
    const rt_names *known = &job->known;
    int unknown = 0, position = job->spec->class_count > 0 && r->numbers && r->whole == r->count;
    char mine[1000], theirs[1000];
    const char **names = malloc(((size_t)r->count + 1) * sizeof *names);
    if (!names) return rt_fail(RT_RUN, "out of memory");
    for (int i = 0; i < r->count; i++) {
        int at = known_at(known, r->left[i]->text);
        r->to[r->left[i]->code] = at;
        if (at < 0) names[unknown++] = r->left[i]->text;
        position &= at < 0 && r->left[i]->value.i >= 0 && r->left[i]->value.i < known->count;
    }
    for (int i = 0; i < known->count && position; i++) {
        rt_number v;
        position = rt_cell_read(known->name[i], '.', &v) != RT_CELL_NUMBER;
    }
    rt_status st = RT_OK;
    if (position && r->count) {
        for (int i = 0; i < r->count; i++) r->to[r->left[i]->code] = (int)r->left[i]->value.i;
        rt_import_note(job, "label i is the i-th name of --classes, from 0");
    } else if (unknown) {
        rt_list_text(mine, sizeof mine, names, unknown);
        rt_list_text(theirs, sizeof theirs, (const char *const *)known->name, known->count);
        st = rt_fail(RT_INPUT, "%s: labels (%s) are none of the classes %s (%s)", r->where, mine, like_of(r), theirs);
    }
    free(names);
    if (!st) st = room_for(job, known->count);
    for (int i = 0; i < known->count && !st; i++) st = add_class(job, known->name[i]);
    return st;
}

/* -1 among whole labels: one of two classes (-1 and 1), or no label, or not to be told. */
static rt_status judge_minus_one(resolver *r)
{
    int minus = 0, others = 0, contiguous = 1;            /* of different values; they are sorted */
    int64_t last = -1;
    while (minus < r->count && r->left[minus]->value.i == -1) minus++;
    if (!minus) return RT_OK;                             /* none, or lower ones, too: then all are classes */
    for (int i = minus; i < r->count; last = r->left[i++]->value.i) {
        if (r->left[i]->value.i == last) continue;
        contiguous &= r->left[i]->value.i == others;
        others++;
    }
    if (others == 0 || (others == 1 && last == 1)) {
        rt_import_note(r->job, "label -1 is taken as a class; --no-label -1 makes it 'no label'");
        return RT_OK;
    }
    if (!contiguous || others < 3)
        return rt_fail(RT_INPUT, "%s: is label -1 a class, or 'no label'? Give --no-label -1, or all classes as "
                                 "--classes -1,0,1,...", r->where);
    for (int i = 0; i < minus; i++) r->left[i]->missing = 1;
    rt_import_note(r->job, "label -1 is taken as 'no label': the others are the classes 0 to %d", others - 1);
    r->count -= minus;
    memmove(r->left, r->left + minus, (size_t)r->count * sizeof *r->left);
    return RT_OK;
}

static rt_status to_numbers(resolver *r, int flags)
{
    rt_import_job *job = r->job;
    char name[40];
    if (r->whole != r->count) {
        for (int i = 0; i < r->count; i++)
            if (!r->left[i]->value.whole)
                return rt_fail(RT_INPUT,
                               "%s: label '%.60s' is no whole number: that looks like the target of a regression, "
                               "which is no class; leave the labels out, or list all classes (--classes)",
                               r->where, r->left[i]->text);
    }
    qsort(r->left, (size_t)r->count, sizeof *r->left, by_value);
    if (!(flags & RT_LABELS_OF_FOLDERS)) RT_TRY(judge_minus_one(r));
    int64_t low = r->count ? r->left[0]->value.i : 0, high = r->count ? r->left[r->count - 1]->value.i : 0;
    int different = 0, fill;
    for (int i = 0; i < r->count; i++) different += i == 0 || r->left[i]->value.i != r->left[i - 1]->value.i;
    if ((flags & RT_LABELS_OF_FOLDERS) && different != r->count) {
        for (int i = 1; i < r->count; i++)
            if (r->left[i]->value.i == r->left[i - 1]->value.i)
                return rt_fail(RT_INPUT,
                               "%s: the folders '%.60s' and '%.60s' are one class, %lld; put them together",
                                   r->where, r->left[i - 1]->text, r->left[i]->text, (long long)low + i - 1);
    }
    fill = low == 0 && high < MOST_FILLED && high + 1 > different;
    RT_TRY(room_for(job, fill ? (int)high + 1 : different));
    if (fill) rt_import_note(job, "labels keep their numbers: %d of the classes 0 to %lld have no row here",
                             (int)high + 1 - different, (long long)high);
    for (int i = 0; i < r->count; i++) {
        int64_t v = r->left[i]->value.i;
        if (i == 0 || v != r->left[i - 1]->value.i) {
            do {
                snprintf(name, sizeof name, "%lld", fill ? (long long)job->classes : (long long)v);
                RT_TRY(add_class(job, name));
            } while (fill && job->classes <= v);
        }
        r->to[r->left[i]->code] = job->classes - 1;
    }
    if (job->classes && strcmp(job->class_name[job->classes - 1], "") && !fill && (low != 0 || high + 1 != different))
        rt_import_note(job, "classes are named by their numbers, %lld to %lld, in this order: class %lld is 0 in y",
                       (long long)low, (long long)high, (long long)low);
    return RT_OK;
}

static int is_infinite(const char *text)
{
    text += *text == '+' || *text == '-';
    return strcasecmp(text, "inf") == 0 || strcasecmp(text, "infinity") == 0;
}

/* Letters without case and blanks, which is all that ASCII tells of names that people take for one. */
static int alike(const char *a, const char *b)
{
    for (;; a++, b++) {
        while (*a == ' ' || *a == '\t') a++;
        while (*b == ' ' || *b == '\t') b++;
        int x = *a >= 'A' && *a <= 'Z' ? *a + 32 : *a, y = *b >= 'A' && *b <= 'Z' ? *b + 32 : *b;
        if (x != y) return 0;
        if (!x) return 1;
    }
}

static void note_alike(const resolver *r)
{
    const char *a = NULL, *b = NULL;
    int pairs = 0;
    if (r->count > MOST_CLASSES) return;
    for (int i = 0; i < r->count; i++)
        for (int k = i + 1; k < r->count; k++) {
            if (!alike(r->left[i]->text, r->left[k]->text)) continue;
            if (!pairs++) a = r->left[i]->text, b = r->left[k]->text;
        }
    if (pairs) rt_import_note(r->job, "classes that differ only in case or blanks: '%.40s' and '%.40s'%s; if they are "
                                      "one, make them one in the file", a, b, pairs > 1 ? ", and others" : "");
}

static rt_status to_texts(resolver *r)
{
    RT_TRY(room_for(r->job, r->count));
    qsort(r->left, (size_t)r->count, sizeof *r->left, by_text);
    for (int i = 0; i < r->count; i++) {
        RT_TRY(add_class(r->job, r->left[i]->text));
        r->to[r->left[i]->code] = i;
    }
    int some = 0;
    note_alike(r);
    for (int i = 0; i < r->count; i++) some += r->left[i]->kind == RT_CELL_NUMBER;
    for (int i = 0; i < r->count && some; i++)
        if (is_infinite(r->left[i]->text))
            return rt_fail(RT_INPUT, "%s: label '%.30s' among numbers is no class; mend it, or let --no-label '%.30s' "
                                     "make it 'no label'", r->where, r->left[i]->text, r->left[i]->text);
    if (some) rt_import_note(r->job,
                             "%d of the %d classes are numbers and the others are not: all are taken as texts", some,
                                 r->count);
    return RT_OK;
}

/* More values than classes have. */
static rt_status check_count(const resolver *r, uint64_t rows)
{
    int most = r->job->spec->max_classes, n = r->job->classes, there = 0;
    unsigned long long all = (unsigned long long)rows;
    if (most ? n <= most : n <= MOST_CLASSES && (n <= FEW_CLASSES || rows / (uint64_t)n >= ROWS_A_CLASS)) return RT_OK;
    for (int i = 0, before = -1; i < r->count; i++) {                  /* in the order of classes */
        int to = r->to[r->left[i]->code];
        there += to != before;
        before = to;
    }
    if (there < n)
        return rt_fail(RT_INPUT,
                       "%s: has %d different labels in %llu rows, which, keeping their numbers, would be classes 0 to "
                       "%d; list those that are classes (--classes), or give --max-classes %d",
                       r->where, there, all, n - 1, n);
    return rt_fail(RT_INPUT,
                   "%s: has %d different labels in %llu rows: that looks like the target of a regression or like "
                   "names, not like classes; if they are classes, give --max-classes %d",
                   r->where, n, all, n);
}

/* What stands for "no label". None is a gap among numbers (as pandas writes it), and may be a class among texts. */
static void find_missing(resolver *r, int flags)
{
    const char *no_label = r->job->spec->no_label;
    r->count = r->whole = 0;
    int texts = 0;
    for (int i = 0; i < r->set->count; i++) {
        label *l = &r->all[i];
        *l = (label){.text = r->set->text[i], .code = i};
        l->kind = rt_cell_read(l->text, '.', &l->value);
        int known = r->job->known.name && known_at(&r->job->known, l->text) >= 0;
        if (!known && !(flags & RT_LABELS_OF_FOLDERS)) l->missing = l->kind == RT_CELL_MISSING;
        if (no_label && same_label(no_label, l->text)) l->missing = 1;
        texts += !l->missing && l->kind == RT_CELL_TEXT;
    }
    for (int i = 0; i < r->set->count; i++) {
        label *l = &r->all[i];
        if (l->missing && texts && strcmp(l->text, "None") == 0 && !(no_label && same_label(no_label, "None")))
            l->missing = 0;
        if (!l->missing) r->left[r->count++] = l;
    }
    r->numbers = 1;
    for (int i = 0; i < r->count; i++) {
        r->numbers &= r->left[i]->kind == RT_CELL_NUMBER;
        r->whole += r->left[i]->value.whole;
    }
}

static rt_status say_missing(const resolver *r)
{
    char list[300] = "";
    size_t at = 0;
    uint64_t rows = 0;
    for (int i = 0; i < r->set->count; i++) {
        if (!r->all[i].missing) continue;
        rows += r->set->rows[i];
        int n = snprintf(list + at, sizeof list - at, "%s'%.30s' %llu", at ? ", " : "", r->all[i].text,
                         (unsigned long long)r->set->rows[i]);
        if (n > 0 && (size_t)n < sizeof list - at) at += (size_t)n;
    }
    if (rows && r->job->spec->missing_labels_refused)
        return rt_fail(RT_INPUT, "%s: rows without a label: %llu (%s), which --missing-labels refuses", r->where,
                       (unsigned long long)rows, list);
    cJSON_AddNumberToObject(r->job->report, "rows_without_label", (double)rows);
    if (rows) rt_import_note(r->job, "rows without a label: %llu (%s); y is -1", (unsigned long long)rows, list);
    if (!r->count)
        return rt_fail(RT_INPUT, "%s: no row has a label; leave the labels out%s", r->where,
                       r->job->spec->format == RT_FORMAT_CSV && !r->job->spec->labels ? " (--drop)" : "");
    return RT_OK;
}

static rt_status report_classes(rt_import_job *job, const resolver *r)
{
    cJSON *names = cJSON_AddArrayToObject(job->report, "class_names");
    cJSON *rows = cJSON_AddArrayToObject(job->report, "class_rows");
    uint64_t *n = calloc((size_t)job->classes + 1, sizeof *n);
    if (!n) return rt_fail(RT_RUN, "out of memory");
    for (int i = 0; i < r->set->count; i++) if (r->to[i] >= 0) n[r->to[i]] += r->set->rows[i];
    cJSON_AddNumberToObject(job->report, "classes", job->classes);
    for (int i = 0; i < job->classes; i++) {
        cJSON_AddItemToArray(names, cJSON_CreateString(job->class_name[i]));
        cJSON_AddItemToArray(rows, cJSON_CreateNumber((double)n[i]));
    }
    free(n);
    return RT_OK;
}

/* What is asked for labels must be possible and do something. */
static rt_status check_asked(const resolver *r)
{
    const rt_import_spec *s = r->job->spec;
    if (s->max_classes && r->job->known.name)
        return rt_fail(RT_USAGE, "--max-classes does nothing: the classes are those %s", like_of(r));
    if (s->no_label && r->job->known.name && known_at(&r->job->known, s->no_label) >= 0)
        return rt_fail(RT_USAGE, "--no-label '%.60s' is one of the classes %s", s->no_label, like_of(r));
    int there = !s->no_label;
    for (int i = 0; i < r->set->count; i++) {
        there |= !there && same_label(s->no_label, r->set->text[i]);
        if (!rt_is_utf8(r->set->text[i]))
            return rt_fail(RT_INPUT, "%s: label '%.60s' is no valid UTF-8; rename it, or save NumPy's labels as text: "
                                     "np.char.decode(y, 'latin1')", r->where, r->set->text[i]);
    }
    if (!there) rt_import_note(r->job, "no row has the label '%.60s' of --no-label", s->no_label);
    return RT_OK;
}

rt_status rt_label_resolve(rt_import_job *job, const rt_label_set *set, const char *where, uint64_t rows, int flags)
{
    size_t n = (size_t)set->count + 1;
    resolver r = {.job = job, .set = set, .where = where};
    r.all = calloc(n, sizeof *r.all);
    r.left = calloc(n, sizeof *r.left);
    r.to = malloc(n * sizeof *r.to);
    rt_status st = r.all && r.left && r.to ? RT_OK : rt_fail(RT_RUN, "out of memory");
    if (!st) {
        for (int i = 0; i < set->count; i++) r.to[i] = -1;
        find_missing(&r, flags);
        st = check_asked(&r);
    }
    if (!st) {
        st = job->known.name ? to_known(&r) : r.numbers ? to_numbers(&r, flags) : to_texts(&r);
    }
    int count = job->spec->max_classes || !(flags & RT_LABELS_OF_FOLDERS);
    if (!st && !job->known.name && count) st = check_count(&r, rows);
    if (!st) st = say_missing(&r);
    if (!st) st = report_classes(job, &r);
    for (uint64_t i = 0; i < rows && job->y && !st; i++) job->y[i] = r.to[job->y[i]];
    free(r.to);
    free(r.all);
    free(r.left);
    return st;
}
