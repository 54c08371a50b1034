/* SPDX-License-Identifier: Apache-2.0 */
/*
 * channel/step.h - a place before each store into shared memory, so that a test can stop there.
 *
 * In the library STEP() is nothing. tests/channel compiles this folder once more with CHANNEL_STEPS=1 and kills the
 * process at step 1, 2, 3 ... until an operation gets to its end (tests/channel/kill.c).
 */
#ifndef CHANNEL_STEP_H
#define CHANNEL_STEP_H

#ifndef CHANNEL_STEPS
#define CHANNEL_STEPS 0
#endif

#if CHANNEL_STEPS
void channel_step(void); /* the test's */
#define STEP() channel_step()
#else
#define STEP() ((void)0)
#endif

#endif
