// SPDX-License-Identifier: GPL-2.0
#include "cmd/commands.h"
#include "cmd/options.h"
#include "source/source.h"

static const struct command_usage usage = {
	.name = "attach",
	.operands = "",
	.text = "Count exits by eBPF from now on, also when this command has ended, on a kernel\n"
		"whose KVM does not: until 'exitstat detach', or until the host is restarted.\n"
		"All other commands then read these counters.\n"
		"\n"
		"Needs root.",
	.options = TAKES_LEVEL | TAKES_DEBUGFS | TAKES_SYSFS,
};

int cmd_attach(int argc, char **argv)
{
	struct arguments args;
	int status;

	if (parse_options(argc, argv, &usage, &args, &status))
		status = source_attach(&args.setup);
	arguments_free(&args);
	return status;
}
