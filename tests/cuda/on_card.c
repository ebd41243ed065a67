/* tests/cuda/on_card.c - in place of the emulator where tests run on a real card, whose order nobody chooses: what they
 * ask for in several orders they ask for several times. */
#include "tests/cuda/emulator.h"

void rt_emulated_order(int order, uint64_t seed) { (void)order, (void)seed; }
void rt_emulated_reset(void) {}
