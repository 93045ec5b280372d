/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the program tells its user besides what was asked for, and what it
 * returns
 *
 * Errors have one rule in all of the program.  What can fail for a reason that
 * the user must know returns one of these statuses, after it has said one
 * sentence that tells what to do.  Everything else says nothing, and returns
 * false, NULL or less than 0; why, is in its header.
 */
#ifndef BASE_MESSAGE_H
#define BASE_MESSAGE_H

#include <stddef.h>

/* What the program returns, see exitstat(8). */
enum status {
	STATUS_OK = 0,
	STATUS_ERROR = 1,
	STATUS_USAGE = 2,
	STATUS_UNSUPPORTED = 77,
};

/* Say what is wrong in one line on stderr, and return @status. */
int fail(int status, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
/* The same of memory that ran out. */
int out_of_memory(void);
/* Say what the user should know, although nothing is wrong. */
void note(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/*
 * From now on put what is wrong into @text, where a terminal is not free for it,
 * and leave out notes; or if @text is NULL, end that.
 */
void capture_messages(char *text, size_t size);

#endif
