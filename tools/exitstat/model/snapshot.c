// SPDX-License-Identifier: GPL-2.0
#include <stdlib.h>
#include <string.h>

#include "model/reasons.h"
#include "model/snapshot.h"

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
	memset(snap->whole, 0, sizeof(snap->whole));
	for (i = 0; i < snap->nr_rows; i++) {
		if (i && !exit_row_cmp(&snap->rows[i - 1], &snap->rows[i]))
			return false;
		for (c = 0; c < NR_COUNTS; c++) {
			snap->total[c] += snap->rows[i].counts[c];
			snap->whole[c] += snap->rows[i].counts[c];
		}
	}
	return true;
}

struct exit_row *snapshot_find_row(const struct exit_snapshot *snap, bool other,
				   uint32_t reason)
{
	const struct exit_row key = { .other = other, .reason = reason };

	if (!snap->nr_rows)
		return NULL;
	return bsearch(&key, snap->rows, snap->nr_rows, sizeof(*snap->rows),
		       exit_row_cmp);
}

/* Counters wrap, so one has gone back if that is the shorter way. */
static bool went_back(uint64_t now, uint64_t before)
{
	return now - before >= 1ULL << 63;
}

static bool row_went_back(const struct exit_snapshot *snap,
			  const struct exit_row *before)
{
	const struct exit_row *row =
		snapshot_find_row(snap, before->other, before->reason);
	size_t c;

	/* A guest's OTHER is an estimate, which may shrink. */
	if (before->other)
		return false;
	if (!row)
		return counts_any(before->counts);

	for (c = 0; c < NR_COUNTS; c++) {
		if (went_back(row->counts[c], before->counts[c]))
			return true;
	}
	return false;
}

/* KVM lets root clear these three by themselves. */
static void subtract_single(uint64_t *now, uint64_t before)
{
	if (!went_back(*now, before))
		*now -= before;
}

bool snapshot_subtract(struct exit_snapshot *snap,
		       const struct exit_snapshot *before)
{
	const struct exit_row *old;
	size_t i, c, nr = 0;

	if (!clock_is_same(&snap->clock, &before->clock))
		return false;
	for (i = 0; i < before->nr_rows; i++) {
		if (row_went_back(snap, &before->rows[i]))
			return false;
	}

	subtract_single(&snap->guest_cycles, before->guest_cycles);
	subtract_single(&snap->failed_entries, before->failed_entries);
	subtract_single(&snap->clamped, before->clamped);

	for (i = 0; i < snap->nr_rows; i++) {
		struct exit_row *row = &snap->rows[i];

		old = snapshot_find_row(before, row->other, row->reason);
		for (c = 0; old && c < NR_COUNTS; c++)
			row->counts[c] =
				went_back(row->counts[c], old->counts[c]) ?
					0 :
					row->counts[c] - old->counts[c];
		if (counts_any(row->counts))
			snap->rows[nr++] = *row;
	}
	snap->nr_rows = nr;
	snapshot_finish(snap);
	return true;
}

void snapshot_translate(struct exit_snapshot *snap,
			const struct exit_clock *clock)
{
	size_t i, c;

	snap->guest_cycles =
		clock_translate(&snap->clock, snap->guest_cycles, clock);
	for (i = 0; i < snap->nr_rows; i++) {
		for (c = 0; c < NR_COUNTS; c++) {
			uint64_t *count = &snap->rows[i].counts[c];

			if (count_is_time(c))
				*count = clock_translate(&snap->clock, *count,
							 clock);
		}
	}
	snap->clock = *clock;
	snapshot_finish(snap);
}

bool snapshot_add(struct exit_snapshot *snap, const struct exit_snapshot *more)
{
	size_t i, c;

	snap->guest_cycles += more->guest_cycles;
	snap->failed_entries += more->failed_entries;
	snap->clamped += more->clamped;

	for (i = 0; i < more->nr_rows; i++) {
		const struct exit_row *new = &more->rows[i];
		struct exit_row *row =
			snapshot_find_row(snap, new->other, new->reason);

		if (row) {
			for (c = 0; c < NR_COUNTS; c++)
				row->counts[c] += new->counts[c];
			continue;
		}
		row = snapshot_add_row(snap);
		if (!row)
			return false;
		*row = *new;
		/* The next search needs the order. */
		snapshot_finish(snap);
	}
	snapshot_finish(snap);
	return true;
}

static bool is_meant(const struct exit_row *row, const char *pattern)
{
	/* OTHER has no number, and no name is one. */
	if (row->other && *pattern >= '0' && *pattern <= '9')
		return false;
	return reason_matches(row->reason, row->name, pattern);
}

void snapshot_filter(struct exit_snapshot *snap, char *const *patterns,
		     size_t nr_patterns)
{
	double whole[NR_COUNTS];
	size_t i, p, nr = 0;

	if (!nr_patterns)
		return;

	for (i = 0; i < snap->nr_rows; i++) {
		for (p = 0; p < nr_patterns; p++) {
			if (is_meant(&snap->rows[i], patterns[p]))
				break;
		}
		if (p < nr_patterns)
			snap->rows[nr++] = snap->rows[i];
	}
	snap->nr_rows = nr;

	memcpy(whole, snap->whole, sizeof(whole));
	snapshot_finish(snap);
	memcpy(snap->whole, whole, sizeof(whole));
}

void snapshot_clear(struct exit_snapshot *snap)
{
	snap->rows = NULL;
	snap->nr_rows = 0;
	snap->guest_cycles = 0;
	snap->failed_entries = 0;
	snap->clamped = 0;
	snapshot_finish(snap);
}

bool snapshot_has_l2(const struct exit_snapshot *snap)
{
	size_t i;

	for (i = 0; i < snap->nr_rows; i++) {
		if (snap->rows[i].counts[COUNT_L2_EXITS] ||
		    snap->rows[i].counts[COUNT_L2_HANDLE_CYCLES])
			return true;
	}
	return false;
}

bool snapshot_has_phase(const struct exit_snapshot *snap, enum exit_phase phase)
{
	return phase == PHASE_GUEST ? snap->has_guest_cycles :
				      snap->has[phase_counter(phase)];
}

bool snapshot_time(const struct exit_snapshot *snap, struct exit_time *time)
{
	enum exit_phase p;

	for (p = 0; p < NR_PHASES; p++) {
		if (!snapshot_has_phase(snap, p))
			return false;
		time->phases[p] = p == PHASE_GUEST ?
					  snap->guest_cycles :
					  snap->whole[phase_counter(p)];
	}
	return exit_time_all(time) > 0;
}

void snapshot_free(struct exit_snapshot *snap)
{
	free(snap->rows);
}
