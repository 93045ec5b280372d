/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The host's totals from sysfs, for those who cannot read debugfs
 *
 * There is one value to a file and one directory to a reason, with or without
 * exits.  The counters run on from file to file, so unlike in debugfs the rows
 * do not belong to one moment.  There is no total: it is the sum of the rows.
 */
#ifndef SOURCE_SYSFS_H
#define SOURCE_SYSFS_H

#include "source/source.h"

extern const struct source_ops sysfs_source;

#endif
