/* SPDX-License-Identifier: GPL-2.0 */
/* The host's totals from sysfs, for those who cannot read debugfs. */
#ifndef SOURCE_SYSFS_H
#define SOURCE_SYSFS_H

#include <stdbool.h>

#include "model/snapshot.h"

bool sysfs_is_there(const char *sysfs);
/* Tells the user that these are not debugfs's, and @why, unless *told. */
int sysfs_read_host(struct exit_snapshot *snap, const char *sysfs,
		    const char *why, bool *told);

#endif
