/* What layers are, and the arithmetic that all of them share.
 *
 * FL rounds to float where the compiler may keep more (x87), or may do as it likes (an unknown one). */
#include "net.h"

#include <string.h>

#if defined(__GNUC__)
#define MAYBE static __attribute__((unused))
#else
#define MAYBE static
#endif

typedef char net_needs_ints_of_32_bits[sizeof(int) >= 4 ? 1 : -1];

#if defined(__FLT_EVAL_METHOD__) && __FLT_EVAL_METHOD__ == 0
#define FL(v) ((float)(v))
#else
MAYBE float FL(double v)
{
    volatile float f = (float)v;
    return f;
}
#endif

typedef struct { float low, high; int zero; } net_range;     /* bounds before the zero point is added */

/* Sums, of 2-D, 1-D and grouped convolutions and of dense layers. */
typedef struct {
    int h, w, c, oh, ow, n;          /* of x and y */
    int kh, kw, sh, sw, top, left, right, groups;
    int runs, run, k; /* weights that lie side by side: in each row of the kernel, and as they are kept */
    int zx;
    net_range range;
    const int8_t *weight;
    const int32_t *start;
    const float *m;
} net_conv;

typedef struct { int n, za, zb; float ra, rb, fx; net_range range; } net_pair;

typedef struct {
    int h, w, c, oh, ow, kh, kw, sh, sw, top, left, zx;
    int rows, columns;               /* least taps of a window; m has an entry for each number of rows and columns */
    int choices;                     /* of columns */
    net_range range;
    const float *m;
} net_pool;

MAYBE uint32_t net_bits(float v)
{
    uint32_t u;
    memcpy(&u, &v, sizeof u);
    return u;
}

MAYBE float net_float(uint32_t u)
{
    float v;
    memcpy(&v, &u, sizeof v);
    return v;
}

/* rne(v) within [low, high], low <= 0 <= high, then the zero point. Bits of floats of one sign are in the order of
 * their magnitudes, so bounds are set by integers, which compilers neither regroup nor merge with what is around. */
MAYBE int net_round(float v, const net_range *r)
{
    const uint32_t low = net_bits(r->low) | 0x80000000u, magic = 0x4B400000u;     /* 1.5 2^23 */
    const int32_t high = (int32_t)net_bits(r->high);
    int32_t i = (int32_t)net_bits(v);
    uint32_t u;
    i = i > high ? high : i;
    u = (uint32_t)i;
    u = u > low ? low : u;
    return (int)(net_bits(FL(net_float(u) + 12582912.0f)) - magic) + r->zero;
}

MAYBE uint8_t net_byte(int32_t acc, float m, const net_range *r)
{
    float v = FL(acc);
    v = FL(v * m);
    return (uint8_t)net_round(v, r);
}

MAYBE int net_least(int a, int b) { return a < b ? a : b; }
MAYBE int net_most(int a, int b) { return a > b ? a : b; }

/* FNV-1a of n bytes, on which the self test is built. */
MAYBE uint32_t net_hash(const uint8_t *p, int n)
{
    uint32_t h = 2166136261u;
    int i;
    for (i = 0; i < n; i++) h = (h ^ p[i]) * 16777619u;
    return h;
}

MAYBE uint32_t net_hash_floats(const float *p, int n)
{
    uint32_t h = 2166136261u, v;
    int i, k;
    for (i = 0; i < n; i++) {
        memcpy(&v, &p[i], sizeof v);
        for (k = 0; k < 32; k += 8) h = (h ^ (v >> k & 255u)) * 16777619u;
    }
    return h;
}

/* What looks at the bytes that a call of the self test gave, before they are compared; nothing, unless one is defined.
 */
#ifndef NET_SEE
#define NET_SEE(call, bytes, n)
#endif

MAYBE void net_check(int *wrong, int call, const uint8_t *p, int n, uint32_t hash)
{
    NET_SEE(call, p, n);
    if (!*wrong && net_hash(p, n) != hash) *wrong = call + 1;
}

MAYBE void net_check_floats(int *wrong, int call, const float *p, int n, uint32_t hash)
{
    if (!*wrong && net_hash_floats(p, n) != hash) *wrong = call + 1;
}
