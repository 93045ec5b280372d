// SPDX-License-Identifier: GPL-2.0
/* What 'exitstat top' puts on the screen. */
#include <ncurses.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/text.h"
#include "model/explain.h"
#include "top/details.h"
#include "top/draw.h"
#include "top/header.h"
#include "top/hist.h"
#include "top/keys.h"
#include "top/screen.h"
#include "top/table.h"
#include "top/view.h"

/* A screen of fewer lines has no room for all of the header. */
#define LINES_FOR_BAR 16
#define LINES_FOR_PHASES 12

/* Keys and what they do, each "key what". */
static void draw_keys(const struct top *top, int y, const char *const *keys)
{
	char key[32];
	int x = 0;

	for (; *keys; keys++) {
		const char *what = strchr(*keys, ' ');

		if (x + text_width(*keys) > COLS)
			break;
		snprintf(key, sizeof(key), "%.*s", (int)(what - *keys), *keys);
		x += top_put(y, x, -1, top_attributes(top, INK_KEYS), key);
		x += top_put(y, x, -1, A_NORMAL, what) + 2;
	}
}

/* As many lines as it needs, up from @y. */
static void draw_message(int y, const char *message)
{
	char lines[8][LINE_SIZE];
	size_t len;
	int nr = 0, i;

	while (*message && nr < (int)ARRAY_SIZE(lines)) {
		len = text_wrap(message, COLS - 1);
		if (!len)
			break;
		snprintf(lines[nr++], sizeof(*lines), "%.*s", (int)len,
			 message);
		message += len;
		message += *message == ' ';
	}
	for (i = 0; i < nr; i++) {
		move(y - nr + 1 + i, 0);
		clrtoeol();
		top_put(y - nr + 1 + i, 0, -1, A_BOLD, lines[i]);
	}
}

static void draw_status(const struct top *top, int y)
{
	static const char *const reason_keys[] = {
		"q quit",   "? help",	 "1 host",	 "2 VMs",
		"3 vCPUs",  "d details", "e explain",	 "Enter latency",
		"</> sort", "/ filter",	 "Space freeze", "c clear",
		"u units",  NULL,
	};
	static const char *const scope_keys[] = {
		"q quit",	"? help",	 "1 host",   "2 VMs",
		"3 vCPUs",	"Enter reasons", "</> sort", "/ filter",
		"Space freeze", "c clear",	 "u units",  NULL,
	};
	static const char *const guest_keys[] = {
		"q quit",    "? help",	 "e explain",	 "</> sort",
		"r reverse", "/ filter", "Space freeze", "c clear",
		"u units",   NULL,
	};
	static const char *const histogram_keys[] = {
		"q quit",	"Esc back", "\u2191/\u2193 reason",
		"Space freeze", "c clear",  "u units",
		NULL,
	};
	static const char *const details_keys[] = {
		"q quit", "Esc back", "e explain", "Space freeze", NULL,
	};
	char text[FILTER_SIZE + 2];

	if (top->editing) {
		snprintf(text, sizeof(text), "/%s",
			 top->views[top->view].filter);
		move(y, top_put(y, 0, COLS - 1, A_BOLD, text));
		curs_set(1);
		return;
	}
	curs_set(0);
	if (*top->message)
		draw_message(y, top->message);
	else if (*top->feed.error)
		draw_message(y, top->feed.error);
	else if (top->details)
		draw_keys(top, y, details_keys);
	else if (top->histogram)
		draw_keys(top, y, histogram_keys);
	else if (top->feed.source->abilities & SOURCE_FROM_INSIDE)
		draw_keys(top, y, guest_keys);
	else
		draw_keys(top, y,
			  top_has_reasons(top) ? reason_keys : scope_keys);
}

static void draw_help(const struct top *top)
{
	const int room = LINES - 3;
	int nr = 0, rows, width, i;

	while (top_key_help[nr].keys)
		nr++;
	/* In two columns if one has no room for all. */
	rows = nr > room && COLS >= 70 ? (nr + 1) / 2 : nr;
	width = rows < nr ? COLS / 2 : COLS;

	top_put(0, 0, -1, A_BOLD, "exitstat top: keys");
	for (i = 0; i < nr; i++) {
		const int x = i / rows * width;
		const int y = 2 + i % rows;

		if (y >= LINES - 1)
			continue;
		top_put(y, x, 8, top_attributes(top, INK_KEYS),
			top_key_help[i].keys);
		top_put(y, x + 9, width - 10, A_NORMAL, top_key_help[i].help);
	}
	for (i = 0; top_help_text[i] && rows + 3 + i < LINES - 1; i++)
		top_put(rows + 3 + i, 0, -1, A_NORMAL, top_help_text[i]);
	top_put(LINES - 1, 0, -1, A_NORMAL, "Any key goes back.");
}

/* A part of an explanation, from line @y on.  The line behind it. */
static int draw_part(const struct top *top, int y, const char *title,
		     const char *text)
{
	char line[LINE_SIZE];
	size_t len;

	top_put(y, 0, 11, top_attributes(top, INK_KEYS), title);
	for (; text && *text && y < LINES - 1; y++) {
		len = text_wrap(text, COLS - 12);
		if (!len)
			break;
		snprintf(line, sizeof(line), "%.*s", (int)len, text);
		top_put(y, 11, -1, A_NORMAL, line);
		text += len;
		text += *text == ' ';
	}
	return y;
}

/* What the reason at the cursor means, instead of all else. */
static void draw_explanation(const struct top *top)
{
	const struct exit_line *line = top_line(top);
	const struct explanation *e =
		line && !line->row.other ?
			explanation_of(reasons_of(line->scope->snap.isa),
				       line->row.reason) :
			NULL;
	char title[EXIT_NAME_SIZE + 64];
	int y = 2;

	if (e) {
		snprintf(title, sizeof(title), "%s, exit number %u of %s",
			 line->row.name, line->row.reason,
			 line->scope->snap.isa);
		top_put(0, 0, -1, A_BOLD, title);
		y = draw_part(top, y, "What", e->what);
		y = draw_part(top, y, "Causes", e->causes);
		y = draw_part(top, y, "Normal", e->normal);
		y = draw_part(top, y, "Which one", e->which);
		draw_part(top, y, "Then", e->then);
	} else {
		top_put(0, 0, -1, A_BOLD,
			line ? line->row.name : "no reason is chosen");
		draw_part(
			top, y, "What",
			"Exits that have no reason which the architecture defines.");
	}
	top_put(LINES - 1, 0, -1, A_NORMAL, "Any key goes back.");
}

void top_draw(struct top *top)
{
	const bool bar = LINES >= LINES_FOR_BAR;
	const bool has_phases = LINES >= LINES_FOR_PHASES;
	const int y = 2 + has_phases + bar;
	const int height = LINES - 1 - y;

	/* Both change the lines that are on the screen. */
	top->page = height > 1 ? height - 1 : 0;
	top_update_lines(top);

	erase();
	if (top->help) {
		draw_help(top);
	} else if (top->explanation) {
		draw_explanation(top);
	} else {
		top_draw_header(top, has_phases, bar);
		if (height > 0 && top->details)
			top_draw_details(top, y, height);
		else if (height > 0 && top->histogram)
			top_draw_histogram(top, y, height);
		else if (height > 0)
			top_draw_table(top, y, height);
		draw_status(top, LINES - 1);
	}
	refresh();
}
