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

static const char usage[] =
	"Usage: exitstat guest [OPTION]...\n"
	"\n"
	"Show the exits of the VM that exitstat runs in.  Needs no privilege, and a\n"
	"host whose KVM offers its exit accounting to this VM.\n"
	"\n"
	"Options:\n"
	"      --json       print JSON";

int cmd_guest(int argc, char **argv)
{
	struct exit_snapshot snap = {};
	struct arguments args;
	int status;

	if (!parse_options(argc, argv, options, usage, &args, &status))
		return status;

	status = cpuid_read(&snap);
	if (status == STATUS_OK)
		status = output_snapshot(args.format, &snap);

	snapshot_free(&snap);
	return status;
}
