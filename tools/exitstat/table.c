// SPDX-License-Identifier: GPL-2.0
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "output.h"

#define ARRAY_SIZE(a) (sizeof(a) / sizeof(*(a)))

enum cell {
	CELL_REASON,
	CELL_NAME,
	CELL_COUNT,
	/* in percent of all reasons */
	CELL_SHARE,
	CELL_PER_EXIT,
};

/* A column is shown if its counter is known. */
static const struct column {
	const char *name;
	enum cell cell;
	enum exit_counter counter;
} columns[] = {
	{ "REASON", CELL_REASON, COUNT_EXITS },
	{ "NAME", CELL_NAME, COUNT_EXITS },
	{ "EXITS", CELL_COUNT, COUNT_EXITS },
	{ "%EXITS", CELL_SHARE, COUNT_EXITS },
	{ "HANDLE_CYCLES", CELL_COUNT, COUNT_HANDLE_CYCLES },
	{ "CYCLES/EXIT", CELL_PER_EXIT, COUNT_HANDLE_CYCLES },
	{ "%HANDLE", CELL_SHARE, COUNT_HANDLE_CYCLES },
	{ "USER_CYCLES", CELL_COUNT, COUNT_USER_CYCLES },
	{ "WAIT_CYCLES", CELL_COUNT, COUNT_WAIT_CYCLES },
	{ "PREEMPTED_CYCLES", CELL_COUNT, COUNT_PREEMPTED_CYCLES },
	{ "L2_EXITS", CELL_COUNT, COUNT_L2_EXITS },
	{ "L2_HANDLE_CYCLES", CELL_COUNT, COUNT_L2_HANDLE_CYCLES },
};

/* The columns of one table. */
struct layout {
	const struct column *columns[ARRAY_SIZE(columns)];
	struct table_column headings[ARRAY_SIZE(columns)];
	size_t nr_columns;
};

/*
 * A row's counters, or what 100 % is: the sums of all rows, not the snapshot's
 * because these may have wrapped.
 */
struct share {
	double counts[NR_COUNTS];
};

static int by_time(const void *a, const void *b)
{
	const struct exit_row *x = a, *y = b;
	const uint64_t *p = x->counts, *q = y->counts;

	if (p[COUNT_HANDLE_CYCLES] != q[COUNT_HANDLE_CYCLES])
		return p[COUNT_HANDLE_CYCLES] < q[COUNT_HANDLE_CYCLES] ? 1 : -1;
	if (p[COUNT_EXITS] != q[COUNT_EXITS])
		return p[COUNT_EXITS] < q[COUNT_EXITS] ? 1 : -1;
	return exit_row_cmp(x, y);
}

/* Most hosts have no nested guests, and so no use for these columns. */
static bool has_l2(const struct exit_snapshot *snap)
{
	size_t i;

	for (i = 0; i < snap->nr_rows; i++) {
		if (snap->rows[i].counts[COUNT_L2_EXITS] ||
		    snap->rows[i].counts[COUNT_L2_HANDLE_CYCLES])
			return true;
	}
	return false;
}

static void choose_columns(struct layout *layout,
			   const struct exit_snapshot *snap)
{
	bool l2 = has_l2(snap);
	size_t i;

	layout->nr_columns = 0;
	for (i = 0; i < ARRAY_SIZE(columns); i++) {
		const struct column *column = &columns[i];

		if (!snap->has[column->counter] ||
		    (column->counter >= COUNT_L2_EXITS && !l2))
			continue;
		layout->headings[layout->nr_columns] = (struct table_column){
			.name = column->name,
			.right = column->cell != CELL_NAME,
		};
		layout->columns[layout->nr_columns++] = column;
	}
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

static void set_cell(char *cell, const struct column *column,
		     const struct exit_row *row, const struct share *part,
		     const struct share *whole)
{
	const enum exit_counter counter = column->counter;

	switch (column->cell) {
	case CELL_REASON:
		if (row->other)
			strcpy(cell, "-");
		else
			snprintf(cell, TABLE_CELL_SIZE, "%" PRIu32,
				 row->reason);
		break;
	case CELL_NAME:
		snprintf(cell, TABLE_CELL_SIZE, "%s", row->name);
		break;
	case CELL_COUNT:
		snprintf(cell, TABLE_CELL_SIZE, "%" PRIu64,
			 row->counts[counter]);
		break;
	case CELL_SHARE:
		set_ratio(cell, 2, 100, part->counts[counter],
			  whole->counts[counter]);
		break;
	case CELL_PER_EXIT:
		set_ratio(cell, 0, 1, part->counts[counter],
			  part->counts[COUNT_EXITS]);
		break;
	}
}

static void set_line(char (*cells)[TABLE_CELL_SIZE],
		     const struct layout *layout, const struct exit_row *row,
		     const struct share *part, const struct share *whole)
{
	size_t i;

	for (i = 0; i < layout->nr_columns; i++)
		set_cell(cells[i], layout->columns[i], row, part, whole);
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
	if (!snap->total[COUNT_EXITS] && !snap->nr_rows)
		fputs(", no exits so far", out);
	fputc('\n', out);
}

/* What became of the vCPUs' time, which is the guest's and all four phases. */
static void print_time(FILE *out, const struct exit_snapshot *snap,
		       const struct share *whole)
{
	static const struct {
		const char *name;
		enum exit_counter counter;
	} phases[] = {
		{ "handle", COUNT_HANDLE_CYCLES },
		{ "user", COUNT_USER_CYCLES },
		{ "wait", COUNT_WAIT_CYCLES },
		{ "preempted", COUNT_PREEMPTED_CYCLES },
	};
	double guest = snap->guest_cycles, time = guest;
	size_t i;

	if (!snap->has_guest_cycles)
		return;

	for (i = 0; i < ARRAY_SIZE(phases); i++) {
		if (!snap->has[phases[i].counter])
			return;
		time += whole->counts[phases[i].counter];
	}
	if (!(time > 0))
		return;

	fprintf(out, "vCPU time: guest %.2f %%", 100 * guest / time);
	for (i = 0; i < ARRAY_SIZE(phases); i++)
		fprintf(out, ", %s %.2f %%", phases[i].name,
			100 * whole->counts[phases[i].counter] / time);
	fputc('\n', out);
}

static bool table_print(FILE *out, const struct exit_snapshot *snap)
{
	const size_t nr_lines = snap->nr_rows + 1;
	struct exit_row total = {
		.other = true,
		.name = "TOTAL",
	};
	char(*cells)[TABLE_CELL_SIZE];
	struct share whole = {};
	struct exit_row *rows;
	struct layout layout;
	bool ok = false;
	size_t i, c;

	choose_columns(&layout, snap);
	memcpy(total.counts, snap->total, sizeof(total.counts));

	rows = calloc(nr_lines, sizeof(*rows));
	cells = calloc(nr_lines * layout.nr_columns, sizeof(*cells));
	if (!rows || !cells)
		goto out;

	for (i = 0; i < snap->nr_rows; i++) {
		rows[i] = snap->rows[i];
		for (c = 0; c < NR_COUNTS; c++)
			whole.counts[c] += rows[i].counts[c];
	}
	qsort(rows, snap->nr_rows, sizeof(*rows), by_time);

	for (i = 0; i < snap->nr_rows; i++) {
		struct share part;

		for (c = 0; c < NR_COUNTS; c++)
			part.counts[c] = rows[i].counts[c];
		set_line(&cells[i * layout.nr_columns], &layout, &rows[i],
			 &part, &whole);
	}
	set_line(&cells[i * layout.nr_columns], &layout, &total, &whole,
		 &whole);

	print_heading(out, snap);
	print_time(out, snap, &whole);
	ok = table_render(out, layout.headings, layout.nr_columns, cells,
			  nr_lines);
out:
	free(cells);
	free(rows);
	return ok;
}

const struct output_format table_format = {
	.print = table_print,
};
