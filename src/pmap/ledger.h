/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pmap/ledger.h - the memory of a pool's ledger: plain, or a memfd that other processes of this user find by its name.
 *
 * /proc/PID/fd/N -> /memfd:quire-pool   may be opened by whom the kernel lets look at the process, and only be read: it is
 * sealed against others' stores and against any change of its length, so that a reader's read cannot fail in the middle.
 * It goes away with the process, however that ends.
 */
#ifndef PMAP_LEDGER_H
#define PMAP_LEDGER_H

#include <stdbool.h>
#include <stdint.h>

struct ledger;

/* Zeros, with room for so many tallies; untouched ones use no memory. fd: out, -1 when it is not published. */
int ledger_open(uint32_t room, bool published, struct ledger **ledger, int *fd);
void ledger_close(struct ledger *ledger, uint32_t room, int fd); /* takes NULL */

#endif
