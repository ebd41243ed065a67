#include "data/label_features.h"

#include <stdlib.h>
#include <string.h>

rt_status rt_label_features_open(rt_label_features *f, const char *path, const char *set)
{
    rt_h5_file *file;
    const char *name = set;
    *f = (rt_label_features){0};
    if (!strncmp(name, "labels/", 7)) name += 7;
    if (strncmp(name, "features/", 9) != 0) return RT_OK;
    name += 9;
    RT_TRY(rt_h5_scan(&file, path));
    int store = rt_h5_find(file, "labels/status") && rt_h5_find(file, "source/leaves");
    rt_h5_close(file);
    if (!store) return RT_OK;
    RT_TRY(rt_labels_open(&f->labels, path, 0));
    const rt_labels_spec *s = rt_labels_info(f->labels);
    f->feature = rt_labels_find_feature(f->labels, name);
    f->first = s->first;
    f->rows = s->rows;
    if (f->feature >= 0) {
        f->width = s->feature[f->feature].width;
        return RT_OK;
    }
    return s->features ? rt_fail(RT_INPUT, "%s: has no feature '%s'; its first one is '%s'", path, name,
                                 s->feature[0].name)
                       : rt_fail(RT_INPUT, "%s: has no features; label.features keeps some", path);
}

void rt_label_features_close(rt_label_features *f)
{
    rt_labels_close(f->labels);
    f->labels = NULL;
}

rt_status rt_label_features_read(const rt_label_features *f, const uint64_t *row, int n, int lenient, float *to)
{
    size_t width = (size_t)f->width;
    unsigned char *status = lenient ? malloc((size_t)n + 1) : NULL;
    if (!lenient) return rt_labels_read_feature(f->labels, f->feature, RT_LABEL_NO_VIEW, row, n, to);
    rt_status st = status ? rt_labels_status(f->labels, row, n, status) : rt_fail(RT_RUN, "out of memory");
    for (int i = 0, end; i < n && !st; i = end) {                        /* runs of rows that have one, or none */
        int there = rt_label_is_there(status[i]);
        for (end = i; end < n && rt_label_is_there(status[end]) == there; end++) {}
        if (there)
            st = rt_labels_read_feature(f->labels, f->feature, RT_LABEL_NO_VIEW, row + i, end - i,
                                        to + (size_t)i * width);
        else memset(to + (size_t)i * width, 0, (size_t)(end - i) * width * sizeof *to);
    }
    free(status);
    return st;
}
