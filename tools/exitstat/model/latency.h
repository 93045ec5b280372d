/* SPDX-License-Identifier: GPL-2.0 */
#ifndef EXITSTAT_LATENCY_H
#define EXITSTAT_LATENCY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "model/snapshot.h"

enum latency_time {
	LATENCY_HANDLE,
	/* handle, user and preempted, without wait */
	LATENCY_TOTAL,
	NR_LATENCY_TIMES,
};

extern const char *const latency_time_names[NR_LATENCY_TIMES];

/* One bucket of one reason's histogram. */
struct latency_row {
	bool other;
	uint32_t reason;
	enum latency_time time;
	char name[EXIT_NAME_SIZE];
	/* from @from cycles to below @below, which is UINT64_MAX in the last */
	uint64_t from, below;
	uint64_t exits;
	/* the longest of that reason and time */
	uint64_t max;
};

/* By reason, OTHER last, then time, then bucket; no two are alike. */
struct exit_latency {
	struct latency_row *rows;
	size_t nr_rows;
};

/* As snapshot_parse(), for exit_latency. */
int latency_parse(struct exit_latency *latency, const char *path,
		  const char *scope, char *text, size_t len);
/* For qsort(). */
int latency_row_cmp(const void *a, const void *b);
/* As snapshot_subtract().  The maxima stay. */
bool latency_subtract(struct exit_latency *latency,
		      const struct exit_latency *before);
void latency_free(struct exit_latency *latency);

#endif
