/* engine/place.h - where things that live for a while lie in one arena. */
#ifndef RT_ENGINE_PLACE_H
#define RT_ENGINE_PLACE_H

#include <stddef.h>

/* Bytes that are used from time `first` to time `last`, both included; *at becomes where they lie. */
typedef struct { size_t size; int first, last; size_t *at; } rt_span;

/* First fit, the largest first, so that no two that live at one time overlap; sorts the list. Returns the bytes of the
 * arena. Sizes that are multiples of an alignment give places that are. */
size_t rt_place(rt_span *, int n);
#endif
