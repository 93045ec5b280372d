// SPDX-License-Identifier: GPL-2.0
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/json_write.h"
#include "base/version.h"
#include "model/explain.h"
#include "page/data.h"

#define REPORT_VERSION 1

/* ns as seconds, without zeros that tell nothing */
static void print_seconds(struct json *json, const char *key, uint64_t ns)
{
	char text[32];
	size_t len = snprintf(text, sizeof(text), "%" PRIu64 ".%06" PRIu64,
			      ns / 1000000000, ns / 1000 % 1000000);

	while (text[len - 1] == '0')
		len--;
	if (text[len - 1] == '.')
		len--;
	text[len] = '\0';
	json_put_number(json, key, text);
}

/* cycles as seconds; null if there is no such count, or no TSC */
static void print_cycles(struct json *json, const char *key, bool known,
			 double cycles, const struct exit_clock *clock)
{
	const uint32_t per_ms = clock_per_ms(clock);
	char text[32];

	if (!known || !per_ms) {
		json_put_null(json, key);
		return;
	}
	snprintf(text, sizeof(text), "%.7g", cycles / (per_ms * 1e3));
	json_put_number(json, key, text);
}

/* When each interval ends, and how long it is. */
static void print_times(struct json *json, const struct page *page)
{
	uint64_t before = 0;
	size_t i;

	json_put_array(json, "t");
	for (i = 0; i < page->nr_intervals; i++)
		print_seconds(json, NULL, page->end[i]);
	json_end(json);

	json_put_array(json, "dt");
	for (i = 0; i < page->nr_intervals; i++) {
		print_seconds(json, NULL,
			      page->length[i] ? page->length[i] :
						page->end[i] - before);
		before = page->end[i];
	}
	json_end(json);
}

static void print_phases(struct json *json, const struct page *page,
			 const struct page_scope *scope)
{
	const struct exit_snapshot *snap = &scope->sum->snap;
	enum exit_phase p;
	size_t i;

	json_put_object(json, "phases");
	for (p = 0; p < NR_PHASES; p++) {
		const bool known = snapshot_has_phase(snap, p);

		json_put_array(json, exit_phase_names[p]);
		for (i = 0; i < page->nr_intervals; i++)
			print_cycles(json, NULL, scope->known[i] && known,
				     scope->phases[p][i], &snap->clock);
		json_end(json);
	}
	json_end(json);
}

/* Exits and times, of a reason or of all. */
static void print_total(struct json *json, const struct exit_snapshot *snap,
			const double *counts, bool guest)
{
	enum exit_phase p;

	json_put_object(json, "total");
	json_put_real(json, "exits", counts[COUNT_EXITS], 0);
	for (p = guest ? PHASE_GUEST : PHASE_HANDLE; p < NR_PHASES; p++)
		print_cycles(json, exit_phase_names[p],
			     snapshot_has_phase(snap, p),
			     p == PHASE_GUEST ? snap->guest_cycles :
						counts[phase_counter(p)],
			     &snap->clock);
	json_end(json);
}

/* An object that is about a reason. */
static void begin_reason(struct json *json, const struct exit_row *row)
{
	json_put_object(json, NULL);
	json_put_known(json, "nr", !row->other, row->reason);
	json_put_string(json, "name", row->name);
}

static void print_reason(struct json *json, const struct page *page,
			 const struct page_scope *scope, size_t r)
{
	const struct exit_snapshot *snap = &scope->sum->snap;
	const struct explanation *explanation =
		snap->rows[r].other ? NULL :
				      explanation_of(reasons_of(snap->isa),
						     snap->rows[r].reason);
	double counts[NR_COUNTS];
	size_t i, c;

	begin_reason(json, &snap->rows[r]);
	if (explanation) {
		json_put_string(json, "what", explanation->what);
		if (explanation->then)
			json_put_string(json, "then", explanation->then);
	}
	json_put_array(json, "exits");
	for (i = 0; i < page->nr_intervals; i++)
		json_put_known(json, NULL, scope->known[i], scope->exits[r][i]);
	json_end(json);
	for (c = 0; c < NR_COUNTS; c++)
		counts[c] = snap->rows[r].counts[c];
	print_total(json, snap, counts, false);
	json_end(json);
}

static void print_histogram(struct json *json, const char *key,
			    const struct page *page,
			    const struct page_scope *scope,
			    const struct page_histogram *histogram)
{
	size_t i, b;

	json_put_array(json, key);
	for (i = 0; i < page->nr_intervals; i++) {
		if (!scope->known[i] || !histogram->exits) {
			json_put_null(json, NULL);
			continue;
		}
		json_put_array(json, NULL);
		for (b = 0; b < NR_BUCKETS; b++)
			json_put_u64(json, NULL,
				     histogram->exits[i * NR_BUCKETS + b]);
		json_end(json);
	}
	json_end(json);
}

static void print_buckets(struct json *json)
{
	size_t b;

	json_put_array(json, "buckets");
	for (b = 0; b < NR_BUCKETS; b++) {
		json_put_object(json, NULL);
		json_put_u64(json, "from", bucket_from(b));
		json_put_known(json, "below", b < NR_BUCKETS - 1,
			       bucket_below(b));
		json_end(json);
	}
	json_end(json);
}

static void print_latency(struct json *json, const struct page *page,
			  const struct page_scope *scope, const size_t *order)
{
	const struct exit_snapshot *snap = &scope->sum->snap;
	const struct page_histogram *histograms;
	size_t i;

	if (!scope->any_latency) {
		json_put_null(json, "latency");
		return;
	}

	json_put_object(json, "latency");
	print_buckets(json);
	json_put_array(json, "reasons");
	for (i = 0; i < snap->nr_rows; i++) {
		histograms = &scope->histograms[order[i] * NR_LATENCY_TIMES];
		if (!histograms[LATENCY_TOTAL].exits &&
		    !histograms[LATENCY_HANDLE].exits)
			continue;
		begin_reason(json, &snap->rows[order[i]]);
		print_histogram(json, "total", page, scope,
				&histograms[LATENCY_TOTAL]);
		print_histogram(json, "handle", page, scope,
				&histograms[LATENCY_HANDLE]);
		json_end(json);
	}
	json_end(json);
	json_end(json);
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

static bool print_scope(struct json *json, const struct page *page,
			const struct page_scope *scope)
{
	const struct exit_snapshot *snap = &scope->sum->snap;
	size_t *order = calloc(snap->nr_rows + 1, sizeof(*order));
	char label[SCOPE_LABEL_SIZE];
	size_t i;

	if (!order)
		return false;
	for (i = 0; i < snap->nr_rows; i++)
		order[i] = i;
	qsort_r(order, snap->nr_rows, sizeof(*order), by_exits, snap->rows);

	scope_label(scope->sum, label);
	json_put_object(json, NULL);
	json_put_string(json, "scope", scope_name(scope->sum));
	json_put_string(json, "label", label);
	print_times(json, page);
	print_phases(json, page, scope);
	json_put_array(json, "reasons");
	for (i = 0; i < snap->nr_rows; i++)
		print_reason(json, page, scope, order[i]);
	json_end(json);
	print_total(json, snap, snap->whole, true);
	print_latency(json, page, scope, order);
	json_end(json);
	free(order);
	return true;
}

static void print_head(struct json *json, const struct page *page)
{
	const struct recording_sum *sum = page->sum;
	const struct recording_header *header = &sum->header;
	char time[TIME_SIZE] = "";
	size_t i;

	if (header->realtime)
		time_format(header->realtime, time);
	json_put_string(json, "schema", "exitstat.report");
	json_put_u64(json, "version", REPORT_VERSION);
	json_put_string(json, "tool", "exitstat " EXITSTAT_VERSION);
	json_put_string(json, "started", time);
	print_seconds(json, "seconds", sum->scan.interval);
	json_put_u64(json, "samples", sum->nr_samples);
	json_put_u64(json, "lost", sum->nr_lost);
	json_put_u64(json, "skipped_lines", sum->nr_skipped);
	json_put_u64(json, "scopes_left_out", page->nr_left_out);
	json_put_string(json, "isa", header->isa);
	json_put_u64(json, "tsc_khz", header->clock.tsc_khz);
	json_put_u64(json, "clock_khz", clock_per_ms(&header->clock));
	json_put_string(json, "source", header->source);
	json_put_object(json, "facts");
	for (i = 0; i < header->facts.nr; i++)
		json_put_string(json, header->facts.facts[i].name,
				header->facts.facts[i].value);
	json_end(json);
	json_put_string(json, "host", header->host);
	json_put_string(json, "kernel", header->kernel);
}

bool page_print_data(FILE *out, const struct page *page)
{
	struct json json;
	bool ok = true;
	size_t i;

	json_begin(&json, out, JSON_COMPACT | JSON_IN_SCRIPT);
	json_put_object(&json, NULL);
	print_head(&json, page);
	json_put_array(&json, "scopes");
	for (i = 0; ok && i < page->nr_scopes; i++)
		ok = print_scope(&json, page, &page->scopes[i]);
	json_end(&json);
	json_end(&json);
	return ok;
}
