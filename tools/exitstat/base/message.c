// SPDX-License-Identifier: GPL-2.0
#include <stdarg.h>
#include <stdio.h>

#include "base/message.h"

/* Where messages go, or NULL for stderr. */
static struct {
	char *text;
	size_t size;
} captured;

void capture_messages(char *text, size_t size)
{
	captured.text = text;
	captured.size = size;
}

static void say(const char *fmt, va_list ap)
{
	fputs("exitstat: ", stderr);
	vfprintf(stderr, fmt, ap);
	fputc('\n', stderr);
}

int fail(int status, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	if (captured.text)
		vsnprintf(captured.text, captured.size, fmt, ap);
	else
		say(fmt, ap);
	va_end(ap);
	return status;
}

int out_of_memory(void)
{
	return fail(STATUS_ERROR, "out of memory");
}

void note(const char *fmt, ...)
{
	va_list ap;

	if (captured.text)
		return;
	va_start(ap, fmt);
	say(fmt, ap);
	va_end(ap);
}
