/* SPDX-License-Identifier: GPL-2.0 */
/* The kernel's exit_stats: a row for each reason, and their TOTAL. */
#ifndef SOURCE_KVMSTATS_H
#define SOURCE_KVMSTATS_H

#include <stddef.h>

#include "model/snapshot.h"

/*
 * Parse the text of the kernel's file @path, which must be of @scope.  The text
 * is @len bytes, has a '\0' after them and is overwritten.  STATUS_OK, or
 * STATUS_ERROR after a message.
 */
int kvmstats_parse(struct exit_snapshot *snap, const char *path,
		   const char *scope, char *text, size_t len);

#endif
