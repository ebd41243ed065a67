/* engine/cuda/conv_tiles.cuh - tiles of pixels and their patches, in kernels: see rt_conv_cut in conv_launch.h. Only
 * the .cu files of convolutions include it. */
#ifndef RT_ENGINE_CUDA_CONV_TILES_CUH
#define RT_ENGINE_CUDA_CONV_TILES_CUH

#include "engine/cuda/conv_launch.h"
#include "engine/cuda/divider.cuh"

namespace {

/* Lets a kernel have so much dynamic shared memory, as many blocks of a processor as fit. */
template <class KERNEL> bool rt_shared_allowed(KERNEL kernel, size_t bytes)
{
    cudaFuncSetAttribute(kernel, cudaFuncAttributePreferredSharedMemoryCarveout, 100);
    return bytes <= 48 << 10 ||
           cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, (int)bytes) == cudaSuccess;
}

/* Tiles of pixels (of a class) and their patches. */
struct tiling {
    rt_conv_cut cut;
    int rows;
    divider wide, pixels, down, across, patch_wide, patch_high;
};
inline tiling tiling_of(const rt_conv_cut &c, int rows)
{
    return tiling{c, rows, divider_of(c.wide), divider_of(c.high * c.wide), divider_of(c.down), divider_of(c.across),
                  divider_of(c.patch_wide), divider_of(c.patch_high)};
}
inline int tiles_of(const tiling &t) { return rt_conv_up(t.rows, t.cut.images) * t.cut.down * t.cut.across; }

struct spot { int r0, y0, x0; };
RT_DEVICE spot spot_of(const tiling &t, int tile)
{
    int l = quotient(tile, t.across), r = quotient(l, t.down);
    return spot{r * t.cut.images, (l - r * t.cut.down) * t.cut.high, (tile - l * t.cut.across) * t.cut.wide};
}
/* Pixel p of a tile: of which image, where in the tile. */
struct pixel { int r, y, x; };
RT_DEVICE pixel pixel_of(const tiling &t, int p)
{
    int r = quotient(p, t.pixels), k = p - r * (int)t.pixels.by, y = quotient(k, t.wide);
    return pixel{r, y, k - y * t.cut.wide};
}
}
#endif
