/* SPDX-License-Identifier: GPL-2.0 */
/* How long single exits took: histograms. */
#ifndef MODEL_LATENCY_H
#define MODEL_LATENCY_H

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

/* False if it is none of these names. */
bool latency_parse_time(const char *name, enum latency_time *time);

/*
 * Buckets are powers of two: the first one has all below 2^8, the last one all
 * from 2^30 on.
 */
#define NR_BUCKETS 24

/* From this to below that, which is UINT64_MAX in the last one. */
uint64_t bucket_from(size_t bucket);
uint64_t bucket_below(size_t bucket);
/* The bucket that has @time. */
size_t bucket_of(uint64_t time);

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

/* For qsort(). */
int latency_row_cmp(const void *a, const void *b);
/* Append a row that is all 0, or return NULL if memory runs out. */
struct latency_row *latency_add_row(struct exit_latency *latency);
/* Sort once all rows are there. False if two rows are alike. */
bool latency_finish(struct exit_latency *latency);
/* The row of that bucket, or NULL. */
const struct latency_row *latency_find_row(const struct exit_latency *latency,
					   const struct latency_row *key);
/* As snapshot_subtract().  The maxima stay. */
bool latency_subtract(struct exit_latency *latency,
		      const struct exit_latency *before);
void latency_free(struct exit_latency *latency);

#endif
