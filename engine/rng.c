#include "engine/rng.h"

#include <math.h>
#include <stdlib.h>

void rt_philox(uint32_t out[4], const uint32_t counter[4], const uint32_t key[2])
{
    uint32_t c0 = counter[0], c1 = counter[1], c2 = counter[2], c3 = counter[3], k0 = key[0], k1 = key[1];
    for (int r = 0; r < 10; r++) {
        uint64_t a = (uint64_t)0xD2511F53u * c0, b = (uint64_t)0xCD9E8D57u * c2;
        uint32_t n0 = (uint32_t)(b >> 32) ^ c1 ^ k0, n2 = (uint32_t)(a >> 32) ^ c3 ^ k1;
        c1 = (uint32_t)b;
        c3 = (uint32_t)a;
        c0 = n0;
        c2 = n2;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    out[0] = c0;
    out[1] = c1;
    out[2] = c2;
    out[3] = c3;
}

void rt_random4(uint32_t out[4], uint64_t seed, rt_rng_purpose purpose, uint32_t epoch, uint32_t step, uint32_t row,
                uint32_t lane)
{
    uint32_t counter[4] = {epoch, step, row, lane};
    uint32_t key[2] = {(uint32_t)seed, (uint32_t)(seed >> 32) ^ ((uint32_t)purpose * 0x9E3779B1u)};
    rt_philox(out, counter, key);
}

void rt_normal(float *out, uint64_t n, uint64_t seed, rt_rng_purpose purpose, uint32_t stream)
{
    for (uint64_t i = 0; i < n; i += 4) {
        uint32_t w[4];
        rt_random4(w, seed, purpose, stream, (uint32_t)(i >> 34), 0, (uint32_t)(i >> 2));
        for (uint64_t k = 0; k < 4 && i + k < n; k++) {
            double u = ((double)w[k & 2] + 1.0) * 0x1p-32, v = (double)w[(k & 2) + 1] * 0x1p-32;
            double radius = sqrt(-2.0 * log(u)), angle = 6.283185307179586 * v;
            out[i + k] = (float)(radius * (k & 1 ? sin(angle) : cos(angle)));
        }
    }
}

/* Bits of one half of the Feistel network whose domain holds [0, n). */
static int half_of(uint64_t n)
{
    int half = 1;
    while (half < 31 && ((uint64_t)1 << (2 * half)) < n) half++;
    return half;
}

static uint32_t round_word(uint64_t seed, rt_rng_purpose purpose, uint32_t epoch, uint32_t stream, uint32_t half,
                           uint32_t round)
{
    uint32_t w[4];
    rt_random4(w, seed, purpose, epoch, stream, half, round);
    return w[0];
}

uint64_t rt_permute(uint64_t i, uint64_t n, uint64_t seed, rt_rng_purpose purpose, uint32_t epoch, uint32_t stream)
{
    if (n < 2) return 0;
    int half = half_of(n);
    uint32_t mask = (uint32_t)(((uint64_t)1 << half) - 1);
    do {
        uint32_t l = (uint32_t)(i >> half) & mask, r = (uint32_t)i & mask;
        for (uint32_t round = 0; round < 4; round++) {
            uint32_t t = (l ^ round_word(seed, purpose, epoch, stream, r, round)) & mask;
            l = r;
            r = t;
        }
        i = ((uint64_t)l << half) | r;
    } while (i >= n);
    return i;
}

rt_status rt_permutation_set(rt_permutation *p, uint64_t n, uint64_t seed, rt_rng_purpose purpose, uint32_t epoch,
                             uint32_t stream)
{
    p->n = n;
    p->seed = seed;
    p->purpose = purpose;
    p->epoch = epoch;
    p->stream = stream;
    p->half = half_of(n);
    p->mask = (uint32_t)(((uint64_t)1 << p->half) - 1);
    if (p->half > 16) {
        rt_permutation_free(p);
        return RT_OK;
    }
    uint64_t size = (uint64_t)1 << p->half;
    if (p->room < size) {
        rt_permutation_free(p);
        p->table = malloc(4 * size * sizeof *p->table);
        if (!p->table) return rt_fail(RT_RUN, "out of memory for the order of %llu rows", (unsigned long long)n);
        p->room = size;
    }
    for (uint32_t round = 0; round < 4; round++)
        for (uint32_t r = 0; r < size; r++)
            p->table[round * size + r] = (uint16_t)(round_word(seed, purpose, epoch, stream, r, round) & p->mask);
    return RT_OK;
}

static inline uint32_t keyed(const rt_permutation *p, uint32_t r, uint32_t round)
{
    if (p->table) return p->table[((uint64_t)round << p->half) + r];
    return round_word(p->seed, p->purpose, p->epoch, p->stream, r, round) & p->mask;
}

uint64_t rt_permutation_at(const rt_permutation *p, uint64_t i)
{
    if (p->n < 2) return 0;
    do {
        uint32_t l = (uint32_t)(i >> p->half) & p->mask, r = (uint32_t)i & p->mask;
        for (uint32_t round = 0; round < 4; round += 2) {
            l ^= keyed(p, r, round);
            r ^= keyed(p, l, round + 1);
        }
        i = ((uint64_t)l << p->half) | r;
    } while (i >= p->n);
    return i;
}

uint64_t rt_permutation_from(const rt_permutation *p, uint64_t j)
{
    if (p->n < 2) return 0;
    do {
        uint32_t l = (uint32_t)(j >> p->half) & p->mask, r = (uint32_t)j & p->mask;
        for (uint32_t round = 4; round > 0; round -= 2) {
            r ^= keyed(p, l, round - 1);
            l ^= keyed(p, r, round - 2);
        }
        j = ((uint64_t)l << p->half) | r;
    } while (j >= p->n);
    return j;
}

void rt_permutation_free(rt_permutation *p)
{
    free(p->table);
    p->table = NULL;
    p->room = 0;
}
