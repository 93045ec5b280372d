/* SPDX-License-Identifier: GPL-2.0 */
/* Reading the counters of a host, of its VMs and their vCPUs, or of this VM. */
#ifndef SOURCE_SOURCE_H
#define SOURCE_SOURCE_H

#include <limits.h>
#include <stdbool.h>

#include "source/select.h"

/* Leaves room in PATH_MAX for every file below. */
#define MOUNT_MAX (PATH_MAX - 128)

/* Where the counters are; the paths are no longer than MOUNT_MAX. */
struct exit_source {
	/* this VM's own, through CPUID, and nothing below */
	bool guest;
	const char *debugfs;
	const char *sysfs;
	const char *procfs;
	/* the user knows that sysfs takes debugfs's place */
	bool told_sysfs;
};

/*
 * Fill an all-0 scan.  STATUS_OK, or the program's status after a message.  VMs
 * that come or go meanwhile are in it or left out.
 */
int scan_read(struct exit_source *source, const struct exit_selection *sel,
	      struct exit_scan *scan);

#endif
