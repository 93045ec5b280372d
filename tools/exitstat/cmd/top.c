// SPDX-License-Identifier: GPL-2.0
#include <string.h>

#include "cmd/options.h"
#include "top/top.h"
#include "view/lines.h"

/* The columns of both kinds of lines, reasons and VMs, each once. */
static struct column columns[2 * MAX_COLUMNS];
static struct table table = { .columns = columns };

static void add_columns(const struct table *from)
{
	size_t i;

	for (i = 0; i < from->nr_columns; i++) {
		const struct column *column = &from->columns[i];

		if (!table_find(&table, column->name, strlen(column->name)))
			columns[table.nr_columns++] = *column;
	}
}

static const struct command_usage usage = {
	.name = "top",
	.operands = "",
	.text = "Watch the exits of the host, its VMs and their vCPUs on the full screen, until\n"
		"you press q.  The key ? shows what the other keys do.\n"
		"\n"
		"Needs root, or for the host alone read permission on\n"
		"/sys/kernel/kvm/exit_stats.",
	.options = TAKES_VM | TAKES_VCPUS | TAKES_REASON | TAKES_INTERVAL |
		   TAKES_COUNT | TAKES_UNITS | TAKES_TABLE | TAKES_SOURCE |
		   TAKES_LEVEL | TAKES_DEBUGFS | TAKES_SYSFS,
	.table = &table,
};

static int watch_live(const struct arguments *args)
{
	struct exit_selection sel;
	const struct top_options options = {
		.sel = &sel,
		.format = args->format,
		.interval = args->interval,
		.count = args->count,
	};
	struct source source;
	int status;

	set_selection(args, &sel);
	status = source_open(&source, &args->setup, args->source,
			     source_wanted(&sel));
	if (!status)
		status = top_run(&source, &options);
	source_close(&source);
	return status;
}

int cmd_top(int argc, char **argv)
{
	struct arguments args;
	int status;

	add_columns(&reason_table_columns);
	add_columns(&vm_table_columns);
	if (parse_options(argc, argv, &usage, &args, &status))
		status = watch_live(&args);
	arguments_free(&args);
	return status;
}
