// SPDX-License-Identifier: GPL-2.0
#include <stddef.h>

#include "model/counts.h"

const char *const exit_count_names[NR_COUNTS] = {
	[COUNT_EXITS] = "exits",
	[COUNT_HANDLE_CYCLES] = "handle_cycles",
	[COUNT_USER_CYCLES] = "user_cycles",
	[COUNT_WAIT_CYCLES] = "wait_cycles",
	[COUNT_PREEMPTED_CYCLES] = "preempted_cycles",
	[COUNT_L2_EXITS] = "l2_exits",
	[COUNT_L2_HANDLE_CYCLES] = "l2_handle_cycles",
};

bool count_is_time(enum exit_counter counter)
{
	return counter != COUNT_EXITS && counter != COUNT_L2_EXITS;
}

bool counts_any(const uint64_t *counts)
{
	size_t c;

	for (c = 0; c < NR_COUNTS; c++) {
		if (counts[c])
			return true;
	}
	return false;
}
