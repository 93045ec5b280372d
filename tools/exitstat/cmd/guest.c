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
		   TAKES_TOP,
	.table = &reason_table_columns,
};

static int watch_live(struct arguments *args, const struct exit_selection *sel)
{
	if (args->format.kind != FORMAT_TABLE || args->textfile ||
	    args->command)
		return fail(
			STATUS_USAGE,
			"a full screen takes neither a format nor a file nor a command: leave out --top");
	return top_run(&args->source, &(struct top_options){
					      .sel = sel,
					      .format = args->format,
					      .interval = args->interval,
					      .count = args->count,
				      });
}

int cmd_guest(int argc, char **argv)
{
	struct arguments args;
	struct output output = { .format = &args.format };
	struct exit_selection sel;
	int status;

	if (parse_options(argc, argv, &usage, &args, &status)) {
		set_selection(&args, &sel);
		args.source.guest = true;
		output.textfile = args.textfile;
		status = args.top ? watch_live(&args, &sel) :
				    watch(&args, &output, &args.source, &sel);
	}
	arguments_free(&args);
	return status;
}
