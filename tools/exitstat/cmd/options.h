/* SPDX-License-Identifier: GPL-2.0 */
/* The options of all commands, which mean the same wherever they are taken. */
#ifndef CMD_OPTIONS_H
#define CMD_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "source/source.h"
#include "view/format.h"
#include "view/table.h"

/* Which options a command takes. */
enum option_set {
	TAKES_VM = 1 << 0,
	TAKES_REASON = 1 << 1,
	TAKES_HOST = 1 << 2,
	TAKES_INTERVAL = 1 << 3,
	TAKES_COUNT = 1 << 4,
	TAKES_FORMAT = 1 << 5, /* --json, --csv, --openmetrics */
	TAKES_TABLE = 1 << 6, /* --columns, --sort */
	TAKES_TEXTFILE = 1 << 7,
	TAKES_OUTPUT = 1 << 8,
	TAKES_HTML = 1 << 9,
	TAKES_ISA = 1 << 10,
	TAKES_LATENCY = 1 << 11,
	TAKES_TOP = 1 << 12,
	TAKES_DEBUGFS = 1 << 13, /* --debugfs, --procfs */
	TAKES_SYSFS = 1 << 14,
	TAKES_COMMAND = 1 << 15, /* -- COMMAND */
	TAKES_UNITS = 1 << 16,
	TAKES_SOURCE = 1 << 17,
	TAKES_LEVEL = 1 << 18,
	TAKES_JSON = 1 << 19, /* --json alone */
	TAKES_MEASURE = 1 << 20,
	TAKES_LONG = 1 << 21,
	TAKES_RIP = 1 << 22,
	TAKES_CSV = 1 << 23, /* --csv alone */
	TAKES_VCPUS = 1 << 24, /* --vcpu */
};

struct arguments {
	struct format format;
	/* one that the user named, or NULL */
	const char *source;
	struct source_setup setup;
	struct vm_pattern *vms;
	size_t nr_vms;
	/* --vcpu was given, as @format has it, too; which one, or -1 for all */
	bool vcpus;
	int64_t vcpu;
	char **reasons;
	size_t nr_reasons;
	bool host;
	/* ns, or 0 */
	uint64_t interval;
	/* how often, or 0 for without end */
	uint64_t count;
	const char *textfile;
	const char *output;
	const char *html;
	/* vmx, svm, or NULL */
	const char *isa;
	bool latency;
	bool top;
	bool measure;
	bool all_columns;
	bool rip;
	/* NULL-terminated, or NULL */
	char **command;
	/* what is left, of a command that takes files */
	char **files;
	int nr_files;
};

struct command_usage {
	const char *name;
	/* what follows "exitstat NAME [OPTION]..." */
	const char *operands;
	const char *text;
	unsigned int options;
	int nr_files;
	/* what --source names must be able to do */
	unsigned int abilities;
	/* the columns that --columns and --sort take, or NULL */
	const struct table *table;
};

/*
 * Parse the command line of a command.  False if the command is over: *@status
 * is then what it returns, after a message if that is an error.  In any case
 * arguments_free() is due.
 */
bool parse_options(int argc, char **argv, const struct command_usage *usage,
		   struct arguments *args, int *status);
void arguments_free(struct arguments *args);

/* What the command's user wants to see of the host and of VMs. */
void set_selection(const struct arguments *args, struct exit_selection *sel);

#endif
