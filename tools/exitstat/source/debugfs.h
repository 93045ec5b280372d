/* SPDX-License-Identifier: GPL-2.0 */
/* The counters as the host reads them, from debugfs. */
#ifndef SOURCE_DEBUGFS_H
#define SOURCE_DEBUGFS_H

#include "source/source.h"

/*
 * False if debugfs cannot be read by this user or has nothing, and @why then
 * gets a few words.  True leaves all other errors to those who read it.
 */
bool debugfs_is_readable(const char *debugfs, char *why, size_t size);
int debugfs_read_host(struct exit_scope *scope, const char *debugfs,
		      bool latency);
int debugfs_read_vms(struct exit_scan *scan, const struct exit_source *source,
		     const struct exit_selection *sel);

#endif
