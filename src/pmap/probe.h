/* SPDX-License-Identifier: Apache-2.0 */
/* pmap/probe.h - can this file be mapped so? Asked by mapping a page and giving it back. */
#ifndef PMAP_PROBE_H
#define PMAP_PROBE_H

#include <stdbool.h>

int probe_map(int fd, bool write, bool sync);

#endif
