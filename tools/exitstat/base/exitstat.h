/* SPDX-License-Identifier: GPL-2.0 */
#ifndef EXITSTAT_H
#define EXITSTAT_H

#include <limits.h>
#include <stddef.h>

#define EXITSTAT_VERSION "0.1"

#define ARRAY_SIZE(a) (sizeof(a) / sizeof(*(a)))

/* Leaves room in PATH_MAX for every file below. */
#define MOUNT_MAX (PATH_MAX - 128)

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

/*
 * From now on put the message into @text, where a terminal is not free for it;
 * or on stderr again if that is NULL.
 */
void fail_into(char *text, size_t size);

int cmd_show(int argc, char **argv);
int cmd_list(int argc, char **argv);
int cmd_top(int argc, char **argv);
int cmd_record(int argc, char **argv);
int cmd_report(int argc, char **argv);
int cmd_diff(int argc, char **argv);
int cmd_guest(int argc, char **argv);
int cmd_reasons(int argc, char **argv);

#endif
