/* engine/region.h - memory for many small things that go together: taken piece by piece, given back at once. */
#ifndef RT_ENGINE_REGION_H
#define RT_ENGINE_REGION_H

#include <stddef.h>

typedef struct rt_region rt_region;

/* budget: bytes in all that it may take. NULL and a message when memory is out. */
rt_region *rt_region_new(size_t budget);
void rt_region_free(rt_region *);
/* bytes (0 is 1), zero, aligned to 64 bytes where they are 64 or more, else to 16. NULL and a message that names the
 * budget, RT_INPUT, when it is used up, RT_RUN when memory is out. One thread at a time. */
void *rt_region_take(rt_region *, size_t bytes);
/* n things of `size` bytes; the product is checked. */
void *rt_region_list(rt_region *, size_t n, size_t size);
char *rt_region_text(rt_region *, const char *, size_t length);     /* a copy that ends with 0 */
/* Everything is free again, but the memory stays for the next things: what fitted before fits without a call for
 * memory. */
void rt_region_clear(rt_region *);
size_t rt_region_used(const rt_region *);
/* So much more may be taken, the whole of it at most `most`. */
void rt_region_allow(rt_region *, size_t bytes, size_t most);

/* A region in memory that is the caller's, any address; it takes no other, and needs no end. NULL when not even the
 * region fits. Whoever took n bytes in another region takes the same in one over rt_region_footprint of that. */
rt_region *rt_region_over(void *memory, size_t bytes);
size_t rt_region_footprint(const rt_region *);
#endif
