// SPDX-License-Identifier: GPL-2.0
/* The lines of a recording. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

#include "base/clock.h"
#include "base/version.h"
#include "recording/format.h"
#include "recording/write.h"

/*
 * All rows, every so many samples: who has but a later piece of the file, or
 * one with a damaged line, need not go far for them.
 */
#define FULL_EVERY 1000

static void print_string(FILE *out, const char *text)
{
	fputc('"', out);
	for (; *text; text++) {
		const unsigned char c = *text;

		if (c == '"' || c == '\\')
			fputc('\\', out);
		if (c < ' ')
			fprintf(out, "\\u%04x", c);
		else
			fputc(c, out);
	}
	fputc('"', out);
}

/* A string of the kernel, where anything may have been set. */
static void print_ascii(FILE *out, char *text)
{
	char *p;

	for (p = text; *p; p++) {
		if (*p < ' ' || *p > '~')
			*p = '?';
	}
	print_string(out, text);
}

static void print_seconds(FILE *out, uint64_t ns)
{
	fprintf(out, "%" PRIu64 ".%06" PRIu64, ns / 1000000000,
		ns / 1000 % 1000000);
}

static void print_time(FILE *out, const struct recording_writer *writer,
		       uint64_t monotonic)
{
	fputs("{\"t\":", out);
	print_seconds(out, monotonic - writer->start);
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

static void print_counts(FILE *out, const bool *has)
{
	bool first = true;
	size_t c;

	for (c = 0; c < NR_COUNTS; c++) {
		if (!has[c])
			continue;
		fprintf(out, "%s\"%s\"", first ? "" : ",", exit_count_names[c]);
		first = false;
	}
}

char *recording_header(struct recording_writer *writer,
		       const struct exit_scan *scan, size_t *len)
{
	const struct exit_snapshot *snap = &scan->scopes[0].snap;
	char *text = NULL, time[TIME_SIZE];
	struct utsname uts;
	FILE *out = open_memstream(&text, len);

	if (!out)
		return NULL;

	scan_free(&writer->before);
	writer->nr_written = 0;
	writer->start = scan->monotonic;
	memcpy(writer->has, snap->has, sizeof(writer->has));
	writer->full = true;

	time_format(scan->realtime, time);
	fprintf(out,
		"{\"schema\":\"%s\",\"version\":%d,\"tool\":\"exitstat %s\",\"started\":\"%s\",\"interval\":",
		RECORDING_SCHEMA, RECORDING_VERSION, EXITSTAT_VERSION, time);
	print_seconds(out, writer->interval);
	fprintf(out, ",\"source\":\"%s\",\"isa\":\"%s\",\"tsc_khz\":%" PRIu32,
		scan->source, snap->isa, snap->tsc_khz);
	if (!uname(&uts)) {
		fputs(",\"host\":", out);
		print_ascii(out, uts.nodename);
		fputs(",\"kernel\":", out);
		print_ascii(out, uts.release);
	}
	fputs(",\"counts\":[", out);
	print_counts(out, writer->has);
	fputs("]}\n", out);
	return finish(out, &text);
}

static void print_row(FILE *out, const struct recording_writer *writer,
		      const struct exit_row *row, const uint64_t *counts,
		      bool first)
{
	size_t c;

	fputs(first ? "[" : ",[", out);
	if (row->other)
		fputs("null", out);
	else
		fprintf(out, "%" PRIu32, row->reason);
	for (c = 0; c < NR_COUNTS; c++) {
		if (writer->has[c])
			fprintf(out, ",%" PRIu64, counts[c]);
	}
	fputc(']', out);
}

/* The rows that changed since @before, which may be NULL. */
static void print_rows(FILE *out, const struct recording_writer *writer,
		       const struct exit_snapshot *snap,
		       const struct exit_snapshot *before)
{
	static const uint64_t none[NR_COUNTS];
	const struct exit_row *row, *old;
	bool first = true;
	size_t i;

	for (i = 0; i < snap->nr_rows; i++) {
		row = &snap->rows[i];
		old = before ? snapshot_find_row(before, row->other,
						 row->reason) :
			       NULL;
		if (!memcmp(row->counts, old ? old->counts : none,
			    sizeof(row->counts)))
			continue;
		print_row(out, writer, row, row->counts, first);
		first = false;
	}

	/* KVM was loaded anew: what has not come again is 0. */
	for (i = 0; before && i < before->nr_rows; i++) {
		row = &before->rows[i];
		if (!counts_any(row->counts) ||
		    snapshot_find_row(snap, row->other, row->reason))
			continue;
		print_row(out, writer, row, none, first);
		first = false;
	}
}

static void print_bucket(FILE *out, const struct latency_row *row,
			 uint64_t exits, bool first)
{
	fputs(first ? ",\"latency\":[[" : ",[", out);
	if (row->other)
		fputs("null", out);
	else
		fprintf(out, "%" PRIu32, row->reason);
	fprintf(out, ",\"%s\",%" PRIu64 ",%" PRIu64 "]",
		latency_time_names[row->time], row->from, exits);
}

static void print_latency(FILE *out, const struct exit_latency *latency,
			  const struct exit_latency *before)
{
	const struct latency_row *row, *old;
	bool first = true;
	size_t i;

	for (i = 0; i < latency->nr_rows; i++) {
		row = &latency->rows[i];
		old = before ? latency_find_row(before, row) : NULL;
		if (row->exits == (old ? old->exits : 0))
			continue;
		print_bucket(out, row, row->exits, first);
		first = false;
	}
	for (i = 0; before && i < before->nr_rows; i++) {
		row = &before->rows[i];
		if (!row->exits || latency_find_row(latency, row))
			continue;
		print_bucket(out, row, 0, first);
		first = false;
	}
	if (!first)
		fputc(']', out);
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

static void print_scope(FILE *out, const struct recording_writer *writer,
			const struct exit_scope *scope,
			const struct exit_scope *before)
{
	const struct exit_snapshot *snap = &scope->snap;

	fprintf(out, "{\"scope\":\"%s\"", scope_name(scope));
	if (scope->kind != SCOPE_HOST) {
		fprintf(out, ",\"vm\":\"%s\",\"name\":", scope->vm);
		print_string(out, scope->name);
		fprintf(out, ",\"id\":\"%" PRIu64 ".%" PRIu64 "\"",
			scope->id[0], scope->id[1]);
	}
	if (scope->kind == SCOPE_VCPU)
		fprintf(out, ",\"vcpu\":%" PRIu32, scope->vcpu);
	if (snap->has_guest_cycles)
		fprintf(out, ",\"guest_cycles\":%" PRIu64, snap->guest_cycles);
	if (snap->has_faults)
		fprintf(out,
			",\"failed_entries\":%" PRIu64 ",\"clamped\":%" PRIu64,
			snap->failed_entries, snap->clamped);
	fputs(",\"reasons\":[", out);
	print_rows(out, writer, snap, before ? &before->snap : NULL);
	fputc(']', out);
	print_latency(out, &scope->latency, before ? &before->latency : NULL);
	fputc('}', out);
}

static void print_scopes(FILE *out, const struct recording_writer *writer,
			 const struct exit_scan *scan)
{
	const struct exit_scope *scope, *before;
	bool first = true;
	size_t i;

	for (i = 0; i < scan->nr_scopes; i++) {
		scope = &scan->scopes[i];
		before = writer->full ? NULL :
					scan_find(&writer->before, scope);
		if (before && !scope_is_same(before, scope))
			before = NULL;
		if (before && scope_is_unchanged(scope, before))
			continue;
		if (!first)
			fputc(',', out);
		print_scope(out, writer, scope, before);
		first = false;
	}
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

static bool print_names(FILE *out, struct recording_writer *writer,
			const struct exit_scan *scan)
{
	bool first = true, done;
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
			fprintf(out, "%s\"%" PRIu32 "\":",
				first ? ",\"names\":{" : ",", row->reason);
			print_string(out, row->name);
			first = false;
		}
	}
	if (!first)
		fputc('}', out);
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

static void print_ended(FILE *out, const struct recording_writer *writer,
			const struct exit_scan *scan)
{
	const struct exit_scope *scope, *last = NULL;
	bool first = true;
	size_t i;

	for (i = 0; i < writer->before.nr_scopes; i++) {
		scope = &writer->before.scopes[i];
		if (scope->kind == SCOPE_HOST ||
		    (last && !strcmp(last->vm, scope->vm)))
			continue;
		last = scope;
		if (has_vm(scan, scope))
			continue;
		fprintf(out, "%s\"%s\"", first ? ",\"ended\":[" : ",",
			scope->vm);
		first = false;
	}
	if (!first)
		fputc(']', out);
}

char *recording_sample(struct recording_writer *writer,
		       const struct exit_scan *scan, uint64_t lost, size_t *len)
{
	char *text = NULL;
	FILE *out = open_memstream(&text, len);
	bool ok;

	if (!out)
		return NULL;

	if (writer->full)
		writer->nr_named = 0;

	print_time(out, writer, scan->monotonic);
	if (writer->full)
		fputs(",\"full\":true", out);
	if (lost)
		fprintf(out, ",\"lost\":%" PRIu64, lost);
	/* What does not count does not mean that there are no exits. */
	if (!scan->scopes[0].snap.enabled)
		fputs(",\"enabled\":false", out);
	fputs(",\"scopes\":[", out);
	print_scopes(out, writer, scan);
	fputc(']', out);
	ok = print_names(out, writer, scan);
	print_ended(out, writer, scan);
	fputs("}\n", out);

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

	if (!out)
		return NULL;
	print_time(out, writer, clock_now(CLOCK_MONOTONIC));
	fprintf(out,
		",\"end\":\"%s\",\"samples\":%" PRIu64 ",\"lost\":%" PRIu64
		"}\n",
		why, samples, lost);
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
