// SPDX-License-Identifier: GPL-2.0
/* Text and colours of 'exitstat top', whatever it shows. */
#include <ncurses.h>
#include <stdlib.h>

#include "base/text.h"
#include "top/screen.h"

/* A phase of vCPUs' time is in this colour, or drawn with its first letter. */
static const short phase_colors[NR_PHASES] = {
	[PHASE_GUEST] = COLOR_GREEN,	   [PHASE_HANDLE] = COLOR_RED,
	[PHASE_USER] = COLOR_YELLOW,	   [PHASE_WAIT] = COLOR_BLUE,
	[PHASE_PREEMPTED] = COLOR_MAGENTA,
};

/* Those that mark without colours, too. */
static const attr_t plain_attributes[NR_INKS] = {
	[INK_GUEST... INK_FILL - 1] = A_BOLD,
	[INK_HEADING] = A_BOLD | A_UNDERLINE,
	[INK_SORTED] = A_BOLD | A_REVERSE,
	[INK_CURSOR] = A_REVERSE,
	[INK_KEYS] = A_BOLD,
	[INK_FLAG] = A_BOLD | A_REVERSE,
};

void top_init_screen(struct top *top)
{
	const char *no_color = getenv("NO_COLOR");
	enum exit_phase p;

	if ((no_color && *no_color) || !has_colors() || start_color() == ERR ||
	    COLOR_PAIRS < NR_INKS)
		return;
	top->colors = true;
	use_default_colors();
	for (p = 0; p < NR_PHASES; p++) {
		init_pair(INK_GUEST + p, phase_colors[p], -1);
		init_pair(INK_GUEST + p + INK_FILL, phase_colors[p],
			  phase_colors[p]);
	}
	init_pair(INK_HEADING, COLOR_BLACK, COLOR_WHITE);
	init_pair(INK_SORTED, COLOR_BLACK, COLOR_CYAN);
	init_pair(INK_CURSOR, COLOR_BLACK, COLOR_CYAN);
	init_pair(INK_KEYS, COLOR_CYAN, -1);
	init_pair(INK_FLAG, COLOR_BLACK, COLOR_YELLOW);
}

int top_attributes(const struct top *top, enum top_ink ink)
{
	if (top->colors)
		return COLOR_PAIR(ink) | (ink == INK_KEYS ? A_BOLD : 0);
	return plain_attributes[ink];
}

int top_put(int y, int x, int width, int attributes, const char *text)
{
	char copy[LINE_SIZE];
	int columns;

	if (width < 0 || width > COLS - x)
		width = COLS - x;
	if (width <= 0 || y < 0 || y >= LINES)
		return 0;
	columns = text_fit(copy, sizeof(copy), text, width);
	attrset(attributes);
	mvaddstr(y, x, copy);
	attrset(A_NORMAL);
	return columns;
}

void top_fill(const struct top *top, int y, int x, int width, enum top_ink ink,
	      char c)
{
	if (width > COLS - x)
		width = COLS - x;
	if (width <= 0 || y >= LINES)
		return;
	attrset(top->colors ? COLOR_PAIR(ink + INK_FILL) : A_NORMAL);
	mvhline(y, x, c, width);
	attrset(A_NORMAL);
}
