#include "engine/narrow.h"

#include <math.h>
#include <string.h>

typedef struct {
    int fraction, bias, sign, most, infinite, nan;
} format; /* most: the code of the greatest; -1: none */

static const format *format_of(rt_dtype t)
{
    static const format e4m3 = {3, 7, 0x80, 0x7e, -1, 0x7f}, e4m3z = {3, 8, 0x80, 0x7f, -1, 0x80},
                        e5m2 = {2, 15, 0x80, 0x7b, 0x7c, 0x7e}, e5m2z = {2, 16, 0x80, 0x7f, -1, 0x80},
                        e2m1 = {1, 1, 0x8, 0x7, -1, -1};
    return t == RT_F8E4M3 ? &e4m3 : t == RT_F8E4M3Z ? &e4m3z : t == RT_F8E5M2 ? &e5m2 : t == RT_F8E5M2Z ? &e5m2z
         : t == RT_F4E2M1 ? &e2m1 : (const format *)0;
}

int rt_narrow_is_float(rt_dtype t) { return t == RT_F8E8M0 || format_of(t) != 0; }

static double magnitude(const format *f, int code)
{
    int e = code >> f->fraction, part = code & ((1 << f->fraction) - 1);
    return ldexp(e ? part + (1 << f->fraction) : part, (e ? e : 1) - f->bias - f->fraction);
}

double rt_narrow_value(rt_dtype t, uint8_t code)
{
    const format *f = format_of(t);
    if (t == RT_F8E8M0) return code == 0xff ? NAN : ldexp(1, code - 127);
    int plain = code & (f->sign - 1), minus = code & f->sign;
    if (f->nan == f->sign ? code == f->nan : f->nan >= 0 && plain > f->most && plain != f->infinite) return NAN;
    double v = plain == f->infinite ? INFINITY : magnitude(f, plain);
    return minus ? -v : v;
}

uint8_t rt_narrow_exponent(float v, int saturate, rt_narrow_rounding how)
{
    uint32_t bits;
    memcpy(&bits, &v, sizeof bits);
    uint32_t exponent = bits >> 23 & 0xff, rest = bits & 0x7fffff, half = 0x400000;
    if (exponent == 0xff) return 0xff;
    int up = how == RT_NARROW_UP ? rest > 0
                                 : how == RT_NARROW_NEAREST && (rest > half || (rest == half && exponent > 0));
    return (uint8_t)(exponent + (up && !(saturate && exponent == 0xfe)));
}

uint8_t rt_narrow_code(rt_dtype t, double v, int saturate)
{
    const format *f = format_of(t);
    if (t == RT_F8E8M0) return rt_narrow_exponent((float)v, saturate, RT_NARROW_UP);
    int sign = signbit(v) ? f->sign : 0, low = 0, high = f->most + 1;
    double m = fabs(v);
    if (isnan(v)) return (uint8_t)(f->nan < 0 || f->nan == f->sign ? f->sign : f->nan | sign);
    while (high - low > 1) {           /* low is the greatest code that is not beyond m */
        int mid = (low + high) / 2;
        if (magnitude(f, mid) <= m) low = mid;
        else high = mid;
    }
    double middle = (magnitude(f, low) + magnitude(f, low + 1)) / 2;
    int code = m > middle || (m == middle && low & 1) ? low + 1 : low;
    if (code > f->most || isinf(v)) {
        if (saturate || f->nan < 0) code = f->most;
        else if (f->nan == f->sign) return (uint8_t)f->nan;
        else code = f->infinite >= 0 ? f->infinite : f->nan;
    }
    return (uint8_t)(code || f->nan != f->sign ? code | sign : 0);
}
