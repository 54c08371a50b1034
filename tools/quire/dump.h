/* SPDX-License-Identifier: Apache-2.0 */
/* dump.h - the table of verbs as JSON, from which manual pages and completion are made. */
#ifndef QUIRE_TOOL_DUMP_H
#define QUIRE_TOOL_DUMP_H

#include "verbs.h"

void dump_verbs(struct call *call);

#endif
