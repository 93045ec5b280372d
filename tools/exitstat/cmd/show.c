// SPDX-License-Identifier: GPL-2.0
#include "cmd/watch.h"
#include "view/lines.h"

static const struct command_usage usage = {
	.name = "show",
	.operands = "[-- COMMAND...]",
	.text = "Show the exits of the host since the kvm module was loaded, or of VMs and vCPUs,\n"
		"or what happens in some time or while a command runs.\n"
		"\n"
		"Needs root, or for the host read permission on /sys/kernel/kvm/exit_stats,\n"
		"which is read where debugfs cannot be.",
	.options = TAKES_VM | TAKES_VCPUS | TAKES_HOST | TAKES_REASON |
		   TAKES_INTERVAL | TAKES_COUNT | TAKES_FORMAT | TAKES_UNITS |
		   TAKES_TABLE | TAKES_TEXTFILE | TAKES_SOURCE | TAKES_LEVEL |
		   TAKES_DEBUGFS | TAKES_SYSFS | TAKES_COMMAND,
	.table = &reason_table_columns,
};

int cmd_show(int argc, char **argv)
{
	struct exit_selection sel;
	struct arguments args;
	int status;

	if (parse_options(argc, argv, &usage, &args, &status)) {
		set_selection(&args, &sel);
		status = watch(&args, &args.format, &sel, source_wanted(&sel));
	}
	arguments_free(&args);
	return status;
}
