// SPDX-License-Identifier: GPL-2.0
#include "base/message.h"
#include "cmd/watch.h"
#include "top/top.h"
#include "view/lines.h"

static const struct command_usage usage = {
	.name = "guest",
	.operands = "[-- COMMAND...]",
	.text = "Show the exits of the VM that exitstat runs in.  Needs no privilege, and a\n"
		"host whose KVM offers its exit accounting to this VM.",
	.options = TAKES_REASON | TAKES_INTERVAL | TAKES_COUNT | TAKES_FORMAT |
		   TAKES_UNITS | TAKES_TABLE | TAKES_TEXTFILE | TAKES_COMMAND |
		   TAKES_TOP | TAKES_SOURCE,
	.abilities = SOURCE_FROM_INSIDE,
	.table = &reason_table_columns,
};

static int watch_live(const struct arguments *args,
		      const struct exit_selection *sel)
{
	const struct top_options options = {
		.sel = sel,
		.format = args->format,
		.interval = args->interval,
		.count = args->count,
	};
	struct source source;
	int status;

	if (args->format.kind != FORMAT_TABLE || args->textfile ||
	    args->command)
		return fail(
			STATUS_USAGE,
			"a full screen takes neither a format nor a file nor a command: leave out --top");
	status = source_open(&source, &args->setup, args->source,
			     SOURCE_FROM_INSIDE);
	if (!status)
		status = top_run(&source, &options);
	source_close(&source);
	return status;
}

int cmd_guest(int argc, char **argv)
{
	struct arguments args;
	struct exit_selection sel;
	int status;

	if (parse_options(argc, argv, &usage, &args, &status)) {
		set_selection(&args, &sel);
		status = args.top ? watch_live(&args, &sel) :
				    watch(&args, &args.format, &sel,
					  SOURCE_FROM_INSIDE);
	}
	arguments_free(&args);
	return status;
}
