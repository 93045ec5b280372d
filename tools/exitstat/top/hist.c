// SPDX-License-Identifier: GPL-2.0
/* How long single exits of a reason took, by powers of two. */
#include <inttypes.h>
#include <ncurses.h>
#include <stdio.h>

#include "base/array.h"
#include "top/hist.h"
#include "top/screen.h"
#include "top/view.h"

#define LABEL_WIDTH 19
/* without room for bars */
#define MIN_COLUMN 12

struct histogram {
	/* how many buckets there are from the first to the last with exits */
	size_t first, nr;
	uint64_t exits[NR_BUCKETS][NR_LATENCY_TIMES];
	double all[NR_LATENCY_TIMES];
	uint64_t most;
	/* cycles, since the counters began */
	uint64_t longest[NR_LATENCY_TIMES];
};

static const char *const times[NR_LATENCY_TIMES] = {
	[LATENCY_HANDLE] = "handle: in KVM",
	[LATENCY_TOTAL] = "total: all but wait",
};

static bool is_meant(const struct top *top, const struct latency_row *row)
{
	const struct view_state *view = &top->views[top->view];

	return row->other == view->other &&
	       (row->other || row->reason == view->reason);
}

static void collect(const struct top *top, const struct exit_latency *latency,
		    struct histogram *histogram)
{
	size_t i, bucket, last = 0;
	uint64_t *exits;

	*histogram = (struct histogram){ .first = NR_BUCKETS };
	for (i = 0; i < latency->nr_rows; i++) {
		const struct latency_row *row = &latency->rows[i];

		if (!is_meant(top, row))
			continue;
		bucket = bucket_of(row->from);
		if (bucket < histogram->first)
			histogram->first = bucket;
		if (bucket > last)
			last = bucket;
		exits = &histogram->exits[bucket][row->time];
		*exits += row->exits;
		if (*exits > histogram->most)
			histogram->most = *exits;
		histogram->all[row->time] += row->exits;
		histogram->longest[row->time] = row->max;
	}
	if (histogram->first < NR_BUCKETS)
		histogram->nr = last - histogram->first + 1;
}

/* Rounded to a few digits, as these are powers of two anyway. */
static void format_cycles(const struct top *top, const struct exit_clock *clock,
			  uint64_t cycles, char *text, size_t size)
{
	static const char *const units[] = { "ns", "\u00b5s", "ms", "s" };
	double value;
	size_t unit = 0;

	if (!top->ns) {
		snprintf(text, size, "%" PRIu64,
			 clock_convert(clock, cycles, false));
		return;
	}
	value = cycles * clock_scale(clock, true);
	while (value >= 999.5 && unit + 1 < ARRAY_SIZE(units)) {
		value /= 1000;
		unit++;
	}
	snprintf(text, size, value < 9.95 && unit ? "%.1f %s" : "%.0f %s",
		 value, units[unit]);
}

static void format_bucket(const struct top *top, const struct exit_clock *clock,
			  size_t bucket, char *text, size_t size)
{
	char from[24], below[24];

	format_cycles(top, clock, bucket_from(bucket), from, sizeof(from));
	format_cycles(top, clock, bucket_below(bucket), below, sizeof(below));
	if (bucket == NR_BUCKETS - 1)
		snprintf(text, size, "from %s", from);
	else
		snprintf(text, size, "%8s - %s", from, below);
}

/* Below what so much of all stays. */
static void format_part(const struct top *top, const struct exit_clock *clock,
			const struct histogram *histogram,
			enum latency_time time, double part, char *text,
			size_t size)
{
	const uint64_t longest = histogram->longest[time];
	double so_far = 0;
	uint64_t below;
	size_t b;

	for (b = 0; b < NR_BUCKETS - 1; b++) {
		so_far += histogram->exits[b][time];
		if (so_far >= part * histogram->all[time])
			break;
	}
	if (b == NR_BUCKETS - 1) {
		snprintf(text, size, "-");
		return;
	}
	/* No exit came near the bucket's end if that is beyond the longest. */
	below = bucket_below(b);
	format_cycles(top, clock, longest && longest < below ? longest : below,
		      text, size);
}

static void draw_summary(const struct top *top, const struct exit_clock *clock,
			 int y, const struct histogram *histogram,
			 enum latency_time time)
{
	char text[256], half[24], most[24], longest[24];

	if (!(histogram->all[time] > 0))
		return;
	format_part(top, clock, histogram, time, 0.5, half, sizeof(half));
	format_part(top, clock, histogram, time, 0.99, most, sizeof(most));
	format_cycles(top, clock, histogram->longest[time], longest,
		      sizeof(longest));
	snprintf(text, sizeof(text),
		 "%s: half below %s, 99 %% below %s, the longest ever %s",
		 latency_time_names[time], half, most, longest);
	top_put(y, 1, -1, A_NORMAL, text);
}

static void draw_bucket(const struct top *top, const struct exit_clock *clock,
			int y, int width, const struct histogram *histogram,
			size_t bucket)
{
	static const enum top_ink inks[] = { INK_HANDLE, INK_USER };
	char text[64];
	size_t time;

	format_bucket(top, clock, bucket, text, sizeof(text));
	top_put(y, 1, LABEL_WIDTH, A_NORMAL, text);
	for (time = 0; time < NR_LATENCY_TIMES; time++) {
		const uint64_t exits = histogram->exits[bucket][time];
		const int x = LABEL_WIDTH + 2 + time * width;
		const int room = width - MIN_COLUMN;
		int length;

		snprintf(text, sizeof(text), "%10" PRIu64, exits);
		top_put(y, x, MIN_COLUMN - 1, exits ? A_NORMAL : A_DIM, text);
		if (!exits || room <= 0)
			continue;
		length = (double)exits / histogram->most * room + 0.5;
		top_fill(top, y, x + MIN_COLUMN - 1, length ? length : 1,
			 inks[time], '#');
	}
}

/* The name of the reason, which may have no exits just now. */
static const char *reason_of(const struct top *top)
{
	const struct view_state *view = &top->views[top->view];
	const struct exit_scope *scope = top_scope(top, &top->feed.now);
	const struct exit_row *row =
		scope ? snapshot_find_row(&scope->snap, view->other,
					  view->other ? 0 : view->reason) :
			NULL;

	return row ? row->name : "";
}

/* Why there is none. */
static void explain(const struct top *top, char *text, size_t size)
{
	const struct exit_scope *now = top_scope(top, &top->feed.now);
	const struct exit_scope *shown = top_scope(top, &top->feed.shown);
	const struct source *source = top->feed.source;
	const bool possible = source->abilities & SOURCE_LATENCY;

	if (now && !possible && source->better)
		snprintf(text, size,
			 "Histograms are in %s only, which needs root.",
			 source->better->name);
	else if (now && !possible && source->ops->abilities & SOURCE_LATENCY)
		snprintf(text, size,
			 "%s counts histograms with --level histograms only.",
			 source->ops->name);
	else if (now && !possible)
		snprintf(text, size, "%s has no histograms.",
			 source->ops->name);
	else if (now && !now->latency.nr_rows)
		snprintf(
			text, size,
			"There are no histograms here: kvm was loaded with exit_stats_histograms=0.");
	else if (shown && top->frozen)
		snprintf(
			text, size,
			"Not read before the freeze, or no exits: the space bar ends it.");
	else
		snprintf(text, size, "No exit of this reason has ended.");
}

static void draw_heading(const struct top *top, int y, int width)
{
	const struct view_state *view = &top->views[top->view];
	const int heading = top_attributes(top, INK_HEADING);
	char text[EXIT_NAME_SIZE + 16];
	size_t time;

	attrset(heading);
	mvhline(y, 0, ' ', COLS);
	attrset(A_NORMAL);
	if (view->other)
		snprintf(text, sizeof(text), "%s", reason_of(top));
	else
		snprintf(text, sizeof(text), "%" PRIu32 " %s", view->reason,
			 reason_of(top));
	top_put(y, 1, LABEL_WIDTH + 1, heading, text);
	for (time = 0; time < NR_LATENCY_TIMES; time++)
		top_put(y, LABEL_WIDTH + 2 + time * width, width - 1, heading,
			times[time]);
}

void top_draw_histogram(struct top *top, int y, int height)
{
	const struct exit_scope *scope = top_scope(top, &top->feed.shown);
	/* the heading, and a summary of each time below an empty line */
	const int summary = height >= 12 ? 1 + NR_LATENCY_TIMES : 0;
	const int room = height - 1 - summary;
	const int width = (COLS - LABEL_WIDTH - 2) / NR_LATENCY_TIMES;
	struct histogram histogram;
	char text[128];
	int i, time;

	draw_heading(top, y, width);
	if (scope)
		collect(top, &scope->latency, &histogram);
	if (!scope || !histogram.nr) {
		explain(top, text, sizeof(text));
		top_put(y + 1, 1, -1, A_NORMAL, text);
		return;
	}

	top->page = room > 0 ? room : 0;
	if (top->histogram_first + top->page > histogram.nr)
		top->histogram_first =
			histogram.nr > top->page ? histogram.nr - top->page : 0;
	for (i = 0; i < room && top->histogram_first + i < histogram.nr; i++)
		draw_bucket(top, &scope->snap.clock, y + 1 + i, width,
			    &histogram,
			    histogram.first + top->histogram_first + i);
	for (time = 0; summary && time < NR_LATENCY_TIMES; time++)
		draw_summary(top, &scope->snap.clock, y + 2 + i + time,
			     &histogram, time);
}
