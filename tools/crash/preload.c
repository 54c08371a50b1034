/* SPDX-License-Identifier: Apache-2.0 */
/*
 * preload.c - the recorder in a program that knows nothing of it.
 *
 * Such a program tells the world what it has promised by writing to its standard output, so a line there that begins
 * with "begun " or "acked " and a number is a mark in the log (rec_heard).
 */
#include <stdlib.h>

#include "record.h"

__attribute__((constructor)) static void join(void)
{
	rec_join();
}

__attribute__((destructor)) static void leave(void)
{
	rec_end();
}
