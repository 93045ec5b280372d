/* SPDX-License-Identifier: GPL-2.0 */
/* One of the two that are compared. */
#ifndef DIFF_SIDE_H
#define DIFF_SIDE_H

#include <stdbool.h>
#include <stddef.h>

#include "model/scope.h"
#include "recording/format.h"

struct diff_side {
	const char *path;
	/* what of it: the first of the scopes that were added up, and how many */
	struct exit_scope scope;
	size_t nr_scopes;
	/* how long was counted, ns, or 0 for since the counters began */
	uint64_t interval;
	/* of its host, if it is a recording */
	struct recording_facts facts;
};

#endif
