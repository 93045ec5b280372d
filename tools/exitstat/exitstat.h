/* SPDX-License-Identifier: GPL-2.0 */
#ifndef EXITSTAT_H
#define EXITSTAT_H

#include <getopt.h>
#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#define EXITSTAT_VERSION "0.1"

/* Leaves room in PATH_MAX for every file below. */
#define MOUNT_MAX (PATH_MAX - 128)

/* What the program returns, see exitstat(8). */
enum status {
	STATUS_OK = 0,
	STATUS_ERROR = 1,
	STATUS_USAGE = 2,
	STATUS_UNSUPPORTED = 77,
};

struct command {
	const char *name;
	const char *help;
	int (*run)(int argc, char **argv);
};

int cmd_host(int argc, char **argv);
int cmd_guest(int argc, char **argv);

/* Say what is wrong in one line on stderr, and return @status. */
int fail(int status, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* Long options have no letter unless -h and -V, which every command takes. */
enum {
	OPT_HELP = 'h',
	OPT_VERSION = 'V',
	OPT_VM = 0x100,
	OPT_DEBUGFS,
	OPT_SYSFS,
	/* an output format: OPT_FORMAT + its index in output_formats[] */
	OPT_FORMAT,
};

/* What the options of all commands together can say. */
struct arguments {
	const struct output_format *format;
	/* where these are mounted, no longer than MOUNT_MAX */
	const char *debugfs;
	const char *sysfs;
	/* the user's name of a VM, or NULL */
	const char *vm;
};

/*
 * Parse the command line of a command that takes @options and has the help text
 * @usage, which ends in the list of its own options.  False if the command is
 * over: *@status is then what it returns, after a message if that is an error.
 */
bool parse_options(int argc, char **argv, const struct option *options,
		   const char *usage, struct arguments *args, int *status);

#endif
