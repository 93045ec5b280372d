// SPDX-License-Identifier: GPL-2.0
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

int cmd_guest(int argc, char **argv)
{
	const struct exit_selection sel = { .vcpu = -1 };
	struct arguments args;
	struct output output = { .args = &args };
	int status;

	if (parse_options(argc, argv, &usage, &args, &status)) {
		args.source.guest = true;
		status = args.top ? top_run(&args) :
				    watch(&output, &args.source, &sel);
	}
	arguments_free(&args);
	return status;
}
