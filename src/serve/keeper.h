/* SPDX-License-Identifier: Apache-2.0 */
/*
 * serve/keeper.h - what becomes of a pool whose descriptors the program closes (closefrom(3), a daemon's loop).
 *
 * When the last descriptor of a userfaultfd goes, the kernel forgets what was registered there, and the next load of a page
 * that is not entered finds zeros: wrong bytes, and nobody is told. So a thread with a table of descriptors of its own, in which
 * there is nothing but ours, keeps them. It also looks whether messages are read: when no handler is left to read them it
 * answers with an error, in less than a second; when handlers are there and read none, in a minute.
 */
#ifndef SERVE_KEEPER_H
#define SERVE_KEEPER_H

/* The thread; for a struct serve. */
void *keeper_run(void *serve);

#endif
