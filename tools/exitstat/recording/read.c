// SPDX-License-Identifier: GPL-2.0
/* What a recording says, line by line. */
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/json_read.h"
#include "base/message.h"
#include "recording/format.h"
#include "recording/read.h"

/* More than any host has: a line that leads beyond that is skipped. */
#define MAX_SCOPES 65536
#define MAX_STATE_ROWS (1 << 20)

/* So that no sum of times overflows. */
#define MAX_BASE (1ULL << 63)

/* Move the scopes of @vm out of the way. */
static void drop_vm(struct exit_scan *scan, const char *vm)
{
	size_t i, nr = 0;

	for (i = 0; i < scan->nr_scopes; i++) {
		struct exit_scope *scope = &scan->scopes[i];

		if (scope->kind != SCOPE_HOST && !strcmp(scope->vm, vm)) {
			scope_free(scope);
		} else {
			scan->scopes[nr++] = *scope;
		}
	}
	/* The places stay, which scan_add() counts on. */
	scan->nr_scopes = nr;
}

/* Rows of either kind, in their order. */
struct row_array {
	const char *rows;
	size_t nr, size;
	int (*cmp)(const void *a, const void *b);
};

/* Those of @a, and those of @b that it does not have.  NULL without memory. */
static void *merge(const struct row_array *a, const struct row_array *b,
		   size_t *nr)
{
	char *rows = calloc(a->nr + b->nr, a->size);
	size_t i = 0, j = 0;
	int order;

	for (*nr = 0; rows && (i < a->nr || j < b->nr); (*nr)++) {
		order = i == a->nr ? 1 :
			j == b->nr ? -1 :
				     a->cmp(a->rows + i * a->size,
					    b->rows + j * b->size);
		memcpy(rows + *nr * a->size,
		       order <= 0 ? a->rows + i * a->size :
				    b->rows + j * b->size,
		       a->size);
		i += order <= 0;
		j += order >= 0;
	}
	return rows;
}

static bool merge_rows(struct exit_snapshot *snap,
		       const struct exit_snapshot *before)
{
	const struct row_array a = { (char *)snap->rows, snap->nr_rows,
				     sizeof(*snap->rows), exit_row_cmp };
	const struct row_array b = { (char *)before->rows, before->nr_rows,
				     sizeof(*before->rows), exit_row_cmp };
	struct exit_row *rows;

	if (!before->nr_rows)
		return true;
	rows = merge(&a, &b, &snap->nr_rows);
	if (!rows)
		return false;
	free(snap->rows);
	snap->rows = rows;
	snapshot_finish(snap);
	return true;
}

static bool merge_latency(struct exit_latency *latency,
			  const struct exit_latency *before)
{
	const struct row_array a = { (char *)latency->rows, latency->nr_rows,
				     sizeof(*latency->rows), latency_row_cmp };
	const struct row_array b = { (char *)before->rows, before->nr_rows,
				     sizeof(*before->rows), latency_row_cmp };
	struct latency_row *rows;

	if (!before->nr_rows)
		return true;
	rows = merge(&a, &b, &latency->nr_rows);
	if (!rows)
		return false;
	free(latency->rows);
	latency->rows = rows;
	return true;
}

/* What is new has them if it was reset. */
static void drop_empty_rows(struct exit_snapshot *snap)
{
	size_t i, nr = 0;

	for (i = 0; i < snap->nr_rows; i++) {
		if (counts_any(snap->rows[i].counts))
			snap->rows[nr++] = snap->rows[i];
	}
	snap->nr_rows = nr;
}

/* Buckets of another clock have other bounds. */
static void use_first_clock(struct recording *recording,
			    struct exit_scope *difference)
{
	if (clock_is_same(&difference->snap.clock, &recording->clock))
		return;
	snapshot_translate(&difference->snap, &recording->clock);
	latency_free(&difference->latency);
	difference->latency = (struct exit_latency){};
}

/*
 * What @scope counted since @before, which is NULL if it is new.  As all here,
 * false if memory runs out.
 */
static bool add_difference(struct recording *recording,
			   const struct exit_scope *scope,
			   const struct exit_scope *before)
{
	struct exit_scope *difference;

	/* Of the host we only did not know before. */
	if (!recording->has_difference ||
	    (!before && scope->kind == SCOPE_HOST))
		return true;

	difference = scan_add(&recording->difference);
	if (!difference || !scope_copy(difference, scope))
		return false;
	difference->is_new =
		!before || !snapshot_subtract(&difference->snap, &before->snap);
	if (difference->is_new)
		drop_empty_rows(&difference->snap);
	else
		latency_subtract(&difference->latency, &before->latency);
	use_first_clock(recording, difference);
	return true;
}

static void swap(struct exit_scope *a, struct exit_scope *b)
{
	struct exit_scope scope = *a;

	*a = *b;
	*b = scope;
}

/* Bring one scope to what the line says, and note the difference. */
static bool apply_scope(struct recording *recording, struct exit_scope *scope,
			size_t nr_before, bool full)
{
	const struct exit_scan known = {
		.scopes = recording->now.scopes,
		.nr_scopes = nr_before,
	};
	struct exit_scope *place = scan_find(&known, scope);
	const struct exit_scope *before =
		place && scope_is_same(place, scope) ? place : NULL;

	if (before)
		/* It is known no more, or now, but has not changed. */
		scope->id[1] = before->id[1];
	else
		recording->scopes_changed = true;
	if (before && !full &&
	    (!merge_rows(&scope->snap, &before->snap) ||
	     !merge_latency(&scope->latency, &before->latency)))
		return false;
	if (!add_difference(recording, scope, before))
		return false;
	if (full)
		return true;

	if (!place) {
		/* It comes into its place later. */
		place = scan_add(&recording->now);
		if (!place)
			return false;
	}
	swap(place, scope);
	return true;
}

/* Is there room for what a line has, whatever it is? */
static bool has_room(const struct exit_scan *now, const struct exit_scan *more)
{
	const struct exit_scan *scans[] = { now, more };
	size_t nr_rows = 0, nr_buckets = 0, i, s;

	for (s = 0; s < ARRAY_SIZE(scans); s++) {
		for (i = 0; i < scans[s]->nr_scopes; i++) {
			nr_rows += scans[s]->scopes[i].snap.nr_rows;
			nr_buckets += scans[s]->scopes[i].latency.nr_rows;
		}
	}
	return now->nr_scopes + more->nr_scopes <= MAX_SCOPES &&
	       nr_rows <= MAX_STATE_ROWS && nr_buckets <= MAX_STATE_ROWS;
}

static bool apply(struct recording *recording, struct recording_patch *patch)
{
	struct exit_scan *now = &recording->now;
	struct exit_scan before;
	size_t i, nr_before;

	for (i = 0; i < patch->nr_ended; i++) {
		drop_vm(now, patch->ended[i]);
		recording->scopes_changed = true;
	}

	nr_before = now->nr_scopes;
	for (i = 0; i < patch->scan.nr_scopes; i++) {
		if (!apply_scope(recording, &patch->scan.scopes[i], nr_before,
				 patch->full))
			return false;
	}

	if (patch->full) {
		/* What it does not have is not there any more. */
		recording->scopes_changed |= now->nr_scopes !=
					     patch->scan.nr_scopes;
		before = *now;
		*now = patch->scan;
		patch->scan = before;
	} else if (now->nr_scopes > nr_before) {
		scan_sort(now);
	}
	return true;
}

/* A section of which the header was damaged begins with a full sample. */
static bool begins_anew(const struct recording *recording,
			const struct recording_patch *patch)
{
	return patch->full &&
	       (!recording->has_sample || patch->t < recording->t);
}

static uint64_t min_time(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static enum recording_event take_sample(struct recording *recording,
					struct recording_patch *patch)
{
	bool first = begins_anew(recording, patch);

	if ((!recording->has_sample && !patch->full) ||
	    (!first && patch->t < recording->t) ||
	    !has_room(&recording->now, &patch->scan)) {
		recording->nr_skipped++;
		return RECORDING_NOTHING;
	}

	scan_free(&recording->difference);
	recording->scopes_changed = first;
	recording->has_difference = !first;
	if (first)
		scan_free(&recording->now);
	if (!apply(recording, patch)) {
		out_of_memory();
		return RECORDING_FAILED;
	}

	/* A section whose header is damaged begins where the last one ended. */
	if (first && recording->has_sample)
		recording->base = min_time(recording->time, MAX_BASE);
	recording->difference.interval = patch->t - recording->t;
	recording->has_sample = true;
	recording->t = patch->t;
	recording->time = recording->base + patch->t;
	recording->off = patch->off;
	recording->nr_samples++;
	recording->nr_off += patch->off;
	recording->nr_lost += patch->lost;
	recording->lost_in_section += patch->lost;
	recording->now.monotonic = patch->t;
	recording->now.realtime =
		recording->section.header.realtime ?
			recording->section.header.realtime + patch->t :
			0;
	return RECORDING_SAMPLE;
}

/*
 * Sections are as far apart as the clock says, unless it was set back: then one
 * follows the other.
 */
static void begin_time(struct recording *recording)
{
	const uint64_t now = recording->section.header.realtime;
	const uint64_t first = recording->first_realtime;

	if (!recording->nr_sections)
		recording->first_realtime = now;
	else if (first && now > first && now - first > recording->time)
		recording->base = now - first;
	else
		recording->base = recording->time;
	if (recording->base > MAX_BASE)
		recording->base = MAX_BASE;
	recording->time = recording->base;
}

/* False, after a message, if its times have nothing in common with the first. */
static bool check_clock(struct recording *recording,
			const struct exit_clock *clock)
{
	if (!recording->nr_sections)
		recording->clock = *clock;
	if (clock_is_same(clock, &recording->clock))
		return true;
	recording->other_clock = true;
	if (clock_per_ms(clock) && clock_per_ms(&recording->clock))
		return true;
	fail(STATUS_ERROR,
	     "%s has times of two clocks, and does not tell the TSC's frequency: they cannot be added",
	     recording->path);
	return false;
}

static enum recording_event read_header(struct recording *recording,
					struct json_object *object)
{
	struct recording_header header;
	uint64_t version;

	if (!json_member_u64(object, "version", UINT64_MAX, &version))
		return RECORDING_NOTHING;
	if (version > RECORDING_VERSION) {
		fail(STATUS_ERROR,
		     "%s was recorded by a newer exitstat: update exitstat",
		     recording->path);
		return RECORDING_FAILED;
	}

	/* Whatever it is, what comes now does not continue what was there. */
	recording->in_section = false;
	recording->has_sample = false;
	recording->has_difference = false;
	if (!recording_parse_header(object, &header))
		return RECORDING_NOTHING;
	if (!check_clock(recording, &header.clock))
		return RECORDING_FAILED;
	recording->section.header = header;
	recording->in_section = true;
	recording->section.nr_labels = 0;
	recording->lost_in_section = 0;
	begin_time(recording);
	recording->nr_sections++;
	return RECORDING_SECTION;
}

static enum recording_event read_end(struct recording *recording,
				     struct json_object *object)
{
	uint64_t lost;

	/* Those after the last sample, too. */
	if (json_member_u64(object, "lost", UINT64_MAX, &lost) &&
	    lost > recording->lost_in_section) {
		recording->nr_lost += lost - recording->lost_in_section;
		recording->lost_in_section = lost;
	}
	return RECORDING_END;
}

static enum recording_event read_object(struct recording *recording,
					struct json_object *object)
{
	struct recording_patch patch;
	struct json_object *value;
	enum recording_event event = RECORDING_NOTHING;

	if (json_object_object_get_ex(object, "schema", &value)) {
		if (json_object_is_type(value, json_type_string) &&
		    !strcmp(json_object_get_string(value), RECORDING_SCHEMA))
			event = read_header(recording, object);
		if (event == RECORDING_NOTHING)
			recording->nr_skipped++;
		return event;
	}
	if (!recording->in_section) {
		recording->nr_skipped++;
		return RECORDING_NOTHING;
	}
	if (json_object_object_get_ex(object, "end", NULL))
		return read_end(recording, object);
	/* Lines of other kinds may come with a later version. */
	if (!json_object_object_get_ex(object, "scopes", NULL))
		return RECORDING_NOTHING;

	if (recording_parse_sample(object, &recording->section, &patch))
		event = take_sample(recording, &patch);
	else
		recording->nr_skipped++;
	recording_patch_free(&patch);
	return event;
}

enum recording_event recording_read_line(struct recording *recording,
					 const char *line, size_t len)
{
	enum recording_event event = RECORDING_NOTHING;
	struct json_object *object;

	while (len && (line[len - 1] == ' ' || line[len - 1] == '\r'))
		len--;
	if (!len)
		return RECORDING_NOTHING;
	object = len <= RECORDING_MAX_LINE ? json_parse(line, len) : NULL;
	if (json_object_is_type(object, json_type_object))
		event = read_object(recording, object);
	else
		recording->nr_skipped++;
	json_object_put(object);
	return event;
}

void recording_free(struct recording *recording)
{
	scan_free(&recording->now);
	scan_free(&recording->difference);
	free(recording->section.labels);
	free(recording->line);
	free(recording->chunk);
	if (recording->path && recording->input.path)
		input_close(&recording->input);
}
