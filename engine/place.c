#include "engine/place.h"

#include <stdlib.h>

static int by_size(const void *a, const void *b)
{
    const rt_span *x = a, *y = b;
    if (x->size != y->size) return x->size < y->size ? 1 : -1;
    return x->at < y->at ? -1 : x->at > y->at;
}

size_t rt_place(rt_span *s, int n)
{
    size_t total = 0;
    qsort(s, (size_t)n, sizeof *s, by_size);
    for (int i = 0; i < n; i++) {
        size_t at = 0;
        for (int moved = 1; moved;) {
            moved = 0;
            for (int k = 0; k < i; k++)
                if (s[k].first <= s[i].last && s[i].first <= s[k].last && at < *s[k].at + s[k].size &&
                    *s[k].at < at + s[i].size) {
                    at = *s[k].at + s[k].size;
                    moved = 1;
                }
        }
        *s[i].at = at;
        if (at + s[i].size > total) total = at + s[i].size;
    }
    return total;
}
