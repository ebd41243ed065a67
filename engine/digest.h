/* engine/digest.h - content hashes (XXH3, 128 bit: not for secrets) and CRC32C (Castagnoli, as in RFC 3720). */
#ifndef RT_ENGINE_DIGEST_H
#define RT_ENGINE_DIGEST_H

#include <stddef.h>
#include <stdint.h>

#include "engine/error.h"

typedef struct { char hex[33]; } rt_digest;

typedef struct rt_hasher rt_hasher;

rt_hasher *rt_hasher_new(void);                       /* never NULL: see rt_out_of_memory */
void rt_hasher_add(rt_hasher *, const void *, size_t);
rt_digest rt_hasher_end(rt_hasher *);                 /* frees it */

rt_digest rt_digest_of(const void *, size_t);

uint32_t rt_crc32c(uint32_t crc, const void *, size_t);   /* start with 0 */
#endif
