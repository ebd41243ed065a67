#include "engine/array.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "engine/narrow.h"

rt_status rt_array_size(rt_dtype type, int rank, const int64_t *dim, size_t *count, size_t *bytes)
{
    if (rank < 0 || rank > RT_ARRAY_RANK)
        return rt_fail(RT_INPUT, "rank %d; up to %d is supported", rank, RT_ARRAY_RANK);
    *count = 1;
    size_t nonzero = 1; /* the product without zeros must fit, too: dimensions are multiplied singly */
    for (int i = 0; i < rank; i++) {
        if (dim[i] < 0) return rt_fail(RT_INPUT, "dimension %d is %lld", i, (long long)dim[i]);
        if (dim[i] && __builtin_mul_overflow(nonzero, (size_t)dim[i], &nonzero))
            return rt_fail(RT_INPUT, "the shape has more elements than memory can hold");
        *count = dim[i] ? *count : 0;
    }
    if (nonzero > (size_t)INT64_MAX / 16) return rt_fail(RT_INPUT, "the shape has more elements than memory can hold");
    *count = *count ? nonzero : 0;
    *bytes = *count * rt_dtype_size(type);
    return RT_OK;
}

rt_status rt_array_make(rt_array **out, rt_region *r, rt_dtype type, int rank, const int64_t *dim)
{
    size_t count, bytes;
    RT_TRY(rt_array_size(type, rank, dim, &count, &bytes));
    rt_array *a = rt_region_take(r, sizeof *a);
    if (a) a->data = rt_region_take(r, bytes);
    if (!a || !a->data) return rt_region_used(r) ? rt_fail_in(RT_INPUT, "%zu bytes more", bytes) : RT_RUN;
    a->type = type;
    a->rank = rank;
    a->count = count;
    if (rank) memcpy(a->dim, dim, (size_t)rank * sizeof *dim);
    if (type == RT_STRING)
        for (size_t i = 0; i < count; i++) ((const char **)a->data)[i] = "";
    *out = a;
    return RT_OK;
}

int rt_array_is_float(const rt_array *a)
{
    return a->type == RT_F16 || a->type == RT_BF16 || a->type == RT_F32 || a->type == RT_F64 ||
           rt_narrow_is_float(a->type);
}

/* Of the integers that share a byte in files, but have their own here. */
static int bits_of(rt_dtype t) { return t == RT_U4 || t == RT_I4 ? 4 : t == RT_U2 || t == RT_I2 ? 2 : 0; }

int rt_array_is_integer(const rt_array *a) { return rt_dtype_is_integer(a->type) || bits_of(a->type); }

/* ---- halves: both are a sign, an exponent and a fraction; a double is rounded to them directly ---- */

static double of_half(uint16_t h, int exponent_bits)
{
    const int fraction_bits = 15 - exponent_bits, bias = (1 << (exponent_bits - 1)) - 1,
              most = (1 << exponent_bits) - 1;
    int e = h >> fraction_bits & most, f = h & ((1 << fraction_bits) - 1);
    double v = e == most ? (f ? NAN : INFINITY)
                         : ldexp(e ? f + (1 << fraction_bits) : f, (e ? e : 1) - bias - fraction_bits);
    return h & 0x8000 ? -v : v;
}

static uint16_t to_half(double d, int exponent_bits)
{
    const int fraction_bits = 15 - exponent_bits, bias = (1 << (exponent_bits - 1)) - 1,
              most = (1 << exponent_bits) - 1;
    uint16_t sign = signbit(d) ? 0x8000 : 0;
    if (isnan(d)) return (uint16_t)(sign | most << fraction_bits | 1 << (fraction_bits - 1));
    if (isinf(d)) return (uint16_t)(sign | most << fraction_bits);
    if (d == 0) return sign;
    int e;
    frexp(d, &e);                                       /* |d| in [2^(e-1), 2^e) */
    if (--e < 1 - bias) e = 1 - bias;                   /* subnormal: a fixed step */
    double q = nearbyint(ldexp(fabs(d), fraction_bits - e));        /* to nearest, even */
    if (q >= ldexp(1, fraction_bits + 1)) q /= 2, e++;
    if (e > bias) return (uint16_t)(sign | most << fraction_bits);
    int whole = (int)q, normal = whole >> fraction_bits;
    return (uint16_t)(sign | (normal ? e + bias : 0) << fraction_bits | (whole & ((1 << fraction_bits) - 1)));
}

enum { F16_EXPONENT = 5, BF16_EXPONENT = 8 };

/* ---- elements ---- */

#define WHOLE_TYPES(X) \
    X(RT_U8, uint8_t) X(RT_I8, int8_t) X(RT_U16, uint16_t) X(RT_I16, int16_t) X(RT_U32, uint32_t) X(RT_I32, int32_t) \
        X(RT_U64, uint64_t) X(RT_I64, int64_t)

double rt_array_double(const rt_array *a, size_t i)
{
    switch (a->type) {
#define X(E, T) case E: return (double)((const T *)a->data)[i];
        WHOLE_TYPES(X)
        X(RT_F32, float)
        X(RT_F64, double)
        X(RT_BOOL, uint8_t)
        X(RT_U4, uint8_t)
        X(RT_I4, int8_t)
        X(RT_U2, uint8_t)
        X(RT_I2, int8_t)
#undef X
    case RT_F16: return of_half(((const uint16_t *)a->data)[i], F16_EXPONENT);
    case RT_BF16: return of_half(((const uint16_t *)a->data)[i], BF16_EXPONENT);
    default: return rt_narrow_is_float(a->type) ? rt_narrow_value(a->type, ((const uint8_t *)a->data)[i]) : NAN;
    }
}

/* Towards zero; beyond the range its end, as a conversion by hardware may do anything. */
static int64_t whole(double d)
{
    if (isnan(d)) return 0;
    if (d >= 9223372036854775808.0) return INT64_MAX;
    return d < -9223372036854775808.0 ? INT64_MIN : (int64_t)d;
}

int64_t rt_array_int(const rt_array *a, size_t i)
{
    switch (a->type) {
#define X(E, T) case E: return (int64_t)((const T *)a->data)[i];
        WHOLE_TYPES(X)
        X(RT_BOOL, uint8_t)
        X(RT_U4, uint8_t)
        X(RT_I4, int8_t)
        X(RT_U2, uint8_t)
        X(RT_I2, int8_t)
#undef X
    default: return whole(rt_array_double(a, i));
    }
}

const char *rt_array_text(const rt_array *a, size_t i)
{ return a->type == RT_STRING ? ((const char *const *)a->data)[i] : ""; }

void rt_array_put_int(rt_array *a, size_t i, int64_t v)
{
    switch (a->type) {
#define X(E, T) case E: ((T *)a->data)[i] = (T)v; return;
        WHOLE_TYPES(X)
#undef X
    case RT_BOOL: ((uint8_t *)a->data)[i] = v != 0; return;
    case RT_U4: case RT_U2: ((uint8_t *)a->data)[i] = (uint8_t)(v & ((1 << bits_of(a->type)) - 1)); return;
    case RT_I4: case RT_I2: {
        int half = 1 << (bits_of(a->type) - 1), low = (int)(v & (2 * half - 1));
        ((int8_t *)a->data)[i] = (int8_t)(low < half ? low : low - 2 * half);
        return;
    }
    default: rt_array_put(a, i, (double)v);
    }
}

void rt_array_put(rt_array *a, size_t i, double v)
{
    switch (a->type) {
    case RT_F32: ((float *)a->data)[i] = (float)v; return;
    case RT_F64: ((double *)a->data)[i] = v; return;
    case RT_F16: ((uint16_t *)a->data)[i] = to_half(v, F16_EXPONENT); return;
    case RT_BF16: ((uint16_t *)a->data)[i] = to_half(v, BF16_EXPONENT); return;
    case RT_BOOL: ((uint8_t *)a->data)[i] = v != 0; return;
    case RT_U64:
        if (v >= 9223372036854775808.0) {
            ((uint64_t *)a->data)[i] = v >= 18446744073709551616.0 ? UINT64_MAX : (uint64_t)v;
            return;
        }
        rt_array_put_int(a, i, whole(v));
        return;
    case RT_STRING: case RT_TEXT: return;
    case RT_F8E4M3: case RT_F8E4M3Z: case RT_F8E5M2: case RT_F8E5M2Z: case RT_F4E2M1: case RT_F8E8M0:
        ((uint8_t *)a->data)[i] = rt_narrow_code(a->type, v, 1);
        return;
    default: rt_array_put_int(a, i, whole(v));
    }
}

void rt_array_copy(rt_array *to, size_t i, const rt_array *from, size_t k)
{
    size_t size = rt_dtype_size(to->type);
    memcpy((char *)to->data + i * size, (const char *)from->data + k * size, size);
}

/* ---- shapes ---- */

const char *rt_array_type_name(rt_dtype t)
{
    static const char *const name[RT_DTYPE_COUNT] = {[RT_U8] = "uint8",
                                                     [RT_I8] = "int8",
                                                     [RT_U16] = "uint16",
                                                     [RT_I16] = "int16",
                                                     [RT_U32] = "uint32",
                                                     [RT_I32] = "int32",
                                                     [RT_U64] = "uint64",
                                                     [RT_I64] = "int64",
                                                     [RT_F16] = "float16",
                                                     [RT_BF16] = "bfloat16",
                                                     [RT_F32] = "float32",
                                                     [RT_F64] = "float64",
                                                     [RT_BOOL] = "bool",
                                                     [RT_STRING] = "string",
                                                     [RT_U4] = "uint4",
                                                     [RT_I4] = "int4",
                                                     [RT_U2] = "uint2",
                                                     [RT_I2] = "int2",
                                                     [RT_F8E4M3] = "float8e4m3fn",
                                                     [RT_F8E4M3Z] = "float8e4m3fnuz",
                                                     [RT_F8E5M2] = "float8e5m2",
                                                     [RT_F8E5M2Z] = "float8e5m2fnuz",
                                                     [RT_F4E2M1] = "float4e2m1", [RT_F8E8M0] = "float8e8m0"};
    return (unsigned)t < RT_DTYPE_COUNT && name[t] ? name[t] : "?";
}

char *rt_array_describe(const rt_array *a, char text[128])
{
    int n = snprintf(text, 128, "%s (", rt_array_type_name(a->type));
    for (int i = 0; i < a->rank && n < 100; i++)
        n += snprintf(text + n, 128 - (size_t)n, "%s%lld", i ? ", " : "", (long long)a->dim[i]);
    if (n < 126) snprintf(text + n, 128 - (size_t)n, ")");
    return text;
}

void rt_array_steps(int rank, const int64_t *dim, int64_t step[RT_ARRAY_RANK])
{
    int64_t s = 1;
    for (int i = rank - 1; i >= 0; i--) {
        step[i] = s;
        s *= dim[i];
    }
}

rt_status rt_array_broadcast(const rt_array *const *in, int n, int *rank, int64_t dim[RT_ARRAY_RANK])
{
    char a[128], b[128];
    *rank = 0;
    for (int k = 0; k < n; k++) if (in[k] && in[k]->rank > *rank) *rank = in[k]->rank;
    for (int i = 0; i < *rank; i++) {
        const rt_array *by = NULL;          /* who stretched it */
        dim[i] = 1;
        for (int k = 0; k < n; k++) {
            int at = in[k] ? i - (*rank - in[k]->rank) : -1;
            if (at < 0 || in[k]->dim[at] == 1) continue;
            if (by && in[k]->dim[at] != dim[i])
                return rt_fail(RT_INPUT, "%s and %s do not broadcast", rt_array_describe(by, a),
                               rt_array_describe(in[k], b));
            by = in[k];
            dim[i] = in[k]->dim[at];
        }
    }
    return RT_OK;
}

void rt_walk_begin(rt_walk *w, int rank, const int64_t *dim, const rt_array *const *in, int n)
{
    memset(w, 0, sizeof *w);
    w->rank = rank;
    w->n = n;
    w->left = 1;
    for (int i = 0; i < rank; i++) w->left *= (size_t)(w->dim[i] = dim[i]);
    for (int k = 0; k < n; k++) {
        int64_t step[RT_ARRAY_RANK];
        if (!in[k]) continue;
        rt_array_steps(in[k]->rank, in[k]->dim, step);
        for (int i = 0; i < in[k]->rank; i++)
            w->step[k][rank - in[k]->rank + i] = in[k]->dim[i] == 1 ? 0 : step[i];
    }
}

void rt_walk_next(rt_walk *w)
{
    w->left--;
    for (int i = w->rank - 1; i >= 0; i--) {
        int turns = ++w->at[i] == w->dim[i];
        for (int k = 0; k < w->n; k++)
            w->pos[k] += (size_t)(turns ? -w->step[k][i] * (w->dim[i] - 1) : w->step[k][i]);
        if (!turns) return;
        w->at[i] = 0;
    }
}
