// SPDX-License-Identifier: GPL-2.0
#include "exitstat.h"
#include "output.h"
#include "snapshot.h"

static const struct option options[] = {
	{ "json", no_argument, NULL, OPT_FORMAT + OUTPUT_JSON },
	{ "help", no_argument, NULL, OPT_HELP },
	{ "version", no_argument, NULL, OPT_VERSION },
	{},
};

static int print_help(void)
{
	return print_usage(
		"Usage: exitstat guest [OPTION]...\n"
		"\n"
		"Show the exits of the VM that exitstat runs in.  Needs no privilege, and a\n"
		"host whose KVM offers its exit accounting to this VM.\n"
		"\n"
		"Options:\n"
		"      --json       print JSON");
}

int cmd_guest(int argc, char **argv)
{
	const struct output_format *format = output_formats[OUTPUT_TABLE];
	struct exit_snapshot snap = {};
	int c, status;

	while ((c = next_option(argc, argv, options)) != -1) {
		switch (c) {
		case OPT_FORMAT + OUTPUT_JSON:
			format = output_formats[c - OPT_FORMAT];
			break;
		case OPT_HELP:
			return print_help();
		case OPT_VERSION:
			return print_version();
		default:
			return STATUS_USAGE;
		}
	}
	if (optind < argc)
		return unexpected_argument(argv[optind]);

	status = cpuid_read(&snap);
	if (status == STATUS_OK)
		status = output_snapshot(format, &snap);

	snapshot_free(&snap);
	return status;
}
