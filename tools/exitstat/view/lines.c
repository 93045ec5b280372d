// SPDX-License-Identifier: GPL-2.0
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "view/lines.h"

#define SCOPE_COLUMNS                                                         \
	{ COL_TIME, "TIME", NULL, "when it was read, UTC", true },            \
		{ COL_SECONDS, "SECONDS", NULL, "how long was counted",       \
		  false },                                                    \
		{ COL_SCOPE, "SCOPE", NULL, "host, vm or vcpu", true },       \
		{ COL_VM, "VM", NULL, "<pid>-<fd> of the VM", true },         \
		{ COL_VM_NAME, "VM_NAME", NULL, "what the operator calls it", \
		  true },                                                     \
		{ COL_PID, "PID", NULL, "process of its VMM", false },        \
	{                                                                     \
		COL_VCPU, "VCPU", NULL, "number of the vCPU", false           \
	}

#define COUNT_COLUMNS                                                          \
	{ COL_EXITS, "EXITS", NULL, "VM-exits", false },                       \
		{ COL_EXITS_RATE, "EXITS/S", NULL, "VM-exits per second",      \
		  false },                                                     \
		{ COL_HANDLE, "HANDLE_CYCLES", "HANDLE_NS",                    \
		  "KVM worked for the vCPU", false },                          \
		{ COL_HANDLE_AVERAGE, "CYCLES/EXIT", "NS/EXIT",                \
		  "handle time of an exit, on average", false },               \
		{ COL_USER, "USER_CYCLES", "USER_NS", "the VMM worked for it", \
		  false },                                                     \
		{ COL_WAIT, "WAIT_CYCLES", "WAIT_NS",                          \
		  "it was blocked, as in HLT", false },                        \
		{ COL_PREEMPTED, "PREEMPTED_CYCLES", "PREEMPTED_NS",           \
		  "it had to wait for a CPU", false },                         \
		{ COL_L2_EXITS, "L2_EXITS", NULL, "exits of nested guests",    \
		  false },                                                     \
	{                                                                      \
		COL_L2_HANDLE, "L2_HANDLE_CYCLES", "L2_HANDLE_NS",             \
			"handle time of these", false                          \
	}

static const struct column reason_columns[] = {
	SCOPE_COLUMNS,
	{ COL_REASON, "REASON", NULL, "exit number", false },
	{ COL_NAME, "NAME", NULL, "its name in the kernel", true },
	COUNT_COLUMNS,
	{ COL_LOST, "LOST_CYCLES", "LOST_NS",
	  "handle, user and preempted: all but idle time", false },
	{ COL_LOST_PART, "%LOST", NULL, "share of all lost time", false },
	{ COL_EXITS_SHARE, "%EXITS", NULL, "share of all exits", false },
	{ COL_HANDLE_SHARE, "%HANDLE", NULL, "share of all handle time",
	  false },
};

static const struct column vm_columns[] = {
	SCOPE_COLUMNS,
	{ COL_VCPUS, "VCPUS", NULL, "how many vCPUs", false },
	COUNT_COLUMNS,
	{ COL_GUEST, "GUEST_CYCLES", "GUEST_NS", "the guest ran", false },
	{ COL_LOST, "LOST_CYCLES", "LOST_NS",
	  "it wanted to and did not: handle, user, preempted", false },
	{ COL_LOST_SHARE, "%LOST", NULL, "lost, of lost and guest time",
	  false },
	{ COL_WORST, "WORST", NULL, "the reason to which most time was lost",
	  true },
	{ COL_FAILED_ENTRIES, "FAILED_ENTRIES", NULL, "VM-entries that failed",
	  false },
	{ COL_CLAMPED, "CLAMPED", NULL, "times that ended before they began",
	  false },
};

static void set_text(struct cell *cell, const char *text)
{
	if (!*text)
		return;
	cell->type = CELL_TEXT;
	cell->text = text;
}

static void set_u64(struct cell *cell, uint64_t value)
{
	cell->type = CELL_U64;
	cell->u64 = value;
}

/* @scale * @part / @whole, if that is defined. */
static void set_ratio(struct cell *cell, int decimals, double scale,
		      double part, double whole)
{
	if (!(whole > 0))
		return;
	cell->type = CELL_REAL;
	cell->decimals = decimals;
	cell->real = scale * part / whole;
}

static void set_cycles(struct cell *cell, const struct exit_line *line,
		       uint64_t cycles)
{
	set_u64(cell,
		clock_convert(&line->scope->snap.clock, cycles, line->ns));
	cell->unit = UNIT_TIME;
}

static void set_count(struct cell *cell, const struct exit_line *line,
		      enum exit_counter counter)
{
	if (!line->scope->snap.has[counter])
		return;
	if (count_is_time(counter))
		set_cycles(cell, line, line->row.counts[counter]);
	else
		set_u64(cell, line->row.counts[counter]);
	if (!count_is_time(counter))
		cell->unit = UNIT_COUNT;
}

static void set_average(struct cell *cell, const struct exit_line *line)
{
	set_ratio(cell, 0, clock_scale(&line->scope->snap.clock, line->ns),
		  line->part[COUNT_HANDLE_CYCLES], line->part[COUNT_EXITS]);
	cell->unit = UNIT_TIME;
}

static void get_reason(struct cell *cell, const struct exit_line *line)
{
	if (!line->row.other)
		set_u64(cell, line->row.reason);
}

static void get_scope_cell(const struct exit_line *line, int id,
			   struct cell *cell)
{
	const struct exit_scope *scope = line->scope;

	switch (id) {
	case COL_TIME:
		set_text(cell, line->time);
		break;
	case COL_SECONDS:
		if (line->scan->interval)
			set_ratio(cell, 3, 1e-9,
				  scan_scope_interval(line->scan, scope), 1);
		break;
	case COL_SCOPE:
		set_text(cell, scope_name(scope));
		break;
	case COL_VM:
		set_text(cell, scope->vm);
		break;
	case COL_VM_NAME:
		set_text(cell, scope->name);
		break;
	case COL_PID:
		if (scope->pid || *scope->vm)
			set_u64(cell, scope->pid ?
					      scope->pid :
					      strtoull(scope->vm, NULL, 10));
		break;
	case COL_VCPU:
		if (scope->kind == SCOPE_VCPU)
			set_u64(cell, scope->vcpu);
		break;
	case COL_VCPUS:
		if (scope->kind == SCOPE_VM)
			set_u64(cell, scope->nr_vcpus);
		break;
	}
}

bool line_lost(const struct exit_line *line, uint64_t *cycles)
{
	const uint64_t *counts = line->row.counts;
	const bool *has = line->scope->snap.has;

	*cycles = counts[COUNT_HANDLE_CYCLES] + counts[COUNT_USER_CYCLES] +
		  counts[COUNT_PREEMPTED_CYCLES];
	return has[COUNT_HANDLE_CYCLES] && has[COUNT_USER_CYCLES] &&
	       has[COUNT_PREEMPTED_CYCLES];
}

/* The same of counts that do not wrap. */
static double sum_lost(const double *counts)
{
	return counts[COUNT_HANDLE_CYCLES] + counts[COUNT_USER_CYCLES] +
	       counts[COUNT_PREEMPTED_CYCLES];
}

/* By lost time, or where that is not known by what KVM did. */
static void set_worst(struct cell *cell, const struct exit_scope *scope)
{
	const struct exit_snapshot *snap = &scope->snap;
	const bool lost = snap->has[COUNT_USER_CYCLES] &&
			  snap->has[COUNT_PREEMPTED_CYCLES];
	const struct exit_row *worst = NULL;
	uint64_t most = 0, time;
	size_t i;

	for (i = 0; i < snap->nr_rows; i++) {
		const uint64_t *counts = snap->rows[i].counts;

		time = counts[COUNT_HANDLE_CYCLES];
		if (lost)
			time += counts[COUNT_USER_CYCLES] +
				counts[COUNT_PREEMPTED_CYCLES];
		if (time > most) {
			most = time;
			worst = &snap->rows[i];
		}
	}
	if (worst)
		set_text(cell, worst->name);
}

static void get_time_cell(const struct exit_line *line, int id,
			  struct cell *cell)
{
	const struct exit_snapshot *snap = &line->scope->snap;
	struct exit_time time;
	bool known = snapshot_time(snap, &time);
	uint64_t lost;

	switch (id) {
	case COL_GUEST:
		if (snap->has_guest_cycles)
			set_cycles(cell, line, snap->guest_cycles);
		break;
	case COL_LOST:
		if (line_lost(line, &lost))
			set_cycles(cell, line, lost);
		break;
	case COL_LOST_PART:
		if (line_lost(line, &lost))
			set_ratio(cell, 2, 100, sum_lost(line->part),
				  sum_lost(snap->whole));
		break;
	case COL_LOST_SHARE:
		if (known)
			set_ratio(cell, 2, 100, exit_time_lost(&time),
				  exit_time_wanted(&time));
		break;
	case COL_WORST:
		set_worst(cell, line->scope);
		break;
	case COL_FAILED_ENTRIES:
		if (snap->has_faults)
			set_u64(cell, snap->failed_entries);
		break;
	case COL_CLAMPED:
		if (snap->has_faults)
			set_u64(cell, snap->clamped);
		break;
	}
}

static void get_cell(const void *data, int id, struct cell *cell)
{
	const struct exit_line *line = data;
	const double *whole = line->scope->snap.whole;

	switch (id) {
	case COL_REASON:
		get_reason(cell, line);
		break;
	case COL_NAME:
		set_text(cell, line->row.name);
		break;
	case COL_EXITS:
		set_count(cell, line, COUNT_EXITS);
		break;
	case COL_EXITS_SHARE:
		set_ratio(cell, 2, 100, line->part[COUNT_EXITS],
			  whole[COUNT_EXITS]);
		break;
	case COL_EXITS_RATE:
		set_ratio(cell, 1, 1e9, line->part[COUNT_EXITS],
			  scan_scope_interval(line->scan, line->scope));
		cell->unit = UNIT_COUNT;
		break;
	case COL_HANDLE:
		set_count(cell, line, COUNT_HANDLE_CYCLES);
		break;
	case COL_HANDLE_AVERAGE:
		set_average(cell, line);
		break;
	case COL_HANDLE_SHARE:
		if (line->scope->snap.has[COUNT_HANDLE_CYCLES])
			set_ratio(cell, 2, 100, line->part[COUNT_HANDLE_CYCLES],
				  whole[COUNT_HANDLE_CYCLES]);
		break;
	case COL_USER:
		set_count(cell, line, COUNT_USER_CYCLES);
		break;
	case COL_WAIT:
		set_count(cell, line, COUNT_WAIT_CYCLES);
		break;
	case COL_PREEMPTED:
		set_count(cell, line, COUNT_PREEMPTED_CYCLES);
		break;
	case COL_L2_EXITS:
		set_count(cell, line, COUNT_L2_EXITS);
		break;
	case COL_L2_HANDLE:
		set_count(cell, line, COUNT_L2_HANDLE_CYCLES);
		break;
	case COL_GUEST:
	case COL_LOST:
	case COL_LOST_SHARE:
	case COL_LOST_PART:
	case COL_WORST:
	case COL_FAILED_ENTRIES:
	case COL_CLAMPED:
		get_time_cell(line, id, cell);
		break;
	default:
		get_scope_cell(line, id, cell);
		break;
	}
}

const struct table reason_table_columns = {
	.columns = reason_columns,
	.nr_columns = ARRAY_SIZE(reason_columns),
	.get = get_cell,
};

const struct table vm_table_columns = {
	.columns = vm_columns,
	.nr_columns = ARRAY_SIZE(vm_columns),
	.get = get_cell,
};

bool column_is_useful(int id, const struct exit_snapshot *snap)
{
	switch (id) {
	case COL_HANDLE:
	case COL_HANDLE_AVERAGE:
	case COL_HANDLE_SHARE:
		return snap->has[COUNT_HANDLE_CYCLES];
	case COL_USER:
		return snap->has[COUNT_USER_CYCLES];
	case COL_WAIT:
		return snap->has[COUNT_WAIT_CYCLES];
	case COL_PREEMPTED:
		return snap->has[COUNT_PREEMPTED_CYCLES];
	case COL_GUEST:
		return snap->has_guest_cycles;
	case COL_LOST:
	case COL_LOST_PART:
		return snap->has[COUNT_HANDLE_CYCLES] &&
		       snap->has[COUNT_USER_CYCLES] &&
		       snap->has[COUNT_PREEMPTED_CYCLES];
	case COL_LOST_SHARE:
		return snap->has_guest_cycles &&
		       snap->has[COUNT_PREEMPTED_CYCLES];
	case COL_L2_EXITS:
		return snap->has[COUNT_L2_EXITS] && snapshot_has_l2(snap);
	case COL_L2_HANDLE:
		return snap->has[COUNT_L2_HANDLE_CYCLES] &&
		       snapshot_has_l2(snap);
	}
	return true;
}

void line_init(struct exit_line *line, const struct exit_scan *scan,
	       const struct exit_scope *scope, const struct exit_row *row,
	       bool ns)
{
	size_t c;

	*line = (struct exit_line){ .scan = scan, .scope = scope, .ns = ns };
	if (scan->realtime)
		time_format(scan->realtime, line->time);

	if (row) {
		line->row = *row;
		for (c = 0; c < NR_COUNTS; c++)
			line->part[c] = row->counts[c];
		return;
	}

	line->total = true;
	line->row.other = true;
	strcpy(line->row.name, "TOTAL");
	memcpy(line->row.counts, scope->snap.total, sizeof(line->row.counts));
	for (c = 0; c < NR_COUNTS; c++) {
		size_t i;

		for (i = 0; i < scope->snap.nr_rows; i++)
			line->part[c] += scope->snap.rows[i].counts[c];
	}
}

/* What a VM lacks comes first, and then what KVM did. */
static int by_lost_time(const void *a, const void *b)
{
	const struct exit_line *x = a, *y = b;
	const uint64_t *p = x->row.counts, *q = y->row.counts;
	uint64_t lost_x, lost_y;

	if (line_lost(x, &lost_x) && line_lost(y, &lost_y) && lost_x != lost_y)
		return lost_x < lost_y ? 1 : -1;
	if (p[COUNT_HANDLE_CYCLES] != q[COUNT_HANDLE_CYCLES])
		return p[COUNT_HANDLE_CYCLES] < q[COUNT_HANDLE_CYCLES] ? 1 : -1;
	if (p[COUNT_EXITS] != q[COUNT_EXITS])
		return p[COUNT_EXITS] < q[COUNT_EXITS] ? 1 : -1;
	return exit_row_cmp(&x->row, &y->row);
}

struct exit_line *reason_lines(const struct exit_scan *scan,
			       const struct exit_scope *scope, const char *sort,
			       bool ns)
{
	const size_t nr = scope->snap.nr_rows;
	struct exit_line *lines = calloc(nr + 1, sizeof(*lines));
	size_t i;

	if (!lines)
		return NULL;

	for (i = 0; i < nr; i++)
		line_init(&lines[i], scan, scope, &scope->snap.rows[i], ns);
	qsort(lines, nr, sizeof(*lines), by_lost_time);
	table_sort(&reason_table_columns, sort, lines, nr, sizeof(*lines));
	return lines;
}

struct exit_line *scope_lines(const struct exit_scan *scan, const char *sort,
			      bool ns)
{
	struct exit_line *lines = calloc(scan->nr_scopes + 1, sizeof(*lines));
	size_t i;

	if (!lines)
		return NULL;

	for (i = 0; i < scan->nr_scopes; i++)
		line_init(&lines[i], scan, &scan->scopes[i], NULL, ns);
	table_sort(&vm_table_columns, sort, lines, scan->nr_scopes,
		   sizeof(*lines));
	return lines;
}
