/* SPDX-License-Identifier: GPL-2.0 */
/* Text and colours on the screen. */
#ifndef TOP_SCREEN_H
#define TOP_SCREEN_H

#include "top/state.h"

/* Once there is a screen: its colours. */
void top_init_screen(struct top *top);

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

#endif
