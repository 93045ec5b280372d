// SPDX-License-Identifier: GPL-2.0
#include <stdlib.h>
#include <string.h>

#include "snapshot.h"

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
	size_t i;

	if (snap->nr_rows)
		qsort(snap->rows, snap->nr_rows, sizeof(*snap->rows),
		      exit_row_cmp);

	snap->exits = 0;
	snap->handle_cycles = 0;
	for (i = 0; i < snap->nr_rows; i++) {
		if (i && !exit_row_cmp(&snap->rows[i - 1], &snap->rows[i]))
			return false;
		snap->exits += snap->rows[i].exits;
		snap->handle_cycles += snap->rows[i].handle_cycles;
	}
	return true;
}

void snapshot_free(struct exit_snapshot *snap)
{
	free(snap->rows);
}
