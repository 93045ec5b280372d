// SPDX-License-Identifier: GPL-2.0
/*
 * The data of a page, as JSON in a script
 *
 * Printed right away: as a tree of objects it would need some hundred bytes for
 * each number.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/version.h"
#include "page/data.h"

#define REPORT_VERSION 1

/* A string that neither ends the script nor begins a comment in it. */
static void print_string(FILE *out, const char *text)
{
	fputc('"', out);
	for (; *text; text++) {
		const unsigned char c = *text;

		if (c < ' ' || strchr("\"\\<>&", c)) {
			fprintf(out, "\\u%04x", c);
		} else if (!strncmp(text, "\u2028", 3) ||
			   !strncmp(text, "\u2029", 3)) {
			/* Before 2019 they ended a line of a script. */
			fprintf(out, "\\u%04x", 0x2000 | (text[2] & 0x3f));
			text += 2;
		} else {
			fputc(c, out);
		}
	}
	fputc('"', out);
}

static void print_key(FILE *out, const char *key)
{
	fprintf(out, ",\"%s\":", key);
}

static void print_text(FILE *out, const char *key, const char *text)
{
	print_key(out, key);
	print_string(out, text);
}

static void print_number(FILE *out, const char *key, uint64_t number)
{
	fprintf(out, ",\"%s\":%" PRIu64, key, number);
}

/* ns as seconds, without zeros that tell nothing */
static void print_seconds(FILE *out, uint64_t ns)
{
	char text[32];
	size_t len = snprintf(text, sizeof(text), "%" PRIu64 ".%06" PRIu64,
			      ns / 1000000000, ns / 1000 % 1000000);

	while (text[len - 1] == '0')
		len--;
	if (text[len - 1] == '.')
		len--;
	fprintf(out, "%.*s", (int)len, text);
}

/* cycles as seconds; null if there is no such count, or no TSC */
static void print_cycles(FILE *out, bool known, double cycles, uint32_t khz)
{
	if (known && khz)
		fprintf(out, "%.7g", cycles / (khz * 1e3));
	else
		fputs("null", out);
}

static void print_label(FILE *out, const struct exit_scope *scope)
{
	char label[SCOPE_LABEL_SIZE];

	scope_label(scope, label);
	print_text(out, "label", label);
}

static void print_times(FILE *out, const struct page *page)
{
	size_t i;

	print_key(out, "t");
	for (i = 0; i < page->nr_intervals; i++) {
		fputc(i ? ',' : '[', out);
		print_seconds(out, page->end[i]);
	}
	fputs("],\"dt\":", out);
	for (i = 0; i < page->nr_intervals; i++) {
		const uint64_t before = i ? page->end[i - 1] : 0;

		fputc(i ? ',' : '[', out);
		print_seconds(out, page->length[i] ? page->length[i] :
						     page->end[i] - before);
	}
	fputc(']', out);
}

static void print_phases(FILE *out, const struct page *page,
			 const struct page_scope *scope)
{
	const struct exit_snapshot *snap = &scope->sum->snap;
	size_t p, i;

	print_key(out, "phases");
	for (p = 0; p < NR_PHASES; p++) {
		fprintf(out, "%s\"%s\":", p ? "," : "{", exit_phase_names[p]);
		for (i = 0; i < page->nr_intervals; i++) {
			fputc(i ? ',' : '[', out);
			print_cycles(out,
				     scope->known[i] &&
					     snapshot_has_phase(snap, p),
				     scope->phases[p][i], snap->tsc_khz);
		}
		fputc(']', out);
	}
	fputc('}', out);
}

/* Exits and times, of a reason or of all. */
static void print_total(FILE *out, const struct exit_snapshot *snap,
			const double *counts, bool guest)
{
	size_t p;

	fprintf(out, "{\"exits\":%.0f", counts[COUNT_EXITS]);
	for (p = guest ? PHASE_GUEST : PHASE_HANDLE; p < NR_PHASES; p++) {
		print_key(out, exit_phase_names[p]);
		print_cycles(out, snapshot_has_phase(snap, p),
			     p == PHASE_GUEST ? snap->guest_cycles :
						counts[phase_counter(p)],
			     snap->tsc_khz);
	}
	fputc('}', out);
}

static void print_name(FILE *out, const struct exit_row *row, bool first)
{
	fputs(first ? "{\"nr\":" : ",{\"nr\":", out);
	if (row->other)
		fputs("null", out);
	else
		fprintf(out, "%" PRIu32, row->reason);
	print_text(out, "name", row->name);
}

static void print_reason(FILE *out, const struct page *page,
			 const struct page_scope *scope, size_t r, bool first)
{
	const struct exit_snapshot *snap = &scope->sum->snap;
	double counts[NR_COUNTS];
	size_t i, c;

	print_name(out, &snap->rows[r], first);
	print_key(out, "exits");
	for (i = 0; i < page->nr_intervals; i++) {
		fputc(i ? ',' : '[', out);
		if (scope->known[i])
			fprintf(out, "%" PRIu64, scope->exits[r][i]);
		else
			fputs("null", out);
	}
	for (c = 0; c < NR_COUNTS; c++)
		counts[c] = snap->rows[r].counts[c];
	fputs("],\"total\":", out);
	print_total(out, snap, counts, false);
	fputc('}', out);
}

static void print_histogram(FILE *out, const struct page *page,
			    const struct page_scope *scope,
			    const struct page_histogram *histogram)
{
	size_t i, b;

	for (i = 0; i < page->nr_intervals; i++) {
		fputc(i ? ',' : '[', out);
		if (!scope->known[i] || !histogram->exits) {
			fputs("null", out);
			continue;
		}
		for (b = 0; b < NR_BUCKETS; b++)
			fprintf(out, "%c%" PRIu64, b ? ',' : '[',
				histogram->exits[i * NR_BUCKETS + b]);
		fputc(']', out);
	}
	fputc(']', out);
}

static void print_buckets(FILE *out)
{
	size_t b;

	for (b = 0; b < NR_BUCKETS; b++) {
		fprintf(out, "%s{\"from\":%" PRIu64 ",\"below\":",
			b ? "," : "{\"buckets\":[", bucket_from(b));
		if (bucket_below(b) == UINT64_MAX)
			fputs("null}", out);
		else
			fprintf(out, "%" PRIu64 "}", bucket_below(b));
	}
	fputc(']', out);
}

static void print_latency(FILE *out, const struct page *page,
			  const struct page_scope *scope, const size_t *order)
{
	const struct exit_snapshot *snap = &scope->sum->snap;
	const struct page_histogram *histograms;
	bool first = true;
	size_t i;

	print_key(out, "latency");
	if (!scope->any_latency) {
		fputs("null", out);
		return;
	}

	print_buckets(out);
	print_key(out, "reasons");
	fputc('[', out);
	for (i = 0; i < snap->nr_rows; i++) {
		histograms = &scope->histograms[order[i] * NR_LATENCY_TIMES];
		if (!histograms[LATENCY_TOTAL].exits &&
		    !histograms[LATENCY_HANDLE].exits)
			continue;
		print_name(out, &snap->rows[order[i]], first);
		print_key(out, "total");
		print_histogram(out, page, scope, &histograms[LATENCY_TOTAL]);
		print_key(out, "handle");
		print_histogram(out, page, scope, &histograms[LATENCY_HANDLE]);
		fputc('}', out);
		first = false;
	}
	fputs("]}", out);
}

static int by_exits(const void *a, const void *b, void *data)
{
	const struct exit_row *rows = data;
	const struct exit_row *x = &rows[*(const size_t *)a];
	const struct exit_row *y = &rows[*(const size_t *)b];

	if (x->counts[COUNT_EXITS] != y->counts[COUNT_EXITS])
		return x->counts[COUNT_EXITS] < y->counts[COUNT_EXITS] ? 1 : -1;
	return exit_row_cmp(x, y);
}

static bool print_scope(FILE *out, const struct page *page,
			const struct page_scope *scope)
{
	const struct exit_snapshot *snap = &scope->sum->snap;
	size_t *order = calloc(snap->nr_rows + 1, sizeof(*order));
	size_t i;

	if (!order)
		return false;
	for (i = 0; i < snap->nr_rows; i++)
		order[i] = i;
	qsort_r(order, snap->nr_rows, sizeof(*order), by_exits, snap->rows);

	fprintf(out, "{\"scope\":\"%s\"", scope_name(scope->sum));
	print_label(out, scope->sum);
	print_times(out, page);
	print_phases(out, page, scope);
	print_key(out, "reasons");
	fputc('[', out);
	for (i = 0; i < snap->nr_rows; i++)
		print_reason(out, page, scope, order[i], !i);
	fputs("],\"total\":", out);
	print_total(out, snap, snap->whole, true);
	print_latency(out, page, scope, order);
	fputc('}', out);
	free(order);
	return true;
}

bool page_print_data(FILE *out, const struct page *page)
{
	const struct recording_sum *sum = page->sum;
	const struct recording_header *header = &sum->header;
	char time[TIME_SIZE] = "";
	size_t i;

	if (header->realtime)
		time_format(header->realtime, time);
	fprintf(out, "{\"schema\":\"exitstat.report\",\"version\":%d",
		REPORT_VERSION);
	print_text(out, "tool", "exitstat " EXITSTAT_VERSION);
	print_text(out, "started", time);
	print_key(out, "seconds");
	print_seconds(out, sum->scan.interval);
	print_number(out, "samples", sum->nr_samples);
	print_number(out, "lost", sum->nr_lost);
	print_number(out, "skipped_lines", sum->nr_skipped);
	print_number(out, "scopes_left_out", page->nr_left_out);
	print_text(out, "isa", header->isa);
	print_number(out, "tsc_khz", header->tsc_khz);
	print_text(out, "host", header->host);
	print_text(out, "kernel", header->kernel);
	print_key(out, "scopes");
	for (i = 0; i < page->nr_scopes; i++) {
		fputc(i ? ',' : '[', out);
		if (!print_scope(out, page, &page->scopes[i]))
			return false;
	}
	fputs("]}", out);
	return true;
}
