/* experiments/eval/comparison_metrics.c - what can be asked of two sides. */
#include <pthread.h>
#include <string.h>

#include "data/json.h"
#include "experiments/eval/comparison.h"
#include "student/metrics.h"

enum { MOST = 64 };
static rt_paired_metric table[MOST];
static int listed;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void add_metric(rt_task task, const char *name, rt_metric_of of, int higher, const char *help)
{
    table[listed++] = (rt_paired_metric){name, task, of, higher, help};
}

static void fill_table(void)
{
    for (rt_task t = 0; t < RT_TASK_COUNT; t++) {
        for (int i = 0; i < rt_metrics[t].count; i++) {
            const rt_metric *m = &rt_metrics[t].metric[i];
            add_metric(t, m->name, RT_OF_MODEL, m->higher, m->help);
        }
        if (t == RT_TASK_REAL) continue;
        add_metric(t, "precision", RT_OF_CLASS, 1, "of rows answered with the class, the share that has it");
        add_metric(t, "recall", RT_OF_CLASS, 1, "of rows of the class, the share answered with it");
        add_metric(t, "f1", RT_OF_CLASS, 1, "2 hit / (rows of the class + rows answered with it)");
        add_metric(t, "nfr", RT_OF_PAIR, 0, "negative flips: share of rows that the baseline alone has right, b / n");
        add_metric(t, "btc", RT_OF_PAIR, 1,
                   "backward trust: of rows that the baseline has right, the share still right, a / (a + b)");
        add_metric(t, "nfi", RT_OF_PAIR, 0, "share of the candidate's errors that are new, b / (b + d)");
        if (t == RT_TASK_CLASSES) add_metric(t, "agreement", RT_OF_PAIR, 1, "share of rows with the same answer");
    }
}

const rt_paired_metric *rt_paired_metrics(int *count)
{
    pthread_once(&once, fill_table);
    *count = listed;
    return table;
}

const rt_paired_metric *rt_paired_metric_find(rt_task task, const char *name)
{
    int count, n = 0;
    const rt_paired_metric *m = rt_paired_metrics(&count);
    const char *names[MOST];
    for (int i = 0; i < count; i++) {
        if (task != RT_TASK_COUNT && m[i].task != task) continue;
        if (!strcmp(m[i].name, name)) return &m[i];
        names[n++] = m[i].name;
    }
    const char *near = rt_nearest(name, names, n);
    rt_fail(RT_USAGE, "there is no metric '%.60s'%s%s%s; see 'retort help metrics'", name,
            near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
    return NULL;
}

const char *rt_delta_status_name(rt_delta_status s)
{
    static const char *const name[] = {"measured", "undefined", "too few rows"};
    return name[s];
}
