/* SPDX-License-Identifier: Apache-2.0 */
/* process.h - process numbers on the command line. */
#ifndef QUIRE_TOOL_PROCESS_H
#define QUIRE_TOOL_PROCESS_H

/* The number, or 0 when the text is none. */
int process_number(const char *text);

#endif
