/* tests/cuda/on_card.c - in place of the emulator where tests run on a real card, whose order nobody chooses: what they
 * ask for in several orders they ask for several times. */
#include "tests/cuda/emulator.h"

void rt_emulated_order(int order, uint64_t seed) { (void)order, (void)seed; }
void rt_emulated_reset(void) {}

/* 0 says that there is no emulator: tests of what only that can do are left out. */
uint64_t rt_emulated_calls(void) { return 0; }
size_t rt_emulated_live(void) { return 0; }
