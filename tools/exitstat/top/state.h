/* SPDX-License-Identifier: GPL-2.0 */
/* The state of 'exitstat top', and its parts. */
#ifndef TOP_STATE_H
#define TOP_STATE_H

#include "top/feed.h"
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

	enum top_view view;
	struct view_state views[NR_VIEWS];
	/* What was opened: who, without counters. */
	struct exit_scope vm, vcpu;
	/* the histogram of the reason at the cursor, and its first line */
	bool histogram;
	size_t histogram_first;
	bool help;
	/* The filter is being typed. */
	bool editing;
	bool frozen;
	bool ns;
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

/* top.c */
/* Show the next numbers in @first ns, and then in each interval. */
void top_set_timer(struct top *top, uint64_t first);

/* top_view.c */
void top_init_views(struct top *top);
bool top_has_reasons(const struct top *top);
/* What the view is about, in a scan; NULL if it is not there. */
struct exit_scope *top_scope(const struct top *top,
			     const struct exit_scan *scan);
/* Make the view's lines anew. */
void top_update_lines(struct top *top);
/* The line at the cursor, or NULL. */
struct exit_line *top_line(const struct top *top);
void top_move(struct top *top, long lines);
void top_open(struct top *top, enum top_view view, enum top_view parent);
/* Open what the line at the cursor is about. */
void top_enter(struct top *top);
/* The vCPUs of the VM that is shown, or at the cursor. */
void top_open_vcpus(struct top *top);
/* Leave the view. */
void top_back(struct top *top);
/* Leave it if what it is about has ended. */
void top_check_ended(struct top *top);
void top_show_histogram(struct top *top, bool show);
/* Sort by the next column, or the one before. */
void top_move_sort(struct top *top, int step);
void top_say(struct top *top, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* top_keys.c */
/* All keys that were pressed. */
void top_read_keys(struct top *top);
struct key_help {
	const char *keys;
	const char *help;
};

extern const struct key_help top_key_help[];
/* lines of at most 80 columns */
extern const char *const top_help_text[];
/* Show new numbers. */
void top_tick(struct top *top);

/* top_draw.c */
void top_init_draw(struct top *top);
void top_draw(struct top *top);

/* For the text of these parts. */
enum top_ink {
	INK_NONE,
	/* one for each phase */
	INK_GUEST,
	INK_HANDLE = INK_GUEST + PHASE_HANDLE,
	INK_USER = INK_GUEST + PHASE_USER,
	/* of which each also is a colour to fill with */
	INK_FILL = INK_GUEST + NR_PHASES,
	INK_HEADING = 2 * INK_FILL,
	INK_SORTED,
	INK_CURSOR,
	INK_KEYS,
	INK_FLAG,
	NR_INKS,
};

/* Put @text into @width columns, cut or padded.  @width is the rest if < 0. */
int top_put(int y, int x, int width, int attributes, const char *text);
int top_attributes(const struct top *top, enum top_ink ink);
/* Fill columns with @c, a solid block if there are colours. */
void top_fill(const struct top *top, int y, int x, int width, enum top_ink ink,
	      char c);

/* top_header.c */
void top_draw_header(const struct top *top, bool has_phases, bool bar);

/* top_table.c */
void top_draw_table(struct top *top, int y, int height);

/* top_hist.c */
void top_draw_histogram(struct top *top, int y, int height);

#endif
