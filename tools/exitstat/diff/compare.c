// SPDX-License-Identifier: GPL-2.0
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/message.h"
#include "diff/compare.h"

bool diff_change(double before, double after, double *percent)
{
	if (!(before > 0))
		return false;
	*percent = 100 * (after - before) / before;
	return true;
}

double diff_rate(const struct diff_line *line, const uint64_t *values, int side)
{
	return line->interval[side] ?
		       values[side] * 1e9 / line->interval[side] :
		       values[side];
}

double diff_average(const struct diff_line *line, int side)
{
	return line->exits[side] ?
		       (double)line->handle[side] / line->exits[side] :
		       0;
}

static int check_sides(const struct diff_side *sides)
{
	if (strcmp(sides[0].scope.snap.isa, sides[1].scope.snap.isa))
		return fail(
			STATUS_ERROR,
			"%s is of %s and %s of %s, whose exits have nothing in common",
			sides[0].path, sides[0].scope.snap.isa, sides[1].path,
			sides[1].scope.snap.isa);
	return STATUS_OK;
}

/* Cycles of different length cannot be compared. */
static bool compare_ns(const struct format *format,
		       const struct diff_side *sides)
{
	const struct exit_clock *a = &sides[0].scope.snap.clock;
	const struct exit_clock *b = &sides[1].scope.snap.clock;

	if (format->units_given)
		return format->ns;
	return a->ns || !clock_is_same(a, b);
}

static int check_units(const struct diff_side *side, bool ns)
{
	if (clock_tells(&side->scope.snap.clock, ns))
		return STATUS_OK;
	return fail(
		STATUS_ERROR,
		"%s does not tell the TSC's frequency, so its times cannot be converted to %s",
		side->path, ns ? "ns: use --units cycles" : "cycles");
}

/* Are B's counters those of A, read later? */
static bool is_continued(const struct diff_side *sides)
{
	const struct exit_snapshot *a = &sides[0].scope.snap;
	const struct exit_snapshot *b = &sides[1].scope.snap;
	const struct exit_row *row;
	size_t i, c;

	if (sides[0].interval || sides[1].interval || sides[0].nr_scopes != 1 ||
	    sides[1].nr_scopes != 1 ||
	    scope_cmp(&sides[0].scope, &sides[1].scope) ||
	    a->clock.ns != b->clock.ns || a->clock.tsc_khz != b->clock.tsc_khz)
		return false;
	for (i = 0; i < a->nr_rows; i++) {
		row = snapshot_find_row(b, a->rows[i].other, a->rows[i].reason);
		for (c = COUNT_EXITS; c <= COUNT_HANDLE_CYCLES; c++) {
			if (a->rows[i].counts[c] > (row ? row->counts[c] : 0))
				return false;
		}
	}
	return true;
}

/* As scopes tell it: handle, user and preempted. */
static uint64_t lost_of(const struct exit_clock *clock, const uint64_t *counts,
			bool ns)
{
	return clock_convert(clock,
			     counts[COUNT_HANDLE_CYCLES] +
				     counts[COUNT_USER_CYCLES] +
				     counts[COUNT_PREEMPTED_CYCLES],
			     ns);
}

static bool knows_lost(const struct diff_side *sides)
{
	size_t s;

	for (s = 0; s < 2; s++) {
		const bool *has = sides[s].scope.snap.has;

		if (!has[COUNT_HANDLE_CYCLES] || !has[COUNT_USER_CYCLES] ||
		    !has[COUNT_PREEMPTED_CYCLES])
			return false;
	}
	return true;
}

static void set_line(struct diff_line *line, const struct diff *diff,
		     const struct exit_row *const *rows)
{
	const struct diff_side *sides = diff->sides;
	size_t s;

	for (s = 0; s < 2; s++) {
		const struct exit_snapshot *snap = &sides[s].scope.snap;
		const struct exit_clock *clock = &snap->clock;
		const uint64_t *counts = rows[s] ? rows[s]->counts : NULL;

		if (sides[0].interval && sides[1].interval)
			line->interval[s] = sides[s].interval;
		line->all_exits[s] = snap->whole[COUNT_EXITS];
		line->all_handle[s] = snap->whole[COUNT_HANDLE_CYCLES] *
				      clock_scale(clock, diff->ns);
		line->all_lost[s] = (snap->whole[COUNT_HANDLE_CYCLES] +
				     snap->whole[COUNT_USER_CYCLES] +
				     snap->whole[COUNT_PREEMPTED_CYCLES]) *
				    clock_scale(clock, diff->ns);
		if (!counts)
			continue;
		line->exits[s] = counts[COUNT_EXITS];
		line->handle[s] = clock_convert(
			clock, counts[COUNT_HANDLE_CYCLES], diff->ns);
		line->lost[s] = lost_of(clock, counts, diff->ns);
	}
	line->has_lost = diff->has_lost;
}

static void add_total(struct diff *diff)
{
	struct diff_line *total = &diff->lines[diff->nr_lines];
	static const struct exit_row *const none[2];
	size_t s;

	set_line(total, diff, none);
	total->total = true;
	total->row.other = true;
	strcpy(total->row.name, "TOTAL");
	for (s = 0; s < 2; s++) {
		const struct exit_snapshot *snap = &diff->sides[s].scope.snap;

		/* Not of what was rounded for each reason. */
		total->exits[s] = snap->total[COUNT_EXITS];
		total->handle[s] = clock_convert(
			&snap->clock, snap->total[COUNT_HANDLE_CYCLES],
			diff->ns);
		total->lost[s] = lost_of(&snap->clock, snap->total, diff->ns);
	}
	diff->nr_lines++;
}

/* How much a reason matters: what changed, as far as that is comparable. */
static double weight(const struct diff_line *line, const uint64_t *values,
		     const double *all, bool shares)
{
	if (line->interval[0])
		return fabs(diff_rate(line, values, 1) -
			    diff_rate(line, values, 0));
	if (shares && all[0] > 0 && all[1] > 0)
		return fabs(values[1] / all[1] - values[0] / all[0]);
	return fabs((double)values[1] - values[0]);
}

static int by_change(const void *a, const void *b, void *data)
{
	const bool shares = *(const bool *)data;
	const struct diff_line *x = a, *y = b;
	double p, q;

	p = weight(x, x->lost, x->all_lost, shares);
	q = weight(y, y->lost, y->all_lost, shares);
	if (x->has_lost && p != q)
		return p < q ? 1 : -1;
	p = weight(x, x->handle, x->all_handle, shares);
	q = weight(y, y->handle, y->all_handle, shares);
	if (p != q)
		return p < q ? 1 : -1;
	p = weight(x, x->exits, x->all_exits, shares);
	q = weight(y, y->exits, y->all_exits, shares);
	if (p != q)
		return p < q ? 1 : -1;
	return exit_row_cmp(&x->row, &y->row);
}

/* A line for each reason that either side has. */
static bool make_lines(struct diff *diff)
{
	const struct exit_snapshot *a = &diff->sides[0].scope.snap;
	const struct exit_snapshot *b = &diff->sides[1].scope.snap;
	bool shares = !diff->continued;
	size_t i = 0, j = 0;

	diff->lines = calloc(a->nr_rows + b->nr_rows + 1, sizeof(*diff->lines));
	if (!diff->lines)
		return false;
	while (i < a->nr_rows || j < b->nr_rows) {
		struct diff_line *line = &diff->lines[diff->nr_lines++];
		const int order = i == a->nr_rows ? 1 :
				  j == b->nr_rows ? -1 :
						    exit_row_cmp(&a->rows[i],
								 &b->rows[j]);
		const struct exit_row *rows[] = {
			order <= 0 ? &a->rows[i++] : NULL,
			order >= 0 ? &b->rows[j++] : NULL,
		};

		line->row = rows[0] ? *rows[0] : *rows[1];
		set_line(line, diff, rows);
	}
	qsort_r(diff->lines, diff->nr_lines, sizeof(*diff->lines), by_change,
		&shares);
	add_total(diff);
	return true;
}

int diff_compare(struct diff *diff, struct diff_side *sides,
		 const struct format *format, const struct exit_selection *sel)
{
	int status = check_sides(sides);
	size_t s;

	*diff = (struct diff){
		.sides = sides,
		.ns = compare_ns(format, sides),
		.has_lost = knows_lost(sides),
		.continued = is_continued(sides),
	};
	for (s = 0; s < 2; s++) {
		if (!status)
			status = check_units(&sides[s], diff->ns);
		snapshot_filter(&sides[s].scope.snap, sel->reason_patterns,
				sel->nr_reason_patterns);
	}
	if (!status && !make_lines(diff))
		status = out_of_memory();
	return status;
}

void diff_compare_free(struct diff *diff)
{
	free(diff->lines);
}

const struct recording_fact *diff_next_fact(const struct diff *diff, size_t *i,
					    const char **of_b)
{
	const struct recording_facts *a = &diff->sides[0].facts;
	const struct recording_facts *b = &diff->sides[1].facts;
	size_t j;

	while (*i < a->nr) {
		const struct recording_fact *fact = &a->facts[(*i)++];

		for (j = 0; j < b->nr; j++) {
			*of_b = b->facts[j].value;
			if (!strcmp(b->facts[j].name, fact->name) &&
			    strcmp(*of_b, fact->value))
				return fact;
		}
	}
	return NULL;
}
