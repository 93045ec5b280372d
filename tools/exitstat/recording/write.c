// SPDX-License-Identifier: GPL-2.0
/* The lines of a recording. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

#include "base/clock.h"
#include "base/json_write.h"
#include "base/version.h"
#include "recording/format.h"
#include "recording/write.h"

/*
 * All rows, every so many samples: who has but a later piece of the file, or
 * one with a damaged line, need not go far for them.
 */
#define FULL_EVERY 1000

/* A string of the kernel, where anything may have been set. */
static void print_ascii(struct json *json, const char *key, char *text)
{
	char *p;

	for (p = text; *p; p++) {
		if (*p < ' ' || *p > '~')
			*p = '?';
	}
	json_put_string(json, key, text);
}

/* A line that begins with its time. */
static void begin_line(struct json *json, FILE *out,
		       const struct recording_writer *writer,
		       uint64_t monotonic)
{
	json_begin(json, out, JSON_COMPACT);
	json_put_object(json, NULL);
	json_put_seconds(json, "t", monotonic - writer->start);
}

static void end_line(struct json *json)
{
	json_end(json);
	fputc('\n', json->out);
}

/* The text in @out, which is closed, or NULL if memory ran out. */
static char *finish(FILE *out, char **text)
{
	bool ok = !ferror(out);

	ok = !fclose(out) && ok;
	if (ok)
		return *text;
	free(*text);
	return NULL;
}

char *recording_header(struct recording_writer *writer,
		       const struct exit_scan *scan, size_t *len)
{
	const struct exit_snapshot *snap = &scan->scopes[0].snap;
	char *text = NULL, time[TIME_SIZE];
	FILE *out = open_memstream(&text, len);
	struct utsname uts;
	struct json json;
	size_t c, i;

	if (!out)
		return NULL;

	scan_free(&writer->before);
	writer->nr_written = 0;
	writer->start = scan->monotonic;
	memcpy(writer->has, snap->has, sizeof(writer->has));
	writer->full = true;

	time_format(scan->realtime, time);
	json_begin(&json, out, JSON_COMPACT);
	json_put_object(&json, NULL);
	json_put_string(&json, "schema", RECORDING_SCHEMA);
	json_put_u64(&json, "version", RECORDING_VERSION);
	json_put_string(&json, "tool", "exitstat " EXITSTAT_VERSION);
	json_put_string(&json, "started", time);
	json_put_seconds(&json, "interval", writer->interval);
	json_put_string(&json, "source", scan->source);
	json_put_string(&json, "isa", snap->isa);
	json_put_u64(&json, "tsc_khz", snap->clock.tsc_khz);
	json_put_string(&json, "clock", clock_name(&snap->clock));
	if (!uname(&uts)) {
		print_ascii(&json, "host", uts.nodename);
		print_ascii(&json, "kernel", uts.release);
	}
	json_put_array(&json, "counts");
	for (c = 0; c < NR_COUNTS; c++) {
		if (writer->has[c])
			json_put_string(&json, NULL, exit_count_names[c]);
	}
	json_end(&json);
	if (writer->facts && writer->facts->nr) {
		json_put_object(&json, "facts");
		for (i = 0; i < writer->facts->nr; i++)
			json_put_string(&json, writer->facts->facts[i].name,
					writer->facts->facts[i].value);
		json_end(&json);
	}
	end_line(&json);
	return finish(out, &text);
}

static void print_row(struct json *json, const struct recording_writer *writer,
		      const struct exit_row *row, const uint64_t *counts)
{
	size_t c;

	json_put_array(json, NULL);
	json_put_known(json, NULL, !row->other, row->reason);
	for (c = 0; c < NR_COUNTS; c++) {
		if (writer->has[c])
			json_put_u64(json, NULL, counts[c]);
	}
	json_end(json);
}

/* The rows that changed since @before, which may be NULL. */
static void print_rows(struct json *json, const struct recording_writer *writer,
		       const struct exit_snapshot *snap,
		       const struct exit_snapshot *before)
{
	static const uint64_t none[NR_COUNTS];
	const struct exit_row *row, *old;
	size_t i;

	for (i = 0; i < snap->nr_rows; i++) {
		row = &snap->rows[i];
		old = before ? snapshot_find_row(before, row->other,
						 row->reason) :
			       NULL;
		if (memcmp(row->counts, old ? old->counts : none,
			   sizeof(row->counts)))
			print_row(json, writer, row, row->counts);
	}

	/* KVM was loaded anew: what has not come again is 0. */
	for (i = 0; before && i < before->nr_rows; i++) {
		row = &before->rows[i];
		if (counts_any(row->counts) &&
		    !snapshot_find_row(snap, row->other, row->reason))
			print_row(json, writer, row, none);
	}
}

static void print_bucket(struct json *json, const struct latency_row *row,
			 uint64_t exits, bool *begun)
{
	if (!*begun)
		json_put_array(json, "latency");
	*begun = true;
	json_put_array(json, NULL);
	json_put_known(json, NULL, !row->other, row->reason);
	json_put_string(json, NULL, latency_time_names[row->time]);
	json_put_u64(json, NULL, row->from);
	json_put_u64(json, NULL, exits);
	json_end(json);
}

/* The buckets that changed since @before, which may be NULL. */
static void print_latency(struct json *json, const struct exit_latency *latency,
			  const struct exit_latency *before)
{
	const struct latency_row *row, *old;
	bool begun = false;
	size_t i;

	for (i = 0; i < latency->nr_rows; i++) {
		row = &latency->rows[i];
		old = before ? latency_find_row(before, row) : NULL;
		if (row->exits != (old ? old->exits : 0))
			print_bucket(json, row, row->exits, &begun);
	}
	for (i = 0; before && i < before->nr_rows; i++) {
		row = &before->rows[i];
		if (row->exits && !latency_find_row(latency, row))
			print_bucket(json, row, 0, &begun);
	}
	if (begun)
		json_end(json);
}

static bool rows_are_equal(const struct exit_snapshot *a,
			   const struct exit_snapshot *b)
{
	size_t i;

	if (a->nr_rows != b->nr_rows)
		return false;
	for (i = 0; i < a->nr_rows; i++) {
		if (exit_row_cmp(&a->rows[i], &b->rows[i]) ||
		    memcmp(a->rows[i].counts, b->rows[i].counts,
			   sizeof(a->rows[i].counts)))
			return false;
	}
	return true;
}

static bool buckets_are_equal(const struct exit_latency *a,
			      const struct exit_latency *b)
{
	size_t i;

	if (a->nr_rows != b->nr_rows)
		return false;
	for (i = 0; i < a->nr_rows; i++) {
		if (latency_row_cmp(&a->rows[i], &b->rows[i]) ||
		    a->rows[i].exits != b->rows[i].exits)
			return false;
	}
	return true;
}

static bool scope_is_unchanged(const struct exit_scope *scope,
			       const struct exit_scope *before)
{
	const struct exit_snapshot *a = &scope->snap, *b = &before->snap;

	return a->guest_cycles == b->guest_cycles &&
	       a->failed_entries == b->failed_entries &&
	       a->clamped == b->clamped && a->nr_rows == b->nr_rows &&
	       rows_are_equal(a, b) &&
	       buckets_are_equal(&scope->latency, &before->latency);
}

static void print_scope(struct json *json,
			const struct recording_writer *writer,
			const struct exit_scope *scope,
			const struct exit_scope *before)
{
	const struct exit_snapshot *snap = &scope->snap;
	char id[48];

	json_put_object(json, NULL);
	json_put_string(json, "scope", scope_name(scope));
	if (scope->kind != SCOPE_HOST) {
		snprintf(id, sizeof(id), "%" PRIu64 ".%" PRIu64, scope->id[0],
			 scope->id[1]);
		json_put_string(json, "vm", scope->vm);
		json_put_string(json, "name", scope->name);
		json_put_string(json, "id", id);
		/* Most of them begin the name of the VM. */
		if (scope->pid && strtoul(scope->vm, NULL, 10) != scope->pid)
			json_put_u64(json, "pid", scope->pid);
		if (*scope->vmid)
			json_put_string(json, "vmid", scope->vmid);
	}
	if (scope->kind == SCOPE_VCPU)
		json_put_u64(json, "vcpu", scope->vcpu);
	if (snap->has_guest_cycles)
		json_put_u64(json, "guest_cycles", snap->guest_cycles);
	if (snap->has_faults) {
		json_put_u64(json, "failed_entries", snap->failed_entries);
		json_put_u64(json, "clamped", snap->clamped);
	}
	json_put_array(json, "reasons");
	print_rows(json, writer, snap, before ? &before->snap : NULL);
	json_end(json);
	print_latency(json, &scope->latency, before ? &before->latency : NULL);
	json_end(json);
}

static void print_scopes(struct json *json,
			 const struct recording_writer *writer,
			 const struct exit_scan *scan)
{
	const struct exit_scope *scope, *before;
	size_t i;

	json_put_array(json, "scopes");
	for (i = 0; i < scan->nr_scopes; i++) {
		scope = &scan->scopes[i];
		before = writer->full ? NULL :
					scan_find(&writer->before, scope);
		if (before && !scope_is_same(before, scope))
			before = NULL;
		if (!before || !scope_is_unchanged(scope, before))
			print_scope(json, writer, scope, before);
	}
	json_end(json);
}

static int compare_numbers(const void *a, const void *b)
{
	const uint32_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

/* False if memory runs out.  *done if that reason has been named before. */
static bool note_name(struct recording_writer *writer, uint32_t reason,
		      bool *done)
{
	size_t nr = writer->nr_named;
	uint32_t *named;

	*done = nr && bsearch(&reason, writer->named, nr, sizeof(reason),
			      compare_numbers);
	if (*done)
		return true;
	named = reallocarray(writer->named, nr + 1, sizeof(*named));
	if (!named)
		return false;
	writer->named = named;
	named[writer->nr_named++] = reason;
	qsort(named, writer->nr_named, sizeof(*named), compare_numbers);
	return true;
}

/* Reasons that the section has not named yet.  False if memory runs out. */
static bool print_names(struct json *json, struct recording_writer *writer,
			const struct exit_scan *scan)
{
	bool begun = false, done;
	char number[16];
	size_t i, r;

	for (i = 0; i < scan->nr_scopes; i++) {
		const struct exit_snapshot *snap = &scan->scopes[i].snap;

		for (r = 0; r < snap->nr_rows; r++) {
			const struct exit_row *row = &snap->rows[r];

			if (row->other || !counts_any(row->counts))
				continue;
			if (!note_name(writer, row->reason, &done))
				return false;
			if (done)
				continue;
			if (!begun)
				json_put_object(json, "names");
			begun = true;
			snprintf(number, sizeof(number), "%" PRIu32,
				 row->reason);
			json_put_string(json, number, row->name);
		}
	}
	if (begun)
		json_end(json);
	return true;
}

/* Does @scan have anything of the VM of @scope, which may also be a vCPU? */
static bool has_vm(const struct exit_scan *scan, const struct exit_scope *scope)
{
	size_t low = 0, high = scan->nr_scopes, middle;

	while (low < high) {
		middle = (low + high) / 2;
		if (strverscmp(scan->scopes[middle].vm, scope->vm) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	for (; low < scan->nr_scopes; low++) {
		if (strcmp(scan->scopes[low].vm, scope->vm))
			return false;
		if (vm_is_same(&scan->scopes[low], scope))
			return true;
	}
	return false;
}

static void print_ended(struct json *json,
			const struct recording_writer *writer,
			const struct exit_scan *scan)
{
	const struct exit_scope *scope, *last = NULL;
	bool begun = false;
	size_t i;

	for (i = 0; i < writer->before.nr_scopes; i++) {
		scope = &writer->before.scopes[i];
		if (scope->kind == SCOPE_HOST ||
		    (last && !strcmp(last->vm, scope->vm)))
			continue;
		last = scope;
		if (has_vm(scan, scope))
			continue;
		if (!begun)
			json_put_array(json, "ended");
		begun = true;
		json_put_string(json, NULL, scope->vm);
	}
	if (begun)
		json_end(json);
}

char *recording_sample(struct recording_writer *writer,
		       const struct exit_scan *scan, uint64_t lost, size_t *len)
{
	char *text = NULL;
	FILE *out = open_memstream(&text, len);
	struct json json;
	bool ok;

	if (!out)
		return NULL;

	if (writer->full)
		writer->nr_named = 0;

	begin_line(&json, out, writer, scan->monotonic);
	if (writer->full)
		json_put_bool(&json, "full", true);
	if (lost)
		json_put_u64(&json, "lost", lost);
	/* What does not count does not mean that there are no exits. */
	if (!scan->scopes[0].snap.enabled)
		json_put_bool(&json, "enabled", false);
	print_scopes(&json, writer, scan);
	ok = print_names(&json, writer, scan);
	print_ended(&json, writer, scan);
	end_line(&json);

	text = finish(out, &text);
	if (ok)
		return text;
	free(text);
	return NULL;
}

char *recording_end(const struct recording_writer *writer, const char *why,
		    uint64_t samples, uint64_t lost, size_t *len)
{
	char *text = NULL;
	FILE *out = open_memstream(&text, len);
	struct json json;

	if (!out)
		return NULL;
	begin_line(&json, out, writer, clock_now(CLOCK_MONOTONIC));
	json_put_string(&json, "end", why);
	json_put_u64(&json, "samples", samples);
	json_put_u64(&json, "lost", lost);
	end_line(&json);
	return finish(out, &text);
}

void recording_written(struct recording_writer *writer, struct exit_scan *scan)
{
	scan_free(&writer->before);
	writer->before = *scan;
	*scan = (struct exit_scan){};
	writer->nr_written++;
	writer->full = writer->nr_written % FULL_EVERY == 0;
}

void recording_lost(struct recording_writer *writer)
{
	writer->full = true;
}

void recording_writer_free(struct recording_writer *writer)
{
	scan_free(&writer->before);
	free(writer->named);
}
