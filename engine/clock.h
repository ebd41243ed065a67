/* engine/clock.h - seconds of a clock that never jumps. */
#ifndef RT_ENGINE_CLOCK_H
#define RT_ENGINE_CLOCK_H
double rt_seconds(void);
#endif
