#include "engine/cuda/cuda_reduce.h"

enum {
    FOLD = 256,                        /* threads of a block */
    ACROSS = 32,                       /* outputs that are neighbours in memory, side by side */
    LONG = 512,                        /* places a lane, from which a fold is cut into parts */
    LEAST = 8,                         /* places a lane in a part */
    MOST_PARTS = 256
};

/* The power of two at or above n, up to `most`. */
static int power_of_two(uint64_t n, int most)
{
    int p = 1;
    while (p < most && (uint64_t)p < n) p *= 2;
    return p;
}

static uint64_t quotient_up(uint64_t a, uint64_t b) { return (a + b - 1) / b; }

size_t rt_folding_plan(rt_folding *f, int blocks)
{
    rt_space_seal(&f->kept);
    rt_space_seal(&f->gone);
    uint64_t n = f->gone.places, kept = f->kept.places;
    f->across = f->kept.dims && (!f->gone.dims || f->kept.step[0][0] < f->gone.step[0][0]);
    if (f->across) {
        f->lanes = FOLD / power_of_two(f->kept.count[0], ACROSS);
        if ((uint64_t)f->lanes > n) f->lanes = power_of_two(n, f->lanes);
    } else f->lanes = n <= ACROSS * LEAST ? power_of_two(n, ACROSS) : power_of_two(n / LEAST, FOLD);
    uint64_t there = quotient_up(kept, (uint64_t)(FOLD / f->lanes)), each = (uint64_t)f->lanes, parts = 1;
    if (n > LONG * each) parts = quotient_up(n, LONG / 2 * each);
    if (blocks && there * parts < (uint64_t)blocks) {
        uint64_t wanted = quotient_up((uint64_t)blocks, there), most = quotient_up(n, LEAST * each);
        if (wanted > most) wanted = most;
        if (wanted > parts) parts = wanted;
    }
    f->splits = (int)(parts < MOST_PARTS ? parts : MOST_PARTS);
    int two = f->what == RT_FOLDS_FACTORS || (f->what == RT_FOLDS_REDUCE && f->reduce == RT_REDUCE_LOG_SUM_EXP);
    return f->splits > 1 ? (size_t)kept * (size_t)f->splits * (two ? 2 : 1) * sizeof(double) : 0;
}

/* Few outputs get parts until there are `blocks` blocks, of up to 256 outputs each; all get those of long folds. */
size_t rt_folding_room(size_t outputs, size_t places, int blocks)
{
    size_t parts = places > LONG ? places / (LONG / 2) + 1 : 0;
    return (outputs * (parts < MOST_PARTS ? parts : MOST_PARTS) + (size_t)2 * (size_t)blocks * FOLD) * sizeof(double);
}
