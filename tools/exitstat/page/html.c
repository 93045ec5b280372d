// SPDX-License-Identifier: GPL-2.0
/*
 * exitstat report --html
 *
 * A recording may have more samples than a page can show or a browser can hold,
 * so they are put together to some hundred intervals.  The file is read twice:
 * first for how long it is and for what is in it, then for each interval.  So
 * memory does not grow with it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/input.h"
#include "base/message.h"
#include "base/progress.h"
#include "base/replace.h"
#include "page/data.h"
#include "page/html.h"
#include "recording/input.h"

/* What a chart can show, and a reader can look through. */
#define MAX_INTERVALS 960
#define MIN_INTERVALS 60
#define MAX_VMS 200
#define MAX_VCPUS 800
/* numbers in a page, which has some bytes for each */
#define MAX_NUMBERS 6000000

/* From report_embed.S: the page without data, and Chart.js. */
extern const char report_template[], report_chart_js[];

struct collector {
	struct page page;
	/* intervals of the recording that end in the same @cell are one */
	uint64_t cell;
	uint64_t last_cell;
	/* intervals and gaps in which nothing was recorded are no shorter */
	uint64_t shortest_gap;
	/* scopes that are there now, as indices */
	size_t *present;
	size_t nr_present;
};

/* Most exits first, and vCPUs as their number says where these are equal. */
static int by_exits(const void *a, const void *b)
{
	const struct exit_scope *x = *(const struct exit_scope *const *)a;
	const struct exit_scope *y = *(const struct exit_scope *const *)b;
	const double p = x->snap.whole[COUNT_EXITS];
	const double q = y->snap.whole[COUNT_EXITS];

	return p != q ? (p < q ? 1 : -1) : recording_compare(x, y);
}

static bool vm_is_shown(const struct page *page, const struct exit_scope *vcpu)
{
	size_t i;

	for (i = 0; i < page->nr_scopes; i++) {
		const struct exit_scope *vm = page->scopes[i].sum;

		if (vm->kind == SCOPE_VM && !strcmp(vm->vm, vcpu->vm) &&
		    !memcmp(vm->id, vcpu->id, sizeof(vm->id)))
			return true;
	}
	return false;
}

/* Show @max scopes of a kind, those with most exits. */
static bool choose_kind(struct page *page, enum scope_kind kind, size_t max)
{
	const struct exit_scan *scan = &page->sum->scan;
	const struct exit_scope **chosen =
		calloc(scan->nr_scopes + 1, sizeof(*chosen));
	size_t i, nr = 0;

	if (!chosen)
		return false;
	for (i = 0; i < scan->nr_scopes; i++) {
		if (scan->scopes[i].kind == kind)
			chosen[nr++] = &scan->scopes[i];
	}
	qsort(chosen, nr, sizeof(*chosen), by_exits);
	for (i = 0; i < nr; i++) {
		if (!max ||
		    (kind == SCOPE_VCPU && !vm_is_shown(page, chosen[i]))) {
			page->nr_left_out++;
			continue;
		}
		page->scopes[page->nr_scopes++].sum = chosen[i];
		max--;
	}
	free(chosen);
	return true;
}

static int compare_scopes(const void *a, const void *b)
{
	const struct page_scope *x = a, *y = b;

	return recording_compare(x->sum, y->sum);
}

static bool choose_scopes(struct page *page)
{
	page->scopes =
		calloc(page->sum->scan.nr_scopes + 1, sizeof(*page->scopes));
	if (!page->scopes || !choose_kind(page, SCOPE_HOST, 1) ||
	    !choose_kind(page, SCOPE_VM, MAX_VMS) ||
	    !choose_kind(page, SCOPE_VCPU, MAX_VCPUS))
		return false;
	qsort(page->scopes, page->nr_scopes, sizeof(*page->scopes),
	      compare_scopes);
	return true;
}

/* How many numbers the page has for each interval, at most. */
static size_t count_numbers(const struct page *page)
{
	const struct recording_sum *sum = page->sum;
	size_t i, nr = 1;

	for (i = 0; i < page->nr_scopes; i++) {
		const struct exit_scope *scope = page->scopes[i].sum;
		bool latency = scope->kind == SCOPE_HOST ? sum->host_latency :
			       scope->kind == SCOPE_VM	 ? sum->vm_latency :
							   false;

		nr += 7 +
		      scope->snap.nr_rows *
			      (latency ? 1 + NR_LATENCY_TIMES * NR_BUCKETS : 1);
	}
	return nr;
}

/* How long the intervals are. */
static void choose_intervals(struct collector *collector)
{
	struct page *page = &collector->page;
	const struct recording_sum *sum = page->sum;
	size_t max = MAX_NUMBERS / count_numbers(page);
	uint64_t interval = sum->header.interval, time;
	bool few;

	if (max > MAX_INTERVALS)
		max = MAX_INTERVALS;
	if (max < MIN_INTERVALS)
		max = MIN_INTERVALS;
	if (!interval)
		interval = 1 + sum->scan.interval / sum->nr_intervals;

	if (sum->nr_intervals + sum->nr_sections <= max) {
		page->max_intervals = sum->nr_intervals + sum->nr_sections;
		collector->shortest_gap = interval + interval / 2;
		return;
	}
	/*
	 * Doubled, so that as many of the recording's are in each.  A section
	 * does not fill its first and its last one, and may follow a gap.
	 */
	few = sum->nr_sections < max / 8;
	time = few ? sum->scan.interval : sum->span;
	if (few)
		max -= 3 * sum->nr_sections;
	for (collector->cell = interval; time / collector->cell >= max;)
		collector->cell *= 2;
	collector->shortest_gap = 2 * collector->cell;
	page->max_intervals = MAX_INTERVALS + 2;
}

static bool allocate_scope(struct page_scope *scope, size_t nr)
{
	const size_t nr_rows = scope->sum->snap.nr_rows;
	size_t i;

	scope->known = calloc(nr, sizeof(*scope->known));
	scope->exits = calloc(nr_rows + 1, sizeof(*scope->exits));
	scope->histograms = calloc((nr_rows + 1) * NR_LATENCY_TIMES,
				   sizeof(*scope->histograms));
	if (!scope->known || !scope->exits || !scope->histograms)
		return false;
	for (i = 0; i < NR_PHASES; i++) {
		scope->phases[i] = calloc(nr, sizeof(**scope->phases));
		if (!scope->phases[i])
			return false;
	}
	for (i = 0; i < nr_rows; i++) {
		scope->exits[i] = calloc(nr, sizeof(**scope->exits));
		if (!scope->exits[i])
			return false;
	}
	return true;
}

static bool allocate(struct collector *collector)
{
	struct page *page = &collector->page;
	size_t i;

	page->end = calloc(page->max_intervals, sizeof(*page->end));
	page->length = calloc(page->max_intervals, sizeof(*page->length));
	collector->present =
		calloc(page->nr_scopes + 1, sizeof(*collector->present));
	if (!page->end || !page->length || !collector->present)
		return false;
	for (i = 0; i < page->nr_scopes; i++) {
		if (!allocate_scope(&page->scopes[i], page->max_intervals))
			return false;
	}
	return true;
}

static void free_page(struct page *page)
{
	size_t i, j;

	for (i = 0; page->scopes && i < page->nr_scopes; i++) {
		struct page_scope *scope = &page->scopes[i];
		const size_t nr_rows = scope->sum->snap.nr_rows;

		for (j = 0; scope->exits && j < nr_rows; j++)
			free(scope->exits[j]);
		for (j = 0; scope->histograms && j < nr_rows * NR_LATENCY_TIMES;
		     j++)
			free(scope->histograms[j].exits);
		for (j = 0; j < NR_PHASES; j++)
			free(scope->phases[j]);
		free(scope->exits);
		free(scope->histograms);
		free(scope->known);
	}
	free(page->scopes);
	free(page->end);
	free(page->length);
}

static struct page_scope *find_scope(const struct page *page,
				     const struct exit_scope *scope)
{
	const struct page_scope key = { .sum = scope };

	return bsearch(&key, page->scopes, page->nr_scopes, sizeof(key),
		       compare_scopes);
}

static void note_present(struct collector *collector,
			 const struct recording *recording)
{
	const struct page *page = &collector->page;
	struct page_scope *scope;
	size_t i;

	collector->nr_present = 0;
	for (i = 0; i < recording->now.nr_scopes; i++) {
		scope = find_scope(page, &recording->now.scopes[i]);
		if (scope && collector->nr_present < page->nr_scopes)
			collector->present[collector->nr_present++] =
				scope - page->scopes;
	}
}

/* The interval that the recording's last one goes to.  False: there is none. */
static bool find_interval(struct collector *collector,
			  const struct recording *recording, size_t *interval)
{
	struct page *page = &collector->page;
	const uint64_t length = recording->difference.interval;
	const uint64_t begin = recording->time - length;
	const uint64_t last =
		page->nr_intervals ? page->end[page->nr_intervals - 1] : 0;
	/* In its middle no jitter makes a difference. */
	const uint64_t cell =
		collector->cell ? (begin + length / 2) / collector->cell : 0;
	bool gap = page->nr_intervals && begin > last &&
		   begin - last >= collector->shortest_gap;

	if (gap && page->nr_intervals < page->max_intervals)
		page->end[page->nr_intervals++] = begin;
	if (!page->nr_intervals || gap || !collector->cell ||
	    cell != collector->last_cell) {
		/* A file that was exchanged meanwhile may have more. */
		if (page->nr_intervals == page->max_intervals)
			return false;
		page->nr_intervals++;
	}
	collector->last_cell = cell;
	*interval = page->nr_intervals - 1;
	page->end[*interval] = recording->time;
	page->length[*interval] += length;
	return true;
}

static bool add_latency(const struct page *page, struct page_scope *scope,
			const struct exit_latency *latency, size_t interval)
{
	const struct exit_snapshot *snap = &scope->sum->snap;
	struct page_histogram *histogram;
	const struct exit_row *row;
	size_t i;

	for (i = 0; i < latency->nr_rows; i++) {
		const struct latency_row *bucket = &latency->rows[i];

		row = snapshot_find_row(snap, bucket->other, bucket->reason);
		if (!row)
			continue;
		histogram =
			&scope->histograms[(row - snap->rows) * NR_LATENCY_TIMES +
					   bucket->time];
		if (!histogram->exits)
			histogram->exits =
				calloc(page->max_intervals * NR_BUCKETS,
				       sizeof(*histogram->exits));
		if (!histogram->exits)
			return false;
		histogram->exits[interval * NR_BUCKETS +
				 bucket_of(bucket->from)] += bucket->exits;
		scope->any_latency = true;
	}
	return true;
}

static bool add_scope(const struct page *page, struct page_scope *scope,
		      const struct exit_scope *difference, size_t interval)
{
	const struct exit_snapshot *total = &scope->sum->snap;
	const struct exit_snapshot *snap = &difference->snap;
	const struct exit_row *row;
	size_t i, p;

	for (p = 0; p < NR_PHASES; p++)
		scope->phases[p][interval] +=
			p == PHASE_GUEST ? snap->guest_cycles :
					   snap->total[phase_counter(p)];
	for (i = 0; i < snap->nr_rows; i++) {
		row = snapshot_find_row(total, snap->rows[i].other,
					snap->rows[i].reason);
		if (row)
			scope->exits[row - total->rows][interval] +=
				snap->rows[i].counts[COUNT_EXITS];
	}
	return add_latency(page, scope, &difference->latency, interval);
}

static bool add_sample(struct collector *collector,
		       const struct recording *recording)
{
	struct page *page = &collector->page;
	struct page_scope *scope;
	size_t i, interval;

	if (recording->scopes_changed)
		note_present(collector, recording);
	if (!recording->has_difference ||
	    !find_interval(collector, recording, &interval))
		return true;
	for (i = 0; i < collector->nr_present; i++)
		page->scopes[collector->present[i]].known[interval] = true;
	for (i = 0; i < recording->difference.nr_scopes; i++) {
		scope = find_scope(page, &recording->difference.scopes[i]);
		if (scope &&
		    !add_scope(page, scope, &recording->difference.scopes[i],
			       interval))
			return false;
	}
	return true;
}

/* Read again, as far as it went before. */
static int collect(struct collector *collector, const char *path,
		   struct progress *progress)
{
	const uint64_t nr_samples = collector->page.sum->nr_samples;
	struct recording recording;
	enum recording_event event;
	int status = recording_open(&recording, path);

	while (!status && recording.nr_samples < nr_samples) {
		event = recording_next(&recording);
		progress_update(progress, input_progress(&recording.input));
		if (event == RECORDING_EOF)
			break;
		if (event == RECORDING_FAILED)
			status = STATUS_ERROR;
		else if (event == RECORDING_SAMPLE &&
			 !add_sample(collector, &recording))
			status = out_of_memory();
	}
	recording_free(&recording);
	return status;
}

/* Print the template up to @mark, and return what is behind it. */
static const char *print_until(FILE *out, const char *text, const char *mark)
{
	const char *end = strstr(text, mark);

	fwrite(text, 1, end - text, out);
	return end + strlen(mark);
}

static int write_page(const struct page *page, const char *path)
{
	static const char *const begins[] = {
		"<!DOCTYPE html>\n<!-- SPDX-License-Identifier: GPL-2.0 -->\n",
		NULL,
	};
	static const struct replaced_kind page_of_ours = {
		"a page of 'exitstat report'",
		begins,
	};
	const char *rest = report_template;
	struct replacement file;
	int status = replace_open(&file, path, &page_of_ours);

	if (status)
		return status;
	rest = print_until(file.stream, rest, "/*EXITSTAT_CHART_JS*/");
	fputs(report_chart_js, file.stream);
	rest = print_until(file.stream, rest, "/*EXITSTAT_DATA*/null");
	if (!page_print_data(file.stream, page)) {
		replace_abort(&file);
		return out_of_memory();
	}
	fputs(rest, file.stream);
	return replace_commit(&file);
}

static int make_page(struct recording_sum *sum, const char *path,
		     const char *html, struct progress *progress)
{
	struct collector collector = { .page = { .sum = sum } };
	int status = STATUS_OK;

	if (!choose_scopes(&collector.page))
		status = out_of_memory();
	if (!status) {
		choose_intervals(&collector);
		if (!allocate(&collector))
			status = out_of_memory();
	}
	if (!status)
		status = collect(&collector, path, progress);
	progress_end(progress);
	/* Nothing is looked for any more. */
	if (!status)
		status = recording_sum_number(sum, NULL);
	if (!status)
		status = write_page(&collector.page, html);
	free(collector.present);
	free_page(&collector.page);
	return status;
}

int report_html(const char *path, const char *html,
		const struct exit_selection *sel)
{
	struct recording_sum sum = {};
	struct progress progress;
	off_t start;
	int status = input_keep(&path);

	if (status)
		return status;
	start = lseek(STDIN_FILENO, 0, SEEK_CUR);
	progress_begin(&progress, "reading", 2);
	status = recording_sum_read(&sum, path, sel, &progress);
	progress_end(&progress);
	if (!status)
		status = recording_sum_check(&sum, sel);
	if (!status) {
		recording_sum_note(&sum);
		if (!strcmp(path, "-"))
			lseek(STDIN_FILENO, start, SEEK_SET);
		progress_next(&progress);
		status = make_page(&sum, path, html, &progress);
	}
	recording_sum_free(&sum);
	return status;
}
