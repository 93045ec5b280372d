// SPDX-License-Identifier: GPL-2.0
#include <stdlib.h>
#include <string.h>

#include "snapshot.h"

const char *const exit_count_names[NR_COUNTS] = {
	[COUNT_EXITS] = "exits",
	[COUNT_HANDLE_CYCLES] = "handle_cycles",
	[COUNT_USER_CYCLES] = "user_cycles",
	[COUNT_WAIT_CYCLES] = "wait_cycles",
	[COUNT_PREEMPTED_CYCLES] = "preempted_cycles",
	[COUNT_L2_EXITS] = "l2_exits",
	[COUNT_L2_HANDLE_CYCLES] = "l2_handle_cycles",
};

struct exit_row *snapshot_add_row(struct exit_snapshot *snap)
{
	struct exit_row *rows, *row;

	rows = reallocarray(snap->rows, snap->nr_rows + 1, sizeof(*rows));
	if (!rows)
		return NULL;

	snap->rows = rows;
	row = &rows[snap->nr_rows++];
	memset(row, 0, sizeof(*row));
	return row;
}

int exit_row_cmp(const void *a, const void *b)
{
	const struct exit_row *x = a, *y = b;

	if (x->other != y->other)
		return x->other - y->other;
	return (x->reason > y->reason) - (x->reason < y->reason);
}

bool snapshot_finish(struct exit_snapshot *snap)
{
	size_t i, c;

	if (snap->nr_rows)
		qsort(snap->rows, snap->nr_rows, sizeof(*snap->rows),
		      exit_row_cmp);

	memset(snap->total, 0, sizeof(snap->total));
	for (i = 0; i < snap->nr_rows; i++) {
		if (i && !exit_row_cmp(&snap->rows[i - 1], &snap->rows[i]))
			return false;
		for (c = 0; c < NR_COUNTS; c++)
			snap->total[c] += snap->rows[i].counts[c];
	}
	return true;
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

void snapshot_free(struct exit_snapshot *snap)
{
	free(snap->rows);
}
