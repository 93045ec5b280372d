// SPDX-License-Identifier: GPL-2.0
#include <stdlib.h>
#include <string.h>

#include "model/latency.h"

const char *const latency_time_names[NR_LATENCY_TIMES] = {
	[LATENCY_HANDLE] = "handle",
	[LATENCY_TOTAL] = "total",
};

bool latency_parse_time(const char *name, enum latency_time *time)
{
	size_t i;

	for (i = 0; i < NR_LATENCY_TIMES; i++) {
		if (!strcmp(name, latency_time_names[i])) {
			*time = i;
			return true;
		}
	}
	return false;
}

/* The powers of two from which on the second and the last one are. */
#define SECOND_BUCKET_BITS 8
#define LAST_BUCKET_BITS (SECOND_BUCKET_BITS + NR_BUCKETS - 2)

uint64_t bucket_from(size_t bucket)
{
	return bucket ? 1ULL << (SECOND_BUCKET_BITS + bucket - 1) : 0;
}

uint64_t bucket_below(size_t bucket)
{
	return bucket < NR_BUCKETS - 1 ? bucket_from(bucket + 1) : UINT64_MAX;
}

size_t bucket_of(uint64_t time)
{
	const size_t bits = time ? 63 - __builtin_clzll(time) : 0;

	if (bits < SECOND_BUCKET_BITS)
		return 0;
	return bits < LAST_BUCKET_BITS ? bits - SECOND_BUCKET_BITS + 1 :
					 NR_BUCKETS - 1;
}

int latency_row_cmp(const void *a, const void *b)
{
	const struct latency_row *x = a, *y = b;

	if (x->other != y->other)
		return x->other - y->other;
	if (x->reason != y->reason)
		return x->reason > y->reason ? 1 : -1;
	if (x->time != y->time)
		return x->time > y->time ? 1 : -1;
	return (x->from > y->from) - (x->from < y->from);
}

struct latency_row *latency_add_row(struct exit_latency *latency)
{
	struct latency_row *rows = reallocarray(
		latency->rows, latency->nr_rows + 1, sizeof(*rows));

	if (!rows)
		return NULL;
	latency->rows = rows;
	rows[latency->nr_rows] = (struct latency_row){};
	return &rows[latency->nr_rows++];
}

bool latency_finish(struct exit_latency *latency)
{
	size_t i;

	if (latency->nr_rows)
		qsort(latency->rows, latency->nr_rows, sizeof(*latency->rows),
		      latency_row_cmp);
	for (i = 1; i < latency->nr_rows; i++) {
		if (!latency_row_cmp(&latency->rows[i - 1], &latency->rows[i]))
			return false;
	}
	return true;
}

const struct latency_row *latency_find_row(const struct exit_latency *latency,
					   const struct latency_row *key)
{
	if (!latency->nr_rows)
		return NULL;
	return bsearch(key, latency->rows, latency->nr_rows,
		       sizeof(*latency->rows), latency_row_cmp);
}

bool latency_subtract(struct exit_latency *latency,
		      const struct exit_latency *before)
{
	const struct latency_row *row;
	size_t i, nr = 0;

	for (i = 0; i < before->nr_rows; i++) {
		row = latency_find_row(latency, &before->rows[i]);
		if (!row || row->exits < before->rows[i].exits)
			return false;
	}

	for (i = 0; i < latency->nr_rows; i++) {
		row = latency_find_row(before, &latency->rows[i]);
		if (row)
			latency->rows[i].exits -= row->exits;
		if (latency->rows[i].exits)
			latency->rows[nr++] = latency->rows[i];
	}
	latency->nr_rows = nr;
	return true;
}

void latency_free(struct exit_latency *latency)
{
	free(latency->rows);
}
