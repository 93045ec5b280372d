/* SPDX-License-Identifier: GPL-2.0 */
/* What is in a page. */
#ifndef PAGE_PAGE_H
#define PAGE_PAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "recording/sum.h"

/* One reason's histogram of one time: NR_BUCKETS to each interval, or NULL. */
struct page_histogram {
	uint64_t *exits;
};

/* One scope in each interval.  Arrays have @page's nr_intervals. */
struct page_scope {
	/* all that was counted, in recording_sum */
	const struct exit_scope *sum;
	/* it was there in that interval */
	bool *known;
	/* cycles */
	uint64_t *phases[NR_PHASES];
	/* for each row of @sum: exits in each interval */
	uint64_t **exits;
	/* and NR_LATENCY_TIMES histograms */
	struct page_histogram *histograms;
	bool any_latency;
};

struct page {
	const struct recording_sum *sum;
	size_t max_intervals, nr_intervals;
	/* the end of each in ns, and how much of it was recorded, 0 if none */
	uint64_t *end, *length;
	struct page_scope *scopes;
	size_t nr_scopes;
	/* VMs and vCPUs that had fewer exits */
	size_t nr_left_out;
};

#endif
