/* SPDX-License-Identifier: Apache-2.0 */
#include "base/error.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>

static _Thread_local char text[ERROR_TEXT_BYTES];
/* Looked at in every call: no search for it. */
static _Thread_local __attribute__((tls_model("initial-exec"))) bool said;

static void __attribute__((format(printf, 1, 0))) set(const char *format, va_list arguments)
{
	(void)vsnprintf(text, sizeof(text), format, arguments); /* a sentence that is too long is cut */
	said = true;
}

int error_set(int error, const char *format, ...)
{
	va_list arguments;

	assert(error < 0);
	va_start(arguments, format);
	set(format, arguments);
	va_end(arguments);
	return error;
}

int error_default(int error, const char *format, ...)
{
	va_list arguments;

	assert(error < 0);
	if (said)
		return error;

	va_start(arguments, format);
	set(format, arguments);
	va_end(arguments);
	return error;
}

void error_clear(void)
{
	said = false;
}

const char *error_text(void)
{
	return text;
}

bool error_is_want(int error)
{
	return error == -ENOMEM || error == -EMFILE || error == -ENFILE;
}
