// SPDX-License-Identifier: GPL-2.0
#include <limits.h>

#include "base/clock.h"
#include "base/message.h"
#include "source/cpuid.h"
#include "source/debugfs.h"
#include "source/source.h"
#include "source/sysfs.h"

static int read_host(struct exit_source *source,
		     const struct exit_selection *sel, struct exit_scope *scope)
{
	char why[PATH_MAX + 64];

	if (debugfs_is_readable(source->debugfs, why, sizeof(why)) ||
	    !sysfs_is_there(source->sysfs))
		return debugfs_read_host(scope, source->debugfs,
					 sel->host_latency);

	return sysfs_read_host(&scope->snap, source->sysfs, why,
			       &source->told_sysfs);
}

int scan_read(struct exit_source *source, const struct exit_selection *sel,
	      struct exit_scan *scan)
{
	struct exit_scope *scope;
	int status = STATUS_OK;

	scan->realtime = clock_now(CLOCK_REALTIME);
	scan->monotonic = clock_now(CLOCK_MONOTONIC);

	if (source->guest || sel->host) {
		scope = scan_add(scan);
		if (!scope)
			return out_of_memory();
		status = source->guest ? cpuid_read(scope) :
					 read_host(source, sel, scope);
	}
	if (!status && !source->guest && (sel->vms || sel->vcpus))
		status = debugfs_read_vms(scan, source, sel);
	/* The directory may have been listed in another order. */
	scan_sort(scan);
	return status;
}
