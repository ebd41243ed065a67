/* engine/red_zones.h - memory that must not be touched, as AddressSanitizer is told of it; in other builds nothing. */
#ifndef RT_RED_ZONES_H
#define RT_RED_ZONES_H

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
enum { RT_RED_ZONES = 1 };         /* there is somebody who looks */
#define RT_CLOSE(at, n) ASAN_POISON_MEMORY_REGION(at, n)
#define RT_OPEN(at, n) ASAN_UNPOISON_MEMORY_REGION(at, n)
#else
enum { RT_RED_ZONES = 0 };
#define RT_CLOSE(at, n) ((void)0)
#define RT_OPEN(at, n) ((void)0)
#endif

#endif
