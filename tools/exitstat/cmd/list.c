// SPDX-License-Identifier: GPL-2.0
#include "cmd/watch.h"
#include "view/lines.h"

static const struct command_usage usage = {
	.name = "list",
	.operands = "",
	.text = "List the VMs that run, with their exits and the time that they lost: in which\n"
		"a vCPU wanted to run, and KVM, the VMM or another task had the CPU.",
	.options = TAKES_VM | TAKES_VCPUS | TAKES_INTERVAL | TAKES_COUNT |
		   TAKES_FORMAT | TAKES_UNITS | TAKES_TABLE | TAKES_TEXTFILE |
		   TAKES_SOURCE | TAKES_DEBUGFS | TAKES_SYSFS,
	.abilities = SOURCE_VMS,
	.table = &vm_table_columns,
};

int cmd_list(int argc, char **argv)
{
	struct exit_selection sel;
	struct arguments args;
	int status;

	if (parse_options(argc, argv, &usage, &args, &status)) {
		set_selection(&args, &sel);
		sel.host = false;
		sel.vms = true;
		sel.nr_vcpus = true;
		args.format.list = true;
		status = watch(&args, &args.format, &sel, source_wanted(&sel));
	}
	arguments_free(&args);
	return status;
}
