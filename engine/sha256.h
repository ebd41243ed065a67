/* engine/sha256.h - SHA-256 (FIPS 180-4), for what somebody pins by hand: 'sha256sum' gives the same. */
#ifndef RT_ENGINE_SHA256_H
#define RT_ENGINE_SHA256_H

#include <stddef.h>
#include <stdint.h>

/* Begins as zeros. */
typedef struct {
    uint32_t state[8];
    uint8_t block[64];
    uint64_t bytes;
} rt_sha256;

void rt_sha256_add(rt_sha256 *, const void *, size_t);
void rt_sha256_end(rt_sha256 *, char hex[65]);
#endif
