/* SPDX-License-Identifier: GPL-2.0 */
/* What is counted of each reason. */
#ifndef MODEL_COUNTS_H
#define MODEL_COUNTS_H

#include <stdbool.h>
#include <stdint.h>

enum exit_counter {
	COUNT_EXITS,
	COUNT_HANDLE_CYCLES,
	/* Every source has those above; whether one has those below is told. */
	COUNT_USER_CYCLES,
	COUNT_WAIT_CYCLES,
	COUNT_PREEMPTED_CYCLES,
	COUNT_L2_EXITS,
	COUNT_L2_HANDLE_CYCLES,
	NR_COUNTS,
};

/* Their names: columns in debugfs, files in sysfs, fields in JSON. */
extern const char *const exit_count_names[NR_COUNTS];

/* Is it a time, and not a number of exits? */
bool count_is_time(enum exit_counter counter);
/* True if @counts has anything that is not 0. */
bool counts_any(const uint64_t *counts);

#endif
