// SPDX-License-Identifier: GPL-2.0
#include "cmd/commands.h"
#include "cmd/options.h"
#include "source/source.h"

static const struct command_usage usage = {
	.name = "detach",
	.operands = "",
	.text = "End what 'exitstat attach' began; what it has counted is gone.\n"
		"\n"
		"Needs root.",
};

int cmd_detach(int argc, char **argv)
{
	struct arguments args;
	int status;

	if (parse_options(argc, argv, &usage, &args, &status))
		status = source_detach();
	arguments_free(&args);
	return status;
}
