// SPDX-License-Identifier: GPL-2.0
/* The header of 'exitstat top': where, when, what, and the time by phase. */
#include <inttypes.h>
#include <limits.h>
#include <ncurses.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/text.h"
#include "top/header.h"
#include "top/screen.h"
#include "top/view.h"

/* What a view is called has at least so many columns. */
#define MIN_TITLE 20

static void put_right(int y, int right, int attributes, const char *text)
{
	const int width = text_width(text);

	if (width <= right)
		top_put(y, right - width, width, attributes, text);
}

static void format_clock(uint64_t realtime, char *text, size_t size)
{
	const time_t seconds = realtime / 1000000000;
	struct tm tm;

	localtime_r(&seconds, &tm);
	strftime(text, size, "%H:%M:%S", &tm);
}

/* The flags, from right to left, and what is left of the line. */
static int draw_flags(const struct top *top, int y, int right)
{
	const struct view_state *view = &top->views[top->view];
	const struct exit_scope *scope = top_scope(top, &top->feed.shown);
	char texts[6][FILTER_SIZE + 16], clock[16];
	size_t nr = 0;

	if (*top->feed.error)
		strcpy(texts[nr++], "NO NEW NUMBERS");
	if (top->frozen)
		strcpy(texts[nr++], "FROZEN");
	if (top->feed.has_baseline) {
		format_clock(top->since, clock, sizeof(clock));
		snprintf(texts[nr++], sizeof(*texts), "SINCE %s", clock);
	}
	if (scope && !scope->snap.enabled)
		strcpy(texts[nr++], "ACCOUNTING OFF");
	if (scope && scope->is_new)
		strcpy(texts[nr++], "NEW");
	if (*view->filter)
		snprintf(texts[nr++], sizeof(*texts), "FILTER \"%s\"",
			 view->filter);

	while (nr--) {
		const int width = text_width(texts[nr]);

		if (width + 1 > right)
			break;
		right -= width + 1;
		top_put(y, right, width, top_attributes(top, INK_FLAG),
			texts[nr]);
	}
	return right;
}

static void draw_title(const struct top *top)
{
	const struct exit_scope *first = feed_first(&top->feed.now);
	const struct exit_snapshot *snap = &first->snap;
	char host[HOST_NAME_MAX + 1] = "", text[LINE_SIZE], clock[16];
	char label[CLOCK_LABEL_SIZE];
	int right = COLS;

	format_clock(top->feed.shown.realtime ? top->feed.shown.realtime :
						top->feed.now.realtime,
		     clock, sizeof(clock));
	if (right > 50)
		right -= 9;
	put_right(0, COLS, A_NORMAL, COLS > 50 ? clock : "");

	gethostname(host, sizeof(host) - 1);
	clock_label(&snap->clock, label);
	snprintf(text, sizeof(text), "exitstat on %s: %s, %s, from %s", host,
		 snap->isa, label, top->feed.now.source);
	right = draw_flags(top, 0, right);
	top_put(0, 0, right - 1, A_BOLD, text);
}

/* What the view is about. */
static void describe(const struct top *top, char *text, size_t size)
{
	char label[SCOPE_LABEL_SIZE];
	const char *what = top->details	  ? "what its exits are for" :
			   top->histogram ? "how long exits took" :
					    "exits by reason";
	size_t filtered = top->nr_filtered;

	scope_label(top->view == VIEW_VCPU ? &top->vcpu : &top->vm, label);
	switch (top->view) {
	case VIEW_HOST:
		snprintf(text, size, "%s: %s",
			 !(top->feed.source->abilities & SOURCE_FROM_INSIDE) ?
				 "host" :
			 feed_first(&top->feed.now)->kind == SCOPE_VM ?
				 "this VM" :
				 "host of this VM",
			 what);
		break;
	case VIEW_VMS:
		snprintf(text, size,
			 filtered ? "host: VMs, %zu of %zu" : "host: VMs, %zu",
			 top->nr_lines, top->nr_lines + filtered);
		break;
	case VIEW_VCPUS:
		snprintf(text, size, "%s: vCPUs", label);
		break;
	default:
		snprintf(text, size, "%s: %s", label, what);
		break;
	}
}

/* What fits of it: exits per second, what is lost, and in which time. */
static void format_rates(const struct top *top, const struct exit_scope *scope,
			 int width, char *text, size_t size)
{
	const struct exit_scan *scan = &top->feed.shown;
	char lost[32] = "", exits[64], seconds[32];
	struct exit_line line;
	struct exit_time time;

	line_init(&line, scan, scope, NULL, top->ns);
	if (snapshot_time(&scope->snap, &time) && exit_time_wanted(&time) > 0)
		snprintf(lost, sizeof(lost), "lost %.2f %%  ",
			 100 * exit_time_lost(&time) / exit_time_wanted(&time));
	snprintf(exits, sizeof(exits), "%.1f exits/s",
		 line.part[COUNT_EXITS] * 1e9 / scan->interval);
	snprintf(seconds, sizeof(seconds), "  in %.2f s", scan->interval / 1e9);

	snprintf(text, size, "%s%s%s", lost, exits, seconds);
	if (text_width(text) > width)
		snprintf(text, size, "%s%s", exits, seconds);
	if (text_width(text) > width)
		snprintf(text, size, "%s", exits);
}

static void draw_rates(const struct top *top, int y)
{
	const struct exit_scan *scan = &top->feed.shown;
	const struct exit_scope *scope = top_scope(top, scan);
	char title[LINE_SIZE], rates[256] = "counting \u2026";

	if (scope && scan->interval)
		format_rates(top, scope, COLS - MIN_TITLE, rates,
			     sizeof(rates));
	describe(top, title, sizeof(title));
	put_right(y, COLS, A_NORMAL, rates);
	/* The name is cut, not the numbers. */
	if (COLS > text_width(rates) + 2)
		top_put(y, 0, COLS - text_width(rates) - 2, A_BOLD, title);
}

/* All that a guest knows of the time. */
static void draw_handle(const struct top *top, int y,
			const struct exit_scope *scope)
{
	const uint64_t interval = top->feed.shown.interval;
	const struct exit_snapshot *snap = &scope->snap;
	char text[128];

	if (!interval || !clock_tells(&snap->clock, true) ||
	    !snap->has[COUNT_HANDLE_CYCLES] || snap->has_guest_cycles)
		return;
	snprintf(text, sizeof(text),
		 "handle %.2f %% of one CPU; other times are not known here",
		 snap->whole[COUNT_HANDLE_CYCLES] *
			 clock_scale(&snap->clock, true) * 100 / interval);
	top_put(y, 0, -1, A_NORMAL, text);
}

static void draw_phases(const struct top *top, int y, bool bar)
{
	const struct exit_scope *scope = top_scope(top, &top->feed.shown);
	struct exit_time time;
	double all, before = 0;
	char text[64];
	int x = 0, from, to;
	enum exit_phase p;

	if (!scope)
		return;
	if (!snapshot_time(&scope->snap, &time)) {
		draw_handle(top, y, scope);
		return;
	}

	all = exit_time_all(&time);
	for (p = 0; p < NR_PHASES; p++) {
		const char *name = exit_phase_names[p];
		const enum top_ink ink = INK_GUEST + p;

		x += top_put(y, x, -1, top_attributes(top, ink), name);
		snprintf(text, sizeof(text), " %.1f %%  ",
			 100 * time.phases[p] / all);
		x += top_put(y, x, -1, A_NORMAL, text);

		from = before / all * COLS + 0.5;
		before += time.phases[p];
		to = before / all * COLS + 0.5;
		if (bar)
			top_fill(top, y + 1, from, to - from, ink, *name);
	}
}

void top_draw_header(const struct top *top, bool has_phases, bool bar)
{
	draw_title(top);
	draw_rates(top, 1);
	if (has_phases)
		draw_phases(top, 2, bar);
}
