// SPDX-License-Identifier: GPL-2.0
#include <inttypes.h>
#include <stdio.h>

#include "base/array.h"
#include "diff/table.h"
#include "view/csv.h"

enum {
	DIFF_REASON,
	DIFF_NAME,
	DIFF_EXITS_A,
	DIFF_EXITS_B,
	DIFF_EXITS_DIFF,
	DIFF_EXITS_RATE_A,
	DIFF_EXITS_RATE_B,
	DIFF_EXITS_CHANGE,
	DIFF_EXITS_SHARE_A,
	DIFF_EXITS_SHARE_B,
	DIFF_HANDLE_A,
	DIFF_HANDLE_B,
	DIFF_HANDLE_DIFF,
	DIFF_HANDLE_RATE_A,
	DIFF_HANDLE_RATE_B,
	DIFF_HANDLE_CHANGE,
	DIFF_HANDLE_SHARE_A,
	DIFF_HANDLE_SHARE_B,
	DIFF_AVERAGE_A,
	DIFF_AVERAGE_B,
	DIFF_AVERAGE_CHANGE,
	DIFF_LOST_A,
	DIFF_LOST_B,
	DIFF_LOST_DIFF,
	DIFF_LOST_RATE_A,
	DIFF_LOST_RATE_B,
	DIFF_LOST_CHANGE,
	DIFF_LOST_SHARE_A,
	DIFF_LOST_SHARE_B,
};

static const struct column columns[] = {
	{ DIFF_REASON, "REASON", NULL, "exit number", false },
	{ DIFF_NAME, "NAME", NULL, "its name in the kernel", true },
	{ DIFF_EXITS_A, "EXITS_A", NULL, "VM-exits in A", false },
	{ DIFF_EXITS_B, "EXITS_B", NULL, "VM-exits in B", false },
	{ DIFF_EXITS_DIFF, "EXITS_DIFF", NULL, "those in B less those in A",
	  false },
	{ DIFF_EXITS_RATE_A, "EXITS/S_A", NULL, "VM-exits per second in A",
	  false },
	{ DIFF_EXITS_RATE_B, "EXITS/S_B", NULL, "VM-exits per second in B",
	  false },
	{ DIFF_EXITS_CHANGE, "EXITS_CHANGE%", NULL,
	  "how many more in B, per second if that is known", false },
	{ DIFF_EXITS_SHARE_A, "%EXITS_A", NULL, "share of all exits in A",
	  false },
	{ DIFF_EXITS_SHARE_B, "%EXITS_B", NULL, "share of all exits in B",
	  false },
	{ DIFF_HANDLE_A, "HANDLE_CYCLES_A", "HANDLE_NS_A",
	  "time in which KVM worked in A", false },
	{ DIFF_HANDLE_B, "HANDLE_CYCLES_B", "HANDLE_NS_B",
	  "time in which KVM worked in B", false },
	{ DIFF_HANDLE_DIFF, "HANDLE_CYCLES_DIFF", "HANDLE_NS_DIFF",
	  "that in B less that in A", false },
	{ DIFF_HANDLE_RATE_A, "HANDLE_CYCLES/S_A", "HANDLE_NS/S_A",
	  "the time per second in A", false },
	{ DIFF_HANDLE_RATE_B, "HANDLE_CYCLES/S_B", "HANDLE_NS/S_B",
	  "the time per second in B", false },
	{ DIFF_HANDLE_CHANGE, "HANDLE_CHANGE%", NULL,
	  "how much more in B, per second if that is known", false },
	{ DIFF_HANDLE_SHARE_A, "%HANDLE_A", NULL, "share of all of it in A",
	  false },
	{ DIFF_HANDLE_SHARE_B, "%HANDLE_B", NULL, "share of all of it in B",
	  false },
	{ DIFF_AVERAGE_A, "CYCLES/EXIT_A", "NS/EXIT_A",
	  "time of an exit in A, on average", false },
	{ DIFF_AVERAGE_B, "CYCLES/EXIT_B", "NS/EXIT_B",
	  "time of an exit in B, on average", false },
	{ DIFF_AVERAGE_CHANGE, "CYCLES/EXIT_CHANGE%", "NS/EXIT_CHANGE%",
	  "how much longer in B", false },
	{ DIFF_LOST_A, "LOST_CYCLES_A", "LOST_NS_A",
	  "lost to these exits in A: handle, user, preempted", false },
	{ DIFF_LOST_B, "LOST_CYCLES_B", "LOST_NS_B", "lost to these exits in B",
	  false },
	{ DIFF_LOST_DIFF, "LOST_CYCLES_DIFF", "LOST_NS_DIFF",
	  "that in B less that in A", false },
	{ DIFF_LOST_RATE_A, "LOST_CYCLES/S_A", "LOST_NS/S_A",
	  "lost per second in A", false },
	{ DIFF_LOST_RATE_B, "LOST_CYCLES/S_B", "LOST_NS/S_B",
	  "lost per second in B", false },
	{ DIFF_LOST_CHANGE, "LOST_CHANGE%", NULL,
	  "how much more in B, per second if that is known", false },
	{ DIFF_LOST_SHARE_A, "%LOST_A", NULL, "share of all that is lost in A",
	  false },
	{ DIFF_LOST_SHARE_B, "%LOST_B", NULL, "share of all that is lost in B",
	  false },
};

static const int rate_ids[] = {
	DIFF_REASON,	    DIFF_NAME,		 DIFF_LOST_RATE_A,
	DIFF_LOST_RATE_B,   DIFF_LOST_CHANGE,	 DIFF_EXITS_RATE_A,
	DIFF_EXITS_RATE_B,  DIFF_EXITS_CHANGE,	 DIFF_HANDLE_RATE_A,
	DIFF_HANDLE_RATE_B, DIFF_HANDLE_CHANGE,	 DIFF_AVERAGE_A,
	DIFF_AVERAGE_B,	    DIFF_AVERAGE_CHANGE, -1,
};

/* The same counters, read twice. */
static const int continued_ids[] = {
	DIFF_REASON,	DIFF_NAME,	     DIFF_LOST_A,
	DIFF_LOST_B,	DIFF_LOST_DIFF,	     DIFF_EXITS_A,
	DIFF_EXITS_B,	DIFF_EXITS_DIFF,     DIFF_HANDLE_A,
	DIFF_HANDLE_B,	DIFF_HANDLE_DIFF,    DIFF_AVERAGE_A,
	DIFF_AVERAGE_B, DIFF_AVERAGE_CHANGE, -1,
};

/* Who knows how long was counted. */
static const int share_ids[] = {
	DIFF_REASON,	     DIFF_NAME,
	DIFF_LOST_SHARE_A,   DIFF_LOST_SHARE_B,
	DIFF_EXITS_A,	     DIFF_EXITS_B,
	DIFF_EXITS_SHARE_A,  DIFF_EXITS_SHARE_B,
	DIFF_HANDLE_SHARE_A, DIFF_HANDLE_SHARE_B,
	DIFF_AVERAGE_A,	     DIFF_AVERAGE_B,
	DIFF_AVERAGE_CHANGE, -1,
};

static const int csv_ids[] = {
	DIFF_REASON,
	DIFF_NAME,
	DIFF_EXITS_A,
	DIFF_EXITS_B,
	DIFF_EXITS_RATE_A,
	DIFF_EXITS_RATE_B,
	DIFF_HANDLE_A,
	DIFF_HANDLE_B,
	DIFF_AVERAGE_A,
	DIFF_AVERAGE_B,
	DIFF_LOST_A,
	DIFF_LOST_B,
	-1,
};

static void set_real(struct cell *cell, double value, int decimals)
{
	cell->type = CELL_REAL;
	cell->decimals = decimals;
	cell->real = value;
}

static void set_u64(struct cell *cell, uint64_t value)
{
	cell->type = CELL_U64;
	cell->u64 = value;
}

/* How much more, or less, in B. */
static void set_difference(struct cell *cell, const uint64_t *values)
{
	cell->type = CELL_I64;
	cell->i64 = values[1] - values[0];
}

static void set_ratio(struct cell *cell, double part, double whole,
		      int decimals)
{
	if (whole > 0)
		set_real(cell, part / whole, decimals);
}

static void set_change(struct cell *cell, double before, double after)
{
	double percent;

	if (diff_change(before, after, &percent))
		set_real(cell, percent, 1);
}

static void set_average_change(struct cell *cell, const struct diff_line *line)
{
	if (line->exits[0] && line->exits[1])
		set_change(cell, diff_average(line, 0), diff_average(line, 1));
}

static void get_lost(const struct diff_line *line, int id, struct cell *cell)
{
	const uint64_t *lost = line->lost;

	if (!line->has_lost)
		return;
	switch (id) {
	case DIFF_LOST_A:
	case DIFF_LOST_B:
		set_u64(cell, lost[id - DIFF_LOST_A]);
		break;
	case DIFF_LOST_DIFF:
		set_difference(cell, lost);
		break;
	case DIFF_LOST_RATE_A:
	case DIFF_LOST_RATE_B:
		set_ratio(cell, 1e9 * lost[id - DIFF_LOST_RATE_A],
			  line->interval[id - DIFF_LOST_RATE_A], 0);
		break;
	case DIFF_LOST_CHANGE:
		set_change(cell, diff_rate(line, lost, 0),
			   diff_rate(line, lost, 1));
		break;
	case DIFF_LOST_SHARE_A:
	case DIFF_LOST_SHARE_B:
		set_ratio(cell, 100.0 * lost[id - DIFF_LOST_SHARE_A],
			  line->all_lost[id - DIFF_LOST_SHARE_A], 2);
		break;
	}
}

static void get_cell(const void *data, int id, struct cell *cell)
{
	const struct diff_line *line = data;
	const uint64_t *exits = line->exits, *handle = line->handle;

	switch (id) {
	case DIFF_REASON:
		if (!line->row.other)
			*cell = (struct cell){ .type = CELL_U64,
					       .u64 = line->row.reason };
		break;
	case DIFF_NAME:
		*cell = (struct cell){ .type = CELL_TEXT,
				       .text = line->row.name };
		break;
	case DIFF_EXITS_A:
	case DIFF_EXITS_B:
		set_u64(cell, exits[id - DIFF_EXITS_A]);
		break;
	case DIFF_EXITS_DIFF:
		set_difference(cell, exits);
		break;
	case DIFF_EXITS_RATE_A:
	case DIFF_EXITS_RATE_B:
		set_ratio(cell, 1e9 * exits[id - DIFF_EXITS_RATE_A],
			  line->interval[id - DIFF_EXITS_RATE_A], 1);
		break;
	case DIFF_EXITS_CHANGE:
		set_change(cell, diff_rate(line, exits, 0),
			   diff_rate(line, exits, 1));
		break;
	case DIFF_EXITS_SHARE_A:
	case DIFF_EXITS_SHARE_B:
		set_ratio(cell, 100.0 * exits[id - DIFF_EXITS_SHARE_A],
			  line->all_exits[id - DIFF_EXITS_SHARE_A], 2);
		break;
	case DIFF_HANDLE_A:
	case DIFF_HANDLE_B:
		set_u64(cell, handle[id - DIFF_HANDLE_A]);
		break;
	case DIFF_HANDLE_DIFF:
		set_difference(cell, handle);
		break;
	case DIFF_HANDLE_RATE_A:
	case DIFF_HANDLE_RATE_B:
		set_ratio(cell, 1e9 * handle[id - DIFF_HANDLE_RATE_A],
			  line->interval[id - DIFF_HANDLE_RATE_A], 0);
		break;
	case DIFF_HANDLE_CHANGE:
		set_change(cell, diff_rate(line, handle, 0),
			   diff_rate(line, handle, 1));
		break;
	case DIFF_HANDLE_SHARE_A:
	case DIFF_HANDLE_SHARE_B:
		set_ratio(cell, 100.0 * handle[id - DIFF_HANDLE_SHARE_A],
			  line->all_handle[id - DIFF_HANDLE_SHARE_A], 2);
		break;
	case DIFF_AVERAGE_A:
	case DIFF_AVERAGE_B:
		set_ratio(cell, handle[id - DIFF_AVERAGE_A],
			  exits[id - DIFF_AVERAGE_A], 0);
		break;
	case DIFF_AVERAGE_CHANGE:
		set_average_change(cell, line);
		break;
	default:
		get_lost(line, id, cell);
		break;
	}
}

const struct table diff_table = {
	.columns = columns,
	.nr_columns = ARRAY_SIZE(columns),
	.get = get_cell,
};

static void print_side(FILE *out, const char *name,
		       const struct diff_side *side)
{
	const struct exit_snapshot *snap = &side->scope.snap;
	char label[SCOPE_LABEL_SIZE], clock[CLOCK_LABEL_SIZE];

	clock_label(&snap->clock, clock);
	if (side->nr_scopes > 1)
		snprintf(label, sizeof(label), "%zu %s", side->nr_scopes,
			 side->scope.kind == SCOPE_VCPU ? "vCPUs" : "VMs");
	else
		scope_label(&side->scope, label);
	fprintf(out, "%s: %s, %s: %s, %s, ", name, side->path, label, snap->isa,
		clock);
	if (side->interval)
		fprintf(out, "%.3f s\n", side->interval / 1e9);
	else
		fputs("since the counters began\n", out);
}

bool diff_print_table(FILE *out, const struct diff *diff,
		      const struct format *format)
{
	const int *ids = diff->lines->interval[0] ? rate_ids :
			 diff->continued	  ? continued_ids :
						    share_ids;
	const struct recording_fact *fact;
	const char *of_b;
	int useful[MAX_COLUMNS];
	struct layout layout;
	size_t nr = 0, i;

	for (; *ids >= 0; ids++) {
		if (*ids < DIFF_LOST_A || diff->has_lost)
			useful[nr++] = *ids;
	}
	useful[nr] = -1;
	layout_init(&layout, &diff_table, useful, format->columns, diff->ns);
	print_side(out, "A", &diff->sides[0]);
	print_side(out, "B", &diff->sides[1]);
	for (i = 0; (fact = diff_next_fact(diff, &i, &of_b));)
		fprintf(out, "differs: %s: %s, in B %s\n", fact->name,
			fact->value, of_b);
	return table_print(out, &layout, diff->lines, diff->nr_lines,
			   sizeof(*diff->lines));
}

void diff_print_csv(FILE *out, const struct diff *diff,
		    const struct format *format)
{
	struct layout layout;

	layout_init(&layout, &diff_table, csv_ids, format->columns, diff->ns);
	csv_print_head(out, &layout);
	csv_print_lines(out, &layout, diff->lines, diff->nr_lines - 1,
			sizeof(*diff->lines));
}
