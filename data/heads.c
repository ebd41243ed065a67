#include "data/heads.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const tasks[] = {"classes", "multilabel", "real", NULL};

const char *rt_task_name(rt_task task) { return tasks[task]; }

static int good_name(const char *name)
{
    size_t n = strlen(name);
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)name[i] < 0x20 || name[i] == 0x7f || name[i] == '/' || name[i] == '.') return 0;
    return n && n <= RT_HEAD_NAME;
}

rt_status rt_heads_add(rt_head head[RT_MAX_HEADS], int *count, const char *name, rt_task task, int size)
{
    int at = rt_heads_width(head, *count);
    rt_head h = {.task = task, .size = size, .tensor = -1, .at = at};
    if (!good_name(name))
        return rt_fail(RT_USAGE, "head '%.100s': a name has 1 to %d bytes, none of them '/', '.' or a control", name,
                       RT_HEAD_NAME);
    if (*count == RT_MAX_HEADS)
        return rt_fail(RT_USAGE, "head '%s': there are at most %d heads; leave one out", name, RT_MAX_HEADS);
    for (int i = 0; i < *count; i++)
        if (strcmp(head[i].name, name) == 0)
            return rt_fail(RT_USAGE, "two heads are named '%s'; give one another name", name);
    if (size < 1 || size > RT_HEADS_WIDTH - at)
        return rt_fail(RT_USAGE, "head '%s': has %d outputs; all heads have 1 to %d", name, size, RT_HEADS_WIDTH);
    RT_TRY(rt_names_numbered(&h.names, size, NULL));
    h.name = strdup(name);
    if (!h.name) {
        rt_names_free(&h.names);
        return rt_fail(RT_RUN, "out of memory");
    }
    head[(*count)++] = h;
    return RT_OK;
}

void rt_heads_free(rt_head *head, int count)
{
    for (int i = 0; i < count; i++) {
        free(head[i].name);
        rt_names_free(&head[i].names);
    }
}

rt_status rt_heads_copy(rt_head out[RT_MAX_HEADS], const rt_head *head, int count)
{
    int n = 0;
    rt_status st = RT_OK;
    for (int i = 0; i < count && !st; i++) {
        rt_names names;
        st = rt_names_copy(&names, &head[i].names);
        if (!st) st = rt_heads_add(out, &n, head[i].name, head[i].task, head[i].size);
        if (st) {
            rt_names_free(&names);
            break;
        }
        rt_names_free(&out[i].names);
        out[i].names = names;
        out[i].tensor = head[i].tensor;
    }
    if (st) rt_heads_free(out, n);
    return st;
}

int rt_heads_width(const rt_head *head, int count) { return count ? head[count - 1].at + head[count - 1].size : 0; }

int rt_heads_plain(const rt_head *head, int count)
{ return count == 1 && head[0].task == RT_TASK_CLASSES && !strcmp(head[0].name, "y"); }

const char *rt_heads_text(const rt_head *head, int count, char text[RT_NAMES_TEXT])
{
    int n = 0, i = 0;
    *text = 0;
    for (; i < count && n + 40 + RT_HEAD_NAME < RT_NAMES_TEXT; i++)
        n += snprintf(text + n, RT_NAMES_TEXT - (size_t)n, "%s%s (%s, %d)", i ? ", " : "", head[i].name,
                      tasks[head[i].task], head[i].size);
    if (i < count) snprintf(text + n, RT_NAMES_TEXT - (size_t)n, ", ...");
    return text;
}

/* ---- JSON ---- */

cJSON *rt_heads_to_json(const rt_head *head, int count)
{
    cJSON *list = cJSON_CreateArray();
    for (int i = 0; i < count; i++) {
        cJSON *j = cJSON_CreateObject(), *names = rt_names_to_json(&head[i].names);
        cJSON_AddItemToArray(list, j);
        cJSON_AddStringToObject(j, "name", head[i].name);
        cJSON_AddStringToObject(j, "task", tasks[head[i].task]);
        cJSON_AddNumberToObject(j, "size", head[i].size);
        if (names) cJSON_AddItemToObject(j, "names", names);
    }
    return list;
}

static rt_status read_head(rt_head *head, int *count, cJSON *object, const char *of, const char *key)
{
    rt_cfg c = rt_cfg_begin(object, key);
    const char *name = rt_cfg_string(&c, "name", NULL);
    rt_task task = (rt_task)rt_cfg_choice(&c, "task", tasks, 0);
    int size = rt_cfg_int(&c, "size", 0, 1, RT_HEADS_WIDTH);
    const cJSON *list = rt_cfg_any(&c, "names");
    rt_names names = {0};
    RT_TRY(c.status);
    RT_TRY(rt_heads_add(head, count, name, task, size));
    RT_TRY(rt_names_from_json(&names, list, of, key));
    if (names.name && names.count != size) {
        rt_names_free(&names);
        return rt_fail(RT_INPUT, "%s: head '%s' has %d outputs and %d names", key, name, size,
                       cJSON_GetArraySize(list));
    }
    if (!names.name) {
        rt_names_free(&names);
        RT_TRY(rt_names_numbered(&names, size, of));
    }
    rt_names_free(&head[*count - 1].names);
    head[*count - 1].names = names;
    return RT_OK;
}

rt_status rt_heads_from_json(rt_head out[RT_MAX_HEADS], int *count, const cJSON *list, const char *of, const char *key)
{
    cJSON *copy = cJSON_Duplicate(list, 1);
    rt_status st = cJSON_IsArray(list) && list->child
                       ? RT_OK : rt_fail(RT_INPUT, "%s: a list of heads is expected", key);
    *count = 0;
    for (cJSON *j = copy ? copy->child : NULL; j && !st; j = j->next) st = read_head(out, count, j, of, key);
    cJSON_Delete(copy);
    if (!st) return RT_OK;
    rt_heads_free(out, *count);
    *count = 0;
    return st == RT_RUN ? st : rt_fail_in(RT_INPUT, "%s", of);
}

/* ---- matching ---- */

int rt_heads_find(const rt_head *list, int listed, const rt_head *one, int count)
{
    if (listed == 1 && count == 1) return 0;
    for (int i = 0; i < listed; i++) if (!strcmp(list[i].name, one->name)) return i;
    return -1;
}

static rt_status differ(const rt_head *a, const char *a_of, const rt_head *b, const char *b_of)
{
    if (a->task == b->task && a->task == RT_TASK_CLASSES)
        return rt_fail(RT_INPUT, "%s: has %d classes, %s has %d", a_of, a->size, b_of, b->size);
    const char *remedy = "";
    if (a->task == RT_TASK_REAL && b->task != RT_TASK_REAL)
        remedy = "; numbers, such as an embedding, are learnt by a head of numbers: \"heads\": [{\"name\", \"task\": "
                 "\"real\", \"size\"}], or let another output answer, one of logits or probabilities";
    return rt_fail(RT_INPUT, "%s: its head '%s' is of task %s with %d outputs, that of %s of task %s with %d%s", a_of,
                   a->name, tasks[a->task], a->size, b_of, tasks[b->task], b->size, remedy);
}

rt_status rt_heads_place(int **place, const rt_head *from, int from_count, const char *from_of, const rt_head *to,
                         int to_count, const char *to_of, rt_match match)
{
    static const char *const what[] = {"class", "label", "output"};
    char a[RT_NAMES_TEXT], b[RT_NAMES_TEXT];
    int width = rt_heads_width(from, from_count), common = 0, same = width == rt_heads_width(to, to_count);
    int *p = malloc((size_t)width * sizeof *p);
    rt_status st = p ? RT_OK : rt_fail(RT_RUN, "out of memory");
    *place = NULL;
    for (int i = 0; i < from_count && !st; i++) {
        int k = rt_heads_find(to, to_count, &from[i], from_count), *order = NULL;
        const rt_head *f = &from[i], *t = k < 0 ? NULL : &to[k];
        if (t && (f->task != t->task || f->size != t->size)) st = differ(f, from_of, t, to_of);
        else if (t && match == RT_MATCH_NAMES) st = rt_names_permute(&order, &f->names, &t->names, what[f->task]);
        for (int e = 0; e < f->size && !st; e++) p[f->at + e] = !t ? -1 : t->at + (order ? order[e] : e);
        common += t != NULL;
        free(order);
    }
    if (!st && !common)
        st = rt_fail(RT_INPUT, "%s: none of its heads is one of %s; heads of %s: %s; of %s: %s", from_of, to_of,
                     from_of, rt_heads_text(from, from_count, a), to_of, rt_heads_text(to, to_count, b));
    for (int e = 0; e < width && same && !st; e++) same = p[e] == e;
    if (st || same) free(p);
    else *place = p;
    return st;
}

void rt_heads_hash(rt_hasher *h, const rt_head *head, int count)
{
    for (int i = 0; i < count; i++) {
        if (!rt_heads_plain(head, count)) {
            rt_hasher_add(h, head[i].name, strlen(head[i].name) + 1);
            rt_hasher_add(h, tasks[head[i].task], strlen(tasks[head[i].task]) + 1);
        }
        rt_names_hash(h, &head[i].names);
    }
}
