// SPDX-License-Identifier: GPL-2.0
/*
 * exit_stats: two texts, as they stand in a file one after the other.  What is
 * accepted must be whole, and the difference must be exact.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "common.h"
#include "source/kvmstats.h"

static const char *const scopes[] = { "host", "vm", "vcpu" };

/* The scope that a reader of this file would expect, most of the time. */
static const char *scope_of(const char *text)
{
	size_t i;
	char word[32];

	for (i = 0; i < ARRAY_SIZE(scopes); i++) {
		snprintf(word, sizeof(word), " scope=%s ", scopes[i]);
		if (strstr(text, word))
			return scopes[i];
	}
	return "host";
}

static void check_snapshot(const struct exit_snapshot *snap)
{
	uint64_t total[NR_COUNTS] = {};
	size_t i, c;

	check(*snap->isa);
	check(snap->has[COUNT_EXITS] && snap->has[COUNT_HANDLE_CYCLES]);
	for (i = 0; i < snap->nr_rows; i++) {
		const struct exit_row *row = &snap->rows[i];

		check(!i || exit_row_cmp(row - 1, row) < 0);
		check(row->other ? !row->reason && i == snap->nr_rows - 1 :
				   true);
		check(*row->name && strlen(row->name) < EXIT_NAME_SIZE);
		check(snapshot_find_row(snap, row->other, row->reason) == row);
		for (c = 0; c < NR_COUNTS; c++) {
			check(snap->has[c] || !row->counts[c]);
			total[c] += row->counts[c];
		}
	}
	check(!memcmp(total, snap->total, sizeof(total)));
}

static struct exit_snapshot copy_of(const struct exit_snapshot *snap)
{
	struct exit_snapshot copy = *snap;

	copy.rows = malloc(snap->nr_rows * sizeof(*copy.rows) + 1);
	check(copy.rows);
	if (snap->nr_rows)
		memcpy(copy.rows, snap->rows,
		       snap->nr_rows * sizeof(*copy.rows));
	return copy;
}

/* Print it as KVM does, and read that again: nothing was lost. */
static void check_again(const struct exit_snapshot *snap, const char *scope)
{
	struct exit_snapshot again = {};
	char *text;
	size_t len, i, c;
	FILE *out = open_memstream(&text, &len);

	check(out);
	fprintf(out,
		"exit_stats version=1 isa=%s tsc_khz=%u scope=%s enabled=%d failed_entries=%" PRIu64
		" clamped=%" PRIu64,
		snap->isa, snap->clock.tsc_khz, scope, snap->enabled,
		snap->failed_entries, snap->clamped);
	if (snap->has_guest_cycles)
		fprintf(out, " guest_cycles=%" PRIu64, snap->guest_cycles);
	fputs("\nreason name", out);
	for (c = 0; c < NR_COUNTS; c++)
		fprintf(out, "%s%s", snap->has[c] ? " " : "",
			snap->has[c] ? exit_count_names[c] : "");
	for (i = 0; i <= snap->nr_rows; i++) {
		const struct exit_row *row = &snap->rows[i];

		if (i < snap->nr_rows && !row->other)
			fprintf(out, "\n%u %s", row->reason, row->name);
		else
			fprintf(out, "\n- %s",
				i < snap->nr_rows ? "OTHER" : "TOTAL");
		for (c = 0; c < NR_COUNTS; c++) {
			if (snap->has[c])
				fprintf(out, " %" PRIu64,
					i < snap->nr_rows ? row->counts[c] :
							    snap->total[c]);
		}
	}
	fputc('\n', out);
	check(!fclose(out));

	check(!kvmstats_parse(&again, "-", scope, text, len));
	check(again.nr_rows == snap->nr_rows);
	for (i = 0; i < snap->nr_rows; i++) {
		check(!exit_row_cmp(&again.rows[i], &snap->rows[i]));
		check(!strcmp(again.rows[i].name, snap->rows[i].name));
		check(!memcmp(again.rows[i].counts, snap->rows[i].counts,
			      sizeof(snap->rows[i].counts)));
	}
	check(again.guest_cycles == snap->guest_cycles);
	check(!memcmp(again.total, snap->total, sizeof(snap->total)));
	snapshot_free(&again);
	free(text);
}

static void check_difference(const struct exit_snapshot *now,
			     const struct exit_snapshot *before)
{
	struct exit_snapshot difference = copy_of(now);
	size_t i, c;

	if (!snapshot_subtract(&difference, before)) {
		/* It is untouched. */
		check(difference.nr_rows == now->nr_rows);
		check(!now->nr_rows ||
		      !memcmp(difference.rows, now->rows,
			      now->nr_rows * sizeof(*now->rows)));
		check(difference.guest_cycles == now->guest_cycles);
		check(difference.clamped == now->clamped);
		check(difference.failed_entries == now->failed_entries);
	}
	check_snapshot(&difference);

	/* And back. */
	check(snapshot_add(&difference, before));
	for (i = 0; i + 1 < difference.nr_rows; i++)
		check(exit_row_cmp(&difference.rows[i],
				   &difference.rows[i + 1]) < 0);

	snapshot_free(&difference);
	difference = copy_of(now);
	check(snapshot_subtract(&difference, now));
	check(!difference.nr_rows && !difference.guest_cycles);
	for (c = 0; c < NR_COUNTS; c++)
		check(!difference.total[c] && difference.whole[c] == 0);
	snapshot_free(&difference);
}

static void check_filter(const struct exit_snapshot *snap)
{
	char *patterns[] = { "*IO*", "10", "other" };
	struct exit_snapshot part = copy_of(snap);
	struct exit_time time;
	size_t i;

	snapshot_filter(&part, patterns, ARRAY_SIZE(patterns));
	check(part.nr_rows <= snap->nr_rows);
	for (i = 0; i < part.nr_rows; i++)
		check(snapshot_find_row(snap, part.rows[i].other,
					part.rows[i].reason));
	check(!memcmp(part.whole, snap->whole, sizeof(part.whole)));
	if (snapshot_time(&part, &time))
		check(exit_time_lost(&time) <= exit_time_all(&time));
	snapshot_free(&part);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct exit_snapshot snaps[2] = {};
	const char *scope = NULL;
	unsigned int nr = 0;
	size_t len;
	char *text;

	while (nr < 2 && (text = next_text(&data, &size, &len))) {
		scope = scope ? scope : scope_of(text);
		nr_messages = 0;
		if (kvmstats_parse(&snaps[nr], "-", scope, text, len)) {
			check(nr_messages == 1);
			free(text);
			break;
		}
		check(!nr_messages);
		check_snapshot(&snaps[nr]);
		check_again(&snaps[nr], scope);
		check_filter(&snaps[nr]);
		free(text);
		nr++;
	}
	if (nr == 2)
		check_difference(&snaps[1], &snaps[0]);

	snapshot_free(&snaps[0]);
	snapshot_free(&snaps[1]);
	return 0;
}
