#include <stdlib.h>
#include <string.h>

#include "experiments/gate/gate_parts.h"
#include "experiments/report/report_parts.h"

/* Text of others between tags and in attributes: inert, and characters of XML 1.0 alone. */
static void put_xml(rt_string *t, const char *text)
{
    rt_string plain = {0}, marked = {0};
    rt_put_plain(&plain, text);
    for (const char *p = plain.p; p && *p;) {
        int n;
        uint32_t c = rt_character(p, &n);
        if ((c & 0xfffe) == 0xfffe) rt_put(&marked, "?");             /* U+FFFE and U+FFFF, of every plane */
        else rt_put_bytes(&marked, p, (size_t)n);
        p += n;
    }
    rt_put_html(t, marked.p);
    t->failed |= plain.failed || marked.failed;
    free(plain.p);
    free(marked.p);
}

typedef enum { GOOD, BAD, SKIPPED } result;

/* As the exit code takes it: open ones are failures of a release, and warnings of a pull request. */
static result result_of(const cJSON *v, const cJSON *l)
{
    const char *outcome = rt_text(l, "outcome");
    if (!strcmp(outcome, "pass")) return GOOD;
    if (!strcmp(outcome, "listed") || rt_member(l, "waiver")) return SKIPPED;
    return !strcmp(outcome, "undecided") && !strcmp(rt_text(v, "mode"), "proven") ? SKIPPED : BAD;
}

/* "recall class=6 max_drop avx2", and a number behind it where a name, once it is inert, is that of one before: readers
 * keep one case of a name. */
static void put_name(rt_string *t, rt_string *name, int index, const cJSON *l)
{
    int same = 0;
    rt_string *own = &name[index];
    put_xml(own, rt_text(l, "name"));
    rt_put(own, " %s", rt_text(l, "bound"));
    if (rt_member(l, "kernels")) rt_put(own, " %s", rt_text(l, "kernels"));
    for (int i = 0; i < index; i++) same += own->p && name[i].p && !strcmp(own->p, name[i].p);
    if (own->p) rt_put_bytes(t, own->p, own->n);
    if (same) rt_put(t, " (%d)", same + 1);
}

static void put_case(rt_string *t, const cJSON *v, const cJSON *l, rt_string *name, int index)
{
    result r = result_of(v, l);
    rt_string detail = {0};
    rt_gate_put_detail(&detail, l);
    rt_put(t, "  <testcase classname=\"retort.gate\" name=\"");
    put_name(t, name, index, l);
    rt_put(t, "\" time=\"0\"");
    if (r == GOOD) rt_put(t, "/>\n");
    else {
        const cJSON *waiver = rt_member(l, "waiver");
        rt_put(t, ">\n    <%s message=\"%s\"", r == BAD ? "failure" : "skipped", rt_text(l, "outcome"));
        if (r == BAD) rt_put(t, " type=\"%s\"", rt_text(l, "outcome"));
        rt_put(t, ">");
        put_xml(t, detail.p);
        if (waiver) {
            rt_put(t, "; waived until %s: ", rt_text(waiver, "until"));
            put_xml(t, rt_text(waiver, "reason"));
        }
        rt_put(t, "</%s>\n  </testcase>\n", r == BAD ? "failure" : "skipped");
    }
    free(detail.p);
}

void rt_gate_junit(rt_string *t, const cJSON *v)
{
    const cJSON *limits = rt_member(v, "limits"), *refused = rt_member(v, "refused");
    int n[3] = {0}, sides = cJSON_GetArraySize(refused) > 0, index = 0, count = cJSON_GetArraySize(limits);
    rt_string *name = calloc((size_t)count + 1, sizeof *name);
    if (!name) {
        t->failed = 1;
        return;
    }
    for (const cJSON *l = limits->child; l; l = l->next) n[result_of(v, l)]++;
    rt_put(t, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"retort gate\">\n"
              "<testsuite name=\"retort gate\" tests=\"%d\" failures=\"%d\" errors=\"0\" skipped=\"%d\" time=\"0\" "
              "timestamp=\"%.19s\">\n",
           n[GOOD] + n[BAD] + n[SKIPPED] + 1, n[BAD] + sides, n[SKIPPED], rt_text(v, "time"));
    rt_string wear = {0};
    rt_gate_put_wear(&wear, v);
    rt_put(t, "  <testcase classname=\"retort.gate\" name=\"comparable\" time=\"0\"");
    if (sides || wear.p) rt_put(t, ">\n");
    if (sides) {
        rt_put(t, "    <failure message=\"not comparable\" type=\"not comparable\">");
        for (const cJSON *e = refused->child; e; e = e->next) {
            put_xml(t, e->valuestring);
            if (e->next) rt_put(t, "; ");
        }
        rt_put(t, "</failure>\n");
    }
    if (wear.p) {                          /* GitLab shows what is in a case, and no properties */
        rt_put(t, "    <system-out>");
        put_xml(t, wear.p);
        rt_put(t, "</system-out>\n");
    }
    rt_put(t, sides || wear.p ? "  </testcase>\n" : "/>\n");
    t->failed |= wear.failed;
    free(wear.p);
    for (const cJSON *l = limits->child; l; l = l->next) put_case(t, v, l, name, index++);
    rt_put(t, "</testsuite>\n</testsuites>\n");
    for (int i = 0; i < count; i++) {
        t->failed |= name[i].failed;
        free(name[i].p);
    }
    free(name);
}
