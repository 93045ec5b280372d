/* SPDX-License-Identifier: GPL-2.0 */
/* The state of 'exitstat top', which its parts share. */
#ifndef TOP_STATE_H
#define TOP_STATE_H

#include "top/feed.h"
#include "top/loop.h"
#include "top/top.h"
#include "view/lines.h"

#define FILTER_SIZE 64
/* bytes of a line of the screen */
#define LINE_SIZE 1024

enum top_view {
	/* reasons of the host, or in a guest of this VM */
	VIEW_HOST,
	VIEW_VMS,
	/* reasons of a VM, its vCPUs, and reasons of one of these */
	VIEW_VM,
	VIEW_VCPUS,
	VIEW_VCPU,
	NR_VIEWS,
};

/* What the user chose in a view; it keeps that while another is shown. */
struct view_state {
	/* where Esc leads, or the view itself */
	enum top_view parent;
	const struct column *sort;
	bool reverse;
	char filter[FILTER_SIZE];
	/* The line of the cursor, and the first one on the screen. */
	size_t cursor, first;
	/*
	 * The cursor stays with what it was moved to, wherever that is sorted;
	 * on the first line it stays there, for those who only watch.
	 */
	bool follows;
	bool other;
	uint32_t reason;
	struct exit_scope scope;
	/* Columns only grow, so that they do not dance. */
	int widths[MAX_COLUMNS];
};

struct top {
	const struct top_options *options;
	struct top_feed feed;
	struct top_loop loop;

	enum top_view view;
	struct view_state views[NR_VIEWS];
	/* What was opened: who, without counters. */
	struct exit_scope vm, vcpu;
	/* the histogram of the reason at the cursor, and its first line */
	bool histogram;
	size_t histogram_first;
	bool help;
	/* what that reason's exits are for is looked at, or NULL */
	struct top_details *details;
	/* what the reason at the cursor means is shown */
	bool explanation;
	/* The filter is being typed. */
	bool editing;
	bool frozen;
	bool ns;
	/* as people read them; then in ns, too */
	bool scaled;
	/* of the screen */
	bool colors;
	/* how many lines of a table or histogram it shows */
	size_t page;

	/* What the view shows: lines of the table, and how many are filtered */
	struct exit_line *lines;
	size_t nr_lines, nr_filtered;
	struct layout layout;

	/* ns */
	uint64_t interval;
	/* CLOCK_REALTIME of the baseline */
	uint64_t since;
	/* until a key is pressed */
	char message[MESSAGE_SIZE];
	bool quit;
	int status;
};

#endif
