// SPDX-License-Identifier: GPL-2.0
#include "exitstat.h"
#include "output.h"
#include "snapshot.h"

static const struct option options[] = {
	{ "vm", required_argument, NULL, OPT_VM },
	{ "debugfs", required_argument, NULL, OPT_DEBUGFS },
	{ "sysfs", required_argument, NULL, OPT_SYSFS },
	{ "json", no_argument, NULL, OPT_FORMAT + OUTPUT_JSON },
	{ "help", no_argument, NULL, OPT_HELP },
	{ "version", no_argument, NULL, OPT_VERSION },
	{},
};

static const char usage[] =
	"Usage: exitstat [host] [OPTION]...\n"
	"\n"
	"Show the exits of the host since the kvm module was loaded, or of one VM.\n"
	"Needs root, or for the host read permission on /sys/kernel/kvm/exit_stats,\n"
	"which is read where debugfs cannot be.\n"
	"\n"
	"Options:\n"
	"      --vm ID      one VM: <pid>-<fd> as in debugfs, or <pid>\n"
	"      --json       print JSON\n"
	"      --debugfs DIR\n"
	"                   where debugfs is mounted (/sys/kernel/debug)\n"
	"      --sysfs DIR  where sysfs is mounted (/sys)";

static int read_host(struct exit_snapshot *snap, const struct arguments *args)
{
	char why[PATH_MAX + 64];

	if (debugfs_is_readable(args->debugfs, why, sizeof(why)) ||
	    !sysfs_is_there(args->sysfs))
		return debugfs_read_host(snap, args->debugfs);

	return sysfs_read_host(snap, args->sysfs, why);
}

int cmd_host(int argc, char **argv)
{
	struct exit_snapshot snap = {};
	struct arguments args;
	int status;

	if (!parse_options(argc, argv, options, usage, &args, &status))
		return status;

	if (args.vm)
		status = debugfs_read_vm(&snap, args.debugfs, args.vm);
	else
		status = read_host(&snap, &args);

	if (status == STATUS_OK && !snap.enabled)
		fail(STATUS_OK,
		     "exit accounting is off, these are the counts from before; to turn it on: echo 1 > /sys/module/kvm/parameters/exit_stats");

	if (status == STATUS_OK)
		status = output_snapshot(args.format, &snap);

	snapshot_free(&snap);
	return status;
}
