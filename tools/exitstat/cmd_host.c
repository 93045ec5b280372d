// SPDX-License-Identifier: GPL-2.0
#include "exitstat.h"
#include "output.h"
#include "snapshot.h"

static const struct option options[] = {
	{ "vm", required_argument, NULL, OPT_VM },
	{ "debugfs", required_argument, NULL, OPT_DEBUGFS },
	{ "json", no_argument, NULL, OPT_FORMAT + OUTPUT_JSON },
	{ "help", no_argument, NULL, OPT_HELP },
	{ "version", no_argument, NULL, OPT_VERSION },
	{},
};

static int print_help(void)
{
	return print_usage(
		"Usage: exitstat [host] [OPTION]...\n"
		"\n"
		"Show the exits of the host since the kvm module was loaded, or of one VM.\n"
		"Needs root.\n"
		"\n"
		"Options:\n"
		"      --vm ID      one VM: <pid>-<fd> as in debugfs, or <pid>\n"
		"      --json       print JSON\n"
		"      --debugfs DIR\n"
		"                   where debugfs is mounted (/sys/kernel/debug)");
}

int cmd_host(int argc, char **argv)
{
	const struct output_format *format = output_formats[OUTPUT_TABLE];
	const char *debugfs = "/sys/kernel/debug";
	struct exit_snapshot snap = {};
	const char *vm = NULL;
	int c, status;

	while ((c = next_option(argc, argv, options)) != -1) {
		switch (c) {
		case OPT_VM:
			vm = optarg;
			break;
		case OPT_DEBUGFS:
			debugfs = optarg;
			break;
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

	if (vm)
		status = debugfs_read_vm(&snap, debugfs, vm);
	else
		status = debugfs_read_host(&snap, debugfs);

	if (status == STATUS_OK && !snap.enabled)
		fail(STATUS_OK,
		     "exit accounting is off, these are the counts from before; to turn it on: echo 1 > /sys/module/kvm/parameters/exit_stats");

	if (status == STATUS_OK)
		status = output_snapshot(format, &snap);

	snapshot_free(&snap);
	return status;
}
