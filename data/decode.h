/* data/decode.h - the filters of HDF5 chunks undone: deflate, shuffle, fletcher32, h5py's LZF, and those of
 * data/codecs.h. */
#ifndef RT_DATA_DECODE_H
#define RT_DATA_DECODE_H

#include "data/h5.h"

enum { RT_DECODE_SLACK = 64 };     /* bytes behind a chunk that decoding may use */

/* What decoding needs besides the chunk: a decompressor and buffers, used again. For one thread at a time. */
typedef struct rt_decoder rt_decoder;
rt_decoder *rt_decoder_new(void);  /* NULL: out of memory */
void rt_decoder_free(rt_decoder *);

/* Reads chunk c (which has bytes) of set d from the file and undoes its filters; dst has room for the chunk_bytes of a
 * whole chunk and RT_DECODE_SLACK more. RT_INPUT, naming the chunk, when bytes are damaged or a checksum differs. */
rt_status rt_decode_chunk(rt_decoder *, const rt_h5_file *, const rt_h5_dataset *d, const rt_h5_chunk *c,
                          size_t chunk_bytes, char *dst);

/* LZF (liblzf's format): a control byte below 32 is followed by that many literal bytes plus one; else its upper three
 * bits (7: plus the next byte) plus 2 is a length, its lower five bits and the next byte the distance, minus one, of
 * bytes written before. The number of bytes written to dst, 0 when src is damaged or does not fit into room. */
size_t rt_lzf_decode(char *dst, size_t room, const char *src, size_t n);

/* dst[i * element + b] = src[b * (n / element) + i]; bytes left over are copied. The second is its plain-C twin. */
void rt_unshuffle(char *dst, const char *src, size_t n, size_t element);
void rt_unshuffle_plain(char *dst, const char *src, size_t n, size_t element);
#endif
