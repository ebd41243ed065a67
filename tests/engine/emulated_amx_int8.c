/* The template of AMX on AVX-512 VNNI with its instructions in plain C. */
#include "tests/engine/emulated_avx512.h"

/* Eight tiles of up to 16 rows x 64 bytes, and the shape that each was given. */
static struct { uint8_t palette, start_row, reserved[14]; uint16_t bytes[16]; uint8_t rows[16]; } tile_shape;
static union { uint8_t u[64]; int8_t s[64]; int32_t i[16]; } unit[8][16];

static void _tile_loadconfig(const void *c) { memcpy(&tile_shape, c, sizeof tile_shape); }
static void _tile_release(void) { memset(&tile_shape, 0, sizeof tile_shape); }

static void _tile_loadd(int t, const void *from, ptrdiff_t stride)
{
    memset(unit[t], 0, sizeof unit[t]);
    for (int r = 0; r < tile_shape.rows[t]; r++)
        memcpy(unit[t][r].u, (const char *)from + r * stride, tile_shape.bytes[t]);
}

static void _tile_stored(int t, void *to, ptrdiff_t stride)
{
    for (int r = 0; r < tile_shape.rows[t]; r++) memcpy((char *)to + r * stride, unit[t][r].u, tile_shape.bytes[t]);
}

/* Of bytes with signed bytes, where the shapes fit; another is an exception there. */
static void _tile_dpbusd(int c, int a, int b)
{
    if (tile_shape.palette != 1 || tile_shape.rows[c] != tile_shape.rows[a] ||
        tile_shape.bytes[a] != 4 * tile_shape.rows[b] || tile_shape.bytes[c] != tile_shape.bytes[b]) __builtin_trap();
    for (int m = 0; m < tile_shape.rows[c]; m++)
        for (int k = 0; k < tile_shape.rows[b]; k++)
            for (int n = 0; n < tile_shape.bytes[c] / 4; n++)
                for (int j = 0; j < 4; j++)
                    unit[c][m].i[n] = (int32_t)((uint32_t)unit[c][m].i[n] +
                                                (uint32_t)(unit[a][m].u[4 * k + j] * unit[b][k].s[4 * n + j]));
}

#define RT_INT_AVX512
#define RT_INT_AMX
#define RT_INT_NAME "amx_int8 (emulated)"
#define RT_INT_SYMBOL emulated_amx_int8
#include "tests/engine/emulated.h"

#include "engine/int/int_simd.h"

#include "engine/int/int_depthwise.inc"
#include "engine/int/int_conv.inc"

#include "engine/int/int_amx.inc"
#include "engine/int/int_winograd.inc"
#include "engine/int/int_elements.inc"
