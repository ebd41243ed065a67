/* data/codecs.h - compressors of chunks that HDF5's plugins have: LZ4, Zstandard, bitshuffle. Where the build has no
 * liblz4 or no libzstd, what needs it is not undone (rt_codec_lacks).
 *
 * Each gives the number of bytes written to dst, at most room, or 0 when src is damaged: whatever stands in it, no byte
 * outside of src[0..n), dst[0..room) and the scratch is touched. */
#ifndef RT_DATA_CODECS_H
#define RT_DATA_CODECS_H

#include <stddef.h>
#include <stdint.h>

/* What they need besides, used again; {0} at first. For one thread at a time. */
typedef struct { char *bits, *block; size_t room; void *zstd; } rt_codec_scratch;
void rt_codec_free(rt_codec_scratch *);

/* The library that undoing this filter needs and the build has not, or NULL. param: as in rt_h5_dataset. */
const char *rt_codec_lacks(int filter, const uint32_t *param);

/* Filter 32004: size of all (8 bytes, big-endian), of a block (4), then of each block its stored size (4) and its
 * bytes, as they are where that is the block's size. */
size_t rt_lz4_decode(char *dst, size_t room, const char *src, size_t n);
/* Filter 32015: Zstandard frames (RFC 8878). */
size_t rt_zstd_decode(rt_codec_scratch *, char *dst, size_t room, const char *src, size_t n);
/* Filter 32008 (github.com/kiyo-masui/bitshuffle): elements of param[2] bytes in blocks of param[3] (0: as many as 8
 * KiB hold, at least 128), by param[4] 0 stored, 2 LZ4, 3 Zstandard; of these with the header of filter 32004. The last
 * block is cut to a multiple of 8 elements; what is left is as it is. */
size_t rt_bitshuffle_decode(rt_codec_scratch *, const uint32_t *param, char *dst, size_t room, const char *src,
                            size_t n);

/* Bit k of byte b of element i is bit i of the row of n bits (n a multiple of 8) number 8 b + k. scratch: n * element
 * bytes. The second is its twin by that definition. */
void rt_bitunshuffle(char *dst, const char *src, size_t n, size_t element, char *scratch);
void rt_bitunshuffle_plain(char *dst, const char *src, size_t n, size_t element);
#endif
