// SPDX-License-Identifier: GPL-2.0
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "output.h"

enum column {
	COL_REASON,
	COL_NAME,
	COL_EXITS,
	COL_EXITS_SHARE,
	COL_CYCLES,
	COL_AVERAGE,
	COL_CYCLES_SHARE,
	NR_COLUMNS,
};

static const struct table_column columns[NR_COLUMNS] = {
	[COL_REASON] = { "REASON", true },
	[COL_NAME] = { "NAME", false },
	[COL_EXITS] = { "EXITS", true },
	[COL_EXITS_SHARE] = { "%EXITS", true },
	[COL_CYCLES] = { "HANDLE_CYCLES", true },
	[COL_AVERAGE] = { "CYCLES/EXIT", true },
	[COL_CYCLES_SHARE] = { "%TIME", true },
};

/* What 100 % is.  Not the snapshot's sums, because these may have wrapped. */
struct whole {
	double exits;
	double handle_cycles;
};

static int by_time(const void *a, const void *b)
{
	const struct exit_row *x = a, *y = b;

	if (x->handle_cycles != y->handle_cycles)
		return x->handle_cycles < y->handle_cycles ? 1 : -1;
	if (x->exits != y->exits)
		return x->exits < y->exits ? 1 : -1;
	return exit_row_cmp(x, y);
}

/* @scale * @part / @whole, or "-" if that is not defined. */
static void set_ratio(char *cell, int decimals, double scale, double part,
		      double whole)
{
	if (whole > 0)
		snprintf(cell, TABLE_CELL_SIZE, "%.*f", decimals,
			 scale * part / whole);
	else
		strcpy(cell, "-");
}

static void set_line(char (*cells)[TABLE_CELL_SIZE], const struct exit_row *row,
		     const struct whole *part, const struct whole *whole)
{
	if (row->other)
		strcpy(cells[COL_REASON], "-");
	else
		snprintf(cells[COL_REASON], TABLE_CELL_SIZE, "%" PRIu32,
			 row->reason);
	snprintf(cells[COL_NAME], TABLE_CELL_SIZE, "%s", row->name);
	snprintf(cells[COL_EXITS], TABLE_CELL_SIZE, "%" PRIu64, row->exits);
	snprintf(cells[COL_CYCLES], TABLE_CELL_SIZE, "%" PRIu64,
		 row->handle_cycles);
	set_ratio(cells[COL_EXITS_SHARE], 2, 100, part->exits, whole->exits);
	set_ratio(cells[COL_AVERAGE], 0, 1, part->handle_cycles, part->exits);
	set_ratio(cells[COL_CYCLES_SHARE], 2, 100, part->handle_cycles,
		  whole->handle_cycles);
}

static void print_heading(FILE *out, const struct exit_snapshot *snap)
{
	if (*snap->vm)
		fprintf(out, "VM %s", snap->vm);
	else
		fputs(strcmp(snap->scope, "vm") ? snap->scope : "this VM", out);

	fprintf(out, ": %s, TSC %" PRIu32 ".%03" PRIu32 " MHz", snap->isa,
		snap->tsc_khz / 1000, snap->tsc_khz % 1000);
	if (snap->failed_entries)
		fprintf(out, ", failed entries %" PRIu64, snap->failed_entries);
	if (snap->clamped)
		fprintf(out, ", clamped %" PRIu64, snap->clamped);
	if (!snap->exits && !snap->nr_rows)
		fputs(", no exits so far", out);
	fputc('\n', out);
}

static bool table_print(FILE *out, const struct exit_snapshot *snap)
{
	const size_t nr_lines = snap->nr_rows + 1;
	struct exit_row total = {
		.other = true,
		.name = "TOTAL",
		.exits = snap->exits,
		.handle_cycles = snap->handle_cycles,
	};
	char(*cells)[TABLE_CELL_SIZE];
	struct whole whole = {};
	struct exit_row *rows;
	bool ok = false;
	size_t i;

	rows = calloc(nr_lines, sizeof(*rows));
	cells = calloc(nr_lines * NR_COLUMNS, sizeof(*cells));
	if (!rows || !cells)
		goto out;

	for (i = 0; i < snap->nr_rows; i++) {
		rows[i] = snap->rows[i];
		whole.exits += rows[i].exits;
		whole.handle_cycles += rows[i].handle_cycles;
	}
	qsort(rows, snap->nr_rows, sizeof(*rows), by_time);

	for (i = 0; i < snap->nr_rows; i++) {
		struct whole part = { rows[i].exits, rows[i].handle_cycles };

		set_line(&cells[i * NR_COLUMNS], &rows[i], &part, &whole);
	}
	set_line(&cells[i * NR_COLUMNS], &total, &whole, &whole);

	print_heading(out, snap);
	ok = table_render(out, columns, NR_COLUMNS, cells, nr_lines);
out:
	free(cells);
	free(rows);
	return ok;
}

const struct output_format table_format = {
	.print = table_print,
};
