/* From type to type. */
#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/eval/eval_elements.h"
#include "engine/narrow.h"

/* ---- numbers as text: the fewest digits that read back as the number, laid out as Python and NumPy do ---- */

static int reads_back(const char *text, rt_dtype type, double v)
{
    double one[1] = {0};
    rt_array a = {.type = type, .rank = 0, .count = 1, .data = one};
    if (type == RT_F32) return strtof(text, NULL) == v;
    rt_array_put(&a, 0, strtod(text, NULL));
    return rt_array_double(&a, 0) == v;
}

static void number_text(const rt_array *x, size_t i, char out[64])
{
    double v = rt_array_double(x, i);
    char sci[64], digit[32], *sign = signbit(v) ? "-" : "";
    int n = 0, e, p = 0;
    if (isnan(v) || isinf(v)) {
        strcpy(out, isnan(v) ? "nan" : v < 0 ? "-inf" : "inf");
        return;
    }
    do snprintf(sci, sizeof sci, "%.*e", p, fabs(v));
    while (!reads_back(sci, x->type, fabs(v)) && ++p < 17);
    for (const char *s = sci; *s != 'e'; s++) if (isdigit((unsigned char)*s)) digit[n++] = *s;
    e = atoi(strchr(sci, 'e') + 1);
    while (n > 1 && digit[n - 1] == '0') n--;
    digit[n] = 0;
    if (e < -4 || e >= 16) snprintf(out, 64, "%s%c%s%se%+03d", sign, *digit, n > 1 ? "." : "", digit + 1, e);
    else if (e < 0) snprintf(out, 64, "%s0.%.*s%s", sign, -e - 1, "0000", digit);
    else if (n <= e + 1) snprintf(out, 64, "%s%s%.*s.0", sign, digit, e + 1 - n, "0000000000000000");
    else snprintf(out, 64, "%s%.*s.%s", sign, e + 1, digit, digit + e + 1);
}

static rt_status to_text(rt_eval_call *c, const rt_array *x, rt_array *y)
{
    char text[64];
    for (size_t i = 0; i < x->count; i++) {
        if (x->type == RT_BOOL) strcpy(text, rt_array_int(x, i) ? "True" : "False");
        else if (x->type == RT_U64) snprintf(text, sizeof text, "%llu", (unsigned long long)rt_array_int(x, i));
        else if (rt_array_is_integer(x)) snprintf(text, sizeof text, "%lld", (long long)rt_array_int(x, i));
        else number_text(x, i, text);
        char *copy = rt_region_text(c->region, text, strlen(text));
        if (!copy) return RT_INPUT;
        ((char **)y->data)[i] = copy;
    }
    return RT_OK;
}

static rt_status of_text(const rt_array *x, rt_array *y)
{
    if (y->type == RT_BOOL) return rt_fail(RT_INPUT, "text is not cast to bool");
    for (size_t i = 0; i < x->count; i++) {
        const char *text = rt_array_text(x, i);
        char *end = NULL;
        int hex = strpbrk(text, "xX(") != NULL;
        if (rt_array_is_float(y)) {
            double v = y->type == RT_F32 ? strtof(text, &end) : strtod(text, &end);
            rt_array_put(y, i, v);
        } else if (y->type == RT_U64) rt_array_put_int(y, i, (int64_t)strtoull(text, &end, 10));
        else rt_array_put_int(y, i, strtoll(text, &end, 10));
        while (end && isspace((unsigned char)*end)) end++;
        if (hex || !end || end == text || *end) return rt_fail(RT_INPUT, "'%s' is no number", text);
    }
    return RT_OK;
}

/* ---- numbers to numbers ---- */

/* Halves in numbers: each of the 65,536 is looked up. */
static rt_status of_halves(rt_eval_call *c, const rt_array *x, rt_array *y)
{
    float *table = rt_eval_scratch(c, 65536, sizeof *table);
    uint16_t at;
    rt_array one = {.type = x->type, .rank = 0, .count = 1, .data = &at};
    if (!table) return RT_INPUT;
    for (int i = 0; i < 65536; i++) {
        at = (uint16_t)i;
        table[i] = (float)rt_array_double(&one, 0);
    }
    for (size_t i = 0; i < x->count; i++) ((float *)y->data)[i] = table[((const uint16_t *)x->data)[i]];
    return RT_OK;
}

#define TO_FLOAT(T) for (size_t i = 0; i < n; i++) to[i] = (float)((const T *)x->data)[i]; return 1
static int to_float(const rt_array *x, float *to)
{
    size_t n = x->count;
    switch (x->type) {
    case RT_U8: case RT_BOOL: TO_FLOAT(uint8_t);
    case RT_I8: TO_FLOAT(int8_t);
    case RT_U16: TO_FLOAT(uint16_t);
    case RT_I16: TO_FLOAT(int16_t);
    case RT_U32: TO_FLOAT(uint32_t);
    case RT_I32: TO_FLOAT(int32_t);
    case RT_U64: TO_FLOAT(uint64_t);
    case RT_I64: TO_FLOAT(int64_t);
    case RT_F64: TO_FLOAT(double);
    default: return 0;
    }
}

static rt_status cast_to(rt_eval_call *c, const rt_array *x, rt_dtype type, int saturate,
                         rt_narrow_rounding how)
{
    rt_array *y;
    if (type == x->type) return rt_eval_view(c, 0, x, x->rank, x->dim);
    int clamps = c->version < 25 && (type == RT_I4 || type == RT_U4);  /* as the reference of those opsets did */
    RT_TRY(rt_eval_like(c, 0, type, x, &y));
    if ((type == RT_STRING || x->type == RT_STRING) && RT_EVAL_NARROW >> (type == RT_STRING ? x->type : type) & 1)
        return rt_fail(RT_INPUT, "text and %s are not cast", rt_array_type_name(type == RT_STRING ? x->type : type));
    if (type == RT_F8E8M0) {
        for (size_t i = 0; i < x->count; i++)
            ((uint8_t *)y->data)[i] = rt_narrow_exponent((float)rt_array_double(x, i), saturate, how);
        return RT_OK;
    }
    if (rt_narrow_is_float(type)) {
        for (size_t i = 0; i < x->count; i++)
            ((uint8_t *)y->data)[i] = rt_narrow_code(type, rt_array_double(x, i), saturate);
        return RT_OK;
    }
    if (clamps && rt_array_is_float(x)) {
        int half = type == RT_I4 ? 8 : 0;
        for (size_t i = 0; i < x->count; i++) {
            int64_t v = rt_array_int(x, i);
            rt_array_put_int(y, i, v < -half ? -half : v > 15 - half ? 15 - half : v);
        }
        return RT_OK;
    }
    if (type != RT_F32) RT_TRY(rt_eval_reckon(c, x->count, type == RT_STRING ? 10 * RT_EVAL_SLOW : RT_EVAL_SLOW / 2));
    if (type == RT_STRING) return to_text(c, x, y);
    if (x->type == RT_STRING) return of_text(x, y);
    if (type == RT_F32 && to_float(x, y->data)) return RT_OK;
    if (type == RT_F32 && x->count > 65536 && rt_dtype_size(x->type) == 2) return of_halves(c, x, y);
    if (rt_array_is_integer(x) && rt_array_is_integer(y))
        for (size_t i = 0; i < x->count; i++) rt_array_put_int(y, i, rt_array_int(x, i));
    else
        for (size_t i = 0; i < x->count; i++) rt_array_put(y, i, rt_array_double(x, i));
    return RT_OK;
}

/* Whether floats of few bits are clamped, and how exponents alone are rounded. */
static rt_status saturates(rt_eval_call *c, int *saturate, rt_narrow_rounding *how)
{
    static const char *const names[] = {"up", "down", "nearest"};
    const char *mode = c->version >= 24 ? rt_eval_string(c, "round_mode", "up") : "up";
    *saturate = c->version < 19 || rt_eval_int(c, "saturate", 1) != 0;
    for (int i = 0; i < 3; i++)
        if (!strcmp(mode, names[i])) {
            *how = (rt_narrow_rounding)i;
            return RT_OK;
        }
    return rt_fail(RT_INPUT, "round_mode '%s' is not known", mode);
}

/* The type by name, as attribute `to` of opset 1 has it. */
static rt_status named(const char *name, rt_dtype *type)
{
    static const char *const names[] = {"", "FLOAT", "UINT8", "INT8", "UINT16", "INT16", "INT32", "INT64", "STRING",
                                        "BOOL", "FLOAT16", "DOUBLE", "UINT32", "UINT64"};
    for (int i = 1; i < 14; i++) if (!strcasecmp(name, names[i])) return rt_eval_type_of(i, type);
    return rt_fail(RT_INPUT, "type '%s' is not supported", name);
}

static rt_status cast(rt_eval_call *c)
{
    const rt_array *x;
    rt_dtype type;
    RT_TRY(c->version < 6 ? named(rt_eval_string(c, "to", ""), &type)
                          : rt_eval_type_of(rt_eval_int(c, "to", 0), &type));
    int saturate = 1;
    rt_narrow_rounding how = RT_NARROW_UP;
    RT_TRY(saturates(c, &saturate, &how));
    RT_TRY(rt_eval_need(c, 0, RT_EVAL_MOVED, &x));
    return cast_to(c, x, type, saturate, how);
}

static rt_status cast_like(rt_eval_call *c)
{
    const rt_array *x, *like;
    int saturate = 1;
    rt_narrow_rounding how = RT_NARROW_UP;
    RT_TRY(saturates(c, &saturate, &how));
    RT_TRY(rt_eval_need(c, 0, RT_EVAL_MOVED, &x));
    RT_TRY(rt_eval_need(c, 1, RT_EVAL_MOVED, &like));
    return cast_to(c, x, like->type, saturate, how);
}

/* The same bytes, called otherwise. */
static rt_status bit_cast(rt_eval_call *c)
{
    const rt_array *x;
    rt_array *y;
    rt_dtype type;
    RT_TRY(rt_eval_type_of(rt_eval_int(c, "to", 0), &type));
    RT_TRY(rt_eval_need(c, 0, RT_EVAL_NUMBERS | 1u << RT_BOOL, &x));
    if (type == RT_STRING || rt_dtype_size(type) != rt_dtype_size(x->type))
        return rt_fail(RT_INPUT, "%s and %s are not of the same size", rt_array_type_name(x->type),
                       rt_array_type_name(type));
    RT_TRY(rt_eval_like(c, 0, type, x, &y));
    memcpy(y->data, x->data, x->count * rt_dtype_size(type));
    for (size_t i = 0; type == RT_BOOL && i < y->count; i++)
        if (((const uint8_t *)y->data)[i] > 1) return rt_fail(RT_INPUT, "element %zu is neither true nor false", i);
    return RT_OK;
}

const rt_eval_op rt_eval_cast_ops[] = {
    {"", "Cast", 1, 1, 1, 1, cast, 0},
    {"", "CastLike", 15, 2, 2, 1, cast_like, 0},
    {"", "BitCast", 26, 1, 1, 1, bit_cast, 0},
    {NULL, NULL, 0, 0, 0, 0, NULL, 0}};
