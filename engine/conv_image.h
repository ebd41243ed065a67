/* engine/conv_image.h - all lines of an image by the line kernel, in panels of weights that stay in L1. */
#ifndef RT_ENGINE_CONV_IMAGE_H
#define RT_ENGINE_CONV_IMAGE_H

#include "engine/kernels.h"

/* The weights are cut, first by output channels and then along the kernel, into panels that stay in L1 while all lines
 * pass; the cuts depend on the shape of the weights alone, and so does the order of each sum. */
void rt_conv_image(const rt_kernels *, const rt_conv_line *whole);
#endif
