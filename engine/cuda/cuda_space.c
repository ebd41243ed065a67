#include "engine/cuda/cuda_space.h"

void rt_space_add(rt_space *s, size_t count, int64_t step0, int64_t step1, int64_t step2)
{
    if (count == 1) return;
    int d = s->dims++;
    s->count[d] = count;
    s->step[0][d] = step0;
    s->step[1][d] = step1;
    s->step[2][d] = step2;
}

int rt_space_by_4(rt_space *s)
{
    if (!s->dims || s->count[0] % 4) return 0;
    for (int k = 0; k < RT_SPACE_OPERANDS; k++)
        if (s->step[k][0] != 0 && s->step[k][0] != 1) return 0;
    s->count[0] /= 4;
    for (int k = 0; k < RT_SPACE_OPERANDS; k++) s->step[k][0] *= 4;
    return 1;
}

void rt_space_seal(rt_space *s)
{
    uint64_t most = 0;
    s->places = 1;
    for (int d = 0; d < s->dims; d++) s->places *= s->count[d];
    for (int k = 0; k < RT_SPACE_OPERANDS; k++) {
        uint64_t reach = 0;
        for (int d = 0; d < s->dims; d++) reach += (uint64_t)s->step[k][d] * s->count[d];
        if (reach > most) most = reach;
    }
    s->narrow = s->places * 4 < 1ull << 31 && most < 1ull << 31;
    for (int d = 0; d < s->dims && s->narrow; d++) {
        uint32_t by = (uint32_t)s->count[d], bits = 0;
        while (1ull << bits < by) bits++;
        s->shift[d] = bits;
        s->mul[d] = (uint32_t)(((1ull << 32) * ((1ull << bits) - by)) / by + 1);
    }
}
