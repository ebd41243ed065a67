/* engine/clock.h - clocks that never jump. */
#ifndef RT_ENGINE_CLOCK_H
#define RT_ENGINE_CLOCK_H
double rt_seconds(void);
/* Seconds that the calling thread has had a CPU. A system call: about 0.25 us. */
double rt_thread_seconds(void);
/* The same of all threads of the process together. */
double rt_process_seconds(void);
#endif
